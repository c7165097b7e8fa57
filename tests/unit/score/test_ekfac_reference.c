/* ekfac, kfac, diagonal and self against the reference's scores; parts, traps and invariants on
 * them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "digits.h"

enum { PAIRS = DIGITS * DIGIT_QUERIES };

static digits d;
static tamis_store *train, *query, *train_factors, *query_factors;

static void open_all(void)
{
    enter_scratch();
    digits_open(&d, false);
    write_sampled(&d);
    train = gradients(&d, "X_train.npy", "y_train.npy", TAMIS_F32, "t.h5");
    query = gradients(&d, "X_test.npy", "y_test.npy", TAMIS_F32, "q.h5");
    train_factors = factor_store(&d, "X_train.npy", "y_train.npy", 1, "tf.h5");
    query_factors = factor_store(&d, "X_test.npy", "y_test.npy", 1, "qf.h5");
}

static void close_all(void)
{
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_store_close(&train_factors);
    tamis_store_close(&query_factors);
    digits_close(&d);
    leave_scratch();
}

static double against(const double *got, const char *name, uint64_t n)
{
    char path[200];
    snprintf(path, sizeof path, "ekfac/%s", name);
    double *want = load_npy(&d, path, n), worst = distance(got, want, n);
    free(want);
    return worst;
}

/* --- all variants ----------------------------------------------------------------------------- */

