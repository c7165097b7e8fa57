/* Readers of rows, against files written here byte by byte.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <zlib.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/rng.h"
#include "files.h"

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = new_context(0);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_data *read_with(tamis_data_options options)
{
    tamis_data *data = NULL;
    ck_ok(tamis_data_read(&data, context, &options, &err));
    return data;
}

static void refuse(tamis_data_options options, tamis_status status, const char *message)
{
    tamis_data *data = NULL;
    ck_fails(tamis_data_read(&data, context, &options, &err), status, message);
    ck_assert_ptr_null(data);
}

static void check_values(const tamis_data *data, uint64_t rows, uint64_t columns, const float *x)
{
    ck_assert_uint_eq(data->rows, rows);
    ck_assert_uint_eq(data->columns, columns);
    for (uint64_t i = 0; i < rows * columns; i++)
        ck_assert_msg(data->x[i] == x[i], "value %d: %g, not %g", (int)i, (double)data->x[i],
                      (double)x[i]);
}

static void check_names(char **names, const char *const *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++) ck_assert_str_eq(names[i], wanted[i]);
}

static void write_gzip(const char *name, const void *data, size_t size)
{
    gzFile file = gzopen(name, "wb");
    ck_assert_int_eq(gzwrite(file, data, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* --- CSV ------------------------------------------------------------------------------------ */

START_TEST(csv_all_parts)
{
    write_text("d.csv", "\xef\xbb\xbf"
                        "id,age,\"the \"\"x\"\"\",class,task\r\n"
                        "a7,1.5, 2 ,cat,\"one,\ntwo\"\r\n"
                        "\r\n"
                        "b,-3e2,\"0.25\",dog,z\r\n"
                        "a7,+0,1,\"ape\",z");
    tamis_data *d = read_with(
        (tamis_data_options){.path = "d.csv", .label = "class", .id = "id", .group = "task"});
    check_values(d, 3, 2, (float[]){1.5f, 2, -300, 0.25f, 0, 1});
    check_names(d->feature_name, (const char *[]){"age", "the \"x\""}, 2);
    ck_assert_uint_eq(d->classes, 3);
    check_names(d->class_name, (const char *[]){"ape", "cat", "dog"}, 3);
    ck_assert(d->label[0] == 1 && d->label[1] == 2 && d->label[2] == 0);
    check_names(d->id_text, (const char *[]){"a7", "b", "a7"}, 3);
    ck_assert_ptr_null(d->id_number);
    ck_assert_uint_eq(d->groups, 2);
    check_names(d->group_name, (const char *[]){"one,\ntwo", "z"}, 2);
    ck_assert(d->group[0] == 0 && d->group[1] == 1 && d->group[2] == 1);
    static const char *const record[] = {"a7,1.5, 2 ,cat,\"one,\ntwo\"", "b,-3e2,\"0.25\",dog,z",
                                         "a7,+0,1,\"ape\",z"};
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(d->digest[i], tamis__digest(record[i], strlen(record[i])));
    tamis_data_free(&d);
    ck_assert_ptr_null(d);
    tamis_data_free(&d);
    tamis_data_free(NULL);
}
END_TEST

START_TEST(csv_classes_and_ids)
{
    write_text("d.csv", "x,y,n\n1,10,0\n2,9,18446744073709551615\n3,-1,7\n4,10,7\n");
    tamis_data *d = read_with((tamis_data_options){.path = "d.csv", .label = "y", .id = "n"});
    check_names(d->class_name, (const char *[]){"-1", "9", "10"}, 3);
    ck_assert(d->label[0] == 2 && d->label[1] == 1 && d->label[2] == 0 && d->label[3] == 2);
    ck_assert_ptr_null(d->id_text);
    ck_assert(d->id_number[0] == 0 && d->id_number[1] == UINT64_MAX && d->id_number[3] == 7);
    ck_assert_ptr_null(d->group);
    tamis_data_free(&d);

    /* One that is no integer: bytewise. One id that is no plain number: all are texts. */
    write_text("d.csv", "x,y,n\n1,10,1\n2,9,2\n3,9a,03\n");
    d = read_with((tamis_data_options){.path = "d.csv", .label = "y", .id = "n"});
    check_names(d->class_name, (const char *[]){"10", "9", "9a"}, 3);
    check_names(d->id_text, (const char *[]){"1", "2", "03"}, 3);
    ck_assert_ptr_null(d->id_number);
    tamis_data_free(&d);
}
END_TEST

