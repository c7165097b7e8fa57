/* Products of stored rows with panels of queries: the loop that scoring spends its time in.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_PRODUCT_H
#define TAMIS_KERNELS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

/* More queries or columns than any multiplier takes at once; and the columns that those for many
 * queries add up in float. */
enum { TAMIS__MAX_TILE = 64, TAMIS__MAX_STEP = 4096, TAMIS__MANY_STEP = 512 };

/* One way to multiply rows of one stored type.
 *
 * Queries are packed, `width` of them and `columns` <= step columns, into a panel; then
 *     sum[r * stride + j] += <row r, query j>       r < m, j < width
 * for as many rows as there are. i8 rows are taken without their scale. Within a step, terms are
 * added as the comment of each implementation says; steps are added up in double by `add` itself.
 * The same rows and panel give the same bits however rows are grouped into calls. */
typedef struct tamis__multiplier {
    const char *name;  /* instructions: "c", "avx2", "avx512", "avx512bf16", "vnni" */
    const char *panel; /* what queries are held in: "f32", "bf16", "i16" */
    bool rounds;       /* the panel rounds queries */
    uint32_t step;     /* columns of a panel, at most; <= TAMIS__MAX_STEP */
    uint32_t tile;     /* queries of a panel, at most; <= TAMIS__MAX_TILE */
    /* Width of the panel that holds n <= tile queries: at least n. */
    size_t (*width)(size_t n);
    /* Bytes of a panel, a multiple of 64. */
    size_t (*size)(size_t width, size_t columns);
    /* Fill a panel, aligned to 64 bytes, from n <= width rows of floats; the others are zeros. */
    void (*pack)(void *panel, const float *queries, size_t query_stride, size_t n, size_t width,
                 size_t columns);
    /* `rows` need no alignment beyond that of a value; nothing behind a row's columns is read. */
    void (*add)(double *sum, size_t stride, const void *rows, size_t row_bytes, size_t m,
                const void *panel, size_t width, size_t columns);
} tamis__multiplier;

/* How panels are wanted. */
typedef struct tamis__product_wish {
    tamis_dtype dtype; /* of the rows */
    unsigned cpu;      /* TAMIS_CPU_* that may be used */
    bool exact;        /* queries as they are: a panel of floats */
    uint64_t
        queries; /* how many there are; up to 8, reading the rows is all that matters. 0 = many */
} tamis__product_wish;

/* The best multiplier there is; never NULL. */
const tamis__multiplier *tamis__multiplier_choose(const tamis__product_wish *wish);

/* Every multiplier for rows of this type that the processor's features allow, for few queries or
 * for many, best last; for tests and benchmarks: the i-th one, NULL past the end. */
const tamis__multiplier *tamis__multiplier_at(tamis_dtype dtype, unsigned cpu, bool few, size_t i);

#endif
