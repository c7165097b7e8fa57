/* Manifests: byte identity, complements, hostile input, mismatches and failures.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <tamis/manifest.h>

#include "base/digest.h"
#include "base/mem.h"
#include "import/records.h"
#include "manifest_files.h"

/* Only the numbers are left of it. */
static void forget_files(tamis_manifest_result *result)
{
    tamis_manifest_result numbers = *result;
    tamis_manifest_result_fini(result);
    numbers.file = NULL;
    numbers.files = 0;
    numbers.input_records = NULL;
    numbers.inputs = 0;
    *result = numbers;
}

/* Filter `in` with digests from its own records; outputs are "out" and, with `both`, "rest". */
static tamis_manifest_result filter(const char *format, tamis__records_kind kind, const char *in,
                                    const char *keep, bool both)
{
    size_t n;
    bytes source = get(in);
    uint64_t *digest = digests_of(kind, source.data, source.size, &n);
    ck_assert_uint_eq(n, strlen(keep));
    tamis_selection *selection = make_selection(keep, &(tamis_examples){.digest = digest});
    tamis_manifest_result result;
    ck_ok(tamis_manifest_write(NULL,
                               &(tamis_manifest_params){.selection = selection,
                                                        .format = format,
                                                        .input = (const char *const[]){in},
                                                        .inputs = (in) != NULL,
                                                        .output = "out",
                                                        .dropped = both ? "rest" : NULL,
                                                        .force = true},
                               &result, &err));
    forget_files(&result);
    ck_assert(result.digests_checked);
    ck_assert_uint_eq(result.records, n);
    ck_assert_uint_eq(result.kept + result.dropped, n);
    ck_assert_uint_eq(result.bytes_in, source.size);
    tamis_selection_free(&selection);
    free(digest);
    free(source.data);
    return result;
}

static void filter_text(const char *format, const char *text, const char *keep, const char *kept,
                        const char *dropped)
{
    tamis__records_kind kind = !strcmp(format, "jsonl") ? TAMIS__RECORDS_JSONL
                               : !strcmp(format, "tsv") ? TAMIS__RECORDS_TSV
                                                        : TAMIS__RECORDS_CSV;
    put("in", text);
    tamis_manifest_result result = filter(format, kind, "in", keep, true);
    check_text("out", kept);
    check_text("rest", dropped);
    ck_assert_uint_eq(result.bytes_out, strlen(kept));
    ck_assert_uint_eq(result.bytes_dropped, strlen(dropped));
}

/* --- records -------------------------------------------------------------------------------- */

START_TEST(lines_are_kept_byte_for_byte)
{
    filter_text("jsonl", "{\"a\":1}\n{ \"a\" : 2 }\n{\"a\":3}\n", "101", "{\"a\":1}\n{\"a\":3}\n",
                "{ \"a\" : 2 }\n");
    filter_text("jsonl", "a\r\nb\nc\r\n", "110", "a\r\nb\n", "c\r\n");
    filter_text("jsonl", "caf\xc3\xa9\n\xff\xfe\x80 broken\n\xc3\n", "011",
                "\xff\xfe\x80 broken\n\xc3\n", "caf\xc3\xa9\n");
    filter_text("jsonl", "a\n\n \t\nb\n\nc\n", "111", "a\nb\nc\n", "");
    filter_text("jsonl", "a\n\nb\nc\n", "010", "b\n", "a\nc\n");
    filter_text("jsonl",
                "\xef\xbb\xbf"
                "a\nb\n",
                "01",
                "\xef\xbb\xbf"
                "b\n",
                "\xef\xbb\xbf"
                "a\n");
}
END_TEST

