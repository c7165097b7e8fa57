/* Stores in factor form written and read back.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_factors.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <tamis/context.h>

#include "base/mem.h"
#include "store/store_object.h"
#include "store/store_writer.h"

static tamis_error err;
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

static const small_factors ragged = {.path = "f.h5", .rows = 60, .checkpoints = 2};

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

/* --- what is read is what was written --------------------------------------------------------- */

/* Values of a layer's block of a row in double, from the factors that the rule gives. */
static void brute_block(const small_factors *s, uint32_t k, uint64_t row, unsigned l, double *out)
{
    static const unsigned input_at[] = {0, 4, 41}, output_at[] = {0, 4, 6};
    uint64_t in = factors_layer[l].in + factors_layer[l].bias;
    for (uint64_t o = 0; o < factors_layer[l].out; o++)
        for (uint64_t i = 0; i < in; i++) {
            double sum = 0;
            for (uint64_t t = 0; t < factors_tokens(s, row); t++)
                sum += (double)factors_output(k, row, t, output_at[l] + o) *
                       (double)factors_input(k, row, t, input_at[l] + i);
            out[o * in + i] = sum;
        }
}

static void brute_row(const small_factors *s, uint32_t k, uint64_t row, double *out)
{
    for (unsigned l = 0; l < FACTORS_LAYERS; l++) {
        brute_block(s, k, row, l, out);
        out += tamis_layer_columns(&factors_layer[l]);
    }
}

static void check_info(const tamis_store *store, const small_factors *s)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert_uint_eq(info->rows, s->rows);
    ck_assert_uint_eq(info->columns, FACTORS_COLUMNS);
    ck_assert_int_eq(info->form, TAMIS_FORM_FACTORS);
    ck_assert_int_eq(info->dtype, s->dtype);
    ck_assert_uint_eq(info->input_columns, FACTORS_INPUT);
    ck_assert_uint_eq(info->output_columns, FACTORS_OUTPUT);
    ck_assert_uint_eq(info->rows_per_example, s->rows_per_example ? s->rows_per_example : 1);
    ck_assert_int_eq(info->labels != NULL, s->labels != NULL);
    if (s->labels) ck_assert_str_eq(info->labels, s->labels);
    ck_assert_uint_eq(info->label_seed, s->labels ? 77 : 0);
    ck_assert_ptr_null(tamis_store_map(store, 0, 0, &(uint64_t){0}));
}

static void check_tokens(tamis_store *store, const small_factors *s)
{
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        const uint64_t *offset = NULL;
        ck_ok(tamis_store_tokens(store, k, &offset, &err));
        uint64_t at = 0;
        for (uint64_t i = 0; i < s->rows; i++) {
            ck_assert_uint_eq(offset[i], at);
            at += factors_tokens(s, i);
        }
        ck_assert_uint_eq(offset[s->rows], at);
    }
}

/* Largest difference of a layer's factors over what i8 may be wrong by; exact types: 0. */
static double factors_error(const tamis_store *store, const small_factors *s, uint32_t k,
                            unsigned l)
{
    static const unsigned input_at[] = {0, 4, 41}, output_at[] = {0, 4, 6};
    uint64_t in = factors_layer[l].in + factors_layer[l].bias, out = factors_layer[l].out, at = 0;
    double worst = 0;
    float a[40], g[8];
    for (uint64_t row = 0; row < s->rows; row++)
        for (uint64_t t = 0; t < factors_tokens(s, row); t++, at++) {
            float largest_a = 0, largest_g = 0;
            ck_ok(tamis_store_read_factors(store, k, l, at, 1, a, 40, g, 8, &err));
            for (uint64_t i = 0; i < in; i++)
                largest_a = fmaxf(largest_a, fabsf(factors_input(k, row, t, input_at[l] + i)));
            for (uint64_t o = 0; o < out; o++)
                largest_g = fmaxf(largest_g, fabsf(factors_output(k, row, t, output_at[l] + o)));
            for (uint64_t i = 0; i < in; i++)
                worst = fmax(
                    worst, fabs((double)a[i] - (double)factors_input(k, row, t, input_at[l] + i)) /
                               ((double)largest_a / 127 + 1e-30));
            for (uint64_t o = 0; o < out; o++)
                worst = fmax(worst, fabs((double)g[o] -
                                         (double)factors_output(k, row, t, output_at[l] + o)) /
                                        ((double)largest_g / 127 + 1e-30));
        }
    return worst;
}

