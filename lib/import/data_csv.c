/* CSV and TSV (RFC 4180) with a header.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/fields.h"
#include "import/records.h"
#include "import/registry.h"

/* What a column is for. */
typedef struct column {
    ptrdiff_t feature; /* index among the features, -1 = none */
    unsigned parts;    /* TAMIS__TABLE_* */
    bool ignored;
} column;

typedef struct csv {
    tamis__table *table;
    const char *path;
    tamis__records_kind kind;
    char delimiter;
    tamis__strings names; /* of the header */
    column *columns;      /* [names.count] */
    tamis__strings features;
    unsigned parts;
    tamis__record record; /* being read */
    tamis__fields fields;
} csv;

/* The line of a place in the record being read. */
static uint64_t line_of(const csv *c, const char *place)
{
    uint64_t line = c->record.line;
    const char *at = (const char *)c->record.data;
    while ((at = memchr(at, '\n', (size_t)(place - at)))) {
        line++;
        at++;
    }
    return line;
}

/* Put the place before a message: file, line, column. */
static tamis_status at_field(const csv *c, tamis_status status, const tamis__field *field,
                             size_t index, tamis_error *err)
{
    uint64_t line = line_of(c, field->start);
    if (index >= c->names.count || !*tamis__strings_at(&c->names, index))
        return tamis__prefix(err, status, "'%s' line %" PRIu64 ", column %zu", c->path, line,
                             index + 1);
    return tamis__prefix(err, status, "'%s' line %" PRIu64 ", column '%.100s'", c->path, line,
                         tamis__strings_at(&c->names, index));
}

/* --- header --------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tamis_status check_duplicates(const csv *c, tamis_error *err)
{
    char **sorted = tamis__strings_block(&c->names, NULL);
    tamis_status status = TAMIS_OK;
    if (!sorted) return tamis__fail_memory(err, "column names", c->names.used);
    qsort(sorted, c->names.count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < c->names.count && status == TAMIS_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = tamis__fail(err, TAMIS_ERR_FORMAT,
                                 "'%s' line %" PRIu64
                                 ": the column name '%.100s' is there twice (does the file start "
                                 "with a header?)",
                                 c->path, c->record.line, sorted[i]);
    free(sorted);
    return status;
}

static tamis_status read_header(csv *c, tamis_error *err)
{
    tamis__fields_start(&c->fields, c->delimiter, c->record.data, c->record.size);
    while (c->fields.more) {
        tamis__field field;
        tamis_status status = tamis__fields_next(&c->fields, &field, err);
        /* An index column written without a name is usual. */
        if (status == TAMIS_OK && field.size > 0)
            status = tamis__text_check(field.text, field.size, "the column's name", err);
        if (status != TAMIS_OK) return at_field(c, status, &field, c->names.count, err);
        TAMIS_TRY(tamis__strings_add(&c->names, field.text, field.size, err));
    }
    c->columns = tamis__calloc(c->names.count, sizeof *c->columns);
    if (!c->columns) return tamis__fail_memory(err, "columns", c->names.count * sizeof *c->columns);
    for (size_t i = 0; i < c->names.count; i++) c->columns[i].feature = -1;
    return check_duplicates(c, err);
}

/* --- what the columns are for --------------------------------------------------------------- */

static tamis_status find_column(const csv *c, const char *name, column **ret_column,
                                tamis_error *err)
{
    ptrdiff_t i = tamis__name_index(&c->names, name);
    if (i < 0) return tamis__no_such_name(&c->names, c->path, "column", name, err);
    *ret_column = &c->columns[i];
    return TAMIS_OK;
}

static tamis_status assign_part(csv *c, const char *name, unsigned part, tamis_error *err)
{
    column *found = NULL;
    if (!name) return TAMIS_OK;
    TAMIS_TRY(find_column(c, name, &found, err));
    found->parts |= part;
    c->parts |= part;
    return TAMIS_OK;
}

