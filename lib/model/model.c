/* The model object.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/object.h"

static const char *const activation_names[] = {
    [TAMIS_RELU] = "relu",
    [TAMIS_TANH] = "tanh",
    [TAMIS_GELU] = "gelu",
};

const char *tamis__activation_name(tamis_activation activation)
{
    return activation_names[activation];
}

tamis_status tamis__activation_find(tamis_activation *ret_activation, const char *name,
                                    tamis_error *err)
{
    for (size_t i = 0; i < sizeof activation_names / sizeof *activation_names; i++) {
        if (strcmp(name, activation_names[i]) != 0) continue;
        *ret_activation = (tamis_activation)i;
        return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_ARG, "no activation '%s': relu, tanh or gelu", name);
}

void tamis__layer_init(tamis_layer *ret_layer, uint32_t i, uint64_t out, uint64_t in, bool bias,
                       uint64_t first_column)
{
    *ret_layer = (tamis_layer){.out = out, .in = in, .bias = bias, .first_column = first_column};
    snprintf(ret_layer->name, sizeof ret_layer->name, "layers.%" PRIu32, i);
}

static tamis_status check_layers(const tamis__model_file *file, const char *origin,
                                 tamis_error *err)
{
    if (file->layers == 0 || file->checkpoints == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: a model has at least one layer and one checkpoint", origin);
    for (uint32_t l = 0; l < file->layers; l++) {
        const tamis_layer *layer = &file->layer[l];
        if (layer->in == 0 || layer->out == 0 || layer->bias > 1)
            return tamis__fail(err, TAMIS_ERR_FORMAT, "%s: %s has no inputs or no outputs", origin,
                               layer->name);
        if (l > 0 && layer->in != layer[-1].out)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s: %s takes %" PRIu64 " inputs, but %s gives %" PRIu64 " outputs",
                               origin, layer->name, layer->in, layer[-1].name, layer[-1].out);
    }
    uint64_t classes = file->layer[file->layers - 1].out;
    if (classes < 2 || classes > INT32_MAX || file->classes != classes)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "%s: the last layer has %" PRIu64
                           " outputs: a classifier has one for each of its "
                           "classes, and at least two",
                           origin, classes);
    return TAMIS_OK;
}

static void fill_info(tamis_model *model, tamis_activation activation)
{
    const tamis__model_file *file = &model->file;
    uint64_t column = 0;
    for (uint32_t l = 0; l < file->layers; l++) {
        file->layer[l].first_column = column;
        column += tamis_layer_columns(&file->layer[l]);
    }
    model->info = (tamis_model_info){
        .layers = file->layers,
        .layer = file->layer,
        .activation = activation,
        .parameters = column,
        .checkpoints = file->checkpoints,
        .checkpoint = file->checkpoint,
        .classes = file->classes,
        .class_name = (const char *const *)file->class_name,
        .feature_name = (const char *const *)file->feature_name,
        .mean = file->mean,
        .scale = file->scale,
        .moments = file->first && file->second,
        .beta1 = file->beta1,
        .beta2 = file->beta2,
        .epsilon = file->epsilon,
        .provenance = file->provenance ? file->provenance : "{}",
    };
}

tamis_status tamis__model_adopt(tamis_model **ret_model, tamis__model_file *file,
                                const char *origin, tamis_error *err)
{
    tamis_activation activation = TAMIS_RELU;
    TAMIS_TRY(check_layers(file, origin, err));
    tamis_status status = tamis__activation_find(&activation, file->activation, err);
    if (status != TAMIS_OK) {
        if (err) err->status = TAMIS_ERR_FORMAT;
        return tamis__prefix(err, TAMIS_ERR_FORMAT, "%s", origin);
    }
    tamis_model *model = tamis__calloc(1, sizeof *model);
    if (!model) return tamis__fail_memory(err, "a model", sizeof *model);
    model->file = *file;
    memset(file, 0, sizeof *file);
    fill_info(model, activation);
    *ret_model = model;
    return TAMIS_OK;
}

void tamis_model_free(tamis_model **model)
{
    if (!model || !*model) return;
    tamis__model_file_fini(&(*model)->file);
    free((*model)->wide);
    free(*model);
    *model = NULL;
}

const tamis_model_info *tamis_model_info_get(const tamis_model *model)
{
    return &model->info;
}

const float *tamis_model_weights(const tamis_model *model, uint32_t checkpoint, uint32_t layer)
{
    if (checkpoint >= model->file.checkpoints || layer >= model->file.layers) return NULL;
    return model->file.weight[(size_t)checkpoint * model->file.layers + layer];
}

bool tamis_model_moments(const tamis_model *model, uint32_t checkpoint, uint32_t layer,
                         const float **ret_first, const float **ret_second)
{
    const tamis__model_file *file = &model->file;
    if (!model->info.moments || checkpoint >= file->checkpoints || layer >= file->layers)
        return false;
    size_t block = (size_t)checkpoint * file->layers + layer;
    *ret_first = file->first[block];
    *ret_second = file->second[block];
    return true;
}

tamis__network tamis__model_network(const tamis_model *model, uint32_t checkpoint)
{
    const tamis__model_file *file = &model->file;
    return (tamis__network){
        .layers = file->layers,
        .layer = file->layer,
        .activation = model->info.activation,
        .weight = (const float *const *)(file->weight + (size_t)checkpoint * file->layers),
        .mean = file->mean,
        .scale = file->scale,
    };
}
