/* The selector fid against plain loops over the clusters that tamis_cluster() finds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <jansson.h>
#include <math.h>
#include <tamis/cluster.h>
#include <tamis/select.h>

#include "small_files.h"

enum { N = 400, M = 60, P = 2, K = 9 };

static tamis_context *context;
static float train[N * P], query[M * P];

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static uint64_t draws;

static double draw(void)
{
    draws = draws * 6364136223846793005u + 1442695040888963407u;
    return (double)(draws >> 11) * 0x1p-53;
}

/* Candidates all over a square, targets in two spots of it; every eighth candidate is a copy. */
static void make_pair(void)
{
    draws = 11;
    for (int i = 0; i < N; i++)
        for (int c = 0; c < P; c++)
            train[i * P + c] = i % 8 == 7 ? train[(i - 1) * P + c]
                                          : (float)(10 * draw() + 3 * draw());
    for (int i = 0; i < M; i++)
        for (int c = 0; c < P; c++)
            query[i * P + c] = (float)((i % 2 ? 3 : 8) + draw() + (c ? draw() : 0));
    small_store(context, "c.h5", TAMIS_F32, N, P, 1, train, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, M, P, 1, query, NULL, 0);
}

static tamis_status choose(tamis_context *with, const char *selector, const char *budget,
                           const tamis_select_params *lists, tamis_selection **ret,
                           tamis_error *err)
{
    tamis_store *candidates = NULL, *targets = NULL;
    ck_assert(tamis_store_open(&candidates, with, "c.h5", err) == TAMIS_OK);
    ck_assert(tamis_store_open(&targets, with, "t.h5", err) == TAMIS_OK);
    tamis_select_params params = lists ? *lists : (tamis_select_params){0};
    params.selector = selector;
    params.train = candidates;
    params.query = targets;
    params.budget = budget;
    params.seed = 4;
    tamis_status status = tamis_select(ret, with, &params, err);
    tamis_store_close(&candidates);
    tamis_store_close(&targets);
    return status;
}

/* --- two columns in closed form --------------------------------------------------------------- */

typedef struct moments {
    double mean[2], s[3]; /* covariance: xx, xy, yy */
} moments;

static moments moments_of(const float *x, const uint64_t *at, uint64_t n)
{
    moments m = {0};
    for (uint64_t i = 0; i < n; i++)
        for (int c = 0; c < 2; c++) m.mean[c] += (double)x[at[i] * 2 + (uint64_t)c] / (double)n;
    for (uint64_t i = 0; i < n && n > 1; i++) {
        double a = (double)x[at[i] * 2] - m.mean[0], b = (double)x[at[i] * 2 + 1] - m.mean[1];
        m.s[0] += a * a / (double)(n - 1);
        m.s[1] += a * b / (double)(n - 1);
        m.s[2] += b * b / (double)(n - 1);
    }
    return m;
}

/* The trace of the root of a product of two by two is sqrt(trace + 2 sqrt(determinant)). */
static double frechet(const moments *a, const moments *b)
{
    double trace = a->s[0] * b->s[0] + 2 * a->s[1] * b->s[1] + a->s[2] * b->s[2];
    double determinant = (a->s[0] * a->s[2] - a->s[1] * a->s[1]) *
                         (b->s[0] * b->s[2] - b->s[1] * b->s[1]);
    double dx = a->mean[0] - b->mean[0], dy = a->mean[1] - b->mean[1];
    return dx * dx + dy * dy + a->s[0] + a->s[2] + b->s[0] + b->s[2] -
           2 * sqrt(trace + 2 * sqrt(fmax(determinant, 0)));
}

/* --- the rule in plain loops ------------------------------------------------------------------ */

typedef struct plan {
    uint64_t order[K], best, size[K];
    double distance[K], together[K];
    tamis_clusters clusters;
} plan;

