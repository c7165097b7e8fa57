/* Weights: for every candidate how much it counts, 0 = dropped, as a float32 array; or how often it
 * is to be repeated.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/text.h"
#include "manifest/lists.h"

static float weight_of(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    if (job->plan->part[row] != part) return 0;
    return job->plan->of[part].dropped ? 1.0f : job->selection->weight[row];
}

static tamis__list_item weight_text(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    char text[TAMIS__NUMBER_SIZE];
    tamis__list_item item = {.size = tamis__format_float(text, weight_of(job, part, row))};
    memcpy(item.bytes, text, item.size);
    item.bytes[item.size++] = '\n';
    return item;
}

static tamis__list_item weight(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    tamis__list_item item = {.size = sizeof(float)};
    float value = weight_of(job, part, row);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (unsigned i = 0; i < 4; i++) item.bytes[i] = (unsigned char)(bits >> (8 * i));
    return item;
}

static tamis__list_item count(const tamis__manifest_job *job, size_t part, uint64_t row)
{
    bool here = job->plan->part[row] == part;
    return tamis__list_number(here ? tamis__plan_times(job->plan, row) : 0);
}

static tamis_status write_counts(void *state, const tamis__manifest_job *job,
                                 tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_all(job, NULL, true, count, result, err);
}

const tamis__manifest_class tamis__manifest_counts = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "counts",
             .summary = "one line for every row: how often it is repeated, 0 = dropped",
             .extensions = ".counts",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_counts,
};

static tamis_status write_weights(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_all(job, NULL, false, weight_text, result, err);
}

const tamis__manifest_class tamis__manifest_weights = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "weights",
             .summary = "one line for every row: its weight, 0 = dropped",
             .extensions = ".weights",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_weights,
};

static tamis_status write_weights_npy(void *state, const tamis__manifest_job *job,
                                      tamis_manifest_result *result, tamis_error *err)
{
    (void)state;
    return tamis__list_all(job, "<f4", false, weight, result, err);
}

const tamis__manifest_class tamis__manifest_weights_npy = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "weights-npy",
             .summary = "one float32 for every row, its weight, as a .npy array",
             .extensions = "",
             .flags = TAMIS_MANIFEST_SEVERAL},
    .write = write_weights_npy,
};
