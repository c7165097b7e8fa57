/* tamis evaluate pbrf: scores against proximal Bregman responses.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate_rows.h"

/* Rows to draw when nothing is said: a solve costs less than a training. */
enum { ROWS_DRAWN = 150 };

typedef struct measured {
    row_scores of;   /* effects are minus responses */
    retraining with; /* model, data and queries only */
    double *damping; /* [layers] absolute; NULL = relative to the matrix itself */
    tamis_pbrf pbrf;
    table layers;
} measured;

/* --- what is asked ---------------------------------------------------------------------------- */

static tamis_status read_inputs(session *s, const evaluate_args *args, measured *m,
                                tamis_error *err)
{
    data_args query = args->data;
    query.path = args->query_data;
    query.labels = args->query_labels;
    TRY(tamis_model_load(&m->with.model, s->context, args->model, NULL, err));
    const tamis_model_info *info = tamis_model_info_get(m->with.model);
    data_like like = {info->classes, info->class_name, info->layer[0].in, info->feature_name};
    TRY(data_read(s, &args->data, &like, &m->with.data, err));
    TRY(data_check_columns(&args->data, m->with.data, args->model, info->layer[0].in, err));
    TRY(data_read(s, &query, &like, &m->with.query, err));
    return data_check_columns(&query, m->with.query, args->model, info->layer[0].in, err);
}

/* --- damping ---------------------------------------------------------------------------------- */

static tamis_status parse_damping(const char *text, uint32_t layers, double *ret_damping,
                                  tamis_error *err)
{
    uint32_t n = 0;
    for (const char *at = text;; at++) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(value > 0) || !(value < HUGE_VAL))
            return fail(err, TAMIS_ERR_ARG,
                        "--damping-absolute '%s' is not valid: numbers above 0 are wanted", text);
        if (n < layers) ret_damping[n] = value;
        n++;
        at = end;
        if (!*at) break;
    }
    for (uint32_t l = 1; n == 1 && l < layers; l++) ret_damping[l] = ret_damping[0];
    if (n == 1 || n == layers) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG,
                "--damping-absolute has %" PRIu32 " numbers, the model %" PRIu32
                " layers: give one for each, or one for all",
                n, layers);
}

static tamis_status check_damping(const session *s, const evaluate_args *args, tamis_error *err)
{
    if (!args->damping_absolute) return TAMIS_OK;
    const char *other = args->curvature                            ? "curvature"
                        : invocation_has(s->invocation, "damping") ? "damping"
                                                                   : NULL;
    if (!other) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG, "--damping-absolute leaves nothing for --%s to say", other);
}

static tamis_status choose_damping(session *s, const evaluate_args *args, measured *m,
                                   tamis_error *err)
{
    uint32_t layers = tamis_model_info_get(m->with.model)->layers;
    if (!args->damping_absolute && !args->curvature) return TAMIS_OK;
    m->damping = calloc(layers, sizeof *m->damping);
    if (!m->damping) return fail_memory(err);
    if (args->damping_absolute)
        return parse_damping(args->damping_absolute, layers, m->damping, err);
    tamis_curvature *curvature = NULL;
    TRY(tamis_curvature_open(&curvature, s->context, args->curvature, err));
    tamis_status status = tamis_pbrf_damping(curvature, m->with.model, args->damping, m->damping,
                                             err);
    tamis_curvature_close(&curvature);
    return status;
}

/* --- measuring -------------------------------------------------------------------------------- */

static tamis_status respond(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    const tamis_pbrf_params params = {
        .model = m->with.model,
        .checkpoint = UINT32_MAX,
        .train = m->with.data,
        .query = m->with.query,
        .row = m->of.row,
        .rows = m->of.rows,
        .damping = args->damping,
        .layer_damping = m->damping,
        .tolerance = args->tolerance,
        .runs = args->runs,
    };
    return tamis_pbrf_compute(&m->pbrf, s->context, &params, err);
}

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
    tamis_status status = tamis_evaluate_pbrf(&m->of.loo[i], s->context, scores, &m->pbrf,
                                              &bootstrap, err);
    tamis_scores_close(&scores);
    return status;
}

/* --- results ---------------------------------------------------------------------------------- */

static const table_column summary_columns[] = {EVALUATE_ROWS_COLUMNS(0)};

static const table_column layer_columns[] = {{"layer", COLUMN_TEXT, 0},
                                             {"damping", COLUMN_REAL, 8}};

static tamis_status list_layers(measured *m, tamis_error *err)
{
    cell *c;
    const tamis_model_info *info = tamis_model_info_get(m->with.model);
    for (uint32_t l = 0; l < info->layers; l++) {
        TRY(table_add(&m->layers, &c, err));
        c[0].text = info->layer[l].name;
        c[1].real = m->pbrf.damping[l];
    }
    return TAMIS_OK;
}

static void report_estimate(report *r, const char *key, const tamis_estimate *e)
{
    report_real(r, key, e->value, 4);
    if (!isnan(e->low)) report_labelled(r, "  interval", "%.4f to %.4f", e->low, e->high);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_count(&r, "rows_up_weighted", m->pbrf.rows);
    if (m->pbrf.unsolved > 0 || r.machine) report_count(&r, "not_converged", m->pbrf.unsolved);
    report_count(&r, "queries", m->pbrf.queries);
    report_count(&r, "parameters", tamis_model_info_get(m->with.model)->parameters);
    if (m->pbrf.reused > 0) report_count(&r, "reused", m->pbrf.reused);
    report_count(&r, "newton_steps", m->pbrf.steps);
    if (m->of.n == 1) {
        report_estimate(&r, "pearson", &m->of.loo[0].pearson);
        report_estimate(&r, "spearman", &m->of.loo[0].spearman);
    }
    if (m->of.n > 1 || r.machine) report_table(&r, "scores", &m->of.summary);
    report_table(&r, "layers", &m->layers);
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    bool said = invocation_has(s->invocation, "rows-number");
    uint64_t drawn = said ? args->rows_number : ROWS_DRAWN;
    TRY(check_damping(s, args, err));
    TRY(retraining_announce(s, args, err));
    TRY(session_add_input(s, "rows", args->rows, err));
    TRY(session_add_input(s, "curvature", args->curvature, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->of.names, err));
    TRY(read_inputs(s, args, m, err));
    TRY(evaluate_rows_check(s, args, &m->with, err));
    TRY(evaluate_rows_choose(s, args, m->with.data->rows, drawn, &m->of, err));
    TRY(choose_damping(s, args, m, err));
    TRY(respond(s, args, m, err));
    for (size_t i = 0; i < m->of.n; i++) TRY(measure_one(s, args, m, i, err));
    /* Differences are of Pearson correlations, which this yardstick goes by. */
    TRY(evaluate_rows_table(args, &m->of, true, err));
    TRY(list_layers(m, err));
    return evaluate_rows_bars(s, args, &m->of, "Proximal Bregman response", err);
}

tamis_status evaluate_pbrf(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->of.n = args->scores.n;
    m->of.summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    m->layers = (table){.column = layer_columns, .columns = LEN(layer_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    evaluate_rows_free(&m->of);
    tamis_pbrf_free(&m->pbrf);
    free(m->damping);
    retraining_close(&m->with);
    table_free(&m->layers);
    free(m);
    return status;
}
