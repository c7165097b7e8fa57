/* The JSON scanner, and the records that are edited with it: against jansson, on hand-made and on
 * mutated texts.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/json_span.h"

#include "base/json.h"
#include "harness.h"
#include "manifest/json_record.h"

static tamis_error err;

static bool is_json(const char *text, size_t size)
{
    /* A copy of exact size: reading past its end is then seen by the sanitizer. */
    char *copy = malloc(size ? size : 1);
    size_t at;
    const char *what;
    memcpy(copy, text, size);
    bool fine = tamis__json_check(copy, size, &at, &what);
    ck_assert_uint_le(at, size);
    ck_assert(fine == (what == NULL));
    free(copy);
    return fine;
}

START_TEST(values_are_told_from_what_is_none)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "10.5e-3",
                                       "1E+9",
                                       "\"\"",
                                       "\"\\u00e9\\n\\\"\"",
                                       "[]",
                                       "{}",
                                       "[[],{}]",
                                       " \t\r\n1 ",
                                       "{\"a\":[1,{\"b\":null}],\"c\":true}",
                                       "[1 , 2]",
                                       "NaN",
                                       "[-Infinity,Infinity]",
                                       "\"\xff\"",
                                       "{\"a\":1,\"a\":2}"};
    static const char *const wrong[] = {"",
                                        " ",
                                        "01",
                                        "1.",
                                        ".5",
                                        "+1",
                                        "1e",
                                        "-",
                                        "\"",
                                        "\"\\x\"",
                                        "\"\\u12g4\"",
                                        "\"\\u12\"",
                                        "\"a\nb\"",
                                        "[",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "[,1]",
                                        "{",
                                        "{\"a\"",
                                        "{\"a\":",
                                        "{\"a\":1",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "{\"a\" 1}",
                                        "{\"a\":1 \"b\":2}",
                                        "[1}",
                                        "{\"a\":1]",
                                        "1 2",
                                        "tru",
                                        "nulL",
                                        "]",
                                        "'a'",
                                        "\"\\",
                                        "-Inf",
                                        "{\"a\":1}}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(is_json(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!is_json(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
}
END_TEST

START_TEST(depth_has_a_limit)
{
    char text[2 * TAMIS__JSON_DEPTH + 4];
    size_t n = TAMIS__JSON_DEPTH;
    memset(text, '[', n);
    text[n] = '1';
    memset(text + n + 1, ']', n);
    ck_assert(is_json(text, 2 * n + 1));
    memset(text, '[', n + 1);
    text[n + 1] = '1';
    memset(text + n + 2, ']', n + 1);
    ck_assert(!is_json(text, 2 * n + 3));
}
END_TEST

START_TEST(members_lie_where_they_are)
{
    static const char text[] = " { \"a\" : [1, 2] ,\"\\u0062\":\"x\"} ";
    tamis__json_walk walk;
    tamis__json_member member;
    ck_assert(tamis__json_open(&walk, text, strlen(text)));
    ck_assert(tamis__json_next(&walk, &member));
    ck_assert_uint_eq(member.key.first, 3);
    ck_assert_uint_eq(member.key.size, 3);
    ck_assert_uint_eq(member.value.first, 9);
    ck_assert_uint_eq(member.value.size, 6);
    ck_assert(tamis__json_next(&walk, &member));
    ck_assert(tamis__json_string_is((const unsigned char *)text, member.key, "b", 1));
    ck_assert(!tamis__json_string_is((const unsigned char *)text, member.key, "", 0));
    ck_assert(!tamis__json_string_is((const unsigned char *)text, member.key, "bb", 2));
    ck_assert(!tamis__json_next(&walk, &member));
    ck_assert_ptr_null(walk.bad);
    ck_assert_int_eq(text[walk.at - 1], '}');
}
END_TEST

