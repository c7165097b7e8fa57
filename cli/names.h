/* Names that the library knows, as option tables take them (see opt_name_fn).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_NAMES_H
#define TAMIS_CLI_NAMES_H

#include "opt.h"
#include "session.h"

const char *names_scorer(size_t i, const char **ret_summary);
const char *names_selector(size_t i, const char **ret_summary);
const char *names_manifest(size_t i, const char **ret_summary);
const char *names_import(size_t i, const char **ret_summary);
const char *names_data(size_t i, const char **ret_summary);
const char *names_export(size_t i, const char **ret_summary);
const char *names_model(size_t i, const char **ret_summary);
/* By tamis_curvature_kind. */
const char *names_curvature(size_t i, const char **ret_summary);

const tamis_param_desc *names_scorer_params(size_t i, size_t *ret_n);
const tamis_param_desc *names_selector_params(size_t i, size_t *ret_n);
const tamis_param_desc *names_manifest_params(size_t i, size_t *ret_n);

/* Record the parameters in force of "name[:param=value,...]", each as "name.param". Parameters
 * without a value and without a default are left out. */
tamis_status names_note_params(session *s, const char *name, const char *text,
                               const tamis_param_desc *params, size_t n, tamis_error *err);

#endif
