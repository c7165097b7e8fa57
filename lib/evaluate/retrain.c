/* Retraining: every run on one thread, as many at once as there are threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/retrain.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "evaluate/journal.h"
#include "evaluate/statistics.h"
#include "linalg/blas.h"
#include "model/object.h"
#include "model/train.h"

struct retraining;

typedef struct worker {
    struct retraining *of;
    tamis_context *context; /* its own, of one thread */
    uint64_t *row;          /* [rows of the data] */
    bool caller;            /* the thread that called the library: it may report */
} worker;

typedef struct retraining {
    tamis_context *context;
    const tamis_retrain_params *params;
    const tamis__run *run;
    uint64_t runs, queries;
    worker *worker; /* [threads] */
    tamis_retrained out;
    tamis__journal journal;
    uint64_t *key;     /* [runs] */
    uint64_t *by_key;  /* [runs] runs by ascending key */
    bool *done;        /* [runs] */
    uint64_t *missing; /* [n_missing] runs to train, ascending */
    uint64_t n_missing, finished;
    atomic_bool stop;
} retraining;

/* --- keys ------------------------------------------------------------------------------------- */

static uint64_t data_digest(const tamis_data *data, uint64_t digest)
{
    const uint64_t shape[] = {data->rows, data->columns, data->classes};
    digest = tamis__digest_seeded(shape, sizeof shape, digest);
    digest = tamis__digest_seeded(data->x, (size_t)(data->rows * data->columns) * sizeof(float),
                                  digest);
    return tamis__digest_seeded(data->label, (size_t)data->rows * sizeof *data->label, digest);
}

/* Of everything that all runs have in common. */
static uint64_t common_key(const tamis_retrain_params *params)
{
    const tamis_train_params *t = params->train;
    char text[512];
    int used = snprintf(text, sizeof text,
                        "%d %" PRIx64 " %d %" PRIu32 " %" PRIu32 " %a %a %a %a %a %a %d %" PRIu64,
                        (int)t->activation, t->no_bias, (int)t->optimizer, t->epochs, t->batch,
                        t->learning_rate, t->momentum, t->weight_decay, t->beta1, t->beta2,
                        t->epsilon, t->standardise, t->seed);
    uint64_t digest = tamis__digest(text, (size_t)used);
    digest = tamis__digest_seeded(t->hidden, t->hidden_layers * sizeof *t->hidden, digest);
    return data_digest(params->query, data_digest(params->data, digest));
}

/* Where no row is left out, places are of no account. */
static uint64_t run_key(const retraining *r, const tamis__run *run)
{
    uint64_t rows = r->params->data->rows;
    bool all = !memchr(run->member, 0, (size_t)rows);
    const uint64_t rest[] = {run->seed, r->params->in_place && !all};
    uint64_t digest = tamis__digest(run->member, (size_t)rows);
    return tamis__digest_seeded(rest, sizeof rest, digest);
}

