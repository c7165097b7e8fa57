/* The TSDS selectors against the problem that they solve, in plain double loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/curvature.h>
#include <tamis/select.h>

#include "select/tsds.h"
#include "small_files.h"

static tamis_context *context;

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

static uint64_t draws = 17;

static double draw(void)
{
    draws = draws * 6364136223846793005u + 1442695040888963407u;
    return (double)(draws >> 11) * 0x1p-53;
}

/* --- the plan --------------------------------------------------------------------------------- */

enum { MOST_N = 24, MOST_M = 6 };

/* A problem with full lists, and its distances by candidate. */
typedef struct scene {
    int n, m;
    double alpha, c, distance[MOST_M][MOST_N], density[MOST_N];
    uint64_t row[MOST_M * MOST_N];
    float cosine[MOST_M * MOST_N];
} scene;

/* Cosines of few values, so that distances tie. */
static void make_scene(scene *s, int n, int m, double alpha, bool dense)
{
    *s = (scene){.n = n, .m = m, .alpha = alpha, .c = 0.5};
    for (int i = 0; i < n; i++) s->density[i] = dense ? 1 + floor(4 * draw()) * 0.7 : 1;
    for (int j = 0; j < m; j++) {
        float cosine[MOST_N];
        for (int i = 0; i < n; i++) {
            cosine[i] = (float)(floor(30 * draw()) / 16 - 0.9);
            s->distance[j][i] = sqrt(2 - 2 * (double)cosine[i]);
        }
        for (int i = 0; i < n; i++) {
            int place = 0;
            for (int k = 0; k < n; k++)
                place += cosine[k] > cosine[i] || (k < i && cosine[k] == cosine[i]);
            s->row[j * n + place] = (uint64_t)i;
            s->cosine[j * n + place] = cosine[i];
        }
    }
}

/* What is minimised, of any plan. */
static double value_of(const scene *s, double plan[MOST_M][MOST_N])
{
    double cost = 0, most = 0;
    for (int j = 0; j < s->m; j++)
        for (int i = 0; i < s->n; i++) {
            cost += plan[j][i] * s->distance[j][i];
            most = fmax(most, plan[j][i] * s->density[i]);
        }
    return s->alpha / s->c * cost + (1 - s->alpha) * s->m * most;
}

/* The cheapest plan whose shares are at most `cap` over their density: nearest first. */
static void fill(const scene *s, double cap, double plan[MOST_M][MOST_N])
{
    for (int j = 0; j < s->m; j++) {
        double left = 1.0 / s->m;
        for (int at = 0; at < s->n; at++) {
            int i = (int)s->row[j * s->n + at];
            double share = fmin(left, cap / s->density[i]);
            plan[j][i] = share;
            left -= share;
        }
    }
}

/* The least value of all caps at which a target uses a candidate up, which are the corners of a
 * convex function of the cap. */
static double least_value(const scene *s)
{
    double least = HUGE_VAL, plan[MOST_M][MOST_N];
    for (int j = 0; j < s->m; j++) {
        double weight = 0;
        for (int at = 0; at < s->n; at++) {
            weight += 1 / s->density[s->row[j * s->n + at]];
            double cap = 1 / (s->m * weight), most = 0;
            fill(s, cap, plan);
            /* A cap under which some target's mass does not fit. */
            for (int k = 0; k < s->m; k++) {
                double sum = 0;
                for (int i = 0; i < s->n; i++) sum += plan[k][i];
                most = fmax(most, fabs(sum * s->m - 1));
            }
            if (most < 1e-9) least = fmin(least, value_of(s, plan));
        }
    }
    return least;
}

static void make_plan(const scene *s, uint64_t k, tamis__tsds_plan *ret)
{
    tamis_error err = {0};
    uint64_t row[MOST_M * MOST_N];
    float cosine[MOST_M * MOST_N];
    for (int j = 0; j < s->m; j++)
        for (uint64_t at = 0; at < k; at++) {
            row[(uint64_t)j * k + at] = s->row[j * s->n + (int)at];
            cosine[(uint64_t)j * k + at] = s->cosine[j * s->n + (int)at];
        }
    const tamis__tsds_problem problem = {.n = (uint64_t)s->n,
                                         .m = (uint64_t)s->m,
                                         .k = k,
                                         .length = k,
                                         .row = row,
                                         .cosine = cosine,
                                         .density = s->density,
                                         .price = s->alpha > 0 ? s->c * (1 - s->alpha) / s->alpha
                                                               : HUGE_VAL};
    ck_ok(tamis__tsds_plan_make(&problem, ret, &err));
}

