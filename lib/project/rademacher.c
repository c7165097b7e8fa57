/* The dense projection with entries +-1/sqrt(K).
 *
 * The sign of column c in output j is bit j % 64 of number c of the sequence that belongs to the
 * output's panel, j / 64. Signs are made for 512 columns and 64 outputs at a time, used for all
 * rows of the batch and forgotten: the matrix, p K / 8 bytes, is never in memory.
 *
 * For rows x and y, <Rx, Ry> has the mean <x, y> and, over seeds, the variance
 * (|x|^2 |y|^2 + <x, y>^2 - 2 sum x_i^2 y_i^2) / K.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/hash.h"
#include "kernels/product.h"
#include "project/projector.h"

/* Signs of a panel [BLOCK, PANEL], and sums [rows, PANEL] in double of a panel that is not full. */
size_t tamis__rademacher_scratch(uint64_t rows)
{
    return TAMIS__BLOCK * TAMIS__PANEL * sizeof(float) + rows * TAMIS__PANEL * sizeof(double);
}

static void fill(const tamis__projector *p, uint64_t panel, uint64_t first, uint64_t columns,
                 float *signs)
{
    uint64_t bits[TAMIS__BLOCK], key = tamis__splitmix(p->key, panel);
    for (uint64_t c = 0; c < columns; c++) bits[c] = tamis__splitmix(key, first + c);
    p->kernels.expand_signs(signs, bits, columns);
}

/* Add the products of a block of columns with the signs of `width` outputs. Products with +-1 are
 * exact and each output adds in the order of the columns, so every multiplier gives the same
 * bits. */
static void add_panel(const tamis__projector *p, double *sums, double *part, uint64_t rows,
                      uint64_t width, uint64_t columns, const float *in, size_t stride,
                      const float *signs)
{
    const tamis__multiplier *mul = p->kernels.multiplier;
    bool full = width == TAMIS__PANEL;
    size_t part_stride = full ? p->spec.to : TAMIS__PANEL;
    double *to = full ? sums : part;
    if (!full) memset(part, 0, rows * TAMIS__PANEL * sizeof *part);
    mul->add(to, part_stride, in, stride * sizeof *in, rows, signs, TAMIS__PANEL, columns);
    for (uint64_t r = 0; r < rows && !full; r++)
        for (uint64_t i = 0; i < width; i++) sums[r * p->spec.to + i] += part[r * TAMIS__PANEL + i];
}

void tamis__rademacher_columns(const tamis__projector *p, double *sums, void *scratch,
                               uint64_t rows, uint64_t first, uint64_t columns, const float *in,
                               size_t stride)
{
    float *signs = scratch;
    double *part = (double *)(void *)(signs + TAMIS__BLOCK * TAMIS__PANEL);
    for (uint64_t at = 0; at < columns; at += TAMIS__BLOCK) {
        uint64_t n = tamis__lesser(TAMIS__BLOCK, columns - at);
        for (uint64_t j = 0; j < p->spec.to; j += TAMIS__PANEL) {
            fill(p, j / TAMIS__PANEL, first + at, n, signs);
            add_panel(p, sums + j, part, rows, tamis__lesser(TAMIS__PANEL, p->spec.to - j), n,
                      in + at, stride, signs);
        }
    }
}
