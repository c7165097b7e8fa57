/* The context: threads, memory, callbacks.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <sched.h>

#include "base/context.h"
#include "base/mem.h"

static tamis_error err;

START_TEST(defaults)
{
    tamis_context *context = NULL;
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_ok(tamis_context_create(&context, NULL, &err));
    ck_assert_uint_eq(tamis_context_threads(context), (unsigned)CPU_COUNT(&set));
    ck_assert_uint_eq(tamis_context_memory(context), UINT64_C(1) << 30);
    ck_assert_uint_eq(tamis_context_cpu(context), tamis__cpu_detect());
    tamis_context_destroy(&context);
    ck_assert_ptr_null(context);
    tamis_context_destroy(&context);
    tamis_context_destroy(NULL);
}
END_TEST

START_TEST(chosen)
{
    tamis_context *context = NULL;
    tamis_context_params params = {
        .threads = 3, .memory = 5000, .limit_cpu = true, .cpu_mask = TAMIS_CPU_AVX2};
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_assert_uint_eq(tamis_context_threads(context), 3);
    ck_assert_uint_eq(tamis_context_memory(context), 5000);
    ck_assert_uint_eq(tamis_context_cpu(context), tamis__cpu_detect() & TAMIS_CPU_AVX2);
    tamis_context_destroy(&context);
    params.cpu_mask = 0;
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_assert_uint_eq(tamis_context_cpu(context), 0);
    tamis_context_destroy(&context);
}
END_TEST

/* One processor allowed means one thread, however many the machine has. */
START_TEST(affinity)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, NULL, &err));
    ck_assert_uint_eq(tamis_context_threads(context), 1);
    tamis_context_destroy(&context);
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
}
END_TEST

START_TEST(refused)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = 1025};
    ck_fails(tamis_context_create(&context, &params, &err), TAMIS_ERR_ARG, "at most 1024");
    ck_assert_ptr_null(context);
}
END_TEST

START_TEST(no_memory)
{
    tamis_context *context = NULL;
    long n = 0;
    for (;; n++) {
        tamis__fault_memory_after(n);
        tamis_status status = tamis_context_create(&context, NULL, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_fails(status, TAMIS_ERR_NOMEM, "out of memory");
        ck_assert_ptr_null(context);
    }
    ck_assert_int_ge(n, 2);
    tamis_context_destroy(&context);
}
END_TEST

/* What the callbacks were told last. */
typedef struct heard {
    char line[100], phase[100], note[100], path[100];
    tamis_log_level level;
    uint64_t done, total;
    bool exists;
    int answer, calls;
} heard;

static void hear_log(void *cookie, tamis_log_level level, const char *line)
{
    heard *h = cookie;
    h->level = level;
    snprintf(h->line, sizeof h->line, "%s", line);
}

static int hear_progress(void *cookie, const char *phase, uint64_t done, uint64_t total,
                         const char *unit, const char *note)
{
    heard *h = cookie;
    ck_assert_str_eq(unit, "rows");
    snprintf(h->phase, sizeof h->phase, "%s", phase);
    snprintf(h->note, sizeof h->note, "%s", note ? note : "none");
    h->done = done;
    h->total = total;
    h->calls++;
    return h->answer;
}

static void hear_temporary(void *cookie, const char *path, bool exists)
{
    heard *h = cookie;
    snprintf(h->path, sizeof h->path, "%s", path);
    h->exists = exists;
}

START_TEST(callbacks)
{
    heard h = {0};
    tamis_context_params params = {.threads = 1,
                                   .log = hear_log,
                                   .progress = hear_progress,
                                   .temporary = hear_temporary,
                                   .cookie = &h};
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &params, &err));
    tamis__log(context, TAMIS_LOG_INFO, "%d blocks", 3);
    ck_assert_str_eq(h.line, "3 blocks");
    ck_assert_int_eq(h.level, TAMIS_LOG_INFO);
    ck_ok(tamis__progress(context, "scoring", 5, 10, "rows", NULL, &err));
    ck_assert_str_eq(h.phase, "scoring");
    ck_assert_str_eq(h.note, "none");
    ck_assert(h.done == 5 && h.total == 10 && h.calls == 1);
    ck_ok(tamis__progress(context, "scoring", 6, 10, "rows", "loss 1", &err));
    ck_assert_str_eq(h.note, "loss 1");
    h.answer = 1;
    ck_fails(tamis__progress(context, "scoring", 7, 10, "rows", NULL, &err), TAMIS_ERR_CANCELLED,
             "stopped while scoring, after 7 rows");
    tamis__temporary(context, "a.part", true);
    ck_assert_str_eq(h.path, "a.part");
    ck_assert(h.exists);
    tamis__temporary(context, "a.part", false);
    ck_assert(!h.exists);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(silent)
{
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, NULL, &err));
    const tamis_context *both[] = {context, NULL};
    for (int i = 0; i < 2; i++) {
        tamis__log(both[i], TAMIS_LOG_WARNING, "nobody listens");
        tamis__temporary(both[i], "x", true);
        ck_ok(tamis__progress(both[i], "p", 0, 0, "rows", NULL, &err));
    }
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(memory_limit)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = 1, .memory = 10u << 20};
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_ok(tamis__memory_check(context, 10u << 20, "the table", &err));
    ck_fails(tamis__memory_check(context, (10u << 20) + 1, "the table", &err), TAMIS_ERR_NOMEM,
             "the table needs 11 MiB, the limit is 10 MiB: raise --memory");
    ck_fails(tamis__memory_check(context, UINT64_MAX, "it", &err), TAMIS_ERR_NOMEM, "--memory");
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *tests = tcase_create("context");
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, chosen);
    tcase_add_test(tests, affinity);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, no_memory);
    tcase_add_test(tests, callbacks);
    tcase_add_test(tests, silent);
    tcase_add_test(tests, memory_limit);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
