/* Writing a gradient store, in one file or in shards.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_resume.h"
#include "store/store_shard.h"

struct tamis_store_writer {
    tamis__store_plan plan;
    tamis__kernels kernels;
    tamis__shard shard;
    uint64_t next;
    bool made_directory;
    bool old_shards; /* to be removed before the first new one appears */
};

/* --- the plan --------------------------------------------------------------------------------- */

static tamis_status check_spec(const tamis_store_spec *spec, tamis_error *err)
{
    if (!spec->path) return tamis__fail(err, TAMIS_ERR_ARG, "the output store has no name");
    if (spec->rows == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot write '%s': a store needs at least one row",
                           spec->path);
    if (spec->rows > (uint64_t)INT64_MAX / 256)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot write '%s': too many rows", spec->path);
    if (spec->layers == 0 || !spec->layer)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot write '%s': a store needs a layer",
                           spec->path);
    if (spec->checkpoints == 0 || !spec->checkpoint)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot write '%s': a store needs a checkpoint",
                           spec->path);
    if (spec->form != TAMIS_FORM_FULL && spec->form != TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot write '%s': there is no form %d", spec->path,
                           (int)spec->form);
    if (spec->form == TAMIS_FORM_FACTORS && spec->projection)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "cannot write '%s': projected rows are no sum of outer products: store "
                           "them in full form",
                           spec->path);
    if (spec->rows_per_example > 1 && spec->rows % spec->rows_per_example)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "cannot write '%s': %llu rows are no whole number of examples of %u rows "
            "each",
            spec->path, (unsigned long long)spec->rows, (unsigned)spec->rows_per_example);
    for (uint32_t k = 0; k < spec->checkpoints; k++)
        if (!(spec->checkpoint[k].learning_rate > 0) ||
            !isfinite(spec->checkpoint[k].learning_rate))
            return tamis__fail(
                err, TAMIS_ERR_ARG,
                "cannot write '%s': checkpoint %u has learning rate %g: it must be > 0", spec->path,
                (unsigned)k, spec->checkpoint[k].learning_rate);
    return TAMIS_OK;
}

static void plan_fini(tamis__store_plan *plan)
{
    free(plan->path);
    free(plan->provenance);
    free(plan->layer);
    free(plan->checkpoint);
    tamis__store_origin_fini(&plan->origin);
    *plan = (tamis__store_plan){0};
}

static tamis_status copy_spec(tamis__store_plan *plan, const tamis_store_spec *spec,
                              tamis_error *err)
{
    plan->path = tamis__strdup(spec->path);
    plan->provenance = tamis__strdup(spec->provenance ? spec->provenance : "{}");
    plan->layer = tamis__calloc(spec->layers, sizeof *plan->layer);
    plan->checkpoint = tamis__calloc(spec->checkpoints, sizeof *plan->checkpoint);
    if (!plan->path || !plan->provenance || !plan->layer || !plan->checkpoint)
        return tamis__fail_memory(err, "the plan of a store", spec->layers * sizeof *plan->layer);
    memcpy(plan->layer, spec->layer, spec->layers * sizeof *plan->layer);
    memcpy(plan->checkpoint, spec->checkpoint, spec->checkpoints * sizeof *plan->checkpoint);
    TAMIS_TRY(tamis__store_origin_copy(&plan->origin, spec, err));
    plan->layers = spec->layers;
    plan->checkpoints = spec->checkpoints;
    plan->dtype = spec->dtype;
    plan->rows = spec->rows;
    plan->classes = spec->classes;
    plan->outputs = spec->outputs;
    plan->form = spec->form;
    plan->replace = spec->force || (spec->resume && spec->shard_rows);
    return TAMIS_OK;
}