static void check_factors(const tamis_store *store, const small_factors *s)
{
    for (uint32_t k = 0; k < s->checkpoints; k++)
        for (unsigned l = 0; l < FACTORS_LAYERS; l++)
            ck_assert_double_le(factors_error(store, s, k, l), s->dtype == TAMIS_I8 ? 0.502 : 0);
}

/* All tokens at once are what they are one by one. */
static void check_together(tamis_store *store, const small_factors *s)
{
    const uint64_t *offset = NULL;
    ck_ok(tamis_store_tokens(store, 0, &offset, &err));
    uint64_t tokens = offset[s->rows], bad = 0;
    float *a = malloc((tokens * 41 + 1) * 4), *g = malloc((tokens * 2 + 1) * 4), one[37], two[2];
    ck_ok(tamis_store_read_factors(store, 0, 1, 0, tokens, a, 41, g, 2, &err));
    for (uint64_t t = 0; t < tokens; t++) {
        ck_ok(tamis_store_read_factors(store, 0, 1, t, 1, one, 37, NULL, 0, &err));
        ck_ok(tamis_store_read_factors(store, 0, 1, t, 1, NULL, 0, two, 2, &err));
        bad += memcmp(one, a + t * 41, sizeof one) != 0;
        bad += memcmp(two, g + t * 2, sizeof two) != 0;
    }
    ck_assert_uint_eq(bad, 0);
    free(a), free(g);
}

static void check_norms(tamis_store *store, const small_factors *s)
{
    double want[FACTORS_COLUMNS];
    for (uint32_t k = 0; k < s->checkpoints; k++) {
        const float *norm = NULL;
        ck_ok(tamis_store_norms(store, k, &norm, &err));
        for (uint64_t row = 0; row < s->rows; row++) {
            double sum = 0;
            brute_row(s, k, row, want);
            for (unsigned c = 0; c < FACTORS_COLUMNS; c++) sum += want[c] * want[c];
            ck_assert_double_eq_tol(norm[row], sqrt(sum), 1e-6 * sqrt(sum) + 1e-30);
        }
    }
}

/* Full rows, in any range of columns; exact for values of few bits. */
static void check_rows(const tamis_store *store, const small_factors *s)
{
    double want[FACTORS_COLUMNS];
    float *row = malloc(s->rows * (FACTORS_COLUMNS + 2) * 4);
    uint64_t bad = 0;
    for (uint64_t first = 0; first < FACTORS_COLUMNS; first += 13)
        for (uint64_t end = first + 1; end <= FACTORS_COLUMNS; end += 17) {
            uint64_t n = end - first;
            ck_ok(tamis_store_read(store, s->checkpoints - 1, 1, s->rows - 1, first, n, row, n + 2,
                                   &err));
            for (uint64_t i = 1; i < s->rows; i++) {
                brute_row(s, s->checkpoints - 1, i, want);
                for (uint64_t c = 0; c < n; c++)
                    bad += row[(i - 1) * (n + 2) + c] != (float)want[first + c];
            }
        }
    ck_assert_uint_eq(bad, 0);
    free(row);
}

static void check_all(const small_factors *s)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, s->path, &err));
    check_info(store, s);
    check_tokens(store, s);
    check_factors(store, s);
    check_together(store, s);
    check_norms(store, s);
    if (s->dtype != TAMIS_I8) check_rows(store, s);
    tamis_store_close(&store);
}

START_TEST(test_round_trip)
{
    small_factors s = ragged;
    s.dtype = dtypes[_i % 4];
    s.one_token = _i / 4 == 1;
    s.no_tokens = _i / 4 == 2;
    ck_ok(factors_write(&s, context, 7, &err));
    check_all(&s);
    s.path = "shards";
    s.shard_rows = 16;
    ck_ok(factors_write(&s, context, 23, &err));
    check_all(&s);
    tamis_store *one = NULL, *many = NULL;
    ck_ok(tamis_store_open(&one, context, "f.h5", &err));
    ck_ok(tamis_store_open(&many, context, "shards", &err));
    ck_assert_uint_eq(tamis_store_info_get(one)->digest, tamis_store_info_get(many)->digest);
    ck_assert_uint_ne(tamis_store_info_get(one)->digest, 0);
    tamis_store_close(&one);
    tamis_store_close(&many);
}
END_TEST

