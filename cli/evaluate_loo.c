/* tamis evaluate loo: scores against leave-one-out retraining.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "evaluate_rows.h"

typedef struct measured {
    row_scores of;
    retraining again;
    tamis_retrained retrained;
} measured;

static tamis_status retrain(session *s, measured *m, tamis_error *err)
{
    tamis_subsets subsets = {0};
    m->again.params.in_place = true;
    TRY(tamis_subsets_without(&subsets, s->context, m->again.data->rows, m->of.row, m->of.rows,
                              err));
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
    tamis_status status = tamis_evaluate_loo(&m->of.loo[i], s->context, scores, m->of.row,
                                             m->of.rows, &m->retrained, &bootstrap, err);
    tamis_scores_close(&scores);
    return status;
}

/* --- results ---------------------------------------------------------------------------------- */

static const table_column summary_columns[] = {EVALUATE_ROWS_COLUMNS(RARE)};

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
    const tamis_loo *loo = &m->of.loo[0];
    dot *dots = calloc((size_t)m->of.rows, sizeof *dots);
    double *x = calloc((size_t)m->of.rows, 2 * sizeof *x), *y = x + m->of.rows;
    tamis_status status = dots && x ? TAMIS_OK : fail_memory(err);
    if (status == TAMIS_OK) {
        for (uint64_t i = 0; i < m->of.rows * loo->queries; i++) {
            dots[i / loo->queries].x += loo->score[i] / (double)loo->queries;
            dots[i / loo->queries].y += loo->effect[i] / (double)loo->queries;
        }
        qsort(dots, (size_t)m->of.rows, sizeof *dots, by_x);
        for (uint64_t i = 0; i < m->of.rows; i++) {
            x[i] = dots[i].x;
            y[i] = dots[i].y;
        }
        const tamis_curve curve = {
            .name = m->of.names.name[0], .points = m->of.rows, .x = x, .y = y, .markers = true};
        const tamis_figure figure = {.title = "Leave-one-out retraining",
                                     .x_label = "score, mean over the queries",
                                     .y_label = "loss without the example minus loss with it",
                                     .curve = &curve,
                                     .curves = 1};
        status = evaluate_write(s, args, &m->of.summary, &figure, err);
    }
    free(dots);
    free(x);
    return status;
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
    const tamis_loo *first = &m->of.loo[0];
    progress_end(&s->progress);
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_count(&r, "rows_left_out", m->of.rows);
    report_count(&r, "queries", first->queries);
    retraining_report(&r, &m->again, m->retrained.subsets * m->retrained.seeds,
                      m->retrained.reused);
    report_text_of(&r, "effect_spread", first->spread);
    if (!isnan(first->noise)) {
        report_text_of(&r, "effect_error", first->noise);
        report_real(&r, "ceiling", first->ceiling, 4);
    }
    if (m->of.n == 1) {
        report_estimate(&r, "pearson", &first->pearson);
        report_estimate(&r, "spearman", &first->spearman);
    }
    report_seconds(&r, seconds() - s->started);
    if (m->of.n > 1 || r.machine) report_table(&r, "scores", &m->of.summary);
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
    TRY(evaluate_names(s, args, &m->of.names, err));
    TRY(retraining_open(s, args, &m->again, err));
    TRY(evaluate_rows_check(s, args, &m->again, err));
    TRY(evaluate_rows_choose(s, args, m->again.data->rows, args->rows_number, &m->of, err));
    TRY(retrain(s, m, err));
    for (size_t i = 0; i < m->of.n; i++) TRY(measure_one(s, args, m, i, err));
    TRY(evaluate_rows_table(args, &m->of, false, err));
    if (m->of.n == 1) return draw_dots(s, args, m, err);
    return evaluate_rows_bars(s, args, &m->of, "Leave-one-out retraining", err);
}

tamis_status evaluate_loo(session *s, const evaluate_args *args, tamis_error *err)
{
    measured *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(err);
    m->of.n = args->scores.n;
    m->of.summary = (table){.column = summary_columns, .columns = LEN(summary_columns)};
    tamis_status status = measure(s, args, m, err);
    if (status == TAMIS_OK) report_all(s, args, m);
    evaluate_rows_free(&m->of);
    tamis_retrained_free(&m->retrained);
    retraining_close(&m->again);
    free(m);
    return status;
}
