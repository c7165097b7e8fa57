/* The proximal Bregman response: against the reference's numbers, against its closed form, which is
 * the influence function by the exact Gauss-Newton matrix, and against itself.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>
#include <tamis/pbrf.h>

#include "../model/fixture.h"
#include "base/mem.h"

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

/* --- the reference ---------------------------------------------------------------------------- */

static const double reference_damping[3] = {9.661401258623533e-04, 7.55619848617101e-04,
                                            2.114137266817251e-03};

typedef struct reference_case {
    tamis_model *model;
    tamis_data *train, *query;
    uint64_t row[150];
    tamis_pbrf_params params;
} reference_case;

static void reference_open(reference_case *c, const char *model)
{
    tamis_error err = {0};
    tamis__npy npy;
    *c = (reference_case){0};
    ck_ok(tamis_model_load(&c->model, context, test_data(model), NULL, &err));
    c->train = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    c->query = fixture_reference_data(context, "X_test.npy", "y_test.npy");
    ck_ok(tamis__npy_open(&npy, context, test_data("reference/pbrf/train_idx.npy"), &err));
    ck_assert_uint_eq(npy.rows, 150);
    for (uint64_t i = 0; i < 150; i++) {
        int64_t row = 0;
        ck_ok(tamis__npy_integer(&npy, i, &row, "train_idx.npy", &err));
        c->row[i] = (uint64_t)row;
    }
    tamis__npy_close(&npy);
    c->params = (tamis_pbrf_params){.model = c->model,
                                    .checkpoint = UINT32_MAX,
                                    .train = c->train,
                                    .query = c->query,
                                    .row = c->row,
                                    .rows = 150,
                                    .layer_damping = reference_damping};
}

static void reference_close(reference_case *c)
{
    fixture_data_free(c->train);
    fixture_data_free(c->query);
    tamis_model_free(&c->model);
}

/* A file of scores [train, query] from a matrix [query, train]; *ret_scores is the caller's. */
static void import_scores(const char *path, const double *value, uint64_t queries, uint64_t rows,
                          tamis_scores **ret_scores)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    float *score = calloc(rows * queries, sizeof *score);
    for (uint64_t i = 0; i < rows * queries; i++)
        score[i] = (float)value[i % queries * rows + i / queries];
    const tamis_scores_spec spec = {.path = path, .rows = rows, .queries = queries, .force = true};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, rows, 0, queries, score, queries, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
    ck_ok(tamis_scores_open(ret_scores, context, path, &err));
    free(score);
}

/* The level that EK-FAC reaches is the paper's claim, the gradient product's is what it beats. */
static void check_correlations(const tamis_pbrf *pbrf)
{
    static const struct {
        const char *name;
        double pearson, spearman;
    } wanted[] = {
        {"ekfac/pairwise_ekfac_sampled_damp0.1mean.npy", 0.4429365883773256, 0.32358636383839284},
        {"ekfac/pairwise_identity.npy", 0.06565819698180798, 0.043591626294501966},
    };
    tamis_error err = {0};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char name[128];
        tamis__npy npy;
        tamis_scores *scores = NULL;
        tamis_loo loo = {0};
        const tamis_bootstrap bootstrap = {.draws = 20, .seed = 1};
        snprintf(name, sizeof name, "reference/%s", wanted[i].name);
        ck_ok(tamis__npy_open(&npy, context, test_data(name), &err));
        import_scores("scores.h5", npy.data, 50, 1200, &scores);
        ck_ok(tamis_evaluate_pbrf(&loo, context, scores, pbrf, &bootstrap, &err));
        ck_assert_double_eq_tol(loo.pearson.value, wanted[i].pearson, 1e-6);
        ck_assert_double_eq_tol(loo.spearman.value, wanted[i].spearman, 1e-4);
        ck_assert_double_lt(loo.pearson.low, loo.pearson.value);
        ck_assert_double_gt(loo.pearson.high, loo.pearson.value);
        tamis_loo_free(&loo);
        tamis_scores_close(&scores);
        tamis__npy_close(&npy);
    }
}

