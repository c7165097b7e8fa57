/* One layer's damped curvature.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/spectrum.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

void tamis__spectrum_fini(tamis__spectrum *spectrum)
{
    tamis__basis_fini(&spectrum->output);
    tamis__basis_fini(&spectrum->input);
    free(spectrum->lambda);
    free(spectrum->inverse);
    *spectrum = (tamis__spectrum){0};
}

/* Row by row, so that many small terms are not lost against their sum. */
static double mean_lambda(const tamis__spectrum *s)
{
    double sum = 0;
    for (uint64_t i = 0; i < s->out; i++) {
        double row = 0;
        for (uint64_t j = 0; j < s->in; j++) row += s->lambda[i * s->in + j];
        sum += row;
    }
    return sum / (double)s->out / (double)s->in;
}

static tamis_status invert(const tamis__spectrum *s, double damping, double *inverse,
                           tamis_error *err)
{
    for (uint64_t i = 0; i < s->out * s->in; i++) {
        inverse[i] = 1.0 / (s->lambda[i] + damping);
        if (isfinite(inverse[i]) && inverse[i] > 0.0) continue;
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "layer '%s': lambda %g and damping %g at (%llu, %llu) have no "
                           "inverse: use a larger damping",
                           s->layer.name, s->lambda[i], damping, (unsigned long long)(i / s->in),
                           (unsigned long long)(i % s->in));
    }
    return TAMIS_OK;
}

tamis_status tamis__spectrum_damp(tamis__spectrum *spectrum, tamis__damping damping,
                                  tamis_error *err)
{
    if (!(damping.value >= 0.0) || !isfinite(damping.value))
        return tamis__fail(err, TAMIS_ERR_ARG, "damping %g: it is a number of at least 0",
                           damping.value);
    double absolute = damping.value * (damping.relative ? mean_lambda(spectrum) : 1.0);
    double *inverse = spectrum->inverse;
    if (!inverse) inverse = tamis__aligned(spectrum->out * spectrum->in, sizeof *inverse);
    if (!inverse)
        return tamis__fail_memory(err, "an inverse spectrum",
                                  spectrum->out * spectrum->in * sizeof *inverse);
    tamis_status status = invert(spectrum, absolute, inverse, err);
    if (status != TAMIS_OK) {
        if (!spectrum->inverse) free(inverse);
        return status;
    }
    spectrum->damping = absolute;
    spectrum->inverse = inverse;
    return TAMIS_OK;
}
