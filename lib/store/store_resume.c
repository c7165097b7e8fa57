/* What is there already when a store is to be written: refused, removed, or gone on from.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_resume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/store_factors.h"
#include "store/store_writer.h"

/* --- does a file match the plan? -------------------------------------------------------------- */

static tamis_status differs(tamis_error *err, const char *path, const char *what, uint64_t there,
                            uint64_t wanted)
{
    return tamis__fail(
        err, TAMIS_ERR_SHAPE,
        "cannot resume: '%s' has %s %llu, now it is %llu: use -f without --resume to start anew",
        path, what, (unsigned long long)there, (unsigned long long)wanted);
}

static tamis_status match_layers(const tamis__store_header *header, const tamis__store_plan *plan,
                                 const char *path, tamis_error *err)
{
    if (header->layers != plan->layers)
        return differs(err, path, "layers:", header->layers, plan->layers);
    for (uint32_t i = 0; i < plan->layers; i++) {
        const tamis_layer *there = &header->layer[i], *wanted = &plan->layer[i];
        if (strcmp(there->name, wanted->name) != 0 || there->out != wanted->out ||
            there->in != wanted->in || there->bias != wanted->bias)
            return tamis__fail(
                err, TAMIS_ERR_SHAPE,
                "cannot resume: '%s' has layer '%s' (%llu x %llu), now it is '%s' (%llu x "
                "%llu): use -f without --resume to start anew",
                path, there->name, (unsigned long long)there->out,
                (unsigned long long)(there->in + there->bias), wanted->name,
                (unsigned long long)wanted->out, (unsigned long long)(wanted->in + wanted->bias));
    }
    return TAMIS_OK;
}

static tamis_status match_checkpoints(const tamis__store_header *header,
                                      const tamis__store_plan *plan, const char *path,
                                      tamis_error *err)
{
    if (header->checkpoints != plan->checkpoints)
        return differs(err, path, "checkpoints:", header->checkpoints, plan->checkpoints);
    for (uint32_t k = 0; k < plan->checkpoints; k++) {
        const tamis_checkpoint *there = &header->checkpoint[k], *wanted = &plan->checkpoint[k];
        if (there->step != wanted->step)
            return differs(err, path, "a checkpoint at step", there->step, wanted->step);
        if (there->learning_rate < wanted->learning_rate ||
            there->learning_rate > wanted->learning_rate)
            return tamis__fail(
                err, TAMIS_ERR_SHAPE,
                "cannot resume: '%s' has learning rate %.9g at checkpoint %u, now it is %.9g: use "
                "-f without --resume to start anew",
                path, there->learning_rate, (unsigned)k, wanted->learning_rate);
    }
    return TAMIS_OK;
}

static tamis_status match(const tamis__store_header *header, const tamis__store_plan *plan,
                          uint64_t first, uint64_t rows, const char *path, tamis_error *err)
{
    if (header->total_rows != plan->rows)
        return differs(err, path, "rows in all:", header->total_rows, plan->rows);
    if (header->first_row != first)
        return differs(err, path, "first row", header->first_row, first);
    if (header->rows != rows) return differs(err, path, "rows in a file:", header->rows, rows);
    if (header->form != plan->form)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' is in %s form, now it is %s: use -f without "
                           "--resume to start anew",
                           path, header->form == TAMIS_FORM_FULL ? "full" : "factor",
                           plan->form == TAMIS_FORM_FULL ? "full" : "factor");
    if (header->dtype != plan->dtype)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' holds %s rows, now it is %s: use -f without "
                           "--resume to start anew",
                           path, tamis_dtype_name(header->dtype), tamis_dtype_name(plan->dtype));
    TAMIS_TRY(match_layers(header, plan, path, err));
    TAMIS_TRY(match_checkpoints(header, plan, path, err));
    if (header->classes != plan->classes)
        return differs(err, path, "classes:", header->classes, plan->classes);
    if (header->outputs != plan->outputs)
        return differs(err, path, "outputs recorded:", header->outputs, plan->outputs);
    const char *origin = tamis__store_origin_difference(&header->origin, &plan->origin);
    if (origin)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' has %s than is asked for now: use -f without "
                           "--resume to start anew",
                           path, origin);
    if (strcmp(header->provenance, plan->provenance) != 0)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "cannot resume: '%s' was made by another command or from other inputs: its "
            "provenance differs; use -f without --resume to start anew",
            path);
    return TAMIS_OK;
}

