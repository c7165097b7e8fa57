/* Covariances, eigenvalues and mean Lambda of the digits model against the reference numbers, from
 * inputs and output gradients in double, and from a store of floats.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "pseudo.h"

#include "curvature/fit.h"

enum { ROWS = 1200, LAYER_N = 3, WIDEST = 65 };

static const tamis_layer digits[LAYER_N] = {{.name = "layers.0", .out = 32, .in = 64, .bias = 1},
                                            {.name = "layers.1", .out = 32, .in = 32, .bias = 1},
                                            {.name = "layers.2", .out = 10, .in = 32, .bias = 1}};

/* mean(Lambda) of damping.json, by layer: sampled and empirical. */
static const double mean_lambda[2][LAYER_N] = {
    {0.009661401258623532, 0.00755619848617101, 0.02114137266817251},
    {0.0035203349027387834, 0.002574615254027484, 0.0068751014099446535}};

/* --- files ------------------------------------------------------------------------------------ */

/* The bytes of an array, after its header. Freed with free(*ret_file). */
static const void *npy(const char *name, char **ret_file)
{
    char path[128];
    size_t size;
    uint16_t header;
    snprintf(path, sizeof path, "reference/ekfac/%s.npy", name);
    *ret_file = file_bytes(test_data(path), &size);
    memcpy(&header, *ret_file + 8, 2);
    ck_assert_uint_gt(size, header + 10u);
    return *ret_file + 10 + header;
}

/* A tensor of the model in double. */
static void tensor(const char *name, double *out, uint64_t n)
{
    size_t size;
    uint64_t header, first;
    char *file = file_bytes(test_data("reference/ekfac/model_f64.safetensors"), &size);
    memcpy(&header, file, 8);
    char *text = strndup(file + 8, header);
    char *at = strstr(text, name);
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "data_offsets");
    ck_assert_ptr_nonnull(at);
    first = strtoull(strchr(at, '[') + 1, NULL, 10);
    memcpy(out, file + 8 + header + first, n * sizeof *out);
    free(text);
    free(file);
}

/* --- the model -------------------------------------------------------------------------------- */

typedef struct network {
    double weight[LAYER_N][32 * 64], bias[LAYER_N][32];
    double *input[LAYER_N];  /* [ROWS, in + 1] */
    double *output[LAYER_N]; /* [ROWS, out] */
} network;

static void forward(network *m, uint64_t row, const float *x)
{
    for (int l = 0; l < LAYER_N; l++) {
        uint64_t in = digits[l].in, out = digits[l].out;
        double *a = m->input[l] + row * (in + 1);
        for (uint64_t i = 0; i < in && l == 0; i++) a[i] = (double)x[i];
        a[in] = 1.0;
        for (uint64_t o = 0; o < out; o++) {
            double sum = m->bias[l][o];
            for (uint64_t i = 0; i < in; i++) sum += m->weight[l][o * in + i] * a[i];
            if (l + 1 < LAYER_N)
                m->input[l + 1][row * (digits[l + 1].in + 1) + o] = sum > 0 ? sum : 0;
            else
                m->output[l][row * out + o] = sum;
        }
    }
}

static void backward(network *m, uint64_t row, int label)
{
    double *logit = m->output[2] + row * 10, sum = 0, most = logit[0];
    for (int c = 1; c < 10; c++) most = fmax(most, logit[c]);
    for (int c = 0; c < 10; c++) sum += logit[c] = exp(logit[c] - most);
    for (int c = 0; c < 10; c++) logit[c] = logit[c] / sum - (c == label ? 1.0 : 0.0);
    for (int l = LAYER_N - 1; l > 0; l--) {
        uint64_t in = digits[l].in;
        for (uint64_t i = 0; i < in; i++) {
            double back = 0;
            for (uint64_t o = 0; o < digits[l].out; o++)
                back += m->weight[l][o * in + i] * m->output[l][row * digits[l].out + o];
            bool alive = m->input[l][row * (in + 1) + i] > 0;
            m->output[l - 1][row * in + i] = alive ? back : 0;
        }
    }
}

