/* Random projections: against the matrix written out as docs/formats.md defines it, in double; bits
 * against processors, batches and runs of columns; mean and variance against the closed form.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <tamis/context.h>

#include "base/context.h"
#include "base/hash.h"
#include "base/mem.h"
#include "project/project.h"

static tamis_error err;

static const unsigned levels[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};

static bool get_level(int i, tamis__kernels *ret_kernels)
{
    if ((levels[i] & tamis__cpu_detect()) != levels[i]) return false;
    tamis__kernels_init(ret_kernels, levels[i]);
    return true;
}

static float value_at(uint64_t i)
{
    return (float)(int64_t)tamis__splitmix(99, i) * 0x1p-63f;
}

static float *values(uint64_t n)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (uint64_t i = 0; i < n; i++) x[i] = value_at(i);
    return x;
}

static tamis__projector *make(const tamis__projection_spec *spec, unsigned cpu)
{
    tamis__kernels kernels;
    tamis__projector *projector = NULL;
    tamis__kernels_init(&kernels, cpu);
    ck_ok(tamis__projector_create(&projector, spec, &kernels, &err));
    return projector;
}

static void project(const tamis__projector *p, uint64_t rows, const float *in, size_t stride,
                    float *out)
{
    void *scratch = tamis__aligned(tamis__projector_scratch(p, rows), 1);
    ck_assert_ptr_nonnull(scratch);
    memset(scratch, 0xff, tamis__projector_scratch(p, rows));
    tamis__project(p, scratch, rows, in, stride, out, tamis__projector_spec(p)->to);
    free(scratch);
}

/* --- the definition --------------------------------------------------------------------------- */

/* Entry of output j and column c, times the square root of nonzeros or of to. */
static int entry(const tamis__projection_spec *spec, uint64_t j, uint64_t c)
{
    uint64_t key = tamis__splitmix(spec->seed, spec->kind);
    if (spec->kind == TAMIS__PROJECTION_RADEMACHER)
        return tamis__splitmix(tamis__splitmix(key, j / 64), c) >> j % 64 & 1 ? -1 : 1;
    uint64_t s = spec->nonzeros, t = 0, group = spec->to / s >= 16 ? 16 : 1;
    while ((t + 1) * spec->to / s <= j) t++;
    uint64_t first = t * spec->to / s, length = (t + 1) * spec->to / s - first;
    uint64_t number = tamis__splitmix(tamis__splitmix(key, t), c / group), lane = c % group;
    uint64_t start = (number >> 24) * length >> 40;
    if (first + (start + lane) % length != j) return 0;
    return number >> lane & 1 ? -1 : 1;
}

static void check_matrix(tamis__projection_spec spec, uint64_t rows)
{
    tamis__projector *p = make(&spec, tamis__cpu_detect());
    spec = *tamis__projector_spec(p);
    double scale = 1 /
                   sqrt((double)(spec.kind == TAMIS__PROJECTION_SPARSE ? spec.nonzeros : spec.to));
    float *in = values(rows * spec.from), *out = malloc(rows * spec.to * sizeof *out);
    project(p, rows, in, spec.from, out);
    for (uint64_t j = 0; j < spec.to; j++)
        for (uint64_t r = 0; r < rows; r++) {
            double sum = 0, size = 0;
            for (uint64_t c = 0; c < spec.from; c++) {
                int e = entry(&spec, j, c);
                sum += e * (double)in[r * spec.from + c];
                size += e ? 1 : 0;
            }
            ck_assert_msg(
                fabs((double)out[r * spec.to + j] - sum * scale) <= 1e-7 * (10 + size) * scale,
                "kind %d, %llu to %llu, nonzeros %llu, row %llu, output %llu: %.9g, not "
                "%.9g",
                (int)spec.kind, (unsigned long long)spec.from, (unsigned long long)spec.to,
                (unsigned long long)spec.nonzeros, (unsigned long long)r, (unsigned long long)j,
                (double)out[r * spec.to + j], sum * scale);
        }
    free(in), free(out);
    tamis__projector_destroy(&p);
}

START_TEST(matrix)
{
    static const uint64_t from[] = {1, 15, 16, 17, 512, 513, 1000, 5000};
    static const uint64_t to[] = {1, 2, 7, 16, 33, 64, 65, 100};
    static const uint64_t nonzeros[] = {0, 1, 2, 3, 7};
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 8; k++) {
            tamis__projection_spec spec = {.seed = 7 + i, .from = from[i], .to = to[k]};
            for (unsigned s = 0; s < 5; s++) {
                spec.nonzeros = nonzeros[s];
                if (spec.nonzeros <= spec.to) check_matrix(spec, 1 + s);
            }
            spec.kind = TAMIS__PROJECTION_RADEMACHER;
            spec.nonzeros = 0;
            check_matrix(spec, 3);
        }
}
END_TEST

