/* Scores by token: a row for each token of the training examples.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_TOKEN_ROWS_H
#define TAMIS_SCORE_TOKEN_ROWS_H

#include <tamis/store.h>

typedef struct tamis__token_rows {
    uint64_t rows;           /* tokens of all examples */
    tamis_examples examples; /* ids "EXAMPLE:TOKEN", tokens counted from 0 within the example */
    const char **id;
    char *text;
} tamis__token_rows;

/* Errors: ARG (there is no token), NOMEM, those of tamis_store_tokens(). */
tamis_status tamis__token_rows_init(tamis__token_rows *ret_rows, tamis_store *store,
                                    uint32_t checkpoint, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__token_rows_fini(tamis__token_rows *rows);

#endif