/* Both sides stop at a gradient below 1e-12, which leaves 1e-7 of the largest response open. */
START_TEST(test_reference)
{
    static const struct {
        const char *model;
        double tolerance;
    } cases[] = {{"reference/ekfac/model_f64.safetensors", 5e-7},
                 {"reference/ekfac/model_f32.safetensors", 5e-6}};
    tamis_error err = {0};
    tamis_pbrf pbrf = {0};
    tamis__npy wanted;
    reference_case c;
    reference_open(&c, cases[_i].model);
    ck_ok(tamis__npy_open(&wanted, context, test_data("reference/pbrf/dloss_deps.npy"), &err));
    ck_assert_uint_eq(wanted.rows, 50);
    ck_assert_uint_eq(wanted.cols, 150);
    ck_ok(tamis_pbrf_compute(&pbrf, context, &c.params, &err));
    const double *value = wanted.data;
    double top = 0, worst = 0;
    for (uint64_t q = 0; q < 50; q++)
        for (uint64_t i = 0; i < 150; i++) {
            top = fmax(top, fabs(value[q * 150 + i]));
            worst = fmax(worst, fabs(value[q * 150 + i] - pbrf.response[i * 50 + q]));
        }
    ck_assert_double_lt(worst, cases[_i].tolerance * top);
    for (uint32_t l = 0; l < 3; l++) ck_assert(pbrf.damping[l] == reference_damping[l]);
    if (_i == 0) check_correlations(&pbrf);
    tamis_pbrf_free(&pbrf);
    tamis__npy_close(&wanted);
    reference_close(&c);
}
END_TEST

/* --- closed form ------------------------------------------------------------------------------ */

static const fixture_spec specs[] = {
    {.layers = 3,
     .width = {4, 5, 3, 3},
     .activation = TAMIS_TANH,
     .checkpoints = 2,
     .standardise = true,
     .seed = 31},
    {.layers = 2,
     .width = {4, 5, 3},
     .activation = TAMIS_GELU,
     .checkpoints = 1,
     .no_bias = 1,
     .seed = 5},
    {.layers = 2, .width = {4, 6, 4}, .activation = TAMIS_RELU, .checkpoints = 1, .seed = 8},
    {.layers = 1, .width = {4, 3}, .checkpoints = 1, .seed = 8},
};

enum { MOST = 100 };

/* Gradient of a row's loss, times `factor`. */
static void plain_gradient(const tamis_model_info *info, double *const *weight, const float *x,
                           int32_t label, double *ret_gradient)
{
    reference r = {0};
    reference_forward(&r, info, weight, x, label);
    reference_backward(&r, info, weight, label);
    for (uint32_t l = 0; l < info->layers; l++)
        for (uint64_t i = 0, in = info->layer[l].in + info->layer[l].bias;
             i < tamis_layer_columns(&info->layer[l]); i++)
            ret_gradient[info->layer[l].first_column + i] = r.delta[l][i / in] * r.input[l][i % in];
}

/* x = A^-1 b by elimination with pivots; A and b are lost. */
static void eliminate(double (*a)[MOST], double *b, uint64_t n)
{
    for (uint64_t k = 0; k < n; k++) {
        uint64_t pivot = k;
        for (uint64_t i = k + 1; i < n; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k])) pivot = i;
        for (uint64_t j = 0; j < n; j++) {
            double swap = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = swap;
        }
        double swap = b[k];
        b[k] = b[pivot];
        b[pivot] = swap;
        for (uint64_t i = 0; i < n; i++) {
            double factor = i == k ? 0.0 : a[i][k] / a[k][k];
            for (uint64_t j = k; j < n && i != k; j++) a[i][j] -= factor * a[k][j];
            b[i] -= factor * b[k];
        }
    }
    for (uint64_t k = 0; k < n; k++) b[k] /= a[k][k];
}

