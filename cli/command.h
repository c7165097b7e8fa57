/* Sub-commands: one table row describes each of them completely.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_COMMAND_H
#define TAMIS_CLI_COMMAND_H

#include "opt.h"
#include "session.h"

/* Shared options. Every args struct starts with this as its first member, named `common`. */
typedef struct common_args {
    const char *output;
    uint64_t threads; /* 0 = all processors of the process */
    uint64_t memory;  /* 0 = the library's default */
    uint64_t seed;
    int progress; /* progress_style */
    bool json, quiet, force;
    bool limit_cpu;
    unsigned cpu_mask;
} common_args;

/* Which of the shared options a command takes; -h and --help are everywhere. */
enum {
    COMMON_OUTPUT = 1u << 0, /* -o, required */
    COMMON_FORCE = 1u << 1,
    COMMON_ENGINE = 1u << 2, /* --threads --memory --cpu --progress; the session has a context */
    COMMON_SEED = 1u << 3,
    COMMON_JSON = 1u << 4,
    COMMON_QUIET = 1u << 5,
    COMMON_WRITES = COMMON_OUTPUT | COMMON_FORCE | COMMON_ENGINE | COMMON_SEED | COMMON_JSON |
                    COMMON_QUIET,
    COMMON_READS = COMMON_ENGINE | COMMON_JSON | COMMON_QUIET
};

/* A sub-command. Const and static; listed once in commands.c. */
typedef struct command {
    const char *name;
    const char *group;       /* heading of the overview */
    const char *summary;     /* one line, lower case, no full stop */
    const char *synopsis;    /* the words after "tamis NAME" */
    const char *description; /* paragraphs parted by an empty line */
    const char *examples;    /* lines: "# what it does" then the command; NULL = none */
    const char *output;      /* name of -o's value ("SCORES.h5"); NULL = FILE */
    const opt *options;
    size_t n_options;
    const operand *operands;
    size_t n_operands;
    unsigned common;      /* COMMON_* */
    size_t args_size;     /* at least sizeof(common_args) */
    const void *defaults; /* an args struct; NULL = all zero */
    tamis_status (*run)(session *s, const void *args, tamis_error *err);
} command;

/* Exit codes; 128 + n when a signal ended the run. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,  /* input/output, memory */
    EXIT_USAGE = 2,   /* the command line is wrong */
    EXIT_DATA = 3,    /* an input's content is wrong */
    EXIT_NUMERIC = 4, /* not finite, or a computation broke down */
    EXIT_CHECK = 5    /* it ran, and the answer is no */
};

/* The i-th command in the order of the overview; NULL past the end. */
const command *command_at(size_t i);
const command *command_find(const char *name);
/* As opt_name_fn, for completion. */
const char *command_name_at(size_t i, const char **ret_summary);

/* The i-th option of a command: its own, then the shared ones it takes; NULL past the end. */
const opt *command_option(const command *cmd, size_t i);

/* Run one command: argv[0] is its name, the rest its words. Errors are printed as one line on
 * standard error. Returns the exit code; 128 + n when a signal asked to stop (the signal is not
 * re-raised: main() does that). May be called any number of times, and from a command's run():
 * "-q" among the words keeps standard output silent. */
int run_command(int argc, char **argv);

#endif
