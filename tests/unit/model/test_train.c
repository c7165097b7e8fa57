/* Training: what it computes, that it learns, and that it gives the same bits at any thread count.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "fixture.h"
#include "model/train.h"

static tamis_status quiet(tamis_model **ret_model, tamis_context *context,
                          const tamis_train_params *params, const tamis_data *data,
                          tamis_error *err)
{
    return tamis_train(ret_model, context, params, data, NULL, err);
}

static void assert_same_weights(const tamis_model *a, const tamis_model *b)
{
    const tamis_model_info *info = tamis_model_info_get(a);
    ck_assert_uint_eq(info->checkpoints, tamis_model_info_get(b)->checkpoints);
    for (uint32_t k = 0; k < info->checkpoints; k++)
        for (uint32_t l = 0; l < info->layers; l++)
            ck_assert_mem_eq(tamis_model_weights(a, k, l), tamis_model_weights(b, k, l),
                             tamis_layer_columns(&info->layer[l]) * sizeof(float));
}

/* --- learning --------------------------------------------------------------------------------- */

typedef struct seen {
    int calls, stop_after;
    double loss[100], accuracy[100];
    uint64_t done[100], total;
    bool good_words;
} seen;

static int watch(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                 const char *note)
{
    seen *s = cookie;
    if (strcmp(phase, "training") != 0) return 0;
    if (s->calls < 100 &&
        sscanf(note, "loss %lf accuracy %lf", &s->loss[s->calls], &s->accuracy[s->calls]) == 2)
        s->good_words = strcmp(unit, "epochs") == 0;
    s->done[s->calls % 100] = done;
    s->total = total;
    return ++s->calls == s->stop_after;
}

static tamis_context *watched_context(seen *s)
{
    tamis_error err = {0};
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(
        &context, &(tamis_context_params){.threads = 2, .progress = watch, .cookie = s}, &err));
    return context;
}

static const uint32_t hidden[] = {16, 8};

