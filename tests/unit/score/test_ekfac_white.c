/* Whitened stores: the same scores as a plain product, what is kept of them, what they refuse.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "digits.h"

#include <tamis/inspect.h>

#include "base/mem.h"

enum { PAIRS = DIGITS * DIGIT_QUERIES };

static digits d;
static tamis_store *train, *query, *train_factors, *query_factors;
static tamis_curvature *curvature;

static void open_all(void)
{
    enter_scratch();
    digits_open(&d, false);
    write_sampled(&d);
    curvature = open_curvature(&d, "sampled.h5");
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
    tamis_curvature_close(&curvature);
    digits_close(&d);
    leave_scratch();
}

static tamis_convert_params white_params(tamis_store *store, const char *path)
{
    return (tamis_convert_params){
        .store = store, .path = path, .whiten = curvature, .damping = 0.1, .force = true};
}

static tamis_store *convert(const tamis_convert_params *params)
{
    tamis_store *store = NULL;
    ck_ok(tamis_convert(d.context, params, NULL, &err));
    ck_ok(tamis_store_open(&store, d.context, params->path, &err));
    return store;
}

static tamis_store *whiten(tamis_store *store, const char *path)
{
    tamis_convert_params params = white_params(store, path);
    return convert(&params);
}

static tamis_status try_score(const char *scorer, tamis_store *t, tamis_store *q,
                              const tamis_curvature *c)
{
    tamis_score_params params = score_params(scorer, t, q, c);
    return tamis_score(d.context, &params, NULL, &err);
}

/* --- the same scores -------------------------------------------------------------------------- */

/* Rows from gradients and from factors, queries whitened on the way or before. */
START_TEST(test_scores)
{
    double *want = load_npy(&d, "ekfac/pairwise_ekfac_sampled_damp0.1mean", PAIRS);
    tamis_store *white = whiten(_i % 2 ? train_factors : train, "w.h5"),
                *white_query = whiten(query, "wq.h5"),
                *queries[3] = {query, query_factors, white_query};
    const tamis_store_info *info = tamis_store_info_get(white);
    ck_assert_str_eq(info->whitened_by->kind, "ekfac");
    ck_assert(info->whitened_by->relative);
    ck_assert_double_eq(info->whitened_by->damping, 0.1);
    ck_assert_double_eq(info->whitened_by->keep, 1);
    ck_assert_uint_eq(info->whitened_by->curvature, tamis_curvature_info_get(curvature)->digest);
    ck_assert_ptr_nonnull(strstr(info->whitening, "\"damping\":0.1"));
    ck_assert_uint_eq(info->columns, DIGIT_COLUMNS);
    for (int q = 0; q < 3; q++) {
        tamis_score_params params = score_params("ekfac", white, queries[q], curvature);
        double *got = scores_of(&d, &params, DIGIT_QUERIES);
        ck_assert_double_lt(distance(got, want, PAIRS), 1e-5);
        free(got);
    }
    /* Without the curvature's scorer too, once both are whitened. */
    tamis_score_params params = score_params("tracin:weights=equal", white, white_query, NULL);
    double *got = scores_of(&d, &params, DIGIT_QUERIES);
    ck_assert_double_lt(distance(got, want, PAIRS), 1e-5);
    free(got), free(want);
    /* And squared norms are self-influence. */
    params = score_params("self:weights=equal", white, NULL, NULL);
    want = load_npy(&d, "ekfac/self_ekfac_sampled_damp0.1mean", DIGITS);
    got = scores_of(&d, &params, 1);
    ck_assert_double_lt(distance(got, want, DIGITS), 1e-5);
    free(got), free(want);
    tamis_store_close(&white);
    tamis_store_close(&white_query);
}
END_TEST

