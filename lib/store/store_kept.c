/* What an open store makes when it is first asked for: norms, scales of rows of i8, offsets of
 * tokens.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_factors.h"
#include "store/store_object.h"
#include "store/store_pages.h"
#include "store/store_writer.h"

/* Values widened at a time when norms are computed. */
#define SLICE ((size_t)1 << 16)

struct tamis__store_kept {
    pthread_mutex_t lock; /* of the rest */
    uint32_t checkpoints;
    float **norm, **scale; /* [checkpoints] or NULL */
    uint64_t **offset;     /* the same */
};

tamis__store_kept *tamis__store_kept_create(uint32_t checkpoints)
{
    tamis__store_kept *kept = tamis__calloc(1, sizeof *kept);
    if (!kept) return NULL;
    (void)pthread_mutex_init(&kept->lock, NULL);
    kept->norm = tamis__calloc(checkpoints, sizeof *kept->norm);
    kept->scale = tamis__calloc(checkpoints, sizeof *kept->scale);
    kept->offset = tamis__calloc(checkpoints, sizeof *kept->offset);
    if (kept->norm && kept->scale && kept->offset) {
        kept->checkpoints = checkpoints;
        return kept;
    }
    tamis__store_kept_free(kept);
    return NULL;
}

void tamis__store_kept_free(tamis__store_kept *kept)
{
    if (!kept) return;
    for (uint32_t k = 0; k < kept->checkpoints; k++) {
        free(kept->norm[k]);
        free(kept->scale[k]);
        free(kept->offset[k]);
    }
    pthread_mutex_destroy(&kept->lock);
    free(kept->norm);
    free(kept->scale);
    free(kept->offset);
    free(kept);
}

static tamis_status check_checkpoint(const tamis_store *store, uint32_t checkpoint,
                                     tamis_error *err)
{
    if (checkpoint < store->info.checkpoints) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has %u checkpoints: number %u asked for",
                       store->path, (unsigned)store->info.checkpoints, (unsigned)checkpoint);
}

/* --- scales ----------------------------------------------------------------------------------- */

static tamis_status read_scales(const tamis_store *store, uint32_t checkpoint, float *scale,
                                tamis_error *err)
{
    for (uint32_t i = 0; i < store->info.shards; i++) {
        const tamis__store_part *part = &store->part[i];
        float *out = scale + part->header.first_row;
        TAMIS_TRY(tamis__store_part_values(part, checkpoint, TAMIS__SCALE, out, err));
        tamis__store_touched(store, part->header.rows * sizeof *out);
        for (uint64_t row = 0; row < part->header.rows; row++)
            if (!(out[row] >= 0.0f && isfinite(out[row])))
                return tamis__fail(
                    err, TAMIS_ERR_FORMAT,
                    "'%s': dataset 'checkpoint/%u/scale': row %llu has the scale %g: it must be "
                    "finite and not negative; make the file again",
                    part->path, (unsigned)checkpoint,
                    (unsigned long long)(part->header.first_row + row), (double)out[row]);
    }
    return TAMIS_OK;
}

/* With the lock held. */
static tamis_status need_scales(const tamis_store *store, uint32_t checkpoint, tamis_error *err)
{
    float **kept = &store->kept->scale[checkpoint];
    uint64_t rows = store->info.rows;
    if (*kept || store->info.dtype != TAMIS_I8 || store->info.form == TAMIS_FORM_FACTORS)
        return TAMIS_OK;
    float *scale = tamis__malloc(rows, sizeof *scale);
    if (!scale) return tamis__fail_memory(err, "scales", rows * sizeof *scale);
    tamis_status status = read_scales(store, checkpoint, scale, err);
    if (status == TAMIS_OK)
        *kept = scale;
    else
        free(scale);
    return status;
}