/* The content digest of the rows of one checkpoint as they are now. */
static tamis_status digest_rows(const tamis__store_part *part, uint32_t k, uint64_t *ret_digest,
                                tamis_error *err)
{
    const tamis__store_header *header = &part->header;
    uint64_t rows = header->rows, sum = 0;
    float *scale = NULL;
    tamis_status status = TAMIS_OK;
    if (header->dtype == TAMIS_I8) {
        scale = tamis__malloc(rows, sizeof *scale);
        status = scale ? tamis__store_part_values(part, k, TAMIS__SCALE, scale, err)
                       : tamis__fail_memory(err, "scales", rows * sizeof *scale);
    }
    for (uint64_t row = 0, run = 0; row < rows && status == TAMIS_OK; row += run) {
        const void *stored = tamis__store_part_map(part, k, row, &run);
        if (!stored) break; /* our writer's files are always mapped; the digest will differ */
        if (run > rows - row) run = rows - row;
        sum += tamis__store_rows_digest(stored, scale ? scale + row : NULL, run,
                                        header->first_row + row, header->columns, header->dtype, k);
    }
    free(scale);
    if (status == TAMIS_OK) *ret_digest = sum;
    return status;
}

/* The rows of a file that is to be kept are still those that were written: reading them costs
 * little beside making them again. */
static tamis_status check_rows(const tamis_context *context, const char *path, tamis_error *err)
{
    tamis__store_part part;
    TAMIS_TRY(tamis__store_part_open(&part, context, path, false, err));
    tamis_status status = TAMIS_OK;
    uint64_t digest = 0;
    for (uint32_t k = 0; k < part.header.checkpoints && status == TAMIS_OK; k++) {
        uint64_t some = 0;
        status = part.factors ? tamis__store_part_factors_digest(&part, k, &some, err)
                              : digest_rows(&part, k, &some, err);
        digest += some;
    }
    bool same = digest == part.header.digest;
    tamis__store_part_fini(&part);
    if (same || status != TAMIS_OK) return status;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is damaged: its rows are not those written",
                       path);
}

static tamis_status match_file(const char *path, const tamis__store_plan *plan, uint64_t first,
                               uint64_t rows, tamis_error *err)
{
    tamis__h5 h5;
    tamis__store_header header = {0};
    tamis_status status = tamis__h5_open(&h5, path, TAMIS__STORE_KIND, TAMIS__STORE_VERSION, err);
    if (status == TAMIS_OK) {
        status = tamis__store_header_read(&header, &h5, err);
        if (status == TAMIS_OK) status = match(&header, plan, first, rows, path, err);
        tamis__store_header_fini(&header);
        tamis__h5_close(&h5);
    }
    if (status == TAMIS_OK) status = check_rows(plan->context, path, err);
    if (status != TAMIS_ERR_FORMAT || !err) return status;
    char reason[TAMIS_MESSAGE_SIZE / 2];
    snprintf(reason, sizeof reason, "%.*s", (int)sizeof reason - 1, err->message);
    return tamis__fail(err, status,
                       "cannot resume: %s; remove '%s' to have it written again with --resume",
                       reason, path);
}

/* --- one file --------------------------------------------------------------------------------- */

static tamis_status prepare_file(const tamis__store_plan *plan, bool force, bool resume,
                                 uint64_t *ret_next, tamis_error *err)
{
    struct stat st;
    *ret_next = 0;
    if (!resume || stat(plan->path, &st)) return tamis__output_check(plan->path, force, false, err);
    TAMIS_TRY(match_file(plan->path, plan, 0, plan->rows, err));
    *ret_next = plan->rows;
    return TAMIS_OK;
}

/* --- a directory ------------------------------------------------------------------------------ */

