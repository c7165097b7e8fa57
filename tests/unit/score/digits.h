/* The reference model on digits in double: factors of its gradients, curvature files made of them
 * by plain loops, stores, and the reference's scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_DIGITS_H
#define TAMIS_TEST_DIGITS_H

#include "model/fixture.h"

#include <tamis/convert.h>
#include <tamis/score.h>

#include "base/context.h"
#include "curvature/spectra.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "store/curvature_file.h"

static tamis_error err;

enum { DIGITS = 1200, DIGIT_QUERIES = 50, DIGIT_LAYERS = 3, DIGIT_COLUMNS = 3466, CLASSES = 10 };
static const uint64_t digit_out[3] = {32, 32, 10}, digit_in[3] = {65, 33, 33};

/* --- the model -------------------------------------------------------------------------------- */

typedef struct digits {
    tamis_context *context;
    tamis_model *model; /* of the f32 file */
    const tamis_model_info *info;
    double *weight[3];
} digits;

/* Doubles of a tensor of the f64 file, [out, in + 1] with the bias last. */
static inline void read_f64(const char *bytes, uint32_t l, const char *what, double *out,
                            uint64_t rows, uint64_t columns, uint64_t stride)
{
    char name[32], *at;
    uint64_t header, begin = 0;
    memcpy(&header, bytes, 8);
    snprintf(name, sizeof name, "\"layers.%u.%s\"", l, what);
    ck_assert_ptr_nonnull(at = strstr(bytes + 8, name));
    ck_assert_ptr_nonnull(at = strstr(at, "\"data_offsets\""));
    begin = strtoull(strchr(at, '[') + 1, NULL, 10);
    for (uint64_t i = 0; i < rows; i++)
        memcpy(out + i * stride, bytes + 8 + header + begin + i * columns * 8, columns * 8);
}

static inline void digits_open(digits *d, bool f64)
{
    *d = (digits){.context = fixture_context(2)};
    ck_ok(tamis_model_load(&d->model, d->context,
                           test_data("reference/ekfac/model_f32.safetensors"), NULL, &err));
    d->info = tamis_model_info_get(d->model);
    double **narrow = reference_weights(d->model, 0);
    char *bytes = calloc(1, 100000);
    FILE *file = fopen(test_data("reference/ekfac/model_f64.safetensors"), "rb");
    ck_assert_uint_gt(fread(bytes, 1, 99999, file), 0);
    fclose(file);
    for (uint32_t l = 0; l < 3; l++) {
        uint64_t in = digit_in[l], out = digit_out[l];
        d->weight[l] = narrow[l];
        if (!f64) continue;
        read_f64(bytes, l, "weight", d->weight[l], out, in - 1, in);
        read_f64(bytes, l, "bias", d->weight[l] + in - 1, out, 1, in);
    }
    free(bytes);
    free(narrow);
}

static inline void digits_close(digits *d)
{
    for (int l = 0; l < 3; l++) free(d->weight[l]);
    tamis_model_free(&d->model);
    tamis_context_destroy(&d->context);
}

/* --- factors ---------------------------------------------------------------------------------- */

/* Inputs with their 1, and gradients of outputs: a row's gradient is d a^T. */
typedef struct factors {
    uint64_t rows;
    double *a[3], *d[3]; /* [rows, in], [rows, out] */
    double *weight;      /* [rows] squared gradients count so much; NULL = 1 */
} factors;

static inline void factors_init(factors *f, uint64_t rows)
{
    *f = (factors){.rows = rows};
    for (int l = 0; l < 3; l++) {
        f->a[l] = calloc(rows * digit_in[l], sizeof(double));
        f->d[l] = calloc(rows * digit_out[l], sizeof(double));
    }
}

static inline void factors_free(factors *f)
{
    for (int l = 0; l < 3; l++) free(f->a[l]), free(f->d[l]);
    free(f->weight);
}

