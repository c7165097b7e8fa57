/* The thread pool: order, bounded queues, failures, and hard use.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

#define MAX_SLOTS   64
#define MAX_WORKERS 16
#define NEVER       UINT64_MAX

static const unsigned thread_counts[] = {1, 2, 7};

/* A pipeline that checks its own rules: every slot is empty, produced, worked, in this order. */
typedef struct plan {
    uint64_t seed;
    uint64_t fail_produce, fail_work, fail_consume; /* first item that fails there */
    unsigned slots, threads;
    pthread_t caller;
    uint64_t produced, consumed; /* only the caller's thread writes */
    uint64_t in_slot[MAX_SLOTS];
    atomic_int stage[MAX_SLOTS];   /* 0 empty, 1 produced, 2 worked */
    atomic_flag busy[MAX_WORKERS]; /* one call with a worker number at a time */
    atomic_ullong worked;
    atomic_bool broken; /* a rule was broken */
    uint64_t sum;
} plan;

static void rule(plan *p, bool holds)
{
    if (!holds) atomic_store(&p->broken, true);
}

static tamis_status plan_produce(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    plan *p = arg;
    rule(p, pthread_equal(pthread_self(), p->caller) != 0);
    rule(p, item == p->produced && slot < p->slots && atomic_load(&p->stage[slot]) == 0);
    rule(p, p->produced - p->consumed < p->slots);
    if (item >= p->fail_produce)
        return tamis__fail(err, TAMIS_ERR_IO, "produce %llu", (unsigned long long)item);
    p->in_slot[slot] = item;
    p->produced++;
    atomic_store(&p->stage[slot], 1);
    return TAMIS_OK;
}

/* Uneven amounts of work, so that items end out of order. */
static void dawdle(uint64_t seed, uint64_t item)
{
    uint64_t x = (item + seed) * UINT64_C(0x9e3779b97f4a7c15) >> 59;
    for (uint64_t i = 0; i < x; i++) sched_yield();
}

static tamis_status plan_work(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    plan *p = arg;
    rule(p, worker < p->threads && slot < p->slots && p->in_slot[slot] == item);
    rule(p, !atomic_flag_test_and_set(&p->busy[worker]));
    rule(p, atomic_load(&p->stage[slot]) == 1);
    dawdle(p->seed, item);
    atomic_fetch_add(&p->worked, 1);
    atomic_store(&p->stage[slot], 2);
    atomic_flag_clear(&p->busy[worker]);
    if (item >= p->fail_work)
        return tamis__fail(err, TAMIS_ERR_NUMERIC, "work %llu", (unsigned long long)item);
    return TAMIS_OK;
}

static tamis_status plan_consume(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    plan *p = arg;
    rule(p, pthread_equal(pthread_self(), p->caller) != 0);
    rule(p, item == p->consumed && p->in_slot[slot] == item && atomic_load(&p->stage[slot]) == 2);
    if (item >= p->fail_consume)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "consume %llu", (unsigned long long)item);
    p->sum = p->sum * 31 + item;
    p->consumed++;
    atomic_store(&p->stage[slot], 0);
    return TAMIS_OK;
}

static plan new_plan(uint64_t seed)
{
    return (plan){.seed = seed, .fail_produce = NEVER, .fail_work = NEVER, .fail_consume = NEVER};
}

static tamis_status run_plan(tamis__pool *pool, plan *p, uint64_t items, unsigned slots,
                             tamis_error *err)
{
    tamis__pipeline pipeline = {p, items, slots, plan_produce, plan_work, plan_consume};
    p->slots = tamis__pool_slots(pool, &pipeline);
    p->threads = tamis__pool_threads(pool);
    p->caller = pthread_self();
    ck_assert_uint_le(p->slots, MAX_SLOTS);
    ck_assert_uint_le(p->threads, MAX_WORKERS);
    for (unsigned i = 0; i < MAX_WORKERS; i++) atomic_flag_clear(&p->busy[i]);
    tamis_status status = tamis__pool_run(pool, &pipeline, err);
    ck_assert(!atomic_load(&p->broken));
    return status;
}