/* The mean of the rows' Gauss-Newton matrices, from every class's gradient. */
static void plain_matrix(const tamis_model_info *info, double *const *weight,
                         const tamis_data *data, double (*ret_matrix)[MOST])
{
    double gradient[MOST];
    uint64_t n = info->parameters;
    memset(ret_matrix, 0, MOST * sizeof *ret_matrix);
    for (uint64_t row = 0; row < data->rows; row++)
        for (int32_t c = 0; c < (int32_t)info->classes; c++) {
            reference r = {0};
            const float *x = data->x + row * data->columns;
            reference_forward(&r, info, weight, x, c);
            plain_gradient(info, weight, x, c, gradient);
            for (uint64_t i = 0; i < n; i++)
                for (uint64_t j = 0; j < n; j++)
                    ret_matrix[i][j] += r.probability[c] * gradient[i] * gradient[j] /
                                        (double)data->rows;
        }
}

START_TEST(test_closed_form)
{
    tamis_error err = {0};
    tamis_model *model = fixture_model(&specs[_i]);
    const tamis_model_info *info = tamis_model_info_get(model);
    uint64_t n = info->parameters, row[5] = {299, 3, 17, 256, 255};
    ck_assert_uint_le(n, MOST);
    tamis_data *train = fixture_data(300, 4, info->classes, 9),
               *query = fixture_data(7, 4, info->classes, 10);
    tamis_pbrf_params params = {.model = model,
                                .train = train,
                                .query = query,
                                .row = row,
                                .rows = 5,
                                .damping = 0.2,
                                .epsilon = 1e-6};
    tamis_pbrf pbrf = {0};
    ck_ok(tamis_pbrf_compute(&pbrf, context, &params, &err));
    ck_assert_uint_eq(pbrf.rows, 5);
    ck_assert_uint_eq(pbrf.queries, 7);
    ck_assert_uint_eq(pbrf.train_rows, 300);
    double **weight = reference_weights(model, 0);
    double(*matrix)[MOST] = calloc(MOST, sizeof *matrix),
    (*work)[MOST] = calloc(MOST, sizeof *work);
    plain_matrix(info, weight, train, matrix);
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t first = info->layer[l].first_column,
                 columns = tamis_layer_columns(&info->layer[l]);
        double trace = 0;
        for (uint64_t i = first; i < first + columns; i++) trace += matrix[i][i];
        ck_assert_double_eq_tol(pbrf.damping[l] / (0.2 * trace / (double)columns), 1.0, 1e-12);
        for (uint64_t i = first; i < first + columns; i++) matrix[i][i] += pbrf.damping[l];
    }
    for (int i = 0; i < 5; i++) {
        double step[MOST], gradient[MOST], top = 0;
        plain_gradient(info, weight, train->x + row[i] * 4, train->label[row[i]], step);
        memcpy(work, matrix, MOST * sizeof *work);
        eliminate(work, step, n);
        double wanted[7];
        for (int q = 0; q < 7; q++) {
            plain_gradient(info, weight, query->x + q * 4, query->label[q], gradient);
            wanted[q] = 0;
            for (uint64_t j = 0; j < n; j++) wanted[q] -= gradient[j] * step[j];
            top = fmax(top, fabs(wanted[q]));
        }
        for (int q = 0; q < 7; q++)
            ck_assert_double_eq_tol(pbrf.response[i * 7 + q] / top, wanted[q] / top, 1e-5);
    }
    reference_weights_free(weight, info->layers);
    free(matrix);
    free(work);
    tamis_pbrf_free(&pbrf);
    fixture_data_free(train);
    fixture_data_free(query);
    tamis_model_free(&model);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    int *left = cookie;
    (void)done, (void)total, (void)unit, (void)note;
    return strcmp(phase, "responses") == 0 && --*left == 0;
}

typedef struct small_case {
    tamis_model *model;
    tamis_data *train, *query;
    uint64_t row[9];
    tamis_pbrf_params params;
} small_case;

static void small_open(small_case *c)
{
    *c = (small_case){.model = fixture_model(&specs[0]), .row = {5, 1, 2, 8, 200, 40, 41, 42, 43}};
    c->train = fixture_data(300, 4, 3, 9);
    c->query = fixture_data(7, 4, 3, 10);
    c->params = (tamis_pbrf_params){.model = c->model,
                                    .checkpoint = 1,
                                    .train = c->train,
                                    .query = c->query,
                                    .row = c->row,
                                    .rows = 9};
}