START_TEST(csv_fixed_classes)
{
    static const char *const names[] = {"dog", "cat", "ape"};
    write_text("d.csv", "x,y\n1,cat\n2,dog\n");
    tamis_data_options options = {.path = "d.csv", .label = "y", .classes = 3, .class_name = names};
    tamis_data *d = read_with(options);
    ck_assert(d->classes == 3 && d->label[0] == 1 && d->label[1] == 0);
    check_names(d->class_name, names, 3);
    tamis_data_free(&d);
    write_text("d.csv", "x,y\n1,cat\n2,\"c\now\"\n");
    refuse(options, TAMIS_ERR_FORMAT,
           "'d.csv' line 3, column 'y': 'c ow' is none of the 3 known classes 'dog', 'cat', 'ape'");
    options.class_name = (const char *const[]){"dog", "cat", "dog"};
    refuse(options, TAMIS_ERR_ARG, "'dog' is twice");

    write_text("d.csv", "x,y\n1,2\n2,0\n");
    options.class_name = NULL;
    d = read_with(options);
    ck_assert(d->classes == 3 && d->label[0] == 2 && d->label[1] == 0);
    check_names(d->class_name, (const char *[]){"0", "1", "2"}, 3);
    tamis_data_free(&d);
    options.classes = 2;
    refuse(options, TAMIS_ERR_FORMAT, "line 2, column 'y': '2' is none of the 2");
}
END_TEST

START_TEST(csv_features)
{
    write_text("d.csv", "a,b,\"c,d\",e\n1,2,3,x\n4,5,6,y\n");
    tamis_data *d = read_with((tamis_data_options){.path = "d.csv", .features = "\"c,d\",a"});
    check_values(d, 2, 2, (float[]){3, 1, 6, 4});
    check_names(d->feature_name, (const char *[]){"c,d", "a"}, 2);
    ck_assert(!d->label && !d->classes && !d->class_name);
    tamis_data_free(&d);
    d = read_with((tamis_data_options){.path = "d.csv", .ignore = "e,b"});
    check_values(d, 2, 2, (float[]){1, 3, 4, 6});
    tamis_data_free(&d);
    refuse((tamis_data_options){.path = "d.csv"}, TAMIS_ERR_FORMAT,
           "'d.csv' line 2, column 'e': 'x' is not a number");
    refuse((tamis_data_options){.path = "d.csv", .label = "E"}, TAMIS_ERR_ARG,
           "no column 'E': did you mean 'e'?");
    refuse((tamis_data_options){.path = "d.csv", .id = "nothing"}, TAMIS_ERR_ARG,
           "no column 'nothing'");
    refuse((tamis_data_options){.path = "d.csv", .ignore = "zz"}, TAMIS_ERR_ARG, "no column 'zz'");
    refuse((tamis_data_options){.path = "d.csv", .features = "a,q"}, TAMIS_ERR_ARG,
           "no column 'q'");
    refuse((tamis_data_options){.path = "d.csv", .features = "a,a"}, TAMIS_ERR_ARG, "named twice");
    refuse((tamis_data_options){.path = "d.csv", .features = "a,\"b"}, TAMIS_ERR_ARG, "not closed");
    refuse((tamis_data_options){.path = "d.csv", .features = "a,e", .label = "e"}, TAMIS_ERR_ARG,
           "something else");
    refuse((tamis_data_options){.path = "d.csv", .ignore = "a,b,e,\"c,d\""}, TAMIS_ERR_ARG,
           "no column is left");
}
END_TEST

START_TEST(csv_wrong)
{
    static const struct {
        const char *text, *message;
        tamis_status status;
    } cases[] = {
        {"", "is empty", TAMIS_ERR_SHAPE},
        {"\xef\xbb\xbf", "is empty", TAMIS_ERR_SHAPE},
        {"\n\r\n\n", "is empty", TAMIS_ERR_SHAPE},
        {"a,y\n", "no rows", TAMIS_ERR_SHAPE},
        {"a,y", "no rows", TAMIS_ERR_SHAPE},
        {"a,y\n1,c\n2\n", "'d.csv' line 3: 1 field, the header has 2", TAMIS_ERR_FORMAT},
        {"a,y\n1,c\n\n2,c,3,4\n", "'d.csv' line 4: at least 3 fields, the header has 2",
         TAMIS_ERR_FORMAT},
        {"a,y,a\n1,c,2\n", "'a' is there twice", TAMIS_ERR_FORMAT},
        {"a,,y,\n1,2,c,3\n", "'' is there twice", TAMIS_ERR_FORMAT},
        {"a,y\n\"1\n\",c\n", "line 2, column 'a': '1 ' is not", TAMIS_ERR_FORMAT},
        {"a,y\n1,\"c\n\"x,2\n", "line 2, column 'y': something follows", TAMIS_ERR_FORMAT},
        {"a,y\n\"c\nd\",\"1\n", "line 3: a quote is opened", TAMIS_ERR_FORMAT},
        {"a,y\n,c\n", "column 'a': '' is not a number", TAMIS_ERR_FORMAT},
        {"a,y\n0x10,c\n", "'0x10' is not a number", TAMIS_ERR_FORMAT},
        {"a,y\nnan,c\n", "'nan' is not finite", TAMIS_ERR_NUMERIC},
        {"a,y\n-Inf,c\n", "'-Inf' is not finite", TAMIS_ERR_NUMERIC},
        {"a,y\n1e39,c\n", "'1e39' is not finite", TAMIS_ERR_NUMERIC},
        {"a,y\n1,\n", "column 'y': the label is empty", TAMIS_ERR_FORMAT},
        {"a,y\n1,caf\xe9\n", "column 'y': the label is not UTF-8 text (its byte 3)",
         TAMIS_ERR_FORMAT},
        {"a\xff,y\n1,c\n", "column 1: the column's name is not UTF-8", TAMIS_ERR_FORMAT},
        {"\xff\xfe"
         "a\0,\0y\0",
         "UTF-16", TAMIS_ERR_UNSUPPORTED},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        write_text("d.csv", cases[k].text);
        refuse((tamis_data_options){.path = "d.csv", .label = "y"}, cases[k].status,
               cases[k].message);
    }
    write_bytes("d.csv", "a,y\n1,c\0d\n", 10);
    refuse((tamis_data_options){.path = "d.csv", .label = "y"}, TAMIS_ERR_FORMAT,
           "not UTF-8 text (its byte 1)");
    bytes b = {0};
    put_text(&b, "a,y\n1,");
    for (int i = 0; i < 4096; i++) put_text(&b, "y");
    save("d.csv", &b);
    refuse((tamis_data_options){.path = "d.csv", .label = "y"}, TAMIS_ERR_FORMAT,
           "4096 bytes: at most 4095");
}
END_TEST

