/* Tensors of safetensors files that belong to a model's layers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_TENSORS_H
#define TAMIS_MODEL_TENSORS_H

#include <stdbool.h>

#include "import/safetensors.h"

/* Is name[0 .. size) "layers.<N>.weight" or "layers.<N>.bias", N without leading zeros? */
bool tamis__tensor_parameter(const char *name, size_t size, uint64_t *ret_layer, bool *ret_bias);

/* F16, BF16, F32 or F64. */
bool tamis__tensor_floating(const tamis__tensor *tensor);

/* FORMAT, naming tensor and value, when one of the tensor's values first .. first + n - 1 is not
 * finite. */
tamis_status tamis__tensor_finite(const tamis__tensor *tensor, const float *value, size_t first,
                                  size_t n, const char *path, tamis_error *err);

#endif
