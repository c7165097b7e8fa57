/* Status names, messages, prefixes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <errno.h>

#include "base/error.h"

START_TEST(names)
{
    for (int a = 0; a <= TAMIS_ERR_CHECK; a++) {
        const char *name = tamis_status_name((tamis_status)a);
        ck_assert_ptr_nonnull(name);
        ck_assert_str_ne(name, "unknown status");
        for (int b = 0; b < a; b++) ck_assert_str_ne(name, tamis_status_name((tamis_status)b));
    }
    ck_assert_str_eq(tamis_status_name((tamis_status)(TAMIS_ERR_CHECK + 1)), "unknown status");
    ck_assert_str_eq(tamis_status_name((tamis_status)-1), "unknown status");
    ck_assert_str_eq(tamis_dtype_name(TAMIS_F32), "f32");
    ck_assert_str_eq(tamis_dtype_name(TAMIS_F16), "f16");
    ck_assert_str_eq(tamis_dtype_name(TAMIS_BF16), "bf16");
    ck_assert_uint_eq(tamis_dtype_size(TAMIS_F32), 4);
    ck_assert_uint_eq(tamis_dtype_size(TAMIS_F16), 2);
    ck_assert_uint_eq(tamis_dtype_size(TAMIS_BF16), 2);
    ck_assert_str_eq(tamis_dtype_name(TAMIS_I8), "i8");
    ck_assert_uint_eq(tamis_dtype_size(TAMIS_I8), 1);
}
END_TEST

START_TEST(fail)
{
    tamis_error err = {.sys_errno = 77};
    ck_assert_int_eq(tamis__fail(&err, TAMIS_ERR_SHAPE, "%d rows and %d labels", 3, 4),
                     TAMIS_ERR_SHAPE);
    ck_assert_int_eq(err.status, TAMIS_ERR_SHAPE);
    ck_assert_int_eq(err.sys_errno, 0);
    ck_assert_str_eq(err.message, "3 rows and 4 labels");
    ck_assert_int_eq(tamis__fail(NULL, TAMIS_ERR_ARG, "nobody reads this"), TAMIS_ERR_ARG);
}
END_TEST

START_TEST(one_line)
{
    tamis_error err = {0};
    tamis__fail(&err, TAMIS_ERR_FORMAT, "field '%s'", "a\nb\r\tc\033[2J\177d");
    for (const char *p = err.message; *p; p++) ck_assert(*p >= 0x20 && *p != 0x7f);
    ck_assert_str_eq(err.message, "field 'a b  c [2J d'");
}
END_TEST

START_TEST(operating_system)
{
    tamis_error err = {0};
    errno = ENOENT;
    ck_assert_int_eq(tamis__fail_errno(&err, "cannot open '%s'", "x"), TAMIS_ERR_IO);
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_int_eq(err.status, TAMIS_ERR_IO);
    ck_assert_str_eq(err.message, "cannot open 'x': No such file or directory");
    errno = 54321;
    tamis__fail_errno(&err, "odd");
    ck_assert_ptr_nonnull(strstr(err.message, "54321"));
    ck_assert_int_eq(tamis__fail_errno(NULL, "odd"), TAMIS_ERR_IO);
}
END_TEST

START_TEST(memory)
{
    tamis_error err = {0};
    ck_assert_int_eq(tamis__fail_memory(&err, "a block of rows", 3u << 20), TAMIS_ERR_NOMEM);
    ck_assert_str_eq(err.message, "out of memory: 3.0 MiB wanted for a block of rows");
}
END_TEST

START_TEST(prefix)
{
    tamis_error err = {0};
    tamis__fail(&err, TAMIS_ERR_NUMERIC, "row 7 is not finite");
    ck_assert_int_eq(tamis__prefix(&err, TAMIS_ERR_IO, "checkpoint %d", 2), TAMIS_ERR_NUMERIC);
    ck_assert_int_eq(tamis__prefix(&err, TAMIS_ERR_NUMERIC, "'%s'", "t.h5"), TAMIS_ERR_NUMERIC);
    ck_assert_str_eq(err.message, "'t.h5': checkpoint 2: row 7 is not finite");
    ck_assert_int_eq(tamis__prefix(NULL, TAMIS_ERR_IO, "x"), TAMIS_ERR_IO);
}
END_TEST

/* Whatever is too long is cut; nothing is written past the end. */
START_TEST(long_messages)
{
    char text[3 * TAMIS_MESSAGE_SIZE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t size = TAMIS_MESSAGE_SIZE - 6; size < TAMIS_MESSAGE_SIZE + 6; size++) {
        struct {
            tamis_error err;
            char guard[16];
        } box = {.guard = "guard"};
        const char *cut = text + sizeof text - 1 - size;
        tamis__fail(&box.err, TAMIS_ERR_ARG, "%s", cut);
        ck_assert_uint_eq(strlen(box.err.message),
                          size < TAMIS_MESSAGE_SIZE ? size : TAMIS_MESSAGE_SIZE - 1);
        tamis__prefix(&box.err, TAMIS_ERR_ARG, "%s", cut);
        ck_assert_uint_lt(strlen(box.err.message), TAMIS_MESSAGE_SIZE);
        errno = EACCES;
        tamis__fail_errno(&box.err, "%s", cut);
        ck_assert_uint_lt(strlen(box.err.message), TAMIS_MESSAGE_SIZE);
        tamis__fail(&box.err, TAMIS_ERR_ARG, "%s", cut);
        tamis__prefix(&box.err, TAMIS_ERR_ARG, "short");
        ck_assert_int_eq(strncmp(box.err.message, "short: xxx", 10), 0);
        ck_assert_uint_lt(strlen(box.err.message), TAMIS_MESSAGE_SIZE);
        ck_assert_str_eq(box.guard, "guard");
    }
}
END_TEST

static tamis_status answer(tamis_status status)
{
    TAMIS_TRY(status);
    return TAMIS_ERR_CHECK;
}

static tamis_status answer_goto(tamis_status first)
{
    tamis_status status;
    TAMIS_TRY_GOTO(status, first, done);
    status = TAMIS_ERR_CHECK;
done:
    return status;
}

START_TEST(try_macros)
{
    ck_assert_int_eq(answer(TAMIS_OK), TAMIS_ERR_CHECK);
    ck_assert_int_eq(answer(TAMIS_ERR_SHAPE), TAMIS_ERR_SHAPE);
    ck_assert_int_eq(answer_goto(TAMIS_OK), TAMIS_ERR_CHECK);
    ck_assert_int_eq(answer_goto(TAMIS_ERR_SHAPE), TAMIS_ERR_SHAPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tests = tcase_create("error");
    tcase_add_test(tests, names);
    tcase_add_test(tests, fail);
    tcase_add_test(tests, one_line);
    tcase_add_test(tests, operating_system);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, prefix);
    tcase_add_test(tests, long_messages);
    tcase_add_test(tests, try_macros);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
