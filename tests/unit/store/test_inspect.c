/* Tests of inspection: every defect that can be planted is found, and a healthy file has none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/inspect.h>

#include <math.h>
#include <tamis/selection.h>
#include <tamis/version.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/json.h"
#include "small_files.h"
#include "store/columns.h"
#include "store/h5.h"
#include "store/model_file.h"

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

static tamis_inspection *look(const char *path)
{
    tamis_error err = {0};
    tamis_inspection *inspection = NULL;
    ck_ok(tamis_inspect(&inspection, context, path, 0, &err));
    return inspection;
}

static const char *fact(const tamis_inspection *i, const char *key)
{
    for (size_t f = 0; f < i->facts; f++)
        if (!strcmp(i->fact[f].key, key)) return i->fact[f].value;
    ck_abort_msg("no fact '%s'", key);
    return NULL;
}

/* The finding is there, this severe, about this many rows, with this in its text. */
static void ck_finding(const tamis_inspection *i, const char *key, int severe, uint64_t count,
                       const char *text)
{
    for (size_t f = 0; f < i->findings; f++) {
        if (strcmp(i->finding[f].key, key)) continue;
        ck_assert_int_eq(i->finding[f].severe, severe);
        ck_assert_uint_eq(i->finding[f].count, count);
        ck_assert_msg(strstr(i->finding[f].text, text) != NULL, "%s", i->finding[f].text);
        return;
    }
    ck_abort_msg("no finding '%s'", key);
}

static bool has(const tamis_inspection *i, const char *key)
{
    for (size_t f = 0; f < i->findings; f++)
        if (!strcmp(i->finding[f].key, key)) return true;
    return false;
}

/* --- gradient stores -------------------------------------------------------------------------- */

enum { ROWS = 50, COLUMNS = 6 };

static void fill(float *values)
{
    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)((i * 37) % 101 - 50) / 16 + (float)i / 64;
}

START_TEST(healthy_store)
{
    float values[ROWS * COLUMNS];
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16};
    fill(values);
    for (uint64_t shard = 0; shard < 2; shard++) {
        const char *path = shard ? "sharded" : "whole.h5";
        small_store(context, path, dtypes[_i], ROWS, COLUMNS, 2, values, NULL, shard * 16);
        tamis_inspection *i = look(path);
        ck_assert_str_eq(i->kind, "gradient-store");
        for (size_t f = 0; f < i->findings; f++)
            ck_assert_msg(!i->finding[f].severe, "%s", i->finding[f].text);
        ck_assert_int_eq(i->healthy, 1);
        ck_assert_str_eq(fact(i, "rows"), "50");
        ck_assert_str_eq(fact(i, "columns"), "6");
        ck_assert_str_eq(fact(i, "dtype"), tamis_dtype_name(dtypes[_i]));
        ck_assert_str_eq(fact(i, "checkpoint_1_step"), "20");
        ck_assert_str_eq(fact(i, "checkpoint_1_learning_rate"), "0.2");
        ck_assert_str_eq(fact(i, "layer_0"), "rows: 1 x 6, columns 0 to 5");
        ck_assert_str_eq(fact(i, "projection"), "none");
        tamis_inspection_free(&i);
        ck_assert_ptr_null(i);
    }
}
END_TEST

START_TEST(norms_are_told)
{
    const float values[] = {3, 4, 6, 8, 0.3f, 0.4f, 5, 12};
    small_store(context, "g.h5", TAMIS_F32, 4, 2, 1, values, NULL, 0);
    tamis_inspection *i = look("g.h5");
    ck_assert_str_eq(fact(i, "norm_max"), "13");
    ck_assert_str_eq(fact(i, "norm_median"), "7.5");
    ck_assert_str_eq(fact(i, "labels"), "no");
    tamis_inspection_free(&i);
}
END_TEST

/* Somewhere in the file stand the bytes of a row: change one. */
static void damage(const char *path, const void *row, size_t row_size, size_t at,
                   unsigned char flip)
{
    size_t size;
    char *bytes = slurp(path, &size);
    char *found = memmem(bytes, size, row, row_size);
    ck_assert_ptr_nonnull(found);
    found[at] = (char)(found[at] ^ flip);
    spill(path, bytes, size);
    free(bytes);
}

