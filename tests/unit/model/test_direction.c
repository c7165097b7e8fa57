/* Directions of a step and the gradient of the margin: against plain double loops, finite
 * differences and the numbers of TRAK; the same bytes however they are made.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "kernels/kernels.h"
#include "moments.h"

/* --- the formulas ----------------------------------------------------------------------------- */

static double closed_form(tamis_direction direction, double g, double m, double v, double t,
                          double b1, double b2, double e)
{
    double mean = b1 * m + (1 - b1) * g, square = b2 * v + (1 - b2) * g * g;
    switch (direction) {
    case TAMIS_DIRECTION_SIGN: return g > 0 ? 1 : g < 0 ? -1 : 0;
    case TAMIS_DIRECTION_ADAM:
        return mean / (1 - pow(b1, t + 1)) / (sqrt(square / (1 - pow(b2, t + 1))) + e);
    case TAMIS_DIRECTION_ADAM_LESS: return mean / sqrt(square + e);
    case TAMIS_DIRECTION_SECOND_MOMENT: return g / (sqrt(v / (1 - pow(b2, t))) + e);
    case TAMIS_DIRECTION_GRADIENT: break;
    }
    return g;
}

/* Values of a direction's store from those of the gradients' and the model's moments. */
static void check_rows(const tamis_model *model, const store_rows *gradient,
                       const store_rows *direction, const tamis_gradient_params *p,
                       uint32_t checkpoint)
{
    const tamis_model_info *info = &model->info;
    double b1 = p->given & TAMIS_GIVEN_BETA1 ? p->beta1 : info->beta1;
    double b2 = p->given & TAMIS_GIVEN_BETA2 ? p->beta2 : info->beta2;
    double e = p->given & TAMIS_GIVEN_EPSILON ? p->epsilon : info->epsilon;
    double t = (double)(p->given & TAMIS_GIVEN_STEP ? p->moments_step
                                                    : info->checkpoint[checkpoint].step);
    uint64_t columns = gradient->info->columns;
    ck_assert_uint_eq(columns, direction->info->columns);
    for (uint64_t i = 0; i < gradient->info->rows; i++) {
        double squares = 0;
        for (uint32_t l = 0; l < gradient->info->layers; l++) {
            const tamis_layer *layer = &gradient->info->layer[l];
            const float *m = NULL, *v = NULL;
            ck_assert(
                tamis_model_moments(model, checkpoint, (uint32_t)(layer->name[7] - '0'), &m, &v));
            for (uint64_t j = 0; j < tamis_layer_columns(layer); j++) {
                uint64_t at = i * columns + layer->first_column + j;
                double got = (double)direction->value[at];
                double wanted = closed_form(p->direction, (double)gradient->value[at], (double)m[j],
                                            (double)v[j], t, b1, b2, e);
                ck_assert_double_eq_tol(got, wanted, 1e-7 * fabs(wanted) + 1e-30);
                squares += got * got;
            }
        }
        ck_assert_double_eq_tol((double)direction->norm[i], sqrt(squares), 1e-6 * sqrt(squares));
    }
}

/* --- directions ------------------------------------------------------------------------------- */

static const tamis_gradient_params asked[] = {
    {.direction = TAMIS_DIRECTION_SIGN},
    {.direction = TAMIS_DIRECTION_ADAM},
    {.direction = TAMIS_DIRECTION_ADAM_LESS},
    {.direction = TAMIS_DIRECTION_SECOND_MOMENT},
    {.direction = TAMIS_DIRECTION_ADAM,
     .given = TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON | TAMIS_GIVEN_STEP,
     .beta1 = 0.5,
     .beta2 = 0.75,
     .epsilon = 1e-10,
     .moments_step = 3},
    {.direction = TAMIS_DIRECTION_ADAM, .given = TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2},
    {.direction = TAMIS_DIRECTION_ADAM_LESS,
     .given = TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON,
     .beta2 = 0.9,
     .epsilon = 1e-12},
    {.direction = TAMIS_DIRECTION_SECOND_MOMENT,
     .given = TAMIS_GIVEN_STEP | TAMIS_GIVEN_EPSILON,
     .moments_step = 1,
     .epsilon = 0.5},
    {.direction = TAMIS_DIRECTION_ADAM, .function = TAMIS_FUNCTION_MARGIN, .layers = "0,2"},
    {.direction = TAMIS_DIRECTION_SIGN, .function = TAMIS_FUNCTION_MARGIN, .checkpoints = "1"},
    {.direction = TAMIS_DIRECTION_SECOND_MOMENT, .layers = "1", .checkpoints = "last"},
};

