/* Lists of rows: index and mask, alone and beside the file that the candidates came from.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest_files.h"

START_TEST(index_and_mask_as_text)
{
    tamis_selection *selection = make_selection("01100000000010", NULL);
    tamis_manifest_result result;
    ck_ok(tamis_manifest_write(
        NULL, &(tamis_manifest_params){.selection = selection, .output = "i.txt"}, &result, &err));
    check_text("i.txt", "1\n2\n12\n");
    ck_assert_uint_eq(result.records, 14);
    ck_assert_uint_eq(result.kept, 3);
    ck_assert_uint_eq(result.dropped, 11);
    ck_assert_uint_eq(result.bytes_out, 7);
    ck_assert(!result.digests_checked);
    tamis_manifest_result_fini(&result);
    ck_ok(write_manifest(selection, "mask", NULL, "rest"));
    check_text("out", "0\n1\n1\n0\n0\n0\n0\n0\n0\n0\n0\n0\n1\n0\n");
    check_text("rest", "1\n0\n0\n1\n1\n1\n1\n1\n1\n1\n1\n1\n0\n1\n");
    ck_assert(exists("rest.reasons.csv"));
    tamis_selection_free(&selection);
}
END_TEST

/* The data of a version 1.0 .npy file, whose header must hold `header` and end on 64 bytes. */
static const char *npy_data(const bytes *file, const char *header, size_t *ret_size)
{
    ck_assert_uint_ge(file->size, 10);
    ck_assert_int_eq(memcmp(file->data, "\x93NUMPY\x01\x00", 8), 0);
    size_t size = (unsigned char)file->data[8] + 256u * (unsigned char)file->data[9];
    ck_assert_uint_eq((10 + size) % 64, 0);
    ck_assert_uint_le(10 + size, file->size);
    ck_assert_int_eq(file->data[10 + size - 1], '\n');
    ck_assert_msg(!strncmp(file->data + 10, header, strlen(header)), "header is %.60s",
                  file->data + 10);
    *ret_size = file->size - 10 - size;
    return file->data + 10 + size;
}

