/* Stores given up, killed, and gone on with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/rng.h"

static tamis_context *context;

static void setup(void)
{
    tamis_context_params params = {.threads = 1};
    enter_scratch();
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static const small_store sharded = {
    .path = "d",
    .rows = 150,
    .columns = 6,
    .checkpoints = 2,
    .shard_rows = 32,
    .outputs = true,
    .labels = true,
    .groups = true,
    .class_name = small_class_name,
    .text_ids = true,
    .provenance = "{\"command\":\"x\"}",
};

/* Five shards of two stores are the same, and nothing else is there. */
static void check_same(const char *a, const char *b, unsigned shards)
{
    char x[64], y[64];
    for (unsigned i = 0; i < shards; i++) {
        snprintf(x, sizeof x, "%s/%05u.h5", a, i);
        snprintf(y, sizeof y, "%s/%05u.h5", b, i);
        ck_assert_msg(same_bytes(x, y), "%s and %s differ", x, y);
    }
    snprintf(x, sizeof x, "test $(ls %s | wc -l) -eq %u", b, shards);
    ck_assert_int_eq(system(x), 0);
}

static void write_reference(void)
{
    small_store s = sharded;
    s.path = "reference";
    ck_ok(small_write(context, &s, s.rows));
}

/* --- given up --------------------------------------------------------------------------------- */

START_TEST(given_up_after_rows)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    write_reference();
    for (uint64_t rows = 0; rows <= s.rows; rows += 15) {
        ck_assert_int_eq(system("rm -rf d"), 0);
        s.resume = false;
        ck_ok(small_open(&writer, context, &s));
        if (rows) ck_ok(small_append(writer, &s, rows));
        tamis_store_writer_abort(&writer);
        s.resume = true;
        ck_ok(small_open(&writer, context, &s));
        /* The last shard waits for the commit, so it is never there. */
        uint64_t whole = rows / 32 * 32;
        ck_assert_uint_eq(tamis_store_writer_next(writer), whole);
        ck_ok(small_finish(&writer, &s, 7));
        check_same("reference", "d", 5);
    }
}
END_TEST

START_TEST(a_leftover_part)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    write_reference();
    ck_ok(small_open(&writer, context, &s));
    ck_ok(small_append(writer, &s, 40));
    tamis_store_writer_abort(&writer);
    write_bytes("d/00001.h5.part", "half", 4);
    write_bytes("d/00002.h5.part", "half", 4);
    tamis_store *store = NULL;
    ck_fails(tamis_store_open(&store, context, "d", &err), TAMIS_ERR_FORMAT,
             "stops at row 32 of 150; run the command again with --resume");
    s.resume = true;
    ck_ok(small_write(context, &s, 30));
    check_same("reference", "d", 5);
}
END_TEST

START_TEST(a_lost_shard)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    write_reference();
    ck_ok(small_write(context, &s, 30));
    ck_assert_int_eq(unlink("d/00002.h5"), 0);
    ck_fails(tamis_store_open(&store, context, "d", &err), TAMIS_ERR_FORMAT, "rows 64 to 95");
    s.resume = true;
    ck_ok(small_open(&writer, context, &s));
    ck_assert_uint_eq(tamis_store_writer_next(writer), 64);
    ck_ok(small_finish(&writer, &s, 30));
    check_same("reference", "d", 5);
}
END_TEST

START_TEST(finished_already)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    ck_ok(small_write(context, &s, 30));
    s.resume = true;
    ck_ok(small_open(&writer, context, &s));
    ck_assert_uint_eq(tamis_store_writer_next(writer), s.rows);
    ck_ok(tamis_store_writer_commit(&writer, &err));
    s.path = "one.h5", s.shard_rows = 0;
    ck_ok(small_write(context, &s, 30)); /* nothing there: written from the start */
    ck_ok(small_open(&writer, context, &s));
    ck_assert_uint_eq(tamis_store_writer_next(writer), s.rows);
    ck_ok(tamis_store_writer_commit(&writer, &err));
}
END_TEST

