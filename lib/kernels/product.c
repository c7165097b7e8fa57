/* The choice of a multiplier, panels of floats, and the plain C multipliers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/product.h"

#include <string.h>

#include "kernels/product_list.h"
#include "kernels/reference.h"

/* --- panels of floats ------------------------------------------------------------------------- */

size_t tamis__width_many(size_t n)
{
    return tamis__round_up(n, 16);
}

size_t tamis__width_few(size_t n)
{
    return n <= 2 ? n : n <= 4 ? 4 : 8;
}

size_t tamis__size_many_f32(size_t width, size_t columns)
{
    return width * columns * sizeof(float);
}

size_t tamis__size_few_f32(size_t width, size_t columns)
{
    return width * tamis__round_up(columns, 16) * sizeof(float);
}

void tamis__pack_many_f32(void *panel, const float *queries, size_t query_stride, size_t n,
                          size_t width, size_t columns)
{
    float *out = panel;
    for (size_t c = 0; c < columns; c++)
        for (size_t j = 0; j < width; j++)
            out[c * width + j] = j < n ? queries[j * query_stride + c] : 0.0f;
}

void tamis__pack_few_f32(void *panel, const float *queries, size_t query_stride, size_t n,
                         size_t width, size_t columns)
{
    float *out = panel;
    memset(out, 0, tamis__size_few_f32(width, columns));
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < columns; c++)
            out[(c / 16 * width + j) * 16 + c % 16] = queries[j * query_stride + c];
}

/* --- plain C: the reference ------------------------------------------------------------------- */

/* A row as floats: in place, or widened into `room`. */
static const float *row_of(tamis_dtype dtype, const unsigned char *row, size_t columns, float *room)
{
    switch (dtype) {
    case TAMIS_F16: tamis__widen_f16_c(room, (const void *)row, columns); break;
    case TAMIS_BF16: tamis__widen_bf16_c(room, (const void *)row, columns); break;
    case TAMIS_F32: memcpy(room, row, columns * sizeof *room); break;
    case TAMIS_I8:
        for (size_t c = 0; c < columns; c++) room[c] = (float)(int8_t)row[c];
        break;
    }
    return room;
}

/* Each product is summed in float over the step's columns in their order. */
static inline void add_many(tamis_dtype dtype, double *sum, size_t stride, const void *rows,
                            size_t row_bytes, size_t m, const void *panel, size_t width,
                            size_t columns)
{
    float room[TAMIS__MAX_STEP], acc[TAMIS__MAX_TILE];
    const float *query = panel;
    for (size_t r = 0; r < m; r++) {
        const float *x = row_of(dtype, (const unsigned char *)rows + r * row_bytes, columns, room);
        memset(acc, 0, sizeof acc);
        for (size_t c = 0; c < columns; c++)
            for (size_t j = 0; j < width; j++) acc[j] += x[c] * query[c * width + j];
        for (size_t j = 0; j < width; j++) sum[r * stride + j] += (double)acc[j];
    }
}

/* Sixteen interleaved sums in float, added up pairwise. */
static float dot(const float *x, const float *query, size_t width, size_t n)
{
    float part[16] = {0};
    for (size_t i = 0; i < n; i++) part[i % 16] += x[i] * query[i / 16 * width * 16 + i % 16];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

static inline void add_few(tamis_dtype dtype, double *sum, size_t stride, const void *rows,
                           size_t row_bytes, size_t m, const void *panel, size_t width,
                           size_t columns)
{
    float room[TAMIS__MAX_STEP];
    const float *query = panel;
    for (size_t r = 0; r < m; r++) {
        const float *x = row_of(dtype, (const unsigned char *)rows + r * row_bytes, columns, room);
        for (size_t j = 0; j < width; j++)
            sum[r * stride + j] += (double)dot(x, query + j * 16, width, columns);
    }
}

#define PLAIN(type, dtype)                                                                         \
    static void many_##type(double *sum, size_t stride, const void *rows, size_t row_bytes,        \
                            size_t m, const void *panel, size_t width, size_t columns)             \
    {                                                                                              \
        add_many(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                   \
    }                                                                                              \
    static void few_##type(double *sum, size_t stride, const void *rows, size_t row_bytes,         \
                           size_t m, const void *panel, size_t width, size_t columns)              \
    {                                                                                              \
        add_few(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                    \
    }
PLAIN(f32, TAMIS_F32)
PLAIN(f16, TAMIS_F16)
PLAIN(bf16, TAMIS_BF16)
PLAIN(i8, TAMIS_I8)
#undef PLAIN

static const tamis__multiplier_entry plain[] = {
    TAMIS__MANY_F32("c", TAMIS_F32, 0, many_f32),   TAMIS__FEW_F32("c", TAMIS_F32, 0, few_f32),
    TAMIS__MANY_F32("c", TAMIS_F16, 0, many_f16),   TAMIS__FEW_F32("c", TAMIS_F16, 0, few_f16),
    TAMIS__MANY_F32("c", TAMIS_BF16, 0, many_bf16), TAMIS__FEW_F32("c", TAMIS_BF16, 0, few_bf16),
    TAMIS__MANY_F32("c", TAMIS_I8, 0, many_i8),     TAMIS__FEW_F32("c", TAMIS_I8, 0, few_i8),
};
const tamis__multiplier_list tamis__multipliers_c = {plain, sizeof plain / sizeof *plain};

/* --- the choice ------------------------------------------------------------------------------- */

static const tamis__multiplier_list *const lists[] = {
    &tamis__multipliers_c, &tamis__multipliers_avx2, &tamis__multipliers_avx512,
    &tamis__multipliers_avx512bf16, &tamis__multipliers_vnni};
enum { N_LISTS = sizeof lists / sizeof *lists, FEW = 8 };

const tamis__multiplier *tamis__multiplier_at(tamis_dtype dtype, unsigned cpu, bool few, size_t i)
{
    for (size_t l = 0; l < N_LISTS; l++)
        for (size_t n = 0; n < lists[l]->n; n++) {
            const tamis__multiplier_entry *e = &lists[l]->entry[n];
            if (e->dtype != dtype || e->few != few || (e->cpu & ~cpu)) continue;
            if (i-- == 0) return &e->multiplier;
        }
    return NULL;
}

const tamis__multiplier *tamis__multiplier_choose(const tamis__product_wish *wish)
{
    const tamis__multiplier *best = NULL, *next;
    bool few = wish->queries > 0 && wish->queries <= FEW;
    for (size_t i = 0; (next = tamis__multiplier_at(wish->dtype, wish->cpu, few, i)); i++)
        if ((!wish->exact || !next->rounds) && (!few || wish->queries <= next->tile)) best = next;
    return best;
}
