/* Strata with costs, against plain loops over all rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/select.h>

#include "base/rng.h"
#include "select/quotas.h"
#include "small_files.h"

enum { N = 160, MOST_STRATA = 12 };

static tamis_error err;
static tamis_context *context;
static tamis_scores *scores;
static float value[N];
static double cost[N];
static int32_t group[N];
static uint64_t keep[3] = {4, 50, 120}, drop[4] = {0, 33, 34, 159};

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_scores_close(&scores);
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Values of four kinds, costs of four: whole, all 1, many 0, and tenths. */
static void make(int kind, int costs)
{
    static const char *const name[] = {"a", "b", "c", "nobody"};
    gsl_rng *rng = tamis__rng_create();
    for (uint64_t i = 0; i < N; i++) {
        tamis__rng_key(rng, 77, TAMIS__STREAM_TEST, i);
        double u = gsl_rng_uniform(rng), v = gsl_rng_uniform(rng);
        value[i] = kind == 0   ? (float)u
                   : kind == 1 ? (float)(int)(5 * u)
                   : kind == 2 ? 3
                               : -(float)(u * u);
        double whole = floor(9 * v);
        cost[i] = costs == 0   ? whole + 1
                  : costs == 1 ? 1
                  : costs == 2 ? (whole > 4 ? whole : 0)
                               : whole / 10;
        group[i] = i == 7 ? 2 : i % 3 == 2 ? -1 : (int32_t)(i % 16 > 0);
    }
    gsl_rng_free(rng);
    tamis_examples examples = {.group = group, .group_name = name, .groups = 4};
    tamis_scores_close(&scores);
    small_scores(context, "s.h5", N, 1, value, &examples, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
}

static tamis_status choose(const char *selector, const char *budget, bool costs, bool lists,
                           tamis_selection **ret)
{
    tamis_select_params p = {.selector = selector,
                             .scores = scores,
                             .budget = budget,
                             .seed = 5,
                             .cost = costs ? cost : NULL,
                             .cost_name = "tokens"};
    if (lists) {
        p.must_keep = keep;
        p.n_must_keep = 3;
        p.must_drop = drop;
        p.n_must_drop = 4;
    }
    return tamis_select(ret, context, &p, &err);
}

/* --- plain loops ------------------------------------------------------------------------------ */

typedef struct plain {
    int of[N], strata; /* -1 = not to be chosen from */
    double key[N];     /* highest first */
    double left, share[MOST_STRATA], spent[MOST_STRATA], high[MOST_STRATA];
    bool in[N];
} plain;

/* Among rows of one key those of higher values come first, then the lower ones. */
static bool before(const plain *p, int i, int j)
{
    if (p->key[i] != p->key[j]) return p->key[i] > p->key[j];
    return value[i] != value[j] ? value[i] > value[j] : i < j;
}

/* The best row of a stratum that costs at most so much; -1 = none. */
static int best_row(const plain *p, int k, double most, const bool *tried)
{
    int best = -1;
    for (int i = 0; i < N; i++) {
        if (p->of[i] != k || p->in[i] || tried[i] || cost[i] > most + 1e-9) continue;
        if (best < 0 || before(p, i, best)) best = i;
    }
    return best;
}

static void put(plain *p, int i)
{
    p->in[i] = true;
    p->left -= cost[i];
    p->spent[p->of[i]] += cost[i];
}

/* In its order: a row that does not fit any more is not looked at again. */
static void plain_fill(plain *p, int k)
{
    bool tried[N] = {false};
    for (int i; (i = best_row(p, k, HUGE_VAL, tried)) >= 0; tried[i] = true)
        if (cost[i] <= fmin(p->share[k] - p->spent[k], p->left) + 1e-9) put(p, i);
}

static void plain_rest(plain *p)
{
    static const bool none[N];
    for (;;) {
        int row = -1, at = -1;
        for (int k = 0; k < p->strata; k++) {
            int i = best_row(p, k, fmin(p->left, p->high[k] - p->spent[k]), none);
            if (i < 0) continue;
            if (at >= 0 && p->share[k] - p->spent[k] <= p->share[at] - p->spent[at]) continue;
            row = i;
            at = k;
        }
        if (row < 0) return;
        put(p, row);
    }
}

static void plain_by_value(plain *p)
{
    double all[MOST_STRATA] = {0}, left = p->left, there = 0;
    bool done[MOST_STRATA] = {false};
    int open = 0, rows[MOST_STRATA] = {0};
    for (int i = 0; i < N; i++)
        if (p->of[i] >= 0) all[p->of[i]] += cost[i], rows[p->of[i]]++, there += cost[i];
    for (int k = 0; k < p->strata; k++) open += rows[k] > 0, p->high[k] = HUGE_VAL;
    left = fmin(left, there);
    for (; open > 0; open--) {
        int k = -1;
        for (int i = 0; i < p->strata; i++)
            if (!done[i] && rows[i] > 0 && (k < 0 || all[i] < all[k])) k = i;
        done[k] = true;
        p->share[k] = fmin(all[k], left / open);
        plain_fill(p, k);
        left -= p->spent[k];
    }
    plain_rest(p);
}

/* Which rows are chosen from, their strata of equal width, and their keys. */
static void lay_out(plain *p, int strata, bool top, bool lists)
{
    double low = HUGE_VAL, high = -HUGE_VAL;
    gsl_rng *rng = tamis__rng_create();
    *p = (plain){.strata = strata};
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3 && lists; k++)
            if (keep[k] == (uint64_t)i) p->of[i] = -1;
        for (int k = 0; k < 4 && lists; k++)
            if (drop[k] == (uint64_t)i) p->of[i] = -1;
        if (p->of[i] < 0) continue;
        low = fmin(low, (double)value[i]);
        high = fmax(high, (double)value[i]);
    }
    for (int i = 0; i < N; i++) {
        double width = (high - low) / strata, above = (double)value[i] - low;
        if (p->of[i] < 0) continue;
        p->of[i] = width > 0 ? (int)fmin(floor(above / width), strata - 1) : 0;
        tamis__rng_key(rng, 5, TAMIS__STREAM_SELECT, (uint64_t)i);
        p->key[i] = top ? (cost[i] > 0 ? above / cost[i] : 1e9 + above) : gsl_rng_uniform(rng);
    }
    gsl_rng_free(rng);
}

