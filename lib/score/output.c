/* Where a scorer's scores go.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <tamis/version.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status put_matrix(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                               uint64_t queries, const float *values, size_t stride,
                               tamis_error *err)
{
    return tamis_scores_writer_put(arg, first_row, rows, first_query, queries, values, stride, err);
}

/* Blocks of an earlier run: the first one tells how many queries a pass had. */
static tamis_status replay(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                           uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    tamis__score_output *output = arg;
    if (output->pass == 0) output->pass = queries;
    tamis__filter_note(&output->filter, first_row, rows, queries, values, stride);
    tamis__sink statistics = tamis__statistics_sink_of(&output->statistics);
    return statistics.put(statistics.arg, first_row, rows, first_query, queries, values, stride,
                          err);
}

static tamis_status open_lists(tamis__score_output *output, const tamis_context *context,
                               tamis_error *err)
{
    const tamis_score_params *params = output->params;
    if (params->top) {
        TAMIS_TRY(
            tamis__top_sink_init(&output->top, context, output->queries, params->top, false, err));
        tamis__tee_add(&output->tee, tamis__top_sink_of(&output->top));
    }
    if (params->bottom) {
        TAMIS_TRY(tamis__top_sink_init(&output->bottom, context, output->queries, params->bottom,
                                       true, err));
        tamis__tee_add(&output->tee, tamis__top_sink_of(&output->bottom));
    }
    return TAMIS_OK;
}

/* What a store's digest, which is of its rows, does not say: checkpoint weights, groups of queries;
 * the curvature, and candidates. */
static uint64_t aside_digest(const tamis_score_params *p)
{
    const tamis_store_info *train = tamis_store_info_get(p->train);
    const int32_t *group = tamis_store_examples(p->query)->group;
    uint64_t sum = 0;
    for (uint32_t k = 0; k < train->checkpoints; k++)
        sum = tamis__digest_seeded(&train->checkpoint[k].learning_rate, sizeof(double), sum);
    if (p->curvature) {
        const tamis_curvature_info *info = tamis_curvature_info_get(p->curvature);
        const uint64_t facts[] = {info->digest, info->kind, info->checkpoint};
        sum = tamis__digest_seeded(facts, sizeof facts, sum);
    }
    if (p->candidates) sum = tamis__filter_digest(p->candidates, sum);
    if (!group) return sum;
    return tamis__digest_seeded(group, tamis_store_info_get(p->query)->rows * sizeof *group, sum);
}

/* All that decides a score. The processor's features are part of its last bits. */
static char *resume_key(const tamis__score_output *output, const tamis_context *context,
                        const tamis_scores_spec *spec)
{
    const tamis_score_params *p = output->params;
    const tamis_store_info *train = tamis_store_info_get(p->train);
    const tamis_store_info *query = tamis_store_info_get(p->query);
    char *text = NULL;
    size_t size = 0;
    for (int pass = 0; pass < 2; pass++) {
        int n = snprintf(
            text, size, "%s|%s|%d %.17g %d %llu|%u|%llx %llu %llu|%llx %llu|%llx|%s|%s|%s",
            TAMIS_VERSION, spec->scorer, (int)p->panel, p->panel_error, (int)p->skip_bad_rows,
            (unsigned long long)p->seed, tamis_context_cpu(context),
            (unsigned long long)train->digest, (unsigned long long)train->rows,
            (unsigned long long)train->columns, (unsigned long long)query->digest,
            (unsigned long long)query->rows, (unsigned long long)aside_digest(p), train->provenance,
            query->provenance, spec->provenance ? spec->provenance : "{}");
        if (pass == 0) text = tamis__malloc(size = (size_t)n + 1, 1);
        if (!text) return NULL;
    }
    return text;
}

static tamis_status check_resume(const tamis__score_output *output, tamis_error *err)
{
    const tamis_score_params *p = output->params;
    bool best = output->best || tamis__reduce_to_max(p->reduce);
    if (!p->resume || (p->query && !p->top && !best)) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "only a whole matrix with a column for each query is resumed, no lists and no "
        "single column: leave out resume");
}

