/* Stores of pseudo-gradients for the tests of fitting, and what should come out in plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_PSEUDO_H
#define TAMIS_TEST_PSEUDO_H

#include "harness.h"

#include <math.h>
#include <tamis/curvature.h>

#include "base/mem.h"
#include "curvature/kronecker.h"
#include "store/curvature_file.h"

enum { LAYERS = 3, MOST_TOKENS = 4, INPUTS = 8 + 4 + 12, OUTPUTS = 5 + 3 + 4 };

static const tamis_layer pseudo_layer[LAYERS] = {{.name = "first", .out = 5, .in = 7, .bias = 1},
                                                 {.name = "second", .out = 3, .in = 4},
                                                 {.name = "third", .out = 4, .in = 11, .bias = 1}};

typedef struct pseudo {
    const char *path;
    uint64_t first_row, rows; /* part of the rows that the seed makes */
    uint64_t seed, shard_rows;
    uint32_t per_example; /* 0 = 1 */
    bool ragged;          /* 0 to 3 tokens a row, and a few of 4; else 1 */
    bool full;            /* form */
    bool blocks;          /* columns of the halves of a side are never both there */
    const char *labels;
    int dead; /* layer - 1 whose output gradients are zero; 0 = none */
    int step; /* of the checkpoint; 0 = 3, below 0 = the store does not say */
} pseudo;

static inline double pseudo_noise(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + a * 0xd1b54a32d192ed03u + b * 0xaef17502108ef2d9u +
                 c * 0xf1357aea2e62a9c5u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(float)((double)(int64_t)z * 0x1p-63);
}

static inline uint32_t pseudo_group(const pseudo *p)
{
    return p->per_example ? p->per_example : 1;
}

static inline uint64_t pseudo_tokens(const pseudo *p, uint64_t row)
{
    uint64_t example = (p->first_row + row) / pseudo_group(p);
    return p->ragged ? example * 7 % 4 + (example % 10 == 9) : 1;
}

/* Left or right half of a side of `n`, which one by token. */
static inline bool pseudo_hidden(const pseudo *p, uint64_t key, uint64_t i, uint64_t n)
{
    return p->blocks && (i < (n + 1) / 2) != (key % 2 == 0);
}

static inline double pseudo_input(const pseudo *p, uint64_t row, uint64_t t, unsigned l, uint64_t i)
{
    uint64_t example = (p->first_row + row) / pseudo_group(p), in = pseudo_layer[l].in;
    if (i == in) return 1.0; /* bias */
    if (pseudo_hidden(p, example, i, in + pseudo_layer[l].bias)) return 0.0;
    double value = pseudo_noise(p->seed, example * 8 + t, l, i) + (i == 1 ? 0.5 : 0.0);
    return (double)(float)value;
}

static inline double pseudo_output(const pseudo *p, uint64_t row, uint64_t t, unsigned l,
                                   uint64_t o)
{
    uint64_t r = p->first_row + row;
    if (p->dead == (int)l + 1 || pseudo_hidden(p, r / 2, o, pseudo_layer[l].out)) return 0.0;
    return pseudo_noise(p->seed + 1000, r * 8 + t, l, o);
}

/* D of a row: [out, in + bias]. */
static inline void pseudo_block(const pseudo *p, uint64_t row, unsigned l, double *out)
{
    uint64_t in = pseudo_layer[l].in + pseudo_layer[l].bias;
    for (uint64_t o = 0; o < pseudo_layer[l].out; o++)
        for (uint64_t i = 0; i < in; i++) {
            out[o * in + i] = 0;
            for (uint64_t t = 0; t < pseudo_tokens(p, row); t++)
                out[o * in + i] += pseudo_output(p, row, t, l, o) * pseudo_input(p, row, t, l, i);
        }
}

/* --- stores ----------------------------------------------------------------------------------- */

static tamis_error err;

static inline void put_factors(tamis_store_writer *w, const pseudo *p, uint64_t row)
{
    float input[MOST_TOKENS * INPUTS], output[MOST_TOKENS * OUTPUTS];
    uint64_t offset[2] = {0, pseudo_tokens(p, row)}, a = 0, d = 0;
    for (uint64_t t = 0; t < offset[1]; t++)
        for (unsigned l = 0; l < LAYERS; l++) {
            for (uint64_t i = 0; i < pseudo_layer[l].in + pseudo_layer[l].bias; i++)
                input[a++] = (float)pseudo_input(p, row, t, l, i);
            for (uint64_t o = 0; o < pseudo_layer[l].out; o++)
                output[d++] = (float)pseudo_output(p, row, t, l, o);
        }
    const float *in = input, *out = output;
    ck_ok(tamis_store_writer_append_factors(w, 1, offset, &in, &out, NULL, NULL, NULL, NULL, &err));
}

static inline void put_full(tamis_store_writer *w, const pseudo *p, uint64_t row)
{
    double block[128];
    float values[512];
    uint64_t at = 0;
    for (unsigned l = 0; l < LAYERS; l++) {
        pseudo_block(p, row, l, block);
        for (uint64_t i = 0; i < tamis_layer_columns(&pseudo_layer[l]); i++)
            values[at++] = (float)block[i];
    }
    const float *v = values;
    ck_ok(tamis_store_writer_append(w, 1, &v, NULL, NULL, NULL, NULL, &err));
}

