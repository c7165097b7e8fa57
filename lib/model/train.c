/* Training.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "model/object.h"
#include "store/utf8.h"

/* More than any perceptron needs; the bits of `no_bias` reach as far. */
#define MAX_LAYERS 64u

/* Rows between two calls of the progress function inside an epoch, so that a long epoch can be
 * stopped. */
#define PROGRESS_ROWS 8192u

void tamis_train_defaults(tamis_train_params *params)
{
    *params = (tamis_train_params){
        .activation = TAMIS_RELU,
        .optimizer = TAMIS_SGD,
        .epochs = 40,
        .batch = 64,
        .learning_rate = 0.1,
        .momentum = 0.9,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
        .standardise = true,
    };
}

typedef struct training {
    tamis_context *context;
    const tamis_train_params *params;
    const tamis_data *data;
    const tamis__train_rows *some; /* NULL = all rows */
    uint64_t rows;                 /* trained on */
    tamis__model_file file;        /* the model being made */
    uint64_t parameters;
    float *weights; /* [parameters] being trained */
    const float *weight[MAX_LAYERS];
    tamis__network network;
    tamis__optimiser optimiser;
    tamis__stepper stepper;
    gsl_rng *rng;
    uint64_t *order; /* [rows of the data] */
    bool *there;     /* [rows of the data], when places are kept: trained on */
    uint32_t kept;   /* checkpoints filled in */
} training;

/* --- parameters ------------------------------------------------------------------------------- */

static tamis_status check_number(const char *name, double value, bool good, const char *range,
                                 tamis_error *err)
{
    if (good && isfinite(value)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "%s %g is out of range: it must be %s", name, value,
                       range);
}

static tamis_status check_sizes(const tamis_train_params *p, tamis_error *err)
{
    if (p->epochs == 0) return tamis__fail(err, TAMIS_ERR_ARG, "at least one epoch is needed");
    if (p->batch == 0) return tamis__fail(err, TAMIS_ERR_ARG, "a batch has at least one row");
    if (p->hidden_layers >= MAX_LAYERS)
        return tamis__fail(err, TAMIS_ERR_ARG, "%" PRIu32 " hidden layers: at most %u",
                           p->hidden_layers, MAX_LAYERS - 1);
    for (uint32_t l = 0; l < p->hidden_layers; l++)
        if (p->hidden[l] == 0)
            return tamis__fail(err, TAMIS_ERR_ARG, "hidden layer %" PRIu32 " has width 0", l);
    if ((unsigned)p->activation > TAMIS_GELU || (unsigned)p->optimizer > TAMIS_ADAM)
        return tamis__fail(err, TAMIS_ERR_ARG, "no such activation or optimizer");
    return TAMIS_OK;
}

static tamis_status check_params(const tamis_train_params *p, tamis_error *err)
{
    TAMIS_TRY(check_sizes(p, err));
    TAMIS_TRY(
        check_number("learning rate", p->learning_rate, p->learning_rate > 0, "above 0", err));
    TAMIS_TRY(
        check_number("weight decay", p->weight_decay, p->weight_decay >= 0, "0 or more", err));
    if (p->optimizer == TAMIS_SGD)
        return check_number("momentum", p->momentum, p->momentum >= 0 && p->momentum < 1,
                            "in [0, 1)", err);
    TAMIS_TRY(check_number("beta1", p->beta1, p->beta1 >= 0 && p->beta1 < 1, "in [0, 1)", err));
    TAMIS_TRY(check_number("beta2", p->beta2, p->beta2 >= 0 && p->beta2 < 1, "in [0, 1)", err));
    return check_number("epsilon", p->epsilon, p->epsilon > 0, "above 0", err);
}

/* --- building --------------------------------------------------------------------------------- */

/* Epochs after which a checkpoint is kept: multiples, and the last. */
static bool checkpoint_due(const tamis_train_params *p, uint32_t epoch)
{
    return epoch == p->epochs || (p->checkpoint_every && epoch % p->checkpoint_every == 0);
}

static uint32_t checkpoints_of(const tamis_train_params *p)
{
    uint32_t every = p->checkpoint_every;
    return every ? p->epochs / every + (p->epochs % every != 0) : 1;
}

