#!/bin/sh
# Selectors that look at every query's scores, Gumbel draws and strata.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# whole NUMBER...: as floats.
whole() {
    for number in "$@"; do
        case $number in
        0) printf '\000\000\000\000' ;;
        1) printf '\000\000\200\077' ;;
        2) printf '\000\000\000\100' ;;
        3) printf '\000\000\100\100' ;;
        6) printf '\000\000\300\100' ;;
        7) printf '\000\000\340\100' ;;
        8) printf '\000\000\000\101' ;;
        9) printf '\000\000\020\101' ;;
        esac
    done
}
{
    npy '<f4' '(7, 4)'
    whole 9 8 1 0 8 9 0 1 7 7 2 0 0 1 3 1 1 0 1 3 6 6 0 0 0 0 2 2
} >s.npy
quiet import npy --scores s.npy -o scores.h5
quiet select bids --scores scores.h5 --budget 3 -o sel.h5
quiet export sel.h5 --format csv -o -
for selector in bids task-max round-robin round-robin:by=group,best=mean doubly-greedy sum \
    instance-max stratified:strata=3,within=top gumbel-top-k:temperature=0; do
    quiet select $selector --scores scores.h5 --budget 4 -f -o sel.h5
    echo "$selector: $(tamis export sel.h5 --what picks --format csv -q -o - | xargs)"
done
# The same with other threads and little memory.
quiet select bids --scores scores.h5 --budget 4 --threads 3 --memory 1M -o three.h5
quiet select bids --scores scores.h5 --budget 4 --threads 1 -o one.h5
quiet export one.h5 --format csv -o one.csv
quiet export three.h5 --format csv -o three.csv
same one.csv three.csv
