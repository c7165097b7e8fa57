/* The options that say how labelled rows are read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "data_args.h"

#include <inttypes.h>

tamis_status data_check_labels(const data_args *args, tamis_error *err)
{
    if (args->label || args->labels) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG,
                "--label NAME or --labels FILE is missing: which class is a row of?");
}

tamis_status data_add_inputs(session *s, const data_args *args, tamis_error *err)
{
    TRY(session_add_input(s, "data", args->path, err));
    return session_add_input(s, "labels", args->labels, err);
}

tamis_status data_read(session *s, const data_args *args, const data_like *like,
                       tamis_data **ret_data, tamis_error *err)
{
    static const data_like nothing;
    if (!like) like = &nothing;
    tamis_data_options options = {
        .path = args->path,
        .format = args->format,
        .label = args->label,
        .labels_path = args->labels,
        .id = args->id,
        .group = args->group,
        .features = args->features,
        .ignore = args->ignore,
        .classes = like->classes,
        .class_name = like->class_name,
        .feature_name = like->feature_name,
        .features_named = like->features,
    };
    return tamis_data_read(ret_data, s->context, &options, err);
}

tamis_status data_check_columns(const data_args *args, const tamis_data *data, const char *whose,
                                uint64_t wanted, tamis_error *err)
{
    if (data->columns == wanted) return TAMIS_OK;
    return fail(err, TAMIS_ERR_SHAPE,
                "'%s' has %" PRIu64 " features a row, '%s' has %" PRIu64
                ": choose the same with --features or --ignore",
                args->path, data->columns, whose, wanted);
}
