/* Valid files with bytes changed, inserted, repeated or cut off at seeded random places: every read
 * succeeds with a sound table or fails with a message. Sanitizers watch for the rest.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/import.h>
#include <zlib.h>

#include "base/rng.h"
#include "files.h"
#include "import/registry.h"

#define ROUNDS 3000

static tamis_error err;
static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    /* Little, so that a lie about sizes is refused and not allocated. */
    context = new_context(4 << 20);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static uint64_t below(gsl_rng *rng, uint64_t n)
{
    return gsl_rng_uniform_int(rng, n);
}

/* One of five small damages. The copy has room for as much again. */
static void damage(gsl_rng *rng, unsigned char *copy, size_t *size)
{
    static const unsigned char nasty[] = {0,    1,   0x7f, 0x80, 0xff, '"', ',', '\n',
                                          '\r', '-', '9',  '{',  '}',  '[', ']', '\\'};
    size_t at = *size ? below(rng, *size) : 0;
    switch (below(rng, 5)) {
    case 0: *size = at; break;
    case 1:
        if (*size) copy[at] ^= (unsigned char)(1u << below(rng, 8));
        break;
    case 2:
        if (*size) copy[at] = nasty[below(rng, sizeof nasty)];
        break;
    case 3:
        memmove(copy + at + 1, copy + at, *size - at);
        copy[at] = nasty[below(rng, sizeof nasty)];
        ++*size;
        break;
    default: {
        size_t n = *size ? below(rng, *size - at < 16 ? *size - at : 16) : 0;
        memmove(copy + at, copy + at + n, *size - at - n);
        *size -= n;
    }
    }
}

static void check_table(const tamis_data *d)
{
    double sum = 0;
    ck_assert(d->rows > 0 && d->columns > 0);
    for (uint64_t i = 0; i < d->rows * d->columns; i++) sum += (double)d->x[i];
    ck_assert(isfinite(sum));
    for (uint64_t i = 0; d->label && i < d->rows; i++) {
        ck_assert(d->label[i] >= 0 && (uint32_t)d->label[i] < d->classes);
        ck_assert(strlen(d->class_name[d->label[i]]) > 0);
    }
    for (uint64_t i = 0; d->group && i < d->rows; i++)
        ck_assert(strlen(d->group_name[d->group[i]]) > 0);
    for (uint64_t i = 0; d->id_text && i < d->rows; i++) ck_assert(strlen(d->id_text[i]) > 0);
    for (uint64_t j = 0; d->feature_name && j < d->columns; j++)
        ck_assert(strlen(d->feature_name[j]) < 4096);
}

/* Read; 1 when it succeeded. */
static int read_table(const tamis_data_options *options)
{
    tamis_data *data = NULL;
    err = (tamis_error){0};
    tamis_status status = tamis_data_read(&data, context, options, &err);
    if (status == TAMIS_OK) {
        check_table(data);
        tamis_data_free(&data);
        return 1;
    }
    ck_assert(!data && err.status == status && strlen(err.message) > 10 &&
              !strchr(err.message, '\n'));
    return 0;
}

/* The same by the format's reader from memory of exactly this size: behind the end of a mapped file
 * there is the rest of a page, where a byte read too many is not seen. */
static void read_exactly(const unsigned char *data, size_t size, const tamis_data_options *options)
{
    static const tamis__reader_class *const readers[] = {
        &tamis__reader_csv, &tamis__reader_tsv, &tamis__reader_jsonl,
        &tamis__reader_idx, &tamis__reader_npy, &tamis__reader_safetensors};
    static const char *const endings[] = {".csv", ".tsv", ".jsonl", ".idx", ".npy", ".safetensors"};
    unsigned char *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    for (int i = 0; i < 6; i++) {
        tamis__source source = {
            .context = context, .path = options->path, .bytes = copy, .size = size};
        tamis__table table = {.source = &source, .options = options};
        if (strcmp(strchr(options->path, '.'), endings[i]) != 0) continue;
        tamis_status status = readers[i]->read(&table, &err);
        if (status == TAMIS_OK && options->labels_path)
            status = tamis__labels_read(&table, options->labels_path, &err);
        tamis_data *read = NULL;
        if (status == TAMIS_OK && tamis__table_finish(&table, &read, &err) == TAMIS_OK)
            check_table(read);
        tamis_data_free(&read);
        tamis__table_fini(&table);
    }
    free(copy);
}