/* Widths of chunks and shards. */
static tamis_status measure(tamis__store_plan *plan, uint64_t shard_rows, tamis_error *err)
{
    TAMIS_TRY(tamis__layers_check(plan->layer, plan->layers, &plan->columns, err));
    uint64_t width = plan->columns;
    if (plan->form == TAMIS_FORM_FACTORS) {
        tamis__layers_factor_columns(plan->layer, plan->layers, &plan->input_columns,
                                     &plan->output_columns);
        width = plan->input_columns + plan->output_columns;
    }
    if (width >= (UINT64_C(1) << 32) / tamis_dtype_size(plan->dtype))
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "cannot write '%s': a row has %llu columns, and HDF5 takes at most 4 GiB a row",
            plan->path, (unsigned long long)width);
    uint64_t rows = shard_rows && shard_rows < plan->rows ? shard_rows : plan->rows;
    plan->chunk_rows = tamis__store_chunk_rows(rows, width, plan->dtype);
    if (shard_rows == 0) return TAMIS_OK;
    plan->shard_rows = (rows + plan->chunk_rows - 1) / plan->chunk_rows * plan->chunk_rows;
    if ((plan->rows - 1) / plan->shard_rows >= TAMIS__SHARDS_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "cannot write '%s': shards of %llu rows would make more than %u files",
                           plan->path, (unsigned long long)plan->shard_rows, TAMIS__SHARDS_MAX);
    return TAMIS_OK;
}

static tamis_status start(tamis_store_writer *writer, const tamis_store_spec *spec,
                          tamis_error *err)
{
    TAMIS_TRY(copy_spec(&writer->plan, spec, err));
    TAMIS_TRY(measure(&writer->plan, spec->shard_rows, err));
    writer->old_shards = spec->force && !spec->resume && spec->shard_rows;
    return tamis__store_prepare(&writer->plan, spec->force, spec->resume, &writer->next,
                                &writer->made_directory, err);
}

tamis_status tamis_store_writer_open(tamis_store_writer **ret_writer, tamis_context *context,
                                     const tamis_store_spec *spec, tamis_error *err)
{
    TAMIS_TRY(check_spec(spec, err));
    tamis_store_writer *writer = tamis__calloc(1, sizeof *writer);
    if (!writer) return tamis__fail_memory(err, "a store writer", sizeof *writer);
    writer->plan.context = context;
    tamis__kernels_init(&writer->kernels, context ? tamis_context_cpu(context) : 0);
    tamis_status status = start(writer, spec, err);
    if (status != TAMIS_OK)
        tamis_store_writer_abort(&writer);
    else
        *ret_writer = writer;
    return status;
}

uint64_t tamis_store_writer_next(const tamis_store_writer *writer)
{
    return writer->next;
}

uint64_t tamis__store_writer_chunk_rows(const tamis_store_writer *writer)
{
    return writer->plan.chunk_rows;
}

/* --- shards ----------------------------------------------------------------------------------- */

static tamis_status open_shard(tamis_store_writer *writer, tamis_error *err)
{
    const tamis__store_plan *plan = &writer->plan;
    if (writer->shard.plan) return TAMIS_OK;
    if (!plan->shard_rows)
        return tamis__shard_open(&writer->shard, plan, plan->path, 0, plan->rows, err);
    uint64_t left = plan->rows - writer->next,
             rows = left < plan->shard_rows ? left : plan->shard_rows;
    char *path = tamis__shard_path(plan->path, (uint32_t)(writer->next / plan->shard_rows));
    if (!path) return tamis__fail_memory(err, "a file name", strlen(plan->path));
    tamis_status status = tamis__shard_open(&writer->shard, plan, path, writer->next, rows, err);
    free(path);
    return status;
}

static tamis_status finish_shard(tamis_store_writer *writer, tamis_error *err)
{
    if (writer->old_shards) {
        TAMIS_TRY(tamis__store_clear(&writer->plan, err));
        writer->old_shards = false;
    }
    return tamis__shard_finish(&writer->shard, err);
}

