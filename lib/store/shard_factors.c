/* Factors of one file of a gradient store while it is written.
 *
 * How many tokens a file will have is not known beforehand, so its datasets grow by chunks. Rows go
 * through one at a time, every checkpoint's input and output gradient in turn: what the file looks
 * like does not depend on how many rows come at once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_shard.h"

/* Bytes of a chunk: what is left of the last one is lost. A small file has one, of a multiple of
 * tokens that keeps what follows it aligned. */
#define CHUNK_BYTES (UINT64_C(1) << 20)
#define LEAST       UINT64_C(8)

/* --- sinks ------------------------------------------------------------------------------------ */

static hid_t growing_list(const hsize_t chunk[2])
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0) return list;
    if (H5Pset_obj_track_times(list, false) >= 0 && H5Pset_chunk(list, 2, chunk) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        return list;
    H5Pclose(list);
    return -1;
}

static tamis_status create_dataset(tamis__shard *shard, uint32_t k, int which, uint64_t chunk_rows,
                                   tamis_error *err)
{
    tamis__token_sink *sink = &shard->sink[k][which];
    const hsize_t dims[2] = {0, sink->columns}, most[2] = {H5S_UNLIMITED, sink->columns},
                  chunk[2] = {chunk_rows, sink->columns};
    tamis__store_name name = tamis__store_name_of(k, tamis__store_factors_name(which));
    tamis_status status = TAMIS_OK;
    hid_t dataset = -1;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", shard->h5.path);
    hid_t type = tamis__store_type(sink->dtype), space = H5Screate_simple(2, dims, most);
    hid_t list = growing_list(chunk);
    if (type >= 0 && space >= 0 && list >= 0)
        dataset = H5Dcreate2(shard->h5.file, name.text, type, space, H5P_DEFAULT, list,
                             H5P_DEFAULT);
    if (dataset < 0) {
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset '%s'",
                                shard->h5.path, name.text);
    } else {
        sink->dataset = dataset;
        sink->chunk_rows = chunk_rows;
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (list >= 0) H5Pclose(list);
    return status;
}

/* The rows that wait, the rest of the chunk zero. */
static tamis_status write_chunk(tamis__shard *shard, tamis__token_sink *sink, tamis_error *err)
{
    const hsize_t offset[2] = {sink->written, 0},
                  dims[2] = {sink->written + sink->waiting, sink->columns};
    uint64_t bytes = sink->chunk_rows * sink->row_bytes, used = sink->waiting * sink->row_bytes;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", shard->h5.path);
    memset(sink->chunk + used, 0, bytes - used);
    if (H5Dset_extent(sink->dataset, dims) < 0 ||
        H5Dwrite_chunk(sink->dataset, H5P_DEFAULT, 0, offset, bytes, sink->chunk) < 0)
        return tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", shard->h5.path);
    sink->written += sink->waiting;
    sink->waiting = 0;
    return tamis__h5_written(&shard->h5, err);
}

static tamis_status flush(tamis__shard *shard, uint32_t k, int which, uint64_t chunk_rows,
                          tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__token_sink *sink = &shard->sink[k][which];
    tamis__h5_enter(&scope);
    tamis_status status = TAMIS_OK;
    if (!sink->dataset) status = create_dataset(shard, k, which, chunk_rows, err);
    if (status == TAMIS_OK && sink->waiting) status = write_chunk(shard, sink, err);
    tamis__h5_leave(&scope);
    return status;
}

static tamis_status push(tamis__shard *shard, uint32_t k, int which, const void *rows, uint64_t n,
                         tamis_error *err)
{
    tamis__token_sink *sink = &shard->sink[k][which];
    const unsigned char *from = rows;
    while (n > 0) {
        uint64_t room = sink->chunk_rows - sink->waiting, some = n < room ? n : room;
        memcpy(sink->chunk + sink->waiting * sink->row_bytes, from, some * sink->row_bytes);
        sink->waiting += some;
        from += some * sink->row_bytes;
        n -= some;
        if (sink->waiting == sink->chunk_rows)
            TAMIS_TRY(flush(shard, k, which, sink->chunk_rows, err));
    }
    return TAMIS_OK;
}

