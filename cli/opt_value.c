/* Values of options: from text into the args struct, and back into text.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "opt_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static bool bounded(const opt *option)
{
    return option->max > option->min;
}

void opt_range_text(const opt *option, char *buffer, size_t size)
{
    const char *what = "";
    *buffer = '\0';
    if (option->type == OPT_UINT) what = "a whole number";
    if (option->type == OPT_REAL) what = "a number";
    if (option->type == OPT_SIZE) what = "bytes, or a number with K, M, G or T";
    if (!*what) return;
    if (option->type == OPT_SIZE || !bounded(option))
        snprintf(buffer, size, "%s", what);
    else if (option->flags & OPT_ABOVE)
        snprintf(buffer, size,
                 isinf(option->max) ? "%s above %.10g" : "%s above %.10g, up to %.10g", what,
                 option->min, option->max);
    else if (isinf(option->max))
        snprintf(buffer, size, "%s, at least %.10g", what, option->min);
    else
        snprintf(buffer, size, "%s from %.10g to %.10g", what, option->min, option->max);
}

static tamis_status wrong(const opt *option, const char *value, const char *wanted,
                          tamis_error *err)
{
    return fail(err, TAMIS_ERR_ARG, "--%s '%s' is not valid: %s is wanted", option->name, value,
                wanted);
}

static tamis_status out_of_range(const opt *option, const char *value, tamis_error *err)
{
    char wanted[160];
    opt_range_text(option, wanted, sizeof wanted);
    return wrong(option, value, wanted, err);
}

/* Decimal digits only: strtoull() would take spaces, signs and wrap negative numbers round. */
static bool parse_uint(const char *text, uint64_t *ret_value)
{
    if (!*text || strspn(text, "0123456789") != strlen(text)) return false;
    errno = 0;
    *ret_value = strtoull(text, NULL, 10);
    return errno == 0;
}

/* A finite decimal number; strtod() alone would take hexadecimal, "inf" and "nan". */
static bool parse_real(const char *text, size_t size, double *ret_value)
{
    char *end;
    if (size == 0 || strspn(text, "0123456789+-.eE") < size) return false;
    *ret_value = strtod(text, &end);
    return end == text + size && isfinite(*ret_value);
}

static bool in_bounds(const opt *option, double value)
{
    if (!bounded(option)) return true;
    if (value > option->max || value < option->min) return false;
    return !((option->flags & OPT_ABOVE) && value <= option->min);
}

static tamis_status set_uint(const opt *option, void *field, const char *value, tamis_error *err)
{
    uint64_t number;
    if (!parse_uint(value, &number) || !in_bounds(option, (double)number))
        return out_of_range(option, value, err);
    memcpy(field, &number, sizeof number);
    return TAMIS_OK;
}

static tamis_status set_real(const opt *option, void *field, const char *value, tamis_error *err)
{
    double number;
    if (!parse_real(value, strlen(value), &number) || !in_bounds(option, number))
        return out_of_range(option, value, err);
    memcpy(field, &number, sizeof number);
    return TAMIS_OK;
}

static tamis_status set_size(const opt *option, void *field, const char *value, tamis_error *err)
{
    static const char suffixes[] = "KMGT";
    double number;
    size_t size = strlen(value), power = 0;
    for (size_t i = 0; size && suffixes[i]; i++)
        if ((value[size - 1] & ~0x20) == suffixes[i]) power = i + 1;
    if (power) size--;
    if (!parse_real(value, size, &number)) return out_of_range(option, value, err);
    number = ldexp(number, (int)(10 * power));
    if (!(number >= 1) || number >= 0x1p63 || !in_bounds(option, number))
        return out_of_range(option, value, err);
    uint64_t bytes = (uint64_t)number;
    memcpy(field, &bytes, sizeof bytes);
    return TAMIS_OK;
}

static tamis_status set_choice(const opt *option, void *field, const char *value, tamis_error *err)
{
    char wanted[256] = "one of";
    size_t n = 0;
    for (; option->choices[n]; n++) {
        if (!strcmp(option->choices[n], value)) {
            int index = (int)n;
            memcpy(field, &index, sizeof index);
            return TAMIS_OK;
        }
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s", n ? ", " : " ", option->choices[n]);
    }
    const char *near = tamis_suggest(value, option->choices, n);
    if (near)
        return fail(err, TAMIS_ERR_ARG, "--%s '%s' is not known: did you mean '%s'?", option->name,
                    value, near);
    return wrong(option, value, wanted, err);
}

tamis_status opt_set(const opt *option, void *args, const char *value, tamis_error *err)
{
    static const bool yes = true;
    void *field = (char *)args + option->at;
    switch (option->type) {
    case OPT_FLAG: memcpy(field, &yes, sizeof yes); return TAMIS_OK;
    case OPT_STRING:
        if (!*value)
            return fail(err, TAMIS_ERR_ARG, "option '--%s' has an empty value", option->name);
        memcpy(field, &value, sizeof value);
        return TAMIS_OK;
    case OPT_CHOICE: return set_choice(option, field, value, err);
    case OPT_UINT: return set_uint(option, field, value, err);
    case OPT_SIZE: return set_size(option, field, value, err);
    case OPT_REAL: return set_real(option, field, value, err);
    case OPT_CALL: return option->set(args, value, err);
    case OPT_LIST: break;
    }
    return TAMIS_OK;
}

/* --- back into text --------------------------------------------------------------------------- */

field_value opt_get(const opt *option, const void *args)
{
    static const size_t sizes[] = {
        [OPT_FLAG] = sizeof(bool),
        [OPT_STRING] = sizeof(char *),
        [OPT_CHOICE] = sizeof(int),
        [OPT_UINT] = sizeof(uint64_t),
        [OPT_SIZE] = sizeof(uint64_t),
        [OPT_REAL] = sizeof(double),
        [OPT_LIST] = 0,
        [OPT_CALL] = 0,
    };
    field_value value = {0};
    memcpy(&value, (const char *)args + option->at, sizes[option->type]);
    return value;
}

bool opt_default_text(const opt *option, const void *defaults, char *buffer, size_t size)
{
    *buffer = '\0';
    if (option->fallback) {
        snprintf(buffer, size, "%s", option->fallback);
        return true;
    }
    if (option->type == OPT_FLAG || option->type == OPT_LIST || option->type == OPT_CALL ||
        option->flags & OPT_REQUIRED)
        return false;
    field_value value = {0};
    if (defaults) value = opt_get(option, defaults);
    switch (option->type) {
    case OPT_STRING: snprintf(buffer, size, "%s", value.text ? value.text : ""); break;
    case OPT_CHOICE:
        snprintf(buffer, size, "%s", value.index < 0 ? "" : option->choices[value.index]);
        break;
    case OPT_UINT:
    case OPT_SIZE: snprintf(buffer, size, "%" PRIu64, value.count); break;
    case OPT_REAL:
        if (!isnan(value.real)) snprintf(buffer, size, "%.10g", value.real);
        break;
    case OPT_FLAG:
    case OPT_LIST:
    case OPT_CALL: break;
    }
    return *buffer != '\0';
}
