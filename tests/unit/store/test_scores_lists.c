/* Tests of scores files with lists instead of a matrix, of rows without a score and of the
 * statistics of the columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
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

#define NO_ROW TAMIS_SCORES_NO_ROW

/* Three queries over seven rows: four best, two worst. Ties, also of -0 with 0, by the lower
 * row. */
enum { ROWS = 7, QUERIES = 3, TOP = 4, BOTTOM = 2 };
static const uint64_t top_row[QUERIES * TOP] = {6, 0, 2, 1, 0, 1, 2, 3, 3, 5, 4, 6};
static const float top_score[QUERIES * TOP] = {9, 2, 2, -1, 0.0f, -0.0f, 0, 0, 1e30f, 4, 3, 2};
static const uint64_t bottom_row[QUERIES * BOTTOM] = {5, 4, 4, 5, 0, 1};
static const float bottom_score[QUERIES * BOTTOM] = {-8, -7, -3, -3, -1e30f, 0};
static const uint64_t count[QUERIES] = {ROWS, ROWS, ROWS};
static const double mean[QUERIES] = {0.1, -1, 1e-300}, variance[QUERIES] = {0, 2.5, 1e300};

/* Queries in two calls, the last ones first. */
static tamis_status write_lists(const char *path, tamis_error *err)
{
    static const uint64_t ids[ROWS] = {10, 11, 12, 13, 14, 15, 16};
    tamis_examples examples = {.id_number = ids};
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = path,
                              .rows = ROWS,
                              .queries = QUERIES,
                              .examples = &examples,
                              .force = true,
                              .top = TOP,
                              .bottom = BOTTOM};
    tamis_status status = tamis_scores_writer_open(&writer, context, &spec, err);
    for (int i = 1; i >= 0 && status == TAMIS_OK; i--) {
        uint64_t first = (uint64_t)i, n = i ? 2 : 1;
        status = tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, first, n,
                                              top_row + first * TOP, top_score + first * TOP, err);
        if (status == TAMIS_OK)
            status = tamis_scores_writer_put_list(writer, TAMIS_SCORES_BOTTOM, first, n,
                                                  bottom_row + first * BOTTOM,
                                                  bottom_score + first * BOTTOM, err);
    }
    if (status == TAMIS_OK)
        status = tamis_scores_writer_put_statistics(writer, count, mean, variance, err);
    if (status == TAMIS_OK) return tamis_scores_writer_commit(&writer, err);
    tamis_scores_writer_abort(&writer);
    return status;
}

START_TEST(round_trip)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    uint64_t row[QUERIES * TOP];
    float score[QUERIES * TOP];
    ck_ok(write_lists("s.h5", &err));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert_uint_eq(info->rows, ROWS);
    ck_assert_uint_eq(info->queries, QUERIES);
    ck_assert_uint_eq(info->top, TOP);
    ck_assert_uint_eq(info->bottom, BOTTOM);
    ck_assert_uint_eq(info->skipped, 0);
    ck_assert_uint_eq(info->examples.id_number[6], 16);
    ck_assert_mem_eq(info->column_count, count, sizeof count);
    ck_assert_mem_eq(info->column_mean, mean, sizeof mean);
    ck_assert_mem_eq(info->column_variance, variance, sizeof variance);
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 0, QUERIES, row, score, &err));
    ck_assert_mem_eq(row, top_row, sizeof top_row);
    ck_assert_mem_eq(score, top_score, sizeof top_score);
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_BOTTOM, 1, 2, row, score, &err));
    ck_assert_mem_eq(row, bottom_row + BOTTOM, 2 * BOTTOM * sizeof *row);
    ck_assert_mem_eq(score, bottom_score + BOTTOM, 2 * BOTTOM * sizeof *score);
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, QUERIES, 0, row, score, &err));
    ck_fails(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 2, 2, row, score, &err),
             TAMIS_ERR_ARG, "it has 3");
    ck_fails(tamis_scores_read(scores, 0, 1, 0, 1, score, 1, &err), TAMIS_ERR_ARG, "without --top");
    tamis_scores_close(&scores);
}
END_TEST

START_TEST(matrix_has_no_lists)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    uint64_t row[1];
    float score[1] = {1};
    small_scores(context, "s.h5", 1, 1, score, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert(info->top == 0 && info->bottom == 0 && info->skipped == 0);
    ck_assert(!info->column_count && !info->column_mean && !info->column_variance);
    ck_fails(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 0, 1, row, score, &err),
             TAMIS_ERR_ARG, "no top lists");
    tamis_scores_close(&scores);
}
END_TEST

