/* tamis - a selection: which candidates are kept, in which order, and why. A flat HDF5 table.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECTION_H
#define TAMIS_SELECTION_H

#include <stdbool.h>
#include <tamis/store.h>

TAMIS_BEGIN

/** A selection in memory; one entry per candidate. Plain data owned by the struct. */
typedef struct tamis_selection {
    uint64_t rows;      /**< candidates */
    uint64_t kept;      /**< how many have keep = 1 */
    uint8_t *keep;      /**< [rows] 1 = in the subset */
    uint64_t *rank;     /**< [rows] 0 = chosen first; dropped rows go on counting in score order */
    float *score;       /**< [rows] the value the choice was made by */
    float *weight;      /**< [rows] 1 for kept, 0 for dropped, unless a selector weighs rows */
    uint16_t *reason;   /**< [rows] index into reason_text */
    char **reason_text; /**< [reasons] e.g. "kept: score in the top 5%" */
    uint32_t reasons;   /**< entries of reason_text */
    tamis_examples examples; /**< ids, digests, labels, groups, or NULLs; owned by the struct */
    char *selector;          /**< name and parameters */
    char *provenance;        /**< JSON text */
} tamis_selection;

/** Allocate for `rows` candidates with every array but `reason_text` zeroed. Ids, digests, labels
 *  and groups of `examples` (NULL = none) are copied. Errors: NOMEM, ARG (no rows). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_create(tamis_selection **ret_selection,
                                                              uint64_t rows,
                                                              const tamis_examples *examples,
                                                              tamis_error *err);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_selection_free(tamis_selection **selection);

/** Add a copy of a reason and get its index. Errors: NOMEM, ARG (more than 65,535). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_reason(tamis_selection *selection,
                                                              const char *text, uint16_t *ret_index,
                                                              tamis_error *err);

/** Read a selection whole. The caller frees it with tamis_selection_free(). Errors as
 *  tamis_store_open(). Complexity: O(rows). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_load(tamis_selection **ret_selection,
                                                            tamis_context *context,
                                                            const char *path, tamis_error *err);

/** Write atomically. Datasets, all of length rows: row, id, keep, rank, score, weight, group,
 *  reason, digest. Errors: IO (exists without force, cannot write), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_save(const tamis_selection *selection,
                                                            tamis_context *context,
                                                            const char *path, bool force,
                                                            tamis_error *err);

TAMIS_END

#endif
