/* Several inputs, orders, splits, repeats, dry runs, arrays, compression and ids; against plain loops
 * and the programs that read such files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/mem.h"
#include "manifest_files.h"

static tamis_manifest_result result;

static tamis_status run(tamis_manifest_params params)
{
    tamis_manifest_result_fini(&result);
    if (!params.output) params.output = "out";
    params.force = true;
    return tamis_manifest_write(NULL, &params, &result, &err);
}

#define INPUT(...)                                                                                 \
    .input = (const char *const[]){__VA_ARGS__},                                                   \
    .inputs = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void teardown(void)
{
    tamis_manifest_result_fini(&result);
    leave_scratch();
}

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "fails: %s", command);
}

START_TEST(rows_go_on_from_file_to_file)
{
    tamis_selection *s = make_selection("101101", NULL);
    put("a.jsonl", "{1}\n{2}");
    put("b.jsonl", "{3}\r\n\n{4}\n");
    put("c.jsonl", "{5}\n{6}\n");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("a.jsonl", "b.jsonl", "c.jsonl"), .dropped = "rest"}));
    check_text("out", "{1}\n{3}\r\n{4}\n{6}\n");
    check_text("rest", "{2}\n{5}\n");
    ck_assert_uint_eq(result.inputs, 3);
    ck_assert(result.input_records[0] == 2 && result.input_records[1] == 2 &&
              result.input_records[2] == 2);
    ck_assert_uint_eq(result.bytes_in, 7 + 10 + 8);
    put("c.jsonl", "{5}\n");
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("a.jsonl", "b.jsonl", "c.jsonl")}),
             TAMIS_ERR_SHAPE, "'a.jsonl' and 2 more files have 5 records");
    put("a.csv", "h,i\n1,2\n3,4\n");
    put("b.csv", "h,i\n5,6\n7,8\n");
    put("c.csv", "h,j\n9,10\n11,12\n");
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("a.csv", "b.csv", "c.csv")}),
             TAMIS_ERR_FORMAT, "'c.csv' line 1: its header is not that of 'a.csv'");
    put("c.csv", "h,i\n9,10\n11,12\n");
    ck_ok(run((tamis_manifest_params){.selection = s, INPUT("a.csv", "b.csv", "c.csv")}));
    check_text("out", "h,i\n1,2\n5,6\n7,8\n11,12\n");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(orders_are_by_rank_or_drawn)
{
    bytes one, two, three;
    tamis_selection *s = make_selection("1110110111", NULL);
    for (uint64_t row = 0; row < 10; row++) s->rank[row] = 9 - row;
    put("t.jsonl", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("t.jsonl"), .order = TAMIS_MANIFEST_SCORE, .dropped = "rest"}));
    check_text("out", "9\n8\n7\n5\n4\n2\n1\n0\n");
    check_text("rest", "3\n6\n");
    ck_ok(run(
        (tamis_manifest_params){.selection = s, .format = "index", .order = TAMIS_MANIFEST_SCORE}));
    check_text("out", "9\n8\n7\n5\n4\n2\n1\n0\n");
    tamis_manifest_params shuffle = {
        .selection = s, INPUT("t.jsonl"), .order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = 4};
    ck_ok(run(shuffle));
    one = get("out");
    ck_ok(run(shuffle));
    two = get("out");
    shuffle.shuffle_seed = 5;
    ck_ok(run(shuffle));
    three = get("out");
    shell("sort out > sorted");
    check_text("sorted", "0\n1\n2\n4\n5\n7\n8\n9\n");
    ck_assert_str_eq(one.data, two.data);
    ck_assert_str_ne(one.data, three.data);
    ck_assert_str_ne(one.data, "0\n1\n2\n4\n5\n7\n8\n9\n");
    ck_fails(run((tamis_manifest_params){
                 .selection = s, .format = "mask", .order = TAMIS_MANIFEST_SCORE}),
             TAMIS_ERR_ARG, "leave out the order");
    free(one.data);
    free(two.data);
    free(three.data);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(splits_share_rows_out)
{
    enum { ROWS = 100 };
    char keep[ROWS + 1] = "", text[8];
    int32_t group[ROWS];
    const char *names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    static const tamis_manifest_split split[] = {{"train", 8}, {"valid", 1}, {"test", 1}};
    for (int i = 0; i < ROWS; i++) {
        keep[i] = i % 5 ? '1' : '0';
        group[i] = i / 10;
    }
    FILE *file = fopen("t.jsonl", "wb");
    for (int i = 0; i < ROWS; i++) fprintf(file, "%d\n", i);
    fclose(file);
    tamis_selection *s = make_selection(
        keep, &(tamis_examples){.group = group, .group_name = names, .groups = 10});
    tamis_manifest_params params = {.selection = s,
                                    INPUT("t.jsonl"),
                                    .output = "o-{}.jsonl",
                                    .split = split,
                                    .splits = 3,
                                    .dropped = "rest"};
    ck_ok(run(params));
    shell("test \"$(wc -l < o-train.jsonl) $(wc -l < o-valid.jsonl) $(wc -l < o-test.jsonl)\" = "
          "'64 8 8'");
    shell("sort -nc o-train.jsonl && sort -n o-*.jsonl rest | cmp - t.jsonl");
    ck_assert_uint_eq(result.written, 80);
    ck_assert_str_eq(result.file[0].what, "train");
    ck_assert_uint_eq(result.file[0].records, 64);
    params.split_by_group = true;
    ck_ok(run(params));
    shell("sort -n o-*.jsonl rest | cmp - t.jsonl");
    shell("test $(wc -l < o-train.jsonl) = 64");
    int32_t of[10];
    memset(of, -1, sizeof of);
    for (int k = 0; k < 3; k++) {
        char name[32];
        snprintf(name, sizeof name, "o-%s.jsonl", split[k].name);
        file = fopen(name, "rb");
        while (fgets(text, sizeof text, file)) {
            int g = atoi(text) / 10;
            ck_assert(of[g] < 0 || of[g] == k);
            of[g] = k;
        }
        fclose(file);
    }
    params.output = "o.jsonl";
    ck_fails(run(params), TAMIS_ERR_ARG, "must hold {} once");
    tamis_selection_free(&s);
    s = make_selection("11", NULL);
    params.selection = s;
    params.output = "o-{}.jsonl";
    ck_fails(run(params), TAMIS_ERR_ARG, "neither groups nor labels");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(weights_become_repeats)
{
    tamis_selection *s = make_selection("1101", NULL);
    float weight[] = {2.5f, .5f, 0, 1};
    memcpy(s->weight, weight, sizeof weight);
    put("t.jsonl", "a\nb\nc\nd\n");
    /* 8 records: 5, 1, 2. */
    ck_ok(run((tamis_manifest_params){.selection = s, INPUT("t.jsonl"), .repeats = 8}));
    check_text("out", "a\na\na\na\na\nb\nd\nd\n");
    ck_assert_uint_eq(result.written, 8);
    /* 3 records: shares 1.875, .375, .75, so 2, 0, 1. */
    ck_ok(run((tamis_manifest_params){.selection = s, INPUT("t.jsonl"), .repeats = 3}));
    check_text("out", "a\na\nd\n");
    ck_ok(run((tamis_manifest_params){.selection = s, .format = "counts", .repeats = 8}));
    check_text("out", "5\n1\n0\n2\n");
    ck_ok(run((tamis_manifest_params){.selection = s, .format = "weights-npy"}));
    bytes npy = get("out");
    ck_assert_mem_eq(npy.data + npy.size - sizeof weight, weight, sizeof weight);
    free(npy.data);
    memset(s->weight, 0, sizeof weight);
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("t.jsonl"), .repeats = 3}),
             TAMIS_ERR_ARG, "are all zero");
    s->weight[1] = NAN;
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("t.jsonl"), .repeats = 3}),
             TAMIS_ERR_NUMERIC, "row 1 of the selection has the weight nan");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(dry_runs_write_nothing)
{
    static const char *const format[] = {NULL,       "index",       "index-npy", "mask",
                                         "mask-npy", "weights-npy", "counts"};
    put("t.jsonl", "{1}\n{22}\n{333}");
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        tamis_selection *s = make_selection("101", NULL);
        tamis_manifest_params params = {.selection = s,
                                        INPUT("t.jsonl"),
                                        .format = format[i],
                                        .dropped = "rest",
                                        .dry_run = true};
        ck_ok(run(params));
        check_nothing_left();
        uint64_t out = result.bytes_out, dropped = result.bytes_dropped;
        ck_assert_uint_eq(result.written, 2);
        params.dry_run = false;
        ck_ok(run(params));
        ck_assert_uint_eq(result.bytes_out, out);
        ck_assert_uint_eq(result.bytes_dropped, dropped);
        bytes b = get("out");
        ck_assert_uint_eq(b.size, out);
        free(b.data);
        ck_assert_int_eq(unlink("out") | unlink("rest") | unlink("rest.reasons.csv"), 0);
        tamis_selection_free(&s);
    }
}
END_TEST

