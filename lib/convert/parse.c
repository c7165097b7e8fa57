/* Projections as users write them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "convert/job.h"

static tamis_status malformed(tamis_error *err, const char *text)
{
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "no projection '%s': K, sparse:K[,nonzeros=S] or rademacher:K is wanted, for "
        "example sparse:8192",
        text);
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

/* The kind before a colon; goes past it. */
static bool take_kind(const char **text, tamis__projection_kind *ret_kind)
{
    const char *colon = strchr(*text, ':');
    if (!colon) return true;
    for (int kind = 0; kind < TAMIS__PROJECTION_KINDS; kind++) {
        const char *name = tamis__projection_name((tamis__projection_kind)kind);
        if (!is_word(*text, (size_t)(colon - *text), name)) continue;
        *ret_kind = (tamis__projection_kind)kind;
        *text = colon + 1;
        return true;
    }
    return false;
}

tamis_status tamis__convert_parse(tamis__projection_spec *ret_spec, const char *text, uint64_t seed,
                                  uint64_t from, tamis_error *err)
{
    static const char nonzeros[] = "nonzeros=";
    tamis__projection_spec spec = {.seed = seed, .from = from};
    const char *at = text;
    if (!take_kind(&at, &spec.kind)) return malformed(err, text);
    size_t size = strcspn(at, ",");
    if (!tamis__parse_uint64(at, size, &spec.to)) return malformed(err, text);
    at += size;
    if (*at) {
        if (strncmp(++at, nonzeros, sizeof nonzeros - 1)) return malformed(err, text);
        at += sizeof nonzeros - 1;
        if (!tamis__parse_uint64(at, strlen(at), &spec.nonzeros)) return malformed(err, text);
        if (spec.nonzeros == 0)
            return tamis__fail(err, TAMIS_ERR_ARG, "projection '%s': nonzeros is at least 1", text);
    }
    *ret_spec = spec;
    return TAMIS_OK;
}
