/* Factors of the examples of one file of a store: finding them, reading them, digests of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"
#include "store/store_writer.h"

/* Scales fetched at a time. */
#define SCALES 256u

/* --- finding ---------------------------------------------------------------------------------- */

static tamis_status check_scales(const tamis__store_part *part, const char *name, uint64_t tokens,
                                 tamis_error *err)
{
    hid_t dataset = 0;
    if (!tamis__h5_has(&part->h5, name))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s': dataset '%s' is missing: factors of i8 are worth nothing without it", part->path,
            name);
    tamis_status status = tamis__h5_array_open(&part->h5, name, TAMIS__H5_F32, tokens,
                                               part->header.layers, &dataset, err);
    tamis__h5_array_close(&dataset);
    return status;
}

static tamis_status find_offsets(tamis__store_part *part, uint32_t k, bool *through_hdf5,
                                 tamis_error *err)
{
    hid_t dataset = 0;
    TAMIS_TRY(tamis__h5_array_open(&part->h5, tamis__store_name_of(k, "offset").text, TAMIS__H5_U64,
                                   part->header.rows + 1, 0, &dataset, err));
    part->offset[k] = tamis__h5_array_address(&part->h5, dataset, TAMIS__H5_U64);
    if (part->offset[k] == HADDR_UNDEF) *through_hdf5 = true;
    tamis__h5_array_close(&dataset);
    return TAMIS_OK;
}

tamis_status tamis__store_factors_find(tamis__store_part *part, uint32_t k, bool *through_hdf5,
                                       tamis_error *err)
{
    const tamis__store_header *header = &part->header;
    for (int which = 0; which < TAMIS__FACTORS; which++) {
        bool scales = which == TAMIS__INPUT_SCALE || which == TAMIS__OUTPUT_GRADIENT_SCALE;
        tamis__store_rows_wanted wanted = {
            .name = tamis__store_factors_name(which),
            .unit = "tokens",
            .rows = header->tokens[k],
            .columns = which == TAMIS__INPUT ? header->input_columns : header->output_columns,
            .dtype = header->dtype};
        if (scales && header->dtype != TAMIS_I8) continue;
        if (scales) {
            wanted.dtype = TAMIS_F32;
            wanted.columns = header->layers;
            TAMIS_TRY(
                check_scales(part, tamis__store_name_of(k, wanted.name).text, wanted.rows, err));
        }
        TAMIS_TRY(tamis__store_rows_find(&part->factors[k][which], &part->h5, &part->input, &wanted,
                                         k, err));
        if (part->factors[k][which].dataset) *through_hdf5 = true;
    }
    return find_offsets(part, k, through_hdf5, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

static tamis_status bad_scale(const tamis__store_part *part, uint32_t checkpoint, int which,
                              uint64_t token, float scale, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': dataset 'checkpoint/%u/%s': token %llu has the scale %g: it must be "
                       "finite and not negative; make the file again",
                       part->path, (unsigned)checkpoint, tamis__store_factors_name(which),
                       (unsigned long long)token, (double)scale);
}

/* Factors of i8: their scales first, some tokens at a time. */
static tamis_status read_scaled(const tamis__store_part *part, const tamis__kernels *kernels,
                                uint32_t checkpoint, const tamis__factor_range *range,
                                const tamis__h5_part *where, float *out, tamis_error *err)
{
    int which = range->side == TAMIS__INPUT ? TAMIS__INPUT_SCALE : TAMIS__OUTPUT_GRADIENT_SCALE;
    const tamis__store_rows *rows = part->factors[checkpoint];
    float scale[SCALES];
    for (uint64_t done = 0; done < where->rows;) {
        uint64_t left = where->rows - done;
        tamis__h5_part some = *where,
                       one = {.first_column = range->layer, .columns = 1, .stride = 1};
        some.first_row += done;
        some.rows = left < SCALES ? left : SCALES;
        one.first_row = some.first_row;
        one.rows = some.rows;
        TAMIS_TRY(tamis__store_rows_read(part, &rows[which], kernels, NULL, &one, scale, err));
        for (uint64_t i = 0; i < some.rows; i++)
            if (!(scale[i] >= 0.0f && isfinite(scale[i])))
                return bad_scale(part, checkpoint, which, some.first_row + i, scale[i], err);
        TAMIS_TRY(tamis__store_rows_read(part, &rows[range->side], kernels, scale, &some,
                                         out + done * where->stride, err));
        done += some.rows;
    }
    return TAMIS_OK;
}

tamis_status tamis__store_part_factors(const tamis__store_part *part, const tamis__kernels *kernels,
                                       uint32_t checkpoint, const tamis__factor_range *range,
                                       float *out, size_t stride, tamis_error *err)
{
    const tamis__h5_part where = {.first_row = range->first_token,
                                  .rows = range->tokens,
                                  .first_column = range->first_column,
                                  .columns = range->columns,
                                  .stride = stride};
    if (part->header.dtype == TAMIS_I8)
        return read_scaled(part, kernels, checkpoint, range, &where, out, err);
    return tamis__store_rows_read(part, &part->factors[checkpoint][range->side], kernels, NULL,
                                  &where, out, err);
}

/* --- offsets ---------------------------------------------------------------------------------- */

static tamis_status check_offsets(const tamis__store_part *part, uint32_t checkpoint,
                                  const uint64_t *offset, tamis_error *err)
{
    const tamis__store_header *header = &part->header;
    uint64_t rows = header->rows, tokens = header->tokens[checkpoint];
    if (offset[0] != 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset 'checkpoint/%u/offset' begins with %llu: it must begin "
                           "with 0 in every file",
                           part->path, (unsigned)checkpoint, (unsigned long long)offset[0]);
    for (uint64_t i = 0; i < rows; i++)
        if (offset[i + 1] < offset[i])
            return tamis__fail(
                err, TAMIS_ERR_FORMAT,
                "'%s': dataset 'checkpoint/%u/offset' falls from %llu to %llu at row %llu: make "
                "the file again",
                part->path, (unsigned)checkpoint, (unsigned long long)offset[i],
                (unsigned long long)offset[i + 1], (unsigned long long)(header->first_row + i));
    if (offset[rows] == tokens) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': dataset 'checkpoint/%u/offset' ends with %llu, and there are %llu "
                       "tokens: make the file again",
                       part->path, (unsigned)checkpoint, (unsigned long long)offset[rows],
                       (unsigned long long)tokens);
}

