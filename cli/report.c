/* The result of a command: aligned lines for people, or one JSON object.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "report.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "command.h"

#define LABEL_WIDTH 18

enum { SCHEMA = 1 };

void report_begin(report *r, const session *s)
{
    *r = (report){.machine = s->common->json, .human = session_speaks(s), .width = LABEL_WIDTH};
    if (!r->machine) return;
    json_begin(&r->j, stdout);
    json_put_object(&r->j, NULL);
    json_put_uint(&r->j, "schema", SCHEMA);
    json_put_text(&r->j, "command", s->cmd->name);
}

void report_end(report *r)
{
    if (!r->machine) return;
    json_close(&r->j);
    json_end(&r->j);
}

static void label(const report *r, const char *key)
{
    int used = 0;
    for (; *key; key++, used++) putchar(*key == '_' ? ' ' : *key);
    printf("%*s", used < r->width ? r->width - used : 1, "");
}

void report_labelled(report *r, const char *key, const char *format, ...)
{
    if (!r->human) return;
    va_list args;
    label(r, key);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void report_line(report *r, const char *format, ...)
{
    if (!r->human) return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void report_text(report *r, const char *key, const char *value)
{
    if (r->machine) json_put_text(&r->j, key, value);
    report_labelled(r, key, "%s", value);
}

void report_count(report *r, const char *key, uint64_t value)
{
    char text[32];
    if (r->machine) json_put_uint(&r->j, key, value);
    report_labelled(r, key, "%s", count_text(value, text, sizeof text));
}

void report_bytes(report *r, const char *key, uint64_t bytes)
{
    char text[32];
    if (r->machine) json_put_uint(&r->j, key, bytes);
    report_labelled(r, key, "%s", bytes_text((double)bytes, text, sizeof text));
}

void report_real(report *r, const char *key, double value, int decimals)
{
    if (r->machine) json_put_real(&r->j, key, value);
    report_labelled(r, key, "%.*f", decimals, value);
}

void report_share(report *r, const char *key, double share)
{
    if (r->machine) json_put_real(&r->j, key, share);
    report_labelled(r, key, "%.2f%%", 100 * share);
}

void report_rate(report *r, const char *key, double rate, const char *unit)
{
    char text[32];
    if (r->machine) json_put_real(&r->j, key, rate);
    if (rate >= 100)
        report_labelled(r, unit, "%s", count_text((uint64_t)(rate + 0.5), text, sizeof text));
    else
        report_labelled(r, unit, "%.2f", rate);
}

void report_seconds(report *r, double value)
{
    if (r->machine) json_put_real(&r->j, "seconds", value);
    report_labelled(r, "seconds", "%.2f", value);
}

/* --- parameter tables ------------------------------------------------------------------------- */

static const char *const type_names[] = {
    [TAMIS_PARAM_REAL] = "real",       [TAMIS_PARAM_INTEGER] = "integer",
    [TAMIS_PARAM_BOOLEAN] = "boolean", [TAMIS_PARAM_CHOICE] = "choice",
    [TAMIS_PARAM_STRING] = "string",
};

static bool is_number(const tamis_param_desc *desc)
{
    return desc->type == TAMIS_PARAM_REAL || desc->type == TAMIS_PARAM_INTEGER;
}

/* Tables write the largest numbers there are for "no bound", and NaN for "no default". */
static bool is_bound(double value)
{
    return fabs(value) < DBL_MAX;
}

static const char *default_text(const tamis_param_desc *desc, char *buffer, size_t size)
{
    switch (desc->type) {
    case TAMIS_PARAM_BOOLEAN: return desc->fallback > 0 ? "true" : "false";
    case TAMIS_PARAM_CHOICE: return desc->choices[(size_t)desc->fallback];
    case TAMIS_PARAM_STRING: return desc->fallback_text ? desc->fallback_text : "";
    case TAMIS_PARAM_REAL:
    case TAMIS_PARAM_INTEGER: break;
    }
    if (isnan(desc->fallback)) return "";
    snprintf(buffer, size, "%.10g", desc->fallback);
    return buffer;
}

void param_text(const tamis_param_desc *desc, char *buffer, size_t size)
{
    char number[40];
    const char *fallback = default_text(desc, number, sizeof number);
    size_t used = (size_t)snprintf(buffer, size, "%s", type_names[desc->type]);
    if (is_number(desc) && is_bound(desc->min))
        used += (size_t)snprintf(buffer + used, size - used, " from %.10g", desc->min);
    if (is_number(desc) && is_bound(desc->max))
        used += (size_t)snprintf(buffer + used, size - used, " up to %.10g", desc->max);
    for (size_t i = 0; desc->type == TAMIS_PARAM_CHOICE && desc->choices[i] && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? ", " : ": ",
                                 desc->choices[i]);
    if (*fallback && used < size) snprintf(buffer + used, size - used, "; default %s", fallback);
}

static void json_param(json *j, const tamis_param_desc *desc)
{
    json_put_object(j, NULL);
    json_put_text(j, "name", desc->name);
    json_put_text(j, "help", desc->help);
    json_put_text(j, "type", type_names[desc->type]);
    if (is_number(desc)) {
        json_put_real(j, "min", is_bound(desc->min) ? desc->min : (double)NAN);
        json_put_real(j, "max", is_bound(desc->max) ? desc->max : (double)NAN);
        json_put_real(j, "default", desc->fallback);
    } else if (desc->type == TAMIS_PARAM_BOOLEAN) {
        json_put_bool(j, "default", desc->fallback > 0);
    } else {
        json_put_text(j, "default", default_text(desc, NULL, 0));
    }
    if (desc->type == TAMIS_PARAM_CHOICE) {
        json_put_array(j, "choices");
        for (size_t i = 0; desc->choices[i]; i++) json_put_text(j, NULL, desc->choices[i]);
        json_close(j);
    }
    json_close(j);
}

void report_params(report *r, const tamis_param_desc *table, size_t n)
{
    char text[256];
    if (r->machine) {
        json_put_array(&r->j, "params");
        for (size_t i = 0; i < n; i++) json_param(&r->j, &table[i]);
        json_close(&r->j);
    }
    for (size_t i = 0; i < n; i++) {
        param_text(&table[i], text, sizeof text);
        report_line(r, "    %-14s %s (%s)", table[i].name, table[i].help, text);
    }
}
