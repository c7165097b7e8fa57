/* How the rows of a store were whitened: /whitening.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_whitening.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

static const char group[] = "whitening";
static const char relative[] = "relative", absolute[] = "absolute";

/* Names of curvatures are plain words, so that they need no escapes in JSON. */
static bool good_kind(const char *kind)
{
    size_t size = strlen(kind);
    for (size_t i = 0; i < size; i++)
        if ((kind[i] < 'a' || kind[i] > 'z') && kind[i] != '-') return false;
    return size > 0 && size < 32;
}

static bool good_numbers(const tamis_whitening *by)
{
    return isfinite(by->damping) && by->damping >= 0 && by->keep > 0 && by->keep <= 1;
}

tamis_status tamis__store_whitening_copy(tamis__store_whitening *ret_whitening,
                                         const tamis_whitening *by, const char *path,
                                         tamis_error *err)
{
    *ret_whitening = (tamis__store_whitening){0};
    if (!by) return TAMIS_OK;
    if (!by->kind || !good_kind(by->kind) || !good_numbers(by))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "cannot write '%s': rows whitened by '%s' with a damping of %g, of "
                           "which a share of %g is kept",
                           path, by->kind ? by->kind : "", by->damping, by->keep);
    char *kind = tamis__strdup(by->kind);
    if (!kind) return tamis__fail_memory(err, "a whitening", strlen(by->kind));
    *ret_whitening = (tamis__store_whitening){.by = *by, .kind = kind};
    ret_whitening->by.kind = kind;
    return TAMIS_OK;
}

tamis_status tamis__store_whitening_write(const tamis__store_whitening *whitening,
                                          const tamis__h5 *h5, tamis_error *err)
{
    const tamis_whitening *by = &whitening->by;
    if (!whitening->kind) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_group(h5, group, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, group, "curvature", by->curvature, err));
    TAMIS_TRY(tamis__h5_put_text(h5, group, "kind", by->kind, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, group, "damping", by->damping, err));
    TAMIS_TRY(
        tamis__h5_put_text(h5, group, "damping_unit", by->relative ? relative : absolute, err));
    return tamis__h5_put_f64(h5, group, "keep", by->keep, err);
}

/* --- a file's --------------------------------------------------------------------------------- */

static tamis_status read_unit(tamis_whitening *by, const tamis__h5 *h5, tamis_error *err)
{
    char *unit = NULL;
    TAMIS_TRY(tamis__h5_get_text(h5, group, "damping_unit", &unit, err));
    by->relative = !strcmp(unit, relative);
    bool known = by->relative || !strcmp(unit, absolute);
    free(unit);
    if (known) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': attribute damping_unit of whitening is neither relative nor absolute",
                       h5->path);
}

static tamis_status make_text(tamis__store_whitening *w, tamis_error *err)
{
    char damping[TAMIS__NUMBER_SIZE], keep[TAMIS__NUMBER_SIZE];
    enum { SIZE = 256 };
    w->text = tamis__malloc(SIZE, 1);
    if (!w->text) return tamis__fail_memory(err, "a whitening", SIZE);
    tamis__format_double(damping, w->by.damping);
    tamis__format_double(keep, w->by.keep);
    snprintf(w->text, SIZE,
             "{\"kind\":\"%s\",\"damping\":%s,\"damping_unit\":\"%s\",\"keep\":%s,"
             "\"curvature\":\"%016llx\"}",
             w->kind, damping, w->by.relative ? relative : absolute, keep,
             (unsigned long long)w->by.curvature);
    return TAMIS_OK;
}

static tamis_status read_all(tamis__store_whitening *w, const tamis__h5 *h5, tamis_error *err)
{
    TAMIS_TRY(tamis__h5_get_u64(h5, group, "curvature", &w->by.curvature, err));
    TAMIS_TRY(tamis__h5_get_text(h5, group, "kind", &w->kind, err));
    w->by.kind = w->kind;
    TAMIS_TRY(tamis__h5_get_f64(h5, group, "damping", &w->by.damping, err));
    TAMIS_TRY(read_unit(&w->by, h5, err));
    TAMIS_TRY(tamis__h5_get_f64(h5, group, "keep", &w->by.keep, err));
    if (!good_kind(w->kind) || !good_numbers(&w->by))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': attributes of whitening make no sense: kind, damping or keep",
                           h5->path);
    return make_text(w, err);
}

tamis_status tamis__store_whitening_read(tamis__store_whitening *ret_whitening, const tamis__h5 *h5,
                                         tamis_error *err)
{
    tamis__store_whitening w = {0};
    tamis_status status = TAMIS_OK;
    if (tamis__h5_has(h5, group)) status = read_all(&w, h5, err);
    if (status == TAMIS_OK)
        *ret_whitening = w;
    else
        tamis__store_whitening_fini(&w);
    return status;
}

/* --- either's --------------------------------------------------------------------------------- */

bool tamis__store_whitening_same(const tamis__store_whitening *a, const tamis__store_whitening *b)
{
    const tamis_whitening *x = &a->by, *y = &b->by;
    if (!a->kind || !b->kind) return !a->kind && !b->kind;
    return !strcmp(a->kind, b->kind) && x->curvature == y->curvature && x->damping == y->damping &&
           x->relative == y->relative && x->keep == y->keep;
}

void tamis__store_whitening_fini(tamis__store_whitening *whitening)
{
    free(whitening->kind);
    free(whitening->text);
    *whitening = (tamis__store_whitening){0};
}
