/* The TAROT selectors on what is hard to whiten or to share out: few targets, rows that are the
 * same, columns that say nothing, more columns than rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "tarot_scene.h"

static tamis_error err;

static const char *const selectors[][2] = {{"tarot-fixed", "9"},
                                           {"tarot-fixed:last=potential-desc", "10"},
                                           {"tarot-otm", NULL},
                                           {"tarot-otm:solver=sinkhorn", NULL},
                                           {"tarot-otm:solver=exact", NULL}};
enum { SELECTORS = sizeof selectors / sizeof *selectors };

static tamis_selection *choose_of(const char *train, const char *query, int which)
{
    tamis_selection *s = NULL;
    inputs in;
    open_inputs(&in, context, train, query, NULL);
    ck_ok(choose(context, &in, selectors[which][0], selectors[which][1], 0, &s, &err));
    close_inputs(&in);
    for (uint64_t i = 0; i < s->rows; i++) ck_assert(isfinite(s->score[i]));
    if (selectors[which][1])
        ck_assert_uint_eq(s->kept, strtoul(selectors[which][1], NULL, 10));
    else
        ck_assert_uint_ge(s->kept, 1);
    return s;
}

/* Fewer targets than the ten folds, down to one. */
START_TEST(few_targets)
{
    float train[N * COLUMNS], query[M * COLUMNS];
    small_pair(train, query);
    for (uint64_t m = 1; m <= 3; m++) {
        small_store(context, "few.h5", TAMIS_F32, m, COLUMNS, 2, query, NULL, 0);
        tamis_selection *s = choose_of("c.h5", "few.h5", _i);
        /* The nearest of a target is kept whatever else is. */
        bool best = false;
        for (int i = 0; i < N; i++) best = best || (s->keep[i] && s->rank[i] == 0);
        ck_assert(best);
        tamis_selection_free(&s);
    }
}
END_TEST

/* Every candidate twice: both copies have the same score, and the lower row goes first. */
START_TEST(duplicate_rows)
{
    float train[2 * N * COLUMNS], query[M * COLUMNS];
    small_pair(train, query);
    memcpy(train + N * COLUMNS, train, N * COLUMNS * sizeof *train);
    small_store(context, "twice.h5", TAMIS_F32, (uint64_t)2 * N, COLUMNS, 2, train, NULL, 0);
    tamis_selection *s = choose_of("twice.h5", "t.h5", _i);
    for (int i = 0; i < N; i++) {
        ck_float(s->score[i], s->score[N + i]);
        ck_assert(s->keep[i] != s->keep[N + i] || s->rank[i] < s->rank[N + i]);
        if (!strncmp(selectors[_i][0], "tarot-otm", 9)) continue;
        ck_assert(s->keep[i] || !s->keep[N + i]);
    }
    tamis_selection_free(&s);
}
END_TEST

/* Columns that are the same for all rows change nothing. */
START_TEST(constant_columns)
{
    enum { WIDE = COLUMNS + 2 };
    float train[N * COLUMNS], query[M * COLUMNS], wide[N * WIDE];
    small_pair(train, query);
    tamis_selection *s = choose_of("c.h5", "t.h5", _i);
    for (int side = 0; side < 2; side++) {
        int rows = side ? M : N;
        for (int i = 0; i < rows; i++) {
            memcpy(wide + i * WIDE + 1, (side ? query : train) + i * COLUMNS,
                   COLUMNS * sizeof *wide);
            wide[i * WIDE] = 7.3f;
            wide[i * WIDE + WIDE - 1] = 0;
        }
        small_store(context, side ? "wt.h5" : "wc.h5", TAMIS_F32, (uint64_t)rows, WIDE, 2, wide,
                    NULL, 0);
    }
    tamis_selection *t = choose_of("wc.h5", "wt.h5", _i);
    ck_assert_uint_eq(s->kept, t->kept);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(s->keep[i] == t->keep[i], "row %d", i);
        ck_assert_double_eq_tol((double)s->score[i], (double)t->score[i], 1e-4);
    }
    tamis_selection_free(&s);
    tamis_selection_free(&t);
}
END_TEST

static unsigned warnings;

static void count_warning(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    if (level == TAMIS_LOG_WARNING && strstr(line, "fewer than 5 for each")) warnings++;
}

/* A singular covariance is whitened by its damping, with a warning. All rows are then equally far
 * apart, which leaves no score above 0 for tarot-otm. */
