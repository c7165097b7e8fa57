/* Whitening: mean, covariance, shrinkage and factor against plain loops in double, and what comes
 * of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "whiten_rows.h"

#include "linalg/blas.h"
#include "linalg/lapack.h"

static tamis_context *context;
static table tables[2];
static tamis_store *train, *targets;
static plain joint;

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    tables[0] = make_table("t.h5", 1, TRAIN, COLUMNS, CHECKPOINTS);
    tables[1] = make_table("q.h5", 2, TARGETS, COLUMNS, CHECKPOINTS);
    train = store_of(context, &tables[0]);
    targets = store_of(context, &tables[1]);
    joint = plain_of(tables, 2);
}

static void teardown(void)
{
    free_plain(&joint);
    tamis_store_close(&train);
    tamis_store_close(&targets);
    for (int i = 0; i < 2; i++) free_table(&tables[i]);
    tamis_context_destroy(&context);
    leave_scratch();
}

static void fit_joint(tamis_curvature_stage until, const tamis_whiten_params *whiten,
                      const char *path)
{
    tamis_fit_curvature_params params = whiten_params(train, path, until, whiten);
    params.with = &targets;
    params.n_with = 1;
    ck_ok(tamis_fit_curvature(context, &params, &err));
}

/* --- sums ------------------------------------------------------------------------------------- */

/* Means are up to 160 and deviations near 1: sums of x x^T would lose five digits. */
START_TEST(test_sums)
{
    fit_joint(TAMIS_STAGE_COVARIANCE, NULL, "s");
    tamis_curvature *c = open_curvature(context, "s");
    const tamis_curvature_info *info = tamis_curvature_info_get(c);
    ck_assert_int_eq((int)info->kind, TAMIS_CURVATURE_WHITEN);
    ck_assert_uint_eq(info->examples, TRAIN + TARGETS);
    ck_assert_uint_eq(info->checkpoint, CHECKPOINTS);
    ck_assert_ptr_null(info->whiten);
    double *mean = array(c, TAMIS__WHITEN_MEAN), *scatter = array(c, TAMIS__WHITEN_SCATTER),
           *third = array(c, TAMIS__WHITEN_THIRD), *fourth = array(c, TAMIS__WHITEN_FOURTH);
    ck_assert_double_lt(off(mean, joint.mean, COLUMNS), 1e-14);
    ck_assert_double_lt(off(scatter, joint.scatter, COLUMNS * COLUMNS), 1e-13);
    ck_assert_double_lt(off(third, joint.third, COLUMNS), 1e-11);
    ck_assert_double_lt(off(fourth, &joint.fourth, 1), 1e-13);
    free(mean);
    free(scatter);
    free(third);
    free(fourth);
    tamis_curvature_close(&c);
}
END_TEST

/* --- shrinkage, damping, factor --------------------------------------------------------------- */

/* The weight as in the paper: a matrix for every row. */
static double plain_weight(const plain *m, double mean)
{
    double d2 = 0, b2 = 0, n = (double)m->rows;
    for (uint64_t a = 0; a < m->p; a++)
        for (uint64_t b = 0; b < m->p; b++)
            d2 += pow(m->scatter[a * m->p + b] / n - (a == b ? mean : 0), 2);
    for (uint64_t i = 0; i < m->rows; i++)
        for (uint64_t a = 0; a < m->p; a++)
            for (uint64_t b = 0; b < m->p; b++)
                b2 += pow(m->x[i * m->p + a] * m->x[i * m->p + b] - m->scatter[a * m->p + b] / n,
                          2);
    b2 /= n * n;
    return fmin(b2, d2) / d2;
}

/* The damped covariance that the options ask for. */
static double *plain_covariance(const plain *m, const tamis_whiten_params *o, double *ret_weight,
                                double *ret_damping)
{
    double mean = 0, n = (double)m->rows, *c = calloc(m->p * m->p, sizeof *c);
    for (uint64_t a = 0; a < m->p; a++) mean += m->scatter[a * m->p + a] / n / (double)m->p;
    *ret_weight = o->shrinkage == TAMIS_SHRINKAGE_NONE ? 0.0 : plain_weight(m, mean);
    *ret_damping = o->absolute ? o->damping : o->damping * mean;
    for (uint64_t i = 0; i < m->p * m->p; i++) c[i] = m->scatter[i] / n * (1 - *ret_weight);
    for (uint64_t a = 0; a < m->p; a++) c[a * m->p + a] += *ret_weight * mean + *ret_damping;
    return c;
}

