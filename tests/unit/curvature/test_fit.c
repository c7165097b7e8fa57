/* Fitted curvatures against plain loops in double, and the same bits however they are made.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "pseudo.h"

#include <tamis/inspect.h>

#include "curvature/fit.h"
#include "curvature/spectrum.h"

/* Rows beyond a block of tokens of every kind. */
static const pseudo plans[] = {
    {.path = "a.h5", .rows = 1500, .seed = 1, .labels = "sampled"},
    {.path = "b.h5", .rows = 1200, .seed = 2, .ragged = true},
    {.path = "c.h5", .rows = 2400, .seed = 3, .per_example = 3, .labels = "expected"},
    {.path = "d.h5", .rows = 900, .seed = 4, .per_example = 3, .ragged = true},
    {.path = "e.h5", .rows = 9, .seed = 5},
};
enum { N_PLANS = sizeof plans / sizeof *plans };

static tamis_fit_curvature_params params_of(tamis_curvature_kind kind, tamis_store *train,
                                            const char *path)
{
    return (tamis_fit_curvature_params){.kind = kind,
                                        .train = train,
                                        .until = TAMIS_STAGE_FINAL,
                                        .checkpoint = UINT32_MAX,
                                        .path = path};
}

static tamis_curvature *fit(tamis_context *context, const tamis_fit_curvature_params *params)
{
    tamis_curvature *c = NULL;
    ck_ok(tamis_fit_curvature(context, params, &err));
    ck_ok(tamis_curvature_open(&c, context, params->path, &err));
    return c;
}

/* --- numbers ---------------------------------------------------------------------------------- */

START_TEST(test_covariance)
{
    enter_scratch();
    const pseudo *p = &plans[_i];
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, p);
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, store, "c.curv");
    params.until = TAMIS_STAGE_COVARIANCE;
    tamis_curvature *c = fit(context, &params);
    const tamis_curvature_info *info = tamis_curvature_info_get(c);
    ck_assert_uint_eq(info->tokens, naive_tokens(p));
    ck_assert_uint_eq(info->examples, p->rows / pseudo_group(p));
    ck_assert_int_eq(info->stage, TAMIS_STAGE_COVARIANCE);
    ck_assert_int_eq(info->labels != NULL, p->labels != NULL);
    for (unsigned l = 0; l < LAYERS; l++)
        for (int input = 0; input < 2; input++) {
            double want[144];
            uint64_t n = input ? pseudo_layer[l].in + pseudo_layer[l].bias : pseudo_layer[l].out;
            double *got = read_array(c, input ? TAMIS__INPUT_COVARIANCE : TAMIS__OUTPUT_COVARIANCE,
                                     l, 0);
            naive_covariance(p, l, input, want);
            close_values(got, want, n * n, 1e-13);
            free(got);
        }
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Q^T A Q is diagonal with the eigenvalues, and Q is orthogonal. */
static void check_side(const double *q, const double *values, const double *sum, uint64_t n,
                       double tokens)
{
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < n; j++) {
            double dot = 0, form = 0;
            for (uint64_t k = 0; k < n; k++) {
                dot += q[i * n + k] * q[j * n + k];
                for (uint64_t m = 0; m < n; m++)
                    form += q[i * n + k] * sum[k * n + m] / tokens * q[j * n + m];
            }
            ck_assert_double_eq_tol(dot, i == j ? 1.0 : 0.0, 1e-13);
            ck_assert_double_eq_tol(form, i == j ? values[i] : 0.0, 1e-12);
        }
}