static network *run_network(const char *labels)
{
    network *m = calloc(1, sizeof *m);
    char name[64], *x_file, *y_file;
    const float *x = npy("X_train", &x_file);
    const int32_t *y = npy(labels, &y_file);
    for (int l = 0; l < LAYER_N; l++) {
        snprintf(name, sizeof name, "\"layers.%d.weight\"", l);
        tensor(name, m->weight[l], digits[l].out * digits[l].in);
        snprintf(name, sizeof name, "\"layers.%d.bias\"", l);
        tensor(name, m->bias[l], digits[l].out);
        m->input[l] = calloc(ROWS * (digits[l].in + 1), sizeof(double));
        m->output[l] = calloc(ROWS * digits[l].out, sizeof(double));
    }
    for (uint64_t r = 0; r < ROWS; r++) {
        forward(m, r, x + r * 64);
        backward(m, r, y[r]);
    }
    free(x_file);
    free(y_file);
    return m;
}

static void free_network(network *m)
{
    for (int l = 0; l < LAYER_N; l++) {
        free(m->input[l]);
        free(m->output[l]);
    }
    free(m);
}

static tamis_status read_network(void *arg, uint32_t layer, uint64_t first, uint64_t tokens,
                                 double *input, double *output, unsigned worker, tamis_error *e)
{
    (void)worker, (void)e;
    const network *m = arg;
    uint64_t in = digits[layer].in + 1, out = digits[layer].out;
    memcpy(input, m->input[layer] + first * in, tokens * in * sizeof *input);
    memcpy(output, m->output[layer] + first * out, tokens * out * sizeof *output);
    return TAMIS_OK;
}

/* --- in double -------------------------------------------------------------------------------- */

static tamis__pass pass_of(tamis_context *context, const tamis__tokens *tokens, tamis__kronecker *f)
{
    return (tamis__pass){.context = context,
                         .tokens = tokens,
                         .factors = f,
                         .n = LAYER_N,
                         .buffers = 1 << 20,
                         .phase = "testing"};
}

static void check_sum(const double *sum, uint64_t n, const char *what, int l, const char *labels)
{
    char name[64], *file;
    snprintf(name, sizeof name, "%s%d%s", what, l, labels);
    const double *want = npy(name, &file);
    double got[WIDEST * WIDEST];
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < n; j++) got[i * n + j] = sum[j > i ? j * n + i : i * n + j] / ROWS;
    close_values(got, want, n * n, 1e-12);
    free(file);
}

static void check_values(const double *got, uint64_t n, const char *what, int l, const char *labels,
                         double share)
{
    char name[64], *file;
    snprintf(name, sizeof name, "%s%d%s", what, l, labels);
    close_values(got, npy(name, &file), n, share);
    free(file);
}

static double mean_of(const double *lambda, uint64_t n, double divisor)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += lambda[i];
    return sum / (double)n / divisor;
}

/* Labels drawn from the model, or the true ones (the empirical Fisher). */
START_TEST(test_double)
{
    bool empirical = _i == 1;
    network *cov = run_network(empirical ? "y_train" : "y_sampled_cov"),
            *lambda = run_network(empirical ? "y_train" : "y_sampled_lambda");
    uint64_t offset[ROWS + 1];
    for (uint64_t i = 0; i <= ROWS; i++) offset[i] = i;
    tamis__tokens tokens = {
        .rows = ROWS, .rows_per_example = 1, .offset = offset, .arg = cov, .read = read_network};
    tamis_context *context = make_context(2, 0);
    tamis__kronecker f[LAYER_N];
    for (uint32_t l = 0; l < LAYER_N; l++)
        ck_ok(tamis__kronecker_init(&f[l], &digits[l], l, true, true, 0, &err));
    tamis__pass pass = pass_of(context, &tokens, f);
    ck_ok(tamis__pass_covariance(&pass, &err));
    for (int l = 0; l < LAYER_N; l++) {
        check_sum(f[l].input.vectors[0], f[l].input.n, "A", l, "");
        check_sum(f[l].output.vectors[0], f[l].output.n, "S", l,
                  empirical ? "_empirical" : "_sampled");
    }
    ck_ok(tamis__kronecker_eigen(context, f, LAYER_N, ROWS, 1 << 20, &err));
    tokens.arg = lambda;
    ck_ok(tamis__pass_lambda(&pass, &err));
    for (int l = 0; l < LAYER_N; l++) {
        double mean = mean_of(f[l].lambda, tamis_layer_columns(&digits[l]), ROWS),
               want = mean_lambda[empirical][l];
        ck_assert_double_eq_tol(mean, want, 1e-12 * want);
        check_values(f[l].input.values, f[l].input.n, "evalA", l, "", 1e-12);
        if (!empirical)
            check_values(f[l].output.values, f[l].output.n, "evalS", l, "_sampled", 1e-12);
    }
    /* Four pixels are never there: A has rank 61 of 65, and that harms nothing. */
    unsigned rank = 0;
    for (int i = 0; i < 65; i++) rank += f[0].input.values[i] > 1e-12;
    ck_assert_uint_eq(rank, 61);
    for (uint32_t l = 0; l < LAYER_N; l++) tamis__kronecker_fini(&f[l]);
    tamis_context_destroy(&context);
    free_network(cov);
    free_network(lambda);
}
END_TEST

