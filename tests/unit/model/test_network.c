/* Forward and backward against finite differences of a reference in double, and closed forms.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "fixture.h"
#include "linalg/blas.h"
#include "model/network.h"

static void backward_all(tamis__batch *batch, const tamis__network *network, const tamis_data *data,
                         float reduction)
{
    tamis_error err = {0};
    tamis__batch_load(batch, network, data, NULL, 0, data->rows);
    ck_ok(tamis__forward(batch, network, &err));
    (void)tamis__cross_entropy(batch, network, reduction);
    ck_ok(tamis__backward(batch, network, 0, &err));
}

/* Row i's gradient of weight o, j of layer l. */
static double row_gradient(const tamis__batch *batch, const tamis_layer *layer, uint32_t l,
                           uint64_t i, uint64_t at)
{
    uint64_t width = layer->in + layer->bias;
    return (double)batch->delta[l][i * layer->out + at / width] *
           (double)batch->input[l][i * width + at % width];
}

static const fixture_spec specs[] = {
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_RELU,
     .checkpoints = 1,
     .standardise = true,
     .seed = 1},
    {.layers = 3, .width = {5, 7, 4, 3}, .activation = TAMIS_TANH, .checkpoints = 1, .seed = 2},
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .standardise = true,
     .seed = 3},
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .no_bias = 5,
     .seed = 4},
    {.layers = 1, .width = {6, 4}, .activation = TAMIS_RELU, .checkpoints = 1, .seed = 5},
    {.layers = 2,
     .width = {3, 9, 2},
     .activation = TAMIS_TANH,
     .checkpoints = 1,
     .no_bias = 2,
     .seed = 6},
};
#define N_SPECS ((int)(sizeof specs / sizeof *specs))

START_TEST(test_per_example_differences)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(9, info->layer[0].in, info->classes, 40 + (uint64_t)_i);
    tamis__network network = tamis__model_network(model, 0);
    tamis__batch batch = {0};
    ck_ok(tamis__batch_init(&batch, &network, 16, true, &err));
    backward_all(&batch, &network, data, 1.0f);
    double **weight = reference_weights(model, 0);
    for (uint64_t i = 0; i < data->rows; i++)
        for (uint32_t l = 0; l < info->layers; l++)
            for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++) {
                double wanted = reference_difference(info, weight, l, at,
                                                     data->x + i * data->columns, data->label[i]);
                double got = row_gradient(&batch, &info->layer[l], l, i, at);
                ck_assert_msg(fabs(got - wanted) < 1e-5,
                              "row %d layer %u weight %d: %g, differences say %g", (int)i, l,
                              (int)at, got, wanted);
            }
    reference_weights_free(weight, info->layers);
    tamis__batch_fini(&batch);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Both reductions: rows add up to the gradient of the sum, and a mean is the sum over n. */
