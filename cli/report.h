/* The result of a command: aligned lines for people, or one JSON object.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_REPORT_H
#define TAMIS_CLI_REPORT_H

#include "json.h"
#include "session.h"

/* Every value has a stable key; people see it with spaces for underscores. */
typedef struct report {
    json j;       /* for parts that are not lines; only when `machine` */
    bool machine; /* --json */
    bool human;   /* neither --json nor -q */
    int width;    /* of the column of labels */
} report;

void report_begin(report *r, const session *s);
void report_end(report *r);

void report_text(report *r, const char *key, const char *value);
void report_count(report *r, const char *key, uint64_t value);
void report_bytes(report *r, const char *key, uint64_t bytes);
/* `decimals` after the point for people, all digits in JSON. */
void report_real(report *r, const char *key, double value, int decimals);
/* A share in 0..1; a percentage for people. */
void report_share(report *r, const char *key, double share);
/* Units a second. */
void report_rate(report *r, const char *key, double rate, const char *unit);
void report_seconds(report *r, double value);
/* A line only for people. */
void report_line(report *r, const char *format, ...) TAMIS_PRINTF(2, 3);
/* A line "label  text" only for people. */
void report_labelled(report *r, const char *label, const char *format, ...) TAMIS_PRINTF(3, 4);

/* A parameter table: of a scorer, of a selector. */
void report_params(report *r, const tamis_param_desc *table, size_t n);

/* "real in [0, 1], default 0.5": type, bounds and default of a parameter. */
void param_text(const tamis_param_desc *desc, char *buffer, size_t size);

#endif
