/* Reading curvature files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/curvature_file.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"
#include "store/store_origin.h"

struct tamis_curvature {
    tamis__h5 h5;
    tamis_curvature_info info;
    tamis__store_origin origin;
    tamis_layer *layer;
    char *labels, *provenance;
    tamis_whiten_facts whiten;
    uint64_t basis;
};

/* --- facts ------------------------------------------------------------------------------------ */

/* The number of the value of a text attribute among those that are known. */
static tamis_status read_choice(const tamis__h5 *h5, const char *object, const char *name, int n,
                                const char *(*name_at)(int i), int *ret_choice, tamis_error *err)
{
    char *text = NULL;
    TAMIS_TRY(tamis__h5_get_text(h5, object, name, &text, err));
    int i = 0;
    while (i < n && strcmp(name_at(i), text) != 0) i++;
    tamis_status status =
        i < n ? TAMIS_OK
              : tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                            "'%s': attribute %s of %s is '%.40s', which this program does not know",
                            h5->path, name, object, text);
    free(text);
    if (status == TAMIS_OK) *ret_choice = i;
    return status;
}

static const char *kind_at(int i)
{
    return tamis__curvature_kind_name((tamis_curvature_kind)i);
}

static const char *stage_at(int i)
{
    return tamis__curvature_stage_name((tamis_curvature_stage)i);
}

static tamis_status read_texts(tamis_curvature *c, tamis_error *err)
{
    const tamis__h5 *h5 = &c->h5;
    if (tamis__h5_has_attribute(h5, "/", "labels"))
        TAMIS_TRY(tamis__h5_get_text(h5, "/", "labels", &c->labels, err));
    if (tamis__h5_has_attribute(h5, "/", "provenance"))
        TAMIS_TRY(tamis__h5_get_text(h5, "/", "provenance", &c->provenance, err));
    c->info.labels = c->labels;
    c->info.provenance = c->provenance ? c->provenance : "{}";
    return TAMIS_OK;
}

static tamis_status read_numbers(tamis_curvature *c, tamis_error *err)
{
    const tamis__h5 *h5 = &c->h5;
    uint64_t checkpoint = 0;
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "checkpoint", &checkpoint, err));
    c->info.step_known = tamis__h5_has_attribute(h5, "/", "step");
    if (c->info.step_known) TAMIS_TRY(tamis__h5_get_u64(h5, "/", "step", &c->info.step, err));
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "max_block", &c->info.max_block, err));
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "tokens", &c->info.tokens, err));
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "examples", &c->info.examples, err));
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "digest", &c->info.digest, err));
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "basis", &c->basis, err));
    if (checkpoint > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute checkpoint of / is %" PRIu64,
                           h5->path, checkpoint);
    c->info.checkpoint = (uint32_t)checkpoint;
    return TAMIS_OK;
}

static const char *shrinkage_at(int i)
{
    return tamis__shrinkage_name((tamis_shrinkage)i);
}

static const char *unit_at(int i)
{
    return i ? "absolute" : "relative";
}

/* A number that can be no other than finite and at least `least`. */
static tamis_status read_measure(const tamis__h5 *h5, const char *name, double least,
                                 double *ret_value, tamis_error *err)
{
    double value = 0;
    TAMIS_TRY(tamis__h5_get_f64(h5, "whiten", name, &value, err));
    if (!(value >= least) || !isfinite(value))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of whiten is %g", h5->path,
                           name, value);
    *ret_value = value;
    return TAMIS_OK;
}

static tamis_status read_whiten(tamis_curvature *c, tamis_error *err)
{
    const tamis__h5 *h5 = &c->h5;
    tamis_whiten_facts *f = &c->whiten;
    int unit, shrinkage;
    if (c->info.kind != TAMIS_CURVATURE_WHITEN || c->info.stage != TAMIS_STAGE_FINAL)
        return TAMIS_OK;
    TAMIS_TRY(read_measure(h5, "damping", 0, &f->params.damping, err));
    TAMIS_TRY(read_choice(h5, "whiten", "damping_unit", 2, unit_at, &unit, err));
    TAMIS_TRY(read_measure(h5, "damping_in_force", 0, &f->damping, err));
    TAMIS_TRY(read_choice(h5, "whiten", "shrinkage", TAMIS_SHRINKAGE_LEDOIT_WOLF + 1, shrinkage_at,
                          &shrinkage, err));
    TAMIS_TRY(read_measure(h5, "shrinkage_weight", 0, &f->shrinkage, err));
    TAMIS_TRY(read_measure(h5, "eigenvalue_least", -DBL_MAX, &f->least, err));
    TAMIS_TRY(read_measure(h5, "eigenvalue_most", 0, &f->most, err));
    TAMIS_TRY(read_measure(h5, "effective_rank", 0, &f->effective_rank, err));
    TAMIS_TRY(read_measure(h5, "condition", 1, &f->condition, err));
    f->params.absolute = unit == 1;
    f->params.shrinkage = (tamis_shrinkage)shrinkage;
    c->info.whiten = f;
    return TAMIS_OK;
}

/* Stages that files of a kind can be of. */
static tamis_status check_stage(const tamis_curvature *c, tamis_error *err)
{
    if (c->info.stage == TAMIS_STAGE_LAMBDA && c->info.kind != TAMIS_CURVATURE_EKFAC)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': %s has no stage lambda", c->h5.path,
                           tamis__curvature_kind_name(c->info.kind));
    bool factored = c->info.kind == TAMIS_CURVATURE_EKFAC || c->info.kind == TAMIS_CURVATURE_KFAC;
    if ((factored && c->info.tokens == 0) || c->info.examples == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': sums of no %s", c->h5.path,
                           c->info.examples ? "tokens" : "examples");
    return TAMIS_OK;
}

