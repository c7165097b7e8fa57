/* Tests of export: what is written is read back.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/export.h>

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <tamis/selection.h>

#include "base/context.h"
#include "base/json.h"
#include "import/npy.h"
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

static tamis_status export_to(const char *input, const char *what, const char *output,
                              tamis_error *err)
{
    tamis_export_params params = {.input = input, .what = what, .output = output, .force = true};
    return tamis_export(context, &params, err);
}

/* The text of an export; the caller frees it. */
static char *text_of(const char *input, const char *what, const char *output)
{
    tamis_error err = {0};
    ck_ok(export_to(input, what, output, &err));
    return slurp(output, NULL);
}

static void ck_text(const char *input, const char *what, const char *output, const char *wanted)
{
    char *text = text_of(input, what, output);
    ck_assert_str_eq(text, wanted);
    free(text);
}

/* An export as an open .npy of this type and shape; columns 0 = one dimension. */
static void open_npy(tamis__npy *npy, const char *input, const char *what, tamis__npy_type type,
                     uint64_t rows, uint64_t columns)
{
    tamis_error err = {0};
    ck_ok(export_to(input, what, "x.npy", &err));
    ck_ok(tamis__npy_open(npy, context, "x.npy", &err));
    ck_assert_int_eq((int)npy->type, (int)type);
    ck_assert_int_eq(npy->dims, columns ? 2 : 1);
    ck_assert_uint_eq(npy->rows, rows);
    if (columns) ck_assert_uint_eq(npy->cols, columns);
    ck_assert(!npy->fortran);
}

static void ck_starts(const char *text, const char *start)
{
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%.100s", text);
}

/* --- scores ----------------------------------------------------------------------------------- */

static const char *const odd_ids[] = {"plain", "comma, \"quote\"", "two\nlines", "bad \xff utf",
                                      "\xc3\xa9\t\x01"};

START_TEST(scores_as_npy)
{
    enum { ROWS = 1500, QUERIES = 400 }; /* several blocks */
    float *values = malloc(sizeof(float) * ROWS * QUERIES);
    tamis__npy npy;
    for (size_t i = 0; i < (size_t)ROWS * QUERIES; i++) values[i] = (float)i / 7;
    values[5] = NAN;
    foreign_scores(context, "s.h5", ROWS, QUERIES, values, NULL, NULL);
    open_npy(&npy, "s.h5", NULL, TAMIS__NPY_F4, ROWS, QUERIES);
    ck_assert_mem_eq(npy.data, values, sizeof(float) * ROWS * QUERIES);
    tamis__npy_close(&npy);
    small_scores(context, "s.h5", ROWS, 1, values, NULL, NULL);
    open_npy(&npy, "s.h5", "score", TAMIS__NPY_F4, ROWS, 0);
    ck_assert_mem_eq(npy.data, values, sizeof(float) * ROWS);
    tamis__npy_close(&npy);
    free(values);
}
END_TEST

START_TEST(scores_as_csv)
{
    const float values[] = {1, 0.1f, NAN, -INFINITY, 1e-20f, 16777216, 3, 4, 5, 6};
    static const char *const query_ids[] = {"q,1", "q2"};
    static const uint64_t numbers[] = {70, 80};
    tamis_examples examples = {.id_text = odd_ids}, query = {.id_text = query_ids},
                   numbered = {.id_number = numbers};
    foreign_scores(context, "s.h5", 5, 2, values, &examples, &query);
    ck_text("s.h5", NULL, "x.csv",
            "row,id,\"q,1\",q2\n0,plain,1,0.1\n1,\"comma, "
            "\"\"quote\"\"\",nan,-inf\n2,\"two\nlines\",1e-20,16777216\n"
            "3,bad \xff utf,3,4\n4,\xc3\xa9\t\x01,5,6\n");
    foreign_scores(context, "s.h5", 2, 2, values, NULL, &numbered);
    ck_text("s.h5", NULL, "x.csv", "row,id,query_70,query_80\n0,0,1,0.1\n1,1,nan,-inf\n");
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    ck_text("s.h5", NULL, "x.csv", "row,id,score\n0,0,1\n1,1,0.1\n");
}
END_TEST

