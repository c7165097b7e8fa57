/* Multipliers by instruction set, for the choice among them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_PRODUCT_LIST_H
#define TAMIS_KERNELS_PRODUCT_LIST_H

#include "kernels/product.h"

/* A multiplier and what it is for. */
typedef struct tamis__multiplier_entry {
    tamis__multiplier multiplier;
    tamis_dtype dtype;
    unsigned cpu; /* TAMIS_CPU_* that it needs */
    bool few;
} tamis__multiplier_entry;

typedef struct tamis__multiplier_list {
    const tamis__multiplier_entry *entry;
    size_t n;
} tamis__multiplier_list;

/* From the plainest to the fastest. Empty where the compiler's target has no such instructions. */
extern const tamis__multiplier_list tamis__multipliers_c, tamis__multipliers_avx2,
    tamis__multipliers_avx512, tamis__multipliers_avx512bf16, tamis__multipliers_vnni;

/* Panels of floats, shared by most. Many queries: [columns][width], width a multiple of 16. Few:
 * [sixteens of columns][width][16], width 1, 2, 4 or 8: read in order, as one stream. */
size_t tamis__width_many(size_t n);
size_t tamis__width_few(size_t n);
size_t tamis__size_many_f32(size_t width, size_t columns);
size_t tamis__size_few_f32(size_t width, size_t columns);
void tamis__pack_many_f32(void *panel, const float *queries, size_t query_stride, size_t n,
                          size_t width, size_t columns);
void tamis__pack_few_f32(void *panel, const float *queries, size_t query_stride, size_t n,
                         size_t width, size_t columns);

static inline size_t tamis__round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* f(m, ...) for m up to 6, f(n, ...) for n up to 4, with m and n as constants: what is inlined then
 * keeps its sums in registers. */
#define TAMIS__BY_ROWS(f, m, ...)                                                                  \
    do {                                                                                           \
        switch (m) {                                                                               \
        case 6: f(6, __VA_ARGS__); break;                                                          \
        case 5: f(5, __VA_ARGS__); break;                                                          \
        case 4: f(4, __VA_ARGS__); break;                                                          \
        case 3: f(3, __VA_ARGS__); break;                                                          \
        case 2: f(2, __VA_ARGS__); break;                                                          \
        default: f(1, __VA_ARGS__); break;                                                         \
        }                                                                                          \
    } while (0)
#define TAMIS__BY_VECTORS(f, n, ...)                                                               \
    do {                                                                                           \
        switch (n) {                                                                               \
        case 4: f(4, __VA_ARGS__); break;                                                          \
        case 3: f(3, __VA_ARGS__); break;                                                          \
        case 2: f(2, __VA_ARGS__); break;                                                          \
        default: f(1, __VA_ARGS__); break;                                                         \
        }                                                                                          \
    } while (0)

/* Entries with a panel of floats. */
#define TAMIS__MANY_F32(isa, type, features, function)                                             \
    {                                                                                              \
        .multiplier = {.name = isa,                                                                \
                       .panel = "f32",                                                             \
                       .step = TAMIS__MANY_STEP,                                                   \
                       .tile = 64,                                                                 \
                       .width = tamis__width_many,                                                 \
                       .size = tamis__size_many_f32,                                               \
                       .pack = tamis__pack_many_f32,                                               \
                       .add = function},                                                           \
        .dtype = type, .cpu = features                                                             \
    }
#define TAMIS__FEW_F32(isa, type, features, function)                                              \
    {                                                                                              \
        .multiplier = {.name = isa,                                                                \
                       .panel = "f32",                                                             \
                       .step = 4096,                                                               \
                       .tile = 8,                                                                  \
                       .width = tamis__width_few,                                                  \
                       .size = tamis__size_few_f32,                                                \
                       .pack = tamis__pack_few_f32,                                                \
                       .add = function},                                                           \
        .dtype = type, .cpu = features, .few = true                                                \
    }

#endif
