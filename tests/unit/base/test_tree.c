/* Directories that appear whole or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/tree.h"

static tamis_error err;
static tamis_context *context;
static int warnings;

static void count_warning(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    (void)line;
    warnings += level == TAMIS_LOG_WARNING;
}

static void setup(void)
{
    enter_scratch();
    warnings = 0;
    tamis_context_params params = {.threads = 1, .log = count_warning};
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis__fault_io_after(-1);
    tamis__fault_memory_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void has(const char *path, const char *text)
{
    char found[200] = "";
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s is missing", path);
    size_t n = fread(found, 1, sizeof found - 1, f);
    found[n] = '\0';
    fclose(f);
    ck_assert_str_eq(found, text);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Names in a directory, dots apart. */
static int entries(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);
    ck_assert_msg(dir != NULL, "%s is missing", path);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static tamis_status put_in(tamis__tree *tree, const char *name, const char *text)
{
    tamis__output output;
    TAMIS_TRY(tamis__tree_file(tree, name, &output, &err));
    tamis_status status = tamis__output_write(&output, text, strlen(text), &err);
    if (status == TAMIS_OK) return tamis__output_commit(&output, &err);
    tamis__output_abort(&output);
    return status;
}

/* The whole life of a tree with a file and a file in a directory. */
static tamis_status write_tree(const char *path, bool force, const char *text)
{
    tamis__tree tree;
    TAMIS_TRY(tamis__tree_open(&tree, context, path, force, &err));
    tamis_status status = put_in(&tree, "a", text);
    if (status == TAMIS_OK) status = put_in(&tree, "deep/b", text);
    if (status == TAMIS_OK) return tamis__tree_commit(&tree, &err);
    tamis__tree_abort(&tree);
    return status;
}

START_TEST(appears_whole)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, context, "out//", false, &err));
    ck_assert_str_eq(tree.path, "out");
    ck_ok(put_in(&tree, "a", "one"));
    ck_ok(put_in(&tree, "deep/b", "two"));
    char *path = tamis__tree_path(&tree, "a");
    has(path, "one");
    free(path);
    ck_assert(!exists("out"));
    ck_ok(tamis__tree_commit(&tree, &err));
    tamis__tree_abort(&tree); /* harmless now */
    has("out/a", "one");
    has("out/deep/b", "two");
    ck_assert_int_eq(entries("out"), 2);
    ck_assert_int_eq(entries("."), 1);
}
END_TEST

START_TEST(abort_removes_what_it_made)
{
    tamis__tree tree;
    mkdir("beside", 0777);
    put("beside/a", "kept");
    ck_ok(tamis__tree_open(&tree, context, "out", false, &err));
    ck_ok(put_in(&tree, "deep/b", "two"));
    char *path = tamis__tree_path(&tree, "link");
    ck_assert_int_eq(symlink("../beside", path), 0); /* a link is removed, not what it leads to */
    free(path);
    tamis__tree_abort(&tree);
    tamis__tree_abort(&tree);
    tamis__tree_abort(&(tamis__tree){0});
    ck_assert_int_eq(entries("."), 1);
    has("beside/a", "kept");
}
END_TEST

START_TEST(refused)
{
    tamis__tree tree;
    put("file", "x");
    mkdir("full", 0777);
    put("full/x", "x");
    ck_fails(tamis__tree_open(&tree, context, "", true, &err), TAMIS_ERR_ARG, "give it a name");
    ck_fails(tamis__tree_open(&tree, context, "-", true, &err), TAMIS_ERR_ARG, "give it a name");
    ck_fails(tamis__tree_open(&tree, context, "file", true, &err), TAMIS_ERR_IO, "is a file");
    ck_fails(tamis__tree_open(&tree, context, "full", false, &err), TAMIS_ERR_IO, "use -f");
    ck_fails(tamis__tree_open(&tree, context, "no/out", false, &err), TAMIS_ERR_IO, "cannot make");
    ck_assert_int_eq(entries("."), 2);
}
END_TEST

