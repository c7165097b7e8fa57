/* Entropic, unbalanced and annealed transport: against the references, plain loops and limits.
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

/* --- the reference ---------------------------------------------------------------------------- */

static const char *const cases[] = {
    "8x8_uniform_euclidean",       "8x8_uniform_sqeuclidean",      "8x8_nonuniform_euclidean",
    "8x8_nonuniform_sqeuclidean",  "40x60_uniform_euclidean",      "40x60_uniform_sqeuclidean",
    "40x60_nonuniform_euclidean",  "40x60_nonuniform_sqeuclidean", "300x500_uniform_euclidean",
    "300x500_uniform_sqeuclidean", "300x500_nonuniform_euclidean", "300x500_nonuniform_sqeuclidean",
};
enum { N_CASES = sizeof cases / sizeof *cases };

typedef struct scene {
    uint64_t n, m;
    double *x, *y, *a, *b, *cost, *cost_a, *cost_b;
} scene;

static scene load(const char *name)
{
    scene s;
    uint64_t columns;
    bool root = strstr(name, "sqeuclidean") == NULL;
    s.x = reference_f8("ot", name, "x", &s.n, &columns);
    s.y = reference_f8("ot", name, "y", &s.m, NULL);
    s.a = reference_f8("ot", name, "a", NULL, NULL);
    s.b = reference_f8("ot", name, "b", NULL, NULL);
    s.cost = reference_costs(s.x, s.n, s.y, s.m, columns, root);
    s.cost_a = reference_costs(s.x, s.n, s.x, s.n, columns, root);
    s.cost_b = reference_costs(s.y, s.m, s.y, s.m, columns, root);
    return s;
}

static void unload(scene *s)
{
    free(s->x), free(s->y), free(s->a), free(s->b), free(s->cost), free(s->cost_a), free(s->cost_b);
}

static void ck_potential(const char *name, const char *epsilon, const char *which,
                         const double *found, uint64_t n, double tolerance)
{
    char what[40];
    snprintf(what, sizeof what, "sinkhorn%s_%s", epsilon, which);
    double *wanted = reference_f8("ot", name, what, NULL, NULL);
    for (uint64_t i = 0; i < n; i++) ck_assert_double_eq_tol(found[i], wanted[i], tolerance);
    free(wanted);
}

START_TEST(reference)
{
    static const char *const epsilons[] = {"1", "0.1", "0.01"}, *const keys[] = {"1.0", "0.1",
                                                                                 "0.01"};
    const char *name = cases[_i];
    scene s = load(name);
    char *json = slurp(test_data("reference/ot/values.json"), NULL);
    const char *mean_key[] = {name, "mean_cost", NULL};
    double mean = reference_value(json, mean_key);
    tamis_transport_problem p = {.n = s.n, .m = s.m, .a = s.a, .b = s.b, .cost_f64 = s.cost};
    tamis_transport_problem self_a = {.n = s.n, .m = s.n, .cost_f64 = s.cost_a};
    tamis_transport_problem self_b = {.n = s.m, .m = s.m, .cost_f64 = s.cost_b};
    for (int e = 0; e < 3; e++) {
        char place[60];
        snprintf(place, sizeof place, "eps_over_mean_cost\": %s,\n    \"eps", keys[e]);
        const char *epsilon[] = {name, place, NULL},
                   *transport[] = {name, place, "transport_cost", NULL},
                   *regularised[] = {name, place, "regularised", NULL},
                   *debiased[] = {name, place, "debiased_divergence", NULL};
        tamis_transport_entropic_params params = {
            .epsilon = reference_value(json, epsilon), .tolerance = 1e-11, .iterations = 100000};
        tamis_transport_entropic_result r = {0};
        double divergence;
        ck_assert_double_eq_tol(params.epsilon, strtod(keys[e], NULL) * mean, 1e-12 * mean);
        ck_ok(tamis_transport_divergence(context, &p, &self_a, &self_b, &params, &divergence, &r,
                                         &err));
        ck_assert(r.converged && !r.online);
        ck_assert_double_eq_tol(r.mass, 1, 1e-11);
        ck_assert_double_eq_tol(r.transport, reference_value(json, transport), 1e-8 * mean);
        ck_assert_double_eq_tol(r.regularised, reference_value(json, regularised), 1e-8 * mean);
        ck_assert_double_eq_tol(divergence, reference_value(json, debiased), 1e-8 * mean);
        ck_potential(name, epsilons[e], "f", r.f, s.n, 1e-7 * mean);
        ck_potential(name, epsilons[e], "g", r.g, s.m, 1e-7 * mean);
        tamis_transport_entropic_fini(&r);
    }
    free(json);
    unload(&s);
}
END_TEST

