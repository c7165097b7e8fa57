/* Outputs of models trained on subsets, from .npy.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <tamis/evaluate.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/npy.h"

static tamis_status convert(const tamis__npy *npy, const char *path, tamis_output output,
                            double *outputs, tamis_error *err)
{
    for (uint64_t j = 0; j < npy->rows; j++)
        for (uint64_t q = 0; q < npy->cols; q++) {
            double value = tamis__npy_double(npy, j, q);
            if (!isfinite(value))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "'%s': subset %" PRIu64 ", query %" PRIu64
                                   ": the output is not finite",
                                   path, j, q);
            outputs[j * npy->cols + q] = output == TAMIS_OUTPUT_LOSS ? -value : value;
        }
    return TAMIS_OK;
}

tamis_status tamis_outputs_read(double **ret_outputs, tamis_context *context, const char *path,
                                tamis_output output, uint64_t subsets, uint64_t queries,
                                tamis_error *err)
{
    tamis__npy npy;
    double *outputs = NULL;
    TAMIS_TRY(tamis__npy_open(&npy, context, path, err));
    tamis_status status = TAMIS_OK;
    if (npy.rows != subsets || npy.cols != queries || npy.dims > 2)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' has outputs [%" PRIu64 ", %" PRIu64 "], wanted are %" PRIu64
                             " subsets and %" PRIu64 " queries",
                             path, npy.rows, npy.cols, subsets, queries);
    if (status == TAMIS_OK) {
        outputs = tamis__malloc((size_t)(subsets * queries), sizeof *outputs);
        status = outputs ? convert(&npy, path, output, outputs, err)
                         : tamis__fail_memory(err, "outputs", subsets * queries * sizeof *outputs);
    }
    tamis__npy_close(&npy);
    if (status == TAMIS_OK)
        *ret_outputs = outputs;
    else
        free(outputs);
    return status;
}
