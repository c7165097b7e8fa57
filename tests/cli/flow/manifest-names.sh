#!/bin/sh
# Outputs of manifests that could replace what is read, names of splits, seeds, and many inputs.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(6, 1)'
    # 3 1 2 -1 5 0
    printf '\000\000\100\100\000\000\200\077\000\000\000\100\000\000\200\277\000\000\240\100\000\000\000\000'
} >s.npy
quiet import npy --scores s.npy -o scores.h5
quiet select top --scores scores.h5 --budget 4 -o sel.h5
seq 6 | sed 's/.*/{"n": &}/' >in.jsonl
mkdir precious
cp sel.h5 in.jsonl precious
manifest() {
    quiet manifest --selection sel.h5 "$@"
}
refused() {
    if manifest "$@" 2>err; then echo "not refused: $*"; fi
    cat err
}

# Nothing is written over the selection or an input, -f or not, dry run or not.
refused --in in.jsonl -f -o '{}' --split sel.h5=1
refused --in in.jsonl -f -o './{}' --split in.jsonl=1
refused --in in.jsonl -f -o '{}' --split in.jsonl=1 --dry-run
refused --in in.jsonl -f -o out.jsonl --format axolotl:stanza=sel.h5
refused --in in.jsonl -f -o out.jsonl --format axolotl:stanza=in.jsonl --dry-run
for i in 1 2 3 4 5 6; do echo "$i" >$i.txt; done
mkdir top-a
tar -cf top-a/shard-000000.tar 1.txt 2.txt 3.txt 4.txt 5.txt 6.txt
refused --in top-a/shard-000000.tar -f -o 'top-{}' --format webdataset --split a=1,b=1
tar -tf top-a/shard-000000.tar | wc -l
same sel.h5 precious/sel.h5
same in.jsonl precious/in.jsonl

# A split's name may be a directory's; one that is not there is told before anything is read.
mkdir d-a d-b
manifest --in in.jsonl -o 'd-{}/x.jsonl' --split a=1,b=1
cat d-a/x.jsonl d-b/x.jsonl | sort >both
manifest --in in.jsonl -o whole.jsonl
same whole.jsonl both
refused --in absent.jsonl -o 'd-{}/y.jsonl' --split a=1,c=1 --dry-run
# Compressed inputs expand beside an output that is a directory, slash or not.
gzip -c top-a/shard-000000.tar >all.tar.gz
manifest --in all.tar.gz --format webdataset -o top/
tar -tf top/shard-000000.tar | xargs
gzip -c in.jsonl >in.jsonl.gz
manifest --in in.jsonl.gz -o 'd-{}/z.jsonl' --split a=1,b=1
cat d-a/z.jsonl d-b/z.jsonl | sort >both
same whole.jsonl both

# --seed is the seed of orders and splits that have none of their own.
manifest --in in.jsonl -o s1.jsonl --shuffle 11
manifest --in in.jsonl -o s2.jsonl --order shuffle --seed 11
manifest --in in.jsonl -o s3.jsonl --shuffle 11 --seed 12
same s1.jsonl s2.jsonl
same s1.jsonl s3.jsonl
for seed in 0 1 2 3 4 5 6 7; do
    manifest --in in.jsonl -o - --order shuffle --seed $seed | xargs
done | sort -u | wc -l | awk '{ print ($1 > 4 ? "orders differ" : "one order") }'
manifest --in in.jsonl -o 'a-{}.jsonl' --split a=1,b=1 --split-seed 3
manifest --in in.jsonl -o 'b-{}.jsonl' --split a=1,b=1 --seed 3
manifest --in in.jsonl -o 'c-{}.jsonl' --split a=1,b=1 --seed 4 --split-seed 3
same a-a.jsonl b-a.jsonl
same a-a.jsonl c-a.jsonl

# More inputs than a shell's user writes by hand, as data sets in shards have them.
mkdir many
{
    npy '<f4' '(1200, 1)'
    head -c 4800 /dev/zero
} >many.npy
quiet import npy --scores many.npy -o many.h5
quiet select random --scores many.h5 --budget 600 -o many-sel.h5
i=0
set --
while [ $i -lt 600 ]; do
    i=$((i + 1))
    printf '%s\n%s\n' "$((2 * i - 2))" "$((2 * i - 1))" >many/$i.jsonl
    set -- "$@" --in many/$i.jsonl
done
quiet manifest --selection many-sel.h5 "$@" -o many.jsonl
quiet manifest --selection many-sel.h5 --format index -o many.txt
same many.txt many.jsonl

# A dry run has standard output for itself.
tamis manifest --selection sel.h5 --in in.jsonl -o - --dry-run | facts would records bytes
tamis manifest --selection sel.h5 --in in.jsonl -o - --dry-run --json | jq -c '[.records, .bytes_out]'

# What was compared and what was not.
printf '%s\n' 1 2 3 4 5 6 >ids
quiet import npy --scores s.npy --ids ids -o scores2.h5
quiet select top --scores scores2.h5 --budget 4 -o sel2.h5
tamis manifest --selection sel2.h5 --in in.jsonl -o ids.jsonl --id-field n | facts digests ids
tamis manifest --selection sel.h5 --in in.jsonl -o ids.jsonl -f | facts digests ids
