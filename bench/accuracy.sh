#!/bin/sh
# Every scorer on the digits: how well it foretells retraining (LDS), leaving one out (LOO) and flipped labels, what
# it costs and what it keeps of an example. Writes docs/accuracy.md and its figures.
# usage: bench/accuracy.sh TAMIS [DIR]     DIR keeps stores, scores and trainings; a second run takes the trainings over
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tamis=$(realpath "$1")
work=${2:-$root/build-release/accuracy}
docs=$root/docs
mkdir -p "$work/scores" "$work/n-scores"
cd "$work"
rm -f scorers.txt

quiet() {
    "$tamis" "$@" -q -f
}

# --- data: 1,200 training rows, 50 queries, and the training rows with 120 labels flipped --------------------------

awk -F, -v OFS=, '
    NR == 1 { print >"train.csv"; print >"query.csv"; print >"noisy.csv"; next }
    (NR - 1) * 7919 % 1797 < 50 { print >"query.csv"; next }
    rows < 1200 {
        print >"train.csv"
        if (rows % 10 == 3) { print rows >"flipped.txt"; $NF = ($NF + 1 + int(rows / 10) % 9) % 10 }
        print >"noisy.csv"
        rows++
    }' "$root/data/digits.csv"

# --- models and stores ---------------------------------------------------------------------------------------------

# stores PREFIX TRAIN.csv - a model and all that scorers want of it, under names that start with the prefix.
stores() {
    quiet train --model mlp --hidden 32,32 --data "$2" --label label --epochs 60 --batch 100 --weight-decay 5e-3 \
        --checkpoint-every 12 -o "$1model.h5"
    grad="grad --model $1model.h5 --label label"
    last="$grad --checkpoints last"
    # shellcheck disable=SC2086
    for side in train query; do
        data=$2
        [ $side = train ] || data=query.csv
        quiet $grad --data "$data" -o "$1$side-all.h5"
        quiet $last --data "$data" -o "$1$side-f32.h5"
        quiet $last --data "$data" --function margin -o "$1$side-margin.h5"
        quiet $last --data "$data" --form projected:512 -o "$1$side-512.h5"
        quiet $last --data "$data" --function margin --form projected:512 -o "$1$side-margin-512.h5"
        quiet $last --data "$data" --form factors -o "$1$side-factors.h5"
    done
    for type in f16 bf16 i8; do
        quiet convert "$1train-f32.h5" --dtype $type -o "$1train-$type.h5"
        quiet convert "$1train-factors.h5" --dtype $type -o "$1train-factors-$type.h5"
    done
    # shellcheck disable=SC2086
    {
        quiet $last --data "$2" --form factors --labels sampled --label-seed 1 -o "$1pseudo-a.h5"
        quiet $last --data "$2" --form factors --labels sampled --label-seed 2 -o "$1pseudo-b.h5"
        quiet $last --data "$2" --form factors --labels expected -o "$1pseudo-expected.h5"
    }
    for kind in ekfac kfac diagonal; do
        lambda=
        [ $kind != ekfac ] || lambda="--lambda $1pseudo-b.h5"
        # shellcheck disable=SC2086
        quiet fit $kind --train "$1pseudo-a.h5" $lambda -o "$1$kind.h5"
    done
    quiet fit ekfac --train "$1train-factors.h5" -o "$1empirical.h5"
    quiet fit ekfac --train "$1pseudo-expected.h5" -o "$1expected.h5"
    quiet fit gram --train "$1train-512.h5" -o "$1gram.h5"
    quiet fit whiten --train "$1train-512.h5" --with "$1query-512.h5" --damping 0.1 -o "$1white.h5"
    for side in train query; do
        type=f32
        [ $side = query ] || type=i8
        quiet convert "$1$side-f32.h5" --whiten "$1ekfac.h5" --dtype $type -o "$1$side-white.h5"
        quiet convert "$1$side-f32.h5" --whiten "$1ekfac.h5" --keep 25% --dtype $type -o "$1$side-white-25.h5"
    done
}

stores '' train.csv
stores n- noisy.csv

# --- scores --------------------------------------------------------------------------------------------------------

bytes_of() {
    if [ -d "$1" ]; then du -sb "$1" | cut -f 1; else wc -c <"$1"; fi
}

# score NAME TRAIN QUERY SCORER [OPTION...] - of both models; QUERY - = none.
score() {
    name=$1 train=$2 query=$3
    shift 3
    for prefix in '' n-; do
        start=$(date +%s.%N)
        set -- "$@" ""
        args=
        for arg; do
            case $arg in
            '') ;;
            *.h5) args="$args $prefix$arg" ;;
            *) args="$args $arg" ;;
            esac
        done
        [ "$query" = - ] || args="$args --query $prefix$query.h5"
        # shellcheck disable=SC2086
        quiet score $args --train "$prefix$train.h5" -o "${prefix}scores/$name.h5"
        [ -n "$prefix" ] || seconds=$(echo "$(date +%s.%N) $start" | awk '{ printf "%.2f", $1 - $2 }')
    done
    echo "$name $seconds $(($(bytes_of "$train.h5") / 1200)) $query" >>scorers.txt
}

