#!/bin/sh
# The whole flow on a small CSV: mislabelled rows get the lowest scores and are left out.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# Rows 7, 18 and 33 are far from the boundary and get the wrong class.
csv 48 | awk -F, -v OFS=, 'NR == 9 || NR == 20 || NR == 35 { $3 = $3 == "up" ? "down" : "up" } 1' >train.csv
csv 24 100 >query.csv
tamis train --model softmax --data train.csv --label class --epochs 60 --checkpoint-every 20 -o model.h5 |
    facts output rows features classes parameters checkpoints
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet grad --model model.h5 --data query.csv --label class -o query.h5
tamis score tracin --train train.h5 --query query.h5 -o scores.h5 |
    facts output scorer rows queries columns checkpoints orientation
quiet select top --scores scores.h5 --budget 45 -o sel.h5
tamis manifest --selection sel.h5 --in train.csv -o kept.csv --dropped dropped.csv | facts
echo '--- dropped.csv'
cat dropped.csv
echo '--- row, id, rank and reason of each'
cut -d, -f 1,2,4- dropped.csv.reasons.csv
wc -l <kept.csv