START_TEST(test_batch_differences)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(9, info->layer[0].in, info->classes, 140 + (uint64_t)_i);
    tamis__network network = tamis__model_network(model, 0);
    tamis__batch batch = {0};
    ck_ok(tamis__batch_init(&batch, &network, 9, true, &err));
    float *sum[8], *mean[8];
    for (uint32_t l = 0; l < info->layers; l++) {
        sum[l] = calloc(tamis_layer_columns(&info->layer[l]), sizeof(float));
        mean[l] = calloc(tamis_layer_columns(&info->layer[l]), sizeof(float));
    }
    backward_all(&batch, &network, data, 1.0f / 9.0f);
    ck_ok(tamis__weight_gradient(&batch, &network, mean, &err));
    backward_all(&batch, &network, data, 1.0f);
    ck_ok(tamis__weight_gradient(&batch, &network, sum, &err));
    double **weight = reference_weights(model, 0);
    for (uint32_t l = 0; l < info->layers; l++)
        for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++) {
            double rows = 0, differences = 0;
            for (uint64_t i = 0; i < data->rows; i++) {
                rows += row_gradient(&batch, &info->layer[l], l, i, at);
                differences += reference_difference(info, weight, l, at,
                                                    data->x + i * data->columns, data->label[i]);
            }
            ck_assert_double_eq_tol((double)sum[l][at], differences, 2e-5);
            ck_assert_double_eq_tol((double)sum[l][at], rows, 1e-5);
            ck_assert_double_eq_tol((double)mean[l][at], differences / 9.0, 1e-5);
        }
    reference_weights_free(weight, info->layers);
    for (uint32_t l = 0; l < info->layers; l++) {
        free(sum[l]);
        free(mean[l]);
    }
    tamis__batch_fini(&batch);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_outputs)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(30, info->layer[0].in, info->classes, 240 + (uint64_t)_i);
    tamis__network network = tamis__model_network(model, 0);
    tamis__batch batch = {0};
    ck_ok(tamis__batch_init(&batch, &network, 30, false, &err));
    tamis__batch_load(&batch, &network, data, NULL, 0, 30);
    ck_ok(tamis__forward(&batch, &network, &err));
    double sum = tamis__cross_entropy(&batch, &network, 1.0f), wanted = 0;
    double **weight = reference_weights(model, 0);
    for (uint64_t i = 0; i < 30; i++) {
        reference r = {0};
        reference_forward(&r, info, weight, data->x + i * data->columns, data->label[i]);
        wanted += r.loss;
        ck_assert_double_eq_tol((double)batch.loss[i], r.loss, 1e-5);
        ck_assert_double_eq_tol((double)batch.margin[i], r.margin, 1e-5);
        for (uint32_t c = 0; c < info->classes; c++)
            ck_assert_double_eq_tol((double)batch.probability[i * info->classes + c],
                                    r.probability[c], 1e-6);
    }
    ck_assert_double_eq_tol(sum, wanted, 1e-4);
    reference_weights_free(weight, info->layers);
    tamis__batch_fini(&batch);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Softmax regression: the gradient is (p - one-hot) x, the bias's p - one-hot. */
