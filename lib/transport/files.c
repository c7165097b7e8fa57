/* Points and weights from files, plans and potentials into them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/store.h>
#include <tamis/transport.h>

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "transport/plan.h"

/* Rows read at a time, in floats. */
enum { PIECE = 1 << 18 };

/* --- points ----------------------------------------------------------------------------------- */

/* Checkpoints after the first are added, in their order and in double, then rounded once. */
static tamis_status read_rows(const tamis_store *store, const tamis_store_info *info,
                              uint64_t first, uint64_t rows, double *sum, float *piece, float *out,
                              tamis_error *err)
{
    uint64_t n = rows * info->columns;
    if (info->checkpoints == 1)
        return tamis_store_read(store, 0, first, rows, 0, info->columns, out, info->columns, err);
    for (uint64_t i = 0; i < n; i++) sum[i] = 0;
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        TAMIS_TRY(
            tamis_store_read(store, k, first, rows, 0, info->columns, piece, info->columns, err));
        for (uint64_t i = 0; i < n; i++) sum[i] += (double)piece[i];
    }
    for (uint64_t i = 0; i < n; i++) out[i] = (float)sum[i];
    return TAMIS_OK;
}

static tamis_status check_rows(const tamis_store *store, uint64_t columns, uint64_t first,
                               uint64_t rows, const float *values, tamis_error *err)
{
    for (uint64_t i = 0; i < rows * columns; i++)
        if (!isfinite(values[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s': row %" PRIu64 " is not finite: leave it out",
                               tamis_store_path(store), first + i / columns);
    return TAMIS_OK;
}

static tamis_status read_all(tamis_context *context, const tamis_store *store,
                             const tamis_store_info *info, float *out, tamis_error *err)
{
    uint64_t step = PIECE / info->columns ? PIECE / info->columns : 1;
    double *sum = tamis__malloc(step * info->columns, sizeof *sum);
    float *piece = tamis__malloc(step * info->columns, sizeof *piece);
    tamis_status status = sum && piece ? TAMIS_OK
                                       : tamis__fail_memory(err, "rows", step * info->columns * 12);
    for (uint64_t i = 0; i < info->rows && status == TAMIS_OK; i += step) {
        uint64_t rows = info->rows - i < step ? info->rows - i : step;
        status = read_rows(store, info, i, rows, sum, piece, out + i * info->columns, err);
        if (status == TAMIS_OK)
            status = check_rows(store, info->columns, i, rows, out + i * info->columns, err);
        if (status == TAMIS_OK)
            status = tamis__progress(context, "reading points", i + rows, info->rows, "rows", NULL,
                                     err);
    }
    free(sum);
    free(piece);
    return status;
}

static tamis_status read_open(tamis_context *context, const tamis_store *store, float **ret_points,
                              uint64_t *ret_rows, uint64_t *ret_columns, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    if (info->form != TAMIS_FORM_FULL)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' holds factors and not rows: convert it to full form",
                           tamis_store_path(store));
    if (info->columns > UINT64_MAX / 4 / sizeof(float) / info->rows)
        return tamis__fail(err, TAMIS_ERR_NOMEM, "'%s' has too many values",
                           tamis_store_path(store));
    /* Beside the other side, and what is made of both: a quarter is what may be held here. */
    TAMIS_TRY(tamis__memory_check(context, 4 * info->rows * info->columns * sizeof(float),
                                  "transport between these points", err));
    float *points = tamis__malloc(info->rows * info->columns, sizeof *points);
    if (!points)
        return tamis__fail_memory(err, "points", info->rows * info->columns * sizeof *points);
    tamis_status status = read_all(context, store, info, points, err);
    if (status != TAMIS_OK) {
        free(points);
        return status;
    }
    *ret_points = points;
    *ret_rows = info->rows;
    *ret_columns = info->columns;
    return TAMIS_OK;
}

tamis_status tamis_transport_read_points(tamis_context *context, const char *path,
                                         float **ret_points, uint64_t *ret_rows,
                                         uint64_t *ret_columns, tamis_error *err)
{
    tamis_store *store = NULL;
    TAMIS_TRY(tamis_store_open(&store, context, path, err));
    tamis_status status = read_open(context, store, ret_points, ret_rows, ret_columns, err);
    tamis_store_close(&store);
    return status;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* One line without its end; *ret_found is false when it holds no number and need not. */
static tamis_status parse_line(const char *text, size_t size, const char *path, uint64_t line,
                               bool *ret_found, double *ret_value, tamis_error *err)
{
    const char *comment = memchr(text, '#', size);
    char shown[TAMIS__SHOWN_SIZE(40)];
    if (comment) size = (size_t)(comment - text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) size--;
    while (size > 0 && isspace((unsigned char)*text)) text++, size--;
    *ret_found = size > 0;
    if (size == 0) return TAMIS_OK;
    if (tamis__parse_double(text, size, ret_value) && *ret_value >= 0 && isfinite(*ret_value))
        return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': line %" PRIu64 ": '%s' is no weight: write a number that is not "
                       "negative",
                       path, line, tamis__show(shown, sizeof shown, text, size < 40 ? size : 40));
}

static tamis_status parse_all(const tamis__input *input, const char *path, uint64_t rows,
                              double *out, tamis_error *err)
{
    const char *text = (const char *)input->data;
    uint64_t found = 0, line = 1;
    double sum = 0;
    for (size_t at = 0; at < input->size; line++) {
        const char *end = memchr(text + at, '\n', input->size - at);
        size_t size = end ? (size_t)(end - text) - at : input->size - at;
        bool is_number;
        double value = 0;
        TAMIS_TRY(parse_line(text + at, size, path, line, &is_number, &value, err));
        if (is_number && found < rows) out[found] = value;
        found += is_number;
        sum += value;
        at += size + 1;
    }
    if (found != rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has %" PRIu64 " weights for %" PRIu64 " points: give one for each",
                           path, found, rows);
    if (sum > 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s': the weights have the sum 0: give at least one point a weight above 0",
                       path);
}

tamis_status tamis_transport_read_weights(tamis_context *context, const char *path, uint64_t rows,
                                          double **ret_weights, tamis_error *err)
{
    tamis__input input = {0};
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    double *weights = tamis__malloc(rows, sizeof *weights);
    tamis_status status = weights ? parse_all(&input, path, rows, weights, err)
                                  : tamis__fail_memory(err, "weights", rows * sizeof *weights);
    tamis__input_close(&input);
    if (status == TAMIS_OK)
        *ret_weights = weights;
    else
        free(weights);
    return status;
}

/* --- output ----------------------------------------------------------------------------------- */

static tamis_status put_entry(tamis__output *output, uint64_t i, uint64_t j, double mass,
                              tamis_error *err)
{
    char number[TAMIS__NUMBER_SIZE];
    tamis__format_double(number, mass);
    return tamis__output_printf(output, err, "%" PRIu64 ",%" PRIu64 ",%s\n", i, j, number);
}

static tamis_status end_output(tamis__output *output, tamis_status status, tamis_error *err)
{
    if (status == TAMIS_OK) return tamis__output_commit(output, err);
    tamis__output_abort(output);
    return status;
}

tamis_status tamis_transport_write_plan(tamis_context *context, const char *path, bool force,
                                        const tamis_transport_entry *plan, uint64_t entries,
                                        tamis_error *err)
{
    tamis__output output;
    TAMIS_TRY(tamis__output_open(&output, context, path, force, err));
    tamis_status status = tamis__output_printf(&output, err, "i,j,mass\n");
    for (uint64_t e = 0; e < entries && status == TAMIS_OK; e++)
        status = put_entry(&output, plan[e].i, plan[e].j, plan[e].mass, err);
    return end_output(&output, status, err);
}

static tamis_status put_row(tamis__output *output, const double *row, uint64_t i, uint64_t m,
                            double share, uint64_t *entries, double *mass, tamis_error *err)
{
    double sum = 0;
    for (uint64_t j = 0; j < m; j++) sum += row[j];
    for (uint64_t j = 0; j < m; j++) {
        if (!(row[j] > 0) || row[j] < share * sum) continue;
        TAMIS_TRY(put_entry(output, i, j, row[j], err));
        ++*entries;
        *mass += row[j];
    }
    return TAMIS_OK;
}

static tamis_status put_rows(tamis_context *context, tamis__output *output, const tamis__plan *plan,
                             double share, uint64_t *entries, double *mass, tamis_error *err)
{
    uint64_t n = plan->cost.n, m = plan->cost.m;
    double *row = tamis__malloc(m, sizeof *row);
    if (!row) return tamis__fail_memory(err, "a row of the plan", m * sizeof *row);
    tamis_status status = tamis__output_printf(output, err, "i,j,mass\n");
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) {
        tamis__plan_row(plan, i, row);
        status = put_row(output, row, i, m, share, entries, mass, err);
        if (status == TAMIS_OK)
            status = tamis__progress(context, "writing the plan", i + 1, n, "rows", NULL, err);
    }
    free(row);
    return status;
}

