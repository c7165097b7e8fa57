/* The rows of a part, one after another, in the order in which they are written; and bytes on their
 * way from mapped inputs to an output.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_WALK_H
#define TAMIS_MANIFEST_WALK_H

#include "base/error.h"
#include "base/file.h"
#include "manifest/plan.h"

/* Set plan and part, and zero the rest. */
typedef struct tamis__walk {
    const tamis__plan *plan;
    size_t part;
    const uint16_t *bucket; /* [plan->rows] only rows of bucket `only`; NULL = all of the part */
    uint16_t only;
    uint64_t next; /* position in the part's list of rows, or row */
    uint32_t left; /* the row before is due this often again */
} tamis__walk;

/* False at the end. */
static inline bool tamis__walk_next(tamis__walk *walk, uint64_t *ret_row)
{
    const tamis__plan *plan = walk->plan;
    const tamis__part *part = &plan->of[walk->part];
    uint64_t n = part->row ? part->n : plan->rows;
    if (walk->left > 0) {
        walk->left--;
        *ret_row = walk->next - 1;
        return true;
    }
    while (walk->next < n) {
        uint64_t row = part->row ? part->row[walk->next] : walk->next;
        walk->next++;
        if (walk->bucket && walk->bucket[row] != walk->only) continue;
        if (!part->row) {
            uint32_t times = plan->part[row] == walk->part ? tamis__plan_times(plan, row) : 0;
            if (times == 0) continue;
            walk->left = times - 1;
        }
        *ret_row = row;
        return true;
    }
    return false;
}

/* Bytes that lie one after another are written together. */
typedef struct tamis__stretch {
    tamis__output *output; /* NULL = they are only counted, by the caller */
    const unsigned char *data;
    size_t size;
} tamis__stretch;

/* Pieces of this size are enough for full speed, and cancelling comes in between. */
#define TAMIS__STRETCH_BYTES ((size_t)8 << 20)

static inline tamis_status tamis__stretch_end(tamis__stretch *stretch, tamis_error *err)
{
    while (stretch->output && stretch->size > 0) {
        size_t size = stretch->size < TAMIS__STRETCH_BYTES ? stretch->size : TAMIS__STRETCH_BYTES;
        TAMIS_TRY(tamis__output_write(stretch->output, stretch->data, size, err));
        stretch->data += size;
        stretch->size -= size;
    }
    stretch->size = 0;
    return TAMIS_OK;
}

static inline tamis_status tamis__stretch_add(tamis__stretch *stretch, const unsigned char *data,
                                              size_t size, tamis_error *err)
{
    if (size == 0) return TAMIS_OK;
    if (stretch->size > 0 && stretch->data + stretch->size == data &&
        stretch->size < TAMIS__STRETCH_BYTES) {
        stretch->size += size;
        return TAMIS_OK;
    }
    TAMIS_TRY(tamis__stretch_end(stretch, err));
    stretch->data = data;
    stretch->size = size;
    return TAMIS_OK;
}

#endif
