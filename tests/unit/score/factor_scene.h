/* Stores of factors, spectra, and the scores they should give as plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_FACTOR_SCENE_H
#define TAMIS_TEST_FACTOR_SCENE_H

#include "scene.h"

#include "base/rng.h"
#include "linalg/lapack.h"
#include "score/ekfac.h"
#include "score/output.h"

/* Outputs wider than inputs and narrower, more terms than a panel holds and fewer, more columns
 * than a step has. */
static const tamis_layer scene_layer[] = {{.name = "small", .out = 5, .in = 3, .bias = 1},
                                          {.name = "tall", .out = 70, .in = 40, .bias = 0},
                                          {.name = "square", .out = 90, .in = 100, .bias = 1},
                                          {.name = "long", .out = 3, .in = 600, .bias = 1}};
enum { SCENE_LAYERS = 4, SCENE_INPUT = 746, SCENE_OUTPUT = 168 };

typedef struct factor_plan {
    const char *path;
    uint64_t rows, shard_rows, seed;
    tamis_dtype dtype;
    bool one_token; /* an example; else 0 to 4 */
} factor_plan;

static inline uint64_t plan_tokens(const factor_plan *p, uint64_t row)
{
    return p->one_token ? 1 : row == 7 ? 0 : row == 8 ? 4 : (row * 5 + p->seed) % 4;
}

static inline void scene_numbers(float *out, uint64_t n, uint64_t seed, uint64_t item)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, seed, TAMIS__STREAM_TEST, item);
    for (uint64_t i = 0; i < n; i++) out[i] = (float)(2.0 * gsl_rng_uniform(rng) - 1.0);
    gsl_rng_free(rng);
}