/* --- plans and plain loops -------------------------------------------------------------------- */

/* Row and column sums, cost, and the two other terms of what is minimised. */
typedef struct sums {
    double rows[100], columns[100], cost, entropy, mass;
} sums;

static sums sums_of(const double *plan, const double *cost, const double *a, const double *b,
                    uint64_t n, uint64_t m, double mass)
{
    sums s = {.mass = 0};
    double product = 0;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < m; j++) {
            double p = plan[i * m + j], q = a[i] * b[j] / mass;
            s.rows[i] += p;
            s.columns[j] += p;
            s.cost += p * cost[i * m + j];
            s.mass += p;
            s.entropy += p > 0 ? p * log(p / q) : 0;
            product += q;
        }
    s.entropy += product - s.mass;
    return s;
}

/* The plan of the result has the marginals, cost and value that the result tells. Masses other than
 * 1. */
START_TEST(plans)
{
    enum { N = 37, M = 53, D = 5 };
    gsl_rng *rng = random_of(1);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N), *b = random_weights(rng, M), *p = calloc(N * M, sizeof *p);
    double *cost = costs_of(x, N, y, M, D, TAMIS_COST_SQEUCLIDEAN);
    for (int i = 0; i < N; i++) a[i] *= 3;
    for (int j = 0; j < M; j++) b[j] *= 3;
    tamis_transport_problem problem = {.n = N, .m = M, .a = a, .b = b, .cost_f64 = cost};
    tamis_transport_entropic_params params = {.epsilon = 0.05, .tolerance = 1e-12};
    tamis_transport_entropic_result r = {0};
    ck_ok(tamis_transport_entropic(context, &problem, &params, &r, &err));
    ck_ok(tamis_transport_plan(context, &problem, &params, &r, 0, 7, p, &err));
    ck_ok(tamis_transport_plan(context, &problem, &params, &r, 7, N - 7, p + 7 * M, &err));
    sums s = sums_of(p, cost, a, b, N, M, 3);
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol(s.rows[i], a[i], 1e-11);
    for (int j = 0; j < M; j++) ck_assert_double_eq_tol(s.columns[j], b[j], 1e-11);
    ck_assert_double_eq_tol(r.mass, 3, 1e-11);
    ck_assert_double_eq_tol(r.transport, s.cost, 1e-11);
    ck_assert_double_eq_tol(r.regularised, s.cost + 0.05 * s.entropy, 1e-10);
    ck_fails(tamis_transport_plan(context, &problem, &params, &r, 7, N - 6, p, &err), TAMIS_ERR_ARG,
             "rows 7 to 38");
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(x), free(y), free(a), free(b), free(p), free(cost);
}
END_TEST

/* The value of the unbalanced plan is what its definition says, and moving any part of it, up or
 * down, makes it worse. Without a reach to speak of, nothing is moved; with one without bounds, it
 * is balanced. */
static double unbalanced_value(const double *plan, const double *cost, const double *a,
                               const double *b, uint64_t n, uint64_t m, double epsilon,
                               double reach)
{
    sums s = sums_of(plan, cost, a, b, n, m, 1);
    double value = s.cost + epsilon * s.entropy;
    for (uint64_t i = 0; i < n; i++)
        value += reach *
                 ((s.rows[i] > 0 ? s.rows[i] * log(s.rows[i] / a[i]) : 0) - s.rows[i] + a[i]);
    for (uint64_t j = 0; j < m; j++)
        value += reach * ((s.columns[j] > 0 ? s.columns[j] * log(s.columns[j] / b[j]) : 0) -
                          s.columns[j] + b[j]);
    return value;
}

