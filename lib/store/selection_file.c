/* Selections in HDF5: a flat table whose columns all have one value a row and all lie in the root,
 * so that any loader of HDF5 takes it as it is. Everything else is in attributes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/selection.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/scores.h>
#include <tamis/version.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"
#include "store/utf8.h"

/* Bytes a row takes in memory, ids and reasons aside. */
#define ROW_SIZE 64u

/* --- writing ---------------------------------------------------------------------------------- */

static tamis_status write_row_numbers(const tamis__h5 *h5, const tamis_selection *s,
                                      tamis_error *err)
{
    const tamis_examples *e = &s->examples;
    uint64_t *row = tamis__malloc((size_t)s->rows, sizeof *row);
    if (!row) return tamis__fail_memory(err, "row numbers", s->rows * sizeof *row);
    for (uint64_t i = 0; i < s->rows; i++) row[i] = i;
    tamis_status status = tamis__h5_write(h5, "row", TAMIS__H5_U64, row, s->rows, 0, err);
    if (status == TAMIS_OK)
        status = e->id_text ? tamis__h5_write_text(h5, "id", e->id_text, s->rows, err)
                            : tamis__h5_write(h5, "id", TAMIS__H5_U64,
                                              e->id_number ? e->id_number : row, s->rows, 0, err);
    free(row);
    return status;
}

static tamis_status write_digests(const tamis__h5 *h5, const tamis_selection *s, tamis_error *err)
{
    if (s->examples.digest)
        return tamis__h5_write(h5, "digest", TAMIS__H5_U64, s->examples.digest, s->rows, 0, err);
    uint64_t *unknown = tamis__calloc((size_t)s->rows, sizeof *unknown);
    if (!unknown) return tamis__fail_memory(err, "digests", s->rows * sizeof *unknown);
    tamis_status status = tamis__h5_write(h5, "digest", TAMIS__H5_U64, unknown, s->rows, 0, err);
    free(unknown);
    return status;
}

static tamis_status write_groups(const tamis__h5 *h5, const tamis_selection *s, tamis_error *err)
{
    if (s->examples.group)
        return tamis__h5_write(h5, "group", TAMIS__H5_I32, s->examples.group, s->rows, 0, err);
    int32_t *none = tamis__malloc((size_t)s->rows, sizeof *none);
    if (!none) return tamis__fail_memory(err, "groups", s->rows * sizeof *none);
    for (uint64_t i = 0; i < s->rows; i++) none[i] = -1;
    tamis_status status = tamis__h5_write(h5, "group", TAMIS__H5_I32, none, s->rows, 0, err);
    free(none);
    return status;
}

/* Names of groups and classes are not one a row: they go into attributes, as JSON arrays. */
static tamis_status write_names(const tamis__h5 *h5, const char *attribute, const char *const *name,
                                uint32_t n, tamis_error *err)
{
    if (!name || n == 0) return TAMIS_OK;
    json_t *names = json_array();
    bool failed = !names;
    for (uint32_t i = 0; i < n && !failed; i++) {
        char *clean = tamis__utf8_repair(name[i]);
        failed = !clean || json_array_append_new(names, json_string(clean)) != 0;
        free(clean);
    }
    char *text = failed ? NULL : json_dumps(names, JSON_COMPACT);
    json_decref(names);
    if (!text) return tamis__fail_memory(err, attribute, n);
    tamis_status status = tamis__h5_put_text(h5, "/", attribute, text, err);
    free(text);
    return status;
}

static tamis_status write_reasons(const tamis__h5 *h5, const tamis_selection *s, tamis_error *err)
{
    const char **text = tamis__malloc((size_t)s->rows, sizeof *text);
    if (!text) return tamis__fail_memory(err, "reasons", s->rows * sizeof *text);
    for (uint64_t i = 0; i < s->rows; i++)
        text[i] = s->reason[i] < s->reasons ? s->reason_text[s->reason[i]] : "";
    tamis_status status = tamis__h5_write_text(h5, "reason", text, s->rows, err);
    free(text);
    return status;
}

