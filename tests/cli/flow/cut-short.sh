#!/bin/sh
# An input that is cut short while it is read: one line, exit status 1, nothing left behind.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# Large enough that the first bytes of output come long before the end of the input is read.
{
    npy '<f4' '(300, 10000)'
    head -c 12000000 /dev/zero | tr '\000' '\001'
} >rows.npy
quiet import npy --rows rows.npy -o store.h5
rm rows.npy

# The other end of the pipe reads a byte, cuts the input short, and then lets the program go on.
cut_short() {
    dd of=/dev/null bs=1 count=1 2>/dev/null
    truncate -s 4096 "$1"
    cat >/dev/null
}

# Rows of a store: looked at before they are touched.
{
    code=0
    tamis export store.h5 --format csv -o - || code=$?
    echo "exit $code" >code
} 2>message | cut_short store.h5
cat code
sed 's/it had .* bytes/it had ... bytes/' message

# A text file, mapped as a whole. Every second line is copied: the signal of the missing pages. All
# lines in one go: the system says that they are not there.
{
    npy '<f4' '(300, 1)'
    i=0
    while [ $i -lt 150 ]; do
        printf '\000\000\200\077\000\000\000\000'
        i=$((i + 1))
    done
} >s.npy
quiet import npy --scores s.npy -o scores.h5 2>/dev/null
for budget in 150 299; do
    awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"t\": \"%040000d\"}\n", i }' >train.jsonl
    quiet select top --scores scores.h5 --budget $budget -o $budget.h5
    {
        code=0
        tamis manifest --selection $budget.h5 --in train.jsonl -o - --dropped dropped.jsonl || code=$?
        echo "exit $code" >code
    } 2>message | cut_short train.jsonl
    cat code
    sed "s,'/.*/train,'.../train," message
done
rm code message
ls
