/* Moments of rows.
 *
 * Rows are taken in blocks. A block is first read, summed over checkpoints and moved to the centre
 * by all threads, then multiplied with itself: the triangle of the scatter is cut into tiles, and a
 * tile is one thread's, as are the sums of the columns on the diagonal.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/kronecker.h"
#include "curvature/whiten.h"
#include "curvature/whitening.h"
#include "linalg/blas.h"

/* The sizes are part of the result's last bits, so they depend on nothing. */
enum { ROW_BLOCK = 512, READ_ROWS = 32, TILE = 128 };

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- memory ----------------------------------------------------------------------------------- */

uint64_t tamis__scatter_bytes(uint64_t columns)
{
    return (columns * columns + 4 * columns) * sizeof(double);
}

tamis_status tamis__scatter_init(tamis__scatter *ret_moments, uint64_t columns, tamis_error *err)
{
    tamis__scatter m = {.columns = columns};
    m.centre = tamis__aligned(columns, sizeof *m.centre);
    m.sum = tamis__aligned(columns, sizeof *m.sum);
    m.scatter = tamis__aligned(columns * columns, sizeof *m.scatter);
    m.third = tamis__aligned(columns, sizeof *m.third);
    m.offset = tamis__aligned(columns, sizeof *m.offset);
    if (!m.centre || !m.sum || !m.scatter || !m.third || !m.offset) {
        tamis__scatter_fini(&m);
        return tamis__fail_memory(err, "a covariance", tamis__scatter_bytes(columns));
    }
    *ret_moments = m;
    return TAMIS_OK;
}

void tamis__scatter_fini(tamis__scatter *moments)
{
    free(moments->centre);
    free(moments->sum);
    free(moments->scatter);
    free(moments->third);
    free(moments->offset);
    *moments = (tamis__scatter){0};
}

/* --- a block of rows -------------------------------------------------------------------------- */

typedef struct block {
    tamis__scatter *m;
    tamis_context *context;
    const tamis_store *store;
    uint64_t first, rows;
    double *values;  /* [ROW_BLOCK, columns] */
    double *squares; /* [ROW_BLOCK] |z|^2 */
    float *scratch;  /* [worker, READ_ROWS, columns] */
} block;

uint64_t tamis__scatter_add_bytes(const tamis_context *context, uint64_t columns)
{
    return columns * (ROW_BLOCK * sizeof(double) +
                      tamis_context_threads(context) * (uint64_t)READ_ROWS * sizeof(float));
}

static tamis_status read_some(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    const block *b = arg;
    uint64_t first = item * READ_ROWS, columns = b->m->columns;
    return tamis__rows_summed(b->store, b->first + first, smaller(READ_ROWS, b->rows - first),
                              b->scratch + worker * READ_ROWS * columns,
                              b->values + first * columns, err);
}

static tamis_status centre_some(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    (void)slot, (void)worker, (void)err;
    const block *b = arg;
    uint64_t end = smaller((item + 1) * READ_ROWS, b->rows), columns = b->m->columns;
    for (uint64_t r = item * READ_ROWS; r < end; r++) {
        double *z = b->values + r * columns, square = 0;
        for (uint64_t c = 0; c < columns; c++) {
            z[c] -= b->m->centre[c];
            square += z[c] * z[c];
        }
        b->squares[r] = square;
    }
    return TAMIS_OK;
}

/* Any point near the mean will do. */
static void choose_centre(const block *b)
{
    uint64_t columns = b->m->columns;
    for (uint64_t r = 0; r < b->rows; r++)
        for (uint64_t c = 0; c < columns; c++) b->m->centre[c] += b->values[r * columns + c];
    for (uint64_t c = 0; c < columns; c++) b->m->centre[c] /= (double)b->rows;
}

static void add_columns(const block *b, uint64_t first, uint64_t n)
{
    for (uint64_t r = 0; r < b->rows; r++) {
        const double *z = b->values + r * b->m->columns + first;
        for (uint64_t c = 0; c < n; c++) {
            b->m->sum[first + c] += z[c];
            b->m->third[first + c] += b->squares[r] * z[c];
        }
    }
}

/* Tiles of the triangle, row by row. */
static tamis_status add_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot, (void)worker;
    const block *b = arg;
    uint64_t row = 0, columns = b->m->columns;
    for (; item > row; row++) item -= row + 1;
    uint64_t i = row * TILE, j = item * TILE, n = smaller(TILE, columns - i);
    if (i == j) add_columns(b, i, n);
    return tamis__dgemm(true, false, n, smaller(TILE, columns - j), b->rows, 1.0, b->values + i,
                        columns, b->values + j, columns, 1.0, b->m->scatter + i * columns + j,
                        columns, err);
}

