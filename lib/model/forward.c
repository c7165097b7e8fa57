/* Batches forward and back through a network, at the speed of matrix products.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "linalg/blas.h"
#include "model/network.h"

tamis_status tamis__forward(tamis__batch *batch, const tamis__network *network, tamis_error *err)
{
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t width = tamis__input_stride(layer), out = (size_t)layer->out;
        TAMIS_TRY(tamis__sgemm(false, true, batch->rows, out, width, 1.0f, batch->input[l], width,
                               network->weight[l], width, 0.0f, batch->output[l], out, err));
        if (l + 1 < network->layers)
            tamis__activate(network->activation, batch->output[l], batch->rows, out,
                            batch->input[l + 1], tamis__input_stride(&network->layer[l + 1]));
    }
    return TAMIS_OK;
}

/* Everything comes from the margin and the odds of the other classes among themselves, so that a
 * row that is learnt well keeps all digits of its small loss and small delta: 1 - p would not. */
static double row_loss(const float *logit, size_t classes, size_t label, float reduction,
                       float *ret_margin, float *probability, float *delta)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (size_t c = 0; c < classes; c++)
        if (c != label && !((double)logit[c] <= top)) top = (double)logit[c];
    for (size_t c = 0; c < classes; c++)
        if (c != label) sum += exp((double)logit[c] - top);
    double margin = (double)logit[label] - (top + log(sum));
    /* An infinite logit is no certainty but an overflow: it must not pass for a loss of 0. */
    if (!isfinite(margin)) margin = (double)NAN;
    double others = 1.0 / (1.0 + exp(margin)); /* the probability of all other classes together */
    for (size_t c = 0; c < classes; c++) {
        double p = c == label ? 1.0 / (1.0 + exp(-margin))
                              : exp((double)logit[c] - top) / sum * others;
        probability[c] = (float)p;
        /* d loss / d logit = probability - one-hot */
        if (delta) delta[c] = (float)(c == label ? -others : p) * reduction;
    }
    *ret_margin = (float)margin;
    return margin > 0.0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
}

double tamis__cross_entropy(tamis__batch *batch, const tamis__network *network, float reduction)
{
    size_t classes = (size_t)tamis__network_classes(network);
    uint32_t last = network->layers - 1;
    double sum = 0.0;
    for (size_t i = 0; i < batch->rows; i++) {
        double loss = row_loss(batch->output[last] + i * classes, classes, (size_t)batch->label[i],
                               reduction, &batch->margin[i], batch->probability + i * classes,
                               batch->delta ? batch->delta[last] + i * classes : NULL);
        batch->loss[i] = (float)loss;
        sum += loss;
    }
    return sum;
}

/* d margin / d logit: 1 for the label, minus the softmax among the others. Those odds come from the
 * logits themselves: the loss's delta over 1 - p would have no digits left for a row learnt
 * well. */
static void row_margin_delta(const float *logit, size_t classes, size_t label, float *delta)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (size_t c = 0; c < classes; c++)
        if (c != label && !((double)logit[c] <= top)) top = (double)logit[c];
    for (size_t c = 0; c < classes; c++)
        if (c != label) sum += exp((double)logit[c] - top);
    for (size_t c = 0; c < classes; c++)
        delta[c] = c == label ? 1.0f : (float)-(exp((double)logit[c] - top) / sum);
}

void tamis__margin_delta(tamis__batch *batch, const tamis__network *network)
{
    size_t classes = (size_t)tamis__network_classes(network);
    uint32_t last = network->layers - 1;
    for (size_t i = 0; i < batch->rows; i++) {
        float *delta = batch->delta[last] + i * classes;
        row_margin_delta(batch->output[last] + i * classes, classes, (size_t)batch->label[i],
                         delta);
        /* As for the loss: an infinite logit is an overflow. */
        for (size_t c = 0; !isfinite(batch->margin[i]) && c < classes; c++) delta[c] = NAN;
    }
}

void tamis__weigh_delta(tamis__batch *batch, const tamis__network *network)
{
    size_t classes = (size_t)tamis__network_classes(network);
    for (size_t i = 0; i < batch->rows; i++) {
        float *delta = batch->delta[network->layers - 1] + i * classes;
        /* As in the loss: from the margin, which keeps its digits. */
        double p = 1.0 / (1.0 + exp(-(double)batch->margin[i]));
        for (size_t c = 0; c < classes; c++) delta[c] = (float)((double)delta[c] * sqrt(p));
    }
}

tamis_status tamis__backward(tamis__batch *batch, const tamis__network *network, uint32_t lowest,
                             tamis_error *err)
{
    for (uint32_t l = network->layers - 1; l > lowest; l--) {
        const tamis_layer *layer = &network->layer[l];
        size_t out = (size_t)layer->out, in = (size_t)layer->in, width = tamis__input_stride(layer);
        TAMIS_TRY(tamis__sgemm(false, false, batch->rows, in, out, 1.0f, batch->delta[l], out,
                               network->weight[l], width, 0.0f, batch->delta[l - 1], in, err));
        tamis__activation_back(network->activation, batch->output[l - 1], batch->input[l], width,
                               batch->rows, in, batch->delta[l - 1]);
    }
    return TAMIS_OK;
}

tamis_status tamis__weight_gradient(const tamis__batch *batch, const tamis__network *network,
                                    float *const *gradient, tamis_error *err)
{
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t out = (size_t)layer->out, width = tamis__input_stride(layer);
        TAMIS_TRY(tamis__sgemm(true, false, out, width, batch->rows, 1.0f, batch->delta[l], out,
                               batch->input[l], width, 0.0f, gradient[l], width, err));
    }
    return TAMIS_OK;
}

int32_t tamis__predicted(const tamis__batch *batch, const tamis__network *network, size_t row)
{
    size_t classes = (size_t)tamis__network_classes(network), best = 0;
    const float *logit = batch->output[network->layers - 1] + row * classes;
    for (size_t c = 1; c < classes; c++)
        if (logit[c] > logit[best]) best = c;
    return (int32_t)best;
}
