/* Retraining of any list of runs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_RETRAIN_H
#define TAMIS_EVALUATE_RETRAIN_H

#include <tamis/retrain.h>

/* One training: on a subset, with seed params->train->seed + seed. */
typedef struct tamis__run {
    const uint8_t *member; /* [rows] */
    uint64_t seed;
    uint64_t subset; /* for messages */
} tamis__run;

/* As tamis_retrain() for runs of any subsets and seeds: loss, margin and correct are [runs,
 * queries], `subsets` the number of runs and `seeds` 1. params->seeds is not looked at. */
tamis_status tamis__retrain(tamis_retrained *ret_retrained, tamis_context *context,
                            const tamis_retrain_params *params, const tamis__run *run,
                            uint64_t runs, tamis_error *err);

#endif
