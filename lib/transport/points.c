/* Costs between points: squared distances are |x|^2 + |y|^2 - 2 <x, y>, with inner products by the
 * kernels of scoring, in float, and lengths in double. Pairs so near that this loses digits are
 * done again from their differences in double: so equal rows have cost 0. All costs are rounded to
 * float. Small problems are done from differences altogether, and stay double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/points.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { PANEL = TAMIS__POINT_PANEL };

/* Problems of so few products are done in double throughout. */
#define DIRECT (UINT64_C(1) << 22)

static uint64_t panels_of(uint64_t n)
{
    return (n + PANEL - 1) / PANEL;
}

static size_t panel_bytes(const tamis__multiplier *multiplier, uint64_t columns)
{
    uint64_t steps = columns / multiplier->step, rest = columns % multiplier->step;
    return (size_t)(steps * multiplier->size(PANEL, multiplier->step) +
                    (rest ? multiplier->size(PANEL, (size_t)rest) : 0));
}

uint64_t tamis__points_bytes(const tamis_transport_problem *p)
{
    return (p->n + p->m + 2 * PANEL) * (2 * p->columns * sizeof(float) + sizeof(double));
}

/* --- rows made ready -------------------------------------------------------------------------- */

static tamis_status copy_row(float *out, const float *in, uint64_t columns, bool cosine, char side,
                             uint64_t row, tamis_error *err)
{
    double square = 0;
    for (uint64_t c = 0; c < columns; c++) square += (double)in[c] * (double)in[c];
    if (!isfinite(square))
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "row %" PRIu64 " of side %c is not finite: leave it out", row, side);
    if (cosine && !(square > 0))
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "row %" PRIu64
                           " of side %c is zero and has no direction: leave it out, or "
                           "use the euclidean cost",
                           row, side);
    double factor = cosine ? 1.0 / sqrt(square) : 1.0;
    for (uint64_t c = 0; c < columns; c++) out[c] = (float)((double)in[c] * factor);
    return TAMIS_OK;
}

static tamis_status copy_side(tamis__point_side *side, const float *in, uint64_t columns,
                              bool cosine, char name, tamis_error *err)
{
    uint64_t padded = panels_of(side->n) * PANEL;
    side->rows = tamis__aligned(side->n * columns, sizeof *side->rows);
    side->norm = tamis__aligned(padded, sizeof *side->norm);
    if (!side->rows || !side->norm)
        return tamis__fail_memory(err, "points", side->n * columns * sizeof *side->rows);
    for (uint64_t i = 0; i < side->n; i++)
        TAMIS_TRY(
            copy_row(side->rows + i * columns, in + i * columns, columns, cosine, name, i, err));
    return TAMIS_OK;
}

static double square_of(const float *row, uint64_t columns)
{
    double square = 0;
    for (uint64_t c = 0; c < columns; c++) square += (double)row[c] * (double)row[c];
    return square;
}

/* Mean of both sides together, and the diagonal of the box around them. Returns the mean square of
 * their lengths. `mean`, `low` and `high` have a value for each column. */
static double look(tamis__points *p, double *mean, float *low, float *high)
{
    double total = 0, diagonal = 0;
    memset(mean, 0, p->columns * sizeof *mean);
    memcpy(low, p->side[0].rows, p->columns * sizeof *low);
    memcpy(high, p->side[0].rows, p->columns * sizeof *high);
    for (int s = 0; s < 2; s++)
        for (uint64_t i = 0; i < p->side[s].n; i++) {
            const float *row = p->side[s].rows + i * p->columns;
            for (uint64_t c = 0; c < p->columns; c++) {
                mean[c] += (double)row[c];
                low[c] = row[c] < low[c] ? row[c] : low[c];
                high[c] = row[c] > high[c] ? row[c] : high[c];
            }
            total += square_of(row, p->columns);
        }
    for (uint64_t c = 0; c < p->columns; c++) {
        double extent = (double)high[c] - (double)low[c];
        mean[c] /= (double)(p->side[0].n + p->side[1].n);
        diagonal += extent * extent;
    }
    p->diameter = sqrt(diagonal);
    return total / (double)(p->side[0].n + p->side[1].n);
}

