/* Whitening: what it refuses and warns of, and that it leaves nothing behind.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "whiten_rows.h"

#include <tamis/inspect.h>

#include "base/context.h"

static tamis_context *context;
static char warned[1024];

static void note(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    if (level == TAMIS_LOG_WARNING) snprintf(warned, sizeof warned, "%s", line);
}

static void setup(void)
{
    enter_scratch();
    tamis_context_params params = {.threads = 2, .log = note};
    ck_ok(tamis_context_create(&context, &params, &err));
    warned[0] = '\0';
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_store *small(const char *path, uint64_t rows, uint64_t columns, uint32_t checkpoints)
{
    table t = make_table(path, 3, rows, columns, checkpoints);
    tamis_store *store = store_of(context, &t);
    free_table(&t);
    return store;
}

static tamis_status fit(tamis_store *store, const tamis_whiten_params *whiten)
{
    tamis_fit_curvature_params params = whiten_params(store, "w", TAMIS_STAGE_FINAL, whiten);
    return tamis_fit_curvature(context, &params, &err);
}

/* --- covariances that have no inverse --------------------------------------------------------- */

START_TEST(test_one_row)
{
    const tamis_whiten_params absolute = {.damping = 1, .absolute = true};
    tamis_store *one = small("one.h5", 1, 4, 1);
    ck_fails(fit(one, NULL), TAMIS_ERR_NUMERIC, "1 row has no covariance");
    ck_fails(fit(one, &absolute), TAMIS_ERR_NUMERIC, "at least 2");
    ck_assert_int_ne(access("w", F_OK), 0);
    /* Sums of one row are worth keeping: another row may come. */
    tamis_fit_curvature_params params = whiten_params(one, "s", TAMIS_STAGE_COVARIANCE, NULL);
    ck_ok(tamis_fit_curvature(context, &params, &err));
    tamis_store_close(&one);
}
END_TEST

/* Column 2 is constant, or all are, or the rows are fewer than the columns. */
START_TEST(test_singular)
{
    const tamis_whiten_params none = {0}, shrunk = {.shrinkage = TAMIS_SHRINKAGE_LEDOIT_WOLF};
    table t = make_table("t.h5", 3, 60, 5, 1);
    for (uint64_t i = 0; i < t.rows; i++) t.value[0][i * 5 + 2] = 7.25f;
    tamis_store *store = store_of(context, &t);
    ck_fails(fit(store, &none), TAMIS_ERR_NUMERIC, "1 of 5 columns are constant");
    ck_fails(fit(store, &none), TAMIS_ERR_NUMERIC, "raise the damping");
    ck_ok(fit(store, NULL));
    ck_ok(fit(store, &shrunk));
    tamis_curvature *c = open_curvature(context, "w");
    ck_assert_double_gt(tamis_curvature_info_get(c)->whiten->least, 1e-3);
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    for (uint64_t i = 0; i < t.rows * 5; i++) t.value[0][i] = (float)(1 + i % 5);
    store = store_of(context, &t);
    ck_fails(fit(store, NULL), TAMIS_ERR_NUMERIC, "all 60 rows are the same");
    tamis_store_close(&store);
    free_table(&t);
    store = small("few.h5", 8, 40, 1);
    ck_fails(fit(store, &none), TAMIS_ERR_NUMERIC, "the covariance of 8 rows is singular");
    ck_ok(fit(store, NULL));
    tamis_store_close(&store);
}
END_TEST

START_TEST(test_few_rows)
{
    tamis_store *store = small("t.h5", 199, 40, 1);
    ck_ok(fit(store, NULL));
    ck_assert_msg(strstr(warned, "199 rows for 40 columns") &&
                      strstr(warned, "at most 39 columns") && strstr(warned, "noise") &&
                      strstr(warned, "ledoit-wolf"),
                  "%s", warned);
    tamis_store_close(&store);
    const tamis_whiten_params shrunk = {.shrinkage = TAMIS_SHRINKAGE_LEDOIT_WOLF};
    store = small("v.h5", 40, 40, 1);
    ck_ok(fit(store, &shrunk));
    ck_assert_msg(strstr(warned, "equally far apart") && !strstr(warned, "ledoit-wolf"), "%s",
                  warned);
    tamis_store_close(&store);
    warned[0] = '\0';
    store = small("u.h5", 200, 40, 1);
    ck_ok(fit(store, NULL));
    ck_assert_str_eq(warned, "");
    tamis_store_close(&store);
}
END_TEST

/* --- values that are not numbers -------------------------------------------------------------- */

