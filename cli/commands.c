/* The table of commands.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "command.h"

extern const command cmd_demo, cmd_train, cmd_grad, cmd_import, cmd_convert, cmd_fit, cmd_merge,
    cmd_score, cmd_select, cmd_manifest, cmd_export, cmd_explain, cmd_diff, cmd_inspect,
    cmd_evaluate, cmd_transport, cmd_cluster, cmd_list, cmd_version, cmd_help;

/* In the order of the overview; commands of a group stand together. */
static const command *const commands[] = {
    &cmd_demo,      &cmd_train,   &cmd_grad,  &cmd_import,  &cmd_convert,
    &cmd_fit,       &cmd_merge,   &cmd_score, &cmd_select,  &cmd_manifest,
    &cmd_export,    &cmd_explain, &cmd_diff,  &cmd_inspect, &cmd_evaluate,
    &cmd_transport, &cmd_cluster, &cmd_list,  &cmd_version, &cmd_help,
};

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
