/* Opening and creating datasets of any type: shared by the files that need raw HDF5 calls. All of
 * it inside tamis__h5_enter() / tamis__h5_leave().
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_H5_DATASET_H
#define TAMIS_STORE_H5_DATASET_H

#include "store/h5.h"

/* A contiguous dataset without times and fill values; columns = 0 means one dimension. */
tamis_status tamis__h5_dataset_create(const tamis__h5 *h5, const char *name, hid_t type,
                                      uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                      tamis_error *err);

/* Open a dataset of `rank` (1 or 2) dimensions, and its shape. */
tamis_status tamis__h5_dataset_open(const tamis__h5 *h5, const char *name, unsigned rank,
                                    uint64_t ret_shape[2], hid_t *ret_dataset, tamis_error *err);

/* Does the file have bytes enough for `values` values of `size` bytes? A header can say anything,
 * and what it says must not decide how much memory is asked for. */
tamis_status tamis__h5_dataset_backed(const tamis__h5 *h5, hid_t dataset, const char *name,
                                      uint64_t values, size_t size, tamis_error *err);

/* Read a part of a 2-D dataset as values of any type. */
tamis_status tamis__h5_dataset_read(const tamis__h5 *h5, hid_t dataset, hid_t type,
                                    const tamis__h5_part *part, void *values, tamis_error *err);

#endif
