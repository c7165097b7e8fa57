#!/bin/sh
# Samples of tar files, as WebDataset has them, into new ones.
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
for i in 0 1 2 3; do
    echo "text $i" >$i.txt
    echo "class $i" >$i.cls
done
tar -cf a.tar 0.txt 0.cls 1.txt
tar -cf b.tar 2.txt 2.cls 3.txt 3.cls
quiet manifest --selection sel.h5 --in a.tar --in b.tar --format webdataset:max-samples=1 -o top --dropped rest
for t in top/*.tar rest/*.tar; do
    echo "$t: $(tar -tf "$t" | tr '\n' ' ')"
done
tar -xOf top/shard-000001.tar
