#!/bin/sh
# Lengths of records go along with their rows, and are what rows cost.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
quiet import npy --rows "$ekfac/X_train.npy" -o plain.h5
n=$(tamis inspect plain.h5 --json | jq .facts.rows)
# 10 tokens, then 11, 12 ... up to 29, and again.
{
    npy '<u4' "($n,)"
    i=0
    while [ "$i" -lt "$n" ]; do
        # shellcheck disable=SC2059 # the escapes are the point
        printf "\\$(printf %03o $((10 + i % 20)))\\000\\000\\000"
        i=$((i + 1))
    done
} >lengths.npy
quiet import npy --rows "$ekfac/X_train.npy" --lengths lengths.npy --shard-rows 40 -o rows
quiet export rows --what length -o back.npy
same lengths.npy back.npy
tamis inspect rows | facts tokens
echo '--- into a converted store, and into scores'
quiet convert rows --dtype bf16 -o bf16.h5
quiet export bf16.h5 --what length -f -o back.npy
same lengths.npy back.npy
quiet score self --train rows -o self.h5
quiet export self.h5 --what length -f -o back.npy
same lengths.npy back.npy
quiet export self.h5 -o self.npy
quiet import npy --scores self.npy --lengths lengths.npy -o imported.h5
quiet export imported.h5 --what length --format csv -o - | head -n 3
echo '--- a budget in tokens'
# spent: tokens of the kept rows.
spent() {
    quiet export "$1" --format csv -o - | awk -F, 'NR > 1 && $3 { sum += 10 + $1 % 20 } END { print (sum <= 300 && sum > 290) }'
}
quiet select top --scores self.h5 --cost rows#length --budget 300 -o a.h5
spent a.h5
quiet select top --scores self.h5 --cost self.h5#length --budget 300 -o b.h5
quiet export a.h5 --format csv -o a.csv
quiet export b.h5 --format csv -o b.csv
same a.csv b.csv
quiet select bottom --train rows --column length --budget 3 -o c.h5
quiet export c.h5 --format csv -o - | awk -F, 'NR > 1 && $3 { print $1, $5 }'
echo '--- none are recorded'
tamis select top --scores self.h5 --cost plain.h5#length --budget 300 -o d.h5 2>&1 || echo "exit $?"
quiet score self --train plain.h5 -o none.h5
tamis select top --scores self.h5 --cost none.h5#length --budget 300 -o d.h5 2>&1 || echo "exit $?"
tamis export plain.h5 --what length -o d.npy 2>&1 || echo "exit $?"
