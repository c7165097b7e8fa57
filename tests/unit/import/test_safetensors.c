/* safetensors: types, order, metadata, and headers that lie.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "files.h"
#include "import/safetensors.h"

static tamis_error err;

static void setup(void)
{
    enter_scratch();
}

static void save_tensors(const char *header, const void *data, size_t size)
{
    bytes b = safetensors_of(header, data, size);
    save("t.safetensors", &b);
}

START_TEST(types)
{
    static const struct {
        const char *dtype;
        size_t size;
        uint64_t bits[2];
        float value[2];
    } cases[] = {
        {"BOOL", 1, {0, 1}, {0, 1}},
        {"U8", 1, {255, 3}, {255, 3}},
        {"I8", 1, {255, 3}, {-1, 3}},
        {"U16", 2, {65535, 3}, {65535, 3}},
        {"I16", 2, {65535, 3}, {-1, 3}},
        {"F16", 2, {0x3c00, 0xc100}, {1, -2.5f}},
        {"BF16", 2, {0x3f80, 0xc020}, {1, -2.5f}},
        {"U32", 4, {UINT32_MAX, 3}, {4294967296.0f, 3}},
        {"I32", 4, {UINT32_MAX, 3}, {-1, 3}},
        {"F32", 4, {0x3f800000, 0xc0200000}, {1, -2.5f}},
        {"F64", 8, {UINT64_C(0x3ff0000000000000), UINT64_C(0xc004000000000000)}, {1, -2.5f}},
        {"I64", 8, {UINT64_MAX, 3}, {-1, 3}},
        {"U64", 8, {UINT64_MAX, 3}, {0x1p64f, 3}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char header[128];
        bytes b = {0};
        float out[2];
        tamis__safetensors file;
        int64_t integer = 0;
        snprintf(header, sizeof header,
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,%zu]}}",
                 cases[k].dtype, 2 * cases[k].size);
        for (int i = 0; i < 2; i++) put_little(&b, cases[k].bits[i], cases[k].size);
        save_tensors(header, b.bytes, b.size);
        drop(&b);
        ck_ok(tamis__safetensors_open(&file, NULL, "t.safetensors", &err));
        ck_assert_uint_eq(file.tensors, 1);
        ck_ok(tamis__tensor_read(file.tensor, 0, 2, out, "t", &err));
        ck_assert_msg(out[0] == cases[k].value[0] && out[1] == cases[k].value[1], "%s",
                      cases[k].dtype);
        ck_ok(tamis__tensor_read(file.tensor, 1, 1, out, "t", &err));
        ck_assert(out[0] == cases[k].value[1]);
        ck_assert_uint_eq(tamis__tensor_item_size(file.tensor), cases[k].size);
        if (strchr(cases[k].dtype, 'F')) {
            ck_fails(tamis__tensor_integer(file.tensor, 1, &integer, "t", &err),
                     TAMIS_ERR_UNSUPPORTED, cases[k].dtype);
        } else {
            ck_ok(tamis__tensor_integer(file.tensor, 1, &integer, "t", &err));
            ck_assert_int_eq(integer, (int64_t)cases[k].value[1]);
        }
        if (!strcmp(cases[k].dtype, "U64"))
            ck_fails(tamis__tensor_integer(file.tensor, 0, &integer, "t", &err), TAMIS_ERR_FORMAT,
                     "2^63");
        tamis__safetensors_close(&file);
    }
}
END_TEST

START_TEST(order_and_metadata)
{
    const char *header = "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                         "\"b\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[3,7]},"
                         "\"e\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[3,3]},"
                         "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                         "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[7,8]},"
                         "\"q\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[8,10]},"
                         "\"z\":{\"dtype\":\"NEW9\",\"shape\":[5],\"data_offsets\":[10,11]}}      ";
    tamis__safetensors file;
    const tamis__tensor *tensor = NULL;
    float out[4];
    save_tensors(header, "\1\2\3\4\5\6\7\10\11\12\13", 11);
    ck_ok(tamis__safetensors_open(&file, NULL, "t.safetensors", &err));
    static const char *const order[] = {"a", "e", "b", "s", "q", "z"};
    ck_assert_uint_eq(file.tensors, 6);
    for (int i = 0; i < 6; i++) ck_assert_str_eq(file.tensor[i].name, order[i]);
    ck_assert_str_eq(tamis__safetensors_meta(&file, "k"), "v");
    ck_assert_ptr_null(tamis__safetensors_meta(&file, "b"));
    tensor = tamis__safetensors_find(&file, "b");
    ck_assert(tensor && tensor->dims == 2 && tensor->shape[0] == 2 && tensor->shape[1] == 2 &&
              tensor->count == 4);
    ck_ok(tamis__tensor_read(tensor, 0, 4, out, "t", &err));
    ck_assert(out[0] == 4 && out[3] == 7);
    ck_assert_uint_eq(tamis__safetensors_find(&file, "s")->count, 1);
    ck_assert_ptr_null(tamis__safetensors_find(&file, "c"));
    ck_fails(tamis__tensor_read(tamis__safetensors_find(&file, "q"), 0, 1, out, "t", &err),
             TAMIS_ERR_UNSUPPORTED, "F8_E5M2");
    ck_fails(tamis__tensor_read(tamis__safetensors_find(&file, "z"), 0, 1, out, "t", &err),
             TAMIS_ERR_UNSUPPORTED, "NEW9");
    ck_fails(tamis__safetensors_pick(&file, "bb", "t", &tensor, &err), TAMIS_ERR_ARG, "'b'");
    ck_fails(tamis__safetensors_pick(&file, NULL, "t", &tensor, &err), TAMIS_ERR_ARG, "2 tensors");
    ck_ok(tamis__safetensors_pick(&file, "s", "t", &tensor, &err));
    ck_assert_str_eq(tensor->name, "s");
    tamis__safetensors_close(&file);

    save_tensors("{}", "", 0);
    ck_ok(tamis__safetensors_open(&file, NULL, "t.safetensors", &err));
    ck_assert_uint_eq(file.tensors, 0);
    ck_fails(tamis__safetensors_pick(&file, NULL, "t", &tensor, &err), TAMIS_ERR_ARG,
             "it has none");
    tamis__safetensors_close(&file);
}
END_TEST

#define T(dtype, shape, offsets)                                                                   \
    "{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

START_TEST(wrong_headers)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {T("F32", "[1]", "[0,4]") "x", "not valid JSON"},
        {"[]", "not an object"},
        {"", "not valid JSON"},
        {"{\"x\":3}", "no dtype"},
        {"{\"x\":{\"shape\":[1],\"data_offsets\":[0,4]}}", "no dtype"},
        {"{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "no shape"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", "data_offsets"},
        {T("F32_TOO_LONG_A_NAME", "[1]", "[0,4]"), "no dtype"},
        {T("F32", "[-1]", "[0,4]"), ">= 0"},
        {T("F32", "[1.0]", "[0,4]"), ">= 0"},
        {T("F32", "[\"1\"]", "[0,4]"), ">= 0"},
        {T("F32", "{}", "[0,4]"), "no shape"},
        {T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "9 dimensions"},
        {T("F32", "[4294967296,4294967296]", "[0,4]"), "overflows"},
        {T("F32", "[4611686018427387905]", "[0,4]"), "do not take"},
        {T("F32", "[2]", "[0,4]"), "do not take the 4 bytes"},
        {T("F4", "[3]", "[0,4]"), "do not take"},
        {T("F32", "[1]", "[4,0]"), "not within"},
        {T("F32", "[2]", "[0,8]"), "file's 4 bytes"},
        {T("F32", "[1]", "[-4,0]"), ">= 0"},
        {T("F32", "[1]", "[0]"), "no pair"},
        {T("F32", "[1]", "[0,4,8]"), "no pair"},
        {T("F32", "[1]", "[0,99999999999999999999]"), "not valid JSON"},
        {T("U8", "[2]", "[0,2]"), "take 2 bytes, the file has 4"},
        {T("U8", "[3]", "[1,4]"), "holes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         "duplicate"},
        {"{\"__metadata__\":[]}", "not an object"},
        {"{\"__metadata__\":{\"a\":1}}", "'a' is not text"},
        {"{\"a\\u0000b\":{}}", "not valid JSON"},
        {"{\"\xff\":{}}", "not valid JSON"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        tamis__safetensors file;
        save_tensors(cases[k].header, "\0\0\0\0", 4);
        ck_fails(tamis__safetensors_open(&file, NULL, "t.safetensors", &err), TAMIS_ERR_FORMAT,
                 cases[k].message);
        ck_assert_ptr_nonnull(strstr(err.message, "'t.safetensors'"));
    }
}
END_TEST

START_TEST(wrong_lengths)
{
    static const uint64_t lengths[] = {100000001, 3, UINT64_MAX, UINT64_C(1) << 63, 1u << 31};
    tamis__safetensors file;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        bytes b = {0};
        put_little(&b, lengths[k], 8);
        put_text(&b, "{}");
        save("t", &b);
        ck_fails(tamis__safetensors_open(&file, NULL, "t", &err), TAMIS_ERR_FORMAT, "byte 0");
    }
    write_bytes("t", "\0\0\0\0\0\0\0", 7);
    ck_fails(tamis__safetensors_open(&file, NULL, "t", &err), TAMIS_ERR_FORMAT, "7 bytes");
    /* A header that parses to more than the memory limit. */
    tamis_context *context = new_context(1 << 10);
    bytes b = {0};
    put_little(&b, 200, 8);
    put_text(&b, "{}");
    while (b.size < 208) put_text(&b, " ");
    save("t", &b);
    ck_fails(tamis__safetensors_open(&file, context, "t", &err), TAMIS_ERR_NOMEM, "--memory");
    ck_ok(tamis__safetensors_open(&file, NULL, "t", &err));
    tamis__safetensors_close(&file);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import safetensors");
    TCase *tests = tcase_create("safetensors");
    tcase_add_checked_fixture(tests, setup, leave_scratch);
    tcase_add_test(tests, types);
    tcase_add_test(tests, order_and_metadata);
    tcase_add_test(tests, wrong_headers);
    tcase_add_test(tests, wrong_lengths);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