/* More columns than a tile, several spans, a last group that is not whole. */
START_TEST(long_rows)
{
    uint64_t from = 2 * TAMIS__PROJECTION_TILE + 1234;
    check_matrix((tamis__projection_spec){.seed = 1, .from = from, .to = 40, .nonzeros = 2}, 2);
    check_matrix((tamis__projection_spec){.seed = 1, .from = from, .to = 40, .nonzeros = 3}, 2);
    check_matrix((tamis__projection_spec){.seed = 1, .from = from, .to = 1100, .nonzeros = 4}, 1);
    check_matrix(
        (tamis__projection_spec){
            .kind = TAMIS__PROJECTION_RADEMACHER, .seed = 1, .from = from, .to = 40},
        2);
}
END_TEST

/* Files say how they were projected, so these numbers may never change. */
START_TEST(pinned)
{
    ck_assert_uint_eq(tamis__splitmix(0, 0), UINT64_C(0xe220a8397b1dcdaf));
    ck_assert_uint_eq(tamis__splitmix(0, 1), UINT64_C(0x6e789e6aa1b965f4));
    ck_assert_uint_eq(tamis__splitmix(1234567, 0), UINT64_C(6457827717110365317));
    ck_assert_uint_eq(tamis__splitmix(1234567, 4), UINT64_C(16408922859458223821));
    ck_assert_int_eq(TAMIS__PROJECTION_NONZEROS, 2);
    float in[40], out[64];
    for (int i = 0; i < 40; i++) in[i] = (float)(i + 1);
    tamis__projection_spec spec = {.seed = 42, .from = 40, .to = 64, .nonzeros = 4};
    tamis__projector *p = make(&spec, 0);
    project(p, 1, in, 40, out);
    const float sparse[] = {4.0f, -12.5f, -34.0f, 21.5f, -37.0f, 1.5f, 7.0f, 31.5f};
    for (int j = 0; j < 8; j++) ck_assert_double_eq((double)out[j], (double)sparse[j]);
    tamis__projector_destroy(&p);
    spec.kind = TAMIS__PROJECTION_RADEMACHER;
    spec.nonzeros = 0;
    p = make(&spec, 0);
    project(p, 1, in, 40, out);
    const float dense[] = {-21.5f, -4.75f, -33.75f, -2.0f, 14.75f, -4.75f, 7.75f, -9.0f};
    for (int j = 0; j < 8; j++) ck_assert_double_eq((double)out[j], (double)dense[j]);
    tamis__projector_destroy(&p);
}
END_TEST

/* --- bits ------------------------------------------------------------------------------------- */

static void by_runs(const tamis__projector *p, uint64_t rows, const float *in, float *out)
{
    uint64_t from = tamis__projector_spec(p)->from, to = tamis__projector_spec(p)->to;
    void *scratch = tamis__aligned(tamis__projector_scratch(p, rows), 1);
    tamis__project_begin(p, scratch, rows);
    for (uint64_t c = 0; c < from; c += TAMIS__PROJECTION_TILE) {
        uint64_t n = from - c < TAMIS__PROJECTION_TILE ? from - c : TAMIS__PROJECTION_TILE;
        tamis__project_columns(p, scratch, rows, c, n, in + c, from);
    }
    tamis__project_end(p, scratch, rows, out, to);
    free(scratch);
}

static void check_bits(const tamis__projection_spec *spec)
{
    enum { ROWS = 5 };
    size_t size = ROWS * spec->to * sizeof(float);
    float *in = values(ROWS * spec->from), *want = malloc(size), *got = malloc(size);
    for (int i = 0; i < 3; i++) {
        tamis__kernels kernels;
        if (!get_level(i, &kernels)) continue;
        tamis__projector *p = make(spec, levels[i]);
        if (i == 0) project(p, ROWS, in, spec->from, want);
        project(p, ROWS, in, spec->from, got);
        ck_assert_mem_eq(got, want, size);
        project(p, 2, in, spec->from, got);
        project(p, 3, in + 2 * spec->from, spec->from, got + 2 * spec->to);
        ck_assert_mem_eq(got, want, size);
        by_runs(p, ROWS, in, got);
        ck_assert_mem_eq(got, want, size);
        tamis__projector_destroy(&p);
    }
    free(in), free(want), free(got);
}

START_TEST(same_bits)
{
    tamis__projection_spec spec = {.seed = 3, .from = 2 * TAMIS__PROJECTION_TILE + 77, .to = 150};
    for (spec.nonzeros = 1; spec.nonzeros < 12; spec.nonzeros += 3) check_bits(&spec);
    spec.nonzeros = 0;
    spec.kind = TAMIS__PROJECTION_RADEMACHER;
    check_bits(&spec);
}
END_TEST

/* --- statistics ------------------------------------------------------------------------------- */

