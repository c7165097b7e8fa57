/* The inner loops of projections, at every level this processor has, against plain loops; bit for
 * bit, at every misalignment.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <stdbool.h>
#include <tamis/context.h>

#include "base/context.h"
#include "base/hash.h"
#include "kernels/kernels.h"

enum { GROUPS = 70, OUTPUTS = 100 };

static const unsigned levels[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};

static bool get_level(int i, tamis__kernels *ret_kernels)
{
    if ((levels[i] & tamis__cpu_detect()) != levels[i]) return false;
    tamis__kernels_init(ret_kernels, levels[i]);
    return true;
}

START_TEST(scatter)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    float in[16 * GROUPS + 17], got[OUTPUTS + 16], want[OUTPUTS + 16];
    uint32_t start[GROUPS];
    uint16_t minus[GROUPS];
    for (int i = 0; i < 16 * GROUPS + 17; i++)
        in[i] = (float)(int64_t)tamis__splitmix(1, (uint64_t)i) * 0x1p-60f;
    for (int g = 0; g < GROUPS; g++) {
        uint64_t number = tamis__splitmix(2, (uint64_t)g);
        start[g] = (uint32_t)(number >> 32) % OUTPUTS;
        minus[g] = (uint16_t)number;
    }
    for (size_t n = 0; n <= GROUPS; n++) {
        const float *from = in + n % 17;
        memset(got, 0, sizeof got);
        memset(want, 0, sizeof want);
        for (size_t i = 0; i < 16 * n; i++) {
            float value = from[i];
            want[start[i / 16] + i % 16] += minus[i / 16] >> i % 16 & 1 ? -value : value;
        }
        k.scatter_signed(got, from, start, minus, n, n % 2 ? from : NULL);
        ck_assert_mem_eq(got, want, sizeof got);
    }
}
END_TEST

START_TEST(expand)
{
    tamis__kernels k;
    if (!get_level(_i, &k)) return;
    uint64_t bits[5];
    float got[5 * 64 + 1];
    for (uint64_t i = 0; i < 5; i++) bits[i] = tamis__splitmix(3, i);
    for (size_t n = 0; n <= 5; n++) {
        for (size_t i = 0; i <= 5 * 64; i++) got[i] = 7.0f;
        k.expand_signs(got, bits, n);
        for (size_t i = 0; i < 64 * n; i++)
            ck_assert_double_eq((double)got[i], bits[i / 64] >> i % 64 & 1 ? -1.0 : 1.0);
        ck_assert_double_eq((double)got[64 * n], 7.0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sketch");
    TCase *tcase = tcase_create("sketch");
    int n = (int)(sizeof levels / sizeof *levels);
    tcase_add_loop_test(tcase, scatter, 0, n);
    tcase_add_loop_test(tcase, expand, 0, n);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
