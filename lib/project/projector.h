/* What a projector is made of, for the files of this room.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PROJECT_PROJECTOR_H
#define TAMIS_PROJECT_PROJECTOR_H

#include <stdbool.h>

#include "kernels/product.h"
#include "project/project.h"

enum {
    TAMIS__GROUP = 16,  /* columns of a group of the sparse kind */
    TAMIS__STEP = 4096, /* columns done at a time: 16 KiB stay in the first cache */
    TAMIS__BLOCK =
        512, /* columns whose products the rademacher kind sums in float: part of its bits */
    TAMIS__PANEL = 64, /* outputs whose signs are one number */
    TAMIS__NONZEROS_MAX = 64
};

_Static_assert((int)TAMIS__BLOCK <= (int)TAMIS__MANY_STEP, "a multiplier takes a block at once");

struct tamis__projector {
    tamis__projection_spec spec;
    tamis__kernels kernels;
    double scale; /* of every sum, at the end */
    uint64_t key; /* the seed of each kind's numbers */
    /* sparse */
    bool grouped;   /* groups of 16 columns; else each column is drawn by itself */
    uint64_t width; /* floats of a row's sums: sections with room for the last group each */
    uint64_t span;  /* columns summed in float, a multiple of the step */
    uint64_t section[TAMIS__NONZEROS_MAX + 1]; /* where section t begins in the outputs */
    uint64_t section_key[TAMIS__NONZEROS_MAX];
};

/* Bytes, rounded up to a cache line. */
static inline size_t tamis__lines(uint64_t bytes)
{
    return (size_t)((bytes + 63) / 64 * 64);
}

static inline uint64_t tamis__lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Every scratch begins with the sums in double, [rows, to]; each kind has its own part after it. */
size_t tamis__sparse_scratch(const tamis__projector *p, uint64_t rows);
void tamis__sparse_begin(const tamis__projector *p, void *scratch, uint64_t rows);
void tamis__sparse_columns(const tamis__projector *p, double *sums, void *scratch, uint64_t rows,
                           uint64_t first, uint64_t columns, const float *in, size_t stride);
void tamis__sparse_end(const tamis__projector *p, double *sums, void *scratch, uint64_t rows);
void tamis__sparse_init(tamis__projector *p);

size_t tamis__rademacher_scratch(uint64_t rows);
void tamis__rademacher_columns(const tamis__projector *p, double *sums, void *scratch,
                               uint64_t rows, uint64_t first, uint64_t columns, const float *in,
                               size_t stride);

#endif
