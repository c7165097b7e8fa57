/* What a gradient store's file says of itself.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"
#include "store/store_file.h"

/* --- the stored type -------------------------------------------------------------------------- */

/* Exponent and mantissa tell the floats apart; byte order does not matter here. f64 counts as f32:
 * rows are given out as f32. */
static bool dtype_of(hid_t type, tamis_dtype *ret_dtype)
{
    size_t sign, exponent_at, exponent, mantissa_at, mantissa;
    size_t size = H5Tget_size(type);
    if (H5Tget_class(type) == H5T_INTEGER) {
        *ret_dtype = TAMIS_I8;
        return size == 1 && H5Tget_sign(type) == H5T_SGN_2;
    }
    if (H5Tget_class(type) != H5T_FLOAT) return false;
    if (H5Tget_fields(type, &sign, &exponent_at, &exponent, &mantissa_at, &mantissa) < 0)
        return false;
    *ret_dtype = TAMIS_F32;
    if (size == 8) return exponent == 11 && mantissa == 52;
    if (size == 4) return exponent == 8 && mantissa == 23;
    *ret_dtype = exponent == 5 ? TAMIS_F16 : TAMIS_BF16;
    return size == 2 && ((exponent == 5 && mantissa == 10) || (exponent == 8 && mantissa == 7));
}

static tamis_status read_dtype(const tamis__h5 *h5, hid_t dataset, const char *name,
                               tamis_dtype *ret_dtype, tamis_error *err)
{
    hid_t type = H5Dget_type(dataset);
    if (type < 0)
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s'", h5->path, name);
    bool known = dtype_of(type, ret_dtype), number = H5Tget_class(type) == H5T_FLOAT;
    bool whole = H5Tget_class(type) == H5T_INTEGER;
    H5Tclose(type);
    if (known) return TAMIS_OK;
    if (number || whole)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': dataset '%s' holds %s: i8, f16, bf16, f32 and f64 rows are read",
                           h5->path, name, whole ? "integers" : "floats of an unknown kind");
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' does not hold numbers", h5->path,
                       name);
}

/* --- one checkpoint --------------------------------------------------------------------------- */

static tamis_status shape_of(const tamis__h5 *h5, uint32_t k, const char *dataset_name,
                             uint64_t ret_shape[2], tamis_dtype *ret_dtype, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__store_name name = tamis__store_name_of(k, dataset_name);
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, name.text, 2, ret_shape, &dataset, err);
    if (status == TAMIS_OK) status = read_dtype(h5, dataset, name.text, ret_dtype, err);
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    return status;
}

static tamis_status check_like_first(const tamis__store_header *header, const tamis__h5 *h5,
                                     uint32_t k, uint64_t rows, tamis_dtype dtype, tamis_error *err)
{
    if (rows != header->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s': checkpoint %u has %llu rows, checkpoint 0 has %llu", h5->path,
                           (unsigned)k, (unsigned long long)rows, (unsigned long long)header->rows);
    if (dtype != header->dtype)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s': checkpoint %u is %s, checkpoint 0 is %s",
                           h5->path, (unsigned)k, tamis_dtype_name(dtype),
                           tamis_dtype_name(header->dtype));
    return TAMIS_OK;
}

/* Rows, columns and dtype: the first checkpoint sets them, the others must agree. */
static tamis_status check_gradient(tamis__store_header *header, const tamis__h5 *h5, uint32_t k,
                                   tamis_error *err)
{
    uint64_t shape[2];
    tamis_dtype dtype = TAMIS_F32;
    tamis__store_name name = tamis__store_name_of(k, "gradient");
    if (!tamis__h5_has(h5, name.text) && tamis__h5_has(h5, tamis__store_name_of(k, "input").text))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' is missing: it has factors, so the attribute form "
                           "of / must be 'factors'",
                           h5->path, name.text);
    TAMIS_TRY(shape_of(h5, k, "gradient", shape, &dtype, err));
    if (k == 0) {
        header->rows = shape[0];
        header->dtype = dtype;
    }
    if (shape[1] != header->columns)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s': checkpoint %u has rows of %llu columns, its layers have %llu",
                           h5->path, (unsigned)k, (unsigned long long)shape[1],
                           (unsigned long long)header->columns);
    return check_like_first(header, h5, k, shape[0], dtype, err);
}

