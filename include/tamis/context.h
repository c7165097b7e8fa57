/* tamis - the context: threads, memory limit, log, progress and cancellation.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CONTEXT_H
#define TAMIS_CONTEXT_H

#include <stdbool.h>
#include <tamis/common.h>

TAMIS_BEGIN

/** Opaque. A context may be used by one thread at a time; use one context per thread. */
typedef struct tamis_context tamis_context;

/** How much a log line matters; lower is more. The library filters nothing. */
typedef enum tamis_log_level {
    TAMIS_LOG_WARNING = 0, /**< the result may not be what was meant */
    TAMIS_LOG_INFO = 1,    /**< what is being done */
    TAMIS_LOG_DEBUG = 2    /**< detail for whoever works on the library */
} tamis_log_level;

/** Receives one line without its newline. Called from the thread that called the library. */
typedef void (*tamis_log_fn)(void *cookie, tamis_log_level level, const char *line);

/** Progress of a long call.
 *  `phase`  what is being done ("training", "writing gradients"); never NULL
 *  `done`   units finished;  `total` units in all, 0 when not known;  `unit` their name ("rows")
 *  `note`   figures of the moment ("loss 0.31  accuracy 0.92"), or NULL
 *  A non-zero return asks to stop: the call ends with TAMIS_ERR_CANCELLED at the next block and
 *  removes what it had not committed. Called from the thread that called the library, at least
 *  once per block. */
typedef int (*tamis_progress_fn)(void *cookie, const char *phase, uint64_t done, uint64_t total,
                                 const char *unit, const char *note);

/** Told of every temporary file: `exists` is true once it is created, false once it is
 *  renamed into place or removed. A program uses it to clean up when it is killed. */
typedef void (*tamis_temporary_fn)(void *cookie, const char *path, bool exists);

/** Processor features, for `cpu_mask`. */
enum {
    TAMIS_CPU_AVX2 = 1u << 0,       /**< with FMA and F16C */
    TAMIS_CPU_AVX512 = 1u << 1,     /**< F, BW, VL and DQ */
    TAMIS_CPU_AVX512BF16 = 1u << 2, /**< dot products of bfloat16 */
    TAMIS_CPU_VNNI = 1u << 3        /**< AVX512-VNNI */
};

/** All fields may be zero. The struct need only live until tamis_context_create() returns. */
typedef struct tamis_context_params {
    unsigned threads;  /**< workers; 0 = the processors this process may use */
    uint64_t memory;   /**< bytes for buffers; 0 = 1 GiB. Inputs that must be held whole and do
                            not fit are refused with the number needed */
    bool limit_cpu;    /**< true: use only the features in `cpu_mask` */
    unsigned cpu_mask; /**< TAMIS_CPU_*; read only when `limit_cpu` is set */
    tamis_log_fn log;  /**< NULL = silent */
    tamis_progress_fn progress;   /**< NULL = none, and no cancellation */
    tamis_temporary_fn temporary; /**< NULL = none */
    void *cookie;                 /**< handed to the three callbacks */
} tamis_context_params;

/** Make a context. `params` NULL means all defaults. On failure *ret_context is untouched.
 *  Errors: NOMEM, ARG (more than 1024 threads), IO (a thread could not be started). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_context_create(tamis_context **ret_context,
                                                            const tamis_context_params *params,
                                                            tamis_error *err);

/** Destroy and set to NULL. Accepts NULL and a pointer to NULL. Objects opened with the context
 *  must be closed first. */
TAMIS_API void tamis_context_destroy(tamis_context **context);

/** Threads in use, at least 1. */
TAMIS_API unsigned tamis_context_threads(const tamis_context *context);

/** Memory limit in bytes. */
TAMIS_API uint64_t tamis_context_memory(const tamis_context *context);

/** TAMIS_CPU_* features in use: those of the machine, less those masked away. */
TAMIS_API unsigned tamis_context_cpu(const tamis_context *context);

TAMIS_END

#endif
