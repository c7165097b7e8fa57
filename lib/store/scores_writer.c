/* Writing scores files: a matrix by blocks, with a spool to resume from, or lists of rows for each
 * query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/scores.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"
#include "store/scores_file.h"
#include "store/scores_list.h"
#include "store/scores_spool.h"

struct tamis_scores_writer {
    tamis__h5 h5;
    hid_t matrix; /* 0 in a file of lists */
    uint64_t rows, queries;
    uint64_t left; /* scores not put yet */
    tamis__lists list[TAMIS__LISTS];
    uint64_t lists_left[TAMIS__LISTS];
    uint64_t taken[TAMIS__LISTS]; /* places with a row in every list; UINT64_MAX = not known */
    uint64_t gaps;                /* scores that are NaN */
    uint8_t *gap;                 /* a bit for each row with one; NULL = none */
    bool partial;                 /* rows may have some scores only */
    uint64_t *missing;            /* [rows] NaN of each, when partial; NULL = none */
    uint64_t skipped;             /* as the caller says; UINT64_MAX = it did not */
    uint64_t counted;             /* rows with a score as the statistics say; UINT64_MAX = none */
    bool force;
    tamis__spool spool;
};

/* --- open ------------------------------------------------------------------------------------- */

static tamis_status check_lists(const tamis_scores_spec *spec, tamis_error *err)
{
    if (spec->bottom > 0 && spec->top == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': lists of the worst rows come with lists of the best ones only: "
                           "ask for both",
                           spec->path);
    if (spec->top > spec->rows || spec->bottom > spec->rows)
        return tamis__fail(
            err, TAMIS_ERR_ARG, "'%s': lists of %" PRIu64 " rows are asked for, there are %" PRIu64,
            spec->path, spec->top > spec->rows ? spec->top : spec->bottom, spec->rows);
    if (!spec->resume) return TAMIS_OK;
    if (spec->top > 0)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s': only a whole matrix of scores can be resumed, not the top %" PRIu64
            " of each query",
            spec->path, spec->top);
    if (!spec->key)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': resuming needs a key that tells what the scores are of",
                           spec->path);
    return TAMIS_OK;
}

static tamis_status check_spec(const tamis_scores_spec *spec, tamis_error *err)
{
    if (!spec->path) return tamis__fail(err, TAMIS_ERR_ARG, "no scores file is named");
    if (spec->rows == 0 || spec->queries == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': scores of %" PRIu64 " rows and %" PRIu64 " queries: at least "
                           "one of each is needed",
                           spec->path, spec->rows, spec->queries);
    if (spec->rows > TAMIS__SCORES_MAX / spec->queries)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': scores of %" PRIu64 " rows and %" PRIu64 " queries are too "
                           "many",
                           spec->path, spec->rows, spec->queries);
    TAMIS_TRY(check_lists(spec, err));
    return tamis__output_check(spec->path, spec->force, false, err);
}

static tamis_status start_lists(tamis_scores_writer *writer, const tamis_scores_spec *spec,
                                tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    const uint64_t places[TAMIS__LISTS] = {spec->top, spec->bottom};
    writer->left = 0;
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "rows", spec->rows, err));
    for (int which = 0; which < TAMIS__LISTS; which++) {
        TAMIS_TRY(tamis__lists_create(&writer->list[which], h5, (tamis_scores_list)which,
                                      spec->queries, places[which], err));
        writer->lists_left[which] = places[which] > 0 ? spec->queries : 0;
    }
    return TAMIS_OK;
}

static tamis_status start(tamis_scores_writer *writer, const tamis_scores_spec *spec,
                          tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "scorer", spec->scorer ? spec->scorer : "unknown", err));
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "orientation", TAMIS_ORIENTATION, err));
    if (spec->partial) TAMIS_TRY(tamis__h5_put_u64(h5, "/", "partial", 1, err));
    TAMIS_TRY(tamis__examples_write(h5, "example", spec->examples, spec->rows, err));
    TAMIS_TRY(tamis__examples_write(h5, "query", spec->query, spec->queries, err));
    if (spec->top > 0) return start_lists(writer, spec, err);
    return tamis__h5_array_create(h5, "score", TAMIS__H5_F32, spec->rows, spec->queries,
                                  &writer->matrix, err);
}

