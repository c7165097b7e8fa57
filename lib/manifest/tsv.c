/* TSV: the kept records and the header.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__filter_records(job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_TSV, NULL, result, err);
}

const tamis__manifest_class tamis__manifest_tsv = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "tsv",
             .summary = "tab-separated records with a header, byte for byte",
             .extensions = ".tsv .tsv.gz .tsv.zst",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL},
    .write = write_records,
};
