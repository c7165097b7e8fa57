/* The HDF5 file driver that this project writes with.
 *
 * HDF5 1.10 does not survive a write that fails while it closes an object: the object is freed and
 * its id stays, and the program crashes at exit. So this driver never fails a write. It keeps the
 * first error, drops what comes after it, and the writer asks here before it believes a file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_H5_DRIVER_H
#define TAMIS_STORE_H5_DRIVER_H

#include <hdf5.h>

/* Where the bytes go. The owner opens and closes `fd`. */
typedef struct tamis__h5_sink {
    int fd;
    int error; /* errno of the first write that failed; 0 = none */
} tamis__h5_sink;

/* Make a file access list write through a sink, which must outlive the file. Negative on failure.
 * Inside tamis__h5_enter() / tamis__h5_leave(). */
herr_t tamis__h5_driver_set(hid_t access_list, tamis__h5_sink *sink);

#endif
