/* SGD with momentum, and Adam.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/train.h"

tamis_status tamis__optimiser_init(tamis__optimiser *ret_optimiser,
                                   const tamis_train_params *params, uint64_t parameters,
                                   tamis_error *err)
{
    tamis__optimiser optimiser = {
        .kind = params->optimizer,
        .learning_rate = params->learning_rate,
        .momentum = params->momentum,
        .weight_decay = params->weight_decay,
        .beta1 = params->beta1,
        .beta2 = params->beta2,
        .epsilon = params->epsilon,
        .first = tamis__aligned(parameters, sizeof(float)),
        .second = params->optimizer == TAMIS_ADAM ? tamis__aligned(parameters, sizeof(float))
                                                  : NULL,
    };
    if (!optimiser.first || (params->optimizer == TAMIS_ADAM && !optimiser.second)) {
        tamis__optimiser_fini(&optimiser);
        return tamis__fail_memory(err, "the optimiser", parameters * sizeof(float));
    }
    *ret_optimiser = optimiser;
    return TAMIS_OK;
}

void tamis__optimiser_fini(tamis__optimiser *optimiser)
{
    free(optimiser->first);
    free(optimiser->second);
    *optimiser = (tamis__optimiser){0};
}

/* v = momentum v + g + decay w;  w -= learning_rate v */
static void sgd(const tamis__optimiser *o, uint64_t at, uint64_t n, float decay, float *weights,
                const float *gradient)
{
    float momentum = (float)o->momentum, rate = (float)o->learning_rate;
    float *v = o->first + at, *w = weights + at;
    const float *g = gradient + at;
    for (uint64_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (g[i] + decay * w[i]);
        w[i] -= rate * v[i];
    }
}

/* Algorithm 1 of Kingma and Ba 2015; both bias corrections as factors worked out in double. */
static void adam(const tamis__optimiser *o, uint64_t at, uint64_t n, float decay, float *weights,
                 const float *gradient)
{
    float beta1 = (float)o->beta1, beta2 = (float)o->beta2, epsilon = (float)o->epsilon;
    float rest1 = (float)(1.0 - o->beta1), rest2 = (float)(1.0 - o->beta2);
    float rate = (float)(o->learning_rate / (1.0 - pow(o->beta1, (double)o->step)));
    float correct2 = (float)(1.0 / (1.0 - pow(o->beta2, (double)o->step)));
    float *m = o->first + at, *v = o->second + at, *w = weights + at;
    const float *gradients = gradient + at;
    for (uint64_t i = 0; i < n; i++) {
        float g = gradients[i] + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * (g * g);
        w[i] -= rate * m[i] / (sqrtf(v[i] * correct2) + epsilon);
    }
}

static void update(const tamis__optimiser *o, uint64_t at, uint64_t n, float decay, float *weights,
                   const float *gradient)
{
    if (o->kind == TAMIS_ADAM)
        adam(o, at, n, decay, weights, gradient);
    else
        sgd(o, at, n, decay, weights, gradient);
}

void tamis__optimiser_step(tamis__optimiser *optimiser, const tamis_layer *layer, uint32_t layers,
                           float *weights, const float *gradient)
{
    float decay = (float)optimiser->weight_decay;
    optimiser->step++;
    if (decay == 0.0f) {
        const tamis_layer *last = &layer[layers - 1];
        update(optimiser, 0, last->first_column + tamis_layer_columns(last), 0.0f, weights,
               gradient);
        return;
    }
    for (uint32_t l = 0; l < layers; l++) {
        uint64_t stride = tamis__input_stride(&layer[l]);
        for (uint64_t o = 0; o < layer[l].out; o++) {
            uint64_t at = layer[l].first_column + o * stride;
            update(optimiser, at, layer[l].in, decay, weights, gradient);
            if (layer[l].bias) update(optimiser, at + layer[l].in, 1, 0.0f, weights, gradient);
        }
    }
}
