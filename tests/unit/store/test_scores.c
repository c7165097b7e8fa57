/* Tests of scores files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/scores.h>

#include "base/context.h"
#include "small_files.h"
#include "store/h5.h"

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

enum { ROWS = 37, QUERIES = 11 };

static float value_at(uint64_t row, uint64_t query)
{
    return (float)row * 100.0f + (float)query + 0.25f;
}

static void fill(float *values)
{
    for (uint64_t i = 0; i < ROWS; i++)
        for (uint64_t j = 0; j < QUERIES; j++) values[i * QUERIES + j] = value_at(i, j);
}

/* All blocks of `rows` x `queries`, from the last to the first when `backwards`. */
static tamis_status write_blocks(const char *path, uint64_t rows, uint64_t queries, bool backwards,
                                 tamis_error *err)
{
    float values[ROWS * QUERIES];
    static const char *const names[] = {"cat", "dog"};
    static uint64_t ids[ROWS];
    static const char *query_ids[QUERIES];
    static int32_t groups[QUERIES], labels[QUERIES];
    static const char *const classes[] = {"ship", "frog", "plane"};
    fill(values);
    for (uint64_t i = 0; i < ROWS; i++) ids[i] = 1000 - i;
    for (uint64_t j = 0; j < QUERIES; j++) {
        query_ids[j] = j % 2 ? "odd" : "even \xc3\xa9";
        groups[j] = (int32_t)(j % 3) - 1;
        labels[j] = (int32_t)(j % 3);
    }
    tamis_examples examples = {.id_number = ids, .digest = ids};
    tamis_examples query = {.id_text = query_ids,
                            .label = labels,
                            .group = groups,
                            .group_name = names,
                            .groups = 2,
                            .class_name = classes,
                            .classes = 3};
    tamis_scores_spec spec = {.path = path,
                              .rows = ROWS,
                              .queries = QUERIES,
                              .scorer = "tracin",
                              .examples = &examples,
                              .query = &query,
                              .provenance = "{\"program\":\"tamis\"}"};
    tamis_scores_writer *writer = NULL;
    tamis_status status = tamis_scores_writer_open(&writer, context, &spec, err);
    uint64_t down = (ROWS + rows - 1) / rows, across = (QUERIES + queries - 1) / queries;
    for (uint64_t n = 0; n < down * across && status == TAMIS_OK; n++) {
        uint64_t block = backwards ? down * across - 1 - n : n;
        uint64_t row = block / across * rows, query0 = block % across * queries;
        uint64_t height = row + rows > ROWS ? ROWS - row : rows;
        uint64_t width = query0 + queries > QUERIES ? QUERIES - query0 : queries;
        status = tamis_scores_writer_put(writer, row, height, query0, width,
                                         values + row * QUERIES + query0, QUERIES, err);
    }
    if (status == TAMIS_OK) return tamis_scores_writer_commit(&writer, err);
    tamis_scores_writer_abort(&writer);
    ck_assert_ptr_null(writer);
    return status;
}

START_TEST(round_trip)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    float out[5 * 8];
    ck_ok(write_blocks("s.h5", 10, 4, false, &err));
    ck_assert(!exists("s.h5.part"));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert_str_eq(tamis_scores_path(scores), "s.h5");
    ck_assert_uint_eq(info->rows, ROWS);
    ck_assert_uint_eq(info->queries, QUERIES);
    ck_assert_str_eq(info->scorer, "tracin");
    ck_assert_str_eq(info->provenance, "{\"program\":\"tamis\"}");
    ck_assert_uint_eq(info->examples.id_number[36], 964);
    ck_assert_uint_eq(info->examples.digest[1], 999);
    ck_assert_ptr_null(info->examples.group);
    ck_assert_str_eq(info->query.id_text[2], "even \xc3\xa9");
    ck_assert_int_eq(info->query.group[0], -1);
    ck_assert_str_eq(info->query.group_name[1], "dog");
    ck_assert_uint_eq(info->query.classes, 3);
    ck_assert_str_eq(info->query.class_name[info->query.label[10]], "frog");
    ck_assert(!info->examples.class_name && !info->examples.classes);
    ck_ok(tamis_scores_read(scores, 30, 5, 3, 6, out, 8, &err));
    for (uint64_t i = 0; i < 5; i++)
        for (uint64_t j = 0; j < 6; j++) ck_float(out[i * 8 + j], value_at(30 + i, 3 + j));
    ck_ok(tamis_scores_read(scores, ROWS, 0, 0, QUERIES, out, QUERIES, &err));
    tamis_scores_close(&scores);
    ck_assert_ptr_null(scores);
    tamis_scores_close(&scores);
}
END_TEST

