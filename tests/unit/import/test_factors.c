/* Factors made elsewhere, read back through the store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <sys/stat.h>
#include <tamis/import.h>

#include "base/mem.h"
#include "files.h"

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = 1}, &err));
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

enum { TOKENS = 6, IN = 5, OUT = 3 };

/* Two layers, of 3 inputs and 2 outputs and of 2 and 1. */
static const tamis_layer plain[] = {{.name = "up", .out = 2, .in = 3},
                                    {.name = "down", .out = 1, .in = 2}};
static const tamis_layer biased[] = {{.name = "up", .out = 2, .in = 3, .bias = 1},
                                     {.name = "down", .out = 1, .in = 2, .bias = 1}};

static float input_value(int token, int column)
{
    return (float)(token * 10 + column) / 4;
}

static float output_value(int token, int column)
{
    return (float)(token - 2 * column) / 2;
}

static void save_matrix(const char *name, int columns, float (*value)(int, int))
{
    char shape[32];
    snprintf(shape, sizeof shape, "%d, %d", TOKENS, columns);
    bytes b = npy_of("<f4", shape);
    for (int t = 0; t < TOKENS; t++)
        for (int c = 0; c < columns; c++) put(&b, &(float){value(t, c)}, 4);
    save(name, &b);
}

/* Inputs with the ones of the biases among them. */
static float ones_value(int token, int column)
{
    if (column == 3 || column == 6) return 1;
    return input_value(token, column > 3 ? column - 1 : column);
}

static float bad_ones_value(int token, int column)
{
    return token == 4 && column == 6 ? 2 : ones_value(token, column);
}

static void save_offsets(const char *name, const int *value, size_t n)
{
    char shape[32];
    snprintf(shape, sizeof shape, "%zu,", n);
    bytes b = npy_of("<i4", shape);
    for (size_t i = 0; i < n; i++) put_little(&b, (uint32_t)value[i], 4);
    save(name, &b);
}

static void save_all(void)
{
    save_matrix("a.npy", IN, input_value);
    save_matrix("ones.npy", IN + 2, ones_value);
    save_matrix("bad-ones.npy", IN + 2, bad_ones_value);
    save_matrix("g.npy", OUT, output_value);
    save_offsets("o.npy", (int[]){0, 2, 2, 6}, 4);
}

static const tamis_import_factors one[] = {{{"a.npy", NULL, 0.5}, {"g.npy", NULL, 0}}};
static const tamis_import_factors with_ones[] = {{{"ones.npy", NULL, 0.5}, {"g.npy", NULL, 0}}};

static tamis_import_params base(void)
{
    return (tamis_import_params){.format = "npy",
                                 .factors = one,
                                 .checkpoints = 1,
                                 .offset = "o.npy",
                                 .layer = biased,
                                 .layers = 2,
                                 .output = "f.h5",
                                 .force = true};
}

/* Rows of the store against sums over the rule's tokens. */
static void check_rows(const tamis_layer *layer, const int *offset, uint64_t rows)
{
    tamis_store *store = NULL;
    float found[16];
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert_int_eq(info->form, TAMIS_FORM_FACTORS);
    ck_assert_uint_eq(info->rows, rows);
    ck_assert_uint_eq(info->layers, 2);
    ck_assert_double_eq(info->checkpoint->learning_rate, 0.5);
    for (uint64_t i = 0; i < rows; i++) {
        ck_ok(tamis_store_read(store, 0, i, 1, 0, info->columns, found, 16, &err));
        unsigned at = 0, input = 0, output = 0;
        for (unsigned l = 0; l < 2; l++) {
            for (unsigned o = 0; o < layer[l].out; o++)
                for (unsigned c = 0; c < layer[l].in + layer[l].bias; c++) {
                    double sum = 0;
                    for (int t = offset[i]; t < offset[i + 1]; t++)
                        sum += (double)output_value(t, (int)(output + o)) *
                               (c < layer[l].in ? (double)input_value(t, (int)(input + c)) : 1);
                    ck_assert_double_eq((double)found[at], sum);
                    at++;
                }
            input += (unsigned)layer[l].in;
            output += (unsigned)layer[l].out;
        }
    }
    tamis_store_close(&store);
}

