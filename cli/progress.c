/* How far a long call has come, on standard error.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fail.h"
#include "json.h"

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS  30.0
#define BAR_CELLS      20

static bool dumb_terminal(void)
{
    const char *term = getenv("TERM");
    return !isatty(STDERR_FILENO) || !term || !strcmp(term, "dumb");
}

void progress_begin(progress *p, progress_style style, bool quiet)
{
    *p = (progress){.style = style};
    if (style == PROGRESS_AUTO) p->style = dumb_terminal() ? PROGRESS_NEVER : PROGRESS_BAR;
    if (quiet) p->style = PROGRESS_NEVER;
}

/* --- figures ---------------------------------------------------------------------------------- */

typedef struct figures {
    double elapsed, rate, left; /* seconds, units a second, seconds; < 0 = not known */
    double share;               /* 0..1; < 0 = not known */
} figures;

static figures measure(const progress *p, double now)
{
    figures f = {.elapsed = now - p->began, .rate = -1, .left = -1, .share = -1};
    if (p->total) f.share = p->done >= p->total ? 1 : (double)p->done / (double)p->total;
    uint64_t moved = p->done > p->first ? p->done - p->first : 0;
    if (moved && f.elapsed > 0) f.rate = (double)moved / f.elapsed;
    if (f.rate > 0 && p->total)
        f.left = (double)(p->done < p->total ? p->total - p->done : 0) / f.rate;
    return f;
}

static const char *rate_text(double rate, const char *unit, char *buffer, size_t size)
{
    const char *prefix = "";
    if (rate >= 1e9) rate /= 1e9, prefix = "G";
    if (rate >= 1e6) rate /= 1e6, prefix = "M";
    if (rate >= 1e4) rate /= 1e3, prefix = "k";
    snprintf(buffer, size,
             rate < 10    ? "%.2f%s %s/s"
             : rate < 100 ? "%.1f%s %s/s"
                          : "%.0f%s %s/s",
             rate, prefix, unit);
    return buffer;
}

static const char *time_text(double time, char *buffer, size_t size)
{
    uint64_t s = time < 3.6e8 ? (uint64_t)(time + 0.5) : UINT64_C(360000000);
    if (s >= 3600)
        snprintf(buffer, size, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else
        snprintf(buffer, size, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
    return buffer;
}

/* "42%  1234/5678 rows  820 rows/s  0:12 left  loss 0.31" */
static void line_text(const progress *p, const figures *f, char *line, size_t size)
{
    char part[64];
    size_t used = 0;
    *line = '\0';
#define ADD(...)                                                                                   \
    (used += (size_t)snprintf(line + used, size - used, __VA_ARGS__),                              \
     used = used < size ? used : size - 1)
    if (f->share >= 0)
        ADD("%3.0f%%  %" PRIu64 "/%" PRIu64 " %s", 100 * f->share, p->done, p->total, p->unit);
    else
        ADD("%" PRIu64 " %s", p->done, p->unit);
    if (f->rate > 0) ADD("  %s", rate_text(f->rate, p->unit, part, sizeof part));
    if (f->share >= 1)
        ADD("  in %s", time_text(f->elapsed, part, sizeof part));
    else if (f->left >= 0)
        ADD("  %s left", time_text(f->left, part, sizeof part));
    if (*p->note) ADD("  %s", p->note);
#undef ADD
}

/* --- the three ways to show it ---------------------------------------------------------------- */

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20) return 80;
    return size.ws_col;
}

/* The bar takes the room that the figures leave; a few fixed widths, so that it does not jitter. */
static void show_bar(progress *p, const figures *f)
{
    char text[400], bar[BAR_CELLS + 1], line[600];
    line_text(p, f, text, sizeof text);
    size_t width = terminal_width() - 1, used = strlen(p->phase) + strlen(text) + 4;
    size_t room = width > used ? width - used : 0, cells = BAR_CELLS;
    while (cells > room) cells /= 2;
    memset(bar, '.', cells);
    bar[cells] = '\0';
    if (f->share > 0) memset(bar, '#', (size_t)(f->share * (double)cells));
    if (f->share >= 0 && cells >= BAR_CELLS / 4)
        snprintf(line, sizeof line, "%s [%s] %s", p->phase, bar, text);
    else
        snprintf(line, sizeof line, "%s  %s", p->phase, text);
    fprintf(stderr, "\r\033[K%.*s", (int)width, line);
    fflush(stderr);
    p->drawn = true;
}

static void show_plain(const progress *p, const figures *f)
{
    char text[400];
    line_text(p, f, text, sizeof text);
    fprintf(stderr, "tamis: %s: %s\n", p->phase, text + strspn(text, " "));
}

static void show_json(const progress *p, const figures *f)
{
    json j;
    json_begin(&j, stderr);
    json_put_object(&j, NULL);
    json_put_text(&j, "phase", p->phase);
    json_put_uint(&j, "done", p->done);
    if (p->total)
        json_put_uint(&j, "total", p->total);
    else
        json_put_null(&j, "total");
    json_put_text(&j, "unit", p->unit);
    json_put_real(&j, "seconds", f->elapsed);
    json_put_real(&j, "rate", f->rate < 0 ? (double)NAN : f->rate);
    json_put_real(&j, "seconds_left", f->left < 0 ? (double)NAN : f->left);
    if (*p->note)
        json_put_text(&j, "note", p->note);
    else
        json_put_null(&j, "note");
    json_close(&j);
    json_end(&j);
}

static void show(progress *p, double now)
{
    figures f = measure(p, now);
    if (p->style == PROGRESS_BAR) show_bar(p, &f);
    if (p->style == PROGRESS_PLAIN) show_plain(p, &f);
    if (p->style == PROGRESS_JSON) show_json(p, &f);
    p->shown = now;
}

/* --- updates ---------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

static void start_phase(progress *p, const char *phase, uint64_t done, double now)
{
    copy(p->phase, sizeof p->phase, phase);
    p->began = now;
    p->shown = 0;
    p->first = done;
    p->complete = false;
}

/* The last state of a phase that was never shown whole. */
static void finish_phase(progress *p, double now)
{
    if (*p->phase && !p->complete && p->style != PROGRESS_BAR && p->done > p->first) show(p, now);
    progress_clear(p);
}

void progress_update(progress *p, const char *phase, uint64_t done, uint64_t total,
                     const char *unit, const char *note)
{
    if (p->style == PROGRESS_NEVER) return;
    double now = seconds();
    if (strncmp(p->phase, phase, sizeof p->phase - 1) != 0 || done < p->done) {
        finish_phase(p, now);
        start_phase(p, phase, done, now);
    }
    p->done = done;
    p->total = total;
    copy(p->unit, sizeof p->unit, unit);
    copy(p->note, sizeof p->note, note);
    double pause = p->style == PROGRESS_PLAIN ? PLAIN_SECONDS : REDRAW_SECONDS;
    bool last = total && done >= total && !p->complete;
    double since = p->shown > 0 ? p->shown : p->style == PROGRESS_PLAIN ? p->began : 0;
    if (!last && now - since < pause) return;
    show(p, now);
    if (last) p->complete = true;
}

void progress_clear(progress *p)
{
    if (!p->drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    p->drawn = false;
}

void progress_end(progress *p)
{
    if (p->style == PROGRESS_NEVER) return;
    finish_phase(p, seconds());
    p->style = PROGRESS_NEVER;
}