/* Every line is JSON to a strict reader. */
START_TEST(scores_as_json_lines)
{
    static const char *const wanted[] = {"plain", "comma, \"quote\"", "two\nlines",
                                         "bad \xef\xbf\xbd utf", "\xc3\xa9\t\x01"};
    const float values[] = {1, 0.1f, NAN, -INFINITY, 1e-20f, 16777216, 3, 4, 5, 6};
    tamis_examples examples = {.id_text = odd_ids};
    foreign_scores(context, "s.h5", 5, 2, values, &examples, NULL);
    char *text = text_of("s.h5", NULL, "x.jsonl"), *line = text;
    for (int i = 0; i < 5; i++) {
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        json_error_t why;
        json_t *object = json_loadb(line, (size_t)(end - line), 0, &why);
        ck_assert_msg(object != NULL, "line %d: %s", i, why.text);
        ck_assert_int_eq(json_integer_value(json_object_get(object, "row")), i);
        ck_assert_str_eq(json_string_value(json_object_get(object, "id")), wanted[i]);
        for (size_t j = 0; j < 2; j++) {
            json_t *score = json_array_get(json_object_get(object, "score"), j);
            if (isfinite(values[2 * i + (int)j]))
                ck_float((float)json_number_value(score), values[2 * i + (int)j]);
            else
                ck_assert(json_is_null(score));
        }
        json_decref(object);
        line = end + 1;
    }
    ck_assert_int_eq(*line, '\0');
    free(text);
    small_scores(context, "s.h5", 1, 1, values, NULL, NULL);
    ck_text("s.h5", NULL, "x.ndjson", "{\"row\":0,\"id\":0,\"score\":1}\n");
}
END_TEST

/* Columns of the rows and of the queries; names in text, indices in npy. */
START_TEST(parts_of_scores)
{
    static const char *const query_ids[] = {"q,1", "q2", "q3"};
    static const char *const classes[] = {"cat", "sea, lion"}, *const groups[] = {"web"};
    static const int32_t labels[] = {1, 0}, query_labels[] = {0, 1, 1}, query_groups[] = {0, -1, 0};
    const float values[6] = {0};
    tamis_error err = {0};
    tamis__npy npy;
    tamis_examples examples = {.label = labels}, query = {.id_text = query_ids,
                                                          .label = query_labels,
                                                          .group = query_groups,
                                                          .group_name = groups,
                                                          .groups = 1,
                                                          .class_name = classes,
                                                          .classes = 2};
    small_scores(context, "s.h5", 2, 3, values, &examples, &query);
    ck_text("s.h5", "id", "x.csv", "row,id\n0,0\n1,1\n");
    ck_text("s.h5", "label", "x.csv", "row,id,label\n0,0,1\n1,1,0\n"); /* no names */
    ck_text("s.h5", "query-id", "x.csv", "query,query-id\n0,\"q,1\"\n1,q2\n2,q3\n");
    ck_text("s.h5", "query-label", "x.csv",
            "query,query-id,query-label\n0,\"q,1\",cat\n1,q2,\"sea, lion\"\n2,q3,\"sea, lion\"\n");
    ck_text("s.h5", "query-group", "x.jsonl",
            "{\"query\":0,\"query-id\":\"q,1\",\"query-group\":\"web\"}\n"
            "{\"query\":1,\"query-id\":\"q2\",\"query-group\":null}\n"
            "{\"query\":2,\"query-id\":\"q3\",\"query-group\":\"web\"}\n");
    ck_fails(export_to("s.h5", "group", "y.csv", &err), TAMIS_ERR_FORMAT, "has no group");
    ck_fails(export_to("s.h5", "query-id", "y.npy", &err), TAMIS_ERR_ARG, "csv or jsonl");
    ck_assert(!exists("y.csv") && !exists("y.npy"));
    open_npy(&npy, "s.h5", "id", TAMIS__NPY_U8, 2, 0);
    tamis__npy_close(&npy);
    open_npy(&npy, "s.h5", "label", TAMIS__NPY_I4, 2, 0);
    ck_assert_mem_eq(npy.data, labels, sizeof labels);
    tamis__npy_close(&npy);
    open_npy(&npy, "s.h5", "query-label", TAMIS__NPY_I4, 3, 0);
    ck_assert_mem_eq(npy.data, query_labels, sizeof query_labels);
    tamis__npy_close(&npy);
    open_npy(&npy, "s.h5", "query-group", TAMIS__NPY_I4, 3, 0);
    ck_assert_mem_eq(npy.data, query_groups, sizeof query_groups);
    tamis__npy_close(&npy);
    small_scores(context, "t.h5", 2, 3, values, &query, NULL);
    ck_text("t.h5", "group", "x.csv", "row,id,group\n0,\"q,1\",web\n1,q2,\n");
    ck_text("t.h5", "query-id", "x.csv", "query,query-id\n0,0\n1,1\n2,2\n");
    ck_fails(export_to("t.h5", "query-label", "y.csv", &err), TAMIS_ERR_FORMAT,
             "has no query-label");
}
END_TEST

