#!/bin/sh
# A store in shards scores like one file; a killed run is resumed to the same bytes.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 100 >train.csv
quiet train --model softmax --data train.csv --label class --epochs 3 -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o one.h5
quiet grad --model model.h5 --data train.csv --label class --shard-rows 30 -o many
ls many
cp -R many whole
rm many/00002.h5 many/00003.h5
quiet grad --model model.h5 --data train.csv --label class --shard-rows 30 --resume -o many
for shard in whole/*; do cmp "$shard" "many/${shard#whole/}"; done
for store in one.h5 many; do
    quiet score tracin --train $store --query one.h5 -o "${store%.h5}-scores.h5"
    quiet export "${store%.h5}-scores.h5" -o "${store%.h5}.npy"
done
same one.npy many.npy
tamis inspect many -q && echo healthy
