/* tamis merge: parts that were made apart, as one file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "command.h"
#include "report.h"

typedef struct merge_args {
    common_args common;
    opt_list parts;
    bool finish;
} merge_args;

#define AT(field) offsetof(merge_args, field)

static const opt options[] = {
    {.name = "finish",
     .help = "make the sums final: what 'tamis score' takes",
     .type = OPT_FLAG,
     .at = AT(finish)},
};

static const operand operands[] = {
    {.name = "PARTS",
     .help = "curvature files of one kind and stage",
     .min = 1,
     .max = SESSION_MAX_INPUTS,
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
    for (size_t i = 0; i < args->parts.n; i++)
        TRY(session_add_input(s, "part", args->parts.item[i], err));
    TRY(session_add_output(s, args->common.output, 0, err));
    for (size_t i = 0; i < args->parts.n; i++) TRY(check_kind(args->parts.item[i], err));
    TRY(session_provenance(s, &provenance, err));
    return tamis_merge_curvature(s->context, args->parts.item, args->parts.n, args->common.output,
                                 args->finish, args->common.force, provenance, err);
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
        "the merged ones, its sums of Lambda.",
    .examples = "# parts of the diagonal, made final\n"
                "tamis merge part1.h5 part2.h5 part3.h5 --finish -o diagonal.h5",
    .output = "CURV.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES & ~COMMON_SEED,
    .args_size = sizeof(merge_args),
    .run = run,
};
