/* Where the rows of one checkpoint, or its tokens, lie in one file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_ROWS_H
#define TAMIS_STORE_STORE_ROWS_H

#include "base/file.h"
#include "store/store_file.h"

/* Rows of a matrix in a file; `rows` may be 0. In place: `span` rows at address[0], the next `span`
 * at address[1] ... With address NULL the rows are not in the file as they are in memory, and
 * `dataset` is read through HDF5. */
typedef struct tamis__store_rows {
    uint64_t rows, columns;
    tamis_dtype dtype;
    uint64_t span, spans;
    uint64_t *address; /* [spans] from the start of the file */
    uint64_t *run; /* [spans] how many spans follow each other without a gap, this one included */
    hid_t dataset; /* 0 when the rows are in place */
} tamis__store_rows;

/* What is looked for: a dataset of this shape and type. */
typedef struct tamis__store_rows_wanted {
    const char *name; /* within the group of the checkpoint */
    const char *unit; /* "rows" or "tokens", for messages, which count them from `first` */
    uint64_t first, rows, columns;
    tamis_dtype dtype;
} tamis__store_rows_wanted;

/* Errors: FORMAT (rows never written, or outside the file), UNSUPPORTED, NOMEM. Takes the HDF5
 * lock. */
tamis_status tamis__store_rows_find(tamis__store_rows *ret_rows, const tamis__h5 *h5,
                                    const tamis__input *input,
                                    const tamis__store_rows_wanted *wanted, uint32_t checkpoint,
                                    tamis_error *err);
void tamis__store_rows_fini(tamis__store_rows *rows);

/* The addresses of the chunks of a 2-D dataset whose chunks are `span` whole rows, `bytes` each,
 * straight from the file's index. HDF5 1.10 answers for one chunk by walking from the first one,
 * which takes minutes for a large store. False when the index is not of the kind that HDF5 writes
 * by default, or not sound: ask HDF5 then. */
bool tamis__chunk_index_read(const tamis__input *input, hid_t dataset, uint64_t span,
                             uint64_t bytes, uint64_t *ret_address, uint64_t chunks);

#endif