static void compare(const plain *p, const tamis_selection *s, bool lists, const char *what)
{
    double spent = 0;
    for (int i = 0; i < N; i++) {
        bool must = false;
        for (int k = 0; k < 3 && lists; k++) must |= keep[k] == (uint64_t)i;
        ck_assert_msg(s->keep[i] == (must || p->in[i]), "%s: row %d", what, i);
        spent += s->keep[i] ? cost[i] : 0;
    }
    for (int i = 0; i < N; i++) {
        if (!p->in[i]) continue;
        for (int j = 0; j < N; j++) /* ranks go by keys */
            if (p->in[j] && before(p, j, i))
                ck_assert_msg(s->rank[j] < s->rank[i], "%s: ranks of %d and %d", what, i, j);
    }
    ck_assert_msg(spent <= 60 + 1e-9, "%s: %g spent", what, spent);
}

START_TEST(values_as_plain_loops)
{
    for (int costs = 0; costs < 4; costs++)
        for (int option = 0; option < 4; option++) {
            bool top = option % 2, lists = option / 2;
            char what[96];
            plain p;
            tamis_selection *s = NULL;
            make(_i, costs);
            lay_out(&p, 7, top, lists);
            p.left = 60;
            for (int k = 0; k < 3 && lists; k++) p.left -= cost[keep[k]];
            plain_by_value(&p);
            snprintf(what, sizeof what, "values %d, costs %d, top %d, lists %d", _i, costs, top,
                     lists);
            ck_ok(choose(top ? "stratified:strata=7,within=top" : "stratified:strata=7", "60", true,
                         lists, &s));
            compare(&p, s, lists, what);
            tamis_selection_free(&s);
        }
}
END_TEST

