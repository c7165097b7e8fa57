/* Stores written and read back.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_store.h"

#include <math.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/store_writer.h"

static tamis_context *context;

static void setup(void)
{
    tamis_context_params params = {.threads = 1};
    enter_scratch();
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    tamis_context_destroy(&context);
    leave_scratch();
}

static const small_store everything = {
    .path = "s.h5",
    .rows = 300,
    .columns = 11,
    .checkpoints = 3,
    .classes = 3,
    .outputs = true,
    .numbers = true,
    .labels = true,
    .groups = true,
    .class_name = small_class_name,
    .provenance = "{\"program\":\"tamis\"}",
};

/* --- what is read is what was written --------------------------------------------------------- */

static void check_rows(const tamis_store *store, const small_store *s)
{
    uint64_t bad = 0; /* an assertion for each value would take seconds */
    float *rows = malloc(s->rows * (s->columns + 3) * 4);
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        ck_ok(tamis_store_read(store, k, 0, s->rows, 0, s->columns, rows, s->columns, &err));
        for (uint64_t i = 0; i < s->rows; i++)
            for (uint64_t j = 0; j < s->columns; j++)
                bad += rows[i * s->columns + j] != small_value(k, i, j);
        /* a part, with another stride */
        ck_ok(tamis_store_read(store, k, 3, s->rows - 4, 2, s->columns - 3, rows, s->columns + 3,
                               &err));
        for (uint64_t i = 0; i < s->rows - 4; i++)
            for (uint64_t j = 0; j < s->columns - 3; j++)
                bad += rows[i * (s->columns + 3) + j] != small_value(k, i + 3, j + 2);
    }
    ck_assert_uint_eq(bad, 0);
    free(rows);
}

static void check_norms(tamis_store *store, const small_store *s)
{
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        const float *norm = NULL;
        ck_ok(tamis_store_norms(store, k, &norm, &err));
        for (uint64_t i = 0; i < s->rows; i++) {
            double sum = 0;
            for (uint64_t j = 0; j < s->columns; j++)
                sum += (double)small_value(k, i, j) * (double)small_value(k, i, j);
            ck_assert(norm[i] == (float)sqrt(sum));
        }
    }
}

static void check_outputs(const tamis_store *store, const small_store *s)
{
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        float *loss = NULL, *margin = NULL, *probability = NULL;
        ck_ok(tamis_store_outputs(store, k, "loss", &loss, &err));
        ck_ok(tamis_store_outputs(store, k, "margin", &margin, &err));
        ck_ok(tamis_store_outputs(store, k, "probability", &probability, &err));
        ck_assert_int_eq(loss != NULL, s->outputs);
        ck_assert_int_eq(probability != NULL, s->classes != 0);
        for (uint64_t i = 0; i < s->rows; i++) {
            if (loss) ck_assert(loss[i] == (float)i + (float)k / 4 && margin[i] == -loss[i]);
            for (uint32_t c = 0; c < s->classes; c++)
                ck_assert(probability[i * s->classes + c] == (float)i * 8 + (float)(c + k));
        }
        free(loss), free(margin), free(probability);
    }
}

static void check_examples(const tamis_store *store, const small_store *s)
{
    const tamis_examples *e = tamis_store_examples(store);
    small_rows r = small_make(s, 0, s->rows);
    char id[32];
    ck_assert_int_eq(e->id_number != NULL, s->numbers && !s->text_ids);
    ck_assert_int_eq(e->id_text != NULL, s->text_ids);
    ck_assert_int_eq(e->label != NULL, s->labels);
    ck_assert_uint_eq(e->groups, s->groups ? 3 : 0);
    for (uint64_t i = 0; i < s->rows; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)(s->numbers ? r.id[i] : i));
        tamis_store_id(store, i, id, sizeof id);
        ck_assert_str_eq(id, s->text_ids ? r.text[i] : wanted);
        if (e->label) ck_assert(e->label[i] == r.label[i] && e->digest[i] == r.digest[i]);
        if (e->group) ck_assert_int_eq(e->group[i], r.group[i]);
    }
    for (uint32_t g = 0; g < e->groups; g++)
        ck_assert_str_eq(e->group_name[g], small_group_name[g]);
    ck_assert_uint_eq(e->classes, s->labels && s->class_name ? 10 : 0);
    for (uint32_t c = 0; c < e->classes; c++) ck_assert_str_eq(e->class_name[c], s->class_name[c]);
    small_free(&r);
}