START_TEST(tsv)
{
    write_text("d.tsv", "a\tb,c\ty\n1\t2\t\"x\ty\"\n3\t4\tz\n");
    tamis_data *d = read_with((tamis_data_options){.path = "d.tsv", .label = "y"});
    check_values(d, 2, 2, (float[]){1, 2, 3, 4});
    check_names(d->feature_name, (const char *[]){"a", "b,c"}, 2);
    check_names(d->class_name, (const char *[]){"x\ty", "z"}, 2);
    tamis_data_free(&d);
}
END_TEST

/* Random tables with random quoting come back as they were. */
START_TEST(csv_round_trip)
{
    gsl_rng *rng = tamis__rng_create();
    for (int round = 0; round < 300; round++) {
        float x[40];
        unsigned rows = 1 + (unsigned)gsl_rng_uniform_int(rng, 10),
                 columns = 1 + (unsigned)gsl_rng_uniform_int(rng, 4);
        int32_t label[10];
        bytes b = {0};
        for (unsigned j = 0; j < columns; j++) {
            char name[16];
            snprintf(name, sizeof name, "x%u,", j);
            put_text(&b, name);
        }
        put_text(&b, "y\n");
        for (unsigned i = 0; i < rows; i++) {
            for (unsigned j = 0; j < columns; j++) {
                char cell[64];
                x[i * columns + j] = (float)(gsl_rng_uniform(rng) * 1e3 - 500);
                snprintf(cell, sizeof cell, gsl_rng_uniform_int(rng, 2) ? "\"%.9g\"," : " %.9e\t,",
                         (double)x[i * columns + j]);
                put_text(&b, cell);
            }
            static const char *const classes[] = {"a", "\"a,\nb\"", "\"\"\"\"", "z"};
            label[i] = (int32_t)gsl_rng_uniform_int(rng, 4);
            put_text(&b, classes[label[i]]);
            put_text(&b, i + 1 == rows && gsl_rng_uniform_int(rng, 2) ? ""
                         : gsl_rng_uniform_int(rng, 2)                ? "\r\n"
                                                                      : "\n");
        }
        save("d.csv", &b);
        static const char *const names[] = {"a", "a,\nb", "\"", "z"};
        tamis_data *d = read_with(
            (tamis_data_options){.path = "d.csv", .label = "y", .classes = 4, .class_name = names});
        check_values(d, rows, columns, x);
        ck_assert_mem_eq(d->label, label, rows * sizeof *label);
        tamis_data_free(&d);
    }
    gsl_rng_free(rng);
}
END_TEST

static void count_line(void *cookie, tamis_log_level level, const char *line)
{
    if (level == TAMIS_LOG_WARNING && strstr(line, "column 1 has no name")) ++*(int *)cookie;
}

START_TEST(csv_nameless_column)
{
    int warnings = 0;
    tamis_data *d = NULL;
    tamis_context *told = NULL;
    ck_ok(tamis_context_create(
        &told, &(tamis_context_params){.threads = 1, .log = count_line, .cookie = &warnings},
        &err));
    write_text("d.csv", ",a\n0,5\n1,6\n");
    ck_ok(tamis_data_read(&d, told, &(tamis_data_options){.path = "d.csv"}, &err));
    check_values(d, 2, 2, (float[]){0, 5, 1, 6});
    ck_assert_int_eq(warnings, 1);
    tamis_data_free(&d);
    tamis_context_destroy(&told);
}
END_TEST

/* --- JSON Lines ----------------------------------------------------------------------------- */