START_TEST(test_learns)
{
    tamis_error err = {0};
    seen s = {0};
    tamis_context *context = watched_context(&s);
    tamis_data *data = fixture_separable(300, 3, 5);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.hidden = hidden;
    params.hidden_layers = _i < 3 ? 2 : 0;
    params.activation = (tamis_activation)(_i % 3);
    params.epochs = 20;
    params.optimizer = _i == 4 ? TAMIS_ADAM : TAMIS_SGD;
    params.learning_rate = _i == 4 ? 0.05 : 0.05;
    tamis_model *model = NULL;
    tamis_fit fit = {0}, again = {0};
    ck_ok(tamis_train(&model, context, &params, data, &fit, &err));
    ck_assert_double_eq(fit.accuracy, 1.0);
    ck_assert_double_lt(fit.loss, 0.1);
    ck_assert_int_eq(s.calls, 20);
    ck_assert(s.good_words);
    ck_assert_double_lt(s.loss[19], 0.3 * s.loss[0]);
    ck_assert_double_eq(s.accuracy[19], 1.0);
    ck_assert_uint_eq(s.done[19], 20);
    ck_assert_uint_eq(s.total, 20);
    int32_t predicted[300];
    ck_ok(tamis_model_evaluate(model, context, 0, data, &again, predicted, &err));
    ck_assert(again.loss == fit.loss && again.accuracy == fit.accuracy);
    ck_assert_mem_eq(predicted, data->label, sizeof predicted);
    tamis_model_free(&model);
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(test_cancelled)
{
    tamis_error err = {0};
    seen s = {.stop_after = 3};
    tamis_context *context = watched_context(&s);
    tamis_data *data = fixture_separable(100, 2, 5);
    tamis_train_params params;
    tamis_train_defaults(&params);
    tamis_model *model = NULL;
    ck_fails(quiet(&model, context, &params, data, &err), TAMIS_ERR_CANCELLED, "training");
    ck_assert_ptr_null(model);
    ck_assert_int_eq(s.calls, 3);
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

/* A long epoch reports on its way, so that it can be stopped. */
START_TEST(test_reports_inside_epoch)
{
    tamis_error err = {0};
    seen s = {.stop_after = 2};
    tamis_context *context = watched_context(&s);
    tamis_data *data = fixture_separable(40000, 2, 5);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.epochs = 1;
    params.batch = 1000;
    tamis_model *model = NULL;
    ck_fails(quiet(&model, context, &params, data, &err), TAMIS_ERR_CANCELLED, "0 epochs");
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

/* --- what a step does ------------------------------------------------------------------------- */

/* Full-batch steps in double precision by the reference. */
typedef struct reference_training {
    double **weight, *first[8], *second[8], *gradient[8];
} reference_training;

static void reference_mean_gradient(reference_training *t, const tamis_model_info *info,
                                    const tamis_data *data)
{
    for (uint32_t l = 0; l < info->layers; l++)
        memset(t->gradient[l], 0, tamis_layer_columns(&info->layer[l]) * sizeof(double));
    for (uint64_t i = 0; i < data->rows; i++) {
        reference r = {0};
        reference_forward(&r, info, t->weight, data->x + i * data->columns, data->label[i]);
        reference_backward(&r, info, t->weight, data->label[i]);
        for (uint32_t l = 0; l < info->layers; l++) {
            uint64_t width = info->layer[l].in + info->layer[l].bias;
            for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++)
                t->gradient[l][at] += r.delta[l][at / width] * r.input[l][at % width] /
                                      (double)data->rows;
        }
    }
}

static void reference_step(reference_training *t, const tamis_model_info *info,
                           const tamis_train_params *p, int step)
{
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t width = info->layer[l].in + info->layer[l].bias;
        for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++) {
            double *w = &t->weight[l][at], *m = &t->first[l][at], *v = &t->second[l][at];
            bool bias = info->layer[l].bias && at % width == width - 1;
            double g = t->gradient[l][at] + (bias ? 0.0 : p->weight_decay * *w);
            if (p->optimizer == TAMIS_SGD) {
                *m = p->momentum * *m + g;
                *w -= p->learning_rate * *m;
            } else {
                *m = p->beta1 * *m + (1 - p->beta1) * g;
                *v = p->beta2 * *v + (1 - p->beta2) * g * g;
                double mean = *m / (1 - pow(p->beta1, step)),
                       square = *v / (1 - pow(p->beta2, step));
                *w -= p->learning_rate * mean / (sqrt(square) + p->epsilon);
            }
        }
    }
}

/* Adam keeps its moments, SGD none. */
static void check_moments(const tamis_model *model, const reference_training *t, uint32_t k,
                          uint32_t l, bool adam)
{
    const float *first = NULL, *second = NULL;
    ck_assert(tamis_model_moments(model, k, l, &first, &second) == adam);
    for (uint64_t i = 0; adam && i < tamis_layer_columns(&model->info.layer[l]); i++) {
        ck_assert_double_eq_tol((double)first[i], t->first[l][i], 2e-6);
        ck_assert_double_eq_tol((double)second[i], t->second[l][i], 1e-5 * t->second[l][i] + 1e-9);
    }
}