/* The plan that `spread` stands for, and that its column sums are those given. */
static void ck_plan(const scene *s, const tamis__tsds_plan *found, double plan[MOST_M][MOST_N])
{
    double sum = 0;
    fill(s, 1 / (s->m * found->spread), plan);
    for (int i = 0; i < s->n; i++) {
        double mass = 0;
        for (int j = 0; j < s->m; j++) mass += plan[j][i];
        ck_assert_double_eq_tol(found->mass[i], mass, 1e-12);
        sum += found->mass[i];
    }
    ck_assert_double_eq_tol(sum, 1, 1e-12);
}

/* A step from the plan towards any other, short or long, gains nothing: the value is convex. */
static void ck_no_better(const scene *s, double plan[MOST_M][MOST_N], double least)
{
    double other[MOST_M][MOST_N];
    for (int trial = 0; trial < 400; trial++) {
        double step = pow(10, -6 * draw());
        for (int j = 0; j < s->m; j++) {
            double share[MOST_N], sum = 0;
            for (int i = 0; i < s->n; i++) sum += share[i] = pow(draw(), 1 + trial % 7);
            for (int i = 0; i < s->n; i++)
                other[j][i] = (1 - step) * plan[j][i] + step * share[i] / sum / s->m;
        }
        ck_assert_double_ge(value_of(s, other), least - 1e-12);
    }
}

START_TEST(plans_are_the_best)
{
    static const double alphas[] = {0.02, 0.1, 0.3, 0.6, 0.9, 1};
    double plan[MOST_M][MOST_N];
    int inside = 0;
    for (int trial = 0; trial < 240; trial++) {
        scene s;
        tamis__tsds_plan found = {0};
        make_scene(&s, 1 + trial % MOST_N, 1 + trial % MOST_M, alphas[trial / 40], trial % 2);
        make_plan(&s, (uint64_t)s.n, &found);
        ck_plan(&s, &found, plan);
        double least = least_value(&s), own = value_of(&s, plan);
        ck_assert_double_eq_tol(own, least, 1e-12 * (1 + least));
        ck_no_better(&s, plan, own);
        inside += found.spread > 1 && !found.cut;
        tamis__tsds_plan_fini(&found);
    }
    /* Most of them are no corner cases. */
    ck_assert_int_gt(inside, 60);
}
END_TEST

/* The regulariser of the paper, m max |P_ij - 1 / (m n)|, gives the same plan while a target's mass
 * goes to less than half of the rows: then nothing is further from the mean than the largest
 * share. */
START_TEST(the_regulariser_is_that_of_the_paper)
{
    int seen = 0;
    for (int trial = 0; trial < 60; trial++) {
        scene s;
        double plan[MOST_M][MOST_N], spread = 0, least = HUGE_VAL;
        tamis__tsds_plan found = {0};
        make_scene(&s, MOST_N, 3, 0.5, false);
        make_plan(&s, MOST_N, &found);
        for (int k = 1; k <= s.n; k++) {
            double most = 0, cost = 0;
            fill(&s, 1.0 / (s.m * k), plan);
            for (int j = 0; j < s.m; j++)
                for (int i = 0; i < s.n; i++) {
                    most = fmax(most, fabs(plan[j][i] - 1.0 / (s.m * s.n)));
                    cost += plan[j][i] * s.distance[j][i];
                }
            double value = s.alpha / s.c * cost + (1 - s.alpha) * s.m * most;
            if (value < least - 1e-12) spread = k;
            least = fmin(least, value);
        }
        if (found.spread < s.n / 2.0) {
            ck_assert_double_eq_tol(found.spread, spread, 1e-12);
            seen++;
        }
        tamis__tsds_plan_fini(&found);
    }
    ck_assert_int_gt(seen, 20);
}
END_TEST

