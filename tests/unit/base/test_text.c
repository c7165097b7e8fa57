/* Numbers as text: exact both ways, in any locale.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/text.h"

static uint64_t bits(double value)
{
    uint64_t u;
    memcpy(&u, &value, sizeof u);
    return u;
}

/* The text reads back to the same bits, by our reader and by the C library's. */
static void round_trip_float(float value)
{
    char text[TAMIS__NUMBER_SIZE];
    double back;
    size_t n = tamis__format_float(text, value);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_uint_lt(n, TAMIS__NUMBER_SIZE);
    ck_assert_msg(tamis__parse_double(text, n, &back), "'%s'", text);
    ck_assert_msg(bits((double)(float)back) == bits((double)value), "'%s' for %a", text,
                  (double)value);
    if (*localeconv()->decimal_point == '.')
        ck_assert_msg(bits((double)strtof(text, NULL)) == bits((double)value), "'%s' for %a", text,
                      (double)value);
}

static void round_trip_double(double value)
{
    char text[TAMIS__NUMBER_SIZE];
    double back;
    size_t n = tamis__format_double(text, value);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_uint_lt(n, TAMIS__NUMBER_SIZE);
    ck_assert_msg(tamis__parse_double(text, n, &back), "'%s'", text);
    ck_assert_msg(bits(back) == bits(value), "'%s' for %a", text, value);
}

static void check_random(int n)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    for (int i = 0; i < n; i++) {
        uint64_t u = gsl_rng_get(rng);
        uint32_t low = (uint32_t)u;
        float f;
        double d;
        memcpy(&f, &low, sizeof f);
        u = gsl_rng_get(rng);
        memcpy(&d, &u, sizeof d);
        if (isfinite(f)) round_trip_float(f);
        if (isfinite(d)) round_trip_double(d);
        round_trip_float((float)gsl_rng_uniform(rng));
        round_trip_double(gsl_rng_uniform(rng));
    }
    gsl_rng_free(rng);
}

START_TEST(random_numbers)
{
    check_random(100000);
}
END_TEST

START_TEST(edges)
{
    static const double values[] = {0.0,
                                    -0.0,
                                    1,
                                    -1,
                                    0.1,
                                    1.0 / 3,
                                    1e22,
                                    1e23,
                                    1e-5,
                                    123456,
                                    1234567,
                                    DBL_MAX,
                                    DBL_MIN,
                                    5e-324,
                                    1e15,
                                    1e16,
                                    DBL_EPSILON,
                                    0.3,
                                    9007199254740993.0,
                                    4503599627370497.5,
                                    2.2250738585072011e-308};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        round_trip_double(values[i]);
        round_trip_double(-values[i]);
        if (fabs(values[i]) <= (double)FLT_MAX) round_trip_float((float)values[i]);
    }
    round_trip_float(FLT_MAX);
    round_trip_float(-FLT_MAX);
    round_trip_float(FLT_MIN);
    round_trip_float(FLT_TRUE_MIN);
    round_trip_float(FLT_MIN - FLT_TRUE_MIN);
}
END_TEST

/* Not one digit more than is needed. */
START_TEST(shortest)
{
    static const struct {
        double value;
        const char *as_float, *as_double;
    } cases[] = {{0.1, "0.1", "0.1"},
                 {1, "1", "1"},
                 {-0.0, "-0", "-0"},
                 {1.0 / 3, "0.33333334", "0.3333333333333333"},
                 {2.0 / 3, "0.6666667", "0.6666666666666666"},
                 {16777216, "16777216", "16777216"},
                 {0.3, "0.3", "0.3"},
                 {1e-5, "1e-05", "1e-05"},
                 {123456789, "1.2345679e+08", "123456789"},
                 {(double)NAN, "nan", "nan"},
                 {HUGE_VAL, "inf", "inf"},
                 {-HUGE_VAL, "-inf", "-inf"}};
    char text[TAMIS__NUMBER_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tamis__format_float(text, (float)cases[i].value);
        ck_assert_str_eq(text, cases[i].as_float);
        tamis__format_double(text, cases[i].value);
        ck_assert_str_eq(text, cases[i].as_double);
    }
    tamis__format_float(text, FLT_TRUE_MIN);
    ck_assert_str_eq(text, "1e-45");
    tamis__format_double(text, 5e-324);
    ck_assert_str_eq(text, "5e-324");
}
END_TEST

START_TEST(reads)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},
                 {"+5", 5},
                 {"-5", -5},
                 {"007", 7},
                 {"1.", 1},
                 {".5", 0.5},
                 {"-.5", -0.5},
                 {"1e3", 1000},
                 {"1E+3", 1000},
                 {"25e-1", 2.5},
                 {"1.5e0", 1.5},
                 {"1e-400", 0},
                 {"1e400", HUGE_VAL},
                 {"inf", HUGE_VAL},
                 {"-Infinity", -HUGE_VAL},
                 {"INF", HUGE_VAL},
                 {"123456789012345", 123456789012345.0},
                 {"9007199254740993", 9007199254740992.0},
                 {"0.1000000000000000055511151231257827", 0.1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 77;
        ck_assert_msg(tamis__parse_double(cases[i].text, strlen(cases[i].text), &value), "'%s'",
                      cases[i].text);
        ck_assert_msg(bits(value) == bits(cases[i].value), "'%s' gave %.17g", cases[i].text, value);
    }
    double value;
    static const char *const nans[] = {"nan", "NaN", "-nan", "+NAN"};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++)
        ck_assert(tamis__parse_double(nans[i], strlen(nans[i]), &value) && isnan(value));
    ck_assert(tamis__parse_double("-0", 2, &value) && signbit(value));
}
END_TEST

