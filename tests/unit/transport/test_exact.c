/* Exact transport: against all permutations, the reference's values, and what a distance must be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

static tamis_context *context;
static tamis_error err;

static void setup(void)
{
    context = small_context(2);
    err = (tamis_error){0};
}

static void teardown(void)
{
    tamis_context_destroy(&context);
}

/* The plan is one, costs what is said, and no plan costs less. */
static void ck_certificate(const tamis_transport_problem *p, const double *cost, const double *a,
                           const double *b, const tamis_transport_exact_result *r)
{
    double *rows = calloc(p->n, sizeof *rows), *columns = calloc(p->m, sizeof *columns), paid = 0,
           dual = 0, largest = 0;
    for (uint64_t e = 0; e < r->entries; e++) {
        const tamis_transport_entry *x = &r->plan[e];
        ck_assert(x->mass > 0 && x->i < p->n && x->j < p->m);
        ck_assert(e == 0 || x[-1].i < x->i || (x[-1].i == x->i && x[-1].j < x->j));
        rows[x->i] += x->mass;
        columns[x->j] += x->mass;
        paid += x->mass * cost[x->i * p->m + x->j];
    }
    for (uint64_t i = 0; i < p->n * p->m; i++) largest = fmax(largest, fabs(cost[i]));
    for (uint64_t i = 0; i < p->n; i++) {
        ck_assert_double_eq_tol(rows[i], a ? a[i] : r->mass / (double)p->n, 1e-14 * r->mass);
        dual += r->f[i] * (a ? a[i] : r->mass / (double)p->n);
    }
    for (uint64_t j = 0; j < p->m; j++) {
        ck_assert_double_eq_tol(columns[j], b ? b[j] : r->mass / (double)p->m, 1e-14 * r->mass);
        dual += r->g[j] * (b ? b[j] : r->mass / (double)p->m);
    }
    for (uint64_t i = 0; i < p->n; i++)
        for (uint64_t j = 0; j < p->m; j++)
            ck_assert(r->f[i] + r->g[j] <= cost[i * p->m + j] + 2e-12 * largest);
    ck_assert_double_eq_tol(r->distance, paid, 1e-13 * (fabs(paid) + largest * 1e-3) + 1e-300);
    ck_assert_double_eq_tol(dual, paid, 1e-11 * (fabs(paid) + largest * 1e-3) + 1e-300);
    ck_assert(r->gap <= 1e-9 && r->marginal <= 1e-12 && r->slack <= 1e-12 * largest);
    ck_assert_uint_le(r->entries, p->n + p->m - 1);
    free(rows), free(columns);
}

static double solve(const tamis_transport_problem *p)
{
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_transport_exact(context, p, &r, &err));
    double distance = r.distance;
    tamis_transport_exact_fini(&r);
    return distance;
}

/* --- brute force ------------------------------------------------------------------------------ */

/* The least sum over all permutations of what is left. */
static double permute(const double *cost, size_t n, size_t row, unsigned used)
{
    double best = (double)INFINITY;
    if (row == n) return 0;
    for (size_t j = 0; j < n; j++)
        if (!(used & 1u << j))
            best = fmin(best, cost[row * n + j] + permute(cost, n, row + 1, used | 1u << j));
    return best;
}

/* Whole costs of few values have ties everywhere. */
START_TEST(all_permutations)
{
    static const unsigned distinct[] = {1, 2, 3, 10, 1u << 30};
    gsl_rng *rng = random_of((uint64_t)_i);
    double cost[64];
    for (size_t n = 1; n <= 8; n++)
        for (size_t d = 0; d < sizeof distinct / sizeof *distinct; d++) {
            for (size_t i = 0; i < n * n; i++)
                cost[i] = (double)gsl_rng_uniform_int(rng, distinct[d]) - (_i % 2 ? 1 : 0);
            tamis_transport_problem p = {.n = n, .m = n, .cost_f64 = cost};
            tamis_transport_exact_result r = {0};
            ck_ok(tamis_transport_exact(context, &p, &r, &err));
            double wanted = permute(cost, n, 0, 0) / (double)n;
            ck_assert_double_eq_tol(r.distance, wanted, 1e-14 * (fabs(wanted) + 1));
            ck_assert_uint_eq(r.entries, n);
            ck_certificate(&p, cost, NULL, NULL, &r);
            tamis_transport_exact_fini(&r);
        }
    gsl_rng_free(rng);
}
END_TEST