START_TEST(csv_records_may_span_lines)
{
    filter_text("csv", "t,l\n\"a\nb\",0\n\"c \"\"q\"\", d\",1\n,\ne,2\n", "1010",
                "t,l\n\"a\nb\",0\n,\n", "t,l\n\"c \"\"q\"\", d\",1\ne,2\n");
    filter_text("csv", "t,l\r\n\"a\r\nb\",0\r\nc,1\r\n", "01", "t,l\r\nc,1\r\n",
                "t,l\r\n\"a\r\nb\",0\r\n");
    filter_text("csv", "\xef\xbb\xbft,l\na,0\nb,1\n", "10", "\xef\xbb\xbft,l\na,0\n",
                "\xef\xbb\xbft,l\nb,1\n");
    filter_text("csv", "t\na 6\" nail\nb\"\"\"c\n\"\"\nd\"\n", "1001", "t\na 6\" nail\nd\"\n",
                "t\nb\"\"\"c\n\"\"\n");
    filter_text("csv", "t,l\n\na,0\n\n\nb,1\n", "11", "t,l\na,0\nb,1\n", "t,l\n");
    filter_text("tsv", "t\tl\n\"a\tb\nc\"\t0\nd,e\t1\n", "01", "t\tl\nd,e\t1\n",
                "t\tl\n\"a\tb\nc\"\t0\n");
}
END_TEST

START_TEST(missing_last_newline_is_completed)
{
    filter_text("jsonl", "a\nb\nc", "101", "a\nc\n", "b\n");
    filter_text("jsonl", "a\nb\nc", "010", "b\n", "a\nc\n");
    filter_text("jsonl", "a\r\nb\r\nc", "001", "c\r\n", "a\r\nb\r\n");
    filter_text("jsonl", "a\nb\r\nc", "110", "a\nb\r\n", "c\r\n");
    filter_text("jsonl", "a", "1", "a\n", "");
    filter_text("jsonl", "a", "0", "", "a\n");
    filter_text("jsonl", "a\r\nb\r", "01", "b\r\r\n", "a\r\n");
    filter_text("csv", "t,l\r\na,0\r\n\"b\r\n\",1", "01", "t,l\r\n\"b\r\n\",1\r\n",
                "t,l\r\na,0\r\n");
    filter_text("csv", "t\nb", "1", "t\nb\n", "t\n");
}
END_TEST

/* What was written passes for the source: each record is still itself, and nothing is added. */
START_TEST(completed_files_are_stable)
{
    static const char *const text[] = {"a\nb", "a\r\nb", "a\r\nb\r", "b\r", "\xef\xbb\xbft\nb"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        size_t n;
        uint64_t *digest = digests_of(TAMIS__RECORDS_JSONL, text[i], strlen(text[i]), &n);
        tamis_selection *selection = make_selection(n == 2 ? "11" : "1",
                                                    &(tamis_examples){.digest = digest});
        put("in", text[i]);
        ck_ok(write_manifest(selection, "jsonl", "in", NULL));
        bytes once = get("out");
        ck_assert_int_eq(rename("out", "again"), 0);
        ck_ok(write_manifest(selection, "jsonl", "again", NULL));
        check_file("out", once.data, once.size);
        ck_assert_int_eq(unlink("out"), 0);
        free(once.data);
        free(digest);
        tamis_selection_free(&selection);
    }
}
END_TEST

/* A file of random records with everything that a field may hold. */
static size_t make_random(char *out, size_t room, bool csv, const char *end, unsigned *seed,
                          size_t records)
{
    static const char *const field[] = {
        "", "x", "0.25", "\xff\x80", "\"a,\"\"b\"\"\"", "\"l1\nl2\"", "\"\r\n\"", "5\""};
    size_t used = 0;
    if (csv) used += (size_t)snprintf(out, room, "f,g%s", end);
    for (size_t i = 0; i < records; i++) {
        used += (size_t)snprintf(out + used, room - used, "%zu", i);
        for (unsigned k = (unsigned)rand_r(seed) % 4; k > 0; k--)
            used += (size_t)snprintf(out + used, room - used, ",%s",
                                     field[(unsigned)rand_r(seed) % (csv ? 8 : 4)]);
        used += (size_t)snprintf(out + used, room - used, "%s", end);
    }
    return used;
}

