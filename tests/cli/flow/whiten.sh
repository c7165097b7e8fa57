#!/bin/sh
# Whitening: fitted on candidates and targets, by parts, shrunk; distances and cosines; inspected.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

cp "$DATA/reference/tarot/candidate_grads.npy" c.npy
cp "$DATA/reference/tarot/target_grads.npy" t.npy
quiet import npy --rows c.npy -o c.h5
quiet import npy --rows t.npy -o t.h5
quiet convert c.h5 --shard-rows 64 -o shards

# Threads, shards and memory change no bit.
tamis fit whiten --train c.h5 --with t.h5 --threads 1 -o white.h5 | facts
quiet fit whiten --train shards --with t.h5 --threads 3 --memory 1M -o again.h5
for what in white again; do tamis inspect $what.h5 | facts digest; done | uniq -c | tr -s ' ' | cut -d' ' -f2,3
tamis inspect white.h5 | facts curvature stage checkpoints examples damping shrinkage rank option healthy
tamis fit whiten --train c.h5 --with t.h5 --json -o json.h5 | tr ',' '\n' |
    grep -cE '"(smallest_eigenvalue|largest_eigenvalue|damping|shrinkage|condition|effective_rank|rows_per_column)":'

# By parts: what merging leaves of the last digits does not show.
quiet fit whiten --train c.h5 --until covariance -o c.sums.h5
quiet fit whiten --train t.h5 --until covariance -o t.sums.h5
tamis inspect c.sums.h5 | facts stage examples healthy
tamis merge c.sums.h5 t.sums.h5 --finish --shrinkage ledoit-wolf -o merged.h5 | facts
tamis merge c.sums.h5 t.sums.h5 --finish --shrinkage ledoit-wolf -o merged.h5 -f |
    facts shrinkage smallest largest effective condition >merged.facts
tamis fit whiten --train c.h5 --with t.h5 --shrinkage ledoit-wolf -o shrunk.h5 |
    facts shrinkage smallest largest effective condition >shrunk.facts
same merged.facts shrunk.facts

# Few rows are said.
tamis fit whiten -q --train t.h5 -o few.h5 2>&1

# Distances and cosines.
quiet score whitened-distance --train c.h5 --query t.h5 --curvature white.h5 -o distance.h5
tamis score whitened-distance:metric=cosine --train shards --query t.h5 --curvature white.h5 -o cosine.h5 |
    facts scorer rows queries columns orientation
for what in distance cosine; do quiet export $what.h5 --format csv -o $what.csv; done
# -sqrt(2 - 2 cos), to four digits.
paste -d, distance.csv cosine.csv | awk -F, '
    NR > 1 { n = NF / 2; for (i = 3; i <= n; i++) { off = $i + sqrt(2 - 2 * $(n + i)); if (off < 0) off = -off; if (off > worst) worst = off } }
    END { print NR - 1, "rows", worst < 1e-4 ? "agree" : "differ by " worst }'
for scorer in whitened-distance whitened-distance:metric=cosine; do
    quiet score $scorer --train c.h5 --query t.h5 --curvature white.h5 --top 3 --reduce max -o top.h5 -f
    quiet export top.h5 --format csv -o top.csv -f
    cut -d, -f1-4 top.csv
done