/* --- the reference ---------------------------------------------------------------------------- */

static const char *const cases[] = {
    "8x8_uniform_euclidean",       "8x8_uniform_sqeuclidean",      "8x8_nonuniform_euclidean",
    "8x8_nonuniform_sqeuclidean",  "40x60_uniform_euclidean",      "40x60_uniform_sqeuclidean",
    "40x60_nonuniform_euclidean",  "40x60_nonuniform_sqeuclidean", "300x500_uniform_euclidean",
    "300x500_uniform_sqeuclidean", "300x500_nonuniform_euclidean", "300x500_nonuniform_sqeuclidean",
};

START_TEST(reference)
{
    const char *name = cases[_i];
    uint64_t n, m, columns;
    double *x = reference_f8("ot", name, "x", &n, &columns);
    double *y = reference_f8("ot", name, "y", &m, NULL);
    double *a = reference_f8("ot", name, "a", NULL, NULL);
    double *b = reference_f8("ot", name, "b", NULL, NULL);
    double *cost = reference_costs(x, n, y, m, columns, strstr(name, "sqeuclidean") == NULL);
    char *json = slurp(test_data("reference/ot/values.json"), NULL);
    const char *emd[] = {name, "emd", NULL}, *mean[] = {name, "mean_cost", NULL};
    tamis_transport_problem p = {.n = n, .m = m, .a = a, .b = b, .cost_f64 = cost};
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_transport_exact(context, &p, &r, &err));
    ck_assert_double_eq_tol(r.distance, reference_value(json, emd),
                            1e-10 * reference_value(json, mean));
    ck_certificate(&p, cost, a, b, &r);
    tamis_transport_exact_fini(&r);
    free(x), free(y), free(a), free(b), free(cost), free(json);
}
END_TEST

/* --- costs from everywhere -------------------------------------------------------------------- */

typedef struct table {
    const double *cost;
    uint64_t m, calls;
} table;

static void give_row(void *cookie, uint64_t i, double *cost)
{
    table *t = cookie;
    t->calls++;
    memcpy(cost, t->cost + i * t->m, t->m * sizeof *cost);
}

/* Points against their distances by loops; held, and computed when they do not fit. Many enough for
 * products in float, and with the second half of the cases far from the origin. */
