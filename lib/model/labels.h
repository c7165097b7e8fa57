/* Whose labels gradients are of: the data's, others, or the model's own.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_LABELS_H
#define TAMIS_MODEL_LABELS_H

#include "model/factors.h"

/* "true", "sampled", "expected" or "given": as a store says it. */
const char *tamis__labels_name(tamis_labels labels);

/* Do labels, function and direction go together, and are given labels classes of the model? ARG,
 * SHAPE. */
tamis_status tamis__labels_check(const tamis_gradient_params *params, uint64_t rows,
                                 uint32_t classes, tamis_error *err);

/* Examples that go through the network together with `per_example` rows made of each: a constant
 * for each number of classes, since bits may depend on it. */
uint64_t tamis__labels_group(uint32_t per_example);

/* Set the labels of a batch whose logits are there and whose first row is row `first` of the data.
 * Not for expected labels. NOMEM. */
tamis_status tamis__labels_set(const tamis__gradient_job *job, const tamis__network *network,
                               uint64_t first, tamis__batch *batch, tamis_error *err);

/* The columns of store rows first .. first + rows - 1. Ids of expected labels are written to
 * *ret_memory, which the caller frees with free(); NULL otherwise. NOMEM. */
tamis_status tamis__labels_examples(const tamis__gradient_job *job, uint64_t first, uint64_t rows,
                                    tamis_examples *ret_examples, void **ret_memory,
                                    tamis_error *err);

#endif
