/* Whose labels gradients are of: the data's, others, or the model's own.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/labels.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"

static const char *const names[] = {
    [TAMIS_LABELS_TRUE] = "true",
    [TAMIS_LABELS_SAMPLED] = "sampled",
    [TAMIS_LABELS_EXPECTED] = "expected",
    [TAMIS_LABELS_GIVEN] = "given",
};

const char *tamis__labels_name(tamis_labels labels)
{
    return names[labels];
}

static tamis_status check_given(const int32_t *label, uint64_t rows, uint32_t classes,
                                tamis_error *err)
{
    if (!label) return tamis__fail(err, TAMIS_ERR_ARG, "no labels are given");
    for (uint64_t i = 0; i < rows; i++)
        if (label[i] < 0 || (uint32_t)label[i] >= classes)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "row %" PRIu64 " is given label %" PRId32
                               ": the model has classes 0 to %" PRIu32,
                               i, label[i], classes - 1);
    return TAMIS_OK;
}

tamis_status tamis__labels_check(const tamis_gradient_params *params, uint64_t rows,
                                 uint32_t classes, tamis_error *err)
{
    tamis_labels labels = params->labels;
    if ((unsigned)labels > TAMIS_LABELS_GIVEN)
        return tamis__fail(err, TAMIS_ERR_ARG, "no such labels to take gradients of");
    if (labels == TAMIS_LABELS_GIVEN) return check_given(params->given_labels, rows, classes, err);
    if (params->given_labels)
        return tamis__fail(err, TAMIS_ERR_ARG, "labels are given, but those that are %s are chosen",
                           names[labels]);
    if (labels == TAMIS_LABELS_TRUE) return TAMIS_OK;
    if (params->function != TAMIS_FUNCTION_LOSS)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "labels that are %s make the Fisher matrix of the loss: leave the "
                           "function at loss",
                           names[labels]);
    if (labels == TAMIS_LABELS_EXPECTED && params->direction != TAMIS_DIRECTION_GRADIENT)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "labels that are expected scale each gradient by the root of its "
                           "class's probability, which no optimizer sees: leave the direction at "
                           "gradient");
    return TAMIS_OK;
}

uint64_t tamis__labels_group(uint32_t per_example)
{
    uint64_t examples = TAMIS__GROUP_ROWS;
    while (examples > 1 && examples * per_example > 16 * TAMIS__GROUP_ROWS) examples /= 2;
    return examples;
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* The class that `at`, in [0, 1), falls on when the classes' probabilities lie side by side. Sums
 * in double over float logits: probabilities rounded to float need not add up to 1. */
static int32_t draw(const float *logit, size_t classes, double at)
{
    double top = -HUGE_VAL, total = 0.0, below = 0.0;
    size_t last = 0;
    for (size_t c = 0; c < classes; c++)
        if ((double)logit[c] > top) top = (double)logit[c];
    for (size_t c = 0; c < classes; c++) total += exp((double)logit[c] - top);
    for (size_t c = 0; c < classes; c++) {
        double weight = exp((double)logit[c] - top);
        below += weight;
        if (at * total < below) return (int32_t)c;
        if (weight > 0.0) last = c;
    }
    return (int32_t)last; /* rounding, or a logit that is not finite: the loss says so */
}

/* The same number of a row at every checkpoint: labels differ where the models do. */
static tamis_status sample(const tamis__gradient_job *job, const tamis__network *network,
                           uint64_t first, tamis__batch *batch, tamis_error *err)
{
    size_t classes = (size_t)tamis__network_classes(network);
    const float *logit = batch->output[network->layers - 1];
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "a random number generator", sizeof *rng);
    for (size_t i = 0; i < batch->rows; i++) {
        tamis__rng_key(rng, job->label_seed, TAMIS__STREAM_LABEL, first + i);
        batch->label[i] = draw(logit + i * classes, classes, gsl_rng_uniform(rng));
    }
    gsl_rng_free(rng);
    return TAMIS_OK;
}

