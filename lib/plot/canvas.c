/* The page, on PLplot, which has one state for the whole process and ends the process on errors: it
 * is locked while a page is drawn, and jumped out of before it gets that far.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "plot/canvas.h"

#include <math.h>
#include <plplot/plplot.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* A pixel is a point of 1/72 inch. */
#define DPI   72.0
#define PIXEL (25.4 / DPI)
/* PLplot's character heights, in millimetres, of a font of one pixel. */
#define CHARACTER (PIXEL / 1.3333)

enum { DEVICES = 64, SCRATCH_COLOUR = 15, TEXT_SIZE = 1024 };

/* The page being drawn. PLplot's handlers take no cookie. */
typedef struct page {
    tamis__canvas_bytes bytes;
    size_t room;
    double width, height;
    bool full;   /* out of memory for `bytes` */
    bool closed; /* PLplot has closed the file */
    bool guarded;
    jmp_buf giving_up;
    PLINT trouble;
    char message[256], unprinted[8192];
} page;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static page *current;

/* Instead of printing and exit(). While the page is being closed there is nothing left to jump
 * to. */
static void give_up(const char *message)
{
    if (!current || !current->guarded) return;
    current->guarded = false;
    snprintf(current->message, sizeof current->message, "%s", message ? message : "");
    for (char *c = current->message; *c; c++)
        if (*c == '\n') *c = ' ';
    longjmp(current->giving_up, 1);
}

static int give_up_exit(const char *message)
{
    give_up(message);
    return 0;
}

/* --- the file that PLplot writes ------------------------------------------------------------ */

static ssize_t keep(void *cookie, const char *bytes, size_t size)
{
    page *p = cookie;
    if (p->full || size == 0) return (ssize_t)size;
    if (size > p->room - p->bytes.size) {
        size_t room = (p->bytes.size + size) * 2;
        unsigned char *grown = tamis__realloc(p->bytes.data, room, 1);
        if (!grown) {
            p->full = true;
            return (ssize_t)size; /* told at the end: drivers print when a write fails */
        }
        p->bytes.data = grown;
        p->room = room;
    }
    memcpy(p->bytes.data + p->bytes.size, bytes, size);
    p->bytes.size += size;
    return (ssize_t)size;
}

static int closing(void *cookie)
{
    ((page *)cookie)->closed = true;
    return 0;
}

/* --- drawing -------------------------------------------------------------------------------- */

void tamis__canvas_colour(const uint8_t rgb[3], double opacity)
{
    plscol0a(SCRATCH_COLOUR, rgb[0], rgb[1], rgb[2], opacity);
    plcol0(SCRATCH_COLOUR);
}

/* In micrometres: dashes and the spaces after them. */
static void set_dash(unsigned dash)
{
    static const PLINT mark[TAMIS__CANVAS_DASHES][4] = {{0}, {2600}, {800}, {3600, 800}};
    static const PLINT space[TAMIS__CANVAS_DASHES][4] = {{0}, {1300}, {900}, {1000, 1000}};
    static const PLINT parts[TAMIS__CANVAS_DASHES] = {0, 1, 1, 2};
    plstyl(parts[dash], mark[dash], space[dash]);
}

/* A window of the page's pixels, upside down. */
static void open_window(const page *p)
{
    pladv(0);
    plvpor(0, 1, 0, 1);
    plwind(0, p->width, p->height, 0);
}

void tamis__canvas_line(size_t points, const double *x, const double *y, double width,
                        unsigned dash)
{
    plwidth(width);
    set_dash(dash);
    plline((PLINT)points, x, y);
    set_dash(0);
}

void tamis__canvas_fill(size_t points, const double *x, const double *y)
{
    plfill((PLINT)points, x, y);
}

