/* Stores of signed bytes with a scale for each row.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_files.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <tamis/inspect.h>
#include <unistd.h>

#include "base/digest.h"
#include "store/store_object.h"

enum { ROWS = 50, COLUMNS = 37, CHECKPOINTS = 2 };

static tamis_context *context;
static tamis_error err;
static float values[ROWS * COLUMNS];

/* Rows of very different sizes; row 7 is zero, row 8 so small that it has no scale. */
static void fill(void)
{
    uint64_t z = 1;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)ldexp((double)(int64_t)z, i / COLUMNS % 13 * 9 - 120);
        if (i / COLUMNS == 7) values[i] = 0;
        if (i / COLUMNS == 8) values[i] = i % 2 ? 1e-37f : -2e-38f;
    }
}

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
    fill();
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

static void write_store(const char *path, const float *rows, uint64_t shard_rows)
{
    small_store(context, path, TAMIS_I8, ROWS, COLUMNS, CHECKPOINTS, rows, NULL, shard_rows);
}

static tamis_store *opened(const char *path)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

/* What a value of the test is at a checkpoint: small_store() multiplies by 1, 2. */
static double value_of(uint32_t k, uint64_t i, uint64_t j)
{
    return (double)(values[i * COLUMNS + j] * (float)(k + 1));
}

/* By the definition, in double. */
static double scale_of(uint32_t k, uint64_t i)
{
    double top = 0;
    for (uint64_t j = 0; j < COLUMNS; j++) top = fmax(top, fabs(value_of(k, i, j)));
    int exponent = 0;
    (void)frexp((double)((float)top / 127), &exponent);
    double scale = ldexp(floor(ldexp((double)((float)top / 127), 17 - exponent)), exponent - 17);
    return scale < (double)FLT_MIN ? 0 : scale;
}

/* --- what is stored --------------------------------------------------------------------------- */

static uint64_t wrong_rows(const tamis_store *store, uint32_t k, const float *scale)
{
    uint64_t bad = 0, run = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        const int8_t *row = tamis_store_map(store, k, i, &run);
        ck_assert_ptr_nonnull(row);
        bad += (double)scale[i] != scale_of(k, i);
        for (uint64_t j = 0; j < COLUMNS; j++) {
            double step = (double)scale[i];
            double want = step > 0 ? rint(value_of(k, i, j) / step) : 0;
            bad += row[j] != want && fabs(fabs(value_of(k, i, j) / step - want) - 0.5) > 1e-4;
        }
    }
    return bad;
}

static uint64_t digest_of(const tamis_store *store, uint32_t k, const float *scale)
{
    uint64_t sum = 0, run;
    for (uint64_t i = 0; i < ROWS; i++) {
        sum += tamis__digest_seeded(tamis_store_map(store, k, i, &run), COLUMNS, i * 256 + k);
        sum += tamis__digest_seeded(&scale[i], 4, i * 256 + k);
    }
    return sum;
}

START_TEST(rows_are_bytes_and_scales)
{
    uint64_t digest = 0;
    write_store("g", values, _i ? 16 : 0);
    tamis_store *store = opened("g");
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert_int_eq(info->dtype, TAMIS_I8);
    ck_assert_uint_eq(info->shards, _i ? 4 : 1);
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        const float *scale = NULL, *again = NULL, *norm = NULL;
        ck_ok(tamis_store_scales(store, k, &scale, &err));
        ck_ok(tamis_store_scales(store, k, &again, &err));
        ck_assert_ptr_eq(scale, again);
        ck_assert_uint_eq(wrong_rows(store, k, scale), 0);
        ck_assert(scale[7] == 0 && scale[8] == 0 && scale[9] > 0);
        digest += digest_of(store, k, scale);
        ck_ok(tamis_store_norms(store, k, &norm, &err));
        for (uint64_t i = 0; i < ROWS; i++) {
            double squares = 0;
            for (uint64_t j = 0; j < COLUMNS; j++) squares += pow(value_of(k, i, j), 2);
            ck_assert(fabs((double)norm[i] - sqrt(squares)) <= 1e-6 * sqrt(squares));
        }
    }
    ck_assert_uint_eq(info->digest, digest);
    const float *none = NULL;
    ck_fails(tamis_store_scales(store, CHECKPOINTS, &none, &err), TAMIS_ERR_ARG, "2 checkpoints");
    tamis_store_close(&store);
}
END_TEST

