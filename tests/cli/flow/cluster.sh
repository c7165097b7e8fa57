#!/bin/sh
# Clusters, what they are good for, and the selector that is made of them.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

reference=$DATA/reference/tarot
quiet import npy --rows "$reference/candidate_grads.npy" -o c.h5
quiet import npy --rows "$reference/target_grads.npy" -o t.h5

echo '--- clusters: each row in one, the same for any threads'
tamis cluster c.h5 --clusters 8 --seed 1 -o one.csv --centroids centroids.h5 | facts rows columns clusters converged
quiet cluster c.h5 --clusters 8 --seed 1 --threads 3 -o three.csv
same one.csv three.csv
awk -F, 'NR == 1 { print; next } { rows++; if ($3 < 0 || $3 > 7 || $4 < 0) bad++ } END { print rows, bad + 0 }' one.csv
tamis cluster c.h5 --clusters 8 --seed 1 -o json.csv --json | jq -c '[.clusters, .largest >= .smallest, .objective > 0]'
echo '--- the centroids are a store'
tamis inspect centroids.h5 | facts kind rows columns healthy
echo '--- a cluster a line, as groups'
quiet cluster c.h5 --clusters 8 --seed 1 --spherical -o groups.txt
quiet score knn-entropy --train c.h5 -o sparse.h5
quiet select stratified:by=group --scores sparse.h5 --groups groups.txt --budget 50% -o sel.h5
quiet export sel.h5 --format csv -o - | awk -F, 'NR > 1 { kept += $3 } END { print kept }'
echo '--- whitened'
quiet fit whiten --train c.h5 --with t.h5 -o w.h5
tamis cluster c.h5 --clusters 3 --curvature w.h5 -o w.csv --centroids wc.h5 | facts clusters converged
tamis inspect wc.h5 | facts rows healthy
echo '--- fid'
tamis select fid:clusters=10 --train c.h5 --query t.h5 --budget 25 -o fid.h5 | facts selector
quiet select fid:clusters=10 --train c.h5 --query t.h5 --budget 25 --threads 3 -o fid3.h5
for file in fid fid3; do quiet export $file.h5 --format csv -o $file.csv; done
same fid.csv fid3.csv
tamis inspect fid.h5 --json | jq -c '.provenance.found | [.targets, .nearest <= .used, (.clusters | length), (.clusters | map(.rows) | add)]'
tamis inspect fid.h5 --json | jq -c '[.facts.kept, (.provenance.found.clusters | map(.distance) | . == sort)]'