START_TEST(arrays_stay_arrays)
{
    tamis_selection *s = make_selection("101", NULL), *none = make_selection("000", NULL);
    put("t.json", " [ {\"a\": [1, {\"b\": \"],\"}]} ,\n2,{\"c\":null}\n]\n");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("t.json"), .output = "o.json", .dropped = "rest"}));
    check_text("o.json", "[\n{\"a\": [1, {\"b\": \"],\"}]},\n{\"c\":null}\n]\n");
    shell("test \"$(jq -c . o.json)\" = '[{\"a\":[1,{\"b\":\"],\"}]},{\"c\":null}]'");
    shell("test \"$(jq -c . rest)\" = '[2]'");
    ck_ok(run((tamis_manifest_params){.selection = none, INPUT("t.json"), .output = "o.json"}));
    check_text("o.json", "[]\n");
    static const struct {
        const char *text, *wanted;
    } bad[] = {{"{}", "does not begin with '['"},
               {"[1,2,3", "the file ends"},
               {"[1,2,3] 4", "something follows"},
               {"[1,2 3]", "expected ',' or ']'"},
               {"[1,2,]", "line 1"},
               {"[1,\n2,\n\"x]", "line 3"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("bad.json", bad[i].text);
        ck_fails(
            run((tamis_manifest_params){.selection = s, INPUT("bad.json"), .output = "p.json"}),
            TAMIS_ERR_FORMAT, bad[i].wanted);
        ck_assert(!exists("p.json") && !exists("p.json.part"));
    }
    tamis_selection_free(&s);
    tamis_selection_free(&none);
}
END_TEST

