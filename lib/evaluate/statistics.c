/* Intervals by resampling.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/statistics.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"

/* --- intervals -------------------------------------------------------------------------------- */

double tamis__quantile(const double *sorted, uint64_t n, double p)
{
    double at = p * (double)(n - 1);
    uint64_t below = (uint64_t)floor(at);
    if (below + 1 >= n) return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

double tamis__student(uint64_t freedom)
{
    return gsl_cdf_tdist_Pinv(0.975, (double)freedom);
}

double tamis__deviation(const double *value, uint64_t n, size_t stride)
{
    double mean = 0, squares = 0;
    if (n < 2) return 0;
    for (uint64_t i = 0; i < n; i++) mean += value[i * stride];
    mean /= (double)n;
    for (uint64_t i = 0; i < n; i++) {
        double d = value[i * stride] - mean;
        squares += d * d;
    }
    return sqrt(squares / (double)(n - 1));
}

tamis_status tamis__bootstrap_check(const tamis_bootstrap *bootstrap, tamis_error *err)
{
    double level = bootstrap->level;
    if (level == 0 || (level > 0 && level < 1)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "level %g is out of range: it must be above 0 and below 1", level);
}

typedef struct draws {
    const tamis__resampling *resampling;
    gsl_rng **rng;          /* [threads] */
    double *weight;         /* [threads, items] */
    unsigned char *scratch; /* [threads, scratch] */
    double *draw;           /* [draws, values] */
    tamis_context *context;
} draws;

static tamis_status draw_one(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot;
    (void)err;
    const draws *d = arg;
    const tamis__resampling *r = d->resampling;
    double *weight = d->weight + worker * r->items;
    tamis__rng_key(d->rng[worker], r->bootstrap->seed, TAMIS__STREAM_BOOTSTRAP, item);
    for (uint64_t i = 0; i < r->items; i++) weight[i] = 0;
    for (uint64_t i = 0; i < r->items; i++)
        weight[gsl_rng_uniform_int(d->rng[worker], (unsigned long)r->items)] += 1;
    r->statistic(r->arg, weight, d->scratch + worker * r->scratch, d->draw + item * r->values);
    return TAMIS_OK;
}

static tamis_status tell_draw(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const draws *d = arg;
    return tamis__progress(d->context, "resampling", item + 1, d->resampling->bootstrap->draws,
                           "draws", NULL, err);
}

static bool make_rngs(gsl_rng **rng, unsigned threads)
{
    for (unsigned i = 0; rng && i < threads; i++)
        if (!(rng[i] = tamis__rng_create())) return false;
    return rng != NULL;
}

tamis_status tamis__resample(tamis_context *context, const tamis__resampling *resampling,
                             double *ret_draw, tamis_error *err)
{
    unsigned threads = tamis_context_threads(context);
    draws d = {.resampling = resampling, .draw = ret_draw, .context = context};
    tamis__pipeline pipeline = {
        .arg = &d, .items = resampling->bootstrap->draws, .work = draw_one, .consume = tell_draw};
    if (pipeline.items == 0) return TAMIS_OK;
    d.rng = tamis__calloc(threads, sizeof(gsl_rng *));
    d.weight = tamis__calloc((size_t)(threads * resampling->items), sizeof *d.weight);
    d.scratch = tamis__aligned(threads, resampling->scratch);
    tamis_status status = TAMIS_OK;
    if (!make_rngs(d.rng, threads) || !d.weight || !d.scratch)
        status = tamis__fail_memory(err, "resampling",
                                    threads * (resampling->items * 8 + resampling->scratch));
    else
        status = tamis__pool_run(context->pool, &pipeline, err);
    for (unsigned i = 0; d.rng && i < threads; i++)
        if (d.rng[i]) gsl_rng_free(d.rng[i]);
    free(d.rng);
    free(d.weight);
    free(d.scratch);
    return status;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

tamis_status tamis__estimate(double value, const double *draw, size_t stride,
                             const tamis_bootstrap *bootstrap, tamis_estimate *ret_estimate,
                             tamis_error *err)
{
    tamis_estimate e = {value, (double)NAN, (double)NAN, (double)NAN};
    uint64_t n = bootstrap->draws;
    double outside = 1.0 - (bootstrap->level > 0 ? bootstrap->level : 0.95);
    if (n > 0 && draw) {
        double *sorted = tamis__malloc((size_t)n, sizeof *sorted);
        if (!sorted) return tamis__fail_memory(err, "an interval", n * sizeof *sorted);
        for (uint64_t i = 0; i < n; i++) sorted[i] = draw[i * stride];
        qsort(sorted, (size_t)n, sizeof *sorted, ascending);
        e.low = tamis__quantile(sorted, n, outside / 2);
        e.high = tamis__quantile(sorted, n, 1 - outside / 2);
        e.error = tamis__deviation(sorted, n, 1);
        free(sorted);
        if (bootstrap->normal) {
            double reach = gsl_cdf_ugaussian_Pinv(1 - outside / 2) * e.error;
            e.low = value - reach;
            e.high = value + reach;
        }
    }
    *ret_estimate = e;
    return TAMIS_OK;
}

tamis_status tamis_estimate_difference(const tamis_estimate *a, const double *draw_a,
                                       const tamis_estimate *b, const double *draw_b,
                                       const tamis_bootstrap *bootstrap,
                                       tamis_estimate *ret_difference, tamis_error *err)
{
    double value = a->value - b->value, *difference = NULL;
    TAMIS_TRY(tamis__bootstrap_check(bootstrap, err));
    if (bootstrap->draws > 0 && draw_a && draw_b) {
        difference = tamis__malloc((size_t)bootstrap->draws, sizeof *difference);
        if (!difference)
            return tamis__fail_memory(err, "an interval", bootstrap->draws * sizeof *difference);
        for (uint64_t i = 0; i < bootstrap->draws; i++) difference[i] = draw_a[i] - draw_b[i];
    }
    tamis_status status = tamis__estimate(value, difference, 1, bootstrap, ret_difference, err);
    free(difference);
    return status;
}