static uint64_t digest_of(const small_store *s)
{
    uint64_t sum = 0;
    float *row = malloc(s->columns * 4);
    for (uint32_t k = 0; k < s->checkpoints; k++)
        for (uint64_t i = 0; i < s->rows; i++) {
            for (uint64_t j = 0; j < s->columns; j++) row[j] = small_value(k, i, j);
            sum += tamis__digest_seeded(row, s->columns * 4, i * 256 + k);
        }
    free(row);
    return sum;
}

static void check_info(const tamis_store *store, const small_store *s)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert_uint_eq(info->rows, s->rows);
    ck_assert_uint_eq(info->columns, s->columns);
    ck_assert_int_eq(info->dtype, s->dtype);
    ck_assert_uint_eq(info->checkpoints, s->checkpoints);
    ck_assert_uint_eq(info->layers, 2);
    ck_assert_uint_eq(info->classes, s->classes);
    ck_assert_str_eq(info->layer[0].name, "hidden");
    ck_assert_str_eq(info->layer[1].name, "größer");
    ck_assert_uint_eq(info->layer[0].first_column, 0);
    ck_assert_uint_eq(info->layer[1].first_column, 3);
    ck_assert_uint_eq(tamis_layer_columns(&info->layer[1]), s->columns - 3);
    ck_assert_uint_eq(info->checkpoint[0].step, 10);
    ck_assert(info->checkpoint[s->checkpoints - 1].learning_rate == 1.0 / (1 << s->checkpoints));
    ck_assert_str_eq(info->provenance, s->provenance ? s->provenance : "{}");
    ck_assert_ptr_null(info->projection);
    if (s->dtype == TAMIS_F32) ck_assert_uint_eq(info->digest, digest_of(s));
}

static void check_mapped(const tamis_store *store, const small_store *s)
{
    size_t size = tamis_dtype_size(s->dtype);
    for (uint64_t i = 0; i < s->rows; i++) {
        uint64_t n = 0, sum = 0;
        const unsigned char *row = tamis_store_map(store, 0, i, &n);
        ck_assert_ptr_nonnull(row);
        ck_assert(n >= 1 && i + n <= s->rows);
        ck_assert_uint_eq((uintptr_t)row % size, 0);
        for (size_t j = 0; j < n * s->columns * size; j++) sum += row[j];
        ck_assert(sum > 0);
    }
    uint64_t n;
    ck_assert_ptr_null(tamis_store_map(store, 0, s->rows, &n));
    ck_assert_ptr_null(tamis_store_map(store, s->checkpoints, 0, &n));
}

static void check_store(const small_store *s)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, s->path, &err));
    ck_assert_str_eq(tamis_store_path(store), s->path);
    check_info(store, s);
    check_rows(store, s);
    check_norms(store, s);
    check_outputs(store, s);
    check_examples(store, s);
    check_mapped(store, s);
    tamis_store_close(&store);
    ck_assert_ptr_null(store);
}

START_TEST(round_trip)
{
    static const tamis_dtype dtype[3] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16};
    small_store s = everything;
    s.dtype = dtype[_i % 3];
    s.text_ids = _i >= 3;
    ck_ok(small_write(context, &s, 7));
    check_store(&s);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
}
END_TEST

START_TEST(bare_store)
{
    small_store s = {.path = "s.h5", .rows = 5, .columns = 4, .checkpoints = 1};
    ck_ok(small_write(context, &s, 1));
    check_store(&s);
}
END_TEST