/* Short lists give the same plan where it does not use them up, and say so where it does. */
START_TEST(short_lists_are_enough_or_cut)
{
    int cut = 0, enough = 0;
    for (int trial = 0; trial < 60; trial++) {
        scene s;
        tamis__tsds_plan whole = {0}, some = {0};
        make_scene(&s, MOST_N, 4, 0.4, trial % 2);
        make_plan(&s, MOST_N, &whole);
        for (uint64_t k = 1; k <= MOST_N; k++) {
            make_plan(&s, k, &some);
            if (!some.cut) {
                ck_assert(some.spread == whole.spread);
                ck_assert_mem_eq(some.mass, whole.mass, MOST_N * sizeof(double));
            } else {
                ck_assert_double_le(some.spread, whole.spread);
            }
            cut += some.cut;
            enough += !some.cut;
            tamis__tsds_plan_fini(&some);
        }
        tamis__tsds_plan_fini(&whole);
    }
    ck_assert_int_gt(cut, 60);
    ck_assert_int_gt(enough, 60);
}
END_TEST

/* --- selections ------------------------------------------------------------------------------- */

enum { N = 90, M = 7, COLUMNS = 5 };

typedef struct inputs {
    tamis_store *train, *query;
    tamis_curvature *curvature;
} inputs;

static void open_inputs(inputs *in, tamis_context *with, const char *train, const char *query)
{
    tamis_error err = {0};
    *in = (inputs){0};
    ck_ok(tamis_store_open(&in->train, with, train, &err));
    ck_ok(tamis_store_open(&in->query, with, query, &err));
}

static void close_inputs(inputs *in)
{
    tamis_store_close(&in->train);
    tamis_store_close(&in->query);
    tamis_curvature_close(&in->curvature);
}

static tamis_status choose(tamis_context *with, const inputs *in, const char *selector,
                           const char *budget, uint64_t seed, tamis_selection **ret,
                           tamis_error *err)
{
    tamis_select_params params = {.selector = selector,
                                  .train = in->train,
                                  .query = in->query,
                                  .curvature = in->curvature,
                                  .budget = budget,
                                  .seed = seed};
    return tamis_select(ret, with, &params, err);
}

/* Every third candidate is the one before it once more. */
static void small_pair(float *train, float *query)
{
    draws = 17;
    for (int i = 0; i < N * COLUMNS; i++) train[i] = (float)(2 * draw() - 1);
    for (int i = 2; i < N; i += 3)
        memcpy(train + i * COLUMNS, train + (i - 1) * COLUMNS, COLUMNS * sizeof *train);
    for (int i = 0; i < M * COLUMNS; i++) query[i] = (float)(2 * draw() - 1);
    small_store(context, "c.h5", TAMIS_F32, N, COLUMNS, 1, train, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, M, COLUMNS, 1, query, NULL, 0);
}

static double distance(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int c = 0; c < COLUMNS; c++) {
        ab += (double)a[c] * (double)b[c];
        aa += (double)a[c] * (double)a[c];
        bb += (double)b[c] * (double)b[c];
    }
    return sqrt(fmax(2 - 2 * ab / sqrt(aa * bb), 0));
}

/* As tamis__tsds_densities(), of all pairs. */
static double density_by_loops(const float *train, int row, double sigma, int most)
{
    double kernel[N], sum = 0;
    for (int i = 0; i < N; i++) {
        double d = distance(train + row * COLUMNS, train + i * COLUMNS);
        kernel[i] = fmax(0, 1 - d * d / (sigma * sigma));
    }
    for (int k = 0; k < most; k++) {
        int best = 0;
        for (int i = 1; i < N; i++)
            if (kernel[i] > kernel[best]) best = i;
        sum += kernel[best];
        kernel[best] = -1;
    }
    return sum;
}

/* Masses by the best of all caps, of all pairs; distances here are of double precision, so that no
 * two tie but those of copies. */
