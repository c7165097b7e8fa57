/* nemo, kaldi, lhotse, lhotse-ids, llama-factory and axolotl: what is written, read back by others
 * (jq, sort, grep, cmp); bad input; failures.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/mem.h"
#include "manifest_files.h"

static const char *const ids[] = {"c-0", "c\"1", "c-2", "c-3"};

static tamis_status run(const char *format, const char *input, const char *keep,
                        const tamis_examples *examples, tamis_manifest_params params)
{
    tamis_manifest_result result = {0};
    tamis_selection *selection = make_selection(keep, examples);
    params.selection = selection;
    params.format = format;
    params.input = &input;
    params.inputs = 1;
    if (!params.output) params.output = "out";
    tamis_status status = tamis_manifest_write(NULL, &params, &result, &err);
    if (status == TAMIS_OK) {
        ck_assert_uint_eq(result.records, strlen(keep));
        ck_assert(result.ids_checked == (examples != NULL));
    }
    tamis_manifest_result_fini(&result);
    tamis_selection_free(&selection);
    return status;
}

#define NONE  ((tamis_manifest_params){.order = TAMIS_MANIFEST_SOURCE})
#define FORCE ((tamis_manifest_params){.force = true})

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

/* --- nemo ----------------------------------------------------------------------------------- */

START_TEST(nemo_lines)
{
    put("in", "{\"audio_filepath\": \"a\",\"d\":1.50}\r\n\n{\"d\":2}\n{\"d\":3,\"_skipme\":true}");
    ck_ok(run("nemo", "in", "101", NULL, (tamis_manifest_params){.dropped = "rest"}));
    check_text("out", "{\"audio_filepath\": \"a\",\"d\":1.50}\r\n{\"d\":3,\"_skipme\":true}\n");
    check_text("rest", "{\"d\":2}\n");
}
END_TEST

START_TEST(nemo_marks)
{
    put("in", "{\"a\": 1.50}\r\n\n{\"a\":2}\n{\"a\":3,\"_skipme\":1}\n{\"_skipme\":0,\"a\":4}");
    ck_ok(run("nemo:mode=skipme", "in", "1010", NULL, NONE));
    check_text("out", "{\"a\": 1.50}\r\n{\"a\":2, \"_skipme\": true}\n{\"a\":3,\"_skipme\":false}\n"
                      "{\"_skipme\":true,\"a\":4}\n");
    shell("test \"$(jq -c 'select(._skipme | not) | .a' out | xargs)\" = '1.5 3'");
    put("in", "{\"a\":1}\r\n{}"); /* the last line ends as the others do */
    ck_ok(run("nemo:mode=skipme", "in", "10", NULL, FORCE));
    check_text("out", "{\"a\":1}\r\n{\"_skipme\": true}\r\n");
    put("in", "{\"a\": 1.50}\r\n\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}");
    ck_fails(run("nemo:mode=skipme", "in", "1010", NULL,
                 (tamis_manifest_params){.dropped = "rest", .force = true}),
             TAMIS_ERR_ARG, "mode=skipme keeps every line");
    ck_assert(!exists("rest"));
}
END_TEST

