/* Which moments a direction is made with, and with which constants.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/moments.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/direction.h"

/* --- parameters ------------------------------------------------------------------------------- */

/* TAMIS_GIVEN_* that a direction depends on. */
static unsigned uses(tamis_direction direction)
{
    switch (direction) {
    case TAMIS_DIRECTION_ADAM:
        return TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON | TAMIS_GIVEN_STEP;
    case TAMIS_DIRECTION_ADAM_LESS:
        return TAMIS_GIVEN_BETA1 | TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON;
    case TAMIS_DIRECTION_SECOND_MOMENT:
        return TAMIS_GIVEN_BETA2 | TAMIS_GIVEN_EPSILON | TAMIS_GIVEN_STEP;
    case TAMIS_DIRECTION_GRADIENT:
    case TAMIS_DIRECTION_SIGN: break;
    }
    return 0;
}

static tamis_status check_given(const tamis_gradient_params *params, tamis_error *err)
{
    static const struct {
        unsigned given;
        const char *option;
    } options[] = {
        {TAMIS_GIVEN_BETA1, "beta1"},
        {TAMIS_GIVEN_BETA2, "beta2"},
        {TAMIS_GIVEN_EPSILON, "epsilon"},
        {TAMIS_GIVEN_STEP, "moments-step"},
    };
    if ((unsigned)params->direction > TAMIS_DIRECTION_SECOND_MOMENT)
        return tamis__fail(err, TAMIS_ERR_ARG, "no such direction");
    unsigned used = uses(params->direction);
    const char *name = tamis__direction_name(params->direction);
    if (params->moment_files && !used)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the direction %s needs no moments: leave --moments out, or choose "
                           "another --direction",
                           name);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (params->given & ~used & options[i].given)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "the direction %s does not depend on %s: leave --%s out, or choose "
                               "another --direction",
                               name, options[i].option, options[i].option);
    return TAMIS_OK;
}

static tamis_status set_constants(tamis__moments *moments, const tamis__moments_plan *plan,
                                  tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(plan->model);
    const tamis_gradient_params *p = plan->params;
    moments->beta1 = info->moments ? info->beta1 : 0.9;
    moments->beta2 = info->moments ? info->beta2 : 0.999;
    moments->epsilon = info->moments ? info->epsilon : 1e-8;
    if (p->given & TAMIS_GIVEN_BETA1) moments->beta1 = p->beta1;
    if (p->given & TAMIS_GIVEN_BETA2) moments->beta2 = p->beta2;
    if (p->given & TAMIS_GIVEN_EPSILON) moments->epsilon = p->epsilon;
    if (moments->beta1 >= 0 && moments->beta1 < 1 && moments->beta2 >= 0 && moments->beta2 < 1 &&
        moments->epsilon > 0 && isfinite(moments->epsilon))
        return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "beta1 %g, beta2 %g, epsilon %g: betas must be in [0, 1), epsilon above 0",
                       moments->beta1, moments->beta2, moments->epsilon);
}

/* --- moments ---------------------------------------------------------------------------------- */

static tamis_status allocate(tamis__moments *moments, const tamis__moments_plan *plan,
                             tamis_error *err)
{
    uint32_t checkpoints = plan->checkpoints->items;
    size_t blocks = (size_t)checkpoints * plan->layers->items;
    moments->first = tamis__calloc(blocks, sizeof *moments->first);
    moments->second = tamis__calloc(blocks, sizeof *moments->second);
    moments->step = tamis__calloc(checkpoints, sizeof *moments->step);
    if (!moments->first || !moments->second || !moments->step)
        return tamis__fail_memory(err, "a table of moments", 2 * blocks * sizeof *moments->first);
    const tamis_checkpoint *checkpoint = tamis_model_info_get(plan->model)->checkpoint;
    for (uint32_t k = 0; k < checkpoints; k++)
        moments->step[k] = checkpoint[plan->checkpoints->item[k]].step;
    return TAMIS_OK;
}

