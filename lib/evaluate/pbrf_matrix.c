/* The Gauss-Newton matrix of the mean loss, dense and in double.
 *
 * With p the probabilities of a row, the Hessian of its loss by its logits is the sum over classes
 * of p_c (e_c - p)(e_c - p)^T. So the matrix is a sum of outer products of `classes` gradients a
 * row: those of each class as label, times the root of its probability.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "evaluate/pbrf.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* Edge of a tile of the matrix, which is one thread's. */
#define TILE 256

typedef struct making {
    tamis__pbrf_problem *problem;
    tamis__wide_batch batch;
    double *gradient;  /* [rows at once, classes, parameters] */
    uint64_t examples; /* rows of the data at once */
    uint64_t rows;     /* of `gradient` that are filled in */
    uint64_t done;     /* rows of the data */
} making;

/* Rows at once: 32 MiB of gradients, a constant for a network. */
static uint64_t examples_at_once(const tamis__wide *network)
{
    uint64_t most = ((uint64_t)1 << 22) / (network->parameters * network->classes);
    if (most < 1) most = 1;
    return most < TAMIS__PBRF_ROWS ? most : TAMIS__PBRF_ROWS;
}

static uint64_t gradient_doubles(const tamis__wide *network)
{
    return examples_at_once(network) * network->classes * network->parameters;
}

uint64_t tamis__pbrf_matrix_bytes(const tamis__wide *network)
{
    return gradient_doubles(network) * sizeof(double) +
           tamis__wide_batch_bytes(network, TAMIS__PBRF_ROWS);
}

/* --- probabilities at the start --------------------------------------------------------------- */

/* In the groups that solving has, so that the start is a solution for epsilon 0 to the last bit. */
static tamis_status find_probabilities(making *m, tamis_error *err)
{
    const tamis__pbrf_problem *p = m->problem;
    size_t classes = (size_t)p->network.classes;
    const double *logit = m->batch.output[p->network.layers - 1];
    for (uint64_t first = 0; first < p->train->rows; first += TAMIS__PBRF_ROWS) {
        uint64_t left = p->train->rows - first;
        size_t rows = (size_t)(left < TAMIS__PBRF_ROWS ? left : TAMIS__PBRF_ROWS);
        TAMIS_TRY(
            tamis__wide_forward(&m->batch, &p->network, p->start, p->train, first, rows, err));
        for (size_t i = 0; i < rows; i++)
            tamis__wide_softmax(logit + i * classes, classes,
                                p->probability + (first + i) * classes);
    }
    for (uint64_t i = 0; i < p->train->rows * classes; i++)
        if (!isfinite(p->probability[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %llu of the training data: the model's probabilities are not "
                               "finite",
                               (unsigned long long)(i / classes));
    return TAMIS_OK;
}

/* --- gradients -------------------------------------------------------------------------------- */

/* A row's gradient from its inputs and deltas. */
static void expand(const making *m, size_t row, double *out)
{
    const tamis__wide *network = &m->problem->network;
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t in = (size_t)(layer->in + layer->bias), n = (size_t)layer->out;
        const double *input = m->batch.input[l] + row * in, *delta = m->batch.delta[l] + row * n;
        double *block = out + layer->first_column;
        for (size_t o = 0; o < n; o++)
            for (size_t j = 0; j < in; j++) block[o * in + j] = delta[o] * input[j];
    }
}

/* Deltas of class c as everyone's label, times the root of its probability. */
static void set_delta(making *m, size_t c)
{
    const tamis__pbrf_problem *p = m->problem;
    size_t classes = (size_t)p->network.classes;
    for (size_t i = 0; i < m->batch.rows; i++) {
        const double *probability = p->probability + (m->done + i) * classes;
        double *delta = m->batch.delta[p->network.layers - 1] + i * classes;
        double root = sqrt(probability[c]);
        for (size_t j = 0; j < classes; j++)
            delta[j] = root * (probability[j] - (j == c ? 1.0 : 0.0));
    }
}

static tamis_status fill_gradients(making *m, tamis_error *err)
{
    const tamis__pbrf_problem *p = m->problem;
    uint64_t left = p->train->rows - m->done;
    size_t rows = (size_t)(left < m->examples ? left : m->examples);
    size_t classes = (size_t)p->network.classes;
    TAMIS_TRY(tamis__wide_forward(&m->batch, &p->network, p->start, p->train, m->done, rows, err));
    for (size_t c = 0; c < classes; c++) {
        set_delta(m, c);
        TAMIS_TRY(tamis__wide_backward(&m->batch, &p->network, p->start, err));
        for (size_t i = 0; i < rows; i++)
            expand(m, i, m->gradient + (i * classes + c) * p->network.parameters);
    }
    m->rows = rows * classes;
    return TAMIS_OK;
}

/* --- tiles ------------------------------------------------------------------------------------ */

/* Item: a tile on or below the diagonal. */
static tamis_status add_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot;
    (void)worker;
    const making *m = arg;
    const tamis__pbrf_problem *p = m->problem;
    size_t n = (size_t)p->network.parameters, down = 0;
    while ((down + 1) * (down + 2) / 2 <= item) down++;
    size_t i = down * TILE, j = (size_t)(item - down * (down + 1) / 2) * TILE;
    size_t rows = n - i < TILE ? n - i : TILE, columns = n - j < TILE ? n - j : TILE;
    return tamis__dgemm(true, false, rows, columns, (size_t)m->rows, 1.0 / (double)p->train->rows,
                        m->gradient + i, n, m->gradient + j, n, 1.0, p->matrix + i * n + j, n, err);
}

