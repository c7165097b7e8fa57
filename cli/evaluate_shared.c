/* What the yardsticks share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static tamis_status read_scorer(session *s, const char *path, char *buffer, size_t size,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    TRY(tamis_scores_open(&scores, s->context, path, err));
    snprintf(buffer, size, "%s", tamis_scores_info_get(scores)->scorer);
    tamis_scores_close(&scores);
    return TAMIS_OK;
}

/* Without parameters: they are many, and say little in a figure. */
static size_t plain_size(const char *scorer)
{
    return strcspn(scorer, ":");
}

static bool same_scorer(const char *a, const char *b)
{
    return plain_size(a) == plain_size(b) && !strncmp(a, b, plain_size(a));
}

/* Files are known by their scorers where these differ, else all of them by their file names. */
tamis_status evaluate_names(session *s, const evaluate_args *args, score_names *ret_names,
                            tamis_error *err)
{
    size_t n = args->scores.n;
    bool apart = true;
    for (size_t i = 0; i < n; i++)
        TRY(read_scorer(s, args->scores.item[i], ret_names->scorer[i], sizeof ret_names->scorer[i],
                        err));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            apart &= !same_scorer(ret_names->scorer[i], ret_names->scorer[j]);
    for (size_t i = 0; i < n; i++) {
        const char *name = apart ? ret_names->scorer[i] : base_name(args->scores.item[i]);
        size_t size = apart ? plain_size(name) : strlen(name);
        if (!apart && size > 3 && !strcmp(name + size - 3, ".h5")) size -= 3;
        snprintf(ret_names->name[i], sizeof ret_names->name[i], "%.*s", (int)size, name);
    }
    return TAMIS_OK;
}

tamis_status evaluate_need_pairs(const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->top > 0)
        return fail(err, TAMIS_ERR_ARG,
                    "'%s' holds lists of rows and not the scores of all rows: score without --top",
                    tamis_scores_path(scores));
    if (!info->partial) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG,
                "'%s' holds scores of each query's candidates and not of all rows: score without "
                "--candidates",
                tamis_scores_path(scores));
}

tamis_bootstrap evaluate_bootstrap(const evaluate_args *args, bool normal)
{
    return (tamis_bootstrap){
        .draws = args->draws, .seed = args->common.seed, .level = args->level, .normal = normal};
}

/* --- lists of numbers ------------------------------------------------------------------------- */

/* The next part of a list into `word`; *text goes behind it, NULL at the end. */
static tamis_status next_part(const char *option, const char **text, char *word, size_t size,
                              uint32_t n, tamis_error *err)
{
    size_t length = strcspn(*text, ",");
    if (n == MAX_POINTS)
        return fail(err, TAMIS_ERR_ARG, "--%s has more than %d values", option, MAX_POINTS);
    if (length == 0 || length >= size)
        return fail(err, TAMIS_ERR_ARG, "--%s: '%.*s' is not a value", option,
                    (int)(length < 40 ? length : 40), *text);
    memcpy(word, *text, length);
    word[length] = '\0';
    *text = (*text)[length] ? *text + length + 1 : NULL;
    return TAMIS_OK;
}

tamis_status evaluate_counts(const char *option, const char *text, uint64_t *ret_value,
                             uint32_t *ret_n, tamis_error *err)
{
    char word[32], *end;
    uint32_t n = 0;
    while (text) {
        TRY(next_part(option, &text, word, sizeof word, n, err));
        unsigned long long value = strtoull(word, &end, 10);
        if (*end || strspn(word, "0123456789") != strlen(word) || value == 0 || strlen(word) > 15)
            return fail(err, TAMIS_ERR_ARG,
                        "--%s: '%s' is not valid: whole numbers from 1 are wanted, separated by "
                        "commas",
                        option, word);
        ret_value[n++] = value;
    }
    *ret_n = n;
    return TAMIS_OK;
}

/* Digits with at most one point: no locale, no sign, no exponent. */
static bool plain_number(const char *word, size_t size, double *ret_value)
{
    double value = 0, unit = 1;
    bool point = false, digit = false;
    for (size_t i = 0; i < size; i++) {
        if (word[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (word[i] < '0' || word[i] > '9') return false;
        digit = true;
        value = 10 * value + (word[i] - '0');
        if (point) unit *= 10;
    }
    *ret_value = value / unit;
    return digit;
}

tamis_status evaluate_shares(const char *option, const char *text, double *ret_value,
                             uint32_t *ret_n, tamis_error *err)
{
    char word[32];
    uint32_t n = 0;
    while (text) {
        TRY(next_part(option, &text, word, sizeof word, n, err));
        size_t size = strlen(word);
        bool percent = word[size - 1] == '%';
        double value;
        if (!plain_number(word, size - percent, &value) || (percent ? value / 100 : value) > 1)
            return fail(err, TAMIS_ERR_ARG,
                        "--%s: '%s' is not valid: shares such as 5%% or 0.05 are wanted, separated "
                        "by commas",
                        option, word);
        ret_value[n++] = percent ? value / 100 : value;
    }
    *ret_n = n;
    return TAMIS_OK;
}

/* --- outputs ---------------------------------------------------------------------------------- */

tamis_status evaluate_add_outputs(session *s, const evaluate_args *args, tamis_error *err)
{
    TRY(session_add_output(s, args->csv, 0, err));
    for (size_t i = 0; i < args->figure.n; i++) {
        const char *path = args->figure.item[i], *dot = strrchr(path, '.');
        if (!dot || (strcmp(dot, ".svg") != 0 && strcmp(dot, ".png") != 0))
            return fail(err, TAMIS_ERR_ARG, "--figure '%s' must end in .svg or .png", path);
        TRY(session_add_output(s, path, 0, err));
    }
    return TAMIS_OK;
}

tamis_status evaluate_write(session *s, const evaluate_args *args, const table *t,
                            const tamis_figure *figure, tamis_error *err)
{
    if (args->csv) TRY(table_write_csv(t, args->csv, err));
    for (size_t i = 0; i < args->figure.n; i++)
        TRY(tamis_figure_draw(s->context, figure, args->figure.item[i], args->common.force, err));
    return TAMIS_OK;
}

void evaluate_cells(cell *cells, const tamis_estimate *estimate)
{
    cells[0].real = estimate->value;
    cells[1].real = estimate->low;
    cells[2].real = estimate->high;
}
