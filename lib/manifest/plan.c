/* Where records go.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "manifest/splits.h"
#include "select/quotas.h"

/* --- how often -------------------------------------------------------------------------------- */

static tamis_status fail_weights(tamis_error *err)
{
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "the weights of the kept rows are all zero: there is nothing to repeat; leave "
        "out the number of repeats, or weigh the rows");
}

static tamis_status share_out(const tamis_selection *s, const uint64_t *kept, uint64_t n,
                              double *weight, uint64_t *share, tamis__plan *plan,
                              const tamis_manifest_params *params, tamis_error *err)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        weight[i] = (double)s->weight[kept[i]];
        if (!(weight[i] >= 0) || isinf(weight[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64 " of the selection has the weight %g, which is not a "
                               "number of at least 0: make the selection anew",
                               kept[i], weight[i]);
        sum += weight[i];
    }
    if (n == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the selection keeps no row: there is nothing to repeat; leave out the "
                           "number of repeats, or select again");
    if (sum == 0) return fail_weights(err);
    TAMIS_TRY(tamis__largest_remainder(weight, n, params->repeats, share, err));
    for (uint64_t i = 0; i < n; i++) plan->times[kept[i]] = (uint32_t)share[i];
    return TAMIS_OK;
}

static tamis_status make_times(tamis__plan *plan, const tamis_manifest_params *params,
                               tamis_error *err)
{
    const tamis_selection *s = params->selection;
    uint64_t n = 0;
    if (!params->repeats) return TAMIS_OK;
    if (params->repeats > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG, "%" PRIu64 " repeats are more than %" PRIu32,
                           params->repeats, UINT32_MAX);
    plan->times = tamis__malloc((size_t)s->rows, sizeof *plan->times);
    uint64_t *kept = tamis__malloc((size_t)s->rows, sizeof *kept);
    uint64_t *share = tamis__malloc((size_t)s->rows, sizeof *share);
    double *weight = tamis__malloc((size_t)s->rows, sizeof *weight);
    bool there = plan->times && kept && share && weight;
    for (uint64_t row = 0; there && row < s->rows; row++) {
        plan->times[row] = 1;
        if (s->keep[row]) kept[n++] = row;
    }
    tamis_status status = there ? share_out(s, kept, n, weight, share, plan, params, err)
                                : tamis__fail_memory(err, "repeats", s->rows * 28);
    free(kept);
    free(share);
    free(weight);
    return status;
}

tamis_status tamis_repeats_parse(const char *text, uint64_t rows, uint64_t *ret_count,
                                 tamis_error *err)
{
    size_t size = strlen(text);
    double number;
    bool percent = size > 0 && text[size - 1] == '%';
    if (!tamis__parse_double(text, size - percent, &number) || !(number > 0))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "repeats '%s' is neither a number of records (1000) nor a percentage of "
                           "the rows (150%%), above 0",
                           text);
    double count = percent ? floor(number * (double)rows / 100 + 0.5) : number;
    if (count != floor(count) || count < 1 || count > (double)UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "repeats '%s' is not a number of records from 1 to %" PRIu32, text,
                           UINT32_MAX);
    *ret_count = (uint64_t)count;
    return TAMIS_OK;
}

/* --- which part ------------------------------------------------------------------------------- */

/* The output's name with "{}" replaced. */
static char *path_of_split(const char *path, const char *name)
{
    const char *mark = strstr(path, "{}");
    size_t head = (size_t)(mark - path), size = strlen(path) + strlen(name) + 1;
    char *text = tamis__malloc(size, 1);
    if (text) snprintf(text, size, "%.*s%s%s", (int)head, path, name, mark + 2);
    return text;
}

static tamis_status name_parts(tamis__plan *plan, const tamis_manifest_params *params,
                               tamis_error *err)
{
    size_t kept = params->splits ? params->splits : 1;
    plan->of = tamis__calloc(kept + 1, sizeof *plan->of);
    if (!plan->of) return tamis__fail_memory(err, "outputs", (kept + 1) * sizeof *plan->of);
    plan->parts = kept + (params->dropped != NULL);
    for (size_t i = 0; i < plan->parts; i++) {
        tamis__part *part = &plan->of[i];
        part->dropped = i == kept;
        part->name = part->dropped ? "dropped" : params->splits ? params->split[i].name : "kept";
        part->path = part->dropped    ? tamis__strdup(params->dropped)
                     : params->splits ? path_of_split(params->output, part->name)
                                      : tamis__strdup(params->output);
        if (!part->path) return tamis__fail_memory(err, "a file name", 1);
    }
    return TAMIS_OK;
}

