/* The demo's flow: one seed from labelled rows to a filtered training file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "demo_flow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define MAX_WORDS 64

static int split_words(char *line, char **words)
{
    int n = 0;
    for (char *word = strtok(line, " "); word && n < MAX_WORDS - 1; word = strtok(NULL, " "))
        words[n++] = word;
    words[n] = NULL;
    return n;
}

tamis_status demo_run(const demo_flow *flow, bool show, tamis_error *err, const char *format, ...)
{
    char line[1024], copy[1200], *words[MAX_WORDS];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (show) {
        printf("$ tamis %s\n", line);
        fflush(stdout);
    }
    snprintf(copy, sizeof copy, "%s%s%s", line, flow->options, show ? "" : " -q");
    int n = split_words(copy, words);
    int code = run_command(n, words);
    if (show) printf("\n");
    if (code >= 128) return fail(err, TAMIS_ERR_CANCELLED, "stopped");
    return code == EXIT_DONE ? TAMIS_OK : fail(err, TAMIS_ERR_IO, "'tamis %s' failed", line);
}

static tamis_status write_files(const demo_flow *flow, const demo_split *split, tamis_error *err)
{
    const tamis_data *data = flow->data;
    const uint64_t *validation = split->order + split->train,
                   *test = validation + split->validation;
    tamis_status status = demo_write_csv("train.csv", data, split->order, split->train,
                                         split->label, err);
    if (status == TAMIS_OK)
        status = demo_write_csv("train-clean.csv", data, split->order, split->train, NULL, err);
    if (status == TAMIS_OK)
        status = demo_write_csv("validation.csv", data, validation, split->validation, NULL, err);
    if (status == TAMIS_OK) status = demo_write_csv("test.csv", data, test, split->test, NULL, err);
    return status == TAMIS_OK ? demo_write_flips("flips.txt", data, split, err) : status;
}

/* `in`.csv to `in`'s model. */
static tamis_status train(const demo_flow *flow, bool show, uint64_t seed, const char *in,
                          const char *out, tamis_error *err)
{
    return demo_run(flow, show, err,
                    "train --model mlp --data %s --label label --test test.csv%s --seed %llu -o %s",
                    in, flow->plan->train_options, (unsigned long long)seed, out);
}

static tamis_status gradients(const demo_flow *flow, bool show, const char *part, tamis_error *err)
{
    return demo_run(flow, show, err, "grad --model model.h5 --data %s.csv --label label%s -o %s.h5",
                    part, flow->plan->grad_options, part);
}

/* Gradients, the two rankings, and how many flipped labels each finds. */
static tamis_status rank_rows(const demo_flow *flow, bool show, tamis_error *err)
{
    tamis_status status = gradients(flow, show, "train", err);
    if (status == TAMIS_OK) status = gradients(flow, show, "validation", err);
    if (status == TAMIS_OK)
        status = demo_run(flow, show, err, "score self --train train.h5 -o self.h5");
    if (status == TAMIS_OK)
        status = demo_run(flow, show, err,
                          "score tracin --train train.h5 --query validation.h5 -o influence.h5");
    if (status == TAMIS_OK && show)
        status = demo_run(
            flow, show, err,
            "evaluate noise --scores self.h5 --bad flips.txt --worst high --budget 10%%");
    if (status == TAMIS_OK && show)
        status = demo_run(
            flow, show, err,
            "evaluate noise --scores influence.h5 --bad flips.txt --worst low --budget 10%%");
    return status;
}

/* Keep nine tenths by a selection, write the training file, train on it. */
static tamis_status drop_and_retrain(const demo_flow *flow, bool show, uint64_t seed,
                                     const char *how, const char *name, tamis_error *err)
{
    char in[64], out[64];
    snprintf(in, sizeof in, "train.%s.csv", name);
    snprintf(out, sizeof out, "model.%s.h5", name);
    tamis_status status = demo_run(
        flow, show, err, "select %s --scores influence.h5 --budget 90%% -o %s.h5", how, name);
    if (status == TAMIS_OK)
        status = demo_run(
            flow, show, err,
            "manifest --selection %s.h5 --in train.csv -o %s --dropped train.%s.dropped.csv", name,
            in, name);
    return status == TAMIS_OK ? train(flow, show, seed, in, out, err) : status;
}

