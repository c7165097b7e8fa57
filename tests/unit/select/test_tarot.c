/* The TAROT selectors against the released library's picks and against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "tarot_scene.h"
#include "select/folds.h"
#include "select/quotas.h"
#include "select/tarot.h"

/* --- reference -------------------------------------------------------------------------------- */

/* The data of a .npy file, whatever its type. */
static void *read_npy(const char *name, size_t *ret_bytes)
{
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "reference/tarot/%s.npy", name);
    char *bytes = slurp(test_data(path), &size);
    size_t header = 10 + (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    *ret_bytes = size - header;
    memmove(bytes, bytes + header, size - header);
    return bytes;
}

static void store_of(const char *name, const char *path)
{
    size_t bytes;
    float *values = read_npy(name, &bytes);
    small_store(context, path, TAMIS_F32, bytes / 128, 32, 1, values, NULL, 0);
    free(values);
}

/* The damping of the reference is absolute. */
static void reference_files(void)
{
    tamis_error err = {0};
    inputs in;
    store_of("candidate_grads", "c.h5");
    store_of("target_grads", "t.h5");
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_store *const with[] = {in.query};
    const tamis_whiten_params whiten = {.damping = 1e-5, .absolute = true};
    tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_WHITEN,
                                         .train = in.train,
                                         .with = with,
                                         .n_with = 1,
                                         .until = TAMIS_STAGE_FINAL,
                                         .whiten = &whiten,
                                         .path = "w.h5"};
    ck_ok(tamis_fit_curvature(context, &params, &err));
    close_inputs(&in);
}

#define FIXED  "tarot-fixed:"
#define OTM    "tarot-otm:"
#define COMPAT "compat=tarot-2024-12"

static const struct {
    const char *name, *selector, *budget;
    bool curvature;
} references[] = {
    {"code_fixed_size_selected", FIXED COMPAT, "40", false},
    {"code_otm_selected", OTM COMPAT, NULL, false},
    {"code_fixed_size_budget28_correct", FIXED "whiten=released", "28", false},
    {"code_fixed_size_budget47_correct", FIXED "whiten=released", "47", false},
    {"code_otm_best_k_selected", OTM "whiten=released", NULL, false},
    {"code_otm_best_k_exact_emd_selected", OTM "whiten=released,solver=exact", NULL, false},
    {"paper_fixed_size_selected", FIXED "last=potential-desc", "40", true},
    {"paper_fixed_size_selected", FIXED COMPAT ",whiten=cholesky", "40", true},
    {"paper_fixed_size_budget33_correct", FIXED "last=nearest", "33", true},
    {"paper_fixed_size_budget60_correct", FIXED "last=nearest", "60", true},
    {"paper_otm_selected", OTM COMPAT ",whiten=cholesky", NULL, true},
    {"paper_otm_best_k_selected", OTM "folds=10", NULL, true},
    {"paper_otm_best_k_exact_emd_selected", OTM "solver=exact", NULL, true},
};

/* The library's own sets, and those it would give without its defects; seed 42 is its split. */
START_TEST(picks_the_reference_sets)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    inputs in;
    size_t bytes;
    reference_files();
    const char *curvature = references[_i].curvature ? "w.h5" : NULL;
    open_inputs(&in, context, "c.h5", "t.h5", curvature);
    ck_ok(choose(context, &in, references[_i].selector, references[_i].budget, 42, &s, &err));
    int32_t *wanted = read_npy(references[_i].name, &bytes);
    ck_assert_uint_eq(s->kept, bytes / sizeof *wanted);
    for (size_t i = 0; i < s->kept; i++)
        ck_assert_msg(s->keep[wanted[i]] == 1, "%s: row %d is dropped", references[_i].name,
                      (int)wanted[i]);
    free(wanted);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* A budget on a layer's edge: 28 asked, 47 returned; 47 asked, 55 returned. */
START_TEST(compat_overshoots_at_an_edge)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    inputs in;
    reference_files();
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    ck_ok(choose(context, &in, FIXED COMPAT, "28", 0, &s, &err));
    ck_assert_uint_eq(s->kept, 47);
    tamis_selection_free(&s);
    ck_ok(choose(context, &in, FIXED COMPAT, "47", 0, &s, &err));
    ck_assert_uint_eq(s->kept, 55);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* Weights are the library's potentials, those below 0 taken as 0, scaled to a mean of 1. */
