/* The table of commands.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "command.h"

#define COMMANDS(X)                                                                                \
    X(train) X(grad) X(import) X(score) X(select) X(manifest) X(inspect) X(export) X(evaluate)     \
    X(list) X(version) X(help)

#define DECLARE(name) extern const command cmd_##name;
#define ENTRY(name)   &cmd_##name,

COMMANDS(DECLARE)

static const command *const commands[] = {COMMANDS(ENTRY)};

const command *command_at(size_t i)
{
    return i < LEN(commands) ? commands[i] : NULL;
}

const command *command_find(const char *name)
{
    for (size_t i = 0; i < LEN(commands); i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

const char *command_name_at(size_t i, const char **ret_summary)
{
    const command *cmd = command_at(i);
    if (!cmd) return NULL;
    if (ret_summary) *ret_summary = cmd->summary;
    return cmd->name;
}
