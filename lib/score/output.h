/* Where a scorer's scores go, and which training rows have none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_OUTPUT_H
#define TAMIS_SCORE_OUTPUT_H

#include "score/registry.h"

struct tamis__score_output {
    const tamis_score_params *params;
    tamis_scores_writer *writer;
    const float **norm;  /* [checkpoints] of [rows]; NULL until tamis__score_rows() */
    unsigned char *skip; /* [rows]; NULL = no row is skipped */
    uint64_t skipped;
};

void tamis__score_output_fini(tamis__score_output *output);

#endif