/* --- however rows come ------------------------------------------------------------------------ */

static void same_files(const char *a, const char *b)
{
    char command[128];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    ck_assert_int_eq(system(command), 0);
}

/* Blocks of rows as worker threads make them. */
static void put_blocks(tamis_store_writer *writer, const small_factors *s, uint64_t step)
{
    tamis__kernels kernels;
    tamis__factor_shape shape = tamis__store_writer_factor_shape(writer);
    tamis__kernels_init(&kernels, tamis_context_cpu(context));
    for (uint64_t first = tamis_store_writer_next(writer); first < s->rows; first += step) {
        uint64_t n = s->rows - first < step ? s->rows - first : step;
        factors_rows r = factors_make(s, first, n);
        uint64_t tokens = r.offset[n] - r.offset[0];
        void *input[2], *output[2];
        float *scale[2][2], *norm[2];
        tamis__store_block block = {
            .rows = n,
            .offset = r.offset,
            .examples = {.group = r.group, .group_name = factors_group, .groups = 3},
            .input = (const void *const *)input,
            .output_gradient = (const void *const *)output,
            .input_scale = (const float *const *)scale[0],
            .output_gradient_scale = (const float *const *)scale[1],
            .norm = (const float *const *)norm,
            .loss = (const float *const *)r.value,
            .margin = (const float *const *)r.value};
        for (uint32_t k = 0; k < s->checkpoints; k++) {
            input[k] = malloc(tokens * FACTORS_INPUT * 4 + 1);
            output[k] = malloc(tokens * FACTORS_OUTPUT * 4 + 1);
            scale[0][k] = malloc(tokens * FACTORS_LAYERS * 4 + 1);
            scale[1][k] = malloc(tokens * FACTORS_LAYERS * 4 + 1);
            norm[k] = malloc(n * 4);
            tamis__factor_space space = {input[k], output[k], scale[0][k], scale[1][k]};
            tamis__factor_rows rows = {input[k], output[k], scale[0][k], scale[1][k]};
            ck_ok(tamis__store_factors_narrow(&kernels, &shape, n, r.offset, r.input[k],
                                              r.output[k], first, k, &space, norm[k], &err));
            block.digest += tamis__store_factors_digest(&shape, &rows, n, r.offset, first, k);
        }
        ck_ok(tamis__store_writer_put_block(writer, &block, &err));
        for (uint32_t k = 0; k < s->checkpoints; k++)
            free(input[k]), free(output[k]), free(scale[0][k]), free(scale[1][k]), free(norm[k]);
        factors_free(&r);
    }
}

START_TEST(test_any_granularity)
{
    static const uint64_t steps[] = {1, 7, 60};
    small_factors s = ragged;
    char path[16];
    s.dtype = dtypes[_i];
    s.path = "want.h5";
    ck_ok(factors_write(&s, context, 13, &err));
    for (unsigned i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "s%u.h5", i);
        s.path = path;
        if (i < 3) {
            ck_ok(factors_write(&s, context, steps[i], &err));
        } else {
            tamis_store_writer *writer = NULL;
            tamis_store_spec spec = factors_spec(&s);
            ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
            put_blocks(writer, &s, steps[i - 3]);
            ck_ok(tamis_store_writer_commit(&writer, &err));
        }
        same_files("want.h5", path);
    }
    /* Blocks that go on into the next shard. */
    tamis_store_writer *writer = NULL;
    s.path = "shards";
    s.shard_rows = 16;
    tamis_store_spec spec = factors_spec(&s);
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    put_blocks(writer, &s, 23);
    ck_ok(tamis_store_writer_commit(&writer, &err));
    check_all(&s);
    s.path = "others";
    ck_ok(factors_write(&s, context, 60, &err));
    ck_assert_int_eq(system("diff -r shards others"), 0);
}
END_TEST

