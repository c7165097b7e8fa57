/* Options of a whitening that is made final: for fit and merge.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CLI_WHITEN_ARGS_H
#define CLI_WHITEN_ARGS_H

#include "report.h"

typedef struct whiten_args {
    double damping; /* NaN = not given */
    int unit, shrinkage;
} whiten_args;

/* In order: relative, absolute; by tamis_shrinkage. */
extern const char *const whiten_units[], *const whiten_shrinkages[];

#define WHITEN_ARGS_DEFAULTS                                                                       \
    {                                                                                              \
        .damping = (double)NAN, .unit = -1, .shrinkage = -1                                        \
    }

/* Options of a table whose args struct has a whiten_args at `field`. */
#define WHITEN_OPTIONS(args, field)                                                                \
    {.name = "damping",                                                                            \
     .value = "NUMBER",                                                                            \
     .help = "whiten: added to every eigenvalue of the covariance",                                \
     .type = OPT_REAL,                                                                             \
     .at = offsetof(args, field.damping),                                                          \
     .min = 0,                                                                                     \
     .max = 1e300,                                                                                 \
     .fallback = "1e-5",                                                                           \
     .more = "By default in units of the mean eigenvalue, so that it means the same whatever the " \
             "size of gradients.",                                                                 \
     .section = "Whitening"},                                                                      \
        {.name = "damping-unit",                                                                   \
         .value = "UNIT",                                                                          \
         .help = "whiten: what damping is in units of",                                            \
         .type = OPT_CHOICE,                                                                       \
         .at = offsetof(args, field.unit),                                                         \
         .choices = whiten_units,                                                                  \
         .fallback = "relative"},                                                                  \
    {                                                                                              \
        .name = "shrinkage", .value = "KIND",                                                      \
        .help = "whiten: how the covariance is drawn towards a multiple of the identity",          \
        .type = OPT_CHOICE, .at = offsetof(args, field.shrinkage), .choices = whiten_shrinkages,   \
        .fallback = "none",                                                                        \
        .more = "ledoit-wolf: by the weight that is expected to be nearest to the true "           \
                "covariance (Ledoit and Wolf 2004). For few rows."                                 \
    }

/* *ret_params points to `params` when an option was given, and is NULL otherwise: the library's
 * defaults are the same. */
void whiten_params(const whiten_args *args, tamis_whiten_params *params,
                   const tamis_whiten_params **ret_params);

/* Lines of a report. Nothing unless the file is final and of this kind. */
void report_whiten(report *r, const tamis_curvature_info *info);

#endif
