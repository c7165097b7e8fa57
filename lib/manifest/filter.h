/* Copying the records of a text file to one of two outputs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_FILTER_H
#define TAMIS_MANIFEST_FILTER_H

#include "import/records.h"
#include "manifest/registry.h"

/* One pass over the records of job->input: kept ones to job->kept, the others to job->dropped, byte
 * for byte; byte order mark and header to both. An output that is NULL is not written: with neither
 * of them the records are only compared with the selection. Errors: SHAPE (another number of
 * records than the selection has rows), FORMAT (a record's digest differs, an unclosed quote),
 * UNSUPPORTED (compressed), IO, CANCELLED. */
tamis_status tamis__filter_records(const tamis__manifest_job *job, tamis__records_kind kind,
                                   tamis_manifest_result *result, tamis_error *err);

/* The same, where no name says what the records are: their kind is told from the first bytes.
 * Errors also: UNSUPPORTED (not text). */
tamis_status tamis__filter_by_content(const tamis__manifest_job *job, tamis_manifest_result *result,
                                      tamis_error *err);

#endif
