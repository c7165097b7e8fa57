/* The HDF5 file of a curvature: arrays by their place.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_CURVATURE_FILE_H
#define TAMIS_STORE_CURVATURE_FILE_H

#include <stdbool.h>
#include <tamis/curvature.h>

/* --- diagonal blocks -------------------------------------------------------------------------- */

/* A side of `n` is cut into this many blocks, as few as can be, whose sizes differ by at most 1. */
static inline uint32_t tamis__curvature_blocks(uint64_t n, uint64_t max_block)
{
    if (max_block == 0 || max_block >= n) return 1;
    uint64_t blocks = (n - 1) / max_block + 1;
    return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

/* Where block `block` of `blocks` starts; block == blocks: the end. */
static inline uint64_t tamis__curvature_block(uint64_t n, uint32_t blocks, uint32_t block)
{
    uint64_t each = n / blocks, longer = n % blocks;
    return block * each + (block < longer ? block : longer);
}

/* --- arrays ----------------------------------------------------------------------------------- */

typedef enum tamis__curvature_array {
    TAMIS__OUTPUT_COVARIANCE, /* [w, w] a block of S: sums, both triangles */
    TAMIS__INPUT_COVARIANCE,  /* [w, w] a block of A */
    TAMIS__OUTPUT_VECTORS,    /* [w, w] of a block, eigenvector i as row i */
    TAMIS__INPUT_VECTORS,
    TAMIS__OUTPUT_VALUES, /* [out] eigenvalues, ascending within a block */
    TAMIS__INPUT_VALUES,  /* [in + bias] */
    TAMIS__LAMBDA,        /* [out, in + bias]; sums before the final stage */
    TAMIS__GRAM,          /* [columns, columns], both triangles */
    /* Of whiten, with y = x - mean: sums before the final stage, then what is made of them. */
    TAMIS__WHITEN_MEAN,        /* [columns]; at any stage */
    TAMIS__WHITEN_SCATTER,     /* [columns, columns] sum of y y^T, both triangles */
    TAMIS__WHITEN_THIRD,       /* [columns] sum of |y|^2 y */
    TAMIS__WHITEN_FOURTH,      /* [1] sum of |y|^4 */
    TAMIS__WHITEN_FACTOR,      /* [columns, columns] L, zeros above the diagonal */
    TAMIS__WHITEN_EIGENVALUES, /* [columns] of C, ascending */
    TAMIS__CURVATURE_ARRAYS
} tamis__curvature_array;

typedef struct tamis__curvature_place {
    tamis__curvature_array array;
    uint32_t layer, block;
} tamis__curvature_place;

/* Go on to the next array of a file of this kind, stage, layers and max_block, in the order in
 * which they are written: layer by layer. *started is false before the first. False at the end. */
bool tamis__curvature_next(const tamis_curvature_info *info, tamis__curvature_place *place,
                           bool *started);

/* columns = 0: one dimension. */
void tamis__curvature_shape(const tamis_curvature_info *info, const tamis__curvature_place *place,
                            uint64_t *ret_rows, uint64_t *ret_columns);
static inline uint64_t tamis__curvature_values(const tamis_curvature_info *info,
                                               const tamis__curvature_place *place)
{
    uint64_t rows, columns;
    tamis__curvature_shape(info, place, &rows, &columns);
    return rows * (columns ? columns : 1);
}

/* "factor/0/input_covariance_1". */
enum { TAMIS__CURVATURE_NAME_SIZE = 64 };
void tamis__curvature_name(const tamis__curvature_place *place,
                           char ret_name[TAMIS__CURVATURE_NAME_SIZE]);

/* --- reading ---------------------------------------------------------------------------------- */

/* Read an array whole. FORMAT when a value is not finite. Thread-safe. */
tamis_status tamis__curvature_read(const tamis_curvature *curvature,
                                   const tamis__curvature_place *place, double *ret_values,
                                   tamis_error *err);

/* Digest of the eigenvectors and eigenvalues: files of TAMIS_STAGE_LAMBDA that have the same one
 * can be merged. 0 when the file has none. */
uint64_t tamis__curvature_basis(const tamis_curvature *curvature);

const char *tamis__curvature_kind_name(tamis_curvature_kind kind);
/* What shrinkages are called; NULL past the last. */
const char *tamis__shrinkage_name(tamis_shrinkage shrinkage);
const char *tamis__curvature_stage_name(tamis_curvature_stage stage);

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct tamis__curvature_writer tamis__curvature_writer;

/* Start a file. Of `info` the digest is not looked at; tokens and examples come at the end. It must
 * live as long as the writer; `whiten` of a final file of that kind is complete. Errors: IO (exists
 * and not `force` ...), NOMEM. */
tamis_status tamis__curvature_create(tamis__curvature_writer **ret_writer, tamis_context *context,
                                     const char *path, const tamis_curvature_info *info, bool force,
                                     tamis_error *err);
/* Arrays in the order of tamis__curvature_next(), each once. */
tamis_status tamis__curvature_put(tamis__curvature_writer *writer,
                                  const tamis__curvature_place *place, const double *values,
                                  tamis_error *err);
/* Write the counts and the digest, close, sync and rename. Frees in every case. */
tamis_status tamis__curvature_commit(tamis__curvature_writer **writer, uint64_t tokens,
                                     uint64_t examples, tamis_error *err);
/* Remove and free. Accepts NULL and a pointer to NULL. */
void tamis__curvature_abort(tamis__curvature_writer **writer);

/* Digest of an array's values, to be summed up over a file. */
uint64_t tamis__curvature_digest(const tamis_curvature_info *info,
                                 const tamis__curvature_place *place, const double *values);

#endif