static const tamis_whiten_params options[] = {
    {.damping = 1e-5},
    {.damping = 0.03, .absolute = true},
    {.damping = 0, .shrinkage = TAMIS_SHRINKAGE_LEDOIT_WOLF},
    {.damping = 0.01, .shrinkage = TAMIS_SHRINKAGE_LEDOIT_WOLF},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static void ck_factor(const tamis_curvature *c, const double *covariance, double damping)
{
    const tamis_whiten_facts *f = tamis_curvature_info_get(c)->whiten;
    double *l = array(c, TAMIS__WHITEN_FACTOR), *values = array(c, TAMIS__WHITEN_EIGENVALUES);
    double *back = calloc(COLUMNS * COLUMNS, sizeof *back), trace = 0, sum = 0, entropy = 0;
    for (int i = 0; i < COLUMNS; i++)
        for (int j = 0; j < COLUMNS; j++)
            for (int k = 0; k <= (i < j ? i : j); k++)
                back[i * COLUMNS + j] += l[i * COLUMNS + k] * l[j * COLUMNS + k];
    ck_assert_double_lt(off(back, covariance, COLUMNS * COLUMNS), 1e-13);
    for (int i = 0; i < COLUMNS; i++) {
        trace += covariance[i * COLUMNS + i] - damping;
        sum += values[i];
        for (int j = i + 1; j < COLUMNS; j++) ck_assert(l[i * COLUMNS + j] == 0.0);
    }
    for (int i = 0; i < COLUMNS; i++) entropy -= values[i] / sum * log(values[i] / sum);
    ck_assert_double_eq_tol(sum, trace, 1e-11 * trace);
    ck_assert_double_eq_tol(f->effective_rank, exp(entropy), 1e-9 * exp(entropy));
    ck_assert(f->least == values[0] && f->most == values[COLUMNS - 1]);
    ck_assert_double_eq_tol(f->condition, (f->most + damping) / (f->least + damping),
                            1e-9 * f->condition);
    free(l);
    free(values);
    free(back);
}

START_TEST(test_factor)
{
    double weight, damping, *want = plain_covariance(&joint, &options[_i], &weight, &damping);
    fit_joint(TAMIS_STAGE_FINAL, &options[_i], "w");
    tamis_curvature *c = open_curvature(context, "w");
    const tamis_whiten_facts *f = tamis_curvature_info_get(c)->whiten;
    ck_assert_ptr_nonnull(f);
    ck_assert_double_eq_tol(f->shrinkage, weight, 1e-11);
    ck_assert_double_eq_tol(f->damping, damping, 1e-13);
    ck_assert(f->params.damping == options[_i].damping);
    ck_assert_int_eq(f->params.absolute, options[_i].absolute);
    ck_assert_int_eq((int)f->params.shrinkage, (int)options[_i].shrinkage);
    if (weight > 0) ck_assert(weight > 0.01 && weight < 0.9);
    ck_factor(c, want, damping);
    free(want);
    tamis_curvature_close(&c);
}
END_TEST

/* --- features --------------------------------------------------------------------------------- */

/* [rows, COLUMNS] of both stores, one after the other. */
static float *features_of(const tamis__whitening *w, bool unit)
{
    float *z = calloc((TRAIN + TARGETS) * COLUMNS, sizeof *z);
    ck_assert_ptr_nonnull(z);
    ck_ok(tamis__features(context, train, w, unit, 0, TRAIN, z, &err));
    ck_ok(tamis__features(context, targets, w, unit, 0, TARGETS, z + TRAIN * COLUMNS, &err));
    return z;
}

/* L^-1 y by substitution. */
static void substitute(const double *l, const double *y, double *z)
{
    for (int i = 0; i < COLUMNS; i++) {
        z[i] = y[i];
        for (int j = 0; j < i; j++) z[i] -= l[i * COLUMNS + j] * z[j];
        z[i] /= l[i * COLUMNS + i];
    }
}

/* The covariance of whitened rows is the identity, but for the damping. */
START_TEST(test_features)
{
    tamis__whitening w;
    fit_joint(TAMIS_STAGE_FINAL, NULL, "w");
    tamis_curvature *c = open_curvature(context, "w");
    const tamis_whiten_facts *f = tamis_curvature_info_get(c)->whiten;
    double far = f->damping / (f->least + f->damping), z[COLUMNS], worst = 0;
    ck_ok(tamis__whitening_load(&w, c, &err));
    float *plain_z = features_of(&w, false), *unit = features_of(&w, true);
    double *cov = calloc(COLUMNS * COLUMNS, sizeof *cov);
    for (uint64_t i = 0; i < joint.rows; i++) {
        double norm = 0;
        substitute(w.factor, joint.x + i * COLUMNS, z);
        for (int a = 0; a < COLUMNS; a++) norm += z[a] * z[a];
        for (int a = 0; a < COLUMNS; a++) {
            ck_assert_double_eq_tol((double)plain_z[i * COLUMNS + a], z[a], 1e-6);
            ck_assert_double_eq_tol((double)unit[i * COLUMNS + a], z[a] / sqrt(norm), 1e-7);
            for (int b = 0; b < COLUMNS; b++)
                cov[a * COLUMNS + b] += z[a] * z[b] / (double)joint.rows;
        }
    }
    for (int a = 0; a < COLUMNS; a++)
        for (int b = 0; b < COLUMNS; b++)
            worst = fmax(worst, fabs(cov[a * COLUMNS + b] - (a == b)));
    ck_assert_double_lt(worst, far + 1e-10);
    ck_assert_double_gt(worst, 0);
    free(cov);
    free(plain_z);
    free(unit);
    tamis__whitening_fini(&w);
    tamis_curvature_close(&c);
}
END_TEST

/* A row's bits depend on neither threads nor the rows it is asked for with; without a whitening it
 * is the sum over checkpoints. */
START_TEST(test_feature_bits)
{
    tamis__whitening w;
    float *some = calloc(TRAIN * COLUMNS, sizeof *some);
    fit_joint(TAMIS_STAGE_FINAL, NULL, "w");
    tamis_curvature *c = open_curvature(context, "w");
    ck_ok(tamis__whitening_load(&w, c, &err));
    float *all = features_of(&w, true);
    for (unsigned threads = 1; threads < 5; threads++) {
        tamis_context *other = make_context(threads, 0);
        uint64_t first = 17 * threads, rows = 301 * threads - 300;
        ck_ok(tamis__features(other, train, &w, true, first, rows, some, &err));
        ck_assert_int_eq(memcmp(some, all + first * COLUMNS, rows * COLUMNS * sizeof *some), 0);
        tamis_context_destroy(&other);
    }
    ck_ok(tamis__features(context, train, NULL, false, 5, 1, some, &err));
    for (int a = 0; a < COLUMNS; a++)
        ck_assert(some[a] == (float)((double)tables[0].value[0][5 * COLUMNS + a] +
                                     (double)tables[0].value[1][5 * COLUMNS + a]));
    free(all);
    free(some);
    tamis__whitening_fini(&w);
    tamis_curvature_close(&c);
}
END_TEST

/* --- rotation --------------------------------------------------------------------------------- */

/* x - 2 v <v, x>, v of unit length: a reflection, in double and then rounded. */
static void reflect(const double *x, const double *v, uint64_t n, float *out)
{
    double vx = 0;
    for (uint64_t i = 0; i < n; i++) vx += v[i] * x[i];
    for (uint64_t i = 0; i < n; i++) out[i] = (float)(x[i] - 2 * v[i] * vx);
}

static void cosines_of(const table *t, double *out)
{
    tamis__whitening w;
    tamis_store *store = store_of(context, t);
    tamis_fit_curvature_params params = whiten_params(store, "r", TAMIS_STAGE_FINAL, NULL);
    ck_ok(tamis_fit_curvature(context, &params, &err));
    tamis_curvature *c = open_curvature(context, "r");
    float *z = calloc(t->rows * t->columns, sizeof *z);
    ck_ok(tamis__whitening_load(&w, c, &err));
    ck_ok(tamis__features(context, store, &w, true, 0, t->rows, z, &err));
    for (uint64_t i = 0; i < t->rows; i++)
        for (uint64_t j = 0; j < t->rows; j++) {
            out[i * t->rows + j] = 0;
            for (uint64_t a = 0; a < t->columns; a++)
                out[i * t->rows + j] += (double)z[i * t->columns + a] *
                                        (double)z[j * t->columns + a];
        }
    free(z);
    tamis__whitening_fini(&w);
    tamis_curvature_close(&c);
    tamis_store_close(&store);
}

/* Rotated rows have the same cosines, although the factor is another; rows that are not whitened
 * too, but rows times L^-1, which is no whitening, would not. */
START_TEST(test_rotation)
{
    enum { N = 120, P = 12 };
    table a = make_table("a.h5", 7, N, P, 1), b = make_table("b.h5", 8, N, P, 1);
    double v[P], norm = 0, x[P], *one = calloc(N * N, sizeof *one),
                 *two = calloc(N * N, sizeof *two);
    for (int i = 0; i < P; i++) {
        v[i] = 1.0 + (double)(i % 4);
        norm += v[i] * v[i];
    }
    for (int i = 0; i < P; i++) v[i] /= sqrt(norm);
    for (uint64_t r = 0; r < N; r++) {
        for (int i = 0; i < P; i++) x[i] = (double)a.value[0][r * P + (uint64_t)i];
        reflect(x, v, P, b.value[0] + r * P);
    }
    cosines_of(&a, one);
    cosines_of(&b, two);
    double worst = 0;
    for (int i = 0; i < N * N; i++) worst = fmax(worst, fabs(one[i] - two[i]));
    ck_assert_double_lt(worst, 1e-4); /* rotated rows are rounded to floats near 160 */
    free(one);
    free(two);
    free_table(&a);
    free_table(&b);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

static void ck_same_files(const char *a, const char *b)
{
    char command[128];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_same_bits)
{
    const tamis_whiten_params lw = {.damping = 1e-3, .shrinkage = TAMIS_SHRINKAGE_LEDOIT_WOLF};
    fit_joint(TAMIS_STAGE_FINAL, &lw, "one");
    tables[0].path = "shards";
    for (unsigned threads = 1; threads < 5; threads++) {
        tamis_context *other = make_context(threads, threads < 4 ? 0 : 1300000);
        tables[0].shard_rows = 128 * threads;
        tamis_store *shards = store_of(other, &tables[0]);
        tamis_fit_curvature_params params = whiten_params(shards, "other", TAMIS_STAGE_FINAL, &lw);
        params.with = &targets;
        params.n_with = 1;
        ck_ok(tamis_fit_curvature(other, &params, &err));
        ck_same_files("one", "other");
        tamis_store_close(&shards);
        tamis_context_destroy(&other);
    }
}
END_TEST

/* --- merging ---------------------------------------------------------------------------------- */

START_TEST(test_merge)
{
    const char *parts[] = {"s0", "s1"}, *whole[] = {"s"};
    tamis_store *store[2] = {train, targets};
    for (int i = 0; i < 2; i++) {
        tamis_fit_curvature_params params = whiten_params(store[i], parts[i],
                                                          TAMIS_STAGE_COVARIANCE, NULL);
        ck_ok(tamis_fit_curvature(context, &params, &err));
    }
    fit_joint(TAMIS_STAGE_COVARIANCE, NULL, "s");
    ck_ok(tamis_merge_curvature(context, parts, 2, "m", false, NULL, true, NULL, &err));
    tamis_curvature *a = open_curvature(context, "s"), *b = open_curvature(context, "m");
    ck_assert_uint_eq(tamis_curvature_info_get(b)->examples, TRAIN + TARGETS);
    static const tamis__curvature_array sums[] = {TAMIS__WHITEN_MEAN, TAMIS__WHITEN_SCATTER,
                                                  TAMIS__WHITEN_THIRD, TAMIS__WHITEN_FOURTH};
    static const uint64_t sizes[] = {COLUMNS, COLUMNS * COLUMNS, COLUMNS, 1};
    for (int i = 0; i < 4; i++) {
        double *x = array(a, sums[i]), *y = array(b, sums[i]);
        ck_assert_double_lt(off(y, x, sizes[i]), 1e-11);
        free(x);
        free(y);
    }
    tamis_curvature_close(&a);
    tamis_curvature_close(&b);
    /* Finishing one part, of one pass, has the bits of fitting until the end. */
    for (int i = 0; i < N_OPTIONS; i++) {
        fit_joint(TAMIS_STAGE_FINAL, &options[i], "w");
        ck_ok(tamis_merge_curvature(context, whole, 1, "w1", true, &options[i], true, NULL, &err));
        ck_same_files("w", "w1");
    }
    ck_ok(tamis_merge_curvature(context, parts, 2, "w2", true, &options[3], true, NULL, &err));
    a = open_curvature(context, "w");
    b = open_curvature(context, "w2");
    double *x = array(a, TAMIS__WHITEN_FACTOR), *y = array(b, TAMIS__WHITEN_FACTOR);
    ck_assert_double_lt(off(y, x, COLUMNS * COLUMNS), 1e-11);
    free(x);
    free(y);
    tamis_curvature_close(&a);
    tamis_curvature_close(&b);
}
END_TEST

/* --- the reference ---------------------------------------------------------------------------- */

/* The numbers of an npy file after its header, freed with free(*ret_file). */
static const void *npy(const char *name, char **ret_file)
{
    char path[128];
    uint16_t header;
    snprintf(path, sizeof path, "reference/tarot/%s.npy", name);
    FILE *file = fopen(test_data(path), "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    char *bytes = *ret_file = calloc(1, 1 << 17);
    ck_assert_uint_gt(fread(bytes, 1, 1 << 17, file), 128);
    fclose(file);
    memcpy(&header, bytes + 8, 2);
    return bytes + 10 + header;
}

enum { CANDIDATES = 200, REFERENCE_TARGETS = 40, FEATURES = 32 };

static double cosine(const double *x, const double *y, int n)
{
    double xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    return xy / sqrt(xx) / sqrt(yy);
}

/* Scores of TAROT's corrected arithmetic in float64; the released one multiplies by the wrong
 * side. */
START_TEST(test_reference)
{
    const tamis_whiten_params absolute = {.damping = 1e-5, .absolute = true};
    char *files[3];
    table t[2] = {{.path = "c.h5", .rows = CANDIDATES},
                  {.path = "g.h5", .rows = REFERENCE_TARGETS}};
    const char *const names[] = {"candidate_grads", "target_grads"};
    tamis_store *store[2];
    for (int i = 0; i < 2; i++) {
        t[i].columns = FEATURES, t[i].checkpoints = 1;
        size_t size = t[i].rows * FEATURES * sizeof(float);
        ck_assert_ptr_nonnull(t[i].value[0] = calloc(1, size));
        memcpy(t[i].value[0], npy(names[i], &files[i]), size);
        store[i] = store_of(context, &t[i]);
    }
    const double *want = npy("paper_scores_f64", &files[2]);
    tamis_fit_curvature_params params = whiten_params(store[0], "w", TAMIS_STAGE_FINAL, &absolute);
    params.with = &store[1];
    params.n_with = 1;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    tamis_curvature *c = open_curvature(context, "w");
    tamis__feature_scratch scratch = {0};
    tamis__whitening w;
    double z[CANDIDATES + REFERENCE_TARGETS][FEATURES], worst = 0;
    ck_ok(tamis__whitening_load(&w, c, &err));
    ck_ok(tamis__feature_scratch_init(&scratch, FEATURES, &err));
    tamis__blas_begin();
    for (uint64_t i = 0; i < CANDIDATES + REFERENCE_TARGETS; i++) {
        bool target = i >= CANDIDATES;
        ck_ok(tamis__features_some(store[target], &w, false, target ? i - CANDIDATES : i, 1,
                                   &scratch, &err));
        memcpy(z[i], scratch.values, sizeof z[i]);
    }
    tamis__blas_end();
    for (int i = 0; i < CANDIDATES; i++)
        for (int j = 0; j < REFERENCE_TARGETS; j++) {
            double got = cosine(z[i], z[CANDIDATES + j], FEATURES);
            double expected;
            memcpy(&expected, want + i * REFERENCE_TARGETS + j, sizeof expected);
            worst = fmax(worst, fabs(got - expected));
        }
    ck_assert_double_lt(worst, 1e-9);
    tamis__feature_scratch_fini(&scratch);
    tamis__whitening_fini(&w);
    tamis_curvature_close(&c);
    for (int i = 0; i < 3; i++) free(files[i]);
    for (int i = 0; i < 2; i++) {
        tamis_store_close(&store[i]);
        free_table(&t[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature whiten");
    TCase *tc = tcase_create("whiten");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_sums);
    tcase_add_loop_test(tc, test_factor, 0, N_OPTIONS);
    tcase_add_test(tc, test_features);
    tcase_add_test(tc, test_feature_bits);
    tcase_add_test(tc, test_rotation);
    tcase_add_test(tc, test_same_bits);
    tcase_add_test(tc, test_merge);
    tcase_add_test(tc, test_reference);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
