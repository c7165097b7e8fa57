/* The HDF5 file of a model.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"

/* More checkpoints than any training keeps; a limit for hostile files. */
#define MAX_CHECKPOINTS 65536u

/* What a checkpoint holds of every layer; all are of one shape. */
static const char *const parts[] = {"weight", "first_moment", "second_moment"};

static void part_name(char name[64], uint32_t checkpoint, const char *part, uint32_t layer)
{
    snprintf(name, 64, "checkpoint/%" PRIu32 "/%s_%" PRIu32, checkpoint, part, layer);
}

/* The arrays of parts[part]; NULL when the model does not have them. */
static float **part_of(const tamis__model_file *file, size_t part)
{
    return part == 0 ? file->weight : part == 1 ? file->first : file->second;
}

static tamis_status check_finite(const char *path, const char *name, const float *value, uint64_t n,
                                 tamis_error *err)
{
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(value[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s': dataset '%s', element %" PRIu64
                               " is not finite: the training diverged, lower "
                               "its learning rate",
                               path, name, i);
    return TAMIS_OK;
}

static tamis_status check_part(const char *path, const char *name, size_t part, const float *value,
                               uint64_t n, tamis_error *err)
{
    TAMIS_TRY(check_finite(path, name, value, n, err));
    for (uint64_t i = 0; part == 2 && i < n; i++)
        if (value[i] < 0.0f)
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s': dataset '%s', element %" PRIu64
                               " is below zero: it is no mean of squares",
                               path, name, i);
    return TAMIS_OK;
}

static tamis_status check_constants(const tamis__model_file *file, const char *path,
                                    tamis_error *err)
{
    bool valid = file->beta1 >= 0 && file->beta1 < 1 && file->beta2 >= 0 && file->beta2 < 1 &&
                 file->epsilon > 0 && isfinite(file->epsilon);
    if (valid) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': beta1 %g, beta2 %g, epsilon %g: betas are in [0, 1), epsilon is "
                       "above 0",
                       path, file->beta1, file->beta2, file->epsilon);
}

static tamis_status check_standardisation(const char *path, const float *mean, const float *scale,
                                          uint64_t n, tamis_error *err)
{
    TAMIS_TRY(check_finite(path, "standardisation/mean", mean, n, err));
    TAMIS_TRY(check_finite(path, "standardisation/scale", scale, n, err));
    for (uint64_t i = 0; i < n; i++)
        if (!(scale[i] > 0))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s': dataset 'standardisation/scale', element %" PRIu64
                               " is not above zero",
                               path, i);
    return TAMIS_OK;
}

void tamis__model_file_fini(tamis__model_file *file)
{
    size_t blocks = (size_t)file->checkpoints * file->layers;
    for (size_t part = 0; part < 3; part++) {
        float **values = part_of(file, part);
        for (size_t i = 0; values && i < blocks; i++) free(values[i]);
        free(values);
    }
    free(file->layer);
    free(file->checkpoint);
    free(file->mean);
    free(file->scale);
    free(file->class_name);
    free(file->feature_name);
    free(file->provenance);
    *file = (tamis__model_file){0};
}

/* --- reading ---------------------------------------------------------------------------------- */

static tamis_status read_part(const tamis__h5 *h5, tamis__model_file *file, uint32_t k, size_t part,
                              tamis_error *err)
{
    char name[64];
    float **values = part_of(file, part);
    for (uint32_t l = 0; values && l < file->layers; l++) {
        const tamis_layer *layer = &file->layer[l];
        void *read = NULL;
        part_name(name, k, parts[part], l);
        TAMIS_TRY(tamis__h5_read(h5, name, TAMIS__H5_F32, layer->out, layer->in + layer->bias,
                                 &read, err));
        values[(size_t)k * file->layers + l] = read;
        TAMIS_TRY(check_part(h5->path, name, part, read, tamis_layer_columns(layer), err));
    }
    return TAMIS_OK;
}

static tamis_status read_checkpoint(const tamis__h5 *h5, tamis__model_file *file, uint32_t k,
                                    tamis_error *err)
{
    char group[32];
    tamis_checkpoint *checkpoint = &file->checkpoint[k];
    snprintf(group, sizeof group, "checkpoint/%" PRIu32, k);
    TAMIS_TRY(tamis__h5_get_u64(h5, group, "step", &checkpoint->step, err));
    TAMIS_TRY(tamis__h5_get_f64(h5, group, "learning_rate", &checkpoint->learning_rate, err));
    if (!(checkpoint->learning_rate > 0) || !isfinite(checkpoint->learning_rate))
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s': checkpoint %" PRIu32 ": its learning rate is not above "
                           "zero",
                           h5->path, k);
    for (size_t part = 0; part < 3; part++) TAMIS_TRY(read_part(h5, file, k, part, err));
    return TAMIS_OK;
}

