/* --form: rows in full, as their factors, or projected.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "form_arg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

enum { KIND, NONZEROS, N_PARAMS };

static const char *const kinds[] = {"sparse", "rademacher", NULL};

static const tamis_param_desc width = {.name = "K",
                                       .help = "columns of a projected row",
                                       .type = TAMIS_PARAM_INTEGER,
                                       .min = 1,
                                       .max = 1 << 24};

static const tamis_param_desc table[N_PARAMS] = {
    [KIND] = {.name = "kind",
              .help = "random matrix",
              .type = TAMIS_PARAM_CHOICE,
              .choices = kinds},
    [NONZEROS] = {.name = "nonzeros",
                  .help = "sparse: entries of a column that are not zero",
                  .type = TAMIS_PARAM_INTEGER,
                  .min = 1,
                  .max = 64,
                  .fallback = (double)NAN},
};

static tamis_status malformed(const char *text, tamis_error *err)
{
    return fail(err, TAMIS_ERR_ARG,
                "--form '%s' is not valid: full, factors or "
                "projected:K[,kind=sparse|rademacher][,nonzeros=S] "
                "is wanted, for example projected:8192",
                text);
}

tamis_status form_parse(const char *text, uint64_t seed, tamis_form *ret_form, bool *ret_projected,
                        tamis_projection *ret_projection, tamis_error *err)
{
    static const char word[] = "projected:";
    tamis_param_value to, value[N_PARAMS];
    char number[32];
    bool factors = strcmp(text, "factors") == 0;
    *ret_form = factors ? TAMIS_FORM_FACTORS : TAMIS_FORM_FULL;
    *ret_projected = !factors && strcmp(text, "full") != 0;
    if (!*ret_projected) return TAMIS_OK;
    if (strncmp(text, word, sizeof word - 1) != 0) return malformed(text, err);
    const char *at = text + sizeof word - 1;
    size_t size = strcspn(at, ",");
    if (size == 0 || size >= sizeof number) return malformed(text, err);
    snprintf(number, sizeof number, "%.*s", (int)size, at);
    TRY(tamis_param_parse_value(&width, "projected", number, &to, err));
    at += size;
    TRY(tamis_params_parse(table, N_PARAMS, "projected", *at ? at + 1 : NULL, value, err));
    *ret_projection = (tamis_projection){
        .kind = kinds[(size_t)value[KIND].number],
        .seed = seed,
        .to = (uint64_t)to.number,
        .nonzeros = value[NONZEROS].given ? (uint32_t)value[NONZEROS].number : 0,
    };
    return TAMIS_OK;
}
