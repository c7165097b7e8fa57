/* tamis train: fit a built-in model.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "data_args.h"
#include "names.h"
#include "report.h"
#include "training_args.h"

#define MAX_HIDDEN 63

enum { MODEL_SOFTMAX = 0, MODEL_MLP = 1 };

typedef struct train_args {
    common_args common;
    data_args data;
    int model, activation, optimizer;
    uint32_t hidden[MAX_HIDDEN];
    uint32_t hidden_layers; /* 0 = not given */
    uint64_t no_bias;
    bool no_bias_all;
    uint64_t epochs, batch, checkpoint_every;
    double learning_rate, momentum, weight_decay;
    bool no_standardise;
    const char *test, *test_labels;
} train_args;

static const train_args defaults = {
    .model = -1,
    .activation = TAMIS_RELU,
    .optimizer = TAMIS_SGD,
    .epochs = 40,
    .batch = 64,
    .learning_rate = (double)NAN,
    .momentum = 0.9,
};

/* A comma-separated list of whole numbers below `limit`, each handed to `take`. */
static tamis_status each_number(const char *name, const char *text, uint64_t limit,
                                train_args *args,
                                tamis_status (*take)(train_args *, uint64_t, tamis_error *),
                                tamis_error *err)
{
    for (;;) {
        size_t size = strcspn(text, ",");
        uint64_t value = 0;
        bool valid = size > 0 && size < 10 && strspn(text, "0123456789") >= size;
        for (size_t i = 0; valid && i < size; i++) value = 10 * value + (uint64_t)(text[i] - '0');
        if (!valid || value > limit)
            return fail(err, TAMIS_ERR_ARG,
                        "--%s '%.*s' is not valid: whole numbers up to %llu are wanted, "
                        "separated by commas",
                        name, (int)(size < 40 ? size : 40), text, (unsigned long long)limit);
        TRY(take(args, value, err));
        if (!text[size]) return TAMIS_OK;
        text += size + 1;
    }
}

static tamis_status take_hidden(train_args *args, uint64_t width, tamis_error *err)
{
    if (width == 0) return fail(err, TAMIS_ERR_ARG, "--hidden: a layer cannot be 0 wide");
    if (args->hidden_layers == MAX_HIDDEN)
        return fail(err, TAMIS_ERR_ARG, "--hidden: more than %d layers", MAX_HIDDEN);
    args->hidden[args->hidden_layers++] = (uint32_t)width;
    return TAMIS_OK;
}

static tamis_status set_hidden(void *cookie, const char *value, tamis_error *err)
{
    train_args *args = cookie;
    args->hidden_layers = 0;
    return each_number("hidden", value, 1000000, args, take_hidden, err);
}

static tamis_status take_no_bias(train_args *args, uint64_t layer, tamis_error *err)
{
    (void)err;
    args->no_bias |= UINT64_C(1) << layer;
    return TAMIS_OK;
}

static tamis_status set_no_bias(void *cookie, const char *value, tamis_error *err)
{
    train_args *args = cookie;
    args->no_bias_all = !strcmp(value, "all");
    args->no_bias = args->no_bias_all ? UINT64_MAX : 0;
    if (args->no_bias_all) return TAMIS_OK;
    return each_number("no-bias", value, 63, args, take_no_bias, err);
}

#define AT(field) offsetof(train_args, field)

static const char *const model_names[] = {"softmax", "mlp", NULL};
static const char *const activation_names[] = {"relu", "tanh", "gelu", NULL};
static const char *const optimizer_names[] = {"sgd", "adam", NULL};

