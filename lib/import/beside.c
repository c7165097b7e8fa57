/* What comes beside imported rows: labels, lengths, groups and ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/beside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "import/npy.h"
#include "import/texts.h"

/* A one-column .npy of this many integers. */
static tamis_status open_integers(tamis__npy *npy, const tamis_context *context, const char *path,
                                  const char *what, uint64_t rows, const char *of,
                                  const char *entries, tamis_error *err)
{
    TAMIS_TRY(tamis__npy_open(npy, context, path, err));
    tamis_status status = TAMIS_OK;
    if (npy->cols != 1)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' has %" PRIu64 " columns: %s are one column of integers", path,
                             npy->cols, what);
    else if (npy->rows != rows)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' has %" PRIu64 " %s, '%s' has %" PRIu64 " %s", path, npy->rows,
                             what, of, rows, entries);
    if (status != TAMIS_OK) tamis__npy_close(npy);
    return status;
}

static tamis_status read_labels(const tamis__npy *npy, int32_t *label, const char *path,
                                tamis_error *err)
{
    for (uint64_t i = 0; i < npy->rows; i++) {
        int64_t value = 0;
        TAMIS_TRY(tamis__npy_integer(npy, i, &value, path, err));
        if (value < INT32_MIN || value > INT32_MAX)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' element %" PRIu64 ": label %" PRId64 " does not fit 32 bits",
                               path, i, value);
        label[i] = (int32_t)value;
    }
    return TAMIS_OK;
}

tamis_status tamis__beside_labels(tamis__beside *beside, tamis_context *context, const char *path,
                                  uint64_t rows, const char *of, tamis_error *err)
{
    tamis__npy npy;
    if (!path) return TAMIS_OK;
    TAMIS_TRY(open_integers(&npy, context, path, "labels", rows, of, "rows", err));
    beside->label = tamis__malloc((size_t)rows, sizeof *beside->label);
    tamis_status status = beside->label
                              ? read_labels(&npy, beside->label, path, err)
                              : tamis__fail_memory(err, "labels", rows * sizeof *beside->label);
    tamis__npy_close(&npy);
    return status;
}

static tamis_status read_lengths(const tamis__npy *npy, uint32_t *length, const char *path,
                                 tamis_error *err)
{
    for (uint64_t i = 0; i < npy->rows; i++) {
        int64_t value = 0;
        TAMIS_TRY(tamis__npy_integer(npy, i, &value, path, err));
        if (value < 0 || value > (int64_t)UINT32_MAX)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' element %" PRIu64 ": %" PRId64
                               " is no length: they are from 0 to 4294967295",
                               path, i, value);
        length[i] = (uint32_t)value;
    }
    return TAMIS_OK;
}

tamis_status tamis__beside_lengths(tamis__beside *beside, tamis_context *context, const char *path,
                                   uint64_t rows, const char *of, tamis_error *err)
{
    tamis__npy npy;
    if (!path) return TAMIS_OK;
    TAMIS_TRY(open_integers(&npy, context, path, "lengths", rows, of, "rows", err));
    beside->length = tamis__malloc((size_t)rows, sizeof *beside->length);
    tamis_status status = beside->length
                              ? read_lengths(&npy, beside->length, path, err)
                              : tamis__fail_memory(err, "lengths", rows * sizeof *beside->length);
    tamis__npy_close(&npy);
    return status;
}

static tamis_status read_offsets(const tamis__npy *npy, uint64_t *offset, uint64_t tokens,
                                 const char *path, const char *of, tamis_error *err)
{
    int64_t before = 0;
    for (uint64_t i = 0; i < npy->rows; i++) {
        int64_t value = 0;
        TAMIS_TRY(tamis__npy_integer(npy, i, &value, path, err));
        if (i == 0 && value != 0)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' begins with %" PRId64 ": the first row's tokens begin at 0",
                               path, value);
        if (value < before)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' element %" PRIu64 ": %" PRId64 " after %" PRId64
                               ": offsets do not fall",
                               path, i, value, before);
        offset[i] = (uint64_t)(before = value);
    }
    if ((uint64_t)before == tokens) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' ends with %" PRId64 ", '%s' has %" PRIu64
                       " tokens: the last offset is the number of tokens",
                       path, before, of, tokens);
}

tamis_status tamis__beside_offsets(tamis_context *context, const char *path, uint64_t tokens,
                                   const char *of, uint64_t **ret_offset, uint64_t *ret_rows,
                                   tamis_error *err)
{
    tamis__npy npy;
    tamis_status status = TAMIS_OK;
    uint64_t *offset = NULL;
    TAMIS_TRY(tamis__npy_open(&npy, context, path, err));
    if (npy.cols != 1 || npy.rows < 2)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' has %" PRIu64 " rows and %" PRIu64
                             " columns: offsets are one column, one more than there are rows",
                             path, npy.rows, npy.cols);
    if (status == TAMIS_OK) {
        offset = tamis__malloc((size_t)npy.rows, sizeof *offset);
        status = offset ? read_offsets(&npy, offset, tokens, path, of, err)
                        : tamis__fail_memory(err, "offsets", npy.rows * sizeof *offset);
    }
    if (status == TAMIS_OK) {
        *ret_offset = offset;
        *ret_rows = npy.rows - 1;
    } else {
        free(offset);
    }
    tamis__npy_close(&npy);
    return status;
}

