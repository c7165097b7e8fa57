/* Sums over tokens for some layers: covariances and Lambda.
 *
 * Tokens come in blocks. A block is first read as doubles, then (for Lambda) rotated, then
 * multiplied. Every matrix that comes out of a step is cut into tiles, and a tile is one thread's:
 * nothing has to be merged, and an entry's terms come in the order of the tokens.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/kronecker.h"
#include "linalg/blas.h"

/* TILE is the most columns of a tile: larger ones are faster, more of them keep more threads busy.
 * With several tokens a row they are worked on in squares, which stay in a cache from row to row.
 * Part of the last bits of the result, as the size of a block is. */
enum { TILE = 576, SQUARE = 192, FILL_TOKENS = 64 };

enum side { OUTPUT, INPUT };

/* A rectangle of a matrix of a layer. Columns are of the side's block for covariances and
 * rotations, of the input side as a whole for Lambda. */
typedef struct tile {
    uint32_t layer; /* of the pass */
    enum side side;
    uint32_t block;
    uint64_t row, rows, column, columns;
} tile;

typedef struct tiles {
    tile *tile;
    size_t n;
} tiles;

/* Layers that are worked on together, and the block's values of each: [tokens, width], one layer
 * after another. */
typedef struct sums {
    const tamis__pass *pass;
    bool lambda;
    tamis__token_block block;
    uint64_t inputs;        /* tokens that inputs are summed over */
    uint32_t first, layers; /* of the pass: those of the batch */
    uint64_t capacity;
    double *read[2], *turned[2]; /* by side; turned is NULL when nothing is rotated */
    double *square;              /* [worker, SQUARE, SQUARE] */
    tiles rotation, product;
} sums;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static const tamis__basis *basis_of(const sums *s, uint32_t layer, enum side side)
{
    const tamis__kronecker *f = &s->pass->factors[layer];
    return side == OUTPUT ? &f->output : &f->input;
}

/* Where a layer's values start, in columns. */
static uint64_t place(const sums *s, uint32_t layer, enum side side)
{
    uint64_t columns = 0;
    for (uint32_t l = s->first; l < layer; l++) columns += basis_of(s, l, side)->n;
    return columns;
}

static double *values_of(const sums *s, uint32_t layer, enum side side)
{
    return s->read[side] + place(s, layer, side) * s->capacity;
}

static double *turned_of(const sums *s, uint32_t layer, enum side side)
{
    if (basis_of(s, layer, side)->blocks == 0) return values_of(s, layer, side);
    return s->turned[side] + place(s, layer, side) * s->capacity;
}

/* --- tiles ------------------------------------------------------------------------------------ */

static uint64_t cuts_of(uint64_t n)
{
    return (n + TILE - 1) / TILE;
}

static uint64_t cut(uint64_t n, uint64_t cuts, uint64_t i)
{
    return n / cuts * i + smaller(i, n % cuts);
}

static void put(tiles *t, const tile *one)
{
    if (t->tile) t->tile[t->n] = *one;
    t->n++;
}

/* Columns of a side, block by block; a side without blocks is one. */
static void cut_rotation(tiles *t, const sums *s, uint32_t layer, enum side side)
{
    const tamis__basis *b = basis_of(s, layer, side);
    for (uint32_t k = 0; k < (b->blocks ? b->blocks : 1); k++) {
        uint64_t n = b->blocks ? b->first[k + 1] - b->first[k] : b->n, cuts = cuts_of(n);
        for (uint64_t j = 0; j < cuts; j++)
            put(t, &(tile){.layer = layer,
                           .side = side,
                           .block = k,
                           .column = cut(n, cuts, j),
                           .columns = cut(n, cuts, j + 1) - cut(n, cuts, j)});
    }
}

/* The lower triangle of each block. */
static void cut_covariance(tiles *t, const sums *s, uint32_t layer, enum side side)
{
    const tamis__basis *b = basis_of(s, layer, side);
    for (uint32_t k = 0; k < b->blocks; k++) {
        uint64_t n = b->first[k + 1] - b->first[k], cuts = cuts_of(n);
        for (uint64_t i = 0; i < cuts; i++)
            for (uint64_t j = 0; j <= i; j++)
                put(t,
                    &(tile){layer, side, k, cut(n, cuts, i), cut(n, cuts, i + 1) - cut(n, cuts, i),
                            cut(n, cuts, j), cut(n, cuts, j + 1) - cut(n, cuts, j)});
    }
}

static void cut_lambda(tiles *t, const sums *s, uint32_t layer)
{
    uint64_t out = basis_of(s, layer, OUTPUT)->n, in = basis_of(s, layer, INPUT)->n;
    uint64_t down = cuts_of(out), across = cuts_of(in);
    for (uint64_t i = 0; i < down; i++)
        for (uint64_t j = 0; j < across; j++)
            put(t, &(tile){layer, OUTPUT, 0, cut(out, down, i),
                           cut(out, down, i + 1) - cut(out, down, i), cut(in, across, j),
                           cut(in, across, j + 1) - cut(in, across, j)});
}

