/* Tests of selections, in memory and in their file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/selection.h>

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

static const char *const ids[] = {"a", "b, \"c\"", "", "\xc3\xa9t\xc3\xa9"};
static const char *const class_names[] = {"zero", "one", "", "3 €", "\"four\""};
static const char *const names[] = {"left \"one\"", "right"};
static const uint64_t digests[] = {11, 0, UINT64_MAX, 14};
static const int32_t labels[] = {3, 1, 4, 1}, groups[] = {0, -1, 1, 1};

static const tamis_examples full = {.id_text = ids,
                                    .digest = digests,
                                    .label = labels,
                                    .group = groups,
                                    .group_name = names,
                                    .groups = 2,
                                    .class_name = class_names,
                                    .classes = 5};

/* Four rows, the first and the last kept. */
static tamis_status make(tamis_selection **ret_selection, const tamis_examples *examples,
                         tamis_error *err)
{
    static const uint64_t rank[] = {1, 2, 3, 0};
    tamis_selection *s = NULL;
    uint16_t kept, dropped;
    tamis_status status = tamis_selection_create(&s, 4, examples, err);
    if (status == TAMIS_OK) status = tamis_selection_reason(s, "kept: it is good", &kept, err);
    if (status == TAMIS_OK) status = tamis_selection_reason(s, "dropped", &dropped, err);
    if (status != TAMIS_OK) {
        tamis_selection_free(&s);
        return status;
    }
    for (int i = 0; i < 4; i++) {
        s->rank[i] = rank[i];
        s->keep[i] = rank[i] < 2;
        s->weight[i] = s->keep[i] ? 1.5f : 0.0f;
        s->score[i] = (float)i / 3.0f;
        s->reason[i] = s->keep[i] ? kept : dropped;
    }
    s->kept = 2;
    s->selector = tamis__strdup("top");
    s->provenance = tamis__strdup("{\"a\":1}");
    if (!s->selector || !s->provenance) {
        tamis_selection_free(&s);
        snprintf(err->message, sizeof err->message, "out of memory");
        return err->status = TAMIS_ERR_NOMEM;
    }
    *ret_selection = s;
    return TAMIS_OK;
}

static void ck_same(const tamis_selection *a, const tamis_selection *b)
{
    ck_assert_uint_eq(a->rows, b->rows);
    ck_assert_uint_eq(a->kept, b->kept);
    ck_assert_str_eq(a->selector, b->selector);
    ck_assert_str_eq(a->provenance, b->provenance);
    ck_assert_mem_eq(a->keep, b->keep, a->rows);
    ck_assert_mem_eq(a->rank, b->rank, a->rows * sizeof *a->rank);
    ck_assert_mem_eq(a->score, b->score, a->rows * sizeof *a->score);
    ck_assert_mem_eq(a->weight, b->weight, a->rows * sizeof *a->weight);
    for (uint64_t i = 0; i < a->rows; i++)
        ck_assert_str_eq(a->reason_text[a->reason[i]], b->reason_text[b->reason[i]]);
}

START_TEST(round_trip_with_everything)
{
    tamis_error err = {0};
    tamis_selection *made = NULL, *read = NULL;
    ck_ok(make(&made, &full, &err));
    ck_ok(tamis_selection_save(made, context, "s.h5", false, &err));
    ck_ok(tamis_selection_load(&read, context, "s.h5", &err));
    ck_same(made, read);
    ck_assert_uint_eq(read->reasons, 2);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(read->examples.id_text[i], ids[i]);
        ck_assert_int_eq(read->examples.group[i], groups[i]);
        ck_assert_int_eq(read->examples.label[i], labels[i]);
        ck_assert_uint_eq(read->examples.digest[i], digests[i]);
    }
    ck_assert_uint_eq(read->examples.groups, 2);
    ck_assert_str_eq(read->examples.group_name[0], names[0]);
    ck_assert_uint_eq(read->examples.classes, 5);
    for (int c = 0; c < 5; c++) ck_assert_str_eq(read->examples.class_name[c], class_names[c]);
    ck_ok(tamis_selection_save(read, context, "t.h5", false, &err));
    ck_same_files("s.h5", "t.h5");
    ck_fails(tamis_selection_save(read, context, "t.h5", false, &err), TAMIS_ERR_IO, "-f");
    ck_ok(tamis_selection_save(read, context, "t.h5", true, &err));
    tamis_selection_free(&made);
    tamis_selection_free(&read);
    tamis_selection_free(&read);
}
END_TEST

