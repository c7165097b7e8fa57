/* Influence under a Kronecker-factored or diagonal curvature.
 *
 *     score(i, q) = sum over layers of < Q_S [ (Q_S^T G_q Q_A) / (Lambda + damping) ] Q_A^T , G_i >
 *
 * with Lambda measured (ekfac), the outer product of eigenvalues (kfac), or E[G^2] without a
 * rotation (diagonal).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/ekfac.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/spectra.h"
#include "score/damping.h"
#include "score/output.h"
#include "store/curvature_file.h"

enum { DAMPING, DAMPING_UNIT, SPECTRAL_RANK, QUERY_RANK, RESCORE, SAMPLE };

static const tamis_param_desc params[] = {
    TAMIS__DAMPING_PARAMS,
    {.name = "spectral-rank",
     .help = "rank of the damped inverse spectrum, for stores in factor form; 0 = exact",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e6},
    {.name = "query-rank",
     .help = "rank that a layer of a preconditioned query is cut off at; 0 = exact",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e6},
    {.name = "rescore",
     .help = "with lists: candidates by low rank (spectral-rank 16 if none is given), so many "
             "times K of "
             "each list, are scored exactly; 0 = none",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e6},
    {.name = "sample",
     .help = "with rescore: queries whose list is compared with the exact one",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e6,
     .fallback = 16},
};

/* --- columns ---------------------------------------------------------------------------------- */

/* "QUERY:LAYER"; at most what a text of a file holds. */
static void write_ids(const tamis__score_call *call, const char **ids, char *at, size_t room)
{
    const tamis_store_info *train = tamis_store_info_get(call->train);
    uint64_t queries = tamis_store_info_get(call->query)->rows;
    char id[4096 - sizeof train->layer->name - 1];
    for (uint64_t q = 0; q < queries; q++) {
        tamis_store_id(call->query, q, id, sizeof id);
        for (uint32_t l = 0; l < train->layers; l++) {
            int n = snprintf(at, room, "%s:%s", id, train->layer[l].name);
            *ids++ = at;
            at += n + 1;
            room -= (size_t)n + 1;
        }
    }
}

static size_t id_bytes(const tamis__score_call *call)
{
    const tamis_store_info *train = tamis_store_info_get(call->train);
    size_t bytes = 0, names = 0;
    char id[4096];
    for (uint32_t l = 0; l < train->layers; l++) names += strlen(train->layer[l].name) + 2;
    for (uint64_t q = 0; q < tamis_store_info_get(call->query)->rows; q++) {
        tamis_store_id(call->query, q, id, sizeof id);
        bytes += strlen(id) * train->layers + names;
    }
    return bytes;
}

static tamis_status columns(const tamis__score_call *call, tamis_examples *ret_columns,
                            uint64_t *ret_n, tamis_error *err)
{
    if (call->by != TAMIS_BY_LAYER) return TAMIS_OK;
    uint64_t n = tamis_store_info_get(call->query)->rows *
                 tamis_store_info_get(call->train)->layers;
    size_t bytes = id_bytes(call);
    const char **ids = tamis__malloc(n * sizeof *ids + bytes, 1);
    if (!ids) return tamis__fail_memory(err, "ids of columns", bytes);
    write_ids(call, ids, (char *)(ids + n), bytes);
    *ret_columns = (tamis_examples){.id_text = ids};
    *ret_n = n;
    *call->column_memory = ids;
    return TAMIS_OK;
}

/* --- the run ---------------------------------------------------------------------------------- */

static bool factors(const tamis_store *store)
{
    return tamis_store_info_get(store)->form == TAMIS_FORM_FACTORS;
}

static tamis_status check_job(const tamis__ekfac_job *job, tamis_error *err)
{
    const char *name = tamis__curvature_kind_name(job->kind);
    if (!job->rescore) return TAMIS_OK;
    if (!job->call->top)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s:rescore finds the best rows of each query: ask for them with --top",
                           name);
    /* Products of factors have a rank of their own for it. */
    if (factors(job->call->train) && factors(job->call->query)) return TAMIS_OK;
    if (job->spectral_rank || job->query_rank) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "%s:rescore scores again what a low rank has found: give spectral-rank or "
                       "query-rank",
                       name);
}

