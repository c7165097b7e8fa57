#!/bin/sh
# Inputs of manifests at their worst: a record of 100 MB, names too long for a tar header, compressed MDS shards, cut
# archives; what is written is read by other programs.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(4, 1)'
    # 3 1 2 -1
    printf '\000\000\100\100\000\000\200\077\000\000\000\100\000\000\200\277'
} >s.npy
quiet import npy --scores s.npy -o scores.h5
quiet select top --scores scores.h5 --budget 2 -o sel.h5
small() {
    quiet manifest --selection sel.h5 --memory 64M "$@"
}

# Row 2 of 0 to 3 has 100 MB, in CSV with a line end every kilobyte; kept are rows 0 and 2.
head -c 100000000 /dev/zero | tr '\0' a >large
{
    printf '{"a":1}\r\n\n{"a":2}\n{"a":"'
    cat large
    printf '"}\n{"a":4}'
} >r.jsonl
{
    printf '{"a":1}\r\n{"a":"'
    cat large
    printf '"}\n'
} >wanted
small --in r.jsonl -o kept.jsonl --dropped rest.jsonl
same wanted kept.jsonl
cat rest.jsonl
small --in r.jsonl -o kept.jsonl.zst
zstd -qdc kept.jsonl.zst | cmp - wanted
small --in r.jsonl -o shuffled.jsonl --shuffle 1
sort shuffled.jsonl >sorted
sort wanted | cmp - sorted
{
    printf '\357\273\277h,i\n1,1\n2,2\n3,"'
    fold -w 1000 large
    printf '"\n4,4\n'
} >r.csv
small --in r.csv -o kept.csv --dropped rest.csv
grep -v -x -e 2,2 -e 4,4 r.csv | cmp - kept.csv
tail -n 2 rest.csv
{
    printf '[1,\n2,"'
    cat large
    printf '",4]\n'
} >r.json
small --in r.json -o kept.json
{
    printf '[\n1,\n"'
    cat large
    printf '"\n]\n'
} | cmp - kept.json
rm -f large r.* kept* rest* wanted shuffled* sorted

# Names of 350 bytes, with the headers of GNU tar and of POSIX.
mkdir -p d/"$(printf '%0200d' 7)"
for i in 0 1 2 3; do
    echo $i >d/"$(printf '%0200d' 7)/$(printf '%0150d' $i).txt"
done
for format in gnu pax; do
    tar --format=$format --sort=name -cf in.tar d
    small --in in.tar --format webdataset:md5 -o top-$format -f
    tar -xOf top-$format/shard-000000.tar | xargs
    jq -r '.shardlist[0] | .md5sum + "  top-'$format'/" + .url' top-$format/index.json | md5sum -c --quiet
    small --in in.tar --format webdataset:mode=keys -o - | awk '{ print length($0) ":" substr($0, length($0)) }' | xargs
done
truncate -s -9000 in.tar
small --in in.tar --format webdataset -o cut 2>&1 || echo "status $?"
ls -d cut* 2>/dev/null || echo nothing

# Shards of MDS in zstd and gzip, of one column of texts.
le32() {
    printf '%b' "$(printf '\\0%03o\\0%03o\\0000\\0000' $(($1 % 256)) $(($1 / 256)))"
}
columns='"column_encodings":["str"],"column_names":["t"],"column_sizes":[null]'
config="{$columns}"
mkdir mds
for i in 0 1; do
    at=$((16 + ${#config}))
    {
        le32 2
        le32 $at
        le32 $((at + 9))
        le32 $((at + 18))
        printf '%s' "$config"
        le32 5
        echo "t${i}_0"
        le32 5
        echo "t${i}_1"
    } >mds/$i.mds
done
gzip mds/0.mds
zstd -q --rm mds/1.mds -o mds/1.mds.zstd
entry() {
    printf '{%s,"compression":"x","format":"mds","raw_data":{"basename":"x","bytes":%d},"samples":2,"zip_data":{"basename":"%s"}}' \
        "$columns" $((34 + ${#config})) "$1"
}
printf '{"version":2,"shards":[%s,%s]}' "$(entry 0.mds.gz)" "$(entry 1.mds.zstd)" >mds/index.json
small --in mds --format mds -o mds-top
jq -r '.shards[] | .raw_data.basename, .samples, .compression' mds-top/index.json | xargs
tail -c 18 mds-top/shard.00000.mds | tr -cd 't0-9_\n'
printf x | dd of=mds/1.mds.zstd bs=1 seek=20 conv=notrunc 2>/dev/null
small --in mds --format mds -o mds-bad 2>&1 || echo "status $?"
