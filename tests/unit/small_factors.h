/* A small store in factor form, made of a rule, for tests that need one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TESTS_SMALL_FACTORS_H
#define TAMIS_TESTS_SMALL_FACTORS_H

#include "harness.h"

#include <stdbool.h>
#include <tamis/store.h>

static const tamis_layer factors_layer[] = {{.name = "first", .out = 4, .in = 3, .bias = 1},
                                            {.name = "second", .out = 2, .in = 37, .bias = 0},
                                            {.name = "third", .out = 5, .in = 2, .bias = 1}};
enum { FACTORS_LAYERS = 3, FACTORS_INPUT = 44, FACTORS_OUTPUT = 11, FACTORS_COLUMNS = 105 };

static const char *const factors_group[] = {"one", "two", "three"};

static const tamis_checkpoint factors_checkpoint[] = {{10, 0.5}, {20, 0.25}};

typedef struct small_factors {
    const char *path;
    uint64_t rows, shard_rows;
    tamis_dtype dtype;
    uint32_t checkpoints;
    uint64_t least;                /* tokens; 0 to 3 more */
    bool one_token;                /* an example */
    bool force, resume, no_tokens; /* no_tokens: not one in the store */
    const char *labels;
    uint32_t rows_per_example;
} small_factors;

/* Tokens of a row. */
static inline uint64_t factors_tokens(const small_factors *s, uint64_t row)
{
    return s->no_tokens ? 0 : s->one_token ? 1 : s->least + row * 7 % 4;
}

/* Small multiples of 1/8: every float type has them. */
static inline float factors_input(uint32_t k, uint64_t row, uint64_t token, uint64_t column)
{
    if (column == 3 || column == 43) return 1.0f;
    return ((float)((row * 13 + token * 5 + column * 3 + k) % 29) - 14.0f) / 8.0f;
}

static inline float factors_output(uint32_t k, uint64_t row, uint64_t token, uint64_t column)
{
    return ((float)((row * 3 + token * 11 + column * 7 + k * 2) % 23) - 11.0f) / 8.0f;
}

/* Rows of the store, from `first`. */
typedef struct factors_rows {
    uint64_t *offset;
    int32_t *group;
    float *value[2]; /* [rows] of output k: i + k / 4 */
    float *input[2], *output[2];
} factors_rows;

static inline factors_rows factors_make(const small_factors *s, uint64_t first, uint64_t rows)
{
    factors_rows r = {.offset = malloc((rows + 1) * sizeof *r.offset),
                      .group = malloc(rows * sizeof *r.group)};
    for (uint64_t i = 0; i < rows; i++) r.group[i] = (int32_t)((first + i) % 3);
    r.offset[0] = first; /* of any number */
    for (uint64_t i = 0; i < rows; i++)
        r.offset[i + 1] = r.offset[i] + factors_tokens(s, first + i);
    uint64_t tokens = r.offset[rows] - first;
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        r.value[k] = malloc(rows * sizeof(float));
        for (uint64_t i = 0; i < rows; i++) r.value[k][i] = (float)(first + i) + (float)k / 4;
        float *a = r.input[k] = malloc((tokens * FACTORS_INPUT + 1) * sizeof *a);
        float *g = r.output[k] = malloc((tokens * FACTORS_OUTPUT + 1) * sizeof *g);
        for (uint64_t i = 0; i < rows; i++)
            for (uint64_t t = 0; t < factors_tokens(s, first + i); t++) {
                for (uint64_t c = 0; c < FACTORS_INPUT; c++)
                    *a++ = factors_input(k, first + i, t, c);
                for (uint64_t c = 0; c < FACTORS_OUTPUT; c++)
                    *g++ = factors_output(k, first + i, t, c);
            }
    }
    return r;
}

static inline void factors_free(factors_rows *r)
{
    free(r->offset);
    free(r->group);
    for (unsigned k = 0; k < 2; k++) free(r->input[k]), free(r->output[k]), free(r->value[k]);
}

static inline tamis_store_spec factors_spec(const small_factors *s)
{
    return (tamis_store_spec){.path = s->path,
                              .dtype = s->dtype,
                              .rows = s->rows,
                              .layer = factors_layer,
                              .layers = FACTORS_LAYERS,
                              .checkpoint = factors_checkpoint,
                              .checkpoints = s->checkpoints,
                              .shard_rows = s->shard_rows,
                              .outputs = true,
                              .force = s->force,
                              .resume = s->resume,
                              .form = TAMIS_FORM_FACTORS,
                              .labels = s->labels,
                              .label_seed = s->labels ? 77 : 0,
                              .rows_per_example = s->rows_per_example};
}

/* Rows from the writer's next one up to `end`, `step` at a time. */
static inline tamis_status factors_append(tamis_store_writer *writer, const small_factors *s,
                                          uint64_t end, uint64_t step, tamis_error *ret_error)
{
    tamis_status status = TAMIS_OK;
    while (status == TAMIS_OK && tamis_store_writer_next(writer) < end) {
        uint64_t first = tamis_store_writer_next(writer);
        uint64_t n = end - first < step ? end - first : step;
        factors_rows r = factors_make(s, first, n);
        const float *const *value = (const float *const *)r.value;
        tamis_examples examples = {.group = r.group, .group_name = factors_group, .groups = 3};
        status = tamis_store_writer_append_factors(
            writer, n, r.offset, (const float *const *)r.input, (const float *const *)r.output,
            &examples, value, value, NULL, ret_error);
        factors_free(&r);
    }
    return status;
}

static inline tamis_status factors_write(const small_factors *s, tamis_context *context,
                                         uint64_t step, tamis_error *ret_error)
{
    tamis_store_writer *writer = NULL;
    tamis_store_spec spec = factors_spec(s);
    tamis_status status = tamis_store_writer_open(&writer, context, &spec, ret_error);
    if (status != TAMIS_OK) return status;
    status = factors_append(writer, s, s->rows, step, ret_error);
    if (status == TAMIS_OK) return tamis_store_writer_commit(&writer, ret_error);
    tamis_store_writer_abort(&writer);
    return status;
}

#endif