START_TEST(jsonl_keys)
{
    write_text("d.jsonl",
               "\xef\xbb\xbf{\"y\":\"b\",\"n\":1,\"t\":\"text\",\"m\":2.5,\"i\":10,\"g\":true}\r\n"
               " \t\r\n\n"
               "{\"m\":-1e2,\"extra\":9,\"n\":3,\"y\":\"a\",\"i\":11,\"g\":false}");
    tamis_data *d = read_with(
        (tamis_data_options){.path = "d.jsonl", .label = "y", .id = "i", .group = "g"});
    check_values(d, 2, 2, (float[]){1, 2.5f, 3, -100});
    check_names(d->feature_name, (const char *[]){"n", "m"}, 2);
    check_names(d->class_name, (const char *[]){"a", "b"}, 2);
    ck_assert(d->label[0] == 1 && d->label[1] == 0);
    ck_assert(d->id_number[0] == 10 && d->id_number[1] == 11);
    check_names(d->group_name, (const char *[]){"false", "true"}, 2);
    const char *last = "{\"m\":-1e2,\"extra\":9,\"n\":3,\"y\":\"a\",\"i\":11,\"g\":false}";
    ck_assert_uint_eq(d->digest[1], tamis__digest(last, strlen(last)));
    tamis_data_free(&d);
    d = read_with((tamis_data_options){.path = "d.jsonl", .ignore = "n,i,absent"});
    check_values(d, 2, 1, (float[]){2.5f, -100});
    tamis_data_free(&d);
    d = read_with((tamis_data_options){.path = "d.jsonl", .features = "m,n"});
    check_values(d, 2, 2, (float[]){2.5f, 1, -100, 3});
    tamis_data_free(&d);
    refuse((tamis_data_options){.path = "d.jsonl", .label = "yy"}, TAMIS_ERR_ARG,
           "no key 'yy': did you mean 'y'?");
    refuse((tamis_data_options){.path = "d.jsonl", .features = "extra"}, TAMIS_ERR_ARG,
           "no key 'extra'");
    refuse((tamis_data_options){.path = "d.jsonl", .features = "t"}, TAMIS_ERR_FORMAT,
           "line 1, key 't': a text is not a number");
    refuse((tamis_data_options){.path = "d.jsonl", .features = "m", .id = "t"}, TAMIS_ERR_FORMAT,
           "'d.jsonl' line 4, key 't': this record does not have it");
}
END_TEST

START_TEST(jsonl_array)
{
    write_text("d.json", "{\"id\":\"q\",\"x\":[1,2.5,-3],\"n\":7,\"y\":3.0}\n{\"id\":\"r\",\"x\":["
                         "4,5,6],\"n\":8,\"y\":20}\n");
    tamis_data *d = read_with((tamis_data_options){.path = "d.json", .label = "y", .id = "id"});
    check_values(d, 2, 3, (float[]){1, 2.5f, -3, 4, 5, 6});
    ck_assert_ptr_null(d->feature_name);
    check_names(d->class_name, (const char *[]){"3", "20"}, 2);
    check_names(d->id_text, (const char *[]){"q", "r"}, 2);
    tamis_data_free(&d);
    d = read_with((tamis_data_options){.path = "d.json", .features = "n"});
    check_values(d, 2, 1, (float[]){7, 8});
    tamis_data_free(&d);
    write_text("d.json", "{\"x\":[1],\"z\":[2]}\n");
    refuse((tamis_data_options){.path = "d.json"}, TAMIS_ERR_ARG, "arrays 'x' and 'z'");
    d = read_with((tamis_data_options){.path = "d.json", .ignore = "x"});
    check_values(d, 1, 1, (float[]){2});
    tamis_data_free(&d);
}
END_TEST

