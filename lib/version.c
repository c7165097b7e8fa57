/* Version and build of the library.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/version.h>

#include <gsl/gsl_version.h>

#include "base/context.h"
#include "linalg/blas.h"
#include "store/version.h"

const char *tamis_version(void)
{
    return TAMIS_VERSION;
}

void tamis_build_info_get(tamis_build_info *ret_info)
{
    *ret_info = (tamis_build_info)
    {
#if defined(__clang__)
        .compiler = "clang " __clang_version__,
#else
        .compiler = "gcc " __VERSION__,
#endif
        .hdf5 = tamis__h5_version(), .blas = tamis__blas_config(),
        .blas_threading = tamis__blas_threading(), .gsl = gsl_version, .cpu = tamis__cpu_detect(),
    };
}
