/* Counter-based random bits: a function of a seed and a coordinate alone. Values are part of
 * results and never change (tests pin some).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_HASH_H
#define TAMIS_BASE_HASH_H

#include <stdint.h>

/* Output number `n`, from 0, of SplitMix64 started at `seed` (Steele, Lea and Flood 2014, "Fast
 * splittable pseudorandom number generators"): a Weyl sequence through a bijective finaliser, so
 * that any output is had without those before it. */
static inline uint64_t tamis__splitmix(uint64_t seed, uint64_t n)
{
    uint64_t x = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