START_TEST(test_softmax_closed_form)
{
    tamis_error err = {0};
    fixture_spec spec = {.layers = 1, .width = {4, 3}, .checkpoints = 1, .seed = 9};
    tamis_model *model = fixture_model(&spec);
    tamis_data *data = fixture_data(5, 4, 3, 10);
    tamis__network network = tamis__model_network(model, 0);
    tamis__batch batch = {0};
    ck_ok(tamis__batch_init(&batch, &network, 5, true, &err));
    backward_all(&batch, &network, data, 1.0f);
    const float *w = tamis_model_weights(model, 0, 0);
    for (uint64_t i = 0; i < 5; i++) {
        double p[3], total = 0;
        const float *x = data->x + i * 4;
        for (int c = 0; c < 3; c++) {
            double z = (double)w[c * 5 + 4];
            for (int j = 0; j < 4; j++) z += (double)w[c * 5 + j] * (double)x[j];
            total += p[c] = exp(z);
        }
        for (int c = 0; c < 3; c++) {
            double d = p[c] / total - (c == data->label[i]);
            for (int j = 0; j < 4; j++)
                ck_assert_double_eq_tol(
                    row_gradient(&batch, network.layer, 0, i, (uint64_t)(c * 5 + j)),
                    d * (double)x[j], 1e-6);
            ck_assert_double_eq_tol(
                row_gradient(&batch, network.layer, 0, i, (uint64_t)(c * 5 + 4)), d, 1e-6);
        }
    }
    tamis__batch_fini(&batch);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* One layer of weights times ten: a row that is learnt to 1 - 1e-17 keeps its tiny delta, and a
 * hopeless one its large finite loss. */
START_TEST(test_extreme_margins)
{
    tamis_error err = {0};
    tamis_layer layer;
    tamis__layer_init(&layer, 0, 3, 1, false, 0);
    const float w[3] = {40.0f, 0.0f, 0.0f};
    const float *weight[1] = {w};
    tamis__network network = {.layers = 1, .layer = &layer, .weight = weight};
    float x[2] = {1.0f, 1.0f};
    int32_t label[2] = {0, 1};
    tamis_data data = {.rows = 2, .columns = 1, .x = x, .label = label, .classes = 3};
    tamis__batch batch = {0};
    ck_ok(tamis__batch_init(&batch, &network, 2, true, &err));
    backward_all(&batch, &network, &data, 1.0f);
    double odds = 2.0 * exp(-40.0);
    ck_assert_double_eq_tol((double)batch.loss[0] / log1p(odds), 1.0, 1e-6);
    ck_assert_double_eq_tol((double)batch.delta[0][0] / -(odds / (1.0 + odds)), 1.0, 1e-6);
    ck_assert_double_eq_tol((double)batch.loss[1], 40.0, 1e-5);
    ck_assert_double_eq_tol((double)batch.margin[1], -40.0, 1e-5);
    ck_assert_double_eq_tol((double)batch.delta[0][3 + 1], -1.0, 1e-6);
    tamis__batch_fini(&batch);
}
END_TEST

START_TEST(test_activations)
{
    for (int a = TAMIS_RELU; a <= TAMIS_GELU; a++)
        for (int i = -120; i <= 120; i++) {
            float z = (float)i / 8.0f, y = 0, slope = 1;
            tamis__activate((tamis_activation)a, &z, 1, 1, &y, 1);
            tamis__activation_back((tamis_activation)a, &z, &y, 1, 1, 1, &slope);
            /* The reference's own 1 + erf has no digits left far below zero: erfc has. */
            double wanted = a == TAMIS_GELU ? (double)z * 0.5 * erfc(-(double)z / sqrt(2.0))
                                            : reference_activation((tamis_activation)a, (double)z);
            ck_assert_double_eq_tol((double)y, wanted, 3e-5 * fabs(wanted) + 1e-30);
            ck_assert_double_eq_tol((double)slope, reference_slope((tamis_activation)a, (double)z),
                                    1e-6);
        }
    float far[2] = {-INFINITY, NAN}, y[2], slope[2] = {1, 1};
    for (int a = TAMIS_RELU; a <= TAMIS_GELU; a++) {
        tamis__activate((tamis_activation)a, far, 1, 2, y, 2);
        tamis__activation_back((tamis_activation)a, far, y, 2, 1, 1, slope);
        ck_assert(y[0] == (a == TAMIS_TANH ? -1.0f : 0.0f));
        ck_assert(slope[0] == 0.0f);
        ck_assert(isnan(y[1]));
        slope[0] = 1;
    }
}
END_TEST

START_TEST(test_predicted_ties)
{
    float logits[] = {1, 3, 3, 0, 2, 2, 2, 2, -1, -1, -1, 0};
    float *output[1] = {logits};
    tamis_layer layer;
    tamis__layer_init(&layer, 0, 4, 1, false, 0);
    tamis__network network = {.layers = 1, .layer = &layer};
    tamis__batch batch = {.rows = 3, .output = output};
    ck_assert_int_eq(tamis__predicted(&batch, &network, 0), 1);
    ck_assert_int_eq(tamis__predicted(&batch, &network, 1), 0);
    ck_assert_int_eq(tamis__predicted(&batch, &network, 2), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("network");
    TCase *tc = tcase_create("network");
    tamis__blas_begin();
    tcase_add_loop_test(tc, test_per_example_differences, 0, N_SPECS);
    tcase_add_loop_test(tc, test_batch_differences, 0, N_SPECS);
    tcase_add_loop_test(tc, test_outputs, 0, N_SPECS);
    tcase_add_test(tc, test_softmax_closed_form);
    tcase_add_test(tc, test_extreme_margins);
    tcase_add_test(tc, test_activations);
    tcase_add_test(tc, test_predicted_ties);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
