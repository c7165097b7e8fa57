/* Records found by threads: as by one pass, for lines that are short, long, blank, and at the edges
 * of blocks, and for quotes wherever they are.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/blocks.h"

#include <inttypes.h>

#include "base/mem.h"
#include "manifest_files.h"

enum { BLOCK = 1 << 20 };

/* Compares what comes with what one iterator says. */
typedef struct check {
    tamis__records records;
    uint64_t n;
    size_t done, stop_at;
} check;

static tamis_status compare(void *arg, const tamis__record *record, uint64_t digest, tamis_error *e)
{
    check *c = arg;
    tamis__record wanted;
    (void)e;
    if (tamis__records_next(&c->records, "buffer", &wanted, &err)) ck_abort();
    /* One assertion: there are millions of records, and each costs a message to the parent. */
    bool same = record->data == wanted.data && record->size == wanted.size &&
                record->span == wanted.span && record->line == wanted.line &&
                record->number == wanted.number && digest == tamis__record_digest(&wanted);
    if (!same) ck_abort_msg("record %" PRIu64 " is not that of one pass", c->n);
    c->n++;
    return TAMIS_OK;
}

static tamis_status note(void *arg, size_t so_far, tamis_error *e)
{
    check *c = arg;
    ck_assert_uint_gt(so_far, c->done);
    c->done = so_far;
    if (c->stop_at && so_far >= c->stop_at) {
        *e = (tamis_error){.status = TAMIS_ERR_CANCELLED};
        return TAMIS_ERR_CANCELLED;
    }
    return TAMIS_OK;
}

/* The same records, and in the end the same error or none. */
static void check_run(tamis_context *context, tamis__records_kind kind, size_t block,
                      const char *data, size_t size)
{
    check c = {0};
    tamis__record none;
    tamis_error wanted = {0}, found = {0};
    tamis__records_init(&c.records, kind, data, size);
    tamis__blocks blocks = {.kind = kind,
                            .path = "buffer",
                            .block = block,
                            .data = (const unsigned char *)data,
                            .size = size,
                            .first = tamis__records_bom(data, size),
                            .digests = true,
                            .arg = &c,
                            .record = compare,
                            .done = note};
    tamis_status status = tamis__blocks_run(context, &blocks, &found);
    tamis_status serial = tamis__records_next(&c.records, "buffer", &none, &wanted);
    if (status != serial || (status && strcmp(found.message, wanted.message) != 0))
        ck_abort_msg("'%.40s' in blocks of %zu: '%s', wanted '%s'", data, block, found.message,
                     wanted.message);
    if (status == TAMIS_OK && none.data) ck_abort_msg("'%.40s': records are missing", data);
    if (c.done != (size == blocks.first ? 0 : size)) ck_abort_msg("bytes are missing");
}

static void check_all(const char *data, size_t size)
{
    for (unsigned threads = 1; threads <= 4; threads++) {
        tamis_context *context = NULL;
        ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
        check_run(threads == 1 ? NULL : context, TAMIS__RECORDS_JSONL, 0, data, size);
        check_run(context, TAMIS__RECORDS_CSV, 0, data, size);
        check_run(context, TAMIS__RECORDS_TSV, 0, data, size);
        tamis_context_destroy(&context);
    }
}

/* All texts of up to 7 bytes that matter, cut wherever they can be. */
START_TEST(all_small_tables)
{
    static const char alphabet[] = {'"', ',', '\n', 'a', '\r'};
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = 1}, &err));
    unsigned texts = 1;
    for (size_t size = 0; size <= 7; size++, texts *= 5)
        for (unsigned k = 0; k < texts; k++) {
            char text[8] = "";
            unsigned rest = k;
            for (size_t i = 0; i < size; i++, rest /= 5) text[i] = alphabet[rest % 5];
            for (size_t block = 1; block <= 3; block++)
                check_run(context, TAMIS__RECORDS_CSV, block, text, size);
        }
    tamis_context_destroy(&context);
}
END_TEST

/* Longer ones at random, some with quotes at nearly every place and some with hardly any, by several
 * threads. */
START_TEST(random_tables)
{
    static const char alphabet[] = "\",\n\t\r\"x";
    unsigned seed = 9;
    for (unsigned threads = 1; threads <= 4; threads++) {
        tamis_context *context = NULL;
        ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
        for (int round = 0; round < 3000; round++) {
            char text[600];
            size_t size = (size_t)rand_r(&seed) % sizeof text;
            unsigned odds = 1 + (unsigned)round % 12;
            for (size_t i = 0; i < size; i++)
                text[i] = (unsigned)rand_r(&seed) % odds
                              ? 'y'
                              : alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
            check_run(context, round % 2 ? TAMIS__RECORDS_CSV : TAMIS__RECORDS_TSV,
                      1 + (size_t)rand_r(&seed) % 90, text, size);
        }
        tamis_context_destroy(&context);
    }
}
END_TEST

