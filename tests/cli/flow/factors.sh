#!/bin/sh
# Factors made elsewhere: in, looked at, converted, scored, out again.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# 50 tokens of 64 inputs, and of 4 output gradients made of them.
ekfac=$DATA/reference/ekfac
cp "$ekfac/X_test.npy" a.npy
quiet import npy --rows a.npy -o rows.h5
quiet convert rows.h5 --project 4 --sample 0 -o small.h5
quiet export small.h5 -o g.npy
# 8 rows of 0 to 16 tokens.
{
    npy '|u1' '(9,)'
    printf '\000\007\016\016\036\037\047\056\062'
} >o.npy
factors() {
    quiet import npy --input a.npy --output-gradient g.npy --offset o.npy \
        --layer up:3:40:bias --layer down:1:24:bias "$@"
}
digest() {
    tamis inspect "$1" 2>/dev/null | awk '$1 == "digest" { print $2 }'
}

echo '--- in'
factors -o f.h5
tamis inspect f.h5 2>/dev/null | facts form input output tokens columns layer PROBLEM
factors --shard-rows 3 --dtype bf16 -o many
ls many
rm many/00000.h5
factors --shard-rows 3 --dtype bf16 --resume -o many
factors --dtype bf16 -o bf16.h5
[ "$(digest many)" = "$(digest bf16.h5)" ] && echo 'same rows'
tamis import npy --input a.npy --output-gradient g.npy --bias -o single.h5 | facts rows form bytes

echo '--- converted'
quiet convert f.h5 --dtype bf16 -o made.h5
[ "$(digest made.h5)" = "$(digest bf16.h5)" ] && echo 'same rows'
tamis convert f.h5 --dtype i8 -o i8.h5 | awk '$1 == "with" { print($NF < 0.02 ? "close" : $0) }'
tamis convert f.h5 --form full -o full.h5 | facts form columns with
tamis convert f.h5 --layers down -o down.h5 | facts form columns
quiet convert f.h5 --project 10 --seed 1 -o p.h5
quiet convert full.h5 --project 10 --seed 1 -o q.h5
[ "$(digest p.h5)" = "$(digest q.h5)" ] && echo 'same rows'

echo '--- scored: the same as whole gradients, on any number of threads'
for scorer in tracin self trak:out-to-loss=false; do
    query='--query full.h5'
    [ $scorer = self ] && query=
    # shellcheck disable=SC2086
    quiet score $scorer --train full.h5 $query -o whole.h5 -f
    # shellcheck disable=SC2086
    quiet score $scorer --train f.h5 $query --threads 3 -o parts.h5 -f
    quiet export whole.h5 -o whole.npy -f
    quiet export parts.h5 -o parts.npy -f
    same whole.npy parts.npy
done

echo '--- out'
quiet export f.h5 --what output_gradient -o g2.npy
same g.npy g2.npy
quiet export f.h5 --what offset -o - --format csv | tr '\n' ' '
echo
tamis export f.h5 --what output_gradient --format csv -o - | head -n 8 | cut -d , -f 1-3
quiet export f.h5 -o gradient.npy
quiet export full.h5 -o full.npy
same gradient.npy full.npy
quiet import npy --input a.npy --output-gradient g2.npy --offset o.npy --layer up:3:40:bias \
    --layer down:1:24:bias -o again.h5
[ "$(digest again.h5)" = "$(digest f.h5)" ] && echo 'same rows'
