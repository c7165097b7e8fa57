/* Tests of retraining: it is training on the subset, the file of runs, and that nothing depends on
 * threads or on where a run was stopped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/retrain.h>

#include <math.h>

#include "brute.h"
#include "model/fixture.h"
#include "model/train.h"
#include "small_files.h"

enum { ROWS = 40, QUERIES = 7, SUBSETS = 4, SEEDS = 2 };

static const uint32_t hidden[] = {5};
static tamis_context *context;
static tamis_data *data, *query;
static tamis_train_params train;
static tamis_retrain_params params;
static tamis_subsets subsets;

static void setup(void)
{
    tamis_error err = {0};
    enter_scratch();
    context = small_context(2);
    data = fixture_separable(ROWS, 3, 1);
    query = fixture_separable(QUERIES, 3, 2);
    tamis_train_defaults(&train);
    train.hidden = hidden;
    train.hidden_layers = 1;
    train.epochs = 3;
    train.batch = 8;
    train.seed = 11;
    params = (tamis_retrain_params){.train = &train, .data = data, .query = query, .seeds = SEEDS};
    ck_ok(tamis_subsets_draw(&subsets, context, ROWS, SUBSETS, 0.5, 5, &err));
}

static void teardown(void)
{
    tamis_subsets_free(&subsets);
    fixture_data_free(data);
    fixture_data_free(query);
    tamis_context_destroy(&context);
    leave_scratch();
}

/* A table of these rows only. */
static tamis_data *only(const uint8_t *member)
{
    tamis_data *part = fixture_data(ROWS, data->columns, data->classes, 1);
    uint64_t n = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        if (!member[i]) continue;
        memcpy(part->x + n * data->columns, data->x + i * data->columns,
               data->columns * sizeof(float));
        part->label[n++] = data->label[i];
    }
    part->rows = n;
    return part;
}

/* Loss, margin and hit of every query by the formula. */
static void measure(const tamis_model *model, uint64_t q, double *loss, double *margin, bool *hit)
{
    const tamis_model_info *info = tamis_model_info_get(model);
    double **weight = reference_weights(model, info->checkpoints - 1);
    reference r = {0};
    int32_t label = query->label[q];
    reference_forward(&r, info, weight, query->x + q * query->columns, label);
    *loss = r.loss;
    *margin = r.margin;
    *hit = r.margin > 0; /* enough, not needed: see the caller */
    reference_weights_free(weight, info->layers);
}

START_TEST(runs_are_trainings_on_the_subset)
{
    tamis_error err = {0};
    tamis_retrained r = {0};
    ck_ok(tamis_retrain(&r, context, &params, &subsets, &err));
    ck_assert_uint_eq(r.subsets, SUBSETS);
    ck_assert_uint_eq(r.seeds, SEEDS);
    ck_assert_uint_eq(r.reused, 0);
    for (uint64_t j = 0; j < SUBSETS; j++)
        for (uint64_t s = 0; s < SEEDS; s++) {
            tamis_train_params one = train;
            tamis_model *model = NULL;
            tamis_data *part = only(subsets.member + j * ROWS);
            one.seed += s;
            ck_ok(tamis_train(&model, context, &one, part, NULL, &err));
            for (uint64_t q = 0; q < QUERIES; q++) {
                double loss, margin;
                bool hit;
                size_t at = (size_t)((j * SEEDS + s) * QUERIES + q);
                measure(model, q, &loss, &margin, &hit);
                ck_assert_double_eq_tol(r.loss[at], loss, 1e-4 * (1 + loss));
                ck_assert_double_eq_tol(r.margin[at], margin, 1e-4 * (1 + fabs(margin)));
                if (hit) ck_assert_uint_eq(r.correct[at], 1);
            }
            int32_t predicted[QUERIES];
            ck_ok(tamis_model_evaluate(model, context, 0, query, NULL, predicted, &err));
            for (uint64_t q = 0; q < QUERIES; q++)
                ck_assert_uint_eq(r.correct[(j * SEEDS + s) * QUERIES + q],
                                  predicted[q] == query->label[q]);
            tamis_model_free(&model);
            fixture_data_free(part);
        }
    tamis_retrained_free(&r);
}
END_TEST