START_TEST(unbalanced)
{
    enum { N = 12, M = 17, D = 3 };
    gsl_rng *rng = random_of(2);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N), *b = random_weights(rng, M), *p = calloc(N * M, sizeof *p);
    double *cost = costs_of(x, N, y, M, D, TAMIS_COST_EUCLIDEAN);
    for (int j = 0; j < M; j++) b[j] *= 1.7;
    tamis_transport_problem problem = {.n = N, .m = M, .a = a, .b = b, .cost_f64 = cost};
    tamis_transport_entropic_params params = {.epsilon = 0.1, .tolerance = 1e-13, .reach = 0.4};
    tamis_transport_entropic_result r = {0};
    ck_ok(tamis_transport_entropic(context, &problem, &params, &r, &err));
    ck_assert(r.converged);
    ck_ok(tamis_transport_plan(context, &problem, &params, &r, 0, N, p, &err));
    double value = unbalanced_value(p, cost, a, b, N, M, 0.1, 0.4);
    sums s = sums_of(p, cost, a, b, N, M, 1);
    ck_assert_double_eq_tol(r.regularised, value, 1e-10);
    ck_assert_double_eq_tol(r.transport, s.cost, 1e-10);
    ck_assert_double_eq_tol(r.mass, s.mass, 1e-10);
    ck_assert(s.mass < 1.7);
    for (int e = 0; e < N * M; e++)
        for (int up = 0; up < 2; up++) {
            double was = p[e];
            p[e] *= up ? 1.05 : 0.95;
            ck_assert(unbalanced_value(p, cost, a, b, N, M, 0.1, 0.4) >= value - 1e-14);
            p[e] = was;
        }
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(x), free(y), free(a), free(b), free(p), free(cost);
}
END_TEST

START_TEST(limits_of_reach)
{
    enum { N = 30, M = 41, D = 4 };
    gsl_rng *rng = random_of(3);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N), *b = random_weights(rng, M);
    tamis_transport_problem problem = {
        .n = N, .m = M, .a = a, .b = b, .x = x, .y = y, .columns = D};
    tamis_transport_entropic_params params = {.epsilon = 0.05, .tolerance = 1e-11};
    tamis_transport_entropic_result balanced = {0}, r = {0};
    ck_ok(tamis_transport_entropic(context, &problem, &params, &balanced, &err));
    double before = 1;
    for (double reach = 1; reach < 1e9; reach *= 1000) {
        params.reach = reach;
        ck_ok(tamis_transport_entropic(context, &problem, &params, &r, &err));
        double off = fabs(r.regularised - balanced.regularised);
        ck_assert(r.converged && off < before);
        ck_assert(off < 2 / reach + 1e-9 &&
                  fabs(r.transport - balanced.transport) < 2 / reach + 1e-9);
        before = off;
        tamis_transport_entropic_fini(&r);
    }
    params.reach = 1e-4;
    ck_ok(tamis_transport_entropic(context, &problem, &params, &r, &err));
    ck_assert(r.mass < 0.05);
    ck_assert_double_eq_tol(r.regularised, 0.05 + 2e-4, 1e-6);
    tamis_transport_entropic_fini(&r);
    tamis_transport_entropic_fini(&balanced);
    gsl_rng_free(rng);
    free(x), free(y), free(a), free(b);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

static void ck_same(const tamis_transport_entropic_result *r,
                    const tamis_transport_entropic_result *s, uint64_t n, uint64_t m)
{
    ck_assert(r->transport == s->transport && r->regularised == s->regularised);
    ck_assert(r->marginal == s->marginal && r->mass == s->mass && r->iterations == s->iterations);
    ck_assert_int_eq(memcmp(r->f, s->f, n * sizeof *r->f), 0);
    ck_assert_int_eq(memcmp(r->g, s->g, m * sizeof *r->g), 0);
}

