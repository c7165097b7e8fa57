/* Distances to the k-th neighbour against all pairs in plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/score.h>

#include "small_files.h"

enum { ROWS = 700, COLUMNS = 9 };

static tamis_error err;
static tamis_context *context;

static tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context *made = NULL;
    const tamis_context_params how = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&made, &how, &err));
    return made;
}

static tamis_store *open_store(tamis_context *with, const char *path)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, with, path, &err));
    return store;
}

static float values[ROWS * COLUMNS];

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    uint64_t state = 3;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)((double)(state >> 11) * 0x1p-53 - 0.3);
    }
    /* Near rows, and copies: three of one row, eight of another. */
    for (int c = 0; c < COLUMNS; c++) {
        values[5 * COLUMNS + c] = values[4 * COLUMNS + c] + (c == 0 ? 1e-5f : 0);
        values[7 * COLUMNS + c] = values[8 * COLUMNS + c] = values[6 * COLUMNS + c];
        for (int i = 101; i < 108; i++) values[i * COLUMNS + c] = values[100 * COLUMNS + c];
    }
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static double between(int a, int b, bool cosine)
{
    double sum = 0, aa = 0, bb = 0;
    const float *x = values + a * COLUMNS, *y = values + b * COLUMNS;
    for (int c = 0; c < COLUMNS; c++) {
        aa += (double)x[c] * (double)x[c];
        bb += (double)y[c] * (double)y[c];
    }
    for (int c = 0; c < COLUMNS; c++) {
        double d = (double)x[c] / (cosine ? sqrt(aa) : 1) - (double)y[c] / (cosine ? sqrt(bb) : 1);
        sum += d * d;
    }
    return sqrt(sum);
}

/* Among rows that are not left out. */
static double by_loops(int row, int k, bool cosine, int left_out)
{
    double found[ROWS];
    int n = 0;
    for (int i = 0; i < ROWS; i++) {
        if (i == row || i == left_out) continue;
        double d = between(row, i, cosine);
        int at = n++;
        for (; at > 0 && found[at - 1] > d; at--) found[at] = found[at - 1];
        found[at] = d;
    }
    return found[k - 1];
}

static void score(tamis_context *with, const char *scorer, const char *out, bool leave_out)
{
    tamis_store *store = open_store(with, "t.h5");
    const tamis_score_params params = {
        .scorer = scorer, .train = store, .path = out, .force = true, .skip_bad_rows = leave_out};
    ck_ok(tamis_score(with, &params, NULL, &err));
    tamis_store_close(&store);
}

static void read_scores(const char *path, float *out)
{
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, context, path, &err));
    ck_ok(tamis_scores_read(scores, 0, ROWS, 0, 1, out, 1, &err));
    tamis_scores_close(&scores);
}

static const struct {
    const char *scorer;
    int k;
    bool cosine, log;
} cases[] = {
    {"knn-entropy", 5, true, true},
    {"knn-entropy:k=1,log=false", 1, true, false},
    {"knn-entropy:k=3,metric=euclidean", 3, false, true},
    {"knn-entropy:k=40,metric=euclidean,log=false", 40, false, false},
    {"knn-entropy:k=699,log=false", 699, true, false},
};

START_TEST(distances_are_those_of_all_pairs)
{
    float found[ROWS];
    double wanted[ROWS], least = (double)INFINITY;
    small_store(context, "t.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    score(context, cases[_i].scorer, "s.h5", false);
    read_scores("s.h5", found);
    for (int i = 0; i < ROWS; i++) {
        wanted[i] = by_loops(i, cases[_i].k, cases[_i].cosine, -1);
        if (wanted[i] < 1e-7) wanted[i] = 0;
        if (wanted[i] > 0) least = fmin(least, wanted[i]);
    }
    for (int i = 0; i < ROWS; i++)
        ck_assert_double_eq_tol((double)found[i],
                                cases[_i].log ? log(fmax(wanted[i], least)) : wanted[i], 2e-6);
    if (cases[_i].k == 1) ck_assert(found[6] == 0 && found[101] == 0 && found[4] > 0);
}
END_TEST

START_TEST(same_bits_however_it_is_run)
{
    tamis_context *one = make_context(1, 0), *small = make_context(3, UINT64_C(2) << 20);
    small_store(context, "t.h5", TAMIS_F32, ROWS, COLUMNS, 2, values, NULL, 0);
    score(one, "knn-entropy", "a.h5", false);
    score(context, "knn-entropy", "b.h5", false);
    score(small, "knn-entropy", "c.h5", false);
    remove("t.h5");
    small_store(context, "t.h5", TAMIS_F32, ROWS, COLUMNS, 2, values, NULL, 128);
    score(context, "knn-entropy", "d.h5", false);
    float a[ROWS], b[ROWS];
    read_scores("a.h5", a);
    for (const char *path = "b.h5"; path; path = *path == 'b'   ? "c.h5"
                                                 : *path == 'c' ? "d.h5"
                                                                : NULL) {
        read_scores(path, b);
        ck_assert_mem_eq(a, b, sizeof a);
    }
    tamis_context_destroy(&one);
    tamis_context_destroy(&small);
}
END_TEST

/* A row of zeros has no direction: refused, or left out, also of the others' neighbours. */
START_TEST(rows_are_refused_or_left_out)
{
    enum { ZERO = 300 };
    float found[ROWS];
    for (int c = 0; c < COLUMNS; c++) values[ZERO * COLUMNS + c] = 0;
    small_store(context, "t.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    tamis_store *store = open_store(context, "t.h5");
    tamis_score_params params = {.scorer = "knn-entropy", .train = store, .path = "s.h5"};
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_NUMERIC, "row 300");
    params.scorer = "knn-entropy:metric=euclidean,k=700";
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "700 rows");
    tamis_store_close(&store);
    score(context, "knn-entropy:k=2,log=false", "s.h5", true);
    read_scores("s.h5", found);
    for (int i = 0; i < ROWS; i++)
        if (i == ZERO)
            ck_assert(isnan(found[i]));
        else
            ck_assert_double_eq_tol((double)found[i], by_loops(i, 2, true, ZERO), 2e-6);
}
END_TEST

static tamis_status score_once(void)
{
    tamis_store *store = NULL;
    tamis_status status = tamis_store_open(&store, context, "t.h5", &err);
    const tamis_score_params params = {
        .scorer = "knn-entropy", .train = store, .path = "s.h5", .force = true};
    if (status == TAMIS_OK) status = tamis_score(context, &params, NULL, &err);
    tamis_store_close(&store);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    small_store(context, "t.h5", TAMIS_F32, 300, COLUMNS, 1, values, NULL, 0);
    ck_survives(tamis__fault_memory_after, score_once(), "s.h5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("knn-entropy");
    TCase *tc = tcase_create("knn-entropy");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, distances_are_those_of_all_pairs, 0,
                        (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, same_bits_however_it_is_run);
    tcase_add_test(tc, rows_are_refused_or_left_out);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
