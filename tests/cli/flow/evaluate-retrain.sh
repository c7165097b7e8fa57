#!/bin/sh
# Yardsticks that retrain: one file of runs for all, taken up again after a kill with the same bytes; tables
# as text, JSON and CSV; figures.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 60 >train.csv
csv 12 100 >query.csv
quiet train --model mlp --hidden 8 --epochs 5 --batch 16 --data train.csv --label class -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet grad --model model.h5 --data query.csv --label class -o query.h5
quiet score tracin --train train.h5 --query query.h5 -o tracin.h5
quiet score cosine --train train.h5 --query query.h5 -o cosine.h5
again="--model model.h5 --data train.csv --query-data query.csv --label class"

echo '# lds'
# shellcheck disable=SC2086
lds() {
    "$TAMIS" evaluate lds --scores tracin.h5 $again --subsets-number 40 --seeds 3 "$@"
}
lds --runs whole.runs --csv lds.csv --figure lds.svg --figure lds.png --threads 1 |
    facts yardstick rows queries subsets output runs reused seeds
head -n 1 lds.csv
head -c 5 lds.svg && echo
head -c 4 lds.png | tail -c 3 && echo
lds --json >first.json
lds --json --threads 3 --runs whole.runs >second.json
# Apart from the time and what was there already they say the same.
for file in first second; do sed 's/"seconds":[0-9.e-]*//; s/"reused_runs":[0-9]*,//' $file.json >$file.plain; done
same first.plain second.plain

echo '# killed'
lds --runs cut.runs -q --progress json 2>progress &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ ! -s cut.runs ] || break
    sleep 0.1
done
kill -KILL $pid 2>/dev/null || :
wait $pid 2>/dev/null || :
lds --runs cut.runs -q
same whole.runs cut.runs

echo '# loo'
# shellcheck disable=SC2086
tamis evaluate loo --scores tracin.h5 --scores cosine.h5 $again --rows-number 6 --seeds 3 --runs whole.runs 2>/dev/null |
    facts yardstick rows runs seeds scores
echo '# removal'
# shellcheck disable=SC2086
tamis evaluate removal --scores tracin.h5 $again --fractions 0,25%,0.5 --seeds 3 --runs whole.runs --csv removal.csv \
    --drop harmful --show accuracy --figure removal.svg | facts yardstick first they rows queries runs reused
cut -d, -f 1-4 removal.csv
echo '# overlap'
tamis evaluate overlap --scores tracin.h5 --scores tracin.h5 --scores cosine.h5 --top 1,60 --csv overlap.csv | facts yardstick rows queries
cut -d, -f 3,4 overlap.csv