/* --- selections ------------------------------------------------------------------------------- */

/* Rows 0 .. 4; chosen in the order 3, 1; the others follow. */
static void make_selection(void)
{
    static const uint64_t rank[] = {3, 1, 2, 0, 4}, digests[] = {1, 2, 3, 0xabcdef0123456789u, 0};
    static const int32_t group[] = {0, 1, -1, 0, 0};
    static const char *const names[] = {"a", "b,c"}, *const classes[] = {"up", "\"down\""};
    static const int32_t label[] = {0, 1, 0, 1, 0};
    tamis_error err = {0};
    tamis_selection *s = NULL;
    uint16_t in, out;
    tamis_examples examples = {.id_text = odd_ids,
                               .digest = digests,
                               .label = label,
                               .group = group,
                               .group_name = names,
                               .groups = 2,
                               .class_name = classes,
                               .classes = 2};
    ck_ok(tamis_selection_create(&s, 5, &examples, &err));
    ck_ok(tamis_selection_reason(s, "in the top 2", &in, &err));
    ck_ok(tamis_selection_reason(s, "below, alas", &out, &err));
    for (uint64_t i = 0; i < 5; i++) {
        s->rank[i] = rank[i];
        s->keep[i] = rank[i] < 2;
        s->score[i] = -(float)rank[i] / 2;
        s->weight[i] = rank[i] < 2;
        s->reason[i] = rank[i] < 2 ? in : out;
    }
    s->kept = 2;
    s->selector = tamis__strdup("top");
    ck_ok(tamis_selection_save(s, context, "sel.h5", true, &err));
    tamis_selection_free(&s);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Of four rows, 0 and 2 have a score: the last place of each top list is empty. */
static void make_lists(void)
{
    tamis_error err = {0};
    static const char *const ids[] = {"a", "b,c", "d", "e"};
    static const uint64_t query_ids[] = {70, 80};
    tamis_examples examples = {.id_text = ids}, query = {.id_number = query_ids};
    const uint64_t top[] = {2, 0, TAMIS_SCORES_NO_ROW, 0, 2, TAMIS_SCORES_NO_ROW},
                   bottom[] = {0, 2};
    const float top_score[] = {2, 0.1f, NAN, 5, -1, NAN}, bottom_score[] = {0.1f, -1};
    const uint64_t count[] = {2, 2};
    const double mean[] = {1.05, 2}, variance[] = {0.9025, 1e-20};
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = "l.h5",
                              .rows = 4,
                              .queries = 2,
                              .examples = &examples,
                              .query = &query,
                              .force = true,
                              .top = 3,
                              .bottom = 1};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put_skipped(writer, 2, &err));
    ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, 0, 2, top, top_score, &err));
    ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_BOTTOM, 0, 2, bottom, bottom_score,
                                       &err));
    ck_ok(tamis_scores_writer_put_statistics(writer, count, mean, variance, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
}

static tamis_status export_list(const char *what, const char *list, const char *output,
                                tamis_error *err)
{
    tamis_export_params params = {
        .input = "l.h5", .what = what, .list = list, .output = output, .force = true};
    return tamis_export(context, &params, err);
}

static void ck_list(const char *what, const char *list, const char *output, const char *wanted)
{
    tamis_error err = {0};
    ck_ok(export_list(what, list, output, &err));
    char *text = slurp(output, NULL);
    ck_assert_str_eq(text, wanted);
    free(text);
}

START_TEST(lists_as_text)
{
    make_lists();
    ck_list(NULL, NULL, "x.csv",
            "query,query-id,rank,row,id,score,which\n0,70,1,2,d,2,top\n0,70,2,0,a,0.1,top\n"
            "1,80,1,0,a,5,top\n1,80,2,2,d,-1,top\n0,70,1,0,a,0.1,bottom\n1,80,1,2,d,-1,bottom\n");
    ck_list("table", "bottom", "x.jsonl",
            "{\"query\":0,\"query-id\":70,\"rank\":1,\"row\":0,\"id\":\"a\",\"score\":0.1,"
            "\"which\":\"bottom\"}\n{\"query\":1,\"query-id\":80,\"rank\":1,\"row\":2,\"id\":\"d\","
            "\"score\":-1,\"which\":\"bottom\"}\n");
    ck_list("row", NULL, "x.csv",
            "query,query-id,rank,row,id\n0,70,1,2,d\n0,70,2,0,a\n1,80,1,0,a\n1,80,2,2,d\n");
    ck_list("score", "top", "x.csv",
            "query,query-id,rank,score\n0,70,1,2\n0,70,2,0.1\n1,80,1,5\n1,80,2,-1\n");
    ck_list("id", NULL, "x.csv", "row,id\n0,a\n1,\"b,c\"\n2,d\n3,e\n");
}
END_TEST

START_TEST(lists_as_npy)
{
    tamis_error err = {0};
    tamis__npy npy;
    const int64_t rows[] = {2, 0, -1, 0, 2, -1}, worst[] = {0, 2};
    make_lists();
    open_npy(&npy, "l.h5", "row", TAMIS__NPY_I8, 2, 3);
    ck_assert_mem_eq(npy.data, rows, sizeof rows);
    tamis__npy_close(&npy);
    open_npy(&npy, "l.h5", "score", TAMIS__NPY_F4, 2, 3);
    ck_float(((const float *)npy.data)[3], 5);
    ck_assert(isnan(((const float *)npy.data)[2]));
    tamis__npy_close(&npy);
    ck_ok(export_list("row", "bottom", "x.npy", &err));
    ck_ok(tamis__npy_open(&npy, context, "x.npy", &err));
    ck_assert(npy.rows == 2 && npy.cols == 1 && npy.dims == 2);
    ck_assert_mem_eq(npy.data, worst, sizeof worst);
    tamis__npy_close(&npy);
    open_npy(&npy, "l.h5", "mean", TAMIS__NPY_F8, 2, 0);
    ck_assert_double_eq(((const double *)npy.data)[0], 1.05);
    tamis__npy_close(&npy);
    open_npy(&npy, "l.h5", "count", TAMIS__NPY_I8, 2, 0);
    ck_assert_int_eq((int)((const int64_t *)npy.data)[1], 2);
    tamis__npy_close(&npy);
    ck_fails(export_list(NULL, NULL, "y.npy", &err), TAMIS_ERR_ARG, "csv or jsonl");
}
END_TEST

START_TEST(statistics)
{
    tamis_error err = {0};
    const float values[] = {NAN};
    const uint64_t none = 0;
    const double nan = (double)NAN;
    make_lists();
    ck_text("l.h5", "mean", "x.csv", "query,query-id,mean\n0,70,1.05\n1,80,2\n");
    ck_text("l.h5", "variance", "x.jsonl",
            "{\"query\":0,\"query-id\":70,\"variance\":0.9025}\n"
            "{\"query\":1,\"query-id\":80,\"variance\":1e-20}\n");
    ck_text("l.h5", "count", "x.csv", "query,query-id,count\n0,70,2\n1,80,2\n");
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = "s.h5", .rows = 1, .queries = 1};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, 1, 0, 1, values, 1, &err));
    ck_ok(tamis_scores_writer_put_statistics(writer, &none, &nan, &nan, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
    ck_text("s.h5", "mean", "x.csv", "query,query-id,mean\n0,0,nan\n");
    ck_text("s.h5", "mean", "x.jsonl", "{\"query\":0,\"query-id\":0,\"mean\":null}\n");
    ck_text("s.h5", NULL, "x.csv", "row,id,score\n0,0,nan\n");
    ck_text("s.h5", NULL, "x.jsonl", "{\"row\":0,\"id\":0,\"score\":null}\n");
}
END_TEST

START_TEST(lists_refused)
{
    tamis_error err = {0};
    const float values[] = {1, 2};
    const uint64_t row[] = {1};
    make_lists();
    ck_fails(export_list("row", "side", "x.csv", &err), TAMIS_ERR_ARG, "it is top or bottom");
    ck_fails(export_list("id", "top", "x.csv", &err), TAMIS_ERR_ARG, "--list goes with");
    small_lists(context, "l.h5", 3, 1, 1, row, values, 0, NULL, NULL);
    ck_fails(export_list("row", "bottom", "x.csv", &err), TAMIS_ERR_ARG, "no bottom lists");
    ck_fails(export_list("mean", NULL, "x.csv", &err), TAMIS_ERR_FORMAT, "no statistics");
    small_scores(context, "l.h5", 2, 1, values, NULL, NULL);
    ck_fails(export_list(NULL, "top", "x.csv", &err), TAMIS_ERR_ARG, "has none");
    ck_fails(export_list("row", NULL, "x.csv", &err), TAMIS_ERR_ARG, "has no lists");
    small_store(context, "l.h5", TAMIS_F32, 2, 1, 1, values, NULL, 0);
    ck_fails(export_list(NULL, "top", "x.csv", &err), TAMIS_ERR_ARG, "leave --list out");
    ck_assert(!exists("x.csv") && !exists("x.csv.part"));
}
END_TEST

START_TEST(selection_as_text)
{
    make_selection();
    ck_text("sel.h5", NULL, "x.csv",
            "row,id,keep,rank,score,weight,label,group,reason,digest\n"
            "0,plain,0,3,-1.5,0,up,a,\"below, alas\",0000000000000001\n"
            "1,\"comma, \"\"quote\"\"\",1,1,-0.5,1,\"\"\"down\"\"\",\"b,c\",in the top "
            "2,0000000000000002\n"
            "2,\"two\nlines\",0,2,-1,0,up,,\"below, alas\",0000000000000003\n"
            "3,bad \xff utf,1,0,-0,1,\"\"\"down\"\"\",a,in the top 2,abcdef0123456789\n"
            "4,\xc3\xa9\t\x01,0,4,-2,0,up,a,\"below, alas\",0000000000000000\n");
    char *text = text_of("sel.h5", "table", "x.jsonl");
    ck_assert_ptr_nonnull(
        strstr(text, "{\"row\":2,\"id\":\"two\\nlines\",\"keep\":false,\"rank\":2,\"score\":-1,"
                     "\"weight\":0,\"label\":\"up\",\"group\":null,\"reason\":\"below, alas\","
                     "\"digest\":\"0000000000000003\"}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\\t\\u0001\""));
    free(text);
    ck_text("sel.h5", "picks", "x.csv", "row\n3\n1\n");
    ck_text("sel.h5", "row", "x.jsonl", "{\"row\":1}\n{\"row\":3}\n");
}
END_TEST

START_TEST(selection_as_npy)
{
    tamis__npy npy;
    make_selection();
    open_npy(&npy, "sel.h5", "row", TAMIS__NPY_I8, 2, 0);
    ck_assert_mem_eq(npy.data, ((int64_t[]){1, 3}), 16);
    tamis__npy_close(&npy);
    open_npy(&npy, "sel.h5", "picks", TAMIS__NPY_I8, 2, 0);
    ck_assert_mem_eq(npy.data, ((int64_t[]){3, 1}), 16);
    tamis__npy_close(&npy);
    open_npy(&npy, "sel.h5", "keep", TAMIS__NPY_BOOL, 5, 0);
    ck_assert_mem_eq(npy.data, ((uint8_t[]){0, 1, 0, 1, 0}), 5);
    tamis__npy_close(&npy);
    open_npy(&npy, "sel.h5", "rank", TAMIS__NPY_I8, 5, 0);
    ck_assert_mem_eq(npy.data, ((int64_t[]){3, 1, 2, 0, 4}), 40);
    tamis__npy_close(&npy);
    open_npy(&npy, "sel.h5", "weight", TAMIS__NPY_F4, 5, 0);
    ck_assert_mem_eq(npy.data, ((float[]){0, 1, 0, 1, 0}), 20);
    tamis__npy_close(&npy);
    open_npy(&npy, "sel.h5", "score", TAMIS__NPY_F4, 5, 0);
    ck_assert_mem_eq(npy.data, ((float[]){-1.5f, -0.5f, -1, -0.0f, -2}), 20);
    tamis__npy_close(&npy);
}
END_TEST

/* A selection that keeps nothing gives empty files, not errors. */
START_TEST(nothing_kept)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    uint16_t reason;
    ck_ok(tamis_selection_create(&s, 3, NULL, &err));
    ck_ok(tamis_selection_reason(s, "no", &reason, &err));
    for (uint64_t i = 0; i < 3; i++) s->rank[i] = i;
    ck_ok(tamis_selection_save(s, context, "sel.h5", true, &err));
    tamis_selection_free(&s);
    tamis__npy npy;
    open_npy(&npy, "sel.h5", "picks", TAMIS__NPY_I8, 0, 0);
    tamis__npy_close(&npy);
    ck_text("sel.h5", "row", "x.csv", "row\n");
}
END_TEST

