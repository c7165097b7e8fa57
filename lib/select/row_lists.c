/* Rows by their ids, and groups by their names.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/columns.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/npy.h"
#include "import/texts.h"
#include "select/find_id.h"

/* --- lines ------------------------------------------------------------------------------------ */

typedef struct lines {
    const char *at, *end;
    uint64_t line; /* the last one given, from 1 */
} lines;

/* A byte order mark is none of a name. */
static lines lines_of(const tamis__input *input)
{
    const char *text = (const char *)input->data;
    bool mark = input->size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3);
    return (lines){text + (mark ? 3 : 0), text + input->size, 0};
}

static bool next_line(lines *l, const char **ret_text, size_t *ret_size)
{
    if (l->at >= l->end) return false;
    const char *stop = memchr(l->at, '\n', (size_t)(l->end - l->at));
    if (!stop) stop = l->end;
    size_t size = (size_t)(stop - l->at);
    if (size > 0 && l->at[size - 1] == '\r') size--;
    *ret_text = l->at;
    *ret_size = size;
    l->at = stop < l->end ? stop + 1 : l->end;
    l->line++;
    return true;
}

/* --- ids -------------------------------------------------------------------------------------- */

/* A list may hold no id that nobody has: it would be overlooked. */
static tamis_status find(tamis__id_finder *f, uint64_t line, const char *id, size_t size,
                         tamis_error *err)
{
    uint64_t row;
    char shown[TAMIS__SHOWN_SIZE(50)];
    TAMIS_TRY(tamis__id_find(f, line, id, size, &row, err));
    if (row != UINT64_MAX) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": no candidate has the id '%s'",
                       f->file, line, tamis__show(shown, sizeof shown, id, size));
}

static tamis_status give_rows(const tamis__id_finder *f, uint64_t **ret_row, uint64_t *ret_n,
                              tamis_error *err)
{
    uint64_t n = 0;
    for (uint64_t row = 0; row < f->rows; row++) n += f->line[row] > 0;
    uint64_t *list = tamis__malloc((size_t)n, sizeof *list);
    if (!list) return tamis__fail_memory(err, "a list of rows", n * sizeof *list);
    *ret_n = n;
    n = 0;
    for (uint64_t row = 0; row < f->rows; row++)
        if (f->line[row]) list[n++] = row;
    *ret_row = list;
    return TAMIS_OK;
}

tamis_status tamis_rows_load(tamis_context *context, const char *file,
                             const tamis_examples *examples, uint64_t rows, uint64_t **ret_row,
                             uint64_t *ret_n, tamis_error *err)
{
    tamis__input input;
    const char *text;
    size_t size;
    tamis__id_finder f = {0};
    TAMIS_TRY(tamis__input_open(&input, context, file, err));
    lines l = lines_of(&input);
    tamis_status status = tamis__id_finder_init(&f, file, examples, rows, err);
    while (status == TAMIS_OK && next_line(&l, &text, &size))
        if (size > 0) status = find(&f, l.line, text, size, err);
    if (status == TAMIS_OK) status = give_rows(&f, ret_row, ret_n, err);
    tamis__id_finder_fini(&f);
    tamis__input_close(&input);
    return status;
}

tamis_status tamis_row_find(const tamis_examples *examples, uint64_t rows, const char *id,
                            uint64_t *ret_row, tamis_error *err)
{
    uint64_t found = 0, number = 0, first = 0;
    bool is_number = tamis__parse_uint64(id, strlen(id), &number);
    const char *const *text = examples ? examples->id_text : NULL;
    const uint64_t *numbers = examples ? examples->id_number : NULL;
    for (uint64_t row = 0; row < rows; row++) {
        bool same = text ? !strcmp(text[row], id)
                         : is_number && (numbers ? numbers[row] : row) == number;
        if (same && found++ == 0) first = row;
    }
    if (found == 1) {
        *ret_row = first;
        return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_ARG, "%s the id '%.100s'",
                       found ? "several candidates have" : "no candidate has", id);
}

/* --- groups ----------------------------------------------------------------------------------- */

static tamis_status wrong_number(const char *file, uint64_t found, uint64_t n, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " groups, one a line, and %" PRIu64 " are wanted", file,
                       found, n);
}

static tamis_status groups_of_npy(tamis_group_list *list, tamis_context *context, const char *file,
                                  uint64_t n, tamis_error *err)
{
    tamis__npy npy;
    TAMIS_TRY(tamis__npy_open(&npy, context, file, err));
    tamis_status status = npy.rows == n && npy.cols == 1 ? TAMIS_OK
                                                         : wrong_number(file, npy.rows, n, err);
    for (uint64_t i = 0; status == TAMIS_OK && i < n; i++) {
        int64_t value = 0;
        status = tamis__npy_integer(&npy, i, &value, file, err);
        if (status == TAMIS_OK && value >= INT32_MAX)
            status = tamis__fail(err, TAMIS_ERR_FORMAT,
                                 "'%s': group %" PRId64 " of entry %" PRIu64 " is too large", file,
                                 value, i);
        list->group[i] = value < 0 ? -1 : (int32_t)value;
        if (value >= 0 && (uint32_t)value >= list->groups) list->groups = (uint32_t)value + 1;
    }
    tamis__npy_close(&npy);
    return status;
}

static tamis_status read_names(tamis_group_list *list, lines *l, tamis__names *names,
                               const char *file, uint64_t n, tamis_error *err)
{
    const char *text;
    size_t size;
    uint64_t found = 0;
    for (; next_line(l, &text, &size); found++) {
        if (found >= n) continue;
        list->group[found] = -1;
        if (size == 0) continue;
        TAMIS_TRY(tamis__text_check(text, size, "the name of a group", err));
        TAMIS_TRY(tamis__names_add(names, text, size, &list->group[found], err));
    }
    return found == n ? TAMIS_OK : wrong_number(file, found, n, err);
}

static tamis_status groups_of_text(tamis_group_list *list, tamis_context *context, const char *file,
                                   uint64_t n, tamis_error *err)
{
    tamis__input input;
    tamis__names names = {0};
    TAMIS_TRY(tamis__input_open(&input, context, file, err));
    lines l = lines_of(&input);
    tamis_status status = read_names(list, &l, &names, file, n, err);
    if (status == TAMIS_OK) status = tamis__names_sort(&names, list->group, n, &list->name, err);
    list->groups = (uint32_t)names.list.count;
    tamis__names_fini(&names);
    tamis__input_close(&input);
    return status;
}

tamis_status tamis_group_list_load(tamis_group_list *ret_list, tamis_context *context,
                                   const char *file, uint64_t n, tamis_error *err)
{
    tamis_group_list list = {.group = tamis__malloc((size_t)n, sizeof *list.group)};
    size_t size = strlen(file);
    bool npy = size > 4 && !strcasecmp(file + size - 4, ".npy");
    if (!list.group) return tamis__fail_memory(err, "groups", n * sizeof *list.group);
    tamis_status status = npy ? groups_of_npy(&list, context, file, n, err)
                              : groups_of_text(&list, context, file, n, err);
    if (status == TAMIS_OK)
        *ret_list = list;
    else
        tamis_group_list_fini(&list);
    return status;
}

void tamis_group_list_fini(tamis_group_list *list)
{
    free(list->group);
    free(list->name);
    *list = (tamis_group_list){0};
}