START_TEST(test_ekfac)
{
    enter_scratch();
    const pseudo *p = &plans[_i];
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, p);
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, store, "c.curv");
    tamis_curvature *c = fit(context, &params);
    for (unsigned l = 0; l < LAYERS; l++) {
        uint64_t s = pseudo_layer[l].out, a = pseudo_layer[l].in + pseudo_layer[l].bias;
        double sum[144], want[128], plain[128], total = 0, energy = 0;
        double *qs = read_array(c, TAMIS__OUTPUT_VECTORS, l, 0),
               *qa = read_array(c, TAMIS__INPUT_VECTORS, l, 0),
               *vs = read_array(c, TAMIS__OUTPUT_VALUES, l, 0),
               *va = read_array(c, TAMIS__INPUT_VALUES, l, 0),
               *lambda = read_array(c, TAMIS__LAMBDA, l, 0);
        naive_covariance(p, l, false, sum);
        check_side(qs, vs, sum, s, (double)naive_tokens(p));
        naive_covariance(p, l, true, sum);
        check_side(qa, va, sum, a, (double)naive_tokens(p));
        naive_lambda(p, l, qs, qa, want);
        close_values(lambda, want, s * a, 1e-12);
        /* The sum does not depend on the basis: E ||D||^2. */
        naive_lambda(p, l, NULL, NULL, plain);
        for (uint64_t i = 0; i < s * a; i++) total += lambda[i], energy += plain[i];
        ck_assert_double_eq_tol(total, energy, 1e-12 * energy);

        tamis__spectrum spectrum;
        const tamis__damping damping = {0.1, true};
        ck_ok(tamis__spectrum_load(&spectrum, c, l, TAMIS_CURVATURE_EKFAC, damping, &err));
        ck_assert_double_eq_tol(spectrum.damping, 0.1 * total / (double)(s * a), 1e-12 * total);
        ck_assert(!memcmp(spectrum.lambda, lambda, s * a * sizeof *lambda));
        ck_assert(!memcmp(spectrum.input.vectors[0], qa, a * a * sizeof *qa));
        ck_assert_uint_le(s * a * 16 + (s * s + a * a) * 8, tamis__spectrum_bytes(c, l));
        tamis__spectrum_fini(&spectrum);
        ck_ok(tamis__spectrum_load(&spectrum, c, l, TAMIS_CURVATURE_KFAC, damping, &err));
        for (uint64_t i = 0; i < s * a; i++)
            ck_assert_double_eq(spectrum.lambda[i], fmax(vs[i / a], 0) * fmax(va[i % a], 0));
        tamis__spectrum_fini(&spectrum);
        free(qs);
        free(qa);
        free(vs);
        free(va);
        free(lambda);
    }
    ck_ok(tamis__curvature_fits(c, store, &err));
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Of factors and of the same rows in full. */
START_TEST(test_diagonal)
{
    enter_scratch();
    for (int full = 0; full < 2; full++) {
        pseudo p = plans[_i];
        p.full = full;
        tamis_context *context = make_context(2, 0);
        tamis_store *store = make_pseudo(context, &p);
        tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_DIAGONAL, store, "c.curv");
        tamis_curvature *c = fit(context, &params);
        for (unsigned l = 0; l < LAYERS; l++) {
            double want[128], *got = read_array(c, TAMIS__LAMBDA, l, 0);
            tamis__spectrum spectrum;
            naive_lambda(&p, l, NULL, NULL, want);
            close_values(got, want, tamis_layer_columns(&pseudo_layer[l]), full ? 1e-6 : 1e-12);
            ck_ok(tamis__spectrum_load(&spectrum, c, l, TAMIS_CURVATURE_DIAGONAL,
                                       (tamis__damping){1, false}, &err));
            ck_assert_uint_eq(spectrum.input.blocks, 0);
            ck_assert_double_eq(spectrum.inverse[1], 1.0 / (got[1] + 1.0));
            tamis__spectrum_fini(&spectrum);
            free(got);
        }
        tamis_curvature_close(&c);
        tamis_store_close(&store);
        tamis_context_destroy(&context);
        ck_assert_int_eq(unlink("c.curv"), 0);
        ck_assert_int_eq(unlink(p.path), 0);
    }
    leave_scratch();
}
END_TEST