START_TEST(weighs_by_the_reference_potentials)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    inputs in;
    size_t bytes;
    reference_files();
    open_inputs(&in, context, "c.h5", "t.h5", "w.h5");
    ck_ok(
        choose(context, &in, FIXED COMPAT ",whiten=cholesky,weights=potential", "40", 0, &s, &err));
    int32_t *row = read_npy("paper_fixed_size_selected", &bytes);
    float *potential = read_npy("paper_fixed_size_weight", &bytes);
    double sum = 0;
    for (size_t i = 0; i < 40; i++) sum += fmax((double)potential[i], 0);
    for (size_t i = 0; i < 40; i++) {
        double wanted = fmax((double)potential[i], 0) * 40 / sum;
        ck_assert_double_eq_tol((double)s->weight[row[i]], wanted, 2e-3);
    }
    free(row);
    free(potential);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* --- plain loops ------------------------------------------------------------------------------ */

/* Whole layers while they fit, then the best scores, the lower row of equals. */
static void fixed_by_loops(const float *train, const float *query, int budget, int *step)
{
    int chosen = 0;
    memset(step, 0, N * sizeof *step);
    for (int layer = 0; chosen < budget; layer++) {
        double best[N];
        int fresh = 0;
        for (int i = 0; i < N; i++) best[i] = -9;
        for (int j = 0; j < M; j++) {
            int i = place(train, query + j * COLUMNS, layer);
            if (step[i]) continue;
            fresh += best[i] < -8;
            best[i] = fmax(best[i], cosine(train + i * COLUMNS, query + j * COLUMNS));
        }
        int take = fresh < budget - chosen ? fresh : budget - chosen;
        for (int n = 0; n < take; n++) {
            int top = 0;
            for (int i = 1; i < N; i++)
                if (best[i] > best[top]) top = i;
            step[top] = take == fresh ? 1 : 2;
            best[top] = -9;
        }
        chosen += take;
    }
}

/* Every budget, so every edge of a layer and all rows too. */
START_TEST(fixed_is_as_plain_loops)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    int step[N];
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    for (int budget = 1; budget <= N; budget++) {
        char text[16];
        uint64_t ranks = 0;
        tamis_selection *s = NULL;
        snprintf(text, sizeof text, "%d", budget);
        ck_ok(choose(context, &in, "tarot-fixed:whiten=none", text, 0, &s, &err));
        fixed_by_loops(train, query, budget, step);
        ck_assert_uint_eq(s->kept, (unsigned)budget);
        for (int i = 0; i < N; i++) {
            double best = -2;
            for (int j = 0; j < M; j++)
                best = fmax(best, cosine(train + i * COLUMNS, query + j * COLUMNS));
            ck_assert_msg(s->keep[i] == (step[i] > 0), "budget %d, row %d", budget, i);
            ck_assert_double_eq_tol((double)s->score[i], best, 1e-6);
            ck_float(s->weight[i], step[i] ? 1.0f : 0.0f);
            ck_assert(step[i] == 0 || s->rank[i] < (unsigned)budget);
            ranks += s->rank[i];
        }
        ck_assert_uint_eq(ranks, N * (N - 1) / 2);
        tamis_selection_free(&s);
    }
    close_inputs(&in);
}
END_TEST

/* Mass of targets goes to the nearest kept row, the lower of equals. */
START_TEST(marginals_are_counts_of_the_nearest)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    double wanted[N] = {0}, sum = 0;
    tamis_selection *s = NULL;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    ck_ok(choose(context, &in, FIXED "whiten=none,weights=marginal,repeats=70", "12", 0, &s, &err));
    for (int j = 0; j < M; j++) {
        int nearest = -1;
        for (int i = 0; i < N; i++)
            if (s->keep[i] &&
                (nearest < 0 || cosine(train + i * COLUMNS, query + j * COLUMNS) >
                                    cosine(train + nearest * COLUMNS, query + j * COLUMNS)))
                nearest = i;
        wanted[nearest] += 10;
    }
    for (int i = 0; i < N; i++) {
        ck_float(s->weight[i], (float)wanted[i]);
        sum += (double)s->weight[i];
    }
    ck_float((float)sum, 70.0f);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

static void ck_same_selection(const tamis_selection *a, const tamis_selection *b)
{
    ck_assert_mem_eq(a->keep, b->keep, a->rows);
    ck_assert_mem_eq(a->rank, b->rank, a->rows * sizeof *a->rank);
    ck_assert_mem_eq(a->score, b->score, a->rows * sizeof *a->score);
    ck_assert_mem_eq(a->weight, b->weight, a->rows * sizeof *a->weight);
    ck_assert_str_eq(a->provenance, b->provenance);
}

