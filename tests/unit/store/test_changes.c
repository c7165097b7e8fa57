/* Files of a store that change while it is open.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_files.h"

#include <fcntl.h>
#include <unistd.h>

#include "store/store_object.h"

/* Rows of 8 KiB, so that a file that lost its end has lost rows. */
enum { ROWS = 40, COLUMNS = 2048 };

static tamis_context *context;
static tamis_error err;

static void setup(void)
{
    enter_scratch();
    context = small_context(1);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_store *opened(const char *path, uint64_t rows, uint64_t columns, uint64_t shard_rows)
{
    tamis_store *store = NULL;
    float *values = calloc(rows * columns, sizeof *values);
    for (uint64_t i = 0; i < rows * columns; i++) values[i] = (float)(i % 1000) + 1;
    small_store(context, path, TAMIS_F32, rows, columns, 1, values, NULL, shard_rows);
    free(values);
    ck_ok(tamis_store_open(&store, context, path, &err));
    ck_ok(tamis__store_unchanged(store, &err));
    return store;
}

/* Lose the second half. */
static void cut(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size / 2), 0);
}

static void ck_changed(tamis_store *store, const char *why)
{
    ck_fails(tamis__store_unchanged(store, &err), TAMIS_ERR_IO, "was changed while it was read");
    ck_assert_ptr_nonnull(strstr(err.message, why));
    ck_assert_int_eq(err.sys_errno, 0);
}

START_TEST(cut_short)
{
    tamis_store *store = opened("g", ROWS, COLUMNS, 0);
    float row[COLUMNS], *loss = NULL;
    const float *norm = NULL;
    cut("g");
    ck_changed(store, "'g' was changed while it was read: it had ");
    ck_fails(tamis__store_rows_there(store, ROWS - 1, 1, &err), TAMIS_ERR_IO, "'g'");
    ck_ok(tamis__store_rows_there(store, 0, 0, &err));
    /* Nothing that touches the missing pages goes ahead. */
    ck_fails(tamis_store_read(store, 0, ROWS - 1, 1, 0, COLUMNS, row, COLUMNS, &err), TAMIS_ERR_IO,
             "'g' was changed");
    ck_fails(tamis_store_norms(store, 0, &norm, &err), TAMIS_ERR_IO, "'g' was changed");
    ck_fails(tamis_store_outputs(store, 0, "loss", &loss, &err), TAMIS_ERR_IO, "'g' was changed");
    tamis_store_close(&store);
}
END_TEST

START_TEST(grown_or_written_to)
{
    tamis_store *store = opened("g", 4, 8, 0);
    struct stat st;
    ck_assert_int_eq(stat("g", &st), 0);
    ck_assert_int_eq(truncate("g", st.st_size + 1), 0);
    ck_changed(store, "bytes and has");
    ck_assert_int_eq(truncate("g", st.st_size), 0);
    const struct timespec later[2] = {st.st_atim, {st.st_mtim.tv_sec, 1}},
                          before[2] = {st.st_atim, st.st_mtim};
    ck_assert_int_eq(utimensat(AT_FDCWD, "g", later, 0), 0);
    ck_changed(store, "it was written to meanwhile");
    ck_assert_int_eq(utimensat(AT_FDCWD, "g", before, 0), 0);
    ck_ok(tamis__store_unchanged(store, &err));
    tamis_store_close(&store);
}
END_TEST

/* The rows that are mapped are still those of the old file. */
START_TEST(replaced_or_removed)
{
    tamis_store *store = opened("g", ROWS, COLUMNS, 0);
    float row[COLUMNS];
    spill("other", "x", 1);
    ck_assert_int_eq(_i ? unlink("g") : rename("other", "g"), 0);
    ck_ok(tamis__store_unchanged(store, &err));
    ck_ok(tamis_store_read(store, 0, ROWS - 1, 1, 0, COLUMNS, row, COLUMNS, &err));
    ck_float(row[0], (float)((ROWS - 1) * COLUMNS % 1000) + 1);
    tamis_store_close(&store);
}
END_TEST

/* A descriptor knows its file under any name. */
START_TEST(renamed_then_cut)
{
    tamis_store *store = opened("g", ROWS, COLUMNS, 0);
    ck_assert_int_eq(rename("g", "elsewhere"), 0);
    ck_ok(tamis__store_unchanged(store, &err));
    cut("elsewhere");
    ck_changed(store, "it had ");
    tamis_store_close(&store);
}
END_TEST

START_TEST(one_shard_of_several)
{
    tamis_store *store = opened("d", ROWS, COLUMNS, 8);
    cut("d/00002.h5");
    ck_changed(store, "'d/00002.h5'");
    ck_ok(tamis__store_rows_there(store, 0, 16, &err));
    ck_fails(tamis__store_rows_there(store, 15, 2, &err), TAMIS_ERR_IO, "'d/00002.h5'");
    ck_fails(tamis__store_rows_there(store, 23, 9, &err), TAMIS_ERR_IO, "'d/00002.h5'");
    ck_ok(tamis__store_rows_there(store, 24, 16, &err));
    tamis_store_close(&store);
}
END_TEST

static unsigned descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* More shards than descriptors are held for: the others are looked for by name. */
START_TEST(very_many_shards)
{
    unsigned before = descriptors();
    tamis_store *store = opened("d", 150, 64, 1);
    unsigned held = descriptors() - before;
    ck_assert(held > 0 && held < 140);
    spill("other", "x", 1);
    ck_assert_int_eq(rename("other", "d/00149.h5"), 0);
    ck_assert_int_eq(unlink("d/00148.h5"), 0);
    ck_ok(tamis__store_unchanged(store, &err));
    cut("d/00147.h5");
    ck_changed(store, "'d/00147.h5'");
    ck_ok(tamis__store_rows_there(store, 0, 147, &err));
    tamis_store_close(&store);
    ck_assert_uint_eq(descriptors(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("changes");
    TCase *tc = tcase_create("changes");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, cut_short);
    tcase_add_test(tc, grown_or_written_to);
    tcase_add_loop_test(tc, replaced_or_removed, 0, 2);
    tcase_add_test(tc, renamed_then_cut);
    tcase_add_test(tc, one_shard_of_several);
    tcase_add_test(tc, very_many_shards);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