START_TEST(test_gram)
{
    enter_scratch();
    pseudo p = plans[_i];
    p.full = _i % 2;
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, &p);
    const tamis_store_info *info = tamis_store_info_get(store);
    uint64_t n = info->columns;
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_GRAM, store, "c.curv");
    tamis_curvature *c = fit(context, &params);
    double *want = calloc(n * n, sizeof *want), *got = calloc(n * n, sizeof *got);
    float *row = calloc(n, sizeof *row);
    for (uint64_t r = 0; r < p.rows; r++) {
        ck_ok(tamis_store_read(store, 0, r, 1, 0, n, row, n, &err));
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j < n; j++) want[i * n + j] += (double)row[i] * (double)row[j];
    }
    for (uint64_t i = 0; i < n * n; i++) want[i] /= (double)(p.rows / pseudo_group(&p));
    ck_ok(tamis__curvature_gram(c, got, &err));
    close_values(got, want, n * n, 1e-13);
    free(want);
    free(got);
    free(row);
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- blocks ----------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nothing lies between the blocks: eigenvalues are those of the whole. The bias column goes with
 * neither half, so only the layer without one is compared. */
START_TEST(test_blocks)
{
    enter_scratch();
    const pseudo p = {.path = "a.h5", .rows = 700, .seed = 9, .blocks = true};
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, &p);
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, store, "whole.curv");
    tamis_curvature *whole = fit(context, &params);
    params.path = "cut.curv";
    params.max_block = 2;
    tamis_curvature *cut = fit(context, &params);
    ck_assert_uint_eq(tamis_curvature_info_get(cut)->max_block, 2);
    for (int input = 0; input < 2; input++) {
        uint64_t n = input ? pseudo_layer[1].in : pseudo_layer[1].out;
        tamis__curvature_array array = input ? TAMIS__INPUT_VALUES : TAMIS__OUTPUT_VALUES;
        double *a = read_array(whole, array, 1, 0), *b = read_array(cut, array, 1, 0);
        qsort(b, n, sizeof *b, ascending);
        close_values(b, a, n, 1e-12);
        free(a);
        free(b);
    }
    /* Whatever the blocks, Lambda is of the basis that they make, and its sum that of D^2. */
    for (unsigned l = 0; l < LAYERS; l++) {
        uint64_t s = pseudo_layer[l].out, a = pseudo_layer[l].in + pseudo_layer[l].bias;
        double qs[64] = {0}, qa[256] = {0}, want[128], sum = 0, energy = 0;
        tamis__spectrum spectrum;
        ck_ok(tamis__spectrum_load(&spectrum, cut, l, TAMIS_CURVATURE_EKFAC,
                                   (tamis__damping){1, false}, &err));
        ck_assert_uint_eq(spectrum.input.blocks, (a + 1) / 2);
        for (int side = 0; side < 2; side++) {
            const tamis__basis *b = side ? &spectrum.input : &spectrum.output;
            for (uint32_t k = 0; k < b->blocks; k++) {
                uint64_t first = b->first[k], w = b->first[k + 1] - first;
                for (uint64_t i = 0; i < w; i++)
                    for (uint64_t j = 0; j < w; j++)
                        (side ? qa : qs)[(first + i) * b->n + first + j] = b->vectors[k][i * w + j];
            }
        }
        naive_lambda(&p, l, qs, qa, want);
        close_values(spectrum.lambda, want, s * a, 1e-12);
        naive_lambda(&p, l, NULL, NULL, want);
        for (uint64_t i = 0; i < s * a; i++) sum += spectrum.lambda[i], energy += want[i];
        ck_assert_double_eq_tol(sum, energy, 1e-12 * energy);
        tamis__spectrum_fini(&spectrum);
    }
    tamis_curvature_close(&whole);
    tamis_curvature_close(&cut);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Sizes of the blocks of a side. */
