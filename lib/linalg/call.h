/* Around every BLAS and LAPACK call: sizes that fit, and one thread where that was asked for.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_LINALG_CALL_H
#define TAMIS_LINALG_CALL_H

#include <cblas.h>
#include <stdbool.h>
#include <stddef.h>

/* False when this BLAS cannot count that far. */
bool tamis__blas_size(size_t size, blasint *ret_size);

/* Within tamis__blas_begin() the calls between these run on the calling thread alone. Returns what
 * _leave_call() needs. */
int tamis__blas_enter_call(void);
void tamis__blas_leave_call(int threads);

#endif