static inline tamis_store *make_pseudo(tamis_context *context, const pseudo *p)
{
    const tamis_checkpoint checkpoint = {.step = p->step < 0    ? 0
                                                 : p->step == 0 ? 3
                                                                : (uint64_t)p->step,
                                         .learning_rate = 0.1};
    tamis_store_spec spec = {.path = p->path,
                             .rows = p->rows,
                             .layer = pseudo_layer,
                             .layers = LAYERS,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .shard_rows = p->shard_rows,
                             .form = p->full ? TAMIS_FORM_FULL : TAMIS_FORM_FACTORS,
                             .labels = p->labels,
                             .rows_per_example = p->per_example};
    tamis_store_writer *w = NULL;
    tamis_store *store = NULL;
    ck_ok(tamis_store_writer_open(&w, context, &spec, &err));
    for (uint64_t i = 0; i < p->rows; i++) {
        if (p->full)
            put_full(w, p, i);
        else
            put_factors(w, p, i);
    }
    ck_ok(tamis_store_writer_commit(&w, &err));
    ck_ok(tamis_store_open(&store, context, p->path, &err));
    return store;
}

static inline tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context_params params = {.threads = threads, .memory = memory};
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

/* --- what should come out --------------------------------------------------------------------- */

/* Sums of a a^T over tokens of the first row of every example, or of d d^T over all; in blocks. */
static inline void naive_covariance(const pseudo *p, unsigned l, bool input, double *out)
{
    const tamis_layer *layer = &pseudo_layer[l];
    uint64_t n = input ? layer->in + layer->bias : layer->out;
    memset(out, 0, n * n * sizeof *out);
    for (uint64_t r = 0; r < p->rows; r++)
        for (uint64_t t = 0; t < pseudo_tokens(p, r); t++) {
            if (input && r % pseudo_group(p) != 0) continue;
            for (uint64_t i = 0; i < n; i++)
                for (uint64_t j = 0; j < n; j++)
                    out[i * n + j] += input ? pseudo_input(p, r, t, l, i) *
                                                  pseudo_input(p, r, t, l, j)
                                            : pseudo_output(p, r, t, l, i) *
                                                  pseudo_output(p, r, t, l, j);
        }
}

/* Mean over examples of (Q_S^T D Q_A)^2; the vectors are [n, n] with eigenvectors as rows, NULL =
 * the identity. */
static inline void naive_lambda(const pseudo *p, unsigned l, const double *qs, const double *qa,
                                double *out)
{
    uint64_t s = pseudo_layer[l].out, a = pseudo_layer[l].in + pseudo_layer[l].bias;
    double d[128], half[128];
    memset(out, 0, s * a * sizeof *out);
    for (uint64_t r = 0; r < p->rows; r++) {
        pseudo_block(p, r, l, d);
        for (uint64_t i = 0; i < s; i++)
            for (uint64_t j = 0; j < a; j++) {
                half[i * a + j] = qa ? 0 : d[i * a + j];
                for (uint64_t k = 0; k < a && qa; k++)
                    half[i * a + j] += d[i * a + k] * qa[j * a + k];
            }
        for (uint64_t i = 0; i < s; i++)
            for (uint64_t j = 0; j < a; j++) {
                double v = qs ? 0 : half[i * a + j];
                for (uint64_t k = 0; k < s && qs; k++) v += qs[i * s + k] * half[k * a + j];
                out[i * a + j] += v * v;
            }
    }
    for (uint64_t i = 0; i < s * a; i++) out[i] /= (double)(p->rows / pseudo_group(p));
}

static inline uint64_t naive_tokens(const pseudo *p)
{
    uint64_t n = 0;
    for (uint64_t r = 0; r < p->rows; r += pseudo_group(p)) n += pseudo_tokens(p, r);
    return n;
}

/* --- files ------------------------------------------------------------------------------------ */

static inline double *read_array(const tamis_curvature *c, tamis__curvature_array array, uint32_t l,
                                 uint32_t block)
{
    const tamis__curvature_place place = {array, l, block};
    double *values = calloc(tamis__curvature_values(tamis_curvature_info_get(c), &place),
                            sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_ok(tamis__curvature_read(c, &place, values, &err));
    return values;
}

static inline char *file_bytes(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s is not there", path);
    fseek(f, 0, SEEK_END);
    *ret_size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*ret_size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *ret_size, f), *ret_size);
    fclose(f);
    return bytes;
}

static inline void same_files(const char *a, const char *b)
{
    size_t n, m;
    char *x = file_bytes(a, &n), *y = file_bytes(b, &m);
    ck_assert_msg(n == m && !memcmp(x, y, n), "%s and %s are not the same", a, b);
    free(x);
    free(y);
}

static inline void close_values(const double *got, const double *want, uint64_t n, double share)
{
    double most = 1e-300;
    for (uint64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (uint64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= share * most, "%llu: %.17g is not %.17g",
                      (unsigned long long)i, got[i], want[i]);
}

#endif
