/* What is beyond one plain input: several, arrays, compressed ones, ids; dry runs and .dvc files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "base/mem.h"
#include "changed_input.h"

/* --- several inputs --------------------------------------------------------------------------- */

START_TEST(rows_go_on_from_file_to_file)
{
    static const char *const in[] = {"a.jsonl", "b.jsonl", "c.jsonl"};
    tamis_selection *s = make_selection("10110", NULL);
    tamis_manifest_result r;
    put("a.jsonl", "0\n1"); /* completed before the next file's first */
    put("b.jsonl", "");
    put("c.jsonl", "2\r\n3\r\n4");
    tamis_manifest_params p = {.selection = s, .input = in, .inputs = 3, .dropped = "rest"};
    ck_ok(write_with(p, &r));
    check_text("out", "0\n2\r\n3\r\n");
    check_text("rest", "1\n4\r\n");
    ck_assert_uint_eq(r.inputs, 3);
    ck_assert_uint_eq(r.input_records[0], 2);
    ck_assert_uint_eq(r.input_records[1], 0);
    ck_assert_uint_eq(r.input_records[2], 3);
    ck_assert_uint_eq(r.bytes_in, 3 + 0 + 7);
    tamis_manifest_result_fini(&r);
    put("b.jsonl", "1"); /* each last line ends in its own file's style, in any order */
    put("a.jsonl", "0\r\n.");
    put("c.jsonl", "2\n3");
    memset(s->keep, 1, 5);
    for (uint64_t row = 0; row < 5; row++) s->rank[row] = 4 - row;
    p.order = TAMIS_MANIFEST_SCORE;
    ck_ok(write_with(p, NULL));
    check_text("out", "3\n2\n1\n.\r\n0\r\n");
    p.order = TAMIS_MANIFEST_SOURCE;
    p.inputs = 1;
    ck_fails(write_with(p, NULL), TAMIS_ERR_SHAPE, "'a.jsonl' has 2 records");
    p.inputs = 3;
    put("b.jsonl", "x\ny\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_SHAPE, "'a.jsonl' and 2 more files have 6 records");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(headers_must_agree)
{
    static const char *const in[] = {"a.csv", "b.csv"};
    tamis_selection *s = make_selection("011", NULL);
    put("a.csv", "\xef\xbb\xbfh,i\n0,0\n1,1\n");
    put("b.csv", "h,i\r\n2,2");
    tamis_manifest_params p = {.selection = s, .input = in, .inputs = 2};
    ck_ok(write_with(p, NULL));
    check_text("out", "\xef\xbb\xbfh,i\n1,1\n2,2\r\n");
    put("b.csv", "\xef\xbb\xbfh,i\n2,2\n"); /* one mark at the head, whoever has some */
    ck_ok(write_with(p, NULL));
    check_text("out", "\xef\xbb\xbfh,i\n1,1\n2,2\n");
    put("a.csv", "h,i\n0,0\n1,1\n");
    ck_ok(write_with(p, NULL));
    check_text("out", "h,i\n1,1\n2,2\n");
    put("b.csv", "h,j\n2,2\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT,
             "'b.csv' line 1: its header is not that of 'a.csv'");
    tamis_selection_free(&s);
}
END_TEST

/* The row of a record that differs is counted over all files, its line in its own. */
START_TEST(mismatches_name_their_file)
{
    static const char *const in[] = {"a.jsonl", "b.jsonl"};
    size_t n;
    uint64_t *digest = digests_of(TAMIS__RECORDS_JSONL, "0\n1\n2\n3\n", 8, &n);
    tamis_selection *s = make_selection("1111", &(tamis_examples){.digest = digest});
    put("a.jsonl", "0\n1\n");
    put("b.jsonl", "2\n\nx\n");
    tamis_manifest_params p = {.selection = s, .input = in, .inputs = 2};
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'b.jsonl' line 3: the record of row 3");
    put("b.jsonl", "2\n3\n");
    ck_ok(write_with(p, NULL));
    tamis_selection_free(&s);
    free(digest);
}
END_TEST

/* --- arrays ----------------------------------------------------------------------------------- */

START_TEST(arrays_stay_arrays)
{
    static const char *const in[] = {"a.json", "b.json"};
    tamis_selection *s = make_selection("1011", NULL);
    tamis_manifest_params p = {.selection = s, .input = in, .inputs = 1, .dropped = "rest"};
    put("a.json", " [ {\"a\" : [1,2], \"b\":\"]\\\"[\"},\n2.50 ,\"\xff\",\r\n [ ] ]\n");
    ck_ok(write_with(p, NULL));
    check_text("out", "[\n{\"a\" : [1,2], \"b\":\"]\\\"[\"},\n\"\xff\",\n[ ]\n]\n");
    check_text("rest", "[\n2.50\n]\n");
    ck_assert_int_eq(shell_status("test \"$(jq -c . rest)\" = '[2.5]'"), 0);
    p.order = TAMIS_MANIFEST_SCORE;
    s->rank[0] = 2, s->rank[2] = 1, s->rank[3] = 0;
    ck_ok(write_with(p, NULL));
    check_text("out", "[\n[ ],\n\"\xff\",\n{\"a\" : [1,2], \"b\":\"]\\\"[\"}\n]\n");
    p.order = TAMIS_MANIFEST_SOURCE;
    p.inputs = 2;
    put("a.json", "[1,2,3]");
    put("b.json", "[4]");
    ck_ok(write_with(p, NULL));
    check_text("out", "[\n1,\n3,\n4\n]\n");
    memset(s->keep, 0, 4);
    ck_ok(write_with(p, NULL));
    check_text("out", "[]\n");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(broken_arrays_are_refused)
{
    static const struct {
        const char *text, *message;
    } bad[] = {{"{\"a\":1}\n", "does not begin with '['"},
               {"", "does not begin with '['"},
               {"[1,\n2", "'a.json' line 2"},
               {"[1 2]", "expected ',' or ']'"},
               {"[1,2] x", "something follows"},
               {"[1,]", "'a.json' line 1"},
               {"[{\"a\":}]", "'a.json' line 1"},
               {"[1,\"b]", "'a.json' line 1"}};
    tamis_selection *s = make_selection("11", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        static const char *const in[] = {"a.json"};
        put("a.json", bad[i].text);
        ck_fails(
            write_with((tamis_manifest_params){.selection = s, .input = in, .inputs = 1}, NULL),
            TAMIS_ERR_FORMAT, bad[i].message);
        check_nothing_left();
    }
    tamis_selection_free(&s);
}
END_TEST

/* --- compressed ------------------------------------------------------------------------------- */

/* Written by the common tools, several members or frames; read back by them. */
START_TEST(compressed_files_in_and_out)
{
    static const char *const tool[] = {"gzip", "zstd -q"}, *const ending[] = {"gz", "zst"};
    tamis_selection *s = make_selection("1011", NULL);
    put("first", "0\n1\n");
    put("second", "2\n3");
    for (size_t i = 0; i < 2; i++) {
        char command[256], in[32], out[32];
        snprintf(in, sizeof in, "in.jsonl.%s", ending[i]);
        snprintf(out, sizeof out, "out.jsonl.%s", ending[i]);
        snprintf(command, sizeof command, "(%s -c first; %s -c second) >%s", tool[i], tool[i], in);
        ck_assert_int_eq(shell_status(command), 0);
        const char *const input[] = {in};
        tamis_manifest_result r;
        tamis_manifest_params p = {.selection = s, .input = input, .inputs = 1, .output = out};
        ck_ok(write_with(p, &r));
        snprintf(command, sizeof command, "%s -dc %s >plain", tool[i], out);
        ck_assert_int_eq(shell_status(command), 0);
        check_text("plain", "0\n2\n3\n");
        bytes once = get(out);
        ck_assert_uint_eq(r.bytes_out, once.size);
        tamis_manifest_result_fini(&r);
        sleep(1); /* no time stamp */
        ck_ok(write_with(p, NULL));
        check_file(out, once.data, once.size);
        p.order = TAMIS_MANIFEST_SCORE; /* from the expanded file */
        p.output = "out";
        s->rank[0] = 9;
        ck_ok(write_with(p, NULL));
        check_text("out", "2\n3\n0\n");
        s->rank[0] = 0;
        free(once.data);
    }
    tamis_selection_free(&s);
}
END_TEST

/* Every cut and every flipped bit is told, or the bytes are the same all the same. */
START_TEST(broken_compression_is_refused)
{
    static const char *const tool[] = {"gzip -9n", "zstd -q --check"};
    tamis_selection *s = make_selection("1111", NULL);
    put("text", "some text\nmore of it\nand more text\nthe end of the text\n");
    for (size_t i = 0; i < 2; i++) {
        char command[64];
        snprintf(command, sizeof command, "%s -c text >whole", tool[i]);
        ck_assert_int_eq(shell_status(command), 0);
        bytes whole = get("whole");
        tamis_manifest_params p = {.selection = s};
        for (size_t size = 8; size < whole.size; size++) {
            put_bytes("in", whole.data, size);
            tamis_status status = write_with(p, NULL);
            ck_assert_msg(status == TAMIS_ERR_FORMAT && strstr(err.message, "'in'"), "%zu: %s",
                          size, err.message);
            check_nothing_left();
        }
        whole.data[whole.size] = 'x'; /* in place of the NUL that get() puts there */
        put_bytes("in", whole.data, whole.size + 1);
        ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'in' byte");
        whole.data[whole.size / 2] ^= 0x55;
        put_bytes("in", whole.data, whole.size);
        ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'in'");
        check_nothing_left();
        free(whole.data);
    }
    tamis_selection_free(&s);
}
END_TEST

/* --- ids -------------------------------------------------------------------------------------- */

START_TEST(ids_are_compared)
{
    static const char *const ids[] = {"x", "y\"z", "3"};
    tamis_selection *s = make_selection("101", &(tamis_examples){.id_text = ids});
    tamis_manifest_params p = {.selection = s, .id_field = "uid"};
    tamis_manifest_result r;
    put("in", "{\"a\":1,\"uid\":\"x\"}\n{\"uid\":\"y\\u0022z\"}\n{\"uid\":3}\n");
    ck_ok(write_with(p, &r));
    ck_assert(r.ids_checked);
    tamis_manifest_result_fini(&r);
    ck_assert_int_eq(unlink("out"), 0);
    put("in", "{\"uid\":\"x\"}\n{\"uid\":3}\n{\"uid\":\"y\\u0022z\"}\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'in' line 2: the record of row 1, id 'y\"z'");
    /* Of the record itself, not of what is in it; the row's number where it has no other id. */
    put("in", "{\"n\":{\"uid\":1},\"uid\":\"x\"}\n{\"uid\":\"y\\\"z\"}\n{\"uid\":\"3\"}\n");
    ck_ok(write_with(p, NULL));
    tamis_selection *numbers = make_selection("11", NULL);
    tamis_manifest_params q = {.selection = numbers, .id_field = "uid"};
    put("in", "{\"uid\":0}\n{\"uid\":1}\n");
    ck_ok(write_with(q, NULL));
    put("in", "{\"uid\":0}\n{\"uid\":2}\n");
    ck_fails(write_with(q, NULL), TAMIS_ERR_FORMAT, "'in' line 2: the record of row 1");
    tamis_selection_free(&numbers);
    ck_assert_int_eq(unlink("out"), 0);
    put("in", "{\"uid\":\"x\"}\n{\"id\":3}\n{}\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'in' line 2: the record has no 'uid'");
    p.format = "csv";
    put("in", "t,uid\na,x\nb,\"y\"\"z\"\nc,3\n");
    ck_ok(write_with(p, NULL));
    ck_assert_int_eq(unlink("out"), 0);
    put("in", "t,uid\na,x\nb,y\nc,3\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "line 3: the record of row 1");
    put("in", "t,id\na,x\nb,y\nc,3\n");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "no field 'uid'");
    check_nothing_left();
    tamis_selection_free(&s);
}
END_TEST

/* --- dry runs and .dvc ------------------------------------------------------------------------ */

START_TEST(dry_runs_write_nothing)
{
    static const char *const format[] = {"jsonl",    "index",       "index-npy", "mask",
                                         "mask-npy", "weights-npy", "counts"};
    tamis_selection *s = make_selection("101", NULL);
    tamis_manifest_params p = {.selection = s, .dropped = "rest", .dvc = true};
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        tamis_manifest_result dry, wet;
        put("in", "a\nb\nlast");
        p.format = format[i];
        p.dry_run = true;
        ck_ok(write_with(p, &dry));
        check_nothing_left();
        p.dry_run = false;
        ck_ok(write_with(p, &wet));
        ck_assert_uint_eq(dry.records, wet.records);
        ck_assert_uint_eq(dry.written, 2);
        ck_assert_uint_eq(wet.written, 2);
        ck_assert_uint_eq(dry.bytes_out, wet.bytes_out);
        ck_assert_uint_eq(dry.bytes_dropped, wet.bytes_dropped);
        bytes out = get("out");
        ck_assert_uint_eq(dry.bytes_out, out.size);
        free(out.data);
        tamis_manifest_result_fini(&dry);
        tamis_manifest_result_fini(&wet);
        ck_assert_int_eq(shell_status("rm out* rest*"), 0);
    }
    put("in", "a\nb\n");
    p.format = "jsonl";
    p.dry_run = true;
    ck_fails(write_with(p, NULL), TAMIS_ERR_SHAPE, "has 2 records");
    tamis_selection_free(&s);
}
END_TEST

/* The size and the MD5 are what md5sum and wc say. */
START_TEST(dvc_files_agree_with_md5sum)
{
    tamis_selection *s = make_selection("101", NULL);
    tamis_manifest_result r;
    put("in", "a\nb\nc\n");
    tamis_manifest_params p = {
        .selection = s, .dropped = "rest", .dvc = true, .output = "o'k.jsonl.gz"};
    ck_ok(write_with(p, &r));
    for (size_t i = 0; i < r.files; i++) {
        char wanted[256], command[128], text[64] = "", path[64];
        if (!strcmp(r.file[i].what, "dvc")) continue;
        snprintf(command, sizeof command, "md5sum <\"%s\"", r.file[i].path);
        FILE *pipe = popen(command, "r");
        ck_assert_ptr_nonnull(fgets(text, sizeof text, pipe));
        pclose(pipe);
        ck_assert_int_eq(strncmp(text, r.file[i].md5, 32), 0);
        bytes file = get(r.file[i].path);
        ck_assert_uint_eq(file.size, r.file[i].bytes);
        snprintf(path, sizeof path, "%s.dvc", r.file[i].path);
        snprintf(wanted, sizeof wanted,
                 "outs:\n- md5: %.32s\n  size: %zu\n  hash: md5\n  path: '%s'\n", text, file.size,
                 strchr(r.file[i].path, '\'') ? "o''k.jsonl.gz" : r.file[i].path);
        check_text(path, wanted);
        free(file.data);
    }
    ck_assert_uint_eq(r.files, 6);
    tamis_manifest_result_fini(&r);
    tamis_selection_free(&s);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static void inject(void (*fault)(long), tamis_manifest_params p)
{
    static const char *const left[] = {"t-a",  "t-a.part",         "t-b.gz",   "t-b.gz.part",
                                       "rest", "rest.reasons.csv", "rest.dvc", "t-a.dvc"};
    tamis_status status = TAMIS_ERR_IO;
    long n = 0;
    for (; n < 2000 && status != TAMIS_OK; n++) {
        tamis_manifest_result r = {0};
        err = (tamis_error){0};
        fault(n);
        status = tamis_manifest_write(NULL, &p, &r, &err);
        fault(-1);
        tamis_manifest_result_fini(&r);
        if (status == TAMIS_OK) break;
        ck_assert_msg(*err.message != '\0', "no message at failure %ld", n);
        check_nothing_left();
        for (size_t i = 0; i < sizeof left / sizeof *left; i++)
            ck_assert_msg(!exists(left[i]), "'%s' was left behind at failure %ld", left[i], n);
    }
    ck_assert_int_eq(status, TAMIS_OK);
    ck_assert_int_gt(n, 10);
    ck_assert_int_eq(shell_status("rm -f t-* out* rest*"), 0);
}

START_TEST(failures_leave_nothing)
{
    static const char *const in[] = {"a.jsonl", "b.jsonl.gz"}, *const arrays[] = {"a.json",
                                                                                  "a.json"};
    static const tamis_manifest_split split[] = {{"a", 1}, {"b.gz", 1}};
    static int32_t label[] = {0, 0, 1, 1};
    tamis_selection *s = make_selection("1101", &(tamis_examples){.label = label});
    for (int i = 0; i < 4; i++) s->weight[i] = 1;
    put("a.jsonl", "{\"id\":0}\n{\"id\":1}\n");
    put("b.jsonl", "{\"id\":2}\n{\"id\":3}\n");
    put("a.json", "[0,\n1]");
    ck_assert_int_eq(shell_status("gzip b.jsonl"), 0);
    tamis_manifest_params p = {.selection = s,
                               .input = in,
                               .inputs = 2,
                               .output = "t-{}",
                               .dropped = "rest",
                               .order = TAMIS_MANIFEST_SHUFFLE,
                               .split = split,
                               .splits = 2,
                               .split_by_group = true,
                               .repeats = 5,
                               .id_field = "id",
                               .dvc = true};
    inject(tamis__fault_memory_after, p);
    inject(tamis__fault_io_after, p);
    tamis_manifest_params q = {
        .selection = s, .input = arrays, .inputs = 2, .output = "out", .dropped = "rest"};
    inject(tamis__fault_memory_after, q);
    inject(tamis__fault_io_after, q);
    tamis_selection_free(&s);
}
END_TEST

static void make_records(void)
{
    put("a", "[0,\n1,\n2]\n");
    put("b.jsonl", "0\n1\n2\n");
    put("b.csv", "h\n0\n1\n2\n");
    put("c", "3\n");
    ck_assert_int_eq(system("rm -f out"), 0);
}

START_TEST(changed_inputs_are_noticed)
{
    static const char *const in[] = {"b.jsonl", "c"};
    tamis_selection *three = make_selection("101", NULL), *four = make_selection("1010", NULL);
    tamis_manifest_params p = {
        .selection = four, .format = "jsonl", .input = in, .inputs = 2, .output = "out"};
    for (int by_score = 0; by_score < 2; by_score++) {
        p.order = by_score ? TAMIS_MANIFEST_SCORE : TAMIS_MANIFEST_SOURCE;
        check_changes(p, "b.jsonl", make_records);
        check_changes(p, "c", make_records);
    }
    p = (tamis_manifest_params){.selection = three, .format = "csv", .inputs = 1, .output = "out"};
    p.input = (const char *const[]){"b.csv"};
    check_changes(p, "b.csv", make_records);
    p.format = "json";
    p.input = (const char *const[]){"a"};
    check_changes(p, "a", make_records);
    tamis_selection_free(&three);
    tamis_selection_free(&four);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inputs of manifests");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, rows_go_on_from_file_to_file);
    tcase_add_test(all, headers_must_agree);
    tcase_add_test(all, mismatches_name_their_file);
    tcase_add_test(all, arrays_stay_arrays);
    tcase_add_test(all, broken_arrays_are_refused);
    tcase_add_test(all, compressed_files_in_and_out);
    tcase_add_test(all, broken_compression_is_refused);
    tcase_add_test(all, ids_are_compared);
    tcase_add_test(all, dry_runs_write_nothing);
    tcase_add_test(all, dvc_files_agree_with_md5sum);
    tcase_add_test(all, failures_leave_nothing);
    tcase_add_test(all, changed_inputs_are_noticed);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
