/* A file of a Kaldi data directory.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/kaldi_table.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "import/records.h"

enum { SHOWN = 60 };

int tamis__name_compare(const tamis__name *a, const tamis__name *b)
{
    size_t size = a->size < b->size ? a->size : b->size;
    int order = size ? memcmp(a->data, b->data, size) : 0;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

void tamis__kaldi_start(tamis__kaldi_table *table, const char *path, const void *bytes, size_t size)
{
    const unsigned char *start = bytes;
    *table = (tamis__kaldi_table){.at = start, .end = start + size, .path = path};
}

static bool is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t';
}

static tamis_status fail_line(const tamis__kaldi_table *table, uint64_t line, const char *what,
                              tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": %s", table->path, line, what);
}

static tamis_status check_shape(const tamis__kaldi_table *table, const tamis__kaldi_line *line,
                                tamis_error *err)
{
    if (line->line == 1 && tamis__records_bom(line->data, line->size))
        return fail_line(table, 1, "a byte order mark, which Kaldi takes for text: remove it", err);
    if (line->size && line->data[line->size - 1] == '\r')
        return fail_line(table, line->line,
                         "ends in a carriage return, which Kaldi takes for text: remove those",
                         err);
    size_t at = 0;
    while (at < line->size && is_blank(line->data[at])) at++;
    if (at == line->size)
        return fail_line(table, line->line, "blank: Kaldi's tables have no blank lines", err);
    if (at) return fail_line(table, line->line, "a space before the name: remove it", err);
    return TAMIS_OK;
}

static tamis_status check_order(const tamis__kaldi_table *table, const tamis__kaldi_line *line,
                                tamis_error *err)
{
    char now[TAMIS__SHOWN_SIZE(SHOWN)], before[TAMIS__SHOWN_SIZE(SHOWN)];
    if (!table->last.data) return TAMIS_OK;
    int order = tamis__name_compare(&table->last.name, &line->name);
    if (order < 0) return TAMIS_OK;
    tamis__show(now, sizeof now, (const char *)line->name.data, line->name.size);
    tamis__show(before, sizeof before, (const char *)table->last.name.data, table->last.name.size);
    if (order == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": '%s' is there twice",
                           table->path, line->line, now);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64
                       ": '%s' comes after '%s': sort the file by its first field under LC_ALL=C "
                       "(utils/fix_data_dir.sh)",
                       table->path, line->line, now, before);
}

tamis_status tamis__kaldi_next(tamis__kaldi_table *table, tamis__kaldi_line *ret_line,
                               tamis_error *err)
{
    tamis__kaldi_line line = {.line = table->last.line + 1};
    if (table->at == table->end) {
        *ret_line = line;
        return TAMIS_OK;
    }
    size_t left = (size_t)(table->end - table->at);
    const unsigned char *stop = memchr(table->at, '\n', left);
    line.data = line.name.data = table->at;
    line.size = stop ? (size_t)(stop - table->at) : left;
    line.ended = stop != NULL;
    TAMIS_TRY(check_shape(table, &line, err));
    while (line.name.size < line.size && !is_blank(line.data[line.name.size])) line.name.size++;
    TAMIS_TRY(check_order(table, &line, err));
    table->at += line.size + line.ended;
    table->last = line;
    *ret_line = line;
    return TAMIS_OK;
}

tamis_status tamis__kaldi_seek(tamis__kaldi_table *table, const tamis__name *name,
                               tamis__kaldi_line *line, bool *ret_there, tamis_error *err)
{
    int order = -1;
    if (!line->line) TAMIS_TRY(tamis__kaldi_next(table, line, err));
    while (line->data && (order = tamis__name_compare(&line->name, name)) < 0)
        TAMIS_TRY(tamis__kaldi_next(table, line, err));
    *ret_there = line->data && order == 0;
    return TAMIS_OK;
}

tamis__name tamis__kaldi_field(const tamis__kaldi_line *line, unsigned k)
{
    const unsigned char *at = line->data, *end = line->data + line->size;
    for (;;) {
        const unsigned char *start = at;
        while (at < end && !is_blank(*at)) at++;
        if (!k--) return (tamis__name){start, (size_t)(at - start)};
        while (at < end && is_blank(*at)) at++;
    }
}
