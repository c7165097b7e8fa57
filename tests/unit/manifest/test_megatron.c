/* megatron and megatron-blend: what is written of one input, read back by a plain reader; bad
 * input; failures.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "megatron_files.h"

/* --- running -------------------------------------------------------------------------------- */

static tamis_context *context;
static char warning[1024];

static void keep_warning(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    if (level == TAMIS_LOG_WARNING) snprintf(warning, sizeof warning, "%s", line);
}

static void setup(void)
{
    enter_scratch();
    *warning = '\0';
    tamis_context_params params = {.threads = 1, .log = keep_warning};
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Records of the files that are listed: those of a data set in both of its files, and all of them
 * together. */
static void check_list(const tamis_manifest_result *result, bool dry)
{
    uint64_t kept = 0, dropped = 0;
    for (size_t i = 0; i < result->files; i++) {
        const tamis_manifest_file *idx = &result->file[i],
                                  *bin = i + 1 < result->files ? idx + 1 : idx;
        size_t size = strlen(idx->path);
        if (strcmp(idx->path + size - 4, ".idx") != 0) continue;
        *(strcmp(idx->what, "dropped") ? &kept : &dropped) += idx->records;
        if (!dry && !strncmp(idx->path, bin->path, size - 3) && bin != idx)
            ck_assert_uint_eq(bin->records, idx->records);
    }
    if (kept) ck_assert_uint_eq(kept, result->written);
    if (dropped) ck_assert_uint_eq(dropped, result->dropped);
}

static tamis_status run(const char *format, const char *keep, const tamis_examples *examples,
                        tamis_manifest_params params)
{
    tamis_manifest_result result = {0};
    const char *input = "in";
    tamis_selection *selection = make_selection(keep, examples);
    for (uint64_t i = 0; i < selection->rows; i++) selection->weight[i] = selection->keep[i];
    params.selection = selection;
    params.format = format;
    params.input = &input;
    params.inputs = 1;
    if (!params.output) params.output = "out";
    tamis_status status = tamis_manifest_write(context, &params, &result, &err);
    if (status == TAMIS_OK) ck_assert_uint_eq(result.records, strlen(keep));
    if (status == TAMIS_OK) check_list(&result, params.dry_run);
    tamis_manifest_result_fini(&result);
    tamis_selection_free(&selection);
    return status;
}

#define PLAIN ((tamis_manifest_params){.order = TAMIS_MANIFEST_SOURCE})
#define FORCE ((tamis_manifest_params){.force = true})

static int count_files(void)
{
    int n = 0;
    DIR *here = opendir(".");
    for (struct dirent *e; (e = readdir(here));) n += *e->d_name != '.';
    closedir(here);
    return n;
}

/* --- megatron ------------------------------------------------------------------------------- */

START_TEST(everything_is_the_same)
{
    for (unsigned type = 1; type <= 8; type++)
        for (int modes = 0; modes < 2; modes++) {
            set s = make_set(type, modes);
            put_set("in", &s);
            ck_ok(run("megatron", "111111", NULL, FORCE));
            check_same("in.bin", "out.bin");
            check_same("in.idx", "out.idx");
            ck_ok(run("megatron:rows=sequence", "111111111", NULL,
                      (tamis_manifest_params){.output = "rows.idx", .force = true}));
            check_same("in.bin", "rows.bin"); /* document 2, which is empty, is gone */
            check_set("rows", "012345678", "023679");
        }
}
END_TEST

START_TEST(documents)
{
    set s = make_set(8, true);
    put_set("in", &s);
    ck_ok(run("megatron", "101001", NULL, (tamis_manifest_params){.dropped = "rest"}));
    check_set("out", "0178", "0224"); /* the empty document stays one */
    check_set("rest", "23456", "0145");
    ck_assert(exists("rest.reasons.csv"));
    ck_assert_str_eq(warning, "");
    ck_ok(run("megatron", "000000", NULL, FORCE));
    check_set("out", "", "0");
}
END_TEST

START_TEST(sequences)
{
    set s = make_set(4, false);
    put_set("in", &s);
    ck_ok(run("megatron:rows=sequence", "110010101", NULL,
              (tamis_manifest_params){.dropped = "rest"}));
    check_set("out", "01468", "02345");
    check_set("rest", "2357", "0134");
}
END_TEST

START_TEST(links)
{
    struct stat in, out;
    set s = make_set(8, true);
    put_set("in", &s);
    ck_ok(run("megatron:mode=link", "100101", NULL, (tamis_manifest_params){.dropped = "rest"}));
    ck_assert_ptr_nonnull(strstr(warning, "slice"));
    ck_assert(lstat("out.bin", &out) == 0 && S_ISLNK(out.st_mode));
    check_same("in.bin", "out.bin");
    check_set("out", "0134578", "0257");
    check_set("rest", "26", "0112");
    ck_fails(run("megatron:mode=link", "100101", NULL, PLAIN), TAMIS_ERR_IO, "use -f");
    ck_ok(run("megatron:mode=link", "010000", NULL, FORCE));
    check_set("out", "2", "01");
    ck_ok(run("megatron:mode=link,link=hard", "100101", NULL, FORCE));
    ck_assert(lstat("out.bin", &out) == 0 && stat("in.bin", &in) == 0 && out.st_ino == in.st_ino);
    check_set("out", "0134578", "0257");
    ck_ok(run("megatron:mode=link,link=hard", "010000", NULL, FORCE));
    check_set("out", "2", "01");
    *warning = '\0';
    ck_ok(run("megatron:mode=link", "001110", NULL, FORCE)); /* 3 to 6: no gap */
    ck_assert_str_eq(warning, "");
    ck_assert_int_eq(rename("in.idx", "old.idx"), 0);
    ck_fails(run("megatron:mode=link", "100101", NULL, FORCE), TAMIS_ERR_IO, "cannot open");
    ck_assert(!exists("out.idx.part") && !exists("out.bin.part"));
}
END_TEST

START_TEST(copy_of_links)
{
    bytes tokens;
    set s = make_set(8, true);
    put_set("in", &s);
    ck_ok(run("megatron:mode=link", "101001", NULL, (tamis_manifest_params){.output = "thin"}));
    const char *input = "thin.bin";
    tamis_selection *selection = make_selection("111", NULL);
    tamis_manifest_params params = {.selection = selection,
                                    .format = "megatron",
                                    .input = &input,
                                    .inputs = 1,
                                    .output = "out"};
    ck_ok(tamis_manifest_write(NULL, &params, NULL, &err));
    tamis_selection_free(&selection);
    check_set("out", "0178", "0224");
    set written = get_set("out", &tokens);
    int64_t end = written.offset[3] + written.length[3] * 2;
    ck_assert_uint_eq(tokens.size, (uint64_t)end);
    free(tokens.data);
}
END_TEST

START_TEST(orders_and_repeats)
{
    bytes tokens;
    set s = make_set(8, false);
    put_set("in", &s);
    ck_ok(run("megatron:rows=sequence", "111111111", NULL,
              (tamis_manifest_params){.order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = 7}));
    set one = get_set("out", &tokens);
    free(tokens.data);
    ck_assert_uint_eq(one.sequences, 9);
    ck_ok(run("megatron:rows=sequence,mode=link", "111111111", NULL,
              (tamis_manifest_params){
                  .order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = 7, .output = "linked"}));
    set two = get_set("linked", &tokens);
    ck_assert_int_eq(memcmp(one.length, two.length, sizeof one.length), 0);
    free(tokens.data);
    ck_ok(run("megatron", "100010", NULL, (tamis_manifest_params){.force = true, .repeats = 4}));
    check_set("out", "010166", "02456");
}
END_TEST

START_TEST(digests)
{
    bytes tokens;
    set s = make_set(8, false);
    uint64_t digest[6];
    put_set("in", &s);
    s = get_set("in", &tokens);
    for (int d = 0; d < 6; d++) {
        int64_t first = s.document[d], end = s.document[d + 1];
        size_t size = 0;
        for (int64_t i = first; i < end; i++) size += (size_t)s.length[i] * 2;
        digest[d] = tamis__digest(tokens.data + s.offset[first < 9 ? first : 0], size);
    }
    ck_ok(run("megatron", "101001", &(tamis_examples){.digest = digest}, PLAIN));
    /* The sequences of document 3 change places in the .bin, and its bytes stay the same. */
    unsigned char moved[64];
    size_t at = (size_t)s.offset[3], a = (size_t)s.length[3] * 2, b = (size_t)s.length[4] * 2;
    memcpy(moved, tokens.data + at + a, b);
    memcpy(moved + b, tokens.data + at, a);
    memcpy(tokens.data + at, moved, a + b);
    s.offset[4] = (int64_t)at;
    s.offset[3] = (int64_t)(at + b);
    put_bytes("in.bin", tokens.data, tokens.size);
    put_index("in.idx", &s);
    ck_ok(run("megatron", "101101", &(tamis_examples){.digest = digest}, FORCE));
    tokens.data[at]++;
    put_bytes("in.bin", tokens.data, tokens.size);
    ck_fails(run("megatron", "101001", &(tamis_examples){.digest = digest}, FORCE),
             TAMIS_ERR_FORMAT, "'in.idx': sample 3 is not row 3");
    ck_ok(run("megatron", "101001", &(tamis_examples){.digest = digest},
              (tamis_manifest_params){.force = true, .no_digests = true}));
    free(tokens.data);
}
END_TEST

START_TEST(dry_run)
{
    set s = make_set(8, false);
    put_set("in", &s);
    ck_ok(run("megatron", "101001", NULL,
              (tamis_manifest_params){.dropped = "rest", .dry_run = true}));
    ck_ok(run("megatron:mode=link", "101001", NULL, (tamis_manifest_params){.dry_run = true}));
    ck_ok(
        run("megatron-blend:buckets=2", "101001", NULL, (tamis_manifest_params){.dry_run = true}));
    ck_assert_int_eq(count_files(), 2);
}
END_TEST

START_TEST(own_input)
{
    set s = make_set(8, false);
    put_set("in", &s);
    ck_fails(
        run("megatron", "101001", NULL, (tamis_manifest_params){.output = "in.idx", .force = true}),
        TAMIS_ERR_ARG, "own input");
    ck_fails(run("megatron:mode=link", "101001", NULL,
                 (tamis_manifest_params){.output = "./in.bin", .force = true}),
             TAMIS_ERR_ARG, "own input");
    ck_ok(run("megatron", "111111", NULL, PLAIN));
    check_same("in.bin", "out.bin");
}
END_TEST

/* --- bad input ------------------------------------------------------------------------------ */

typedef struct patch {
    size_t at, size;
    uint64_t value;
    const char *message;
} patch;

START_TEST(bad_indices)
{
    static const patch patches[] = {
        {0, 1, 'X', "no index of Megatron-LM"},
        {8, 1, 1, "no index of Megatron-LM"},
        {9, 8, 2, "version 2"},
        {17, 1, 0, "no type of tokens 0"},
        {17, 1, 9, "no type of tokens 9"},
        {17, 1, 5, "sequence 1 is"}, /* tokens of 8 bytes: past the end, or out of place */
        {18, 8, 10, "not what 10 sequences"},
        {18, 8, UINT64_MAX, "truncated or damaged"},
        {18, 8, UINT64_MAX / 12 + 2, "truncated or damaged"},
        {26, 8, 0, "truncated or damaged"},
        {26, 8, UINT64_MAX / 8 + 2, "truncated or damaged"},
        {34, 4, 0xffffffff, "sequence 0 is -1 tokens"},
        {34, 4, 0x7fffffff, "sequence 0 is 2147483647 tokens"},
        {34 + 36, 8, UINT64_MAX, "from byte -1"},
        {34 + 36, 8, 10000, "from byte 10000"},
        {34 + 36 + 72, 8, 1, "end 0 of documents is sequence 1"},
        {34 + 36 + 72 + 8, 8, 9, "end 2 of documents is sequence 3"},
        {34 + 36 + 72 + 48, 8, 8, "end 6 of documents is sequence 8"},
    };
    set s = make_set(8, false);
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        put_set("in", &s);
        bytes idx = get("in.idx");
        memcpy(idx.data + patches[i].at, &patches[i].value, patches[i].size);
        put_bytes("in.idx", idx.data, idx.size);
        free(idx.data);
        if (strstr(patches[i].message, "out of place")) continue;
        tamis_status status = run("megatron", "111111", NULL, PLAIN);
        ck_assert_msg(status == TAMIS_ERR_FORMAT || status == TAMIS_ERR_UNSUPPORTED,
                      "patch %zu: %s", i, tamis_status_name(status));
        if (i != 5)
            ck_assert_msg(strstr(err.message, patches[i].message) != NULL, "patch %zu: '%s'", i,
                          err.message);
        ck_assert_int_eq(count_files(), 2);
    }
}
END_TEST

