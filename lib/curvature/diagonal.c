/* Sums of squares of every column of a store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/fit.h"

/* A piece of the columns is one thread's, and its rows come in order: the sizes change no bit. */
enum { ROW_BLOCK = 256, PIECE = 4096, READ_ROWS = 16 };

typedef struct squares {
    const tamis__pass *pass;
    const tamis_store *store;
    uint32_t checkpoint;
    uint64_t first, rows;
    float *scratch; /* [worker, READ_ROWS, PIECE] */
} squares;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t pieces_of(const tamis__kronecker *f)
{
    return (tamis_layer_columns(&f->layer) + PIECE - 1) / PIECE;
}

static tamis_status add_piece(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    const squares *s = arg;
    const tamis__kronecker *f = s->pass->factors;
    for (; item >= pieces_of(f); f++) item -= pieces_of(f);
    uint64_t at = item * PIECE, columns = smaller(PIECE, tamis_layer_columns(&f->layer) - at);
    float *x = s->scratch + (size_t)worker * READ_ROWS * PIECE;
    double *sum = f->lambda + at;
    for (uint64_t i = 0; i < s->rows; i += READ_ROWS) {
        uint64_t n = smaller(READ_ROWS, s->rows - i);
        TAMIS_TRY(tamis_store_read(s->store, s->checkpoint, s->first + i, n,
                                   f->layer.first_column + at, columns, x, columns, err));
        for (uint64_t r = 0; r < n; r++)
            for (uint64_t c = 0; c < columns; c++)
                sum[c] += (double)x[r * columns + c] * (double)x[r * columns + c];
    }
    return TAMIS_OK;
}

static tamis_status add_blocks(squares *s, tamis_error *err)
{
    const tamis__pass *p = s->pass;
    uint64_t pieces = 0, total = tamis_store_info_get(s->store)->rows;
    for (uint32_t l = 0; l < p->n; l++) pieces += pieces_of(&p->factors[l]);
    tamis__pipeline run = {.arg = s, .items = pieces, .work = add_piece};
    for (s->first = p->first_row; s->first < total; s->first += s->rows) {
        s->rows = smaller(ROW_BLOCK, total - s->first);
        TAMIS_TRY(tamis__pool_run(p->context->pool, &run, err));
        if (p->after) TAMIS_TRY(p->after(p->arg, s->first + s->rows, err));
        TAMIS_TRY(
            tamis__progress(p->context, p->phase, s->first + s->rows, total, "rows", p->note, err));
    }
    return TAMIS_OK;
}

uint64_t tamis__pass_diagonal_bytes(const tamis_context *context)
{
    return tamis_context_threads(context) * (uint64_t)READ_ROWS * PIECE * sizeof(float);
}

tamis_status tamis__pass_diagonal(const tamis__pass *pass, const tamis_store *store,
                                  uint32_t checkpoint, tamis_error *err)
{
    squares s = {.pass = pass, .store = store, .checkpoint = checkpoint};
    uint64_t bytes = tamis__pass_diagonal_bytes(pass->context);
    s.scratch = tamis__malloc(bytes, 1);
    if (!s.scratch) return tamis__fail_memory(err, "a block of rows", bytes);
    tamis_status status = add_blocks(&s, err);
    free(s.scratch);
    TAMIS_TRY(status);
    for (uint32_t l = 0; l < pass->n; l++) {
        const tamis__kronecker *f = &pass->factors[l];
        for (uint64_t i = 0; i < tamis_layer_columns(&f->layer); i++)
            if (!isfinite(f->lambda[i]))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "'%s': layer '%s': the sum of squares of column %llu is not "
                                   "finite: a row is not, or is too large",
                                   tamis_store_path(store), f->layer.name, (unsigned long long)i);
    }
    return TAMIS_OK;
}