START_TEST(index_and_mask_as_arrays)
{
    size_t size;
    tamis_selection *selection = make_selection("0110", NULL);
    ck_ok(tamis_manifest_write(
        NULL,
        &(tamis_manifest_params){.selection = selection, .output = "i.NPY", .dropped = "d.npy"},
        NULL, &err));
    bytes index = get("i.NPY"), dropped = get("d.npy");
    const char *data = npy_data(&index, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
                                &size);
    ck_assert_uint_eq(size, 16);
    ck_assert_int_eq(memcmp(data, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16), 0);
    data = npy_data(&dropped, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", &size);
    ck_assert_uint_eq(size, 16);
    ck_assert_int_eq(memcmp(data, "\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16), 0);
    ck_ok(write_manifest(selection, "mask-npy", NULL, NULL));
    bytes mask = get("out");
    data = npy_data(&mask, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }", &size);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(memcmp(data, "\0\1\1\0", 4), 0);
    free(index.data);
    free(dropped.data);
    free(mask.data);
    tamis_selection_free(&selection);
}
END_TEST

/* Lists with an input: its records are compared, whatever names or hides its format. */
START_TEST(lists_compare_their_input)
{
    static const struct {
        const char *name, *text;
        tamis__records_kind kind;
    } in[] = {
        {"t.jsonl", "{1}\n\n{2}\n{3}", TAMIS__RECORDS_JSONL},
        {"t.csv", "h,i\na,1\n\"b\nb\",2\nc,3\n", TAMIS__RECORDS_CSV},
        {"t.tsv", "h\ti\na\t1\nb\t2\nc\t3\n", TAMIS__RECORDS_TSV},
        {"lines.txt", "\xef\xbb\xbf\n {1}\n{2}\n{3}\n", TAMIS__RECORDS_JSONL},
        {"commas", "h,i\n\"{\n\",1\nb,2\nc,3\n", TAMIS__RECORDS_CSV},
        {"tabs", "h,\ti\tj\n\"a\tb\n\"\t1\nb\t2\nc\t3\n", TAMIS__RECORDS_TSV},
    };
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        put(in[i].name, in[i].text);
        put("in", in[i].text);
        tamis_manifest_result result;
        size_t n;
        uint64_t *digest = digests_of(in[i].kind, in[i].text, strlen(in[i].text), &n);
        ck_assert_uint_eq(n, 3);
        tamis_selection *selection = make_selection("101", &(tamis_examples){.digest = digest});
        tamis_manifest_params params = {.selection = selection,
                                        .format = "index",
                                        .input = (const char *const[]){in[i].name},
                                        .inputs = 1,
                                        .output = "out",
                                        .dropped = "rest",
                                        .force = true};
        ck_ok(tamis_manifest_write(NULL, &params, &result, &err));
        check_text("out", "0\n2\n");
        check_text("rest", "1\n");
        ck_assert(exists("rest.reasons.csv"));
        ck_assert(result.digests_checked);
        ck_assert_uint_eq(result.records, 3);
        ck_assert_uint_eq(result.bytes_in, strlen(in[i].text));
        ck_assert_uint_eq(result.bytes_out, 4);
        ck_assert_uint_eq(result.bytes_dropped, 2);
        tamis_manifest_result_fini(&result);
        params.format = "mask";
        ck_ok(tamis_manifest_write(NULL, &params, NULL, &err));
        check_text("out", "1\n0\n1\n");
        check_text("rest", "0\n1\n0\n");
        ck_assert_int_eq(unlink("out") | unlink("rest") | unlink("rest.reasons.csv"), 0);
        tamis_selection_free(&selection);
        free(digest);
    }
}
END_TEST

/* Each file is what its name or its first bytes say, whatever the others are. */
START_TEST(lists_compare_files_of_several_kinds)
{
    static const char *const in[] = {"a.csv", "b.jsonl", "c.json", "d.json", "e"};
    put("a.csv", "h\n\"a\n\"\n");
    put("b.jsonl", "{1}\n{2}\n");
    put("c.json", "{3}\n{4}\n"); /* lines, as NeMo has them */
    put("d.json", " [5,\n6 ]");
    put("e", "k\tl\tm\n7\n\n");
    static const char *const record[] = {"\"a\n\"", "{1}", "{2}", "{3}", "{4}", "5", "6", "7"};
    uint64_t digest[8];
    for (size_t i = 0; i < 8; i++) digest[i] = tamis__digest(record[i], strlen(record[i]));
    tamis_selection *s = make_selection("10000001", &(tamis_examples){.digest = digest});
    tamis_manifest_result r;
    tamis_manifest_params p = {.selection = s, .format = "index", .input = in, .inputs = 5};
    ck_ok(write_with(p, &r));
    check_text("out", "0\n7\n");
    static const uint64_t records[] = {1, 2, 2, 2, 1};
    for (size_t i = 0; i < 5; i++) ck_assert_uint_eq(r.input_records[i], records[i]);
    tamis_manifest_result_fini(&r);
    put("d.json", "[5,\n8]");
    ck_fails(write_with(p, NULL), TAMIS_ERR_FORMAT, "'d.json' line 2: the record of row 6");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(lists_refuse_another_input)
{
    static const char *const format[] = {"index", "index-npy", "mask", "mask-npy"};
    const uint64_t digest[] = {tamis__digest("{1}", 3), tamis__digest("{2}", 3)};
    tamis_selection *selection = make_selection("10", &(tamis_examples){.digest = digest});
    put("good.jsonl", "{1}\n{2}\n");
    put("more.jsonl", "{1}\n{2}\n{3}\n");
    put("other", "{1}\n{x}\n");
    put_bytes("binary.npy", "\x93NUMPY\x01\x00\x00", 9);
    put_bytes("packed", "\x1f\x8b\x08\x00", 4);
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        ck_fails(write_manifest(selection, format[i], "more.jsonl", "rest"), TAMIS_ERR_SHAPE,
                 "'more.jsonl' has 3 records, the selection 2 candidates");
        ck_fails(write_manifest(selection, format[i], "other", "rest"), TAMIS_ERR_FORMAT,
                 "'other' line 2: the record of row 1");
        ck_fails(write_manifest(selection, format[i], "absent", "rest"), TAMIS_ERR_IO, "absent");
        ck_fails(write_manifest(selection, format[i], "binary.npy", "rest"), TAMIS_ERR_UNSUPPORTED,
                 "is no text");
        ck_fails(write_manifest(selection, format[i], "packed", "rest"), TAMIS_ERR_FORMAT,
                 "is truncated");
        check_nothing_left();
        ck_ok(write_manifest(selection, format[i], "good.jsonl", NULL));
        ck_assert_int_eq(unlink("out"), 0);
    }
    tamis_manifest_result result;
    tamis_manifest_params params = {.selection = selection,
                                    .format = "index",
                                    .input = (const char *const[]){"other"},
                                    .inputs = 1,
                                    .output = "out",
                                    .no_digests = true};
    ck_ok(tamis_manifest_write(NULL, &params, &result, &err));
    ck_assert(!result.digests_checked);
    tamis_manifest_result_fini(&result);
    tamis_selection_free(&selection);
}
END_TEST

static void keep_line(void *cookie, tamis_log_level level, const char *line)
{
    char *last = cookie;
    snprintf(last, TAMIS_MESSAGE_SIZE, "%d %s", level == TAMIS_LOG_WARNING, line);
}

START_TEST(keeping_nothing_is_said)
{
    char last[TAMIS_MESSAGE_SIZE] = "";
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(
        &context, &(tamis_context_params){.threads = 1, .log = keep_line, .cookie = last}, &err));
    tamis_selection *selection = make_selection("000", NULL);
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = "out",
                                    .force = true};
    put("t.jsonl", "a\nb\nc\n");
    ck_ok(tamis_manifest_write(context, &params, NULL, &err));
    check_text("out", "");
    ck_assert_str_eq(last, "1 the selection keeps none of the 3 records");
    *last = '\0';
    params = (tamis_manifest_params){
        .selection = selection, .format = "index", .output = "out", .force = true};
    ck_ok(tamis_manifest_write(context, &params, NULL, &err));
    check_text("out", "");
    ck_assert_str_eq(last, "1 the selection keeps none of the 3 records");
    *last = '\0';
    selection->keep[1] = 1;
    ck_ok(tamis_manifest_write(context, &params, NULL, &err));
    ck_assert_str_eq(last, "");
    tamis_context_destroy(&context);
    tamis_selection_free(&selection);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, index_and_mask_as_text);
    tcase_add_test(all, index_and_mask_as_arrays);
    tcase_add_test(all, lists_compare_their_input);
    tcase_add_test(all, lists_compare_files_of_several_kinds);
    tcase_add_test(all, lists_refuse_another_input);
    tcase_add_test(all, keeping_nothing_is_said);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
