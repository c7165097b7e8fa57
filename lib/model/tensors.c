/* Tensors of safetensors files that belong to a model's layers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/tensors.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static bool ends(const char *text, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(text, wanted, size) == 0;
}

bool tamis__tensor_parameter(const char *name, size_t size, uint64_t *ret_layer, bool *ret_bias)
{
    if (size < 7 || memcmp(name, "layers.", 7) != 0) return false;
    const char *digits = name + 7;
    size_t n = strspn(digits, "0123456789"), left = size - 7;
    if (n == 0 || n >= left || (n > 1 && digits[0] == '0')) return false;
    bool weight = ends(digits + n, left - n, ".weight"), bias = ends(digits + n, left - n, ".bias");
    if (!weight && !bias) return false;
    *ret_bias = bias;
    return tamis__parse_uint64(digits, n, ret_layer);
}

bool tamis__tensor_floating(const tamis__tensor *tensor)
{
    static const char *const types[] = {"F16", "BF16", "F32", "F64"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(tensor->dtype, types[i]) == 0) return true;
    return false;
}

tamis_status tamis__tensor_finite(const tamis__tensor *tensor, const float *value, size_t first,
                                  size_t n, const char *path, tamis_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(value[i]))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s: tensor '%s': value %zu is not a finite float", path,
                               tensor->name, first + i);
    return TAMIS_OK;
}
