/* Several outputs of which all appear or none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/outputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "manifest/dvc.h"

static tamis_status enlarge(tamis__outputs *outputs, tamis_error *err)
{
    if (outputs->n < outputs->room) return TAMIS_OK;
    size_t room = outputs->room ? 2 * outputs->room : 8;
    tamis__made **grown = tamis__realloc(outputs->made, room, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "outputs", room * sizeof *grown);
    outputs->made = grown;
    outputs->room = room;
    return TAMIS_OK;
}

static void free_made(tamis__made *made)
{
    free(made->path);
    free(made);
}

static tamis_status prepare(tamis__outputs *outputs, const char *path, const char *what, bool tree,
                            tamis__made **ret_made, tamis_error *err)
{
    struct stat st;
    static const char *const names[] = {"an output", "another output"};
    TAMIS_TRY(tamis__outputs_spare(outputs, path, tree, err));
    for (size_t i = 0; i < outputs->n; i++) {
        const char *pair[] = {outputs->made[i]->path, path};
        TAMIS_TRY(tamis__outputs_distinct(pair, names, 2, err));
    }
    TAMIS_TRY(enlarge(outputs, err));
    tamis__made *made = tamis__calloc(1, sizeof *made);
    if (made) made->path = tamis__strdup(path);
    if (!made || !made->path) {
        free(made);
        return tamis__fail_memory(err, "an output", sizeof *made);
    }
    made->what = what;
    made->is_tree = tree;
    made->existed = !strcmp(path, "-") || stat(path, &st) == 0;
    *ret_made = made;
    return TAMIS_OK;
}

tamis_status tamis__outputs_plain(tamis__outputs *outputs, const tamis_context *context,
                                  const char *path, const char *what, bool force,
                                  tamis__output **ret_output, tamis_error *err)
{
    tamis__made *made = NULL;
    TAMIS_TRY(prepare(outputs, path, what, false, &made, err));
    tamis_status status = tamis__output_open(&made->output, context, path, force, err);
    if (status != TAMIS_OK) {
        free_made(made);
        return status;
    }
    outputs->made[outputs->n++] = made;
    *ret_output = &made->output;
    return TAMIS_OK;
}

tamis_status tamis__outputs_file(tamis__outputs *outputs, const tamis_context *context,
                                 const char *path, const char *what, bool force,
                                 tamis__output **ret_output, tamis_error *err)
{
    TAMIS_TRY(tamis__outputs_plain(outputs, context, path, what, force, ret_output, err));
    return tamis__codec_attach(tamis__codec_of_name(path, NULL), *ret_output, err);
}

void tamis__outputs_count(const tamis__outputs *outputs, const tamis__output *output,
                          uint64_t records)
{
    for (size_t i = 0; i < outputs->n; i++)
        if (&outputs->made[i]->output == output) outputs->made[i]->records = records;
}

tamis_status tamis__outputs_tree(tamis__outputs *outputs, const tamis_context *context,
                                 const char *path, const char *what, bool force,
                                 bool (*is_ours)(const char *name), tamis__tree **ret_tree,
                                 tamis_error *err)
{
    tamis__made *made = NULL;
    TAMIS_TRY(prepare(outputs, path, what, true, &made, err));
    tamis_status status = tamis__tree_open(&made->tree, context, path, force, err);
    if (status == TAMIS_OK) {
        status = tamis__tree_guard(&made->tree, is_ours, err);
        if (status != TAMIS_OK) tamis__tree_abort(&made->tree);
    }
    if (status != TAMIS_OK) {
        free_made(made);
        return status;
    }
    outputs->made[outputs->n++] = made;
    *ret_tree = &made->tree;
    return TAMIS_OK;
}

bool tamis__is_numbered(const char *name, const char *head, const char *tail)
{
    size_t size = strlen(head);
    if (strncmp(name, head, size) != 0) return false;
    size_t digits = strspn(name + size, "0123456789");
    return digits > 0 && !strcmp(name + size + digits, tail);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* A device or a pipe has no bytes to look at afterwards. */
static bool stays(const tamis__made *made)
{
    return made->is_tree || made->output.part;
}

tamis_status tamis__outputs_finish(tamis__outputs *outputs, const tamis_context *context, bool dvc,
                                   bool force, tamis_error *err)
{
    size_t n = outputs->n;
    for (size_t i = 0; i < n; i++) {
        tamis__made *made = outputs->made[i];
        if (made->is_tree) continue;
        TAMIS_TRY(tamis__output_finish(&made->output, err));
        made->bytes = made->output.stored;
    }
    for (size_t i = 0; dvc && i < n; i++)
        if (stays(outputs->made[i])) TAMIS_TRY(tamis__dvc_write(outputs, context, i, force, err));
    return TAMIS_OK;
}