START_TEST(several_tokens)
{
    const int ragged[] = {0, 2, 2, 6}, single[] = {0, 1, 2, 3, 4, 5, 6};
    tamis_import_params params = base();
    save_all();
    ck_ok(tamis_import(context, &params, &err)); /* ones are added */
    check_rows(biased, ragged, 3);
    params.factors = with_ones;
    ck_ok(tamis_import(context, &params, &err)); /* ones are there */
    check_rows(biased, ragged, 3);
    params.factors = one;
    params.layer = plain;
    ck_ok(tamis_import(context, &params, &err));
    check_rows(plain, ragged, 3);
    params.offset = NULL;
    ck_ok(tamis_import(context, &params, &err));
    check_rows(plain, single, 6);
    /* In shards, blocks of a row: the same. */
    params.layer = biased;
    params.output = "shards";
    params.shard_rows = 2;
    ck_ok(tamis_import(context, &params, &err));
    params.output = "f.h5";
    params.shard_rows = 0;
    ck_ok(tamis_import(context, &params, &err));
    tamis_store *a = NULL, *b = NULL;
    ck_ok(tamis_store_open(&a, context, "f.h5", &err));
    ck_ok(tamis_store_open(&b, context, "shards", &err));
    ck_assert_uint_eq(tamis_store_info_get(a)->digest, tamis_store_info_get(b)->digest);
    tamis_store_close(&a);
    tamis_store_close(&b);
}
END_TEST

START_TEST(one_layer)
{
    tamis_import_params params = base();
    tamis_store *store = NULL;
    save_all();
    params.layer = NULL;
    params.layers = 0;
    for (unsigned bias = 0; bias < 2; bias++) {
        params.bias = bias;
        ck_ok(tamis_import(context, &params, &err));
        ck_ok(tamis_store_open(&store, context, "f.h5", &err));
        const tamis_store_info *info = tamis_store_info_get(store);
        ck_assert_str_eq(info->layer->name, "rows");
        ck_assert_uint_eq(info->layer->out, OUT);
        ck_assert_uint_eq(info->layer->in, IN);
        ck_assert_uint_eq(info->layer->bias, bias);
        float found[(IN + 1) * OUT];
        ck_ok(tamis_store_read(store, 0, 2, 1, 0, info->columns, found, (IN + 1) * OUT, &err));
        for (unsigned o = 0; o < OUT; o++) {
            double sum = 0, ones = 0;
            for (int t = 2; t < 6; t++) {
                sum += (double)output_value(t, (int)o) * (double)input_value(t, 1);
                ones += (double)output_value(t, (int)o);
            }
            ck_assert_double_eq((double)found[o * (IN + bias) + 1], sum);
            if (bias) ck_assert_double_eq((double)found[o * (IN + 1) + IN], ones);
        }
        tamis_store_close(&store);
    }
}
END_TEST

static void refuse(tamis_import_params params, tamis_status status, const char *message)
{
    struct stat st;
    (void)unlink("f.h5");
    ck_fails(tamis_import(context, &params, &err), status, message);
    ck_assert_int_ne(stat("f.h5", &st), 0);
    ck_assert_int_ne(stat("f.h5.part", &st), 0);
}