/* Where the mean makes most of the lengths, distances are small beside them and would lose
 * digits. */
static void centre(tamis__points *p, const double *mean, double mean_square)
{
    double square = 0;
    for (uint64_t c = 0; c < p->columns; c++) square += mean[c] * mean[c];
    if (4 * square < mean_square) return;
    for (int s = 0; s < 2; s++)
        for (uint64_t i = 0; i < p->side[s].n; i++) {
            float *row = p->side[s].rows + i * p->columns;
            for (uint64_t c = 0; c < p->columns; c++) row[c] = (float)((double)row[c] - mean[c]);
        }
}

/* Scaling by a power of two changes no digit, and keeps products within the range of floats. */
static void scale(tamis__points *p)
{
    double longest = 0;
    for (int s = 0; s < 2; s++)
        for (uint64_t i = 0; i < p->side[s].n; i++) {
            double square = square_of(p->side[s].rows + i * p->columns, p->columns);
            longest = square > longest ? square : longest;
        }
    int exponent = longest > 0 ? ilogb(sqrt(longest)) + 1 : 0;
    p->unit = scalbn(1.0, p->root ? exponent : 2 * exponent);
    for (int s = 0; s < 2; s++) {
        tamis__point_side *side = &p->side[s];
        for (uint64_t i = 0; exponent != 0 && i < side->n * p->columns; i++)
            side->rows[i] = (float)scalbn((double)side->rows[i], -exponent);
        for (uint64_t i = 0; i < side->n; i++)
            side->norm[i] = square_of(side->rows + i * p->columns, p->columns);
    }
}

static tamis_status pack(tamis__points *p, tamis__point_side *side, tamis_error *err)
{
    const tamis__multiplier *multiplier = p->kernels.multiplier;
    uint64_t panels = panels_of(side->n);
    side->panels = tamis__aligned(panels, p->panel_bytes);
    if (!side->panels) return tamis__fail_memory(err, "points", panels * p->panel_bytes);
    for (uint64_t k = 0; k < panels; k++) {
        char *at = side->panels + k * p->panel_bytes;
        uint64_t first = k * PANEL, n = side->n - first < PANEL ? side->n - first : PANEL;
        for (uint64_t c = 0; c < p->columns; c += multiplier->step) {
            uint64_t step = p->columns - c < multiplier->step ? p->columns - c : multiplier->step;
            multiplier->pack(at, side->rows + first * p->columns + c, p->columns, n, PANEL, step);
            at += multiplier->size(PANEL, step);
        }
    }
    return TAMIS_OK;
}

static tamis_status prepare(tamis__points *p, const tamis_transport_problem *problem, bool both,
                            tamis_error *err)
{
    bool cosine = problem->cost == TAMIS_COST_COSINE;
    double *mean = tamis__malloc(2 * p->columns, sizeof *mean);
    if (!mean) return tamis__fail_memory(err, "points", 2 * p->columns * sizeof *mean);
    float *low = (float *)(mean + p->columns), *high = low + p->columns;
    tamis_status status = copy_side(&p->side[0], problem->x, p->columns, cosine, 'a', err);
    if (status == TAMIS_OK)
        status = copy_side(&p->side[1], problem->y, p->columns, cosine, 'b', err);
    if (status == TAMIS_OK) {
        double mean_square = look(p, mean, low, high);
        if (!p->direct) centre(p, mean, mean_square);
        scale(p);
    }
    free(mean);
    TAMIS_TRY(status);
    if (p->direct) return TAMIS_OK;
    if (both) TAMIS_TRY(pack(p, &p->side[0], err));
    return pack(p, &p->side[1], err);
}

