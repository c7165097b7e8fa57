#!/bin/sh
# Scores with rows that have none, and lists of the best rows of each query: see tests/data/format.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

cp "$DATA"/format/scores-*.h5 .
for file in scores-skipped.h5 scores-lists.h5; do
    tamis inspect $file | facts file rows queries without top bottom column score healthy
done
echo '--- lists'
quiet export scores-lists.h5 --format csv -o -
quiet export scores-lists.h5 --format jsonl --list bottom -o - | head -n 2
quiet export scores-lists.h5 --what row -o row.npy
tail -c +129 row.npy | od -A n -t d8 -w24
echo '--- the same statistics of both'
quiet export scores-skipped.h5 --what variance -o a.csv
quiet export scores-lists.h5 --what variance -o b.csv
same a.csv b.csv
quiet export scores-lists.h5 --what mean --format csv -o - | sed 's/\(\.[0-9]\{6\}\)[0-9]*/\1/'
echo '--- choosing'
pick() {
    quiet select "$@" -f -o sel.h5
    echo "$*: $(tamis manifest --selection sel.h5 --format index -q -o - | xargs)"
}
pick top --budget 3 --by max --scores scores-lists.h5
# The lists hold what decides: the whole matrix gives the same.
pick top --budget 3 --by max --scores scores-skipped.h5
quiet select top --budget 3 --by max --scores scores-lists.h5 -f -o sel.h5
quiet export sel.h5 --format csv -o - | cut -d, -f 1,3,4,5,8
pick bottom --budget 50% --scores scores-skipped.h5
pick random --budget 7 --scores scores-skipped.h5
quiet export sel.h5 --format csv -o - | grep 'no score'
tamis inspect sel.h5 | facts healthy
refused() { "$TAMIS" "$@" -f -o no.h5 || echo "exit $?"; } 2>&1
refused select top --budget 3 --scores scores-lists.h5
refused select top --budget 8 --by max --scores scores-lists.h5
refused select top --budget 100% --scores scores-skipped.h5
echo '--- measuring'
printf '5\n7\n2\n' >bad.txt
tamis evaluate noise --scores scores-skipped.h5 --bad bad.txt --budget 2 --draws 0 |
    facts yardstick rows without bad auc looked found precision recall
"$TAMIS" evaluate noise --scores scores-lists.h5 --bad bad.txt 2>&1 || echo "exit $?"
