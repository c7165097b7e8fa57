/* Rows projected before they are stored, and rows of i8: what is stored is what comes of the rows
 * in full, bit for bit.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "kernels/kernels.h"
#include "moments.h"
#include "project/project.h"
#include "store/layers_digest.h"

/* More columns than a projection takes at once; a layer begins inside its second run. */
static const fixture_spec wide_spec = {.layers = 3,
                                       .width = {60, 540, 7, 3},
                                       .activation = TAMIS_TANH,
                                       .no_bias = 2,
                                       .checkpoints = 2,
                                       .seed = 15};

typedef struct form {
    tamis_projection by;
    tamis_direction direction;
    tamis_function function;
    const char *layers;
} form;

static const form forms[] = {
    {.by = {.kind = "sparse", .seed = 5, .to = 300}},
    {.by = {.kind = "sparse", .to = 64, .nonzeros = 4}, .direction = TAMIS_DIRECTION_ADAM},
    {.by = {.kind = "sparse", .to = 1}, .direction = TAMIS_DIRECTION_SIGN},
    {.by = {.kind = "rademacher", .seed = 9, .to = 33}, .function = TAMIS_FUNCTION_MARGIN},
    {.by = {.kind = "rademacher", .to = 8},
     .direction = TAMIS_DIRECTION_SECOND_MOMENT,
     .layers = "1-2"},
};

static tamis_gradient_params params_of(const form *f, const char *path)
{
    return (tamis_gradient_params){.path = path,
                                   .direction = f->direction,
                                   .function = f->function,
                                   .layers = f->layers,
                                   .projection = &f->by};
}

/* Rows [rows, from] projected in one piece, in plain C; freed with free(). */
static float *project(const form *f, const store_rows *full)
{
    tamis_error err = {0};
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    tamis__projector *projector = NULL;
    tamis__projection_spec spec_of = {
        .kind = strcmp(f->by.kind, "sparse") ? TAMIS__PROJECTION_RADEMACHER
                                             : TAMIS__PROJECTION_SPARSE,
        .seed = f->by.seed,
        .from = full->info->columns,
        .to = f->by.to,
        .nonzeros = f->by.nonzeros,
    };
    ck_ok(tamis__projector_create(&projector, &spec_of, &kernels, &err));
    uint64_t n = full->info->rows;
    float *out = calloc(n * f->by.to, sizeof *out);
    void *scratch = tamis__aligned(1, tamis__projector_scratch(projector, n));
    tamis__project(projector, scratch, n, full->value, full->info->columns, out, f->by.to);
    free(scratch);
    tamis__projector_destroy(&projector);
    return out;
}

