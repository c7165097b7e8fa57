/* WebDataset: a directory of new tar files with the kept samples, and an index of them for wids; or
 * a list of the kept keys.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/shards.h"
#include "manifest/tar_samples.h"

/* Tar programs write in records of so many bytes. */
enum { RECORD = 10240, END = 2 * TAMIS__TAR_BLOCK, SHOWN = 100 };

enum { MODE, MAX_SAMPLES, MAX_BYTES, MD5, PARAMS };
enum { MODE_TAR, MODE_KEYS };

static const tamis_param_desc params[PARAMS] = {
    [MODE] = {.name = "mode",
              .help = "new tar files, or a text file of the kept keys",
              .type = TAMIS_PARAM_CHOICE,
              .choices = (const char *const[]){"tar", "keys", NULL}},
    [MAX_SAMPLES] = {.name = "max-samples",
                     .help = "samples of a tar file at most",
                     .type = TAMIS_PARAM_INTEGER,
                     .min = 1,
                     .max = 1e15,
                     .fallback = 100000},
    [MAX_BYTES] = {.name = "max-bytes",
                   .help = "bytes of a tar file's samples at most, a larger sample apart",
                   .type = TAMIS_PARAM_INTEGER,
                   .min = 1,
                   .max = 1e15,
                   .fallback = 3e9},
    [MD5] = {.name = "md5",
             .help = "the MD5 of each tar file in the index, which takes longer than the copy",
             .type = TAMIS_PARAM_BOOLEAN},
};

typedef struct settings {
    bool keys, md5;
    uint64_t samples, bytes;
} settings;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    settings *s = state;
    (void)err;
    s->keys = (int)param[MODE].number == MODE_KEYS;
    s->samples = (uint64_t)param[MAX_SAMPLES].number;
    s->bytes = (uint64_t)param[MAX_BYTES].number;
    s->md5 = param[MD5].number > 0;
    return TAMIS_OK;
}

/* --- tar files -------------------------------------------------------------------------------- */

typedef struct writer {
    const tamis__tar_set *set;
    const settings *settings;
    tamis__shards shards;
} writer;

static size_t end_of(const tamis__shard *shard)
{
    size_t end = (size_t)(RECORD - shard->bytes % RECORD);
    return end < END ? end + RECORD : end;
}

static tamis_status put_sample(void *arg, uint64_t row, tamis_error *err)
{
    writer *w = arg;
    tamis__shards *shards = &w->shards;
    uint64_t size = w->set->samples.of[row].bytes;
    const tamis__shard *last = shards->n ? &shards->of[shards->n - 1] : NULL;
    if (!last || last->n == w->settings->samples || last->bytes + size > w->settings->bytes) {
        char name[40];
        snprintf(name, sizeof name, "shard-%06" PRIu64 ".tar", shards->n);
        TAMIS_TRY(tamis__shards_begin(shards, name, err));
    }
    return tamis__shards_add(shards, &w->set->samples, row, err);
}

static tamis_status list_shard(const settings *s, const tamis__shard *shard, json_t *list,
                               tamis_error *err)
{
    json_t *entry = json_pack("{s:s}", "url", shard->name);
    json_int_t size = (json_int_t)(shard->bytes + end_of(shard));
    bool whole = entry &&
                 (!s->md5 || !json_object_set_new(entry, "md5sum", json_string(shard->md5))) &&
                 !json_object_set_new(entry, "nsamples", json_integer((json_int_t)shard->n)) &&
                 !json_object_set_new(entry, "filesize", json_integer(size));
    if (!whole)
        json_decref(entry);
    else if (json_array_append_new(list, entry) == 0)
        return TAMIS_OK;
    return tamis__fail_memory(err, "index.json", 1);
}