static int by_key(const void *left, const void *right, void *keys)
{
    const uint64_t *key = keys;
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    if (key[a] != key[b]) return key[a] < key[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* --- one run ---------------------------------------------------------------------------------- */

static tamis__run_values values_of(const retraining *r, uint64_t run)
{
    size_t at = (size_t)(run * r->queries);
    return (tamis__run_values){r->out.loss + at, r->out.margin + at, r->out.correct + at};
}

static tamis_status measure(const tamis_model *model, const tamis_data *query,
                            const tamis__run_values *into, tamis_error *err)
{
    tamis__network network = tamis__model_network(model, model->info.checkpoints - 1);
    tamis__batch batch;
    TAMIS_TRY(tamis__batch_init(&batch, &network, TAMIS__GROUP_ROWS, false, err));
    tamis_status status = TAMIS_OK;
    for (uint64_t first = 0; first < query->rows && status == TAMIS_OK;
         first += TAMIS__GROUP_ROWS) {
        uint64_t left = query->rows - first;
        tamis__batch_load(&batch, &network, query, NULL, first,
                          (size_t)(left < TAMIS__GROUP_ROWS ? left : TAMIS__GROUP_ROWS));
        status = tamis__forward(&batch, &network, err);
        if (status != TAMIS_OK) break;
        (void)tamis__cross_entropy(&batch, &network, 1.0f);
        for (size_t i = 0; i < batch.rows && status == TAMIS_OK; i++) {
            into->loss[first + i] = (double)batch.loss[i];
            into->margin[first + i] = (double)batch.margin[i];
            into->correct[first + i] = tamis__predicted(&batch, &network, i) == batch.label[i];
            if (!isfinite(batch.loss[i]) || !isfinite(batch.margin[i]))
                status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                                     "the loss of query %" PRIu64 " is not finite", first + i);
        }
    }
    tamis__batch_fini(&batch);
    return status;
}

static tamis_status train_one(void *arg, uint64_t item, unsigned slot, unsigned number,
                              tamis_error *err)
{
    (void)slot;
    retraining *r = arg;
    worker *w = &r->worker[number];
    const tamis__run *run = &r->run[r->missing[item]];
    tamis_train_params train = *r->params->train;
    tamis__train_rows rows = {.row = w->row, .in_place = r->params->in_place};
    tamis__run_values values = values_of(r, r->missing[item]);
    tamis_model *model = NULL;
    train.seed += run->seed;
    train.checkpoint_every = 0;
    train.provenance = NULL;
    for (uint64_t i = 0; i < r->params->data->rows; i++)
        if (run->member[i]) w->row[rows.rows++] = i;
    tamis_status status = tamis__train(&model, w->context, &train, r->params->data, &rows, NULL,
                                       err);
    if (status == TAMIS_OK) status = measure(model, r->params->query, &values, err);
    tamis_model_free(&model);
    if (status == TAMIS_OK) return TAMIS_OK;
    return tamis__prefix(err, status, "subset %" PRIu64 ", seed %" PRIu64, run->subset, train.seed);
}

static tamis_status tell(const retraining *r, tamis_error *err)
{
    return tamis__progress(r->context, "retraining", r->out.reused + r->finished, r->runs, "runs",
                           NULL, err);
}

static tamis_status keep_one(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    retraining *r = arg;
    uint64_t run = r->missing[item];
    tamis__run_values values = values_of(r, run);
    if (r->journal.path) TAMIS_TRY(tamis__journal_add(&r->journal, r->key[run], &values, err));
    r->finished++;
    return tell(r, err);
}

/* Called from within a training. Only the caller's thread may ask whether to stop. */
static int on_progress(void *cookie, const char *phase, uint64_t done, uint64_t total,
                       const char *unit, const char *note)
{
    const worker *w = cookie;
    retraining *r = w->of;
    (void)phase;
    (void)done;
    (void)total;
    (void)unit;
    (void)note;
    if (w->caller && tell(r, NULL) != TAMIS_OK) atomic_store(&r->stop, true);
    return atomic_load(&r->stop);
}

/* --- all runs --------------------------------------------------------------------------------- */

static tamis_status check(const tamis_retrain_params *params, tamis_error *err)
{
    const tamis_data *data = params->data, *query = params->query;
    if (!data->label || !query->label)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "retraining needs labels of rows and of queries");
    if (query->columns != data->columns || query->classes != data->classes)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the queries have %" PRIu64 " columns and %" PRIu32
                           " classes, the training rows %" PRIu64 " and %" PRIu32,
                           query->columns, query->classes, data->columns, data->classes);
    return tamis__data_check(query, data->columns, data->classes, err);
}

static tamis_status make_workers(retraining *r, tamis_error *err)
{
    unsigned threads = tamis_context_threads(r->context);
    r->worker = tamis__calloc(threads, sizeof *r->worker);
    if (!r->worker) return tamis__fail_memory(err, "workers", threads * sizeof *r->worker);
    for (unsigned i = 0; i < threads; i++) {
        worker *w = &r->worker[i];
        *w = (worker){.of = r, .caller = i == 0};
        tamis_context_params params = {.threads = 1,
                                       .memory = r->context->memory / threads,
                                       .limit_cpu = true,
                                       .cpu_mask = r->context->cpu,
                                       .progress = on_progress,
                                       .cookie = w};
        TAMIS_TRY(tamis_context_create(&w->context, &params, err));
        w->row = tamis__malloc((size_t)r->params->data->rows, sizeof *w->row);
        if (!w->row) return tamis__fail_memory(err, "workers", r->params->data->rows * 8);
    }
    return TAMIS_OK;
}

