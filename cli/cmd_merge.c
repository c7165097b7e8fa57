/* tamis merge: parts that were made apart, as one file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "command.h"
#include "whiten_args.h"

typedef struct merge_args {
    common_args common;
    opt_list parts;
    bool finish;
    whiten_args whiten;
} merge_args;

enum { MAX_PARTS = 520 };

static const merge_args defaults = {.whiten = WHITEN_ARGS_DEFAULTS};

#define AT(field) offsetof(merge_args, field)

static const opt options[] = {
    {.name = "finish",
     .help = "make the sums final: what 'tamis score' takes",
     .type = OPT_FLAG,
     .at = AT(finish)},
    WHITEN_OPTIONS(merge_args, whiten),
};

static const operand operands[] = {
    {.name = "PARTS",
     .help = "curvature files of one kind and stage",
     .min = 1,
     .max = MAX_PARTS,
     .at = AT(parts),
     .file = true},
};

static tamis_status check_kind(const char *path, tamis_error *err)
{
    char kind[32];
    TRY(tamis_file_kind(path, kind, err));
    if (!strcmp(kind, "curvature")) return TAMIS_OK;
    if (!strcmp(kind, "gradient-store"))
        return fail(err, TAMIS_ERR_ARG,
                    "'%s' is a gradient store: its shards need no merging, a directory of them is "
                    "a store; curvature files can be merged",
                    path);
    return fail(err, TAMIS_ERR_ARG, "'%s' is a %s file: only curvature files can be merged", path,
                kind);
}

static tamis_status merge(session *s, const merge_args *args, tamis_error *err)
{
    const char *provenance = NULL;
    const tamis_whiten_params *given;
    tamis_whiten_params whiten;
    whiten_params(&args->whiten, &whiten, &given);
    for (size_t i = 0; i < args->parts.n; i++)
        TRY(session_add_input(s, "part", args->parts.item[i], err));
    TRY(session_add_output(s, args->common.output, 0, err));
    for (size_t i = 0; i < args->parts.n; i++) TRY(check_kind(args->parts.item[i], err));
    TRY(session_provenance(s, &provenance, err));
    return tamis_merge_curvature(s->context, args->parts.item, args->parts.n, args->common.output,
                                 args->finish, given, args->common.force, provenance, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const merge_args *args = cookie;
    tamis_curvature *made = NULL;
    TRY(merge(s, args, err));
    progress_end(&s->progress);
    double elapsed = seconds() - s->started;
    TRY(tamis_curvature_open(&made, s->context, args->common.output, err));
    const tamis_curvature_info *info = tamis_curvature_info_get(made);
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    report_count(&r, "parts", args->parts.n);
    report_text(&r, "stage",
                info->stage == TAMIS_STAGE_FINAL    ? "final"
                : info->stage == TAMIS_STAGE_LAMBDA ? "lambda"
                                                    : "covariance");
    report_count(&r, "layers", info->layers);
    if (info->tokens) report_count(&r, "tokens", info->tokens);
    report_count(&r, "examples", info->examples);
    report_whiten(&r, info);
    report_seconds(&r, elapsed);
    report_end(&r);
    tamis_curvature_close(&made);
    return TAMIS_OK;
}

const command cmd_merge = {
    .name = "merge",
    .group = "Flow",
    .summary = "add up curvature files that were fitted apart",
    .synopsis = "PARTS... -o CURV.h5 [--finish]",
    .description =
        "Adds up curvature files of one kind and stage, made by 'tamis fit --until' from parts of "
        "the training data. Sums are taken in the order of the words, so another order may differ "
        "in the last bits. ekfac is merged twice: its covariances, and, after 'tamis fit --from' "
        "the merged ones, its sums of Lambda. whiten is given its damping and shrinkage when it is "
        "made final.",
    .examples = "# parts of the diagonal, made final\n"
                "tamis merge part1.h5 part2.h5 part3.h5 --finish -o diagonal.h5\n"
                "# a whitening, of candidates and targets that were summed up apart\n"
                "tamis merge candidates.h5 targets.h5 --finish --shrinkage ledoit-wolf -o "
                "whitening.h5",
    .output = "CURV.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES & ~COMMON_SEED,
    .args_size = sizeof(merge_args),
    .defaults = &defaults,
    .run = run,
};