/* Fields that hold line ends over many blocks: closed in the end, closed and opened again in one
 * record, never closed. */
START_TEST(long_quotes)
{
    size_t size = 6 * (size_t)BLOCK;
    char *data = malloc(size);
    for (int end = 0; end < 3; end++) {
        memset(data, 'q', size);
        for (size_t at = 50; at < size; at += 97) data[at] = '\n';
        memcpy(data, "a,b\n1,\"", 7);
        if (end < 2) memcpy(data + 3 * (size_t)BLOCK + 12345, "\",\"\n", 4);
        if (end == 0) memcpy(data + 5 * (size_t)BLOCK - 3, "\"\r\n5,6", 6);
        check_all(data, size);
    }
    free(data);
}
END_TEST

START_TEST(small_texts)
{
    static const char *const text[] = {"",
                                       "\n",
                                       "a",
                                       "a\n",
                                       "a\r\nb",
                                       "\n\n",
                                       "a\n\nb",
                                       " \t\r\na\n",
                                       "a\r",
                                       "\xef\xbb\xbf",
                                       "\xef\xbb\xbf"
                                       "a\n",
                                       "a\n\xef\xbb\xbf"
                                       "b\n"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) check_all(text[i], strlen(text[i]));
}
END_TEST

/* Line ends just before, at and behind the edge of a block, and a line over several of them. */
START_TEST(edges_of_blocks)
{
    size_t size = 5 * (size_t)BLOCK + 17;
    char *data = malloc(size);
    for (int shift = -3; shift <= 3; shift++)
        for (int crlf = 0; crlf < 2; crlf++) {
            memset(data, 'x', size);
            for (size_t edge = BLOCK; edge < size; edge += 3 * (size_t)BLOCK) {
                size_t at = (size_t)((long)edge + shift);
                data[at] = '\n';
                if (crlf) data[at - 1] = '\r';
                memcpy(data + at + 1, "\xef\xbb\xbf\n\n", 5); /* no byte order mark here */
            }
            check_all(data, size);
        }
    free(data);
}
END_TEST

START_TEST(random_lines)
{
    unsigned seed = 3;
    size_t size = 3 * (size_t)BLOCK + 12345;
    char *data = malloc(size);
    static const unsigned spread[] = {2, 40, 3000, 400000};
    for (size_t k = 0; k < sizeof spread / sizeof *spread; k++) {
        memset(data, 'y', size);
        for (size_t at = 0; at < size; at += 1 + (size_t)rand_r(&seed) % spread[k]) data[at] = '\n';
        check_all(data, size);
    }
    free(data);
}
END_TEST

START_TEST(failures_are_passed_on)
{
    size_t size = 4 * (size_t)BLOCK;
    char *data = malloc(size);
    memset(data, 'z', size);
    for (size_t at = 99; at < size; at += 100) data[at] = '\n';
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = 2}, &err));
    check c = {.stop_at = 2 * (size_t)BLOCK};
    tamis__blocks blocks = {.kind = TAMIS__RECORDS_JSONL,
                            .data = (const unsigned char *)data,
                            .size = size,
                            .digests = true,
                            .arg = &c,
                            .record = compare,
                            .done = note};
    tamis__records_init(&c.records, TAMIS__RECORDS_JSONL, data, size);
    ck_assert_int_eq(tamis__blocks_run(context, &blocks, &err), TAMIS_ERR_CANCELLED);
    ck_assert_uint_lt(c.done, 3 * (size_t)BLOCK);
    tamis_status status = TAMIS_ERR_NOMEM;
    long n = 0;
    for (; n < 1000 && status != TAMIS_OK; n++) {
        c = (check){0};
        tamis__records_init(&c.records, TAMIS__RECORDS_JSONL, data, size);
        err = (tamis_error){0};
        tamis__fault_memory_after(n);
        status = tamis__blocks_run(context, &blocks, &err);
        tamis__fault_memory_after(-1);
        if (status != TAMIS_OK) ck_assert(status == TAMIS_ERR_NOMEM && *err.message);
    }
    ck_ok(status);
    ck_assert_int_gt(n, 3);
    tamis_context_destroy(&context);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks of records");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 100);
    tcase_add_test(all, small_texts);
    tcase_add_test(all, all_small_tables);
    tcase_add_test(all, random_tables);
    tcase_add_test(all, long_quotes);
    tcase_add_test(all, edges_of_blocks);
    tcase_add_test(all, random_lines);
    tcase_add_test(all, failures_are_passed_on);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
