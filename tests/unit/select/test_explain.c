/* Tests of what is told of a row that has copies and companions in its group, and of which groups
 * count.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <math.h>

#include "small_files.h"

static tamis_error err;

/* Rows 0 to 2 are copies, of which the last is kept; rows 4 and 5 have no known digest. */
START_TEST(tells_copies_and_groups)
{
    enum { ROWS = 6 };
    static const struct {
        uint64_t twin, rows, kept;
        bool twin_kept;
        int32_t group;
    } wanted[ROWS] = {
        {2, 3, 1, true, 0},
        {2, 2, 1, true, 1},
        {0, 3, 1, false, 0},
        {TAMIS_NO_ROW, 2, 1, false, 1},
        {TAMIS_NO_ROW, 0, 0, false, -1},
        {TAMIS_NO_ROW, 3, 1, false, 0},
    };
    const tamis_examples examples = {.digest = (const uint64_t[]){1, 1, 1, 2, 0, 0},
                                     .group = (const int32_t[]){0, 1, 0, 1, -1, 0},
                                     .groups = 2,
                                     .group_name = (const char *const[]){"a", "b"},
                                     .label = (const int32_t[]){7, 7, 7, 7, 7, 7}};
    const uint64_t rank[ROWS] = {2, 3, 1, 0, 4, 5};
    tamis_selection *s = NULL;
    ck_ok(tamis_selection_create(&s, ROWS, &examples, &err));
    for (uint64_t i = 0; i < ROWS; i++) {
        s->rank[i] = rank[i];
        s->keep[i] = rank[i] < 2;
        s->score[i] = (float)(10 - rank[i]);
    }
    for (uint64_t i = 0; i < ROWS; i++) {
        tamis_explanation e;
        ck_ok(tamis_selection_explain(s, i, &e, &err));
        ck_assert_uint_eq(e.twin, wanted[i].twin);
        ck_assert_int_eq(e.twin_kept, wanted[i].twin_kept);
        ck_assert_int_eq(e.group, wanted[i].group);
        ck_assert_uint_eq(e.group_rows, wanted[i].rows);
        ck_assert_uint_eq(e.group_kept, wanted[i].kept);
        ck_float(e.border, 9);
    }
    /* Nothing is kept: there is no border. */
    s->keep[2] = s->keep[3] = 0;
    tamis_explanation e;
    ck_ok(tamis_selection_explain(s, 1, &e, &err));
    ck_assert(isnan(e.border) && e.twin == 0 && !e.twin_kept && e.group_kept == 0);
    tamis_selection_free(&s);
}
END_TEST

/* A file's groups come before its labels, unless labels are asked for; given ones before both. */
START_TEST(groups_come_before_labels)
{
    static const char *const by[] = {NULL, "group", "label"};
    const float value[] = {4, 3, 2, 1};
    const tamis_examples examples = {.group = (const int32_t[]){0, 1, 1, 1},
                                     .groups = 2,
                                     .group_name = (const char *const[]){"a", "b"},
                                     .label = (const int32_t[]){0, 0, 0, 1}};
    const int32_t given[] = {0, 0, 1, 0};
    const uint64_t second[] = {1, 1, 3, 2};
    tamis_context *context = small_context(1);
    tamis_scores *scores = NULL;
    small_scores(context, "s.h5", 4, 1, value, &examples, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    for (int i = 0; i < 4; i++) {
        tamis_selection *s = NULL;
        tamis_select_params params = {.selector = "stratified:by=group,quota=equal,within=top",
                                      .scores = scores,
                                      .budget = "2",
                                      .group_by = i < 3 ? by[i] : NULL};
        if (i == 3) {
            params.group = given;
            params.groups = 2;
        }
        ck_ok(tamis_select(&s, context, &params, &err));
        ck_assert_msg(s->kept == 2 && s->keep[0] && s->keep[second[i]], "case %d", i);
        tamis_selection_free(&s);
    }
    tamis_scores_close(&scores);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_add_test(all, tells_copies_and_groups);
    tcase_add_test(all, groups_come_before_labels);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
