/* Tests of model files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/model_file.h"

#include <math.h>

#include "base/context.h"
#include "small_files.h"
#include "store/columns.h"
#include "store/h5.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(1);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* 2 inputs, 3 hidden, 2 classes, two checkpoints. Nothing in it is allocated. */
typedef struct fixture {
    tamis__model_file file;
    tamis_layer layer[2];
    tamis_checkpoint checkpoint[2];
    float weights[2][9 + 6], *weight[4], mean[2], scale[2];
    const char *names[2], *features[2];
    float moments[2][2][9 + 6], *first[4], *second[4];
} fixture;

static void make(fixture *f)
{
    *f = (fixture){.layer = {{.name = "layers.0", .out = 3, .in = 2, .bias = 1},
                             {.name = "layers.1", .out = 2, .in = 3, .first_column = 9}},
                   .checkpoint = {{10, 0.5}, {20, 0.25}},
                   .mean = {1, 2},
                   .scale = {0.5f, 4},
                   .names = {"cat", "d\xc3\xb6g"},
                   .features = {"width, mm", "\xc3\xa9paisseur"}};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 15; i++) f->weights[k][i] = (float)(100 * k + i) / 7;
        f->weight[2 * k] = f->weights[k];
        f->weight[2 * k + 1] = f->weights[k] + 9;
    }
    f->file = (tamis__model_file){.layers = 2,
                                  .checkpoints = 2,
                                  .classes = 2,
                                  .layer = f->layer,
                                  .checkpoint = f->checkpoint,
                                  .weight = f->weight,
                                  .activation = "tanh",
                                  .mean = f->mean,
                                  .scale = f->scale,
                                  .class_name = (char **)(uintptr_t)f->names,
                                  .feature_name = (char **)(uintptr_t)f->features};
}

/* The same after Adam. */
static void make_adam(fixture *f)
{
    make(f);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 15; i++) {
            f->moments[0][k][i] = (float)(7 - i) / (float)(k + 3);
            f->moments[1][k][i] = (float)(k + i) / 11;
        }
        for (int l = 0; l < 2; l++) {
            f->first[2 * k + l] = f->moments[0][k] + 9 * l;
            f->second[2 * k + l] = f->moments[1][k] + 9 * l;
        }
    }
    f->file.first = f->first;
    f->file.second = f->second;
    f->file.beta1 = 0.8;
    f->file.beta2 = 0.95;
    f->file.epsilon = 1e-6;
}

/* Without and with moments. */
START_TEST(round_trip)
{
    tamis_error err = {0};
    fixture f;
    tamis__model_file read;
    if (_i)
        make_adam(&f);
    else
        make(&f);
    ck_ok(tamis__model_file_write(&f.file, context, "m.h5", false, &err));
    ck_ok(tamis__model_file_read(&read, "m.h5", &err));
    ck_assert_uint_eq(read.layers, 2);
    ck_assert_uint_eq(read.checkpoints, 2);
    ck_assert_uint_eq(read.classes, 2);
    ck_assert_str_eq(read.activation, "tanh");
    ck_assert_str_eq(read.layer[1].name, "layers.1");
    ck_assert_uint_eq(read.layer[0].bias, 1);
    ck_assert_uint_eq(read.checkpoint[1].step, 20);
    ck_assert_double_eq(read.checkpoint[1].learning_rate, 0.25);
    for (int w = 0; w < 4; w++)
        ck_assert_mem_eq(read.weight[w], f.weight[w], (w % 2 ? 6 : 9) * sizeof(float));
    ck_assert(_i ? read.first && read.second : !read.first && !read.second);
    for (int w = 0; _i && w < 4; w++) {
        ck_assert_mem_eq(read.first[w], f.first[w], (w % 2 ? 6 : 9) * sizeof(float));
        ck_assert_mem_eq(read.second[w], f.second[w], (w % 2 ? 6 : 9) * sizeof(float));
    }
    ck_assert(read.beta1 == f.file.beta1 && read.beta2 == f.file.beta2);
    ck_assert(read.epsilon == f.file.epsilon);
    ck_assert_mem_eq(read.mean, f.mean, sizeof f.mean);
    ck_assert_mem_eq(read.scale, f.scale, sizeof f.scale);
    ck_assert_str_eq(read.class_name[1], "d\xc3\xb6g");
    for (int i = 0; i < 2; i++) ck_assert_str_eq(read.feature_name[i], f.features[i]);
    ck_assert_str_eq(read.provenance, "{}");
    ck_ok(tamis__model_file_write(&read, context, "n.h5", false, &err));
    ck_same_files("m.h5", "n.h5");
    tamis__model_file_fini(&read);
    tamis__model_file_fini(&read);
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_IO, "-f");
}
END_TEST

