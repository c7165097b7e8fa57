/* Checked allocation, and the fault counters that tests set.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_MEM_H
#define TAMIS_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for n * size bytes; NULL when out of memory or when the product overflows. Never
 * NULL for a zero size. Freed with free(). */
void *tamis__calloc(size_t n, size_t size);

/* As calloc without zeroing. */
void *tamis__malloc(size_t n, size_t size);

/* Grow to n * size bytes; the old block stays valid on failure. */
void *tamis__realloc(void *old, size_t n, size_t size);

/* Zeroed, aligned to 64 bytes (a cache line, an AVX-512 register). Freed with free(). */
void *tamis__aligned(size_t n, size_t size);

char *tamis__strdup(const char *text);

/* Test hooks. Counters are process-wide; negative = off (the default). With n >= 0 the first n
 * operations succeed and every later one fails, until it is switched off again. */
void tamis__fault_memory_after(long n);
void tamis__fault_io_after(long n);

/* True when the I/O operation about to be done is to fail; errno is then EIO. Called before every
 * open, write, sync, rename and HDF5 call that writes. */
bool tamis__fault_io(void);

#endif
