/* Picks under a budget, greedy gains, Gumbel draws and strata, each against plain loops or its law.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/select.h>

#include "base/rng.h"
#include "select/greedy.h"
#include "select/quotas.h"
#include "small_files.h"

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(1);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static const tamis__selector_class *class_of(const char *name)
{
#define ONE(id)                                                                                    \
    if (!strcmp(tamis__selector_##id.info.name, name)) return &tamis__selector_##id;
    TAMIS__SELECTORS(ONE)
#undef ONE
    ck_abort_msg("no selector %s", name);
}

/* A selector run without the driver. */
static tamis_status run(const char *text, const tamis__candidates *c, tamis_selection **ret)
{
    char name[64];
    size_t size = strcspn(text, ":");
    snprintf(name, sizeof name, "%.*s", (int)size, text);
    const tamis__selector_class *class = class_of(name);
    tamis_param_value value[TAMIS__SELECTOR_PARAMS];
    void *state = calloc(1, class->state_size + 1);
    tamis_selection *s = NULL;
    ck_ok(tamis_params_parse(class->info.params, class->info.n_params, name,
                             text[size] ? text + size + 1 : NULL, value, &err));
    tamis_status status = class->init ? class->init(state, value, &err) : TAMIS_OK;
    ck_ok(tamis_selection_create(&s, c->rows, NULL, &err));
    for (uint64_t i = 0; i < c->rows && c->value; i++) s->score[i] = (float)c->value[i];
    if (status == TAMIS_OK) status = class->select(state, c, s, &err);
    free(state);
    if (status == TAMIS_OK)
        *ret = s;
    else
        tamis_selection_free(&s);
    return status;
}

