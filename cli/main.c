/* tamis: training-data influence and selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "help.h"
#include "signals.h"

static int print_man(const char *name)
{
    const command *cmd = name ? command_find(name) : NULL;
    if (!cmd && (!name || strcmp(name, "tamis") != 0)) {
        fprintf(stderr,
                "tamis: --man wants the name of a command, or tamis (try 'tamis --help')\n");
        return EXIT_USAGE;
    }
    man_write(stdout, cmd);
    return EXIT_DONE;
}

static int print_completion(const char *shell)
{
    if (shell && completion_write(stdout, shell)) return EXIT_DONE;
    fprintf(stderr, "tamis: --completion wants bash, zsh or fish (try 'tamis --help')\n");
    return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help_overview(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1], *next = argc > 2 ? argv[2] : NULL;
    /* As part of selecting, under the names that these have of their own. */
    if (!strcmp(word, "select") && next && (!strcmp(next, "diff") || !strcmp(next, "explain")))
        return run_command(argc - 2, argv + 2);
    if (word[0] != '-') return run_command(argc - 1, argv + 1);
    if (!strcmp(word, "--man")) return print_man(next);
    if (!strcmp(word, "--completion")) return print_completion(next);
    if (!strcmp(word, "-h") || !strcmp(word, "--help")) {
        help_overview(stdout);
        return EXIT_DONE;
    }
    if (!strcmp(word, "--version")) {
        printf("tamis %s\n", tamis_version());
        return EXIT_DONE;
    }
    tamis_error err;
    fail(&err, TAMIS_ERR_ARG, "unknown option '%s': a command comes first", word);
    fprintf(stderr, "tamis: %s (try 'tamis --help')\n", err.message);
    return EXIT_USAGE;
}

/* Results that did not reach their reader are not results. */
static int close_output(int code)
{
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) == 0 && !failed) return code;
    if (errno)
        fprintf(stderr, "tamis: cannot write standard output: %s\n", strerror(errno));
    else
        fprintf(stderr, "tamis: cannot write standard output\n");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

/* With a standard file closed, the next file opened would take its number, and what we print would
 * land in it. Opened the wrong way round, so that using it is still an error. */
static void occupy_standard_files(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    occupy_standard_files();
    signals_install();
    int code = close_output(dispatch(argc, argv));
    signals_reraise();
    return code;
}
