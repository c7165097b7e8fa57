/* Adam's moments from safetensors, and what is refused of them and of the options of directions.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "moments.h"

/* --- sound files ------------------------------------------------------------------------------ */

static const tamis_gradient_params asked[] = {
    {.direction = TAMIS_DIRECTION_ADAM},
    {.direction = TAMIS_DIRECTION_ADAM_LESS, .layers = "0,2"},
    {.direction = TAMIS_DIRECTION_SECOND_MOMENT},
    {.direction = TAMIS_DIRECTION_ADAM, .layers = "1", .checkpoints = "last"},
};

/* Files of the model's moments give the store that the model's own moments give. */
START_TEST(test_moments_files)
{
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(40, 5, 3, 9);
    const char *files[2] = {"a.safetensors", "b.safetensors"};
    for (uint32_t k = 0; k < 2; k++) write_moments(model, k, _i & 1, files[k], &nothing);
    tamis_gradient_params p = asked[_i / 2];
    p.path = "own.h5";
    write_store(model, data, p);
    p.path = "files.h5";
    p.moments = files;
    p.moment_files = p.checkpoints ? 1 : 2;
    if (p.checkpoints) p.moments = files + 1;
    write_store(model, data, p);
    assert_same_file("own.h5", "files.h5");
    /* Constants of a model that has none of its own. */
    model->info.moments = false;
    p.path = "usual.h5";
    p.given = 0;
    p.direction = TAMIS_DIRECTION_ADAM;
    write_store(model, data, p);
    p.path = "said.h5";
    p.given = TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON;
    p.beta1 = 0.9, p.beta2 = 0.999, p.epsilon = 1e-8;
    write_store(model, data, p);
    assert_same_file("usual.h5", "said.h5");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* The option goes before the file's metadata, these before its tensors, these before the
 * checkpoint. */
START_TEST(test_moments_step)
{
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(40, 5, 3, 9);
    const char *file = "a.safetensors";
    tamis_gradient_params p = {.path = "d.h5",
                               .direction = TAMIS_DIRECTION_ADAM,
                               .checkpoints = "1",
                               .moments = &file,
                               .moment_files = 1};
    tamis_gradient_params own = {.path = "own.h5",
                                 .direction = TAMIS_DIRECTION_ADAM,
                                 .checkpoints = "1",
                                 .given = TAMIS_GIVEN_STEP};
    static const struct {
        wrong how;
        uint64_t given, step;
    } cases[] = {
        {{.metadata = "\"step\":\"11\""}, 0, 11},
        {{.metadata = "\"step\":\"12.0\"", .extra = "layers.0.weight.step"}, 0, 12},
        {{.extra = "layers.0.weight.step"}, 0, 7},
        {{.extra = "4.step"}, 0, 7},
        {{.metadata = "\"step\":\"no\"", .extra = "layers.0.weight.step"}, 13, 13},
        {{0}, 0, 20},
    };
    write_moments(model, 1, false, file, &cases[_i].how);
    p.given = cases[_i].given ? TAMIS_GIVEN_STEP : 0;
    p.moments_step = cases[_i].given;
    own.moments_step = cases[_i].step;
    write_store(model, data, p);
    write_store(model, data, own);
    assert_same_file("own.h5", "d.h5");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

static const struct {
    wrong how;
    bool by_position;
    const char *says;
} hostiles[] = {
    {{.leave_out = "layers.2.bias.exp_avg_sq"},
     false,
     "no tensor 'layers.2.bias.exp_avg_sq' (or '4.exp_avg_sq' by position)"},
    {{.leave_out = "3.exp_avg"}, true, "no tensor 'layers.2.weight.exp_avg' (or '3.exp_avg'"},
    {{.leave_out = "layers.0.weight.exp_avg", .spoil = (double)INFINITY},
     false,
     "tensor 'layers.0.weight.exp_avg': value 0 is not a finite float"},
    {{.leave_out = "1.exp_avg_sq", .spoil = -2}, true, "tensor '1.exp_avg_sq' has the value -2"},
    {{.rename_from = "4.exp_avg", .rename_to = "5.exp_avg"}, true, "'5.exp_avg' is surplus"},
    {{.rename_from = "layers.2.bias.exp_avg", .rename_to = "layers.1.bias.exp_avg"},
     false,
     "'layers.1.bias.exp_avg' is surplus"},
    {{.rename_from = "layers.2.bias.exp_avg", .rename_to = "layers.3.bias.exp_avg"},
     false,
     "parameters 0 to 4"},
    {{.rename_from = "2.exp_avg", .rename_to = "02.exp_avg"},
     true,
     "unexpected tensor '02.exp_avg'"},
    {{.rename_from = "2.exp_avg", .rename_to = "2.max_exp_avg_sq"}, true, "unexpected tensor"},
    {{.rename_from = "2.exp_avg", .rename_to = "exp_avg"}, true, "unexpected tensor 'exp_avg'"},
    {{.rename_from = "2.exp_avg", .rename_to = ".exp_avg"}, true, "unexpected tensor '.exp_avg'"},
    {{.rename_from = "2.exp_avg", .rename_to = "99999999999999999999.exp_avg"}, true, "surplus"},
    {{.rename_from = "2.exp_avg", .rename_to = "3.exp_avg_sq.exp_avg"}, true, "unexpected tensor"},
    {{.rename_from = "2.exp_avg", .rename_to = "layers.1.weight.exp_avg_sq"},
     true,
     "'layers.1.weight.exp_avg_sq' and '2.exp_avg_sq' are the same moment of layers.1.weight"},
    {{.leave_out = "3.exp_avg", .rename_from = "0.exp_avg", .rename_to = "3.exp_avg"},
     true,
     "'3.exp_avg' is [7, 5], but the model's layers.2.weight is [3, 4]"},
    {{.leave_out = "3.exp_avg", .rename_from = "1.exp_avg", .rename_to = "3.exp_avg"},
     true,
     "[7], but"},
    {{.leave_out = "layers.0.bias.exp_avg_sq", .extra = "1.exp_avg_sq"},
     false,
     "'1.exp_avg_sq' is [], but the model's layers.0.bias is [7]"},
    {{.metadata = "\"step\":\"0\""}, false, "metadata key 'step' is '0'"},
    {{.metadata = "\"step\":\"1.5\""}, false, "metadata key 'step' is '1.5'"},
    {{.rename_from = "2.exp_avg", .rename_to = "2.step"}, true, "tensor '2.step' has 28 values"},
};

START_TEST(test_hostile_moments)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    const char *file = "bad.safetensors";
    write_moments(model, 0, hostiles[_i].by_position, file, &hostiles[_i].how);
    tamis_gradient_params p = {
        .path = "d.h5", .direction = TAMIS_DIRECTION_ADAM, .moments = &file, .moment_files = 1};
    ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_FORMAT, hostiles[_i].says);
    ck_assert_msg(strstr(err.message, "bad.safetensors: ") == err.message, "%s", err.message);
    ck_assert_ptr_null(strchr(err.message, '\n'));
    ck_assert(!exists("d.h5") && !exists("d.h5.part"));
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Counters of the parameters that disagree. */
START_TEST(test_hostile_steps)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(
        &(fixture_spec){.layers = 1, .width = {2, 2}, .no_bias = 1, .checkpoints = 1});
    tamis_data *data = fixture_data(20, 2, 2, 9);
    const char *file = "bad.safetensors";
    tamis_gradient_params p = {.path = "d.h5",
                               .direction = TAMIS_DIRECTION_SECOND_MOMENT,
                               .moments = &file,
                               .moment_files = 1};
    static const float steps[][2] = {{5, 6}, {5, 0}, {0.5f, 0.5f}, {-1, 5}, {NAN, 5}, {5, 5}};
    tensors t;
    begin(&t, "");
    add(&t, "0.exp_avg", 2, 2, 2, model->file.first[0]);
    add(&t, "0.exp_avg_sq", 2, 2, 2, model->file.second[0]);
    add(&t, "0.step", 0, 1, 1, &steps[_i][0]);
    add(&t, "layers.0.weight.step", 1, 1, 1, &steps[_i][1]);
    finish(&t, file);
    if (_i == 5)
        ck_ok(tamis_gradients(model, context, data, &p, &err));
    else
        ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_FORMAT, "step' is ");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static void refuse(const tamis_model *model, const tamis_data *data, tamis_gradient_params params,
                   tamis_status wanted, const char *text)
{
    tamis_error err = {0};
    params.path = "d.h5";
    ck_fails(tamis_gradients(model, context, data, &params, &err), wanted, text);
    ck_assert(!exists("d.h5") && !exists("d.h5.part"));
}

