/* Kaldi directories: what is written of them against plain loops over lines, `sort -c`, and hostile
 * input.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/mem.h"
#include "manifest/kaldi_set.h"
#include "manifest_files.h"

/* --- what is logged -------------------------------------------------------------------------- */

static tamis_context *context;
static char warnings[4096];

static void keep_warning(void *cookie, tamis_log_level level, const char *line)
{
    size_t used = strlen(warnings);
    (void)cookie;
    if (level == TAMIS_LOG_WARNING) snprintf(warnings + used, sizeof warnings - used, "%s\n", line);
}

static void setup(void)
{
    enter_scratch();
    *warnings = '\0';
    tamis_context_params params = {.threads = 1, .log = keep_warning};
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static void make_example(void)
{
    ck_assert_int_eq(mkdir("in", 0777), 0);
    put("in/utt2spk", "a-1 a\na-2 a\nb-1 b\nc-1 B\n");
    put("in/text", "a-1 ONE  TWO\na-2 \xff\nb-1\nc-1 x y");
    put("in/segments", "a-1 r2 0.0 1\na-2 r2 1 2.50\nb-1 r1 0 1\nc-1 r3 0 -1\n");
    put("in/wav.scp", "r1 sox a.wav |\nr2 /d/b.wav\nr3 /d/c.wav\nr4 /d/d.wav\n");
    put("in/spk2utt", "stale\n");
    put("in/spk2gender", "B f\na m\nb f\n");
    put("in/reco2dur", "r1 1\nr2 2\nr3 3\n");
    put("in/frame_shift", "0.01");
    put("in/README", "not a table\n");
}

/* --- writing into a plain directory --------------------------------------------------------- */

enum { WHOLE = 120 }; /* utterances at most */

static tamis_status open_plain(void *arg, const char *name, tamis__output *ret_output,
                               tamis_error *error)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    return tamis__output_open(ret_output, NULL, path, true, error);
}

static tamis_status write_parts(const char *const *in, size_t n, const char *keep, uint16_t wanted,
                                char *to, uint64_t *ret_records)
{
    tamis__kaldi_set set = {0};
    tamis__kaldi_sink sink = {.arg = to, .open = open_plain};
    uint16_t part[WHOLE];
    uint64_t records = 0, size = 0, dry_records = 0, dry_size = 0;
    for (size_t i = 0; keep[i]; i++) part[i] = keep[i] == '1' ? 0 : 1;
    tamis_status status = tamis__kaldi_set_open(&set, context, in, n, NULL, &err);
    if (status == TAMIS_OK) ck_assert_uint_eq(set.rows, strlen(keep));
    if (status == TAMIS_OK) status = tamis__kaldi_join(&set, &err);
    if (status == TAMIS_OK)
        status = tamis__kaldi_write(&set, part, wanted, &sink, &records, &size, &err);
    if (status == TAMIS_OK)
        status = tamis__kaldi_write(&set, part, wanted, NULL, &dry_records, &dry_size, &err);
    tamis__kaldi_set_close(&set);
    if (status != TAMIS_OK) return status;
    ck_assert_uint_eq(records, dry_records);
    ck_assert_uint_eq(size, dry_size);
    *ret_records = records;
    return TAMIS_OK;
}

static tamis_status write_part(const char *keep, uint16_t wanted, char *to, uint64_t *ret_records)
{
    static const char *const in[] = {"in"};
    return write_parts(in, 1, keep, wanted, to, ret_records);
}