static void free_workers(retraining *r)
{
    for (unsigned i = 0; r->worker && i < tamis_context_threads(r->context); i++) {
        tamis_context_destroy(&r->worker[i].context);
        free(r->worker[i].row);
    }
    free(r->worker);
}

static tamis_status make_outputs(retraining *r, tamis_error *err)
{
    uint64_t values = r->runs * r->queries, bytes = values * 17 + r->runs * 25;
    TAMIS_TRY(tamis__memory_check(r->context, bytes, "losses of retrained models", err));
    r->out = (tamis_retrained){.subsets = r->runs, .seeds = 1, .queries = r->queries};
    r->out.loss = tamis__calloc((size_t)values, sizeof(double));
    r->out.margin = tamis__calloc((size_t)values, sizeof(double));
    r->out.correct = tamis__calloc((size_t)values, 1);
    r->key = tamis__calloc((size_t)r->runs, sizeof *r->key);
    r->by_key = tamis__calloc((size_t)r->runs, sizeof *r->by_key);
    r->missing = tamis__calloc((size_t)r->runs, sizeof *r->missing);
    r->done = tamis__calloc((size_t)r->runs, sizeof *r->done);
    if (!r->out.loss || !r->out.margin || !r->out.correct || !r->key || !r->by_key || !r->missing ||
        !r->done)
        return tamis__fail_memory(err, "losses of retrained models", bytes);
    for (uint64_t i = 0; i < r->runs; i++) {
        r->key[i] = run_key(r, &r->run[i]);
        r->by_key[i] = i;
    }
    qsort_r(r->by_key, (size_t)r->runs, sizeof *r->by_key, by_key, r->key);
    return TAMIS_OK;
}

/* A run of the file: whoever is to make it has it. */
static void take_run(void *arg, uint64_t key, const tamis__run_values *values)
{
    retraining *r = arg;
    uint64_t low = 0, high = r->runs;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (r->key[r->by_key[middle]] < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < r->runs && r->key[r->by_key[low]] == key; low++) {
        uint64_t run = r->by_key[low];
        tamis__run_values into = values_of(r, run);
        memcpy(into.loss, values->loss, (size_t)r->queries * sizeof(double));
        memcpy(into.margin, values->margin, (size_t)r->queries * sizeof(double));
        memcpy(into.correct, values->correct, (size_t)r->queries);
        r->out.reused += !r->done[run];
        r->done[run] = true;
    }
}

static tamis_status run_all(retraining *r, tamis_error *err)
{
    TAMIS_TRY(make_outputs(r, err));
    if (r->params->runs) {
        TAMIS_TRY(tamis__journal_open(&r->journal, r->context, r->params->runs,
                                      common_key(r->params), r->queries, err));
        TAMIS_TRY(tamis__journal_recover(&r->journal, take_run, r, err));
    }
    for (uint64_t i = 0; i < r->runs; i++)
        if (!r->done[i]) r->missing[r->n_missing++] = i;
    if (r->n_missing == 0) return TAMIS_OK;
    TAMIS_TRY(make_workers(r, err));
    tamis__pipeline pipeline = {
        .arg = r, .items = r->n_missing, .work = train_one, .consume = keep_one};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(r->context->pool, &pipeline, err);
    tamis__blas_end();
    return status;
}

tamis_status tamis__retrain(tamis_retrained *ret_retrained, tamis_context *context,
                            const tamis_retrain_params *params, const tamis__run *run,
                            uint64_t runs, tamis_error *err)
{
    TAMIS_TRY(check(params, err));
    retraining r = {.context = context,
                    .params = params,
                    .run = run,
                    .runs = runs,
                    .queries = params->query->rows};
    tamis_status status = run_all(&r, err);
    tamis__journal_close(&r.journal);
    free_workers(&r);
    free(r.key);
    free(r.by_key);
    free(r.missing);
    free(r.done);
    if (status == TAMIS_OK)
        *ret_retrained = r.out;
    else
        tamis_retrained_free(&r.out);
    return status;
}

