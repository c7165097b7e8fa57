/* Sides whose parts are nearly apart, between which alternating updates move mass ever so slowly:
 * Newton's steps do, however large one side is.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

enum { MANY = 3000, FEW = 40, D = 3 };

static tamis_context *context;
static tamis_error err;
static float *many, *few;

/* Three parts, ten times as far apart as they are wide, of which the sides have different
 * shares. */
static void fill(float *x, int n, int first_share, int second_share, gsl_rng *rng)
{
    for (int i = 0; i < n; i++) {
        int part = i % 100 < first_share ? 0 : i % 100 < second_share ? 1 : 2;
        for (int c = 0; c < D; c++)
            x[i * D + c] = (float)(gsl_rng_uniform(rng) + (c == part ? 10.0 : 0.0));
    }
}

static void setup(void)
{
    gsl_rng *rng = random_of(41);
    tamis_context_params params = {.threads = 2};
    ck_ok(tamis_context_create(&context, &params, &err));
    many = calloc(MANY * D, sizeof *many);
    few = calloc(FEW * D, sizeof *few);
    fill(many, MANY, 30, 60, rng);
    fill(few, FEW, 33, 60, rng);
    gsl_rng_free(rng);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    free(many), free(few);
}

/* `turned`: the large side is b. */
static tamis_transport_problem problem_of(bool turned)
{
    return (tamis_transport_problem){.n = turned ? FEW : MANY,
                                     .m = turned ? MANY : FEW,
                                     .x = turned ? few : many,
                                     .y = turned ? many : few,
                                     .columns = D};
}

START_TEST(converges)
{
    const tamis_transport_entropic_params params = {.epsilon = 0.0125, .tolerance = 1e-9};
    tamis_transport_problem p = problem_of(_i);
    tamis_transport_entropic_result r = {0};
    tamis_transport_exact_result exact = {0};
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    ck_assert(r.converged);
    ck_assert_uint_lt(r.iterations, 200);
    ck_ok(tamis_transport_exact(context, &p, &exact, &err));
    ck_assert_double_ge(r.transport, exact.distance * (1 - 1e-8));
    ck_assert_double_le(r.transport, exact.distance + 0.0125 * log(MANY));
    tamis_transport_exact_fini(&exact);
    tamis_transport_entropic_fini(&r);
}
END_TEST

START_TEST(both_ways_round)
{
    const tamis_transport_entropic_params params = {.epsilon = 0.0125, .tolerance = 1e-10};
    tamis_transport_problem p = problem_of(false), q = problem_of(true);
    tamis_transport_entropic_result r = {0}, s = {0};
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    ck_ok(tamis_transport_entropic(context, &q, &params, &s, &err));
    ck_assert_double_eq_tol(r.regularised, s.regularised, 1e-9 * r.regularised);
    ck_assert_double_eq_tol(r.transport, s.transport, 1e-7 * r.transport);
    tamis_transport_entropic_fini(&r);
    tamis_transport_entropic_fini(&s);
}
END_TEST

START_TEST(same_bits)
{
    static const tamis_context_params other[] = {
        {.threads = 1}, {.threads = 5}, {.threads = 2, .memory = 600000}};
    tamis_transport_problem p = problem_of(_i);
    tamis_transport_entropic_params params = {.epsilon = 0.0125};
    tamis_transport_entropic_result r = {0}, s = {0};
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        tamis_context *again = NULL;
        ck_ok(tamis_context_create(&again, &other[k], &err));
        ck_ok(tamis_transport_entropic(again, &p, &params, &s, &err));
        ck_assert_uint_eq(r.iterations, s.iterations);
        ck_assert_mem_eq(r.f, s.f, p.n * sizeof *r.f);
        ck_assert_mem_eq(r.g, s.g, p.m * sizeof *r.g);
        tamis_transport_entropic_fini(&s);
        tamis_context_destroy(&again);
    }
    tamis_transport_entropic_fini(&r);
}
END_TEST

START_TEST(memory)
{
    const tamis_transport_entropic_params params = {.epsilon = 0.0125};
    tamis_transport_problem p = problem_of(_i);
    tamis_transport_entropic_result r = {0};
    if (_i)
        p.m = 200;
    else
        p.n = 200;
    ck_survives(tamis__fault_memory_after, tamis_transport_entropic(context, &p, &params, &r, &err),
                "none");
    tamis_transport_entropic_fini(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport creeping");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, converges, 0, 2);
    tcase_add_test(c, both_ways_round);
    tcase_add_loop_test(c, same_bits, 0, 2);
    tcase_add_loop_test(c, memory, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