bool tamis__points_direct(const tamis_transport_problem *p)
{
    return p->columns <= DIRECT && p->n * p->m <= DIRECT / p->columns;
}

tamis_status tamis__points_init(tamis__points *ret_points, const tamis_context *context,
                                const tamis_transport_problem *problem, bool both, tamis_error *err)
{
    tamis__points p = {.columns = problem->columns,
                       .root = problem->cost != TAMIS_COST_SQEUCLIDEAN,
                       .side = {{.n = problem->n}, {.n = problem->m}}};
    tamis__kernels_init(&p.kernels, context->cpu);
    tamis__softmin_init(&p.softmin, context->cpu);
    p.direct = tamis__points_direct(problem);
    p.panel_bytes = panel_bytes(p.kernels.multiplier, p.columns);
    tamis_status status = prepare(&p, problem, both, err);
    if (status != TAMIS_OK)
        tamis__points_fini(&p);
    else
        *ret_points = p;
    return status;
}

void tamis__points_fini(tamis__points *p)
{
    for (int s = 0; s < 2; s++) {
        free(p->side[s].rows);
        free(p->side[s].norm);
        free(p->side[s].panels);
        p->side[s] = (tamis__point_side){0};
    }
}

/* --- tiles ------------------------------------------------------------------------------------ */

static double direct(const tamis__points *p, const float *from, const float *to)
{
    double square = 0;
    for (uint64_t c = 0; c < p->columns; c++) {
        double difference = (double)from[c] - (double)to[c];
        square += difference * difference;
    }
    return (p->root ? sqrt(square) : square) * p->unit;
}

/* The costs of one row that the formula gave up on, from the differences. */
static void mend(const tamis__points *p, const float *row, double own,
                 const tamis__point_side *other, uint64_t first, size_t columns, double *cost)
{
    for (size_t j = 0; j < columns; j++) {
        double both = own + other->norm[first + j], found = cost[j] / p->unit;
        if ((p->root ? found * found : found) <= 1.0001 * TAMIS__NEAR * both)
            cost[j] = (double)(float)(direct(p, row, other->rows + (first + j) * p->columns) /
                                      p->unit) *
                      p->unit;
    }
}

static void direct_tile(const tamis__points *p, int side, uint64_t first_row, size_t rows,
                        uint64_t first, size_t columns, double *out, size_t stride)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * stride + j] = direct(p, p->side[side].rows + (first_row + i) * p->columns,
                                         p->side[!side].rows + (first + j) * p->columns);
}

void tamis__points_tile(const tamis__points *p, int side, uint64_t first_row, size_t rows,
                        uint64_t first, size_t columns, double *out, size_t stride)
{
    const tamis__multiplier *multiplier = p->kernels.multiplier;
    const tamis__point_side *own = &p->side[side], *other = &p->side[!side];
    const float *row = own->rows + first_row * p->columns;
    size_t row_bytes = p->columns * sizeof *row;
    if (p->direct) {
        direct_tile(p, side, first_row, rows, first, columns, out, stride);
        return;
    }
    memset(out, 0, rows * stride * sizeof *out);
    for (size_t j = 0; j < columns; j += PANEL) {
        const char *panel = other->panels + (first + j) / PANEL * p->panel_bytes;
        for (uint64_t c = 0; c < p->columns; c += multiplier->step) {
            uint64_t step = p->columns - c < multiplier->step ? p->columns - c : multiplier->step;
            multiplier->add(out + j, stride, row + c, row_bytes, rows, panel, PANEL, step);
            panel += multiplier->size(PANEL, step);
        }
    }
    for (size_t i = 0; i < rows; i++) {
        double norm = own->norm[first_row + i], *cost = out + i * stride;
        if (p->softmin.distance(cost, other->norm + first, norm, p->unit, p->root, columns) <= 0.0)
            mend(p, row + i * p->columns, norm, other, first, columns, cost);
    }
}