static tamis_status from_model(tamis__moments *moments, const tamis__moments_plan *plan,
                               tamis_error *err)
{
    if (!tamis_model_info_get(plan->model)->moments)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the model has no moments, which the direction %s needs: give its "
                           "optimizer's with --moments, or train it with --optimizer adam",
                           tamis__direction_name(plan->params->direction));
    for (uint32_t k = 0; k < plan->checkpoints->items; k++)
        for (uint32_t i = 0; i < plan->layers->items; i++) {
            size_t block = (size_t)k * plan->layers->items + i;
            (void)tamis_model_moments(plan->model, plan->checkpoints->item[k],
                                      plan->layers->item[i], &moments->first[block],
                                      &moments->second[block]);
        }
    return TAMIS_OK;
}

static tamis_status read_files(tamis__moments *moments, const tamis__moments_plan *plan,
                               const tamis_context *context, tamis_error *err)
{
    const tamis_gradient_params *p = plan->params;
    uint32_t checkpoints = plan->checkpoints->items, files = p->moment_files;
    bool want_step = (uses(p->direction) & ~p->given & TAMIS_GIVEN_STEP) != 0;
    if (files != 1 && files != checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%" PRIu32 " files of moments for %" PRIu32
                           " checkpoints: give one for each with --moments, or one for all",
                           files, checkpoints);
    moments->bytes = 2 * (uint64_t)files * plan->columns * sizeof(float);
    TAMIS_TRY(tamis__memory_check(context, moments->bytes, "the moments", err));
    moments->memory = tamis__aligned(2 * (size_t)files * plan->columns, sizeof(float));
    if (!moments->memory) return tamis__fail_memory(err, "the moments", moments->bytes);
    uint64_t said = 0; /* by the file that this checkpoint's moments are from */
    for (uint32_t k = 0; k < checkpoints; k++) {
        uint32_t f = files == 1 ? 0 : k;
        float *first = moments->memory + 2 * (uint64_t)f * plan->columns,
              *second = first + plan->columns;
        if (k == f) {
            said = 0;
            TAMIS_TRY(tamis__moments_read(plan, context, p->moments[f], first, second, want_step,
                                          &said, err));
        }
        if (said) moments->step[k] = said;
        for (uint32_t i = 0; i < plan->layers->items; i++) {
            size_t block = (size_t)k * plan->layers->items + i;
            moments->first[block] = first + plan->layer[i].first_column;
            moments->second[block] = second + plan->layer[i].first_column;
        }
    }
    return TAMIS_OK;
}

/* Bias correction divides by 1 - beta^step. */
static tamis_status set_steps(tamis__moments *moments, const tamis__moments_plan *plan,
                              tamis_error *err)
{
    const tamis_gradient_params *p = plan->params;
    for (uint32_t k = 0; k < plan->checkpoints->items; k++) {
        if (p->given & TAMIS_GIVEN_STEP) moments->step[k] = p->moments_step;
        if (moments->step[k] == 0 && (uses(p->direction) & TAMIS_GIVEN_STEP))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "checkpoint %" PRIu32
                               ": after how many steps its moments were taken is not known: give "
                               "--moments-step N",
                               plan->checkpoints->item[k]);
    }
    return TAMIS_OK;
}

static tamis_status fill(tamis__moments *moments, const tamis__moments_plan *plan,
                         const tamis_context *context, tamis_error *err)
{
    TAMIS_TRY(set_constants(moments, plan, err));
    TAMIS_TRY(allocate(moments, plan, err));
    if (plan->params->moment_files)
        TAMIS_TRY(read_files(moments, plan, context, err));
    else
        TAMIS_TRY(from_model(moments, plan, err));
    return set_steps(moments, plan, err);
}

tamis_status tamis__moments_init(tamis__moments *ret_moments, const tamis__moments_plan *plan,
                                 const tamis_context *context, tamis_error *err)
{
    tamis__moments moments = {0};
    TAMIS_TRY(check_given(plan->params, err));
    if (uses(plan->params->direction)) {
        tamis_status status = fill(&moments, plan, context, err);
        if (status != TAMIS_OK) {
            tamis__moments_fini(&moments);
            return status;
        }
    }
    *ret_moments = moments;
    return TAMIS_OK;
}

void tamis__moments_fini(tamis__moments *moments)
{
    free(moments->first);
    free(moments->second);
    free(moments->step);
    free(moments->memory);
    *moments = (tamis__moments){0};
}
