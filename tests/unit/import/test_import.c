/* Rows and scores made elsewhere, read back through the store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <sys/stat.h>
#include <tamis/import.h>

#include "files.h"

static tamis_error err;
static tamis_context *context;
static int warnings;

static void count_warning(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie, (void)line;
    warnings += level == TAMIS_LOG_WARNING;
}

static void setup(void)
{
    enter_scratch();
    warnings = 0;
    ck_ok(tamis_context_create(&context,
                               &(tamis_context_params){.threads = 1, .log = count_warning}, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static void save_rows(const char *name, const char *shape, const float *x, size_t n)
{
    bytes b = npy_of("<f4", shape);
    put_floats(&b, x, n);
    save(name, &b);
}

static void save_integers(const char *name, const int *value, size_t n)
{
    char shape[32];
    snprintf(shape, sizeof shape, "%zu,", n);
    bytes b = npy_of("<i4", shape);
    for (size_t i = 0; i < n; i++) put_little(&b, (uint32_t)value[i], 4);
    save(name, &b);
}

static int absent(const char *path)
{
    struct stat st;
    char part[64];
    snprintf(part, sizeof part, "%s.part", path);
    return stat(path, &st) != 0 && stat(part, &st) != 0;
}

static const float rows0[] = {1, 2, 3, 4, 5, 6}, rows1[] = {-1, -2, -3, -4, -5, 0.5f};

/* Three rows of two columns at two checkpoints, one of them Fortran-ordered f8. */
static void save_checkpoints(void)
{
    save_rows("c0.npy", "3, 2", rows0, 6);
    bytes b = npy_start(2, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }");
    for (int k = 0; k < 6; k++) put(&b, &(double){(double)rows1[k % 3 * 2 + k / 3]}, 8);
    save("c1.npy", &b);
}

static const tamis_import_rows two[] = {{.path = "c0.npy", .learning_rate = 2e-5},
                                        {.path = "c1.npy", .learning_rate = 1e-5}};

START_TEST(rows_of_npy)
{
    save_checkpoints();
    save_integers("y.npy", (int[]){4, -1, 2000000000}, 3);
    save_integers("g.npy", (int[]){10, 9, 10}, 3);
    write_text("ids.txt", "a\r\n17\na");
    tamis_import_params params = {.format = "npy",
                                  .rows = two,
                                  .checkpoints = 2,
                                  .labels = "y.npy",
                                  .groups = "g.npy",
                                  .ids = "ids.txt",
                                  .output = "s.h5"};
    for (int dtype = TAMIS_F32; dtype <= TAMIS_I8; dtype++) {
        tamis_store *store = NULL;
        float out[6];
        params.dtype = (tamis_dtype)dtype;
        params.force = dtype != TAMIS_F32;
        ck_ok(tamis_import(context, &params, &err));
        ck_ok(tamis_store_open(&store, context, "s.h5", &err));
        const tamis_store_info *info = tamis_store_info_get(store);
        ck_assert(info->rows == 3 && info->columns == 2 && info->checkpoints == 2 &&
                  info->layers == 1);
        ck_assert(info->dtype == (tamis_dtype)dtype);
        ck_assert_str_eq(info->layer[0].name, "rows");
        ck_assert(info->layer[0].out == 1 && info->layer[0].in == 2 && info->layer[0].bias == 0);
        ck_assert(info->checkpoint[0].learning_rate == 2e-5 &&
                  info->checkpoint[1].learning_rate == 1e-5);
        for (uint32_t k = 0; k < 2; k++) {
            ck_ok(tamis_store_read(store, k, 0, 3, 0, 2, out, 2, &err));
            const float *wanted = k ? rows1 : rows0;
            if (dtype != TAMIS_I8) ck_assert_mem_eq(out, wanted, sizeof out);
            /* half a step of a row's largest value over 127 */
            for (int i = 0; i < 6; i++)
                ck_assert(fabsf(out[i] - wanted[i]) <=
                          0.505f / 127 * fmaxf(fabsf(wanted[i]), fabsf(wanted[i ^ 1])));
        }
        const tamis_examples *examples = tamis_store_examples(store);
        ck_assert(examples->label[0] == 4 && examples->label[1] == -1 &&
                  examples->label[2] == 2000000000);
        ck_assert_uint_eq(examples->groups, 2);
        ck_assert_str_eq(examples->group_name[0], "9");
        ck_assert_str_eq(examples->group_name[1], "10");
        ck_assert(examples->group[0] == 1 && examples->group[1] == 0 && examples->group[2] == 1);
        ck_assert_str_eq(examples->id_text[0], "a");
        ck_assert_str_eq(examples->id_text[1], "17");
        ck_assert_int_eq(warnings, dtype + 1);
        tamis_store_close(&store);
    }
    params.force = false;
    ck_fails(tamis_import(context, &params, &err), TAMIS_ERR_IO, "exists");
}
END_TEST