/* Rows go on from file to file, and a bad line is named with its own. */
START_TEST(several_inputs)
{
    static const char *const in[] = {"a", "b"};
    tamis_manifest_result result;
    tamis_selection *s = make_selection("0110", NULL);
    tamis_manifest_params p = {
        .selection = s, .format = "nemo", .input = in, .inputs = 2, .dropped = "rest"};
    put("a", "{\"id\":\"1\"}\n{\"id\":\"2\"}");
    put("b", "{\"id\":\"3\"}\n\n{\"id\":\"4\"}\n");
    p.output = "out";
    p.force = true;
    ck_ok(tamis_manifest_write(NULL, &p, &result, &err));
    ck_assert(result.input_records[0] == 2 && result.input_records[1] == 2);
    tamis_manifest_result_fini(&result);
    check_text("out", "{\"id\":\"2\"}\n{\"id\":\"3\"}\n");
    check_text("rest", "{\"id\":\"1\"}\n{\"id\":\"4\"}\n");
    p.format = "lhotse";
    ck_ok(tamis_manifest_write(NULL, &p, NULL, &err));
    check_text("out", "{\"id\":\"2\"}\n{\"id\":\"3\"}\n");
    p.format = "lhotse-ids";
    ck_ok(tamis_manifest_write(NULL, &p, NULL, &err));
    shell("test \"$(jq -c . out rest | xargs)\" = '[2,3] [1,4]'");
    p.dropped = NULL;
    p.format = "nemo:mode=skipme";
    ck_ok(tamis_manifest_write(NULL, &p, NULL, &err));
    check_text("out", "{\"id\":\"1\", \"_skipme\": true}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n"
                      "{\"id\":\"4\", \"_skipme\": true}\n");
    put("b", "{\"id\":\"1\"}\n\n{\"id\":}\n");
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_FORMAT, "'b' line 3");
    p.format = "nemo";
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_FORMAT, "'b' line 3");
    p.format = "lhotse";
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_FORMAT, "'b' line 3");
    put("b", "{\"id\":\"1\"}\n\n{\"id\":\"4\"}\n");
    p.format = "lhotse-ids";
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_FORMAT,
             "'a' and the inputs after it: the cuts of rows 0 and 2 have one id");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(nemo_bad_lines)
{
    put("in", "{\"a\":1}\n\n{\"a\":}\n");
    ck_fails(run("nemo", "in", "11", NULL, NONE), TAMIS_ERR_FORMAT,
             "'in' line 3 is no JSON object");
    ck_fails(run("nemo:mode=skipme", "in", "11", NULL, NONE), TAMIS_ERR_FORMAT, "'in' line 3");
    ck_fails(run("nemo:mode=mark", "in", "11", NULL, NONE), TAMIS_ERR_ARG, "mark");
    check_nothing_left();
}
END_TEST

/* --- lhotse --------------------------------------------------------------------------------- */

static const char cuts[] = "{\"id\": \"c-0\", \"type\": \"MonoCut\"}\n"
                           "{\"type\": \"MonoCut\", \"id\": \"c\\u00221\"}\n"
                           "{\"id\":\"c-2\",\"x\":{\"id\":\"no\"}}\n"
                           "{\"id\": \"c-3\"}\n";

START_TEST(lhotse_cuts)
{
    tamis_examples examples = {.id_text = ids};
    put("in", cuts);
    ck_ok(run("lhotse", "in", "0110", &examples, (tamis_manifest_params){.dropped = "rest"}));
    check_text("out", "{\"type\": \"MonoCut\", \"id\": \"c\\u00221\"}\n"
                      "{\"id\":\"c-2\",\"x\":{\"id\":\"no\"}}\n");
    check_text("rest", "{\"id\": \"c-0\", \"type\": \"MonoCut\"}\n{\"id\": \"c-3\"}\n");
}
END_TEST

/* A field that is asked for is compared with numbers too, and the result says so. */
START_TEST(lhotse_other_ids)
{
    tamis_manifest_result r;
    tamis_selection *s = make_selection("01", &(tamis_examples){.id_number = (uint64_t[]){7, 8}});
    put("in", "{\"id\":\"a\",\"n\":7}\n{\"id\":\"b\",\"n\":8}\n");
    static const char *const format[] = {"lhotse", "lhotse-ids"}, *const in[] = {"in"};
    for (size_t i = 0; i < 4; i++) {
        tamis_manifest_params p = {.selection = s,
                                   .format = format[i % 2],
                                   .input = in,
                                   .inputs = 1,
                                   .output = "out",
                                   .id_field = i < 2 ? "n" : NULL,
                                   .force = true};
        ck_ok(tamis_manifest_write(NULL, &p, &r, &err));
        ck_assert(r.ids_checked == (i < 2));
        tamis_manifest_result_fini(&r);
    }
    tamis_selection_free(&s);
}
END_TEST

START_TEST(lhotse_id_list)
{
    tamis_examples examples = {.id_text = ids};
    put("in", cuts);
    ck_ok(run("lhotse-ids", "in", "0110", &examples, (tamis_manifest_params){.dropped = "rest"}));
    check_text("out", "[\n  \"c\\u00221\",\n  \"c-2\"\n]\n");
    check_text("rest", "[\n  \"c-0\",\n  \"c-3\"\n]\n");
    shell("test \"$(jq -c . out)\" = '[\"c\\\"1\",\"c-2\"]'");
    ck_ok(run("lhotse-ids", "in", "0000", NULL, FORCE));
    check_text("out", "[]\n");
}
END_TEST

