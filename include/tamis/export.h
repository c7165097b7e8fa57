/* tamis - files of tamis as npy, CSV or JSON Lines.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EXPORT_H
#define TAMIS_EXPORT_H

#include <stdbool.h>
#include <tamis/context.h>

TAMIS_BEGIN

/** What to export. Zero-initialise. Strings need live only during the call. */
typedef struct tamis_export_params {
    const char *input;   /**< gradient store, scores or selection */
    const char *format;  /**< "npy", "csv" or "jsonl"; NULL = by the output's name */
    const char *what;    /**< which part; NULL = the main one:
                             store: "gradient" (of `checkpoint`, f32 [N, p]), "norm", "loss",
                                    "margin", "probability", "label", "group", "id", "digest"; of a
                                    store in factor form also "input" and "output_gradient" (f32 [T,
                                    .], a row for each token) and "offset" [N + 1];
                             scores: "score" ([N, Q], or [N] for one query; CSV and JSON
                                     Lines carry the ids), "id", "label", "group" [N] of the
                                     training rows, "query-id", "query-label", "query-group"
                                     [Q] of the queries, "count", "mean", "variance" [Q] of the
                                     columns; of a file with lists "table" (the main one; CSV
                                     and JSON Lines: a line for each place of each list that is
                                     taken) and "row", "score" [Q, K], where no row is -1 in npy
                                     and left out in text;
                             selection: "table" (CSV, JSON Lines), "row" (kept rows ascending),
                                    "picks" (kept rows in order of choice), "keep", "rank",
                                    "score", "weight" */
    const char *list;    /**< "top" or "bottom": which lists of a scores file; NULL = both in the
                             table and top otherwise, and nothing else for other files */
    uint32_t checkpoint; /**< of a store; default 0, and nothing else for other files */
    const char *output;  /**< a file, or "-" for standard output (CSV and JSON Lines) */
    bool force;          /**< replace an existing output */
} tamis_export_params;

/** The names of `what` for a kind ("gradient-store", "scores", "selection"); NULL past the end.
 *  Static text. Thread-safe. */
TAMIS_API const char *tamis_export_what_at(const char *kind, size_t i);

/** Export. npy: v1.0, C order, little-endian; row, picks, rank, count, offset: int64; mean
 *  and variance: float64; keep: bool; labels and
 *  groups: int32; numeric ids, digest: uint64; the rest float32. Labels and groups are written by
 *  name in text where the file has names. Numbers in text are the shortest that read back to
 *  the same bits (at most %.9g). NaN is "nan" in CSV and null in JSON. Fields of CSV are quoted
 *  where RFC 4180 asks for it.
 *  Errors: ARG (no such part or list, text asked as npy, a checkpoint of what has none), FORMAT
 *  (not a file of tamis, or the part is not recorded in it), IO, NOMEM, CANCELLED. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_export(tamis_context *context,
                                                    const tamis_export_params *params,
                                                    tamis_error *err);

TAMIS_END

#endif
