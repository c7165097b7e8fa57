/* Run a command and say how much memory it took at most.
 *
 * Usage: peak MIB COMMAND [ARGUMENT]...
 * Prints the peak resident set in MiB, mapped pages of files included, on standard output. Exits
 * with the command's status, 1 when the peak is above MIB, and 125 when the command could not be
 * run or was killed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a program maps at its start comes with its parent: fork() from this small one. */
static pid_t start(char **command)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    int none = open("/dev/null", O_WRONLY);
    if (none >= 0) dup2(none, STDOUT_FILENO);
    execvp(command[0], command);
    perror(command[0]);
    _exit(125);
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: peak MIB COMMAND [ARGUMENT]...\n");
        return 125;
    }
    double limit = atof(argv[1]);
    pid_t pid = start(argv + 2);
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid) {
        perror("peak");
        return 125;
    }
    double mib = (double)used.ru_maxrss / 1024.0;
    printf("%.0f\n", mib);
    if (!WIFEXITED(status)) return 125;
    if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
    return mib > limit;
}
