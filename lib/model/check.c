/* Whether data fit a model.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/object.h"

static tamis_status check_labels(const tamis_data *data, uint64_t classes, tamis_error *err)
{
    for (uint64_t i = 0; data->label && i < data->rows; i++) {
        int32_t label = data->label[i];
        if (label >= 0 && (uint64_t)label < classes) continue;
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "row %" PRIu64 " has label %" PRId32
                           ": the model has classes 0 to %" PRIu64,
                           i, label, classes - 1);
    }
    return TAMIS_OK;
}

static tamis_status check_data(const tamis_data *data, uint64_t inputs, uint64_t classes,
                               bool labelled, tamis_error *err)
{
    if (data->rows == 0 || !data->x)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "the data have no rows");
    if (data->columns != inputs)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the data have %" PRIu64 " columns, the model takes %" PRIu64,
                           data->columns, inputs);
    if (labelled && !data->label)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "the data have no labels: say which column or file holds them");
    return check_labels(data, classes, err);
}

tamis_status tamis__data_check(const tamis_data *data, uint64_t inputs, uint64_t classes,
                               tamis_error *err)
{
    return check_data(data, inputs, classes, true, err);
}

static tamis_status check_class_names(const tamis_model_info *info, const tamis_data *data,
                                      tamis_error *err)
{
    if (data->classes != info->classes)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the data have %" PRIu32 " classes, the model has %" PRIu32
                           ": read the data with the model's list of classes",
                           data->classes, info->classes);
    for (uint32_t c = 0; c < info->classes; c++) {
        if (strcmp(data->class_name[c], info->class_name[c]) == 0) continue;
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "class %" PRIu32 " is '%s' in the data and '%s' in the model", c,
                           data->class_name[c], info->class_name[c]);
    }
    return TAMIS_OK;
}

/* The same features in another order give gradients without a sign of it. */
static tamis_status check_feature_names(const tamis_model_info *info, const tamis_data *data,
                                        tamis_error *err)
{
    for (uint64_t i = 0; i < data->columns; i++) {
        if (strcmp(data->feature_name[i], info->feature_name[i]) == 0) continue;
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "feature %" PRIu64 " is '%.100s' in the data and '%.100s' in the model: "
                           "read the data with the model's list of features",
                           i, data->feature_name[i], info->feature_name[i]);
    }
    return TAMIS_OK;
}

static tamis_status check_model_data(const tamis_model *model, const tamis_data *data,
                                     bool labelled, tamis_error *err)
{
    const tamis_model_info *info = &model->info;
    TAMIS_TRY(check_data(data, info->layer[0].in, info->classes, labelled, err));
    if (info->class_name && data->class_name) TAMIS_TRY(check_class_names(info, data, err));
    if (info->feature_name && data->feature_name) TAMIS_TRY(check_feature_names(info, data, err));
    return TAMIS_OK;
}

tamis_status tamis__model_data_check(const tamis_model *model, const tamis_data *data,
                                     tamis_error *err)
{
    return check_model_data(model, data, true, err);
}

tamis_status tamis__model_rows_check(const tamis_model *model, const tamis_data *data,
                                     tamis_error *err)
{
    return check_model_data(model, data, false, err);
}
