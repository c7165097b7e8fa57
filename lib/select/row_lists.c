/* Rows by their ids, and groups by their names.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/columns.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/npy.h"
#include "import/texts.h"

/* --- lines ------------------------------------------------------------------------------------ */

typedef struct lines {
    const char *at, *end;
    uint64_t line; /* the last one given, from 1 */
} lines;

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

/* An id that is a number, or the digest of one that is a text. */
typedef struct entry {
    uint64_t key, row;
} entry;

typedef struct finding {
    const char *file;
    const tamis_examples *examples;
    uint64_t rows;
    entry *sorted;  /* [rows]; NULL when ids are row numbers */
    uint64_t *line; /* [rows] where a row stands in the list; 0 = nowhere */
} finding;

static int by_key(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static tamis_status finding_init(finding *f, tamis_error *err)
{
    const tamis_examples *e = f->examples;
    f->line = tamis__calloc((size_t)f->rows, sizeof *f->line);
    if (!f->line) return tamis__fail_memory(err, "a list of rows", f->rows * 8);
    if (!e || (!e->id_number && !e->id_text)) return TAMIS_OK;
    f->sorted = tamis__malloc((size_t)f->rows, sizeof *f->sorted);
    if (!f->sorted) return tamis__fail_memory(err, "looking for ids", f->rows * sizeof *f->sorted);
    for (uint64_t i = 0; i < f->rows; i++)
        f->sorted[i] = (entry){
            e->id_text ? tamis__digest(e->id_text[i], strlen(e->id_text[i])) : e->id_number[i], i};
    qsort(f->sorted, (size_t)f->rows, sizeof *f->sorted, by_key);
    return TAMIS_OK;
}

static bool is_the_one(const finding *f, uint64_t row, const char *id, size_t size)
{
    const char *const *text = f->examples->id_text;
    return !text || (strlen(text[row]) == size && !memcmp(text[row], id, size));
}

/* The rows with an id: how many (two are enough), and the first. */
static unsigned rows_of_id(const finding *f, const char *id, size_t size, uint64_t *ret_row)
{
    uint64_t key = 0, low = 0, high = f->rows;
    unsigned n = 0;
    if (f->sorted && f->examples->id_text)
        key = tamis__digest(id, size);
    else if (!tamis__parse_uint64(id, size, &key))
        return 0;
    if (!f->sorted) {
        *ret_row = key;
        return key < f->rows;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (f->sorted[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < f->rows && f->sorted[low].key == key && n < 2; low++)
        if (is_the_one(f, f->sorted[low].row, id, size) && n++ == 0) *ret_row = f->sorted[low].row;
    return n;
}

static tamis_status find(finding *f, uint64_t line, const char *id, size_t size, tamis_error *err)
{
    uint64_t row = 0;
    char shown[TAMIS__SHOWN_SIZE(50)];
    unsigned n = rows_of_id(f, id, size, &row);
    tamis__show(shown, sizeof shown, id, size);
    if (n == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": no candidate has the id '%s'", f->file, line,
                           shown);
    if (n > 1)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": several candidates have the id '%s'", f->file,
                           line, shown);
    if (f->line[row])
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": the id '%s' stands on line %" PRIu64 " too",
                           f->file, line, shown, f->line[row]);
    f->line[row] = line;
    return TAMIS_OK;
}

static tamis_status give_rows(const finding *f, uint64_t **ret_row, uint64_t *ret_n,
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
    finding f = {.file = file, .examples = examples, .rows = rows};
    TAMIS_TRY(tamis__input_open(&input, context, file, err));
    lines l = {(const char *)input.data, (const char *)input.data + input.size, 0};
    tamis_status status = finding_init(&f, err);
    while (status == TAMIS_OK && next_line(&l, &text, &size))
        if (size > 0) status = find(&f, l.line, text, size, err);
    if (status == TAMIS_OK) status = give_rows(&f, ret_row, ret_n, err);
    free(f.sorted);
    free(f.line);
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
    lines l = {(const char *)input.data, (const char *)input.data + input.size, 0};
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
