/* --labels: which labels gradients are of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_LABELS_ARG_H
#define TAMIS_CLI_LABELS_ARG_H

#include "data_args.h"

typedef struct labels_choice {
    tamis_labels labels;
    const char *path; /* of those given beside the data's; NULL = none */
    uint64_t seed;    /* of sampled ones */
} labels_choice;

/* "true", "sampled", "expected", "given:FILE", or FILE: the labels of data that have none of their
 * own (--label), which then goes into from->labels, and given ones otherwise. `seed` is
 * --label-seed, NaN = that of --seed. ARG, also when the data's labels are wanted and
 * nothing says where they are. */
tamis_status labels_choose(session *s, const char *text, double seed, data_args *from,
                           labels_choice *ret_choice, tamis_error *err);

#endif