START_TEST(compressed_files_go_through)
{
    tamis_selection *s = make_selection("101", NULL);
    put("t.jsonl", "{1}\n{2}\n{3}");
    shell("gzip -k t.jsonl && zstd -q t.jsonl");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("t.jsonl.gz"), .output = "o.jsonl.zst", .dropped = "rest.gz"}));
    shell("test \"$(zstd -qdc o.jsonl.zst | xargs)\" = '{1} {3}'");
    shell("test \"$(gzip -dc rest.gz)\" = '{2}'");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("t.jsonl.zst"), .output = "o.jsonl", .order = TAMIS_MANIFEST_SCORE}));
    check_text("o.jsonl", "{1}\n{3}\n");
    shell("test -z \"$(ls | grep -E 'part|XXX')\"");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(ids_are_compared)
{
    static const char *const id[] = {"x\"1", "y", "z"};
    tamis_selection *s = make_selection("101", &(tamis_examples){.id_text = id});
    tamis_selection *numbers = make_selection("11", NULL);
    put("t.jsonl", "{\"id\": \"x\\u00221\"}\n{\"n\":{\"id\":1},\"id\":\"y\"}\n{\"id\":\"z\"}\n");
    ck_ok(run((tamis_manifest_params){.selection = s, INPUT("t.jsonl"), .id_field = "id"}));
    ck_assert(result.ids_checked);
    put("n.jsonl", "{\"id\":0}\n{\"id\":1}\n");
    ck_ok(run((tamis_manifest_params){.selection = numbers, INPUT("n.jsonl"), .id_field = "id"}));
    put("n.jsonl", "{\"id\":0}\n{\"id\":2}\n");
    ck_fails(run((tamis_manifest_params){.selection = numbers, INPUT("n.jsonl"), .id_field = "id"}),
             TAMIS_ERR_FORMAT, "'n.jsonl' line 2: the record of row 1");
    put("t.csv", "a,id\n1,\"x\"\"1\"\n2,y\n3,q\n");
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("t.csv"), .id_field = "id"}),
             TAMIS_ERR_FORMAT, "'t.csv' line 4: the record of row 2, id 'z'");
    put("t.csv", "a,id\n1,\"x\"\"1\"\n2,y\n3,z\n");
    ck_ok(run((tamis_manifest_params){.selection = s, INPUT("t.csv"), .id_field = "id"}));
    ck_fails(run((tamis_manifest_params){.selection = s, INPUT("t.csv"), .id_field = "name"}),
             TAMIS_ERR_FORMAT, "has no field 'name'");
    tamis_selection_free(&s);
    tamis_selection_free(&numbers);
}
END_TEST

