/* tamis convert: a store in another type, with fewer checkpoints or layers, projected, whitened,
 * cut anew.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "report.h"
#include "store_args.h"

static const char *const form_names[] = {"full", "factors", NULL};

typedef struct convert_args {
    common_args common;
    store_args store;
    const char *input, *checkpoints, *layers, *project;
    const char *whiten, *keep;
    double damping;
    uint64_t sample;
    int form, damping_unit, kind;
} convert_args;

static const convert_args defaults = {.store.dtype = -1,
                                      .checkpoints = "all",
                                      .sample = 2000,
                                      .form = -1,
                                      .damping = 0.1,
                                      .kind = -1,
                                      .keep = "100%"};

#define AT(field) offsetof(convert_args, field)

static const char *const unit_names[] = {"relative", "absolute", NULL};
/* By tamis_curvature_kind. */
static const char *const kind_names[] = {"ekfac", "kfac", "diagonal", NULL};

static const opt options[] = {
    {.name = "checkpoints",
     .value = "LIST",
     .help = "which ones: all, last, or numbers separated by commas, from 0",
     .type = OPT_STRING,
     .at = AT(checkpoints),
     .section = "What stays"},
    {.name = "layers",
     .value = "LIST",
     .help = "names, numbers or ranges of numbers separated by commas",
     .type = OPT_STRING,
     .at = AT(layers),
     .fallback = "all"},
    {.name = "project",
     .value = "K|KIND:K",
     .help = "project each row to K columns at random, sparse or rademacher",
     .type = OPT_STRING,
     .at = AT(project),
     .fallback = "not projected",
     .more =
         "sparse:K[,nonzeros=S] adds every column into S of the K, 2 unless said otherwise, and "
         "costs about as much as reading; rademacher:K adds it into all of them. Dot products "
         "keep their mean, with a variance of about (|x|^2 |y|^2 + <x, y>^2) / K. Stores that "
         "are to meet must be projected alike, with the same --seed."},
    {.name = "whiten",
     .value = "FILE.h5",
     .help = "make rows whose dot products are influence under this curvature",
     .type = OPT_STRING,
     .at = AT(whiten),
     .flags = OPT_FILE,
     .fallback = "not whitened",
     .more =
         "FILE.h5 is what 'tamis fit' made. Rows become coordinates in its eigenbasis, divided by "
         "the root of eigenvalue + damping. The store says so: 'tamis score ekfac' takes it with "
         "the same curvature and damping only, whitens queries itself, and is then a plain "
         "product. Rounding to i8 costs less here than with gradients.",
     .section = "Whitening"},
    {.name = "kind",
     .value = "KIND",
     .help = "what the curvature is seen as; a file of ekfac serves kfac too",
     .type = OPT_CHOICE,
     .at = AT(kind),
     .choices = kind_names,
     .fallback = "that of the file"},
    {.name = "damping",
     .value = "X",
     .help = "added to every eigenvalue",
     .type = OPT_REAL,
     .at = AT(damping),
     .min = 0,
     .max = 1e30},
    {.name = "damping-unit",
     .value = "UNIT",
     .help = "of --damping: each layer's mean eigenvalue, or 1",
     .type = OPT_CHOICE,
     .at = AT(damping_unit),
     .choices = unit_names},
    {.name = "keep",
     .value = "SHARE",
     .help = "share of the whitened coordinates that stay: 25% or 0.25",
     .type = OPT_STRING,
     .at = AT(keep),
     .more = "Those with the largest eigenvalue / (eigenvalue + damping), over all layers."},
    {.name = "dtype",
     .value = "TYPE",
     .help = "how numbers are stored",
     .type = OPT_CHOICE,
     .at = AT(store.dtype),
     .choices = store_dtype_names,
     .fallback = "as in the source",
     .section = "Store"},
    {.name = "form",
     .value = "FORM",
     .help = "whole gradients, or the factors they are made of",
     .type = OPT_CHOICE,
     .at = AT(form),
     .choices = form_names,
     .fallback = "as in the source",
     .more =
         "Factors, a layer's inputs and the gradients of its outputs at each token, can be made "
         "whole gradients, which every program reads; the other way round is impossible. "
         "Projected rows are always whole."},
    STORE_PLACE_OPTIONS(AT(store)),
    {.name = "sample",
     .value = "N",
     .help = "compare dot products of N rows with the source; 0 = do not",
     .type = OPT_UINT,
     .at = AT(sample),
     .flags = OPT_NEUTRAL,
     .min = 0,
     .max = 1e6,
     .section = "Comparison",
     .more =
         "Evenly spaced rows, and up to 16 of them as queries. The rank correlation (Spearman) "
         "of the rows' scores is reported, and the largest difference as a share of the source's "
         "largest score: with what stayed of the source, and with all of it. Whitened rows are "
         "compared with the source's rows whitened in double, so that what is told is the cost of "
         "the type and of --keep."},
};

