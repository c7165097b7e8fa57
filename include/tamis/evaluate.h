/* tamis - yardsticks for scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_H
#define TAMIS_EVALUATE_H

#include <tamis/scores.h>
#include <tamis/select.h>

TAMIS_BEGIN

/** How well a ranking finds rows known to be bad. */
typedef struct tamis_noise {
    uint64_t rows, bad; /**< rows with a score, and those of them known to be bad */
    uint64_t skipped;   /**< rows without a score, which are left out of everything below */
    double auc;         /**< probability that a bad row stands before a good one, ties counting half
                             (Mann-Whitney); 0.5 = chance */
    uint64_t k;         /**< rows looked at: the budget */
    uint64_t found;     /**< bad rows among the first k (ties: lower row first) */
    double precision;   /**< found / k */
    double recall;      /**< found / bad */
} tamis_noise;

/** Compare a scores file, aggregated by `by`, with `bad` [rows] (1 = known bad). `low` true: the
 *  lowest scores are taken as the worst (influence on good queries); false: the highest
 *  (self-influence). Errors: ARG (budget, or the file holds lists and no matrix), SHAPE (of the rows
 *  with a score all or none are bad, or none has a score), NUMERIC (NaN in a row with scores), FORMAT
 *  (rows without a score are not those the file speaks of), IO, NOMEM, CANCELLED. `budget` is as in tamis_budget_parse(). Complexity: one pass over the scores and a
 *  sort of the rows. The context is used by one thread at a time. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_evaluate_noise(
    tamis_context *context, const tamis_scores *scores, tamis_aggregate by, bool low,
    const uint8_t *bad, const char *budget, tamis_noise *ret_noise, tamis_error *err);

/** Read known bad rows: text with one row number a line ('#' starts a comment), or .npy of booleans
 *  [rows] or of row numbers. `ret_bad` is allocated [rows]; the caller frees it with free().
 *  Errors: IO (cannot read), FORMAT (a line is no row number: says which; a bad .npy), SHAPE (a row
 *  number outside [0, rows), flags that differ in number, no row marked), NOMEM. Complexity: one
 *  pass over the file. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_noise_read(tamis_context *context, const char *path,
                                                        uint64_t rows, uint8_t **ret_bad,
                                                        tamis_error *err);

TAMIS_END

#endif
