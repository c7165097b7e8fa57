/* Ids of rows: numbers where all are, else texts.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* A number whose decimal form is this text, so that nothing is lost in keeping the number. */
static bool is_canonical(const char *text, size_t size, uint64_t *ret_number)
{
    if (size == 0 || text[0] < '0' || text[0] > '9' || (text[0] == '0' && size > 1)) return false;
    return tamis__parse_uint64(text, size, ret_number);
}

/* The first id that is no number: those before it become the texts they were. */
static tamis_status become_text(tamis__ids *ids, tamis_error *err)
{
    char text[TAMIS__NUMBER_SIZE];
    for (size_t i = 0; i < ids->count; i++) {
        int size = snprintf(text, sizeof text, "%" PRIu64, ids->number[i]);
        TAMIS_TRY(tamis__strings_add(&ids->text, text, (size_t)size, err));
    }
    free(ids->number);
    ids->number = NULL;
    ids->is_text = true;
    return TAMIS_OK;
}

tamis_status tamis__ids_add(tamis__ids *ids, const char *text, size_t size, tamis_error *err)
{
    uint64_t number = 0;
    TAMIS_TRY(tamis__text_check(text, size, "the id", err));
    if (!ids->is_text && !is_canonical(text, size, &number)) TAMIS_TRY(become_text(ids, err));
    if (ids->is_text) {
        TAMIS_TRY(tamis__strings_add(&ids->text, text, size, err));
        ids->count++;
        return TAMIS_OK;
    }
    if (ids->count == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 1024;
        uint64_t *grown = tamis__realloc(ids->number, room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "ids", room * sizeof *grown);
        ids->number = grown;
        ids->room = room;
    }
    ids->number[ids->count++] = number;
    return TAMIS_OK;
}

tamis_status tamis__ids_take(tamis__ids *ids, uint64_t **ret_number, char ***ret_text,
                             tamis_error *err)
{
    char **text = NULL;
    if (ids->is_text && !(text = tamis__strings_block(&ids->text, NULL)))
        return tamis__fail_memory(err, "ids", ids->text.used);
    *ret_number = ids->number;
    *ret_text = text;
    ids->number = NULL;
    tamis__ids_fini(ids);
    return TAMIS_OK;
}

void tamis__ids_fini(tamis__ids *ids)
{
    free(ids->number);
    tamis__strings_fini(&ids->text);
    *ids = (tamis__ids){0};
}