START_TEST(repeated_ranks_are_refused)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    uint16_t reason;
    ck_ok(tamis_selection_create(&s, 3, NULL, &err));
    ck_ok(tamis_selection_reason(s, "yes", &reason, &err));
    s->keep[0] = s->keep[2] = 1;
    ck_ok(tamis_selection_save(s, context, "sel.h5", true, &err));
    tamis_selection_free(&s);
    ck_fails(export_to("sel.h5", "picks", "x.npy", &err), TAMIS_ERR_FORMAT, "same rank");
    ck_assert(!exists("x.npy") && !exists("x.npy.part"));
}
END_TEST

/* --- gradient stores -------------------------------------------------------------------------- */

START_TEST(stores)
{
    enum { ROWS = 300, COLUMNS = 5 };
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16};
    tamis_error err = {0};
    tamis__npy npy;
    float values[ROWS * COLUMNS], doubled[ROWS * COLUMNS];
    int32_t labels[ROWS];
    uint64_t ids[ROWS], digests[ROWS];
    static const char *const classes[] = {"a", "b", "c"};
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        values[i] = (float)(i % 64 - 32); /* exact in every type */
        doubled[i] = 2 * values[i];
    }
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i % 3;
        ids[i] = (uint64_t)i * 10;
        digests[i] = UINT64_MAX - (uint64_t)i;
    }
    tamis_examples examples = {
        .id_number = ids, .digest = digests, .label = labels, .class_name = classes, .classes = 3};
    small_store(context, "g", dtypes[_i], ROWS, COLUMNS, 2, values, &examples, 100);
    open_npy(&npy, "g", NULL, TAMIS__NPY_F4, ROWS, COLUMNS);
    ck_assert_mem_eq(npy.data, values, sizeof values);
    tamis__npy_close(&npy);
    tamis_export_params params = {
        .input = "g", .checkpoint = 1, .output = "y.npy", .format = "npy"};
    ck_ok(tamis_export(context, &params, &err));
    ck_ok(tamis__npy_open(&npy, context, "y.npy", &err));
    ck_assert_mem_eq(npy.data, doubled, sizeof doubled);
    tamis__npy_close(&npy);
    params.checkpoint = 2;
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "no checkpoint 2");
    open_npy(&npy, "g", "label", TAMIS__NPY_I4, ROWS, 0);
    ck_assert_mem_eq(npy.data, labels, sizeof labels);
    tamis__npy_close(&npy);
    char *text = text_of("g", "label", "x.csv");
    ck_starts(text, "row,id,label\n0,0,a\n1,10,b\n2,20,c\n3,30,a\n");
    free(text);
    open_npy(&npy, "g", "id", TAMIS__NPY_U8, ROWS, 0);
    ck_assert_mem_eq(npy.data, ids, sizeof ids);
    tamis__npy_close(&npy);
    open_npy(&npy, "g", "digest", TAMIS__NPY_U8, ROWS, 0);
    ck_assert_mem_eq(npy.data, digests, sizeof digests);
    tamis__npy_close(&npy);
    open_npy(&npy, "g", "loss", TAMIS__NPY_F4, ROWS, 0);
    ck_float(((const float *)npy.data)[299], 299);
    tamis__npy_close(&npy);
    open_npy(&npy, "g", "norm", TAMIS__NPY_F4, ROWS, 0);
    tamis__npy_close(&npy);
    ck_fails(export_to("g", "group", "z.npy", &err), TAMIS_ERR_FORMAT, "has no group");
    ck_fails(export_to("g", "probability", "z.npy", &err), TAMIS_ERR_FORMAT, "has no probability");
    text = text_of("g", NULL, "x.csv");
    ck_starts(text, "row,id,gradient_0,gradient_1,gradient_2,gradient_3,gradient_4\n0,0,-32,-31,");
    free(text);
    text = text_of("g", "digest", "x.jsonl");
    ck_starts(text, "{\"row\":0,\"id\":0,\"digest\":\"ffffffffffffffff\"}\n");
    free(text);
    text = text_of("g", "id", "x.csv");
    ck_starts(text, "row,id\n0,0\n1,10\n");
    free(text);
}
END_TEST