static tamis_status write_table(const tamis__h5 *h5, const tamis_selection *s, tamis_error *err)
{
    const tamis_examples *e = &s->examples;
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "selector", s->selector ? s->selector : "unknown", err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "kept", s->kept, err));
    /* A score may be a loss or a norm as well: what is said of the sign holds for influences. */
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "orientation",
                                 "of a score that is an influence, " TAMIS_ORIENTATION, err));
    TAMIS_TRY(write_names(h5, "group_name", e->group_name, e->groups, err));
    TAMIS_TRY(write_names(h5, "class_name", e->class_name, e->classes, err));
    TAMIS_TRY(write_row_numbers(h5, s, err));
    TAMIS_TRY(tamis__h5_write(h5, "keep", TAMIS__H5_U8, s->keep, s->rows, 0, err));
    TAMIS_TRY(tamis__h5_write(h5, "rank", TAMIS__H5_U64, s->rank, s->rows, 0, err));
    TAMIS_TRY(tamis__h5_write(h5, "score", TAMIS__H5_F32, s->score, s->rows, 0, err));
    TAMIS_TRY(tamis__h5_write(h5, "weight", TAMIS__H5_F32, s->weight, s->rows, 0, err));
    TAMIS_TRY(write_groups(h5, s, err));
    if (e->label) TAMIS_TRY(tamis__h5_write(h5, "label", TAMIS__H5_I32, e->label, s->rows, 0, err));
    TAMIS_TRY(write_reasons(h5, s, err));
    return write_digests(h5, s, err);
}

tamis_status tamis_selection_save(const tamis_selection *selection, tamis_context *context,
                                  const char *path, bool force, tamis_error *err)
{
    tamis__h5 h5;
    TAMIS_TRY(tamis__output_check(path, force, false, err));
    TAMIS_TRY(tamis__h5_create(&h5, context, path, "selection", TAMIS_FORMAT_VERSION,
                               selection->provenance, err));
    tamis_status status = write_table(&h5, selection, err);
    if (status == TAMIS_OK) return tamis__h5_commit(&h5, force, err);
    tamis__h5_close(&h5);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

static tamis_status corrupt(const tamis__h5 *h5, const char *dataset, uint64_t row,
                            const char *wrong, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': dataset '%s', row %" PRIu64 ": %s: make the selection again",
                       h5->path, dataset, row, wrong);
}

/* Row i of the table must be candidate i: everything downstream relies on it. */
static tamis_status check_rows(const tamis__h5 *h5, uint64_t rows, tamis_error *err)
{
    uint64_t *row = NULL;
    TAMIS_TRY(tamis__h5_read(h5, "row", TAMIS__H5_U64, rows, 0, (void **)&row, err));
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < rows && status == TAMIS_OK; i++)
        if (row[i] != i) status = corrupt(h5, "row", i, "rows are not numbered 0, 1, 2 ...", err);
    free(row);
    return status;
}

static tamis_status check_values(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    s->kept = 0;
    for (uint64_t i = 0; i < s->rows; i++) {
        if (s->keep[i] > 1) return corrupt(h5, "keep", i, "it is neither 0 nor 1", err);
        if (s->rank[i] >= s->rows)
            return corrupt(h5, "rank", i, "the rank is not below the number of rows", err);
        s->kept += s->keep[i];
    }
    return TAMIS_OK;
}

static tamis_status read_ids(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    if (tamis__h5_is_text(h5, "id")) {
        char **text = NULL;
        TAMIS_TRY(tamis__h5_read_text(h5, "id", s->rows, &text, err));
        s->examples.id_text = (const char *const *)text;
        return TAMIS_OK;
    }
    uint64_t *number = NULL;
    TAMIS_TRY(tamis__h5_read_optional(h5, "id", TAMIS__H5_U64, s->rows, 0, (void **)&number, err));
    bool plain = true;
    for (uint64_t i = 0; number && i < s->rows; i++) plain = plain && number[i] == i;
    if (plain)
        free(number);
    else
        s->examples.id_number = number;
    return TAMIS_OK;
}

