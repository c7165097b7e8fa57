/* Numbers as text, independent of the locale.
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

/* A decimal number filling text[0 .. size): optional sign, digits, fraction, exponent; also "nan",
 * "inf", "infinity" in any case. No spaces, no hexadecimal. Correctly rounded. False when it is
 * not a number. */
bool tamis__parse_double(const char *text, size_t size, double *ret_value);

/* A decimal integer filling text[0 .. size). False when it is none or does not fit. */
bool tamis__parse_int64(const char *text, size_t size, int64_t *ret_value);
bool tamis__parse_uint64(const char *text, size_t size, uint64_t *ret_value);

#endif