static double dot(const float *x, const float *y, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* The variance of <Sx, Sy>: see sparse.c and rademacher.c. */
static double closed_form(const tamis__projection_spec *spec, const float *x, const float *y)
{
    uint64_t n = spec->from, to = spec->to, s = spec->nonzeros, group = 1;
    double xy = dot(x, y, n), inner = 0, rate = 1 / (double)to;
    if (spec->kind == TAMIS__PROJECTION_SPARSE) {
        group = to / s >= 16 ? 16 : 1;
        rate = 0;
        for (uint64_t t = 0; t < s; t++)
            rate += 1 / (double)((t + 1) * to / s - t * to / s) / (double)(s * s);
    }
    for (uint64_t g = 0; g < n; g += group) {
        uint64_t m = n - g < group ? n - g : group;
        double d = dot(x + g, y + g, m);
        inner += dot(x + g, x + g, m) * dot(y + g, y + g, m) + d * d;
    }
    return rate * (dot(x, x, n) * dot(y, y, n) + xy * xy - inner);
}

static void check_statistics(tamis__projection_spec spec)
{
    enum { SEEDS = 20000 };
    uint64_t n = spec.from;
    float *in = values(2 * n), *out = malloc(2 * spec.to * sizeof *out);
    double sum = 0, squares = 0, want = dot(in, in + n, n);
    double variance = closed_form(&spec, in, in + n);
    for (uint64_t i = 0; i < SEEDS; i++) {
        spec.seed = i;
        tamis__projector *p = make(&spec, tamis__cpu_detect());
        project(p, 2, in, n, out);
        double d = dot(out, out + spec.to, spec.to) - want;
        sum += d;
        squares += d * d;
        tamis__projector_destroy(&p);
    }
    double mean = sum / SEEDS, got = squares / SEEDS;
    /* Six standard deviations of the mean; the variance's own is about 1 % here. */
    ck_assert_msg(fabs(mean) < 6 * sqrt(variance / SEEDS), "mean off by %g, deviation %g", mean,
                  sqrt(variance / SEEDS));
    ck_assert_msg(fabs(got / variance - 1) < 0.08, "variance %g, not %g (to %llu, nonzeros %llu)",
                  got, variance, (unsigned long long)spec.to, (unsigned long long)spec.nonzeros);
    free(in), free(out);
}

START_TEST(mean_and_variance)
{
    check_statistics((tamis__projection_spec){.from = 100, .to = 32, .nonzeros = 2});
    check_statistics((tamis__projection_spec){.from = 100, .to = 75, .nonzeros = 4});
    check_statistics((tamis__projection_spec){.from = 40, .to = 16, .nonzeros = 1});
    check_statistics((tamis__projection_spec){.from = 40, .to = 23, .nonzeros = 4});
    check_statistics(
        (tamis__projection_spec){.kind = TAMIS__PROJECTION_RADEMACHER, .from = 40, .to = 20});
}
END_TEST

/* A unit vector keeps its length exactly, whatever the seed, when 1/sqrt(s) is exact. */
START_TEST(unit_vectors)
{
    float in[48], out[128];
    for (uint64_t seed = 0; seed < 48; seed++) {
        tamis__projection_spec spec = {.seed = seed, .from = 48, .to = 128, .nonzeros = 4};
        tamis__projector *p = make(&spec, tamis__cpu_detect());
        memset(in, 0, sizeof in);
        in[seed] = 1;
        project(p, 1, in, 48, out);
        ck_assert_double_eq(dot(out, out, 128), 1.0);
        tamis__projector_destroy(&p);
    }
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(refused)
{
    tamis__kernels kernels;
    tamis__projector *p = NULL;
    tamis__kernels_init(&kernels, 0);
    tamis__projection_spec spec = {.from = 0, .to = 4};
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "columns");
    spec = (tamis__projection_spec){.from = 9, .to = 0};
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "0 columns");
    spec.to = TAMIS__PROJECTION_MOST + 1;
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "16777217");
    spec = (tamis__projection_spec){.from = 9, .to = 4, .nonzeros = 5};
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "at most 4");
    spec = (tamis__projection_spec){.from = 9, .to = 400, .nonzeros = 65};
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "at most 64");
    spec.kind = TAMIS__PROJECTION_RADEMACHER;
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "nonzeros");
    spec.kind = TAMIS__PROJECTION_KINDS;
    ck_fails(tamis__projector_create(&p, &spec, &kernels, &err), TAMIS_ERR_ARG, "number 2");
    spec = (tamis__projection_spec){.from = 9, .to = 4};
    tamis__fault_memory_after(0);
    tamis_status status = tamis__projector_create(&p, &spec, &kernels, &err);
    tamis__fault_memory_after(-1);
    ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    ck_assert_ptr_null(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("project");
    TCase *tcase = tcase_create("project");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, matrix);
    tcase_add_test(tcase, long_rows);
    tcase_add_test(tcase, pinned);
    tcase_add_test(tcase, same_bits);
    tcase_add_test(tcase, mean_and_variance);
    tcase_add_test(tcase, unit_vectors);
    tcase_add_test(tcase, refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
