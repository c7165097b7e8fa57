/* WebDataset: a directory of new tar files with the kept samples, and an index of them for wids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/md5_file.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/tar_samples.h"

/* Tar programs write in records of so many bytes. */
enum { RECORD = 10240, END = 2 * TAMIS__TAR_BLOCK, SHOWN = 100 };

static const tamis_param_desc params[] = {
    {.name = "max-samples",
     .help = "samples of a tar file at most",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e15,
     .fallback = 100000},
    {.name = "max-bytes",
     .help = "bytes of a tar file's samples at most, a larger sample apart",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e15,
     .fallback = 3e9},
};

typedef struct limits {
    uint64_t samples, bytes;
} limits;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    limits *l = state;
    (void)err;
    l->samples = (uint64_t)param[0].number;
    l->bytes = (uint64_t)param[1].number;
    return TAMIS_OK;
}

typedef struct writer {
    const tamis__tar_set *set;
    const tamis_context *context;
    const tamis__tree *tree; /* NULL: only counting */
    tamis__part *part;
    const limits *limit;
    bool open;
    tamis__output output;
    char name[40];
    uint64_t n, bytes; /* of the shard that is being written */
    size_t shards;
    json_t *list; /* of the index */
} writer;

static tamis_status list_shard(writer *w, tamis_error *err)
{
    char md5[33] = "";
    if (w->tree) {
        char *path = tamis__tree_path(w->tree, w->name);
        if (!path) return tamis__fail_memory(err, "a file name", sizeof w->name);
        tamis_status status = tamis__md5_file(w->context, path, md5, err);
        free(path);
        TAMIS_TRY(status);
    }
    json_t *entry = json_pack("{s:s, s:s, s:I, s:I}", "url", w->name, "md5sum", md5, "nsamples",
                              (json_int_t)w->n, "filesize", (json_int_t)w->bytes);
    if (entry && json_array_append_new(w->list, entry) == 0) return TAMIS_OK;
    return tamis__fail_memory(err, "index.json", 1);
}

static tamis_status end_shard(writer *w, tamis_error *err)
{
    static const unsigned char zero[RECORD];
    if (!w->open) return TAMIS_OK;
    size_t end = RECORD - w->bytes % RECORD;
    if (end < END) end += RECORD;
    w->open = false;
    w->bytes += end;
    w->part->bytes += w->bytes;
    tamis_status status = TAMIS_OK;
    for (size_t left = end; w->tree && left && status == TAMIS_OK;) {
        size_t size = left < RECORD ? left : RECORD;
        status = tamis__output_write(&w->output, zero, size, err);
        left -= size;
    }
    if (w->tree) TAMIS_TRY(tamis__shard_end(&w->output, status, err));
    return list_shard(w, err);
}

static tamis_status start_shard(writer *w, tamis_error *err)
{
    snprintf(w->name, sizeof w->name, "shard-%06zu.tar", w->shards++);
    if (w->tree) TAMIS_TRY(tamis__tree_file(w->tree, w->name, &w->output, err));
    w->open = true;
    w->n = w->bytes = 0;
    return TAMIS_OK;
}

static tamis_status put_sample(void *arg, uint64_t row, tamis_error *err)
{
    writer *w = arg;
    uint64_t size = w->set->samples.of[row].bytes;
    if (w->open && (w->n == w->limit->samples || w->bytes + size > w->limit->bytes))
        TAMIS_TRY(end_shard(w, err));
    if (!w->open) TAMIS_TRY(start_shard(w, err));
    w->n++;
    w->bytes += size;
    w->part->records++;
    return w->tree ? tamis__sample_write(&w->set->samples, row, &w->output, err) : TAMIS_OK;
}

static tamis_status put_index(writer *w, tamis_error *err)
{
    tamis__output output = {0};
    json_t *index = json_pack("{s:s, s:i, s:O}", "__kind__", "wids-shard-index-v1", "wids_version",
                              1, "shardlist", w->list);
    char *text = index ? json_dumps(index, JSON_INDENT(1)) : NULL;
    tamis_status status = text ? TAMIS_OK : tamis__fail_memory(err, "index.json", 1);
    json_decref(index);
    if (text && w->tree) status = tamis__tree_file(w->tree, "index.json", &output, err);
    if (status == TAMIS_OK && w->tree)
        status = tamis__shard_end(&output, tamis__output_printf(&output, err, "%s\n", text), err);
    free(text);
    return status;
}

