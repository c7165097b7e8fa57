/* The context.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/context.h"

#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "base/mem.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)
#define MAX_THREADS    1024u
#define MIB            (UINT64_C(1) << 20)

#if defined(__x86_64__) && defined(__GNUC__)
/* Not every compiler's __builtin_cpu_supports() knows it; the system saves its registers whenever
 * it saves AVX2's. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

unsigned tamis__cpu_detect(void)
{
    unsigned found = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        found |= TAMIS_CPU_AVX2;
    if (found && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        found |= TAMIS_CPU_AVX512;
    if (found & TAMIS_CPU_AVX512) {
        if (__builtin_cpu_supports("avx512bf16")) found |= TAMIS_CPU_AVX512BF16;
        if (__builtin_cpu_supports("avx512vnni")) found |= TAMIS_CPU_VNNI;
    }
#endif
    return found;
}

/* The processors this process may run on: a container or taskset lowers it. */
static unsigned available_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

tamis_status tamis_context_create(tamis_context **ret_context, const tamis_context_params *params,
                                  tamis_error *err)
{
    static const tamis_context_params none = {0};
    if (!params) params = &none;
    if (params->threads > MAX_THREADS)
        return tamis__fail(err, TAMIS_ERR_ARG, "%u threads asked for: at most %u", params->threads,
                           MAX_THREADS);
    tamis_context *context = tamis__calloc(1, sizeof *context);
    if (!context) return tamis__fail_memory(err, "a context", sizeof *context);
    context->memory = params->memory ? params->memory : DEFAULT_MEMORY;
    context->cpu = tamis__cpu_detect();
    if (params->limit_cpu) context->cpu &= params->cpu_mask;
    context->log = params->log;
    context->progress = params->progress;
    context->temporary = params->temporary;
    context->cookie = params->cookie;
    unsigned threads = params->threads ? params->threads : available_processors();
    tamis_status status = tamis__pool_create(&context->pool, threads, err);
    if (status != TAMIS_OK) {
        tamis_context_destroy(&context);
        return status;
    }
    *ret_context = context;
    return TAMIS_OK;
}

void tamis_context_destroy(tamis_context **context)
{
    if (!context || !*context) return;
    tamis__pool_destroy(&(*context)->pool);
    free(*context);
    *context = NULL;
}

unsigned tamis_context_threads(const tamis_context *context)
{
    return tamis__pool_threads(context->pool);
}

uint64_t tamis_context_memory(const tamis_context *context)
{
    return context->memory;
}

unsigned tamis_context_cpu(const tamis_context *context)
{
    return context->cpu;
}

void tamis__log(const tamis_context *context, tamis_log_level level, const char *format, ...)
{
    if (!context || !context->log) return;
    char line[TAMIS_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    context->log(context->cookie, level, line);
}

tamis_status tamis__progress(const tamis_context *context, const char *phase, uint64_t done,
                             uint64_t total, const char *unit, const char *note, tamis_error *err)
{
    if (!context || !context->progress) return TAMIS_OK;
    if (context->progress(context->cookie, phase, done, total, unit, note) == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_CANCELLED, "stopped while %s, after %llu %s", phase,
                       (unsigned long long)done, unit);
}

void tamis__temporary(const tamis_context *context, const char *path, bool exists)
{
    if (context && context->temporary) context->temporary(context->cookie, path, exists);
}

tamis_status tamis__memory_check(const tamis_context *context, uint64_t bytes, const char *what,
                                 tamis_error *err)
{
    if (bytes <= context->memory) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NOMEM,
                       "%s needs %llu MiB, the limit is %.0f MiB: raise --memory", what,
                       (unsigned long long)(bytes / MIB + (bytes % MIB != 0)),
                       (double)context->memory / (double)MIB);
}
