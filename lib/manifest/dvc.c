/* .dvc files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/dvc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "base/md5_file.h"
#include "base/md5_sum.h"
#include "base/mem.h"
#include "manifest/threads.h"

/* What one .dvc file says. */
typedef struct facts {
    char md5[37];
    uint64_t bytes;
    size_t files; /* of a directory */
} facts;

/* --- directories ------------------------------------------------------------------------------ */

/* DVC sums what Python's json.dumps() makes of the list, and jansson's spaces are the same. */
tamis_status tamis__dvc_directory(const tamis__dvc_file *file, size_t n, char ret_md5[37],
                                  tamis_error *err)
{
    tamis__md5 md5;
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < n && whole; i++)
        whole = json_array_append_new(list, json_pack("{s:s, s:s}", "md5", file[i].md5, "relpath",
                                                      file[i].name)) == 0;
    char *text = whole ? json_dumps(list, JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
    json_decref(list);
    if (!text) return tamis__fail_memory(err, "a list of files", n);
    tamis__md5_start(&md5);
    tamis__md5_add(&md5, text, strlen(text));
    tamis__md5_end(&md5, ret_md5);
    memcpy(ret_md5 + 32, ".dir", 5);
    free(text);
    return TAMIS_OK;
}

typedef struct summing {
    const tamis_context *context;
    const tamis__tree *tree;
    tamis__dvc_file *file; /* [n] */
    size_t n;
} summing;

/* Without the context: only one thread at a time may report to it. */
static tamis_status sum_file(void *arg, uint64_t i, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    const summing *s = arg;
    tamis__dvc_file *file = &s->file[i];
    struct stat st;
    (void)slot, (void)worker;
    char *path = tamis__tree_path(s->tree, file->name);
    if (!path) return tamis__fail_memory(err, "a file name", strlen(file->name));
    tamis_status status = tamis__md5_file(NULL, path, file->md5, err);
    if (status == TAMIS_OK && stat(path, &st))
        status = tamis__fail_errno(err, "cannot read '%s'", path);
    if (status == TAMIS_OK) file->bytes = (uint64_t)st.st_size;
    free(path);
    return status;
}

static tamis_status end_file(void *arg, uint64_t i, unsigned slot, tamis_error *err)
{
    const summing *s = arg;
    (void)slot;
    return tamis__progress(s->context, "MD5", i + 1, s->n, "files", NULL, err);
}

static tamis_status sum_all(summing *s, facts *ret_facts, tamis_error *err)
{
    tamis__pipeline pipeline = {.arg = s, .items = s->n, .work = sum_file, .consume = end_file};
    TAMIS_TRY(tamis__threads_run(s->context, &pipeline, err));
    *ret_facts = (facts){.files = s->n};
    for (size_t i = 0; i < s->n; i++) ret_facts->bytes += s->file[i].bytes;
    return tamis__dvc_directory(s->file, s->n, ret_facts->md5, err);
}

static tamis_status look_at_tree(const tamis_context *context, const tamis__tree *tree,
                                 facts *ret_facts, tamis_error *err)
{
    summing s = {.context = context, .tree = tree};
    char **name = NULL;
    TAMIS_TRY(tamis__tree_list(tree, &name, &s.n, err));
    s.file = tamis__calloc(s.n, sizeof *s.file);
    tamis_status status = s.file ? TAMIS_OK : tamis__fail_memory(err, "a list of files", s.n);
    for (size_t i = 0; i < s.n && s.file; i++) s.file[i].name = name[i];
    if (status == TAMIS_OK) status = sum_all(&s, ret_facts, err);
    for (size_t i = 0; i < s.n; i++) free(name[i]);
    free(name);
    free(s.file);
    return status;
}

/* --- the file --------------------------------------------------------------------------------- */

static tamis_status look(const tamis_context *context, tamis__made *made, facts *ret_facts,
                         tamis_error *err)
{
    *ret_facts = (facts){.bytes = made->bytes};
    if (made->is_tree)
        TAMIS_TRY(look_at_tree(context, &made->tree, ret_facts, err));
    else
        TAMIS_TRY(tamis__md5_file(context, made->output.part, ret_facts->md5, err));
    memcpy(made->md5, ret_facts->md5, sizeof made->md5);
    return TAMIS_OK;
}

static tamis_status put_facts(tamis__output *output, const facts *f, const char *name,
                              tamis_error *err)
{
    TAMIS_TRY(tamis__output_printf(output, err, "outs:\n- md5: %s\n  size: %" PRIu64 "\n", f->md5,
                                   f->bytes));
    if (f->files) TAMIS_TRY(tamis__output_printf(output, err, "  nfiles: %zu\n", f->files));
    TAMIS_TRY(tamis__output_printf(output, err, "  hash: md5\n  path: '"));
    for (const char *p = name; *p; p++)
        TAMIS_TRY(tamis__output_write(output, *p == '\'' ? "''" : p, *p == '\'' ? 2 : 1, err));
    TAMIS_TRY(tamis__output_printf(output, err, "'\n"));
    return tamis__output_finish(output, err);
}

/* The path of an output without slashes at its end, and with room for ".dvc". */
static char *path_of(const tamis__made *made)
{
    size_t size = strlen(made->path);
    char *path = tamis__malloc(size + sizeof ".dvc", 1);
    while (size > 1 && made->path[size - 1] == '/') size--;
    if (!path) return NULL;
    memcpy(path, made->path, size);
    path[size] = '\0';
    return path;
}

tamis_status tamis__dvc_write(tamis__outputs *outputs, const tamis_context *context, size_t i,
                              bool force, tamis_error *err)
{
    facts f;
    tamis__output *output = NULL;
    TAMIS_TRY(look(context, outputs->made[i], &f, err));
    char *path = path_of(outputs->made[i]);
    if (!path) return tamis__fail_memory(err, "a file name", 8);
    size_t size = strlen(path);
    memcpy(path + size, ".dvc", sizeof ".dvc");
    tamis_status status = tamis__outputs_plain(outputs, context, path, "dvc", force, &output, err);
    path[size] = '\0';
    const char *slash = strrchr(path, '/');
    if (status == TAMIS_OK) status = put_facts(output, &f, slash ? slash + 1 : path, err);
    if (status == TAMIS_OK) outputs->made[outputs->n - 1]->bytes = output->stored;
    free(path);
    return status;
}
