/* Opening what is exported, and laying out its columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "export/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/inspect.h>
#include <tamis/param.h>

#include "base/error.h"
#include "base/mem.h"

#define BLOCK_FLOATS ((uint64_t)1 << 18)

/* The first of each is what is exported when nothing is asked for. */
static const char *const store_parts[] = {
    "gradient",    "input", "output_gradient", "offset", "norm", "loss",   "margin",
    "probability", "label", "length",          "group",  "id",   "digest", NULL};
/* Of a file with lists it is "table". */
static const char *const scores_parts[] = {
    "score", "table",  "row",   "count",    "mean",        "variance",    "id",
    "label", "length", "group", "query-id", "query-label", "query-group", NULL};
static const char *const selection_parts[] = {"table", "row",   "picks",  "keep",
                                              "rank",  "score", "weight", NULL};

static const char *const *parts_of(const char *kind)
{
    if (!strcmp(kind, "gradient-store")) return store_parts;
    if (!strcmp(kind, "scores")) return scores_parts;
    if (!strcmp(kind, "selection")) return selection_parts;
    return NULL;
}

const char *tamis_export_what_at(const char *kind, size_t i)
{
    const char *const *parts = parts_of(kind);
    for (size_t j = 0; parts && j < i; j++)
        if (!parts[j]) return NULL;
    return parts ? parts[i] : NULL;
}

static void add(tamis__export_source *s, const char *name, tamis__field_type type,
                const void *values)
{
    s->field[s->fields++] = (tamis__field){.name = name, .type = type, .values = values};
}

/* A single thing beside the number and id of the row, or of the query. */
static void add_main(tamis__export_source *s, const char *name, tamis__field_type type,
                     const void *values)
{
    bool query = !strncmp(name, "query-", 6);
    add(s, query ? "query" : "row", TAMIS__FIELD_ROW, NULL);
    if (type != TAMIS__FIELD_ID) add(s, query ? "query-id" : "id", TAMIS__FIELD_ID, NULL);
    s->main = s->fields;
    add(s, name, type, values);
}

/* --- gradient stores -------------------------------------------------------------------------- */

static tamis_status missing(const tamis__export_source *s, const char *what, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no %s recorded", s->path, what);
}

static tamis_status add_column(tamis__export_source *s, const char *what, tamis__field_type type,
                               const void *values, tamis_error *err)
{
    if (!values) return missing(s, what, err);
    add_main(s, what, type, values);
    return TAMIS_OK;
}

/* Ids, which every file has: without recorded ones they are the rows' numbers. */
static tamis_status add_ids(tamis__export_source *s, const char *what)
{
    add_main(s, what, TAMIS__FIELD_ID, NULL);
    s->text_only = s->examples->id_text != NULL;
    return TAMIS_OK;
}

static tamis_status add_output(tamis__export_source *s, const char *what, tamis_error *err)
{
    TAMIS_TRY(tamis_store_outputs(s->store, s->checkpoint, what, &s->outputs, err));
    if (!s->outputs) return missing(s, what, err);
    if (strcmp(what, "probability") != 0)
        return add_column(s, what, TAMIS__FIELD_FLOAT, s->outputs, err);
    s->columns = tamis_store_info_get(s->store)->classes;
    add_main(s, what, TAMIS__FIELD_MATRIX, NULL);
    return TAMIS_OK;
}

/* Tokens one after another, each with the number and id of its row. */
static tamis_status add_tokens(tamis__export_source *s, const char *what, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(s->store);
    const uint64_t *offset = NULL;
    TAMIS_TRY(tamis_store_tokens(s->store, s->checkpoint, &offset, err));
    uint64_t tokens = offset[info->rows];
    s->picked = tamis__malloc(tokens ? tokens : 1, sizeof *s->picked);
    if (!s->picked)
        return tamis__fail_memory(err, "the rows of tokens", tokens * sizeof *s->picked);
    for (uint64_t row = 0; row < info->rows; row++)
        for (uint64_t t = offset[row]; t < offset[row + 1]; t++) s->picked[t] = row;
    s->tokens = true;
    s->inputs = !strcmp(what, "input");
    s->rows = tokens;
    s->columns = s->inputs ? info->input_columns : info->output_columns;
    add(s, "token", TAMIS__FIELD_ROW, NULL);
    add(s, "row", TAMIS__FIELD_COUNT, s->picked);
    add(s, "id", TAMIS__FIELD_ID, NULL);
    s->field[s->fields - 1].at = s->picked;
    s->main = s->fields;
    add(s, what, TAMIS__FIELD_MATRIX, NULL);
    return TAMIS_OK;
}

