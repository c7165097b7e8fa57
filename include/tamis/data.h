/* tamis - labelled rows: what models are trained on and gradients are taken of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_DATA_H
#define TAMIS_DATA_H

#include <tamis/context.h>

TAMIS_BEGIN

/** A table held in memory. Plain data: every array belongs to the struct; arrays that a source
 *  does not have are NULL. Read-only for whoever did not make it; safe to share between threads
 *  once made. */
typedef struct tamis_data {
    uint64_t rows;       /**< > 0 */
    uint64_t columns;    /**< features per row */
    float *x;            /**< [rows, columns], row-major, finite, not standardised */
    int32_t *label;      /**< [rows] class index in [0, classes); NULL = no labels */
    uint32_t classes;    /**< number of classes; 0 = no labels */
    char **class_name;   /**< [classes] as written in the source */
    char **feature_name; /**< [columns]; NULL for formats without names */
    uint64_t *digest;    /**< [rows] XXH3-64 (seed 0) of the source record's bytes, without its
                                 line end; never 0 for a text format */
    uint64_t *id_number; /**< [rows] numeric ids, or NULL */
    char **id_text;      /**< [rows] text ids, or NULL; at most one of the two is set */
    int32_t *group;      /**< [rows] group index, or NULL */
    uint32_t groups;     /**< number of groups; 0 = none */
    char **group_name;   /**< [groups] */
} tamis_data;

/** How to read. Zero-initialise; NULL fields take their defaults. Strings need live only during
 *  the call. */
typedef struct tamis_data_options {
    const char *path; /**< the file; required */
    const char
        *format;       /**< "csv", "tsv", "jsonl", "idx", "npy", "safetensors"; NULL = by the file's
                                 name (.csv .tsv .jsonl .ndjson .idx .npy .safetensors, each also
                                 with .gz for csv, tsv, jsonl, idx) and first bytes */
    const char *label; /**< CSV column or JSON key of the class; NULL = no labels, unless
                                 `labels_path` is given. safetensors: tensor name */
    const char *labels_path; /**< labels from a separate .npy or IDX file: one integer a row */
    const char *id;          /**< CSV column or JSON key holding an id; NULL = none */
    const char *group;       /**< CSV column or JSON key of the group; NULL = none */
    const char *features;    /**< CSV: comma-separated columns (default: every column not used
                                 otherwise). JSON: key of an array of numbers, or comma-separated
                                 keys of numbers (default: the single array-valued key, else every
                                 numeric key of the first record). safetensors: tensor name */
    const char *ignore;      /**< comma-separated columns or keys that are not features */
    uint32_t classes;        /**< when not 0: the class list is fixed (a model's) */
    const char *const *class_name;   /**< [classes]; NULL with classes != 0: labels are the integers
                                        0 .. classes-1 */
    const char *const *feature_name; /**< when set and `features` is NULL: the features are these
                                          columns or keys, in this order (a model's), and others
                                          are left alone; ignored by formats without names */
    uint64_t features_named;         /**< length of `feature_name` */
} tamis_data_options;

/** Read a file of rows. Classes found in the file are sorted: numerically when all are integers,
 *  else bytewise. The caller owns *ret_data and frees it with tamis_data_free().
 *  Limits: every size is checked against the file's real size before memory is taken; the table
 *  must fit in the context's memory limit.
 *  Errors: IO (cannot read), FORMAT (with line and column or byte offset: bad header, ragged row,
 *  text where a number belongs, unknown class, duplicate column, a column of `feature_name` is
 *  missing), NUMERIC (NaN or infinite
 *  feature), SHAPE (labels and rows differ in number; no rows), ARG (no such column: nearest
 *  suggested), UNSUPPORTED (a dtype that is not read), NOMEM.
 *  Complexity: one pass over the file. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_data_read(tamis_data **ret_data,
                                                       tamis_context *context,
                                                       const tamis_data_options *options,
                                                       tamis_error *err);

/** Read a label for each of `rows` rows from a .npy or IDX file: one column of integers in
 *  [0, classes). `of` is what has the rows, for messages. `ret_label` is allocated [rows]; the
 *  caller frees it with free().
 *  Errors: IO, FORMAT (not such a file; a value is no integer), SHAPE (another number of labels; a
 *  label outside the classes: names the element), NOMEM. Complexity: one pass over the file. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_labels_read(tamis_context *context, const char *path,
                                                         uint64_t rows, const char *of,
                                                         uint32_t classes, int32_t **ret_label,
                                                         tamis_error *err);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_data_free(tamis_data **data);

TAMIS_END

#endif
