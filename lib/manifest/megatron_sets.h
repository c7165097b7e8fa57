/* The data sets of Megatron-LM that come of some rows, and the blend that lists them.
 *
 * A copy is one data set, whatever the number of inputs. A link leads to one file, so that links
 * to several inputs are one data set for each of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MEGATRON_SETS_H
#define TAMIS_MANIFEST_MEGATRON_SETS_H

#include "manifest/bytes.h"
#include "manifest/megatron_write.h"

typedef struct tamis__megatron_sets {
    size_t n;
    struct tamis__megatron_one {
        char *prefix;
        uint64_t tokens;
    } * of;                      /* [n] */
    tamis__megatron_written sum; /* of all */
} tamis__megatron_sets;

/* Is each part of the rows several data sets? */
static inline bool tamis__megatron_several(const tamis__megatron_job *job)
{
    return job->mode != TAMIS__MEGATRON_COPY && job->sets > 1;
}

/* Write the rows of a walk: one data set `prefix`, or of links to several inputs `<prefix>-1`, ...
 * by the number of the input, those without rows left out. Errors: those of
 * tamis__megatron_write(). */
tamis_status tamis__megatron_sets_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                        const char *prefix, const char *what,
                                        tamis__megatron_sets *ret_sets, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__megatron_sets_fini(tamis__megatron_sets *sets);

/* The text of a blend: weight prefix weight prefix ..., and the same as a JSON array, whose last
 * bracket is still missing. */
typedef struct tamis__blend {
    tamis__bytes list, json;
} tamis__blend;

/* Error (ARG) when a prefix has a space, where Megatron-LM cuts a blend. */
tamis_status tamis__blend_check(const char *prefix, tamis_error *err);

/* Add data sets that share `weight` by their tokens; NULL = each weighs as much as it has
 * tokens. */
tamis_status tamis__blend_add(tamis__blend *blend, const tamis__megatron_sets *sets,
                              const char *weight, tamis_error *err);
void tamis__blend_fini(tamis__blend *blend);

/* Write a text to a file of its own, but in a dry run. */
tamis_status tamis__blend_write(const tamis__manifest_job *job, const char *path, const char *what,
                                const tamis__bytes *text, tamis_error *err);

/* Write the list as `<the part's path>.blend`, which stands for the part's records. */
tamis_status tamis__blend_end(const tamis__manifest_job *job, tamis__part *part,
                              const tamis__blend *blend, tamis_error *err);

/* --- parts ---------------------------------------------------------------------------------- */

/* Write part k of the plan: a data set, or several and their blend, weighed by tokens. *gaps is set
 * when a .bin has some. Errors: those of tamis__megatron_write(), tamis__blend_check(). */
tamis_status tamis__megatron_part(const tamis__megatron_job *job, size_t k, const char **gaps,
                                  tamis_error *err);

#endif