/* `target` is the file to write damaged; the read itself is of `options`. */
static void mutate(const bytes *sample, const char *target, const tamis_data_options *options,
                   uint64_t item)
{
    gsl_rng *rng = tamis__rng_create();
    unsigned char *copy = malloc(2 * sample->size + 64);
    int good = 0;
    ck_assert(rng && copy);
    write_bytes(target, sample->bytes, sample->size);
    ck_assert_msg(read_table(options), "%s", err.message);
    tamis__rng_key(rng, 20240229, TAMIS__STREAM_TEST, item);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = sample->size, damages = 1 + below(rng, 3);
        memcpy(copy, sample->bytes, size);
        for (size_t k = 0; k < damages; k++) damage(rng, copy, &size);
        write_bytes(target, copy, size);
        good += read_table(options);
        if (strcmp(target, options->path) == 0) read_exactly(copy, size, options);
    }
    /* Both outcomes must be seen, or the samples say little. */
    ck_assert_int_lt(good, ROUNDS);
    gsl_rng_free(rng);
    free(copy);
}

static bytes text_of(const char *text)
{
    bytes b = {0};
    put_text(&b, text);
    return b;
}

START_TEST(csv)
{
    bytes b = text_of("\xef\xbb\xbf"
                      "id,a,\"b "
                      "\"\"c\"\"\",y,g\r\na1,1.5,2,cat,u\r\n\r\n\"a\n2\",-3e2,\"0.25\",dog,v\na3,7,"
                      "1e-3,cat,\"u,\"\n");
    mutate(&b, "d.csv",
           &(tamis_data_options){.path = "d.csv", .label = "y", .id = "id", .group = "g"}, 1);
    drop(&b);
}
END_TEST

START_TEST(tsv)
{
    bytes b = text_of("a\tb\ty\n1\t2\t3\n\"4\"\t5\t\"6\t7\"\n-0.5\t+1\t3");
    mutate(&b, "d.tsv", &(tamis_data_options){.path = "d.tsv", .label = "y"}, 2);
    drop(&b);
}
END_TEST

START_TEST(jsonl)
{
    bytes b = text_of("{\"id\":\"q\",\"x\":[1,2.5,-3e1],\"y\":3}\r\n\n{\"y\":\"z\\u00e9\",\"id\":7,"
                      "\"x\":[4,5,6]}\n"
                      "{\"id\":\"r\",\"y\":2.0,\"x\":[0,0,1],\"e\":{\"f\":[null]}}");
    mutate(&b, "d.jsonl", &(tamis_data_options){.path = "d.jsonl", .label = "y", .id = "id"}, 3);
    drop(&b);
    b = text_of("{\"a\":1,\"b\":2,\"y\":true}\n{\"b\":3,\"a\":4,\"y\":false}\n");
    mutate(&b, "k.jsonl", &(tamis_data_options){.path = "k.jsonl", .label = "y"}, 4);
    drop(&b);
}
END_TEST

START_TEST(idx)
{
    bytes b = {0};
    put_big(&b, 0x0d03, 4);
    put_big(&b, 2, 4);
    put_big(&b, 2, 4);
    put_big(&b, 1, 4);
    for (unsigned i = 0; i < 4; i++) put_big(&b, 0x3f800000 + i, 4);
    bytes y = {0};
    put_big(&y, 0x0b01, 4);
    put_big(&y, 2, 4);
    put_big(&y, 0x0005fffe, 4);
    write_bytes("y.idx", y.bytes, y.size);
    tamis_data_options options = {.path = "d.idx", .labels_path = "y.idx"};
    mutate(&b, "d.idx", &options, 5);
    write_bytes("d.idx", b.bytes, b.size);
    mutate(&y, "y.idx", &options, 6);
    drop(&b);
    drop(&y);
}
END_TEST

