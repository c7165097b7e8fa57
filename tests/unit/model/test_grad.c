/* Per-example gradients in a store: against finite differences, the reference's scores, and
 * themselves at other threads, memory, shards and types.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/mem.h"
#include "stores.h"
#include "kernels/kernels.h"

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void assert_same_file(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    ck_assert_msg(f && g, "%s or %s is not there", a, b);
    static char x[65536], y[65536];
    size_t n = 0, m = 0;
    do {
        n = fread(x, 1, sizeof x, f);
        m = fread(y, 1, sizeof y, g);
        ck_assert_msg(n == m && memcmp(x, y, n) == 0, "%s and %s differ", a, b);
    } while (n);
    fclose(f);
    fclose(g);
}

/* --- what is stored --------------------------------------------------------------------------- */

static const fixture_spec specs[] = {
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_RELU,
     .checkpoints = 2,
     .standardise = true,
     .seed = 31},
    {.layers = 3, .width = {5, 7, 4, 3}, .activation = TAMIS_TANH, .checkpoints = 2, .seed = 22},
    {.layers = 3,
     .width = {5, 7, 4, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .no_bias = 2,
     .seed = 23},
    {.layers = 1, .width = {6, 4}, .activation = TAMIS_RELU, .checkpoints = 3, .seed = 24},
};

/* How far the row is from where a ReLU has no derivative. */
static double kink_distance(const reference *r, const tamis_model_info *info)
{
    double least = HUGE_VAL;
    for (uint32_t l = 0; l + 1 < info->layers; l++)
        for (uint64_t o = 0; o < info->layer[l].out; o++)
            least = fmin(least, fabs(r->output[l][o]));
    return least;
}