START_TEST(test_refusals)
{
    tamis_model *model = model_with_moments(&spec), *plain = fixture_model(&spec);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    const char *files[3] = {"a.safetensors", "a.safetensors", "a.safetensors"};
    write_moments(model, 0, false, files[0], &nothing);
    tamis_gradient_params adam = {.direction = TAMIS_DIRECTION_ADAM}, p;
    refuse(plain, data, adam, TAMIS_ERR_ARG, "the model has no moments");
    p = (tamis_gradient_params){.moments = files, .moment_files = 1};
    refuse(model, data, p, TAMIS_ERR_ARG, "the direction gradient needs no moments");
    p.direction = TAMIS_DIRECTION_SIGN;
    refuse(model, data, p, TAMIS_ERR_ARG, "the direction sign needs no moments");
    p = adam, p.moments = files, p.moment_files = 3;
    refuse(model, data, p, TAMIS_ERR_ARG, "3 files of moments for 2 checkpoints");
    p.moment_files = 2, p.checkpoints = "0";
    refuse(model, data, p, TAMIS_ERR_ARG, "2 files of moments for 1 checkpoints");
    files[0] = "absent.safetensors", p.moment_files = 1;
    refuse(model, data, p, TAMIS_ERR_IO, "absent.safetensors");
    static const unsigned given[] = {TAMIS_GIVEN_BETA1, TAMIS_GIVEN_BETA2, TAMIS_GIVEN_EPSILON,
                                     TAMIS_GIVEN_STEP};
    static const char *const names[] = {"--beta1", "--beta2", "--epsilon", "--moments-step"};
    static const unsigned unused[] = {15, 15, 0, 8, 1}; /* by direction */
    for (int direction = 0; direction <= TAMIS_DIRECTION_SECOND_MOMENT; direction++)
        for (int i = 0; i < 4; i++) {
            p = (tamis_gradient_params){.direction = (tamis_direction)direction, .given = given[i]};
            if (unused[direction] >> i & 1) refuse(model, data, p, TAMIS_ERR_ARG, names[i]);
        }
    p = adam, p.given = TAMIS_GIVEN_BETA1, p.beta1 = 1,
    refuse(model, data, p, TAMIS_ERR_ARG, "beta1 1");
    p.beta1 = (double)NAN, refuse(model, data, p, TAMIS_ERR_ARG, "beta1 nan");
    p = adam, p.given = TAMIS_GIVEN_EPSILON, refuse(model, data, p, TAMIS_ERR_ARG, "epsilon 0");
    p = adam, p.given = TAMIS_GIVEN_STEP, refuse(model, data, p, TAMIS_ERR_ARG, "--moments-step N");
    model->file.checkpoint[1].step = 0;
    refuse(model, data, adam, TAMIS_ERR_ARG, "checkpoint 1: after how many steps");
    p = adam, p.direction = (tamis_direction)5, refuse(model, data, p, TAMIS_ERR_ARG, "direction");
    p = adam, p.function = (tamis_function)2, refuse(model, data, p, TAMIS_ERR_ARG, "function");
    fixture_data_free(data);
    tamis_model_free(&model);
    tamis_model_free(&plain);
}
END_TEST