/* A full shard is committed at once; the last one waits for _commit(). */
static tamis_status close_shard(tamis_store_writer *writer, tamis_error *err)
{
    const tamis__shard *shard = &writer->shard;
    if (shard->filled < shard->rows || writer->next == writer->plan.rows) return TAMIS_OK;
    return finish_shard(writer, err);
}

static tamis_status check_room(const tamis_store_writer *writer, uint64_t rows, tamis_error *err)
{
    if (rows <= writer->plan.rows - writer->next) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s' was announced with %llu rows, and there are more",
                       writer->plan.path, (unsigned long long)writer->plan.rows);
}

static tamis_status wrong_form(const tamis_store_writer *writer, tamis_error *err)
{
    bool full = writer->plan.form == TAMIS_FORM_FULL;
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s' was announced in %s form, and the rows are %s",
                       writer->plan.path, full ? "full" : "factor",
                       full ? "factors" : "whole gradients");
}

/* --- rows ------------------------------------------------------------------------------------- */

tamis_status tamis_store_writer_append(tamis_store_writer *writer, uint64_t rows,
                                       const float *const *gradient, const tamis_examples *examples,
                                       const float *const *loss, const float *const *margin,
                                       const float *const *probability, tamis_error *err)
{
    tamis__store_block block = {
        .rows = rows, .loss = loss, .margin = margin, .probability = probability};
    if (examples) block.examples = *examples;
    if (writer->plan.form != TAMIS_FORM_FULL) return wrong_form(writer, err);
    TAMIS_TRY(check_room(writer, rows, err));
    for (uint64_t done = 0; done < rows;) {
        TAMIS_TRY(open_shard(writer, err));
        uint64_t room = writer->shard.rows - writer->shard.filled,
                 n = rows - done < room ? rows - done : room;
        TAMIS_TRY(
            tamis__shard_append(&writer->shard, &writer->kernels, gradient, &block, done, n, err));
        done += n;
        writer->next += n;
        TAMIS_TRY(close_shard(writer, err));
    }
    return TAMIS_OK;
}

static tamis_status check_offsets(const uint64_t *offset, uint64_t rows, uint64_t next,
                                  tamis_error *err)
{
    for (uint64_t i = 0; i < rows; i++)
        if (offset[i + 1] < offset[i])
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "row %llu: its offsets fall from %llu to %llu tokens",
                               (unsigned long long)(next + i), (unsigned long long)offset[i],
                               (unsigned long long)offset[i + 1]);
    return TAMIS_OK;
}

tamis_status tamis_store_writer_append_factors(tamis_store_writer *writer, uint64_t rows,
                                               const uint64_t *offset, const float *const *input,
                                               const float *const *output_gradient,
                                               const tamis_examples *examples,
                                               const float *const *loss, const float *const *margin,
                                               const float *const *probability, tamis_error *err)
{
    tamis__store_block block = {
        .rows = rows, .offset = offset, .loss = loss, .margin = margin, .probability = probability};
    if (examples) block.examples = *examples;
    if (writer->plan.form != TAMIS_FORM_FACTORS) return wrong_form(writer, err);
    TAMIS_TRY(check_room(writer, rows, err));
    TAMIS_TRY(check_offsets(offset, rows, writer->next, err));
    for (uint64_t done = 0; done < rows;) {
        TAMIS_TRY(open_shard(writer, err));
        uint64_t room = writer->shard.rows - writer->shard.filled,
                 n = rows - done < room ? rows - done : room;
        TAMIS_TRY(tamis__shard_append_factors(&writer->shard, &writer->kernels, input,
                                              output_gradient, &block, done, n, err));
        done += n;
        writer->next += n;
        TAMIS_TRY(close_shard(writer, err));
    }
    return TAMIS_OK;
}

tamis__factor_shape tamis__plan_factor_shape(const tamis__store_plan *plan)
{
    return (tamis__factor_shape){.layer = plan->layer,
                                 .layers = plan->layers,
                                 .dtype = plan->dtype,
                                 .input_columns = plan->input_columns,
                                 .output_columns = plan->output_columns};
}

