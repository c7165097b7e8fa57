/* The options that say which training rows are worth scoring.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "candidate_args.h"

#include "command.h"

/* Options that mean nothing without --candidates. */
static const char *stray(const candidate_args *args)
{
    if (args->k) return NULL;
    if (args->manifest) return "--manifest";
    if (args->query_manifest) return "--query-manifest";
    if (args->field) return "--text-field";
    if (args->query_field) return "--query-text-field";
    return args->method ? "--candidates-method" : NULL;
}

static tamis_status check(const candidate_args *args, tamis_error *err)
{
    const char *lost = stray(args);
    if (lost)
        return fail(err, TAMIS_ERR_ARG, "%s comes with --candidates K only: how many are wanted?",
                    lost);
    if (args->k && args->ids)
        return fail(err, TAMIS_ERR_ARG,
                    "--candidates finds candidates, --candidate-ids lists them: choose one");
    if (!args->k) return TAMIS_OK;
    const char *missing = !args->manifest         ? "--manifest"
                          : !args->query_manifest ? "--query-manifest"
                          : !args->field          ? "--text-field"
                                                  : NULL;
    if (!missing) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG,
                "--candidates compares texts: give %s as well (see 'tamis score --help')", missing);
}

tamis_status candidate_args_read(session *s, const candidate_args *args, tamis_store *train,
                                 tamis_store *query, tamis_candidates **ret_candidates,
                                 tamis_candidates_report *ret_report, tamis_error *err)
{
    TRY(check(args, err));
    TRY(session_add_input(s, "manifest", args->manifest, err));
    TRY(session_add_input(s, "query_manifest", args->query_manifest, err));
    TRY(session_add_input(s, "candidate_ids", args->ids, err));
    if (!args->k && !args->ids) return TAMIS_OK;
    if (!query)
        return fail(err, TAMIS_ERR_ARG, "candidates are those of queries, and there is no --query");
    if (args->ids)
        return tamis_candidates_read(s->context, args->ids, train, query, ret_candidates, err);
    tamis_candidates_params params = {.manifest = args->manifest,
                                      .query_manifest = args->query_manifest,
                                      .field = args->field,
                                      .query_field = args->query_field,
                                      .method = args->method,
                                      .k = args->k,
                                      .train = train,
                                      .query = query};
    return tamis_candidates_from_texts(s->context, &params, ret_candidates, ret_report, err);
}

void candidate_args_report(report *r, const candidate_args *args, uint64_t rows_read,
                           const tamis_candidates_report *found)
{
    if (!args->k && !args->ids) return;
    if (args->k) {
        report_count(r, "query_terms", found->terms);
        report_count(r, "candidates", found->pairs);
        if (found->empty) report_count(r, "queries_without_candidates", found->empty);
    }
    report_count(r, "candidate_rows", rows_read);
}
