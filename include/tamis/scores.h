/* tamis - scores: a matrix [train rows, queries], or the best rows of each query, in HDF5.
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

/** A list of rows for each query. In both, ties go to the lower row, and -0 ties with 0. */
typedef enum tamis_scores_list {
    TAMIS_SCORES_TOP = 0,   /**< the rows that help most: highest score first */
    TAMIS_SCORES_BOTTOM = 1 /**< the rows that harm most: lowest score first */
} tamis_scores_list;

/** In a list's place that no row takes; the score there is NaN. Such places stand at the end, when
 *  fewer rows have a score than the list has places. */
#define TAMIS_SCORES_NO_ROW UINT64_MAX

/** What a scores file says of itself. Strings and arrays belong to the scores. */
typedef struct tamis_scores_info {
    uint64_t rows;           /**< training examples */
    uint64_t queries;        /**< columns; 1 for a score per example such as `self` */
    const char *scorer;      /**< name and parameters ("tracin", "import") */
    const char *provenance;  /**< JSON text */
    tamis_examples examples; /**< of the training rows: ids, digests, labels, groups */
    tamis_examples query;    /**< of the queries: ids, digests, labels, groups */
    uint64_t top;       /**< places of each query's list of best rows; 0 = the file has a matrix. A
                          file with lists has none */
    uint64_t bottom;    /**< places of each query's list of worst rows; 0 = no such lists */
    uint64_t skipped;   /**< rows without a score: NaN in all of the matrix, in no list */
    bool partial;       /**< other rows may have a score for some queries only: NaN, or no place in
                             the list, for the others. Only candidates were scored */
    const char *panel;  /**< what queries were held in when the scores were computed ("f32", "bf16",
                             "i16"); NULL = not said */
    double panel_error; /**< largest difference of a score from that in double, over the largest
                             score, measured on a sample; 0 with "f32" or when not said */
    const uint64_t *column_count;  /**< [queries] rows with a score; NULL = no statistics */
    const double *column_mean;     /**< [queries] mean score of these rows, NaN over none; NULL =
                                        no statistics */
    const double *column_variance; /**< [queries] population variance of these rows, NaN over
                                        none; NULL = no statistics */
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

/** Read a block of the matrix into `out` [rows, queries] with `stride` floats from row to row. A
 *  row without a score is NaN. Errors: ARG (out of range, or the file has lists and no matrix),
 *  IO. Thread-safe (calls into HDF5 are serialised). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_read(const tamis_scores *scores,
                                                         uint64_t first_row, uint64_t rows,
                                                         uint64_t first_query, uint64_t queries,
                                                         float *out, size_t stride,
                                                         tamis_error *err);

/** Read the lists of `queries` queries from first_query on into `rows` and `out`, each
 *  [queries, K] packed, K = info.top or info.bottom. Every list is checked: rows exist and none
 *  stands twice, scores are finite and in order, and as many places are taken as rows have a score
 *  (at most K); the others hold TAMIS_SCORES_NO_ROW and NaN. Errors: ARG (out of range, or the
 *  file has no such lists), FORMAT (a list is wrong: names query and place), IO, NOMEM.
 *  Thread-safe. Complexity: K log K for each query. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_read_list(const tamis_scores *scores,
                                                              tamis_scores_list which,
                                                              uint64_t first_query,
                                                              uint64_t queries, uint64_t *rows,
                                                              float *out, tamis_error *err);

/** What a scores file will be. Zero-initialise; needs live only during the call. */
typedef struct tamis_scores_spec {
    const char *path;               /**< file to write; required */
    uint64_t rows, queries;         /**< both > 0 */
    const char *scorer;             /**< name and parameters; NULL = "unknown" */
    const tamis_examples *examples; /**< NULL = ids are row numbers */
    const tamis_examples *query;    /**< NULL = ids are column numbers */
    bool force;                     /**< replace an existing output */
    const char *provenance;         /**< JSON text; NULL = "{}" */
    uint64_t top;    /**< places of each query's list of best rows, at most `rows`, instead of a
                          matrix; 0 = a matrix */
    uint64_t bottom; /**< the same of worst rows; needs `top`; 0 = none */
    bool resume;     /**< keep what is put in "<path>.spool" until the file is whole, and go on
                          from what an earlier run kept; of a matrix only */
    bool partial;    /**< rows may have a score for some queries only */
    const char *key; /**< with resume: text that determines every score (inputs by digest, options,
                          version, size of the blocks); required there */
} tamis_scores_spec;

/** Opaque. Writes the matrix in blocks, in any order, or lists. One thread at a time. */
typedef struct tamis_scores_writer tamis_scores_writer;

/** Start a scores file as X.part. With `resume` the blocks of an earlier run are taken over from
 *  X.spool: see tamis_scores_writer_resumed(). A torn end of the spool is cut off. Errors: ARG (no
 *  path, rows or queries, lists longer than `rows`, resume with lists or without a key), IO (exists
 *  without force, cannot create, in use by another run), SHAPE (the spool was made with another
 *  key, or for other rows or queries), FORMAT (X.spool is no spool), CANCELLED, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_open(tamis_scores_writer **ret_writer,
                                                                tamis_context *context,
                                                                const tamis_scores_spec *spec,
                                                                tamis_error *err);

/** Write a block [rows, queries] at (first_row, first_query) with `stride` floats from row to row.
 *  Every score is put exactly once. NaN in every column of a row = the row has no score; in some of
 *  them only with spec.partial. One thread at a time. Errors: ARG (out of range, or the file holds
 *  lists), IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_put(
    tamis_scores_writer *writer, uint64_t first_row, uint64_t rows, uint64_t first_query,
    uint64_t queries, const float *values, size_t stride, tamis_error *err);

/** Write the lists of `queries` queries from first_query on: `rows` and `scores`, each
 *  [queries, K] packed, K = spec.top or spec.bottom. Every list is put exactly once. One thread at
 *  a time. Errors: ARG (out of range, no such lists in this file, or a list that
 *  tamis_scores_read_list() would refuse), IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_put_list(
    tamis_scores_writer *writer, tamis_scores_list which, uint64_t first_query, uint64_t queries,
    const uint64_t *rows, const float *scores, tamis_error *err);

/** Say how many rows have no score. Needed for lists when there are such rows; a matrix counts them
 *  by itself, and a number that differs is refused at commit. One thread at a time. Errors: ARG
 *  (more than there are rows). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_put_skipped(tamis_scores_writer *writer,
                                                                       uint64_t rows,
                                                                       tamis_error *err);

/** Write the statistics of the columns, each [queries]: rows with a score, their mean score and
 *  population variance (NaN where the count is 0). At most once. One thread at a time. Errors: ARG
 *  (given before, a count that is not rows without the skipped ones (seen at commit), a mean or
 *  variance that is not finite, a negative variance), IO. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_scores_writer_put_statistics(tamis_scores_writer *writer, const uint64_t *count,
                                   const double *mean, const double *variance, tamis_error *err);

/** Say what queries were held in ("bf16") and the error that this makes. Errors: ARG (an error that
 *  is negative or not finite), IO. One thread at a time. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_put_panel(tamis_scores_writer *writer,
                                                                     const char *panel,
                                                                     double error,
                                                                     tamis_error *err);

/** With spec.resume: how many calls of tamis_scores_writer_put() (those with at least one value) an
 *  earlier run had done; their blocks are in the file already, and the caller goes on with the next
 *  one. 0 without. */
TAMIS_API uint64_t tamis_scores_writer_resumed(const tamis_scores_writer *writer);

/** Takes a block that an earlier run put; the values [rows, queries] with `stride` floats from row
 *  to row live only during the call. */
typedef tamis_status (*tamis_scores_sink)(void *arg, uint64_t first_row, uint64_t rows,
                                          uint64_t first_query, uint64_t queries,
                                          const float *values, size_t stride, tamis_error *err);

/** Give `sink` the blocks of an earlier run, in the order they were put in. Call it before the
 *  first put. Errors: what the sink returns, IO, NOMEM, CANCELLED. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_replay(tamis_scores_writer *writer,
                                                                  tamis_scores_sink sink, void *arg,
                                                                  tamis_error *err);

/** Flush, sync, rename, free; the writer is set to NULL in every case. With resume the spool is
 *  removed last, and stays when anything fails. Errors: ARG (scores, lists or a count of skipped
 *  rows are missing, a row has NaN in some columns only), IO. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scores_writer_commit(tamis_scores_writer **writer,
                                                                  tamis_error *err);

/** Give up: remove the unfinished file, free, set to NULL. With resume the spool stays when it
 *  holds a block. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_scores_writer_abort(tamis_scores_writer **writer);

TAMIS_END

#endif
