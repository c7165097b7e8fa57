#!/bin/sh
# Candidates near to targets by whitened rows: budgets, weights, the growth of the distance.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

reference=$DATA/reference/tarot
quiet import npy --rows "$reference/candidate_grads.npy" -o c.h5
quiet import npy --rows "$reference/target_grads.npy" -o t.h5
quiet fit whiten --train c.h5 --with t.h5 --damping 1e-5 --damping-unit absolute -o w.h5
pick() {
    quiet select "$@" --train c.h5 --query t.h5 -f -o sel.h5
    echo "$*: $(tamis inspect sel.h5 --json | jq -c '[.facts.kept, (.provenance.found | keys)]')"
}
pick tarot-fixed --budget 33
pick tarot-fixed --budget 5% --curvature w.h5
pick tarot-fixed:compat=tarot-2024-12 --budget 28
pick tarot-otm:compat=tarot-2024-12
pick tarot-otm --curvature w.h5 --seed 42
echo '--- distances fall until the last k'
tamis inspect sel.h5 --json | jq -c '.provenance.found.folds[0] | [.k, .picked, .sizes, (.distances | map(. * 1e4 | round))]'
echo '--- repeats'
quiet select tarot-fixed:weights=marginal,repeats=100 --train c.h5 --query t.h5 --budget 10 -f -o sel.h5
quiet export sel.h5 --format csv -o - | awk -F, 'NR > 1 { sum += $6; n += $3 } END { print n, sum }'
echo '--- the same bytes'
quiet select tarot-otm:solver=sinkhorn,weights=potential --train c.h5 --query t.h5 --threads 1 -o a.h5
quiet select tarot-otm:solver=sinkhorn,weights=potential --train c.h5 --query t.h5 --threads 3 -o b.h5
quiet export a.h5 --format csv -o a.csv
quiet export b.h5 --format csv -o b.csv
same a.csv b.csv
echo '--- report'
tamis select tarot-fixed --train c.h5 --query t.h5 --curvature w.h5 --budget 33 -f -o sel.h5 | facts
