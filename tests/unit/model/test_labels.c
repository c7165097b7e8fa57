/* Gradients of labels that are not the data's: drawn, expected and given ones.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <gsl/gsl_cdf.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "stores.h"

static const fixture_spec spec = {.layers = 3,
                                  .width = {5, 7, 4, 3},
                                  .activation = TAMIS_TANH,
                                  .checkpoints = 2,
                                  .standardise = true,
                                  .seed = 31};

/* Delta of the last layer, which is its bias column: negative at the label alone. */
static void last_delta(const tamis_model_info *info, const float *row, double *delta)
{
    const tamis_layer *layer = &info->layer[info->layers - 1];
    for (uint64_t c = 0; c < layer->out; c++)
        delta[c] = (double)row[layer->first_column + c * (layer->in + 1) + layer->in];
}

/* Labels that the rows of a checkpoint are gradients of; freed with free(). */
static int32_t *read_labels(const tamis_model_info *info, const tamis_store *store,
                            uint32_t checkpoint)
{
    uint64_t rows = tamis_store_info_get(store)->rows;
    float *gradient = read_rows(store, checkpoint);
    int32_t *label = calloc(rows, sizeof *label);
    for (uint64_t i = 0; i < rows; i++) {
        double delta[MAX_WIDTH];
        int negative = 0;
        last_delta(info, gradient + i * info->parameters, delta);
        for (uint32_t c = 0; c < info->classes; c++)
            if (delta[c] < 0) {
                label[i] = (int32_t)c;
                negative++;
            }
        ck_assert_int_eq(negative, 1);
    }
    free(gradient);
    return label;
}

/* --- drawn ------------------------------------------------------------------------------------ */

/* One input many times over: the labels are so many draws from its softmax. Fewer than one of 10^4
 * seeds fails by chance at each of the two ends. */
START_TEST(test_frequencies)
{
    enum { ROWS = 30000 };
    tamis_model *model = fixture_model(&spec);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(ROWS, 5, 3, 9);
    for (uint64_t i = 5; i < ROWS * 5; i++) data->x[i] = data->x[i - 5];
    tamis_gradient_params params = {
        .path = "g.h5", .labels = TAMIS_LABELS_SAMPLED, .label_seed = (uint64_t)_i};
    write_store(model, context, data, params);
    tamis_store *store = open_store("g.h5");
    for (uint32_t k = 0; k < 2; k++) {
        int32_t *label = read_labels(info, store, k);
        double **weight = reference_weights(model, k), chi = 0;
        double count[3] = {0};
        reference r = {0};
        reference_forward(&r, info, weight, data->x, 0);
        for (uint64_t i = 0; i < ROWS; i++) count[label[i]]++;
        for (int c = 0; c < 3; c++) {
            double wanted = ROWS * r.probability[c];
            ck_assert_double_gt(wanted, 100);
            chi += (count[c] - wanted) * (count[c] - wanted) / wanted;
        }
        ck_assert_double_gt(gsl_cdf_chisq_Q(chi, 2), 1e-4);
        ck_assert_double_gt(gsl_cdf_chisq_P(chi, 2), 1e-4);
        reference_weights_free(weight, info->layers);
        free(label);
    }
    tamis_store_close(&store);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Gradients are those of the drawn labels, bit for bit; the label column and what is said of the
 * store are as documented; other seeds draw other labels; data without labels do. */
START_TEST(test_sampled_are_given)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&spec);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(700, 5, 3, 9);
    tamis_gradient_params params = {
        .path = "s.h5", .labels = TAMIS_LABELS_SAMPLED, .label_seed = 17, .checkpoints = "1"};
    write_store(model, context, data, params);
    tamis_store *sampled = open_store("s.h5");
    const tamis_store_info *said = tamis_store_info_get(sampled);
    int32_t *label = read_labels(info, sampled, 0), *other;
    ck_assert_str_eq(said->labels, "sampled");
    ck_assert_uint_eq(said->label_seed, 17);
    ck_assert_uint_eq(said->rows_per_example, 1);
    ck_assert_mem_eq(tamis_store_examples(sampled)->label, data->label, 700 * sizeof *label);
    ck_assert(memcmp(label, data->label, 700 * sizeof *label) != 0);

    tamis_gradient_params given = {
        .path = "g.h5", .labels = TAMIS_LABELS_GIVEN, .given_labels = label, .checkpoints = "1"};
    write_store(model, context, data, given);
    ck_assert_uint_eq(digest_of("g.h5"), said->digest);
    tamis_store *store = open_store("g.h5");
    ck_assert_mem_eq(tamis_store_examples(store)->label, data->label, 700 * sizeof *label);
    float *a = NULL, *b = NULL;
    ck_ok(tamis_store_outputs(sampled, 0, "loss", &a, &err));
    ck_ok(tamis_store_outputs(store, 0, "loss", &b, &err));
    ck_assert_mem_eq(a, b, 700 * sizeof *a);
    free(a);
    free(b);
    tamis_store_close(&store);

    int32_t *kept = data->label;
    data->label = NULL;
    params.path = "unlabelled.h5";
    write_store(model, context, data, params);
    ck_assert_uint_eq(digest_of("unlabelled.h5"), said->digest);
    store = open_store("unlabelled.h5");
    ck_assert_ptr_null(tamis_store_examples(store)->label);
    tamis_store_close(&store);
    data->label = kept;

    params.path = "other.h5";
    params.label_seed = 18;
    write_store(model, context, data, params);
    store = open_store("other.h5");
    other = read_labels(info, store, 0);
    ck_assert(memcmp(label, other, 700 * sizeof *label) != 0);
    tamis_store_close(&store);
    tamis_store_close(&sampled);
    free(label);
    free(other);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* The number that a row draws is its own at every checkpoint: where two are the same model, so are
 * their labels, and where they differ some labels do. */