static void small_close(small_case *c)
{
    fixture_data_free(c->train);
    fixture_data_free(c->query);
    tamis_model_free(&c->model);
}

/* Steps for some rows and not for others: those are left out, and the others are what they are
 * among all. */
START_TEST(test_some_do_not_converge)
{
    tamis_error err = {0};
    small_case c;
    tamis_pbrf whole = {0}, some = {0};
    small_open(&c);
    c.params.epsilon = 1e-3;
    ck_ok(tamis_pbrf_compute(&whole, context, &c.params, &err));
    ck_assert_uint_eq(whole.unsolved, 0);
    for (c.params.steps = 1; some.unsolved == 0; c.params.steps++) {
        ck_assert_uint_lt(c.params.steps, 100);
        tamis_status status = tamis_pbrf_compute(&some, context, &c.params, &err);
        ck_assert(status == TAMIS_OK || status == TAMIS_ERR_NUMERIC);
        if (status == TAMIS_OK) ck_assert_msg(some.unsolved, "no step at which some rows are done");
    }
    ck_assert_uint_gt(some.rows, 0);
    ck_assert_uint_eq(some.rows + some.unsolved, whole.rows);
    for (uint64_t i = 0, j = 0; i < some.rows; i++, j++) {
        while (whole.row[j] != some.row[i]) ck_assert_uint_lt(++j, whole.rows);
        ck_assert_mem_eq(some.response + i * 7, whole.response + j * 7, 7 * sizeof(double));
    }
    tamis_pbrf_free(&some);
    tamis_pbrf_free(&whole);
    small_close(&c);
}
END_TEST

/* At any number of threads; alone or among others; stopped anywhere and gone on with. */
START_TEST(test_same_bits)
{
    tamis_error err = {0};
    small_case c;
    small_open(&c);
    tamis_pbrf whole = {0};
    ck_ok(tamis_pbrf_compute(&whole, context, &c.params, &err));
    size_t bytes = 9 * 7 * sizeof(double);
    for (unsigned threads = 1; threads < 8; threads += 3) {
        tamis_pbrf pbrf = {0};
        tamis_context *with = fixture_context(threads);
        ck_ok(tamis_pbrf_compute(&pbrf, with, &c.params, &err));
        ck_assert_mem_eq(pbrf.response, whole.response, bytes);
        ck_assert_uint_eq(pbrf.steps, whole.steps);
        tamis_pbrf_free(&pbrf);
        tamis_context_destroy(&with);
    }
    c.params.runs = "file.runs";
    for (int after = 1; after < 9; after += 3) {
        tamis_context *with = NULL;
        tamis_pbrf pbrf = {0};
        int left = after;
        ck_ok(tamis_context_create(
            &with, &(tamis_context_params){.threads = 2, .progress = stop, .cookie = &left}, &err));
        ck_fails(tamis_pbrf_compute(&pbrf, with, &c.params, &err), TAMIS_ERR_CANCELLED,
                 "responses");
        left = -1;
        ck_ok(tamis_pbrf_compute(&pbrf, with, &c.params, &err));
        ck_assert_mem_eq(pbrf.response, whole.response, bytes);
        ck_assert_uint_ge(pbrf.reused, (uint64_t)after);
        ck_assert_uint_lt(pbrf.reused, 9);
        tamis_pbrf_free(&pbrf);
        /* Other rows of the same problem take theirs from the file. */
        uint64_t kept = c.row[0];
        c.row[0] = 77;
        ck_ok(tamis_pbrf_compute(&pbrf, with, &c.params, &err));
        ck_assert_uint_eq(pbrf.reused, 8);
        ck_assert_mem_eq(pbrf.response + 7, whole.response + 7, bytes - 7 * sizeof(double));
        ck_assert(memcmp(pbrf.response, whole.response, 7 * sizeof(double)) != 0);
        tamis_pbrf_free(&pbrf);
        c.row[0] = kept;
        if (remove("file.runs")) ck_abort_msg("remove");
        tamis_context_destroy(&with);
    }
    tamis_pbrf_free(&whole);
    small_close(&c);
}
END_TEST