static const char *reason(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

/* --- picks ------------------------------------------------------------------------------------ */

START_TEST(walks_within_a_budget_of_costs)
{
    enum { N = 7 };
    const double value[N] = {9, 8, 7, 6, 5, 4, (double)NAN}, cost[N] = {5, 9, 3, 0, 4, 1, 1};
    const uint8_t standing[N] = {0, 0, 0, 0, TAMIS__MUST_KEEP, 0, TAMIS__BARRED};
    tamis__candidates c = {.context = context,
                           .rows = N,
                           .value = value,
                           .value_name = "score",
                           .budget = N,
                           .budget_text = "10",
                           .standing = standing,
                           .cost = cost,
                           .allowance = 10};
    tamis__picks p = {0};
    tamis_selection *s = NULL;
    const uint64_t order[N] = {0, 1, 2, 3, 4, 5, 6}, picked[] = {4, 0, 3, 5};
    ck_ok(tamis__picks_init(&p, &c, &err));
    ck_assert_uint_eq(p.n, 1);
    tamis__picks_walk(&p, order, N);
    ck_assert_uint_eq(p.n, 4); /* 4, then 5 of the 6 that are left, nothing, and 1 */
    ck_assert_mem_eq(p.row, picked, sizeof picked);
    ck_ok(tamis_selection_create(&s, N, NULL, &err));
    for (int i = 0; i < N; i++) s->score[i] = (float)value[i];
    ck_ok(tamis__picks_give(&p, NULL, "in", "out", s, &err));
    const uint64_t rank[N] = {1, 4, 5, 2, 0, 3, 6};
    ck_assert_mem_eq(s->rank, rank, sizeof rank);
    ck_assert_str_eq(reason(s, 4), "must be kept");
    ck_assert_str_eq(reason(s, 0), "in");
    ck_assert_str_eq(reason(s, 1), "costs more than was left of the budget");
    ck_assert_str_eq(reason(s, 6), "out");
    tamis_selection_free(&s);
    tamis__picks_fini(&p);
    c.allowance = 3.5;
    c.budget_text = "3.5";
    ck_fails(tamis__picks_init(&p, &c, &err), TAMIS_ERR_ARG,
             "the 1 rows that must be kept cost 4, the budget '3.5' is 3.5");
}
END_TEST

/* Sums of costs are rounded: ten times a tenth fits one. */
START_TEST(costs_add_up_to_the_budget)
{
    enum { N = 10 };
    double cost[N];
    for (int i = 0; i < N; i++) cost[i] = 0.1;
    tamis__candidates c = {.context = context, .rows = N, .cost = cost, .allowance = 1};
    tamis__picks p = {0};
    const uint64_t order[N] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    ck_ok(tamis__picks_init(&p, &c, &err));
    tamis__picks_walk(&p, order, N);
    ck_assert_uint_eq(p.n, N);
    ck_assert(tamis__picks_done(&p));
    tamis__picks_fini(&p);
}
END_TEST

START_TEST(orders_by_value_for_cost)
{
    enum { N = 6 };
    const double value[N] = {-2, 4, 1, 1, (double)NAN, -2}, cost[N] = {1, 3, 1, 0, 1, 0};
    tamis__candidates c = {.context = context, .rows = N, .value = value, .cost = cost};
    uint64_t *order;
    /* Moved by 2: 0/1, 6/3, 3/1, 3/0, none, 0/0. */
    const uint64_t high[N] = {3, 5, 2, 1, 0, 4}, low[N] = {5, 3, 0, 2, 1, 4};
    ck_ok(tamis__order_by_cost(&c, value, true, &order, &err));
    ck_assert_mem_eq(order, high, sizeof high);
    free(order);
    ck_ok(tamis__order_by_cost(&c, value, false, &order, &err));
    ck_assert_mem_eq(order, low, sizeof low);
    free(order);
}
END_TEST

/* --- greedy gains: coverage of items by sets -------------------------------------------------- */

enum { SETS = 40, ITEMS = 64 };

typedef struct coverage {
    uint64_t has[SETS], covered;
    long asked;
} coverage;

static tamis_status gain(void *arg, uint64_t row, double *ret_gain, tamis_error *unused)
{
    (void)unused;
    coverage *c = arg;
    c->asked++;
    *ret_gain = (double)__builtin_popcountll(c->has[row] & ~c->covered);
    return TAMIS_OK;
}

static tamis_status add(void *arg, uint64_t row, tamis_error *unused)
{
    (void)unused;
    coverage *c = arg;
    c->covered |= c->has[row];
    return TAMIS_OK;
}

/* The largest gain over cost of what fits, by a scan; ties to the lower row. */
static uint64_t plain_greedy(const coverage *sets, const double *cost, double left, uint64_t *pick)
{
    bool used[SETS] = {false};
    uint64_t covered = 0, n = 0;
    for (;; n++) {
        int best = -1;
        double most = 0;
        for (int i = 0; i < SETS; i++) {
            double worth = (double)__builtin_popcountll(sets->has[i] & ~covered) / cost[i];
            if (used[i] || cost[i] > left || (best >= 0 && worth <= most)) continue;
            best = i;
            most = worth;
        }
        if (best < 0) return n;
        used[best] = true;
        left -= cost[best];
        covered |= sets->has[best];
        pick[n] = (uint64_t)best;
    }
}

START_TEST(greedy_as_plain_loops)
{
    gsl_rng *rng = tamis__rng_create();
    for (uint64_t round = 0; round < 30; round++) {
        coverage sets = {0};
        double cost[SETS];
        uint64_t pick[SETS];
        long asked[2];
        tamis__rng_key(rng, 3, TAMIS__STREAM_TEST, round);
        for (int i = 0; i < SETS; i++) {
            for (int k = 0; k < 1 + i % 9; k++)
                sets.has[i] |= UINT64_C(1) << gsl_rng_uniform_int(rng, ITEMS);
            cost[i] = round % 2 ? 1 : 1 + (double)gsl_rng_uniform_int(rng, 5);
        }
        uint64_t n = plain_greedy(&sets, cost, 14, pick);
        for (int lazy = 0; lazy < 2; lazy++) {
            tamis__candidates c = {
                .context = context, .rows = SETS, .cost = cost, .allowance = 14, .budget = SETS};
            tamis__picks p = {0};
            sets.covered = 0;
            sets.asked = 0;
            tamis__gain g = {&sets, lazy != 0, gain, add};
            ck_ok(tamis__picks_init(&p, &c, &err));
            ck_ok(tamis__greedy(&p, &g, &err));
            ck_assert_uint_eq(p.n, n);
            ck_assert_mem_eq(p.row, pick, n * sizeof *pick);
            tamis__picks_fini(&p);
            asked[lazy] = sets.asked;
        }
        ck_assert_int_lt(asked[1], asked[0]);
    }
    gsl_rng_free(rng);
}
END_TEST

static tamis_status no_gain(void *arg, uint64_t row, double *ret_gain, tamis_error *unused)
{
    (void)arg;
    (void)row;
    (void)unused;
    *ret_gain = (double)NAN;
    return TAMIS_OK;
}

START_TEST(refuses_a_gain_that_is_no_number)
{
    tamis__candidates c = {.context = context, .rows = 3, .budget = 1};
    tamis__picks p = {0};
    tamis__gain g = {.gain = no_gain};
    ck_ok(tamis__picks_init(&p, &c, &err));
    ck_fails(tamis__greedy(&p, &g, &err), TAMIS_ERR_NUMERIC, "row 0: what it adds");
    tamis__picks_fini(&p);
}
END_TEST

/* --- the law of gumbel-top-k ------------------------------------------------------------------ */

/* Two of four rows drawn without replacement in proportion to weights: the probability of every
 * ordered pair is w_i / W * w_j / (W - w_i). The other sign of the noise gives other ones. */
START_TEST(gumbel_draws_by_its_law)
{
    enum { N = 4, DRAWS = 40000 };
    const double weight[N] = {1, 2, 3, 6}, temperature = 2;
    double value[N], found[N][N] = {{0}};
    bool weights = _i == 1;
    for (int i = 0; i < N; i++)
        value[i] = weights ? pow(weight[i], temperature) : temperature * log(weight[i]);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        tamis__candidates c = {.context = context,
                               .rows = N,
                               .value = value,
                               .value_name = "score",
                               .budget = 2,
                               .budget_text = "2",
                               .seed = seed};
        tamis_selection *s = NULL;
        ck_ok(run(weights ? "gumbel-top-k:temperature=2,values=weights"
                          : "gumbel-top-k:temperature=2",
                  &c, &s));
        int pair[2] = {-1, -1};
        for (int i = 0; i < N; i++)
            if (s->rank[i] < 2) pair[s->rank[i]] = i;
        found[pair[0]][pair[1]] += 1.0 / DRAWS;
        tamis_selection_free(&s);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double p = i == j ? 0 : weight[i] / 12 * weight[j] / (12 - weight[i]);
            ck_assert_double_le(fabs(found[i][j] - p), 4 * sqrt(p * (1 - p) / DRAWS));
        }
}
END_TEST

