/* MosaicML StreamingDataset: shards written by plain loops from the format's description, and what
 * is written of them read the same way; hostile input.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "base/mem.h"
#include "base/hash.h"
#include "changed_input.h"
#include "codec/codec.h"
#include "manifest/samples.h"

#define COLUMNS                                                                                    \
    "\"column_encodings\":[\"int\",\"bytes\"],\"column_names\":[\"n\",\"tokens\"],"                \
    "\"column_sizes\":[8,null]"
#define CONFIG "{" COLUMNS ",\"format\":\"mds\",\"version\":2}"

enum { SAMPLES = 10, SPLIT_AT = 6 };

static void put_u32(unsigned char *to, uint32_t x)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(x >> 8 * i);
}

static uint32_t get_u32(const unsigned char *from)
{
    return from[0] | from[1] << 8 | from[2] << 16 | (uint32_t)from[3] << 24;
}

/* Sample i: the size of its tokens, i as 8 bytes, then i * 3 bytes. */
static size_t make_sample(int i, unsigned char *to)
{
    size_t tokens = (size_t)i * 3;
    put_u32(to, (uint32_t)tokens);
    memset(to + 4, 0, 8);
    to[4] = (unsigned char)i;
    for (size_t k = 0; k < tokens; k++) to[12 + k] = (unsigned char)(i * 31 + (int)k);
    return 12 + tokens;
}

static size_t make_shard(int first, int end, unsigned char *to)
{
    size_t n = (size_t)(end - first), head = 4 + 4 * (n + 1);
    put_u32(to, (uint32_t)n);
    memcpy(to + head, CONFIG, strlen(CONFIG));
    size_t at = head + strlen(CONFIG);
    for (size_t i = 0; i <= n; i++) {
        put_u32(to + 4 + 4 * i, (uint32_t)at);
        if (i < n) at += make_sample(first + (int)i, to + at);
    }
    return at;
}

static char index_text[4000];

static void make_index(size_t size0, size_t size1, const char *zip)
{
    snprintf(index_text, sizeof index_text,
             "{\"version\":2,\"shards\":["
             "{" COLUMNS ",\"compression\":null,\"format\":\"mds\",\"hashes\":[],\"raw_data\":"
             "{\"basename\":\"a.mds\",\"bytes\":%zu,\"hashes\":{}},\"samples\":%d,"
             "\"size_limit\":4000,\"version\":2,\"zip_data\":null},"
             "{" COLUMNS ",\"compression\":%s,\"format\":\"mds\",\"hashes\":[],\"raw_data\":"
             "{\"basename\":\"b.mds\",\"bytes\":%zu,\"hashes\":{}},\"samples\":%d,"
             "\"size_limit\":4000,\"version\":2,\"zip_data\":%s}]}",
             size0, SPLIT_AT, *zip ? "\"zstd\"" : "null", size1, SAMPLES - SPLIT_AT,
             *zip ? zip : "null");
    put("in/index.json", index_text);
}

static void make_example(bool compressed)
{
    unsigned char shard[4096];
    ck_assert_int_eq(system("rm -rf in out out.part rest rest.reasons.csv && mkdir in"), 0);
    size_t size0 = make_shard(0, SPLIT_AT, shard);
    put_bytes("in/a.mds", shard, size0);
    size_t size1 = make_shard(SPLIT_AT, SAMPLES, shard);
    make_index(size0, size1, compressed ? "{\"basename\":\"b.mds.zstd\",\"bytes\":1}" : "");
    if (!compressed) {
        put_bytes("in/b.mds", shard, size1);
        return;
    }
    tamis__output output;
    ck_ok(tamis__output_open(&output, NULL, "in/b.mds.zstd", true, &err));
    ck_ok(tamis__codec_attach(TAMIS__CODEC_ZSTD, &output, &err));
    ck_ok(tamis__output_write(&output, shard, size1, &err));
    ck_ok(tamis__output_commit(&output, &err));
}

/* Read what was written: shards in the order of their names; `wanted` are the samples, -1 at the
 * end. */