static tamis_status add_block(block *b, tamis_error *err)
{
    tamis__pool *pool = b->context->pool;
    uint64_t tiles = (b->m->columns + TILE - 1) / TILE;
    uint64_t pieces = (b->rows + READ_ROWS - 1) / READ_ROWS;
    tamis__pipeline fill = {.arg = b, .items = pieces, .work = read_some},
                    centre = {.arg = b, .items = pieces, .work = centre_some},
                    add = {.arg = b, .items = tiles * (tiles + 1) / 2, .work = add_tile};
    TAMIS_TRY(tamis__pool_run(pool, &fill, err));
    if (b->m->rows == 0) choose_centre(b);
    TAMIS_TRY(tamis__pool_run(pool, &centre, err));
    TAMIS_TRY(tamis__pool_run(pool, &add, err));
    for (uint64_t r = 0; r < b->rows; r++) b->m->fourth += b->squares[r] * b->squares[r];
    b->m->rows += b->rows;
    return TAMIS_OK;
}

static tamis_status add_rows(block *b, tamis_error *err)
{
    uint64_t total = tamis_store_info_get(b->store)->rows;
    for (; b->first < total; b->first += b->rows) {
        b->rows = smaller(ROW_BLOCK, total - b->first);
        TAMIS_TRY(add_block(b, err));
        TAMIS_TRY(tamis__progress(b->context, "covariance", b->first + b->rows, total, "rows", NULL,
                                  err));
    }
    return TAMIS_OK;
}

static tamis_status check_sums(const block *b, tamis_error *err)
{
    if (isfinite(b->m->fourth)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': the sum of the fourth powers of its rows' norms is not finite: the "
                       "rows are too large, scale them",
                       tamis_store_path(b->store));
}

tamis_status tamis__scatter_add(tamis__scatter *moments, tamis_context *context,
                                const tamis_store *store, tamis_error *err)
{
    block b = {.m = moments, .context = context, .store = store};
    size_t workers = tamis_context_threads(context);
    b.values = tamis__aligned(ROW_BLOCK * moments->columns, sizeof *b.values);
    b.squares = tamis__aligned(ROW_BLOCK, sizeof *b.squares);
    b.scratch = tamis__aligned(workers * READ_ROWS * moments->columns, sizeof *b.scratch);
    tamis_status status = TAMIS_OK;
    if (!b.values || !b.squares || !b.scratch) {
        status = tamis__fail_memory(err, "a block of rows",
                                    tamis__scatter_add_bytes(context, moments->columns));
    } else {
        tamis__blas_begin();
        status = add_rows(&b, err);
        tamis__blas_end();
    }
    free(b.values);
    free(b.squares);
    free(b.scratch);
    return status == TAMIS_OK ? check_sums(&b, err) : status;
}

/* --- another centre --------------------------------------------------------------------------- */

static double dot(const double *x, const double *y, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* With d from the old centre to the new one, z - d in place of z:
 *     |z - d|^2 = |z|^2 - 2 d.z + |d|^2
 * and the sums of its products with itself and with z - d, term by term. */
static void move_by(tamis__scatter *m, const double *d)
{
    uint64_t p = m->columns;
    double n = (double)m->rows, dd = dot(d, d, p), ds = dot(d, m->sum, p), trace = 0, dsd = 0;
    double dt = dot(d, m->third, p);
    for (uint64_t i = 0; i < p; i++) trace += m->scatter[i * p + i];
    for (uint64_t i = 0; i < p; i++) {
        double sd = dot(m->scatter + i * p, d, p);
        dsd += d[i] * sd;
        m->third[i] += dd * m->sum[i] - 2 * sd - d[i] * (trace - 2 * ds + n * dd);
    }
    m->fourth += 4 * dsd + n * dd * dd - 4 * dt + 2 * dd * trace - 4 * dd * ds;
    for (uint64_t i = 0; i < p; i++)
        for (uint64_t j = 0; j <= i; j++)
            m->scatter[i * p + j] += n * d[i] * d[j] - d[i] * m->sum[j] - m->sum[i] * d[j];
    for (uint64_t i = 0; i < p; i++) m->sum[i] -= n * d[i];
    tamis__mirror(m->scatter, p);
    /* Of squares: what is below zero is rounding. */
    if (m->fourth < 0) m->fourth = 0;
}

void tamis__scatter_move(tamis__scatter *moments, const double *mean)
{
    for (uint64_t i = 0; i < moments->columns; i++)
        moments->offset[i] = mean[i] - moments->centre[i];
    move_by(moments, moments->offset);
    memcpy(moments->centre, mean, moments->columns * sizeof *mean);
}

void tamis__scatter_centre(tamis__scatter *moments)
{
    uint64_t p = moments->columns;
    tamis__mirror(moments->scatter, p);
    for (uint64_t i = 0; i < p; i++) moments->offset[i] = moments->sum[i] / (double)moments->rows;
    move_by(moments, moments->offset);
    for (uint64_t i = 0; i < p; i++) moments->centre[i] += moments->offset[i];
    memset(moments->sum, 0, p * sizeof *moments->sum);
}

void tamis__scatter_join(tamis__scatter *moments, const tamis__scatter *other)
{
    uint64_t p = moments->columns;
    for (uint64_t i = 0; i < p; i++) {
        moments->sum[i] += other->sum[i];
        moments->third[i] += other->third[i];
    }
    for (uint64_t i = 0; i < p * p; i++) moments->scatter[i] += other->scatter[i];
    moments->fourth += other->fourth;
    moments->rows += other->rows;
}