/* --- lists that are wrong --------------------------------------------------------------------- */

typedef struct wrong_list {
    uint64_t row[3];
    float score[3];
    const char *says;
    tamis_scores_list which;
} wrong_list;

static const wrong_list wrong_lists[] = {
    {{0, 1, 2}, {3, 4, 1}, "place 1 of its top list: it is not in order", TAMIS_SCORES_TOP},
    {{0, 2, 1}, {3, 2, 2}, "place 2 of its top list: it is not in order", TAMIS_SCORES_TOP},
    {{0, 2, 1}, {3, -0.0f, 0}, "place 2 of its top list: it is not in order", TAMIS_SCORES_TOP},
    {{0, 1, 2}, {1, 3, 2}, "place 2 of its bottom list: it is not in order", TAMIS_SCORES_BOTTOM},
    {{0, 2, 1}, {1, 2, 2}, "place 2 of its bottom list: it is not in order", TAMIS_SCORES_BOTTOM},
    {{0, 1, 0}, {3, 2, 1}, "row 0 stands twice", TAMIS_SCORES_TOP},
    {{1, 1, 0}, {3, 3, 1}, "row 1 stands twice", TAMIS_SCORES_TOP},
    {{0, 1, 4},
     {3, 2, 1},
     "place 2 of its top list: there is no row 4: there are 4",
     TAMIS_SCORES_TOP},
    {{0, 1, 2}, {3, 2, NAN}, "place 2 of its top list: its score is not finite", TAMIS_SCORES_TOP},
    {{0, 1, 2},
     {INFINITY, 2, 1},
     "place 0 of its top list: its score is not finite",
     TAMIS_SCORES_TOP},
    {{0, NO_ROW, 2}, {3, NAN, 1}, "a row stands after a place without one", TAMIS_SCORES_TOP},
    {{0, 1, NO_ROW}, {3, 2, 1}, "there is a score, but no row", TAMIS_SCORES_TOP},
    {{0, 1, NO_ROW}, {3, 2, NAN}, "2 rows stand in", TAMIS_SCORES_TOP},
};

static const uint64_t good_row[3] = {2, 1, 0};
static const float good_top[3] = {5, 4, 3}, good_bottom[3] = {3, 4, 5};

START_TEST(writer_refuses_wrong_lists)
{
    tamis_error err = {0};
    const wrong_list *w = &wrong_lists[_i];
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = "s.h5", .rows = 4, .queries = 2, .top = 3, .bottom = 3};
    uint64_t row[6];
    float score[6];
    const float *good = w->which == TAMIS_SCORES_TOP ? good_top : good_bottom;
    memcpy(row, good_row, sizeof good_row);
    memcpy(score, good, sizeof good_top);
    memcpy(row + 3, w->row, sizeof w->row);
    memcpy(score + 3, w->score, sizeof w->score);
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_scores_writer_put_list(writer, w->which, 0, 2, row, score, &err), TAMIS_ERR_ARG,
             w->says);
    ck_assert_msg(strstr(err.message, "'s.h5': query 1") != NULL, "%s", err.message);
    tamis_scores_writer_abort(&writer);
    ck_assert(!exists("s.h5") && !exists("s.h5.part"));
}
END_TEST

/* A file as the writer would never make it. */
static void forge(const wrong_list *w)
{
    tamis_error err = {0};
    tamis__h5 h5;
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "scores", 1, NULL, &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "orientation", TAMIS_ORIENTATION, &err));
    ck_ok(tamis__h5_put_u64(&h5, "/", "rows", 4, &err));
    for (int which = 0; which < 2; which++) {
        bool this = w && w->which == (tamis_scores_list)which;
        const float *good = which ? good_bottom : good_top;
        ck_ok(tamis__h5_group(&h5, which ? "bottom" : "top", &err));
        ck_ok(tamis__h5_write(&h5, which ? "bottom/row" : "top/row", TAMIS__H5_U64,
                              this ? w->row : good_row, 1, 3, &err));
        ck_ok(tamis__h5_write(&h5, which ? "bottom/score" : "top/score", TAMIS__H5_F32,
                              this ? w->score : good, 1, 3, &err));
    }
    ck_ok(tamis__h5_commit(&h5, true, &err));
}