static void check_set(const char *directory, const int *wanted, size_t shards)
{
    char path[100], command[300];
    unsigned char sample[200];
    for (size_t s = 0; s < shards; s++) {
        snprintf(path, sizeof path, "%s/shard.%05zu.mds", directory, s);
        bytes shard = get(path);
        const unsigned char *data = (const unsigned char *)shard.data;
        uint32_t n = get_u32(data), at = get_u32(data + 4);
        ck_assert_uint_eq(at, 4 + 4 * (n + 1) + strlen(CONFIG));
        ck_assert_int_eq(memcmp(data + 8 + 4 * n, CONFIG, strlen(CONFIG)), 0);
        for (uint32_t i = 0; i < n; i++) {
            ck_assert_int_ge(*wanted, 0);
            size_t size = make_sample(*wanted++, sample);
            uint32_t next = get_u32(data + 8 + 4 * i);
            ck_assert_uint_eq(next - at, size);
            ck_assert_int_eq(memcmp(data + at, sample, size), 0);
            at = next;
        }
        ck_assert_uint_eq(at, shard.size);
        snprintf(command, sizeof command,
                 "jq -e '.version == 2 and (.shards[%zu] | .samples == %u and .raw_data.bytes == "
                 "%zu and .raw_data.basename == \"%s\" and .zip_data == null and .column_sizes == "
                 "[8,null] and .format == \"mds\")' %s/index.json >jq.out",
                 s, n, shard.size, path + strlen(directory) + 1, directory);
        ck_assert_int_eq(system(command), 0);
        free(shard.data);
    }
    ck_assert_int_eq(*wanted, -1);
    snprintf(path, sizeof path, "%s/shard.%05zu.mds", directory, shards);
    ck_assert(!exists(path));
}

static tamis_status run(tamis_manifest_params p, const char *keep, const uint64_t *digest,
                        tamis_manifest_result *result)
{
    tamis_selection *selection = make_selection(keep, &(tamis_examples){.digest = digest});
    p.selection = selection;
    p.input = (const char *const[]){"in"};
    p.inputs = 1;
    p.output = "out";
    if (!p.format) p.format = "mds";
    tamis_status status = tamis_manifest_write(NULL, &p, result, &err);
    tamis_selection_free(&selection);
    return status;
}

START_TEST(kept_samples_are_copied)
{
    tamis_manifest_result result, dry;
    for (int compressed = 0; compressed < 2; compressed++) {
        make_example(compressed);
        tamis_manifest_params p = {.dropped = "rest", .dry_run = true};
        ck_ok(run(p, "0101000011", NULL, &dry));
        ck_assert(!exists("out"));
        p.dry_run = false;
        ck_ok(run(p, "0101000011", NULL, &result));
        check_set("out", (const int[]){1, 3, 8, 9, -1}, 1);
        check_set("rest", (const int[]){0, 2, 4, 5, 6, 7, -1}, 1);
        ck_assert_uint_eq(result.written, 4);
        ck_assert_uint_eq(result.bytes_out, dry.bytes_out);
        ck_assert_uint_eq(result.bytes_dropped, dry.bytes_dropped);
        tamis_manifest_result_fini(&result);
        tamis_manifest_result_fini(&dry);
    }
}
END_TEST

START_TEST(shards_keep_to_the_limit)
{
    make_example(false);
    ck_ok(run((tamis_manifest_params){.format = "mds:size-limit=1"}, "0101000011", NULL, NULL));
    check_set("out", (const int[]){1, 3, 8, 9, -1}, 4);
    /* Two samples of 12 + 0 and 12 + 3 bytes just fit. */
    char format[60];
    snprintf(format, sizeof format, "mds:size-limit=%zu", 4 + 4 * 3 + strlen(CONFIG) + 27);
    make_example(false);
    ck_ok(run((tamis_manifest_params){.format = format}, "1110000000", NULL, NULL));
    check_set("out", (const int[]){0, 1, 2, -1}, 2);
}
END_TEST

