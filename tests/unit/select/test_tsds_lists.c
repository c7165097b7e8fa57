/* The TSDS selectors with rows that must be kept or dropped, filters and costs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/select.h>

#include "small_files.h"

enum { N = 70, M = 6, COLUMNS = 5, DROPS = 9, KEEPS = 3 };

static tamis_context *context;
static tamis_error err;
static tamis_store *train, *query, *fewer;
static double cost[N], length[N];
static const uint64_t drop[DROPS] = {0, 7, 8, 20, 33, 34, 35, 50, 69}, keep[KEEPS] = {2, 40, 68};
static const tamis_select_filter filter = {.value = length, .name = "length", .low = 1, .high = 9};

static const char *const selectors[] = {
    "knn-uniform:alpha=0.4,c=0.5,neighbours=30", "knn-uniform:alpha=0.4,c=0.5,draw=largest",
    "knn-kde:alpha=0.4,c=0.5,neighbours=30,sigma=1.3",
    "knn-kde:alpha=0.4,c=0.2,neighbours=61,sigma=1.3,kde=5,draw=largest,weights=mass"};
enum { SELECTORS = sizeof selectors / sizeof *selectors };

static bool in(const uint64_t *list, uint64_t n, uint64_t row)
{
    for (uint64_t i = 0; i < n; i++)
        if (list[i] == row) return true;
    return false;
}

/* Rows 0, 7 and so on are near to all targets; every fifth fails the filter, among them one that
 * must be kept. Those that are left stand in a store of their own, too. */
static void setup(void)
{
    float rows[N * COLUMNS], left[N * COLUMNS], targets[M * COLUMNS];
    uint64_t n = 0, draws = 99;
    enter_scratch();
    context = small_context(2);
    for (int i = 0; i < M * COLUMNS; i++) {
        draws = draws * 6364136223846793005u + 1442695040888963407u;
        targets[i] = (float)(draws >> 40) * 0x1p-24f - 0.3f;
    }
    for (uint64_t i = 0; i < N; i++) {
        for (uint64_t c = 0; c < COLUMNS; c++) {
            draws = draws * 6364136223846793005u + 1442695040888963407u;
            float other = (float)(draws >> 40) * 0x1p-24f - 0.5f;
            rows[i * COLUMNS + c] = in(drop, DROPS, i) ? targets[(i % M) * COLUMNS + c] : other;
        }
        length[i] = i % 5 == 3 ? 0 : 5;
        cost[i] = (double)(i * 7 % 6);
    }
    length[keep[0]] = 99;
    for (uint64_t i = 0; i < N; i++)
        if (!in(drop, DROPS, i) && (length[i] == 5 || in(keep, KEEPS, i)))
            memcpy(left + n++ * COLUMNS, rows + i * COLUMNS, COLUMNS * sizeof *left);
    small_store(context, "c.h5", TAMIS_F32, N, COLUMNS, 1, rows, NULL, 0);
    small_store(context, "f.h5", TAMIS_F32, n, COLUMNS, 1, left, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, M, COLUMNS, 1, targets, NULL, 0);
    ck_ok(tamis_store_open(&train, context, "c.h5", &err));
    ck_ok(tamis_store_open(&fewer, context, "f.h5", &err));
    ck_ok(tamis_store_open(&query, context, "t.h5", &err));
}

