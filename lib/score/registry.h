/* The scorers, listed once. A new one is a file that defines tamis__scorer_<name> and a line here.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_REGISTRY_H
#define TAMIS_SCORE_REGISTRY_H

#include <tamis/score.h>

/* In alphabetical order. */
#define TAMIS__SCORERS(X)                                                                          \
    X(cosine)                                                                                      \
    X(self)                                                                                        \
    X(tracin)

/* What a scorer is given. The stores fit together. */
typedef struct tamis__score_call {
    tamis_context *context;
    tamis_store *train, *query;      /* query NULL with TAMIS_SCORER_NO_QUERY */
    const tamis_param_value *values; /* one for each entry of the parameter table */
    double *weight;                  /* [checkpoints], for the scorer to fill in */
    tamis_scores_writer *writer;
} tamis__score_call;

typedef struct tamis__scorer_class {
    tamis_scorer_info info;
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

/* Run the engine over the call's stores into its writer. */
tamis_status tamis__score_product(const tamis__score_call *call, bool unit, bool zero_scores_zero,
                                  tamis_error *err);

#endif