START_TEST(truncated)
{
    set s = make_set(8, true);
    put_set("in", &s);
    bytes idx = get("in.idx"), bin = get("in.bin");
    for (size_t size = 0; size < idx.size; size++) {
        if (size == idx.size - 9) continue; /* the same without modes */
        put_bytes("in.idx", idx.data, size);
        ck_fails(run("megatron", "111111", NULL, PLAIN), TAMIS_ERR_FORMAT, "'in.idx'");
    }
    put_bytes("in.idx", idx.data, idx.size);
    for (size_t size = 0; size < bin.size; size++) {
        put_bytes("in.bin", bin.data, size);
        ck_fails(run("megatron", "111111", NULL, PLAIN), TAMIS_ERR_FORMAT, "'in.bin' has");
    }
    ck_assert_int_eq(unlink("in.bin"), 0);
    ck_fails(run("megatron", "111111", NULL, PLAIN), TAMIS_ERR_IO, "cannot open 'in.bin'");
    ck_assert_int_eq(count_files(), 1);
    free(idx.data);
    free(bin.data);
}
END_TEST

START_TEST(counts)
{
    set s = make_set(8, true);
    put_set("in", &s);
    ck_fails(run("megatron", "11111", NULL, PLAIN), TAMIS_ERR_SHAPE, "has 6 documents");
    ck_fails(run("megatron", "111111111", NULL, PLAIN), TAMIS_ERR_SHAPE, "has 6 documents");
    ck_fails(run("megatron:rows=sequence", "111111", NULL, PLAIN), TAMIS_ERR_SHAPE,
             "has 9 sequences");
    ck_fails(run("megatron:rows=token", "111111", NULL, PLAIN), TAMIS_ERR_ARG, "token");
    ck_assert_int_eq(count_files(), 2);
}
END_TEST