tamis_status tamis__store_part_offsets(const tamis__store_part *part, uint32_t checkpoint,
                                       uint64_t *out, tamis_error *err)
{
    void *offset = NULL;
    uint64_t n = part->header.rows + 1;
    TAMIS_TRY(tamis__watch_check(&part->watch, part->path, err));
    if (part->offset[checkpoint] != HADDR_UNDEF) {
        memcpy(out, part->input.data + part->offset[checkpoint], n * sizeof *out);
        return check_offsets(part, checkpoint, out, err);
    }
    TAMIS_TRY(tamis__h5_read(&part->h5, tamis__store_name_of(checkpoint, "offset").text,
                             TAMIS__H5_U64, n, 0, &offset, err));
    memcpy(out, offset, n * sizeof *out);
    free(offset);
    return check_offsets(part, checkpoint, out, err);
}

/* --- as they are stored ----------------------------------------------------------------------- */

static tamis_status copy_stored(const tamis__store_part *part, const tamis__store_rows *rows,
                                uint64_t token, uint64_t tokens, unsigned char *out,
                                tamis_error *err)
{
    uint64_t row_bytes = rows->columns * tamis_dtype_size(rows->dtype), run = 0;
    if (rows->dataset) return tamis__store_rows_stored(part, rows, token, tokens, out, err);
    for (uint64_t done = 0; done < tokens; done += run) {
        const void *from = tamis__store_rows_map(part, rows, token + done, &run);
        if (run > tokens - done) run = tokens - done;
        memcpy(out + done * row_bytes, from, run * row_bytes);
    }
    return TAMIS_OK;
}

