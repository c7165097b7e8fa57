#!/bin/sh
# What score makes of its options: lists, reductions, resuming, panels, rows that are not finite; and the same bytes
# whatever the threads, the shards and the memory.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 600 >train.csv
csv 150 700 >query.csv
quiet train --model mlp --hidden 6 --data train.csv --label class --epochs 4 --checkpoint-every 2 --seed 3 -o model.h5
for name in train query; do
    quiet grad --model model.h5 --data $name.csv --label class -o $name.h5
    for k in 0 1; do quiet export $name.h5 --what gradient --checkpoint $k -o $name$k.npy; done
done
{
    npy '|u1' '(150,)'
    seq 30 | while read -r _; do printf '\000\001\001\001\002'; done
} >groups.npy
load() { quiet import npy --rows "$1"0.npy --learning-rate 0.3 --rows "$1"1.npy --learning-rate 0.1 "$2" "$3" -f -o "$4"; }
mkdir one five
load query --groups groups.npy query.h5
load train --shard-rows 0 one/train
load train --shard-rows 128 five/train
score() { quiet score "$@" --train one/train --query query.h5 -f; }
csv_of() { quiet export "$1" --format csv -o -; }

echo '--- lists are the ends of the sorted matrix'
score cosine -o all.h5
score cosine --top 20 --bottom 7 -o lists.h5
csv_of all.h5 | awk -F, 'NR > 1 { for (q = 3; q <= NF; q++) print q - 3, $1, $q }' >triples
ends() { awk -v k="$1" '$1 != q { q = $1; n = 0 } ++n <= k { print $1, n, $2, $3 }'; }
sort -k1,1n -k3,3gr -k2,2n triples | ends 20 >sorted.top
sort -k1,1n -k3,3g -k2,2n triples | ends 7 >sorted.bottom
for end in top bottom; do
    csv_of lists.h5 | awk -F, -v end=$end '$7 == end { print $1, $3, $4, $6 }' >$end
    echo "$(wc -l <$end) places, $(same sorted.$end $end)"
done

echo '--- reductions'
score tracin -o all.h5
csv_of all.h5 >all.csv
for how in mean sum max group-mean group-max; do
    score tracin --reduce $how -o some.h5
    csv_of some.h5 >some.csv
    awk -F, -v how=$how '
        function max(a, b) { return a > b ? a : b }
        function abs(x) { return x < 0 ? -x : x }
        FNR == 1 { next }
        NR == FNR { columns = NF - 2; for (c = 1; c <= columns; c++) got[$1, c] = $(c + 2); next }
        {
            split("0 0 0", sum, " ")
            most = $3
            for (q = 0; q < 150; q++) {
                sum[q % 5 == 0 ? 1 : q % 5 < 4 ? 2 : 3] += $(q + 3)
                most = max(most, $(q + 3))
            }
            total = sum[1] + sum[2] + sum[3]
            for (c = 1; c <= 3; c++) want[c] = sum[c] / (c == 2 ? 90 : 30)
            if (how == "group-max") want[1] = max(max(want[1], want[2]), want[3])
            else if (how != "group-mean") want[1] = how == "mean" ? total / 150 : how == "sum" ? total : most
            for (c = 1; c <= columns; c++) {
                off = max(off, abs(want[c] - got[$1, c]))
                size = max(size, abs(want[c]))
            }
        }
        END { print how, columns, (size > 0 && off <= 2e-6 * size ? "agrees" : off " of " size) }' some.csv all.csv
done

echo '--- the same bytes'
for options in tracin 'cosine --top 9 --bottom 9' less:aggregate=groups; do
    for run in 'one 1 4M' 'one 2 64M' 'one 7 1G' 'five 1 1G' 'five 2 4M' 'five 7 64M'; do
        # shellcheck disable=SC2086
        set -- $run
        # shellcheck disable=SC2086
        quiet score $options --train "$1/train" --threads "$2" --memory "$3" --query query.h5 -f -o s.h5
        csv_of s.h5 | cksum
    done | uniq | wc -l
done
score cosine -o plain.h5
score cosine --resume -o resumed.h5
same plain.h5 resumed.h5
for seed in 7 7 8; do quiet score random --seed $seed --train one/train -f -o r.h5 && csv_of r.h5 | cksum; done |
    uniq -c | awk '{ print $1 }' | xargs
find . -name '*.spool'

echo '--- panels'
quiet convert one/train --dtype bf16 -o half.h5
panel() { tamis score tracin --train half.h5 --query query.h5 -f -o "$@"; }
panel exact.h5 --panel exact | facts panel
panel auto.h5 | awk '/^panel error/ { print ($3 <= 1e-3 ? "within 0.001" : $3) }'
panel strict.h5 --panel-error 1e-12 | facts panel | head -n 1 # nothing that rounds is as good as that
csv_of exact.h5 >exact.csv
csv_of auto.h5 | paste -d , - exact.csv | awk -F, 'NR > 1 { for (q = 3; q <= 152; q++) {
    x = $(q + 152); d = $q - x; x = x < 0 ? -x : x; d = d < 0 ? -d : d
    if (x > size) size = x
    if (d > off) off = d } } END { print (off <= 1e-3 * size ? "agree" : off " of " size) }'

echo '--- a row that is not finite'
cp one/train bad.h5
for what in gradient norm; do
    quiet export one/train --what $what -f -o part.npy
    tail -c +129 part.npy | head -c 24 >row
    patch bad.h5 "$(LC_ALL=C grep -obUaF -f row bad.h5 | head -n 1 | cut -d: -f 1)" 000 000 300 177
done
"$TAMIS" score tracin --train bad.h5 --query query.h5 -o s.h5 -f 2>&1 || echo "exit $?"
tamis score tracin --bad-rows skip --train bad.h5 --query query.h5 -o s.h5 -f 2>&1 | facts rows skipped tamis:
quiet select random --scores s.h5 --budget 599 -o sel.h5
quiet manifest --selection sel.h5 --format index -o - | sort -n | head -n 1
"$TAMIS" select top --scores s.h5 --budget 600 -f -o sel.h5 2>&1 || echo "exit $?"
