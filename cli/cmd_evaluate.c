/* tamis evaluate: how good scores are.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "evaluate.h"
#include "names.h"
#include "training_args.h"

static const evaluate_args defaults = {
    .budget = "10%",
    .worst = WORST_LOW,
    .draws = 1000,
    .level = 0.95,
    .outputs_are = TAMIS_OUTPUT_LOSS,
    .subsets_number = 100,
    .fraction = 0.5,
    .seeds = 5,
    .optimizer = -1,
    .learning_rate = (double)NAN,
    .momentum = (double)NAN,
    .weight_decay = (double)NAN,
    .rows_number = 50,
    .damping = 0.1,
    .tolerance = 1e-12,
    .fractions = "0%,5%,10%,20%,40%",
    .drop = DROP_HELPFUL,
    .show = SHOW_LOSS,
    .end = TAMIS_SCORES_TOP,
};

static const yardstick yardsticks[] = {
    {"noise", "how well the scores find examples that are known to be bad",
     "by bad worst budget at", evaluate_noise},
    {"lds",
     "how well sums of scores foretell models trained on subsets (linear datamodelling score)",
     "subsets outputs outputs-are subsets-number fraction" RETRAIN_OPTIONS, evaluate_lds},
    {"loo", "how well the scores foretell leaving single examples out",
     "rows rows-number" RETRAIN_OPTIONS, evaluate_loo},
    {"pbrf",
     "how well the scores foretell up-weighting single examples near the model (proximal "
     "Bregman response)",
     "rows rows-number model data data-format label labels id group features ignore query-data "
     "query-labels runs damping damping-absolute curvature tolerance",
     evaluate_pbrf},
    {"removal", "what training without (or on) the first examples by score does",
     "by fractions drop keep show" RETRAIN_OPTIONS, evaluate_removal},
    {"overlap", "how far two files of scores agree on the first examples of each query", "top end",
     evaluate_overlap},
};

#define AT(field) offsetof(evaluate_args, field)

static const char *const by_names[] = {"total", "mean", "max", NULL};
static const char *const worst_names[] = {"low", "high", NULL};
static const char *const output_names[] = {"loss", "margin", NULL};
static const char *const optimizer_names[] = {"sgd", "adam", NULL};
static const char *const drop_names[] = {"helpful", "harmful", NULL};
static const char *const show_names[] = {"loss", "accuracy", NULL};
static const char *const end_names[] = {"top", "bottom", NULL};

static const char *yardstick_at(size_t i, const char **ret_summary)
{
    if (i >= LEN(yardsticks)) return NULL;
    if (ret_summary) *ret_summary = yardsticks[i].summary;
    return yardsticks[i].name;
}

#define AS_TRAINED "as the model was trained"

static const opt options[] = {
    {.name = "scores",
     .value = "SCORES.h5",
     .help = "the scores; several files are compared with the first",
     .type = OPT_LIST,
     .at = AT(scores),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "by",
     .value = "HOW",
     .help = "noise, removal: how an example's scores become one value",
     .type = OPT_CHOICE,
     .at = AT(by),
     .choices = by_names},
    {.name = "draws",
     .value = "N",
     .help = "resamples that intervals are made of; 0 = no intervals",
     .type = OPT_UINT,
     .at = AT(draws),
     .min = 0,
     .max = 1e6},
    {.name = "level",
     .value = "X",
     .help = "share of the resamples inside an interval",
     .type = OPT_REAL,
     .at = AT(level),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 0.999999},
    {.name = "csv",
     .value = "FILE",
     .help = "write the table as CSV too",
     .type = OPT_STRING,
     .at = AT(csv),
     .flags = OPT_NEUTRAL | OPT_FILE},
    {.name = "figure",
     .value = "FILE",
     .help = "draw the curve with its interval, .svg or .png",
     .type = OPT_LIST,
     .at = AT(figure),
     .flags = OPT_NEUTRAL | OPT_FILE},
    {.name = "bad",
     .value = "FILE",
     .help = "known bad rows: a row number a line, or .npy of booleans or numbers",
     .type = OPT_STRING,
     .at = AT(bad),
     .flags = OPT_FILE,
     .section = "Noise"},
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
    {.name = "at",
     .value = "LIST",
     .help = "budgets of the curve, separated by commas, ascending",
     .type = OPT_STRING,
     .at = AT(at),
     .fallback = "1%,2%,5%,10%,20%,50%, as far as there are rows"},
    {.name = "subsets",
     .value = "FILE.npy",
     .help = "subsets of the training rows: row numbers [subsets, rows in each] or booleans "
             "[subsets, rows]",
     .type = OPT_STRING,
     .at = AT(subsets),
     .flags = OPT_FILE,
     .section = "Linear datamodelling score"},
    {.name = "outputs",
     .value = "FILE.npy",
     .help = "what models trained on the subsets do on the queries [subsets, queries]",
     .type = OPT_STRING,
     .at = AT(outputs),
     .flags = OPT_FILE},
    {.name = "outputs-are",
     .value = "WHAT",
     .help = "loss (less is better) or margin (more is better)",
     .type = OPT_CHOICE,
     .at = AT(outputs_are),
     .choices = output_names},
    {.name = "subsets-number",
     .value = "N",
     .help = "subsets to draw, without --subsets",
     .type = OPT_UINT,
     .at = AT(subsets_number),
     .min = 2,
     .max = 1e6},
    {.name = "fraction",
     .value = "X",
     .help = "share of the rows in each of them",
     .type = OPT_REAL,
     .at = AT(fraction),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1},
    {.name = "rows",
     .value = "FILE",
     .help = "loo, pbrf: rows to leave out or to up-weight, in the forms of --bad",
     .type = OPT_STRING,
     .at = AT(rows),
     .flags = OPT_FILE,
     .section = "Single examples"},
    {.name = "rows-number",
     .value = "N",
     .help = "rows to draw, without --rows",
     .type = OPT_UINT,
     .at = AT(rows_number),
     .min = 2,
     .max = 1e6},
    {.name = "damping",
     .value = "X",
     .help = "pbrf: damping of each layer, times its mean eigenvalue",
     .type = OPT_REAL,
     .at = AT(damping),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1e9,
     .section = "Proximal Bregman response",
     .more = "The mean eigenvalue is that of the layer's part of the Gauss-Newton matrix, or with "
             "--curvature the mean Lambda there: scores are compared fairly with the damping they "
             "were made with."},
    {.name = "damping-absolute",
     .value = "X,...",
     .help = "instead: a number for each layer, or one for all",
     .type = OPT_STRING,
     .at = AT(damping_absolute)},
    {.name = "curvature",
     .value = "CURV.h5",
     .help = "take mean eigenvalues from this file, of ekfac, kfac or diagonal",
     .type = OPT_STRING,
     .at = AT(curvature),
     .flags = OPT_FILE},
    {.name = "tolerance",
     .value = "X",
     .help = "norm of the objective's gradient that a solution must reach",
     .type = OPT_REAL,
     .at = AT(tolerance),
     .flags = OPT_ABOVE | OPT_ADVANCED,
     .min = 0,
     .max = 1},
    {.name = "fractions",
     .value = "LIST",
     .help = "shares of the rows to drop (or keep), separated by commas, ascending",
     .type = OPT_STRING,
     .at = AT(fractions),
     .section = "Removal"},
    {.name = "drop",
     .value = "WHICH",
     .help = "which rows come first: the most helpful or the most harmful",
     .type = OPT_CHOICE,
     .at = AT(drop),
     .choices = drop_names,
     .more = "helpful shows how much the model leans on them (brittleness), harmful how much "
             "cleaning gains."},
    {.name = "keep",
     .help = "train on those that come first, and drop all others",
     .type = OPT_FLAG,
     .at = AT(keep)},
    {.name = "show",
     .value = "WHAT",
     .help = "what --figure draws",
     .type = OPT_CHOICE,
     .at = AT(show),
     .choices = show_names,
     .flags = OPT_NEUTRAL},
    {.name = "top",
     .value = "LIST",
     .help = "numbers of rows to compare, separated by commas, ascending",
     .type = OPT_STRING,
     .at = AT(top),
     .fallback = "1,5,10,20,50,... as far as there are rows",
     .section = "Overlap"},
    {.name = "end",
     .value = "END",
     .help = "compare the best rows or the worst",
     .type = OPT_CHOICE,
     .at = AT(end),
     .choices = end_names},
    {.name = "model",
     .value = "MODEL.h5",
     .help = "the model to train again; its layers, options and seed are taken from it",
     .type = OPT_STRING,
     .at = AT(model),
     .flags = OPT_FILE,
     .section = "Retraining"},
    {.name = "data",
     .value = "FILE",
     .help = "the rows that the scores are of",
     .type = OPT_STRING,
     .at = AT(data.path),
     .flags = OPT_FILE},
    {.name = "query-data",
     .value = "FILE",
     .help = "the rows whose loss is measured: the queries of the scores",
     .type = OPT_STRING,
     .at = AT(query_data),
     .flags = OPT_FILE,
     .more = "For removal these may be other rows, such as a test set."},
    {.name = "label",
     .value = "NAME",
     .help = "CSV column, JSON key or tensor of the class",
     .type = OPT_STRING,
     .at = AT(data.label)},
    {.name = "labels",
     .value = "FILE",
     .help = "classes from a file of their own (.npy or IDX)",
     .type = OPT_STRING,
     .at = AT(data.labels),
     .flags = OPT_FILE},
    {.name = "query-labels",
     .value = "FILE",
     .help = "those of --query-data, where --labels was needed",
     .type = OPT_STRING,
     .at = AT(query_labels),
     .flags = OPT_FILE},
    {.name = "data-format",
     .value = "FORMAT",
     .help = "format of the rows",
     .type = OPT_STRING,
     .at = AT(data.format),
     .name_at = names_data,
     .fallback = "by the file's name and first bytes"},
    {.name = "id",
     .value = "NAME",
     .help = "CSV column or JSON key of an id, which is no feature",
     .type = OPT_STRING,
     .at = AT(data.id)},
    {.name = "group",
     .value = "NAME",
     .help = "CSV column or JSON key of a group, which is no feature",
     .type = OPT_STRING,
     .at = AT(data.group)},
    {.name = "features",
     .value = "NAMES",
     .help = "columns, keys or tensor that are the features",
     .type = OPT_STRING,
     .at = AT(data.features),
     .fallback = "those of the model"},
    {.name = "ignore",
     .value = "NAMES",
     .help = "columns or keys that are not features, separated by commas",
     .type = OPT_STRING,
     .at = AT(data.ignore)},
    {.name = "seeds",
     .value = "N",
     .help = "trainings of each set of rows, with the model's seed and those after it",
     .type = OPT_UINT,
     .at = AT(seeds),
     .min = 1,
     .max = 1e4},
    {.name = "runs",
     .value = "FILE",
     .help = "keep finished trainings here, and take from it those that are there already",
     .type = OPT_STRING,
     .at = AT(runs),
     .flags = OPT_NEUTRAL | OPT_FILE,
     .more = "A command that was stopped goes on where it was, and all yardsticks and scorers on "
             "the same data, queries and options may share one file."},
    {.name = "optimizer",
     .value = "NAME",
     .help = "how to train",
     .type = OPT_CHOICE,
     .at = AT(optimizer),
     .choices = optimizer_names,
     .fallback = AS_TRAINED},
    TRAINING_OPTIONS(evaluate_args, AS_TRAINED, AS_TRAINED),
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

/* Is `name` among the words of `list`? */
static bool listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += size)
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || !at[size])) return true;
    return false;
}

