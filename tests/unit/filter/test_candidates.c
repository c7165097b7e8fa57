/* Tests of candidates: TF-IDF and BM25 against the formulas in plain loops, hostile texts, lists of
 * ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/candidates.h>

#include <ctype.h>
#include <math.h>
#include <zlib.h>

#include "base/digest.h"
#include "base/rng.h"
#include "small_files.h"

static tamis_context *context;
static tamis_error err;
static char logged[1000];

static void keep_log(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie;
    if (level == TAMIS_LOG_WARNING) snprintf(logged, sizeof logged, "%s", line);
}

static tamis_context *logging_context(unsigned threads, uint64_t memory)
{
    tamis_context *made = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory, .log = keep_log};
    ck_ok(tamis_context_create(&made, &params, &err));
    return made;
}

static void setup(void)
{
    enter_scratch();
    err = (tamis_error){0};
    logged[0] = '\0';
    context = logging_context(2, 0);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_status find(tamis_context *with, const char *train, const char *query,
                         const char *method, uint64_t k, tamis_candidates **ret)
{
    tamis_candidates_params params = {
        .manifest = train, .query_manifest = query, .field = "text", .method = method, .k = k};
    return tamis_candidates_from_texts(with, &params, ret, NULL, &err);
}

static void ck_rows(const tamis_candidates *c, uint64_t query, uint64_t n, const uint64_t *row)
{
    ck_assert_uint_lt(query, c->queries);
    ck_assert_uint_eq(c->first[query + 1] - c->first[query], n);
    for (uint64_t i = 0; i < n; i++) ck_assert_uint_eq(c->row[c->first[query] + i], row[i]);
}

/* --- the formulas in plain loops -------------------------------------------------------------- */

enum { TEXTS = 700, QUERIES = 9, WORDS = 40, TERMS = 60 };

/* Word numbers of each text; a text has up to WORDS. */
typedef struct texts {
    size_t n, length[TEXTS], word[TEXTS][WORDS];
} texts;

static void draw_texts(texts *t, size_t n, uint64_t seed)
{
    gsl_rng *rng = tamis__rng_create();
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        tamis__rng_key(rng, seed, TAMIS__STREAM_TEST, i);
        t->length[i] = gsl_rng_uniform_int(rng, WORDS);
        /* Squares: some words are in most texts, some in a few. */
        for (size_t w = 0; w < t->length[i]; w++) {
            double u = gsl_rng_uniform(rng);
            t->word[i][w] = (size_t)(u * u * TERMS);
        }
        if (i > 0 && i % 50 == 0) { /* equal texts are ties */
            t->length[i] = t->length[i - 1];
            memcpy(t->word[i], t->word[i - 1], sizeof t->word[i]);
            for (size_t w = 1; w < t->length[i]; w += 2) { /* in another order */
                size_t held = t->word[i][w];
                t->word[i][w] = t->word[i][w - 1];
                t->word[i][w - 1] = held;
            }
        }
    }
    gsl_rng_free(rng);
}

/* Separators and cases change nothing. */
static void write_texts(const char *path, const texts *t)
{
    static const char *const between[] = {" ", ", ", "-", "\\n", " (", "!?"};
    FILE *file = fopen(path, "w");
    for (size_t i = 0; i < t->n; i++) {
        fprintf(file, "{\"id\": %zu, \"text\": \"", i);
        for (size_t w = 0; w < t->length[i]; w++)
            fprintf(file, "%s%zux%s", w % 2 ? "Wo\xC3\xA4" : "wO\xC3\xA4", t->word[i][w],
                    between[(i + w) % 6]);
        fprintf(file, "\"}\n");
    }
    fclose(file);
}

static size_t count(const texts *t, size_t i, size_t word)
{
    size_t n = 0;
    for (size_t w = 0; w < t->length[i]; w++) n += t->word[i][w] == word;
    return n;
}

