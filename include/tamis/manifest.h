/* tamis - manifests: a selection turned into the files that trainers read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_H
#define TAMIS_MANIFEST_H

#include <tamis/selection.h>

TAMIS_BEGIN

/** Properties of a format, for `flags`. */
enum {
    TAMIS_MANIFEST_NEEDS_INPUT = 1u << 0 /**< copies records of an input file */
};

/** What a manifest format says of itself; const and static. */
typedef struct tamis_manifest_info {
    const char *name;       /**< "csv", "tsv", "jsonl", "index", "index-npy", "mask", "mask-npy" */
    const char *summary;    /**< one line, lower case, no full stop */
    const char *extensions; /**< file name endings, space-separated; "" = none */
    unsigned flags;         /**< TAMIS_MANIFEST_* */
} tamis_manifest_info;

/** The i-th format, in alphabetical order; NULL past the end. Thread-safe. */
TAMIS_API const tamis_manifest_info *tamis_manifest_at(size_t i);

/** What to write. Zero-initialise. Strings need live only during the call. */
typedef struct tamis_manifest_params {
    const tamis_selection *selection; /**< required */
    const char *format;               /**< NULL = by the name of the input, else of the output;
                                           with an input only formats that copy its records */
    const char *input;   /**< the file the candidates came from. For index and mask NULL, or the
                              file to compare with the selection: its own format is found by its
                              name, else by its content */
    const char *output;  /**< kept records; required */
    const char *dropped; /**< the other records, byte for byte, and beside them
                              "<dropped>.reasons.csv" with row, id, score, rank and reason of each;
                              NULL = not written */
    bool force;          /**< replace an existing output */
    bool no_digests;     /**< do not compare record digests (said in the result) */
} tamis_manifest_params;

/** What was written. Sizes are in bytes. */
typedef struct tamis_manifest_result {
    uint64_t records, kept, dropped;   /**< rows of the selection: records = kept + dropped */
    uint64_t bytes_in;                 /**< size of the input; 0 without one */
    uint64_t bytes_out, bytes_dropped; /**< sizes of `output` and `dropped`; 0 = none */
    bool digests_checked;              /**< false: the selection has none, or no_digests */
} tamis_manifest_result;

/** Write the kept records byte for byte, in source order: line ends, invalid UTF-8 and quoting
 *  untouched, a byte order mark and a CSV header kept at the head of both outputs. Nothing is
 *  re-serialised. The exceptions to byte for byte: a missing last newline is completed, in the
 *  file's own style; blank lines are not records and are not copied (JSON Lines and CSV).
 *  Lists (index, mask) hold no records; given an input, they compare it with the selection just
 *  the same. `dropped` of a list is the list of the other rows. A selection that keeps nothing
 *  writes an empty manifest and logs a warning.
 *  Errors: SHAPE (record count differs from the selection: says both), FORMAT (a record's digest
 *  differs: names the first record, its line and id; an unclosed quote), ARG (unknown format, no
 *  input), UNSUPPORTED (compressed; an input of a list that is no text), IO, NOMEM, CANCELLED.
 *  On error no output exists.
 *  Complexity: one pass, memory-mapped. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_manifest_write(tamis_context *context,
                                                            const tamis_manifest_params *params,
                                                            tamis_manifest_result *ret_result,
                                                            tamis_error *err);

TAMIS_END

#endif
