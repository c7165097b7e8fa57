/* Many short texts in little memory: names of classes and groups, ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_TEXTS_H
#define TAMIS_IMPORT_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

/* Most bytes of an id or a name: what a gradient store keeps. */
#define TAMIS__TEXT_LIMIT 4095

/* --- a list --------------------------------------------------------------------------------- */

/* Texts one after another, each ended by a zero byte. Zero-initialise. */
typedef struct tamis__strings {
    char *bytes;
    size_t used, room;
    size_t *start; /* [count] */
    size_t count, slots;
} tamis__strings;

tamis_status tamis__strings_add(tamis__strings *strings, const char *text, size_t size,
                                tamis_error *err);
const char *tamis__strings_at(const tamis__strings *strings, size_t i);
/* An array of pointers with the texts behind it in the same allocation: one free() frees both.
 * `order` NULL = as added. NULL when out of memory. */
char **tamis__strings_block(const tamis__strings *strings, const uint32_t *order);
void tamis__strings_fini(tamis__strings *strings);

/* FORMAT unless the text is well-formed UTF-8 without zero bytes, not empty and not too long.
 * `what` starts the message ("the id"). */
tamis_status tamis__text_check(const char *text, size_t size, const char *what, tamis_error *err);

/* --- a set ---------------------------------------------------------------------------------- */

/* Distinct names, numbered as they come. Zero-initialise. */
typedef struct tamis__names {
    tamis__strings list;
    uint32_t *slot; /* [slots] index + 1, 0 = free */
    size_t slots;
} tamis__names;

/* The number of a name, -1 when it is not there. */
int32_t tamis__names_find(const tamis__names *names, const char *text, size_t size);
/* The number of a name, which is added when new. */
tamis_status tamis__names_add(tamis__names *names, const char *text, size_t size,
                              int32_t *ret_index, tamis_error *err);
/* Renumber in order (numerically when all are integers, else bytewise): every index[i] >= 0 of [n]
 * is replaced, and *ret_block is a block of the names in that order. */
tamis_status tamis__names_sort(const tamis__names *names, int32_t *index, uint64_t n,
                               char ***ret_block, tamis_error *err);
void tamis__names_fini(tamis__names *names);

/* --- ids ------------------------------------------------------------------------------------ */

/* Ids of rows: numbers as long as every one is a decimal number that reads back to the same text,
 * texts from the first that is not. Zero-initialise. */
typedef struct tamis__ids {
    uint64_t *number; /* [count] while `text` is not used */
    size_t count, room;
    bool is_text;
    tamis__strings text;
} tamis__ids;

tamis_status tamis__ids_add(tamis__ids *ids, const char *text, size_t size, tamis_error *err);
/* Hand the ids over: one of the two is set, the other NULL. */
tamis_status tamis__ids_take(tamis__ids *ids, uint64_t **ret_number, char ***ret_text,
                             tamis_error *err);
void tamis__ids_fini(tamis__ids *ids);

#endif