static tamis_status remove_shard(const char *directory, uint32_t number, bool part,
                                 tamis_error *err)
{
    char *path = tamis__shard_path(directory, number), *victim = NULL;
    tamis_status status = TAMIS_OK;
    if (path && part) victim = tamis__part_path(path);
    if (!path || (part && !victim))
        status = tamis__fail_memory(err, "a file name", strlen(directory));
    else if (part)
        status = tamis__part_remove(victim, directory, err);
    else if (tamis__fault_io() || (unlink(path) && errno != ENOENT))
        status = tamis__fail_errno(err, "cannot remove '%s'", path);
    free(victim);
    free(path);
    return status;
}

static tamis_status remove_parts(const char *directory, const tamis__shard_list *list,
                                 tamis_error *err)
{
    for (uint32_t i = 0; i < list->parts; i++)
        TAMIS_TRY(remove_shard(directory, list->part[i], true, err));
    return TAMIS_OK;
}

tamis_status tamis__store_clear(const tamis__store_plan *plan, tamis_error *err)
{
    tamis__shard_list list;
    TAMIS_TRY(tamis__shard_list_read(&list, plan->path, err));
    tamis_status status = TAMIS_OK;
    for (uint32_t i = 0; i < list.shards && status == TAMIS_OK; i++)
        status = remove_shard(plan->path, list.number[i], false, err);
    tamis__shard_list_fini(&list);
    return status;
}

/* Shards 0, 1, 2 ... as far as they are there are kept. Those behind a gap will be written again,
 * but they too must be what this run would write: it may be killed before it gets to them. */
static tamis_status whole_shards(const tamis__store_plan *plan, const tamis__shard_list *list,
                                 uint64_t *ret_next, tamis_error *err)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < list->shards; i++) {
        uint64_t first = list->number[i] * plan->shard_rows;
        uint64_t left = first < plan->rows ? plan->rows - first : 0;
        uint64_t rows = left < plan->shard_rows ? left : plan->shard_rows;
        char *path = tamis__shard_path(plan->path, list->number[i]);
        if (!path) return tamis__fail_memory(err, "a file name", strlen(plan->path));
        tamis_status status = match_file(path, plan, first, rows, err);
        free(path);
        TAMIS_TRY(status);
        if (list->number[i] == i) next = first + rows;
    }
    *ret_next = next;
    return TAMIS_OK;
}

static tamis_status prepare_listed(const tamis__store_plan *plan, const tamis__shard_list *list,
                                   bool force, bool resume, uint64_t *ret_next, tamis_error *err)
{
    bool empty = list->shards == 0 && list->parts == 0 && !list->stranger[0];
    *ret_next = 0;
    if (empty) return TAMIS_OK;
    if (!force && !resume)
        return tamis__fail(
            err, TAMIS_ERR_IO,
            "'%s' exists: use --resume to go on, -f to overwrite it, or another name", plan->path);
    if (list->stranger[0])
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' holds '%s', which is no part of a store: name another directory",
                           plan->path, list->stranger);
    if (resume) TAMIS_TRY(whole_shards(plan, list, ret_next, err));
    return remove_parts(plan->path, list, err);
}

static tamis_status prepare_directory(const tamis__store_plan *plan, bool force, bool resume,
                                      uint64_t *ret_next, bool *ret_made, tamis_error *err)
{
    tamis__shard_list list;
    struct stat st;
    if (stat(plan->path, &st)) {
        if (tamis__fault_io() || mkdir(plan->path, 0777))
            return tamis__fail_errno(err, "cannot make the directory '%s'", plan->path);
        *ret_next = 0;
        *ret_made = true;
        return TAMIS_OK;
    }
    if (!S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is a file, and a store in shards is a directory: use another name",
                           plan->path);
    TAMIS_TRY(tamis__shard_list_read(&list, plan->path, err));
    tamis_status status = prepare_listed(plan, &list, force, resume, ret_next, err);
    tamis__shard_list_fini(&list);
    return status;
}

tamis_status tamis__store_prepare(const tamis__store_plan *plan, bool force, bool resume,
                                  uint64_t *ret_next, bool *ret_made, tamis_error *err)
{
    *ret_made = false;
    if (!*plan->path) return tamis__fail(err, TAMIS_ERR_ARG, "the output store has an empty name");
    if (plan->shard_rows) return prepare_directory(plan, force, resume, ret_next, ret_made, err);
    return prepare_file(plan, force, resume, ret_next, err);
}
