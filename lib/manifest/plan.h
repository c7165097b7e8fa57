/* Which record goes to which output, how often, and in which order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_PLAN_H
#define TAMIS_MANIFEST_PLAN_H

#include <tamis/manifest.h>

#include "base/file.h"

enum { TAMIS__NOWHERE = UINT16_MAX };

/* One place that records go to: the kept ones (or each split of them), or the dropped ones. */
typedef struct tamis__part {
    const char *name; /* "kept", a split's name, "dropped" */
    char *path;       /* of the file or directory */
    bool dropped;
    uint64_t n;            /* records to write, repeats counted */
    uint64_t *row;         /* [n] in the order in which to write them; NULL = in source order, each
                              as often as the plan's `times` says */
    tamis__output *output; /* opened by the driver where the format's output is a file; NULL in a
                              dry run, and for directories */
    uint64_t records, bytes; /* written: the format counts */
} tamis__part;

typedef struct tamis__plan {
    uint64_t rows;
    uint16_t *part;  /* [rows] index of a part, or TAMIS__NOWHERE */
    uint32_t *times; /* [rows] how often; NULL = once each */
    bool in_order;   /* every part is in source order: one pass over the input is enough */
    size_t parts;
    tamis__part *of; /* [parts] kept or splits first; the dropped ones last */
} tamis__plan;

/* Errors: ARG (splits, order or repeats that make no sense, weights that are all zero), NOMEM. */
tamis_status tamis__plan_make(tamis__plan *ret_plan, const tamis_manifest_params *params,
                              tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__plan_fini(tamis__plan *plan);

/* How often the row is written where it goes. */
static inline uint32_t tamis__plan_times(const tamis__plan *plan, uint64_t row)
{
    return plan->times ? plan->times[row] : 1;
}

#endif
