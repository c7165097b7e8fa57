/* A tamis_data in the making.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Rows between two calls of the progress callback. */
#define PROGRESS_ROWS 4096

/* A model's classes, in its order: names that are added to these are unknown. */
static tamis_status fix_classes(tamis__table *table, tamis_error *err)
{
    const tamis_data_options *options = table->options;
    char number[24];
    int32_t index;
    TAMIS_TRY(tamis__memory_check(table->source->context, options->classes * UINT64_C(32),
                                  "the list of classes", err));
    for (uint32_t i = 0; i < options->classes; i++) {
        snprintf(number, sizeof number, "%" PRIu32, i);
        const char *name = options->class_name ? options->class_name[i] : number;
        TAMIS_TRY(tamis__names_add(&table->classes, name, strlen(name), &index, err));
        if ((uint32_t)index != i)
            return tamis__fail(err, TAMIS_ERR_ARG, "class '%.100s' is twice in the list of classes",
                               name);
    }
    return TAMIS_OK;
}

/* Bytes of the table; false when they do not fit 64 bits. */
static bool table_bytes(uint64_t rows, uint64_t columns, unsigned parts, uint64_t *ret_bytes)
{
    uint64_t cells, row_bytes = sizeof(uint64_t);
    if (parts & TAMIS__TABLE_LABEL) row_bytes += sizeof(int32_t);
    if (parts & TAMIS__TABLE_GROUP) row_bytes += sizeof(int32_t);
    if (parts & TAMIS__TABLE_ID) row_bytes += sizeof(uint64_t);
    if (__builtin_mul_overflow(rows, columns, &cells) ||
        __builtin_mul_overflow(cells, sizeof(float), &cells) ||
        __builtin_mul_overflow(rows, row_bytes, &row_bytes))
        return false;
    return !__builtin_add_overflow(cells, row_bytes, ret_bytes);
}

static tamis_status check_size(const tamis__table *table, uint64_t rows, uint64_t columns,
                               unsigned parts, tamis_error *err)
{
    const char *path = table->source->path;
    uint64_t bytes, limit = table->source->context->memory;
    if (rows == 0) return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has no rows", path);
    if (columns == 0) return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has no columns", path);
    if (table_bytes(rows, columns, parts, &bytes) &&
        !__builtin_add_overflow(bytes, table->source->held, &bytes) && bytes <= limit)
        return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NOMEM,
                       "'%s' has %" PRIu64 " rows of %" PRIu64
                       " features: they need %.0f MiB, the limit is %.0f MiB: raise --memory",
                       path, rows, columns,
                       ceil((double)rows * (double)columns * 4.0 / 1048576.0 + 1.0),
                       (double)limit / 1048576.0);
}

tamis_status tamis__table_start(tamis__table *table, uint64_t rows, uint64_t columns,
                                unsigned parts, tamis_error *err)
{
    if (table->options->labels_path) parts |= TAMIS__TABLE_LABEL;
    TAMIS_TRY(check_size(table, rows, columns, parts, err));
    tamis_data *data = table->data = tamis__calloc(1, sizeof *data);
    if (!data) return tamis__fail_memory(err, "a table", sizeof *data);
    data->rows = rows;
    data->columns = columns;
    data->x = tamis__malloc((size_t)(rows * columns), sizeof *data->x);
    data->digest = tamis__calloc((size_t)rows, sizeof *data->digest);
    if (parts & TAMIS__TABLE_LABEL) data->label = tamis__calloc((size_t)rows, sizeof *data->label);
    if (parts & TAMIS__TABLE_GROUP) data->group = tamis__calloc((size_t)rows, sizeof *data->group);
    if (!data->x || !data->digest || (parts & TAMIS__TABLE_LABEL && !data->label) ||
        (parts & TAMIS__TABLE_GROUP && !data->group))
        return tamis__fail_memory(err, "a table", rows * columns * sizeof *data->x);
    return parts & TAMIS__TABLE_LABEL ? fix_classes(table, err) : TAMIS_OK;
}

static tamis_status unknown_class(const tamis__table *table, const char *text, size_t size,
                                  tamis_error *err)
{
    const tamis__strings *list = &table->classes.list;
    char names[400] = "";
    size_t used = 0, i = 0;
    for (; i < list->count && i < 12 && used + 70 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.60s'", i ? ", " : "",
                                 tamis__strings_at(list, i));
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%.*s' is none of the %zu known classes %s%s",
                       size < 60 ? (int)size : 60, text, list->count, names,
                       i < list->count ? ", ..." : "");
}

