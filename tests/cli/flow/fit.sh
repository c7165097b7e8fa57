#!/bin/sh
# Curvature: every kind, in stages, by parts, resumed; inspected.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 600 >train.csv
sed -n 1,201p train.csv >part1.csv
{ sed -n 1p train.csv; sed -n 202,601p train.csv; } >part2.csv
quiet train --model mlp --hidden 6 --data train.csv --label class --epochs 2 --checkpoint-every 1 -o model.h5

pseudo() {
    quiet grad --model model.h5 --label class --labels expected --form factors "$@"
}
pseudo --data train.csv -o pseudo.h5
pseudo --data train.csv --shard-rows 500 -o shards
quiet grad --model model.h5 --data train.csv --label class --labels sampled --form factors -o drawn.h5

# Every kind, with another number of threads, sharding and memory limit.
for kind in ekfac kfac diagonal gram; do
    tamis fit $kind --train pseudo.h5 --threads 1 -o one.$kind.h5 | facts
    quiet fit $kind --train shards --threads 3 --memory 4M --resume -o $kind.h5
    for what in one.$kind $kind; do
        tamis inspect "$what.h5" | grep -E '^(digest|layer|PROBLEM|healthy)' >"$what.facts"
    done
    cmp one.$kind.facts $kind.facts && echo $kind: the same
    [ ! -e $kind.h5.sums ] || echo state left behind
done
cut -d' ' -f1 ekfac.facts | sort | uniq -c | tr -s ' '

# Two passes, a checkpoint, blocks.
quiet fit ekfac --train drawn.h5 --lambda pseudo.h5 --checkpoint 0 --max-block 3 -o blocks.h5
tamis inspect blocks.h5 | facts checkpoint max labels option curvature healthy
quiet fit ekfac --train drawn.h5 --lambda pseudo.h5 --checkpoint last -o last.h5
tamis inspect last.h5 | facts checkpoint

# Parts: covariances, then Lambda in the basis of all.
for part in 1 2; do
    pseudo --data part$part.csv -o part$part.h5
    quiet fit ekfac --train part$part.h5 --until covariance -o cov$part.h5
done
tamis merge cov1.h5 cov2.h5 -o cov.h5 | facts
for part in 1 2; do quiet fit ekfac --from cov.h5 --lambda part$part.h5 --until lambda -o lambda$part.h5; done
tamis merge lambda1.h5 lambda2.h5 --finish -o parts.h5 | facts
tamis inspect parts.h5 | facts stage examples tokens healthy
# The mean of Lambda is that of the whole, to rounding.
for file in parts ekfac; do
    tamis inspect $file.h5 | sed -n 's/.*\(mean [^,]*\).*/\1/p' >$file.mean
done
same parts.mean ekfac.mean

# Said, but no error.
tamis grad -q --model model.h5 --data train.csv --label class --form factors -o true.h5
tamis fit -q kfac --train true.h5 -o true.curv.h5 2>&1
sed -n 1,3p train.csv >few.csv
pseudo --data few.csv -o few.h5
tamis fit -q kfac --train few.h5 -o few.curv.h5 2>&1
tamis fit kfac --train pseudo.h5 --json -o json.h5 | tr ',' '\n' | grep -cE '"(output|curvature|stage|layers|tokens|examples)":'
tamis list curvatures