START_TEST(force_replaces_whole)
{
    ck_ok(write_tree("out", false, "old"));
    put("out/stale", "of the old one");
    ck_ok(write_tree("out", true, "new"));
    has("out/a", "new");
    has("out/deep/b", "new");
    ck_assert_int_eq(entries("out"), 2);
    ck_assert_int_eq(entries("."), 1);
    ck_ok(write_tree("fresh", true, "new")); /* force with nothing to replace */
    has("fresh/a", "new");
}
END_TEST

/* A link to a directory gives way, and what it leads to stays. */
START_TEST(force_replaces_link)
{
    mkdir("real", 0777);
    put("real/a", "kept");
    ck_assert_int_eq(symlink("real", "out"), 0);
    ck_ok(write_tree("out", true, "new"));
    has("out/a", "new");
    has("real/a", "kept");
    ck_assert_int_eq(entries("."), 2);
}
END_TEST

START_TEST(appeared_meanwhile)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, context, "out", false, &err));
    ck_ok(put_in(&tree, "a", "mine"));
    mkdir("out", 0777);
    ck_fails(tamis__tree_commit(&tree, &err), TAMIS_ERR_IO, "appeared while");
    ck_assert_int_eq(entries("out"), 0);
    ck_assert_int_eq(entries("."), 1);
}
END_TEST

static bool is_letter(const char *name)
{
    return strlen(name) == 1;
}

START_TEST(guard)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, context, "out", true, &err));
    ck_ok(tamis__tree_guard(&tree, is_letter, &err));
    mkdir("out", 0777);
    ck_ok(tamis__tree_guard(&tree, is_letter, &err));
    put("out/a", "");
    ck_ok(tamis__tree_guard(&tree, is_letter, &err));
    put("out/thesis", "");
    ck_fails(tamis__tree_guard(&tree, is_letter, &err), TAMIS_ERR_IO, "holds 'thesis'");
    ck_assert_int_eq(unlink("out/thesis"), 0);
    mkdir("out/d", 0777);
    ck_fails(tamis__tree_guard(&tree, is_letter, &err), TAMIS_ERR_IO, "holds 'd'");
    tamis__tree_abort(&tree);
    ck_assert_int_eq(entries("out"), 2);
}
END_TEST

START_TEST(two_runs)
{
    tamis__tree tree, other;
    ck_ok(tamis__tree_open(&tree, context, "out", false, &err));
    ck_ok(put_in(&tree, "a", "mine"));
    ck_fails(tamis__tree_open(&other, context, "out", false, &err), TAMIS_ERR_IO,
             "being written by another run");
    ck_ok(tamis__tree_commit(&tree, &err));
    has("out/a", "mine");
    ck_ok(tamis__tree_open(&other, context, "out", true, &err));
    tamis__tree_abort(&other);
    has("out/a", "mine");
}
END_TEST

/* A run that was killed: its files go. A directory that never was ours: its files stay. */
START_TEST(leftovers)
{
    tamis__tree tree;
    pid_t child = fork();
    if (child == 0) {
        ck_ok(tamis__tree_open(&tree, context, "out", false, &err));
        ck_ok(put_in(&tree, "deep/x", "half"));
        raise(SIGKILL);
    }
    int how = 0;
    waitpid(child, &how, 0);
    ck_assert(WIFSIGNALED(how) && exists("out.part/deep/x"));
    ck_ok(write_tree("out", false, "new"));
    ck_assert_int_eq(entries("out"), 2);
    ck_assert_int_eq(entries("."), 1);
    mkdir("other.part", 0777);
    ck_ok(write_tree("other", false, "new")); /* empty: nobody's */
    mkdir("mine.part", 0777);
    put("mine.part/thesis", "all of it");
    ck_fails(tamis__tree_open(&tree, context, "mine", true, &err), TAMIS_ERR_IO, "move it");
    has("mine.part/thesis", "all of it");
    put("f.part", "a file");
    ck_fails(tamis__tree_open(&tree, context, "f", true, &err), TAMIS_ERR_IO, "f.part");
    has("f.part", "a file");
}
END_TEST

