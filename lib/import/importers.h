/* The formats that rows and scores are imported from.
 *
 * A new format is one file that defines `const tamis__importer_class tamis__importer_<name>`,
 * its name in the list below (alphabetical) and its file in meson.build.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_IMPORTERS_H
#define TAMIS_IMPORT_IMPORTERS_H

#include <tamis/import.h>

#include "import/matrix.h"

typedef struct tamis__importer_class {
    const char *name;
    const char *summary;
    tamis_status (*open_rows)(tamis__matrix *ret_matrix, const tamis_context *context,
                              const tamis_import_rows *rows, tamis_error *err);
    /* NULL: the format has no score matrices. */
    tamis_status (*open_scores)(tamis__matrix *ret_matrix, const tamis_context *context,
                                const char *path, tamis_error *err);
} tamis__importer_class;

/* clang-format off */
#define TAMIS__IMPORTERS(X) \
    X(npy) \
    X(safetensors)
/* clang-format on */

#define TAMIS__DECLARE_IMPORTER(name) extern const tamis__importer_class tamis__importer_##name;
TAMIS__IMPORTERS(TAMIS__DECLARE_IMPORTER)
#undef TAMIS__DECLARE_IMPORTER

tamis_status tamis__import_rows(tamis_context *context, const tamis__importer_class *importer,
                                const tamis_import_params *params, tamis_error *err);
tamis_status tamis__import_factors(tamis_context *context, const tamis__importer_class *importer,
                                   const tamis_import_params *params, tamis_error *err);
tamis_status tamis__import_scores(tamis_context *context, const tamis__importer_class *importer,
                                  const tamis_import_params *params, tamis_error *err);

/* Rows of `row_bytes` each to hold at a time: some 8 MiB, within a quarter of the memory limit. At
 * least 1. */
uint64_t tamis__import_block(const tamis_context *context, uint64_t row_bytes, uint64_t rows);

#endif
