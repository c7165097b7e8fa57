/* The demo's flow: one seed from labelled rows to a filtered training file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_DEMO_FLOW_H
#define TAMIS_CLI_DEMO_FLOW_H

#include "demo.h"

/* What differs between data sets. */
typedef struct demo_plan {
    const char *name;
    uint64_t train, validation, test;
    bool fixed_test;           /* the test rows are the source's own */
    const char *train_options; /* of every `tamis train`, with a leading space */
    const char *grad_options;  /* of every `tamis grad`, with a leading space */
    bool keep_stores;          /* stores of later seeds stay on disk */
} demo_plan;

typedef struct demo_flow {
    const demo_plan *plan;
    const tamis_data *data;
    tamis_context *context;
    unsigned side; /* pictures are side x side */
    float white;   /* the largest pixel */
    bool colour;
    char options[64]; /* --threads and --memory handed on to every command */
} demo_flow;

/* How well one ranking found the flipped labels, and what models came to. */
typedef struct demo_result {
    tamis_noise self, influence;
    double accuracy[4]; /* all data, random drop, tamis drop, clean labels */
} demo_result;

/* Everything of one seed, in the current directory. `show` prints the commands and their results,
 * and traces a misclassified example at the end. */
tamis_status demo_seed(const demo_flow *flow, uint64_t seed, bool show, demo_result *ret_result,
                       tamis_error *err);

/* Run a tamis command, words separated by one space; printed first when `show`, silent
 * otherwise. */
tamis_status demo_run(const demo_flow *flow, bool show, tamis_error *err, const char *format, ...)
    TAMIS_PRINTF(4, 5);

tamis_status demo_trace(const demo_flow *flow, const demo_split *split, const int32_t *predicted,
                        tamis_error *err);

#endif