START_TEST(optional_parts_stay_away)
{
    tamis_error err = {0};
    fixture f;
    tamis__model_file read;
    make(&f);
    f.file.mean = f.file.scale = NULL;
    f.file.class_name = f.file.feature_name = NULL;
    ck_ok(tamis__model_file_write(&f.file, context, "m.h5", false, &err));
    ck_ok(tamis__model_file_read(&read, "m.h5", &err));
    ck_assert(!read.mean && !read.scale && !read.class_name && !read.feature_name);
    tamis__model_file_fini(&read);
}
END_TEST

START_TEST(refuses_to_write_nonsense)
{
    tamis_error err = {0};
    fixture f;
    make(&f);
    f.weights[1][3] = NAN;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_NUMERIC,
             "checkpoint/1/weight_0', element 3");
    make(&f);
    f.scale[1] = 0;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_NUMERIC,
             "element 1");
    make_adam(&f);
    f.moments[1][1][10] = -1e-30f;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_NUMERIC,
             "checkpoint/1/second_moment_1', element 1 is below zero");
    make_adam(&f);
    f.moments[0][0][8] = INFINITY;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_NUMERIC,
             "checkpoint/0/first_moment_0', element 8");
    make_adam(&f);
    f.file.beta2 = 1;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_NUMERIC,
             "beta2 1");
    make(&f);
    f.file.classes = 3;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_ARG,
             "3 classes");
    f.file.checkpoints = 0;
    ck_fails(tamis__model_file_write(&f.file, context, "m.h5", false, &err), TAMIS_ERR_ARG,
             "one checkpoint");
    ck_assert(!exists("m.h5") && !exists("m.h5.part"));
}
END_TEST

/* --- hostile files ---------------------------------------------------------------------------- */

typedef struct fault {
    const char *what, *says;
    tamis_status status;
} fault;

static const fault faults[] = {
    {"nothing", NULL, TAMIS_OK},
    {"activation", "activation", TAMIS_ERR_FORMAT},
    {"long activation", "no activation 'a name that", TAMIS_ERR_FORMAT},
    {"checkpoint", "no checkpoints", TAMIS_ERR_FORMAT},
    {"step", "step", TAMIS_ERR_FORMAT},
    {"rate", "learning rate", TAMIS_ERR_NUMERIC},
    {"weight", "weight_0", TAMIS_ERR_FORMAT},
    {"shape", "weight_0", TAMIS_ERR_FORMAT},
    {"nan", "element 2 is not finite", TAMIS_ERR_NUMERIC},
    {"mean", "one is missing", TAMIS_ERR_FORMAT},
    {"scale", "not above zero", TAMIS_ERR_NUMERIC},
    {"classes", "3 classes", TAMIS_ERR_FORMAT},
    {"layer", "layer", TAMIS_ERR_FORMAT},
    {"moments", NULL, TAMIS_OK},
    {"one moment", "second_moment_0", TAMIS_ERR_FORMAT},
    {"moments beta", "beta2", TAMIS_ERR_FORMAT},
    {"moments epsilon", "epsilon -1", TAMIS_ERR_NUMERIC},
    {"moments below zero", "second_moment_0', element 3 is below zero", TAMIS_ERR_NUMERIC},
};

static void build_moments(const tamis__h5 *h5, const char *wrong)
{
    tamis_error err = {0};
    float moment[4] = {0, 1, 2, 3};
    ck_ok(tamis__h5_put_f64(h5, "/", "beta1", 0.5, &err));
    if (strcmp(wrong, "moments beta")) ck_ok(tamis__h5_put_f64(h5, "/", "beta2", 0.5, &err));
    ck_ok(
        tamis__h5_put_f64(h5, "/", "epsilon", strcmp(wrong, "moments epsilon") ? 1e-8 : -1, &err));
    ck_ok(tamis__h5_write(h5, "checkpoint/0/first_moment_0", TAMIS__H5_F32, moment, 2, 2, &err));
    if (!strcmp(wrong, "one moment")) return;
    if (!strcmp(wrong, "moments below zero")) moment[3] = -3;
    ck_ok(tamis__h5_write(h5, "checkpoint/0/second_moment_0", TAMIS__H5_F32, moment, 2, 2, &err));
}