/* Taking the records back from the two outputs in the order of the mask gives the source. */
static void check_merge(tamis__records_kind kind, const bytes *source, const char *keep)
{
    bytes part[2] = {get("rest"), get("out")};
    tamis__records from[2], all;
    tamis__record record, original;
    for (int i = 0; i < 2; i++) tamis__records_init(&from[i], kind, part[i].data, part[i].size);
    tamis__records_init(&all, kind, source->data, source->size);
    for (;;) {
        ck_ok(tamis__records_next(&all, "in", &original, &err));
        if (!original.data) break;
        for (int i = 0; i < 2; i++) {
            if (original.number >= 0 && i != (keep[original.number] == '1')) continue;
            ck_ok(tamis__records_next(&from[i], "part", &record, &err));
            ck_assert_ptr_nonnull(record.data);
            ck_assert_uint_eq(record.span, original.span);
            ck_assert_int_eq(memcmp(record.data, original.data, record.span), 0);
        }
    }
    for (int i = 0; i < 2; i++) {
        ck_ok(tamis__records_next(&from[i], "part", &record, &err));
        ck_assert_ptr_null(record.data);
        free(part[i].data);
    }
}

static void check_random(bool csv, const char *end, unsigned seed)
{
    enum { ROOM = 1 << 20 };
    tamis__records_kind kind = csv ? TAMIS__RECORDS_CSV : TAMIS__RECORDS_JSONL;
    size_t records = 1 + (size_t)rand_r(&seed) % 300;
    bytes source = {.data = malloc(ROOM)};
    char keep[512] = "";
    source.size = make_random(source.data, ROOM, csv, end, &seed, records);
    put_bytes("in", source.data, source.size);
    for (size_t i = 0; i < records; i++) keep[i] = '1';
    filter(csv ? "csv" : "jsonl", kind, "in", keep, true);
    check_file("out", source.data, source.size); /* keep all: the same bytes */
    for (size_t i = 0; i < records; i++) keep[i] = rand_r(&seed) % 3 ? '1' : '0';
    filter(csv ? "csv" : "jsonl", kind, "in", keep, true);
    check_merge(kind, &source, keep);
    free(source.data);
}

START_TEST(kept_and_dropped_are_the_whole)
{
    for (unsigned seed = 1; seed <= 25; seed++) {
        check_random(true, "\n", seed);
        check_random(true, "\r\n", seed);
        check_random(false, "\n", seed);
        check_random(false, "\r\n", seed);
    }
}
END_TEST

START_TEST(huge_records_pass)
{
    enum { HUGE_SIZE = 5 << 20 };
    char *text = malloc(HUGE_SIZE + 64);
    ck_assert_ptr_nonnull(text);
    size_t size = (size_t)sprintf(text, "small\n");
    memset(text + size, 'x', HUGE_SIZE);
    size += HUGE_SIZE;
    size += (size_t)sprintf(text + size, "\nlast\n");
    put_bytes("in", text, size);
    filter("jsonl", TAMIS__RECORDS_JSONL, "in", "010", true);
    check_file("out", text + 6, HUGE_SIZE + 1);
    check_text("rest", "small\nlast\n");
    filter("jsonl", TAMIS__RECORDS_JSONL, "in", "111", false);
    check_file("out", text, size);
    free(text);
}
END_TEST

/* --- other parts ---------------------------------------------------------------------------- */

