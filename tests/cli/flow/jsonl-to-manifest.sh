#!/bin/sh
# JSON Lines with text ids and CRLF line ends, the last without: kept byte for byte.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

rows 30 | awk -F, '{
    printf "%s{\"uid\": \"row,%d\", \"x\": [%s, %s], \"class\": \"%s\"}", (NR > 1 ? "\r\n" : ""), NR, $1, $2, $3
}' >train.jsonl
quiet train --model mlp --hidden 4 --data train.jsonl --label class --id uid --epochs 10 -o model.h5
quiet grad --model model.h5 --data train.jsonl --label class --id uid -o train.h5
quiet score self --train train.h5 -o self.h5
quiet select bottom --scores self.h5 --budget 50% -o sel.h5
tamis manifest --selection sel.h5 --in train.jsonl -o kept.jsonl --dropped dropped.jsonl |
    facts records kept dropped digests
# Together they are the source, with the last line end completed in the file's own style.
{ cat train.jsonl && printf '\r\n'; } | sort >all
cat kept.jsonl dropped.jsonl | sort >both
same all both
head -n 1 dropped.jsonl.reasons.csv
grep -c '^[0-9]*,"row,[0-9]*",' dropped.jsonl.reasons.csv
# Each kept line is where it was.
tamis export sel.h5 --what row --format csv -o rows.csv -q
tail -n +2 rows.csv | while read -r row; do
    sed -n "$((row + 1))p" train.jsonl
done >wanted
tr -d '\r' <kept.jsonl >got
tr -d '\r' <wanted >wanted.lf
same wanted.lf got
