/* Mean and deviation of columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/train.h"

/* The rows that count: all, or those listed. */
typedef struct sample {
    const tamis_data *data;
    const uint64_t *row; /* NULL = 0, 1, 2 ... */
    uint64_t rows;
} sample;

static const float *row_at(const sample *s, uint64_t i)
{
    return s->data->x + (s->row ? s->row[i] : i) * s->data->columns;
}

static void column_means(const sample *s, double *mean)
{
    for (uint64_t i = 0; i < s->rows; i++) {
        const float *x = row_at(s, i);
        for (uint64_t j = 0; j < s->data->columns; j++) mean[j] += (double)x[j];
    }
    for (uint64_t j = 0; j < s->data->columns; j++) mean[j] /= (double)s->rows;
}

/* A second pass: the difference of two large sums would lose the digits of a small deviation. */
static void column_squares(const sample *s, const double *mean, double *squares)
{
    for (uint64_t i = 0; i < s->rows; i++) {
        const float *x = row_at(s, i);
        for (uint64_t j = 0; j < s->data->columns; j++) {
            double d = (double)x[j] - mean[j];
            squares[j] += d * d;
        }
    }
}

static bool constant_column(const sample *s, uint64_t column)
{
    for (uint64_t i = 1; i < s->rows; i++)
        if (row_at(s, i)[column] != row_at(s, 0)[column]) return false;
    return true;
}

/* A constant column's rounded mean must not leave a residue that a tiny scale would blow up. */
static void set_column(const sample *s, uint64_t column, double mean, double squares,
                       float *ret_mean, float *ret_scale)
{
    double deviation = sqrt(squares / (double)s->rows);
    bool constant = (float)deviation < 1e-6f * (float)fabs(mean) && constant_column(s, column);
    *ret_mean = constant ? row_at(s, 0)[column] : (float)mean;
    *ret_scale = constant || !((float)deviation > 0.0f) ? 1.0f : (float)deviation;
}

tamis_status tamis__standardise(const tamis_data *data, const uint64_t *row, uint64_t rows,
                                float *ret_mean, float *ret_scale, tamis_error *err)
{
    const sample s = {data, row, rows};
    double *mean = tamis__calloc(data->columns, 2 * sizeof *mean);
    if (!mean) return tamis__fail_memory(err, "means of columns", data->columns * 2 * sizeof *mean);
    double *squares = mean + data->columns;
    column_means(&s, mean);
    column_squares(&s, mean, squares);
    for (uint64_t j = 0; j < data->columns; j++)
        set_column(&s, j, mean[j], squares[j], &ret_mean[j], &ret_scale[j]);
    free(mean);
    return TAMIS_OK;
}