static void find_plan(plan *p)
{
    tamis_error err = {0};
    tamis_store *store = NULL;
    uint64_t at[N], all[M], n;
    *p = (plan){0};
    ck_ok(tamis_store_open(&store, context, "c.h5", &err));
    const tamis_cluster_params how = {.store = store, .clusters = K, .tolerance = 1e-4, .seed = 4};
    ck_ok(tamis_cluster(context, &how, &p->clusters, &err));
    tamis_store_close(&store);
    for (uint64_t i = 0; i < M; i++) all[i] = i;
    moments target = moments_of(query, all, M);
    for (uint64_t j = 0; j < K; j++) {
        n = 0;
        for (uint64_t i = 0; i < N; i++)
            if (p->clusters.cluster[i] == j) at[n++] = i;
        moments own = moments_of(train, at, n);
        p->size[j] = n;
        p->distance[j] = frechet(&own, &target);
        uint64_t place = j;
        for (; place > 0 && p->distance[p->order[place - 1]] > p->distance[j]; place--)
            p->order[place] = p->order[place - 1];
        p->order[place] = j;
    }
    for (uint64_t k = 0; k < K; k++) {
        n = 0;
        for (uint64_t i = 0; i < N; i++)
            for (uint64_t j = 0; j <= k; j++)
                if (p->clusters.cluster[i] == p->order[j]) at[n++] = i;
        moments own = moments_of(train, at, n);
        p->together[k] = frechet(&own, &target);
        if (k == 0 || p->together[k] < p->together[p->best - 1]) p->best = k + 1;
    }
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static json_t *found_of(const tamis_selection *s)
{
    json_t *provenance = json_loads(s->provenance, 0, NULL);
    json_t *found = json_incref(json_object_get(provenance, "found"));
    json_decref(provenance);
    ck_assert_ptr_nonnull(found);
    return found;
}

START_TEST(clusters_are_ordered_as_by_loops)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    plan p;
    make_pair();
    find_plan(&p);
    ck_assert(p.best > 1 && p.best < K); /* or the scene tells nothing */
    ck_ok(choose(context, "fid:clusters=9", "20", NULL, &s, &err));
    json_t *found = found_of(s), *list = json_object_get(found, "clusters");
    ck_assert_uint_eq(json_array_size(list), K);
    ck_assert_double_eq(number(found, "nearest"), (double)p.best);
    ck_assert_double_eq(number(found, "used"), (double)p.best);
    for (size_t k = 0; k < K; k++) {
        const json_t *one = json_array_get(list, k);
        ck_assert_double_eq(number(one, "cluster"), (double)p.order[k]);
        ck_assert_double_eq_tol(number(one, "distance"), p.distance[p.order[k]], 1e-6);
        ck_assert_double_eq_tol(number(one, "together"), p.together[k], 1e-6);
    }
    for (uint64_t i = 0; i < N; i++)
        ck_assert_double_eq_tol((double)s->score[i], -p.distance[p.clusters.cluster[i]], 1e-4);
    json_decref(found);
    tamis_clusters_fini(&p.clusters);
    tamis_selection_free(&s);
}
END_TEST

static double between(uint64_t a, uint64_t b)
{
    double dx = (double)train[a * 2] - (double)train[b * 2],
           dy = (double)train[a * 2 + 1] - (double)train[b * 2 + 1];
    return dx * dx + dy * dy;
}

/* Shares of the used clusters in proportion to their rows; in each of them the row nearest to the
 * centroid, then always the farthest. */
START_TEST(picks_are_those_of_loops)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    plan p;
    char budget[20];
    const uint64_t budgets[] = {1, 2, 37, 150, N};
    make_pair();
    find_plan(&p);
    for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        uint64_t used = 0, within = 0, kept = 0, rank = 0;
        snprintf(budget, sizeof budget, "%d", (int)budgets[b]);
        ck_ok(choose(context, "fid:clusters=9", budget, NULL, &s, &err));
        while (used < K && (used < p.best || within < budgets[b]))
            within += p.size[p.order[used++]];
        for (uint64_t k = 0; k < used; k++) {
            uint64_t j = p.order[k], quota = 0, pick[N], first = N;
            for (uint64_t i = 0; i < N; i++) quota += p.clusters.cluster[i] == j && s->keep[i];
            double share = (double)(budgets[b] * p.size[j]) / (double)within;
            ck_assert_double_lt(fabs((double)quota - share), 1);
            for (uint64_t i = 0; i < N; i++)
                if (p.clusters.cluster[i] == j &&
                    (first == N || p.clusters.distance[i] < p.clusters.distance[first]))
                    first = i;
            for (uint64_t at = 0; at < quota; at++) {
                double most = -1;
                pick[at] = first;
                for (uint64_t i = 0; i < N && at > 0; i++) {
                    double least = (double)INFINITY;
                    for (uint64_t q = 0; q < at; q++)
                        least = fmin(least, pick[q] == i ? -1 : between(i, pick[q]));
                    if (p.clusters.cluster[i] != j || least <= most) continue;
                    most = least;
                    pick[at] = i;
                }
                ck_assert(s->keep[pick[at]]);
                ck_assert_uint_eq(s->rank[pick[at]], rank++);
            }
            kept += quota;
        }
        ck_assert_uint_eq(kept, budgets[b]);
        ck_assert_uint_eq(s->kept, budgets[b]);
        tamis_selection_free(&s);
    }
    tamis_clusters_fini(&p.clusters);
}
END_TEST

