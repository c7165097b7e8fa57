/* The candidates nearest to each target, and how near a candidate is to any of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "select/tarot.h"
#include "stream/sinks.h"

/* What the engine multiplies. */
static tamis_status make(void *arg, uint64_t first, uint64_t rows, unsigned worker, float *out,
                         double *square, tamis_error *err)
{
    const tamis__tarot *t = arg;
    uint64_t p = t->columns;
    for (uint64_t i = 0; i < rows; i++) square[i] = 1.0;
    if (t->held) {
        memcpy(out, t->held + first * p, rows * p * sizeof *out);
        return TAMIS_OK;
    }
    for (uint64_t i = 0, n; i < rows; i += n) {
        n = rows - i < TAMIS__FEATURE_ROWS ? rows - i : TAMIS__FEATURE_ROWS;
        TAMIS_TRY(tamis__tarot_make(t, first + i, n, worker, out + i * p, err));
    }
    return TAMIS_OK;
}

static tamis_status put_best(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                             uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    tamis__tarot *t = arg;
    (void)first_query, (void)err;
    for (uint64_t r = 0; r < rows; r++) {
        const float *value = values + r * stride;
        float most = t->best[first_row + r];
        for (uint64_t q = 0; q < queries; q++) most = value[q] > most ? value[q] : most;
        t->best[first_row + r] = most;
    }
    return TAMIS_OK;
}

tamis_status tamis__tarot_multiply(tamis__tarot *t, const tamis__queries *queries,
                                   uint64_t reserved, tamis__sink sink, tamis_error *err)
{
    static const double one = 1.0;
    const tamis__row_maker maker = {.arg = t, .make = make};
    tamis__product product = {.context = t->context,
                              .train = t->train,
                              .queries = queries,
                              .weight = &one,
                              .bound = 1.0,
                              .maker = &maker,
                              .skip = t->skip,
                              .panel = TAMIS__PANEL_EXACT,
                              .reserved = t->bytes + reserved,
                              .sink = sink};
    tamis__blas_begin();
    tamis_status status = tamis__product_run(&product, NULL, err);
    tamis__blas_end();
    return status;
}

static tamis_status take_lists(tamis__tarot *t, tamis__top_sink *top, tamis_error *err)
{
    uint64_t *row = tamis__malloc(t->m * top->k, sizeof *row);
    float *score = tamis__malloc(t->m * top->k, sizeof *score);
    if (!row || !score) {
        free(row);
        free(score);
        return tamis__fail_memory(err, "lists", t->m * top->k * (sizeof *row + sizeof *score));
    }
    for (uint64_t q = 0; q < t->m; q++)
        tamis__top_sink_list(top, q, row + q * top->k, score + q * top->k);
    free(t->row);
    free(t->score);
    t->row = row;
    t->score = score;
    t->k = top->k;
    return TAMIS_OK;
}

tamis_status tamis__tarot_lists(tamis__tarot *t, uint64_t k, tamis_error *err)
{
    tamis__top_sink top = {0};
    tamis__tee tee = {0};
    uint64_t bytes = t->m * k * (sizeof(tamis__ranked) + sizeof *t->row + sizeof *t->score);
    TAMIS_TRY(tamis__memory_check(t->context, t->bytes + bytes,
                                  "lists of nearest rows (fewer with neighbours=K)", err));
    TAMIS_TRY(tamis__top_sink_init(&top, t->context, t->m, k, false, err));
    tamis__tee_add(&tee, tamis__top_sink_of(&top));
    if (!t->has_best) {
        for (uint64_t i = 0; i < t->n; i++) t->best[i] = -HUGE_VALF;
        tamis__tee_add(&tee, (tamis__sink){.arg = t, .put = put_best});
    }
    tamis_status status = tamis__tarot_multiply(t, &t->target.queries, 0, tamis__tee_of(&tee), err);
    if (status == TAMIS_OK) {
        t->has_best = true;
        status = take_lists(t, &top, err);
    }
    tamis__top_sink_fini(&top);
    return status;
}
