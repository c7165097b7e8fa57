/* Reading scores files: a matrix [training rows, queries], or lists of rows for each query, with
 * the ids of both.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/scores.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"
#include "store/scores_file.h"
#include "store/scores_list.h"

struct tamis_scores {
    tamis__h5 h5;
    hid_t matrix; /* 0 in a file of lists */
    tamis__lists list[TAMIS__LISTS];
    tamis_scores_info info;
    char *scorer, *provenance, *panel;
    void *count, *mean, *variance; /* of the columns; or NULL */
};

/* --- attributes ------------------------------------------------------------------------------- */

static tamis_status optional_text(const tamis__h5 *h5, const char *name, const char *fallback,
                                  char **ret_text, tamis_error *err)
{
    if (tamis__h5_has_attribute(h5, "/", name))
        return tamis__h5_get_text(h5, "/", name, ret_text, err);
    char *copy = tamis__strdup(fallback);
    if (!copy) return tamis__fail_memory(err, name, strlen(fallback));
    *ret_text = copy;
    return TAMIS_OK;
}

/* Scores whose sign means something else would be read upside down without a word. */
static tamis_status check_orientation(const tamis__h5 *h5, tamis_error *err)
{
    char *text = NULL;
    if (!tamis__h5_has_attribute(h5, "/", "orientation"))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' does not say what a positive score means: its attribute "
                           "'orientation' is missing",
                           h5->path);
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "orientation", &text, err));
    tamis_status status = TAMIS_OK;
    if (strcmp(text, TAMIS_ORIENTATION) != 0)
        status = tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                             "'%s': its orientation is '%.200s', only '%s' is read", h5->path, text,
                             TAMIS_ORIENTATION);
    free(text);
    return status;
}

static tamis_status load_skipped(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    uint64_t skipped = 0, partial = 0;
    if (tamis__h5_has_attribute(h5, "/", "partial"))
        TAMIS_TRY(tamis__h5_get_u64(h5, "/", "partial", &partial, err));
    scores->info.partial = partial != 0;
    if (!tamis__h5_has_attribute(h5, "/", "skipped")) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "skipped", &skipped, err));
    if (skipped > scores->info.rows)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': attribute 'skipped' says that %" PRIu64 " of %" PRIu64
                           " rows have no score",
                           h5->path, skipped, scores->info.rows);
    scores->info.skipped = skipped;
    return TAMIS_OK;
}

/* --- matrix or lists -------------------------------------------------------------------------- */

static tamis_status load_matrix(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    tamis_scores_info *info = &scores->info;
    uint64_t shape[2];
    TAMIS_TRY(tamis__h5_shape(h5, "score", 2, shape, err));
    if (shape[0] == 0 || shape[1] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'score' is empty [%" PRIu64 ", %" PRIu64 "]", h5->path,
                           shape[0], shape[1]);
    if (shape[0] > TAMIS__SCORES_MAX / shape[1])
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'score' claims [%" PRIu64 ", %" PRIu64 "] values",
                           h5->path, shape[0], shape[1]);
    info->rows = shape[0];
    info->queries = shape[1];
    return tamis__h5_array_open(h5, "score", TAMIS__H5_F32, info->rows, info->queries,
                                &scores->matrix, err);
}

/* How many rows there are is not seen in the lists. */
static tamis_status load_rows(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    uint64_t rows = 0, places = scores->info.top;
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "rows", &rows, err));
    if (scores->info.bottom > places) places = scores->info.bottom;
    if (rows < places || rows > TAMIS__SCORES_MAX / scores->info.queries)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': attribute 'rows' says %" PRIu64 " rows, its lists have %" PRIu64
                           " queries and %" PRIu64 " places",
                           h5->path, rows, scores->info.queries, places);
    scores->info.rows = rows;
    return TAMIS_OK;
}

static tamis_status load_lists(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    tamis_scores_info *info = &scores->info;
    uint64_t queries = 0;
    if (tamis__h5_has(h5, "score"))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has both a dataset 'score' and lists 'top': one of them is wanted",
                           h5->path);
    TAMIS_TRY(tamis__lists_open(&scores->list[TAMIS_SCORES_TOP], h5, TAMIS_SCORES_TOP,
                                &info->queries, err));
    queries = info->queries;
    TAMIS_TRY(tamis__lists_open(&scores->list[TAMIS_SCORES_BOTTOM], h5, TAMIS_SCORES_BOTTOM,
                                &queries, err));
    if (queries != info->queries)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': there are top lists of %" PRIu64 " queries and bottom lists of "
                           "%" PRIu64,
                           h5->path, info->queries, queries);
    info->top = scores->list[TAMIS_SCORES_TOP].places;
    info->bottom = scores->list[TAMIS_SCORES_BOTTOM].places;
    return load_rows(scores, err);
}

