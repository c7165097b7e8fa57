/* The HDF5 file of a model: plain arrays in, plain arrays out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_MODEL_FILE_H
#define TAMIS_STORE_MODEL_FILE_H

#include <stdbool.h>
#include <tamis/store.h>

/* Root attributes: tamis_kind = "model", tamis_version, provenance, activation.
 * /layer as in a store; /checkpoint/<k> with attributes step and learning_rate and datasets
 * weight_<i> [out, in + bias] f32 and, after Adam, first_moment_<i> and second_moment_<i> of the
 * same shape, with its constants as root attributes beta1, beta2 and epsilon; /standardisation/mean
 * and /scale [inputs] f32, optional; /class/name [classes] UTF-8, optional; /feature/name [inputs]
 * UTF-8, optional. */
typedef struct tamis__model_file {
    uint32_t layers, checkpoints, classes;
    tamis_layer *layer;           /* [layers] */
    tamis_checkpoint *checkpoint; /* [checkpoints] */
    float **weight; /* [checkpoints * layers], checkpoint-major; each [out, in + bias] */
    /* Adam's moments, laid out as weights, and its constants; NULL and 0 without. */
    float **first, **second;
    double beta1, beta2, epsilon;
    char activation[16];
    float *mean, *scale; /* [inputs] or both NULL */
    /* Each NULL or one block, freed with one free(): see tamis__texts_copy(). */
    char **class_name;   /* [classes] */
    char **feature_name; /* [inputs] */
    char *provenance;
} tamis__model_file;

/* Errors as tamis_store_open(); weights and moments that are not finite and
 * squares below zero are NUMERIC. */
tamis_status tamis__model_file_read(tamis__model_file *ret_file, const char *path,
                                    tamis_error *err);
tamis_status tamis__model_file_write(const tamis__model_file *file, tamis_context *context,
                                     const char *path, bool force, tamis_error *err);
/* Frees the arrays; accepts a zeroed struct. */
void tamis__model_file_fini(tamis__model_file *file);

#endif