START_TEST(order_of_blocks_changes_no_byte)
{
    tamis_error err = {0};
    ck_ok(write_blocks("a.h5", ROWS, QUERIES, false, &err));
    ck_ok(write_blocks("b.h5", 5, 3, true, &err));
    ck_ok(write_blocks("c.h5", 1, 11, false, &err));
    ck_same_files("a.h5", "b.h5");
    ck_same_files("a.h5", "c.h5");
}
END_TEST

START_TEST(refuses_what_is_out_of_range)
{
    tamis_error err = {0};
    tamis_scores *scores;
    float out[QUERIES];
    ck_ok(write_blocks("s.h5", 10, 4, false, &err));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_fails(tamis_scores_read(scores, ROWS, 1, 0, 1, out, 1, &err), TAMIS_ERR_ARG, "rows 37");
    ck_fails(tamis_scores_read(scores, 1, UINT64_MAX, 0, 1, out, 1, &err), TAMIS_ERR_ARG,
             "it has 37");
    ck_fails(tamis_scores_read(scores, 0, 1, 5, 7, out, 7, &err), TAMIS_ERR_ARG, "it has 11");
    ck_fails(tamis_scores_read(scores, 0, 2, 0, 5, out, 4, &err), TAMIS_ERR_ARG, "stride");
    tamis_scores_close(&scores);
}
END_TEST

START_TEST(writer_refuses)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    const float value = 1;
    tamis_scores_spec spec = {.path = "w.h5", .rows = 2, .queries = 1};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_scores_writer_put(writer, 2, 1, 0, 1, &value, 1, &err), TAMIS_ERR_ARG,
             "it has 2");
    ck_ok(tamis_scores_writer_put(writer, 1, 1, 0, 1, &value, 1, &err));
    ck_fails(tamis_scores_writer_commit(&writer, &err), TAMIS_ERR_ARG,
             "1 scores were never written");
    ck_assert_ptr_null(writer);
    ck_assert(!exists("w.h5") && !exists("w.h5.part"));
    spec.rows = 0;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "at least one");
    spec.rows = UINT64_MAX / 2;
    spec.queries = 8;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "too many");
    spec = (tamis_scores_spec){.path = "absent/w.h5", .rows = 1, .queries = 1};
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_IO, "absent/w.h5");
    ck_ok(write_blocks("s.h5", 10, 4, false, &err));
    spec.path = "s.h5";
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_IO, "-f");
    ck_assert_ptr_null(writer);
}
END_TEST

/* --- hostile files ---------------------------------------------------------------------------- */

typedef struct recipe {
    const char *kind, *orientation;
    uint32_t version;
    uint64_t rows, columns; /* columns 0: a vector */
    tamis__h5_type type;
    const char *says;
    tamis_status status;
} recipe;

static const recipe recipes[] = {
    {"selection", TAMIS_ORIENTATION, 1, 2, 2, TAMIS__H5_F32, "selection", TAMIS_ERR_FORMAT},
    {"scores", TAMIS_ORIENTATION, 2, 2, 2, TAMIS__H5_F32, "newer", TAMIS_ERR_UNSUPPORTED},
    {"scores", NULL, 1, 2, 2, TAMIS__H5_F32, "orientation", TAMIS_ERR_FORMAT},
    {"scores", "positive: harmful", 1, 2, 2, TAMIS__H5_F32, "positive: harmful",
     TAMIS_ERR_UNSUPPORTED},
    {"scores", TAMIS_ORIENTATION, 1, 2, 0, TAMIS__H5_F32, "score", TAMIS_ERR_FORMAT},
    {"scores", TAMIS_ORIENTATION, 1, 2, 2, TAMIS__H5_I32, "score", TAMIS_ERR_FORMAT},
    {"scores", TAMIS_ORIENTATION, 1, 0, 0, TAMIS__H5_F32, "score", TAMIS_ERR_FORMAT},
};

