#!/bin/sh
# Does --memory hold? The program works on stores more than ten times larger than the limit, and its peak
# resident set, mapped pages included, must stay within the limit and 128 MiB more.
#
# usage: memory.sh TAMIS STORE PEAK [MIB]      the program, the helpers store.c and peak.c, the limit (64)
#
# One line of TAP a case, with the peak; a larger limit has two cases more, which are slow. Needs 33 times the limit
# on disk under TMPDIR (/tmp), removed at
# the end; exits with 77 when there is too little.
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

tamis=$(realpath "$1")
store=$(realpath "$2")
peak=$(realpath "$3")
limit=${4:-64}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
cd "$scratch"

free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
if [ "$free" -lt $((limit * 33)) ]; then
    echo "1..0 # SKIP $free MiB of disk are free, $((limit * 33)) are needed"
    exit 77
fi

number=0
failed=0

# bounded NAME ARGUMENT...: the program with these arguments and the limit; out.h5 goes.
bounded() {
    name=$1
    shift
    number=$((number + 1))
    status=0
    mib=$("$peak" $((limit + 128)) "$tamis" "$@" --memory "${limit}M" --threads 2 --progress never -q) || status=$?
    if [ "$status" -eq 0 ]; then echo "ok $number - $name: $mib MiB"; else
        failed=1
        echo "not ok $number - $name: $mib MiB of $((limit + 128)) allowed, status $status"
    fi
    rm -rf out.h5
}

score() {
    name=$1
    shift
    bounded "score $name" score "$@" -o out.h5
}

convert() {
    name=$1
    shift
    bounded "convert $name" convert "$@" -o out.h5
}

# Eleven times the limit: 4,096 columns of f32 are 64 rows a MiB. Two checkpoints of four layers, in shards.
rows=$((limit * 352))
"$store" train $rows 1024 2 4 f32 $((rows / 3)) 1
"$store" few.h5 64 1024 2 4 f32 0 2
"$store" many.h5 1000 1024 2 4 f32 0 3
score 'tracin, 64 queries' tracin --train train --query few.h5
score 'tracin, 1000 queries' tracin --train train --query many.h5
score 'tracin, lists' tracin --train train --query few.h5 --top 100 --bottom 100
score 'less' less --train train --query few.h5
score 'cosine, group maxima' cosine --train train --query many.h5 --reduce group-max
score 'datainf' datainf --train train --query few.h5
score 'self' self --train train
convert 'copy' train
convert 'to i8' train --dtype i8
convert 'to bf16' train --dtype bf16
convert 'sparse' train --project sparse:256 --seed 1
rm -rf train

# At a width whose second moments fit.
"$store" narrow $((rows * 8)) 128 1 4 f32 $((rows * 3)) 5
"$store" narrow-query.h5 64 128 1 4 f32 0 6
score 'trak' trak:out-to-loss=false --train narrow --query narrow-query.h5
score 'trackstar' trackstar --train narrow --query narrow-query.h5
"$store" narrow-many.h5 1000 128 1 4 f32 0 7
"$tamis" score tracin --train narrow --query narrow-many.h5 -o scores.h5 -q
rm -rf narrow
bounded 'select from a matrix' select bottom --scores scores.h5 --by max --budget 5% -o out.h5
bounded 'export of a matrix' export scores.h5 --format npy -o out.h5
rm -f scores.h5


# Rows without norms, of 4 MB each: a few at a time are all that fits.
"$store" wide.h5 $((limit * 5 / 2 + limit / 4)) 1000000 1 1 f32 0 4
convert 'wide rows to i8' wide.h5 --dtype i8
convert 'wide rows, sparse' wide.h5 --project sparse:4096 --seed 1
if [ "$limit" -gt 64 ]; then
    convert 'copy of wide rows' wide.h5
    convert 'wide rows, rademacher' wide.h5 --project rademacher:64 --seed 1
fi
score 'self of wide rows' self --train wide.h5

rm -f wide.h5

# Factors: a token is 4 KiB, 8 of them a row. Influence of a curvature that is fitted to them.
"$store" factors.h5 $((limit * 352)) 128 1 4 f32 0 8 128 8
"$store" factors-query.h5 4 128 1 4 f32 0 9 128 2
bounded 'fit ekfac' fit ekfac --train factors.h5 -o out.h5
"$store" some.h5 $((limit * 16)) 128 1 4 f32 0 8 128 8
"$tamis" fit ekfac --train some.h5 -o curvature.h5 -q
influence() {
    name=$1
    shift
    score "ekfac of factors, $name" "$@" --train factors.h5 --query factors-query.h5 --curvature curvature.h5
}
influence 'exact' ekfac
influence 'low rank' ekfac:query-rank=8
influence 'two stages' ekfac:query-rank=8,rescore=8 --top 20
awk -v n=$((limit * 352)) 'BEGIN { for (i = 0; i < n; i += 5) print i % 4 "\t" i }' >pairs.txt
influence 'candidates' ekfac --candidate-ids pairs.txt
convert 'factors to bf16' factors.h5 --dtype bf16
# Rows of 65,536 coordinates: four times the limit.
convert 'whitened' some.h5 --whiten curvature.h5
convert 'whitened, a part' some.h5 --whiten curvature.h5 --keep 25% --dtype i8
rm -f factors.h5 some.h5

# Gradients of half a million weights.
awk -v n=$((limit * 11 / 2)) 'BEGIN {
    for (i = -1; i < n; i++) {
        printf "%s", i < 0 ? "y" : i % 2
        for (c = 0; c < 1000; c++) printf ",%s", i < 0 ? "f" c : (i * 37 + c * 53) % 61
        print ""
    }
}' >data.csv
"$tamis" train --model mlp --data data.csv --label y --hidden 500 --epochs 1 -o model.h5 -q
grad="--model model.h5 --data data.csv --label y --checkpoints last"
# shellcheck disable=SC2086
bounded 'grad' grad $grad -o out.h5
# shellcheck disable=SC2086
bounded 'grad, projected' grad $grad --form projected:4096 --dtype bf16 -o out.h5
rm -f data.csv model.h5

# Training files of fourteen times the limit, in records of 80 KiB.
records=$((limit * 176))
"$store" small.h5 $records 4 1 1 f32 0 10
"$tamis" select top --train small.h5 --column norm --budget 50% -o kept.h5 -q
awk -v n=$records 'BEGIN {
    for (text = "text "; length(text) < 60000;) text = text text
    for (i = 0; i < n; i++) print "{\"id\":" i ",\"text\":\"" text "\"}"
}' >data.jsonl
bounded 'manifest' manifest --selection kept.h5 --in data.jsonl -o out.h5
bounded 'manifest, shuffled' manifest --selection kept.h5 --in data.jsonl --shuffle 1 -o out.h5
mkdir files
split -l 1 -a 4 --additional-suffix=.json data.jsonl files/
rm data.jsonl
tar -C files -cf data.tar .
rm -rf files
bounded 'manifest of a tar file' manifest --selection kept.h5 --in data.tar --format webdataset -o out.h5
bounded 'manifest of a tar file, shuffled' manifest --selection kept.h5 --in data.tar --format webdataset --shuffle 1 -o out.h5

echo "1..$number"
exit $failed