/* A file of another problem is refused, whatever the difference. */
START_TEST(test_other_problem)
{
    tamis_error err = {0};
    small_case c;
    small_open(&c);
    tamis_pbrf pbrf = {0};
    c.params.runs = "file.runs";
    ck_ok(tamis_pbrf_compute(&pbrf, context, &c.params, &err));
    tamis_pbrf_free(&pbrf);
    double damping[3] = {1, 1, 1};
    tamis_pbrf_params good = c.params;
    for (int i = 0; i < 7; i++) {
        c.params = good;
        if (i == 0) c.params.damping = 0.2;
        if (i == 1) c.params.epsilon = 1e-5;
        if (i == 2) c.params.checkpoint = 0;
        if (i == 3) c.params.layer_damping = damping;
        if (i == 4) c.train->x[17] += 1.0f;
        if (i == 5) c.query->label[2] = (c.query->label[2] + 1) % 3;
        if (i == 6) c.params.tolerance = 1e-11;
        ck_fails(tamis_pbrf_compute(&pbrf, context, &c.params, &err), TAMIS_ERR_SHAPE, "file.runs");
        if (i == 4) c.train->x[17] -= 1.0f;
        if (i == 5) c.query->label[2] = (c.query->label[2] + 2) % 3;
    }
    c.params = good;
    c.params.damping = 0.1; /* what 0 stands for */
    ck_ok(tamis_pbrf_compute(&pbrf, context, &c.params, &err));
    ck_assert_uint_eq(pbrf.reused, 9);
    ck_assert_uint_eq(pbrf.steps, 0);
    tamis_pbrf_free(&pbrf);
    small_close(&c);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static void refuse(tamis_context *with, tamis_pbrf_params params, tamis_status wanted,
                   const char *text)
{
    tamis_error err = {0};
    tamis_pbrf pbrf = {0};
    ck_fails(tamis_pbrf_compute(&pbrf, with, &params, &err), wanted, text);
    ck_assert_ptr_null(pbrf.response);
}

START_TEST(test_refusals)
{
    tamis_error err = {0};
    small_case c;
    small_open(&c);
    tamis_pbrf_params p;
    double damping[3] = {1, 0, 1};
    p = c.params, p.rows = 0, refuse(context, p, TAMIS_ERR_ARG, "no training rows");
    p = c.params, p.checkpoint = 2, refuse(context, p, TAMIS_ERR_ARG, "no checkpoint 2");
    p = c.params, p.epsilon = -1, refuse(context, p, TAMIS_ERR_ARG, "epsilon -1");
    p = c.params, p.damping = (double)NAN, refuse(context, p, TAMIS_ERR_ARG, "damping nan");
    p = c.params, p.layer_damping = damping,
    refuse(context, p, TAMIS_ERR_ARG, "damping 0 of layers.1");
    c.row[3] = 300,
    refuse(context, c.params, TAMIS_ERR_ARG, "no training row 300: rows are 0 to 299");
    c.row[3] = 2, refuse(context, c.params, TAMIS_ERR_ARG, "training row 2 is named twice");
    c.row[3] = 8;
    int32_t *label = c.query->label;
    c.query->label = NULL, refuse(context, c.params, TAMIS_ERR_FORMAT, "query data");
    c.query->label = label;
    /* An epsilon that throws the solution far off does not converge in so few steps. */
    p = c.params, p.epsilon = 30.0, p.steps = 2;
    refuse(context, p, TAMIS_ERR_NUMERIC,
           "row 5 of the training data: not converged: after 2 steps");
    /* Nothing of the first layer reaches the loss. */
    for (uint64_t i = 0; i < tamis_layer_columns(&tamis_model_info_get(c.model)->layer[1]); i++)
        c.model->file.weight[4][i] = 0.0f;
    refuse(context, c.params, TAMIS_ERR_NUMERIC, "layers.0 has no curvature");
    small_close(&c);

    const fixture_spec wide = {.layers = 1, .width = {64, 60}, .checkpoints = 1};
    tamis_model *model = fixture_model(&wide);
    tamis_data *data = fixture_data(100, 64, 60, 1);
    tamis_context *little = NULL;
    ck_ok(tamis_context_create(&little, &(tamis_context_params){.threads = 1, .memory = 64 << 20},
                               &err));
    uint64_t row = 0;
    /* 3,900 parameters: 3,900^2 doubles are 117 MiB. */
    refuse(
        little,
        (tamis_pbrf_params){.model = model, .train = data, .query = data, .row = &row, .rows = 1},
        TAMIS_ERR_NOMEM, "the Gauss-Newton matrix of a model of 3900 parameters");
    tamis_context_destroy(&little);
    fixture_data_free(data);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_compare)
{
    tamis_error err = {0};
    small_case c;
    small_open(&c);
    tamis_pbrf pbrf = {0};
    tamis_scores *scores = NULL;
    tamis_loo loo = {0};
    const tamis_bootstrap none = {0};
    double *value = calloc(7 * 300, sizeof *value);
    ck_ok(tamis_pbrf_compute(&pbrf, context, &c.params, &err));
    /* Minus the responses themselves, and other scores for rows that were not up-weighted. */
    for (uint64_t i = 0; i < 7 * 300; i++) value[i] = (double)(i % 13);
    for (uint64_t i = 0; i < 9; i++)
        for (uint64_t q = 0; q < 7; q++) value[q * 300 + c.row[i]] = -pbrf.response[i * 7 + q];
    import_scores("scores.h5", value, 7, 300, &scores);
    ck_ok(tamis_evaluate_pbrf(&loo, context, scores, &pbrf, &none, &err));
    ck_assert_double_eq_tol(loo.pearson.value, 1.0, 1e-9);
    ck_assert_double_eq_tol(loo.spearman.value, 1.0, 1e-12);
    tamis_loo_free(&loo);
    pbrf.train_rows = 299;
    ck_fails(tamis_evaluate_pbrf(&loo, context, scores, &pbrf, &none, &err), TAMIS_ERR_SHAPE,
             "scores of 300 rows");
    pbrf.train_rows = 300;
    pbrf.queries = 6;
    ck_fails(tamis_evaluate_pbrf(&loo, context, scores, &pbrf, &none, &err), TAMIS_ERR_SHAPE,
             "scores of 7 queries");
    pbrf.queries = 7;
    tamis_scores_close(&scores);
    tamis_pbrf_free(&pbrf);
    free(value);
    small_close(&c);
}
END_TEST

START_TEST(test_failures)
{
    tamis_error err = {0};
    small_case c;
    small_open(&c);
    c.params.rows = 2;
    c.params.runs = "file.runs";
    long n = 0;
    for (; n < 1000; n++) {
        tamis_pbrf pbrf = {0};
        struct stat st;
        err = (tamis_error){0};
        (void)remove("file.runs");
        if (_i)
            tamis__fault_io_after(n);
        else
            tamis__fault_memory_after(n);
        tamis_status status = tamis_pbrf_compute(&pbrf, context, &c.params, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        tamis_pbrf_free(&pbrf);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, _i ? TAMIS_ERR_IO : TAMIS_ERR_NOMEM);
        ck_assert_str_ne(err.message, "");
        ck_assert(_i || lstat("file.runs", &st) != 0); /* no run, no file */
    }
    ck_assert_int_gt(n, 2);
    ck_assert_int_lt(n, 1000);
    small_close(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pbrf");
    TCase *tc = tcase_create("pbrf");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_reference, 0, 2);
    tcase_add_loop_test(tc, test_closed_form, 0, (int)(sizeof specs / sizeof *specs));
    tcase_add_test(tc, test_some_do_not_converge);
    tcase_add_test(tc, test_same_bits);
    tcase_add_test(tc, test_other_problem);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_compare);
    tcase_add_loop_test(tc, test_failures, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
