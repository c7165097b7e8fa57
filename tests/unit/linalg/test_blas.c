/* The BLAS wrappers against plain loops, and the scopes in which BLAS is single-threaded.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <cblas.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "linalg/blas.h"

static tamis_error err;

/* Small whole numbers: every sum is exact, so results are compared exactly. */
static double whole(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(int)(*state >> 28) - 8.0;
}

enum { MAX = 24 };

static double a64[MAX * MAX], b64[MAX * MAX], c64[MAX * MAX], want[MAX * MAX];
static float a32[MAX * MAX], b32[MAX * MAX], c32[MAX * MAX];

static void fill(unsigned *state)
{
    for (int i = 0; i < MAX * MAX; i++) {
        a32[i] = (float)(a64[i] = whole(state));
        b32[i] = (float)(b64[i] = whole(state));
        c32[i] = (float)(c64[i] = want[i] = whole(state));
    }
}

/* Strides are MAX: wider than the matrices, so what lies between must stay as it is. */
static void check_product(bool ta, bool tb, size_t m, size_t n, size_t k, double alpha, double beta)
{
    unsigned state = (unsigned)(m * 131 + n * 17 + k);
    fill(&state);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += a64[ta ? l * MAX + i : i * MAX + l] * b64[tb ? j * MAX + l : l * MAX + j];
            want[i * MAX + j] = alpha * sum + beta * want[i * MAX + j];
        }
    ck_ok(tamis__dgemm(ta, tb, m, n, k, alpha, a64, MAX, b64, MAX, beta, c64, MAX, &err));
    ck_ok(tamis__sgemm(ta, tb, m, n, k, (float)alpha, a32, MAX, b32, MAX, (float)beta, c32, MAX,
                       &err));
    for (int i = 0; i < MAX * MAX; i++) {
        ck_assert_double_eq(c64[i], want[i]);
        ck_assert_double_eq((double)c32[i], want[i]);
    }
}

START_TEST(test_products)
{
    static const size_t sizes[] = {0, 1, 2, 7, 16, 23};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < N * N * N; i++)
        for (int flags = 0; flags < 4; flags++) {
            size_t m = sizes[i % N], n = sizes[i / N % N], k = sizes[i / N / N];
            check_product(flags & 1, flags & 2, m, n, k, 1.0, 0.0);
            check_product(flags & 1, flags & 2, m, n, k, -2.0, 0.5);
        }
}
END_TEST

/* The lower triangle alone is written. */
START_TEST(test_square)
{
    static const size_t sizes[] = {0, 1, 2, 7, 16, 23};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < N * N * 2; i++) {
        size_t n = sizes[i % N], k = sizes[i / N % N];
        bool t = i >= N * N;
        unsigned state = (unsigned)i;
        fill(&state);
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c <= r; c++) {
                double sum = 0;
                for (size_t l = 0; l < k; l++)
                    sum += a64[t ? l * MAX + r : r * MAX + l] * a64[t ? l * MAX + c : c * MAX + l];
                want[r * MAX + c] = -2.0 * sum + 0.5 * want[r * MAX + c];
            }
        ck_ok(tamis__dsyrk(t, n, k, -2.0, a64, MAX, 0.5, c64, MAX, &err));
        for (int at = 0; at < MAX * MAX; at++) ck_assert_double_eq(c64[at], want[at]);
    }
    ck_fails(tamis__dsyrk(false, 2, 3, 1, a64, 2, 0, c64, 2, &err), TAMIS_ERR_ARG, "overlap");
    ck_fails(tamis__dsyrk(true, 3, 2, 1, a64, 3, 0, c64, 2, &err), TAMIS_ERR_ARG, "overlap");
}
END_TEST

/* beta = 0 clears C even where it holds no number. */
START_TEST(test_beta_zero_clears)
{
    float a[1] = {2}, b[1] = {3}, c[2] = {NAN, INFINITY};
    double d[2] = {(double)NAN, 1};
    ck_ok(tamis__sgemm(false, false, 1, 1, 1, 1, a, 1, b, 1, 0, c, 1, &err));
    ck_assert_double_eq((double)c[0], 6.0);
    c[0] = NAN;
    ck_ok(tamis__sgemm(false, false, 1, 2, 0, 1, a, 1, b, 2, 0, c, 2, &err));
    ck_assert(c[0] == 0.0f && c[1] == 0.0f);
    ck_ok(tamis__dgemm(false, false, 2, 1, 0, 1, NULL, 0, NULL, 1, 0, d, 1, &err));
    ck_assert(d[0] == 0.0 && d[1] == 0.0);
}
END_TEST