START_TEST(test_block_sizes)
{
    for (uint64_t n = 1; n < 40; n++)
        for (uint64_t most = 0; most < 45; most++) {
            uint32_t blocks = tamis__curvature_blocks(n, most);
            uint64_t wanted = most == 0 ? 1 : (n + most - 1) / most, at = 0;
            ck_assert_uint_eq(blocks, wanted);
            for (uint32_t b = 0; b < blocks; b++) {
                uint64_t end = tamis__curvature_block(n, blocks, b + 1);
                ck_assert_uint_eq(tamis__curvature_block(n, blocks, b), at);
                ck_assert(end - at == n / blocks || end - at == n / blocks + 1);
                ck_assert(most == 0 || end - at <= most);
                at = end;
            }
            ck_assert_uint_eq(at, n);
        }
}
END_TEST

/* --- the two ways of summing Lambda ----------------------------------------------------------- */

/* Tokens in memory: one a row, or, with `second`, each row with another token of zeros, so that
 * rows are taken one by one. Wider than a tile and a square of one. */
enum { WIDE_OUT = 200, WIDE_IN = 700, WIDE_ROWS = 70 };

typedef struct arrays {
    double *input, *output;
    uint64_t repeat;
} arrays;

static tamis_status read_arrays(void *arg, uint32_t layer, uint64_t first, uint64_t tokens,
                                double *input, double *output, unsigned worker, tamis_error *e)
{
    (void)layer, (void)worker, (void)e;
    const arrays *s = arg;
    for (uint64_t t = 0; t < tokens; t++) {
        uint64_t row = (first + t) / s->repeat;
        bool zero = (first + t) % s->repeat != 0;
        for (uint64_t i = 0; i < WIDE_IN; i++)
            input[t * WIDE_IN + i] = zero ? 0 : s->input[row * WIDE_IN + i];
        for (uint64_t o = 0; o < WIDE_OUT; o++)
            output[t * WIDE_OUT + o] = zero ? 0 : s->output[row * WIDE_OUT + o];
    }
    return TAMIS_OK;
}