START_TEST(a_part_has_its_lines_only)
{
    uint64_t records;
    make_example();
    ck_assert_int_eq(mkdir("out", 0777), 0);
    ck_ok(write_part("0101", 0, "out", &records));
    ck_assert_uint_eq(records, 2);
    check_text("out/utt2spk", "a-2 a\nc-1 B\n");
    check_text("out/text", "a-2 \xff\nc-1 x y\n");
    check_text("out/segments", "a-2 r2 1 2.50\nc-1 r3 0 -1\n");
    check_text("out/wav.scp", "r2 /d/b.wav\nr3 /d/c.wav\n");
    check_text("out/spk2utt", "B c-1\na a-2\n");
    check_text("out/spk2gender", "B f\na m\n");
    check_text("out/reco2dur", "r2 2\nr3 3\n");
    check_text("out/frame_shift", "0.01");
    ck_assert(!exists("out/README"));
    ck_assert_int_eq(mkdir("rest", 0777), 0);
    ck_ok(write_part("0101", 1, "rest", &records));
    check_text("rest/utt2spk", "a-1 a\nb-1 b\n");
    check_text("rest/wav.scp", "r1 sox a.wav |\nr2 /d/b.wav\n");
    check_text("rest/spk2utt", "a a-1\nb b-1\n");
    ck_assert_int_eq(
        system("for f in out/*2* out/*.scp out/text out/segments rest/*2* rest/*.scp; do "
               "LC_ALL=C sort -c -u -k1,1 $f || exit 1; done"),
        0);
}
END_TEST

START_TEST(nothing_and_all)
{
    uint64_t records;
    make_example();
    ck_assert_int_eq(mkdir("none", 0777), 0);
    ck_assert_int_eq(mkdir("all", 0777), 0);
    ck_ok(write_part("0000", 0, "none", &records));
    ck_assert_uint_eq(records, 0);
    check_text("none/utt2spk", "");
    check_text("none/spk2utt", "");
    check_text("none/wav.scp", "");
    ck_ok(write_part("1111", 0, "all", &records));
    check_text("all/utt2spk", "a-1 a\na-2 a\nb-1 b\nc-1 B\n");
    check_text("all/wav.scp", "r1 sox a.wav |\nr2 /d/b.wav\nr3 /d/c.wav\n");
    check_text("all/spk2utt", "B c-1\na a-1 a-2\nb b-1\n");
}
END_TEST

START_TEST(without_segments_recordings_are_utterances)
{
    uint64_t records;
    ck_assert_int_eq(mkdir("in", 0777), 0);
    ck_assert_int_eq(mkdir("out", 0777), 0);
    put("in/text", "u1 a\nu2 b\nu3 c\n");
    put("in/wav.scp", "u1 1.wav\nu2 2.wav\nu3 3.wav\n");
    put("in/spk2gender", "s m\n");
    ck_ok(write_part("101", 0, "out", &records));
    check_text("out/text", "u1 a\nu3 c\n");
    check_text("out/wav.scp", "u1 1.wav\nu3 3.wav\n");
    ck_assert(!exists("out/spk2utt"));
    ck_assert(!exists("out/spk2gender"));
}
END_TEST

/* --- several directories -------------------------------------------------------------------- */

static const char *const pair[] = {"a", "b"};

static void make_pair(void)
{
    ck_assert_int_eq(mkdir("a", 0777) | mkdir("b", 0777) | mkdir("out", 0777), 0);
    put("a/utt2spk", "s1-b s1\ns2-a s2\ns4-a s4\n");
    put("a/text", "s1-b A B\ns2-a  C\ns4-a d");
    put("a/segments", "s1-b r2 0.0 1\ns2-a r2 1 2.50\ns4-a shared 0 1\n");
    put("a/wav.scp", "r2 sox a.wav |\nshared /d/s.wav\n");
    put("a/spk2gender", "s1 m\ns2 f\ns4 f\n");
    put("b/utt2spk", "s1-a s1\ns3-a s3\n");
    put("b/text", "s1-a x\ns3-a y\n");
    put("b/segments", "s1-a shared 4 5\ns3-a r1 0 1\n");
    put("b/wav.scp", "r1 /d/1.wav\nshared /d/s.wav\n");
    put("b/spk2gender", "s1 m\ns3 m\n");
}

static void remake_pair(void)
{
    ck_assert_int_eq(system("rm -rf a b out"), 0);
    *warnings = '\0';
    make_pair();
}

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

static const char sorted[] = "for f in out/*2* out/*.scp out/text out/segments; do test ! -e $f || "
                             "LC_ALL=C sort -c -u -k1,1 $f || exit 1; done";

