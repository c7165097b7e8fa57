/* One file of a gradient store while it is written.
 *
 * Gradients come first in the file: what lies before them is HDF5's own and a multiple of 8 bytes
 * long, so that rows can be used in place whatever the names and ids behind them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_shard.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static size_t row_bytes(const tamis__store_plan *plan)
{
    return plan->columns * tamis_dtype_size(plan->dtype);
}

/* --- opening ---------------------------------------------------------------------------------- */

static hid_t gradient_list(const hsize_t chunk[2])
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0) return list;
    if (H5Pset_obj_track_times(list, false) >= 0 && H5Pset_chunk(list, 2, chunk) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        return list;
    H5Pclose(list);
    return -1;
}

static tamis_status create_gradient(tamis__shard *shard, uint32_t k, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    const hsize_t dims[2] = {shard->rows, plan->columns},
                  chunk[2] = {shard->chunk_rows, plan->columns};
    tamis__store_name name = tamis__store_name_of(k, "gradient");
    tamis_status status = TAMIS_OK;
    hid_t dataset = -1;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", shard->h5.path);
    hid_t type = tamis__store_type(plan->dtype), space = H5Screate_simple(2, dims, NULL);
    hid_t list = gradient_list(chunk);
    if (type >= 0 && space >= 0 && list >= 0)
        dataset = H5Dcreate2(shard->h5.file, name.text, type, space, H5P_DEFAULT, list,
                             H5P_DEFAULT);
    if (dataset < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset '%s'",
                                shard->h5.path, name.text);
    else
        shard->gradient[k] = dataset;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (list >= 0) H5Pclose(list);
    return status;
}

static tamis_status create_groups(tamis__shard *shard, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    const tamis__h5 *h5 = &shard->h5;
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "first_row", shard->first, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "rows", shard->rows, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, "/", "total_rows", plan->rows, err));
    if (plan->form == TAMIS_FORM_FACTORS)
        TAMIS_TRY(tamis__h5_put_text(h5, "/", "form", "factors", err));
    TAMIS_TRY(tamis__store_origin_write(&plan->origin, h5, err));
    TAMIS_TRY(tamis__h5_group(h5, "checkpoint", err));
    for (uint32_t k = 0; k < plan->checkpoints; k++) {
        tamis__store_name group = tamis__store_name_of(k, NULL);
        TAMIS_TRY(tamis__h5_group(h5, group.text, err));
        TAMIS_TRY(tamis__h5_put_u64(h5, group.text, "step", plan->checkpoint[k].step, err));
        TAMIS_TRY(tamis__h5_put_f64(h5, group.text, "learning_rate",
                                    plan->checkpoint[k].learning_rate, err));
        if (plan->form == TAMIS_FORM_FULL) TAMIS_TRY(create_gradient(shard, k, err));
    }
    return plan->form == TAMIS_FORM_FULL ? TAMIS_OK : tamis__shard_open_sinks(shard, err);
}

static bool allocate_values(float ***array, const tamis__shard *shard, uint64_t columns)
{
    *array = tamis__calloc(shard->plan->checkpoints, sizeof **array);
    for (uint32_t k = 0; *array && k < shard->plan->checkpoints; k++) {
        (*array)[k] = tamis__malloc(shard->rows * columns, sizeof(float));
        if (!(*array)[k]) return false;
    }
    return *array != NULL;
}

static bool allocate(tamis__shard *shard)
{
    const tamis__store_plan *plan = shard->plan;
    bool factors = plan->form == TAMIS_FORM_FACTORS;
    shard->gradient = tamis__calloc(plan->checkpoints, sizeof *shard->gradient);
    shard->chunk = tamis__calloc(plan->checkpoints, sizeof *shard->chunk);
    if (!shard->gradient || !shard->chunk || !allocate_values(&shard->norm, shard, 1)) return false;
    if (factors) {
        shard->sink = tamis__calloc(plan->checkpoints, sizeof *shard->sink);
        shard->offset = tamis__calloc(shard->rows + 1, sizeof *shard->offset);
        if (!shard->sink || !shard->offset) return false;
    }
    if (plan->dtype == TAMIS_I8 && !factors && !allocate_values(&shard->scale, shard, 1))
        return false;
    if (plan->outputs &&
        (!allocate_values(&shard->loss, shard, 1) || !allocate_values(&shard->margin, shard, 1)))
        return false;
    return !plan->classes || allocate_values(&shard->probability, shard, plan->classes);
}

