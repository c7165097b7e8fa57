/* Checked allocation and the fault counters.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <errno.h>
#include <stdint.h>

#include "base/mem.h"

START_TEST(zeroed)
{
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *a = tamis__calloc(n, 3), *b = tamis__aligned(n, 3);
        ck_assert(a != NULL && b != NULL);
        ck_assert_uint_eq((uintptr_t)b % 64, 0);
        for (size_t i = 0; i < 3 * n; i++) ck_assert(a[i] == 0 && b[i] == 0);
        free(a);
        free(b);
    }
}
END_TEST

/* A zero size is not a failure: callers test for NULL alone. */
START_TEST(nothing)
{
    void *blocks[] = {tamis__calloc(0, 8),  tamis__calloc(8, 0),        tamis__malloc(0, 0),
                      tamis__aligned(0, 4), tamis__realloc(NULL, 0, 4), tamis__strdup("")};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        ck_assert_ptr_nonnull(blocks[i]);
        free(blocks[i]);
    }
}
END_TEST

START_TEST(overflow)
{
    /* Products that wrap around to something small, and sizes no machine has. */
    static const struct {
        size_t n, size;
    } bad[] = {{SIZE_MAX, 2},
               {2, SIZE_MAX},
               {SIZE_MAX / 2 + 1, 2},
               {SIZE_MAX / 4 + 2, 4},
               {(size_t)1 << 33, (size_t)1 << 33},
               {SIZE_MAX, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_ptr_null(tamis__calloc(bad[i].n, bad[i].size));
        ck_assert_ptr_null(tamis__malloc(bad[i].n, bad[i].size));
        ck_assert_ptr_null(tamis__aligned(bad[i].n, bad[i].size));
        ck_assert_ptr_null(tamis__realloc(NULL, bad[i].n, bad[i].size));
    }
}
END_TEST

START_TEST(grow)
{
    int *block = tamis__malloc(2, sizeof *block);
    block[0] = 5;
    block[1] = 6;
    int *grown = tamis__realloc(block, 1000, sizeof *block);
    ck_assert_ptr_nonnull(grown);
    ck_assert(grown[0] == 5 && grown[1] == 6);
    ck_assert_ptr_null(tamis__realloc(grown, SIZE_MAX, sizeof *block));
    tamis__fault_memory_after(0);
    ck_assert_ptr_null(tamis__realloc(grown, 2000, sizeof *block));
    tamis__fault_memory_after(-1);
    ck_assert(grown[0] == 5 && grown[1] == 6);
    free(grown);
}
END_TEST

START_TEST(copy)
{
    char *text = tamis__strdup("a tamis");
    ck_assert_str_eq(text, "a tamis");
    free(text);
}
END_TEST

/* The first n succeed, every later one fails, until it is switched off. */
START_TEST(memory_faults)
{
    for (long n = 0; n < 5; n++) {
        tamis__fault_memory_after(n);
        for (long i = 0; i < n + 3; i++) {
            void *block = i % 4 == 0   ? tamis__malloc(1, 1)
                          : i % 4 == 1 ? tamis__calloc(1, 1)
                          : i % 4 == 2 ? tamis__aligned(1, 1)
                                       : tamis__strdup("x");
            if (i < n)
                ck_assert_ptr_nonnull(block);
            else
                ck_assert_ptr_null(block);
            free(block);
        }
        tamis__fault_memory_after(-1);
        void *block = tamis__malloc(1, 1);
        ck_assert_ptr_nonnull(block);
        free(block);
    }
}
END_TEST

START_TEST(io_faults)
{
    errno = 0;
    for (int i = 0; i < 10; i++) ck_assert(!tamis__fault_io());
    ck_assert_int_eq(errno, 0);
    tamis__fault_io_after(2);
    ck_assert(!tamis__fault_io());
    ck_assert(!tamis__fault_io());
    ck_assert_int_eq(errno, 0);
    for (int i = 0; i < 3; i++) ck_assert(tamis__fault_io());
    ck_assert_int_eq(errno, EIO);
    tamis__fault_io_after(-1);
    ck_assert(!tamis__fault_io());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem");
    TCase *tests = tcase_create("mem");
    tcase_add_test(tests, zeroed);
    tcase_add_test(tests, nothing);
    tcase_add_test(tests, overflow);
    tcase_add_test(tests, grow);
    tcase_add_test(tests, copy);
    tcase_add_test(tests, memory_faults);
    tcase_add_test(tests, io_faults);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