/* --- arguments -------------------------------------------------------------------------------- */

START_TEST(refuses)
{
    tamis_error err = {0};
    const float values[] = {1, 2};
    tamis_examples examples = {.id_text = odd_ids};
    make_selection();
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    small_store(context, "g.h5", TAMIS_F32, 2, 1, 1, values, &examples, 0);
    ck_fails(export_to("s.h5", "scor", "x.npy", &err), TAMIS_ERR_ARG, "did you mean 'score'");
    ck_fails(export_to("sel.h5", "table", "x.npy", &err), TAMIS_ERR_ARG, "csv or jsonl");
    ck_fails(export_to("g.h5", "id", "x.npy", &err), TAMIS_ERR_ARG, "csv or jsonl");
    ck_fails(export_to("s.h5", NULL, "x.txt", &err), TAMIS_ERR_ARG, "--format");
    ck_fails(export_to("absent", NULL, "x.npy", &err), TAMIS_ERR_IO, "absent");
    spill("junk", "junk", 4);
    ck_fails(export_to("junk", NULL, "x.npy", &err), TAMIS_ERR_FORMAT, "junk");
    tamis_export_params params = {.input = "s.h5", .output = "-", .format = "npy"};
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "standard output");
    params = (tamis_export_params){.input = "s.h5", .output = "x.csv", .format = "xml"};
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "no export format 'xml'");
    params = (tamis_export_params){.input = "s.h5", .output = "junk", .format = "csv"};
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_IO, "-f");
    params.output = "/dev/full";
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_IO, "/dev/full");
    params = (tamis_export_params){.input = "s.h5", .output = "x.csv", .checkpoint = 1};
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "--checkpoint");
    params.input = "sel.h5";
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "--checkpoint");
    params.output = NULL;
    ck_fails(tamis_export(context, &params, &err), TAMIS_ERR_ARG, "a file to write");
    ck_assert(!exists("x.npy") && !exists("x.csv") && !exists("x.txt"));
}
END_TEST