/* An input without its ones is the usual slip of who writes such a file. */
static tamis_status check_factor_width(const tamis__store_header *header, const tamis__h5 *h5,
                                       const char *name, uint64_t found, uint64_t expected,
                                       bool input, tamis_error *err)
{
    uint64_t biases = 0;
    if (found == expected) return TAMIS_OK;
    for (uint32_t i = 0; i < header->layers; i++) biases += header->layer[i].bias;
    if (input && found == expected - biases)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s': factor store without its bias column: dataset '%s' has the "
                           "layers' inputs, %llu columns; add a column of ones behind those of "
                           "every layer with a bias, or set bias to 0 in dataset 'layer'",
                           h5->path, name, (unsigned long long)found);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s': dataset '%s' has %llu columns, its layers have %llu", h5->path, name,
                       (unsigned long long)found, (unsigned long long)expected);
}

/* As check_gradient(), of factors: also as many tokens in one as in the other. */
static tamis_status check_factors(tamis__store_header *header, const tamis__h5 *h5, uint32_t k,
                                  tamis_error *err)
{
    uint64_t input[2], output[2], offset[2];
    tamis_dtype dtype = TAMIS_F32, other = TAMIS_F32;
    tamis__store_name input_name = tamis__store_name_of(k, "input"),
                      output_name = tamis__store_name_of(k, "output_gradient"),
                      offset_name = tamis__store_name_of(k, "offset");
    TAMIS_TRY(shape_of(h5, k, "input", input, &dtype, err));
    TAMIS_TRY(shape_of(h5, k, "output_gradient", output, &other, err));
    TAMIS_TRY(tamis__h5_shape(h5, offset_name.text, 1, offset, err));
    TAMIS_TRY(check_factor_width(header, h5, input_name.text, input[1], header->input_columns, true,
                                 err));
    TAMIS_TRY(check_factor_width(header, h5, output_name.text, output[1], header->output_columns,
                                 false, err));
    if (input[0] != output[0])
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s': '%s' has %llu tokens, '%s' has %llu",
                           h5->path, input_name.text, (unsigned long long)input[0],
                           output_name.text, (unsigned long long)output[0]);
    if (dtype != other)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s': '%s' is %s, '%s' is %s", h5->path,
                           input_name.text, tamis_dtype_name(dtype), output_name.text,
                           tamis_dtype_name(other));
    if (input[0] > (uint64_t)INT64_MAX / 256 || offset[0] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' has %llu values: it must have one more than there "
                           "are rows",
                           h5->path, offset_name.text, (unsigned long long)offset[0]);
    header->tokens[k] = input[0];
    if (k == 0) {
        header->rows = offset[0] - 1;
        header->dtype = dtype;
    }
    return check_like_first(header, h5, k, offset[0] - 1, dtype, err);
}

static tamis_status read_checkpoint(tamis__store_header *header, const tamis__h5 *h5, uint32_t k,
                                    tamis_error *err)
{
    tamis__store_name group = tamis__store_name_of(k, NULL);
    tamis_checkpoint *checkpoint = &header->checkpoint[k];
    TAMIS_TRY(tamis__h5_get_u64(h5, group.text, "step", &checkpoint->step, err));
    TAMIS_TRY(tamis__h5_get_f64(h5, group.text, "learning_rate", &checkpoint->learning_rate, err));
    if (!(checkpoint->learning_rate > 0) || !isfinite(checkpoint->learning_rate))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': checkpoint %u has learning rate %g: it must be > 0", h5->path,
                           (unsigned)k, checkpoint->learning_rate);
    return header->tokens ? check_factors(header, h5, k, err) : check_gradient(header, h5, k, err);
}

static tamis_status read_checkpoints(tamis__store_header *header, const tamis__h5 *h5,
                                     tamis_error *err)
{
    uint32_t n = 0;
    while (n < UINT16_MAX && tamis__h5_has(h5, tamis__store_name_of(n, NULL).text)) n++;
    if (n == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': group 'checkpoint/0' is missing",
                           h5->path);
    header->checkpoint = tamis__calloc(n, sizeof *header->checkpoint);
    if (!header->checkpoint)
        return tamis__fail_memory(err, "checkpoints", n * sizeof *header->checkpoint);
    header->checkpoints = n;
    if (header->form == TAMIS_FORM_FACTORS) {
        header->tokens = tamis__calloc(n, sizeof *header->tokens);
        if (!header->tokens)
            return tamis__fail_memory(err, "checkpoints", n * sizeof *header->tokens);
    }
    for (uint32_t k = 0; k < n; k++) TAMIS_TRY(read_checkpoint(header, h5, k, err));
    return TAMIS_OK;
}

