/* tamis fit: the curvature that influence needs, from stores of pseudo-gradients.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "names.h"
#include "whiten_args.h"

typedef struct fit_args {
    common_args common;
    const char *kind, *train, *lambda, *from, *checkpoint;
    opt_list with;
    uint64_t max_block;
    int until;
    bool resume;
    whiten_args whiten;
} fit_args;

static const fit_args defaults = {
    .checkpoint = "last", .until = TAMIS_STAGE_FINAL, .whiten = WHITEN_ARGS_DEFAULTS};

#define AT(field) offsetof(fit_args, field)

/* By tamis_curvature_stage. */
static const char *const stages[] = {"covariance", "lambda", "final", NULL};

static const opt options[] = {
    {.name = "train",
     .value = "PSEUDO.h5",
     .help = "gradients of labels drawn from the model",
     .type = OPT_STRING,
     .at = AT(train),
     .flags = OPT_FILE,
     .more = "Made with 'tamis grad --labels sampled'. ekfac and kfac need the factor form "
             "(--form factors). Left out when --from has their covariances and --lambda is given. "
             "whiten: the candidates, rows of any kind."},
    {.name = "with",
     .value = "TARGETS.h5",
     .help = "whiten: rows that count as well, those of the targets; may be repeated",
     .type = OPT_LIST,
     .at = AT(with),
     .flags = OPT_FILE},
    {.name = "lambda",
     .value = "PSEUDO2.h5",
     .help = "ekfac: gradients of labels drawn once more",
     .type = OPT_STRING,
     .at = AT(lambda),
     .flags = OPT_FILE,
     .fallback = "the --train store serves both passes"},
    {.name = "from",
     .value = "CURV.h5",
     .help = "ekfac: take covariances or eigenvectors from this file",
     .type = OPT_STRING,
     .at = AT(from),
     .flags = OPT_FILE,
     .more = "Covariances of 'tamis fit --until covariance', merged or not; of a later stage the "
             "eigenvectors are taken, and Lambda is summed up anew."},
    {.name = "checkpoint",
     .value = "K",
     .help = "checkpoint of the stores, from 0, or last",
     .type = OPT_STRING,
     .at = AT(checkpoint)},
    {.name = "max-block",
     .value = "W",
     .help = "split covariances wider than this into equal diagonal blocks; 0 = do not",
     .type = OPT_UINT,
     .at = AT(max_block),
     .min = 0,
     .max = 1e9,
     .more = "A covariance takes the square of its width, and finding its eigenvectors three times "
             "that. Blocks leave out what is between them.",
     .section = "Large layers and many machines"},
    {.name = "until",
     .value = "STAGE",
     .help = "stop there",
     .type = OPT_CHOICE,
     .at = AT(until),
     .choices = stages,
     .more = "Files of stage covariance or lambda hold sums, which 'tamis merge' adds up."},
    {.name = "resume",
     .help = "keep what is done when the run ends early, and go on from there",
     .type = OPT_FLAG,
     .at = AT(resume),
     .flags = OPT_NEUTRAL,
     .more = "What is done lies in a file beside the output, its name with .sums, which is removed "
             "once the output is whole. The output has the same bytes."},
    WHITEN_OPTIONS(fit_args, whiten),
};

static const operand operands[] = {
    {.name = "KIND",
     .help = "what to fit",
     .min = 1,
     .max = 1,
     .at = AT(kind),
     .name_at = names_curvature,
     .strict = true},
};

typedef struct inputs {
    tamis_store *train, *lambda;
    tamis_store **with; /* [n_with] */
    size_t n_with;
    tamis_curvature *from;
} inputs;

static tamis_status kind_of(const char *name, tamis_curvature_kind *ret_kind, tamis_error *err)
{
    const char *known;
    for (size_t i = 0; (known = names_curvature(i, NULL)); i++)
        if (!strcmp(known, name)) {
            *ret_kind = (tamis_curvature_kind)i;
            return TAMIS_OK;
        }
    return fail(err, TAMIS_ERR_ARG, "there is no curvature '%s'", name);
}