START_TEST(test_closed_form)
{
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    data->x[3 * 5] = model->file.mean[0]; /* an input of exactly 0 */
    tamis_gradient_params p = asked[_i];
    p.path = "d.h5";
    write_store(model, data, p);
    write_store(model, data,
                (tamis_gradient_params){.path = "g.h5",
                                        .function = p.function,
                                        .layers = p.layers,
                                        .checkpoints = p.checkpoints});
    uint32_t skip = p.checkpoints ? 1 : 0;
    for (uint32_t k = 0; k < 2 - skip; k++) {
        store_rows g = read_rows("g.h5", k), d = read_rows("d.h5", k);
        check_rows(model, &g, &d, &p, k + skip);
        free_rows(&g);
        free_rows(&d);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* By hand: one weight of a softmax layer without bias, whose input of 1 makes the gradient p -
 * y. */
START_TEST(test_by_hand)
{
    fixture_spec small = {.layers = 1, .width = {1, 2}, .no_bias = 1, .checkpoints = 1, .seed = 3};
    tamis_model *model = model_with_moments(&small);
    tamis_data *data = fixture_data(1, 1, 2, 1);
    data->x[0] = 1.0f;
    data->label[0] = 0;
    model->file.weight[0][0] = model->file.weight[0][1] = 0.25f; /* p = 1/2, g = -1/2, 1/2 */
    model->file.first[0][0] = 1.0f;
    model->file.second[0][0] = 4.0f;
    tamis_gradient_params p = {.path = "d.h5",
                               .direction = TAMIS_DIRECTION_ADAM,
                               .given = TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2 |
                                        TAMIS_GIVEN_EPSILON | TAMIS_GIVEN_STEP,
                               .beta1 = 0.5,
                               .beta2 = 0.5,
                               .epsilon = 1e-3,
                               .moments_step = 1};
    write_store(model, data, p);
    store_rows d = read_rows("d.h5", 0);
    /* m' = 1/4, v' = 17/8, both over 1 - 1/4. */
    ck_assert_double_eq_tol((double)d.value[0], (1.0 / 3.0) / (sqrt(17.0 / 6.0) + 1e-3), 1e-7);
    free_rows(&d);
    p.given &= ~(unsigned)TAMIS_GIVEN_STEP;
    p.direction = TAMIS_DIRECTION_ADAM_LESS;
    p.force = true;
    write_store(model, data, p);
    d = read_rows("d.h5", 0);
    ck_assert_double_eq_tol((double)d.value[0], 0.25 / sqrt(17.0 / 8.0 + 1e-3), 1e-7);
    free_rows(&d);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Directions of a model trained by Adam use the moments and constants of that training. */
START_TEST(test_trained)
{
    tamis_error err = {0};
    tamis_data *data = fixture_data(120, 4, 3, 8);
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.optimizer = TAMIS_ADAM;
    params.learning_rate = 0.01;
    params.beta2 = 0.97;
    params.epochs = 3;
    params.checkpoint_every = 1;
    tamis_model *trained = NULL, *model = NULL;
    ck_ok(tamis_train(&trained, context, &params, data, NULL, &err));
    ck_ok(tamis_model_save(trained, context, "m.h5", false, &err));
    ck_ok(tamis_model_load(&model, context, "m.h5", NULL, &err));
    ck_assert(model->info.moments && model->info.beta2 == 0.97);
    tamis_gradient_params p = {.path = "d.h5", .direction = TAMIS_DIRECTION_ADAM};
    write_store(model, data, p);
    write_store(model, data, (tamis_gradient_params){.path = "g.h5"});
    for (uint32_t k = 0; k < 3; k++) {
        ck_assert_uint_eq(model->info.checkpoint[k].step, 2 * (k + 1));
        store_rows g = read_rows("g.h5", k), d = read_rows("d.h5", k);
        check_rows(trained, &g, &d, &p, k);
        free_rows(&g);
        free_rows(&d);
    }
    tamis_model_free(&trained);
    tamis_model_free(&model);
    fixture_data_free(data);
}
END_TEST

/* Rows in 16 bits are the f32 rows rounded, with the same norms. */
START_TEST(test_types)
{
    tamis_dtype dtype = _i ? TAMIS_BF16 : TAMIS_F16;
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params p = {.path = "f32.h5", .direction = TAMIS_DIRECTION_ADAM};
    write_store(model, data, p);
    p.path = "half.h5";
    p.dtype = dtype;
    write_store(model, data, p);
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    store_rows full = read_rows("f32.h5", 1), half = read_rows("half.h5", 1);
    uint64_t n = full.info->rows * full.info->columns;
    uint16_t *stored = calloc(n, sizeof *stored);
    tamis__narrow(&kernels, dtype, stored, full.value, n);
    tamis__widen(&kernels, dtype, full.value, stored, n);
    ck_assert_mem_eq(full.value, half.value, n * sizeof *full.value);
    ck_assert_mem_eq(full.norm, half.norm, 300 * sizeof *full.norm);
    free(stored);
    free_rows(&full);
    free_rows(&half);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* What the type or f32 does not hold is refused and named. */
START_TEST(test_overflow)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    tamis_gradient_params p = {.path = "d.h5",
                               .direction = TAMIS_DIRECTION_SECOND_MOMENT,
                               .dtype = TAMIS_F16,
                               .given = TAMIS_GIVEN_EPSILON,
                               .epsilon = 1e-9};
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_NUMERIC,
             "checkpoint 0, row 0: the direction is too large for f16");
    p.dtype = TAMIS_F32, p.epsilon = 1e-60;
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_NUMERIC,
             "row 0: the direction is not finite");
    ck_assert(!exists("d.h5") && !exists("d.h5.part"));
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the margin ------------------------------------------------------------------------------- */

static double difference(const tamis_model_info *info, double *const *weight, uint32_t l,
                         uint64_t i, const float *x, int32_t label)
{
    const double h = 1e-5;
    reference r = {0};
    double kept = weight[l][i];
    weight[l][i] = kept + h;
    reference_forward(&r, info, weight, x, label);
    double above = r.margin;
    weight[l][i] = kept - h;
    reference_forward(&r, info, weight, x, label);
    weight[l][i] = kept;
    return (above - r.margin) / (2.0 * h);
}

START_TEST(test_margin_differences)
{
    static const fixture_spec specs[] = {
        {.layers = 3,
         .width = {5, 7, 4, 3},
         .activation = TAMIS_GELU,
         .checkpoints = 2,
         .seed = 22},
        {.layers = 1, .width = {6, 4}, .activation = TAMIS_RELU, .checkpoints = 1, .seed = 24},
        {.layers = 2,
         .width = {3, 6, 2},
         .activation = TAMIS_TANH,
         .checkpoints = 1,
         .no_bias = 1,
         .standardise = true,
         .seed = 25},
    };
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(11, info->layer[0].in, info->classes, 50 + (uint64_t)_i);
    write_store(model, data,
                (tamis_gradient_params){.path = "g.h5", .function = TAMIS_FUNCTION_MARGIN});
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        double **weight = reference_weights(model, k);
        store_rows g = read_rows("g.h5", k);
        for (uint64_t i = 0; i < data->rows; i++) {
            double squares = 0;
            for (uint32_t l = 0; l < info->layers; l++)
                for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++) {
                    double got =
                        (double)g.value[i * info->parameters + info->layer[l].first_column + at];
                    double wanted = difference(info, weight, l, at, data->x + i * data->columns,
                                               data->label[i]);
                    ck_assert_double_eq_tol(got, wanted, 1e-5);
                    squares += got * got;
                }
            ck_assert_double_eq_tol((double)g.norm[i] / sqrt(squares), 1.0, 1e-6);
        }
        free_rows(&g);
        reference_weights_free(weight, info->layers);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Rows learnt so well that the loss's gradient over 1 - p would be nothing over nothing. */
START_TEST(test_margin_of_confident_rows)
{
    fixture_spec one = {.layers = 1, .width = {4, 3}, .checkpoints = 1, .seed = 8};
    tamis_model *model = fixture_model(&one);
    tamis_data *data = fixture_data(60, 4, 3, 5);
    for (int i = 0; i < 15; i++) model->file.weight[0][i] *= 300;
    write_store(model, data,
                (tamis_gradient_params){.path = "g.h5", .function = TAMIS_FUNCTION_MARGIN});
    double **weight = reference_weights(model, 0);
    store_rows g = read_rows("g.h5", 0);
    double largest = 0;
    for (uint64_t i = 0; i < 60; i++) {
        reference r = {0};
        const float *x = data->x + i * 4;
        reference_forward(&r, &model->info, weight, x, data->label[i]);
        largest = fmax(largest, r.margin);
        int32_t y = data->label[i], a = (y + 1) % 3, b = (y + 2) % 3;
        double odds = 1 / (1 + exp(r.output[0][b] - r.output[0][a])); /* of a among the others */
        for (uint64_t j = 0; j < 5; j++) {
            double in = j < 4 ? (double)x[j] : 1.0;
            const float *row = g.value + i * 15 + j;
            ck_assert_double_eq_tol((double)row[y * 5], in, 1e-6);
            ck_assert_double_eq_tol((double)row[a * 5], -odds * in, 2e-3 * fabs(odds * in) + 1e-30);
            ck_assert_double_eq_tol((double)row[b * 5], -(1 - odds) * in, 2e-3);
        }
    }
    ck_assert_double_gt(largest, 110); /* 1 - p is 0 in f32 */
    free_rows(&g);
    reference_weights_free(weight, 1);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* An infinite logit is an overflow for the margin as well. */
START_TEST(test_margin_overflow)
{
    tamis_error err = {0};
    fixture_spec one = {.layers = 1, .width = {3, 2}, .checkpoints = 1};
    tamis_model *model = fixture_model(&one);
    tamis_data *data = fixture_data(10, 3, 2, 9);
    data->x[4 * 3] = data->x[4 * 3 + 1] = 3e38f;
    for (int i = 0; i < 8; i++) model->file.weight[0][i] = 100.0f * (i < 4 ? 1 : -1);
    tamis_gradient_params p = {.path = "g.h5", .function = TAMIS_FUNCTION_MARGIN};
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_NUMERIC,
             "row 4: the gradient is not finite");
    p.direction = TAMIS_DIRECTION_SIGN; /* which has no infinities of its own */
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_NUMERIC,
             "row 4: the gradient is not finite");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_reference)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context, test_data("reference/ekfac/model_f32.safetensors"),
                           NULL, &err));
    tamis_data *data = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    write_store(model, data,
                (tamis_gradient_params){.path = "g.h5", .function = TAMIS_FUNCTION_MARGIN});
    store_rows g = read_rows("g.h5", 0);
    tamis__npy wanted;
    ck_ok(tamis__npy_open(&wanted, context,
                          test_data("reference/trak/margin_grads_train_first40.npy"), &err));
    ck_assert_uint_eq(wanted.rows, 40);
    ck_assert_uint_eq(wanted.cols, 3466);
    float *theirs = calloc(40 * 3466, sizeof *theirs);
    tamis__npy_rows(&wanted, 0, 40, theirs, 3466);
    double top = 0, worst = 0;
    /* Theirs has all weights of a layer, then its biases, over the root of the parameters. */
    for (uint64_t i = 0; i < 40; i++)
        for (uint32_t l = 0; l < 3; l++) {
            const tamis_layer *layer = &model->info.layer[l];
            for (uint64_t o = 0; o < layer->out; o++)
                for (uint64_t j = 0; j <= layer->in; j++) {
                    uint64_t at = layer->first_column +
                                  (j < layer->in ? o * layer->in + j : layer->out * layer->in + o);
                    double their = (double)theirs[i * 3466 + at];
                    double our =
                        (double)g.value[i * 3466 + layer->first_column + o * (layer->in + 1) + j] /
                        sqrt(3466.0);
                    top = fmax(top, fabs(their));
                    worst = fmax(worst, fabs(their - our));
                }
        }
    ck_assert_msg(worst < 1e-5 * top, "margin gradients differ by %g of %g", worst, top);
    tamis__npy_close(&wanted);
    free(theirs);
    free_rows(&g);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the same bytes --------------------------------------------------------------------------- */

