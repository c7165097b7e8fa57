/* Memory or a file operation fails, at every place where it can: an error with a message, nothing
 * leaked, no file left.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>
#include <tamis/import.h>
#include <zlib.h>

#include "base/mem.h"
#include "files.h"

static tamis_error err;
static tamis_context *context;

/* Every format, with all the parts it can have. */
static const tamis_data_options samples[] = {
    {.path = "d.csv", .label = "y", .id = "i", .group = "g", .ignore = "w"},
    {.path = "d.csv",
     .label = "y",
     .features = "\"a\"\"\"",
     .classes = 2,
     .class_name = (const char *const[]){"c", "d"}},
    {.path = "d.tsv"},
    {.path = "d.csv.gz"},
    {.path = "d.jsonl", .label = "y", .id = "i", .group = "g"},
    {.path = "k.jsonl", .features = "a,b"},
    {.path = "k.jsonl", .feature_name = (const char *const[]){"b", "a"}, .features_named = 2},
    {.path = "d.csv", .feature_name = (const char *const[]){"a\""}, .features_named = 1},
    {.path = "d.idx", .labels_path = "y.idx"},
    {.path = "d.idx", .labels_path = "y.idx", .classes = 300},
    {.path = "f.npy", .labels_path = "y.npy"},
    {.path = "d.safetensors", .label = "y"},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static void save_integers(const char *name, size_t n)
{
    char shape[32];
    snprintf(shape, sizeof shape, "%zu,", n);
    bytes b = npy_of("|u1", shape);
    for (size_t i = 0; i < n; i++) put(&b, &(unsigned char){(unsigned char)(i % 3)}, 1);
    save(name, &b);
}

static void save_samples(void)
{
    write_text("d.csv", "\"a\"\"\",y,i,g,w\n1,c,1,\"g\"\"1\",x\n2,d,z,h,x\n");
    write_text("d.tsv", "a\tb\n1\t2\n");
    gzFile gz = gzopen("d.csv.gz", "wb");
    ck_assert_int_eq(gzwrite(gz, "a,b\n1,2\n", 8), 8);
    ck_assert_int_eq(gzclose(gz), Z_OK);
    write_text("d.jsonl", "{\"x\":[1,2],\"y\":\"a\",\"i\":1,\"g\":\"u\"}\n{\"x\":[1,2],\"y\":\"b\","
                          "\"i\":\"t\",\"g\":\"v\"}\n");
    write_text("k.jsonl", "{\"a\":1,\"b\":2}\n{\"b\":1,\"a\":2}\n");
    write_bytes("d.idx", "\0\0\10\2\0\0\0\2\0\0\0\1xy", 14);
    write_bytes("y.idx", "\0\0\10\1\0\0\0\2xy", 10);
    bytes b = npy_start(1, "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2), }");
    put_little(&b, 0, 8);
    save("f.npy", &b);
    save_integers("y.npy", 2);
    b = safetensors_of("{\"__metadata__\":{\"a\":\"b\"},\"y\":{\"dtype\":\"U8\",\"shape\":[2],"
                       "\"data_offsets\":[0,2]},"
                       "\"x\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[2,8]}}",
                       "\1\2\3\4\5\6\7\10", 8);
    save("d.safetensors", &b);
    b = npy_of("<f4", "2, 2");
    put_floats(&b, (float[]){1, 2, 3, 4}, 4);
    save("c.npy", &b);
    write_text("ids.txt", "1\nx\n");
}

static void setup(void)
{
    enter_scratch();
    context = new_context(0);
    save_samples();
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

static void check_failed(tamis_status status, tamis_status expected)
{
    ck_assert_msg(status == expected, "%s, not %s: %s", tamis_status_name(status),
                  tamis_status_name(expected), err.message);
    ck_assert(err.status == status && err.message[0]);
}

START_TEST(reading_without_memory)
{
    for (size_t k = 0; k < SAMPLES; k++) {
        long n = 0;
        for (;; n++) {
            tamis_data *data = NULL;
            err = (tamis_error){0};
            tamis__fault_memory_after(n);
            tamis_status status = tamis_data_read(&data, context, &samples[k], &err);
            tamis__fault_memory_after(-1);
            if (status == TAMIS_OK) {
                tamis_data_free(&data);
                break;
            }
            check_failed(status, TAMIS_ERR_NOMEM);
            ck_assert_ptr_null(data);
        }
        ck_assert_int_ge(n, 3);
    }
}
END_TEST

START_TEST(reading_without_files)
{
    for (size_t k = 0; k < SAMPLES; k++) {
        long n = 0;
        for (;; n++) {
            tamis_data *data = NULL;
            err = (tamis_error){0};
            tamis__fault_io_after(n);
            tamis_status status = tamis_data_read(&data, context, &samples[k], &err);
            tamis__fault_io_after(-1);
            if (status == TAMIS_OK) {
                tamis_data_free(&data);
                break;
            }
            check_failed(status, TAMIS_ERR_IO);
        }
        ck_assert_int_ge(n, 2);
    }
}
END_TEST

static const tamis_import_rows two[] = {{.path = "c.npy", .learning_rate = 1},
                                        {.path = "f.npy", .learning_rate = 1}};
static const tamis_import_rows one = {.path = "x.safetensors", .learning_rate = 1};
static const tamis_import_params imports[] = {
    {.format = "npy",
     .rows = two,
     .checkpoints = 2,
     .labels = "y.npy",
     .lengths = "y.npy",
     .groups = "y.npy",
     .ids = "ids.txt",
     .output = "o.h5"},
    {.format = "safetensors", .rows = &one, .checkpoints = 1, .output = "o.h5"},
    {.format = "npy",
     .scores = "c.npy",
     .labels = "y.npy",
     .lengths = "y.npy",
     .groups = "y.npy",
     .ids = "ids.txt",
     .output = "o.h5"},
};

static void check_absent(void)
{
    struct stat st;
    ck_assert_int_ne(stat("o.h5", &st), 0);
    ck_assert_int_ne(stat("o.h5.part", &st), 0);
}

/* `memory` chooses which of the two fails. */
static void import_with_faults(const tamis_import_params *params, int memory)
{
    for (long n = 0;; n++) {
        err = (tamis_error){0};
        memory ? tamis__fault_memory_after(n) : tamis__fault_io_after(n);
        tamis_status status = tamis_import(context, params, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) {
            ck_assert_int_ge(n, 5);
            ck_assert_int_eq(unlink("o.h5"), 0);
            return;
        }
        /* HDF5's driver has no word for "out of memory": the store then says that it cannot
         * write. */
        check_failed(status, memory && status != TAMIS_ERR_IO ? TAMIS_ERR_NOMEM : TAMIS_ERR_IO);
        check_absent();
    }
}

START_TEST(importing)
{
    bytes b = safetensors_of("{\"x\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[0,2]}}",
                             "\0\x3c", 2);
    save("x.safetensors", &b);
    for (size_t k = 0; k < sizeof imports / sizeof *imports; k++)
        for (int memory = 0; memory < 2; memory++) import_with_faults(&imports[k], memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import faults");
    TCase *tests = tcase_create("faults");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, reading_without_memory);
    tcase_add_test(tests, reading_without_files);
    tcase_add_test(tests, importing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
