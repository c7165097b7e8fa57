#!/bin/sh
# Distances between two stores: exact against entropic, plans and potentials, weights.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

# matrix FILE ROWS...: rows of two small whole numbers as floats.
one='\000\000\200\077'
two='\000\000\000\100'
zero='\000\000\000\000'
matrix() {
    file=$1
    values=$2
    {
        npy '<f4' "($3, 2)"
        # shellcheck disable=SC2059 # the escapes are the point
        printf "$values"
    } >"$file.npy"
    quiet import npy --rows "$file.npy" -o "$file.h5"
}

# A: (0,0) (1,0) (0,2); B: (0,1) (2,0).
matrix a "$zero$zero$one$zero$zero$two" 3
matrix b "$zero$one$two$zero" 2
echo '--- exact'
tamis transport a.h5 b.h5 --plan plan.csv --duals duals.csv | facts
cat plan.csv
wc -l <duals.csv
echo '--- weights: all of A at (0,0), most of B at (0,1)'
printf '5\n0\n0\n' >wa.txt
printf '# of B\n3\n1\n' >wb.txt
tamis transport a.h5 b.h5 --weights-a wa.txt --weights-b wb.txt | facts distance
tamis transport a.h5 b.h5 --weights-a wa.txt --weights-b wb.txt --cost sqeuclidean | facts distance
echo '--- a store and itself'
tamis transport a.h5 a.h5 | facts distance
tamis transport a.h5 a.h5 --method sinkhorn --divergence --epsilon 0.5 | facts divergence converged
echo '--- entropy'
tamis transport a.h5 b.h5 --method sinkhorn --epsilon 0.001 --plan plan.csv -f | facts method converged costs plan_share
tamis transport a.h5 b.h5 --method sinkhorn --epsilon 0.001 --json | jq -r '(.distance * 1e6 | round), .converged'
tamis transport a.h5 b.h5 --json | jq -r '.distance * 1e6 | round'
echo '--- the same bits'
quiet transport a.h5 b.h5 --method sinkhorn --threads 1 --duals d1.csv
quiet transport a.h5 b.h5 --method sinkhorn --threads 3 --duals d3.csv
same d1.csv d3.csv
echo '--- not all mass has to be moved'
tamis transport a.h5 b.h5 --method unbalanced --reach 1e6 --epsilon 0.1 --json | jq -r '.mass * 1000 | round'
tamis transport a.h5 b.h5 --method unbalanced --reach 0.01 --epsilon 0.1 --json | jq -r '.mass < 0.2'
echo '--- as released'
tamis transport a.h5 b.h5 --method annealed --duals duals.csv -f | facts method diameter iterations