/* An old store is there until the first shard of the new one is whole. */
START_TEST(forced_late)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    write_reference();
    ck_ok(small_write(context, &s, 30));
    s.force = true, s.provenance = "{}";
    ck_ok(small_open(&writer, context, &s));
    ck_ok(small_append(writer, &s, 31));
    tamis_store_writer_abort(&writer);
    check_same("reference", "d", 5);
    ck_ok(small_open(&writer, context, &s));
    ck_ok(small_append(writer, &s, 33));
    tamis_store_writer_abort(&writer);
    ck_assert_int_eq(system("test $(ls d | wc -l) -eq 1"), 0);
}
END_TEST

/* Two runs on one directory: the second one stops and takes nothing away. */
START_TEST(two_runs)
{
    small_store s = sharded;
    tamis_store_writer *first = NULL, *second = NULL;
    write_reference();
    ck_ok(small_open(&first, context, &s));
    ck_ok(small_append(first, &s, 40));
    s.resume = true;
    ck_fails(small_open(&second, context, &s), TAMIS_ERR_IO, "is being written by another run");
    ck_ok(small_finish(&first, &s, 30));
    check_same("reference", "d", 5);
}
END_TEST

/* Shards behind a gap are of the same run, or the store is refused: by --resume and by readers. */
START_TEST(shards_of_two_runs)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    ck_ok(small_write(context, &s, 30));
    ck_assert_int_eq(rename("d/00000.h5", "kept"), 0);
    s.resume = true, s.provenance = "{}";
    ck_fails(small_open(&writer, context, &s), TAMIS_ERR_SHAPE, "provenance differs");
    s.resume = false, s.path = "e";
    ck_ok(small_write(context, &s, 30));
    ck_assert_int_eq(rename("e/00000.h5", "d/00000.h5"), 0);
    ck_fails(tamis_store_open(&store, context, "d", &err), TAMIS_ERR_SHAPE, "another provenance");
}
END_TEST

/* --- not what it was -------------------------------------------------------------------------- */

static void refused(const small_store *s, const char *why)
{
    tamis_store_writer *writer = NULL;
    ck_fails(small_open(&writer, context, s), TAMIS_ERR_SHAPE, why);
    ck_assert_ptr_null(writer);
}

START_TEST(made_otherwise)
{
    small_store was = sharded, s;
    if (_i) was.path = "one.h5", was.shard_rows = 0;
    ck_ok(small_write(context, &was, 30));
    was.resume = true;
    s = was, s.rows = 151, refused(&s, "rows in all: 150, now it is 151");
    s = was, s.columns = 7, refused(&s, "layer 'größer'");
    s = was, s.dtype = TAMIS_F16, refused(&s, "holds f32 rows, now it is f16");
    s = was, s.checkpoints = 3, refused(&s, "checkpoints: 2, now it is 3");
    s = was, s.classes = 4, refused(&s, "classes: 0, now it is 4");
    s = was, s.outputs = false, refused(&s, "outputs");
    s = was, s.provenance = "{}", refused(&s, "provenance differs");
    s = was, s.force = true, s.provenance = "{}", refused(&s, "provenance differs");
    if (!_i) s = was, s.shard_rows = 16, refused(&s, "rows in a file: 32, now it is 16");
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, was.path, &err));
    tamis_store_close(&store);
}
END_TEST

START_TEST(other_learning_rate)
{
    tamis_layer layer = {.name = "a", .out = 1, .in = 1};
    tamis_checkpoint checkpoint = {1, 0.1};
    tamis_store_spec spec = {.path = "s.h5",
                             .rows = 1,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    const float row = 1, *rows = &row;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, 1, &rows, NULL, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    spec.resume = true, checkpoint.learning_rate = 0.1000001;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_SHAPE,
             "learning rate 0.1 at");
    checkpoint.learning_rate = 0.1, checkpoint.step = 2;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_SHAPE,
             "step 1, now it is 2");
}
END_TEST

START_TEST(a_damaged_shard)
{
    small_store s = sharded;
    tamis_store_writer *writer = NULL;
    ck_ok(small_write(context, &s, 30));
    ck_assert_int_eq(truncate("d/00001.h5", 5000), 0);
    s.resume = true;
    ck_fails(small_open(&writer, context, &s), TAMIS_ERR_FORMAT, "'d/00001.h5' is truncated");
}
END_TEST

