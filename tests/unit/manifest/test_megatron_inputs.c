/* megatron and megatron-blend of several inputs: a data set that is cut in two is the same to both
 * as the whole one; links, bad input, failures.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "megatron_files.h"

static const char *const both[] = {"a", "b"};

/* Documents before `cut` of the set at "in" become the set "a", the others "b". */
static void cut_in_two(uint64_t cut)
{
    bytes tokens;
    set whole = get_set("in", &tokens), piece[2] = {whole, whole};
    uint64_t first = (uint64_t)whole.document[cut];
    int64_t at = first < whole.sequences ? whole.offset[first] : (int64_t)tokens.size;
    piece[0].sequences = first;
    piece[0].documents = cut;
    piece[1].sequences = whole.sequences - first;
    piece[1].documents = whole.documents - cut;
    for (uint64_t i = 0; i < piece[1].sequences; i++) {
        piece[1].length[i] = whole.length[first + i];
        piece[1].offset[i] = whole.offset[first + i] - at;
        piece[1].mode[i] = whole.mode[first + i];
    }
    for (uint64_t d = 0; d <= piece[1].documents; d++)
        piece[1].document[d] = whole.document[cut + d] - (int64_t)first;
    put_index("a.idx", &piece[0]);
    put_index("b.idx", &piece[1]);
    put_bytes("a.bin", tokens.data, (size_t)at);
    put_bytes("b.bin", tokens.data + at, tokens.size - (size_t)at);
    free(tokens.data);
}

/* The one of 6 documents and 9 sequences, its second half in "b". */
static set make_both(unsigned type, bool modes)
{
    set s = make_set(type, modes);
    put_set("in", &s);
    cut_in_two(3);
    return s;
}

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

static tamis_manifest_result result;

/* Of "a" and "b", or of what the parameters say. `result` is without its lists afterwards. */
static tamis_status run(const char *format, const char *keep, const uint64_t *digest,
                        tamis_manifest_params params)
{
    tamis_selection *selection = make_selection(keep, digest ? &(tamis_examples){.digest = digest}
                                                             : NULL);
    for (uint64_t i = 0; i < selection->rows; i++) selection->weight[i] = selection->keep[i];
    params.selection = selection;
    params.format = format;
    if (!params.inputs) params.input = both, params.inputs = 2;
    if (!params.output) params.output = "out";
    tamis_status status = tamis_manifest_write(context, &params, &result, &err);
    if (status == TAMIS_OK) {
        ck_assert_uint_eq(result.records, strlen(keep));
        uint64_t sum = 0;
        for (size_t i = 0; i < params.inputs; i++) sum += result.input_records[i];
        ck_assert_uint_eq(sum, strlen(keep));
        tamis_manifest_result_fini(&result);
    }
    tamis_selection_free(&selection);
    return status;
}

#define PLAIN ((tamis_manifest_params){.order = TAMIS_MANIFEST_SOURCE})
#define FORCE ((tamis_manifest_params){.force = true})

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

static int count_files(void)
{
    int n = 0;
    DIR *here = opendir(".");
    for (struct dirent *e; (e = readdir(here));) n += *e->d_name != '.';
    closedir(here);
    return n;
}

