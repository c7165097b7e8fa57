/* Inspection of gradient stores: every row is read once, in its stored type, by all threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "store/inspect_factors.h"
#include "store/inspection.h"
#include "store/store_object.h"
#include "store/store_pages.h"
#include "store/store_writer.h"

/* Stored bytes of a block of rows. */
#define BLOCK_BYTES ((uint64_t)1 << 20)

/* A norm this many times the median is worth a remark. */
#define OUTLIER 100.0

/* What was seen of a row, over the checkpoints. */
enum {
    NOT_ZERO = 1,
    ZERO_SOMEWHERE = 2,
    NOT_FINITE = 4,
    BAD_NORM = 8,
    ROUNDED_AWAY = 16,
    BAD_BIAS = 32
};

typedef struct row_check {
    tamis_context *context;
    tamis_store *store;
    const tamis_store_info *info;
    tamis__kernels kernels;
    uint64_t block_rows;
    uint32_t checkpoint;
    const float *norm;        /* [rows] of this checkpoint, as stored */
    const float *scale;       /* [rows] of this checkpoint; NULL unless i8 */
    const uint64_t *offset;   /* [rows + 1] of this checkpoint, of factors; else NULL */
    tamis__factor_look *look; /* [threads] of factors; else NULL */
    float *wide;              /* [threads][columns] a row as floats */
    uint32_t *narrow; /* [threads][columns] a row in its stored type, when it is not mapped */
    uint64_t *hash;   /* [rows] of the row's bytes in all checkpoints, whatever its number */
    uint8_t *seen;    /* [rows] flags above */
    uint64_t *part;   /* [slots] digest of a block */
    uint64_t digest;  /* of what was read so far */
} row_check;

static uint64_t rows_of(const row_check *c, uint64_t item)
{
    uint64_t left = c->info->rows - item * c->block_rows;
    return left < c->block_rows ? left : c->block_rows;
}

/* How far a stored row's norm may be from the exact one by rounding alone. */
static bool norm_agrees(const row_check *c, uint64_t row, double stored, double found)
{
    double columns = (double)c->info->columns, share = 1e-5, least = 0;
    if (c->info->dtype == TAMIS_BF16) share += 0x1p-8;
    if (c->info->dtype == TAMIS_F16) {
        share += 0x1p-11;
        least = sqrt(columns) * 0x1p-25; /* half of the smallest subnormal, in every column */
    }
    /* Half a step in every column, and what the scale itself is rounded by. */
    if (c->scale) least = sqrt(columns) * 0.505 * (double)c->scale[row];
    return fabs(stored - found) <= share * (stored > found ? stored : found) + least;
}

static uint8_t judge(const row_check *c, uint64_t row, double squares)
{
    double norm = (double)c->norm[row];
    if (!isfinite(squares)) return NOT_FINITE | NOT_ZERO;
    uint8_t seen = squares > 0 ? NOT_ZERO : ZERO_SOMEWHERE;
    if (squares == 0 && norm > 0 && c->info->dtype != TAMIS_F32) return seen | ROUNDED_AWAY;
    if (!isfinite(norm) || !norm_agrees(c, row, norm, sqrt(squares))) seen |= BAD_NORM;
    return seen;
}

/* The row as it is stored, mapped or read, and widened on the way. */
static tamis_status stored_row(const row_check *c, uint64_t row, unsigned worker,
                               const void **ret_stored, tamis_error *err)
{
    uint64_t follow, columns = c->info->columns;
    float *wide = c->wide + (size_t)(worker * columns);
    const void *stored = tamis_store_map(c->store, c->checkpoint, row, &follow);
    if (!stored) {
        void *narrow = c->narrow + (size_t)(worker * columns);
        TAMIS_TRY(tamis__store_stored(c->store, c->checkpoint, row, narrow, err));
        stored = narrow;
    }
    if (c->scale)
        c->kernels.widen_i8(wide, stored, c->scale[row], (size_t)columns);
    else
        tamis__widen(&c->kernels, c->info->dtype, wide, stored, (size_t)columns);
    *ret_stored = stored;
    return TAMIS_OK;
}

