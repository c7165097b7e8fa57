/* Adam's moments from safetensors: exp_avg and exp_avg_sq of every weight and bias, by the
 * parameter's name or by its position, as optimizers key them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/moments.h"
#include "model/network.h"
#include "model/tensors.h"

#define LARGEST_STEP 9007199254740992.0 /* 2^53 */

/* What a file has for each parameter of the model. */
typedef struct moments_file {
    const tamis__safetensors *st;
    const char *path;
    const tamis_model_info *info;
    const tamis__tensor **slot; /* [layers][weight, bias][exp_avg, exp_avg_sq] */
    bool want_step;
    uint64_t step; /* 0 = not said */
} moments_file;

static const char *const kinds[] = {"exp_avg", "exp_avg_sq"};

static const tamis__tensor **slot_of(const moments_file *file, uint64_t layer, bool bias, int kind)
{
    return &file->slot[(layer * 2 + bias) * 2 + (unsigned)kind];
}

/* --- names ------------------------------------------------------------------------------------ */

static uint64_t parameters_of(const tamis_model_info *info)
{
    uint64_t n = 0;
    for (uint32_t l = 0; l < info->layers; l++) n += 1 + info->layer[l].bias;
    return n;
}

/* Parameters in the order weight 0, bias 0, weight 1 ... */
static bool find_position(const tamis_model_info *info, uint64_t position, uint64_t *ret_layer,
                          bool *ret_bias)
{
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t here = 1 + info->layer[l].bias;
        if (position < here) {
            *ret_layer = l;
            *ret_bias = position == 1;
            return true;
        }
        position -= here;
    }
    return false;
}

/* The end of "<parameter>.exp_avg", "<parameter>.exp_avg_sq" or "<parameter>.step": 0, 1 or 2; -1
 * for anything else. */
static int kind_of(const char *name, size_t *ret_size)
{
    const char *dot = strrchr(name, '.');
    if (!dot) return -1;
    *ret_size = (size_t)(dot - name);
    for (int kind = 0; kind < 2; kind++)
        if (strcmp(dot + 1, kinds[kind]) == 0) return kind;
    return strcmp(dot + 1, "step") == 0 ? 2 : -1;
}

static tamis_status unexpected(const moments_file *file, const char *name, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "%s: unexpected tensor '%.100s': moments are layers.N.weight.exp_avg and "
                       ".exp_avg_sq, the same of layers.N.bias, or 0.exp_avg, 0.exp_avg_sq, "
                       "1.exp_avg ... by position; leave others out",
                       file->path, name);
}

static tamis_status surplus(const moments_file *file, const char *name, tamis_error *err)
{
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "%s: tensor '%.100s' is surplus: the model has layers 0 to %" PRIu32 " and parameters "
        "0 to %" PRIu64
        " (weight 0, bias 0 where there is one, weight 1 ...): save the state of this model's "
        "optimizer",
        file->path, name, file->info->layers - 1, parameters_of(file->info) - 1);
}

static tamis_status find_parameter(const moments_file *file, const char *name, size_t size,
                                   uint64_t *ret_layer, bool *ret_bias, tamis_error *err)
{
    const tamis_model_info *info = file->info;
    uint64_t position = 0;
    bool found = true;
    if (strspn(name, "0123456789") == size && size > 0 && (size == 1 || name[0] != '0'))
        found = tamis__parse_uint64(name, size, &position) &&
                find_position(info, position, ret_layer, ret_bias);
    else if (tamis__tensor_parameter(name, size, ret_layer, ret_bias))
        found = *ret_layer < info->layers && (!*ret_bias || info->layer[*ret_layer].bias);
    else
        return unexpected(file, name, err);
    return found ? TAMIS_OK : surplus(file, name, err);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool valid_step(double value)
{
    return value >= 1.0 && value <= LARGEST_STEP && value == floor(value);
}

/* A counter that optimizers keep with each parameter; they all count the same steps. */
static tamis_status take_step(moments_file *file, const tamis__tensor *tensor, tamis_error *err)
{
    float value = 0.0f;
    if (!file->want_step) return TAMIS_OK;
    if (tensor->count != 1)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: tensor '%.100s' has %" PRIu64
                           " values: one number of steps is wanted; or give --moments-step",
                           file->path, tensor->name, tensor->count);
    TAMIS_TRY(tamis__tensor_read(tensor, 0, 1, &value, file->path, err));
    if (!valid_step((double)value) || (file->step != 0 && file->step != (uint64_t)value))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: tensor '%.100s' is %g: it must be a whole number above 0 and that "
                           "of the other parameters; or give --moments-step",
                           file->path, tensor->name, (double)value);
    file->step = (uint64_t)value;
    return TAMIS_OK;
}

