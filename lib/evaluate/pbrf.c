/* The proximal Bregman response of chosen training rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/pbrf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "evaluate/journal.h"
#include "linalg/blas.h"
#include "model/object.h"
#include "store/layers_digest.h"

/* --- what is asked ---------------------------------------------------------------------------- */

static tamis_status check_rows(const tamis_pbrf_params *params, tamis_error *err)
{
    uint64_t all = params->train->rows;
    if (params->rows == 0 || !params->row)
        return tamis__fail(err, TAMIS_ERR_ARG, "no training rows to up-weight are named");
    uint8_t *seen = tamis__calloc((size_t)all, 1);
    if (!seen) return tamis__fail_memory(err, "a list of rows", all);
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < params->rows && status == TAMIS_OK; i++) {
        uint64_t row = params->row[i];
        if (row >= all)
            status = tamis__fail(err, TAMIS_ERR_ARG,
                                 "there is no training row %" PRIu64 ": rows are 0 to %" PRIu64,
                                 row, all - 1);
        else if (seen[row]++)
            status = tamis__fail(err, TAMIS_ERR_ARG, "training row %" PRIu64 " is named twice",
                                 row);
    }
    free(seen);
    return status;
}

static tamis_status check_number(double value, const char *name, tamis_error *err)
{
    if (value >= 0.0 && isfinite(value)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "%s %g is out of range: it must be above 0", name,
                       value);
}

static tamis_status check_data(const tamis_model *model, const tamis_data *data, const char *what,
                               tamis_error *err)
{
    if (!data) return tamis__fail(err, TAMIS_ERR_ARG, "there are no %s", what);
    tamis_status status = tamis__model_data_check(model, data, err);
    return status == TAMIS_OK ? status : tamis__prefix(err, status, "the %s", what);
}