/* By word: in how many texts it is. */
static void count_texts(const texts *train, double texts_with[TERMS])
{
    for (size_t word = 0; word < TERMS; word++) {
        texts_with[word] = 0;
        for (size_t d = 0; d < train->n; d++) texts_with[word] += count(train, d, word) > 0;
    }
}

static double naive_score(const texts *train, const texts *query, size_t i, size_t q,
                          const double with[TERMS], bool bm25, double k1, double b)
{
    double score = 0, average = 0;
    for (size_t d = 0; d < train->n; d++) average += (double)train->length[d] / (double)train->n;
    for (size_t w = 0; w < query->length[q]; w++) {
        size_t word = query->word[q][w];
        double f = (double)count(train, i, word);
        double idf = log(((double)train->n - with[word] + 0.5) / (with[word] + 0.5) + 1);
        double exists = f > 0;
        double norm = k1 * (1 - b + b * (double)train->length[i] / average);
        if (f == 0) continue;
        score += bm25 ? idf * (k1 + 1) * f / (f + norm)
                      : (1.5 + 1) * exists / (1.5 + exists) * idf; /* as the paper writes it */
    }
    return score;
}

/* No row outside has a higher score than one inside, ties go to the lower row, and only rows that
 * share a word are inside. */
static void ck_best(const tamis_candidates *c, size_t q, const double *score, size_t n, size_t k)
{
    bool *inside = calloc(n, sizeof *inside);
    size_t shares = 0, held = c->first[q + 1] - c->first[q];
    for (size_t i = 0; i < n; i++) shares += score[i] > 0;
    ck_assert_uint_eq(held, shares < k ? shares : k);
    for (size_t i = 0; i < held; i++) {
        uint64_t row = c->row[c->first[q] + i];
        ck_assert(i == 0 || row > c->row[c->first[q] + i - 1]);
        ck_assert(score[row] > 0);
        inside[row] = true;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!inside[i] || inside[j]) continue;
            double room = 1e-6 * score[i];
            ck_assert_msg(score[i] > score[j] - room, "query %zu: row %zu (%.9g) before %zu (%.9g)",
                          q, i, score[i], j, score[j]);
            if (fabs(score[i] - score[j]) < 1e-12) ck_assert_uint_lt(i, j);
        }
    free(inside);
}

static const struct {
    const char *method;
    bool bm25;
    double k1, b;
} methods[] = {{NULL, false, 0, 0},
               {"bm25", true, 1.5, 0.75},
               {"bm25:k1=1.2", true, 1.2, 0.75},
               {"bm25:k1=0,b=0", true, 0, 0},
               {"bm25:k1=2,b=1", true, 2, 1}};

START_TEST(equals_plain_loops)
{
    static texts train, query;
    const uint64_t ks[] = {1, 20, 5000};
    double *score = calloc(TEXTS * QUERIES, sizeof *score);
    draw_texts(&train, TEXTS, 1);
    draw_texts(&query, QUERIES, 2);
    double with[TERMS];
    query.length[3] = 0;
    count_texts(&train, with);
    write_texts("t.jsonl", &train);
    write_texts("q.jsonl", &query);
    for (size_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < TEXTS; i++)
            score[q * TEXTS + i] = naive_score(&train, &query, i, q, with, methods[_i].bm25,
                                               methods[_i].k1, methods[_i].b);
    for (size_t v = 0; v < 3; v++) {
        tamis_candidates *c = NULL;
        ck_ok(find(context, "t.jsonl", "q.jsonl", methods[_i].method, ks[v], &c));
        ck_assert_uint_eq(c->queries, QUERIES);
        ck_assert_uint_eq(c->first[0], 0);
        for (size_t q = 0; q < QUERIES; q++) ck_best(c, q, score + q * TEXTS, TEXTS, ks[v]);
        tamis_candidates_free(&c);
        ck_assert_ptr_null(c);
    }
    ck_assert(strstr(logged, "q.jsonl': 1 of 9 queries share no term") != NULL);
    ck_assert(strstr(logged, "row 3") != NULL);
    free(score);
}
END_TEST

