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

/** No row, in an explanation. */
#define TAMIS_NO_ROW UINT64_MAX

/** Why a row is in or out. */
typedef struct tamis_explanation {
    bool keep;           /**< is it in the subset? */
    uint64_t rank;       /**< 0 = chosen first */
    float score, weight; /**< as in the selection */
    const char *reason;  /**< the selection's; "" = none */
    float border;  /**< score of the kept row of the highest rank: what the row was up against; NaN
                               when nothing is kept */
    int32_t group; /**< its group, else its label; -1 = in none, or there are none */
    uint64_t group_rows, group_kept; /**< of that group: candidates, and kept ones; 0 = no group */
    uint64_t twin; /**< the first other row whose record has the same digest, a kept one if there is
                               any; TAMIS_NO_ROW = none, or digests are not known */
    bool twin_kept; /**< is the twin in the subset? */
} tamis_explanation;

/** Explain a row. Texts belong to the selection. Errors: ARG (there is no such row). Complexity:
 *  O(rows). Thread-safe. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_explain(const tamis_selection *selection,
                                                               uint64_t row,
                                                               tamis_explanation *ret_explanation,
                                                               tamis_error *err);

/** How two selections of the same candidates differ. */
typedef struct tamis_selection_diff {
    uint64_t rows, kept_a, kept_b; /**< candidates, and how many each keeps */
    uint64_t both;                 /**< rows that both keep */
    double jaccard;                /**< both / (kept by either); 1 when neither keeps any */
    double spearman;               /**< of the ranks of all rows; NaN for a single row */
    uint64_t *only_a, *only_b;     /**< [kept_a - both], [kept_b - both] rows, by their rank */
    uint64_t *moved; /**< [rows] by how far apart their two ranks are, farthest first, ties to the
                           lower row */
} tamis_selection_diff;

/** Compare. Free with tamis_selection_diff_fini(). Errors: SHAPE (another number of candidates),
 *  FORMAT (other ids or digests: names the first row), NOMEM. Complexity: O(rows log rows). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selection_compare(const tamis_selection *a,
                                                               const tamis_selection *b,
                                                               tamis_selection_diff *ret_diff,
                                                               tamis_error *err);
/** Accepts a zeroed struct. */
TAMIS_API void tamis_selection_diff_fini(tamis_selection_diff *diff);

TAMIS_END

#endif
