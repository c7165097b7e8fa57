/* The columns of examples and queries: written, read, copied.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* "<prefix>/<name>"; both are short constants of this program. */
typedef struct column_name {
    char text[64];
} column_name;

static column_name name_of(const char *prefix, const char *name)
{
    column_name full;
    snprintf(full.text, sizeof full.text, "%s/%s", prefix, name);
    return full;
}

/* --- writing ---------------------------------------------------------------------------------- */

static tamis_status check_groups(const tamis_examples *e, const char *path, uint64_t rows,
                                 tamis_error *err)
{
    for (uint64_t i = 0; e->group && e->group_name && i < rows; i++)
        if (e->group[i] < -1 || (e->group[i] >= 0 && (uint32_t)e->group[i] >= e->groups))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "cannot write '%s': row %llu is of group %d, there are %u", path,
                               (unsigned long long)i, (int)e->group[i], (unsigned)e->groups);
    return TAMIS_OK;
}

static tamis_status check_labels(const tamis_examples *e, const char *path, uint64_t rows,
                                 tamis_error *err)
{
    for (uint64_t i = 0; e->label && e->class_name && i < rows; i++)
        if (e->label[i] < 0 || (uint32_t)e->label[i] >= e->classes)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "cannot write '%s': row %llu is of class %d, there are %u", path,
                               (unsigned long long)i, (int)e->label[i], (unsigned)e->classes);
    return TAMIS_OK;
}

static tamis_status write_id(const tamis__h5 *h5, const char *prefix, const tamis_examples *e,
                             uint64_t rows, tamis_error *err)
{
    column_name id = name_of(prefix, "id");
    if (e->id_text) return tamis__h5_write_text(h5, id.text, e->id_text, rows, err);
    if (e->id_number)
        return tamis__h5_write(h5, id.text, TAMIS__H5_U64, e->id_number, rows, 0, err);
    return TAMIS_OK;
}

static tamis_status write_names(const tamis__h5 *h5, const char *prefix, const tamis_examples *e,
                                tamis_error *err)
{
    if (e->group_name && e->groups > 0)
        TAMIS_TRY(tamis__h5_write_text(h5, name_of(prefix, "group_name").text, e->group_name,
                                       e->groups, err));
    if (e->class_name && e->classes > 0)
        TAMIS_TRY(tamis__h5_write_text(h5, name_of(prefix, "class_name").text, e->class_name,
                                       e->classes, err));
    return TAMIS_OK;
}

tamis_status tamis__examples_write(const tamis__h5 *h5, const char *prefix,
                                   const tamis_examples *examples, uint64_t rows, tamis_error *err)
{
    const tamis_examples *e = examples;
    bool names = e && ((e->group_name && e->groups > 0) || (e->class_name && e->classes > 0));
    if (!e ||
        !(e->id_text || e->id_number || e->digest || e->label || e->length || e->group || names))
        return TAMIS_OK;
    TAMIS_TRY(check_groups(e, h5->path, rows, err));
    TAMIS_TRY(check_labels(e, h5->path, rows, err));
    TAMIS_TRY(tamis__h5_group(h5, prefix, err));
    TAMIS_TRY(write_id(h5, prefix, e, rows, err));
    if (e->digest)
        TAMIS_TRY(tamis__h5_write(h5, name_of(prefix, "digest").text, TAMIS__H5_U64, e->digest,
                                  rows, 0, err));
    if (e->label)
        TAMIS_TRY(tamis__h5_write(h5, name_of(prefix, "label").text, TAMIS__H5_I32, e->label, rows,
                                  0, err));
    if (e->length)
        TAMIS_TRY(tamis__h5_write(h5, name_of(prefix, "length").text, TAMIS__H5_U32, e->length,
                                  rows, 0, err));
    if (e->group)
        TAMIS_TRY(tamis__h5_write(h5, name_of(prefix, "group").text, TAMIS__H5_I32, e->group, rows,
                                  0, err));
    return write_names(h5, prefix, e, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

static tamis_status read_number(const tamis__h5 *h5, const char *prefix, const char *name,
                                tamis__h5_type type, uint64_t rows, const void **ret_values,
                                tamis_error *err)
{
    void *values = NULL;
    TAMIS_TRY(tamis__h5_read_optional(h5, name_of(prefix, name).text, type, rows, 0, &values, err));
    *ret_values = values;
    return TAMIS_OK;
}

static tamis_status read_id(const tamis__h5 *h5, const char *prefix, uint64_t rows,
                            tamis_examples *e, tamis_error *err)
{
    column_name id = name_of(prefix, "id");
    if (tamis__h5_is_text(h5, id.text)) {
        char **texts = NULL;
        TAMIS_TRY(tamis__h5_read_text(h5, id.text, rows, &texts, err));
        e->id_text = (const char *const *)texts;
        return TAMIS_OK;
    }
    const void *values = NULL;
    TAMIS_TRY(read_number(h5, prefix, "id", TAMIS__H5_U64, rows, &values, err));
    e->id_number = values;
    return TAMIS_OK;
}

/* `what` is "groups" or "classes". */
static tamis_status read_names(const tamis__h5 *h5, const char *prefix, const char *dataset,
                               const char *what, const char *const **ret_names, uint32_t *ret_n,
                               tamis_error *err)
{
    column_name name = name_of(prefix, dataset);
    uint64_t shape[2];
    char **texts = NULL;
    if (!tamis__h5_has(h5, name.text)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_shape(h5, name.text, 1, shape, err));
    if (shape[0] > INT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' names more %s than there can be", h5->path,
                           name.text, what);
    TAMIS_TRY(tamis__h5_read_text(h5, name.text, shape[0], &texts, err));
    *ret_names = (const char *const *)texts;
    *ret_n = (uint32_t)shape[0];
    return TAMIS_OK;
}

static tamis_status check_read(const tamis__h5 *h5, const char *prefix, uint64_t rows,
                               const tamis_examples *e, tamis_error *err)
{
    for (uint64_t i = 0; e->group && i < rows; i++)
        if (e->group[i] < -1 ||
            (e->group_name && e->group[i] >= 0 && (uint32_t)e->group[i] >= e->groups))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': dataset '%s/group': row %llu is of group %d, there are %u",
                               h5->path, prefix, (unsigned long long)i, (int)e->group[i],
                               (unsigned)e->groups);
    for (uint64_t i = 0; e->label && e->class_name && i < rows; i++)
        if (e->label[i] < 0 || (uint32_t)e->label[i] >= e->classes)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': dataset '%s/label': row %llu is of class %d, there are %u",
                               h5->path, prefix, (unsigned long long)i, (int)e->label[i],
                               (unsigned)e->classes);
    return TAMIS_OK;
}

