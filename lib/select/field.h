/* A field of text records, as numbers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_FIELD_H
#define TAMIS_SELECT_FIELD_H

#include <stdbool.h>

#include "import/records.h"
#include "import/source.h"
#include "select/find_id.h"

/* By the name's ending, without .gz; false when it is none of CSV, TSV and JSON Lines. */
bool tamis__field_kind(const char *path, tamis__records_kind *ret_kind);

/* The field of each record: NaN where it is empty, null or missing. ret_value [*ret_rows], free
 * with free(). Errors: FORMAT (no such field in the header or any record, a value that is no
 * number, broken JSON, a record of other fields than the header's: names the line), NOMEM. */
tamis_status tamis__field_numbers(const tamis__source *source, tamis__records_kind kind,
                                  const char *field, double **ret_value, uint64_t *ret_rows,
                                  tamis_error *err);

/* The field of the record that has a candidate's id in the field `id_field`, for each of ids->rows
 * candidates; other records are passed over. `value` is the caller's. Errors: as above, and FORMAT
 * (no such field, an id that is neither text nor whole number or that stands there twice: names the
 * line; a candidate that no record has: names its id). */
tamis_status tamis__field_join(const tamis__source *source, tamis__records_kind kind,
                               const char *field, const char *id_field, tamis__id_finder *ids,
                               double *value, tamis_error *err);

#endif
