/* Products of two stores of factors, exact, against plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "factor_scene.h"

static const tamis__damping tenth = {0.1, true};

static const factor_plan train_plan = {.path = "t.h5", .rows = 300, .seed = 1};
static const factor_plan query_plan = {.path = "q.h5", .rows = 11, .seed = 3};

START_TEST(test_exact)
{
    static const tamis_dtype types[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    factor_plan t = train_plan, q = query_plan;
    t.dtype = q.dtype = types[_i % 4];
    t.one_token = _i >= 4;
    factor_run run = {.train = make_factors(context, &t), .query = make_factors(context, &q)};
    run.job.kind = TAMIS_CURVATURE_EKFAC;
    run.job.spectrum = scene_spectra(2, tenth);
    ck_ok(run_factors(context, &run));
    float *got = load_scores(context, "s.h5", 11);
    double *tokens = token_scores(run.train, run.query, run.job.spectrum, false, NULL);
    double *want = row_scores(run.train, tokens, 11);
    ck_assert_double_lt(difference(got, want, 300 * 11), 2e-6);
    free(got), free(tokens), free(want);
    spectra_free(run.job.spectrum, SCENE_LAYERS);
    tamis_store_close(&run.train);
    tamis_store_close(&run.query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac factors");
    TCase *tc = tcase_create("ekfac factors");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_exact, 0, 8);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
