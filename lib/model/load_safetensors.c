/* Weights from safetensors: layers.N.weight [out, in] and layers.N.bias [out].
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/object.h"
#include "model/tensors.h"
#include "model/wide.h"

static const tamis__tensor *find_part(const tamis__safetensors *st, uint64_t layer,
                                      const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%" PRIu64 ".%s", layer, part);
    return tamis__safetensors_find(st, name);
}

/* Every tensor is a part of a layer, and no layer is missing. */
static tamis_status count_layers(const tamis__safetensors *st, const char *path,
                                 uint32_t *ret_layers, tamis_error *err)
{
    uint64_t layers = 0;
    for (size_t i = 0; i < st->tensors; i++) {
        uint64_t layer = 0;
        bool bias = false;
        const char *name = st->tensor[i].name;
        if (!tamis__tensor_parameter(name, strlen(name), &layer, &bias))
            return tamis__fail(
                err, TAMIS_ERR_FORMAT,
                "%s: unexpected tensor '%s': a model has layers.N.weight and layers.N.bias only",
                path, name);
        if (layer >= st->tensors)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s: tensor '%s', but layers before it are missing", path, name);
        if (layer >= layers) layers = layer + 1;
    }
    if (layers == 0 || layers > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "%s: no tensor layers.0.weight", path);
    for (uint64_t l = 0; l < layers; l++)
        if (!find_part(st, l, "weight"))
            return tamis__fail(err, TAMIS_ERR_FORMAT, "%s: no tensor layers.%" PRIu64 ".weight",
                               path, l);
    *ret_layers = (uint32_t)layers;
    return TAMIS_OK;
}

static tamis_status check_tensor(const tamis__tensor *tensor, int dims, const char *path,
                                 tamis_error *err)
{
    if (!tamis__tensor_floating(tensor))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "%s: tensor '%s' is %s: weights are F16, BF16, F32 or F64", path,
                           tensor->name, tensor->dtype);
    if (tensor->dims != dims)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "%s: tensor '%s' has %d dimensions, wanted %d",
                           path, tensor->name, tensor->dims, dims);
    return TAMIS_OK;
}

static tamis_status read_shape(const tamis__safetensors *st, uint32_t l, const char *path,
                               tamis_layer *ret_layer, tamis_error *err)
{
    const tamis__tensor *weight = find_part(st, l, "weight"), *bias = find_part(st, l, "bias");
    TAMIS_TRY(check_tensor(weight, 2, path, err));
    if (bias) {
        TAMIS_TRY(check_tensor(bias, 1, path, err));
        if (bias->shape[0] != weight->shape[0])
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s: '%s' has %" PRIu64 " values, but '%s' has %" PRIu64 " outputs",
                               path, bias->name, bias->shape[0], weight->name, weight->shape[0]);
    }
    tamis__layer_init(ret_layer, l, weight->shape[0], weight->shape[1], bias != NULL, 0);
    return TAMIS_OK;
}

static tamis_status read_weights(const tamis__safetensors *st, uint32_t l, const char *path,
                                 const tamis_layer *layer, float *weights, tamis_error *err)
{
    const tamis__tensor *weight = find_part(st, l, "weight"), *bias = find_part(st, l, "bias");
    size_t in = (size_t)layer->in, stride = tamis__input_stride(layer);
    if (layer->in == 0 || layer->out == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "%s: tensor '%s' has no values", path,
                           weight->name);
    for (size_t o = 0; o < layer->out; o++) {
        float *row = weights + o * stride;
        TAMIS_TRY(tamis__tensor_read(weight, o * in, in, row, path, err));
        TAMIS_TRY(tamis__tensor_finite(weight, row, o * in, in, path, err));
        if (!bias) continue;
        TAMIS_TRY(tamis__tensor_read(bias, o, 1, row + in, path, err));
        TAMIS_TRY(tamis__tensor_finite(bias, row + in, o, 1, path, err));
    }
    return TAMIS_OK;
}

