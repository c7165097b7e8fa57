/* How much of a store's files is mapped: pages count as the process's memory until they are let go
 * of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_PAGES_H
#define TAMIS_STORE_STORE_PAGES_H

#include <tamis/store.h>

/* Mapped rows have been read that lie within `bytes`. When these add up to 16 MiB, all pages of the
 * store are let go of: they stay in the system's cache, and come back when they are touched. To be
 * called by whoever reads what tamis_store_map() gives and lets go of nothing himself;
 * tamis_store_read() and what a store loads of itself do it. Thread-safe. */
void tamis__store_touched(const tamis_store *store, uint64_t bytes);

/* The same for some columns of some rows. */
void tamis__store_touched_rows(const tamis_store *store, uint64_t rows, uint64_t columns);

/* The same for some bytes of each of some rows of `whole` bytes. */
void tamis__store_touched_some(const tamis_store *store, uint64_t rows, uint64_t bytes,
                               uint64_t whole);

#endif
