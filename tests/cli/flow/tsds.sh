#!/bin/sh
# Rows drawn by the mass that targets send them, and what a row does to the transport.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

reference=$DATA/reference/tarot
quiet import npy --rows "$reference/candidate_grads.npy" -o c.h5
quiet import npy --rows "$reference/target_grads.npy" -o t.h5
pick() {
    quiet select "$@" --train c.h5 --query t.h5 -f -o sel.h5
    echo "$*: $(tamis inspect sel.h5 --json | jq -c '[.facts.kept, .provenance.found.cut, (.provenance.found | keys)]')"
}
pick knn-uniform --budget 33
pick knn-uniform:alpha=0.5,neighbours=200 --budget 5%
pick knn-kde:alpha=0.5,neighbours=200 --budget 28
quiet fit whiten --train c.h5 --with t.h5 -o w.h5
pick knn-kde:alpha=0.5 --budget 28 --curvature w.h5
echo '--- masses add up to 1, repeats to what was asked for'
quiet select knn-kde:alpha=0.5,weights=mass,repeats=100 --train c.h5 --query t.h5 --budget 10 -f -o sel.h5
quiet export sel.h5 --format csv -o - |
    awk -F, 'NR > 1 { mass += $5; sum += $6; n += $3 } END { printf "%.4f %d %d\n", mass, n, sum }'
echo '--- a seed draws the same rows, whatever the threads, and another seed others'
for seed in 1 2; do
    quiet select knn-kde:alpha=0.5 --train c.h5 --query t.h5 --budget 30 --seed $seed --threads 1 -o $seed.h5
    quiet export $seed.h5 --format csv -o $seed.csv
done
quiet select knn-kde:alpha=0.5 --train c.h5 --query t.h5 --budget 30 --seed 1 --threads 3 -o 3.h5
quiet export 3.h5 --format csv -o 3.csv
same 1.csv 3.csv
cmp -s 1.csv 2.csv || echo others
echo '--- reasons'
tamis select knn-uniform:alpha=0.9 --train c.h5 --query t.h5 --budget 60 -f -o sel.h5 | facts
echo '--- lava'
tamis score lava --train c.h5 --query t.h5 -o lava.h5 | facts scorer rows queries
quiet score lava --train c.h5 --query t.h5 --threads 3 -o threads.h5
for file in lava threads; do quiet export $file.h5 --format csv -o $file.csv; done
same lava.csv threads.csv
awk -F, 'NR > 1 { sum += $2; more += $2 > 0 } END { printf "%.3f %s\n", sqrt(sum ^ 2), more > 0 && more < NR - 1 }' lava.csv
