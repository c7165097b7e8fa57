/* Masks: for every candidate whether it is kept, as text or as a boolean array.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/lists.h"

static tamis__list_item flag(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    return (tamis__list_item){.bytes = {job->plan->part[row] == part}, .size = 1};
}

static tamis__list_item flag_line(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    unsigned char digit = job->plan->part[row] == part ? '1' : '0';
    return (tamis__list_item){.bytes = {digit, '\n'}, .size = 2};
}

static tamis_status write_mask(void *state, const tamis__manifest_job *job,
                               tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_all(job, NULL, false, flag_line, result, err);
}

const tamis__manifest_class tamis__manifest_mask = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "mask",
             .summary = "one line for every row: 1 = kept, 0 = dropped",
             .extensions = ".mask",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_mask,
};

static tamis_status write_mask_npy(void *state, const tamis__manifest_job *job,
                                   tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_all(job, "|b1", false, flag, result, err);
}

const tamis__manifest_class tamis__manifest_mask_npy = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "mask-npy",
             .summary = "one boolean for every row, as a .npy array",
             .extensions = "",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_mask_npy,
};