static tamis_status write_part(const limits *limit, const tamis__manifest_job *job,
                               const tamis__tar_set *set, size_t k, tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__tree *tree = NULL;
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_tree(job->outputs, job->context, part->path, part->name,
                                      job->params->force, &tree, err));
    writer w = {.set = set,
                .context = job->context,
                .tree = tree,
                .part = part,
                .limit = limit,
                .list = json_array()};
    tamis_status status = w.list ? tamis__part_each(job, k, put_sample, &w, err)
                                 : tamis__fail_memory(err, "index.json", 1);
    if (status == TAMIS_OK) status = end_shard(&w, err);
    if (w.open && w.tree) tamis__output_abort(&w.output);
    if (status == TAMIS_OK) status = put_index(&w, err);
    json_decref(w.list);
    return status;
}

/* Ids that are texts are keys, with or without the directory before them. */
static tamis_status compare_keys(const tamis__tar_set *set, const tamis_selection *selection,
                                 bool *ret_checked, tamis_error *err)
{
    const char *const *id = selection->examples.id_text;
    for (uint64_t row = 0; id && row < set->samples.n; row++) {
        const tamis__tar_key *key = &set->key[row];
        const char *text = set->text + key->first;
        size_t size = strlen(id[row]);
        char shown[TAMIS__SHOWN_SIZE(SHOWN)];
        if (size <= key->size && !memcmp(text + key->size - size, id[row], size) &&
            (size == key->size || text[key->size - size - 1] == '/'))
            continue;
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': the key of row %" PRIu64
                           " is '%s', its id in the selection '%s': use the data that the "
                           "gradients were made from",
                           set->source[set->samples.of[row].source].path, row,
                           tamis__show(shown, sizeof shown, text, key->size), id[row]);
    }
    *ret_checked = id != NULL;
    return TAMIS_OK;
}

static tamis_status read_inputs(const tamis__manifest_job *job, tamis__tar_set *set,
                                tamis_manifest_result *result, tamis_error *err)
{
    const tamis_manifest_params *p = job->params;
    for (size_t i = 0; i < p->inputs; i++) {
        uint64_t before = set->samples.n;
        TAMIS_TRY(tamis__tar_set_add(set, job->context, p->input[i], p->output, err));
        result->bytes_in += set->source[i].input.size;
        if (result->input_records) result->input_records[i] = set->samples.n - before;
    }
    result->records = set->samples.n;
    if (set->skipped)
        tamis__log(job->context, TAMIS_LOG_INFO,
                   "%" PRIu64 " members are in no sample (no regular files, or names without a "
                   "dot) and are not copied",
                   set->skipped);
    TAMIS_TRY(tamis__samples_compare(&set->samples, job, p->input[0], err));
    TAMIS_TRY(tamis__tar_set_check_keys(set, err));
    return compare_keys(set, job->selection, &result->ids_checked, err);
}

static tamis_status write_webdataset(void *state, const tamis__manifest_job *job,
                                     tamis_manifest_result *result, tamis_error *err)
{
    tamis__tar_set set = {0};
    if (job->params->repeats)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a WebDataset has each key once, so that samples cannot be repeated: "
                           "leave out the repeats");
    tamis_status status = read_inputs(job, &set, result, err);
    for (size_t k = 0; k < job->plan->parts && status == TAMIS_OK; k++)
        status = write_part(state, job, &set, k, err);
    tamis__tar_set_close(&set);
    return status;
}

const tamis__manifest_class tamis__manifest_webdataset = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "webdataset",
             .summary = "WebDataset with new tar files of the kept samples, and a wids index",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY |
                      TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = 2},
    .state_size = sizeof(limits),
    .init = init,
    .write = write_webdataset,
};