/* --- megatron-blend ------------------------------------------------------------------------- */

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

START_TEST(blend)
{
    set s = make_set(8, false);
    put_set("in", &s);
    /* make_selection() ranks kept rows in their order. */
    ck_ok(run("megatron-blend:buckets=2,rows=sequence", "110110101", NULL,
              (tamis_manifest_params){.dropped = "rest"}));
    check_set("out-q1", "013", "023");
    check_set("out-q2", "468", "0123");
    check_set("rest", "257", "0123");
    bytes tokens;
    set q1 = get_set("out-q1", &tokens), q2;
    free(tokens.data);
    q2 = get_set("out-q2", &tokens);
    free(tokens.data);
    char wanted[200];
    snprintf(wanted, sizeof wanted, "%d out-q1\n%d out-q2\n",
             q1.length[0] + q1.length[1] + q1.length[2],
             q2.length[0] + q2.length[1] + q2.length[2]);
    check_text("out.blend", wanted);
    shell("jq -e '.valid == null and .test == null and has(\"test\")' out.blend.json >/dev/null");
    shell("test \"$(jq -r '.train[]' out.blend.json | xargs)\" = \"$(xargs < out.blend)\"");
}
END_TEST

START_TEST(blend_weights_and_links)
{
    set s = make_set(8, false);
    put_set("in", &s);
    ck_ok(run("megatron-blend:buckets=3,weights=4/2/0.5,mode=link", "111111", NULL, PLAIN));
    check_text("out.blend", "4 out-q1\n2 out-q2\n0.5 out-q3\n");
    check_set("out-q1", "012", "023");
    check_set("out-q3", "678", "013");
    check_same("out-q2.bin", "in.bin");
    ck_ok(run("megatron-blend:buckets=3,weights=equal,mode=link", "111111", NULL, FORCE));
    check_text("out.blend", "1 out-q1\n1 out-q2\n1 out-q3\n");
    ck_fails(run("megatron-blend:weights=1/2", "111111", NULL, FORCE), TAMIS_ERR_ARG, "'1/2'");
    ck_fails(run("megatron-blend:buckets=2,weights=1/2/3", "111111", NULL, FORCE), TAMIS_ERR_ARG,
             "'1/2/3'");
    ck_fails(run("megatron-blend:buckets=2,weights=0/0", "111111", NULL, FORCE), TAMIS_ERR_ARG,
             "'0/0'");
    ck_fails(run("megatron-blend:buckets=2,weights=1/-1", "111111", NULL, FORCE), TAMIS_ERR_ARG,
             "'1/-1'");
    ck_fails(run("megatron-blend:buckets=2,weights=1/x", "111111", NULL, FORCE), TAMIS_ERR_ARG,
             "'1/x'");
    ck_fails(run("megatron-blend:buckets=4", "101001", NULL, FORCE), TAMIS_ERR_SHAPE,
             "buckets=3 or less");
    ck_fails(run("megatron-blend:buckets=1", "101001", NULL,
                 (tamis_manifest_params){.output = "my out"}),
             TAMIS_ERR_ARG, "no spaces");
}
END_TEST