/* The file's own word goes before its tensors'. */
static tamis_status take_metadata(moments_file *file, tamis_error *err)
{
    double value = 0.0;
    const char *text = tamis__safetensors_meta(file->st, "step");
    if (!text || !file->want_step) return TAMIS_OK;
    if (!tamis__parse_double(text, strlen(text), &value) || !valid_step(value))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: metadata key 'step' is '%.40s': it must be a whole number above 0; "
                           "or give --moments-step",
                           file->path, text);
    file->step = (uint64_t)value;
    return TAMIS_OK;
}

/* --- tensors ---------------------------------------------------------------------------------- */

static void shape_text(const tamis__tensor *tensor, char *buffer, size_t size)
{
    size_t used = (size_t)snprintf(buffer, size, "[");
    for (int i = 0; i < tensor->dims && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%" PRIu64, i ? ", " : "",
                                 tensor->shape[i]);
    if (used < size) snprintf(buffer + used, size - used, "]");
}

static tamis_status check_shape(const moments_file *file, const tamis__tensor *tensor,
                                uint64_t layer, bool bias, tamis_error *err)
{
    char has[256], wanted[64];
    const tamis_layer *of = &file->info->layer[layer];
    bool fits = tensor->dims == (bias ? 1 : 2) && tensor->shape[0] == of->out &&
                (bias || tensor->shape[1] == of->in);
    if (!tamis__tensor_floating(tensor))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "%s: tensor '%.100s' is %s: moments are F16, BF16, F32 or F64",
                           file->path, tensor->name, tensor->dtype);
    if (fits) return TAMIS_OK;
    shape_text(tensor, has, sizeof has);
    if (bias)
        snprintf(wanted, sizeof wanted, "[%" PRIu64 "]", of->out);
    else
        snprintf(wanted, sizeof wanted, "[%" PRIu64 ", %" PRIu64 "]", of->out, of->in);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "%s: tensor '%.100s' is %s, but the model's %s.%s is %s: save the state of "
                       "this model's optimizer, its parameters in the model's order",
                       file->path, tensor->name, has, of->name, bias ? "bias" : "weight", wanted);
}

static tamis_status take_tensor(moments_file *file, const tamis__tensor *tensor, tamis_error *err)
{
    size_t size = 0;
    uint64_t layer = 0;
    bool bias = false;
    int kind = kind_of(tensor->name, &size);
    if (kind < 0) return unexpected(file, tensor->name, err);
    TAMIS_TRY(find_parameter(file, tensor->name, size, &layer, &bias, err));
    if (kind == 2)
        return tamis__safetensors_meta(file->st, "step") ? TAMIS_OK : take_step(file, tensor, err);
    const tamis__tensor **slot = slot_of(file, layer, bias, kind);
    if (*slot)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: tensors '%.100s' and '%.100s' are the same moment of %s.%s: leave "
                           "one out",
                           file->path, (*slot)->name, tensor->name, file->info->layer[layer].name,
                           bias ? "bias" : "weight");
    TAMIS_TRY(check_shape(file, tensor, layer, bias, err));
    *slot = tensor;
    return TAMIS_OK;
}

