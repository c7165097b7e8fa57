/* tamis evaluate pbrf: scores against proximal Bregman responses.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

/* Rows to draw when nothing is said: a solve costs less than a training. */
enum { ROWS_DRAWN = 150 };

typedef struct measured {
    score_names names;
    size_t n;
    tamis_loo loo[MAX_SCORES]; /* effects are minus responses */
    retraining of;             /* model, data and queries only */
    uint64_t *row;
    uint64_t rows;
    double *damping; /* [layers] absolute; NULL = relative to the matrix itself */
    tamis_pbrf pbrf;
    table summary, layers;
} measured;

/* --- what is asked -------------------------------------------------------------------------------- */

static tamis_status read_inputs(session *s, const evaluate_args *args, measured *m,
                                tamis_error *err)
{
    data_args query = args->data;
    query.path = args->query_data;
    query.labels = args->query_labels;
    TRY(tamis_model_load(&m->of.model, s->context, args->model, NULL, err));
    const tamis_model_info *info = tamis_model_info_get(m->of.model);
    data_like like = {info->classes, info->class_name, info->layer[0].in, info->feature_name};
    TRY(data_read(s, &args->data, &like, &m->of.data, err));
    TRY(data_check_columns(&args->data, m->of.data, args->model, info->layer[0].in, err));
    TRY(data_read(s, &query, &like, &m->of.query, err));
    return data_check_columns(&query, m->of.query, args->model, info->layer[0].in, err);
}

/* Before the work: files that do not fit are told at once. */
static tamis_status check_scores(session *s, const evaluate_args *args, measured *m,
                                 tamis_error *err)
{
    for (size_t i = 0; i < m->n; i++) {
        tamis_scores *scores = NULL;
        TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
        tamis_status status = TAMIS_OK;
        if (tamis_scores_info_get(scores)->top > 0)
            status = fail(err, TAMIS_ERR_ARG,
                          "'%s' holds lists of rows and not the scores of all rows: score without "
                          "--top",
                          args->scores.item[i]);
        if (status == TAMIS_OK) status = retraining_check(args, &m->of, scores, true, err);
        tamis_scores_close(&scores);
        TRY(status);
    }
    return TAMIS_OK;
}

static tamis_status list_rows(measured *m, const uint8_t *marked, tamis_error *err)
{
    m->row = malloc((size_t)m->of.data->rows * sizeof *m->row);
    if (!m->row) return fail_memory(err);
    for (uint64_t i = 0; i < m->of.data->rows; i++)
        if (marked[i]) m->row[m->rows++] = i;
    if (m->rows > 1) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG, "a correlation needs at least two rows: name more with --rows");
}

static tamis_status choose_rows(session *s, const evaluate_args *args, measured *m,
                                tamis_error *err)
{
    uint64_t all = m->of.data->rows;
    if (args->rows) {
        uint8_t *marked = NULL;
        TRY(tamis_noise_read(s->context, args->rows, all, &marked, err));
        tamis_status status = list_rows(m, marked, err);
        free(marked);
        return status;
    }
    tamis_subsets drawn = {0};
    bool said = invocation_has(s->invocation, "rows-number");
    uint64_t n = said ? args->rows_number : ROWS_DRAWN;
    if (n > all) n = all;
    TRY(tamis_subsets_draw(&drawn, all, 1, (double)n / (double)all, args->common.seed, err));
    tamis_status status = list_rows(m, drawn.member, err);
    tamis_subsets_free(&drawn);
    return status;
}

/* --- damping -------------------------------------------------------------------------------------- */

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
    uint32_t layers = tamis_model_info_get(m->of.model)->layers;
    if (!args->damping_absolute && !args->curvature) return TAMIS_OK;
    m->damping = calloc(layers, sizeof *m->damping);
    if (!m->damping) return fail_memory(err);
    if (args->damping_absolute)
        return parse_damping(args->damping_absolute, layers, m->damping, err);
    tamis_curvature *curvature = NULL;
    TRY(tamis_curvature_open(&curvature, s->context, args->curvature, err));
    tamis_status status = tamis_pbrf_damping(curvature, m->of.model, args->damping, m->damping,
                                             err);
    tamis_curvature_close(&curvature);
    return status;
}

/* --- measuring ------------------------------------------------------------------------------------ */

