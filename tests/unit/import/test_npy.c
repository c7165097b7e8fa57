/* .npy: every type, order and version, and headers that lie.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "files.h"
#include "import/npy.h"

static tamis_error err;

/* Both are floats in C. */
#define INF          ((double)INFINITY)
#define NOT_A_NUMBER ((double)NAN)

static void setup(void)
{
    enter_scratch();
}

/* A 2 x 3 array of each type with values that every one of them holds, and its extremes. */
START_TEST(every_type)
{
    static const struct {
        const char *descr;
        tamis__npy_type type;
        size_t size;
        uint64_t bits[6];
        double value[6];
    } cases[] = {
        {"|b1", TAMIS__NPY_BOOL, 1, {0, 1, 2, 0, 255, 1}, {0, 1, 1, 0, 1, 1}},
        {"|i1", TAMIS__NPY_I1, 1, {0, 1, 0x7f, 0x80, 0xff, 5}, {0, 1, 127, -128, -1, 5}},
        {"<i2", TAMIS__NPY_I2, 2, {0, 1, 0x7fff, 0x8000, 0xffff, 5}, {0, 1, 32767, -32768, -1, 5}},
        {"<i4",
         TAMIS__NPY_I4,
         4,
         {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 5},
         {0, 1, 2147483647.0, -2147483648.0, -1, 5}},
        {"<i8",
         TAMIS__NPY_I8,
         8,
         {0, 1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, 5},
         {0, 1, 0x1p63, -0x1p63, -1, 5}},
        {"|u1", TAMIS__NPY_U1, 1, {0, 1, 0x7f, 0x80, 0xff, 5}, {0, 1, 127, 128, 255, 5}},
        {"=u2",
         TAMIS__NPY_U2,
         2,
         {0, 1, 0x7fff, 0x8000, 0xffff, 5},
         {0, 1, 32767, 32768, 65535, 5}},
        {"<u4",
         TAMIS__NPY_U4,
         4,
         {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 5},
         {0, 1, 2147483647.0, 2147483648.0, 4294967295.0, 5}},
        {"<u8",
         TAMIS__NPY_U8,
         8,
         {0, 1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, 5},
         {0, 1, 0x1p63, 0x1p63, 0x1p64, 5}},
        {"<f2",
         TAMIS__NPY_F2,
         2,
         {0, 0x3c00, 0x0001, 0x7bff, 0xfc00, 0x8400},
         {0, 1, 0x1p-24, 65504, -INF, -0x1p-14}},
        {"<f4",
         TAMIS__NPY_F4,
         4,
         {0, 0x3f800000, 1, 0x7f7fffff, 0xff800000, 0xc0a00000},
         {0, 1, 0x1p-149, 0x1.fffffep127, -INF, -5}},
        {"=f8",
         TAMIS__NPY_F8,
         8,
         {0, UINT64_C(0x3ff0000000000000), UINT64_C(0x3ff0000010000001),
          UINT64_C(0x7fefffffffffffff), UINT64_C(0xfff0000000000000), UINT64_C(0xc014000000000000)},
         {0, 1, 1 + 0x1p-23, INF, -INF, -5}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        for (int fortran = 0; fortran < 2; fortran++) {
            char header[128];
            snprintf(header, sizeof header,
                     "{'descr': '%s', 'fortran_order': %s, 'shape': (2, 3), }", cases[k].descr,
                     fortran ? "True" : "False");
            bytes b = npy_start(1 + (unsigned)k % 3, header);
            for (int i = 0; i < 6; i++)
                put_little(&b, cases[k].bits[fortran ? (i % 2) * 3 + i / 2 : i], cases[k].size);
            save("a.npy", &b);
            tamis__npy npy;
            float out[8];
            for (int i = 0; i < 8; i++) out[i] = 77;
            ck_ok(tamis__npy_open(&npy, NULL, "a.npy", &err));
            ck_assert(npy.rows == 2 && npy.cols == 3 && npy.dims == 2 && npy.type == cases[k].type);
            ck_assert(npy.item_size == cases[k].size && npy.fortran == (fortran != 0));
            tamis__npy_rows(&npy, 0, 2, out, 4);
            for (int i = 0; i < 6; i++)
                ck_assert_msg(out[i / 3 * 4 + i % 3] == (float)cases[k].value[i], "%s[%d]: %g",
                              cases[k].descr, i, (double)out[i / 3 * 4 + i % 3]);
            ck_assert(out[3] == 77 && out[7] == 77);
            tamis__npy_rows(&npy, 1, 1, out, 3);
            for (int i = 0; i < 3; i++) ck_assert(out[i] == (float)cases[k].value[3 + i]);
            tamis__npy_close(&npy);
        }
    }
}
END_TEST

START_TEST(all_halves)
{
    bytes b = npy_of("<f2", "65536,");
    for (uint32_t i = 0; i < 65536; i++) put(&b, &(uint16_t){(uint16_t)i}, 2);
    save("h.npy", &b);
    tamis__npy npy;
    ck_ok(tamis__npy_open(&npy, NULL, "h.npy", &err));
    float *out = malloc(65536 * sizeof *out);
    tamis__npy_rows(&npy, 0, 65536, out, 1);
    for (int i = 0; i < 65536; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double want = exponent == 31 ? (fraction ? NOT_A_NUMBER : INF)
                      : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                     : ldexp(fraction, -24);
        if (i >> 15) want = -want;
        if (isnan(want))
            ck_assert(isnan(out[i]));
        else
            ck_assert((double)out[i] == want && !signbit(out[i]) == !signbit(want));
    }
    free(out);
    tamis__npy_close(&npy);
}
END_TEST

/* Over a tile of the transposition, in pieces. */
START_TEST(fortran_blocks)
{
    bytes b = npy_start(2, "{'descr': '<i4', 'fortran_order': True, 'shape': (203, 7)}");
    for (uint32_t j = 0; j < 7; j++)
        for (uint32_t i = 0; i < 203; i++) put_little(&b, i * 7 + j, 4);
    save("f.npy", &b);
    tamis__npy npy;
    ck_ok(tamis__npy_open(&npy, NULL, "f.npy", &err));
    for (uint64_t first = 0; first < 203; first += 67) {
        float out[67 * 7];
        uint64_t rows = first + 67 > 203 ? 203 - first : 67;
        tamis__npy_rows(&npy, first, rows, out, 7);
        for (uint64_t i = 0; i < rows * 7; i++) ck_assert(out[i] == (float)(first * 7 + i));
    }
    tamis__npy_close(&npy);
}
END_TEST

START_TEST(shapes)
{
    static const struct {
        const char *header;
        size_t values;
        int dims;
        uint64_t rows, cols;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 1, 0, 1, 1},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (4,)}", 4, 1, 4, 1},
        {"{\"shape\":(2,3,4),\"descr\":\"<f4\",\"fortran_order\":False}", 24, 3, 2, 12},
        {"{'shape': (1, 3), 'fortran_order': True, 'descr': '<f4',}", 3, 2, 1, 3},
        {"{'descr':'<f4','fortran_order':False,'shape':(0,5)}", 0, 2, 0, 5},
        {"{'descr':'<f4','fortran_order':False,'shape':(5,0)}", 0, 2, 5, 0},
        {"  { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 2 , ) , } ", 4, 2, 2, 2},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,1,1,1,1,1,1,2)}", 2, 8, 1, 2},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bytes b = npy_start(1, cases[k].header);
        for (size_t i = 0; i < cases[k].values; i++) put_little(&b, 0, 4);
        save("s.npy", &b);
        tamis__npy npy;
        ck_ok(tamis__npy_open(&npy, NULL, "s.npy", &err));
        ck_assert(npy.dims == cases[k].dims && npy.rows == cases[k].rows &&
                  npy.cols == cases[k].cols && !npy.fortran);
        tamis__npy_close(&npy);
    }
}
END_TEST

