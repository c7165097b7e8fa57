#!/bin/sh
# Flipped labels stand out by self-influence.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 60 | awk -F, -v OFS=, 'NR == 9 || NR == 20 || NR == 35 { $3 = $3 == "up" ? "down" : "up" } 1' >train.csv
printf '7\n18\n33\n' >flipped.txt
quiet train --model softmax --data train.csv --label class --epochs 40 -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet score self --train train.h5 -o self.h5
tamis evaluate noise --scores self.h5 --bad flipped.txt --worst high --budget 5% |
    facts yardstick rows bad auc looked found precision recall