START_TEST(groups_as_plain_loops)
{
    static const struct {
        const char *selector;
        bool equal, top;
        double least, most;
    } with[] = {{"stratified:by=group", false, false, 0, HUGE_VAL},
                {"stratified:by=group,within=top", false, true, 0, HUGE_VAL},
                {"stratified:by=group,quota=equal", true, false, 0, HUGE_VAL},
                {"stratified:by=group,quota=equal,within=top", true, true, 0, HUGE_VAL},
                {"stratified:by=group,least=13,most=45", false, false, 13, 45}};
    for (int costs = 0; costs < 4; costs++)
        for (int option = 0; option < 10; option++) {
            int w = option / 2;
            bool lists = option % 2;
            char what[96];
            plain p;
            tamis_selection *s = NULL;
            make(_i, costs);
            double weight[5], low[5], high[5], all[5] = {0}, held[5] = {0}, there = 0;
            lay_out(&p, 7, with[w].top, lists);
            p.strata = 5;
            p.left = 60;
            for (int k = 0; k < 3 && lists; k++) {
                int32_t of = group[keep[k]];
                held[of < 0 ? 4 : of] += cost[keep[k]];
                p.left -= cost[keep[k]];
            }
            for (int i = 0; i < N; i++) {
                if (p.of[i] < 0) continue;
                p.of[i] = group[i] < 0 ? 4 : group[i];
                all[p.of[i]] += cost[i];
                there += cost[i];
            }
            double total = fmin(p.left, there);
            for (int k = 0; k < 5; k++) {
                double cap = all[k] + held[k];
                high[k] = fmax(held[k], fmin(cap, with[w].most));
                low[k] = fmax(held[k], fmin(cap, with[w].least));
                weight[k] = cap > 0 ? (with[w].equal ? 1 : cap) : 0;
                total += held[k];
            }
            /* Compared by itself below; where shares tie their last bits count. */
            ck_ok(tamis__shares_bounded(weight, low, high, 5, total, p.share, &err));
            for (int k = 0; k < 5; k++) {
                p.share[k] -= held[k];
                p.high[k] = high[k] - held[k];
            }
            for (int k = 0; k < 5; k++) plain_fill(&p, k);
            plain_rest(&p);
            snprintf(what, sizeof what, "%s, values %d, costs %d, lists %d", with[w].selector, _i,
                     costs, lists);
            ck_ok(choose(with[w].selector, "60", true, lists, &s));
            compare(&p, s, lists, what);
            tamis_selection_free(&s);
        }
}
END_TEST

/* Costs of 1 are rows. */
START_TEST(costs_of_one_are_rows)
{
    static const char *const selector[] = {
        "stratified:strata=7", "stratified:strata=50,prune=0.2", "stratified:strata=3,within=top",
        "stratified:by=group", "stratified:by=group,within=top", "stratified:by=group,quota=equal"};
    for (int kind = 0; kind < 4; kind++) {
        make(kind, 1);
        for (size_t k = 0; k < sizeof selector / sizeof *selector; k++)
            for (int lists = 0; lists < 2; lists++)
                for (int rows = 3; rows < 120; rows += 13) {
                    char budget[24];
                    tamis_selection *a = NULL, *b = NULL;
                    snprintf(budget, sizeof budget, "%d", rows);
                    ck_ok(choose(selector[k], budget, false, lists, &a));
                    ck_ok(choose(selector[k], budget, true, lists, &b));
                    ck_assert_uint_eq(a->kept, (uint64_t)rows);
                    ck_assert_msg(!memcmp(a->keep, b->keep, N), "%s %d", selector[k], rows);
                    ck_assert_mem_eq(a->rank, b->rank, N * sizeof *a->rank);
                    tamis_selection_free(&a);
                    tamis_selection_free(&b);
                }
    }
}
END_TEST