static const struct {
    const char *scorer, *file, *cov, *lam; /* labels; NULL = expected */
    tamis_curvature_kind kind;
    double tolerance;
} variants[] = {
    {"ekfac", "pairwise_ekfac_sampled_damp0.1mean", "y_sampled_cov.npy", "y_sampled_lambda.npy",
     TAMIS_CURVATURE_EKFAC, 1e-5},
    {"ekfac:damping=1e-3,damping-unit=absolute", "pairwise_ekfac_sampled_damp1e-3",
     "y_sampled_cov.npy", "y_sampled_lambda.npy", TAMIS_CURVATURE_EKFAC, 1e-5},
    {"ekfac:damping=1e-8,damping-unit=absolute", "pairwise_ekfac_sampled_damp1e-8",
     "y_sampled_cov.npy", "y_sampled_lambda.npy", TAMIS_CURVATURE_EKFAC, 2e-4},
    {"ekfac:query-rank=4", "pairwise_ekfac_sampled_damp0.1mean_queryrank4", "y_sampled_cov.npy",
     "y_sampled_lambda.npy", TAMIS_CURVATURE_EKFAC, 1e-5 + 1e-7},
    {"kfac", "pairwise_kfac_sampled_damp0.1mean", "y_sampled_cov.npy", "y_sampled_lambda.npy",
     TAMIS_CURVATURE_EKFAC, 1e-5 + 1e-7},
    {"ekfac", "pairwise_ekfac_empirical_damp0.1mean", "y_train.npy", "y_train.npy",
     TAMIS_CURVATURE_EKFAC, 1e-5},
    {"ekfac", "pairwise_ekfac_expected_damp0.1mean", NULL, NULL, TAMIS_CURVATURE_EKFAC,
     1e-5 + 1e-7},
    {"diagonal", "pairwise_diagonal_sampled_damp0.1mean", "y_sampled_cov.npy",
     "y_sampled_lambda.npy", TAMIS_CURVATURE_DIAGONAL, 1e-5 + 1e-7},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

START_TEST(test_variants)
{
    factors cov, lam;
    digit_curvature c;
    bool diagonal = variants[_i].kind == TAMIS_CURVATURE_DIAGONAL;
    factors_of(&d, &cov, "X_train.npy", variants[_i].cov);
    factors_of(&d, &lam, "X_train.npy", variants[_i].lam);
    curvature_of(&c, &cov, &lam, diagonal);
    curvature_write(&d, &c, variants[_i].kind, "c.h5");
    tamis_curvature *curvature = open_curvature(&d, "c.h5");
    for (int form = 0; form < 3; form++) {
        tamis_store *t = form == 2 ? train_factors : train, *q = form ? query_factors : query;
        tamis_score_params params = score_params(variants[_i].scorer, t, q, curvature);
        double *got = scores_of(&d, &params, DIGIT_QUERIES);
        double worst = against(got, variants[_i].file, PAIRS);
        ck_assert_msg(worst < variants[_i].tolerance, "%s, form %d: %g", variants[_i].file, form,
                      worst);
        free(got);
    }
    tamis_curvature_close(&curvature);
    factors_free(&cov), factors_free(&lam), curvature_free(&c);
}
END_TEST

START_TEST(test_self)
{
    tamis_curvature *curvature = open_curvature(&d, "sampled.h5");
    for (int form = 0; form < 2; form++) {
        tamis_score_params params = score_params("self", form ? train_factors : train, NULL,
                                                 curvature);
        double *got = scores_of(&d, &params, 1);
        ck_assert_double_lt(against(got, "self_ekfac_sampled_damp0.1mean", DIGITS), 1e-5);
        for (int i = 0; i < DIGITS; i++) ck_assert_double_ge(got[i], 0.0);
        free(got);
    }
    tamis_curvature_close(&curvature);
}
END_TEST

/* From `fit`: factor stores of both passes' pseudo-gradients, no plain loops. */
START_TEST(test_fitted)
{
    tamis_store *cov = factor_store(&d, "X_train.npy", "y_sampled_cov.npy", 1, "cov.h5"),
                *lam = factor_store(&d, "X_train.npy", "y_sampled_lambda.npy", 1, "lam.h5");
    tamis_fit_curvature_params fit = {.kind = TAMIS_CURVATURE_EKFAC,
                                      .train = cov,
                                      .lambda = lam,
                                      .until = TAMIS_STAGE_FINAL,
                                      .checkpoint = UINT32_MAX,
                                      .path = "fitted.h5"};
    ck_ok(tamis_fit_curvature(d.context, &fit, &err));
    tamis_curvature *curvature = open_curvature(&d, "fitted.h5");
    for (int i = 0; i < 5; i++) { /* the variants of sampled labels */
        for (int form = 0; form < 2; form++) {
            tamis_score_params params = score_params(variants[i].scorer,
                                                     form ? train_factors : train,
                                                     form ? query_factors : query, curvature);
            double *got = scores_of(&d, &params, DIGIT_QUERIES);
            double worst = against(got, variants[i].file, PAIRS);
            ck_assert_msg(worst < variants[i].tolerance, "%s, form %d: %g", variants[i].file, form,
                          worst);
            free(got);
        }
    }
    tamis_curvature_close(&curvature);
    tamis_store_close(&cov);
    tamis_store_close(&lam);
}
END_TEST

/* --- parts ------------------------------------------------------------------------------------ */

START_TEST(test_layers)
{
    tamis_curvature *curvature = open_curvature(&d, "sampled.h5");
    tamis_score_params params = score_params("ekfac", train, query, curvature);
    double *whole = scores_of(&d, &params, DIGIT_QUERIES);
    for (int form = 0; form < 3; form++) {
        params.train = form == 2 ? train_factors : train;
        params.query = form ? query_factors : query;
        params.by = TAMIS_BY_LAYER;
        double *parts = scores_of(&d, &params, DIGIT_QUERIES * 3);
        double *one = calloc(PAIRS, sizeof *one), *sum = calloc(PAIRS, sizeof *sum);
        for (int l = 0; l < 3; l++) {
            char name[100];
            for (int q = 0; q < DIGIT_QUERIES; q++)
                memcpy(one + q * DIGITS, parts + (q * 3 + l) * DIGITS, DIGITS * sizeof *one);
            for (int i = 0; i < PAIRS; i++) sum[i] += one[i];
            snprintf(name, sizeof name, "pairwise_ekfac_sampled_damp0.1mean_layer%d", l);
            ck_assert_double_lt(against(one, name, PAIRS), 1e-5 + 1e-7);
        }
        ck_assert_double_lt(distance(sum, whole, PAIRS), 1e-6);
        free(parts), free(one), free(sum);
    }
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, d.context, "s.h5", &err));
    ck_assert_str_eq(tamis_scores_info_get(scores)->query.id_text[4], "1:layers.1");
    tamis_scores_close(&scores);
    tamis_curvature_close(&curvature);
    free(whole);
}
END_TEST

/* --- the path in double ----------------------------------------------------------------------- */