START_TEST(any_number_of_threads)
{
    static texts train, query;
    tamis_candidates *one = NULL, *more = NULL;
    draw_texts(&train, TEXTS, 1);
    draw_texts(&query, QUERIES, 2);
    write_texts("t.jsonl", &train);
    write_texts("q.jsonl", &query);
    for (unsigned threads = 1; threads < 6; threads++) {
        tamis_context *with = small_context(threads);
        ck_ok(find(with, "t.jsonl", "q.jsonl", "bm25", 31, threads == 1 ? &one : &more));
        tamis_context_destroy(&with);
        if (threads == 1) continue;
        ck_assert_mem_eq(one->first, more->first, (QUERIES + 1) * sizeof *one->first);
        ck_assert_mem_eq(one->row, more->row, one->first[QUERIES] * sizeof *one->row);
        tamis_candidates_free(&more);
    }
    tamis_candidates_free(&one);
}
END_TEST

/* --- files ------------------------------------------------------------------------------------ */

static void spill_text(const char *path, const char *text)
{
    spill(path, text, strlen(text));
}

START_TEST(csv_and_tsv_and_gzip)
{
    const uint64_t second[] = {1}, both[] = {0, 2};
    tamis_candidates *c = NULL;
    tamis_candidates_report report;
    spill_text("t.csv",
               "id,title,text\n1,\"Red, \"\"big\"\"\",x\n2,blue,\"two\nlines\"\n3,y,RED\n");
    spill_text("q.tsv", "text\tid\nred cars\t0\nlines\t1\n");
    tamis_candidates_params params = {.manifest = "t.csv",
                                      .query_manifest = "q.tsv",
                                      .field = "title,text",
                                      .query_field = "text",
                                      .k = 5};
    ck_ok(tamis_candidates_from_texts(context, &params, &c, &report, &err));
    ck_rows(c, 0, 2, both);
    ck_rows(c, 1, 1, second);
    ck_assert_uint_eq(report.rows, 3);
    ck_assert_uint_eq(report.queries, 2);
    ck_assert_uint_eq(report.terms, 3);
    ck_assert_uint_eq(report.pairs, 3);
    ck_assert_uint_eq(report.empty, 0);
    tamis_candidates_free(&c);
    size_t size;
    char *bytes = slurp("t.csv", &size);
    gzFile file = gzopen("t.csv.gz", "wb");
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
    gzclose(file);
    free(bytes);
    params.manifest = "t.csv.gz";
    ck_ok(tamis_candidates_from_texts(context, &params, &c, NULL, &err));
    ck_rows(c, 0, 2, both);
    tamis_candidates_free(&c);
}
END_TEST

/* Texts within arrays and objects, and nothing else of them. */
START_TEST(texts_within_values)
{
    const uint64_t first[] = {0}, second[] = {1};
    tamis_candidates *c = NULL;
    spill_text("t.jsonl", "{\"text\": [{\"role\": \"user\", \"content\": \"zebra\"}, 12, null]}\n"
                          "{\"text\": {\"a\": \"lion\", \"b\": [\"\\u00e4ffchen\\u0000end\"]}}\n"
                          "{\"text\": 77, \"other\": \"zebra lion\"}\n"
                          "{\"text\": null}\n");
    spill_text("q.jsonl", "{\"text\": \"Zebra 77\"}\n\n{\"text\": \"\xC3\xA4"
                          "ffchen\"}\n{\"text\":\"end\"}\n");
    ck_ok(find(context, "t.jsonl", "q.jsonl", "tf-idf", 3, &c));
    ck_rows(c, 0, 1, first);
    ck_rows(c, 1, 1, second);
    ck_rows(c, 2, 1, second);
    tamis_candidates_free(&c);
}
END_TEST

/* Empty, nothing but signs, a line of a megabyte, one word of a megabyte, bytes that are no
 * UTF-8. */