START_TEST(jsonl_wrong)
{
    static const struct {
        const char *text, *message;
        tamis_status status;
    } cases[] = {
        {"", "no rows", TAMIS_ERR_SHAPE},
        {"\n \n", "no rows", TAMIS_ERR_SHAPE},
        {"{\"x\":[]}\n", "no columns", TAMIS_ERR_SHAPE},
        {"{\"x\":[1]}\n\n{\"x\":[1,2]}\n", "line 3, key 'x': 2 numbers, the first record has 1",
         TAMIS_ERR_FORMAT},
        {"{\"x\":[1]}\n{\"x\":1}\n", "line 2, key 'x': not an array", TAMIS_ERR_FORMAT},
        {"{\"x\":[1]}\n{\"w\":1}\n", "line 2, key 'x': this record does not have it",
         TAMIS_ERR_FORMAT},
        {"{\"x\":[1,[2]]}\n", "line 1, key 'x': element 1: a nested value is not a number",
         TAMIS_ERR_FORMAT},
        {"{\"x\":[1,null]}\n", "element 1: null is not", TAMIS_ERR_FORMAT},
        {"{\"x\":[1,1e39]}\n", "element 1: 1e+39 is not finite", TAMIS_ERR_NUMERIC},
        {"{\"x\":1}\n{\"x\":{\"a\":1}}\n", "line 2, key 'x': a nested value", TAMIS_ERR_FORMAT},
        {"{\"x\":1}\n{\"x\":true}\n", "true or false", TAMIS_ERR_FORMAT},
        {"{\"x\":1}\n{\"y\":1}\n", "line 2, key 'x': this record", TAMIS_ERR_FORMAT},
        {"{\"x\":1}\n{\"x\":1\n", "line 2: not valid JSON", TAMIS_ERR_FORMAT},
        {"{\"x\":1}\n{\"x\":NaN}\n", "line 2: not valid JSON", TAMIS_ERR_FORMAT},
        {"{\"x\":1}\n{\"x\":1,\"x\":2}\n", "line 2: not valid JSON: duplicate", TAMIS_ERR_FORMAT},
        {"{\"x\":1}{\"x\":2}\n", "line 1: not valid JSON", TAMIS_ERR_FORMAT},
        {"[{\"x\":1}]\n", "a JSON array", TAMIS_ERR_FORMAT},
        {"3\n", "not valid JSON", TAMIS_ERR_FORMAT},
        {"{}\n", "no key holds a number", TAMIS_ERR_FORMAT},
        {"{\"x\":\"\xff\"}\n", "not valid JSON", TAMIS_ERR_FORMAT},
        {"{\"x\":99999999999999999999}\n", "not valid JSON", TAMIS_ERR_FORMAT},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        write_text("d.jsonl", cases[k].text);
        refuse((tamis_data_options){.path = "d.jsonl"}, cases[k].status, cases[k].message);
    }
    write_text("d.jsonl", "{\"x\":1,\"y\":null}\n");
    refuse((tamis_data_options){.path = "d.jsonl", .label = "y"}, TAMIS_ERR_FORMAT,
           "key 'y': text or a number");
    write_text("d.jsonl", "{\"x\":1,\"y\":\"\"}\n");
    refuse((tamis_data_options){.path = "d.jsonl", .label = "y"}, TAMIS_ERR_FORMAT,
           "the label is empty");
    bytes b = {0};
    put_text(&b, "{\"x\":");
    for (int i = 0; i < 100000; i++) put_text(&b, "[");
    save("d.jsonl", &b);
    refuse((tamis_data_options){.path = "d.jsonl"}, TAMIS_ERR_FORMAT, "not valid JSON");
}
END_TEST

/* --- IDX, npy, safetensors ------------------------------------------------------------------ */

START_TEST(idx_types)
{
    static const struct {
        unsigned code;
        size_t size;
        uint64_t bits[4];
        float value[4];
    } cases[] = {
        {0x08, 1, {0, 1, 128, 255}, {0, 1, 128, 255}},
        {0x09, 1, {0, 1, 128, 255}, {0, 1, -128, -1}},
        {0x0b, 2, {0, 1, 0x8000, 0x0102}, {0, 1, -32768, 258}},
        {0x0c, 4, {0, 1, 0x80000000, 0x01020304}, {0, 1, -2147483648.0f, 16909060}},
        {0x0d, 4, {0, 0x3f800000, 0xc0200000, 0x7f7fffff}, {0, 1, -2.5f, 0x1.fffffep127f}},
        {0x0e,
         8,
         {0, UINT64_C(0x3ff0000000000000), UINT64_C(0xc004000000000000), 0},
         {0, 1, -2.5f, 0}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bytes b = {0};
        put_big(&b, cases[k].code << 8 | 3, 4);
        put_big(&b, 2, 4);
        put_big(&b, 1, 4);
        put_big(&b, 2, 4);
        for (int i = 0; i < 4; i++) put_big(&b, cases[k].bits[i], cases[k].size);
        write_gzip("images-idx3-ubyte.gz", b.bytes, b.size);
        uint64_t digest = tamis__digest(b.bytes + 16 + 2 * cases[k].size, 2 * cases[k].size);
        save("d.idx", &b);
        for (int gz = 0; gz < 2; gz++) {
            tamis_data *d = read_with(
                (tamis_data_options){.path = gz ? "images-idx3-ubyte.gz" : "d.idx"});
            check_values(d, 2, 2, cases[k].value);
            ck_assert_uint_eq(d->digest[1], digest);
            ck_assert(!d->feature_name && !d->label);
            tamis_data_free(&d);
        }
    }
}
END_TEST

START_TEST(idx_wrong)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
        tamis_status status;
    } cases[] = {
        {"", 0, "two zero bytes", TAMIS_ERR_FORMAT},
        {"\0\0\10", 3, "two zero bytes", TAMIS_ERR_FORMAT},
        {"\1\0\10\1\0\0\0\1x", 9, "two zero bytes", TAMIS_ERR_FORMAT},
        {"\0\0\12\1\0\0\0\1x", 9, "0x0a", TAMIS_ERR_UNSUPPORTED},
        {"\0\0\10\0x", 5, "no dimensions", TAMIS_ERR_FORMAT},
        {"\0\0\10\2\0\0\0\1", 8, "2 dimensions need 12 bytes, it has 8", TAMIS_ERR_FORMAT},
        {"\0\0\10\377\0\0\0\1", 8, "255 dimensions", TAMIS_ERR_FORMAT},
        {"\0\0\10\1\0\0\0\3xy", 10,
         "is truncated: its IDX dimensions need 3 bytes of data, it has 2", TAMIS_ERR_FORMAT},
        {"\0\0\10\1\0\0\0\1xy", 10, "longer than", TAMIS_ERR_FORMAT},
        {"\0\0\16\3\377\377\377\377\377\377\377\377\377\377\377\377", 16, "overflows",
         TAMIS_ERR_FORMAT},
        {"\0\0\10\2\377\377\377\377\377\377\377\377", 12, "truncated", TAMIS_ERR_FORMAT},
        {"\0\0\10\1\0\0\0\0", 8, "no rows", TAMIS_ERR_SHAPE},
        {"\0\0\10\2\0\0\0\5\0\0\0\0", 12, "no columns", TAMIS_ERR_SHAPE},
        {"\0\0\15\1\0\0\0\1\177\300\0\0", 12, "row 0, column 0: not a number", TAMIS_ERR_NUMERIC},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        write_bytes("d.idx", cases[k].bytes, cases[k].size);
        refuse((tamis_data_options){.path = "d.idx"}, cases[k].status, cases[k].message);
        ck_assert_ptr_nonnull(strstr(err.message, "'d.idx'"));
    }
}
END_TEST

