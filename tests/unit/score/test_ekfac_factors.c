/* Products of two stores of factors, exact and by low rank, against plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "factor_scene.h"

static const tamis__damping tenth = {0.1, true};

static const factor_plan train_plan = {.path = "t.h5", .rows = 300, .seed = 1};
static const factor_plan query_plan = {.path = "q.h5", .rows = 11, .seed = 3};

typedef struct scene {
    tamis_context *context;
    factor_run run;
} scene;

static scene begin(const factor_plan *t, const factor_plan *q, double decades,
                   tamis__damping damping)
{
    scene s = {0};
    enter_scratch();
    s.context = make_context(2, 0);
    s.run.train = make_factors(s.context, t);
    s.run.query = make_factors(s.context, q);
    s.run.job.kind = TAMIS_CURVATURE_EKFAC;
    s.run.job.spectrum = scene_spectra(decades, damping);
    return s;
}

static void end(scene *s)
{
    spectra_free(s->run.job.spectrum, SCENE_LAYERS);
    tamis_store_close(&s->run.train);
    tamis_store_close(&s->run.query);
    tamis_context_destroy(&s->context);
    leave_scratch();
}

/* What scores of rows should be, [rows, queries]. */
static double *wanted(const scene *s, weight_change change, uint64_t rank)
{
    double *tokens = token_scores(s->run.train, s->run.query, s->run.job.spectrum, false, change,
                                  rank);
    double *rows = row_scores(s->run.train, tokens, query_plan.rows);
    free(tokens);
    return rows;
}

/* Largest difference of the scores of this run from these. */
static double run_difference(scene *s, const double *want, uint64_t n, uint64_t columns)
{
    ck_ok(run_factors(s->context, &s->run));
    float *got = load_scores(s->context, "s.h5", columns);
    double worst = difference(got, want, n * columns);
    free(got);
    return worst;
}

START_TEST(test_exact)
{
    static const tamis_dtype types[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    factor_plan t = train_plan, q = query_plan;
    t.dtype = q.dtype = types[_i % 4];
    t.one_token = _i >= 4;
    scene s = begin(&t, &q, 2, tenth);
    double *want = wanted(&s, NULL, 0);
    ck_assert_double_lt(run_difference(&s, want, 300, 11), 2e-6);
    free(want);
    end(&s);
}
END_TEST

/* Terms of a layer add up, and so do tokens of a row. */
START_TEST(test_parts)
{
    scene s = begin(&train_plan, &query_plan, 2, tenth);
    bool by_layer = _i == 0;
    const uint64_t *offset;
    double *tokens = token_scores(s.run.train, s.run.query, s.run.job.spectrum, by_layer, NULL, 0);
    double *rows = row_scores(s.run.train, tokens, 11 * (by_layer ? SCENE_LAYERS : 1));
    ck_ok(tamis_store_tokens(s.run.train, 0, &offset, &err));
    s.run.job.by = by_layer ? TAMIS_BY_LAYER : TAMIS_BY_TOKEN;
    if (by_layer)
        ck_assert_double_lt(run_difference(&s, rows, 300, 11 * SCENE_LAYERS), 2e-6);
    else
        ck_assert_double_lt(run_difference(&s, tokens, offset[300], 11), 2e-6);
    free(tokens);
    free(rows);
    end(&s);
}
END_TEST

START_TEST(test_reductions)
{
    static const tamis_reduce reduces[] = {TAMIS_REDUCE_MEAN, TAMIS_REDUCE_SUM, TAMIS_REDUCE_MAX,
                                           TAMIS_REDUCE_GROUP_MEAN, TAMIS_REDUCE_GROUP_MAX};
    scene s = begin(&train_plan, &query_plan, 2, tenth);
    double *all = wanted(&s, NULL, 0), *want = calloc(300 * 2, sizeof *want);
    tamis_reduce reduce = s.run.params.reduce = reduces[_i];
    bool groups = reduce == TAMIS_REDUCE_GROUP_MEAN;
    for (uint64_t i = 0; i < 300; i++) {
        double sum[2] = {0}, most = -(double)INFINITY;
        for (uint64_t q = 0; q < 11; q++) {
            sum[q % 2] += all[i * 11 + q];
            most = fmax(most, all[i * 11 + q]);
        }
        if (groups) want[i * 2] = sum[0] / 6, want[i * 2 + 1] = sum[1] / 5;
        if (reduce == TAMIS_REDUCE_MEAN) want[i] = (sum[0] + sum[1]) / 11;
        if (reduce == TAMIS_REDUCE_SUM) want[i] = sum[0] + sum[1];
        if (reduce == TAMIS_REDUCE_MAX) want[i] = most;
        if (reduce == TAMIS_REDUCE_GROUP_MAX) want[i] = fmax(sum[0] / 6, sum[1] / 5);
    }
    ck_assert_double_lt(run_difference(&s, want, 300, groups ? 2 : 1), 2e-6);
    free(all);
    free(want);
    end(&s);
}
END_TEST

/* --- low rank --------------------------------------------------------------------------------- */

static bool saves(const tamis__spectrum *s, uint64_t terms)
{
    return terms > 0 && terms * (s->out + s->in) < s->out * s->in;
}

/* Section A.11: the inverse spectrum, weighted by the size of gradients. */
static void cut_spectrum(double *w, const tamis__spectrum *s, uint64_t tokens, uint64_t rank)
{
    double *m = calloc(s->out * s->in, sizeof *m), *row = calloc(s->out, sizeof *row);
    double *column = calloc(s->in, sizeof *column), most_row = 0, most_column = 0;
    if (!saves(s, tokens * rank)) rank = s->out;
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++) {
            row[i] += s->lambda[i * s->in + j] / (double)s->in;
            column[j] += s->lambda[i * s->in + j] / (double)s->out;
        }
    for (uint64_t i = 0; i < s->out; i++) most_row = fmax(most_row, row[i]);
    for (uint64_t j = 0; j < s->in; j++) most_column = fmax(most_column, column[j]);
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++)
            m[i * s->in + j] = (row[i] + 1e-4 * most_row) * s->inverse[i * s->in + j] *
                               (column[j] + 1e-4 * most_column);
    if (rank < s->out && rank < s->in) cut_rank(m, s->out, s->in, rank);
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++)
            w[i * s->in + j] *= m[i * s->in + j] / (row[i] + 1e-4 * most_row) /
                                (column[j] + 1e-4 * most_column) / s->inverse[i * s->in + j];
    free(m), free(row), free(column);
}

