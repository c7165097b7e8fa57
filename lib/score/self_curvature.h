/* Self-influence under a curvature.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_SELF_CURVATURE_H
#define TAMIS_SCORE_SELF_CURVATURE_H

#include "score/registry.h"
#include "curvature/spectrum.h"

/* score(i) = g_i^T (H + damping)^-1 g_i with the call's curvature, seen as `kind`. */
tamis_status tamis__self_under_curvature(const tamis__score_call *call, tamis_curvature_kind kind,
                                         tamis__damping damping, tamis_error *err);

#endif