static const fixture_spec long_spec = {.layers = 2,
                                       .width = {64, 64, 3},
                                       .activation = TAMIS_TANH,
                                       .checkpoints = 2,
                                       .standardise = true,
                                       .seed = 6};

START_TEST(test_same_bytes_any_threads)
{
    tamis_error err = {0};
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_model *model = model_with_moments(&long_spec);
    tamis_data *data = fixture_data(700, 64, 3, 3);
    tamis_gradient_params p = {.path = "one.h5",
                               .direction = TAMIS_DIRECTION_ADAM,
                               .function = TAMIS_FUNCTION_MARGIN,
                               .dtype = TAMIS_BF16};
    for (size_t i = 0; i < 4; i++) {
        tamis_context *with = fixture_context(threads[i]);
        ck_ok(tamis_gradients(model, with, data, &p, &err));
        tamis_context_destroy(&with);
        if (i) assert_same_file("one.h5", "many.h5");
        p.path = "many.h5";
        p.force = true;
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* The rows in full and the moments count: with less memory than they take, the same bytes or a
 * refusal. */
START_TEST(test_same_bytes_any_memory)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&long_spec);
    tamis_data *data = fixture_data(1500, 64, 3, 3);
    tamis_gradient_params p = {.path = "much.h5", .direction = TAMIS_DIRECTION_ADAM_LESS};
    write_store(model, data, p);
    p.path = "little.h5";
    uint64_t least[2] = {0, 0};
    for (int whole = 0; whole < 2; whole++) {
        uint64_t memory = 1 << 20;
        p.direction = whole ? TAMIS_DIRECTION_ADAM_LESS : TAMIS_DIRECTION_GRADIENT;
        p.force = true;
        tamis_status status = TAMIS_OK;
        do {
            tamis_context *small = NULL;
            tamis_context_params params = {.threads = 7, .memory = memory};
            ck_ok(tamis_context_create(&small, &params, &err));
            status = tamis_gradients(model, small, data, &p, &err);
            tamis_context_destroy(&small);
            if (status != TAMIS_OK) ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
            least[whole] = memory;
            memory += 4096;
        } while (status != TAMIS_OK);
    }
    /* A row in full for each of the threads, to within the steps of the search. */
    uint64_t rows_in_full = 7 * model->info.parameters * sizeof(float);
    ck_assert_uint_ge(least[1] - least[0] + 4096, rows_in_full);
    ck_assert_uint_le(least[1] - least[0], rows_in_full + 4096);
    assert_same_file("much.h5", "little.h5");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

static int stop_half_way(void *cookie, const char *phase, uint64_t done, uint64_t total,
                         const char *unit, const char *note)
{
    (void)cookie, (void)phase, (void)total, (void)unit, (void)note;
    return done > 300;
}

START_TEST(test_resume)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&long_spec);
    tamis_data *data = fixture_data(700, 64, 3, 3);
    tamis_gradient_params p = {.path = "whole",
                               .shard_rows = 128,
                               .direction = TAMIS_DIRECTION_ADAM,
                               .function = TAMIS_FUNCTION_MARGIN};
    write_store(model, data, p);
    p.path = "parts";
    p.resume = true;
    tamis_context *with = NULL;
    tamis_context_params settings = {.threads = 3, .progress = stop_half_way};
    ck_ok(tamis_context_create(&with, &settings, &err));
    ck_fails(tamis_gradients(model, with, data, &p, &err), TAMIS_ERR_CANCELLED, "writing");
    tamis_context_destroy(&with);
    ck_assert(exists("parts/00000.h5") && !exists("parts/00005.h5"));
    write_store(model, data, p);
    for (int shard = 0; shard < 6; shard++) {
        char a[64], b[64];
        snprintf(a, sizeof a, "whole/%05d.h5", shard);
        snprintf(b, sizeof b, "parts/%05d.h5", shard);
        assert_same_file(a, b);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("direction");
    TCase *tc = tcase_create("direction");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_closed_form, 0, (int)(sizeof asked / sizeof *asked));
    tcase_add_test(tc, test_by_hand);
    tcase_add_test(tc, test_trained);
    tcase_add_loop_test(tc, test_types, 0, 2);
    tcase_add_loop_test(tc, test_margin_differences, 0, 3);
    tcase_add_test(tc, test_margin_of_confident_rows);
    tcase_add_test(tc, test_margin_overflow);
    tcase_add_test(tc, test_reference);
    tcase_add_test(tc, test_overflow);
    tcase_add_test(tc, test_same_bytes_any_threads);
    tcase_add_test(tc, test_same_bytes_any_memory);
    tcase_add_test(tc, test_resume);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