/* Several tokens a row: sums of rows, so their scores are sums of scores. */
START_TEST(test_tokens)
{
    double *one = load_npy(&d, "ekfac/pairwise_ekfac_sampled_damp0.1mean", PAIRS);
    tamis_store *many = factor_store(&d, "X_train.npy", "y_train.npy", 24, "many.h5"),
                *white = whiten(many, "w.h5");
    tamis_score_params params = score_params("ekfac", white, query, curvature);
    double *got = scores_of(&d, &params, DIGIT_QUERIES), *want = calloc(PAIRS, sizeof *want);
    for (int q = 0; q < DIGIT_QUERIES; q++)
        for (int i = 0; i < DIGITS; i++) want[q * 50 + i / 24] += one[q * DIGITS + i];
    ck_assert_double_lt(distance(got, want, 50 * DIGIT_QUERIES), 1e-5);
    free(got);
    /* Self-influence of such rows: that of the same rows as whole gradients. */
    tamis_store *whole = NULL;
    tamis_convert_params full = {.store = many, .path = "full.h5", .reform = true, .force = true};
    whole = convert(&full);
    params = score_params("self", many, NULL, curvature);
    double *self = scores_of(&d, &params, 1);
    params.train = whole;
    double *plain = scores_of(&d, &params, 1);
    ck_assert_double_lt(distance(self, plain, 50), 1e-5);
    free(self), free(plain), free(one), free(want);
    tamis_store_close(&many);
    tamis_store_close(&white);
    tamis_store_close(&whole);
}
END_TEST

START_TEST(test_layers)
{
    tamis_convert_params few = white_params(train, "w.h5"),
                         few_queries = white_params(query, "wq.h5");
    few.keep = few_queries.keep = 0.2;
    tamis_store *white = convert(&few), *white_query = convert(&few_queries);
    tamis_store *queries[2] = {query, white_query};
    tamis_score_params params = score_params("ekfac", white, query, curvature);
    double *whole = scores_of(&d, &params, DIGIT_QUERIES);
    for (int i = 0; i < 2; i++) {
        params.query = queries[i];
        params.by = TAMIS_BY_LAYER;
        double *parts = scores_of(&d, &params, DIGIT_QUERIES * 3);
        double *sum = calloc(PAIRS, sizeof *sum);
        for (int q = 0; q < DIGIT_QUERIES * 3; q++)
            for (int r = 0; r < DIGITS; r++) sum[q / 3 * DIGITS + r] += parts[q * DIGITS + r];
        ck_assert_double_lt(distance(sum, whole, PAIRS), 1e-6);
        free(parts), free(sum);
    }
    free(whole);
    tamis_store_close(&white);
    tamis_store_close(&white_query);
}
END_TEST

/* --- what is kept ----------------------------------------------------------------------------- */

typedef struct coordinate {
    double share;
    uint64_t layer, at;
} coordinate;

