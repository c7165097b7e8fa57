/* A thread pool with ordered, bounded queues.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_POOL_H
#define TAMIS_BASE_POOL_H

#include <tamis/common.h>

typedef struct tamis__pool tamis__pool;

/* `threads` counts the caller: 1 starts none. */
tamis_status tamis__pool_create(tamis__pool **ret_pool, unsigned threads, tamis_error *err);
void tamis__pool_destroy(tamis__pool **pool);
unsigned tamis__pool_threads(const tamis__pool *pool);

/* A pipeline over items 0 .. items-1, with at most `slots` items between produce and consume.
 *
 *   produce(arg, item, slot)         on the calling thread, in order; NULL = nothing to do
 *   work(arg, item, slot, worker)    on any thread, any order; worker < threads, and no two calls
 *                                    with one worker number run at once (per-thread scratch)
 *   consume(arg, item, slot)         on the calling thread, in order; NULL = nothing to do
 *
 * `slot` < slots is the item's own until consume returns: buffers belong to slots. With
 * slots = 0, twice the threads are used. The calling thread works too while it waits.
 * The first failure by item number is the one returned; nothing new is started after it. The
 * pool must not be entered again from within work. */
typedef struct tamis__pipeline {
    void *arg;
    uint64_t items;
    unsigned slots;
    tamis_status (*produce)(void *arg, uint64_t item, unsigned slot, tamis_error *err);
    tamis_status (*work)(void *arg, uint64_t item, unsigned slot, unsigned worker,
                         tamis_error *err);
    tamis_status (*consume)(void *arg, uint64_t item, unsigned slot, tamis_error *err);
} tamis__pipeline;

tamis_status tamis__pool_run(tamis__pool *pool, const tamis__pipeline *pipeline, tamis_error *err);

/* Slots that tamis__pool_run() will use for this pipeline. */
unsigned tamis__pool_slots(const tamis__pool *pool, const tamis__pipeline *pipeline);

#endif