START_TEST(reader_refuses_wrong_lists)
{
    tamis_error err = {0};
    const wrong_list *w = &wrong_lists[_i];
    tamis_scores *scores = NULL;
    uint64_t row[3];
    float score[3];
    forge(NULL);
    ck_ok(tamis_scores_open(&scores, context, "x.h5", &err));
    ck_ok(tamis_scores_read_list(scores, w->which, 0, 1, row, score, &err));
    tamis_scores_close(&scores);
    forge(w);
    ck_ok(tamis_scores_open(&scores, context, "x.h5", &err));
    ck_fails(tamis_scores_read_list(scores, w->which, 0, 1, row, score, &err), TAMIS_ERR_FORMAT,
             w->says);
    ck_assert_msg(strstr(err.message, "'x.h5': query 0") != NULL, "%s", err.message);
    tamis_scores_close(&scores);
}
END_TEST

/* --- files that are wrong --------------------------------------------------------------------- */

typedef struct forgery {
    uint64_t rows, queries, places, bottom_queries; /* rows 0 = no attribute; bottom 0 = none */
    bool matrix, score;
    uint64_t skipped;
    const char *says;
} forgery;

static const forgery forgeries[] = {
    {0, 2, 2, 0, false, true, 0, "rows"},
    {1, 2, 2, 0, false, true, 0, "attribute 'rows' says 1 rows"},
    {UINT64_MAX, 2, 2, 0, false, true, 0, "attribute 'rows' says 18446744073709551615"},
    {9, 2, 2, 1, false, true, 0, "bottom lists of 1"},
    {9, 2, 2, 0, true, true, 0, "both a dataset 'score' and lists"},
    {9, 2, 2, 0, false, false, 0, "top/score"},
    {9, 2, 2, 0, false, true, 10, "10 of 9 rows have no score"},
};

START_TEST(refuses_forged_files)
{
    tamis_error err = {0};
    tamis__h5 h5;
    tamis_scores *scores = NULL;
    const forgery *f = &forgeries[_i];
    const uint64_t row[4] = {0, 1, 2, 3};
    const float score[4] = {4, 3, 2, 1};
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "scores", 1, NULL, &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "orientation", TAMIS_ORIENTATION, &err));
    if (f->rows) ck_ok(tamis__h5_put_u64(&h5, "/", "rows", f->rows, &err));
    if (f->skipped) ck_ok(tamis__h5_put_u64(&h5, "/", "skipped", f->skipped, &err));
    if (f->matrix) ck_ok(tamis__h5_write(&h5, "score", TAMIS__H5_F32, score, 2, 2, &err));
    ck_ok(tamis__h5_group(&h5, "top", &err));
    ck_ok(tamis__h5_write(&h5, "top/row", TAMIS__H5_U64, row, f->queries, f->places, &err));
    if (f->score)
        ck_ok(tamis__h5_write(&h5, "top/score", TAMIS__H5_F32, score, f->queries, f->places, &err));
    if (f->bottom_queries) {
        ck_ok(tamis__h5_group(&h5, "bottom", &err));
        ck_ok(tamis__h5_write(&h5, "bottom/row", TAMIS__H5_U64, row, f->bottom_queries, 2, &err));
        ck_ok(
            tamis__h5_write(&h5, "bottom/score", TAMIS__H5_F32, score, f->bottom_queries, 2, &err));
    }
    ck_ok(tamis__h5_commit(&h5, true, &err));
    ck_fails(tamis_scores_open(&scores, context, "x.h5", &err), TAMIS_ERR_FORMAT, f->says);
    ck_assert_ptr_null(scores);
}
END_TEST

/* --- rows without a score --------------------------------------------------------------------- */

