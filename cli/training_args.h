/* Numbers of training, shared by train and evaluate.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_TRAINING_ARGS_H
#define TAMIS_CLI_TRAINING_ARGS_H

#include "session.h"

/* Rows of an option table; `args` is the command's struct, which has a field of each name. The
 * defaults in words, of all and of the learning rate; NULL = those of the command. */
#define TRAINING_OPTIONS(args, usual, usual_rate)                                                  \
    {.name = "epochs",                                                                             \
     .value = "N",                                                                                 \
     .help = "passes over the rows",                                                               \
     .type = OPT_UINT,                                                                             \
     .at = offsetof(args, epochs),                                                                 \
     .min = 1,                                                                                     \
     .max = 1e6,                                                                                   \
     .fallback = (usual)},                                                                         \
        {.name = "batch",                                                                          \
         .value = "N",                                                                             \
         .help = "rows a step",                                                                    \
         .type = OPT_UINT,                                                                         \
         .at = offsetof(args, batch),                                                              \
         .min = 1,                                                                                 \
         .max = 1e6,                                                                               \
         .fallback = (usual)},                                                                     \
        {.name = "learning-rate",                                                                  \
         .value = "X",                                                                             \
         .help = "step size",                                                                      \
         .type = OPT_REAL,                                                                         \
         .at = offsetof(args, learning_rate),                                                      \
         .flags = OPT_ABOVE,                                                                       \
         .min = 0,                                                                                 \
         .max = 1e6,                                                                               \
         .fallback = (usual_rate)},                                                                \
        {.name = "momentum",                                                                       \
         .value = "X",                                                                             \
         .help = "of sgd",                                                                         \
         .type = OPT_REAL,                                                                         \
         .at = offsetof(args, momentum),                                                           \
         .min = 0,                                                                                 \
         .max = 0.999999,                                                                          \
         .fallback = (usual)},                                                                     \
    {                                                                                              \
        .name = "weight-decay", .value = "X", .help = "L2 penalty on weights, not on biases",      \
        .type = OPT_REAL, .at = offsetof(args, weight_decay), .min = 0, .max = 1e6,                \
        .fallback = (usual)                                                                        \
    }

#endif