START_TEST(npy)
{
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
        "{\"shape\": (3, 2), \"descr\": \"<f4\", \"fortran_order\": True}",
    };
    for (unsigned k = 0; k < 2; k++) {
        bytes b = npy_start(k + 1, headers[k]);
        put_floats(&b, (float[]){1, 2, 3, 4, 5, 6}, 6);
        mutate(&b, "d.npy", &(tamis_data_options){.path = "d.npy"}, 7 + k);
        drop(&b);
    }
    bytes b = npy_of("<f4", "2, 1"), y = npy_of("<i8", "2,");
    put_floats(&b, (float[]){1, 2}, 2);
    save("d.npy", &b);
    put_little(&y, 3, 8);
    put_little(&y, UINT64_MAX, 8);
    mutate(&y, "y.npy", &(tamis_data_options){.path = "d.npy", .labels_path = "y.npy"}, 9);
    drop(&y);
}
END_TEST

START_TEST(safetensors)
{
    bytes b = safetensors_of("{\"__metadata__\":{\"a\":\"b\"},\"y\":{\"dtype\":\"I16\",\"shape\":["
                             "2],\"data_offsets\":[0,4]},"
                             "\"x\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]}}",
                             "\1\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    mutate(&b, "d.safetensors", &(tamis_data_options){.path = "d.safetensors", .label = "y"}, 10);
    drop(&b);
}
END_TEST

START_TEST(gzip)
{
    bytes b = {0};
    gzFile file = gzopen("d.csv.gz", "wb");
    for (int i = 0; i < 20; i++) ck_assert_int_gt(gzputs(file, i ? "1,2,3\n" : "a,b,y\n"), 0);
    ck_assert_int_eq(gzclose(file), Z_OK);
    unsigned char packed[512];
    FILE *in = fopen("d.csv.gz", "rb");
    ck_assert_ptr_nonnull(in);
    put(&b, packed, fread(packed, 1, sizeof packed, in));
    fclose(in);
    mutate(&b, "d.csv.gz", &(tamis_data_options){.path = "d.csv.gz", .label = "y"}, 11);
    drop(&b);
}
END_TEST

/* The importer's own files; the matrix itself is covered above. */
START_TEST(ids_and_scores)
{
    bytes b = npy_of("<f4", "2, 1"), ids = text_of("row one\r\n2\n");
    gsl_rng *rng = tamis__rng_create();
    put_floats(&b, (float[]){1, 2}, 2);
    write_bytes("s.npy", b.bytes, b.size);
    tamis_import_params params = {
        .format = "npy", .scores = "s.npy", .ids = "ids.txt", .output = "o.h5", .force = true};
    unsigned char copy[512];
    for (int round = 0; round < 300; round++) {
        const bytes *sample = round % 2 ? &b : &ids;
        size_t size = sample->size;
        memcpy(copy, sample->bytes, size);
        damage(rng, copy, &size);
        write_bytes("s.npy", b.bytes, b.size);
        write_bytes("ids.txt", ids.bytes, ids.size);
        write_bytes(round % 2 ? "s.npy" : "ids.txt", copy, size);
        err = (tamis_error){0};
        tamis_status status = tamis_import(context, &params, &err);
        ck_assert(status == TAMIS_OK || (err.status == status && strlen(err.message) > 10));
    }
    gsl_rng_free(rng);
    drop(&b);
    drop(&ids);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import mutations");
    TCase *tests = tcase_create("mutations");
    tcase_set_timeout(tests, 100);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, csv);
    tcase_add_test(tests, tsv);
    tcase_add_test(tests, jsonl);
    tcase_add_test(tests, idx);
    tcase_add_test(tests, npy);
    tcase_add_test(tests, safetensors);
    tcase_add_test(tests, gzip);
    tcase_add_test(tests, ids_and_scores);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
