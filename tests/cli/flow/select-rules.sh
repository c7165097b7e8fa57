#!/bin/sh
# Lists, filters, costs, added columns and groups of a selection; explaining and comparing.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(6, 2)'
    # 3 0 / 2 2 / 1 1 / 0 3 / 2 0 / 0 0
    printf '\000\000\100\100\000\000\000\000\000\000\000\100\000\000\000\100'
    printf '\000\000\200\077\000\000\200\077\000\000\000\000\000\000\100\100'
    printf '\000\000\000\100\000\000\000\000\000\000\000\000\000\000\000\000'
} >s.npy
printf 'a\nb\nc\nd\ne\nf\n' >ids.txt
printf 'tokens,quality\n10,0\n40,1\n5,0\n30,1\n5,\n1,1\n' >t.csv
quiet import npy --scores s.npy --ids ids.txt -o s.h5

picks() {
    quiet select "$@" -f -o sel.h5
    echo "$1: $(tamis export sel.h5 --what picks --format csv -q -o - | sed 1d | cut -d, -f2 | xargs)"
}
picks top --scores s.h5 --budget 3
echo e >keep.txt
echo b >drop.txt
picks top --scores s.h5 --budget 3 --keep keep.txt --drop drop.txt
picks top --scores s.h5 --budget 45 --cost 't.csv#tokens'
picks bids --scores s.h5 --budget 45 --cost 't.csv#tokens' --keep keep.txt
picks top --scores s.h5 --budget 2 --filter 't.csv#tokens:max=30' --filter 't.csv#quality:min=0'
picks top --scores s.h5 --budget 2 --filter 't.csv#tokens:low=0.5'
picks top --scores s.h5 --budget 3 --normalise minmax \
    --add 't.csv#tokens:weight=-1,normalise=rank'
printf '%s\n' id,tokens f,1 a,10 z,9 e,5 d,30 c,5 b,40 >by-id.csv
picks top --scores s.h5 --budget 45 --cost 'by-id.csv#tokens:id=id'
printf 'math\ncode\n' >tasks.txt
picks round-robin:by=group --scores s.h5 --budget 4 --query-groups tasks.txt
printf 'x\nx\nx\ny\ny\ny\n' >groups.txt
picks stratified:by=group,quota=equal,within=top --scores s.h5 --budget 2 --groups groups.txt
picks stratified:by=group,within=top --scores s.h5 --budget 36 --groups groups.txt --cost 't.csv#tokens'
tamis explain sel.h5 b e | grep -v '^ '

quiet select top --scores s.h5 --budget 3 --drop drop.txt -o a.h5
quiet select bottom --scores s.h5 --budget 3 -o b.h5
tamis explain a.h5 b a
tamis select explain a.h5 d --json | jq -c '.explained[0] | {id, keep, rank, score, border}'
tamis select diff a.h5 b.h5
tamis diff a.h5 a.h5 --json | jq -c '{both, jaccard, spearman, only_a}'
tamis select top --scores s.h5 --budget 3 --explain f -o c.h5 | tail -n 3

# What is in force stands in the provenance, also where it was not said.
for how in '' '--normalise none' '--normalise rank'; do
    # shellcheck disable=SC2086
    quiet select bids --scores s.h5 --budget 3 $how -f -o c.h5
    tamis inspect c.h5 --provenance --json | jq -r .provenance.options.normalise
done
# Nothing fits the budget; rows in no group are counted, too.
tamis select top --scores s.h5 --budget 0.5 --cost 't.csv#tokens' -f -o c.h5 -q 2>&1
{
    npy '<f4' '(4, 1)'
    printf '\000\000\200\077\000\000\000\100\000\000\100\100\000\000\200\100'
} >r.npy
{
    npy '<i4' '(4,)'
    printf '\000\000\000\000\000\000\000\000\001\000\000\000\377\377\377\377'
} >g.npy
quiet import npy --rows r.npy --groups g.npy -o g.h5
quiet select top --train g.h5 --column norm --budget 2 -o a2.h5
quiet select bottom --train g.h5 --column norm --budget 1 -o b2.h5
tamis diff a2.h5 b2.h5 --json | jq -c .groups
tamis diff a2.h5 b2.h5 | sed -n '/^group/,$p'
tamis list selectors bids | sed -n 3,4p
tamis list selectors threshold | sed -n 3,4p
tamis list selectors --json | jq -c '.selectors[] | select(.name == "tarot-otm").heeds'