START_TEST(reasons_are_quoted)
{
    static const char *const ids[] = {"plain", "a,b", "say \"x\"", "two\nlines"};
    tamis_selection *selection = make_selection("1000", &(tamis_examples){.id_text = ids});
    put("in", "a\nb\nc\nd\n");
    ck_ok(write_manifest(selection, "jsonl", "in", "rest"));
    check_text("rest.reasons.csv",
               "row,id,score,rank,reason\n"
               "1,\"a,b\",-0.25,1,\"dropped: \"\"low\"\", below the top\"\n"
               "2,\"say \"\"x\"\"\",-0.25,2,\"dropped: \"\"low\"\", below the top\"\n"
               "3,\"two\nlines\",-0.25,3,\"dropped: \"\"low\"\", below the top\"\n");
    tamis_selection_free(&selection);
    selection = make_selection("01", &(tamis_examples){.id_number = (uint64_t[]){UINT64_MAX, 7}});
    ck_ok(tamis_manifest_write(
        NULL,
        &(tamis_manifest_params){.selection = selection, .output = "m.txt", .dropped = "n.txt"},
        NULL, &err));
    check_text("n.txt.reasons.csv",
               "row,id,score,rank,reason\n"
               "0,18446744073709551615,-0.25,1,\"dropped: \"\"low\"\", below the top\"\n");
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(formats_are_listed_in_order)
{
    size_t n = 0;
    for (; tamis_manifest_at(n); n++) {
        const tamis_manifest_info *info = tamis_manifest_at(n);
        ck_assert(*info->name && *info->summary && info->extensions);
        if (n) ck_assert_int_lt(strcmp(tamis_manifest_at(n - 1)->name, info->name), 0);
    }
    ck_assert_uint_eq(n, 21);
    ck_assert_ptr_null(tamis_manifest_at(n + 1000));
}
END_TEST

START_TEST(format_is_found_by_name)
{
    static const char *const name[] = {"t.csv",   "t.CSV",    "t.tsv",
                                       "t.jsonl", "t.ndjson", "a.b/t.JsonL"};
    tamis_selection *selection = make_selection("10", NULL);
    ck_assert_int_eq(mkdir("a.b", 0777), 0);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        bool header = strcasestr(name[i], "sv") != NULL;
        put(name[i], header ? "h\na\nb\n" : "a\nb\n");
        ck_ok(write_manifest(selection, NULL, name[i], NULL));
        check_text("out", header ? "h\na\n" : "a\n");
        unlink("out");
    }
    put("t.txt", "a\nb\n"); /* a name given by the user wins over the ending */
    ck_ok(write_manifest(selection, "jsonl", "t.txt", NULL));
    unlink("out");
    put("lines", "a\nb\n"); /* the input's name says nothing: the output's does */
    ck_ok(tamis_manifest_write(NULL,
                               &(tamis_manifest_params){.selection = selection,
                                                        .input = (const char *const[]){"lines"},
                                                        .inputs = 1,
                                                        .output = "o.jsonl"},
                               NULL, &err));
    check_text("o.jsonl", "a\n");
    ck_fails(write_manifest(selection, NULL, "lines", NULL), TAMIS_ERR_ARG,
             "'lines' does not tell the format of its records: say --format csv|tsv|jsonl");
    ck_fails(write_manifest(selection, NULL, "t.txt", NULL), TAMIS_ERR_ARG, "csv|tsv|jsonl");
    put("t.npy", "a\nb\n"); /* never a list: neither by the input nor by the output */
    ck_fails(tamis_manifest_write(NULL,
                                  &(tamis_manifest_params){.selection = selection,
                                                           .input = (const char *const[]){"t.npy"},
                                                           .inputs = 1,
                                                           .output = "rest.mask"},
                                  NULL, &err),
             TAMIS_ERR_ARG, "csv|tsv|jsonl");
    ck_assert(!exists("rest.mask"));
    ck_ok(tamis_manifest_write(NULL,
                               &(tamis_manifest_params){.selection = selection,
                                                        .input = (const char *const[]){"t.txt"},
                                                        .inputs = 1,
                                                        .output = "o2.jsonl"},
                               NULL, &err));
    check_text("o2.jsonl", "a\n");
    ck_fails(write_manifest(selection, NULL, NULL, NULL), TAMIS_ERR_ARG, "say which");
    ck_fails(write_manifest(selection, "josnl", "lines", NULL), TAMIS_ERR_ARG,
             "did you mean 'jsonl'");
    ck_fails(write_manifest(selection, "parquet", "lines", NULL), TAMIS_ERR_ARG, "csv, index");
    check_nothing_left();
    tamis_selection_free(&selection);
}
END_TEST

/* --- mismatches ----------------------------------------------------------------------------- */

