/* Is a store still what it was when it was opened? For whoever works on its mapped rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_CHANGED_H
#define TAMIS_STORE_STORE_CHANGED_H

#include <tamis/store.h>

/* To be asked before each block of mapped rows is touched: pages that a file lost end the process.
 * Thread-safe. Errors: IO "'X' was changed while it was read: ...". Complexity: a system call for
 * each shard; of the second, for each shard that has some of rows first_row .. first_row + rows -
 * 1. */
tamis_status tamis__store_unchanged(const tamis_store *store, tamis_error *err);
tamis_status tamis__store_rows_there(const tamis_store *store, uint64_t first_row, uint64_t rows,
                                     tamis_error *err);

#endif
