#!/bin/sh
# Proximal Bregman responses: kept in a file, the same at any number of threads, several files of scores at once.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 60 >train.csv
csv 9 60 >query.csv
quiet train --model mlp --hidden 4 --activation tanh --data train.csv --label class --epochs 20 -o model.h5
for rows in train query; do
    quiet grad --model model.h5 --data $rows.csv --label class -o $rows.h5
done
for scorer in tracin cosine; do
    quiet score $scorer --train train.h5 --query query.h5 -o $scorer.h5
done
pbrf() {
    tamis evaluate pbrf --scores tracin.h5 --model model.h5 --data train.csv --query-data query.csv --label class "$@"
}
pbrf --rows-number 12 --threads 1 --draws 100 --runs file.runs --json | sed 's/"seconds":.*//' >one
pbrf --rows-number 12 --threads 3 --draws 100 --json | sed 's/"seconds":.*//' >three
same one three
# All of them are there, whatever is compared with them.
pbrf --scores cosine.h5 --rows-number 12 --runs file.runs --csv table.csv --figure bars.svg | facts yardstick rows queries \
    parameters reused newton
cut -d, -f1,2 table.csv
grep -c '</svg>' bars.svg
# Other rows add to the file; a damping of its own makes another file.
printf '3\n5\n8\n' >rows.txt
pbrf --rows rows.txt --runs file.runs | facts rows reused >reused.txt
grep -c reused reused.txt || true
pbrf --rows rows.txt --damping-absolute 0.01 | facts 'layers.0' 'layers.1'
pbrf --rows rows.txt --damping-absolute 0.01,0.02 --tolerance 1e-11 | facts 'layers.0' 'layers.1'
# Of a curvature file: that of expected labels has the mean eigenvalues of the matrix itself, to a float's rounding.
quiet grad --model model.h5 --data train.csv --label class --labels expected --form factors -o expected.h5
quiet fit ekfac --train expected.h5 -o curv.h5
pbrf --rows rows.txt | facts 'layers.0' 'layers.1' >own
pbrf --rows rows.txt --curvature curv.h5 | facts 'layers.0' 'layers.1' >fitted
same own fitted
pbrf --rows rows.txt --damping-absolute 0.01 --runs file.runs 2>&1 | grep -c 'other training parameters'