tamis_status tamis__table_label(tamis__table *table, uint64_t row, const char *text, size_t size,
                                tamis_error *err)
{
    TAMIS_TRY(tamis__text_check(text, size, "the label", err));
    if (table->options->classes == 0)
        return tamis__names_add(&table->classes, text, size, &table->data->label[row], err);
    int32_t index = tamis__names_find(&table->classes, text, size);
    if (index < 0) return unknown_class(table, text, size, err);
    table->data->label[row] = index;
    return TAMIS_OK;
}

tamis_status tamis__table_label_number(tamis__table *table, uint64_t row, int64_t number,
                                       tamis_error *err)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, number);
    return tamis__table_label(table, row, text, (size_t)size, err);
}

tamis_status tamis__table_group(tamis__table *table, uint64_t row, const char *text, size_t size,
                                tamis_error *err)
{
    TAMIS_TRY(tamis__text_check(text, size, "the group", err));
    return tamis__names_add(&table->groups, text, size, &table->data->group[row], err);
}

tamis_status tamis__table_id(tamis__table *table, const char *text, size_t size, tamis_error *err)
{
    return tamis__ids_add(&table->ids, text, size, err);
}

bool tamis__table_value(float *out, double value)
{
    *out = (float)value;
    return isfinite(*out);
}

tamis_status tamis__table_check_finite(const tamis__table *table, uint64_t first, uint64_t rows,
                                       tamis_error *err)
{
    const tamis_data *data = table->data;
    const float *x = data->x + first * data->columns;
    for (uint64_t i = 0; i < rows * data->columns; i++)
        if (!isfinite(x[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s' row %" PRIu64 ", column %" PRIu64 ": %s as a 32-bit float",
                               table->source->path, first + i / data->columns, i % data->columns,
                               isnan(x[i]) ? "not a number" : "infinite");
    return TAMIS_OK;
}

tamis_status tamis__table_progress(const tamis__table *table, uint64_t row, tamis_error *err)
{
    if (row % PROGRESS_ROWS != 0) return TAMIS_OK;
    return tamis__progress(table->source->context, "reading data", row, table->data->rows, "rows",
                           NULL, err);
}

/* The classes of a fixed list keep its order. */
static tamis_status finish_classes(tamis__table *table, tamis_error *err)
{
    tamis_data *data = table->data;
    if (!data->label) return TAMIS_OK;
    data->classes = (uint32_t)table->classes.list.count;
    if (table->options->classes == 0)
        return tamis__names_sort(&table->classes, data->label, data->rows, &data->class_name, err);
    data->class_name = tamis__strings_block(&table->classes.list, NULL);
    return data->class_name ? TAMIS_OK
                            : tamis__fail_memory(err, "class names", table->classes.list.used);
}

/* Ids name rows in reports, so that two rows with one id should be known of. */
static tamis_status warn_of_repeated_ids(const tamis__table *table, tamis_error *err)
{
    const tamis_data *data = table->data;
    tamis__names seen = {0};
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < data->rows && status == TAMIS_OK; i++) {
        char number[24];
        const char *text = number;
        int32_t index;
        if (data->id_text)
            text = data->id_text[i];
        else
            snprintf(number, sizeof number, "%" PRIu64, data->id_number[i]);
        status = tamis__names_add(&seen, text, strlen(text), &index, err);
    }
    if (status == TAMIS_OK && seen.list.count < data->rows)
        tamis__log(table->source->context, TAMIS_LOG_WARNING,
                   "'%s': only %zu of %" PRIu64 " ids are different: rows are told apart by number",
                   table->source->path, seen.list.count, data->rows);
    tamis__names_fini(&seen);
    return status;
}

tamis_status tamis__table_finish(tamis__table *table, tamis_data **ret_data, tamis_error *err)
{
    tamis_data *data = table->data;
    TAMIS_TRY(finish_classes(table, err));
    if (data->group) {
        data->groups = (uint32_t)table->groups.list.count;
        TAMIS_TRY(
            tamis__names_sort(&table->groups, data->group, data->rows, &data->group_name, err));
    }
    TAMIS_TRY(tamis__ids_take(&table->ids, &data->id_number, &data->id_text, err));
    if (data->id_number || data->id_text) TAMIS_TRY(warn_of_repeated_ids(table, err));
    *ret_data = data;
    table->data = NULL;
    return TAMIS_OK;
}

void tamis__table_fini(tamis__table *table)
{
    tamis_data_free(&table->data);
    tamis__names_fini(&table->classes);
    tamis__names_fini(&table->groups);
    tamis__ids_fini(&table->ids);
}

void tamis_data_free(tamis_data **data)
{
    if (!data || !*data) return;
    tamis_data *d = *data;
    free(d->x);
    free(d->label);
    free(d->class_name);
    free(d->feature_name);
    free(d->digest);
    free(d->id_number);
    free(d->id_text);
    free(d->group);
    free(d->group_name);
    free(d);
    *data = NULL;
}
