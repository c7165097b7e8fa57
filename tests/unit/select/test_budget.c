/* Tests of budgets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include "harness.h"

typedef struct good_case {
    const char *text;
    uint64_t rows, wanted;
} good_case;

static const good_case good[] = {
    {"1", 1, 1},          {"1", 10, 1},     {"10", 10, 10},         {"100%", 10, 10},
    {"100%", 3, 3},       {"5%", 100, 5},   {"5%", 1000000, 50000}, {"50%", 3, 2},
    {"50%", 1, 1},        {"2.5%", 100, 3}, {"2.4%", 100, 2},       {"0.5%", 100, 1},
    {"33.3%", 10, 3},     {"1e1%", 50, 5},  {"99.99%", 10, 10},     {"0.7%", 500, 4},
    {"7", UINT64_MAX, 7}, {"100%", 7, 7},
};

typedef struct bad_case {
    const char *text, *says;
} bad_case;

static const bad_case bad[] = {
    {"", "empty"},
    {"0", "nothing"},
    {"0%", "out of range"},
    {"101%", "out of range"},
    {"100.1%", "out of range"},
    {"11", "more than"},
    {"-3", "negative"},
    {"-3%", "out of range"},
    {"5%%", "not a percentage"},
    {"%", "not a percentage"},
    {"1e3", "neither"},
    {"five", "neither"},
    {"5.0", "neither"},
    {"nan%", "not a percentage"},
    {"inf%", "not a percentage"},
    {" 5", "neither"},
    {"5 %", "not a percentage"},
    {"1%", "not one row"},
    {"0x5", "neither"},
    {"99999999999999999999", "neither"},
};

START_TEST(accepts)
{
    tamis_error err = {0};
    uint64_t count = 0;
    const good_case *c = &good[_i];
    ck_ok(tamis_budget_parse(c->text, c->rows, &count, &err));
    ck_assert_msg(count == c->wanted, "%s of %llu: %llu", c->text, (unsigned long long)c->rows,
                  (unsigned long long)count);
}
END_TEST

START_TEST(refuses)
{
    tamis_error err = {0};
    uint64_t count = 77;
    ck_fails(tamis_budget_parse(bad[_i].text, 10, &count, &err), TAMIS_ERR_ARG, bad[_i].says);
    ck_assert_uint_eq(count, 77);
}
END_TEST

START_TEST(refuses_nothing_at_all)
{
    tamis_error err = {0};
    uint64_t count;
    ck_fails(tamis_budget_parse(NULL, 10, &count, &err), TAMIS_ERR_ARG, "empty");
    ck_fails(tamis_budget_parse("1", 0, &count, &err), TAMIS_ERR_ARG, "no rows");
    ck_assert_int_eq(tamis_budget_parse("0", 10, &count, NULL), TAMIS_ERR_ARG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *tcase = tcase_create("budget");
    tcase_add_loop_test(tcase, accepts, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tcase, refuses, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tcase, refuses_nothing_at_all);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
