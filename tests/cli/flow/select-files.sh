#!/bin/sh
# Lists, groups and columns as other programs write them: with byte order marks, CR and blank lines.
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
printf 'a,1\n"b"\n%%s\n#d\n e\nf\\\n' >ids.txt
quiet import npy --scores s.npy --ids ids.txt -o s.h5
quiet import npy --rows s.npy --ids ids.txt -o c.h5

picks() {
    quiet select "$@" -f -o sel.h5
    echo "$*: $(tamis export sel.h5 --what picks --format csv -q -o - | sed 1d | cut -d, -f2 | xargs)"
}
mark=$(printf '\357\273\277')
echo '--- lists'
printf '%s%s\r\n\r\n e\r\n' "$mark" '%s' >keep.txt
printf '%s"b"' "$mark" >drop.txt
printf '%s' "$mark" >nothing.txt
picks top --scores s.h5 --budget 3 --keep keep.txt --drop drop.txt
picks bids --scores s.h5 --budget 3 --keep nothing.txt --drop drop.txt
picks knn-uniform:draw=largest --train c.h5 --query c.h5 --budget 3 --keep keep.txt --drop drop.txt
tamis explain sel.h5 '"b"' ' e' 'a,1' | grep :
echo '--- groups'
printf '%sx\r\ny\r\nx\r\n\r\ny\r\nx\r\n' "$mark" >groups.txt
picks stratified:by=group,within=top --scores s.h5 --budget 3 --groups groups.txt
tamis explain sel.h5 'a,1' '"b"' '#d' '%s' | grep :
echo '--- columns, in order and by id'
printf '%sid,n\r\n"a,1",5\r\n"""b""",4\r\n%%s,3\r\n\r\n#d,\r\n e,1\r\nf\\,inf\r\n' "$mark" >n.csv
printf '%s{"id": "f\\\\", "n": 9}\r\n{"id": "a,1", "n": 5}\r\n{"id": "%%s", "n": true}\r\n' "$mark" >n.jsonl
printf '{"id": "#d"}\n{"id": " e", "n": null}\n{"id": "\\"b\\"", "n": 4.5}\n{"id": "other", "n": 1}\n' >>n.jsonl
for column in 'n.csv#n' 'n.csv#n:id=id' 'n.jsonl#n:id=id'; do
    quiet select top --train c.h5 --add "$column" --budget 1 -f -o sel.h5
    tamis export sel.h5 --format csv -q -o - | sed 1d
done
echo '--- filters and costs'
picks top --scores s.h5 --filter 'n.csv#n:low=0.5' --budget 2
tamis explain sel.h5 '#d' ' e' 'f\' --json | jq -c '.explained[] | [.id, .keep, .reason]'
printf '0.1\n0.1\n0.1\n0\n0.1\n0.1\n' | sed '1i c' >c.csv
picks top --scores s.h5 --cost 'c.csv#c' --budget 0.3
picks stratified:strata=2 --scores s.h5 --cost 'c.csv#c' --budget 0.5