/* Any number of threads, costs held or not; and near the exact distance when epsilon is small. */
START_TEST(same_bits)
{
    static const tamis_context_params other[] = {
        {.threads = 1}, {.threads = 3}, {.threads = 2, .memory = 1500000}};
    enum { N = 333, M = 610, D = 70 };
    gsl_rng *rng = random_of(4);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N);
    memcpy(y + 5 * D, x + 9 * D, D * sizeof *x); /* a pair with cost 0 */
    tamis_transport_problem p = {
        .n = N, .m = M, .a = a, .x = x, .y = y, .columns = D, .cost = (tamis_transport_cost)_i};
    tamis_transport_entropic_params params = {.tolerance = 1e-7};
    tamis_transport_entropic_result r = {0}, s = {0};
    tamis_transport_exact_result exact = {0};
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    ck_assert(r.converged && !r.online && r.bytes == N * M * sizeof(float));
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        tamis_context *again = NULL;
        ck_ok(tamis_context_create(&again, &other[k], &err));
        ck_ok(tamis_transport_entropic(again, &p, &params, &s, &err));
        ck_assert_int_eq(s.online, other[k].memory > 0);
        ck_same(&r, &s, N, M);
        tamis_transport_entropic_fini(&s);
        tamis_context_destroy(&again);
    }
    ck_ok(tamis_transport_exact(context, &p, &exact, &err));
    ck_assert(r.transport >= exact.distance * (1 - 1e-5));
    ck_assert(r.transport <= exact.distance * 1.05);
    tamis_transport_exact_fini(&exact);
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(x), free(y), free(a);
}
END_TEST

/* --- costs from everywhere -------------------------------------------------------------------- */

static void give_row(void *cookie, uint64_t i, double *cost)
{
    const double *all = cookie;
    memcpy(cost, all + i * 71, 71 * sizeof *cost);
}

/* The same numbers as doubles, as floats with a stride, and from a function: the same bits. */
START_TEST(sources)
{
    enum { N = 45, M = 71, STRIDE = 80 };
    gsl_rng *rng = random_of(8);
    double *cost = calloc(N * M, sizeof *cost), *row = calloc(M, sizeof *row);
    double *again = calloc(M, sizeof *again);
    float *narrow = calloc(N * STRIDE, sizeof *narrow);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            cost[i * M + j] = (double)(narrow[i * STRIDE + j] = (float)gsl_rng_uniform(rng));
    tamis_transport_problem f64 = {.n = N, .m = M, .cost_f64 = cost};
    tamis_transport_problem other[] = {
        {.n = N, .m = M, .cost_f32 = narrow, .cost_stride = STRIDE},
        {.n = N, .m = M, .row = give_row, .cookie = cost},
    };
    tamis_transport_entropic_params params = {.epsilon = 0.05};
    tamis_transport_entropic_result r = {0}, s = {0};
    ck_ok(tamis_transport_entropic(context, &f64, &params, &r, &err));
    ck_ok(tamis_transport_plan(context, &f64, &params, &r, N - 1, 1, row, &err));
    for (int k = 0; k < 2; k++) {
        ck_ok(tamis_transport_entropic(context, &other[k], &params, &s, &err));
        ck_same(&r, &s, N, M);
        ck_ok(tamis_transport_plan(context, &other[k], &params, &s, N - 1, 1, again, &err));
        ck_assert_int_eq(memcmp(row, again, M * sizeof *row), 0);
        tamis_transport_entropic_fini(&s);
    }
    tamis_context *small = NULL;
    tamis_context_params tight = {.threads = 1, .memory = N * M * 8};
    ck_ok(tamis_context_create(&small, &tight, &err));
    ck_fails(tamis_transport_entropic(small, &other[1], &params, &s, &err), TAMIS_ERR_NOMEM,
             "45 x 71 costs of a function");
    /* Floats are taken in place, whatever the limit. */
    ck_ok(tamis_transport_entropic(small, &other[0], &params, &s, &err));
    ck_assert(s.bytes == 0);
    ck_same(&r, &s, N, M);
    tamis_transport_entropic_fini(&s);
    tamis_context_destroy(&small);
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(cost), free(row), free(again), free(narrow);
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
    double cost[] = {1, 2, 3, 4.5};
    int left = 0;
    tamis_context *other = NULL;
    tamis_context_params watched = {.threads = 1, .progress = stop, .cookie = &left};
    tamis_transport_problem p = {.n = 2, .m = 2, .cost_f64 = cost};
    tamis_transport_entropic_params params = {.epsilon = 0.5};
    tamis_transport_entropic_result r = {0};
    ck_ok(tamis_context_create(&other, &watched, &err));
    int allowed = 0;
    for (;; allowed++) {
        left = allowed;
        tamis_status status = tamis_transport_entropic(other, &p, &params, &r, &err);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_CANCELLED);
        ck_assert_ptr_null(r.f);
        ck_assert_int_lt(allowed, 10000);
    }
    ck_assert_int_gt(allowed, 10);
    tamis_transport_entropic_fini(&r);
    tamis_context_destroy(&other);
}
END_TEST