static tamis_status add_factors(tamis__export_source *s, const char *what, tamis_error *err)
{
    const uint64_t *offset = NULL;
    if (tamis_store_info_get(s->store)->form != TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has whole gradients, and no %s: export its gradient", s->path,
                           what);
    if (strcmp(what, "offset") != 0) return add_tokens(s, what, err);
    TAMIS_TRY(tamis_store_tokens(s->store, s->checkpoint, &offset, err));
    s->rows++;
    add(s, "row", TAMIS__FIELD_ROW, NULL);
    s->main = s->fields;
    add(s, what, TAMIS__FIELD_COUNT, offset);
    return TAMIS_OK;
}

static tamis_status lay_out_store(tamis__export_source *s, const char *what, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(s->store);
    s->examples = tamis_store_examples(s->store);
    s->rows = info->rows;
    if (s->checkpoint >= info->checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has no checkpoint %" PRIu32 ": it has %" PRIu32 ", counted from 0",
                           s->path, s->checkpoint, info->checkpoints);
    if (!strcmp(what, "gradient")) {
        s->columns = info->columns;
        add_main(s, what, TAMIS__FIELD_MATRIX, NULL);
        return TAMIS_OK;
    }
    if (!strcmp(what, "input") || !strcmp(what, "output_gradient") || !strcmp(what, "offset"))
        return add_factors(s, what, err);
    if (!strcmp(what, "norm")) {
        const float *norms;
        TAMIS_TRY(tamis_store_norms(s->store, s->checkpoint, &norms, err));
        return add_column(s, what, TAMIS__FIELD_FLOAT, norms, err);
    }
    if (!strcmp(what, "label"))
        return add_column(s, what, TAMIS__FIELD_LABEL, s->examples->label, err);
    if (!strcmp(what, "length"))
        return add_column(s, what, TAMIS__FIELD_LENGTH, s->examples->length, err);
    if (!strcmp(what, "group"))
        return add_column(s, what, TAMIS__FIELD_GROUP, s->examples->group, err);
    if (!strcmp(what, "digest"))
        return add_column(s, what, TAMIS__FIELD_DIGEST, s->examples->digest, err);
    if (strcmp(what, "id") != 0) return add_output(s, what, err);
    return add_ids(s, what);
}

/* --- scores and selections -------------------------------------------------------------------- */

static bool is_one_of(const char *what, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(what, *names)) return true;
    return false;
}

/* Parts of lists and of columns; *ret_done is false when `what` is none of them. */
static tamis_status lay_out_special(tamis__export_source *s, tamis_context *context,
                                    const char *what, const char *list, bool *ret_done,
                                    tamis_error *err)
{
    static const char *const of_lists[] = {"table", "row", "score", NULL}, *const of_columns[] = {
                                                                               "count", "mean",
                                                                               "variance", NULL};
    bool lists = tamis_scores_info_get(s->scores)->top > 0;
    *ret_done = true;
    if (list && (!lists || !is_one_of(what, of_lists)))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "--list goes with table, row or score of a file with lists: '%s' %s",
                           s->path, lists ? "is asked for something else" : "has none");
    if (lists && is_one_of(what, of_lists))
        return tamis__lay_out_lists(s, context, what, list, err);
    if (is_one_of(what, of_columns)) return tamis__lay_out_statistics(s, what, err);
    if (!strcmp(what, "table") || !strcmp(what, "row"))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has no lists, so it has no %s: the main part is 'score'", s->path,
                           what);
    *ret_done = false;
    return TAMIS_OK;
}

