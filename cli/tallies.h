/* Labels and groups before and after a selection, as tables for people or in the JSON.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_TALLIES_H
#define TAMIS_CLI_TALLIES_H

#include "report.h"

tamis_status tallies_report(report *r, const tamis_selection *sel, tamis_error *err);

#endif
