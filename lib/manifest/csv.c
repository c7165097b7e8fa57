/* CSV: the kept records and the header.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

static tamis_status write_records(const tamis__manifest_job *job, tamis_manifest_result *result,
                                  tamis_error *err)
{
    return tamis__filter_records(job, TAMIS__RECORDS_CSV, result, err);
}

const tamis__manifest_class tamis__manifest_csv = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "csv",
             .summary = "comma-separated records with a header, byte for byte (RFC 4180)",
             .extensions = ".csv",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT},
    .write = write_records,
};