/* Distinct numbers become groups, named in decimal; -1 is no group. */
static tamis_status read_groups(const tamis__npy *npy, tamis__names *names, int32_t *group,
                                const char *path, tamis_error *err)
{
    for (uint64_t i = 0; i < npy->rows; i++) {
        int64_t value = 0;
        char text[24];
        TAMIS_TRY(tamis__npy_integer(npy, i, &value, path, err));
        if (value == -1) { /* no group, as in a store */
            group[i] = -1;
            continue;
        }
        int size = snprintf(text, sizeof text, "%" PRId64, value);
        TAMIS_TRY(tamis__names_add(names, text, (size_t)size, &group[i], err));
    }
    return TAMIS_OK;
}

tamis_status tamis__beside_groups(tamis__beside *beside, tamis_context *context, const char *path,
                                  uint64_t rows, const char *of, const char *entries,
                                  tamis_error *err)
{
    tamis__npy npy;
    tamis__names names = {0};
    if (!path) return TAMIS_OK;
    TAMIS_TRY(open_integers(&npy, context, path, "groups", rows, of, entries, err));
    beside->group = tamis__malloc((size_t)rows, sizeof *beside->group);
    tamis_status status = beside->group
                              ? read_groups(&npy, &names, beside->group, path, err)
                              : tamis__fail_memory(err, "groups", rows * sizeof *beside->group);
    if (status == TAMIS_OK && names.list.count > 0)
        status = tamis__names_sort(&names, beside->group, rows, &beside->group_name, err);
    if (names.list.count == 0) { /* no row has one */
        free(beside->group);
        beside->group = NULL;
    }
    beside->groups = (uint32_t)names.list.count;
    tamis__names_fini(&names);
    tamis__npy_close(&npy);
    return status;
}

static tamis_status read_ids(const tamis__input *input, tamis__ids *ids, tamis__names *seen,
                             const char *path, tamis_error *err)
{
    tamis__lines lines = tamis__lines_of(input);
    const char *text;
    size_t size;
    while (tamis__lines_next(&lines, &text, &size)) {
        int32_t index;
        tamis_status status = tamis__ids_add(ids, text, size, err);
        if (status == TAMIS_OK) status = tamis__names_add(seen, text, size, &index, err);
        if (status != TAMIS_OK)
            return tamis__prefix(err, status, "'%s' line %" PRIu64, path, lines.line);
    }
    return TAMIS_OK;
}

static tamis_status check_ids(const tamis_context *context, const tamis__ids *ids,
                              const tamis__names *seen, const char *path, uint64_t rows,
                              const char *of, tamis_error *err)
{
    if (ids->count != rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %zu ids, '%s' has %" PRIu64 " rows",
                           path, ids->count, of, rows);
    if (seen->list.count < ids->count)
        tamis__log(context, TAMIS_LOG_WARNING,
                   "'%s': only %zu of %zu ids are different: rows are told apart by number", path,
                   seen->list.count, ids->count);
    return TAMIS_OK;
}

tamis_status tamis__beside_ids(tamis__beside *beside, tamis_context *context, const char *path,
                               uint64_t rows, const char *of, tamis_error *err)
{
    tamis__input input;
    tamis__ids ids = {0};
    tamis__names seen = {0};
    if (!path) return TAMIS_OK;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis_status status = read_ids(&input, &ids, &seen, path, err);
    if (status == TAMIS_OK) status = check_ids(context, &ids, &seen, path, rows, of, err);
    if (status == TAMIS_OK)
        status = tamis__ids_take(&ids, &beside->id_number, &beside->id_text, err);
    tamis__ids_fini(&ids);
    tamis__names_fini(&seen);
    tamis__input_close(&input);
    return status;
}

tamis_examples tamis__beside_examples(const tamis__beside *beside, uint64_t first)
{
    return (tamis_examples){
        .id_number = beside->id_number ? beside->id_number + first : NULL,
        .id_text = beside->id_text ? (const char *const *)beside->id_text + first : NULL,
        .label = beside->label ? beside->label + first : NULL,
        .length = beside->length ? beside->length + first : NULL,
        .group = beside->group ? beside->group + first : NULL,
        .group_name = (const char *const *)beside->group_name,
        .groups = beside->groups,
    };
}

void tamis__beside_fini(tamis__beside *beside)
{
    free(beside->label);
    free(beside->length);
    free(beside->group);
    free(beside->group_name);
    free(beside->id_number);
    free(beside->id_text);
    *beside = (tamis__beside){0};
}
