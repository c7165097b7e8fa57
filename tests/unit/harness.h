/* What every unit test needs around Check.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_HARNESS_H
#define TAMIS_TEST_HARNESS_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/common.h>
#include <unistd.h>

/* The call succeeds; its message is shown when it does not. */
#define ck_ok(call)                                                                                \
    do {                                                                                           \
        tamis_status ck_status_ = (call);                                                          \
        ck_assert_msg(ck_status_ == TAMIS_OK, "%s: %s: %s", #call, tamis_status_name(ck_status_),  \
                      err.message);                                                                \
    } while (0)

/* The call fails with this status and a message holding this text. */
#define ck_fails(call, wanted, text)                                                               \
    do {                                                                                           \
        tamis_status ck_status_ = (call);                                                          \
        ck_assert_msg(ck_status_ == (wanted), "%s: got %s (%s), wanted %s", #call,                 \
                      tamis_status_name(ck_status_), err.message, tamis_status_name(wanted));      \
        ck_assert_msg(strstr(err.message, (text)) != NULL, "%s: message '%s' lacks '%s'", #call,   \
                      err.message, (text));                                                        \
    } while (0)

/* A new empty directory, entered; the test's files go there. */
static inline void enter_scratch(void)
{
    char name[] = "/tmp/tamis-test-XXXXXX";
    if (!mkdtemp(name) || chdir(name)) {
        perror("scratch directory");
        exit(99);
    }
}

/* Leave and delete the scratch directory. */
static inline void leave_scratch(void)
{
    char here[256], command[300];
    if (getcwd(here, sizeof here) && strncmp(here, "/tmp/tamis-test-", 16) == 0 &&
        chdir("/") == 0) {
        snprintf(command, sizeof command, "rm -rf '%s'", here);
        if (system(command)) perror("rm");
    }
}

/* Path of a file below tests/data. Static buffer. */
static inline const char *test_data(const char *name)
{
    static char path[1024];
    const char *root = getenv("TAMIS_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "tests/data", name);
    return path;
}

/* Run the suite and report in TAP. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
