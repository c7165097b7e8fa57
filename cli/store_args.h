/* The options of commands that write a gradient store, and their report.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_STORE_ARGS_H
#define TAMIS_CLI_STORE_ARGS_H

#include "report.h"
#include "session.h"

typedef struct store_args {
    int dtype; /* tamis_dtype */
    uint64_t shard_rows;
    bool resume;
} store_args;

extern const char *const store_dtype_names[];

/* Rows of an option table; `base` is the offset of the store_args in the command's args struct. */
#define STORE_OPTIONS(base)                                                                        \
    {.name = "dtype",                                                                              \
     .value = "TYPE",                                                                              \
     .help = "how numbers are stored",                                                             \
     .type = OPT_CHOICE,                                                                           \
     .at = (base) + offsetof(store_args, dtype),                                                   \
     .choices = store_dtype_names,                                                                 \
     .more =                                                                                       \
         "All but f32 round every value; norms are kept as they were before. i8 has one scale "    \
         "for each row."},                                                                         \
        STORE_PLACE_OPTIONS(base)

/* Those that say where it is stored. */
#define STORE_PLACE_OPTIONS(base)                                                                  \
    {.name = "shard-rows",                                                                         \
     .value = "N",                                                                                 \
     .help = "make the output a directory of files with N rows each; 0 = one file",                \
     .type = OPT_UINT,                                                                             \
     .at = (base) + offsetof(store_args, shard_rows),                                              \
     .flags = OPT_NEUTRAL,                                                                         \
     .min = 0,                                                                                     \
     .max = 1e15,                                                                                  \
     .more = "Readers treat a file and a directory alike. Rounded up to whole blocks of rows."},   \
    {                                                                                              \
        .name = "resume", .help = "keep whole files of an earlier run and go on after them",       \
        .type = OPT_FLAG, .at = (base) + offsetof(store_args, resume), .flags = OPT_NEUTRAL        \
    }

/* For session_add_output(). */
unsigned store_output_flags(const store_args *args);

/* Describe the store that was just written to the session's output; more may be added to the report
 * before report_end(). */
tamis_status store_report_begin(session *s, report *ret_report, tamis_error *err);

/* The same and nothing more. */
tamis_status store_report(session *s, tamis_error *err);

#endif