static inline void factors_row(const digits *m, factors *f, uint64_t row, const float *x,
                               int32_t label)
{
    reference r = {0};
    reference_forward(&r, m->info, m->weight, x, label);
    reference_backward(&r, m->info, m->weight, label);
    for (int l = 0; l < 3; l++) {
        memcpy(f->a[l] + row * digit_in[l], r.input[l], digit_in[l] * sizeof(double));
        memcpy(f->d[l] + row * digit_out[l], r.delta[l], digit_out[l] * sizeof(double));
    }
    if (f->weight) f->weight[row] = r.probability[label];
}

/* Labels of a file; NULL = all of them, each row weighted by its probability. */
static inline void factors_of(const digits *m, factors *f, const char *x, const char *y)
{
    tamis_data *data = fixture_reference_data(m->context, x, y ? y : "y_train.npy");
    uint64_t each = y ? 1 : CLASSES;
    factors_init(f, data->rows * each);
    if (!y) f->weight = calloc(f->rows, sizeof *f->weight);
    for (uint64_t i = 0; i < f->rows; i++)
        factors_row(m, f, i, data->x + i / each * 64, y ? data->label[i] : (int32_t)(i % CLASSES));
    fixture_data_free(data);
}

/* --- curvature by plain loops ----------------------------------------------------------------- */

/* One layer of a curvature: eigenvectors as rows. */
typedef struct digit_curvature {
    double *qa[3], *qs[3], *va[3], *vs[3], *lambda[3];
} digit_curvature;

static inline double factor_weight(const factors *f, uint64_t i)
{
    return f->weight ? f->weight[i] : 1.0;
}

/* sum w x x^T / examples, and its eigenvectors. */
static inline void eigen_of(const factors *f, double *const *side, int l, uint64_t n,
                            double **ret_vectors, double **ret_values)
{
    double *k = calloc(n * n, sizeof *k), *values = calloc(n, sizeof *values);
    const double *x = side[l];
    for (uint64_t r = 0; r < f->rows; r++)
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j <= i; j++)
                k[i * n + j] += factor_weight(f, r) * x[r * n + i] * x[r * n + j] / DIGITS;
    tamis__blas_begin();
    ck_ok(tamis__symmetric_eigen(n, k, n, true, values, &err));
    tamis__blas_end();
    *ret_vectors = k;
    *ret_values = values;
}

static inline void project_on(const double *vectors, uint64_t n, const double *x, double *out)
{
    for (uint64_t i = 0; i < n; i++) {
        out[i] = 0;
        for (uint64_t j = 0; j < n; j++) out[i] += vectors[i * n + j] * x[j];
    }
}

/* Lambda = mean of (Q_S^T d)^2 (a^T Q_A)^2; with `diagonal` Q is the identity. */
static inline double *lambda_of(const factors *f, int l, const digit_curvature *c, bool diagonal)
{
    uint64_t out = digit_out[l], in = digit_in[l];
    double *lambda = calloc(out * in, sizeof *lambda), s[64], a[80];
    for (uint64_t r = 0; r < f->rows; r++) {
        memcpy(s, f->d[l] + r * out, out * sizeof *s);
        memcpy(a, f->a[l] + r * in, in * sizeof *a);
        if (!diagonal) {
            project_on(c->qs[l], out, f->d[l] + r * out, s);
            project_on(c->qa[l], in, f->a[l] + r * in, a);
        }
        for (uint64_t i = 0; i < out; i++)
            for (uint64_t j = 0; j < in; j++)
                lambda[i * in + j] += factor_weight(f, r) * s[i] * s[i] * a[j] * a[j] / DIGITS;
    }
    return lambda;
}

/* `cov` and `lam` are the pseudo-gradients of the two passes. */
static inline void curvature_of(digit_curvature *c, const factors *cov, const factors *lam,
                                bool diagonal)
{
    for (int l = 0; l < 3; l++) {
        eigen_of(cov, cov->a, l, digit_in[l], &c->qa[l], &c->va[l]);
        eigen_of(cov, cov->d, l, digit_out[l], &c->qs[l], &c->vs[l]);
        c->lambda[l] = lambda_of(lam, l, c, diagonal);
    }
}