START_TEST(round_trip_with_nothing)
{
    tamis_error err = {0};
    tamis_selection *made = NULL, *read = NULL;
    static const uint64_t numbers[] = {9, 8, 7, 6};
    tamis_examples numbered = {.id_number = numbers};
    ck_ok(make(&made, NULL, &err));
    ck_ok(tamis_selection_save(made, context, "s.h5", false, &err));
    ck_ok(tamis_selection_load(&read, context, "s.h5", &err));
    ck_same(made, read);
    const tamis_examples *e = &read->examples;
    ck_assert(!e->id_number && !e->id_text && !e->digest && !e->label && !e->group &&
              !e->group_name && !e->class_name);
    tamis_selection_free(&made);
    tamis_selection_free(&read);
    ck_ok(make(&made, &numbered, &err));
    ck_ok(tamis_selection_save(made, context, "n.h5", false, &err));
    ck_ok(tamis_selection_load(&read, context, "n.h5", &err));
    ck_assert_uint_eq(read->examples.id_number[3], 6);
    tamis_selection_free(&made);
    tamis_selection_free(&read);
}
END_TEST

/* What any loader of HDF5 sees: columns in the root, all of one length, of plain types. */
START_TEST(is_a_flat_table)
{
    static const char *const columns[] = {"row",   "id",     "keep",  "rank",
                                          "score", "weight", "group", "digest"};
    tamis_error err = {0};
    tamis_selection *made = NULL;
    tamis__h5 h5;
    uint64_t shape[2], kept;
    void *values;
    char **texts, *text;
    ck_ok(make(&made, NULL, &err));
    ck_ok(tamis_selection_save(made, context, "s.h5", false, &err));
    ck_ok(tamis__h5_open(&h5, "s.h5", "selection", 1, &err));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        ck_ok(tamis__h5_shape(&h5, columns[i], 1, shape, &err));
        ck_assert_uint_eq(shape[0], 4);
    }
    ck_ok(tamis__h5_read(&h5, "group", TAMIS__H5_I32, 4, 0, &values, &err));
    ck_assert_int_eq(((int32_t *)values)[0], -1);
    free(values);
    ck_ok(tamis__h5_read_text(&h5, "reason", 4, &texts, &err));
    ck_assert_str_eq(texts[0], "kept: it is good");
    free(texts);
    ck_ok(tamis__h5_get_u64(&h5, "/", "kept", &kept, &err));
    ck_assert_uint_eq(kept, 2);
    ck_ok(tamis__h5_get_text(&h5, "/", "orientation", &text, &err));
    ck_assert_ptr_nonnull(strstr(text, "positive: training more"));
    free(text);
    tamis__h5_close(&h5);
    tamis_selection_free(&made);
}
END_TEST

START_TEST(many_reasons)
{
    tamis_error err = {0};
    tamis_selection *made = NULL, *read = NULL;
    enum { ROWS = 3000 };
    uint16_t index;
    ck_ok(tamis_selection_create(&made, ROWS, NULL, &err));
    for (int i = 0; i < ROWS; i++) {
        char text[32];
        snprintf(text, sizeof text, "reason %d", i);
        ck_ok(tamis_selection_reason(made, text, &index, &err));
        made->reason[i] = index;
        made->rank[i] = (uint64_t)i;
    }
    ck_ok(tamis_selection_save(made, context, "s.h5", false, &err));
    ck_ok(tamis_selection_load(&read, context, "s.h5", &err));
    ck_assert_uint_eq(read->reasons, ROWS);
    ck_assert_str_eq(read->reason_text[read->reason[2999]], "reason 2999");
    tamis_selection_free(&read);
    for (int i = ROWS; i < 65535; i++) ck_ok(tamis_selection_reason(made, "again", &index, &err));
    ck_fails(tamis_selection_reason(made, "one more", &index, &err), TAMIS_ERR_ARG, "65,535");
    tamis_selection_free(&made);
    ck_fails(tamis_selection_create(&made, 0, NULL, &err), TAMIS_ERR_ARG, "no rows");
}
END_TEST

/* --- hostile files ---------------------------------------------------------------------------- */

typedef struct fault {
    const char *column, *says;
} fault;

/* Each column wrong in its own way; "" leaves all as they should be. */
static const fault faults[] = {
    {"", NULL},
    {"row", "numbered"},
    {"keep", "neither 0 nor 1"},
    {"rank", "rank"},
    {"group", "no such group"},
    {"score", "score"},
    {"reason", "reason"},
    {"selector", "selector"},
    {"group_name", "group_name"},
    {"label", "no such class"},
    {"class_name", "class_name"},
};

