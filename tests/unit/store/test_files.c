/* Files that are no store, damaged ones, and stores made by other programs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_store.h"

#include <math.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "store/store_part.h"

static tamis_context *context;

static void setup(void)
{
    tamis_context_params params = {.threads = 1};
    enter_scratch();
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static const small_store plain = {
    .path = "s.h5",
    .rows = 40,
    .columns = 6,
    .checkpoints = 2,
    .outputs = true,
    .classes = 2,
    .labels = true,
    .groups = true,
    .class_name = small_class_name,
    .text_ids = true,
};

static void refused(const char *path, tamis_status status, const char *why)
{
    tamis_store *store = NULL;
    err.message[0] = '\0';
    ck_fails(tamis_store_open(&store, context, path, &err), status, why);
    ck_assert_ptr_null(store);
    ck_assert_ptr_null(strchr(err.message, '\n'));
}

/* --- no store --------------------------------------------------------------------------------- */

START_TEST(no_store)
{
    refused("absent.h5", TAMIS_ERR_IO, "cannot open 'absent.h5': No such file");
    write_bytes("empty.h5", "", 0);
    refused("empty.h5", TAMIS_ERR_FORMAT, "'empty.h5' is empty");
    write_bytes("text.h5", "not HDF5 at all", 15);
    refused("text.h5", TAMIS_ERR_FORMAT, "'text.h5' is not an HDF5 file");
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    refused("pipe", TAMIS_ERR_IO, "not a regular file");
    refused("/dev/null", TAMIS_ERR_IO, "not a regular file");
    ck_assert_int_eq(mkdir("dir", 0700), 0);
    refused("dir", TAMIS_ERR_FORMAT, "a directory without shards");
    write_bytes("dir/00000.h5.part", "x", 1);
    refused("dir", TAMIS_ERR_FORMAT, "run the command again with --resume");
    write_bytes("dir/00000.h5", "x", 1);
    refused("dir", TAMIS_ERR_FORMAT, "'dir/00000.h5' is not an HDF5 file");
}
END_TEST

START_TEST(other_kinds)
{
    tamis__h5 h5;
    ck_ok(tamis__h5_create(&h5, context, "scores.h5", "scores", 1, NULL, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    refused("scores.h5", TAMIS_ERR_FORMAT, "is a scores file: a gradient-store file is expected");
    ck_ok(tamis__h5_create(&h5, context, "new.h5", TAMIS__STORE_KIND, 3, NULL, &err));
    ck_ok(tamis__h5_commit(&h5, false, &err));
    refused("new.h5", TAMIS_ERR_UNSUPPORTED,
            "newer tamis: its format is 3, this program reads up to 2");
    hid_t file = H5Fcreate("foreign.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refused("foreign.h5", TAMIS_ERR_FORMAT, "not one of tamis");
}
END_TEST

/* --- cut short, and damaged ------------------------------------------------------------------- */

START_TEST(truncated)
{
    size_t size;
    small_store s = plain;
    if (_i) s.columns = 6000;
    ck_ok(small_write(context, &s, 40));
    char *bytes = file_bytes("s.h5", &size);
    for (size_t n = 1; n < size; n += 1 + size / 150) {
        write_bytes("t.h5", bytes, n);
        refused("t.h5", TAMIS_ERR_FORMAT, n < 8 ? "is not an HDF5 file" : "'t.h5' is ");
        if (n > 100) ck_assert_ptr_nonnull(strstr(err.message, "is truncated"));
    }
    write_bytes("t.h5", bytes, size - 1);
    refused("t.h5", TAMIS_ERR_FORMAT, "is truncated");
    free(bytes);
}
END_TEST

/* Use everything of a store. */
static void exercise(const char *path)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, path, &err));
    const tamis_store_info *info = tamis_store_info_get(store);
    const tamis_examples *e = tamis_store_examples(store);
    size_t stride = info->columns < 64 ? info->columns : 64;
    float *row = malloc(stride * 4);
    char id[64];
    for (uint32_t k = 0; k < info->checkpoints && k < 4; k++) {
        const float *norm = NULL;
        float *loss = NULL;
        for (uint64_t i = 0; i < info->rows && i < 100; i++)
            (void)!tamis_store_read(store, k, i, 1, 0, stride, row, stride, &err);
        (void)!tamis_store_norms(store, k, &norm, &err);
        if (tamis_store_outputs(store, k, "loss", &loss, &err) == TAMIS_OK) free(loss);
    }
    for (uint64_t i = 0; i < info->rows && i < 100; i++) {
        tamis_store_id(store, i, id, sizeof id);
        if (e->group_name && e->group[i] >= 0) (void)strlen(e->group_name[e->group[i]]);
        if (e->label && e->class_name) (void)strlen(e->class_name[e->label[i]]);
    }
    free(row);
    tamis_store_close(&store);
}

