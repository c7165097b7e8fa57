/* Rows on their way into a store: rounded, measured, checked.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "store/store_writer.h"

/* The largest finite value of each type: rows whose norm is below it cannot overflow. Any row fits
 * i8; what can be too large is its norm. */
static double largest(tamis_dtype dtype)
{
    if (dtype == TAMIS_F16) return 65504.0;
    return dtype == TAMIS_BF16 ? 3.3895313892515355e38 : 3.4028234663852886e38;
}

/* Exponent bits all set: infinity or NaN. */
static bool finite16(const uint16_t *values, uint64_t n, uint16_t exponent)
{
    uint32_t bad = 0;
    for (uint64_t i = 0; i < n; i++) bad |= (values[i] & exponent) == exponent;
    return !bad;
}

static bool finite32(const uint32_t *values, uint64_t n)
{
    uint32_t bad = 0;
    for (uint64_t i = 0; i < n; i++) bad |= (values[i] & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

static bool values_finite(tamis_dtype dtype, const void *stored, uint64_t n)
{
    if (dtype == TAMIS_I8) return true;
    if (dtype == TAMIS_F32) return finite32(stored, n);
    return finite16(stored, n, dtype == TAMIS_F16 ? 0x7c00 : 0x7f80);
}

static tamis_status not_finite(tamis_error *err, uint32_t checkpoint, uint64_t row)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %u, row %llu: the gradient is not finite (NaN or infinite)",
                       (unsigned)checkpoint, (unsigned long long)row);
}

static tamis_status too_large(tamis_error *err, tamis_dtype dtype, uint32_t checkpoint,
                              uint64_t row)
{
    bool norm = dtype == TAMIS_F32 || dtype == TAMIS_I8;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %u, row %llu: a value is too large for %s: store %s instead",
                       (unsigned)checkpoint, (unsigned long long)row,
                       norm ? "f32 norms" : tamis_dtype_name(dtype), norm ? "scaled rows" : "f32");
}

tamis_status tamis__store_rows_narrow(const tamis__kernels *kernels, tamis_dtype dtype,
                                      const float *gradient, uint64_t rows, uint64_t columns,
                                      uint64_t first_row, uint32_t checkpoint, void *stored,
                                      float *scale, float *norm, tamis_error *err)
{
    unsigned char *out = stored;
    size_t row_bytes = columns * tamis_dtype_size(dtype);
    for (uint64_t i = 0; i < rows; i++, out += row_bytes, gradient += columns) {
        double exact = sqrt(kernels->sum_squares(gradient, columns));
        if (!isfinite(exact)) return not_finite(err, checkpoint, first_row + i);
        float step = tamis__narrow(kernels, dtype, out, gradient, columns);
        if (scale) scale[i] = step;
        if (exact >= largest(dtype) &&
            (!values_finite(dtype, out, columns) || !isfinite((float)exact)))
            return too_large(err, dtype, checkpoint, first_row + i);
        norm[i] = (float)exact;
    }
    return TAMIS_OK;
}

tamis_status tamis__store_rows_check(tamis_dtype dtype, const void *stored, uint64_t rows,
                                     uint64_t columns, uint64_t first_row, uint32_t checkpoint,
                                     tamis_error *err)
{
    const unsigned char *row = stored;
    size_t row_bytes = columns * tamis_dtype_size(dtype);
    for (uint64_t i = 0; i < rows; i++, row += row_bytes)
        if (!values_finite(dtype, row, columns)) return not_finite(err, checkpoint, first_row + i);
    return TAMIS_OK;
}
