/* Reading a gradient store, one file or a directory of shards.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/store.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_part.h"

/* Values widened at a time when norms are computed. */
#define SLICE ((size_t)1 << 16)

struct tamis_store {
    char *path;
    tamis_store_info info;
    tamis_examples examples;
    tamis__kernels kernels;
    tamis__store_part *part; /* [info.shards] in the order of their rows */
    pthread_mutex_t lock;    /* of norm: each is made when first asked for */
    float **norm;            /* [checkpoints] or NULL */
};

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status open_listed(tamis_store *store, const tamis_context *context,
                                const tamis__shard_list *list, tamis_error *err)
{
    if (list->shards == 0)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT, "'%s' is a directory without %s", store->path,
            list->parts
                ? "whole shards: its store is unfinished, run the command again with --resume"
                : "shards (00000.h5 ...): it is no gradient store");
    store->part = tamis__calloc(list->shards, sizeof *store->part);
    if (!store->part) return tamis__fail_memory(err, "shards", list->shards * sizeof *store->part);
    for (uint32_t i = 0; i < list->shards; i++) {
        char *path = tamis__shard_path(store->path, list->number[i]);
        if (!path) return tamis__fail_memory(err, "a file name", strlen(store->path));
        tamis_status status = tamis__store_part_open(&store->part[i], context, path, err);
        free(path);
        TAMIS_TRY(status);
        store->info.shards++;
    }
    return TAMIS_OK;
}

