/* Reading a gradient store, one file or a directory of shards.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/store.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_object.h"
#include "store/store_pages.h"

/* Descriptors held to see when shards are changed; processes have 1,024 as a rule. Further shards
 * are looked for by name. */
#define DESCRIPTORS 128u

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
        tamis_status status = tamis__store_part_open(&store->part[i], context, path,
                                                     i < DESCRIPTORS, err);
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
    TAMIS_TRY(tamis__store_part_open(store->part, context, store->path, true, err));
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
    info->projection = header->origin.text;
    info->projected_by = header->origin.text ? &header->origin.projection : NULL;
    info->function = header->origin.function;
    info->direction = header->origin.direction;
    info->form = header->form;
    info->input_columns = header->input_columns;
    info->output_columns = header->output_columns;
    info->labels = header->origin.labels;
    info->label_seed = header->origin.label_seed;
    info->rows_per_example = header->origin.rows_per_example;
    bool known = true;
    for (uint32_t i = 0; i < info->shards; i++) {
        info->digest += store->part[i].header.digest;
        known = known && store->part[i].header.has_digest;
    }
    if (!known) info->digest = 0;
}

static tamis_status check_together(const tamis_store *store, tamis_error *err)
{
    const tamis_store_info *info = &store->info;
    if (info->rows % info->rows_per_example == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' has %llu rows, which are no whole number of examples of %u rows each",
                       store->path, (unsigned long long)info->rows,
                       (unsigned)info->rows_per_example);
}

/* Factor form: where layers and parts begin. */
static tamis_status lay_out(tamis_store *store, tamis_error *err)
{
    const tamis_store_info *info = &store->info;
    size_t layers = info->layers + 1ul, parts = info->shards + 1ul;
    if (info->form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    store->input_at = tamis__calloc(layers, sizeof *store->input_at);
    store->output_at = tamis__calloc(layers, sizeof *store->output_at);
    store->first_token = tamis__calloc(info->checkpoints * parts, sizeof *store->first_token);
    if (!store->input_at || !store->output_at || !store->first_token)
        return tamis__fail_memory(err, "a store",
                                  (2 * layers + info->checkpoints * parts) * sizeof(uint64_t));
    for (uint32_t i = 0; i < info->layers; i++) {
        store->input_at[i + 1] = store->input_at[i] + info->layer[i].in + info->layer[i].bias;
        store->output_at[i + 1] = store->output_at[i] + info->layer[i].out;
    }
    for (uint32_t k = 0; k < info->checkpoints; k++)
        for (uint32_t i = 0; i < info->shards; i++)
            store->first_token[k * parts + i + 1] = store->first_token[k * parts + i] +
                                                    store->part[i].header.tokens[k];
    return TAMIS_OK;
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
    TAMIS_TRY(check_together(store, err));
    TAMIS_TRY(lay_out(store, err));
    store->touched = tamis__calloc(1, sizeof *store->touched);
    if (!store->touched) return tamis__fail_memory(err, "a store", sizeof *store);
    store->kept = tamis__store_kept_create(store->info.checkpoints);
    return store->kept ? TAMIS_OK : tamis__fail_memory(err, "a store", sizeof *store);
}

tamis_status tamis_store_open(tamis_store **ret_store, tamis_context *context, const char *path,
                              tamis_error *err)
{
    tamis_store *store = tamis__calloc(1, sizeof *store);
    if (!store) return tamis__fail_memory(err, "a store", sizeof *store);
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
    for (uint32_t i = 0; i < s->info.shards; i++) tamis__store_part_fini(&s->part[i]);
    tamis__examples_fini(&s->examples);
    tamis__store_kept_free(s->kept);
    free(s->part);
    free(s->touched);
    free(s->input_at);
    free(s->output_at);
    free(s->first_token);
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

uint32_t tamis__store_part_of(const tamis_store *store, uint64_t row)
{
    uint32_t low = 0, high = store->info.shards;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (store->part[middle].header.first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static const tamis__store_part *part_of(const tamis_store *store, uint64_t row)
{
    return &store->part[tamis__store_part_of(store, row)];
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
    const float *scale = NULL;
    if (info->form == TAMIS_FORM_FACTORS)
        return tamis__store_expand(store, checkpoint, first_row, rows, first_column, columns, out,
                                   stride, err);
    TAMIS_TRY(tamis__store_rows_there(store, first_row, rows, err));
    TAMIS_TRY(tamis__store_scales(store, checkpoint, &scale, err));
    for (uint64_t done = 0; done < rows;) {
        const tamis__store_part *part = part_of(store, first_row + done);
        uint64_t first = first_row + done - part->header.first_row,
                 room = part->header.rows - first;
        tamis__h5_part where = {.first_row = first,
                                .rows = rows - done < room ? rows - done : room,
                                .first_column = first_column,
                                .columns = columns,
                                .stride = stride};
        TAMIS_TRY(tamis__store_part_read(part, &store->kernels, checkpoint,
                                         scale ? scale + part->header.first_row : NULL, &where,
                                         out + done * stride, err));
        done += where.rows;
    }
    tamis__store_touched_rows(store, rows, columns);
    return TAMIS_OK;
}

const void *tamis_store_map(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                            uint64_t *ret_rows)
{
    if (checkpoint >= store->info.checkpoints || row >= store->info.rows) return NULL;
    const tamis__store_part *part = part_of(store, row);
    return tamis__store_part_map(part, checkpoint, row - part->header.first_row, ret_rows);
}

tamis_status tamis__store_stored(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                                 void *out, tamis_error *err)
{
    const tamis__store_part *part = part_of(store, row);
    return tamis__store_rows_stored(part, &part->rows[checkpoint], row - part->header.first_row, 1,
                                    out, err);
}

/* --- changes ---------------------------------------------------------------------------------- */

tamis_status tamis__store_rows_there(const tamis_store *store, uint64_t first_row, uint64_t rows,
                                     tamis_error *err)
{
    if (rows == 0) return TAMIS_OK;
    uint32_t last = tamis__store_part_of(store, first_row + rows - 1);
    for (uint32_t i = tamis__store_part_of(store, first_row); i <= last; i++)
        TAMIS_TRY(tamis__watch_check(&store->part[i].watch, store->part[i].path, err));
    return TAMIS_OK;
}

tamis_status tamis__store_unchanged(const tamis_store *store, tamis_error *err)
{
    return tamis__store_rows_there(store, 0, store->info.rows, err);
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
        tamis__store_touched(store, part->header.rows * columns * sizeof *out);
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