START_TEST(more_columns_than_rows)
{
    enum { FEW = 15, WIDE = 60 };
    float rows[FEW * WIDE];
    tamis_context_params params = {.threads = 2, .log = count_warning};
    tamis_context_destroy(&context);
    ck_ok(tamis_context_create(&context, &params, &err));
    draws = 3;
    for (int i = 0; i < FEW * WIDE; i++) rows[i] = draw();
    small_store(context, "c.h5", TAMIS_F32, FEW, WIDE, 1, rows, NULL, 0);
    for (int i = 0; i < 4 * WIDE; i++) rows[i] += draw();
    small_store(context, "t.h5", TAMIS_F32, 4, WIDE, 1, rows, NULL, 0);
    warnings = 0;
    tamis_selection *s = NULL;
    if (selectors[_i][1]) {
        s = choose_of("c.h5", "t.h5", _i);
    } else {
        inputs in;
        open_inputs(&in, context, "c.h5", "t.h5", NULL);
        ck_fails(choose(context, &in, selectors[_i][0], NULL, 0, &s, &err), TAMIS_ERR_NUMERIC,
                 "nothing in common");
        close_inputs(&in);
    }
    ck_assert_uint_eq(warnings, 1);
    tamis_selection_free(&s);
}
END_TEST

/* As released the damping is absolute: next to large rows it is nothing. */
START_TEST(singular_with_absolute_damping)
{
    enum { FEW = 15, WIDE = 60 };
    float rows[FEW * WIDE];
    tamis_selection *s = NULL;
    inputs in;
    draws = 3;
    for (int i = 0; i < FEW * WIDE; i++) rows[i] = 1e9f * draw();
    small_store(context, "c.h5", TAMIS_F32, FEW, WIDE, 1, rows, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, 4, WIDE, 1, rows + 7, NULL, 0);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    ck_fails(choose(context, &in, "tarot-fixed:whiten=released", "5", 0, &s, &err),
             TAMIS_ERR_NUMERIC, "the covariance of 19 rows is singular");
    ck_assert_ptr_null(s);
    close_inputs(&in);
}
END_TEST

/* Costs of picked candidates are held while a quarter of the limit has room: for all of them, or
 * for five or two pages of 256. */
START_TEST(same_bits_whatever_costs_are_held)
{
    enum { ROWS = 3000, TARGETS = 400, WIDTH = 8 };
    static const char *const selector[] = {"tarot-otm:folds=2,neighbours=3,weights=marginal",
                                           "tarot-otm:folds=2,neighbours=2,solver=sinkhorn"};
    static const uint64_t memory[] = {8 << 20, 4 << 20};
    float *values = malloc((ROWS + TARGETS) * WIDTH * sizeof *values);
    tamis_selection *s = NULL, *t = NULL;
    inputs in;
    draws = 29;
    for (int i = 0; i < (ROWS + TARGETS) * WIDTH; i++) values[i] = draw();
    small_store(context, "c.h5", TAMIS_F32, ROWS, WIDTH, 1, values, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, TARGETS, WIDTH, 1, values + ROWS * WIDTH, NULL, 0);
    free(values);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    ck_ok(choose(context, &in, selector[_i], NULL, 0, &s, &err));
    close_inputs(&in);
    ck_assert_uint_gt(s->kept, 600);
    for (int k = 0; k < 2; k++) {
        tamis_context *small = NULL;
        tamis_context_params params = {.threads = 3, .memory = memory[k]};
        ck_ok(tamis_context_create(&small, &params, &err));
        open_inputs(&in, small, "c.h5", "t.h5", NULL);
        ck_ok(choose(small, &in, selector[_i], NULL, 0, &t, &err));
        ck_assert_mem_eq(s->keep, t->keep, ROWS);
        ck_assert_mem_eq(s->weight, t->weight, ROWS * sizeof *s->weight);
        ck_assert_str_eq(s->provenance, t->provenance);
        tamis_selection_free(&t);
        close_inputs(&in);
        tamis_context_destroy(&small);
    }
    tamis_selection_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tarot input");
    TCase *tcase = tcase_create("input");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, few_targets, 0, SELECTORS);
    tcase_add_loop_test(tcase, duplicate_rows, 0, SELECTORS);
    tcase_add_loop_test(tcase, constant_columns, 0, SELECTORS);
    tcase_add_loop_test(tcase, more_columns_than_rows, 0, SELECTORS);
    tcase_add_loop_test(tcase, same_bits_whatever_costs_are_held, 0, 2);
    tcase_add_test(tcase, singular_with_absolute_damping);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
