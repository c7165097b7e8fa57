/* Tests of directories that appear whole or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "base/tree.h"
#include "harness.h"

static tamis_error err;

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static tamis_status write_one(const tamis__tree *tree, const char *name, const char *text)
{
    tamis__output output;
    tamis_status status = tamis__tree_file(tree, name, &output, &err);
    if (status != TAMIS_OK) return status;
    status = tamis__output_write(&output, text, strlen(text), &err);
    if (status == TAMIS_OK) return tamis__output_commit(&output, &err);
    tamis__output_abort(&output);
    return status;
}

static void check_text(const char *path, const char *wanted)
{
    char text[64] = "";
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "'%s' is not there", path);
    ck_assert_uint_eq(fread(text, 1, 63, file), strlen(wanted));
    fclose(file);
    ck_assert_str_eq(text, wanted);
}

START_TEST(appears_whole)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, NULL, "d/", false, &err));
    ck_ok(write_one(&tree, "a", "one"));
    ck_ok(write_one(&tree, "sub/b", "two"));
    ck_assert(!exists("d") && exists("d.part/a"));
    ck_ok(tamis__tree_commit(&tree, &err));
    check_text("d/a", "one");
    check_text("d/sub/b", "two");
    ck_assert(!exists("d.part"));
    tamis__tree_abort(&tree);
}
END_TEST

START_TEST(aborting_leaves_nothing)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, NULL, "d", false, &err));
    ck_ok(write_one(&tree, "a", "one"));
    tamis__tree_abort(&tree);
    ck_assert(!exists("d") && !exists("d.part"));
    tamis__tree_abort(&tree);
}
END_TEST

START_TEST(replaces_only_by_force)
{
    tamis__tree tree;
    ck_ok(tamis__tree_open(&tree, NULL, "d", false, &err));
    ck_ok(write_one(&tree, "old", "1"));
    ck_ok(tamis__tree_commit(&tree, &err));
    ck_fails(tamis__tree_open(&tree, NULL, "d", false, &err), TAMIS_ERR_IO, "use -f");
    ck_ok(tamis__tree_open(&tree, NULL, "d", true, &err));
    ck_ok(write_one(&tree, "new", "2"));
    ck_assert(exists("d/old"));
    ck_ok(tamis__tree_commit(&tree, &err));
    ck_assert(!exists("d/old") && exists("d/new") && !exists("d.part"));
    FILE *file = fopen("f", "wb");
    fclose(file);
    ck_fails(tamis__tree_open(&tree, NULL, "f", true, &err), TAMIS_ERR_IO, "is a file");
    ck_fails(tamis__tree_open(&tree, NULL, "-", true, &err), TAMIS_ERR_ARG, "give it a name");
}
END_TEST

START_TEST(two_runs_do_not_meet)
{
    tamis__tree tree, other;
    ck_ok(tamis__tree_open(&tree, NULL, "d", false, &err));
    ck_fails(tamis__tree_open(&other, NULL, "d", false, &err), TAMIS_ERR_IO, "another run");
    ck_assert(exists("d.part"));
    ck_assert_int_eq(system("mkdir d && touch d/theirs"), 0);
    ck_fails(tamis__tree_commit(&tree, &err), TAMIS_ERR_IO, "appeared while");
    ck_assert(exists("d/theirs") && !exists("d.part"));
}
END_TEST

/* What a killed run left is not taken over. */
START_TEST(leftovers_are_removed)
{
    tamis__tree tree;
    ck_assert_int_eq(system("mkdir -p d.part/x/y && touch d.part/x/y/z d.part/w"), 0);
    ck_ok(tamis__tree_open(&tree, NULL, "d", false, &err));
    ck_ok(write_one(&tree, "a", "one"));
    ck_ok(tamis__tree_commit(&tree, &err));
    ck_assert(exists("d/a") && !exists("d/x") && !exists("d/w"));
}
END_TEST

START_TEST(failures_leave_nothing)
{
    for (int what = 0; what < 2; what++)
        for (long n = 0, done = 0; !done; n++) {
            tamis__tree tree;
            ck_assert_int_lt(n, 100);
            if (what)
                tamis__fault_io_after(n);
            else
                tamis__fault_memory_after(n);
            tamis_status status = tamis__tree_open(&tree, NULL, "d", true, &err);
            bool open = status == TAMIS_OK;
            if (open) status = write_one(&tree, "a/b", "text");
            if (status == TAMIS_OK)
                status = tamis__tree_commit(&tree, &err);
            else if (open)
                tamis__tree_abort(&tree);
            tamis__fault_io_after(-1);
            tamis__fault_memory_after(-1);
            done = status == TAMIS_OK;
            ck_assert(!exists("d.part"));
            ck_assert_int_eq(exists("d"), done);
            tamis__tree_remove("d");
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base tree");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_add_test(all, appears_whole);
    tcase_add_test(all, aborting_leaves_nothing);
    tcase_add_test(all, replaces_only_by_force);
    tcase_add_test(all, two_runs_do_not_meet);
    tcase_add_test(all, leftovers_are_removed);
    tcase_add_test(all, failures_leave_nothing);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