START_TEST(test_projected)
{
    const form *f = &forms[_i];
    tamis_model *model = model_with_moments(&wide_spec);
    tamis_data *data = fixture_data(45, 60, 3, 9);
    tamis_gradient_params p = params_of(f, "p.h5");
    write_store(model, data, p);
    p.path = "full.h5";
    p.projection = NULL;
    write_store(model, data, p);
    for (uint32_t k = 0; k < 2; k++) {
        store_rows full = read_rows("full.h5", k), got = read_rows("p.h5", k);
        const tamis_projection *by = got.info->projected_by;
        ck_assert_ptr_nonnull(by);
        ck_assert_str_eq(by->kind, f->by.kind);
        ck_assert_uint_eq(by->seed, f->by.seed);
        ck_assert_uint_eq(by->from, full.info->columns);
        ck_assert_uint_eq(by->to, f->by.to);
        ck_assert_uint_eq(by->layers, tamis__layers_digest(full.info->layer, full.info->layers));
        uint32_t usual = f->by.to == 1 ? 1 : 2;
        if (!strcmp(by->kind, "sparse"))
            ck_assert_uint_eq(by->nonzeros, f->by.nonzeros ? f->by.nonzeros : usual);
        ck_assert_uint_eq(got.info->layers, 1);
        ck_assert_str_eq(got.info->layer[0].name, "projected");
        ck_assert_uint_eq(got.info->layer[0].out, 1);
        ck_assert_uint_eq(got.info->layer[0].in, f->by.to);
        ck_assert_uint_eq(got.info->layer[0].bias, 0);
        ck_assert_ptr_null(full.info->projected_by);
        float *wanted = project(f, &full);
        ck_assert_mem_eq(got.value, wanted, 45 * f->by.to * sizeof *wanted);
        for (uint64_t i = 0; i < 45; i++) {
            double squares = 0;
            for (uint64_t j = 0; j < f->by.to; j++)
                squares += pow((double)got.value[i * f->by.to + j], 2);
            ck_assert_double_eq_tol((double)got.norm[i], sqrt(squares),
                                    1e-6 * sqrt(squares) + 1e-30);
        }
        free(wanted);
        free_rows(&full);
        free_rows(&got);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Function and direction are in the store. */
START_TEST(test_recorded)
{
    static const char *const directions[] = {"gradient", "sign", "adam", "adam-less",
                                             "second-moment"};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    for (int i = 0; i < 5; i++) {
        tamis_gradient_params p = {.path = "d.h5",
                                   .direction = (tamis_direction)i,
                                   .function = (tamis_function)(i % 2),
                                   .force = true};
        write_store(model, data, p);
        store_rows rows = read_rows("d.h5", 0);
        ck_assert_str_eq(rows.info->direction, directions[i]);
        ck_assert_str_eq(rows.info->function, i % 2 ? "margin" : "loss");
        free_rows(&rows);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- types ------------------------------------------------------------------------------------ */

/* Every type is the f32 rows rounded; norms are those before rounding. */
START_TEST(test_types)
{
    tamis_error err = {0};
    static const tamis_dtype dtypes[] = {TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    tamis_dtype dtype = dtypes[_i % 3];
    form f = {.by = {.kind = "sparse", .to = 40}, .direction = TAMIS_DIRECTION_ADAM};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params p = params_of(&f, "f32.h5");
    if (_i / 3 == 0) p.projection = NULL;
    if (_i / 3 == 2) p.projection = NULL, p.direction = TAMIS_DIRECTION_GRADIENT;
    write_store(model, data, p);
    p.path = "small.h5";
    p.dtype = dtype;
    write_store(model, data, p);
    store_rows full = read_rows("f32.h5", 1), small = read_rows("small.h5", 1);
    ck_assert_int_eq(small.info->dtype, dtype);
    const float *scale = NULL;
    ck_ok(tamis_store_scales(small.store, 1, &scale, &err));
    ck_assert(!scale == (dtype != TAMIS_I8));
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    uint64_t n = full.info->columns;
    unsigned char *stored = calloc(n, 4);
    for (uint64_t i = 0; i < 300; i++) {
        float *row = full.value + i * n;
        float step = tamis__narrow(&kernels, dtype, stored, row, n);
        tamis__widen(&kernels, dtype, row, stored, n);
        for (uint64_t j = 0; j < n; j++) row[j] *= step;
        ck_assert_mem_eq(row, small.value + i * n, n * sizeof *row);
        if (scale) ck_assert(scale[i] == step);
    }
    ck_assert_mem_eq(full.norm, small.norm, 300 * sizeof *full.norm);
    free(stored);
    free_rows(&full);
    free_rows(&small);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the same bytes --------------------------------------------------------------------------- */

START_TEST(test_same_bytes_any_threads)
{
    tamis_error err = {0};
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_model *model = model_with_moments(&wide_spec);
    tamis_data *data = fixture_data(300, 60, 3, 3);
    tamis_gradient_params p = params_of(&forms[_i], "one.h5");
    p.dtype = _i ? TAMIS_I8 : TAMIS_F32;
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

/* A row is never there in full: projecting rows of 36,000 columns takes no more than runs of
 * them. */
START_TEST(test_same_bytes_any_memory)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&wide_spec);
    tamis_data *data = fixture_data(700, 60, 3, 3);
    tamis_gradient_params p = params_of(&forms[1], "much.h5");
    write_store(model, data, p);
    p.path = "little.h5";
    uint64_t memory = 1 << 20;
    tamis_status status = TAMIS_OK;
    do {
        tamis_context *small = NULL;
        ck_ok(tamis_context_create(&small, &(tamis_context_params){.threads = 2, .memory = memory},
                                   &err));
        status = tamis_gradients(model, small, data, &p, &err);
        tamis_context_destroy(&small);
        if (status != TAMIS_OK) {
            ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
            ck_assert(!exists("little.h5") && !exists("little.h5.part"));
        }
        memory += memory / 10;
    } while (status != TAMIS_OK);
    ck_assert_uint_gt(memory, 4 << 20); /* 16 rows of 32,768 columns for each thread */
    ck_assert_uint_lt(memory, 32 << 20);
    assert_same_file("much.h5", "little.h5");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

static int stop_half_way(void *cookie, const char *phase, uint64_t done, uint64_t total,
                         const char *unit, const char *note)
{
    (void)cookie, (void)phase, (void)total, (void)unit, (void)note;
    return done > 500;
}

/* Shards of fewer rows than are projected at once. */
START_TEST(test_resume)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&wide_spec);
    tamis_data *data = fixture_data(700, 60, 3, 3);
    form f = {.by = {.kind = "sparse", .to = 20000}};
    tamis_gradient_params p = params_of(&f, "whole");
    p.shard_rows = 8;
    write_store(model, data, p);
    p.path = "parts";
    p.resume = true;
    tamis_context *with = NULL;
    tamis_context_params settings = {.threads = 3, .progress = stop_half_way};
    ck_ok(tamis_context_create(&with, &settings, &err));
    ck_fails(tamis_gradients(model, with, data, &p, &err), TAMIS_ERR_CANCELLED, "writing");
    tamis_context_destroy(&with);
    ck_assert(exists("parts/00000.h5") && !exists("parts/00086.h5"));
    tamis_gradient_params other = p;
    form again = f;
    again.by.seed = 1;
    other.projection = &again.by;
    ck_fails(tamis_gradients(model, context, data, &other, &err), TAMIS_ERR_SHAPE, "cannot resume");
    other = p;
    other.direction = TAMIS_DIRECTION_SIGN;
    ck_fails(tamis_gradients(model, context, data, &other, &err), TAMIS_ERR_SHAPE, "cannot resume");
    write_store(model, data, p);
    ck_assert(exists("whole/00087.h5") && !exists("parts/00088.h5"));
    for (int shard = 0; shard < 88; shard++) {
        char a[64], b[64];
        snprintf(a, sizeof a, "whole/%05d.h5", shard);
        snprintf(b, sizeof b, "parts/%05d.h5", shard);
        assert_same_file(a, b);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- refusals and failures -------------------------------------------------------------------- */

START_TEST(test_refusals)
{
    static const struct {
        tamis_projection by;
        const char *says;
    } cases[] = {
        {{.to = 4}, "no projection ''"},
        {{.kind = "gaussian", .to = 4}, "no projection 'gaussian': sparse or rademacher"},
        {{.kind = "sparse"}, "cannot project to 0 columns"},
        {{.kind = "sparse", .to = 86}, "cannot project rows of 85 columns to 86"},
        {{.kind = "sparse", .to = 4, .from = 84}, "84 columns, but they have 85"},
        {{.kind = "sparse", .to = 4, .nonzeros = 5}, "5 nonzeros"},
        {{.kind = "rademacher", .to = 4, .nonzeros = 1}, "leave out nonzeros"},
    };
    tamis_error err = {0};
    tamis_model *model = fixture_model(&spec);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    tamis_gradient_params p = {.path = "d.h5"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p.projection = &cases[i].by;
        ck_fails(tamis_gradients(model, context, data, &p, &err), TAMIS_ERR_ARG, cases[i].says);
        ck_assert(!exists("d.h5") && !exists("d.h5.part"));
    }
    tamis_projection whole = {.kind = "sparse", .to = 85, .from = 85};
    p.projection = &whole;
    ck_ok(tamis_gradients(model, context, data, &p, &err));
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Sums may overflow where no value does. */
START_TEST(test_overflow)
{
    tamis_error err = {0};
    fixture_spec one = {.layers = 1, .width = {3, 2}, .checkpoints = 1};
    tamis_model *model = fixture_model(&one);
    tamis_data *data = fixture_data(20, 3, 2, 9);
    for (int i = 0; i < 8; i++) model->file.weight[0][i] = 0.0f;
    for (int j = 0; j < 3; j++) data->x[7 * 3 + j] = 120000.0f; /* values of 60,000 */
    form f = {.by = {.kind = "rademacher", .to = 1}};
    tamis_gradient_params p = params_of(&f, "d.h5");
    p.dtype = TAMIS_F16;
    bool found = false;
    for (uint64_t seed = 0; seed < 50 && !found; seed++) {
        f.by.seed = seed;
        p.force = true;
        found = tamis_gradients(model, context, data, &p, &err) != TAMIS_OK;
    }
    ck_assert(found);
    ck_assert_msg(
        strstr(err.message, "checkpoint 0, row 7: the projected row is too large for f16"), "%s",
        err.message);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_failures)
{
    tamis_error err = {0};
    tamis_model *model = model_with_moments(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    form f = {.by = {.kind = "sparse", .to = 12}, .direction = TAMIS_DIRECTION_ADAM};
    tamis_gradient_params p = params_of(&f, "d.h5");
    p.dtype = TAMIS_I8;
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
    Suite *suite = suite_create("projected");
    TCase *tc = tcase_create("projected");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_projected, 0, (int)(sizeof forms / sizeof *forms));
    tcase_add_test(tc, test_recorded);
    tcase_add_loop_test(tc, test_types, 0, 9);
    tcase_add_loop_test(tc, test_same_bytes_any_threads, 0, 2);
    tcase_add_test(tc, test_same_bytes_any_memory);
    tcase_add_test(tc, test_resume);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_overflow);
    tcase_add_loop_test(tc, test_failures, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
