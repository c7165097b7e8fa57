/* Gradients kept as their factors: against the same in full, and themselves at other threads,
 * memory, shards and types.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/mem.h"
#include "stores.h"
#include "kernels/kernels.h"

static const fixture_spec specs[] = {
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_RELU,
     .checkpoints = 2,
     .standardise = true,
     .seed = 31},
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .no_bias = 2,
     .seed = 23},
    {.layers = 1, .width = {6, 4}, .activation = TAMIS_RELU, .checkpoints = 3, .seed = 24},
    {.layers = 2, .width = {64, 40, 3}, .activation = TAMIS_TANH, .checkpoints = 2, .seed = 6},
};

/* A column of outputs is the same in both. */
static void same_outputs(const tamis_store *a, const tamis_store *b, uint32_t k, const char *name,
                         uint64_t values)
{
    tamis_error err = {0};
    float *x = NULL, *y = NULL;
    ck_ok(tamis_store_outputs(a, k, name, &x, &err));
    ck_ok(tamis_store_outputs(b, k, name, &y, &err));
    ck_assert_mem_eq(x, y, values * sizeof *x);
    free(x);
    free(y);
}

/* --- what is stored --------------------------------------------------------------------------- */

/* Rows made of the factors, norms, outputs and columns are those of the full store, bit for bit. */
START_TEST(test_full)
{
    tamis_error err = {0};
    static const tamis_labels labels[] = {TAMIS_LABELS_TRUE, TAMIS_LABELS_SAMPLED,
                                          TAMIS_LABELS_EXPECTED};
    int n = (int)(sizeof specs / sizeof *specs);
    const fixture_spec *spec = &specs[_i % n];
    tamis_model *model = fixture_model(spec);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(700, info->layer[0].in, info->classes, 9);
    tamis_gradient_params params = {.path = "full.h5", .labels = labels[_i / n], .label_seed = 4};
    if (info->layers == 3) params.layers = "0,2";
    if (_i % 2) params.function = params.labels ? TAMIS_FUNCTION_LOSS : TAMIS_FUNCTION_MARGIN;
    write_store(model, context, data, params);
    params.path = "factors.h5";
    params.form = TAMIS_FORM_FACTORS;
    write_store(model, context, data, params);
    tamis_store *full = open_store("full.h5"), *factors = open_store("factors.h5");
    const tamis_store_info *f = tamis_store_info_get(full), *g = tamis_store_info_get(factors);
    ck_assert_int_eq(g->form, TAMIS_FORM_FACTORS);
    ck_assert_uint_eq(g->rows, f->rows);
    ck_assert_uint_eq(g->columns, f->columns);
    ck_assert_uint_eq(g->layers, f->layers);
    ck_assert_str_eq(g->function, f->function);
    ck_assert_str_eq(g->labels, f->labels);
    ck_assert_uint_eq(g->rows_per_example, f->rows_per_example);
    for (uint32_t k = 0; k < f->checkpoints; k++) {
        const float *x = NULL, *y = NULL;
        const uint64_t *offset = NULL;
        float *a = read_rows(full, k), *b = read_rows(factors, k);
        ck_assert_mem_eq(a, b, f->rows * f->columns * sizeof *a);
        ck_ok(tamis_store_norms(full, k, &x, &err));
        ck_ok(tamis_store_norms(factors, k, &y, &err));
        ck_assert_mem_eq(x, y, f->rows * sizeof *x);
        ck_ok(tamis_store_tokens(factors, k, &offset, &err));
        for (uint64_t i = 0; i <= f->rows; i++) ck_assert_uint_eq(offset[i], i);
        same_outputs(full, factors, k, "loss", f->rows);
        same_outputs(full, factors, k, "margin", f->rows);
        same_outputs(full, factors, k, "probability", f->rows * info->classes);
        free(a);
        free(b);
    }
    const tamis_examples *e = tamis_store_examples(full), *h = tamis_store_examples(factors);
    ck_assert_mem_eq(e->label, h->label, f->rows * sizeof *e->label);
    tamis_store_close(&full);
    tamis_store_close(&factors);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Narrow factors are the f32 ones rounded, layer by layer; norms are those before rounding. */
START_TEST(test_types)
{
    tamis_error err = {0};
    static const tamis_dtype dtypes[] = {TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    tamis_dtype dtype = dtypes[_i];
    tamis_model *model = fixture_model(&specs[0]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params params = {.path = "f32.h5", .form = TAMIS_FORM_FACTORS};
    write_store(model, context, data, params);
    params.path = "half.h5";
    params.dtype = dtype;
    write_store(model, context, data, params);
    tamis_store *whole = open_store("f32.h5"), *half = open_store("half.h5");
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    for (uint32_t k = 0; k < 2; k++) {
        const float *x = NULL, *y = NULL;
        for (uint32_t l = 0; l < 3; l++) {
            uint64_t width[2] = {info->layer[l].in + info->layer[l].bias, info->layer[l].out};
            for (int side = 0; side < 2; side++) {
                uint64_t n = width[side];
                float *a = calloc(300 * n, sizeof *a), *b = calloc(300 * n, sizeof *b);
                uint16_t stored[MAX_WIDTH];
                ck_ok(tamis_store_read_factors(whole, k, l, 0, 300, side ? NULL : a, n,
                                               side ? a : NULL, n, &err));
                ck_ok(tamis_store_read_factors(half, k, l, 0, 300, side ? NULL : b, n,
                                               side ? b : NULL, n, &err));
                for (uint64_t i = 0; i < 300; i++) {
                    float scale = tamis__narrow(&kernels, dtype, stored, a + i * n, n);
                    tamis__widen(&kernels, dtype, a + i * n, stored, n);
                    for (uint64_t j = 0; j < n; j++) a[i * n + j] *= scale;
                }
                ck_assert_mem_eq(a, b, 300 * n * sizeof *a);
                free(a);
                free(b);
            }
        }
        ck_ok(tamis_store_norms(whole, k, &x, &err));
        ck_ok(tamis_store_norms(half, k, &y, &err));
        ck_assert_mem_eq(x, y, 300 * sizeof *x);
    }
    tamis_store_close(&whole);
    tamis_store_close(&half);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_overflow)
{
    tamis_error err = {0};
    struct stat st;
    tamis_model *model = fixture_model(
        &(fixture_spec){.layers = 1, .width = {3, 2}, .checkpoints = 2});
    tamis_data *data = fixture_data(300, 3, 2, 9);
    data->id_number = calloc(300, sizeof *data->id_number);
    for (uint64_t i = 0; i < 300; i++) data->id_number[i] = 5000 + i;
    data->x[277 * 3 + 1] = 1e6f;
    tamis_gradient_params params = {
        .path = "g.h5", .form = TAMIS_FORM_FACTORS, .dtype = TAMIS_F16, .checkpoints = "0"};
    ck_fails(tamis_gradients(model, context, data, &params, &err), TAMIS_ERR_NUMERIC,
             "checkpoint 0, row 277 (id 5277): the input is too large for f16");
    ck_assert(lstat("g.h5", &st) != 0 && lstat("g.h5.part", &st) != 0);
    params.dtype = TAMIS_BF16;
    ck_ok(tamis_gradients(model, context, data, &params, &err));
    data->x[277 * 3 + 1] = data->x[277 * 3 + 2] = 3e38f;
    for (int i = 0; i < 8; i++) model->file.weight[0][i] *= 100;
    params.path = "h.h5";
    ck_fails(tamis_gradients(model, context, data, &params, &err), TAMIS_ERR_NUMERIC,
             "row 277 (id 5277): the gradient is not finite");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the same rows ---------------------------------------------------------------------------- */

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    int *left = cookie;
    (void)total, (void)unit, (void)note;
    return strcmp(phase, "writing gradients") == 0 && done > 0 && --*left == 0;
}

START_TEST(test_same_rows)
{
    tamis_error err = {0};
    /* Factors of 45 KB a row in both checkpoints: 4 MiB are 128 rows. */
    const fixture_spec wide = {.layers = 2,
                               .width = {5000, 600, 3},
                               .activation = TAMIS_TANH,
                               .checkpoints = 2,
                               .seed = 6};
    tamis_model *model = fixture_model(&wide);
    tamis_data *data = fixture_data(700, 5000, 3, 3);
    tamis_gradient_params params = {.path = "one.h5",
                                    .form = TAMIS_FORM_FACTORS,
                                    .dtype = _i ? TAMIS_I8 : TAMIS_F32,
                                    .labels = TAMIS_LABELS_SAMPLED};
    tamis_context *with = fixture_context(1);
    write_store(model, with, data, params);
    tamis_context_destroy(&with);
    uint64_t digest = digest_of("one.h5");
    for (unsigned threads = 2; threads < 8; threads += 3) {
        ck_ok(tamis_context_create(
            &with, &(tamis_context_params){.threads = threads, .memory = 256 << 20}, &err));
        params.path = "many.h5";
        params.force = true;
        write_store(model, with, data, params);
        ck_assert_uint_eq(digest_of("many.h5"), digest);
        tamis_context_destroy(&with);
    }
    params.path = "shards";
    params.force = false;
    params.shard_rows = 200;
    params.resume = true;
    for (int blocks = 1; blocks < 6; blocks += 2) {
        int left = blocks;
        if (system("rm -rf shards")) ck_abort_msg("rm");
        ck_ok(tamis_context_create(
            &with, &(tamis_context_params){.threads = 3, .progress = stop, .cookie = &left}, &err));
        tamis_status status = tamis_gradients(model, with, data, &params, &err);
        ck_assert(status == TAMIS_ERR_CANCELLED || (status == TAMIS_OK && blocks > 1));
        left = -1;
        ck_ok(tamis_gradients(model, with, data, &params, &err));
        ck_assert_uint_eq(digest_of("shards"), digest);
        tamis_context_destroy(&with);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(test_refusals)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    tamis_projection projection = {.kind = "sparse", .to = 4};
    tamis_gradient_params p = {
        .path = "g.h5", .form = TAMIS_FORM_FACTORS, .direction = TAMIS_DIRECTION_SIGN};
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_ARG,
             "the direction sign is no outer product");
    p.direction = TAMIS_DIRECTION_GRADIENT;
    p.projection = &projection;
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_ARG,
             "either projected or kept as their factors");
    p.form = (tamis_form)2;
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_ARG, "no such form");
    /* Another form does not go on with the files of this one. */
    p = (tamis_gradient_params){.path = "shards", .shard_rows = 8};
    write_store(model, context, data, p);
    p.form = TAMIS_FORM_FACTORS;
    p.resume = true;
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_SHAPE, "cannot resume");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_failures)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params params = {
        .path = "g.h5", .form = TAMIS_FORM_FACTORS, .dtype = TAMIS_I8, .layers = "1-2"};
    long n = 0;
    for (; n < 10000; n++) {
        struct stat st;
        err = (tamis_error){0};
        if (_i)
            tamis__fault_io_after(n);
        else
            tamis__fault_memory_after(n);
        tamis_status status = tamis_gradients(model, context, data, &params, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_msg(status == TAMIS_ERR_IO || (!_i && status == TAMIS_ERR_NOMEM),
                      "failure %ld: %s: %s", n, tamis_status_name(status), err.message);
        ck_assert_str_ne(err.message, "");
        ck_assert(lstat("g.h5", &st) != 0 && lstat("g.h5.part", &st) != 0);
    }
    ck_assert_int_gt(n, 3);
    ck_assert_int_lt(n, 10000);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_full, 0, 3 * (int)(sizeof specs / sizeof *specs));
    tcase_add_loop_test(tc, test_types, 0, 3);
    tcase_add_test(tc, test_overflow);
    tcase_add_loop_test(tc, test_same_rows, 0, 2);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_failures, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