START_TEST(test_two_ways)
{
    static const tamis_layer layer = {.name = "wide", .out = WIDE_OUT, .in = WIDE_IN};
    tamis_context *context = make_context(2, 0);
    arrays s = {calloc(WIDE_ROWS * WIDE_IN, 8), calloc(WIDE_ROWS * WIDE_OUT, 8), 1};
    for (uint64_t i = 0; i < WIDE_ROWS * WIDE_IN; i++) s.input[i] = pseudo_noise(1, i, 0, 0);
    for (uint64_t i = 0; i < WIDE_ROWS * WIDE_OUT; i++) s.output[i] = pseudo_noise(2, i, 0, 0);
    tamis__kronecker f[2];
    for (s.repeat = 1; s.repeat <= 2; s.repeat++) {
        uint64_t offset[WIDE_ROWS + 1];
        for (uint64_t i = 0; i <= WIDE_ROWS; i++) offset[i] = i * s.repeat;
        const tamis__tokens tokens = {.rows = WIDE_ROWS,
                                      .rows_per_example = 1,
                                      .offset = offset,
                                      .arg = &s,
                                      .read = read_arrays};
        tamis__kronecker *one = &f[s.repeat - 1];
        ck_ok(tamis__kronecker_init(one, &layer, 0, true, true, 0, &err));
        const tamis__pass pass = {
            .context = context, .tokens = &tokens, .factors = one, .n = 1, .phase = "testing"};
        ck_ok(tamis__pass_covariance(&pass, &err));
        ck_ok(tamis__kronecker_eigen(context, one, 1, WIDE_ROWS, 0, &err));
        ck_ok(tamis__pass_lambda(&pass, &err));
    }
    close_values(f[1].lambda, f[0].lambda, WIDE_OUT * WIDE_IN, 1e-12);
    /* And once against the definition, in a few places of every tile. */
    for (uint64_t i = 3; i < WIDE_OUT; i += 61)
        for (uint64_t j = 5; j < WIDE_IN; j += 97) {
            double want = 0;
            for (uint64_t r = 0; r < WIDE_ROWS; r++) {
                double d = 0, a = 0;
                for (uint64_t k = 0; k < WIDE_OUT; k++)
                    d += s.output[r * WIDE_OUT + k] * f[0].output.vectors[0][i * WIDE_OUT + k];
                for (uint64_t k = 0; k < WIDE_IN; k++)
                    a += s.input[r * WIDE_IN + k] * f[0].input.vectors[0][j * WIDE_IN + k];
                want += d * d * a * a;
            }
            ck_assert_double_eq_tol(f[0].lambda[i * WIDE_IN + j], want, 1e-11 * (1 + want));
        }
    for (int i = 0; i < 2; i++) tamis__kronecker_fini(&f[i]);
    free(s.input);
    free(s.output);
    tamis_context_destroy(&context);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

START_TEST(test_same_bits)
{
    enter_scratch();
    pseudo p = plans[_i];
    tamis_context *context = make_context(1, 0);
    tamis_store *store = make_pseudo(context, &p);
    for (int kind = 0; kind <= TAMIS_CURVATURE_GRAM; kind++) {
        tamis_fit_curvature_params params = params_of((tamis_curvature_kind)kind, store, "one");
        params.force = true;
        ck_ok(tamis_fit_curvature(context, &params, &err));
        for (unsigned threads = 2; threads <= 3; threads++) {
            tamis_context *other = make_context(threads, 0);
            p.path = "shards";
            p.shard_rows = 100 * threads;
            tamis_store *shards = make_pseudo(other, &p);
            params.train = shards;
            params.path = "other";
            ck_ok(tamis_fit_curvature(other, &params, &err));
            same_files("one", "other");
            tamis_store_close(&shards);
            tamis_context_destroy(&other);
            ck_assert_int_eq(system("rm -r shards"), 0);
        }
        /* From too little memory to enough: layers one by one, some together, all. */
        unsigned refused = 0, done = 0;
        for (uint64_t memory = 2000; memory < 8000000; memory += memory / 3) {
            tamis_context *other = make_context(2, memory);
            params.train = store;
            params.path = "other";
            tamis_status status = tamis_fit_curvature(other, &params, &err);
            ck_assert_msg(status == TAMIS_OK || status == TAMIS_ERR_NOMEM, "%s", err.message);
            if (status == TAMIS_OK) same_files("one", "other");
            if (status != TAMIS_OK) ck_assert_int_eq(done, 0);
            if (status != TAMIS_OK && kind != TAMIS_CURVATURE_GRAM)
                ck_assert_msg(strstr(err.message, "layer '") && strstr(err.message, "bytes"), "%s",
                              err.message);
            *(status == TAMIS_OK ? &done : &refused) += 1;
            tamis_context_destroy(&other);
        }
        ck_assert_uint_ge(refused, 1);
        ck_assert_uint_ge(done, 3);
    }
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- files ------------------------------------------------------------------------------------ */

/* Every allocation fails once; nothing is left behind. */
START_TEST(test_no_memory)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, &plans[1]);
    tamis_fit_curvature_params params = params_of((tamis_curvature_kind)_i, store, "c.curv");
    params.resume = true;
    long n = 0;
    tamis_status status = TAMIS_ERR_NOMEM;
    for (; status != TAMIS_OK; n++) {
        tamis__fault_memory_after(n);
        status = tamis_fit_curvature(context, &params, &err);
        tamis__fault_memory_after(-1);
        ck_assert_int_eq(access("c.curv", F_OK) == 0, status == TAMIS_OK);
        if (status != TAMIS_OK) ck_assert_msg(err.message[0], "no message");
        ck_assert_int_ne(access("c.curv.part", F_OK), 0);
        (void)unlink("c.curv.sums");
    }
    ck_assert_int_ge(n, 10);
    tamis_curvature *c = NULL;
    for (status = TAMIS_ERR_NOMEM, n = 0; status != TAMIS_OK; n++) {
        tamis__fault_memory_after(n);
        status = tamis_curvature_open(&c, context, "c.curv", &err);
        tamis__fault_memory_after(-1);
    }
    tamis_curvature_close(&c);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Every write fails once. */
START_TEST(test_no_disk)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, &plans[1]);
    tamis_fit_curvature_params params = params_of((tamis_curvature_kind)_i, store, "c.curv");
    params.resume = true;
    tamis_status status = TAMIS_ERR_IO;
    long n = 0;
    for (; status != TAMIS_OK; n++) {
        tamis__fault_io_after(n);
        status = tamis__fit_curvature(context, &params, 0, &err);
        tamis__fault_io_after(-1);
        ck_assert_msg(status == TAMIS_OK || strstr(err.message, "c.curv") ||
                          strstr(err.message, plans[1].path),
                      "%s", err.message);
        ck_assert_int_eq(access("c.curv", F_OK) == 0, status == TAMIS_OK);
        ck_assert_int_ne(access("c.curv.part", F_OK), 0);
        ck_assert_int_ne(access("c.curv.sums.part", F_OK), 0);
    }
    ck_assert_int_ge(n, 10);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

