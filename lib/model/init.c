/* Initial weights.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "model/train.h"

/* Half the width of the uniform distribution: Glorot and Bengio 2010, eq. 16, for tanh; He et al.
 * 2015 (variance 2 / in) for ReLU and GELU. */
static double limit(tamis_activation activation, const tamis_layer *layer)
{
    double in = (double)layer->in, out = (double)layer->out;
    return activation == TAMIS_TANH ? sqrt(6.0 / (in + out)) : sqrt(6.0 / in);
}

tamis_status tamis__initial_weights(const tamis__network *network, uint64_t seed, float *weights,
                                    tamis_error *err)
{
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "random numbers", sizeof *rng);
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t stride = tamis__input_stride(layer);
        double half = limit(network->activation, layer);
        tamis__rng_key(rng, seed, TAMIS__STREAM_INIT, l);
        for (uint64_t o = 0; o < layer->out; o++) {
            float *row = weights + layer->first_column + o * stride;
            for (uint64_t j = 0; j < layer->in; j++)
                row[j] = (float)(half * (2.0 * gsl_rng_uniform(rng) - 1.0));
            if (layer->bias) row[layer->in] = 0.0f;
        }
    }
    gsl_rng_free(rng);
    return TAMIS_OK;
}
