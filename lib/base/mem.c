/* Checked allocation.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long memory_left = -1;
static atomic_long io_left = -1;

void tamis__fault_memory_after(long n)
{
    atomic_store(&memory_left, n);
}

void tamis__fault_io_after(long n)
{
    atomic_store(&io_left, n);
}

/* Off costs one relaxed load. Once the counter reaches 0 it stays there. */
static bool due(atomic_long *left)
{
    long now = atomic_load_explicit(left, memory_order_relaxed);
    while (now > 0)
        if (atomic_compare_exchange_weak(left, &now, now - 1)) return false;
    return now == 0;
}

bool tamis__fault_io(void)
{
    if (!due(&io_left)) return false;
    errno = EIO;
    return true;
}

static bool too_big(size_t n, size_t size, size_t *bytes)
{
    if (size != 0 && n > PTRDIFF_MAX / size) return true;
    *bytes = n * size;
    if (*bytes == 0) *bytes = 1;
    return false;
}

void *tamis__calloc(size_t n, size_t size)
{
    size_t bytes;
    if (too_big(n, size, &bytes) || due(&memory_left)) return NULL;
    return calloc(1, bytes);
}

void *tamis__malloc(size_t n, size_t size)
{
    size_t bytes;
    if (too_big(n, size, &bytes) || due(&memory_left)) return NULL;
    return malloc(bytes);
}

void *tamis__realloc(void *old, size_t n, size_t size)
{
    size_t bytes;
    if (too_big(n, size, &bytes) || due(&memory_left)) return NULL;
    return realloc(old, bytes);
}

void *tamis__aligned(size_t n, size_t size)
{
    size_t bytes;
    if (too_big(n, size, &bytes) || due(&memory_left)) return NULL;
    if (bytes > (size_t)PTRDIFF_MAX - 63) return NULL;
    bytes = (bytes + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

char *tamis__strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = tamis__malloc(size, 1);
    if (copy) memcpy(copy, text, size);
    return copy;
}