START_TEST(hostile_texts)
{
    const uint64_t long_line[] = {2}, long_word[] = {3}, bytes[] = {4};
    tamis_candidates *c = NULL;
    FILE *file = fopen("t.csv", "w");
    fprintf(file, "text\n\"\"\n\"... ,;!?\"\n");
    for (int i = 0; i < 200000; i++) fprintf(file, "ab%d ", i % 1000);
    fprintf(file, "\n");
    for (int i = 0; i < 1000000; i++) fputc('z', file);
    fprintf(file, "\n\xff\xfe\x80 \xc3\n");
    fclose(file);
    file = fopen("q.csv", "w");
    fprintf(file, "text\nAB999\n");
    for (int i = 0; i < 1000000; i++) fputc('Z', file);
    fprintf(file, "\n\xff\xfe\x80\n???\n");
    fclose(file);
    ck_ok(find(context, "t.csv", "q.csv", "bm25", 10, &c));
    ck_rows(c, 0, 1, long_line);
    ck_rows(c, 1, 1, long_word);
    ck_rows(c, 2, 1, bytes);
    ck_rows(c, 3, 0, NULL);
    tamis_candidates_free(&c);
    spill_text("none.csv", "text\n!!\n");
    ck_ok(find(context, "t.csv", "none.csv", NULL, 10, &c));
    ck_rows(c, 0, 0, NULL);
    tamis_candidates_free(&c);
}
END_TEST

static tamis_status find_with(const tamis_candidates_params *params)
{
    tamis_candidates *c = NULL;
    tamis_status status = tamis_candidates_from_texts(context, params, &c, NULL, &err);
    tamis_candidates_free(&c);
    return status;
}

START_TEST(what_is_refused)
{
    spill_text("t.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
    spill_text("bad.jsonl", "{\"text\": \"a\"}\n\n{\"text\": }\n");
    spill_text("latin.jsonl", "{\"text\": \"\xe4\"}\n");
    spill_text("list.jsonl", "[1]\n");
    spill_text("keyless.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n");
    spill_text("short.csv", "id,text\n1,a\n2\n");
    spill_text("open.csv", "id,text\n1,\"a\n");
    spill_text("nothing.jsonl", "");
    spill_text("nothing.csv", "");
    spill_text("a.txt", "a\n");
    spill_text("utf16.csv", "\xff\xfe");
    const tamis_candidates_params good = {
        .manifest = "t.jsonl", .query_manifest = "t.jsonl", .field = "text", .k = 1};
    ck_ok(find_with(&good));
    const struct {
        const char *manifest, *text;
        tamis_status status;
    } files[] = {{"bad.jsonl", "'bad.jsonl' line 3: not valid JSON", TAMIS_ERR_FORMAT},
                 {"latin.jsonl", "line 1: not valid JSON", TAMIS_ERR_FORMAT},
                 {"list.jsonl", "line 1: not an object", TAMIS_ERR_FORMAT},
                 {"keyless.jsonl", "line 2: no key 'text'", TAMIS_ERR_FORMAT},
                 {"short.csv", "line 3: fewer fields", TAMIS_ERR_FORMAT},
                 {"open.csv", "line 2: a quote is opened", TAMIS_ERR_FORMAT},
                 {"nothing.jsonl", "no records", TAMIS_ERR_FORMAT},
                 {"nothing.csv", "is empty", TAMIS_ERR_FORMAT},
                 {"a.txt", "ends in .jsonl", TAMIS_ERR_ARG},
                 {"utf16.csv", "UTF-16", TAMIS_ERR_UNSUPPORTED},
                 {"absent.csv", "absent.csv", TAMIS_ERR_IO}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        tamis_candidates_params params = good;
        params.manifest = files[i].manifest;
        ck_fails(find_with(&params), files[i].status, files[i].text);
        params = good;
        params.query_manifest = files[i].manifest;
        ck_fails(find_with(&params), files[i].status, files[i].text);
    }
    tamis_candidates_params params = good;
    params.k = 0;
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "0 candidates");
    params = good;
    params.method = "tfidf";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "did you mean 'tf-idf'");
    params.method = "bm25:k2=1";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "k2");
    params.method = "tf-idf:k1=1";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "k1");
    params.method = "bm25:b=2";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "b");
    params = good;
    params.field = "";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "field");
    params.manifest = "short.csv";
    params.field = "txt";
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "text");
    params = good;
    params.field = NULL;
    ck_fails(find_with(&params), TAMIS_ERR_ARG, "need");
}
END_TEST