/* --- many chunks ------------------------------------------------------------------------------ */

/* Tokens of 80 KiB, 8 in a chunk: rows cross the ends of chunks. Values tell their place. */
static float wide_value(uint64_t token, uint64_t column)
{
    return (float)((token * 31 + column * 7) % 1021) / 8.0f;
}

static tamis_store *write_wide(uint64_t rows, uint64_t shard_rows)
{
    enum { IN = 16384, OUT = 4096 };
    static const tamis_layer layer = {.name = "wide", .out = OUT, .in = IN};
    tamis_store_spec spec = {.path = "wide",
                             .rows = rows,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = factors_checkpoint,
                             .checkpoints = 1,
                             .shard_rows = shard_rows,
                             .form = TAMIS_FORM_FACTORS};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    float *a = malloc(5 * IN * 4), *g = malloc(5 * OUT * 4);
    uint64_t token = 0;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t i = 0; i < rows; i++) {
        const uint64_t offset[2] = {0, i % 6};
        for (uint64_t t = 0; t < i % 6; t++, token++) {
            for (uint64_t c = 0; c < IN; c++) a[t * IN + c] = wide_value(token, c);
            for (uint64_t c = 0; c < OUT; c++) g[t * OUT + c] = wide_value(token, c + 5);
        }
        const float *const input[1] = {a}, *const output[1] = {g};
        ck_ok(tamis_store_writer_append_factors(writer, 1, offset, input, output, NULL, NULL, NULL,
                                                NULL, &err));
    }
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, "wide", &err));
    free(a), free(g);
    return store;
}

START_TEST(test_many_chunks)
{
    enum { IN = 16384, OUT = 4096, MOST = 12 };
    tamis_store *store = write_wide(64, _i ? 25 : 0);
    const uint64_t *offset = NULL;
    float *a = malloc(MOST * IN * 4), *g = malloc(MOST * OUT * 4);
    uint64_t bad = 0;
    ck_ok(tamis_store_tokens(store, 0, &offset, &err));
    ck_assert_uint_eq(tamis_store_info_get(store)->shards, _i ? 2 : 1);
    for (uint64_t first = 0; first < offset[64]; first += 7) {
        uint64_t n = offset[64] - first < MOST ? offset[64] - first : MOST;
        ck_ok(tamis_store_read_factors(store, 0, 0, first, n, a, IN, g, OUT, &err));
        for (uint64_t t = 0; t < n; t++) {
            for (uint64_t c = 0; c < IN; c++) bad += a[t * IN + c] != wide_value(first + t, c);
            for (uint64_t c = 0; c < OUT; c++)
                bad += g[t * OUT + c] != wide_value(first + t, c + 5);
        }
    }
    ck_assert_uint_eq(bad, 0);
    /* Whole rows of the gradient, 64 MiB each: two pieces of one with five tokens. */
    float piece[300];
    for (uint64_t row = 5; row < 64; row += 23)
        for (unsigned at = 0; at < 2; at++) {
            uint64_t column = at ? (uint64_t)IN * OUT - 300 : (uint64_t)IN * 17 - 150;
            ck_ok(tamis_store_read(store, 0, row, 1, column, 300, piece, 300, &err));
            for (uint64_t c = 0; c < 300; c++) {
                double sum = 0;
                for (uint64_t t = offset[row]; t < offset[row + 1]; t++)
                    sum += (double)wide_value(t, (column + c) / IN + 5) *
                           (double)wide_value(t, (column + c) % IN);
                ck_assert(piece[c] == (float)sum);
            }
        }
    free(a), free(g);
    tamis_store_close(&store);
}
END_TEST

/* Factors are read where they lie, and not through HDF5. */
START_TEST(test_mapped)
{
    small_factors s = ragged;
    s.dtype = dtypes[_i];
    ck_ok(factors_write(&s, context, 60, &err));
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, "f.h5", &err));
    for (uint32_t k = 0; k < 2; k++) {
        ck_assert(store->part->offset[k] != HADDR_UNDEF);
        for (int which = 0; which < TAMIS__FACTORS; which++)
            ck_assert(store->part->factors[k][which].dataset == 0);
    }
    ck_assert_ptr_null(store->part->h5.path);
    tamis_store_close(&store);
}
END_TEST

