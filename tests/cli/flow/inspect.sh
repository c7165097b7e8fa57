#!/bin/sh
# Every kind of file is described; a damaged one is named as such, with exit status 5.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 40 >train.csv
quiet train --model softmax --data train.csv --label class --epochs 3 -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet score self --train train.h5 -o self.h5
quiet select top --scores self.h5 --budget 10 -o sel.h5
for file in model.h5 train.h5 self.h5 sel.h5; do
    tamis inspect $file | facts file kind rows healthy
    tamis inspect $file --json | grep -c '"healthy": *true'
done
quiet export train.h5 --what gradient -o rows.npy
# The first row's first value is somewhere in the store: another value there is noticed.
offset=$(tail -c +129 rows.npy | head -c 24 >row &&
    LC_ALL=C grep -obUaF -f row train.h5 | head -n 1 | cut -d: -f 1)
: "${offset:=}"
[ -n "$offset" ] || echo 'the first row was not found in the store'
cp train.h5 damaged.h5
patch damaged.h5 "$offset" 000 000 300 177
tamis inspect damaged.h5 >report 2>error || echo "exit $?"
grep -c PROBLEM report | sed 's/^[1-9][0-9]*$/problems/'
cat error