/* Rows go on from directory to directory. */
START_TEST(several_directories)
{
    static const char *const in[] = {"in", "in2", "in"};
    tamis_manifest_result result;
    make_example(true);
    ck_assert_int_eq(system("rm -rf in2"), 0);
    ck_assert_int_eq(rename("in", "in2"), 0);
    make_example(false);
    tamis_selection *s = make_selection("010000000000000001010000000001", NULL);
    tamis_manifest_params p = {.selection = s,
                               .format = "mds",
                               .input = in,
                               .inputs = 3,
                               .output = "out",
                               .dropped = "rest"};
    ck_ok(tamis_manifest_write(NULL, &p, &result, &err));
    check_set("out", (const int[]){1, 7, 9, 9, -1}, 1);
    for (int i = 0; i < 3; i++) ck_assert_uint_eq(result.input_records[i], SAMPLES);
    tamis_manifest_result_fini(&result);
    p.force = true;
    p.inputs = 2;
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_SHAPE,
             "'in' and the inputs after it have 20 samples, the selection 30 rows");
    put("in2/index.json", "{\"version\":2,\"shards\":[]}");
    p.inputs = 3;
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_SHAPE, "have 20 samples");
    put("in2/index.json",
        "{\"version\":2,\"shards\":[{\"column_encodings\":[\"int\"],\"column_names\":[\"n\"],"
        "\"column_sizes\":[8],\"format\":\"mds\"}]}");
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_UNSUPPORTED,
             "'in2/index.json' shard 0 has other columns than the first shard");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(all_none_and_in_order)
{
    make_example(false);
    ck_ok(run((tamis_manifest_params){0}, "1111111111", NULL, NULL));
    check_set("out", (const int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1}, 1);
    ck_ok(run((tamis_manifest_params){.force = true}, "0000000000", NULL, NULL));
    check_set("out", (const int[]){-1}, 0);
    make_example(false);
    tamis_selection *selection = make_selection("0101000001", NULL);
    selection->rank[1] = 2;
    selection->rank[9] = 0;
    selection->rank[3] = 1;
    ck_ok(tamis_manifest_write(NULL,
                               &(tamis_manifest_params){.selection = selection,
                                                        .format = "mds",
                                                        .input = (const char *const[]){"in"},
                                                        .inputs = 1,
                                                        .order = TAMIS_MANIFEST_SCORE,
                                                        .output = "out"},
                               NULL, &err));
    check_set("out", (const int[]){9, 3, 1, -1}, 1);
    tamis_selection_free(&selection);
}
END_TEST

/* Samples larger than what is copied at once, and a shard of its own for most of them. */
START_TEST(large_samples)
{
    static const char config[] = "{" COLUMNS "}";
    enum { N = 7, LARGEST = 3 << 20 };
    static unsigned char shard[8 << 20], before[8 << 20];
    size_t sizes[N] = {0, LARGEST, 1, 1 << 20, 100000, (1 << 20) - 12, 300000};
    size_t head = 4 + 4 * (N + 1), at = head + strlen(config);
    ck_assert_int_eq(system("rm -rf in out out-*; mkdir in"), 0);
    put_u32(shard, N);
    memcpy(shard + head, config, strlen(config));
    for (size_t i = 0; i <= N; i++) {
        put_u32(shard + 4 + 4 * i, (uint32_t)at);
        if (i == N) break;
        put_u32(shard + at, (uint32_t)sizes[i]);
        for (size_t k = 0; k < 8 + sizes[i]; k++)
            shard[at + 4 + k] = (unsigned char)tamis__splitmix(i, k);
        at += 12 + sizes[i];
    }
    put_bytes("in/a.mds", shard, at);
    snprintf(index_text, sizeof index_text,
             "{\"version\":2,\"shards\":[{" COLUMNS ",\"format\":\"mds\",\"raw_data\":{"
             "\"basename\":\"a.mds\",\"bytes\":%zu},\"samples\":%d}]}",
             at, N);
    put("in/index.json", index_text);
    for (unsigned threads = 1; threads <= 3; threads++) {
        tamis_context *context = NULL;
        tamis_selection *selection = make_selection("1111111", NULL);
        ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
        tamis_manifest_params p = {.selection = selection,
                                   .format = "mds:size-limit=1500000",
                                   .input = (const char *const[]){"in"},
                                   .inputs = 1,
                                   .output = "out",
                                   .force = true};
        ck_ok(tamis_manifest_write(context, &p, NULL, &err));
        /* Files of samples 0, 1, 2 to 4, and 5 and 6, one after another, are the samples in
         * order. */
        size_t used = 0;
        for (int i = 0; i < 4; i++) {
            char path[40];
            snprintf(path, sizeof path, "out/shard.%05d.mds", i);
            bytes file = get(path);
            uint32_t first = get_u32((unsigned char *)file.data + 4);
            memcpy(before + used, file.data + first, file.size - first);
            used += file.size - first;
            free(file.data);
        }
        ck_assert(!exists("out/shard.00004.mds"));
        size_t start = head + strlen(config);
        ck_assert_uint_eq(used, at - start);
        ck_assert_int_eq(memcmp(before, shard + start, used), 0);
        tamis_selection_free(&selection);
        tamis_context_destroy(&context);
    }
}
END_TEST