static tamis_status assign_ignored(csv *c, tamis_error *err)
{
    tamis__strings list = {0};
    tamis_status status = tamis__name_list(&list, c->table->options->ignore, "ignore", err);
    for (size_t i = 0; i < list.count && status == TAMIS_OK; i++) {
        column *found = NULL;
        status = find_column(c, tamis__strings_at(&list, i), &found, err);
        if (status == TAMIS_OK) found->ignored = true;
    }
    tamis__strings_fini(&list);
    return status;
}

/* The columns of c->features; `header` has every name of the header, in its order. */
static tamis_status assign_features(csv *c, const tamis__names *header, tamis_error *err)
{
    for (size_t i = 0; i < c->features.count; i++) {
        const char *name = tamis__strings_at(&c->features, i);
        int32_t at = tamis__names_find(header, name, strlen(name));
        if (at < 0) {
            tamis_status status = tamis__no_such_name(&c->names, c->path, "column", name, err);
            return c->table->options->features ? status : tamis__feature_missing(status, err);
        }
        column *found = &c->columns[at];
        if (found->parts || found->ignored)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s': column '%.100s' is named as a feature and as something else",
                               c->path, name);
        found->feature = (ptrdiff_t)i;
    }
    return TAMIS_OK;
}

/* Features as listed, in the order of the list. There may be thousands: they are not searched for
 * one by one. */
static tamis_status assign_listed(csv *c, tamis_error *err)
{
    const tamis_data_options *options = c->table->options;
    tamis__names header = {0};
    tamis_status status = options->features
                              ? tamis__name_list(&c->features, options->features, "features", err)
                              : tamis__feature_list(&c->features, options, err);
    for (size_t i = 0; i < c->names.count && status == TAMIS_OK; i++) {
        const char *name = tamis__strings_at(&c->names, i);
        int32_t index;
        status = tamis__names_add(&header, name, strlen(name), &index, err);
    }
    if (status == TAMIS_OK) status = assign_features(c, &header, err);
    tamis__names_fini(&header);
    return status;
}

/* Every column that is nothing else. */
static tamis_status assign_rest(csv *c, tamis_error *err)
{
    for (size_t i = 0; i < c->names.count; i++) {
        const char *name = tamis__strings_at(&c->names, i);
        if (c->columns[i].parts || c->columns[i].ignored) continue;
        if (!*name)
            tamis__log(c->table->source->context, TAMIS_LOG_WARNING,
                       "'%s': column %zu has no name and is read as a feature", c->path, i + 1);
        c->columns[i].feature = (ptrdiff_t)c->features.count;
        TAMIS_TRY(tamis__strings_add(&c->features, name, strlen(name), err));
    }
    return TAMIS_OK;
}

static tamis_status assign_columns(csv *c, tamis_error *err)
{
    const tamis_data_options *options = c->table->options;
    TAMIS_TRY(assign_part(c, options->label, TAMIS__TABLE_LABEL, err));
    TAMIS_TRY(assign_part(c, options->id, TAMIS__TABLE_ID, err));
    TAMIS_TRY(assign_part(c, options->group, TAMIS__TABLE_GROUP, err));
    TAMIS_TRY(assign_ignored(c, err));
    TAMIS_TRY(options->features || options->feature_name ? assign_listed(c, err)
                                                         : assign_rest(c, err));
    if (c->features.count == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': no column is left to be a feature", c->path);
    return TAMIS_OK;
}

/* --- rows ----------------------------------------------------------------------------------- */

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

static tamis_status read_number(const tamis__field *field, float *out, tamis_error *err)
{
    const char *text = field->text;
    size_t size = field->size;
    double value;
    while (size > 0 && is_space(text[size - 1])) size--;
    while (size > 0 && is_space(*text)) {
        text++;
        size--;
    }
    if (!tamis__parse_double(text, size, &value))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%.*s' is not a number",
                           size < 60 ? (int)size : 60, text);
    if (!tamis__table_value(out, value))
        return tamis__fail(err, TAMIS_ERR_NUMERIC, "'%.*s' is not finite as a 32-bit float",
                           size < 60 ? (int)size : 60, text);
    return TAMIS_OK;
}