/* Values of any number of bits: what is stored is off by no more than the type's rounding. */
START_TEST(test_rounding)
{
    static const tamis_layer layer = {.name = "one", .out = 3, .in = 100};
    static const double share[] = {0, 0x1p-11, 0x1p-8, 0};
    tamis_store_spec spec = {.path = "r.h5",
                             .dtype = dtypes[_i],
                             .rows = 20,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = factors_checkpoint,
                             .checkpoints = 1,
                             .form = TAMIS_FORM_FACTORS};
    float a[2000], g[60], back[100], largest;
    uint64_t offset[21];
    for (unsigned i = 0; i < 2000; i++) a[i] = sinf((float)(i * i)) * expf((float)(i % 17) - 8);
    for (unsigned i = 0; i < 60; i++) g[i] = cosf((float)(i * 3)) / (float)(1 + i);
    for (unsigned i = 0; i < 21; i++) offset[i] = i;
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    const float *const input[1] = {a}, *const output[1] = {g};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(writer, 20, offset, input, output, NULL, NULL, NULL,
                                            NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, "r.h5", &err));
    for (uint64_t t = 0; t < 20; t++) {
        ck_ok(tamis_store_read_factors(store, 0, 0, t, 1, back, 100, NULL, 0, &err));
        largest = 0;
        for (unsigned c = 0; c < 100; c++) largest = fmaxf(largest, fabsf(a[t * 100 + c]));
        for (unsigned c = 0; c < 100; c++) {
            double x = (double)a[t * 100 + c], off = fabs((double)back[c] - x);
            double step = dtypes[_i] == TAMIS_I8 ? 0.502 * (double)largest / 127 : 0x1p-25;
            ck_assert_double_le(off, share[_i] * fabs(x) + (_i ? step : 0));
        }
    }
    tamis_store_close(&store);
}
END_TEST

/* --- labels, sizes ---------------------------------------------------------------------------- */

START_TEST(test_labels)
{
    small_factors s = ragged;
    s.labels = "expected";
    s.rows_per_example = 3;
    ck_ok(factors_write(&s, context, 60, &err));
    check_all(&s);
    s.path = "shards";
    s.shard_rows = 16;
    ck_ok(factors_write(&s, context, 60, &err));
    check_all(&s);
    s.path = "no.h5";
    s.rows_per_example = 7;
    ck_fails(factors_write(&s, context, 60, &err), TAMIS_ERR_ARG,
             "60 rows are no whole number of examples of 7 rows each");
}
END_TEST

