/* Rotations and damped spectra against plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "curvature/basis.h"
#include "curvature/spectrum.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

static tamis_error err;

static void fill(double *out, size_t n, uint64_t item)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 7, TAMIS__STREAM_TEST, item);
    for (size_t i = 0; i < n; i++) out[i] = 2.0 * gsl_rng_uniform(rng) - 1.0;
    gsl_rng_free(rng);
}

/* An orthogonal basis of `n` in `blocks` blocks, the last the widest. */
static tamis__basis make_basis(uint64_t n, uint32_t blocks, uint64_t item)
{
    tamis__basis b = {.n = n, .blocks = blocks};
    if (!blocks) return b;
    b.first = calloc(blocks + 1, sizeof *b.first);
    b.vectors = calloc(blocks, sizeof *b.vectors);
    b.values = calloc(n, sizeof *b.values);
    for (uint32_t i = 0; i < blocks; i++) b.first[i] = i * (n / (blocks + 1));
    b.first[blocks] = n;
    for (uint32_t i = 0; i < blocks; i++) {
        size_t size = b.first[i + 1] - b.first[i];
        double *m = calloc(size * size, sizeof *m);
        fill(m, size * size, item * 100 + i);
        for (size_t r = 0; r < size; r++)
            for (size_t c = 0; c < r; c++) m[c * size + r] = m[r * size + c];
        ck_ok(tamis__symmetric_eigen(size, m, size, true, b.values + b.first[i], &err));
        b.vectors[i] = m;
    }
    return b;
}

/* Q [n, n] with eigenvectors in columns. */
static double *dense(const tamis__basis *b)
{
    double *q = calloc(b->n * b->n, sizeof *q);
    for (uint64_t i = 0; i < b->n && b->blocks == 0; i++) q[i * b->n + i] = 1.0;
    for (uint32_t k = 0; k < b->blocks; k++) {
        uint64_t first = b->first[k], size = b->first[k + 1] - first;
        for (uint64_t e = 0; e < size; e++)
            for (uint64_t c = 0; c < size; c++)
                q[(first + c) * b->n + first + e] = b->vectors[k][e * size + c];
    }
    return q;
}

