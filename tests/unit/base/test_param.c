/* Parameter tables and suggestions.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <tamis/param.h>

static const char *const kinds[] = {"full", "diagonal", "none", NULL};

enum { DAMPING, STEPS, CENTRE, KIND, NAME, COUNT };

static const tamis_param_desc table[COUNT] = {
    [DAMPING] = {.name = "damping", .type = TAMIS_PARAM_REAL, .min = 0, .max = 10, .fallback = 0.5},
    [STEPS] = {.name = "steps", .type = TAMIS_PARAM_INTEGER, .min = -3, .max = 100, .fallback = 7},
    [CENTRE] = {.name = "centre", .type = TAMIS_PARAM_BOOLEAN, .fallback = 1},
    [KIND] = {.name = "kind", .type = TAMIS_PARAM_CHOICE, .fallback = 1, .choices = kinds},
    [NAME] = {.name = "name", .type = TAMIS_PARAM_STRING, .fallback_text = "plain"},
};

static tamis_error err;
static tamis_param_value value[COUNT];

static tamis_status parse(const char *text)
{
    err = (tamis_error){0};
    return tamis_params_parse(table, COUNT, "sieve", text, value, &err);
}

START_TEST(defaults)
{
    static const char *const empty[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        memset(value, 0xff, sizeof value);
        ck_ok(parse(empty[i]));
        ck_assert_double_eq(value[DAMPING].number, 0.5);
        ck_assert_double_eq(value[STEPS].number, 7);
        ck_assert_double_eq(value[CENTRE].number, 1);
        ck_assert_double_eq(value[KIND].number, 1);
        ck_assert_str_eq(value[KIND].text, "diagonal");
        ck_assert_str_eq(value[NAME].text, "plain");
        for (int k = 0; k < COUNT; k++) ck_assert_int_eq(value[k].given, 0);
    }
}
END_TEST

START_TEST(all_given)
{
    ck_ok(parse("kind=none,damping=1e-3,name=a=b c,steps=-3,centre=no"));
    ck_assert_double_eq(value[DAMPING].number, 1e-3);
    ck_assert_double_eq(value[STEPS].number, -3);
    ck_assert_double_eq(value[CENTRE].number, 0);
    ck_assert_double_eq(value[KIND].number, 2);
    ck_assert_str_eq(value[KIND].text, "none");
    ck_assert_str_eq(value[NAME].text, "a=b c");
    for (int k = 0; k < COUNT; k++) ck_assert_int_eq(value[k].given, 1);
    ck_ok(parse("steps=100"));
    ck_assert_int_eq(value[STEPS].given, 1);
    ck_assert_int_eq(value[DAMPING].given, 0);
}
END_TEST

START_TEST(booleans)
{
    static const char *const yes[] = {"centre", "centre=true", "centre=yes", "centre=on",
                                      "centre=1"};
    static const char *const no[] = {"centre=false", "centre=no", "centre=off", "centre=0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        ck_ok(parse(yes[i]));
        ck_assert_double_eq(value[CENTRE].number, 1);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        ck_ok(parse(no[i]));
        ck_assert_double_eq(value[CENTRE].number, 0);
    }
    ck_fails(parse("centre=maybe"), TAMIS_ERR_ARG, "true or false");
    ck_fails(parse("centre="), TAMIS_ERR_ARG, "true or false");
}
END_TEST

/* Both bounds belong to the range, and nothing beyond them. */
START_TEST(bounds)
{
    ck_ok(parse("damping=0"));
    ck_ok(parse("damping=10"));
    ck_ok(parse("steps=100"));
    ck_fails(parse("damping=-1e-300"), TAMIS_ERR_ARG, "from 0 to 10");
    ck_fails(parse("damping=10.000000000000002"), TAMIS_ERR_ARG, "from 0 to 10");
    ck_fails(parse("steps=101"), TAMIS_ERR_ARG, "from -3 to 100");
    ck_fails(parse("steps=-4"), TAMIS_ERR_ARG, "a whole number");
    ck_fails(parse("steps=2.5"), TAMIS_ERR_ARG, "a whole number");
}
END_TEST

