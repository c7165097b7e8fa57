/* Where a scorer's scores go, what is made of them on the way, and which training rows have none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_OUTPUT_H
#define TAMIS_SCORE_OUTPUT_H

#include "score/candidates.h"
#include "score/less_groups.h"
#include "score/registry.h"
#include "stream/sinks.h"

/* Scores by low rank, and lists in two stages, for reports. */
typedef struct tamis__score_stages {
    uint64_t spectral_rank, query_rank; /* in force; 0 = not that way */
    uint64_t rescored;              /* pairs of queries and rows that were scored exactly again */
    uint64_t sample;                /* queries whose lists were compared with the exact ones */
    double recall_mean, recall_min; /* share of the exact list that was found, over them */
} tamis__score_stages;

struct tamis__score_output {
    const tamis_score_params *params;
    const float **norm;  /* [checkpoints] of [rows]; NULL until tamis__score_rows() */
    unsigned char *skip; /* [rows]; NULL = no row is skipped */
    uint64_t skipped;

    uint64_t rows, queries;      /* of the scores: after a reduction */
    bool best;                   /* the scorer itself makes one column of several */
    tamis__query_groups groups;  /* with a reduction: what is averaged together */
    tamis_scores_writer *writer; /* NULL while nothing is open */
    tamis__top_sink top, bottom;
    tamis__statistics_sink statistics;
    tamis__tee tee;       /* all that takes finished blocks */
    tamis__filter filter; /* with candidates it is all of `tee`, in front of `passed` */
    tamis__tee passed;
    uint64_t resumed;             /* blocks that an earlier run had done */
    uint64_t pass;                /* queries of a pass of that run; 0 = there was none */
    tamis__product_report report; /* of the last product; kernel NULL = there was none */
    tamis__score_stages stages;
};

/* Open the writer and what else the scores go to. `spec` is complete but for what the params say of
 * lists and resuming. */
tamis_status tamis__score_output_open(tamis__score_output *output, tamis_context *context,
                                      const tamis_scores_spec *spec, tamis_error *err);
/* Write lists and statistics, and put the file in its place. */
tamis_status tamis__score_output_commit(tamis__score_output *output, tamis_error *err);
/* Accepts a zeroed struct; gives up what was not committed. */
void tamis__score_output_fini(tamis__score_output *output);

/* The bytes that lists and statistics take, for the engine's plan. */
uint64_t tamis__score_output_bytes(const tamis__score_output *output);

/* --- reductions ------------------------------------------------------------------------------- */

/* Is there one column for all queries? */
bool tamis__reduce_to_one(tamis_reduce reduce);
/* Does the largest of several columns count? */
bool tamis__reduce_to_max(tamis_reduce reduce);

/* Which queries are averaged, or added up, together. */
tamis_status tamis__reduce_groups(tamis__query_groups *ret_groups, tamis_reduce reduce,
                                  const tamis_store *query, tamis_error *err);

/* Sums and means of scores are scores of sums and means of queries: those of `product`, with their
 * scales, put together by the output's groups; so many checkpoints and columns of them. */
tamis_status tamis__reduce_queries(const tamis__score_call *call, const tamis__product *product,
                                   uint32_t checkpoints, uint64_t columns,
                                   tamis__held_queries *ret_queries, tamis_error *err);

#endif