/* --- killed ----------------------------------------------------------------------------------- */

/* Big enough that a kill falls into the middle: 60 shards of 128 KiB. */
static small_store killed_store(const char *path)
{
    small_store s = sharded;
    s.path = path;
    s.rows = 60 * 64 - 17;
    s.columns = 255;
    s.shard_rows = 64;
    s.resume = true;
    return s;
}

static void write_until_killed(void)
{
    small_store s = killed_store("d");
    tamis_context *own = NULL;
    if (tamis_context_create(&own, NULL, NULL) != TAMIS_OK) _exit(2);
    _exit(small_write(own, &s, 19) == TAMIS_OK ? 0 : 1);
}

/* A child writes; it is killed; the next goes on, until one gets to its end. */
static unsigned kill_until_finished(gsl_rng *rng, long longest)
{
    for (unsigned kills = 0;; kills++) {
        pid_t child = fork();
        if (child == 0) write_until_killed();
        ck_assert_int_gt(child, 0);
        long pause = (long)gsl_rng_uniform_int(rng, (unsigned long)longest);
        struct timespec wait = {.tv_sec = pause / 1000000000, .tv_nsec = pause % 1000000000};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        longest += longest / 8; /* so that it ends on a machine as slow as can be */
        int how = 0;
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        if (WIFEXITED(how)) {
            ck_assert_int_eq(WEXITSTATUS(how), 0);
            return kills;
        }
    }
}

START_TEST(killed_at_random)
{
    small_store s = killed_store("reference");
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    ck_ok(small_write(context, &s, s.rows));
    clock_gettime(CLOCK_MONOTONIC, &to);
    /* What one run takes: a kill falls anywhere in it. */
    long whole = (long)(to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
    if (whole > 800000000) whole = 800000000;
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    unsigned kills = 0;
    while (kills < 50) {
        ck_assert_int_eq(system("rm -rf d"), 0);
        kills += kill_until_finished(rng, whole);
        check_same("reference", "d", 60);
        tamis_store *store = NULL;
        ck_ok(tamis_store_open(&store, context, "d", &err));
        tamis_store_close(&store);
    }
    gsl_rng_free(rng);
}
END_TEST

/* --- a full disk ------------------------------------------------------------------------------ */

/* Files end at a limit: every length must give an error and leave nothing. */
START_TEST(full_disk)
{
    small_store s = sharded;
    s.path = "s.h5", s.shard_rows = 0, s.columns = 300;
    ck_ok(small_write(context, &s, 50));
    size_t size;
    free(file_bytes("s.h5", &size));
    unlink("s.h5");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        unsigned bad = 0;
        signal(SIGXFSZ, SIG_IGN);
        for (size_t limit = 0; limit < size; limit += size / 40) {
            struct rlimit full = {limit, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &full);
            err.message[0] = '\0';
            tamis_status status = small_write(context, &s, 50);
            bad += status != TAMIS_ERR_IO || !strstr(err.message, "File too large");
            bad += access("s.h5", F_OK) == 0 || access("s.h5.part", F_OK) == 0;
        }
        struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &none);
        bad += small_write(context, &s, 50) != TAMIS_OK;
        tamis_context_destroy(&context);
        exit(bad > 100 ? 100 : (int)bad); /* with HDF5's own clean-up, which must not crash */
    }
    int how = 0;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert_msg(WIFEXITED(how) && WEXITSTATUS(how) == 0, "the child ended with %d", how);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resume");
    TCase *tc = tcase_create("resume");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, given_up_after_rows);
    tcase_add_test(tc, a_leftover_part);
    tcase_add_test(tc, a_lost_shard);
    tcase_add_test(tc, finished_already);
    tcase_add_loop_test(tc, made_otherwise, 0, 2);
    tcase_add_test(tc, other_learning_rate);
    tcase_add_test(tc, a_damaged_shard);
    tcase_add_test(tc, forced_late);
    tcase_add_test(tc, two_runs);
    tcase_add_test(tc, shards_of_two_runs);
    tcase_add_test(tc, killed_at_random);
    tcase_add_test(tc, full_disk);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