static tamis_status take_over(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                              uint64_t queries, const float *values, size_t stride,
                              tamis_error *err);

static tamis_status open_spool(tamis_scores_writer *writer, const tamis_context *context,
                               const tamis_scores_spec *spec, tamis_error *err)
{
    if (!spec->resume) return TAMIS_OK;
    TAMIS_TRY(tamis__spool_open(&writer->spool, context, spec->path, spec->key, spec->rows,
                                spec->queries, err));
    return tamis__spool_recover(&writer->spool, take_over, writer, err);
}

tamis_status tamis_scores_writer_open(tamis_scores_writer **ret_writer, tamis_context *context,
                                      const tamis_scores_spec *spec, tamis_error *err)
{
    TAMIS_TRY(check_spec(spec, err));
    tamis_scores_writer *writer = tamis__calloc(1, sizeof *writer);
    if (!writer) return tamis__fail_memory(err, "a scores file", sizeof *writer);
    writer->rows = spec->rows;
    writer->queries = spec->queries;
    writer->left = spec->rows * spec->queries;
    writer->taken[TAMIS_SCORES_TOP] = writer->taken[TAMIS_SCORES_BOTTOM] = UINT64_MAX;
    writer->skipped = writer->counted = UINT64_MAX;
    writer->force = spec->force;
    writer->partial = spec->partial;
    tamis_status status = tamis__h5_create(&writer->h5, context, spec->path, "scores",
                                           TAMIS_FORMAT_VERSION, spec->provenance, err);
    if (status == TAMIS_OK) status = start(writer, spec, err);
    if (status == TAMIS_OK) status = open_spool(writer, context, spec, err);
    if (status == TAMIS_OK)
        *ret_writer = writer;
    else
        tamis_scores_writer_abort(&writer);
    return status;
}

/* --- the matrix ------------------------------------------------------------------------------- */

static tamis_status note_missing(tamis_scores_writer *writer, const tamis__h5_part *part,
                                 const float *values, tamis_error *err)
{
    if (!writer->missing) writer->missing = tamis__calloc(writer->rows, sizeof *writer->missing);
    if (!writer->missing)
        return tamis__fail_memory(err, "rows without a score",
                                  writer->rows * sizeof *writer->missing);
    for (uint64_t i = 0; i < part->rows; i++)
        for (uint64_t q = 0; q < part->columns; q++)
            writer->missing[part->first_row + i] += isnan(values[i * part->stride + q]) != 0;
    return TAMIS_OK;
}

static tamis_status note_gaps(tamis_scores_writer *writer, const tamis__h5_part *part,
                              const float *values, tamis_error *err)
{
    size_t bytes = (size_t)(writer->rows / 8 + 1);
    if (writer->partial) return note_missing(writer, part, values, err);
    for (uint64_t i = 0; i < part->rows; i++) {
        const float *row = values + i * part->stride;
        uint64_t found = 0;
        for (uint64_t q = 0; q < part->columns; q++) found += isnan(row[q]) != 0;
        if (found == 0) continue;
        if (!writer->gap && !(writer->gap = tamis__calloc(bytes, 1)))
            return tamis__fail_memory(err, "rows without a score", bytes);
        writer->gaps += found;
        writer->gap[(part->first_row + i) / 8] |= (uint8_t)(1u << (part->first_row + i) % 8);
    }
    return TAMIS_OK;
}

static tamis_status put_block(tamis_scores_writer *writer, const tamis__h5_part *part,
                              const float *values, tamis_error *err)
{
    TAMIS_TRY(note_gaps(writer, part, values, err));
    TAMIS_TRY(tamis__h5_array_write(&writer->h5, writer->matrix, TAMIS__H5_F32, part, values, err));
    uint64_t put = part->rows * part->columns;
    writer->left -= put < writer->left ? put : writer->left;
    return TAMIS_OK;
}

static tamis_status take_over(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                              uint64_t queries, const float *values, size_t stride,
                              tamis_error *err)
{
    tamis__h5_part part = {first_row, rows, first_query, queries, stride};
    return put_block(arg, &part, values, err);
}

