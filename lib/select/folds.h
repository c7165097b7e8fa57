/* Splits of rows into folds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_FOLDS_H
#define TAMIS_SELECT_FOLDS_H

#include <tamis/common.h>

/* Rows 0 .. n-1 in the order in which folds take them: fold i is the next n / folds of them, one
 * more in the first n % folds. The shuffle is that of scikit-learn's KFold(shuffle=True,
 * random_state=seed) for seeds from 1 to 2^32 - 1; 0 counts as 4357. Errors: NOMEM. */
tamis_status tamis__shuffle_folds(uint64_t n, uint64_t seed, uint64_t *ret_order, tamis_error *err);

/* Where fold i of them starts. */
uint64_t tamis__fold_start(uint64_t n, uint64_t folds, uint64_t i);

#endif