START_TEST(npy_rows_and_labels)
{
    bytes b = npy_of("<f4", "3, 2");
    static const float x[] = {1, 2, 3, 4, 5, 6}, transposed[] = {1, 3, 5, 2, 4, 6};
    put_floats(&b, x, 6);
    save("c.npy", &b);
    b = npy_start(3, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }");
    put_floats(&b, transposed, 6);
    save("f.npy", &b);
    b = npy_of("<i8", "3,");
    put_little(&b, 30, 8);
    put_little(&b, UINT64_MAX, 8);
    put_little(&b, 4, 8);
    save("y.npy", &b);
    write_bytes("y.idx", "\0\0\10\1\0\0\0\3\36\7\4", 11);
    tamis_data *c = read_with((tamis_data_options){.path = "c.npy", .labels_path = "y.npy"});
    tamis_data *f = read_with((tamis_data_options){.path = "f.npy", .labels_path = "y.idx"});
    check_values(c, 3, 2, x);
    check_values(f, 3, 2, x);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(c->digest[i], tamis__digest(x + 2 * i, 8));
        ck_assert_uint_eq(f->digest[i], c->digest[i]);
    }
    check_names(c->class_name, (const char *[]){"-1", "4", "30"}, 3);
    check_names(f->class_name, (const char *[]){"4", "7", "30"}, 3);
    ck_assert(c->label[0] == 2 && c->label[1] == 0 && c->label[2] == 1 && f->label[1] == 1);
    tamis_data_free(&c);
    tamis_data_free(&f);
    write_gzip("y.gz", "\0\0\10\1\0\0\0\3\36\7\4", 11);
    f = read_with((tamis_data_options){.path = "f.npy", .labels_path = "y.gz"});
    ck_assert_uint_eq(f->classes, 3);
    tamis_data_free(&f);

    refuse((tamis_data_options){.path = "c.npy", .labels_path = "c.npy"}, TAMIS_ERR_SHAPE,
           "2 columns");
    refuse((tamis_data_options){.path = "y.npy", .labels_path = "absent.npy"}, TAMIS_ERR_IO,
           "absent.npy");
    refuse((tamis_data_options){.path = "c.npy", .labels_path = "y.npy", .label = "y"},
           TAMIS_ERR_ARG, "twice");
    refuse((tamis_data_options){.path = "c.npy", .label = "y"}, TAMIS_ERR_ARG, "no column 'y'");
    refuse((tamis_data_options){.path = "c.npy", .features = "y"}, TAMIS_ERR_ARG,
           "no columns to choose");
    refuse((tamis_data_options){.path = "c.npy", .id = "y"}, TAMIS_ERR_ARG, "to take ids from");
    refuse((tamis_data_options){.path = "c.npy", .labels_path = "y.npy", .classes = 10},
           TAMIS_ERR_FORMAT, "'y.npy' element 0: '30' is none of the 10 known classes '0', '1'");
    write_bytes("y.idx", "\0\0\10\1\0\0\0\2\36\7", 10);
    refuse((tamis_data_options){.path = "c.npy", .labels_path = "y.idx"}, TAMIS_ERR_SHAPE,
           "'y.idx' has 2 labels, 'c.npy' has 3 rows");
    b = npy_of("<f4", "3,");
    put_floats(&b, (float[]){1, 2.5f, 3}, 3);
    save("y.npy", &b);
    refuse((tamis_data_options){.path = "c.npy", .labels_path = "y.npy"}, TAMIS_ERR_FORMAT,
           "element 1: 2.5");
    b = npy_of("<f8", "2, 2");
    double wide[] = {0, 0, 1e300, 0};
    put(&b, wide, sizeof wide);
    save("w.npy", &b);
    refuse((tamis_data_options){.path = "w.npy"}, TAMIS_ERR_NUMERIC,
           "'w.npy' row 1, column 0: infinite");
    b = npy_of("<f4", "");
    put_little(&b, 0, 4);
    save("w.npy", &b);
    refuse((tamis_data_options){.path = "w.npy"}, TAMIS_ERR_SHAPE, "single number");
}
END_TEST

