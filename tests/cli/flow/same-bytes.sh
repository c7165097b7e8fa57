#!/bin/sh
# The same inputs and options give the same bytes: again, and at any number of threads.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 300 >train.csv
csv 50 400 >query.csv
run() (
    mkdir "$1"
    cd "$1" || exit
    cp ../train.csv ../query.csv .
    threads=$2
    quiet train --threads "$threads" --model mlp --hidden 7,5 --data train.csv --label class \
        --epochs 4 --checkpoint-every 2 --seed 3 -o model.h5
    quiet grad --threads "$threads" --model model.h5 --data train.csv --label class --dtype bf16 -o train.h5
    quiet grad --threads "$threads" --model model.h5 --data query.csv --label class -o query.h5
    for scorer in tracin cosine; do
        quiet score $scorer --threads "$threads" --train train.h5 --query query.h5 -o $scorer.h5
    done
    quiet score self --threads "$threads" --train train.h5 -o self.h5
    quiet select top --threads "$threads" --scores tracin.h5 --by mean --budget 20% -o sel.h5
    quiet select random --threads "$threads" --seed 9 --scores tracin.h5 --budget 20% -o random.h5
    quiet manifest --threads "$threads" --selection sel.h5 --in train.csv -o kept.csv --dropped rest.csv
    quiet export --threads "$threads" tracin.h5 --format csv -o scores.csv
    quiet export --threads "$threads" sel.h5 --format jsonl -o sel.jsonl
)
run once 1
run again 1
run two 2
run five 5
for other in again two five; do
    for file in once/*; do
        cmp "$file" "$other/${file#once/}"
    done
done
find once -type f | wc -l