START_TEST(refuses_wrong_columns)
{
    tamis_error err = {0};
    tamis__h5 h5;
    const fault *f = &faults[_i];
    uint64_t row[3] = {0, 1, 2}, rank[3] = {2, 1, 0};
    uint8_t keep[3] = {0, 1, 0};
    int32_t group[3] = {-1, 0, 0}, label[3] = {0, 1, 1};
    const float score[3] = {1, 2, 3};
    const char *reason[3] = {"x", "y", "x"};
    tamis_selection *selection = NULL;
    if (!strcmp(f->column, "row")) row[1] = 0;
    if (!strcmp(f->column, "keep")) keep[2] = 2;
    if (!strcmp(f->column, "rank")) rank[0] = 3;
    if (!strcmp(f->column, "group")) group[1] = 1;
    if (!strcmp(f->column, "label")) label[2] = 2;
    ck_ok(tamis__h5_create(&h5, context, "x.h5", "selection", 1, NULL, &err));
    ck_ok(tamis__h5_write(&h5, "row", TAMIS__H5_U64, row, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "keep", TAMIS__H5_U8, keep, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "rank", TAMIS__H5_U64, rank, 3, 0, &err));
    if (strcmp(f->column, "score"))
        ck_ok(tamis__h5_write(&h5, "score", TAMIS__H5_F32, score, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "weight", TAMIS__H5_F32, score, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "group", TAMIS__H5_I32, group, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "label", TAMIS__H5_I32, label, 3, 0, &err));
    ck_ok(tamis__h5_write_text(&h5, "reason", reason, strcmp(f->column, "reason") ? 3 : 2, &err));
    if (strcmp(f->column, "selector")) ck_ok(tamis__h5_put_text(&h5, "/", "selector", "top", &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "group_name",
                             strcmp(f->column, "group_name") ? "[\"only\"]" : "[1]", &err));
    ck_ok(tamis__h5_put_text(&h5, "/", "class_name",
                             strcmp(f->column, "class_name") ? "[\"a\",\"b\"]" : "[\"a\",2]",
                             &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    if (f->says) {
        ck_fails(tamis_selection_load(&selection, context, "x.h5", &err), TAMIS_ERR_FORMAT,
                 f->says);
        ck_assert_ptr_null(selection);
        return;
    }
    ck_ok(tamis_selection_load(&selection, context, "x.h5", &err));
    ck_assert_uint_eq(selection->kept, 1);
    ck_assert_uint_eq(selection->reasons, 2);
    tamis_selection_free(&selection);
}
END_TEST

START_TEST(refuses_truncated_files)
{
    tamis_error err = {0};
    tamis_selection *made = NULL, *read = NULL;
    size_t size;
    ck_ok(make(&made, &full, &err));
    ck_ok(tamis_selection_save(made, context, "s.h5", false, &err));
    char *bytes = slurp("s.h5", &size);
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 61) {
        spill("cut.h5", bytes, cut);
        ck_fails(tamis_selection_load(&read, context, "cut.h5", &err), TAMIS_ERR_FORMAT, "cut.h5");
    }
    free(bytes);
    tamis_selection_free(&made);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status save_afresh(const char *path, tamis_error *err)
{
    tamis_selection *made = NULL;
    unlink(path);
    tamis_status status = make(&made, &full, err);
    if (status == TAMIS_OK) status = tamis_selection_save(made, context, path, false, err);
    tamis_selection_free(&made);
    return status;
}

static tamis_status load_and_free(const char *path, tamis_error *err)
{
    tamis_selection *read = NULL;
    tamis_status status = tamis_selection_load(&read, context, path, err);
    tamis_selection_free(&read);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    ck_survives(tamis__fault_memory_after, save_afresh("m.h5", &err), "m.h5");
    ck_survives(tamis__fault_io_after, save_afresh("i.h5", &err), "i.h5");
    ck_same_files("m.h5", "i.h5");
    ck_survives(tamis__fault_memory_after, load_and_free("m.h5", &err), "m.h5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selection");
    TCase *tcase = tcase_create("selection");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, round_trip_with_everything);
    tcase_add_test(tcase, round_trip_with_nothing);
    tcase_add_test(tcase, is_a_flat_table);
    tcase_add_test(tcase, many_reasons);
    tcase_add_loop_test(tcase, refuses_wrong_columns, 0, sizeof faults / sizeof *faults);
    tcase_add_test(tcase, refuses_truncated_files);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