START_TEST(sources)
{
    enum { N = 190, M = 230, D = 101 };
    tamis_context *small = NULL, *smaller = NULL;
    tamis_context_params tight = {.threads = 1, .memory = 1000000}, tighter = {.memory = 690000};
    gsl_rng *rng = random_of(1);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D), *narrow;
    double *a = random_weights(rng, N), *b = random_weights(rng, M);
    ck_ok(tamis_context_create(&small, &tight, &err));
    ck_ok(tamis_context_create(&smaller, &tighter, &err));
    for (size_t i = 0; i < N * D && _i; i++) x[i] += 50.0f;
    for (size_t i = 0; i < M * D && _i; i++) y[i] += 50.0f;
    for (int kind = 0; kind <= (_i ? TAMIS_COST_SQEUCLIDEAN : TAMIS_COST_COSINE); kind++) {
        double *cost = costs_of(x, N, y, M, D, (tamis_transport_cost)kind);
        tamis_transport_problem p = {.n = N, .m = M, .a = a, .b = b, .cost_f64 = cost};
        tamis_transport_exact_result r = {0}, s = {0};
        double wanted = solve(&p);
        tamis_transport_problem points = {.n = N,
                                          .m = M,
                                          .a = a,
                                          .b = b,
                                          .x = x,
                                          .y = y,
                                          .columns = D,
                                          .cost = (tamis_transport_cost)kind};
        ck_ok(tamis_transport_exact(context, &points, &r, &err));
        ck_assert_double_eq_tol(r.distance, wanted, 1e-6 * wanted);
        ck_ok(tamis_transport_exact(small, &points, &s, &err));
        ck_assert(s.distance == r.distance && s.entries == r.entries);
        ck_assert_int_eq(memcmp(s.plan, r.plan, r.entries * sizeof *r.plan), 0);
        ck_assert_int_eq(memcmp(s.f, r.f, N * sizeof *r.f), 0);
        tamis_transport_exact_fini(&s);
        narrow = calloc(N * M, sizeof *narrow);
        for (size_t i = 0; i < N * M; i++) narrow[i] = (float)cost[i];
        tamis_transport_problem f32 = {.n = N, .m = M, .a = a, .b = b, .cost_f32 = narrow};
        ck_assert_double_eq_tol(solve(&f32), wanted, 1e-6 * wanted);
        table t = {cost, M, 0};
        tamis_transport_problem rows = {
            .n = N, .m = M, .a = a, .b = b, .row = give_row, .cookie = &t};
        ck_assert(solve(&rows) == wanted);
        ck_assert_uint_eq(t.calls, N);
        ck_ok(tamis_transport_exact(smaller, &rows, &s, &err));
        ck_assert(s.distance == wanted && t.calls > 2 * N);
        tamis_transport_exact_fini(&r);
        tamis_transport_exact_fini(&s);
        free(cost), free(narrow);
    }
    gsl_rng_free(rng);
    tamis_context_destroy(&small);
    tamis_context_destroy(&smaller);
    free(x), free(y), free(a), free(b);
}
END_TEST

START_TEST(stride_and_masses)
{
    /* 2 points of 3 and 1 units to 2 of 2 each; the third column is not theirs. */
    double cost[] = {1, 5, -9, 4, 2, -9}, a[] = {3, 1}, b[] = {2, 2};
    tamis_transport_problem p = {
        .n = 2, .m = 2, .a = a, .b = b, .cost_f64 = cost, .cost_stride = 3};
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_transport_exact(context, &p, &r, &err));
    ck_assert_double_eq_tol(r.distance, 2 * 1 + 1 * 5 + 1 * 2, 1e-14);
    ck_assert_double_eq(r.mass, 4);
    ck_assert_uint_eq(r.entries, 3);
    tamis_transport_exact_fini(&r);
    p.b = NULL; /* uniform, of a's mass */
    ck_assert_double_eq_tol(solve(&p), 9, 1e-14);
    b[0] = b[1] = 2 + 1e-7;
    p.b = b;
    ck_assert_double_eq_tol(solve(&p), 9, 1e-14);
}
END_TEST

/* --- what a distance must be ------------------------------------------------------------------ */

static double between(const float *x, uint64_t n, const double *a, const float *y, uint64_t m,
                      const double *b, uint64_t columns)
{
    tamis_transport_problem p = {
        .n = n, .m = m, .a = a, .b = b, .x = x, .y = y, .columns = columns};
    return solve(&p);
}

START_TEST(metric)
{
    enum { N = 40, M = 55, K = 25, D = 9 };
    gsl_rng *rng = random_of(2);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D),
          *z = random_points(rng, K, D), *shuffled = calloc(N * D, sizeof *shuffled);
    double *a = random_weights(rng, N), *b = random_weights(rng, M), *c = random_weights(rng, K),
           moved[N];
    uint64_t order[N];
    double xy = between(x, N, a, y, M, b, D), yz = between(y, M, b, z, K, c, D),
           xz = between(x, N, a, z, K, c, D);
    ck_assert_double_eq(between(x, N, a, x, N, a, D), 0);
    ck_assert_double_eq_tol(between(y, M, b, x, N, a, D), xy, 1e-12);
    ck_assert(xz <= xy + yz && xy <= xz + yz && yz <= xy + xz && xy > 0.1);
    tamis__rng_permutation(rng, order, N);
    for (size_t i = 0; i < N; i++) {
        memcpy(shuffled + i * D, x + order[i] * D, D * sizeof *x);
        moved[i] = a[order[i]];
    }
    ck_assert_double_eq_tol(between(shuffled, N, moved, y, M, b, D), xy, 1e-7);
    ck_assert_double_eq_tol(between(shuffled, N, moved, x, N, a, D), 0, 1e-15);
    /* Turned in the plane of the first two columns, and far from the origin. */
    for (size_t i = 0; i < N + M; i++) {
        float *row = i < N ? x + i * D : y + (i - N) * D;
        double p = (double)row[0], q = (double)row[1];
        row[0] = (float)(0.6 * p - 0.8 * q);
        row[1] = (float)(0.8 * p + 0.6 * q);
        for (size_t k = 0; k < D; k++) row[k] += 100.0f;
    }
    ck_assert_double_eq_tol(between(x, N, a, y, M, b, D), xy, 1e-5);
    gsl_rng_free(rng);
    free(x), free(y), free(z), free(shuffled), free(a), free(b), free(c);
}
END_TEST

