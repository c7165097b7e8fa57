/* Gradients kept as their factors: a group goes from the network straight to the writer, so that
 * products and writing go on at once and nothing else is held than what is between them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/grad_block.h"
#include "model/object.h"

/* A group between the network and the writer. */
typedef struct passage {
    tamis__factors factors;
    tamis__grad_block block;
} passage;

typedef struct stream {
    const tamis__gradient_job *job;
    tamis_store_writer *writer;
    unsigned threads, slots;
    passage *passage;      /* [slots] */
    tamis__batch *batches; /* [threads] */
    uint64_t first;        /* row to start with; its group is computed whole all the same */
} stream;

static uint64_t group_capacity(const tamis__gradient_job *job)
{
    return job->rows < job->group ? job->rows : job->group;
}

/* As many groups between network and writer as the memory allows, at most two for each thread. */
static tamis_status plan(stream *s, tamis_error *err)
{
    const tamis__gradient_job *job = s->job;
    tamis__network network = tamis__model_network(job->model, 0);
    uint64_t capacity = group_capacity(job);
    uint64_t fixed = tamis__batch_bytes(&network, TAMIS__GROUP_ROWS, true) * s->threads;
    uint64_t slot = capacity * tamis__factors_row_bytes(job) +
                    tamis__grad_block_bytes(job, capacity);
    TAMIS_TRY(tamis__memory_check(job->context, fixed + slot, "writing gradients", err));
    uint64_t slots = (job->context->memory - fixed) / slot;
    s->slots = slots < 2 * (uint64_t)s->threads ? (unsigned)slots : 2 * s->threads;
    return TAMIS_OK;
}

static tamis_status stream_init(stream *s, tamis_error *err)
{
    const tamis__gradient_job *job = s->job;
    uint64_t capacity = group_capacity(job);
    tamis__network network = tamis__model_network(job->model, 0);
    TAMIS_TRY(plan(s, err));
    s->passage = tamis__calloc(s->slots, sizeof *s->passage);
    if (!s->passage)
        return tamis__fail_memory(err, "the gradients' buffers", s->slots * sizeof *s->passage);
    for (unsigned i = 0; i < s->slots; i++) {
        TAMIS_TRY(tamis__factors_init(&s->passage[i].factors, job, capacity, err));
        TAMIS_TRY(tamis__grad_block_init(&s->passage[i].block, job, capacity, err));
    }
    return tamis__batches_create(&s->batches, s->threads, &network, TAMIS__GROUP_ROWS, true, err);
}

static void stream_fini(stream *s)
{
    for (unsigned i = 0; s->passage && i < s->slots; i++) {
        tamis__factors_fini(&s->passage[i].factors);
        tamis__grad_block_fini(&s->passage[i].block);
    }
    free(s->passage);
    tamis__batches_free(s->batches, s->threads);
}

/* Rows of a group that are to be written. */
static uint64_t group_rows(const stream *s, uint64_t item, uint64_t *ret_first, uint64_t *ret_group)
{
    uint64_t group = (s->first / s->job->group + item) * s->job->group, end = group + s->job->group;
    if (end > s->job->rows) end = s->job->rows;
    *ret_group = group;
    *ret_first = group < s->first ? s->first : group;
    return end - *ret_first;
}

static tamis_status make_group(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    const stream *s = arg;
    passage *p = &s->passage[slot];
    uint64_t first = 0, rows = group_rows(s, item, &first, &p->factors.first);
    TAMIS_TRY(tamis__factors_group(&p->factors, s->job, first + rows, &s->batches[worker], err));
    return tamis__grad_block_fill(&p->block, s->job, &p->factors, first, rows, NULL, err);
}

static tamis_status write_group(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const stream *s = arg;
    passage *p = &s->passage[slot];
    uint64_t first = 0, group = 0, rows = group_rows(s, item, &first, &group);
    return tamis__grad_block_write(&p->block, s->job, &p->factors, s->writer, first, rows, err);
}

tamis_status tamis__grad_factors(const tamis__gradient_job *job, tamis_store_writer *writer,
                                 tamis_error *err)
{
    stream s = {.job = job,
                .writer = writer,
                .threads = tamis_context_threads(job->context),
                .first = tamis_store_writer_next(writer)};
    if (s.first == job->rows) return TAMIS_OK;
    tamis_status status = stream_init(&s, err);
    tamis__pipeline groups = {.arg = &s,
                              .items = (job->rows - 1) / job->group - s.first / job->group + 1,
                              .slots = s.slots,
                              .work = make_group,
                              .consume = write_group};
    if (status == TAMIS_OK) status = tamis__pool_run(job->context->pool, &groups, err);
    stream_fini(&s);
    return status;
}
