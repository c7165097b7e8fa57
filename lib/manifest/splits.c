/* Splits such as train and valid.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/splits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "manifest/plan.h"
#include "select/quotas.h"

static tamis_status check_name(const tamis_manifest_params *params, size_t i, tamis_error *err)
{
    const tamis_manifest_split *split = &params->split[i];
    if (!split->name || !*split->name || strchr(split->name, '/'))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "split %zu has no name that can be part of a file's name", i + 1);
    if (!(split->share > 0) || isinf(split->share))
        return tamis__fail(err, TAMIS_ERR_ARG, "the share of split '%s' is not above 0",
                           split->name);
    for (size_t k = 0; k < i; k++)
        if (!strcmp(params->split[k].name, split->name))
            return tamis__fail(err, TAMIS_ERR_ARG, "there are two splits named '%s'", split->name);
    return TAMIS_OK;
}

tamis_status tamis__splits_check(const tamis_manifest_params *params, tamis_error *err)
{
    const char *mark = strstr(params->output, "{}");
    if (!mark || strstr(mark + 2, "{}"))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "with splits the output's name must hold {} once, where the split's name "
            "goes, such as 'data-{}.jsonl': it is '%s'",
            params->output);
    if (params->splits >= TAMIS__NOWHERE)
        return tamis__fail(err, TAMIS_ERR_ARG, "%zu splits are too many", params->splits);
    for (size_t i = 0; i < params->splits; i++) TAMIS_TRY(check_name(params, i, err));
    return TAMIS_OK;
}

/* The next `left[s]` of the drawn rows go to split s. */
static tamis_status by_row(const tamis_manifest_params *params, const uint64_t *kept, uint64_t n,
                           const uint64_t *order, uint16_t *part, tamis_error *err)
{
    double *share = tamis__malloc(params->splits, sizeof *share);
    uint64_t *count = tamis__malloc(params->splits, sizeof *count), at = 0;
    tamis_status status = share && count ? TAMIS_OK : tamis__fail_memory(err, "splits", n);
    for (size_t s = 0; status == TAMIS_OK && s < params->splits; s++)
        share[s] = params->split[s].share;
    if (status == TAMIS_OK) status = tamis__largest_remainder(share, params->splits, n, count, err);
    for (size_t s = 0; status == TAMIS_OK && s < params->splits; s++)
        for (uint64_t k = 0; k < count[s]; k++) part[kept[order[at++]]] = (uint16_t)s;
    free(share);
    free(count);
    return status;
}

typedef struct member {
    int32_t group;
    uint64_t row;
} member;

static int by_group_then_row(const void *a, const void *b)
{
    const member *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* A row in no group is like a group of one. Labels may be negative: -1 and 1 are two classes. */
static bool is_alone(const tamis_examples *e, int32_t group)
{
    return e->group && group < 0;
}

/* The split that lacks the largest part of what it should have, ties to the first. */
static size_t neediest(const tamis_manifest_params *params, const double *has, double all)
{
    size_t best = 0;
    double most = -HUGE_VAL, sum = 0;
    for (size_t s = 0; s < params->splits; s++) sum += params->split[s].share;
    for (size_t s = 0; s < params->splits; s++) {
        double wanted = params->split[s].share / sum * all, lacks = (wanted - has[s]) / wanted;
        if (lacks > most) {
            most = lacks;
            best = s;
        }
    }
    return best;
}

/* start [groups + 1]: where each run of equal groups starts. */
static void deal_out(const tamis_manifest_params *params, const member *sorted, uint64_t n,
                     const uint64_t *start, uint64_t groups, const uint64_t *order, double *has,
                     uint16_t *part)
{
    for (uint64_t i = 0; i < groups; i++) {
        uint64_t g = order[i];
        size_t s = neediest(params, has, (double)n);
        for (uint64_t k = start[g]; k < start[g + 1]; k++) part[sorted[k].row] = (uint16_t)s;
        has[s] += (double)(start[g + 1] - start[g]);
    }
}

static tamis_status by_group(const tamis_manifest_params *params, const uint64_t *kept, uint64_t n,
                             gsl_rng *rng, uint16_t *part, tamis_error *err)
{
    const tamis_examples *e = &params->selection->examples;
    const int32_t *group = e->group ? e->group : e->label;
    if (!group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "rows cannot be split by group: the selection has neither groups nor "
                           "labels");
    member *sorted = tamis__malloc((size_t)n + 1, sizeof *sorted);
    uint64_t *start = tamis__malloc((size_t)n + 1, sizeof *start), groups = 0;
    uint64_t *order = tamis__malloc((size_t)n + 1, sizeof *order);
    double *has = tamis__calloc(params->splits, sizeof *has);
    bool there = sorted && start && order && has;
    if (there) {
        for (uint64_t i = 0; i < n; i++) sorted[i] = (member){group[kept[i]], kept[i]};
        qsort(sorted, (size_t)n, sizeof *sorted, by_group_then_row);
        for (uint64_t i = 0; i < n; i++)
            if (i == 0 || sorted[i].group != sorted[i - 1].group || is_alone(e, sorted[i].group))
                start[groups++] = i;
        start[groups] = n;
        tamis__rng_permutation(rng, order, groups);
        deal_out(params, sorted, n, start, groups, order, has, part);
    }
    free(sorted);
    free(start);
    free(order);
    free(has);
    return there ? TAMIS_OK : tamis__fail_memory(err, "splits", n * sizeof *sorted);
}

tamis_status tamis__split_rows(const tamis_manifest_params *params, uint16_t *part,
                               tamis_error *err)
{
    const tamis_selection *s = params->selection;
    uint64_t n = 0;
    uint64_t *kept = tamis__malloc((size_t)s->rows, sizeof *kept);
    uint64_t *order = tamis__malloc((size_t)s->rows, sizeof *order);
    gsl_rng *rng = tamis__rng_create();
    tamis_status status = kept && order && rng ? TAMIS_OK
                                               : tamis__fail_memory(err, "splits", s->rows * 16);
    for (uint64_t row = 0; status == TAMIS_OK && row < s->rows; row++)
        if (s->keep[row]) kept[n++] = row;
    if (status == TAMIS_OK) {
        tamis__rng_key(rng, params->split_seed, TAMIS__STREAM_SPLIT, 0);
        if (params->split_by_group) {
            status = by_group(params, kept, n, rng, part, err);
        } else {
            tamis__rng_permutation(rng, order, n);
            status = by_row(params, kept, n, order, part, err);
        }
    }
    if (rng) gsl_rng_free(rng);
    free(kept);
    free(order);
    return status;
}