static tamis_status read_classes(tamis__store_header *header, const tamis__h5 *h5, tamis_error *err)
{
    uint64_t shape[2];
    tamis__store_name name = tamis__store_name_of(0, "probability");
    header->outputs = tamis__h5_has(h5, tamis__store_name_of(0, "loss").text);
    if (!tamis__h5_has(h5, name.text)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_shape(h5, name.text, 2, shape, err));
    if (shape[1] == 0 || shape[1] > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' has %llu columns", h5->path,
                           name.text, (unsigned long long)shape[1]);
    header->classes = (uint32_t)shape[1];
    return TAMIS_OK;
}

/* --- which rows ------------------------------------------------------------------------------- */

/* A file made by other programs may leave these out: it is then the whole store. */
static tamis_status get_or(const tamis__h5 *h5, const char *name, uint64_t absent,
                           uint64_t *ret_value, tamis_error *err)
{
    *ret_value = absent;
    if (!tamis__h5_has_attribute(h5, "/", name)) return TAMIS_OK;
    return tamis__h5_get_u64(h5, "/", name, ret_value, err);
}

static tamis_status read_range(tamis__store_header *header, const tamis__h5 *h5, tamis_error *err)
{
    uint64_t said, last;
    TAMIS_TRY(get_or(h5, "first_row", 0, &header->first_row, err));
    TAMIS_TRY(get_or(h5, "rows", header->rows, &said, err));
    if (header->rows == 0) return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no rows", h5->path);
    if (said != header->rows)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' says it has %llu rows, its gradients have %llu", h5->path,
                           (unsigned long long)said, (unsigned long long)header->rows);
    if (__builtin_add_overflow(header->first_row, header->rows, &last)) last = UINT64_MAX;
    TAMIS_TRY(get_or(h5, "total_rows", last, &header->total_rows, err));
    if (last > header->total_rows || last > (uint64_t)INT64_MAX / 256)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' says it ends at row %llu of a store of %llu rows", h5->path,
                           (unsigned long long)last, (unsigned long long)header->total_rows);
    header->has_digest = tamis__h5_has_attribute(h5, "/", "digest");
    return get_or(h5, "digest", 0, &header->digest, err);
}

/* --- the form --------------------------------------------------------------------------------- */

static tamis_status read_form(tamis__store_header *header, const tamis__h5 *h5, tamis_error *err)
{
    char *form = NULL;
    if (!tamis__h5_has_attribute(h5, "/", "form")) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "form", &form, err));
    bool factors = !strcmp(form, "factors"), known = factors || !strcmp(form, "full");
    free(form);
    if (!known)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': attribute form of / is neither 'full' nor 'factors'", h5->path);
    if (!factors) return TAMIS_OK;
    header->form = TAMIS_FORM_FACTORS;
    tamis__layers_factor_columns(header->layer, header->layers, &header->input_columns,
                                 &header->output_columns);
    return TAMIS_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static tamis_status read_header(tamis__store_header *header, const tamis__h5 *h5, tamis_error *err)
{
    TAMIS_TRY(tamis__layers_read(h5, &header->layer, &header->layers, &header->columns, err));
    TAMIS_TRY(read_form(header, h5, err));
    TAMIS_TRY(read_checkpoints(header, h5, err));
    TAMIS_TRY(read_classes(header, h5, err));
    TAMIS_TRY(read_range(header, h5, err));
    TAMIS_TRY(tamis__store_origin_read(&header->origin, h5, err));
    if (tamis__h5_has_attribute(h5, "/", "provenance"))
        return tamis__h5_get_text(h5, "/", "provenance", &header->provenance, err);
    header->provenance = tamis__strdup("{}");
    return header->provenance ? TAMIS_OK : tamis__fail_memory(err, "provenance", 3);
}

tamis_status tamis__store_header_read(tamis__store_header *ret_header, const tamis__h5 *h5,
                                      tamis_error *err)
{
    tamis__store_header header = {0};
    tamis_status status = read_header(&header, h5, err);
    if (status != TAMIS_OK)
        tamis__store_header_fini(&header);
    else
        *ret_header = header;
    return status;
}

void tamis__store_header_fini(tamis__store_header *header)
{
    free(header->layer);
    free(header->checkpoint);
    free(header->tokens);
    free(header->provenance);
    tamis__store_origin_fini(&header->origin);
    *header = (tamis__store_header){0};
}
