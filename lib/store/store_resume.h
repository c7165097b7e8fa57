/* What is there already when a store is to be written.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_RESUME_H
#define TAMIS_STORE_STORE_RESUME_H

#include "store/store_shard.h"

/* Prepare the output of a plan: check what is there, remove left-overs of killed runs, find where a
 * resumed store goes on. An old store in shards stays until tamis__store_clear(). *ret_next is the
 * first row to write; *ret_made is true when a directory was made. */
tamis_status tamis__store_prepare(const tamis__store_plan *plan, bool force, bool resume,
                                  uint64_t *ret_next, bool *ret_made, tamis_error *err);

/* Remove the whole shards of an old store: to be called when the first new one is ready. */
tamis_status tamis__store_clear(const tamis__store_plan *plan, tamis_error *err);

#endif
