/* Rows of a store in the eigenbases of a curvature.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/eigen_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"

/* Tokens that are rotated together, if a row does not have more. Part of the result's last bits. */
enum { SPAN = 256 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- where rows come from --------------------------------------------------------------------- */

static void measure(tamis__eigen_rows *r)
{
    for (uint32_t l = 0; l < r->layers; l++) {
        const tamis__spectrum *s = &r->spectrum[l];
        r->widest = larger(r->widest, s->out * s->in);
        r->widest_side = larger(r->widest_side, larger(s->out, s->in));
    }
}

tamis_status tamis__eigen_rows_of_store(tamis__eigen_rows *ret_rows, tamis_store *store,
                                        uint32_t checkpoint, const tamis__spectrum *spectrum,
                                        tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    tamis__eigen_rows r = {.store = store,
                           .checkpoint = checkpoint,
                           .columns = info->columns,
                           .layers = info->layers,
                           .spectrum = spectrum};
    if (info->form == TAMIS_FORM_FACTORS)
        TAMIS_TRY(tamis_store_tokens(store, checkpoint, &r.offset, err));
    measure(&r);
    for (uint64_t i = 0; r.offset && i < info->rows; i++)
        r.tokens = larger(r.tokens, r.offset[i + 1] - r.offset[i]);
    if (r.offset) r.tokens = larger(r.tokens, SPAN);
    *ret_rows = r;
    return TAMIS_OK;
}

void tamis__eigen_rows_of_values(tamis__eigen_rows *ret_rows, const float *values, uint64_t columns,
                                 uint32_t layers, const tamis__spectrum *spectrum)
{
    *ret_rows = (tamis__eigen_rows){
        .values = values, .columns = columns, .layers = layers, .spectrum = spectrum};
    measure(ret_rows);
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t side_values(const tamis__eigen_rows *r)
{
    return r->offset ? r->tokens * r->widest_side : 0;
}

uint64_t tamis__eigen_work_bytes(const tamis__eigen_rows *r)
{
    uint64_t side = side_values(r), read = r->offset ? side : r->widest;
    return 3 * r->widest * sizeof(double) + 3 * side * sizeof(double) + read * sizeof(float);
}

tamis_status tamis__eigen_work_init(tamis__eigen_work *ret_work, const tamis__eigen_rows *r,
                                    tamis_error *err)
{
    uint64_t side = side_values(r);
    tamis__eigen_work work = {
        .read = tamis__aligned(r->offset ? side : r->widest, sizeof(float)),
        .v = tamis__aligned(r->widest, sizeof(double)),
        .scratch = tamis__aligned(r->widest, sizeof(double)),
        .z = tamis__aligned(r->widest, sizeof(double)),
        .raw = tamis__aligned(side, sizeof(double)),
        .input = tamis__aligned(side, sizeof(double)),
        .output = tamis__aligned(side, sizeof(double)),
    };
    if (work.read && work.v && work.scratch && work.z && work.raw && work.input && work.output) {
        *ret_work = work;
        return TAMIS_OK;
    }
    tamis__eigen_work_fini(&work);
    return tamis__fail_memory(err, "rows in the eigenbasis", tamis__eigen_work_bytes(r));
}

void tamis__eigen_work_fini(tamis__eigen_work *work)
{
    free(work->read);
    free(work->v);
    free(work->scratch);
    free(work->z);
    free(work->raw);
    free(work->input);
    free(work->output);
    *work = (tamis__eigen_work){0};
}

/* --- full form -------------------------------------------------------------------------------- */

static tamis_status read_row(const tamis__eigen_rows *r, tamis__eigen_work *work,
                             const tamis__spectrum *s, uint64_t row, tamis_error *err)
{
    uint64_t n = s->out * s->in, column = s->layer.first_column;
    const float *from = work->read;
    if (r->store)
        TAMIS_TRY(tamis_store_read(r->store, r->checkpoint, row, 1, column, n, work->read, n, err));
    else
        from = r->values + row * r->columns + column;
    for (uint64_t i = 0; i < n; i++) work->v[i] = (double)from[i];
    return TAMIS_OK;
}

/* --- factors ---------------------------------------------------------------------------------- */

/* How many rows from `first` on have SPAN tokens together; at least one row. */
static uint64_t span_of(const tamis__eigen_rows *r, uint64_t first, uint64_t rows)
{
    uint64_t n = 1;
    while (n < rows && r->offset[first + n + 1] - r->offset[first] <= SPAN) n++;
    return n;
}

static void widen(const float *from, double *to, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) to[i] = (double)from[i];
}

/* Inputs and output gradients of a span of rows, rotated. */
static tamis_status rotate_span(const tamis__eigen_rows *r, tamis__eigen_work *work, uint32_t layer,
                                uint64_t first, uint64_t rows, tamis_error *err)
{
    const tamis__spectrum *s = &r->spectrum[layer];
    uint64_t token = r->offset[first], n = r->offset[first + rows] - token;
    if (n == 0) return TAMIS_OK;
    TAMIS_TRY(tamis_store_read_factors(r->store, r->checkpoint, layer, token, n, work->read, s->in,
                                       NULL, s->out, err));
    widen(work->read, work->raw, n * s->in);
    tamis__basis_rotate(&s->input, false, n, work->raw, s->in, work->input, s->in);
    TAMIS_TRY(tamis_store_read_factors(r->store, r->checkpoint, layer, token, n, NULL, s->in,
                                       work->read, s->out, err));
    widen(work->read, work->raw, n * s->out);
    tamis__basis_rotate(&s->output, false, n, work->raw, s->out, work->output, s->out);
    return TAMIS_OK;
}

/* z = sum over tokens of g~ a~^T; a single token's needs no sum. */
static tamis_status expand(const tamis__spectrum *s, const double *g, const double *a,
                           uint64_t tokens, double *z, tamis_error *err)
{
    if (tokens != 1)
        return tamis__dgemm(true, false, s->out, s->in, tokens, 1.0, g, s->out, a, s->in, 0.0, z,
                            s->in, err);
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++) z[i * s->in + j] = g[i] * a[j];
    return TAMIS_OK;
}

