/* tamis - scores: a matrix [train rows, queries] with ids, in HDF5.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORES_H
#define TAMIS_SCORES_H

#include <stdbool.h>
#include <tamis/store.h>

TAMIS_BEGIN

/** Said in every scores file, report and table. */
#define TAMIS_ORIENTATION                                                                          \
    "positive: training more on this example helps the query (lowers its loss)"

/** An open scores file. Functions but close may be called from several threads at once. */
typedef struct tamis_scores tamis_scores;

/** What a scores file says of itself. Strings and arrays belong to the scores. */
typedef struct tamis_scores_info {
    uint64_t rows;           /**< training examples */
    uint64_t queries;        /**< columns; 1 for a score per example such as `self` */
    const char *scorer;      /**< name and parameters ("tracin", "import") */
    const char *provenance;  /**< JSON text */
    tamis_examples examples; /**< of the training rows: ids, digests, labels, groups */
    tamis_examples query;    /**< of the queries: ids, digests, labels, groups */
} tamis_scores_info;

/** Open a scores file for reading; no score is read. Errors as tamis_store_open(); FORMAT and
 *  UNSUPPORTED also when its orientation is missing or is not TAMIS_ORIENTATION. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_open(tamis_scores **ret_scores,
                                                         tamis_context *context, const char *path,
                                                         tamis_error *err);

/** Close and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_scores_close(tamis_scores **scores);

/** The facts of the file; owned by it and valid until it is closed. Never NULL. Thread-safe. */
TAMIS_API const tamis_scores_info *tamis_scores_info_get(const tamis_scores *scores);

/** The path the scores were opened with; owned by them. Thread-safe. */
TAMIS_API const char *tamis_scores_path(const tamis_scores *scores);

/** Read a block of the matrix into `out` [rows, queries] with `stride` floats from row to row.
 *  Errors: ARG (out of range), IO. Thread-safe (calls into HDF5 are serialised). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_read(const tamis_scores *scores,
                                                         uint64_t first_row, uint64_t rows,
                                                         uint64_t first_query, uint64_t queries,
                                                         float *out, size_t stride,
                                                         tamis_error *err);

/** What a scores file will be. Zero-initialise; needs live only during the call. */
typedef struct tamis_scores_spec {
    const char *path;               /**< file to write; required */
    uint64_t rows, queries;         /**< both > 0 */
    const char *scorer;             /**< name and parameters; NULL = "unknown" */
    const tamis_examples *examples; /**< NULL = ids are row numbers */
    const tamis_examples *query;    /**< NULL = ids are column numbers */
    bool force;                     /**< replace an existing output */
    const char *provenance;         /**< JSON text; NULL = "{}" */
} tamis_scores_spec;

/** Opaque. Writes the matrix in blocks, in any order. One thread at a time. */
typedef struct tamis_scores_writer tamis_scores_writer;

/** Start a scores file as X.part. Errors: ARG (no path, rows or queries), IO (exists without
 *  force, cannot create), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_open(tamis_scores_writer **ret_writer,
                                                                tamis_context *context,
                                                                const tamis_scores_spec *spec,
                                                                tamis_error *err);

/** Write a block [rows, queries] at (first_row, first_query) with `stride` floats from row to row.
 *  Every score is put exactly once. One thread at a time. Errors: ARG (out of range), IO. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_put(
    tamis_scores_writer *writer, uint64_t first_row, uint64_t rows, uint64_t first_query,
    uint64_t queries, const float *values, size_t stride, tamis_error *err);

/** Flush, sync, rename, free; the writer is set to NULL in every case. Errors: ARG (scores are
 *  missing), IO. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_commit(tamis_scores_writer **writer,
                                                                  tamis_error *err);

/** Give up: remove the unfinished file, free, set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_scores_writer_abort(tamis_scores_writer **writer);

TAMIS_END

#endif