tamis_status tamis__shard_open(tamis__shard *shard, const tamis__store_plan *plan, const char *path,
                               uint64_t first, uint64_t rows, tamis_error *err)
{
    tamis__h5_scope scope;
    *shard = (tamis__shard){.plan = plan, .first = first, .rows = rows};
    shard->chunk_rows = at_most(plan->chunk_rows, rows);
    if (!allocate(shard)) {
        tamis__shard_abort(shard);
        return tamis__fail_memory(err, "the norms and outputs of a shard",
                                  rows * plan->checkpoints * sizeof(float) * (1 + plan->classes));
    }
    tamis__h5_enter(&scope);
    uint32_t version = plan->form == TAMIS_FORM_FACTORS ? TAMIS__STORE_VERSION_FACTORS
                                                        : TAMIS__STORE_VERSION_FULL;
    tamis_status status = tamis__h5_create(&shard->h5, plan->context, path, TAMIS__STORE_KIND,
                                           version, plan->provenance, err);
    if (status == TAMIS_OK) status = create_groups(shard, err);
    if (status != TAMIS_OK) tamis__shard_abort(shard);
    tamis__h5_leave(&scope);
    return status;
}

/* --- columns of one value a row --------------------------------------------------------------- */

static tamis_status start_columns(tamis__shard *shard, const tamis_examples *e, tamis_error *err)
{
    uint64_t rows = shard->rows;
    if (e->id_number && !e->id_text)
        shard->id_number = tamis__malloc(rows, sizeof *shard->id_number);
    if (e->id_text) shard->id_text.at = tamis__malloc(rows, sizeof *shard->id_text.at);
    if (e->digest) shard->source_digest = tamis__malloc(rows, sizeof *shard->source_digest);
    if (e->label) shard->label = tamis__malloc(rows, sizeof *shard->label);
    if (e->length) shard->length = tamis__malloc(rows, sizeof *shard->length);
    if (e->group) shard->group = tamis__malloc(rows, sizeof *shard->group);
    if (e->group_name) shard->group_name = tamis__texts_copy(e->group_name, e->groups);
    shard->groups = e->group_name ? e->groups : 0;
    if (e->class_name) shard->class_name = tamis__texts_copy(e->class_name, e->classes);
    shard->classes = e->class_name ? e->classes : 0;
    shard->columns_known = true;
    if ((e->id_number && !e->id_text && !shard->id_number) || (e->id_text && !shard->id_text.at) ||
        (e->digest && !shard->source_digest) || (e->label && !shard->label) ||
        (e->length && !shard->length) || (e->group && !shard->group) ||
        (e->group_name && !shard->group_name) || (e->class_name && !shard->class_name))
        return tamis__fail_memory(err, "the columns of the examples", rows * sizeof(uint64_t));
    return TAMIS_OK;
}

static bool same_columns(const tamis__shard *shard, const tamis_examples *e)
{
    return !e->id_text == !shard->id_text.at &&
           (e->id_text || !e->id_number == !shard->id_number) &&
           !e->digest == !shard->source_digest && !e->label == !shard->label &&
           !e->length == !shard->length && !e->group == !shard->group &&
           (e->group_name ? e->groups : 0) == shard->groups &&
           (e->class_name ? e->classes : 0) == shard->classes;
}