/* How far rounding may have moved the norm is known for factors. */
static uint8_t judge_factors(const row_check *c, uint64_t row, const tamis__factor_seen *factors)
{
    double norm = (double)c->norm[row];
    uint8_t seen = factors->bad_bias ? BAD_BIAS : 0;
    if (!isfinite(factors->norm)) return seen | NOT_FINITE | NOT_ZERO;
    seen |= factors->norm > 0 ? NOT_ZERO : ZERO_SOMEWHERE;
    if (factors->norm == 0 && norm > 0 && c->info->dtype != TAMIS_F32) return seen | ROUNDED_AWAY;
    double off = factors->bound + 1e-5 * fmax(norm, factors->norm);
    if (!isfinite(norm) || !(fabs(norm - factors->norm) <= off)) seen |= BAD_NORM;
    return seen;
}

static tamis_status check_factors(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    const row_check *c = arg;
    uint64_t first = item * c->block_rows, rows = rows_of(c, item), digest = 0;
    TAMIS_TRY(tamis__store_rows_there(c->store, first, rows, err));
    for (uint64_t row = first; row < first + rows; row++) {
        tamis__factor_seen seen;
        TAMIS_TRY(tamis__factor_look_at(&c->look[worker], c->store, c->checkpoint, row, c->offset,
                                        &seen, err));
        digest += seen.digest;
        c->hash[row] = tamis__digest_seeded(&seen.hash, sizeof seen.hash, c->hash[row]);
        c->seen[row] |= judge_factors(c, row, &seen);
    }
    uint64_t tokens = c->offset[first + rows] - c->offset[first];
    tamis__store_touched(c->store, tokens * (c->info->input_columns + c->info->output_columns) *
                                       tamis_dtype_size(c->info->dtype));
    c->part[slot] = digest;
    return TAMIS_OK;
}

static tamis_status check_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    const row_check *c = arg;
    uint64_t first = item * c->block_rows, rows = rows_of(c, item), columns = c->info->columns,
             digest = 0;
    size_t size = (size_t)columns * tamis_dtype_size(c->info->dtype);
    TAMIS_TRY(tamis__store_rows_there(c->store, first, rows, err));
    for (uint64_t row = first; row < first + rows; row++) {
        const void *stored;
        TAMIS_TRY(stored_row(c, row, worker, &stored, err));
        const float *scale = c->scale ? &c->scale[row] : NULL;
        digest += tamis__store_rows_digest(stored, scale, 1, row, columns, c->info->dtype,
                                           c->checkpoint);
        c->hash[row] = tamis__digest_seeded(stored, size, c->hash[row]);
        if (scale) c->hash[row] = tamis__digest_seeded(scale, sizeof *scale, c->hash[row]);
        double squares = c->kernels.sum_squares(c->wide + (size_t)(worker * columns),
                                                (size_t)columns);
        c->seen[row] |= judge(c, row, squares);
    }
    tamis__store_touched_rows(c->store, rows, columns);
    c->part[slot] = digest;
    return TAMIS_OK;
}

static tamis_status add_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    row_check *c = arg;
    c->digest += c->part[slot];
    uint64_t done = c->checkpoint * c->info->rows + item * c->block_rows + rows_of(c, item);
    return tamis__progress(c->context, "checking rows", done, c->info->rows * c->info->checkpoints,
                           "rows", NULL, err);
}

/* --- what was found --------------------------------------------------------------------------- */

static tamis_status tell_digest(tamis_inspection *inspection, const row_check *c, tamis_error *err)
{
    if (c->digest == c->info->digest) return TAMIS_OK;
    if (c->info->digest == 0)
        return tamis__finding(inspection, false, "no_digest", 0, err,
                              "no digest was stored to check the rows against");
    return tamis__finding(inspection, true, "digest_mismatch", c->info->rows, err,
                          "the rows are not those that were written (digest %016" PRIx64
                          ", written %016" PRIx64
                          "): the file was damaged or changed, make it again",
                          c->digest, c->info->digest);
}

static tamis_status tell_flag(tamis_inspection *inspection, const row_check *c, bool severe,
                              uint8_t mask, uint8_t wanted, const char *key, const char *what,
                              tamis_error *err)
{
    tamis__culprits culprits = {0};
    for (uint64_t row = 0; row < c->info->rows; row++)
        if ((c->seen[row] & mask) == wanted) tamis__culprit(&culprits, row);
    return tamis__finding_rows(inspection, severe, key, &culprits, "row", what, err);
}

