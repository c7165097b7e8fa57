/* Every inner loop, at every level this processor has, against the plain C version and against
 * arithmetic done otherwise.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <tamis/context.h>

#include "base/context.h"
#include "kernels/kernels.h"

#define MAX_N 70
#define PAGE  4096

/* --- levels, numbers, guarded memory ---------------------------------------------------------- */

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

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Half of the values are special or near a rounding border, the rest any bits at all. */
static float awkward(uint64_t *state)
{
    static const uint32_t special[] = {
        0,          0x80000000, 1,          0x80000001, 0x7f800000, 0xff800000, 0x7fc00000,
        0x7f800001, 0xffffffff, 0x7f7fffff, 0xff7fffff, 0x477fefff, 0x477ff000, 0x477fe000,
        0x38800000, 0x387fffff, 0x387fe000, 0x33000000, 0x33000001, 0x32ffffff, 0x33800000,
        0x3f800000, 0x3f801000, 0x3f803000, 0x3f808000, 0x3f818000, 0x7f7f8000, 0x7f7f7fff,
        0x00800000, 0x007fffff, 0x00008000, 0x00018000,
    };
    uint64_t r = next_random(state);
    switch (r & 3) {
    case 0: return float_of(special[(r >> 8) % (sizeof special / sizeof *special)]);
    case 1: return (float)((double)(int64_t)r * 0x1p-60);
    default: return float_of((uint32_t)(r >> 32));
    }
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

static void check_untouched(const unsigned char *page, const unsigned char *from, size_t bytes)
{
    size_t changed = 0;
    for (const unsigned char *p = page; p < page + PAGE; p++)
        changed += (p < from || p >= from + bytes) && *p != 0xa5;
    ck_assert_uint_eq(changed, 0);
}

/* --- every version equals the plain one ------------------------------------------------------- */

typedef void widen_fn(float *, const uint16_t *, size_t);
typedef void narrow_fn(uint16_t *, const float *, size_t);
typedef void scale_f32_fn(float *, const float *, float, size_t);
typedef void scale_u16_fn(uint16_t *, const float *, float, size_t);

static unsigned char *in_page, *out_page;

static void check_widen(widen_fn *fn, widen_fn *reference, int placement, size_t n, uint64_t *state)
{
    float want[MAX_N];
    uint16_t *in = place(in_page, placement, n, sizeof *in);
    float *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < n; i++) in[i] = (uint16_t)next_random(state);
    memset(out_page, 0xa5, PAGE);
    fn(out, in, n);
    reference(want, in, n);
    ck_assert_mem_eq(out, want, n * sizeof *out);
    check_untouched(out_page, (unsigned char *)out, n * sizeof *out);
}

static void check_narrow(narrow_fn *fn, narrow_fn *reference, int placement, size_t n,
                         uint64_t *state)
{
    uint16_t want[MAX_N];
    float *in = place(in_page, placement, n, sizeof *in);
    uint16_t *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < n; i++) in[i] = awkward(state);
    memset(out_page, 0xa5, PAGE);
    fn(out, in, n);
    reference(want, in, n);
    ck_assert_mem_eq(out, want, n * sizeof *out);
    check_untouched(out_page, (unsigned char *)out, n * sizeof *out);
}

static float some_scale(uint64_t *state)
{
    static const float scales[] = {1.0f, -0.5f, 0.0f, 3e-5f, -1e30f, 0.1f, 1e-38f, INFINITY};
    return scales[next_random(state) % (sizeof scales / sizeof *scales)];
}

static void check_scale_f32(scale_f32_fn *fn, scale_f32_fn *reference, int placement, size_t n,
                            uint64_t *state)
{
    float want[MAX_N], scale = some_scale(state);
    float *in = place(in_page, placement, n, sizeof *in);
    float *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < n; i++) in[i] = awkward(state);
    memset(out_page, 0xa5, PAGE);
    fn(out, in, scale, n);
    reference(want, in, scale, n);
    ck_assert_mem_eq(out, want, n * sizeof *out);
    check_untouched(out_page, (unsigned char *)out, n * sizeof *out);
    fn(in, in, scale, n); /* in place */
    ck_assert_mem_eq(in, want, n * sizeof *in);
}

