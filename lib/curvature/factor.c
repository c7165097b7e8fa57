/* What a Cholesky factor of a range of columns does to rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/factor.h"

#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* Part of the result's last bits. */
enum { ROW_BLOCK = 64 };

typedef struct job {
    const tamis__rows *r;
    const double *l;
    uint64_t rows; /* in all */

    double *squares; /* NULL = solve */
    double factor;
    float *out;
    size_t stride;

    float *scratch; /* [worker, ROW_BLOCK, columns] */
    double *values; /* the same */
} job;

static uint64_t rows_of(const job *j, uint64_t first)
{
    return j->rows - first < ROW_BLOCK ? j->rows - first : ROW_BLOCK;
}

static tamis_status norms(const job *j, uint64_t first, uint64_t rows, double *x, tamis_error *err)
{
    uint64_t columns = j->r->columns;
    TAMIS_TRY(tamis__triangular_solve(columns, rows, j->l, columns, x, columns, err));
    for (uint64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (uint64_t c = 0; c < columns; c++) sum += x[i * columns + c] * x[i * columns + c];
        j->squares[first + i] += sum;
    }
    return TAMIS_OK;
}

static tamis_status solve(const job *j, uint64_t first, uint64_t rows, double *x, tamis_error *err)
{
    uint64_t columns = j->r->columns;
    TAMIS_TRY(tamis__cholesky_solve(columns, rows, j->l, columns, x, columns, err));
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t c = 0; c < columns; c++)
            j->out[(first + i) * j->stride + c] = (float)(j->factor * x[i * columns + c]);
    return TAMIS_OK;
}

static tamis_status do_rows(void *arg, uint64_t item, unsigned slot, unsigned worker,
                            tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    uint64_t first = item * ROW_BLOCK, rows = rows_of(j, first), columns = j->r->columns;
    double *x = j->values + worker * ROW_BLOCK * columns;
    float *scratch = j->scratch + worker * ROW_BLOCK * columns;
    TAMIS_TRY(tamis__rows_read(j->r, first, rows, 0, columns, scratch, x, err));
    return j->squares ? norms(j, first, rows, x, err) : solve(j, first, rows, x, err);
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    uint64_t first = item * ROW_BLOCK;
    return tamis__progress(j->r->context, j->r->phase, first + rows_of(j, first), j->rows, "rows",
                           NULL, err);
}

static tamis_status run(job *j, tamis_error *err)
{
    size_t n = (size_t)tamis_context_threads(j->r->context) * ROW_BLOCK * j->r->columns;
    tamis_status status = TAMIS_OK;
    TAMIS_TRY(tamis__rows_memory(j->r, n * (sizeof(float) + sizeof(double)), "whitening", err));
    j->rows = tamis_store_info_get(j->r->store)->rows;
    j->scratch = tamis__aligned(n, sizeof *j->scratch);
    j->values = tamis__aligned(n, sizeof *j->values);
    if (!j->scratch || !j->values) {
        status = tamis__fail_memory(err, "a block of rows", n * sizeof *j->values);
    } else {
        tamis__pipeline p = {.arg = j,
                             .items = (j->rows + ROW_BLOCK - 1) / ROW_BLOCK,
                             .work = do_rows,
                             .consume = tell};
        tamis__blas_begin();
        status = tamis__pool_run(j->r->context->pool, &p, err);
        tamis__blas_end();
    }
    free(j->scratch);
    free(j->values);
    return status;
}

tamis_status tamis__factor_norms(const tamis__rows *r, const double *l, double *ret_squares,
                                 tamis_error *err)
{
    job j = {.r = r, .l = l, .squares = ret_squares};
    return run(&j, err);
}

tamis_status tamis__factor_solve(const tamis__rows *r, const double *l, double factor, float *out,
                                 size_t stride, tamis_error *err)
{
    job j = {.r = r, .l = l, .factor = factor, .out = out, .stride = stride};
    return run(&j, err);
}
