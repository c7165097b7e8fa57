/* tamis grad: per-example gradients into a store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "data_args.h"
#include "names.h"
#include "report.h"
#include "store_args.h"

typedef struct grad_args {
    common_args common;
    data_args data;
    store_args store;
    const char *model, *layers, *checkpoints;
    int activation, form;
} grad_args;

static const grad_args defaults = {.activation = -1, .data.labels = "true", .checkpoints = "all"};

#define AT(field) offsetof(grad_args, field)

static const char *const activation_names[] = {"relu", "tanh", "gelu", NULL};
static const char *const form_names[] = {"full", NULL};

static const opt options[] = {
    {.name = "model",
     .value = "FILE",
     .help = "model of tamis train, or weights as safetensors",
     .type = OPT_STRING,
     .at = AT(model),
     .flags = OPT_REQUIRED | OPT_FILE,
     .section = "Model"},
    {.name = "activation",
     .value = "NAME",
     .help = "of weights that do not name it themselves",
     .type = OPT_CHOICE,
     .at = AT(activation),
     .choices = activation_names},
    {.name = "checkpoints",
     .value = "LIST",
     .help = "all, last, or numbers separated by commas, from 0",
     .type = OPT_STRING,
     .at = AT(checkpoints)},
    {.name = "layers",
     .value = "LIST",
     .help = "names, numbers or ranges of numbers separated by commas",
     .type = OPT_STRING,
     .at = AT(layers),
     .fallback = "all"},
    DATA_OPTIONS(AT(data)),
    {.name = "labels",
     .value = "true|FILE",
     .help = "the data's own classes, or a .npy or IDX file of them",
     .type = OPT_STRING,
     .at = AT(data.labels),
     .flags = OPT_FILE},
    {.name = "form",
     .value = "FORM",
     .help = "how gradients are stored",
     .type = OPT_CHOICE,
     .at = AT(form),
     .choices = form_names,
     .section = "Store"},
    STORE_OPTIONS(AT(store)),
};

/* --features says which column stands for which input, whatever the columns are called; only told
 * where the names say otherwise. */
static void warn_of_names(session *s, const data_args *from, const tamis_data *data,
                          const tamis_model_info *info)
{
    if (!from->features || !data->feature_name || !info->feature_name) return;
    for (uint64_t i = 0; i < data->columns; i++) {
        if (!strcmp(data->feature_name[i], info->feature_name[i])) continue;
        progress_clear(&s->progress);
        fprintf(stderr,
                "tamis: warning: '%s' is taken for the model's feature '%s', as --features says\n",
                data->feature_name[i], info->feature_name[i]);
        return;
    }
}

static tamis_status make(session *s, const grad_args *args, tamis_model **model, tamis_data **data,
                         tamis_error *err)
{
    data_args from = args->data;
    if (!strcmp(from.labels, "true")) from.labels = NULL;
    TRY(data_check_labels(&from, err));
    TRY(session_add_input(s, "model", args->model, err));
    TRY(data_add_inputs(s, &from, err));
    TRY(session_add_output(s, args->common.output, store_output_flags(&args->store), err));
    tamis_gradient_params params = {
        .path = args->common.output,
        .dtype = (tamis_dtype)args->store.dtype,
        .layers = args->layers,
        .checkpoints = args->checkpoints,
        .shard_rows = args->store.shard_rows,
        .force = args->common.force,
        .resume = args->store.resume,
    };
    const char *activation = args->activation < 0 ? NULL : activation_names[args->activation];
    TRY(tamis_model_load(model, s->context, args->model, activation, err));
    const tamis_model_info *info = tamis_model_info_get(*model);
    data_like like = {info->classes, info->class_name, info->layer[0].in, info->feature_name};
    TRY(data_read(s, &from, &like, data, err));
    TRY(data_check_columns(&from, *data, args->model, info->layer[0].in, err));
    warn_of_names(s, &from, *data, info);
    TRY(session_provenance(s, &params.provenance, err));
    tamis_data rows = **data;
    if (from.features) rows.feature_name = NULL; /* the user says which column stands for which */
    return tamis_gradients(*model, s->context, &rows, &params, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    tamis_model *model = NULL;
    tamis_data *data = NULL;
    tamis_status status = make(s, cookie, &model, &data, err);
    tamis_data_free(&data);
    tamis_model_free(&model);
    TRY(status);
    return store_report(s, err);
}

const command cmd_grad = {
    .name = "grad",
    .group = "Flow",
    .summary = "store the gradient of every example's loss",
    .synopsis = "--model FILE --data FILE [--label NAME] -o STORE.h5 [OPTIONS]",
    .description =
        "Computes the gradient of the summed cross-entropy of every row with respect to "
        "the weights, at "
        "every checkpoint of the model, and writes them to a gradient store, with loss, "
        "margin and class "
        "probabilities beside them.\n\n"
        "With --shard-rows the store is a directory of files, each committed when it is "
        "whole; a run that "
        "was killed goes on with --resume, and the finished store has the same bytes.\n\n"
        "Where the model knows the names of its features, the rows' columns or keys of "
        "these names are taken, "
        "in whatever order they stand; --features says otherwise.",
    .examples =
        "# every checkpoint, at half the size\n"
        "tamis grad --model model.h5 --data train.csv --label class --dtype bf16 -o train.h5\n"
        "# weights made elsewhere\n"
        "tamis grad --model w.safetensors --activation tanh --data x.npy --labels y.npy -o "
        "train.h5",
    .output = "STORE.h5",
    .options = options,
    .n_options = LEN(options),
    .common = COMMON_WRITES,
    .args_size = sizeof(grad_args),
    .defaults = &defaults,
    .run = run,
};