static tamis_status add_text(tamis__text_column *column, uint64_t row, const char *text,
                             tamis_error *err)
{
    size_t size = strlen(text) + 1;
    if (size > column->room - column->used) {
        size_t room = 2 * column->room + size + 4096;
        char *grown = tamis__realloc(column->bytes, room, 1);
        if (!grown) return tamis__fail_memory(err, "ids", room);
        column->bytes = grown;
        column->room = room;
    }
    memcpy(column->bytes + column->used, text, size);
    column->at[row] = column->used;
    column->used += size;
    return TAMIS_OK;
}

static tamis_status copy_examples(tamis__shard *shard, const tamis_examples *e, uint64_t offset,
                                  uint64_t n, tamis_error *err)
{
    uint64_t to = shard->filled;
    if (!shard->columns_known) TAMIS_TRY(start_columns(shard, e, err));
    if (!same_columns(shard, e))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "row %llu: ids, digests, labels, lengths or groups are given for some "
                           "rows and not for others",
                           (unsigned long long)(shard->first + to));
    if (shard->id_number)
        memcpy(shard->id_number + to, e->id_number + offset, n * sizeof *e->id_number);
    if (shard->source_digest)
        memcpy(shard->source_digest + to, e->digest + offset, n * sizeof *e->digest);
    if (shard->label) memcpy(shard->label + to, e->label + offset, n * sizeof *e->label);
    if (shard->length) memcpy(shard->length + to, e->length + offset, n * sizeof *e->length);
    if (shard->group) memcpy(shard->group + to, e->group + offset, n * sizeof *e->group);
    for (uint64_t i = 0; shard->id_text.at && i < n; i++)
        TAMIS_TRY(add_text(&shard->id_text, to + i, e->id_text[offset + i], err));
    return TAMIS_OK;
}

static void copy_values(float **to, const float *const *from, const tamis__shard *shard,
                        uint64_t columns, uint64_t offset, uint64_t n)
{
    for (uint32_t k = 0; to && k < shard->plan->checkpoints; k++)
        memcpy(to[k] + shard->filled * columns, from[k] + offset * columns,
               n * columns * sizeof(float));
}

tamis_status tamis__shard_columns(tamis__shard *shard, const tamis__store_block *block,
                                  uint64_t offset, uint64_t n, tamis_error *err)
{
    if ((shard->loss && (!block->loss || !block->margin)) ||
        (shard->probability && !block->probability))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' was announced with outputs, and there are none", shard->h5.path);
    TAMIS_TRY(copy_examples(shard, &block->examples, offset, n, err));
    copy_values(shard->loss, block->loss, shard, 1, offset, n);
    copy_values(shard->margin, block->margin, shard, 1, offset, n);
    copy_values(shard->probability, block->probability, shard, shard->plan->classes, offset, n);
    return TAMIS_OK;
}

/* --- gradients -------------------------------------------------------------------------------- */