START_TEST(blend_splits)
{
    static const tamis_manifest_split split[] = {{"train", 0.5}, {"valid", 0.5}};
    static const tamis_manifest_split other[] = {{"train", 0.5}, {"dev", 0.5}};
    set s = make_set(8, false);
    put_set("in", &s);
    ck_ok(run("megatron-blend:buckets=2,rows=sequence", "111111110", NULL,
              (tamis_manifest_params){.output = "mix-{}", .split = split, .splits = 2}));
    shell("test \"$(jq -r '.train[]' mix-splits.blend.json | xargs)\" = "
          "\"$(xargs < mix-train.blend)\"");
    shell("test \"$(jq -r '.valid[]' mix-splits.blend.json | xargs)\" = "
          "\"$(xargs < mix-valid.blend)\"");
    shell("jq -e '.test == null' mix-splits.blend.json >/dev/null");
    shell("grep -q ' mix-valid-q2$' mix-valid.blend");
    ck_assert(exists("mix-valid-q2.idx") && exists("mix-train-q1.bin"));
    ck_fails(run("megatron-blend:buckets=2", "111111", NULL,
                 (tamis_manifest_params){.output = "new-{}", .split = other, .splits = 2}),
             TAMIS_ERR_ARG, "'dev'");
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

static void fail_each(const char *format, void (*arm)(long n))
{
    bool done = false;
    for (long n = 0; !done; n++) {
        ck_assert_int_lt(n, 500);
        arm(n);
        tamis_manifest_params params = {.dropped = "rest"};
        const char *input = "in";
        arm(-1);
        tamis_selection *selection = make_selection("101001", NULL);
        params.selection = selection;
        params.format = format;
        params.input = &input;
        params.inputs = 1;
        params.output = "out";
        arm(n);
        tamis_status status = tamis_manifest_write(context, &params, NULL, &err);
        arm(-1);
        tamis_selection_free(&selection);
        done = status == TAMIS_OK;
        if (!done) {
            ck_assert(err.message[0] != '\0');
            ck_assert_msg(count_files() == 2, "%s: failure %ld leaves files (%s)", format, n,
                          err.message);
        }
    }
    ck_assert_int_eq(system("rm -f out* rest*"), 0);
}

START_TEST(failures_leave_nothing)
{
    static const char *const format[] = {"megatron", "megatron:mode=link",
                                         "megatron:mode=link,link=hard",
                                         "megatron-blend:buckets=2,weights=1/2"};
    set s = make_set(8, true);
    put_set("in", &s);
    for (size_t i = 0; i < 4; i++) {
        fail_each(format[i], tamis__fault_io_after);
        fail_each(format[i], tamis__fault_memory_after);
    }
}
END_TEST

/* Whatever single bytes become, an index is refused or read within its files. */
START_TEST(mutations)
{
    set s = make_set(8, true);
    put_set("in", &s);
    bytes idx = get("in.idx");
    unsigned lcg = 12345;
    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(idx.size);
        memcpy(copy, idx.data, idx.size);
        for (int k = 0; k < 1 + round % 3; k++) {
            lcg = lcg * 1103515245u + 12345u;
            size_t at = (lcg >> 8) % idx.size;
            lcg = lcg * 1103515245u + 12345u;
            copy[at] = (char)(round % 2 ? (lcg >> 16) & 3 : lcg >> 16);
        }
        put_bytes("in.idx", copy, idx.size);
        free(copy);
        const char *format = round % 4 < 2 ? "megatron" : "megatron:rows=sequence,mode=link";
        tamis_status status = run(format, round % 4 < 2 ? "101001" : "101010101", NULL, FORCE);
        ck_assert_msg(status == TAMIS_OK || status == TAMIS_ERR_FORMAT ||
                          status == TAMIS_ERR_SHAPE || status == TAMIS_ERR_UNSUPPORTED,
                      "%s: %s", tamis_status_name(status), err.message);
    }
    free(idx.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest megatron");
    TCase *tcase = tcase_create("megatron");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, everything_is_the_same);
    tcase_add_test(tcase, documents);
    tcase_add_test(tcase, sequences);
    tcase_add_test(tcase, links);
    tcase_add_test(tcase, copy_of_links);
    tcase_add_test(tcase, orders_and_repeats);
    tcase_add_test(tcase, digests);
    tcase_add_test(tcase, dry_run);
    tcase_add_test(tcase, own_input);
    tcase_add_test(tcase, bad_indices);
    tcase_add_test(tcase, truncated);
    tcase_add_test(tcase, counts);
    tcase_add_test(tcase, blend);
    tcase_add_test(tcase, blend_weights_and_links);
    tcase_add_test(tcase, blend_splits);
    tcase_add_test(tcase, failures_leave_nothing);
    tcase_add_test(tcase, mutations);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
