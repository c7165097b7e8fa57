/* Scores against what single rows do: rows, tables and figures.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate_rows.h"

#include <stdlib.h>

tamis_status evaluate_rows_check(session *s, const evaluate_args *args, const retraining *of,
                                 tamis_error *err)
{
    for (size_t i = 0; i < args->scores.n; i++) {
        tamis_scores *scores = NULL;
        TRY(tamis_scores_open(&scores, s->context, args->scores.item[i], err));
        tamis_status status = evaluate_need_pairs(scores, err);
        if (status == TAMIS_OK) status = retraining_check(args, of, scores, true, err);
        tamis_scores_close(&scores);
        TRY(status);
    }
    return TAMIS_OK;
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Those that are marked [rows], as a list. */
static tamis_status list_rows(row_scores *r, const uint8_t *marked, uint64_t rows, tamis_error *err)
{
    r->row = malloc((size_t)rows * sizeof *r->row);
    if (!r->row) return fail_memory(err);
    for (uint64_t i = 0; i < rows; i++)
        if (marked[i]) r->row[r->rows++] = i;
    if (r->rows > 1) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG, "a correlation needs at least two rows: name more with --rows");
}

tamis_status evaluate_rows_choose(session *s, const evaluate_args *args, uint64_t all,
                                  uint64_t drawn, row_scores *r, tamis_error *err)
{
    if (args->rows) {
        uint8_t *marked = NULL;
        TRY(tamis_noise_read(s->context, args->rows, all, &marked, err));
        tamis_status status = list_rows(r, marked, all, err);
        free(marked);
        return status;
    }
    tamis_subsets subsets = {0};
    if (drawn > all) drawn = all;
    TRY(tamis_subsets_draw(&subsets, s->context, all, 1, (double)drawn / (double)all,
                           args->common.seed, err));
    tamis_status status = list_rows(r, subsets.member, all, err);
    tamis_subsets_free(&subsets);
    return status;
}

/* --- results ---------------------------------------------------------------------------------- */

static tamis_status difference(const tamis_loo *a, const tamis_loo *b, bool pearson,
                               const tamis_bootstrap *bootstrap, tamis_estimate *ret_difference,
                               tamis_error *err)
{
    if (pearson)
        return tamis_estimate_difference(&a->pearson, a->draw_pearson, &b->pearson, b->draw_pearson,
                                         bootstrap, ret_difference, err);
    return tamis_estimate_difference(&a->spearman, a->draw_spearman, &b->spearman, b->draw_spearman,
                                     bootstrap, ret_difference, err);
}

tamis_status evaluate_rows_table(const evaluate_args *args, row_scores *r, bool pearson,
                                 tamis_error *err)
{
    cell *c;
    tamis_bootstrap bootstrap = evaluate_bootstrap(args, true);
    for (size_t i = 0; i < r->n; i++) {
        const tamis_loo *loo = &r->loo[i];
        tamis_estimate apart = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        if (i > 0) TRY(difference(loo, &r->loo[0], pearson, &bootstrap, &apart, err));
        TRY(table_add(&r->summary, &c, err));
        c[0].text = args->scores.item[i];
        c[1].text = r->names.scorer[i];
        evaluate_cells(c + 2, &loo->pearson);
        evaluate_cells(c + 5, &loo->spearman);
        c[8].count = loo->constant;
        evaluate_cells(c + 9, &apart);
    }
    return TAMIS_OK;
}

tamis_status evaluate_rows_bars(session *s, const evaluate_args *args, const row_scores *r,
                                const char *title, tamis_error *err)
{
    double value[2][3][MAX_SCORES];
    const char *category[MAX_SCORES];
    for (size_t i = 0; i < r->n; i++)
        for (int which = 0; which < 2; which++) {
            const tamis_estimate *e = which ? &r->loo[i].spearman : &r->loo[i].pearson;
            value[which][0][i] = e->value;
            value[which][1][i] = e->low;
            value[which][2][i] = e->high;
            category[i] = r->names.name[i];
        }
    tamis_curve curve[2] = {
        {"Pearson", r->n, NULL, value[0][0], value[0][1], value[0][2], false},
        {"Spearman", r->n, NULL, value[1][0], value[1][1], value[1][2], false},
    };
    for (int which = 0; args->draws == 0 && which < 2; which++)
        curve[which].low = curve[which].high = NULL;
    const tamis_figure figure = {.title = title,
                                 .y_label = "correlation with the score",
                                 .curve = curve,
                                 .curves = 2,
                                 .category = category,
                                 .categories = (uint32_t)r->n};
    return evaluate_write(s, args, &r->summary, &figure, err);
}

void evaluate_rows_free(row_scores *r)
{
    for (size_t i = 0; i < r->n; i++) tamis_loo_free(&r->loo[i]);
    free(r->row);
    table_free(&r->summary);
}
