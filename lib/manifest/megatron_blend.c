/* Megatron-LM: the kept documents in buckets by influence, and the blend that weighs them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/megatron_params.h"

enum { BUCKETS = TAMIS__MEGATRON_PARAMS, WEIGHTS, PARAMS };

#define MAX_BUCKETS 100

static const tamis_param_desc params[PARAMS] = {
    TAMIS__MEGATRON_DESCRIPTIONS,
    [BUCKETS] = {.name = "buckets",
                 .help =
                     "how many, of the same number of rows each, from the best rows to the last",
                 .type = TAMIS_PARAM_INTEGER,
                 .min = 1,
                 .max = MAX_BUCKETS,
                 .fallback = 4},
    [WEIGHTS] = {.name = "weights",
                 .help =
                     "tokens (as they are mixed without buckets), equal, or one number for each "
                     "bucket: 4/3/2/1",
                 .type = TAMIS_PARAM_STRING,
                 .fallback_text = "tokens"},
};

typedef enum weighing { BY_TOKENS, EQUAL, GIVEN } weighing;

typedef struct blend {
    tamis__megatron_params common;
    uint16_t buckets;
    weighing weighing;
    char text[TAMIS_PARAM_TEXT_SIZE]; /* the weights that are given, cut up */
    const char *weight[MAX_BUCKETS];
} blend;

/* --- parameters ----------------------------------------------------------------------------- */

static tamis_status fail_weights(const blend *b, const char *text, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "megatron-blend: weights '%s': write tokens, equal, or %u numbers of at "
                       "least 0 with '/' between them, not all of them 0",
                       text, (unsigned)b->buckets);
}

static tamis_status read_weights(blend *b, const char *text, tamis_error *err)
{
    double sum = 0;
    size_t n = 0;
    b->weighing = !strcmp(text, "tokens") ? BY_TOKENS : !strcmp(text, "equal") ? EQUAL : GIVEN;
    if (b->weighing != GIVEN) return TAMIS_OK;
    snprintf(b->text, sizeof b->text, "%s", text);
    char *rest = b->text;
    for (char *word; (word = strsep(&rest, "/")); n++) {
        double value;
        if (n == b->buckets || !tamis__parse_double(word, strlen(word), &value) ||
            !(value >= 0 && value <= 1e300))
            return fail_weights(b, text, err);
        b->weight[n] = word;
        sum += value;
    }
    return n == b->buckets && sum > 0 ? TAMIS_OK : fail_weights(b, text, err);
}

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    blend *b = state;
    tamis__megatron_params_read(&b->common, param);
    b->buckets = (uint16_t)param[BUCKETS].number;
    return read_weights(b, param[WEIGHTS].text, err);
}

/* --- which bucket --------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b, void *arg)
{
    const uint64_t *rank = arg;
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    if (rank[x] != rank[y]) return rank[x] < rank[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Each row of each kept part gets the quantile of its rank among the part's rows: sizes differ by
 * one at most. */
static tamis_status sort_rows(const tamis__manifest_job *job, uint16_t buckets, uint16_t *bucket,
                              uint64_t *order, tamis_error *err)
{
    const tamis__plan *plan = job->plan;
    for (size_t k = 0; k < plan->parts; k++) {
        uint64_t n = 0;
        for (uint64_t row = 0; !plan->of[k].dropped && row < plan->rows; row++)
            if (plan->part[row] == k) order[n++] = row;
        if (plan->of[k].dropped) continue;
        if (n < buckets)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "'%s' has %" PRIu64 " rows for %u buckets, and Megatron-LM takes no "
                               "empty ones: say buckets=%" PRIu64 " or less",
                               plan->of[k].name, n, (unsigned)buckets, n ? n : 1);
        qsort_r(order, (size_t)n, sizeof *order, by_rank, job->selection->rank);
        for (uint64_t i = 0; i < n; i++) bucket[order[i]] = (uint16_t)(i * buckets / n);
    }
    return TAMIS_OK;
}

static tamis_status make_buckets(const tamis__manifest_job *job, uint16_t buckets,
                                 uint16_t **ret_bucket, tamis_error *err)
{
    size_t rows = (size_t)job->plan->rows;
    uint16_t *bucket = tamis__calloc(rows, sizeof *bucket);
    uint64_t *order = tamis__malloc(rows, sizeof *order);
    tamis_status status = bucket && order ? sort_rows(job, buckets, bucket, order, err)
                                          : tamis__fail_memory(err, "buckets", rows * 10);
    free(order);
    if (status == TAMIS_OK)
        *ret_bucket = bucket;
    else
        free(bucket);
    return status;
}

/* --- the blends ----------------------------------------------------------------------------- */

/* "<prefix>-q1", the best rows. */
static tamis_status write_bucket(const blend *b, const tamis__megatron_job *job, tamis__walk rows,
                                 tamis__blend *text, const char **gaps, tamis_error *err)
{
    tamis__part *part = &job->job->plan->of[rows.part];
    tamis__megatron_sets sets = {0};
    size_t size = strlen(part->path) + 16;
    char *prefix = tamis__malloc(size, 1);
    if (!prefix) return tamis__fail_memory(err, "a file name", size);
    snprintf(prefix, size, "%s-q%u", part->path, (unsigned)rows.only + 1);
    tamis_status status = tamis__megatron_sets_write(job, &rows, prefix, part->name, &sets, err);
    if (status == TAMIS_OK) {
        status = tamis__blend_add(text, &sets,
                                  b->weighing == BY_TOKENS ? NULL
                                  : b->weighing == GIVEN   ? b->weight[rows.only]
                                                           : "1",
                                  err);
        part->records += sets.sum.records;
        part->bytes += sets.sum.bytes;
        if (sets.sum.gaps) *gaps = sets.sum.gaps;
    }
    tamis__megatron_sets_fini(&sets);
    free(prefix);
    return status;
}

