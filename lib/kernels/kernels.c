/* The choice of inner loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/kernels.h"

#include <string.h>

#include "kernels/product.h"
#include "kernels/reference.h"
#include "kernels/sketch.h"

void tamis__kernels_init(tamis__kernels *ret_kernels, unsigned cpu)
{
    *ret_kernels = (tamis__kernels){
        .widen_f16 = tamis__widen_f16_c,
        .widen_bf16 = tamis__widen_bf16_c,
        .narrow_f16 = tamis__narrow_f16_c,
        .narrow_bf16 = tamis__narrow_bf16_c,
        .scale_f32 = tamis__scale_f32_c,
        .scale_f16 = tamis__scale_f16_c,
        .scale_bf16 = tamis__scale_bf16_c,
        .sum_squares = tamis__sum_squares_c,
        .sum_products = tamis__sum_products_c,
    };
    tamis__kernels_init_x86(ret_kernels, cpu);
    tamis__kernels_init_i8(ret_kernels, cpu);
    tamis__kernels_init_sketch(ret_kernels, cpu);
    tamis__product_wish wish = {.dtype = TAMIS_F32, .cpu = cpu, .exact = true};
    ret_kernels->multiplier = tamis__multiplier_choose(&wish);
}

void tamis__widen(const tamis__kernels *kernels, tamis_dtype dtype, float *out, const void *in,
                  size_t n)
{
    switch (dtype) {
    case TAMIS_F16: kernels->widen_f16(out, in, n); return;
    case TAMIS_BF16: kernels->widen_bf16(out, in, n); return;
    case TAMIS_I8: kernels->widen_i8(out, in, 1.0f, n); return;
    case TAMIS_F32: break;
    }
    if (n) memcpy(out, in, n * sizeof *out);
}

float tamis__narrow(const tamis__kernels *kernels, tamis_dtype dtype, void *out, const float *in,
                    size_t n)
{
    switch (dtype) {
    case TAMIS_F16: kernels->narrow_f16(out, in, n); return 1.0f;
    case TAMIS_BF16: kernels->narrow_bf16(out, in, n); return 1.0f;
    case TAMIS_I8: return kernels->narrow_i8(out, in, n);
    case TAMIS_F32: break;
    }
    if (n) memcpy(out, in, n * sizeof *in);
    return 1.0f;
}
