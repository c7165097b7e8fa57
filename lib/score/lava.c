/* LAVA: what a row does to the distance of transport between the training rows and the queries.
 *
 * With all training rows of mass 1 / n, all queries of 1 / m, and potentials f of the training
 * rows, the distance grows by f_i for a bit of mass on row i. Mass that goes there has to come from
 * the others,
 *
 *     score(i) = -(f_i - sum_{j != i} f_j / (n - 1)) = -(f_i (1 + 1 / (n - 1)) - sum_j f_j / (n - 1)),
 *
 * so that a positive score says: more mass on this row brings the training rows nearer to the
 * queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include <tamis/transport.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/whitening.h"
#include "score/registry.h"

enum { COST, SOLVER, EPSILON, TOLERANCE, ITERATIONS };
enum { ENTROPIC, EXACT };
enum { BLOCK = 65536 };

static const char *const costs[] = {"cosine", "euclidean", "sqeuclidean", NULL};
static const tamis_transport_cost cost_of[] = {TAMIS_COST_COSINE, TAMIS_COST_EUCLIDEAN,
                                               TAMIS_COST_SQEUCLIDEAN};
static const char *const solvers[] = {"entropic", "exact", NULL};

static const tamis_param_desc params[] = {
    {.name = "cost",
     .help = "of moving a row to a query: distance of unit rows, distance, or squared distance",
     .type = TAMIS_PARAM_CHOICE,
     .choices = costs},
    {.name = "solver",
     .help = "with entropy, until it converges; or exact, for small stores",
     .type = TAMIS_PARAM_CHOICE,
     .choices = solvers},
    {.name = "epsilon",
     .help = "entropic: strength of the entropy, in units of cost; 0: 0.01 of the mean cost",
     .type = TAMIS_PARAM_REAL,
     .max = 1e300},
    {.name = "tolerance",
     .help = "entropic: share of the mass that may be out of place; 0: 1e-6",
     .type = TAMIS_PARAM_REAL,
     .max = 1},
    {.name = "iterations",
     .help = "entropic: at most so many; 0: 10000",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e9},
};

/* --- rows ------------------------------------------------------------------------------------- */

/* Rows that are scored, in their order, without gaps. */
static tamis_status read_scored(const tamis__score_call *call, float *out, tamis_error *err)
{
    const unsigned char *skip = tamis__score_skipped(call);
    const tamis_store_info *info = tamis_store_info_get(call->train);
    for (uint64_t first = 0, n; first < info->rows; first += n) {
        n = 1;
        while (first + n < info->rows && (!skip || skip[first + n] == skip[first])) n++;
        if (skip && skip[first]) continue;
        TAMIS_TRY(tamis__features(call->context, call->train, NULL, false, first, n, out, err));
        out += n * info->columns;
    }
    return TAMIS_OK;
}

static uint64_t count_scored(const tamis__score_call *call)
{
    const unsigned char *skip = tamis__score_skipped(call);
    uint64_t rows = tamis_store_info_get(call->train)->rows, n = 0;
    for (uint64_t i = 0; i < rows; i++) n += !skip || !skip[i];
    return n;
}

/* --- potentials ------------------------------------------------------------------------------- */

/* Potentials of the training rows, which are the caller's to free. */
static tamis_status find_exact(const tamis__score_call *call,
                               const tamis_transport_problem *problem, double **ret_f,
                               tamis_error *err)
{
    tamis_transport_exact_result result = {0};
    TAMIS_TRY(tamis_transport_exact(call->context, problem, &result, err));
    *ret_f = result.f;
    result.f = NULL;
    tamis_transport_exact_fini(&result);
    return TAMIS_OK;
}

static tamis_status find_entropic(const tamis__score_call *call,
                                  const tamis_transport_problem *problem, double **ret_f,
                                  tamis_error *err)
{
    const tamis_transport_entropic_params how = {
        .epsilon = call->values[EPSILON].number,
        .tolerance = call->values[TOLERANCE].number,
        .iterations = (uint64_t)call->values[ITERATIONS].number};
    tamis_transport_entropic_result result = {0};
    TAMIS_TRY(tamis_transport_entropic(call->context, problem, &how, &result, err));
    tamis_status status = TAMIS_OK;
    if (!result.converged)
        status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                             "lava: %.3g of the mass is out of place after %llu iterations with "
                             "epsilon %.3g: raise iterations, epsilon or tolerance",
                             result.marginal, (unsigned long long)result.iterations,
                             result.epsilon);
    if (status == TAMIS_OK) {
        *ret_f = result.f;
        result.f = NULL;
    }
    tamis_transport_entropic_fini(&result);
    return status;
}

