/* Files of factors that are damaged, or made by other programs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_factors.h"

#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <tamis/context.h>
#include <tamis/inspect.h>

#include "base/mem.h"
#include "base/rng.h"

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    tamis_context_params params = {.threads = 2};
    enter_scratch();
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static void write_small(const char *path, tamis_dtype dtype)
{
    small_factors s = {.path = path, .rows = 40, .checkpoints = 2, .dtype = dtype, .force = true};
    ck_ok(factors_write(&s, context, 40, &err));
}

static hid_t opened(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert(file > 0);
    return file;
}

/* Everything that can be asked of a store; errors are welcome, crashes are not. */
static tamis_status exercise(const char *path)
{
    tamis_store *store = NULL;
    tamis_status status = tamis_store_open(&store, context, path, &err);
    if (status != TAMIS_OK) return status;
    const tamis_store_info *info = tamis_store_info_get(store);
    float *row = malloc((info->columns + 1) * 4);
    for (uint32_t k = 0; k < info->checkpoints && k < 4; k++) {
        const float *norm = NULL;
        const uint64_t *offset = NULL;
        tamis_status some = tamis_store_tokens(store, k, &offset, &err);
        for (uint64_t i = 0; i < info->rows && some == TAMIS_OK; i++)
            some = tamis_store_read(store, k, i, 1, 0, info->columns, row, info->columns, &err);
        if (some == TAMIS_OK) some = tamis_store_norms(store, k, &norm, &err);
        if (status == TAMIS_OK) status = some;
    }
    free(row);
    tamis_store_close(&store);
    return status;
}

static void refused(const char *path, tamis_status status, const char *why)
{
    err.message[0] = '\0';
    ck_fails(exercise(path), status, why);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_ptr_null(strchr(err.message, '\n'));
}

/* --- parts that are missing or do not fit ----------------------------------------------------- */

/* `values` NULL = zeros. */
static void put(hid_t file, const char *name, hid_t type, int rank, hsize_t rows, hsize_t columns,
                const void *values)
{
    const hsize_t dims[2] = {rows, columns};
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    void *zeros = calloc(rows * (columns + 1) + 1, 8);
    if (rows)
        ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values ? values : zeros) >=
                  0);
    free(zeros);
    H5Dclose(dataset);
    H5Sclose(space);
}

