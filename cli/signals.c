/* Signals: the first asks to stop, the second kills; temporary files are removed either way.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "signals.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
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

/* Inputs are mapped: where a file was cut short since it was looked at, touching its end comes here.
 * That is a failure like any other, with its message and its exit status. Only async-signal-safe
 * calls. */
static void on_bus(int number, siginfo_t *info, void *where)
{
    static const char message[] = "tamis: an input was cut short while it was read\n";
    (void)where;
    if (info->si_code <= 0) on_fatal(number); /* sent by a process */
    remove_temporaries();
    ssize_t told = write(STDERR_FILENO, message, sizeof message - 1);
    (void)told; /* whether it was read changes nothing */
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
