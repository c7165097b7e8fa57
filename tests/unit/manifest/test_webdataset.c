/* WebDataset: tar files made and read by tar itself, and headers that are broken on purpose.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/hash.h"
#include "base/mem.h"
#include "changed_input.h"
#include "manifest/dvc.h"

#define LONG                                                                                       \
    "d/a-directory-with-quite-a-long-name-that-goes-on-and-on/and-another-one-that-is-long-as-"    \
    "well/so-that-the-name-does-not-fit-a-header"

static void run_shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "failed: %s", command);
}

/* Five samples: a (two files), b, LONG, c.x with a second dot, d. */
static const char *const members[] = {"a.txt",     "a.cls", "b.txt", LONG ".txt",
                                      LONG ".jpg", "c.x.y", "c.z",   "d.txt"};

static void make_example(const char *tar_format)
{
    char command[2000];
    run_shell("rm -rf src in*.tar* out out.part rest rest.part rest.reasons.csv out.dvc; mkdir -p "
              "src/" LONG "; rmdir src/" LONG);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char path[400], text[2400];
        snprintf(path, sizeof path, "src/%s", members[i]);
        for (size_t k = 0; k < 300 * i; k++) text[k] = (char)(i * 17 + k);
        put_bytes(path, text, 300 * i);
    }
    snprintf(command, sizeof command,
             "cd src && tar --format=%s -cf ../in.tar a.txt a.cls b.txt d/*/*/*.txt d/*/*/*.jpg "
             "c.x.y c.z d.txt",
             tar_format);
    run_shell(command);
}

static tamis_status run(tamis_manifest_params p, const char *keep, const char *const *id,
                        tamis_manifest_result *result)
{
    tamis_selection *selection = make_selection(keep, &(tamis_examples){.id_text = id});
    for (uint64_t i = 0; i < selection->rows; i++) selection->weight[i] = selection->keep[i];
    p.selection = selection;
    const char *const input[] = {"in.tar"};
    if (!p.input) p.input = input;
    if (!p.inputs) p.inputs = 1;
    p.output = "out";
    if (!p.format) p.format = "webdataset";
    tamis_status status = tamis_manifest_write(NULL, &p, result, &err);
    tamis_selection_free(&selection);
    return status;
}

START_TEST(kept_samples_are_copied)
{
    static const char *const formats[] = {"ustar", "gnu", "pax", "oldgnu"};
    for (size_t i = 0; i < 4; i++) {
        tamis_manifest_result result, dry;
        make_example(formats[i]);
        ck_ok(
            run((tamis_manifest_params){.dropped = "rest", .dry_run = true}, "10110", NULL, &dry));
        ck_assert(!exists("out"));
        ck_ok(run((tamis_manifest_params){.dropped = "rest"}, "10110", NULL, &result));
        ck_assert_uint_eq(result.written, 3);
        ck_assert_uint_eq(result.bytes_out, dry.bytes_out);
        ck_assert_uint_eq(result.bytes_dropped, dry.bytes_dropped);
        tamis_manifest_result_fini(&result);
        tamis_manifest_result_fini(&dry);
        run_shell("tar -tf out/shard-000000.tar >names 2>errors && test ! -s errors");
        check_text("names", "a.txt\na.cls\n" LONG ".txt\n" LONG ".jpg\nc.x.y\nc.z\n");
        run_shell("tar -tf rest/shard-000000.tar >names");
        check_text("names", "b.txt\nd.txt\n");
        run_shell("rm -rf x && mkdir x && tar -xf out/shard-000000.tar -C x && "
                  "tar -xf rest/shard-000000.tar -C x && diff -r src x");
        run_shell("jq -e '.\"__kind__\" == \"wids-shard-index-v1\" and .wids_version == 1 and "
                  "(.shardlist | length) == 1 and .shardlist[0].nsamples == 3 and "
                  ".shardlist[0].url == \"shard-000000.tar\"' out/index.json >/dev/null");
        run_shell("test $(jq -r '.shardlist[0].filesize' out/index.json) = "
                  "$(wc -c <out/shard-000000.tar)");
    }
}
END_TEST