static void mass_by_loops(const float *train, const float *query, double price,
                          const double *density, double *mass)
{
    double least = HUGE_VAL, each = 1.0 / M;
    double d[M][N];
    int order[M][N];
    for (int j = 0; j < M; j++)
        for (int i = 0; i < N; i++) d[j][i] = distance(train + i * COLUMNS, query + j * COLUMNS);
    for (int j = 0; j < M; j++)
        for (int i = 0; i < N; i++) {
            int place = 0;
            for (int k = 0; k < N; k++) place += d[j][k] < d[j][i] || (k < i && d[j][k] == d[j][i]);
            order[j][place] = i;
        }
    for (int t = 0; t < M; t++) {
        double s = 0;
        for (int at = 0; at < N; at++) {
            double own[N] = {0}, cost = 0;
            s += 1 / density[order[t][at]];
            for (int j = 0; j < M; j++) {
                double left = s;
                for (int k = 0; k < N; k++) {
                    double share = fmin(left, 1 / density[order[j][k]]);
                    own[order[j][k]] += each * share / s;
                    cost += each * share / s * d[j][order[j][k]];
                    left -= share;
                }
                if (left > 1e-9) cost = HUGE_VAL;
            }
            if (cost + price / s >= least) continue;
            least = cost + price / s;
            memcpy(mass, own, sizeof own);
        }
    }
}

static const struct {
    const char *selector;
    double price, sigma;
    int most;
} sums[] = {
    {"knn-uniform:alpha=0.5,c=0.1,neighbours=90", 0.1, 0, 0},
    {"knn-uniform:alpha=0.2,neighbours=90", 4, 0, 0},
    {"knn-uniform:alpha=1", 0, 0, 0},
    {"knn-kde:alpha=0.5,c=0.1,neighbours=90", 0.1, 0.75, 90},
    {"knn-kde:alpha=0.4,c=0.5,neighbours=90,sigma=1.2,kde=4", 0.75, 1.2, 4},
    {"knn-kde:alpha=0.5,c=0.1,neighbours=90,sigma=0", 0.1, 0, 0},
};

START_TEST(scores_are_the_masses_of_plain_loops)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    double density[N], mass[N] = {0};
    tamis_selection *s = NULL;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    for (int i = 0; i < N; i++)
        density[i] = sums[_i].sigma > 0 ? density_by_loops(train, i, sums[_i].sigma, sums[_i].most)
                                        : 1;
    mass_by_loops(train, query, sums[_i].price, density, mass);
    ck_ok(choose(context, &in, sums[_i].selector, "12", 0, &s, &err));
    ck_assert_uint_eq(s->kept, 12);
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol((double)s->score[i], mass[i], 2e-5);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* Copies of a row share what it would have alone; without densities each has as much. */
START_TEST(near_duplicates_share_a_portion)
{
    enum { COPIES = 8 };
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    inputs in;
    double alone[2] = {0}, together[2] = {0};
    small_pair(train, query);
    for (int pass = 0; pass < 2; pass++) {
        open_inputs(&in, context, "c.h5", "t.h5");
        for (int kde = 0; kde < 2; kde++) {
            tamis_selection *s = NULL;
            ck_ok(choose(context, &in,
                         kde ? "knn-kde:alpha=0.3,neighbours=90,sigma=0.05"
                             : "knn-uniform:alpha=0.3,neighbours=90",
                         "5", 0, &s, &err));
            if (pass == 0) alone[kde] = (double)s->score[0];
            for (int i = 0; pass == 1 && i < 3 * COPIES; i += 3)
                together[kde] += (double)s->score[i];
            tamis_selection_free(&s);
        }
        close_inputs(&in);
        /* Rows 0, 3, 6, ... are copies of row 0, which is nobody's copy yet. */
        for (int i = 3; i < 3 * COPIES; i += 3)
            memcpy(train + i * COLUMNS, train, COLUMNS * sizeof *train);
        small_store(context, "d.h5", TAMIS_F32, N, COLUMNS, 1, train, NULL, 0);
        ck_assert_int_eq(rename("d.h5", "c.h5"), 0);
    }
    ck_assert_double_gt(alone[0], 0);
    ck_assert_double_gt(together[0], 4 * alone[0]);
    ck_assert_double_lt(together[1], 1.5 * alone[1]);
    ck_assert_double_gt(together[1], alone[1] / 1.5);
}
END_TEST

