/* The yardsticks of `tamis evaluate`.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_EVALUATE_H
#define TAMIS_CLI_EVALUATE_H

#include "command.h"
#include "data_args.h"
#include "table.h"

enum { MAX_SCORES = 32, MAX_POINTS = 64 };
enum { WORST_LOW = 0, WORST_HIGH = 1 };
enum { DROP_HELPFUL = 0, DROP_HARMFUL = 1 };
enum { SHOW_LOSS = 0, SHOW_ACCURACY = 1 };

typedef struct evaluate_args {
    common_args common;
    const char *yardstick;
    opt_list scores;
    int by;
    /* intervals and outputs */
    uint64_t draws;
    double level;
    const char *csv;
    opt_list figure;
    /* noise */
    const char *bad, *budget, *at;
    int worst;
    /* lds */
    const char *subsets, *outputs;
    int outputs_are;
    uint64_t subsets_number;
    double fraction;
    /* retraining */
    const char *model;
    data_args data;
    const char *query_data, *query_labels, *runs;
    uint64_t seeds;
    int optimizer;
    uint64_t epochs, batch;
    double learning_rate, momentum, weight_decay;
    /* loo */
    const char *rows;
    uint64_t rows_number;
    /* pbrf */
    const char *curvature, *damping_absolute;
    double damping, tolerance;
    /* removal */
    const char *fractions;
    int drop, show;
    bool keep;
    /* overlap */
    const char *top;
    int end;
} evaluate_args;

/* One yardstick; listed in cmd_evaluate.c. */
typedef struct yardstick {
    const char *name, *summary;
    const char *options; /* names of its options, a space between them, besides those of all */
    tamis_status (*run)(session *s, const evaluate_args *args, tamis_error *err);
} yardstick;

tamis_status evaluate_noise(session *s, const evaluate_args *args, tamis_error *err);
tamis_status evaluate_lds(session *s, const evaluate_args *args, tamis_error *err);
tamis_status evaluate_loo(session *s, const evaluate_args *args, tamis_error *err);
tamis_status evaluate_pbrf(session *s, const evaluate_args *args, tamis_error *err);
tamis_status evaluate_removal(session *s, const evaluate_args *args, tamis_error *err);
tamis_status evaluate_overlap(session *s, const evaluate_args *args, tamis_error *err);

/* --- shared ----------------------------------------------------------------------------------- */

/* What files of scores are called in tables and legends: by their scorer, or by their name without
 * .h5 where two have the same scorer. */
typedef struct score_names {
    char scorer[MAX_SCORES][96], name[MAX_SCORES][96];
} score_names;

/* Opens each file to see its scorer. */
tamis_status evaluate_names(session *s, const evaluate_args *args, score_names *ret_names,
                            tamis_error *err);

/* Refuse, before the work, files that do not say what each query says of all rows: lists, and
 * scores of each query's candidates. ARG. */
tamis_status evaluate_need_pairs(const tamis_scores *scores, tamis_error *err);

/* Intervals as the options have them; see tamis_bootstrap.normal. */
tamis_bootstrap evaluate_bootstrap(const evaluate_args *args, bool normal);

/* "1,5,10" into whole numbers from 1; at most MAX_POINTS. ARG. */
tamis_status evaluate_counts(const char *option, const char *text, uint64_t *ret_value,
                             uint32_t *ret_n, tamis_error *err);

/* "0,5%,0.1" into shares in [0, 1]. ARG. */
tamis_status evaluate_shares(const char *option, const char *text, double *ret_value,
                             uint32_t *ret_n, tamis_error *err);

/* Announce --csv and --figure, after the inputs. */
tamis_status evaluate_add_outputs(session *s, const evaluate_args *args, tamis_error *err);

/* Write what --csv and --figure ask for. */
tamis_status evaluate_write(session *s, const evaluate_args *args, const table *t,
                            const tamis_figure *figure, tamis_error *err);

/* Three columns of a table: an estimate with its interval. */
#define ESTIMATE_COLUMNS(name, decimals)                                                           \
    {name, COLUMN_REAL, decimals}, {name "_low", COLUMN_REAL, decimals},                           \
    {                                                                                              \
        name "_high", COLUMN_REAL, decimals                                                        \
    }
void evaluate_cells(cell *cells, const tamis_estimate *estimate);

/* --- retraining ------------------------------------------------------------------------------- */

/* What is trained again, and how. */
typedef struct retraining {
    tamis_model *model;
    tamis_data *data, *query;
    uint32_t hidden[64];
    tamis_train_params train;
    tamis_retrain_params params;
} retraining;

/* The options of retraining, for yardstick.options. */
#define RETRAIN_OPTIONS                                                                            \
    " model data data-format label labels id group features ignore query-data query-labels seeds " \
    "runs optimizer epochs batch learning-rate momentum weight-decay"

/* Announce the inputs and the file of runs. ARG when --model, --data, --query-data or labels are
 * missing. */
tamis_status retraining_announce(session *s, const evaluate_args *args, tamis_error *err);
tamis_status retraining_open(session *s, const evaluate_args *args, retraining *ret_retraining,
                             tamis_error *err);
void retraining_close(retraining *r);

/* Refuse scores whose rows (or queries, when asked for) are not those of the data files. SHAPE. */
tamis_status retraining_check(const evaluate_args *args, const retraining *r,
                              const tamis_scores *scores, bool queries, tamis_error *err);

/* How it was trained, as part of a JSON report; runs and seeds for people too. */
void retraining_report(report *r, const retraining *of, uint64_t runs, uint64_t reused);

#endif