static const opt options[] = {
    {.name = "model",
     .value = "NAME",
     .help = "what to fit",
     .type = OPT_CHOICE,
     .at = AT(model),
     .flags = OPT_REQUIRED,
     .choices = model_names,
     .section = "Model"},
    {.name = "hidden",
     .value = "WIDTHS",
     .help = "widths of the hidden layers of mlp, separated by commas",
     .type = OPT_CALL,
     .set = set_hidden,
     .fallback = "64"},
    {.name = "activation",
     .value = "NAME",
     .help = "after every layer but the last",
     .type = OPT_CHOICE,
     .at = AT(activation),
     .choices = activation_names},
    {.name = "no-bias",
     .value = "LAYERS",
     .help = "numbers of the layers without a bias, from 0; or all",
     .type = OPT_CALL,
     .set = set_no_bias},
    DATA_OPTIONS(AT(data)),
    {.name = "labels",
     .value = "FILE",
     .help = "classes from a file of their own (.npy or IDX)",
     .type = OPT_STRING,
     .at = AT(data.labels),
     .flags = OPT_FILE},
    {.name = "test",
     .value = "FILE",
     .help = "report the accuracy on these rows; never trained on",
     .type = OPT_STRING,
     .at = AT(test),
     .flags = OPT_FILE},
    {.name = "test-labels",
     .value = "FILE",
     .help = "their classes, where --labels was needed",
     .type = OPT_STRING,
     .at = AT(test_labels),
     .flags = OPT_FILE},
    {.name = "optimizer",
     .value = "NAME",
     .help = "how to train",
     .type = OPT_CHOICE,
     .at = AT(optimizer),
     .choices = optimizer_names,
     .more = "adam keeps its moments in the model, with the weights of every checkpoint, for "
             "tamis grad --direction; the file is three times as large.",
     .section = "Training"},
    TRAINING_OPTIONS(train_args, NULL, "0.1 for sgd, 0.001 for adam"),
    {.name = "checkpoint-every",
     .value = "N",
     .help = "epochs between checkpoints; 0 = only the last",
     .type = OPT_UINT,
     .at = AT(checkpoint_every),
     .min = 0,
     .max = 1e6},
    {.name = "no-standardise",
     .help = "take the features as they are",
     .type = OPT_FLAG,
     .at = AT(no_standardise),
     .more = "Without it every feature is shifted and scaled to mean 0 and deviation 1 over the "
             "training "
             "rows; the model keeps both, so later steps do the same."},
};

static tamis_status fill_params(const train_args *args, tamis_train_params *params,
                                tamis_error *err)
{
    static const uint32_t usual[] = {64};
    tamis_train_defaults(params);
    if (args->model == MODEL_SOFTMAX && args->hidden_layers)
        return fail(err, TAMIS_ERR_ARG,
                    "--hidden does not go with --model softmax: it has one layer");
    params->hidden = args->hidden_layers ? args->hidden : usual;
    params->hidden_layers = args->hidden_layers ? args->hidden_layers : 1;
    if (args->model == MODEL_SOFTMAX) params->hidden_layers = 0;
    params->activation = (tamis_activation)args->activation;
    params->optimizer = (tamis_optimizer)args->optimizer;
    uint32_t layers = params->hidden_layers + 1;
    if (!args->no_bias_all && layers < 64 && args->no_bias >> layers)
        return fail(err, TAMIS_ERR_ARG, "--no-bias: the model has layers 0 to %u only", layers - 1);
    params->no_bias = args->no_bias;
    params->epochs = (uint32_t)args->epochs;
    params->batch = (uint32_t)args->batch;
    params->learning_rate = params->optimizer == TAMIS_ADAM ? 0.001 : 0.1;
    if (!isnan(args->learning_rate)) params->learning_rate = args->learning_rate;
    params->momentum = args->momentum;
    params->weight_decay = args->weight_decay;
    params->checkpoint_every = (uint32_t)args->checkpoint_every;
    params->standardise = !args->no_standardise;
    params->seed = args->common.seed;
    return TAMIS_OK;
}

/* What an option that was not given came to. */
static tamis_status note_defaults(session *s, const train_args *args,
                                  const tamis_train_params *params, tamis_error *err)
{
    if (params->hidden_layers && !args->hidden_layers)
        TRY(session_note_text(s, "hidden", "64", err));
    return session_note_number(s, "learning-rate", params->learning_rate, err);
}

typedef struct trained {
    tamis_data *data, *test;
    tamis_model *model;
    tamis_fit fit, test_fit;
} trained;

static tamis_status check_labels(const train_args *args, tamis_error *err)
{
    TRY(data_check_labels(&args->data, err));
    if (args->test_labels && !args->test)
        return fail(err, TAMIS_ERR_ARG, "--test-labels goes with --test only");
    if (args->test && !args->data.label && !args->test_labels)
        return fail(err, TAMIS_ERR_ARG, "--test needs --test-labels, as --data has its --labels");
    return TAMIS_OK;
}

static tamis_status read_test(session *s, const train_args *args, trained *t, tamis_error *err)
{
    if (!args->test) return TAMIS_OK;
    data_args test = args->data;
    test.path = args->test;
    test.labels = args->test_labels;
    data_like like = {t->data->classes, (const char *const *)t->data->class_name, t->data->columns,
                      (const char *const *)t->data->feature_name};
    TRY(data_read(s, &test, &like, &t->test, err));
    return data_check_columns(&test, t->test, args->data.path, t->data->columns, err);
}

