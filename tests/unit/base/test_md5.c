/* MD5: the sums of RFC 1321, files against md5sum.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include "base/md5_sum.h"
#include "base/md5_file.h"

static tamis_error err;

/* In parts of any size. */
static void sum(const void *bytes, size_t size, size_t part, char text[33])
{
    tamis__md5 md5;
    tamis__md5_start(&md5);
    for (size_t at = 0; at < size; at += part)
        tamis__md5_add(&md5, (const char *)bytes + at, size - at < part ? size - at : part);
    tamis__md5_end(&md5, text);
}

START_TEST(sums_of_the_standard)
{
    static const char *const known[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"1234567890123456789012345678901234567890"
         "1234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[33];
        for (size_t part = 1; part < 100; part += 7) {
            sum(known[i][0], strlen(known[i][0]), part, text);
            ck_assert_str_eq(text, known[i][1]);
        }
    }
}
END_TEST

START_TEST(files)
{
    static const size_t sizes[] = {0, 1, 55, 56, 63, 64, 65, 119, 120, 1000003, 17 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[33], command[100];
        snprintf(command, sizeof command, "yes 'a line' | head -c %zu >f", sizes[i]);
        ck_assert_int_eq(system(command), 0);
        ck_ok(tamis__md5_file(NULL, "f", text, &err));
        snprintf(command, sizeof command, "echo '%s  f' | md5sum -c --status", text);
        ck_assert_msg(system(command) == 0, "%zu bytes: %s", sizes[i], text);
    }
    char text[33] = "as it was";
    ck_fails(tamis__md5_file(NULL, "absent", text, &err), TAMIS_ERR_IO, "'absent'");
    ck_assert_str_eq(text, "as it was");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("md5");
    TCase *tests = tcase_create("md5");
    tcase_add_checked_fixture(tests, enter_scratch, leave_scratch);
    tcase_add_test(tests, sums_of_the_standard);
    tcase_add_test(tests, files);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
