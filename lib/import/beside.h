/* What comes beside imported rows: labels, groups and ids, as columns of a store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_BESIDE_H
#define TAMIS_IMPORT_BESIDE_H

#include <tamis/import.h>

/* Zero-initialise; columns that are not read stay NULL. */
typedef struct tamis__beside {
    int32_t *label, *group;
    uint32_t *length;
    char **group_name;
    uint32_t groups;
    uint64_t *id_number;
    char **id_text;
} tamis__beside;

/* Each reads a file of `rows` entries, or nothing when `path` is NULL; `of` is the file whose rows
 * they belong to. Errors: IO, FORMAT, SHAPE naming both files, NOMEM. */
tamis_status tamis__beside_labels(tamis__beside *beside, tamis_context *context, const char *path,
                                  uint64_t rows, const char *of, tamis_error *err);
tamis_status tamis__beside_lengths(tamis__beside *beside, tamis_context *context, const char *path,
                                   uint64_t rows, const char *of, tamis_error *err);
/* `entries` is what the groups are of, for messages: "rows" or "columns". */
tamis_status tamis__beside_groups(tamis__beside *beside, tamis_context *context, const char *path,
                                  uint64_t rows, const char *of, const char *entries,
                                  tamis_error *err);
/* Offsets of tokens: integers from 0 up to `tokens` that do not fall, one more than there are rows.
 * *ret_offset is freed with free(). Errors also: FORMAT naming the element. */
tamis_status tamis__beside_offsets(tamis_context *context, const char *path, uint64_t tokens,
                                   const char *of, uint64_t **ret_offset, uint64_t *ret_rows,
                                   tamis_error *err);
/* Text, an id a line. An id that repeats is allowed, with a warning. */
tamis_status tamis__beside_ids(tamis__beside *beside, tamis_context *context, const char *path,
                               uint64_t rows, const char *of, tamis_error *err);

/* The columns from row `first` on. */
tamis_examples tamis__beside_examples(const tamis__beside *beside, uint64_t first);

void tamis__beside_fini(tamis__beside *beside);

#endif