/* More places than rows with a score: the rest is empty. */
START_TEST(short_lists)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    const uint64_t row[] = {3, 1, NO_ROW, 1, 3, NO_ROW};
    const float score[] = {2, 1, NAN, 5, 4, NAN};
    uint64_t got_row[6];
    float got[6];
    tamis_scores_spec spec = {.path = "s.h5", .rows = 4, .queries = 2, .top = 3, .force = true};
    for (uint64_t skipped = 0; skipped < 4; skipped++) {
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        ck_ok(tamis_scores_writer_put_skipped(writer, skipped, &err));
        ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, 0, 2, row, score, &err));
        if (skipped != 2)
            ck_fails(tamis_scores_writer_commit(&writer, &err), TAMIS_ERR_ARG, "2 rows stand in");
        else
            ck_ok(tamis_scores_writer_commit(&writer, &err));
    }
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_assert_uint_eq(tamis_scores_info_get(scores)->skipped, 2);
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 0, 2, got_row, got, &err));
    ck_assert_mem_eq(got_row, row, sizeof row);
    ck_assert_mem_eq(got, score, sizeof score);
    tamis_scores_close(&scores);
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_scores_writer_put_skipped(writer, 5, &err), TAMIS_ERR_ARG, "only 4");
    tamis_scores_writer_abort(&writer);
}
END_TEST

/* Rows 1 and 8 of ten have no score, put in blocks of queries; a row with some is refused. */
START_TEST(matrix_counts_rows_without_a_score)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    float values[10 * 3];
    tamis_scores_spec spec = {.path = "s.h5", .rows = 10, .queries = 3, .force = true};
    for (int said = -1; said < 4; said++) {
        for (int i = 0; i < 30; i++) values[i] = i / 3 == 1 || i / 3 == 8 ? NAN : (float)i;
        if (said == 3) values[8 * 3 + 1] = 1;
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        ck_ok(tamis_scores_writer_put(writer, 0, 10, 0, 2, values, 3, &err));
        ck_ok(tamis_scores_writer_put(writer, 0, 10, 2, 1, values + 2, 3, &err));
        if (said >= 0) ck_ok(tamis_scores_writer_put_skipped(writer, (uint64_t)said, &err));
        if (said == 3)
            ck_fails(tamis_scores_writer_commit(&writer, &err), TAMIS_ERR_ARG,
                     "of 2 rows some scores are NaN and others are not");
        else if (said == -1 || said == 2)
            ck_ok(tamis_scores_writer_commit(&writer, &err));
        else
            ck_fails(tamis_scores_writer_commit(&writer, &err), TAMIS_ERR_ARG, "2 have none");
    }
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_assert_uint_eq(tamis_scores_info_get(scores)->skipped, 2);
    tamis_scores_close(&scores);
}
END_TEST

/* --- specifications and statistics ------------------------------------------------------------ */

START_TEST(refuses_specs)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    const float one = 1;
    const uint64_t zero = 0;
    tamis_scores_spec spec = {.path = "s.h5", .rows = 3, .queries = 2, .top = 4};
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "lists of 4 rows are asked for, there are 3");
    spec.top = 1;
    spec.bottom = 9;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "lists of 9");
    spec.top = 0;
    spec.bottom = 1;
    ck_fails(tamis_scores_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "both");
    spec.top = 1;
    spec.bottom = 0;
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_scores_writer_put(writer, 0, 1, 0, 1, &one, 1, &err), TAMIS_ERR_ARG, "lists");
    ck_fails(tamis_scores_writer_put_list(writer, TAMIS_SCORES_BOTTOM, 0, 1, &zero, &one, &err),
             TAMIS_ERR_ARG, "no bottom lists");
    ck_fails(tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, 2, 1, &zero, &one, &err),
             TAMIS_ERR_ARG, "it has 2");
    ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, 0, 1, &zero, &one, &err));
    ck_fails(tamis_scores_writer_commit(&writer, &err), TAMIS_ERR_ARG,
             "the top lists of 1 queries were never written");
    ck_assert(!exists("s.h5") && !exists("s.h5.part"));
}
END_TEST

typedef struct wrong_statistics {
    uint64_t count[2];
    double mean[2], variance[2];
    const char *says;
} wrong_statistics;

#define NOTHING ((double)NAN)

static const wrong_statistics bad_statistics[] = {
    {{2, 1}, {0, 0}, {1, 1}, "1 rows have a score for query 1"},
    {{2, 2}, {0, NOTHING}, {1, 1}, "query 1: mean"},
    {{2, 2}, {0, 0}, {(double)INFINITY, 1}, "query 0: mean"},
    {{2, 2}, {0, 0}, {1, -1}, "variance -1"},
    {{0, 0}, {NOTHING, 0}, {NOTHING, NOTHING}, "query 1: mean"},
    {{1, 1}, {0, 0}, {0, 0}, "the statistics are of 1 rows, but 2 have a score"},
};

