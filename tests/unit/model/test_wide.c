/* The network in double, against plain loops, and weights that a file holds as doubles.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/wide.h"

#include "base/mem.h"
#include "fixture.h"
#include "import/safetensors.h"
#include "linalg/blas.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = fixture_context(1);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static const fixture_spec specs[] = {
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_TANH,
     .checkpoints = 2,
     .standardise = true,
     .seed = 31},
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .no_bias = 2,
     .seed = 23},
    {.layers = 2, .width = {6, 9, 4}, .activation = TAMIS_RELU, .checkpoints = 1, .seed = 24},
};

/* Logits, losses and the sum of the gradients of 20 rows, from row 3 on, at the last checkpoint. */
START_TEST(test_against_loops)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(30, info->layer[0].in, info->classes, 4);
    uint64_t n = info->parameters;
    tamis__wide network = tamis__model_wide(model);
    tamis__wide_batch batch = {0};
    double *weights = calloc(n, sizeof *weights), *gradient = calloc(n, sizeof *gradient),
           *wanted = calloc(n, sizeof *wanted);
    uint32_t k = info->checkpoints - 1, last = info->layers - 1;
    size_t classes = info->classes;
    tamis__model_wide_weights(model, k, weights);
    ck_ok(tamis__wide_batch_init(&batch, &network, 25, &err));
    double **plain = reference_weights(model, k);
    tamis__blas_begin();
    ck_ok(tamis__wide_forward(&batch, &network, weights, data, 3, 20, &err));
    for (uint64_t i = 0; i < 20; i++) {
        reference r = {0};
        int32_t label = data->label[3 + i];
        const float *x = data->x + (3 + i) * data->columns;
        reference_forward(&r, info, plain, x, label);
        reference_backward(&r, info, plain, label);
        const double *logit = batch.output[last] + i * classes;
        double *delta = batch.delta[last] + i * classes;
        tamis__wide_softmax(logit, classes, delta);
        for (size_t c = 0; c < classes; c++) {
            ck_assert_double_eq_tol(logit[c], r.output[last][c], 1e-13);
            ck_assert_double_eq_tol(delta[c], r.probability[c], 1e-14);
        }
        ck_assert_double_eq_tol(tamis__wide_loss(logit, classes, (size_t)label), r.loss, 1e-13);
        delta[label] -= 1.0;
        for (uint32_t l = 0; l < info->layers; l++)
            for (uint64_t at = 0, in = info->layer[l].in + info->layer[l].bias;
                 at < tamis_layer_columns(&info->layer[l]); at++)
                wanted[info->layer[l].first_column + at] += 0.5 * r.delta[l][at / in] *
                                                            r.input[l][at % in];
    }
    for (uint64_t i = 0; i < n; i++) gradient[i] = wanted[i] = wanted[i] + 0.0;
    ck_ok(tamis__wide_backward(&batch, &network, weights, &err));
    /* It adds to what is there: twice the sum. */
    ck_ok(tamis__wide_gradient(&batch, &network, 0.5, gradient, &err));
    tamis__blas_end();
    for (uint64_t i = 0; i < n; i++) ck_assert_double_eq_tol(gradient[i], 2.0 * wanted[i], 1e-12);
    reference_weights_free(plain, info->layers);
    tamis__wide_batch_fini(&batch);
    free(weights);
    free(gradient);
    free(wanted);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* A loss near 0 has all its digits, and so has a large one. */
START_TEST(test_loss)
{
    const double logit[3] = {50.0, 0.0, 0.0}, far[3] = {1000.0, -1000.0, 0.0};
    ck_assert_double_eq_tol(tamis__wide_loss(logit, 3, 0) / (2.0 * exp(-50.0)), 1.0, 1e-14);
    ck_assert_double_eq_tol(tamis__wide_loss(logit, 3, 1), 50.0, 1e-13);
    ck_assert_double_eq_tol(tamis__wide_loss(far, 3, 1), 2000.0, 1e-12);
    ck_assert(tamis__wide_loss(far, 3, 0) >= 0.0);
}
END_TEST

/* Doubles as they are in the file, which the floats are rounded from. */
START_TEST(test_doubles)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    tamis__safetensors st = {0};
    const char *path = test_data("reference/ekfac/model_f64.safetensors");
    ck_ok(tamis_model_load(&model, context, path, NULL, &err));
    ck_ok(tamis__safetensors_open(&st, context, path, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    double *weights = calloc(info->parameters, sizeof *weights);
    tamis__model_wide_weights(model, 0, weights);
    uint64_t differ = 0;
    for (uint32_t l = 0; l < info->layers; l++) {
        char name[2][64];
        snprintf(name[0], sizeof name[0], "layers.%u.weight", l);
        snprintf(name[1], sizeof name[1], "layers.%u.bias", l);
        const char *weight = tamis__safetensors_find(&st, name[0])->data,
                   *bias = tamis__safetensors_find(&st, name[1])->data;
        const float *narrow = tamis_model_weights(model, 0, l);
        uint64_t in = info->layer[l].in;
        for (uint64_t i = 0; i < tamis_layer_columns(&info->layer[l]); i++) {
            uint64_t o = i / (in + 1), j = i % (in + 1);
            double wanted, got = weights[info->layer[l].first_column + i];
            memcpy(&wanted, j < in ? weight + (o * in + j) * 8 : bias + o * 8, sizeof wanted);
            ck_assert(got == wanted);
            ck_assert((float)got == narrow[i]);
            differ += got != (double)narrow[i];
        }
    }
    ck_assert_uint_gt(differ, 3000);
    free(weights);
    tamis__safetensors_close(&st);
    tamis_model_free(&model);
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 200);
        tamis__fault_memory_after(n);
        tamis_status status = tamis_model_load(&model, context, path, NULL, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    }
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wide");
    TCase *tc = tcase_create("wide");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_against_loops, 0, (int)(sizeof specs / sizeof *specs));
    tcase_add_test(tc, test_loss);
    tcase_add_test(tc, test_doubles);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
