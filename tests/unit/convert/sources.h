/* A store with everything in it, for the tests of conversions.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_SOURCES_H
#define TAMIS_TEST_SOURCES_H

#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <tamis/convert.h>

#include "base/hash.h"
#include "base/mem.h"

enum { ROWS = 130, FIRST = 18, SECOND = 40, THIRD = 7, COLUMNS = FIRST + SECOND + THIRD };
enum { CHECKPOINTS = 3, CLASSES = 4 };

static tamis_error err;

/* Rows share a direction, so that scores are not all noise. */
static inline float source_value(uint32_t k, uint64_t row, uint64_t column)
{
    uint64_t place = (k * (uint64_t)ROWS + row) * COLUMNS + column;
    double noise = (double)(int64_t)tamis__splitmix(5, place) * 0x1p-63;
    double common = (double)(int64_t)tamis__splitmix(6, column) * 0x1p-63;
    return (float)(noise + common * (double)(row % 11) / 4);
}

static inline float source_output(int which, uint32_t k, uint64_t i)
{
    return (float)((double)(k + 1) * (double)i + which * 1000);
}

static inline tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

static inline void append_source(tamis_store_writer *writer)
{
    static float gradient[CHECKPOINTS][ROWS * COLUMNS], out[3][CHECKPOINTS][ROWS * CLASSES];
    static char name[ROWS][16];
    static const char *id[ROWS];
    static const char *const groups[] = {"odd", "even"}, *const classes[] = {"a", "b", "c", "d"};
    uint64_t digest[ROWS];
    int32_t label[ROWS], group[ROWS];
    const float *rows[CHECKPOINTS], *outputs[3][CHECKPOINTS];
    for (uint64_t i = 0; i < ROWS; i++) {
        snprintf(name[i], sizeof name[i], "row-%d", (int)i);
        id[i] = name[i];
        digest[i] = 77 + i;
        label[i] = (int32_t)(i % 4);
        group[i] = i % 9 ? (int32_t)(i % 2) : -1;
    }
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        rows[k] = gradient[k];
        for (uint64_t i = 0; i < ROWS * COLUMNS; i++)
            gradient[k][i] = source_value(k, i / COLUMNS, i % COLUMNS);
        for (int which = 0; which < 3; which++) {
            outputs[which][k] = out[which][k];
            for (uint64_t i = 0; i < ROWS * CLASSES; i++)
                out[which][k][i] = source_output(which, k, i);
        }
    }
    tamis_examples examples = {.id_text = id,
                               .digest = digest,
                               .label = label,
                               .group = group,
                               .group_name = groups,
                               .groups = 2,
                               .class_name = classes,
                               .classes = 4};
    ck_ok(tamis_store_writer_append(writer, ROWS, rows, &examples, outputs[0], outputs[1],
                                    outputs[2], &err));
}

static inline void write_source(tamis_context *context, const char *path, tamis_dtype dtype,
                                uint64_t shard_rows)
{
    tamis_layer layers[3] = {{.name = "first", .out = 3, .in = 5, .bias = 1},
                             {.name = "second", .out = 8, .in = 5},
                             {.name = "third", .out = 1, .in = THIRD}};
    tamis_checkpoint checkpoints[CHECKPOINTS] = {{.step = 10, .learning_rate = 0.5},
                                                 {.step = 20, .learning_rate = 0.1},
                                                 {.step = 30, .learning_rate = 0.02}};
    tamis_store_spec spec = {.path = path,
                             .dtype = dtype,
                             .rows = ROWS,
                             .layer = layers,
                             .layers = 3,
                             .checkpoint = checkpoints,
                             .checkpoints = CHECKPOINTS,
                             .classes = CLASSES,
                             .outputs = true,
                             .function = "loss",
                             .direction = "gradient",
                             .shard_rows = shard_rows};
    tamis_store_writer *writer = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    append_source(writer);
    ck_ok(tamis_store_writer_commit(&writer, &err));
}

static inline tamis_store *open_source(tamis_context *context, const char *path, tamis_dtype dtype,
                                       uint64_t shard_rows)
{
    tamis_store *store = NULL;
    write_source(context, path, dtype, shard_rows);
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

static inline tamis_store *convert(tamis_context *context, const tamis_convert_params *params,
                                   tamis_convert_report *ret_report)
{
    tamis_store *made = NULL;
    ck_ok(tamis_convert(context, params, ret_report, &err));
    ck_ok(tamis_store_open(&made, context, params->path, &err));
    return made;
}

static inline float *read_all(const tamis_store *store, uint32_t k)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    float *values = calloc(info->rows * info->columns, sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_ok(tamis_store_read(store, k, 0, info->rows, 0, info->columns, values, info->columns, &err));
    return values;
}

#endif