START_TEST(counts_must_agree)
{
    tamis_selection *selection = make_selection("101", NULL);
    put("t.jsonl", "a\nb\nc\nd\n");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "rest"), TAMIS_ERR_SHAPE,
             "'t.jsonl' has 4 records, the selection 3 candidates");
    put("t.jsonl", "a\nb\n");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "rest"), TAMIS_ERR_SHAPE, "has 2 records");
    put("t.jsonl", "");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "rest"), TAMIS_ERR_SHAPE, "has 0 records");
    put("t.csv", "");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_SHAPE, "has 0 records");
    put("t.csv", "a\nb\nc\n"); /* the first is the header */
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_SHAPE, "has 2 records");
    check_nothing_left();
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(digests_must_agree)
{
    static const char text[] = "h\naa\nbb\n\"c\nc\"\ndd\n";
    static const char *const ids[] = {"i0", "i1", "i2", "i3"};
    size_t n;
    uint64_t *digest = digests_of(TAMIS__RECORDS_CSV, text, sizeof text - 1, &n);
    tamis_examples examples = {.digest = digest, .id_text = ids};
    tamis_selection *selection = make_selection("1010", &examples);
    put("t.csv", "h\naa\nbb\n\"c\nc\"\ndx\n");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_FORMAT,
             "'t.csv' line 6: the record of row 3, id 'i3' is not the one");
    put("t.csv", "h\nbb\naa\n\"c\nc\"\ndd\n");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_FORMAT,
             "line 2: the record of row 0");
    put("t.csv", "h\naa\n\"c\nc\"\ndd\n"); /* one is missing: the count is the better message */
    ck_fails(
        write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_SHAPE,
        "has 3 records, the selection 4 candidates (the first that differs is row 1 on line 3)");
    put("t.csv", "h\naa\nbb\n\"c\r\nc\"\ndd\n");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_FORMAT,
             "line 4: the record of row 2");
    check_nothing_left();
    put("t.csv",
        "h2\r\naa\r\nbb\r\n\"c\nc\"\r\ndd\r\n"); /* line ends and header are not digested */
    ck_ok(write_manifest(selection, NULL, "t.csv", NULL));
    tamis_selection_free(&selection);
    free(digest);
}
END_TEST

START_TEST(unknown_digests_are_not_compared)
{
    tamis_manifest_result result;
    tamis_selection *selection = make_selection(
        "10", &(tamis_examples){.digest = (uint64_t[]){0, tamis__digest("b", 1)}});
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = "out",
                                    .force = true};
    put("t.jsonl", "anything\nb\n");
    ck_ok(tamis_manifest_write(NULL, &params, &result, &err));
    forget_files(&result);
    ck_assert(result.digests_checked);
    put("t.jsonl", "anything\nx\n");
    ck_fails(tamis_manifest_write(NULL, &params, &result, &err), TAMIS_ERR_FORMAT, "row 1");
    params.no_digests = true;
    ck_ok(tamis_manifest_write(NULL, &params, &result, &err));
    forget_files(&result);
    ck_assert(!result.digests_checked);
    check_text("out", "anything\n");
    tamis_selection_free(&selection);
    selection = make_selection("10", &(tamis_examples){.digest = (uint64_t[]){0, 0}});
    params = (tamis_manifest_params){.selection = selection,
                                     .input = (const char *const[]){"t.jsonl"},
                                     .inputs = 1,
                                     .output = "out",
                                     .force = true};
    ck_ok(tamis_manifest_write(NULL, &params, &result, &err));
    forget_files(&result);
    ck_assert(!result.digests_checked);
    tamis_selection_free(&selection);
}
END_TEST

/* --- refusals ------------------------------------------------------------------------------- */

