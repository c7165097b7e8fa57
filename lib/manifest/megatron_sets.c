/* Data sets of Megatron-LM, and blends.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/megatron_sets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* --- data sets ------------------------------------------------------------------------------ */

static void add_set(tamis__megatron_sets *sets, char *prefix,
                    const tamis__megatron_written *written)
{
    sets->of[sets->n++] = (struct tamis__megatron_one){prefix, written->tokens};
    sets->sum.records += written->records;
    sets->sum.tokens += written->tokens;
    sets->sum.bytes += written->bytes;
    if (!sets->sum.gaps) sets->sum.gaps = written->gaps;
}

static tamis_status write_one(const tamis__megatron_job *job, const tamis__walk *rows, size_t input,
                              const char *prefix, const char *what, tamis__megatron_sets *sets,
                              tamis_error *err)
{
    tamis__megatron_written written = {0};
    char ending[24] = "";
    if (input != TAMIS__MEGATRON_ALL) snprintf(ending, sizeof ending, "-%zu", input + 1);
    char *path = tamis__megatron_path(prefix, ending);
    if (!path) return tamis__fail_memory(err, "a file name", strlen(prefix));
    tamis_status status = tamis__megatron_write(job, rows, input, path, what, &written, err);
    if (status == TAMIS_OK && (written.records > 0 || input == TAMIS__MEGATRON_ALL))
        add_set(sets, path, &written);
    else
        free(path);
    return status;
}

static tamis_status write_all(const tamis__megatron_job *job, const tamis__walk *rows,
                              const char *prefix, const char *what, tamis__megatron_sets *sets,
                              tamis_error *err)
{
    if (!tamis__megatron_several(job))
        return write_one(job, rows, TAMIS__MEGATRON_ALL, prefix, what, sets, err);
    for (size_t i = 0; i < job->sets; i++)
        TAMIS_TRY(write_one(job, rows, i, prefix, what, sets, err));
    return TAMIS_OK;
}

tamis_status tamis__megatron_sets_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                        const char *prefix, const char *what,
                                        tamis__megatron_sets *ret_sets, tamis_error *err)
{
    tamis__megatron_sets sets = {.of = tamis__calloc(job->sets, sizeof *sets.of)};
    if (!sets.of) return tamis__fail_memory(err, "data sets", job->sets * sizeof *sets.of);
    tamis_status status = write_all(job, rows, prefix, what, &sets, err);
    if (status == TAMIS_OK)
        *ret_sets = sets;
    else
        tamis__megatron_sets_fini(&sets);
    return status;
}

void tamis__megatron_sets_fini(tamis__megatron_sets *sets)
{
    for (size_t i = 0; i < sets->n; i++) free(sets->of[i].prefix);
    free(sets->of);
    *sets = (tamis__megatron_sets){0};
}

/* --- blends --------------------------------------------------------------------------------- */