/* Damage to HDF5's own structures is HDF5's to find; damage to the signature is plain. */
START_TEST(no_signature)
{
    size_t size;
    small_store s = plain;
    ck_ok(small_write(context, &s, 40));
    char *bytes = file_bytes("s.h5", &size);
    for (int i = 0; i < 8; i++) {
        bytes[i] ^= 0x20;
        write_bytes("t.h5", bytes, size);
        refused("t.h5", TAMIS_ERR_FORMAT, "is not an HDF5 file");
        bytes[i] ^= 0x20;
    }
    free(bytes);
}
END_TEST

/* --- parts that are missing or do not fit ----------------------------------------------------- */

static hid_t opened(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert(file > 0);
    return file;
}

static void without(const char *name, tamis_status status, const char *why)
{
    small_store s = plain;
    s.force = true;
    ck_ok(small_write(context, &s, 40));
    hid_t file = opened("s.h5");
    ck_assert(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    H5Fclose(file);
    if (status == TAMIS_OK)
        exercise("s.h5");
    else
        refused("s.h5", status, why);
}

START_TEST(missing_parts)
{
    without("layer", TAMIS_ERR_FORMAT, "dataset 'layer' is missing");
    without("checkpoint", TAMIS_ERR_FORMAT, "group 'checkpoint/0' is missing");
    without("checkpoint/0", TAMIS_ERR_FORMAT, "group 'checkpoint/0' is missing");
    without("checkpoint/1/gradient", TAMIS_ERR_FORMAT,
            "dataset 'checkpoint/1/gradient' is missing");
    without("checkpoint/1", TAMIS_OK, NULL);
    without("checkpoint/1/loss", TAMIS_OK, NULL);
    without("checkpoint/0/norm", TAMIS_OK, NULL);
    without("example", TAMIS_OK, NULL);
    without("example/group_name", TAMIS_OK, NULL);
    without("example/class_name", TAMIS_OK, NULL);
}
END_TEST

static void set_number(const char *object, const char *name, double value)
{
    hid_t file = opened("s.h5"), where = H5Oopen(file, object, H5P_DEFAULT);
    hid_t attribute = H5Aopen(where, name, H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value) >= 0);
    H5Aclose(attribute);
    H5Oclose(where);
    H5Fclose(file);
}

static void with_number(const char *object, const char *name, double value, tamis_status status,
                        const char *why)
{
    small_store s = plain;
    s.force = true;
    ck_ok(small_write(context, &s, 40));
    set_number(object, name, value);
    refused("s.h5", status, why);
}

START_TEST(numbers_that_do_not_fit)
{
    with_number("/", "rows", 39, TAMIS_ERR_FORMAT, "says it has 39 rows, its gradients have 40");
    with_number("/", "first_row", 5, TAMIS_ERR_FORMAT, "ends at row 45 of a store of 40");
    with_number("/", "total_rows", 39, TAMIS_ERR_FORMAT, "ends at row 40 of a store of 39");
    with_number("/", "total_rows", 50, TAMIS_ERR_FORMAT,
                "one shard of a store, rows 0 to 39 of 50");
    with_number("/", "tamis_version", 9, TAMIS_ERR_UNSUPPORTED, "newer");
    with_number("/", "tamis_version", 0, TAMIS_ERR_UNSUPPORTED, "newer");
    with_number("checkpoint/1", "learning_rate", 0, TAMIS_ERR_FORMAT, "learning rate 0");
    with_number("checkpoint/1", "learning_rate", (double)NAN, TAMIS_ERR_FORMAT, "learning rate");
}
END_TEST