/* With a limit at which rows of candidates are not held. */
START_TEST(same_bits_with_any_threads_and_memory)
{
    static const char *const selectors[][2] = {
        {FIXED "last=potential-desc,weights=potential", "300"},
        {OTM "weights=marginal,folds=3", NULL},
        {OTM "compat=tarot-2024-12", NULL}};
    enum { ROWS = 40000, WIDTH = 16, TARGETS = 21 };
    tamis_error err = {0};
    float *values = malloc(ROWS * WIDTH * sizeof *values);
    for (int i = 0; i < ROWS * WIDTH; i++) values[i] = draw();
    small_store(context, "c.h5", TAMIS_F32, ROWS, WIDTH, 1, values, NULL, 7000);
    small_store(context, "t.h5", TAMIS_F32, TARGETS, WIDTH, 1, values, NULL, 0);
    free(values);
    tamis_context *small = NULL;
    tamis_context_params params = {.threads = 3, .memory = 9 << 20};
    ck_ok(tamis_context_create(&small, &params, &err));
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        tamis_selection *a = NULL, *b = NULL;
        inputs in;
        open_inputs(&in, context, "c.h5", "t.h5", NULL);
        ck_ok(choose(context, &in, selectors[i][0], selectors[i][1], 5, &a, &err));
        close_inputs(&in);
        open_inputs(&in, small, "c.h5", "t.h5", NULL);
        ck_ok(choose(small, &in, selectors[i][0], selectors[i][1], 5, &b, &err));
        ck_same_selection(a, b);
        ck_assert_ptr_nonnull(strstr(a->provenance, "{\"by\":\"a test\",\"found\":{"));
        close_inputs(&in);
        tamis_selection_free(&a);
        tamis_selection_free(&b);
    }
    tamis_context_destroy(&small);
}
END_TEST

/* --- parts ------------------------------------------------------------------------------------ */

/* scikit-learn's KFold(10, shuffle=True, random_state=42) of 40. */
START_TEST(folds_are_those_of_the_library)
{
    static const uint64_t wanted[10][4] = {
        {15, 16, 19, 26}, {4, 12, 27, 37}, {6, 9, 25, 39},  {8, 13, 31, 34},  {0, 17, 24, 33},
        {1, 5, 11, 29},   {2, 21, 30, 36}, {3, 23, 32, 35}, {10, 18, 20, 22}, {7, 14, 28, 38}};
    tamis_error err = {0};
    uint64_t order[40];
    ck_ok(tamis__shuffle_folds(40, 42, order, &err));
    for (uint64_t f = 0; f < 10; f++) {
        ck_assert_uint_eq(tamis__fold_start(40, 10, f), 4 * f);
        for (int i = 0; i < 4; i++) {
            bool found = false;
            for (int k = 0; k < 4; k++) found |= order[4 * f + (uint64_t)k] == wanted[f][i];
            ck_assert_msg(found, "fold %d lacks %d", (int)f, (int)wanted[f][i]);
        }
    }
    /* 13 in 5: three, three, three, two, two. */
    ck_assert_uint_eq(tamis__fold_start(13, 5, 3), 9);
    ck_assert_uint_eq(tamis__fold_start(13, 5, 4), 11);
    ck_assert_uint_eq(tamis__fold_start(13, 5, 5), 13);
}
END_TEST

START_TEST(remainders_go_to_the_largest)
{
    tamis_error err = {0};
    uint64_t share[5];
    /* Quotas 4.7 3.1 2.2: the one left over goes to the .7. */
    ck_ok(tamis__largest_remainder((double[]){47, 31, 22}, 3, 10, share, &err));
    ck_assert_mem_eq(share, ((uint64_t[]){5, 3, 2}), 3 * sizeof *share);
    /* Ties go to the lower index; nothing goes to a weight of 0. */
    ck_ok(tamis__largest_remainder((double[]){1, 0, 1, 1}, 4, 5, share, &err));
    ck_assert_mem_eq(share, ((uint64_t[]){2, 0, 2, 1}), 4 * sizeof *share);
    ck_ok(tamis__largest_remainder((double[]){0, 0, 0}, 3, 4, share, &err));
    ck_assert_mem_eq(share, ((uint64_t[]){2, 1, 1}), 3 * sizeof *share);
    for (uint64_t total = 0; total < 2000; total++) {
        double weight[5];
        uint64_t sum = 0;
        for (int i = 0; i < 5; i++) weight[i] = fabs((double)draw());
        ck_ok(tamis__largest_remainder(weight, 5, total, share, &err));
        for (int i = 0; i < 5; i++) sum += share[i];
        ck_assert_uint_eq(sum, total);
    }
}
END_TEST

