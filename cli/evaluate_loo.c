/* tamis evaluate loo: scores against leave-one-out retraining.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

typedef struct measured {
    score_names names;
    size_t n;
    tamis_loo loo[MAX_SCORES];
    retraining again;
    uint64_t *row;
    uint64_t rows;
    tamis_retrained retrained;
    table summary;
} measured;

/* --- rows ----------------------------------------------------------------------------------------- */

/* Those that are marked [rows], as a list. */
static tamis_status list_rows(measured *m, const uint8_t *marked, uint64_t rows, tamis_error *err)
{
    m->row = malloc((size_t)rows * sizeof *m->row);
    if (!m->row) return fail_memory(err);
    for (uint64_t i = 0; i < rows; i++)
        if (marked[i]) m->row[m->rows++] = i;
    return TAMIS_OK;
}

static tamis_status choose_rows(session *s, const evaluate_args *args, measured *m,
                                tamis_error *err)
{
    uint64_t all = m->again.data->rows;
    if (args->rows) {
        uint8_t *marked = NULL;
        TRY(tamis_noise_read(s->context, args->rows, all, &marked, err));
        tamis_status status = list_rows(m, marked, all, err);
        free(marked);
        return status;
    }
    tamis_subsets drawn = {0};
    uint64_t n = args->rows_number < all ? args->rows_number : all;
    TRY(tamis_subsets_draw(&drawn, all, 1, (double)n / (double)all, args->common.seed, err));
    tamis_status status = list_rows(m, drawn.member, all, err);
    tamis_subsets_free(&drawn);
    return status;
}

static tamis_status check_all(session *s, const evaluate_args *args, measured *m, tamis_error *err)
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
        if (status == TAMIS_OK) status = retraining_check(args, &m->again, scores, true, err);
        tamis_scores_close(&scores);
        TRY(status);
    }
    return TAMIS_OK;
}

static tamis_status retrain(session *s, measured *m, tamis_error *err)
{
    tamis_subsets subsets = {0};
    m->again.params.in_place = true;
    TRY(tamis_subsets_without(&subsets, m->again.data->rows, m->row, m->rows, err));
    tamis_status status = tamis_retrain(&m->retrained, s->context, &m->again.params, &subsets, err);
    tamis_subsets_free(&subsets);
    return status;
}

static tamis_status measure_one(session *s, const evaluate_args *args, measured *m, size_t i,
                                tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
    tamis_status status = tamis_evaluate_loo(&m->loo[i], s->context, scores, m->row, m->rows,
                                             &m->retrained, &bootstrap, err);
    tamis_scores_close(&scores);
    return status;
}

/* --- results -------------------------------------------------------------------------------------- */

static const table_column summary_columns[] = {
    {"scores", COLUMN_TEXT, 0},       {"scorer", COLUMN_TEXT, 32},
    ESTIMATE_COLUMNS("pearson", 4),   ESTIMATE_COLUMNS("spearman", 4),
    {"constant", COLUMN_COUNT, RARE}, ESTIMATE_COLUMNS("difference", 4),
};

