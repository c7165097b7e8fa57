/* Tests of resuming a matrix of scores from its spool: whatever the interruption, the finished file
 * has the bytes of one that was never interrupted.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <tamis/scores.h>

#include "base/context.h"
#include "small_files.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Blocks of 8 x 4 of a matrix of 37 x 11, by rows; row 20 has no score. */
enum { ROWS = 37, QUERIES = 11, HIGH = 8, WIDE = 4, DOWN = 5, ACROSS = 3, BLOCKS = DOWN * ACROSS };
enum { HEADER = 48, FRAME = 40 };

static float value_at(uint64_t row, uint64_t query)
{
    return row == 20 ? NAN : (float)row * 100.0f + (float)query + 0.25f;
}

typedef struct block {
    uint64_t row, rows, query, queries;
} block;

static block block_at(uint64_t n)
{
    block b = {n / ACROSS * HIGH, HIGH, n % ACROSS * WIDE, WIDE};
    if (b.row + b.rows > ROWS) b.rows = ROWS - b.row;
    if (b.query + b.queries > QUERIES) b.queries = QUERIES - b.query;
    return b;
}

static uint64_t record_bytes(uint64_t n)
{
    block b = block_at(n);
    return FRAME + b.rows * b.queries * sizeof(float);
}

static tamis_status put(tamis_scores_writer *writer, uint64_t n, tamis_error *err)
{
    float values[HIGH * QUERIES];
    block b = block_at(n);
    for (uint64_t i = 0; i < b.rows; i++)
        for (uint64_t j = 0; j < b.queries; j++)
            values[i * QUERIES + j] = value_at(b.row + i, b.query + j);
    return tamis_scores_writer_put(writer, b.row, b.rows, b.query, b.queries, values, QUERIES, err);
}

static tamis_scores_spec spec_of(const char *path, const char *key)
{
    return (tamis_scores_spec){.path = path,
                               .rows = ROWS,
                               .queries = QUERIES,
                               .scorer = "tracin",
                               .resume = key != NULL,
                               .key = key,
                               .force = true};
}

/* Open, and put the blocks that are not there yet, up to `stop`; commit when that is all. */
static tamis_status go_on(const char *path, const char *key, uint64_t stop, uint64_t *ret_resumed,
                          tamis_error *err)
{
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = spec_of(path, key);
    tamis_status status = tamis_scores_writer_open(&writer, context, &spec, err);
    if (status != TAMIS_OK) return status;
    uint64_t resumed = tamis_scores_writer_resumed(writer);
    if (ret_resumed) *ret_resumed = resumed;
    for (uint64_t n = resumed; n < stop && status == TAMIS_OK; n++) status = put(writer, n, err);
    if (status == TAMIS_OK && stop == BLOCKS) return tamis_scores_writer_commit(&writer, err);
    tamis_scores_writer_abort(&writer);
    return status;
}

static void make_reference(void)
{
    tamis_error err = {0};
    ck_ok(go_on("whole.h5", NULL, BLOCKS, NULL, &err));
}

static void ck_done(const char *path)
{
    char name[64];
    ck_same_files("whole.h5", path);
    snprintf(name, sizeof name, "%s.spool", path);
    ck_assert(!exists(name));
    snprintf(name, sizeof name, "%s.part", path);
    ck_assert(!exists(name));
    unlink(path);
}

static void ck_size(const char *path, uint64_t wanted)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_size, wanted);
}

/* --- interruptions ---------------------------------------------------------------------------- */

START_TEST(without_interruption)
{
    tamis_error err = {0};
    uint64_t resumed = 99;
    make_reference();
    ck_assert(!exists("whole.h5.spool"));
    ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
    ck_assert_uint_eq(resumed, 0);
    ck_done("s.h5");
}
END_TEST

/* Given up after any number of blocks, and gone on with by any number. */
START_TEST(after_an_abort)
{
    tamis_error err = {0};
    uint64_t resumed = 99;
    make_reference();
    for (uint64_t first = 0; first <= BLOCKS; first++) {
        tamis_scores_writer *writer = NULL;
        tamis_scores_spec spec = spec_of("s.h5", "key");
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        for (uint64_t n = 0; n < first; n++) ck_ok(put(writer, n, &err));
        tamis_scores_writer_abort(&writer);
        ck_assert(!exists("s.h5") && !exists("s.h5.part"));
        ck_assert_int_eq(exists("s.h5.spool"), first > 0);
        if (first + 2 < BLOCKS) {
            ck_ok(go_on("s.h5", "key", first + 2, &resumed, &err));
            ck_assert_uint_eq(resumed, first);
        }
        ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
        ck_assert_uint_eq(resumed, first + 2 < BLOCKS ? first + 2 : first);
        ck_done("s.h5");
    }
}
END_TEST

