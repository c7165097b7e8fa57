/* What lists of rows share: their bytes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_LISTS_H
#define TAMIS_MANIFEST_LISTS_H

#include "manifest/registry.h"

/* What stands in a list for one row. */
typedef struct tamis__list_item {
    unsigned char bytes[40];
    size_t size;
} tamis__list_item;

/* A number and a line feed. */
tamis__list_item tamis__list_number(uint64_t number);
/* The same as an int64, little-endian. */
tamis__list_item tamis__list_int64(uint64_t number);

/* Every part in its order: rows that go to it, repeats counted, each by item(row). With `npy`, a
 * .npy header of that type before them. */
tamis_status tamis__list_rows(const tamis__manifest_job *job, const char *npy,
                              tamis__list_item (*item)(uint64_t row), tamis_manifest_result *result,
                              tamis_error *err);

/* One item for each of all rows, in their order, in every part. `repeats`: items tell them; else
 * they are refused. */
tamis_status tamis__list_all(const tamis__manifest_job *job, const char *npy, bool repeats,
                             tamis__list_item (*item)(const tamis__manifest_job *job, size_t part,
                                                      uint64_t row),
                             tamis_manifest_result *result, tamis_error *err);

#endif
