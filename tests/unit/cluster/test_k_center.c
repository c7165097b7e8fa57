/* k-center against plain loops and the best of all choices.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/k_center.h"
#include "points.h"

enum { N = 600, P = 11 };

static void run(const float *x, uint64_t n, uint64_t p, uint64_t given, uint64_t wanted,
                uint64_t *order)
{
    tamis__row_dots dots;
    double *square = calloc(n, sizeof *square), *near = malloc(n * sizeof *near);
    double *centre = calloc(p, sizeof *centre);
    tamis__row_dots_init(&dots, 0);
    for (uint64_t i = 0; i < n; i++) square[i] = square_between(x + i * p, centre, p);
    const tamis__k_center problem = {&dots, x, square, n, p, near, centre};
    tamis__k_center_find(&problem, given, wanted, order);
    free(square);
    free(near);
    free(centre);
}

static double between(const float *x, uint64_t a, uint64_t b, uint64_t p)
{
    double sum = 0;
    for (uint64_t c = 0; c < p; c++) {
        double d = (double)x[a * p + c] - (double)x[b * p + c];
        sum += d * d;
    }
    return sqrt(sum);
}

/* Every pick is the farthest point from those before it. */
START_TEST(picks_are_the_farthest)
{
    float x[N * P];
    uint64_t order[N] = {17, 3, 99};
    make_blobs(x, N, P, 5, 2, 0, 1);
    run(x, N, P, 3, N, order);
    ck_assert(order[0] == 17 && order[1] == 3 && order[2] == 99);
    for (uint64_t at = 3; at < N; at++) {
        double most = -1;
        uint64_t best = 0;
        for (uint64_t i = 0; i < N; i++) {
            double least = (double)INFINITY;
            for (uint64_t k = 0; k < at; k++)
                least = fmin(least, order[k] == i ? -1 : between(x, i, order[k], P));
            if (least > most) most = least, best = i;
        }
        ck_assert_uint_eq(order[at], best);
    }
}
END_TEST

static double radius(const float *x, uint64_t n, const uint64_t *pick, uint64_t k)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        double least = (double)INFINITY;
        for (uint64_t j = 0; j < k; j++) least = fmin(least, between(x, i, pick[j], 2));
        most = fmax(most, least);
    }
    return most;
}

/* At most twice the radius of the best three points of all. */
START_TEST(radius_is_within_twice_the_best)
{
    for (int trial = 0; trial < 50; trial++) {
        float x[24];
        double best = (double)INFINITY;
        uint64_t order[3] = {0};
        draws = (uint64_t)trial;
        for (int i = 0; i < 24; i++) x[i] = (float)draw();
        for (uint64_t a = 0; a < 12; a++)
            for (uint64_t b = 0; b < a; b++)
                for (uint64_t c = 0; c < b; c++)
                    best = fmin(best, radius(x, 12, (uint64_t[]){a, b, c}, 3));
        run(x, 12, 2, 1, 3, order);
        ck_assert_double_le(radius(x, 12, order, 3), 2 * best * (1 + 1e-12));
    }
}
END_TEST

/* Copies come last, ascending, and every point comes once. */
START_TEST(copies_come_last)
{
    enum { COPIES = 5, ALL = 60 };
    float x[ALL * 2];
    uint64_t order[ALL] = {4};
    bool seen[ALL] = {0};
    draws = 1;
    for (int i = 0; i < ALL * 2; i++)
        x[i] = i < ALL / COPIES * 2 ? (float)draw() : x[i - ALL / COPIES * 2];
    run(x, ALL, 2, 1, ALL, order);
    for (int i = 0; i < ALL; i++) {
        ck_assert(!seen[order[i]]);
        seen[order[i]] = true;
        ck_assert((order[i] < ALL / COPIES) == (i < ALL / COPIES));
        if (i > ALL / COPIES) ck_assert_uint_gt(order[i], order[i - 1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("k-center");
    TCase *tc = tcase_create("k-center");
    tcase_add_test(tc, picks_are_the_farthest);
    tcase_add_test(tc, radius_is_within_twice_the_best);
    tcase_add_test(tc, copies_come_last);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
