/* tamis evaluate removal: training again without the first rows by score.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

typedef struct measured {
    score_names names;
    size_t n; /* files of scores; at random comes after them */
    tamis_removal removal[MAX_SCORES + 1];
    retraining again;
    double fraction[MAX_POINTS];
    uint32_t points;
    uint64_t reused;
    table table;
} measured;

static const char *name_of(const measured *m, size_t i)
{
    return i < m->n ? m->names.name[i] : "random";
}

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_removal_params params = {.by = (tamis_aggregate)args->by,
                                   .lowest_first = args->drop == DROP_HARMFUL,
                                   .keep = args->keep,
                                   .fraction = m->fraction,
                                   .points = m->points,
                                   .random_seed = args->common.seed};
    if (i < m->n) TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
    params.scores = scores;
    tamis_status status = TAMIS_OK;
    if (scores) status = retraining_check(args, &m->again, scores, false, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_removal(&m->removal[i], s->context, &params, &m->again.params, err);
    m->reused += m->removal[i].reused;
    tamis_scores_close(&scores);
    return status;
}

/* --- results ---------------------------------------------------------------------------------- */

static const table_column columns[] = {
    {"order", COLUMN_TEXT, 0},       {"scores", COLUMN_TEXT, 0},
    {"fraction", COLUMN_SHARE, 1},   {"trained_on", COLUMN_COUNT, 0},
    ESTIMATE_COLUMNS("loss", 4),     {"loss_deviation", COLUMN_REAL, 4},
    ESTIMATE_COLUMNS("accuracy", 4), {"accuracy_deviation", COLUMN_REAL, 4},
};

static tamis_status fill_table(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    for (size_t i = 0; i <= m->n; i++)
        for (uint32_t p = 0; p < m->points; p++) {
            const tamis_removal_point *point = &m->removal[i].point[p];
            TRY(table_add(&m->table, &c, err));
            c[0].text = name_of(m, i);
            c[1].text = i < m->n ? args->scores.item[i] : NULL;
            c[2].real = point->fraction;
            c[3].count = point->rows;
            evaluate_cells(c + 4, &point->loss);
            c[7].real = point->loss_deviation;
            evaluate_cells(c + 8, &point->accuracy);
            c[11].real = point->accuracy_deviation;
        }
    return TAMIS_OK;
}

static tamis_status write_outputs(session *s, const evaluate_args *args, const measured *m,
                                  tamis_error *err)
{
    double value[MAX_SCORES + 1][4][MAX_POINTS];
    tamis_curve curve[MAX_SCORES + 1] = {{0}};
    char title[96];
    bool loss = args->show == SHOW_LOSS;
    for (size_t i = 0; i <= m->n; i++) {
        for (uint32_t p = 0; p < m->points; p++) {
            const tamis_removal_point *point = &m->removal[i].point[p];
            const tamis_estimate *e = loss ? &point->loss : &point->accuracy;
            value[i][0][p] = 100 * point->fraction;
            value[i][1][p] = e->value;
            value[i][2][p] = e->low;
            value[i][3][p] = e->high;
        }
        curve[i] = (tamis_curve){name_of(m, i), m->points,   value[i][0], value[i][1],
                                 value[i][2],   value[i][3], false};
        if (args->seeds < 2) curve[i].low = curve[i].high = NULL;
    }
    snprintf(title, sizeof title, "Training %s the most %s examples", args->keep ? "on" : "without",
             args->drop == DROP_HARMFUL ? "harmful" : "helpful");
    const tamis_figure figure = {
        .title = title,
        .x_label = args->keep ? "training examples kept, %" : "training examples dropped, %",
        .y_label = loss ? "loss on the queries" : "accuracy on the queries",
        .curve = curve,
        .curves = (uint32_t)m->n + 1};
    return evaluate_write(s, args, &m->table, &figure, err);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_text(&r, "first", args->drop == DROP_HARMFUL ? "most harmful" : "most helpful");
    report_text(&r, "they_are", args->keep ? "kept" : "dropped");
    report_count(&r, "rows", m->again.data->rows);
    report_count(&r, "queries", m->again.query->rows);
    retraining_report(&r, &m->again, (m->n + 1) * m->points * args->seeds, m->reused);
    report_seconds(&r, seconds() - s->started);
    report_table(&r, "curve", &m->table);
    report_end(&r);
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    TRY(evaluate_shares("fractions", args->fractions, m->fraction, &m->points, err));
    TRY(retraining_announce(s, args, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    TRY(retraining_open(s, args, &m->again, err));
    for (size_t i = 0; i <= m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_table(args, m, err));
    return write_outputs(s, args, m, err);
}

tamis_status evaluate_removal(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->table = (table){.column = columns, .columns = LEN(columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i <= m->n; i++) tamis_removal_free(&m->removal[i]);
    retraining_close(&m->again);
    table_free(&m->table);
    free(m);
    return status;
}