static int by_share(const void *a, const void *b)
{
    const coordinate *x = a, *y = b;
    if (x->share != y->share) return x->share < y->share ? 1 : -1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_place(const void *a, const void *b)
{
    const coordinate *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static const struct {
    double keep, damping;
    uint64_t columns;
} shares[] = {{0.25, 0.1, 867}, {0.05, 0.1, 173}, {1e-9, 0.1, 1}, {0.5, 0, 1733}};

/* The coordinates with the largest lambda / (lambda + damping), by sorting all of them. */
START_TEST(test_keep)
{
    tamis__spectra spectra = {0};
    coordinate *all = calloc(DIGIT_COLUMNS, sizeof *all);
    uint64_t n = 0, keep = shares[_i].columns;
    tamis_convert_params params = white_params(train, "all.h5");
    /* Without damping lambda must not be 0: take the file's with a little added. */
    params.damping_absolute = shares[_i].damping == 0;
    params.damping = params.damping_absolute ? 1e-300 : shares[_i].damping;
    tamis_store *whole = convert(&params);
    params.path = "few.h5";
    params.keep = shares[_i].keep;
    tamis_store *few = convert(&params);
    ck_assert_uint_eq(tamis_store_info_get(few)->columns, keep);
    ck_ok(tamis__spectra_load(
        &spectra, d.context, curvature, TAMIS_CURVATURE_EKFAC,
        (tamis__damping){.value = params.damping, .relative = !params.damping_absolute}, &err));
    for (uint64_t l = 0; l < 3; l++)
        for (uint64_t i = 0; i < digit_out[l] * digit_in[l]; i++) {
            double lambda = spectra.layer[l].lambda[i];
            all[n++] = (coordinate){lambda / (lambda + spectra.layer[l].damping), l, i};
        }
    qsort(all, n, sizeof *all, by_share);
    qsort(all, keep, sizeof *all, by_place);
    float *rows = calloc(DIGIT_COLUMNS, sizeof *rows), *kept = calloc(keep, sizeof *kept);
    for (uint64_t r = 0; r < DIGITS; r += 100) {
        ck_ok(tamis_store_read(whole, 0, r, 1, 0, DIGIT_COLUMNS, rows, DIGIT_COLUMNS, &err));
        ck_ok(tamis_store_read(few, 0, r, 1, 0, keep, kept, keep, &err));
        for (uint64_t i = 0; i < keep; i++) {
            uint64_t at = tamis_store_info_get(whole)->layer[all[i].layer].first_column + all[i].at;
            ck_assert(rows[at] == kept[i]);
        }
    }
    for (uint32_t l = 0; l < tamis_store_info_get(few)->layers; l++) {
        const tamis_layer *layer = &tamis_store_info_get(few)->layer[l];
        ck_assert_uint_eq(layer->out, 1);
        ck_assert_uint_eq(layer->bias, 0);
    }
    tamis__spectra_fini(&spectra);
    free(all), free(rows), free(kept);
    tamis_store_close(&whole);
    tamis_store_close(&few);
}
END_TEST

/* --- the same bytes --------------------------------------------------------------------------- */

static void same_rows(tamis_store *a, tamis_store *b)
{
    const tamis_store_info *x = tamis_store_info_get(a), *y = tamis_store_info_get(b);
    ck_assert_uint_eq(x->digest, y->digest);
    ck_assert_uint_eq(x->rows, y->rows);
}

START_TEST(test_same_bytes)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_store *source = _i % 2 ? train_factors : train;
    tamis_convert_params params = white_params(source, "w.h5");
    params.retype = true, params.dtype = _i < 2 ? TAMIS_I8 : TAMIS_F32;
    tamis_store *first = convert(&params);
    for (int i = 0; i < 8; i++) {
        tamis_context *context = NULL;
        tamis_store *other = NULL, *from = NULL;
        uint64_t memory = i < 4 ? 0 : UINT64_C(12) << 20;
        ck_ok(tamis_context_create(
            &context, &(tamis_context_params){.threads = threads[i % 4], .memory = memory}, &err));
        ck_ok(tamis_store_open(&from, context, _i % 2 ? "tf.h5" : "t.h5", &err));
        params.store = from;
        params.path = i % 2 ? "shards" : "other.h5";
        params.shard_rows = i % 2 ? 512 : 0;
        ck_ok(tamis_convert(context, &params, NULL, &err));
        ck_ok(tamis_store_open(&other, context, params.path, &err));
        same_rows(first, other);
        tamis_store_close(&other);
        tamis_store_close(&from);
        tamis_context_destroy(&context);
    }
    tamis_store_close(&first);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static void write_other(void)
{
    factors cov;
    digit_curvature c;
    factors_of(&d, &cov, "X_train.npy", "y_train.npy");
    curvature_of(&c, &cov, &cov, false);
    curvature_write(&d, &c, TAMIS_CURVATURE_EKFAC, "other.h5");
    factors_free(&cov), curvature_free(&c);
}

START_TEST(test_refusals)
{
    tamis_store *white = whiten(train, "w.h5"), *white_query = whiten(query, "wq.h5");
    ck_fails(try_score("ekfac:damping=0.2", white, query, curvature), TAMIS_ERR_SHAPE,
             "a damping of 0.1 of the mean eigenvalue, and ekfac with 0.2 of the mean eigenvalue");
    ck_fails(try_score("ekfac:damping-unit=absolute", white, query, curvature), TAMIS_ERR_SHAPE,
             "0.1 (absolute)");
    ck_fails(try_score("kfac", white, query, curvature), TAMIS_ERR_SHAPE, "and kfac with");
    ck_fails(try_score("ekfac:query-rank=2", white, query, curvature), TAMIS_ERR_ARG,
             "leave out ranks");
    ck_fails(try_score("ekfac", train, white_query, curvature), TAMIS_ERR_SHAPE,
             "'wq.h5' is whitened and 't.h5' is not");
    ck_fails(try_score("tracin", white, query, NULL), TAMIS_ERR_SHAPE,
             "'w.h5' is whitened and 'q.h5' is not");
    ck_fails(try_score("self", white, NULL, curvature), TAMIS_ERR_ARG, "leave out the curvature");
    write_other();
    tamis_curvature *other = open_curvature(&d, "other.h5");
    ck_fails(try_score("ekfac", white, query, other), TAMIS_ERR_SHAPE,
             "was whitened with the curvature");
    tamis_convert_params params = white_params(query, "wo.h5");
    params.whiten = other;
    tamis_store *white_other = convert(&params);
    ck_fails(try_score("tracin", white, white_other, NULL), TAMIS_ERR_SHAPE,
             "are whitened differently");
    tamis_curvature_close(&other);
    tamis_store_close(&white_other);
    params = white_params(white, "x.h5");
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_UNSUPPORTED,
             "is whitened already");
    params = white_params(train, "x.h5");
    params.layers = "0";
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "whiten them all");
    params.layers = NULL, params.project = "16";
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_ARG,
             "either projected or whitened");
    params.project = NULL, params.whiten_kind = TAMIS_CURVATURE_DIAGONAL;
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "of kind ekfac");
    params.whiten_kind = TAMIS_CURVATURE_EKFAC, params.keep = 1.5;
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "cannot be kept");
    params = (tamis_convert_params){.store = white, .path = "x.h5", .layers = "0"};
    ck_fails(tamis_convert(d.context, &params, NULL, &err), TAMIS_ERR_UNSUPPORTED,
             "is whitened: layers cannot be taken out");
    ck_assert_int_ne(access("x.h5", F_OK), 0);
    tamis_store_close(&white);
    tamis_store_close(&white_query);
}
END_TEST