/* --- failing memory and disks ----------------------------------------------------------------- */

START_TEST(test_failures)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    const char *files[2] = {"a.safetensors", "b.safetensors"};
    for (uint32_t k = 0; k < 2; k++) write_moments(model, k, true, files[k], &nothing);
    tamis_gradient_params p = {.path = "d.h5",
                               .dtype = TAMIS_BF16,
                               .direction = TAMIS_DIRECTION_ADAM,
                               .moments = files,
                               .moment_files = 2};
    long n = 0;
    for (; n < 10000; n++) {
        err = (tamis_error){0};
        if (_i)
            tamis__fault_io_after(n);
        else
            tamis__fault_memory_after(n);
        tamis_status status = tamis_gradients(model, context, data, &p, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_msg(status == TAMIS_ERR_IO || (!_i && status == TAMIS_ERR_NOMEM),
                      "failure %ld: %s: %s", n, tamis_status_name(status), err.message);
        ck_assert_str_ne(err.message, "");
        ck_assert(!exists("d.h5") && !exists("d.h5.part"));
    }
    ck_assert_int_gt(n, 3);
    ck_assert_int_lt(n, 10000);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moments");
    TCase *tc = tcase_create("moments");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_moments_files, 0, 2 * (int)(sizeof asked / sizeof *asked));
    tcase_add_loop_test(tc, test_moments_step, 0, 6);
    tcase_add_loop_test(tc, test_hostile_moments, 0, (int)(sizeof hostiles / sizeof *hostiles));
    tcase_add_loop_test(tc, test_hostile_steps, 0, 6);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_failures, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
