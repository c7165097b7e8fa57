/* The version of the HDF5 library, for who must not include hdf5.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_VERSION_H
#define TAMIS_STORE_VERSION_H

/* Version of the library in use, "1.10.8". */
const char *tamis__h5_version(void);

#endif