static tamis_status tell_repeats(tamis_inspection *inspection, const row_check *c, tamis_error *err)
{
    bool *zero = tamis__malloc((size_t)c->info->rows, sizeof *zero);
    if (!zero) return tamis__fail_memory(err, "looking for repeats", c->info->rows);
    for (uint64_t row = 0; row < c->info->rows; row++) zero[row] = !(c->seen[row] & NOT_ZERO);
    tamis_status status = tamis__finding_repeats(inspection, false, "duplicate_rows", c->hash, zero,
                                                 c->info->rows, "row",
                                                 "the same, bit for bit, as an earlier one", err);
    free(zero);
    return status;
}

static tamis_status tell_rows(tamis_inspection *inspection, const row_check *c, tamis_error *err)
{
    TAMIS_TRY(tell_digest(inspection, c, err));
    TAMIS_TRY(tell_flag(inspection, c, true, NOT_FINITE, NOT_FINITE, "not_finite",
                        "values that are not finite", err));
    TAMIS_TRY(tell_flag(inspection, c, true, NOT_ZERO | ROUNDED_AWAY, 0, "zero_norm",
                        "all zero, so unwritten or with every label masked", err));
    TAMIS_TRY(tell_flag(inspection, c, true, ROUNDED_AWAY, ROUNDED_AWAY, "rounded_to_zero",
                        "all zero once rounded to the stored type, store them as bf16 or f32",
                        err));
    TAMIS_TRY(tell_flag(inspection, c, false, NOT_ZERO | ZERO_SOMEWHERE | ROUNDED_AWAY,
                        NOT_ZERO | ZERO_SOMEWHERE, "zero_norm_at_checkpoint",
                        "all zero at some checkpoints, not at others", err));
    TAMIS_TRY(tell_flag(inspection, c, true, BAD_NORM, BAD_NORM, "norm_mismatch",
                        "a stored norm that is not the row's", err));
    TAMIS_TRY(tell_flag(inspection, c, true, BAD_BIAS, BAD_BIAS, "bias_not_one",
                        "an input without the 1 of its layer's bias at its end", err));
    return tell_repeats(inspection, c, err);
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return a < b ? -1 : a > b;
}

static tamis_status tell_sorted_norms(tamis_inspection *inspection, const float *norm,
                                      uint64_t rows, const float *sorted, uint64_t n,
                                      tamis_error *err)
{
    tamis__culprits outliers = {0};
    if (n == 0) return TAMIS_OK;
    double median = ((double)sorted[(n - 1) / 2] + (double)sorted[n / 2]) / 2.0;
    TAMIS_TRY(tamis__fact_real(inspection, "norm_min", (double)sorted[0], err));
    TAMIS_TRY(tamis__fact_real(inspection, "norm_median", median, err));
    TAMIS_TRY(tamis__fact_real(inspection, "norm_max", (double)sorted[n - 1], err));
    for (uint64_t row = 0; row < rows && median > 0; row++)
        if ((double)norm[row] > OUTLIER * median) tamis__culprit(&outliers, row);
    return tamis__finding_rows(inspection, false, "norm_outliers", &outliers, "row",
                               "a norm more than 100 times the median", err);
}

/* Of the last checkpoint. */
static tamis_status tell_norms(tamis_inspection *inspection, const row_check *c, tamis_error *err)
{
    uint64_t n = 0;
    float *sorted = tamis__malloc((size_t)c->info->rows, sizeof *sorted);
    if (!sorted) return tamis__fail_memory(err, "sorting norms", c->info->rows * sizeof *sorted);
    for (uint64_t row = 0; row < c->info->rows; row++)
        if (isfinite(c->norm[row])) sorted[n++] = c->norm[row];
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    tamis_status status = tell_sorted_norms(inspection, c->norm, c->info->rows, sorted, n, err);
    free(sorted);
    return status;
}

/* --- the full check --------------------------------------------------------------------------- */

static uint64_t most_tokens(const row_check *c)
{
    uint64_t most = 1;
    for (uint64_t row = 0; row < c->info->rows; row++)
        if (c->offset[row + 1] - c->offset[row] > most) most = c->offset[row + 1] - c->offset[row];
    return most;
}

static bool allocate_scratch(row_check *c, unsigned threads)
{
    if (c->info->form == TAMIS_FORM_FACTORS) {
        c->look = tamis__calloc(threads, sizeof *c->look);
        return c->look != NULL;
    }
    c->wide = tamis__aligned((size_t)(threads * c->info->columns), sizeof *c->wide);
    c->narrow = tamis__aligned((size_t)(threads * c->info->columns), sizeof *c->narrow);
    return c->wide && c->narrow;
}

