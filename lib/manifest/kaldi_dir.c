/* A Kaldi data directory: what it holds, read and checked.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/kaldi_dir.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/kaldi_files.h"

enum { SHOWN = 60 };

/* --- files ---------------------------------------------------------------------------------- */

size_t tamis__kaldi_index(const char *name)
{
    size_t i = 0;
    while (i < tamis__kaldi_files && strcmp(tamis__kaldi_file[i].name, name) != 0) i++;
    return i;
}

static tamis_status file_path(const char *directory, const char *name, char **ret_path,
                              tamis_error *err)
{
    size_t size = strlen(directory), more = strlen(name);
    char *path = tamis__malloc(size + more + 2, 1);
    if (!path) return tamis__fail_memory(err, "a file name", size + more + 2);
    memcpy(path, directory, size);
    if (size && path[size - 1] != '/') path[size++] = '/';
    memcpy(path + size, name, more + 1);
    *ret_path = path;
    return TAMIS_OK;
}

static tamis_status open_file(tamis__kaldi_dir *dir, size_t i, tamis_error *err)
{
    struct stat st;
    char *path = NULL;
    TAMIS_TRY(file_path(dir->path, tamis__kaldi_file[i].name, &path, err));
    if (stat(path, &st) != 0) {
        free(path);
        return TAMIS_OK;
    }
    tamis_status status = tamis__input_open(&dir->input[i], dir->context, path, err);
    if (status != TAMIS_OK) {
        free(path);
        return status;
    }
    dir->file_path[i] = path;
    dir->bytes += dir->input[i].size;
    return TAMIS_OK;
}

static bool is_file(const tamis__kaldi_dir *dir, const char *name)
{
    struct stat st;
    char *path = NULL;
    bool found = file_path(dir->path, name, &path, NULL) == TAMIS_OK && stat(path, &st) == 0 &&
                 S_ISREG(st.st_mode);
    free(path);
    return found;
}

/* Files whose lines belong to nothing we know cannot be filtered, and are not copied. */
static tamis_status note_unknown(const tamis__kaldi_dir *dir, tamis_error *err)
{
    const struct dirent *entry;
    char first[NAME_MAX + 1] = "", shown[TAMIS__SHOWN_SIZE(SHOWN)];
    size_t unknown = 0;
    DIR *listing = opendir(dir->path);
    if (!listing) return tamis__fail_errno(err, "cannot read the directory '%s'", dir->path);
    while ((entry = readdir(listing))) {
        if (entry->d_name[0] == '.' || tamis__kaldi_index(entry->d_name) < tamis__kaldi_files ||
            !is_file(dir, entry->d_name))
            continue;
        if (!unknown++ || strcmp(entry->d_name, first) < 0) strcpy(first, entry->d_name);
    }
    closedir(listing);
    if (unknown)
        tamis__log(dir->context, TAMIS_LOG_WARNING,
                   "'%s': %zu files are not of the kinds that are filtered and are left out, the "
                   "first is '%s'",
                   dir->path, unknown, tamis__show(shown, sizeof shown, first, strlen(first)));
    return TAMIS_OK;
}

static tamis_status find_listing(tamis__kaldi_dir *dir, const char *listing, tamis_error *err)
{
    static const char *const name[] = {"utt2spk", "segments", "text"};
    if (listing) {
        dir->listing = tamis__kaldi_index(listing);
        if (dir->listing == tamis__kaldi_files ||
            tamis__kaldi_file[dir->listing].key != TAMIS__KALDI_UTTERANCE)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s' is no file of utterances of a Kaldi directory: name utt2spk, "
                               "segments, text or feats.scp",
                               listing);
        if (dir->file_path[dir->listing]) return TAMIS_OK;
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' has no file '%s' to list its utterances",
                           dir->path, listing);
    }
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        dir->listing = tamis__kaldi_index(name[i]);
        if (dir->file_path[dir->listing]) return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_IO,
                       "'%s' has no utt2spk, segments or text to list its utterances", dir->path);
}

/* --- rows ----------------------------------------------------------------------------------- */

void tamis__kaldi_table_of(const tamis__kaldi_dir *dir, size_t i, tamis__kaldi_table *table)
{
    tamis__kaldi_start(table, dir->file_path[i], dir->input[i].data, dir->input[i].size);
}

/* Every line of every file, so that nothing is written of a directory with a fault. */
static tamis_status check_file(const tamis__kaldi_dir *dir, size_t i, uint64_t *ret_lines,
                               tamis_error *err)
{
    tamis__kaldi_table table;
    tamis__kaldi_line line;
    tamis__kaldi_table_of(dir, i, &table);
    *ret_lines = 0;
    for (;; ++*ret_lines) {
        TAMIS_TRY(tamis__kaldi_next(&table, &line, err));
        if (!line.data) return TAMIS_OK;
    }
}

