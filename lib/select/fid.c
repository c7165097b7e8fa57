/* fid: the clusters of candidates that together are nearest to the targets by Frechet distance,
 * pruned to the budget by k-center.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/fid.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/facts.h"
#include "select/greedy.h"
#include "select/pair.h"
#include "select/quotas.h"
#include "select/values.h"

enum { CLUSTERS, KIND, ITERATIONS, N_PARAMS };
enum { PLAIN, SPHERICAL };
enum { DEFAULT_CLUSTERS = 50 };

static const char *const kinds[] = {"plain", "spherical", NULL};

static const tamis_param_desc params[N_PARAMS] = {
    {.name = "clusters",
     .help = "of candidates, by k-means; 0: 50, or one for each row where there are fewer",
     .type = TAMIS_PARAM_INTEGER,
     .max = 1e6},
    {.name = "kind",
     .help = "rows as they are, or of length 1 (cosines)",
     .type = TAMIS_PARAM_CHOICE,
     .choices = kinds},
    {.name = "iterations",
     .help = "of k-means, at most",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e6,
     .fallback = 100},
};

typedef struct fid_options {
    uint64_t clusters, iterations;
    bool spherical;
} fid_options;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    fid_options *o = state;
    o->clusters = (uint64_t)param[CLUSTERS].number;
    o->iterations = (uint64_t)param[ITERATIONS].number;
    o->spherical = param[KIND].number == SPHERICAL;
    return TAMIS_OK;
}

typedef struct run {
    const fid_options *options;
    const tamis__candidates *c;
    tamis__whitening whitening;
    uint64_t *row; /* [n] candidates that are not barred; NULL = all */
    tamis__fid fid;
    uint64_t used;           /* clusters that rows are picked from */
    tamis__fid_picks *picks; /* [used] */
    uint64_t *pick;          /* [n] where they are */
    tamis__picks chosen;
} run;

static uint64_t row_of(const run *r, uint64_t point)
{
    return r->row ? r->row[point] : point;
}

static bool must_keep(const run *r, uint64_t point)
{
    return r->c->standing && r->c->standing[row_of(r, point)] == TAMIS__MUST_KEEP;
}

/* --- points ----------------------------------------------------------------------------------- */

static tamis_status list_rows(run *r, uint64_t *ret_n, tamis_error *err)
{
    uint64_t n = 0;
    if (!r->c->standing) return TAMIS_OK;
    r->row = tamis__malloc(r->c->rows, sizeof *r->row);
    if (!r->row) return tamis__fail_memory(err, "candidates", r->c->rows * sizeof *r->row);
    for (uint64_t i = 0; i < r->c->rows; i++)
        if (r->c->standing[i] != TAMIS__BARRED) r->row[n++] = i;
    *ret_n = n;
    return TAMIS_OK;
}

static void warn_few(const run *r)
{
    uint64_t rows = r->fid.target.n, columns = r->fid.target.columns;
    if (rows > columns) return;
    tamis__log(r->c->context, TAMIS_LOG_WARNING,
               "%" PRIu64 " targets for %" PRIu64 " columns: their covariance has directions that "
               "no target tells of; project the rows first (tamis convert --project)",
               rows, columns);
}

static tamis_status open_points(run *r, tamis_error *err)
{
    const tamis_select_params *source = r->c->source;
    bool unit = r->options->spherical;
    uint64_t n = 0;
    TAMIS_TRY(tamis__pair_check(source, err));
    if (source->curvature) {
        TAMIS_TRY(tamis__memory_check(r->c->context, tamis__whitening_bytes(source->curvature),
                                      "a whitening", err));
        TAMIS_TRY(tamis__whitening_load(&r->whitening, source->curvature, err));
    }
    TAMIS_TRY(list_rows(r, &n, err));
    const tamis__whitening *whitening = source->curvature ? &r->whitening : NULL;
    r->fid.target = (tamis__cluster_rows){
        .context = r->c->context, .store = source->query, .whitening = whitening, .unit = unit};
    TAMIS_TRY(tamis__cluster_rows_open(&r->fid.target, err));
    warn_few(r);
    r->fid.rows = (tamis__cluster_rows){.context = r->c->context,
                                        .store = source->train,
                                        .whitening = whitening,
                                        .unit = unit,
                                        .row = r->row,
                                        .n = n};
    return tamis__cluster_rows_open(&r->fid.rows, err);
}