static tamis_status read_names(const tamis__h5 *h5, const char *attribute,
                               const char *const **ret_name, uint32_t *ret_n, tamis_error *err)
{
    char *text = NULL;
    if (!tamis__h5_has_attribute(h5, "/", attribute)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_text(h5, "/", attribute, &text, err));
    json_t *names = json_loads(text, 0, NULL);
    free(text);
    if (!json_is_array(names)) {
        json_decref(names);
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute '%s' is no list of names",
                           h5->path, attribute);
    }
    size_t n = json_array_size(names);
    const char **list = tamis__calloc(n, sizeof *list);
    tamis_status status = list ? TAMIS_OK : tamis__fail_memory(err, attribute, n);
    for (size_t i = 0; i < n && status == TAMIS_OK; i++) {
        list[i] = json_string_value(json_array_get(names, i));
        if (!list[i])
            status = tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute '%s' is no list of names",
                                 h5->path, attribute);
    }
    if (status == TAMIS_OK && n > 0) {
        *ret_name = (const char *const *)tamis__texts_copy(list, n);
        *ret_n = *ret_name ? (uint32_t)n : 0;
        if (!*ret_name) status = tamis__fail_memory(err, attribute, n);
    }
    free(list);
    json_decref(names);
    return status;
}

static tamis_status read_groups(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    int32_t *group = NULL;
    bool any = false;
    TAMIS_TRY(read_names(h5, "group_name", &s->examples.group_name, &s->examples.groups, err));
    TAMIS_TRY(
        tamis__h5_read_optional(h5, "group", TAMIS__H5_I32, s->rows, 0, (void **)&group, err));
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; group && i < s->rows && status == TAMIS_OK; i++) {
        any = any || group[i] != -1;
        if (group[i] < -1 || (s->examples.groups > 0 && group[i] >= (int64_t)s->examples.groups))
            status = corrupt(h5, "group", i, "there is no such group", err);
    }
    if (any && status == TAMIS_OK)
        s->examples.group = group;
    else
        free(group);
    return status;
}

static tamis_status read_labels(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    tamis_examples *e = &s->examples;
    int32_t *label = NULL;
    TAMIS_TRY(read_names(h5, "class_name", &e->class_name, &e->classes, err));
    TAMIS_TRY(
        tamis__h5_read_optional(h5, "label", TAMIS__H5_I32, s->rows, 0, (void **)&label, err));
    e->label = label;
    for (uint64_t i = 0; label && e->class_name && i < s->rows; i++)
        if (label[i] < 0 || (uint32_t)label[i] >= e->classes)
            return corrupt(h5, "label", i, "there is no such class", err);
    return TAMIS_OK;
}

static tamis_status read_digests(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    uint64_t *digest = NULL;
    bool any = false;
    TAMIS_TRY(
        tamis__h5_read_optional(h5, "digest", TAMIS__H5_U64, s->rows, 0, (void **)&digest, err));
    for (uint64_t i = 0; digest && i < s->rows && !any; i++) any = digest[i] != 0;
    if (any)
        s->examples.digest = digest;
    else
        free(digest);
    return TAMIS_OK;
}

/* Slots of the table that finds a reason again; a power of two, twice the reasons there can be. */
#define REASON_SLOTS ((size_t)1 << 17)

