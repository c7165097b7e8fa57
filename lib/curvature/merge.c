/* Adding up curvature files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/kronecker.h"
#include "curvature/match.h"
#include "curvature/whiten.h"

typedef struct merger {
    tamis_context *context;
    tamis_curvature **part; /* [n] */
    size_t n;
    tamis_curvature_info in, out; /* of the parts, and of the result */
    tamis__curvature_writer *writer;
    double *sum, *term; /* of the largest array */
} merger;

/* --- do they fit together? -------------------------------------------------------------------- */

static tamis_status differ(const tamis_curvature *a, const tamis_curvature *b, const char *what,
                           tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' and '%s' cannot be merged: they %s",
                       tamis_curvature_path(a), tamis_curvature_path(b), what);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static tamis_status check_pair(const tamis_curvature *a, const tamis_curvature *b, tamis_error *err)
{
    const tamis_curvature_info *x = tamis_curvature_info_get(a), *y = tamis_curvature_info_get(b);
    tamis__columns_of p = tamis__columns_of_curvature(a), q = tamis__columns_of_curvature(b);
    if (x->kind != y->kind) return differ(a, b, "are of different kinds", err);
    if (x->stage != y->stage) return differ(a, b, "are of different stages", err);
    TAMIS_TRY(tamis__match_columns(&p, &q, err));
    if (x->checkpoint != y->checkpoint) return differ(a, b, "are of different checkpoints", err);
    if (x->max_block != y->max_block)
        return differ(a, b, "have covariances in different blocks", err);
    if (!same_text(x->labels, y->labels))
        return differ(a, b, "are of gradients of different labels", err);
    if (x->stage == TAMIS_STAGE_LAMBDA &&
        (tamis__curvature_basis(a) != tamis__curvature_basis(b) || x->tokens != y->tokens))
        return differ(
            a, b, "have different eigenvectors: make all with tamis fit --from the same file", err);
    return TAMIS_OK;
}

/* The step that the parts are of, as far as they say: older files do not, and 0 is not known. */
static tamis_status check_steps(merger *m, tamis_error *err)
{
    const tamis_curvature *told = NULL;
    for (size_t i = 0; i < m->n; i++) {
        const tamis_curvature_info *info = tamis_curvature_info_get(m->part[i]);
        if (info->step == 0) continue;
        if (told && info->step != m->out.step)
            return differ(told, m->part[i], "are of different steps of training", err);
        told = m->part[i];
        m->out.step = info->step;
        m->out.step_known = true;
    }
    return TAMIS_OK;
}

static tamis_status check_stage(const merger *m, bool finish, tamis_error *err)
{
    const char *path = tamis_curvature_path(m->part[0]);
    if (m->in.stage == TAMIS_STAGE_FINAL)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is final, and means cannot be merged: fit the parts with --until "
                           "covariance or lambda",
                           path);
    if (finish && m->in.kind == TAMIS_CURVATURE_EKFAC && m->in.stage == TAMIS_STAGE_COVARIANCE)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has no Lambda yet, so that ekfac cannot be finished: merge "
                           "without finishing, then tamis fit ekfac --from the result",
                           path);
    return TAMIS_OK;
}

static tamis_status check_parts(merger *m, bool finish, const char *provenance, tamis_error *err)
{
    m->in = m->out = *tamis_curvature_info_get(m->part[0]);
    TAMIS_TRY(check_stage(m, finish, err));
    m->out.provenance = provenance;
    if (finish) m->out.stage = TAMIS_STAGE_FINAL;
    for (size_t i = 1; i < m->n; i++) {
        TAMIS_TRY(check_pair(m->part[0], m->part[i], err));
        const tamis_curvature_info *info = tamis_curvature_info_get(m->part[i]);
        if (m->in.stage != TAMIS_STAGE_LAMBDA) m->out.tokens += info->tokens;
        m->out.examples += info->examples;
    }
    return check_steps(m, err);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* An array of all parts, in their order. Vectors and values are the same in all: the first's. */
static tamis_status add_up(const merger *m, const tamis__curvature_place *place, double *sum,
                           tamis_error *err)
{
    uint64_t n = tamis__curvature_values(&m->in, place);
    bool shared = place->array >= TAMIS__OUTPUT_VECTORS && place->array <= TAMIS__INPUT_VALUES;
    TAMIS_TRY(tamis__curvature_read(m->part[0], place, sum, err));
    for (size_t i = 1; i < m->n && !shared; i++) {
        TAMIS_TRY(tamis__curvature_read(m->part[i], place, m->term, err));
        for (uint64_t v = 0; v < n; v++) sum[v] += m->term[v];
    }
    return TAMIS_OK;
}

static tamis_status refuse_zero(const char *layer, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "layer '%s': every eigenvalue is zero, so that it has no inverse: all of "
                       "its gradients are zero",
                       layer);
}

/* Sums of squares become means. */
static tamis_status finish_array(const merger *m, const tamis__curvature_place *place,
                                 tamis_error *err)
{
    uint64_t n = tamis__curvature_values(&m->out, place);
    bool zero = true;
    if (place->array != TAMIS__LAMBDA && place->array != TAMIS__GRAM) return TAMIS_OK;
    for (uint64_t v = 0; v < n; v++) {
        m->sum[v] /= (double)m->out.examples;
        zero &= !(m->sum[v] > 0.0);
    }
    return zero ? refuse_zero(m->out.layer[place->layer].name, err) : TAMIS_OK;
}

