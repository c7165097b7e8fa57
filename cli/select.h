/* What the files of tamis select share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_SELECT_H
#define TAMIS_CLI_SELECT_H

#include "command.h"
#include "report.h"

typedef struct select_args {
    common_args common;
    const char *selector, *scores, *train, *column, *query, *curvature, *budget;
    const char *query_groups, *groups, *group_by, *cost, *keep, *drop;
    opt_list add, filter, explain;
    int by, normalise;
} select_args;

/* Columns, lists and groups read from files, as the library takes them. */
typedef struct select_sources {
    double **value; /* [values] owned columns */
    size_t values;
    tamis_select_term *term;
    tamis_select_filter *filter;
    uint64_t *keep, *drop;
    tamis_group_list group, query_group;
    char **text; /* [texts] cut-up option values, which names and inputs point into */
    size_t texts;
} select_sources;

/* Announce the files as inputs; before outputs. */
tamis_status select_sources_announce(select_sources *sources, session *s, const select_args *args,
                                     tamis_error *err);

/* Read everything and set the fields of params; `rows` candidates with `examples`, `queries`
 * queries (0 = there are none). Free with select_sources_free(), also after an error. */
tamis_status select_sources_load(select_sources *sources, session *s, const select_args *args,
                                 uint64_t rows, const tamis_examples *examples, uint64_t queries,
                                 tamis_select_params *params, tamis_error *err);
void select_sources_free(select_sources *sources);

/* Before anything is said or done: is there a row for every id? */
tamis_status select_check_ids(const tamis_examples *examples, uint64_t rows, const opt_list *ids,
                              tamis_error *err);

/* Why rows are in or out: every id of `ids`, which are row numbers where there are no ids. Nothing
 * when there are none. */
tamis_status select_explain(report *r, const tamis_selection *sel, const opt_list *ids,
                            tamis_error *err);

/* "12" or "text-id". */
void select_id(const tamis_selection *sel, uint64_t row, char *buffer, size_t size);

#endif
