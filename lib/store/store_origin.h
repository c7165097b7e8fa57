/* What the rows of a store are of, and how they came to be: function, direction, labels,
 * projection, whitening.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_ORIGIN_H
#define TAMIS_STORE_STORE_ORIGIN_H

#include <tamis/store.h>

#include "store/h5.h"
#include "store/store_whitening.h"

typedef struct tamis__store_origin {
    char *function, *direction; /* NULL = not said */
    tamis_projection projection;
    char *kind; /* of projection, which it points to; NULL = not projected */
    char *text; /* the projection as JSON; NULL in a writer's copy */
    tamis__store_whitening whitening;
    char *labels; /* NULL = not said */
    uint64_t label_seed;
    uint32_t rows_per_example; /* at least 1 */
} tamis__store_origin;

/* A spec's part of it, copied. Errors: ARG (an empty text, a projection without a kind), NOMEM. */
tamis_status tamis__store_origin_copy(tamis__store_origin *ret_origin, const tamis_store_spec *spec,
                                      tamis_error *err);

/* A file's. Errors: FORMAT, NOMEM. */
tamis_status tamis__store_origin_read(tamis__store_origin *ret_origin, const tamis__h5 *h5,
                                      tamis_error *err);

tamis_status tamis__store_origin_write(const tamis__store_origin *origin, const tamis__h5 *h5,
                                       tamis_error *err);

/* "another projection", "another whitening", "another function", "another direction", "labels of
 * another kind"; NULL when they are the same. */
const char *tamis__store_origin_difference(const tamis__store_origin *a,
                                           const tamis__store_origin *b);

/* Accepts a zeroed struct. */
void tamis__store_origin_fini(tamis__store_origin *origin);

#endif
