/* Records and fields against a reader that looks at one byte at a time.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "files.h"
#include "import/fields.h"
#include "import/records.h"

static tamis_error err;

/* The rules of records.h, literally. Returns the number of records, -1 for a quote left open. */
static int slow_split(const unsigned char *text, size_t size, tamis__records_kind kind,
                      tamis__record *list)
{
    size_t at = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    uint64_t line = 1;
    int n = 0;
    while (at < size) {
        size_t start = at, first_line = line;
        int quoted = 0, field_start = 1, blank = 1;
        for (; at < size; at++) {
            unsigned char c = text[at];
            if (quoted) {
                if (c == '"' && at + 1 < size && text[at + 1] == '"')
                    at++;
                else if (c == '"')
                    quoted = 0;
                else if (c == '\n')
                    line++;
                continue;
            }
            if (c == '\n') break;
            if (c == '"' && field_start && kind != TAMIS__RECORDS_JSONL) quoted = 1;
            field_start = c == (kind == TAMIS__RECORDS_TSV ? '\t' : ',');
        }
        if (quoted) return -1;
        size_t stop = at, end = at;
        if (at < size) {
            at++;
            line++;
            if (stop > start && text[stop - 1] == '\r') end = stop - 1;
        }
        for (size_t i = start; i < end; i++)
            if (kind != TAMIS__RECORDS_JSONL || !strchr(" \t\r", text[i]) || !text[i]) blank = 0;
        if (blank) continue;
        list[n] = (tamis__record){text + start, end - start, at - start, first_line,
                                  n - (kind != TAMIS__RECORDS_JSONL)};
        n++;
    }
    return n;
}

static void compare(const char *text, size_t size, tamis__records_kind kind)
{
    tamis__record want[64], got;
    tamis__records records;
    /* Exactly as long as it is, so that a sanitizer sees one byte too many. */
    unsigned char *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    int n = slow_split(copy, size, kind, want);
    tamis__records_init(&records, kind, copy, size);
    for (int i = 0;; i++) {
        tamis_status status = tamis__records_next(&records, "t", &got, &err);
        if (status != TAMIS_OK) {
            ck_assert_int_eq(n, -1);
            break;
        }
        if (!got.data) {
            ck_assert_int_eq(i, n);
            break;
        }
        if (n < 0) continue;
        ck_assert_int_lt(i, n);
        ck_assert_ptr_eq(got.data, want[i].data);
        ck_assert_uint_eq(got.size, want[i].size);
        ck_assert_uint_eq(got.span, want[i].span);
        ck_assert_uint_eq(got.line, want[i].line);
        ck_assert_int_eq(got.number, want[i].number);
    }
    free(copy);
}

START_TEST(random_bytes)
{
    static const char alphabet[] = {'a', ',', '"', '\n', '\r', '\t',
                                    ' ', '"', ',', '\n', '\0', '{'};
    gsl_rng *rng = tamis__rng_create();
    for (int round = 0; round < 60000; round++) {
        char text[64];
        size_t size = 0, want = gsl_rng_uniform_int(rng, 40);
        if (round % 7 == 0) {
            memcpy(text, "\xef\xbb\xbf", 3);
            size = 3;
        }
        for (size_t i = 0; i < want; i++)
            text[size++] = alphabet[gsl_rng_uniform_int(rng, sizeof alphabet)];
        compare(text, size, (tamis__records_kind)(round % 3));
    }
    gsl_rng_free(rng);
}
END_TEST

START_TEST(csv_by_hand)
{
    const char *text = "\xef\xbb\xbf"
                       "a,b\r\n\r\n1,\"x\ny \"\"z\"\"\"\r\n\n5\" pipe,2\nlast,3";
    tamis__records records;
    tamis__record r;
    tamis__records_init(&records, TAMIS__RECORDS_CSV, text, strlen(text));
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert(r.number == -1 && r.line == 1 && r.size == 3 && r.span == 5 &&
              !memcmp(r.data, "a,b", 3));
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert(r.number == 0 && r.line == 3 && r.size == 13 && r.span == 15);
    ck_assert_uint_eq(tamis__record_digest(&r), tamis__digest("1,\"x\ny \"\"z\"\"\"", 13));
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert(r.number == 1 && r.line == 6 && r.size == 9 && r.span == 10);
    uint64_t left = 0;
    ck_ok(tamis__records_count(records, "t", &left, &err));
    ck_assert_uint_eq(left, 1);
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert(r.number == 2 && r.line == 7 && r.size == 6 && r.span == 6);
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert_ptr_null(r.data);
    ck_ok(tamis__records_next(&records, "t", &r, &err));
    ck_assert_ptr_null(r.data);
}
END_TEST

