/* A pipeline on the threads of the context, where there is one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_THREADS_H
#define TAMIS_MANIFEST_THREADS_H

#include "base/context.h"
#include "base/error.h"

/* Threads that tamis__threads_run() will have. */
static inline unsigned tamis__threads_of(const tamis_context *context)
{
    return context ? tamis__pool_threads(context->pool) : 1;
}

/* As tamis__pool_run(); `context` may be NULL. */
static inline tamis_status tamis__threads_run(const tamis_context *context,
                                              const tamis__pipeline *pipeline, tamis_error *err)
{
    tamis__pool *pool = NULL;
    if (context) return tamis__pool_run(context->pool, pipeline, err);
    TAMIS_TRY(tamis__pool_create(&pool, 1, err));
    tamis_status status = tamis__pool_run(pool, pipeline, err);
    tamis__pool_destroy(&pool);
    return status;
}

#endif