/* The spool of a whole run whose last step failed, cut at every byte of its first records, and of
 * the others at, just before and just after each end, and at some bytes between. */
START_TEST(cut_anywhere)
{
    tamis_error err = {0};
    size_t size;
    make_reference();
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = spec_of("s.h5", "key");
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    for (uint64_t n = 0; n < BLOCKS; n++) ck_ok(put(writer, n, &err));
    tamis_scores_writer_abort(&writer);
    char *bytes = slurp("s.h5.spool", &size);
    uint64_t whole = 0, end = HEADER;
    for (size_t cut = 0; cut <= size; cut++) {
        uint64_t resumed = 99;
        while (whole < BLOCKS && end + record_bytes(whole) <= cut) end += record_bytes(whole++);
        bool near = cut - end < 2 || cut + 1 == end + record_bytes(whole);
        if (cut > 120 && cut % 17 && !near) continue;
        spill("s.h5.spool", bytes, cut);
        ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
        ck_assert_uint_eq(resumed, whole);
        ck_done("s.h5");
    }
    ck_assert_uint_eq(whole, BLOCKS);
    ck_assert_uint_eq(end, size);
    free(bytes);
}
END_TEST

/* A wrong byte anywhere in a record ends what is taken over before it; in the header it is an
 * error, and the spool stays. */
START_TEST(changed_anywhere)
{
    tamis_error err = {0};
    size_t size;
    make_reference();
    ck_ok(go_on("s.h5", "key", 4, NULL, &err));
    char *bytes = slurp("s.h5.spool", &size);
    uint64_t whole = 0, end = HEADER;
    for (size_t at = 0; at < size; at += at < HEADER ? 1 : 3) {
        uint64_t resumed = 99;
        if (at >= end + record_bytes(whole)) end += record_bytes(whole++);
        bytes[at] ^= 0x40;
        spill("s.h5.spool", bytes, size);
        bytes[at] ^= 0x40;
        if (at < HEADER) {
            ck_fails(go_on("s.h5", "key", BLOCKS, &resumed, &err), TAMIS_ERR_FORMAT, "is no spool");
            ck_assert(exists("s.h5.spool") && !exists("s.h5") && !exists("s.h5.part"));
            continue;
        }
        ck_ok(go_on("s.h5", "key", 0, &resumed, &err));
        if (whole > 0) ck_size("s.h5.spool", end);
        ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
        ck_assert_uint_eq(resumed, whole);
        ck_done("s.h5");
    }
    free(bytes);
}
END_TEST

/* A child that is killed while it writes, at a time that no one chose. */
START_TEST(killed)
{
    tamis_error err = {0};
    make_reference();
    unsigned seed = 1;
    for (int round = 0; round < 40 && !exists("s.h5"); round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            tamis_scores_writer *writer = NULL;
            tamis_scores_spec spec = spec_of("s.h5", "key");
            spec.force = false;
            tamis_context *own = small_context(1);
            if (tamis_scores_writer_open(&writer, own, &spec, &err)) _exit(1);
            for (uint64_t n = tamis_scores_writer_resumed(writer); n < BLOCKS; n++) {
                if (put(writer, n, &err)) _exit(1);
                usleep(500);
            }
            _exit(tamis_scores_writer_commit(&writer, &err) ? 1 : 0);
        }
        seed = seed * 1103515245u + 12345u;
        usleep(1000 + seed / 65536 % 4000);
        int status = 0;
        kill(child, SIGKILL);
        ck_assert_int_eq((int)waitpid(child, &status, 0), (int)child);
        ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    }
    if (!exists("s.h5")) {
        ck_ok(go_on("s.h5", "key", BLOCKS, NULL, &err));
    } else {
        unlink("s.h5.spool"); /* killed between the rename and this */
    }
    ck_done("s.h5");
}
END_TEST

/* --- replaying -------------------------------------------------------------------------------- */

typedef struct seen {
    uint64_t blocks, stop;
} seen;

