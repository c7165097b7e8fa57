/* Stores with groups, labels and outputs, scorers run on them, and files compared.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_SCENE_H
#define TAMIS_TEST_SCENE_H

#include "stream/stores.h"

#include <tamis/score.h>

#include "base/mem.h"

/* What a plan of stores.h does not say. */
typedef struct extras {
    const int32_t *group, *label;  /* [rows] or NULL */
    const char *const *group_name; /* [groups] */
    uint32_t groups, classes;
    const float *margin[3];      /* [checkpoints] of [rows]; NULL = no outputs */
    const float *probability[3]; /* [checkpoints] of [rows, classes]; NULL = none */
    const float *gradient[3];    /* instead of the plan's values */
    const char *function;
    const double *rate; /* [checkpoints] instead of the plan's */
} extras;

static inline float *plan_values(const store_plan *p, uint32_t k)
{
    float *values = calloc(p->rows * p->columns, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (uint64_t i = 0; i < p->rows; i++)
        for (uint64_t c = 0; c < p->columns; c++)
            values[i * p->columns + c] = plan_value(p, k, i, c);
    return values;
}

static inline void write_rich(tamis_context *context, const store_plan *p, const extras *e)
{
    tamis_layer layers[2];
    tamis_checkpoint checkpoint[3];
    float *own[3] = {0};
    const float *gradient[3] = {0};
    uint64_t *id = calloc(p->rows, sizeof *id);
    memcpy(checkpoint, plan_checkpoints, sizeof checkpoint);
    for (uint64_t i = 0; i < p->rows; i++) id[i] = 7000 + i;
    for (uint32_t k = 0; k < p->checkpoints; k++) {
        if (e->rate) checkpoint[k].learning_rate = e->rate[k];
        gradient[k] = e->gradient[k] ? e->gradient[k] : (own[k] = plan_values(p, k));
    }
    tamis_store_spec spec = {.path = p->path,
                             .dtype = p->dtype,
                             .rows = p->rows,
                             .layer = layers,
                             .layers = plan_layers(p, layers),
                             .checkpoint = checkpoint,
                             .checkpoints = p->checkpoints,
                             .classes = e->probability[0] ? e->classes : 0,
                             .outputs = e->margin[0] != NULL,
                             .shard_rows = p->shard_rows,
                             .function = e->function,
                             .force = true};
    tamis_examples examples = {.id_number = id,
                               .group = e->group,
                               .group_name = e->group_name,
                               .groups = e->groups,
                               .label = e->label};
    tamis_store_writer *writer = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(
        writer, p->rows, gradient, &examples, e->margin[0] ? e->margin : NULL,
        e->margin[0] ? e->margin : NULL, e->probability[0] ? e->probability : NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    for (uint32_t k = 0; k < p->checkpoints; k++) free(own[k]);
    free(id);
}

static inline tamis_store *open_store(tamis_context *context, const char *path)
{
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

static inline tamis_store *make_rich(tamis_context *context, const store_plan *p, const extras *e)
{
    write_rich(context, p, e);
    return open_store(context, p->path);
}

/* The whole file; the caller frees it. */
static inline char *file_bytes(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*ret_size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *ret_size, file), *ret_size);
    fclose(file);
    return bytes;
}

static inline void ck_same_bytes(const char *a, const char *b)
{
    size_t n, m;
    char *left = file_bytes(a, &n), *right = file_bytes(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_int_eq(memcmp(left, right, n), 0);
    free(left);
    free(right);
}

/* Replace the first place in a file where `old` is. */
static inline void patch_file(const char *path, const void *old, const void *new, size_t size)
{
    size_t n;
    char *bytes = file_bytes(path, &n), *at = memmem(bytes, n, old, size);
    ck_assert_ptr_nonnull(at);
    memcpy(at, new, size);
    FILE *file = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
    free(bytes);
}

/* Make a row of a store of one file not a number at the first checkpoint: its values and its
 * norm. */
static inline void poison(tamis_context *context, const store_plan *p, uint64_t row)
{
    const float *norms;
    float old[2] = {plan_value(p, 0, row, 0), plan_value(p, 0, row, 1)}, bad[2] = {NAN, NAN};
    tamis_store *store = open_store(context, p->path);
    ck_ok(tamis_store_norms(store, 0, &norms, &err));
    float norm[2] = {norms[row], norms[row + 1]}, bad_norm[2] = {NAN, norms[row + 1]};
    tamis_store_close(&store);
    patch_file(p->path, old, bad, sizeof old);
    patch_file(p->path, norm, bad_norm, sizeof norm);
}

static inline tamis_status score_to(tamis_context *context, const char *scorer, tamis_store *train,
                                    tamis_store *query, const char *path, bool skip_bad_rows)
{
    tamis_score_params params = {.scorer = scorer,
                                 .train = train,
                                 .query = query,
                                 .path = path,
                                 .seed = 11,
                                 .skip_bad_rows = skip_bad_rows,
                                 .force = true};
    return tamis_score(context, &params, NULL, &err);
}

/* The whole matrix of a file with so many columns. */
static inline float *load_scores(tamis_context *context, const char *path, uint64_t queries)
{
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, context, path, &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert_uint_eq(info->queries, queries);
    float *values = calloc(info->rows * queries, sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_ok(tamis_scores_read(scores, 0, info->rows, 0, queries, values, queries, &err));
    tamis_scores_close(&scores);
    return values;
}

static inline float *score_now(tamis_context *context, const char *scorer, tamis_store *train,
                               tamis_store *query, uint64_t queries)
{
    ck_ok(score_to(context, scorer, train, query, "s.h5", false));
    return load_scores(context, "s.h5", queries);
}

/* The same bytes for other numbers of threads, memory limits and shards. The stores are t.h5, its
 * copy in "shards", and q.h5 if there is a query. The memory limit is the smallest that does. */
static inline void ck_same_bits(const char *scorer, bool query)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    uint64_t memory = 4096;
    for (int i = 0; i < 9; i++) {
        tamis_context *context = make_context(threads[i / 2 % 4], i < 8 ? 0 : memory);
        tamis_store *t = open_store(context, i % 2 ? "shards" : "t.h5"),
                    *q = query ? open_store(context, "q.h5") : NULL;
        tamis_status status = score_to(context, scorer, t, q, i ? "other.h5" : "s.h5", false);
        if (i == 8 && status == TAMIS_ERR_NOMEM) {
            memory += memory / 4;
            i--;
        } else {
            ck_ok(status);
        }
        if (i && status == TAMIS_OK) ck_same_bytes("s.h5", "other.h5");
        tamis_store_close(&t);
        tamis_store_close(&q);
        tamis_context_destroy(&context);
    }
}

/* Every allocation and every write fails once: a message, and nothing left. */
static inline void ck_faults(tamis_context *context, const char *scorer, tamis_store *train,
                             tamis_store *query)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            ck_assert_int_lt(n, 3000);
            err = (tamis_error){0};
            faults[f](n);
            tamis_status status = score_to(context, scorer, train, query, "faults.h5", false);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
}

static inline int cancel_at(void *cookie, const char *phase, uint64_t done, uint64_t total,
                            const char *unit, const char *note)
{
    (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, cookie);
}

/* A cancelled run says so and leaves nothing. */
static inline void ck_cancels(const char *scorer, bool query, const char *phase)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s", phase);
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = 2, .progress = cancel_at, .cookie = wanted};
    ck_ok(tamis_context_create(&context, &params, &err));
    tamis_store *t = open_store(context, "t.h5"), *q = query ? open_store(context, "q.h5") : NULL;
    ck_fails(score_to(context, scorer, t, q, "cancelled.h5", false), TAMIS_ERR_CANCELLED, phase);
    ck_assert_int_ne(access("cancelled.h5", F_OK), 0);
    ck_assert_int_ne(access("cancelled.h5.part", F_OK), 0);
    tamis_store_close(&t);
    tamis_store_close(&q);
    tamis_context_destroy(&context);
}

#endif