static const struct {
    uint64_t s, a;
    uint32_t s_blocks, a_blocks;
} shapes[] = {{1, 1, 1, 1}, {5, 7, 1, 1}, {6, 11, 2, 3}, {33, 65, 1, 4},
              {9, 4, 0, 1}, {4, 9, 2, 0}, {3, 8, 0, 0}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(test_rotate)
{
    uint64_t n = shapes[_i].a, rows = 13, ldx = n + 3, ldo = n + 2;
    tamis__basis b = make_basis(n, shapes[_i].a_blocks, 1);
    double *q = dense(&b), *x = calloc(rows * ldx, sizeof *x), *out = calloc(rows * ldo, sizeof *x);
    fill(x, rows * ldx, 2);
    for (int back = 0; back < 2; back++) {
        for (uint64_t i = 0; i < rows * ldo; i++) out[i] = -77.0;
        tamis__blas_begin();
        tamis__basis_rotate(&b, back, rows, x, ldx, out, ldo);
        tamis__blas_end();
        for (uint64_t i = 0; i < rows; i++)
            for (uint64_t j = 0; j < ldo; j++) {
                double want = 0;
                for (uint64_t c = 0; c < n && j < n; c++)
                    want += x[i * ldx + c] * (back ? q[j * n + c] : q[c * n + j]);
                if (j < n)
                    ck_assert_double_eq_tol(out[i * ldo + j], want, 1e-13);
                else
                    ck_assert_double_eq(out[i * ldo + j], -77.0);
            }
    }
    free(q);
    free(x);
    free(out);
    tamis__basis_fini(&b);
    ck_assert_uint_eq(b.n, 0);
}
END_TEST

START_TEST(test_rotate_both)
{
    uint64_t s = shapes[_i].s, a = shapes[_i].a;
    tamis__basis bs = make_basis(s, shapes[_i].s_blocks, 3),
                 ba = make_basis(a, shapes[_i].a_blocks, 4);
    double *qs = dense(&bs), *qa = dense(&ba), *v = calloc(s * a, sizeof *v);
    double *scratch = calloc(s * a, sizeof *v), *out = calloc(s * a, sizeof *v);
    double *again = calloc(s * a, sizeof *v);
    fill(v, s * a, 5);
    tamis__blas_begin();
    tamis__basis_rotate_both(&bs, &ba, false, v, scratch, out);
    tamis__basis_rotate_both(&bs, &ba, true, out, scratch, again);
    tamis__blas_end();
    for (uint64_t i = 0; i < s; i++)
        for (uint64_t j = 0; j < a; j++) {
            double want = 0; /* (Q_S^T V Q_A)_ij */
            for (uint64_t k = 0; k < s; k++)
                for (uint64_t l = 0; l < a; l++)
                    want += qs[k * s + i] * v[k * a + l] * qa[l * a + j];
            ck_assert_double_eq_tol(out[i * a + j], want, 1e-13);
            ck_assert_double_eq_tol(again[i * a + j], v[i * a + j], 1e-13);
        }
    free(qs);
    free(qa);
    free(v);
    free(scratch);
    free(out);
    free(again);
    tamis__basis_fini(&bs);
    tamis__basis_fini(&ba);
}
END_TEST

static tamis__spectrum make_spectrum(uint64_t out, uint64_t in)
{
    tamis__spectrum s = {.out = out, .in = in, .layer = {.name = "dense"}};
    s.lambda = calloc(out * in, sizeof *s.lambda);
    for (uint64_t i = 0; i < out * in; i++) s.lambda[i] = (double)(i % 5);
    return s;
}

START_TEST(test_damp)
{
    tamis__spectrum s = make_spectrum(5, 3);
    for (int relative = 0; relative < 2; relative++) {
        ck_ok(tamis__spectrum_damp(&s, (tamis__damping){0.25, relative}, &err));
        double want = relative ? 0.25 * 2.0 : 0.25; /* the mean of 0 .. 4 is 2 */
        ck_assert_double_eq(s.damping, want);
        for (uint64_t i = 0; i < 15; i++)
            ck_assert_double_eq_tol(s.inverse[i], 1.0 / ((double)(i % 5) + want), 1e-15);
    }
    /* Lambda has zeros: no damping has no inverse, and what was there stays. */
    ck_fails(tamis__spectrum_damp(&s, (tamis__damping){0, false}, &err), TAMIS_ERR_NUMERIC,
             "layer 'dense': lambda 0 and damping 0 at (0, 0)");
    ck_assert_double_eq(s.damping, 0.5);
    ck_fails(tamis__spectrum_damp(&s, (tamis__damping){-1, false}, &err), TAMIS_ERR_ARG, "damping");
    ck_fails(tamis__spectrum_damp(&s, (tamis__damping){(double)NAN, true}, &err), TAMIS_ERR_ARG,
             "damping");
    ck_fails(tamis__spectrum_damp(&s, (tamis__damping){(double)INFINITY, false}, &err),
             TAMIS_ERR_ARG, "damping");
    for (uint64_t i = 0; i < 15; i++) s.lambda[i] = 1.0;
    ck_ok(tamis__spectrum_damp(&s, (tamis__damping){0, true}, &err));
    ck_assert_double_eq(s.inverse[3], 1.0);
    tamis__spectrum_fini(&s);
    tamis__spectrum_fini(&s);
}
END_TEST

START_TEST(test_damp_memory)
{
    tamis__spectrum s = make_spectrum(5, 3);
    tamis__fault_memory_after(0);
    tamis_status status = tamis__spectrum_damp(&s, (tamis__damping){1, false}, &err);
    tamis__fault_memory_after(-1);
    ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    ck_assert_ptr_null(s.inverse);
    tamis__spectrum_fini(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature basis");
    TCase *tc = tcase_create("basis");
    tcase_add_loop_test(tc, test_rotate, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_rotate_both, 0, N_SHAPES);
    tcase_add_test(tc, test_damp);
    tcase_add_test(tc, test_damp_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
