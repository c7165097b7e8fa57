/* A thread pool with ordered, bounded queues.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

enum slot_state { FREE, READY, RUNNING, DONE };

typedef struct slot {
    enum slot_state state;
    tamis_status status;
    tamis_error err;
} slot;

/* One run. Items enter in order, so item i lives in slot i % slots. */
typedef struct run {
    const tamis__pipeline *pipeline;
    slot *slots;
    unsigned n_slots;
    uint64_t produced; /* items that entered */
    uint64_t taken;    /* items a thread has begun to work on */
    uint64_t consumed;
    bool failed;        /* take no more work */
    tamis_status ended; /* what produce came to: once it failed, no more items enter */
} run;

typedef struct worker {
    tamis__pool *pool;
    pthread_t thread;
    unsigned number;
} worker;

struct tamis__pool {
    unsigned threads; /* the caller and the workers */
    unsigned started;
    worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t to_workers, to_caller;
    run *run;
    bool stop;
};

/* With the lock held: do one waiting item. False when there is none. */
static bool work_one(tamis__pool *pool, unsigned number)
{
    run *r = pool->run;
    if (!r || r->failed || r->taken == r->produced) return false;
    uint64_t item = r->taken++;
    unsigned where = (unsigned)(item % r->n_slots);
    slot *s = &r->slots[where];
    s->state = RUNNING;
    pthread_mutex_unlock(&pool->lock);
    tamis_status status = r->pipeline->work(r->pipeline->arg, item, where, number, &s->err);
    pthread_mutex_lock(&pool->lock);
    s->status = status;
    s->state = DONE;
    if (status != TAMIS_OK) r->failed = true;
    pthread_cond_signal(&pool->to_caller);
    return true;
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    tamis__pool *pool = w->pool;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop)
        if (!work_one(pool, w->number)) pthread_cond_wait(&pool->to_workers, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

tamis_status tamis__pool_create(tamis__pool **ret_pool, unsigned threads, tamis_error *err)
{
    tamis__pool *pool = tamis__calloc(1, sizeof *pool);
    if (!pool) return tamis__fail_memory(err, "the thread pool", sizeof *pool);
    pool->threads = threads ? threads : 1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->to_workers, NULL);
    pthread_cond_init(&pool->to_caller, NULL);
    pool->workers = tamis__calloc(pool->threads, sizeof *pool->workers);
    if (!pool->workers) {
        tamis__pool_destroy(&pool);
        return tamis__fail_memory(err, "the thread pool", threads * sizeof(worker));
    }
    for (unsigned i = 0; i + 1 < pool->threads; i++) {
        worker *w = &pool->workers[i];
        *w = (worker){.pool = pool, .number = i + 1};
        int code = pthread_create(&w->thread, NULL, worker_main, w);
        if (code) {
            tamis__pool_destroy(&pool);
            return tamis__fail(err, TAMIS_ERR_IO,
                               "cannot start thread %u of %u: ask for fewer with --threads", i + 2,
                               threads);
        }
        pool->started++;
    }
    *ret_pool = pool;
    return TAMIS_OK;
}

void tamis__pool_destroy(tamis__pool **pool_ptr)
{
    if (!pool_ptr || !*pool_ptr) return;
    tamis__pool *pool = *pool_ptr;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->to_workers);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->to_caller);
    pthread_cond_destroy(&pool->to_workers);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
    *pool_ptr = NULL;
}

unsigned tamis__pool_threads(const tamis__pool *pool)
{
    return pool->threads;
}

unsigned tamis__pool_slots(const tamis__pool *pool, const tamis__pipeline *pipeline)
{
    unsigned slots = pipeline->slots ? pipeline->slots : 2 * pool->threads;
    return pipeline->items < slots ? (unsigned)(pipeline->items ? pipeline->items : 1) : slots;
}

/* Lock held on entry and exit. A failure is kept for later: an earlier item may yet fail. */
static void produce_one(tamis__pool *pool, run *r, tamis_error *err)
{
    uint64_t item = r->produced;
    unsigned where = (unsigned)(item % r->n_slots);
    if (r->pipeline->produce) {
        pthread_mutex_unlock(&pool->lock);
        tamis_status status = r->pipeline->produce(r->pipeline->arg, item, where, err);
        pthread_mutex_lock(&pool->lock);
        if (status != TAMIS_OK) {
            r->ended = status;
            return;
        }
    }
    r->slots[where].state = READY;
    r->produced++;
    pthread_cond_signal(&pool->to_workers);
}

static tamis_status consume_one(tamis__pool *pool, run *r, tamis_error *err)
{
    uint64_t item = r->consumed;
    unsigned where = (unsigned)(item % r->n_slots);
    slot *s = &r->slots[where];
    if (s->status != TAMIS_OK) {
        if (err) *err = s->err;
        return s->status;
    }
    if (r->pipeline->consume) {
        pthread_mutex_unlock(&pool->lock);
        tamis_status status = r->pipeline->consume(r->pipeline->arg, item, where, err);
        pthread_mutex_lock(&pool->lock);
        if (status != TAMIS_OK) return status;
    }
    s->state = FREE;
    r->consumed++;
    return TAMIS_OK;
}

/* What the caller does next: give out what is finished, let new items in, work, or wait. Items are
 * consumed in order, so a failure that was met is reached only after all earlier ones passed. */
static tamis_status caller_loop(tamis__pool *pool, run *r, tamis_error *err)
{
    uint64_t items = r->pipeline->items;
    while (r->consumed < items && (r->ended == TAMIS_OK || r->consumed < r->produced)) {
        unsigned oldest = (unsigned)(r->consumed % r->n_slots);
        if (r->consumed < r->produced && r->slots[oldest].state == DONE) {
            TAMIS_TRY(consume_one(pool, r, err));
        } else if (!r->failed && r->ended == TAMIS_OK && r->produced < items &&
                   r->produced - r->consumed < r->n_slots) {
            produce_one(pool, r, err);
        } else if (!work_one(pool, 0)) {
            pthread_cond_wait(&pool->to_caller, &pool->lock);
        }
    }
    return r->ended;
}

/* Every thread has let go of the run. */
static void drain(tamis__pool *pool, run *r)
{
    r->failed = true;
    for (unsigned i = 0; i < r->n_slots; i++)
        while (r->slots[i].state == RUNNING) pthread_cond_wait(&pool->to_caller, &pool->lock);
}

tamis_status tamis__pool_run(tamis__pool *pool, const tamis__pipeline *pipeline, tamis_error *err)
{
    if (pipeline->items == 0) return TAMIS_OK;
    run r = {.pipeline = pipeline, .n_slots = tamis__pool_slots(pool, pipeline)};
    r.slots = tamis__calloc(r.n_slots, sizeof *r.slots);
    if (!r.slots) return tamis__fail_memory(err, "a work queue", r.n_slots * sizeof *r.slots);
    pthread_mutex_lock(&pool->lock);
    pool->run = &r;
    tamis_status status = caller_loop(pool, &r, err);
    drain(pool, &r);
    pool->run = NULL;
    pthread_mutex_unlock(&pool->lock);
    free(r.slots);
    return status;
}