static tamis_status look(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    (void)err;
    seen *s = arg;
    if (s->blocks == s->stop) return TAMIS_ERR_CANCELLED;
    block b = block_at(s->blocks++);
    ck_assert(b.row == first_row && b.rows == rows && b.query == first_query);
    ck_assert_uint_eq(b.queries, queries);
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < queries; j++) {
            float wanted = value_at(first_row + i, first_query + j);
            ck_assert_int_eq(memcmp(&values[i * stride + j], &wanted, sizeof wanted), 0);
        }
    return TAMIS_OK;
}

START_TEST(replays_what_was_put)
{
    tamis_error err = {0};
    make_reference();
    for (uint64_t first = 0; first < BLOCKS; first += 4) {
        tamis_scores_writer *writer = NULL;
        tamis_scores_spec spec = spec_of("s.h5", "key");
        seen all = {0, UINT64_MAX}, some = {0, 2};
        ck_ok(go_on("s.h5", "key", first, NULL, &err));
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        ck_ok(tamis_scores_writer_replay(writer, look, &all, &err));
        ck_assert_uint_eq(all.blocks, first);
        if (first > 2)
            ck_assert_int_eq(tamis_scores_writer_replay(writer, look, &some, &err),
                             TAMIS_ERR_CANCELLED);
        for (uint64_t n = first; n < BLOCKS; n++) ck_ok(put(writer, n, &err));
        ck_ok(tamis_scores_writer_commit(&writer, &err));
        ck_done("s.h5");
    }
}
END_TEST

/* A record larger than the blocks that the spool is written by, and rows that lie apart. */
START_TEST(large_blocks)
{
    tamis_error err = {0};
    enum { TALL = 1500, BROAD = 401, STRIDE = 450 };
    float *values = malloc(sizeof(float) * TALL * STRIDE);
    for (size_t i = 0; i < (size_t)TALL * STRIDE; i++) values[i] = (float)(i * 7 % 1000003);
    tamis_scores_spec spec = {.path = "a.h5", .rows = 2 * TALL, .queries = BROAD};
    tamis_scores_writer *writer = NULL;
    for (int run = 0; run < 3; run++) {
        spec.path = run == 0 ? "a.h5" : "b.h5";
        spec.resume = run > 0;
        spec.key = "large";
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        uint64_t resumed = tamis_scores_writer_resumed(writer);
        ck_assert_uint_eq(resumed, run == 2);
        if (!resumed)
            ck_ok(tamis_scores_writer_put(writer, 0, TALL, 0, BROAD, values, STRIDE, &err));
        if (run == 1) {
            tamis_scores_writer_abort(&writer);
            continue;
        }
        ck_ok(tamis_scores_writer_put(writer, TALL, TALL, 0, BROAD, values + 1, STRIDE, &err));
        ck_ok(tamis_scores_writer_commit(&writer, &err));
    }
    ck_same_files("a.h5", "b.h5");
    free(values);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(refuses_another_run)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = spec_of("s.h5", "one");
    ck_ok(go_on("s.h5", "one", 3, NULL, &err));
    ck_fails(go_on("s.h5", "other", BLOCKS, NULL, &err), TAMIS_ERR_SHAPE,
             "'s.h5.spool' was made otherwise");
    spec.rows++;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_SHAPE,
             "37 rows and 11 queries, now they are 38 and 11");
    ck_assert(exists("s.h5.spool") && !exists("s.h5.part"));
    spill("s.h5.spool", "my own notes", 12);
    ck_fails(go_on("s.h5", "one", BLOCKS, NULL, &err), TAMIS_ERR_FORMAT, "is no spool");
    ck_assert(exists("s.h5.spool"));
    unlink("s.h5.spool");
    spec = spec_of("s.h5", "one");
    spec.top = 2;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "only a whole matrix");
    spec.top = 0;
    spec.key = NULL;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "key");
    ck_assert(!exists("s.h5.spool") && !exists("s.h5.part"));
}
END_TEST

/* Two outputs cannot have one spool, but a link can make two names of one. */
START_TEST(refuses_a_spool_in_use)
{
    tamis_error err = {0};
    tamis_scores_writer *first = NULL, *second = NULL;
    tamis_scores_spec spec = spec_of("s.h5", "key"), other = spec_of("t.h5", "key");
    ck_ok(tamis_scores_writer_open(&first, context, &spec, &err));
    ck_fails(tamis_scores_writer_open(&second, context, &spec, &err), TAMIS_ERR_IO, "another run");
    ck_assert_int_eq(link("s.h5.spool", "t.h5.spool"), 0);
    ck_fails(tamis_scores_writer_open(&second, context, &other, &err), TAMIS_ERR_IO,
             "'t.h5.spool' is in use by another run");
    ck_assert(exists("s.h5.spool") && exists("s.h5.part"));
    ck_assert(exists("t.h5.spool") && !exists("t.h5.part"));
    tamis_scores_writer_abort(&first);
    ck_ok(go_on("t.h5", "key", BLOCKS, NULL, &err));
}
END_TEST

