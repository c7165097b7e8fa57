/* MosaicML StreamingDataset: a directory of new shards with the kept samples.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest/mds_shards.h"

enum { DEFAULT_LIMIT = 1 << 26 }; /* that of StreamingDataset's writer */

static const tamis_param_desc params[] = {
    {.name = "size-limit",
     .help = "bytes of a shard at most, a larger sample apart; default that of the input",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = UINT32_MAX},
};

typedef struct mds_state {
    uint64_t limit; /* 0 = the input's */
} mds_state;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    mds_state *s = state;
    (void)err;
    s->limit = param[0].given ? (uint64_t)param[0].number : 0;
    return TAMIS_OK;
}

typedef struct writer {
    const tamis__mds *mds;
    const tamis__tree *tree; /* NULL: only counting */
    tamis__part *part;
    uint64_t limit;
    uint64_t *row; /* [n] of the shard that is being filled */
    uint64_t n, room, samples_size;
    size_t shards;
    json_t *list; /* of index.json */
} writer;

static uint64_t shard_size(const writer *w, uint64_t n, uint64_t samples_size)
{
    return 4 + 4 * (n + 1) + w->mds->config_size + samples_size;
}

static tamis_status put_u32(tamis__output *output, uint64_t x, tamis_error *err)
{
    unsigned char b[4] = {(unsigned char)x, (unsigned char)(x >> 8), (unsigned char)(x >> 16),
                          (unsigned char)(x >> 24)};
    return tamis__output_write(output, b, 4, err);
}

static tamis_status put_shard(const writer *w, tamis__output *output, tamis_error *err)
{
    const tamis__samples *samples = &w->mds->samples;
    uint64_t at = shard_size(w, w->n, 0);
    TAMIS_TRY(put_u32(output, w->n, err));
    TAMIS_TRY(put_u32(output, at, err));
    for (uint64_t i = 0; i < w->n; i++)
        TAMIS_TRY(put_u32(output, at += samples->of[w->row[i]].bytes, err));
    TAMIS_TRY(tamis__output_write(output, w->mds->config, w->mds->config_size, err));
    for (uint64_t i = 0; i < w->n; i++)
        TAMIS_TRY(tamis__sample_write(samples, w->row[i], output, err));
    return TAMIS_OK;
}

/* The shard's entry in index.json: columns as they were; the hashes were of other bytes. */
static tamis_status list_shard(writer *w, const char *name, uint64_t size, tamis_error *err)
{
    const json_t *first = json_array_get(json_object_get(w->mds->index, "shards"), 0);
    json_t *entry = json_pack(
        "{s:O, s:O, s:O, s:n, s:s, s:[], s:{s:s, s:I, s:{}}, s:I, s:I, s:i, s:n}",
        "column_encodings", json_object_get(first, "column_encodings"), "column_names",
        json_object_get(first, "column_names"), "column_sizes",
        json_object_get(first, "column_sizes"), "compression", "format", "mds", "hashes",
        "raw_data", "basename", name, "bytes", (json_int_t)size, "hashes", "samples",
        (json_int_t)w->n, "size_limit", (json_int_t)w->limit, "version", 2, "zip_data");
    if (entry && json_array_append_new(w->list, entry) == 0) return TAMIS_OK;
    return tamis__fail_memory(err, "index.json", size);
}

static tamis_status end_shard(writer *w, tamis_error *err)
{
    char name[40];
    tamis__output output = {0};
    uint64_t size = shard_size(w, w->n, w->samples_size);
    if (!w->n) return TAMIS_OK;
    snprintf(name, sizeof name, "shard.%05zu.mds", w->shards++);
    TAMIS_TRY(list_shard(w, name, size, err));
    if (w->tree) {
        TAMIS_TRY(tamis__tree_file(w->tree, name, &output, err));
        TAMIS_TRY(tamis__shard_end(&output, put_shard(w, &output, err), err));
    }
    w->part->bytes += size;
    w->n = w->samples_size = 0;
    return TAMIS_OK;
}