START_TEST(everything_kept_is_the_same_file)
{
    make_example("gnu");
    ck_ok(run((tamis_manifest_params){0}, "11111", NULL, NULL));
    run_shell("cmp in.tar out/shard-000000.tar");
    ck_ok(run((tamis_manifest_params){.force = true}, "00000", NULL, NULL));
    run_shell("test $(ls out) = index.json && echo x >out/shard-000000.tar.gz");
    ck_fails(run((tamis_manifest_params){.force = true}, "11111", NULL, NULL), TAMIS_ERR_IO,
             "'out' holds 'shard-000000.tar.gz', which is no output of this format");
    run_shell("test ! -e out.part && rm out/shard-000000.tar.gz");
    run_shell("gzip -k in.tar");
    ck_ok(run((tamis_manifest_params){.input = (const char *const[]){"in.tar.gz"}, .force = true},
              "11111", NULL, NULL));
    run_shell("cmp in.tar out/shard-000000.tar");
}
END_TEST

START_TEST(shards_keep_to_their_limits)
{
    make_example("gnu");
    ck_ok(run((tamis_manifest_params){.format = "webdataset:max-samples=2"}, "11111", NULL, NULL));
    run_shell("for t in out/*.tar; do tar -tf $t | sed 's/[.].*//' | uniq | wc -l; done >names");
    check_text("names", "2\n2\n1\n");
    ck_ok(run((tamis_manifest_params){.format = "webdataset:max-bytes=1", .force = true}, "11011",
              NULL, NULL));
    run_shell("for t in out/*.tar; do tar -tf $t | head -1; done >names");
    check_text("names", "a.txt\nb.txt\nc.x.y\nd.txt\n");
}
END_TEST

START_TEST(several_inputs_directories_and_order)
{
    make_example("gnu");
    run_shell("mkdir src/s && cd src && cp a.txt s/e.txt && cp b.txt s/f.txt && ln -s f.txt "
              "s/f.lnk && touch s/no-dot && tar -cf ../in2.tar s/f.lnk s/no-dot s");
    tamis_manifest_params p = {.input = (const char *const[]){"in.tar", "in2.tar"},
                               .inputs = 2,
                               .order = TAMIS_MANIFEST_SHUFFLE};
    tamis_manifest_result result;
    ck_fails(run(p, "000011", NULL, NULL), TAMIS_ERR_SHAPE,
             "'in.tar' and the inputs after it have 7 samples");
    ck_ok(run(p, "1111111", NULL, &result));
    ck_assert_uint_eq(result.input_records[1], 2);
    tamis_manifest_result_fini(&result);
    run_shell("tar -tf out/shard-000000.tar | sort >names; (tar -tf in.tar; echo s/e.txt; echo "
              "s/f.txt) | sort | diff - names && tar -tf out/shard-000000.tar | sed 's/[.].*//' | "
              "uniq | wc -l >n");
    check_text("n", "7\n");
}
END_TEST

START_TEST(ids_are_compared)
{
    const char *id[] = {"a", "b", "so-that-the-name-does-not-fit-a-header", "c", "d"};
    tamis_manifest_result result;
    make_example("gnu");
    ck_ok(run((tamis_manifest_params){0}, "11111", id, &result));
    ck_assert(result.ids_checked);
    tamis_manifest_result_fini(&result);
    id[1] = "c";
    ck_fails(run((tamis_manifest_params){.force = true}, "11111", id, NULL), TAMIS_ERR_FORMAT,
             "'in.tar': the key of row 1 is 'b', its id in the selection 'c'");
    ck_fails(run((tamis_manifest_params){.force = true, .repeats = 9}, "11111", NULL, NULL),
             TAMIS_ERR_ARG, "samples cannot be repeated");
}
END_TEST

