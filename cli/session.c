/* One run of one command: its context, progress, inputs and provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "signals.h"

/* --- what the library calls ---------------------------------------------------------------------- */

static void on_log(void *cookie, tamis_log_level level, const char *line)
{
    session *s = cookie;
    if (level == TAMIS_LOG_DEBUG || (level == TAMIS_LOG_INFO && s->common->quiet)) return;
    progress_clear(&s->progress);
    fprintf(stderr, level == TAMIS_LOG_WARNING ? "tamis: warning: %s\n" : "tamis: %s\n", line);
}

static int on_progress(void *cookie, const char *phase, uint64_t done, uint64_t total,
                       const char *unit, const char *note)
{
    session *s = cookie;
    if (signals_caught()) return 1;
    progress_update(&s->progress, phase, done, total, unit, note);
    return 0;
}

static void on_temporary(void *cookie, const char *path, bool exists)
{
    (void)cookie;
    signals_temporary(path, exists);
}

/* --- life ----------------------------------------------------------------------------------------- */

tamis_status session_open(session *ret_session, const invocation *inv, tamis_error *err)
{
    session *s = ret_session;
    *s = (session){.cmd = inv->cmd, .common = inv->args, .invocation = inv, .started = seconds()};
    s->progress.style = PROGRESS_NEVER;
    if (!(inv->cmd->common & COMMON_ENGINE)) return TAMIS_OK;
    const common_args *common = s->common;
    progress_begin(&s->progress, (progress_style)common->progress, common->quiet);
    tamis_context_params params = {
        .threads = (unsigned)common->threads,
        .memory = common->memory,
        .limit_cpu = common->limit_cpu,
        .cpu_mask = common->cpu_mask,
        .log = on_log,
        .progress = on_progress,
        .temporary = on_temporary,
        .cookie = s,
    };
    return tamis_context_create(&s->context, &params, err);
}

void session_close(session *s)
{
    progress_end(&s->progress);
    tamis_provenance_destroy(&s->provenance);
    tamis_context_destroy(&s->context);
}

bool session_speaks(const session *s)
{
    return !s->common->quiet && !s->common->json;
}

bool session_streams(const session *s)
{
    return s->common->output && !strcmp(s->common->output, "-");
}

tamis_status session_check_stream(const session *s, tamis_error *err)
{
    if (!session_streams(s) || !s->common->json) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG,
                "--json does not go with -o -: both would write to standard output");
}

/* --- inputs and outputs --------------------------------------------------------------------------- */

tamis_status session_add_input(session *s, const char *role, const char *path, tamis_error *err)
{
    if (!path) return TAMIS_OK;
    if (s->n_inputs == SESSION_MAX_INPUTS)
        return fail(err, TAMIS_ERR_ARG, "more than %d inputs", SESSION_MAX_INPUTS);
    s->input[s->n_inputs++] = (session_input){role, path};
    return TAMIS_OK;
}

/* The directory that holds `path` and the name in it; the directory is allocated. */
static char *split_path(const char *path, const char **ret_name)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    size_t slash = size;
    while (slash > 0 && path[slash - 1] != '/') slash--;
    *ret_name = path + slash;
    if (slash == 0) return strdup(".");
    return strndup(path, slash > 1 ? slash - 1 : 1);
}

static bool same_inode(const char *a, const char *b)
{
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* Also true for two spellings of a file that is not there yet, and for a file in the directory of
 * shards that `output` names. */
static bool same_place(const char *output, const char *other)
{
    const char *output_name, *other_name;
    struct stat st;
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return false;
    if (same_inode(output, other)) return true;
    char *output_parent = split_path(output, &output_name),
         *other_parent = split_path(other, &other_name);
    size_t size = strlen(output_name), other_size = strlen(other_name);
    while (size && output_name[size - 1] == '/') size--;
    while (other_size && other_name[other_size - 1] == '/') other_size--;
    bool same = output_parent && other_parent && size == other_size &&
                !memcmp(output_name, other_name, size) && same_inode(output_parent, other_parent);
    bool inside = other_parent && same_inode(output, other_parent);
    free(output_parent);
    free(other_parent);
    return same || inside;
}

static tamis_status check_directory(const char *path, tamis_error *err)
{
    const char *name;
    struct stat st;
    char *directory = split_path(path, &name);
    if (!directory) return fail_memory(err);
    tamis_status status = TAMIS_OK;
    if (stat(directory, &st))
        status = fail_errno(err, "cannot write '%s': directory '%s'", path, directory);
    else if (!S_ISDIR(st.st_mode))
        status = fail(err, TAMIS_ERR_IO, "cannot write '%s': '%s' is not a directory", path,
                      directory);
    else if (access(directory, W_OK | X_OK))
        status = fail_errno(err, "cannot write '%s'", path);
    free(directory);
    return status;
}

static tamis_status check_free(const session *s, const char *path, bool may_exist, tamis_error *err)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno != ENOENT) return fail_errno(err, "cannot write '%s'", path);
        return check_directory(path, err);
    }
    bool device = !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    if (device || may_exist || s->common->force) return TAMIS_OK;
    return fail(err, TAMIS_ERR_IO, "'%s' exists: use -f to overwrite it, or another name", path);
}

tamis_status session_add_output(session *s, const char *path, unsigned flags, tamis_error *err)
{
    if (!path) return TAMIS_OK;
    if (!strcmp(path, "-")) {
        if (flags & OUTPUT_STREAM) return TAMIS_OK;
        return fail(err, TAMIS_ERR_ARG, "this output cannot go to standard output: name a file");
    }
    for (size_t i = 0; i < s->n_inputs; i++)
        if (same_place(path, s->input[i].path))
            return fail(err, TAMIS_ERR_ARG,
                        "'%s' would overwrite its own input '%s': name another output", path,
                        s->input[i].path);
    for (size_t i = 0; i < s->n_outputs; i++)
        if (same_place(path, s->output[i]))
            return fail(err, TAMIS_ERR_ARG, "two outputs would be written to '%s': name another",
                        path);
    TRY(check_free(s, path, flags & OUTPUT_MAY_EXIST, err));
    if (s->n_outputs < SESSION_MAX_OUTPUTS) s->output[s->n_outputs++] = path;
    return TAMIS_OK;
}

tamis_status session_provenance(session *s, const char **ret_json, tamis_error *err)
{
    TRY(tamis_provenance_create(&s->provenance, err));
    TRY(invocation_record(s->invocation, s->provenance, err));
    for (size_t i = 0; i < s->n_inputs; i++)
        TRY(tamis_provenance_input(s->provenance, s->context, s->input[i].role, s->input[i].path,
                                   err));
    const char *text = tamis_provenance_json(s->provenance);
    if (!text) return fail_memory(err);
    *ret_json = text;
    return TAMIS_OK;
}
