/* Directions of a step, value by value.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/direction.h"

#include <math.h>

static const char *const directions[] = {
    [TAMIS_DIRECTION_GRADIENT] = "gradient",
    [TAMIS_DIRECTION_SIGN] = "sign",
    [TAMIS_DIRECTION_ADAM] = "adam",
    [TAMIS_DIRECTION_ADAM_LESS] = "adam-less",
    [TAMIS_DIRECTION_SECOND_MOMENT] = "second-moment",
};

static const char *const functions[] = {
    [TAMIS_FUNCTION_LOSS] = "loss",
    [TAMIS_FUNCTION_MARGIN] = "margin",
};

const char *tamis__direction_name(tamis_direction direction)
{
    return directions[direction];
}

const char *tamis__function_name(tamis_function function)
{
    return functions[function];
}

static void sign(float *value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(value[i])) value[i] = (float)((value[i] > 0.0f) - (value[i] < 0.0f));
}

/* The step that Adam would make next on this gradient alone (Xia et al. 2024, LESS; the
 * moments of Kingma and Ba 2015, algorithm 1). */
static void adam(const tamis__moments *c, const float *first, const float *second, uint64_t step,
                 float *value, size_t n)
{
    double next = (double)step + 1.0, rest1 = 1.0 - c->beta1, rest2 = 1.0 - c->beta2;
    double correct1 = 1.0 / (1.0 - pow(c->beta1, next)),
           correct2 = 1.0 / (1.0 - pow(c->beta2, next));
    for (size_t i = 0; i < n; i++) {
        double g = (double)value[i];
        double mean = c->beta1 * (double)first[i] + rest1 * g;
        double square = c->beta2 * (double)second[i] + rest2 * (g * g);
        value[i] = (float)(mean * correct1 / (sqrt(square * correct2) + c->epsilon));
    }
}

/* The same as the released code of LESS has it: epsilon below the root, no bias correction. */
static void adam_less(const tamis__moments *c, const float *first, const float *second,
                      float *value, size_t n)
{
    double rest1 = 1.0 - c->beta1, rest2 = 1.0 - c->beta2;
    for (size_t i = 0; i < n; i++) {
        double g = (double)value[i];
        double mean = c->beta1 * (double)first[i] + rest1 * g;
        double square = c->beta2 * (double)second[i] + rest2 * (g * g);
        value[i] = (float)(mean / sqrt(square + c->epsilon));
    }
}

/* The gradient over the root of its usual square (Chang et al. 2024, TrackStar). */
static void second_moment(const tamis__moments *c, const float *second, uint64_t step, float *value,
                          size_t n)
{
    double correct = 1.0 / (1.0 - pow(c->beta2, (double)step));
    for (size_t i = 0; i < n; i++)
        value[i] = (float)((double)value[i] / (sqrt((double)second[i] * correct) + c->epsilon));
}

void tamis__direction_apply(tamis_direction direction, const tamis__moments *moments,
                            const float *first, const float *second, uint64_t step, float *value,
                            size_t n)
{
    switch (direction) {
    case TAMIS_DIRECTION_GRADIENT: break;
    case TAMIS_DIRECTION_SIGN: sign(value, n); break;
    case TAMIS_DIRECTION_ADAM: adam(moments, first, second, step, value, n); break;
    case TAMIS_DIRECTION_ADAM_LESS: adam_less(moments, first, second, value, n); break;
    case TAMIS_DIRECTION_SECOND_MOMENT: second_moment(moments, second, step, value, n); break;
    }
}
