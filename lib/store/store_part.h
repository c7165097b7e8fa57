/* One file of a gradient store, open for reading, and how several join.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_PART_H
#define TAMIS_STORE_STORE_PART_H

#include "kernels/kernels.h"
#include "base/watch.h"
#include "store/store_rows.h"

/* Datasets of f32 beside the gradients. */
enum { TAMIS__NORM, TAMIS__SCALE, TAMIS__LOSS, TAMIS__MARGIN, TAMIS__PROBABILITY, TAMIS__VALUES };

typedef struct tamis__store_values {
    bool there;
    haddr_t address; /* HADDR_UNDEF: read through HDF5 */
} tamis__store_values;

typedef struct tamis__store_part {
    char *path;
    tamis__store_header header;
    tamis_examples examples;
    tamis__input input;
    tamis__watch watch;
    tamis__h5 h5;            /* stays open only when something must be read through HDF5 */
    tamis__store_rows *rows; /* [checkpoints]; NULL in factor form */
    tamis__store_rows (*factors)[TAMIS__FACTORS]; /* [checkpoints]; NULL in full form */
    haddr_t *offset; /* [checkpoints] where offsets of tokens lie; HADDR_UNDEF: through HDF5 */
    tamis__store_values (*values)[TAMIS__VALUES]; /* [checkpoints] */
} tamis__store_part;

/* `keep` its descriptor, to see when the file is changed. */
tamis_status tamis__store_part_open(tamis__store_part *ret_part, const tamis_context *context,
                                    const char *path, bool keep, tamis_error *err);
void tamis__store_part_fini(tamis__store_part *part);

/* Rows of the part (row 0 is its first) as floats. `scale` has that of every row of the part, for
 * i8; NULL otherwise. Thread-safe. */
tamis_status tamis__store_part_read(const tamis__store_part *part, const tamis__kernels *kernels,
                                    uint32_t checkpoint, const float *scale,
                                    const tamis__h5_part *where, float *out, tamis_error *err);

/* The same of any rows of the part; `scale` starts at where->first_row. */
tamis_status tamis__store_rows_read(const tamis__store_part *part, const tamis__store_rows *rows,
                                    const tamis__kernels *kernels, const float *scale,
                                    const tamis__h5_part *where, float *out, tamis_error *err);

/* A row in place, and how many follow it; NULL when rows are read through HDF5. */
const void *tamis__store_rows_map(const tamis__store_part *part, const tamis__store_rows *rows,
                                  uint64_t row, uint64_t *ret_rows);

/* Rows in their stored type, packed, for rows that are not in place. Thread-safe. */
tamis_status tamis__store_rows_stored(const tamis__store_part *part, const tamis__store_rows *rows,
                                      uint64_t first_row, uint64_t n, void *out, tamis_error *err);

/* A row of a part in full form; NULL in factor form. */
const void *tamis__store_part_map(const tamis__store_part *part, uint32_t checkpoint, uint64_t row,
                                  uint64_t *ret_rows);

/* All of norm, scale, loss, margin or probability, which must be there. */
tamis_status tamis__store_part_values(const tamis__store_part *part, uint32_t checkpoint, int which,
                                      float *out, tamis_error *err);

/* "norm", "scale", "loss", "margin", "probability". */
const char *tamis__store_values_name(int which);

/* Put parts in the order of their rows and check that they make one store. `path` is the
 * store's. */
tamis_status tamis__store_parts_check(tamis__store_part *part, uint32_t parts, const char *path,
                                      tamis_error *err);

/* The examples of all parts as one. With one part they are taken out of it. */
tamis_status tamis__store_parts_examples(tamis__store_part *part, uint32_t parts,
                                         tamis_examples *ret_examples, tamis_error *err);

#endif