tamis_status tamis_transport_write_entropic_plan(tamis_context *context, const char *path,
                                                 bool force, const tamis_transport_problem *problem,
                                                 const tamis_transport_entropic_params *params,
                                                 const tamis_transport_entropic_result *result,
                                                 double share, uint64_t *ret_entries,
                                                 double *ret_mass, tamis_error *err)
{
    tamis__plan plan = {0};
    tamis__output output;
    uint64_t entries = 0;
    double mass = 0;
    TAMIS_TRY(tamis__plan_open(&plan, context, problem, params, result, err));
    tamis_status status = tamis__output_open(&output, context, path, force, err);
    if (status == TAMIS_OK)
        status = end_output(&output, put_rows(context, &output, &plan, share, &entries, &mass, err),
                            err);
    tamis__plan_close(&plan);
    TAMIS_TRY(status);
    if (ret_entries) *ret_entries = entries;
    if (ret_mass) *ret_mass = mass;
    return TAMIS_OK;
}

static tamis_status put_duals(tamis__output *output, const char *side, const double *dual,
                              uint64_t n, tamis_error *err)
{
    char number[TAMIS__NUMBER_SIZE];
    for (uint64_t i = 0; i < n; i++) {
        tamis__format_double(number, dual[i]);
        TAMIS_TRY(tamis__output_printf(output, err, "%s,%" PRIu64 ",%s\n", side, i, number));
    }
    return TAMIS_OK;
}

tamis_status tamis_transport_write_duals(tamis_context *context, const char *path, bool force,
                                         const double *f, uint64_t n, const double *g, uint64_t m,
                                         tamis_error *err)
{
    tamis__output output;
    TAMIS_TRY(tamis__output_open(&output, context, path, force, err));
    tamis_status status = tamis__output_printf(&output, err, "side,row,dual\n");
    if (status == TAMIS_OK) status = put_duals(&output, "a", f, n, err);
    if (status == TAMIS_OK) status = put_duals(&output, "b", g, m, err);
    return end_output(&output, status, err);
}
