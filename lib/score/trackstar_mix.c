/* How much of the queries' second moment and how much of the training rows' goes into R.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/trackstar_mix.h"

#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Components that are not zero by the number of rows alone. */
static uint64_t components(const tamis_store_info *info, uint64_t rows)
{
    uint64_t n = 0;
    for (uint32_t l = 0; l < info->layers; l++)
        n += smaller(rows, tamis_layer_columns(&info->layer[l]));
    return n;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Eigenvalues of all layers together, largest first: [columns of the store]. */
static tamis_status spectrum(const tamis_store_info *info, double *const *moment, double *work,
                             double *ret_values, tamis_error *err)
{
    double *values = ret_values;
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t n = tamis_layer_columns(&info->layer[l]);
        memcpy(work, moment[l], n * n * sizeof *work);
        TAMIS_TRY(tamis__symmetric_eigen(n, work, n, false, values, err));
        values += n;
    }
    qsort(ret_values, (size_t)(values - ret_values), sizeof *values, descending);
    return TAMIS_OK;
}

static tamis_status weigh(const tamis__score_call *call, double train, double query,
                          double *ret_mix, tamis_error *err)
{
    /* What rounding makes negative is zero. */
    train = train > 0 ? train : 0;
    query = query > 0 ? query : 0;
    if (train + query <= 0)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s' and '%s' have no variance at this component: give mix a number",
                           tamis_store_path(call->train), tamis_store_path(call->query));
    *ret_mix = train / (train + query);
    return TAMIS_OK;
}

tamis_status tamis__trackstar_mix(const tamis__score_call *call, const tamis__moments *moments,
                                  uint64_t component, double *work, double *ret_mix,
                                  tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    uint64_t most = smaller(components(info, moments->train_rows),
                            components(info, moments->query_rows));
    if (component > most && moments->first)
        tamis__log(call->context, TAMIS_LOG_INFO,
                   "trackstar: there are %llu components, so the last is compared, not number %llu",
                   (unsigned long long)most, (unsigned long long)component);
    uint64_t at = smaller(component, most) - 1;
    double *values = tamis__malloc(2 * info->columns, sizeof *values);
    if (!values) return tamis__fail_memory(err, "spectra", 2 * info->columns * sizeof *values);
    tamis__blas_begin();
    tamis_status status = spectrum(info, moments->train, work, values, err);
    if (status == TAMIS_OK)
        status = spectrum(info, moments->query, work, values + info->columns, err);
    tamis__blas_end();
    if (status == TAMIS_OK)
        status = weigh(call, values[at], values[info->columns + at], ret_mix, err);
    free(values);
    return status;
}
