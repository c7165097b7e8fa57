/* HDF5 through the checked calls: attributes, numbers, texts, parts.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "store/columns.h"
#include "store/h5.h"

static tamis_error err;

/* Open for writing, and once finished for reading. */
static tamis__h5 h5;

static void setup(void)
{
    enter_scratch();
    ck_ok(tamis__h5_create(&h5, NULL, "t.h5", "test", 1, "{\"a\":1}", &err));
}

static void teardown(void)
{
    tamis__fault_io_after(-1);
    tamis__h5_close(&h5);
    leave_scratch();
}

static void reopen(void)
{
    ck_ok(tamis__h5_commit(&h5, false, &err));
    ck_ok(tamis__h5_open(&h5, "t.h5", NULL, 1, &err));
}

START_TEST(attributes)
{
    uint64_t u = 0;
    double d = 0;
    char *text = NULL, *provenance = NULL, *none = NULL;
    ck_ok(tamis__h5_group(&h5, "g", &err));
    ck_ok(tamis__h5_group(&h5, "g/h", &err));
    ck_ok(tamis__h5_put_u64(&h5, "g/h", "big", UINT64_MAX, &err));
    ck_ok(tamis__h5_put_u32(&h5, "/", "small", UINT32_MAX, &err));
    ck_ok(tamis__h5_put_f64(&h5, "g", "half", 0.5, &err));
    ck_ok(tamis__h5_put_text(&h5, "g", "text", "größer", &err));
    ck_ok(tamis__h5_put_text(&h5, "g", "none", "", &err));
    reopen();
    ck_assert_str_eq(h5.kind, "test");
    ck_ok(tamis__h5_get_u64(&h5, "g/h", "big", &u, &err));
    ck_assert_uint_eq(u, UINT64_MAX);
    ck_ok(tamis__h5_get_u64(&h5, "/", "small", &u, &err));
    ck_assert_uint_eq(u, UINT32_MAX);
    ck_ok(tamis__h5_get_f64(&h5, "g", "half", &d, &err));
    ck_assert(d == 0.5);
    ck_ok(tamis__h5_get_f64(&h5, "/", "small", &d, &err));
    ck_assert(d == 4294967295.0);
    ck_ok(tamis__h5_get_text(&h5, "g", "text", &text, &err));
    ck_ok(tamis__h5_get_text(&h5, "g", "none", &none, &err));
    ck_ok(tamis__h5_get_text(&h5, "/", "provenance", &provenance, &err));
    ck_assert_str_eq(text, "größer");
    ck_assert_str_eq(none, "");
    ck_assert_str_eq(provenance, "{\"a\":1}");
    free(text), free(none), free(provenance);
    ck_fails(tamis__h5_get_u64(&h5, "g", "half", &u, &err), TAMIS_ERR_FORMAT, "not a whole number");
    ck_fails(tamis__h5_get_f64(&h5, "g", "text", &d, &err), TAMIS_ERR_FORMAT, "not a number");
    ck_fails(tamis__h5_get_text(&h5, "g", "half", &text, &err), TAMIS_ERR_FORMAT, "not text");
    ck_fails(tamis__h5_get_u64(&h5, "g", "absent", &u, &err), TAMIS_ERR_FORMAT,
             "no attribute absent of g");
    ck_fails(tamis__h5_get_u64(&h5, "x/y", "absent", &u, &err), TAMIS_ERR_FORMAT, "no attribute");
    ck_assert(tamis__h5_has(&h5, "g/h") && !tamis__h5_has(&h5, "g/i") &&
              !tamis__h5_has(&h5, "x/y/z"));
}
END_TEST

