/* An input that another program changes while it is read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_CHANGED_INPUT_H
#define TAMIS_TEST_CHANGED_INPUT_H

#include <fcntl.h>
#include <tamis/context.h>

#include "manifest_files.h"

/* What a callback knows: at the report with this number the file is changed. */
typedef struct change {
    const char *path;
    enum { GROWN, CUT_SHORT, WRITTEN_TO, CHANGES } how;
    int left;
    bool done;
} change;

static inline void change_now(const change *c)
{
    struct stat st;
    int fd = open(c->path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    if (c->how != WRITTEN_TO)
        ck_assert_int_eq(ftruncate(fd, c->how == CUT_SHORT ? st.st_size / 2 : st.st_size + 1), 0);
    else /* a second later by its time stamp, which may be coarse */
        ck_assert_int_eq(
            futimens(fd, (struct timespec[]){st.st_atim, {.tv_sec = st.st_mtim.tv_sec + 1}}), 0);
    ck_assert_int_eq(close(fd), 0);
}

static inline int change_at_report(void *cookie, const char *phase, uint64_t done, uint64_t total,
                                   const char *unit, const char *note)
{
    change *c = cookie;
    (void)phase, (void)done, (void)total, (void)unit, (void)note;
    if (c->left-- != 0) return 0;
    change_now(c);
    c->done = true;
    return 0;
}

/* Whatever happens to `path` at whichever report, the run says so and leaves nothing; `make` makes
 * the input anew. The last report comes before the outputs are put in place. */
static inline void check_changes(tamis_manifest_params p, const char *path, void (*make)(void))
{
    char wanted[100];
    snprintf(wanted, sizeof wanted, "'%s' was changed while it was read", path);
    for (int how = 0; how < CHANGES; how++) {
        int reports = 0;
        for (bool done = true; done; reports++) {
            change c = {.path = path, .how = how, .left = reports};
            tamis_context *context = NULL;
            tamis_context_params params = {
                .threads = 2, .progress = change_at_report, .cookie = &c};
            make();
            ck_ok(tamis_context_create(&context, &params, &err));
            tamis_status status = tamis_manifest_write(context, &p, NULL, &err);
            tamis_context_destroy(&context);
            done = c.done;
            if (!done) {
                ck_ok(status);
                break;
            }
            ck_fails(status, TAMIS_ERR_IO, wanted);
            check_nothing_left();
        }
        ck_assert_int_gt(reports, 0);
    }
}

#endif