/* The set at `prefix` has these sequences of that at `source`, and these ends of documents. */
static void check_links(const char *prefix, const char *source, const char *sequences,
                        const char *documents)
{
    bytes tokens, all;
    char path[64];
    struct stat st;
    set from = get_set(source, &all), written = get_set(prefix, &tokens);
    snprintf(path, sizeof path, "%s.bin", prefix);
    ck_assert(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    ck_assert_uint_eq(written.type, from.type);
    ck_assert_uint_eq(written.sequences, strlen(sequences));
    ck_assert_uint_eq(written.documents + 1, strlen(documents));
    for (uint64_t i = 0; i < written.sequences; i++) {
        check_sequence(&written, &tokens, i, &from, &all, (uint64_t)(sequences[i] - '0'));
        ck_assert_int_eq(written.offset[i], from.offset[sequences[i] - '0']);
    }
    for (uint64_t i = 0; i <= written.documents; i++)
        ck_assert_int_eq(written.document[i], documents[i] - '0');
    free(all.data);
    free(tokens.data);
}

static int64_t tokens_of(const set *s, const char *sequences)
{
    int64_t sum = 0;
    for (; *sequences; sequences++) sum += s->length[*sequences - '0'];
    return sum;
}

/* --- copies --------------------------------------------------------------------------------- */

/* Whatever is asked of the two pieces gives the bytes that the whole gives. */
static void compare_with_whole(const char *format, const char *keep, tamis_manifest_params params)
{
    static const char *const whole[] = {"in"};
    params.force = true;
    params.dropped = "rest";
    ck_ok(run(format, keep, NULL, params));
    params.input = whole;
    params.inputs = 1;
    params.output = "one";
    params.dropped = "others";
    ck_ok(run(format, keep, NULL, params));
    check_same("out.bin", "one.bin");
    check_same("out.idx", "one.idx");
    check_same("rest.bin", "others.bin");
    check_same("rest.idx", "others.idx");
}

START_TEST(pieces_are_the_whole)
{
    unsigned state = 5;
    for (unsigned type = 1; type <= 8; type++)
        for (uint64_t cut = 0; cut <= 6; cut++) {
            char keep[10] = "";
            set s = make_set(type, type % 2);
            put_set("in", &s);
            cut_in_two(cut);
            for (int i = 0; i < 9; i++) keep[i] = rand_r(&state) % 3 ? '1' : '0';
            compare_with_whole("megatron:rows=sequence", keep, PLAIN);
            compare_with_whole(
                "megatron:rows=sequence", keep,
                (tamis_manifest_params){.order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = cut});
            keep[0] = '1';
            compare_with_whole("megatron:rows=sequence", keep,
                               (tamis_manifest_params){.repeats = 14});
            keep[6] = '\0';
            compare_with_whole("megatron", keep, PLAIN);
            compare_with_whole("megatron", keep,
                               (tamis_manifest_params){.order = TAMIS_MANIFEST_SCORE});
        }
}
END_TEST

START_TEST(counts_go_by_input)
{
    tamis_selection *selection = make_selection("011001", NULL);
    tamis_manifest_params params = {.format = "megatron",
                                    .selection = selection,
                                    .input = both,
                                    .inputs = 2,
                                    .output = "out",
                                    .dry_run = true};
    make_both(8, false);
    ck_ok(tamis_manifest_write(context, &params, &result, &err));
    ck_assert(result.input_records[0] == 3 && result.input_records[1] == 3);
    ck_assert_uint_eq(result.written, 3);
    uint64_t dry = result.bytes_out;
    tamis_manifest_result_fini(&result);
    params.dry_run = false;
    ck_ok(tamis_manifest_write(context, &params, &result, &err));
    ck_assert_uint_eq(result.bytes_out, dry);
    tamis_manifest_result_fini(&result);
    tamis_selection_free(&selection);
    check_set("out", "278", "0113");
    ck_fails(run("megatron", "0110", NULL, FORCE), TAMIS_ERR_SHAPE,
             "'a' and the inputs after it have 6 documents, the selection 4 candidates");
}
END_TEST

START_TEST(digests_go_on)
{
    bytes tokens;
    uint64_t digest[9];
    make_both(8, false);
    set s = get_set("in", &tokens);
    for (int i = 0; i < 9; i++)
        digest[i] = tamis__digest(tokens.data + s.offset[i], (size_t)s.length[i] * 2);
    ck_ok(run("megatron:rows=sequence", "101010101", digest, PLAIN));
    free(tokens.data);
    bytes bin = get("b.bin");
    bin.data[0]++; /* the first sequence of "b" that has a token */
    put_bytes("b.bin", bin.data, bin.size);
    free(bin.data);
    ck_fails(run("megatron:rows=sequence", "101010101", digest, FORCE), TAMIS_ERR_FORMAT,
             "'b.idx': sample 0 is not row 3");
}
END_TEST

/* --- links ---------------------------------------------------------------------------------- */

START_TEST(links_are_one_set_for_each_input)
{
    char wanted[200];
    set s = make_both(8, true);
    ck_ok(run("megatron:mode=link", "100011", NULL, (tamis_manifest_params){.dropped = "rest"}));
    check_links("out-1", "a", "01", "02");
    check_links("out-2", "b", "345", "013");
    check_links("rest-1", "a", "2", "011");
    check_links("rest-2", "b", "012", "03");
    snprintf(wanted, sizeof wanted, "%d out-1\n%d out-2\n", (int)tokens_of(&s, "01"),
             (int)tokens_of(&s, "678"));
    check_text("out.blend", wanted);
    ck_assert(exists("rest.blend") && exists("rest.reasons.csv"));
    ck_assert_str_eq(warning, "");
    /* An input that has nothing is left out; gaps are warned of with the file. */
    ck_ok(run("megatron:mode=link,rows=sequence", "000100010", NULL,
              (tamis_manifest_params){.output = "thin.idx"}));
    ck_assert(!exists("thin-1.idx") && !exists("thin-1.bin"));
    check_links("thin-2", "b", "04", "012");
    ck_assert_ptr_nonnull(strstr(warning, "do not follow each other in 'b.bin'"));
    snprintf(wanted, sizeof wanted, "%d thin-2\n", (int)tokens_of(&s, "37"));
    check_text("thin.blend", wanted);
    ck_fails(run("megatron:mode=link", "100011", NULL,
                 (tamis_manifest_params){.output = "my out", .force = true}),
             TAMIS_ERR_ARG, "no spaces");
}
END_TEST

/* Each link has its sequences in the order in which a copy of all has them. */
START_TEST(links_in_any_order)
{
    static const char *const prefix[] = {"out-1", "out-2"};
    tamis_manifest_params params = {.order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = 3};
    bytes tokens;
    set s = make_both(8, true);
    ck_ok(run("megatron:mode=link,rows=sequence", "111111111", NULL, params));
    params.output = "copy";
    ck_ok(run("megatron:rows=sequence", "111111111", NULL, params));
    set copy = get_set("copy", &tokens);
    free(tokens.data);
    ck_assert_int_ne(memcmp(copy.mode, s.mode, 9), 0);
    for (int i = 0; i < 2; i++) {
        int8_t wanted[9];
        uint64_t n = 0;
        set link = get_set(prefix[i], &tokens);
        free(tokens.data);
        for (int k = 0; k < 9; k++) /* modes tell sequences apart: document + 10 * place in it */
            if ((copy.mode[k] % 10 < 3) == (i == 0)) wanted[n++] = copy.mode[k];
        ck_assert_uint_eq(link.sequences, n);
        ck_assert_int_eq(memcmp(link.mode, wanted, n), 0);
    }
}
END_TEST

START_TEST(links_again)
{
    struct stat in, out;
    make_both(8, false);
    ck_ok(run("megatron:mode=link,link=hard", "100011", NULL, PLAIN));
    ck_assert(stat("b.bin", &in) == 0 && lstat("out-2.bin", &out) == 0 && in.st_ino == out.st_ino);
    ck_fails(run("megatron:mode=link,link=hard", "100011", NULL, PLAIN), TAMIS_ERR_IO, "use -f");
    ck_ok(run("megatron:mode=link,link=hard", "111111", NULL, FORCE));
    ck_ok(run("megatron:mode=link", "111111", NULL, FORCE));
    check_links("out-1", "a", "012", "0233");
    check_links("out-2", "b", "012345", "0346");
    ck_ok(run("megatron:mode=link", "000000", NULL,
              (tamis_manifest_params){.output = "none", .force = true}));
    check_text("none.blend", "");
    ck_assert(!exists("none-1.idx"));
}
END_TEST

/* --- blends --------------------------------------------------------------------------------- */

START_TEST(blends)
{
    static const char *const whole[] = {"in"};
    char wanted[200];
    set s = make_both(8, false);
    ck_ok(run("megatron-blend:buckets=2,rows=sequence", "110110101", NULL,
              (tamis_manifest_params){.dropped = "rest"}));
    ck_ok(run("megatron-blend:buckets=2,rows=sequence", "110110101", NULL,
              (tamis_manifest_params){
                  .output = "one", .dropped = "others", .input = whole, .inputs = 1}));
    check_same("out-q1.idx", "one-q1.idx");
    check_same("out-q2.bin", "one-q2.bin");
    check_same("rest.idx", "others.idx");
    shell("sed s/one/out/ one.blend | cmp - out.blend");
    /* Rows in the order of their rank: 0 1 3 | 4 6 8. */
    ck_ok(run("megatron-blend:buckets=2,rows=sequence,mode=link", "110110101", NULL,
              (tamis_manifest_params){.output = "link", .dropped = "left"}));
    check_links("link-q1-1", "a", "01", "02");
    check_links("link-q1-2", "b", "0", "01");
    check_links("link-q2-2", "b", "135", "0123");
    check_links("left-2", "b", "24", "012");
    ck_assert(!exists("link-q2-1.idx"));
    snprintf(wanted, sizeof wanted, "%d link-q1-1\n%d link-q1-2\n%d link-q2-2\n",
             (int)tokens_of(&s, "01"), (int)tokens_of(&s, "3"), (int)tokens_of(&s, "468"));
    check_text("link.blend", wanted);
    shell("test \"$(jq -r '.train[]' link.blend.json | xargs)\" = \"$(xargs < link.blend)\"");
}
END_TEST

START_TEST(a_weight_is_shared_by_tokens)
{
    double weight[3];
    set s = make_both(8, false);
    ck_ok(run("megatron-blend:buckets=2,rows=sequence,mode=link,weights=3/0.5", "110110101", NULL,
              PLAIN));
    bytes text = get("out.blend");
    ck_assert_int_eq(sscanf(text.data, "%lf out-q1-1 %lf out-q1-2 %lf out-q2-2", &weight[0],
                            &weight[1], &weight[2]),
                     3);
    free(text.data);
    double a = (double)tokens_of(&s, "01"), b = (double)tokens_of(&s, "3");
    ck_assert_double_eq_tol(weight[0], 3 * a / (a + b), 1e-12);
    ck_assert_double_eq_tol(weight[1], 3 * b / (a + b), 1e-12);
    ck_assert_double_eq(weight[2], 0.5);
    ck_ok(run("megatron-blend:buckets=1,rows=sequence,mode=link,weights=equal", "000100000", NULL,
              FORCE));
    check_text("out.blend", "1 out-q1-2\n");
    /* Documents without tokens have nothing to share by. */
    s = make_set(8, false);
    memset(s.length, 0, sizeof s.length);
    memset(s.offset, 0, sizeof s.offset);
    put_set("b", &s);
    ck_ok(run("megatron-blend:buckets=1,mode=link,weights=equal", "001001000", NULL, FORCE));
    check_text("out.blend", "0.5 out-q1-1\n0.5 out-q1-2\n");
}
END_TEST

/* --- bad input ------------------------------------------------------------------------------ */

START_TEST(what_cannot_be_one_is_refused)
{
    set s = make_both(8, true);
    s = make_set(4, true);
    put_set("b", &s);
    ck_fails(run("megatron", "111111111", NULL, PLAIN), TAMIS_ERR_FORMAT,
             "'b.idx' has tokens of type int32, 'a.idx' of uint16");
    ck_ok(run("megatron:mode=link", "111111111", NULL, PLAIN));
    check_links("out-2", "b", "012345678", "0233679");
    s = make_set(8, false);
    put_set("b", &s);
    ck_fails(run("megatron", "111111111", NULL, FORCE), TAMIS_ERR_FORMAT,
             "'a.idx' has modes of its sequences (multimodal), 'b.idx' has none");
    ck_fails(run("megatron-blend:buckets=1", "111111111", NULL, FORCE), TAMIS_ERR_FORMAT,
             "'b.idx' has none");
    shell("rm -f out*");
    put("b.bin", "x");
    ck_fails(run("megatron", "111111111", NULL, PLAIN), TAMIS_ERR_FORMAT, "'b.bin' has 1 bytes");
    shell("rm b.bin");
    ck_fails(run("megatron", "111111111", NULL, PLAIN), TAMIS_ERR_IO, "cannot open 'b.bin'");
    ck_assert_int_eq(count_files(), 5);
}
END_TEST

START_TEST(own_inputs)
{
    make_both(8, false);
    ck_fails(
        run("megatron", "111111", NULL, (tamis_manifest_params){.output = "b.bin", .force = true}),
        TAMIS_ERR_ARG, "own input");
    shell("cp in.idx out-2.idx; cp in.bin out-2.bin");
    ck_fails(run("megatron:mode=link", "111111111", NULL,
                 (tamis_manifest_params){
                     .input = (const char *const[]){"a", "out-2"}, .inputs = 2, .force = true}),
             TAMIS_ERR_ARG, "own input");
}
END_TEST

/* More inputs than are kept open. */
START_TEST(many_inputs)
{
    enum { MANY = 70 };
    char name[MANY][8];
    const char *input[MANY];
    char keep[6 * MANY + 1];
    bytes tokens;
    for (int i = 0; i < MANY; i++) {
        set s = make_set(8, false);
        snprintf(name[i], sizeof name[i], "m%d", i);
        input[i] = name[i];
        put_set(name[i], &s);
        memcpy(keep + (size_t)(6 * i), i % 7 ? "000000" : "000010", 7);
    }
    ck_ok(run("megatron", keep, NULL, (tamis_manifest_params){.input = input, .inputs = MANY}));
    set out = get_set("out", &tokens);
    ck_assert_uint_eq(out.sequences, 10);
    ck_assert_uint_eq(out.documents, 10);
    free(tokens.data);
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

static void fail_each(const char *format, void (*arm)(long n))
{
    bool done = false;
    for (long n = 0; !done; n++) {
        ck_assert_int_lt(n, 500);
        tamis_manifest_params params = {
            .dropped = "rest", .format = format, .input = both, .inputs = 2, .output = "out"};
        tamis_selection *selection = make_selection("101001", NULL);
        params.selection = selection;
        arm(n);
        tamis_status status = tamis_manifest_write(context, &params, NULL, &err);
        arm(-1);
        tamis_selection_free(&selection);
        done = status == TAMIS_OK;
        if (done) break;
        ck_assert(err.message[0] != '\0');
        ck_assert_msg(count_files() == 6, "%s: failure %ld leaves files (%s)", format, n,
                      err.message);
    }
    shell("rm -f out* rest*");
}

START_TEST(failures_leave_nothing)
{
    static const char *const format[] = {
        "megatron", "megatron:mode=link", "megatron:mode=link,link=hard",
        "megatron-blend:buckets=2,weights=1/2", "megatron-blend:buckets=2,mode=link,weights=1/2"};
    make_both(8, true);
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        fail_each(format[i], tamis__fault_io_after);
        fail_each(format[i], tamis__fault_memory_after);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest megatron_inputs");
    TCase *tcase = tcase_create("several inputs");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, pieces_are_the_whole);
    tcase_add_test(tcase, counts_go_by_input);
    tcase_add_test(tcase, digests_go_on);
    tcase_add_test(tcase, links_are_one_set_for_each_input);
    tcase_add_test(tcase, links_in_any_order);
    tcase_add_test(tcase, links_again);
    tcase_add_test(tcase, blends);
    tcase_add_test(tcase, a_weight_is_shared_by_tokens);
    tcase_add_test(tcase, what_cannot_be_one_is_refused);
    tcase_add_test(tcase, own_inputs);
    tcase_add_test(tcase, many_inputs);
    tcase_add_test(tcase, failures_leave_nothing);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