static inline void write_factors(tamis_context *context, const factor_plan *p)
{
    tamis_store_spec spec = {.path = p->path,
                             .dtype = p->dtype,
                             .rows = p->rows,
                             .layer = scene_layer,
                             .layers = SCENE_LAYERS,
                             .checkpoint = plan_checkpoints,
                             .checkpoints = 1,
                             .shard_rows = p->shard_rows,
                             .force = true,
                             .form = TAMIS_FORM_FACTORS};
    uint64_t *offset = calloc(p->rows + 1, sizeof *offset), *id = calloc(p->rows, sizeof *id);
    int32_t *group = calloc(p->rows, sizeof *group);
    static const char *const names[] = {"even", "odd"};
    for (uint64_t i = 0; i < p->rows; i++) {
        offset[i + 1] = offset[i] + plan_tokens(p, i);
        id[i] = 7000 + i;
        group[i] = i % 2;
    }
    uint64_t tokens = offset[p->rows];
    float *input = calloc(tokens * SCENE_INPUT + 1, sizeof *input);
    float *output = calloc(tokens * SCENE_OUTPUT + 1, sizeof *output);
    scene_numbers(input, tokens * SCENE_INPUT, p->seed, 1);
    scene_numbers(output, tokens * SCENE_OUTPUT, p->seed, 2);
    for (uint64_t t = 0, last; t < tokens; t++) {
        last = 0;
        for (int l = 0; l < SCENE_LAYERS; l++) {
            last += scene_layer[l].in + scene_layer[l].bias;
            if (scene_layer[l].bias) input[t * SCENE_INPUT + last - 1] = 1.0f;
        }
    }
    tamis_store_writer *writer = NULL;
    tamis_examples examples = {.id_number = id, .group = group, .group_name = names, .groups = 2};
    const float *const inputs[1] = {input}, *const outputs[1] = {output};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(writer, p->rows, offset, inputs, outputs, &examples,
                                            NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    free(offset);
    free(id);
    free(group);
    free(input);
    free(output);
}

static inline tamis_store *make_factors(tamis_context *context, const factor_plan *p)
{
    write_factors(context, p);
    return open_store(context, p->path);
}

/* One layer, wide on both sides; one token a row. */
static const tamis_layer wide_layer = {.name = "wide", .out = 140, .in = 150, .bias = 0};

static inline tamis_store *make_wide(tamis_context *context, const char *path, uint64_t rows,
                                     uint64_t seed)
{
    tamis_store_spec spec = {.path = path,
                             .rows = rows,
                             .layer = &wide_layer,
                             .layers = 1,
                             .checkpoint = plan_checkpoints,
                             .checkpoints = 1,
                             .force = true,
                             .form = TAMIS_FORM_FACTORS};
    float *input = calloc(rows * wide_layer.in, sizeof *input);
    float *output = calloc(rows * wide_layer.out, sizeof *output);
    uint64_t *offset = calloc(rows + 1, sizeof *offset);
    for (uint64_t i = 0; i <= rows; i++) offset[i] = i;
    scene_numbers(input, rows * wide_layer.in, seed, 1);
    scene_numbers(output, rows * wide_layer.out, seed, 2);
    tamis_store_writer *writer = NULL;
    const float *const inputs[1] = {input}, *const outputs[1] = {output};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(writer, rows, offset, inputs, outputs,
                                            &(tamis_examples){0}, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    free(input), free(output), free(offset);
    return open_store(context, path);
}

/* --- spectra ---------------------------------------------------------------------------------- */

/* A random orthogonal basis in blocks; 0 = the identity. */
static inline tamis__basis scene_basis(uint64_t n, uint32_t blocks, uint64_t item)
{
    tamis__basis b = {.n = n, .blocks = blocks};
    if (!blocks) return b;
    b.first = calloc(blocks + 1, sizeof *b.first);
    b.vectors = calloc(blocks, sizeof *b.vectors);
    b.values = calloc(n, sizeof *b.values);
    b.first[blocks] = n;
    for (uint32_t i = 0; i < blocks; i++) {
        b.first[i] = i * (n / blocks);
        size_t size = (i + 1 < blocks ? (i + 1) * (n / blocks) : n) - b.first[i];
        float *random = calloc(size * size, sizeof *random);
        double *m = calloc(size * size, sizeof *m);
        scene_numbers(random, size * size, 5, item * 100 + i);
        for (size_t k = 0; k < size * size; k++) m[k] = (double)random[k];
        ck_ok(tamis__symmetric_eigen(size, m, size, true, b.values + b.first[i], &err));
        b.vectors[i] = m;
        free(random);
    }
    return b;
}

/* Lambda falls off along both sides, over about `decades`, and differs from an outer product. */
static inline void scene_spectrum(tamis__spectrum *s, const tamis_layer *layer, uint64_t item,
                                  double decades, tamis__damping damping)
{
    *s = (tamis__spectrum){.layer = *layer, .out = layer->out, .in = layer->in + layer->bias};
    s->output = scene_basis(s->out, (uint32_t)(item % 3), item * 2);
    s->input = scene_basis(s->in, (uint32_t)(item % 3), item * 2 + 1);
    s->lambda = calloc(s->out * s->in, sizeof *s->lambda);
    float *random = calloc(s->out * s->in, sizeof *random);
    scene_numbers(random, s->out * s->in, 6, item);
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++)
            s->lambda[i * s->in + j] = pow(10.0, -decades * (double)i / (double)s->out -
                                                     decades * (double)j / (double)s->in +
                                                     0.5 * (double)random[i * s->in + j]);
    ck_ok(tamis__spectrum_damp(s, damping, &err));
    free(random);
}

static inline tamis__spectrum *scene_spectra(double decades, tamis__damping damping)
{
    tamis__spectrum *s = calloc(SCENE_LAYERS, sizeof *s);
    for (int l = 0; l < SCENE_LAYERS; l++)
        scene_spectrum(&s[l], &scene_layer[l], (uint64_t)l + 1, decades, damping);
    return s;
}

static inline void spectra_free(tamis__spectrum *s, uint32_t layers)
{
    for (uint32_t l = 0; l < layers; l++) tamis__spectrum_fini(&s[l]);
    free(s);
}

/* --- what scores should be -------------------------------------------------------------------- */

/* Rows x of n values times Q, whose eigenvectors are the rows of the blocks. */
static inline double *turn(const tamis__basis *b, const float *x, uint64_t rows)
{
    double *out = calloc(rows * b->n + 1, sizeof *out);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < b->n && b->blocks == 0; i++)
            out[r * b->n + i] = (double)x[r * b->n + i];
    for (uint32_t k = 0; k < b->blocks; k++) {
        uint64_t first = b->first[k], size = b->first[k + 1] - first;
        for (uint64_t r = 0; r < rows; r++)
            for (uint64_t e = 0; e < size; e++)
                for (uint64_t c = 0; c < size; c++)
                    out[r * b->n + first + e] += b->vectors[k][e * size + c] *
                                                 (double)x[r * b->n + first + c];
    }
    return out;
}

/* A layer's factors of all tokens, in the eigenbasis. */
typedef struct turned {
    const uint64_t *offset;
    double *a, *g;
} turned;

