/* Candidates from a list of ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/candidates.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/text.h"
#include "filter/list.h"

/* --- rows by id ------------------------------------------------------------------------------- */

/* An id that is a number, or the digest of one that is a text. */
typedef struct entry {
    uint64_t key, row;
} entry;

typedef struct index {
    const tamis_store *store;
    const tamis_examples *examples;
    uint64_t rows;
    entry *sorted; /* [rows]; NULL when ids are row numbers */
} index_of_ids;

static int by_key(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static tamis_status index_init(index_of_ids *index, const tamis_context *context,
                               const tamis_store *store, tamis_error *err)
{
    *index = (index_of_ids){.store = store,
                            .examples = tamis_store_examples(store),
                            .rows = tamis_store_info_get(store)->rows};
    const tamis_examples *e = index->examples;
    if (!e->id_number && !e->id_text) return TAMIS_OK;
    uint64_t bytes = index->rows * sizeof(entry);
    TAMIS_TRY(tamis__memory_check(context, bytes, "looking for ids", err));
    index->sorted = tamis__malloc(index->rows, sizeof *index->sorted);
    if (!index->sorted) return tamis__fail_memory(err, "looking for ids", bytes);
    for (uint64_t i = 0; i < index->rows; i++) {
        uint64_t key = e->id_text ? tamis__digest(e->id_text[i], strlen(e->id_text[i]))
                                  : e->id_number[i];
        index->sorted[i] = (entry){key, i};
    }
    qsort(index->sorted, index->rows, sizeof *index->sorted, by_key);
    return TAMIS_OK;
}

static bool is_the_one(const index_of_ids *index, uint64_t row, const char *id, size_t size)
{
    const char *const *text = index->examples->id_text;
    return !text || (strlen(text[row]) == size && !memcmp(text[row], id, size));
}

/* The rows with an id: how many, and the first two. */
static unsigned rows_of_id(const index_of_ids *index, const char *id, size_t size,
                           uint64_t ret_row[2])
{
    uint64_t key = 0, low = 0, high = index->rows;
    unsigned n = 0;
    if (index->examples->id_text)
        key = tamis__digest(id, size);
    else if (!tamis__parse_uint64(id, size, &key))
        return 0;
    if (!index->sorted) {
        ret_row[0] = key;
        return key < index->rows;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (index->sorted[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < index->rows && index->sorted[low].key == key && n < 2; low++)
        if (is_the_one(index, index->sorted[low].row, id, size))
            ret_row[n++] = index->sorted[low].row;
    return n;
}

/* --- lines ------------------------------------------------------------------------------------ */

typedef struct reading {
    const tamis_context *context;
    const char *path;
    index_of_ids train, query;
    uint64_t line;  /* at hand, from 1 */
    int with_query; /* 1 = lines name queries, 0 = they do not, -1 = not known yet */
    tamis__pair *pair;
    uint64_t pairs, room;
} reading;

static tamis_status find_row(const reading *r, const index_of_ids *index, const char *id,
                             size_t size, uint64_t *ret_row, tamis_error *err)
{
    uint64_t row[2];
    unsigned n = rows_of_id(index, id, size, row);
    char shown[TAMIS__SHOWN_SIZE(50)];
    if (n == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": '%s' has no id '%s'",
                           r->path, r->line, tamis_store_path(index->store),
                           tamis__show(shown, sizeof shown, id, size));
    if (n > 1)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": '%s' has the id '%s' twice, in rows %" PRIu64
                           " and %" PRIu64,
                           r->path, r->line, tamis_store_path(index->store),
                           tamis__show(shown, sizeof shown, id, size), row[0], row[1]);
    *ret_row = row[0];
    return TAMIS_OK;
}

static tamis_status append(reading *r, tamis__pair pair, tamis_error *err)
{
    if (r->pairs == r->room) {
        uint64_t room = r->room ? 2 * r->room : 1024;
        TAMIS_TRY(tamis__memory_check(r->context, room * sizeof pair, "lists of candidates", err));
        tamis__pair *grown = tamis__realloc(r->pair, room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "lists of candidates", room * sizeof *grown);
        r->pair = grown;
        r->room = room;
    }
    r->pair[r->pairs++] = pair;
    return TAMIS_OK;
}

/* A line that names a query, the first of its kind. */
static tamis_status start_queries(reading *r, const tamis_store *query, tamis_error *err)
{
    if (query) return index_init(&r->query, r->context, query, err);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": a query is named, but there are none: give an id of "
                       "a training row on each line",
                       r->path, r->line);
}

static tamis_status read_line(reading *r, const char *line, size_t size, const tamis_store *query,
                              tamis_error *err)
{
    tamis__pair pair = {0};
    const char *tab = memchr(line, '\t', size), *id = line;
    if (r->with_query >= 0 && r->with_query != (tab != NULL))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64
                           ": lines above it %s a query before a tab, this one "
                           "does not follow: write all of them alike",
                           r->path, r->line, tab ? "do not name" : "name");
    if (r->with_query < 0 && tab) TAMIS_TRY(start_queries(r, query, err));
    r->with_query = tab != NULL;
    if (tab) {
        TAMIS_TRY(find_row(r, &r->query, line, (size_t)(tab - line), &pair.query, err));
        id = tab + 1;
    }
    TAMIS_TRY(find_row(r, &r->train, id, (size_t)(line + size - id), &pair.row, err));
    return append(r, pair, err);
}

static tamis_status read_lines(reading *r, const tamis__input *input, const tamis_store *query,
                               tamis_error *err)
{
    tamis__lines lines = tamis__lines_of(input);
    const char *text;
    size_t size;
    while (tamis__lines_next(&lines, &text, &size)) {
        r->line = lines.line;
        if (size > 0) TAMIS_TRY(read_line(r, text, size, query, err));
    }
    if (r->pairs > 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' names no training row", r->path);
}

tamis_status tamis_candidates_read(tamis_context *context, const char *path,
                                   const tamis_store *train, const tamis_store *query,
                                   tamis_candidates **ret_candidates, tamis_error *err)
{
    tamis__input input;
    reading r = {.context = context, .path = path, .with_query = -1};
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis_status status = index_init(&r.train, context, train, err);
    if (status == TAMIS_OK) status = read_lines(&r, &input, query, err);
    if (status == TAMIS_OK)
        status = tamis__candidates_make(ret_candidates, r.with_query == 1 ? r.query.rows : 1,
                                        r.pair, r.pairs, err);
    free(r.pair);
    free(r.train.sorted);
    free(r.query.sorted);
    tamis__input_close(&input);
    return status;
}
