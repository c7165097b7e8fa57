/* tamis evaluate lds: the linear datamodelling score.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

enum { CURVE_POINTS = 10 }; /* at most MAX_SCORES: both are drawn from one array */

typedef struct measured {
    score_names names;
    size_t n;
    tamis_lds lds[MAX_SCORES];
    tamis_subsets subsets;
    double *outputs; /* [subsets, queries] */
    uint64_t queries;
    bool retrains;
    retraining again;
    uint64_t runs, reused;
    double ceiling; /* NaN = not known */
    uint64_t at[CURVE_POINTS];
    uint32_t points;
    table summary, curve;
} measured;

/* --- subsets and outputs ---------------------------------------------------------------------- */

static tamis_status check_given(const evaluate_args *args, bool *ret_retrains, tamis_error *err)
{
    *ret_retrains = args->model != NULL;
    if (args->model && args->outputs)
        return fail(err, TAMIS_ERR_ARG,
                    "--outputs does not go with --model: outputs are given, or made by retraining");
    if (args->model) return TAMIS_OK;
    if (!args->subsets || !args->outputs)
        return fail(
            err, TAMIS_ERR_ARG,
            "give --subsets FILE and --outputs FILE, or --model, --data and --query-data to "
            "retrain");
    if (args->data.path || args->query_data || args->runs)
        return fail(err, TAMIS_ERR_ARG, "--data, --query-data and --runs go with --model only");
    return TAMIS_OK;
}

static tamis_status make_subsets(session *s, const evaluate_args *args, measured *m, uint64_t rows,
                                 tamis_error *err)
{
    if (args->subsets) return tamis_subsets_read(&m->subsets, s->context, args->subsets, rows, err);
    return tamis_subsets_draw(&m->subsets, s->context, rows, args->subsets_number, args->fraction,
                              args->common.seed, err);
}

static tamis_status retrain(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    tamis_retrained retrained = {0};
    tamis_output output = (tamis_output)args->outputs_are;
    TRY(tamis_retrain(&retrained, s->context, &m->again.params, &m->subsets, err));
    m->runs = retrained.subsets * retrained.seeds;
    m->reused = retrained.reused;
    m->queries = retrained.queries;
    m->outputs = malloc((size_t)(retrained.subsets * retrained.queries) * sizeof *m->outputs);
    tamis_status status = m->outputs ? TAMIS_OK : fail_memory(err);
    if (status == TAMIS_OK) {
        tamis_retrained_mean(&retrained, output, m->outputs);
        status = tamis_retrained_ceiling(&retrained, output, &m->ceiling, err);
    }
    tamis_retrained_free(&retrained);
    return status;
}

/* The first file of scores says how many rows and queries there are; when retraining, every file is
 * compared with the data before the long part begins. */
static tamis_status open_all(session *s, const evaluate_args *args, measured *m, uint64_t *ret_rows,
                             tamis_error *err)
{
    for (size_t i = 0; i < m->n; i++) {
        tamis_scores *scores = NULL;
        TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
        const tamis_scores_info *info = tamis_scores_info_get(scores);
        tamis_status status = evaluate_need_pairs(scores, err);
        if (i == 0) *ret_rows = info->rows;
        if (i == 0) m->queries = info->queries;
        if (status == TAMIS_OK && m->retrains)
            status = retraining_check(args, &m->again, scores, true, err);
        tamis_scores_close(&scores);
        TRY(status);
    }
    return TAMIS_OK;
}