START_TEST(refuses_other_files)
{
    tamis_error err = {0};
    tamis__h5 h5;
    const recipe *r = &recipes[_i];
    const float values[4] = {0};
    tamis_scores *scores = NULL;
    ck_ok(tamis__h5_create(&h5, context, "x.h5", r->kind, r->version, NULL, &err));
    if (r->orientation) ck_ok(tamis__h5_put_text(&h5, "/", "orientation", r->orientation, &err));
    if (r->rows) ck_ok(tamis__h5_write(&h5, "score", r->type, values, r->rows, r->columns, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_fails(tamis_scores_open(&scores, context, "x.h5", &err), r->status, r->says);
    ck_assert_msg(strstr(err.message, "x.h5") != NULL, "%s", err.message);
    ck_assert_ptr_null(scores);
}
END_TEST

/* Examples of another length than the matrix. */
START_TEST(refuses_columns_that_do_not_fit)
{
    tamis_error err = {0};
    tamis__h5 h5;
    const float values[4] = {0};
    const uint64_t ids[3] = {1, 2, 3};
    tamis_scores *scores = NULL;
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "scores", 1, NULL, &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "orientation", TAMIS_ORIENTATION, &err));
    ck_ok(tamis__h5_write(&h5, "score", TAMIS__H5_F32, values, 2, 2, &err));
    ck_ok(tamis__h5_group(&h5, "example", &err));
    ck_ok(tamis__h5_write(&h5, "example/id", TAMIS__H5_U64, ids, 3, 0, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_fails(tamis_scores_open(&scores, context, "x.h5", &err), TAMIS_ERR_FORMAT, "example/id");
}
END_TEST

/* Cut at many places: always an error, never a crash. */
START_TEST(refuses_truncated_files)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    size_t size;
    ck_ok(write_blocks("s.h5", 10, 4, false, &err));
    char *bytes = slurp("s.h5", &size);
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 61) {
        spill("cut.h5", bytes, cut);
        ck_fails(tamis_scores_open(&scores, context, "cut.h5", &err), TAMIS_ERR_FORMAT, "cut.h5");
    }
    free(bytes);
    ck_fails(tamis_scores_open(&scores, context, "absent.h5", &err), TAMIS_ERR_IO, "absent.h5");
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status write_afresh(const char *path, tamis_error *err)
{
    unlink(path);
    return write_blocks(path, 10, 4, false, err);
}

static tamis_status open_and_close(const char *path, tamis_error *err)
{
    tamis_scores *scores = NULL;
    float out[QUERIES];
    tamis_status status = tamis_scores_open(&scores, context, path, err);
    if (status == TAMIS_OK) status = tamis_scores_read(scores, 3, 1, 0, QUERIES, out, QUERIES, err);
    tamis_scores_close(&scores);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    ck_survives(tamis__fault_memory_after, write_afresh("m.h5", &err), "m.h5");
    ck_survives(tamis__fault_io_after, write_afresh("i.h5", &err), "i.h5");
    ck_same_files("m.h5", "i.h5");
    ck_survives(tamis__fault_memory_after, open_and_close("m.h5", &err), "m.h5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scores");
    TCase *tcase = tcase_create("scores");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, round_trip);
    tcase_add_test(tcase, order_of_blocks_changes_no_byte);
    tcase_add_test(tcase, refuses_what_is_out_of_range);
    tcase_add_test(tcase, writer_refuses);
    tcase_add_loop_test(tcase, refuses_other_files, 0, sizeof recipes / sizeof *recipes);
    tcase_add_test(tcase, refuses_columns_that_do_not_fit);
    tcase_add_test(tcase, refuses_truncated_files);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