static const operand operands[] = {
    {.name = "STORE",
     .help = "a gradient store",
     .min = 1,
     .max = 1,
     .at = AT(input),
     .file = true},
};

static void report_agreement(report *r, const char *key, const tamis_agreement *agreement)
{
    if (r->machine) {
        json_put_object(&r->j, key);
        json_put_real(&r->j, "mean_rank_correlation", agreement->mean_spearman);
        json_put_real(&r->j, "least_rank_correlation", agreement->least_spearman);
        json_put_real(&r->j, "largest_difference", agreement->largest_difference);
        json_close(&r->j);
    }
    report_labelled(
        r, key, "rank correlation %.6f on average, %.6f at least; differs by at most %.3g",
        agreement->mean_spearman, agreement->least_spearman, agreement->largest_difference);
}

static void report_comparison(report *r, const tamis_convert_report *made)
{
    if (!made->sample_rows) return;
    const char *all = made->whitened ? "with_all_whitened" : "with_source";
    report_count(r, "sample_rows", made->sample_rows);
    report_count(r, "sample_queries", made->sample_queries);
    if (made->whitened || r->machine)
        report_text(r, "compared_with",
                    made->whitened ? "the source, whitened and not rounded" : "the source");
    report_agreement(r, made->dropped ? "with_what_stayed" : all, &made->kept);
    if (made->dropped) report_agreement(r, all, &made->full);
}

/* "25%" or "0.25". */
static tamis_status parse_share(const char *text, double *ret_share, tamis_error *err)
{
    static const tamis_param_desc share = {.name = "keep", .type = TAMIS_PARAM_REAL, .max = 100};
    char number[TAMIS_PARAM_TEXT_SIZE];
    tamis_param_value value;
    size_t size = strlen(text);
    bool percent = size > 0 && text[size - 1] == '%';
    snprintf(number, sizeof number, "%.*s", (int)(percent ? size - 1 : size), text);
    if (tamis_param_parse_value(&share, "convert", number, &value, NULL) == TAMIS_OK) {
        *ret_share = percent ? value.number / 100.0 : value.number;
        if (*ret_share > 0 && *ret_share <= 1) return TAMIS_OK;
    }
    return fail(err, TAMIS_ERR_ARG,
                "--keep '%s' is no share: write a percentage such as 25%%, or 0.25", text);
}

/* Options that say how to whiten go with --whiten only. */
static tamis_status check_whitening(const session *s, const convert_args *args, tamis_error *err)
{
    static const char *const names[] = {"kind", "damping", "damping-unit", "keep"};
    for (size_t i = 0; i < LEN(names) && !args->whiten; i++)
        if (invocation_has(s->invocation, names[i]))
            return fail(err, TAMIS_ERR_ARG,
                        "--%s says how rows are whitened: give the curvature with --whiten",
                        names[i]);
    return TAMIS_OK;
}

