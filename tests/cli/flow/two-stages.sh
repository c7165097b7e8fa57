#!/bin/sh
# Lists in two stages from stores of factors: those of the exact scores; what was found is reported.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
gradients() {
    quiet grad --model "$ekfac/model_f32.safetensors" --activation relu --form factors "$@"
}
gradients --data "$ekfac/X_train.npy" --labels "$ekfac/y_train.npy" -o train.h5
gradients --data "$ekfac/X_test.npy" --labels "$ekfac/y_test.npy" -o query.h5
gradients --data "$ekfac/X_train.npy" --labels "given:$ekfac/y_sampled_cov.npy" -o pseudo.h5
quiet fit ekfac --train pseudo.h5 -o curvature.h5
lists() {
    scorer=$1
    shift
    tamis score "$scorer" --train train.h5 --query query.h5 --curvature curvature.h5 --top 20 --bottom 10 -f "$@"
}
# What is said of low ranks and of lists.
found() { tr -s ' ' | grep -E '^(spectral|query) rank|^(rescored|compared|found) ' || :; }

lists ekfac -o exact.h5 | found
quiet export exact.h5 --format csv -o exact.csv
for scorer in ekfac:spectral-rank=4,rescore=8 ekfac:query-rank=4,rescore=8,sample=50 ekfac:rescore=8; do
    echo "--- $scorer"
    lists "$scorer" -o two.h5 | found
    quiet export two.h5 --format csv -f -o two.csv
    cmp exact.csv two.csv && echo same lists
done

echo '--- too few candidates'
lists ekfac:query-rank=1,rescore=1,sample=50 -o two.h5 | found |
    awk '/exact/ { print ($5 + 0 > 30 && $5 + 0 < 100 ? "some are found" : $0) }'

echo '--- refused'
tamis score ekfac:rescore=8 --train train.h5 --query query.h5 --curvature curvature.h5 -o no.h5 2>&1 || echo "exit $?"
tamis score ekfac:rescore=8 --by layer --top 3 --train train.h5 --query query.h5 --curvature curvature.h5 -o no.h5 2>&1 ||
    echo "exit $?"
tamis score ekfac:rescore=8 --reduce max --top 3 --train train.h5 --query query.h5 --curvature curvature.h5 -o no.h5 2>&1 ||
    echo "exit $?"
ls no.h5* 2>/dev/null
