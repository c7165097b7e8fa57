/* The dense projection with entries +-1/sqrt(K).
 *
 * The sign of column c in output j is bit j % 64 of number c of the sequence that belongs to the
 * output's panel, j / 64. Signs are made for 512 columns and 64 outputs at a time, used for all rows
 * of the batch and forgotten: the matrix, p K / 8 bytes, is never in memory.
 *
 * For rows x and y, <Rx, Ry> has the mean <x, y> and, over seeds, the variance
 * (|x|^2 |y|^2 + <x, y>^2 - 2 sum x_i^2 y_i^2) / K.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/hash.h"
#include "project/projector.h"

/* out[m, 64] = rows [m, columns] times signs [columns, 64]. Each output adds in the order of the
 * columns; products with +-1 are exact. */
static void multiply(const float *rows, size_t row_stride, size_t m, const float *signs,
                     size_t columns, float *out)
{
    enum { PART = 16 };
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < TAMIS__PANEL; j += PART) {
            float sum[PART] = {0};
            const float *row = rows + i * row_stride;
            for (size_t c = 0; c < columns; c++)
                for (size_t k = 0; k < PART; k++)
                    sum[k] += row[c] * signs[c * TAMIS__PANEL + j + k];
            memcpy(out + i * TAMIS__PANEL + j, sum, sizeof sum);
        }
}

/* Signs of a panel [BLOCK, PANEL] and its products [rows, PANEL]. */
size_t tamis__rademacher_scratch(uint64_t rows)
{
    return (TAMIS__BLOCK + rows) * TAMIS__PANEL * sizeof(float);
}

static void fill(const tamis__projector *p, uint64_t panel, uint64_t first, uint64_t columns,
                 float *signs)
{
    uint64_t bits[TAMIS__BLOCK], key = tamis__splitmix(p->key, panel);
    for (uint64_t c = 0; c < columns; c++) bits[c] = tamis__splitmix(key, first + c);
    p->kernels.expand_signs(signs, bits, columns);
}

void tamis__rademacher_columns(const tamis__projector *p, double *sums, void *scratch,
                               uint64_t rows, uint64_t first, uint64_t columns, const float *in,
                               size_t stride)
{
    float *signs = scratch, *product = signs + TAMIS__BLOCK * TAMIS__PANEL;
    uint64_t to = p->spec.to;
    for (uint64_t at = 0; at < columns; at += TAMIS__BLOCK) {
        uint64_t n = tamis__lesser(TAMIS__BLOCK, columns - at);
        for (uint64_t j = 0; j < to; j += TAMIS__PANEL) {
            uint64_t width = tamis__lesser(TAMIS__PANEL, to - j);
            fill(p, j / TAMIS__PANEL, first + at, n, signs);
            multiply(in + at, stride, rows, signs, n, product);
            for (uint64_t r = 0; r < rows; r++)
                for (uint64_t i = 0; i < width; i++)
                    sums[r * to + j + i] += (double)product[r * TAMIS__PANEL + i];
        }
    }
}
