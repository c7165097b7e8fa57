/* tamis evaluate: how good scores are.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "report.h"

typedef struct evaluate_args {
    common_args common;
    const char *yardstick, *scores, *bad, *budget;
    int by, worst;
} evaluate_args;

enum { WORST_LOW = 0, WORST_HIGH = 1 };

static const evaluate_args defaults = {.budget = "10%", .worst = WORST_LOW};

#define AT(field) offsetof(evaluate_args, field)

static const char *const by_names[] = {"total", "mean", "max", NULL};
static const char *const worst_names[] = {"low", "high", NULL};

static const char *yardstick_at(size_t i, const char **ret_summary)
{
    if (ret_summary) *ret_summary = "how well the scores find examples that are known to be bad";
    return i == 0 ? "noise" : NULL;
}

static const opt options[] = {
    {.name = "scores",
     .value = "SCORES.h5",
     .help = "the scores",
     .type = OPT_STRING,
     .at = AT(scores),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "bad",
     .value = "FILE",
     .help = "known bad rows: a row number a line, or .npy of booleans or numbers",
     .type = OPT_STRING,
     .at = AT(bad),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "by",
     .value = "HOW",
     .help = "how an example's scores become one value",
     .type = OPT_CHOICE,
     .at = AT(by),
     .choices = by_names},
    {.name = "worst",
     .value = "END",
     .help = "which scores are the worst",
     .type = OPT_CHOICE,
     .at = AT(worst),
     .choices = worst_names,
     .more = "low for influence on good queries, high for self-influence and loss."},
    {.name = "budget",
     .value = "N|P%",
     .help = "how many of the worst are looked at",
     .type = OPT_STRING,
     .at = AT(budget)},
};

static const operand operands[] = {
    {.name = "YARDSTICK",
     .help = "what to measure",
     .min = 1,
     .max = 1,
     .at = AT(yardstick),
     .name_at = yardstick_at,
     .strict = true},
};

static tamis_status measure(session *s, const evaluate_args *args, tamis_noise *ret_noise,
                            tamis_error *err)
{
    tamis_scores *scores = NULL;
    uint8_t *bad = NULL;
    TRY(tamis_scores_open(&scores, s->context, args->scores, err));
    tamis_status status = tamis_noise_read(s->context, args->bad,
                                           tamis_scores_info_get(scores)->rows, &bad, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_noise(s->context, scores, (tamis_aggregate)args->by,
                                      args->worst == WORST_LOW, bad, args->budget, ret_noise, err);
    free(bad);
    tamis_scores_close(&scores);
    return status;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const evaluate_args *args = cookie;
    tamis_noise noise;
    TRY(measure(s, args, &noise, err));
    progress_end(&s->progress);
    report r;
    report_begin(&r, s);
    report_text(&r, "yardstick", args->yardstick);
    report_count(&r, "rows", noise.rows);
    if (noise.skipped > 0) report_count(&r, "without_score", noise.skipped);
    report_count(&r, "bad", noise.bad);
    report_real(&r, "auc", noise.auc, 4);
    report_count(&r, "looked_at", noise.k);
    report_count(&r, "found", noise.found);
    report_share(&r, "precision", noise.precision);
    report_share(&r, "recall", noise.recall);
    report_end(&r);
    return TAMIS_OK;
}

const command cmd_evaluate = {
    .name = "evaluate",
    .group = "Look",
    .summary = "measure how good scores are",
    .synopsis = "noise --scores SCORES.h5 --bad FILE [--worst low|high] [OPTIONS]",
    .description =
        "noise ranks the examples by their scores and tells where those known to be bad "
        "stand: AUC is the "
        "probability that a bad example stands before a good one (0.5 is chance), "
        "precision and recall are "
        "those of the worst examples, as many as --budget says. Examples without a score "
        "are left out and counted as without_score. Scores made with --top cannot be "
        "measured: they do not say how other examples stand.",
    .examples = "# does self-influence find flipped labels?\n"
                "tamis evaluate noise --scores self.h5 --bad flipped.txt --worst high --budget 10%",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS,
    .args_size = sizeof(evaluate_args),
    .defaults = &defaults,
    .run = run,
};
