/* What the user wrote, as provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "opt_value.h"

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

/* Does the option have its default value, written or not? */
static bool is_default(const invocation *inv, const opt *option)
{
    field_value value = opt_get(option, inv->args), usual;
    if (!inv->cmd->defaults) return false;
    usual = opt_get(option, inv->cmd->defaults);
    switch (option->type) {
    case OPT_FLAG: return value.flag == usual.flag;
    case OPT_STRING: return value.text && usual.text && !strcmp(value.text, usual.text);
    case OPT_CHOICE: return value.index == usual.index;
    case OPT_UINT:
    case OPT_SIZE: return value.count == usual.count;
    case OPT_REAL:
        return !(value.real < usual.real || value.real > usual.real) && !isnan(usual.real);
    case OPT_LIST:
    case OPT_CALL: break;
    }
    return false;
}

static bool repeats(const opt *option)
{
    return option->type == OPT_LIST || option->type == OPT_CALL;
}

static void add_option(text *t, const opt_given *given)
{
    add(t, " --", 3);
    add(t, given->option->name, strlen(given->option->name));
    if (given->value) add_word(t, given->value);
}

/* The same command written in another order, or with a default spelled out, is recorded the same:
 * options in the order of the table, those that may be repeated after them as they stood. */
static tamis_status record_command(const invocation *inv, tamis_provenance *provenance,
                                   tamis_error *err)
{
    text t = {0};
    const opt *option;
    add(&t, "tamis", 5);
    add_word(&t, inv->cmd->name);
    for (size_t i = 0; i < inv->n_operands; i++) add_word(&t, inv->operand[i]);
    for (size_t k = 0; (option = command_option(inv->cmd, k)); k++) {
        const opt_given *last = NULL;
        if ((option->flags & OPT_NEUTRAL) || repeats(option) || is_default(inv, option)) continue;
        for (size_t i = 0; i < inv->n_given; i++)
            if (inv->given[i].option == option) last = &inv->given[i];
        if (last) add_option(&t, last);
    }
    for (size_t i = 0; i < inv->n_given; i++)
        if (repeats(inv->given[i].option) && !(inv->given[i].option->flags & OPT_NEUTRAL))
            add_option(&t, &inv->given[i]);
    tamis_status status = t.failed ? fail_memory(err)
                                   : tamis_provenance_command(provenance, t.at, err);
    free(t.at);
    return status;
}

/* Every value of a repeated option, a comma between them. */
static tamis_status record_repeated(const invocation *inv, const opt *option,
                                    tamis_provenance *provenance, tamis_error *err)
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

static tamis_status record_option(const invocation *inv, const opt *option,
                                  tamis_provenance *provenance, tamis_error *err)
{
    char digits[24];
    field_value value = opt_get(option, inv->args);
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

/* Single operands, under their name in lower case ("scorer"); inputs are recorded as inputs. */
static tamis_status record_operands(const invocation *inv, tamis_provenance *provenance,
                                    tamis_error *err)
{
    for (size_t i = 0; i < inv->cmd->n_operands && i < inv->n_operands; i++) {
        const operand *o = &inv->cmd->operands[i];
        char name[32] = "";
        if (o->file || o->max != 1) continue;
        for (size_t k = 0; o->name[k] && k + 1 < sizeof name; k++)
            name[k] = (char)tolower((unsigned char)o->name[k]);
        TRY(tamis_provenance_text(provenance, name, inv->operand[i], err));
    }
    return TAMIS_OK;
}

tamis_status invocation_record(const invocation *inv, tamis_provenance *provenance,
                               tamis_error *err)
{
    const opt *option;
    TRY(record_command(inv, provenance, err));
    TRY(record_operands(inv, provenance, err));
    for (size_t i = 0; (option = command_option(inv->cmd, i)); i++)
        if (!(option->flags & OPT_NEUTRAL)) TRY(record_option(inv, option, provenance, err));
    return TAMIS_OK;
}