static tamis_status merge_arrays(const merger *m, tamis_error *err)
{
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(&m->out, &place, &started);) {
        TAMIS_TRY(add_up(m, &place, m->sum, err));
        if (m->out.stage == TAMIS_STAGE_FINAL) TAMIS_TRY(finish_array(m, &place, err));
        TAMIS_TRY(tamis__curvature_put(m->writer, &place, m->sum, err));
        TAMIS_TRY(tamis__progress(m->context, "merging", place.layer + 1, m->out.layers, "layers",
                                  NULL, err));
    }
    return TAMIS_OK;
}

/* --- kfac is finished with eigenvectors ------------------------------------------------------- */

static tamis_status finish_layer(const merger *m, tamis__kronecker *f, tamis_error *err)
{
    tamis__curvature_place place;
    uint64_t limit = tamis_context_memory(m->context),
             taken = tamis__kronecker_bytes(&f->layer, true, false, m->in.max_block);
    for (bool started = false; tamis__curvature_next(&m->in, &place, &started);)
        if (place.layer == f->index)
            TAMIS_TRY(add_up(m, &place, tamis__kronecker_array(f, &place), err));
    TAMIS_TRY(tamis__kronecker_eigen(m->context, f, 1, m->out.tokens,
                                     taken < limit ? limit - taken : 0, err));
    double out = 0, in = 0;
    for (uint64_t i = 0; i < f->output.n; i++)
        out = f->output.values[i] > out ? f->output.values[i] : out;
    for (uint64_t i = 0; i < f->input.n; i++)
        in = f->input.values[i] > in ? f->input.values[i] : in;
    if (!(out * in > 0.0)) return refuse_zero(f->layer.name, err);
    for (bool started = false; tamis__curvature_next(&m->out, &place, &started);)
        if (place.layer == f->index)
            TAMIS_TRY(
                tamis__curvature_put(m->writer, &place, tamis__kronecker_array(f, &place), err));
    return TAMIS_OK;
}

static tamis_status finish_kfac(const merger *m, tamis_error *err)
{
    for (uint32_t l = 0; l < m->out.layers; l++) {
        tamis__kronecker f;
        TAMIS_TRY(
            tamis__kronecker_init(&f, &m->out.layer[l], l, true, false, m->in.max_block, err));
        tamis_status status = finish_layer(m, &f, err);
        tamis__kronecker_fini(&f);
        TAMIS_TRY(status);
    }
    return TAMIS_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static tamis_status reserve(merger *m, bool vectors, tamis_error *err)
{
    uint64_t most = 0, layer = 0;
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(&m->in, &place, &started);) {
        uint64_t n = tamis__curvature_values(&m->in, &place);
        if (n > most) most = n;
    }
    for (uint32_t l = 0; l < m->in.layers && vectors; l++) {
        uint64_t bytes = tamis__kronecker_bytes(&m->in.layer[l], true, false, m->in.max_block) +
                         tamis__kronecker_eigen_bytes(&m->in.layer[l], m->in.max_block);
        if (bytes > layer) layer = bytes;
    }
    TAMIS_TRY(tamis__memory_check(m->context, 2 * most * sizeof(double) + layer,
                                  "merging curvature files", err));
    m->sum = tamis__aligned(most, sizeof *m->sum);
    m->term = tamis__aligned(most, sizeof *m->term);
    if (m->sum && m->term) return TAMIS_OK;
    return tamis__fail_memory(err, "merging", 2 * most * sizeof *m->sum);
}

static tamis_status refuse_whiten(const merger *m, bool finish, const tamis_whiten_params *whiten,
                                  tamis_error *err)
{
    if (!whiten || (finish && m->in.kind == TAMIS_CURVATURE_WHITEN)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "damping and shrinkage are for whiten that is made final: '%s' is of kind "
                       "%s%s",
                       tamis_curvature_path(m->part[0]), tamis__curvature_kind_name(m->in.kind),
                       finish ? "" : ", and stays sums");
}

static tamis_status merge(merger *m, const char *const *paths, const char *path, bool finish,
                          const tamis_whiten_params *whiten, bool force, const char *provenance,
                          tamis_error *err)
{
    for (size_t i = 0; i < m->n; i++)
        TAMIS_TRY(tamis_curvature_open(&m->part[i], m->context, paths[i], err));
    TAMIS_TRY(check_parts(m, finish, provenance, err));
    TAMIS_TRY(refuse_whiten(m, finish, whiten, err));
    if (m->in.kind == TAMIS_CURVATURE_WHITEN)
        return tamis__whiten_merge(m->context, m->part, m->n, &m->out, whiten, path, force, err);
    bool vectors = finish && m->in.kind == TAMIS_CURVATURE_KFAC;
    TAMIS_TRY(reserve(m, vectors, err));
    TAMIS_TRY(tamis__curvature_create(&m->writer, m->context, path, &m->out, force, err));
    TAMIS_TRY(vectors ? finish_kfac(m, err) : merge_arrays(m, err));
    return tamis__curvature_commit(&m->writer, m->out.tokens, m->out.examples, err);
}

tamis_status tamis_merge_curvature(tamis_context *context, const char *const *parts, size_t n_parts,
                                   const char *path, bool finish, const tamis_whiten_params *whiten,
                                   bool force, const char *provenance, tamis_error *err)
{
    merger m = {.context = context, .n = n_parts};
    if (n_parts == 0) return tamis__fail(err, TAMIS_ERR_ARG, "there is no file to merge");
    m.part = tamis__calloc(n_parts, sizeof(tamis_curvature *));
    if (!m.part) return tamis__fail_memory(err, "merging", n_parts * sizeof(tamis_curvature *));
    tamis_status status = merge(&m, parts, path, finish, whiten, force, provenance, err);
    tamis__curvature_abort(&m.writer);
    for (size_t i = 0; i < n_parts; i++) tamis_curvature_close(&m.part[i]);
    free(m.part);
    free(m.sum);
    free(m.term);
    return status;
}
