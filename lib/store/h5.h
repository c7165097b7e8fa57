/* HDF5 as this project uses it. The only room that includes hdf5.h; other rooms may include this
 * header's last function only through version.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_H5_H
#define TAMIS_STORE_H5_H

/* Version of the library in use at run time, "1.10.8". */
const char *tamis__h5_version(void);

#endif