/* -1 is no group; a byte order mark is no part of the first id. */
START_TEST(groups_and_ids_at_the_edge)
{
    static const int some[] = {7, -1, 7}, none[] = {-1, -1, -1};
    write_text("ids.txt", "\xef\xbb\xbf"
                          "a\nb\nc\n");
    save_checkpoints();
    for (int any = 0; any < 2; any++) {
        tamis_store *store = NULL;
        save_integers("g.npy", any ? (int *)(uintptr_t)some : (int *)(uintptr_t)none, 3);
        tamis_import_params params = {.format = "npy",
                                      .rows = two,
                                      .checkpoints = 2,
                                      .groups = "g.npy",
                                      .ids = "ids.txt",
                                      .output = "s.h5",
                                      .force = true};
        ck_ok(tamis_import(context, &params, &err));
        ck_ok(tamis_store_open(&store, context, "s.h5", &err));
        const tamis_examples *examples = tamis_store_examples(store);
        ck_assert_str_eq(examples->id_text[0], "a");
        ck_assert_uint_eq(examples->groups, any ? 1 : 0);
        ck_assert_int_eq(examples->group != NULL, any);
        if (any) {
            ck_assert_str_eq(examples->group_name[0], "7");
            ck_assert(examples->group[0] == 0 && examples->group[1] == -1 &&
                      examples->group[2] == 0);
        }
        tamis_store_close(&store);
    }
}
END_TEST

START_TEST(rows_of_safetensors)
{
    bytes b = safetensors_of("{\"m\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                             "\"n\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                             "\"i\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[28,32]}}",
                             NULL, 0);
    put_floats(&b, rows0, 6);
    put_little(&b, 0x3f80, 2);
    put_little(&b, 0x4000, 2);
    put_little(&b, 0, 4);
    save("t.safetensors", &b);
    write_text("ids.txt", "5\n18446744073709551615\n0\n");
    tamis_import_rows rows = {.path = "t.safetensors", .learning_rate = 1};
    tamis_import_params params = {.format = "safetensors",
                                  .rows = &rows,
                                  .checkpoints = 1,
                                  .ids = "ids.txt",
                                  .output = "s.h5"};
    tamis_store *store = NULL;
    float out[6];
    ck_ok(tamis_import(context, &params, &err));
    ck_ok(tamis_store_open(&store, context, "s.h5", &err));
    ck_ok(tamis_store_read(store, 0, 0, 3, 0, 2, out, 2, &err));
    ck_assert_mem_eq(out, rows0, sizeof out);
    const tamis_examples *examples = tamis_store_examples(store);
    ck_assert(!examples->label && !examples->group && examples->id_number[1] == UINT64_MAX);
    ck_assert_int_eq(warnings, 0);
    tamis_store_close(&store);

    rows.tensor = "n";
    params.ids = NULL;
    params.output = "n.h5";
    ck_ok(tamis_import(context, &params, &err));
    ck_ok(tamis_store_open(&store, context, "n.h5", &err));
    ck_assert(tamis_store_info_get(store)->rows == 2 && tamis_store_info_get(store)->columns == 1);
    ck_ok(tamis_store_read(store, 0, 0, 2, 0, 1, out, 1, &err));
    ck_assert(out[0] == 1 && out[1] == 2);
    tamis_store_close(&store);
    rows.tensor = "i";
    ck_fails(tamis_import(context, &params, &err), TAMIS_ERR_UNSUPPORTED, "integers");
    rows.tensor = "mm";
    ck_fails(tamis_import(context, &params, &err), TAMIS_ERR_ARG, "no tensor 'mm'");
}
END_TEST