START_TEST(test_checkpoints)
{
    tamis_model *model = fixture_model(&spec);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(700, 5, 3, 9);
    for (int same = 0; same < 2; same++) {
        for (uint32_t l = 0; same && l < 3; l++)
            memcpy(model->file.weight[3 + l], model->file.weight[l],
                   tamis_layer_columns(&info->layer[l]) * sizeof(float));
        write_store(
            model, context, data,
            (tamis_gradient_params){.path = "g.h5", .labels = TAMIS_LABELS_SAMPLED, .force = true});
        tamis_store *store = open_store("g.h5");
        int32_t *first = read_labels(info, store, 0), *second = read_labels(info, store, 1);
        ck_assert((memcmp(first, second, 700 * sizeof *first) == 0) == (same == 1));
        tamis_store_close(&store);
        free(first);
        free(second);
    }
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- expected --------------------------------------------------------------------------------- */

/* Rows are roots of probabilities times gradients by the reference; so the sum of their outer
 * products is the Fisher matrix, and their sum weighted by the roots again is 0. */
START_TEST(test_expected)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&spec);
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    uint64_t n = info->parameters;
    write_store(model, context, data,
                (tamis_gradient_params){.path = "g.h5", .labels = TAMIS_LABELS_EXPECTED});
    tamis_store *store = open_store("g.h5");
    const tamis_store_info *said = tamis_store_info_get(store);
    ck_assert_uint_eq(said->rows, 900);
    ck_assert_str_eq(said->labels, "expected");
    ck_assert_uint_eq(said->rows_per_example, 3);
    double *fisher = calloc(n * n, sizeof *fisher), *wanted = calloc(n * n, sizeof *wanted);
    for (uint32_t k = 0; k < 2; k++) {
        float *rows = read_rows(store, k), *loss = NULL, *probability = NULL;
        const float *norm = NULL;
        ck_ok(tamis_store_outputs(store, k, "loss", &loss, &err));
        ck_ok(tamis_store_outputs(store, k, "probability", &probability, &err));
        ck_ok(tamis_store_norms(store, k, &norm, &err));
        double **weight = reference_weights(model, k);
        for (uint64_t i = 0; i < 300; i++) {
            double sum[200] = {0};
            ck_assert_uint_le(n, 200);
            for (int32_t c = 0; c < 3; c++) {
                reference r = {0};
                double gradient[200], squares = 0;
                const float *row = rows + (i * 3 + (uint64_t)c) * n;
                reference_forward(&r, info, weight, data->x + i * 5, c);
                reference_backward(&r, info, weight, c);
                for (uint32_t l = 0; l < info->layers; l++)
                    for (uint64_t at = 0, in = info->layer[l].in + 1;
                         at < tamis_layer_columns(&info->layer[l]); at++)
                        gradient[info->layer[l].first_column + at] = r.delta[l][at / in] *
                                                                     r.input[l][at % in];
                double root = sqrt(r.probability[c]);
                for (uint64_t j = 0; j < n; j++) {
                    ck_assert_double_eq_tol((double)row[j], root * gradient[j], 2e-6);
                    sum[j] += root * (double)row[j];
                    squares += (double)row[j] * (double)row[j];
                }
                for (uint64_t a = 0; a < n * n; a++) {
                    fisher[a] += (double)row[a / n] * (double)row[a % n];
                    wanted[a] += r.probability[c] * gradient[a / n] * gradient[a % n];
                }
                ck_assert_double_eq_tol((double)norm[i * 3 + (uint64_t)c], sqrt(squares), 1e-6);
                ck_assert_double_eq_tol((double)loss[i * 3 + (uint64_t)c], r.loss, 1e-5);
                ck_assert_double_eq_tol((double)probability[(i * 3 + (uint64_t)c) * 3 + 1],
                                        r.probability[1], 1e-6);
            }
            for (uint64_t j = 0; j < n; j++) ck_assert_double_eq_tol(sum[j], 0.0, 2e-6);
        }
        double top = 0;
        for (uint64_t a = 0; a < n * n; a++) top = fmax(top, fabs(wanted[a]));
        for (uint64_t a = 0; a < n * n; a++)
            ck_assert_double_eq_tol(fisher[a] / top, wanted[a] / top, 1e-6);
        reference_weights_free(weight, info->layers);
        free(rows);
        free(loss);
        free(probability);
    }
    free(fisher);
    free(wanted);
    tamis_store_close(&store);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* Every row has the columns of its example, and an id that tells its class. */