static tamis_status lay_out_scores(tamis__export_source *s, tamis_context *context,
                                   const char *what, const char *list, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(s->scores);
    bool done = false;
    s->examples = &info->examples;
    TAMIS_TRY(lay_out_special(s, context, what, list, &done, err));
    if (done) return TAMIS_OK;
    bool query = !strncmp(what, "query-", 6);
    const char *column = query ? what + 6 : what;
    s->examples = query ? &info->query : &info->examples;
    s->rows = query ? info->queries : info->rows;
    if (!strcmp(column, "id")) return add_ids(s, what);
    if (!strcmp(column, "label"))
        return add_column(s, what, TAMIS__FIELD_LABEL, s->examples->label, err);
    if (!strcmp(column, "length"))
        return add_column(s, what, TAMIS__FIELD_LENGTH, s->examples->length, err);
    if (!strcmp(column, "group"))
        return add_column(s, what, TAMIS__FIELD_GROUP, s->examples->group, err);
    s->columns = info->queries;
    s->one_column = info->queries == 1;
    add_main(s, what, TAMIS__FIELD_MATRIX, NULL);
    return TAMIS_OK;
}

/* Kept rows, ascending or in the order they were chosen in. A damaged file may give one rank twice:
 * rows are therefore placed among the kept, never by the rank itself. */
static tamis_status lay_out_kept(tamis__export_source *s, bool by_rank, tamis_error *err)
{
    const tamis_selection *selection = s->selection;
    uint64_t n = 0;
    s->picked = tamis__malloc((size_t)selection->rows, sizeof *s->picked);
    if (!s->picked)
        return tamis__fail_memory(err, "kept rows", selection->rows * sizeof *s->picked);
    if (by_rank) {
        for (uint64_t i = 0; i < selection->rows; i++) s->picked[i] = UINT64_MAX;
        for (uint64_t row = 0; row < selection->rows; row++)
            if (selection->keep[row]) s->picked[selection->rank[row]] = row;
        for (uint64_t i = 0; i < selection->rows; i++)
            if (s->picked[i] != UINT64_MAX) s->picked[n++] = s->picked[i];
        if (n != selection->kept)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': two kept rows have the same rank: make it again", s->path);
    } else {
        for (uint64_t row = 0; row < selection->rows; row++)
            if (selection->keep[row]) s->picked[n++] = row;
    }
    s->rows = n;
    s->main = 0;
    add(s, "row", TAMIS__FIELD_COUNT, s->picked);
    return TAMIS_OK;
}

static void lay_out_table(tamis__export_source *s)
{
    const tamis_selection *selection = s->selection;
    const tamis_examples *e = &selection->examples;
    s->text_only = true;
    add(s, "row", TAMIS__FIELD_ROW, NULL);
    add(s, "id", TAMIS__FIELD_ID, NULL);
    add(s, "keep", TAMIS__FIELD_BOOL, selection->keep);
    add(s, "rank", TAMIS__FIELD_COUNT, selection->rank);
    add(s, "score", TAMIS__FIELD_FLOAT, selection->score);
    add(s, "weight", TAMIS__FIELD_FLOAT, selection->weight);
    if (e->label) add(s, "label", TAMIS__FIELD_LABEL, e->label);
    if (e->group) add(s, "group", TAMIS__FIELD_GROUP, e->group);
    add(s, "reason", TAMIS__FIELD_REASON, NULL);
    if (e->digest) add(s, "digest", TAMIS__FIELD_DIGEST, e->digest);
}

static tamis_status lay_out_selection(tamis__export_source *s, const char *what, tamis_error *err)
{
    const tamis_selection *selection = s->selection;
    s->examples = &selection->examples;
    s->rows = selection->rows;
    if (!strcmp(what, "row")) return lay_out_kept(s, false, err);
    if (!strcmp(what, "picks")) return lay_out_kept(s, true, err);
    if (!strcmp(what, "table")) lay_out_table(s);
    if (!strcmp(what, "keep")) add_main(s, what, TAMIS__FIELD_BOOL, selection->keep);
    if (!strcmp(what, "rank")) add_main(s, what, TAMIS__FIELD_COUNT, selection->rank);
    if (!strcmp(what, "score")) add_main(s, what, TAMIS__FIELD_FLOAT, selection->score);
    if (!strcmp(what, "weight")) add_main(s, what, TAMIS__FIELD_FLOAT, selection->weight);
    return TAMIS_OK;
}

/* --- open ------------------------------------------------------------------------------------- */

