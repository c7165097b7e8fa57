/* Names that the library knows, as option tables take them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct named {
    const char *name, *summary;
} named;

static const char *named_at(const named *table, size_t n, size_t i, const char **ret_summary)
{
    if (i >= n) return NULL;
    if (ret_summary) *ret_summary = table[i].summary;
    return table[i].name;
}

const char *names_scorer(size_t i, const char **ret_summary)
{
    const tamis_scorer_info *info = tamis_scorer_at(i);
    if (!info) return NULL;
    if (ret_summary) *ret_summary = info->summary;
    return info->name;
}

const char *names_selector(size_t i, const char **ret_summary)
{
    const tamis_selector_info *info = tamis_selector_at(i);
    if (!info) return NULL;
    if (ret_summary) *ret_summary = info->summary;
    return info->name;
}

const char *names_manifest(size_t i, const char **ret_summary)
{
    const tamis_manifest_info *info = tamis_manifest_at(i);
    if (!info) return NULL;
    if (ret_summary) *ret_summary = info->summary;
    return info->name;
}

const tamis_param_desc *names_manifest_params(size_t i, size_t *ret_n)
{
    const tamis_manifest_info *info = tamis_manifest_at(i);
    *ret_n = info ? info->n_params : 0;
    return info ? info->params : NULL;
}

const char *names_import(size_t i, const char **ret_summary)
{
    const char *summary;
    return tamis_import_format_at(i, ret_summary ? ret_summary : &summary);
}

const char *names_data(size_t i, const char **ret_summary)
{
    static const named table[] = {
        {"csv", "comma-separated values with a header (RFC 4180)"},
        {"tsv", "tab-separated values with a header"},
        {"jsonl", "JSON Lines: numbers, or an array of numbers, a record"},
        {"idx", "IDX as MNIST ships it"},
        {"npy", "NumPy array [rows, columns]"},
        {"safetensors", "one 2-D tensor"},
    };
    return named_at(table, LEN(table), i, ret_summary);
}

const char *names_export(size_t i, const char **ret_summary)
{
    static const named table[] = {
        {"csv", "comma-separated values with a header"},
        {"jsonl", "JSON Lines, one object a row"},
        {"npy", "NumPy array"},
    };
    return named_at(table, LEN(table), i, ret_summary);
}

const char *names_model(size_t i, const char **ret_summary)
{
    static const named table[] = {
        {"mlp",
         "multilayer perceptron: linear layers, an activation between them, softmax at the end"},
        {"softmax", "softmax regression: one linear layer"},
    };
    return named_at(table, LEN(table), i, ret_summary);
}

const char *names_curvature(size_t i, const char **ret_summary)
{
    static const named table[] = {
        {"ekfac", "Kronecker-factored eigenvectors, eigenvalues measured (George et al. 2018)"},
        {"kfac", "Kronecker product of two covariances (Martens and Grosse 2015)"},
        {"diagonal", "mean of squared gradients"},
        {"gram", "mean outer product of whole rows: narrow or projected stores"},
        {"whiten", "mean and covariance of whole rows, summed over checkpoints: for distances"},
    };
    return named_at(table, LEN(table), i, ret_summary);
}

const tamis_param_desc *names_scorer_params(size_t i, size_t *ret_n)
{
    const tamis_scorer_info *info = tamis_scorer_at(i);
    *ret_n = info ? info->n_params : 0;
    return info ? info->params : NULL;
}

const tamis_param_desc *names_selector_params(size_t i, size_t *ret_n)
{
    const tamis_selector_info *info = tamis_selector_at(i);
    *ret_n = info ? info->n_params : 0;
    return info ? info->params : NULL;
}

enum { MAX_PARAMS = 32 };

tamis_status names_note_params(session *s, const char *name, const char *text,
                               const tamis_param_desc *params, size_t n, tamis_error *err)
{
    tamis_param_value value[MAX_PARAMS];
    char key[128];
    if (n > MAX_PARAMS) n = MAX_PARAMS;
    const char *colon = strchr(text, ':');
    TRY(tamis_params_parse(params, n, name, colon ? colon + 1 : NULL, value, err));
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s.%s", name, params[i].name);
        bool number = params[i].type == TAMIS_PARAM_REAL || params[i].type == TAMIS_PARAM_INTEGER;
        if (number && isnan(value[i].number)) continue;
        if (number)
            TRY(session_note_number(s, key, value[i].number, err));
        else if (params[i].type == TAMIS_PARAM_BOOLEAN)
            TRY(session_note_text(s, key, value[i].number > 0 ? "true" : "false", err));
        else
            TRY(session_note_text(s, key, value[i].text, err));
    }
    return TAMIS_OK;
}