/* One layer [2, 2], one checkpoint, with one thing wrong. */
static void build(const char *wrong)
{
    tamis_error err = {0};
    tamis__h5 h5;
    tamis_layer layer = {.name = "layers.0", .out = 2, .in = 2};
    float weight[4] = {1, 2, 3, 4}, scale[2] = {1, strcmp(wrong, "scale") ? 1.0f : 0.0f};
    if (!strcmp(wrong, "nan")) weight[2] = NAN;
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "model", 1, NULL, &err));
    if (strcmp(wrong, "activation"))
        ck_ok(tamis__h5_put_text(
            &h5, "/", "activation",
            strcmp(wrong, "long activation") ? "relu" : "a name that is far too long", &err));
    if (strcmp(wrong, "layer")) ck_ok(tamis__layers_write(&h5, &layer, 1, &err));
    if (!strcmp(wrong, "classes")) ck_ok(tamis__h5_put_u32(&h5, "/", "classes", 3, &err));
    if (strcmp(wrong, "checkpoint")) {
        ck_ok(tamis__h5_group(&h5, "checkpoint", &err));
        ck_ok(tamis__h5_group(&h5, "checkpoint/0", &err));
        if (strcmp(wrong, "step")) ck_ok(tamis__h5_put_u64(&h5, "checkpoint/0", "step", 5, &err));
        ck_ok(tamis__h5_put_f64(&h5, "checkpoint/0", "learning_rate",
                                strcmp(wrong, "rate") ? 0.1 : -1, &err));
        if (strcmp(wrong, "weight"))
            ck_ok(tamis__h5_write(&h5, "checkpoint/0/weight_0", TAMIS__H5_F32, weight, 2,
                                  strcmp(wrong, "shape") ? 2 : 1, &err));
    }
    if (strstr(wrong, "moment")) build_moments(&h5, wrong);
    ck_ok(tamis__h5_group(&h5, "standardisation", &err));
    if (strcmp(wrong, "mean"))
        ck_ok(tamis__h5_write(&h5, "standardisation/mean", TAMIS__H5_F32, weight, 2, 0, &err));
    ck_ok(tamis__h5_write(&h5, "standardisation/scale", TAMIS__H5_F32, scale, 2, 0, &err));
    ck_ok(tamis__h5_commit(&h5, true, &err));
}

START_TEST(refuses_wrong_files)
{
    tamis_error err = {0};
    tamis__model_file read;
    const fault *f = &faults[_i];
    build(f->what);
    if (f->says) {
        ck_fails(tamis__model_file_read(&read, "x.h5", &err), f->status, f->says);
        ck_assert_ptr_nonnull(strstr(err.message, "x.h5"));
    } else {
        ck_ok(tamis__model_file_read(&read, "x.h5", &err));
        ck_assert_uint_eq(read.classes, 2);
        tamis__model_file_fini(&read);
    }
}
END_TEST

START_TEST(refuses_truncated_files)
{
    tamis_error err = {0};
    fixture f;
    tamis__model_file read;
    size_t size;
    make(&f);
    ck_ok(tamis__model_file_write(&f.file, context, "m.h5", false, &err));
    char *bytes = slurp("m.h5", &size);
    for (size_t cut = 0; cut < size; cut += 97) {
        spill("cut.h5", bytes, cut);
        ck_fails(tamis__model_file_read(&read, "cut.h5", &err), TAMIS_ERR_FORMAT, "cut.h5");
    }
    free(bytes);
}
END_TEST

static tamis_status write_afresh(const char *path, tamis_error *err)
{
    fixture f;
    make_adam(&f);
    unlink(path);
    return tamis__model_file_write(&f.file, context, path, false, err);
}

static tamis_status read_and_free(const char *path, tamis_error *err)
{
    tamis__model_file read;
    tamis_status status = tamis__model_file_read(&read, path, err);
    if (status == TAMIS_OK) tamis__model_file_fini(&read);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    ck_survives(tamis__fault_memory_after, write_afresh("m.h5", &err), "m.h5");
    ck_survives(tamis__fault_io_after, write_afresh("i.h5", &err), "i.h5");
    ck_same_files("m.h5", "i.h5");
    ck_survives(tamis__fault_memory_after, read_and_free("m.h5", &err), "m.h5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_file");
    TCase *tcase = tcase_create("model_file");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, round_trip, 0, 2);
    tcase_add_test(tcase, optional_parts_stay_away);
    tcase_add_test(tcase, refuses_to_write_nonsense);
    tcase_add_loop_test(tcase, refuses_wrong_files, 0, sizeof faults / sizeof *faults);
    tcase_add_test(tcase, refuses_truncated_files);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
