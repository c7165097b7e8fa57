/* The parts of training.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_TRAIN_H
#define TAMIS_MODEL_TRAIN_H

#include "model/network.h"

/* --- training on some of the rows ------------------------------------------------------------- */

/* The rows that a model is trained on. */
typedef struct tamis__train_rows {
    const uint64_t *row; /* [rows] ascending */
    uint64_t rows;       /* > 0 */
    /* False: as if the data held these rows only. True: epochs go through all rows in the order
     * they have when none is left out, and a row that is left out leaves its place in the
     * mini-batch empty. What differs between two trainings with one seed is then that row, and not
     * every mini-batch. */
    bool in_place;
} tamis__train_rows;

/* As tamis_train(), on some rows (NULL: all). Loss and accuracy over all rows are worked out only
 * when asked for. ARG when a row does not exist. */
tamis_status tamis__train(tamis_model **ret_model, tamis_context *context,
                          const tamis_train_params *params, const tamis_data *data,
                          const tamis__train_rows *rows, tamis_fit *ret_fit, tamis_error *err);

/* --- initial weights -------------------------------------------------------------------------- */

/* Layer by layer, keyed by the layer, so that widening one layer leaves the numbers of the others'
 * streams alone. NOMEM. */
tamis_status tamis__initial_weights(const tamis__network *network, uint64_t seed, float *weights,
                                    tamis_error *err);

/* --- standardisation -------------------------------------------------------------------------- */

/* Mean and deviation (of the population) of every column over `rows` rows (`row` NULL: 0, 1, 2
 * ...), computed in double; the scale of a constant column is 1. */
tamis_status tamis__standardise(const tamis_data *data, const uint64_t *row, uint64_t rows,
                                float *ret_mean, float *ret_scale, tamis_error *err);

/* --- optimiser -------------------------------------------------------------------------------- */

typedef struct tamis__optimiser {
    tamis_optimizer kind;
    double learning_rate, momentum, weight_decay, beta1, beta2, epsilon;
    uint64_t step; /* steps done */
    float *first;  /* [parameters] velocity, or the mean of gradients */
    float *second; /* [parameters] mean of squared gradients; Adam only */
} tamis__optimiser;

tamis_status tamis__optimiser_init(tamis__optimiser *ret_optimiser,
                                   const tamis_train_params *params, uint64_t parameters,
                                   tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__optimiser_fini(tamis__optimiser *optimiser);
/* One step of all layers; weights and gradient are flat, by first_column. */
void tamis__optimiser_step(tamis__optimiser *optimiser, const tamis_layer *layer, uint32_t layers,
                           float *weights, const float *gradient);

/* --- gradient of a mini-batch ----------------------------------------------------------------- */

/* Rows of a part of a mini-batch: constant, so that the sums do not depend on the threads. */
#define TAMIS__PART_ROWS 64

/* Works out the gradient of mini-batches, split over the pool in parts. */
typedef struct tamis__stepper {
    tamis_context *context;
    const tamis_data *data;
    tamis__network network; /* weights point to what is trained */
    uint64_t parameters;
    unsigned threads, slots;
    tamis__batch *batches; /* [threads] */
    float *memory;         /* the gradient, then one for each slot */
    float **gradient;      /* [(1 + slots) * layers] */
    double *loss;          /* [slots] */
    uint64_t *correct;     /* [slots] */
    /* The mini-batch at hand. */
    const uint64_t *order;
    uint64_t first, rows;
    double total_loss;
    uint64_t total_correct;
} tamis__stepper;

uint64_t tamis__stepper_bytes(const tamis__network *network, uint64_t parameters, unsigned threads,
                              uint64_t batch);
/* `batch`: the most rows of a mini-batch. */
tamis_status tamis__stepper_init(tamis__stepper *ret_stepper, tamis_context *context,
                                 const tamis_data *data, const tamis__network *network,
                                 uint64_t parameters, uint64_t batch, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__stepper_fini(tamis__stepper *stepper);

/* Mean gradient over rows order[first .. first + rows - 1] into stepper->memory (flat); their loss
 * and hits into total_loss and total_correct. */
tamis_status tamis__stepper_gradient(tamis__stepper *stepper, const uint64_t *order, uint64_t first,
                                     uint64_t rows, tamis_error *err);

#endif
