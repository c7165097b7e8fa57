/* What the inspections of the file kinds share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_INSPECTION_H
#define TAMIS_STORE_INSPECTION_H

#include <stdbool.h>
#include <tamis/inspect.h>
#include <tamis/store.h>

/* --- facts ------------------------------------------------------------------------------------ */

/* Add a fact; the key is copied. */
tamis_status tamis__fact_text(tamis_inspection *inspection, const char *key, tamis_error *err,
                              const char *format, ...) TAMIS_PRINTF(4, 5);
tamis_status tamis__fact_count(tamis_inspection *inspection, const char *key, uint64_t value,
                               tamis_error *err);
/* Text when the value is not finite: JSON has no such numbers. */
tamis_status tamis__fact_real(tamis_inspection *inspection, const char *key, double value,
                              tamis_error *err);

/* The layers and checkpoints of a store or model, one fact each. */
tamis_status tamis__fact_layers(tamis_inspection *inspection, const tamis_layer *layer,
                                uint32_t layers, tamis_error *err);
tamis_status tamis__fact_checkpoints(tamis_inspection *inspection,
                                     const tamis_checkpoint *checkpoint, uint32_t checkpoints,
                                     tamis_error *err);

/* --- findings --------------------------------------------------------------------------------- */

/* Add a finding. `key` is a constant; `count` rows (or whatever is counted) are concerned. */
tamis_status tamis__finding(tamis_inspection *inspection, bool severe, const char *key,
                            uint64_t count, tamis_error *err, const char *format, ...)
    TAMIS_PRINTF(6, 7);

/* How many rows a finding is about, and the first of them. */
#define TAMIS__NAMED_ROWS 5
typedef struct tamis__culprits {
    uint64_t count;
    uint64_t first[TAMIS__NAMED_ROWS];
} tamis__culprits;

/* Rows come in ascending order. */
static inline void tamis__culprit(tamis__culprits *culprits, uint64_t row)
{
    if (culprits->count < TAMIS__NAMED_ROWS) culprits->first[culprits->count] = row;
    culprits->count++;
}

/* "<what>: 3 rows (5, 7, 9)" as a finding; nothing when there are none. `unit` is "row" or "query".
 */
tamis_status tamis__finding_rows(tamis_inspection *inspection, bool severe, const char *key,
                                 const tamis__culprits *culprits, const char *unit,
                                 const char *what, tamis_error *err);

/* Rows whose key stands at an earlier row too: "<what>: 2 rows (7 as 3, 9 as 3)". Rows whose `skip`
 * flag is set are passed over; skip NULL = none. */
tamis_status tamis__finding_repeats(tamis_inspection *inspection, bool severe,
                                    const char *finding_key, const uint64_t *key, const bool *skip,
                                    uint64_t rows, const char *unit, const char *what,
                                    tamis_error *err);

/* Ids that repeat; nothing when ids are row numbers. */
tamis_status tamis__finding_ids(tamis_inspection *inspection, const tamis_examples *examples,
                                uint64_t rows, const char *unit, tamis_error *err);

/* --- kinds ------------------------------------------------------------------------------------ */

/* Bytes of a file, or of the shards in a directory. Errors: IO. */
tamis_status tamis__path_size(const char *path, uint64_t *ret_size, tamis_error *err);

/* Each fills in facts, findings and provenance. */
tamis_status tamis__inspect_store(tamis_inspection *inspection, tamis_context *context,
                                  const char *path, bool quick, tamis_error *err);
tamis_status tamis__inspect_scores(tamis_inspection *inspection, tamis_context *context,
                                   const char *path, bool quick, tamis_error *err);
tamis_status tamis__inspect_selection(tamis_inspection *inspection, tamis_context *context,
                                      const char *path, bool quick, tamis_error *err);
tamis_status tamis__inspect_curvature(tamis_inspection *inspection, tamis_context *context,
                                      const char *path, bool quick, tamis_error *err);
tamis_status tamis__inspect_model(tamis_inspection *inspection, tamis_context *context,
                                  const char *path, bool quick, tamis_error *err);

#endif