/* All of them: a position says nothing when some are missing. */
static tamis_status check_complete(const moments_file *file, tamis_error *err)
{
    uint64_t position = 0;
    for (uint32_t l = 0; l < file->info->layers; l++) {
        for (int part = 0; part <= (int)file->info->layer[l].bias; part++, position++) {
            for (int kind = 0; kind < 2; kind++) {
                if (*slot_of(file, l, part == 1, kind)) continue;
                return tamis__fail(err, TAMIS_ERR_FORMAT,
                                   "%s: no tensor '%s.%s.%s' (or '%" PRIu64
                                   ".%s' by position): save both moments of every weight and bias",
                                   file->path, file->info->layer[l].name, part ? "bias" : "weight",
                                   kinds[kind], position, kinds[kind]);
            }
        }
    }
    return TAMIS_OK;
}

static tamis_status check_values(const moments_file *file, const tamis__tensor *tensor, int kind,
                                 const float *value, size_t first, size_t n, tamis_error *err)
{
    TAMIS_TRY(tamis__tensor_finite(tensor, value, first, n, file->path, err));
    for (size_t i = 0; kind == 1 && i < n; i++)
        if (value[i] < 0.0f)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s: tensor '%.100s' has the value %g: a mean of squares is not "
                               "below zero; are the two moments mixed up?",
                               file->path, tensor->name, (double)value[i]);
    return TAMIS_OK;
}

/* A layer's block, the bias as last column. */
static tamis_status read_block(const moments_file *file, uint32_t l, int kind, float *block,
                               tamis_error *err)
{
    const tamis_layer *layer = &file->info->layer[l];
    const tamis__tensor *weight = *slot_of(file, l, false, kind),
                        *bias = *slot_of(file, l, true, kind);
    size_t in = (size_t)layer->in, stride = tamis__input_stride(layer);
    for (size_t o = 0; o < layer->out; o++) {
        float *row = block + o * stride;
        TAMIS_TRY(tamis__tensor_read(weight, o * in, in, row, file->path, err));
        TAMIS_TRY(check_values(file, weight, kind, row, o * in, in, err));
        if (!bias) continue;
        TAMIS_TRY(tamis__tensor_read(bias, o, 1, row + in, file->path, err));
        TAMIS_TRY(check_values(file, bias, kind, row + in, o, 1, err));
    }
    return TAMIS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status read_all(moments_file *file, const tamis__moments_plan *plan, float *first,
                             float *second, tamis_error *err)
{
    TAMIS_TRY(take_metadata(file, err));
    for (size_t i = 0; i < file->st->tensors; i++)
        TAMIS_TRY(take_tensor(file, &file->st->tensor[i], err));
    TAMIS_TRY(check_complete(file, err));
    for (uint32_t i = 0; i < plan->layers->items; i++) {
        uint64_t at = plan->layer[i].first_column;
        TAMIS_TRY(read_block(file, plan->layers->item[i], 0, first + at, err));
        TAMIS_TRY(read_block(file, plan->layers->item[i], 1, second + at, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__moments_read(const tamis__moments_plan *plan, const tamis_context *context,
                                 const char *path, float *first, float *second, bool want_step,
                                 uint64_t *ret_step, tamis_error *err)
{
    tamis__safetensors st = {0};
    const tamis_model_info *info = tamis_model_info_get(plan->model);
    TAMIS_TRY(tamis__safetensors_open(&st, context, path, err));
    moments_file file = {.st = &st,
                         .path = path,
                         .info = info,
                         .slot = tamis__calloc(4 * (size_t)info->layers, sizeof *file.slot),
                         .want_step = want_step};
    tamis_status status = TAMIS_OK;
    if (!file.slot)
        status = tamis__fail_memory(err, "a table of moments",
                                    4 * info->layers * sizeof *file.slot);
    if (status == TAMIS_OK) status = read_all(&file, plan, first, second, err);
    if (status == TAMIS_OK && file.step != 0) *ret_step = file.step;
    free(file.slot);
    tamis__safetensors_close(&st);
    return status;
}