static tamis_status open_sink(tamis__token_sink *sink, uint64_t columns, tamis_dtype dtype,
                              tamis_error *err)
{
    sink->columns = columns;
    sink->dtype = dtype;
    sink->row_bytes = columns * tamis_dtype_size(dtype);
    sink->chunk_rows = 1;
    while (2 * sink->chunk_rows * sink->row_bytes <= CHUNK_BYTES) sink->chunk_rows *= 2;
    sink->chunk = tamis__malloc(sink->chunk_rows, sink->row_bytes);
    return sink->chunk ? TAMIS_OK
                       : tamis__fail_memory(err, "tokens to be written",
                                            sink->chunk_rows * sink->row_bytes);
}

tamis_status tamis__shard_open_sinks(tamis__shard *shard, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    for (uint32_t k = 0; k < plan->checkpoints; k++) {
        tamis__token_sink *sink = shard->sink[k];
        TAMIS_TRY(open_sink(&sink[TAMIS__INPUT], plan->input_columns, plan->dtype, err));
        TAMIS_TRY(open_sink(&sink[TAMIS__OUTPUT_GRADIENT], plan->output_columns, plan->dtype, err));
        if (plan->dtype != TAMIS_I8) continue;
        TAMIS_TRY(open_sink(&sink[TAMIS__INPUT_SCALE], plan->layers, TAMIS_F32, err));
        TAMIS_TRY(open_sink(&sink[TAMIS__OUTPUT_GRADIENT_SCALE], plan->layers, TAMIS_F32, err));
    }
    return TAMIS_OK;
}

/* --- rows ------------------------------------------------------------------------------------- */

tamis__factor_rows tamis__block_factors(const tamis__store_block *block,
                                        const tamis__factor_shape *shape, uint32_t k, uint64_t row)
{
    uint64_t at = block->offset[row] - block->offset[0];
    size_t size = tamis_dtype_size(shape->dtype);
    const unsigned char *input = block->input[k], *output = block->output_gradient[k];
    tamis__factor_rows rows = {.input = input + at * shape->input_columns * size,
                               .output_gradient = output + at * shape->output_columns * size};
    if (shape->dtype != TAMIS_I8) return rows;
    rows.input_scale = block->input_scale[k] + at * shape->layers;
    rows.output_gradient_scale = block->output_gradient_scale[k] + at * shape->layers;
    return rows;
}

static tamis_status push_row(tamis__shard *shard, uint32_t k, const tamis__factor_rows *row,
                             uint64_t tokens, tamis_error *err)
{
    TAMIS_TRY(push(shard, k, TAMIS__INPUT, row->input, tokens, err));
    TAMIS_TRY(push(shard, k, TAMIS__OUTPUT_GRADIENT, row->output_gradient, tokens, err));
    if (shard->plan->dtype != TAMIS_I8) return TAMIS_OK;
    TAMIS_TRY(push(shard, k, TAMIS__INPUT_SCALE, row->input_scale, tokens, err));
    return push(shard, k, TAMIS__OUTPUT_GRADIENT_SCALE, row->output_gradient_scale, tokens, err);
}

static void scratch_free(tamis__factor_scratch *scratch)
{
    free(scratch->space.input);
    free(scratch->space.output_gradient);
    free(scratch->space.input_scale);
    free(scratch->space.output_gradient_scale);
    *scratch = (tamis__factor_scratch){.tokens = 0};
}

static tamis_status need_scratch(tamis__shard *shard, uint64_t tokens, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    tamis__factor_scratch *scratch = &shard->scratch;
    size_t size = tamis_dtype_size(plan->dtype);
    if (tokens <= scratch->tokens) return TAMIS_OK;
    scratch_free(scratch);
    scratch->space.input = tamis__malloc(tokens, plan->input_columns * size);
    scratch->space.output_gradient = tamis__malloc(tokens, plan->output_columns * size);
    if (plan->dtype == TAMIS_I8) {
        scratch->space.input_scale = tamis__malloc(tokens, plan->layers * sizeof(float));
        scratch->space.output_gradient_scale = tamis__malloc(tokens, plan->layers * sizeof(float));
    }
    if (!scratch->space.input || !scratch->space.output_gradient ||
        (plan->dtype == TAMIS_I8 &&
         (!scratch->space.input_scale || !scratch->space.output_gradient_scale)))
        return tamis__fail_memory(err, "the tokens of a row",
                                  tokens * (plan->input_columns + plan->output_columns) * size);
    scratch->tokens = tokens;
    return TAMIS_OK;
}

static void end_row(tamis__shard *shard, uint64_t tokens)
{
    shard->offset[shard->filled + 1] = shard->offset[shard->filled] + tokens;
    shard->filled++;
}