/* A writer takes none, so a value is replaced in the file. */
static void poison(const char *path, float old)
{
    char bytes[1 << 16];
    FILE *file = fopen(path, "r+b");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    char *at = memmem(bytes, n, &old, sizeof old);
    ck_assert_ptr_nonnull(at);
    memcpy(at, &(float){NAN}, sizeof(float));
    rewind(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

START_TEST(test_not_finite)
{
    table t = make_table("t.h5", 3, 70, 6, 2);
    t.value[1][50 * 6 + 3] = 1234.5f;
    tamis_store *store = store_of(context, &t);
    ck_ok(fit(store, NULL));
    tamis_store_close(&store);
    poison("t.h5", 1234.5f);
    ck_ok(tamis_store_open(&store, context, "t.h5", &err));
    ck_fails(fit(store, NULL), TAMIS_ERR_NUMERIC, "row 50 (id 50) is not finite");
    tamis_curvature *c = open_curvature(context, "w");
    tamis__whitening w;
    float out[70 * 6];
    ck_ok(tamis__whitening_load(&w, c, &err));
    ck_ok(tamis__features(context, store, &w, true, 0, 50, out, &err));
    ck_fails(tamis__features(context, store, &w, true, 0, 70, out, &err), TAMIS_ERR_NUMERIC,
             "row 50");
    tamis__whitening_fini(&w);
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    for (uint64_t i = 0; i < 70 * 6; i++) t.value[0][i] *= 1e36f;
    store = store_of(context, &t);
    ck_ok(fit(store, NULL)); /* fourth powers are within double */
    tamis_store_close(&store);
    free_table(&t);
}
END_TEST

/* --- what does not fit together --------------------------------------------------------------- */

START_TEST(test_shapes)
{
    tamis_store *a = small("a.h5", 30, 4, 2), *b = small("b.h5", 30, 5, 2),
                *c = small("c.h5", 30, 4, 1);
    tamis_fit_curvature_params params = whiten_params(a, "w", TAMIS_STAGE_FINAL, NULL);
    params.n_with = 1;
    params.with = &b;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_SHAPE, "b.h5");
    params.with = &c;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_SHAPE,
             "2 checkpoints in 'a.h5' and 1 in 'c.h5'");
    /* Sums over one and over two checkpoints do not add up. */
    tamis_store *store[2] = {a, c};
    const char *parts[2] = {"s0", "s1"};
    for (int i = 0; i < 2; i++) {
        params = whiten_params(store[i], parts[i], TAMIS_STAGE_COVARIANCE, NULL);
        ck_ok(tamis_fit_curvature(context, &params, &err));
    }
    ck_fails(tamis_merge_curvature(context, parts, 2, "m", true, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "checkpoints");
    ck_ok(fit(c, NULL));
    tamis_curvature *w = open_curvature(context, "w");
    tamis__whitening loaded;
    float out[30 * 5];
    ck_ok(tamis__whitening_load(&loaded, w, &err));
    ck_fails(tamis__features(context, b, &loaded, false, 0, 1, out, &err), TAMIS_ERR_SHAPE,
             "5 columns");
    tamis__whitening_fini(&loaded);
    tamis_curvature_close(&w);
    tamis_store_close(&a);
    tamis_store_close(&b);
    tamis_store_close(&c);
}
END_TEST

START_TEST(test_options)
{
    tamis_store *store = small("t.h5", 30, 4, 1);
    const char *parts[1] = {"s"};
    tamis_fit_curvature_params p = whiten_params(store, "s", TAMIS_STAGE_COVARIANCE, NULL);
    ck_ok(tamis_fit_curvature(context, &p, &err));
    const tamis_whiten_params negative = {.damping = -1}, nan = {.damping = (double)NAN},
                              fine = {.damping = 1};
    ck_fails(fit(store, &negative), TAMIS_ERR_ARG, "damping -1");
    ck_fails(fit(store, &nan), TAMIS_ERR_ARG, "at least 0");
    p.lambda = store;
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "second pass");
    p.lambda = NULL, p.max_block = 2;
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "blocks");
    p.max_block = 0, p.resume = true;
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "resuming");
    p.resume = false, p.until = TAMIS_STAGE_LAMBDA;
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "no stage lambda");
    p = whiten_params(NULL, "o", TAMIS_STAGE_FINAL, NULL);
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "no store");
    p = whiten_params(store, "g", TAMIS_STAGE_FINAL, &fine);
    p.kind = TAMIS_CURVATURE_GRAM;
    ck_fails(tamis_fit_curvature(context, &p, &err), TAMIS_ERR_ARG, "are for whiten, not for gram");
    p.whiten = NULL;
    ck_ok(tamis_fit_curvature(context, &p, &err));
    ck_fails(tamis_merge_curvature(context, parts, 1, "m", false, &fine, true, NULL, &err),
             TAMIS_ERR_ARG, "stays sums");
    tamis__whitening w;
    tamis_curvature *c = open_curvature(context, "g");
    ck_fails(tamis__whitening_load(&w, c, &err), TAMIS_ERR_ARG, "of kind gram");
    tamis_curvature_close(&c);
    c = open_curvature(context, "s");
    ck_fails(tamis__whitening_load(&w, c, &err), TAMIS_ERR_ARG, "make it final first");
    tamis_curvature_close(&c);
    tamis_store_close(&store);
}
END_TEST

