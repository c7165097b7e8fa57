/* tamis help: the same as --help.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "command.h"
#include "help.h"

typedef struct help_args {
    common_args common;
    const char *name;
} help_args;

static const operand operands[] = {
    {.name = "COMMAND",
     .help = "tell about this command; without it, list them",
     .max = 1,
     .at = offsetof(help_args, name),
     .name_at = command_name_at,
     .strict = true},
};

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const help_args *args = cookie;
    (void)s, (void)err;
    if (args->name)
        help_complete(stdout, command_find(args->name));
    else
        help_overview(stdout);
    return TAMIS_OK;
}

const command cmd_help = {
    .name = "help",
    .group = "About",
    .summary = "tell everything about a command",
    .synopsis = "[COMMAND]",
    .description = "'tamis help COMMAND' prints what 'tamis COMMAND --help' does.",
    .operands = operands,
    .n_operands = LEN(operands),
    .args_size = sizeof(help_args),
    .run = run,
};
