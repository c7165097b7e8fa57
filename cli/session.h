/* One run of one command: its context, progress, inputs and provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_SESSION_H
#define TAMIS_CLI_SESSION_H

#include <stdbool.h>
#include <tamis/tamis.h>

#include "fail.h"
#include "opt.h"
#include "progress.h"

struct common_args;

typedef struct session_input {
    const char *role, *path;
} session_input;

typedef struct session {
    const struct command *cmd;
    const struct common_args *common;
    const invocation *invocation;
    tamis_context *context; /* NULL for commands without COMMON_ENGINE */
    progress progress;
    session_input *input; /* [n_inputs] */
    const char **output;  /* [n_outputs] */
    size_t n_inputs, n_outputs;
    tamis_provenance *provenance;
    double started; /* seconds() at the start */
} session;

tamis_status session_open(session *ret_session, const invocation *invocation, tamis_error *err);
void session_close(session *s);

/* Announce an input (a NULL path is ignored); nothing is read yet. */
tamis_status session_add_input(session *s, const char *role, const char *path, tamis_error *err);

enum {
    OUTPUT_MAY_EXIST = 1u << 0, /* --resume goes on with it */
    OUTPUT_STREAM = 1u << 1     /* "-" is standard output */
};

/* Announce an output after all inputs (a NULL path is ignored): refused when it is one of them or
 * another output, when it exists and -f was not given, when its directory is not there. So a long
 * run does not fail only at its end. */
tamis_status session_add_output(session *s, const char *path, unsigned flags, tamis_error *err);

/* Does the result go to standard output? */
bool session_streams(const session *s);

/* A usage error when it does and --json would go there too. */
tamis_status session_check_stream(const session *s, tamis_error *err);

/* Record the value of an option whose default depends on others. */
tamis_status session_note_text(session *s, const char *name, const char *value, tamis_error *err);
tamis_status session_note_number(session *s, const char *name, double value, tamis_error *err);

/* Digest the inputs and give the provenance as JSON text, valid until the session closes. */
tamis_status session_provenance(session *s, const char **ret_json, tamis_error *err);

/* Should results for people be printed on standard output? */
bool session_speaks(const session *s);

#endif
