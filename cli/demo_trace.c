/* The demo's last part: one misclassified test picture traced to the examples behind it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "demo_flow.h"
#include "fail.h"

#define SHOWN 5

/* The five highest and five lowest rows of a one-query score column; ties to the lower row. */
typedef struct tails {
    uint64_t high[SHOWN], low[SHOWN];
} tails;

static void insert(uint64_t *list, uint64_t *used, const float *score, float sign, uint64_t row)
{
    uint64_t at = *used;
    while (at > 0 && sign * score[row] > sign * score[list[at - 1]]) at--;
    if (at == SHOWN) return;
    if (*used < SHOWN) (*used)++;
    for (uint64_t i = *used - 1; i > at; i--) list[i] = list[i - 1];
    list[at] = row;
}

static tails find_tails(const float *score, uint64_t rows)
{
    tails t = {{0}, {0}};
    uint64_t high = 0, low = 0;
    for (uint64_t row = 0; row < rows; row++) {
        insert(t.high, &high, score, 1, row);
        insert(t.low, &low, score, -1, row);
    }
    return t;
}

static void draw_tail(const demo_flow *flow, const demo_split *split, const float *score,
                      const uint64_t *rows)
{
    demo_picture picture[SHOWN];
    const tamis_data *data = flow->data;
    for (size_t i = 0; i < SHOWN; i++) {
        uint64_t source = split->order[rows[i]];
        picture[i].pixel = data->x + source * data->columns;
        snprintf(picture[i].caption[0], sizeof picture[i].caption[0], "row %llu",
                 (unsigned long long)rows[i]);
        snprintf(picture[i].caption[1], sizeof picture[i].caption[1], "%.6s%s",
                 data->class_name[split->label[rows[i]]],
                 split->flipped[rows[i]] ? ", flipped" : "");
        snprintf(picture[i].caption[2], sizeof picture[i].caption[2], "%+.3g",
                 (double)score[rows[i]]);
    }
    demo_draw(picture, SHOWN, flow->side, flow->white, flow->colour);
}

static tamis_status read_scores(const demo_flow *flow, const char *path, uint64_t rows,
                                float *score, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, flow->context, path, err);
    if (status == TAMIS_OK) status = tamis_scores_read(scores, 0, rows, 0, 1, score, 1, err);
    tamis_scores_close(&scores);
    return status;
}

static void draw_query(const demo_flow *flow, const demo_split *split, uint64_t row,
                       int32_t predicted)
{
    const tamis_data *data = flow->data;
    uint64_t source = split->order[split->train + split->validation + row];
    demo_picture picture = {.pixel = data->x + source * data->columns};
    snprintf(picture.caption[0], sizeof picture.caption[0], "test row %llu",
             (unsigned long long)row);
    snprintf(picture.caption[1], sizeof picture.caption[1], "is %.8s",
             data->class_name[data->label[source]]);
    snprintf(picture.caption[2], sizeof picture.caption[2], "taken for %.3s",
             data->class_name[predicted]);
    demo_draw(&picture, 1, flow->side, flow->white, flow->colour);
}

static tamis_status show(const demo_flow *flow, const demo_split *split, uint64_t row,
                         int32_t predicted, tamis_error *err)
{
    float *score = malloc(split->train * sizeof *score);
    if (!score) return fail_memory(err);
    tamis_status status = read_scores(flow, "trace.h5", split->train, score, err);
    if (status == TAMIS_OK) {
        tails t = find_tails(score, split->train);
        printf("\n  The model trained on all data got this test example wrong:\n\n");
        draw_query(flow, split, row, predicted);
        printf("\n  Five strongest helpers (training on them lowers its loss):\n\n");
        draw_tail(flow, split, score, t.high);
        printf("\n  Five strongest harmers (training on them raises its loss):\n\n");
        draw_tail(flow, split, score, t.low);
    }
    free(score);
    return status;
}

tamis_status demo_trace(const demo_flow *flow, const demo_split *split, const int32_t *predicted,
                        tamis_error *err)
{
    const tamis_data *data = flow->data;
    const uint64_t *test = split->order + split->train + split->validation;
    uint64_t row = 0;
    while (row < split->test && predicted[row] == data->label[test[row]]) row++;
    if (row == split->test) {
        printf("\n  No test example is misclassified: nothing to trace.\n");
        return TAMIS_OK;
    }
    tamis_status status = demo_write_csv("query.csv", data, test + row, 1, NULL, err);
    if (status != TAMIS_OK) return status;
    printf("\nTracing test row %llu\n\n", (unsigned long long)row);
    status = demo_run(flow, true, err,
                      "grad --model model.h5 --data query.csv --label label%s -o query.h5",
                      flow->plan->grad_options);
    if (status == TAMIS_OK)
        status = demo_run(flow, true, err,
                          "score tracin --train train.h5 --query query.h5 -o trace.h5");
    return status == TAMIS_OK ? show(flow, split, row, predicted[row], err) : status;
}