START_TEST(arguments_are_checked)
{
    tamis_selection *selection = make_selection("10", NULL);
    put("t.jsonl", "a\nb\n");
    ck_fails(write_manifest(NULL, "jsonl", "t.jsonl", NULL), TAMIS_ERR_ARG, "needs a selection");
    ck_fails(write_manifest(selection, "jsonl", NULL, NULL), TAMIS_ERR_ARG, "copies records");
    ck_fails(write_manifest(selection, NULL, "absent.jsonl", NULL), TAMIS_ERR_IO, "absent.jsonl");
    ck_fails(write_manifest(selection, "jsonl", ".", NULL), TAMIS_ERR_IO, "directory");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "-"), TAMIS_ERR_ARG, "name a file");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "/dev/full"), TAMIS_ERR_ARG, "name a file");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "no/such/place"), TAMIS_ERR_IO,
             "no/such/place");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", ""), TAMIS_ERR_ARG, "name a file");
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = ""};
    ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_ARG, "no name");
    check_nothing_left();
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(files_must_be_distinct)
{
    tamis_selection *selection = make_selection("10", NULL);
    put("t.jsonl", "a\nb\n");
    put("out.part", "a\nb\n");
    ck_assert_int_eq(link("t.jsonl", "same.jsonl"), 0);
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = "same.jsonl",
                                    .force = true};
    ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_ARG,
             "both an input and an output");
    ck_fails(write_manifest(selection, "jsonl", "t.jsonl", "out"), TAMIS_ERR_ARG, "both");
    ck_fails(write_manifest(selection, "jsonl", "out.part", NULL), TAMIS_ERR_ARG,
             "until it is whole");
    ck_fails(write_manifest(selection, "jsonl", "t.jsonl", "out.part"), TAMIS_ERR_ARG,
             "until it is whole");
    params = (tamis_manifest_params){.selection = selection,
                                     .input = (const char *const[]){"t.jsonl"},
                                     .inputs = 1,
                                     .output = "x.reasons.csv",
                                     .format = "jsonl",
                                     .dropped = "x"};
    ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_ARG, "both");
    check_text("t.jsonl", "a\nb\n");
    check_text("out.part", "a\nb\n");
    ck_assert_int_eq(unlink("out.part"), 0);
    check_nothing_left();
    put("s.h5", "precious"); /* nor where the selection is from, in a dry run too */
    for (int dry = 0; dry < 2; dry++) {
        params = (tamis_manifest_params){.selection = selection,
                                         .selection_path = "./s.h5",
                                         .input = (const char *const[]){"t.jsonl"},
                                         .inputs = 1,
                                         .output = "{}",
                                         .split = (const tamis_manifest_split[]){{"s.h5", 1}},
                                         .splits = 1,
                                         .dry_run = dry,
                                         .force = true};
        ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_ARG,
                 "'./s.h5' is both an input and an output");
        params.output = "nosuch/{}";
        ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_IO,
                 "cannot write 'nosuch/s.h5': directory 'nosuch'");
    }
    check_text("s.h5", "precious");
    tamis_selection_free(&selection);
}
END_TEST

/* Content and names of formats that are neither read nor written. */
START_TEST(other_kinds_are_refused)
{
    static const struct {
        const char *bytes, *message;
    } in[] = {{"\xfd\x37zXZ\0\0\4\xe6\xd6\xb4\x46", "'in' is compressed with xz"},
              {"BZh91AY&SY\x12\x34", "'in' is compressed with bzip2"},
              {"PK\3\4abcdefgh", "'in' is compressed with zip"},
              {"\4\x22\x4d\x18"
               "abcdefgh",
               "'in' is compressed with lz4"},
              {"PAR1\n\n\n\nPAR1", "'in' is a Parquet file"}};
    tamis_selection *s = make_selection("1", NULL);
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        put_bytes("in", in[i].bytes, 12);
        ck_fails(write_manifest(s, "jsonl", "in", NULL), TAMIS_ERR_UNSUPPORTED, in[i].message);
        ck_fails(write_manifest(s, "index", "in", NULL), TAMIS_ERR_UNSUPPORTED, in[i].message);
    }
    put("in", "BZh is a word, PK too\n");
    ck_ok(write_manifest(s, "jsonl", "in", NULL));
    check_text("out", "BZh is a word, PK too\n");
    ck_assert_int_eq(unlink("out"), 0);
    put("in.parquet", "a\n");
    ck_fails(write_manifest(s, NULL, "in.parquet", NULL), TAMIS_ERR_UNSUPPORTED, "row numbers");
    static const char *const name[] = {"o.parquet", "o.arrow", "o.jsonl.xz", "o.zip"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        ck_fails(write_with((tamis_manifest_params){.selection = s, .output = name[i]}, NULL),
                 TAMIS_ERR_UNSUPPORTED, name[i]);
    check_nothing_left();
    tamis_selection_free(&s);
}
END_TEST