START_TEST(test_refusals)
{
    float a[4] = {0}, c[4] = {1, 2, 3, 4};
    double d[4] = {0};
    size_t big = (size_t)INT32_MAX + 1;
    if (sizeof(blasint) == 4) {
        ck_fails(tamis__sgemm(false, false, big, 1, 1, 1, a, 1, a, 1, 0, c, 1, &err),
                 TAMIS_ERR_UNSUPPORTED, "beyond");
        ck_fails(tamis__sgemm(false, false, 1, 1, 1, 1, a, big, a, 1, 0, c, 1, &err),
                 TAMIS_ERR_UNSUPPORTED, "beyond");
        ck_fails(tamis__dgemm(false, false, 1, 1, big, 1, d, big, d, 1, 0, d, 1, &err),
                 TAMIS_ERR_UNSUPPORTED, "beyond");
    }
    ck_fails(tamis__sgemm(false, false, 2, 2, 2, 1, a, 1, a, 2, 0, c, 2, &err), TAMIS_ERR_ARG,
             "overlap");
    ck_fails(tamis__sgemm(false, true, 2, 2, 2, 1, a, 2, a, 1, 0, c, 2, &err), TAMIS_ERR_ARG,
             "overlap");
    ck_fails(tamis__dgemm(false, false, 2, 2, 2, 1, d, 2, d, 2, 0, d, 1, &err), TAMIS_ERR_ARG,
             "overlap");
    ck_assert(c[0] == 1.0f && c[3] == 4.0f);
    ck_assert_int_eq(tamis__sgemm(false, false, 2, 2, 2, 1, a, 1, a, 2, 0, c, 2, NULL),
                     TAMIS_ERR_ARG);
}
END_TEST

/* In the OpenMP flavour only calls are lowered, and the number is the application's. */
static int threads_within(void)
{
    return openblas_get_parallel() == 1 ? 1 : openblas_get_num_threads();
}

START_TEST(test_scopes_nest)
{
    openblas_set_num_threads(3);
    int before = openblas_get_num_threads();
    tamis__blas_begin();
    ck_assert_int_eq(openblas_get_num_threads(), threads_within());
    tamis__blas_begin();
    tamis__blas_end();
    ck_assert_int_eq(openblas_get_num_threads(), threads_within());
    tamis__blas_end();
    ck_assert_int_eq(openblas_get_num_threads(), before);
    openblas_set_num_threads(2);
    before = openblas_get_num_threads();
    tamis__blas_begin();
    ck_assert_int_eq(openblas_get_num_threads(), threads_within());
    tamis__blas_end();
    ck_assert_int_eq(openblas_get_num_threads(), before);
    tamis__blas_end(); /* one too many does no harm */
    tamis__blas_begin();
    ck_assert_int_eq(openblas_get_num_threads(), threads_within());
    tamis__blas_end();
    ck_assert_int_eq(openblas_get_num_threads(), before);
}
END_TEST

static atomic_int wrong;

static void *open_and_close(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        tamis__blas_begin();
        if (openblas_get_num_threads() != threads_within()) atomic_fetch_add(&wrong, 1);
        tamis__blas_end();
    }
    return NULL;
}

START_TEST(test_scopes_of_several_threads)
{
    pthread_t threads[4];
    openblas_set_num_threads(3);
    int before = openblas_get_num_threads();
    tamis__blas_begin(); /* the last scope to close is this one */
    for (int i = 0; i < 4; i++) ck_assert(!pthread_create(&threads[i], NULL, open_and_close, NULL));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(openblas_get_num_threads(), threads_within());
    tamis__blas_end();
    ck_assert_int_eq(openblas_get_num_threads(), before);
    for (int i = 0; i < 4; i++) ck_assert(!pthread_create(&threads[i], NULL, open_and_close, NULL));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(openblas_get_num_threads(), before);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

enum { ROWS = 96, INNER = 700 };
static float big_a[ROWS * INNER], alone[ROWS * ROWS], together[4][ROWS * ROWS];

static void *multiply(void *arg)
{
    for (int i = 0; i < 20; i++)
        if (tamis__sgemm(false, true, ROWS, ROWS, INNER, 1, big_a, INNER, big_a, INNER, 0, arg,
                         ROWS, NULL))
            atomic_fetch_add(&wrong, 1);
    return NULL;
}

START_TEST(test_same_bits_from_several_threads)
{
    pthread_t threads[4];
    unsigned state = 9;
    for (int i = 0; i < ROWS * INNER; i++) big_a[i] = (float)whole(&state) * 0.1f;
    openblas_set_num_threads(2);
    tamis__blas_begin();
    multiply(alone);
    for (int i = 0; i < 4; i++)
        ck_assert(!pthread_create(&threads[i], NULL, multiply, together[i]));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    tamis__blas_end();
    for (int i = 0; i < 4; i++) ck_assert_mem_eq(together[i], alone, sizeof alone);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(test_description)
{
    ck_assert_ptr_nonnull(strstr(tamis__blas_config(), "OpenBLAS"));
    const char *threading = tamis__blas_threading();
    ck_assert(!strcmp(threading, "pthread") || !strcmp(threading, "OpenMP") ||
              !strcmp(threading, "serial"));
}
END_TEST

/* GSL brings a cblas of its own, many times slower; the link order decides which one is called. */
START_TEST(test_products_are_openblas)
{
    Dl_info product, library;
    void *handle = dlsym(RTLD_DEFAULT, "cblas_sgemm"),
         *own = dlsym(RTLD_DEFAULT, "openblas_get_config");
    if (!handle || !own) return; /* linked statically: one library */
    ck_assert(dladdr(handle, &product) && dladdr(own, &library));
    ck_assert_str_eq(product.dli_fname, library.dli_fname);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blas");
    TCase *tc = tcase_create("blas");
    tcase_add_test(tc, test_products);
    tcase_add_test(tc, test_square);
    tcase_add_test(tc, test_beta_zero_clears);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_scopes_nest);
    tcase_add_test(tc, test_scopes_of_several_threads);
    tcase_add_test(tc, test_same_bits_from_several_threads);
    tcase_add_test(tc, test_description);
    tcase_add_test(tc, test_products_are_openblas);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