static tamis_status write_chunk(const tamis__shard *shard, uint32_t k, uint64_t first,
                                const void *bytes, tamis_error *err)
{
    const hsize_t offset[2] = {first, 0};
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", shard->h5.path);
    tamis__h5_enter(&scope);
    if (H5Dwrite_chunk(shard->gradient[k], H5P_DEFAULT, 0, offset,
                       shard->chunk_rows * row_bytes(shard->plan), bytes) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", shard->h5.path);
    tamis__h5_leave(&scope);
    return status == TAMIS_OK ? tamis__h5_written(&shard->h5, err) : status;
}

/* The chunk buffers, when they are needed first. Zeroed: the end of the last chunk is written. */
static tamis_status need_chunks(tamis__shard *shard, tamis_error *err)
{
    size_t size = shard->chunk_rows * row_bytes(shard->plan);
    for (uint32_t k = 0; k < shard->plan->checkpoints; k++) {
        if (!shard->chunk[k]) shard->chunk[k] = tamis__aligned(size, 1);
        if (!shard->chunk[k]) return tamis__fail_memory(err, "rows to be written", size);
    }
    return TAMIS_OK;
}

/* Rows from `first` on wait in the chunk buffers: out with them, the rest of the chunk zero. */
static tamis_status write_waiting(tamis__shard *shard, uint64_t first, uint64_t n, tamis_error *err)
{
    size_t size = row_bytes(shard->plan);
    for (uint32_t k = 0; k < shard->plan->checkpoints; k++) {
        memset(shard->chunk[k] + n * size, 0, (shard->chunk_rows - n) * size);
        TAMIS_TRY(write_chunk(shard, k, first, shard->chunk[k], err));
    }
    return TAMIS_OK;
}

static tamis_status append_some(tamis__shard *shard, const tamis__kernels *kernels,
                                const float *const *gradient, uint64_t offset, uint64_t n,
                                tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    uint64_t waiting = shard->filled % shard->chunk_rows, row = shard->first + shard->filled;
    for (uint32_t k = 0; k < plan->checkpoints; k++) {
        unsigned char *to = shard->chunk[k] + waiting * row_bytes(plan);
        float *scale = shard->scale ? shard->scale[k] + shard->filled : NULL;
        TAMIS_TRY(tamis__store_rows_narrow(kernels, plan->dtype,
                                           gradient[k] + offset * plan->columns, n, plan->columns,
                                           row, k, to, scale, shard->norm[k] + shard->filled, err));
        shard->digest += tamis__store_rows_digest(to, scale, n, row, plan->columns, plan->dtype, k);
    }
    if (waiting + n == shard->chunk_rows || shard->filled + n == shard->rows)
        TAMIS_TRY(write_waiting(shard, shard->filled - waiting, waiting + n, err));
    return TAMIS_OK;
}

tamis_status tamis__shard_append(tamis__shard *shard, const tamis__kernels *kernels,
                                 const float *const *gradient, const tamis__store_block *block,
                                 uint64_t offset, uint64_t n, tamis_error *err)
{
    TAMIS_TRY(need_chunks(shard, err));
    while (n > 0) {
        uint64_t some = at_most(n, shard->chunk_rows - shard->filled % shard->chunk_rows);
        TAMIS_TRY(tamis__shard_columns(shard, block, offset, some, err));
        TAMIS_TRY(append_some(shard, kernels, gradient, offset, some, err));
        shard->filled += some;
        offset += some;
        n -= some;
    }
    return TAMIS_OK;
}

static tamis_status put_gradient(tamis__shard *shard, uint32_t k, const unsigned char *rows,
                                 uint64_t n, tamis_error *err)
{
    size_t size = row_bytes(shard->plan);
    uint64_t whole = n - n % shard->chunk_rows;
    for (uint64_t i = 0; i < whole; i += shard->chunk_rows)
        TAMIS_TRY(write_chunk(shard, k, shard->filled + i, rows + i * size, err));
    if (whole == n) return TAMIS_OK;
    TAMIS_TRY(need_chunks(shard, err));
    memcpy(shard->chunk[k], rows + whole * size, (n - whole) * size);
    memset(shard->chunk[k] + (n - whole) * size, 0, (shard->chunk_rows - (n - whole)) * size);
    return write_chunk(shard, k, shard->filled + whole, shard->chunk[k], err);
}

tamis_status tamis__shard_put(tamis__shard *shard, const tamis__store_block *block, uint64_t offset,
                              uint64_t n, tamis_error *err)
{
    size_t size = row_bytes(shard->plan);
    TAMIS_TRY(tamis__shard_columns(shard, block, offset, n, err));
    copy_values(shard->norm, block->norm, shard, 1, offset, n);
    copy_values(shard->scale, block->scale, shard, 1, offset, n);
    for (uint32_t k = 0; k < shard->plan->checkpoints; k++) {
        const unsigned char *rows = block->gradient[k];
        TAMIS_TRY(put_gradient(shard, k, rows + offset * size, n, err));
    }
    shard->filled += n;
    return TAMIS_OK;
}

/* --- finishing -------------------------------------------------------------------------------- */

static tamis_status write_values(const tamis__shard *shard, const char *name, float **values,
                                 uint64_t columns, tamis_error *err)
{
    for (uint32_t k = 0; values && k < shard->plan->checkpoints; k++)
        TAMIS_TRY(tamis__h5_write(&shard->h5, tamis__store_name_of(k, name).text, TAMIS__H5_F32,
                                  values[k], shard->rows, columns, err));
    return TAMIS_OK;
}

static tamis_status write_examples(const tamis__shard *shard, tamis_error *err)
{
    const char **id = NULL;
    if (shard->id_text.at) {
        id = tamis__malloc(shard->rows, sizeof *id);
        if (!id) return tamis__fail_memory(err, "ids", shard->rows * sizeof *id);
        for (uint64_t i = 0; i < shard->rows; i++)
            id[i] = shard->id_text.bytes + shard->id_text.at[i];
    }
    tamis_examples examples = {
        .id_number = shard->id_number,
        .id_text = id,
        .digest = shard->source_digest,
        .label = shard->label,
        .length = shard->length,
        .group = shard->group,
        .group_name = (const char *const *)shard->group_name,
        .groups = shard->groups,
        .class_name = (const char *const *)shard->class_name,
        .classes = shard->classes,
    };
    tamis_status status = tamis__examples_write(&shard->h5, "example", &examples, shard->rows, err);
    free(id);
    return status;
}

static tamis_status write_columns(tamis__shard *shard, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    for (uint32_t k = 0; k < plan->checkpoints; k++) tamis__h5_array_close(&shard->gradient[k]);
    if (shard->sink) TAMIS_TRY(tamis__shard_close_sinks(shard, err));
    TAMIS_TRY(write_values(shard, "scale", shard->scale, 0, err));
    TAMIS_TRY(write_values(shard, "norm", shard->norm, 0, err));
    TAMIS_TRY(write_values(shard, "loss", shard->loss, 0, err));
    TAMIS_TRY(write_values(shard, "margin", shard->margin, 0, err));
    TAMIS_TRY(write_values(shard, "probability", shard->probability, plan->classes, err));
    TAMIS_TRY(write_examples(shard, err));
    TAMIS_TRY(tamis__layers_write(&shard->h5, plan->layer, plan->layers, err));
    return tamis__h5_put_u64(&shard->h5, "/", "digest", shard->digest, err);
}

tamis_status tamis__shard_finish(tamis__shard *shard, tamis_error *err)
{
    tamis_status status = write_columns(shard, err);
    if (status == TAMIS_OK) status = tamis__h5_commit(&shard->h5, shard->plan->replace, err);
    tamis__shard_abort(shard); /* frees; nothing is left to remove after a commit */
    return status;
}

static void free_values(float **values, uint32_t checkpoints)
{
    for (uint32_t k = 0; values && k < checkpoints; k++) free(values[k]);
    free(values);
}

void tamis__shard_abort(tamis__shard *shard)
{
    uint32_t n = shard->plan ? shard->plan->checkpoints : 0;
    for (uint32_t k = 0; shard->gradient && k < n; k++) tamis__h5_array_close(&shard->gradient[k]);
    for (uint32_t k = 0; shard->chunk && k < n; k++) free(shard->chunk[k]);
    tamis__shard_free_sinks(shard);
    if (shard->h5.path) tamis__h5_close(&shard->h5);
    free(shard->gradient);
    free(shard->chunk);
    free_values(shard->scale, n);
    free_values(shard->norm, n);
    free_values(shard->loss, n);
    free_values(shard->margin, n);
    free_values(shard->probability, n);
    free(shard->id_number);
    free(shard->source_digest);
    free(shard->label);
    free(shard->length);
    free(shard->group);
    free(shard->id_text.bytes);
    free(shard->id_text.at);
    free(shard->group_name);
    free(shard->class_name);
    *shard = (tamis__shard){0};
}