static void replaced(const char *name, tamis_dtype dtype, hid_t type, int rank, hsize_t rows,
                     hsize_t columns, tamis_status status, const char *why)
{
    write_small("s.h5", dtype);
    hid_t file = opened("s.h5");
    ck_assert(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    if (rank) put(file, name, type, rank, rows, columns, NULL);
    H5Fclose(file);
    if (status == TAMIS_OK)
        ck_ok(exercise("s.h5"));
    else
        refused("s.h5", status, why);
}

/* The small store has 40 rows of 60 tokens. */
enum { TOKENS = 60 };

START_TEST(test_wrong_datasets)
{
    const hid_t f32 = H5T_IEEE_F32LE;
    replaced("checkpoint/0/input", TAMIS_F32, f32, 0, 0, 0, TAMIS_ERR_FORMAT,
             "dataset 'checkpoint/0/input' is missing");
    replaced("checkpoint/1/output_gradient", TAMIS_F32, f32, 0, 0, 0, TAMIS_ERR_FORMAT,
             "dataset 'checkpoint/1/output_gradient' is missing");
    replaced("checkpoint/0/offset", TAMIS_F32, f32, 0, 0, 0, TAMIS_ERR_FORMAT,
             "dataset 'checkpoint/0/offset' is missing");
    replaced("checkpoint/0/input", TAMIS_F32, f32, 2, TOKENS, FACTORS_INPUT - 2, TAMIS_ERR_SHAPE,
             "factor store without its bias column: dataset 'checkpoint/0/input' has the layers' "
             "inputs, 42 columns; add a column of ones");
    replaced("checkpoint/0/input", TAMIS_F32, f32, 2, TOKENS, 45, TAMIS_ERR_SHAPE,
             "'checkpoint/0/input' has 45 columns, its layers have 44");
    replaced("checkpoint/0/output_gradient", TAMIS_F32, f32, 2, TOKENS, 9, TAMIS_ERR_SHAPE,
             "'checkpoint/0/output_gradient' has 9 columns, its layers have 11");
    replaced("checkpoint/1/output_gradient", TAMIS_F32, f32, 2, 59, 11, TAMIS_ERR_SHAPE,
             "'checkpoint/1/input' has 60 tokens, 'checkpoint/1/output_gradient' has 59");
    replaced("checkpoint/0/input", TAMIS_F32, f32, 1, TOKENS, 0, TAMIS_ERR_FORMAT,
             "1 dimensions, 2 expected");
    replaced("checkpoint/0/input", TAMIS_BF16, f32, 2, TOKENS, 44, TAMIS_ERR_SHAPE,
             "'checkpoint/0/input' is f32, 'checkpoint/0/output_gradient' is bf16");
    replaced("checkpoint/1/offset", TAMIS_F32, H5T_STD_U64LE, 1, 40, 0, TAMIS_ERR_SHAPE,
             "checkpoint 1 has 39 rows, checkpoint 0 has 40");
    replaced("checkpoint/0/offset", TAMIS_F32, H5T_STD_U64LE, 1, 0, 0, TAMIS_ERR_FORMAT,
             "one more than there are rows");
    replaced("checkpoint/0/offset", TAMIS_F32, f32, 1, 41, 0, TAMIS_ERR_FORMAT,
             "does not hold integers");
    replaced("checkpoint/0/offset", TAMIS_F32, H5T_STD_U64LE, 2, 41, 1, TAMIS_ERR_FORMAT,
             "2 dimensions, 1 expected");
    replaced("checkpoint/0/input_scale", TAMIS_I8, f32, 0, 0, 0, TAMIS_ERR_FORMAT,
             "'checkpoint/0/input_scale' is missing: factors of i8 are worth nothing without it");
    replaced("checkpoint/0/output_gradient_scale", TAMIS_I8, f32, 2, TOKENS, 2, TAMIS_ERR_FORMAT,
             "is 60 x 2, 60 x 3 expected");
    replaced("checkpoint/0/input_scale", TAMIS_I8, f32, 1, TOKENS, 0, TAMIS_ERR_FORMAT,
             "1 dimensions, 2 expected");
    replaced("checkpoint/0/norm", TAMIS_I8, f32, 0, 0, 0, TAMIS_OK, NULL);
}
END_TEST

static void with_offset(uint64_t at, uint64_t value, const char *why)
{
    uint64_t offset[41];
    write_small("s.h5", TAMIS_F16);
    hid_t file = opened("s.h5"), dataset = H5Dopen2(file, "checkpoint/1/offset", H5P_DEFAULT);
    ck_assert(H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, offset) >= 0);
    offset[at] = value;
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, offset) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    refused("s.h5", TAMIS_ERR_FORMAT, why);
}

START_TEST(test_wrong_offsets)
{
    with_offset(0, 1, "dataset 'checkpoint/1/offset' begins with 1: it must begin with 0");
    with_offset(7, 50, "dataset 'checkpoint/1/offset' falls from 50 to 12 at row 7");
    with_offset(20, UINT64_MAX, "falls from 18446744073709551615");
    with_offset(40, 59, "ends with 59, and there are 60 tokens");
    with_offset(40, 61, "ends with 61, and there are 60 tokens");
}
END_TEST

START_TEST(test_wrong_scales)
{
    static const float bad[] = {-1.0f, NAN, INFINITY};
    float scale[TOKENS * FACTORS_LAYERS];
    for (unsigned i = 0; i < 3; i++) {
        write_small("s.h5", TAMIS_I8);
        hid_t file = opened("s.h5");
        hid_t dataset = H5Dopen2(file, "checkpoint/0/output_gradient_scale", H5P_DEFAULT);
        ck_assert(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, scale) >= 0);
        scale[17 * FACTORS_LAYERS + 2] = bad[i];
        ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, scale) >= 0);
        H5Dclose(dataset);
        H5Fclose(file);
        refused("s.h5", TAMIS_ERR_FORMAT,
                "dataset 'checkpoint/0/output_gradient_scale': token 17 has the scale");
    }
}
END_TEST

