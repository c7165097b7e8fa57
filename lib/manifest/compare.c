/* Comparing samples with a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* Bytes of a key that a message shows. */
#define SHOWN 100

static bool is_same(const tamis__compare *c, const void *bytes, size_t size)
{
    uint64_t wanted = c->job->check_digests ? c->job->selection->examples.digest[c->rows] : 0;
    return wanted == 0 || tamis__digest(bytes, size) == wanted;
}

static bool is_id(const tamis__compare *c, const char *key, size_t size)
{
    const char *wanted = c->job->selection->examples.id_text[c->rows];
    return strlen(wanted) == size && !memcmp(wanted, key, size);
}

static void note(tamis__compare *c, const char *key, size_t key_size, const char *path,
                 uint64_t number)
{
    c->differs = true;
    c->row = c->rows;
    c->path = path;
    c->number = number;
    c->found = key ? tamis__malloc(TAMIS__SHOWN_SIZE(SHOWN), 1) : NULL;
    if (c->found) tamis__show(c->found, TAMIS__SHOWN_SIZE(SHOWN), key, key_size);
}

bool tamis__compare_key(tamis__compare *c, const char *key, size_t key_size, const void *bytes,
                        size_t size, const char *path, uint64_t number)
{
    bool here = !c->differs && c->rows < c->job->selection->rows;
    if (here && key && !is_id(c, key, key_size))
        note(c, key, key_size, path, number);
    else if (here && !is_same(c, bytes, size))
        note(c, NULL, 0, path, number);
    c->rows++;
    return here && !c->differs;
}

bool tamis__compare_sample(tamis__compare *c, const void *bytes, size_t size, const char *path,
                           uint64_t number)
{
    return tamis__compare_key(c, NULL, 0, bytes, size, path, number);
}

/* "", or ", id 'x'". */
static const char *id_of(const tamis__compare *c, char *text, size_t room)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    const tamis_examples *e = &c->job->selection->examples;
    *text = '\0';
    if (e->id_text) {
        tamis__show(shown, sizeof shown, e->id_text[c->row], strlen(e->id_text[c->row]));
        snprintf(text, room, ", id '%s'", shown);
    } else if (e->id_number) {
        snprintf(text, room, ", id %" PRIu64, e->id_number[c->row]);
    }
    return text;
}

tamis_status tamis__compare_end(tamis__compare *c, const char *what, tamis_error *err)
{
    char id[TAMIS__SHOWN_SIZE(SHOWN) + 16], place[96] = "";
    uint64_t rows = c->job->selection->rows;
    if (c->differs)
        snprintf(place, sizeof place, " (the first that differs is row %" PRIu64 ")", c->row);
    if (c->rows != rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s'%s %" PRIu64 " %s, the selection %" PRIu64
                           " candidates%s: give what the gradients were made from",
                           c->job->params->input[0],
                           c->job->params->inputs > 1 ? " and the inputs after it have" : " has",
                           c->rows, what, rows, place);
    if (!c->differs) return TAMIS_OK;
    if (c->found)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': row %" PRIu64 "%s is sample %" PRIu64
                           " there, whose key is '%s': "
                           "it was changed or reordered; give what the gradients were made from",
                           c->path, c->row, id_of(c, id, sizeof id), c->number, c->found);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': sample %" PRIu64 " is not row %" PRIu64 "%s as it was selected from "
                       "(its digest differs): it was changed or reordered; give what the gradients "
                       "were made from",
                       c->path, c->number, c->row, id_of(c, id, sizeof id));
}

void tamis__compare_fini(tamis__compare *c)
{
    free(c->found);
    c->found = NULL;
}