START_TEST(numbers)
{
    static const tamis__h5_type type[] = {TAMIS__H5_U64, TAMIS__H5_I64, TAMIS__H5_U32,
                                          TAMIS__H5_I32, TAMIS__H5_U16, TAMIS__H5_U8,
                                          TAMIS__H5_F32, TAMIS__H5_F64};
    unsigned char bytes[48];
    void *read = NULL;
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 5 % 120);
    ck_ok(tamis__h5_write(&h5, "one", type[_i], bytes, 6, 0, &err));
    ck_ok(tamis__h5_write(&h5, "two", type[_i], bytes, 2, 3, &err));
    reopen();
    uint64_t shape[2];
    ck_ok(tamis__h5_shape(&h5, "two", 2, shape, &err));
    ck_assert(shape[0] == 2 && shape[1] == 3);
    ck_ok(tamis__h5_read(&h5, "one", type[_i], 6, 0, &read, &err));
    ck_assert_mem_eq(read, bytes, 6 * tamis__h5_type_size(type[_i]));
    free(read);
    ck_ok(tamis__h5_read(&h5, "two", type[_i], 2, 3, &read, &err));
    ck_assert_mem_eq(read, bytes, 6 * tamis__h5_type_size(type[_i]));
    free(read);
    read = bytes;
    ck_ok(tamis__h5_read_optional(&h5, "absent", type[_i], 6, 0, &read, &err));
    ck_assert_ptr_null(read);
    ck_fails(tamis__h5_read(&h5, "one", type[_i], 7, 0, &read, &err), TAMIS_ERR_FORMAT,
             "has 6 values, 7 expected");
    ck_fails(tamis__h5_read(&h5, "one", type[_i], 6, 1, &read, &err), TAMIS_ERR_FORMAT,
             "1 dimensions, 2 expected");
    ck_fails(tamis__h5_read(&h5, "two", type[_i], 3, 2, &read, &err), TAMIS_ERR_FORMAT,
             "is 2 x 3, 3 x 2 expected");
    ck_fails(tamis__h5_shape(&h5, "absent", 1, shape, &err), TAMIS_ERR_FORMAT,
             "'absent' is missing");
    hid_t dataset = 0;
    ck_ok(tamis__h5_array_open(&h5, "two", type[_i], 2, 3, &dataset, &err));
    ck_assert(tamis__h5_array_address(&h5, dataset, type[_i]) != HADDR_UNDEF);
    ck_assert(tamis__h5_array_address(&h5, dataset, type[(_i + 1) % 8]) == HADDR_UNDEF);
    tamis__h5_array_close(&dataset);
    tamis__h5_array_close(&dataset);
}
END_TEST

START_TEST(integers_that_do_not_fit)
{
    const int64_t fits[3] = {-5, 7, INT32_MAX}, does_not[3] = {0, 1, (int64_t)INT32_MAX + 1},
                  below[1] = {-1};
    void *read = NULL;
    ck_ok(tamis__h5_write(&h5, "fits", TAMIS__H5_I64, fits, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "not", TAMIS__H5_I64, does_not, 3, 0, &err));
    ck_ok(tamis__h5_write(&h5, "below", TAMIS__H5_I64, below, 1, 0, &err));
    reopen();
    ck_ok(tamis__h5_read(&h5, "fits", TAMIS__H5_I32, 3, 0, &read, &err));
    ck_assert(((int32_t *)read)[0] == -5 && ((int32_t *)read)[2] == INT32_MAX);
    free(read);
    ck_fails(tamis__h5_read(&h5, "not", TAMIS__H5_I32, 3, 0, &read, &err), TAMIS_ERR_FORMAT,
             "out of range");
    ck_fails(tamis__h5_read(&h5, "below", TAMIS__H5_U64, 1, 0, &read, &err), TAMIS_ERR_FORMAT,
             "out of range");
    ck_fails(tamis__h5_read(&h5, "fits", TAMIS__H5_F32, 3, 0, &read, &err), TAMIS_ERR_FORMAT,
             "does not hold floating-point numbers");
}
END_TEST