/* One row of many draws: as often as its mass says. */
START_TEST(rows_are_drawn_by_their_mass)
{
    enum { SEEDS = 2000 };
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    double share[N], chi = 0, degrees = 0;
    int count[N] = {0};
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        tamis_selection *s = NULL;
        ck_ok(choose(context, &in, "knn-uniform:alpha=0.9", "1", seed, &s, &err));
        for (int i = 0; i < N; i++) {
            count[i] += s->keep[i];
            share[i] = (double)s->score[i];
        }
        tamis_selection_free(&s);
    }
    close_inputs(&in);
    for (int i = 0; i < N; i++) {
        double wanted = share[i] * SEEDS;
        if (wanted == 0) ck_assert_int_eq(count[i], 0);
        if (wanted > 0) chi += (count[i] - wanted) * (count[i] - wanted) / wanted;
        degrees += wanted > 0;
    }
    ck_assert_double_gt(degrees, 10);
    /* Four deviations of its own. */
    ck_assert_double_lt(chi, degrees + 4 * sqrt(2 * degrees));
}
END_TEST

/* Every budget is met; rows without mass come last, the nearest first. */
START_TEST(budgets_are_exact)
{
    static const char *const selectors[] = {"knn-uniform:alpha=0.9", "knn-kde:alpha=0.9",
                                            "knn-uniform:alpha=0.9,draw=largest"};
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    for (int budget = 1; budget <= N; budget += budget < 50 ? 7 : 1)
        for (size_t k = 0; k < 3; k++) {
            char text[16];
            tamis_selection *s = NULL;
            uint64_t row[N], with = 0;
            snprintf(text, sizeof text, "%d", budget);
            ck_ok(choose(context, &in, selectors[k], text, 3, &s, &err));
            ck_assert_uint_eq(s->kept, (uint64_t)budget);
            for (uint64_t i = 0; i < N; i++) {
                ck_assert_uint_lt(s->rank[i], N);
                row[s->rank[i]] = i;
                with += s->score[i] > 0;
                ck_assert_int_eq(s->keep[i], s->rank[i] < (uint64_t)budget);
            }
            for (uint64_t at = 0; at < N; at++) {
                ck_assert(at < with ? s->score[row[at]] > 0 : s->score[row[at]] == 0);
                if (k == 2 && at > 0) ck_assert(s->score[row[at]] <= s->score[row[at - 1]]);
            }
            ck_assert_ptr_nonnull(strstr(s->provenance, "with_mass"));
            tamis_selection_free(&s);
        }
    close_inputs(&in);
}
END_TEST

START_TEST(weights_are_masses)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    tamis_selection *s = NULL;
    double mass = 0, weight = 0;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    ck_ok(choose(context, &in, "knn-kde:alpha=0.3,c=0.2,neighbours=90,weights=mass", "20", 5, &s,
                 &err));
    for (int i = 0; i < N; i++) mass += s->keep[i] ? (double)s->score[i] : 0;
    for (int i = 0; i < N; i++) {
        double wanted = s->keep[i] ? (double)s->score[i] * 20 / mass : 0;
        ck_assert_double_eq_tol((double)s->weight[i], wanted, 1e-5);
    }
    tamis_selection_free(&s);
    ck_ok(choose(context, &in, "knn-kde:alpha=0.3,c=0.2,neighbours=90,weights=mass,repeats=77",
                 "20", 5, &s, &err));
    for (int i = 0; i < N; i++) {
        ck_float(s->weight[i], floorf(s->weight[i]));
        weight += (double)s->weight[i];
    }
    ck_float((float)weight, 77.0f);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* With a limit at which rows of candidates are not held, and lists that grow. */
