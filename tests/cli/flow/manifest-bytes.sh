#!/bin/sh
# Byte order mark, invalid UTF-8, quoted line ends and a missing last newline in CSV.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

{
    npy '<f4' '(4, 1)'
    printf '\000\000\200\077\000\000\000\000\000\000\200\077\000\000\200\077'
} >s.npy
quiet import npy --scores s.npy -o scores.h5
quiet select top --scores scores.h5 --budget 3 -o sel.h5
printf '\357\273\277t,l\r\n"a\nb",\377\376\r\n"say ""x"",\r\n",1\r\n,\r\nlast,2' >train.csv
quiet manifest --selection sel.h5 --in train.csv -o kept.csv --dropped dropped.csv
printf '\357\273\277t,l\r\n"a\nb",\377\376\r\n,\r\nlast,2\r\n' >wanted
same wanted kept.csv
printf '\357\273\277t,l\r\n"say ""x"",\r\n",1\r\n' >wanted-dropped
same wanted-dropped dropped.csv
cat dropped.csv.reasons.csv