tamis_status tamis_retrain(tamis_retrained *ret_retrained, tamis_context *context,
                           const tamis_retrain_params *params, const tamis_subsets *subsets,
                           tamis_error *err)
{
    tamis_retrained out = {0};
    uint64_t seeds = params->seeds, runs = 0;
    if (seeds == 0) return tamis__fail(err, TAMIS_ERR_ARG, "at least one seed is needed");
    if (subsets->rows != params->data->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the subsets are of %" PRIu64 " rows, the training data has %" PRIu64,
                           subsets->rows, params->data->rows);
    if (__builtin_mul_overflow(subsets->subsets, seeds, &runs) ||
        runs > UINT64_MAX / sizeof(tamis__run))
        runs = UINT64_MAX / sizeof(tamis__run);
    TAMIS_TRY(tamis__memory_check(context, runs * sizeof(tamis__run), "runs", err));
    tamis__run *run = tamis__calloc((size_t)runs, sizeof *run);
    if (!run) return tamis__fail_memory(err, "runs", runs * sizeof *run);
    for (uint64_t i = 0; i < runs; i++)
        run[i] = (tamis__run){.member = subsets->member + i / seeds * subsets->rows,
                              .seed = i % seeds,
                              .subset = i / seeds};
    tamis_status status = tamis__retrain(&out, context, params, run, runs, err);
    free(run);
    if (status != TAMIS_OK) return status;
    out.subsets = subsets->subsets;
    out.seeds = seeds;
    *ret_retrained = out;
    return TAMIS_OK;
}

void tamis_retrained_free(tamis_retrained *retrained)
{
    free(retrained->loss);
    free(retrained->margin);
    free(retrained->correct);
    *retrained = (tamis_retrained){0};
}

/* --- over the seeds --------------------------------------------------------------------------- */

static double output_at(const tamis_retrained *r, tamis_output output, uint64_t subset,
                        uint64_t seed, uint64_t query)
{
    size_t at = (size_t)((subset * r->seeds + seed) * r->queries + query);
    return output == TAMIS_OUTPUT_LOSS ? -r->loss[at] : r->margin[at];
}

void tamis_retrained_mean(const tamis_retrained *retrained, tamis_output output,
                          double *ret_outputs)
{
    const tamis_retrained *r = retrained;
    for (uint64_t j = 0; j < r->subsets; j++)
        for (uint64_t q = 0; q < r->queries; q++) {
            double sum = 0;
            for (uint64_t s = 0; s < r->seeds; s++) sum += output_at(r, output, j, s, q);
            ret_outputs[j * r->queries + q] = sum / (double)r->seeds;
        }
}

/* Mean rank correlation of a query's outputs between two seeds. */
static double mean_between_seeds(const tamis_retrained *r, tamis_output output, uint64_t query,
                                 double *rank, double *value, uint32_t *order)
{
    uint64_t n = r->subsets;
    double sum = 0, one;
    for (uint64_t s = 0; s < r->seeds; s++) {
        for (uint64_t j = 0; j < n; j++) value[j] = output_at(r, output, j, s, query);
        tamis__sort_items(value, n, order);
        tamis__midranks(value, order, NULL, n, rank + s * n);
    }
    for (uint64_t s = 1; s < r->seeds; s++)
        for (uint64_t u = 0; u < s; u++) {
            tamis__correlation(rank + s * n, rank + u * n, NULL, n, &one);
            sum += one;
        }
    return sum / (double)(r->seeds * (r->seeds - 1) / 2);
}

tamis_status tamis_retrained_ceiling(const tamis_retrained *retrained, tamis_output output,
                                     double *ret_ceiling, tamis_error *err)
{
    const tamis_retrained *r = retrained;
    double seeds = (double)r->seeds, mean = 0;
    if (r->seeds < 2) {
        *ret_ceiling = (double)NAN;
        return TAMIS_OK;
    }
    double *rank = tamis__calloc((size_t)(r->seeds * r->subsets), sizeof *rank);
    double *value = tamis__calloc((size_t)r->subsets, sizeof *value);
    uint32_t *order = tamis__calloc((size_t)r->subsets, sizeof *order);
    bool there = rank && value && order;
    for (uint64_t q = 0; there && q < r->queries; q++)
        mean += mean_between_seeds(r, output, q, rank, value, order) / (double)r->queries;
    free(rank);
    free(value);
    free(order);
    if (!there) return tamis__fail_memory(err, "ranks", r->seeds * r->subsets * sizeof *rank);
    *ret_ceiling = mean > 0 ? sqrt(seeds * mean / (1 + (seeds - 1) * mean)) : 0;
    return TAMIS_OK;
}