/* Force replaces an earlier output, and nothing else. */
START_TEST(other_directories_are_not_replaced)
{
    static const char *const names[] = {"thesis", "shard.00000.mds.zstd", "shard..mds",
                                        "shard.0x.mds", "index.json.old"};
    make_example(false);
    ck_ok(run((tamis_manifest_params){0}, "1111111111", NULL, NULL));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[60];
        snprintf(path, sizeof path, "out/%s", names[i]);
        put(path, "precious");
        ck_fails(run((tamis_manifest_params){.force = true}, "0101000011", NULL, NULL),
                 TAMIS_ERR_IO, "which is no output of this format");
        ck_assert(!exists("out.part"));
        check_text(path, "precious");
        ck_assert_int_eq(unlink(path), 0);
    }
    check_set("out", (const int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1}, 1);
    ck_ok(run((tamis_manifest_params){.force = true}, "0101000011", NULL, NULL));
    check_set("out", (const int[]){1, 3, 8, 9, -1}, 1);
}
END_TEST

/* Every sample is compared, also the last of those that a thread takes at once. */
START_TEST(each_of_many_samples_is_compared)
{
    enum { MANY = 200 };
    static unsigned char data[MANY];
    static char keep[MANY + 1];
    uint64_t digest[MANY];
    tamis__samples samples = {0};
    tamis_manifest_params params = {.inputs = 1};
    ck_ok(tamis__samples_open(&samples, &(tamis__samples_input){.bytes = {.data = data}}, &err));
    for (int i = 0; i < MANY; i++) {
        data[i] = (unsigned char)i;
        keep[i] = '1';
        ck_ok(tamis__samples_add(&samples, &err));
        ck_ok(tamis__samples_extend(&samples, data + i, 1, &err));
        digest[i] = tamis__digest(data + i, 1);
    }
    for (int i = 0; i < MANY; i++) {
        char place[32];
        digest[i] ^= 1;
        tamis_selection *s = make_selection(keep, &(tamis_examples){.digest = digest});
        tamis__manifest_job job = {.selection = s, .params = &params, .check_digests = true};
        snprintf(place, sizeof place, "sample %d is not", i);
        ck_fails(tamis__samples_compare(&samples, &job, "in", &err), TAMIS_ERR_FORMAT, place);
        tamis_selection_free(&s);
        digest[i] ^= 1;
    }
    tamis__samples_fini(&samples);
}
END_TEST

START_TEST(digests_are_compared)
{
    uint64_t digest[SAMPLES];
    unsigned char sample[200];
    for (int i = 0; i < SAMPLES; i++) digest[i] = tamis__digest(sample, make_sample(i, sample));
    make_example(false);
    ck_ok(run((tamis_manifest_params){0}, "0101000011", digest, NULL));
    digest[7] ^= 1;
    ck_fails(run((tamis_manifest_params){.force = true}, "0101000011", digest, NULL),
             TAMIS_ERR_FORMAT, "'in' sample 7 is not the one that was scored");
    ck_fails(run((tamis_manifest_params){.force = true}, "01010000110", NULL, NULL),
             TAMIS_ERR_SHAPE, "'in' has 10 samples, the selection 11 rows");
}
END_TEST

static void refuse(tamis_status status, const char *wanted)
{
    ck_fails(run((tamis_manifest_params){0}, "1111111111", NULL, NULL), status, wanted);
    check_nothing_left();
    make_example(false);
}

/* Overwrite 4 bytes of a shard. */
static void poke(size_t at, uint32_t x)
{
    bytes shard = get("in/a.mds");
    put_u32((unsigned char *)shard.data + at, x);
    put_bytes("in/a.mds", shard.data, shard.size);
    free(shard.data);
}

static void edit_index(const char *from, const char *to)
{
    char *at = strstr(index_text, from), text[4200];
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - index_text), index_text, to,
             at + strlen(from));
    put("in/index.json", text);
}

