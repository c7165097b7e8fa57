/* The inputs of Megatron-LM's formats, and comparing them with the selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/bytes.h"
#include "manifest/compare.h"
#include "manifest/megatron_write.h"

/* Bytes of a .bin between two looks at cancellation. */
#define PROGRESS_BYTES ((uint64_t)16 << 20)

/* So many inputs are kept open, to be known whatever becomes of their names: descriptors are
 * few. */
#define KEPT_OPEN 64

/* --- opening -------------------------------------------------------------------------------- */

/* By code. */
static const char *const type_name[] = {"",      "uint8",   "int8",    "int16", "int32",
                                        "int64", "float64", "float32", "uint16"};

/* An index has one type for all sequences, and modes for all or none. */
static tamis_status check_alike(const tamis__megatron_job *job, tamis_error *err)
{
    const tamis__megatron *modes = NULL, *none = NULL;
    for (size_t i = 0; i < job->sets; i++) {
        const tamis__megatron *set = &job->set[i];
        if (set->type != job->set->type)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' has tokens of type %s, '%s' of %s: one data set has one type; "
                               "say mode=link, which leaves each its own, or preprocess one anew",
                               set->idx_path, type_name[set->type], job->set->idx_path,
                               type_name[job->set->type]);
        if (set->mode)
            modes = set;
        else if (set->sequences > 0)
            none = set;
    }
    if (!modes || !none) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' has modes of its sequences (multimodal), '%s' has none: they cannot be "
        "one data set; say mode=link, which leaves each its own",
        modes->idx_path, none->idx_path);
}

tamis_status tamis__megatron_inputs(tamis__megatron_job *job, tamis_error *err)
{
    const tamis_manifest_params *p = job->job->params;
    job->set = tamis__calloc(p->inputs, sizeof *job->set);
    job->first = tamis__calloc(p->inputs + 1, sizeof *job->first);
    if (!job->set || !job->first)
        return tamis__fail_memory(err, "inputs", p->inputs * sizeof *job->set);
    for (; job->sets < p->inputs; job->sets++) {
        tamis__megatron *set = &job->set[job->sets];
        TAMIS_TRY(tamis__megatron_open(set, job->job->context, p->input[job->sets],
                                       p->inputs <= KEPT_OPEN, err));
        job->first[job->sets + 1] = job->first[job->sets] +
                                    (job->by_document ? set->documents : set->sequences);
    }
    return job->mode == TAMIS__MEGATRON_COPY ? check_alike(job, err) : TAMIS_OK;
}

void tamis__megatron_inputs_close(tamis__megatron_job *job)
{
    for (size_t i = 0; i < job->sets; i++) tamis__megatron_close(&job->set[i]);
    free(job->set);
    free(job->first);
    job->set = NULL;
    job->first = NULL;
    job->sets = 0;
}

/* --- comparing ------------------------------------------------------------------------------ */

/* The row's bytes; `joined` holds them where they are not in one piece. */
static tamis_status bytes_of(const tamis__megatron *set, uint64_t first, uint64_t end,
                             tamis__bytes *joined, const void **ret_bytes, size_t *ret_size,
                             tamis_error *err)
{
    size_t size = 0;
    const unsigned char *start = NULL;
    bool whole = true;
    for (uint64_t i = first; i < end; i++) {
        const unsigned char *at = set->bin.data + tamis__megatron_offset(set, i);
        if (!start) start = at;
        whole &= at == start + size;
        size += (size_t)tamis__megatron_length(set, i) * set->item;
    }
    joined->size = 0;
    for (uint64_t i = first; i < end && !whole; i++)
        TAMIS_TRY(tamis__bytes_add(joined, set->bin.data + tamis__megatron_offset(set, i),
                                   (size_t)tamis__megatron_length(set, i) * set->item, err));
    *ret_bytes = whole ? (start ? (const void *)start : "") : joined->data;
    *ret_size = size;
    return TAMIS_OK;
}

static tamis_status compare_input(const tamis__megatron_job *job, size_t input,
                                  tamis__compare *compare, tamis__bytes *joined, tamis_error *err)
{
    const tamis__megatron *set = &job->set[input];
    uint64_t before = job->first[input], rows = job->first[input + 1] - before, done = 0;
    for (uint64_t row = 0; row < rows; row++) {
        const void *bytes = "";
        size_t size = 0;
        uint64_t first = job->by_document ? tamis__megatron_first(set, row) : row;
        uint64_t end = job->by_document ? tamis__megatron_first(set, row + 1) : row + 1;
        if (compare->job->check_digests)
            TAMIS_TRY(bytes_of(set, first, end, joined, &bytes, &size, err));
        (void)tamis__compare_sample(compare, bytes, size, set->idx_path, row);
        done += size;
        if (done < PROGRESS_BYTES) continue;
        done = 0;
        TAMIS_TRY(tamis__watch_check(&set->bin_watch, set->bin_path, err));
        TAMIS_TRY(tamis__progress(job->job->context, "comparing", before + row,
                                  job->first[job->sets], "rows", NULL, err));
        tamis__input_release(&set->bin, 0, set->bin.size);
    }
    tamis__input_release(&set->bin, 0, set->bin.size);
    return TAMIS_OK;
}

static tamis_status compare_all(const tamis__megatron_job *job, tamis__compare *compare,
                                tamis__bytes *joined, tamis_error *err)
{
    for (size_t i = 0; i < job->sets; i++) TAMIS_TRY(compare_input(job, i, compare, joined, err));
    return tamis__compare_end(compare, job->by_document ? "documents" : "sequences", err);
}

tamis_status tamis__megatron_compare(const tamis__megatron_job *job, tamis_manifest_result *result,
                                     tamis_error *err)
{
    tamis__compare compare = {.job = job->job};
    tamis__bytes joined = {0};
    tamis_status status = compare_all(job, &compare, &joined, err);
    tamis__compare_fini(&compare);
    free(joined.data);
    if (status != TAMIS_OK) return status;
    result->records = job->first[job->sets];
    for (size_t i = 0; i < job->sets; i++) {
        result->bytes_in += job->set[i].idx.size + job->set[i].bin.size;
        result->input_records[i] = job->first[i + 1] - job->first[i];
    }
    return TAMIS_OK;
}
