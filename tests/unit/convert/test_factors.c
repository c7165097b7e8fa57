/* Stores of factors in other types, layers and shards, multiplied out and projected.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_factors.h"

#include <hdf5.h>
#include <math.h>
#include <sys/stat.h>
#include <tamis/context.h>
#include <tamis/convert.h>

#include "base/mem.h"

static tamis_error err;

enum { ROWS = 90 };

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

static void setup(void)
{
    enter_scratch();
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    leave_scratch();
}

static tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

static void write_small(tamis_context *context, const char *path, tamis_dtype dtype,
                        uint64_t shard_rows)
{
    small_factors s = {.path = path,
                       .rows = ROWS,
                       .shard_rows = shard_rows,
                       .checkpoints = 2,
                       .dtype = dtype,
                       .labels = "sampled",
                       .force = true};
    ck_ok(factors_write(&s, context, 40, &err));
}

static tamis_store *open_store(tamis_context *context, const char *path)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

static tamis_status convert(tamis_context *context, const char *from, tamis_convert_params params)
{
    tamis_store *store = open_store(context, from);
    params.store = store;
    tamis_status status = tamis_convert(context, &params, NULL, &err);
    tamis_store_close(&store);
    return status;
}

static void ck_same(const char *a, const char *b)
{
    char command[128];
    snprintf(command, sizeof command, "diff -r '%s' '%s'", a, b);
    ck_assert_msg(system(command) == 0, "%s and %s differ", a, b);
}

/* A conversion gives the bytes that writing in the type would have given; the source's types hold
 * its values. Also in shards, and whatever the threads. */
START_TEST(other_types)
{
    tamis_dtype from = dtypes[_i / 4], to = dtypes[_i % 4];
    if (from == TAMIS_I8 && to != TAMIS_I8) return; /* its values are not those that were written */
    tamis_context *context = make_context(1 + (unsigned)_i % 3, 0);
    write_small(context, "from", from, 0);
    write_small(context, "want", to, 0);
    write_small(context, "shards", to, 32);
    ck_ok(
        convert(context, "from",
                (tamis_convert_params){.path = "made", .retype = true, .dtype = to, .sample = 20}));
    ck_same("want", "made");
    ck_ok(convert(context, "from",
                  (tamis_convert_params){
                      .path = "made-shards", .retype = true, .dtype = to, .shard_rows = 32}));
    ck_same("shards", "made-shards");
    ck_ok(convert(context, "made-shards", (tamis_convert_params){.path = "back"}));
    ck_same("want", "back");
    tamis_context_destroy(&context);
}
END_TEST

/* i8 to another type: each value is what the i8 store reads. */
START_TEST(from_i8)
{
    tamis_context *context = make_context(2, 0);
    write_small(context, "from", TAMIS_I8, 32);
    ck_ok(convert(context, "from",
                  (tamis_convert_params){.path = "made", .retype = true, .dtype = TAMIS_F32}));
    tamis_store *from = open_store(context, "from"), *made = open_store(context, "made");
    const float *norm, *kept;
    float a[37], b[37];
    for (uint32_t k = 0; k < 2; k++) {
        ck_ok(tamis_store_norms(from, k, &norm, &err));
        ck_ok(tamis_store_norms(made, k, &kept, &err));
        ck_assert_int_eq(memcmp(norm, kept, ROWS * 4), 0);
        for (uint64_t t = 0; t < 130; t++) {
            ck_ok(tamis_store_read_factors(from, k, 1, t, 1, a, 37, NULL, 0, &err));
            ck_ok(tamis_store_read_factors(made, k, 1, t, 1, b, 37, NULL, 0, &err));
            ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
        }
    }
    tamis_store_close(&from);
    tamis_store_close(&made);
    tamis_context_destroy(&context);
}
END_TEST

/* --- multiplied out --------------------------------------------------------------------------- */