static tamis_status open_curvature(session *s, const convert_args *args,
                                   tamis_curvature **curvature, tamis_convert_params *params,
                                   tamis_error *err)
{
    if (!args->whiten) return TAMIS_OK;
    TRY(tamis_curvature_open(curvature, s->context, args->whiten, err));
    params->whiten = *curvature;
    params->whiten_kind = args->kind < 0 ? tamis_curvature_info_get(*curvature)->kind
                                         : (tamis_curvature_kind)args->kind;
    if (args->kind >= 0) return TAMIS_OK;
    if (params->whiten_kind <= TAMIS_CURVATURE_DIAGONAL)
        return session_note_text(s, "kind", kind_names[params->whiten_kind], err);
    return fail(err, TAMIS_ERR_ARG,
                "'%s' is of kind %s, which has no coordinates to whiten: fit ekfac, kfac or "
                "diagonal",
                args->whiten, params->whiten_kind == TAMIS_CURVATURE_GRAM ? "gram" : "whiten");
}

static tamis_status make(session *s, const convert_args *args, tamis_store **store,
                         tamis_curvature **curvature, tamis_convert_report *ret_made,
                         tamis_error *err)
{
    double keep = 1;
    TRY(check_whitening(s, args, err));
    TRY(parse_share(args->keep, &keep, err));
    TRY(session_add_input(s, "store", args->input, err));
    TRY(session_add_input(s, "curvature", args->whiten, err));
    TRY(session_add_output(s, args->common.output, store_output_flags(&args->store), err));
    tamis_convert_params params = {
        .path = args->common.output,
        .retype = args->store.dtype >= 0,
        .dtype = args->store.dtype < 0 ? TAMIS_F32 : (tamis_dtype)args->store.dtype,
        .reform = args->form >= 0,
        .form = args->form == 1 ? TAMIS_FORM_FACTORS : TAMIS_FORM_FULL,
        .checkpoints = args->checkpoints,
        .layers = args->layers,
        .project = args->project,
        .seed = args->common.seed,
        .damping = args->damping,
        .damping_absolute = args->damping_unit == 1,
        .keep = keep,
        .shard_rows = args->store.shard_rows,
        .force = args->common.force,
        .resume = args->store.resume,
        .sample = args->sample,
    };
    TRY(tamis_store_open(store, s->context, args->input, err));
    params.store = *store;
    TRY(open_curvature(s, args, curvature, &params, err));
    TRY(session_provenance(s, &params.provenance, err));
    return tamis_convert(s->context, &params, ret_made, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    tamis_store *store = NULL;
    tamis_curvature *curvature = NULL;
    tamis_convert_report made;
    tamis_status status = make(s, cookie, &store, &curvature, &made, err);
    tamis_store_close(&store);
    tamis_curvature_close(&curvature);
    TRY(status);
    report r;
    TRY(store_report_begin(s, &r, err));
    report_comparison(&r, &made);
    report_end(&r);
    return TAMIS_OK;
}

const command cmd_convert = {
    .name = "convert",
    .group = "Flow",
    .summary = "store rows in another type, fewer of their parts, projected or whitened",
    .synopsis = "STORE -o STORE.h5 [OPTIONS]",
    .description =
        "Makes a gradient store from another one: with a different number type, with some of the "
        "checkpoints or layers, with rows projected to fewer columns, with factors multiplied out, "
        "as "
        "one file or in shards. "
        "Ids, digests, labels, groups, losses and norms go along. Rows whose type and columns stay "
        "are copied bit for bit.\n\n"
        "Afterwards dot products of sampled rows are compared with those of the source (whitened "
        "ones with those of its whitened rows), so that you see what the conversion costs.",
    .examples = "# half the size\n"
                "tamis convert train.h5 --dtype bf16 -o small.h5\n"
                "# 8,192 columns, and the queries alike\n"
                "tamis convert train.h5 --project 8192 --seed 1 -o train-8k.h5\n"
                "tamis convert query.h5 --project 8192 --seed 1 -o query-8k.h5\n"
                "# gradients of a store of factors\n"
                "tamis convert factors.h5 --form full -o whole.h5\n"
                "# rows for 'tamis score ekfac', in a quarter of the space\n"
                "tamis convert train.h5 --whiten ekfac.h5 --dtype i8 -o white.h5\n"
                "# the last checkpoint alone, in files of 100,000 rows\n"
                "tamis convert train.h5 --checkpoints last --shard-rows 100000 -o last",
    .output = "STORE.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(convert_args),
    .defaults = &defaults,
    .run = run,
};