#define D "'descr':'<f4',"
#define F "'fortran_order':False,"
#define S "'shape':(1,)"

START_TEST(wrong_headers)
{
    static const struct {
        const char *header, *message;
        tamis_status status;
    } cases[] = {
        {"", "'{'", TAMIS_ERR_FORMAT},
        {"{" D F "}", "no key 'shape'", TAMIS_ERR_FORMAT},
        {"{" D S "}", "no key 'fortran_order'", TAMIS_ERR_FORMAT},
        {"{" F S "}", "no key 'descr'", TAMIS_ERR_FORMAT},
        {"{" D F S, "',' or '}'", TAMIS_ERR_FORMAT},
        {"{" D F S "} x", "after '}'", TAMIS_ERR_FORMAT},
        {"{" D F S "}}", "after '}'", TAMIS_ERR_FORMAT},
        {"{" D D F S "}", "twice", TAMIS_ERR_FORMAT},
        {"{" D F S ",'other':1}", "a key that is not", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(-1,)}", "negative", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1)}", "tuple", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':[1]}", "tuple", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1L,)}", "','", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1.5,)}", "','", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1,,)}", "whole numbers", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(99999999999999999999,)}", "2^63", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(9223372036854775808,)}", "2^63", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(4294967296,4294967296)}", "overflows", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(4611686018427387904,1)}", "overflows", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(2,)}", "8 bytes of data, the file has 4", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1,0)}", "longer than its header", TAMIS_ERR_FORMAT},
        {"{" D F "'shape':(1,1,1,1,1,1,1,1,1)}", "8 dimensions", TAMIS_ERR_FORMAT},
        {"{'descr':'<f4'" F S "}", "',' or '}'", TAMIS_ERR_FORMAT},
        {"{'descr' '<f4'," F S "}", "':'", TAMIS_ERR_FORMAT},
        {"{'descr':'<f4," F S "}", "',' or '}'", TAMIS_ERR_FORMAT},
        {"{'descr':'<\\x664'," F S "}", "escape", TAMIS_ERR_FORMAT},
        {"{'descr':<f4," F S "}", "quotes", TAMIS_ERR_FORMAT},
        {"{" D "'fortran_order':0," S "}", "True or False", TAMIS_ERR_FORMAT},
        {"{'descr':'>f4'," F S "}", "big-endian", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'<V2'," F S "}", "'<V2'", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'|O'," F S "}", "'|O'", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'<c8'," F S "}", "'<c8'", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'<f16'," F S "}", "'<f16'", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'<f04'," F S "}", "'<f04'", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':'?f4'," F S "}", "dtype", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':''," F S "}", "dtype", TAMIS_ERR_UNSUPPORTED},
        {"{'descr':[('a','<f4')]," F S "}", "structured", TAMIS_ERR_UNSUPPORTED},
        {"{" D "'fortran_order':True,'shape':(1,1,1)}", "Fortran", TAMIS_ERR_UNSUPPORTED},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bytes b = npy_start(1, cases[k].header);
        put_little(&b, 0, 4);
        save("w.npy", &b);
        tamis__npy npy;
        ck_fails(tamis__npy_open(&npy, NULL, "w.npy", &err), cases[k].status, cases[k].message);
        ck_assert_ptr_nonnull(strstr(err.message, "'w.npy'"));
    }
}
END_TEST

