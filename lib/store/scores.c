/* Scores files: a matrix [training rows, queries] with the ids of both.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/scores.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"

/* --- reading ---------------------------------------------------------------------------------- */

struct tamis_scores {
    tamis__h5 h5;
    hid_t matrix;
    tamis_scores_info info;
    char *scorer, *provenance;
};

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

static tamis_status load(tamis_scores *scores, tamis_error *err)
{
    const tamis__h5 *h5 = &scores->h5;
    tamis_scores_info *info = &scores->info;
    uint64_t shape[2];
    TAMIS_TRY(check_orientation(h5, err));
    TAMIS_TRY(tamis__h5_shape(h5, "score", 2, shape, err));
    if (shape[0] == 0 || shape[1] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'score' is empty [%" PRIu64 ", %" PRIu64 "]", h5->path,
                           shape[0], shape[1]);
    if (shape[0] > (UINT64_C(1) << 60) / shape[1])
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'score' claims [%" PRIu64 ", %" PRIu64 "] values",
                           h5->path, shape[0], shape[1]);
    info->rows = shape[0];
    info->queries = shape[1];
    TAMIS_TRY(tamis__h5_array_open(h5, "score", TAMIS__H5_F32, info->rows, info->queries,
                                   &scores->matrix, err));
    TAMIS_TRY(tamis__examples_read(h5, "example", info->rows, &info->examples, err));
    TAMIS_TRY(tamis__examples_read(h5, "query", info->queries, &info->query, err));
    TAMIS_TRY(optional_text(h5, "scorer", "unknown", &scores->scorer, err));
    TAMIS_TRY(optional_text(h5, "provenance", "{}", &scores->provenance, err));
    info->scorer = scores->scorer;
    info->provenance = scores->provenance;
    return TAMIS_OK;
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
    tamis__h5_close(&s->h5);
    tamis__examples_fini(&s->info.examples);
    tamis__examples_fini(&s->info.query);
    free(s->scorer);
    free(s->provenance);
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

/* The part must lie in [rows, queries]. */
static tamis_status check_part(const char *path, uint64_t rows, uint64_t queries,
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
    TAMIS_TRY(check_part(scores->h5.path, scores->info.rows, scores->info.queries, &part, err));
    if (rows == 0 || queries == 0) return TAMIS_OK;
    return tamis__h5_array_read(&scores->h5, scores->matrix, TAMIS__H5_F32, &part, out, err);
}

/* --- writing ---------------------------------------------------------------------------------- */

struct tamis_scores_writer {
    tamis__h5 h5;
    hid_t matrix;
    uint64_t rows, queries;
    uint64_t left; /* values not put yet */
    bool force;
};

static tamis_status check_spec(const tamis_scores_spec *spec, tamis_error *err)
{
    if (!spec->path) return tamis__fail(err, TAMIS_ERR_ARG, "no scores file is named");
    if (spec->rows == 0 || spec->queries == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': scores of %" PRIu64 " rows and %" PRIu64 " queries: at least "
                           "one of each is needed",
                           spec->path, spec->rows, spec->queries);
    if (spec->rows > (UINT64_C(1) << 60) / spec->queries)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': scores of %" PRIu64 " rows and %" PRIu64 " queries are too "
                           "many",
                           spec->path, spec->rows, spec->queries);
    return tamis__output_check(spec->path, spec->force, false, err);
}

static tamis_status start(tamis_scores_writer *writer, const tamis_scores_spec *spec,
                          tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "scorer", spec->scorer ? spec->scorer : "unknown", err));
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "orientation", TAMIS_ORIENTATION, err));
    TAMIS_TRY(tamis__examples_write(h5, "example", spec->examples, spec->rows, err));
    TAMIS_TRY(tamis__examples_write(h5, "query", spec->query, spec->queries, err));
    return tamis__h5_array_create(h5, "score", TAMIS__H5_F32, spec->rows, spec->queries,
                                  &writer->matrix, err);
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
    writer->force = spec->force;
    tamis_status status = tamis__h5_create(&writer->h5, context, spec->path, "scores",
                                           TAMIS_FORMAT_VERSION, spec->provenance, err);
    if (status == TAMIS_OK) status = start(writer, spec, err);
    if (status == TAMIS_OK)
        *ret_writer = writer;
    else
        tamis_scores_writer_abort(&writer);
    return status;
}

tamis_status tamis_scores_writer_put(tamis_scores_writer *writer, uint64_t first_row, uint64_t rows,
                                     uint64_t first_query, uint64_t queries, const float *values,
                                     size_t stride, tamis_error *err)
{
    tamis__h5_part part = {first_row, rows, first_query, queries, stride};
    TAMIS_TRY(check_part(writer->h5.path, writer->rows, writer->queries, &part, err));
    if (rows == 0 || queries == 0) return TAMIS_OK;
    TAMIS_TRY(
        tamis__h5_array_write(&writer->h5, writer->matrix, TAMIS__H5_F32, &part, values, err));
    writer->left -= rows * queries < writer->left ? rows * queries : writer->left;
    return TAMIS_OK;
}

tamis_status tamis_scores_writer_commit(tamis_scores_writer **writer, tamis_error *err)
{
    tamis_scores_writer *w = *writer;
    if (w->left > 0) {
        tamis_status status = tamis__fail(
            err, TAMIS_ERR_ARG, "'%s': %" PRIu64 " scores were never written", w->h5.path, w->left);
        tamis_scores_writer_abort(writer);
        return status;
    }
    tamis__h5_array_close(&w->matrix);
    tamis_status status = tamis__h5_commit(&w->h5, w->force, err);
    free(w);
    *writer = NULL;
    return status;
}

void tamis_scores_writer_abort(tamis_scores_writer **writer)
{
    if (!writer || !*writer) return;
    tamis__h5_array_close(&(*writer)->matrix);
    tamis__h5_close(&(*writer)->h5);
    free(*writer);
    *writer = NULL;
}
