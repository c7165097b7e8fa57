/* tamis convert: a store in another type, with fewer checkpoints or layers, projected, cut anew.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "command.h"
#include "report.h"
#include "store_args.h"

static const char *const form_names[] = {"full", "factors", NULL};

typedef struct convert_args {
    common_args common;
    store_args store;
    const char *input, *checkpoints, *layers, *project;
    uint64_t sample;
    int form;
} convert_args;

static const convert_args defaults = {
    .store.dtype = -1, .checkpoints = "all", .sample = 2000, .form = -1};

#define AT(field) offsetof(convert_args, field)

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
         "largest score: with what stayed of the source, and with all of it."},
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
    report_count(r, "sample_rows", made->sample_rows);
    report_count(r, "sample_queries", made->sample_queries);
    report_agreement(r, made->dropped ? "with_what_stayed" : "with_source", &made->kept);
    if (made->dropped) report_agreement(r, "with_source", &made->full);
}

static tamis_status make(session *s, const convert_args *args, tamis_store **store,
                         tamis_convert_report *ret_made, tamis_error *err)
{
    TRY(session_add_input(s, "store", args->input, err));
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
        .shard_rows = args->store.shard_rows,
        .force = args->common.force,
        .resume = args->store.resume,
        .sample = args->sample,
    };
    TRY(tamis_store_open(store, s->context, args->input, err));
    params.store = *store;
    TRY(session_provenance(s, &params.provenance, err));
    return tamis_convert(s->context, &params, ret_made, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    tamis_store *store = NULL;
    tamis_convert_report made;
    tamis_status status = make(s, cookie, &store, &made, err);
    tamis_store_close(&store);
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
    .summary = "store rows in another type, fewer of their parts, or projected",
    .synopsis = "STORE -o STORE.h5 [OPTIONS]",
    .description =
        "Makes a gradient store from another one: with a different number type, with some of the "
        "checkpoints or layers, with rows projected to fewer columns, with factors multiplied out, "
        "as "
        "one file or in shards. "
        "Ids, digests, labels, groups, losses and norms go along. Rows whose type and columns stay "
        "are copied bit for bit.\n\n"
        "Afterwards dot products of sampled rows are compared with those of the source, so that "
        "you see what the conversion costs.",
    .examples = "# half the size\n"
                "tamis convert train.h5 --dtype bf16 -o small.h5\n"
                "# 8,192 columns, and the queries alike\n"
                "tamis convert train.h5 --project 8192 --seed 1 -o train-8k.h5\n"
                "tamis convert query.h5 --project 8192 --seed 1 -o query-8k.h5\n"
                "# gradients of a store of factors\n"
                "tamis convert factors.h5 --form full -o whole.h5\n"
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