START_TEST(test_expected_columns)
{
    tamis_model *model = fixture_model(&spec);
    tamis_data *data = fixture_data(500, 5, 3, 9);
    char **text = calloc(500, sizeof *text);
    if (_i == 1) data->id_number = calloc(500, sizeof *data->id_number);
    if (_i == 2) data->id_text = text;
    data->digest = calloc(500, sizeof *data->digest);
    data->group = calloc(500, sizeof *data->group);
    data->group_name = (char *[]){"even", "odd"};
    data->groups = 2;
    for (uint64_t i = 0; i < 500; i++) {
        text[i] = calloc(32, 1);
        snprintf(text[i], 32, "%.*s-%d", (int)(i % 17), "a-name-of-a-record", (int)i);
        if (_i == 1) data->id_number[i] = 9000 + i;
        data->digest[i] = 7 * i + 1;
        data->group[i] = (int32_t)(i % 2);
    }
    write_store(model, context, data,
                (tamis_gradient_params){.path = "g.h5", .labels = TAMIS_LABELS_EXPECTED});
    tamis_store *store = open_store("g.h5");
    const tamis_examples *examples = tamis_store_examples(store);
    for (uint64_t i = 0; i < 1500; i++) {
        char id[64], wanted[64];
        tamis_store_id(store, i, id, sizeof id);
        if (_i == 2)
            snprintf(wanted, sizeof wanted, "%s/%d", text[i / 3], (int)(i % 3));
        else
            snprintf(wanted, sizeof wanted, "%d/%d", (int)(i / 3) + (_i ? 9000 : 0), (int)(i % 3));
        ck_assert_str_eq(id, wanted);
        ck_assert_uint_eq(examples->digest[i], data->digest[i / 3]);
        ck_assert_int_eq(examples->label[i], data->label[i / 3]);
        ck_assert_int_eq(examples->group[i], data->group[i / 3]);
    }
    ck_assert_str_eq(examples->group_name[1], "odd");
    tamis_store_close(&store);
    for (uint64_t i = 0; i < 500; i++) free(text[i]);
    free(text);
    data->group_name = NULL;
    data->id_text = NULL;
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

/* --- given ------------------------------------------------------------------------------------ */

/* S of the reference: second moments of the deltas of the labels it was made with, which are the
 * bias columns of the rows. */
START_TEST(test_reference_covariance)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    ck_ok(tamis_model_load(&model, context, test_data("reference/ekfac/model_f32.safetensors"),
                           NULL, &err));
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data *data = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    int32_t *label = NULL;
    ck_ok(tamis_labels_read(context, test_data("reference/ekfac/y_sampled_cov.npy"), 1200, "X", 10,
                            &label, &err));
    write_store(model, context, data,
                (tamis_gradient_params){
                    .path = "g.h5", .labels = TAMIS_LABELS_GIVEN, .given_labels = label});
    tamis_store *store = open_store("g.h5");
    float *rows = read_rows(store, 0);
    for (uint32_t l = 0; l < 3; l++) {
        uint64_t out = info->layer[l].out, in = info->layer[l].in + 1;
        char name[64];
        tamis__npy npy;
        snprintf(name, sizeof name, "reference/ekfac/S%u_sampled.npy", l);
        ck_ok(tamis__npy_open(&npy, context, test_data(name), &err));
        ck_assert_uint_eq(npy.rows, out);
        const double *wanted = npy.data;
        double top = 0, worst = 0;
        for (uint64_t a = 0; a < out * out; a++) {
            double sum = 0;
            for (uint64_t i = 0; i < 1200; i++) {
                const float *row = rows + i * info->parameters + info->layer[l].first_column;
                sum += (double)row[a / out * in + in - 1] * (double)row[a % out * in + in - 1];
            }
            top = fmax(top, fabs(wanted[a]));
            worst = fmax(worst, fabs(sum / 1200 - wanted[a]));
        }
        ck_assert_double_lt(worst, 1e-6 * top);
        tamis__npy_close(&npy);
    }
    free(rows);
    free(label);
    tamis_store_close(&store);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_read_labels)
{
    tamis_error err = {0};
    int32_t *label = NULL;
    char path[1100];
    snprintf(path, sizeof path, "%s", test_data("reference/ekfac/y_test.npy"));
    ck_ok(tamis_labels_read(context, path, 50, "X.npy", 10, &label, &err));
    tamis_data *data = fixture_reference_data(context, "X_test.npy", "y_test.npy");
    ck_assert_mem_eq(label, data->label, 50 * sizeof *label);
    free(label);
    fixture_data_free(data);
    ck_fails(tamis_labels_read(context, path, 49, "X.npy", 10, &label, &err), TAMIS_ERR_SHAPE,
             "has 50 labels, 'X.npy' has 49 rows");
    ck_fails(tamis_labels_read(context, path, 50, "X.npy", 9, &label, &err), TAMIS_ERR_SHAPE,
             "label 9: the model has classes 0 to 8");
    ck_assert_ptr_nonnull(strstr(err.message, "element "));
    ck_fails(tamis_labels_read(context, "none.npy", 50, "X.npy", 9, &label, &err), TAMIS_ERR_IO,
             "none.npy");
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 100);
        tamis__fault_memory_after(n);
        tamis_status status = tamis_labels_read(context, path, 50, "X.npy", 10, &label, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    }
    free(label);
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