static void check_scale_u16(scale_u16_fn *fn, scale_u16_fn *reference, int placement, size_t n,
                            uint64_t *state)
{
    float scale = some_scale(state);
    uint16_t want[MAX_N];
    float *in = place(in_page, placement, n, sizeof *in);
    uint16_t *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < n; i++) in[i] = awkward(state);
    memset(out_page, 0xa5, PAGE);
    fn(out, in, scale, n);
    reference(want, in, scale, n);
    ck_assert_mem_eq(out, want, n * sizeof *out);
    check_untouched(out_page, (unsigned char *)out, n * sizeof *out);
}

/* Any finite values; the special ones have their own test. */
static void check_sum(const tamis__kernels *k, const tamis__kernels *reference, int placement,
                      size_t n, uint64_t *state)
{
    float *in = place(in_page, placement, n, sizeof *in);
    for (size_t i = 0; i < n; i++) {
        do in[i] = awkward(state);
        while (!isfinite(in[i]));
    }
    double got = k->sum_squares(in, n), want = reference->sum_squares(in, n);
    ck_assert_mem_eq(&got, &want, sizeof got);
}

/* Sums of up to 7 terms, a stride apart, ending at or starting from a page's edge. */
static void check_sum_products(const tamis__kernels *k, const tamis__kernels *reference,
                               int placement, size_t n, uint64_t *state)
{
    float want[MAX_N], factor[7 * 3];
    size_t terms = n % 8, stride = 7;
    if (terms * n > MAX_N) terms = n ? MAX_N / n : 0;
    float *in = place(in_page, placement, terms * n, sizeof *in);
    float *out = place(out_page, placement, n, sizeof *out);
    for (size_t i = 0; i < terms * n; i++) in[i] = awkward(state);
    for (size_t i = 0; i < 7 * 3; i++) factor[i] = awkward(state);
    memset(out_page, 0xa5, PAGE);
    k->sum_products(out, in, n, factor, stride % 3 + 1, terms, n);
    reference->sum_products(want, in, n, factor, stride % 3 + 1, terms, n);
    for (size_t i = 0; i < n; i++)
        if (isnan(want[i]))
            ck_assert(isnan(out[i]));
        else
            ck_assert_mem_eq(&out[i], &want[i], sizeof want[i]);
    check_untouched(out_page, (unsigned char *)out, n * sizeof *out);
}

START_TEST(test_every_level_equals_the_reference)
{
    tamis__kernels k, c;
    if (!get_level(_i, &k)) return;
    tamis__kernels_init(&c, 0);
    in_page = guarded_page();
    out_page = guarded_page();
    uint64_t state = 1;
    for (int placement = 0; placement < PLACEMENTS; placement++)
        for (size_t n = 0; n <= MAX_N; n++) {
            check_widen(k.widen_f16, c.widen_f16, placement, n, &state);
            check_widen(k.widen_bf16, c.widen_bf16, placement, n, &state);
            check_narrow(k.narrow_f16, c.narrow_f16, placement, n, &state);
            check_narrow(k.narrow_bf16, c.narrow_bf16, placement, n, &state);
            check_scale_f32(k.scale_f32, c.scale_f32, placement, n, &state);
            check_scale_u16(k.scale_f16, c.scale_f16, placement, n, &state);
            check_scale_u16(k.scale_bf16, c.scale_bf16, placement, n, &state);
            check_sum(&k, &c, placement, n, &state);
            check_sum_products(&k, &c, placement, n, &state);
        }
    munmap(in_page - PAGE, 3 * PAGE);
    munmap(out_page - PAGE, 3 * PAGE);
}
END_TEST

/* --- and each is right ------------------------------------------------------------------------ */

