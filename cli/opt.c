/* Parsing of command lines against option tables.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "opt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "opt_value.h"

typedef struct parser {
    invocation *inv;
    int argc;
    char **argv;
    int at; /* the next word */
    tamis_error *err;
} parser;

/* --- finding -------------------------------------------------------------------------------- */

static const opt *find_long(const command *cmd, const char *name, size_t size)
{
    const opt *option;
    for (size_t i = 0; (option = command_option(cmd, i)); i++)
        if (strlen(option->name) == size && !memcmp(option->name, name, size)) return option;
    return NULL;
}

static const opt *find_letter(const command *cmd, char letter)
{
    const opt *option;
    for (size_t i = 0; (option = command_option(cmd, i)); i++)
        if (option->letter && option->letter == letter) return option;
    return NULL;
}

static tamis_status unknown_long(parser *p, const char *name, size_t size)
{
    const char *names[128];
    char word[128];
    size_t n = 0;
    const opt *option;
    snprintf(word, sizeof word, "%.*s", (int)(size < 100 ? size : 100), name);
    for (size_t i = 0; n + 1 < LEN(names) && (option = command_option(p->inv->cmd, i)); i++)
        names[n++] = option->name;
    names[n++] = "help";
    const char *near = tamis_suggest(word, names, n);
    if (near)
        return fail(p->err, TAMIS_ERR_ARG, "unknown option '--%s': did you mean '--%s'?", word,
                    near);
    return fail(p->err, TAMIS_ERR_ARG, "unknown option '--%s'", word);
}

/* --- recording ------------------------------------------------------------------------------ */

static bool repeats(const opt *option)
{
    return option->type == OPT_LIST || option->type == OPT_CALL;
}

/* Keep the order of the words; an option that does not repeat keeps its last value only. */
static void record(invocation *inv, const opt *option, const char *value)
{
    size_t kept = 0;
    for (size_t i = 0; i < inv->n_given; i++)
        if (repeats(option) || inv->given[i].option != option) inv->given[kept++] = inv->given[i];
    inv->given[kept++] = (opt_given){option, value};
    inv->n_given = kept;
}

static tamis_status take_option(parser *p, const opt *option, const char *value)
{
    record(p->inv, option, value);
    if (option->type == OPT_LIST) return TAMIS_OK;
    return opt_set(option, p->inv->args, value, p->err);
}

static tamis_status take_operand(parser *p, const char *word)
{
    const command *cmd = p->inv->cmd;
    size_t room = 0;
    for (size_t i = 0; i < cmd->n_operands; i++) room += cmd->operands[i].max;
    if (p->inv->n_operands < room) {
        p->inv->operand[p->inv->n_operands++] = word;
        return TAMIS_OK;
    }
    if (room == 0)
        return fail(p->err, TAMIS_ERR_ARG, "'%s' is not expected: only options are", word);
    return fail(p->err, TAMIS_ERR_ARG, "'%s' is one argument too many", word);
}

/* --- words ---------------------------------------------------------------------------------- */

/* The word after an option. One that starts with "--" is a forgotten value, not a value. */
static tamis_status next_value(parser *p, const opt *option, const char **ret_value)
{
    const char *word = p->at < p->argc ? p->argv[p->at] : NULL;
    if (!word || (word[0] == '-' && word[1] == '-'))
        return fail(p->err, TAMIS_ERR_ARG, "option '--%s' needs a value: --%s %s", option->name,
                    option->name, option->value);
    p->at++;
    *ret_value = word;
    return TAMIS_OK;
}

static tamis_status long_option(parser *p, const char *word)
{
    size_t size = strcspn(word, "=");
    const char *value = word[size] ? word + size + 1 : NULL;
    if (size == 4 && !memcmp(word, "help", 4)) {
        p->inv->help = 'H';
        return TAMIS_OK;
    }
    const opt *option = find_long(p->inv->cmd, word, size);
    if (!option) return unknown_long(p, word, size);
    if (option->type == OPT_FLAG && value)
        return fail(p->err, TAMIS_ERR_ARG, "option '--%s' takes no value", option->name);
    if (option->type != OPT_FLAG && !value) TRY(next_value(p, option, &value));
    return take_option(p, option, value);
}

static tamis_status short_options(parser *p, const char *letters)
{
    for (; *letters; letters++) {
        if (*letters == 'h') {
            p->inv->help = 'h';
            return TAMIS_OK;
        }
        const opt *option = find_letter(p->inv->cmd, *letters);
        if (!option) return fail(p->err, TAMIS_ERR_ARG, "unknown option '-%c'", *letters);
        if (option->type == OPT_FLAG) {
            TRY(take_option(p, option, NULL));
            continue;
        }
        const char *value = letters + 1;
        if (!*value) TRY(next_value(p, option, &value));
        return take_option(p, option, value);
    }
    return TAMIS_OK;
}