START_TEST(bad_input_is_refused)
{
    make_example(false);
    bytes shard = get("in/a.mds");
    put_bytes("in/a.mds", shard.data, shard.size - 1);
    free(shard.data);
    refuse(TAMIS_ERR_FORMAT, "the shard is truncated or the index is of another one");
    poke(0, 5);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds' has 5 samples, index.json says 6");
    poke(0, UINT32_MAX);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds' is too short to be an MDS shard");
    poke(12, UINT32_MAX);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds': offset 2 is outside the shard or out of order");
    poke(12, 3);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds': offset 2 is outside the shard or out of order");
    poke(4, 3);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds': offset 0 is outside the shard");
    poke(4 + 4 * 7 + strlen(CONFIG) + 12, 999);
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds': the columns of sample 1");
    edit_index("\"samples\":6", "\"samples\":7");
    refuse(TAMIS_ERR_FORMAT, "'in/a.mds' has 6 samples, index.json says 7");
    edit_index("[8,null]", "[4,null]");
    refuse(TAMIS_ERR_FORMAT, "the columns in the shard are not those in index.json");
    edit_index("a.mds", "../in/a.mds");
    refuse(TAMIS_ERR_FORMAT, "stays in the directory");
    edit_index("\"format\":\"mds\"", "\"format\":\"csv\"");
    refuse(TAMIS_ERR_UNSUPPORTED, "the format must be mds, not 'csv'");
    edit_index("\"version\":2", "\"version\":1");
    refuse(TAMIS_ERR_FORMAT, "is no index of a StreamingDataset of version 2");
    put("in/index.json", "{");
    refuse(TAMIS_ERR_FORMAT, "'in/index.json' line 1:");
    edit_index("\"zip_data\":null", "\"zip_data\":{\"basename\":\"a.mds\"}");
    refuse(TAMIS_ERR_UNSUPPORTED, "in a compression other than zstd and gz");
    unlink("in/b.mds");
    refuse(TAMIS_ERR_IO, "in/b.mds");
}
END_TEST

START_TEST(broken_bytes_do_no_harm)
{
    static const char *const path[] = {"in/a.mds", "in/index.json", "in/b.mds.zstd"};
    for (uint64_t i = 0; i < 1500; i++) {
        if (i % 100 == 0) make_example(true);
        bytes file = get(path[i % 3]);
        uint64_t a = tamis__splitmix(1, 2 * i), b = tamis__splitmix(1, 2 * i + 1);
        char old = file.data[a % file.size];
        file.data[a % file.size] = (char)b;
        size_t size = b % 7 ? file.size : (size_t)(a >> 32) % file.size;
        put_bytes(path[i % 3], file.data, size);
        (void)!run((tamis_manifest_params){.dry_run = true}, "1111111111", NULL, NULL);
        file.data[a % file.size] = old;
        put_bytes(path[i % 3], file.data, file.size);
        free(file.data);
    }
}
END_TEST

START_TEST(failures_leave_nothing)
{
    for (int what = 0; what < 2; what++) {
        tamis_status status = TAMIS_ERR_IO;
        make_example(true);
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 500);
            tamis_selection *selection = make_selection("0101000011", NULL);
            (what ? tamis__fault_io_after : tamis__fault_memory_after)(n);
            status = write_manifest(selection, "mds:size-limit=1", "in", NULL);
            (what ? tamis__fault_io_after : tamis__fault_memory_after)(-1);
            if (status != TAMIS_OK) check_nothing_left();
            tamis_selection_free(&selection);
        }
        check_set("out", (const int[]){1, 3, 8, 9, -1}, 4);
    }
}
END_TEST

static void make_plain(void)
{
    make_example(false);
}

static void make_compressed(void)
{
    make_example(true);
}

START_TEST(changed_inputs_are_noticed)
{
    tamis_selection *selection = make_selection("1010011100", NULL);
    tamis_manifest_params p = {.selection = selection,
                               .format = "mds",
                               .input = (const char *const[]){"in"},
                               .inputs = 1,
                               .output = "out"};
    check_changes(p, "in/a.mds", make_plain);
    check_changes(p, "in/b.mds.zstd", make_compressed);
    tamis_selection_free(&selection);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest mds");
    TCase *tcase = tcase_create("mds");
    tcase_add_checked_fixture(tcase, enter_scratch, leave_scratch);
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, kept_samples_are_copied);
    tcase_add_test(tcase, shards_keep_to_the_limit);
    tcase_add_test(tcase, several_directories);
    tcase_add_test(tcase, all_none_and_in_order);
    tcase_add_test(tcase, large_samples);
    tcase_add_test(tcase, other_directories_are_not_replaced);
    tcase_add_test(tcase, each_of_many_samples_is_compared);
    tcase_add_test(tcase, digests_are_compared);
    tcase_add_test(tcase, bad_input_is_refused);
    tcase_add_test(tcase, broken_bytes_do_no_harm);
    tcase_add_test(tcase, failures_leave_nothing);
    tcase_add_test(tcase, changed_inputs_are_noticed);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
