/* The sparse Johnson-Lindenstrauss projection, made for vector registers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/hash.h"
#include "project/projector.h"

/* The K outputs are cut into s sections, section t from t K / s to (t + 1) K / s (rounded down).
 * Every column has one entry +-1/sqrt(s) in each section: the block construction of Kane and
 * Nelson 2014; with s = 1 it is CountSketch. 16 columns that follow one another are a group: number
 * g of the section's sequence gives the place where the group begins, uniform in the section, and
 * 16 signs; the columns go to the places from there on, cyclically. So a group is one register:
 * load, flip signs, add, store.
 *
 * What that does to dot products. Let S_t x be section t before scaling, n_t its length. Places are
 * uniform and signs independent, so that E <S_t x, S_t y> = sum over i, j of x_i y_j P(same place)
 * E(sign_i sign_j) = <x, y>, and <Sx, Sy> = 1/s sum_t <S_t x, S_t y> has the mean <x, y>. Two
 * columns of different groups meet with probability 1/n_t, since their starts are independent and
 * uniform. Two of one group never meet, as a group is no longer than a section. Only pairs that
 * meet add variance, and sections are independent:
 *
 *   Var <Sx, Sy> = 1/s^2 sum_t 1/n_t  *  ( |x|^2 |y|^2 + <x, y>^2
 *                                          - sum over groups g of (|x_g|^2 |y_g|^2 + <x_g, y_g>^2) )
 *
 * where the first factor is 1/K when s divides K. Drawing each column by itself has single columns
 * for g: moving them in groups never adds to the variance. Signs of a group are independent bits,
 * but places are not, so tail bounds that want independent places hold for groups as units.
 *
 * Where the shortest section has fewer than 16 places, every column is a group of its own.
 *
 * Sums are taken in float over spans of about 128 K columns, some 128 s values an output, and over
 * spans in double. */

enum { TILE_GROUPS = TAMIS__PROJECTION_TILE / TAMIS__GROUP };

/* The draws of a tile, made once for all rows of the batch: [nonzeros, TILE_GROUPS] each. */
typedef struct draws {
    uint32_t *start;
    uint16_t *minus;
    float *sums; /* [rows, width] */
} draws;

void tamis__sparse_init(tamis__projector *p)
{
    uint64_t s = p->spec.nonzeros, to = p->spec.to;
    for (uint64_t t = 0; t <= s; t++) p->section[t] = t * to / s;
    for (uint64_t t = 0; t < s; t++) p->section_key[t] = tamis__splitmix(p->key, t);
    p->grouped = to / s >= TAMIS__GROUP;
    p->width = to + (p->grouped ? s * (TAMIS__GROUP - 1) : 0);
    p->width = tamis__lines(p->width * sizeof(float)) / sizeof(float);
    p->span = (128 * to + TAMIS__STEP - 1) / TAMIS__STEP * TAMIS__STEP;
}

static draws parts_of(const tamis__projector *p, void *scratch)
{
    uint64_t n = p->grouped ? p->spec.nonzeros * TILE_GROUPS : 0;
    draws d = {.start = scratch};
    d.minus = (void *)((char *)scratch + n * sizeof *d.start);
    d.sums = (void *)((char *)d.minus + tamis__lines(n * sizeof *d.minus));
    return d;
}

size_t tamis__sparse_scratch(const tamis__projector *p, uint64_t rows)
{
    uint64_t n = p->grouped ? p->spec.nonzeros * TILE_GROUPS : 0;
    return tamis__lines(n * sizeof(uint32_t)) + tamis__lines(n * sizeof(uint16_t)) +
           rows * p->width * sizeof(float);
}

void tamis__sparse_begin(const tamis__projector *p, void *scratch, uint64_t rows)
{
    memset(parts_of(p, scratch).sums, 0, rows * p->width * sizeof(float));
}

/* --- draws ------------------------------------------------------------------------------------ */

/* Upper 40 bits: a place in [0, length), uniform but for length / 2^40. Lower 16 bits: signs. */
static uint32_t place(uint64_t number, uint64_t length)
{
    return (uint32_t)((number >> 24) * length >> 40);
}

static void draw(const tamis__projector *p, const draws *d, uint64_t first_group, uint64_t groups)
{
    for (uint64_t t = 0; t < p->spec.nonzeros; t++) {
        uint64_t length = p->section[t + 1] - p->section[t], key = p->section_key[t];
        uint32_t *start = d->start + t * TILE_GROUPS;
        uint16_t *minus = d->minus + t * TILE_GROUPS;
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t number = tamis__splitmix(key, first_group + g);
            start[g] = place(number, length);
            minus[g] = (uint16_t)number;
        }
    }
}