static tamis_status place_rows(tamis__plan *plan, const tamis_manifest_params *params,
                               tamis_error *err)
{
    const tamis_selection *s = params->selection;
    uint16_t last = (uint16_t)(plan->parts - 1);
    plan->part = tamis__malloc((size_t)s->rows, sizeof *plan->part);
    if (!plan->part) return tamis__fail_memory(err, "outputs of rows", s->rows * 2);
    for (uint64_t row = 0; row < s->rows; row++)
        plan->part[row] = s->keep[row] ? 0 : params->dropped ? last : TAMIS__NOWHERE;
    return params->splits ? tamis__split_rows(params, plan->part, err) : TAMIS_OK;
}

/* --- in which order --------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b, void *arg)
{
    const tamis_selection *s = arg;
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    if (s->rank[x] != s->rank[y]) return s->rank[x] < s->rank[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Repeats of a row are neighbours in the order of scores, and anywhere after a shuffle. */
static tamis_status order_part(const tamis__plan *plan, const tamis_manifest_params *params,
                               size_t which, tamis_error *err)
{
    tamis__part *part = &plan->of[which];
    uint64_t n = 0;
    part->row = tamis__malloc((size_t)(part->n ? part->n : 1), sizeof *part->row);
    if (!part->row) return tamis__fail_memory(err, "the order of records", part->n * 8);
    for (uint64_t row = 0; row < plan->rows; row++)
        for (uint32_t k = 0; plan->part[row] == which && k < tamis__plan_times(plan, row); k++)
            part->row[n++] = row;
    if (params->order == TAMIS_MANIFEST_SCORE) {
        qsort_r(part->row, (size_t)n, sizeof *part->row, by_rank,
                (void *)(uintptr_t)params->selection);
        return TAMIS_OK;
    }
    uint64_t *order = tamis__malloc((size_t)(n ? n : 1), sizeof *order);
    gsl_rng *rng = order ? tamis__rng_create() : NULL;
    if (!rng) {
        free(order);
        return tamis__fail_memory(err, "the order of records", n * 8);
    }
    tamis__rng_key(rng, params->shuffle_seed, TAMIS__STREAM_MANIFEST, which);
    tamis__rng_permutation(rng, order, n);
    for (uint64_t i = 0; i < n; i++) order[i] = part->row[order[i]];
    gsl_rng_free(rng);
    free(part->row);
    part->row = order;
    return TAMIS_OK;
}

static tamis_status order_rows(tamis__plan *plan, const tamis_manifest_params *params,
                               tamis_error *err)
{
    for (uint64_t row = 0; row < plan->rows; row++)
        if (plan->part[row] != TAMIS__NOWHERE)
            plan->of[plan->part[row]].n += tamis__plan_times(plan, row);
    plan->in_order = params->order == TAMIS_MANIFEST_SOURCE;
    for (size_t i = 0; !plan->in_order && i < plan->parts; i++)
        if (!plan->of[i].dropped) TAMIS_TRY(order_part(plan, params, i, err));
    return TAMIS_OK;
}

static tamis_status fill(tamis__plan *plan, const tamis_manifest_params *params, tamis_error *err)
{
    if (params->splits) TAMIS_TRY(tamis__splits_check(params, err));
    TAMIS_TRY(make_times(plan, params, err));
    TAMIS_TRY(name_parts(plan, params, err));
    TAMIS_TRY(place_rows(plan, params, err));
    return order_rows(plan, params, err);
}

tamis_status tamis__plan_make(tamis__plan *ret_plan, const tamis_manifest_params *params,
                              tamis_error *err)
{
    tamis__plan plan = {.rows = params->selection->rows};
    tamis_status status = fill(&plan, params, err);
    if (status == TAMIS_OK)
        *ret_plan = plan;
    else
        tamis__plan_fini(&plan);
    return status;
}

void tamis__plan_fini(tamis__plan *plan)
{
    for (size_t i = 0; plan->of && i < plan->parts; i++) {
        free(plan->of[i].path);
        free(plan->of[i].row);
    }
    free(plan->of);
    free(plan->part);
    free(plan->times);
    *plan = (tamis__plan){0};
}
