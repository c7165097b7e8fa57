/* What is settled of rows before a selector sees them: lists, filters, costs and added columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_RULES_H
#define TAMIS_SELECT_RULES_H

#include "select/registry.h"
#include "stream/engine.h"

typedef struct tamis__rules {
    uint8_t *standing; /* [rows]; NULL = all are free */
    /* [rows] why a row is barred: 1 = it must be dropped, 2 + i = it fails filter i, then term i has
     * no value for it, then filter i has none; NULL = without lists, filters and terms */
    uint16_t *cause;
    double *bound;             /* [filters, 2] of each filter: low and high, quantiles worked out */
    uint64_t required, barred; /* rows */
} tamis__rules;

/* From lists and filters of the parameters. Errors: ARG (a list that is not ascending or names a
 * row that there is not, a row that must be kept and dropped, a filter without a name or with
 * bounds that leave nothing), NOMEM. */
tamis_status tamis__rules_make(tamis__rules *ret_rules, const tamis_select_params *params,
                               uint64_t rows, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__rules_fini(tamis__rules *rules);

/* Barred rows get no value. */
void tamis__rules_bar(const tamis__rules *rules, double *value, uint64_t rows);

/* Barred rows are told why. Errors: NOMEM. */
tamis_status tamis__rules_explain(const tamis__rules *rules, const tamis_select_params *params,
                                  tamis_selection *selection, tamis_error *err);

/* Add weight * normalised column of every term to value. Errors: ARG (no name, a weight that is not
 * finite), NUMERIC (infinities that cancel, or that cannot be normalised), NOMEM. */
tamis_status tamis__rules_add_terms(tamis__rules *rules, const tamis_select_params *params,
                                    const tamis__groups *group, double *value, uint64_t rows,
                                    tamis_error *err);

/* Does any normalising look at groups of candidates, whatever the selector? */
bool tamis__groups_heeded(const tamis_select_params *params);

/* Costs into candidates: cost, allowance, and as `budget` how many rows may be kept at most.
 * Errors: ARG (a cost that is negative or not finite: names the row; a budget that is no amount, or
 * above all costs together). */
tamis_status tamis__rules_costs(const tamis_select_params *params, tamis__candidates *candidates,
                                tamis_error *err);

/* How many of the rows are not barred. */
uint64_t tamis__count_unbarred(const uint8_t *standing, uint64_t rows);

#endif
