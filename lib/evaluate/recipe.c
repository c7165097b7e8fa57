/* How a model was trained: from the model itself and from its provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>
#include <tamis/retrain.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

/* Reads options one after the other; `missing` once one was not there. */
typedef struct reader {
    json_t *options;
    bool missing;
    tamis_error *err;
} reader;

static tamis_status impossible(const reader *r, const char *name)
{
    return tamis__fail(r->err, TAMIS_ERR_FORMAT,
                       "the model's provenance has an impossible '%s': give --%s", name, name);
}

/* `least`..`most`; what is not there stays. */
static tamis_status read_number(reader *r, const char *name, double least, double most,
                                double *number)
{
    const json_t *value = json_object_get(r->options, name);
    if (!value) {
        r->missing = true;
        return TAMIS_OK;
    }
    double found = json_number_value(value);
    if (!json_is_number(value) || !(found >= least && found <= most)) return impossible(r, name);
    *number = found;
    return TAMIS_OK;
}

static tamis_status read_count(reader *r, const char *name, uint32_t *count)
{
    double number = (double)*count;
    TAMIS_TRY(read_number(r, name, 1, 4294967295.0, &number));
    if (number != floor(number)) return impossible(r, name);
    *count = (uint32_t)number;
    return TAMIS_OK;
}

/* A seed over 2^53 stands there as text. */
static tamis_status read_seed(reader *r, uint64_t *seed)
{
    const json_t *value = json_object_get(r->options, "seed");
    if (!value)
        r->missing = true;
    else if (json_is_integer(value) && json_integer_value(value) >= 0)
        *seed = (uint64_t)json_integer_value(value);
    else if (!json_is_string(value) ||
             !tamis__parse_uint64(json_string_value(value), json_string_length(value), seed))
        return impossible(r, "seed");
    return TAMIS_OK;
}

static tamis_status read_optimizer(reader *r, tamis_optimizer *optimizer)
{
    const char *name = json_string_value(json_object_get(r->options, "optimizer"));
    if (!name)
        r->missing = true;
    else if (!strcmp(name, "sgd") || !strcmp(name, "adam"))
        *optimizer = strcmp(name, "adam") ? TAMIS_SGD : TAMIS_ADAM;
    else
        return impossible(r, "optimizer");
    return TAMIS_OK;
}

static tamis_status read_options(reader *r, tamis_train_params *params)
{
    TAMIS_TRY(read_optimizer(r, &params->optimizer));
    if (params->optimizer == TAMIS_ADAM) params->learning_rate = 0.001;
    TAMIS_TRY(read_count(r, "epochs", &params->epochs));
    TAMIS_TRY(read_count(r, "batch", &params->batch));
    TAMIS_TRY(read_number(r, "learning-rate", 1e-300, 1e300, &params->learning_rate));
    TAMIS_TRY(read_number(r, "momentum", 0, 1, &params->momentum));
    TAMIS_TRY(read_number(r, "weight-decay", 0, 1e300, &params->weight_decay));
    return read_seed(r, &params->seed);
}

/* Layers, activation and standardisation, which the model itself shows. */
static void read_shape(const tamis_model_info *info, tamis_train_params *params, uint32_t *hidden)
{
    params->hidden = hidden;
    params->hidden_layers = info->layers - 1;
    for (uint32_t l = 0; l < info->layers; l++) {
        if (l + 1 < info->layers) hidden[l] = (uint32_t)info->layer[l].out;
        if (!info->layer[l].bias) params->no_bias |= UINT64_C(1) << l;
    }
    params->activation = info->activation;
    params->standardise = info->mean != NULL;
    if (!info->moments) return;
    params->optimizer = TAMIS_ADAM;
    params->beta1 = info->beta1;
    params->beta2 = info->beta2;
    params->epsilon = info->epsilon;
}

tamis_status tamis_model_recipe(const tamis_model *model, tamis_train_params *ret_params,
                                uint32_t *ret_hidden, bool *ret_recorded, tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_train_params params;
    json_t *root = json_loads(info->provenance, 0, NULL);
    reader r = {.options = json_object_get(root, "options"), .err = err};
    tamis_train_defaults(&params);
    if (info->layers > 64) {
        json_decref(root);
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "the model has %u layers: at most 64 are trained", info->layers);
    }
    read_shape(info, &params, ret_hidden);
    tamis_status status = read_options(&r, &params);
    json_decref(root);
    if (status != TAMIS_OK) return status;
    *ret_params = params;
    *ret_recorded = !r.missing;
    return TAMIS_OK;
}