/* Moments are there at every checkpoint or at none. */
static tamis_status prepare_moments(const tamis__h5 *h5, tamis__model_file *file, uint32_t n,
                                    tamis_error *err)
{
    if (!tamis__h5_has(h5, "checkpoint/0/first_moment_0")) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_f64(h5, "/", "beta1", &file->beta1, err));
    TAMIS_TRY(tamis__h5_get_f64(h5, "/", "beta2", &file->beta2, err));
    TAMIS_TRY(tamis__h5_get_f64(h5, "/", "epsilon", &file->epsilon, err));
    TAMIS_TRY(check_constants(file, h5->path, err));
    file->first = tamis__calloc((size_t)n * file->layers, sizeof *file->first);
    file->second = tamis__calloc((size_t)n * file->layers, sizeof *file->second);
    if (file->first && file->second) return TAMIS_OK;
    return tamis__fail_memory(err, "a model's moments", (uint64_t)n * sizeof *file->first);
}

static tamis_status read_checkpoints(const tamis__h5 *h5, tamis__model_file *file, tamis_error *err)
{
    char group[32];
    uint32_t n = 0;
    for (; n <= MAX_CHECKPOINTS; n++) {
        snprintf(group, sizeof group, "checkpoint/%" PRIu32, n);
        if (!tamis__h5_has(h5, group)) break;
    }
    if (n == 0 || n > MAX_CHECKPOINTS)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has %s checkpoints", h5->path,
                           n ? "too many" : "no");
    file->checkpoint = tamis__calloc(n, sizeof *file->checkpoint);
    file->weight = tamis__calloc((size_t)n * file->layers, sizeof *file->weight);
    if (!file->checkpoint || !file->weight)
        return tamis__fail_memory(err, "a model's checkpoints", n);
    file->checkpoints = n;
    TAMIS_TRY(prepare_moments(h5, file, n, err));
    for (uint32_t k = 0; k < n; k++) TAMIS_TRY(read_checkpoint(h5, file, k, err));
    return TAMIS_OK;
}

static tamis_status read_standardisation(const tamis__h5 *h5, tamis__model_file *file,
                                         tamis_error *err)
{
    uint64_t inputs = file->layer[0].in;
    void *mean = NULL, *scale = NULL;
    TAMIS_TRY(
        tamis__h5_read_optional(h5, "standardisation/mean", TAMIS__H5_F32, inputs, 0, &mean, err));
    file->mean = mean;
    TAMIS_TRY(tamis__h5_read_optional(h5, "standardisation/scale", TAMIS__H5_F32, inputs, 0, &scale,
                                      err));
    file->scale = scale;
    if (!mean != !scale)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': of standardisation/mean and /scale one is missing", h5->path);
    return mean ? check_standardisation(h5->path, mean, scale, inputs, err) : TAMIS_OK;
}

static tamis_status read_classes(const tamis__h5 *h5, tamis__model_file *file, tamis_error *err)
{
    uint64_t classes = file->layer[file->layers - 1].out;
    if (tamis__h5_has_attribute(h5, "/", "classes"))
        TAMIS_TRY(tamis__h5_get_u64(h5, "/", "classes", &classes, err));
    if (classes == 0 || classes > file->layer[file->layers - 1].out || classes > INT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': %" PRIu64 " classes do not fit the last layer's %" PRIu64
                           " outputs",
                           h5->path, classes, file->layer[file->layers - 1].out);
    file->classes = (uint32_t)classes;
    if (!tamis__h5_has(h5, "class/name")) return TAMIS_OK;
    return tamis__h5_read_text(h5, "class/name", classes, &file->class_name, err);
}

static tamis_status read_features(const tamis__h5 *h5, tamis__model_file *file, tamis_error *err)
{
    if (!tamis__h5_has(h5, "feature/name")) return TAMIS_OK;
    return tamis__h5_read_text(h5, "feature/name", file->layer[0].in, &file->feature_name, err);
}

static tamis_status read_activation(const tamis__h5 *h5, tamis__model_file *file, tamis_error *err)
{
    char *text = NULL;
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "activation", &text, err));
    tamis_status status = TAMIS_OK;
    if (strlen(text) >= sizeof file->activation)
        status = tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': there is no activation '%.40s'",
                             h5->path, text);
    else
        strcpy(file->activation, text);
    free(text);
    return status;
}

static tamis_status read_all(const tamis__h5 *h5, tamis__model_file *file, tamis_error *err)
{
    uint64_t columns;
    TAMIS_TRY(read_activation(h5, file, err));
    TAMIS_TRY(tamis__layers_read(h5, &file->layer, &file->layers, &columns, err));
    TAMIS_TRY(read_classes(h5, file, err));
    TAMIS_TRY(read_features(h5, file, err));
    TAMIS_TRY(read_checkpoints(h5, file, err));
    TAMIS_TRY(read_standardisation(h5, file, err));
    return tamis__h5_get_text(h5, "/", "provenance", &file->provenance, err);
}