static tamis_status read_field(csv *c, uint64_t row, const column *role, const tamis__field *field,
                               tamis_error *err)
{
    tamis__table *table = c->table;
    if (role->feature >= 0)
        return read_number(field, &table->data->x[row * table->data->columns + role->feature], err);
    if (role->parts & TAMIS__TABLE_LABEL)
        TAMIS_TRY(tamis__table_label(table, row, field->text, field->size, err));
    if (role->parts & TAMIS__TABLE_ID)
        TAMIS_TRY(tamis__table_id(table, field->text, field->size, err));
    if (role->parts & TAMIS__TABLE_GROUP)
        TAMIS_TRY(tamis__table_group(table, row, field->text, field->size, err));
    return TAMIS_OK;
}

static tamis_status ragged(const csv *c, size_t fields, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": %s%zu field%s, the header has %zu", c->path,
                       c->record.line, fields > c->names.count ? "at least " : "", fields,
                       fields == 1 ? "" : "s", c->names.count);
}

static tamis_status read_record(csv *c, uint64_t row, tamis_error *err)
{
    size_t index = 0;
    tamis__fields_start(&c->fields, c->delimiter, c->record.data, c->record.size);
    while (c->fields.more) {
        tamis__field field;
        tamis_status status = tamis__fields_next(&c->fields, &field, err);
        if (status == TAMIS_OK && index >= c->names.count) return ragged(c, index + 1, err);
        if (status == TAMIS_OK) status = read_field(c, row, &c->columns[index], &field, err);
        if (status != TAMIS_OK) return at_field(c, status, &field, index, err);
        index++;
    }
    if (index < c->names.count) return ragged(c, index, err);
    c->table->data->digest[row] = tamis__record_digest(&c->record);
    return TAMIS_OK;
}

static tamis_status read_rows(csv *c, tamis__records *records, uint64_t rows, tamis_error *err)
{
    tamis_data *data = c->table->data;
    data->feature_name = tamis__strings_block(&c->features, NULL);
    if (!data->feature_name) return tamis__fail_memory(err, "column names", c->features.used);
    for (uint64_t row = 0; row < rows; row++) {
        TAMIS_TRY(tamis__table_progress(c->table, row, err));
        TAMIS_TRY(tamis__records_next(records, c->path, &c->record, err));
        TAMIS_TRY(read_record(c, row, err));
    }
    return TAMIS_OK;
}

static tamis_status read_all(csv *c, tamis_error *err)
{
    const tamis__source *source = c->table->source;
    tamis__records records;
    uint64_t rows = 0;
    TAMIS_TRY(tamis__text_encoding_check(source->bytes, source->size, c->path, err));
    tamis__records_init(&records, c->kind, source->bytes, source->size);
    TAMIS_TRY(tamis__records_next(&records, c->path, &c->record, err));
    if (!c->record.data)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' is empty: it has no header and no rows",
                           c->path);
    TAMIS_TRY(read_header(c, err));
    TAMIS_TRY(assign_columns(c, err));
    TAMIS_TRY(tamis__records_count(records, c->path, &rows, err));
    TAMIS_TRY(tamis__table_start(c->table, rows, c->features.count, c->parts, err));
    return read_rows(c, &records, rows, err);
}

static tamis_status read_delimited(tamis__table *table, tamis__records_kind kind, char delimiter,
                                   tamis_error *err)
{
    csv c = {.table = table, .path = table->source->path, .kind = kind, .delimiter = delimiter};
    tamis_status status = read_all(&c, err);
    tamis__strings_fini(&c.names);
    tamis__strings_fini(&c.features);
    tamis__fields_fini(&c.fields);
    free(c.columns);
    return status;
}

static tamis_status read_csv(tamis__table *table, tamis_error *err)
{
    return read_delimited(table, TAMIS__RECORDS_CSV, ',', err);
}

static tamis_status read_tsv(tamis__table *table, tamis_error *err)
{
    return read_delimited(table, TAMIS__RECORDS_TSV, '\t', err);
}

const tamis__reader_class tamis__reader_csv = {
    .name = "csv", .extensions = ".csv", .read = read_csv, .has_columns = true};

const tamis__reader_class tamis__reader_tsv = {
    .name = "tsv", .extensions = ".tsv", .read = read_tsv, .has_columns = true};
