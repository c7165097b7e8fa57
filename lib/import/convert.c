/* Numbers as files hold them, to float.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/convert.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are read as the little-endian bytes they hold"
#endif

/* Exact, subnormals included: the exponent is moved by a multiplication, which has no special
 * cases but infinity and NaN. */
static inline float from_half(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7c00) == 0x7c00) bits |= 0x7f800000;
    bits |= (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float from_bfloat(uint16_t upper)
{
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float from_bool(uint8_t byte)
{
    return byte ? 1.0f : 0.0f;
}

/* One loop a type; memcpy, since nothing aligns the data of a hostile file. */
#define DEFINE_CONVERT(name, type, expression)                                                     \
    static void name(float *out, size_t step, const unsigned char *in, size_t n)                   \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            type value;                                                                            \
            memcpy(&value, in + i * sizeof value, sizeof value);                                   \
            out[i * step] = expression;                                                            \
        }                                                                                          \
    }

DEFINE_CONVERT(convert_bool, uint8_t, from_bool(value))
DEFINE_CONVERT(convert_i8, int8_t, (float)value)
DEFINE_CONVERT(convert_i16, int16_t, (float)value)
DEFINE_CONVERT(convert_i32, int32_t, (float)value)
DEFINE_CONVERT(convert_i64, int64_t, (float)value)
DEFINE_CONVERT(convert_u8, uint8_t, (float)value)
DEFINE_CONVERT(convert_u16, uint16_t, (float)value)
DEFINE_CONVERT(convert_u32, uint32_t, (float)value)
DEFINE_CONVERT(convert_u64, uint64_t, (float)value)
DEFINE_CONVERT(convert_f16, uint16_t, from_half(value))
DEFINE_CONVERT(convert_bf16, uint16_t, from_bfloat(value))
DEFINE_CONVERT(convert_f32, float, value)
DEFINE_CONVERT(convert_f64, double, (float)value)

tamis__convert_fn tamis__convert_for(char kind, size_t size)
{
    static const struct {
        char kind;
        size_t size;
        tamis__convert_fn convert;
    } table[] = {
        {'b', 1, convert_bool}, {'i', 1, convert_i8},  {'i', 2, convert_i16}, {'i', 4, convert_i32},
        {'i', 8, convert_i64},  {'u', 1, convert_u8},  {'u', 2, convert_u16}, {'u', 4, convert_u32},
        {'u', 8, convert_u64},  {'f', 2, convert_f16}, {'f', 4, convert_f32}, {'f', 8, convert_f64},
        {'B', 2, convert_bf16},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].kind == kind && table[i].size == size) return table[i].convert;
    return NULL;
}

int64_t tamis__convert_integer(char kind, size_t size, const unsigned char *in, int *ret_fits)
{
    uint64_t value = 0;
    *ret_fits = 1;
    memcpy(&value, in, size);
    if (kind == 'b') return value != 0;
    if (kind == 'u') {
        *ret_fits = value <= INT64_MAX;
        return *ret_fits ? (int64_t)value : 0;
    }
    unsigned unused = 64 - 8 * (unsigned)size;
    return (int64_t)(value << unused) >> unused;
}