/* What a binary16 is worth, by its definition. NaN aside. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 0    ? ldexp(fraction, -24)
                       : exponent == 31 ? (double)INFINITY
                                        : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static bool half_is_nan(uint16_t half)
{
    return (half & 0x7fff) > 0x7c00;
}

static uint16_t all_halves[65536], narrowed[65536];
static float widened[65536];

START_TEST(test_f16_widens_every_value)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    for (unsigned h = 0; h < 65536; h++) all_halves[h] = (uint16_t)h;
    k.widen_f16(widened, all_halves, 65536);
    k.narrow_f16(narrowed, widened, 65536);
    for (unsigned h = 0; h < 65536; h++) {
        if (half_is_nan((uint16_t)h)) {
            ck_assert(isnan(widened[h]));
            ck_assert_uint_eq(narrowed[h], h | 0x200);
        } else {
            ck_assert(bits_of(widened[h]) == bits_of((float)half_value((uint16_t)h)));
            ck_assert_uint_eq(narrowed[h], h);
        }
    }
}
END_TEST

START_TEST(test_bf16_widens_every_value)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    for (unsigned h = 0; h < 65536; h++) all_halves[h] = (uint16_t)h;
    k.widen_bf16(widened, all_halves, 65536);
    k.narrow_bf16(narrowed, widened, 65536);
    for (unsigned h = 0; h < 65536; h++) {
        ck_assert(bits_of(widened[h]) == h << 16);
        ck_assert_uint_eq(narrowed[h], (h & 0x7fff) > 0x7f80 ? h | 0x40 : h);
    }
}
END_TEST

/* Between two neighbours: the middle goes to the even one, the floats beside it to the nearer. */
static void check_between(narrow_fn *narrow, unsigned low, float middle)
{
    for (uint32_t sign = 0; sign < 2; sign++) {
        float in[3] = {nextafterf(middle, 0.0f), middle, nextafterf(middle, INFINITY)};
        uint16_t out[3];
        for (int i = 0; i < 3; i++) in[i] = float_of(bits_of(in[i]) | sign << 31);
        narrow(out, in, 3);
        ck_assert_uint_eq(out[0], low | sign << 15);
        ck_assert_uint_eq(out[1], (low + (low & 1)) | sign << 15);
        ck_assert_uint_eq(out[2], (low + 1) | sign << 15);
    }
}

START_TEST(test_narrowing_rounds_to_even)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    for (unsigned h = 0; h < 0x7c00; h++) {
        double next = h + 1 == 0x7c00 ? 65536.0 : half_value((uint16_t)(h + 1));
        check_between(k.narrow_f16, h, (float)((half_value((uint16_t)h) + next) / 2));
    }
    for (unsigned h = 0; h < 0x7f80; h++)
        check_between(k.narrow_bf16, h, float_of(h << 16 | 0x8000));
}
END_TEST

START_TEST(test_scaling_is_multiplying_then_rounding)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    float in[20], product[20], wide[20];
    uint16_t half[20], want[20];
    for (int i = 0; i < 20; i++) in[i] = 0.37f * (float)(i - 7);
    k.scale_f32(wide, in, 0.3f, 20);
    for (int i = 0; i < 20; i++) {
        product[i] = in[i] * 0.3f;
        ck_assert(bits_of(wide[i]) == bits_of(product[i]));
    }
    k.scale_f16(half, in, 0.3f, 20);
    k.narrow_f16(want, product, 20);
    ck_assert_mem_eq(half, want, sizeof half);
    k.scale_bf16(half, in, 0.3f, 20);
    k.narrow_bf16(want, product, 20);
    ck_assert_mem_eq(half, want, sizeof half);
}
END_TEST

START_TEST(test_sum_squares)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    float in[1000];
    long double sum = 0;
    uint64_t state = 5;
    for (int i = 0; i < 1000; i++) {
        in[i] = (float)((double)(int64_t)next_random(&state) * 0x1p-63);
        sum += (long double)in[i] * (long double)in[i];
    }
    ck_assert_double_eq_tol(k.sum_squares(in, 1000), (double)sum, 1e-12);
    ck_assert_double_eq(k.sum_squares(in, 0), 0.0);

    /* The order of addition: next to 2^54, ones vanish alone, and count once pairs make them 4. */
    float ones[17];
    for (int i = 0; i < 17; i++) ones[i] = 1.0f;
    ones[0] = 0x1p27f;
    ck_assert_double_eq(k.sum_squares(ones, 17), 0x1p54 + 12.0);

    /* The largest float squared does not overflow; what is not finite shows, wherever it is. */
    ones[0] = 3.4028234e38f;
    ck_assert(isfinite(k.sum_squares(ones, 17)));
    for (int i = 0; i < 17; i++) {
        float old = ones[i];
        ones[i] = NAN;
        ck_assert(isnan(k.sum_squares(ones, 17)));
        ones[i] = -INFINITY;
        ck_assert(isinf(k.sum_squares(ones, 17)));
        ones[i] = old;
    }
}
END_TEST

