/* tamis evaluate noise: how well scores find rows known to be bad.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

typedef struct measured {
    score_names names;
    size_t n;
    tamis_noise_curve curve[MAX_SCORES];
    char at_text[512];
    const char *at[MAX_POINTS];
    uint32_t points;
    table summary, points_table;
} measured;

/* Without --at: the usual shares, as far as each is more rows than the one before in every file. */
static tamis_status usual_at(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    static const char *const usual[] = {"1%", "2%", "5%", "10%", "20%", "50%"};
    uint64_t fewest = UINT64_MAX, last = 0;
    for (size_t i = 0; i < m->n; i++) {
        tamis_scores *scores = NULL;
        TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
        const tamis_scores_info *info = tamis_scores_info_get(scores);
        if (info->rows - info->skipped < fewest) fewest = info->rows - info->skipped;
        tamis_scores_close(&scores);
    }
    for (size_t i = 0; i < LEN(usual); i++) {
        uint64_t k = 0;
        if (tamis_budget_parse(usual[i], fewest, &k, NULL) != TAMIS_OK || k <= last) continue;
        last = k;
        m->at[m->points++] = usual[i];
    }
    return TAMIS_OK;
}

/* --at to its parts. */
static tamis_status split_at(const evaluate_args *args, measured *m, tamis_error *err)
{
    if (strlen(args->at) >= sizeof m->at_text)
        return fail(err, TAMIS_ERR_ARG, "--at has more than %zu characters", sizeof m->at_text - 1);
    memcpy(m->at_text, args->at, strlen(args->at) + 1);
    for (char *word = strtok(m->at_text, ","); word; word = strtok(NULL, ",")) {
        if (m->points == MAX_POINTS)
            return fail(err, TAMIS_ERR_ARG, "--at has more than %d values", MAX_POINTS);
        m->at[m->points++] = word;
    }
    return m->points ? TAMIS_OK : fail(err, TAMIS_ERR_ARG, "--at names no budget");
}

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    uint8_t *bad = NULL;
    tamis_noise_params params = {.by = (tamis_aggregate)args->by,
                                 .low = args->worst == WORST_LOW,
                                 .budget = args->budget,
                                 .at = m->at,
                                 .points = m->points,
                                 .bootstrap = evaluate_bootstrap(args, false)};
    TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
    tamis_status status = tamis_noise_read(s->context, args->bad,
                                           tamis_scores_info_get(scores)->rows, &bad, err);
    params.bad = bad;
    if (status == TAMIS_OK)
        status = tamis_evaluate_noise_curve(&m->curve[i], s->context, scores, &params, err);
    free(bad);
    tamis_scores_close(&scores);
    return status;
}

/* --- results ---------------------------------------------------------------------------------- */

static const table_column summary_columns[] = {
    {"scores", COLUMN_TEXT, 0},        {"scorer", COLUMN_TEXT, 32},
    {"rows", COLUMN_COUNT, 0},         {"without_score", COLUMN_COUNT, RARE},
    ESTIMATE_COLUMNS("auc", 4),        {"found", COLUMN_COUNT, 0},
    {"precision", COLUMN_SHARE, 2},    {"recall", COLUMN_SHARE, 2},
    ESTIMATE_COLUMNS("difference", 4),
};

static const table_column point_columns[] = {
    {"scores", COLUMN_TEXT, 0}, {"scorer", COLUMN_TEXT, 32},      {"k", COLUMN_COUNT, 0},
    {"found", COLUMN_COUNT, 0}, ESTIMATE_COLUMNS("precision", 4), ESTIMATE_COLUMNS("recall", 4),
};

/* Of the AUC to that of the first file. */
static tamis_status add_difference(const evaluate_args *args, const measured *m, size_t i,
                                   cell *cells, tamis_error *err)
{
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, false);
    tamis_estimate difference = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    /* Draws are of the rows with a score: with other rows they are not paired. */
    if (i > 0 && m->curve[i].noise.rows == m->curve[0].noise.rows)
        TRY(tamis_estimate_difference(&m->curve[i].auc, m->curve[i].draw, &m->curve[0].auc,
                                      m->curve[0].draw, &bootstrap, &difference, err));
    evaluate_cells(cells, &difference);
    return TAMIS_OK;
}