/* --- the divergence --------------------------------------------------------------------------- */

START_TEST(divergences)
{
    enum { N = 60, M = 45, D = 6 };
    gsl_rng *rng = random_of(60 + (uint64_t)_i);
    float *x = random_points(rng, N, D), *y = random_points(rng, M, D);
    double *a = random_weights(rng, N), *b = random_weights(rng, M), xy, yx, xx;
    tamis_transport_entropic_params params = {
        .epsilon = _i % 2 ? 0.02 : 1.0, .reach = _i >= 6 ? 0.5 : 0, .tolerance = 1e-9};
    tamis_transport_problem p = {.n = N,
                                 .m = M,
                                 .a = a,
                                 .b = b,
                                 .x = x,
                                 .y = y,
                                 .columns = D,
                                 .cost = (tamis_transport_cost)(_i / 2 % 3)};
    tamis_transport_problem q = p, same = p;
    q.n = M, q.m = N, q.a = b, q.b = a, q.x = y, q.y = x;
    same.m = N, same.b = a, same.y = x;
    ck_ok(tamis_transport_divergence(context, &p, NULL, NULL, &params, &xy, NULL, &err));
    ck_ok(tamis_transport_divergence(context, &q, NULL, NULL, &params, &yx, NULL, &err));
    ck_ok(tamis_transport_divergence(context, &same, NULL, NULL, &params, &xx, NULL, &err));
    ck_assert(xy > 1e-4);
    ck_assert_double_eq_tol(xy, yx, 1e-6);
    ck_assert(xx >= 0 && xx < 1e-7);
    /* Nearly the same sets: small and never negative. */
    for (int k = 0; k < 4; k++) {
        float *z = calloc(N * D, sizeof *z);
        for (int i = 0; i < N * D; i++)
            z[i] = x[i] + (float)((gsl_rng_uniform(rng) - 0.5) * pow(10, -1 - 2 * k));
        same.y = z;
        ck_ok(tamis_transport_divergence(context, &same, NULL, NULL, &params, &xx, NULL, &err));
        ck_assert(xx >= 0 && xx < xy);
        free(z);
    }
    gsl_rng_free(rng);
    free(x), free(y), free(a), free(b);
}
END_TEST

/* --- as released ------------------------------------------------------------------------------ */

static float *reference_f4(const char *name, uint64_t *ret_rows, uint64_t *ret_columns)
{
    char path[100];
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/tarot/%s.npy", name);
    ck_ok(tamis__npy_open(&npy, NULL, test_data(path), &err));
    float *out = malloc(npy.rows * npy.cols * sizeof *out);
    tamis__npy_rows(&npy, 0, npy.rows, out, npy.cols);
    if (ret_rows) *ret_rows = npy.rows;
    if (ret_columns) *ret_columns = npy.cols;
    tamis__npy_close(&npy);
    return out;
}

static double *tarot_scores(const char *name)
{
    char path[100];
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/tarot/%s.npy", name);
    ck_ok(tamis__npy_open(&npy, NULL, test_data(path), &err));
    ck_assert_int_eq(npy.type, TAMIS__NPY_F8);
    double *out = malloc(npy.rows * npy.cols * sizeof *out);
    memcpy(out, npy.data, npy.rows * npy.cols * sizeof *out);
    tamis__npy_close(&npy);
    return out;
}

/* The released library's value and potentials, the exact distance, and the converged entropic
 * values, of its own selection and all targets. */
START_TEST(tarot)
{
    static const char *const variant[] = {"code", "paper"}, *const set[] = {"fixed_size", "otm"};
    const char *v = variant[_i / 2], *s = set[_i % 2];
    char name[60], key[40], *json = slurp(test_data("reference/tarot/values.json"), NULL);
    uint64_t n, m, columns;
    snprintf(name, sizeof name, "%s_gcand", v);
    float *candidates = reference_f4(name, NULL, &columns);
    snprintf(name, sizeof name, "%s_gtarget", v);
    float *target = reference_f4(name, &m, NULL);
    snprintf(name, sizeof name, "%s_%s_selected", v, s);
    float *selected = reference_f4(name, &n, NULL);
    snprintf(name, sizeof name, "%s_%s_weight", v, s);
    float *weight = reference_f4(name, NULL, NULL);
    float *x = calloc(n * columns, sizeof *x);
    for (uint64_t i = 0; i < n; i++)
        memcpy(x + i * columns, candidates + (size_t)selected[i] * columns, columns * sizeof *x);
    snprintf(name, sizeof name, "%s_scores_f64", v);
    double *scores = tarot_scores(name), *cost = calloc(n * m, sizeof *cost);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < m; j++)
            cost[i * m + j] = sqrt(fabs(2 - 2 * scores[(size_t)selected[i] * m + j]));
    tamis_transport_problem p = {.n = n, .m = m, .cost_f64 = cost};
    tamis_transport_problem points = {
        .n = n, .m = m, .x = x, .y = target, .columns = columns, .cost = TAMIS_COST_COSINE};
    snprintf(key, sizeof key, "%s_library", s);
    const char *keys[] = {v, key, NULL, NULL};
