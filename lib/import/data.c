/* Reading rows: which format, then that format's reader.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/data.h>

#include <string.h>
#include <strings.h>
#include <tamis/param.h>

#include "base/error.h"
#include "codec/gzip.h"
#include "import/registry.h"

#define TAMIS__READER_ENTRY(name) &tamis__reader_##name,
static const tamis__reader_class *const readers[] = {TAMIS__READERS(TAMIS__READER_ENTRY)};
#define READERS (sizeof readers / sizeof *readers)

static tamis_status find_by_name(const char *name, const tamis__reader_class **ret_reader,
                                 tamis_error *err)
{
    const char *names[READERS];
    for (size_t i = 0; i < READERS; i++) {
        names[i] = readers[i]->name;
        if (strcmp(names[i], name) != 0) continue;
        *ret_reader = readers[i];
        return TAMIS_OK;
    }
    const char *near = tamis_suggest(name, names, READERS);
    return tamis__fail(err, TAMIS_ERR_ARG, "there is no data format '%s': %s%s%s", name,
                       near ? "did you mean '" : "",
                       near ? near : "csv, tsv, jsonl, idx, npy and safetensors are read",
                       near ? "'?" : "");
}

/* The list has `extension` of this length. */
static bool has_extension(const char *list, const char *extension, size_t size)
{
    while (*list) {
        size_t length = strcspn(list, " ");
        if (length == size && strncasecmp(list, extension, size) == 0) return true;
        list += length;
        list += *list == ' ';
    }
    return false;
}

static const tamis__reader_class *find_by_path(const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    size_t size = strlen(file);
    if (size > 3 && strcasecmp(file + size - 3, ".gz") == 0) size -= 3;
    size_t dot = size ? size - 1 : 0;
    while (dot > 0 && file[dot] != '.') dot--;
    for (size_t i = 0; i < READERS; i++)
        if (has_extension(readers[i]->extensions, file + dot, size - dot)) return readers[i];
    return NULL;
}

static tamis_status find_by_bytes(const tamis__source *source,
                                  const tamis__reader_class **ret_reader, tamis_error *err)
{
    for (size_t i = 0; i < READERS; i++)
        if (readers[i]->recognise && readers[i]->recognise(source->bytes, source->size)) {
            *ret_reader = readers[i];
            return TAMIS_OK;
        }
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "cannot tell the format of '%s' by its name or first bytes: name it (csv, "
                       "tsv, jsonl, idx, npy "
                       "or safetensors)",
                       source->path);
}

static tamis_status find_reader(const tamis__source *source, const tamis_data_options *options,
                                const tamis__reader_class **ret_reader, tamis_error *err)
{
    if (options->format) return find_by_name(options->format, ret_reader, err);
    const tamis__reader_class *reader = find_by_path(source->path);
    if (!reader) return find_by_bytes(source, ret_reader, err);
    *ret_reader = reader;
    return TAMIS_OK;
}

static tamis_status check_options(const tamis__reader_class *reader,
                                  const tamis_data_options *options, tamis_error *err)
{
    if (options->label && options->labels_path)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "labels are given twice: as '%s' and as the file '%s'", options->label,
                           options->labels_path);
    if (reader->has_columns) return TAMIS_OK;
    const char *given = options->id       ? "ids"
                        : options->group  ? "groups"
                        : options->ignore ? "columns to ignore"
                                          : NULL;
    if (given)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': format %s has no columns to take %s from",
                           options->path, reader->name, given);
    return TAMIS_OK;
}

static tamis_status read_source(const tamis__source *source, const tamis_data_options *options,
                                tamis_data **ret_data, tamis_error *err)
{
    tamis__table table = {.source = source, .options = options};
    const tamis__reader_class *reader = NULL;
    TAMIS_TRY(find_reader(source, options, &reader, err));
    TAMIS_TRY(check_options(reader, options, err));
    tamis_status status = reader->read(&table, err);
    if (status == TAMIS_OK && options->labels_path)
        status = tamis__labels_read(&table, options->labels_path, err);
    if (status == TAMIS_OK) status = tamis__table_finish(&table, ret_data, err);
    tamis__table_fini(&table);
    return status;
}

tamis_status tamis_data_read(tamis_data **ret_data, tamis_context *context,
                             const tamis_data_options *options, tamis_error *err)
{
    tamis__source source;
    if (!options->path || !*options->path)
        return tamis__fail(err, TAMIS_ERR_ARG, "no data file is named");
    TAMIS_TRY(tamis__source_open(&source, context, options->path, err));
    tamis_status status = read_source(&source, options, ret_data, err);
    tamis__source_close(&source);
    return status;
}