/* A perceptron's example takes at most 5,000 bytes in bf16, everything counted. */
START_TEST(test_size)
{
    enum { ROWS = 2000, IN = 784 + 1 + 512 + 1 + 256 + 1, OUT = 512 + 256 + 10 };
    static const tamis_layer layer[] = {{.name = "layers.0", .out = 512, .in = 784, .bias = 1},
                                        {.name = "layers.1", .out = 256, .in = 512, .bias = 1},
                                        {.name = "layers.2", .out = 10, .in = 256, .bias = 1}};
    tamis_store_spec spec = {.path = "m.h5",
                             .dtype = TAMIS_BF16,
                             .rows = ROWS,
                             .layer = layer,
                             .layers = 3,
                             .checkpoint = factors_checkpoint,
                             .checkpoints = 1,
                             .classes = 10,
                             .outputs = true,
                             .form = TAMIS_FORM_FACTORS};
    tamis_store_writer *writer = NULL;
    float *a = malloc(IN * 4), *g = calloc(OUT, 4), ten[10] = {0};
    for (unsigned i = 0; i < IN; i++) a[i] = 1;
    const float *const input[1] = {a}, *const output[1] = {g}, *const value[1] = {ten};
    const uint64_t offset[2] = {0, 1}, digest = 5;
    const int32_t label = 3;
    const tamis_examples examples = {.digest = &digest, .label = &label};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    for (unsigned i = 0; i < ROWS; i++)
        ck_ok(tamis_store_writer_append_factors(writer, 1, offset, input, output, &examples, value,
                                                value, value, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    FILE *file = fopen("m.h5", "rb");
    fseek(file, 0, SEEK_END);
    ck_assert_int_le(ftell(file), 5000l * ROWS);
    fclose(file);
    free(a), free(g);
}
END_TEST

/* --- resuming --------------------------------------------------------------------------------- */

START_TEST(test_given_up)
{
    small_factors s = {
        .path = "want", .rows = 90, .shard_rows = 16, .checkpoints = 2, .dtype = dtypes[_i]};
    ck_ok(factors_write(&s, context, 90, &err));
    s.path = "d";
    for (uint64_t rows = 0; rows <= s.rows; rows += 11) {
        tamis_store_writer *writer = NULL;
        ck_assert_int_eq(system("rm -rf d"), 0);
        s.resume = false;
        tamis_store_spec spec = factors_spec(&s);
        ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
        ck_ok(factors_append(writer, &s, rows, 5, &err));
        tamis_store_writer_abort(&writer);
        s.resume = true;
        spec = factors_spec(&s);
        ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
        ck_assert_uint_eq(tamis_store_writer_next(writer), rows / 16 * 16);
        ck_ok(factors_append(writer, &s, s.rows, 7, &err));
        ck_ok(tamis_store_writer_commit(&writer, &err));
        ck_assert_int_eq(system("diff -r want d"), 0);
    }
}
END_TEST

/* Killed at any moment, and gone on with until it is whole. */
START_TEST(test_killed)
{
    small_factors s = {.path = "want", .rows = 2000, .shard_rows = 100, .checkpoints = 2};
    ck_ok(factors_write(&s, context, 100, &err));
    s.path = "d";
    s.resume = true;
    unsigned kills = 0;
    for (useconds_t wait = 200; kills < 200; wait += wait / 8) {
        pid_t child = fork();
        if (child == 0) _exit(factors_write(&s, context, 100, &err) == TAMIS_OK ? 0 : 1);
        usleep(wait);
        kill(child, SIGKILL);
        int how = 0;
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        if (WIFEXITED(how)) {
            ck_assert_int_eq(WEXITSTATUS(how), 0);
            break;
        }
        kills++;
    }
    ck_assert_uint_gt(kills, 0);
    ck_assert_int_eq(system("diff -r want d"), 0);
}
END_TEST

static void resume_refused(const small_factors *s, tamis_status status, const char *why)
{
    ck_fails(factors_write(s, context, 90, &err), status, why);
}

START_TEST(test_resume_compares)
{
    small_factors s = {.path = "d", .rows = 90, .shard_rows = 16, .checkpoints = 2}, t;
    ck_ok(factors_write(&s, context, 90, &err));
    s.resume = true;
    ck_ok(factors_write(&s, context, 90, &err)); /* it is whole */
    t = s, t.dtype = TAMIS_BF16;
    resume_refused(&t, TAMIS_ERR_SHAPE, "holds f32 rows, now it is bf16");
    t = s, t.labels = "sampled";
    resume_refused(&t, TAMIS_ERR_SHAPE, "labels of another kind");
    tamis_store_writer *writer = NULL;
    tamis_store_spec spec = factors_spec(&s);
    spec.form = TAMIS_FORM_FULL;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_SHAPE,
             "is in factor form, now it is full");
    /* A token of the second shard is not what was written. */
    hid_t file = H5Fopen("d/00001.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "checkpoint/1/input", H5P_DEFAULT);
    const hsize_t one[2] = {1, 1}, at[2] = {3, 4};
    const float value = 0.4375f;
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(2, one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, one, NULL);
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(memory), H5Sclose(space), H5Dclose(dataset), H5Fclose(file);
    resume_refused(&s, TAMIS_ERR_FORMAT, "'d/00001.h5' is damaged: its rows are not those written");
}
END_TEST

/* --- refused ---------------------------------------------------------------------------------- */

/* One row of `tokens` tokens with a value put in its place. */
static tamis_status append_one(tamis_dtype dtype, int side, uint64_t column, float value)
{
    small_factors s = {.path = "b.h5",
                       .rows = 1,
                       .one_token = true,
                       .checkpoints = 1,
                       .dtype = dtype,
                       .force = true};
    factors_rows r = factors_make(&s, 0, 1);
    tamis_store_writer *writer = NULL;
    tamis_store_spec spec = factors_spec(&s);
    spec.outputs = false;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    (side == TAMIS__INPUT ? r.input : r.output)[0][column] = value;
    tamis_status status = tamis_store_writer_append_factors(
        writer, 1, r.offset, (const float *const *)r.input, (const float *const *)r.output, NULL,
        NULL, NULL, NULL, &err);
    tamis_store_writer_abort(&writer);
    factors_free(&r);
    ck_assert_int_ne(access("b.h5.part", F_OK), 0);
    return status;
}

START_TEST(test_values_refused)
{
    const int a = TAMIS__INPUT, g = TAMIS__OUTPUT_GRADIENT;
    for (unsigned i = 0; i < 4; i++) {
        ck_fails(append_one(dtypes[i], a, 1, NAN), TAMIS_ERR_NUMERIC,
                 "checkpoint 0, row 0: the input is not finite");
        ck_fails(append_one(dtypes[i], g, 1, INFINITY), TAMIS_ERR_NUMERIC,
                 "checkpoint 0, row 0: the output gradient is not finite");
        ck_fails(append_one(dtypes[i], a, 43, 0.5f), TAMIS_ERR_ARG,
                 "checkpoint 0, row 0: the input of layer 'third' ends with 0.5: its last value "
                 "must be 1");
        ck_ok(append_one(dtypes[i], a, 4, 60000));
    }
    ck_fails(append_one(TAMIS_F16, a, 1, 70000), TAMIS_ERR_NUMERIC,
             "a value of the input is too large for f16: store f32 instead");
    ck_fails(append_one(TAMIS_F16, g, 1, -70000), TAMIS_ERR_NUMERIC,
             "a value of the output gradient is too large for f16");
    ck_fails(append_one(TAMIS_BF16, g, 1, 3.4e38f), TAMIS_ERR_NUMERIC, "too large for bf16");
    ck_fails(append_one(TAMIS_F32, g, 1, 3.4e38f), TAMIS_ERR_NUMERIC,
             "a value of the gradient is too large for f32 norms");
}
END_TEST

START_TEST(test_calls_refused)
{
    small_factors s = ragged;
    tamis_store_writer *writer = NULL;
    tamis_store_spec spec = factors_spec(&s);
    const uint64_t falling[3] = {5, 7, 6};
    const float *none[2] = {NULL, NULL};
    const tamis_projection projection = {.kind = "sparse", .to = 5};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_store_writer_append_factors(writer, 2, falling, none, none, NULL, NULL, NULL,
                                               NULL, &err),
             TAMIS_ERR_ARG, "row 1: its offsets fall from 7 to 6 tokens");
    ck_fails(tamis_store_writer_append(writer, 1, none, NULL, NULL, NULL, NULL, &err),
             TAMIS_ERR_ARG, "announced in factor form, and the rows are whole gradients");
    ck_fails(tamis__store_writer_put_block(writer, &(tamis__store_block){.rows = 1}, &err),
             TAMIS_ERR_ARG, "announced in factor form");
    ck_fails(tamis_store_writer_append_factors(writer, 61, falling, none, none, NULL, NULL, NULL,
                                               NULL, &err),
             TAMIS_ERR_ARG, "announced with 60 rows, and there are more");
    tamis_store_writer_abort(&writer);
    spec.form = TAMIS_FORM_FULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_fails(tamis_store_writer_append_factors(writer, 1, falling, none, none, NULL, NULL, NULL,
                                               NULL, &err),
             TAMIS_ERR_ARG, "announced in full form, and the rows are factors");
    tamis_store_writer_abort(&writer);
    spec.form = TAMIS_FORM_FACTORS;
    spec.projection = &projection;
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
             "projected rows are no sum of outer products");
}
END_TEST