START_TEST(texts)
{
    enum { ROWS = 3000 };
    static char text[ROWS][512];
    const char *list[ROWS];
    char **read = NULL;
    for (int i = 0; i < ROWS; i++) {
        memset(text[i], 'a' + i % 26, (size_t)(i * 7 % 500));
        list[i] = text[i];
    }
    ck_ok(tamis__h5_write_text(&h5, "texts", list, ROWS, &err));
    static char longest[TAMIS__H5_TEXT_MAX + 2];
    memset(longest, 'x', TAMIS__H5_TEXT_MAX);
    const char *one = longest;
    ck_ok(tamis__h5_write_text(&h5, "longest", &one, 1, &err));
    longest[TAMIS__H5_TEXT_MAX] = 'x';
    ck_fails(tamis__h5_write_text(&h5, "too long", &one, 1, &err), TAMIS_ERR_ARG,
             "4096 bytes, at most 4095");
    reopen();
    ck_assert(tamis__h5_is_text(&h5, "texts") && !tamis__h5_is_text(&h5, "absent"));
    ck_ok(tamis__h5_read_text(&h5, "texts", ROWS, &read, &err));
    for (int i = 0; i < ROWS; i++) ck_assert_str_eq(read[i], text[i]);
    free(read);
    ck_ok(tamis__h5_read_text(&h5, "longest", 1, &read, &err));
    ck_assert_uint_eq(strlen(read[0]), TAMIS__H5_TEXT_MAX);
    free(read);
    ck_fails(tamis__h5_read_text(&h5, "texts", 4, &read, &err), TAMIS_ERR_FORMAT,
             "3000 texts, 4 expected");
}
END_TEST

/* As other programs write them: padded with spaces, or of variable length with one never set. */
START_TEST(foreign_texts)
{
    const hsize_t n = 3;
    const char fixed[3][4] = {{'a', ' ', ' ', ' '}, {'b', 'c', 'd', 'e'}, {' ', ' ', ' ', ' '}};
    const char *variable[3] = {"first", NULL, "third"};
    char **read = NULL;
    hid_t space = H5Screate_simple(1, &n, NULL), type = H5Tcopy(H5T_FORTRAN_S1);
    H5Tset_size(type, 4);
    hid_t dataset = H5Dcreate2(h5.file, "fixed", type, space, H5P_DEFAULT, H5P_DEFAULT,
                               H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, fixed) >= 0);
    H5Dclose(dataset);
    H5Tclose(type);
    type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    dataset = H5Dcreate2(h5.file, "variable", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, variable) >= 0);
    H5Dclose(dataset);
    H5Tclose(type);
    H5Sclose(space);
    reopen();
    ck_ok(tamis__h5_read_text(&h5, "fixed", 3, &read, &err));
    ck_assert_str_eq(read[0], "a");
    ck_assert_str_eq(read[1], "bcde");
    ck_assert_str_eq(read[2], "");
    free(read);
    ck_ok(tamis__h5_read_text(&h5, "variable", 3, &read, &err));
    ck_assert_str_eq(read[0], "first");
    ck_assert_str_eq(read[1], "");
    ck_assert_str_eq(read[2], "third");
    free(read);
}
END_TEST

START_TEST(parts)
{
    float in[3][10], out[7][4] = {{0}};
    hid_t dataset = 0;
    for (int i = 0; i < 30; i++) in[i / 10][i % 10] = (float)i;
    ck_ok(tamis__h5_array_create(&h5, "a", TAMIS__H5_F32, 6, 5, &dataset, &err));
    tamis__h5_part part = {.rows = 3, .columns = 5, .stride = 10};
    ck_ok(tamis__h5_array_write(&h5, dataset, TAMIS__H5_F32, &part, in, &err));
    part.first_row = 3;
    ck_ok(tamis__h5_array_write(&h5, dataset, TAMIS__H5_F32, &part, &in[0][5], &err));
    tamis__h5_array_close(&dataset);
    reopen();
    ck_ok(tamis__h5_array_open(&h5, "a", TAMIS__H5_F32, 6, 5, &dataset, &err));
    part = (tamis__h5_part){
        .first_row = 2, .rows = 3, .first_column = 1, .columns = 3, .stride = 4};
    ck_ok(tamis__h5_array_read(&h5, dataset, TAMIS__H5_F32, &part, out, &err));
    ck_assert(out[0][0] == 21 && out[0][2] == 23 && out[0][3] == 0);
    ck_assert(out[1][0] == 6 && out[2][0] == 16);
    part.rows = 5;
    ck_fails(tamis__h5_array_read(&h5, dataset, TAMIS__H5_F32, &part, out, &err), TAMIS_ERR_IO,
             "at row 2");
    tamis__h5_array_close(&dataset);
}
END_TEST