static tamis_status checkpoint_of(const char *text, uint32_t *ret_checkpoint, tamis_error *err)
{
    uint64_t value = 0;
    *ret_checkpoint = UINT32_MAX;
    if (!strcmp(text, "last")) return TAMIS_OK;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || value > UINT32_MAX / 10) value = UINT32_MAX;
        value = value < UINT32_MAX / 10 ? value * 10 + (uint64_t)(*c - '0') : UINT32_MAX;
    }
    if (!*text || value >= UINT32_MAX)
        return fail(err, TAMIS_ERR_ARG, "--checkpoint '%.40s': a number from 0, or last, is wanted",
                    text);
    *ret_checkpoint = (uint32_t)value;
    return TAMIS_OK;
}

static tamis_status check_args(const fit_args *args, tamis_error *err)
{
    bool whiten = !strcmp(args->kind, "whiten");
    if (whiten && !args->train)
        return fail(err, TAMIS_ERR_ARG, "--train is missing: name the store of the candidates");
    if (whiten && strcmp(args->checkpoint, "last") != 0)
        return fail(
            err, TAMIS_ERR_ARG,
            "whiten sums rows over all checkpoints: leave out --checkpoint, or take a store "
            "of that checkpoint alone");
    if (!args->train && !args->from)
        return fail(err, TAMIS_ERR_ARG, "--train is missing: name a store of pseudo-gradients");
    if (!args->train && !args->lambda)
        return fail(err, TAMIS_ERR_ARG,
                    "--from goes on with a store: name it with --lambda (or --train)");
    return TAMIS_OK;
}

static tamis_status open_with(session *s, const fit_args *args, inputs *in, tamis_error *err)
{
    if (args->with.n == 0) return TAMIS_OK;
    in->with = calloc(args->with.n, sizeof(tamis_store *));
    if (!in->with) return fail(err, TAMIS_ERR_NOMEM, "out of memory: %zu stores", args->with.n);
    for (; in->n_with < args->with.n; in->n_with++)
        TRY(tamis_store_open(&in->with[in->n_with], s->context, args->with.item[in->n_with], err));
    return TAMIS_OK;
}

static tamis_status open_inputs(session *s, const fit_args *args, inputs *in, tamis_error *err)
{
    TRY(session_add_input(s, "train", args->train, err));
    TRY(session_add_input(s, "lambda", args->lambda, err));
    TRY(session_add_input(s, "from", args->from, err));
    for (size_t i = 0; i < args->with.n; i++)
        TRY(session_add_input(s, "with", args->with.item[i], err));
    TRY(session_add_output(s, args->common.output, 0, err));
    if (args->train) TRY(tamis_store_open(&in->train, s->context, args->train, err));
    if (args->lambda) TRY(tamis_store_open(&in->lambda, s->context, args->lambda, err));
    if (args->from) TRY(tamis_curvature_open(&in->from, s->context, args->from, err));
    return open_with(s, args, in, err);
}

static tamis_status fit(session *s, const fit_args *args, inputs *in, tamis_error *err)
{
    tamis_whiten_params whiten;
    tamis_fit_curvature_params params = {.until = (tamis_curvature_stage)args->until,
                                         .max_block = args->max_block,
                                         .path = args->common.output,
                                         .resume = args->resume,
                                         .force = args->common.force};
    TRY(check_args(args, err));
    TRY(kind_of(args->kind, &params.kind, err));
    TRY(checkpoint_of(args->checkpoint, &params.checkpoint, err));
    TRY(open_inputs(s, args, in, err));
    params.train = in->train;
    params.lambda = in->lambda;
    params.from = in->from;
    params.with = in->with;
    params.n_with = in->n_with;
    whiten_params(&args->whiten, &whiten, &params.whiten);
    TRY(session_provenance(s, &params.provenance, err));
    return tamis_fit_curvature(s->context, &params, err);
}