static void cut_query(double *w, const tamis__spectrum *s, uint64_t tokens, uint64_t rank)
{
    (void)tokens;
    if (saves(s, rank)) cut_rank(w, s->out, s->in, rank);
}

/* The cheaper of the two. */
static void cut_either(double *w, const tamis__spectrum *s, uint64_t tokens, uint64_t rank)
{
    if (saves(s, tokens * rank) && tokens * rank <= 3 * rank)
        cut_spectrum(w, s, tokens, rank);
    else
        cut_query(w, s, tokens, 3 * rank);
}

static const struct {
    uint64_t spectral, query;
    weight_change change;
    double allowed;
} ranks[] = {{1, 0, cut_spectrum, 2e-6}, {2, 0, cut_spectrum, 2e-6}, {4, 0, cut_spectrum, 2e-6},
             {9, 0, cut_spectrum, 2e-6}, {0, 1, cut_query, 2e-6},    {0, 4, cut_query, 2e-6},
             {0, 20, cut_query, 2e-6},   {1, 3, cut_either, 2e-6},   {2, 6, cut_either, 2e-6}};

START_TEST(test_ranks)
{
    scene s = begin(&train_plan, &query_plan, 3, tenth);
    s.run.job.spectral_rank = ranks[_i].spectral;
    s.run.job.query_rank = ranks[_i].query;
    double *want = wanted(&s, ranks[_i].change,
                          ranks[_i].spectral ? ranks[_i].spectral : ranks[_i].query);
    double worst = run_difference(&s, want, 300, 11);
    ck_assert_msg(worst < ranks[_i].allowed, "difference %g", worst);
    free(want);
    end(&s);
}
END_TEST