static tamis_status fill_tables(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    for (size_t i = 0; i < m->n; i++) {
        const tamis_noise_curve *curve = &m->curve[i];
        TRY(table_add(&m->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = m->names.scorer[i];
        c[2].count = curve->noise.rows;
        c[3].count = curve->noise.skipped;
        evaluate_cells(c + 4, &curve->auc);
        c[7].count = curve->noise.found;
        c[8].real = curve->noise.precision;
        c[9].real = curve->noise.recall;
        TRY(add_difference(args, m, i, c + 10, err));
        for (uint32_t p = 0; p < curve->points; p++) {
            TRY(table_add(&m->points_table, &c, err));
            c[0].text = args->scores.item[i];
            c[1].text = m->names.scorer[i];
            c[2].count = curve->point[p].k;
            c[3].count = curve->point[p].found;
            evaluate_cells(c + 4, &curve->point[p].precision);
            evaluate_cells(c + 7, &curve->point[p].recall);
        }
    }
    return TAMIS_OK;
}

static tamis_status write_outputs(session *s, const evaluate_args *args, const measured *m,
                                  tamis_error *err)
{
    double value[MAX_SCORES][4][MAX_POINTS];
    tamis_curve curve[MAX_SCORES] = {{0}};
    for (size_t i = 0; i < m->n; i++) {
        for (uint32_t p = 0; p < m->points; p++) {
            const tamis_noise_point *point = &m->curve[i].point[p];
            value[i][0][p] = (double)point->k;
            value[i][1][p] = point->precision.value;
            value[i][2][p] = point->precision.low;
            value[i][3][p] = point->precision.high;
        }
        curve[i] = (tamis_curve){m->names.name[i], m->points,   value[i][0], value[i][1],
                                 value[i][2],      value[i][3], false};
        if (args->draws == 0) curve[i].low = curve[i].high = NULL;
    }
    const tamis_figure figure = {.title = "Known bad examples among the worst",
                                 .x_label = "examples looked at",
                                 .y_label = "share that is bad (precision)",
                                 .curve = curve,
                                 .curves = (uint32_t)m->n,
                                 .log_x = true,
                                 .level = true,
                                 .level_at = (double)m->curve[0].noise.bad /
                                             (double)m->curve[0].noise.rows};
    if (m->points == 0 && args->figure.n > 0)
        return fail(err, TAMIS_ERR_ARG, "too few rows for a curve: name budgets with --at");
    return evaluate_write(s, args, &m->points_table, &figure, err);
}

static void report_single(report *r, const tamis_noise_curve *curve)
{
    const tamis_noise *noise = &curve->noise;
    report_count(r, "rows", noise->rows);
    if (noise->skipped > 0) report_count(r, "without_score", noise->skipped);
    report_count(r, "bad", noise->bad);
    report_real(r, "auc", noise->auc, 4);
    if (!isnan(curve->auc.low)) {
        if (r->machine) json_put_real(&r->j, "auc_low", curve->auc.low);
        if (r->machine) json_put_real(&r->j, "auc_high", curve->auc.high);
        report_labelled(r, "interval", "%.4f to %.4f", curve->auc.low, curve->auc.high);
    }
    report_count(r, "looked_at", noise->k);
    report_count(r, "found", noise->found);
    report_share(r, "precision", noise->precision);
    report_share(r, "recall", noise->recall);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    if (m->n == 1) {
        report_single(&r, &m->curve[0]);
    } else {
        report_count(&r, "bad", m->curve[0].noise.bad);
        report_count(&r, "looked_at", m->curve[0].noise.k);
    }
    if (m->n > 1 || r.machine) report_table(&r, "scores", &m->summary);
    report_table(&r, "curve", &m->points_table);
    report_end(&r);
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    if (!args->bad)
        return fail(err, TAMIS_ERR_ARG, "--bad FILE is missing: the rows known to be bad");
    TRY(session_add_input(s, "bad", args->bad, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    TRY(args->at ? split_at(args, m, err) : usual_at(s, args, m, err));
    for (size_t i = 0; i < m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_tables(args, m, err));
    return write_outputs(s, args, m, err);
}

tamis_status evaluate_noise(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    m->points_table = (table){.column = point_columns, .columns = LEN(point_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i < m->n; i++) tamis_noise_curve_free(&m->curve[i]);
    table_free(&m->summary);
    table_free(&m->points_table);
    free(m);
    return status;
}
