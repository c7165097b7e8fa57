/* Candidates by their ids: sorted once, then a search for each.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/find_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* An id that is a number, or the digest of one that is a text. */
struct tamis__id_entry {
    uint64_t key, row;
};

static int by_key(const void *left, const void *right)
{
    const tamis__id_entry *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static tamis_status sort_ids(tamis__id_finder *f, tamis_error *err)
{
    const tamis_examples *e = f->examples;
    f->line = tamis__calloc((size_t)f->rows, sizeof *f->line);
    if (!f->line) return tamis__fail_memory(err, "a list of rows", f->rows * 8);
    if (!e || (!e->id_number && !e->id_text)) return TAMIS_OK;
    f->sorted = tamis__malloc((size_t)f->rows, sizeof *f->sorted);
    if (!f->sorted) return tamis__fail_memory(err, "looking for ids", f->rows * sizeof *f->sorted);
    for (uint64_t i = 0; i < f->rows; i++)
        f->sorted[i] = (tamis__id_entry){
            e->id_text ? tamis__digest(e->id_text[i], strlen(e->id_text[i])) : e->id_number[i], i};
    qsort(f->sorted, (size_t)f->rows, sizeof *f->sorted, by_key);
    return TAMIS_OK;
}

tamis_status tamis__id_finder_init(tamis__id_finder *ret_finder, const char *file,
                                   const tamis_examples *examples, uint64_t rows, tamis_error *err)
{
    tamis__id_finder f = {.file = file, .examples = examples, .rows = rows};
    tamis_status status = sort_ids(&f, err);
    if (status == TAMIS_OK)
        *ret_finder = f;
    else
        tamis__id_finder_fini(&f);
    return status;
}

void tamis__id_finder_fini(tamis__id_finder *finder)
{
    free(finder->sorted);
    free(finder->line);
    *finder = (tamis__id_finder){0};
}

static bool is_the_one(const tamis__id_finder *f, uint64_t row, const char *id, size_t size)
{
    const char *const *text = f->examples->id_text;
    return !text || (strlen(text[row]) == size && !memcmp(text[row], id, size));
}

/* The rows with an id: how many (two are enough), and the first. */
static unsigned rows_of_id(const tamis__id_finder *f, const char *id, size_t size,
                           uint64_t *ret_row)
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

tamis_status tamis__id_find(tamis__id_finder *f, uint64_t line, const char *id, size_t size,
                            uint64_t *ret_row, tamis_error *err)
{
    uint64_t row = 0;
    char shown[TAMIS__SHOWN_SIZE(50)];
    unsigned n = rows_of_id(f, id, size, &row);
    if (n == 0) {
        *ret_row = UINT64_MAX;
        return TAMIS_OK;
    }
    tamis__show(shown, sizeof shown, id, size);
    if (n > 1)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": several candidates have the id '%s'", f->file,
                           line, shown);
    if (f->line[row])
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": the id '%s' stands on line %" PRIu64 " too",
                           f->file, line, shown, f->line[row]);
    f->line[row] = line;
    *ret_row = row;
    return TAMIS_OK;
}

void tamis__id_text(const tamis_examples *examples, uint64_t row, char *text, size_t size)
{
    if (examples && examples->id_text)
        tamis__show(text, size, examples->id_text[row], strlen(examples->id_text[row]));
    else
        snprintf(text, size, "%" PRIu64,
                 examples && examples->id_number ? examples->id_number[row] : row);
}