/* A name that says CSV is no place for JSON Lines, unless the user says that it is. */
START_TEST(names_keep_their_promise)
{
    static const char *const in[] = {"in.jsonl"}, *const array[] = {"in.json"};
    tamis_selection *s = make_selection("1", NULL);
    put("in.jsonl", "{}\n");
    put("in.json", "[{}]");
    tamis_manifest_params p = {.selection = s, .input = in, .inputs = 1, .output = "o.csv"};
    ck_fails(
        tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_ARG,
        "'o.csv' promises csv, and the records of 'in.jsonl' are copied as they are, as jsonl");
    p.output = "o.csv.gz";
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_ARG, "promises csv");
    p.output = "o.jsonl";
    p.input = array;
    ck_fails(tamis_manifest_write(NULL, &p, NULL, &err), TAMIS_ERR_ARG, "promises jsonl");
    ck_assert(!exists("o.csv") && !exists("o.csv.gz") && !exists("o.jsonl"));
    p.format = "json";
    ck_ok(tamis_manifest_write(NULL, &p, NULL, &err));
    check_text("o.jsonl", "[\n{}\n]\n");
    p = (tamis_manifest_params){.selection = s, .input = in, .inputs = 1, .output = "o.data"};
    ck_ok(tamis_manifest_write(NULL, &p, NULL, &err));
    check_text("o.data", "{}\n");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(broken_compression_is_refused)
{
    tamis_selection *selection = make_selection("10", NULL);
    put_bytes("z.jsonl", "\x1f\x8b\x08\x00\x00", 5);
    ck_fails(write_manifest(selection, NULL, "z.jsonl", NULL), TAMIS_ERR_FORMAT, "is truncated");
    put_bytes("z.jsonl", "\x28\xb5\x2f\xfd\x00", 5);
    ck_fails(write_manifest(selection, NULL, "z.jsonl", "rest"), TAMIS_ERR_FORMAT, "is truncated");
    put("t.jsonl", "a\nb\n");
    ck_fails(write_manifest(selection, NULL, "t.jsonl", "rest.xz"), TAMIS_ERR_UNSUPPORTED,
             "rest.xz");
    check_nothing_left();
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(hostile_quotes_are_refused)
{
    tamis_selection *selection = make_selection("10", NULL);
    put("t.csv", "h,i\na,b\n\"c,d\ne,f\n");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_FORMAT, "'t.csv' line 3");
    put("t.csv", "\"");
    ck_fails(write_manifest(selection, NULL, "t.csv", "rest"), TAMIS_ERR_FORMAT, "line 1");
    check_nothing_left();
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(nothing_is_overwritten_unasked)
{
    static const char *const target[] = {"out", "rest", "rest.reasons.csv"};
    tamis_selection *selection = make_selection("10", NULL);
    put("t.jsonl", "a\nb\n");
    for (size_t i = 0; i < 3; i++) {
        put(target[i], "precious");
        ck_fails(write_manifest(selection, NULL, "t.jsonl", "rest"), TAMIS_ERR_IO, "use -f");
        check_text(target[i], "precious");
        ck_assert_int_eq(unlink(target[i]), 0);
        check_nothing_left();
    }
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(full_disk_is_an_error)
{
    tamis_selection *selection = make_selection("11", NULL);
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = "/dev/full",
                                    .dropped = "rest"};
    put("t.jsonl", "a\nb\n");
    ck_fails(tamis_manifest_write(NULL, &params, NULL, &err), TAMIS_ERR_IO,
             "'/dev/full': No space left");
    check_nothing_left();
    ck_assert(!exists("/dev/full.part"));
    tamis_selection_free(&selection);
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

static void inject(void (*fault)(long), const char *format, const char *input)
{
    tamis_selection *selection = make_selection("0110", NULL);
    tamis_manifest_params params = {.selection = selection,
                                    .format = format,
                                    .input = (const char *const[]){input},
                                    .inputs = (input) != NULL,
                                    .output = "out",
                                    .dropped = "rest"};
    tamis_status status = TAMIS_ERR_IO;
    long n = 0;
    for (; n < 1000 && status != TAMIS_OK; n++) {
        err = (tamis_error){0};
        fault(n);
        status = tamis_manifest_write(NULL, &params, NULL, &err);
        fault(-1);
        if (status == TAMIS_OK) break;
        ck_assert_msg(*err.message != '\0', "no message at failure %ld", n);
        check_nothing_left();
    }
    ck_assert_int_eq(status, TAMIS_OK);
    ck_assert_int_gt(n, 3);
    ck_assert_int_eq(unlink("out") | unlink("rest") | unlink("rest.reasons.csv"), 0);
    tamis_selection_free(&selection);
}

START_TEST(failures_leave_nothing)
{
    put("in", "a\nb\nc\nd");
    put("in.csv", "h\na\nb\nc\nd\n");
    inject(tamis__fault_memory_after, "jsonl", "in");
    inject(tamis__fault_io_after, "jsonl", "in");
    inject(tamis__fault_memory_after, "csv", "in.csv");
    inject(tamis__fault_io_after, "csv", "in.csv");
    inject(tamis__fault_memory_after, "index-npy", NULL);
    inject(tamis__fault_io_after, "index-npy", NULL);
    inject(tamis__fault_io_after, "mask", NULL);
    inject(tamis__fault_memory_after, "index-npy", "in.csv");
    inject(tamis__fault_io_after, "index", "in.csv");
}
END_TEST

/* With -f a failure never leaves half a file: it holds the old bytes or all the new ones. */
START_TEST(failures_never_tear_old_files)
{
    tamis_selection *selection = make_selection("0110", NULL);
    tamis_manifest_params params = {.selection = selection,
                                    .format = "jsonl",
                                    .input = (const char *const[]){"in"},
                                    .inputs = 1,
                                    .output = "out",
                                    .dropped = "rest",
                                    .force = true};
    tamis_status status = TAMIS_ERR_IO;
    put("in", "a\nb\nc\nd\n");
    for (long n = 0; n < 1000 && status != TAMIS_OK; n++) {
        put("out", "old");
        put("rest", "old");
        tamis__fault_io_after(n);
        status = tamis_manifest_write(NULL, &params, NULL, &err);
        tamis__fault_io_after(-1);
        check_text("out", status == TAMIS_OK ? "b\nc\n" : "old");
        bytes rest = get("rest");
        ck_assert(!strcmp(rest.data, "old") || !strcmp(rest.data, "a\nd\n"));
        free(rest.data);
        ck_assert(!exists("out.part") && !exists("rest.part") && !exists("rest.reasons.csv.part"));
    }
    ck_assert_int_eq(status, TAMIS_OK);
    tamis_selection_free(&selection);
}
END_TEST

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)phase, (void)done, (void)total, (void)unit, (void)note;
    ++*(int *)cookie;
    return 1;
}