tamis_status tamis__model_file_read(tamis__model_file *ret_file, const char *path, tamis_error *err)
{
    tamis__h5 h5;
    tamis__model_file file = {0};
    TAMIS_TRY(tamis__h5_open(&h5, path, "model", TAMIS_FORMAT_VERSION, err));
    tamis_status status = read_all(&h5, &file, err);
    tamis__h5_close(&h5);
    if (status == TAMIS_OK)
        *ret_file = file;
    else
        tamis__model_file_fini(&file);
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

static tamis_status write_part(const tamis__h5 *h5, const tamis__model_file *file, uint32_t k,
                               size_t part, tamis_error *err)
{
    char name[64];
    float *const *values = part_of(file, part);
    for (uint32_t l = 0; values && l < file->layers; l++) {
        const tamis_layer *layer = &file->layer[l];
        const float *value = values[(size_t)k * file->layers + l];
        part_name(name, k, parts[part], l);
        TAMIS_TRY(check_part(h5->path, name, part, value, tamis_layer_columns(layer), err));
        TAMIS_TRY(tamis__h5_write(h5, name, TAMIS__H5_F32, value, layer->out,
                                  layer->in + layer->bias, err));
    }
    return TAMIS_OK;
}

static tamis_status write_constants(const tamis__h5 *h5, const tamis__model_file *file,
                                    tamis_error *err)
{
    if (!file->first || !file->second) return TAMIS_OK;
    TAMIS_TRY(check_constants(file, h5->path, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "/", "beta1", file->beta1, err));
    TAMIS_TRY(tamis__h5_put_f64(h5, "/", "beta2", file->beta2, err));
    return tamis__h5_put_f64(h5, "/", "epsilon", file->epsilon, err);
}

static tamis_status write_checkpoint(const tamis__h5 *h5, const tamis__model_file *file, uint32_t k,
                                     tamis_error *err)
{
    char group[32];
    snprintf(group, sizeof group, "checkpoint/%" PRIu32, k);
    TAMIS_TRY(tamis__h5_group(h5, group, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, group, "step", file->checkpoint[k].step, err));
    TAMIS_TRY(
        tamis__h5_put_f64(h5, group, "learning_rate", file->checkpoint[k].learning_rate, err));
    for (size_t part = 0; part < 3; part++) TAMIS_TRY(write_part(h5, file, k, part, err));
    return TAMIS_OK;
}

static tamis_status write_standardisation(const tamis__h5 *h5, const tamis__model_file *file,
                                          tamis_error *err)
{
    uint64_t inputs = file->layer[0].in;
    if (!file->mean || !file->scale) return TAMIS_OK;
    TAMIS_TRY(check_standardisation(h5->path, file->mean, file->scale, inputs, err));
    TAMIS_TRY(tamis__h5_group(h5, "standardisation", err));
    TAMIS_TRY(
        tamis__h5_write(h5, "standardisation/mean", TAMIS__H5_F32, file->mean, inputs, 0, err));
    return tamis__h5_write(h5, "standardisation/scale", TAMIS__H5_F32, file->scale, inputs, 0, err);
}

/* "<group>/name"; nothing when there are none. */
static tamis_status write_names(const tamis__h5 *h5, const char *group, char *const *names,
                                uint64_t n, tamis_error *err)
{
    char dataset[32];
    if (!names) return TAMIS_OK;
    snprintf(dataset, sizeof dataset, "%s/name", group);
    TAMIS_TRY(tamis__h5_group(h5, group, err));
    return tamis__h5_write_text(h5, dataset, (const char *const *)names, n, err);
}

static tamis_status write_all(const tamis__h5 *h5, const tamis__model_file *file, tamis_error *err)
{
    TAMIS_TRY(tamis__h5_put_text(h5, "/", "activation", file->activation, err));
    TAMIS_TRY(tamis__h5_put_u32(h5, "/", "classes", file->classes, err));
    TAMIS_TRY(write_constants(h5, file, err));
    TAMIS_TRY(tamis__layers_write(h5, file->layer, file->layers, err));
    TAMIS_TRY(tamis__h5_group(h5, "checkpoint", err));
    for (uint32_t k = 0; k < file->checkpoints; k++) TAMIS_TRY(write_checkpoint(h5, file, k, err));
    TAMIS_TRY(write_standardisation(h5, file, err));
    TAMIS_TRY(write_names(h5, "class", file->class_name, file->classes, err));
    return write_names(h5, "feature", file->feature_name, file->layer[0].in, err);
}

tamis_status tamis__model_file_write(const tamis__model_file *file, tamis_context *context,
                                     const char *path, bool force, tamis_error *err)
{
    tamis__h5 h5;
    if (file->layers == 0 || file->checkpoints == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': a model has at least one layer and one checkpoint", path);
    if (file->classes == 0 || file->classes > file->layer[file->layers - 1].out)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': %" PRIu32 " classes do not fit the last layer", path,
                           file->classes);
    TAMIS_TRY(tamis__output_check(path, force, false, err));
    TAMIS_TRY(
        tamis__h5_create(&h5, context, path, "model", TAMIS_FORMAT_VERSION, file->provenance, err));
    tamis_status status = write_all(&h5, file, err);
    if (status == TAMIS_OK) return tamis__h5_commit(&h5, force, err);
    tamis__h5_close(&h5);
    return status;
}
