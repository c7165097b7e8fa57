/* The annealing schedule against its text as plain loops, of costs in double and in float.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

static tamis_context *context;
static tamis_error err;

static void setup(void)
{
    tamis_context_params params = {.threads = 2};
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
}

/* --- plain loops ------------------------------------------------------------------------------ */

/* -epsilon log sum over the other side, of which point j costs cost[j * stride]. */
static double softmin_of(const double *cost, size_t stride, const double *weight,
                         const double *potential, int n, double epsilon)
{
    double top = -1e300, sum = 0;
    for (int j = 0; j < n; j++) {
        double own = potential ? potential[j] : 0;
        top = fmax(top, log(weight[j]) + (own - cost[(size_t)j * stride]) / epsilon);
    }
    for (int j = 0; j < n; j++) {
        double own = potential ? potential[j] : 0;
        sum += exp(log(weight[j]) + (own - cost[(size_t)j * stride]) / epsilon - top);
    }
    return -epsilon * (top + log(sum));
}

static void naive_annealed(const double *cost, const double *a, const double *b, int n, int m,
                           double diameter, double *f, double *g)
{
    double epsilon[40], *ft = calloc((size_t)n, 8), *gt = calloc((size_t)m, 8);
    int steps = 0;
    epsilon[steps++] = diameter * diameter;
    for (double e = 2 * log(diameter); e > 2 * log(0.01); e += 2 * log(0.5))
        epsilon[steps++] = exp(e);
    epsilon[steps++] = 1e-4;
    for (int k = -1; k <= steps; k++) {
        double e = epsilon[k < 0 ? 0 : k < steps ? k : steps - 1];
        for (int i = 0; i < n; i++) ft[i] = softmin_of(cost + i * m, 1, b, k < 0 ? NULL : g, m, e);
        for (int j = 0; j < m; j++)
            gt[j] = softmin_of(cost + j, (size_t)m, a, k < 0 ? NULL : f, n, e);
        double share = k < 0 || k == steps ? 1 : 0.5;
        for (int i = 0; i < n; i++) f[i] = share < 1 ? (f[i] + ft[i]) / 2 : ft[i];
        for (int j = 0; j < m; j++) g[j] = share < 1 ? (g[j] + gt[j]) / 2 : gt[j];
    }
    free(ft), free(gt);
}

static void scale_to_one(double *weight, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += weight[i];
    for (int i = 0; i < n; i++) weight[i] /= sum;
}

/* --- costs in double -------------------------------------------------------------------------- */

START_TEST(schedule)
{
    static const double diameters[] = {2.0, 3.7, 8.0, 0.3, 0.005};
    static const unsigned steps[] = {10, 11, 12, 7, 2};
    enum { N = 13, M = 9, D = 3 };
    gsl_rng *rng = random_of(5);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N), *b = random_weights(rng, M), f[N], g[M];
    double *cost = costs_of(x, N, y, M, D, TAMIS_COST_EUCLIDEAN);
    a[6] = b[6] = 0.1;
    scale_to_one(a, N);
    scale_to_one(b, M);
    tamis_transport_problem p = {.n = N, .m = M, .a = a, .b = b, .cost_f64 = cost};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        tamis_transport_annealed_result r = {0};
        ck_ok(tamis_transport_annealed(context, &p, diameters[k], &r, &err));
        ck_assert_uint_eq(r.iterations, steps[k]);
        naive_annealed(cost, a, b, N, M, diameters[k], f, g);
        for (int i = 0; i < N; i++) ck_assert_double_eq_tol(r.f[i], f[i], 1e-11);
        for (int j = 0; j < M; j++) ck_assert_double_eq_tol(r.g[j], g[j], 1e-11);
        tamis_transport_annealed_fini(&r);
    }
    tamis_transport_annealed_result r = {0};
    ck_fails(tamis_transport_annealed(context, &p, 0, &r, &err), TAMIS_ERR_ARG, "diameter");
    ck_fails(tamis_transport_annealed(context, &p, -1, &r, &err), TAMIS_ERR_ARG, "-1");
    gsl_rng_free(rng);
    free(x), free(y), free(a), free(b), free(cost);
}
END_TEST

/* --- costs in float --------------------------------------------------------------------------- */

/* More columns than a tile has, blocks of rows that are not full; gaps between rows. */
enum { MOST_N = 75, MOST_M = 2100, STRIDE = 2110 };

static const struct {
    int n, m;
    double diameter;
} sizes[] = {{MOST_N, MOST_M, 2.5}, {33, 17, 7.0}, {64, 700, 0.3}, {1, 5, 1.0}, {5, 1, 1.0}};

typedef struct floats {
    float *narrow;
    double *cost, *a, *b;
    tamis_transport_problem problem;
} floats;