/* With both stores in factor form products of the factors take less. */
static tamis_status dispatch(const tamis__ekfac_job *job, tamis_error *err)
{
    const tamis__score_call *call = job->call;
    uint32_t checkpoint = 0;
    if (tamis_store_info_get(call->train)->whitened_by) return tamis__ekfac_whitened(job, err);
    if (!factors(call->train) || !factors(call->query)) return tamis__ekfac_rows(job, err);
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, call->query, &checkpoint, err));
    if (checkpoint == job->checkpoint) return tamis__ekfac_factors(job, err);
    if (job->by != TAMIS_BY_TOKEN && !job->spectral_rank && !job->rescore)
        return tamis__ekfac_rows(job, err);
    return tamis__fail(
        err, TAMIS_ERR_SHAPE,
        "the curvature is of checkpoint %u of '%s' and of checkpoint %u of '%s': take "
        "that checkpoint alone out of both ('tamis convert --checkpoints')",
        job->checkpoint, tamis_store_path(call->train), checkpoint, tamis_store_path(call->query));
}

static tamis_status run(const tamis__score_call *call, tamis_curvature_kind kind, tamis_error *err)
{
    const tamis_param_value *v = call->values;
    tamis__ekfac_job job = {.call = call,
                            .kind = kind,
                            .damping = tamis__damping_of(&v[DAMPING]),
                            .by = call->by,
                            .spectral_rank = (uint64_t)v[SPECTRAL_RANK].number,
                            .query_rank = (uint64_t)v[QUERY_RANK].number,
                            .rescore = (uint64_t)v[RESCORE].number,
                            .sample = (uint64_t)v[SAMPLE].number};
    tamis__spectra spectra = {0};
    uint32_t checkpoint = 0;
    TAMIS_TRY(check_job(&job, err));
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, call->train, &checkpoint, err));
    TAMIS_TRY(tamis__score_rows_at(call, checkpoint, err));
    call->weight[checkpoint] = 1.0;
    if (!tamis_store_info_get(call->train)->whitened_by)
        TAMIS_TRY(
            tamis__spectra_load(&spectra, call->context, call->curvature, kind, job.damping, err));
    job.spectrum = spectra.layer;
    job.spectrum_bytes = spectra.bytes;
    job.checkpoint = checkpoint;
    tamis_status status = dispatch(&job, err);
    tamis__spectra_fini(&spectra);
    return status;
}

static tamis_status run_ekfac(const tamis__score_call *call, tamis_error *err)
{
    return run(call, TAMIS_CURVATURE_EKFAC, err);
}

static tamis_status run_kfac(const tamis__score_call *call, tamis_error *err)
{
    return run(call, TAMIS_CURVATURE_KFAC, err);
}

static tamis_status run_diagonal(const tamis__score_call *call, tamis_error *err)
{
    return run(call, TAMIS_CURVATURE_DIAGONAL, err);
}

const tamis__scorer_class tamis__scorer_ekfac = {
    .info = {.name = "ekfac",
             .summary = "influence: gradients under the inverse of a curvature in its eigenbasis",
             .citation =
                 "Grosse et al., Studying Large Language Model Generalization with Influence "
                 "Functions, 2023, equations 16 to 21; George et al., NeurIPS 2018",
             .flags = TAMIS_SCORER_CURVATURE | TAMIS_SCORER_PARTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = columns,
    .run = run_ekfac,
};

const tamis__scorer_class tamis__scorer_kfac = {
    .info = {.name = "kfac",
             .summary = "influence: gradients under the inverse of a Kronecker-factored curvature",
             .citation = "Martens and Grosse, Optimizing Neural Networks with Kronecker-factored "
                         "Approximate Curvature, ICML 2015",
             .flags = TAMIS_SCORER_CURVATURE | TAMIS_SCORER_PARTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = columns,
    .run = run_kfac,
};

const tamis__scorer_class tamis__scorer_diagonal = {
    .info = {.name = "diagonal",
             .summary = "influence: gradients under the inverse of a diagonal curvature",
             .citation = "the mean of squared pseudo-gradients, entry by entry, as the curvature",
             .flags = TAMIS_SCORER_CURVATURE | TAMIS_SCORER_PARTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = columns,
    .run = run_diagonal,
};
