/* Do two names mean one file?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_PATHS_H
#define TAMIS_CLI_PATHS_H

#include <stdbool.h>

#include "fail.h"

/* Would writing `output` touch `other`: are they the same file, by whatever name, there already or
 * not; is `other` in the directory of shards that `output` names, or the name under which `output`
 * is written until it is whole? False when memory runs out. */
bool paths_collide(const char *output, const char *other);

/* Check that the directory of `path` is there and takes new files. Errors: IO, NOMEM. */
tamis_status paths_check_directory(const char *path, tamis_error *err);

#endif
