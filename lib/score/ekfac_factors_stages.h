/* Lists in two stages.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_EKFAC_FACTORS_STAGES_H
#define TAMIS_SCORE_EKFAC_FACTORS_STAGES_H

#include "score/ekfac_factors.h"

/* The rank of the inverse spectrum where the job says none. */
enum { TAMIS__STAGES_RANK = 16 };

/* Candidates by low rank, job->rescore times as many as the lists are long; those scored exactly;
 * the lists of the output from these. Its statistics are of the scores by low rank. On job->sample
 * queries the lists are compared with the exact ones (output->stages). */
tamis_status tamis__ekfac_stages(const tamis__factor_product *product, tamis_error *err);

#endif