/* Only text[0 .. size) is looked at. */
START_TEST(bounded)
{
    double value;
    int64_t i;
    char exact[3];
    memcpy(exact, "123", 3);
    ck_assert(tamis__parse_double(exact, 3, &value) && value > 122.5 && value < 123.5);
    ck_assert(tamis__parse_double("12e7", 2, &value) && value < 12.5);
    ck_assert(tamis__parse_int64(exact, 3, &i) && i == 123);
    char long_number[400] = "0.";
    memset(long_number + 2, '3', sizeof long_number - 2);
    ck_assert(tamis__parse_double(long_number, sizeof long_number, &value));
    ck_assert_uint_eq(bits(value), bits(1.0 / 3));
}
END_TEST

START_TEST(rejects)
{
    static const char *const bad[] = {
        "",        " ",      "1 ",    " 1",       "+",   "-",   ".",    "e5",    "1e",   "1e+",
        "0x10",    "0x1p3",  "1,5",   "1.2.3",    "--1", "+-1", "1f",   "1e5.0", "nano", "in",
        "infinit", "nan(1)", "1_000", "\xd9\xa1", "1\n", "one", "-.e1", "1d5",   "++1",  "\t1"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        double value;
        ck_assert_msg(!tamis__parse_double(bad[k], strlen(bad[k]), &value), "'%s'", bad[k]);
    }
    double value;
    ck_assert(!tamis__parse_double("1\0002", 3, &value));
    ck_assert(!tamis__parse_double("1234567890123456789\0", 20, &value));
}
END_TEST

START_TEST(integers)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"00012", 12},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1.0",
                                      "1e3",
                                      " 1",
                                      "1 ",
                                      "-+1",
                                      "+-1",
                                      "--1",
                                      "0x1",
                                      "18446744073709551616",
                                      "a"};
    int64_t i;
    uint64_t u;
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        ck_assert_msg(tamis__parse_int64(good[k].text, strlen(good[k].text), &i), "'%s'",
                      good[k].text);
        ck_assert_int_eq(i, good[k].value);
    }
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        ck_assert_msg(!tamis__parse_int64(bad[k], strlen(bad[k]), &i), "'%s'", bad[k]);
    ck_assert(tamis__parse_uint64("18446744073709551615", 20, &u) && u == UINT64_MAX);
    ck_assert(!tamis__parse_uint64("18446744073709551616", 20, &u));
    ck_assert(!tamis__parse_uint64("99999999999999999999", 20, &u));
    ck_assert(!tamis__parse_uint64("-1", 2, &u));
}
END_TEST

/* A locale whose decimal point is none, made here when the system has none. */
static const char *comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8", "de_DE",
                                        "fr_FR"};
    if (system("localedef -i de_DE -f UTF-8 ./de_DE.UTF-8 >/dev/null 2>&1") == 0)
        setenv("LOCPATH", ".", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_ALL, names[i]) && *localeconv()->decimal_point == ',') return names[i];
    return NULL;
}

START_TEST(any_locale)
{
    enter_scratch();
    if (comma_locale()) {
        char text[TAMIS__NUMBER_SIZE], here[TAMIS__NUMBER_SIZE];
        double value;
        check_random(2000);
        tamis__format_double(text, 1.5);
        ck_assert_str_eq(text, "1.5");
        ck_assert(tamis__parse_double("1.23456789012345678", 19, &value) && value > 1.2 &&
                  value < 1.3);
        ck_assert(!tamis__parse_double("1,5", 3, &value));
        /* The caller's locale is as it was. */
        snprintf(here, sizeof here, "%.1f", 1.5);
        ck_assert_str_eq(here, "1,5");
        setlocale(LC_ALL, "C");
    }
    unsetenv("LOCPATH");
    leave_scratch();
}
END_TEST

START_TEST(shows_any_bytes)
{
    char small[8], room[TAMIS__SHOWN_SIZE(6)];
    ck_assert_str_eq(tamis__show(room, sizeof room, "a ~\n\0\xff", 6), "a ~\\x0A\\x00\\xFF");
    ck_assert_str_eq(tamis__show(room, sizeof room, "", 0), "");
    /* Nothing is cut in two. */
    ck_assert_str_eq(tamis__show(small, sizeof small, "abc\x01z", 5), "abc\\x01");
    ck_assert_str_eq(tamis__show(small, sizeof small, "abcd\x01z", 6), "abcd");
    ck_assert_str_eq(tamis__show(small, sizeof small, "abcdefgh", 8), "abcdefg");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("text");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, random_numbers);
    tcase_add_test(tests, edges);
    tcase_add_test(tests, shortest);
    tcase_add_test(tests, reads);
    tcase_add_test(tests, bounded);
    tcase_add_test(tests, rejects);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, any_locale);
    tcase_add_test(tests, shows_any_bytes);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
