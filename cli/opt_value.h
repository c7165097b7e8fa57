/* Values of options: from text into the args struct, and back into text.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_OPT_VALUE_H
#define TAMIS_CLI_OPT_VALUE_H

#include "fail.h"
#include "opt.h"

/* Store a value; `value` is NULL for flags. Errors: ARG, saying what is wanted. */
tamis_status opt_set(const opt *option, void *args, const char *value, tamis_error *err);

/* The value of a field; read the member that goes with the option's type. */
typedef union field_value {
    bool flag;
    int index;
    uint64_t count;
    double real;
    const char *text;
} field_value;

field_value opt_get(const opt *option, const void *args);

#endif