/* A whitened store in another type says the same of its whitening, and scores. */
START_TEST(test_retyped)
{
    tamis_store *white = whiten(train, "w.h5");
    tamis_convert_params params = {
        .store = white, .path = "i8.h5", .retype = true, .dtype = TAMIS_I8};
    tamis_store *small = convert(&params);
    ck_assert_str_eq(tamis_store_info_get(white)->whitening,
                     tamis_store_info_get(small)->whitening);
    ck_ok(try_score("ekfac", small, query, curvature));
    tamis_store_close(&small);
    tamis_store_close(&white);
}
END_TEST

START_TEST(test_faults)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_convert_params params = white_params(train_factors, "faults.h5");
    params.keep = 0.5;
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            ck_assert_int_lt(n, 3000);
            err = (tamis_error){0};
            faults[f](n);
            tamis_status status = tamis_convert(d.context, &params, NULL, &err);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac white");
    TCase *tc = tcase_create("ekfac white");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_loop_test(tc, test_scores, 0, 2);
    tcase_add_test(tc, test_tokens);
    tcase_add_test(tc, test_layers);
    tcase_add_loop_test(tc, test_keep, 0, 4);
    tcase_add_loop_test(tc, test_same_bytes, 0, 4);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_retyped);
    tcase_add_test(tc, test_faults);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
