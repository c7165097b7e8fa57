/* LLaMA-Factory's dataset_info.json: one entry more, all other bytes as they were.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/dataset_info.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "import/records.h"
#include "manifest/json_span.h"

/* The text being changed, and what was found in it. */
typedef struct info_text {
    const unsigned char *text;
    size_t size;
    const char *path;
    tamis__json_member last, same, like; /* value.size 0 = there is none */
    size_t first_key, open, close;       /* bytes of the first key and the brackets */
} info_text;

static tamis_status fail_at(const info_text *t, size_t at, const char *what, tamis_error *err)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < t->size; i++) {
        column = t->text[i] == '\n' ? 1 : column + 1;
        line += t->text[i] == '\n';
    }
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' line %zu, byte %zu of the line: %s: it must be one JSON object of data "
        "sets",
        t->path, line, column, what);
}

static tamis_status look(info_text *t, const tamis__dataset_entry *entry, tamis_error *err)
{
    tamis__json_walk walk;
    tamis__json_member member;
    if (tamis__records_bom(t->text, t->size))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' starts with a byte order mark, which its readers refuse: remove it", t->path);
    if (!tamis__json_open(&walk, t->text, t->size)) return fail_at(t, walk.at, walk.bad, err);
    t->open = walk.at - 1;
    while (tamis__json_next(&walk, &member)) {
        if (!t->last.value.size) t->first_key = member.key.first;
        t->last = member;
        if (tamis__json_string_is(t->text, member.key, entry->name, strlen(entry->name))) {
            if (t->same.value.size)
                return fail_at(t, member.key.first, "the name is there twice", err);
            t->same = member;
        }
        if (entry->like &&
            tamis__json_string_is(t->text, member.key, entry->like, strlen(entry->like)))
            t->like = member;
    }
    if (walk.bad) return fail_at(t, walk.at, walk.bad, err);
    t->close = walk.at - 1;
    return TAMIS_OK;
}

static tamis_status check_names(const info_text *t, const tamis__dataset_entry *entry, bool replace,
                                tamis_error *err)
{
    if (t->same.value.size && !replace)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' has a data set '%s' already: choose another name, or -f to replace "
            "it",
            t->path, entry->name);
    if (!entry->like) return TAMIS_OK;
    if (!t->like.value.size)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has no data set '%s' to take settings from",
                           t->path, entry->like);
    if (t->text[t->like.value.first] != '{')
        return fail_at(t, t->like.value.first, "the data set to take settings from is no object",
                       err);
    return TAMIS_OK;
}

/* --- writing -------------------------------------------------------------------------------- */

static tamis_status put(tamis__output *output, const void *bytes, size_t size, tamis_error *err)
{
    return output && size ? tamis__output_write(output, bytes, size, err) : TAMIS_OK;
}

static tamis_status put_text(tamis__output *output, const char *text, tamis_error *err)
{
    return put(output, text, strlen(text), err);
}

static tamis_status put_string(tamis__output *output, const char *text, tamis_error *err)
{
    json_t *string = json_string(text);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    bool utf8 = string != NULL;
    json_decref(string);
    if (!utf8) return tamis__fail(err, TAMIS_ERR_ARG, "a name for dataset_info.json is not UTF-8");
    if (!quoted) return tamis__fail_memory(err, "a name", strlen(text));
    tamis_status status = put_text(output, quoted, err);
    free(quoted);
    return status;
}

/* What says where the records are or how many are taken: num_samples draws at random, and fills up
 * with repeats. */