START_TEST(full_form)
{
    tamis_context *context = make_context(2, 0);
    write_small(context, "from", dtypes[_i], 32);
    ck_ok(convert(context, "from",
                  (tamis_convert_params){.path = "full",
                                         .reform = true,
                                         .form = TAMIS_FORM_FULL,
                                         .retype = true,
                                         .dtype = TAMIS_F32,
                                         .sample = 30}));
    tamis_store *from = open_store(context, "from"), *full = open_store(context, "full");
    const tamis_store_info *info = tamis_store_info_get(full);
    ck_assert_int_eq(info->form, TAMIS_FORM_FULL);
    ck_assert_str_eq(info->labels, "sampled");
    ck_assert_uint_eq(info->label_seed, 77);
    ck_assert_uint_eq(info->columns, FACTORS_COLUMNS);
    float a[FACTORS_COLUMNS], b[FACTORS_COLUMNS];
    const float *norm, *kept;
    for (uint32_t k = 0; k < 2; k++) {
        ck_ok(tamis_store_norms(from, k, &norm, &err));
        ck_ok(tamis_store_norms(full, k, &kept, &err));
        ck_assert_int_eq(memcmp(norm, kept, ROWS * 4), 0);
        for (uint64_t i = 0; i < ROWS; i++) {
            ck_ok(tamis_store_read(from, k, i, 1, 0, FACTORS_COLUMNS, a, FACTORS_COLUMNS, &err));
            ck_ok(tamis_store_read(full, k, i, 1, 0, FACTORS_COLUMNS, b, FACTORS_COLUMNS, &err));
            ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
        }
    }
    tamis_store_close(&from);
    tamis_store_close(&full);
    /* Projected, it is what the whole rows give projected. */
    const tamis_convert_params project = {.path = "p", .project = "sparse:16", .seed = 3};
    tamis_convert_params other = project;
    other.path = "q";
    other.retype = true; /* the source's is its own type */
    ck_ok(convert(context, "full", project));
    ck_ok(convert(context, "from", other));
    tamis_store *p = open_store(context, "p"), *q = open_store(context, "q");
    ck_assert_uint_eq(tamis_store_info_get(p)->digest, tamis_store_info_get(q)->digest);
    ck_assert_str_eq(tamis_store_info_get(p)->projection, tamis_store_info_get(q)->projection);
    tamis_store_close(&p);
    tamis_store_close(&q);
    tamis_context_destroy(&context);
}
END_TEST

/* --- parts ------------------------------------------------------------------------------------ */

START_TEST(parts)
{
    tamis_context *context = make_context(2, 0);
    write_small(context, "from", TAMIS_BF16, 0);
    ck_ok(convert(context, "from",
                  (tamis_convert_params){
                      .path = "made", .layers = "third,first", .checkpoints = "1", .sample = 20}));
    tamis_store *from = open_store(context, "from"), *made = open_store(context, "made");
    const tamis_store_info *info = tamis_store_info_get(made);
    ck_assert_int_eq(info->form, TAMIS_FORM_FACTORS);
    ck_assert_uint_eq(info->layers, 2);
    ck_assert_uint_eq(info->input_columns, 7);
    ck_assert_uint_eq(info->output_columns, 9);
    const float *norm = NULL;
    const uint64_t *offset = NULL;
    ck_ok(tamis_store_norms(made, 0, &norm, &err));
    ck_ok(tamis_store_tokens(made, 0, &offset, &err));
    float a[31], b[31];
    for (uint64_t i = 0; i < ROWS; i++) {
        double squares = 0;
        ck_ok(tamis_store_read(from, 1, i, 1, 0, 16, a, 31, &err));
        ck_ok(tamis_store_read(from, 1, i, 1, 90, 15, a + 16, 31, &err));
        ck_ok(tamis_store_read(made, 0, i, 1, 0, 31, b, 31, &err));
        for (unsigned c = 0; c < 31; c++) squares += (double)a[c] * (double)a[c];
        ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
        ck_assert_double_eq_tol((double)norm[i], sqrt(squares), 1e-6 * sqrt(squares) + 1e-30);
    }
    tamis_store_close(&from);
    tamis_store_close(&made);
    tamis_context_destroy(&context);
}
END_TEST

/* --- how well they agree ---------------------------------------------------------------------- */

/* Dot products of all rows with 16 of them, [ROWS, 16], from rows in full form. */
static void brute_products(tamis_store *store, double *out)
{
    static float rows[ROWS * FACTORS_COLUMNS];
    memset(out, 0, ROWS * 16 * sizeof *out);
    for (uint32_t k = 0; k < 2; k++) {
        ck_ok(tamis_store_read(store, k, 0, ROWS, 0, FACTORS_COLUMNS, rows, FACTORS_COLUMNS, &err));
        for (unsigned i = 0; i < ROWS; i++)
            for (unsigned q = 0; q < 16; q++)
                for (unsigned c = 0; c < FACTORS_COLUMNS; c++)
                    out[i * 16 + q] += (double)rows[i * FACTORS_COLUMNS + c] *
                                       (double)rows[q * ROWS / 16 * FACTORS_COLUMNS + c];
    }
}

