/* tamis evaluate overlap: how far files of scores agree.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

typedef struct measured {
    score_names names;
    size_t n; /* files; all but the first are compared with it */
    tamis_overlap overlap[MAX_SCORES];
    uint64_t k[MAX_POINTS];
    uint32_t points;
    table summary, curve;
} measured;

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *first = NULL, *other = NULL;
    tamis_overlap_params params = {.end = (tamis_scores_list)args->end,
                                   .k = m->k,
                                   .points = m->points,
                                   .bootstrap = evaluate_bootstrap(args, false)};
    TRY(tamis_scores_open(&first, s->context, args->scores.item[0], err));
    tamis_status status = tamis_scores_open(&other, s->context, args->scores.item[i], err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_overlap(&m->overlap[i], s->context, first, other, &params, err);
    tamis_scores_close(&other);
    tamis_scores_close(&first);
    return status;
}

static const table_column summary_columns[] = {
    {"scores", COLUMN_TEXT, 0},
    {"scorer", COLUMN_TEXT, 32},
    ESTIMATE_COLUMNS("spearman", 4),
};

static const table_column curve_columns[] = {
    {"scores", COLUMN_TEXT, 0},     {"scorer", COLUMN_TEXT, 32},    {"k", COLUMN_COUNT, 0},
    ESTIMATE_COLUMNS("overlap", 4), ESTIMATE_COLUMNS("jaccard", 4),
};

static tamis_status fill_tables(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    for (size_t i = 1; i < m->n; i++) {
        TRY(table_add(&m->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = m->names.scorer[i];
        evaluate_cells(c + 2, &m->overlap[i].spearman);
        for (uint32_t p = 0; p < m->points; p++) {
            TRY(table_add(&m->curve, &c, err));
            c[0].text = args->scores.item[i];
            c[1].text = m->names.scorer[i];
            c[2].count = m->k[p];
            evaluate_cells(c + 3, &m->overlap[i].point[p].overlap);
            evaluate_cells(c + 6, &m->overlap[i].point[p].jaccard);
        }
    }
    return TAMIS_OK;
}

static tamis_status write_outputs(session *s, const evaluate_args *args, const measured *m,
                                  tamis_error *err)
{
    double value[MAX_SCORES][4][MAX_POINTS];
    tamis_curve curve[MAX_SCORES] = {{0}};
    char title[160];
    for (size_t i = 1; i < m->n; i++) {
        for (uint32_t p = 0; p < m->points; p++) {
            const tamis_estimate *e = &m->overlap[i].point[p].overlap;
            value[i][0][p] = (double)m->k[p];
            value[i][1][p] = e->value;
            value[i][2][p] = e->low;
            value[i][3][p] = e->high;
        }
        curve[i - 1] = (tamis_curve){m->names.name[i], m->points,   value[i][0], value[i][1],
                                     value[i][2],      value[i][3], false};
        if (args->draws == 0 || m->overlap[i].queries < 2)
            curve[i - 1].low = curve[i - 1].high = NULL;
    }
    snprintf(title, sizeof title, "Agreement with %s", m->names.name[0]);
    const tamis_figure figure = {.title = title,
                                 .x_label = "k",
                                 .y_label = "share of the first k examples in common",
                                 .curve = curve,
                                 .curves = (uint32_t)m->n - 1,
                                 .log_x = true};
    return evaluate_write(s, args, &m->curve, &figure, err);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    bool ranked = false;
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_text(&r, "compared_with", args->scores.item[0]);
    report_text(&r, "end", args->end == TAMIS_SCORES_TOP ? "top" : "bottom");
    report_count(&r, "rows", m->overlap[1].rows);
    report_count(&r, "queries", m->overlap[1].queries);
    for (size_t i = 1; i < m->n; i++) ranked |= m->overlap[i].ranked;
    if (ranked || r.machine) report_table(&r, "scores", &m->summary);
    report_table(&r, "curve", &m->curve);
    report_end(&r);
}

/* Without --top: the usual numbers, as far as there are rows or places in lists. */
static tamis_status usual_k(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    static const uint64_t usual[] = {1, 5, 10, 20, 50, 100, 200, 500, 1000};
    uint64_t most = UINT64_MAX;
    for (size_t i = 0; i < m->n; i++) {
        tamis_scores *scores = NULL;
        TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
        const tamis_scores_info *info = tamis_scores_info_get(scores);
        uint64_t there = info->rows - info->skipped;
        uint64_t listed = args->end == TAMIS_SCORES_TOP ? info->top : info->bottom;
        if (info->top > 0 && listed < there) there = listed;
        if (there < most) most = there;
        tamis_scores_close(&scores);
    }
    for (size_t i = 0; i < LEN(usual) && usual[i] <= most; i++) m->k[m->points++] = usual[i];
    return m->points ? TAMIS_OK
                     : fail(err, TAMIS_ERR_ARG, "a file has no rows at this end to compare");
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    if (m->n < 2)
        return fail(err, TAMIS_ERR_ARG, "overlap compares files: give --scores twice or more");
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    if (args->top)
        TRY(evaluate_counts("top", args->top, m->k, &m->points, err));
    else
        TRY(usual_k(s, args, m, err));
    for (size_t i = 1; i < m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_tables(args, m, err));
    return write_outputs(s, args, m, err);
}

tamis_status evaluate_overlap(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    m->curve = (table){.column = curve_columns, .columns = LEN(curve_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i < m->n; i++) tamis_overlap_free(&m->overlap[i]);
    table_free(&m->summary);
    table_free(&m->curve);
    free(m);
    return status;
}
