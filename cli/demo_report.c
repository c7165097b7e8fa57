/* The demo's table over seeds, and the note about the files it leaves.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "demo_report.h"

#include "fail.h"
#include "json.h"

/* Mean and sample standard deviation of one figure over seeds. */
typedef struct spread {
    double mean, deviation;
} spread;

static spread spread_of(const double *value, size_t n)
{
    spread s = {0, 0};
    for (size_t i = 0; i < n; i++) s.mean += value[i] / (double)n;
    for (size_t i = 0; i < n; i++) s.deviation += (value[i] - s.mean) * (value[i] - s.mean);
    s.deviation = n > 1 ? sqrt(s.deviation / (double)(n - 1)) : 0;
    return s;
}

enum { FOUND_SELF, AUC_SELF, FOUND_INFLUENCE, AUC_INFLUENCE, ALL, RANDOM, TAMIS, CLEAN, FIGURES };

static void figures_of(const demo_result *r, double figure[FIGURES])
{
    figure[FOUND_SELF] = 100 * r->self.recall;
    figure[AUC_SELF] = r->self.auc;
    figure[FOUND_INFLUENCE] = 100 * r->influence.recall;
    figure[AUC_INFLUENCE] = r->influence.auc;
    for (int i = 0; i < 4; i++) figure[ALL + i] = 100 * r->accuracy[i];
}

static void print_row(const char *name, const double figure[FIGURES])
{
    printf("  %-7s %6.1f%% %6.3f  %6.1f%% %6.3f   %6.2f%% %8.2f%% %8.2f%% %8.2f%%\n", name,
           figure[FOUND_SELF], figure[AUC_SELF], figure[FOUND_INFLUENCE], figure[AUC_INFLUENCE],
           figure[ALL], figure[RANDOM], figure[TAMIS], figure[CLEAN]);
}

void demo_print_table(const demo_result *result, size_t seeds)
{
    double mean[FIGURES], deviation[FIGURES], column[DEMO_MAX_SEEDS], figure[FIGURES];
    printf("            flipped labels found in the worst 10%%      test accuracy after training "
           "on\n");
    printf(
        "            self-influence   influence on         all     random     tamis     clean\n");
    printf(
        "  seed       found    AUC    validation: AUC      rows     drop      drop      labels\n");
    for (size_t s = 0; s < seeds; s++) {
        char name[24];
        snprintf(name, sizeof name, "%zu", s);
        figures_of(&result[s], figure);
        print_row(name, figure);
    }
    for (int f = 0; f < FIGURES; f++) {
        for (size_t s = 0; s < seeds; s++) {
            figures_of(&result[s], figure);
            column[s] = figure[f];
        }
        spread of = spread_of(column, seeds);
        mean[f] = of.mean;
        deviation[f] = of.deviation;
    }
    print_row("mean", mean);
    print_row("+/- sd", deviation);
}

tamis_status demo_write_note(const char *path, const demo_plan *plan, size_t seeds,
                             tamis_error *err)
{
    FILE *file = fopen(path, "w");
    if (file) {
        fprintf(
            file,
            "What `tamis demo` left here (data set: %s, %zu seeds)\n\n"
            "Each seed-N/ holds one run; the commands printed by the demo repeat seed-0 when\n"
            "they are run inside seed-0/.\n\n"
            "train.csv           training rows, a tenth of the labels flipped\n"
            "train-clean.csv     the same rows with the true labels\n"
            "validation.csv      clean rows that influence is measured on\n"
            "test.csv            rows that accuracies are measured on, never trained on\n"
            "flips.txt           which rows of train.csv are flipped, and how\n"
            "model.h5            trained on train.csv: checkpoints with learning rates\n"
            "train.h5            gradient store: a gradient per training row and checkpoint\n"
            "validation.h5       the same of the validation rows\n"
            "self.h5             scores: self-influence of every training row\n"
            "influence.h5        scores: influence of every training row on every validation row\n"
            "tamis.h5            selection: the nine tenths with the highest total influence\n"
            "train.tamis.csv     the kept records, byte for byte\n"
            "train.tamis.dropped.csv and .reasons.csv\n"
            "                    the dropped records, and why each was dropped\n"
            "model.tamis.h5      trained on train.tamis.csv\n"
            "random.h5, train.random.csv, model.random.h5\n"
            "                    the same with a tenth dropped at random\n"
            "model.clean.h5      trained on train-clean.csv: the upper bound\n"
            "query.csv, query.h5, trace.h5   (seed-0) one misclassified test row, its\n"
            "                    gradient, and its influence scores\n"
            "%s",
            plan->name, seeds,
            plan->keep_stores
                ? ""
                : "\ntrain.h5, validation.h5 and influence.h5 are kept for seed 0 only.\n");
    }
    if (!file || fclose(file)) return fail_errno(err, "cannot write '%s'", path);
    return TAMIS_OK;
}

static void print_noise(json *j, const char *key, const tamis_noise *noise)
{
    json_put_object(j, key);
    json_put_uint(j, "k", noise->k);
    json_put_uint(j, "found", noise->found);
    json_put_uint(j, "flipped", noise->bad);
    json_put_real(j, "precision", noise->precision);
    json_put_real(j, "recall", noise->recall);
    json_put_real(j, "auc", noise->auc);
    json_close(j);
}

void demo_print_json(const demo_plan *plan, const demo_result *result, size_t seeds)
{
    static const char *const names[] = {"all_rows", "random_drop", "tamis_drop", "clean_labels"};
    json j;
    json_begin(&j, stdout);
    json_put_object(&j, NULL);
    json_put_uint(&j, "schema", 1);
    json_put_text(&j, "command", "demo");
    json_put_text(&j, "data_set", plan->name);
    json_put_array(&j, "seeds");
    for (size_t s = 0; s < seeds; s++) {
        json_put_object(&j, NULL);
        json_put_uint(&j, "seed", s);
        print_noise(&j, "self_influence", &result[s].self);
        print_noise(&j, "influence", &result[s].influence);
        json_put_object(&j, "test_accuracy");
        for (int i = 0; i < 4; i++) json_put_real(&j, names[i], result[s].accuracy[i]);
        json_close(&j);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    json_end(&j);
}
