/* The candidates nearest to each target, and how near a candidate is to any of them, barred ones apart.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/rules.h"
#include "select/tsds.h"
#include "stream/sinks.h"

static tamis_status put_best(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                             uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    float *best = arg;
    (void)first_query, (void)err;
    for (uint64_t r = 0; r < rows; r++) {
        float most = best[first_row + r];
        for (uint64_t q = 0; q < queries; q++)
            most = values[r * stride + q] > most ? values[r * stride + q] : most;
        best[first_row + r] = most;
    }
    return TAMIS_OK;
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

tamis_status tamis__tsds_lists(tamis__tarot *t, const uint8_t *standing, uint64_t k,
                               tamis_error *err)
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
        tamis__tee_add(&tee, (tamis__sink){.arg = t->best, .put = put_best});
    }
    tamis__unbarred unbarred = {standing, tamis__tee_of(&tee)};
    tamis_status status = tamis__tarot_multiply(t, &t->target.queries, 0,
                                                tamis__unbarred_of(&unbarred), err);
    if (status == TAMIS_OK) {
        t->has_best = true;
        status = take_lists(t, &top, err);
    }
    tamis__top_sink_fini(&top);
    return status;
}
