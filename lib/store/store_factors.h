/* Factors of the examples of one file of a store: finding them, reading them, digests of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_FACTORS_H
#define TAMIS_STORE_STORE_FACTORS_H

#include "store/store_part.h"
#include "store/store_writer.h"

/* Where the factors of checkpoint k lie; sets *through_hdf5 when some must be read through HDF5.
 * Errors: FORMAT, SHAPE (scales that are not one for each token and layer), UNSUPPORTED, NOMEM. */
tamis_status tamis__store_factors_find(tamis__store_part *part, uint32_t k, bool *through_hdf5,
                                       tamis_error *err);

/* A rectangle of one side of the factors, within one layer. */
typedef struct tamis__factor_range {
    int side; /* TAMIS__INPUT or TAMIS__OUTPUT_GRADIENT */
    uint32_t layer;
    uint64_t first_token, tokens;   /* of the part */
    uint64_t first_column, columns; /* of the side's matrix; those of the layer or some of them */
} tamis__factor_range;

/* As floats, `stride` from token to token. Thread-safe. Errors: FORMAT (a scale that is negative or
 * not finite), IO, NOMEM. */
tamis_status tamis__store_part_factors(const tamis__store_part *part, const tamis__kernels *kernels,
                                       uint32_t checkpoint, const tamis__factor_range *range,
                                       float *out, size_t stride, tamis_error *err);

/* The part's offsets of checkpoint k, checked: [rows + 1] from 0 to the number of tokens. Errors:
 * FORMAT (they do not begin at 0, fall, or do not end there), IO, NOMEM. */
tamis_status tamis__store_part_offsets(const tamis__store_part *part, uint32_t checkpoint,
                                       uint64_t *out, tamis_error *err);

/* Factors of a row as they are stored, put together where a file has them in pieces.
 * Zero-initialise; one thread at a time. */
typedef struct tamis__factor_joiner {
    unsigned char *joined[TAMIS__FACTORS];
    uint64_t room[TAMIS__FACTORS]; /* bytes */
} tamis__factor_joiner;

/* Tokens of the part; *ret_rows is valid until the next call. Errors: IO, NOMEM. */
tamis_status tamis__factor_join(tamis__factor_joiner *joiner, const tamis__store_part *part,
                                uint32_t checkpoint, uint64_t first_token, uint64_t tokens,
                                tamis__factor_rows *ret_rows, tamis_error *err);
void tamis__factor_joiner_fini(tamis__factor_joiner *joiner);

tamis__factor_shape tamis__store_part_shape(const tamis__store_part *part);

/* The part's share of the content digest at a checkpoint, from what the file holds now. */
tamis_status tamis__store_part_factors_digest(const tamis__store_part *part, uint32_t checkpoint,
                                              uint64_t *ret_digest, tamis_error *err);

#endif