START_TEST(dvc_files_name_md5_and_size)
{
    tamis_selection *s = make_selection("101", NULL);
    put("t.jsonl", "{1}\n{2}\n{3}\n");
    ck_ok(run((tamis_manifest_params){
        .selection = s, INPUT("t.jsonl"), .output = "o.jsonl", .dropped = "rest", .dvc = true}));
    shell("test \"$(md5sum < o.jsonl | cut -d' ' -f1)\" = \"$(awk '/md5:/ && !/hash/ {print $3}' "
          "o.jsonl.dvc)\"");
    shell("grep -qx '  size: 8' o.jsonl.dvc && grep -qx \"  path: 'o.jsonl'\" o.jsonl.dvc");
    shell("test -s rest.dvc && test -s rest.reasons.csv.dvc");
    tamis_selection_free(&s);
}
END_TEST

/* Every allocation and every write fails once: all outputs are there, or none. */
START_TEST(failures_leave_nothing)
{
    static const tamis_manifest_split split[] = {{"a", 1}, {"b", 1}};
    int32_t group[] = {0, 1, 0, 1};
    tamis_selection *s = make_selection("1111", &(tamis_examples){.label = group});
    for (int i = 0; i < 4; i++) s->weight[i] = (float)(i + 1);
    put("t.jsonl", "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n");
    shell("gzip t.jsonl");
    tamis_manifest_params params = {.selection = s,
                                    INPUT("t.jsonl.gz"),
                                    .output = "o-{}.jsonl.zst",
                                    .dropped = "rest",
                                    .order = TAMIS_MANIFEST_SHUFFLE,
                                    .split = split,
                                    .splits = 2,
                                    .split_by_group = true,
                                    .repeats = 9,
                                    .id_field = "id",
                                    .dvc = true};
    for (int what = 0; what < 2; what++)
        for (long n = 0, done = 0; !done; n++) {
            ck_assert_int_lt(n, 1000);
            if (what)
                tamis__fault_io_after(n);
            else
                tamis__fault_memory_after(n);
            tamis_status status = tamis_manifest_write(NULL, &params, NULL, &err);
            tamis__fault_io_after(-1);
            tamis__fault_memory_after(-1);
            done = status == TAMIS_OK;
            if (!done) shell("test \"$(ls)\" = t.jsonl.gz");
            shell("rm -f o-* rest*");
        }
    tamis_selection_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest parts");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, teardown);
    tcase_add_test(all, rows_go_on_from_file_to_file);
    tcase_add_test(all, orders_are_by_rank_or_drawn);
    tcase_add_test(all, splits_share_rows_out);
    tcase_add_test(all, weights_become_repeats);
    tcase_add_test(all, dry_runs_write_nothing);
    tcase_add_test(all, arrays_stay_arrays);
    tcase_add_test(all, compressed_files_go_through);
    tcase_add_test(all, ids_are_compared);
    tcase_add_test(all, dvc_files_name_md5_and_size);
    tcase_add_test(all, failures_leave_nothing);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
