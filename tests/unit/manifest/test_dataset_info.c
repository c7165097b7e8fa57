/* dataset_info.json: one entry more, all other bytes as they were.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/dataset_info.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest_files.h"

static tamis_status merge(const char *text, const tamis__dataset_entry *entry, bool replace)
{
    tamis__output output;
    TAMIS_TRY(tamis__output_open(&output, NULL, "info.out", true, &err));
    tamis_status status = tamis__dataset_info_write(text, strlen(text), "info.json", entry, replace,
                                                    &output, &err);
    if (status == TAMIS_OK) return tamis__output_commit(&output, &err);
    tamis__output_abort(&output);
    return status;
}

static void check_merge(const char *text, const tamis__dataset_entry *entry, bool replace,
                        const char *wanted)
{
    ck_ok(merge(text, entry, replace));
    check_text("info.out", wanted);
    ck_assert_int_eq(system("jq -e . info.out >jq.out"), 0);
    /* Checking alone says the same. */
    ck_ok(tamis__dataset_info_write(text, strlen(text), "info.json", entry, replace, NULL, &err));
}

START_TEST(an_entry_is_added_in_the_style_of_the_file)
{
    tamis__dataset_entry plain = {.name = "top", .file_name = "top.jsonl"};
    check_merge("", &plain, false, "{\n  \"top\": {\"file_name\": \"top.jsonl\"}\n}\n");
    check_merge("{}", &plain, false, "{\n  \"top\": {\"file_name\": \"top.jsonl\"}\n}");
    check_merge("{ \"a\": {\"x\" :1e0} }\n", &plain, false,
                "{ \"a\": {\"x\" :1e0}, \"top\": {\"file_name\": \"top.jsonl\"} }\n");
    check_merge(
        "{\r\n\t\"a\": {},\r\n\t\"b\": {}\r\n}", &plain, false,
        "{\r\n\t\"a\": {},\r\n\t\"b\": {},\r\n\t\"top\": {\"file_name\": \"top.jsonl\"}\r\n}");
    check_merge(
        "{\"a\":{}}",
        &(tamis__dataset_entry){.name = "q\"", .file_name = "a/b.json", .formatting = "sharegpt"},
        false, "{\"a\":{},\"q\\\"\": {\"file_name\": \"a/b.json\", \"formatting\": \"sharegpt\"}}");
}
END_TEST

START_TEST(settings_come_from_another_entry)
{
    static const char text[] =
        "{\n  \"old\": {\n    \"file_name\": \"old.json\", \"num_samples\": 7, \"split\": \"x\",\n"
        "    \"formatting\": \"sharegpt\",\n    \"columns\": {\"messages\":  \"m\"}\n  }\n}\n";
    tamis__dataset_entry entry = {.name = "top", .file_name = "t.jsonl", .like = "old"};
    ck_ok(merge(text, &entry, false));
    ck_assert_int_eq(
        system("test \"$(jq -c .top info.out)\" = "
               "'{\"file_name\":\"t.jsonl\",\"formatting\":\"sharegpt\",\"columns\":{\"messages\":"
               "\"m\"}}'"),
        0);
    ck_assert_int_eq(system("grep -qF '\"columns\": {\"messages\":  \"m\"}}' info.out"), 0);
    entry.formatting = "alpaca";
    ck_ok(merge(text, &entry, false));
    ck_assert_int_eq(system("test \"$(jq -c .top.formatting info.out)\" = '\"alpaca\"'"), 0);
    /* All that was there is there as it was: the old text but its end is the new one's start. */
    bytes out = get("info.out");
    ck_assert_int_eq(memcmp(out.data, text, strlen(text) - 3), 0);
    free(out.data);
}
END_TEST

START_TEST(an_entry_is_replaced_only_when_asked)
{
    static const char text[] = "{\"a\": {\"k\":1}, \"top\" : {\"file_name\": \"x\"} ,\"b\":2}";
    tamis__dataset_entry entry = {.name = "top", .file_name = "t.jsonl", .like = "a"};
    ck_fails(merge(text, &entry, false), TAMIS_ERR_ARG,
             "'info.json' has a data set 'top' already: choose another name");
    check_merge(text, &entry, true,
                "{\"a\": {\"k\":1}, \"top\" : {\"file_name\": \"t.jsonl\", \"k\": 1} ,\"b\":2}");
}
END_TEST