static bool is_of_the_data(const info_text *t, const tamis__dataset_entry *entry, tamis__span key)
{
    static const char *const name[] = {"file_name",  "hf_hub_url",      "ms_hub_url", "om_hub_url",
                                       "script_url", "cloud_file_name", "subset",     "split",
                                       "folder",     "num_samples"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (tamis__json_string_is(t->text, key, name[i], strlen(name[i]))) return true;
    return entry->formatting && tamis__json_string_is(t->text, key, "formatting", 10);
}

static tamis_status put_settings(const info_text *t, const tamis__dataset_entry *entry,
                                 tamis__output *output, tamis_error *err)
{
    tamis__json_walk walk;
    tamis__json_member member;
    if (!entry->like) return TAMIS_OK;
    const unsigned char *like = t->text + t->like.value.first;
    info_text inner = {.text = like, .size = t->like.value.size};
    tamis__json_open(&walk, like, t->like.value.size);
    while (tamis__json_next(&walk, &member)) {
        if (is_of_the_data(&inner, entry, member.key)) continue;
        TAMIS_TRY(put_text(output, ", ", err));
        TAMIS_TRY(put(output, like + member.key.first, member.key.size, err));
        TAMIS_TRY(put_text(output, ": ", err));
        TAMIS_TRY(put(output, like + member.value.first, member.value.size, err));
    }
    return TAMIS_OK;
}

/* {"file_name": ..., ...} */
static tamis_status put_value(const info_text *t, const tamis__dataset_entry *entry,
                              tamis__output *output, tamis_error *err)
{
    TAMIS_TRY(put_text(output, "{\"file_name\": ", err));
    TAMIS_TRY(put_string(output, entry->file_name, err));
    if (entry->formatting) {
        TAMIS_TRY(put_text(output, ", \"formatting\": ", err));
        TAMIS_TRY(put_string(output, entry->formatting, err));
    }
    TAMIS_TRY(put_settings(t, entry, output, err));
    return put_text(output, "}", err);
}

static tamis_status put_member(const info_text *t, const tamis__dataset_entry *entry,
                               tamis__output *output, tamis_error *err)
{
    TAMIS_TRY(put_string(output, entry->name, err));
    TAMIS_TRY(put_text(output, ": ", err));
    return put_value(t, entry, output, err);
}

/* Spaces before the first name are put before the new one too. */
static tamis_status put_after_last(const info_text *t, const tamis__dataset_entry *entry,
                                   tamis__output *output, tamis_error *err)
{
    size_t end = t->last.value.first + t->last.value.size;
    TAMIS_TRY(put(output, t->text, end, err));
    TAMIS_TRY(put_text(output, ",", err));
    TAMIS_TRY(put(output, t->text + t->open + 1, t->first_key - t->open - 1, err));
    TAMIS_TRY(put_member(t, entry, output, err));
    return put(output, t->text + end, t->size - end, err);
}

static tamis_status put_in_empty(const info_text *t, const tamis__dataset_entry *entry,
                                 tamis__output *output, tamis_error *err)
{
    TAMIS_TRY(put(output, t->text, t->open + 1, err));
    TAMIS_TRY(put_text(output, "\n  ", err));
    TAMIS_TRY(put_member(t, entry, output, err));
    TAMIS_TRY(put_text(output, "\n", err));
    return put(output, t->text + t->close, t->size - t->close, err);
}

static tamis_status put_in_place(const info_text *t, const tamis__dataset_entry *entry,
                                 tamis__output *output, tamis_error *err)
{
    size_t end = t->same.value.first + t->same.value.size;
    TAMIS_TRY(put(output, t->text, t->same.value.first, err));
    TAMIS_TRY(put_value(t, entry, output, err));
    return put(output, t->text + end, t->size - end, err);
}

tamis_status tamis__dataset_info_write(const void *text, size_t size, const char *path,
                                       const tamis__dataset_entry *entry, bool replace,
                                       tamis__output *output, tamis_error *err)
{
    static const unsigned char empty[] = "{}\n";
    info_text t = {.text = size ? text : empty, .size = size ? size : 3, .path = path};
    TAMIS_TRY(look(&t, entry, err));
    TAMIS_TRY(check_names(&t, entry, replace, err));
    if (t.same.value.size) return put_in_place(&t, entry, output, err);
    if (t.last.value.size) return put_after_last(&t, entry, output, err);
    return put_in_empty(&t, entry, output, err);
}

/* --- the name of the file ------------------------------------------------------------------- */

/* Length of the directory part, its slash included; 0 = none. */
static size_t directory_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The real path of a file's directory, which must exist. */
static char *real_directory(const char *path)
{
    size_t size = directory_size(path);
    char *copy = tamis__malloc(size + 2, 1);
    if (!copy) return NULL;
    memcpy(copy, path, size);
    strcpy(copy + size, size ? "" : ".");
    char *real = realpath(copy, NULL);
    free(copy);
    return real;
}

static tamis_status join(const char *directory, const char *base, char **ret_name, tamis_error *err)
{
    size_t size = strlen(directory), more = strlen(base);
    char *name = tamis__malloc(size + more + 2, 1);
    if (!name) return tamis__fail_memory(err, "a file name", size + more + 2);
    memcpy(name, directory, size);
    if (size && directory[size - 1] != '/') name[size++] = '/';
    memcpy(name + size, base, more + 1);
    *ret_name = name;
    return TAMIS_OK;
}

tamis_status tamis__dataset_file_name(const char *info, const char *path, char **ret_name,
                                      tamis_error *err)
{
    char *of_info = real_directory(info), *of_file = real_directory(path);
    tamis_status status;
    if (!of_info || !of_file) {
        status = tamis__fail_errno(err, "cannot find the directory of '%s'", of_info ? path : info);
    } else {
        size_t size = strlen(of_info);
        bool inside = !strncmp(of_info, of_file, size) &&
                      (!of_file[size] || of_file[size] == '/' || of_info[size - 1] == '/');
        const char *rest = inside ? of_file + size : of_file;
        if (inside && *rest == '/') rest++;
        status = join(rest, path + directory_size(path), ret_name, err);
    }
    free(of_info);
    free(of_file);
    return status;
}
