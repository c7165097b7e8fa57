/* What the parts of the product of factors share (ekfac_factors*.c).
 *
 * In the eigenbasis a layer has two sides, the inputs a~ and the output gradients g~ of tokens. The
 * wider one is called x, the other y. A query wants a list of terms of each layer, and a token's
 * score is the sum over layers and terms of
 *
 *     exact       y_j <x, w_j>          w_j row j of the query's weights V~ / (lambda + damping)
 *     low rank    <y, u_r> <x, v_r>     u_r v_r^T add up to nearly the weights
 *
 * so that either is made of products of tokens with panels of up to 64 terms. A token's score is a
 * function of the token's and the query's factors alone: nothing depends on what else is done at
 * once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_EKFAC_FACTORS_H
#define TAMIS_SCORE_EKFAC_FACTORS_H

#include "kernels/product.h"
#include "score/ekfac.h"
#include "score/output.h"

/* Tokens that are rotated together, and those of a query that are added up together, which are part
 * of the result's last bits; tokens that are multiplied with a panel at once; terms of a panel. */
enum {
    TAMIS__TOKEN_CHUNK = 128,
    TAMIS__TERM_SLICE = 128,
    TAMIS__TOKEN_BLOCK = 64,
    TAMIS__TERM_TILE = 64
};

/* --- tokens (ekfac_factors_tokens.c) ---------------------------------------------------------- */

/* Tokens of a store that follow one another in it. */
typedef struct tamis__factor_token_run {
    uint64_t at, token, n; /* place in our order, in the store, how many */
} tamis__factor_token_run;

/* A store's tokens in the order of the items that they make up: rows, tokens, or means of rows. */
typedef struct tamis__factor_tokens {
    const tamis_store *store;
    uint32_t checkpoint;
    uint64_t items, tokens;
    const uint64_t *offset; /* [rows + 1] the store's own */
    const uint64_t *first;  /* [items + 1] an item's first token; NULL = every token is an item */
    double *weight; /* [items]: the sum over an item's tokens is multiplied by it; NULL = 1 */
    tamis__factor_token_run *run; /* [runs] ascending in `at` */
    size_t runs;
    uint64_t *own; /* what `first` points to, where it is not the store's */
} tamis__factor_tokens;

/* Every row an item, or with `each` every token. */
tamis_status tamis__factor_tokens_of_store(tamis__factor_tokens *ret_tokens, tamis_store *store,
                                           uint32_t checkpoint, bool each, tamis_error *err);
/* Item of[row] has the rows that name it, divided by size[item] (NULL = 1); rows of UINT64_MAX are
 * in none. */
