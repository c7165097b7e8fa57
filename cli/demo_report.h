/* The demo's table over seeds, and the note about the files it leaves.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_DEMO_REPORT_H
#define TAMIS_CLI_DEMO_REPORT_H

#include "demo_flow.h"

#define DEMO_MAX_SEEDS 100

/* One line a seed, then mean and sample standard deviation. */
void demo_print_table(const demo_result *result, size_t seeds);

/* The same as one JSON object. */
void demo_print_json(const demo_plan *plan, const demo_result *result, size_t seeds);

/* What each file is. */
tamis_status demo_write_note(const char *path, const demo_plan *plan, size_t seeds,
                             tamis_error *err);

#endif