/* --- what can be wrong ------------------------------------------------------------------------ */

static const struct {
    const char *selector, *budget, *train, *query, *curvature, *text;
    tamis_status status;
} wrong[] = {
    {"tarot-fixed", NULL, "c.h5", "t.h5", NULL, "needs a budget", TAMIS_ERR_ARG},
    {"tarot-otm", "5", "c.h5", "t.h5", NULL, "leave the budget out", TAMIS_ERR_ARG},
    {"tarot-otm:folds=1", NULL, "c.h5", "t.h5", NULL, "folds", TAMIS_ERR_ARG},
    {"tarot-otm:solver=simplex", NULL, "c.h5", "t.h5", NULL, "solver", TAMIS_ERR_ARG},
    {"tarot-otm:compat=tarot-2024-12,solver=exact", NULL, "c.h5", "t.h5", NULL, "leave",
     TAMIS_ERR_ARG},
    {"tarot-fixed:repeats=9", "5", "c.h5", "t.h5", NULL, "weights=potential", TAMIS_ERR_ARG},
    {"tarot-fixed:neighbours=1", "50", "c.h5", "t.h5", NULL, "leave out neighbours", TAMIS_ERR_ARG},
    {"tarot-fixed:whiten=none", "5", "c.h5", "t.h5", "w.h5", "leave one out", TAMIS_ERR_ARG},
    {"tarot-fixed", "5", "wide.h5", "t.h5", NULL, "wide.h5", TAMIS_ERR_SHAPE},
    {"tarot-fixed", "5", "c.h5", "one.h5", NULL, "checkpoints", TAMIS_ERR_SHAPE},
    {"tarot-fixed", "5", "nan.h5", "t.h5", NULL, "row 3", TAMIS_ERR_NUMERIC},
    {"tarot-fixed:whiten=none", "5", "nan.h5", "t.h5", NULL, "row 3", TAMIS_ERR_NUMERIC},
    {"tarot-otm:whiten=none", NULL, "c.h5", "nan.h5", NULL, "row 3", TAMIS_ERR_NUMERIC},
    {"tarot-otm:whiten=none", NULL, "minus.h5", "plus.h5", NULL, "nothing in common",
     TAMIS_ERR_NUMERIC},
    {"tarot-fixed", "5", "plus.h5", "plus.h5", NULL, "all 200 rows are the same",
     TAMIS_ERR_NUMERIC},
};

/* The writer refuses what is not finite: as a file that was changed. */
static void nan_store(const float *values)
{
    const float nan = (float)NAN;
    size_t size;
    small_store(context, "nan.h5", TAMIS_F32, 50, COLUMNS, 2, values, NULL, 0);
    char *bytes = slurp("nan.h5", &size);
    char *at = memmem(bytes, size, values + 3 * COLUMNS, COLUMNS * sizeof *values);
    ck_assert_ptr_nonnull(at);
    memcpy(at, &nan, sizeof nan);
    spill("nan.h5", bytes, size);
    free(bytes);
}

static void wrong_files(void)
{
    float train[N * COLUMNS], query[M * COLUMNS], many[100 * COLUMNS];
    small_pair(train, query);
    for (int i = 0; i < 100 * COLUMNS; i++) many[i] = draw();
    small_store(context, "wide.h5", TAMIS_F32, 50, 2 * COLUMNS, 2, many, NULL, 0);
    small_store(context, "one.h5", TAMIS_F32, 50, COLUMNS, 1, many, NULL, 0);
    nan_store(many);
    for (int i = 0; i < 100 * COLUMNS; i++) many[i] = 1;
    small_store(context, "plus.h5", TAMIS_F32, 100, COLUMNS, 2, many, NULL, 0);
    for (int i = 0; i < 100 * COLUMNS; i++) many[i] = -1;
    small_store(context, "minus.h5", TAMIS_F32, 100, COLUMNS, 2, many, NULL, 0);
    tamis_error err = {0};
    inputs in;
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_WHITEN,
                                         .train = in.train,
                                         .until = TAMIS_STAGE_FINAL,
                                         .path = "w.h5"};
    ck_ok(tamis_fit_curvature(context, &params, &err));
    close_inputs(&in);
}