START_TEST(keys_are_listed)
{
    tamis_manifest_result result, dry;
    tamis_manifest_params p = {
        .format = "webdataset:mode=keys", .dropped = "rest", .dry_run = true};
    make_example("pax");
    ck_ok(run(p, "01101", NULL, &dry));
    ck_assert(!exists("out"));
    p.dry_run = false;
    ck_ok(run(p, "01101", NULL, &result));
    check_text("out", "b\n" LONG "\nd\n");
    check_text("rest", "a\nc\n");
    ck_assert_uint_eq(result.written, 3);
    ck_assert_uint_eq(result.bytes_out, dry.bytes_out);
    ck_assert_uint_eq(result.files, 3);
    ck_assert_uint_eq(result.file[0].records, 3);
    tamis_manifest_result_fini(&result);
    tamis_manifest_result_fini(&dry);
    run_shell(
        "rm -rf in.tar rest*; cd src && printf x >'two\nlines.txt' && tar -cf ../in.tar *.txt");
    p.force = true;
    p.dropped = NULL;
    ck_ok(run(p, "1110", NULL, NULL));
    ck_fails(run(p, "1111", NULL, NULL), TAMIS_ERR_UNSUPPORTED,
             "'in.tar': the key of row 3 holds a line end, which a list of keys cannot");
}
END_TEST