static inline void curvature_free(digit_curvature *c)
{
    for (int l = 0; l < 3; l++)
        free(c->qa[l]), free(c->qs[l]), free(c->va[l]), free(c->vs[l]), free(c->lambda[l]);
}

static inline const double *array_of(const digit_curvature *c, const tamis__curvature_place *place)
{
    uint32_t l = place->layer;
    switch (place->array) {
    case TAMIS__OUTPUT_VECTORS: return c->qs[l];
    case TAMIS__INPUT_VECTORS: return c->qa[l];
    case TAMIS__OUTPUT_VALUES: return c->vs[l];
    case TAMIS__INPUT_VALUES: return c->va[l];
    case TAMIS__LAMBDA: return c->lambda[l];
    default: return NULL;
    }
}

static inline void curvature_write_at(const digits *d, const digit_curvature *c,
                                      tamis_curvature_kind kind, uint32_t checkpoint,
                                      const char *path)
{
    tamis_layer layer[3];
    uint64_t column = 0;
    bool started = false;
    tamis__curvature_writer *writer = NULL;
    tamis__curvature_place place;
    for (int l = 0; l < 3; l++) {
        layer[l] = d->info->layer[l];
        layer[l].first_column = column;
        column += digit_out[l] * digit_in[l];
    }
    tamis_curvature_info info = {.kind = kind,
                                 .stage = TAMIS_STAGE_FINAL,
                                 .columns = DIGIT_COLUMNS,
                                 .layers = 3,
                                 .layer = layer,
                                 .checkpoint = checkpoint,
                                 .provenance = "{}"};
    ck_ok(tamis__curvature_create(&writer, d->context, path, &info, true, &err));
    while (tamis__curvature_next(&info, &place, &started)) {
        ck_assert_ptr_nonnull(array_of(c, &place));
        ck_ok(tamis__curvature_put(writer, &place, array_of(c, &place), &err));
    }
    ck_ok(tamis__curvature_commit(&writer, DIGITS, DIGITS, &err));
}

static inline void curvature_write(const digits *d, const digit_curvature *c,
                                   tamis_curvature_kind kind, const char *path)
{
    curvature_write_at(d, c, kind, 0, path);
}

static inline tamis_curvature *open_curvature(const digits *d, const char *path)
{
    tamis_curvature *curvature = NULL;
    ck_ok(tamis_curvature_open(&curvature, d->context, path, &err));
    return curvature;
}

/* "sampled.h5": the curvature of the reference's sampled labels. */
static inline void write_sampled(const digits *d)
{
    factors cov, lam;
    digit_curvature c;
    factors_of(d, &cov, "X_train.npy", "y_sampled_cov.npy");
    factors_of(d, &lam, "X_train.npy", "y_sampled_lambda.npy");
    curvature_of(&c, &cov, &lam, false);
    curvature_write(d, &c, TAMIS_CURVATURE_EKFAC, "sampled.h5");
    factors_free(&cov), factors_free(&lam), curvature_free(&c);
}

/* --- stores ----------------------------------------------------------------------------------- */

static inline tamis_store *gradients(const digits *d, const char *x, const char *y,
                                     tamis_dtype dtype, const char *path)
{
    tamis_store *store = NULL;
    tamis_data *data = fixture_reference_data(d->context, x, y);
    tamis_gradient_params params = {.path = path, .dtype = dtype, .force = true};
    ck_ok(tamis_gradients(d->model, d->context, data, &params, &err));
    ck_ok(tamis_store_open(&store, d->context, path, &err));
    fixture_data_free(data);
    return store;
}

static inline void narrow_to(float *out, const double *x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) out[i] = (float)x[i];
}