static uint64_t wanted_sum(uint64_t items)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < items; i++) sum = sum * 31 + i;
    return sum;
}

START_TEST(order)
{
    static const uint64_t sizes[] = {0, 1, 2, 3, 13, 14, 15, 500};
    static const unsigned slots[] = {0, 1, 2, 5, MAX_SLOTS};
    tamis_error err = {0};
    for (size_t t = 0; t < 3; t++) {
        tamis__pool *pool = NULL;
        ck_ok(tamis__pool_create(&pool, thread_counts[t], &err));
        ck_assert_uint_eq(tamis__pool_threads(pool), thread_counts[t]);
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
            for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
                plan p = new_plan(n);
                ck_ok(run_plan(pool, &p, sizes[n], slots[s], &err));
                ck_assert_uint_eq(p.consumed, sizes[n]);
                ck_assert_uint_eq(p.produced, sizes[n]);
                ck_assert_uint_eq(atomic_load(&p.worked), sizes[n]);
                ck_assert_uint_eq(p.sum, wanted_sum(sizes[n]));
            }
        tamis__pool_destroy(&pool);
        ck_assert_ptr_null(pool);
    }
}
END_TEST

START_TEST(slots)
{
    tamis_error err = {0};
    tamis__pool *pool = NULL;
    ck_ok(tamis__pool_create(&pool, 3, &err));
    tamis__pipeline pipeline = {.items = 100};
    ck_assert_uint_eq(tamis__pool_slots(pool, &pipeline), 6);
    pipeline.slots = 4;
    ck_assert_uint_eq(tamis__pool_slots(pool, &pipeline), 4);
    pipeline.items = 2;
    ck_assert_uint_eq(tamis__pool_slots(pool, &pipeline), 2);
    pipeline.items = 0;
    ck_assert_uint_eq(tamis__pool_slots(pool, &pipeline), 1);
    tamis__pool_destroy(&pool);
    tamis__pool_destroy(&pool);
    tamis__pool_destroy(NULL);
}
END_TEST

static tamis_status count_work(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot, (void)worker, (void)err;
    atomic_fetch_add((atomic_ullong *)arg, item + 1);
    return TAMIS_OK;
}

START_TEST(work_alone)
{
    tamis_error err = {0};
    for (size_t t = 0; t < 3; t++) {
        tamis__pool *pool = NULL;
        ck_ok(tamis__pool_create(&pool, thread_counts[t], &err));
        atomic_ullong sum = 0;
        tamis__pipeline pipeline = {.arg = &sum, .items = 1000, .work = count_work};
        ck_ok(tamis__pool_run(pool, &pipeline, &err));
        ck_assert_uint_eq(atomic_load(&sum), 500500);
        tamis__pool_destroy(&pool);
    }
}
END_TEST

/* Whatever fails first by item number is what is reported, at any thread count: within an item
 * produce comes before work, and work before consume. Everything before it was consumed. */
START_TEST(first_failure)
{
    static const uint64_t at[] = {0, 1, 5, 6, 7, 30, NEVER};
    tamis_error err = {0};
    for (size_t t = 0; t < 3; t++) {
        tamis__pool *pool = NULL;
        ck_ok(tamis__pool_create(&pool, thread_counts[t], &err));
        for (int i = 0; i < 7 * 7 * 7; i++) {
            plan p = new_plan((uint64_t)i);
            p.fail_produce = at[i % 7], p.fail_work = at[i / 7 % 7], p.fail_consume = at[i / 49];
            uint64_t first = p.fail_produce;
            const char *what = "produce";
            tamis_status wanted = TAMIS_ERR_IO;
            if (p.fail_work < first) first = p.fail_work, what = "work", wanted = TAMIS_ERR_NUMERIC;
            if (p.fail_consume < first)
                first = p.fail_consume, what = "consume", wanted = TAMIS_ERR_SHAPE;
            tamis_status status = run_plan(pool, &p, 40, 0, &err);
            if (first == NEVER) {
                ck_assert_int_eq(status, TAMIS_OK);
                continue;
            }
            char text[40];
            snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)first);
            ck_fails(status, wanted, text);
            ck_assert_uint_eq(strlen(err.message), strlen(text));
            ck_assert_uint_eq(p.consumed, first);
            /* The pool is as good as new. */
            plan again = new_plan(1);
            ck_ok(run_plan(pool, &again, 20, 0, &err));
        }
        tamis__pool_destroy(&pool);
    }
}
END_TEST

