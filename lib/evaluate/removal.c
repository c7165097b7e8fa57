/* Training on what is left after the first rows by score were dropped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/retrain.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"
#include "select/values.h"

typedef struct removing {
    const tamis_removal_params *params;
    uint64_t rows, seeds, orders; /* orders: 1, or one for each seed */
    uint64_t *order;              /* [orders, rows] who goes first */
    uint8_t *member;              /* [orders, points, rows] */
    tamis__run *run;              /* [points, seeds] */
} removing;

static tamis_status check(const tamis_removal_params *p, const tamis_retrain_params *retrain,
                          tamis_error *err)
{
    if (retrain->seeds == 0) return tamis__fail(err, TAMIS_ERR_ARG, "at least one seed is needed");
    if (p->points == 0) return tamis__fail(err, TAMIS_ERR_ARG, "no fraction is given");
    for (uint32_t i = 0; i < p->points; i++) {
        double f = p->fraction[i];
        if (!(p->keep ? f > 0 && f <= 1 : f >= 0 && f < 1))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "cannot %s %g%% of the rows: something must be left to train on",
                               p->keep ? "keep" : "drop", 100 * f);
        if (i > 0 && !(f > p->fraction[i - 1]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "fractions must ascend: %g%% does not come after %g%%", 100 * f,
                               100 * p->fraction[i - 1]);
    }
    if (p->scores) TAMIS_TRY(tamis__need_matrix(p->scores, err));
    return p->scores ? tamis__need_shape(p->scores, retrain->data->rows, 0, "training data", err)
                     : TAMIS_OK;
}

/* --- who goes first --------------------------------------------------------------------------- */

static tamis_status order_by_score(removing *m, tamis_context *context, tamis_error *err)
{
    double *value = NULL;
    const tamis_removal_params *p = m->params;
    TAMIS_TRY(tamis__aggregate(context, p->scores, p->by, &value, err));
    tamis_status status = tamis__order(value, m->rows, !p->lowest_first, &m->order, err);
    free(value);
    return status;
}

static tamis_status order_at_random(removing *m, tamis_error *err)
{
    gsl_rng *rng = tamis__rng_create();
    m->order = tamis__malloc((size_t)(m->orders * m->rows), sizeof *m->order);
    for (uint64_t i = 0; rng && m->order && i < m->orders; i++) {
        tamis__rng_key(rng, m->params->random_seed, TAMIS__STREAM_REMOVAL, i);
        tamis__rng_permutation(rng, m->order + i * m->rows, m->rows);
    }
    bool made = rng && m->order;
    if (rng) gsl_rng_free(rng);
    return made ? TAMIS_OK : tamis__fail_memory(err, "orders", m->orders * m->rows * 8);
}

/* --- runs ------------------------------------------------------------------------------------- */

/* How many come first at a point; something stays on either side. */
static uint64_t first_rows(const removing *m, uint32_t point)
{
    double exact = m->params->fraction[point] * (double)m->rows;
    uint64_t n = (uint64_t)floor(exact + 0.5);
    if (m->params->keep && n == 0) return 1;
    if (!m->params->keep && n >= m->rows) return m->rows - 1;
    return n < m->rows ? n : m->rows;
}

/* Orders, subsets and runs. */
static tamis_status check_memory(const removing *m, tamis_context *context, tamis_error *err)
{
    /* In double: it is compared with a limit, and products of what is asked for may overflow. */
    double bytes = (double)m->orders * (double)m->rows * (8.0 + (double)m->params->points) +
                   (double)m->params->points * (double)m->seeds * (double)sizeof *m->run;
    return tamis__memory_check(context, bytes < 0x1p63 ? (uint64_t)bytes : UINT64_MAX,
                               "the table of fractions, seeds and rows", err);
}

static tamis_status make_runs(removing *m, tamis_error *err)
{
    uint64_t points = m->params->points, bytes = m->orders * points * m->rows;
    m->member = tamis__malloc((size_t)bytes, 1);
    m->run = tamis__calloc((size_t)(points * m->seeds), sizeof *m->run);
    if (!m->member || !m->run) return tamis__fail_memory(err, "subsets", bytes);
    for (uint64_t o = 0; o < m->orders; o++)
        for (uint32_t p = 0; p < points; p++) {
            uint8_t *member = m->member + (o * points + p) * m->rows;
            uint64_t first = first_rows(m, p);
            memset(member, !m->params->keep, (size_t)m->rows);
            for (uint64_t i = 0; i < first; i++)
                member[m->order[o * m->rows + i]] = m->params->keep;
        }
    for (uint64_t i = 0; i < points * m->seeds; i++) {
        uint64_t point = i / m->seeds, seed = i % m->seeds, o = m->orders > 1 ? seed : 0;
        m->run[i] = (tamis__run){
            .member = m->member + (o * points + point) * m->rows, .seed = seed, .subset = point};
    }
    return TAMIS_OK;
}