static tamis_status check_files(tamis__kaldi_dir *dir, tamis_error *err)
{
    uint64_t lines;
    for (size_t i = 0; i < tamis__kaldi_files; i++) {
        enum tamis__kaldi_key key = tamis__kaldi_file[i].key;
        if (!dir->file_path[i] || key == TAMIS__KALDI_WHOLE || key == TAMIS__KALDI_REBUILT)
            continue;
        TAMIS_TRY(check_file(dir, i, &lines, err));
        if (i == dir->listing) dir->rows = lines;
    }
    return TAMIS_OK;
}

static tamis_status make_names(uint64_t n, tamis__name **ret_names, tamis_error *err)
{
    *ret_names = tamis__malloc(n, sizeof **ret_names);
    return *ret_names ? TAMIS_OK : tamis__fail_memory(err, "names", n * sizeof **ret_names);
}

static tamis_status list_rows(tamis__kaldi_dir *dir, tamis_error *err)
{
    tamis__kaldi_table table;
    tamis__kaldi_line line;
    TAMIS_TRY(make_names(dir->rows, &dir->utterance, err));
    tamis__kaldi_table_of(dir, dir->listing, &table);
    for (uint64_t row = 0; row < dir->rows; row++) {
        TAMIS_TRY(tamis__kaldi_next(&table, &line, err));
        dir->utterance[row] = line.name;
    }
    return TAMIS_OK;
}

static tamis_status fail_lacks(const tamis__kaldi_dir *dir, size_t i, uint64_t row,
                               tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    const tamis__name *name = &dir->utterance[row];
    tamis__show(shown, sizeof shown, (const char *)name->data, name->size);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' has no line for '%s', utterance %" PRIu64
                       " of '%s': repair the directory (utils/fix_data_dir.sh)",
                       dir->file_path[i], shown, row + 1, dir->file_path[dir->listing]);
}

tamis_status tamis__kaldi_column(const tamis__kaldi_dir *dir, size_t i, unsigned least,
                                 unsigned most, const char *form, tamis__name **ret_names,
                                 tamis_error *err)
{
    tamis__kaldi_table table;
    tamis__kaldi_line line = {.line = 0};
    bool there;
    if (ret_names) TAMIS_TRY(make_names(dir->rows, ret_names, err));
    tamis__kaldi_table_of(dir, i, &table);
    for (uint64_t row = 0; row < dir->rows; row++) {
        TAMIS_TRY(tamis__kaldi_seek(&table, &dir->utterance[row], &line, &there, err));
        if (!there) return fail_lacks(dir, i, row, err);
        if (!tamis__kaldi_field(&line, least - 1).size || tamis__kaldi_field(&line, most).size)
            return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": must be \"%s\"",
                               dir->file_path[i], line.line, form);
        if (ret_names) (*ret_names)[row] = tamis__kaldi_field(&line, 1);
    }
    return TAMIS_OK;
}

static tamis_status join_columns(tamis__kaldi_dir *dir, tamis_error *err)
{
    size_t speakers = tamis__kaldi_index("utt2spk"), segments = tamis__kaldi_index("segments");
    if (dir->file_path[speakers])
        TAMIS_TRY(
            tamis__kaldi_column(dir, speakers, 2, 2, "<utterance> <speaker>", &dir->speaker, err));
    if (dir->file_path[segments])
        return tamis__kaldi_column(dir, segments, 4, 5, "<utterance> <recording> <start> <end>",
                                   &dir->recording, err);
    TAMIS_TRY(make_names(dir->rows, &dir->recording, err));
    if (dir->rows) memcpy(dir->recording, dir->utterance, dir->rows * sizeof *dir->utterance);
    return TAMIS_OK;
}

tamis_status tamis__kaldi_open(tamis__kaldi_dir *dir, const tamis_context *context,
                               const char *path, const char *listing, tamis_error *err)
{
    *dir = (tamis__kaldi_dir){.context = context, .path = path};
    TAMIS_TRY(note_unknown(dir, err));
    for (size_t i = 0; i < tamis__kaldi_files; i++) TAMIS_TRY(open_file(dir, i, err));
    TAMIS_TRY(find_listing(dir, listing, err));
    TAMIS_TRY(check_files(dir, err));
    TAMIS_TRY(list_rows(dir, err));
    return join_columns(dir, err);
}

void tamis__kaldi_close(tamis__kaldi_dir *dir)
{
    for (size_t i = 0; i < tamis__kaldi_files; i++) {
        if (dir->file_path[i]) tamis__input_close(&dir->input[i]);
        free(dir->file_path[i]);
    }
    free(dir->utterance);
    free(dir->speaker);
    free(dir->recording);
    *dir = (tamis__kaldi_dir){.rows = 0};
}
