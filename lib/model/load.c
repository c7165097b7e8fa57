/* Models from and to files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "model/object.h"

typedef enum model_format { MODEL_HDF5, MODEL_SAFETENSORS } model_format;

/* A safetensors file starts with the size of its header, which is a JSON object. */
static bool looks_like_safetensors(const tamis__input *input)
{
    if (input->size < 10) return false;
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) size = size << 8 | input->data[i];
    return size >= 2 && size <= input->size - 8 && input->data[8] == '{';
}

static tamis_status detect(model_format *ret_format, tamis_context *context, const char *path,
                           tamis_error *err)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    struct stat st;
    if (stat(path, &st)) return tamis__fail_errno(err, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is no regular file: models are read from files", path);
    tamis__input input;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    bool hdf5 = input.size >= sizeof signature &&
                memcmp(input.data, signature, sizeof signature) == 0;
    bool safetensors = looks_like_safetensors(&input);
    tamis__input_close(&input);
    if (!hdf5 && !safetensors)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is neither a tamis model (HDF5) nor safetensors", path);
    *ret_format = hdf5 ? MODEL_HDF5 : MODEL_SAFETENSORS;
    return TAMIS_OK;
}

static tamis_status load_hdf5(tamis_model **ret_model, const char *path, const char *activation,
                              tamis_error *err)
{
    tamis__model_file file = {0};
    TAMIS_TRY(tamis__model_file_read(&file, path, err));
    tamis_status status = TAMIS_OK;
    if (activation && strcmp(activation, file.activation) != 0)
        status = tamis__fail(err, TAMIS_ERR_ARG,
                             "'%s' was trained with activation %s, not %s: leave the option out",
                             path, file.activation, activation);
    if (status == TAMIS_OK) status = tamis__model_adopt(ret_model, &file, path, err);
    tamis__model_file_fini(&file);
    return status;
}

tamis_status tamis_model_load(tamis_model **ret_model, tamis_context *context, const char *path,
                              const char *activation, tamis_error *err)
{
    model_format format = MODEL_HDF5;
    tamis_activation known = TAMIS_RELU;
    if (activation) TAMIS_TRY(tamis__activation_find(&known, activation, err));
    TAMIS_TRY(detect(&format, context, path, err));
    if (format == MODEL_HDF5) return load_hdf5(ret_model, path, activation, err);
    return tamis__load_safetensors(ret_model, context, path, activation, err);
}

tamis_status tamis_model_save(const tamis_model *model, tamis_context *context, const char *path,
                              bool force, tamis_error *err)
{
    return tamis__model_file_write(&model->file, context, path, force, err);
}
