/* Scores by token: a row for each token of the training examples.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/token_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { ID_SIZE = 4096, NUMBER_SIZE = 24 };

/* Bytes of all ids with their ends. */
static uint64_t text_bytes(const tamis_store *store, const uint64_t *offset, uint64_t rows)
{
    char id[ID_SIZE];
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < rows; i++) {
        tamis_store_id(store, i, id, sizeof id);
        bytes += (offset[i + 1] - offset[i]) * (strlen(id) + NUMBER_SIZE);
    }
    return bytes;
}

/* A text of a file has at most 4,095 bytes, so a long id may lose its end. */
static void write_ids(tamis__token_rows *t, const tamis_store *store, const uint64_t *offset,
                      uint64_t rows)
{
    char id[ID_SIZE], *at = t->text;
    enum { ROOM = ID_SIZE + NUMBER_SIZE };
    for (uint64_t i = 0; i < rows; i++) {
        tamis_store_id(store, i, id, sizeof id - NUMBER_SIZE);
        for (uint64_t token = offset[i]; token < offset[i + 1]; token++) {
            t->id[token] = at;
            at += snprintf(at, ROOM, "%s:%llu", id, (unsigned long long)(token - offset[i])) + 1;
        }
    }
}

tamis_status tamis__token_rows_init(tamis__token_rows *ret_rows, tamis_store *store,
                                    uint32_t checkpoint, tamis_error *err)
{
    const uint64_t *offset = NULL, rows = tamis_store_info_get(store)->rows;
    TAMIS_TRY(tamis_store_tokens(store, checkpoint, &offset, err));
    tamis__token_rows t = {.rows = offset[rows]};
    if (t.rows == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': no example has a token",
                           tamis_store_path(store));
    uint64_t bytes = text_bytes(store, offset, rows);
    t.id = tamis__calloc(t.rows, sizeof *t.id);
    t.text = tamis__malloc(bytes, 1);
    if (!t.id || !t.text) {
        tamis__token_rows_fini(&t);
        return tamis__fail_memory(err, "ids of tokens", bytes);
    }
    write_ids(&t, store, offset, rows);
    t.examples.id_text = t.id;
    *ret_rows = t;
    return TAMIS_OK;
}

void tamis__token_rows_fini(tamis__token_rows *rows)
{
    free(rows->id);
    free(rows->text);
    *rows = (tamis__token_rows){0};
}