static tamis_status find_clusters(run *r, tamis_error *err)
{
    uint64_t n = r->fid.rows.n, clusters = r->options->clusters;
    if (clusters > n)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "fid: %" PRIu64 " clusters of %" PRIu64 " candidates: ask for fewer",
                           clusters, n);
    if (clusters == 0) clusters = n < DEFAULT_CLUSTERS ? n : DEFAULT_CLUSTERS;
    const tamis__k_means_params how = {.clusters = clusters,
                                       .iterations = r->options->iterations,
                                       .tolerance = 1e-4,
                                       .spherical = r->options->spherical,
                                       .seed = r->c->seed};
    TAMIS_TRY(tamis__k_means_find(&r->fid.rows, &how, &r->fid.means, err));
    return tamis__fid_measure(&r->fid, err);
}

/* --- picks ------------------------------------------------------------------------------------ */

/* Rows of each cluster that must be kept are its first picks. The nearest clusters are used, and
 * more of them when they have too few rows for the budget. */
static uint64_t find_used(run *r, uint64_t *musts)
{
    const tamis__fid *f = &r->fid;
    uint64_t all = 0, within = 0, used = 0;
    for (uint64_t i = 0; i < f->rows.n; i++)
        if (must_keep(r, i)) musts[f->means.cluster[i]]++, all++;
    for (; used < f->occupied; used++) {
        uint64_t cluster = f->order[used];
        if (used >= f->best && within >= r->c->budget - all) break;
        within += f->means.size[cluster] - musts[cluster];
    }
    return used;
}

static tamis_status share_budget(run *r, const uint64_t *musts, uint64_t *quota, tamis_error *err)
{
    const tamis__fid *f = &r->fid;
    uint64_t left = r->c->budget;
    double *weight = tamis__malloc(r->used, sizeof *weight);
    uint64_t *low = tamis__calloc(r->used, sizeof *low),
             *high = tamis__malloc(r->used, sizeof *high);
    tamis_status status = TAMIS_OK;
    if (!weight || !low || !high) status = tamis__fail_memory(err, "clusters", r->used * 24);
    for (uint64_t j = 0; j < f->means.clusters; j++) left -= musts[j];
    for (uint64_t i = 0; i < r->used && status == TAMIS_OK; i++) {
        high[i] = f->means.size[f->order[i]] - musts[f->order[i]];
        weight[i] = (double)high[i];
    }
    if (status == TAMIS_OK)
        status = tamis__quotas_bounded(weight, low, high, r->used, left, quota, err);
    free(weight);
    free(low);
    free(high);
    return status;
}

static tamis_status pick_rows(run *r, const uint64_t *musts, const uint64_t *quota,
                              tamis_error *err)
{
    tamis__fid *f = &r->fid;
    uint64_t at = 0;
    for (uint64_t i = 0; i < r->used; i++) {
        uint64_t cluster = f->order[i], given = 0;
        tamis__fid_picks *p = &r->picks[i];
        *p = (tamis__fid_picks){musts[cluster], musts[cluster] + quota[i], r->pick + at};
        for (uint64_t k = f->first[cluster]; k < f->first[cluster + 1] && given < p->given; k++)
            if (must_keep(r, f->at[k])) p->pick[given++] = f->at[k];
        at += p->wanted;
    }
    return tamis__fid_pick(f, r->used, r->picks, err);
}

static tamis_status find_picks(run *r, tamis_error *err)
{
    uint64_t *musts = tamis__calloc(r->fid.means.clusters, sizeof *musts), *quota = NULL;
    if (!musts) return tamis__fail_memory(err, "clusters", r->fid.means.clusters * sizeof *musts);
    r->used = find_used(r, musts);
    quota = tamis__malloc(r->used, sizeof *quota);
    r->picks = tamis__calloc(r->used, sizeof *r->picks);
    r->pick = tamis__malloc(r->fid.rows.n, sizeof *r->pick);
    tamis_status status = quota && r->picks && r->pick
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "picks", r->fid.rows.n * sizeof *r->pick);
    if (status == TAMIS_OK) status = share_budget(r, musts, quota, err);
    if (status == TAMIS_OK) status = pick_rows(r, musts, quota, err);
    free(musts);
    free(quota);
    return status;
}