static tamis_status find_potentials(const tamis__score_call *call, float *x, uint64_t n, float *y,
                                    uint64_t m, double **ret_f, tamis_error *err)
{
    const tamis_transport_problem problem = {.n = n,
                                             .m = m,
                                             .x = x,
                                             .y = y,
                                             .columns = tamis_store_info_get(call->train)->columns,
                                             .cost = cost_of[(int)call->values[COST].number]};
    TAMIS_TRY(read_scored(call, x, err));
    TAMIS_TRY(tamis__features(call->context, call->query, NULL, false, 0, m, y, err));
    if (call->values[SOLVER].number == EXACT) return find_exact(call, &problem, ret_f, err);
    return find_entropic(call, &problem, ret_f, err);
}

/* --- scores ----------------------------------------------------------------------------------- */

/* A row alone has none to take mass from. */
static double calibrate(double f, double sum, uint64_t n)
{
    if (n == 1) return 0;
    double others = (double)(n - 1);
    return sum / others - f * (1.0 + 1.0 / others);
}

static tamis_status put_scores(const tamis__score_call *call, const double *f, uint64_t n,
                               tamis_error *err)
{
    const unsigned char *skip = tamis__score_skipped(call);
    uint64_t rows = tamis_store_info_get(call->train)->rows, at = 0;
    float *scores = tamis__malloc(BLOCK, sizeof *scores);
    double sum = 0;
    tamis_status status = TAMIS_OK;
    if (!scores) return tamis__fail_memory(err, "scores", BLOCK * sizeof *scores);
    for (uint64_t i = 0; i < n; i++) sum += f[i];
    for (uint64_t first = 0; first < rows && status == TAMIS_OK; first += BLOCK) {
        uint64_t block = rows - first < BLOCK ? rows - first : BLOCK;
        for (uint64_t i = 0; i < block; i++)
            scores[i] = skip && skip[first + i] ? NAN : (float)calibrate(f[at++], sum, n);
        status = tamis__score_put(call, first, block, scores, err);
    }
    free(scores);
    return status;
}

static tamis_status check(const tamis__score_call *call, tamis_error *err)
{
    for (int i = EPSILON; i <= ITERATIONS; i++)
        if (call->values[i].given && call->values[SOLVER].number == EXACT)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "lava: %s goes with solver=entropic: leave one of them out",
                               params[i].name);
    return TAMIS_OK;
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    uint64_t m = tamis_store_info_get(call->query)->rows,
             columns = tamis_store_info_get(call->train)->columns;
    bool cosine = cost_of[(int)call->values[COST].number] == TAMIS_COST_COSINE;
    TAMIS_TRY(tamis__score_rows(call, cosine, err));
    uint64_t n = count_scored(call), bytes = (n + m) * columns * sizeof(float);
    TAMIS_TRY(tamis__memory_check(call->context, bytes,
                                  "the rows of both stores (project them first)", err));
    double *f = NULL;
    float *x = tamis__malloc(n * columns, sizeof *x), *y = tamis__malloc(m * columns, sizeof *y);
    tamis_status status = x && y ? find_potentials(call, x, n, y, m, &f, err)
                                 : tamis__fail_memory(err, "rows", bytes);
    free(x);
    free(y);
    if (status == TAMIS_OK) status = put_scores(call, f, n, err);
    free(f);
    return status;
}

/* One column, for all queries together. */
static tamis_status columns(const tamis__score_call *call, tamis_examples *ret_columns,
                            uint64_t *ret_n, tamis_error *err)
{
    TAMIS_TRY(check(call, err));
    *ret_columns = (tamis_examples){0};
    *ret_n = 1;
    return TAMIS_OK;
}

const tamis__scorer_class tamis__scorer_lava = {
    .info = {.name = "lava",
             .summary = "what a bit of mass on a row does to the transport to the queries",
             .citation = "Just, Kang, Wang, Zeng, Ko, Jin and Jia, LAVA: Data Valuation without "
                         "Pre-Specified Learning Algorithms, ICLR 2023: calibrated gradients, "
                         "with the opposite sign",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = columns,
    .run = run,
};