START_TEST(test_too_wide)
{
    tamis_store *store = small("t.h5", 20, 300, 1);
    context->memory = 1 << 20;
    ck_fails(fit(store, NULL), TAMIS_ERR_NOMEM, "300 columns needs");
    ck_fails(fit(store, NULL), TAMIS_ERR_NOMEM, "--project");
    context->memory = 1 << 23;
    ck_ok(fit(store, NULL));
    tamis_store_close(&store);
}
END_TEST

/* --- inspection ------------------------------------------------------------------------------- */

static bool inspected(const char *key, const char *text)
{
    tamis_inspection *in = NULL;
    ck_ok(tamis_inspect(&in, context, "w", false, &err));
    bool found = false;
    for (size_t i = 0; i < in->facts; i++)
        found |= !strcmp(in->fact[i].key, key) && strstr(in->fact[i].value, text);
    for (size_t i = 0; i < in->findings; i++)
        found |= !strcmp(in->finding[i].key, key) && strstr(in->finding[i].text, text);
    tamis_inspection_free(&in);
    return found;
}

/* A factor that was changed is found out. */
START_TEST(test_inspect)
{
    tamis_store *store = small("t.h5", 30, 8, 1);
    ck_ok(fit(store, NULL));
    ck_assert(inspected("damping", "1e-05 times the mean eigenvalue"));
    ck_assert(inspected("few_rows", "30 rows for 8 columns"));
    ck_assert(!inspected("no_factor", "Cholesky"));
    tamis_curvature *c = open_curvature(context, "w");
    double *l = array(c, TAMIS__WHITEN_FACTOR), negative = -l[0];
    tamis_curvature_close(&c);
    char bytes[1 << 16];
    FILE *file = fopen("w", "r+b");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    memcpy(memmem(bytes, n, l, sizeof *l), &negative, sizeof negative);
    rewind(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
    ck_assert(inspected("no_factor", "1 entries"));
    ck_assert(inspected("digest_mismatch", "changed"));
    c = open_curvature(context, "w");
    tamis__whitening w;
    ck_fails(tamis__whitening_load(&w, c, &err), TAMIS_ERR_FORMAT, "whiten/factor");
    tamis_curvature_close(&c);
    free(l);
    tamis_store_close(&store);
}
END_TEST

/* --- faults ----------------------------------------------------------------------------------- */

typedef struct faulty {
    tamis_store *store;
    const tamis_curvature *curvature;
    const char *part[2];
} faulty;

static tamis_status fit_now(const faulty *f)
{
    return fit(f->store, NULL);
}

static tamis_status merge_now(const faulty *f)
{
    return tamis_merge_curvature(context, f->part, 2, "w", true, NULL, true, NULL, &err);
}

static tamis_status use_now(const faulty *f)
{
    tamis__whitening w;
    float out[30 * 8];
    tamis_status status = tamis__whitening_load(&w, f->curvature, &err);
    if (status != TAMIS_OK) return status;
    status = tamis__features(context, f->store, &w, true, 0, 30, out, &err);
    tamis__whitening_fini(&w);
    return status;
}

/* Every allocation and every write fails once: a message, and nothing left. */
START_TEST(test_faults)
{
    tamis_status (*const runs[3])(const faulty *) = {fit_now, merge_now, use_now};
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    faulty f = {.store = small("t.h5", 30, 8, 2), .part = {"s0", "s1"}};
    for (int i = 0; i < 2; i++) {
        tamis_fit_curvature_params p = whiten_params(f.store, f.part[i], TAMIS_STAGE_COVARIANCE,
                                                     NULL);
        ck_ok(tamis_fit_curvature(context, &p, &err));
    }
    tamis_fit_curvature_params p = whiten_params(f.store, "f", TAMIS_STAGE_FINAL, NULL);
    ck_ok(tamis_fit_curvature(context, &p, &err));
    tamis_curvature *c = open_curvature(context, "f");
    f.curvature = c;
    for (long n = 0, done = 0; !done; n++) {
        ck_assert_int_lt(n, 2000);
        err = (tamis_error){0};
        faults[_i % 2](n);
        tamis_status status = runs[_i / 2](&f);
        faults[_i % 2](-1);
        ck_assert_int_ne(access("w.part", F_OK), 0);
        done = status == TAMIS_OK;
        if (done) break;
        ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
        ck_assert_str_ne(err.message, "");
        ck_assert_int_ne(access("w", F_OK), 0);
    }
    tamis_curvature_close(&c);
    tamis_store_close(&f.store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature whiten refusals");
    TCase *tc = tcase_create("refusals");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_one_row);
    tcase_add_test(tc, test_singular);
    tcase_add_test(tc, test_few_rows);
    tcase_add_test(tc, test_not_finite);
    tcase_add_test(tc, test_shapes);
    tcase_add_test(tc, test_options);
    tcase_add_test(tc, test_too_wide);
    tcase_add_test(tc, test_inspect);
    tcase_add_loop_test(tc, test_faults, 0, 6);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
