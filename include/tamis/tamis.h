/* tamis - training-data influence and selection. Include this one header.
 *
 * Conventions that hold everywhere:
 *   - Positive scores mean: training more on this example helps the query (lowers its loss).
 *   - A fallible function returns a tamis_status and takes a caller-owned `tamis_error *` (or
 *     NULL) last. Results that start with `ret_` are written only on success.
 *   - close, free and destroy functions take the address of the pointer, set it to NULL and accept
 *     NULL.
 *   - The library never prints, never exits, never reads the environment, never touches signals.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TAMIS_H
#define TAMIS_TAMIS_H

#include <tamis/candidates.h>
#include <tamis/cluster.h>
#include <tamis/columns.h>
#include <tamis/common.h>
#include <tamis/context.h>
#include <tamis/convert.h>
#include <tamis/curvature.h>
#include <tamis/data.h>
#include <tamis/evaluate.h>
#include <tamis/export.h>
#include <tamis/figure.h>
#include <tamis/import.h>
#include <tamis/inspect.h>
#include <tamis/manifest.h>
#include <tamis/model.h>
#include <tamis/param.h>
#include <tamis/pbrf.h>
#include <tamis/provenance.h>
#include <tamis/retrain.h>
#include <tamis/score.h>
#include <tamis/scores.h>
#include <tamis/select.h>
#include <tamis/selection.h>
#include <tamis/store.h>
#include <tamis/transport.h>
#include <tamis/version.h>

#endif