START_TEST(bad_files_are_refused)
{
    tamis__dataset_entry entry = {.name = "top", .file_name = "t.jsonl"};
    ck_fails(merge("[]", &entry, false), TAMIS_ERR_FORMAT, "'info.json' line 1, byte 1");
    ck_fails(merge("{\n \"a\": {},\n}", &entry, false), TAMIS_ERR_FORMAT, "line 3, byte 1");
    ck_fails(merge("{\"a\": 1} x", &entry, false), TAMIS_ERR_FORMAT, "text after the object");
    ck_fails(merge("\xef\xbb\xbf{}", &entry, false), TAMIS_ERR_FORMAT, "byte order mark");
    ck_fails(merge("{\"top\":1,\"top\":2}", &entry, true), TAMIS_ERR_FORMAT, "twice");
    entry.like = "no";
    ck_fails(merge("{\"a\":{}}", &entry, false), TAMIS_ERR_ARG, "no data set 'no'");
    entry.like = "a";
    ck_fails(merge("{\"a\":1}", &entry, false), TAMIS_ERR_FORMAT, "is no object");
    entry = (tamis__dataset_entry){.name = "\xff", .file_name = "t"};
    ck_fails(merge("{}", &entry, false), TAMIS_ERR_ARG, "not UTF-8");
    ck_assert(!exists("info.out"));
    ck_assert(!exists("info.out.part"));
}
END_TEST

START_TEST(files_are_named_from_the_directory_of_the_info)
{
    char *name, here[256], wanted[300];
    ck_assert_int_eq(mkdir("d", 0777), 0);
    ck_assert_int_eq(mkdir("d/e", 0777), 0);
    ck_assert_int_eq(mkdir("dd", 0777), 0);
    ck_ok(tamis__dataset_file_name("d/info.json", "d/x.jsonl", &name, &err));
    ck_assert_str_eq(name, "x.jsonl");
    free(name);
    ck_ok(tamis__dataset_file_name("info.json", "d/../d/e/x.jsonl", &name, &err));
    ck_assert_str_eq(name, "d/e/x.jsonl");
    free(name);
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(wanted, sizeof wanted, "%s/dd/x.jsonl", here);
    ck_ok(tamis__dataset_file_name("d/info.json", "dd/x.jsonl", &name, &err));
    ck_assert_str_eq(name, wanted);
    free(name);
    ck_fails(tamis__dataset_file_name("no/info.json", "x", &name, &err), TAMIS_ERR_IO, "no/info");
}
END_TEST

START_TEST(every_allocation_and_write_may_fail)
{
    tamis__dataset_entry entry = {.name = "top", .file_name = "t.jsonl", .like = "a"};
    for (int io = 0; io < 2; io++) {
        long n = 0;
        tamis_status status;
        do {
            (io ? tamis__fault_io_after : tamis__fault_memory_after)(n++);
            status = merge("{\"a\": {\"k\":1}}", &entry, false);
            (io ? tamis__fault_io_after : tamis__fault_memory_after)(-1);
            if (status != TAMIS_OK) ck_assert(err.message[0] && !exists("info.out.part"));
        } while (status != TAMIS_OK && n < 100);
        ck_assert_int_gt(n, 1);
        ck_assert_int_lt(n, 100);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset info");
    TCase *tcase = tcase_create("entries");
    tcase_add_checked_fixture(tcase, enter_scratch, leave_scratch);
    tcase_add_test(tcase, an_entry_is_added_in_the_style_of_the_file);
    tcase_add_test(tcase, settings_come_from_another_entry);
    tcase_add_test(tcase, an_entry_is_replaced_only_when_asked);
    tcase_add_test(tcase, bad_files_are_refused);
    tcase_add_test(tcase, files_are_named_from_the_directory_of_the_info);
    tcase_add_test(tcase, every_allocation_and_write_may_fail);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