/* By the writer at once or at commit, and by the reader. */
START_TEST(refuses_statistics)
{
    tamis_error err = {0};
    tamis__h5 h5;
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    const wrong_statistics *w = &bad_statistics[_i];
    const float values[4] = {1, 2, 3, 4};
    tamis_scores_spec spec = {.path = "s.h5", .rows = 2, .queries = 2};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, 2, 0, 2, values, 2, &err));
    tamis_status status = tamis_scores_writer_put_statistics(writer, w->count, w->mean, w->variance,
                                                             &err);
    if (status == TAMIS_OK)
        status = tamis_scores_writer_commit(&writer, &err);
    else
        tamis_scores_writer_abort(&writer);
    ck_fails(status, TAMIS_ERR_ARG, w->says);
    ck_assert_ptr_null(writer);
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "scores", 1, NULL, &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "orientation", TAMIS_ORIENTATION, &err));
    ck_ok(tamis__h5_write(&h5, "score", TAMIS__H5_F32, values, 2, 2, &err));
    ck_ok(tamis__h5_group(&h5, "column", &err));
    ck_ok(tamis__h5_write(&h5, "column/count", TAMIS__H5_U64, w->count, 2, 0, &err));
    ck_ok(tamis__h5_write(&h5, "column/mean", TAMIS__H5_F64, w->mean, 2, 0, &err));
    ck_ok(tamis__h5_write(&h5, "column/variance", TAMIS__H5_F64, w->variance, 2, 0, &err));
    ck_ok(tamis__h5_commit(&h5, true, &err));
    ck_fails(tamis_scores_open(&scores, context, "x.h5", &err), TAMIS_ERR_FORMAT, "query");
}
END_TEST

/* Beside a matrix; where no row has a score they are NaN. */
START_TEST(statistics_of_a_matrix)
{
    tamis_error err = {0};
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    const float values[2] = {NAN, NAN};
    const uint64_t none = 0;
    const double nan = (double)NAN;
    tamis_scores_spec spec = {.path = "s.h5", .rows = 2, .queries = 1};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put_statistics(writer, &none, &nan, &nan, &err));
    ck_fails(tamis_scores_writer_put_statistics(writer, &none, &nan, &nan, &err), TAMIS_ERR_ARG,
             "already");
    ck_ok(tamis_scores_writer_put(writer, 0, 2, 0, 1, values, 1, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_assert_uint_eq(tamis_scores_info_get(scores)->skipped, 2);
    ck_assert_uint_eq(tamis_scores_info_get(scores)->column_count[0], 0);
    ck_assert(isnan(tamis_scores_info_get(scores)->column_mean[0]));
    tamis_scores_close(&scores);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status write_afresh(const char *path, tamis_error *err)
{
    unlink(path);
    return write_lists(path, err);
}

static tamis_status read_all(const char *path, tamis_error *err)
{
    tamis_scores *scores = NULL;
    uint64_t row[QUERIES * TOP];
    float score[QUERIES * TOP];
    tamis_status status = tamis_scores_open(&scores, context, path, err);
    if (status == TAMIS_OK)
        status = tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 0, QUERIES, row, score, err);
    tamis_scores_close(&scores);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    ck_survives(tamis__fault_memory_after, write_afresh("m.h5", &err), "m.h5");
    ck_survives(tamis__fault_io_after, write_afresh("i.h5", &err), "i.h5");
    ck_same_files("m.h5", "i.h5");
    ck_survives(tamis__fault_memory_after, read_all("m.h5", &err), "m.h5");
}
END_TEST

#define LEN(a) ((int)(sizeof(a) / sizeof *(a)))

int main(void)
{
    Suite *suite = suite_create("scores_lists");
    TCase *tcase = tcase_create("scores_lists");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, round_trip);
    tcase_add_test(tcase, matrix_has_no_lists);
    tcase_add_loop_test(tcase, writer_refuses_wrong_lists, 0, LEN(wrong_lists));
    tcase_add_loop_test(tcase, reader_refuses_wrong_lists, 0, LEN(wrong_lists));
    tcase_add_loop_test(tcase, refuses_forged_files, 0, LEN(forgeries));
    tcase_add_test(tcase, short_lists);
    tcase_add_test(tcase, matrix_counts_rows_without_a_score);
    tcase_add_test(tcase, refuses_specs);
    tcase_add_loop_test(tcase, refuses_statistics, 0, LEN(bad_statistics));
    tcase_add_test(tcase, statistics_of_a_matrix);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
