/* Random projections: what both kinds share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "project/project.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "project/projector.h"

const char *tamis__projection_name(tamis__projection_kind kind)
{
    return kind == TAMIS__PROJECTION_SPARSE ? "sparse" : "rademacher";
}

/* --- creation --------------------------------------------------------------------------------- */

static tamis_status check(const tamis__projection_spec *spec, tamis_error *err)
{
    if (spec->kind != TAMIS__PROJECTION_SPARSE && spec->kind != TAMIS__PROJECTION_RADEMACHER)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no projection number %d", (int)spec->kind);
    if (spec->from == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "a projection needs rows with columns");
    if (spec->to == 0 || spec->to > TAMIS__PROJECTION_MOST)
        return tamis__fail(
            err, TAMIS_ERR_ARG, "cannot project to %llu columns: from 1 to %llu are possible",
            (unsigned long long)spec->to, (unsigned long long)TAMIS__PROJECTION_MOST);
    if (spec->kind == TAMIS__PROJECTION_RADEMACHER && spec->nonzeros)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a rademacher projection has no zeros: leave out nonzeros");
    if (spec->nonzeros > TAMIS__NONZEROS_MAX || spec->nonzeros > spec->to)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "a projection to %llu columns cannot have %llu nonzeros a column: at most %llu",
            (unsigned long long)spec->to, (unsigned long long)spec->nonzeros,
            (unsigned long long)tamis__lesser(spec->to, TAMIS__NONZEROS_MAX));
    return TAMIS_OK;
}

tamis_status tamis__projector_create(tamis__projector **ret_projector,
                                     const tamis__projection_spec *spec,
                                     const tamis__kernels *kernels, tamis_error *err)
{
    TAMIS_TRY(check(spec, err));
    tamis__projector *p = tamis__calloc(1, sizeof *p);
    if (!p) return tamis__fail_memory(err, "a projection", sizeof *p);
    p->spec = *spec;
    p->kernels = *kernels;
    p->key = tamis__splitmix(spec->seed, (uint64_t)spec->kind);
    if (spec->kind == TAMIS__PROJECTION_SPARSE) {
        if (!spec->nonzeros) p->spec.nonzeros = tamis__lesser(TAMIS__PROJECTION_NONZEROS, spec->to);
        tamis__sparse_init(p);
        p->scale = 1.0 / sqrt((double)p->spec.nonzeros);
    } else {
        p->scale = 1.0 / sqrt((double)p->spec.to);
    }
    *ret_projector = p;
    return TAMIS_OK;
}

void tamis__projector_destroy(tamis__projector **projector)
{
    if (!projector || !*projector) return;
    free(*projector);
    *projector = NULL;
}

const tamis__projection_spec *tamis__projector_spec(const tamis__projector *projector)
{
    return &projector->spec;
}

/* --- use -------------------------------------------------------------------------------------- */

static size_t sums_bytes(const tamis__projector *p, uint64_t rows)
{
    return tamis__lines(rows * p->spec.to * sizeof(double));
}

static void *rest(const tamis__projector *p, void *scratch, uint64_t rows)
{
    return (char *)scratch + sums_bytes(p, rows);
}

size_t tamis__projector_scratch(const tamis__projector *projector, uint64_t rows)
{
    return sums_bytes(projector, rows) + (projector->spec.kind == TAMIS__PROJECTION_SPARSE
                                              ? tamis__sparse_scratch(projector, rows)
                                              : tamis__rademacher_scratch(rows));
}

void tamis__project_begin(const tamis__projector *projector, void *scratch, uint64_t rows)
{
    memset(scratch, 0, sums_bytes(projector, rows));
    if (projector->spec.kind == TAMIS__PROJECTION_SPARSE)
        tamis__sparse_begin(projector, rest(projector, scratch, rows), rows);
}

void tamis__project_columns(const tamis__projector *projector, void *scratch, uint64_t rows,
                            uint64_t first_column, uint64_t columns, const float *in, size_t stride)
{
    void *more = rest(projector, scratch, rows);
    if (projector->spec.kind == TAMIS__PROJECTION_SPARSE)
        tamis__sparse_columns(projector, scratch, more, rows, first_column, columns, in, stride);
    else
        tamis__rademacher_columns(projector, scratch, more, rows, first_column, columns, in,
                                  stride);
}

void tamis__project_end(const tamis__projector *projector, void *scratch, uint64_t rows, float *out,
                        size_t out_stride)
{
    const double *sums = scratch;
    uint64_t to = projector->spec.to;
    if (projector->spec.kind == TAMIS__PROJECTION_SPARSE)
        tamis__sparse_end(projector, scratch, rest(projector, scratch, rows), rows);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t j = 0; j < to; j++)
            out[r * out_stride + j] = (float)(sums[r * to + j] * projector->scale);
}

void tamis__project(const tamis__projector *projector, void *scratch, uint64_t rows,
                    const float *in, size_t stride, float *out, size_t out_stride)
{
    tamis__project_begin(projector, scratch, rows);
    tamis__project_columns(projector, scratch, rows, 0, projector->spec.from, in, stride);
    tamis__project_end(projector, scratch, rows, out, out_stride);
}
