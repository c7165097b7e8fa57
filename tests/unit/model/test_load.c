/* Models from and to files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "fixture.h"

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

/* A safetensors file of this header and `size` bytes of data. */
static void write_tensors(const char *path, const char *header, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    uint64_t length = strlen(header);
    fwrite(&length, 8, 1, f);
    fwrite(header, 1, length, f);
    fwrite(data, 1, size, f);
    ck_assert_int_eq(fclose(f), 0);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* --- safetensors ------------------------------------------------------------------------------ */

static const float values[] = {1, 2, 3, 4, 5, 6, 0.5f, -0.5f, 7, 8, 9, 10};
#define W0 "\"layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B0 "\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}"
#define W1 "\"layers.1.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[32,48]}"

START_TEST(test_tensors)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    write_tensors("m.safetensors",
                  "{\"__metadata__\":{\"activation\":\"tanh\"}," W0 "," B0 "," W1 "}", values, 48);
    ck_ok(tamis_model_load(&model, context, "m.safetensors", NULL, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    ck_assert_uint_eq(info->layers, 2);
    ck_assert_str_eq(info->layer[1].name, "layers.1");
    ck_assert_uint_eq(info->layer[0].bias, 1);
    ck_assert_uint_eq(info->layer[1].bias, 0);
    ck_assert_uint_eq(info->layer[1].first_column, 8);
    ck_assert_uint_eq(info->parameters, 12);
    ck_assert_uint_eq(info->classes, 2);
    ck_assert_int_eq(info->activation, TAMIS_TANH);
    ck_assert_uint_eq(info->checkpoints, 1);
    ck_assert(info->checkpoint[0].learning_rate == 1.0);
    ck_assert_ptr_null(info->mean);
    ck_assert_str_eq(info->provenance, "{}");
    static const float first[] = {1, 2, 3, 0.5f, 4, 5, 6, -0.5f}, second[] = {7, 8, 9, 10};
    ck_assert_mem_eq(tamis_model_weights(model, 0, 0), first, sizeof first);
    ck_assert_mem_eq(tamis_model_weights(model, 0, 1), second, sizeof second);
    tamis_model_free(&model);
    ck_ok(tamis_model_load(&model, context, "m.safetensors", "tanh", &err));
    tamis_model_free(&model);
    ck_fails(tamis_model_load(&model, context, "m.safetensors", "gelu", &err), TAMIS_ERR_ARG,
             "says that its activation is tanh");
}
END_TEST

START_TEST(test_tensor_types)
{
    tamis_error err = {0};
    static const struct {
        const char *header;
        unsigned char data[32];
        size_t size;
    } files[] = {
        {"{\"layers.0.weight\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]}}",
         {0, 0x3c, 0, 0xc0},
         4},
        {"{\"layers.0.weight\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[0,4]}}",
         {0x80, 0x3f, 0, 0xc0},
         4},
        {"{\"layers.0.weight\":{\"dtype\":\"F64\",\"shape\":[2,1],\"data_offsets\":[0,16]}}",
         {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0},
         16},
    };
    for (size_t i = 0; i < 3; i++) {
        tamis_model *model = NULL;
        write_tensors("t.safetensors", files[i].header, files[i].data, files[i].size);
        ck_ok(tamis_model_load(&model, context, "t.safetensors", "relu", &err));
        ck_assert(tamis_model_weights(model, 0, 0)[0] == 1.0f);
        ck_assert(tamis_model_weights(model, 0, 0)[1] == -2.0f);
        tamis_model_free(&model);
    }
}
END_TEST

typedef struct hostile {
    const char *header;
    size_t size;
    tamis_status status;
    const char *text;
} hostile;

static const hostile hostiles[] = {
    {"{\"layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[1152921504606846976,0],"
     "\"data_offsets\":[0,0]}}",
     0, TAMIS_ERR_FORMAT, "layers.0.weight"},
    {"{" W0 "," B0 "," W1 "}", 48, TAMIS_ERR_ARG, "activation"},
    {"{\"__metadata__\":{\"activation\":\"swish\"}," W0 "," B0 "," W1 "}", 48, TAMIS_ERR_ARG,
     "swish"},
    {"{" W0 "," B0
     ",\"layers.1.weight\":{\"dtype\":\"F32\",\"shape\":[4,1],\"data_offsets\":[32,48]}}",
     48, TAMIS_ERR_FORMAT, "layers.1 takes 1 inputs, but layers.0 gives 2"},
    {"{" W0 ",\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}}", 36,
     TAMIS_ERR_FORMAT, "has 3 values"},
    {"{" W0 ",\"layers.0.gamma\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}", 32,
     TAMIS_ERR_FORMAT, "unexpected tensor 'layers.0.gamma'"},
    {"{" W0 ",\"layers.00.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}", 32,
     TAMIS_ERR_FORMAT, "unexpected tensor 'layers.00.bias'"},
    {"{" W0 ",\"layers.2.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}", 32,
     TAMIS_ERR_FORMAT, "missing"},
    {"{" W0 ",\"layers.18446744073709551615.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
     "offsets\":[24,32]}}",
     32, TAMIS_ERR_FORMAT, "missing"},
    {"{\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     TAMIS_ERR_FORMAT, "no tensor layers.0.weight"},
    {"{\"layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", 24,
     TAMIS_ERR_FORMAT, "1 dimensions"},
    {"{\"layers.0.weight\":{\"dtype\":\"I32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24,
     TAMIS_ERR_UNSUPPORTED, "I32"},
    {"{\"layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[1,6],\"data_offsets\":[0,24]}}", 24,
     TAMIS_ERR_FORMAT, "at least two"},
    {"{\"layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[0,6],\"data_offsets\":[0,0]}}", 0,
     TAMIS_ERR_FORMAT, ""},
    {"{}", 0, TAMIS_ERR_FORMAT, ""},
    {"{" W0 "," B0 "," W1 "}", 40, TAMIS_ERR_FORMAT, ""},
};

START_TEST(test_hostile_tensors)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    const hostile *h = &hostiles[_i];
    write_tensors("bad.safetensors", h->header, values, h->size);
    const char *activation = h->status == TAMIS_ERR_ARG ? NULL : "relu";
    ck_fails(tamis_model_load(&model, context, "bad.safetensors", activation, &err), h->status,
             h->text);
    ck_assert_ptr_nonnull(strstr(err.message, "bad.safetensors"));
    ck_assert_ptr_null(model);
}
END_TEST

START_TEST(test_not_finite)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    float bad[8] = {1, 2, 3, 4, 5, 6, 0, NAN};
    write_tensors("nan.safetensors", "{" W0 "," B0 "}", bad, sizeof bad);
    ck_fails(tamis_model_load(&model, context, "nan.safetensors", "relu", &err), TAMIS_ERR_FORMAT,
             "layers.0.bias");
    double large[6] = {1, 2, 3, 4, 5, 1e300};
    write_tensors(
        "inf.safetensors",
        "{\"layers.0.weight\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,48]}}", large,
        sizeof large);
    ck_fails(tamis_model_load(&model, context, "inf.safetensors", "relu", &err), TAMIS_ERR_FORMAT,
             "finite");
}
END_TEST

START_TEST(test_no_model)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_fails(tamis_model_load(&model, context, "absent", NULL, &err), TAMIS_ERR_IO, "absent");
    ck_fails(tamis_model_load(&model, context, ".", NULL, &err), TAMIS_ERR_IO, "'.'");
    ck_fails(tamis_model_load(&model, context, "/dev/null", NULL, &err), TAMIS_ERR_UNSUPPORTED,
             "/dev/null");
    FILE *f = fopen("text", "w");
    fputs("hello, this is no model at all\n", f);
    fclose(f);
    ck_fails(tamis_model_load(&model, context, "text", NULL, &err), TAMIS_ERR_FORMAT, "neither");
    f = fopen("empty", "w");
    fclose(f);
    ck_fails(tamis_model_load(&model, context, "empty", NULL, &err), TAMIS_ERR_FORMAT, "neither");
    f = fopen("cut.h5", "w");
    fputs("\211HDF\r\n\032\nand then no more", f);
    fclose(f);
    ck_fails(tamis_model_load(&model, context, "cut.h5", NULL, &err), TAMIS_ERR_FORMAT, "cut.h5");
    ck_fails(tamis_model_load(&model, context, "text", "swish", &err), TAMIS_ERR_ARG, "swish");
    ck_assert_ptr_null(model);
}
END_TEST