START_TEST(safetensors_rows)
{
    const char *header = "{\"y\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                         "\"x\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[16,24]},"
                         "\"q\":{\"dtype\":\"C64\",\"shape\":[2,1,1],\"data_offsets\":[24,40]}}";
    bytes data = {0};
    put_little(&data, 5, 8);
    put_little(&data, 3, 8);
    for (int i = 0; i < 4; i++) put_little(&data, 0x3c00u + (unsigned)i * 0x400, 2);
    put_little(&data, 0, 8);
    put_little(&data, 0, 8);
    bytes b = safetensors_of(header, data.bytes, data.size);
    uint64_t digest = tamis__digest(data.bytes + 20, 4);
    drop(&data);
    write_bytes("noname", b.bytes, b.size);
    save("d.safetensors", &b);
    for (int k = 0; k < 2; k++) {
        tamis_data *d = read_with(
            (tamis_data_options){.path = k ? "noname" : "d.safetensors", .label = "y"});
        check_values(d, 2, 2, (float[]){1, 2, 4, 8});
        ck_assert_uint_eq(d->digest[1], digest);
        check_names(d->class_name, (const char *[]){"3", "5"}, 2);
        ck_assert(d->label[0] == 1 && d->label[1] == 0);
        tamis_data_free(&d);
    }
    tamis_data *d = read_with((tamis_data_options){.path = "d.safetensors", .features = "y"});
    check_values(d, 2, 1, (float[]){5, 3});
    tamis_data_free(&d);
    refuse((tamis_data_options){.path = "d.safetensors", .features = "q"}, TAMIS_ERR_UNSUPPORTED,
           "C64");
    refuse((tamis_data_options){.path = "d.safetensors", .features = "xx"}, TAMIS_ERR_ARG,
           "no tensor 'xx'");
    refuse((tamis_data_options){.path = "d.safetensors", .label = "x"}, TAMIS_ERR_SHAPE,
           "4 labels for 2 rows");
    refuse((tamis_data_options){.path = "d.safetensors", .features = "y", .label = "q"},
           TAMIS_ERR_UNSUPPORTED, "integers");
    refuse((tamis_data_options){.path = "d.safetensors", .group = "x"}, TAMIS_ERR_ARG, "groups");
}
END_TEST

/* --- gzip, detection, limits ---------------------------------------------------------------- */

START_TEST(gzip)
{
    const char *text = "a,b\n1,2\n3,4\n";
    write_gzip("d.CSV.GZ", text, strlen(text));
    tamis_data *d = read_with((tamis_data_options){.path = "d.CSV.GZ"});
    check_values(d, 2, 2, (float[]){1, 2, 3, 4});
    tamis_data_free(&d);

    /* Members one after another, zeros behind. */
    write_gzip("1.gz", "a\n1\n", 4);
    write_gzip("2.gz", "2\n", 2);
    ck_assert_int_eq(system("cat 1.gz 2.gz > d.csv.gz && printf '\\0\\0\\0' >> d.csv.gz"), 0);
    d = read_with((tamis_data_options){.path = "d.csv.gz"});
    check_values(d, 2, 1, (float[]){1, 2});
    tamis_data_free(&d);
    ck_assert_int_eq(system("printf 'junk' >> d.csv.gz"), 0);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_FORMAT, "not gzip follows");
    ck_assert_int_eq(system("head -c 15 1.gz > d.csv.gz"), 0);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_FORMAT, "is truncated");
    ck_assert_int_eq(system("head -c 3 1.gz > d.csv.gz"), 0);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_FORMAT, "'d.csv.gz'");
    ck_assert_int_eq(system("{ head -c 18 1.gz; printf 'xxxxxx'; } > d.csv.gz"), 0);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_FORMAT, "gzip data");
}
END_TEST

START_TEST(gzip_bomb)
{
    ck_assert_int_eq(system("head -c 50000000 /dev/zero | gzip -9 > d.csv.gz"), 0);
    tamis_context_destroy(&context);
    context = new_context(16 << 20);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_NOMEM, "memory limit of 16 MiB");
    /* Within the limit expanded, over it with the table. */
    bytes b = {0};
    put_text(&b, "a,b,c,d,e,f,g,h\n");
    for (int i = 0; i < 400000; i++) put_text(&b, "1,1,1,1,1,1,1,1\n");
    write_gzip("d.csv.gz", b.bytes, b.size);
    drop(&b);
    refuse((tamis_data_options){.path = "d.csv.gz"}, TAMIS_ERR_NOMEM, "400000 rows of 8 features");
}
END_TEST