/* --- curves ----------------------------------------------------------------------------------- */

/* Mean over the seeds with Student's interval. */
static tamis_estimate over_seeds(const double *value, uint64_t seeds, double *ret_deviation)
{
    tamis_estimate e = {0, (double)NAN, (double)NAN, (double)NAN};
    for (uint64_t s = 0; s < seeds; s++) e.value += value[s] / (double)seeds;
    *ret_deviation = seeds < 2 ? (double)NAN : tamis__deviation(value, seeds, 1);
    if (seeds < 2) return e;
    e.error = *ret_deviation / sqrt((double)seeds);
    e.low = e.value - tamis__student(seeds - 1) * e.error;
    e.high = e.value + tamis__student(seeds - 1) * e.error;
    return e;
}

static tamis_status summarise(const removing *m, const tamis_retrained *r, tamis_removal *removal,
                              tamis_error *err)
{
    double *loss = tamis__calloc((size_t)m->seeds, 2 * sizeof *loss), *accuracy = loss + m->seeds;
    if (!loss) return tamis__fail_memory(err, "losses", m->seeds * 16);
    for (uint32_t p = 0; p < removal->points; p++) {
        tamis_removal_point *point = &removal->point[p];
        uint64_t first = first_rows(m, p);
        for (uint64_t s = 0; s < m->seeds; s++) {
            size_t at = (size_t)((p * m->seeds + s) * r->queries);
            loss[s] = accuracy[s] = 0;
            for (uint64_t q = 0; q < r->queries; q++) {
                loss[s] += r->loss[at + q];
                accuracy[s] += r->correct[at + q];
            }
            loss[s] /= (double)r->queries;
            accuracy[s] /= (double)r->queries;
        }
        point->fraction = m->params->fraction[p];
        point->rows = m->params->keep ? first : m->rows - first;
        point->loss = over_seeds(loss, m->seeds, &point->loss_deviation);
        point->accuracy = over_seeds(accuracy, m->seeds, &point->accuracy_deviation);
    }
    free(loss);
    return TAMIS_OK;
}

static tamis_status run(removing *m, tamis_context *context, const tamis_retrain_params *retrain,
                        tamis_removal *removal, tamis_error *err)
{
    tamis_retrained retrained = {0};
    TAMIS_TRY(check_memory(m, context, err));
    TAMIS_TRY(m->params->scores ? order_by_score(m, context, err) : order_at_random(m, err));
    TAMIS_TRY(make_runs(m, err));
    removal->point = tamis__calloc(removal->points, sizeof *removal->point);
    if (!removal->point)
        return tamis__fail_memory(err, "points", removal->points * sizeof *removal->point);
    TAMIS_TRY(
        tamis__retrain(&retrained, context, retrain, m->run, removal->points * m->seeds, err));
    removal->reused = retrained.reused;
    tamis_status status = summarise(m, &retrained, removal, err);
    tamis_retrained_free(&retrained);
    return status;
}

tamis_status tamis_evaluate_removal(tamis_removal *ret_removal, tamis_context *context,
                                    const tamis_removal_params *params,
                                    const tamis_retrain_params *retrain, tamis_error *err)
{
    TAMIS_TRY(check(params, retrain, err));
    removing m = {.params = params, .rows = retrain->data->rows, .seeds = retrain->seeds};
    m.orders = params->scores ? 1 : m.seeds;
    tamis_removal removal = {.points = params->points};
    tamis_status status = run(&m, context, retrain, &removal, err);
    free(m.order);
    free(m.member);
    free(m.run);
    if (status == TAMIS_OK)
        *ret_removal = removal;
    else
        tamis_removal_free(&removal);
    return status;
}

void tamis_removal_free(tamis_removal *removal)
{
    free(removal->point);
    *removal = (tamis_removal){0};
}
