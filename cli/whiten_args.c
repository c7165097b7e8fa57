/* Options of a whitening, and what is told of one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "whiten_args.h"

#include <math.h>

const char *const whiten_units[] = {"relative", "absolute", NULL};
const char *const whiten_shrinkages[] = {"none", "ledoit-wolf", NULL};

void whiten_params(const whiten_args *args, tamis_whiten_params *params,
                   const tamis_whiten_params **ret_params)
{
    bool given = !isnan(args->damping) || args->unit >= 0 || args->shrinkage >= 0;
    *params = (tamis_whiten_params){
        .damping = isnan(args->damping) ? 1e-5 : args->damping,
        .absolute = args->unit == 1,
        .shrinkage = args->shrinkage < 0 ? TAMIS_SHRINKAGE_NONE : (tamis_shrinkage)args->shrinkage};
    *ret_params = given ? params : NULL;
}

static void report_small(report *r, const char *key, double value)
{
    char text[32];
    if (r->machine) {
        report_real(r, key, value, 6);
        return;
    }
    snprintf(text, sizeof text, "%.4g", value);
    report_text(r, key, text);
}

void report_whiten(report *r, const tamis_curvature_info *info)
{
    const tamis_whiten_facts *f = info->whiten;
    if (!f) return;
    report_small(r, "smallest_eigenvalue", f->least);
    report_small(r, "largest_eigenvalue", f->most);
    report_small(r, "damping", f->damping);
    report_text(r, "shrinkage", whiten_shrinkages[f->params.shrinkage]);
    if (f->params.shrinkage != TAMIS_SHRINKAGE_NONE)
        report_small(r, "shrinkage_weight", f->shrinkage);
    report_small(r, "condition", f->condition);
    report_real(r, "effective_rank", f->effective_rank, 1);
    report_real(r, "rows_per_column", (double)info->examples / (double)info->columns, 1);
}