/* A dataset put in place of another. */
static void replaced(const char *name, hid_t type, int rank, hsize_t rows, hsize_t columns,
                     tamis_status status, const char *why)
{
    small_store s = plain;
    const hsize_t dims[2] = {rows, columns};
    s.force = true;
    ck_ok(small_write(context, &s, 40));
    hid_t file = opened("s.h5");
    ck_assert(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    void *zeros = calloc(rows * (columns + 1), 8);
    if (H5Tget_class(type) != H5T_COMPOUND)
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    free(zeros);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
    refused("s.h5", status, why);
}

START_TEST(wrong_datasets)
{
    replaced("checkpoint/0/gradient", H5T_IEEE_F32LE, 2, 40, 7, TAMIS_ERR_SHAPE,
             "rows of 7 columns, its layers have 6");
    replaced("checkpoint/1/gradient", H5T_IEEE_F32LE, 2, 41, 6, TAMIS_ERR_SHAPE,
             "checkpoint 1 has 41 rows, checkpoint 0 has 40");
    replaced("checkpoint/1/gradient", H5T_IEEE_F32LE, 1, 40, 0, TAMIS_ERR_FORMAT,
             "1 dimensions, 2 expected");
    replaced("checkpoint/0/gradient", H5T_STD_U8LE, 2, 40, 6, TAMIS_ERR_UNSUPPORTED, "integers");
    replaced("checkpoint/0/gradient", H5T_STD_I16LE, 2, 40, 6, TAMIS_ERR_UNSUPPORTED, "integers");
    replaced("checkpoint/0/gradient", H5T_STD_I8LE, 2, 40, 6, TAMIS_ERR_SHAPE,
             "checkpoint 1 is f32, checkpoint 0 is i8");
    replaced("checkpoint/0/gradient", H5T_C_S1, 2, 40, 6, TAMIS_ERR_FORMAT,
             "does not hold numbers");
    replaced("checkpoint/0/norm", H5T_IEEE_F32LE, 1, 39, 0, TAMIS_ERR_FORMAT,
             "39 values, 40 expected");
    replaced("checkpoint/1/loss", H5T_STD_I32LE, 1, 40, 0, TAMIS_ERR_FORMAT, "floating-point");
    replaced("checkpoint/1/probability", H5T_IEEE_F32LE, 2, 40, 3, TAMIS_ERR_FORMAT,
             "40 x 3, 40 x 2 expected");
    replaced("example/label", H5T_IEEE_F32LE, 1, 40, 0, TAMIS_ERR_FORMAT, "does not hold integers");
    replaced("example/label", H5T_STD_I32LE, 1, 4, 0, TAMIS_ERR_FORMAT, "4 values, 40 expected");
    replaced("example/id", H5T_STD_U64LE, 1, 41, 0, TAMIS_ERR_FORMAT, "41 values, 40 expected");
    replaced("example/id", H5T_C_S1, 1, 41, 0, TAMIS_ERR_FORMAT, "41 texts, 40 expected");
    replaced("example/group_name", H5T_C_S1, 1, 1, 0, TAMIS_ERR_FORMAT,
             "is of group 1, there are 1");
    replaced("example/class_name", H5T_C_S1, 1, 1, 0, TAMIS_ERR_FORMAT,
             "is of class 1, there are 1");
    replaced("layer", H5T_STD_I32LE, 1, 2, 0, TAMIS_ERR_FORMAT, "'layer' is not a table");
}
END_TEST

/* Sizes that no memory holds must be refused before memory is asked for. */
START_TEST(huge_headers)
{
    tamis__h5 h5;
    void *values = NULL;
    ck_ok(tamis__h5_create(&h5, context, "huge.h5", "test", 1, NULL, &err));
    const hsize_t dims[2] = {(hsize_t)1 << 40, 1000};
    hid_t space = H5Screate_simple(2, dims, NULL);
    hid_t dataset = H5Dcreate2(h5.file, "big", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT,
                               H5P_DEFAULT);
    H5Dclose(dataset);
    H5Sclose(space);
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_ok(tamis__h5_open(&h5, "huge.h5", "test", 1, &err));
    ck_fails(tamis__h5_read(&h5, "big", TAMIS__H5_F32, dims[0], dims[1], &values, &err),
             TAMIS_ERR_FORMAT, "the file does not have them");
    tamis__h5_close(&h5);
}
END_TEST

/* --- shards that do not join ------------------------------------------------------------------ */

static void copy_file(const char *from, const char *to)
{
    size_t size;
    char *bytes = file_bytes(from, &size);
    write_bytes(to, bytes, size);
    free(bytes);
}

START_TEST(shards_that_do_not_join)
{
    small_store s = plain, other = plain;
    s.path = "d", s.shard_rows = 16, s.rows = 60;
    ck_ok(small_write(context, &s, 60));
    refused("d/00001.h5", TAMIS_ERR_FORMAT, "rows 16 to 31 of 60: name the directory instead");
    copy_file("d/00001.h5", "d/00007.h5");
    refused("d", TAMIS_ERR_FORMAT, "row 16 is in 'd/00001.h5' and in 'd/00007.h5'");
    unlink("d/00007.h5");
    unlink("d/00000.h5");
    refused("d", TAMIS_ERR_FORMAT, "has a gap: rows 0 to 15");
    copy_file("d/00003.h5", "d/00000.h5"); /* any order of names will do */
    refused("d", TAMIS_ERR_FORMAT, "has a gap: rows 0 to 15");
    unlink("d/00000.h5");
    other = s, other.path = "e", other.columns = 7;
    ck_ok(small_write(context, &other, 60));
    copy_file("e/00000.h5", "d/00000.h5");
    refused("d", TAMIS_ERR_SHAPE, "do not fit together: rows of another width");
    other = s, other.path = "f", other.dtype = TAMIS_F16;
    ck_ok(small_write(context, &other, 60));
    copy_file("f/00000.h5", "d/00000.h5");
    refused("d", TAMIS_ERR_SHAPE, "another dtype");
    other = s, other.path = "g", other.checkpoints = 1;
    ck_ok(small_write(context, &other, 60));
    copy_file("g/00000.h5", "d/00000.h5");
    refused("d", TAMIS_ERR_SHAPE, "another number of checkpoints");
    other = s, other.path = "h", other.groups = false;
    ck_ok(small_write(context, &other, 60));
    copy_file("h/00000.h5", "d/00000.h5");
    refused("d", TAMIS_ERR_SHAPE, "other columns of examples");
    static const char *const other_names[10] = {"zero", "one", "two", "3", "4",
                                                "5",    "6",   "7",   "8", "9"};
    other = s, other.path = "i", other.class_name = other_names;
    ck_ok(small_write(context, &other, 60));
    copy_file("i/00000.h5", "d/00000.h5");
    refused("d", TAMIS_ERR_SHAPE, "other classes");
}
END_TEST

/* --- made by other programs ------------------------------------------------------------------- */

enum { CONTIGUOUS, CHUNKED, DEFLATED, TILED, LATEST, USER_BLOCK, ODD_PLACE, LAYOUTS };

static hid_t foreign_file(int layout)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    if (layout == LATEST) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    if (layout == USER_BLOCK) H5Pset_userblock(creation, 512);
    hid_t file = H5Fcreate("f.h5", H5F_ACC_TRUNC, creation, access);
    H5Pclose(access);
    H5Pclose(creation);
    return file;
}