START_TEST(same_bits_with_any_threads_and_memory)
{
    static const char *const selectors[] = {"knn-uniform:alpha=0.3,whiten=cholesky",
                                            "knn-kde:alpha=0.6,kde=100,weights=mass"};
    enum { ROWS = 20000, WIDTH = 16, TARGETS = 21 };
    tamis_error err = {0};
    float *values = malloc(ROWS * WIDTH * sizeof *values);
    for (int i = 0; i < ROWS * WIDTH; i++) values[i] = (float)(2 * draw() - 1);
    small_store(context, "c.h5", TAMIS_F32, ROWS, WIDTH, 1, values, NULL, 7000);
    small_store(context, "t.h5", TAMIS_F32, TARGETS, WIDTH, 1, values, NULL, 0);
    free(values);
    tamis_context *small = NULL;
    tamis_context_params params = {.threads = 3, .memory = 5 << 20};
    ck_ok(tamis_context_create(&small, &params, &err));
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        tamis_selection *a = NULL, *b = NULL;
        inputs in;
        open_inputs(&in, context, "c.h5", "t.h5");
        ck_ok(choose(context, &in, selectors[i], "300", 5, &a, &err));
        close_inputs(&in);
        open_inputs(&in, small, "c.h5", "t.h5");
        ck_ok(choose(small, &in, selectors[i], "300", 5, &b, &err));
        ck_assert_mem_eq(a->rank, b->rank, ROWS * sizeof *a->rank);
        ck_assert_mem_eq(a->score, b->score, ROWS * sizeof *a->score);
        ck_assert_mem_eq(a->weight, b->weight, ROWS * sizeof *a->weight);
        ck_assert_str_eq(a->provenance, b->provenance);
        close_inputs(&in);
        tamis_selection_free(&a);
        tamis_selection_free(&b);
    }
    tamis_context_destroy(&small);
}
END_TEST

/* One target and one candidate; rows of zeros; rows that are all the same. */
START_TEST(takes_few_and_equal_rows)
{
    tamis_error err = {0};
    float zero[6 * COLUMNS] = {0}, same[6 * COLUMNS];
    for (int i = 0; i < 6 * COLUMNS; i++) same[i] = 1;
    static const char *const train[] = {"one.h5", "zero.h5", "same.h5", "same.h5", "zero.h5"};
    static const char *const query[] = {"one.h5", "one.h5", "same.h5", "zero.h5", "zero.h5"};
    small_store(context, "one.h5", TAMIS_F32, 1, COLUMNS, 1, same, NULL, 0);
    small_store(context, "zero.h5", TAMIS_F32, 6, COLUMNS, 1, zero, NULL, 0);
    small_store(context, "same.h5", TAMIS_F32, 6, COLUMNS, 1, same, NULL, 0);
    for (int i = 0; i < 5; i++)
        for (int kde = 0; kde < 2; kde++) {
            tamis_selection *s = NULL;
            inputs in;
            open_inputs(&in, context, train[i], query[i]);
            ck_ok(choose(context, &in, kde ? "knn-kde:neighbours=9" : "knn-uniform:neighbours=9",
                         i ? "5" : "1", 0, &s, &err));
            ck_assert_uint_eq(s->kept, i ? 5 : 1);
            for (uint64_t k = 0; k < s->rows; k++)
                ck_assert_double_eq_tol((double)s->score[k], 1.0 / (double)s->rows, 1e-6);
            tamis_selection_free(&s);
            close_inputs(&in);
        }
}
END_TEST

/* --- what can be wrong ------------------------------------------------------------------------ */

static const struct {
    const char *selector, *budget, *query, *text;
    tamis_status status;
} wrong[] = {
    {"knn-uniform", NULL, "t.h5", "needs a budget", TAMIS_ERR_ARG},
    {"knn-uniform", "91", "t.h5", "budget '91'", TAMIS_ERR_ARG},
    {"knn-uniform:alpha=1.5", "5", "t.h5", "alpha", TAMIS_ERR_ARG},
    {"knn-uniform:sigma=1", "5", "t.h5", "sigma", TAMIS_ERR_ARG},
    {"knn-kde:kde=0", "5", "t.h5", "kde", TAMIS_ERR_ARG},
    {"knn-kde:c=0", "5", "t.h5", "c=", TAMIS_ERR_ARG},
    {"knn-kde:repeats=9", "5", "t.h5", "weights=mass", TAMIS_ERR_ARG},
    {"knn-kde:draw=best", "5", "t.h5", "draw", TAMIS_ERR_ARG},
    {"knn-uniform", "5", "wide.h5", "wide.h5", TAMIS_ERR_SHAPE},
    {"knn-uniform", "5", "two.h5", "checkpoints", TAMIS_ERR_SHAPE},
};

