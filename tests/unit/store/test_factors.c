/* Stores in factor form written and read back.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_factors.h"

#include <math.h>

#include "base/digest.h"
#include "base/mem.h"
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
                worst = fmax(worst, fabs((double)a[i] -
                                         (double)factors_input(k, row, t, input_at[l] + i)) /
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

static Suite *factors_suite(void)
{
    Suite *suite = suite_create("store factors");
    TCase *tc = tcase_create("factors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_round_trip, 0, 12);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(factors_suite());
}
