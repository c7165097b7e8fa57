/* tamis grad: per-example gradients into a store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "data_args.h"
#include "form_arg.h"
#include "labels_arg.h"
#include "names.h"
#include "report.h"
#include "store_args.h"

typedef struct grad_args {
    common_args common;
    data_args data;
    store_args store;
    const char *model, *layers, *checkpoints, *labels;
    int activation, function, direction;
    const char *moments, *form;
    double label_seed, moments_step, beta1, beta2, epsilon; /* NaN = not given */
} grad_args;

static const grad_args defaults = {
    .activation = -1,
    .labels = "true",
    .label_seed = (double)NAN,
    .checkpoints = "all",
    .form = "full",
    .moments_step = (double)NAN,
    .beta1 = (double)NAN,
    .beta2 = (double)NAN,
    .epsilon = (double)NAN,
};

#define AT(field) offsetof(grad_args, field)

static const char *const activation_names[] = {"relu", "tanh", "gelu", NULL};
/* By tamis_function and tamis_direction. */
static const char *const function_names[] = {"loss", "margin", NULL};
static const char *const direction_names[] = {"gradient",  "sign",          "adam",
                                              "adam-less", "second-moment", NULL};

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
     .help = "which ones: all, last, or numbers separated by commas, from 0",
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
     .value = "WHICH|FILE",
     .help = "true, sampled or expected; or a .npy or IDX file of classes",
     .type = OPT_STRING,
     .at = AT(labels),
     .flags = OPT_FILE,
     .more =
         "Which labels gradients are of. true: the data's own, from --label or, where the rows' "
         "file has none, from FILE. sampled: drawn from the model's softmax at each checkpoint. "
         "expected: a row for each class, times the root of its probability. given:FILE, or FILE "
         "beside --label: those. All but true make pseudo-gradients, which curvature is fitted "
         "on; the store's label column stays that of the data."},
    {.name = "label-seed",
     .value = "N",
     .help = "seed of sampled labels",
     .type = OPT_REAL,
     .at = AT(label_seed),
     .min = 0,
     .max = 9e15,
     .fallback = "--seed",
     .more = "A row's draw depends on nothing but this, its number and the model. A second pass "
             "over the same rows, as EK-FAC has it, wants another seed."},
    {.name = "function",
     .value = "NAME",
     .help = "what is differentiated: the loss, or the margin of the label",
     .type = OPT_CHOICE,
     .at = AT(function),
     .choices = function_names,
     .more =
         "The margin is the logit of the label minus logsumexp of the others, as TRAK has it; its "
         "gradient points where the row is learnt better, that of the loss where it is learnt "
         "worse.",
     .section = "Rows"},
    {.name = "direction",
     .value = "NAME",
     .help = "the gradient itself, or what an optimizer makes of it",
     .type = OPT_CHOICE,
     .at = AT(direction),
     .choices = direction_names,
     .more = "sign: its signs. adam: the step that Adam would make next on this gradient, as the "
             "paper of LESS states; adam-less: as its released code computes, with epsilon below "
             "the root and no bias correction. second-moment: the gradient over the root of "
             "Adam's second moment, as TrackStar has it. The last three need moments: of a model "
             "trained with --optimizer adam, or from --moments."},
    {.name = "moments",
     .value = "FILE,...",
     .help = "Adam's moments as safetensors, one file for each checkpoint or one for all",
     .type = OPT_STRING,
     .at = AT(moments),
     .flags = OPT_FILE,
     .fallback = "those kept in the model",
     .more = "Tensors are layers.N.weight.exp_avg, layers.N.weight.exp_avg_sq and the same of "
             "layers.N.bias; or 0.exp_avg, 0.exp_avg_sq, 1.exp_avg ... as optimizers key them, in "
             "the order weight 0, bias 0, weight 1, bias 1."},
    {.name = "moments-step",
     .value = "N",
     .help = "steps of the optimizer that the moments are of",
     .type = OPT_REAL,
     .at = AT(moments_step),
     .min = 1,
     .max = 1e15,
     .fallback = "as the file says, or the checkpoint's step"},
    {.name = "beta1",
     .value = "X",
     .help = "how slowly the first moment moves",
     .type = OPT_REAL,
     .at = AT(beta1),
     .min = 0,
     .max = 0.9999999999,
     .fallback = "the model's, or 0.9"},
    {.name = "beta2",
     .value = "X",
     .help = "how slowly the second moment moves",
     .type = OPT_REAL,
     .at = AT(beta2),
     .min = 0,
     .max = 0.9999999999,
     .fallback = "the model's, or 0.999"},
    {.name = "epsilon",
     .value = "X",
     .help = "added to the root of the second moment",
     .type = OPT_REAL,
     .at = AT(epsilon),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1e6,
     .fallback = "the model's, or 1e-8"},
    {.name = "form",
     .value = "FORM",
     .help = "rows in full; as their factors; or projected:K, to K columns at random",
     .type = OPT_STRING,
     .at = AT(form),
     .more =
         "factors: for each layer its input and the gradient of its output, whose outer product is "
         "the layer's part of the row. Nothing is lost, and they take a fraction of the space; "
         "curvature is fitted on them. projected:K[,kind=sparse|rademacher][,nonzeros=S]: dot "
         "products are kept in the mean. "
         "sparse, the usual kind, has S entries in each column of its matrix, 2 when nothing is "
         "said; rademacher none that is zero. The matrix comes from --seed. Stores that are to "
         "meet must be projected alike.",
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

/* The files of --moments. */
typedef struct moments_list {
    char *text; /* the paths, each ended by NUL */
    const char **path;
    uint32_t n;
} moments_list;

static tamis_status split_moments(moments_list *list, const char *text, tamis_error *err)
{
    size_t commas = 0;
    for (const char *c = text; *c; c++) commas += *c == ',';
    list->text = strdup(text);
    list->path = calloc(commas + 1, sizeof *list->path);
    if (!list->text || !list->path) return fail_memory(err);
    for (char *at = list->text, *end; at; at = end) {
        end = strchr(at, ',');
        if (end) *end++ = '\0';
        if (!*at) return fail(err, TAMIS_ERR_ARG, "--moments '%s': a file's name is empty", text);
        list->path[list->n++] = at;
    }
    return TAMIS_OK;
}

static tamis_status add_moments(session *s, moments_list *list, const char *text, tamis_error *err)
{
    if (!text) return TAMIS_OK;
    TRY(split_moments(list, text, err));
    for (uint32_t i = 0; i < list->n; i++) TRY(session_add_input(s, "moments", list->path[i], err));
    return TAMIS_OK;
}

static void give(tamis_gradient_params *params, unsigned what, double *ret_value, double value)
{
    if (isnan(value)) return;
    params->given |= what;
    *ret_value = value;
}

static tamis_status fill_direction(const grad_args *args, const moments_list *moments,
                                   tamis_gradient_params *params, tamis_error *err)
{
    params->function = (tamis_function)args->function;
    params->direction = (tamis_direction)args->direction;
    params->moments = moments->path;
    params->moment_files = moments->n;
    give(params, TAMIS_GIVEN_BETA1, &params->beta1, args->beta1);
    give(params, TAMIS_GIVEN_BETA2, &params->beta2, args->beta2);
    give(params, TAMIS_GIVEN_EPSILON, &params->epsilon, args->epsilon);
    if (isnan(args->moments_step)) return TAMIS_OK;
    params->given |= TAMIS_GIVEN_STEP;
    params->moments_step = (uint64_t)args->moments_step;
    if (args->moments_step > floor(args->moments_step))
        return fail(err, TAMIS_ERR_ARG, "--moments-step %g is not valid: a whole number is wanted",
                    args->moments_step);
    return TAMIS_OK;
}

/* The constants that an option which was not given came to. */
static tamis_status note_constants(session *s, const tamis_gradient_params *params,
                                   const tamis_model_info *info, tamis_error *err)
{
    bool by_adam = params->direction == TAMIS_DIRECTION_ADAM ||
                   params->direction == TAMIS_DIRECTION_ADAM_LESS;
    if (!by_adam && params->direction != TAMIS_DIRECTION_SECOND_MOMENT) return TAMIS_OK;
    if (by_adam && !(params->given & TAMIS_GIVEN_BETA1))
        TRY(session_note_number(s, "beta1", info->moments ? info->beta1 : 0.9, err));
    if (!(params->given & TAMIS_GIVEN_BETA2))
        TRY(session_note_number(s, "beta2", info->moments ? info->beta2 : 0.999, err));
    if (!(params->given & TAMIS_GIVEN_EPSILON))
        TRY(session_note_number(s, "epsilon", info->moments ? info->epsilon : 1e-8, err));
    return TAMIS_OK;
}

/* What a run has to free. */
typedef struct made {
    tamis_model *model;
    tamis_data *data;
    int32_t *label; /* given beside the data's */
    moments_list moments;
} made;

/* The rows, and labels that are given beside them. */
static tamis_status read_rows(session *s, const grad_args *args, const data_args *from,
                              const labels_choice *labels, made *m, tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(m->model);
    data_like like = {info->classes, info->class_name, info->layer[0].in, info->feature_name};
    TRY(data_read(s, from, &like, &m->data, err));
    TRY(data_check_columns(from, m->data, args->model, info->layer[0].in, err));
    warn_of_names(s, from, m->data, info);
    if (!labels->path) return TAMIS_OK;
    return tamis_labels_read(s->context, labels->path, m->data->rows, from->path, info->classes,
                             &m->label, err);
}

static tamis_status make(session *s, const grad_args *args, made *m, tamis_error *err)
{
    data_args from = args->data;
    labels_choice labels = {0};
    TRY(labels_choose(s, args->labels, args->label_seed, &from, &labels, err));
    bool projected = false;
    tamis_projection projection;
    tamis_form form = TAMIS_FORM_FULL;
    TRY(form_parse(args->form, args->common.seed, &form, &projected, &projection, err));
    TRY(session_add_input(s, "model", args->model, err));
    TRY(data_add_inputs(s, &from, err));
    TRY(session_add_input(s, "given labels", labels.path, err));
    TRY(add_moments(s, &m->moments, args->moments, err));
    TRY(session_add_output(s, args->common.output, store_output_flags(&args->store), err));
    tamis_gradient_params params = {
        .path = args->common.output,
        .dtype = (tamis_dtype)args->store.dtype,
        .layers = args->layers,
        .checkpoints = args->checkpoints,
        .shard_rows = args->store.shard_rows,
        .force = args->common.force,
        .resume = args->store.resume,
        .form = form,
        .labels = labels.labels,
        .label_seed = labels.seed,
    };
    if (projected) params.projection = &projection;
    TRY(fill_direction(args, &m->moments, &params, err));
    const char *activation = args->activation < 0 ? NULL : activation_names[args->activation];
    TRY(tamis_model_load(&m->model, s->context, args->model, activation, err));
    TRY(read_rows(s, args, &from, &labels, m, err));
    params.given_labels = m->label;
    TRY(note_constants(s, &params, tamis_model_info_get(m->model), err));
    TRY(session_provenance(s, &params.provenance, err));
    tamis_data rows = *m->data;
    if (from.features) rows.feature_name = NULL; /* the user says which column stands for which */
    return tamis_gradients(m->model, s->context, &rows, &params, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    made m = {0};
    tamis_status status = make(s, cookie, &m, err);
    tamis_data_free(&m.data);
    tamis_model_free(&m.model);
    free(m.label);
    free(m.moments.path);
    free(m.moments.text);
    TRY(status);
    return store_report(s, err);
}

const command cmd_grad = {
    .name = "grad",
    .group = "Flow",
    .summary = "store the gradient of every example",
    .synopsis = "--model FILE --data FILE [--label NAME] [--labels WHICH|FILE] -o STORE.h5 "
                "[OPTIONS]",
    .description =
        "Computes the gradient of every row's summed cross-entropy, or margin, with respect to the "
        "weights, at every checkpoint of the model, and writes it, or the direction of a step made "
        "of it, to a gradient store, with loss, margin and class probabilities beside it.\n\n"
        "With --shard-rows the store is a directory of files, each committed when it is "
        "whole; a run that "
        "was killed goes on with --resume, and the finished store has the same bytes.\n\n"
        "Where the model knows the names of its features, the rows' columns or keys of "
        "these names are taken, "
        "in whatever order they stand; --features says otherwise.",
    .examples =
        "# every checkpoint, at half the size\n"
        "tamis grad --model model.h5 --data train.csv --label class --dtype bf16 -o train.h5\n"
        "# the steps that Adam would make, for LESS\n"
        "tamis grad --model model.h5 --data train.csv --label class --direction adam -o train.h5\n"
        "# for many or wide rows: 4,096 columns of a byte each\n"
        "tamis grad --model model.h5 --data train.csv --label class --form projected:4096 "
        "--dtype i8 -o train.h5\n"
        "# rows as their factors\n"
        "tamis grad --model model.h5 --data train.csv --label class --form factors --dtype bf16 "
        "-o train.h5\n"
        "# weights made elsewhere\n"
        "tamis grad --model w.safetensors --activation tanh --data x.npy --labels y.npy -o "
        "train.h5\n"
        "# pseudo-gradients, for curvature\n"
        "tamis grad --model model.h5 --data train.csv --label class --labels sampled -o "
        "pseudo.h5",
    .output = "STORE.h5",
    .options = options,
    .n_options = LEN(options),
    .common = COMMON_WRITES,
    .args_size = sizeof(grad_args),
    .defaults = &defaults,
    .run = run,
};
