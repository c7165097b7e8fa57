/* Small stores with known content, for the tests of the store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_SMALL_STORE_H
#define TAMIS_TEST_SMALL_STORE_H

#include "harness.h"

#include <stdbool.h>
#include <tamis/store.h>

static tamis_error err;

/* What a store holds; every value follows from its place. */
typedef struct small_store {
    const char *path;
    uint64_t rows;
    uint64_t columns; /* of both layers together, at least 4 */
    tamis_dtype dtype;
    uint32_t checkpoints, classes;
    uint64_t shard_rows;
    bool outputs, text_ids, numbers, labels, groups;
    const char *const *class_name; /* [10], with labels */
    bool force, resume;
    const char *provenance;
} small_store;

/* A value with few bits, so that every dtype holds it exactly. */
static inline float small_value(uint32_t k, uint64_t row, uint64_t column)
{
    uint64_t z = (row * 1000003 + column * 7919 + k * 104729 + 12345) * 0x9e3779b97f4a7c15u;
    return (float)((int)(z >> 57) - 64) / 32.0f;
}

static inline void small_layers(const small_store *s, tamis_layer layers[2])
{
    memset(layers, 0, 2 * sizeof *layers);
    strcpy(layers[0].name, "hidden");
    layers[0].out = 1, layers[0].in = 2, layers[0].bias = 1;
    strcpy(layers[1].name, "größer");
    layers[1].out = 1, layers[1].in = s->columns - 3;
}

static inline tamis_status small_open(tamis_store_writer **writer, tamis_context *context,
                                      const small_store *s)
{
    static const tamis_checkpoint checkpoint[3] = {{10, 0.5}, {20, 0.25}, {30, 0.125}};
    tamis_layer layers[2];
    small_layers(s, layers);
    tamis_store_spec spec = {
        .path = s->path,
        .dtype = s->dtype,
        .rows = s->rows,
        .layer = layers,
        .layers = 2,
        .checkpoint = checkpoint,
        .checkpoints = s->checkpoints,
        .classes = s->classes,
        .outputs = s->outputs,
        .shard_rows = s->shard_rows,
        .force = s->force,
        .resume = s->resume,
        .provenance = s->provenance,
    };
    return tamis_store_writer_open(writer, context, &spec, &err);
}

/* Columns of the rows from `first` on. */
typedef struct small_rows {
    float *gradient[3], *loss[3], *margin[3], *probability[3];
    uint64_t *id, *digest;
    char (*text)[32];
    const char **id_text;
    int32_t *label, *group;
    tamis_examples examples;
} small_rows;

static const char *const small_class_name[10] = {"zero", "one",  "zwei",  "trois", "4",
                                                 "five", "fünf", "seven", "8",     "nine, 9"};
static const char *const small_group_name[3] = {"red", "green", "a much longer name: blue"};

static inline small_rows small_make(const small_store *s, uint64_t first, uint64_t n)
{
    small_rows r = {0};
    r.id = malloc(n * 8), r.digest = malloc(n * 8), r.text = malloc(n * 32);
    r.id_text = malloc(n * sizeof *r.id_text);
    r.label = malloc(n * 4), r.group = malloc(n * 4);
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        r.gradient[k] = malloc(n * s->columns * 4);
        r.loss[k] = malloc(n * 4), r.margin[k] = malloc(n * 4);
        r.probability[k] = malloc((n * s->classes + 1) * 4);
        for (uint64_t i = 0; i < n; i++) {
            for (uint64_t j = 0; j < s->columns; j++)
                r.gradient[k][i * s->columns + j] = small_value(k, first + i, j);
            r.loss[k][i] = (float)(first + i) + (float)k / 4;
            r.margin[k][i] = -r.loss[k][i];
            for (uint32_t c = 0; c < s->classes; c++)
                r.probability[k][i * s->classes + c] = (float)(first + i) * 8 + (float)(c + k);
        }
    }
    for (uint64_t i = 0; i < n; i++) {
        r.id[i] = (first + i) * 3 + 7;
        r.digest[i] = (first + i) * 0x123456789abcdefu;
        r.label[i] = (int32_t)((first + i) % 10) - (s->class_name ? 0 : 1);
        r.group[i] = (int32_t)((first + i) % 4) - 1;
        snprintf(r.text[i], sizeof r.text[i], "é%u", (unsigned)(first + i));
        r.id_text[i] = r.text[i];
    }
    if (s->numbers) r.examples.id_number = r.id;
    if (s->text_ids) r.examples.id_text = r.id_text;
    if (s->labels) r.examples.label = r.label, r.examples.digest = r.digest;
    if (s->labels && s->class_name) r.examples.class_name = s->class_name, r.examples.classes = 10;
    if (s->groups) {
        r.examples.group = r.group;
        r.examples.group_name = small_group_name;
        r.examples.groups = 3;
    }
    return r;
}

static inline void small_free(small_rows *r)
{
    for (int k = 0; k < 3; k++)
        free(r->gradient[k]), free(r->loss[k]), free(r->margin[k]), free(r->probability[k]);
    free(r->id), free(r->digest), free(r->text), free(r->id_text), free(r->label), free(r->group);
}

static inline tamis_status small_append(tamis_store_writer *writer, const small_store *s,
                                        uint64_t n)
{
    small_rows r = small_make(s, tamis_store_writer_next(writer), n);
    const float *gradient[3], *loss[3], *margin[3], *probability[3];
    for (int k = 0; k < 3; k++) {
        gradient[k] = r.gradient[k];
        loss[k] = r.loss[k], margin[k] = r.margin[k], probability[k] = r.probability[k];
    }
    tamis_status status = tamis_store_writer_append(writer, n, gradient, &r.examples, loss, margin,
                                                    probability, &err);
    small_free(&r);
    return status;
}

/* The rows that are missing, `batch` at a time, and commit. */
static inline tamis_status small_finish(tamis_store_writer **writer, const small_store *s,
                                        uint64_t batch)
{
    while (tamis_store_writer_next(*writer) < s->rows) {
        uint64_t left = s->rows - tamis_store_writer_next(*writer);
        tamis_status status = small_append(*writer, s, left < batch ? left : batch);
        if (status != TAMIS_OK) {
            tamis_store_writer_abort(writer);
            return status;
        }
    }
    return tamis_store_writer_commit(writer, &err);
}

static inline tamis_status small_write(tamis_context *context, const small_store *s, uint64_t batch)
{
    tamis_store_writer *writer = NULL;
    tamis_status status = small_open(&writer, context, s);
    return status == TAMIS_OK ? small_finish(&writer, s, batch) : status;
}

/* The bytes of a file. */
static inline char *file_bytes(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *ret_size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*ret_size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *ret_size, f), *ret_size);
    fclose(f);
    return bytes;
}

static inline void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

static inline bool same_bytes(const char *a, const char *b)
{
    size_t m, n;
    char *x = file_bytes(a, &m), *y = file_bytes(b, &n);
    bool same = m == n && memcmp(x, y, m) == 0;
    free(x), free(y);
    return same;
}

#endif