START_TEST(test_inspect)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    tamis_store *store = make_pseudo(context, &plans[0]);
    for (int stage = 0; stage <= TAMIS_STAGE_FINAL; stage++) {
        tamis_inspection *in = NULL;
        tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, store, "c.curv");
        params.until = (tamis_curvature_stage)stage;
        params.force = true;
        ck_ok(tamis_fit_curvature(context, &params, &err));
        ck_ok(tamis_inspect(&in, context, "c.curv", 0, &err));
        ck_assert_str_eq(in->kind, "curvature");
        for (size_t i = 0; i < in->findings; i++)
            ck_assert_msg(!in->finding[i].severe, "%s", in->finding[i].text);
        ck_assert_int_eq(in->healthy, 1);
        ck_assert_uint_eq(in->findings, stage != TAMIS_STAGE_FINAL); /* that it is not final */
        tamis_inspection_free(&in);
    }
    /* A byte of a factor is changed. */
    size_t size;
    char *bytes = file_bytes("c.curv", &size);
    tamis_curvature *c = NULL;
    ck_ok(tamis_curvature_open(&c, context, "c.curv", &err));
    double *qa = read_array(c, TAMIS__INPUT_VECTORS, 0, 0);
    char *at = memmem(bytes, size, qa, 8 * sizeof *qa);
    ck_assert_ptr_nonnull(at);
    at[6] = (char)(at[6] ^ 0x10);
    FILE *f = fopen("c.curv", "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
    free(bytes);
    free(qa);
    tamis_curvature_close(&c);
    tamis_inspection *in = NULL;
    ck_ok(tamis_inspect(&in, context, "c.curv", 0, &err));
    ck_assert_int_eq(in->healthy, 0);
    bool digest = false, orthogonal = false;
    for (size_t i = 0; i < in->findings; i++) {
        digest |= !strcmp(in->finding[i].key, "digest_mismatch");
        orthogonal |= !strcmp(in->finding[i].key, "not_orthogonal");
    }
    ck_assert(digest && orthogonal);
    tamis_inspection_free(&in);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature fit");
    TCase *tc = tcase_create("fit");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_covariance, 0, N_PLANS);
    tcase_add_loop_test(tc, test_ekfac, 0, N_PLANS);
    tcase_add_loop_test(tc, test_diagonal, 0, N_PLANS);
    tcase_add_loop_test(tc, test_gram, 0, N_PLANS);
    tcase_add_test(tc, test_blocks);
    tcase_add_test(tc, test_block_sizes);
    tcase_add_test(tc, test_two_ways);
    tcase_add_loop_test(tc, test_same_bits, 0, 4);
    tcase_add_loop_test(tc, test_no_memory, 0, TAMIS_CURVATURE_GRAM + 1);
    tcase_add_loop_test(tc, test_no_disk, 0, TAMIS_CURVATURE_GRAM + 1);
    tcase_add_test(tc, test_inspect);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