START_TEST(lhotse_bad_cuts)
{
    static const char *const other[] = {"c-0", "c-1", "c-2", "c-3"};
    tamis_examples examples = {.id_text = other};
    put("in", cuts);
    ck_fails(run("lhotse", "in", "0110", &examples, NONE), TAMIS_ERR_FORMAT, "'in' line 2");
    ck_fails(run("lhotse-ids", "in", "0110", &examples, NONE), TAMIS_ERR_FORMAT, "'in' line 2");
    put("in", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"\\u0061\"}\n");
    ck_fails(run("lhotse-ids", "in", "110", NULL, NONE), TAMIS_ERR_FORMAT,
             "rows 0 and 2 have one id");
    put("in", "{\"id\":\"a\"}\n{\"cut\":\"b\"}\n");
    ck_fails(run("lhotse", "in", "11", NULL, NONE), TAMIS_ERR_FORMAT, "'in' line 2");
    check_nothing_left();
}
END_TEST

/* --- kaldi ---------------------------------------------------------------------------------- */

static void make_kaldi(void)
{
    ck_assert_int_eq(mkdir("in", 0777), 0);
    put("in/utt2spk", "a-1 a\na-2 a\nb-1 b\n");
    put("in/text", "a-1 x\na-2 y\nb-1 z\n");
    put("in/wav.scp", "a-1 1.wav\na-2 2.wav\nb-1 3.wav\n");
}

START_TEST(kaldi_directories)
{
    static const char *const utterance[] = {"a-1", "a-2", "b-1"};
    tamis_examples examples = {.id_text = utterance};
    make_kaldi();
    ck_ok(run("kaldi", "in", "011", &examples, (tamis_manifest_params){.dropped = "rest"}));
    check_text("out/utt2spk", "a-2 a\nb-1 b\n");
    check_text("out/spk2utt", "a a-2\nb b-1\n");
    check_text("rest/wav.scp", "a-1 1.wav\n");
    check_text("rest/spk2utt", "a a-1\n");
    shell("for f in out/* rest/*; do LC_ALL=C sort -c -u -k1,1 $f || exit 1; done");
    ck_fails(run("kaldi", "in", "011", NULL, NONE), TAMIS_ERR_IO, "exists");
    put("out/thesis", "precious");
    ck_fails(run("kaldi", "in", "100", NULL, FORCE), TAMIS_ERR_IO, "'out' holds 'thesis'");
    check_text("out/thesis", "precious");
    ck_assert_int_eq(unlink("out/thesis"), 0);
    ck_ok(run("kaldi", "in", "100", NULL, FORCE));
    check_text("out/text", "a-1 x\n");
    ck_ok(run("kaldi:mode=list,rows=text", "in", "011", NULL,
              (tamis_manifest_params){.output = "list"}));
    check_text("list", "a-2\nb-1\n");
}
END_TEST

START_TEST(kaldi_dry_run_and_faults)
{
    make_kaldi();
    ck_ok(run("kaldi", "in", "011", NULL, (tamis_manifest_params){.dry_run = true}));
    check_nothing_left();
    ck_fails(run("kaldi", "in", "01", NULL, NONE), TAMIS_ERR_SHAPE, "3 utterances");
    ck_fails(
        run("kaldi", "in", "011", NULL, (tamis_manifest_params){.order = TAMIS_MANIFEST_SCORE}),
        TAMIS_ERR_ARG, "sorted");
    put("in/text", "b-1 z\na-1 x\n");
    ck_fails(run("kaldi", "in", "011", NULL, NONE), TAMIS_ERR_FORMAT, "'in/text' line 2");
    check_nothing_left();
}
END_TEST

/* --- llama-factory and axolotl -------------------------------------------------------------- */

START_TEST(llama_factory_entry)
{
    static const char info[] =
        "{\n  \"old\": {\"file_name\": \"o.json\", \"columns\": {\"p\":\"q\"}}\n}\n";
    put("in", "{\"p\":1}\n{\"p\":2}\n");
    put("info.json", info);
    ck_ok(run("llama-factory:info=info.json,name=top,like=old", "in", "01", NULL,
              (tamis_manifest_params){.output = "top.jsonl", .dry_run = true}));
    check_text("info.json", info);
    ck_ok(run("llama-factory:info=info.json,like=old", "in", "01", NULL,
              (tamis_manifest_params){.output = "top.jsonl"}));
    check_text("top.jsonl", "{\"p\":2}\n");
    check_text("info.json",
               "{\n  \"old\": {\"file_name\": \"o.json\", \"columns\": {\"p\":\"q\"}},\n"
               "  \"top\": {\"file_name\": \"top.jsonl\", \"columns\": {\"p\":\"q\"}}\n}\n");
    shell("test \"$(jq -r .top.file_name info.json)\" = top.jsonl");
    const tamis_manifest_params other = {.output = "other.jsonl"};
    ck_fails(run("llama-factory:info=info.json,name=top", "in", "01", NULL, other), TAMIS_ERR_ARG,
             "has a data set 'top' already");
    ck_fails(run("llama-factory", "in", "01", NULL, NONE), TAMIS_ERR_ARG, "info=PATH");
    put("bad.json", "[]");
    ck_fails(run("llama-factory:info=bad.json", "in", "01", NULL, other), TAMIS_ERR_FORMAT,
             "'bad.json' line 1");
    ck_assert(!exists("other.jsonl"));
    check_text("bad.json", "[]");
}
END_TEST