START_TEST(open_quote)
{
    const char *text = "a\n1\n2,\"x\n\n,y";
    tamis__records records;
    uint64_t count;
    tamis__records_init(&records, TAMIS__RECORDS_CSV, text, strlen(text));
    ck_fails(tamis__records_count(records, "t.csv", &count, &err), TAMIS_ERR_FORMAT,
             "'t.csv' line 3");
    tamis__records_init(&records, TAMIS__RECORDS_JSONL, text, strlen(text));
    ck_ok(tamis__records_count(records, "t.csv", &count, &err));
    ck_assert_uint_eq(count, 4);
}
END_TEST

START_TEST(fields)
{
    static const struct {
        const char *text, *field[4];
        int n; /* fields before the end or the error */
        const char *error;
    } cases[] = {
        {"a,b,c", {"a", "b", "c"}, 3, NULL},
        {"a,,", {"a", "", ""}, 3, NULL},
        {"\"a,b\",\"\",x", {"a,b", "", "x"}, 3, NULL},
        {"\"he said \"\"hi\"\"\",2", {"he said \"hi\"", "2"}, 2, NULL},
        {"\"\"\"\"", {"\""}, 1, NULL},
        {"\"x\n\r\ny\",5\" pipe", {"x\n\r\ny", "5\" pipe"}, 2, NULL},
        {"\"a\"b,c", {NULL}, 0, "closing quote"},
        {"1,\"a", {"1"}, 1, "not closed"},
        {"1,\"a\"\"", {"1"}, 1, "not closed"},
        {"a long field, over sixteen bytes,x",
         {"a long field", " over sixteen bytes", "x"},
         3,
         NULL},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        tamis__fields f = {0};
        tamis__field field;
        size_t size = strlen(cases[k].text);
        char *copy = malloc(size);
        memcpy(copy, cases[k].text, size);
        tamis__fields_start(&f, ',', copy, size);
        for (int i = 0; i < cases[k].n; i++) {
            ck_assert(f.more);
            ck_ok(tamis__fields_next(&f, &field, &err));
            ck_assert_uint_eq(field.size, strlen(cases[k].field[i]));
            ck_assert_mem_eq(field.text, cases[k].field[i], field.size);
        }
        ck_assert_int_eq(f.more, cases[k].error != NULL);
        if (f.more)
            ck_fails(tamis__fields_next(&f, &field, &err), TAMIS_ERR_FORMAT, cases[k].error);
        tamis__fields_fini(&f);
        free(copy);
    }
}
END_TEST

START_TEST(encodings)
{
    ck_assert_uint_eq(tamis__records_bom("\xef\xbb\xbfx", 4), 3);
    ck_assert_uint_eq(tamis__records_bom("\xef\xbb", 2), 0);
    ck_fails(tamis__text_encoding_check("\xff\xfe"
                                        "a",
                                        3, "u.csv", &err),
             TAMIS_ERR_UNSUPPORTED, "UTF-16");
    ck_fails(tamis__text_encoding_check("\xfe\xff"
                                        "a",
                                        3, "u.csv", &err),
             TAMIS_ERR_UNSUPPORTED, "'u.csv'");
    ck_ok(tamis__text_encoding_check("\xff", 1, "u.csv", &err));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import records");
    TCase *tests = tcase_create("records");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, random_bytes);
    tcase_add_test(tests, csv_by_hand);
    tcase_add_test(tests, open_quote);
    tcase_add_test(tests, fields);
    tcase_add_test(tests, encodings);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
