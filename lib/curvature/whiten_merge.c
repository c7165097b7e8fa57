/* Adding up the sums of whitenings.
 *
 * Each part's sums are about its own mean. They are moved to the mean of all rows and added, so
 * that nothing large is subtracted (Chan, Golub and LeVeque 1983, Algorithms for computing the
 * sample variance).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/context.h"
#include "base/error.h"
#include "curvature/whiten.h"
#include "store/curvature_file.h"

static tamis_status read_array(const tamis_curvature *part, tamis__curvature_array array,
                               double *values, tamis_error *err)
{
    const tamis__curvature_place place = {.array = array};
    return tamis__curvature_read(part, &place, values, err);
}

static tamis_status read_part(const tamis_curvature *part, tamis__scatter *m, tamis_error *err)
{
    m->rows = tamis_curvature_info_get(part)->examples;
    TAMIS_TRY(read_array(part, TAMIS__WHITEN_MEAN, m->centre, err));
    TAMIS_TRY(read_array(part, TAMIS__WHITEN_SCATTER, m->scatter, err));
    TAMIS_TRY(read_array(part, TAMIS__WHITEN_THIRD, m->third, err));
    TAMIS_TRY(read_array(part, TAMIS__WHITEN_FOURTH, &m->fourth, err));
    for (uint64_t i = 0; i < m->columns; i++) m->sum[i] = 0;
    return TAMIS_OK;
}

/* From the first part's mean, so that parts with one mean have exactly that. */
static tamis_status find_mean(tamis_curvature *const *part, size_t n, tamis__scatter *all,
                              double *scratch, tamis_error *err)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) total += (double)tamis_curvature_info_get(part[i])->examples;
    TAMIS_TRY(read_array(part[0], TAMIS__WHITEN_MEAN, all->offset, err));
    for (size_t i = 1; i < n; i++) {
        double share = (double)tamis_curvature_info_get(part[i])->examples / total;
        TAMIS_TRY(read_array(part[i], TAMIS__WHITEN_MEAN, scratch, err));
        for (uint64_t c = 0; c < all->columns; c++)
            all->sum[c] += share * (scratch[c] - all->offset[c]);
    }
    for (uint64_t c = 0; c < all->columns; c++) {
        all->centre[c] = all->offset[c] + all->sum[c];
        all->sum[c] = 0;
    }
    return TAMIS_OK;
}

static tamis_status add_up(tamis_context *context, tamis_curvature *const *part, size_t n,
                           tamis__scatter *all, tamis_error *err)
{
    tamis__scatter one = {0};
    TAMIS_TRY(tamis__scatter_init(&one, all->columns, err));
    tamis_status status = find_mean(part, n, all, one.centre, err);
    for (size_t i = 0; i < n && status == TAMIS_OK; i++) {
        status = read_part(part[i], &one, err);
        if (status != TAMIS_OK) break;
        tamis__scatter_move(&one, all->centre);
        tamis__scatter_join(all, &one);
        status = tamis__progress(context, "merging", i + 1, n, "parts", NULL, err);
    }
    /* About the mean it is zero, but for rounding. */
    for (uint64_t c = 0; c < all->columns; c++) all->sum[c] = 0;
    tamis__scatter_fini(&one);
    return status;
}

tamis_status tamis__whiten_merge(tamis_context *context, tamis_curvature *const *part, size_t n,
                                 tamis_curvature_info *info, const tamis_whiten_params *params,
                                 const char *path, bool force, tamis_error *err)
{
    tamis_whiten_params whiten;
    tamis__scatter all = {0};
    uint64_t sums = tamis__scatter_bytes(info->columns);
    uint64_t factor = tamis__whiten_factor_bytes(info->columns);
    TAMIS_TRY(tamis__whiten_params(params, &whiten, err));
    TAMIS_TRY(tamis__memory_check(context, sums + (factor > sums ? factor : sums),
                                  "merging curvature files", err));
    TAMIS_TRY(tamis__scatter_init(&all, info->columns, err));
    tamis_status status = add_up(context, part, n, &all, err);
    if (status == TAMIS_OK)
        status = tamis__whiten_write(context, info, &all, &whiten, path, force, err);
    tamis__scatter_fini(&all);
    return status;
}