START_TEST(refuses_what_is_wrong)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    inputs in;
    wrong_files();
    open_inputs(&in, context, wrong[_i].train, wrong[_i].query, wrong[_i].curvature);
    ck_fails(choose(context, &in, wrong[_i].selector, wrong[_i].budget, 0, &s, &err),
             wrong[_i].status, wrong[_i].text);
    ck_assert_ptr_null(s);
    close_inputs(&in);
}
END_TEST

START_TEST(refuses_the_wrong_sources)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    inputs in;
    wrong_files();
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_select_params params = {.selector = "tarot-fixed", .train = in.train, .budget = "5"};
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "one of targets");
    params.query = in.query;
    params.store = in.train;
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "two stores");
    params.selector = "top";
    params.column = "norm";
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "leave out the stores");
    close_inputs(&in);
}
END_TEST

/* One target, fewer targets than folds, targets that are candidates, all of them the same. */
START_TEST(takes_few_targets_and_equal_rows)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    tamis_selection *s = NULL;
    inputs in;
    wrong_files();
    small_pair(train, query);
    small_store(context, "single.h5", TAMIS_F32, 1, COLUMNS, 2, query, NULL, 0);
    open_inputs(&in, context, "c.h5", "single.h5", NULL);
    /* The nearest candidate alone is as near as any can be. */
    ck_ok(choose(context, &in, "tarot-otm:whiten=none,solver=exact", NULL, 0, &s, &err));
    ck_assert_uint_eq(s->kept, 1);
    ck_assert(s->keep[place(train, query, 0)]);
    tamis_selection_free(&s);
    close_inputs(&in);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    ck_ok(choose(context, &in, "tarot-otm:whiten=none", NULL, 0, &s, &err));
    ck_assert_uint_ge(s->kept, M);
    tamis_selection_free(&s);
    close_inputs(&in);
    open_inputs(&in, context, "plus.h5", "plus.h5", NULL);
    ck_ok(choose(context, &in, "tarot-otm:whiten=none,weights=potential,repeats=3", NULL, 0, &s,
                 &err));
    ck_assert_uint_eq(s->kept, 1);
    ck_float(s->weight[0], 3.0f);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* Patience goes on where the first worse k would stop, so it never keeps a worse one. */
START_TEST(patience_does_no_worse)
{
    tamis_error err = {0};
    tamis_selection *a = NULL, *b = NULL;
    inputs in;
    reference_files();
    open_inputs(&in, context, "c.h5", "t.h5", "w.h5");
    ck_ok(choose(context, &in, OTM "folds=2", NULL, 42, &a, &err));
    ck_ok(choose(context, &in, OTM "folds=2,patience=1000", NULL, 42, &b, &err));
    ck_assert_uint_ge(b->kept, a->kept);
    for (uint64_t i = 0; i < a->rows; i++) ck_assert(b->keep[i] >= a->keep[i]);
    tamis_selection_free(&a);
    tamis_selection_free(&b);
    close_inputs(&in);
}
END_TEST

START_TEST(survives_failing_memory)
{
    static const char *const selectors[][2] = {
        {"tarot-fixed:last=potential-desc,weights=potential,repeats=40", "11"},
        {"tarot-otm:folds=2,weights=marginal", NULL},
        {"tarot-otm:compat=tarot-2024-12,folds=2,neighbours=3", NULL}};
    tamis_error err = {0};
    tamis_selection *s = NULL;
    float train[N * COLUMNS], query[M * COLUMNS];
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        ck_survives(tamis__fault_memory_after,
                    choose(context, &in, selectors[i][0], selectors[i][1], 0, &s, &err), "sel.h5");
        tamis_selection_free(&s);
    }
    close_inputs(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tarot");
    TCase *tcase = tcase_create("tarot");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, picks_the_reference_sets, 0, sizeof references / sizeof *references);
    tcase_add_test(tcase, compat_overshoots_at_an_edge);
    tcase_add_test(tcase, weighs_by_the_reference_potentials);
    tcase_add_test(tcase, fixed_is_as_plain_loops);
    tcase_add_test(tcase, marginals_are_counts_of_the_nearest);
    tcase_add_test(tcase, same_bits_with_any_threads_and_memory);
    tcase_add_test(tcase, folds_are_those_of_the_library);
    tcase_add_test(tcase, remainders_go_to_the_largest);
    tcase_add_loop_test(tcase, refuses_what_is_wrong, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tcase, refuses_the_wrong_sources);
    tcase_add_test(tcase, takes_few_targets_and_equal_rows);
    tcase_add_test(tcase, patience_does_no_worse);
    tcase_add_test(tcase, survives_failing_memory);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