/* Rows of 1 MiB: chunks of 4 rows, the last one not full. */
START_TEST(wide_rows)
{
    small_store s = {.path = "s.h5", .rows = 11, .columns = (1 << 18) - 1, .checkpoints = 2};
    ck_assert_uint_eq(tamis__store_chunk_rows(s.rows, s.columns, s.dtype), 4);
    ck_ok(small_write(context, &s, 3));
    check_store(&s);
    s.path = "shards";
    s.shard_rows = 5;
    ck_ok(small_write(context, &s, 11));
    ck_assert_int_eq(access("shards/00001.h5", F_OK), 0);
    ck_assert_int_ne(access("shards/00002.h5", F_OK), 0);
    check_store(&s);
}
END_TEST

/* Every number of shards gives the same digest and the same rows. */
START_TEST(shards_are_one_store)
{
    small_store s = everything;
    s.text_ids = true;
    s.dtype = TAMIS_BF16;
    ck_ok(small_write(context, &s, 300));
    tamis_store *one = NULL, *many = NULL;
    ck_ok(tamis_store_open(&one, context, s.path, &err));
    for (uint64_t shard_rows = 16; shard_rows <= 512; shard_rows *= 4) {
        s.path = "d";
        s.shard_rows = shard_rows;
        s.force = true;
        ck_ok(small_write(context, &s, 23));
        ck_ok(tamis_store_open(&many, context, s.path, &err));
        ck_assert_uint_eq(tamis_store_info_get(many)->shards, (300 + shard_rows - 1) / shard_rows);
        ck_assert_uint_eq(tamis_store_info_get(one)->digest, tamis_store_info_get(many)->digest);
        tamis_store_close(&many);
        check_store(&s);
    }
    tamis_store_close(&one);
}
END_TEST

/* The same bytes whatever the batches, and the second time. */
START_TEST(same_bytes_always)
{
    small_store s = everything;
    s.text_ids = _i == 1;
    ck_ok(small_write(context, &s, 300));
    s.path = "t.h5";
    ck_ok(small_write(context, &s, 13));
    ck_assert(same_bytes("s.h5", "t.h5"));
}
END_TEST

START_TEST(long_provenance)
{
    small_store s = {.path = "s.h5", .rows = 5, .columns = 4, .checkpoints = 1};
    char *text = malloc(300001);
    memset(text, 'x', 300000);
    text[300000] = 0;
    s.provenance = text;
    ck_ok(small_write(context, &s, 5));
    check_store(&s);
    free(text);
}
END_TEST

/* --- blocks in the stored type ---------------------------------------------------------------- */

static void put_blocks(const small_store *s, uint64_t chunks)
{
    tamis__kernels kernels;
    tamis_store_writer *writer = NULL;
    tamis__kernels_init(&kernels, 0);
    ck_ok(small_open(&writer, context, s));
    uint64_t step = chunks * tamis__store_writer_chunk_rows(writer);
    while (tamis_store_writer_next(writer) < s->rows) {
        uint64_t first = tamis_store_writer_next(writer), left = s->rows - first;
        uint64_t n = left < step ? left : step;
        small_rows r = small_make(s, first, n);
        const void *gradient[3];
        const float *norm[3], *scale[3], *loss[3], *margin[3], *probability[3];
        void *stored[3] = {0};
        float *norms[3] = {0}, *scales[3] = {0};
        tamis__store_block block = {.rows = n,
                                    .gradient = gradient,
                                    .scale = s->dtype == TAMIS_I8 ? scale : NULL,
                                    .norm = norm,
                                    .loss = loss,
                                    .margin = margin,
                                    .probability = probability,
                                    .examples = r.examples};
        for (uint32_t k = 0; k < s->checkpoints; k++) {
            gradient[k] = stored[k] = malloc(n * s->columns * 4);
            norm[k] = norms[k] = malloc(n * 4);
            scale[k] = scales[k] = malloc(n * 4);
            loss[k] = r.loss[k], margin[k] = r.margin[k], probability[k] = r.probability[k];
            ck_ok(tamis__store_rows_narrow(&kernels, s->dtype, r.gradient[k], n, s->columns, first,
                                           k, stored[k], scales[k], norms[k], &err));
            ck_ok(tamis__store_rows_check(s->dtype, stored[k], n, s->columns, first, k, &err));
            block.digest += tamis__store_rows_digest(stored[k], scales[k], n, first, s->columns,
                                                     s->dtype, k);
        }
        ck_ok(tamis__store_writer_put_block(writer, &block, &err));
        for (uint32_t k = 0; k < s->checkpoints; k++)
            free(stored[k]), free(norms[k]), free(scales[k]);
        small_free(&r);
    }
    ck_ok(tamis_store_writer_commit(&writer, &err));
}