/* Its reader goes by the ending of the name, so others are refused; what is in the file must be
 * what the ending says. */
START_TEST(llama_factory_names)
{
    static const char *const bad[] = {"-", "top", "top.jsonl.gz", "top.csv", "top.tsv"};
    put("in.jsonl", "{\"p\":1}\n{\"p\":2}\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_fails(run("llama-factory:info=info.json", "in.jsonl", "01", NULL,
                     (tamis_manifest_params){.output = bad[i]}),
                 TAMIS_ERR_ARG, bad[i]);
        ck_assert(!exists(bad[i]) && !exists("info.json"));
    }
    ck_ok(run("llama-factory:info=info.json", "in.jsonl", "01", NULL,
              (tamis_manifest_params){.output = "v1.5.top.jsonl"}));
    put("in.csv", "p\n1\n2\n");
    ck_fails(run("llama-factory:info=info.json", "in.csv", "01", NULL,
                 (tamis_manifest_params){.output = "c.jsonl"}),
             TAMIS_ERR_ARG, "ends in .csv");
    ck_ok(run("llama-factory:info=info.json", "in.csv", "01", NULL,
              (tamis_manifest_params){.output = "c.csv"}));
    check_text("c.csv", "p\n2\n");
    put("in.json", "{\"p\":1}\n{\"p\":2}\n"); /* lines, whatever the name says */
    ck_ok(run("llama-factory:info=info.json", "in.json", "01", NULL,
              (tamis_manifest_params){.output = "l.json"}));
    check_text("l.json", "{\"p\":2}\n");
    put("in.json", "[1,2]");
    ck_ok(run("llama-factory:info=info.json", "in.json", "01", NULL,
              (tamis_manifest_params){.output = "a.json"}));
    check_text("a.json", "[\n2\n]\n");
    shell("test \"$(jq -c keys_unsorted info.json)\" = '[\"v1.5.top\",\"c\",\"l\",\"a\"]'");
    put("in.tsv", "p\n1\n2\n");
    ck_fails(run("llama-factory:info=info.json", "in.tsv", "01", NULL,
                 (tamis_manifest_params){.output = "t.csv"}),
             TAMIS_ERR_UNSUPPORTED, "TSV");
}
END_TEST

/* Two files of which one is an array have no common form. */
START_TEST(arrays_and_lines_do_not_mix)
{
    static const char *const in[] = {"a.json", "b.json"};
    tamis_selection *s = make_selection("11", NULL);
    tamis_manifest_params p = {
        .selection = s, .format = "axolotl", .input = in, .inputs = 2, .output = "out"};
    put("a.json", "[1]");
    put("b.json", "2\n");
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_FORMAT,
             "one of 'a.json' and 'b.json' is a JSON array");
    check_nothing_left();
    tamis_selection_free(&s);
}
END_TEST