static tamis_status respond(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    const tamis_pbrf_params params = {
        .model = m->of.model,
        .checkpoint = UINT32_MAX,
        .train = m->of.data,
        .query = m->of.query,
        .row = m->row,
        .rows = m->rows,
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
    tamis_status status = tamis_evaluate_pbrf(&m->loo[i], s->context, scores, &m->pbrf, &bootstrap,
                                              err);
    tamis_scores_close(&scores);
    return status;
}

/* --- results -------------------------------------------------------------------------------------- */

static const table_column summary_columns[] = {
    {"scores", COLUMN_TEXT, 0},     {"scorer", COLUMN_TEXT, 32},
    ESTIMATE_COLUMNS("pearson", 4), ESTIMATE_COLUMNS("spearman", 4),
    {"constant", COLUMN_COUNT, 0},  ESTIMATE_COLUMNS("difference", 4),
};

static const table_column layer_columns[] = {{"layer", COLUMN_TEXT, 0},
                                             {"damping", COLUMN_REAL, 8}};

/* Differences are of Pearson correlations, which this yardstick goes by. */
static tamis_status fill_tables(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    const tamis_model_info *info = tamis_model_info_get(m->of.model);
    for (size_t i = 0; i < m->n; i++) {
        const tamis_loo *loo = &m->loo[i];
        tamis_estimate difference = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        if (i > 0)
            TRY(tamis_estimate_difference(&loo->pearson, loo->draw_pearson, &m->loo[0].pearson,
                                          m->loo[0].draw_pearson, &bootstrap, &difference, err));
        TRY(table_add(&m->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = m->names.scorer[i];
        evaluate_cells(c + 2, &loo->pearson);
        evaluate_cells(c + 5, &loo->spearman);
        c[8].count = loo->constant;
        evaluate_cells(c + 9, &difference);
    }
    for (uint32_t l = 0; l < info->layers; l++) {
        TRY(table_add(&m->layers, &c, err));
        c[0].text = info->layer[l].name;
        c[1].real = m->pbrf.damping[l];
    }
    return TAMIS_OK;
}

static tamis_status draw(session *s, const evaluate_args *args, const measured *m, tamis_error *err)
{
    double value[2][3][MAX_SCORES];
    const char *category[MAX_SCORES];
    for (size_t i = 0; i < m->n; i++)
        for (int which = 0; which < 2; which++) {
            const tamis_estimate *e = which ? &m->loo[i].spearman : &m->loo[i].pearson;
            value[which][0][i] = e->value;
            value[which][1][i] = e->low;
            value[which][2][i] = e->high;
            category[i] = m->names.name[i];
        }
    tamis_curve curve[2] = {
        {"Pearson", m->n, NULL, value[0][0], value[0][1], value[0][2], false},
        {"Spearman", m->n, NULL, value[1][0], value[1][1], value[1][2], false},
    };
    for (int which = 0; args->draws == 0 && which < 2; which++)
        curve[which].low = curve[which].high = NULL;
    const tamis_figure figure = {.title = "Proximal Bregman response",
                                 .y_label = "correlation with the score",
                                 .curve = curve,
                                 .curves = 2,
                                 .category = category,
                                 .categories = (uint32_t)m->n};
    return evaluate_write(s, args, &m->summary, &figure, err);
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
    report_count(&r, "rows_up_weighted", m->rows);
    report_count(&r, "queries", m->pbrf.queries);
    report_count(&r, "parameters", tamis_model_info_get(m->of.model)->parameters);
    if (m->pbrf.reused > 0) report_count(&r, "reused", m->pbrf.reused);
    report_count(&r, "newton_steps", m->pbrf.steps);
    if (m->n == 1) {
        report_estimate(&r, "pearson", &m->loo[0].pearson);
        report_estimate(&r, "spearman", &m->loo[0].spearman);
    }
    if (m->n > 1 || r.machine) report_table(&r, "scores", &m->summary);
    report_table(&r, "layers", &m->layers);
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    TRY(check_damping(s, args, err));
    TRY(retraining_announce(s, args, err));
    TRY(session_add_input(s, "rows", args->rows, err));
    TRY(session_add_input(s, "curvature", args->curvature, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    TRY(read_inputs(s, args, m, err));
    TRY(check_scores(s, args, m, err));
    TRY(choose_rows(s, args, m, err));
    TRY(choose_damping(s, args, m, err));
    TRY(respond(s, args, m, err));
    for (size_t i = 0; i < m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_tables(args, m, err));
    return draw(s, args, m, err);
}

tamis_status evaluate_pbrf(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    m->layers = (table){.column = layer_columns, .columns = LEN(layer_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i < m->n; i++) tamis_loo_free(&m->loo[i]);
    tamis_pbrf_free(&m->pbrf);
    free(m->row);
    free(m->damping);
    retraining_close(&m->of);
    table_free(&m->summary);
    table_free(&m->layers);
    free(m);
    return status;
}
