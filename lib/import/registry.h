/* The data formats of this build.
 *
 * A new format is one file that defines `const tamis__reader_class tamis__reader_<name>`, its
 * name in the list below and its file in meson.build.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_REGISTRY_H
#define TAMIS_IMPORT_REGISTRY_H

#include "import/table.h"

typedef struct tamis__reader_class {
    const char *name;
    const char *extensions; /* with their dots, space-separated; each also with .gz behind it */
    /* Told by the first bytes of a file whose name does not tell; NULL = cannot be told. */
    bool (*recognise)(const unsigned char *bytes, size_t size);
    /* Fill the table, start() to the last row, from table->source. */
    tamis_status (*read)(tamis__table *table, tamis_error *err);
    bool has_columns; /* `id`, `group` and `ignore` mean something */
} tamis__reader_class;

/* clang-format off */
/* In the order in which first bytes are looked at: JSON Lines last, since a '{' is little to go
 * by. */
#define TAMIS__READERS(X) \
    X(npy) \
    X(idx) \
    X(safetensors) \
    X(csv) \
    X(tsv) \
    X(jsonl)
/* clang-format on */

#define TAMIS__DECLARE_READER(name) extern const tamis__reader_class tamis__reader_##name;
TAMIS__READERS(TAMIS__DECLARE_READER)
#undef TAMIS__DECLARE_READER

/* Labels of the rows from a .npy or IDX file. */
tamis_status tamis__labels_read(tamis__table *table, const char *path, tamis_error *err);

/* ARG when options name columns of a format that has none. */
tamis_status tamis__binary_options_check(const tamis__table *table, const char *format,
                                         tamis_error *err);

/* A comma-separated list of names, quoted as in CSV where a name holds a comma; NULL gives an empty
 * list. `option` names it in messages. Errors: ARG (a name twice, a quote not closed), NOMEM. */
tamis_status tamis__name_list(tamis__strings *ret_list, const char *text, const char *option,
                              tamis_error *err);

/* The list of options->feature_name. Errors: ARG (a name twice), NOMEM. */
tamis_status tamis__feature_list(tamis__strings *ret_list, const tamis_data_options *options,
                                 tamis_error *err);

/* A name of that list which the file lacks is wrong in the file, not in what the user asked for:
 * ARG becomes FORMAT. */
tamis_status tamis__feature_missing(tamis_status status, tamis_error *err);

/* The position of a name, or -1. */
ptrdiff_t tamis__name_index(const tamis__strings *list, const char *name);

/* ARG saying that there is no such column (or key, `what`), with the nearest one. */
tamis_status tamis__no_such_name(const tamis__strings *list, const char *path, const char *what,
                                 const char *name, tamis_error *err);

#endif