static tamis_status put_index(const writer *w, const tamis__tree *tree, tamis_error *err)
{
    tamis__output output = {0};
    json_t *list = json_array();
    tamis_status status = list ? TAMIS_OK : tamis__fail_memory(err, "index.json", 1);
    for (uint64_t i = 0; status == TAMIS_OK && i < w->shards.n; i++)
        status = list_shard(w->settings, &w->shards.of[i], list, err);
    json_t *index = status == TAMIS_OK
                        ? json_pack("{s:s, s:i, s:O}", "__kind__", "wids-shard-index-v1",
                                    "wids_version", 1, "shardlist", list)
                        : NULL;
    char *text = index ? json_dumps(index, JSON_INDENT(1)) : NULL;
    if (status == TAMIS_OK && !text) status = tamis__fail_memory(err, "index.json", 1);
    json_decref(index);
    json_decref(list);
    if (status == TAMIS_OK) status = tamis__tree_file(tree, "index.json", &output, err);
    if (status == TAMIS_OK) {
        status = tamis__output_write(&output, text, strlen(text), err);
        if (status == TAMIS_OK) status = tamis__output_write(&output, "\n", 1, err);
        status = tamis__shard_end(&output, status, err);
    }
    free(text);
    return status;
}

static bool is_ours(const char *name)
{
    return !strcmp(name, "index.json") || tamis__is_numbered(name, "shard-", ".tar");
}

static tamis_status write_shards(writer *w, const tamis__manifest_job *job, size_t k,
                                 tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__tree *tree = NULL;
    tamis__shard_form form = {.md5 = w->settings->md5, .tail = end_of};
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_tree(job->outputs, job->context, part->path, part->name,
                                      job->params->force, is_ours, &tree, err));
    TAMIS_TRY(tamis__part_each(job, k, put_sample, w, err));
    if (tree) TAMIS_TRY(tamis__shards_write(&w->shards, &w->set->samples, job, tree, &form, err));
    for (uint64_t i = 0; i < w->shards.n; i++)
        part->bytes += w->shards.of[i].bytes + end_of(&w->shards.of[i]);
    part->records = w->shards.rows;
    return tree ? put_index(w, tree, err) : TAMIS_OK;
}

static tamis_status write_part(const settings *s, const tamis__manifest_job *job,
                               const tamis__tar_set *set, size_t k, tamis_error *err)
{
    writer w = {.set = set, .settings = s};
    tamis_status status = write_shards(&w, job, k, err);
    tamis__shards_fini(&w.shards);
    return status;
}

/* --- lists of keys ---------------------------------------------------------------------------- */

typedef struct key_list {
    const tamis__tar_set *set;
    tamis__part *part;
    tamis__output *output; /* NULL: only counting */
} key_list;

static tamis_status put_key(void *arg, uint64_t row, tamis_error *err)
{
    const key_list *list = arg;
    const tamis__tar_key *key = &list->set->key[row];
    const char *text = list->set->text + key->first;
    if (memchr(text, '\n', key->size))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': the key of row %" PRIu64
                           " holds a line end, which a list of keys cannot: say mode=tar",
                           list->set->source[list->set->samples.of[row].source].path, row);
    list->part->records++;
    list->part->bytes += key->size + 1;
    if (!list->output) return TAMIS_OK;
    TAMIS_TRY(tamis__output_write(list->output, text, key->size, err));
    return tamis__output_write(list->output, "\n", 1, err);
}

static tamis_status write_keys(const settings *s, const tamis__manifest_job *job,
                               const tamis__tar_set *set, size_t k, tamis_error *err)
{
    (void)s;
    key_list list = {.set = set, .part = &job->plan->of[k]};
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_file(job->outputs, job->context, list.part->path, list.part->name,
                                      job->params->force, &list.output, err));
    return tamis__part_each(job, k, put_key, &list, err);
}

/* --- inputs ----------------------------------------------------------------------------------- */

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
    const settings *s = state;
    if (job->params->repeats)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a WebDataset has each key once, so that samples cannot be repeated: "
                           "leave out the repeats");
    tamis_status status = read_inputs(job, &set, result, err);
    for (size_t k = job->plan->parts; k > 0 && status == TAMIS_OK; k--)
        status = (s->keys ? write_keys : write_part)(s, job, &set, k - 1, err);
    tamis__tar_set_close(&set);
    return status;
}

const tamis__manifest_class tamis__manifest_webdataset = {
    .abi = TAMIS__MANIFEST_ABI,
    .info =
        {.name = "webdataset",
         .summary =
             "WebDataset with new tar files of the kept samples and a wids index, or their keys",
         .extensions = "",
         .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY | TAMIS_MANIFEST_SEVERAL,
         .params = params,
         .n_params = PARAMS},
    .state_size = sizeof(settings),
    .init = init,
    .write = write_webdataset,
};
