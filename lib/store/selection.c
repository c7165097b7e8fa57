/* Selections in memory.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/selection.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/columns.h"

static bool allocate(tamis_selection *s, uint64_t rows)
{
    size_t n = (size_t)rows;
    s->keep = tamis__calloc(n, sizeof *s->keep);
    s->rank = tamis__calloc(n, sizeof *s->rank);
    s->score = tamis__calloc(n, sizeof *s->score);
    s->weight = tamis__calloc(n, sizeof *s->weight);
    s->reason = tamis__calloc(n, sizeof *s->reason);
    return s->keep && s->rank && s->score && s->weight && s->reason;
}

tamis_status tamis_selection_create(tamis_selection **ret_selection, uint64_t rows,
                                    const tamis_examples *examples, tamis_error *err)
{
    if (rows == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "a selection of no rows: at least one is needed");
    tamis_selection *selection = tamis__calloc(1, sizeof *selection);
    if (!selection) return tamis__fail_memory(err, "a selection", sizeof *selection);
    selection->rows = rows;
    tamis_status status = allocate(selection, rows)
                              ? tamis__examples_copy(&selection->examples, examples, rows, err)
                              : tamis__fail_memory(err, "a selection", rows * 19);
    if (status == TAMIS_OK)
        *ret_selection = selection;
    else
        tamis_selection_free(&selection);
    return status;
}

void tamis_selection_free(tamis_selection **selection)
{
    if (!selection || !*selection) return;
    tamis_selection *s = *selection;
    free(s->keep);
    free(s->rank);
    free(s->score);
    free(s->weight);
    free(s->reason);
    for (uint32_t i = 0; i < s->reasons; i++) free(s->reason_text[i]);
    free(s->reason_text);
    tamis__examples_fini(&s->examples);
    free(s->selector);
    free(s->provenance);
    free(s);
    *selection = NULL;
}

/* The table's room is the next power of two, so that it need not be stored. */
static bool grow(tamis_selection *selection)
{
    uint32_t n = selection->reasons;
    if (n & (n - 1)) return true;
    char **grown = tamis__realloc(selection->reason_text, n ? 2 * (size_t)n : 1, sizeof *grown);
    if (grown) selection->reason_text = grown;
    return grown != NULL;
}

tamis_status tamis_selection_reason(tamis_selection *selection, const char *text,
                                    uint16_t *ret_index, tamis_error *err)
{
    if (selection->reasons >= UINT16_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a selection holds at most 65,535 different reasons");
    char *copy = grow(selection) ? tamis__strdup(text) : NULL;
    if (!copy) return tamis__fail_memory(err, "a reason", strlen(text));
    selection->reason_text[selection->reasons] = copy;
    *ret_index = (uint16_t)selection->reasons++;
    return TAMIS_OK;
}
