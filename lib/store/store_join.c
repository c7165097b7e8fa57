/* How the files of a store join: same columns, and row ranges without gap or overlap.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_part.h"

/* --- the same kind of rows? ------------------------------------------------------------------- */

static const char *layer_difference(const tamis__store_header *a, const tamis__store_header *b)
{
    if (a->columns != b->columns) return "rows of another width";
    if (a->layers != b->layers) return "another number of layers";
    for (uint32_t i = 0; i < a->layers; i++)
        if (strcmp(a->layer[i].name, b->layer[i].name) != 0 || a->layer[i].out != b->layer[i].out ||
            a->layer[i].in != b->layer[i].in || a->layer[i].bias != b->layer[i].bias)
            return "other layers";
    return NULL;
}

static bool same_names(const char *const *a, uint32_t n, const char *const *b, uint32_t m)
{
    if (n != m) return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static const char *difference(const tamis__store_part *x, const tamis__store_part *y)
{
    const tamis__store_header *a = &x->header, *b = &y->header;
    const tamis_examples *e = &x->examples, *f = &y->examples;
    const char *layers = layer_difference(a, b);
    if (layers) return layers;
    if (a->form != b->form) return "another form, full or factors";
    if (a->dtype != b->dtype) return "another dtype";
    if (a->checkpoints != b->checkpoints) return "another number of checkpoints";
    for (uint32_t k = 0; k < a->checkpoints; k++)
        if (memcmp(&a->checkpoint[k], &b->checkpoint[k], sizeof *a->checkpoint) != 0)
            return "other checkpoints";
    if (strcmp(a->provenance, b->provenance) != 0) return "another provenance";
    const char *origin = tamis__store_origin_difference(&a->origin, &b->origin);
    if (origin) return origin;
    if (a->total_rows != b->total_rows) return "another number of rows in all";
    if (a->classes != b->classes || a->outputs != b->outputs) return "other outputs recorded";
    if (!e->id_text != !f->id_text || !e->id_number != !f->id_number) return "another kind of ids";
    if (!e->digest != !f->digest || !e->label != !f->label || !e->length != !f->length ||
        !e->group != !f->group)
        return "other columns of examples";
    if (!same_names(e->group_name, e->groups, f->group_name, f->groups)) return "other groups";
    if (!same_names(e->class_name, e->classes, f->class_name, f->classes)) return "other classes";
    return NULL;
}

/* --- do the rows join? ------------------------------------------------------------------------ */

static int by_first_row(const void *a, const void *b)
{
    const tamis__store_part *x = a, *y = b;
    int order = (x->header.first_row > y->header.first_row) -
                (x->header.first_row < y->header.first_row);
    return order ? order : strcmp(x->path, y->path);
}

static tamis_status check_join(const tamis__store_part *part, uint32_t i, const char *path,
                               uint64_t next, tamis_error *err)
{
    uint64_t first = part[i].header.first_row;
    if (first > next)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' has a gap: rows %llu to %llu are in none of its files (the next is '%s')", path,
            (unsigned long long)next, (unsigned long long)(first - 1), part[i].path);
    if (first < next)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has rows twice: row %llu is in '%s' and in '%s'", path,
                           (unsigned long long)first, part[i - 1].path, part[i].path);
    return TAMIS_OK;
}

static tamis_status single_file(const tamis__store_header *header, const char *path,
                                tamis_error *err)
{
    if (header->first_row == 0 && header->rows == header->total_rows) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' is one shard of a store, rows %llu to %llu of %llu: name the directory instead", path,
        (unsigned long long)header->first_row,
        (unsigned long long)(header->first_row + header->rows - 1),
        (unsigned long long)header->total_rows);
}

tamis_status tamis__store_parts_check(tamis__store_part *part, uint32_t parts, const char *path,
                                      tamis_error *err)
{
    uint64_t next = 0;
    if (parts == 1 && !strcmp(part->path, path)) return single_file(&part->header, path, err);
    qsort(part, parts, sizeof *part, by_first_row);
    for (uint32_t i = 1; i < parts; i++) {
        const char *what = difference(&part[0], &part[i]);
        if (what)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "the shards '%s' and '%s' do not fit together: %s", part[0].path,
                               part[i].path, what);
    }
    for (uint32_t i = 0; i < parts; i++) {
        TAMIS_TRY(check_join(part, i, path, next, err));
        next += part[i].header.rows;
    }
    if (next == part->header.total_rows) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' is unfinished: it stops at row %llu of %llu; run the command again with --resume",
        path, (unsigned long long)next, (unsigned long long)part->header.total_rows);
}

/* --- examples --------------------------------------------------------------------------------- */

/* One column of a part as bytes, picked by its offset in the struct. */
static const void *column(const tamis_examples *examples, size_t offset)
{
    const void *values;
    memcpy(&values, (const char *)examples + offset, sizeof values);
    return values;
}

static const void *join_numbers(const tamis__store_part *part, uint32_t parts, size_t offset,
                                size_t size, bool *failed)
{
    if (!column(&part->examples, offset)) return NULL;
    char *joined = tamis__malloc(part->header.total_rows, size), *at = joined;
    if (!joined) *failed = true;
    for (uint32_t i = 0; joined && i < parts; i++) {
        memcpy(at, column(&part[i].examples, offset), part[i].header.rows * size);
        at += part[i].header.rows * size;
    }
    return joined;
}

static const char *const *join_texts(const tamis__store_part *part, uint32_t parts, bool *failed)
{
    uint64_t rows = part->header.total_rows, next = 0;
    if (!part->examples.id_text) return NULL;
    const char **loose = tamis__malloc(rows, sizeof *loose);
    for (uint32_t i = 0; loose && i < parts; i++) {
        memcpy(loose + next, part[i].examples.id_text, part[i].header.rows * sizeof *loose);
        next += part[i].header.rows;
    }
    char **joined = loose ? tamis__texts_copy(loose, rows) : NULL;
    if (!joined) *failed = true;
    free(loose);
    return (const char *const *)joined;
}

tamis_status tamis__store_parts_examples(tamis__store_part *part, uint32_t parts,
                                         tamis_examples *ret_examples, tamis_error *err)
{
    bool failed = false;
    tamis_examples e = part->examples;
    if (parts > 1) {
        e.id_number = join_numbers(part, parts, offsetof(tamis_examples, id_number), 8, &failed);
        e.digest = join_numbers(part, parts, offsetof(tamis_examples, digest), 8, &failed);
        e.label = join_numbers(part, parts, offsetof(tamis_examples, label), 4, &failed);
        e.length = join_numbers(part, parts, offsetof(tamis_examples, length), 4, &failed);
        e.group = join_numbers(part, parts, offsetof(tamis_examples, group), 4, &failed);
        e.id_text = join_texts(part, parts, &failed);
    }
    part->examples.group_name = part->examples.class_name = NULL; /* they move with e */
    if (failed) {
        tamis__examples_fini(&e);
        return tamis__fail_memory(err, "the columns of the examples", part->header.total_rows * 8);
    }
    if (parts == 1) part->examples = (tamis_examples){0};
    for (uint32_t i = 0; i < parts; i++) tamis__examples_fini(&part[i].examples);
    *ret_examples = e;
    return TAMIS_OK;
}