START_TEST(standard_output)
{
    tamis_error err = {0};
    const float values[] = {1, 2};
    tamis_export_params params = {.input = "s.h5", .output = "-", .format = "csv"};
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), file = open("out", O_WRONLY | O_CREAT, 0600);
    dup2(file, STDOUT_FILENO);
    tamis_status status = tamis_export(context, &params, &err);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(file);
    ck_ok(status);
    char *text = slurp("out", NULL);
    ck_assert_str_eq(text, "row,id,score\n0,0,1\n1,1,2\n");
    free(text);
}
END_TEST

START_TEST(names_of_parts)
{
    ck_assert_str_eq(tamis_export_what_at("gradient-store", 0), "gradient");
    ck_assert_str_eq(tamis_export_what_at("selection", 2), "picks");
    ck_assert_str_eq(tamis_export_what_at("scores", 12), "query-group");
    ck_assert_ptr_null(tamis_export_what_at("scores", 13));
    ck_assert_ptr_null(tamis_export_what_at("scores", 99));
    ck_assert_ptr_null(tamis_export_what_at("model", 0));
}
END_TEST

START_TEST(survives_failures)
{
    tamis_error err = {0};
    const float values[] = {1, 2};
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    small_store(context, "g.h5", TAMIS_F16, 2, 1, 1, values, NULL, 0);
    make_selection();
    ck_survives(tamis__fault_memory_after, export_to("s.h5", NULL, "a.npy", &err), "a.npy");
    ck_survives(tamis__fault_memory_after, export_to("g.h5", "loss", "b.csv", &err), "b.csv");
    ck_survives(tamis__fault_memory_after, export_to("sel.h5", "picks", "c.jsonl", &err),
                "c.jsonl");
    make_lists();
    ck_survives(tamis__fault_memory_after, export_to("l.h5", NULL, "f.csv", &err), "f.csv");
    ck_survives(tamis__fault_io_after, export_to("s.h5", NULL, "d.npy", &err), "d.npy");
    ck_survives(tamis__fault_io_after, export_to("sel.h5", NULL, "e.csv", &err), "e.csv");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export");
    TCase *tcase = tcase_create("export");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, scores_as_npy);
    tcase_add_test(tcase, scores_as_csv);
    tcase_add_test(tcase, scores_as_json_lines);
    tcase_add_test(tcase, parts_of_scores);
    tcase_add_test(tcase, lists_as_text);
    tcase_add_test(tcase, lists_as_npy);
    tcase_add_test(tcase, statistics);
    tcase_add_test(tcase, lists_refused);
    tcase_add_test(tcase, selection_as_text);
    tcase_add_test(tcase, selection_as_npy);
    tcase_add_test(tcase, nothing_kept);
    tcase_add_test(tcase, repeated_ranks_are_refused);
    tcase_add_loop_test(tcase, stores, 0, 3);
    tcase_add_test(tcase, refuses);
    tcase_add_test(tcase, standard_output);
    tcase_add_test(tcase, names_of_parts);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