/* --- statistics ------------------------------------------------------------------------------- */

static tamis_status load_statistics(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    tamis_scores_info *info = &scores->info;
    uint64_t queries = info->queries;
    if (!tamis__h5_has(h5, "column")) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_read(h5, "column/count", TAMIS__H5_U64, queries, 0, &scores->count, err));
    TAMIS_TRY(tamis__h5_read(h5, "column/mean", TAMIS__H5_F64, queries, 0, &scores->mean, err));
    TAMIS_TRY(
        tamis__h5_read(h5, "column/variance", TAMIS__H5_F64, queries, 0, &scores->variance, err));
    info->column_count = scores->count;
    info->column_mean = scores->mean;
    info->column_variance = scores->variance;
    tamis__scores_statistics s = {h5->path,      queries,      info->rows - info->skipped,
                                  scores->count, scores->mean, scores->variance,
                                  info->partial};
    return tamis__scores_statistics_check(&s, TAMIS_ERR_FORMAT, err);
}

tamis_status tamis__scores_statistics_check(const tamis__scores_statistics *s, tamis_status fault,
                                            tamis_error *err)
{
    for (uint64_t q = 0; q < s->queries; q++) {
        if (s->partial ? s->count[q] > s->scored : s->count[q] != s->scored)
            return tamis__fail(err, fault,
                               "'%s': column/count says that %" PRIu64 " rows have a score for "
                               "query %" PRIu64 ", there are %" PRIu64,
                               s->path, s->count[q], q, s->scored);
        bool none = s->count[q] == 0 && isnan(s->mean[q]) && isnan(s->variance[q]);
        if (none || (s->count[q] > 0 && isfinite(s->mean[q]) && isfinite(s->variance[q]) &&
                     s->variance[q] >= 0))
            continue;
        return tamis__fail(err, fault,
                           "'%s': query %" PRIu64 ": mean %g and variance %g are not those of "
                           "%" PRIu64 " scores",
                           s->path, q, s->mean[q], s->variance[q], s->count[q]);
    }
    return TAMIS_OK;
}

/* --- open ------------------------------------------------------------------------------------- */

static tamis_status load_panel(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    if (!tamis__h5_has_attribute(h5, "/", "panel")) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "panel", &scores->panel, err));
    scores->info.panel = scores->panel;
    if (!tamis__h5_has_attribute(h5, "/", "panel_error")) return TAMIS_OK;
    return tamis__h5_get_f64(h5, "/", "panel_error", &scores->info.panel_error, err);
}

static tamis_status load(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    tamis_scores_info *info = &scores->info;
    TAMIS_TRY(check_orientation(h5, err));
    TAMIS_TRY(tamis__h5_has(h5, "top") ? load_lists(scores, err) : load_matrix(scores, err));
    TAMIS_TRY(load_skipped(scores, err));
    TAMIS_TRY(load_statistics(scores, err));
    TAMIS_TRY(tamis__examples_read(h5, "example", info->rows, &info->examples, err));
    TAMIS_TRY(tamis__examples_read(h5, "query", info->queries, &info->query, err));
    TAMIS_TRY(optional_text(h5, "scorer", "unknown", &scores->scorer, err));
    TAMIS_TRY(optional_text(h5, "provenance", "{}", &scores->provenance, err));
    info->scorer = scores->scorer;
    info->provenance = scores->provenance;
    return load_panel(scores, err);
}

tamis_status tamis_scores_open(tamis_scores **ret_scores, tamis_context *context, const char *path,
                               tamis_error *err)
{
    (void)context;
    tamis_scores *scores = tamis__calloc(1, sizeof *scores);
    if (!scores) return tamis__fail_memory(err, "a scores file", sizeof *scores);
    tamis_status status = tamis__h5_open(&scores->h5, path, "scores", TAMIS_FORMAT_VERSION, err);
    if (status == TAMIS_OK) status = load(scores, err);
    if (status == TAMIS_OK)
        *ret_scores = scores;
    else
        tamis_scores_close(&scores);
    return status;
}