/* An option of another yardstick would have no effect: better to say so. */
static tamis_status check_options(const session *s, const yardstick *y, tamis_error *err)
{
    static const char common[] = "scores draws level csv figure";
    for (size_t i = 0; i < s->invocation->n_given; i++) {
        const opt *option = s->invocation->given[i].option;
        bool own = option >= options && option < options + LEN(options);
        if (own && !listed(common, option->name) && !listed(y->options, option->name))
            return fail(err, TAMIS_ERR_ARG, "--%s does not go with %s", option->name, y->name);
    }
    return TAMIS_OK;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const evaluate_args *args = cookie;
    const yardstick *y = yardsticks;
    while (strcmp(y->name, args->yardstick) != 0) y++; /* the operand is strict */
    TRY(check_options(s, y, err));
    if (args->scores.n > MAX_SCORES)
        return fail(err, TAMIS_ERR_ARG, "more than %d files of scores", MAX_SCORES);
    for (size_t i = 0; i < args->scores.n; i++)
        TRY(session_add_input(s, "scores", args->scores.item[i], err));
    return y->run(s, args, err);
}

const command cmd_evaluate = {
    .name = "evaluate",
    .group = "Look",
    .summary = "measure how good scores are",
    .synopsis = "YARDSTICK --scores SCORES.h5 [--scores OTHER.h5 ...] [OPTIONS]",
    .description =
        "noise ranks the examples by their scores and tells where those known to be bad stand: AUC "
        "is the probability that a bad example stands before a good one (0.5 is chance), precision "
        "and recall are those of the worst examples, as many as --budget and --at say. Examples "
        "without a score are left out and counted as without_score.\n\n"
        "lds is the mean over the queries of the rank correlation, over subsets of the training "
        "rows, between the sum of a subset's scores and the output of a model trained on it (Park "
        "et al. 2023). Subsets and outputs are given, or drawn and trained here. The ceiling is "
        "what a perfect predictor would reach with so many seeds.\n\n"
        "loo trains without single rows and correlates the change of the queries' losses with the "
        "scores. Mini-batches stay as they are but for the missing row, so that its effect is not "
        "drowned in that of another order; a warning says when it still is.\n\n"
        "pbrf up-weights single rows in an objective that keeps the model near where it stands, "
        "solves it exactly in double (small models only: the Gauss-Newton matrix is held whole), "
        "and "
        "correlates what that does to the queries' losses with the scores. It is what influence "
        "functions approximate, without the noise of retraining (Bae et al. 2022).\n\n"
        "removal trains without the first 5%, 10% ... of the rows by score, and for comparison "
        "without as many at random, and gives loss and accuracy on the query rows.\n\n"
        "overlap compares the first k rows of each query, and the ranks of all, in two files.\n\n"
        "Intervals come from resamples: of the rows for noise and of the queries for overlap, as "
        "percentiles; of the subsets for lds and of the rows left out or up-weighted for loo and "
        "pbrf, as normal intervals with their standard deviation. For removal they are Student's "
        "over the seeds. Differences to the first file are paired. Scores made with --top can be "
        "measured by overlap only: they do not say how other examples stand. "
        "The same options and seed give the same numbers at any number of threads.",
    .examples =
        "# does self-influence find flipped labels?\n"
        "tamis evaluate noise --scores self.h5 --bad flipped.txt --worst high --budget 10%\n"
        "# which scorer foretells retraining better? 500 trainings, kept in a file\n"
        "tamis evaluate lds --scores tracin.h5 --scores trak.h5 --model model.h5 --data train.csv "
        "--query-data validation.csv --label label --runs lds.runs --figure lds.svg\n"
        "# outputs made elsewhere\n"
        "tamis evaluate lds --scores ekfac.h5 --subsets subsets.npy --outputs loss.npy\n"
        "# how near is a scorer to what it approximates? One file of responses serves them all\n"
        "tamis evaluate pbrf --scores ekfac.h5 --scores tracin.h5 --model model.h5 --data "
        "train.csv "
        "--query-data validation.csv --label label --curvature curv.h5 --runs responses.runs\n"
        "# what do the most helpful examples carry?\n"
        "tamis evaluate removal --scores tracin.h5 --model model.h5 --data train.csv --query-data "
        "test.csv --label label --figure removal.png\n"
        "# how much does a cheaper scorer change the lists?\n"
        "tamis evaluate overlap --scores exact.h5 --scores cheap.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS | COMMON_FORCE | COMMON_SEED,
    .args_size = sizeof(evaluate_args),
    .defaults = &defaults,
    .run = run,
};