START_TEST(wrong_starts)
{
    tamis__npy npy;
    write_text("x", "");
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "numpy.save");
    write_text("x", "a,b\n1,2\n");
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "NUMPY");
    write_bytes("x", "\x93NUMPY\x04\x00\x00\x00", 10);
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "version 4.0");
    write_bytes("x", "\x93NUMPY\x02\x00\x10\x00", 10);
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "ends within its header");
    write_bytes("x", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "4294967295");
    write_bytes("x", "\x93NUMPY\x01\x00\xff\xff{}", 12);
    ck_fails(tamis__npy_open(&npy, NULL, "x", &err), TAMIS_ERR_FORMAT, "65535");
    ck_fails(tamis__npy_open(&npy, NULL, "absent", &err), TAMIS_ERR_IO, "'absent'");
    ck_fails(tamis__npy_open(&npy, NULL, ".", &err), TAMIS_ERR_IO, "directory");
}
END_TEST

START_TEST(integers)
{
    tamis__npy npy;
    int64_t value = 0;
    bytes b = npy_of("<f8", "6,");
    double reals[] = {3, -4, 2.5, NOT_A_NUMBER, 0x1p63, -0x1p62};
    put(&b, reals, sizeof reals);
    save("f.npy", &b);
    ck_ok(tamis__npy_open(&npy, NULL, "f.npy", &err));
    ck_ok(tamis__npy_integer(&npy, 0, &value, "f.npy", &err));
    ck_assert_int_eq(value, 3);
    ck_ok(tamis__npy_integer(&npy, 1, &value, "f.npy", &err));
    ck_assert_int_eq(value, -4);
    ck_fails(tamis__npy_integer(&npy, 2, &value, "f.npy", &err), TAMIS_ERR_FORMAT,
             "element 2: 2.5");
    ck_fails(tamis__npy_integer(&npy, 3, &value, "f.npy", &err), TAMIS_ERR_FORMAT, "element 3");
    ck_fails(tamis__npy_integer(&npy, 4, &value, "f.npy", &err), TAMIS_ERR_FORMAT, "element 4");
    ck_ok(tamis__npy_integer(&npy, 5, &value, "f.npy", &err));
    ck_assert_int_eq(value, -(INT64_C(1) << 62));
    tamis__npy_close(&npy);

    b = npy_of("<u8", "2,");
    put_little(&b, INT64_MAX, 8);
    put_little(&b, UINT64_C(1) << 63, 8);
    save("u.npy", &b);
    ck_ok(tamis__npy_open(&npy, NULL, "u.npy", &err));
    ck_ok(tamis__npy_integer(&npy, 0, &value, "u.npy", &err));
    ck_assert(value == INT64_MAX);
    ck_fails(tamis__npy_integer(&npy, 1, &value, "u.npy", &err), TAMIS_ERR_FORMAT, "2^63");
    tamis__npy_close(&npy);

    b = npy_of("<i2", "2,");
    put_little(&b, 0x8000, 2);
    put_little(&b, 0x7fff, 2);
    save("i.npy", &b);
    ck_ok(tamis__npy_open(&npy, NULL, "i.npy", &err));
    ck_ok(tamis__npy_integer(&npy, 0, &value, "i.npy", &err));
    ck_assert_int_eq(value, -32768);
    tamis__npy_close(&npy);
}
END_TEST

