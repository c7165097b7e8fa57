/* The options that say how labelled rows are read; shared by train and grad.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_DATA_ARGS_H
#define TAMIS_CLI_DATA_ARGS_H

#include "session.h"

typedef struct data_args {
    const char *path, *format, *label, *labels, *id, *group, *features, *ignore;
} data_args;

/* Rows of an option table; `base` is the offset of the data_args in the command's args struct. */
#define DATA_OPTIONS(base)                                                                         \
    {.name = "data",                                                                               \
     .value = "FILE",                                                                              \
     .help = "rows, one example each",                                                             \
     .type = OPT_STRING,                                                                           \
     .at = (base) + offsetof(data_args, path),                                                     \
     .flags = OPT_REQUIRED | OPT_FILE,                                                             \
     .section = "Data"},                                                                           \
        {.name = "data-format",                                                                    \
         .value = "FORMAT",                                                                        \
         .help = "format of the rows",                                                             \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(data_args, format),                                               \
         .name_at = names_data,                                                                    \
         .fallback = "by the file's name and first bytes"},                                        \
        {.name = "label",                                                                          \
         .value = "NAME",                                                                          \
         .help = "CSV column, JSON key or tensor of the class",                                    \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(data_args, label)},                                               \
        {.name = "id",                                                                             \
         .value = "NAME",                                                                          \
         .help = "CSV column or JSON key of an id",                                                \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(data_args, id),                                                   \
         .fallback = "the row number"},                                                            \
        {.name = "group",                                                                          \
         .value = "NAME",                                                                          \
         .help = "CSV column or JSON key of a group",                                              \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(data_args, group)},                                               \
        {.name = "features",                                                                       \
         .value = "NAMES",                                                                         \
         .help = "columns, keys or tensor that are the features",                                  \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(data_args, features),                                             \
         .fallback = "every column that is nothing else",                                          \
         .more = "Columns of CSV and keys of JSON are separated by commas; a single key of JSON "  \
                 "may hold an array."},                                                            \
    {                                                                                              \
        .name = "ignore", .value = "NAMES",                                                        \
        .help = "columns or keys that are not features, separated by commas", .type = OPT_STRING,  \
        .at = (base) + offsetof(data_args, ignore)                                                 \
    }

/* A usage error when nothing says where the classes are. */
tamis_status data_check_labels(const data_args *args, tamis_error *err);

/* Announce the inputs. */
tamis_status data_add_inputs(session *s, const data_args *args, tamis_error *err);

/* What rows must agree with: a model, or the rows one is trained on. */
typedef struct data_like {
    uint32_t classes;              /* when not 0 the class list is fixed */
    const char *const *class_name; /* NULL = 0 .. classes-1 */
    uint64_t features;
    const char *const *feature_name; /* taken by name unless --features is given; NULL = as they
                                        come */
} data_like;

/* Read; `like` may be NULL. */
tamis_status data_read(session *s, const data_args *args, const data_like *like,
                       tamis_data **ret_data, tamis_error *err);

/* Refuse rows that do not have the `wanted` features of what they are for, `whose`. Errors:
 * SHAPE. */
tamis_status data_check_columns(const data_args *args, const tamis_data *data, const char *whose,
                                uint64_t wanted, tamis_error *err);

#endif
