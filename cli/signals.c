/* Signals: the first asks to stop, the second kills; temporary files are removed either way.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "signals.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

/* More than the library ever has open at once; those beyond are left behind by a second signal. */
#define MAX_TEMPORARIES 64

/* A handler has no argument of ours, so this state cannot live anywhere else. */
static atomic_int caught;
static atomic_bool listed[MAX_TEMPORARIES];
static char temporary[MAX_TEMPORARIES][PATH_MAX];

/* A reader that went away does not come back, so SIGPIPE kills at once. */
static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGBUS};

/* Only async-signal-safe calls: unlink, sigaction, raise. */
static void die_of(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void remove_temporaries(void)
{
    for (int i = 0; i < MAX_TEMPORARIES; i++)
        if (atomic_load(&listed[i])) unlink(temporary[i]);
}

static void on_fatal(int number)
{
    remove_temporaries();
    die_of(number);
}

/* A hexadecimal number, and the character behind it. */
static const char *hexadecimal(const char *p, uintptr_t *ret_number)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit;
    for (*ret_number = 0; *p && (digit = strchr(digits, *p)); p++)
        *ret_number = *ret_number << 4 | (uintptr_t)(digit - digits);
    return *p ? p + 1 : p;
}

/* The file of a line "first-end flags offset device inode   /path" that holds the address, or
 * NULL. */
static const char *file_of(const char *line, uintptr_t address)
{
    uintptr_t first, end;
    line = hexadecimal(hexadecimal(line, &first), &end);
    return address >= first && address < end ? strchr(line, '/') : NULL;
}

/* Which file is mapped there: what the system lists, a line at a time. Empty when it is not found.
 */
static void find_mapped(uintptr_t address, char *path, size_t size)
{
    char line[PATH_MAX + 100], c;
    size_t n = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (*path = '\0'; fd >= 0 && !*path && read(fd, &c, 1) == 1;) {
        if (c != '\n') {
            if (n + 1 < sizeof line) line[n++] = c;
            continue;
        }
        line[n] = '\0';
        n = 0;
        const char *found = file_of(line, address);
        if (found && strlen(found) < size) memcpy(path, found, strlen(found) + 1);
    }
    if (fd >= 0) close(fd);
}

static void tell(const char *text)
{
    ssize_t told = write(STDERR_FILENO, text, strlen(text));
    (void)told; /* whether it was read changes nothing */
}

/* Inputs are mapped: where a file was cut short since it was looked at, touching its end comes
 * here. That is a failure like any other, with its message and its exit status. Only functions that
 * are safe in a handler. */
static void on_bus(int number, siginfo_t *info, void *where)
{
    char path[PATH_MAX];
    (void)where;
    if (info->si_code <= 0) on_fatal(number); /* sent by a process */
    remove_temporaries();
    find_mapped((uintptr_t)info->si_addr, path, sizeof path);
    tell("tamis: ");
    tell(*path ? "'" : "an input");
    tell(path);
    tell(*path ? "'" : "");
    tell(" was cut short while it was read; run the command again once it is whole\n");
    _exit(EXIT_FAILED);
}

static void on_signal(int number)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&caught, &none, number)) on_fatal(number);
}

void signals_install(void)
{
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
        if (handled[i] == SIGPIPE) action.sa_handler = on_fatal;
        if (handled[i] == SIGBUS) {
            action.sa_flags = SA_SIGINFO;
            action.sa_sigaction = on_bus;
        }
        sigemptyset(&action.sa_mask);
        /* nohup and shells that start background jobs ignore signals on purpose. */
        if (sigaction(handled[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
        sigaction(handled[i], &action, NULL);
    }
    /* A write past the file size limit then fails with an ordinary error, and is cleaned up. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGXFSZ, &ignore, NULL);
}

int signals_caught(void)
{
    return atomic_load(&caught);
}

void signals_reraise(void)
{
    int number = signals_caught();
    if (number) die_of(number);
}

static void forget(const char *path)
{
    for (int i = 0; i < MAX_TEMPORARIES; i++)
        if (atomic_load(&listed[i]) && !strcmp(temporary[i], path)) atomic_store(&listed[i], false);
}

void signals_temporary(const char *path, bool exists)
{
    forget(path);
    size_t size = strlen(path);
    if (!exists || size >= PATH_MAX) return;
    for (int i = 0; i < MAX_TEMPORARIES; i++) {
        if (atomic_load(&listed[i])) continue;
        memcpy(temporary[i], path, size + 1);
        atomic_store(&listed[i], true); /* last: the handler may run between any two lines */
        return;
    }
}