static void ck_same(const tamis_retrained *a, const tamis_retrained *b)
{
    size_t n = (size_t)(a->subsets * a->seeds * a->queries);
    ck_assert_uint_eq(a->subsets, b->subsets);
    ck_assert_mem_eq(a->loss, b->loss, n * sizeof(double));
    ck_assert_mem_eq(a->margin, b->margin, n * sizeof(double));
    ck_assert_mem_eq(a->correct, b->correct, n);
}

START_TEST(threads_change_no_bit)
{
    tamis_error err = {0};
    tamis_retrained first = {0}, other = {0};
    params.in_place = _i == 1;
    ck_ok(tamis_retrain(&first, context, &params, &subsets, &err));
    for (unsigned threads = 1; threads < 4; threads++) {
        tamis_context *more = small_context(threads);
        ck_ok(tamis_retrain(&other, more, &params, &subsets, &err));
        ck_same(&first, &other);
        tamis_retrained_free(&other);
        tamis_context_destroy(&more);
    }
    tamis_retrained_free(&first);
}
END_TEST

/* --- places ----------------------------------------------------------------------------------- */

/* With all rows there is no difference; without one of 1,200 it is nearly the same training, and
 * not that of another order. */
START_TEST(places_are_kept)
{
    tamis_error err = {0};
    const uint64_t row[] = {3, 170, 1199};
    tamis_subsets without = {0};
    tamis_retrained moved = {0}, kept = {0};
    double far = 0, near = 0;
    fixture_data_free(data);
    fixture_data_free(query);
    data = fixture_reference_data(context, "X_train.npy", "y_train.npy");
    query = fixture_reference_data(context, "X_test.npy", "y_test.npy");
    params.data = data;
    params.query = query;
    train.learning_rate = 0.01; /* larger steps make chaos of any difference */
    ck_ok(tamis_subsets_without(&without, context, data->rows, row, 3, &err));
    ck_ok(tamis_retrain(&moved, context, &params, &without, &err));
    params.in_place = true;
    ck_ok(tamis_retrain(&kept, context, &params, &without, &err));
    size_t each = SEEDS * query->rows;
    ck_assert_mem_eq(moved.loss, kept.loss, each * sizeof(double));
    for (size_t i = each; i < 4 * each; i++) {
        far += fabs(moved.loss[i] - moved.loss[i % each]);
        near += fabs(kept.loss[i] - kept.loss[i % each]);
    }
    ck_assert_msg(near > 0 && near < 0.5 * far, "%g is not far below %g", near, far);
    tamis_retrained_free(&moved);
    tamis_retrained_free(&kept);
    tamis_subsets_free(&without);
}
END_TEST

/* One mini-batch a step: a row that is left out takes its step with it. */
START_TEST(an_empty_place_is_no_step)
{
    tamis_error err = {0};
    const uint64_t some[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10};
    const tamis__train_rows rows = {some, 10, true};
    tamis_model *model = NULL;
    train.batch = 1;
    ck_ok(tamis__train(&model, context, &train, data, &rows, NULL, &err));
    ck_assert_uint_eq(tamis_model_info_get(model)->checkpoint[0].step, 30);
    tamis_model_free(&model);
    const uint64_t none[] = {ROWS};
    const tamis__train_rows wrong = {none, 1, true};
    ck_fails(tamis__train(&model, context, &train, data, &wrong, NULL, &err), TAMIS_ERR_ARG,
             "no row 40");
}
END_TEST

/* --- the file of runs ------------------------------------------------------------------------- */

typedef struct stopper {
    uint64_t after;
} stopper;

/* Stop once so many runs are done. */
static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    const stopper *s = cookie;
    (void)total;
    (void)unit;
    (void)note;
    return !strcmp(phase, "retraining") && done >= s->after;
}

