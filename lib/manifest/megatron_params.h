/* What the two formats of Megatron-LM share in their parameters.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MEGATRON_PARAMS_H
#define TAMIS_MANIFEST_MEGATRON_PARAMS_H

#include "base/context.h"
#include "manifest/megatron_sets.h"

enum { TAMIS__MEGATRON_ROWS, TAMIS__MEGATRON_MODE, TAMIS__MEGATRON_LINK, TAMIS__MEGATRON_PARAMS };

typedef struct tamis__megatron_params {
    tamis__megatron_mode mode;
    bool by_document;
} tamis__megatron_params;

/* clang-format off */
#define TAMIS__MEGATRON_DESCRIPTIONS \
    [TAMIS__MEGATRON_ROWS] = {.name = "rows", .help = "what a row of the selection is", \
                              .type = TAMIS_PARAM_CHOICE, \
                              .choices = (const char *const[]){"document", "sequence", NULL}}, \
    [TAMIS__MEGATRON_MODE] = {.name = "mode", \
                              .help = "copy the tokens, or link to the whole .bin of the input", \
                              .type = TAMIS_PARAM_CHOICE, \
                              .choices = (const char *const[]){"copy", "link", NULL}}, \
    [TAMIS__MEGATRON_LINK] = {.name = "link", .help = "kind of link of mode=link", \
                              .type = TAMIS_PARAM_CHOICE, \
                              .choices = (const char *const[]){"symbolic", "hard", NULL}}
/* clang-format on */

static inline void tamis__megatron_params_read(tamis__megatron_params *params,
                                               const tamis_param_value *param)
{
    bool links = param[TAMIS__MEGATRON_MODE].number > 0;
    bool hard = param[TAMIS__MEGATRON_LINK].number > 0;
    params->by_document = param[TAMIS__MEGATRON_ROWS].number == 0;
    params->mode = !links ? TAMIS__MEGATRON_COPY
                   : hard ? TAMIS__MEGATRON_HARDLINK
                          : TAMIS__MEGATRON_SYMLINK;
}

/* Readers of slices take what lies between two sequences for theirs. */
static inline void tamis__megatron_warn(const tamis__megatron_job *job, const char *gaps)
{
    if (gaps)
        tamis__log(
            job->job->context, TAMIS_LOG_WARNING,
            "the kept sequences do not follow each other in '%s': dataset[i] and get() of "
            "Megatron-LM are right, a slice dataset[a:b] is not; mode=copy has no such limit",
            gaps);
}

#endif
