/* Digests are XXH3-64 as published: files written today must match tomorrow.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include "base/digest.h"

START_TEST(known)
{
    ck_assert_uint_eq(tamis__digest("", 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(tamis__digest_seeded("", 0, 0), UINT64_C(0x2d06800538d394c2));
}
END_TEST

/* XXH3 takes another path for each range of lengths; the seed 0 is the unseeded digest in all. */
START_TEST(lengths)
{
    unsigned char bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 31 + 7);
    uint64_t seen[256];
    for (size_t size = 0; size < sizeof bytes; size++) {
        uint64_t plain = tamis__digest(bytes, size);
        ck_assert_uint_eq(plain, tamis__digest_seeded(bytes, size, 0));
        ck_assert_uint_ne(plain, tamis__digest_seeded(bytes, size, 1));
        seen[size % 256] = plain;
        for (size_t i = 0; i < 256 && i < size; i++)
            if (i != size % 256) ck_assert_uint_ne(seen[i], plain);
    }
}
END_TEST

/* Every bit counts. */
START_TEST(sensitive)
{
    unsigned char bytes[300] = {0};
    uint64_t plain = tamis__digest(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_uint_ne(tamis__digest(bytes, sizeof bytes), plain);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert_uint_eq(tamis__digest(bytes, sizeof bytes), plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digest");
    TCase *tests = tcase_create("digest");
    tcase_add_test(tests, known);
    tcase_add_test(tests, lengths);
    tcase_add_test(tests, sensitive);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