static tamis_status check(const tamis_pbrf_params *params, tamis_error *err)
{
    if (!params->model) return tamis__fail(err, TAMIS_ERR_ARG, "there is no model");
    const tamis_model_info *info = tamis_model_info_get(params->model);
    if (params->checkpoint != UINT32_MAX && params->checkpoint >= info->checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "no checkpoint %" PRIu32 ": the model has %" PRIu32 ", numbered from 0",
                           params->checkpoint, info->checkpoints);
    TAMIS_TRY(check_data(params->model, params->train, "training data", err));
    TAMIS_TRY(check_data(params->model, params->query, "query data", err));
    TAMIS_TRY(check_rows(params, err));
    TAMIS_TRY(check_number(params->damping, "damping", err));
    TAMIS_TRY(check_number(params->epsilon, "epsilon", err));
    TAMIS_TRY(check_number(params->tolerance, "tolerance", err));
    for (uint32_t l = 0; params->layer_damping && l < info->layers; l++)
        if (!(params->layer_damping[l] > 0.0) || !isfinite(params->layer_damping[l]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "damping %g of %s is out of range: it must be above 0",
                               params->layer_damping[l], info->layer[l].name);
    return TAMIS_OK;
}

/* --- the problem ------------------------------------------------------------------------------ */

/* The matrix is told in words: it grows with the square of the model. */
static tamis_status check_memory(const tamis__pbrf_problem *p, tamis_error *err)
{
    char what[160];
    uint64_t n = p->network.parameters, most = UINT64_MAX / sizeof(double);
    unsigned threads = tamis_context_threads(p->context);
    snprintf(what, sizeof what,
             "the Gauss-Newton matrix of a model of %" PRIu64 " parameters, [%" PRIu64 ", %" PRIu64
             "] in double,",
             n, n, n);
    if (n > most / n) return tamis__memory_check(p->context, UINT64_MAX, what, err);
    uint64_t solvers = tamis__pbrf_solver_bytes(&p->network) * threads;
    uint64_t matrix = tamis__pbrf_matrix_bytes(&p->network);
    uint64_t rest = p->train->rows * p->network.classes * sizeof(double) + n * sizeof(double);
    uint64_t more = rest + (solvers > matrix ? solvers : matrix), bytes = n * n * sizeof(double);
    return tamis__memory_check(p->context, bytes > UINT64_MAX - more ? UINT64_MAX : bytes + more,
                               what, err);
}

static void problem_fini(tamis__pbrf_problem *p)
{
    free(p->start);
    free(p->probability);
    free(p->matrix);
    free(p->damping);
    *p = (tamis__pbrf_problem){0};
}

/* Into a zeroed struct, which the caller frees whatever happens. */
static tamis_status problem_init(tamis__pbrf_problem *p, tamis_context *context,
                                 const tamis_pbrf_params *params, tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(params->model);
    size_t n = (size_t)info->parameters;
    *p = (tamis__pbrf_problem){
        .context = context,
        .train = params->train,
        .query = params->query,
        .network = tamis__model_wide(params->model),
        .epsilon = params->epsilon > 0.0 ? params->epsilon : 1e-3 / (double)params->train->rows,
        .tolerance = params->tolerance > 0.0 ? params->tolerance : 1e-12,
        .most_steps = params->steps ? params->steps : 100,
    };
    TAMIS_TRY(check_memory(p, err));
    p->start = tamis__malloc(n, sizeof *p->start);
    p->probability = tamis__malloc((size_t)params->train->rows * info->classes,
                                   sizeof *p->probability);
    p->damping = tamis__calloc(info->layers, sizeof *p->damping);
    p->matrix = tamis__calloc(n, n * sizeof *p->matrix);
    if (!p->start || !p->probability || !p->damping || !p->matrix)
        return tamis__fail_memory(err, "the Gauss-Newton matrix", n * n * sizeof *p->matrix);
    uint32_t last = info->checkpoints - 1;
    tamis__model_wide_weights(params->model, params->checkpoint < last ? params->checkpoint : last,
                              p->start);
    return TAMIS_OK;
}

/* --- the file of runs ------------------------------------------------------------------------- */

static uint64_t floats_digest(const float *value, uint64_t n, uint64_t key)
{
    return value ? tamis__digest_seeded(value, (size_t)n * sizeof *value, key) : key;
}

/* Of everything that a response depends on but its row. */
static uint64_t problem_key(const tamis__pbrf_problem *p, const tamis_pbrf_params *params,
                            double relative)
{
    const tamis__wide *network = &p->network;
    const tamis_data *data[2] = {p->train, p->query};
    double number[4] = {params->layer_damping ? 0.0 : relative, p->epsilon, p->tolerance,
                        (double)p->most_steps};
    uint64_t key = tamis__layers_digest(network->layer, network->layers) + network->activation;
    key = tamis__digest_seeded(p->start, (size_t)network->parameters * sizeof *p->start, key);
    key = floats_digest(network->mean, network->inputs, key);
    key = floats_digest(network->scale, network->inputs, key);
    key = tamis__digest_seeded(number, sizeof number, key);
    if (params->layer_damping)
        key = tamis__digest_seeded(params->layer_damping,
                                   network->layers * sizeof *params->layer_damping, key);
    for (int i = 0; i < 2; i++) {
        key = floats_digest(data[i]->x, data[i]->rows * data[i]->columns, key);
        key = tamis__digest_seeded(data[i]->label, (size_t)data[i]->rows * sizeof(int32_t), key);
    }
    return key;
}

/* --- solving ---------------------------------------------------------------------------------- */

typedef struct solving {
    const tamis__pbrf_problem *problem;
    tamis_pbrf *pbrf;
    tamis__journal journal;
    uint8_t *done;              /* [rows] by their place in the list */
    uint64_t *missing;          /* [rows] places that are not done */
    uint64_t missings;          /* entries of it */
    tamis__pbrf_solver *solver; /* [threads] */
    unsigned threads, slots;
    double *loss;       /* [slots, 2, queries] with the row up-weighted, and down-weighted */
    uint32_t *steps;    /* [slots] */
    tamis_error *stuck; /* [slots] why the solve did not converge; TAMIS_OK = it did */
    tamis_error first;  /* of them, in the order of the rows */
    uint8_t *unused;    /* [queries] a record's flags */
} solving;

static tamis_status solve_row(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    const solving *s = arg;
    double *above = s->loss + (size_t)slot * 2 * s->pbrf->queries;
    s->stuck[slot] = (tamis_error){0};
    tamis_status status = tamis__pbrf_solve(
        s->problem, &s->solver[worker], s->pbrf->row[s->missing[item]], above,
        above + s->pbrf->queries, &s->steps[slot], &s->stuck[slot]);
    if (status == TAMIS_OK || status == TAMIS_ERR_NUMERIC) return TAMIS_OK;
    if (err) *err = s->stuck[slot];
    return status;
}

static void set_response(solving *s, uint64_t place, const double *above, const double *below)
{
    uint64_t queries = s->pbrf->queries;
    double *response = s->pbrf->response + place * queries;
    for (uint64_t q = 0; q < queries; q++)
        response[q] = (above[q] - below[q]) / (2.0 * s->problem->epsilon);
    s->done[place] = 1;
}

/* A record has two numbers for each query: here the losses of either weighting. */
static tamis_status take_row(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    solving *s = arg;
    uint64_t queries = s->pbrf->queries, place = s->missing[item];
    double *above = s->loss + (size_t)slot * 2 * queries, *below = above + queries;
    const tamis__run_values values = {above, below, s->unused};
    bool stuck = s->stuck[slot].status != TAMIS_OK;
    if (stuck && s->pbrf->unsolved++ == 0) s->first = s->stuck[slot];
    if (!stuck) set_response(s, place, above, below);
    s->pbrf->steps += s->steps[slot];
    if (!stuck && s->journal.path)
        TAMIS_TRY(tamis__journal_add(&s->journal, s->pbrf->row[place], &values, err));
    return tamis__progress(s->problem->context, "responses", s->pbrf->reused + item + 1,
                           s->pbrf->rows, "rows", NULL, err);
}

static void recover_row(void *arg, uint64_t run, const tamis__run_values *values)
{
    solving *s = arg;
    for (uint64_t i = 0; i < s->pbrf->rows; i++) {
        if (s->pbrf->row[i] != run || s->done[i]) continue;
        set_response(s, i, values->loss, values->margin);
        s->pbrf->reused++;
    }
}

static tamis_status recover(solving *s, const tamis_pbrf_params *params, double relative,
                            tamis_error *err)
{
    s->done = tamis__calloc((size_t)s->pbrf->rows, 1);
    s->missing = tamis__malloc((size_t)s->pbrf->rows, sizeof *s->missing);
    s->unused = tamis__calloc((size_t)s->pbrf->queries, 1);
    if (!s->done || !s->missing || !s->unused)
        return tamis__fail_memory(err, "a list of rows", s->pbrf->rows * sizeof *s->missing);
    if (params->runs) {
        TAMIS_TRY(tamis__journal_open(&s->journal, s->problem->context, params->runs,
                                      problem_key(s->problem, params, relative), s->pbrf->queries,
                                      err));
        TAMIS_TRY(tamis__journal_recover(&s->journal, recover_row, s, err));
    }
    for (uint64_t i = 0; i < s->pbrf->rows; i++)
        if (!s->done[i]) s->missing[s->missings++] = i;
    return TAMIS_OK;
}

static tamis_status solve_missing(solving *s, tamis_error *err)
{
    tamis_context *context = s->problem->context;
    tamis__pipeline pipeline = {
        .arg = s, .items = s->missings, .work = solve_row, .consume = take_row};
    s->threads = tamis_context_threads(context);
    s->slots = tamis__pool_slots(context->pool, &pipeline);
    size_t values = (size_t)s->slots * 2 * s->pbrf->queries;
    s->solver = tamis__calloc(s->threads, sizeof *s->solver);
    s->loss = tamis__calloc(values, sizeof *s->loss);
    s->steps = tamis__calloc(s->slots, sizeof *s->steps);
    s->stuck = tamis__calloc(s->slots, sizeof *s->stuck);
    if (!s->solver || !s->loss || !s->steps || !s->stuck)
        return tamis__fail_memory(err, "losses", values * sizeof *s->loss);
    for (unsigned i = 0; i < s->threads; i++)
        TAMIS_TRY(tamis__pbrf_solver_init(&s->solver[i], &s->problem->network, err));
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(context->pool, &pipeline, err);
    tamis__blas_end();
    return status;
}

static void solving_fini(solving *s)
{
    for (unsigned i = 0; s->solver && i < s->threads; i++) tamis__pbrf_solver_fini(&s->solver[i]);
    tamis__journal_close(&s->journal);
    free(s->done);
    free(s->missing);
    free(s->unused);
    free(s->solver);
    free(s->loss);
    free(s->steps);
    free(s->stuck);
}

/* Rows without a response go. */
static tamis_status leave_out(solving *s, tamis_error *err)
{
    tamis_pbrf *pbrf = s->pbrf;
    uint64_t kept = 0, queries = pbrf->queries;
    if (pbrf->unsolved == 0) return TAMIS_OK;
    for (uint64_t i = 0; i < pbrf->rows; i++) {
        if (!s->done[i]) continue;
        pbrf->row[kept] = pbrf->row[i];
        memmove(pbrf->response + kept * queries, pbrf->response + i * queries,
                (size_t)queries * sizeof *pbrf->response);
        kept++;
    }
    if (kept == 0) return tamis__fail(err, s->first.status, "%s", s->first.message);
    tamis__log(s->problem->context, TAMIS_LOG_WARNING,
               "%" PRIu64 " of %" PRIu64 " rows are left out; the first is %s", pbrf->unsolved,
               pbrf->rows, s->first.message);
    pbrf->rows = kept;
    return TAMIS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status result_init(tamis_pbrf *pbrf, const tamis_pbrf_params *params,
                                const tamis__pbrf_problem *p, tamis_error *err)
{
    pbrf->rows = params->rows;
    pbrf->train_rows = params->train->rows;
    pbrf->queries = params->query->rows;
    pbrf->layers = p->network.layers;
    pbrf->epsilon = p->epsilon;
    pbrf->row = tamis__malloc((size_t)pbrf->rows, sizeof *pbrf->row);
    pbrf->response = tamis__calloc((size_t)pbrf->rows,
                                   (size_t)pbrf->queries * sizeof *pbrf->response);
    pbrf->damping = tamis__malloc(pbrf->layers, sizeof *pbrf->damping);
    if (!pbrf->row || !pbrf->response || !pbrf->damping)
        return tamis__fail_memory(err, "responses",
                                  pbrf->rows * pbrf->queries * sizeof *pbrf->response);
    memcpy(pbrf->row, params->row, (size_t)pbrf->rows * sizeof *pbrf->row);
    return TAMIS_OK;
}

/* What is there already is looked up first: a file of something else is told at once. */
static tamis_status compute(solving *s, tamis__pbrf_problem *p, const tamis_pbrf_params *params,
                            tamis_error *err)
{
    tamis_pbrf *pbrf = s->pbrf;
    double relative = params->damping > 0.0 ? params->damping : 0.1;
    TAMIS_TRY(result_init(pbrf, params, p, err));
    TAMIS_TRY(recover(s, params, relative, err));
    const double *absolute = params->layer_damping;
    bool idle = s->missings == 0 && absolute; /* the matrix would tell nothing that is not known */
    if (!idle) TAMIS_TRY(tamis__pbrf_matrix(p, relative, absolute, err));
    memcpy(pbrf->damping, idle ? absolute : p->damping, pbrf->layers * sizeof *pbrf->damping);
    if (!idle) TAMIS_TRY(solve_missing(s, err));
    return leave_out(s, err);
}

tamis_status tamis_pbrf_compute(tamis_pbrf *ret_pbrf, tamis_context *context,
                                const tamis_pbrf_params *params, tamis_error *err)
{
    tamis_pbrf pbrf = {0};
    tamis__pbrf_problem problem = {0};
    solving s = {.problem = &problem, .pbrf = &pbrf};
    TAMIS_TRY(check(params, err));
    tamis_status status = problem_init(&problem, context, params, err);
    if (status == TAMIS_OK) status = compute(&s, &problem, params, err);
    solving_fini(&s);
    problem_fini(&problem);
    if (status == TAMIS_OK)
        *ret_pbrf = pbrf;
    else
        tamis_pbrf_free(&pbrf);
    return status;
}

void tamis_pbrf_free(tamis_pbrf *pbrf)
{
    if (!pbrf) return;
    free(pbrf->row);
    free(pbrf->response);
    free(pbrf->damping);
    *pbrf = (tamis_pbrf){0};
}