tamis__factor_shape tamis__store_writer_factor_shape(const tamis_store_writer *writer)
{
    return tamis__plan_factor_shape(&writer->plan);
}

/* The digest of some rows of a block: only needed when a block goes on into the next shard. */
static uint64_t part_digest(const tamis_store_writer *writer, const tamis__store_block *block,
                            uint64_t offset, uint64_t n)
{
    const tamis__store_plan *plan = &writer->plan;
    uint64_t sum = 0;
    if (plan->form == TAMIS_FORM_FACTORS) {
        tamis__factor_shape shape = tamis__plan_factor_shape(plan);
        for (uint32_t k = 0; k < plan->checkpoints; k++) {
            tamis__factor_rows rows = tamis__block_factors(block, &shape, k, offset);
            sum += tamis__store_factors_digest(&shape, &rows, n, block->offset + offset,
                                               writer->next, k);
        }
        return sum;
    }
    for (uint32_t k = 0; k < plan->checkpoints; k++) {
        const unsigned char *rows = block->gradient[k];
        const float *scale = block->scale ? block->scale[k] + offset : NULL;
        rows += offset * plan->columns * tamis_dtype_size(plan->dtype);
        sum += tamis__store_rows_digest(rows, scale, n, writer->next, plan->columns, plan->dtype,
                                        k);
    }
    return sum;
}

tamis_status tamis__store_writer_put_block(tamis_store_writer *writer,
                                           const tamis__store_block *block, tamis_error *err)
{
    uint64_t chunk = writer->plan.chunk_rows, end = writer->next + block->rows;
    bool factors = writer->plan.form == TAMIS_FORM_FACTORS;
    if (factors != (block->offset != NULL)) return wrong_form(writer, err);
    TAMIS_TRY(check_room(writer, block->rows, err));
    if (factors) TAMIS_TRY(check_offsets(block->offset, block->rows, writer->next, err));
    if (!factors && (writer->next % chunk || (end % chunk && end != writer->plan.rows)))
        return tamis__fail(
            err, TAMIS_ERR_ARG, "rows %llu to %llu are not whole chunks of %llu rows",
            (unsigned long long)writer->next, (unsigned long long)end, (unsigned long long)chunk);
    for (uint64_t done = 0; done < block->rows;) {
        TAMIS_TRY(open_shard(writer, err));
        uint64_t left = block->rows - done, room = writer->shard.rows - writer->shard.filled;
        uint64_t n = left < room ? left : room;
        writer->shard.digest += n == block->rows ? block->digest
                                                 : part_digest(writer, block, done, n);
        TAMIS_TRY(factors ? tamis__shard_put_factors(&writer->shard, block, done, n, err)
                          : tamis__shard_put(&writer->shard, block, done, n, err));
        done += n;
        writer->next += n;
        TAMIS_TRY(close_shard(writer, err));
    }
    return TAMIS_OK;
}

/* --- the end ---------------------------------------------------------------------------------- */

tamis_status tamis_store_writer_commit(tamis_store_writer **writer, tamis_error *err)
{
    tamis_store_writer *w = *writer;
    tamis_status status = TAMIS_OK;
    if (w->next < w->plan.rows)
        status = tamis__fail(
            err, TAMIS_ERR_ARG, "'%s' was announced with %llu rows, and there are only %llu",
            w->plan.path, (unsigned long long)w->plan.rows, (unsigned long long)w->next);
    else if (w->shard.plan)
        status = finish_shard(w, err);
    tamis_store_writer_abort(writer);
    return status;
}

void tamis_store_writer_abort(tamis_store_writer **writer)
{
    if (!writer || !*writer) return;
    tamis_store_writer *w = *writer;
    if (w->shard.plan) tamis__shard_abort(&w->shard);
    if (w->made_directory) (void)rmdir(w->plan.path); /* succeeds only when nothing was committed */
    plan_fini(&w->plan);
    free(w);
    *writer = NULL;
}