START_TEST(goes_on_after_every_run)
{
    tamis_error err = {0};
    tamis_retrained whole = {0}, resumed = {0};
    params.runs = "whole.runs";
    ck_ok(tamis_retrain(&whole, context, &params, &subsets, &err));
    params.runs = "r.runs";
    for (uint64_t n = 1; n < SUBSETS * SEEDS; n++) {
        stopper s = {n};
        tamis_context *stopped = NULL;
        tamis_context_params with = {
            .threads = 1 + (unsigned)(n % 3), .progress = stop, .cookie = &s};
        ck_ok(tamis_context_create(&stopped, &with, &err));
        ck_assert_int_eq(tamis_retrain(&resumed, stopped, &params, &subsets, &err),
                         TAMIS_ERR_CANCELLED);
        tamis_context_destroy(&stopped);
        if (n % 2) { /* a power cut within a record */
            size_t size;
            char *bytes = slurp("r.runs", &size);
            spill("r.runs", bytes, size - 3);
            free(bytes);
        }
    }
    ck_ok(tamis_retrain(&resumed, context, &params, &subsets, &err));
    ck_assert_uint_ge(resumed.reused, SUBSETS * SEEDS - 2);
    ck_same(&whole, &resumed);
    ck_same_files("whole.runs", "r.runs");
    tamis_retrained_free(&resumed);
    ck_ok(tamis_retrain(&resumed, context, &params, &subsets, &err));
    ck_assert_uint_eq(resumed.reused, SUBSETS * SEEDS);
    ck_same(&whole, &resumed);
    ck_same_files("whole.runs", "r.runs");
    tamis_retrained_free(&resumed);
    tamis_retrained_free(&whole);
}
END_TEST

/* Other subsets of the same data share the file; runs on all rows are the same in place. */
START_TEST(yardsticks_share_a_file)
{
    tamis_error err = {0};
    const uint64_t row[] = {1, 2};
    tamis_subsets all = {0}, without = {0};
    tamis_retrained r = {0};
    params.runs = "r.runs";
    ck_ok(tamis_subsets_draw(&all, context, ROWS, 1, 1, 0, &err));
    ck_ok(tamis_subsets_without(&without, context, ROWS, row, 2, &err));
    ck_ok(tamis_retrain(&r, context, &params, &all, &err));
    tamis_retrained_free(&r);
    params.in_place = true;
    ck_ok(tamis_retrain(&r, context, &params, &without, &err));
    ck_assert_uint_eq(r.reused, SEEDS);
    tamis_retrained_free(&r);
    params.seeds = SEEDS + 1;
    ck_ok(tamis_retrain(&r, context, &params, &without, &err));
    ck_assert_uint_eq(r.reused, 3 * SEEDS);
    tamis_retrained_free(&r);
    tamis_subsets_free(&all);
    tamis_subsets_free(&without);
}
END_TEST

static tamis_status again(tamis_error *err)
{
    tamis_retrained r = {0};
    tamis_status status = tamis_retrain(&r, context, &params, &subsets, err);
    tamis_retrained_free(&r);
    return status;
}

