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

tamis_status store_report_begin(session *s, report *r, tamis_error *err)
{
    progress_end(&s->progress);
    double elapsed = seconds() - s->started;
    tamis_store *store = NULL;
    /* Only the header is read: what was written opens as a store, or we say so now. */
    TRY(tamis_store_open(&store, s->context, s->common->output, err));
    const tamis_store_info *info = tamis_store_info_get(store);
    report_begin(r, s);
    report_text(r, "output", s->common->output);
    report_count(r, "rows", info->rows);
    report_count(r, "columns", info->columns);
    report_count(r, "checkpoints", info->checkpoints);
    report_text(r, "dtype", tamis_dtype_name(info->dtype));
    report_bytes(r, "bytes",
                 info->rows * info->columns * info->checkpoints * tamis_dtype_size(info->dtype));
    report_seconds(r, elapsed);
    double gradients = (double)info->rows * (double)info->checkpoints;
    report_rate(r, "rows_per_second", elapsed > 0 ? gradients / elapsed : 0, "rows/s");
    tamis_store_close(&store);
    return TAMIS_OK;
}

tamis_status store_report(session *s, tamis_error *err)
{
    report r;
    TRY(store_report_begin(s, &r, err));
    report_end(&r);
    return TAMIS_OK;
}
