#!/bin/sh
# Candidates by texts and by lists of ids: only they have scores, the same as among all rows.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# records N FIRST: rows with a text: two of seven words, and "all" in each.
records() {
    rows "$1" "$2" | awk -F, -v first="$2" 'BEGIN { split("red green blue cyan plum gold teal", word, " ") } {
        i = first + NR
        printf "{\"id\": \"r%d\", \"x\": [%s, %s], \"class\": \"%s\", ", i, $1, $2, $3
        printf "\"text\": \"All %s, %s!\"}\n", word[i % 7 + 1], word[i % 5 + 1]
    }'
}
records 40 0 >train.jsonl
records 4 100 >query.jsonl
grads() { quiet grad --model model.h5 --label class --id id --features x "$@"; }
quiet train --model softmax --data train.jsonl --label class --id id --features x --epochs 5 -o model.h5
grads --data train.jsonl -o train.h5
grads --data query.jsonl -o query.h5
score() { tamis score tracin --train train.h5 --query query.h5 "$@"; }
texts='--manifest train.jsonl --query-manifest query.jsonl --text-field text'
score -o all.h5 >/dev/null
echo '--- five for each query'
# shellcheck disable=SC2086
score --candidates 5 $texts -o some.h5 | facts rows columns query candidates candidate skipped
tamis inspect some.h5 | facts rows queries without pairs healthy
# shellcheck disable=SC2086
score --candidates 5 $texts --threads 3 -f -o again.h5 >/dev/null
quiet export some.h5 --format csv -o some.csv
quiet export again.h5 --format csv -o again.csv
same some.csv again.csv
# Where there is a score it is that of the whole matrix; five in each column.
quiet export all.h5 --format csv -o all.csv
paste -d, all.csv some.csv | awk -F, 'NR > 1 {
    for (q = 3; q <= 6; q++) if ($(q + 6) != "nan") { n[q]++; if ($(q + 6) != $q) print "differs", $0 }
} END { print n[3], n[4], n[5], n[6] }'
echo '--- lists of them'
# shellcheck disable=SC2086
score --candidates 5 --candidates-method bm25:b=0 $texts --top 8 -o top.h5 | facts candidates candidate
tamis inspect top.h5 | facts top healthy
quiet export top.h5 --format csv -o - | grep -c .
quiet select top --by max --budget 3 --scores top.h5 -o sel.h5
quiet manifest --selection sel.h5 --in train.jsonl -o - | grep -c .
echo '--- ids'
printf 'r7\nr3\n' >ids.txt
score --candidate-ids ids.txt -o ids.h5 | facts candidate skipped
quiet export ids.h5 --format csv -o - | grep -v nan | cut -d, -f 2 | xargs
printf 'r101\tr3\nr103\tr9\n' >pairs.tsv
score --candidate-ids pairs.tsv --top 1 -o pairs.h5 | facts candidate
quiet export pairs.h5 --format jsonl -o - | grep -o '"r[0-9]*"' | xargs
score --candidate-ids pairs.tsv --reduce max -o max.h5 | facts columns skipped
echo '--- a query that shares nothing'
sed 's/All.*!/zebra/' query.jsonl | sed -n 2p >odd.jsonl
grads --data odd.jsonl -o odd.h5
"$TAMIS" score tracin --train train.h5 --query odd.h5 --candidates 5 --manifest train.jsonl --query-manifest odd.jsonl \
    --text-field text -o odd.scores.h5 2>&1 | grep -v ' seconds\|rows/s' | grep -i 'share\|candidates'
echo '--- parts of scores, of rows and of factors'
csv 60 >train.csv
csv 4 100 >query.csv
quiet train --model mlp --hidden 5 --data train.csv --label class --epochs 5 -o mlp.h5
for name in train query; do
    for form in full factors; do
        quiet grad --model mlp.h5 --data $name.csv --label class --form $form --labels sampled -o $name-$form.h5
    done
done
quiet fit ekfac --train train-factors.h5 -o curvature.h5
printf '0\t3\n0\t7\n2\t7\n2\t9\n2\t59\n' >pairs.tsv
# part FORM OPTIONS...: how many scores there are, and how many are others than without candidates.
part() {
    form=$1
    shift
    set -- ekfac --train "train-$form.h5" --query "query-$form.h5" --curvature curvature.h5 "$@"
    quiet score "$@" -f -o whole.h5
    quiet score "$@" --candidate-ids pairs.tsv -f -o part.h5
    quiet export whole.h5 --format csv -f -o whole.csv
    quiet export part.h5 --format csv -f -o part.csv
    paste -d, whole.csv part.csv | awk -F, 'NR > 1 {
        for (q = 3; q <= NF / 2; q++) if ($(q + NF / 2) != "nan") { n++; bad += $(q + NF / 2) != $q }
    } END { print n " scores, " bad + 0 " differ" }'
}
part full --by example
part full --by layer
part factors --by example
part factors --by layer
part factors --by token