static tamis_status train(session *s, const train_args *args, trained *t, tamis_error *err)
{
    tamis_train_params params;
    TRY(check_labels(args, err));
    TRY(fill_params(args, &params, err));
    TRY(data_add_inputs(s, &args->data, err));
    TRY(session_add_input(s, "test", args->test, err));
    TRY(session_add_input(s, "test-labels", args->test_labels, err));
    TRY(session_add_output(s, args->common.output, 0, err));
    TRY(note_defaults(s, args, &params, err));
    TRY(data_read(s, &args->data, NULL, &t->data, err));
    TRY(read_test(s, args, t, err));
    TRY(session_provenance(s, &params.provenance, err));
    TRY(tamis_train(&t->model, s->context, &params, t->data, &t->fit, err));
    if (t->test) {
        uint32_t last = tamis_model_info_get(t->model)->checkpoints - 1;
        TRY(tamis_model_evaluate(t->model, s->context, last, t->test, &t->test_fit, NULL, err));
    }
    return tamis_model_save(t->model, s->context, args->common.output, args->common.force, err);
}

/* The first names, as many as there is room for, each whole or not at all. */
static void first_names(char *const *names, uint64_t n, char *buffer, size_t size)
{
    enum { SHOWN = 6 };
    size_t used = 0;
    *buffer = '\0';
    for (uint64_t i = 0; i < n; i++) {
        if (i == SHOWN || used + strlen(names[i]) + sizeof ", , ..." > size) {
            snprintf(buffer + used, size - used, "%s...", i ? ", " : "");
            return;
        }
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", names[i]);
    }
}

/* Their number, and the first names. */
static void report_features(report *r, const tamis_data *data)
{
    char count[32], names[256];
    if (!data->feature_name) {
        report_count(r, "features", data->columns);
        return;
    }
    if (r->machine) {
        json_put_uint(&r->j, "features", data->columns);
        json_put_array(&r->j, "feature_names");
        for (uint64_t i = 0; i < data->columns; i++)
            json_put_text(&r->j, NULL, data->feature_name[i]);
        json_close(&r->j);
    }
    first_names(data->feature_name, data->columns, names, sizeof names);
    report_labelled(r, "features", "%s: %s", count_text(data->columns, count, sizeof count), names);
}

static void report_trained(const session *s, const trained *t)
{
    const tamis_model_info *info = tamis_model_info_get(t->model);
    report r;
    report_begin(&r, s);
    report_text(&r, "output", s->common->output);
    report_count(&r, "rows", t->data->rows);
    report_features(&r, t->data);
    report_count(&r, "classes", info->classes);
    report_count(&r, "parameters", info->parameters);
    report_count(&r, "checkpoints", info->checkpoints);
    report_real(&r, "train_loss", t->fit.loss, 4);
    report_share(&r, "train_accuracy", t->fit.accuracy);
    if (t->test) {
        report_count(&r, "test_rows", t->test->rows);
        report_real(&r, "test_loss", t->test_fit.loss, 4);
        report_share(&r, "test_accuracy", t->test_fit.accuracy);
    }
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    trained t = {0};
    tamis_status status = train(s, cookie, &t, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK) report_trained(s, &t);
    tamis_model_free(&t.model);
    tamis_data_free(&t.test);
    tamis_data_free(&t.data);
    return status;
}

const command cmd_train = {
    .name = "train",
    .group = "Flow",
    .summary = "fit a built-in model to labelled rows, keeping checkpoints",
    .synopsis = "--model NAME --data FILE --label NAME -o MODEL.h5 [OPTIONS]",
    .description = "Trains softmax regression or a multilayer perceptron with cross-entropy and "
                   "writes the model, "
                   "with a checkpoint every so many epochs, to one HDF5 file. The same rows, "
                   "options and seed give "
                   "the same bytes at any number of threads.\n\n"
                   "Rows of CSV, TSV and JSON Lines name the class by --label; arrays (IDX, .npy) "
                   "take it from a "
                   "file of their own, --labels.",
    .examples =
        "# a perceptron with a checkpoint every 10 epochs\n"
        "tamis train --model mlp --data train.csv --label class --checkpoint-every 10 -o model.h5\n"
        "# images and labels in two files, accuracy on held-out rows\n"
        "tamis train --model softmax --data images.idx --labels labels.idx --test t.idx "
        "--test-labels tl.idx -o model.h5",
    .output = "MODEL.h5",
    .options = options,
    .n_options = LEN(options),
    .common = COMMON_WRITES,
    .args_size = sizeof(train_args),
    .defaults = &defaults,
    .run = run,
};