START_TEST(refused)
{
    static const tamis_import_factors swapped[] = {{{"g.npy", NULL, 1}, {"a.npy", NULL, 0}}},
                                      half[] = {{{"a.npy", NULL, 1}, {NULL, NULL, 0}}},
                                      lazy[] = {{{"a.npy", NULL, 0}, {"g.npy", NULL, 0}}},
                                      bad[] = {{{"bad-ones.npy", NULL, 1}, {"g.npy", NULL, 0}}},
                                      few[] = {{{"a.npy", NULL, 1}, {"few.npy", NULL, 0}}},
                                      unlike[] = {{{"a.npy", NULL, 1}, {"g.npy", NULL, 0}},
                                                  {{"ones.npy", NULL, 1}, {"g.npy", NULL, 0}}};
    static const tamis_import_rows rows = {"a.npy", NULL, 1};
    const tamis_import_params good = base();
    tamis_import_params p = good;
    save_all();
    bytes b = npy_of("<f4", "5, 3");
    for (int i = 0; i < 15; i++) put(&b, &(float){1}, 4);
    save("few.npy", &b);
    save_offsets("falls.npy", (int[]){0, 3, 2, 6}, 4);
    save_offsets("late.npy", (int[]){1, 3, 6}, 3);
    save_offsets("short.npy", (int[]){0, 3, 5}, 3);
    save_offsets("none.npy", (int[]){0}, 1);
    p = good, p.factors = swapped;
    refuse(p, TAMIS_ERR_SHAPE, "'a.npy' has 5 columns, its layers have outputs of 3");
    p = good, p.factors = half;
    refuse(p, TAMIS_ERR_ARG, "checkpoint 0 needs both");
    p = good, p.factors = lazy;
    refuse(p, TAMIS_ERR_ARG, "its learning rate is 0");
    p = good, p.factors = bad;
    refuse(p, TAMIS_ERR_ARG,
           "row 2: the input of layer 'down' ends with 2: its last value must be 1");
    p = good, p.factors = few;
    refuse(p, TAMIS_ERR_SHAPE, "'a.npy' has 6 tokens, 'few.npy' has 5");
    p = good, p.factors = unlike, p.checkpoints = 2;
    refuse(p, TAMIS_ERR_SHAPE, "'ones.npy' has 7 columns, 'a.npy' has 5");
    p = good, p.layers = 1;
    refuse(p, TAMIS_ERR_SHAPE, "'g.npy' has 3 columns, its layers have outputs of 2");
    p = good, p.offset = "falls.npy";
    refuse(p, TAMIS_ERR_FORMAT, "'falls.npy' element 2: 2 after 3: offsets do not fall");
    p = good, p.offset = "late.npy";
    refuse(p, TAMIS_ERR_FORMAT, "'late.npy' begins with 1");
    p = good, p.offset = "short.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'short.npy' ends with 5, 'a.npy' has 6 tokens");
    p = good, p.offset = "none.npy";
    refuse(p, TAMIS_ERR_SHAPE, "one more than there are rows");
    p = good, p.offset = "a.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'a.npy' has 6 rows and 5 columns");
    p = good, p.bias = true;
    refuse(p, TAMIS_ERR_ARG, "a bias is said of each layer");
    p = good, p.rows = &rows;
    refuse(p, TAMIS_ERR_ARG, "either rows or factors");
    p = good, p.factors = NULL, p.rows = &rows;
    refuse(p, TAMIS_ERR_ARG, "are those of factors");
    p = good, p.labels = "o.npy";
    refuse(p, TAMIS_ERR_SHAPE, "'o.npy' has 4 labels, 'o.npy' has 3 rows");
}
END_TEST

START_TEST(faults)
{
    void (*const after[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_import_params params = base();
    save_all();
    for (int f = 0; f < 2; f++) {
        tamis_status status = TAMIS_ERR_IO;
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 500);
            err = (tamis_error){0};
            after[f](n);
            status = tamis_import(context, &params, &err);
            after[f](-1);
            if (status != TAMIS_OK) ck_assert_str_ne(err.message, "");
            ck_assert_int_ne(access("f.h5.part", F_OK), 0);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, several_tokens);
    tcase_add_test(tc, one_layer);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, faults);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
