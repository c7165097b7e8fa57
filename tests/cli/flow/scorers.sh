#!/bin/sh
# Scorers from stores to selections; less picks what the released code picks.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

less=$DATA/reference/less
# less: two training files one after the other, 9 subtasks of 2 queries.
for step in 105 211; do
    {
        npy '<f4' '(55, 512)'
        tail -c +129 "$less/train_dolly_$step.npy"
        tail -c +129 "$less/train_cot_$step.npy"
    } >train_$step.npy
done
{
    npy '|u1' '(18,)'
    printf '\000\000\001\001\002\002\003\003\004\004\005\005\006\006\007\007\010\010'
} >groups.npy
quiet import npy --rows train_105.npy --learning-rate 1.6877e-05 --rows train_211.npy --learning-rate 1.2859e-05 \
    -o train.h5
quiet import npy --rows "$less/val_tydiqa_105.npy" --learning-rate 1.6877e-05 --rows "$less/val_tydiqa_211.npy" \
    --learning-rate 1.2859e-05 --groups groups.npy -o query.h5
tamis score less --train train.h5 --query query.h5 -o scores.h5 | facts scorer rows
quiet select top --scores scores.h5 --budget 20% -o sel.h5
for i in $(seq 0 29); do echo "{\"id\": \"dolly_$i\"}"; done >records.jsonl
for i in $(seq 0 24); do echo "{\"id\": \"cot_$i\"}"; done >>records.jsonl
quiet manifest --selection sel.h5 --in records.jsonl --format jsonl -o top.jsonl
sort top.jsonl >ours
sort "$less/top_p0.2_correct.jsonl" >theirs
same ours theirs
tamis score less:aggregate=groups --train train.h5 --query query.h5 -f -o scores.h5 | facts scorer
quiet export scores.h5 --what query-id --format csv -o - | xargs
# Those with queries, which say what they chose, and those without.
for scorer in cosine datainf tracin trackstar trak:out-to-loss=false; do
    tamis score $scorer --train train.h5 --query query.h5 -f -o scores.h5 2>log | facts scorer rows queries
    grep -c share log || true
done
for scorer in grand random self; do
    tamis score $scorer --train train.h5 -f -o scores.h5 | facts scorer rows queries
done
quiet score random:seed=3 --train train.h5 -f -o a.h5
quiet score random:seed=3 --train train.h5 --threads 3 -f -o b.h5
for file in a b; do quiet export $file.h5 --format csv -o $file.csv; done
same a.csv b.csv