START_TEST(written_headers)
{
    static const uint64_t sizes[][2] = {{0, 0}, {7, 3}, {UINT64_C(1) << 62, UINT64_C(1) << 62}};
    for (int dims = 1; dims <= 2; dims++) {
        for (size_t k = 0; k < 2; k++) {
            tamis__output output;
            ck_ok(tamis__output_open(&output, NULL, "o.npy", true, &err));
            ck_ok(tamis__npy_write_header(&output, "<f4", dims, sizes[k], &err));
            ck_assert_uint_eq(output.written % 64, 0);
            float zero = 0;
            uint64_t values = dims == 1 ? sizes[k][0] : sizes[k][0] * sizes[k][1];
            for (uint64_t i = 0; i < values; i++)
                ck_ok(tamis__output_write(&output, &zero, 4, &err));
            ck_ok(tamis__output_commit(&output, &err));
            tamis__npy npy;
            ck_ok(tamis__npy_open(&npy, NULL, "o.npy", &err));
            ck_assert(npy.dims == dims && npy.rows == sizes[k][0] &&
                      (dims == 1 || npy.cols == sizes[k][1]));
            tamis__npy_close(&npy);
        }
    }
    /* The longest shape still fits. */
    tamis__output output;
    ck_ok(tamis__output_open(&output, NULL, "o.npy", true, &err));
    ck_ok(tamis__npy_write_header(&output, "<f4", 2, sizes[2], &err));
    ck_assert_uint_eq(output.written % 64, 0);
    tamis__output_abort(&output);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import npy");
    TCase *tests = tcase_create("npy");
    tcase_add_checked_fixture(tests, setup, leave_scratch);
    tcase_add_test(tests, every_type);
    tcase_add_test(tests, all_halves);
    tcase_add_test(tests, fortran_blocks);
    tcase_add_test(tests, shapes);
    tcase_add_test(tests, wrong_headers);
    tcase_add_test(tests, wrong_starts);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, written_headers);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