tamis_status tamis__blend_check(const char *prefix, tamis_error *err)
{
    for (const char *p = prefix; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return tamis__fail(
                err, TAMIS_ERR_ARG,
                "'%s': Megatron-LM reads a blend as words, so that a prefix can hold "
                "no spaces: use another name",
                prefix);
    return TAMIS_OK;
}

static tamis_status add_entry(tamis__blend *blend, const char *weight, const char *prefix,
                              tamis_error *err)
{
    TAMIS_TRY(tamis__bytes_text(&blend->list, weight, err));
    TAMIS_TRY(tamis__bytes_text(&blend->list, " ", err));
    TAMIS_TRY(tamis__bytes_text(&blend->list, prefix, err));
    TAMIS_TRY(tamis__bytes_text(&blend->list, "\n", err));
    TAMIS_TRY(tamis__bytes_text(&blend->json, blend->json.size ? ", \"" : "[\"", err));
    TAMIS_TRY(tamis__bytes_text(&blend->json, weight, err));
    TAMIS_TRY(tamis__bytes_text(&blend->json, "\", \"", err));
    for (const char *p = prefix; *p; p++) {
        if (*p == '"' || *p == '\\') TAMIS_TRY(tamis__bytes_text(&blend->json, "\\", err));
        TAMIS_TRY(tamis__bytes_add(&blend->json, p, 1, err));
    }
    return tamis__bytes_text(&blend->json, "\"", err);
}

/* Where there are no tokens to share a weight by, all get the same. */
static double share_of(const tamis__megatron_sets *sets, size_t i, const char *weight)
{
    double whole = 0;
    (void)tamis__parse_double(weight, strlen(weight), &whole);
    if (sets->sum.tokens == 0) return whole / (double)sets->n;
    return whole * ((double)sets->of[i].tokens / (double)sets->sum.tokens);
}

tamis_status tamis__blend_add(tamis__blend *blend, const tamis__megatron_sets *sets,
                              const char *weight, tamis_error *err)
{
    for (size_t i = 0; i < sets->n; i++) {
        char number[TAMIS__NUMBER_SIZE];
        if (!weight)
            snprintf(number, sizeof number, "%" PRIu64, sets->of[i].tokens);
        else
            tamis__format_double(number, share_of(sets, i, weight));
        TAMIS_TRY(
            add_entry(blend, weight && sets->n == 1 ? weight : number, sets->of[i].prefix, err));
    }
    return TAMIS_OK;
}

void tamis__blend_fini(tamis__blend *blend)
{
    free(blend->list.data);
    free(blend->json.data);
    *blend = (tamis__blend){0};
}

tamis_status tamis__blend_write(const tamis__manifest_job *job, const char *path, const char *what,
                                const tamis__bytes *text, tamis_error *err)
{
    tamis__output *output = NULL;
    if (job->params->dry_run) return TAMIS_OK;
    TAMIS_TRY(tamis__outputs_plain(job->outputs, job->context, path, what, job->params->force,
                                   &output, err));
    return text->size ? tamis__output_write(output, text->data, text->size, err) : TAMIS_OK;
}

tamis_status tamis__blend_end(const tamis__manifest_job *job, tamis__part *part,
                              const tamis__blend *blend, tamis_error *err)
{
    size_t size = strlen(part->path) + sizeof ".blend";
    char *path = tamis__malloc(size, 1);
    if (!path) return tamis__fail_memory(err, "a file name", size);
    snprintf(path, size, "%s.blend", part->path);
    free(part->path);
    part->path = path;
    part->bytes += blend->list.size;
    return tamis__blend_write(job, path, part->name, &blend->list, err);
}

/* --- a part --------------------------------------------------------------------------------- */

/* The index stands for the records of one data set, and the blend for those of several. */
static tamis_status end_part(const tamis__megatron_job *job, tamis__part *part,
                             const tamis__megatron_sets *sets, tamis_error *err)
{
    tamis__blend blend = {0};
    part->records = sets->sum.records;
    part->bytes = sets->sum.bytes;
    if (!tamis__megatron_several(job)) return TAMIS_OK;
    tamis_status status = tamis__blend_add(&blend, sets, NULL, err);
    if (status == TAMIS_OK) status = tamis__blend_end(job->job, part, &blend, err);
    tamis__blend_fini(&blend);
    return status;
}

tamis_status tamis__megatron_part(const tamis__megatron_job *job, size_t k, const char **gaps,
                                  tamis_error *err)
{
    tamis__part *part = &job->job->plan->of[k];
    tamis__walk rows = {.plan = job->job->plan, .part = k};
    tamis__megatron_sets sets = {0};
    char *path = tamis__megatron_path(part->path, tamis__megatron_several(job) ? "" : ".idx");
    if (!path) return tamis__fail_memory(err, "a file name", strlen(part->path));
    free(part->path);
    part->path = path;
    if (tamis__megatron_several(job)) TAMIS_TRY(tamis__blend_check(path, err));
    TAMIS_TRY(tamis__megatron_sets_write(job, &rows, path, part->name, &sets, err));
    if (sets.sum.gaps) *gaps = sets.sum.gaps;
    tamis_status status = end_part(job, part, &sets, err);
    tamis__megatron_sets_fini(&sets);
    return status;
}