tamis_status tamis__store_scales(const tamis_store *store, uint32_t checkpoint,
                                 const float **ret_scales, tamis_error *err)
{
    TAMIS_TRY(check_checkpoint(store, checkpoint, err));
    pthread_mutex_lock(&store->kept->lock);
    tamis_status status = need_scales(store, checkpoint, err);
    if (status == TAMIS_OK) *ret_scales = store->kept->scale[checkpoint];
    pthread_mutex_unlock(&store->kept->lock);
    return status;
}

tamis_status tamis_store_scales(tamis_store *store, uint32_t checkpoint, const float **ret_scales,
                                tamis_error *err)
{
    return tamis__store_scales(store, checkpoint, ret_scales, err);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static tamis_status read_offsets(const tamis_store *store, uint32_t checkpoint, uint64_t *offset,
                                 tamis_error *err)
{
    const uint64_t *first = store->first_token + checkpoint * (store->info.shards + 1ul);
    for (uint32_t i = 0; i < store->info.shards; i++) {
        const tamis__store_part *part = &store->part[i];
        uint64_t *out = offset + part->header.first_row;
        TAMIS_TRY(tamis__store_part_offsets(part, checkpoint, out, err));
        for (uint64_t row = 0; row <= part->header.rows; row++) out[row] += first[i];
    }
    return TAMIS_OK;
}

/* With the lock held. */
static tamis_status need_offsets(const tamis_store *store, uint32_t checkpoint, tamis_error *err)
{
    uint64_t **kept = &store->kept->offset[checkpoint], n = store->info.rows + 1;
    if (*kept || store->info.form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    uint64_t *offset = tamis__malloc(n, sizeof *offset);
    if (!offset) return tamis__fail_memory(err, "offsets of tokens", n * sizeof *offset);
    tamis_status status = read_offsets(store, checkpoint, offset, err);
    if (status == TAMIS_OK)
        *kept = offset;
    else
        free(offset);
    return status;
}

tamis_status tamis__store_tokens(const tamis_store *store, uint32_t checkpoint,
                                 const uint64_t **ret_offset, tamis_error *err)
{
    TAMIS_TRY(check_checkpoint(store, checkpoint, err));
    pthread_mutex_lock(&store->kept->lock);
    tamis_status status = need_offsets(store, checkpoint, err);
    if (status == TAMIS_OK) *ret_offset = store->kept->offset[checkpoint];
    pthread_mutex_unlock(&store->kept->lock);
    return status;
}

tamis_status tamis_store_tokens(tamis_store *store, uint32_t checkpoint,
                                const uint64_t **ret_offset, tamis_error *err)
{
    return tamis__store_tokens(store, checkpoint, ret_offset, err);
}

/* --- norms ------------------------------------------------------------------------------------ */

static tamis_status compute_norms(const tamis_store *store, const tamis__store_part *part,
                                  uint32_t checkpoint, const float *scale, float *out,
                                  tamis_error *err)
{
    uint64_t columns = store->info.columns, at_once = SLICE / columns ? SLICE / columns : 1;
    tamis_status status = TAMIS_OK;
    if (at_once > part->header.rows) at_once = part->header.rows;
    float *rows = tamis__malloc(at_once, columns * sizeof *rows);
    if (!rows) return tamis__fail_memory(err, "rows", at_once * columns * sizeof *rows);
    for (uint64_t done = 0; done < part->header.rows && status == TAMIS_OK; done += at_once) {
        uint64_t left = part->header.rows - done;
        tamis__h5_part where = {.first_row = done,
                                .rows = left < at_once ? left : at_once,
                                .columns = columns,
                                .stride = columns};
        status = tamis__watch_check(&part->watch, part->path, err);
        if (status == TAMIS_OK)
            status = tamis__store_part_read(part, &store->kernels, checkpoint, scale, &where, rows,
                                            err);
        tamis__store_touched_rows(store, where.rows, columns);
        for (uint64_t i = 0; i < where.rows && status == TAMIS_OK; i++)
            out[done + i] = (float)sqrt(store->kernels.sum_squares(rows + i * columns, columns));
    }
    free(rows);
    return status;
}

/* The same from factors, a row at a time. */
static tamis_status factor_norms(const tamis_store *store, const tamis__store_part *part,
                                 uint32_t checkpoint, const uint64_t *offset, float *out,
                                 tamis_error *err)
{
    const tamis_store_info *info = &store->info;
    const tamis__factor_shape shape = {info->layer, info->layers, info->dtype, info->input_columns,
                                       info->output_columns};
    uint64_t wide = shape.input_columns + shape.output_columns, room = 0;
    tamis_status status = TAMIS_OK;
    float *input = NULL;
    for (uint64_t row = 0; row < part->header.rows && status == TAMIS_OK; row++) {
        uint64_t tokens = offset[row + 1] - offset[row];
        if (tokens > room) {
            free(input);
            input = tamis__malloc(tokens, wide * sizeof *input);
            if (!input) return tamis__fail_memory(err, "factors", tokens * wide * sizeof *input);
            room = tokens;
        }
        float *output = input ? input + tokens * shape.input_columns : NULL;
        for (uint32_t i = 0; i < info->layers && tokens && status == TAMIS_OK; i++)
            status = tamis_store_read_factors(
                store, checkpoint, i, offset[row], tokens, input + store->input_at[i],
                shape.input_columns, output + store->output_at[i], shape.output_columns, err);
        if (status == TAMIS_OK)
            out[row] = tokens ? (float)tamis__store_factors_norm(&shape, input, output, tokens) : 0;
    }
    free(input);
    return status;
}

static tamis_status load_norms(const tamis_store *store, uint32_t checkpoint, float *norm,
                               tamis_error *err)
{
    TAMIS_TRY(need_scales(store, checkpoint, err));
    TAMIS_TRY(need_offsets(store, checkpoint, err));
    const float *scale = store->kept->scale[checkpoint];
    const uint64_t *offset = store->kept->offset[checkpoint];
    for (uint32_t i = 0; i < store->info.shards; i++) {
        const tamis__store_part *part = &store->part[i];
        uint64_t first = part->header.first_row;
        tamis__store_touched(store, part->header.rows * sizeof *norm);
        if (part->values[checkpoint][TAMIS__NORM].there)
            TAMIS_TRY(tamis__store_part_values(part, checkpoint, TAMIS__NORM, norm + first, err));
        else if (offset)
            TAMIS_TRY(factor_norms(store, part, checkpoint, offset + first, norm + first, err));
        else
            TAMIS_TRY(compute_norms(store, part, checkpoint, scale ? scale + first : NULL,
                                    norm + first, err));
    }
    for (uint64_t i = 0; i < store->info.rows; i++)
        if (!(norm[i] >= 0.0f && isfinite(norm[i]))) norm[i] = NAN;
    return TAMIS_OK;
}

/* With the lock held. */
static tamis_status need_norms(const tamis_store *store, uint32_t checkpoint, tamis_error *err)
{
    uint64_t rows = store->info.rows;
    if (store->kept->norm[checkpoint]) return TAMIS_OK;
    float *norm = tamis__malloc(rows, sizeof *norm);
    if (!norm) return tamis__fail_memory(err, "norms", rows * sizeof *norm);
    tamis_status status = load_norms(store, checkpoint, norm, err);
    if (status == TAMIS_OK)
        store->kept->norm[checkpoint] = norm;
    else
        free(norm);
    return status;
}

tamis_status tamis_store_norms(tamis_store *store, uint32_t checkpoint, const float **ret_norms,
                               tamis_error *err)
{
    TAMIS_TRY(check_checkpoint(store, checkpoint, err));
    pthread_mutex_lock(&store->kept->lock);
    tamis_status status = need_norms(store, checkpoint, err);
    if (status == TAMIS_OK) *ret_norms = store->kept->norm[checkpoint];
    pthread_mutex_unlock(&store->kept->lock);
    return status;
}
