/* Pseudo-gradients as the sums over tokens see them: pairs of a layer's input and the gradient of
 * its output, in double, in blocks of whole rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_TOKENS_H
#define TAMIS_CURVATURE_TOKENS_H

#include <stdbool.h>
#include <tamis/store.h>

typedef struct tamis__tokens {
    uint64_t rows;
    uint32_t rows_per_example; /* rows that share their inputs: those of one example, one a class */
    const uint64_t *offset;    /* [rows + 1] first token of every row */
    void *arg;
    /* Inputs [tokens, in + bias] and output gradients [tokens, out] of a layer, without gaps;
     * either may be NULL. Called from several threads at once; no two calls have the same
     * `worker`. */
    tamis_status (*read)(void *arg, uint32_t layer, uint64_t first, uint64_t tokens, double *input,
                         double *output, unsigned worker, tamis_error *err);
} tamis__tokens;

/* Tokens of a block: part of the last bits of what is summed up. */
enum { TAMIS__TOKEN_BLOCK = 1024 };

/* Rows first .. first + rows - 1: as many as have no more tokens together than a block, at least
 * one.
 */
typedef struct tamis__token_block {
    uint64_t first, rows, first_token, tokens;
    bool single; /* no row has more than one token */
} tamis__token_block;
tamis__token_block tamis__tokens_block(const tamis__tokens *tokens, uint64_t first);

/* Tokens of the largest block. */
uint64_t tamis__tokens_capacity(const tamis__tokens *tokens);

/* Tokens of the first row of every example: what inputs are summed over. */
uint64_t tamis__tokens_count(const tamis__tokens *tokens);

/* --- of a store ------------------------------------------------------------------------------- */

typedef struct tamis__store_tokens {
    tamis__tokens tokens;
    tamis_store *store;
    uint32_t checkpoint;
    uint64_t widest;
    float *scratch; /* [worker, some tokens, widest] */
} tamis__store_tokens;

/* A store in factor form. Errors: FORMAT (rows are no whole examples), IO, NOMEM. */
tamis_status tamis__tokens_of_store(tamis__store_tokens *ret_tokens, tamis_context *context,
                                    tamis_store *store, uint32_t checkpoint, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__store_tokens_fini(tamis__store_tokens *tokens);

/* Bytes that it takes itself, for layers of this width. */
uint64_t tamis__store_tokens_bytes(const tamis_context *context, uint64_t widest);

#endif