START_TEST(refuses_what_is_wrong)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    float train[N * COLUMNS], query[M * COLUMNS];
    inputs in;
    small_pair(train, query);
    small_store(context, "wide.h5", TAMIS_F32, 10, 2 * COLUMNS, 1, train, NULL, 0);
    small_store(context, "two.h5", TAMIS_F32, 10, COLUMNS, 2, train, NULL, 0);
    open_inputs(&in, context, "c.h5", wrong[_i].query);
    ck_fails(choose(context, &in, wrong[_i].selector, wrong[_i].budget, 0, &s, &err),
             wrong[_i].status, wrong[_i].text);
    ck_assert_ptr_null(s);
    close_inputs(&in);
}
END_TEST

/* A curvature whitens, unless the user says that nothing shall. */
START_TEST(whitens_by_a_curvature)
{
    tamis_error err = {0};
    float train[N * COLUMNS], query[M * COLUMNS];
    tamis_selection *plain = NULL, *own = NULL, *given = NULL;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    tamis_store *const with[] = {in.query};
    tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_WHITEN,
                                         .train = in.train,
                                         .with = with,
                                         .n_with = 1,
                                         .until = TAMIS_STAGE_FINAL,
                                         .path = "w.h5"};
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_ok(choose(context, &in, "knn-uniform:alpha=0.5", "9", 0, &plain, &err));
    ck_ok(choose(context, &in, "knn-uniform:alpha=0.5,whiten=cholesky", "9", 0, &own, &err));
    ck_ok(tamis_curvature_open(&in.curvature, context, "w.h5", &err));
    ck_ok(choose(context, &in, "knn-uniform:alpha=0.5", "9", 0, &given, &err));
    ck_assert_mem_eq(own->score, given->score, N * sizeof *own->score);
    ck_assert_mem_ne(own->score, plain->score, N * sizeof *own->score);
    tamis_selection_free(&given);
    ck_fails(choose(context, &in, "knn-uniform:whiten=none", "9", 0, &given, &err), TAMIS_ERR_ARG,
             "leave one out");
    tamis_selection_free(&plain);
    tamis_selection_free(&own);
    close_inputs(&in);
}
END_TEST

START_TEST(survives_failing_memory)
{
    static const char *const selectors[] = {"knn-kde:alpha=0.3,weights=mass,repeats=40",
                                            "knn-uniform:whiten=cholesky,weights=mass"};
    tamis_error err = {0};
    tamis_selection *s = NULL;
    float train[N * COLUMNS], query[M * COLUMNS];
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5");
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        ck_survives(tamis__fault_memory_after,
                    choose(context, &in, selectors[i], "11", 0, &s, &err), "sel.h5");
        tamis_selection_free(&s);
    }
    close_inputs(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tsds");
    TCase *tcase = tcase_create("tsds");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, plans_are_the_best);
    tcase_add_test(tcase, the_regulariser_is_that_of_the_paper);
    tcase_add_test(tcase, short_lists_are_enough_or_cut);
    tcase_add_loop_test(tcase, scores_are_the_masses_of_plain_loops, 0, sizeof sums / sizeof *sums);
    tcase_add_test(tcase, near_duplicates_share_a_portion);
    tcase_add_test(tcase, rows_are_drawn_by_their_mass);
    tcase_add_test(tcase, budgets_are_exact);
    tcase_add_test(tcase, weights_are_masses);
    tcase_add_test(tcase, same_bits_with_any_threads_and_memory);
    tcase_add_test(tcase, takes_few_and_equal_rows);
    tcase_add_loop_test(tcase, refuses_what_is_wrong, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tcase, whitens_by_a_curvature);
    tcase_add_test(tcase, survives_failing_memory);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