score random train-f32 - random
score grand train-f32 - grand
score self train-f32 - self
score self-ekfac train-factors - self --curvature ekfac.h5
score tracin train-f32 query-f32 tracin
score tracin-5 train-all query-all tracin
score cosine train-f32 query-f32 cosine
score cosine-5 train-all query-all cosine
# One column for all queries, so neither LDS nor LOO.
score less train-all query-all less
sed -i '$s/ query-all$/ -/' scorers.txt
score datainf train-f32 query-f32 datainf
score trak train-margin query-margin trak
score trak-512 train-margin-512 query-margin-512 trak
score trackstar-512 train-512 query-512 trackstar
score inverse-gram-512 train-512 query-512 inverse-gram --curvature gram.h5
score whitened-distance-512 train-512 query-512 whitened-distance --curvature white.h5
score diagonal train-f32 query-f32 diagonal --curvature diagonal.h5
score kfac train-f32 query-f32 kfac --curvature kfac.h5
score ekfac train-f32 query-f32 ekfac --curvature ekfac.h5
score ekfac-expected train-f32 query-f32 ekfac --curvature expected.h5
score ekfac-empirical train-f32 query-f32 ekfac --curvature empirical.h5
for type in f16 bf16 i8; do score ekfac-$type train-$type query-f32 ekfac --curvature ekfac.h5; done
score ekfac-factors-bf16 train-factors-bf16 query-factors ekfac --curvature ekfac.h5
score ekfac-factors-i8 train-factors-i8 query-factors ekfac --curvature ekfac.h5
score ekfac-spectral-8 train-factors query-factors ekfac:spectral-rank=8 --curvature ekfac.h5
score ekfac-query-4 train-factors query-factors ekfac:query-rank=4 --curvature ekfac.h5
score ekfac-white-i8 train-white query-white tracin
score ekfac-white-25-i8 train-white-25 query-white-25 tracin

# --- yardsticks ----------------------------------------------------------------------------------------------------

of_queries=$(awk '$4 != "-" { print "--scores", "scores/" $1 ".h5" }' scorers.txt)
retrain='--model model.h5 --data train.csv --query-data query.csv --label label --runs trainings.runs'
# shellcheck disable=SC2086
{
    quiet evaluate lds $of_queries $retrain --subsets-number 100 --seeds 5 --json --figure "$docs/accuracy-lds.svg" >lds.json
    quiet evaluate loo $of_queries $retrain --rows-number 50 --seeds 10 --json >loo.json
}
# Influence on good queries is low where labels are wrong; what an example does to itself is high.
while read -r name _; do
    worst=low
    case $name in self* | grand) worst=high ;; esac
    quiet evaluate noise --scores "n-scores/$name.h5" --bad flipped.txt --budget 120 --worst $worst --json
done <scorers.txt | jq -s . >noise.json

# --- the page ------------------------------------------------------------------------------------------------------

# field FILE NAME KEY - of a scorer's row, three decimals; - when there is none.
field() {
    jq -r --arg file "scores/$2.h5" --arg key "$3" \
        '[.scores[] | select(.scores == $file)][0][$key] // "-" | if type == "number" then . * 1000 | round / 1000 else . end' "$1"
}
row=0
{
    cat <<'END'
# Accuracy

Made by `bench/accuracy.sh`, which anyone can run again: the digits of `data/`, a 64-32-32-10 perceptron, 1,200 training
rows, 50 queries.

* **LDS**: rank correlation of summed scores with what models trained on 100 random halves do on the queries, 5 trainings
  each; with its 95% interval. Differences below 0.02 mean nothing with so many subsets.
* **LOO**: Pearson correlation with what leaving single rows out does (50 rows, 10 trainings each).
* **AUC**: a tenth of the labels is flipped; how often a flipped row stands before a good one, by the mean score over the
  queries, or by the example's own score.
* **s**: seconds of `tamis score`. **bytes**: of the training store, an example; files hold whole chunks, so that small ones
  count as somewhat more than their rows.

| scorer | LDS | interval | LOO | AUC | s | bytes |
|---|---|---|---|---|---|---|
END
    while read -r name seconds bytes query; do
        auc=$(jq -r ".[$row].scores[0].auc * 1000 | round / 1000" noise.json)
        row=$((row + 1))
        lds='- | -' loo='-'
        if [ "$query" != - ]; then
            lds="$(field lds.json "$name" lds) | $(field lds.json "$name" lds_low) to $(field lds.json "$name" lds_high)"
            loo=$(field loo.json "$name" pearson)
        fi
        echo "| $name | $lds | $loo | $auc | $seconds | $bytes |"
    done <scorers.txt
    cat <<'END'

`-5` are sums over five checkpoints, `-512` rows projected to 512 columns, `white-25` the quarter of the whitened
coordinates that matters most. `self-ekfac` is self-influence under the curvature.

![LDS of every scorer](accuracy-lds.svg)
END
} >"$docs/accuracy.md"