/* More rows than a block holds, as shards, and resumed. */
START_TEST(many_rows)
{
    enum { N = 5000, P = 7 };
    float *x = malloc(N * P * sizeof *x), *out = malloc(N * P * sizeof *out);
    for (int i = 0; i < N * P; i++) x[i] = (float)i;
    save_rows("c.npy", "5000, 7", x, N * P);
    tamis_context *small = new_context(1 << 20);
    tamis_import_rows rows = {.path = "c.npy", .learning_rate = 1};
    tamis_import_params params = {
        .format = "npy", .rows = &rows, .checkpoints = 1, .shard_rows = 1024, .output = "s"};
    tamis_store *store = NULL;
    ck_ok(tamis_import(small, &params, &err));
    params.resume = true;
    ck_assert_int_eq(unlink("s/00001.h5"), 0);
    (void)unlink("s/00002.h5");
    (void)unlink("s/00003.h5");
    (void)unlink("s/00004.h5");
    ck_ok(tamis_import(small, &params, &err));
    ck_ok(tamis_store_open(&store, context, "s", &err));
    ck_assert_uint_eq(tamis_store_info_get(store)->rows, N);
    ck_ok(tamis_store_read(store, 0, 0, N, 0, P, out, P, &err));
    ck_assert_mem_eq(out, x, N * P * sizeof *x);
    tamis_store_close(&store);
    tamis_context_destroy(&small);
    free(x);
    free(out);
}
END_TEST

START_TEST(scores)
{
    save_rows("s.npy", "3, 2", rows0, 6);
    save_integers("g.npy", (int[]){7, 7}, 2);
    save_integers("y.npy", (int[]){1, 0, 1}, 3);
    write_text("ids.txt", "1\n2\n3\n");
    tamis_import_params params = {.format = "npy",
                                  .scores = "s.npy",
                                  .groups = "g.npy",
                                  .labels = "y.npy",
                                  .ids = "ids.txt",
                                  .output = "s.h5"};
    for (int flip = 0; flip < 2; flip++) {
        tamis_scores *file = NULL;
        float out[6];
        params.flip = flip;
        params.force = flip;
        ck_ok(tamis_import(context, &params, &err));
        ck_ok(tamis_scores_open(&file, context, "s.h5", &err));
        const tamis_scores_info *info = tamis_scores_info_get(file);
        ck_assert(info->rows == 3 && info->queries == 2);
        ck_assert_str_eq(info->scorer, "import");
        ck_ok(tamis_scores_read(file, 0, 3, 0, 2, out, 2, &err));
        for (int i = 0; i < 6; i++) ck_assert(out[i] == (flip ? -rows0[i] : rows0[i]));
        ck_assert(info->query.group[0] == 0 && info->query.group[1] == 0 && !info->examples.group);
        ck_assert_str_eq(info->query.group_name[0], "7");
        ck_assert(info->examples.label[1] == 0 && info->examples.id_number[2] == 3);
        tamis_scores_close(&file);
    }
    bytes b = npy_of("<f2", "3,");
    for (int i = 0; i < 3; i++) put_little(&b, 0x3c00, 2);
    save("one.npy", &b);
    params = (tamis_import_params){.format = "npy", .scores = "one.npy", .output = "one.h5"};
    ck_ok(tamis_import(context, &params, &err));
    tamis_scores *file = NULL;
    ck_ok(tamis_scores_open(&file, context, "one.h5", &err));
    ck_assert(tamis_scores_info_get(file)->rows == 3 && tamis_scores_info_get(file)->queries == 1);
    tamis_scores_close(&file);
}
END_TEST

static void refuse(tamis_import_params params, tamis_status status, const char *message)
{
    if (!params.format) params.format = "npy";
    params.output = "refused.h5";
    ck_fails(tamis_import(context, &params, &err), status, message);
    ck_assert(absent("refused.h5"));
}