START_TEST(test_reads_refused)
{
    small_factors s = ragged;
    tamis_store *store = NULL;
    float a[64];
    const uint64_t *offset = NULL;
    ck_ok(factors_write(&s, context, 60, &err));
    ck_ok(tamis_store_open(&store, context, s.path, &err));
    ck_fails(tamis_store_read_factors(store, 2, 0, 0, 1, a, 64, NULL, 0, &err), TAMIS_ERR_ARG,
             "2 checkpoints and 3 layers");
    ck_fails(tamis_store_read_factors(store, 0, 3, 0, 1, a, 64, NULL, 0, &err), TAMIS_ERR_ARG,
             "of layer 3");
    ck_fails(tamis_store_read_factors(store, 0, 0, 0, 91, a, 64, NULL, 0, &err), TAMIS_ERR_ARG,
             "has 90 tokens");
    ck_fails(tamis_store_read_factors(store, 0, 0, UINT64_MAX, 2, a, 64, NULL, 0, &err),
             TAMIS_ERR_ARG, "has 90 tokens");
    ck_fails(tamis_store_read_factors(store, 0, 0, 0, 1, a, 3, NULL, 0, &err), TAMIS_ERR_ARG,
             "has 4 values a token: a stride of 3 is too small");
    ck_fails(tamis_store_tokens(store, 2, &offset, &err), TAMIS_ERR_ARG, "2 checkpoints");
    ck_ok(tamis_store_read_factors(store, 0, 0, 90, 0, a, 64, a, 64, &err));
    tamis_store_close(&store);
}
END_TEST