static tamis_status fill_table(const evaluate_args *args, measured *m, tamis_error *err)
{
    cell *c;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    for (size_t i = 0; i < m->n; i++) {
        const tamis_loo *loo = &m->loo[i];
        tamis_estimate difference = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        if (i > 0)
            TRY(tamis_estimate_difference(&loo->spearman, loo->draw_spearman, &m->loo[0].spearman,
                                          m->loo[0].draw_spearman, &bootstrap, &difference, err));
        TRY(table_add(&m->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = m->names.scorer[i];
        evaluate_cells(c + 2, &loo->pearson);
        evaluate_cells(c + 5, &loo->spearman);
        c[8].count = loo->constant;
        evaluate_cells(c + 9, &difference);
    }
    return TAMIS_OK;
}

typedef struct dot {
    double x, y;
} dot;

static int by_x(const void *left, const void *right)
{
    const dot *a = left, *b = right;
    if (a->x < b->x || a->x > b->x) return a->x < b->x ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

/* A single file: each row's mean effect on the queries against its mean score. */
static tamis_status draw_dots(session *s, const evaluate_args *args, const measured *m,
                              tamis_error *err)
{
    const tamis_loo *loo = &m->loo[0];
    dot *dots = calloc((size_t)m->rows, sizeof *dots);
    double *x = calloc((size_t)m->rows, 2 * sizeof *x), *y = x + m->rows;
    tamis_status status = dots && x ? TAMIS_OK : fail_memory(err);
    if (status == TAMIS_OK) {
        for (uint64_t i = 0; i < m->rows * loo->queries; i++) {
            dots[i / loo->queries].x += loo->score[i] / (double)loo->queries;
            dots[i / loo->queries].y += loo->effect[i] / (double)loo->queries;
        }
        qsort(dots, (size_t)m->rows, sizeof *dots, by_x);
        for (uint64_t i = 0; i < m->rows; i++) {
            x[i] = dots[i].x;
            y[i] = dots[i].y;
        }
        const tamis_curve curve = {
            .name = m->names.name[0], .points = m->rows, .x = x, .y = y, .markers = true};
        const tamis_figure figure = {.title = "Leave-one-out retraining",
                                     .x_label = "score, mean over the queries",
                                     .y_label = "loss without the example minus loss with it",
                                     .curve = &curve,
                                     .curves = 1};
        status = evaluate_write(s, args, &m->summary, &figure, err);
    }
    free(dots);
    free(x);
    return status;
}

static tamis_status draw_bars(session *s, const evaluate_args *args, const measured *m,
                              tamis_error *err)
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
    const tamis_figure figure = {.title = "Leave-one-out retraining",
                                 .y_label = "correlation with the score",
                                 .curve = curve,
                                 .curves = 2,
                                 .category = category,
                                 .categories = (uint32_t)m->n};
    return evaluate_write(s, args, &m->summary, &figure, err);
}

static void report_estimate(report *r, const char *key, const tamis_estimate *e)
{
    char name[64];
    report_real(r, key, e->value, 4);
    if (isnan(e->low)) return;
    if (r->machine) {
        snprintf(name, sizeof name, "%s_low", key);
        json_put_real(&r->j, name, e->low);
        snprintf(name, sizeof name, "%s_high", key);
        json_put_real(&r->j, name, e->high);
    }
    report_labelled(r, "  interval", "%.4f to %.4f", e->low, e->high);
}

static void report_text_of(report *r, const char *key, double value)
{
    if (r->machine) json_put_real(&r->j, key, value);
    report_labelled(r, key, "%.3g", value);
}

static void report_all(session *s, const evaluate_args *args, const measured *m)
{
    report r;
    const tamis_loo *first = &m->loo[0];
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_count(&r, "rows_left_out", m->rows);
    report_count(&r, "queries", first->queries);
    retraining_report(&r, &m->again, m->retrained.subsets * m->retrained.seeds,
                      m->retrained.reused);
    report_text_of(&r, "effect_spread", first->spread);
    if (!isnan(first->noise)) {
        report_text_of(&r, "effect_error", first->noise);
        report_real(&r, "ceiling", first->ceiling, 4);
    }
    if (m->n == 1) {
        report_estimate(&r, "pearson", &first->pearson);
        report_estimate(&r, "spearman", &first->spearman);
    }
    report_seconds(&r, seconds() - s->started);
    if (m->n > 1 || r.machine) report_table(&r, "scores", &m->summary);
    report_end(&r);
    if (!(first->spread > first->noise) && !isnan(first->noise))
        fprintf(stderr,
                "tamis: warning: the effects of single rows (spread %.2g) are below their standard "
                "error over the seeds (%.2g): the correlations say little; use more --seeds\n",
                first->spread, first->noise);
    else if (isnan(first->noise))
        fprintf(stderr, "tamis: warning: one seed does not tell effects from retraining noise: use "
                        "more --seeds\n");
}

static tamis_status measure(session *s, const evaluate_args *args, measured *m, tamis_error *err)
{
    TRY(retraining_announce(s, args, err));
    TRY(session_add_input(s, "rows", args->rows, err));
    TRY(evaluate_add_outputs(s, args, err));
    TRY(evaluate_names(s, args, &m->names, err));
    TRY(retraining_open(s, args, &m->again, err));
    TRY(check_all(s, args, m, err));
    TRY(choose_rows(s, args, m, err));
    TRY(retrain(s, m, err));
    for (size_t i = 0; i < m->n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(fill_table(args, m, err));
    return m->n > 1 ? draw_bars(s, args, m, err) : draw_dots(s, args, m, err);
}

tamis_status evaluate_loo(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->n = args->scores.n;
    m->summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    for (size_t i = 0; i < m->n; i++) tamis_loo_free(&m->loo[i]);
    tamis_retrained_free(&m->retrained);
    free(m->row);
    retraining_close(&m->again);
    table_free(&m->summary);
    free(m);
    return status;
}
