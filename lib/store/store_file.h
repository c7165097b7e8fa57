/* The gradient store's file: names, types, the header that readers and resumed writers share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_FILE_H
#define TAMIS_STORE_STORE_FILE_H

#include <tamis/store.h>

#include "store/columns.h"
#include "store/h5.h"
#include "store/store_origin.h"

#define TAMIS__STORE_KIND "gradient-store"
/* Newest version that is read. Stores in full form are written as version 1, so that older readers
 * take them. */
#define TAMIS__STORE_VERSION         2u
#define TAMIS__STORE_VERSION_FULL    1u
#define TAMIS__STORE_VERSION_FACTORS 2u

/* The datasets of factors in a checkpoint's group, a row for each token. The scales are of i8. */
enum {
    TAMIS__INPUT,
    TAMIS__OUTPUT_GRADIENT,
    TAMIS__INPUT_SCALE,
    TAMIS__OUTPUT_GRADIENT_SCALE,
    TAMIS__FACTORS
};
/* "input", "output_gradient", "input_scale", "output_gradient_scale". */
const char *tamis__store_factors_name(int which);

/* "checkpoint/<k>/<name>"; just "checkpoint/<k>" when name is NULL. */
typedef struct tamis__store_name {
    char text[64];
} tamis__store_name;
tamis__store_name tamis__store_name_of(uint32_t checkpoint, const char *name);

/* The HDF5 type of a dtype, little-endian; close with H5Tclose(). Negative on failure. Inside
 * tamis__h5_enter() / tamis__h5_leave(). */
hid_t tamis__store_type(tamis_dtype dtype);

/* What a file says of itself. */
typedef struct tamis__store_header {
    uint64_t first_row, rows, total_rows, columns;
    uint64_t digest; /* 0 when the file has none */
    tamis_dtype dtype;
    uint32_t checkpoints, layers, classes;
    bool outputs, has_digest;
    tamis_form form;
    uint64_t input_columns, output_columns; /* factor form; else 0 */
    uint64_t *tokens;                       /* factor form: [checkpoints]; else NULL */
    tamis_layer *layer;
    tamis_checkpoint *checkpoint;
    tamis__store_origin origin;
    char *provenance;
} tamis__store_header;

/* Errors as tamis_store_open(). */
tamis_status tamis__store_header_read(tamis__store_header *ret_header, const tamis__h5 *h5,
                                      tamis_error *err);
void tamis__store_header_fini(tamis__store_header *header);

/* --- directories of shards -------------------------------------------------------------------- */

#define TAMIS__SHARDS_MAX 100000u

/* The files of a directory that belong to a store. */
typedef struct tamis__shard_list {
    uint32_t *number; /* [shards] ascending: NNNNN of NNNNN.h5 */
    uint32_t shards;
    uint32_t *part; /* [parts] of NNNNN.h5.part */
    uint32_t parts;
    char stranger[64]; /* start of the name of a file that is neither; "" = none */
} tamis__shard_list;

tamis_status tamis__shard_list_read(tamis__shard_list *ret_list, const char *directory,
                                    tamis_error *err);
void tamis__shard_list_fini(tamis__shard_list *list);

/* "<directory>/NNNNN.h5", allocated; NULL when out of memory. */
char *tamis__shard_path(const char *directory, uint32_t number);

#endif
