/* One run of one command: its context, progress, inputs and provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "paths.h"
#include "signals.h"

/* --- what the library calls ------------------------------------------------------------------- */

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

/* --- life ------------------------------------------------------------------------------------- */

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
    free(s->input);
    free(s->output);
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

/* --- inputs and outputs ----------------------------------------------------------------------- */

/* Room for one more, doubled whenever it is a power of two. */
static tamis_status enlarge(void **array, size_t n, size_t size, tamis_error *err)
{
    if (n & (n - 1)) return TAMIS_OK;
    void *grown = realloc(*array, (n ? 2 * n : 1) * size);
    if (!grown) return fail_memory(err);
    *array = grown;
    return TAMIS_OK;
}

tamis_status session_add_input(session *s, const char *role, const char *path, tamis_error *err)
{
    if (!path) return TAMIS_OK;
    void *array = s->input;
    TRY(enlarge(&array, s->n_inputs, sizeof *s->input, err));
    s->input = array;
    s->input[s->n_inputs++] = (session_input){role, path};
    return TAMIS_OK;
}

static tamis_status check_free(const session *s, const char *path, bool may_exist, tamis_error *err)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno != ENOENT) return fail_errno(err, "cannot write '%s'", path);
        return paths_check_directory(path, err);
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
        if (paths_collide(path, s->input[i].path))
            return fail(err, TAMIS_ERR_ARG,
                        "'%s' would overwrite its own input '%s': name another output", path,
                        s->input[i].path);
    for (size_t i = 0; i < s->n_outputs; i++)
        if (paths_collide(path, s->output[i]) || paths_collide(s->output[i], path))
            return fail(err, TAMIS_ERR_ARG,
                        "two outputs, '%s' and '%s', would overwrite each other: name another",
                        s->output[i], path);
    TRY(check_free(s, path, flags & OUTPUT_MAY_EXIST, err));
    void *array = s->output;
    TRY(enlarge(&array, s->n_outputs, sizeof *s->output, err));
    s->output = array;
    s->output[s->n_outputs++] = path;
    return TAMIS_OK;
}

/* --- provenance ------------------------------------------------------------------------------ */

static tamis_status begin_provenance(session *s, tamis_error *err)
{
    if (s->provenance) return TAMIS_OK;
    TRY(tamis_provenance_create(&s->provenance, err));
    return invocation_record(s->invocation, s->provenance, err);
}

tamis_status session_note_text(session *s, const char *name, const char *value, tamis_error *err)
{
    TRY(begin_provenance(s, err));
    return tamis_provenance_text(s->provenance, name, value, err);
}

tamis_status session_note_number(session *s, const char *name, double value, tamis_error *err)
{
    TRY(begin_provenance(s, err));
    return tamis_provenance_number(s->provenance, name, value, err);
}

tamis_status session_provenance(session *s, const char **ret_json, tamis_error *err)
{
    TRY(begin_provenance(s, err));
    for (size_t i = 0; i < s->n_inputs; i++)
        TRY(tamis_provenance_input(s->provenance, s->context, s->input[i].role, s->input[i].path,
                                   err));
    const char *text = tamis_provenance_json(s->provenance);
    if (!text) return fail_memory(err);
    *ret_json = text;
    return TAMIS_OK;
}
