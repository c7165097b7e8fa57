/* The options of commands that write a gradient store, and their report.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store_args.h"

#include "command.h"
#include "report.h"

const char *const store_dtype_names[] = {"f32", "f16", "bf16", "i8", NULL};

unsigned store_output_flags(const store_args *args)
{
    return args->resume ? OUTPUT_MAY_EXIST : 0;
}

/* Bytes of the rows alone; of factors, which may have any number of tokens, those of the tokens. */
static tamis_status row_bytes(tamis_store *store, uint64_t *ret_bytes, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    uint64_t bytes = info->rows * info->columns * info->checkpoints * tamis_dtype_size(info->dtype);
    for (uint32_t k = 0; k < info->checkpoints && info->form == TAMIS_FORM_FACTORS; k++) {
        const uint64_t *offset = NULL;
        TRY(tamis_store_tokens(store, k, &offset, err));
        if (k == 0) bytes = 0;
        bytes += offset[info->rows] * (info->input_columns + info->output_columns) *
                 tamis_dtype_size(info->dtype);
    }
    *ret_bytes = bytes;
    return TAMIS_OK;
}

static void report_store(report *r, const session *s, const tamis_store_info *info, uint64_t bytes,
                         double elapsed)
{
    report_begin(r, s);
    report_text(r, "output", s->common->output);
    report_count(r, "rows", info->rows);
    report_count(r, "columns", info->columns);
    report_count(r, "checkpoints", info->checkpoints);
    report_text(r, "dtype", tamis_dtype_name(info->dtype));
    if (info->form == TAMIS_FORM_FACTORS) report_text(r, "form", "factors");
    report_bytes(r, "bytes", bytes);
    report_seconds(r, elapsed);
    double gradients = (double)info->rows * (double)info->checkpoints;
    report_rate(r, "rows_per_second", elapsed > 0 ? gradients / elapsed : 0, "rows/s");
}

tamis_status store_report_begin(session *s, report *r, tamis_error *err)
{
    progress_end(&s->progress);
    double elapsed = seconds() - s->started;
    tamis_store *store = NULL;
    /* Only the header is read: what was written opens as a store, or we say so now. */
    TRY(tamis_store_open(&store, s->context, s->common->output, err));
    uint64_t bytes = 0;
    tamis_status status = row_bytes(store, &bytes, err);
    if (status == TAMIS_OK) report_store(r, s, tamis_store_info_get(store), bytes, elapsed);
    tamis_store_close(&store);
    return status;
}

tamis_status store_report(session *s, tamis_error *err)
{
    report r;
    TRY(store_report_begin(s, &r, err));
    report_end(&r);
    return TAMIS_OK;
}
