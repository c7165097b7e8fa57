/* Values of candidates from files of any kind.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/columns.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <tamis/inspect.h>
#include <tamis/scores.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/npy.h"
#include "import/source.h"
#include "select/field.h"
#include "select/values.h"

/* "FILE#COLUMN" taken apart. */
typedef struct column_spec {
    char *file;
    const char *column; /* NULL = not named */
} column_spec;

static tamis_status split(const char *spec, column_spec *ret_spec, tamis_error *err)
{
    column_spec s = {.file = tamis__strdup(spec)};
    if (!s.file) return tamis__fail_memory(err, "a file name", strlen(spec));
    char *mark = strrchr(s.file, '#');
    if (mark) {
        *mark = '\0';
        s.column = mark + 1;
    }
    if (!*s.file || (mark && !*s.column)) {
        free(s.file);
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' names no column: write FILE#COLUMN, such as train.h5#loss", spec);
    }
    *ret_spec = s;
    return TAMIS_OK;
}

static tamis_status need_column(const column_spec *s, const char *which, tamis_error *err)
{
    if (s->column) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s': say which column: %s#%s", s->file, s->file,
                       which);
}

static tamis_status check_rows(const column_spec *s, uint64_t found, uint64_t rows,
                               tamis_error *err)
{
    if (found == rows) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " rows, and there are %" PRIu64 " candidates: it must "
                       "have one for each, in their order",
                       s->file, found, rows);
}

/* --- files of our own ------------------------------------------------------------------------- */

static tamis_status from_store(tamis_context *context, const column_spec *s, uint64_t rows,
                               double **ret_value, tamis_error *err)
{
    tamis_store *store = NULL;
    TAMIS_TRY(need_column(s, "loss", err));
    TAMIS_TRY(tamis_store_open(&store, context, s->file, err));
    tamis_status status = check_rows(s, tamis_store_info_get(store)->rows, rows, err);
    if (status == TAMIS_OK) status = tamis__column(store, s->column, ret_value, err);
    tamis_store_close(&store);
    return status;
}

/* Lengths of the examples go along with their scores. */
static tamis_status lengths_of(const tamis_scores *scores, double **ret_value, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (!info->examples.length)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has no lengths recorded: the store that was scored had none",
                           tamis_scores_path(scores));
    double *value = tamis__malloc((size_t)info->rows, sizeof *value);
    if (!value) return tamis__fail_memory(err, "lengths", info->rows * sizeof *value);
    for (uint64_t i = 0; i < info->rows; i++) value[i] = (double)info->examples.length[i];
    *ret_value = value;
    return TAMIS_OK;
}

static tamis_status from_scores(tamis_context *context, const column_spec *s, uint64_t rows,
                                double **ret_value, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_aggregate by = TAMIS_AGGREGATE_TOTAL;
    const char *column = s->column ? s->column : "total";
    while (by <= TAMIS_AGGREGATE_MAX && strcmp(tamis__aggregate_name(by), column) != 0) by++;
    bool length = !strcmp(column, "length");
    if (by > TAMIS_AGGREGATE_MAX && !length)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': there is no column '%s' of scores: it is total, mean, max or "
                           "length",
                           s->file, column);
    TAMIS_TRY(tamis_scores_open(&scores, context, s->file, err));
    tamis_status status = check_rows(s, tamis_scores_info_get(scores)->rows, rows, err);
    if (status == TAMIS_OK)
        status = length ? lengths_of(scores, ret_value, err)
                        : tamis__aggregate(context, scores, by, ret_value, err);
    tamis_scores_close(&scores);
    return status;
}

static bool ends_in(const char *path, const char *ending)
{
    size_t size = strlen(path), n = strlen(ending);
    return size > n && !strcasecmp(path + size - n, ending);
}

/* Of a name that tells no kind HDF5 is tried: what else there is is said, but not of a file that is
 * called HDF5. */
static tamis_status name_kinds(const column_spec *s, tamis_status status, tamis_error *err)
{
    tamis_error found = err ? *err : (tamis_error){0};
    if (status != TAMIS_ERR_FORMAT || ends_in(s->file, ".h5")) return status;
    return tamis__fail(err, status,
                       "%s: columns come from files of tamis and from .npy, .csv, .tsv and .jsonl, "
                       "the last three plain or .gz",
                       found.message);
}