/* At any number of threads, memory, in shards, and after stopping anywhere. */
START_TEST(test_same_rows)
{
    tamis_error err = {0};
    static const struct {
        tamis_labels labels;
        uint64_t rows;
        uint64_t width[3];
    } cases[] = {
        {TAMIS_LABELS_SAMPLED, 1100, {64, 40, 3}},
        {TAMIS_LABELS_EXPECTED, 500, {64, 40, 3}}, /* a group of 768 rows, blocks of 256 */
        {TAMIS_LABELS_EXPECTED, 900, {6, 3, 7}},   /* a block of all rows */
    };
    const fixture_spec wide = {
        .layers = 2,
        .width = {cases[_i].width[0], cases[_i].width[1], cases[_i].width[2]},
        .activation = TAMIS_TANH,
        .checkpoints = 2,
        .seed = 6};
    tamis_model *model = fixture_model(&wide);
    tamis_data *data = fixture_data(cases[_i].rows, wide.width[0], (uint32_t)wide.width[2], 3);
    tamis_gradient_params params = {.path = "one.h5", .labels = cases[_i].labels, .label_seed = 5};
    tamis_context *with = fixture_context(1);
    write_store(model, with, data, params);
    tamis_context_destroy(&with);
    uint64_t digest = digest_of("one.h5");
    for (unsigned threads = 2; threads < 8; threads += 3) {
        ck_ok(tamis_context_create(
            &with, &(tamis_context_params){.threads = threads, .memory = 40 << 20}, &err));
        params.path = "many.h5";
        params.force = true;
        write_store(model, with, data, params);
        ck_assert_uint_eq(digest_of("many.h5"), digest);
        tamis_context_destroy(&with);
    }
    params = (tamis_gradient_params){.path = "shards",
                                     .labels = cases[_i].labels,
                                     .label_seed = 5,
                                     .shard_rows = 300,
                                     .resume = true};
    for (int blocks = 1; blocks < 4; blocks++) {
        int left = blocks;
        if (system("rm -rf shards")) ck_abort_msg("rm");
        ck_ok(tamis_context_create(
            &with, &(tamis_context_params){.threads = 3, .progress = stop, .cookie = &left}, &err));
        tamis_status status = tamis_gradients(model, with, data, &params, &err);
        ck_assert(status == TAMIS_ERR_CANCELLED || (status == TAMIS_OK && left > 0));
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

static void refuse(const tamis_model *model, const tamis_data *data, tamis_gradient_params params,
                   tamis_status wanted, const char *text)
{
    tamis_error err = {0};
    struct stat st;
    params.path = "g.h5";
    ck_fails(tamis_gradients(model, context, data, &params, &err), wanted, text);
    ck_assert(lstat("g.h5", &st) != 0 && lstat("g.h5.part", &st) != 0);
}

START_TEST(test_refusals)
{
    fixture_spec relu = spec;
    relu.activation = TAMIS_RELU;
    tamis_model *model = fixture_model(&relu);
    tamis_data *data = fixture_data(20, 5, 3, 9);
    int32_t label[20] = {0};
    refuse(
        model, data,
        (tamis_gradient_params){.labels = TAMIS_LABELS_SAMPLED, .function = TAMIS_FUNCTION_MARGIN},
        TAMIS_ERR_ARG, "labels that are sampled make the Fisher matrix of the loss");
    refuse(
        model, data,
        (tamis_gradient_params){.labels = TAMIS_LABELS_EXPECTED, .direction = TAMIS_DIRECTION_SIGN},
        TAMIS_ERR_ARG, "leave the direction at gradient");
    refuse(model, data, (tamis_gradient_params){.labels = TAMIS_LABELS_GIVEN}, TAMIS_ERR_ARG,
           "no labels are given");
    refuse(model, data,
           (tamis_gradient_params){.labels = TAMIS_LABELS_SAMPLED, .given_labels = label},
           TAMIS_ERR_ARG, "labels are given, but those that are sampled are chosen");
    refuse(model, data, (tamis_gradient_params){.labels = (tamis_labels)4}, TAMIS_ERR_ARG,
           "no such labels");
    label[13] = 3;
    refuse(model, data,
           (tamis_gradient_params){.labels = TAMIS_LABELS_GIVEN, .given_labels = label},
           TAMIS_ERR_SHAPE, "row 13 is given label 3: the model has classes 0 to 2");
    label[13] = -1;
    refuse(model, data,
           (tamis_gradient_params){.labels = TAMIS_LABELS_GIVEN, .given_labels = label},
           TAMIS_ERR_SHAPE, "row 13 is given label -1");
    data->label[4] = 7; /* labels that are there must be classes all the same */
    refuse(model, data, (tamis_gradient_params){.labels = TAMIS_LABELS_SAMPLED}, TAMIS_ERR_SHAPE,
           "row 4 has label 7");
    data->label[4] = 1;
    /* The row of the store is told, and the id of the example. */
    data->id_number = calloc(20, sizeof *data->id_number);
    data->id_number[6] = 4711;
    data->x[6 * 5] = data->x[6 * 5 + 1] = 3e38f;
    for (int i = 0; i < 42; i++) model->file.weight[0][i] *= 1e3f;
    refuse(model, data, (tamis_gradient_params){.labels = TAMIS_LABELS_EXPECTED}, TAMIS_ERR_NUMERIC,
           "row 18 (id 4711)");
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_failures)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&spec);
    tamis_data *data = fixture_data(300, 5, 3, 9);
    tamis_gradient_params params = {
        .path = "g.h5", .labels = _i < 2 ? TAMIS_LABELS_SAMPLED : TAMIS_LABELS_EXPECTED};
    long n = 0;
    for (; n < 10000; n++) {
        struct stat st;
        err = (tamis_error){0};
        if (_i % 2)
            tamis__fault_io_after(n);
        else
            tamis__fault_memory_after(n);
        tamis_status status = tamis_gradients(model, context, data, &params, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_msg(status == TAMIS_ERR_IO || (_i % 2 == 0 && status == TAMIS_ERR_NOMEM),
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
    Suite *suite = suite_create("labels");
    TCase *tc = tcase_create("labels");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_frequencies, 0, 3);
    tcase_add_test(tc, test_sampled_are_given);
    tcase_add_test(tc, test_checkpoints);
    tcase_add_test(tc, test_expected);
    tcase_add_loop_test(tc, test_expected_columns, 0, 3);
    tcase_add_test(tc, test_reference_covariance);
    tcase_add_test(tc, test_read_labels);
    tcase_add_loop_test(tc, test_same_rows, 0, 3);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_failures, 0, 4);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
