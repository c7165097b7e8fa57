/* Kaldi directories: what is written of them against plain loops over lines, `sort -c`, and hostile
 * input.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/mem.h"
#include "manifest/kaldi_dir.h"
#include "manifest_files.h"

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

static tamis_status open_plain(void *arg, const char *name, tamis__output *ret_output,
                               tamis_error *error)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    return tamis__output_open(ret_output, NULL, path, true, error);
}

static tamis_status write_part(const char *keep, uint16_t wanted, char *to, uint64_t *ret_records)
{
    tamis__kaldi_dir dir = {0};
    tamis__kaldi_sink sink = {.arg = to, .open = open_plain};
    uint16_t part[64];
    uint64_t records = 0, size = 0, dry_records = 0, dry_size = 0;
    for (size_t i = 0; keep[i]; i++) part[i] = keep[i] == '1' ? 0 : 1;
    tamis_status status = tamis__kaldi_open(&dir, NULL, "in", NULL, &err);
    if (status == TAMIS_OK) ck_assert_uint_eq(dir.rows, strlen(keep));
    if (status == TAMIS_OK)
        status = tamis__kaldi_write(&dir, part, wanted, &sink, &records, &size, &err);
    if (status == TAMIS_OK)
        status = tamis__kaldi_write(&dir, part, wanted, NULL, &dry_records, &dry_size, &err);
    tamis__kaldi_close(&dir);
    if (status != TAMIS_OK) return status;
    ck_assert_uint_eq(records, dry_records);
    ck_assert_uint_eq(size, dry_size);
    *ret_records = records;
    return TAMIS_OK;
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
    tamis__kaldi_dir dir = {0};
    bool ids;
    ck_fails(tamis__kaldi_open(&dir, NULL, "in", NULL, &err), TAMIS_ERR_IO, "'in'");
    tamis__kaldi_close(&dir);
    ck_assert_int_eq(mkdir("in", 0777), 0);
    ck_fails(tamis__kaldi_open(&dir, NULL, "in", NULL, &err), TAMIS_ERR_IO, "no utt2spk");
    tamis__kaldi_close(&dir);
    put("in/text", "u1 a\nu2 b\n");
    ck_fails(tamis__kaldi_open(&dir, NULL, "in", "wav.scp", &err), TAMIS_ERR_ARG, "utterances");
    tamis__kaldi_close(&dir);
    ck_fails(tamis__kaldi_open(&dir, NULL, "in", "segments", &err), TAMIS_ERR_IO, "no file");
    tamis__kaldi_close(&dir);
    ck_ok(tamis__kaldi_open(&dir, NULL, "in", "text", &err));
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
    tamis__kaldi_close(&dir);
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
    ck_assert_int_eq(mkdir("out", 0777), 0);
    for (int io = 0; io < 2; io++) {
        long n = 0;
        uint64_t records;
        tamis_status status;
        do {
            (io ? tamis__fault_io_after : tamis__fault_memory_after)(n++);
            status = write_part("0110", 0, "out", &records);
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
    tcase_add_checked_fixture(tcase, enter_scratch, leave_scratch);
    tcase_add_test(tcase, a_part_has_its_lines_only);
    tcase_add_test(tcase, nothing_and_all);
    tcase_add_test(tcase, without_segments_recordings_are_utterances);
    tcase_add_test(tcase, bad_directories_are_refused);
    tcase_add_test(tcase, other_faults);
    tcase_add_test(tcase, mutated_tables_are_taken_only_when_sorted);
    tcase_add_test(tcase, every_allocation_and_write_may_fail);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
