/* How the rows of a store were whitened.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_WHITENING_H
#define TAMIS_STORE_STORE_WHITENING_H

#include <tamis/store.h>

#include "store/h5.h"

typedef struct tamis__store_whitening {
    tamis_whitening by;
    char *kind; /* of `by`, which points to it; NULL = not whitened */
    char *text; /* as JSON; NULL in a writer's copy */
} tamis__store_whitening;

/* A spec's, copied; NULL = not whitened. Errors: ARG (no kind, numbers that make no sense),
 * NOMEM. */
tamis_status tamis__store_whitening_copy(tamis__store_whitening *ret_whitening,
                                         const tamis_whitening *by, const char *path,
                                         tamis_error *err);

/* A file's. Errors: FORMAT, NOMEM. */
tamis_status tamis__store_whitening_read(tamis__store_whitening *ret_whitening, const tamis__h5 *h5,
                                         tamis_error *err);

tamis_status tamis__store_whitening_write(const tamis__store_whitening *whitening,
                                          const tamis__h5 *h5, tamis_error *err);

bool tamis__store_whitening_same(const tamis__store_whitening *a, const tamis__store_whitening *b);

/* Accepts a zeroed struct. */
void tamis__store_whitening_fini(tamis__store_whitening *whitening);

#endif