/* --- HDF5 ------------------------------------------------------------------------------------- */

START_TEST(test_round_trip)
{
    tamis_error err = {0};
    fixture_spec spec = {.layers = 3,
                         .width = {5, 4, 6, 3},
                         .activation = TAMIS_GELU,
                         .no_bias = 2,
                         .checkpoints = 2,
                         .standardise = true,
                         .seed = 4};
    tamis_model *model = fixture_model(&spec), *back = NULL;
    ck_ok(tamis_model_save(model, context, "m.h5", false, &err));
    ck_assert(!exists("m.h5.part"));
    ck_ok(tamis_model_load(&back, context, "m.h5", NULL, &err));
    const tamis_model_info *a = tamis_model_info_get(model), *b = tamis_model_info_get(back);
    ck_assert_uint_eq(a->layers, b->layers);
    ck_assert_uint_eq(a->checkpoints, b->checkpoints);
    ck_assert_uint_eq(a->parameters, b->parameters);
    ck_assert_int_eq(b->activation, TAMIS_GELU);
    ck_assert_uint_eq(b->classes, 3);
    ck_assert_mem_eq(a->mean, b->mean, 5 * sizeof(float));
    ck_assert_mem_eq(a->scale, b->scale, 5 * sizeof(float));
    for (uint32_t k = 0; k < 2; k++) {
        ck_assert(a->checkpoint[k].learning_rate == b->checkpoint[k].learning_rate);
        ck_assert_uint_eq(a->checkpoint[k].step, b->checkpoint[k].step);
        for (uint32_t l = 0; l < 3; l++) {
            ck_assert_str_eq(a->layer[l].name, b->layer[l].name);
            ck_assert_uint_eq(a->layer[l].first_column, b->layer[l].first_column);
            ck_assert_uint_eq(a->layer[l].bias, b->layer[l].bias);
            ck_assert_mem_eq(tamis_model_weights(model, k, l), tamis_model_weights(back, k, l),
                             tamis_layer_columns(&a->layer[l]) * sizeof(float));
        }
    }
    tamis_model_free(&back);
    ck_ok(tamis_model_load(&back, context, "m.h5", "gelu", &err));
    tamis_model_free(&back);
    ck_fails(tamis_model_load(&back, context, "m.h5", "tanh", &err), TAMIS_ERR_ARG, "gelu");
    ck_fails(tamis_model_save(model, context, "m.h5", false, &err), TAMIS_ERR_IO, "m.h5");
    ck_ok(tamis_model_save(model, context, "m.h5", true, &err));
    tamis_model_free(&model);
}
END_TEST