/* Nothing of a budget that some row would fit is left, and a bound of a group is one. */
START_TEST(budgets_are_used_up_and_bounds_kept)
{
    static const char *const budget[] = {"0.3", "1", "7.5", "33", "100%"};
    for (int costs = 0; costs < 4; costs++) {
        make(0, costs);
        for (int k = 0; k < 5; k++) {
            double spent = 0, all = 0, of_b = 0;
            tamis_selection *s = NULL;
            ck_ok(choose("stratified:strata=9", budget[k], true, false, &s));
            for (int i = 0; i < N; i++) {
                all += cost[i];
                spent += s->keep[i] ? cost[i] : 0;
            }
            double allowed = k == 4 ? all : atof(budget[k]);
            ck_assert_double_le(spent, allowed + 1e-9);
            for (int i = 0; i < N; i++) ck_assert(s->keep[i] || cost[i] > allowed - spent - 1e-9);
            tamis_selection_free(&s);
            if (k == 4 || costs == 3) continue;
            ck_ok(choose("stratified:by=group,most=20", budget[k], true, false, &s));
            for (int i = 0; i < N; i++) of_b += group[i] == 1 && s->keep[i] ? cost[i] : 0;
            ck_assert_double_le(of_b, 20);
            tamis_selection_free(&s);
        }
    }
}
END_TEST

/* A share of the rows that may be kept, rounded down: rows that are settled already are not among
 * them. */
