/* --form: rows in full, as their factors, or projected.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_FORM_ARG_H
#define TAMIS_CLI_FORM_ARG_H

#include <tamis/tamis.h>

/* "full" and "factors" give *ret_projected = false; "projected:K[,kind=sparse|rademacher]
 * [,nonzeros=S]" fills in the projection. Errors: ARG. */
tamis_status form_parse(const char *text, uint64_t seed, tamis_form *ret_form, bool *ret_projected,
                        tamis_projection *ret_projection, tamis_error *err);

#endif
