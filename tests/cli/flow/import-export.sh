#!/bin/sh
# Rows, labels and scores from .npy go in and come out the same.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
quiet import npy --rows "$ekfac/X_train.npy" --labels "$ekfac/y_train.npy" -o rows.h5
quiet export rows.h5 --format npy --what gradient -o rows.npy
same "$ekfac/X_train.npy" rows.npy
quiet export rows.h5 --format npy --what label -o labels.npy
same "$ekfac/y_train.npy" labels.npy
# Multiples of 1/16 up to 1 are exact in 16 bits.
for dtype in f16 bf16; do
    quiet import npy --rows "$ekfac/X_train.npy" --dtype $dtype -o $dtype.h5
    quiet export $dtype.h5 --what gradient -o $dtype.npy
    same rows.npy $dtype.npy
done
# What has been rounded to bytes once stays as it is.
quiet import npy --rows "$ekfac/X_train.npy" --dtype i8 -o i8.h5
quiet export i8.h5 --what gradient -o i8.npy
quiet import npy --rows i8.npy --dtype i8 --shard-rows 30 -o again
quiet export again --what gradient -o again.npy
same i8.npy again.npy
tamis inspect again | facts dtype columns shards
# Two checkpoints; shards.
quiet import npy --rows "$ekfac/X_test.npy" --learning-rate 0.5 --rows "$ekfac/X_test.npy" \
    --learning-rate 0.25 --shard-rows 20 -o shards
ls shards
quiet export shards --checkpoint 1 -o test.npy
same "$ekfac/X_test.npy" test.npy
# Scores.
quiet import npy --scores "$ekfac/X_test.npy" -o scores.h5
quiet export scores.h5 -o scores.npy
same "$ekfac/X_test.npy" scores.npy
quiet import npy --scores "$ekfac/X_test.npy" --flip -o flip.h5
quiet export flip.h5 -o flip.npy
quiet import npy --scores flip.npy --flip -o back.h5
quiet export back.h5 -o back.npy
tail -c +129 back.npy | od -An -v -t f4 -w4 | sed 's/-0$/ 0/' >back
tail -c +129 scores.npy | od -An -v -t f4 -w4 >scores
same scores back
# One column is a vector.
{
    npy '<f4' '(2, 1)'
    printf '\000\000\200\077\000\000\000\100'
} >one.npy
quiet import npy --scores one.npy -o one.h5
quiet export one.h5 --format npy -o one.out.npy
tail -c +11 one.out.npy | head -n 1 | tr -s ' '
tamis export one.h5 --format csv -o -
tamis export one.h5 --format jsonl -o -