static floats floats_of(int n, int m)
{
    gsl_rng *rng = random_of(6);
    floats s = {.narrow = calloc(MOST_N * STRIDE, sizeof *s.narrow),
                .cost = calloc((size_t)(n * m), sizeof *s.cost),
                .a = random_weights(rng, (size_t)n),
                .b = random_weights(rng, (size_t)m)};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            s.cost[i * m + j] = (double)(s.narrow[i * STRIDE + j] = (float)(0.4 +
                                                                            gsl_rng_uniform(rng)));
    s.a[0] += 0.1, s.b[0] += 0.1;
    if (n > 9) s.a[n / 2] = 0;
    if (m > 9) s.b[m / 2] = 0;
    scale_to_one(s.a, n);
    scale_to_one(s.b, m);
    s.problem = (tamis_transport_problem){.n = (uint64_t)n,
                                          .m = (uint64_t)m,
                                          .a = s.a,
                                          .b = s.b,
                                          .cost_f32 = s.narrow,
                                          .cost_stride = STRIDE};
    gsl_rng_free(rng);
    return s;
}

static void free_floats(floats *s)
{
    free(s->narrow), free(s->cost), free(s->a), free(s->b);
}

/* Exponents in float are right to 6e-8 of themselves, and a potential is an exponent times
 * epsilon. */
START_TEST(floats_are_near)
{
    int n = sizes[_i].n, m = sizes[_i].m;
    floats s = floats_of(n, m);
    double *f = calloc((size_t)n, 8), *g = calloc((size_t)m, 8), value = 0;
    tamis_transport_annealed_result r = {0};
    naive_annealed(s.cost, s.a, s.b, n, m, sizes[_i].diameter, f, g);
    ck_ok(tamis_transport_annealed(context, &s.problem, sizes[_i].diameter, &r, &err));
    for (int i = 0; i < n; i++) {
        ck_assert_double_eq_tol(r.f[i], f[i], 2e-6);
        value += s.a[i] * f[i];
    }
    for (int j = 0; j < m; j++) {
        ck_assert_double_eq_tol(r.g[j], g[j], 2e-6);
        value += s.b[j] * g[j];
    }
    ck_assert_double_eq_tol(r.value, value, 3e-7);
    tamis_transport_annealed_fini(&r);
    free_floats(&s);
    free(f), free(g);
}
END_TEST

/* For any number of threads, and on every processor. */
START_TEST(floats_same_bits)
{
    static const tamis_context_params other[] = {
        {.threads = 1},
        {.threads = 5},
        {.threads = 3, .limit_cpu = true},
        {.threads = 2, .limit_cpu = true, .cpu_mask = TAMIS_CPU_AVX2}};
    floats s = floats_of(MOST_N, MOST_M);
    tamis_transport_annealed_result r = {0}, again = {0};
    ck_ok(tamis_transport_annealed(context, &s.problem, 2.5, &r, &err));
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        tamis_context *with = NULL;
        ck_ok(tamis_context_create(&with, &other[k], &err));
        ck_ok(tamis_transport_annealed(with, &s.problem, 2.5, &again, &err));
        ck_assert_mem_eq(r.f, again.f, MOST_N * sizeof *r.f);
        ck_assert_mem_eq(r.g, again.g, MOST_M * sizeof *r.g);
        ck_assert(r.value == again.value);
        tamis_transport_annealed_fini(&again);
        tamis_context_destroy(&with);
    }
    tamis_transport_annealed_fini(&r);
    free_floats(&s);
}
END_TEST

START_TEST(bad_costs)
{
    static const float wrong[] = {(float)NAN, HUGE_VALF, -HUGE_VALF};
    floats s = floats_of(33, 17);
    tamis_transport_annealed_result r = {0};
    for (int k = 0; k < 3; k++) {
        s.narrow[20 * STRIDE + 16] = wrong[k];
        ck_fails(tamis_transport_annealed(context, &s.problem, 2, &r, &err), TAMIS_ERR_NUMERIC,
                 "the cost of row 20 of side a with row 16 of side b is ");
    }
    s.problem.n = 0;
    ck_fails(tamis_transport_annealed(context, &s.problem, 2, &r, &err), TAMIS_ERR_ARG,
             "no points");
    free_floats(&s);
}
END_TEST

START_TEST(memory)
{
    float points[30];
    floats s = floats_of(33, 17);
    tamis_transport_annealed_result r = {0};
    for (int i = 0; i < 30; i++) points[i] = s.narrow[i];
    const tamis_transport_problem p = {.n = 5, .m = 5, .x = points, .y = points + 15, .columns = 3};
    ck_survives(tamis__fault_memory_after, tamis_transport_annealed(context, &p, 0, &r, &err),
                "none");
    tamis_transport_annealed_fini(&r);
    ck_survives(tamis__fault_memory_after,
                tamis_transport_annealed(context, &s.problem, 2, &r, &err), "none");
    tamis_transport_annealed_fini(&r);
    free_floats(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport annealed");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, schedule);
    tcase_add_loop_test(c, floats_are_near, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(c, floats_same_bits);
    tcase_add_test(c, bad_costs);
    tcase_add_test(c, memory);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
