/* CSV: the kept records and the header.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__filter_records(job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_CSV, NULL, result, err);
}

const tamis__manifest_class tamis__manifest_csv = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "csv",
             .summary = "comma-separated records with a header, byte for byte (RFC 4180)",
             .extensions = ".csv .csv.gz .csv.zst",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL},
    .write = write_records,
};