tamis_status tamis__factor_tokens_gather(tamis__factor_tokens *ret_tokens, tamis_store *store,
                                         uint32_t checkpoint, uint64_t items, const uint64_t *of,
                                         const double *size, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__factor_tokens_fini(tamis__factor_tokens *tokens);

static inline uint64_t tamis__factor_tokens_first(const tamis__factor_tokens *tokens, uint64_t item)
{
    return tokens->first ? tokens->first[item] : item;
}

/* --- layers (ekfac_factors_layer.c) ----------------------------------------------------------- */

typedef enum tamis__term_kind {
    TAMIS__TERMS_EXACT = 0,
    TAMIS__TERMS_SPECTRAL, /* the damped inverse spectrum by low rank, for each of the query's
                              tokens */
    TAMIS__TERMS_QUERY     /* the query's weights by low rank */
} tamis__term_kind;

typedef struct tamis__factor_layer {
    const tamis__spectrum *spectrum;
    uint32_t index;
    uint64_t x, y;            /* widths */
    bool swapped;             /* x is the side of the outputs */
    int exponent;             /* the inverse spectrum is multiplied by 2^-exponent */
    uint64_t spectral;        /* terms of a token; 0 = not by the spectrum */
    double *spectral_x;       /* [spectral, x], near 1 */
    double *spectral_y;       /* [spectral, y], near 1 at most */
    int spectral_exponent;    /* their products are to be multiplied by 2^this */
    uint64_t query;           /* terms of a query; 0 = not by the query */
    float *query_x, *query_y; /* [queries of the pass, query, x] and [.., y] */
    int *query_exponent;      /* [queries of the pass] */
    double *start; /* [width, x]: where singular vectors start from; NULL = all are found */
    uint64_t start_width;
} tamis__factor_layer;

/* Look at the layer's shape: a rank that saves nothing is not taken. No array is made yet. */
void tamis__factor_layer_init(tamis__factor_layer *ret_layer, const tamis__spectrum *spectrum,
                              uint32_t index, uint64_t spectral_rank, uint64_t query_rank);
/* Make what holds for all queries, on the calling thread. */
tamis_status tamis__factor_layer_ready(tamis__factor_layer *layer, uint64_t seed, tamis_error *err);
/* Bytes that this takes: what stays, and the most that there is meanwhile. */
uint64_t tamis__factor_layer_bytes(const tamis__factor_layer *layer, bool meanwhile);
/* Bytes of one query's own terms, and what making them takes. */
uint64_t tamis__factor_query_bytes(const tamis__factor_layer *layer, bool meanwhile);
void tamis__factor_layer_fini(tamis__factor_layer *layer);

/* What a query of so many tokens takes: the fewest operations; and how many terms that is. */
tamis__term_kind tamis__factor_layer_kind(const tamis__factor_layer *layer, uint64_t tokens);
uint64_t tamis__factor_layer_terms(const tamis__factor_layer *layer, tamis__term_kind kind,
                                   uint64_t tokens);

static inline double tamis__factor_layer_inverse(const tamis__factor_layer *layer, uint64_t i,
                                                 uint64_t j)
{
    return layer->swapped ? layer->spectrum->inverse[j * layer->spectrum->in + i]
                          : layer->spectrum->inverse[i * layer->spectrum->in + j];
}

/* Tokens first .. first + n - 1, all of one chunk, in the eigenbasis: x [n, layer x] and y [n,
 * layer y], without gaps. Between tamis__blas_begin() and _end(). `scratch` has room for
 * tamis__rotate_scratch() doubles. */
tamis_status tamis__factor_tokens_rotate(const tamis__factor_tokens *tokens,
                                         const tamis__factor_layer *layer, uint64_t first,
                                         uint64_t n, double *scratch, float *x, float *y,
                                         tamis_error *err);
uint64_t tamis__rotate_scratch(const tamis__factor_layer *layer);

/* --- a query's terms (ekfac_factors_terms.c) -------------------------------------------------- */

/* A query at a layer, in the eigenbasis. */
typedef struct tamis__factor_query {
    const float *x, *y; /* [tokens, layer x], [tokens, layer y] */
    uint64_t tokens;
    uint64_t index; /* within the pass */
    double weight;
    tamis__term_kind kind;
    uint64_t terms;
    int exponent;  /* numbers are scaled by a power of two, so as to be near 1 */
    double factor; /* what the terms' products are to be multiplied by */
} tamis__factor_query;

void tamis__factor_query_init(tamis__factor_query *query, const tamis__factor_layer *layer);

/* What term rows are made with; one thread's. */
typedef struct tamis__term_room {
    double *wide;   /* [TERM_TILE, MANY_STEP] */
    double *wide_x; /* [TERM_SLICE, MANY_STEP] */
    double *wide_y; /* [TERM_SLICE, TERM_TILE] */
} tamis__term_room;

/* Terms first .. first + n - 1, n <= TERM_TILE, at columns column .. column + columns - 1 of the
 * x side, or of the y side with `of_y` (low rank only); columns <= MANY_STEP. Rows have `stride`
 * floats. */
tamis_status tamis__factor_terms(const tamis__factor_layer *layer, const tamis__factor_query *query,
                                 bool of_y, uint64_t first, uint64_t n, uint64_t column,
                                 uint64_t columns, const tamis__term_room *room, float *out,
                                 size_t stride, tamis_error *err);

/* The same weights [y, x] whole and in double, not scaled but by 2^-query->exponent. */
tamis_status tamis__factor_weights(const tamis__factor_layer *layer,
                                   const tamis__factor_query *query, const tamis__term_room *room,
                                   double *ret_weights, tamis_error *err);

/* --- the run (ekfac_factors_run.c) ------------------------------------------------------------ */

/* Pairs of queries and rows. */
typedef struct tamis__factor_pairs {
    uint64_t *first; /* [queries + 1] */
    uint64_t *row;   /* [first[queries]] ascending within a query */
    double *value;   /* [first[queries]] their scores */
} tamis__factor_pairs;

typedef struct tamis__factor_product {
    const tamis__ekfac_job *job;
    bool exact; /* whatever the job says of ranks */
    const tamis__factor_tokens *train, *query;
    const unsigned char *skip; /* [training rows] no score: NaN; NULL = none */
    const uint64_t *row; /* [listed] ascending: the training rows that count, others may be given
                              with any score; NULL = all */
    uint64_t listed;
    uint64_t reserved;          /* bytes of the memory limit that are taken otherwise */
    uint64_t pass;              /* queries of a pass, as an earlier run had them; 0 = what fits */
    uint64_t first_item;        /* blocks of 256 items that the sink has, over all passes */
    tamis__sink sink;           /* columns: query, or query * layers + layer */
    tamis__factor_pairs *pairs; /* instead of the sink: only these */
    const char *phase;          /* of progress */
} tamis__factor_product;

/* The same bits for any number of threads, memory limit and sharding. Errors: NUMERIC (a score is
 * not finite), NOMEM (also when a query does not fit the memory limit), IO, CANCELLED, and the
 * sink's. */
tamis_status tamis__factor_product_run(const tamis__factor_product *product,
                                       tamis__product_report *ret_report, tamis_error *err);

#endif
