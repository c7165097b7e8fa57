/* Index lists: the numbers of the kept rows, ascending or in the order asked for, as text or as
 * an int64 array.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/lists.h"

static tamis_status write_index(void *state, const tamis__manifest_job *job,
                                tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_rows(job, NULL, tamis__list_number, result, err);
}

const tamis__manifest_class tamis__manifest_index = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "index",
             .summary = "numbers of the kept rows, one a line, ascending",
             .extensions = ".txt .index",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_index,
};

static tamis_status write_index_npy(void *state, const tamis__manifest_job *job,
                                    tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_rows(job, "<i8", tamis__list_int64, result, err);
}

const tamis__manifest_class tamis__manifest_index_npy = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "index-npy",
             .summary = "numbers of the kept rows, ascending, as an int64 .npy array",
             .extensions = ".npy",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_index_npy,
};
