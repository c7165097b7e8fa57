/* Rows that are made in f32 before they are stored: directions, projections, and rows of i8.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "model/factors.h"

/* Rows projected at once: enough that making the matrix is a small part. */
#define PROJECTED_ROWS 16

/* What a thread's scratch is cut into; each begins at a multiple of 64 bytes. */
typedef struct pieces {
    float *value;    /* [rows at once, run] */
    float *out;      /* [PROJECTED_ROWS, stored columns] */
    void *projector; /* its scratch */
    size_t bytes;
} pieces;

static size_t round_up(size_t n)
{
    return (n + 63) / 64 * 64;
}

/* Columns of a row that are there at once: all, or those that a projection takes. */
static uint64_t run_columns(const tamis__gradient_job *job)
{
    if (!job->projector || job->columns < TAMIS__PROJECTION_TILE) return job->columns;
    return TAMIS__PROJECTION_TILE;
}

static pieces cut(const tamis__gradient_job *job, unsigned char *scratch)
{
    pieces p = {0};
    size_t rows = job->projector ? PROJECTED_ROWS : 1, at = 0;
    size_t value = round_up(rows * (size_t)run_columns(job) * sizeof(float));
    p.value = (float *)(void *)(scratch + at);
    at += value;
    if (job->projector) {
        p.out = (float *)(void *)(scratch + at);
        at += round_up(rows * (size_t)job->stored * sizeof(float));
        p.projector = scratch + at;
        at += round_up(tamis__projector_scratch(job->projector, PROJECTED_ROWS));
    }
    p.bytes = at;
    return p;
}

uint64_t tamis__whole_scratch(const tamis__gradient_job *job)
{
    static unsigned char none[1];
    return tamis__job_whole_rows(job) ? cut(job, none).bytes : 0;
}

/* --- values ----------------------------------------------------------------------------------- */

/* Values at .. end - 1 of a layer's block of the gradient. */
static void fill_block(const tamis__gradient_job *job, const tamis_layer *layer, const float *input,
                       const float *delta, uint64_t at, uint64_t end, float *value)
{
    uint64_t in = tamis__input_stride(layer);
    for (uint64_t n = 0; at < end; at += n, value += n) {
        uint64_t o = at / in, j = at % in;
        n = in - j < end - at ? in - j : end - at;
        job->kernels.scale_f32(value, input + j, delta[o], (size_t)n);
    }
}

/* Columns first .. first + n - 1 of a row, as the direction. */
static void fill(const tamis__factors *factors, const tamis__gradient_job *job, uint32_t k,
                 uint64_t row, uint64_t first, uint64_t n, float *value)
{
    const tamis__moments *m = &job->moments;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *layer = &job->layer[i];
        uint64_t begin = layer->first_column, end = begin + tamis_layer_columns(layer);
        if (begin >= first + n || end <= first) continue;
        uint64_t from = begin > first ? begin : first, to = end < first + n ? end : first + n;
        size_t block = (size_t)k * job->layers.items + i;
        uint64_t at = row - factors->first, skip = from - begin;
        float *here = value + (from - first);
        fill_block(job, layer, factors->input[block] + at * tamis__input_stride(layer),
                   factors->delta[block] + at * layer->out, skip, to - begin, here);
        tamis__direction_apply(job->direction, m, m->first ? m->first[block] + skip : NULL,
                               m->second ? m->second[block] + skip : NULL, m->step ? m->step[k] : 0,
                               here, (size_t)(to - from));
    }
}

/* --- rows ------------------------------------------------------------------------------------- */

/* `*norm` is the gradient's, and stays when the row is the gradient. */
static tamis_status store_row(const tamis__gradient_job *job, uint32_t k, uint64_t row,
                              const float *value, void *stored, float *scale, float *norm,
                              tamis_error *err)
{
    size_t n = (size_t)job->stored;
    bool gradient = !job->projector && job->direction == TAMIS_DIRECTION_GRADIENT;
    const char *what = job->projector ? "projected row" : gradient ? "gradient" : "direction";
    if (!gradient) *norm = (float)sqrt(job->kernels.sum_squares(value, n));
    if (!isfinite(*norm)) return tamis__row_refused(job, what, k, row, false, err);
    if (tamis__row_overflows(job->dtype, value, n))
        return tamis__row_refused(job, what, k, row, true, err);
    float step = tamis__narrow(&job->kernels, job->dtype, stored, value, n);
    if (scale) *scale = step;
    return TAMIS_OK;
}

/* At most PROJECTED_ROWS rows, without ever having one in full. */
static void project(const tamis__factors *factors, const tamis__gradient_job *job, uint32_t k,
                    uint64_t first, uint64_t rows, const pieces *p)
{
    uint64_t run = run_columns(job);
    tamis__project_begin(job->projector, p->projector, rows);
    for (uint64_t at = 0; at < job->columns; at += run) {
        uint64_t n = job->columns - at < run ? job->columns - at : run;
        for (uint64_t i = 0; i < rows; i++)
            fill(factors, job, k, first + i, at, n, p->value + i * run);
        tamis__project_columns(job->projector, p->projector, rows, at, n, p->value, run);
    }
    tamis__project_end(job->projector, p->projector, rows, p->out, (size_t)job->stored);
}

tamis_status tamis__whole_rows(const tamis__factors *factors, const tamis__gradient_job *job,
                               uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                               const tamis__row_block *block, tamis_error *err)
{
    pieces p = cut(job, scratch);
    size_t row_bytes = (size_t)job->stored * tamis_dtype_size(job->dtype);
    uint64_t most = job->projector ? PROJECTED_ROWS : 1;
    for (uint64_t at = 0; at < rows; at += most) {
        uint64_t n = rows - at < most ? rows - at : most;
        /* A sign would hide what is not finite. */
        for (uint64_t i = at; i < at + n; i++)
            TAMIS_TRY(tamis__gradient_norm(factors, job, k, first + i, &block->norm[i], err));
        if (job->projector)
            project(factors, job, k, first + at, n, &p);
        else
            fill(factors, job, k, first + at, 0, job->columns, p.value);
        for (uint64_t i = at; i < at + n; i++)
            TAMIS_TRY(store_row(job, k, first + i,
                                job->projector ? p.out + (i - at) * job->stored : p.value,
                                (char *)block->stored + i * row_bytes,
                                block->scale ? &block->scale[i] : NULL, &block->norm[i], err));
    }
    return TAMIS_OK;
}
