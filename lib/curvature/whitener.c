/* Whitened eigen-coordinates.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/whitener.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/curvature_file.h"

void tamis__damping_text(double damping, bool relative, char text[TAMIS__DAMPING_TEXT])
{
    char number[TAMIS__NUMBER_SIZE];
    tamis__format_double(number, damping);
    snprintf(text, TAMIS__DAMPING_TEXT, "%s%s", number,
             relative ? " of the mean eigenvalue" : " (absolute)");
}

bool tamis__whitened_alike(const tamis_whitening *a, const tamis_whitening *b)
{
    return !strcmp(a->kind, b->kind) && a->curvature == b->curvature && a->damping == b->damping &&
           a->relative == b->relative && a->keep == b->keep;
}

static uint64_t size_of(const tamis__spectrum *s)
{
    return s->out * s->in;
}

static tamis_status find_kind(const char *name, tamis_curvature_kind *ret_kind, tamis_error *err)
{
    for (int kind = TAMIS_CURVATURE_EKFAC; name && kind <= TAMIS_CURVATURE_DIAGONAL; kind++)
        if (!strcmp(name, tamis__curvature_kind_name((tamis_curvature_kind)kind))) {
            *ret_kind = (tamis_curvature_kind)kind;
            return TAMIS_OK;
        }
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "rows are not whitened by '%s': ask for ekfac, kfac or diagonal",
                       name ? name : "");
}

/* --- which coordinates stay ------------------------------------------------------------------- */

/* 1 everywhere without damping. */
static double share_of(const tamis__spectrum *s, uint64_t i)
{
    return s->lambda[i] / (s->lambda[i] + s->damping);
}

static int descending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* The share of the last coordinate that stays, and how many with just this share do. */
static tamis_status find_threshold(const tamis__whitener *w, uint64_t all, uint64_t keep,
                                   double *ret_threshold, uint64_t *ret_ties, tamis_error *err)
{
    double *share = tamis__malloc(all, sizeof *share);
    uint64_t n = 0;
    if (!share) return tamis__fail_memory(err, "eigenvalues", all * sizeof *share);
    for (uint32_t l = 0; l < w->spectra.layers; l++)
        for (uint64_t i = 0; i < size_of(&w->spectra.layer[l]); i++)
            share[n++] = share_of(&w->spectra.layer[l], i);
    qsort(share, all, sizeof *share, descending);
    *ret_threshold = share[keep - 1];
    for (n = keep; n > 0 && share[n - 1] == *ret_threshold;) n--;
    *ret_ties = keep - n;
    free(share);
    return TAMIS_OK;
}

/* Ties go to the lower coordinate of the lower layer. */
static tamis_status keep_layer(tamis__whitener *w, uint32_t l, double threshold, uint64_t *ties,
                               tamis_error *err)
{
    const tamis__spectrum *s = &w->spectra.layer[l];
    uint64_t n = 0, *kept = tamis__malloc(size_of(s), sizeof *kept);
    w->kept[l] = kept;
    if (!kept) return tamis__fail_memory(err, "coordinates", size_of(s) * sizeof *kept);
    for (uint64_t i = 0; i < size_of(s); i++) {
        double share = share_of(s, i);
        if (share < threshold || (share == threshold && *ties == 0)) continue;
        if (share == threshold) (*ties)--;
        kept[n++] = i;
    }
    w->count[l] = n;
    return TAMIS_OK;
}

static tamis_status choose(tamis__whitener *w, const tamis_context *context, tamis_error *err)
{
    uint64_t all = 0;
    for (uint32_t l = 0; l < w->spectra.layers; l++) {
        w->count[l] = size_of(&w->spectra.layer[l]);
        all += w->count[l];
    }
    if (w->by.keep >= 1.0) return TAMIS_OK;
    double threshold = 0, wanted = floor(w->by.keep * (double)all + 0.5);
    uint64_t ties = 0, keep = wanted < 1.0 ? 1 : (uint64_t)wanted;
    w->bytes += all * sizeof **w->kept;
    TAMIS_TRY(
        tamis__memory_check(context, w->bytes + all * sizeof(double), "choosing coordinates", err));
    TAMIS_TRY(find_threshold(w, all, keep, &threshold, &ties, err));
    for (uint32_t l = 0; l < w->spectra.layers; l++)
        TAMIS_TRY(keep_layer(w, l, threshold, &ties, err));
    return TAMIS_OK;
}

/* --- layers ----------------------------------------------------------------------------------- */

/* The layer table is that of the gradients as long as every coordinate stays. */
static void lay_out(tamis__whitener *w)
{
    for (uint32_t l = 0; l < w->spectra.layers; l++) {
        tamis_layer layer = w->spectra.layer[l].layer;
        w->first[l] = layer.first_column = w->columns;
        w->columns += w->count[l];
        if (w->count[l] == 0) continue;
        if (w->kept[l]) layer.out = 1, layer.in = w->count[l], layer.bias = 0;
        w->table[w->tables++] = layer;
    }
}

