/* A curvature while it is fitted. Between the files fit*.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_FIT_H
#define TAMIS_CURVATURE_FIT_H

#include "curvature/kronecker.h"

/* Layers are fitted in groups, as many together as fit memory; the groups change no bit. */
typedef struct tamis__fit {
    tamis_context *context;
    const tamis_fit_curvature_params *params;
    tamis_curvature_info info; /* of the output */
    tamis_store *second;       /* that Lambda is summed over; NULL = it is not */
    uint32_t train_checkpoint, second_checkpoint;
    tamis__store_tokens train_tokens, second_tokens; /* of stores in factor form */
    bool sides, lambda;                              /* what layers have */
    uint64_t capacity; /* tokens of the largest block of either store */
    uint64_t fixed;    /* bytes that are taken whatever the group */

    tamis__kronecker *factors; /* [layers]; those of the group are there */
    uint32_t first, n;         /* the group */
    double *gram;              /* [columns, columns]; kind gram */
    tamis_curvature_stage at;  /* what the sums in memory are */
    uint64_t next_row;         /* the first that is not in them */
    bool whole;                /* the sums are as these say: they can be saved */

    tamis__curvature_writer *writer;
    tamis__curvature_place place; /* of the array that was written last */
    bool started;

    /* The state beside the output, with `resume`. */
    char *state_path;   /* NULL = none */
    uint64_t key;       /* what decides the result */
    double interval;    /* seconds between two states at least */
    double saved, took; /* when the last one was written, and for how long */
} tamis__fit;

/* tamis_fit_curvature() with the least seconds between two states. */
tamis_status tamis__fit_curvature(tamis_context *context, const tamis_fit_curvature_params *params,
                                  double interval, tamis_error *err);

/* --- fit_check.c ------------------------------------------------------------------------------ */

/* Look at the parameters, and fill in info, second, checkpoints, sides and lambda. Warns. */
tamis_status tamis__fit_check(tamis__fit *fit, tamis_error *err);

/* Layers from fit->first on that fit memory together. NOMEM when the first does not. */
tamis_status tamis__fit_plan(const tamis__fit *fit, uint32_t *ret_n, tamis_error *err);

/* Bytes that these layers need; *ret_buffers is what memory leaves for blocks of tokens. */
uint64_t tamis__fit_bytes(const tamis__fit *fit, uint32_t first, uint32_t n);

/* NUMERIC when every eigenvalue of a layer of the group, or of the matrix, is zero. */
tamis_status tamis__fit_refuse_zero(const tamis__fit *fit, tamis_error *err);

/* --- fit_state.c ------------------------------------------------------------------------------ */

/* Go on from the state beside the output, when there is one: finished layers go to the writer, the
 * group's sums to memory. *ret_found is false when there is none. Errors: SHAPE (of another fit),
 * FORMAT, IO, NOMEM. */
tamis_status tamis__fit_resume(tamis__fit *fit, bool *ret_found, tamis_error *err);

/* Write the state now, or when it is time. With `closed` the group's layers are finished. */
tamis_status tamis__fit_save(tamis__fit *fit, bool closed, tamis_error *err);
bool tamis__fit_due(const tamis__fit *fit);

/* The output is there. */
void tamis__fit_forget(const tamis__fit *fit);

/* --- fit.c ------------------------------------------------------------------------------------ */

/* Memory for the group. */
tamis_status tamis__fit_open_group(tamis__fit *fit, uint32_t n, tamis_error *err);

/* An array of the layers in memory. */
double *tamis__fit_array(const tamis__fit *fit, const tamis__curvature_place *place);

/* --- diagonal.c ------------------------------------------------------------------------------- */

/* Add the squares of rows of a store in full form to the Lambda of the pass's layers; pass->tokens
 * is not looked at. Errors as tamis__pass_lambda(). */
tamis_status tamis__pass_diagonal(const tamis__pass *pass, const tamis_store *store,
                                  uint32_t checkpoint, tamis_error *err);
uint64_t tamis__pass_diagonal_bytes(const tamis_context *context);

#endif