START_TEST(other_types_have_no_scales)
{
    const float *scale = values;
    small_store(context, "g", TAMIS_BF16, ROWS, COLUMNS, 1, values, NULL, 0);
    tamis_store *store = opened("g");
    ck_ok(tamis_store_scales(store, 0, &scale, &err));
    ck_assert_ptr_null(scale);
    tamis_store_close(&store);
    tamis__h5 h5;
    ck_ok(tamis__h5_open(&h5, "g", TAMIS__STORE_KIND, 1, &err));
    ck_assert(!tamis__h5_has(&h5, "checkpoint/0/scale"));
    tamis__h5_close(&h5);
}
END_TEST

/* The types that other programs see. */
START_TEST(types_in_the_file)
{
    tamis__h5 h5;
    uint64_t shape[2];
    write_store("g", values, 0);
    ck_ok(tamis__h5_open(&h5, "g", TAMIS__STORE_KIND, 1, &err));
    hid_t dataset = H5Dopen2(h5.file, "checkpoint/1/gradient", H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset);
    ck_assert_int_gt(H5Tequal(type, H5T_STD_I8LE), 0);
    H5Tclose(type);
    H5Dclose(dataset);
    dataset = H5Dopen2(h5.file, "checkpoint/1/scale", H5P_DEFAULT);
    type = H5Dget_type(dataset);
    ck_assert_int_gt(H5Tequal(type, H5T_IEEE_F32LE), 0);
    H5Tclose(type);
    H5Dclose(dataset);
    ck_ok(tamis__h5_shape(&h5, "checkpoint/1/scale", 1, shape, &err));
    ck_assert_uint_eq(shape[0], ROWS);
    tamis__h5_close(&h5);
}
END_TEST

/* Parts of rows too, over the ends of shards, and with another stride. */
static void check_reading(const tamis_store *store, uint32_t k, const int8_t *bytes,
                          const float *scale)
{
    float whole[ROWS * COLUMNS], part[ROWS * COLUMNS];
    uint64_t bad = 0;
    ck_ok(tamis_store_read(store, k, 0, ROWS, 0, COLUMNS, whole, COLUMNS, &err));
    for (int i = 0; i < ROWS * COLUMNS; i++)
        bad += whole[i] != scale[i / COLUMNS] * (float)bytes[i];
    ck_ok(tamis_store_read(store, k, 11, 33, 5, 20, part, 30, &err));
    for (int i = 0; i < 33; i++)
        for (int j = 0; j < 20; j++) bad += part[i * 30 + j] != whole[(i + 11) * COLUMNS + j + 5];
    ck_assert_uint_eq(bad, 0);
}

static void copy_bytes(const tamis_store *store, uint32_t k, int8_t *bytes)
{
    uint64_t run;
    for (uint64_t i = 0; i < ROWS; i++)
        memcpy(bytes + i * COLUMNS, tamis_store_map(store, k, i, &run), COLUMNS);
}

START_TEST(reading_scales_the_bytes)
{
    int8_t bytes[ROWS * COLUMNS];
    write_store("g", values, _i ? 16 : 0);
    tamis_store *store = opened("g");
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        const float *scale = NULL;
        copy_bytes(store, k, bytes);
        ck_ok(tamis_store_scales(store, k, &scale, &err));
        check_reading(store, k, bytes, scale);
    }
    tamis_store_close(&store);
}
END_TEST

/* Rows read and written again are the same bytes with the same scales. */
START_TEST(stored_again)
{
    float rows[ROWS * COLUMNS];
    int8_t before[ROWS * COLUMNS], after[ROWS * COLUMNS];
    const float *scale = NULL, *again = NULL;
    write_store("a", values, 0);
    tamis_store *a = opened("a");
    ck_ok(tamis_store_read(a, 0, 0, ROWS, 0, COLUMNS, rows, COLUMNS, &err));
    write_store("b", rows, 16);
    tamis_store *b = opened("b");
    copy_bytes(a, 0, before), copy_bytes(b, 0, after);
    ck_ok(tamis_store_scales(a, 0, &scale, &err));
    ck_ok(tamis_store_scales(b, 0, &again, &err));
    ck_assert_mem_eq(before, after, sizeof before);
    ck_assert_mem_eq(scale, again, ROWS * sizeof *scale);
    tamis_store_close(&a);
    tamis_store_close(&b);
}
END_TEST

/* --- made by others --------------------------------------------------------------------------- */

