/* Signals: the first asks to stop, the second kills; temporary files are removed either way.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_SIGNALS_H
#define TAMIS_CLI_SIGNALS_H

#include <stdbool.h>

/* Install the handlers once, at the start of the program. */
void signals_install(void);

/* The signal that asked to stop, 0 = none. */
int signals_caught(void);

/* End the program the way the caught signal would have; returns only when none was caught. */
void signals_reraise(void);

/* Remember or forget a temporary file (see tamis_temporary_fn). */
void signals_temporary(const char *path, bool exists);

#endif