/* --- what fails ------------------------------------------------------------------------------- */

static tamis_status use(const small_factors *s)
{
    tamis_store *store = NULL;
    const float *norm = NULL;
    float row[FACTORS_COLUMNS];
    tamis_status status = tamis_store_open(&store, context, s->path, &err);
    if (status == TAMIS_OK) status = tamis_store_norms(store, 1, &norm, &err);
    for (uint64_t i = 0; i < s->rows && status == TAMIS_OK; i++)
        status = tamis_store_read(store, 1, i, 1, 0, FACTORS_COLUMNS, row, FACTORS_COLUMNS, &err);
    tamis_store_close(&store);
    return status;
}

START_TEST(test_failing)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    const tamis_status expected[2] = {TAMIS_ERR_NOMEM, TAMIS_ERR_IO};
    small_factors s = {.path = _i ? "d" : "f.h5",
                       .rows = 40,
                       .shard_rows = _i ? 16 : 0,
                       .checkpoints = 2,
                       .dtype = _i ? TAMIS_I8 : TAMIS_F32,
                       .force = true};
    for (int f = 0; f < 2; f++) {
        tamis_status status = TAMIS_ERR_NOMEM;
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 1000);
            if (!_i) (void)unlink("f.h5");
            faults[f](n);
            status = factors_write(&s, context, 9, &err);
            faults[f](-1);
            ck_assert_int_ne(access("f.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            /* HDF5 tells of memory that its driver lacks as of a file that cannot be opened. */
            ck_assert_msg(status == expected[f] || status == TAMIS_ERR_IO, "%s", err.message);
            ck_assert_str_ne(err.message, "");
            if (!_i) ck_assert_int_ne(access("f.h5", F_OK), 0);
        }
        check_all(&s);
        status = TAMIS_ERR_NOMEM;
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 1000);
            faults[f](n);
            status = use(&s);
            faults[f](-1);
            if (status != TAMIS_OK) ck_assert_msg(status == expected[f], "%s", err.message);
        }
    }
}
END_TEST

static Suite *factors_suite(void)
{
    Suite *suite = suite_create("store factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_round_trip, 0, 12);
    tcase_add_loop_test(tc, test_any_granularity, 0, 4);
    tcase_add_loop_test(tc, test_many_chunks, 0, 2);
    tcase_add_loop_test(tc, test_mapped, 0, 4);
    tcase_add_loop_test(tc, test_rounding, 0, 4);
    tcase_add_test(tc, test_labels);
    tcase_add_test(tc, test_size);
    tcase_add_loop_test(tc, test_given_up, 0, 4);
    tcase_add_test(tc, test_killed);
    tcase_add_test(tc, test_resume_compares);
    tcase_add_test(tc, test_values_refused);
    tcase_add_test(tc, test_calls_refused);
    tcase_add_test(tc, test_reads_refused);
    tcase_add_loop_test(tc, test_failing, 0, 2);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(factors_suite());
}