static inline turned turn_layer(tamis_store *store, uint32_t l, const tamis__spectrum *s)
{
    turned t;
    ck_ok(tamis_store_tokens(store, 0, &t.offset, &err));
    uint64_t tokens = t.offset[tamis_store_info_get(store)->rows];
    float *a = calloc(tokens * s->in + 1, sizeof *a), *g = calloc(tokens * s->out + 1, sizeof *g);
    ck_ok(tamis_store_read_factors(store, 0, l, 0, tokens, a, s->in, g, s->out, &err));
    t.a = turn(&s->input, a, tokens);
    t.g = turn(&s->output, g, tokens);
    free(a);
    free(g);
    return t;
}

/* What becomes of a query's weights [out, in], of so many tokens, before they are used. */
typedef void (*weight_change)(double *weights, const tamis__spectrum *s, uint64_t tokens,
                              uint64_t rank);

static inline void add_query(const turned *train, const turned *query, uint64_t q,
                             const tamis__spectrum *s, weight_change change, uint64_t rank,
                             uint64_t tokens, double *out, uint64_t stride)
{
    double *w = calloc(s->out * s->in, sizeof *w);
    for (uint64_t t = query->offset[q]; t < query->offset[q + 1]; t++)
        for (uint64_t i = 0; i < s->out; i++)
            for (uint64_t j = 0; j < s->in; j++)
                w[i * s->in + j] += query->g[t * s->out + i] * query->a[t * s->in + j];
    for (uint64_t i = 0; i < s->out * s->in; i++) w[i] *= s->inverse[i];
    if (change) change(w, s, query->offset[q + 1] - query->offset[q], rank);
    for (uint64_t t = 0; t < tokens; t++)
        for (uint64_t i = 0; i < s->out; i++) {
            double sum = 0;
            for (uint64_t j = 0; j < s->in; j++) sum += w[i * s->in + j] * train->a[t * s->in + j];
            out[t * stride] += sum * train->g[t * s->out + i];
        }
    free(w);
}

/* [tokens, queries] or, by layer, [tokens, queries * layers]. */
static inline double *token_scores(tamis_store *train, tamis_store *query,
                                   const tamis__spectrum *spectra, bool by_layer,
                                   weight_change change, uint64_t rank)
{
    uint32_t layers = tamis_store_info_get(train)->layers;
    uint64_t queries = tamis_store_info_get(query)->rows, each = by_layer ? layers : 1;
    double *out = NULL;
    for (uint32_t l = 0; l < layers; l++) {
        turned t = turn_layer(train, l, &spectra[l]), q = turn_layer(query, l, &spectra[l]);
        uint64_t tokens = t.offset[tamis_store_info_get(train)->rows];
        if (!out) out = calloc(tokens * queries * each + 1, sizeof *out);
        for (uint64_t i = 0; i < queries; i++)
            add_query(&t, &q, i, &spectra[l], change, rank, tokens,
                      out + i * each + (by_layer ? l : 0), queries * each);
        free(t.a), free(t.g), free(q.a), free(q.g);
    }
    return out;
}

/* Turn two vectors of n values by what makes the first k of them orthogonal; false if they are. */
static inline bool jacobi(double *x, double *y, uint64_t k, uint64_t n)
{
    double xx = 0, yy = 0, xy = 0;
    for (uint64_t i = 0; i < k; i++) xx += x[i] * x[i], yy += y[i] * y[i], xy += x[i] * y[i];
    if (fabs(xy) <= 1e-14 * sqrt(xx * yy)) return false;
    double zeta = (yy - xx) / (2.0 * xy);
    double t = (zeta < 0 ? -1.0 : 1.0) / (fabs(zeta) + sqrt(1.0 + zeta * zeta));
    double c = 1.0 / sqrt(1.0 + t * t), sine = c * t;
    for (uint64_t i = 0; i < n; i++) {
        double old = x[i];
        x[i] = c * old - sine * y[i];
        y[i] = sine * old + c * y[i];
    }
    return true;
}

/* The best approximation of m [rows, columns] by so low a rank: one-sided Jacobi (Hestenes 1958),
 * on the vectors of the shorter side, each with its row of the rotation behind it. */
