/* Mean and deviation of columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/train.h"

static void column_means(const tamis_data *data, double *mean)
{
    for (uint64_t i = 0; i < data->rows; i++) {
        const float *x = data->x + i * data->columns;
        for (uint64_t j = 0; j < data->columns; j++) mean[j] += (double)x[j];
    }
    for (uint64_t j = 0; j < data->columns; j++) mean[j] /= (double)data->rows;
}

/* A second pass: the difference of two large sums would lose the digits of a small deviation. */
static void column_squares(const tamis_data *data, const double *mean, double *squares)
{
    for (uint64_t i = 0; i < data->rows; i++) {
        const float *x = data->x + i * data->columns;
        for (uint64_t j = 0; j < data->columns; j++) {
            double d = (double)x[j] - mean[j];
            squares[j] += d * d;
        }
    }
}

static bool constant_column(const tamis_data *data, uint64_t column)
{
    for (uint64_t i = 1; i < data->rows; i++)
        if (data->x[i * data->columns + column] != data->x[column]) return false;
    return true;
}

/* A constant column's rounded mean must not leave a residue that a tiny scale would blow up. */
static void set_column(const tamis_data *data, uint64_t column, double mean, double squares,
                       float *ret_mean, float *ret_scale)
{
    double deviation = sqrt(squares / (double)data->rows);
    bool constant = (float)deviation < 1e-6f * (float)fabs(mean) && constant_column(data, column);
    *ret_mean = constant ? data->x[column] : (float)mean;
    *ret_scale = constant || !((float)deviation > 0.0f) ? 1.0f : (float)deviation;
}

tamis_status tamis__standardise(const tamis_data *data, float *ret_mean, float *ret_scale,
                                tamis_error *err)
{
    double *mean = tamis__calloc(data->columns, 2 * sizeof *mean);
    if (!mean) return tamis__fail_memory(err, "means of columns", data->columns * 2 * sizeof *mean);
    double *squares = mean + data->columns;
    column_means(data, mean);
    column_squares(data, mean, squares);
    for (uint64_t j = 0; j < data->columns; j++)
        set_column(data, j, mean[j], squares[j], &ret_mean[j], &ret_scale[j]);
    free(mean);
    return TAMIS_OK;
}
