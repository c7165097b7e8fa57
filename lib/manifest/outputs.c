/* Several output files of which all appear or none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/outputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

tamis_status tamis__outputs_add(tamis__outputs *outputs, const tamis_context *context,
                                const char *path, bool force, tamis_error *err)
{
    struct stat st;
    size_t i = outputs->n;
    outputs->existed[i] = !strcmp(path, "-") || stat(path, &st) == 0;
    outputs->path[i] = path;
    TAMIS_TRY(tamis__output_open(&outputs->output[i], context, path, force, err));
    outputs->n++;
    return TAMIS_OK;
}

static void remove_new(const tamis__outputs *outputs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!outputs->existed[i]) (void)unlink(outputs->path[i]);
}

tamis_status tamis__outputs_commit(tamis__outputs *outputs, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    size_t done = 0;
    while (status == TAMIS_OK && done < outputs->n)
        status = tamis__output_commit(&outputs->output[done++], err);
    if (status != TAMIS_OK) {
        remove_new(outputs, done - 1);
        for (size_t i = done; i < outputs->n; i++) tamis__output_abort(&outputs->output[i]);
    }
    outputs->n = 0;
    return status;
}

void tamis__outputs_abort(tamis__outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++) tamis__output_abort(&outputs->output[i]);
    outputs->n = 0;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    if (!strcmp(a, b)) return true;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static tamis_status check_pair(const char *a, const char *what_a, const char *b, const char *what_b,
                               tamis_error *err)
{
    if (is_same_file(a, b))
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is both %s and %s: give them different names",
                           a, what_a, what_b);
    char *part = tamis__part_path(a);
    if (!part) return tamis__fail_memory(err, "a file name", strlen(a));
    bool clash = is_same_file(part, b);
    free(part);
    if (!clash) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' is the name under which '%s' is written until it is whole: "
                       "rename it",
                       b, a);
}

tamis_status tamis__outputs_distinct(const char *const *path, const char *const *what, size_t n,
                                     tamis_error *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            if (k == i || !path[i] || !path[k] || !strcmp(path[i], "-") || !strcmp(path[k], "-"))
                continue;
            TAMIS_TRY(check_pair(path[i], what[i], path[k], what[k], err));
        }
    return TAMIS_OK;
}