/* Into a zeroed struct, which the caller frees whatever happens. */
static tamis_status read_layers(tamis__model_file *file, const tamis__safetensors *st,
                                tamis_context *context, const char *path, tamis_error *err)
{
    TAMIS_TRY(count_layers(st, path, &file->layers, err));
    TAMIS_TRY(tamis__memory_check(context, st->input.size, "the model", err));
    uint32_t layers = file->layers;
    file->layers = 0; /* until the arrays are there, nothing is to be freed through them */
    file->layer = tamis__calloc(layers, sizeof *file->layer);
    file->weight = tamis__calloc(layers, sizeof *file->weight);
    file->checkpoint = tamis__calloc(1, sizeof *file->checkpoint);
    if (!file->layer || !file->weight || !file->checkpoint)
        return tamis__fail_memory(err, "a model", layers * sizeof *file->layer);
    file->layers = layers;
    file->checkpoints = 1;
    file->checkpoint[0] = (tamis_checkpoint){.step = 0, .learning_rate = 1.0};
    for (uint32_t l = 0; l < layers; l++) {
        tamis_layer *layer = &file->layer[l];
        TAMIS_TRY(read_shape(st, l, path, layer, err));
        file->weight[l] = tamis__malloc(tamis_layer_columns(layer), sizeof(float));
        if (!file->weight[l])
            return tamis__fail_memory(err, "weights", tamis_layer_columns(layer) * sizeof(float));
        TAMIS_TRY(read_weights(st, l, path, layer, file->weight[l], err));
    }
    file->classes = (uint32_t)file->layer[layers - 1].out;
    return TAMIS_OK;
}

/* The file's word and the option must not contradict each other; a spelling that is not known here
 * says nothing. */
static tamis_status set_activation(tamis__model_file *file, const tamis__safetensors *st,
                                   const char *path, const char *activation, tamis_error *err)
{
    const char *word = tamis__safetensors_meta(st, "activation");
    tamis_activation known = TAMIS_RELU, said = TAMIS_RELU;
    /* One layer has no activation after it. */
    const char *chosen = activation ? activation : word ? word : file->layers == 1 ? "relu" : NULL;
    if (!chosen)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "%s does not say its activation: name it with --activation relu, tanh or gelu", path);
    tamis_status status = tamis__activation_find(&known, chosen, err);
    if (status != TAMIS_OK) return tamis__prefix(err, status, "%s", path);
    if (word && tamis__activation_find(&said, word, NULL) == TAMIS_OK && said != known)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s says that its activation is %s, and %s is asked for: leave "
                           "--activation out",
                           path, word, chosen);
    snprintf(file->activation, sizeof file->activation, "%s", tamis__activation_name(known));
    return TAMIS_OK;
}

/* --- doubles ---------------------------------------------------------------------------------- */

static bool any_doubles(const tamis__safetensors *st)
{
    for (size_t i = 0; i < st->tensors; i++)
        if (strcmp(st->tensor[i].dtype, "F64") == 0) return true;
    return false;
}

/* Values of a tensor that is F64, `at` and on. */
static void copy_doubles(const tamis__tensor *tensor, size_t at, size_t n, double *out)
{
    if (tensor && strcmp(tensor->dtype, "F64") == 0)
        memcpy(out, (const char *)tensor->data + at * sizeof *out, n * sizeof *out);
}

/* The model itself is in float; yardsticks in double take the weights as they are written. */
static tamis_status keep_doubles(tamis_model *model, const tamis__safetensors *st, tamis_error *err)
{
    const tamis_model_info *info = &model->info;
    if (!any_doubles(st)) return TAMIS_OK;
    double *wide = tamis__malloc((size_t)info->parameters, sizeof *wide);
    if (!wide) return tamis__fail_memory(err, "weights", info->parameters * sizeof *wide);
    tamis__model_wide_weights(model, 0, wide);
    for (uint32_t l = 0; l < info->layers; l++) {
        const tamis__tensor *weight = find_part(st, l, "weight"), *bias = find_part(st, l, "bias");
        size_t in = (size_t)info->layer[l].in, stride = tamis__input_stride(&info->layer[l]);
        for (size_t o = 0; o < info->layer[l].out; o++) {
            double *row = wide + info->layer[l].first_column + o * stride;
            copy_doubles(weight, o * in, in, row);
            copy_doubles(bias, o, bias != NULL, row + in);
        }
    }
    model->wide = wide;
    return TAMIS_OK;
}

static tamis_status make_model(tamis_model **ret_model, tamis__model_file *file,
                               const tamis__safetensors *st, const char *path, tamis_error *err)
{
    tamis_model *model = NULL;
    TAMIS_TRY(tamis__model_adopt(&model, file, path, err));
    tamis_status status = keep_doubles(model, st, err);
    if (status == TAMIS_OK)
        *ret_model = model;
    else
        tamis_model_free(&model);
    return status;
}

tamis_status tamis__load_safetensors(tamis_model **ret_model, tamis_context *context,
                                     const char *path, const char *activation, tamis_error *err)
{
    tamis__safetensors st = {0};
    tamis__model_file file = {0};
    TAMIS_TRY(tamis__safetensors_open(&st, context, path, err));
    tamis_status status = read_layers(&file, &st, context, path, err);
    if (status == TAMIS_OK) status = set_activation(&file, &st, path, activation, err);
    if (status == TAMIS_OK) status = make_model(ret_model, &file, &st, path, err);
    tamis__model_file_fini(&file);
    tamis__safetensors_close(&st);
    return status;
}