static tamis_status join_side(tamis__factor_joiner *joiner, const tamis__store_part *part,
                              uint32_t checkpoint, int which, uint64_t token, uint64_t tokens,
                              const void **ret_bytes, tamis_error *err)
{
    const tamis__store_rows *rows = &part->factors[checkpoint][which];
    uint64_t bytes = tokens * rows->columns * tamis_dtype_size(rows->dtype), run = 0;
    *ret_bytes = tokens ? tamis__store_rows_map(part, rows, token, &run) : NULL;
    if (tokens == 0 || (*ret_bytes && run >= tokens)) return TAMIS_OK;
    if (joiner->room[which] < bytes) {
        unsigned char *grown = tamis__realloc(joiner->joined[which], bytes, 1);
        if (!grown) return tamis__fail_memory(err, "the tokens of a row", bytes);
        joiner->joined[which] = grown;
        joiner->room[which] = bytes;
    }
    *ret_bytes = joiner->joined[which];
    return copy_stored(part, rows, token, tokens, joiner->joined[which], err);
}

tamis_status tamis__factor_join(tamis__factor_joiner *joiner, const tamis__store_part *part,
                                uint32_t checkpoint, uint64_t first_token, uint64_t tokens,
                                tamis__factor_rows *ret_rows, tamis_error *err)
{
    const void *bytes[TAMIS__FACTORS] = {NULL, NULL, NULL, NULL};
    int sides = part->header.dtype == TAMIS_I8 ? TAMIS__FACTORS : TAMIS__INPUT_SCALE;
    for (int which = 0; which < sides; which++)
        TAMIS_TRY(
            join_side(joiner, part, checkpoint, which, first_token, tokens, &bytes[which], err));
    *ret_rows = (tamis__factor_rows){.input = bytes[TAMIS__INPUT],
                                     .output_gradient = bytes[TAMIS__OUTPUT_GRADIENT],
                                     .input_scale = bytes[TAMIS__INPUT_SCALE],
                                     .output_gradient_scale = bytes[TAMIS__OUTPUT_GRADIENT_SCALE]};
    return TAMIS_OK;
}

void tamis__factor_joiner_fini(tamis__factor_joiner *joiner)
{
    for (int which = 0; which < TAMIS__FACTORS; which++) free(joiner->joined[which]);
    *joiner = (tamis__factor_joiner){.room = {0}};
}

/* --- digests ---------------------------------------------------------------------------------- */

tamis__factor_shape tamis__store_part_shape(const tamis__store_part *part)
{
    const tamis__store_header *header = &part->header;
    return (tamis__factor_shape){.layer = header->layer,
                                 .layers = header->layers,
                                 .dtype = header->dtype,
                                 .input_columns = header->input_columns,
                                 .output_columns = header->output_columns};
}

tamis_status tamis__store_part_factors_digest(const tamis__store_part *part, uint32_t checkpoint,
                                              uint64_t *ret_digest, tamis_error *err)
{
    const tamis__store_header *header = &part->header;
    uint64_t *offset = tamis__malloc(header->rows + 1, sizeof *offset), sum = 0;
    tamis__factor_shape shape = tamis__store_part_shape(part);
    tamis__factor_joiner joiner = {.room = {0}};
    tamis__factor_rows rows;
    if (!offset) return tamis__fail_memory(err, "offsets", (header->rows + 1) * sizeof *offset);
    tamis_status status = tamis__store_part_offsets(part, checkpoint, offset, err);
    for (uint64_t i = 0; i < header->rows && status == TAMIS_OK; i++) {
        status = tamis__factor_join(&joiner, part, checkpoint, offset[i], offset[i + 1] - offset[i],
                                    &rows, err);
        if (status == TAMIS_OK)
            sum += tamis__store_factors_digest(&shape, &rows, 1, offset + i, header->first_row + i,
                                               checkpoint);
    }
    tamis__factor_joiner_fini(&joiner);
    free(offset);
    if (status == TAMIS_OK) *ret_digest = sum;
    return status;
}