/* What is left out stays out, what is wrong is refused. */
START_TEST(examples)
{
    const uint64_t id[2] = {5, UINT64_MAX};
    const int32_t group[2] = {-1, 3};
    const char *name[2] = {"a", "b"};
    tamis_examples e = {.id_number = id, .group = group, .group_name = name, .groups = 2}, read,
                   copy;
    char text[8];
    ck_fails(tamis__examples_write(&h5, "example", &e, 2, &err), TAMIS_ERR_ARG,
             "row 1 is of group 3");
    e.group_name = NULL, e.groups = 0;
    e.label = group, e.class_name = name, e.classes = 2;
    ck_fails(tamis__examples_write(&h5, "example", &e, 2, &err), TAMIS_ERR_ARG,
             "row 0 is of class -1, there are 2");
    e.label = NULL; /* names alone are kept too */
    ck_ok(tamis__examples_write(&h5, "query", &e, 2, &err));
    ck_ok(tamis__examples_write(&h5, "nothing", NULL, 2, &err));
    reopen();
    ck_assert(!tamis__h5_has(&h5, "nothing"));
    ck_ok(tamis__examples_read(&h5, "query", 2, &read, &err));
    ck_assert(read.id_number[1] == UINT64_MAX && read.group[1] == 3 && !read.label &&
              !read.group_name && read.classes == 2);
    ck_ok(tamis__examples_copy(&copy, &read, 2, &err));
    tamis__examples_fini(&read);
    ck_assert(copy.id_number[0] == 5 && copy.group[0] == -1 && !copy.id_text);
    ck_assert_str_eq(copy.class_name[1], "b");
    tamis__examples_id(&copy, 1, text, sizeof text);
    ck_assert_str_eq(text, "1844674");
    tamis__examples_fini(&copy);
    tamis__examples_id(&copy, 17, text, sizeof text);
    ck_assert_str_eq(text, "17");
}
END_TEST

/* A write that fails anywhere is found, and nothing stays behind. */
START_TEST(failing_writes)
{
    const uint64_t values[4] = {1, 2, 3, 4};
    tamis_status status = TAMIS_ERR_IO;
    tamis__h5_close(&h5);
    for (long n = 0; status != TAMIS_OK; n++) {
        ck_assert_int_lt(n, 200);
        tamis__fault_io_after(n);
        status = tamis__h5_create(&h5, NULL, "f.h5", "test", 1, NULL, &err);
        if (status == TAMIS_OK) {
            status = tamis__h5_write(&h5, "v", TAMIS__H5_U64, values, 4, 0, &err);
            if (status == TAMIS_OK)
                status = tamis__h5_commit(&h5, false, &err);
            else
                tamis__h5_close(&h5);
        }
        tamis__fault_io_after(-1);
        if (status != TAMIS_OK) {
            ck_assert_int_eq(status, TAMIS_ERR_IO);
            ck_assert_ptr_nonnull(strstr(err.message, "f.h5"));
            ck_assert_int_ne(access("f.h5", F_OK), 0);
        }
        ck_assert_int_ne(access("f.h5.part", F_OK), 0);
    }
    ck_ok(tamis__h5_open(&h5, "f.h5", "test", 1, &err));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h5");
    TCase *tc = tcase_create("h5");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, attributes);
    tcase_add_loop_test(tc, numbers, 0, 8);
    tcase_add_test(tc, integers_that_do_not_fit);
    tcase_add_test(tc, texts);
    tcase_add_test(tc, foreign_texts);
    tcase_add_test(tc, parts);
    tcase_add_test(tc, examples);
    tcase_add_test(tc, failing_writes);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
