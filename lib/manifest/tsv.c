/* TSV: as CSV, with tabs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

static tamis_status write_records(const tamis__manifest_job *job, tamis_manifest_result *result,
                                  tamis_error *err)
{
    return tamis__filter_records(job, TAMIS__RECORDS_TSV, result, err);
}

const tamis__manifest_class tamis__manifest_tsv = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "tsv",
             .summary = "tab-separated records with a header, byte for byte",
             .extensions = ".tsv .tab",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT},
    .write = write_records,
};
