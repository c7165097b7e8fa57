/* Option tables: one description of a command's words drives parsing, help, man pages, completions
 * and provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_OPT_H
#define TAMIS_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/tamis.h>

#define LEN(array) (sizeof(array) / sizeof *(array))

/* The type of the field that the option fills in. */
typedef enum opt_type {
    OPT_FLAG,   /* bool, set to true */
    OPT_STRING, /* const char *, NULL = not given; points into argv */
    OPT_CHOICE, /* int, index into `choices`, -1 = not given */
    OPT_UINT,   /* uint64_t in [min, max] */
    OPT_SIZE,   /* uint64_t bytes in [min, max]; suffixes K M G T are powers of 1024 */
    OPT_REAL,   /* double in [min, max], NaN = not given; OPT_ABOVE: min itself is excluded */
    OPT_LIST,   /* opt_list: the option may be repeated */
    OPT_CALL /* `set` is called with the args struct, in the order of the words; may be repeated */
} opt_type;

enum {
    OPT_NEUTRAL = 1u << 0,  /* does not change the result: left out of provenance */
    OPT_REQUIRED = 1u << 1, /* a usage error when absent */
    OPT_FILE = 1u << 2,     /* completes to file names */
    OPT_ABOVE = 1u << 3,    /* `min` is excluded */
    OPT_ADVANCED = 1u << 4  /* left out of -h, shown by --help and the man page */
};

/* The i-th of a set of names known only to the library (scorers, formats); NULL past the end. */
typedef const char *(*opt_name_fn)(size_t i, const char **ret_summary);

/* The parameters of the i-th of those names. */
typedef const tamis_param_desc *(*opt_params_fn)(size_t i, size_t *ret_n);

typedef tamis_status (*opt_set_fn)(void *args, const char *value, tamis_error *err);

/* Every repeat of an OPT_LIST option or of an operand. */
typedef struct opt_list {
    const char *const *item;
    size_t n;
} opt_list;

/* One option. Tables are const and static; `at` is offsetof() in the command's args struct. */
typedef struct opt {
    char letter;       /* short form, 0 = none */
    const char *name;  /* long form without the dashes */
    const char *value; /* name of the value in help ("FILE"); NULL for flags */
    const char *help;  /* one line, lower case, no full stop */
    opt_type type;
    size_t at;
    unsigned flags;             /* OPT_NEUTRAL ... */
    double min, max;            /* UINT, SIZE, REAL; both 0 = no bounds */
    const char *const *choices; /* CHOICE: names ended by NULL */
    opt_name_fn name_at;        /* STRING: names for help and completion */
    opt_set_fn set;             /* CALL */
    const char *fallback;       /* the default in words; NULL = taken from the command's defaults */
    const char *more;           /* further sentences for --help and the man page; NULL = none */
    const char *section;        /* starts a section of the help with this title; NULL = goes on */
} opt;

/* One positional argument. */
typedef struct operand {
    const char *name;  /* "SCORER" */
    const char *help;  /* one line */
    unsigned min, max; /* how many; max > 1 fills an opt_list, else a const char * */
    size_t at;
    opt_name_fn name_at;     /* names for help and completion, NULL = none */
    opt_params_fn params_at; /* what may follow a name after ':', NULL = nothing */
    bool strict;             /* only those names are accepted */
    bool file;               /* completes to file names */
} operand;

struct command;

/* What the user wrote: the option with its last value, or each value where it may be repeated. */
typedef struct opt_given {
    const opt *option;
    const char *value; /* NULL for flags */
} opt_given;

/* A parsed command line. */
typedef struct invocation {
    const struct command *cmd;
    void *args; /* the command's args struct, defaults filled in */
    opt_given *given;
    size_t n_given;
    const char **operand; /* in order */
    size_t n_operands;
    const char **pool; /* what opt_lists point to */
    int help;          /* 0, 'h' (short) or 'H' (complete): nothing else was checked */
} invocation;

/* Parse the words after the command's name. Errors: ARG, with one line that says what to write;
 * NOMEM. Free with invocation_free(), after a failure too. */
tamis_status invocation_parse(invocation *ret_invocation, const struct command *cmd, int argc,
                              char **argv, tamis_error *err);
void invocation_free(invocation *invocation);

/* Was this option written by the user? */
bool invocation_has(const invocation *invocation, const char *name);

/* Record the command line and the options in force, neutral ones left out. */
tamis_status invocation_record(const invocation *invocation, tamis_provenance *provenance,
                               tamis_error *err);

/* The default of an option as text for help; false when there is none to show. */
bool opt_default_text(const opt *option, const void *defaults, char *buffer, size_t size);

/* "a whole number from 1 to 64": what a value of this option may be; empty for texts. */
void opt_range_text(const opt *option, char *buffer, size_t size);

#endif