/* A trained model, with class names, comes back the same and predicts the same. */
START_TEST(test_trained_round_trip)
{
    tamis_error err = {0};
    tamis_data *data = fixture_data(80, 4, 3, 2);
    data->class_name = (char *[]){"a", "\xc3\xa9t\xc3\xa9", "c"};
    data->feature_name = (char *[]){"w", "x, y", "z", "t"};
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.epochs = 2;
    tamis_model *model = NULL, *back = NULL;
    tamis_fit fit = {0}, again = {0};
    ck_ok(tamis_train(&model, context, &params, data, &fit, &err));
    ck_ok(tamis_model_save(model, context, "m.h5", false, &err));
    ck_ok(tamis_model_load(&back, context, "m.h5", NULL, &err));
    ck_assert_str_eq(tamis_model_info_get(back)->class_name[1], "\xc3\xa9t\xc3\xa9");
    ck_ok(tamis_model_evaluate(back, context, 0, data, &again, NULL, &err));
    ck_assert(fit.loss == again.loss && fit.accuracy == again.accuracy);
    ck_assert_str_eq(tamis_model_info_get(back)->feature_name[1], "x, y");
    data->feature_name = (char *[]){"w", "z", "x, y", "t"};
    ck_fails(tamis_model_evaluate(back, context, 0, data, &again, NULL, &err), TAMIS_ERR_SHAPE,
             "feature 1 is 'z' in the data and 'x, y' in the model");
    data->feature_name = NULL; /* a source without names is taken as it comes */
    ck_ok(tamis_model_evaluate(back, context, 0, data, &again, NULL, &err));
    data->class_name = (char *[]){"a", "b", "c"};
    ck_fails(tamis_model_evaluate(back, context, 0, data, &again, NULL, &err), TAMIS_ERR_SHAPE,
             "class 1 is 'b'");
    data->class_name = (char *[]){"a", "b", "c", "d"};
    data->classes = 4;
    ck_fails(tamis_model_evaluate(back, context, 0, data, &again, NULL, &err), TAMIS_ERR_SHAPE,
             "4 classes");
    data->class_name = NULL;
    tamis_model_free(&model);
    tamis_model_free(&back);
    fixture_data_free(data);
}
END_TEST