static void cut_batch(sums *s)
{
    s->rotation.n = s->product.n = 0;
    for (uint32_t l = s->first; l < s->first + s->layers; l++) {
        for (int side = OUTPUT; side <= INPUT; side++) {
            if (s->lambda)
                cut_rotation(&s->rotation, s, l, (enum side)side);
            else
                cut_covariance(&s->product, s, l, (enum side)side);
        }
        if (s->lambda) cut_lambda(&s->product, s, l);
    }
}

/* --- a block's values ------------------------------------------------------------------------- */

static tamis_status fill(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)slot;
    const sums *s = arg;
    uint64_t pieces = (s->block.tokens + FILL_TOKENS - 1) / FILL_TOKENS;
    uint32_t layer = s->first + (uint32_t)(item / pieces);
    uint64_t at = item % pieces * FILL_TOKENS, n = smaller(FILL_TOKENS, s->block.tokens - at);
    uint64_t in = basis_of(s, layer, INPUT)->n, out = basis_of(s, layer, OUTPUT)->n;
    const tamis__tokens *tokens = s->pass->tokens;
    return tokens->read(tokens->arg, s->pass->factors[layer].index, s->block.first_token + at, n,
                        values_of(s, layer, INPUT) + at * in,
                        values_of(s, layer, OUTPUT) + at * out, worker, err);
}

/* Rows of one example share their inputs: those of the first move together. */
static tamis_status keep_first(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot, (void)worker, (void)err;
    const sums *s = arg;
    const tamis__tokens *tokens = s->pass->tokens;
    uint32_t layer = s->first + (uint32_t)item;
    uint64_t in = basis_of(s, layer, INPUT)->n;
    double *values = values_of(s, layer, INPUT), *to = values;
    for (uint64_t r = s->block.first; r < s->block.first + s->block.rows; r++) {
        if (r % tokens->rows_per_example != 0) continue;
        const double *from = values + (tokens->offset[r] - s->block.first_token) * in;
        uint64_t n = (tokens->offset[r + 1] - tokens->offset[r]) * in;
        if (to != from)
            for (uint64_t i = 0; i < n; i++) to[i] = from[i]; /* forwards: they may overlap */
        to += n;
    }
    return TAMIS_OK;
}

static uint64_t count_inputs(const sums *s)
{
    const tamis__tokens *tokens = s->pass->tokens;
    uint64_t n = 0;
    for (uint64_t r = s->block.first; r < s->block.first + s->block.rows; r++)
        if (r % tokens->rows_per_example == 0) n += tokens->offset[r + 1] - tokens->offset[r];
    return n;
}

/* --- products --------------------------------------------------------------------------------- */

static tamis_status add_covariance(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                   tamis_error *err)
{
    (void)slot, (void)worker;
    const sums *s = arg;
    const tile *t = &s->product.tile[item];
    const tamis__basis *b = basis_of(s, t->layer, t->side);
    uint64_t first = b->first[t->block], w = b->first[t->block + 1] - first;
    uint64_t tokens = t->side == INPUT ? s->inputs : s->block.tokens;
    const double *x = values_of(s, t->layer, t->side) + first;
    double *out = b->vectors[t->block] + t->row * w + t->column;
    if (t->row == t->column)
        return tamis__dsyrk(true, t->rows, tokens, 1.0, x + t->row, b->n, 1.0, out, w, err);
    return tamis__dgemm(true, false, t->rows, t->columns, tokens, 1.0, x + t->row, b->n,
                        x + t->column, b->n, 1.0, out, w, err);
}

static void square(double *x, uint64_t rows, uint64_t columns, uint64_t ld)
{
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++) x[i * ld + j] *= x[i * ld + j];
}

static tamis_status rotate(void *arg, uint64_t item, unsigned slot, unsigned worker,
                           tamis_error *err)
{
    (void)slot, (void)worker;
    const sums *s = arg;
    const tile *t = &s->rotation.tile[item];
    const tamis__basis *b = basis_of(s, t->layer, t->side);
    double *out = turned_of(s, t->layer, t->side) + t->column;
    if (b->blocks) {
        uint64_t first = b->first[t->block], w = b->first[t->block + 1] - first;
        out += first;
        TAMIS_TRY(tamis__dgemm(false, true, s->block.tokens, t->columns, w, 1.0,
                               values_of(s, t->layer, t->side) + first, b->n,
                               b->vectors[t->block] + t->column * w, w, 0.0, out, b->n, err));
    }
    if (s->block.single) square(out, s->block.tokens, t->columns, b->n);
    return TAMIS_OK;
}