static tamis_status make_layers(training *t, tamis_error *err)
{
    const tamis_train_params *p = t->params;
    uint32_t layers = p->hidden_layers + 1;
    uint64_t in = t->data->columns;
    t->file.layer = tamis__calloc(layers, sizeof *t->file.layer);
    if (!t->file.layer) return tamis__fail_memory(err, "layers", layers * sizeof *t->file.layer);
    t->file.layers = layers;
    for (uint32_t l = 0; l < layers; l++) {
        uint64_t out = l < p->hidden_layers ? p->hidden[l] : t->data->classes, columns = 0;
        tamis_layer *layer = &t->file.layer[l];
        tamis__layer_init(layer, l, out, in, !(p->no_bias >> l & 1), t->parameters);
        if (__builtin_mul_overflow(out, in + layer->bias, &columns) ||
            columns > UINT64_MAX / 64 - t->parameters)
            return tamis__fail(err, TAMIS_ERR_ARG, "layer %" PRIu32 " is too large", l);
        t->parameters += columns;
        in = out;
    }
    return TAMIS_OK;
}

static tamis_status check_memory(const training *t, tamis_error *err)
{
    uint64_t each = t->params->optimizer == TAMIS_ADAM ? 3 : 1; /* weights, with their moments */
    uint64_t copies = each * checkpoints_of(t->params) + 3, batch = t->params->batch;
    unsigned threads = tamis_context_threads(t->context);
    if (batch > t->rows) batch = t->rows;
    uint64_t room = t->context->memory, bytes = t->parameters * sizeof(float);
    /* By division first: the product of both may not fit 64 bits. */
    if (bytes <= room / copies)
        bytes = copies * bytes + tamis__stepper_bytes(&t->network, t->parameters, threads, batch);
    else
        bytes = copies > UINT64_MAX / bytes ? UINT64_MAX : copies * bytes;
    return tamis__memory_check(t->context, bytes, "training (weights, gradients and checkpoints)",
                               err);
}

static tamis_status copy_names(training *t, tamis_error *err)
{
    tamis__model_file *file = &t->file;
    const char *provenance = t->params->provenance ? t->params->provenance : "{}";
    file->classes = t->data->classes;
    snprintf(file->activation, sizeof file->activation, "%s",
             tamis__activation_name(t->params->activation));
    file->provenance = tamis__strdup(provenance);
    if (!file->provenance) return tamis__fail_memory(err, "provenance", strlen(provenance));
    const tamis_data *data = t->data;
    if (data->class_name)
        file->class_name = tamis__texts_copy((const char *const *)data->class_name, data->classes);
    if (data->class_name && !file->class_name)
        return tamis__fail_memory(err, "class names", data->classes);
    if (data->feature_name)
        file->feature_name = tamis__texts_copy((const char *const *)data->feature_name,
                                               data->columns);
    if (data->feature_name && !file->feature_name)
        return tamis__fail_memory(err, "feature names", data->columns);
    return TAMIS_OK;
}

/* An array for each layer at each checkpoint. */
static tamis_status make_blocks(training *t, float ***ret_blocks, tamis_error *err)
{
    const tamis__model_file *file = &t->file;
    size_t blocks = (size_t)file->checkpoints * file->layers;
    float **block = *ret_blocks = tamis__calloc(blocks, sizeof *block);
    if (!block) return tamis__fail_memory(err, "checkpoints", blocks * sizeof *block);
    for (size_t i = 0; i < blocks; i++) {
        uint64_t columns = tamis_layer_columns(&file->layer[i % file->layers]);
        block[i] = tamis__malloc(columns, sizeof(float));
        if (!block[i]) return tamis__fail_memory(err, "checkpoints", columns * sizeof(float));
    }
    return TAMIS_OK;
}

static tamis_status make_checkpoints(training *t, tamis_error *err)
{
    tamis__model_file *file = &t->file;
    uint32_t checkpoints = checkpoints_of(t->params);
    file->checkpoint = tamis__calloc(checkpoints, sizeof *file->checkpoint);
    if (!file->checkpoint)
        return tamis__fail_memory(err, "checkpoints",
                                  (uint64_t)checkpoints * sizeof *file->checkpoint);
    file->checkpoints = checkpoints;
    TAMIS_TRY(make_blocks(t, &file->weight, err));
    if (t->params->optimizer != TAMIS_ADAM) return TAMIS_OK;
    file->beta1 = t->params->beta1;
    file->beta2 = t->params->beta2;
    file->epsilon = t->params->epsilon;
    TAMIS_TRY(make_blocks(t, &file->first, err));
    return make_blocks(t, &file->second, err);
}