static tamis_status read_facts(tamis_curvature *c, tamis_error *err)
{
    int kind, stage;
    TAMIS_TRY(read_choice(&c->h5, "/", "method", TAMIS_CURVATURE_WHITEN + 1, kind_at, &kind, err));
    TAMIS_TRY(read_choice(&c->h5, "/", "stage", TAMIS_STAGE_FINAL + 1, stage_at, &stage, err));
    c->info.kind = (tamis_curvature_kind)kind;
    c->info.stage = (tamis_curvature_stage)stage;
    TAMIS_TRY(read_numbers(c, err));
    TAMIS_TRY(read_texts(c, err));
    TAMIS_TRY(tamis__layers_read(&c->h5, &c->layer, &c->info.layers, &c->info.columns, err));
    TAMIS_TRY(tamis__store_origin_read(&c->origin, &c->h5, err));
    c->info.layer = c->layer;
    if (c->origin.kind) c->info.projected_by = &c->origin.projection;
    TAMIS_TRY(read_whiten(c, err));
    return check_stage(c, err);
}

/* Every array is there and of its shape. */
static tamis_status check_arrays(const tamis_curvature *c, tamis_error *err)
{
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(&c->info, &place, &started);) {
        char name[TAMIS__CURVATURE_NAME_SIZE];
        uint64_t rows, columns;
        hid_t dataset = 0;
        tamis__curvature_name(&place, name);
        tamis__curvature_shape(&c->info, &place, &rows, &columns);
        TAMIS_TRY(tamis__h5_array_open(&c->h5, name, TAMIS__H5_F64, rows, columns, &dataset, err));
        tamis__h5_array_close(&dataset);
    }
    return TAMIS_OK;
}

/* --- open and close --------------------------------------------------------------------------- */

tamis_status tamis_curvature_open(tamis_curvature **ret_curvature, tamis_context *context,
                                  const char *path, tamis_error *err)
{
    (void)context;
    tamis_curvature *c = tamis__calloc(1, sizeof *c);
    if (!c) return tamis__fail_memory(err, "a curvature file", sizeof *c);
    tamis_status status = tamis__h5_open(&c->h5, path, "curvature", TAMIS_FORMAT_VERSION, err);
    if (status == TAMIS_OK) status = read_facts(c, err);
    if (status == TAMIS_OK) status = check_arrays(c, err);
    if (status == TAMIS_OK)
        *ret_curvature = c;
    else
        tamis_curvature_close(&c);
    return status;
}

void tamis_curvature_close(tamis_curvature **curvature)
{
    if (!curvature || !*curvature) return;
    tamis_curvature *c = *curvature;
    tamis__h5_close(&c->h5);
    tamis__store_origin_fini(&c->origin);
    free(c->layer);
    free(c->labels);
    free(c->provenance);
    free(c);
    *curvature = NULL;
}

const tamis_curvature_info *tamis_curvature_info_get(const tamis_curvature *curvature)
{
    return &curvature->info;
}

const char *tamis_curvature_path(const tamis_curvature *curvature)
{
    return curvature->h5.path;
}

uint64_t tamis__curvature_basis(const tamis_curvature *curvature)
{
    return curvature->basis;
}

/* --- arrays ----------------------------------------------------------------------------------- */

static tamis_status read_row(const tamis__h5 *h5, const char *name, uint64_t n, double *values,
                             tamis_error *err)
{
    void *read = NULL;
    TAMIS_TRY(tamis__h5_read(h5, name, TAMIS__H5_F64, n, 0, &read, err));
    memcpy(values, read, n * sizeof *values);
    free(read);
    return TAMIS_OK;
}

static tamis_status read_matrix(const tamis__h5 *h5, const char *name, uint64_t rows,
                                uint64_t columns, double *values, tamis_error *err)
{
    hid_t dataset = 0;
    const tamis__h5_part part = {0, rows, 0, columns, columns};
    TAMIS_TRY(tamis__h5_array_open(h5, name, TAMIS__H5_F64, rows, columns, &dataset, err));
    tamis_status status = tamis__h5_array_read(h5, dataset, TAMIS__H5_F64, &part, values, err);
    tamis__h5_array_close(&dataset);
    return status;
}

tamis_status tamis__curvature_read(const tamis_curvature *curvature,
                                   const tamis__curvature_place *place, double *ret_values,
                                   tamis_error *err)
{
    const tamis__h5 *h5 = &curvature->h5;
    char name[TAMIS__CURVATURE_NAME_SIZE];
    uint64_t rows, columns;
    tamis__curvature_name(place, name);
    tamis__curvature_shape(&curvature->info, place, &rows, &columns);
    if (columns)
        TAMIS_TRY(read_matrix(h5, name, rows, columns, ret_values, err));
    else
        TAMIS_TRY(read_row(h5, name, rows, ret_values, err));
    for (uint64_t i = 0; i < rows * (columns ? columns : 1); i++)
        if (!isfinite(ret_values[i]))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': dataset '%s', value %" PRIu64 " is not finite", h5->path,
                               name, i);
    return TAMIS_OK;
}