/* One token a row: a row's matrix has rank one, and the sum of squares is a product of squares. */
static tamis_status add_products(const sums *s, const tile *t, const double *d, const double *a,
                                 uint64_t out, uint64_t in, double *lambda, tamis_error *err)
{
    return tamis__dgemm(true, false, t->rows, t->columns, s->block.tokens, 1.0, d, out, a, in, 1.0,
                        lambda, in, err);
}

static tamis_status add_square(const sums *s, uint64_t rows, uint64_t columns, const double *d,
                               const double *a, uint64_t out, uint64_t in, double *lambda,
                               double *one, tamis_error *err)
{
    const uint64_t *offset = s->pass->tokens->offset + s->block.first;
    for (uint64_t r = 0; r < s->block.rows; r++) {
        uint64_t at = offset[r] - s->block.first_token, n = offset[r + 1] - offset[r];
        if (n == 0) continue;
        TAMIS_TRY(tamis__dgemm(true, false, rows, columns, n, 1.0, d + at * out, out, a + at * in,
                               in, 0.0, one, columns, err));
        for (uint64_t i = 0; i < rows; i++)
            for (uint64_t j = 0; j < columns; j++)
                lambda[i * in + j] += one[i * columns + j] * one[i * columns + j];
    }
    return TAMIS_OK;
}

static tamis_status add_rows(const sums *s, const tile *t, const double *d, const double *a,
                             uint64_t out, uint64_t in, double *lambda, double *one,
                             tamis_error *err)
{
    for (uint64_t i = 0; i < t->rows; i += SQUARE)
        for (uint64_t j = 0; j < t->columns; j += SQUARE)
            TAMIS_TRY(add_square(s, smaller(SQUARE, t->rows - i), smaller(SQUARE, t->columns - j),
                                 d + i, a + j, out, in, lambda + i * in + j, one, err));
    return TAMIS_OK;
}

static tamis_status add_lambda(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot;
    const sums *s = arg;
    const tile *t = &s->product.tile[item];
    uint64_t out = basis_of(s, t->layer, OUTPUT)->n, in = basis_of(s, t->layer, INPUT)->n;
    const double *d = turned_of(s, t->layer, OUTPUT) + t->row,
                 *a = turned_of(s, t->layer, INPUT) + t->column;
    double *lambda = s->pass->factors[t->layer].lambda + t->row * in + t->column;
    if (s->block.single) return add_products(s, t, d, a, out, in, lambda, err);
    return add_rows(s, t, d, a, out, in, lambda, s->square + (size_t)worker * SQUARE * SQUARE, err);
}

/* --- the pass --------------------------------------------------------------------------------- */

static tamis_status run_items(sums *s, uint64_t items,
                              tamis_status (*work)(void *, uint64_t, unsigned, unsigned,
                                                   tamis_error *),
                              tamis_error *err)
{
    tamis__pipeline p = {.arg = s, .items = items, .work = work};
    return tamis__pool_run(s->pass->context->pool, &p, err);
}

static tamis_status add_batch(sums *s, tamis_error *err)
{
    uint64_t pieces = (s->block.tokens + FILL_TOKENS - 1) / FILL_TOKENS;
    cut_batch(s);
    TAMIS_TRY(run_items(s, pieces * s->layers, fill, err));
    if (s->lambda) {
        TAMIS_TRY(run_items(s, s->rotation.n, rotate, err));
        return run_items(s, s->product.n, add_lambda, err);
    }
    if (s->pass->tokens->rows_per_example > 1) TAMIS_TRY(run_items(s, s->layers, keep_first, err));
    return run_items(s, s->product.n, add_covariance, err);
}

/* Columns of a layer's values in a block. */
static uint64_t width(const tamis__kronecker *f)
{
    return f->output.n + f->input.n;
}

/* Layers from `first` on that share the buffers; how wide they are together. */
static uint32_t batch_of(const sums *s, uint32_t first, uint64_t *ret_out, uint64_t *ret_in)
{
    const tamis__pass *p = s->pass;
    uint64_t each = s->capacity * sizeof(double) * (s->lambda ? 2 : 1), columns = 0;
    uint32_t n = 0;
    *ret_out = *ret_in = 0;
    for (uint32_t l = first; l < p->n; l++, n++) {
        columns += width(&p->factors[l]);
        if (n > 0 && columns * each > p->buffers) break;
        *ret_out += p->factors[l].output.n;
        *ret_in += p->factors[l].input.n;
    }
    return n;
}

