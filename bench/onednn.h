/* oneDNN's matrix product as a user would call it: queries reordered once into the layout it likes,
 * then rows times queries in one call with all threads. Only where libdnnl is installed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BENCH_ONEDNN_H
#define TAMIS_BENCH_ONEDNN_H

#include <dnnl.h>

#include "machine.h"

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t rows, queries, out;
} onednn;

static inline void onednn_check(dnnl_status_t status)
{
    if (status == dnnl_success) return;
    fprintf(stderr, "bench: oneDNN says %d\n", (int)status);
    exit(EXIT_FAILURE);
}

static inline void onednn_run(onednn *d, dnnl_primitive_t what, int n, const dnnl_exec_arg_t *args)
{
    onednn_check(dnnl_primitive_execute(what, d->stream, n, args));
    onednn_check(dnnl_stream_wait(d->stream));
}

static inline dnnl_memory_desc_t onednn_matrix(int64_t rows, int64_t columns, dnnl_data_type_t type,
                                               dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t desc;
    dnnl_dims_t dims = {rows, columns};
    onednn_check(dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, tag));
    return desc;
}

/* Queries [n, columns] in their type to the layout that the product wants. */
static inline void onednn_queries(onednn *d, const dnnl_memory_desc_t *plain,
                                  const dnnl_memory_desc_t *wanted, void *queries)
{
    dnnl_memory_t from;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t reorder;
    onednn_check(dnnl_memory_create(&from, plain, d->engine, queries));
    onednn_check(dnnl_memory_create(&d->queries, wanted, d->engine, DNNL_MEMORY_ALLOCATE));
    onednn_check(
        dnnl_reorder_primitive_desc_create(&desc, plain, d->engine, wanted, d->engine, NULL));
    onednn_check(dnnl_primitive_create(&reorder, desc));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, d->queries}};
    onednn_run(d, reorder, 2, args);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(desc);
    dnnl_memory_destroy(from);
}

/* rows [m, columns] and queries [n, columns], both bf16 or both float; out [m, n] float. */
static inline onednn onednn_make(bool bf16, int64_t m, int64_t n, int64_t columns, void *rows,
                                 void *queries, float *out)
{
    onednn d;
    dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t a = onednn_matrix(m, columns, type, dnnl_ab);
    dnnl_memory_desc_t plain = onednn_matrix(columns, n, type, dnnl_ba);
    dnnl_memory_desc_t any = onednn_matrix(columns, n, type, dnnl_format_tag_any);
    dnnl_memory_desc_t c = onednn_matrix(m, n, dnnl_f32, dnnl_ab);
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t desc;
    onednn_check(dnnl_engine_create(&d.engine, dnnl_cpu, 0));
    onednn_check(dnnl_stream_create(&d.stream, d.engine, dnnl_stream_default_flags));
    onednn_check(dnnl_matmul_desc_init(&operation, &a, &any, NULL, &c));
    onednn_check(dnnl_primitive_desc_create(&desc, &operation, NULL, d.engine, NULL));
    onednn_check(dnnl_primitive_create(&d.product, desc));
    onednn_queries(&d, &plain, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0),
                   queries);
    onednn_check(dnnl_memory_create(&d.rows, &a, d.engine, rows));
    onednn_check(dnnl_memory_create(&d.out, &c, d.engine, out));
    dnnl_primitive_desc_destroy(desc);
    return d;
}

static inline void onednn_multiply(onednn *d)
{
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, d->rows}, {DNNL_ARG_WEIGHTS, d->queries}, {DNNL_ARG_DST, d->out}};
    onednn_run(d, d->product, 3, args);
}

static inline void onednn_free(onednn *d)
{
    dnnl_memory_destroy(d->rows);
    dnnl_memory_destroy(d->queries);
    dnnl_memory_destroy(d->out);
    dnnl_primitive_destroy(d->product);
    dnnl_stream_destroy(d->stream);
    dnnl_engine_destroy(d->engine);
}

#endif