/* Escapes give what jansson gives; lone surrogates, which it refuses, give U+FFFD. */
START_TEST(strings_are_decoded)
{
    static const char *const text[] = {"\"a\\\\\\/\\\"\\b\\f\\n\\r\\t\"", "\"\\u00e9\\u20AC\"",
                                       "\"\\ud83d\\ude00!\"", "\"\"", "\"\xc3\xa9\""};
    char out[64];
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        tamis__span all = {0, strlen(text[i])};
        size_t n = tamis__json_string_decode((const unsigned char *)text[i], all, out);
        json_t *wanted = json_loads(text[i], JSON_DECODE_ANY, NULL);
        ck_assert_ptr_nonnull(wanted);
        ck_assert_uint_eq(n, json_string_length(wanted));
        ck_assert_int_eq(memcmp(out, json_string_value(wanted), n), 0);
        ck_assert(tamis__json_string_is((const unsigned char *)text[i], all, out, n));
        json_decref(wanted);
    }
    static const char *const lone[] = {"\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\n\""};
    for (size_t i = 0; i < 3; i++) {
        size_t n = tamis__json_string_decode((const unsigned char *)lone[i],
                                             (tamis__span){0, strlen(lone[i])}, out);
        ck_assert_uint_ge(n, 3);
        ck_assert_int_eq(memcmp(out, "\xef\xbf\xbd", 3), 0);
    }
}
END_TEST

/* Mutations of good texts: whatever the scanner takes, jansson takes too, and the other way round.
 * The texts hold none of what the two differ in (NaN, invalid UTF-8, \u escapes, doubles too
 * large). */
START_TEST(mutated_texts_are_judged_as_by_jansson)
{
    static const char *const seed[] = {
        "{\"id\": \"c\\\"1\", \"start\": 0.5, \"x\": [1, -2e3, {\"y\": null}]}",
        "[{\"a\": true}, [], {}, \"\\\\\", 0]", "{\"text\": \"hello\", \"_skipme\": 0}"};
    static const char alphabet[] = "{}[]\",:\\ 01-.eEtrufalsnx\n\t";
    unsigned state = 7;
    size_t good = 0;
    for (int round = 0; round < 60000; round++) {
        char text[128];
        size_t size = strlen(strcpy(text, seed[round % 3]));
        for (int k = rand_r(&state) % 3; k >= 0; k--) {
            size_t at = (size_t)rand_r(&state) % size;
            if (rand_r(&state) % 2)
                text[at] = alphabet[(size_t)rand_r(&state) % (sizeof alphabet - 1)];
            else
                memmove(text + at, text + at + 1, size-- - at);
        }
        if (rand_r(&state) % 8 == 0) size = (size_t)rand_r(&state) % (size + 1);
        json_t *wanted = json_loadb(text, size, JSON_DECODE_ANY, NULL);
        bool fine = is_json(text, size);
        /* \u and overflowing numbers are the two things that jansson alone refuses. */
        if (!memmem(text, size, "\\u", 2) && !memmem(text, size, "e", 1))
            ck_assert_msg(fine == (wanted != NULL), "%.*s", (int)size, text);
        if (wanted) ck_assert_msg(fine, "%.*s", (int)size, text);
        good += fine;
        json_decref(wanted);
    }
    ck_assert_uint_gt(good, 5000);
    ck_assert_uint_lt(good, 55000);
}
END_TEST

/* --- records -------------------------------------------------------------------------------- */

static tamis__record record_of(const char *text)
{
    return (tamis__record){
        .data = (const unsigned char *)text, .size = strlen(text), .span = strlen(text), .line = 7};
}

static void check_skipme(const char *text, bool keep, const char *wanted, tamis__skipme change)
{
    tamis__splice s;
    tamis__skipme found;
    bool marked;
    char edited[256];
    tamis__record record = record_of(text);
    ck_ok(tamis__skipme_edit(&record, "in", keep, &s, &found, &err));
    int n = snprintf(edited, sizeof edited, "%.*s%.*s%s", (int)s.at, text, (int)s.size, s.text,
                     text + s.at + s.removed);
    ck_assert_int_gt(n, 0);
    ck_assert_str_eq(edited, wanted);
    ck_assert_int_eq(found, change);
    record = record_of(edited);
    ck_ok(tamis__skipme_marked(&record, "in", &marked, &err));
    ck_assert(marked == !keep);
}

