/* Lines found by threads: as by one pass, for lines that are short, long, blank, and at the edges
 * of blocks.
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

static void check_all(const char *data, size_t size)
{
    for (unsigned threads = 1; threads <= 4; threads++) {
        check c = {0};
        tamis__record none;
        tamis_context *context = NULL;
        ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
        tamis__records_init(&c.records, TAMIS__RECORDS_JSONL, data, size);
        tamis__blocks blocks = {.data = (const unsigned char *)data,
                                .size = size,
                                .first = tamis__records_bom(data, size),
                                .digests = true,
                                .arg = &c,
                                .record = compare,
                                .done = note};
        ck_ok(tamis__blocks_run(threads == 1 ? NULL : context, &blocks, &err));
        ck_ok(tamis__records_next(&c.records, "buffer", &none, &err));
        ck_assert_ptr_null(none.data);
        ck_assert_uint_eq(c.done, size == blocks.first ? 0 : size);
        tamis_context_destroy(&context);
    }
}

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
    tamis__blocks blocks = {.data = (const unsigned char *)data,
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
    Suite *suite = suite_create("blocks of lines");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 100);
    tcase_add_test(all, small_texts);
    tcase_add_test(all, edges_of_blocks);
    tcase_add_test(all, random_lines);
    tcase_add_test(all, failures_are_passed_on);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
