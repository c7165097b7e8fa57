#!/bin/sh
# Pseudo-gradients: drawn, expected and given labels; the same after --resume and at any number of threads.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 300 >train.csv
cut -d, -f1,2 train.csv >unlabelled.csv
quiet train --model mlp --hidden 6 --data train.csv --label class --epochs 2 --checkpoint-every 1 -o model.h5

# The seed of the draw is --label-seed, else --seed; rows need no labels, and those they have are not looked at.
quiet grad --model model.h5 --data train.csv --label class --labels sampled --label-seed 7 -o a.h5
quiet grad --model model.h5 --data unlabelled.csv --labels sampled --seed 7 --threads 3 -o b.h5
quiet grad --model model.h5 --data unlabelled.csv --labels sampled -o c.h5
quiet grad --model model.h5 --data train.csv --label class -o true.h5
for store in a b c true; do
    quiet export $store.h5 --what gradient --format npy -o $store.npy
    tamis inspect $store.h5 | facts option | grep -E 'label'
done
same a.npy b.npy
cmp -s a.npy c.npy || echo other seed, other labels
cmp -s a.npy true.npy || echo not those of the data

# Killed and gone on with.
make() {
    quiet grad --model model.h5 --data unlabelled.csv --labels "$1" --shard-rows 100 --resume -o "$1"
}
for labels in sampled expected; do
    make $labels
    cp -R $labels whole-$labels
    rm $labels/00002.h5
    make $labels
    for shard in whole-$labels/*; do cmp "$shard" "$labels/${shard#whole-*/}"; done
done
tamis inspect expected | grep -E '^(rows|ids|labels)'

# Given ones; with rows that have none of their own, a file is of the data's.
ekfac=$DATA/reference/ekfac
for way in '' given:; do
    quiet grad --model "$ekfac/model_f32.safetensors" --data "$ekfac/X_train.npy" \
        --labels "$way$ekfac/y_sampled_cov.npy" -o "${way}y.h5"
    tamis inspect "${way}y.h5" | grep -E '^(labels|input.*labels)' | sed 's| [^ ]*/| |'
    quiet export "${way}y.h5" --what gradient --format npy -o "${way}y.npy"
done
same y.npy given:y.npy
