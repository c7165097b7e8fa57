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

/* Values at a time: a number known to the compiler, so that it makes vectors of the loops whatever
 * the level of optimisation. No value depends on another, and each operation in double has one
 * result, so the width of vectors changes no bit. */
enum { AT_ONCE = 16 };

typedef struct constants {
    double beta1, beta2, rest1, rest2, correct1, correct2, epsilon;
} constants;

static constants constants_of(const tamis__moments *m, double step)
{
    return (constants){.beta1 = m->beta1,
                       .beta2 = m->beta2,
                       .rest1 = 1.0 - m->beta1,
                       .rest2 = 1.0 - m->beta2,
                       .correct1 = 1.0 / (1.0 - pow(m->beta1, step)),
                       .correct2 = 1.0 / (1.0 - pow(m->beta2, step)),
                       .epsilon = m->epsilon};
}

/* The step that Adam would make next on this gradient alone (Xia et al. 2024, LESS; the
 * moments of Kingma and Ba 2015, algorithm 1). */
static inline float adam_value(const constants *c, float gradient, float first, float second)
{
    double g = (double)gradient;
    double mean = c->beta1 * (double)first + c->rest1 * g;
    double square = c->beta2 * (double)second + c->rest2 * (g * g);
    return (float)(mean * c->correct1 / (sqrt(square * c->correct2) + c->epsilon));
}

static void adam(const constants *c, const float *restrict first, const float *restrict second,
                 float *restrict value, size_t n)
{
    size_t i = 0;
    for (; i + AT_ONCE <= n; i += AT_ONCE)
        for (size_t j = i; j < i + AT_ONCE; j++)
            value[j] = adam_value(c, value[j], first[j], second[j]);
    for (; i < n; i++) value[i] = adam_value(c, value[i], first[i], second[i]);
}

/* The same as the released code of LESS has it: epsilon below the root, no bias correction. */
static inline float adam_less_value(const constants *c, float gradient, float first, float second)
{
    double g = (double)gradient;
    double mean = c->beta1 * (double)first + c->rest1 * g;
    double square = c->beta2 * (double)second + c->rest2 * (g * g);
    return (float)(mean / sqrt(square + c->epsilon));
}

static void adam_less(const constants *c, const float *restrict first, const float *restrict second,
                      float *restrict value, size_t n)
{
    size_t i = 0;
    for (; i + AT_ONCE <= n; i += AT_ONCE)
        for (size_t j = i; j < i + AT_ONCE; j++)
            value[j] = adam_less_value(c, value[j], first[j], second[j]);
    for (; i < n; i++) value[i] = adam_less_value(c, value[i], first[i], second[i]);
}

/* The gradient over the root of its usual square (Chang et al. 2024, TrackStar). */
static inline float second_moment_value(const constants *c, float gradient, float second)
{
    return (float)((double)gradient / (sqrt((double)second * c->correct2) + c->epsilon));
}

static void second_moment(const constants *c, const float *restrict second, float *restrict value,
                          size_t n)
{
    size_t i = 0;
    for (; i + AT_ONCE <= n; i += AT_ONCE)
        for (size_t j = i; j < i + AT_ONCE; j++)
            value[j] = second_moment_value(c, value[j], second[j]);
    for (; i < n; i++) value[i] = second_moment_value(c, value[i], second[i]);
}

void tamis__direction_apply(tamis_direction direction, const tamis__moments *moments,
                            const float *first, const float *second, uint64_t step, float *value,
                            size_t n)
{
    bool plain = direction == TAMIS_DIRECTION_GRADIENT || direction == TAMIS_DIRECTION_SIGN;
    double of = (double)step + (direction == TAMIS_DIRECTION_ADAM ? 1.0 : 0.0);
    constants c = plain ? (constants){0} : constants_of(moments, of);
    switch (direction) {
    case TAMIS_DIRECTION_GRADIENT: break;
    case TAMIS_DIRECTION_SIGN: sign(value, n); break;
    case TAMIS_DIRECTION_ADAM: adam(&c, first, second, value, n); break;
    case TAMIS_DIRECTION_ADAM_LESS: adam_less(&c, first, second, value, n); break;
    case TAMIS_DIRECTION_SECOND_MOMENT: second_moment(&c, second, value, n); break;
    }
}