START_TEST(test_rows_against_differences)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(11, info->layer[0].in, info->classes, 50 + (uint64_t)_i);
    write_store(model, context, data, (tamis_gradient_params){.path = "g.h5"});
    tamis_store *store = open_store("g.h5");
    const tamis_store_info *got = tamis_store_info_get(store);
    ck_assert_uint_eq(got->checkpoints, info->checkpoints);
    ck_assert_uint_eq(got->columns, info->parameters);
    ck_assert_uint_eq(got->classes, info->classes);
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        ck_assert_uint_eq(got->checkpoint[k].step, info->checkpoint[k].step);
        ck_assert(got->checkpoint[k].learning_rate == info->checkpoint[k].learning_rate);
        float *rows = read_rows(store, k), *loss = NULL, *margin = NULL, *probability = NULL;
        const float *norms = NULL;
        ck_ok(tamis_store_norms(store, k, &norms, &err));
        ck_ok(tamis_store_outputs(store, k, "loss", &loss, &err));
        ck_ok(tamis_store_outputs(store, k, "margin", &margin, &err));
        ck_ok(tamis_store_outputs(store, k, "probability", &probability, &err));
        double **weight = reference_weights(model, k);
        for (uint64_t i = 0; i < data->rows; i++) {
            const float *row = rows + i * info->parameters, *x = data->x + i * data->columns;
            reference r = {0};
            reference_forward(&r, info, weight, x, data->label[i]);
            ck_assert_msg(info->activation != TAMIS_RELU || kink_distance(&r, info) > 1e-3,
                          "row %d is at a kink: choose another seed", (int)i);
            ck_assert_double_eq_tol((double)loss[i], r.loss, 1e-5);
            ck_assert_double_eq_tol((double)margin[i], r.margin, 1e-5);
            for (uint32_t c = 0; c < info->classes; c++)
                ck_assert_double_eq_tol((double)probability[i * info->classes + c],
                                        r.probability[c], 1e-6);
            double squares = 0;
            for (uint32_t l = 0; l < info->layers; l++)
                for (uint64_t at = 0; at < tamis_layer_columns(&info->layer[l]); at++) {
                    double value = (double)row[info->layer[l].first_column + at];
                    double wanted = reference_difference(info, weight, l, at, x, data->label[i]);
                    ck_assert_double_eq_tol(value, wanted, 1e-5);
                    squares += value * value;
                }
            ck_assert_double_eq_tol((double)norms[i] / sqrt(squares), 1.0, 1e-6);
        }
        reference_weights_free(weight, info->layers);
        free(rows);
        free(loss);
        free(margin);
        free(probability);
    }
    tamis_store_close(&store);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_example_columns)
{
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(600, 5, 3, 9);
    char **id = calloc(600, sizeof *id);
    if (_i)
        data->id_text = id;
    else
        data->id_number = calloc(600, sizeof *data->id_number);
    data->digest = calloc(600, sizeof *data->digest);
    data->group = calloc(600, sizeof *data->group);
    data->group_name = (char *[]){"even", "odd"};
    data->groups = 2;
    char **class_name = data->class_name;
    data->class_name = (char *[]){"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    ck_assert_uint_le(data->classes, 10);
    for (uint64_t i = 0; i < 600; i++) {
        id[i] = calloc(16, 1);
        snprintf(id[i], 16, "row-%d", (int)i);
        if (!_i) data->id_number[i] = 1000 + i;
        data->digest[i] = 7 * i + 1;
        data->group[i] = (int32_t)(i % 2);
    }
    write_store(model, context, data,
                (tamis_gradient_params){.path = "g.h5", .provenance = "{\"a\":1}"});
    tamis_store *store = open_store("g.h5");
    const tamis_examples *examples = tamis_store_examples(store);
    for (uint64_t i = 0; i < 600; i++) {
        if (_i)
            ck_assert_str_eq(examples->id_text[i], id[i]);
        else
            ck_assert_uint_eq(examples->id_number[i], 1000 + i);
        free(id[i]);
    }
    free(id);
    data->id_text = NULL;
    ck_assert_mem_eq(examples->digest, data->digest, 600 * sizeof *data->digest);
    ck_assert_mem_eq(examples->label, data->label, 600 * sizeof *data->label);
    ck_assert_mem_eq(examples->group, data->group, 600 * sizeof *data->group);
    ck_assert_uint_eq(examples->groups, 2);
    ck_assert_str_eq(examples->group_name[1], "odd");
    ck_assert_uint_eq(examples->classes, data->classes);
    ck_assert_str_eq(examples->class_name[1], "b");
    ck_assert_str_eq(tamis_store_info_get(store)->provenance, "{\"a\":1}");
    tamis_store_close(&store);
    data->group_name = NULL;
    data->class_name = class_name;
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the reference's scores ------------------------------------------------------------------- */

static double dot(const float *a, const float *b, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* sum over layers of |delta|^2 |input|^2, by the reference's forward and backward. */
static double reference_self(const tamis_model_info *info, double *const *weight, const float *x,
                             int32_t label)
{
    reference r = {0};
    double total = 0;
    reference_forward(&r, info, weight, x, label);
    reference_backward(&r, info, weight, label);
    for (uint32_t l = 0; l < info->layers; l++) {
        double d = 0, a = 0;
        for (uint64_t o = 0; o < info->layer[l].out; o++) d += r.delta[l][o] * r.delta[l][o];
        for (uint64_t j = 0; j < info->layer[l].in + info->layer[l].bias; j++)
            a += r.input[l][j] * r.input[l][j];
        total += d * a;
    }
    return total;
}

START_TEST(test_reference_scores)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context, test_data("reference/ekfac/model_f32.safetensors"),
                           NULL, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *train = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    tamis_data *query = fixture_reference_data(context, "X_test.npy", "y_test.npy");
    write_store(model, context, train, (tamis_gradient_params){.path = "train.h5"});
    write_store(model, context, query, (tamis_gradient_params){.path = "query.h5"});
    tamis_store *train_store = open_store("train.h5"), *query_store = open_store("query.h5");
    ck_assert_uint_eq(tamis_store_info_get(train_store)->columns, 3466);
    float *g = read_rows(train_store, 0), *q = read_rows(query_store, 0);
    tamis__npy wanted;
    ck_ok(tamis__npy_open(&wanted, context, test_data("reference/ekfac/pairwise_identity.npy"),
                          &err));
    ck_assert_uint_eq(wanted.rows, 50);
    ck_assert_uint_eq(wanted.cols, 1200);
    const double *score = wanted.data;
    double top = 0, worst = 0;
    for (uint64_t i = 0; i < 50; i++)
        for (uint64_t j = 0; j < 1200; j++) {
            top = fmax(top, fabs(score[i * 1200 + j]));
            worst = fmax(worst, fabs(dot(q + i * 3466, g + j * 3466, 3466) - score[i * 1200 + j]));
        }
    ck_assert_msg(worst < 1e-5 * top, "scores differ by %g of %g", worst, top);
    double **weight = reference_weights(model, 0), self_top = 0, self_worst = 0, norm_worst = 0;
    const float *norms = NULL;
    ck_ok(tamis_store_norms(train_store, 0, &norms, &err));
    for (uint64_t j = 0; j < 1200; j++) {
        double self = reference_self(info, weight, train->x + j * 64, train->label[j]);
        self_top = fmax(self_top, self);
        self_worst = fmax(self_worst, fabs(dot(g + j * 3466, g + j * 3466, 3466) - self));
        norm_worst = fmax(norm_worst, fabs((double)norms[j] * (double)norms[j] - self));
    }
    ck_assert_msg(self_worst < 1e-5 * self_top, "self-influence differs by %g of %g", self_worst,
                  self_top);
    ck_assert_msg(norm_worst < 1e-5 * self_top, "norms differ by %g of %g", norm_worst, self_top);
    reference_weights_free(weight, info->layers);
    tamis__npy_close(&wanted);
    free(g);
    free(q);
    tamis_store_close(&train_store);
    tamis_store_close(&query_store);
    fixture_data_free(train);
    fixture_data_free(query);
    tamis_model_free(&model);
}
END_TEST

/* --- types ------------------------------------------------------------------------------------ */

/* Narrow rows are the f32 rows rounded, each by itself; norms are those before rounding. */
START_TEST(test_types)
{
    tamis_error err = {0};
    static const tamis_dtype dtypes[] = {TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    tamis_dtype dtype = dtypes[_i];
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    uint64_t columns = tamis_model_info_get(model)->parameters;
    write_store(model, context, data, (tamis_gradient_params){.path = "f32.h5"});
    write_store(model, context, data, (tamis_gradient_params){.path = "half.h5", .dtype = dtype});
    tamis_store *full = open_store("f32.h5"), *half = open_store("half.h5");
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    for (uint32_t k = 0; k < 2; k++) {
        float *a = read_rows(full, k), *b = read_rows(half, k);
        uint16_t *stored = calloc(300 * columns, sizeof *stored);
        for (uint64_t i = 0; i < 300; i++) {
            float *row = a + i * columns;
            float scale = tamis__narrow(&kernels, dtype, stored, row, columns);
            tamis__widen(&kernels, dtype, row, stored, columns);
            for (uint64_t j = 0; j < columns; j++) row[j] *= scale;
        }
        ck_assert_mem_eq(a, b, 300 * columns * sizeof *a);
        const float *x = NULL, *y = NULL;
        ck_ok(tamis_store_norms(full, k, &x, &err));
        ck_ok(tamis_store_norms(half, k, &y, &err));
        ck_assert_mem_eq(x, y, 300 * sizeof *x);
        free(a);
        free(b);
        free(stored);
    }
    tamis_store_close(&full);
    tamis_store_close(&half);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_overflow)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(
        &(fixture_spec){.layers = 1, .width = {3, 2}, .checkpoints = 2});
    tamis_data *data = fixture_data(300, 3, 2, 9);
    data->id_number = calloc(300, sizeof *data->id_number);
    for (uint64_t i = 0; i < 300; i++) data->id_number[i] = 5000 + i;
    /* Which label the large value speaks against depends on the weights: take the wrong one. */
    data->x[277 * 3 + 1] = 1e6f;
    float against = model->file.weight[0][1] - model->file.weight[0][4 + 1];
    data->label[277] = against > 0 ? 1 : 0;
    tamis_gradient_params params = {.path = "g.h5", .dtype = TAMIS_F16, .checkpoints = "0"};
    ck_fails(tamis_gradients(model, context, data, &params, &err), TAMIS_ERR_NUMERIC,
             "checkpoint 0, row 277 (id 5277)");
    ck_assert_ptr_nonnull(strstr(err.message, "f16"));
    ck_assert(!exists("g.h5") && !exists("g.h5.part"));
    params.dtype = TAMIS_BF16;
    ck_ok(tamis_gradients(model, context, data, &params, &err));
    /* The largest float: its product with the delta fits bf16 no more, its logit is infinite. */
    data->x[277 * 3 + 1] = 3e38f;
    data->x[277 * 3 + 2] = 3e38f;
    for (int i = 0; i < 8; i++) model->file.weight[0][i] *= 100;
    params.path = "h.h5";
    ck_fails(tamis_gradients(model, context, data, &params, &err), TAMIS_ERR_NUMERIC,
             "row 277 (id 5277)");
    ck_assert(!exists("h.h5") && !exists("h.h5.part"));
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- the same bytes --------------------------------------------------------------------------- */

/* Rows of 17 KB, so that a group of rows is several blocks and the store several shards. */
static tamis_model *long_model(void)
{
    return fixture_model(&(fixture_spec){.layers = 2,
                                         .width = {64, 64, 3},
                                         .activation = TAMIS_TANH,
                                         .checkpoints = 2,
                                         .standardise = true,
                                         .seed = 6});
}

START_TEST(test_same_bytes_any_threads)
{
    tamis_dtype dtype = _i ? TAMIS_I8 : TAMIS_BF16;
    static const unsigned threads[] = {2, 3, 7};
    tamis_model *model = _i ? long_model() : fixture_model(&specs[0]);
    tamis_data *data = _i ? fixture_data(700, 64, 3, 3) : fixture_data(5000, 5, 3, 3);
    tamis_context *with = fixture_context(1);
    write_store(model, with, data, (tamis_gradient_params){.path = "one.h5", .dtype = dtype});
    tamis_context_destroy(&with);
    for (size_t i = 0; i < 3; i++) {
        with = fixture_context(threads[i]);
        write_store(model, with, data,
                    (tamis_gradient_params){.path = "many.h5", .dtype = dtype, .force = true});
        assert_same_file("one.h5", "many.h5");
        tamis_context_destroy(&with);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_same_bytes_any_memory)
{
    tamis_error err = {0};
    tamis_model *model = long_model();
    tamis_data *data = fixture_data(1500, 64, 3, 3);
    write_store(model, context, data, (tamis_gradient_params){.path = "much.h5"});
    uint64_t memory = 1 << 20;
    tamis_status status = TAMIS_OK;
    do { /* the least memory that does, to within a tenth */
        tamis_context *small = NULL;
        ck_ok(tamis_context_create(&small, &(tamis_context_params){.threads = 2, .memory = memory},
                                   &err));
        status = tamis_gradients(model, small, data, &(tamis_gradient_params){.path = "little.h5"},
                                 &err);
        tamis_context_destroy(&small);
        if (status != TAMIS_OK) {
            ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
            ck_assert_ptr_nonnull(strstr(err.message, "--memory"));
            ck_assert(!exists("little.h5") && !exists("little.h5.part"));
        }
        memory += memory / 10;
    } while (status != TAMIS_OK);
    ck_assert_uint_gt(memory, 2 << 20);
    ck_assert_uint_lt(memory, 64 << 20);
    assert_same_file("much.h5", "little.h5");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

typedef struct stopper {
    int calls, stop_after;
    uint64_t last, total;
    bool wrong;
} stopper;

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    stopper *s = cookie;
    (void)note;
    if (strcmp(phase, "writing gradients") != 0 || strcmp(unit, "rows") != 0) return 0;
    s->wrong |= done < s->last || done > total;
    s->total = total;
    if (done == s->last) return 0; /* groups are being computed */
    s->last = done;
    return ++s->calls == s->stop_after;
}

/* Stopped after every number of blocks in turn, resumed with other threads: the same bytes. */
START_TEST(test_resume)
{
    tamis_error err = {0};
    tamis_model *model = long_model();
    tamis_data *data = fixture_data(700, 64, 3, 3);
    tamis_gradient_params params = {.path = "whole", .shard_rows = 128};
    write_store(model, context, data, params);
    params.path = "parts";
    params.resume = true;
    for (int blocks = 1; blocks <= 5; blocks++) {
        if (system("rm -rf parts")) ck_abort_msg("rm");
        stopper s = {.stop_after = blocks};
        tamis_context *with = NULL;
        tamis_context_params settings = {.threads = 3, .progress = stop, .cookie = &s};
        ck_ok(tamis_context_create(&with, &settings, &err));
        ck_fails(tamis_gradients(model, with, data, &params, &err), TAMIS_ERR_CANCELLED,
                 "writing gradients");
        s = (stopper){.stop_after = -1};
        ck_ok(tamis_gradients(model, with, data, &params, &err));
        ck_assert_uint_eq(s.last, 700);
        ck_assert_uint_eq(s.total, 700);
        ck_assert(!s.wrong);
        tamis_context_destroy(&with);
        for (int shard = 0; shard < 6; shard++) {
            char a[64], b[64];
            snprintf(a, sizeof a, "whole/%05d.h5", shard);
            snprintf(b, sizeof b, "parts/%05d.h5", shard);
            assert_same_file(a, b);
        }
        ck_assert(!exists("parts/00006.h5"));
    }
    write_store(model, context, data, params); /* whole already: nothing to do */
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- choosing --------------------------------------------------------------------------------- */

/* Asked to stop before the first block is written. */
static int stop_at_once(void *cookie, const char *phase, uint64_t done, uint64_t total,
                        const char *unit, const char *note)
{
    (void)cookie, (void)phase, (void)done, (void)total, (void)unit, (void)note;
    return 1;
}

START_TEST(test_stopped_at_once)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(700, 5, 3, 3);
    tamis_context *with = NULL;
    tamis_gradient_params params = {.path = "g.h5"};
    ck_ok(tamis_context_create(
        &with, &(tamis_context_params){.threads = 2, .progress = stop_at_once}, &err));
    ck_fails(tamis_gradients(model, with, data, &params, &err), TAMIS_ERR_CANCELLED,
             "after 0 rows");
    ck_assert(!exists("g.h5") && !exists("g.h5.part"));
    tamis_context_destroy(&with);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_layers_and_checkpoints)
{
    tamis_model *model = fixture_model(&specs[0]);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(400, 5, 3, 9);
    write_store(model, context, data, (tamis_gradient_params){.path = "all.h5"});
    tamis_gradient_params params = {
        .path = "some.h5", .layers = "layers.2,0", .checkpoints = "last"};
    write_store(model, context, data, params);
    tamis_store *all = open_store("all.h5"), *some = open_store("some.h5");
    const tamis_store_info *got = tamis_store_info_get(some);
    uint64_t first = tamis_layer_columns(&info->layer[0]),
             last = tamis_layer_columns(&info->layer[2]);
    ck_assert_uint_eq(got->layers, 2);
    ck_assert_str_eq(got->layer[0].name, "layers.0");
    ck_assert_str_eq(got->layer[1].name, "layers.2");
    ck_assert_uint_eq(got->layer[1].first_column, first);
    ck_assert_uint_eq(got->columns, first + last);
    ck_assert_uint_eq(got->checkpoints, 1);
    ck_assert_uint_eq(got->checkpoint[0].step, info->checkpoint[1].step);
    float *a = read_rows(all, 1), *b = read_rows(some, 0);
    for (uint64_t i = 0; i < 400; i++) {
        const float *full = a + i * info->parameters, *part = b + i * (first + last);
        ck_assert_mem_eq(full, part, first * sizeof *a);
        ck_assert_mem_eq(full + info->layer[2].first_column, part + first, last * sizeof *a);
    }
    free(a);
    free(b);
    tamis_store_close(&all);
    tamis_store_close(&some);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

static void refuse(const tamis_model *model, const tamis_data *data, tamis_gradient_params params,
                   tamis_status wanted, const char *text)
{
    tamis_error err = {0};
    ck_fails(tamis_gradients(model, context, data, &params, &err), wanted, text);
    ck_assert(!exists("g.h5") && !exists("g.h5.part"));
}

START_TEST(test_refusals)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(20, 5, 3, 9), *narrow = fixture_data(20, 4, 3, 9);
    tamis_gradient_params good = {.path = "g.h5"}, p;
    refuse(model, narrow, good, TAMIS_ERR_SHAPE, "4 columns, the model takes 5");
    p = good, p.layers = "layers.3",
    refuse(model, data, p, TAMIS_ERR_ARG, "layers.0, layers.1, layers.2");
    p = good, p.checkpoints = "2", refuse(model, data, p, TAMIS_ERR_ARG, "there are 2");
    p = good, p.path = NULL, refuse(model, data, p, TAMIS_ERR_ARG, "path");
    p = good, p.path = "no/such/place.h5", refuse(model, data, p, TAMIS_ERR_IO, "no/such/place.h5");
    data->label[7] = 3;
    refuse(model, data, good, TAMIS_ERR_SHAPE, "row 7 has label 3");
    data->label[7] = -1;
    refuse(model, data, good, TAMIS_ERR_SHAPE, "row 7 has label -1");
    data->label[7] = 1;
    int32_t *label = data->label;
    data->label = NULL;
    refuse(model, data, good, TAMIS_ERR_FORMAT, "no labels");
    data->label = label;
    ck_ok(tamis_gradients(model, context, data, &good, &err));
    ck_fails(tamis_gradients(model, context, data, &good, &err), TAMIS_ERR_IO, "g.h5");
    fixture_data_free(data);
    fixture_data_free(narrow);
    tamis_model_free(&model);
}
END_TEST

/* --- failing memory and disks ----------------------------------------------------------------- */

START_TEST(test_failures)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[0]);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params params = {.path = "g.h5", .dtype = TAMIS_I8, .layers = "1-2"};
    long n = 0;
    for (; n < 10000; n++) {
        err = (tamis_error){0};
        if (_i)
            tamis__fault_io_after(n);
        else
            tamis__fault_memory_after(n);
        tamis_status status = tamis_gradients(model, context, data, &params, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        /* Memory that runs out inside HDF5 comes back as a file that cannot be written. */
        ck_assert_msg(status == TAMIS_ERR_IO || (!_i && status == TAMIS_ERR_NOMEM),
                      "failure %ld: %s: %s", n, tamis_status_name(status), err.message);
        ck_assert_str_ne(err.message, "");
        ck_assert_msg(!exists("g.h5") && !exists("g.h5.part"),
                      "a file is left after failure %ld: %s", n, err.message);
    }
    ck_assert_int_gt(n, 3);
    ck_assert_int_lt(n, 10000);
    ck_assert(exists("g.h5"));
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grad");
    TCase *tc = tcase_create("grad");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_rows_against_differences, 0, (int)(sizeof specs / sizeof *specs));
    tcase_add_loop_test(tc, test_example_columns, 0, 2);
    tcase_add_test(tc, test_reference_scores);
    tcase_add_loop_test(tc, test_types, 0, 3);
    tcase_add_test(tc, test_overflow);
    tcase_add_loop_test(tc, test_same_bytes_any_threads, 0, 2);
    tcase_add_test(tc, test_same_bytes_any_memory);
    tcase_add_test(tc, test_resume);
    tcase_add_test(tc, test_stopped_at_once);
    tcase_add_test(tc, test_layers_and_checkpoints);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_failures, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