/* Scores in double through lib/curvature, from a curvature file and factors of the f64 model. */
static double *scores_in_double(const tamis__spectra *spectra, const factors *t, const factors *q)
{
    double *scores = calloc(PAIRS, sizeof *scores), *v = calloc(4096, sizeof *v),
           *z = calloc(4096, sizeof *z), *scratch = calloc(4096, sizeof *scratch);
    for (int l = 0; l < 3; l++) {
        const tamis__spectrum *s = &spectra->layer[l];
        for (uint64_t i = 0; i < q->rows; i++) {
            for (uint64_t o = 0; o < s->out; o++)
                for (uint64_t j = 0; j < s->in; j++)
                    v[o * s->in + j] = q->d[l][i * s->out + o] * q->a[l][i * s->in + j];
            tamis__basis_rotate_both(&s->output, &s->input, false, v, scratch, z);
            for (uint64_t k = 0; k < s->out * s->in; k++) z[k] *= s->inverse[k];
            tamis__basis_rotate_both(&s->output, &s->input, true, z, scratch, v);
            for (uint64_t r = 0; r < t->rows; r++)
                for (uint64_t o = 0; o < s->out; o++) {
                    double sum = 0;
                    for (uint64_t j = 0; j < s->in; j++)
                        sum += v[o * s->in + j] * t->a[l][r * s->in + j];
                    scores[i * t->rows + r] += sum * t->d[l][r * s->out + o];
                }
        }
    }
    free(v), free(z), free(scratch);
    return scores;
}

static const struct {
    const char *file;
    tamis__damping damping;
    double tolerance;
} in_double[] = {
    {"pairwise_ekfac_sampled_damp0.1mean", {0.1, true}, 1e-10},
    {"pairwise_ekfac_sampled_damp1e-3", {1e-3, false}, 1e-10},
    {"pairwise_ekfac_sampled_damp1e-8", {1e-8, false}, 1e-9},
};

START_TEST(test_double)
{
    factors cov, lam, t, q;
    digit_curvature c;
    digits exact;
    digits_open(&exact, true);
    factors_of(&exact, &cov, "X_train.npy", "y_sampled_cov.npy");
    factors_of(&exact, &lam, "X_train.npy", "y_sampled_lambda.npy");
    factors_of(&exact, &t, "X_train.npy", "y_train.npy");
    factors_of(&exact, &q, "X_test.npy", "y_test.npy");
    curvature_of(&c, &cov, &lam, false);
    curvature_write(&exact, &c, TAMIS_CURVATURE_EKFAC, "exact.h5");
    tamis_curvature *curvature = open_curvature(&exact, "exact.h5");
    for (int i = 0; i < 3; i++) {
        tamis__spectra spectra = {0};
        ck_ok(tamis__spectra_load(&spectra, exact.context, curvature, TAMIS_CURVATURE_EKFAC,
                                  in_double[i].damping, &err));
        tamis__blas_begin();
        double *got = scores_in_double(&spectra, &t, &q);
        tamis__blas_end();
        double worst = against(got, in_double[i].file, PAIRS);
        ck_assert_msg(worst < in_double[i].tolerance, "%s: %g", in_double[i].file, worst);
        tamis__spectra_fini(&spectra);
        free(got);
    }
    tamis_curvature_close(&curvature);
    factors_free(&cov), factors_free(&lam), factors_free(&t), factors_free(&q);
    curvature_free(&c);
    digits_close(&exact);
}
END_TEST

/* --- traps and invariants --------------------------------------------------------------------- */

static double *scores_with(const digit_curvature *c, const char *scorer)
{
    curvature_write(&d, c, TAMIS_CURVATURE_EKFAC, "changed.h5");
    tamis_curvature *curvature = open_curvature(&d, "changed.h5");
    tamis_score_params params = score_params(scorer, train, query, curvature);
    double *got = scores_of(&d, &params, DIGIT_QUERIES);
    tamis_curvature_close(&curvature);
    return got;
}

static void sampled(digit_curvature *c)
{
    factors cov, lam;
    factors_of(&d, &cov, "X_train.npy", "y_sampled_cov.npy");
    factors_of(&d, &lam, "X_train.npy", "y_sampled_lambda.npy");
    curvature_of(c, &cov, &lam, false);
    factors_free(&cov), factors_free(&lam);
}

static void transpose(double *q, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < i; j++) {
            double x = q[i * n + j];
            q[i * n + j] = q[j * n + i];
            q[j * n + i] = x;
        }
}

/* The first trap: equations 20 and 21 of the paper have eigenvectors in rows where those of
 * equation
 * 18 are columns. Scores with every Q transposed are those of that reading, and are far off; so a
 * change of what is transposed here does not pass the reference above. */
START_TEST(test_eigenvectors_in_rows)
{
    digit_curvature c;
    sampled(&c);
    double *right = scores_with(&c, "ekfac");
    for (int l = 0; l < 3; l++) transpose(c.qa[l], digit_in[l]), transpose(c.qs[l], digit_out[l]);
    double *wrong = scores_with(&c, "ekfac");
    ck_assert_double_lt(against(right, "pairwise_ekfac_sampled_damp0.1mean", PAIRS), 1e-5);
    ck_assert_double_gt(against(wrong, "pairwise_ekfac_sampled_damp0.1mean", PAIRS), 0.05);
    free(right), free(wrong), curvature_free(&c);
}
END_TEST