static tamis_status open_parts(tamis_store *store, const tamis_context *context, tamis_error *err)
{
    struct stat st;
    if (stat(store->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        tamis__shard_list list;
        TAMIS_TRY(tamis__shard_list_read(&list, store->path, err));
        tamis_status status = open_listed(store, context, &list, err);
        tamis__shard_list_fini(&list);
        return status;
    }
    store->part = tamis__calloc(1, sizeof *store->part);
    if (!store->part) return tamis__fail_memory(err, "a store", sizeof *store->part);
    TAMIS_TRY(tamis__store_part_open(store->part, context, store->path, err));
    store->info.shards = 1;
    return TAMIS_OK;
}

static void describe(tamis_store *store)
{
    const tamis__store_header *header = &store->part->header;
    tamis_store_info *info = &store->info;
    info->rows = header->total_rows;
    info->columns = header->columns;
    info->dtype = header->dtype;
    info->checkpoints = header->checkpoints;
    info->layers = header->layers;
    info->layer = header->layer;
    info->checkpoint = header->checkpoint;
    info->classes = header->classes;
    info->provenance = header->provenance;
    info->projection = header->projection;
    bool known = true;
    for (uint32_t i = 0; i < info->shards; i++) {
        info->digest += store->part[i].header.digest;
        known = known && store->part[i].header.has_digest;
    }
    if (!known) info->digest = 0;
}

static tamis_status open_store(tamis_store *store, const tamis_context *context, const char *path,
                               tamis_error *err)
{
    store->path = tamis__strdup(path);
    if (!store->path) return tamis__fail_memory(err, "a file name", strlen(path));
    TAMIS_TRY(open_parts(store, context, err));
    TAMIS_TRY(tamis__store_parts_check(store->part, store->info.shards, path, err));
    TAMIS_TRY(tamis__store_parts_examples(store->part, store->info.shards, &store->examples, err));
    describe(store);
    store->norm = tamis__calloc(store->info.checkpoints, sizeof *store->norm);
    if (!store->norm)
        return tamis__fail_memory(err, "a store", store->info.checkpoints * sizeof *store->norm);
    return TAMIS_OK;
}

tamis_status tamis_store_open(tamis_store **ret_store, tamis_context *context, const char *path,
                              tamis_error *err)
{
    tamis_store *store = tamis__calloc(1, sizeof *store);
    if (!store) return tamis__fail_memory(err, "a store", sizeof *store);
    (void)pthread_mutex_init(&store->lock, NULL);
    tamis__kernels_init(&store->kernels, context ? tamis_context_cpu(context) : 0);
    tamis_status status = open_store(store, context, path, err);
    if (status != TAMIS_OK)
        tamis_store_close(&store);
    else
        *ret_store = store;
    return status;
}

void tamis_store_close(tamis_store **store)
{
    if (!store || !*store) return;
    tamis_store *s = *store;
    for (uint32_t k = 0; s->norm && k < s->info.checkpoints; k++) free(s->norm[k]);
    for (uint32_t i = 0; i < s->info.shards; i++) tamis__store_part_fini(&s->part[i]);
    tamis__examples_fini(&s->examples);
    pthread_mutex_destroy(&s->lock);
    free(s->norm);
    free(s->part);
    free(s->path);
    free(s);
    *store = NULL;
}

const tamis_store_info *tamis_store_info_get(const tamis_store *store)
{
    return &store->info;
}

const char *tamis_store_path(const tamis_store *store)
{
    return store->path;
}

const tamis_examples *tamis_store_examples(const tamis_store *store)
{
    return &store->examples;
}

void tamis_store_id(const tamis_store *store, uint64_t row, char *buffer, size_t size)
{
    tamis__examples_id(&store->examples, row, buffer, size);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* The part that holds a row. */
static const tamis__store_part *part_of(const tamis_store *store, uint64_t row)
{
    uint32_t low = 0, high = store->info.shards;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (store->part[middle].header.first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return &store->part[low];
}

static bool outside(uint64_t first, uint64_t n, uint64_t end)
{
    return first > end || n > end - first;
}

tamis_status tamis_store_read(const tamis_store *store, uint32_t checkpoint, uint64_t first_row,
                              uint64_t rows, uint64_t first_column, uint64_t columns, float *out,
                              size_t stride, tamis_error *err)
{
    const tamis_store_info *info = &store->info;
    if (checkpoint >= info->checkpoints || outside(first_row, rows, info->rows) ||
        outside(first_column, columns, info->columns) || stride < columns)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' has %u checkpoints, %llu rows and %llu columns: checkpoint %u, %llu rows from "
            "%llu, %llu columns from %llu asked for",
            store->path, (unsigned)info->checkpoints, (unsigned long long)info->rows,
            (unsigned long long)info->columns, (unsigned)checkpoint, (unsigned long long)rows,
            (unsigned long long)first_row, (unsigned long long)columns,
            (unsigned long long)first_column);
    for (uint64_t done = 0; done < rows;) {
        const tamis__store_part *part = part_of(store, first_row + done);
        uint64_t first = first_row + done - part->header.first_row,
                 room = part->header.rows - first;
        tamis__h5_part where = {.first_row = first,
                                .rows = rows - done < room ? rows - done : room,
                                .first_column = first_column,
                                .columns = columns,
                                .stride = stride};
        TAMIS_TRY(tamis__store_part_read(part, &store->kernels, checkpoint, &where,
                                         out + done * stride, err));
        done += where.rows;
    }
    return TAMIS_OK;
}

const void *tamis_store_map(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                            uint64_t *ret_rows)
{
    if (checkpoint >= store->info.checkpoints || row >= store->info.rows) return NULL;
    const tamis__store_part *part = part_of(store, row);
    return tamis__store_part_map(part, checkpoint, row - part->header.first_row, ret_rows);
}

/* --- norms ------------------------------------------------------------------------------------ */

static tamis_status compute_norms(const tamis_store *store, const tamis__store_part *part,
                                  uint32_t checkpoint, float *out, tamis_error *err)
{
    uint64_t columns = store->info.columns, at_once = SLICE / columns ? SLICE / columns : 1;
    tamis_status status = TAMIS_OK;
    if (at_once > part->header.rows) at_once = part->header.rows;
    float *rows = tamis__malloc(at_once, columns * sizeof *rows);
    if (!rows) return tamis__fail_memory(err, "rows", at_once * columns * sizeof *rows);
    for (uint64_t done = 0; done < part->header.rows && status == TAMIS_OK; done += at_once) {
        uint64_t left = part->header.rows - done;
        tamis__h5_part where = {.first_row = done,
                                .rows = left < at_once ? left : at_once,
                                .columns = columns,
                                .stride = columns};
        status = tamis__store_part_read(part, &store->kernels, checkpoint, &where, rows, err);
        for (uint64_t i = 0; i < where.rows && status == TAMIS_OK; i++)
            out[done + i] = (float)sqrt(store->kernels.sum_squares(rows + i * columns, columns));
    }
    free(rows);
    return status;
}

static tamis_status load_norms(const tamis_store *store, uint32_t checkpoint, float *norm,
                               tamis_error *err)
{
    for (uint32_t i = 0; i < store->info.shards; i++) {
        const tamis__store_part *part = &store->part[i];
        float *out = norm + part->header.first_row;
        if (part->values[checkpoint][TAMIS__NORM].there)
            TAMIS_TRY(tamis__store_part_values(part, checkpoint, TAMIS__NORM, out, err));
        else
            TAMIS_TRY(compute_norms(store, part, checkpoint, out, err));
    }
    for (uint64_t i = 0; i < store->info.rows; i++)
        if (!(norm[i] >= 0.0f && isfinite(norm[i]))) norm[i] = NAN;
    return TAMIS_OK;
}

tamis_status tamis_store_norms(tamis_store *store, uint32_t checkpoint, const float **ret_norms,
                               tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    if (checkpoint >= store->info.checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has %u checkpoints: number %u asked for",
                           store->path, (unsigned)store->info.checkpoints, (unsigned)checkpoint);
    pthread_mutex_lock(&store->lock);
    if (!store->norm[checkpoint]) {
        float *norm = tamis__malloc(store->info.rows, sizeof *norm);
        status = norm ? load_norms(store, checkpoint, norm, err)
                      : tamis__fail_memory(err, "norms", store->info.rows * sizeof *norm);
        if (status == TAMIS_OK)
            store->norm[checkpoint] = norm;
        else
            free(norm);
    }
    if (status == TAMIS_OK) *ret_norms = store->norm[checkpoint];
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* --- outputs ---------------------------------------------------------------------------------- */

static int which_output(const char *name)
{
    for (int which = TAMIS__LOSS; which < TAMIS__VALUES; which++)
        if (!strcmp(name, tamis__store_values_name(which))) return which;
    return -1;
}

static tamis_status load_outputs(const tamis_store *store, uint32_t checkpoint, int which,
                                 uint64_t columns, float *out, tamis_error *err)
{
    for (uint32_t i = 0; i < store->info.shards; i++) {
        const tamis__store_part *part = &store->part[i];
        TAMIS_TRY(tamis__store_part_values(part, checkpoint, which,
                                           out + part->header.first_row * columns, err));
    }
    return TAMIS_OK;
}

tamis_status tamis_store_outputs(const tamis_store *store, uint32_t checkpoint, const char *name,
                                 float **ret_values, tamis_error *err)
{
    int which = which_output(name);
    if (which < 0 || checkpoint >= store->info.checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': there is no output '%s' of checkpoint %u",
                           store->path, name, (unsigned)checkpoint);
    for (uint32_t i = 0; i < store->info.shards; i++)
        if (!store->part[i].values[checkpoint][which].there) {
            *ret_values = NULL;
            return TAMIS_OK;
        }
    uint64_t columns = which == TAMIS__PROBABILITY ? store->info.classes : 1;
    float *values = tamis__malloc(store->info.rows, columns * sizeof *values);
    if (!values) return tamis__fail_memory(err, name, store->info.rows * columns * sizeof *values);
    tamis_status status = load_outputs(store, checkpoint, which, columns, values, err);
    if (status != TAMIS_OK)
        free(values);
    else
        *ret_values = values;
    return status;
}
