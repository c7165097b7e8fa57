/* Masks: for every candidate whether it is kept, as text or as a boolean array.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "import/npy.h"
#include "manifest/registry.h"

static tamis_status write_flags(const tamis__manifest_job *job, tamis__output *output, bool text,
                                bool kept, tamis_error *err)
{
    if (!output) return TAMIS_OK;
    for (uint64_t row = 0; row < job->selection->rows; row++) {
        bool on = (job->selection->keep[row] != 0) == kept;
        const char flag[2] = {(char)(on + (text ? '0' : 0)), '\n'};
        TAMIS_TRY(tamis__output_write(output, flag, text ? 2 : 1, err));
    }
    return TAMIS_OK;
}

/* The mask of the dropped rows is the complement. */
static tamis_status write_both(const tamis__manifest_job *job, bool text,
                               tamis_manifest_result *result, tamis_error *err)
{
    TAMIS_TRY(write_flags(job, job->kept, text, true, err));
    TAMIS_TRY(write_flags(job, job->dropped, text, false, err));
    result->records = job->selection->rows;
    return TAMIS_OK;
}

static tamis_status write_mask(const tamis__manifest_job *job, tamis_manifest_result *result,
                               tamis_error *err)
{
    return write_both(job, true, result, err);
}

static tamis_status write_mask_npy(const tamis__manifest_job *job, tamis_manifest_result *result,
                                   tamis_error *err)
{
    TAMIS_TRY(tamis__npy_write_header(job->kept, "|b1", 1, &job->selection->rows, err));
    if (job->dropped)
        TAMIS_TRY(tamis__npy_write_header(job->dropped, "|b1", 1, &job->selection->rows, err));
    return write_both(job, false, result, err);
}

const tamis__manifest_class tamis__manifest_mask = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "mask",
             .summary = "one line for every row: 1 = kept, 0 = dropped",
             .extensions = ".mask"},
    .write = write_mask,
};

const tamis__manifest_class tamis__manifest_mask_npy = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "mask-npy",
             .summary = "one boolean for every row, as a .npy array",
             .extensions = ""},
    .write = write_mask_npy,
};