START_TEST(failure_without_error)
{
    tamis_error err = {0};
    tamis__pool *pool = NULL;
    ck_ok(tamis__pool_create(&pool, 2, &err));
    plan p = new_plan(0);
    p.fail_work = 3;
    ck_assert_int_eq(run_plan(pool, &p, 40, 0, NULL), TAMIS_ERR_NUMERIC);
    tamis__pool_destroy(&pool);
}
END_TEST

/* Two items that wait for each other can only end when two threads work at once. */
typedef struct meeting {
    atomic_int arrived;
} meeting;

static tamis_status meet(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)item, (void)slot, (void)worker;
    meeting *m = arg;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < 2) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > 20) return tamis__fail(err, TAMIS_ERR_CHECK, "nobody came");
        sched_yield();
    }
    return TAMIS_OK;
}

START_TEST(together)
{
    tamis_error err = {0};
    tamis__pool *pool = NULL;
    ck_ok(tamis__pool_create(&pool, 2, &err));
    meeting m = {0};
    tamis__pipeline pipeline = {.arg = &m, .items = 2, .work = meet};
    ck_ok(tamis__pool_run(pool, &pipeline, &err));
    tamis__pool_destroy(&pool);
}
END_TEST

/* Many short runs of every shape, with and without failures, and pools made and unmade. */
START_TEST(thrash)
{
    tamis_error err = {0};
    uint64_t x = 12345;
    for (int round = 0; round < 60; round++) {
        tamis__pool *pool = NULL;
        ck_ok(tamis__pool_create(&pool, 1 + (unsigned)round % 9, &err));
        for (int i = 0; i < 12; i++) {
            x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t items = x >> 57;
            plan p = new_plan(x);
            if (x >> 20 & 1) p.fail_work = x >> 58;
            if (x >> 21 & 1) p.fail_produce = x >> 30 & 63;
            tamis_status status = run_plan(pool, &p, items, (unsigned)(x >> 40 & 31), &err);
            uint64_t first = p.fail_work < p.fail_produce ? p.fail_work : p.fail_produce;
            ck_assert_int_eq(status != TAMIS_OK, first < items);
            ck_assert_uint_eq(p.consumed, first < items ? first : items);
            ck_assert_uint_eq(p.sum, wanted_sum(p.consumed));
        }
        tamis__pool_destroy(&pool);
    }
}
END_TEST

START_TEST(no_memory)
{
    tamis_error err = {0};
    tamis__pool *pool = NULL;
    long n = 0;
    for (;; n++) {
        tamis__fault_memory_after(n);
        tamis_status status = tamis__pool_create(&pool, 3, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_fails(status, TAMIS_ERR_NOMEM, "out of memory");
        ck_assert_ptr_null(pool);
    }
    ck_assert_int_gt(n, 0);
    plan p = new_plan(0);
    tamis__fault_memory_after(0);
    tamis_status status = run_plan(pool, &p, 5, 0, &err);
    tamis__fault_memory_after(-1);
    ck_fails(status, TAMIS_ERR_NOMEM, "out of memory");
    ck_assert_uint_eq(p.produced, 0);
    tamis__pool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, order);
    tcase_add_test(tests, slots);
    tcase_add_test(tests, work_alone);
    tcase_add_test(tests, first_failure);
    tcase_add_test(tests, failure_without_error);
    tcase_add_test(tests, together);
    tcase_add_test(tests, thrash);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