/* --- stores ----------------------------------------------------------------------------------- */

static tamis_store *open_small(const char *path, uint64_t rows, const tamis_examples *examples)
{
    tamis_store *store = NULL;
    float *values = calloc(rows, sizeof *values);
    for (uint64_t i = 0; i < rows; i++) values[i] = (float)i;
    small_store(context, path, TAMIS_F32, rows, 1, 1, values, examples, 0);
    free(values);
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

START_TEST(records_are_those_of_the_store)
{
    const char *lines[] = {"{\"text\": \"a b\"}", "{\"text\": \"c\"}"};
    uint64_t digest[] = {tamis__digest(lines[0], strlen(lines[0])), 0};
    tamis_store *train = open_small("t.h5", 2, &(tamis_examples){.digest = digest});
    tamis_store *query = open_small("q.h5", 1, NULL);
    spill_text("t.jsonl", "{\"text\": \"a b\"}\n{\"text\": \"c\"}\n");
    spill_text("other.jsonl", "{\"text\": \"a B\"}\n{\"text\": \"c\"}\n");
    spill_text("q.jsonl", "{\"text\": \"c\"}\n");
    tamis_candidates_params params = {.manifest = "t.jsonl",
                                      .query_manifest = "q.jsonl",
                                      .field = "text",
                                      .k = 1,
                                      .train = train,
                                      .query = query};
    ck_ok(find_with(&params));
    params.manifest = "other.jsonl";
    ck_fails(find_with(&params), TAMIS_ERR_FORMAT, "'other.jsonl' line 1: the record of row 0");
    params.manifest = "q.jsonl";
    ck_fails(find_with(&params), TAMIS_ERR_SHAPE, "'q.jsonl' has 1 records, 't.h5' 2 rows");
    params.manifest = "t.jsonl";
    params.query_manifest = "t.jsonl";
    ck_fails(find_with(&params), TAMIS_ERR_SHAPE, "'t.jsonl' has 2 records, 'q.h5' 1 rows");
    tamis_store_close(&train);
    tamis_store_close(&query);
}
END_TEST

/* --- lists of ids ----------------------------------------------------------------------------- */

static tamis_status read_list(const char *text, const tamis_store *train, const tamis_store *query,
                              tamis_candidates **ret)
{
    spill_text("list.tsv", text);
    return tamis_candidates_read(context, "list.tsv", train, query, ret, &err);
}

START_TEST(lists_of_ids)
{
    const char *names[] = {"alpha", "beta", "gamma", "beta"};
    const uint64_t numbers[] = {70, 50, 60};
    const uint64_t both[] = {0, 2}, gamma[] = {2}, some[] = {1, 3};
    tamis_candidates *c = NULL;
    tamis_store *named = open_small("t.h5", 4, &(tamis_examples){.id_text = names});
    tamis_store *numbered = open_small("n.h5", 3, &(tamis_examples){.id_number = numbers});
    tamis_store *plain = open_small("p.h5", 4, NULL);
    ck_ok(read_list("gamma\n\nalpha\r\ngamma", named, NULL, &c));
    ck_assert_uint_eq(c->queries, 1);
    ck_rows(c, 0, 2, both);
    tamis_candidates_free(&c);
    ck_ok(read_list("60\tgamma\n70\talpha\n70\tgamma\n", named, numbered, &c));
    ck_assert_uint_eq(c->queries, 3);
    ck_rows(c, 0, 2, both);
    ck_rows(c, 1, 0, NULL);
    ck_rows(c, 2, 1, gamma);
    tamis_candidates_free(&c);
    ck_ok(read_list("\xef\xbb\xbf"
                    "3\n1\n",
                    plain, NULL, &c));
    ck_rows(c, 0, 2, some);
    tamis_candidates_free(&c);
    ck_fails(read_list("alpha\ndelta\n", named, NULL, &c), TAMIS_ERR_FORMAT,
             "'list.tsv' line 2: 't.h5' has no id 'delta'");
    ck_fails(read_list("beta\n", named, NULL, &c), TAMIS_ERR_FORMAT, "twice, in rows 1 and 3");
    ck_fails(read_list("4\n", plain, NULL, &c), TAMIS_ERR_FORMAT, "no id '4'");
    ck_fails(read_list("-1\n", plain, NULL, &c), TAMIS_ERR_FORMAT, "no id '-1'");
    ck_fails(read_list("80\talpha\n", named, numbered, &c), TAMIS_ERR_FORMAT, "'n.h5' has no id");
    ck_fails(read_list("70\talpha\ngamma\n", named, numbered, &c), TAMIS_ERR_FORMAT,
             "line 2: lines above it name a query");
    ck_fails(read_list("gamma\n70\talpha\n", named, numbered, &c), TAMIS_ERR_FORMAT,
             "line 2: lines above it do not name");
    ck_fails(read_list("70\talpha\n", named, NULL, &c), TAMIS_ERR_FORMAT, "line 1: a query is");
    ck_fails(read_list("\n\n", named, NULL, &c), TAMIS_ERR_FORMAT, "names no training row");
    tamis_store_close(&named);
    tamis_store_close(&numbered);
    tamis_store_close(&plain);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status find_small(void)
{
    tamis_candidates *c = NULL;
    tamis_status status = find(context, "t.jsonl", "q.jsonl", "bm25", 5, &c);
    tamis_candidates_free(&c);
    return status;
}

START_TEST(out_of_memory)
{
    static texts train, query;
    tamis_candidates *c = NULL;
    draw_texts(&train, 300, 1);
    draw_texts(&query, QUERIES, 2);
    write_texts("t.jsonl", &train);
    write_texts("q.jsonl", &query);
    ck_survives(tamis__fault_memory_after, find_small(), "t");
    tamis_store *store = open_small("t.h5", 3,
                                    &(tamis_examples){.id_number = (uint64_t[]){7, 8, 9}});
    for (long n = 0;; n++) {
        tamis__fault_memory_after(n);
        tamis_status status = tamis_candidates_read(context, "list.tsv", store, NULL, &c, &err);
        tamis__fault_memory_after(-1);
        if (n == 0) spill_text("list.tsv", "7\n9\n");
        if (status == TAMIS_OK) break;
        ck_assert_int_lt(n, 100);
    }
    tamis_candidates_free(&c);
    tamis_store_close(&store);
    tamis_context *tight = logging_context(1, 1 << 16);
    ck_fails(find(tight, "t.jsonl", "q.jsonl", NULL, 1000000, &c), TAMIS_ERR_NOMEM, "--memory");
    tamis_context_destroy(&tight);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("candidates");
    TCase *tcase = tcase_create("candidates");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, equals_plain_loops, 0, 5);
    tcase_add_test(tcase, any_number_of_threads);
    tcase_add_test(tcase, csv_and_tsv_and_gzip);
    tcase_add_test(tcase, texts_within_values);
    tcase_add_test(tcase, hostile_texts);
    tcase_add_test(tcase, what_is_refused);
    tcase_add_test(tcase, records_are_those_of_the_store);
    tcase_add_test(tcase, lists_of_ids);
    tcase_add_test(tcase, out_of_memory);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
