/* Help, man pages and completions, all from the command tables.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_HELP_H
#define TAMIS_CLI_HELP_H

#include <stdio.h>

#include "command.h"

/* What `tamis` is and its commands. */
void help_overview(FILE *file);
/* `tamis CMD -h`. */
void help_short(FILE *file, const command *cmd);
/* `tamis CMD --help`. */
void help_complete(FILE *file, const command *cmd);

/* roff; `cmd` NULL = tamis(1) itself. */
void man_write(FILE *file, const command *cmd);

/* `shell`: "bash", "zsh" or "fish"; false when it is none of them. */
bool completion_write(FILE *file, const char *shell);

/* "-o, --output" of an option, and its value's name in this command or NULL. */
const char *option_term(const opt *option, char *buffer, size_t size);
const char *option_value(const command *cmd, const opt *option);

#endif