/* Four full-batch epochs, a checkpoint after each, against the reference from the same start. */
START_TEST(test_steps)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(2);
    tamis_data *data = fixture_data(150, 5, 3, 8);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.hidden = (const uint32_t[]){6};
    params.hidden_layers = 1;
    params.activation = TAMIS_TANH;
    params.epochs = 4;
    params.batch = 1000;
    params.checkpoint_every = 1;
    params.weight_decay = 0.05;
    params.optimizer = _i ? TAMIS_ADAM : TAMIS_SGD;
    params.learning_rate = _i ? 0.01 : 0.2;
    params.no_bias = 1;
    params.seed = 3;
    tamis_model *model = NULL;
    ck_ok(quiet(&model, context, &params, data, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    ck_assert_uint_eq(info->checkpoints, 4);
    ck_assert_uint_eq(info->layer[0].bias, 0);
    ck_assert_uint_eq(info->layer[1].bias, 1);
    ck_assert(info->moments == (_i == 1));
    ck_assert(info->beta1 == (_i ? 0.9 : 0.0) && info->beta2 == (_i ? 0.999 : 0.0));
    ck_assert(info->epsilon == (_i ? 1e-8 : 0.0));
    float start[6 * 5 + 3 * 7];
    tamis__network network = tamis__model_network(model, 0);
    ck_ok(tamis__initial_weights(&network, 3, start, &err));
    reference_training t = {.weight = reference_weights(model, 0)};
    for (uint32_t l = 0; l < 2; l++) {
        uint64_t n = tamis_layer_columns(&info->layer[l]);
        t.first[l] = calloc(n, sizeof(double));
        t.second[l] = calloc(n, sizeof(double));
        t.gradient[l] = calloc(n, sizeof(double));
        for (uint64_t i = 0; i < n; i++)
            t.weight[l][i] = (double)start[info->layer[l].first_column + i];
    }
    for (uint32_t k = 0; k < 4; k++) {
        reference_mean_gradient(&t, info, data);
        reference_step(&t, info, &params, (int)k + 1);
        ck_assert_uint_eq(info->checkpoint[k].step, k + 1);
        for (uint32_t l = 0; l < 2; l++) {
            check_moments(model, &t, k, l, _i);
            for (uint64_t i = 0; i < tamis_layer_columns(&info->layer[l]); i++)
                ck_assert_double_eq_tol((double)tamis_model_weights(model, k, l)[i], t.weight[l][i],
                                        2e-5);
        }
    }
    for (uint32_t l = 0; l < 2; l++) {
        free(t.first[l]);
        free(t.second[l]);
        free(t.gradient[l]);
    }
    reference_weights_free(t.weight, 2);
    tamis_model_free(&model);
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(test_initial_weights)
{
    tamis_error err = {0};
    tamis_layer layer[2];
    tamis__layer_init(&layer[0], 0, 60, 40, true, 0);
    tamis__layer_init(&layer[1], 1, 5, 60, true, 60 * 41);
    static float w[60 * 41 + 5 * 61], again[60 * 41 + 5 * 61];
    tamis__network network = {.layers = 2, .layer = layer, .activation = (tamis_activation)_i};
    ck_ok(tamis__initial_weights(&network, 7, w, &err));
    for (int l = 0; l < 2; l++) {
        double in = (double)layer[l].in, out = (double)layer[l].out, top = 0, squares = 0;
        double limit = _i == TAMIS_TANH ? sqrt(6 / (in + out)) : sqrt(6 / in);
        for (uint64_t o = 0; o < layer[l].out; o++) {
            const float *row = w + layer[l].first_column + o * (layer[l].in + 1);
            ck_assert(row[layer[l].in] == 0.0f);
            for (uint64_t j = 0; j < layer[l].in; j++) {
                top = fmax(top, fabs((double)row[j]));
                squares += (double)row[j] * (double)row[j];
            }
        }
        ck_assert_double_le(top, limit * 1.000001);
        ck_assert_double_gt(top, 0.95 * limit);
        ck_assert_double_eq_tol(squares / (in * out) / (limit * limit / 3), 1.0, 0.15);
    }
    ck_ok(tamis__initial_weights(&network, 7, again, &err));
    ck_assert_mem_eq(w, again, sizeof w);
    ck_ok(tamis__initial_weights(&network, 8, again, &err));
    ck_assert_mem_ne(w, again, sizeof w);
}
END_TEST

START_TEST(test_standardise)
{
    tamis_error err = {0};
    enum { ROWS = 1000, COLUMNS = 4 };
    tamis_data *data = fixture_data(ROWS, COLUMNS, 2, 3);
    for (int i = 0; i < ROWS; i++) {
        data->x[i * COLUMNS + 1] = 0.1f; /* constant, not exact */
        data->x[i * COLUMNS + 2] = 30000.0f +
                                   data->x[i * COLUMNS + 2]; /* small about a large mean */
        data->x[i * COLUMNS + 3] = 0.0f;
    }
    float mean[COLUMNS], scale[COLUMNS];
    ck_ok(tamis__standardise(data, NULL, data->rows, mean, scale, &err));
    for (int j = 0; j < COLUMNS; j++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < ROWS; i++) sum += (double)data->x[i * COLUMNS + j] / ROWS;
        for (int i = 0; i < ROWS; i++)
            squares += pow((double)data->x[i * COLUMNS + j] - sum, 2) / ROWS;
        bool constant = j == 1 || j == 3;
        ck_assert_double_eq_tol((double)mean[j], sum, 1e-6 * (1 + fabs(sum)));
        ck_assert_double_eq_tol((double)scale[j], constant ? 1.0 : sqrt(squares), 1e-6);
    }
    ck_assert(mean[1] == 0.1f);
    fixture_data_free(data);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

START_TEST(test_same_bits_any_threads)
{
    tamis_error err = {0};
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_data *data = fixture_data(700, 20, 4, 12);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.hidden = hidden;
    params.hidden_layers = 2;
    params.activation = TAMIS_GELU;
    params.epochs = 3;
    params.batch = _i ? 300 : 64;
    params.learning_rate = 0.02;
    params.checkpoint_every = 2;
    tamis_model *first = NULL;
    tamis_fit fit = {0};
    for (size_t i = 0; i < 4; i++) {
        tamis_context *context = fixture_context(threads[i]);
        tamis_model *model = NULL;
        tamis_fit now = {0};
        ck_ok(tamis_train(&model, context, &params, data, &now, &err));
        if (first) {
            assert_same_weights(first, model);
            ck_assert(fit.loss == now.loss && fit.accuracy == now.accuracy);
            tamis_model_free(&model);
        } else {
            first = model;
            fit = now;
        }
        tamis_context_destroy(&context);
    }
    tamis_model_free(&first);
    fixture_data_free(data);
}
END_TEST

START_TEST(test_seed_and_order)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(1);
    tamis_data *data = fixture_data(100, 5, 3, 12);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.epochs = 2;
    tamis_model *a = NULL, *b = NULL;
    ck_ok(quiet(&a, context, &params, data, &err));
    params.seed = 1;
    ck_ok(quiet(&b, context, &params, data, &err));
    ck_assert_mem_ne(tamis_model_weights(a, 0, 0), tamis_model_weights(b, 0, 0),
                     18 * sizeof(float));
    tamis_model_free(&a);
    tamis_model_free(&b);
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(test_checkpoints)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(1);
    tamis_data *data = fixture_data(100, 5, 3, 12);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.epochs = 7;
    params.batch = 30;
    params.checkpoint_every = 3;
    params.provenance = "{\"seed\":0}";
    tamis_model *model = NULL;
    ck_ok(quiet(&model, context, &params, data, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    ck_assert_uint_eq(info->checkpoints, 3);
    ck_assert_uint_eq(info->checkpoint[0].step, 12);
    ck_assert_uint_eq(info->checkpoint[1].step, 24);
    ck_assert_uint_eq(info->checkpoint[2].step, 28);
    ck_assert(info->checkpoint[2].learning_rate == 0.1);
    ck_assert_str_eq(info->provenance, "{\"seed\":0}");
    ck_assert_uint_eq(info->parameters, 18);
    ck_assert_uint_eq(info->classes, 3);
    ck_assert_ptr_null(info->class_name);
    ck_assert_ptr_nonnull(info->mean);
    ck_assert_ptr_null(tamis_model_weights(model, 3, 0));
    ck_assert_ptr_null(tamis_model_weights(model, 0, 1));
    tamis_model_free(&model);
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static void refuse(tamis_train_params params, const tamis_data *data, tamis_status wanted,
                   const char *text)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(1);
    tamis_model *model = NULL;
    ck_fails(quiet(&model, context, &params, data, &err), wanted, text);
    ck_assert_ptr_null(model);
    tamis_context_destroy(&context);
}

START_TEST(test_bad_params)
{
    tamis_data *data = fixture_data(20, 3, 2, 1);
    tamis_train_params good, p;
    tamis_train_defaults(&good);
    static const uint32_t no_width[] = {4, 0};
    p = good, p.epochs = 0, refuse(p, data, TAMIS_ERR_ARG, "epoch");
    p = good, p.batch = 0, refuse(p, data, TAMIS_ERR_ARG, "batch");
    p = good, p.learning_rate = 0, refuse(p, data, TAMIS_ERR_ARG, "learning rate");
    p = good, p.learning_rate = (double)NAN, refuse(p, data, TAMIS_ERR_ARG, "learning rate");
    p = good, p.learning_rate = HUGE_VAL, refuse(p, data, TAMIS_ERR_ARG, "learning rate");
    p = good, p.momentum = 1, refuse(p, data, TAMIS_ERR_ARG, "momentum");
    p = good, p.weight_decay = -1, refuse(p, data, TAMIS_ERR_ARG, "weight decay");
    p = good, p.optimizer = TAMIS_ADAM, p.beta1 = 1, refuse(p, data, TAMIS_ERR_ARG, "beta1");
    p = good, p.optimizer = TAMIS_ADAM, p.beta2 = -1, refuse(p, data, TAMIS_ERR_ARG, "beta2");
    p = good, p.optimizer = TAMIS_ADAM, p.epsilon = 0, refuse(p, data, TAMIS_ERR_ARG, "epsilon");
    p = good, p.activation = (tamis_activation)9, refuse(p, data, TAMIS_ERR_ARG, "activation");
    p = good, p.hidden = no_width, p.hidden_layers = 2, refuse(p, data, TAMIS_ERR_ARG, "width 0");
    p = good, p.hidden = no_width, p.hidden_layers = 64,
    refuse(p, data, TAMIS_ERR_ARG, "64 hidden layers");
    static const uint32_t huge[] = {UINT32_MAX, UINT32_MAX};
    p = good, p.hidden = huge, p.hidden_layers = 1, refuse(p, data, TAMIS_ERR_NOMEM, "--memory");
    p = good, p.hidden = huge, p.hidden_layers = 2, refuse(p, data, TAMIS_ERR_ARG, "too large");
    p = good, p.epochs = UINT32_MAX, p.checkpoint_every = 1,
    refuse(p, data, TAMIS_ERR_NOMEM, "--memory");
    fixture_data_free(data);
}
END_TEST

START_TEST(test_bad_data)
{
    tamis_train_params p;
    tamis_train_defaults(&p);
    tamis_data *data = fixture_data(20, 3, 2, 1);
    data->classes = 1;
    refuse(p, data, TAMIS_ERR_SHAPE, "1 classes");
    data->classes = 2;
    data->label[4] = 2;
    refuse(p, data, TAMIS_ERR_SHAPE, "row 4 has label 2");
    data->label[4] = -1;
    refuse(p, data, TAMIS_ERR_SHAPE, "label -1");
    data->rows = 0;
    refuse(p, data, TAMIS_ERR_SHAPE, "no rows");
    free(data->label);
    data->label = NULL;
    data->rows = 20;
    refuse(p, data, TAMIS_ERR_FORMAT, "no labels");
    fixture_data_free(data);
}
END_TEST

START_TEST(test_divergence)
{
    tamis_train_params p;
    tamis_train_defaults(&p);
    tamis_data *data = fixture_data(200, 3, 2, 1);
    p.hidden = hidden;
    p.hidden_layers = 2;
    p.learning_rate = 1e6;
    p.weight_decay = 1;
    refuse(p, data, TAMIS_ERR_NUMERIC, "lower the learning rate");
    refuse(p, data, TAMIS_ERR_NUMERIC, "epoch ");
    /* One step, after a loss that was finite. */
    p.epochs = 1;
    p.batch = 200;
    p.learning_rate = 1e39;
    refuse(p, data, TAMIS_ERR_NUMERIC, "epoch 1: the weights");
    fixture_data_free(data);
}
END_TEST

START_TEST(test_evaluate_refusals)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(2);
    fixture_spec spec = {.layers = 1, .width = {3, 2}, .checkpoints = 1};
    tamis_model *model = fixture_model(&spec);
    tamis_data *data = fixture_data(20, 3, 2, 1), *wide = fixture_data(20, 4, 2, 1);
    tamis_fit fit = {.loss = -5};
    ck_fails(tamis_model_evaluate(model, context, 1, data, &fit, NULL, &err), TAMIS_ERR_ARG,
             "checkpoint 1");
    ck_fails(tamis_model_evaluate(model, context, 0, wide, &fit, NULL, &err), TAMIS_ERR_SHAPE,
             "4 columns");
    ck_fails(tamis_model_evaluate(model, context, 0, wide, &fit, NULL, &err), TAMIS_ERR_SHAPE,
             "takes 3");
    data->x[0] = 1e38f;
    data->x[1] = -3e38f;
    model->file.weight[0][0] = 1e30f;
    model->file.weight[0][1] = 1e30f;
    ck_fails(tamis_model_evaluate(model, context, 0, data, &fit, NULL, &err), TAMIS_ERR_NUMERIC,
             "not finite");
    ck_assert(fit.loss == -5);
    tamis_model_free(&model);
    fixture_data_free(data);
    fixture_data_free(wide);
    tamis_context_destroy(&context);
}
END_TEST

/* --- failing allocations ---------------------------------------------------------------------- */

START_TEST(test_memory_failures)
{
    tamis_error err = {0};
    tamis_context *context = fixture_context(2);
    tamis_data *data = fixture_data(150, 3, 2, 1);
    data->class_name = (char *[]){"no", "yes"};
    tamis_train_params p;
    tamis_train_defaults(&p);
    p.hidden = hidden;
    p.hidden_layers = 2;
    p.epochs = 2;
    p.batch = 128;
    p.optimizer = TAMIS_ADAM;
    p.checkpoint_every = 1;
    tamis_model *model = NULL;
    long n = 0;
    for (; n < 10000; n++) {
        err = (tamis_error){0};
        tamis__fault_memory_after(n);
        tamis_status status = quiet(&model, context, &p, data, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        ck_assert_str_ne(err.message, "");
        ck_assert_ptr_null(model);
    }
    ck_assert_int_gt(n, 20);
    ck_assert_str_eq(tamis_model_info_get(model)->class_name[1], "yes");
    tamis_model_free(&model);
    data->class_name = NULL;
    fixture_data_free(data);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *tc = tcase_create("train");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_learns, 0, 5);
    tcase_add_test(tc, test_cancelled);
    tcase_add_test(tc, test_reports_inside_epoch);
    tcase_add_loop_test(tc, test_steps, 0, 2);
    tcase_add_loop_test(tc, test_initial_weights, 0, 3);
    tcase_add_test(tc, test_standardise);
    tcase_add_loop_test(tc, test_same_bits_any_threads, 0, 2);
    tcase_add_test(tc, test_seed_and_order);
    tcase_add_test(tc, test_checkpoints);
    tcase_add_test(tc, test_bad_params);
    tcase_add_test(tc, test_bad_data);
    tcase_add_test(tc, test_divergence);
    tcase_add_test(tc, test_evaluate_refusals);
    tcase_add_test(tc, test_memory_failures);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