void tamis_scores_close(tamis_scores **scores)
{
    if (!scores || !*scores) return;
    tamis_scores *s = *scores;
    tamis__h5_array_close(&s->matrix);
    for (int which = 0; which < TAMIS__LISTS; which++) tamis__lists_close(&s->list[which]);
    tamis__h5_close(&s->h5);
    tamis__examples_fini(&s->info.examples);
    tamis__examples_fini(&s->info.query);
    free(s->scorer);
    free(s->provenance);
    free(s->panel);
    free(s->count);
    free(s->mean);
    free(s->variance);
    free(s);
    *scores = NULL;
}

const tamis_scores_info *tamis_scores_info_get(const tamis_scores *scores)
{
    return &scores->info;
}

const char *tamis_scores_path(const tamis_scores *scores)
{
    return scores->h5.path;
}

/* --- blocks and lists ------------------------------------------------------------------------- */

tamis_status tamis__scores_check_part(const char *path, uint64_t rows, uint64_t queries,
                                      const tamis__h5_part *part, tamis_error *err)
{
    if (part->first_row > rows || part->rows > rows - part->first_row)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': rows %" PRIu64 " and %" PRIu64
                           " after it are asked for, it has %" PRIu64,
                           path, part->first_row, part->rows, rows);
    if (part->first_column > queries || part->columns > queries - part->first_column)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': queries %" PRIu64 " and %" PRIu64
                           " after it are asked for, it has %" PRIu64,
                           path, part->first_column, part->columns, queries);
    if (part->stride < part->columns)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': a stride of %zu is less than %" PRIu64 " queries", path,
                           part->stride, part->columns);
    return TAMIS_OK;
}

tamis_status tamis_scores_read(const tamis_scores *scores, uint64_t first_row, uint64_t rows,
                               uint64_t first_query, uint64_t queries, float *out, size_t stride,
                               tamis_error *err)
{
    tamis__h5_part part = {first_row, rows, first_query, queries, stride};
    if (scores->info.top > 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' holds the top %" PRIu64 " rows of each query and no other scores: "
                           "score without --top to have them all",
                           scores->h5.path, scores->info.top);
    TAMIS_TRY(tamis__scores_check_part(scores->h5.path, scores->info.rows, scores->info.queries,
                                       &part, err));
    if (rows == 0 || queries == 0) return TAMIS_OK;
    return tamis__h5_array_read(&scores->h5, scores->matrix, TAMIS__H5_F32, &part, out, err);
}

tamis_status tamis__scores_check_list(const char *path, tamis_scores_list which, uint64_t places,
                                      uint64_t total, uint64_t first_query, uint64_t queries,
                                      tamis_error *err)
{
    const char *name = tamis__list_name(which);
    if (places == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has no %s lists: score with --%s to have them",
                           path, name, name);
    if (first_query > total || queries > total - first_query)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': queries %" PRIu64 " and %" PRIu64
                           " after it are asked for, it has %" PRIu64,
                           path, first_query, queries, total);
    return TAMIS_OK;
}

tamis_status tamis_scores_read_list(const tamis_scores *scores, tamis_scores_list which,
                                    uint64_t first_query, uint64_t queries, uint64_t *rows,
                                    float *out, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    const tamis_scores_info *info = &scores->info;
    const tamis__lists *list = &scores->list[which];
    TAMIS_TRY(tamis__scores_check_list(h5->path, which, list->places, info->queries, first_query,
                                       queries, err));
    if (queries == 0) return TAMIS_OK;
    uint64_t scored = info->rows - info->skipped, taken = 0;
    tamis__h5_part part = {first_query, queries, 0, list->places, (size_t)list->places};
    tamis__list_block block = {h5->path, which, info->rows, list->places, first_query,
                               queries,  rows,  out,        info->partial};
    TAMIS_TRY(tamis__h5_array_read(h5, list->row, TAMIS__H5_U64, &part, rows, err));
    TAMIS_TRY(tamis__h5_array_read(h5, list->score, TAMIS__H5_F32, &part, out, err));
    return tamis__lists_check(&block, scored < list->places ? scored : list->places, &taken,
                              TAMIS_ERR_FORMAT, err);
}