static void foreign_text(hid_t file, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE); /* as h5py writes it */
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, &value);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void foreign_number(hid_t where, const char *name, hid_t type, double value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(where, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

#define ROWS    50u
#define COLUMNS 9u

/* [ROWS, COLUMNS] of small_value(); `hole` leaves rows out, `bad` makes a row NaN. */
static void foreign_gradient(hid_t group, hid_t type, int layout, bool hole, bool bad)
{
    const hsize_t dims[2] = {ROWS, COLUMNS}, rows_of_8[2] = {8, COLUMNS}, tiles[2] = {16, 4};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, dims, NULL);
    if (layout == TILED)
        H5Pset_chunk(list, 2, tiles);
    else if (layout != CONTIGUOUS && layout != ODD_PLACE)
        H5Pset_chunk(list, 2, rows_of_8);
    if (layout == DEFLATED) H5Pset_shuffle(list), H5Pset_deflate(list, 1);
    hid_t dataset = H5Dcreate2(group, "gradient", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    float values[ROWS * COLUMNS];
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned j = 0; j < COLUMNS; j++) values[i * COLUMNS + j] = small_value(0, i, j);
    if (bad) values[5 * COLUMNS + 3] = NAN;
    const hsize_t start[2] = {0, 0}, count[2] = {hole ? 24 : ROWS, COLUMNS};
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    hid_t memory = H5Screate_simple(2, count, NULL);
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(list);
    H5Dclose(dataset);
}

static void foreign_layer(hid_t file)
{
    typedef struct row {
        int32_t first_column;
        int64_t out, in;
        char name[8];
        uint8_t bias;
    } row;
    const row layer = {.out = 1, .in = COLUMNS, .name = "rows"};
    const hsize_t one = 1;
    hid_t name = H5Tcopy(H5T_C_S1), type = H5Tcreate(H5T_COMPOUND, sizeof layer);
    H5Tset_size(name, sizeof layer.name);
    H5Tinsert(type, "first_column", offsetof(row, first_column), H5T_NATIVE_INT32);
    H5Tinsert(type, "out", offsetof(row, out), H5T_NATIVE_INT64);
    H5Tinsert(type, "in", offsetof(row, in), H5T_NATIVE_INT64);
    H5Tinsert(type, "name", offsetof(row, name), name);
    H5Tinsert(type, "bias", offsetof(row, bias), H5T_NATIVE_UINT8);
    hid_t space = H5Screate_simple(1, &one, NULL);
    hid_t dataset = H5Dcreate2(file, "layer", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &layer) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
    H5Tclose(name);
}

/* Ids of variable length, labels of 64 bits. */
static void foreign_examples(hid_t file)
{
    const hsize_t rows = ROWS;
    const char *id[ROWS];
    int64_t label[ROWS];
    char text[ROWS][8];
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(text[i], sizeof text[i], "x%u", i);
        id[i] = text[i];
        label[i] = (int)i - 3;
    }
    hid_t group = H5Gcreate2(file, "example", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &rows, NULL), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t dataset = H5Dcreate2(group, "id", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, id) >= 0);
    H5Dclose(dataset);
    dataset = H5Dcreate2(group, "label", H5T_STD_I64BE, space, H5P_DEFAULT, H5P_DEFAULT,
                         H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, label) >= 0);
    H5Dclose(dataset);
    H5Tclose(type);
    H5Sclose(space);
    H5Gclose(group);
}

