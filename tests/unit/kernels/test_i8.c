/* Rows of signed bytes with one scale, at every level this processor has.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <tamis/context.h>

#include "base/context.h"
#include "kernels/kernels.h"

#define MAX_N 70
#define PAGE  4096

static const unsigned levels[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};

/* False when this machine lacks the level. */
static bool get_level(int i, tamis__kernels *ret_kernels)
{
    if ((levels[i] & tamis__cpu_detect()) != levels[i]) return false;
    tamis__kernels_init(ret_kernels, levels[i]);
    return true;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A readable page between two that are not. */
static unsigned char *guarded_page(void)
{
    unsigned char *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    ck_assert_int_eq(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
    return p + PAGE;
}

/* Placements: 0..16 = that many elements after the page's start; 17 = against its end. */
#define PLACEMENTS 18
static void *place(unsigned char *page, int placement, size_t n, size_t size)
{
    return placement < 17 ? page + (size_t)placement * size : page + PAGE - n * size;
}

static void check_untouched(const unsigned char *page, const void *from, size_t bytes)
{
    size_t changed = 0;
    const unsigned char *first = from;
    for (const unsigned char *p = page; p < page + PAGE; p++)
        changed += (p < first || p >= first + bytes) && *p != 0xa5;
    ck_assert_uint_eq(changed, 0);
}

/* Rows of any size from the smallest floats to the largest, some with whole steps and halves. */
static void some_row(float *row, size_t n, uint64_t *state)
{
    int exponent = (int)(next_random(state) % 280) - 150;
    bool halves = next_random(state) % 4 == 0;
    for (size_t i = 0; i < n; i++) {
        double value = (double)(int64_t)next_random(state) * 0x1p-63;
        value = halves ? rint(value * 254) / 2 : value * 127;
        if (halves && i == n / 2) value = 127;
        row[i] = (float)ldexp(value, exponent);
        if (!isfinite(row[i])) row[i] = row[i] > 0 ? FLT_MAX : -FLT_MAX;
    }
}

/* --- every version equals the plain one ------------------------------------------------------- */

static unsigned char *in_page, *out_page;

static void check_narrow(const tamis__kernels *k, const tamis__kernels *c, int placement, size_t n,
                         uint64_t *state)
{
    int8_t want[MAX_N + 1];
    float *in = place(in_page, placement, n, sizeof *in);
    int8_t *out = place(out_page, placement, n, 1);
    some_row(in, n, state);
    if (n && next_random(state) % 8 == 0) in[next_random(state) % n] = NAN;
    if (n && next_random(state) % 8 == 0) in[next_random(state) % n] = -INFINITY;
    memset(out_page, 0xa5, PAGE);
    float got = k->narrow_i8(out, in, n), scale = c->narrow_i8(want, in, n);
    ck_assert(got == scale || (isnan(got) && isnan(scale)));
    ck_assert_mem_eq(out, want, n);
    check_untouched(out_page, out, n);
}

static void check_widen(const tamis__kernels *k, const tamis__kernels *c, int placement, size_t n,
                        uint64_t *state)
{
    static const float scales[] = {1.0f, 0.0f, 0.1f, 3e-41f, 1e30f, 0x1.fffffep+120f};
    float want[MAX_N + 1], scale = scales[next_random(state) % 6];
    int8_t *in = place(in_page, placement, n, 1);
    float *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < n; i++) in[i] = (int8_t)(next_random(state) >> 56);
    memset(out_page, 0xa5, PAGE);
    k->widen_i8(out, in, scale, n);
    c->widen_i8(want, in, scale, n);
    ck_assert_mem_eq(out, want, n * sizeof *out);
    check_untouched(out_page, out, n * sizeof *out);
}

START_TEST(every_level_equals_the_reference)
{
    tamis__kernels k, c;
    if (!get_level(_i, &k)) return;
    tamis__kernels_init(&c, 0);
    in_page = guarded_page();
    out_page = guarded_page();
    uint64_t state = 1;
    for (int placement = 0; placement < PLACEMENTS; placement++)
        for (size_t n = 0; n <= MAX_N; n++)
            for (int round = 0; round < 4; round++) {
                check_narrow(&k, &c, placement, n, &state);
                check_widen(&k, &c, placement, n, &state);
            }
    munmap(in_page - PAGE, 3 * PAGE);
    munmap(out_page - PAGE, 3 * PAGE);
}
END_TEST

/* --- and each is right ------------------------------------------------------------------------ */

/* In double, by the definition. */
START_TEST(narrowing)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    uint64_t state = 2, bad = 0;
    float in[40];
    int8_t out[40];
    for (int round = 0; round < 20000; round++) {
        some_row(in, 40, &state);
        double top = 0;
        for (int i = 0; i < 40; i++) top = fmax(top, fabs((double)in[i]));
        float scale = k.narrow_i8(out, in, 40);
        double step = (double)scale, ideal = top / 127;
        if (top < 127 * (double)FLT_MIN) { /* the scale would be subnormal */
            bad += scale != 0;
            for (int i = 0; i < 40; i++) bad += out[i] != 0;
            continue;
        }
        bad += step > ideal * (1 + 0x1p-23) || step < ideal * (1 - 0x1p-16);
        bad += ldexp(step, 16) != rint(ldexp(step, 16)) && step >= 1; /* 17 bits */
        int most = 0;
        for (int i = 0; i < 40; i++) {
            double error = fabs((double)in[i] - out[i] * step);
            bad += out[i] == -128 || error > step * (0.5 + 127 * 0x1p-16);
            most = abs(out[i]) > most ? abs(out[i]) : most;
        }
        bad += most != 127;
    }
    ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(ties_go_to_even)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    static const float in[] = {127,   0.5f,   1.5f,    2.5f, -0.5f,       -1.5f,
                               -2.5f, 126.5f, -126.5f, -127, 0.49999997f, -0.0f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, -2, 126, -126, -127, 0, 0};
    int8_t out[12];
    ck_assert(k.narrow_i8(out, in, 12) == 1.0f);
    ck_assert_mem_eq(out, want, sizeof out);
}
END_TEST