static void remove_new(const tamis__outputs *outputs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const tamis__made *made = outputs->made[i];
        if (made->existed) continue;
        if (made->is_tree)
            tamis__tree_remove(made->path);
        else
            (void)unlink(made->path);
    }
}

static tamis_status commit_one(tamis__made *made, tamis_error *err)
{
    return made->is_tree ? tamis__tree_commit(&made->tree, err)
                         : tamis__output_commit(&made->output, err);
}

tamis_status tamis__outputs_commit(tamis__outputs *outputs, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    size_t done = 0;
    while (status == TAMIS_OK && done < outputs->n) status = commit_one(outputs->made[done++], err);
    if (status != TAMIS_OK) remove_new(outputs, done - 1);
    return status;
}

void tamis__outputs_close(tamis__outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++) {
        tamis__made *made = outputs->made[i];
        if (made->is_tree)
            tamis__tree_abort(&made->tree);
        else if (made->output.path)
            tamis__output_abort(&made->output);
        free_made(made);
    }
    free(outputs->made);
    *outputs = (tamis__outputs){0};
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    if (!strcmp(a, b)) return true;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static tamis_status check_pair(const char *a, const char *what_a, const char *b, const char *what_b,
                               tamis_error *err)
{
    if (is_same_file(a, b))
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is both %s and %s: give them different names",
                           a, what_a, what_b);
    char *part = tamis__part_path(a);
    if (!part) return tamis__fail_memory(err, "a file name", strlen(a));
    bool clash = is_same_file(part, b);
    free(part);
    if (!clash) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' is the name under which '%s' is written until it is whole: "
                       "rename it",
                       b, a);
}

/* The directory that a file or directory lies in. */
static tamis_status parent_of(const char *path, char **ret_parent, tamis_error *err)
{
    size_t size = strlen(path);
    char *parent = tamis__malloc(size + 2, 1);
    if (!parent) return tamis__fail_memory(err, "a file name", size + 2);
    while (size > 1 && path[size - 1] == '/') size--;
    while (size > 0 && path[size - 1] != '/') size--;
    while (size > 1 && path[size - 1] == '/') size--;
    memcpy(parent, size ? path : ".", size ? size : 1);
    parent[size ? size : 1] = '\0';
    *ret_parent = parent;
    return TAMIS_OK;
}

tamis_status tamis__outputs_place(const char *path, tamis_error *err)
{
    char *parent = NULL;
    TAMIS_TRY(parent_of(path, &parent, err));
    tamis_status status = TAMIS_OK;
    if (access(parent, W_OK | X_OK))
        status = tamis__fail_errno(err, "cannot write '%s': directory '%s'", path, parent);
    free(parent);
    return status;
}

/* Does the file lie in this directory, and not deeper? Directories with others in them are not
 * replaced at all. */
static tamis_status lies_in(const char *directory, const char *path, bool *ret_inside,
                            tamis_error *err)
{
    char *parent = NULL;
    TAMIS_TRY(parent_of(path, &parent, err));
    *ret_inside = is_same_file(directory, parent);
    free(parent);
    return TAMIS_OK;
}

tamis_status tamis__outputs_spare(const tamis__outputs *outputs, const char *path, bool tree,
                                  tamis_error *err)
{
    static const char *const names[] = {"an input", "an output"};
    for (size_t i = 0; i < outputs->inputs; i++) {
        const char *pair[] = {outputs->input[i], path};
        bool inside = false;
        TAMIS_TRY(tamis__outputs_distinct(pair, names, 2, err));
        if (tree) TAMIS_TRY(lies_in(path, pair[0], &inside, err));
        if (inside)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "the directory '%s', which would be replaced, holds the input '%s': "
                               "name another output",
                               path, pair[0]);
    }
    return TAMIS_OK;
}

tamis_status tamis__outputs_distinct(const char *const *path, const char *const *what, size_t n,
                                     tamis_error *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            if (k == i || !path[i] || !path[k] || !strcmp(path[i], "-") || !strcmp(path[k], "-"))
                continue;
            TAMIS_TRY(check_pair(path[i], what[i], path[k], what[k], err));
        }
    return TAMIS_OK;
}
