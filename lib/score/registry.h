/* The scorers, listed once. A new one is a file that defines tamis__scorer_<name> and a line here.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_REGISTRY_H
#define TAMIS_SCORE_REGISTRY_H

#include <tamis/score.h>

#include "stream/engine.h"

/* In alphabetical order. */
#define TAMIS__SCORERS(X)                                                                          \
    X(cosine)                                                                                      \
    X(datainf)                                                                                     \
    X(diagonal)                                                                                    \
    X(ekfac)                                                                                       \
    X(grand)                                                                                       \
    X(inverse_gram)                                                                                \
    X(kfac)                                                                                        \
    X(knn_entropy)                                                                                 \
    X(lava)                                                                                        \
    X(less)                                                                                        \
    X(random)                                                                                      \
    X(self)                                                                                        \
    X(tracin)                                                                                      \
    X(trackstar)                                                                                   \
    X(trak)                                                                                        \
    X(whitened_distance)

typedef struct tamis__score_output tamis__score_output;

/* What a scorer is given. The stores fit together. */
typedef struct tamis__score_call {
    tamis_context *context;
    tamis_store *train, *query;         /* query NULL with TAMIS_SCORER_NO_QUERY */
    const tamis_curvature *curvature;   /* NULL without TAMIS_SCORER_CURVATURE */
    const tamis_candidates *candidates; /* NULL = every pair; the output drops the others itself, so
                                           this only saves work */
    tamis_score_by by;
    uint64_t top;                    /* lists so long are kept; 0 = a matrix */
    const tamis_param_value *values; /* one for each entry of the parameter table */
    double *weight;                  /* [checkpoints], for the scorer to fill in */
    uint64_t seed;                   /* of the run; for scorers that draw numbers */
    tamis__score_output *output;     /* where scores go */
    void **column_memory; /* what columns() leaves there is freed with free() afterwards */
} tamis__score_call;

typedef struct tamis__scorer_class {
    tamis_scorer_info info;
    size_t
        plain; /* TAMIS_SCORER_MAY_CURVATURE: so many parameters are those without a curvature, the
                     others those with one */
    /* The columns of the scores, asked for before anything is written: how many, and their ids and
     * other facts. Arrays belong to the stores, or to *call->column_memory. NULL, or *ret_n left 0
     * = one for each query, or a single one with TAMIS_SCORER_NO_QUERY. */
    tamis_status (*columns)(const tamis__score_call *call, tamis_examples *ret_columns,
                            uint64_t *ret_n, tamis_error *err);
    tamis_status (*run)(const tamis__score_call *call, tamis_error *err);
} tamis__scorer_class;

#define TAMIS__DECLARE_SCORER(name) extern const tamis__scorer_class tamis__scorer_##name;
TAMIS__SCORERS(TAMIS__DECLARE_SCORER)
#undef TAMIS__DECLARE_SCORER

/* How checkpoints are weighted: the choices of a `weights` parameter, in this order. */
enum { TAMIS__WEIGHTS_LEARNING_RATE, TAMIS__WEIGHTS_EQUAL, TAMIS__WEIGHTS_NORMALISED };
extern const char *const tamis__weights_choices[];
#define TAMIS__WEIGHTS_HELP                                                                        \
    "weight of a checkpoint: its learning rate, 1, or learning rates that sum to 1"

/* Fill in call->weight from the training store. */
tamis_status tamis__score_weights(const tamis__score_call *call, int choice, tamis_error *err);

/* Look at the norms of every training row, before anything else is done with them: rows that are
 * not finite, and with `direction` rows of zeros, are errors that name the row, or are left out of
 * the scores when the user asked for that (tamis__score_skipped()). */
tamis_status tamis__score_rows(const tamis__score_call *call, bool direction, tamis_error *err);

/* The same at one checkpoint, for scores that look at no other. */
tamis_status tamis__score_rows_at(const tamis__score_call *call, uint32_t checkpoint,
                                  tamis_error *err);

/* [rows], 1 = this row has no score and must not enter a sum over rows; NULL = none. */
const unsigned char *tamis__score_skipped(const tamis__score_call *call);

/* Run the engine into the call's output. The scorer fills in queries, weight, query_scale,
 * row_divisor, row_multiplier, bound and, in `reserved`, what it holds; the rest comes from the
 * call. Scores have one column for each query, or what the user's reduction makes of them. */
tamis_status tamis__score_product(const tamis__score_call *call, const tamis__product *product,
                                  tamis_error *err);

/* The same for queries that the scorer has put together by the output's groups itself, because what
 * it does to them is cheaper so (tamis__reduce_queries()). */
tamis_status tamis__score_reduced(const tamis__score_call *call, const tamis__product *product,
                                  tamis_error *err);

/* Parts of scores: query q goes to column q * apart + first. */
tamis_status tamis__score_part(const tamis__score_call *call, const tamis__product *product,
                               uint64_t first, uint64_t apart, tamis_error *err);

/* The same with one column: the largest of a row's scores over all queries. */
tamis_status tamis__score_best(const tamis__score_call *call, const tamis__product *product,
                               tamis_error *err);

/* [checkpoints] of [rows]: norms of the training rows, owned by the store; after
 * tamis__score_rows(). Not finite where a row is skipped. */
const float *const *tamis__score_norms(const tamis__score_call *call);

/* The next `rows` scores of a scorer with one column (TAMIS_SCORER_NO_QUERY), in row order. Rows
 * that are skipped are given as NaN. */
tamis_status tamis__score_put(const tamis__score_call *call, uint64_t first_row, uint64_t rows,
                              const float *values, tamis_error *err);

#endif
