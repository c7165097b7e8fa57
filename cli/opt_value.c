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
        snprintf(buffer, size, isinf(option->max) ? "%s above %.10g" : "%s above %.10g, up to %.10g", what,
                 option->min, option->max);
    else if (isinf(option->max))
        snprintf(buffer, size, "%s, at least %.10g", what, option->min);
    else
        snprintf(buffer, size, "%s from %.10g to %.10g", what, option->min, option->max);
}

static tamis_status wrong(const opt *option, const char *value, const char *wanted, tamis_error *err)
{
    return fail(err, TAMIS_ERR_ARG, "--%s '%s' is not valid: %s is wanted", option->name, value, wanted);
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
        return fail(err, TAMIS_ERR_ARG, "--%s '%s' is not known: did you mean '%s'?", option->name, value, near);
    return wrong(option, value, wanted, err);
}

tamis_status opt_set(const opt *option, void *args, const char *value, tamis_error *err)
{
    static const bool yes = true;
    void *field = (char *)args + option->at;
    switch (option->type) {
    case OPT_FLAG: memcpy(field, &yes, sizeof yes); return TAMIS_OK;
    case OPT_STRING:
        if (!*value) return fail(err, TAMIS_ERR_ARG, "option '--%s' has an empty value", option->name);
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

typedef union field_value {
    bool flag;
    int index;
    uint64_t count;
    double real;
    const char *text;
} field_value;

static field_value load(const opt *option, const void *args)
{
    static const size_t sizes[] = {
        [OPT_FLAG] = sizeof(bool),     [OPT_STRING] = sizeof(char *), [OPT_CHOICE] = sizeof(int),
        [OPT_UINT] = sizeof(uint64_t), [OPT_SIZE] = sizeof(uint64_t), [OPT_REAL] = sizeof(double),
        [OPT_LIST] = 0,                [OPT_CALL] = 0,
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
    if (option->type == OPT_FLAG || option->type == OPT_LIST || option->type == OPT_CALL) return false;
    field_value value = {0};
    if (defaults)
        value = load(option, defaults);
    switch (option->type) {
    case OPT_STRING: snprintf(buffer, size, "%s", value.text ? value.text : ""); break;
    case OPT_CHOICE: snprintf(buffer, size, "%s", value.index < 0 ? "" : option->choices[value.index]); break;
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

/* --- provenance ------------------------------------------------------------------------------- */

/* Text that grows; `failed` once memory ran out. */
typedef struct text {
    char *at;
    size_t used, room;
    bool failed;
} text;

static void add(text *t, const char *bytes, size_t n)
{
    if (t->failed) return;
    if (n >= t->room - t->used) {
        size_t room = 2 * (t->used + n + 64);
        char *grown = realloc(t->at, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->at = grown;
        t->room = room;
    }
    memcpy(t->at + t->used, bytes, n);
    t->used += n;
    t->at[t->used] = '\0';
}

/* A word as a shell takes it: quoted where it must be. */
static void add_word(text *t, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_^";
    add(t, " ", 1);
    if (*word && strspn(word, plain) == strlen(word)) {
        add(t, word, strlen(word));
        return;
    }
    add(t, "'", 1);
    for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
        add(t, word, (size_t)(quote - word));
        add(t, "'\\''", 4);
    }
    add(t, word, strlen(word));
    add(t, "'", 1);
}

static tamis_status record_command(const invocation *inv, tamis_provenance *provenance, tamis_error *err)
{
    text t = {0};
    add(&t, "tamis", 5);
    add_word(&t, inv->cmd->name);
    for (size_t i = 0; i < inv->n_operands; i++) add_word(&t, inv->operand[i]);
    for (size_t i = 0; i < inv->n_given; i++) {
        const opt *option = inv->given[i].option;
        if (option->flags & OPT_NEUTRAL) continue;
        add(&t, " --", 3);
        add(&t, option->name, strlen(option->name));
        if (inv->given[i].value) add_word(&t, inv->given[i].value);
    }
    tamis_status status = t.failed ? fail_memory(err) : tamis_provenance_command(provenance, t.at, err);
    free(t.at);
    return status;
}

/* Every value of a repeated option, a comma between them. */
static tamis_status record_repeated(const invocation *inv, const opt *option, tamis_provenance *provenance,
                                    tamis_error *err)
{
    text t = {0};
    for (size_t i = 0; i < inv->n_given; i++) {
        if (inv->given[i].option != option) continue;
        if (t.used) add(&t, ",", 1);
        add(&t, inv->given[i].value, strlen(inv->given[i].value));
    }
    tamis_status status = TAMIS_OK;
    if (t.failed) status = fail_memory(err);
    if (t.at && !t.failed) status = tamis_provenance_text(provenance, option->name, t.at, err);
    free(t.at);
    return status;
}

static tamis_status record_option(const invocation *inv, const opt *option, tamis_provenance *provenance,
                                  tamis_error *err)
{
    char digits[24];
    field_value value = load(option, inv->args);
    switch (option->type) {
    case OPT_FLAG:
        return tamis_provenance_text(provenance, option->name, value.flag ? "true" : "false", err);
    case OPT_STRING:
        if (!value.text) return TAMIS_OK;
        return tamis_provenance_text(provenance, option->name, value.text, err);
    case OPT_CHOICE:
        if (value.index < 0) return TAMIS_OK;
        return tamis_provenance_text(provenance, option->name, option->choices[value.index], err);
    case OPT_UINT:
    case OPT_SIZE:
        /* A double holds every whole number up to 2^53; a larger seed goes in as text. */
        if (value.count <= UINT64_C(1) << 53)
            return tamis_provenance_number(provenance, option->name, (double)value.count, err);
        snprintf(digits, sizeof digits, "%" PRIu64, value.count);
        return tamis_provenance_text(provenance, option->name, digits, err);
    case OPT_REAL:
        if (isnan(value.real)) return TAMIS_OK;
        return tamis_provenance_number(provenance, option->name, value.real, err);
    case OPT_LIST:
    case OPT_CALL: break;
    }
    return record_repeated(inv, option, provenance, err);
}

tamis_status invocation_record(const invocation *inv, tamis_provenance *provenance, tamis_error *err)
{
    const opt *option;
    TRY(record_command(inv, provenance, err));
    for (size_t i = 0; (option = command_option(inv->cmd, i)); i++)
        if (!(option->flags & OPT_NEUTRAL)) TRY(record_option(inv, option, provenance, err));
    return TAMIS_OK;
}
