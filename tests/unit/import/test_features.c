/* A model's features, found by name in rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "files.h"

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = new_context(0);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_data *read_with(tamis_data_options options)
{
    tamis_data *data = NULL;
    ck_ok(tamis_data_read(&data, context, &options, &err));
    return data;
}

static void refuse(tamis_data_options options, tamis_status status, const char *message)
{
    tamis_data *data = NULL;
    ck_fails(tamis_data_read(&data, context, &options, &err), status, message);
    ck_assert_ptr_null(data);
}

static void check_values(const tamis_data *data, uint64_t rows, uint64_t columns, const float *x)
{
    ck_assert_uint_eq(data->rows, rows);
    ck_assert_uint_eq(data->columns, columns);
    for (uint64_t i = 0; i < rows * columns; i++)
        ck_assert_msg(data->x[i] == x[i], "value %d: %g, not %g", (int)i, (double)data->x[i],
                      (double)x[i]);
}

static void check_names(char **names, const char *const *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++) ck_assert_str_eq(names[i], wanted[i]);
}

/* A model's features are found by name, wherever they stand. */
START_TEST(csv_named_features)
{
    static const char *const names[] = {"a", "b, wide", "c"};
    static const float x[] = {1, 2, 3, 4, 5, 6};
    tamis_data_options options = {
        .path = "d.csv", .label = "y", .feature_name = names, .features_named = 3};
    write_text("d.csv", "a,\"b, wide\",c,y\n1,2,3,u\n4,5,6,v\n");
    tamis_data *d = read_with(options);
    check_values(d, 2, 3, x);
    tamis_data_free(&d);
    write_text("d.csv", "c,note,y,a,\"b, wide\"\n3,text,u,1,2\n6,,v,4,5\n");
    d = read_with(options);
    check_values(d, 2, 3, x);
    check_names(d->feature_name, names, 3);
    tamis_data_free(&d);
    write_text("d.tsv", "c\ty\ta\tb, wide\n3\tu\t1\t2\n6\tv\t4\t5\n");
    options.path = "d.tsv";
    d = read_with(options);
    check_values(d, 2, 3, x);
    tamis_data_free(&d);

    options.path = "d.csv";
    options.features = "c,a"; /* the user's list goes first */
    d = read_with(options);
    check_values(d, 2, 2, (float[]){3, 1, 6, 4});
    tamis_data_free(&d);
    options.features = NULL;
    options.label = "c";
    refuse(options, TAMIS_ERR_ARG, "column 'c' is named as a feature and as something else");
    options.label = "y";
    options.feature_name = (const char *const[]){"a", "c", "a"};
    refuse(options, TAMIS_ERR_ARG, "the feature 'a' is named twice");
    options.feature_name = (const char *const[]){"a", "b,wide", "c"};
    refuse(options, TAMIS_ERR_FORMAT, "no column 'b,wide': did you mean 'b, wide'?");
}
END_TEST

START_TEST(jsonl_named_features)
{
    static const char *const names[] = {"a", "b, wide", "c"};
    static const float x[] = {1, 2, 3, 4, 5, 6};
    tamis_data_options options = {
        .path = "d.jsonl", .label = "y", .feature_name = names, .features_named = 3};
    write_text("d.jsonl", "{\"c\":3,\"z\":[9],\"y\":0,\"b, wide\":2,\"a\":1,\"n\":7}\n"
                          "{\"a\":4,\"b, wide\":5,\"y\":1,\"c\":6}\n");
    tamis_data *d = read_with(options);
    check_values(d, 2, 3, x);
    check_names(d->feature_name, names, 3);
    tamis_data_free(&d);
    options.label = "a";
    refuse(options, TAMIS_ERR_ARG, "key 'a' is named as a feature and as something else");
    options.label = "y";
    options.feature_name = (const char *const[]){"z"};
    options.features_named = 1;
    refuse(options, TAMIS_ERR_FORMAT, "key 'z': a nested value is not a number");
    options.feature_name = (const char *const[]){"c", "c"};
    options.features_named = 2;
    refuse(options, TAMIS_ERR_ARG, "the feature 'c' is named twice");
    options.feature_name = (const char *const[]){"c", "b,wide"};
    refuse(options, TAMIS_ERR_FORMAT, "no key 'b,wide': did you mean 'b, wide'?");
    options.feature_name = (const char *const[]){"c", "n"};
    refuse(options, TAMIS_ERR_FORMAT, "line 2, key 'n': this record does not have it");

    char key[5000];
    memset(key, 'k', 4096);
    snprintf(key + 4096, sizeof key - 4096, "\":1}\n");
    char line[5100];
    snprintf(line, sizeof line, "{\"%s", key);
    write_text("d.jsonl", line);
    refuse((tamis_data_options){.path = "d.jsonl"}, TAMIS_ERR_FORMAT, "longer than 4095 bytes");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import features");
    TCase *tests = tcase_create("features");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, csv_named_features);
    tcase_add_test(tests, jsonl_named_features);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