static tamis_status allocate(row_check *c, unsigned slots, tamis_error *err)
{
    unsigned threads = tamis__pool_threads(c->context->pool);
    uint64_t wide = c->offset ? most_tokens(c) * (c->info->input_columns + c->info->output_columns)
                              : c->info->columns;
    uint64_t scratch = threads * wide * 8, table = c->info->rows * 9 + slots * 8;
    TAMIS_TRY(tamis__memory_check(c->context, scratch + table, "checking a store", err));
    c->hash = tamis__calloc((size_t)c->info->rows, sizeof *c->hash);
    c->seen = tamis__calloc((size_t)c->info->rows, sizeof *c->seen);
    c->part = tamis__calloc(slots, sizeof *c->part);
    if (allocate_scratch(c, threads) && c->hash && c->seen && c->part) return TAMIS_OK;
    return tamis__fail_memory(err, "checking a store", scratch + table);
}

static tamis_status check_rows(row_check *c, const tamis__pipeline *pipeline, tamis_error *err)
{
    for (c->checkpoint = 0; c->checkpoint < c->info->checkpoints; c->checkpoint++) {
        TAMIS_TRY(tamis_store_norms(c->store, c->checkpoint, &c->norm, err));
        TAMIS_TRY(tamis_store_scales(c->store, c->checkpoint, &c->scale, err));
        TAMIS_TRY(tamis_store_tokens(c->store, c->checkpoint, &c->offset, err));
        TAMIS_TRY(tamis__pool_run(c->context->pool, pipeline, err));
    }
    return TAMIS_OK;
}

/* Stored bytes of a row, on average. */
static uint64_t row_bytes(const row_check *c)
{
    uint64_t columns = c->info->columns;
    if (c->offset)
        columns = (c->info->input_columns + c->info->output_columns) *
                  (c->offset[c->info->rows] / c->info->rows + 1);
    return columns * tamis_dtype_size(c->info->dtype);
}

static void check_fini(row_check *c)
{
    for (unsigned i = 0; c->look && i < tamis__pool_threads(c->context->pool); i++)
        tamis__factor_look_fini(&c->look[i]);
    free(c->look);
    free(c->wide);
    free(c->narrow);
    free(c->hash);
    free(c->seen);
    free(c->part);
}

static tamis_status full_check(tamis_inspection *inspection, tamis_context *context,
                               tamis_store *store, tamis_error *err)
{
    row_check c = {.context = context, .store = store, .info = tamis_store_info_get(store)};
    TAMIS_TRY(tamis_store_tokens(store, 0, &c.offset, err));
    uint64_t bytes = row_bytes(&c);
    c.block_rows = bytes < BLOCK_BYTES ? BLOCK_BYTES / bytes : 1;
    tamis__kernels_init(&c.kernels, context->cpu);
    tamis__pipeline pipeline = {
        .arg = &c, .work = c.offset ? check_factors : check_block, .consume = add_block};
    pipeline.items = (c.info->rows + c.block_rows - 1) / c.block_rows;
    tamis_status status = allocate(&c, tamis__pool_slots(context->pool, &pipeline), err);
    if (status == TAMIS_OK) status = check_rows(&c, &pipeline, err);
    if (status == TAMIS_OK) status = tell_norms(inspection, &c, err);
    if (status == TAMIS_OK) status = tell_rows(inspection, &c, err);
    check_fini(&c);
    return status;
}

/* --- facts ------------------------------------------------------------------------------------ */

static tamis_status describe_examples(tamis_inspection *inspection, const tamis_examples *e,
                                      uint64_t rows, tamis_error *err)
{
    uint64_t known = 0;
    for (uint64_t row = 0; e->digest && row < rows; row++) known += e->digest[row] != 0;
    TAMIS_TRY(tamis__fact_text(inspection, "ids", err, "%s",
                               e->id_text     ? "text"
                               : e->id_number ? "numbers"
                                              : "row numbers"));
    TAMIS_TRY(tamis__fact_text(inspection, "labels", err, "%s", e->label ? "yes" : "no"));
    if (e->length) {
        uint64_t tokens = 0;
        for (uint64_t row = 0; row < rows; row++) tokens += e->length[row];
        TAMIS_TRY(tamis__fact_count(inspection, "tokens", tokens, err));
    }
    TAMIS_TRY(tamis__fact_count(inspection, "groups", e->groups, err));
    return tamis__fact_count(inspection, "record_digests", known, err);
}

