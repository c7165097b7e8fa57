#!/bin/sh
# TAROT with examples that must be kept or dropped, and filters.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

reference=$DATA/reference/tarot
quiet import npy --rows "$reference/candidate_grads.npy" -o c.h5
quiet import npy --rows "$reference/target_grads.npy" -o t.h5
awk 'BEGIN { print "tokens"; for (i = 0; i < 200; i++) print i % 10 }' >tokens.csv
printf '3\n150\n199\n' >keep.txt
quiet select tarot-fixed --train c.h5 --query t.h5 --budget 4 -f -o sel.h5
quiet export sel.h5 --what picks -o picks.npy
tail -c 32 picks.npy | od -A n -t d8 -w8 -v | tr -d ' ' | sort -n >drop.txt
echo "nearest: $(xargs <drop.txt)"
pick() {
    quiet select "$@" --train c.h5 --query t.h5 --keep keep.txt --drop drop.txt --filter 'tokens.csv#tokens:min=2' -f -o sel.h5
    quiet export sel.h5 --format csv -f -o sel.csv
    echo "$*: $(tamis inspect sel.h5 --json | jq -c .facts.kept)"
    for row in 3 150 199 $(cat drop.txt) 20; do sed -n $((row + 2))p sel.csv; done
}
pick tarot-fixed --budget 20
pick tarot-otm --seed 42 | cut -d, -f 1-3,7
echo '--- none of the dropped and the filtered is kept'
awk -F, 'NR > 1 && $3 == 1 { n++; if ($1 % 10 < 2 && $1 != 150) bad++ } END { print (n > 0), bad + 0 }' sel.csv
echo '--- refused'
refused() { "$TAMIS" select "$@" --train c.h5 --query t.h5 -f -o no.h5 || echo "exit $?"; } 2>&1
refused tarot-fixed --budget 2 --keep keep.txt
refused tarot-fixed --budget 199 --drop drop.txt
refused tarot-fixed --budget 5 --keep drop.txt --drop drop.txt
refused tarot-fixed:compat=tarot-2024-12 --budget 9 --drop drop.txt
refused tarot-otm:compat=tarot-2024-12 --filter 'tokens.csv#tokens:min=2'
refused tarot-otm --filter 'tokens.csv#tokens:min=50'
