#!/bin/sh
# Directions, projections and the margin: recorded, the same at any number of threads and after --resume.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 300 >train.csv
quiet train --model mlp --hidden 6 --optimizer adam --data train.csv --label class --epochs 4 --checkpoint-every 2 \
    -o model.h5
tamis inspect model.h5 | grep 'adam moments'
for direction in sign adam adam-less second-moment; do
    for threads in 1 3; do
        quiet grad --model model.h5 --data train.csv --label class --direction $direction --function margin \
            --threads $threads --dtype bf16 -o $direction-$threads.h5
    done
    same $direction-1.h5 $direction-3.h5
done
# The constants in force are recorded, those of the model too; a direction without any records none.
tamis inspect adam-1.h5 | facts option | grep -E 'direction|function|beta|epsilon'
tamis inspect sign-1.h5 | facts option | grep -cE 'beta|epsilon' || true
quiet grad --model model.h5 --data train.csv --label class --direction adam --beta1 0.5 --moments-step 7 -o other.h5
tamis inspect other.h5 | facts option | grep -E 'beta|epsilon|step'

# Another direction does not go on with the files of this one.
make() {
    quiet grad --model model.h5 --data train.csv --label class --direction "$1" --shard-rows 100 --resume -o many
}
make adam
cp -R many whole
rm many/00001.h5
make second-moment 2>&1 | grep -c 'cannot resume'
make adam
for shard in whole/*; do cmp "$shard" "many/${shard#whole/}"; done

# Projected, in bytes: the same at any number of threads; another seed is another matrix.
for run in 1:0 3:0 1:4; do
    quiet grad --model model.h5 --data train.csv --label class --direction adam --form projected:8,nonzeros=1 \
        --dtype i8 --threads "${run%:*}" --seed "${run#*:}" -o "projected-$run.h5"
done
same projected-1:0.h5 projected-3:0.h5
cmp -s projected-1:0.h5 projected-1:4.h5 || echo other
tamis inspect projected-1:4.h5 | grep -E '^(function|direction|projection|layer 0|option form|option seed)'

# The first 40 gradients of the margin, over the root of the parameters, are those of TRAK.
ekfac=$DATA/reference/ekfac
quiet grad --model "$ekfac/model_f32.safetensors" --activation relu --data "$ekfac/X_train.npy" \
    --labels "$ekfac/y_train.npy" --function margin -o margin.h5
quiet export margin.h5 --what gradient --format npy -o margin.npy
tail -c +129 margin.npy | head -c 554560 | od -An -v -t f4 -w4 >ours
tail -c 554560 "$DATA/reference/trak/margin_grads_train_first40.npy" | od -An -v -t f4 -w4 >theirs
# Ours has a bias after the weights of its output, theirs after all weights of its layer.
awk 'function abs(v) { return v < 0 ? -v : v }
    BEGIN { out[0] = 32; in_[0] = 64; out[1] = 32; in_[1] = 32; out[2] = 10; in_[2] = 32 }
    NR == FNR { ours[NR - 1] = $1; next }
    { theirs[FNR - 1] = $1; if (abs($1) > largest) largest = abs($1) }
    END {
        for (row = 0; row < 40; row++) {
            at = row * 3466
            for (l = 0; l < 3; l++) {
                for (o = 0; o < out[l]; o++)
                    for (j = 0; j <= in_[l]; j++) {
                        it = at + (j < in_[l] ? o * in_[l] + j : out[l] * in_[l] + o)
                        d = abs(ours[at + o * (in_[l] + 1) + j] / sqrt(3466) - theirs[it])
                        if (d > worst) worst = d
                    }
                at += out[l] * (in_[l] + 1)
            }
        }
        print FNR, (worst <= 1e-5 * largest ? "agree" : "worst " worst / largest)
    }' ours theirs