START_TEST(no_numbers)
{
    static const char *const bad[] = {
        "damping=nan", "damping=inf", "damping=-inf", "damping=1e999", "damping=0x1", "damping=",
        "damping= 1",  "damping=1 ",  "damping=1..2", "damping=one",   "damping=1e"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(parse(bad[i]), TAMIS_ERR_ARG, "damping");
    ck_fails(parse("damping"), TAMIS_ERR_ARG, "needs a value");
    ck_fails(parse("kind=half"), TAMIS_ERR_ARG, "one of full, diagonal, none");
    ck_fails(parse("kind=Full"), TAMIS_ERR_ARG, "one of");
}
END_TEST

START_TEST(names_wrong)
{
    ck_fails(parse("dampnig=1"), TAMIS_ERR_ARG, "did you mean 'damping'");
    ck_fails(parse("damp=1"), TAMIS_ERR_ARG, "did you mean 'damping'");
    ck_fails(parse("wildly-different=1"), TAMIS_ERR_ARG,
             "it has damping, steps, centre, kind, name");
    ck_fails(parse("steps=1,damping=2,steps=1"), TAMIS_ERR_ARG, "given twice");
    ck_fails(parse("=1"), TAMIS_ERR_ARG, "sieve");
    ck_fails(parse("steps=1,,damping=1"), TAMIS_ERR_ARG, "sieve");
    ck_fails(tamis_params_parse(NULL, 0, "sieve", "a=1", NULL, &err), TAMIS_ERR_ARG,
             "takes no parameters");
    ck_ok(tamis_params_parse(NULL, 0, "sieve", NULL, NULL, &err));
}
END_TEST

START_TEST(too_long)
{
    char text[600] = "name=";
    size_t head = strlen(text);
    memset(text + head, 'n', TAMIS_PARAM_TEXT_SIZE - 1);
    ck_ok(parse(text));
    ck_assert_uint_eq(strlen(value[NAME].text), TAMIS_PARAM_TEXT_SIZE - 1);
    text[head + TAMIS_PARAM_TEXT_SIZE - 1] = 'n';
    ck_fails(parse(text), TAMIS_ERR_ARG, "too long");
    memset(text + head, 'n', sizeof text - head - 1);
    ck_fails(parse(text), TAMIS_ERR_ARG, "longer than");
}
END_TEST

START_TEST(suggestions)
{
    static const char *const words[] = {"tracin", "cosine", NULL, "self", "ekfac"};
    static const struct {
        const char *word, *wanted;
    } cases[] = {{"tracin", "tracin"}, {"tracn", "tracin"}, {"tarcin", "tracin"},
                 {"COSINE", "cosine"}, {"cosin", "cosine"}, {"cos", "cosine"},
                 {"slef", "self"},     {"ekfca", "ekfac"},  {"ek-fac", "ekfac"},
                 {"gradient", NULL},   {"xyz", NULL},       {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = tamis_suggest(cases[i].word, words, 5);
        if (cases[i].wanted) {
            ck_assert_msg(near != NULL, "nothing for '%s'", cases[i].word);
            ck_assert_str_eq(near, cases[i].wanted);
        } else {
            ck_assert_msg(near == NULL, "'%s' for '%s'", near, cases[i].word);
        }
    }
    ck_assert_ptr_null(tamis_suggest("tracin", NULL, 0));
    char monster[300];
    memset(monster, 'm', sizeof monster - 1);
    monster[sizeof monster - 1] = '\0';
    ck_assert_ptr_null(tamis_suggest(monster, words, 5));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("param");
    TCase *tests = tcase_create("param");
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, all_given);
    tcase_add_test(tests, booleans);
    tcase_add_test(tests, bounds);
    tcase_add_test(tests, no_numbers);
    tcase_add_test(tests, names_wrong);
    tcase_add_test(tests, too_long);
    tcase_add_test(tests, suggestions);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