/* Blocks give the bytes that rows give. Rows of 64 KiB make chunks of 64. */
START_TEST(blocks_like_rows)
{
    small_store s = everything;
    s.rows = 150;
    s.columns = 16381;
    s.checkpoints = 2;
    static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_I8};
    s.dtype = dtypes[_i % 3];
    if (_i < 3) {
        ck_ok(small_write(context, &s, 150));
        s.path = "t.h5";
        put_blocks(&s, 1);
        ck_assert(same_bytes("s.h5", "t.h5"));
        return;
    }
    s.shard_rows = 64;
    s.path = "d";
    ck_ok(small_write(context, &s, 150));
    s.path = "e";
    put_blocks(&s, 3); /* blocks that go over the ends of shards */
    ck_assert(same_bytes("d/00000.h5", "e/00000.h5"));
    ck_assert(same_bytes("d/00001.h5", "e/00001.h5"));
    if (s.dtype != TAMIS_I8) check_store(&s); /* whose values i8 has only nearly */
}
END_TEST

START_TEST(blocks_are_whole_chunks)
{
    small_store s = {.path = "s.h5", .rows = 100, .columns = 1 << 18, .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    tamis__store_block block = {.rows = 3};
    ck_ok(small_open(&writer, context, &s));
    ck_fails(tamis__store_writer_put_block(writer, &block, &err), TAMIS_ERR_ARG, "whole chunks");
    block.rows = 101;
    ck_fails(tamis__store_writer_put_block(writer, &block, &err), TAMIS_ERR_ARG, "announced");
    tamis_store_writer_abort(&writer);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
}
END_TEST

/* --- what the writer refuses ------------------------------------------------------------------ */

START_TEST(not_finite)
{
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    small_store s = {.path = "s.h5", .rows = 9, .columns = 4, .checkpoints = 2};
    s.dtype = _i / 3 == 0 ? TAMIS_F32 : _i / 3 == 1 ? TAMIS_F16 : TAMIS_BF16;
    tamis_store_writer *writer = NULL;
    ck_ok(small_open(&writer, context, &s));
    small_rows r = small_make(&s, 0, 9);
    r.gradient[1][5 * 4 + 2] = bad[_i % 3];
    const float *gradient[2] = {r.gradient[0], r.gradient[1]};
    ck_fails(tamis_store_writer_append(writer, 9, gradient, NULL, NULL, NULL, NULL, &err),
             TAMIS_ERR_NUMERIC, "checkpoint 1, row 5");
    tamis_store_writer_abort(&writer);
    small_free(&r);
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
}
END_TEST

START_TEST(too_large_for_the_type)
{
    tamis__kernels kernels;
    float row[4] = {0, 65519.0f, 0, 0}, norm;
    uint32_t stored[4];
    tamis__kernels_init(&kernels, 0);
    ck_ok(
        tamis__store_rows_narrow(&kernels, TAMIS_F16, row, 1, 4, 7, 2, stored, NULL, &norm, &err));
    row[1] = 65520.0f; /* the smallest that rounds to infinity */
    ck_fails(
        tamis__store_rows_narrow(&kernels, TAMIS_F16, row, 1, 4, 7, 2, stored, NULL, &norm, &err),
        TAMIS_ERR_NUMERIC, "checkpoint 2, row 7: a value is too large for f16");
    row[0] = row[1] = 6e4f; /* a norm above the limit, and no value */
    ck_ok(
        tamis__store_rows_narrow(&kernels, TAMIS_F16, row, 1, 4, 7, 2, stored, NULL, &norm, &err));
    row[1] = 3.4e38f;
    ck_fails(
        tamis__store_rows_narrow(&kernels, TAMIS_BF16, row, 1, 4, 7, 2, stored, NULL, &norm, &err),
        TAMIS_ERR_NUMERIC, "bf16");
    ck_ok(
        tamis__store_rows_narrow(&kernels, TAMIS_F32, row, 1, 4, 7, 2, stored, NULL, &norm, &err));
    row[0] = row[2] = 3.4e38f;
    ck_fails(
        tamis__store_rows_narrow(&kernels, TAMIS_F32, row, 1, 4, 7, 2, stored, NULL, &norm, &err),
        TAMIS_ERR_NUMERIC, "row 7");
}
END_TEST

START_TEST(stored_rows_are_checked)
{
    uint16_t half[8] = {0, 0x7bff, 0xfbff, 0x0001, 0, 0, 0x7c00, 0};
    uint32_t full[4] = {0x7f7fffffu, 0x80000000u, 0xff800000u, 0};
    ck_ok(tamis__store_rows_check(TAMIS_F16, half, 1, 4, 0, 0, &err));
    ck_fails(tamis__store_rows_check(TAMIS_F16, half, 2, 4, 10, 3, &err), TAMIS_ERR_NUMERIC,
             "checkpoint 3, row 11");
    ck_ok(tamis__store_rows_check(TAMIS_BF16, half, 2, 4, 0, 0, &err));
    half[7] = 0xff81;
    ck_fails(tamis__store_rows_check(TAMIS_BF16, half, 2, 4, 0, 0, &err), TAMIS_ERR_NUMERIC,
             "row 1");
    ck_ok(tamis__store_rows_check(TAMIS_F32, full, 1, 2, 0, 0, &err));
    ck_fails(tamis__store_rows_check(TAMIS_F32, full, 2, 2, 0, 0, &err), TAMIS_ERR_NUMERIC,
             "row 1");
}
END_TEST

START_TEST(specs_refused)
{
    small_store s = {.path = "s.h5", .columns = 4, .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    tamis_layer layer[2] = {{.name = "a", .out = 1, .in = 4}, {.name = "a", .out = 1, .in = 4}};
    tamis_checkpoint checkpoint = {1, 0.1};
    tamis_store_spec spec = {.path = "s.h5",
                             .rows = 2,
                             .layer = layer,
                             .layers = 1,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1};
    ck_fails(small_open(&writer, context, &s), TAMIS_ERR_ARG, "at least one row");
    s.rows = 1, s.checkpoints = 0;
    ck_fails(small_open(&writer, context, &s), TAMIS_ERR_ARG, "needs a checkpoint");
    spec.layers = 2;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "two layers");
    spec.layers = 0;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "needs a layer");
    spec.layers = 1, layer[0].in = 0;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "at least 1");
    layer[0].in = UINT64_C(1) << 40;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_UNSUPPORTED,
             "4 GiB");
    layer[0].in = UINT64_MAX;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "too wide");
    layer[0].in = 4, checkpoint.learning_rate = 0;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "learning rate");
    checkpoint.learning_rate = (double)NAN;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "learning rate");
    checkpoint.learning_rate = 1, spec.rows = 1u << 30, spec.shard_rows = 1;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "100000 files");
    ck_assert_ptr_null(writer);
}
END_TEST

