/* trak without a projection: margins of the reference's model, against the released library.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/fixture.h"

#include <tamis/score.h>

static tamis_error failure;

/* The gradient of log(p / (1 - p)) is that of the loss -log p, divided by -(1 - p). */
static float *margin_gradients(const tamis_model_info *info, double *const *weight,
                               const tamis_data *data, uint64_t columns, float *ret_margin)
{
    float *rows = calloc(data->rows * columns, sizeof *rows);
    ck_assert_ptr_nonnull(rows);
    for (uint64_t i = 0; i < data->rows; i++) {
        reference r = {0};
        reference_forward(&r, info, weight, data->x + i * 64, data->label[i]);
        reference_backward(&r, info, weight, data->label[i]);
        double others = 1.0 / (1.0 + exp(r.margin));
        uint64_t at = i * columns;
        ret_margin[i] = (float)r.margin;
        for (uint32_t l = 0; l < info->layers; l++)
            for (uint64_t o = 0; o < info->layer[l].out; o++)
                for (uint64_t j = 0; j < info->layer[l].in + info->layer[l].bias; j++)
                    rows[at++] = (float)(-r.delta[l][o] * r.input[l][j] / others);
    }
    return rows;
}

static tamis_store *make_store(tamis_context *context, const tamis_model_info *info,
                               double *const *weight, const char *path, const char *x,
                               const char *y)
{
    tamis_data *data = fixture_reference_data(context, x, y);
    const tamis_checkpoint checkpoint = {.learning_rate = 1};
    uint64_t columns = 0;
    for (uint32_t l = 0; l < info->layers; l++) columns += tamis_layer_columns(&info->layer[l]);
    ck_assert_uint_eq(columns, 3466);
    float *margin = calloc(data->rows, sizeof *margin);
    float *rows = margin_gradients(info, weight, data, columns, margin);
    tamis_store_spec spec = {.path = path,
                             .rows = data->rows,
                             .layer = info->layer,
                             .layers = info->layers,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .outputs = true,
                             .function = "margin"};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    const float *const gradient[1] = {rows}, *const margins[1] = {margin};
    ck_assert_int_eq(tamis_store_writer_open(&writer, context, &spec, &failure), TAMIS_OK);
    ck_assert_int_eq(tamis_store_writer_append(writer, data->rows, gradient, &(tamis_examples){0},
                                               margins, margins, NULL, &failure),
                     TAMIS_OK);
    ck_assert_int_eq(tamis_store_writer_commit(&writer, &failure), TAMIS_OK);
    ck_assert_int_eq(tamis_store_open(&store, context, path, &failure), TAMIS_OK);
    free(rows);
    free(margin);
    fixture_data_free(data);
    return store;
}

static void compare(tamis_context *context)
{
    static float got[1200 * 50], want[1200 * 50];
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    tamis__npy npy;
    double largest = 0, worst = 0;
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_ok(tamis_scores_read(scores, 0, 1200, 0, 50, got, 50, &err));
    tamis_scores_close(&scores);
    ck_ok(tamis__npy_open(&npy, context, test_data("reference/trak/scores_noproj_train_x_test.npy"),
                          &err));
    tamis__npy_rows(&npy, 0, 1200, want, 50);
    tamis__npy_close(&npy);
    for (int i = 0; i < 1200 * 50; i++) {
        largest = fmax(largest, fabs((double)want[i]));
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
    }
    ck_assert_double_lt(worst / largest, 1e-4);
}

START_TEST(test_reference)
{
    tamis_error err = {0};
    enter_scratch();
    tamis_context *context = fixture_context(2);
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context, test_data("reference/ekfac/model_f32.safetensors"),
                           NULL, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    double **weight = reference_weights(model, 0);
    tamis_store *train = make_store(context, info, weight, "t.h5", "X_train.npy", "y_train.npy");
    tamis_store *query = make_store(context, info, weight, "q.h5", "X_test.npy", "y_test.npy");
    tamis_score_params params = {
        .scorer = "trak:ridge=1e-3,ridge-unit=absolute,scaling=released,scale=0.016985788839625",
        .train = train,
        .query = query,
        .path = "s.h5"}; /* 1 / sqrt(3466) */
    ck_ok(tamis_score(context, &params, NULL, &err));
    compare(context);
    reference_weights_free(weight, info->layers);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_model_free(&model);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trak model");
    TCase *tc = tcase_create("trak model");
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, test_reference);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