static tamis_status visit_span(const tamis__eigen_rows *r, tamis__eigen_work *work, uint32_t layer,
                               uint64_t first, uint64_t rows, tamis__eigen_visit visit, void *arg,
                               tamis_error *err)
{
    const tamis__spectrum *s = &r->spectrum[layer];
    for (uint64_t i = first; i < first + rows; i++) {
        uint64_t at = r->offset[i] - r->offset[first], n = r->offset[i + 1] - r->offset[i];
        TAMIS_TRY(expand(s, work->output + at * s->out, work->input + at * s->in, n, work->z, err));
        TAMIS_TRY(visit(arg, i, work->z, err));
    }
    return TAMIS_OK;
}

/* --- either ----------------------------------------------------------------------------------- */

tamis_status tamis__eigen_rows_visit(const tamis__eigen_rows *r, tamis__eigen_work *work,
                                     uint32_t layer, uint64_t first, uint64_t rows,
                                     tamis__eigen_visit visit, void *arg, tamis_error *err)
{
    const tamis__spectrum *s = &r->spectrum[layer];
    for (uint64_t i = first, n = 1; i < first + rows; i += n) {
        if (r->offset) {
            n = span_of(r, i, first + rows - i);
            TAMIS_TRY(rotate_span(r, work, layer, i, n, err));
            TAMIS_TRY(visit_span(r, work, layer, i, n, visit, arg, err));
            continue;
        }
        TAMIS_TRY(read_row(r, work, s, i, err));
        tamis__basis_rotate_both(&s->output, &s->input, false, work->v, work->scratch, work->z);
        TAMIS_TRY(visit(arg, i, work->z, err));
    }
    return TAMIS_OK;
}

/* --- squares ---------------------------------------------------------------------------------- */

typedef struct squares {
    const tamis__spectrum *s;
    uint64_t first;
    double *sum;
} squares;

static tamis_status add_squares(void *arg, uint64_t row, double *z, tamis_error *err)
{
    (void)err;
    const squares *q = arg;
    uint64_t n = q->s->out * q->s->in;
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += z[i] * z[i] * q->s->inverse[i];
    q->sum[row - q->first] += sum;
    return TAMIS_OK;
}

static void square(double *x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) x[i] *= x[i];
}

/* One token a row: squares of an outer product are the outer product of squares. */
static tamis_status square_tokens(tamis__eigen_work *work, const tamis__spectrum *s, uint64_t n,
                                  double *sum, tamis_error *err)
{
    square(work->input, n * s->in);
    square(work->output, n * s->out);
    TAMIS_TRY(tamis__dgemm(false, false, n, s->in, s->out, 1.0, work->output, s->out, s->inverse,
                           s->in, 0.0, work->raw, s->in, err));
    for (uint64_t i = 0; i < n; i++) {
        double row = 0;
        for (uint64_t j = 0; j < s->in; j++)
            row += work->raw[i * s->in + j] * work->input[i * s->in + j];
        sum[i] += row;
    }
    return TAMIS_OK;
}

static bool single_tokens(const uint64_t *offset, uint64_t rows)
{
    for (uint64_t i = 0; i < rows; i++)
        if (offset[i + 1] - offset[i] != 1) return false;
    return true;
}

tamis_status tamis__eigen_rows_squares(const tamis__eigen_rows *r, tamis__eigen_work *work,
                                       uint32_t layer, uint64_t first, uint64_t rows,
                                       double *ret_sum, tamis_error *err)
{
    squares q = {.s = &r->spectrum[layer], .first = first, .sum = ret_sum};
    if (!r->offset)
        return tamis__eigen_rows_visit(r, work, layer, first, rows, add_squares, &q, err);
    for (uint64_t i = first, n = 1; i < first + rows; i += n) {
        n = span_of(r, i, first + rows - i);
        TAMIS_TRY(rotate_span(r, work, layer, i, n, err));
        if (single_tokens(r->offset + i, n))
            TAMIS_TRY(square_tokens(work, q.s, n, ret_sum + (i - first), err));
        else
            TAMIS_TRY(visit_span(r, work, layer, i, n, add_squares, &q, err));
    }
    return TAMIS_OK;
}
