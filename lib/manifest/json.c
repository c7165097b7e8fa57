/* A JSON array of records: the kept elements, one a line.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__filter_records(job, TAMIS__LAYOUT_ARRAY, TAMIS__RECORDS_JSONL, NULL, result, err);
}

const tamis__manifest_class tamis__manifest_json = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "json",
             .summary = "a JSON array of records, the kept elements byte for byte",
             .extensions = ".json .json.gz .json.zst",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL},
    .write = write_records,
};
