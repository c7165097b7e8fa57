/* How far a long call has come, on standard error.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_PROGRESS_H
#define TAMIS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum progress_style {
    PROGRESS_AUTO = 0, /* a bar on a terminal, else nothing */
    PROGRESS_NEVER,
    PROGRESS_PLAIN, /* a line every 30 s and at the end of a phase */
    PROGRESS_JSON,  /* an object a line, at most ten a second and one at the end of a phase */
    PROGRESS_BAR    /* what AUTO becomes on a terminal */
} progress_style;

typedef struct progress {
    progress_style style;
    char phase[64]; /* the current one; empty before the first */
    double began;   /* when the phase began */
    double shown;   /* when it was last shown, 0 = never */
    uint64_t first; /* units done when the phase began: resumed runs do not start at 0 */
    uint64_t done, total;
    char unit[32], note[128];
    bool drawn;    /* the bar stands on the terminal's line */
    bool complete; /* the end of the phase was shown */
} progress;

void progress_begin(progress *p, progress_style style, bool quiet);
void progress_update(progress *p, const char *phase, uint64_t done, uint64_t total,
                     const char *unit, const char *note);
/* Wipe the bar so that a line can be printed; it comes back with the next update. */
void progress_clear(progress *p);
void progress_end(progress *p);

#endif