static tamis_status describe_factors(tamis_inspection *inspection, tamis_store *store,
                                     tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    const uint64_t *offset = NULL;
    uint64_t least = UINT64_MAX, most = 0;
    if (info->form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    TAMIS_TRY(tamis_store_tokens(store, 0, &offset, err));
    for (uint64_t row = 0; row < info->rows; row++) {
        uint64_t tokens = offset[row + 1] - offset[row];
        if (tokens < least) least = tokens;
        if (tokens > most) most = tokens;
    }
    TAMIS_TRY(tamis__fact_text(inspection, "form", err, "%s", "factors"));
    TAMIS_TRY(tamis__fact_count(inspection, "input_columns", info->input_columns, err));
    TAMIS_TRY(tamis__fact_count(inspection, "output_columns", info->output_columns, err));
    TAMIS_TRY(tamis__fact_count(inspection, "tokens", offset[info->rows], err));
    TAMIS_TRY(tamis__fact_count(inspection, "tokens_per_row_least", least, err));
    return tamis__fact_count(inspection, "tokens_per_row_most", most, err);
}

static tamis_status describe_labels(tamis_inspection *inspection, const tamis_store_info *info,
                                    tamis_error *err)
{
    if (info->labels)
        TAMIS_TRY(tamis__fact_text(inspection, "gradients_of_labels", err, "%s", info->labels));
    if (info->label_seed)
        TAMIS_TRY(tamis__fact_count(inspection, "label_seed", info->label_seed, err));
    if (info->rows_per_example == 1) return TAMIS_OK;
    return tamis__fact_count(inspection, "rows_per_example", info->rows_per_example, err);
}

static tamis_status describe(tamis_inspection *inspection, tamis_store *store, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    TAMIS_TRY(tamis__fact_count(inspection, "rows", info->rows, err));
    TAMIS_TRY(tamis__fact_count(inspection, "columns", info->columns, err));
    TAMIS_TRY(tamis__fact_text(inspection, "dtype", err, "%s", tamis_dtype_name(info->dtype)));
    TAMIS_TRY(describe_factors(inspection, store, err));
    TAMIS_TRY(tamis__fact_count(inspection, "shards", info->shards, err));
    TAMIS_TRY(tamis__fact_count(inspection, "classes", info->classes, err));
    if (info->function)
        TAMIS_TRY(tamis__fact_text(inspection, "function", err, "%s", info->function));
    if (info->direction)
        TAMIS_TRY(tamis__fact_text(inspection, "direction", err, "%s", info->direction));
    TAMIS_TRY(describe_labels(inspection, info, err));
    TAMIS_TRY(tamis__fact_text(inspection, "projection", err, "%s",
                               info->projection ? info->projection : "none"));
    if (info->whitening)
        TAMIS_TRY(tamis__fact_text(inspection, "whitening", err, "%s", info->whitening));
    TAMIS_TRY(
        tamis__fact_text(inspection, "digest", err, "rows-xxh3-64:%016" PRIx64, info->digest));
    TAMIS_TRY(describe_examples(inspection, tamis_store_examples(store), info->rows, err));
    TAMIS_TRY(tamis__fact_layers(inspection, info->layer, info->layers, err));
    TAMIS_TRY(tamis__fact_checkpoints(inspection, info->checkpoint, info->checkpoints, err));
    inspection->provenance = tamis__strdup(info->provenance);
    return inspection->provenance ? TAMIS_OK
                                  : tamis__fail_memory(err, "provenance", strlen(info->provenance));
}

tamis_status tamis__inspect_store(tamis_inspection *inspection, tamis_context *context,
                                  const char *path, bool quick, tamis_error *err)
{
    tamis_store *store;
    TAMIS_TRY(tamis_store_open(&store, context, path, err));
    tamis_status status = describe(inspection, store, err);
    if (status == TAMIS_OK && !quick) status = full_check(inspection, context, store, err);
    if (status == TAMIS_OK && !quick)
        status = tamis__finding_ids(inspection, tamis_store_examples(store),
                                    tamis_store_info_get(store)->rows, "row", err);
    tamis_store_close(&store);
    return status;
}