/* All of both is what utils/combine_data.sh makes: lines of both sorted, those of one name once. */
START_TEST(two_directories_become_one)
{
    uint64_t records;
    make_pair();
    ck_ok(write_parts(pair, 2, "11111", 0, "out", &records));
    ck_assert_uint_eq(records, 5);
    shell("echo >> a/text; export LC_ALL=C; for f in utt2spk text segments wav.scp spk2gender; do "
          "cat a/$f b/$f | sort -k1 | sort -k1,1 -u | cmp - out/$f || exit 1; done");
    check_text("out/spk2utt", "s1 s1-a s1-b\ns2 s2-a\ns3 s3-a\ns4 s4-a\n");
    shell(sorted);
    ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(a_part_of_two_directories)
{
    uint64_t records;
    make_pair();
    ck_ok(write_parts(pair, 2, "10001", 0, "out", &records));
    ck_assert_uint_eq(records, 2);
    check_text("out/utt2spk", "s1-b s1\ns3-a s3\n");
    check_text("out/wav.scp", "r1 /d/1.wav\nr2 sox a.wav |\n");
    check_text("out/spk2gender", "s1 m\ns3 m\n");
    check_text("out/spk2utt", "s1 s1-b\ns3 s3-a\n");
    ck_ok(write_parts(pair, 2, "10001", 1, "out", &records));
    check_text("out/text", "s1-a x\ns2-a  C\ns4-a d\n");
    check_text("out/wav.scp", "r2 sox a.wav |\nshared /d/s.wav\n");
    shell(sorted);
}
END_TEST

START_TEST(files_that_some_lack)
{
    uint64_t records;
    make_pair();
    shell("rm b/text b/segments");
    put("a/utt2uniq", "s1-b x\ns2-a x\ns4-a y\n");
    put("a/frame_shift", "0.01\n");
    put("b/utt2dur", "s1-a 2.5\ns3-a 3\n");
    put("b/wav.scp", "s1-a 1.wav\ns3-a 2.wav\n");
    ck_ok(write_parts(pair, 2, "11111", 0, "out", &records));
    ck_assert(!exists("out/text") && !exists("out/utt2dur"));
    ck_assert_ptr_nonnull(strstr(warnings, "'b' has no text, but 'a' has: none is written"));
    ck_assert_ptr_nonnull(strstr(warnings, "'a' has no utt2dur, but 'b' has: none is written"));
    ck_assert_ptr_nonnull(strstr(warnings, "'b' has no frame_shift, and that of 'a'"));
    check_text("out/segments", "s1-a s1-a 0 2.5\ns1-b r2 0.0 1\ns2-a r2 1 2.50\ns3-a s3-a 0 3\n"
                               "s4-a shared 0 1\n");
    check_text("out/utt2uniq", "s1-a s1-a\ns1-b x\ns2-a x\ns3-a s3-a\ns4-a y\n");
    check_text("out/wav.scp", "r2 sox a.wav |\ns1-a 1.wav\ns3-a 2.wav\nshared /d/s.wav\n");
    check_text("out/frame_shift", "0.01\n");
    shell(sorted);
    put("b/frame_shift", "0.01"); /* the same, but for the line end */
    *warnings = '\0';
    ck_ok(write_parts(pair, 2, "00011", 0, "out", &records));
    check_text("out/segments", "s1-a s1-a 0 2.5\ns3-a s3-a 0 3\n");
    ck_assert_ptr_null(strstr(warnings, "frame_shift"));
}
END_TEST

static void refuse_pair(const char *file, const char *text, const char *wanted)
{
    uint64_t records;
    remake_pair();
    if (text)
        put(file, text);
    else
        ck_assert_int_eq(unlink(file), 0);
    ck_fails(write_parts(pair, 2, "11111", 0, "out", &records), TAMIS_ERR_FORMAT, wanted);
}

START_TEST(what_cannot_be_one_is_refused)
{
    static const char *const twice[] = {"a", "b", "a"};
    uint64_t records;
    make_pair();
    shell("sed -i s/s3-a/s2-a/ b/*");
    ck_fails(write_parts(pair, 2, "11111", 0, "out", &records), TAMIS_ERR_FORMAT,
             "'b/utt2spk' has an utterance 's2-a', and so has 'a/utt2spk': one directory cannot");
    refuse_pair("b/wav.scp", "r1 /d/1.wav\nshared /d/t.wav\n",
                "'b/wav.scp' line 2: 'shared' differs from that of 'a/wav.scp' line 2");
    refuse_pair("b/spk2gender", "s1 f\ns3 m\n",
                "'b/spk2gender' line 1: 's1' differs from that of 'a/spk2gender' line 1");
    refuse_pair("b/segments", NULL, "'b' has no segments, but 'a' has, and no utt2dur");
    refuse_pair("b/wav.scp", "r2 /d/1.wav\n", "'b/wav.scp' has no line for recording 'r1'");
    remake_pair();
    ck_fails(write_parts(twice, 3, "11111111", 0, "out", &records), TAMIS_ERR_FORMAT,
             "'a/utt2spk' has an utterance 's1-b', and so has 'a/utt2spk'");
    /* Nobody asks for the recording and the speaker that the two disagree about. */
    put("b/wav.scp", "r1 /d/1.wav\nshared /d/t.wav\n");
    put("b/spk2gender", "s1 f\ns3 m\n");
    ck_ok(write_parts(pair, 2, "11101", 0, "out", &records));
    check_text("out/wav.scp", "r1 /d/1.wav\nr2 sox a.wav |\nshared /d/s.wav\n");
}
END_TEST

START_TEST(mixed_kinds_are_refused)
{
    tamis__kaldi_set set = {0};
    uint64_t records;
    make_pair();
    put("a/frame_shift", "0.01\n");
    put("b/frame_shift", "0.03\n");
    ck_fails(write_parts(pair, 2, "11111", 0, "out", &records), TAMIS_ERR_FORMAT,
             "'a/frame_shift' and 'b/frame_shift' differ");
    shell("rm b/segments b/frame_shift");
    put("b/utt2dur", "s1-a 2\n");
    ck_fails(write_parts(pair, 2, "11111", 0, "out", &records), TAMIS_ERR_FORMAT,
             "'b/utt2dur' has no line for 's3-a'");
    put("b/utt2dur", "s1-a 2\ns3-a\n");
    ck_fails(write_parts(pair, 2, "11111", 0, "out", &records), TAMIS_ERR_FORMAT,
             "'b/utt2dur' line 2: must be");
    shell("rm a/utt2spk b/utt2dur a/segments");
    ck_fails(tamis__kaldi_set_open(&set, context, pair, 2, "utt2spk", &err), TAMIS_ERR_IO,
             "'a' has no file 'utt2spk'");
    tamis__kaldi_set_close(&set);
    ck_ok(tamis__kaldi_set_open(&set, context, pair, 2, "text", &err));
    ck_fails(tamis__kaldi_join(&set, &err), TAMIS_ERR_FORMAT,
             "'a' has no utt2spk, but 'b' has: every directory needs one");
    tamis__kaldi_set_close(&set);
}
END_TEST

START_TEST(an_order_that_only_both_break)
{
    uint64_t records;
    make_pair();
    put("a/utt2spk", "s1-b z\ns2-a z\ns4-a z\n");
    put("a/spk2gender", "z m\n");
    ck_ok(write_parts(pair, 2, "11111", 0, "out", &records));
    ck_assert_ptr_nonnull(strstr(warnings, "order of speakers"));
    ck_assert_ptr_nonnull(strstr(warnings, "'s1-b' comes too early"));
    *warnings = '\0';
    ck_ok(write_parts(pair, 2, "11100", 0, "out", &records));
    ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(rows_go_on_from_one_to_the_next)
{
    static const char *const ids[] = {"s1-b", "s2-a", "s4-a", "s1-a", "s3-a"};
    static const char *const other[] = {"s1-b", "s2-a", "s4-a", "s1-a", "s3-b"};
    tamis_manifest_result result;
    make_pair();
    shell("rmdir out");
    tamis_selection *s = make_selection("01011", &(tamis_examples){.id_text = ids});
    tamis_manifest_params p = {.selection = s,
                               .format = "kaldi",
                               .input = pair,
                               .inputs = 2,
                               .output = "out",
                               .dropped = "rest"};
    ck_ok(tamis_manifest_write(context, &p, &result, &err));
    ck_assert(result.records == 5 && result.input_records[0] == 3 && result.input_records[1] == 2);
    ck_assert(result.ids_checked && result.written == 3 && result.dropped == 2);
    tamis_manifest_result_fini(&result);
    check_text("out/text", "s1-a x\ns2-a  C\ns3-a y\n");
    check_text("rest/text", "s1-b A B\ns4-a d\n");
    p.format = "kaldi:mode=list";
    p.output = "list";
    p.dropped = NULL;
    ck_ok(tamis_manifest_write(context, &p, NULL, &err));
    check_text("list", "s2-a\ns1-a\ns3-a\n"); /* in the order of rows */
    for (uint64_t row = 0; row < 5; row++) s->rank[row] = 4 - row;
    p.order = TAMIS_MANIFEST_SCORE;
    p.force = true;
    ck_ok(tamis_manifest_write(context, &p, NULL, &err));
    check_text("list", "s3-a\ns1-a\ns2-a\n");
    tamis_selection_free(&s);
    p.selection = s = make_selection("01011", &(tamis_examples){.id_text = other});
    ck_fails(tamis_manifest_write(context, &p, NULL, &err), TAMIS_ERR_FORMAT,
             "'b/utt2spk' line 2: utterance 's3-a' is not the selection's row 4");
    tamis_selection_free(&s);
    p.selection = s = make_selection("0101", NULL);
    ck_fails(tamis_manifest_write(context, &p, NULL, &err), TAMIS_ERR_SHAPE,
             "'a/utt2spk' and 1 more have 5 utterances, the selection 4 candidates");
    tamis_selection_free(&s);
}
END_TEST

/* Cut a directory into three at random, and write a part of these: the same bytes as the same
 * utterances of the whole directory. */
static void put_random(unsigned *state, int *of)
{
    static const char *const where[] = {"in", "d0", "d1", "d2"};
    FILE *file[4][4];
    static const char *const names[] = {"utt2spk", "segments", "wav.scp", "spk2gender"};
    for (int d = 0; d < 4; d++)
        for (int f = 0; f < 4; f++) {
            char path[64];
            snprintf(path, sizeof path, "%s/%s", where[d], names[f]);
            ck_assert_ptr_nonnull(file[d][f] = fopen(path, "w"));
        }
    for (int u = 0; u < WHOLE; u++) {
        of[u] = 1 + rand_r(state) % 3;
        int recording = rand_r(state) % 20;
        for (int d = 0; d < 4; d += of[u]) {
            fprintf(file[d][0], "s%02d-%03d s%02d\n", u / 8, u, u / 8);
            fprintf(file[d][1], "s%02d-%03d r%02d %d %d\n", u / 8, u, recording, u, u + 1);
            if (d == of[u]) break;
        }
    }
    for (int d = 0; d < 4; d++) { /* all of the names everywhere: more than is used */
        for (int r = 0; r < 20; r++) fprintf(file[d][2], "r%02d /x/%d.wav\n", r, r);
        for (int s = 0; s < WHOLE / 8; s++) fprintf(file[d][3], "s%02d %c\n", s, s % 2 ? 'm' : 'f');
        for (int f = 0; f < 4; f++) ck_assert_int_eq(fclose(file[d][f]), 0);
    }
}

START_TEST(pieces_are_the_whole)
{
    static const char *const pieces[] = {"d0", "d1", "d2"};
    unsigned state = 11;
    uint64_t records, one;
    shell("mkdir in d0 d1 d2 out one");
    for (int round = 0; round < 20; round++) {
        int of[WHOLE], n = 0;
        char keep[WHOLE + 1] = "", cut[WHOLE + 1] = "";
        put_random(&state, of);
        for (int u = 0; u < WHOLE; u++) keep[u] = rand_r(&state) % (round + 2) ? '1' : '0';
        for (int d = 1; d < 4; d++)
            for (int u = 0; u < WHOLE; u++)
                if (of[u] == d) cut[n++] = keep[u];
        ck_ok(write_parts(pieces, 3, cut, 0, "out", &records));
        ck_ok(write_part(keep, 0, "one", &one));
        ck_assert_uint_eq(records, one);
        shell("diff -r out one");
    }
    ck_assert_str_eq(warnings, "");
}
END_TEST

/* --- bad input ------------------------------------------------------------------------------ */

static void refuse(const char *file, const char *text, const char *wanted)
{
    uint64_t records;
    ck_assert_int_eq(system("rm -rf in out"), 0);
    make_example();
    ck_assert_int_eq(mkdir("out", 0777), 0);
    put(file, text);
    ck_fails(write_part("1111", 0, "out", &records), TAMIS_ERR_FORMAT, wanted);
}

START_TEST(bad_directories_are_refused)
{
    refuse("in/utt2spk", "a-2 a\na-1 a\nb-1 b\nc-1 B\n",
           "'in/utt2spk' line 2: 'a-1' comes after 'a-2': sort the file");
    refuse("in/text", "a-1 x\nb-1 x\nb-1 y\n", "'in/text' line 3: 'b-1' is there twice");
    refuse("in/text", "a-1 x\r\nb-1 x\r\n", "'in/text' line 1: ends in a carriage return");
    refuse("in/text",
           "\xef\xbb\xbf"
           "a-1 x\n",
           "'in/text' line 1: a byte order mark");
    refuse("in/text", "a-1 x\n\nb-1 x\n", "'in/text' line 2: blank");
    refuse("in/text", "a-1 x\n b-1 x\n", "'in/text' line 2: a space before the name");
    refuse("in/utt2spk", "a-1 a\na-2\nb-1 b\nc-1 B\n", "'in/utt2spk' line 2: must be");
    refuse("in/utt2spk", "a-1 a\na-2 a b\nb-1 b\nc-1 B\n", "'in/utt2spk' line 2: must be");
    refuse("in/segments", "a-1 r2 0 1\na-2 r2 1 2\nc-1 r3 0 -1\n",
           "'in/segments' has no line for 'b-1', utterance 3 of 'in/utt2spk'");
    refuse("in/segments", "a-1 r2 0 1\na-2 r2 1\nb-1 r1 0 1\nc-1 r3 0 -1\n",
           "'in/segments' line 2: must be");
    refuse("in/wav.scp", "r1 a\nr3 c\n", "'in/wav.scp' has no line for recording 'r2'");
    refuse("in/reco2dur", "r2 1\nr10 1\n", "'in/reco2dur' line 2: 'r10' comes after 'r2'");
}
END_TEST

START_TEST(other_faults)
{
    static const char *const in[] = {"in"};
    tamis__kaldi_set dir = {0};
    bool ids;
    ck_fails(tamis__kaldi_set_open(&dir, NULL, in, 1, NULL, &err), TAMIS_ERR_IO, "'in'");
    tamis__kaldi_set_close(&dir);
    ck_assert_int_eq(mkdir("in", 0777), 0);
    ck_fails(tamis__kaldi_set_open(&dir, NULL, in, 1, NULL, &err), TAMIS_ERR_IO, "no utt2spk");
    tamis__kaldi_set_close(&dir);
    put("in/text", "u1 a\nu2 b\n");
    ck_fails(tamis__kaldi_set_open(&dir, NULL, in, 1, "wav.scp", &err), TAMIS_ERR_ARG,
             "utterances");
    tamis__kaldi_set_close(&dir);
    ck_fails(tamis__kaldi_set_open(&dir, NULL, in, 1, "segments", &err), TAMIS_ERR_IO, "no file");
    tamis__kaldi_set_close(&dir);
    ck_ok(tamis__kaldi_set_open(&dir, NULL, in, 1, "text", &err));
    static const char *const good[] = {"u1", "u2"}, *const other[] = {"u1", "u20"};
    tamis_selection *selection = make_selection("101", NULL);
    ck_fails(tamis__kaldi_compare(&dir, selection, &ids, &err), TAMIS_ERR_SHAPE,
             "'in/text' has 2 utterances, the selection 3 candidates");
    tamis_selection_free(&selection);
    selection = make_selection("10", &(tamis_examples){.id_text = other});
    ck_fails(tamis__kaldi_compare(&dir, selection, &ids, &err), TAMIS_ERR_FORMAT,
             "'in/text' line 2: utterance 'u2' is not the selection's row 1");
    tamis_selection_free(&selection);
    selection = make_selection("10", &(tamis_examples){.id_text = good});
    ck_ok(tamis__kaldi_compare(&dir, selection, &ids, &err));
    ck_assert(ids);
    tamis_selection_free(&selection);
    selection = make_selection("10", NULL);
    ck_ok(tamis__kaldi_compare(&dir, selection, &ids, &err));
    ck_assert(!ids);
    tamis_selection_free(&selection);
    tamis__kaldi_set_close(&dir);
}
END_TEST

/* Mutated tables: whatever is taken passes `sort`'s rule, here in a plain loop, and all its bytes
 * come back line by line. */
START_TEST(mutated_tables_are_taken_only_when_sorted)
{
    static const char seed[] = "a 1\nab x y\nb\t2\nba \nc 3\n";
    static const char alphabet[] = "abc \t\n\r\xff";
    unsigned state = 3;
    int taken = 0;
    for (int round = 0; round < 60000; round++) {
        size_t size = sizeof seed - 1, used = 0;
        char text[sizeof seed], *copy;
        memcpy(text, seed, sizeof seed);
        for (int k = rand_r(&state) % 3; k >= 0; k--) {
            size_t at = (size_t)rand_r(&state) % size;
            if (rand_r(&state) % 2)
                text[at] = alphabet[(size_t)rand_r(&state) % (sizeof alphabet - 1)];
            else
                memmove(text + at, text + at + 1, size-- - at);
        }
        copy = memcpy(malloc(size), text, size);
        tamis__kaldi_table table;
        tamis__kaldi_line line, before = {.line = 0};
        tamis__kaldi_start(&table, "t", copy, size);
        tamis_status status;
        while ((status = tamis__kaldi_next(&table, &line, &err)) == TAMIS_OK && line.data) {
            ck_assert_ptr_eq(line.data, copy + used);
            ck_assert(line.name.size && line.name.size <= line.size);
            if (before.data) ck_assert_int_lt(tamis__name_compare(&before.name, &line.name), 0);
            ck_assert_ptr_eq(tamis__kaldi_field(&line, 0).data, line.data);
            (void)tamis__kaldi_field(&line, 4);
            used += line.size + line.ended;
            before = line;
        }
        if (status == TAMIS_OK) ck_assert_uint_eq(used, size);
        if (status != TAMIS_OK) ck_assert_int_eq(strncmp(err.message, "'t' line ", 9), 0);
        taken += status == TAMIS_OK;
        free(copy);
    }
    ck_assert_int_gt(taken, 1000);
    ck_assert_int_lt(taken, 59000);
}
END_TEST

START_TEST(every_allocation_and_write_may_fail)
{
    make_example();
    make_pair();
    for (int round = 0; round < 4; round++) {
        bool io = round % 2;
        long n = 0;
        uint64_t records;
        tamis_status status;
        do {
            (io ? tamis__fault_io_after : tamis__fault_memory_after)(n++);
            status = round < 2 ? write_part("0110", 0, "out", &records)
                               : write_parts(pair, 2, "01101", 0, "out", &records);
            (io ? tamis__fault_io_after : tamis__fault_memory_after)(-1);
            if (status != TAMIS_OK) ck_assert(err.message[0] != '\0');
            ck_assert_int_eq(system("ls out | grep -q part && exit 1 || exit 0"), 0);
        } while (status != TAMIS_OK && n < 300);
        ck_assert_int_gt(n, 5);
        ck_assert_int_lt(n, 300);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kaldi");
    TCase *tcase = tcase_create("directories");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_part_has_its_lines_only);
    tcase_add_test(tcase, nothing_and_all);
    tcase_add_test(tcase, without_segments_recordings_are_utterances);
    tcase_add_test(tcase, two_directories_become_one);
    tcase_add_test(tcase, a_part_of_two_directories);
    tcase_add_test(tcase, files_that_some_lack);
    tcase_add_test(tcase, what_cannot_be_one_is_refused);
    tcase_add_test(tcase, mixed_kinds_are_refused);
    tcase_add_test(tcase, an_order_that_only_both_break);
    tcase_add_test(tcase, rows_go_on_from_one_to_the_next);
    tcase_add_test(tcase, pieces_are_the_whole);
    tcase_add_test(tcase, bad_directories_are_refused);
    tcase_add_test(tcase, other_faults);
    tcase_add_test(tcase, mutated_tables_are_taken_only_when_sorted);
    tcase_add_test(tcase, every_allocation_and_write_may_fail);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
