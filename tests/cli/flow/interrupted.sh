#!/bin/sh
# A signal stops a run, which removes what it has begun; the exit status says so.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 2000 >train.csv
"$TAMIS" train -q --model mlp --data train.csv --label class --epochs 1000000 -o model.h5 &
pid=$!
sleep 0.5
kill -TERM $pid
wait $pid || echo "exit $?"
ls