START_TEST(gumbel_at_its_ends)
{
    const double value[] = {0.25, 3, -1, 3, 2}, weight[] = {1, 0, -2};
    tamis__candidates c = {.context = context,
                           .rows = 5,
                           .value = value,
                           .value_name = "score",
                           .budget = 3,
                           .budget_text = "3",
                           .seed = 9};
    tamis_selection *s = NULL;
    ck_ok(run("gumbel-top-k:temperature=0", &c, &s));
    const uint64_t rank[] = {3, 0, 4, 1, 2};
    ck_assert_mem_eq(s->rank, rank, sizeof rank);
    ck_assert_str_eq(reason(s, 1), "drawn by score (3 of 5, seed 9)");
    tamis_selection_free(&s);
    c.value = weight;
    c.rows = 3;
    ck_fails(run("gumbel-top-k:values=weights", &c, &s), TAMIS_ERR_ARG,
             "row 2: a weight of -2 is negative");
}
END_TEST

/* --- quotas ----------------------------------------------------------------------------------- */

START_TEST(smallest_first_as_worked_by_hand)
{
    const uint64_t size[] = {10, 0, 2, 5, 2}, wanted[] = {4, 0, 2, 4, 2};
    uint64_t quota[5], sum = 0;
    /* 12: 2 of 12/4, 2 of 10/3, 4 of 8/2, 4. */
    ck_ok(tamis__quotas_smallest_first(size, 5, 12, quota, &err));
    ck_assert_mem_eq(quota, wanted, sizeof wanted);
    ck_ok(tamis__quotas_smallest_first(size, 5, 100, quota, &err));
    ck_assert_mem_eq(quota, size, sizeof size);
    for (uint64_t total = 0; total <= 19; total++) {
        ck_ok(tamis__quotas_smallest_first(size, 5, total, quota, &err));
        sum = 0;
        for (int i = 0; i < 5; i++) sum += quota[i];
        ck_assert_uint_eq(sum, total);
    }
}
END_TEST