static void odd_bytes(hid_t file)
{
    const hsize_t odd = 4099;
    char zeros[4099] = {0};
    hid_t space = H5Screate_simple(1, &odd, NULL);
    hid_t dataset = H5Dcreate2(file, "odd", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT,
                               H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Dclose(dataset);
    H5Sclose(space);
}

static void foreign_store(hid_t type, int layout, bool hole, bool bad)
{
    hid_t file = foreign_file(layout);
    foreign_text(file, "tamis_kind", "gradient-store");
    foreign_number(file, "tamis_version", H5T_STD_I64LE, 1);
    if (layout == ODD_PLACE) odd_bytes(file);
    foreign_layer(file);
    foreign_examples(file);
    hid_t outer = H5Gcreate2(file, "checkpoint", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t group = H5Gcreate2(outer, "0", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    foreign_number(group, "step", H5T_STD_I32LE, 3);
    foreign_number(group, "learning_rate", H5T_IEEE_F32LE, 0.5);
    foreign_gradient(group, type, layout, hole, bad);
    H5Gclose(group);
    H5Gclose(outer);
    H5Fclose(file);
}

static hid_t foreign_type(int which)
{
    switch (which) {
    case 0: return H5Tcopy(H5T_IEEE_F32LE);
    case 1: return H5Tcopy(H5T_IEEE_F32BE);
    case 2: return H5Tcopy(H5T_IEEE_F64LE);
    case 3: return tamis__store_type(TAMIS_F16);
    case 4: return tamis__store_type(TAMIS_BF16);
    default: break;
    }
    hid_t half = tamis__store_type(TAMIS_F16);
    H5Tset_order(half, H5T_ORDER_BE);
    return half;
}

START_TEST(foreign_stores)
{
    int layout = _i / 6, which = _i % 6;
    tamis_store *store = NULL;
    float out[ROWS * COLUMNS];
    const float *norm;
    uint64_t rows, bad = 0;
    hid_t type = foreign_type(which);
    foreign_store(type, layout, false, false);
    H5Tclose(type);
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert(info->rows == ROWS && info->columns == COLUMNS && info->digest == 0);
    ck_assert_str_eq(info->provenance, "{}");
    ck_assert_int_eq(info->dtype, which < 3 ? TAMIS_F32 : which == 4 ? TAMIS_BF16 : TAMIS_F16);
    ck_ok(tamis_store_read(store, 0, 0, ROWS, 0, COLUMNS, out, COLUMNS, &err));
    for (unsigned i = 0; i < ROWS * COLUMNS; i++)
        bad += out[i] != small_value(0, i / COLUMNS, i % COLUMNS);
    ck_ok(tamis_store_read(store, 0, 7, ROWS - 7, 3, 5, out, 6, &err));
    for (unsigned i = 0; i < ROWS - 7; i++)
        for (unsigned j = 0; j < 5; j++) bad += out[i * 6 + j] != small_value(0, i + 7, j + 3);
    ck_assert_uint_eq(bad, 0);
    bool in_place = (which == 0 || which == 3 || which == 4) && layout != DEFLATED &&
                    layout != TILED && layout != USER_BLOCK && layout != ODD_PLACE;
    ck_assert_int_eq(tamis_store_map(store, 0, 0, &rows) != NULL, in_place);
    ck_ok(tamis_store_norms(store, 0, &norm, &err));
    for (unsigned i = 0; i < ROWS; i++) {
        double sum = 0;
        for (unsigned j = 0; j < COLUMNS; j++) sum += pow((double)small_value(0, i, j), 2);
        ck_assert(norm[i] == (float)sqrt(sum));
    }
    ck_assert_str_eq(tamis_store_examples(store)->id_text[49], "x49");
    ck_assert_int_eq(tamis_store_examples(store)->label[0], -3);
    tamis_store_close(&store);
}
END_TEST

/* --- several threads -------------------------------------------------------------------------- */

typedef struct reader {
    tamis_store *store;
    uint64_t bad;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    float out[ROWS * COLUMNS];
    const float *norm = NULL;
    tamis_error own;
    for (unsigned round = 0; round < 20; round++) {
        r->bad += tamis_store_norms(r->store, 0, &norm, &own) != TAMIS_OK;
        r->bad += tamis_store_read(r->store, 0, 0, ROWS, 0, COLUMNS, out, COLUMNS, &own) !=
                  TAMIS_OK;
        for (unsigned i = 0; i < ROWS * COLUMNS; i++)
            r->bad += out[i] != small_value(0, i / COLUMNS, i % COLUMNS);
        r->bad += norm[round] != norm[round];
    }
    return NULL;
}

START_TEST(several_threads)
{
    reader r[4] = {{0}};
    pthread_t thread[4];
    tamis_store *store = NULL;
    hid_t type = foreign_type(_i % 2 ? 0 : 3);
    foreign_store(type, _i < 2 ? CHUNKED : DEFLATED, false, false);
    H5Tclose(type);
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
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

START_TEST(rows_never_written)
{
    hid_t type = foreign_type(0);
    foreign_store(type, CHUNKED, true, false);
    refused("f.h5", TAMIS_ERR_FORMAT, "rows 24 to 31 of checkpoint 0 were never written");
    foreign_store(type, LATEST, true, false);
    refused("f.h5", TAMIS_ERR_FORMAT, "rows 24 to 31 of checkpoint 0 were never written");
    foreign_store(type, DEFLATED, true, false);
    refused("f.h5", TAMIS_ERR_FORMAT, "some rows were never written");
    H5Tclose(type);
}
END_TEST

START_TEST(rows_not_finite)
{
    tamis_store *store = NULL;
    const float *norm;
    hid_t type = foreign_type(_i);
    foreign_store(type, CHUNKED, false, true);
    H5Tclose(type);
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
    ck_ok(tamis_store_norms(store, 0, &norm, &err));
    for (unsigned i = 0; i < ROWS; i++) ck_assert_int_eq(isnan(norm[i]) != 0, i == 5);
    tamis_store_close(&store);
}
END_TEST

START_TEST(projection_is_told)
{
    tamis_store *store = NULL;
    hid_t type = foreign_type(0);
    foreign_store(type, CONTIGUOUS, false, false);
    H5Tclose(type);
    hid_t file = opened("f.h5");
    hid_t group = H5Gcreate2(file, "projection", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    foreign_text(group, "kind", "hadamard");
    foreign_number(group, "seed", H5T_STD_U64LE, 7);
    H5Gclose(group);
    H5Fclose(file);
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
    ck_assert_str_eq(tamis_store_info_get(store)->projection, "{\"kind\":\"hadamard\",\"seed\":7}");
    tamis_store_close(&store);
}
END_TEST

/* --- the index of chunks ---------------------------------------------------------------------- */

/* Enough chunks for a tree of three levels: the addresses must be HDF5's. */
START_TEST(index_of_many_chunks)
{
    const uint64_t chunks = 9000;
    const hsize_t dims[2] = {chunks, 2}, chunk[2] = {1, 2};
    tamis__h5 h5;
    tamis__input input;
    ck_ok(tamis__h5_create(&h5, context, "many.h5", "test", 1, NULL, &err));
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, dims, NULL);
    H5Pset_chunk(list, 2, chunk);
    hid_t dataset = H5Dcreate2(h5.file, "g", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    for (uint64_t i = 0; i < chunks; i++) {
        const hsize_t at[2] = {i * 7919 % chunks, 0}; /* in no order */
        const float value[2] = {(float)i, 0};
        ck_assert(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, at, sizeof value, value) >= 0);
    }
    H5Pclose(list);
    H5Sclose(space);
    H5Dclose(dataset);
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_ok(tamis__h5_open(&h5, "many.h5", "test", 1, &err));
    ck_ok(tamis__input_open(&input, context, "many.h5", &err));
    dataset = H5Dopen2(h5.file, "g", H5P_DEFAULT);
    uint64_t *address = malloc(chunks * sizeof *address);
    bool read = tamis__chunk_index_read(&input, dataset, 1, 8, address, chunks);
#if H5_VERSION_GE(1, 12, 0)
    ck_assert(!read); /* HDF5 is asked */
#else
    ck_assert(read);
    for (uint64_t i = 0; i < chunks; i += 89) {
        const hsize_t at[2] = {i, 0};
        haddr_t there;
        hsize_t size;
        unsigned filters;
        ck_assert(H5Dget_chunk_info_by_coord(dataset, at, &filters, &there, &size) >= 0);
        ck_assert_uint_eq(address[i], there);
    }
    ck_assert(!tamis__chunk_index_read(&input, dataset, 2, 16, address, chunks / 2));
    ck_assert(!tamis__chunk_index_read(&input, dataset, 1, 8, address, chunks - 1));
#endif
    free(address);
    H5Dclose(dataset);
    tamis__input_close(&input);
    tamis__h5_close(&h5);
}
END_TEST

/* The index is read from bytes that may be anything: it must end, stay inside the file, and never
 * give places for some chunks only. */
START_TEST(index_of_a_damaged_file)
{
    small_store s = {
        .path = "s.h5", .rows = 40, .columns = 1 << 18, .checkpoints = 1, .dtype = TAMIS_F16};
    tamis__h5 h5;
    tamis__input input;
    ck_ok(small_write(context, &s, 40));
    ck_ok(tamis__h5_open(&h5, "s.h5", TAMIS__STORE_KIND, 1, &err));
    ck_ok(tamis__input_open(&input, context, "s.h5", &err));
    hid_t dataset = H5Dopen2(h5.file, "checkpoint/0/gradient", H5P_DEFAULT);
    uint64_t address[5], good[5], bytes = UINT64_C(8) << 19;
    bool before = tamis__chunk_index_read(&input, dataset, 8, bytes, good, 5);
    ck_assert(before || H5_VERSION_GE(1, 12, 0));
    /* Only the structures before the first chunk are copied: what they point to may be outside. */
    size_t size = before ? good[0] : 4096;
    tamis__input damaged = {.size = size};
    unsigned char *copy = malloc(size);
    damaged.data = copy;
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 7, TAMIS__STREAM_TEST, 0);
    for (int round = 0; before && round < 20000; round++) {
        memcpy(copy, input.data, size);
        for (unsigned long n = gsl_rng_uniform_int(rng, 6); n > 0; n--)
            copy[gsl_rng_uniform_int(rng, size)] = (unsigned char)gsl_rng_uniform_int(rng, 256);
        if (tamis__chunk_index_read(&damaged, dataset, 8, bytes, address, 5))
            ck_assert(address[0] == good[0] && address[4] == good[4]);
    }
    gsl_rng_free(rng);
    free(copy);
    H5Dclose(dataset);
    tamis__input_close(&input);
    tamis__h5_close(&h5);
}
END_TEST

/* HDF5's own printing is put back as it was. */
START_TEST(error_printing_is_restored)
{
    H5E_auto2_t before, after;
    void *cookie;
    H5Eget_auto2(H5E_DEFAULT, &before, &cookie);
    refused("absent.h5", TAMIS_ERR_IO, "absent");
    write_bytes("text.h5", "\x89HDF\r\n\x1a\nrubbish", 15);
    refused("text.h5", TAMIS_ERR_FORMAT, "is ");
    H5Eget_auto2(H5E_DEFAULT, &after, &cookie);
    ck_assert(before == after);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, no_store);
    tcase_add_test(tc, other_kinds);
    tcase_add_loop_test(tc, truncated, 0, 2);
    tcase_add_test(tc, no_signature);
    tcase_add_test(tc, missing_parts);
    tcase_add_test(tc, numbers_that_do_not_fit);
    tcase_add_test(tc, wrong_datasets);
    tcase_add_test(tc, huge_headers);
    tcase_add_test(tc, shards_that_do_not_join);
    tcase_add_loop_test(tc, foreign_stores, 0, LAYOUTS * 6);
    tcase_add_loop_test(tc, several_threads, 0, 4);
    tcase_add_test(tc, rows_never_written);
    tcase_add_loop_test(tc, rows_not_finite, 0, 6);
    tcase_add_test(tc, projection_is_told);
    tcase_add_test(tc, index_of_many_chunks);
    tcase_add_test(tc, index_of_a_damaged_file);
    tcase_add_test(tc, error_printing_is_restored);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
