/* Do the stores, the curvature and what is asked for fit together?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_MATCH_H
#define TAMIS_SCORE_MATCH_H

#include <tamis/score.h>

/* Errors: ARG and SHAPE, as tamis_score(). Whether a whitened store's damping is the one asked for
 * is the scorer's to say. */
tamis_status tamis__score_match(const tamis_score_params *params, const tamis_scorer_info *info,
                                tamis_context *context, tamis_error *err);

#endif
