/* Every scorer gives the same bits on a store of factors as on the whole gradients made of it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"
#include "small_factors.h"

#include <tamis/convert.h>

static void setup(void)
{
    enter_scratch();
}

static void teardown(void)
{
    leave_scratch();
}

/* A store of factors, in shards as well, and of whole f32 gradients made of it. */
static void make_both(tamis_context *context, const char *factors, const char *shards,
                      const char *full, uint64_t rows, tamis_dtype dtype)
{
    small_factors s = {
        .path = factors, .rows = rows, .checkpoints = 2, .least = 1, .dtype = dtype, .force = true};
    ck_ok(factors_write(&s, context, 50, &err));
    s.path = shards;
    s.shard_rows = 64;
    ck_ok(factors_write(&s, context, 50, &err));
    tamis_store *store = open_store(context, factors);
    tamis_convert_params params = {.store = store,
                                   .path = full,
                                   .reform = true,
                                   .form = TAMIS_FORM_FULL,
                                   .retype = true,
                                   .dtype = TAMIS_F32,
                                   .force = true};
    ck_ok(tamis_convert(context, &params, NULL, &err));
    tamis_store_close(&store);
}

static void ck_same_scores(tamis_context *context, const char *scorer, const char *train,
                           const char *query, const char *path)
{
    tamis_store *t = open_store(context, train), *q = query ? open_store(context, query) : NULL;
    ck_ok(score_to(context, scorer, t, q, path, false));
    tamis_store_close(&t);
    tamis_store_close(&q);
}

START_TEST(every_scorer)
{
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    tamis_context *context = make_context(2, 0);
    unsigned seen = 0;
    make_both(context, "t", "ts", "tf", 300, dtypes[_i]);
    make_both(context, "q", "qs", "qf", 9, dtypes[_i]);
    for (size_t i = 0; tamis_scorer_at(i); i++) {
        const tamis_scorer_info *info = tamis_scorer_at(i);
        bool query = !(info->flags & TAMIS_SCORER_NO_QUERY);
        if (info->flags & TAMIS_SCORER_CURVATURE) continue; /* tested with their curvature */
        ck_same_scores(context, info->name, "tf", query ? "qf" : NULL, "want.h5");
        ck_same_scores(context, info->name, "t", query ? "q" : NULL, "s.h5");
        ck_same_bytes("want.h5", "s.h5");
        ck_same_scores(context, info->name, "ts", query ? "qf" : NULL, "s.h5");
        ck_same_bytes("want.h5", "s.h5");
        ck_same_scores(context, info->name, "tf", query ? "qs" : NULL, "s.h5");
        ck_same_bytes("want.h5", "s.h5");
        seen++;
    }
    ck_assert_uint_ge(seen, 9);
    tamis_context_destroy(&context);
}
END_TEST

/* The same bytes at other numbers of threads and the smallest memory limit that does. */
START_TEST(same_bits)
{
    static const char *const scorer[] = {"tracin", "cosine", "trak"};
    tamis_context *context = make_context(2, 0);
    make_both(context, "t.h5", "shards", "tf", 300, TAMIS_BF16);
    make_both(context, "q.h5", "qs", "qf", 70, TAMIS_BF16);
    tamis_context_destroy(&context);
    ck_same_bits(scorer[_i], true);
}
END_TEST

START_TEST(faults)
{
    tamis_context *context = make_context(1, 0);
    make_both(context, "t.h5", "shards", "tf", 40, TAMIS_I8);
    make_both(context, "q.h5", "qs", "qf", 5, TAMIS_I8);
    tamis_store *t = open_store(context, "shards"), *q = open_store(context, "q.h5");
    ck_faults(context, "cosine", t, q);
    tamis_store_close(&t);
    tamis_store_close(&q);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_scorer, 0, 4);
    tcase_add_loop_test(tc, same_bits, 0, 3);
    tcase_add_test(tc, faults);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