static void take_roots(tamis__spectra *spectra)
{
    for (uint32_t l = 0; l < spectra->layers; l++)
        for (uint64_t i = 0; i < size_of(&spectra->layer[l]); i++)
            spectra->layer[l].inverse[i] = sqrt(spectra->layer[l].inverse[i]);
}

static tamis_status init(tamis__whitener *w, const tamis_context *context,
                         const tamis_curvature *curvature, const tamis_whitening *by,
                         tamis_error *err)
{
    tamis_curvature_kind kind = TAMIS_CURVATURE_EKFAC;
    TAMIS_TRY(find_kind(by->kind, &kind, err));
    if (!(by->keep > 0 && by->keep <= 1))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a share of %g of the coordinates cannot be kept: it lies above 0 and "
                           "is at most 1",
                           by->keep);
    tamis__damping damping = {.value = by->damping, .relative = by->relative};
    w->by = *by;
    w->by.kind = tamis__curvature_kind_name(kind);
    w->by.curvature = tamis_curvature_info_get(curvature)->digest;
    TAMIS_TRY(tamis__spectra_load(&w->spectra, context, curvature, kind, damping, err));
    uint32_t n = w->spectra.layers;
    w->bytes = w->spectra.bytes;
    w->kept = tamis__calloc(n, sizeof *w->kept);
    w->count = tamis__calloc(n, sizeof *w->count);
    w->first = tamis__calloc(n, sizeof *w->first);
    w->table = tamis__calloc(n, sizeof *w->table);
    if (!w->kept || !w->count || !w->first || !w->table)
        return tamis__fail_memory(err, "a list of layers", n * sizeof *w->table);
    TAMIS_TRY(choose(w, context, err));
    lay_out(w);
    take_roots(&w->spectra);
    return TAMIS_OK;
}

tamis_status tamis__whitener_init(tamis__whitener *ret_whitener, const tamis_context *context,
                                  const tamis_curvature *curvature, const tamis_whitening *by,
                                  tamis_error *err)
{
    tamis__whitener w = {0};
    tamis_status status = init(&w, context, curvature, by, err);
    if (status == TAMIS_OK)
        *ret_whitener = w;
    else
        tamis__whitener_fini(&w);
    return status;
}

void tamis__whitener_fini(tamis__whitener *whitener)
{
    for (uint32_t l = 0; whitener->kept && l < whitener->spectra.layers; l++)
        free(whitener->kept[l]);
    free(whitener->kept);
    free(whitener->count);
    free(whitener->first);
    free(whitener->table);
    tamis__spectra_fini(&whitener->spectra);
    *whitener = (tamis__whitener){0};
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct visitor {
    const tamis__spectrum *s;
    const uint64_t *kept;
    uint64_t count, first_row;
    float *out;
    size_t stride;
} visitor;

static tamis_status whiten(void *arg, uint64_t row, double *z, tamis_error *err)
{
    (void)err;
    const visitor *v = arg;
    float *restrict out = v->out + (row - v->first_row) * v->stride;
    const double *restrict root = v->s->inverse;
    if (v->kept)
        for (uint64_t i = 0; i < v->count; i++) out[i] = (float)(z[v->kept[i]] * root[v->kept[i]]);
    else
        for (uint64_t i = 0; i < v->count; i++) out[i] = (float)(z[i] * root[i]);
    return TAMIS_OK;
}

tamis_status tamis__whitener_layer(const tamis__whitener *whitener, const tamis__eigen_rows *r,
                                   tamis__eigen_work *work, uint32_t layer, uint64_t first,
                                   uint64_t rows, float *out, size_t stride, tamis_error *err)
{
    visitor v = {.s = &whitener->spectra.layer[layer],
                 .kept = whitener->kept[layer],
                 .count = whitener->count[layer],
                 .first_row = first,
                 .out = out,
                 .stride = stride};
    if (v.count == 0) return TAMIS_OK;
    return tamis__eigen_rows_visit(r, work, layer, first, rows, whiten, &v, err);
}

tamis_status tamis__whitener_rows(const tamis__whitener *whitener, const tamis__eigen_rows *r,
                                  tamis__eigen_work *work, uint64_t first, uint64_t rows,
                                  float *out, size_t stride, tamis_error *err)
{
    for (uint32_t l = 0; l < whitener->spectra.layers; l++)
        TAMIS_TRY(tamis__whitener_layer(whitener, r, work, l, first, rows, out + whitener->first[l],
                                        stride, err));
    return TAMIS_OK;
}