/* Without resume a spool that lies there is left alone. */
START_TEST(without_resume)
{
    tamis_error err = {0};
    size_t before, after;
    make_reference();
    ck_ok(go_on("s.h5", "key", 5, NULL, &err));
    char *bytes = slurp("s.h5.spool", &before);
    ck_ok(go_on("s.h5", NULL, 7, NULL, &err));
    ck_ok(go_on("s.h5", NULL, BLOCKS, NULL, &err));
    char *again = slurp("s.h5.spool", &after);
    ck_assert_uint_eq(before, after);
    ck_assert_mem_eq(bytes, again, before);
    free(bytes);
    free(again);
    unlink("s.h5.spool");
    ck_done("s.h5");
}
END_TEST

/* --- cancelled and failing -------------------------------------------------------------------- */

static int stop_at_once(void *cookie, const char *phase, uint64_t done, uint64_t total,
                        const char *unit, const char *note)
{
    (void)cookie, (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, "resuming");
}

/* A run that is stopped while it takes over must not lose what it was to take over. */
START_TEST(cancelled_while_resuming)
{
    tamis_error err = {0};
    uint64_t resumed = 0;
    tamis_context *other = NULL;
    tamis_scores_writer *writer = NULL;
    tamis_context_params params = {.threads = 1, .progress = stop_at_once};
    tamis_scores_spec spec = spec_of("s.h5", "key");
    make_reference();
    ck_ok(tamis_context_create(&other, &params, &err));
    ck_ok(go_on("s.h5", "key", 6, NULL, &err));
    ck_assert_int_eq(tamis_scores_writer_open(&writer, other, &spec, &err), TAMIS_ERR_CANCELLED);
    ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
    ck_assert_uint_eq(resumed, 6);
    ck_done("s.h5");
    tamis_context_destroy(&other);
}
END_TEST

/* Every allocation, read and write fails once, each time in a fresh run and in one that goes on;
 * what follows it ends with the right bytes. */
static void ck_recovers(void (*fault)(long), uint64_t before)
{
    for (long n = 0;; n++) {
        tamis_error err = {0};
        ck_assert_msg(n < 10000, "never succeeds");
        ck_ok(go_on("s.h5", "key", before, NULL, &err));
        err = (tamis_error){0};
        fault(n);
        tamis_status status = go_on("s.h5", "key", BLOCKS, NULL, &err);
        fault(-1);
        if (status == TAMIS_OK) {
            ck_assert_int_gt((int)n, 5);
            ck_done("s.h5");
            return;
        }
        ck_assert_msg(err.message[0] != '\0', "failure %ld says nothing", n);
        ck_assert_msg(!exists("s.h5.part") && !exists("s.h5"), "failure %ld leaves a file", n);
        ck_assert_msg(before == 0 || exists("s.h5.spool"), "failure %ld loses the spool", n);
        uint64_t resumed = 0;
        ck_ok(go_on("s.h5", "key", BLOCKS, &resumed, &err));
        ck_assert_uint_ge(resumed, before);
        ck_done("s.h5");
    }
}

START_TEST(survives_failures)
{
    make_reference();
    ck_recovers(tamis__fault_memory_after, 0);
    ck_recovers(tamis__fault_memory_after, 7);
    ck_recovers(tamis__fault_io_after, 0);
    ck_recovers(tamis__fault_io_after, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scores_spool");
    TCase *tcase = tcase_create("scores_spool");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, without_interruption);
    tcase_add_test(tcase, after_an_abort);
    tcase_add_test(tcase, cut_anywhere);
    tcase_add_test(tcase, changed_anywhere);
    tcase_add_test(tcase, killed);
    tcase_add_test(tcase, replays_what_was_put);
    tcase_add_test(tcase, large_blocks);
    tcase_add_test(tcase, refuses_another_run);
    tcase_add_test(tcase, refuses_a_spool_in_use);
    tcase_add_test(tcase, without_resume);
    tcase_add_test(tcase, cancelled_while_resuming);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
