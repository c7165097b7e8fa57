/* A conversion as its files see it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CONVERT_JOB_H
#define TAMIS_CONVERT_JOB_H

#include <tamis/convert.h>

#include "model/choice.h"
#include "project/project.h"
#include "store/store_writer.h"

typedef struct tamis__convert_job {
    tamis_context *context;
    const tamis_convert_params *params;
    tamis_store *store;
    const tamis_store_info *info;
    tamis__choice checkpoints, layers; /* of the source */
    tamis_layer *kept;                 /* [layers.items], side by side */
    uint64_t kept_columns;
    tamis_layer projected; /* the only layer of projected rows */
    tamis_checkpoint *checkpoint;
    uint64_t columns; /* of the output */
    tamis_dtype dtype;
    tamis__kernels kernels;
    tamis__projector *projector; /* NULL = rows are not projected */
    bool whole;                  /* every layer stays */
    bool copy;                   /* rows go along bit for bit */
    tamis_form form;             /* of the output */
} tamis__convert_job;

/* "sparse:8192,nonzeros=4" for rows of `from` columns. Errors: ARG. */
tamis_status tamis__convert_parse(tamis__projection_spec *ret_spec, const char *text, uint64_t seed,
                                  uint64_t from, tamis_error *err);

/* Columns first .. first + columns - 1 of what stays of rows of a checkpoint, both counted in the
 * source; `stride` floats from row to row. */
tamis_status tamis__convert_read(const tamis__convert_job *job, uint32_t checkpoint,
                                 uint64_t first_row, uint64_t rows, uint64_t first,
                                 uint64_t columns, float *out, size_t stride, tamis_error *err);

/* What a thread needs to make rows: floats and the projection's scratch. */
typedef struct tamis__convert_worker {
    float *rows;      /* [batch, tile] */
    float *projected; /* [batch, columns] */
    void *scratch;
} tamis__convert_worker;

/* How rows go through a worker. */
typedef struct tamis__convert_batch {
    uint64_t rows; /* at a time */
    uint64_t tile; /* columns at a time: all, or a projection's */
} tamis__convert_batch;

tamis__convert_batch tamis__convert_batch_of(const tamis__convert_job *job, uint64_t rows);
uint64_t tamis__convert_worker_bytes(const tamis__convert_job *job, tamis__convert_batch batch);
tamis_status tamis__convert_worker_init(tamis__convert_worker *worker,
                                        const tamis__convert_job *job, tamis__convert_batch batch,
                                        tamis_error *err);
void tamis__convert_worker_fini(tamis__convert_worker *worker);

/* Rows of checkpoint number `k` of the chosen ones in the output's type, with their norms. */
tamis_status tamis__convert_rows(const tamis__convert_job *job, tamis__convert_worker *worker,
                                 tamis__convert_batch batch, uint32_t k, uint64_t first,
                                 uint64_t rows, void *stored, float *scale, float *norm,
                                 tamis_error *err);

/* Loss, margin and probability of the source at the chosen checkpoints, as far as they go along. */
enum {
    TAMIS__CONVERT_LOSS,
    TAMIS__CONVERT_MARGIN,
    TAMIS__CONVERT_PROBABILITY,
    TAMIS__CONVERT_OUTPUTS
};
typedef struct tamis__convert_outputs {
    float **all[TAMIS__CONVERT_OUTPUTS];        /* [checkpoints] of the whole store; NULL = none */
    const float **part[TAMIS__CONVERT_OUTPUTS]; /* [checkpoints] from a block's first row on */
} tamis__convert_outputs;

/* Loads them and says in the spec which there are. Free with _fini(), also after a failure. */
tamis_status tamis__convert_outputs_load(tamis__convert_outputs *outputs,
                                         const tamis__convert_job *job, tamis_store_spec *spec,
                                         tamis_error *err);
void tamis__convert_outputs_fini(tamis__convert_outputs *outputs, const tamis__convert_job *job);
/* Bytes of it, and of other things that are loaded for all rows at once. */
uint64_t tamis__convert_outputs_bytes(const tamis__convert_job *job);

/* The block's columns and outputs from row `first` of the source on. */
void tamis__convert_beside(tamis__convert_outputs *outputs, const tamis__convert_job *job,
                           uint64_t first, tamis__store_block *block);

/* Factors that stay factors: written to an open writer, which is committed. */
tamis_status tamis__convert_factors(const tamis__convert_job *job, tamis__convert_outputs *outputs,
                                    tamis_store_writer **writer, tamis_error *err);

/* Everything but the rows: plan, workers, writer. */
tamis_status tamis__convert_write(const tamis__convert_job *job, tamis_error *err);

/* Compare the new store with the source. */
tamis_status tamis__convert_compare(const tamis__convert_job *job, tamis_convert_report *report,
                                    tamis_error *err);

#endif