static tamis_status from_hdf5(tamis_context *context, const column_spec *s, uint64_t rows,
                              double **ret_value, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_error ignored;
    if (tamis_scores_open(&scores, context, s->file, &ignored) != TAMIS_OK)
        return name_kinds(s, from_store(context, s, rows, ret_value, err), err);
    tamis_scores_close(&scores);
    return from_scores(context, s, rows, ret_value, err);
}

/* --- others ----------------------------------------------------------------------------------- */

static tamis_status from_npy(tamis_context *context, const column_spec *s, uint64_t rows,
                             double **ret_value, tamis_error *err)
{
    tamis__npy npy;
    if (s->column)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is an array, whose columns have no names: leave '#%s' out",
                           s->file, s->column);
    TAMIS_TRY(tamis__npy_open(&npy, context, s->file, err));
    tamis_status status = check_rows(s, npy.rows, rows, err);
    if (status == TAMIS_OK && npy.cols != 1)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' has %" PRIu64 " columns: an array of one value a row is wanted",
                             s->file, npy.cols);
    double *value = status == TAMIS_OK ? tamis__malloc((size_t)rows, sizeof *value) : NULL;
    if (status == TAMIS_OK && !value)
        status = tamis__fail_memory(err, "one value a row", rows * sizeof *value);
    for (uint64_t i = 0; status == TAMIS_OK && i < rows; i++)
        value[i] = tamis__npy_double(&npy, i, 0);
    tamis__npy_close(&npy);
    *ret_value = value;
    return status;
}

static tamis_status from_text(tamis_context *context, const column_spec *s, uint64_t rows,
                              double **ret_value, tamis_error *err)
{
    tamis__source source;
    tamis__records_kind kind;
    uint64_t found = 0;
    double *value = NULL;
    TAMIS_TRY(need_column(s, "FIELD", err));
    if (!tamis__field_kind(s->file, &kind))
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s' is no file with columns: it is neither HDF5 nor .npy, .csv, .tsv or "
            ".jsonl",
            s->file);
    TAMIS_TRY(tamis__source_open(&source, context, s->file, err));
    tamis_status status = tamis__field_numbers(&source, kind, s->column, &value, &found, err);
    tamis__source_close(&source);
    if (status == TAMIS_OK) status = check_rows(s, found, rows, err);
    if (status == TAMIS_OK)
        *ret_value = value;
    else
        free(value);
    return status;
}

tamis_status tamis_column_load(tamis_context *context, const char *spec, uint64_t rows,
                               double **ret_value, tamis_error *err)
{
    column_spec s = {0};
    tamis__records_kind kind;
    TAMIS_TRY(split(spec, &s, err));
    double *value = NULL;
    tamis_status status = ends_in(s.file, ".npy") ? from_npy(context, &s, rows, &value, err)
                          : tamis__field_kind(s.file, &kind)
                              ? from_text(context, &s, rows, &value, err)
                              : from_hdf5(context, &s, rows, &value, err);
    free(s.file);
    if (status == TAMIS_OK)
        *ret_value = value;
    else
        free(value);
    return status;
}

/* --- by id ------------------------------------------------------------------------------------ */

static tamis_status join(tamis_context *context, const column_spec *s, const char *id_field,
                         const tamis_examples *examples, uint64_t rows, double *value,
                         tamis_error *err)
{
    tamis__source source;
    tamis__records_kind kind;
    tamis__id_finder ids;
    TAMIS_TRY(need_column(s, "FIELD", err));
    if (!tamis__field_kind(s->file, &kind))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' has no records with ids, and is taken in the candidates' order: "
                           "leave the id out, or give a .csv, .tsv or .jsonl file",
                           s->file);
    TAMIS_TRY(tamis__id_finder_init(&ids, s->file, examples, rows, err));
    tamis_status status = tamis__source_open(&source, context, s->file, err);
    if (status == TAMIS_OK) {
        status = tamis__field_join(&source, kind, s->column, id_field, &ids, value, err);
        tamis__source_close(&source);
    }
    tamis__id_finder_fini(&ids);
    return status;
}

tamis_status tamis_column_join(tamis_context *context, const char *spec, const char *id_field,
                               const tamis_examples *examples, uint64_t rows, double **ret_value,
                               tamis_error *err)
{
    column_spec s = {0};
    TAMIS_TRY(split(spec, &s, err));
    double *value = tamis__malloc((size_t)rows, sizeof *value);
    tamis_status status = value ? join(context, &s, id_field, examples, rows, value, err)
                                : tamis__fail_memory(err, "one value a row", rows * sizeof *value);
    free(s.file);
    if (status == TAMIS_OK)
        *ret_value = value;
    else
        free(value);
    return status;
}
