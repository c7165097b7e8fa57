/* What a model is made of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_OBJECT_H
#define TAMIS_MODEL_OBJECT_H

#include "model/network.h"
#include "store/model_file.h"

struct tamis_model {
    tamis_model_info info; /* points into `file` */
    tamis__model_file file;
    double *wide; /* [parameters] as a safetensors file of doubles has them; NULL = no such file */
};

/* Check the arrays (layers chain, at least two classes) and make a model of them; on success `file`
 * is emptied, on failure it stays the caller's. `origin` names them in messages. */
tamis_status tamis__model_adopt(tamis_model **ret_model, tamis__model_file *file,
                                const char *origin, tamis_error *err);

/* The network of a checkpoint. */
tamis__network tamis__model_network(const tamis_model *model, uint32_t checkpoint);

const char *tamis__activation_name(tamis_activation activation);
/* ARG when there is no such activation. */
tamis_status tamis__activation_find(tamis_activation *ret_activation, const char *name,
                                    tamis_error *err);

/* Layer i of a network: "layers.<i>". */
void tamis__layer_init(tamis_layer *ret_layer, uint32_t i, uint64_t out, uint64_t in, bool bias,
                       uint64_t first_column);

/* Labels are there and below `classes`, columns equal `inputs`, there are rows. FORMAT, SHAPE. */
tamis_status tamis__data_check(const tamis_data *data, uint64_t inputs, uint64_t classes,
                               tamis_error *err);
/* The same for a model's data; class names must agree where both have them. */
tamis_status tamis__model_data_check(const tamis_model *model, const tamis_data *data,
                                     tamis_error *err);
/* The same of data that need no labels. */
tamis_status tamis__model_rows_check(const tamis_model *model, const tamis_data *data,
                                     tamis_error *err);

/* Weights from a safetensors file. */
tamis_status tamis__load_safetensors(tamis_model **ret_model, tamis_context *context,
                                     const char *path, const char *activation, tamis_error *err);

#endif