START_TEST(quotas_keep_their_bounds)
{
    const double weight[] = {60, 30, 10, 0};
    const uint64_t low[] = {0, 0, 5, 0}, high[] = {6, 30, 10, 0};
    uint64_t quota[4];
    /* 20: shares 12 6 2 0; the first is over by 6, the third under by 3: 6, then 14 as 10.5 3.5;
     * the third is under by 1 or 2: 5, and 9. */
    ck_ok(tamis__quotas_bounded(weight, low, high, 4, 20, quota, &err));
    ck_assert_uint_eq(quota[0], 6);
    ck_assert_uint_eq(quota[1], 9);
    ck_assert_uint_eq(quota[2], 5);
    ck_assert_uint_eq(quota[3], 0);
    ck_fails(tamis__quotas_bounded(weight, low, high, 4, 47, quota, &err), TAMIS_ERR_ARG,
             "no more than 46 rows can be kept of all strata, the budget is 47");
    ck_fails(tamis__quotas_bounded(weight, low, high, 4, 4, quota, &err), TAMIS_ERR_ARG,
             "the strata want at least 5 rows together, the budget is 4");
    gsl_rng *rng = tamis__rng_create();
    for (uint64_t round = 0; round < 500; round++) {
        double w[8];
        uint64_t l[8], h[8], q[8], least = 0, most = 0, sum = 0;
        tamis__rng_key(rng, 4, TAMIS__STREAM_TEST, round);
        for (int i = 0; i < 8; i++) {
            w[i] = (double)gsl_rng_uniform_int(rng, 20);
            l[i] = gsl_rng_uniform_int(rng, 5);
            h[i] = l[i] + gsl_rng_uniform_int(rng, 10);
            least += l[i];
            most += h[i];
        }
        uint64_t total = least + (most > least ? gsl_rng_uniform_int(rng, most - least) : 0);
        ck_ok(tamis__quotas_bounded(w, l, h, 8, total, q, &err));
        for (int i = 0; i < 8; i++) {
            ck_assert(q[i] >= l[i] && q[i] <= h[i]);
            sum += q[i];
        }
        ck_assert_uint_eq(sum, total);
    }
    gsl_rng_free(rng);
}
END_TEST

/* --- strata ----------------------------------------------------------------------------------- */

/* Pruned by plain sorting, cut and filled by plain loops. */
START_TEST(strata_as_plain_loops)
{
    enum { N = 300, K = 7, BUDGET = 60 };
    double value[N];
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 8, TAMIS__STREAM_TEST, (uint64_t)_i);
    for (int i = 0; i < N; i++)
        value[i] = _i == 1 ? floor(4 * gsl_rng_uniform(rng)) : _i == 2 ? 5 : gsl_rng_uniform(rng);
    for (int low = 0; low < 2; low++) {
        bool out[N] = {false};
        double least = HUGE_VAL, most = -HUGE_VAL;
        uint64_t size[K] = {0}, quota[K], kept[K] = {0};
        for (int k = 0; k < 30; k++) { /* a tenth */
            int worst = -1;
            for (int i = 0; i < N; i++)
                if (!out[i] &&
                    (worst < 0 || (low ? value[i] < value[worst] : value[i] > value[worst])))
                    worst = i;
            out[worst] = true;
        }
        for (int i = 0; i < N; i++)
            if (!out[i]) least = fmin(least, value[i]), most = fmax(most, value[i]);
        int of[N];
        for (int i = 0; i < N; i++) {
            of[i] = most > least ? (int)floor((value[i] - least) / ((most - least) / K)) : 0;
            if (of[i] >= K) of[i] = K - 1;
            if (!out[i]) size[of[i]]++;
        }
        ck_ok(tamis__quotas_smallest_first(size, K, BUDGET, quota, &err));
        tamis__candidates c = {.context = context,
                               .rows = N,
                               .value = value,
                               .value_name = "score",
                               .budget = BUDGET,
                               .budget_text = "60",
                               .seed = 1};
        tamis_selection *s = NULL;
        ck_ok(run(low ? "stratified:strata=7,prune=0.1,end=low" : "stratified:strata=7,prune=0.1",
                  &c, &s));
        for (int i = 0; i < N; i++) {
            ck_assert(!(out[i] && s->keep[i]));
            ck_assert_int_eq(!strncmp(reason(s, (uint64_t)i), "pruned: ", 8), out[i]);
            if (s->keep[i]) kept[of[i]]++;
        }
        ck_assert_mem_eq(kept, quota, sizeof quota);
        tamis_selection_free(&s);
    }
    gsl_rng_free(rng);
}
END_TEST