/* Samples of several pieces, none, and many; so many files that they are written in two goes. */
START_TEST(threads_change_no_byte)
{
    static const char *const format[] = {"webdataset:max-samples=2,md5", "webdataset"};
    run_shell("rm -rf src in*.tar out*; mkdir src; for i in $(seq 11 50); do yes $i | head -c "
              "$((i % 7 * i % 5 * 200000 + i)) >src/$i.a; printf $i >src/$i.b; done; "
              "cd src && tar -cf ../in.tar *");
    for (size_t f = 0; f < 2; f++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            if (threads == 1) run_shell("rm -rf out-*");
            tamis_context *context = NULL;
            char output[20];
            tamis_selection *selection = make_selection("1111111111011111111111111111111111111110",
                                                        NULL);
            snprintf(output, sizeof output, "out-%u", threads);
            ck_ok(
                tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
            tamis_manifest_params p = {.selection = selection,
                                       .format = format[f],
                                       .input = (const char *const[]){"in.tar"},
                                       .inputs = 1,
                                       .output = output,
                                       .force = true};
            ck_ok(tamis_manifest_write(context, &p, NULL, &err));
            tamis_selection_free(&selection);
            tamis_context_destroy(&context);
            run_shell("diff -r out-1 out-$(ls -d out-* | tail -c 2)");
            if (f == 0)
                run_shell(
                    "jq -r '.shardlist[] | \"\\(.md5sum)  out-1/\\(.url)\"' out-1/index.json | "
                    "md5sum -c --quiet && test $(ls out-1 | wc -l) = 20");
            else
                run_shell("jq -e '.shardlist | length == 1 and (.[0] | has(\"md5sum\") | not)' "
                          "out-1/index.json >/dev/null");
            run_shell("rm -rf x && mkdir x && for t in out-1/*.tar; do tar -xf $t -C x; done && "
                      "cp src/21.* src/50.* x && diff -r src x");
        }
}
END_TEST

static void refuse(const char *make, tamis_status status, const char *wanted)
{
    make_example("gnu");
    run_shell(make);
    ck_fails(run((tamis_manifest_params){0}, "11111", NULL, NULL), status, wanted);
    check_nothing_left();
}

START_TEST(bad_input_is_refused)
{
    refuse("truncate -s 1000 in.tar", TAMIS_ERR_FORMAT, "it is truncated");
    refuse("truncate -s 512 in.tar", TAMIS_ERR_FORMAT,
           "'in.tar' byte 512: the file ends without the end of an archive");
    refuse("printf Z | dd of=in.tar conv=notrunc bs=1 seek=3 2>/dev/null", TAMIS_ERR_FORMAT,
           "'in.tar' byte 0: a header whose checksum is wrong");
    refuse("printf 'no tar file' >in.tar", TAMIS_ERR_FORMAT, "it is truncated");
    refuse("cd src && tar -cf ../in.tar a.txt b.txt a.cls d.txt c.z", TAMIS_ERR_FORMAT,
           "the key 'a' is that of two samples, row 0 in 'in.tar' and row 2 in 'in.tar'");
    refuse("cd src && tar -cf ../in.tar a.txt --hard-dereference a.txt", TAMIS_ERR_FORMAT,
           "'a.txt' is there twice in one sample");
    refuse("cd src && tar --format=pax --pax-option=globexthdr.name=g,comment=x -cf ../in.tar *.*",
           TAMIS_ERR_UNSUPPORTED, "global extended headers are not read");
    refuse("cd src && truncate -s 1M big.x && tar -Scf ../in.tar big.x", TAMIS_ERR_UNSUPPORTED,
           "sparse members are not read");
    refuse("rm in.tar", TAMIS_ERR_IO, "in.tar");
}
END_TEST

START_TEST(broken_bytes_do_no_harm)
{
    make_example("pax");
    bytes file = get("in.tar");
    for (uint64_t i = 0; i < 1500; i++) {
        uint64_t a = tamis__splitmix(2, 2 * i), b = tamis__splitmix(2, 2 * i + 1);
        unsigned char *copy = malloc(file.size);
        memcpy(copy, file.data, file.size);
        size_t at = a % file.size / 512 * 512;
        copy[a % file.size] = (unsigned char)b;
        if (b & 256) { /* with a checksum that is right, when it is a header */
            unsigned sum = 0;
            memset(copy + at + 148, ' ', 8);
            for (size_t k = 0; k < 512; k++) sum += copy[at + k];
            snprintf((char *)copy + at + 148, 8, "%06o", sum);
        }
        put_bytes("in.tar", copy, b % 5 ? file.size : (size_t)(a >> 32) % file.size);
        (void)!run((tamis_manifest_params){.dry_run = true}, "11111", NULL, NULL);
        free(copy);
    }
    free(file.data);
}
END_TEST

/* Every allocation and every operation on files fails once, with the threads of a pool and
 * without. */
START_TEST(failures_leave_nothing)
{
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = 3}, &err));
    for (int what = 0; what < 4; what++) {
        void (*fault)(long) = what % 2 ? tamis__fault_io_after : tamis__fault_memory_after;
        tamis_status status = TAMIS_ERR_IO;
        make_example("gnu");
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 500);
            tamis_selection *selection = make_selection("01101", NULL);
            tamis_manifest_params p = {.selection = selection,
                                       .format = "webdataset:max-samples=1",
                                       .input = (const char *const[]){"in.tar"},
                                       .inputs = 1,
                                       .output = "out",
                                       .dvc = true};
            err.message[0] = '\0';
            fault(n);
            status = tamis_manifest_write(what > 1 ? context : NULL, &p, NULL, &err);
            fault(-1);
            if (status != TAMIS_OK) check_nothing_left();
            ck_assert(status == TAMIS_OK || *err.message);
            tamis_selection_free(&selection);
        }
        run_shell("for t in out/*.tar; do tar -tf $t; done | wc -l >n");
        check_text("n", "4\n");
    }
    tamis_context_destroy(&context);
}
END_TEST

/* Whoever cancels at any report finds nothing. */
static int cancel_after;

static int count_down(void *cookie, const char *phase, uint64_t done, uint64_t total,
                      const char *unit, const char *note)
{
    (void)cookie, (void)phase, (void)done, (void)total, (void)unit, (void)note;
    return cancel_after-- == 0;
}