/* --- the selection ---------------------------------------------------------------------------- */

/* Rows that are dropped because of their cluster are told so. */
static tamis_status explain_far(const run *r, tamis_selection *selection, tamis_error *err)
{
    const tamis__fid *f = &r->fid;
    uint16_t far;
    TAMIS_TRY(tamis_selection_reason(
        selection, "its cluster is none of those that are nearest to the targets", &far, err));
    for (uint64_t i = r->used; i < f->occupied; i++)
        for (uint64_t k = f->first[f->order[i]]; k < f->first[f->order[i] + 1]; k++)
            if (!selection->keep[row_of(r, f->at[k])]) selection->reason[row_of(r, f->at[k])] = far;
    return TAMIS_OK;
}

static tamis_status give_picks(run *r, double *value, tamis_selection *selection, tamis_error *err)
{
    const tamis__fid *f = &r->fid;
    for (uint64_t i = 0; i < r->c->rows; i++) value[i] = (double)NAN;
    for (uint64_t i = 0; i < f->rows.n; i++)
        value[row_of(r, i)] = -f->distance[f->means.cluster[i]];
    for (uint64_t i = 0; i < r->c->rows; i++) selection->score[i] = tamis__narrow(value[i]);
    for (uint64_t i = 0; i < r->used; i++)
        for (uint64_t k = r->picks[i].given; k < r->picks[i].wanted; k++)
            tamis__picks_add(&r->chosen, row_of(r, r->picks[i].pick[k]));
    TAMIS_TRY(tamis__picks_give(
        &r->chosen, value, "picked by k-center in a cluster near the targets",
        "near rows that are kept, in a cluster near the targets", selection, err));
    return explain_far(r, selection, err);
}

static json_t *facts_of(const run *r)
{
    const tamis__fid *f = &r->fid;
    json_t *list = json_array();
    for (uint64_t i = 0; list && i < f->occupied; i++) {
        uint64_t j = f->order[i];
        json_t *one = json_pack("{s:I, s:I, s:f, s:f}", "cluster", (json_int_t)j, "rows",
                                (json_int_t)f->means.size[j], "distance", f->distance[j],
                                "together", f->together[i]);
        if (json_array_append_new(list, one) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    if (!list) return NULL;
    return json_pack("{s:I, s:I, s:b, s:I, s:I, s:f, s:o}", "targets", (json_int_t)f->target.n,
                     "iterations", (json_int_t)f->means.iterations, "converged",
                     (int)f->means.converged, "nearest", (json_int_t)f->best, "used",
                     (json_int_t)r->used, "distance", f->together[r->used - 1], "clusters", list);
}

static tamis_status give(run *r, tamis_selection *selection, tamis_error *err)
{
    double *value = tamis__malloc(r->c->rows, sizeof *value);
    if (!value) return tamis__fail_memory(err, "values", r->c->rows * sizeof *value);
    tamis_status status = give_picks(r, value, selection, err);
    free(value);
    return status == TAMIS_OK ? tamis__selection_facts(selection, facts_of(r), err) : status;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    run r = {.options = state, .c = c};
    tamis_status status = tamis__picks_init(&r.chosen, c, err);
    if (status == TAMIS_OK) status = open_points(&r, err);
    if (status == TAMIS_OK) status = find_clusters(&r, err);
    if (status == TAMIS_OK) status = find_picks(&r, err);
    if (status == TAMIS_OK) status = give(&r, selection, err);
    tamis__picks_fini(&r.chosen);
    tamis__fid_fini(&r.fid);
    tamis__whitening_fini(&r.whitening);
    free(r.row);
    free(r.picks);
    free(r.pick);
    return status;
}

const tamis__selector_class tamis__selector_fid = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "fid",
             .summary = "clusters nearest to the targets by Frechet distance, pruned by k-center",
             .citation = "Yao, Gedeon and Zheng, Large-scale Training Data Search for Object "
                         "Re-identification, CVPR 2023: search and pruning (SnP)",
             .flags = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_LISTS,
             .params = params,
             .n_params = N_PARAMS},
    .state_size = sizeof(fid_options),
    .init = init,
    .select = choose,
};