START_TEST(groups_get_their_quotas)
{
    enum { N = 20 };
    double value[N];
    int32_t of[N];
    static const char *const names[] = {"big", "small", "empty"};
    for (int i = 0; i < N; i++) {
        value[i] = i % 7;
        of[i] = i < 14 ? 0 : i < 18 ? 1 : -1;
    }
    tamis__groups group = {N, 3, of, names};
    tamis__candidates c = {.context = context,
                           .rows = N,
                           .value = value,
                           .value_name = "score",
                           .budget = 10,
                           .budget_text = "50%",
                           .group = &group};
    tamis_selection *s = NULL;
    ck_ok(run("stratified:by=group,within=top", &c, &s));
    /* 7 of 14, 2 of 4, 1 of 2: in each the highest, ties to the lower row. */
    for (int i = 0; i < 14; i++)
        ck_assert_uint_eq(s->keep[i],
                          i == 13 || i == 6 || i == 12 || i == 5 || i == 11 || i == 4 || i == 3);
    ck_assert_uint_eq(s->keep[14] + s->keep[15] + s->keep[16] + s->keep[17], 2);
    ck_assert_uint_eq(s->keep[18] + s->keep[19], 1);
    ck_assert_str_eq(reason(s, 6), "the highest 7 of 14 in group big");
    ck_assert_str_eq(reason(s, 0), "not among the highest 7 of 14 in group big");
    tamis_selection_free(&s);
    ck_ok(run("stratified:by=group,quota=equal", &c, &s));
    uint64_t kept[3] = {0};
    for (int i = 0; i < N; i++) kept[of[i] < 0 ? 2 : of[i]] += s->keep[i];
    ck_assert_uint_eq(kept[0], 4); /* 10 / 3 each, but there are 2 of the last: 8 for two */
    ck_assert_uint_eq(kept[1], 4);
    ck_assert_uint_eq(kept[2], 2);
    tamis_selection_free(&s);
    ck_ok(run("stratified:by=group,most=6,least=3", &c, &s));
    for (int i = 0; i < 3; i++) kept[i] = 0;
    for (int i = 0; i < N; i++) kept[of[i] < 0 ? 2 : of[i]] += s->keep[i];
    ck_assert(kept[0] <= 6 && kept[1] >= 3 && kept[2] == 2);
    ck_assert_uint_eq(kept[0] + kept[1] + kept[2], 10);
    tamis_selection_free(&s);
    ck_fails(run("stratified:by=group,most=3", &c, &s), TAMIS_ERR_ARG, "no more than 8 rows");
    c.group = NULL;
    ck_fails(run("stratified:by=group", &c, &s), TAMIS_ERR_ARG, "needs groups or labels");
    ck_fails(run("stratified:quota=equal", &c, &s), TAMIS_ERR_ARG, "quota= is of groups");
    ck_fails(run("stratified:prune=0.9", &c, &s), TAMIS_ERR_ARG, "prune=0.9 leaves 2 rows");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("quotas");
    TCase *t = tcase_create("quotas");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, walks_within_a_budget_of_costs);
    tcase_add_test(t, costs_add_up_to_the_budget);
    tcase_add_test(t, orders_by_value_for_cost);
    tcase_add_test(t, greedy_as_plain_loops);
    tcase_add_test(t, refuses_a_gain_that_is_no_number);
    tcase_add_loop_test(t, gumbel_draws_by_its_law, 0, 2);
    tcase_add_test(t, gumbel_at_its_ends);
    tcase_add_test(t, smallest_first_as_worked_by_hand);
    tcase_add_test(t, quotas_keep_their_bounds);
    tcase_add_loop_test(t, strata_as_plain_loops, 0, 3);
    tcase_add_test(t, groups_get_their_quotas);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
