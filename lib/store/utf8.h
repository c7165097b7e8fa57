/* UTF-8: told from other bytes, and made of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_UTF8_H
#define TAMIS_STORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed sequence at the start of text[0 .. size), size > 0; 0 when there is none
 * (overlong forms, surrogates and values above U+10FFFF are not well formed). */
size_t tamis__utf8_sequence(const char *text, size_t size);

/* A copy with every ill-formed byte replaced by U+FFFD. NULL when out of memory. Freed with free().
 */
char *tamis__utf8_repair(const char *text);

/* Texts copied into one block: pointers first, then the bytes. NULL when out of memory. */
char **tamis__texts_copy(const char *const *texts, uint64_t n);

#endif