static tamis_status append_row(tamis__shard *shard, const tamis__kernels *kernels,
                               const float *const *input, const float *const *output,
                               const tamis__store_block *block, uint64_t i, tamis_error *err)
{
    tamis__factor_shape shape = tamis__plan_factor_shape(shard->plan);
    const uint64_t *offset = block->offset + i;
    uint64_t at = offset[0] - block->offset[0], row = shard->first + shard->filled;
    TAMIS_TRY(need_scratch(shard, offset[1] - offset[0], err));
    const tamis__factor_space *space = &shard->scratch.space;
    const tamis__factor_rows stored = {space->input, space->output_gradient, space->input_scale,
                                       space->output_gradient_scale};
    for (uint32_t k = 0; k < shard->plan->checkpoints; k++) {
        TAMIS_TRY(tamis__store_factors_ones(&shape, input[k] + at * shape.input_columns,
                                            offset[1] - offset[0], row, k, err));
        TAMIS_TRY(tamis__store_factors_narrow(kernels, &shape, 1, offset,
                                              input[k] + at * shape.input_columns,
                                              output[k] + at * shape.output_columns, row, k, space,
                                              shard->norm[k] + shard->filled, err));
        shard->digest += tamis__store_factors_digest(&shape, &stored, 1, offset, row, k);
        TAMIS_TRY(push_row(shard, k, &stored, offset[1] - offset[0], err));
    }
    end_row(shard, offset[1] - offset[0]);
    return TAMIS_OK;
}

tamis_status tamis__shard_append_factors(tamis__shard *shard, const tamis__kernels *kernels,
                                         const float *const *input,
                                         const float *const *output_gradient,
                                         const tamis__store_block *block, uint64_t offset,
                                         uint64_t n, tamis_error *err)
{
    TAMIS_TRY(tamis__shard_columns(shard, block, offset, n, err));
    for (uint64_t i = 0; i < n; i++)
        TAMIS_TRY(append_row(shard, kernels, input, output_gradient, block, offset + i, err));
    return TAMIS_OK;
}

tamis_status tamis__shard_put_factors(tamis__shard *shard, const tamis__store_block *block,
                                      uint64_t offset, uint64_t n, tamis_error *err)
{
    tamis__factor_shape shape = tamis__plan_factor_shape(shard->plan);
    TAMIS_TRY(tamis__shard_columns(shard, block, offset, n, err));
    for (uint32_t k = 0; k < shard->plan->checkpoints; k++)
        memcpy(shard->norm[k] + shard->filled, block->norm[k] + offset, n * sizeof(float));
    for (uint64_t i = offset; i < offset + n; i++) {
        uint64_t tokens = block->offset[i + 1] - block->offset[i];
        for (uint32_t k = 0; k < shard->plan->checkpoints; k++) {
            tamis__factor_rows row = tamis__block_factors(block, &shape, k, i);
            TAMIS_TRY(push_row(shard, k, &row, tokens, err));
        }
        end_row(shard, tokens);
    }
    return TAMIS_OK;
}

/* --- the end ---------------------------------------------------------------------------------- */

tamis_status tamis__shard_close_sinks(tamis__shard *shard, tamis_error *err)
{
    const tamis__store_plan *plan = shard->plan;
    int sides = plan->dtype == TAMIS_I8 ? TAMIS__FACTORS : TAMIS__INPUT_SCALE;
    for (uint32_t k = 0; k < plan->checkpoints; k++)
        for (int which = 0; which < sides; which++) {
            tamis__token_sink *sink = &shard->sink[k][which];
            uint64_t rows = sink->waiting ? sink->waiting : 1;
            if (sink->chunk_rows >= LEAST) rows = (rows + LEAST - 1) / LEAST * LEAST;
            TAMIS_TRY(flush(shard, k, which, rows, err));
            tamis__h5_array_close(&sink->dataset);
        }
    for (uint32_t k = 0; k < plan->checkpoints; k++)
        TAMIS_TRY(tamis__h5_write(&shard->h5, tamis__store_name_of(k, "offset").text, TAMIS__H5_U64,
                                  shard->offset, shard->rows + 1, 0, err));
    return TAMIS_OK;
}

void tamis__shard_free_sinks(tamis__shard *shard)
{
    for (uint32_t k = 0; shard->sink && k < shard->plan->checkpoints; k++)
        for (int which = 0; which < TAMIS__FACTORS; which++) {
            tamis__h5_array_close(&shard->sink[k][which].dataset);
            free(shard->sink[k][which].chunk);
        }
    free(shard->sink);
    free(shard->offset);
    scratch_free(&shard->scratch);
}
