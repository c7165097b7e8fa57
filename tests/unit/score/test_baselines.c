/* grand and random.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

static const store_plan plan = {
    .path = "t.h5", .rows = 257, .columns = 60, .checkpoints = 3, .seed = 1, .zero_row = 4};

START_TEST(test_grand)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan shards = plan;
    shards.path = "shards", shards.shard_rows = 64;
    write_store(context, &shards);
    tamis_store *train = make_store(context, &plan);
    float *got = score_now(context, "grand", train, NULL, 1);
    for (uint64_t i = 0; i < 257; i++) {
        double want = 0;
        for (uint32_t k = 0; k < 3; k++) want += naive_norm(&plan, k, i) / 3.0;
        ck_assert_double_eq_tol((double)got[i], want, 1e-6);
    }
    ck_assert(got[3] == 0.0f);
    free(got);
    ck_same_bits("grand", false);
    ck_faults(context, "grand", train, NULL);
    ck_cancels("grand", false, "scoring");
    ck_fails(score_to(context, "grand", train, train, "s.h5", false), TAMIS_ERR_ARG,
             "leave out the query store");
    tamis_store_close(&train);
    poison(context, &plan, 9);
    train = open_store(context, "t.h5");
    ck_fails(score_to(context, "grand", train, NULL, "s.h5", false), TAMIS_ERR_NUMERIC, "row 9");
    ck_ok(score_to(context, "grand", train, NULL, "s.h5", true));
    got = load_scores(context, "s.h5", 1);
    ck_assert(isnan(got[9]) && got[8] > 0.0f && got[10] > 0.0f);
    free(got);
    tamis_store_close(&train);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

static void moments(const float *values, uint64_t n, double *ret_mean, double *ret_variance)
{
    double sum = 0, square = 0;
    for (uint64_t i = 0; i < n; i++) sum += (double)values[i];
    for (uint64_t i = 0; i < n; i++) square += pow((double)values[i] - sum / (double)n, 2);
    *ret_mean = sum / (double)n;
    *ret_variance = square / (double)n;
}

START_TEST(test_random)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan large = plan, small = plan;
    large.rows = 20000, large.columns = 2, small.path = "few.h5", small.columns = 2;
    tamis_store *train = make_store(context, &large), *few = make_store(context, &small);
    float *normal = score_now(context, "random", train, NULL, 1);
    float *seeded = score_now(context, "random:seed=11", train, NULL, 1);
    float *other = score_now(context, "random:seed=12", train, NULL, 1);
    float *uniform = score_now(context, "random:distribution=uniform", train, NULL, 1);
    float *first = score_now(context, "random", few, NULL, 1);
    double mean, variance;
    uint64_t same = 0;
    moments(normal, 20000, &mean, &variance);
    ck_assert_double_lt(fabs(mean), 5 / sqrt(20000.0));
    ck_assert_double_lt(fabs(variance - 1.0), 5 * sqrt(2 / 20000.0));
    moments(uniform, 20000, &mean, &variance);
    ck_assert_double_lt(fabs(mean - 0.5), 5 * sqrt(1 / 12.0 / 20000.0));
    ck_assert_double_lt(fabs(variance - 1 / 12.0), 0.003);
    for (uint64_t i = 0; i < 20000; i++) same += normal[i] == other[i];
    ck_assert_uint_lt(same, 10);
    /* The run's seed is 11; a row's number is its own, however many rows there are. */
    ck_assert_mem_eq(seeded, normal, 20000 * sizeof *normal);
    ck_assert_mem_eq(first, normal, 257 * sizeof *normal);
    free(normal), free(seeded), free(other), free(uniform), free(first);
    ck_faults(context, "random", few, NULL);
    ck_cancels("random", false, "scoring");
    ck_fails(score_to(context, "random:seed=-2", few, NULL, "s.h5", false), TAMIS_ERR_ARG, "seed");
    tamis_store_close(&train);
    tamis_store_close(&few);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("baselines");
    TCase *tc = tcase_create("baselines");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_grand);
    tcase_add_test(tc, test_random);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