static void set_text(hid_t file, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE); /* as h5py writes it */
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, type, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void set_number(hid_t file, const char *name, uint64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    hid_t attribute = H5Acreate2(file, name, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, H5T_NATIVE_UINT64, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

START_TEST(test_wrong_attributes)
{
    static const char *const why[] = {
        "attribute form of / is neither 'full' nor 'factors'",
        "it has factors, so the attribute form of / must be 'factors'",
        "attribute rows_per_example of / is 0",
        "40 rows, which are no whole number of examples of 7 rows each",
        "attribute labels of / is not a text",
    };
    write_small("s.h5", TAMIS_F32);
    hid_t file = opened("s.h5");
    switch (_i) {
    case 0: set_text(file, "form", "factor"); break;
    case 1: H5Adelete(file, "form"); break;
    case 2: set_number(file, "rows_per_example", 0); break;
    case 3: set_number(file, "rows_per_example", 7); break;
    default: set_text(file, "labels", "\xff"); break;
    }
    H5Fclose(file);
    refused("s.h5", _i ? TAMIS_ERR_FORMAT : TAMIS_ERR_UNSUPPORTED, why[_i]);
}
END_TEST

/* --- shards ----------------------------------------------------------------------------------- */

START_TEST(test_shards_that_do_not_join)
{
    static const char *const why[] = {"another form, full or factors", "labels of another kind",
                                      "another dtype"};
    static const char *const other[] = {NULL, "sampled", NULL};
    small_factors s = {.path = "d", .rows = 40, .shard_rows = 16, .checkpoints = 2};
    ck_ok(factors_write(&s, context, 40, &err));
    s.path = "e";
    s.labels = other[_i];
    s.dtype = _i == 2 ? TAMIS_F16 : TAMIS_F32;
    ck_ok(factors_write(&s, context, 40, &err));
    if (_i == 0) { /* the same rows in full form */
        tamis_store_writer *writer = NULL;
        tamis_store_spec spec = factors_spec(&s);
        static float zeros[40 * FACTORS_COLUMNS];
        const float *const gradient[2] = {zeros, zeros};
        ck_assert_int_eq(system("rm -rf e"), 0);
        spec.form = TAMIS_FORM_FULL;
        ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
        ck_ok(
            tamis_store_writer_append(writer, 40, gradient, NULL, gradient, gradient, NULL, &err));
        ck_ok(tamis_store_writer_commit(&writer, &err));
    }
    ck_assert_int_eq(system("cp e/00001.h5 d/00001.h5"), 0);
    refused("d", TAMIS_ERR_SHAPE, why[_i]);
}
END_TEST

/* --- other layouts ---------------------------------------------------------------------------- */

/* The dataset again in another layout: what does not lie in the file as in memory goes through
 * HDF5, and is the same. */
static void lay_anew(hid_t file, const char *name, int layout)
{
    hsize_t dims[2], chunk[2] = {16, 5};
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    H5Sget_simple_extent_dims(space, dims, NULL);
    hid_t type = H5Dget_type(dataset), list = H5Pcreate(H5P_DATASET_CREATE), as = type;
    size_t size = H5Tget_size(type);
    void *values = malloc(dims[0] * dims[1] * 8 + 1);
    ck_assert(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Ldelete(file, name, H5P_DEFAULT);
    if (chunk[1] > dims[1]) chunk[1] = dims[1];
    if (layout) H5Pset_chunk(list, 2, chunk);
    if (layout == 2) H5Pset_shuffle(list), H5Pset_deflate(list, 1);
    if (layout == 3) {
        as = H5Tcopy(type);
        H5Tset_order(as, H5T_ORDER_BE);
    }
    hid_t plain = H5Screate_simple(2, dims, NULL);
    dataset = H5Dcreate2(file, name, as, plain, H5P_DEFAULT, list, H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    (void)size;
    if (as != type) H5Tclose(as);
    H5Dclose(dataset), H5Sclose(plain), H5Sclose(space), H5Tclose(type), H5Pclose(list);
    free(values);
}

static float *all_rows(const char *path)
{
    tamis_store *store = NULL;
    float *rows = malloc(2 * 40 * FACTORS_COLUMNS * 4);
    ck_ok(tamis_store_open(&store, context, path, &err));
    for (uint32_t k = 0; k < 2; k++)
        ck_ok(tamis_store_read(store, k, 0, 40, 0, FACTORS_COLUMNS, rows + k * 40 * FACTORS_COLUMNS,
                               FACTORS_COLUMNS, &err));
    tamis_store_close(&store);
    return rows;
}

static void inspect_finds(const char *path, const char *key)
{
    tamis_inspection *inspection = NULL;
    ck_ok(tamis_inspect(&inspection, context, path, 0, &err));
    bool found = key == NULL;
    for (size_t i = 0; i < inspection->findings; i++) {
        const tamis_finding *f = &inspection->finding[i];
        if (key && !strcmp(f->key, key)) found = true;
        ck_assert_msg(!f->severe || !strcmp(f->key, "zero_norm") || (key && !strcmp(f->key, key)),
                      "%s: %s", f->key, f->text);
    }
    ck_assert_msg(found, "no %s", key ? key : "");
    tamis_inspection_free(&inspection);
}

START_TEST(test_other_layouts)
{
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    int layout = _i / 4;
    write_small("s.h5", dtypes[_i % 4]);
    float *want = all_rows("s.h5");
    hid_t file = opened("s.h5");
    for (int k = 0; k < 2; k++) {
        char name[64];
        snprintf(name, sizeof name, "checkpoint/%d/input", k);
        lay_anew(file, name, layout);
        snprintf(name, sizeof name, "checkpoint/%d/output_gradient", k);
        lay_anew(file, name, layout);
        if (_i % 4 != 3) continue;
        snprintf(name, sizeof name, "checkpoint/%d/input_scale", k);
        lay_anew(file, name, layout);
    }
    H5Fclose(file);
    float *found = all_rows("s.h5");
    ck_assert_int_eq(memcmp(want, found, 2 * 40 * FACTORS_COLUMNS * 4), 0);
    inspect_finds("s.h5", NULL); /* also the digest is the same */
    free(want), free(found);
}
END_TEST

/* --- several threads -------------------------------------------------------------------------- */

typedef struct reader {
    tamis_store *store;
    const float *want;
    uint64_t bad, first;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    float row[FACTORS_COLUMNS];
    tamis_error mine;
    for (unsigned n = 0; n < 2000; n++) {
        uint64_t i = (r->first + n * 17) % 40;
        if (tamis_store_read(r->store, 1, i, 1, 0, FACTORS_COLUMNS, row, FACTORS_COLUMNS, &mine) !=
                TAMIS_OK ||
            memcmp(row, r->want + (40 + i) * FACTORS_COLUMNS, sizeof row) != 0)
            r->bad++;
    }
    return NULL;
}

START_TEST(test_several_threads)
{
    pthread_t thread[4];
    reader r[4] = {{0}};
    write_small("s.h5", _i ? TAMIS_I8 : TAMIS_BF16);
    float *want = all_rows("s.h5");
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, "s.h5", &err));
    for (unsigned i = 0; i < 4; i++) {
        r[i] = (reader){.store = store, .want = want, .first = i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_all, &r[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
        ck_assert_uint_eq(r[i].bad, 0);
    }
    tamis_store_close(&store);
    free(want);
}
END_TEST

/* --- inspection ------------------------------------------------------------------------------- */

/* One float of a dataset of f32. */
static void poke(const char *name, uint64_t row, uint64_t column, float value)
{
    const hsize_t one[2] = {1, 1}, at[2] = {row, column};
    hid_t file = opened("s.h5"), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(2, one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, one, NULL);
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(memory), H5Sclose(space), H5Dclose(dataset), H5Fclose(file);
}

START_TEST(test_inspection)
{
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};
    for (unsigned i = 0; i < 4; i++) {
        small_factors s = {.path = "d",
                           .rows = 40,
                           .shard_rows = 16,
                           .checkpoints = 2,
                           .least = 1,
                           .dtype = dtypes[i],
                           .force = true};
        ck_ok(factors_write(&s, context, 40, &err));
        inspect_finds("d", NULL);
    }
    write_small("s.h5", TAMIS_F32);
    inspect_finds("s.h5", "zero_norm"); /* rows without tokens */
    poke("checkpoint/1/input", 11, 2, 0.4f);
    tamis_inspection *inspection = NULL;
    ck_ok(tamis_inspect(&inspection, context, "s.h5", 0, &err));
    ck_assert(!inspection->healthy);
    unsigned seen = 0;
    for (size_t i = 0; i < inspection->findings; i++)
        seen += !strcmp(inspection->finding[i].key, "digest_mismatch") ||
                !strcmp(inspection->finding[i].key, "norm_mismatch");
    ck_assert_uint_eq(seen, 2);
    tamis_inspection_free(&inspection);
}
END_TEST

START_TEST(test_inspection_of_values)
{
    tamis_inspection *inspection = NULL;
    write_small("s.h5", TAMIS_F32);
    if (_i)
        poke("checkpoint/0/output_gradient", 5, 3, NAN);
    else
        poke("checkpoint/0/input", 5, 3, 0.5f);
    ck_ok(tamis_inspect(&inspection, context, "s.h5", 0, &err));
    unsigned seen = 0;
    for (size_t i = 0; i < inspection->findings; i++)
        seen += !strcmp(inspection->finding[i].key, _i ? "not_finite" : "bias_not_one");
    ck_assert_uint_eq(seen, 1);
    tamis_inspection_free(&inspection);
}
END_TEST

/* --- damage ----------------------------------------------------------------------------------- */

/* Where the values of a dataset of one chunk, or without chunks, lie in the file. */
static void place_of(hid_t file, const char *name, haddr_t *ret_address, hsize_t *ret_size)
{
    const hsize_t first[2] = {0, 0};
    unsigned filters;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    *ret_address = H5Dget_offset(dataset);
    *ret_size = H5Dget_storage_size(dataset);
    if (*ret_address == HADDR_UNDEF)
        ck_assert(H5Dget_chunk_info_by_coord(dataset, first, &filters, ret_address, ret_size) >= 0);
    H5Dclose(dataset);
}

/* Bytes changed in any of the values: it says what is wrong, or reads something. Never a crash, a
 * hang or a read outside. What HDF5 makes of damage to its own structures is not looked at. */
START_TEST(test_mutations)
{
    static const char *const names[] = {"checkpoint/0/offset", "checkpoint/1/offset",
                                        "checkpoint/0/input",  "checkpoint/1/input_scale",
                                        "checkpoint/0/norm",   "checkpoint/1/output_gradient"};
    haddr_t address[6];
    hsize_t bytes[6], size = 0;
    write_small("s.h5", TAMIS_I8);
    hid_t file = opened("s.h5");
    for (unsigned i = 0; i < 6; i++) place_of(file, names[i], &address[i], &bytes[i]);
    H5Fget_filesize(file, &size);
    H5Fclose(file);
    unsigned char *copy = malloc(size), *good = malloc(size);
    FILE *stream = fopen("s.h5", "rb");
    ck_assert_uint_eq(fread(good, 1, size, stream), size);
    fclose(stream);
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 11, TAMIS__STREAM_TEST, 0);
    unsigned whole = 0, torn = 0;
    for (int round = 0; round < 600; round++) {
        unsigned i = (unsigned)round % 6;
        memcpy(copy, good, size);
        for (unsigned long n = 1 + gsl_rng_uniform_int(rng, 4); n > 0; n--)
            copy[address[i] + gsl_rng_uniform_int(rng, bytes[i])] ^=
                (unsigned char)(1 + gsl_rng_uniform_int(rng, 255));
        stream = fopen("m.h5", "wb");
        ck_assert_uint_eq(fwrite(copy, 1, size, stream), size);
        fclose(stream);
        tamis_status status = exercise("m.h5");
        ck_assert(status == TAMIS_OK || status == TAMIS_ERR_FORMAT);
        *(status == TAMIS_OK ? &whole : &torn) += 1;
        if (i < 2)
            ck_assert_int_eq(status, TAMIS_ERR_FORMAT); /* an offset is never of no account */
    }
    ck_assert_uint_gt(whole, 0);
    ck_assert_uint_gt(torn, 200);
    gsl_rng_free(rng);
    free(good), free(copy);
}
END_TEST

START_TEST(test_truncated)
{
    write_small("s.h5", TAMIS_BF16);
    FILE *file = fopen("s.h5", "rb");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    for (long left = size - 1; left > 0; left -= size / 37 + 1) {
        char command[64];
        snprintf(command, sizeof command, "head -c %ld s.h5 > t.h5", left);
        ck_assert_int_eq(system(command), 0);
        ck_assert_int_eq(exercise("t.h5"), TAMIS_ERR_FORMAT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store factors files");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_wrong_datasets);
    tcase_add_test(tc, test_wrong_offsets);
    tcase_add_test(tc, test_wrong_scales);
    tcase_add_loop_test(tc, test_wrong_attributes, 0, 5);
    tcase_add_loop_test(tc, test_shards_that_do_not_join, 0, 3);
    tcase_add_loop_test(tc, test_other_layouts, 0, 16);
    tcase_add_loop_test(tc, test_several_threads, 0, 2);
    tcase_add_test(tc, test_inspection);
    tcase_add_loop_test(tc, test_inspection_of_values, 0, 2);
    tcase_add_test(tc, test_mutations);
    tcase_add_test(tc, test_truncated);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
