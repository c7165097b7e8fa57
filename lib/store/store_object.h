/* An open store, for the files of this room that look into it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_OBJECT_H
#define TAMIS_STORE_STORE_OBJECT_H

#include <stdatomic.h>

#include "store/store_changed.h"
#include "store/store_part.h"

/* What is made when first asked for; guarded by a lock. */
typedef struct tamis__store_kept tamis__store_kept;

struct tamis_store {
    char *path;
    tamis_store_info info;
    tamis_examples examples;
    tamis__kernels kernels;
    tamis__store_part *part; /* [info.shards] in the order of their rows */
    tamis__store_kept *kept;
    /* Factor form, else NULL: where each layer's columns start among the inputs and the output
     * gradients, [layers + 1] each; and of each checkpoint the first token of each part and the
     * end, [checkpoints * (shards + 1)]. */
    uint64_t *input_at, *output_at, *first_token;
    _Atomic uint64_t *touched; /* bytes of mapped rows read so far: see store_pages.h */
};

/* NULL when out of memory. */
tamis__store_kept *tamis__store_kept_create(uint32_t checkpoints);
void tamis__store_kept_free(tamis__store_kept *kept);

/* As tamis_store_scales(). */
tamis_status tamis__store_scales(const tamis_store *store, uint32_t checkpoint,
                                 const float **ret_scales, tamis_error *err);

/* As tamis_store_tokens(). */
tamis_status tamis__store_tokens(const tamis_store *store, uint32_t checkpoint,
                                 const uint64_t **ret_offset, tamis_error *err);

/* Rows of factors in full form: what tamis_store_read() does for them, its arguments checked. */
tamis_status tamis__store_expand(const tamis_store *store, uint32_t checkpoint, uint64_t first_row,
                                 uint64_t rows, uint64_t first_column, uint64_t columns, float *out,
                                 size_t stride, tamis_error *err);

/* The number of the part that holds a row. */
uint32_t tamis__store_part_of(const tamis_store *store, uint64_t row);

/* A row of a store in full form in its stored type into `out`, for rows that tamis_store_map() does
 * not give.
 * Thread-safe. */
tamis_status tamis__store_stored(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                                 void *out, tamis_error *err);

#endif
