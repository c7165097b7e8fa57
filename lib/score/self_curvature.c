/* Self-influence under a curvature: an influence of an example on itself, which costs one pass.
 *
 *     score(i) = sum over layers, over coordinates of  (Q_S^T G_i Q_A)^2 / (Lambda + damping)
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/self_curvature.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/eigen_rows.h"
#include "curvature/factor.h"
#include "curvature/spectra.h"
#include "linalg/blas.h"
#include "score/damped_gram.h"

/* Rows of a block: one thread's; a multiple of TAMIS__EIGEN_GROUP. */
enum { BLOCK = 256 };

typedef struct selves {
    const tamis__score_call *call;
    uint64_t rows; /* in all */
    tamis__eigen_rows eigen;
    tamis__eigen_work *work; /* [threads] */
    double *sum;             /* [slots, BLOCK] */
    float *scores;           /* [BLOCK] */
} selves;

static uint64_t rows_of(const selves *s, uint64_t first)
{
    return s->rows - first < BLOCK ? s->rows - first : BLOCK;
}

/* --- scores ----------------------------------------------------------------------------------- */

static tamis_status put(selves *s, uint64_t first, uint64_t rows, const double *sum,
                        tamis_error *err)
{
    const unsigned char *skip = tamis__score_skipped(s->call);
    for (uint64_t i = 0; i < rows; i++) {
        s->scores[i] = skip && skip[first + i] ? NAN : (float)sum[i];
        if (isfinite(s->scores[i]) || (skip && skip[first + i])) continue;
        char id[256];
        tamis_store_id(s->call->train, first + i, id, sizeof id);
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s': the self-influence of row %llu (id %s) is too large for a float",
                           tamis_store_path(s->call->train), (unsigned long long)(first + i), id);
    }
    TAMIS_TRY(tamis__score_put(s->call, first, rows, s->scores, err));
    return tamis__progress(s->call->context, "scoring", first + rows, s->rows, "rows", NULL, err);
}

/* --- by layers -------------------------------------------------------------------------------- */

static tamis_status score_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    selves *s = arg;
    uint64_t first = item * BLOCK, rows = rows_of(s, first);
    double *sum = s->sum + (size_t)slot * BLOCK;
    memset(sum, 0, rows * sizeof *sum);
    for (uint64_t i = 0; i < rows; i += TAMIS__EIGEN_GROUP) {
        uint64_t n = rows - i < TAMIS__EIGEN_GROUP ? rows - i : TAMIS__EIGEN_GROUP;
        for (uint32_t l = 0; l < s->eigen.layers; l++)
            TAMIS_TRY(tamis__eigen_rows_squares(&s->eigen, &s->work[worker], l, first + i, n,
                                                sum + i, err));
    }
    return TAMIS_OK;
}

static tamis_status put_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    selves *s = arg;
    return put(s, item * BLOCK, rows_of(s, item * BLOCK), s->sum + (size_t)slot * BLOCK, err);
}

static tamis_status run_blocks(selves *s, uint64_t spectra_bytes, tamis_error *err)
{
    unsigned threads = tamis_context_threads(s->call->context), slots = 2 * threads;
    uint64_t bytes = spectra_bytes + threads * tamis__eigen_work_bytes(&s->eigen);
    TAMIS_TRY(tamis__memory_check(s->call->context, bytes, "self-influence", err));
    s->work = tamis__calloc(threads, sizeof *s->work);
    s->sum = tamis__calloc(slots, BLOCK * sizeof *s->sum);
    if (!s->work || !s->sum) return tamis__fail_memory(err, "a block of rows", bytes);
    for (unsigned i = 0; i < threads; i++)
        TAMIS_TRY(tamis__eigen_work_init(&s->work[i], &s->eigen, err));
    tamis__pipeline p = {.arg = s,
                         .items = (s->rows + BLOCK - 1) / BLOCK,
                         .slots = slots,
                         .work = score_block,
                         .consume = put_block};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(s->call->context->pool, &p, err);
    tamis__blas_end();
    return status;
}

static tamis_status by_layers(selves *s, uint32_t checkpoint, tamis_curvature_kind kind,
                              tamis__damping damping, tamis_error *err)
{
    tamis__spectra spectra = {0};
    unsigned threads = tamis_context_threads(s->call->context);
    TAMIS_TRY(
        tamis__spectra_load(&spectra, s->call->context, s->call->curvature, kind, damping, err));
    tamis_status status = tamis__eigen_rows_of_store(&s->eigen, s->call->train, checkpoint,
                                                     spectra.layer, err);
    if (status == TAMIS_OK) status = run_blocks(s, spectra.bytes, err);
    for (unsigned i = 0; s->work && i < threads; i++) tamis__eigen_work_fini(&s->work[i]);
    free(s->work);
    free(s->sum);
    tamis__spectra_fini(&spectra);
    return status;
}

/* --- dense ------------------------------------------------------------------------------------ */

static tamis_status dense(selves *s, uint32_t checkpoint, tamis__damping damping, tamis_error *err)
{
    tamis__rows x = {.context = s->call->context,
                     .store = s->call->train,
                     .checkpoint = checkpoint,
                     .columns = tamis_store_info_get(s->call->train)->columns,
                     .skip = tamis__score_skipped(s->call),
                     .reserved = s->rows * sizeof(double),
                     .phase = "whitening rows"};
    double *factor = NULL, *sum = tamis__calloc(s->rows, sizeof *sum);
    if (!sum) return tamis__fail_memory(err, "self-influence", s->rows * sizeof *sum);
    tamis_status status = tamis__damped_gram(&x, s->call->curvature, damping, &factor, err);
    if (status == TAMIS_OK) status = tamis__factor_norms(&x, factor, sum, err);
    for (uint64_t first = 0; first < s->rows && status == TAMIS_OK; first += BLOCK)
        status = put(s, first, rows_of(s, first), sum + first, err);
    free(factor);
    free(sum);
    return status;
}

tamis_status tamis__self_under_curvature(const tamis__score_call *call, tamis_curvature_kind kind,
                                         tamis__damping damping, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    selves s = {.call = call, .rows = info->rows};
    uint32_t checkpoint = 0;
    if (info->whitened_by)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is whitened, so that its rows' squared norms are self-influence: "
                           "leave out the curvature file",
                           tamis_store_path(call->train));
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, call->train, &checkpoint, err));
    TAMIS_TRY(tamis__score_rows_at(call, checkpoint, err));
    s.scores = tamis__calloc(BLOCK, sizeof *s.scores);
    if (!s.scores) return tamis__fail_memory(err, "scores", BLOCK * sizeof *s.scores);
    tamis_status status = kind == TAMIS_CURVATURE_GRAM
                              ? dense(&s, checkpoint, damping, err)
                              : by_layers(&s, checkpoint, kind, damping, err);
    free(s.scores);
    return status;
}