/* --- sums ------------------------------------------------------------------------------------- */

/* Section t of a row's sums in float; the places after its end are those of its beginning. */
static float *section_of(const tamis__projector *p, float *sums, uint64_t t)
{
    return sums + p->section[t] + (p->grouped ? t * (TAMIS__GROUP - 1) : 0);
}

static void flush_section(const tamis__projector *p, double *sums, float *row, uint64_t t)
{
    float *from = section_of(p, row, t);
    uint64_t length = p->section[t + 1] - p->section[t];
    double *to = sums + p->section[t];
    for (uint64_t j = 0; p->grouped && j < TAMIS__GROUP - 1; j++) {
        to[j] += (double)from[length + j];
        from[length + j] = 0.0f;
    }
    for (uint64_t j = 0; j < length; j++) to[j] += (double)from[j];
    memset(from, 0, length * sizeof *from);
}

static void flush(const tamis__projector *p, double *sums, float *row)
{
    for (uint64_t t = 0; t < p->spec.nonzeros; t++) flush_section(p, sums, row, t);
}

/* A step of a row, section by section: what is read and written stays in the first cache. Before
 * the last section the memory of the next step is asked for, which hides most of its latency. */
static void add_groups(const tamis__projector *p, const draws *d, float *sums, uint64_t group,
                       uint64_t columns, const float *in, const float *ahead)
{
    float last[TAMIS__GROUP] = {0};
    uint64_t whole = columns / TAMIS__GROUP, left = columns % TAMIS__GROUP;
    if (left) memcpy(last, in + whole * TAMIS__GROUP, left * sizeof *last);
    for (uint64_t t = 0; t < p->spec.nonzeros; t++) {
        const uint32_t *start = d->start + t * TILE_GROUPS + group;
        const uint16_t *minus = d->minus + t * TILE_GROUPS + group;
        float *out = section_of(p, sums, t);
        p->kernels.scatter_signed(out, in, start, minus, whole,
                                  t + 1 == p->spec.nonzeros ? ahead : NULL);
        if (left) p->kernels.scatter_signed(out, last, start + whole, minus + whole, 1, NULL);
    }
}

/* Short sections: one column at a time. */
static void add_singly(const tamis__projector *p, float *sums, uint64_t first, uint64_t columns,
                       const float *in)
{
    for (uint64_t t = 0; t < p->spec.nonzeros; t++) {
        uint64_t length = p->section[t + 1] - p->section[t];
        float *out = section_of(p, sums, t);
        for (uint64_t c = 0; c < columns; c++) {
            uint64_t number = tamis__splitmix(p->section_key[t], first + c);
            out[place(number, length)] += number & 1 ? -in[c] : in[c];
        }
    }
}

void tamis__sparse_columns(const tamis__projector *p, double *sums, void *scratch, uint64_t rows,
                           uint64_t first, uint64_t columns, const float *in, size_t stride)
{
    draws d = parts_of(p, scratch);
    for (uint64_t at = 0; at < columns; at += TAMIS__PROJECTION_TILE) {
        uint64_t tile = tamis__lesser(TAMIS__PROJECTION_TILE, columns - at);
        if (p->grouped)
            draw(p, &d, (first + at) / TAMIS__GROUP, (tile + TAMIS__GROUP - 1) / TAMIS__GROUP);
        for (uint64_t r = 0; r < rows; r++) {
            float *row = d.sums + r * p->width;
            for (uint64_t c = 0; c < tile; c += TAMIS__STEP) {
                uint64_t n = tamis__lesser(TAMIS__STEP, tile - c);
                const float *values = in + r * stride + at + c;
                if (p->grouped)
                    add_groups(p, &d, row, c / TAMIS__GROUP, n, values,
                               c + 2 * n <= tile ? values + n : NULL);
                else
                    add_singly(p, row, first + at + c, n, values);
                if ((first + at + c + n) % p->span == 0) flush(p, sums + r * p->spec.to, row);
            }
        }
    }
}

void tamis__sparse_end(const tamis__projector *p, double *sums, void *scratch, uint64_t rows)
{
    draws d = parts_of(p, scratch);
    for (uint64_t r = 0; r < rows; r++) flush(p, sums + r * p->spec.to, d.sums + r * p->width);
}