START_TEST(many_files)
{
    char name[32];
    mkdir("d", 0777);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        put(name, "");
    }
    ck_assert(tamis__tree_remove("d"));
    ck_assert(!exists("d"));
    ck_assert(tamis__tree_remove("d"));
}
END_TEST

/* --- every allocation and every operation fails once ------------------------------------------ */

static void check_old(void)
{
    has("out/a", "old");
    has("out/deep/b", "old");
    ck_assert_int_eq(entries("."), 1);
}

/* Whatever fails, the old directory or the new one is there, whole, and nothing else. */
static void fail_each(void (*arm)(long n))
{
    bool done = false;
    for (long n = 0; !done; n++) {
        ck_assert_int_lt(n, 200);
        ck_ok(write_tree("out", true, "old"));
        arm(n);
        tamis_status status = write_tree("out", true, "new");
        arm(-1);
        done = status == TAMIS_OK;
        if (!done) {
            ck_assert(err.message[0] != '\0');
            check_old();
        }
    }
    has("out/a", "new");
    has("out/deep/b", "new");
    if (warnings > 0) { /* what was replaced could not be removed: the next run does it */
        ck_assert(exists("out.part") || exists("out.old"));
        ck_ok(write_tree("out", true, "newer"));
    }
    ck_assert_int_eq(entries("out"), 2);
    ck_assert_int_eq(entries("."), 1);
}

START_TEST(io_fails)
{
    fail_each(tamis__fault_io_after);
    ck_assert_int_eq(warnings, 1);
}
END_TEST

START_TEST(memory_fails)
{
    fail_each(tamis__fault_memory_after);
    ck_assert_int_eq(warnings, 0);
}
END_TEST

/* --- a file system that cannot exchange names ------------------------------------------------- */

/* From here on renameat2 fails in this process as on such a file system. */
static bool forbid_renameat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(without_exchange)
{
    tamis__tree tree;
    if (!forbid_renameat2()) return; /* a container without it */
    ck_ok(write_tree("out", false, "old"));
    ck_ok(write_tree("out", true, "new"));
    has("out/a", "new");
    ck_assert_int_eq(entries("."), 1);
    ck_ok(tamis__tree_open(&tree, context, "late", false, &err));
    mkdir("late", 0777);
    put("late/x", "x");
    ck_fails(tamis__tree_commit(&tree, &err), TAMIS_ERR_IO, "appeared while");
    has("late/x", "x");
    ck_assert_int_eq(entries("."), 2);
    mkdir("out.old", 0777);
    ck_fails(write_tree("out", true, "newer"), TAMIS_ERR_IO, "cannot rename");
    has("out/a", "new");
    ck_assert_int_eq(entries("out.old"), 0);
}
END_TEST

/* The old directory was moved aside, and the new one cannot take its place. */
START_TEST(without_exchange_fails)
{
    if (!forbid_renameat2()) return;
    fail_each(tamis__fault_io_after);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base tree");
    TCase *tcase = tcase_create("tree");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, appears_whole);
    tcase_add_test(tcase, abort_removes_what_it_made);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, force_replaces_whole);
    tcase_add_test(tcase, force_replaces_link);
    tcase_add_test(tcase, appeared_meanwhile);
    tcase_add_test(tcase, guard);
    tcase_add_test(tcase, two_runs);
    tcase_add_test(tcase, leftovers);
    tcase_add_test(tcase, many_files);
    tcase_add_test(tcase, io_fails);
    tcase_add_test(tcase, memory_fails);
    tcase_add_test(tcase, without_exchange);
    tcase_add_test(tcase, without_exchange_fails);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