/* Every array of the model, before the first step: training does not fail for memory at its end. */
static tamis_status make_file(training *t, tamis_error *err)
{
    tamis__model_file *file = &t->file;
    TAMIS_TRY(copy_names(t, err));
    TAMIS_TRY(make_checkpoints(t, err));
    if (!t->params->standardise) return TAMIS_OK;
    file->mean = tamis__calloc(t->data->columns, sizeof *file->mean);
    file->scale = tamis__calloc(t->data->columns, sizeof *file->scale);
    if (!file->mean || !file->scale)
        return tamis__fail_memory(err, "means", t->data->columns * sizeof(float));
    TAMIS_TRY(tamis__standardise(t->data, t->some ? t->some->row : NULL, t->rows, file->mean,
                                 file->scale, err));
    t->network.mean = file->mean;
    t->network.scale = file->scale;
    return TAMIS_OK;
}

static tamis_status training_init(training *t, tamis_error *err)
{
    TAMIS_TRY(make_layers(t, err));
    t->network = (tamis__network){
        .layers = t->file.layers,
        .layer = t->file.layer,
        .activation = t->params->activation,
        .weight = t->weight,
    };
    TAMIS_TRY(check_memory(t, err));
    TAMIS_TRY(make_file(t, err));
    t->weights = tamis__aligned(t->parameters, sizeof *t->weights);
    t->order = tamis__malloc(t->data->rows, sizeof *t->order);
    t->there = tamis__calloc(t->some && t->some->in_place ? t->data->rows : 0, sizeof *t->there);
    t->rng = tamis__rng_create();
    if (!t->weights || !t->order || !t->there || !t->rng)
        return tamis__fail_memory(err, "weights", t->parameters * sizeof *t->weights);
    for (uint64_t i = 0; t->some && t->some->in_place && i < t->rows; i++)
        t->there[t->some->row[i]] = true;
    for (uint32_t l = 0; l < t->file.layers; l++)
        t->weight[l] = t->weights + t->file.layer[l].first_column;
    TAMIS_TRY(tamis__initial_weights(&t->network, t->params->seed, t->weights, err));
    TAMIS_TRY(tamis__optimiser_init(&t->optimiser, t->params, t->parameters, err));
    uint64_t batch = t->params->batch < t->rows ? t->params->batch : t->rows;
    return tamis__stepper_init(&t->stepper, t->context, t->data, &t->network, t->parameters, batch,
                               err);
}

static void training_fini(training *t)
{
    tamis__stepper_fini(&t->stepper);
    tamis__optimiser_fini(&t->optimiser);
    tamis__model_file_fini(&t->file);
    free(t->weights);
    free(t->order);
    free(t->there);
    if (t->rng) gsl_rng_free(t->rng);
}

/* --- epochs ----------------------------------------------------------------------------------- */

static tamis_status diverged(const training *t, uint32_t epoch, const char *what, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "epoch %" PRIu32
                       ": the %s no longer finite: lower the learning rate (it is %g)",
                       epoch, what, t->params->learning_rate);
}

/* `epochs` are finished, and `rows` rows of the next one or, when 0, all of the last. */
static tamis_status report(const training *t, uint32_t epochs, uint64_t rows, const tamis_fit *sum,
                           tamis_error *err)
{
    char note[64];
    double n = (double)(rows ? rows : t->rows);
    snprintf(note, sizeof note, "loss %.3f  accuracy %.3f", sum->loss / n, sum->accuracy / n);
    return tamis__progress(t->context, "training", epochs, t->params->epochs, "epochs", note, err);
}

/* Rows in the order of an epoch; returns how many places there are. */
static uint64_t shuffle(training *t, uint32_t epoch)
{
    const tamis__train_rows *some = t->some;
    uint64_t places = some && some->in_place ? t->data->rows : t->rows;
    tamis__rng_key(t->rng, t->params->seed, TAMIS__STREAM_SHUFFLE, epoch);
    tamis__rng_permutation(t->rng, t->order, places);
    for (uint64_t i = 0; some && !some->in_place && i < places; i++)
        t->order[i] = some->row[t->order[i]];
    return places;
}

/* Rows at places first .. first + n - 1 that are trained on, moved together; returns how many. */
static uint64_t close_up(training *t, uint64_t first, uint64_t n)
{
    uint64_t left = 0;
    if (!t->some || !t->some->in_place) return n;
    for (uint64_t i = first; i < first + n; i++)
        if (t->there[t->order[i]]) t->order[first + left++] = t->order[i];
    return left;
}