static void teardown(void)
{
    tamis_store_close(&train);
    tamis_store_close(&fewer);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_select_params with(const char *selector, const char *budget, bool keeps, bool bars)
{
    tamis_select_params p = {
        .selector = selector, .train = train, .query = query, .budget = budget, .seed = 3};
    if (keeps) {
        p.must_keep = keep;
        p.n_must_keep = KEEPS;
    }
    if (bars) {
        p.must_drop = drop;
        p.n_must_drop = DROPS;
        p.filter = &filter;
        p.filters = 1;
    }
    return p;
}

static tamis_selection *choose(const tamis_select_params *p)
{
    tamis_selection *s = NULL;
    ck_ok(tamis_select(&s, context, p, &err));
    return s;
}

static const char *reason(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

/* What is barred might as well not be there: it takes no mass, makes nobody a duplicate, and lists
 * reach to the next row. */
START_TEST(barred_rows_are_not_there)
{
    uint64_t at = 0;
    tamis_select_params p = with(selectors[_i], "20", true, true), q = p;
    tamis_selection *s = choose(&p);
    q.train = fewer;
    q.must_keep = q.must_drop = NULL;
    q.n_must_keep = q.n_must_drop = q.filters = 0;
    tamis_selection *plain = choose(&q);
    ck_assert_uint_eq(s->kept, 20);
    for (uint64_t row = 0; row < N; row++) {
        bool out = in(drop, DROPS, row), must = in(keep, KEEPS, row);
        bool filtered = !out && !must && length[row] != 5;
        if (out) ck_assert_str_eq(reason(s, row), "must be dropped");
        if (filtered) ck_assert_str_eq(reason(s, row), "fails the filter length: not from 1 to 9");
        if (must) ck_assert_str_eq(reason(s, row), "must be kept");
        if (out || filtered) {
            ck_assert(!s->keep[row] && isnan(s->score[row]) && s->rank[row] >= plain->rows);
            continue;
        }
        ck_float(s->score[row], plain->score[at++]);
    }
    ck_assert_uint_eq(at, plain->rows);
    tamis_selection_free(&s);
    tamis_selection_free(&plain);
}
END_TEST

/* Rows that must be kept are the first, and the others come as they would anyway. */
START_TEST(required_rows_come_first)
{
    for (int budget = KEEPS; budget <= N - DROPS; budget += 7) {
        char text[16];
        double sum = 0, weights = 0;
        snprintf(text, sizeof text, "%d", budget);
        tamis_select_params p = with(selectors[_i], text, true, false);
        tamis_select_params q = with(selectors[_i], "70", false, false);
        tamis_selection *s = choose(&p), *order = choose(&q);
        uint64_t wanted[N], n = 0;
        for (uint64_t k = 0; k < KEEPS; k++) wanted[n++] = keep[k];
        for (uint64_t rank = 0; rank < N; rank++)
            for (uint64_t row = 0; row < N; row++)
                if (order->rank[row] == rank && !in(keep, KEEPS, row)) wanted[n++] = row;
        for (uint64_t at = 0; at < N; at++) {
            ck_assert_uint_eq(s->rank[wanted[at]], at);
            ck_assert_uint_eq(s->keep[wanted[at]], at < (uint64_t)budget);
            sum += s->keep[wanted[at]] ? (double)s->score[wanted[at]] : 0;
            weights += (double)s->weight[wanted[at]];
        }
        ck_assert_double_eq_tol(weights, budget, 1e-4);
        for (uint64_t row = 0; row < N && sum > 0 && strstr(selectors[_i], "weights=mass"); row++)
            if (s->keep[row])
                ck_assert_double_eq_tol((double)s->weight[row],
                                        (double)s->score[row] * budget / sum, 1e-5);
        tamis_selection_free(&s);
        tamis_selection_free(&order);
    }
}
END_TEST

/* By plain loops: draws in their order, or the largest mass for its cost, and what does not fit any
 * more passed over. */
START_TEST(costs_are_heeded)
{
    bool largest = strstr(selectors[_i], "largest") != NULL;
    for (int budget = 12; budget < 130; budget += 9) {
        char text[16];
        snprintf(text, sizeof text, "%d", budget);
        tamis_select_params p = with(selectors[_i], text, true, true);
        tamis_select_params q = with(selectors[_i], "40", true, true);
        p.cost = cost;
        p.cost_name = "tokens";
        tamis_selection *s = choose(&p), *order = choose(&q);
        double left = budget, key[N];
        bool tried[N] = {false};
        for (uint64_t k = 0; k < KEEPS; k++) left -= cost[keep[k]];
        for (uint64_t row = 0; row < N; row++) {
            tried[row] = isnan(s->score[row]) || in(keep, KEEPS, row);
            ck_assert_int_eq(s->keep[row] && tried[row], in(keep, KEEPS, row));
            key[row] = -(double)order->rank[row];
            if (largest && s->score[row] > 0)
                key[row] = cost[row] > 0 ? (double)s->score[row] / cost[row] : HUGE_VAL;
        }
        for (;;) {
            uint64_t best = N;
            for (uint64_t row = 0; row < N; row++) {
                if (tried[row]) continue;
                bool nearer = best < N && key[row] == key[best] &&
                              order->rank[row] < order->rank[best];
                if (best == N || key[row] > key[best] || nearer) best = row;
            }
            if (best == N) break;
            tried[best] = true;
            bool fits = cost[best] <= left;
            ck_assert_msg(s->keep[best] == fits, "%s, %d: row %d", selectors[_i], budget,
                          (int)best);
            if (fits) left -= cost[best];
        }
        tamis_selection_free(&s);
        tamis_selection_free(&order);
    }
}
END_TEST

START_TEST(refuses_what_cannot_be)
{
    tamis_selection *s = NULL;
    uint64_t all[N];
    double over[N];
    tamis_select_params p = with(selectors[_i], "60", false, true);
    ck_fails(tamis_select(&s, context, &p, &err), TAMIS_ERR_ARG, "only 48 may be kept: 22");
    p = with(selectors[_i], "2", true, false);
    ck_fails(tamis_select(&s, context, &p, &err), TAMIS_ERR_ARG,
             "3 rows must be kept, and the budget");
    for (uint64_t i = 0; i < N; i++) all[i] = i;
    p = with(selectors[_i], "1", false, false);
    p.must_drop = all;
    p.n_must_drop = N;
    ck_fails(tamis_select(&s, context, &p, &err), TAMIS_ERR_ARG, "all 70 rows are barred");
    p.cost = cost;
    p.cost_name = "tokens";
    ck_fails(tamis_select(&s, context, &p, &err), TAMIS_ERR_ARG, "all 70 rows are barred");
    /* Nothing that fits: nothing is kept. */
    p = with(selectors[_i], "1", false, false);
    for (uint64_t i = 0; i < N; i++) over[i] = 2;
    p.cost = over;
    p.cost_name = "tokens";
    s = choose(&p);
    ck_assert_uint_eq(s->kept, 0);
    tamis_selection_free(&s);
}
END_TEST

/* All that is left is what must be kept, and no target sends it mass. */
START_TEST(weights_of_rows_without_mass_are_1)
{
    static const char *const how[] = {"knn-uniform:alpha=1,weights=mass",
                                      "knn-kde:alpha=1,weights=mass,repeats=6"};
    for (int k = 0; k < 2; k++) {
        tamis_select_params p = with(how[k], "3", true, false);
        tamis_selection *s = choose(&p);
        for (uint64_t i = 0; i < KEEPS; i++) {
            ck_float(s->score[keep[i]], 0);
            ck_float(s->weight[keep[i]], k ? 2 : 1);
        }
        tamis_selection_free(&s);
    }
}
END_TEST

START_TEST(survives_failing_memory)
{
    tamis_select_params p = with(selectors[_i], "40", true, true);
    tamis_selection *s = NULL;
    p.cost = cost;
    p.cost_name = "tokens";
    ck_survives(tamis__fault_memory_after, tamis_select(&s, context, &p, &err), "sel.h5");
    tamis_selection_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tsds lists");
    TCase *tcase = tcase_create("tsds lists");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, barred_rows_are_not_there, 0, SELECTORS);
    tcase_add_loop_test(tcase, required_rows_come_first, 0, SELECTORS);
    tcase_add_loop_test(tcase, costs_are_heeded, 0, SELECTORS);
    tcase_add_loop_test(tcase, refuses_what_cannot_be, 0, SELECTORS);
    tcase_add_test(tcase, weights_of_rows_without_mass_are_1);
    tcase_add_loop_test(tcase, survives_failing_memory, 0, SELECTORS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
