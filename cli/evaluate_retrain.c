/* What is trained again: model, data, and how.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

static tamis_status check_given(const evaluate_args *args, tamis_error *err)
{
    const struct {
        const char *value, *name, *what;
    } needed[] = {
        {args->model, "--model MODEL.h5", "the model to train again"},
        {args->data.path, "--data FILE", "the rows that the scores are of"},
        {args->query_data, "--query-data FILE", "the rows whose loss is measured"},
    };
    for (size_t i = 0; i < LEN(needed); i++)
        if (!needed[i].value)
            return fail(err, TAMIS_ERR_ARG, "%s is missing: %s", needed[i].name, needed[i].what);
    TRY(data_check_labels(&args->data, err));
    if (!args->data.label && !args->query_labels)
        return fail(err, TAMIS_ERR_ARG,
                    "--query-data needs --query-labels, as --data has its --labels");
    return TAMIS_OK;
}

tamis_status retraining_announce(session *s, const evaluate_args *args, tamis_error *err)
{
    TRY(check_given(args, err));
    TRY(session_add_input(s, "model", args->model, err));
    TRY(data_add_inputs(s, &args->data, err));
    TRY(session_add_input(s, "query-data", args->query_data, err));
    TRY(session_add_input(s, "query-labels", args->query_labels, err));
    return session_add_output(s, args->runs, OUTPUT_MAY_EXIST, err);
}

static void override(const evaluate_args *args, tamis_train_params *train)
{
    if (args->optimizer >= 0 && (tamis_optimizer)args->optimizer != train->optimizer) {
        train->optimizer = (tamis_optimizer)args->optimizer;
        /* What was right for one optimizer is not for the other. */
        train->learning_rate = train->optimizer == TAMIS_ADAM ? 0.001 : 0.1;
    }
    if (args->epochs) train->epochs = (uint32_t)args->epochs;
    if (args->batch) train->batch = (uint32_t)args->batch;
    if (!isnan(args->learning_rate)) train->learning_rate = args->learning_rate;
    if (!isnan(args->momentum)) train->momentum = args->momentum;
    if (!isnan(args->weight_decay)) train->weight_decay = args->weight_decay;
}

static tamis_status read_recipe(const evaluate_args *args, retraining *r, tamis_error *err)
{
    bool recorded = false;
    TRY(tamis_model_recipe(r->model, &r->train, r->hidden, &recorded, err));
    if (!recorded && (!args->epochs || !args->batch || isnan(args->learning_rate)))
        return fail(err, TAMIS_ERR_ARG,
                    "'%s' does not say how it was trained: give --epochs, --batch and "
                    "--learning-rate",
                    args->model);
    override(args, &r->train);
    return TAMIS_OK;
}

static tamis_status read_rows(session *s, const evaluate_args *args, retraining *r,
                              tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(r->model);
    data_like like = {info->classes, info->class_name, info->layer[0].in, info->feature_name};
    data_args query = args->data;
    query.path = args->query_data;
    query.labels = args->query_labels;
    if (!args->data.label) query.label = NULL;
    TRY(data_read(s, &args->data, &like, &r->data, err));
    TRY(data_check_columns(&args->data, r->data, args->model, info->layer[0].in, err));
    TRY(data_read(s, &query, &like, &r->query, err));
    return data_check_columns(&query, r->query, args->model, info->layer[0].in, err);
}

tamis_status retraining_open(session *s, const evaluate_args *args, retraining *ret_retraining,
                             tamis_error *err)
{
    retraining *r = ret_retraining;
    TRY(tamis_model_load(&r->model, s->context, args->model, NULL, err));
    TRY(read_recipe(args, r, err));
    TRY(read_rows(s, args, r, err));
    r->params = (tamis_retrain_params){.train = &r->train,
                                       .data = r->data,
                                       .query = r->query,
                                       .seeds = args->seeds,
                                       .runs = args->runs};
    return TAMIS_OK;
}

void retraining_close(retraining *r)
{
    tamis_data_free(&r->query);
    tamis_data_free(&r->data);
    tamis_model_free(&r->model);
}

/* Where both sides know the bytes of their records, these must agree row by row. */
static tamis_status check_rows(const char *scores, const char *what, uint64_t rows,
                               const uint64_t *digest, const char *path, const tamis_data *data,
                               tamis_error *err)
{
    if (rows != data->rows)
        return fail(err, TAMIS_ERR_SHAPE,
                    "'%s' has scores of %" PRIu64 " %s, '%s' has %" PRIu64
                    " rows: they must be the same",
                    scores, rows, what, path, data->rows);
    for (uint64_t i = 0; digest && data->digest && i < rows; i++)
        if (digest[i] && data->digest[i] && digest[i] != data->digest[i])
            return fail(err, TAMIS_ERR_SHAPE,
                        "'%s': row %" PRIu64 " is not the one that the scores in '%s' are of: give "
                        "the file that their gradients were made from",
                        path, i, scores);
    return TAMIS_OK;
}

tamis_status retraining_check(const evaluate_args *args, const retraining *r,
                              const tamis_scores *scores, bool queries, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    const char *path = tamis_scores_path(scores);
    TRY(check_rows(path, "training rows", info->rows, info->examples.digest, args->data.path,
                   r->data, err));
    if (!queries) return TAMIS_OK;
    if (info->queries == 1 && r->query->rows > 1)
        return fail(err, TAMIS_ERR_SHAPE,
                    "'%s' has one score a row and not one for each of the %" PRIu64
                    " queries in '%s': only a ranking of its rows can be measured, by noise or "
                    "removal",
                    path, r->query->rows, args->query_data);
    return check_rows(path, "queries", info->queries, info->query.digest, args->query_data,
                      r->query, err);
}

void retraining_report(report *r, const retraining *of, uint64_t runs, uint64_t reused)
{
    report_count(r, "runs", runs);
    if (reused) report_count(r, "reused_runs", reused);
    report_count(r, "seeds", of->params.seeds);
    if (!r->machine) return;
    json_put_object(&r->j, "training");
    json_put_text(&r->j, "optimizer", of->train.optimizer == TAMIS_ADAM ? "adam" : "sgd");
    json_put_uint(&r->j, "epochs", of->train.epochs);
    json_put_uint(&r->j, "batch", of->train.batch);
    json_put_real(&r->j, "learning_rate", of->train.learning_rate);
    json_put_real(&r->j, "momentum", of->train.momentum);
    json_put_real(&r->j, "weight_decay", of->train.weight_decay);
    json_put_uint(&r->j, "first_seed", of->train.seed);
    json_close(&r->j);
}
