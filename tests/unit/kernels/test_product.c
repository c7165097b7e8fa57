/* Every multiplier that this processor runs against products in double, at all small sizes, beside
 * pages that may not be read, and the same bits however rows are grouped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <tamis/context.h>

#include "base/context.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

#define PAGES 24
#define PAGE  4096
#define MAX_M 70

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float unit_value(void)
{
    return (float)((double)(int64_t)next_random() * 0x1p-63);
}

/* --- one problem ------------------------------------------------------------------------------ */

typedef struct problem {
    size_t m, n, columns, row_bytes, size;
    unsigned char *rows; /* end at the end of a page, the next may not be read */
    double x[MAX_M * 4200], query[64 * 4200];
    float given[64 * 4200];
    unsigned char *memory;
} problem;

static problem p;

static size_t size_of(tamis_dtype dtype)
{
    return dtype == TAMIS_F32 ? 4 : dtype == TAMIS_I8 ? 1 : 2;
}

static void open_memory(void)
{
    p.memory = mmap(NULL, (PAGES * 16 + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(p.memory != MAP_FAILED);
    ck_assert_int_eq(mprotect(p.memory + PAGE, PAGES * 16 * PAGE, PROT_READ | PROT_WRITE), 0);
}

static void fill_rows(tamis_dtype dtype, const tamis__kernels *kernels)
{
    for (size_t r = 0; r < p.m; r++)
        for (size_t c = 0; c < p.columns; c++) {
            unsigned char *at = p.rows + r * p.row_bytes + c * p.size;
            float value = unit_value();
            if (dtype == TAMIS_I8) {
                int8_t whole = (int8_t)(next_random() >> 56);
                memcpy(at, &whole, 1);
                p.x[r * p.columns + c] = whole;
                continue;
            }
            tamis__narrow(kernels, dtype, at, &value, 1);
            tamis__widen(kernels, dtype, &value, at, 1);
            p.x[r * p.columns + c] = (double)value;
        }
}

/* `gap` extra values from row to row. */
static void set_up(tamis_dtype dtype, size_t m, size_t n, size_t columns, size_t gap)
{
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    p.m = m, p.n = n, p.columns = columns, p.size = size_of(dtype);
    p.row_bytes = (columns + gap) * p.size;
    size_t bytes = m ? (m - 1) * p.row_bytes + columns * p.size : 0;
    ck_assert_uint_le(bytes, PAGES * 16 * PAGE);
    p.rows = p.memory + PAGE + PAGES * 16 * PAGE - bytes;
    fill_rows(dtype, &kernels);
    for (size_t i = 0; i < n * columns; i++) {
        p.given[i] = unit_value();
        p.query[i] = (double)p.given[i];
    }
}

/* What the panel makes of a query. */
static void round_query(const tamis__multiplier *mul, size_t j)
{
    double *query = p.query + j * p.columns, most = 0;
    for (size_t c = 0; c < p.columns; c++) most = fmax(most, fabs(query[c]));
    for (size_t c = 0; c < p.columns; c++) {
        if (!strcmp(mul->panel, "i16")) {
            query[c] = most > 0 ? rint(query[c] / (most / 32767)) * (most / 32767) : 0;
        } else if (!strcmp(mul->panel, "bf16")) {
            tamis__kernels kernels;
            uint16_t half;
            float value = (float)query[c];
            tamis__kernels_init(&kernels, 0);
            kernels.narrow_bf16(&half, &value, 1);
            kernels.widen_bf16(&value, &half, 1);
            query[c] = (double)value;
        }
    }
}

static double *multiply(const tamis__multiplier *mul, size_t first, size_t m, const void *panel,
                        size_t width, double start)
{
    double *sum = malloc((m + 1) * width * sizeof *sum);
    ck_assert_ptr_nonnull(sum);
    for (size_t i = 0; i < (m + 1) * width; i++) sum[i] = start;
    mul->add(sum, width, p.rows + first * p.row_bytes, p.row_bytes, m, panel, width, p.columns);
    for (size_t j = 0; j < width; j++) ck_assert(sum[m * width + j] == start);
    return sum;
}

/* Float sums of up to 512 terms, or of 4,096 in sixteen parts. */
static void compare(const tamis__multiplier *mul, const double *sum, size_t width)
{
    for (size_t r = 0; r < p.m; r++)
        for (size_t j = 0; j < width; j++) {
            double want = 0, size = 0;
            for (size_t c = 0; c < p.columns && j < p.n; c++) {
                double term = p.x[r * p.columns + c] * p.query[j * p.columns + c];
                want += term;
                size += fabs(term);
            }
            double tolerance = !strcmp(mul->panel, "i16") ? 1e-13 * size : 6e-8 * 30 * size;
            double got = sum[r * width + j] - 1.0;
            ck_assert_msg(fabs(got - want) <= tolerance + 1e-15,
                          "%s/%s: [%zu, %zu] x %zu, row %zu, query %zu: %.17g instead of %.17g",
                          mul->name, mul->panel, p.m, p.columns, p.n, r, j, got, want);
        }
}

static void check(tamis_dtype dtype, const tamis__multiplier *mul, size_t m, size_t n,
                  size_t columns, size_t gap)
{
    set_up(dtype, m, n, columns, gap);
    size_t width = mul->width(n), size = mul->size(width, columns);
    ck_assert_uint_ge(width, n);
    unsigned char *panel = aligned_alloc(64, (size + 127) / 64 * 64);
    ck_assert_ptr_nonnull(panel);
    memset(panel + size, 0x5a, 1);
    mul->pack(panel, p.given, columns, n, width, columns);
    ck_assert_int_eq(panel[size], 0x5a);
    for (size_t j = 0; j < n; j++) round_query(mul, j);
    double *sum = multiply(mul, 0, m, panel, width, 1.0);
    compare(mul, sum, width);
    for (size_t r = 0; r < m; r++) {
        double *one = multiply(mul, r, 1, panel, width, 1.0);
        ck_assert_msg(!memcmp(one, sum + r * width, width * sizeof *one),
                      "%s/%s: row %zu of %zu by itself differs", mul->name, mul->panel, r, m);
        free(one);
    }
    free(sum);
    free(panel);
}

/* --- all of them ------------------------------------------------------------------------------ */

typedef void (*visit)(tamis_dtype dtype, const tamis__multiplier *mul);

static void for_each(visit f)
{
    const tamis__multiplier *mul;
    unsigned cpu = tamis__cpu_detect();
    open_memory();
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (int few = 0; few < 2; few++)
            for (size_t i = 0; (mul = tamis__multiplier_at(dtypes[d], cpu, few, i)); i++)
                f(dtypes[d], mul);
    munmap(p.memory, (PAGES * 16 + 2) * PAGE);
}

static void all_columns(tamis_dtype dtype, const tamis__multiplier *mul)
{
    for (size_t columns = 0; columns <= 70; columns++)
        check(dtype, mul, 7, mul->tile < 5 ? mul->tile : 5, columns, columns % 3);
}

static void all_rows(tamis_dtype dtype, const tamis__multiplier *mul)
{
    for (size_t m = 0; m <= MAX_M; m++) check(dtype, mul, m, mul->tile < 3 ? mul->tile : 3, 37, 1);
}

static void all_queries(tamis_dtype dtype, const tamis__multiplier *mul)
{
    for (size_t n = 1; n <= mul->tile; n++) check(dtype, mul, 7, n, 41, 0);
}

/* Whole steps, and the columns around them. */
static void long_rows(tamis_dtype dtype, const tamis__multiplier *mul)
{
    static const size_t columns[] = {127, 128, 129, 255, 256, 511, 512, 4095, 4096};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (columns[i] <= mul->step) check(dtype, mul, 13, mul->tile, columns[i], 5);
}

START_TEST(test_all_columns)
{
    for_each(all_columns);
}
END_TEST

START_TEST(test_all_rows)
{
    for_each(all_rows);
}
END_TEST

START_TEST(test_all_queries)
{
    for_each(all_queries);
}
END_TEST

START_TEST(test_long_rows)
{
    for_each(long_rows);
}
END_TEST

/* Whole numbers at their limits: nothing overflows, and signs are right. */
START_TEST(test_largest_bytes)
{
    const tamis__multiplier *mul;
    static float query[8 * 4096];
    static int8_t row[4096];
    for (int few = 0; few < 2; few++)
        for (size_t i = 0; (mul = tamis__multiplier_at(TAMIS_I8, tamis__cpu_detect(), few, i));
             i++) {
            size_t n = mul->step, queries = mul->tile < 4 ? 2 : 4, stride = mul->step;
            size_t width = mul->width(queries);
            unsigned char *panel = aligned_alloc(64, (mul->size(width, n) + 63) / 64 * 64);
            double sum[64] = {0};
            ck_assert_ptr_nonnull(panel);
            memset(row, -128, n);
            for (size_t c = 0; c < n; c++) {
                query[c] = 3.0f, query[stride + c] = -3.0f;
                query[2 * stride + c] = 0.0f, query[3 * stride + c] = c % 2 ? 3.0f : -3.0f;
            }
            mul->pack(panel, query, stride, queries, width, n);
            mul->add(sum, width, row, n, 1, panel, width, n);
            double most = 384.0 * (double)n;
            ck_assert_double_eq_tol(sum[0], -most, 1e-9 * most);
            ck_assert_double_eq_tol(sum[1], most, 1e-9 * most);
            if (queries == 2) sum[2] = sum[3] = 0;
            ck_assert(sum[2] == 0.0);
            ck_assert_double_eq_tol(sum[3], 0.0, 1e-9 * most);
            free(panel);
        }
}
END_TEST

START_TEST(test_choice)
{
    tamis__product_wish wish = {.dtype = TAMIS_BF16};
    ck_assert_str_eq(tamis__multiplier_choose(&wish)->name, "c");
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (int few = 0; few < 2; few++) {
            wish = (tamis__product_wish){.dtype = dtypes[d],
                                         .cpu = tamis__cpu_detect(),
                                         .queries = few ? 3 : 90,
                                         .exact = true};
            ck_assert(!tamis__multiplier_choose(&wish)->rounds);
            ck_assert_str_eq(tamis__multiplier_choose(&wish)->panel, "f32");
        }
    wish = (tamis__product_wish){.dtype = TAMIS_I8, .cpu = tamis__cpu_detect()};
    bool vnni = wish.cpu & TAMIS_CPU_VNNI;
    ck_assert_str_eq(tamis__multiplier_choose(&wish)->panel, vnni ? "i16" : "f32");
    wish.dtype = TAMIS_BF16;
    bool bf16 = wish.cpu & TAMIS_CPU_AVX512BF16;
    ck_assert_str_eq(tamis__multiplier_choose(&wish)->panel, bf16 ? "bf16" : "f32");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("product");
    TCase *tc = tcase_create("product");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_all_columns);
    tcase_add_test(tc, test_all_rows);
    tcase_add_test(tc, test_all_queries);
    tcase_add_test(tc, test_long_rows);
    tcase_add_test(tc, test_largest_bytes);
    tcase_add_test(tc, test_choice);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