START_TEST(refused)
{
    save_checkpoints();
    save_integers("y2.npy", (int[]){1, 2}, 2);
    write_text("ids2.txt", "a\nb\n");
    write_text("ids0.txt", "a\n\nc\n");
    tamis_import_params good = {.rows = two, .checkpoints = 2}, p = good;
    p.labels = "y2.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'y2.npy' has 2 labels, 'c0.npy' has 3 rows");
    p = good;
    p.groups = "y2.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'y2.npy' has 2 groups, 'c0.npy' has 3 rows");
    p.groups = "c0.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'c0.npy' has 2 columns");
    p = good;
    p.ids = "ids2.txt";
    refuse(p, TAMIS_ERR_SHAPE, "'ids2.txt' has 2 ids, 'c0.npy' has 3 rows");
    p.ids = "ids0.txt";
    refuse(p, TAMIS_ERR_FORMAT, "'ids0.txt' line 2: the id is empty");
    p = good;
    p.format = "numpy";
    refuse(p, TAMIS_ERR_ARG, "'numpy'");
    p = good;
    p.scores = "c0.npy";
    refuse(p, TAMIS_ERR_ARG, "import one of them");
    refuse((tamis_import_params){0}, TAMIS_ERR_ARG, "nothing to import");
    p = good;
    p.flip = true;
    refuse(p, TAMIS_ERR_ARG, "flip");
    refuse((tamis_import_params){.scores = "c0.npy", .resume = true}, TAMIS_ERR_ARG, "resumed");
    refuse((tamis_import_params){.scores = "c0.npy", .format = "safetensors"},
           TAMIS_ERR_UNSUPPORTED, "npy only");
    refuse((tamis_import_params){.scores = "c0.npy", .groups = "c1.npy"}, TAMIS_ERR_SHAPE,
           "columns");
    save_integers("g3.npy", (int[]){1, 2, 3}, 3);
    refuse((tamis_import_params){.scores = "c0.npy", .groups = "g3.npy"}, TAMIS_ERR_SHAPE,
           "'g3.npy' has 3 groups, 'c0.npy' has 2 columns");

    tamis_import_rows rows[2] = {two[0], two[1]};
    p = (tamis_import_params){.rows = rows, .checkpoints = 2};
    rows[1].learning_rate = 0;
    refuse(p, TAMIS_ERR_ARG, "'c1.npy': its learning rate is 0");
    rows[1].learning_rate = (double)NAN;
    refuse(p, TAMIS_ERR_ARG, "learning rate");
    rows[1].learning_rate = 1;
    rows[1].tensor = "x";
    refuse(p, TAMIS_ERR_ARG, "no tensor 'x'");
    rows[1].tensor = NULL;
    save_rows("c1.npy", "2, 2", rows0, 4);
    refuse(p, TAMIS_ERR_SHAPE, "'c1.npy' has 2 rows, 'c0.npy' has 3");
    save_rows("c1.npy", "3, 1", rows0, 3);
    refuse(p, TAMIS_ERR_SHAPE, "'c1.npy' has 1 columns, 'c0.npy' has 2");
    save_rows("c1.npy", "3, 2", (float[]){1, 2, 3, 4, 5, NAN}, 6);
    refuse(p, TAMIS_ERR_NUMERIC, "'c1.npy' row 2, column 1: not a number");
    refuse((tamis_import_params){.scores = "c1.npy"}, TAMIS_ERR_NUMERIC,
           "'c1.npy' row 2, column 1");
    save_rows("c1.npy", "0, 2", rows0, 0);
    refuse(p, TAMIS_ERR_SHAPE, "is empty");
    save_integers("c1.npy", (int[]){1, 2, 3}, 3);
    refuse(p, TAMIS_ERR_UNSUPPORTED, "integers");
    refuse((tamis_import_params){.scores = "absent.npy"}, TAMIS_ERR_IO, "absent.npy");
    bytes b = npy_of("<i8", "3,");
    put_little(&b, UINT64_C(1) << 40, 8);
    put_little(&b, 0, 8);
    put_little(&b, 0, 8);
    save("y.npy", &b);
    p = (tamis_import_params){.rows = two, .checkpoints = 1, .labels = "y.npy"};
    refuse(p, TAMIS_ERR_FORMAT, "element 0: label 1099511627776");
    /* Beyond what f16 holds: the store's own check, nothing left behind. */
    save_rows("c0.npy", "1, 1", (float[]){1e6f}, 1);
    p = (tamis_import_params){.rows = two, .checkpoints = 1, .dtype = TAMIS_F16};
    refuse(p, TAMIS_ERR_NUMERIC, "row 0");
    p.output = "";
    p.format = "npy";
    ck_fails(tamis_import(context, &p, &err), TAMIS_ERR_ARG, "no output");
    p.format = NULL;
    ck_fails(tamis_import(context, &p, &err), TAMIS_ERR_ARG, "no format");
    p = (tamis_import_params){
        .rows = two, .checkpoints = 1, .format = "npy", .output = "/dev/full"};
    ck_fails(tamis_import(context, &p, &err), TAMIS_ERR_IO, "/dev/full");
}
END_TEST

START_TEST(formats)
{
    const char *summary = NULL;
    ck_assert_str_eq(tamis_import_format_at(0, &summary), "npy");
    ck_assert_ptr_nonnull(summary);
    ck_assert_str_eq(tamis_import_format_at(1, NULL), "safetensors");
    ck_assert_ptr_null(tamis_import_format_at(2, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import import");
    TCase *tests = tcase_create("import");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, rows_of_npy);
    tcase_add_test(tests, rows_of_safetensors);
    tcase_add_test(tests, many_rows);
    tcase_add_test(tests, groups_and_ids_at_the_edge);
    tcase_add_test(tests, scores);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, formats);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