START_TEST(refuses_runs_of_others)
{
    tamis_error err = {0};
    size_t size;
    params.runs = "r.runs";
    ck_ok(again(&err));
    train.epochs++;
    ck_fails(again(&err), TAMIS_ERR_SHAPE, "other training parameters");
    train.epochs--;
    float before = data->x[5];
    data->x[5] += 1;
    ck_fails(again(&err), TAMIS_ERR_SHAPE, "other data");
    data->x[5] = before;
    query->rows--;
    ck_fails(again(&err), TAMIS_ERR_SHAPE, "runs for 7 queries, now there are 6");
    query->rows++;
    ck_ok(again(&err));
    char *bytes = slurp("r.runs", &size);
    bytes[100] ^= 1; /* in the first record: nothing after it counts */
    spill("r.runs", bytes, size);
    tamis_retrained r = {0};
    ck_ok(tamis_retrain(&r, context, &params, &subsets, &err));
    ck_assert_uint_eq(r.reused, 0);
    tamis_retrained_free(&r);
    bytes[9] ^= 1; /* the version: its digest is wrong */
    spill("r.runs", bytes, size);
    ck_fails(again(&err), TAMIS_ERR_FORMAT, "no file of runs");
    free(bytes);
    spill("r.runs", "not a file of runs at all, but a text of some length", 52);
    ck_fails(again(&err), TAMIS_ERR_FORMAT, "no file of runs");
    spill("r.runs", "tam", 3); /* killed while it began */
    ck_ok(again(&err));
    params.runs = "absent/r.runs";
    ck_fails(again(&err), TAMIS_ERR_IO, "absent/r.runs");
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(refuses_what_cannot_be_trained)
{
    tamis_error err = {0};
    tamis_retrained r = {0};
    params.seeds = 0;
    ck_fails(again(&err), TAMIS_ERR_ARG, "at least one seed");
    params.seeds = 1;
    subsets.rows--;
    ck_fails(again(&err), TAMIS_ERR_SHAPE, "39 rows, the training data has 40");
    subsets.rows++;
    memset(subsets.member + 2 * ROWS, 0, ROWS);
    ck_fails(again(&err), TAMIS_ERR_ARG, "subset 2, seed 11: no row is left");
    train.learning_rate = 1e30;
    ck_fails(again(&err), TAMIS_ERR_NUMERIC, "subset 0, seed 11");
    query->columns--;
    ck_fails(tamis_retrain(&r, context, &params, &subsets, &err), TAMIS_ERR_SHAPE, "3 columns");
    query->columns++;
    int32_t *label = query->label;
    query->label = NULL;
    ck_fails(again(&err), TAMIS_ERR_FORMAT, "labels");
    query->label = label;
}
END_TEST

static tamis_status from_scratch(tamis_error *err)
{
    remove("r.runs");
    return again(err);
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    tamis_context_destroy(&context);
    context = small_context(1);
    tamis_subsets_free(&subsets);
    ck_ok(tamis_subsets_draw(&subsets, context, ROWS, 1, 0.5, 5, &err));
    params.seeds = 1;
    train.epochs = 1;
    params.runs = "r.runs";
    ck_survives(tamis__fault_memory_after, from_scratch(&err), "r.runs");
    ck_survives(tamis__fault_io_after, from_scratch(&err), "r.runs");
    ck_survives(tamis__fault_io_after, again(&err), "r.runs");
}
END_TEST

/* --- subsets ---------------------------------------------------------------------------------- */

START_TEST(draws_subsets)
{
    tamis_error err = {0};
    tamis_subsets s = {0}, more = {0};
    ck_ok(tamis_subsets_draw(&s, context, 101, 30, 0.3, 9, &err));
    ck_ok(tamis_subsets_draw(&more, context, 101, 31, 0.3, 9, &err));
    ck_assert_mem_eq(s.member, more.member, 30 * 101);
    double each = 0;
    for (uint64_t j = 0; j < 30; j++) {
        uint64_t in = 0;
        for (uint64_t i = 0; i < 101; i++) in += s.member[j * 101 + i];
        ck_assert_uint_eq(in, 30);
        each += s.member[j * 101 + 50];
    }
    ck_assert(each > 1 && each < 20);
    tamis_subsets_free(&s);
    tamis_subsets_free(&more);
    ck_ok(tamis_subsets_draw(&s, context, 3, 1, 0.001, 9, &err));
    ck_assert_uint_eq(s.member[0] + s.member[1] + s.member[2], 1);
    tamis_subsets_free(&s);
    ck_fails(tamis_subsets_draw(&s, context, 3, 1, 0, 9, &err), TAMIS_ERR_ARG, "fraction 0");
    ck_fails(tamis_subsets_draw(&s, context, 3, 1, (double)NAN, 9, &err), TAMIS_ERR_ARG,
             "fraction nan");
    ck_fails(tamis_subsets_draw(&s, context, 3, 0, 0.5, 9, &err), TAMIS_ERR_ARG, "at least one");
    const uint64_t row[] = {3};
    ck_fails(tamis_subsets_without(&s, context, 3, row, 1, &err), TAMIS_ERR_ARG, "no row 3");
}
END_TEST

/* Writes a table of .npy. */
static void write_npy(const char *path, const char *descr, const char *shape, const void *bytes,
                      size_t size)
{
    char header[128];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(header + 10, sizeof header - 10,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    header[10 + n] = ' ';
    header[127] = '\n';
    FILE *file = fopen(path, "wb");
    fwrite(header, 1, sizeof header, file);
    fwrite(bytes, 1, size, file);
    fclose(file);
}

START_TEST(reads_subsets)
{
    tamis_error err = {0};
    tamis_subsets s = {0};
    const int32_t number[] = {4, 0, 2, 1}, twice[] = {4, 4, 2, 1}, far[] = {4, 0, 2, 5};
    const uint8_t flag[] = {0, 1, 0, 0, 1, 1, 1, 1, 0, 0}, empty[10] = {1};
    write_npy("s.npy", "<i4", "2, 2", number, sizeof number);
    ck_ok(tamis_subsets_read(&s, context, "s.npy", 5, &err));
    ck_assert_uint_eq(s.subsets, 2);
    ck_assert_mem_eq(s.member, ((uint8_t[]){1, 0, 0, 0, 1, 0, 1, 1, 0, 0}), 10);
    tamis_subsets_free(&s);
    write_npy("s.npy", "|b1", "2, 5", flag, sizeof flag);
    ck_ok(tamis_subsets_read(&s, context, "s.npy", 5, &err));
    ck_assert_mem_eq(s.member, flag, 10);
    tamis_subsets_free(&s);
    ck_fails(tamis_subsets_read(&s, context, "s.npy", 6, &err), TAMIS_ERR_SHAPE, "5 rows");
    write_npy("s.npy", "|b1", "2, 5", empty, sizeof empty);
    ck_fails(tamis_subsets_read(&s, context, "s.npy", 5, &err), TAMIS_ERR_SHAPE,
             "subset 1 is empty");
    write_npy("s.npy", "<i4", "2, 2", twice, sizeof twice);
    ck_fails(tamis_subsets_read(&s, context, "s.npy", 5, &err), TAMIS_ERR_SHAPE,
             "subset 0, place 1: row 4 stands twice");
    write_npy("s.npy", "<i4", "2, 2", far, sizeof far);
    ck_fails(tamis_subsets_read(&s, context, "s.npy", 5, &err), TAMIS_ERR_SHAPE,
             "subset 1, place 1: there is no row 5");
    write_npy("s.npy", "<i4", "4,", far, sizeof far);
    ck_fails(tamis_subsets_read(&s, context, "s.npy", 5, &err), TAMIS_ERR_SHAPE, "no table");
}
END_TEST

/* Tables larger than the memory limit are refused before they are made, whatever is asked for. */
START_TEST(subsets_keep_the_limit)
{
    const tamis_context_params little = {.threads = 1, .memory = 3000};
    const uint64_t row[32] = {0};
    const uint8_t flag[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                              1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    tamis_error err = {0};
    tamis_context *small = NULL;
    tamis_subsets s = {0};
    ck_ok(tamis_context_create(&small, &little, &err));
    /* 100 rows: 100 bytes a subset, and 800 of an order. */
    ck_ok(tamis_subsets_draw(&s, small, 100, 22, 0.5, 9, &err));
    tamis_subsets_free(&s);
    ck_fails(tamis_subsets_draw(&s, small, 100, 23, 0.5, 9, &err), TAMIS_ERR_NOMEM, "--memory");
    ck_fails(tamis_subsets_draw(&s, small, 100, UINT64_MAX / 2, 0.5, 9, &err), TAMIS_ERR_NOMEM,
             "the table of subsets and rows needs");
    ck_ok(tamis_subsets_without(&s, small, 100, row, 29, &err));
    tamis_subsets_free(&s);
    ck_fails(tamis_subsets_without(&s, small, 100, row, 30, &err), TAMIS_ERR_NOMEM, "--memory");
    /* Few row numbers of very many rows. */
    write_npy("s.npy", "|u1", "40, 1", flag, sizeof flag);
    ck_ok(tamis_subsets_read(&s, small, "s.npy", 75, &err));
    tamis_subsets_free(&s);
    ck_fails(tamis_subsets_read(&s, small, "s.npy", 76, &err), TAMIS_ERR_NOMEM, "--memory");
    ck_assert_ptr_null(s.member);
    tamis_context_destroy(&small);
}
END_TEST

/* --- how a model was trained ------------------------------------------------------------------ */

START_TEST(reads_the_recipe)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    tamis_train_params found;
    uint32_t widths[4];
    bool recorded = true;
    train.optimizer = TAMIS_ADAM;
    train.beta1 = 0.8;
    train.no_bias = 2;
    train.standardise = false;
    train.activation = TAMIS_TANH;
    ck_ok(tamis_train(&model, context, &train, data, NULL, &err));
    ck_ok(tamis_model_recipe(model, &found, widths, &recorded, &err));
    ck_assert(!recorded);
    ck_assert_uint_eq(found.hidden_layers, 1);
    ck_assert_uint_eq(found.hidden[0], 5);
    ck_assert_uint_eq(found.no_bias, 2);
    ck_assert_int_eq(found.optimizer, TAMIS_ADAM);
    ck_assert_int_eq(found.activation, TAMIS_TANH);
    ck_assert(!found.standardise);
    ck_assert_double_eq(found.beta1, 0.8);
    tamis_model_free(&model);
    train.provenance = "{\"options\":{\"optimizer\":\"sgd\",\"epochs\":7,\"batch\":9,"
                       "\"learning-rate\":0.25,\"momentum\":0,\"weight-decay\":0.005,"
                       "\"seed\":\"18446744073709551615\"}}";
    train.optimizer = TAMIS_SGD;
    ck_ok(tamis_train(&model, context, &train, data, NULL, &err));
    ck_ok(tamis_model_recipe(model, &found, widths, &recorded, &err));
    ck_assert(recorded);
    ck_assert_uint_eq(found.epochs, 7);
    ck_assert_uint_eq(found.batch, 9);
    ck_assert_double_eq(found.learning_rate, 0.25);
    ck_assert_double_eq(found.momentum, 0);
    ck_assert_double_eq(found.weight_decay, 0.005);
    ck_assert_uint_eq(found.seed, UINT64_MAX);
    tamis_model_free(&model);
    train.provenance = "{\"options\":{\"optimizer\":\"sgd\",\"epochs\":0.5}}";
    ck_ok(tamis_train(&model, context, &train, data, NULL, &err));
    ck_fails(tamis_model_recipe(model, &found, widths, &recorded, &err), TAMIS_ERR_FORMAT,
             "impossible 'epochs'");
    tamis_model_free(&model);
}
END_TEST

/* --- over the seeds --------------------------------------------------------------------------- */

START_TEST(ceiling_by_hand)
{
    tamis_error err = {0};
    double loss[] = {1, 2, 3, 3, 2, 1, 4, 4}, margin[8] = {0}, ceiling, mean[4];
    uint8_t correct[8];
    tamis_retrained r = {.subsets = 4, .seeds = 2, .queries = 1};
    r.loss = loss;
    r.margin = margin;
    r.correct = correct;
    tamis_retrained_mean(&r, TAMIS_OUTPUT_LOSS, mean);
    ck_assert_double_eq(mean[0], -1.5);
    ck_assert_double_eq(mean[2], -1.5);
    /* Seeds give 1 3 2 4 and 2 3 1 4: Spearman 1 - 6 * 2 / 60 = 0.8. */
    ck_ok(tamis_retrained_ceiling(&r, TAMIS_OUTPUT_LOSS, &ceiling, &err));
    ck_assert_double_eq_tol(ceiling, sqrt(1.6 / 1.8), 1e-12);
    ck_ok(tamis_retrained_ceiling(&r, TAMIS_OUTPUT_MARGIN, &ceiling, &err));
    ck_assert_double_eq(ceiling, 0);
    r.seeds = 1;
    ck_ok(tamis_retrained_ceiling(&r, TAMIS_OUTPUT_LOSS, &ceiling, &err));
    ck_assert(isnan(ceiling));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retrain");
    TCase *tcase = tcase_create("retrain");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, runs_are_trainings_on_the_subset);
    tcase_add_loop_test(tcase, threads_change_no_bit, 0, 2);
    tcase_add_test(tcase, places_are_kept);
    tcase_add_test(tcase, an_empty_place_is_no_step);
    tcase_add_test(tcase, goes_on_after_every_run);
    tcase_add_test(tcase, yardsticks_share_a_file);
    tcase_add_test(tcase, refuses_runs_of_others);
    tcase_add_test(tcase, refuses_what_cannot_be_trained);
    tcase_add_test(tcase, survives_failures);
    tcase_add_test(tcase, draws_subsets);
    tcase_add_test(tcase, reads_subsets);
    tcase_add_test(tcase, subsets_keep_the_limit);
    tcase_add_test(tcase, reads_the_recipe);
    tcase_add_test(tcase, ceiling_by_hand);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