static inline void cut_rank(double *m, uint64_t rows, uint64_t columns, uint64_t rank)
{
    bool wide = columns > rows;
    uint64_t k = wide ? columns : rows, vectors = wide ? rows : columns, n = k + vectors;
    double *a = calloc(vectors * n, sizeof *a), *norm = calloc(vectors, sizeof *norm);
    for (uint64_t j = 0; j < vectors; j++) {
        a[j * n + k + j] = 1.0;
        for (uint64_t i = 0; i < k; i++) a[j * n + i] = wide ? m[j * k + i] : m[i * columns + j];
    }
    for (bool again = true; again;) {
        again = false;
        for (uint64_t p = 0; p < vectors; p++)
            for (uint64_t q = p + 1; q < vectors; q++)
                again = jacobi(a + p * n, a + q * n, k, n) || again;
    }
    for (uint64_t j = 0; j < vectors; j++)
        for (uint64_t i = 0; i < k; i++) norm[j] += a[j * n + i] * a[j * n + i];
    memset(m, 0, rows * columns * sizeof *m);
    for (uint64_t r = 0; r < rank && r < vectors; r++) {
        uint64_t best = 0;
        for (uint64_t j = 0; j < vectors; j++)
            if (norm[j] > norm[best]) best = j;
        for (uint64_t j = 0; j < vectors; j++)
            for (uint64_t i = 0; i < k; i++)
                m[wide ? j * k + i : i * columns + j] += a[best * n + i] * a[best * n + k + j];
        norm[best] = -1;
    }
    free(a), free(norm);
}

/* Sums over the tokens of each row: [rows, columns]. */
static inline double *row_scores(tamis_store *train, const double *tokens, uint64_t columns)
{
    const uint64_t *offset, rows = tamis_store_info_get(train)->rows;
    ck_ok(tamis_store_tokens(train, 0, &offset, &err));
    double *out = calloc(rows * columns, sizeof *out);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t t = offset[r]; t < offset[r + 1]; t++)
            for (uint64_t c = 0; c < columns; c++) out[r * columns + c] += tokens[t * columns + c];
    return out;
}

/* Largest difference over the largest value. */
static inline double difference(const float *got, const double *want, uint64_t n)
{
    double most = 0, worst = 0;
    for (uint64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
        worst = isnan(got[i]) ? (double)INFINITY : fmax(worst, fabs((double)got[i] - want[i]));
    }
    return worst / most;
}

/* --- running ---------------------------------------------------------------------------------- */

/* As tamis_score() does, with a job made by hand. */
typedef struct factor_run {
    tamis_store *train, *query;
    tamis__ekfac_job job;
    tamis_score_params params;
    tamis__score_stages stages; /* what came out */
} factor_run;

static inline tamis_status run_factors(tamis_context *context, factor_run *run)
{
    const tamis_store_info *train = tamis_store_info_get(run->train);
    tamis_score_params *params = &run->params;
    params->scorer = "test", params->train = run->train, params->query = run->query;
    if (!params->path) params->path = "s.h5";
    params->force = true;
    tamis__score_output output = {.params = params};
    tamis__score_call call = {.context = context,
                              .train = run->train,
                              .query = run->query,
                              .by = run->job.by,
                              .top = params->top,
                              .candidates = params->candidates,
                              .seed = params->seed,
                              .output = &output};
    const uint64_t *offset;
    tamis_scores_spec spec = {.path = params->path,
                              .rows = train->rows,
                              .queries = tamis_store_info_get(run->query)->rows,
                              .force = true,
                              .scorer = "test"};
    tamis_status status = tamis_store_tokens(run->train, 0, &offset, &err);
    if (status == TAMIS_OK && run->job.by == TAMIS_BY_TOKEN) spec.rows = offset[train->rows];
    if (run->job.by == TAMIS_BY_LAYER) spec.queries *= train->layers;
    if (status == TAMIS_OK && params->reduce)
        status = tamis__reduce_groups(&output.groups, params->reduce, run->query, &err);
    if (params->reduce) spec.queries = params->reduce == TAMIS_REDUCE_GROUP_MEAN ? 2 : 1;
    run->job.call = &call;
    if (status == TAMIS_OK) status = tamis__score_output_open(&output, context, &spec, &err);
    if (status == TAMIS_OK) status = tamis__score_rows(&call, false, &err);
    if (status == TAMIS_OK) status = tamis__ekfac_factors(&run->job, &err);
    if (status == TAMIS_OK) status = tamis__score_output_commit(&output, &err);
    run->stages = output.stages;
    tamis__score_output_fini(&output);
    return status;
}

#endif
