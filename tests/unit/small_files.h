/* Small contexts, scores files and gradient stores for the tests of several rooms.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_SMALL_FILES_H
#define TAMIS_TEST_SMALL_FILES_H

#include <sys/stat.h>
#include <tamis/scores.h>
#include <tamis/store.h>

#include "base/mem.h"
#include "harness.h"

static inline tamis_context *small_context(unsigned threads)
{
    tamis_error err = {0};
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = threads};
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

static inline bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static inline void ck_float(float found, float wanted)
{
    ck_assert_msg(found == wanted, "%.9g, not %.9g", (double)found, (double)wanted);
}

/* The whole file, ended by a NUL that is not counted. The caller frees it. */
static inline char *slurp(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    ck_assert_uint_eq(fread(bytes, 1, size, file), size);
    bytes[size] = '\0';
    fclose(file);
    if (ret_size) *ret_size = size;
    return bytes;
}

static inline void spill(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert(file != NULL);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* A whole scores file from values [rows, queries]. */
static inline void small_scores(tamis_context *context, const char *path, uint64_t rows,
                                uint64_t queries, const float *values,
                                const tamis_examples *examples, const tamis_examples *query)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = path,
                              .rows = rows,
                              .queries = queries,
                              .scorer = "test",
                              .examples = examples,
                              .query = query,
                              .force = true};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, rows, 0, queries, values, queries, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
}

/* A file of lists, [queries, top] and [queries, bottom] (0 = none). As many rows have no score as
 * leave the first list its length. */
static inline void small_lists(tamis_context *context, const char *path, uint64_t rows,
                               uint64_t queries, uint64_t top, const uint64_t *row,
                               const float *score, uint64_t bottom, const uint64_t *bottom_row,
                               const float *bottom_score)
{
    tamis_error err = {0};
    tamis_scores_writer *writer = NULL;
    uint64_t taken = 0;
    tamis_scores_spec spec = {.path = path,
                              .rows = rows,
                              .queries = queries,
                              .scorer = "test",
                              .force = true,
                              .top = top,
                              .bottom = bottom};
    while (taken < top && row[taken] != TAMIS_SCORES_NO_ROW) taken++;
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    if (taken < top) ck_ok(tamis_scores_writer_put_skipped(writer, rows - taken, &err));
    ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_TOP, 0, queries, row, score, &err));
    if (bottom > 0)
        ck_ok(tamis_scores_writer_put_list(writer, TAMIS_SCORES_BOTTOM, 0, queries, bottom_row,
                                           bottom_score, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
}

/* The same with values that the writer refuses, NaN beside numbers: as a file made elsewhere. */
static inline void foreign_scores(tamis_context *context, const char *path, uint64_t rows,
                                  uint64_t queries, const float *values,
                                  const tamis_examples *examples, const tamis_examples *query)
{
    size_t size, n = rows * queries;
    float *numbers = calloc(n, sizeof *numbers);
    for (size_t i = 0; i < n; i++) numbers[i] = 123.0f + (float)i;
    small_scores(context, path, rows, queries, numbers, examples, query);
    char *bytes = slurp(path, &size);
    char *at = memmem(bytes, size, numbers, n * sizeof *numbers);
    ck_assert_ptr_nonnull(at);
    memcpy(at, values, n * sizeof *values);
    spill(path, bytes, size);
    free(bytes);
    free(numbers);
}

/* A gradient store of one layer with `checkpoints` checkpoints, learning rates 0.1, 0.2, ... and
 * the same rows [rows, columns] times 1, 2, ... at each; loss = row number, margin = minus that. */
static inline void small_store(tamis_context *context, const char *path, tamis_dtype dtype,
                               uint64_t rows, uint64_t columns, uint32_t checkpoints,
                               const float *values, const tamis_examples *examples,
                               uint64_t shard_rows)
{
    tamis_error err = {0};
    tamis_store_writer *writer = NULL;
    tamis_layer layer = {.name = "rows", .out = 1, .in = columns};
    tamis_checkpoint *checkpoint = calloc(checkpoints, sizeof *checkpoint);
    float **gradient = calloc(checkpoints, sizeof *gradient);
    const float **loss = calloc(checkpoints, sizeof *loss),
                **margin = calloc(checkpoints, sizeof *margin);
    float *up = calloc(rows, sizeof *up), *down = calloc(rows, sizeof *down);
    for (uint64_t i = 0; i < rows; i++) {
        up[i] = (float)i;
        down[i] = -(float)i;
    }
    for (uint32_t k = 0; k < checkpoints; k++) {
        checkpoint[k] = (tamis_checkpoint){.step = 10 * (k + 1), .learning_rate = 0.1 * (k + 1)};
        gradient[k] = calloc(rows * columns, sizeof **gradient);
        for (uint64_t i = 0; i < rows * columns; i++) gradient[k][i] = values[i] * (float)(k + 1);
        loss[k] = up;
        margin[k] = down;
    }
    tamis_store_spec spec = {.path = path,
                             .dtype = dtype,
                             .rows = rows,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = checkpoint,
                             .checkpoints = checkpoints,
                             .outputs = true,
                             .shard_rows = shard_rows,
                             .force = true};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, rows, (const float *const *)gradient, examples, loss,
                                    margin, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    for (uint32_t k = 0; k < checkpoints; k++) free(gradient[k]);
    free(checkpoint);
    free(gradient);
    free(loss);
    free(margin);
    free(up);
    free(down);
}

static inline void ck_same_files(const char *a, const char *b)
{
    size_t na, nb;
    char *left = slurp(a, &na), *right = slurp(b, &nb);
    ck_assert_uint_eq(na, nb);
    ck_assert_int_eq(memcmp(left, right, na), 0);
    free(left);
    free(right);
}

/* Let the first n operations succeed, for n = 0, 1, 2 ..., until the call does; every failure must
 * say why and leave neither `path` nor its temporary behind. */
#define ck_survives(fault, call, path)                                                             \
    do {                                                                                           \
        char ck_part_[300];                                                                        \
        snprintf(ck_part_, sizeof ck_part_, "%s.part", (path));                                    \
        for (long ck_n_ = 0;; ck_n_++) {                                                           \
            ck_assert_msg(ck_n_ < 100000, "%s never succeeds", #call);                             \
            err = (tamis_error){0};                                                                \
            fault(ck_n_);                                                                          \
            tamis_status ck_fault_status_ = (call);                                                \
            fault(-1);                                                                             \
            if (ck_fault_status_ == TAMIS_OK) {                                                    \
                ck_assert_msg(ck_n_ > 0, "%s does not count", #fault);                             \
                break;                                                                             \
            }                                                                                      \
            ck_assert_msg(err.message[0] != '\0', "%s: failure %ld says nothing", #call, ck_n_);   \
            ck_assert_msg(!exists(ck_part_), "%s: failure %ld leaves a part", #call, ck_n_);       \
        }                                                                                          \
    } while (0)

#endif