tamis_status tamis__labels_set(const tamis__gradient_job *job, const tamis__network *network,
                               uint64_t first, tamis__batch *batch, tamis_error *err)
{
    if (job->labels == TAMIS_LABELS_SAMPLED) return sample(job, network, first, batch, err);
    const int32_t *label = job->given_labels ? job->given_labels : job->data->label;
    for (size_t i = 0; i < batch->rows; i++) batch->label[i] = label[first + i];
    return TAMIS_OK;
}

/* --- columns of examples ---------------------------------------------------------------------- */

/* The data's columns from a row on. */
static tamis_examples examples_from(const tamis_data *data, uint64_t row)
{
    return (tamis_examples){
        .id_number = data->id_number ? data->id_number + row : NULL,
        .id_text = data->id_text ? (const char *const *)data->id_text + row : NULL,
        .digest = data->digest ? data->digest + row : NULL,
        .label = data->label ? data->label + row : NULL,
        .group = data->group ? data->group + row : NULL,
        .group_name = (const char *const *)data->group_name,
        .groups = data->groups,
        .class_name = (const char *const *)data->class_name,
        .classes = data->class_name ? data->classes : 0,
    };
}

/* "<id>/<class>", ended; returns its length with the end. Written to `buffer` as far as it fits. */
static size_t class_id(const tamis__gradient_job *job, uint64_t row, char *buffer, size_t size)
{
    const tamis_data *data = job->data;
    uint64_t example = row / job->per_example, c = row % job->per_example;
    int n = data->id_text ? snprintf(buffer, size, "%s/%" PRIu64, data->id_text[example], c)
                          : snprintf(buffer, size, "%" PRIu64 "/%" PRIu64,
                                     data->id_number ? data->id_number[example] : example, c);
    return (size_t)n + 1;
}

/* Columns of a block of rows that are made of fewer examples: pieces of one allocation. */
typedef struct spread {
    const char **id;
    uint64_t *digest;
    int32_t *label, *group;
    char *text;
} spread;

static void fill_spread(const tamis__gradient_job *job, uint64_t first, uint64_t rows, spread *s,
                        size_t text_bytes)
{
    const tamis_data *data = job->data;
    char *at = s->text, *end = s->text + text_bytes;
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t example = (first + i) / job->per_example;
        s->id[i] = at;
        at += class_id(job, first + i, at, (size_t)(end - at));
        s->digest[i] = data->digest ? data->digest[example] : 0;
        s->label[i] = data->label ? data->label[example] : 0;
        s->group[i] = data->group ? data->group[example] : -1;
    }
}

static tamis_status spread_examples(const tamis__gradient_job *job, uint64_t first, uint64_t rows,
                                    tamis_examples *examples, void **ret_memory, tamis_error *err)
{
    size_t n = (size_t)rows, text_bytes = 0;
    size_t row_bytes = sizeof(char *) + sizeof(uint64_t) + 2 * sizeof(int32_t);
    for (uint64_t i = 0; i < rows; i++) text_bytes += class_id(job, first + i, NULL, 0);
    char *memory = tamis__malloc(n * row_bytes + text_bytes, 1);
    if (!memory) return tamis__fail_memory(err, "ids of rows", n * row_bytes + text_bytes);
    spread s = {.id = (const char **)(void *)memory};
    s.digest = (uint64_t *)(void *)(s.id + n);
    s.label = (int32_t *)(void *)(s.digest + n);
    s.group = s.label + n;
    s.text = (char *)(s.group + n);
    fill_spread(job, first, rows, &s, text_bytes);
    examples->id_number = NULL;
    examples->id_text = s.id;
    if (examples->digest) examples->digest = s.digest;
    if (examples->label) examples->label = s.label;
    if (examples->group) examples->group = s.group;
    *ret_memory = memory;
    return TAMIS_OK;
}

tamis_status tamis__labels_examples(const tamis__gradient_job *job, uint64_t first, uint64_t rows,
                                    tamis_examples *ret_examples, void **ret_memory,
                                    tamis_error *err)
{
    tamis_examples examples = examples_from(job->data, first / job->per_example);
    *ret_memory = NULL;
    if (job->labels == TAMIS_LABELS_EXPECTED)
        TAMIS_TRY(spread_examples(job, first, rows, &examples, ret_memory, err));
    *ret_examples = examples;
    return TAMIS_OK;
}