/* Against long double, and rounded once: 1 + 2^-24 - 1 is 2^-24, which sums of floats would
 * lose. */
START_TEST(test_sum_products)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    enum { TERMS = 40, N = 77, STRIDE = 90 };
    static float in[TERMS * STRIDE];
    float factor[TERMS * 3], out[N];
    uint64_t state = 9;
    for (int i = 0; i < TERMS * STRIDE; i++)
        in[i] = (float)((double)(int64_t)next_random(&state) * 0x1p-63);
    for (int i = 0; i < TERMS * 3; i++)
        factor[i] = (float)((double)(int64_t)next_random(&state) * 0x1p-63);
    k.sum_products(out, in, STRIDE, factor, 3, TERMS, N);
    for (int c = 0; c < N; c++) {
        long double sum = 0;
        for (int t = 0; t < TERMS; t++)
            sum += (long double)factor[t * 3] * (long double)in[t * STRIDE + c];
        ck_assert_double_eq_tol((double)out[c], (double)sum, fabs((double)sum) * 0x1p-23);
    }
    for (int c = 0; c < N; c++) {
        in[c] = 1.0f;
        in[STRIDE + c] = 0x1p-24f;
        in[2 * STRIDE + c] = -1.0f;
    }
    for (int i = 0; i < 9; i++) factor[i] = 1.0f;
    k.sum_products(out, in, STRIDE, factor, 3, 3, N);
    for (int c = 0; c < N; c++) ck_assert(out[c] == 0x1p-24f);
    k.sum_products(out, in, STRIDE, factor, 3, 0, N);
    for (int c = 0; c < N; c++) ck_assert(out[c] == 0.0f);
}
END_TEST

START_TEST(test_dtype_helpers)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    float in[3] = {1.0f, -2.5f, 0.0f}, out[3], wide[3];
    uint16_t half[3];
    tamis__narrow(&k, TAMIS_F32, out, in, 3);
    tamis__widen(&k, TAMIS_F32, wide, out, 3);
    ck_assert_mem_eq(in, wide, sizeof in);
    tamis__narrow(&k, TAMIS_F16, half, in, 3);
    ck_assert_uint_eq(half[1], 0xc100);
    tamis__widen(&k, TAMIS_F16, wide, half, 3);
    ck_assert_mem_eq(in, wide, sizeof in);
    tamis__narrow(&k, TAMIS_BF16, half, in, 3);
    ck_assert_uint_eq(half[1], 0xc020);
    tamis__widen(&k, TAMIS_BF16, wide, half, 3);
    ck_assert_mem_eq(in, wide, sizeof in);
    tamis__widen(&k, TAMIS_F32, NULL, NULL, 0);
    tamis__narrow(&k, TAMIS_F32, NULL, NULL, 0);
}
END_TEST

/* A mask that names AVX-512 without what it stands on does not choose it. */
START_TEST(test_mask)
{
    tamis__kernels plain, masked;
    tamis__kernels_init(&plain, 0);
    tamis__kernels_init(&masked, TAMIS_CPU_AVX512);
    ck_assert(plain.narrow_f16 == masked.narrow_f16);
#if defined(__x86_64__)
    tamis__kernels_init(&masked, TAMIS_CPU_AVX2);
    ck_assert(plain.narrow_f16 != masked.narrow_f16);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *tc = tcase_create("kernels");
    int n = (int)(sizeof levels / sizeof *levels);
    tcase_add_loop_test(tc, test_every_level_equals_the_reference, 0, n);
    tcase_add_loop_test(tc, test_f16_widens_every_value, 0, n);
    tcase_add_loop_test(tc, test_bf16_widens_every_value, 0, n);
    tcase_add_loop_test(tc, test_narrowing_rounds_to_even, 0, n);
    tcase_add_loop_test(tc, test_scaling_is_multiplying_then_rounding, 0, n);
    tcase_add_loop_test(tc, test_sum_squares, 0, n);
    tcase_add_loop_test(tc, test_sum_products, 0, n);
    tcase_add_loop_test(tc, test_dtype_helpers, 0, n);
    tcase_add_test(tc, test_mask);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
