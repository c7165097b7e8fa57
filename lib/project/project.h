/* Random projections: rows of many columns to few, dot products kept in the mean.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PROJECT_PROJECT_H
#define TAMIS_PROJECT_PROJECT_H

#include <tamis/common.h>

#include "kernels/kernels.h"

/* Two kinds, each a fixed matrix that is a function of (kind, seed, from, to, nonzeros) alone
 * (docs/formats.md has the definition in full):
 *
 *   sparse      every column has `nonzeros` entries +-1/sqrt(nonzeros), one in each section of the
 *               outputs. Kane and Nelson 2014, "Sparser Johnson-Lindenstrauss transforms"; one
 *               section is CountSketch (Charikar, Chen and Farach-Colton 2002).
 *   rademacher  every entry is +-1/sqrt(to). Achlioptas 2003, "Database-friendly random
 *               projections".
 *
 * Results have the same bits on every processor, for any number of threads and any batch: each sum
 * is taken in the order of the columns, in float over spans of columns that depend on the kind and
 * `to` only, and over the spans in double. (Only exact products enter, so that a fused
 * multiplication changes nothing.) */

/* Values are part of files by their names; append only. */
typedef enum tamis__projection_kind {
    TAMIS__PROJECTION_SPARSE = 0,
    TAMIS__PROJECTION_RADEMACHER = 1,
    TAMIS__PROJECTION_KINDS
} tamis__projection_kind;

/* Entries of a column of a sparse projection when nothing is said, at most `to`. */
#define TAMIS__PROJECTION_NONZEROS 2

/* Columns are given in runs that begin at multiples of this. */
#define TAMIS__PROJECTION_TILE 32768

/* A prepared projection. Const after it was created: any number of threads may use it at once, each
 * with its own scratch. */
typedef struct tamis__projector tamis__projector;

typedef struct tamis__projection_spec {
    tamis__projection_kind kind;
    uint64_t seed;
    uint64_t from;     /* columns of the rows, > 0 */
    uint64_t to;       /* outputs, from 1 to TAMIS__PROJECTION_MOST */
    uint64_t nonzeros; /* sparse: entries of a column, from 1 to `to` and at most 64; 0 = the
                          default. Rademacher: must be 0 */
} tamis__projection_spec;

/* The most outputs: a place is drawn from 40 bits, and its product with this fits in 64. */
#define TAMIS__PROJECTION_MOST ((uint64_t)1 << 24)

/* "sparse" or "rademacher". Never NULL for a kind. */
const char *tamis__projection_name(tamis__projection_kind kind);

/* Errors: ARG (a number out of range, said in one line), NOMEM. `kernels` is copied. */
tamis_status tamis__projector_create(tamis__projector **ret_projector,
                                     const tamis__projection_spec *spec,
                                     const tamis__kernels *kernels, tamis_error *err);
void tamis__projector_destroy(tamis__projector **projector);

/* What it was made of, with the nonzeros in force. */
const tamis__projection_spec *tamis__projector_spec(const tamis__projector *projector);

/* Bytes of scratch for batches of `rows` rows. The scratch is aligned to 64 bytes
 * (tamis__aligned()); its content on entry does not matter. */
size_t tamis__projector_scratch(const tamis__projector *projector, uint64_t rows);

/* Project `rows` rows [rows, from], `stride` floats apart, into `out` [rows, to], `out_stride`
 * floats apart. Values that are not finite, or sums that overflow, come out as not finite. A batch
 * of 16 rows or more hides the cost of the matrix's making.
 * Complexity: O(rows * from * nonzeros) sparse, O(rows * from * to) rademacher. */
void tamis__project(const tamis__projector *projector, void *scratch, uint64_t rows,
                    const float *in, size_t stride, float *out, size_t out_stride);

/* The same by runs of columns, for rows that are not in memory as a whole: begin, then runs in
 * ascending order without a gap, each beginning at a multiple of TAMIS__PROJECTION_TILE, then end.
 * How the columns are cut into runs changes no bit. `in` points to column `first_column` of the
 * first row. The scratch carries the sums from call to call. */
void tamis__project_begin(const tamis__projector *projector, void *scratch, uint64_t rows);
void tamis__project_columns(const tamis__projector *projector, void *scratch, uint64_t rows,
                            uint64_t first_column, uint64_t columns, const float *in,
                            size_t stride);
void tamis__project_end(const tamis__projector *projector, void *scratch, uint64_t rows, float *out,
                        size_t out_stride);

#endif
