/* Potentials to start from: they change how fast it goes, and nothing else.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

enum { N = 160, M = 130, MORE = 170, D = 5 };

static tamis_context *context;
static tamis_error err;
static float *x, *y;

static void setup(void)
{
    tamis_context_params params = {.threads = 2};
    gsl_rng *rng = random_of(31);
    ck_ok(tamis_context_create(&context, &params, &err));
    x = random_points(rng, MORE, D);
    y = random_points(rng, M, D);
    gsl_rng_free(rng);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    free(x), free(y);
}

static tamis_transport_problem problem_of(uint64_t n, const double *start)
{
    return (tamis_transport_problem){.n = n, .m = M, .x = x, .y = y, .columns = D, .start = start};
}

/* Potentials of a smaller problem, those of the same one, and some that have nothing to do with
 * it. */
enum { SMALLER, SAME, WILD, STARTS };

static void wild(double *g)
{
    for (int j = 0; j < M; j++) g[j] = (j * 37 % 11) * (j % 2 ? 50.0 : -3.0);
}

START_TEST(exact)
{
    double g[M];
    tamis_transport_exact_result first = {0}, r = {0};
    tamis_transport_problem plain = problem_of(MORE, NULL), smaller = problem_of(N, NULL),
                            with = problem_of(MORE, g);
    ck_ok(tamis_transport_exact(context, _i == SMALLER ? &smaller : &plain, &first, &err));
    memcpy(g, first.g, sizeof g);
    tamis_transport_exact_fini(&first);
    if (_i == WILD) wild(g);
    ck_ok(tamis_transport_exact(context, &plain, &first, &err));
    ck_ok(tamis_transport_exact(context, &with, &r, &err));
    ck_assert_double_eq_tol(r.distance, first.distance, 1e-9 * first.distance);
    ck_assert(r.gap <= 1e-9 && r.marginal <= 1e-12 && r.slack <= 1e-12);
    if (_i != WILD) ck_assert_uint_lt(r.pivots, first.pivots);
    tamis_transport_exact_fini(&first);
    tamis_transport_exact_fini(&r);
}
END_TEST

START_TEST(entropic)
{
    double g[M];
    tamis_transport_entropic_params params = {.epsilon = 0.02, .tolerance = 1e-9};
    tamis_transport_entropic_result first = {0}, r = {0};
    tamis_transport_problem plain = problem_of(MORE, NULL), smaller = problem_of(N, NULL),
                            with = problem_of(MORE, g);
    ck_ok(tamis_transport_entropic(context, _i == SMALLER ? &smaller : &plain, &params, &first,
                                   &err));
    memcpy(g, first.g, sizeof g);
    tamis_transport_entropic_fini(&first);
    if (_i == WILD) wild(g);
    ck_ok(tamis_transport_entropic(context, &plain, &params, &first, &err));
    ck_ok(tamis_transport_entropic(context, &with, &params, &r, &err));
    ck_assert(first.converged && r.converged);
    ck_assert_double_eq_tol(r.transport, first.transport, 1e-7 * first.transport);
    ck_assert_double_eq_tol(r.regularised, first.regularised, 1e-9 * first.regularised);
    for (int i = 0; i < MORE; i++) ck_assert_double_eq_tol(r.f[i], first.f[i], 1e-6);
    if (_i == WILD) {
        /* As if there had been no start, but for the time. */
        ck_assert_mem_eq(r.f, first.f, MORE * sizeof *r.f);
        ck_assert_mem_eq(r.g, first.g, M * sizeof *r.g);
        ck_assert_uint_gt(r.iterations, first.iterations);
    } else {
        ck_assert_uint_lt(r.iterations, first.iterations);
    }
    tamis_transport_entropic_fini(&first);
    tamis_transport_entropic_fini(&r);
}
END_TEST

START_TEST(bad_starts)
{
    double g[M] = {0};
    tamis_transport_problem p = problem_of(N, g);
    tamis_transport_exact_result r = {0};
    tamis_transport_entropic_result s = {0};
    g[M - 1] = (double)NAN;
    ck_fails(tamis_transport_exact(context, &p, &r, &err), TAMIS_ERR_ARG,
             "potential 129 to start from is nan");
    g[M - 1] = -(double)INFINITY;
    ck_fails(tamis_transport_entropic(context, &p, NULL, &s, &err), TAMIS_ERR_ARG,
             "potential 129 to start from is -inf");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport starts");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, exact, 0, STARTS);
    tcase_add_loop_test(c, entropic, 0, STARTS);
    tcase_add_test(c, bad_starts);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