START_TEST(axolotl_stanza)
{
    put("in", "{\"p\":1}\n{\"p\":2}\n");
    ck_ok(run("axolotl:stanza=part.yml,type=alpaca", "in", "10", NULL,
              (tamis_manifest_params){.output = "t\"op.jsonl"}));
    check_text("t\"op.jsonl", "{\"p\":1}\n");
    check_text("part.yml", "datasets:\n  - path: \"./t\\\"op.jsonl\"\n    ds_type: json\n"
                           "    type: \"alpaca\"\n    split: train\n");
    shell("grep -qx '    ds_type: json' part.yml");
    ck_fails(run("axolotl:stanza=part.yml", "in", "10", NULL, NONE), TAMIS_ERR_IO, "exists");
    check_nothing_left();
    for (int dry = 0; dry < 2; dry++) { /* never over what is read */
        ck_fails(run("axolotl:stanza=./in", "in", "10", NULL,
                     (tamis_manifest_params){.force = true, .dry_run = dry}),
                 TAMIS_ERR_ARG, "is both an input and an output");
        ck_fails(run("llama-factory:info=./in", "in", "10", NULL,
                     (tamis_manifest_params){.output = "x.json", .force = true, .dry_run = dry}),
                 TAMIS_ERR_ARG, "is both an input and an output");
    }
    check_text("in", "{\"p\":1}\n{\"p\":2}\n");
    ck_fails(run("axolotl:stanza=s.yml", "in", "10", NULL, (tamis_manifest_params){.output = "-"}),
             TAMIS_ERR_ARG, "standard output has no name");
    static const tamis_manifest_split split[] = {{"train", 1}, {"valid", 1}};
    ck_ok(run("axolotl:stanza=split.yml", "in", "11", NULL,
              (tamis_manifest_params){.output = "{}.jsonl", .split = split, .splits = 2}));
    shell("grep -e datasets -e path split.yml | tr -d ' \"' | xargs | "
          "grep -qx 'datasets: -path:./train.jsonl test_datasets: -path:./valid.jsonl'");
    put("in.csv", "p\n1\n2\n");
    ck_ok(run("axolotl:stanza=part.yml", "in.csv", "01", NULL, FORCE));
    check_text("out", "p\n2\n");
    shell("grep -qx '    ds_type: csv' part.yml");
    put("in.json", "[1,2]");
    ck_ok(run("axolotl:stanza=part.yml", "in.json", "01", NULL, FORCE));
    check_text("out", "[\n2\n]\n");
    shell("grep -qx '    ds_type: json' part.yml");
    put("in.tsv", "p\n1\n2\n");
    ck_fails(run("axolotl", "in.tsv", "01", NULL, FORCE), TAMIS_ERR_UNSUPPORTED, "TSV");
}
END_TEST

/* Every format, every allocation and write: a message, and no output. */
START_TEST(every_allocation_and_write_may_fail)
{
    static const char *const format[] = {"nemo:mode=skipme", "lhotse-ids", "kaldi",
                                         "llama-factory:info=new.json", "axolotl:stanza=new.json"};
    put("cuts", cuts);
    make_kaldi();
    for (size_t f = 0; f < 5; f++)
        for (int io = 0; io < 2; io++) {
            bool kaldi = f == 2;
            long n = 0;
            tamis_status status;
            const char *input = kaldi ? "in" : "cuts";
            tamis_selection *selection = make_selection(kaldi ? "011" : "0110", NULL);
            tamis_manifest_params params = {.selection = selection,
                                            .format = format[f],
                                            .input = &input,
                                            .inputs = 1,
                                            .output = f == 3 ? "out.json" : "out"};
            do {
                tamis_manifest_result result = {0};
                (io ? tamis__fault_io_after : tamis__fault_memory_after)(n++);
                status = tamis_manifest_write(NULL, &params, &result, &err);
                (io ? tamis__fault_io_after : tamis__fault_memory_after)(-1);
                tamis_manifest_result_fini(&result);
                if (status == TAMIS_OK) continue;
                ck_assert(err.message[0] != '\0');
                check_nothing_left();
                ck_assert(!exists("new.json") && !exists("new.json.part"));
                ck_assert(!exists("out.json") && !exists("out.json.part"));
            } while (status != TAMIS_OK && n < 500);
            ck_assert_int_gt(n, 2);
            ck_assert_int_lt(n, 500);
            tamis_selection_free(&selection);
            shell("rm -rf out out.json new.json");
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text formats");
    TCase *tcase = tcase_create("formats");
    tcase_add_checked_fixture(tcase, enter_scratch, leave_scratch);
    tcase_add_test(tcase, nemo_lines);
    tcase_add_test(tcase, nemo_marks);
    tcase_add_test(tcase, several_inputs);
    tcase_add_test(tcase, nemo_bad_lines);
    tcase_add_test(tcase, lhotse_cuts);
    tcase_add_test(tcase, lhotse_other_ids);
    tcase_add_test(tcase, lhotse_id_list);
    tcase_add_test(tcase, lhotse_bad_cuts);
    tcase_add_test(tcase, kaldi_directories);
    tcase_add_test(tcase, kaldi_dry_run_and_faults);
    tcase_add_test(tcase, llama_factory_entry);
    tcase_add_test(tcase, llama_factory_names);
    tcase_add_test(tcase, arrays_and_lines_do_not_mix);
    tcase_add_test(tcase, axolotl_stanza);
    tcase_add_test(tcase, every_allocation_and_write_may_fail);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
