/* The groups of a query store, and the mean query of each.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/less_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

/* --- which rows belong together --------------------------------------------------------------- */

static tamis_status refuse_row(const tamis_store *query, uint64_t row, tamis_error *err)
{
    char id[256];
    tamis_store_id(query, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s': row %llu (id %s) is in no group: give every query a group, or none",
                       tamis_store_path(query), (unsigned long long)row, id);
}

/* Count rows by group, then number the groups that have any. */
static tamis_status number_groups(tamis__query_groups *g, const tamis_store *query,
                                  uint64_t *number, tamis_error *err)
{
    const tamis_examples *e = tamis_store_examples(query);
    uint64_t rows = tamis_store_info_get(query)->rows;
    for (uint64_t i = 0; i < rows; i++) {
        if (e->group[i] < 0 || (uint32_t)e->group[i] >= e->groups) return refuse_row(query, i, err);
        number[e->group[i]] = 1;
    }
    for (uint32_t j = 0; j < e->groups; j++) {
        if (!number[j]) continue;
        g->name[g->n] = e->group_name[j];
        number[j] = g->n++;
    }
    for (uint64_t i = 0; i < rows; i++) {
        g->member[i] = number[e->group[i]];
        g->size[g->member[i]] += 1.0;
    }
    return TAMIS_OK;
}

static tamis_status fill(tamis__query_groups *g, const tamis_store *query, tamis_error *err)
{
    const tamis_examples *e = tamis_store_examples(query);
    uint64_t rows = tamis_store_info_get(query)->rows, groups = e->group ? e->groups : 1;
    g->member = tamis__calloc(rows, sizeof *g->member);
    g->size = tamis__calloc(groups, sizeof *g->size);
    g->name = tamis__calloc(groups, sizeof *g->name);
    if (!g->member || !g->size || !g->name)
        return tamis__fail_memory(err, "groups of queries", rows * sizeof *g->member);
    if (!e->group) {
        g->n = 1;
        g->size[0] = (double)rows;
        g->name[0] = "all";
        return TAMIS_OK;
    }
    uint64_t *number = tamis__calloc(groups, sizeof *number);
    if (!number) return tamis__fail_memory(err, "groups of queries", groups * sizeof *number);
    tamis_status status = number_groups(g, query, number, err);
    free(number);
    return status;
}

tamis_status tamis__query_groups_init(tamis__query_groups *ret_groups, const tamis_store *query,
                                      tamis_error *err)
{
    tamis__query_groups g = {0};
    tamis_status status = fill(&g, query, err);
    if (status != TAMIS_OK)
        tamis__query_groups_fini(&g);
    else
        *ret_groups = g;
    return status;
}

void tamis__query_groups_fini(tamis__query_groups *groups)
{
    free(groups->member);
    free(groups->size);
    free(groups->name);
    *groups = (tamis__query_groups){0};
}

/* --- means ------------------------------------------------------------------------------------ */

typedef struct means {
    const tamis__score_call *call;
    const tamis__query_groups *groups;
    bool gradient, direction;
    uint64_t columns;
    double *sum; /* [groups, columns] of one checkpoint */
    float *row;  /* [columns] */
} means;

static tamis_status add_rows(const means *m, uint32_t k, tamis_error *err)
{
    tamis_store *query = m->call->query;
    uint64_t rows = tamis_store_info_get(query)->rows;
    const float *norm;
    memset(m->sum, 0, m->groups->n * m->columns * sizeof *m->sum);
    TAMIS_TRY(tamis__finite_norms(query, k, m->direction && !m->gradient, &norm, err));
    for (uint64_t i = 0; i < rows; i++) {
        double *sum = m->sum + m->groups->member[i] * m->columns;
        double scale = m->gradient ? 1.0 : norm[i] > 0.0f ? 1.0 / (double)norm[i] : 0.0;
        TAMIS_TRY(tamis_store_read(query, k, i, 1, 0, m->columns, m->row, m->columns, err));
        for (uint64_t c = 0; c < m->columns; c++) sum[c] += scale * (double)m->row[c];
    }
    return TAMIS_OK;
}

/* What a group's sum is multiplied by. */
static tamis_status mean_scale(const means *m, uint32_t k, uint64_t group, double *ret_scale,
                               tamis_error *err)
{
    double square = 0;
    const double *sum = m->sum + group * m->columns;
    *ret_scale = 1.0 / m->groups->size[group];
    if (!m->gradient) return TAMIS_OK;
    for (uint64_t c = 0; c < m->columns; c++) square += sum[c] * sum[c];
    *ret_scale = square > 0 ? 1.0 / sqrt(square) : 0.0;
    if (square > 0 || !m->direction) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': the mean gradient of group '%s' at checkpoint %u is zero, so it has "
                       "no direction: ask for mean=cosines, or zero=score0",
                       tamis_store_path(m->call->query), m->groups->name[group], k);
}

static tamis_status fill_means(const means *m, tamis__held_queries *held, tamis_error *err)
{
    for (uint32_t k = 0; k < held->checkpoints; k++) {
        TAMIS_TRY(add_rows(m, k, err));
        for (uint64_t j = 0; j < m->groups->n; j++) {
            double scale;
            TAMIS_TRY(mean_scale(m, k, j, &scale, err));
            for (uint64_t c = 0; c < m->columns; c++)
                held->values[k][j * m->columns + c] = (float)(m->sum[j * m->columns + c] * scale);
        }
        TAMIS_TRY(tamis__progress(m->call->context, "averaging queries", k + 1, held->checkpoints,
                                  "checkpoints", NULL, err));
    }
    return tamis__held_queries_ready(held, m->call->context, "a mean query", err);
}

tamis_status tamis__query_means(const tamis__score_call *call, const tamis__query_groups *groups,
                                bool gradient, bool direction, tamis__held_queries *ret_means,
                                tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->query);
    means m = {.call = call,
               .groups = groups,
               .gradient = gradient,
               .direction = direction,
               .columns = info->columns};
    uint64_t bytes = groups->n * info->columns * sizeof *m.sum;
    TAMIS_TRY(tamis__held_queries_init(ret_means, call->context, info->checkpoints, groups->n,
                                       info->columns, err));
    tamis_status status = tamis__memory_check(
        call->context, bytes + tamis__held_queries_bytes(ret_means), "averaging the queries", err);
    if (status != TAMIS_OK) {
        tamis__held_queries_fini(ret_means);
        return status;
    }
    m.sum = tamis__malloc(groups->n * info->columns, sizeof *m.sum);
    m.row = tamis__malloc(info->columns, sizeof *m.row);
    status = m.sum && m.row ? fill_means(&m, ret_means, err)
                            : tamis__fail_memory(err, "mean queries", bytes);
    free(m.sum);
    free(m.row);
    if (status != TAMIS_OK) tamis__held_queries_fini(ret_means);
    return status;
}