static tamis_status read_all(const tamis__h5 *h5, const char *prefix, uint64_t rows,
                             tamis_examples *e, tamis_error *err)
{
    const void *values = NULL;
    TAMIS_TRY(read_id(h5, prefix, rows, e, err));
    TAMIS_TRY(read_number(h5, prefix, "digest", TAMIS__H5_U64, rows, &values, err));
    e->digest = values;
    TAMIS_TRY(read_number(h5, prefix, "label", TAMIS__H5_I32, rows, &values, err));
    e->label = values;
    TAMIS_TRY(read_number(h5, prefix, "length", TAMIS__H5_U32, rows, &values, err));
    e->length = values;
    TAMIS_TRY(read_number(h5, prefix, "group", TAMIS__H5_I32, rows, &values, err));
    e->group = values;
    TAMIS_TRY(read_names(h5, prefix, "group_name", "groups", &e->group_name, &e->groups, err));
    TAMIS_TRY(read_names(h5, prefix, "class_name", "classes", &e->class_name, &e->classes, err));
    return check_read(h5, prefix, rows, e, err);
}

tamis_status tamis__examples_read(const tamis__h5 *h5, const char *prefix, uint64_t rows,
                                  tamis_examples *ret_examples, tamis_error *err)
{
    tamis_examples e = {0};
    tamis_status status = read_all(h5, prefix, rows, &e, err);
    if (status != TAMIS_OK)
        tamis__examples_fini(&e);
    else
        *ret_examples = e;
    return status;
}

/* --- copying ---------------------------------------------------------------------------------- */

char **tamis__texts_copy(const char *const *texts, uint64_t rows)
{
    uint64_t bytes = rows * sizeof(char *);
    for (uint64_t i = 0; i < rows; i++) bytes += strlen(texts[i]) + 1;
    char **copy = tamis__malloc(bytes, 1);
    if (!copy) return NULL;
    char *at = (char *)(copy + rows);
    for (uint64_t i = 0; i < rows; i++) {
        size_t size = strlen(texts[i]) + 1;
        copy[i] = memcpy(at, texts[i], size);
        at += size;
    }
    return copy;
}

static void *copy_block(const void *from, uint64_t rows, size_t size, bool *failed)
{
    if (!from) return NULL;
    void *copy = tamis__malloc(rows, size);
    if (copy)
        memcpy(copy, from, rows * size);
    else
        *failed = true;
    return copy;
}

static const char *const *copy_texts(const char *const *from, uint64_t rows, bool *failed)
{
    if (!from) return NULL;
    char **copy = tamis__texts_copy(from, rows);
    if (!copy) *failed = true;
    return (const char *const *)copy;
}

tamis_status tamis__examples_copy(tamis_examples *ret_examples, const tamis_examples *from,
                                  uint64_t rows, tamis_error *err)
{
    bool failed = false;
    tamis_examples e = {0};
    if (from) {
        e.id_number = copy_block(from->id_number, rows, sizeof *e.id_number, &failed);
        e.id_text = copy_texts(from->id_text, rows, &failed);
        e.digest = copy_block(from->digest, rows, sizeof *e.digest, &failed);
        e.label = copy_block(from->label, rows, sizeof *e.label, &failed);
        e.length = copy_block(from->length, rows, sizeof *e.length, &failed);
        e.group = copy_block(from->group, rows, sizeof *e.group, &failed);
        e.group_name = copy_texts(from->group_name, from->groups, &failed);
        e.groups = from->group_name ? from->groups : 0;
        e.class_name = copy_texts(from->class_name, from->classes, &failed);
        e.classes = from->class_name ? from->classes : 0;
    }
    if (failed) {
        tamis__examples_fini(&e);
        return tamis__fail_memory(err, "the columns of the examples", rows * sizeof(uint64_t));
    }
    *ret_examples = e;
    return TAMIS_OK;
}

void tamis__examples_fini(tamis_examples *examples)
{
    /* The public struct shows its arrays as const; these are ours. */
    free((void *)(uintptr_t)examples->id_number);
    free((void *)(uintptr_t)examples->id_text);
    free((void *)(uintptr_t)examples->digest);
    free((void *)(uintptr_t)examples->label);
    free((void *)(uintptr_t)examples->length);
    free((void *)(uintptr_t)examples->group);
    free((void *)(uintptr_t)examples->group_name);
    free((void *)(uintptr_t)examples->class_name);
    *examples = (tamis_examples){0};
}

void tamis__examples_id(const tamis_examples *examples, uint64_t row, char *buffer, size_t size)
{
    if (size == 0) return;
    if (examples->id_text)
        snprintf(buffer, size, "%s", examples->id_text[row]);
    else
        snprintf(buffer, size, "%" PRIu64, examples->id_number ? examples->id_number[row] : row);
}