tamis_status tamis__score_output_open(tamis__score_output *output, tamis_context *context,
                                      const tamis_scores_spec *spec, tamis_error *err)
{
    tamis_scores_spec whole = *spec;
    char *key = NULL;
    output->rows = spec->rows;
    output->queries = spec->queries;
    whole.top = output->params->top;
    whole.bottom = output->params->bottom;
    whole.partial = tamis__filter_partial(output->params, spec->queries);
    TAMIS_TRY(check_resume(output, err));
    TAMIS_TRY(tamis__filter_init(&output->filter, context, output->params, output->rows,
                                 output->queries, err));
    if (output->params->resume) {
        whole.resume = true;
        whole.key = key = resume_key(output, context, spec);
        if (!key) return tamis__fail_memory(err, "the key of a run", 0);
    }
    tamis_status status = tamis_scores_writer_open(&output->writer, context, &whole, err);
    free(key);
    TAMIS_TRY(status);
    if (!whole.top)
        tamis__tee_add(&output->tee, (tamis__sink){.arg = output->writer, .put = put_matrix});
    TAMIS_TRY(open_lists(output, context, err));
    TAMIS_TRY(tamis__statistics_sink_init(&output->statistics, output->queries, err));
    output->statistics.partial = whole.partial;
    tamis__tee_add(&output->tee, tamis__statistics_sink_of(&output->statistics));
    if (output->filter.list) {
        output->passed = output->tee;
        output->tee = (tamis__tee){0};
        tamis__tee_add(&output->tee,
                       tamis__filter_of(&output->filter, tamis__tee_of(&output->passed)));
    }
    output->resumed = tamis_scores_writer_resumed(output->writer);
    if (!output->resumed) return TAMIS_OK;
    return tamis_scores_writer_replay(output->writer, replay, output, err);
}

uint64_t tamis__score_output_bytes(const tamis__score_output *output)
{
    uint64_t lists = output->queries * (output->top.k + output->bottom.k) * sizeof(tamis__ranked);
    uint64_t filter = tamis__filter_bytes(&output->filter, output->queries);
    return lists + filter + output->queries * 5 * sizeof(double); /* and statistics */
}

/* --- the end ---------------------------------------------------------------------------------- */

static tamis_status put_lists(tamis__score_output *output, tamis__top_sink *top,
                              tamis_scores_list which, tamis_error *err)
{
    if (!top->k) return TAMIS_OK;
    uint64_t *rows = tamis__malloc(top->k, sizeof *rows);
    float *scores = tamis__malloc(top->k, sizeof *scores);
    tamis_status status = rows && scores ? TAMIS_OK
                                         : tamis__fail_memory(err, "a list", top->k * sizeof *rows);
    for (uint64_t q = 0; q < top->queries && status == TAMIS_OK; q++) {
        tamis__top_sink_list(top, q, rows, scores);
        status = tamis_scores_writer_put_list(output->writer, which, q, 1, rows, scores, err);
    }
    free(rows);
    free(scores);
    return status;
}

tamis_status tamis__score_output_commit(tamis__score_output *output, tamis_error *err)
{
    const tamis__statistics_sink *s = &output->statistics;
    TAMIS_TRY(put_lists(output, &output->top, TAMIS_SCORES_TOP, err));
    TAMIS_TRY(put_lists(output, &output->bottom, TAMIS_SCORES_BOTTOM, err));
    tamis__statistics_sink_end(&output->statistics);
    TAMIS_TRY(
        tamis_scores_writer_put_statistics(output->writer, s->count, s->mean, s->deviation, err));
    if (output->filter.list) output->skipped = tamis__filter_unscored(&output->filter);
    if (output->skipped)
        TAMIS_TRY(tamis_scores_writer_put_skipped(output->writer, output->skipped, err));
    if (output->report.kernel)
        TAMIS_TRY(tamis_scores_writer_put_panel(output->writer, output->report.panel,
                                                output->report.error, err));
    return tamis_scores_writer_commit(&output->writer, err);
}

void tamis__score_output_fini(tamis__score_output *output)
{
    tamis_scores_writer_abort(&output->writer);
    tamis__top_sink_fini(&output->top);
    tamis__top_sink_fini(&output->bottom);
    tamis__statistics_sink_fini(&output->statistics);
    tamis__query_groups_fini(&output->groups);
    tamis__filter_fini(&output->filter);
    free(output->norm);
    free(output->skip);
}