START_TEST(rows_not_as_announced)
{
    small_store s = {.path = "s.h5", .rows = 5, .columns = 4, .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    ck_ok(small_open(&writer, context, &s));
    ck_fails(small_append(writer, &s, 6), TAMIS_ERR_ARG,
             "announced with 5 rows, and there are more");
    ck_ok(small_append(writer, &s, 4));
    ck_fails(tamis_store_writer_commit(&writer, &err), TAMIS_ERR_ARG, "there are only 4");
    ck_assert_ptr_null(writer);
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
}
END_TEST

START_TEST(columns_come_and_go)
{
    small_store s = {.path = "s.h5", .rows = 5, .columns = 4, .checkpoints = 1, .labels = true};
    tamis_store_writer *writer = NULL;
    ck_ok(small_open(&writer, context, &s));
    ck_ok(small_append(writer, &s, 2));
    s.labels = false;
    ck_fails(small_append(writer, &s, 2), TAMIS_ERR_ARG,
             "row 2: ids, digests, labels, lengths or groups");
    tamis_store_writer_abort(&writer);
    s.labels = true;
    ck_ok(small_open(&writer, context, &s));
    ck_ok(small_append(writer, &s, 2));
    s.class_name = small_class_name;
    ck_fails(small_append(writer, &s, 2), TAMIS_ERR_ARG,
             "row 2: ids, digests, labels, lengths or groups");
    tamis_store_writer_abort(&writer);
}
END_TEST

START_TEST(existing_output)
{
    small_store s = {.path = "s.h5", .rows = 5, .columns = 4, .checkpoints = 1};
    ck_ok(small_write(context, &s, 5));
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "exists");
    s.force = true;
    ck_ok(small_write(context, &s, 5));
    s.shard_rows = 2;
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "is a file");
    s.path = "nowhere/s";
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "No such file");
    s.shard_rows = 0;
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "No such file");
    s.path = "";
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_ARG, "empty name");
}
END_TEST