/* The second trap: the bias is the last column of a block, not a vector after the weights. A store
 * whose rows have it that way scores far off. */
START_TEST(test_bias_behind_weights)
{
    tamis_curvature *curvature = open_curvature(&d, "sampled.h5");
    float *rows = calloc(DIGITS * DIGIT_COLUMNS, sizeof *rows),
          *turned = calloc(DIGITS * DIGIT_COLUMNS, sizeof *turned);
    ck_ok(tamis_store_read(train, 0, 0, DIGITS, 0, DIGIT_COLUMNS, rows, DIGIT_COLUMNS, &err));
    for (uint64_t r = 0; r < DIGITS; r++)
        for (uint64_t l = 0, at = r * DIGIT_COLUMNS; l < 3; at += digit_out[l] * digit_in[l], l++)
            for (uint64_t o = 0, in = digit_in[l], out = digit_out[l]; o < out; o++) {
                memcpy(turned + at + o * (in - 1), rows + at + o * in, (in - 1) * sizeof *rows);
                turned[at + out * (in - 1) + o] = rows[at + o * in + in - 1];
            }
    tamis_store_spec spec = {.path = "turned.h5",
                             .rows = DIGITS,
                             .layer = d.info->layer,
                             .layers = 3,
                             .checkpoint = tamis_store_info_get(train)->checkpoint,
                             .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    const float *const gradient[1] = {turned};
    ck_ok(tamis_store_writer_open(&writer, d.context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, DIGITS, gradient, &(tamis_examples){0}, NULL, NULL,
                                    NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, d.context, "turned.h5", &err));
    tamis_score_params params = score_params("ekfac", store, query, curvature);
    double *got = scores_of(&d, &params, DIGIT_QUERIES);
    ck_assert_double_gt(against(got, "pairwise_ekfac_sampled_damp0.1mean", PAIRS), 0.05);
    free(got), free(rows), free(turned);
    tamis_store_close(&store);
    tamis_curvature_close(&curvature);
}
END_TEST

static void flip(double *vectors, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 3)
        for (uint64_t j = 0; j < n; j++) vectors[i * n + j] = -vectors[i * n + j];
}

START_TEST(test_signs)
{
    digit_curvature c;
    sampled(&c);
    double *before = scores_with(&c, "ekfac");
    for (int l = 0; l < 3; l++) flip(c.qa[l], digit_in[l]), flip(c.qs[l], digit_out[l]);
    double *after = scores_with(&c, "ekfac");
    ck_assert_double_lt(distance(after, before, PAIRS), 1e-6);
    free(before), free(after), curvature_free(&c);
}
END_TEST

/* Four inputs of the first layer are always 0: its A has rank 61 of 65, and the first four
 * eigenvectors are any basis of what is left. */
START_TEST(test_null_space)
{
    factors lam;
    digit_curvature c;
    sampled(&c);
    ck_assert_double_lt(fabs(c.va[0][3]), 1e-12);
    ck_assert_double_gt(c.va[0][4], 1e-9);
    double *before = scores_with(&c, "ekfac");
    for (int i = 0; i < 4; i++)
        for (int k = i + 1; k < 4; k++) {
            double cosine = cos(1.0 + i + k), sine = sin(1.0 + i + k);
            for (uint64_t j = 0; j < 65; j++) {
                double x = c.qa[0][i * 65 + j], y = c.qa[0][k * 65 + j];
                c.qa[0][i * 65 + j] = cosine * x - sine * y;
                c.qa[0][k * 65 + j] = sine * x + cosine * y;
            }
        }
    factors_of(&d, &lam, "X_train.npy", "y_sampled_lambda.npy");
    free(c.lambda[0]);
    c.lambda[0] = lambda_of(&lam, 0, &c, false);
    double *after = scores_with(&c, "ekfac");
    ck_assert_double_lt(distance(after, before, PAIRS), 1e-6);
    factors_free(&lam);
    free(before), free(after), curvature_free(&c);
}
END_TEST