START_TEST(prunes_free_rows_and_rounds_down)
{
    tamis_selection *s = NULL;
    const double share = .2;
    uint64_t wanted = (uint64_t)(share * (N - 7)), pruned = 0;
    ck_assert_uint_ne(wanted, (uint64_t)(share * N));
    ck_assert_uint_ne(wanted, (uint64_t)round(share * (N - 7)));
    make(0, 0);
    ck_ok(choose("stratified:prune=.2,end=low", "20", false, true, &s));
    float highest = -HUGE_VALF, lowest = HUGE_VALF;
    for (uint64_t i = 0; i < N; i++) {
        const char *why = s->reason_text[s->reason[i]];
        if (!strncmp(why, "pruned", 6)) {
            pruned++;
            highest = fmaxf(highest, value[i]);
        } else if (strncmp(why, "must be", 7) != 0) {
            lowest = fminf(lowest, value[i]);
        }
    }
    ck_assert_uint_eq(pruned, wanted);
    ck_assert(highest < lowest);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(reasons_tell_costs_and_errors_their_unit)
{
    tamis_selection *s = NULL;
    make(0, 0);
    for (int i = 0; i < N; i++) cost[i] = 2;
    ck_ok(choose("stratified:by=group,most=9", "20", true, false, &s));
    ck_assert_uint_eq(s->kept, 10);
    /* Of 108 tokens 6.6 and more are the shares; a row costs 2. */
    int a = 0, b = 0, none = 0;
    for (int i = 0; i < N; i++) {
        a += s->keep[i] && group[i] == 0;
        b += s->keep[i] && group[i] == 1;
        none += s->keep[i] && group[i] < 0;
    }
    char text[128];
    snprintf(text, sizeof text, "drawn %d of %d in no group, for %d of tokens (its share: ", none,
             53, 2 * none);
    for (int i = 0; i < N; i++)
        if (s->keep[i] && group[i] < 0)
            ck_assert_msg(!strncmp(s->reason_text[s->reason[i]], text, strlen(text)), "%s, not %s",
                          s->reason_text[s->reason[i]], text);
    ck_assert_int_le(b, 4);
    ck_assert_int_ge(a + b + none, 9);
    tamis_selection_free(&s);
    ck_fails(choose("stratified:prune=0.99", "20", true, false, &s), TAMIS_ERR_ARG,
             "prune=0.99 leaves rows of 4 of tokens, the budget '20' wants 20");
    ck_fails(choose("stratified:by=group,most=3", "20", true, false, &s), TAMIS_ERR_ARG,
             "no more than 11 of tokens can be kept of all strata, the budget is 20");
    ck_fails(choose("stratified:by=group,least=7", "20", true, false, &s), TAMIS_ERR_ARG,
             "the strata want at least 23 of tokens together, the budget is 20");
    ck_fails(choose("stratified:end=low", "20", true, false, &s), TAMIS_ERR_ARG,
             "end=low says where rows are pruned");
}
END_TEST

/* Shares by plain halving: the level at which weights times it, cut off at the bounds, are the
 * total. That is what bounded shares are. */
static void shares_by_level(const double *weight, const double *low, const double *high, int n,
                            double total, double *share)
{
    double from = 0, to = 1e6;
    for (int step = 0; step < 200; step++) {
        double level = (from + to) / 2, sum = 0;
        for (int k = 0; k < n; k++) {
            share[k] = fmin(high[k], fmax(low[k], level * weight[k]));
            sum += share[k];
        }
        if (sum < total)
            from = level;
        else
            to = level;
    }
}

START_TEST(shares_keep_their_bounds)
{
    gsl_rng *rng = tamis__rng_create();
    for (uint64_t round = 0; round < 500; round++) {
        double w[8], l[8], h[8], share[8], level[8], least = 0, most = 0, sum = 0;
        tamis__rng_key(rng, 6, TAMIS__STREAM_TEST, round);
        for (int i = 0; i < 8; i++) {
            w[i] = 1 + (double)gsl_rng_uniform_int(rng, 20);
            l[i] = (double)gsl_rng_uniform_int(rng, 5);
            h[i] = l[i] + (double)gsl_rng_uniform_int(rng, 10);
            least += l[i];
            most += h[i];
        }
        double total = least + gsl_rng_uniform(rng) * (most - least);
        ck_ok(tamis__shares_bounded(w, l, h, 8, total, share, &err));
        shares_by_level(w, l, h, 8, total, level);
        for (int i = 0; i < 8; i++) {
            ck_assert_double_eq_tol(share[i], level[i], 1e-9);
            sum += share[i];
        }
        ck_assert_double_eq_tol(sum, total, 1e-9);
    }
    gsl_rng_free(rng);
}
END_TEST

/* Every allocation fails once. */
START_TEST(survives_lack_of_memory)
{
    static const char *const selector[] = {"stratified:strata=5,within=top", "stratified:by=group"};
    make(0, 0);
    for (int k = 0; k < 2; k++) {
        tamis_status status = TAMIS_ERR_NOMEM;
        int failures = -1;
        for (int64_t at = 0; status != TAMIS_OK; at++, failures++) {
            tamis_selection *s = NULL;
            tamis__fault_memory_after(at);
            status = choose(selector[k], "30", true, true, &s);
            tamis__fault_memory_after(-1);
            ck_assert_int_eq(status == TAMIS_OK, s != NULL);
            if (status != TAMIS_OK) ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
            tamis_selection_free(&s);
        }
        ck_assert_int_gt(failures, 10);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("strata");
    TCase *t = tcase_create("strata");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, values_as_plain_loops, 0, 4);
    tcase_add_loop_test(t, groups_as_plain_loops, 0, 4);
    tcase_add_test(t, costs_of_one_are_rows);
    tcase_add_test(t, budgets_are_used_up_and_bounds_kept);
    tcase_add_test(t, prunes_free_rows_and_rounds_down);
    tcase_add_test(t, reasons_tell_costs_and_errors_their_unit);
    tcase_add_test(t, shares_keep_their_bounds);
    tcase_add_test(t, survives_lack_of_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