static tamis_status read_noise(const demo_flow *flow, const char *path, bool low,
                               const uint8_t *bad, tamis_noise *ret_noise, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, flow->context, path, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_noise(flow->context, scores, TAMIS_AGGREGATE_TOTAL, low, bad, "10%",
                                      ret_noise, err);
    tamis_scores_close(&scores);
    return status;
}

/* Test accuracy of a model file; `predicted` may be NULL. */
static tamis_status test_accuracy(const demo_flow *flow, const char *path, double *ret_accuracy,
                                  int32_t *predicted, tamis_error *err)
{
    tamis_model *model = NULL;
    tamis_data *data = NULL;
    tamis_fit fit;
    tamis_status status = tamis_model_load(&model, flow->context, path, NULL, err);
    if (status != TAMIS_OK) return status;
    const tamis_model_info *info = tamis_model_info_get(model);
    tamis_data_options options = {.path = "test.csv",
                                  .label = "label",
                                  .classes = info->classes,
                                  .class_name = info->class_name,
                                  .feature_name = info->feature_name,
                                  .features_named = info->layer[0].in};
    status = tamis_data_read(&data, flow->context, &options, err);
    if (status == TAMIS_OK)
        status = tamis_model_evaluate(model, flow->context, info->checkpoints - 1, data, &fit,
                                      predicted, err);
    if (status == TAMIS_OK) *ret_accuracy = fit.accuracy;
    tamis_data_free(&data);
    tamis_model_free(&model);
    return status;
}

static tamis_status measure(const demo_flow *flow, const demo_split *split, demo_result *ret_result,
                            int32_t *predicted, tamis_error *err)
{
    static const char *const models[] = {"model.h5", "model.random.h5", "model.tamis.h5",
                                         "model.clean.h5"};
    tamis_status status = read_noise(flow, "self.h5", false, split->flipped, &ret_result->self,
                                     err);
    if (status == TAMIS_OK)
        status = read_noise(flow, "influence.h5", true, split->flipped, &ret_result->influence,
                            err);
    for (size_t i = 0; i < 4 && status == TAMIS_OK; i++)
        status = test_accuracy(flow, models[i], &ret_result->accuracy[i], i == 0 ? predicted : NULL,
                               err);
    return status;
}

static tamis_status all_steps(const demo_flow *flow, const demo_split *split, uint64_t seed,
                              bool show, tamis_error *err)
{
    char random[64];
    snprintf(random, sizeof random, "random --seed %llu", (unsigned long long)seed);
    tamis_status status = write_files(flow, split, err);
    if (status == TAMIS_OK) status = train(flow, show, seed, "train.csv", "model.h5", err);
    if (status == TAMIS_OK) status = rank_rows(flow, show, err);
    if (status == TAMIS_OK) status = drop_and_retrain(flow, show, seed, "top", "tamis", err);
    if (status == TAMIS_OK) status = drop_and_retrain(flow, show, seed, random, "random", err);
    return status == TAMIS_OK ? train(flow, show, seed, "train-clean.csv", "model.clean.h5", err)
                              : status;
}

tamis_status demo_seed(const demo_flow *flow, uint64_t seed, bool show, demo_result *ret_result,
                       tamis_error *err)
{
    demo_split split;
    const demo_plan *plan = flow->plan;
    tamis_status status = demo_split_make(&split, flow->data, plan->train, plan->validation,
                                          plan->test, plan->fixed_test, 0.1, seed, err);
    if (status != TAMIS_OK) return status;
    int32_t *predicted = malloc(split.test * sizeof *predicted);
    status = predicted ? all_steps(flow, &split, seed, show, err) : fail_memory(err);
    if (status == TAMIS_OK) status = measure(flow, &split, ret_result, predicted, err);
    if (status == TAMIS_OK && show) status = demo_trace(flow, &split, predicted, err);
    if (status == TAMIS_OK && !show && !plan->keep_stores) {
        (void)unlink("train.h5");
        (void)unlink("validation.h5");
        (void)unlink("influence.h5");
    }
    free(predicted);
    demo_split_free(&split);
    return status;
}