tamis_status tamis_scores_writer_put(tamis_scores_writer *writer, uint64_t first_row, uint64_t rows,
                                     uint64_t first_query, uint64_t queries, const float *values,
                                     size_t stride, tamis_error *err)
{
    tamis__h5_part part = {first_row, rows, first_query, queries, stride};
    if (!writer->matrix)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is to hold lists: it takes no other scores",
                           writer->h5.path);
    TAMIS_TRY(tamis__scores_check_part(writer->h5.path, writer->rows, writer->queries, &part, err));
    if (rows == 0 || queries == 0) return TAMIS_OK;
    TAMIS_TRY(put_block(writer, &part, values, err));
    return writer->spool.path ? tamis__spool_append(&writer->spool, &part, values, err) : TAMIS_OK;
}

uint64_t tamis_scores_writer_resumed(const tamis_scores_writer *writer)
{
    return writer->spool.resumed;
}

tamis_status tamis_scores_writer_replay(tamis_scores_writer *writer, tamis_scores_sink sink,
                                        void *arg, tamis_error *err)
{
    if (writer->spool.resumed == 0) return TAMIS_OK;
    return tamis__spool_replay(&writer->spool, sink, arg, err);
}

/* --- lists and statistics --------------------------------------------------------------------- */

tamis_status tamis_scores_writer_put_list(tamis_scores_writer *writer, tamis_scores_list which,
                                          uint64_t first_query, uint64_t queries,
                                          const uint64_t *rows, const float *scores,
                                          tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    const tamis__lists *list = &writer->list[which];
    uint64_t taken = 0;
    TAMIS_TRY(tamis__scores_check_list(h5->path, which, list->places, writer->queries, first_query,
                                       queries, err));
    if (queries == 0) return TAMIS_OK;
    tamis__h5_part part = {first_query, queries, 0, list->places, (size_t)list->places};
    tamis__list_block block = {h5->path, which, writer->rows, list->places,   first_query,
                               queries,  rows,  scores,       writer->partial};
    TAMIS_TRY(tamis__lists_check(&block, writer->taken[which], &taken, TAMIS_ERR_ARG, err));
    writer->taken[which] = taken;
    TAMIS_TRY(tamis__h5_array_write(h5, list->row, TAMIS__H5_U64, &part, rows, err));
    TAMIS_TRY(tamis__h5_array_write(h5, list->score, TAMIS__H5_F32, &part, scores, err));
    uint64_t left = writer->lists_left[which];
    writer->lists_left[which] = left - (queries < left ? queries : left);
    return TAMIS_OK;
}

tamis_status tamis_scores_writer_put_skipped(tamis_scores_writer *writer, uint64_t rows,
                                             tamis_error *err)
{
    if (rows > writer->rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': %" PRIu64 " rows without a score, but there are only %" PRIu64,
                           writer->h5.path, rows, writer->rows);
    writer->skipped = rows;
    return TAMIS_OK;
}

tamis_status tamis_scores_writer_put_statistics(tamis_scores_writer *writer, const uint64_t *count,
                                                const double *mean, const double *variance,
                                                tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    uint64_t queries = writer->queries;
    if (writer->counted != UINT64_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has the statistics of its columns already",
                           h5->path);
    uint64_t scored = writer->partial ? writer->rows : count[0];
    tamis__scores_statistics s = {h5->path, queries,  scored,         count,
                                  mean,     variance, writer->partial};
    TAMIS_TRY(tamis__scores_statistics_check(&s, TAMIS_ERR_ARG, err));
    TAMIS_TRY(tamis__h5_group(h5, "column", err));
    TAMIS_TRY(tamis__h5_write(h5, "column/count", TAMIS__H5_U64, count, queries, 0, err));
    TAMIS_TRY(tamis__h5_write(h5, "column/mean", TAMIS__H5_F64, mean, queries, 0, err));
    TAMIS_TRY(tamis__h5_write(h5, "column/variance", TAMIS__H5_F64, variance, queries, 0, err));
    writer->counted = count[0];
    return TAMIS_OK;
}

