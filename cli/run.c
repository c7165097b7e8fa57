/* One command from its words to its exit code.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "help.h"
#include "signals.h"

static int exit_code(tamis_status status)
{
    switch (status) {
    case TAMIS_OK: return EXIT_DONE;
    case TAMIS_ERR_ARG: return EXIT_USAGE;
    case TAMIS_ERR_FORMAT:
    case TAMIS_ERR_SHAPE:
    case TAMIS_ERR_UNSUPPORTED: return EXIT_DATA;
    case TAMIS_ERR_NUMERIC: return EXIT_NUMERIC;
    case TAMIS_ERR_CHECK: return EXIT_CHECK;
    case TAMIS_ERR_CANCELLED: return signals_caught() ? 128 + signals_caught() : EXIT_FAILED;
    case TAMIS_ERR_NOMEM:
    case TAMIS_ERR_IO: break;
    }
    return EXIT_FAILED;
}

static int report_failure(const char *name, tamis_status status, const tamis_error *err)
{
    const char *message = *err->message ? err->message : tamis_status_name(status);
    if (status == TAMIS_ERR_ARG)
        fprintf(stderr, "tamis %s: %s (try 'tamis %s --help')\n", name, message, name);
    else
        fprintf(stderr, "tamis %s: %s\n", name, message);
    return exit_code(status);
}

static int unknown_command(const char *name)
{
    const char *names[64];
    size_t n = 0;
    const command *cmd;
    tamis_error err;
    while (n < LEN(names) && (cmd = command_at(n))) names[n++] = cmd->name;
    const char *near = tamis_suggest(name, names, n);
    if (near)
        fail(&err, TAMIS_ERR_ARG, "unknown command '%s': did you mean '%s'?", name, near);
    else
        fail(&err, TAMIS_ERR_ARG, "unknown command '%s'", name);
    fprintf(stderr, "tamis: %s (try 'tamis --help')\n", err.message);
    return EXIT_USAGE;
}

static tamis_status run_parsed(const invocation *inv, tamis_error *err)
{
    session s;
    tamis_status status = session_open(&s, inv, err);
    if (status == TAMIS_OK) status = inv->cmd->run(&s, inv->args, err);
    session_close(&s);
    return status;
}

int run_command(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "";
    const command *cmd = command_find(name);
    if (!cmd) return unknown_command(name);
    tamis_error err = {0};
    invocation inv;
    tamis_status status = invocation_parse(&inv, cmd, argc - 1, argv + 1, &err);
    if (status == TAMIS_OK) {
        if (inv.help == 'h')
            help_short(stdout, cmd);
        else if (inv.help)
            help_complete(stdout, cmd);
        else
            status = run_parsed(&inv, &err);
    }
    invocation_free(&inv);
    return status == TAMIS_OK ? EXIT_DONE : report_failure(name, status, &err);
}
