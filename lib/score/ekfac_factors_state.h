/* The run of a product of factors, shared by ekfac_factors_run.c, _plan.c, _block.c and _give.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_EKFAC_FACTORS_STATE_H
#define TAMIS_SCORE_EKFAC_FACTORS_STATE_H

#include "kernels/row_dots.h"
#include "score/ekfac_factors.h"

/* Rows that the sink is given at once; tokens of a list of pairs that are copied together. */
enum { TAMIS__GIVE_ROWS = 256, TAMIS__GATHER = 1024 };

/* One thread's. */
typedef struct tamis__factor_worker {
    tamis__term_room room;
    float *narrow;           /* [TERM_TILE, MANY_STEP] terms on their way into a panel */
    unsigned char *panel[2]; /* of the x side and of the y side */
    double *sum[2];          /* [TOKEN_BLOCK, TERM_TILE] */
    float *gather[2];        /* [GATHER, x], [GATHER, y] of pairs; a chunk of queries on its way */
    double *scratch;         /* of rotations */
    double *weights; /* [y, x], and beside it [rank, y] and [rank, x]: queries by low rank */
} tamis__factor_worker;

/* Queries that are done together: one, or several whose terms fit one panel. */
typedef struct tamis__factor_bundle {
    uint64_t first, n;
} tamis__factor_bundle;

typedef struct tamis__factor_run {
    const tamis__factor_product *p;
    const tamis_context *context;
    const tamis__multiplier *mul;
    tamis__row_dots dots;
    tamis__factor_layer *layer; /* [layers] */
    uint32_t layers;
    uint64_t x, y;    /* the widest sides */
    uint64_t columns; /* of the scores, for each query */
    unsigned workers;
    tamis__factor_worker *worker; /* [workers] */

    uint64_t capacity; /* queries of a pass */
    uint64_t span;     /* tokens held at once, a multiple of the chunk */
    uint64_t room;     /* tokens of the queries of any pass, at most */

    /* Of the pass that is running. */
    uint64_t first_query, queries;
    float *query_x, *query_y; /* [tokens of the queries, x or y] at a layer */
    double *carry;            /* [queries * columns] of the row that the last span ended in */
    float *out;               /* [GIVE_ROWS, queries * columns] */
    uint64_t filled;          /* rows of `out` */
    uint64_t next_row;        /* the first that is not finished */
    uint64_t *cursor;         /* [capacity] pairs: the first that is not finished */
    uint64_t *place;          /* [capacity + 1] pairs: where a query's tokens of the span stand */

    /* Of the span that is held. */
    uint64_t first_token, tokens;
    float *train_x, *train_y; /* [tokens, x or y] at a layer */
    double *acc;              /* [queries * columns, span], of pairs [tokens wanted] */
    unsigned char *wanted;    /* [chunks] 1 = a query wants a token of it; NULL = all are wanted */

    /* Of the layer that is worked on. */
    const tamis__factor_layer *now;
    bool with_train;               /* loading: training tokens, or only queries */
    tamis__factor_bundle *bundle;  /* [capacity] */
    uint64_t bundles, parts, part; /* a bundle's tokens are split into parts of so many */
} tamis__factor_run;

static inline uint64_t tamis__least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t tamis__ceil_div(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit;
}

/* --- ekfac_factors_plan.c --------------------------------------------------------------------- */

/* Choose capacity and span so that everything fits the memory limit, and allocate. */
tamis_status tamis__factor_plan(tamis__factor_run *run, tamis_error *err);
void tamis__factor_plan_fini(tamis__factor_run *run);

/* --- ekfac_factors_block.c -------------------------------------------------------------------- */

/* A query of the pass at the layer that is loaded. */
tamis__factor_query tamis__factor_query_at(const tamis__factor_run *run, uint64_t query);

/* Scores of a bundle's queries with `tokens` tokens, added to acc[column * stride + token], column
 * counted from the bundle's first query. */
tamis_status tamis__factor_bundle_score(const tamis__factor_run *run,
                                        const tamis__factor_bundle *bundle,
                                        tamis__factor_worker *worker, const float *x,
                                        const float *y, uint64_t tokens, double *acc, size_t stride,
                                        tamis_error *err);

/* --- ekfac_factors_give.c --------------------------------------------------------------------- */

/* Which chunks of the span hold tokens of listed rows. False when none does. */
bool tamis__factor_want(tamis__factor_run *run);

/* All layers of the span are in `acc`: give finished rows to the sink. */
tamis_status tamis__factor_give(tamis__factor_run *run, tamis_error *err);

/* Pairs: where the span's wanted tokens stand; then their scores, once `acc` has all layers. */
void tamis__factor_pairs_begin(tamis__factor_run *run);
void tamis__factor_pairs_end(tamis__factor_run *run);
/* A query's wanted tokens of the span. */
tamis_status tamis__factor_pairs_score(const tamis__factor_run *run, uint64_t query,
                                       tamis__factor_worker *worker, tamis_error *err);

#endif
