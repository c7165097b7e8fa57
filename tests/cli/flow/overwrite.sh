#!/bin/sh
# An output that exists is kept without -f and replaced whole with it.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 20 >train.csv
quiet train --model softmax --data train.csv --label class --epochs 2 -o model.h5
cp model.h5 first.h5
tamis train --model softmax --data train.csv --label class --epochs 2 --seed 1 -o model.h5 2>&1 || echo "exit $?"
same first.h5 model.h5
quiet train --model softmax --data train.csv --label class --epochs 2 -f -o model.h5
same first.h5 model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5 2>&1 || echo "exit $?"
quiet grad --model model.h5 --data train.csv --label class -f -o train.h5
ls