static tamis_status all_words(parser *p)
{
    bool options = true;
    while (p->at < p->argc && !p->inv->help) {
        const char *word = p->argv[p->at++];
        if (options && !strcmp(word, "--"))
            options = false;
        else if (options && word[0] == '-' && word[1] == '-')
            TRY(long_option(p, word + 2));
        else if (options && word[0] == '-' && word[1])
            TRY(short_options(p, word + 1));
        else
            TRY(take_operand(p, word));
    }
    return TAMIS_OK;
}

/* --- what is left to do after the words ------------------------------------------------------ */

static tamis_status check_name(const operand *o, const char *word, tamis_error *err)
{
    const char *names[64], *name;
    char list[256] = "";
    size_t n = 0;
    while (n < LEN(names) && (name = o->name_at(n, NULL))) {
        if (!strcmp(name, word)) return TAMIS_OK;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", name);
        names[n++] = name;
    }
    const char *near = tamis_suggest(word, names, n);
    if (near)
        return fail(err, TAMIS_ERR_ARG, "unknown %s '%s': did you mean '%s'?", o->name, word, near);
    return fail(err, TAMIS_ERR_ARG, "unknown %s '%s': one of %s is wanted", o->name, word, list);
}

static void set_list(invocation *inv, size_t at, const char *const *item, size_t n)
{
    opt_list list = {item, n};
    memcpy((char *)inv->args + at, &list, sizeof list);
}

/* Operands are dealt out from the left: each takes its maximum while the later ones' minimum is
 * left over. */
static tamis_status deal_operands(invocation *inv, tamis_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < inv->cmd->n_operands; i++) {
        const operand *o = &inv->cmd->operands[i];
        size_t later = 0, left = inv->n_operands - at;
        for (size_t j = i + 1; j < inv->cmd->n_operands; j++) later += inv->cmd->operands[j].min;
        size_t n = left > later ? left - later : 0;
        if (n > o->max) n = o->max;
        if (n < o->min) return fail(err, TAMIS_ERR_ARG, "%s is missing", o->name);
        for (size_t j = 0; o->strict && j < n; j++) TRY(check_name(o, inv->operand[at + j], err));
        if (o->max > 1)
            set_list(inv, o->at, inv->operand + at, n);
        else if (n)
            memcpy((char *)inv->args + o->at, &inv->operand[at], sizeof(const char *));
        at += n;
    }
    return TAMIS_OK;
}

static void gather_lists(invocation *inv)
{
    const opt *option;
    size_t used = 0;
    for (size_t i = 0; (option = command_option(inv->cmd, i)); i++) {
        if (option->type != OPT_LIST) continue;
        size_t first = used;
        for (size_t j = 0; j < inv->n_given; j++)
            if (inv->given[j].option == option) inv->pool[used++] = inv->given[j].value;
        set_list(inv, option->at, inv->pool + first, used - first);
    }
}

static tamis_status check_required(const invocation *inv, tamis_error *err)
{
    const opt *option;
    for (size_t i = 0; (option = command_option(inv->cmd, i)); i++) {
        if (!(option->flags & OPT_REQUIRED) || invocation_has(inv, option->name)) continue;
        const char *value = option->value;
        if (option->letter == 'o' && inv->cmd->output) value = inv->cmd->output;
        if (option->letter)
            return fail(err, TAMIS_ERR_ARG, "option '-%c %s' is missing", option->letter, value);
        return fail(err, TAMIS_ERR_ARG, "option '--%s %s' is missing", option->name, value);
    }
    return TAMIS_OK;
}

tamis_status invocation_parse(invocation *ret_invocation, const command *cmd, int argc, char **argv,
                              tamis_error *err)
{
    invocation *inv = ret_invocation;
    size_t words = (size_t)(argc > 0 ? argc : 0) + 1;
    /* A bundle of short flags is one word and several options. */
    size_t options = words;
    for (int i = 0; i < argc; i++) options += strlen(argv[i]);
    *inv = (invocation){.cmd = cmd};
    inv->args = calloc(1, cmd->args_size);
    inv->given = calloc(options, sizeof *inv->given);
    inv->operand = calloc(words, sizeof *inv->operand);
    inv->pool = calloc(words, sizeof *inv->pool);
    if (!inv->args || !inv->given || !inv->operand || !inv->pool) return fail_memory(err);
    if (cmd->defaults) memcpy(inv->args, cmd->defaults, cmd->args_size);
    parser p = {.inv = inv, .argc = argc, .argv = argv, .err = err};
    TRY(all_words(&p));
    if (inv->help) return TAMIS_OK;
    gather_lists(inv);
    TRY(deal_operands(inv, err));
    return check_required(inv, err);
}

void invocation_free(invocation *inv)
{
    free(inv->args);
    free(inv->given);
    free(inv->operand);
    free(inv->pool);
    *inv = (invocation){0};
}

bool invocation_has(const invocation *inv, const char *name)
{
    for (size_t i = 0; i < inv->n_given; i++)
        if (!strcmp(inv->given[i].option->name, name)) return true;
    return false;
}
