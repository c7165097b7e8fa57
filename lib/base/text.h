/* Numbers as text, independent of the locale; bytes as text.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_TEXT_H
#define TAMIS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any number written by this file. */
#define TAMIS__NUMBER_SIZE 32

/* The shortest decimal that reads back to the same float; returns its length. "nan", "inf",
 * "-inf" for the others. */
size_t tamis__format_float(char buffer[TAMIS__NUMBER_SIZE], float value);

/* Same for double. */
size_t tamis__format_double(char buffer[TAMIS__NUMBER_SIZE], double value);

/* Room for what tamis__show() makes of `n` bytes. */
#define TAMIS__SHOWN_SIZE(n) (4 * (n) + 1)

/* Bytes of an input for a message, which is one line of text whatever they are: printable ASCII as
 * it is, all else as \xNN, no more than fits into buffer[0 .. room); returns the buffer. */
const char *tamis__show(char *buffer, size_t room, const char *text, size_t size);

/* A decimal number filling text[0 .. size): optional sign, digits, fraction, exponent; also "nan",
 * "inf", "infinity" in any case. No spaces, no hexadecimal. Correctly rounded. False when it is
 * not a number. */
bool tamis__parse_double(const char *text, size_t size, double *ret_value);

/* A decimal integer filling text[0 .. size). False when it is none or does not fit. */
bool tamis__parse_int64(const char *text, size_t size, int64_t *ret_value);
bool tamis__parse_uint64(const char *text, size_t size, uint64_t *ret_value);

#endif