START_TEST(finds_a_flipped_bit)
{
    float values[ROWS * COLUMNS];
    fill(values);
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    damage("g.h5", values + 7 * COLUMNS, COLUMNS * sizeof *values, 5,
           1); /* a low bit: no other check sees it */
    tamis_inspection *i = look("g.h5");
    ck_finding(i, "digest_mismatch", 1, ROWS, "not those that were written");
    ck_assert(!has(i, "norm_mismatch"));
    ck_assert_int_eq(i->healthy, 0);
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(finds_rows_that_are_not_finite_or_changed)
{
    float values[ROWS * COLUMNS];
    fill(values);
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    const float nan_row[COLUMNS] = {1, NAN, 1, 1, 1, 1};
    size_t size;
    char *bytes = slurp("g.h5", &size);
    memcpy(memmem(bytes, size, values + 9 * COLUMNS, sizeof nan_row), nan_row, sizeof nan_row);
    float doubled[COLUMNS];
    for (int j = 0; j < COLUMNS; j++) doubled[j] = 2 * values[11 * COLUMNS + j];
    memcpy(memmem(bytes, size, values + 11 * COLUMNS, sizeof doubled), doubled, sizeof doubled);
    memset(memmem(bytes, size, values + 13 * COLUMNS, sizeof doubled), 0, sizeof doubled);
    spill("g.h5", bytes, size);
    free(bytes);
    tamis_inspection *i = look("g.h5");
    ck_finding(i, "not_finite", 1, 1, "values that are not finite: 1 row (9)");
    ck_finding(i, "norm_mismatch", 1, 2, "11, 13");
    ck_finding(i, "zero_norm", 1, 1, "13");
    ck_finding(i, "digest_mismatch", 1, ROWS, "");
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(finds_zero_and_duplicate_rows)
{
    float values[ROWS * COLUMNS];
    fill(values);
    static const int zero[] = {4, 20, 21};
    for (int z = 0; z < 3; z++) memset(values + zero[z] * COLUMNS, 0, COLUMNS * sizeof *values);
    memcpy(values + 30 * COLUMNS, values + 2 * COLUMNS, COLUMNS * sizeof *values);
    memcpy(values + 10 * COLUMNS, values + 2 * COLUMNS, COLUMNS * sizeof *values);
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 2, values, NULL, 0);
    tamis_inspection *i = look("g.h5");
    ck_finding(i, "zero_norm", 1, 3,
               "all zero, so unwritten or with every label masked: 3 rows (4, 20, 21)");
    ck_finding(i, "duplicate_rows", 0, 2, "10 as 2, 30 as 2");
    ck_assert(!has(i, "norm_mismatch") && !has(i, "digest_mismatch"));
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(finds_rows_rounded_away)
{
    const float values[] = {1, 1, 1e-9f, 1e-9f, 2, 3};
    small_store(context, "g.h5", TAMIS_F16, 3, 2, 1, values, NULL, 0);
    tamis_inspection *i = look("g.h5");
    ck_finding(i, "rounded_to_zero", 1, 1, "bf16");
    ck_assert(!has(i, "zero_norm") && !has(i, "norm_mismatch"));
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(finds_repeated_ids_and_outliers)
{
    float values[ROWS * COLUMNS];
    const char *ids[ROWS];
    char names[ROWS][8];
    fill(values);
    for (int r = 0; r < ROWS; r++) {
        snprintf(names[r], sizeof names[r], "r%d", r == 40 ? 3 : r);
        ids[r] = names[r];
    }
    values[17 * COLUMNS] = 1e6f;
    tamis_examples examples = {.id_text = ids};
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, &examples, 0);
    tamis_inspection *i = look("g.h5");
    ck_finding(i, "repeated_ids", 1, 1, "40 as 3");
    ck_finding(i, "norm_outliers", 0, 1, "17");
    ck_assert_str_eq(fact(i, "ids"), "text");
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(threads_change_nothing)
{
    float values[ROWS * COLUMNS];
    fill(values);
    memset(values + 5 * COLUMNS, 0, COLUMNS * sizeof *values);
    small_store(context, "g", TAMIS_BF16, ROWS, COLUMNS, 3, values, NULL, 10);
    tamis_inspection *two = look("g");
    tamis_context_destroy(&context);
    context = small_context(7);
    tamis_inspection *seven = look("g");
    ck_assert_uint_eq(two->facts, seven->facts);
    for (size_t f = 0; f < two->facts; f++)
        ck_assert_str_eq(two->fact[f].value, seven->fact[f].value);
    ck_assert_uint_eq(two->findings, seven->findings);
    for (size_t f = 0; f < two->findings; f++)
        ck_assert_str_eq(two->finding[f].text, seven->finding[f].text);
    tamis_inspection_free(&two);
    tamis_inspection_free(&seven);
}
END_TEST

START_TEST(quick_reads_no_row)
{
    tamis_error err = {0};
    float values[ROWS * COLUMNS];
    tamis_inspection *i = NULL;
    fill(values);
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    damage("g.h5", values + 7 * COLUMNS, COLUMNS * sizeof *values, 5, 1);
    ck_ok(tamis_inspect(&i, context, "g.h5", 1, &err));
    ck_assert_int_eq(i->healthy, 1);
    tamis_inspection_free(&i);
}
END_TEST

/* --- scores ----------------------------------------------------------------------------------- */

START_TEST(scores)
{
    const float values[] = {1, 0, -2, 0, 0, 0, NAN, 0, 4, 0, 5, 0};
    static const uint64_t ids[] = {7, 8, 9, 7};
    tamis_examples examples = {.id_number = ids};
    foreign_scores(context, "s.h5", 4, 3, values, &examples, NULL);
    tamis_inspection *i = look("s.h5");
    ck_assert_str_eq(i->kind, "scores");
    ck_assert_str_eq(fact(i, "queries"), "3");
    ck_assert_str_eq(fact(i, "score_min"), "-2");
    ck_assert_str_eq(fact(i, "score_max"), "5");
    ck_finding(i, "not_finite", 1, 1, "2");
    ck_finding(i, "zero_rows", 0, 1, "1");
    ck_finding(i, "repeated_ids", 1, 1, "3 as 0");
    ck_assert(!has(i, "zero_queries"));
    ck_assert_int_eq(i->healthy, 0);
    tamis_inspection_free(&i);
    const float dead[] = {1, 0, 2, 0};
    small_scores(context, "s.h5", 2, 2, dead, NULL, NULL);
    i = look("s.h5");
    ck_finding(i, "zero_queries", 1, 1, "nothing but zero scores: 1 query (1)");
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(healthy_scores)
{
    const float values[] = {1, 2, 3, -4};
    small_scores(context, "s.h5", 2, 2, values, NULL, NULL);
    tamis_inspection *i = look("s.h5");
    ck_assert_int_eq(i->healthy, 1);
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(scores_of_some_rows)
{
    const float values[] = {1, 2, NAN, NAN, 3, -4};
    small_scores(context, "s.h5", 3, 2, values, NULL, NULL);
    tamis_inspection *i = look("s.h5");
    ck_assert_int_eq(i->healthy, 1);
    ck_assert_str_eq(fact(i, "without_score"), "1");
    ck_assert_str_eq(fact(i, "score_mean"), "0.5");
    tamis_inspection_free(&i);
    /* One more than the file says, beside one that has a single NaN. */
    const float more[] = {NAN, NAN, NAN, NAN, 3, NAN};
    size_t size;
    char *bytes = slurp("s.h5", &size);
    memcpy(memmem(bytes, size, values, sizeof values), more, sizeof more);
    spill("s.h5", bytes, size);
    free(bytes);
    i = look("s.h5");
    ck_finding(i, "skipped_mismatch", 1, 2, "says that 1 rows have no score, 2 have none");
    ck_finding(i, "not_finite", 1, 1, "2");
    tamis_inspection_free(&i);
    const float none[] = {NAN, NAN};
    small_scores(context, "s.h5", 2, 1, none, NULL, NULL);
    i = look("s.h5");
    ck_assert(!has(i, "zero_queries"));
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(lists_of_scores)
{
    const uint64_t row[] = {2, 0, 1, 2}, worst[] = {1, 0};
    const float score[] = {5, 4, 3, 2}, low[] = {-7, 1};
    size_t size;
    small_lists(context, "s.h5", 3, 2, 2, row, score, 1, worst, low);
    tamis_inspection *i = look("s.h5");
    ck_assert_int_eq(i->healthy, 1);
    ck_assert_str_eq(fact(i, "rows"), "3");
    ck_assert_str_eq(fact(i, "top"), "2");
    ck_assert_str_eq(fact(i, "bottom"), "1");
    ck_assert_str_eq(fact(i, "score_min"), "-7");
    ck_assert_str_eq(fact(i, "score_max"), "5");
    tamis_inspection_free(&i);
    char *bytes = slurp("s.h5", &size), *at = memmem(bytes, size, score, sizeof score);
    const float wrong = 6;
    memcpy(at + 3 * sizeof wrong, &wrong, sizeof wrong);
    spill("s.h5", bytes, size);
    free(bytes);
    i = look("s.h5");
    ck_finding(i, "bad_list", 1, 1, "query 1, place 1 of its top list: it is not in order");
    ck_assert_int_eq(i->healthy, 0);
    tamis_inspection_free(&i);
}
END_TEST

/* The recorded means are those of the scores, or the file is not healthy. */
START_TEST(statistics_of_scores)
{
    tamis_error err = {0};
    const float values[] = {1, 10, 2, 20};
    const uint64_t count[] = {2, 2};
    const double variance[] = {0.25, 25};
    for (int wrong = 0; wrong < 2; wrong++) {
        const double mean[] = {1.5, wrong ? 15.001 : 15};
        tamis_scores_writer *writer = NULL;
        tamis_scores_spec spec = {.path = "s.h5", .rows = 2, .queries = 2, .force = true};
        ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
        ck_ok(tamis_scores_writer_put(writer, 0, 2, 0, 2, values, 2, &err));
        ck_ok(tamis_scores_writer_put_statistics(writer, count, mean, variance, &err));
        ck_ok(tamis_scores_writer_commit(&writer, &err));
        tamis_inspection *i = look("s.h5");
        ck_assert_str_eq(fact(i, "column_statistics"), "yes");
        ck_assert_int_eq(i->healthy, !wrong);
        if (wrong) ck_finding(i, "column_mean", 1, 1, "1 query (1)");
        tamis_inspection_free(&i);
    }
}
END_TEST

/* --- selections ------------------------------------------------------------------------------- */

/* Five rows, ranked by number, two kept; `wrong` says what is not as it should be. */
static void make_selection(const char *wrong)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    uint16_t reason;
    ck_ok(tamis_selection_create(&s, 5, NULL, &err));
    ck_ok(tamis_selection_reason(s, "because", &reason, &err));
    for (uint64_t i = 0; i < 5; i++) {
        s->rank[i] = i;
        s->keep[i] = i < 2;
        s->weight[i] = i < 2 ? 1.0f : 0.0f;
    }
    s->kept = 2;
    if (!strcmp(wrong, "repeated_ranks")) s->rank[4] = 3;
    if (!strcmp(wrong, "rank_order")) {
        s->rank[1] = 2;
        s->rank[2] = 1;
    }
    if (!strcmp(wrong, "bad_weight")) s->weight[0] = -1;
    if (!strcmp(wrong, "weight_of_dropped")) s->weight[4] = 1;
    if (!strcmp(wrong, "not_finite")) s->score[1] = NAN;
    if (!strcmp(wrong, "without_score")) s->score[3] = NAN;
    if (!strcmp(wrong, "kept_mismatch")) s->kept = 3;
    if (!strcmp(wrong, "nothing_kept")) s->keep[0] = s->keep[1] = 0;
    s->selector = tamis__strdup("top");
    s->provenance = tamis__strdup(
        "{\"command\":\"tamis select top\",\"options\":{\"seed\":3,\"by\":\"max\"}}");
    ck_ok(tamis_selection_save(s, context, "s.h5", true, &err));
    tamis_selection_free(&s);
}

typedef struct defect {
    const char *key;
    int severe;
    uint64_t count;
} defect;

static const defect defects[] = {{"repeated_ranks", 1, 1}, {"rank_order", 1, 1},
                                 {"bad_weight", 1, 1},     {"weight_of_dropped", 0, 1},
                                 {"not_finite", 1, 1},     {"without_score", 0, 1},
                                 {"kept_mismatch", 1, 2},  {"nothing_kept", 1, 5}};

START_TEST(selections)
{
    make_selection("nothing");
    tamis_inspection *i = look("s.h5");
    ck_assert_int_eq(i->healthy, 1);
    ck_assert_uint_eq(i->findings, 0);
    ck_assert_str_eq(fact(i, "kept"), "2");
    ck_assert_str_eq(fact(i, "command"), "tamis select top");
    ck_assert_str_eq(fact(i, "option_seed"), "3");
    ck_assert_str_eq(fact(i, "option_by"), "max");
    tamis_inspection_free(&i);
    make_selection(defects[_i].key);
    i = look("s.h5");
    ck_finding(i, defects[_i].key, defects[_i].severe, defects[_i].count, "");
    ck_assert_int_eq(i->healthy, !defects[_i].severe);
    tamis_inspection_free(&i);
}
END_TEST

/* --- models and others ------------------------------------------------------------------------ */

START_TEST(models)
{
    tamis_error err = {0};
    tamis_layer layer = {.name = "layers.0", .out = 2, .in = 3, .bias = 1};
    tamis_checkpoint checkpoint = {5, 0.5};
    float weight[8] = {1, 2, 3, 4, 5, 6, 7, 1.2345678f}, *weights[] = {weight};
    tamis__model_file file = {.layers = 1,
                              .checkpoints = 1,
                              .classes = 2,
                              .layer = &layer,
                              .checkpoint = &checkpoint,
                              .weight = weights,
                              .activation = "none"};
    ck_ok(tamis__model_file_write(&file, context, "m.h5", false, &err));
    tamis_inspection *i = look("m.h5");
    ck_assert_str_eq(i->kind, "model");
    ck_assert_str_eq(fact(i, "parameters"), "8");
    ck_assert_str_eq(fact(i, "standardised"), "no");
    ck_assert_int_eq(i->healthy, 1);
    tamis_inspection_free(&i);
    size_t size;
    char *bytes = slurp("m.h5", &size), *at = memmem(bytes, size, weight, sizeof weight - 4);
    const float nan = NAN;
    memcpy(at + 28, &nan, sizeof nan);
    spill("m.h5", bytes, size);
    free(bytes);
    i = look("m.h5");
    ck_finding(i, "not_finite", 1, 1, "weight_0', element 7");
    ck_assert_int_eq(i->healthy, 0);
    tamis_inspection_free(&i);
}
END_TEST

START_TEST(kinds)
{
    tamis_error err = {0};
    char kind[32];
    tamis__h5 h5;
    tamis_inspection *i = NULL;
    const float values[] = {1, 2};
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    ck_ok(tamis_file_kind("s.h5", kind, &err));
    ck_assert_str_eq(kind, "scores");
    small_store(context, "dir", TAMIS_F32, 2, 1, 1, values, NULL, 1);
    ck_ok(tamis_file_kind("dir", kind, &err));
    ck_assert_str_eq(kind, "gradient-store");
    ck_assert_int_eq(mkdir("empty", 0700), 0);
    ck_fails(tamis_file_kind("empty", kind, &err), TAMIS_ERR_FORMAT, "00000.h5");
    ck_fails(tamis_file_kind("absent", kind, &err), TAMIS_ERR_IO, "absent");
    spill("text", "not HDF5 at all", 15);
    ck_fails(tamis_file_kind("text", kind, &err), TAMIS_ERR_FORMAT, "text");
    ck_fails(tamis_inspect(&i, context, "text", 0, &err), TAMIS_ERR_FORMAT, "text");
    ck_ok(tamis__h5_create(&h5, context, "c.h5", "whatever", 1, NULL, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_fails(tamis_inspect(&i, context, "c.h5", 0, &err), TAMIS_ERR_UNSUPPORTED, "whatever");
    ck_ok(tamis__h5_create(&h5, context, "n.h5", "scores", TAMIS_FORMAT_VERSION + 1, NULL, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_fails(tamis_inspect(&i, context, "n.h5", 0, &err), TAMIS_ERR_UNSUPPORTED, "newer");
    ck_assert_ptr_null(i);
}
END_TEST

/* --- cancellation and failures ---------------------------------------------------------------- */

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)cookie, (void)phase, (void)done, (void)total, (void)unit, (void)note;
    return 1;
}

START_TEST(can_be_stopped)
{
    tamis_error err = {0};
    float values[ROWS * COLUMNS];
    tamis_inspection *i = NULL;
    tamis_context_params params = {.threads = 2, .progress = stop};
    fill(values);
    small_store(context, "g.h5", TAMIS_F32, ROWS, COLUMNS, 1, values, NULL, 0);
    small_scores(context, "s.h5", ROWS, COLUMNS, values, NULL, NULL);
    tamis_context_destroy(&context);
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_assert_int_eq(tamis_inspect(&i, context, "g.h5", 0, &err), TAMIS_ERR_CANCELLED);
    ck_assert_int_eq(tamis_inspect(&i, context, "s.h5", 0, &err), TAMIS_ERR_CANCELLED);
}
END_TEST

static tamis_status look_and_free(const char *path, tamis_error *err)
{
    tamis_inspection *i = NULL;
    tamis_status status = tamis_inspect(&i, context, path, 0, err);
    tamis_inspection_free(&i);
    return status;
}

START_TEST(survives_failing_memory)
{
    tamis_error err = {0};
    float values[ROWS * COLUMNS];
    fill(values);
    memset(values, 0, 3 * COLUMNS * sizeof *values);
    small_store(context, "g.h5", TAMIS_F16, ROWS, COLUMNS, 2, values, NULL, 0);
    small_scores(context, "s.h5", ROWS, COLUMNS, values, NULL, NULL);
    ck_survives(tamis__fault_memory_after, look_and_free("g.h5", &err), "g.h5");
    ck_survives(tamis__fault_memory_after, look_and_free("s.h5", &err), "s.h5");
    make_selection("kept_mismatch");
    ck_survives(tamis__fault_memory_after, look_and_free("s.h5", &err), "s.h5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inspect");
    TCase *tcase = tcase_create("inspect");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, healthy_store, 0, 3);
    tcase_add_test(tcase, norms_are_told);
    tcase_add_test(tcase, finds_a_flipped_bit);
    tcase_add_test(tcase, finds_rows_that_are_not_finite_or_changed);
    tcase_add_test(tcase, finds_zero_and_duplicate_rows);
    tcase_add_test(tcase, finds_rows_rounded_away);
    tcase_add_test(tcase, finds_repeated_ids_and_outliers);
    tcase_add_test(tcase, threads_change_nothing);
    tcase_add_test(tcase, quick_reads_no_row);
    tcase_add_test(tcase, scores);
    tcase_add_test(tcase, healthy_scores);
    tcase_add_test(tcase, scores_of_some_rows);
    tcase_add_test(tcase, lists_of_scores);
    tcase_add_test(tcase, statistics_of_scores);
    tcase_add_loop_test(tcase, selections, 0, sizeof defects / sizeof *defects);
    tcase_add_test(tcase, models);
    tcase_add_test(tcase, kinds);
    tcase_add_test(tcase, can_be_stopped);
    tcase_add_test(tcase, survives_failing_memory);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
