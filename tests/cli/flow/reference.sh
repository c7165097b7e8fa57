#!/bin/sh
# Gradient products of a given network agree with the reference's to 1e-5 of the largest.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
quiet grad --model "$ekfac/model_f32.safetensors" --activation relu --data "$ekfac/X_train.npy" \
    --labels "$ekfac/y_train.npy" -o train.h5
quiet grad --model "$ekfac/model_f32.safetensors" --activation relu --data "$ekfac/X_test.npy" \
    --labels "$ekfac/y_test.npy" -o test.h5
quiet score tracin --train train.h5 --query test.h5 -o scores.h5
quiet export scores.h5 --format npy -o scores.npy
wc -c <scores.npy
# Ours is [1200, 50] of 4 bytes, the reference [50, 1200] of 8.
tail -c 240000 scores.npy | od -An -v -t f4 -w4 >ours
tail -c 480000 "$ekfac/pairwise_identity.npy" | od -An -v -t f8 -w8 >theirs
awk 'function abs(v) { return v < 0 ? -v : v }
    NR == FNR { ours[NR - 1] = $1; next }
    {
        q = int((FNR - 1) / 1200)
        n = (FNR - 1) % 1200
        if (abs($1) > largest) largest = abs($1)
        if (abs($1 - ours[n * 50 + q]) > worst) worst = abs($1 - ours[n * 50 + q])
        rows++
    }
    END { print rows, (worst <= 1e-5 * largest ? "agree" : "worst " worst / largest) }' ours theirs