START_TEST(marks_are_put_in_and_nothing_else_changes)
{
    check_skipme("{\"a\":1e0}", false, "{\"a\":1e0, \"_skipme\": true}", TAMIS__SKIPME_MARKED);
    check_skipme(" {\"a\" : 1 } ", false, " {\"a\" : 1 , \"_skipme\": true} ",
                 TAMIS__SKIPME_MARKED);
    check_skipme("{}", false, "{\"_skipme\": true}", TAMIS__SKIPME_MARKED);
    check_skipme("{\"a\":{\"_skipme\":1}}", true, "{\"a\":{\"_skipme\":1}}", TAMIS__SKIPME_AS_IS);
    check_skipme("{\"_skipme\":false,\"a\":1}", false, "{\"_skipme\":true,\"a\":1}",
                 TAMIS__SKIPME_MARKED);
    check_skipme("{\"_skipme\":\"\"}", false, "{\"_skipme\":true}", TAMIS__SKIPME_MARKED);
    check_skipme("{\"_skipme\": 1}", false, "{\"_skipme\": 1}", TAMIS__SKIPME_AS_IS);
    check_skipme("{\"_skipme\": [ ]}", true, "{\"_skipme\": [ ]}", TAMIS__SKIPME_AS_IS);
    check_skipme("{\"_skipme\": -0.0e3}", true, "{\"_skipme\": -0.0e3}", TAMIS__SKIPME_AS_IS);
    check_skipme("{\"_skipme\": \"no\"}", true, "{\"_skipme\": false}", TAMIS__SKIPME_UNMARKED);
    check_skipme("{\"\\u005fskipme\": true}", true, "{\"\\u005fskipme\": false}",
                 TAMIS__SKIPME_UNMARKED);
    check_skipme("{\"_skipme\":true,\"_skipme\":0}", false, "{\"_skipme\":true,\"_skipme\":true}",
                 TAMIS__SKIPME_MARKED);
    check_skipme("{\"t\":\"\xff}\"}", false, "{\"t\":\"\xff}\", \"_skipme\": true}",
                 TAMIS__SKIPME_MARKED);
}
END_TEST

START_TEST(bad_records_are_refused_with_line_and_byte)
{
    tamis__splice s;
    tamis__skipme change;
    tamis__span id;
    tamis__record record = record_of("{\"a\":1,}");
    ck_fails(tamis__skipme_edit(&record, "in", true, &s, &change, &err), TAMIS_ERR_FORMAT,
             "'in' line 7 is no JSON object: expected a key in quotes at byte 8 of the line");
    record = record_of("[1]");
    ck_fails(tamis__skipme_edit(&record, "in", true, &s, &change, &err), TAMIS_ERR_FORMAT,
             "expected an object at byte 1");
    record = record_of("{\"a\":1} {}");
    ck_fails(tamis__json_record_id(&record, "in", &id, &err), TAMIS_ERR_FORMAT,
             "text after the object at byte 9");
    record = record_of("{\"id\": 3}");
    ck_fails(tamis__json_record_id(&record, "in", &id, &err), TAMIS_ERR_FORMAT,
             "no \"id\" that is a string");
    record = record_of("{\"x\":{\"id\":\"in\"}}");
    ck_fails(tamis__json_record_id(&record, "in", &id, &err), TAMIS_ERR_FORMAT, "no \"id\"");
    record = record_of("{\"id\":\"c1\",\"type\":\"MonoCut\"}");
    ck_ok(tamis__json_record_id(&record, "in", &id, &err));
    ck_assert_uint_eq(id.first, 6);
    ck_assert_uint_eq(id.size, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json span");
    TCase *scan = tcase_create("scanner"), *records = tcase_create("records");
    tcase_add_test(scan, values_are_told_from_what_is_none);
    tcase_add_test(scan, depth_has_a_limit);
    tcase_add_test(scan, members_lie_where_they_are);
    tcase_add_test(scan, strings_are_decoded);
    tcase_add_test(scan, mutated_texts_are_judged_as_by_jansson);
    tcase_add_test(records, marks_are_put_in_and_nothing_else_changes);
    tcase_add_test(records, bad_records_are_refused_with_line_and_byte);
    suite_add_tcase(suite, scan);
    suite_add_tcase(suite, records);
    return run_suite(suite);
}