START_TEST(detection)
{
    write_text("rows.data", "a,b\n1,2\n");
    refuse((tamis_data_options){.path = "rows.data"}, TAMIS_ERR_FORMAT, "cannot tell the format");
    tamis_data *d = read_with((tamis_data_options){.path = "rows.data", .format = "csv"});
    tamis_data_free(&d);
    refuse((tamis_data_options){.path = "rows.data", .format = "cvs"}, TAMIS_ERR_ARG,
           "did you mean 'csv'?");
    refuse((tamis_data_options){.path = "rows.data", .format = "parquet"}, TAMIS_ERR_ARG,
           "no data format 'parquet'");
    refuse((tamis_data_options){.path = NULL}, TAMIS_ERR_ARG, "no data file");
    refuse((tamis_data_options){.path = "absent.csv"}, TAMIS_ERR_IO, "'absent.csv'");
    refuse((tamis_data_options){.path = "."}, TAMIS_ERR_IO, "directory");
    write_text("rows", "\n {\"a\":1}\n");
    d = read_with((tamis_data_options){.path = "rows"});
    check_values(d, 1, 1, (float[]){1});
    tamis_data_free(&d);
    bytes b = npy_of("|u1", "2,");
    put(&b, "\1\2", 2);
    save("dir.csv.bin", &b);
    d = read_with((tamis_data_options){.path = "./dir.csv.bin"});
    check_values(d, 2, 1, (float[]){1, 2});
    tamis_data_free(&d);
    write_text(".csv", "a\n1\n");
    d = read_with((tamis_data_options){.path = "./.csv"});
    tamis_data_free(&d);
}
END_TEST

START_TEST(memory_limit)
{
    tamis_context_destroy(&context);
    context = new_context(1 << 20);
    bytes b = {0};
    put_big(&b, 0x0802, 4);
    put_big(&b, 1000, 4);
    put_big(&b, 1000, 4);
    for (int i = 0; i < 1000000; i++) put(&b, "", 1);
    save("d.idx", &b);
    refuse((tamis_data_options){.path = "d.idx"}, TAMIS_ERR_NOMEM, "1000 rows of 1000 features");
    refuse((tamis_data_options){.path = "d.idx", .labels_path = "d.idx", .classes = 4000000000u},
           TAMIS_ERR_NOMEM, "--memory");
    write_text("d.csv", "a,y\n1,2\n");
    refuse((tamis_data_options){.path = "d.csv", .label = "y", .classes = 4000000000u},
           TAMIS_ERR_NOMEM, "list of classes");
}
END_TEST

static int stop_at_once(void *cookie, const char *phase, uint64_t done, uint64_t total,
                        const char *unit, const char *note)
{
    (void)phase, (void)done, (void)total, (void)unit, (void)note;
    return ++*(int *)cookie > 0;
}

START_TEST(cancelled)
{
    static const char *const paths[] = {"d.csv", "d.jsonl", "d.npy", "d.idx", "d.safetensors"};
    int calls = 0;
    tamis_context *stopped = NULL;
    ck_ok(tamis_context_create(
        &stopped, &(tamis_context_params){.threads = 1, .progress = stop_at_once, .cookie = &calls},
        &err));
    write_text("d.csv", "a\n1\n");
    write_text("d.jsonl", "{\"a\":1}\n");
    bytes b = npy_of("|u1", "1,");
    put(&b, "\1", 1);
    save("d.npy", &b);
    write_bytes("d.idx", "\0\0\10\1\0\0\0\1x", 9);
    b = safetensors_of("{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[0,1]}}", "\1",
                       1);
    save("d.safetensors", &b);
    for (int k = 0; k < 5; k++) {
        tamis_data *d = NULL;
        ck_fails(tamis_data_read(&d, stopped, &(tamis_data_options){.path = paths[k]}, &err),
                 TAMIS_ERR_CANCELLED, "reading");
        ck_assert_int_eq(calls, k + 1);
    }
    tamis_context_destroy(&stopped);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import data");
    TCase *tests = tcase_create("data");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, csv_all_parts);
    tcase_add_test(tests, csv_classes_and_ids);
    tcase_add_test(tests, csv_fixed_classes);
    tcase_add_test(tests, csv_features);
    tcase_add_test(tests, csv_wrong);
    tcase_add_test(tests, tsv);
    tcase_add_test(tests, csv_round_trip);
    tcase_add_test(tests, csv_nameless_column);
    tcase_add_test(tests, jsonl_keys);
    tcase_add_test(tests, jsonl_array);
    tcase_add_test(tests, jsonl_wrong);
    tcase_add_test(tests, idx_types);
    tcase_add_test(tests, idx_wrong);
    tcase_add_test(tests, npy_rows_and_labels);
    tcase_add_test(tests, safetensors_rows);
    tcase_add_test(tests, gzip);
    tcase_add_test(tests, gzip_bomb);
    tcase_add_test(tests, detection);
    tcase_add_test(tests, memory_limit);
    tcase_add_test(tests, cancelled);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