tamis_status tamis_scores_writer_put_panel(tamis_scores_writer *writer, const char *panel,
                                           double error, tamis_error *err)
{
    if (!panel || !(error >= 0) || !isfinite(error))
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': a panel with the error %g", writer->h5.path,
                           error);
    TAMIS_TRY(tamis__h5_put_text(&writer->h5, "/", "panel", panel, err));
    return tamis__h5_put_f64(&writer->h5, "/", "panel_error", error, err);
}

/* --- commit ----------------------------------------------------------------------------------- */

/* Every row with a NaN must have nothing else, and be counted as one without a score. */
static tamis_status check_gaps(const tamis_scores_writer *writer, uint64_t *ret_skipped,
                               tamis_error *err)
{
    uint64_t rows = 0;
    for (uint64_t i = 0; writer->gap && i < writer->rows; i++)
        rows += writer->gap[i / 8] >> i % 8 & 1u;
    for (uint64_t i = 0; writer->missing && i < writer->rows; i++)
        rows += writer->missing[i] == writer->queries;
    if (!writer->partial && rows * writer->queries != writer->gaps)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': of %" PRIu64 " rows some scores are NaN and others are not: a "
                           "row has a score for every query or for none",
                           writer->h5.path, rows);
    if (writer->skipped != UINT64_MAX && writer->skipped != rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': %" PRIu64 " rows are said to have no score, %" PRIu64
                           " have none",
                           writer->h5.path, writer->skipped, rows);
    *ret_skipped = rows;
    return TAMIS_OK;
}

static tamis_status check_places(const tamis_scores_writer *writer, uint64_t skipped,
                                 tamis_error *err)
{
    for (int which = 0; which < TAMIS__LISTS; which++) {
        uint64_t places = writer->list[which].places, scored = writer->rows - skipped;
        uint64_t wanted = scored < places ? scored : places;
        const char *name = tamis__list_name((tamis_scores_list)which);
        if (writer->lists_left[which] > 0)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s': the %s lists of %" PRIu64 " queries were never written",
                               writer->h5.path, name, writer->lists_left[which]);
        if (places == 0 || writer->taken[which] == wanted || writer->partial) continue;
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': %" PRIu64 " rows stand in each %s list, but %" PRIu64
                           " have a score",
                           writer->h5.path, writer->taken[which], name, scored);
    }
    return TAMIS_OK;
}

/* What is known at the end only. */
static tamis_status finish(const tamis_scores_writer *writer, tamis_error *err)
{
    uint64_t skipped = writer->skipped == UINT64_MAX ? 0 : writer->skipped;
    if (writer->left > 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': %" PRIu64 " scores were never written",
                           writer->h5.path, writer->left);
    if (writer->matrix)
        TAMIS_TRY(check_gaps(writer, &skipped, err));
    else
        TAMIS_TRY(check_places(writer, skipped, err));
    if (!writer->partial && writer->counted != UINT64_MAX &&
        writer->counted != writer->rows - skipped)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': the statistics are of %" PRIu64 " rows, but %" PRIu64
                           " have a score",
                           writer->h5.path, writer->counted, writer->rows - skipped);
    if (skipped == 0) return TAMIS_OK;
    return tamis__h5_put_u64(&writer->h5, "/", "skipped", skipped, err);
}

static void close_datasets(tamis_scores_writer *writer)
{
    tamis__h5_array_close(&writer->matrix);
    for (int which = 0; which < TAMIS__LISTS; which++) tamis__lists_close(&writer->list[which]);
}

tamis_status tamis_scores_writer_commit(tamis_scores_writer **writer, tamis_error *err)
{
    tamis_scores_writer *w = *writer;
    tamis_status status = finish(w, err);
    if (status != TAMIS_OK) {
        tamis_scores_writer_abort(writer);
        return status;
    }
    close_datasets(w);
    status = tamis__h5_commit(&w->h5, w->force, err);
    tamis__spool_close(&w->spool, status != TAMIS_OK);
    free(w->gap);
    free(w->missing);
    free(w);
    *writer = NULL;
    return status;
}

void tamis_scores_writer_abort(tamis_scores_writer **writer)
{
    if (!writer || !*writer) return;
    tamis_scores_writer *w = *writer;
    close_datasets(w);
    tamis__h5_close(&w->h5);
    tamis__spool_close(&w->spool, true);
    free(w->gap);
    free(w->missing);
    free(w);
    *writer = NULL;
}
