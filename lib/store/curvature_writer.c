/* Writing curvature files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/curvature_file.h"
#include "store/h5.h"
#include "store/store_origin.h"

struct tamis__curvature_writer {
    tamis__h5 h5;
    const tamis_curvature_info *info;
    uint64_t digest, basis;
    uint32_t group; /* layers that have theirs */
    bool force;
};

static tamis_status write_projection(const tamis__h5 *h5, const tamis_curvature_info *info,
                                     tamis_error *err)
{
    tamis__store_origin origin;
    tamis_store_spec spec = {.path = h5->path, .projection = info->projected_by};
    TAMIS_TRY(tamis__store_origin_copy(&origin, &spec, err));
    tamis_status status = tamis__store_origin_write(&origin, h5, err);
    tamis__store_origin_fini(&origin);
    return status;
}

static tamis_status write_whiten(const tamis__h5 *h5, const tamis_whiten_facts *f, tamis_error *err)
{
    const char *unit = f->params.absolute ? "absolute" : "relative";
    const char *shrinkage = tamis__shrinkage_name(f->params.shrinkage);
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "damping", f->params.damping, err));
    TAMIS_TRY(tamis__h5_put_text(h5, "whiten", "damping_unit", unit, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "damping_in_force", f->damping, err));
    TAMIS_TRY(tamis__h5_put_text(h5, "whiten", "shrinkage", shrinkage, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "shrinkage_weight", f->shrinkage, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "eigenvalue_least", f->least, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "eigenvalue_most", f->most, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "whiten", "effective_rank", f->effective_rank, err));
    return tamis__h5_put_f64(h5, "whiten", "condition", f->condition, err);
}

static tamis_status write_facts(const tamis__h5 *h5, const tamis_curvature_info *info,
                                tamis_error *err)
{
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "method", tamis__curvature_kind_name(info->kind), err));
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "stage", tamis__curvature_stage_name(info->stage), err));
    TAMIS_TRY(tamis__h5_put_u32(h5, "/", "checkpoint", info->checkpoint, err));
    if (info->step_known) TAMIS_TRY(tamis__h5_put_u64(h5, "/", "step", info->step, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "max_block", info->max_block, err));
    if (info->labels) TAMIS_TRY(tamis__h5_put_text(h5, "/", "labels", info->labels, err));
    TAMIS_TRY(tamis__layers_write(h5, info->layer, info->layers, err));
    TAMIS_TRY(write_projection(h5, info, err));
    if (info->kind == TAMIS_CURVATURE_GRAM) return TAMIS_OK;
    if (info->kind != TAMIS_CURVATURE_WHITEN) return tamis__h5_group(h5, "factor", err);
    TAMIS_TRY(tamis__h5_group(h5, "whiten", err));
    return info->stage == TAMIS_STAGE_FINAL ? write_whiten(h5, info->whiten, err) : TAMIS_OK;
}

tamis_status tamis__curvature_create(tamis__curvature_writer **ret_writer, tamis_context *context,
                                     const char *path, const tamis_curvature_info *info, bool force,
                                     tamis_error *err)
{
    TAMIS_TRY(tamis__output_check(path, force, false, err));
    tamis__curvature_writer *writer = tamis__calloc(1, sizeof *writer);
    if (!writer) return tamis__fail_memory(err, "a curvature file", sizeof *writer);
    writer->info = info;
    writer->force = force;
    tamis_status status = tamis__h5_create(&writer->h5, context, path, "curvature",
                                           TAMIS_FORMAT_VERSION, info->provenance, err);
    if (status == TAMIS_OK) status = write_facts(&writer->h5, info, err);
    if (status == TAMIS_OK)
        *ret_writer = writer;
    else
        tamis__curvature_abort(&writer);
    return status;
}

/* A layer's group comes with its first array. */
static tamis_status open_group(tamis__curvature_writer *writer, uint32_t layer, tamis_error *err)
{
    char name[TAMIS__CURVATURE_NAME_SIZE];
    bool dense = writer->info->kind == TAMIS_CURVATURE_GRAM ||
                 writer->info->kind == TAMIS_CURVATURE_WHITEN;
    if (dense || layer < writer->group) return TAMIS_OK;
    snprintf(name, sizeof name, "factor/%u", (unsigned)layer);
    writer->group = layer + 1;
    return tamis__h5_group(&writer->h5, name, err);
}

tamis_status tamis__curvature_put(tamis__curvature_writer *writer,
                                  const tamis__curvature_place *place, const double *values,
                                  tamis_error *err)
{
    char name[TAMIS__CURVATURE_NAME_SIZE];
    uint64_t rows, columns, digest = tamis__curvature_digest(writer->info, place, values);
    tamis__curvature_name(place, name);
    tamis__curvature_shape(writer->info, place, &rows, &columns);
    TAMIS_TRY(open_group(writer, place->layer, err));
    TAMIS_TRY(tamis__h5_write(&writer->h5, name, TAMIS__H5_F64, values, rows, columns, err));
    writer->digest += digest;
    if (place->array >= TAMIS__OUTPUT_VECTORS && place->array <= TAMIS__INPUT_VALUES)
        writer->basis += digest;
    return tamis__h5_written(&writer->h5, err);
}

static tamis_status write_counts(const tamis__curvature_writer *writer, uint64_t tokens,
                                 uint64_t examples, tamis_error *err)
{
    const tamis__h5 *h5 = &writer->h5;
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "tokens", tokens, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "examples", examples, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "basis", writer->basis, err));
    return tamis__h5_put_u64(h5, "/", "digest", writer->digest, err);
}

tamis_status tamis__curvature_commit(tamis__curvature_writer **writer_ptr, uint64_t tokens,
                                     uint64_t examples, tamis_error *err)
{
    tamis__curvature_writer *writer = *writer_ptr;
    tamis_status status = write_counts(writer, tokens, examples, err);
    if (status == TAMIS_OK) {
        status = tamis__h5_commit(&writer->h5, writer->force, err);
        free(writer);
        *writer_ptr = NULL;
    } else {
        tamis__curvature_abort(writer_ptr);
    }
    return status;
}

void tamis__curvature_abort(tamis__curvature_writer **writer)
{
    if (!writer || !*writer) return;
    tamis__h5_close(&(*writer)->h5);
    free(*writer);
    *writer = NULL;
}