static tamis_status index_reason(tamis_selection *s, uint32_t *slots, const char *text,
                                 uint16_t *ret_index, tamis_error *err)
{
    size_t at = (size_t)tamis__digest(text, strlen(text)) & (REASON_SLOTS - 1);
    for (; slots[at]; at = (at + 1) & (REASON_SLOTS - 1))
        if (!strcmp(s->reason_text[slots[at] - 1], text)) {
            *ret_index = (uint16_t)(slots[at] - 1);
            return TAMIS_OK;
        }
    TAMIS_TRY(tamis_selection_reason(s, text, ret_index, err));
    slots[at] = *ret_index + 1u;
    return TAMIS_OK;
}

static tamis_status read_reasons(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    char **text = NULL;
    TAMIS_TRY(tamis__h5_read_text(h5, "reason", s->rows, &text, err));
    uint32_t *slots = tamis__calloc(REASON_SLOTS, sizeof *slots);
    tamis_status status = slots ? TAMIS_OK
                                : tamis__fail_memory(err, "reasons", REASON_SLOTS * sizeof *slots);
    for (uint64_t i = 0; i < s->rows && status == TAMIS_OK; i++)
        status = index_reason(s, slots, text[i], &s->reason[i], err);
    if (status == TAMIS_ERR_ARG)
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s': dataset 'reason' holds more than 65,535 different texts",
                             h5->path);
    free(slots);
    free(text);
    return status;
}

static tamis_status read_column(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                uint64_t rows, void *column, tamis_error *err)
{
    void *values = NULL;
    TAMIS_TRY(tamis__h5_read(h5, name, type, rows, 0, &values, err));
    memcpy(column, values, (size_t)rows * tamis__h5_type_size(type));
    free(values);
    return TAMIS_OK;
}

static tamis_status read_table(const tamis__h5 *h5, tamis_selection *s, tamis_error *err)
{
    TAMIS_TRY(check_rows(h5, s->rows, err));
    TAMIS_TRY(read_column(h5, "keep", TAMIS__H5_U8, s->rows, s->keep, err));
    TAMIS_TRY(read_column(h5, "rank", TAMIS__H5_U64, s->rows, s->rank, err));
    TAMIS_TRY(read_column(h5, "score", TAMIS__H5_F32, s->rows, s->score, err));
    TAMIS_TRY(read_column(h5, "weight", TAMIS__H5_F32, s->rows, s->weight, err));
    TAMIS_TRY(check_values(h5, s, err));
    TAMIS_TRY(read_ids(h5, s, err));
    TAMIS_TRY(read_groups(h5, s, err));
    TAMIS_TRY(read_digests(h5, s, err));
    TAMIS_TRY(read_labels(h5, s, err));
    TAMIS_TRY(read_reasons(h5, s, err));
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "selector", &s->selector, err));
    return tamis__h5_get_text(h5, "/", "provenance", &s->provenance, err);
}

static tamis_status load(const tamis__h5 *h5, tamis_context *context,
                         tamis_selection **ret_selection, tamis_error *err)
{
    uint64_t shape[2];
    tamis_selection *selection = NULL;
    TAMIS_TRY(tamis__h5_shape(h5, "row", 1, shape, err));
    if (shape[0] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': the selection has no rows", h5->path);
    if (shape[0] > h5->size)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'row' claims %" PRIu64 " rows, the file has %" PRIu64
                           " bytes",
                           h5->path, shape[0], h5->size);
    TAMIS_TRY(tamis__memory_check(context, shape[0] * ROW_SIZE, "reading a selection", err));
    TAMIS_TRY(tamis_selection_create(&selection, shape[0], NULL, err));
    tamis_status status = read_table(h5, selection, err);
    if (status == TAMIS_OK)
        *ret_selection = selection;
    else
        tamis_selection_free(&selection);
    return status;
}

tamis_status tamis_selection_load(tamis_selection **ret_selection, tamis_context *context,
                                  const char *path, tamis_error *err)
{
    tamis__h5 h5;
    TAMIS_TRY(tamis__h5_open(&h5, path, "selection", TAMIS_FORMAT_VERSION, err));
    tamis_status status = load(&h5, context, ret_selection, err);
    tamis__h5_close(&h5);
    return status;
}
