/* Pseudo-gradients as the sums over tokens see them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/tokens.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

/* Read as floats at a time: they stay in a cache until they are doubles. */
enum { READ_TOKENS = 16 };

tamis__token_block tamis__tokens_block(const tamis__tokens *tokens, uint64_t first)
{
    const uint64_t *offset = tokens->offset;
    tamis__token_block b = {.first = first, .first_token = offset[first], .single = true};
    while (first + b.rows < tokens->rows) {
        uint64_t next = first + b.rows;
        if (b.rows && offset[next + 1] - b.first_token > TAMIS__TOKEN_BLOCK) break;
        b.single &= offset[next + 1] - offset[next] <= 1;
        b.rows++;
    }
    b.tokens = offset[first + b.rows] - b.first_token;
    return b;
}

uint64_t tamis__tokens_capacity(const tamis__tokens *tokens)
{
    uint64_t most = TAMIS__TOKEN_BLOCK, all = tokens->offset[tokens->rows] - tokens->offset[0];
    if (all < most) most = all;
    for (uint64_t i = 0; i < tokens->rows; i++) {
        uint64_t n = tokens->offset[i + 1] - tokens->offset[i];
        if (n > most) most = n;
    }
    return most ? most : 1;
}

uint64_t tamis__tokens_count(const tamis__tokens *tokens)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < tokens->rows; i += tokens->rows_per_example)
        n += tokens->offset[i + 1] - tokens->offset[i];
    return n;
}

/* --- of a store ------------------------------------------------------------------------------- */

static void widen(const float *from, double *to, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) to[i] = (double)from[i];
}

static tamis_status read_store(void *arg, uint32_t layer, uint64_t first, uint64_t tokens,
                               double *input, double *output, unsigned worker, tamis_error *err)
{
    const tamis__store_tokens *s = arg;
    const tamis_layer *l = &tamis_store_info_get(s->store)->layer[layer];
    uint64_t in = l->in + l->bias, out = l->out;
    float *x = s->scratch + worker * READ_TOKENS * s->widest;
    for (uint64_t t = 0; t < tokens; t += READ_TOKENS) {
        uint64_t n = tokens - t < READ_TOKENS ? tokens - t : READ_TOKENS;
        if (input) {
            TAMIS_TRY(tamis_store_read_factors(s->store, s->checkpoint, layer, first + t, n, x, in,
                                               NULL, 0, err));
            widen(x, input + t * in, n * in);
        }
        if (output) {
            TAMIS_TRY(tamis_store_read_factors(s->store, s->checkpoint, layer, first + t, n, NULL,
                                               0, x, out, err));
            widen(x, output + t * out, n * out);
        }
    }
    return TAMIS_OK;
}

uint64_t tamis__store_tokens_bytes(const tamis_context *context, uint64_t widest)
{
    return tamis_context_threads(context) * READ_TOKENS * widest * sizeof(float);
}

tamis_status tamis__tokens_of_store(tamis__store_tokens *ret_tokens, tamis_context *context,
                                    tamis_store *store, uint32_t checkpoint, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    tamis__store_tokens s = {.store = store, .checkpoint = checkpoint};
    s.tokens = (tamis__tokens){
        .rows = info->rows, .rows_per_example = info->rows_per_example, .read = read_store};
    TAMIS_TRY(tamis_store_tokens(store, checkpoint, &s.tokens.offset, err));
    if (info->rows_per_example == 0 || info->rows % info->rows_per_example != 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has %llu rows, which are no whole examples of %u rows each",
                           tamis_store_path(store), (unsigned long long)info->rows,
                           (unsigned)info->rows_per_example);
    for (uint32_t i = 0; i < info->layers; i++) {
        uint64_t in = info->layer[i].in + info->layer[i].bias, out = info->layer[i].out;
        if (in > s.widest) s.widest = in;
        if (out > s.widest) s.widest = out;
    }
    uint64_t bytes = tamis__store_tokens_bytes(context, s.widest);
    s.scratch = tamis__malloc(bytes, 1);
    if (!s.scratch) return tamis__fail_memory(err, "tokens", bytes);
    *ret_tokens = s;
    ret_tokens->tokens.arg = ret_tokens;
    return TAMIS_OK;
}

void tamis__store_tokens_fini(tamis__store_tokens *tokens)
{
    free(tokens->scratch);
    *tokens = (tamis__store_tokens){0};
}