/* On a line the distance is the area between the distribution functions. */
START_TEST(line)
{
    enum { N = 700, M = 300 };
    gsl_rng *rng = random_of(3);
    float x[N], y[M];
    double area = 0;
    for (int i = 0; i < N; i++) x[i] = (float)gsl_rng_uniform_int(rng, 50);
    for (int j = 0; j < M; j++) y[j] = (float)gsl_rng_uniform_int(rng, 70);
    for (int t = 0; t < 70; t++) {
        int left = 0, right = 0;
        for (int i = 0; i < N; i++) left += x[i] <= (float)t;
        for (int j = 0; j < M; j++) right += y[j] <= (float)t;
        area += fabs((double)left / N - (double)right / M);
    }
    ck_assert_double_eq_tol(between(x, N, NULL, y, M, NULL, 1), area, 1e-5);
    gsl_rng_free(rng);
}
END_TEST

/* Ties in all pivots: it ends, and the result is right by its certificate. */
START_TEST(degenerate)
{
    static const unsigned distinct[] = {1, 2, 5};
    enum { N = 200 };
    gsl_rng *rng = random_of(40 + (uint64_t)_i);
    double *cost = calloc(N * N, sizeof *cost), *a = calloc(N, sizeof *a);
    for (size_t i = 0; i < N * N; i++) cost[i] = (double)gsl_rng_uniform_int(rng, distinct[_i]);
    for (size_t i = 0; i < N; i++) a[i] = (double)(1 + gsl_rng_uniform_int(rng, 3));
    tamis_transport_problem p = {.n = N, .m = N, .cost_f64 = cost};
    for (int weighted = 0; weighted < 2; weighted++) {
        tamis_transport_exact_result r = {0};
        p.a = p.b = weighted ? a : NULL;
        ck_ok(tamis_transport_exact(context, &p, &r, &err));
        ck_certificate(&p, cost, p.a, p.b, &r);
        tamis_transport_exact_fini(&r);
    }
    gsl_rng_free(rng);
    free(cost), free(a);
}
END_TEST

