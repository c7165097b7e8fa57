/* How much of a store's files is mapped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_pages.h"

#include "store/store_object.h"

/* Bytes that may be mapped, and what the system maps around a page that is touched. */
#define WINDOW (UINT64_C(16) << 20)
#define AROUND (UINT64_C(64) << 10)

static void let_go(const tamis_store *store)
{
    for (uint32_t i = 0; i < store->info.shards; i++)
        tamis__input_release(&store->part[i].input, 0, store->part[i].input.size);
}

/* The one call that crosses a multiple of the window acts. */
void tamis__store_touched(const tamis_store *store, uint64_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(store->touched, bytes, memory_order_relaxed);
    if (before / WINDOW != (before + bytes) / WINDOW) let_go(store);
}

void tamis__store_touched_some(const tamis_store *store, uint64_t rows, uint64_t bytes,
                               uint64_t whole)
{
    uint64_t part = bytes + AROUND;
    tamis__store_touched(store, rows * (part < whole ? part : whole) + AROUND);
}

void tamis__store_touched_rows(const tamis_store *store, uint64_t rows, uint64_t columns)
{
    uint64_t size = tamis_dtype_size(store->info.dtype);
    tamis__store_touched_some(store, rows, columns * size, store->info.columns * size);
}