/* The same rows as factors, `tokens` rows of the data to a row of the store. */
static inline tamis_store *factor_store(const digits *d, const char *x, const char *y,
                                        uint64_t tokens, const char *path)
{
    factors f;
    tamis_store *store = NULL;
    tamis_store_writer *writer = NULL;
    factors_of(d, &f, x, y);
    uint64_t rows = f.rows / tokens;
    float *input = calloc(f.rows * 131, sizeof *input),
          *output = calloc(f.rows * 74, sizeof *output);
    uint64_t *offset = calloc(rows + 1, sizeof *offset);
    for (uint64_t i = 0; i <= rows; i++) offset[i] = i * tokens;
    for (uint64_t r = 0; r < f.rows; r++)
        for (uint64_t l = 0, at = 0, to = 0; l < 3; at += digit_in[l], to += digit_out[l], l++) {
            narrow_to(input + r * 131 + at, f.a[l] + r * digit_in[l], digit_in[l]);
            narrow_to(output + r * 74 + to, f.d[l] + r * digit_out[l], digit_out[l]);
        }
    const tamis_checkpoint checkpoint = {.learning_rate = 1};
    const float *const inputs[1] = {input}, *const outputs[1] = {output};
    tamis_store_spec spec = {.path = path,
                             .rows = rows,
                             .layer = d->info->layer,
                             .layers = 3,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .form = TAMIS_FORM_FACTORS,
                             .force = true};
    ck_ok(tamis_store_writer_open(&writer, d->context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(writer, rows, offset, inputs, outputs,
                                            &(tamis_examples){0}, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, d->context, path, &err));
    factors_free(&f);
    free(input), free(output), free(offset);
    return store;
}

/* --- scores ----------------------------------------------------------------------------------- */

/* An array of the reference in double. */
static inline double *load_npy(const digits *d, const char *name, uint64_t n)
{
    char path[300];
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/%s.npy", name);
    ck_ok(tamis__npy_open(&npy, d->context, test_data(path), &err));
    ck_assert_uint_eq(npy.rows * npy.cols, n);
    double *out = calloc(n, sizeof *out);
    if (npy.type == TAMIS__NPY_F8) {
        memcpy(out, npy.data, n * sizeof *out);
    } else {
        float *narrow = calloc(n, sizeof *narrow);
        tamis__npy_rows(&npy, 0, npy.rows, narrow, npy.cols);
        for (uint64_t i = 0; i < n; i++) out[i] = (double)narrow[i];
        free(narrow);
    }
    tamis__npy_close(&npy);
    return out;
}

static inline tamis_score_params score_params(const char *scorer, tamis_store *train,
                                              tamis_store *query, const tamis_curvature *curvature)
{
    return (tamis_score_params){.scorer = scorer,
                                .train = train,
                                .query = query,
                                .curvature = curvature,
                                .path = "s.h5",
                                .panel = TAMIS_PANEL_EXACT,
                                .force = true};
}

/* [rows, columns] of "s.h5" as [columns, rows] in double, the reference's orientation. */
static inline double *load_scores_of(const digits *d, const char *path, uint64_t rows,
                                     uint64_t columns)
{
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, d->context, path, &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert_uint_eq(info->rows, rows);
    ck_assert_uint_eq(info->queries, columns);
    float *values = calloc(rows * columns, sizeof *values);
    double *out = calloc(rows * columns, sizeof *out);
    ck_ok(tamis_scores_read(scores, 0, rows, 0, columns, values, columns, &err));
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t q = 0; q < columns; q++) out[q * rows + i] = (double)values[i * columns + q];
    tamis_scores_close(&scores);
    free(values);
    return out;
}

static inline double *scores_of(const digits *d, const tamis_score_params *params, uint64_t columns)
{
    ck_ok(tamis_score(d->context, params, NULL, &err));
    return load_scores_of(d, params->path, tamis_store_info_get(params->train)->rows, columns);
}

/* max |difference| / max |reference| */
static inline double distance(const double *got, const double *want, uint64_t n)
{
    double largest = 0, worst = 0;
    for (uint64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want[i]));
        worst = fmax(worst, fabs(got[i] - want[i]));
        if (isnan(got[i])) return HUGE_VAL;
    }
    return worst / largest;
}

#endif