void tamis__canvas_text(double x, double y, double size, bool bold, double degrees, double align,
                        const char *text)
{
    char escaped[TEXT_SIZE];
    size_t used = 0;
    for (; *text && used + 2 < sizeof escaped; text++) {
        if (*text == '#') escaped[used++] = '#'; /* begins PLplot's own commands */
        escaped[used++] = *text;
    }
    escaped[used] = '\0';
    double radians = degrees * (M_PI / 180);
    plsfont(PL_FCI_SANS, PL_FCI_UPRIGHT, bold ? PL_FCI_BOLD : PL_FCI_MEDIUM);
    plschr(size * CHARACTER, 1);
    /* The window is upside down. */
    plptex(x, y, cos(radians), -sin(radians), align, escaped);
}

/* --- a page --------------------------------------------------------------------------------- */

static tamis_status find_driver(const char *driver, const char *package, tamis_error *err)
{
    const char *menu[DEVICES], *name[DEVICES], **menus = menu, **names = name;
    int devices = DEVICES;
    plgDevs(&menus, &names, &devices);
    for (int i = 0; i < devices; i++)
        if (!strcmp(name[i], driver)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                       "PLplot has no driver '%s': install the Debian package %s", driver, package);
}

static void start_page(page *p, FILE *file, const char *driver)
{
    plsError(&p->trouble, p->unprinted);
    plsdev(driver);
    plsfile(file);
    plspage(DPI, DPI, (PLINT)p->width, (PLINT)p->height, 0, 0);
    plscolbg(255, 255, 255);
    plinit();
    open_window(p);
}

/* Ends PLplot's stream. Its file is closed by the driver, unless that never began. */
static void finish_page(page *p, FILE *file)
{
    plend1();
    if (!p->closed) {
        plsfile(NULL);
        fclose(file);
    }
}

static tamis_status draw_page(page *p, FILE *file, tamis__canvas_kind kind, tamis__canvas_fn draw,
                              void *cookie, tamis_error *err)
{
    const char *driver = kind == TAMIS__CANVAS_SVG ? "svg" : "pngcairo";
    const char *package = kind == TAMIS__CANVAS_SVG ? "libplplot17" : "plplot-driver-cairo";
    /* Changed after setjmp() and read after the jump. */
    volatile bool started = false;
    volatile PLINT before = 0;
    volatile tamis_status status = TAMIS_OK;
    if (setjmp(p->giving_up) == 0) {
        p->guarded = true;
        status = find_driver(driver, package, err);
        if (status == TAMIS_OK) {
            PLINT stream;
            plgstrm(&stream);
            before = stream;
            plmkstrm(&stream);
            started = true;
            start_page(p, file, driver);
            draw(cookie);
        }
        p->guarded = false;
    } else {
        /* Before a page is begun only the drivers themselves have been looked for. */
        status = started
                     ? tamis__fail(err, TAMIS_ERR_IO, "PLplot cannot draw with its driver '%s': %s",
                                   driver, p->message)
                     : tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                                   "PLplot has no driver '%s' (%s): install the Debian package "
                                   "%s",
                                   driver, p->message, package);
    }
    if (started) {
        finish_page(p, file);
        plsstrm(before);
    } else {
        fclose(file);
    }
    return status;
}

tamis_status tamis__canvas_draw(tamis__canvas_kind kind, unsigned width, unsigned height,
                                tamis__canvas_fn draw, void *cookie, tamis__canvas_bytes *ret_bytes,
                                tamis_error *err)
{
    page *p = tamis__calloc(1, sizeof *p);
    if (!p) return tamis__fail_memory(err, "a picture", sizeof *p);
    p->width = width;
    p->height = height;
    cookie_io_functions_t functions = {.write = keep, .close = closing};
    FILE *file = fopencookie(p, "wb", functions);
    if (!file) {
        free(p);
        return tamis__fail_memory(err, "a picture", 0);
    }
    pthread_mutex_lock(&lock);
    current = p;
    plsexit(give_up_exit);
    plsabort(give_up);
    tamis_status status = draw_page(p, file, kind, draw, cookie, err);
    plsexit(NULL);
    plsabort(NULL);
    current = NULL;
    pthread_mutex_unlock(&lock);
    if (status == TAMIS_OK && p->full) status = tamis__fail_memory(err, "a picture", p->bytes.size);
    if (status == TAMIS_OK)
        *ret_bytes = p->bytes;
    else
        free(p->bytes.data);
    free(p);
    return status;
}
