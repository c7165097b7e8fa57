/* Stores of gradients, as tests of `grad` write and read them: in an empty directory, with a
 * context of two threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_MODEL_STORES_H
#define TAMIS_TEST_MODEL_STORES_H

#include "fixture.h"

static tamis_context *context;

static inline void setup(void)
{
    enter_scratch();
    context = fixture_context(2);
}

static inline void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static inline void write_store(const tamis_model *model, tamis_context *with,
                               const tamis_data *data, tamis_gradient_params params)
{
    tamis_error err = {0};
    ck_ok(tamis_gradients(model, with, data, &params, &err));
}

static inline tamis_store *open_store(const char *path)
{
    tamis_error err = {0};
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

/* All full rows of a checkpoint, f32; freed with free(). */
static inline float *read_rows(const tamis_store *store, uint32_t checkpoint)
{
    tamis_error err = {0};
    const tamis_store_info *info = tamis_store_info_get(store);
    float *rows = calloc(info->rows * info->columns, sizeof *rows);
    ck_ok(tamis_store_read(store, checkpoint, 0, info->rows, 0, info->columns, rows, info->columns,
                           &err));
    return rows;
}

static inline uint64_t digest_of(const char *path)
{
    tamis_store *store = open_store(path);
    uint64_t digest = tamis_store_info_get(store)->digest;
    tamis_store_close(&store);
    return digest;
}

#endif