#define WANTED(what) (keys[2] = (what), reference_value(json, keys))
    tamis_transport_annealed_result r = {0};
    ck_ok(tamis_transport_annealed(context, &points, 0, &r, &err));
    double diameter = r.diameter;
    ck_assert_double_eq_tol(r.value, WANTED("library_schedule_sinkhorn"), 1e-4);
    tamis_transport_annealed_fini(&r);
    ck_ok(tamis_transport_annealed(context, &p, diameter, &r, &err));
    ck_assert_double_eq_tol(r.value, WANTED("library_schedule_sinkhorn"), 1e-5);
    ck_assert_uint_eq(r.iterations, 10 + (r.diameter > 2.56) + (r.diameter > 5.12));
    for (uint64_t i = 0; i < n; i++) ck_assert_double_eq_tol(r.f[i], (double)weight[i], 5e-4);
    tamis_transport_annealed_fini(&r);
    tamis_transport_exact_result exact = {0};
    ck_ok(tamis_transport_exact(context, &p, &exact, &err));
    ck_assert_double_eq_tol(exact.distance, WANTED("exact_emd"), 1e-9);
    tamis_transport_exact_fini(&exact);
    tamis_transport_entropic_params params = {.epsilon = WANTED("converged_sinkhorn_eps"),
                                              .tolerance = 1e-11};
    tamis_transport_entropic_result e = {0};
    ck_ok(tamis_transport_entropic(context, &p, &params, &e, &err));
    ck_assert(e.converged);
    ck_assert_double_eq_tol(e.transport, WANTED("converged_sinkhorn_transport_cost"), 1e-8);
    ck_assert_double_eq_tol(e.regularised, WANTED("converged_sinkhorn_dual"), 1e-8);
    tamis_transport_entropic_fini(&e);
    free(candidates), free(target), free(selected), free(weight), free(x), free(json);
    free(scores), free(cost);
}
END_TEST

/* --- ends of the range ------------------------------------------------------------------------ */

/* One point each side; all points the same; an epsilon far above and far below the costs. */
START_TEST(small_and_equal)
{
    float one[] = {1, 2}, other[] = {4, 6}, same[] = {3, 3, 3, 3, 3, 3};
    tamis_transport_problem p = {.n = 1, .m = 1, .x = one, .y = other, .columns = 2};
    tamis_transport_entropic_params params = {.epsilon = 1e-6};
    tamis_transport_entropic_result r = {0};
    tamis_transport_annealed_result annealed = {0};
    for (; params.epsilon < 1e7; params.epsilon *= 1e6) {
        ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
        ck_assert(r.converged);
        ck_assert_double_eq_tol(r.transport, 5, 1e-6);
        ck_assert_double_eq_tol(r.regularised, 5, 1e-6);
        tamis_transport_entropic_fini(&r);
    }
    p = (tamis_transport_problem){.n = 3, .m = 2, .x = same, .y = same, .columns = 2};
    ck_ok(tamis_transport_entropic(context, &p, NULL, &r, &err));
    ck_assert(r.converged && r.transport == 0 && fabs(r.regularised) < 1e-14);
    tamis_transport_entropic_fini(&r);
    ck_ok(tamis_transport_annealed(context, &p, 0, &annealed, &err));
    ck_assert(fabs(annealed.value) < 1e-14 && annealed.diameter == 0);
    tamis_transport_annealed_fini(&annealed);
}
END_TEST

/* Too few iterations are told, by the result and in the log. */
static unsigned warnings;

