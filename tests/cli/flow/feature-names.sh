#!/bin/sh
# Features are matched by name: the order of columns or keys, and columns besides, change nothing.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# losses NAME [OPTION...]: the losses of the gradients of NAME, as an array.
losses() {
    file=$1
    shift
    quiet grad --model model.h5 --data "$file" --label class -o "$file.h5" "$@"
    quiet export "$file.h5" --what loss -o "$file.npy"
}

rows 40 >plain
{ echo 'x,"y, up",class' && cat plain; } >train.csv
{ echo 'note,class,"y, up",x' && awk -F, '{ print "text," $3 "," $2 "," $1 }' plain; } >other.csv
awk -F, '{ printf "{\"class\": \"%s\", \"y, up\": %s, \"n\": 1, \"x\": %s}\n", $3, $2, $1 }' plain >other.jsonl

tamis train --model softmax --data train.csv --label class --epochs 3 --test other.csv -o model.h5 >report
facts features <report
awk '$1 == "train" && $2 == "loss" { train = $3 } $1 == "test" && $2 == "loss" { print(train == $3 ? "same loss" : "another loss") }' report
tamis train --model softmax --data train.csv --label class --epochs 3 --json -o json.h5 | grep -o '"feature_names":[^]]*]'
tamis inspect model.h5 | grep -E '^(inputs|feature|class)' | tr -s ' '

losses train.csv
losses other.csv
losses other.jsonl
same train.csv.npy other.csv.npy
same train.csv.npy other.jsonl.npy

# A feature that is not there is no matter of position.
sed '1s/x/z/' train.csv >wrong.csv
quiet grad --model model.h5 --data wrong.csv --label class -o wrong.h5 2>&1 || echo "exit $?"
# Unless the user says which column it is.
losses wrong.csv --features 'z,"y, up"' 2>&1
same train.csv.npy wrong.csv.npy