static tamis_status find_part(const char *path, const char *kind, const char *what,
                              const char **ret_part, tamis_error *err)
{
    const char *const *parts = parts_of(kind);
    size_t n = 0;
    if (!parts)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is a %s file: gradient stores, scores and selections are exported",
                           path, kind);
    if (!what) {
        *ret_part = parts[0];
        return TAMIS_OK;
    }
    for (; parts[n]; n++)
        if (!strcmp(parts[n], what)) {
            *ret_part = parts[n];
            return TAMIS_OK;
        }
    const char *near = tamis_suggest(what, parts, n);
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is a %s file, which has no part '%s': %s'%s'",
                       path, kind, what, near ? "did you mean " : "the main one is ",
                       near ? near : parts[0]);
}

static tamis_status check_checkpoint(const tamis__export_source *s, const char *kind,
                                     tamis_error *err)
{
    if (s->checkpoint == 0 || !strcmp(kind, "gradient-store")) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' is a %s file, which has no checkpoints: leave --checkpoint out",
                       s->path, kind);
}

static tamis_status open_and_lay_out(tamis__export_source *s, tamis_context *context,
                                     const char *kind, const char *part,
                                     const tamis_export_params *params, tamis_error *err)
{
    if (params->list && strcmp(kind, "scores") != 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is a %s file, which has no lists: leave --list out", s->path,
                           kind);
    if (!strcmp(kind, "gradient-store")) {
        TAMIS_TRY(tamis_store_open(&s->store, context, s->path, err));
        return lay_out_store(s, part, err);
    }
    if (!strcmp(kind, "selection")) {
        TAMIS_TRY(tamis_selection_load(&s->selection, context, s->path, err));
        return lay_out_selection(s, part, err);
    }
    TAMIS_TRY(tamis_scores_open(&s->scores, context, s->path, err));
    if (!params->what && tamis_scores_info_get(s->scores)->top > 0) part = "table";
    return lay_out_scores(s, context, part, params->list, err);
}

tamis_status tamis__column_source_open(tamis__export_source *ret_source, tamis_context *context,
                                       const tamis_export_params *params, tamis_error *err)
{
    char kind[32];
    const char *part = NULL;
    tamis__export_source source = {.path = params->input, .checkpoint = params->checkpoint};
    TAMIS_TRY(tamis_file_kind(params->input, kind, err));
    TAMIS_TRY(find_part(params->input, kind, params->what, &part, err));
    TAMIS_TRY(check_checkpoint(&source, kind, err));
    tamis_status status = open_and_lay_out(&source, context, kind, part, params, err);
    if (status == TAMIS_OK)
        *ret_source = source;
    else
        tamis__column_source_close(&source);
    return status;
}

void tamis__column_source_close(tamis__export_source *source)
{
    tamis_store_close(&source->store);
    tamis_scores_close(&source->scores);
    tamis_selection_free(&source->selection);
    free(source->outputs);
    free(source->picked);
    tamis__entries_fini(&source->entries);
    *source = (tamis__export_source){0};
}

static tamis_status read_tokens(const tamis__export_source *source, uint64_t first, uint64_t tokens,
                                float *out, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(source->store);
    size_t columns = (size_t)source->columns;
    for (uint32_t i = 0; i < info->layers; i++) {
        TAMIS_TRY(tamis_store_read_factors(source->store, source->checkpoint, i, first, tokens,
                                           source->inputs ? out : NULL, columns,
                                           source->inputs ? NULL : out, columns, err));
        out += source->inputs ? info->layer[i].in + info->layer[i].bias : info->layer[i].out;
    }
    return TAMIS_OK;
}

tamis_status tamis__column_source_block(const tamis__export_source *source, uint64_t first_row,
                                        uint64_t rows, float *out, tamis_error *err)
{
    size_t columns = (size_t)source->columns;
    if (source->outputs) {
        memcpy(out, source->outputs + first_row * columns, rows * columns * sizeof *out);
        return TAMIS_OK;
    }
    if (source->tokens) return read_tokens(source, first_row, rows, out, err);
    if (source->scores)
        return tamis_scores_read(source->scores, first_row, rows, 0, columns, out, columns, err);
    return tamis_store_read(source->store, source->checkpoint, first_row, rows, 0, columns, out,
                            columns, err);
}

uint64_t tamis__column_source_block_rows(const tamis__export_source *source)
{
    uint64_t width = source->columns ? source->columns : 16;
    uint64_t rows = width < BLOCK_FLOATS ? BLOCK_FLOATS / width : 1;
    return rows < source->rows ? rows : source->rows;
}