/* One token a row: by products of factors; more: by rows. Both are what rows in full form give. */
START_TEST(agreement)
{
    tamis_context *context = make_context(1 + (unsigned)_i, 0);
    small_factors s = {.path = "from", .rows = ROWS, .checkpoints = 2, .one_token = _i == 1};
    ck_ok(factors_write(&s, context, 40, &err));
    tamis_store *from = open_store(context, "from");
    const tamis_convert_params params = {
        .store = from, .path = "made", .retype = true, .dtype = TAMIS_I8, .sample = ROWS};
    tamis_convert_report report;
    ck_ok(tamis_convert(context, &params, &report, &err));
    tamis_store *made = open_store(context, "made");
    static double before[ROWS * 16], after[ROWS * 16];
    double difference = 0, largest = 0;
    brute_products(from, before);
    brute_products(made, after);
    for (unsigned i = 0; i < ROWS * 16; i++) {
        difference = fmax(difference, fabs(after[i] - before[i]));
        largest = fmax(largest, fabs(before[i]));
    }
    ck_assert_double_gt(difference, 0);
    ck_assert_double_eq_tol(report.kept.largest_difference, difference / largest, 1e-7);
    ck_assert_double_gt(report.kept.least_spearman, 0.99);
    tamis_store_close(&from);
    tamis_store_close(&made);
    tamis_context_destroy(&context);
}
END_TEST

/* --- refused ---------------------------------------------------------------------------------- */

START_TEST(refused)
{
    tamis_context *context = make_context(1, 0);
    write_small(context, "from", TAMIS_F32, 0);
    ck_ok(convert(context, "from",
                  (tamis_convert_params){.path = "full", .reform = true, .form = TAMIS_FORM_FULL}));
    const tamis_convert_params factors = {.path = "no", .reform = true, .form = TAMIS_FORM_FACTORS};
    ck_fails(convert(context, "full", factors), TAMIS_ERR_UNSUPPORTED,
             "'full' has whole gradients, and which inputs and output gradients");
    tamis_convert_params both = factors;
    both.project = "5";
    ck_fails(convert(context, "from", both), TAMIS_ERR_ARG, "projected rows are no factors");
    /* Checkpoints whose examples have other tokens: possible in files of others. */
    uint64_t offset[ROWS + 1];
    hid_t file = H5Fopen("from", H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "checkpoint/1/offset", H5P_DEFAULT);
    ck_assert(H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, offset) >= 0);
    offset[2]--;
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, offset) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    ck_fails(convert(context, "from", (tamis_convert_params){.path = "no"}), TAMIS_ERR_UNSUPPORTED,
             "other numbers of tokens at checkpoint 1 than at checkpoint 0");
    ck_ok(convert(context, "from", (tamis_convert_params){.path = "one", .checkpoints = "1"}));
    ck_assert_int_ne(access("no", F_OK), 0);
    ck_assert_int_ne(access("no.part", F_OK), 0);
    tamis_context_destroy(&context);
}
END_TEST

/* --- memory, faults, resuming ----------------------------------------------------------------- */

START_TEST(same_bytes)
{
    tamis_context *context = make_context(1, 0);
    write_small(context, "from", TAMIS_F32, 0);
    const tamis_convert_params i8 = {
        .path = "want", .retype = true, .dtype = TAMIS_I8, .shard_rows = 32};
    ck_ok(convert(context, "from", i8));
    tamis_context_destroy(&context);
    uint64_t memory = 4096;
    for (unsigned threads = 1; threads < 6; threads++) {
        tamis_convert_params again = i8;
        again.path = "made";
        again.force = true;
        context = make_context(threads, threads == 5 ? memory : 0);
        tamis_status status = convert(context, "from", again);
        tamis_context_destroy(&context);
        if (threads == 5 && status == TAMIS_ERR_NOMEM) {
            memory += memory / 4;
            threads--;
            continue;
        }
        ck_ok(status);
        ck_same("want", "made");
    }
    /* A lost shard is made again. */
    context = make_context(2, 0);
    tamis_convert_params resumed = i8;
    resumed.path = "made";
    resumed.resume = true;
    ck_assert_int_eq(unlink("made/00001.h5"), 0);
    ck_ok(convert(context, "from", resumed));
    ck_same("want", "made");
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(faults)
{
    void (*const after[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_context *context = make_context(1, 0);
    write_small(context, "from", TAMIS_F32, 0);
    for (int f = 0; f < 2; f++) {
        tamis_status status = TAMIS_ERR_IO;
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 2000);
            tamis_store *store = open_store(context, "from");
            const tamis_convert_params params = {.store = store,
                                                 .path = "made",
                                                 .retype = true,
                                                 .dtype = TAMIS_I8,
                                                 .sample = 3,
                                                 .force = true};
            err = (tamis_error){0};
            after[f](n);
            status = tamis_convert(context, &params, NULL, &err);
            after[f](-1);
            ck_assert_int_ne(access("made.part", F_OK), 0);
            if (status != TAMIS_OK) ck_assert_str_ne(err.message, "");
            tamis_store_close(&store);
        }
    }
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convert factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, other_types, 0, 16);
    tcase_add_test(tc, from_i8);
    tcase_add_loop_test(tc, full_form, 0, 4);
    tcase_add_test(tc, parts);
    tcase_add_loop_test(tc, agreement, 0, 2);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, same_bytes);
    tcase_add_test(tc, faults);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
