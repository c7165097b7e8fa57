#!/bin/sh
# Stores change their type, lose parts, are projected and cut anew; what stays is the same.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
quiet import npy --rows "$ekfac/X_train.npy" --learning-rate 0.5 --rows "$ekfac/X_train.npy" \
    --learning-rate 0.25 --labels "$ekfac/y_train.npy" -o rows.h5
digest() {
    tamis inspect "$1" | awk '$1 == "digest" { print $2 }'
}

echo '--- cut into files and put together again'
tamis convert rows.h5 --shard-rows 50 -o many | facts
ls many
quiet convert many -o one.h5
[ "$(digest rows.h5)" = "$(digest one.h5)" ] && echo 'same rows'
quiet export one.h5 --what label -o label.npy
same "$ekfac/y_train.npy" label.npy
rm many/00001.h5 many/0000[2-9].h5
quiet convert rows.h5 --shard-rows 50 --resume -o many
[ "$(digest rows.h5)" = "$(digest many)" ] && echo 'same rows'

echo '--- types: multiples of 1/16 up to 1 are exact in 16 bits'
for dtype in f16 bf16; do
    tamis convert rows.h5 --dtype $dtype --checkpoints 1 -o $dtype.h5 | facts dtype checkpoints with
    quiet export $dtype.h5 -o $dtype.npy
    same "$ekfac/X_train.npy" $dtype.npy
done
tamis convert rows.h5 --dtype i8 -o i8.h5 | awk '
    $1 == "dtype" { print $2 }
    $1 == "with" { print($8 > 0.999 && $8 < 1 ? "ranks kept" : $0); print($NF < 0.01 ? "close" : $0) }'

echo '--- projections'
columns=$(tamis inspect rows.h5 | awk '$1 == "columns" { print $2 }')
for project in 24 sparse:24,nonzeros=3 rademacher:24; do
    tamis convert rows.h5 --project $project --seed 5 --threads 1 -o a.h5 | facts columns
    quiet convert rows.h5 --project $project --seed 5 --threads 3 --memory 16M -o b.h5
    same a.h5 b.h5
    tamis inspect a.h5 | facts projection | sed "s/\"from\":$columns/\"from\":all/"
    quiet score tracin --train a.h5 --query b.h5 -o scores.h5
    tamis inspect a.h5 -q && echo healthy
    rm a.h5 b.h5 scores.h5
done