static tamis_status prepare(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    uint64_t rows = 0;
    TRY(check_given(args, &m->retrains, err));
    TRY(session_add_input(s, "subsets", args->subsets, err));
    TRY(session_add_input(s, "outputs", args->outputs, err));
    if (m->retrains) TRY(retraining_announce(s, args, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    if (m->retrains) TRY(retraining_open(s, args, &m->again, err));
    TRY(open_all(s, args, m, &rows, err));
    TRY(make_subsets(s, args, m, rows, err));
    if (m->retrains) return retrain(s, args, m, err);
    return tamis_outputs_read(&m->outputs, s->context, args->outputs,
                              (tamis_output)args->outputs_are, m->subsets.subsets, m->queries, err);
}

/* --- the score -------------------------------------------------------------------------------- */

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_lds_params params = {.subsets = &m->subsets,
                               .outputs = m->outputs,
                               .queries = m->queries,
                               .at = m->at,
                               .points = m->points,
                               .bootstrap = evaluate_bootstrap(args, true)};
    TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
    tamis_status status = tamis_evaluate_lds(&m->lds[i], s->context, scores, &params, err);
    tamis_scores_close(&scores);
    return status;
}

/* A single file: how its score settles as subsets are added. */
static void choose_points(measured *m)
{
    uint64_t most = m->subsets.subsets;
    if (m->n > 1) return;
    for (uint64_t i = 1; i <= CURVE_POINTS; i++) {
        uint64_t at = i * most / CURVE_POINTS;
        if (at >= 5 && (m->points == 0 || at > m->at[m->points - 1])) m->at[m->points++] = at;
    }
}

static const table_column summary_columns[] = {
    {"scores", COLUMN_TEXT, 0},
    {"scorer", COLUMN_TEXT, 32},
    ESTIMATE_COLUMNS("lds", 4),
    {"error", COLUMN_REAL, 4},
    {"without_score", COLUMN_COUNT, RARE},
    {"constant", COLUMN_COUNT, RARE},
    ESTIMATE_COLUMNS("difference", 4),
};

static const table_column curve_columns[] = {
    {"subsets", COLUMN_COUNT, 0},
    ESTIMATE_COLUMNS("lds", 4),
};

static tamis_status fill_tables(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    for (size_t i = 0; i < m->n; i++) {
        const tamis_lds *lds = &m->lds[i];
        tamis_estimate difference = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        if (i > 0)
            TRY(tamis_estimate_difference(&lds->lds, lds->draw, &m->lds[0].lds, m->lds[0].draw,
                                          &bootstrap, &difference, err));
        TRY(table_add(&m->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = m->names.scorer[i];
        evaluate_cells(c + 2, &lds->lds);
        c[5].real = lds->lds.error;
        c[6].count = lds->skipped;
        c[7].count = lds->constant;
        evaluate_cells(c + 8, &difference);
    }
    for (uint32_t p = 0; p < m->points; p++) {
        TRY(table_add(&m->curve, &c, err));
        c[0].count = m->at[p];
        evaluate_cells(c + 1, &m->lds[0].point[p]);
    }
    return TAMIS_OK;
}

/* One file: against the number of subsets; several: a bar each. */
static tamis_status write_outputs(session *s, const evaluate_args *args, const measured *m,
                                  tamis_error *err)
{
    double x[CURVE_POINTS], value[3][MAX_SCORES];
    const char *category[MAX_SCORES];
    bool bars = m->n > 1 || m->points < 2;
    uint32_t points = bars ? (uint32_t)m->n : m->points;
    for (uint32_t i = 0; i < points; i++) {
        const tamis_estimate *e = bars ? &m->lds[i].lds : &m->lds[0].point[i];
        value[0][i] = e->value;
        value[1][i] = e->low;
        value[2][i] = e->high;
        if (bars) category[i] = m->names.name[i];
        if (!bars) x[i] = (double)m->at[i];
    }
    tamis_curve curve = {m->n > 1 ? NULL : m->names.name[0],
                         points,
                         bars ? NULL : x,
                         value[0],
                         value[1],
                         value[2],
                         false};
    if (args->draws == 0) curve.low = curve.high = NULL;
    const tamis_figure figure = {.title = "Linear datamodelling score",
                                 .x_label = bars ? NULL : "subsets",
                                 .y_label = "LDS (mean Spearman correlation)",
                                 .curve = &curve,
                                 .curves = 1,
                                 .category = bars ? category : NULL,
                                 .categories = bars ? points : 0};
    return evaluate_write(s, args, &m->summary, &figure, err);
}

static void report_single(report *r, const tamis_lds *lds)
{
    if (lds->skipped > 0) report_count(r, "without_score", lds->skipped);
    if (lds->constant > 0) report_count(r, "constant_queries", lds->constant);
    report_real(r, "lds", lds->lds.value, 4);
    if (!isnan(lds->lds.low)) {
        if (r->machine) json_put_real(&r->j, "lds_low", lds->lds.low);
        if (r->machine) json_put_real(&r->j, "lds_high", lds->lds.high);
        report_labelled(r, "interval", "%.4f to %.4f", lds->lds.low, lds->lds.high);
        report_real(r, "error", lds->lds.error, 4);
    }
}

static void json_queries(report *r, const measured *m)
{
    if (!r->machine) return;
    json_put_array(&r->j, "query_lds");
    for (size_t i = 0; i < m->n; i++) {
        json_put_array(&r->j, NULL);
        for (uint64_t q = 0; q < m->queries; q++) json_put_real(&r->j, NULL, m->lds[i].query[q]);
        json_close(&r->j);
    }
    json_close(&r->j);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_count(&r, "rows", m->subsets.rows);
    report_count(&r, "queries", m->queries);
    report_count(&r, "subsets", m->subsets.subsets);
    report_text(&r, "output", args->outputs_are == TAMIS_OUTPUT_LOSS ? "minus the loss" : "margin");
    if (m->retrains) retraining_report(&r, &m->again, m->runs, m->reused);
    if (!isnan(m->ceiling)) report_real(&r, "ceiling", m->ceiling, 4);
    if (m->n == 1) report_single(&r, &m->lds[0]);
    report_seconds(&r, seconds() - s->started);
    if (m->n > 1 || r.machine) report_table(&r, "scores", &m->summary);
    if (r.machine && m->points > 0) report_table(&r, "curve", &m->curve);
    json_queries(&r, m);
    report_end(&r);
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    TRY(prepare(s, args, m, err));
    choose_points(m);
    for (size_t i = 0; i < m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_tables(args, m, err));
    return write_outputs(s, args, m, err);
}

tamis_status evaluate_lds(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->ceiling = (double)NAN;
    m->summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    m->curve = (table){.column = curve_columns, .columns = LEN(curve_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i < m->n; i++) tamis_lds_free(&m->lds[i]);
    tamis_subsets_free(&m->subsets);
    free(m->outputs);
    retraining_close(&m->again);
    table_free(&m->summary);
    table_free(&m->curve);
    free(m);
    return status;
}