/* --- from a store ----------------------------------------------------------------------------- */

static tamis_store *write_network(tamis_context *context, const network *m, const char *path)
{
    static const tamis_checkpoint checkpoint = {.step = 0, .learning_rate = 1};
    const tamis_store_spec spec = {.path = path,
                                   .rows = ROWS,
                                   .layer = digits,
                                   .layers = LAYER_N,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .form = TAMIS_FORM_FACTORS,
                                   .labels = "sampled"};
    tamis_store_writer *w = NULL;
    tamis_store *store = NULL;
    ck_ok(tamis_store_writer_open(&w, context, &spec, &err));
    for (uint64_t r = 0; r < ROWS; r++) {
        float input[65 + 33 + 33], output[32 + 32 + 10], *a = input, *d = output;
        const float *in = input, *out = output;
        const uint64_t offset[2] = {0, 1};
        for (int l = 0; l < LAYER_N; l++) {
            uint64_t width = digits[l].in + 1, outs = digits[l].out;
            for (uint64_t i = 0; i < width; i++) *a++ = (float)m->input[l][r * width + i];
            for (uint64_t o = 0; o < outs; o++) *d++ = (float)m->output[l][r * outs + o];
        }
        ck_ok(tamis_store_writer_append_factors(w, 1, offset, &in, &out, NULL, NULL, NULL, NULL,
                                                &err));
    }
    ck_ok(tamis_store_writer_commit(&w, &err));
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

START_TEST(test_store)
{
    enter_scratch();
    network *cov = run_network("y_sampled_cov"), *lambda = run_network("y_sampled_lambda");
    tamis_context *context = make_context(2, 0);
    tamis_store *first = write_network(context, cov, "cov.h5"),
                *second = write_network(context, lambda, "lambda.h5");
    const tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_EKFAC,
                                               .train = first,
                                               .lambda = second,
                                               .until = TAMIS_STAGE_FINAL,
                                               .path = "out.h5"};
    tamis_curvature *c = NULL;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_ok(tamis_curvature_open(&c, context, "out.h5", &err));
    for (int l = 0; l < LAYER_N; l++) {
        double *got = read_array(c, TAMIS__LAMBDA, (uint32_t)l, 0), want = mean_lambda[0][l];
        double mean = mean_of(got, tamis_layer_columns(&digits[l]), 1);
        ck_assert_double_eq_tol(mean, want, 1e-6 * want);
        free(got);
        got = read_array(c, TAMIS__INPUT_VALUES, (uint32_t)l, 0);
        check_values(got, digits[l].in + 1, "evalA", l, "", 1e-6);
        free(got);
        got = read_array(c, TAMIS__OUTPUT_VALUES, (uint32_t)l, 0);
        check_values(got, digits[l].out, "evalS", l, "_sampled", 1e-6);
        free(got);
    }
    tamis_curvature_close(&c);
    tamis_store_close(&first);
    tamis_store_close(&second);
    tamis_context_destroy(&context);
    free_network(cov);
    free_network(lambda);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature reference");
    TCase *tc = tcase_create("reference");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_double, 0, 2);
    tcase_add_test(tc, test_store);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