START_TEST(cancelling_leaves_nothing)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = 2, .progress = count_down};
    tamis_status status = TAMIS_ERR_CANCELLED;
    tamis_selection *selection = make_selection("01101", NULL);
    ck_ok(tamis_context_create(&context, &params, &err));
    make_example("gnu");
    int n = 0;
    for (; status != TAMIS_OK; n++) {
        tamis_manifest_params p = {.selection = selection,
                                   .format = "webdataset:max-samples=1",
                                   .input = (const char *const[]){"in.tar"},
                                   .inputs = 1,
                                   .output = "out"};
        cancel_after = n;
        status = tamis_manifest_write(context, &p, NULL, &err);
        ck_assert(status == TAMIS_OK || status == TAMIS_ERR_CANCELLED);
        if (status != TAMIS_OK) check_nothing_left();
    }
    ck_assert_int_gt(n, 1);
    tamis_selection_free(&selection);
    tamis_context_destroy(&context);
}
END_TEST

/* The list that DVC sums, made by the shell. */
START_TEST(dvc_files_are_of_all_files)
{
    tamis_manifest_result r;
    make_example("gnu");
    ck_ok(run((tamis_manifest_params){.dvc = true, .format = "webdataset:max-samples=1"}, "11011",
              NULL, &r));
    run_shell("(cd out && md5sum *) | LC_ALL=C sort -k 2 | awk '{ printf \"%s{\\\"md5\\\": "
              "\\\"%s\\\", \\\"relpath\\\": \\\"%s\\\"}\", (NR > 1 ? \", \" : \"[\"), $1, $2 } "
              "END { printf \"]\" }' | md5sum | cut -c 1-32 >sum");
    run_shell(
        "printf \"outs:\\n- md5: %s.dir\\n  size: %s\\n  nfiles: 5\\n  hash: md5\\n\" $(cat sum) "
        "$(cat out/* | wc -c) >wanted && echo \"  path: 'out'\" >>wanted && cmp wanted out.dvc");
    ck_assert_uint_eq(r.files, 2);
    ck_assert_str_eq(r.file[0].what, "dvc");
    ck_assert_str_eq(strchr(r.file[1].md5, '.'), ".dir");
    tamis_manifest_result_fini(&r);
    run_shell("rm out.dvc");
}
END_TEST

/* The example in DVC's manual. */
START_TEST(dvc_sums_a_list)
{
    char md5[37];
    tamis__dvc_file files[] = {
        {.name = (char[]){"cat.jpeg"}, .md5 = "dff70c0392d7d386c39a23c64fcc0376"},
        {.name = (char[]){"index.jpeg"}, .md5 = "29a6c8271c0c8fbf75d3b97aecee589f"}};
    ck_ok(tamis__dvc_directory(files, 2, md5, &err));
    ck_assert_str_eq(md5, "196a322c107c2572335158503c64bfba.dir");
}
END_TEST

static void make_one(void)
{
    make_example("gnu");
}

START_TEST(changed_inputs_are_noticed)
{
    tamis_selection *selection = make_selection("01101", NULL);
    check_changes((tamis_manifest_params){.selection = selection,
                                          .format = "webdataset",
                                          .input = (const char *const[]){"in.tar"},
                                          .inputs = 1,
                                          .output = "out"},
                  "in.tar", make_one);
    tamis_selection_free(&selection);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest webdataset");
    TCase *tcase = tcase_create("webdataset");
    tcase_add_checked_fixture(tcase, enter_scratch, leave_scratch);
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, kept_samples_are_copied);
    tcase_add_test(tcase, everything_kept_is_the_same_file);
    tcase_add_test(tcase, shards_keep_to_their_limits);
    tcase_add_test(tcase, several_inputs_directories_and_order);
    tcase_add_test(tcase, ids_are_compared);
    tcase_add_test(tcase, keys_are_listed);
    tcase_add_test(tcase, threads_change_no_byte);
    tcase_add_test(tcase, bad_input_is_refused);
    tcase_add_test(tcase, broken_bytes_do_no_harm);
    tcase_add_test(tcase, failures_leave_nothing);
    tcase_add_test(tcase, cancelling_leaves_nothing);
    tcase_add_test(tcase, changed_inputs_are_noticed);
    tcase_add_test(tcase, dvc_files_are_of_all_files);
    tcase_add_test(tcase, dvc_sums_a_list);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