static void count_warning(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    if (level == TAMIS_LOG_WARNING && strstr(line, "not converged")) warnings++;
}

START_TEST(not_converged)
{
    enum { N = 30, D = 2 };
    gsl_rng *rng = random_of(6);
    float *x = random_points(rng, 2 * N, D);
    tamis_context *loud = NULL;
    tamis_context_params listen = {.threads = 1, .log = count_warning};
    tamis_transport_problem p = {.n = N, .m = N, .x = x, .y = x + N * D, .columns = D};
    tamis_transport_entropic_params params = {.epsilon = 1e-3, .tolerance = 1e-10, .iterations = 3};
    tamis_transport_entropic_result r = {0};
    ck_ok(tamis_context_create(&loud, &listen, &err));
    warnings = 0;
    ck_ok(tamis_transport_entropic(loud, &p, &params, &r, &err));
    ck_assert(!r.converged && r.marginal > 1e-10);
    ck_assert_uint_eq(warnings, 1);
    tamis_transport_entropic_fini(&r);
    tamis_context_destroy(&loud);
    gsl_rng_free(rng);
    free(x);
}
END_TEST

START_TEST(bad_input)
{
    double cost[] = {1, 2, 3, 4}, a[] = {1, 2}, b[] = {2, 2}, divergence;
    tamis_transport_problem p = {.n = 2, .m = 2, .cost_f64 = cost}, self = p;
    tamis_transport_entropic_params params = {.epsilon = -1};
    tamis_transport_entropic_result r = {0};
#define REFUSED(status, text)                                                                      \
    ck_fails(tamis_transport_entropic(context, &p, &params, &r, &err), status, text)
    REFUSED(TAMIS_ERR_ARG, "epsilon is -1");
    params = (tamis_transport_entropic_params){.tolerance = 1};
    REFUSED(TAMIS_ERR_ARG, "tolerance is 1");
    params = (tamis_transport_entropic_params){.scaling = 1.5};
    REFUSED(TAMIS_ERR_ARG, "scaling is 1.5");
    params = (tamis_transport_entropic_params){.reach = (double)INFINITY};
    REFUSED(TAMIS_ERR_ARG, "reach is inf");
    params = (tamis_transport_entropic_params){0};
    p.a = a, p.b = b;
    REFUSED(TAMIS_ERR_ARG, "the sum 3 and those of side b 4");
    params.reach = 1;
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    tamis_transport_entropic_fini(&r);
    ck_fails(tamis_transport_divergence(context, &p, &self, NULL, &params, &divergence, NULL, &err),
             TAMIS_ERR_ARG, "side b with itself");
    self.n = 3;
    ck_fails(
        tamis_transport_divergence(context, &p, &self, &self, &params, &divergence, NULL, &err),
        TAMIS_ERR_ARG, "3 x 2");
    ck_fails(tamis_transport_plan(context, &p, &params, &r, 0, 1, &divergence, &err), TAMIS_ERR_ARG,
             "solve first");
    ck_assert_ptr_null(r.f);
}
END_TEST

START_TEST(memory)
{
    gsl_rng *rng = random_of(9);
    float *x = random_points(rng, 10, 3);
    double value, row[5];
    tamis_transport_problem p = {.n = 5, .m = 5, .x = x, .y = x + 15, .columns = 3};
    tamis_transport_entropic_params params = {.epsilon = 0.3};
    tamis_transport_entropic_result r = {0};
    ck_survives(tamis__fault_memory_after,
                tamis_transport_divergence(context, &p, NULL, NULL, &params, &value, &r, &err),
                "none");
    ck_survives(tamis__fault_memory_after,
                tamis_transport_plan(context, &p, &params, &r, 0, 1, row, &err), "none");
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport entropic");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, reference, 0, N_CASES);
    tcase_add_test(c, plans);
    tcase_add_test(c, unbalanced);
    tcase_add_test(c, limits_of_reach);
    tcase_add_loop_test(c, same_bits, 0, 3);
    tcase_add_test(c, sources);
    tcase_add_test(c, cancelled);
    tcase_add_loop_test(c, divergences, 0, 12);
    tcase_add_loop_test(c, tarot, 0, 4);
    tcase_add_test(c, small_and_equal);
    tcase_add_test(c, not_converged);
    tcase_add_test(c, bad_input);
    tcase_add_test(c, memory);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