static hid_t writable(void)
{
    hid_t file = H5Fopen("g", H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    return file;
}

static void put_dataset(const char *name, hid_t type, hid_t memory, int rank, const hsize_t *dims,
                        const hsize_t *chunk, const void *from)
{
    hid_t file = writable(), list = H5Pcreate(H5P_DATASET_CREATE);
    ck_assert(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    if (chunk) H5Pset_chunk(list, rank, chunk), H5Pset_deflate(list, 1);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, from) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
}

static void put_scale(hid_t type, hsize_t rows, const float *from)
{
    put_dataset("checkpoint/1/scale", type, H5T_NATIVE_FLOAT, 1, &rows, NULL, from);
}

/* Compressed, in tiles, with -128, with any scale and without norms. */
START_TEST(foreign_rows)
{
    static const hsize_t dims[2] = {ROWS, COLUMNS}, rows_of_8[2] = {8, COLUMNS}, tiles[2] = {16, 8};
    int8_t bytes[ROWS * COLUMNS];
    float scale[ROWS];
    write_store("g", values, 0);
    for (int i = 0; i < ROWS * COLUMNS; i++) bytes[i] = (int8_t)(i * 7 % 256 - 128);
    for (int i = 0; i < ROWS; i++) scale[i] = 0.1f * (float)i;
    put_dataset("checkpoint/1/gradient", H5T_STD_I8BE, H5T_NATIVE_INT8, 2, dims,
                _i == 1   ? rows_of_8
                : _i == 2 ? tiles
                          : NULL,
                bytes);
    put_scale(_i ? H5T_IEEE_F64BE : H5T_IEEE_F32LE, ROWS, scale);
    hid_t file = writable();
    ck_assert(H5Ldelete(file, "checkpoint/1/norm", H5P_DEFAULT) >= 0);
    H5Fclose(file);
    tamis_store *store = opened("g");
    const float *kept = NULL, *norm = NULL;
    ck_ok(tamis_store_scales(store, 1, &kept, &err));
    ck_assert_mem_eq(kept, scale, sizeof scale);
    check_reading(store, 1, bytes, scale);
    ck_ok(tamis_store_norms(store, 1, &norm, &err));
    for (int i = 0; i < ROWS; i++) {
        double squares = 0;
        for (int j = 0; j < COLUMNS; j++)
            squares += pow((double)(scale[i] * (float)bytes[i * COLUMNS + j]), 2);
        ck_assert(fabs((double)norm[i] - sqrt(squares)) <= 1e-6 * sqrt(squares));
    }
    tamis_store_close(&store);
}
END_TEST

static void refused(const char *why)
{
    tamis_store *store = NULL;
    ck_fails(tamis_store_open(&store, context, "g", &err), TAMIS_ERR_FORMAT, why);
    ck_assert_ptr_nonnull(strstr(err.message, "'g'"));
}

START_TEST(scales_missing_or_of_another_kind)
{
    float scale[ROWS] = {0};
    write_store("g", values, 0);
    put_scale(H5T_IEEE_F32LE, ROWS - 1, scale);
    refused("'checkpoint/1/scale' has 49 values, 50 expected");
    put_scale(H5T_STD_I32LE, ROWS, scale);
    refused("dataset 'checkpoint/1/scale'");
    hid_t file = writable();
    H5Ldelete(file, "checkpoint/1/scale", H5P_DEFAULT);
    H5Fclose(file);
    refused("dataset 'checkpoint/1/scale' is missing");
}
END_TEST

START_TEST(scales_of_no_use)
{
    static const float bad[] = {NAN, INFINITY, -1e-30f};
    float scale[ROWS] = {0}, row[COLUMNS];
    const float *out = NULL;
    write_store("g", values, 0);
    scale[31] = bad[_i];
    put_scale(H5T_IEEE_F32LE, ROWS, scale);
    hid_t file = writable();
    H5Ldelete(file, "checkpoint/1/norm", H5P_DEFAULT);
    H5Fclose(file);
    tamis_store *store = opened("g");
    ck_fails(tamis_store_scales(store, 1, &out, &err), TAMIS_ERR_FORMAT,
             "'g': dataset 'checkpoint/1/scale': row 31 has the scale");
    ck_fails(tamis_store_read(store, 1, 31, 1, 0, COLUMNS, row, COLUMNS, &err), TAMIS_ERR_FORMAT,
             "row 31");
    ck_fails(tamis_store_norms(store, 1, &out, &err), TAMIS_ERR_FORMAT, "row 31");
    ck_ok(tamis_store_scales(store, 0, &out, &err));
    tamis_store_close(&store);
}
END_TEST

/* --- inspection and resuming ------------------------------------------------------------------ */

static void healthy(const char *path, bool wanted)
{
    tamis_inspection *i = NULL;
    ck_ok(tamis_inspect(&i, context, path, 0, &err));
    bool flipped = false, others = false;
    for (size_t f = 0; f < i->findings; f++) {
        const char *key = i->finding[f].key;
        flipped = flipped || !strcmp(key, "digest_mismatch");
        /* rows 7 and 8 are zero, and rounded to zero; rows are of very different sizes */
        others = others || (strcmp(key, "digest_mismatch") && strcmp(key, "zero_norm") &&
                            strcmp(key, "rounded_to_zero") && strcmp(key, "norm_outliers"));
    }
    ck_assert_int_eq(flipped, !wanted);
    ck_assert(!others);
    tamis_inspection_free(&i);
}

/* Change one bit of the bytes of a row or of its scale. */
static void flip(const char *path, const void *there, size_t size, size_t at)
{
    size_t all;
    char *bytes = slurp(path, &all), *found = memmem(bytes, all, there, size);
    ck_assert_ptr_nonnull(found);
    found[at] = (char)(found[at] ^ 1);
    spill(path, bytes, all);
    free(bytes);
}

START_TEST(inspection_sees_every_flip)
{
    int8_t bytes[ROWS * COLUMNS];
    float scales[ROWS];
    const float *scale = NULL;
    write_store("g", values, 0);
    tamis_store *store = opened("g");
    copy_bytes(store, 0, bytes);
    ck_ok(tamis_store_scales(store, 0, &scale, &err));
    memcpy(scales, scale, sizeof scales);
    tamis_store_close(&store);
    healthy("g", true);
    flip("g", bytes + 9 * COLUMNS, COLUMNS, 3);
    healthy("g", false);
    bytes[9 * COLUMNS + 3] ^= 1;
    flip("g", bytes + 9 * COLUMNS, COLUMNS, 3);
    healthy("g", true);
    flip("g", scales, sizeof scales, 9 * 4);
    healthy("g", false);
}
END_TEST

/* The digest holds for rows that another program has compressed. */
START_TEST(inspection_of_compressed_rows)
{
    static const hsize_t dims[2] = {ROWS, COLUMNS}, tiles[2] = {16, 8};
    int8_t bytes[ROWS * COLUMNS];
    write_store("g", values, 0);
    tamis_store *store = opened("g");
    copy_bytes(store, 1, bytes);
    tamis_store_close(&store);
    put_dataset("checkpoint/1/gradient", H5T_STD_I8LE, H5T_NATIVE_INT8, 2, dims, tiles, bytes);
    healthy("g", true);
    bytes[100] ^= 1;
    put_dataset("checkpoint/1/gradient", H5T_STD_I8LE, H5T_NATIVE_INT8, 2, dims, tiles, bytes);
    healthy("g", false);
}
END_TEST

static tamis_status resume(tamis_store_writer **writer)
{
    tamis_layer layer = {.name = "rows", .out = 1, .in = COLUMNS};
    tamis_checkpoint checkpoint[CHECKPOINTS] = {{10, 0.1}, {20, 0.2}};
    tamis_store_spec spec = {.path = "g",
                             .dtype = TAMIS_I8,
                             .rows = ROWS,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = checkpoint,
                             .checkpoints = CHECKPOINTS,
                             .outputs = true,
                             .shard_rows = 16,
                             .resume = true};
    return tamis_store_writer_open(writer, context, &spec, &err);
}

START_TEST(resuming_checks_rows_and_scales)
{
    int8_t bytes[ROWS * COLUMNS];
    const float *scale = NULL;
    float scales[ROWS];
    tamis_store_writer *writer = NULL;
    write_store("g", values, 16);
    tamis_store *store = opened("g");
    copy_bytes(store, 1, bytes);
    ck_ok(tamis_store_scales(store, 1, &scale, &err));
    memcpy(scales, scale, sizeof scales);
    tamis_store_close(&store);
    ck_ok(resume(&writer));
    ck_assert_uint_eq(tamis_store_writer_next(writer), ROWS);
    tamis_store_writer_abort(&writer);
    if (_i)
        flip("g/00001.h5", scales + 16, 16 * sizeof *scales, 20);
    else
        flip("g/00001.h5", bytes + 16 * COLUMNS, COLUMNS, 5);
    ck_fails(resume(&writer), TAMIS_ERR_FORMAT, "'g/00001.h5' is damaged: its rows are not those");
    ck_assert_int_eq(unlink("g/00001.h5"), 0);
    ck_ok(resume(&writer));
    ck_assert_uint_eq(tamis_store_writer_next(writer), 16);
    tamis_store_writer_abort(&writer);
}
END_TEST

/* --- threads and failures --------------------------------------------------------------------- */

typedef struct reader {
    tamis_store *store;
    uint64_t bad;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    tamis_error own;
    float out[COLUMNS];
    const float *scale = NULL, *norm = NULL;
    uint64_t run;
    for (uint64_t row = 0; row < ROWS; row++) {
        r->bad += tamis_store_read(r->store, 0, row, 1, 0, COLUMNS, out, COLUMNS, &own) != TAMIS_OK;
        r->bad += tamis_store_norms(r->store, 0, &norm, &own) != TAMIS_OK;
        r->bad += tamis_store_scales(r->store, 0, &scale, &own) != TAMIS_OK;
        const int8_t *bytes = tamis_store_map(r->store, 0, row, &run);
        for (int j = 0; j < COLUMNS; j++) r->bad += out[j] != scale[row] * (float)bytes[j];
    }
    return NULL;
}

START_TEST(several_threads)
{
    reader r[4] = {{0}};
    pthread_t thread[4];
    write_store("g", values, 16);
    tamis_store *store = opened("g");
    for (int i = 0; i < 4; i++) {
        r[i].store = store;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_all, &r[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
        ck_assert_uint_eq(r[i].bad, 0);
    }
    tamis_store_close(&store);
}
END_TEST

static tamis_status write_some(void)
{
    tamis_layer layer = {.name = "rows", .out = 1, .in = COLUMNS};
    tamis_checkpoint checkpoint = {1, 0.1};
    tamis_store_writer *writer = NULL;
    const float *rows = values;
    tamis_projection projection = {.kind = "sparse", .seed = 5, .from = 99, .to = COLUMNS};
    tamis_store_spec spec = {.path = "w",
                             .dtype = TAMIS_I8,
                             .rows = ROWS,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .projection = &projection,
                             .function = "margin",
                             .direction = "gradient",
                             .force = true};
    tamis_status status = tamis_store_writer_open(&writer, context, &spec, &err);
    if (status == TAMIS_OK)
        status = tamis_store_writer_append(writer, ROWS, &rows, NULL, NULL, NULL, NULL, &err);
    if (status == TAMIS_OK) status = tamis_store_writer_commit(&writer, &err);
    tamis_store_writer_abort(&writer);
    return status;
}

static tamis_status read_some(void)
{
    tamis_store *store = NULL;
    float row[COLUMNS];
    const float *out;
    tamis_status status = tamis_store_open(&store, context, "w", &err);
    if (status == TAMIS_OK) status = tamis_store_scales(store, 0, &out, &err);
    if (status == TAMIS_OK) status = tamis_store_norms(store, 0, &out, &err);
    if (status == TAMIS_OK)
        status = tamis_store_read(store, 0, 3, 1, 0, COLUMNS, row, COLUMNS, &err);
    tamis_store_close(&store);
    return status;
}

START_TEST(failures)
{
    ck_survives(tamis__fault_memory_after, write_some(), "w");
    ck_survives(tamis__fault_io_after, write_some(), "w");
    ck_survives(tamis__fault_memory_after, read_some(), "w");
    ck_survives(tamis__fault_io_after, read_some(), "w");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("i8");
    TCase *tc = tcase_create("i8");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, rows_are_bytes_and_scales, 0, 2);
    tcase_add_test(tc, other_types_have_no_scales);
    tcase_add_test(tc, types_in_the_file);
    tcase_add_loop_test(tc, reading_scales_the_bytes, 0, 2);
    tcase_add_test(tc, stored_again);
    tcase_add_loop_test(tc, foreign_rows, 0, 3);
    tcase_add_test(tc, scales_missing_or_of_another_kind);
    tcase_add_loop_test(tc, scales_of_no_use, 0, 3);
    tcase_add_test(tc, inspection_sees_every_flip);
    tcase_add_test(tc, inspection_of_compressed_rows);
    tcase_add_loop_test(tc, resuming_checks_rows_and_scales, 0, 2);
    tcase_add_test(tc, several_threads);
    tcase_add_test(tc, failures);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