START_TEST(cancelling_leaves_nothing)
{
    int calls = 0;
    tamis_context *context = NULL;
    tamis_selection *selection = make_selection("10", NULL);
    put("t.jsonl", "a\nb\n");
    ck_ok(tamis_context_create(
        &context, &(tamis_context_params){.threads = 1, .progress = stop, .cookie = &calls}, &err));
    tamis_manifest_params params = {.selection = selection,
                                    .input = (const char *const[]){"t.jsonl"},
                                    .inputs = 1,
                                    .output = "out",
                                    .dropped = "rest"};
    ck_assert_int_eq(tamis_manifest_write(context, &params, NULL, &err), TAMIS_ERR_CANCELLED);
    ck_assert_int_eq(calls, 1);
    check_nothing_left();
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
    tcase_add_test(all, lines_are_kept_byte_for_byte);
    tcase_add_test(all, csv_records_may_span_lines);
    tcase_add_test(all, missing_last_newline_is_completed);
    tcase_add_test(all, completed_files_are_stable);
    tcase_add_test(all, kept_and_dropped_are_the_whole);
    tcase_add_test(all, huge_records_pass);
    tcase_add_test(all, reasons_are_quoted);
    tcase_add_test(all, formats_are_listed_in_order);
    tcase_add_test(all, format_is_found_by_name);
    tcase_add_test(all, counts_must_agree);
    tcase_add_test(all, digests_must_agree);
    tcase_add_test(all, unknown_digests_are_not_compared);
    tcase_add_test(all, arguments_are_checked);
    tcase_add_test(all, files_must_be_distinct);
    tcase_add_test(all, other_kinds_are_refused);
    tcase_add_test(all, names_keep_their_promise);
    tcase_add_test(all, broken_compression_is_refused);
    tcase_add_test(all, hostile_quotes_are_refused);
    tcase_add_test(all, nothing_is_overwritten_unasked);
    tcase_add_test(all, full_disk_is_an_error);
    tcase_add_test(all, failures_leave_nothing);
    tcase_add_test(all, failures_never_tear_old_files);
    tcase_add_test(all, cancelling_leaves_nothing);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