/* A rank that saves nothing is not taken: the same bytes. */
START_TEST(test_full_rank)
{
    scene s = begin(&train_plan, &query_plan, 3, tenth);
    ck_ok(run_factors(s.context, &s.run));
    s.run.job.spectral_rank = _i ? 0 : 50;
    s.run.job.query_rank = _i ? 50 : 0;
    s.run.params.path = "r.h5";
    ck_ok(run_factors(s.context, &s.run));
    ck_same_bytes("s.h5", "r.h5");
    end(&s);
}
END_TEST

/* An inverse spectrum that is an outer product has rank 1. */
START_TEST(test_outer_product)
{
    factor_plan q = query_plan;
    q.one_token = true;
    scene s = begin(&train_plan, &q, 3, tenth);
    for (int l = 0; l < SCENE_LAYERS; l++) {
        tamis__spectrum *p = &s.run.job.spectrum[l];
        for (uint64_t i = 0; i < p->out; i++)
            for (uint64_t j = 0; j < p->in; j++)
                p->lambda[i * p->in + j] = (1.0 + (double)i) * (2.0 + (double)j);
        ck_ok(tamis__spectrum_damp(p, (tamis__damping){0}, &err));
    }
    double *want = wanted(&s, NULL, 0);
    s.run.job.spectral_rank = 1;
    ck_assert_double_lt(run_difference(&s, want, 300, 11), 2e-6);
    free(want);
    end(&s);
}
END_TEST

/* Numbers whose products would vanish in floats; and scores that no float holds. */
START_TEST(test_sizes)
{
    scene s = begin(&train_plan, &query_plan, 2, tenth);
    for (int l = 0; l < SCENE_LAYERS; l++) {
        tamis__spectrum *p = &s.run.job.spectrum[l];
        for (uint64_t i = 0; i < p->out * p->in; i++) p->lambda[i] *= _i < 2 ? 1e36 : 1e-42;
        ck_ok(tamis__spectrum_damp(p, tenth, &err));
    }
    s.run.job.spectral_rank = _i == 1 ? 4 : 0;
    double *want = wanted(&s, _i == 1 ? cut_spectrum : NULL, 4);
    if (_i < 2)
        ck_assert_double_lt(run_difference(&s, want, 300, 11), 2e-6);
    else
        ck_fails(run_factors(s.context, &s.run), TAMIS_ERR_NUMERIC, "raise the damping");
    free(want);
    end(&s);
}
END_TEST

/* Wide layers are searched at random: about as near to the exact scores as the best of this
 * rank. */
START_TEST(test_sketch)
{
    factor_plan t = train_plan, q = query_plan;
    t.one_token = q.one_token = true;
    scene s = begin(&t, &q, 3, tenth);
    for (int l = 0; l < SCENE_LAYERS; l++) tamis__spectrum_fini(&s.run.job.spectrum[l]);
    tamis_store_close(&s.run.train);
    tamis_store_close(&s.run.query);
    s.run.train = make_wide(s.context, "t.h5", 60, 1);
    s.run.query = make_wide(s.context, "q.h5", 11, 2);
    scene_spectrum(s.run.job.spectrum, &wide_layer, 1, 4, tenth);
    double *exact = wanted(&s, NULL, 0), *best = wanted(&s, cut_query, 6), lost = 0, least = 0;
    s.run.job.query_rank = 6;
    ck_ok(run_factors(s.context, &s.run));
    float *got = load_scores(s.context, "s.h5", 11);
    for (int i = 0; i < 60 * 11; i++) {
        lost += pow((double)got[i] - exact[i], 2);
        least += pow(best[i] - exact[i], 2);
    }
    ck_assert_double_gt(least, 0);
    ck_assert_double_lt(sqrt(lost), 1.05 * sqrt(least));
    free(exact), free(best), free(got);
    end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac factors");
    TCase *tc = tcase_create("ekfac factors");
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, test_exact, 0, 8);
    tcase_add_loop_test(tc, test_parts, 0, 2);
    tcase_add_loop_test(tc, test_reductions, 0, 5);
    tcase_add_loop_test(tc, test_ranks, 0, sizeof ranks / sizeof *ranks);
    tcase_add_loop_test(tc, test_full_rank, 0, 2);
    tcase_add_test(tc, test_outer_product);
    tcase_add_loop_test(tc, test_sizes, 0, 3);
    tcase_add_test(tc, test_sketch);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