/* --- lists, threads, edges -------------------------------------------------------------------- */

START_TEST(lists_are_heeded)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    const uint64_t keep[] = {5, 6, 7, 200}, drop[] = {0, 1, 300, 399};
    const tamis_select_params lists = {
        .must_keep = keep, .n_must_keep = 4, .must_drop = drop, .n_must_drop = 4};
    make_pair();
    const char *const budgets[] = {"4", "5", "30", "396"};
    for (size_t b = 0; b < 4; b++) {
        ck_ok(choose(context, "fid:clusters=5", budgets[b], &lists, &s, &err));
        for (int i = 0; i < 4; i++) {
            ck_assert(s->keep[keep[i]] && !s->keep[drop[i]]);
            ck_assert_uint_eq(s->rank[keep[i]], (uint64_t)i);
            ck_assert_uint_ge(s->rank[drop[i]], N - 4);
        }
        ck_assert_uint_eq(s->kept, (uint64_t)atoi(budgets[b]));
        tamis_selection_free(&s);
    }
    ck_fails(choose(context, "fid", "3", &lists, &s, &err), TAMIS_ERR_ARG, "must be kept");
}
END_TEST

START_TEST(same_bits_however_it_is_run)
{
    tamis_error err = {0};
    make_pair();
    for (int way = 0; way < 3; way++) {
        char path[20];
        tamis_context *with = NULL;
        tamis_selection *s = NULL;
        const tamis_context_params how = {.threads = way == 0 ? 1 : 3,
                                          .memory = way == 2 ? UINT64_C(3) << 20 : 0};
        ck_ok(tamis_context_create(&with, &how, &err));
        ck_ok(choose(with, "fid:clusters=7,kind=spherical", "25%", NULL, &s, &err));
        snprintf(path, sizeof path, "s%d.h5", way);
        ck_ok(tamis_selection_save(s, with, path, true, &err));
        tamis_selection_free(&s);
        tamis_context_destroy(&with);
    }
    ck_same_files("s0.h5", "s1.h5");
    ck_same_files("s0.h5", "s2.h5");
}
END_TEST

/* One target, equal rows, as many clusters as rows. */
START_TEST(edges_are_selected_from)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    make_pair();
    small_store(context, "t.h5", TAMIS_F32, 1, P, 1, query, NULL, 0);
    ck_ok(choose(context, "fid", "10", NULL, &s, &err));
    ck_assert_uint_eq(s->kept, 10);
    tamis_selection_free(&s);
    ck_ok(choose(context, "fid:clusters=400", "10", NULL, &s, &err));
    ck_assert_uint_eq(s->kept, 10);
    tamis_selection_free(&s);
    ck_fails(choose(context, "fid:clusters=401", "10", NULL, &s, &err), TAMIS_ERR_ARG,
             "401 clusters of 400");
    for (int i = 0; i < N * P; i++) train[i] = 1;
    small_store(context, "c.h5", TAMIS_F32, N, P, 1, train, NULL, 0);
    ck_ok(choose(context, "fid", "10", NULL, &s, &err));
    ck_assert_uint_eq(s->kept, 10);
    for (uint64_t i = 0; i < 10; i++) ck_assert_uint_eq(s->rank[i], i); /* ties go to lower rows */
    tamis_selection_free(&s);
    small_store(context, "t.h5", TAMIS_F32, M / 2, 2 * P, 1, query, NULL, 0);
    ck_fails(choose(context, "fid", "10", NULL, &s, &err), TAMIS_ERR_SHAPE, "not of one model");
}
END_TEST

static tamis_status choose_and_drop(tamis_error *err)
{
    tamis_select_params params = {.selector = "fid:clusters=3", .budget = "10"};
    tamis_selection *s = NULL;
    tamis_store *candidates = NULL, *targets = NULL;
    tamis_status status = tamis_store_open(&candidates, context, "c.h5", err);
    if (status == TAMIS_OK) status = tamis_store_open(&targets, context, "t.h5", err);
    params.train = candidates;
    params.query = targets;
    if (status == TAMIS_OK) status = tamis_select(&s, context, &params, err);
    tamis_store_close(&candidates);
    tamis_store_close(&targets);
    tamis_selection_free(&s);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    tamis_error err = {0};
    make_pair();
    ck_survives(tamis__fault_memory_after, choose_and_drop(&err), "none");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fid");
    TCase *tc = tcase_create("fid");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, clusters_are_ordered_as_by_loops);
    tcase_add_test(tc, picks_are_those_of_loops);
    tcase_add_test(tc, lists_are_heeded);
    tcase_add_test(tc, same_bits_however_it_is_run);
    tcase_add_test(tc, edges_are_selected_from);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
