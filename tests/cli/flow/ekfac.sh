#!/bin/sh
# Influence from stores: grad, fit and score agree with the reference's scores; parts add up; whitened stores score the
# same and refuse another damping.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

ekfac=$DATA/reference/ekfac
gradients() {
    quiet grad --model "$ekfac/model_f32.safetensors" --activation relu "$@"
}
gradients --data "$ekfac/X_train.npy" --labels "$ekfac/y_train.npy" -o train.h5
gradients --data "$ekfac/X_train.npy" --labels "$ekfac/y_train.npy" --form factors -o factors.h5
gradients --data "$ekfac/X_test.npy" --labels "$ekfac/y_test.npy" --form factors -o query.h5
for pass in cov lambda; do
    gradients --data "$ekfac/X_train.npy" --labels "given:$ekfac/y_sampled_$pass.npy" --form factors -o $pass.h5
done
quiet fit ekfac --train cov.h5 --lambda lambda.h5 -o curvature.h5

# values FILE: scores as a list of numbers, row by row.
values() {
    quiet export "$1" --format npy -f -o values.npy
    tail -c +129 values.npy | od -An -v -t f4 -w4
}

# against FILE REFERENCE TOLERANCE: ours is [1200, 50] of f4, theirs [50, 1200] of f8.
against() {
    values "$1" >ours
    tail -c +129 "$ekfac/$2.npy" | od -An -v -t f8 -w8 >theirs
    awk -v tolerance="$3" 'function abs(v) { return v < 0 ? -v : v }
        NR == FNR { ours[NR - 1] = $1; next }
        {
            q = int((FNR - 1) / 1200)
            n = (FNR - 1) % 1200
            if (abs($1) > largest) largest = abs($1)
            if (abs($1 - ours[n * 50 + q]) > worst) worst = abs($1 - ours[n * 50 + q])
            rows++
        }
        END { print rows, (worst <= tolerance * largest ? "agree" : "worst " worst / largest) }' ours theirs
}
score() { quiet score "$@" --query query.h5 --curvature curvature.h5 -f; }

echo '--- the reference, from gradients and from factors'
for train in train factors; do
    score ekfac --train $train.h5 -o scores.h5
    against scores.h5 pairwise_ekfac_sampled_damp0.1mean 1e-5
    score ekfac:damping=1e-8,damping-unit=absolute --train $train.h5 -o scores.h5
    against scores.h5 pairwise_ekfac_sampled_damp1e-8 2e-4
done
tamis inspect scores.h5 | facts scorer | sed 's/,/, /g'

echo '--- parts add up'
score ekfac --train factors.h5 -o scores.h5
values scores.h5 >whole
score ekfac --train factors.h5 --by layer -o layers.h5
score ekfac --train factors.h5 --by token -o tokens.h5
values tokens.h5 | paste whole - | awk 'function abs(v) { return v < 0 ? -v : v }
    { if (abs($1) > size) size = abs($1); if (abs($1 - $2) > off) off = abs($1 - $2) }
    END { print NR, "by token", (off <= 1e-6 * size ? "agree" : off / size) }'
values layers.h5 | awk '{ sum += $1 } NR % 3 == 0 { print sum; sum = 0 }' | paste whole - |
    awk 'function abs(v) { return v < 0 ? -v : v }
    { if (abs($1) > size) size = abs($1); if (abs($1 - $2) > off) off = abs($1 - $2) }
    END { print NR, "by layer", (off <= 1e-5 * size ? "agree" : off / size) }'
quiet export layers.h5 --format csv -o - | head -n 1 | cut -d, -f 3-6
quiet export tokens.h5 --format csv -o - | sed -n 3p | cut -d, -f 1,2

echo '--- self-influence'
quiet score self --train factors.h5 --curvature curvature.h5 -o self.h5
values self.h5 >ours
tail -c +129 "$ekfac/self_ekfac_sampled_damp0.1mean.npy" | od -An -v -t f8 -w8 | paste ours - |
    awk 'function abs(v) { return v < 0 ? -v : v }
    { if ($2 > size) size = $2; if (abs($1 - $2) > off) off = abs($1 - $2) }
    END { print NR, (off <= 1e-5 * size ? "agree" : off / size) }'

echo '--- whitened'
for from in train factors; do
    tamis convert $from.h5 --whiten curvature.h5 --dtype i8 -f -o white.h5 | tee said | facts columns dtype compared
    awk '$1 == "with" { print $2, $3, ($6 > 0.99 && $6 < 1 ? "ranks kept" : $0), ($NF < 0.01 ? "close" : $0) }' said
    score ekfac --train white.h5 -o scores.h5
    against scores.h5 pairwise_ekfac_sampled_damp0.1mean 0.01
done
tamis inspect white.h5 | facts whitening | sed 's/,"curvature":"[0-9a-f]*"//'
tamis convert factors.h5 --whiten curvature.h5 --keep 25% --kind kfac --damping 0.01 --json -o few.h5 |
    jq -c '.columns, .compared_with, [.with_what_stayed.mean_rank_correlation > 0.99999,
        (.with_all_whitened.mean_rank_correlation | . > 0.5 and . < 0.99)]'
tamis inspect few.h5 | grep '^layer '  | tr -s ' '
score kfac:damping=0.01 --train few.h5 -o scores.h5
score ekfac --train few.h5 -o scores.h5 2>&1 || echo "exit $?"
score ekfac:damping=0.2 --train white.h5 -o scores.h5 2>&1 || echo "exit $?"