START_TEST(existing_directory)
{
    small_store s = {.path = "d", .rows = 50, .columns = 4, .checkpoints = 1, .shard_rows = 16};
    ck_ok(small_write(context, &s, 5));
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "exists");
    s.force = true;
    s.rows = 20; /* fewer shards: the old ones must go */
    ck_ok(small_write(context, &s, 5));
    check_store(&s);
    write_bytes("d/mine.txt", "x", 1);
    ck_fails(small_write(context, &s, 5), TAMIS_ERR_IO, "mine.txt");
    ck_assert_int_eq(access("d/mine.txt", F_OK), 0);
    check_store(&s);
}
END_TEST

START_TEST(outside_is_refused)
{
    small_store s = everything;
    tamis_store *store = NULL;
    float out[64];
    const float *norm;
    float *values;
    ck_ok(small_write(context, &s, 64));
    ck_ok(tamis_store_open(&store, context, s.path, &err));
    ck_fails(tamis_store_read(store, 3, 0, 1, 0, 1, out, 1, &err), TAMIS_ERR_ARG, "3 checkpoints");
    ck_fails(tamis_store_read(store, 0, 300, 1, 0, 1, out, 1, &err), TAMIS_ERR_ARG, "300 rows");
    ck_fails(tamis_store_read(store, 0, UINT64_MAX, 2, 0, 1, out, 1, &err), TAMIS_ERR_ARG, "rows");
    ck_fails(tamis_store_read(store, 0, 0, 1, 11, 1, out, 1, &err), TAMIS_ERR_ARG, "11 columns");
    ck_fails(tamis_store_read(store, 0, 0, 1, 0, 11, out, 10, &err), TAMIS_ERR_ARG, "columns");
    ck_ok(tamis_store_read(store, 0, 300, 0, 0, 11, out, 11, &err));
    ck_fails(tamis_store_norms(store, 3, &norm, &err), TAMIS_ERR_ARG, "3 checkpoints");
    ck_fails(tamis_store_outputs(store, 0, "nothing", &values, &err), TAMIS_ERR_ARG, "nothing");
    tamis_store_close(&store);
    tamis_store_close(&store);
    tamis_store_close(NULL);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static bool nothing_left(const char *directory)
{
    char command[64];
    snprintf(command, sizeof command, "test -z \"$(find %s -name '*.part' 2>&1)\"", directory);
    return system(command) == 0;
}

/* Let n = 0, 1, 2 ... operations succeed. */
static void fail_writing(void (*after)(long), const small_store *s)
{
    tamis_status status = TAMIS_ERR_IO;
    long n;
    for (n = 0; status != TAMIS_OK; n++) {
        ck_assert_int_lt(n, 5000);
        err.message[0] = '\0';
        after(n);
        status = small_write(context, s, 37);
        after(-1);
        if (status != TAMIS_OK) ck_assert(err.message[0] != '\0');
        ck_assert_msg(nothing_left("."), "a .part file after failure %ld", n);
        if (status != TAMIS_OK && !s->shard_rows) ck_assert_int_ne(access(s->path, F_OK), 0);
    }
    ck_assert_int_gt(n, 20);
}

START_TEST(failing_memory)
{
    small_store s = everything;
    s.rows = 70;
    s.text_ids = _i % 2;
    if (_i / 2) s.path = "d", s.shard_rows = 32, s.force = true;
    fail_writing(tamis__fault_memory_after, &s);
    check_store(&s);
    tamis_store *store = NULL;
    tamis_status status = TAMIS_ERR_NOMEM;
    for (long n = 0; status != TAMIS_OK; n++) {
        ck_assert_int_lt(n, 500);
        tamis__fault_memory_after(n);
        status = tamis_store_open(&store, context, s.path, &err);
        const float *norm;
        float *loss = NULL;
        if (status == TAMIS_OK) status = tamis_store_norms(store, 0, &norm, &err);
        if (status == TAMIS_OK) status = tamis_store_outputs(store, 0, "loss", &loss, &err);
        tamis__fault_memory_after(-1);
        if (status != TAMIS_OK) ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        free(loss);
        tamis_store_close(&store);
    }
}
END_TEST

START_TEST(failing_io)
{
    small_store s = everything;
    s.rows = 70;
    if (_i) s.path = "d", s.shard_rows = 32, s.force = true;
    fail_writing(tamis__fault_io_after, &s);
    check_store(&s);
    tamis_store *store = NULL;
    for (long n = 0; n < 3; n++) {
        tamis__fault_io_after(n);
        tamis_status status = tamis_store_open(&store, context, s.path, &err);
        tamis__fault_io_after(-1);
        ck_assert_int_eq(status, n < 2 + _i ? TAMIS_ERR_IO : status);
        tamis_store_close(&store);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, round_trip, 0, 6);
    tcase_add_test(tc, bare_store);
    tcase_add_test(tc, wide_rows);
    tcase_add_test(tc, shards_are_one_store);
    tcase_add_loop_test(tc, same_bytes_always, 0, 2);
    tcase_add_test(tc, long_provenance);
    tcase_add_loop_test(tc, blocks_like_rows, 0, 6);
    tcase_add_test(tc, blocks_are_whole_chunks);
    tcase_add_loop_test(tc, not_finite, 0, 9);
    tcase_add_test(tc, too_large_for_the_type);
    tcase_add_test(tc, stored_rows_are_checked);
    tcase_add_test(tc, specs_refused);
    tcase_add_test(tc, rows_not_as_announced);
    tcase_add_test(tc, columns_come_and_go);
    tcase_add_test(tc, existing_output);
    tcase_add_test(tc, existing_directory);
    tcase_add_test(tc, outside_is_refused);
    tcase_add_loop_test(tc, failing_memory, 0, 4);
    tcase_add_loop_test(tc, failing_io, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
