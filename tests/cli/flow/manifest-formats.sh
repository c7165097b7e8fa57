#!/bin/sh
# Index lists and masks of a selection, as text and as arrays.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(6, 1)'
    # 3 1 2 -1 5 0
    printf '\000\000\100\100\000\000\200\077\000\000\000\100\000\000\200\277\000\000\240\100\000\000\000\000'
} >s.npy
quiet import npy --scores s.npy -o scores.h5
quiet select top --scores scores.h5 --budget 3 -o sel.h5
for format in index mask; do
    quiet manifest --selection sel.h5 --format $format -o $format.txt
    echo "$format: $(tr '\n' ' ' <$format.txt)"
    quiet manifest --selection sel.h5 --format $format-npy -o $format.npy
    head -c 10 $format.npy | od -An -c | tr -s ' '
    tail -c +11 $format.npy | head -n 1 | tr -s ' '
done
tail -c 24 index.npy | od -An -v -t d8 | xargs
tail -c 6 mask.npy | od -An -v -t u1 | xargs
# By the name of the output, and to standard output.
quiet manifest --selection sel.h5 -o by-name.npy
same index.npy by-name.npy
tamis manifest --selection sel.h5 --format index -q -o -
# With an input: compared with the selection, then the list; without one there are no bytes in.
seq 6 | sed 's/.*/{"n": &}/' >in.jsonl
tamis manifest --selection sel.h5 --in in.jsonl --format index -o of.txt --dropped others.txt | facts
same index.txt of.txt
paste -s -d ' ' others.txt
wc -l <others.txt.reasons.csv
tamis manifest --selection sel.h5 --format index -f -o of.txt | facts
# Nothing kept: an empty file and a warning.
quiet select threshold:min=100 --scores scores.h5 -o none.h5 2>/dev/null
tamis manifest --selection none.h5 --in in.jsonl -o none.jsonl 2>none.err >none.out
cat none.err
wc -c <none.jsonl
