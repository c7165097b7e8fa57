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
#include "manifest/shards.h"

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

/* --- shards ----------------------------------------------------------------------------------- */

typedef struct writer {
    const tamis__mds *mds;
    uint64_t limit;
    tamis__shards shards;
} writer;

static uint64_t shard_size(const tamis__mds *mds, uint64_t n, uint64_t samples_size)
{
    return 4 + 4 * (n + 1) + mds->config_size + samples_size;
}

static tamis_status put_u32(tamis__output *output, uint64_t x, tamis_error *err)
{
    unsigned char b[4] = {(unsigned char)x, (unsigned char)(x >> 8), (unsigned char)(x >> 16),
                          (unsigned char)(x >> 24)};
    return tamis__output_write(output, b, 4, err);
}

static tamis_status put_head(const void *arg, const tamis__shard *shard, const uint64_t *row,
                             tamis__output *output, tamis_error *err)
{
    const tamis__mds *mds = arg;
    uint64_t at = shard_size(mds, shard->n, 0);
    TAMIS_TRY(put_u32(output, shard->n, err));
    TAMIS_TRY(put_u32(output, at, err));
    for (uint64_t i = 0; i < shard->n; i++)
        TAMIS_TRY(put_u32(output, at += mds->samples.of[row[i]].bytes, err));
    return tamis__output_write(output, mds->config, mds->config_size, err);
}

static tamis_status check_sample(const void *arg, uint64_t row, tamis_error *err)
{
    return tamis__mds_check_sample(arg, row, err);
}

static tamis_status put_sample(void *arg, uint64_t row, tamis_error *err)
{
    writer *w = arg;
    tamis__shards *shards = &w->shards;
    uint64_t size = w->mds->samples.of[row].bytes;
    const tamis__shard *last = shards->n ? &shards->of[shards->n - 1] : NULL;
    if (shard_size(w->mds, 1, size) > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "sample %" PRIu64 " does not fit a shard, whose offsets have 32 bits",
                           row);
    if (!last || shard_size(w->mds, last->n + 1, last->bytes + size) > w->limit) {
        char name[40];
        snprintf(name, sizeof name, "shard.%05" PRIu64 ".mds", shards->n);
        TAMIS_TRY(tamis__shards_begin(shards, name, err));
    }
    return tamis__shards_add(shards, &w->mds->samples, row, err);
}

/* --- the index -------------------------------------------------------------------------------- */

/* The shard's entry in index.json: columns as they were; the hashes were of other bytes. */
static tamis_status list_shard(const writer *w, const tamis__shard *shard, json_t *list,
                               tamis_error *err)
{
    const tamis__mds *mds = w->mds;
    const json_t *first = mds->first;
    json_t *entry = json_pack(
        "{s:O, s:O, s:O, s:n, s:s, s:[], s:{s:s, s:I, s:{}}, s:I, s:I, s:i, s:n}",
        "column_encodings", json_object_get(first, "column_encodings"), "column_names",
        json_object_get(first, "column_names"), "column_sizes",
        json_object_get(first, "column_sizes"), "compression", "format", "mds", "hashes",
        "raw_data", "basename", shard->name, "bytes",
        (json_int_t)shard_size(mds, shard->n, shard->bytes), "hashes", "samples",
        (json_int_t)shard->n, "size_limit", (json_int_t)w->limit, "version", 2, "zip_data");
    if (entry && json_array_append_new(list, entry) == 0) return TAMIS_OK;
    return tamis__fail_memory(err, "index.json", 1);
}

static tamis_status put_index(const writer *w, const tamis__tree *tree, tamis__part *part,
                              tamis_error *err)
{
    tamis__output output = {0};
    json_t *list = json_array();
    tamis_status status = list ? TAMIS_OK : tamis__fail_memory(err, "index.json", 1);
    for (uint64_t i = 0; status == TAMIS_OK && i < w->shards.n; i++)
        status = list_shard(w, &w->shards.of[i], list, err);
    json_t *index = status == TAMIS_OK ? json_pack("{s:O, s:i}", "shards", list, "version", 2)
                                       : NULL;
    char *text = index ? json_dumps(index, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (status == TAMIS_OK && !text) status = tamis__fail_memory(err, "index.json", 1);
    json_decref(index);
    json_decref(list);
    if (text) part->bytes += strlen(text);
    if (status == TAMIS_OK && tree) status = tamis__tree_file(tree, "index.json", &output, err);
    if (status == TAMIS_OK && tree)
        status = tamis__shard_end(&output, tamis__output_write(&output, text, strlen(text), err),
                                  err);
    free(text);
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

static uint64_t limit_of(const mds_state *state, const tamis__mds *mds)
{
    const json_t *limit = json_object_get(mds->first, "size_limit");
    if (state->limit) return state->limit;
    if (json_integer_value(limit) < 1) return DEFAULT_LIMIT;
    return json_integer_value(limit) > UINT32_MAX ? UINT32_MAX
                                                  : (uint64_t)json_integer_value(limit);
}

static bool is_ours(const char *name)
{
    return !strcmp(name, "index.json") || tamis__is_numbered(name, "shard.", ".mds");
}

static tamis_status write_shards(writer *w, const tamis__manifest_job *job, size_t k,
                                 tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__tree *tree = NULL;
    tamis__shard_form form = {.arg = w->mds, .head = put_head, .check = check_sample};
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_tree(job->outputs, job->context, part->path, part->name,
                                      job->params->force, is_ours, &tree, err));
    TAMIS_TRY(tamis__part_each(job, k, put_sample, w, err));
    TAMIS_TRY(tamis__shards_write(&w->shards, &w->mds->samples, job, tree, &form, err));
    for (uint64_t i = 0; i < w->shards.n; i++)
        part->bytes += shard_size(w->mds, w->shards.of[i].n, w->shards.of[i].bytes);
    part->records = w->shards.rows;
    return put_index(w, tree, part, err);
}

static tamis_status write_part(const mds_state *state, const tamis__manifest_job *job,
                               const tamis__mds *mds, size_t k, tamis_error *err)
{
    writer w = {.mds = mds, .limit = limit_of(state, mds)};
    tamis_status status = write_shards(&w, job, k, err);
    tamis__shards_fini(&w.shards);
    return status;
}

static tamis_status write_parts(const mds_state *state, const tamis__manifest_job *job,
                                tamis__mds *mds, tamis_manifest_result *result, tamis_error *err)
{
    const tamis_manifest_params *p = job->params;
    for (size_t i = 0; i < p->inputs; i++) {
        uint64_t before = mds->samples.n;
        TAMIS_TRY(tamis__mds_add(mds, job->context, p->input[i], p->output, err));
        if (result->input_records) result->input_records[i] = mds->samples.n - before;
    }
    TAMIS_TRY(tamis__samples_compare(&mds->samples, job, p->input[0], err));
    result->records = mds->samples.n;
    result->bytes_in = mds->bytes;
    if (mds->had_hashes || mds->had_compression)
        tamis__log(job->context, TAMIS_LOG_INFO,
                   "new shards are not compressed, and index.json has no hashes of them");
    for (size_t k = job->plan->parts; k > 0; k--)
        TAMIS_TRY(write_part(state, job, mds, k - 1, err));
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
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY |
                      TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = 1},
    .state_size = sizeof(mds_state),
    .init = init,
    .write = write_mds,
};
