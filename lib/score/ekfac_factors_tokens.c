/* Tokens of a store of factors: which make up an item, and their factors in the eigenbasis.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "score/ekfac_factors.h"

void tamis__factor_tokens_fini(tamis__factor_tokens *tokens)
{
    free(tokens->own);
    free(tokens->run);
    free(tokens->weight);
    *tokens = (tamis__factor_tokens){0};
}

tamis_status tamis__factor_tokens_of_store(tamis__factor_tokens *ret_tokens, tamis_store *store,
                                           uint32_t checkpoint, bool each, tamis_error *err)
{
    const uint64_t *offset = NULL, rows = tamis_store_info_get(store)->rows;
    TAMIS_TRY(tamis_store_tokens(store, checkpoint, &offset, err));
    tamis__factor_tokens t = {.store = store, .checkpoint = checkpoint, .tokens = offset[rows]};
    t.offset = offset;
    t.items = each ? t.tokens : rows;
    t.first = each ? NULL : offset;
    t.run = tamis__calloc(1, sizeof *t.run);
    if (!t.run) return tamis__fail_memory(err, "tokens", sizeof *t.run);
    *t.run = (tamis__factor_token_run){.n = t.tokens};
    t.runs = t.tokens > 0;
    *ret_tokens = t;
    return TAMIS_OK;
}

/* Rows by item, in their order within it: place[item] is where the next one goes. */
static void sort_rows(const uint64_t *of, uint64_t rows, uint64_t *place, uint64_t *ret_order)
{
    for (uint64_t i = 0; i < rows; i++)
        if (of[i] != UINT64_MAX) ret_order[place[of[i]]++] = i;
}

static void add_run(tamis__factor_tokens *t, uint64_t token, uint64_t n)
{
    tamis__factor_token_run *last = t->runs ? &t->run[t->runs - 1] : NULL;
    if (n == 0) return;
    if (last && last->token + last->n == token)
        last->n += n;
    else
        t->run[t->runs++] = (tamis__factor_token_run){t->tokens, token, n};
    t->tokens += n;
}

static void gather(tamis__factor_tokens *t, const uint64_t *offset, uint64_t rows,
                   const uint64_t *of, uint64_t *order, uint64_t *place)
{
    for (uint64_t i = 0; i < rows; i++)
        if (of[i] != UINT64_MAX) place[of[i] + 1]++;
    for (uint64_t i = 0; i < t->items; i++) place[i + 1] += place[i];
    sort_rows(of, rows, place, order); /* now place[item] is where the item ends */
    for (uint64_t item = 0, at = 0; item < t->items; item++) {
        t->own[item] = t->tokens;
        for (; at < place[item]; at++)
            add_run(t, offset[order[at]], offset[order[at] + 1] - offset[order[at]]);
    }
    t->own[t->items] = t->tokens;
}

tamis_status tamis__factor_tokens_gather(tamis__factor_tokens *ret_tokens, tamis_store *store,
                                         uint32_t checkpoint, uint64_t items, const uint64_t *of,
                                         const double *size, tamis_error *err)
{
    const uint64_t *offset = NULL, rows = tamis_store_info_get(store)->rows;
    tamis__factor_tokens t = {.store = store, .checkpoint = checkpoint, .items = items};
    TAMIS_TRY(tamis_store_tokens(store, checkpoint, &offset, err));
    t.offset = offset;
    uint64_t *order = tamis__malloc(rows, sizeof *order);
    uint64_t *place = tamis__calloc(items + 1, sizeof *place);
    t.own = tamis__malloc(items + 1, sizeof *t.own);
    t.run = tamis__malloc(rows, sizeof *t.run);
    t.weight = tamis__malloc(items, sizeof *t.weight);
    tamis_status status = TAMIS_OK;
    if (!order || !place || !t.own || !t.run || !t.weight)
        status = tamis__fail_memory(err, "tokens of queries", rows * sizeof *t.run);
    if (status == TAMIS_OK) {
        for (uint64_t i = 0; i < items; i++) t.weight[i] = size ? 1.0 / size[i] : 1.0;
        gather(&t, offset, rows, of, order, place);
        t.first = t.own;
    }
    free(order);
    free(place);
    if (status != TAMIS_OK)
        tamis__factor_tokens_fini(&t);
    else
        *ret_tokens = t;
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The run that holds the token at this place. */
static size_t find_run(const tamis__factor_tokens *t, uint64_t at)
{
    size_t low = 0, high = t->runs;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (t->run[middle].at <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* One side of tokens as it is stored. */
static tamis_status read_side(const tamis__factor_tokens *t, uint32_t layer, bool outputs,
                              uint64_t first, uint64_t n, size_t width, float *out,
                              tamis_error *err)
{
    for (size_t r = find_run(t, first); n > 0; r++) {
        const tamis__factor_token_run *run = &t->run[r];
        uint64_t skip = first - run->at, some = run->n - skip < n ? run->n - skip : n;
        TAMIS_TRY(tamis_store_read_factors(t->store, t->checkpoint, layer, run->token + skip, some,
                                           outputs ? NULL : out, width, outputs ? out : NULL, width,
                                           err));
        out += some * width;
        first += some;
        n -= some;
    }
    return TAMIS_OK;
}

static tamis_status rotate_side(const tamis__factor_tokens *t, const tamis__factor_layer *layer,
                                bool outputs, uint64_t first, uint64_t n, double *scratch,
                                float *out, tamis_error *err)
{
    const tamis__spectrum *s = layer->spectrum;
    const tamis__basis *basis = outputs ? &s->output : &s->input;
    size_t width = outputs ? s->out : s->in, values = n * width;
    TAMIS_TRY(read_side(t, layer->index, outputs, first, n, width, out, err));
    if (basis->blocks == 0) return TAMIS_OK;
    double *wide = scratch, *turned = scratch + values;
    for (size_t i = 0; i < values; i++) wide[i] = (double)out[i];
    tamis__basis_rotate(basis, false, n, wide, width, turned, width);
    for (size_t i = 0; i < values; i++) out[i] = (float)turned[i];
    return TAMIS_OK;
}

uint64_t tamis__rotate_scratch(const tamis__factor_layer *layer)
{
    return 2 * TAMIS__TOKEN_CHUNK * layer->x;
}

tamis_status tamis__factor_tokens_rotate(const tamis__factor_tokens *tokens,
                                         const tamis__factor_layer *layer, uint64_t first,
                                         uint64_t n, double *scratch, float *x, float *y,
                                         tamis_error *err)
{
    TAMIS_TRY(rotate_side(tokens, layer, layer->swapped, first, n, scratch, x, err));
    return rotate_side(tokens, layer, !layer->swapped, first, n, scratch, y, err);
}
