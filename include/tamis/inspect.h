/* tamis - what a file is, and whether it is healthy.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_INSPECT_H
#define TAMIS_INSPECT_H

#include <tamis/context.h>

TAMIS_BEGIN

/** A fact of the file, for people and for machines. */
typedef struct tamis_fact {
    const char *key; /**< stable name, e.g. "rows", "norm_median" */
    char value[256]; /**< as text */
    int is_number;   /**< 1: `value` is a JSON number */
} tamis_fact;

/** What is wrong, or worth knowing. */
typedef struct tamis_finding {
    int severe;      /**< 1: the file is not healthy; 0: a remark */
    const char *key; /**< stable name, e.g. "zero_norm", "duplicate_rows", "digest_mismatch" */
    uint64_t count;  /**< how many rows */
    char text[256];  /**< one line naming the first rows */
} tamis_finding;

/** What tamis_inspect() found. Everything in it belongs to the struct; freed with
 *  tamis_inspection_free(). */
typedef struct tamis_inspection {
    char kind[32];          /**< "gradient-store", "curvature", "scores", "selection", "model" */
    tamis_fact *fact;       /**< [facts] in the order to show them */
    size_t facts;           /**< entries of fact */
    tamis_finding *finding; /**< [findings] */
    size_t findings;        /**< entries of finding; 0 = nothing to say */
    int healthy;            /**< 1 when no finding is severe */
    char *provenance;       /**< JSON text */
} tamis_inspection;

/** Describe any tamis file and check it. With `quick` only what can be told without reading rows.
 *  A store's full check: stored digest against the rows, rows that are not finite or all zero,
 *  duplicate rows, norms that disagree with the rows, ids that repeat. A scores file: values
 *  that are not finite in rows with a score, rows without one against their recorded number,
 *  columns all zero, recorded means; of lists, rows and order of each. A selection: counts, ranks a
 *  permutation, weights finite and not negative, kept rows without a score. A curvature file:
 *  digest, eigenvectors orthogonal, Lambda not negative and not all zero; its spectrum is
 *  described.
 *  Errors: IO, FORMAT (no tamis file), UNSUPPORTED (newer version), NOMEM, CANCELLED. A file that
 *  opens but is not healthy is not an error: see `healthy`. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_inspect(tamis_inspection **ret_inspection,
                                                     tamis_context *context, const char *path,
                                                     int quick, tamis_error *err);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_inspection_free(tamis_inspection **inspection);

/** The tamis_kind of a file or store directory, into `ret_kind` ("gradient-store" ...). No row is
 *  read. Thread-safe (HDF5 calls are serialised). Errors: IO, FORMAT (no tamis file), UNSUPPORTED
 *  (newer version), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_file_kind(const char *path, char ret_kind[32],
                                                       tamis_error *err);

TAMIS_END

#endif