/* A store of that checkpoint alone meets one of several. */
START_TEST(test_checkpoints)
{
    factors q;
    digit_curvature c;
    sampled(&c);
    factors_of(&d, &q, "X_test.npy", "y_test.npy");
    tamis_checkpoint checkpoint[2] = {{.step = 1, .learning_rate = 1},
                                      {.step = 2, .learning_rate = 1}};
    float *input = calloc(DIGIT_QUERIES * 131, sizeof *input),
          *output = calloc(DIGIT_QUERIES * 74, sizeof *output),
          *zero = calloc(DIGIT_QUERIES * 131, sizeof *zero);
    uint64_t offset[DIGIT_QUERIES + 1];
    for (uint64_t r = 0; r <= DIGIT_QUERIES; r++) offset[r] = r;
    for (uint64_t r = 0; r < DIGIT_QUERIES; r++)
        for (uint64_t l = 0, at = 0, to = 0; l < 3; at += digit_in[l], to += digit_out[l], l++) {
            narrow_to(input + r * 131 + at, q.a[l] + r * digit_in[l], digit_in[l]);
            narrow_to(output + r * 74 + to, q.d[l] + r * digit_out[l], digit_out[l]);
        }
    const float *const inputs[2] = {input, input}, *const outputs[2] = {zero, output};
    tamis_store_spec spec = {.path = "two.h5",
                             .rows = DIGIT_QUERIES,
                             .layer = d.info->layer,
                             .layers = 3,
                             .checkpoint = checkpoint,
                             .checkpoints = 2,
                             .form = TAMIS_FORM_FACTORS};
    tamis_store_writer *writer = NULL;
    tamis_store *two = NULL;
    ck_ok(tamis_store_writer_open(&writer, d.context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(writer, DIGIT_QUERIES, offset, inputs, outputs,
                                            &(tamis_examples){0}, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&two, d.context, "two.h5", &err));
    curvature_write_at(&d, &c, TAMIS_CURVATURE_EKFAC, 1, "second.h5");
    tamis_curvature *curvature = open_curvature(&d, "second.h5");
    for (int form = 0; form < 2; form++) {
        tamis_score_params params = score_params("ekfac", form ? train_factors : train, two,
                                                 curvature);
        double *got = scores_of(&d, &params, DIGIT_QUERIES);
        ck_assert_double_lt(against(got, "pairwise_ekfac_sampled_damp0.1mean", PAIRS), 1e-5);
        free(got);
    }
    tamis_score_params params = score_params("ekfac", train_factors, two, curvature);
    params.by = TAMIS_BY_TOKEN;
    ck_fails(tamis_score(d.context, &params, NULL, &err), TAMIS_ERR_SHAPE, "alone out of both");
    tamis_curvature_close(&curvature);
    tamis_store_close(&two);
    factors_free(&q), curvature_free(&c);
    free(input), free(output), free(zero);
}
END_TEST

/* Reductions are those of the scores; a maximum too. */
START_TEST(test_reductions)
{
    tamis_curvature *curvature = open_curvature(&d, "sampled.h5");
    tamis_score_params params = score_params("ekfac", train, query, curvature);
    double *all = scores_of(&d, &params, DIGIT_QUERIES);
    for (tamis_reduce reduce = TAMIS_REDUCE_MEAN; reduce <= TAMIS_REDUCE_MAX; reduce++) {
        double want[DIGITS];
        for (int i = 0; i < DIGITS; i++) {
            want[i] = reduce == TAMIS_REDUCE_MAX ? -HUGE_VAL : 0;
            for (int q = 0; q < DIGIT_QUERIES; q++)
                want[i] = reduce == TAMIS_REDUCE_MAX ? fmax(want[i], all[q * DIGITS + i])
                                                     : want[i] + all[q * DIGITS + i];
            if (reduce == TAMIS_REDUCE_MEAN) want[i] /= DIGIT_QUERIES;
        }
        for (int form = 0; form < 2; form++) {
            params.reduce = reduce;
            params.query = form ? query_factors : query;
            double *got = scores_of(&d, &params, 1);
            ck_assert_double_lt(distance(got, want, DIGITS), 1e-6);
            free(got);
        }
    }
    tamis_curvature_close(&curvature);
    free(all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac reference");
    TCase *tc = tcase_create("ekfac reference");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_loop_test(tc, test_variants, 0, VARIANTS);
    tcase_add_test(tc, test_fitted);
    tcase_add_test(tc, test_self);
    tcase_add_test(tc, test_layers);
    tcase_add_test(tc, test_double);
    tcase_add_test(tc, test_eigenvectors_in_rows);
    tcase_add_test(tc, test_bias_behind_weights);
    tcase_add_test(tc, test_signs);
    tcase_add_test(tc, test_null_space);
    tcase_add_test(tc, test_checkpoints);
    tcase_add_test(tc, test_reductions);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