/* --- failing memory and disks ----------------------------------------------------------------- */

START_TEST(test_load_memory_failures)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    write_tensors("m.safetensors", "{" W0 "," B0 "," W1 "}", values, 48);
    long n = 0;
    for (; n < 10000; n++) {
        err = (tamis_error){0};
        tamis__fault_memory_after(n);
        tamis_status status = tamis_model_load(&model, context, "m.safetensors", "relu", &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        ck_assert_str_ne(err.message, "");
        ck_assert_ptr_null(model);
    }
    ck_assert_int_gt(n, 5);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_save_failures)
{
    tamis_error err = {0};
    fixture_spec spec = {.layers = 2, .width = {3, 4, 2}, .checkpoints = 2, .standardise = true};
    tamis_model *model = fixture_model(&spec);
    for (int kind = 0; kind < 2; kind++) {
        long n = 0;
        for (; n < 10000; n++) {
            err = (tamis_error){0};
            if (kind)
                tamis__fault_io_after(n);
            else
                tamis__fault_memory_after(n);
            tamis_status status = tamis_model_save(model, context, "m.h5", false, &err);
            tamis__fault_memory_after(-1);
            tamis__fault_io_after(-1);
            if (status == TAMIS_OK) break;
            ck_assert_str_ne(err.message, "");
            ck_assert(!exists("m.h5") && !exists("m.h5.part"));
        }
        ck_assert_int_gt(n, 0);
        ck_assert_int_lt(n, 10000);
        unlink("m.h5");
    }
    tamis_model_free(&model);
}
END_TEST

/* --- the reference's model -------------------------------------------------------------------- */

/* The logits the reference's authors computed with it. */
START_TEST(test_reference_logits)
{
    static const char *const names[2][3] = {{"X_train.npy", "y_train.npy", "logits_train.npy"},
                                            {"X_test.npy", "y_test.npy", "logits_test.npy"}};
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context, test_data("reference/ekfac/model_f32.safetensors"),
                           NULL, &err));
    tamis_data *data = fixture_reference_data(context, names[_i][0], names[_i][1]);
    tamis__network network = tamis__model_network(model, 0);
    tamis__batch batch = {0};
    tamis__npy logits;
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", test_data("reference/ekfac"), names[_i][2]);
    ck_ok(tamis__npy_open(&logits, context, path, &err));
    ck_assert_uint_eq(logits.rows, data->rows);
    ck_ok(tamis__batch_init(&batch, &network, data->rows, false, &err));
    tamis__batch_load(&batch, &network, data, NULL, 0, data->rows);
    ck_ok(tamis__forward(&batch, &network, &err));
    for (uint64_t i = 0; i < data->rows; i++) {
        float wanted[10];
        tamis__npy_rows(&logits, i, 1, wanted, 10);
        for (uint64_t c = 0; c < 10; c++)
            ck_assert_double_eq_tol((double)batch.output[2][i * 10 + c], (double)wanted[c], 1e-4);
    }
    tamis__npy_close(&logits);
    tamis__batch_fini(&batch);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *tc = tcase_create("load");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_tensors);
    tcase_add_test(tc, test_tensor_types);
    tcase_add_loop_test(tc, test_hostile_tensors, 0, (int)(sizeof hostiles / sizeof *hostiles));
    tcase_add_test(tc, test_not_finite);
    tcase_add_test(tc, test_no_model);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_trained_round_trip);
    tcase_add_test(tc, test_load_memory_failures);
    tcase_add_test(tc, test_save_failures);
    tcase_add_loop_test(tc, test_reference_logits, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
