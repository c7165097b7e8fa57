#!/bin/sh
# Orders, splits, repeats, several inputs, compressed files and arrays, read back by other programs.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    echo id,x,y,class,source
    rows 40 | awk -F, '{ printf "r%02d,%s,%s,%s,s%d\n", NR - 1, $1, $2, $3, (NR * NR) % 7 }'
} >train.csv
quiet train --model softmax --data train.csv --label class --id id --group source --epochs 3 -o model.h5
quiet grad --model model.h5 --data train.csv --label class --id id --group source -o train.h5
quiet score self --train train.h5 -o self.h5
quiet select top --scores self.h5 --budget 20 -o sel.h5
manifest() {
    quiet manifest --selection sel.h5 "$@"
}
manifest --in train.csv --id-field id -o kept.csv --dropped rest.csv
# What a dry run promises, and its groups.
tamis manifest --selection sel.h5 --in train.csv -o dry.csv --dry-run | facts
echo "bytes: $(wc -c <kept.csv)"
ls dry.csv* 2>/dev/null || echo 'nothing written'
tamis manifest --selection sel.h5 --in train.csv -o dry.csv --dry-run --json | jq -c '[.records, .written, .bytes_out]'
# Compressed, in and out, the same bytes each time; the tools say they are whole.
gzip -c train.csv >train.csv.gz
head -n 11 train.csv >one.csv
{ head -n 1 train.csv && tail -n +12 train.csv; } >two.csv
zstd -q two.csv -o two.csv.zst
manifest --in train.csv.gz -o out.csv.zst
manifest --in one.csv --in two.csv.zst -o out.csv.gz
zstd -qt out.csv.zst && gzip -t out.csv.gz
zstd -dcq out.csv.zst >a.csv
gzip -dc out.csv.gz >b.csv
same kept.csv a.csv
same kept.csv b.csv
manifest --in train.csv -o again.csv.gz
same out.csv.gz again.csv.gz
tamis manifest --selection sel.h5 --in one.csv --in two.csv.zst -o c.csv --json | jq -c '.inputs[]'
# By score: as exported; shuffled: the same records in another order.
manifest --in train.csv -o score.csv --order score
tamis export sel.h5 --what row --format csv -o rows.csv -q
manifest --format index -o picks.txt --order score
tail -n +2 score.csv | cut -d, -f1 | tr -d r | awk '{ print $1 + 0 }' >got
same picks.txt got
manifest --in train.csv -o shuffled.csv --shuffle 3
tail -n +2 shuffled.csv | sort >sorted
tail -n +2 kept.csv | sort -c && tail -n +2 kept.csv >wanted
same sorted wanted
cmp -s shuffled.csv kept.csv && echo "not shuffled"
# Splits: together the whole, and no group in both.
manifest --in train.csv -o 'part-{}.csv' --split train=0.7,valid=0.3 --split-by group
{ tail -n +2 part-train.csv && tail -n +2 part-valid.csv; } | sort >both
same wanted both
for part in train valid; do tail -n +2 part-$part.csv | cut -d, -f5 | sort -u >groups-$part; done
comm -12 groups-train groups-valid | wc -l
# Weights are 1 each: 50 of 20 kept.
manifest --in train.csv -o repeats.csv --repeats 50
tail -n +2 repeats.csv | sort | uniq -c | awk '{ n[$1]++ } END { for (i in n) print i, n[i] }' | sort
manifest --format counts --repeats 125% -o counts.txt
awk '{ sum += $1 } END { print NR, sum }' counts.txt
# An array stays one that jq reads, with the elements as they were spelt.
seq 0 39 | jq -c '{n: ., t: "é,]"}' | awk 'BEGIN { printf "[" } { printf "%s %s", (NR > 1 ? "," : ""), $0 } END { print " ]" }' >all.json
manifest --no-digests --in all.json -o kept.json --dropped rest.json
jq -c '[.[].n]' kept.json | tr -d '[]' | tr ',' '\n' >got
manifest --format index -o index.txt
same index.txt got
jq -s 'add | length' kept.json rest.json
# A .dvc file says what md5sum and wc do.
manifest --in train.csv -o dvc.csv --dvc
printf 'outs:\n- md5: %s\n  size: %d\n  hash: md5\n  path: '"'dvc.csv'"'\n' "$(md5sum <dvc.csv | cut -d' ' -f1)" "$(wc -c <dvc.csv)" >wanted.dvc
same wanted.dvc dvc.csv.dvc