/* Weights over many orders of magnitude, sides of very different sizes, one point. */
START_TEST(shapes)
{
    static const uint64_t size[][2] = {{1, 1}, {1, 50}, {50, 1}, {3, 200}, {200, 3}, {64, 65}};
    uint64_t n = size[_i][0], m = size[_i][1];
    gsl_rng *rng = random_of(50 + (uint64_t)_i);
    double *cost = calloc(n * m, sizeof *cost), *a = random_weights(rng, n),
           *b = random_weights(rng, m), sum = 0;
    for (size_t i = 0; i < n * m; i++) cost[i] = gsl_rng_uniform(rng) - 0.3;
    for (uint64_t j = 0; j < m; j++) b[j] *= pow(10, -12 * gsl_rng_uniform(rng));
    for (uint64_t j = 0; j < m; j++) sum += b[j];
    for (uint64_t j = 0; j < m; j++) b[j] /= sum;
    tamis_transport_problem p = {.n = n, .m = m, .a = a, .b = b, .cost_f64 = cost};
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_transport_exact(context, &p, &r, &err));
    ck_certificate(&p, cost, a, b, &r);
    tamis_transport_exact_fini(&r);
    gsl_rng_free(rng);
    free(cost), free(a), free(b);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(bad_input)
{
    double cost[] = {1, 2, 3, 4}, a[] = {1, 1};
    float x[] = {1, 2, 0, 0};
    tamis_transport_problem good = {.n = 2, .m = 2, .cost_f64 = cost}, p = good;
    tamis_transport_exact_result r = {0};
#define REFUSED(status, text) ck_fails(tamis_transport_exact(context, &p, &r, &err), status, text)
    p.n = 0;
    REFUSED(TAMIS_ERR_ARG, "side a has no points");
    p = good, p.m = 0;
    REFUSED(TAMIS_ERR_ARG, "side b has no points");
    p = good, p.cost_f64 = NULL;
    REFUSED(TAMIS_ERR_ARG, "0 sources");
    p = good, p.x = p.y = x, p.columns = 2;
    REFUSED(TAMIS_ERR_ARG, "2 sources");
    p = (tamis_transport_problem){.n = 2, .m = 2, .x = x, .columns = 2};
    REFUSED(TAMIS_ERR_ARG, "both sides");
    p.y = x, p.cost = TAMIS_COST_COSINE;
    REFUSED(TAMIS_ERR_NUMERIC, "row 1 of side a is zero");
    x[3] = (float)NAN;
    REFUSED(TAMIS_ERR_NUMERIC, "row 1 of side a is not finite");
    p = good, p.cost_stride = 1;
    REFUSED(TAMIS_ERR_ARG, "stride");
    cost[2] = (double)NAN;
    p = good;
    REFUSED(TAMIS_ERR_NUMERIC, "row 1 of side a with row 0 of side b is nan");
    cost[2] = 3;
    p = good, p.a = a, p.b = a;
    a[1] = -1;
    REFUSED(TAMIS_ERR_ARG, "weight 1 of side a is -1");
    a[0] = a[1] = 0;
    REFUSED(TAMIS_ERR_ARG, "the sum 0");
    double b[] = {1, 1.01};
    a[0] = a[1] = 1;
    p.b = b;
    REFUSED(TAMIS_ERR_ARG, "the sum 2 and those of side b 2.01");
    ck_assert_ptr_null(r.plan);
}
END_TEST

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)phase, (void)done, (void)total, (void)unit, (void)note;
    return --*(int *)cookie < 0;
}

START_TEST(cancelled)
{
    double cost[] = {1, 2, 3, 4};
    int left = 0;
    tamis_context *other = NULL;
    tamis_context_params params = {.threads = 1, .progress = stop, .cookie = &left};
    tamis_transport_problem p = {.n = 2, .m = 2, .cost_f64 = cost};
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_context_create(&other, &params, &err));
    for (int allowed = 0;; allowed++) {
        left = allowed;
        tamis_status status = tamis_transport_exact(other, &p, &r, &err);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_CANCELLED);
        ck_assert_int_lt(allowed, 100);
    }
    ck_assert_double_eq(r.distance, 2.5);
    tamis_transport_exact_fini(&r);
    tamis_context_destroy(&other);
}
END_TEST

START_TEST(memory)
{
    gsl_rng *rng = random_of(9);
    float *x = random_points(rng, 10, 3);
    tamis_transport_problem p = {.n = 5, .m = 5, .x = x, .y = x + 15, .columns = 3};
    tamis_transport_exact_result r = {0};
    ck_survives(tamis__fault_memory_after, tamis_transport_exact(context, &p, &r, &err), "none");
    tamis_transport_exact_fini(&r);
    gsl_rng_free(rng);
    free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport exact");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, all_permutations, 0, 6);
    tcase_add_loop_test(c, reference, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_loop_test(c, sources, 0, 2);
    tcase_add_test(c, stride_and_masses);
    tcase_add_test(c, metric);
    tcase_add_test(c, line);
    tcase_add_loop_test(c, degenerate, 0, 3);
    tcase_add_loop_test(c, shapes, 0, 6);
    tcase_add_test(c, bad_input);
    tcase_add_test(c, cancelled);
    tcase_add_test(c, memory);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