/* What was stored is stored again as it is, and the floats in between are exact. */
START_TEST(narrowing_again_changes_nothing)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    uint64_t state = 3, bad = 0;
    float in[40], wide[40];
    int8_t out[40], again[40];
    for (int round = 0; round < 50000; round++) {
        some_row(in, 40, &state);
        if (round % 7 == 0) in[3] = FLT_MAX;
        if (round % 11 == 0) in[5] = 127 * FLT_MIN;
        float scale = k.narrow_i8(out, in, 40);
        k.widen_i8(wide, out, scale, 40);
        for (int i = 0; i < 40; i++)
            bad += (double)wide[i] != (double)scale * out[i] || !isfinite(wide[i]);
        bad += k.narrow_i8(again, wide, 40) != scale || memcmp(out, again, sizeof out) != 0;
    }
    ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(rows_without_a_scale)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    float in[20] = {0};
    int8_t out[20];
    memset(out, 5, sizeof out);
    ck_assert(k.narrow_i8(out, in, 20) == 0.0f);
    for (int i = 0; i < 20; i++) ck_assert_int_eq(out[i], 0);
    ck_assert(k.narrow_i8(NULL, NULL, 0) == 0.0f);
    for (int i = 0; i < 20; i++) {
        in[i] = i % 2 ? NAN : -INFINITY;
        memset(out, 5, sizeof out);
        ck_assert(isnan(k.narrow_i8(out, in, 20)));
        ck_assert_int_eq(out[i], 0);
        in[i] = 0;
    }
}
END_TEST

/* -128 is nobody's rounding, but a file may have it. */
START_TEST(widening_every_byte)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    int8_t in[256];
    float out[256];
    for (int i = 0; i < 256; i++) in[i] = (int8_t)(i - 128);
    k.widen_i8(out, in, 0.1f, 256);
    for (int i = 0; i < 256; i++) ck_assert(out[i] == (float)(i - 128) * 0.1f);
    tamis__widen(&k, TAMIS_I8, out, in, 256);
    for (int i = 0; i < 256; i++) ck_assert(out[i] == (float)(i - 128));
    const float row[3] = {254, -2, 3};
    ck_assert(tamis__narrow(&k, TAMIS_I8, in, row, 3) == 2.0f);
    ck_assert(in[0] == 127 && in[1] == -1 && in[2] == 2);
    ck_assert(tamis__narrow(&k, TAMIS_F32, out, row, 3) == 1.0f);
}
END_TEST

/* The faster versions are chosen where they are allowed. */
START_TEST(mask)
{
    tamis__kernels plain, masked;
    tamis__kernels_init(&plain, 0);
    tamis__kernels_init(&masked, TAMIS_CPU_AVX512);
    ck_assert(plain.narrow_i8 == masked.narrow_i8);
#if defined(__x86_64__)
    tamis__kernels_init(&masked, TAMIS_CPU_AVX2);
    ck_assert(plain.narrow_i8 != masked.narrow_i8 && plain.widen_i8 != masked.widen_i8);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("i8");
    TCase *tc = tcase_create("i8");
    int n = (int)(sizeof levels / sizeof *levels);
    tcase_add_loop_test(tc, every_level_equals_the_reference, 0, n);
    tcase_add_loop_test(tc, narrowing, 0, n);
    tcase_add_loop_test(tc, ties_go_to_even, 0, n);
    tcase_add_loop_test(tc, narrowing_again_changes_nothing, 0, n);
    tcase_add_loop_test(tc, rows_without_a_scale, 0, n);
    tcase_add_loop_test(tc, widening_every_byte, 0, n);
    tcase_add_test(tc, mask);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
