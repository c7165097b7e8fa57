#!/bin/sh
# Selectors, ways to join queries, budgets and columns.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(4, 2)'
    # rows: 1 1 | 3 -2 | 0 1.5 | -1 -1
    printf '\000\000\200\077\000\000\200\077\000\000\100\100\000\000\000\300'
    printf '\000\000\000\000\000\000\300\077\000\000\200\277\000\000\200\277'
} >s.npy
quiet import npy --scores s.npy -o scores.h5
pick() {
    quiet select "$@" --scores scores.h5 -f -o sel.h5
    echo "$*: $(tamis manifest --selection sel.h5 --format index -q -o - | xargs)"
}
pick top --budget 2
pick top --budget 2 --by mean
pick top --budget 2 --by max
pick bottom --budget 25%
pick threshold:min=1
pick threshold:min=-3,max=1.2
pick random --budget 100%
# Ties go to the lower row.
{
    npy '<f4' '(5, 1)'
    printf '\000\000\200\077\000\000\200\077\000\000\000\100\000\000\200\077\000\000\200\077'
} >t.npy
quiet import npy --scores t.npy -f -o scores.h5
pick top --budget 3
quiet export sel.h5 --format csv -o - | cut -d, -f 1-4
# Nothing is kept.
tamis select threshold:min=9 --scores scores.h5 -f -o sel.h5 2>/dev/null | facts
csv 30 >train.csv
quiet train --model softmax --data train.csv --label class --epochs 3 -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
for column in loss margin norm self; do
    quiet select bottom --train train.h5 --column $column --budget 10 -o $column.h5
    quiet manifest --selection $column.h5 --format mask -o $column.txt
done
# Classes go by name from the table that the model learnt from to the selection and the scores.
tamis select bottom --train train.h5 --column loss --budget 100% -f -o sel.h5 | sed -n '/^label/,$p'
quiet export sel.h5 --format csv -o - | cut -d, -f 1,7 | head -n 4
quiet score tracin --train train.h5 --query train.h5 -o tracin.h5
quiet export tracin.h5 --what query-label --format csv -o - | head -n 4
# With one linear layer a larger loss is a smaller margin.
quiet select top --train train.h5 --column margin --budget 10 -f -o margin.h5
quiet manifest --selection margin.h5 --format mask -f -o margin.txt
same loss.txt margin.txt