static char *join(const char *a, size_t size, const char *b, const char *c)
{
    size_t room = size + strlen(b) + strlen(c) + 1;
    char *path = tamis__malloc(room, 1);
    if (path) snprintf(path, room, "%.*s%s%s", (int)size, a, b, c);
    return path;
}

static tamis_status write_part(const blend *b, const tamis__megatron_job *job, tamis__walk rows,
                               tamis__blend *text, const char **gaps, tamis_error *err)
{
    TAMIS_TRY(tamis__blend_check(job->job->plan->of[rows.part].path, err));
    for (rows.only = 0; rows.only < b->buckets; rows.only++)
        TAMIS_TRY(write_bucket(b, job, rows, text, gaps, err));
    TAMIS_TRY(tamis__bytes_add(&text->json, "]", 1, err));
    return tamis__blend_end(job->job, &job->job->plan->of[rows.part], text, err);
}

/* {"train": [...], "valid": ..., "test": ...}: all three are wanted, and null is none. Without
 * splits all is for training. */
static tamis_status write_splits(const tamis__manifest_job *job, const tamis__blend *t,
                                 tamis_error *err)
{
    static const char *const split[] = {"train", "valid", "test"};
    const char *output = job->params->output, *hole = strstr(output, "{}");
    tamis__bytes json = {0};
    tamis_status status = TAMIS_OK;
    for (size_t i = 0; status == TAMIS_OK && i < 3; i++) {
        const tamis__bytes *list = NULL;
        for (size_t k = 0; k < job->plan->parts; k++)
            if (!strcmp(job->plan->of[k].name, split[i]) ||
                (!job->params->splits && i == 0 && k == 0))
                list = &t[k].json;
        status = tamis__bytes_text(&json, i == 0 ? "{\"" : ",\n \"", err);
        if (status == TAMIS_OK) status = tamis__bytes_text(&json, split[i], err);
        if (status == TAMIS_OK) status = tamis__bytes_text(&json, "\": ", err);
        if (status == TAMIS_OK)
            status = list ? tamis__bytes_add(&json, list->data, list->size, err)
                          : tamis__bytes_text(&json, "null", err);
    }
    if (status == TAMIS_OK) status = tamis__bytes_text(&json, "}\n", err);
    char *path = job->params->splits && hole
                     ? join(output, (size_t)(hole - output), "splits", hole + 2)
                     : join(output, strlen(output), "", "");
    char *full = path ? join(path, strlen(path), ".blend.json", "") : NULL;
    if (status == TAMIS_OK && !full) status = tamis__fail_memory(err, "a file name", 1);
    if (status == TAMIS_OK) status = tamis__blend_write(job, full, "splits", &json, err);
    free(path);
    free(full);
    free(json.data);
    return status;
}

static tamis_status check_splits(const tamis_manifest_params *p, tamis_error *err)
{
    for (size_t i = 0; i < p->splits; i++)
        if (strcmp(p->split[i].name, "train") != 0 && strcmp(p->split[i].name, "valid") != 0 &&
            strcmp(p->split[i].name, "test") != 0)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "megatron-blend: there is no split '%s' in Megatron-LM: name them "
                               "train, valid and test",
                               p->split[i].name);
    return TAMIS_OK;
}

/* --- the format ----------------------------------------------------------------------------- */

/* The dropped rows have no weight, and are data sets as they are. */
static tamis_status write_all(const blend *b, const tamis__megatron_job *job, uint16_t *bucket,
                              tamis__blend *t, tamis_error *err)
{
    const tamis__plan *plan = job->job->plan;
    const char *gaps = NULL;
    for (size_t k = plan->parts; k > 0; k--) {
        tamis__walk rows = {.plan = plan, .part = k - 1, .bucket = bucket};
        if (plan->of[k - 1].dropped)
            TAMIS_TRY(tamis__megatron_part(job, k - 1, &gaps, err));
        else
            TAMIS_TRY(write_part(b, job, rows, &t[k - 1], &gaps, err));
    }
    tamis__megatron_warn(job, gaps);
    return write_splits(job->job, t, err);
}

static tamis_status write_checked(const blend *b, const tamis__megatron_job *job, tamis_error *err)
{
    size_t parts = job->job->plan->parts;
    uint16_t *bucket = NULL;
    TAMIS_TRY(make_buckets(job->job, b->buckets, &bucket, err));
    tamis__blend *t = tamis__calloc(parts, sizeof *t);
    tamis_status status = t ? write_all(b, job, bucket, t, err)
                            : tamis__fail_memory(err, "a blend", parts * sizeof *t);
    for (size_t k = 0; t && k < parts; k++) tamis__blend_fini(&t[k]);
    free(t);
    free(bucket);
    return status;
}

static tamis_status write_blend(void *state, const tamis__manifest_job *manifest,
                                tamis_manifest_result *result, tamis_error *err)
{
    const blend *b = state;
    tamis__megatron_job job = {
        .job = manifest, .mode = b->common.mode, .by_document = b->common.by_document};
    TAMIS_TRY(check_splits(manifest->params, err));
    tamis_status status = tamis__megatron_inputs(&job, err);
    if (status == TAMIS_OK) status = tamis__megatron_compare(&job, result, err);
    if (status == TAMIS_OK) status = write_checked(b, &job, err);
    tamis__megatron_inputs_close(&job);
    return status;
}

const tamis__manifest_class tamis__manifest_megatron_blend = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "megatron-blend",
             .summary = "Megatron-LM's data sets by influence, and the blend that weighs them",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY |
                      TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(blend),
    .init = init,
    .write = write_blend,
};