static tamis_status put_sample(void *arg, uint64_t row, tamis_error *err)
{
    writer *w = arg;
    uint64_t size = w->mds->samples.of[row].bytes;
    TAMIS_TRY(tamis__mds_check_sample(w->mds, row, err));
    if (shard_size(w, w->n + 1, w->samples_size + size) > w->limit) TAMIS_TRY(end_shard(w, err));
    if (shard_size(w, 1, size) > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "sample %" PRIu64 " does not fit a shard, whose offsets have 32 bits",
                           row);
    if (w->n == w->room) {
        uint64_t room = w->room ? 2 * w->room : 256;
        uint64_t *grown = tamis__realloc(w->row, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "a shard's samples", room * sizeof *grown);
        w->row = grown;
        w->room = room;
    }
    w->row[w->n++] = row;
    w->samples_size += size;
    w->part->records++;
    return TAMIS_OK;
}

static tamis_status put_index(writer *w, tamis_error *err)
{
    tamis__output output = {0};
    json_t *index = json_pack("{s:O, s:i}", "shards", w->list, "version", 2);
    char *text = index ? json_dumps(index, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    tamis_status status = text ? TAMIS_OK : tamis__fail_memory(err, "index.json", 1);
    json_decref(index);
    if (text) w->part->bytes += strlen(text);
    if (text && w->tree) status = tamis__tree_file(w->tree, "index.json", &output, err);
    if (status == TAMIS_OK && w->tree)
        status = tamis__shard_end(&output, tamis__output_write(&output, text, strlen(text), err),
                                  err);
    free(text);
    return status;
}

static uint64_t limit_of(const mds_state *state, const tamis__mds *mds)
{
    const json_t *first = json_array_get(json_object_get(mds->index, "shards"), 0);
    const json_t *limit = json_object_get(first, "size_limit");
    if (state->limit) return state->limit;
    if (json_integer_value(limit) < 1) return DEFAULT_LIMIT;
    return json_integer_value(limit) > UINT32_MAX ? UINT32_MAX
                                                  : (uint64_t)json_integer_value(limit);
}

static tamis_status write_part(const mds_state *state, const tamis__manifest_job *job,
                               const tamis__mds *mds, size_t k, tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__tree *tree = NULL;
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_tree(job->outputs, job->context, part->path, part->name,
                                      job->params->force, &tree, err));
    writer w = {.mds = mds,
                .tree = tree,
                .part = part,
                .limit = limit_of(state, mds),
                .list = json_array()};
    tamis_status status = w.list ? tamis__part_each(job, k, put_sample, &w, err)
                                 : tamis__fail_memory(err, "index.json", 1);
    if (status == TAMIS_OK) status = end_shard(&w, err);
    if (status == TAMIS_OK) status = put_index(&w, err);
    json_decref(w.list);
    free(w.row);
    return status;
}

static tamis_status write_parts(const mds_state *state, const tamis__manifest_job *job,
                                tamis__mds *mds, tamis_manifest_result *result, tamis_error *err)
{
    const char *input = job->params->input[0];
    TAMIS_TRY(tamis__mds_open(mds, job->context, input, job->params->output, err));
    TAMIS_TRY(tamis__samples_compare(&mds->samples, job, input, err));
    result->records = mds->samples.n;
    result->bytes_in = mds->bytes;
    if (result->input_records) result->input_records[0] = mds->samples.n;
    if (mds->had_hashes || mds->had_compression)
        tamis__log(job->context, TAMIS_LOG_INFO,
                   "new shards are not compressed, and index.json has no hashes of them");
    for (size_t k = 0; k < job->plan->parts; k++) TAMIS_TRY(write_part(state, job, mds, k, err));
    return TAMIS_OK;
}

static tamis_status write_mds(void *state, const tamis__manifest_job *job,
                              tamis_manifest_result *result, tamis_error *err)
{
    tamis__mds mds = {0};
    tamis_status status = write_parts(state, job, &mds, result, err);
    tamis__mds_close(&mds);
    return status;
}

const tamis__manifest_class tamis__manifest_mds = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "mds",
             .summary = "MosaicML StreamingDataset with new shards of the kept samples",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY,
             .params = params,
             .n_params = 1},
    .state_size = sizeof(mds_state),
    .init = init,
    .write = write_mds,
};
