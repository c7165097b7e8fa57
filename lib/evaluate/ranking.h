/* Rows from the worst on, and which of them are known to be bad.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_RANKING_H
#define TAMIS_EVALUATE_RANKING_H

#include <tamis/evaluate.h>

typedef struct tamis__badness {
    uint64_t rows, all_rows; /* with a score; of the file */
    double *value;           /* [all rows] */
    uint64_t *order;         /* [all rows] from the worst; rows without a score last */
    uint64_t *scored;        /* [rows] rows with a score, ascending */
    const uint8_t *is_bad;   /* [all rows]; the caller's */
} tamis__badness;

/* What tamis_evaluate_noise() gives, and the ranking it was made from; of `params` the bootstrap
 * and the budgets of the curve are not looked at. Errors as tamis_evaluate_noise(). */
tamis_status tamis__badness_make(tamis__badness *ret_badness, tamis_context *context,
                                 const tamis_scores *scores, const tamis_noise_params *params,
                                 tamis_noise *ret_noise, tamis_error *err);
void tamis__badness_free(tamis__badness *badness);

#endif
