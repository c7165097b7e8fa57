/* tamis - manifests: a selection turned into the files that trainers read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_H
#define TAMIS_MANIFEST_H

#include <tamis/param.h>
#include <tamis/selection.h>

TAMIS_BEGIN

/** Properties of a format, for `flags`. */
enum {
    TAMIS_MANIFEST_NEEDS_INPUT = 1u << 0, /**< copies records of an input */
    TAMIS_MANIFEST_DIRECTORY = 1u << 1,   /**< its output is a directory */
    TAMIS_MANIFEST_SEVERAL = 1u << 2      /**< takes several inputs, one after another */
};

/** What a manifest format says of itself; const and static. */
typedef struct tamis_manifest_info {
    const char *name;               /**< as written on the command line: "jsonl", "nemo", "mds" */
    const char *summary;            /**< one line, lower case, no full stop */
    const char *extensions;         /**< file name endings, space-separated; "" = none */
    unsigned flags;                 /**< TAMIS_MANIFEST_* */
    const tamis_param_desc *params; /**< [n_params] what may follow the name */
    size_t n_params;                /**< entries of params */
} tamis_manifest_info;

/** The i-th format, in alphabetical order; NULL past the end. Thread-safe. */
TAMIS_API const tamis_manifest_info *tamis_manifest_at(size_t i);

/** In which order kept records are written. */
typedef enum tamis_manifest_order {
    TAMIS_MANIFEST_SOURCE = 0, /**< as in the input */
    TAMIS_MANIFEST_SCORE = 1,  /**< by rank: chosen first comes first */
    TAMIS_MANIFEST_SHUFFLE = 2 /**< at random, by shuffle_seed */
} tamis_manifest_order;

/** One of several outputs that kept records are split over. */
typedef struct tamis_manifest_split {
    const char *name; /**< "train", "valid"; takes the place of "{}" in the output's name */
    double share;     /**< of the kept records, > 0; shares are divided by their sum */
} tamis_manifest_split;

/** What to write. Zero-initialise. Strings need live only during the call. */
typedef struct tamis_manifest_params {
    const tamis_selection *selection; /**< required */
    const char *selection_path; /**< where it is from, which no output may replace; NULL = none */
    const char *format; /**< "name[:param=value,...]"; NULL = by the name of the input, else of the
                             output; with an input only formats that copy its records */
    const char *const *input; /**< [inputs] the files the candidates came from, in their order: row
                                   numbers go on from one to the next. For index, mask and weights
                                   none, or the files to compare with the selection */
    size_t inputs;
    const char *output;  /**< kept records; required. With splits its name holds "{}" once */
    const char *dropped; /**< the other records, and beside them "<dropped>.reasons.csv" with row,
                              id, score, rank and reason of each; NULL = not written */
    tamis_manifest_order order;
    uint64_t shuffle_seed;
    const tamis_manifest_split *split; /**< [splits] outputs of kept records; NULL = one */
    size_t splits;
    bool split_by_group; /**< rows of a group stay together in one split; needs groups or labels;
                              a row in no group (-1) is drawn by itself */
    uint64_t split_seed;
    uint64_t repeats; /**< records to write in all, each kept one as often as its weight says, by
                               largest remainder; 0 = each once */
    const char *id_field; /**< of JSON Lines and CSV: field that holds the id, compared with that
                               of the selection; NULL = not compared */
    bool force;           /**< replace existing outputs */
    bool no_digests;      /**< do not compare record digests (said in the result) */
    bool dry_run; /**< read and check everything, write nothing, and say what would be written */
    bool dvc;     /**< beside each file or directory "<output>.dvc" with its MD5 and size */
} tamis_manifest_params;

/** One output. */
typedef struct tamis_manifest_file {
    char *path;
    const char *what; /**< "kept", a split's name, "dropped", "reasons", "index", ...; static or the
                           split's */
    uint64_t records; /**< written to it; 0 for what holds none */
    uint64_t bytes;
    char md5[37]; /**< with dvc: 32 hexadecimal digits, of a directory with ".dir" behind them, that
                       is of DVC's list of its files; else "" */
} tamis_manifest_file;

/** What was written, or with dry_run would be. Sizes are in bytes. Free with
 *  tamis_manifest_result_fini(). */
typedef struct tamis_manifest_result {
    uint64_t records, kept, dropped;   /**< rows of the selection: records = kept + dropped */
    uint64_t written;                  /**< kept records with their repeats */
    uint64_t bytes_in;                 /**< size of the inputs; 0 without one */
    uint64_t bytes_out, bytes_dropped; /**< of kept records, and of dropped ones; 0 = none */
    bool digests_checked;              /**< false: the selection has none, or no_digests */
    bool ids_checked;                  /**< ids in the records are those of the selection */
    uint64_t *input_records;           /**< [inputs] records of each input */
    size_t inputs;
    tamis_manifest_file *file; /**< [files] every output */
    size_t files;
} tamis_manifest_result;

/** "1000", or "150%" of `rows`, to a number of records in [1, 2^32 - 1]. Thread-safe. Errors:
 *  ARG. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_repeats_parse(const char *text, uint64_t rows,
                                                           uint64_t *ret_count, tamis_error *err);

/** Free what a result holds and zero it. Accepts a zeroed result. */
TAMIS_API void tamis_manifest_result_fini(tamis_manifest_result *result);

/** Write the kept records byte for byte, by default in source order: line ends, invalid UTF-8 and
 *  quoting untouched, a byte order mark and a CSV header kept at the head of all outputs. Nothing
 *  is re-serialised. The exceptions to byte for byte: a missing last newline is completed, in the
 *  file's own style; blank lines are not records and are not copied (JSON Lines and CSV); the
 *  elements of a JSON array are written one a line; what a format is there to change (see its
 *  summary).
 *  Inputs that are gzip or Zstandard are expanded to a file without a name beside the output;
 *  outputs whose names end in .gz or .zst are compressed.
 *  Lists (index, mask, weights, counts) hold no records; given inputs, they compare these with the
 *  selection just the same. `dropped` of a list is the list of the other rows. A selection that
 *  keeps nothing writes an empty manifest and logs a warning.
 *  Errors: SHAPE (record count differs from the selection: says both), FORMAT (a record's digest or
 *  id differs: names the first record, its line and id; an unclosed quote; broken compression; CSV
 *  headers that differ), ARG (unknown format or parameter, no input, splits, order or repeats that
 *  make no sense), UNSUPPORTED (an input of a list that is no text), IO, NOMEM, CANCELLED. On error
 *  no output exists.
 *  The caller frees *ret_result with tamis_manifest_result_fini(); ret_result may be NULL.
 *  Complexity: one pass, memory-mapped; with an order 32 bytes for each row and writes in that
 *  order. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_manifest_write(tamis_context *context,
                                                            const tamis_manifest_params *params,
                                                            tamis_manifest_result *ret_result,
                                                            tamis_error *err);

TAMIS_END

#endif