/* What was written opens as a curvature file, or we say so now. */
static tamis_status report_fit(session *s, const fit_args *args, uint64_t rows, tamis_error *err)
{
    double elapsed = seconds() - s->started;
    tamis_curvature *made = NULL;
    TRY(tamis_curvature_open(&made, s->context, args->common.output, err));
    const tamis_curvature_info *info = tamis_curvature_info_get(made);
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    report_text(&r, "curvature", args->kind);
    report_text(&r, "stage", stages[info->stage]);
    report_count(&r, "layers", info->layers);
    report_count(&r, "columns", info->columns);
    bool whiten = info->kind == TAMIS_CURVATURE_WHITEN;
    report_count(&r, whiten ? "checkpoints" : "checkpoint", info->checkpoint);
    if (info->tokens) report_count(&r, "tokens", info->tokens);
    report_count(&r, "examples", info->examples);
    if (info->labels) report_text(&r, "labels", info->labels);
    report_whiten(&r, info);
    report_seconds(&r, elapsed);
    report_rate(&r, "rows_per_second", elapsed > 0 ? (double)rows / elapsed : 0, "rows/s");
    report_end(&r);
    tamis_curvature_close(&made);
    return TAMIS_OK;
}

static uint64_t rows_of(const tamis_store *store)
{
    return store ? tamis_store_info_get(store)->rows : 0;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    inputs in = {0};
    tamis_status status = fit(s, cookie, &in, err);
    uint64_t rows = rows_of(in.train) + rows_of(in.lambda);
    for (size_t i = 0; i < in.n_with; i++) rows += rows_of(in.with[i]);
    for (size_t i = 0; i < in.n_with; i++) tamis_store_close(&in.with[i]);
    free(in.with);
    tamis_curvature_close(&in.from);
    tamis_store_close(&in.lambda);
    tamis_store_close(&in.train);
    progress_end(&s->progress);
    TRY(status);
    return report_fit(s, cookie, rows, err);
}

const command cmd_fit = {
    .name = "fit",
    .group = "Flow",
    .summary = "fit the curvature that influence needs, or a whitening",
    .synopsis = "KIND --train PSEUDO.h5 [--lambda PSEUDO2.h5] -o CURV.h5 [OPTIONS]",
    .description =
        "Approximates the Gauss-Newton Hessian of the training loss from stored pseudo-gradients: "
        "gradients of labels that were drawn from the model itself ('tamis grad --labels "
        "sampled'). Gradients of the true labels give the empirical Fisher instead, with a "
        "warning.\n\n"
        "ekfac: eigenvectors of the covariances of each layer's inputs and output gradients, and "
        "the mean of squared gradients in that basis (George et al. 2018; Grosse et al. 2023). "
        "kfac: the covariances alone (Martens and Grosse 2015). diagonal: mean of squared "
        "gradients. gram: the mean outer product of whole rows, for narrow or projected "
        "stores.\n\n"
        "whiten is no curvature of a loss: the joint mean and covariance of the rows of candidates "
        "and targets, summed over checkpoints, and the Cholesky factor that makes distances "
        "between them comparable ('tamis score whitened-distance'). Warns when there are fewer "
        "than 5 rows for each column.\n\n"
        "Sums are in double. Results have the same bits for any number of threads, any memory "
        "limit and any sharding of the stores.",
    .examples = "# from one store\n"
                "tamis grad --model mlp.h5 --data train.csv --label class --labels sampled --form "
                "factors -o pseudo.h5\n"
                "tamis fit ekfac --train pseudo.h5 -o curvature.h5\n"
                "# labels drawn twice, as in the paper\n"
                "tamis fit ekfac --train pseudo.h5 --lambda pseudo2.h5 -o curvature.h5\n"
                "# parts on several machines\n"
                "tamis fit ekfac --train part1.h5 --until covariance -o sums1.h5\n"
                "tamis merge sums1.h5 sums2.h5 -o sums.h5\n"
                "tamis fit ekfac --from sums.h5 --lambda part1.h5 --until lambda -o lambda1.h5\n"
                "tamis merge lambda1.h5 lambda2.h5 --finish -o curvature.h5\n"
                "# whitening of candidates and targets together\n"
                "tamis fit whiten --train candidates.h5 --with targets.h5 -o whitening.h5",
    .output = "CURV.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES & ~COMMON_SEED,
    .args_size = sizeof(fit_args),
    .defaults = &defaults,
    .run = run,
};