static tamis_status train_epoch(training *t, uint32_t epoch, tamis_error *err)
{
    uint64_t places = shuffle(t, epoch), batch = t->params->batch, done = 0, told = 0;
    tamis_fit sum = {0};
    for (uint64_t first = 0; first < places; first += batch) {
        uint64_t n = close_up(t, first, places - first < batch ? places - first : batch);
        if (n == 0) continue;
        TAMIS_TRY(tamis__stepper_gradient(&t->stepper, t->order, first, n, err));
        sum.loss += t->stepper.total_loss;
        sum.accuracy += (double)t->stepper.total_correct;
        if (!isfinite(sum.loss)) return diverged(t, epoch, "loss is", err);
        tamis__optimiser_step(&t->optimiser, t->file.layer, t->file.layers, t->weights,
                              t->stepper.memory);
        done += n;
        if (done < t->rows && done - told >= PROGRESS_ROWS) {
            told = done;
            TAMIS_TRY(report(t, epoch - 1, told, &sum, err));
        }
    }
    return report(t, epoch, 0, &sum, err);
}

/* Copies of what is being trained into the checkpoint to be filled in. */
static void keep_blocks(const training *t, float *const *block, const float *values)
{
    const tamis__model_file *file = &t->file;
    for (uint32_t l = 0; block && l < file->layers; l++)
        memcpy(block[(size_t)t->kept * file->layers + l], values + file->layer[l].first_column,
               tamis_layer_columns(&file->layer[l]) * sizeof(float));
}

static tamis_status keep_checkpoint(training *t, uint32_t epoch, tamis_error *err)
{
    for (uint64_t i = 0; i < t->parameters; i++)
        if (!isfinite(t->weights[i])) return diverged(t, epoch, "weights are", err);
    keep_blocks(t, t->file.weight, t->weights);
    keep_blocks(t, t->file.first, t->optimiser.first);
    keep_blocks(t, t->file.second, t->optimiser.second);
    t->file.checkpoint[t->kept] = (tamis_checkpoint){
        .step = t->optimiser.step,
        .learning_rate = t->params->learning_rate,
    };
    t->kept++;
    return TAMIS_OK;
}

static tamis_status run_epochs(training *t, tamis_error *err)
{
    for (uint32_t epoch = 1; epoch <= t->params->epochs; epoch++) {
        TAMIS_TRY(train_epoch(t, epoch, err));
        if (checkpoint_due(t->params, epoch)) TAMIS_TRY(keep_checkpoint(t, epoch, err));
        if (epoch == UINT32_MAX) break;
    }
    return TAMIS_OK;
}

static tamis_status check_rows(const tamis_data *data, const tamis__train_rows *some,
                               tamis_error *err)
{
    if (!some) return TAMIS_OK;
    if (some->rows == 0) return tamis__fail(err, TAMIS_ERR_ARG, "no row is left to train on");
    for (uint64_t i = 0; i < some->rows; i++)
        if (some->row[i] >= data->rows)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "there is no row %" PRIu64 ": rows are 0 to %" PRIu64, some->row[i],
                               data->rows - 1);
    return TAMIS_OK;
}

tamis_status tamis__train(tamis_model **ret_model, tamis_context *context,
                          const tamis_train_params *params, const tamis_data *data,
                          const tamis__train_rows *rows, tamis_fit *ret_fit, tamis_error *err)
{
    TAMIS_TRY(check_params(params, err));
    if (data->label && data->classes < 2)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the labels have %" PRIu32 " classes: at least two are needed",
                           data->classes);
    TAMIS_TRY(tamis__data_check(data, data->columns, data->classes, err));
    TAMIS_TRY(check_rows(data, rows, err));
    training t = {.context = context,
                  .params = params,
                  .data = data,
                  .some = rows,
                  .rows = rows ? rows->rows : data->rows};
    tamis_model *model = NULL;
    tamis_fit fit = {0};
    tamis__blas_begin();
    tamis_status status = training_init(&t, err);
    if (status == TAMIS_OK) status = run_epochs(&t, err);
    if (status == TAMIS_OK) status = tamis__model_adopt(&model, &t.file, "training", err);
    if (status == TAMIS_OK && ret_fit)
        status = tamis_model_evaluate(model, context, model->info.checkpoints - 1, data, &fit, NULL,
                                      err);
    tamis__blas_end();
    training_fini(&t);
    if (status != TAMIS_OK) {
        tamis_model_free(&model);
        return status;
    }
    if (ret_fit) *ret_fit = fit;
    *ret_model = model;
    return TAMIS_OK;
}

tamis_status tamis_train(tamis_model **ret_model, tamis_context *context,
                         const tamis_train_params *params, const tamis_data *data,
                         tamis_fit *ret_fit, tamis_error *err)
{
    tamis_fit fit;
    /* Asked for in every case: a model whose loss is not finite is refused. */
    TAMIS_TRY(tamis__train(ret_model, context, params, data, NULL, &fit, err));
    if (ret_fit) *ret_fit = fit;
    return TAMIS_OK;
}
