/* Parameter tables.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/param.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"

#define MAX_WORD 63

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

static bool same_letter(const char *a, const char *b)
{
    return strncasecmp(a, b, 1) == 0;
}

/* Damerau-Levenshtein distance with adjacent transpositions, case ignored. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][MAX_WORD + 2], na = strlen(a), nb = strlen(b);
    if (na > MAX_WORD || nb > MAX_WORD) return SIZE_MAX;
    size_t *two = rows[0], *one = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) one[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t differ = !same_letter(a + i - 1, b + j - 1);
            now[j] = smallest(one[j] + 1, now[j - 1] + 1, one[j - 1] + differ);
            bool swapped = i > 1 && j > 1 && same_letter(a + i - 1, b + j - 2) &&
                           same_letter(a + i - 2, b + j - 1);
            if (swapped && two[j - 2] + 1 < now[j]) now[j] = two[j - 2] + 1;
        }
        size_t *oldest = two;
        two = one;
        one = now;
        now = oldest;
    }
    return one[nb];
}

const char *tamis_suggest(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        if (!candidates[i]) continue;
        size_t distance = edit_distance(word, candidates[i]);
        bool prefix = strlen(word) >= 3 && strncasecmp(word, candidates[i], strlen(word)) == 0;
        if (prefix && distance > 1) distance = 1;
        if (distance < best_distance || (distance == best_distance && !best)) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

static tamis_status wrong(const tamis_param_desc *desc, const char *owner, const char *text,
                          const char *wanted, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_ARG, "%s: %s=%s is not valid: %s", owner, desc->name, text,
                       wanted);
}

static tamis_status parse_number(const tamis_param_desc *desc, const char *owner, const char *text,
                                 tamis_param_value *ret_value, tamis_error *err)
{
    char wanted[160];
    bool whole = desc->type == TAMIS_PARAM_INTEGER;
    double value;
    snprintf(wanted, sizeof wanted, "%s from %g to %g is wanted",
             whole ? "a whole number" : "a number", desc->min, desc->max);
    if (!tamis__parse_double(text, strlen(text), &value) || !isfinite(value) || value < desc->min ||
        value > desc->max || (whole && floor(value) != value))
        return wrong(desc, owner, text, wanted, err);
    ret_value->number = value;
    return TAMIS_OK;
}

static tamis_status parse_boolean(const tamis_param_desc *desc, const char *owner, const char *text,
                                  tamis_param_value *ret_value, tamis_error *err)
{
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            ret_value->number = (double)(i % 2);
            return TAMIS_OK;
        }
    return wrong(desc, owner, text, "true or false is wanted", err);
}

static tamis_status parse_choice(const tamis_param_desc *desc, const char *owner, const char *text,
                                 tamis_param_value *ret_value, tamis_error *err)
{
    char wanted[256] = "one of";
    for (size_t i = 0; desc->choices[i]; i++) {
        if (!strcmp(text, desc->choices[i])) {
            ret_value->number = (double)i;
            snprintf(ret_value->text, sizeof ret_value->text, "%s", text);
            return TAMIS_OK;
        }
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s", i ? ", " : " ", desc->choices[i]);
    }
    return wrong(desc, owner, text, wanted, err);
}

tamis_status tamis_param_parse_value(const tamis_param_desc *desc, const char *owner,
                                     const char *text, tamis_param_value *ret_value,
                                     tamis_error *err)
{
    ret_value->given = 1;
    switch (desc->type) {
    case TAMIS_PARAM_BOOLEAN: return parse_boolean(desc, owner, text, ret_value, err);
    case TAMIS_PARAM_CHOICE: return parse_choice(desc, owner, text, ret_value, err);
    case TAMIS_PARAM_STRING:
        if (strlen(text) >= sizeof ret_value->text)
            return wrong(desc, owner, text, "the text is too long", err);
        strcpy(ret_value->text, text);
        return TAMIS_OK;
    case TAMIS_PARAM_REAL:
    case TAMIS_PARAM_INTEGER: break;
    }
    return parse_number(desc, owner, text, ret_value, err);
}

static void set_fallback(const tamis_param_desc *desc, tamis_param_value *value)
{
    *value = (tamis_param_value){.number = desc->fallback};
    const char *text = desc->fallback_text;
    if (desc->type == TAMIS_PARAM_CHOICE) text = desc->choices[(size_t)desc->fallback];
    snprintf(value->text, sizeof value->text, "%s", text ? text : "");
}

static tamis_status unknown(const tamis_param_desc *table, size_t n, const char *owner,
                            const char *name, tamis_error *err)
{
    const char *names[64];
    if (n == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s takes no parameters, so not '%s'", owner, name);
    if (n > 64) n = 64;
    for (size_t i = 0; i < n; i++) names[i] = table[i].name;
    const char *near = tamis_suggest(name, names, n);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s has no parameter '%s': did you mean '%s'?",
                           owner, name, near);
    char list[256] = "";
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    return tamis__fail(err, TAMIS_ERR_ARG, "%s has no parameter '%s': it has %s", owner, name,
                       list);
}

static tamis_status parse_pair(const tamis_param_desc *table, size_t n, const char *owner,
                               char *pair, tamis_param_value *values, tamis_error *err)
{
    char *equals = strchr(pair, '=');
    if (equals) *equals = '\0';
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pair, table[i].name)) continue;
        if (values[i].given)
            return tamis__fail(err, TAMIS_ERR_ARG, "%s: parameter '%s' is given twice", owner,
                               pair);
        if (!equals && table[i].type != TAMIS_PARAM_BOOLEAN)
            return tamis__fail(err, TAMIS_ERR_ARG, "%s: parameter '%s' needs a value: %s=...",
                               owner, pair, pair);
        return tamis_param_parse_value(&table[i], owner, equals ? equals + 1 : "true", &values[i],
                                       err);
    }
    return unknown(table, n, owner, pair, err);
}

tamis_status tamis_params_parse(const tamis_param_desc *table, size_t n, const char *owner,
                                const char *text, tamis_param_value *ret_values, tamis_error *err)
{
    for (size_t i = 0; i < n; i++) set_fallback(&table[i], &ret_values[i]);
    while (text && *text) {
        char pair[TAMIS_PARAM_TEXT_SIZE + 64];
        size_t size = strcspn(text, ",");
        if (size >= sizeof pair)
            return tamis__fail(err, TAMIS_ERR_ARG, "%s: a parameter is longer than %zu bytes",
                               owner, sizeof pair - 1);
        memcpy(pair, text, size);
        pair[size] = '\0';
        TAMIS_TRY(parse_pair(table, n, owner, pair, ret_values, err));
        text += size;
        if (*text == ',') text++;
    }
    return TAMIS_OK;
}