static tamis_status sum_tiles(making *m, tamis_error *err)
{
    const tamis__pbrf_problem *p = m->problem;
    uint64_t edge = (p->network.parameters + TILE - 1) / TILE;
    tamis__pipeline tiles = {.arg = m, .items = edge * (edge + 1) / 2, .work = add_tile};
    while (m->done < p->train->rows) {
        TAMIS_TRY(fill_gradients(m, err));
        TAMIS_TRY(tamis__pool_run(p->context->pool, &tiles, err));
        m->done += m->rows / p->network.classes;
        TAMIS_TRY(tamis__progress(p->context, "Gauss-Newton matrix", m->done, p->train->rows,
                                  "rows", NULL, err));
    }
    return TAMIS_OK;
}

/* --- damping and the factor ------------------------------------------------------------------- */

/* The mean of a block's eigenvalues is that of its diagonal. */
static tamis_status damp(tamis__pbrf_problem *p, double relative, const double *absolute,
                         tamis_error *err)
{
    size_t n = (size_t)p->network.parameters;
    for (uint32_t l = 0; l < p->network.layers; l++) {
        const tamis_layer *layer = &p->network.layer[l];
        size_t first = (size_t)layer->first_column, columns = (size_t)tamis_layer_columns(layer);
        double trace = 0.0;
        for (size_t i = first; i < first + columns; i++) trace += p->matrix[i * n + i];
        p->damping[l] = absolute ? absolute[l] : relative * (trace / (double)columns);
        if (!(p->damping[l] > 0.0) || !isfinite(p->damping[l]))
            return tamis__fail(
                err, TAMIS_ERR_NUMERIC,
                "%s has no curvature on the training data (mean eigenvalue %g): give "
                "its damping as a number, with --damping-absolute",
                layer->name, trace / (double)columns);
        for (size_t i = first; i < first + columns; i++) p->matrix[i * n + i] += p->damping[l];
    }
    return TAMIS_OK;
}

static tamis_status make(making *m, double relative, const double *absolute, tamis_error *err)
{
    tamis__pbrf_problem *p = m->problem;
    size_t n = (size_t)p->network.parameters;
    TAMIS_TRY(find_probabilities(m, err));
    TAMIS_TRY(sum_tiles(m, err));
    TAMIS_TRY(damp(p, relative, absolute, err));
    return tamis__cholesky(n, p->matrix, n, "the damped Gauss-Newton matrix",
                           "raise the damping with --damping", err);
}

tamis_status tamis__pbrf_matrix(tamis__pbrf_problem *problem, double relative,
                                const double *absolute, tamis_error *err)
{
    const tamis__wide *network = &problem->network;
    making m = {.problem = problem, .examples = examples_at_once(network)};
    TAMIS_TRY(tamis__wide_batch_init(&m.batch, network, TAMIS__PBRF_ROWS, err));
    m.gradient = tamis__malloc((size_t)gradient_doubles(network), sizeof *m.gradient);
    tamis_status status = m.gradient
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "gradients",
                                                   gradient_doubles(network) * sizeof *m.gradient);
    if (status == TAMIS_OK) {
        tamis__blas_begin();
        status = make(&m, relative, absolute, err);
        tamis__blas_end();
    }
    free(m.gradient);
    tamis__wide_batch_fini(&m.batch);
    return status;
}