static tamis_status add_blocks(sums *s, tamis_error *err)
{
    const tamis__pass *p = s->pass;
    const tamis__tokens *tokens = p->tokens;
    uint64_t out, in;
    for (uint64_t row = p->first_row; row < tokens->rows; row += s->block.rows) {
        s->block = tamis__tokens_block(tokens, row);
        s->inputs = count_inputs(s);
        for (s->first = 0; s->first < p->n && s->block.tokens; s->first += s->layers) {
            s->layers = batch_of(s, s->first, &out, &in);
            TAMIS_TRY(add_batch(s, err));
        }
        uint64_t next = row + s->block.rows;
        if (p->after) TAMIS_TRY(p->after(p->arg, next, err));
        TAMIS_TRY(tamis__progress(p->context, p->phase, next, tokens->rows, "rows", p->note, err));
    }
    return TAMIS_OK;
}

/* The most of each kind that a batch needs. */
static tamis_status reserve(sums *s, tamis_error *err)
{
    const tamis__pass *p = s->pass;
    uint64_t most_out = 0, most_in = 0, out, in;
    size_t rotations = 0, products = 0;
    bool turned = false;
    for (s->first = 0; s->first < p->n; s->first += s->layers) {
        s->layers = batch_of(s, s->first, &out, &in);
        cut_batch(s);
        most_out = out > most_out ? out : most_out;
        most_in = in > most_in ? in : most_in;
        rotations = s->rotation.n > rotations ? s->rotation.n : rotations;
        products = s->product.n > products ? s->product.n : products;
        for (uint32_t l = s->first; l < s->first + s->layers; l++)
            turned |= basis_of(s, l, OUTPUT)->blocks != 0;
    }
    turned &= s->lambda;
    const uint64_t columns[2] = {[OUTPUT] = most_out, [INPUT] = most_in};
    bool good = true;
    for (int side = 0; side < 2; side++) {
        s->read[side] = tamis__aligned(columns[side] * s->capacity, sizeof(double));
        if (turned) s->turned[side] = tamis__aligned(columns[side] * s->capacity, sizeof(double));
        good &= s->read[side] && (!turned || s->turned[side]);
    }
    if (s->lambda)
        s->square = tamis__aligned((size_t)tamis_context_threads(p->context) * SQUARE * SQUARE,
                                   sizeof *s->square);
    s->rotation.tile = tamis__malloc(rotations, sizeof(tile));
    s->product.tile = tamis__malloc(products, sizeof(tile));
    good &= s->rotation.tile && s->product.tile && (!s->lambda || s->square);
    if (good) return TAMIS_OK;
    return tamis__fail_memory(err, "a block of tokens",
                              (most_out + most_in) * s->capacity * sizeof(double));
}

uint64_t tamis__pass_bytes(const tamis_context *context, const tamis_layer *layer,
                           uint64_t capacity)
{
    uint64_t width = layer->out + layer->in + layer->bias;
    return 2 * width * capacity * sizeof(double) +
           tamis_context_threads(context) * (uint64_t)SQUARE * SQUARE * sizeof(double);
}

static tamis_status run_pass(const tamis__pass *pass, bool lambda, tamis_error *err)
{
    sums s = {.pass = pass, .lambda = lambda, .capacity = tamis__tokens_capacity(pass->tokens)};
    tamis_status status = reserve(&s, err);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = add_blocks(&s, err);
    tamis__blas_end();
    for (int side = 0; side < 2; side++) {
        free(s.read[side]);
        free(s.turned[side]);
    }
    free(s.square);
    free(s.rotation.tile);
    free(s.product.tile);
    return status;
}

static tamis_status refuse(const tamis__kronecker *f, const char *what, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "layer '%s': the sum of squares of its %s is not finite: values are too "
                       "large, or not finite themselves",
                       f->layer.name, what);
}

static bool finite_trace(const tamis__basis *basis)
{
    double trace = 0;
    for (uint32_t b = 0; b < basis->blocks; b++) {
        uint64_t w = basis->first[b + 1] - basis->first[b];
        for (uint64_t i = 0; i < w; i++) trace += basis->vectors[b][i * w + i];
    }
    return isfinite(trace);
}

tamis_status tamis__pass_covariance(const tamis__pass *pass, tamis_error *err)
{
    TAMIS_TRY(run_pass(pass, false, err));
    for (uint32_t l = 0; l < pass->n; l++) {
        const tamis__kronecker *f = &pass->factors[l];
        if (!finite_trace(&f->output)) return refuse(f, "output gradients", err);
        if (!finite_trace(&f->input)) return refuse(f, "inputs", err);
    }
    return TAMIS_OK;
}

tamis_status tamis__pass_lambda(const tamis__pass *pass, tamis_error *err)
{
    TAMIS_TRY(run_pass(pass, true, err));
    for (uint32_t l = 0; l < pass->n; l++) {
        const tamis__kronecker *f = &pass->factors[l];
        double sum = 0;
        for (uint64_t i = 0; i < tamis_layer_columns(&f->layer); i++) sum += f->lambda[i];
        if (!isfinite(sum)) return refuse(f, "gradients", err);
    }
    return TAMIS_OK;
}
