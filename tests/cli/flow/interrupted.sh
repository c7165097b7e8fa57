#!/bin/sh
# A signal stops a run, which removes what it has begun; the exit status says so.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

csv 2000 >train.csv
"$TAMIS" train --progress json --model mlp --data train.csv --label class --epochs 1000000 -o model.h5 2>message &
pid=$!
# It is on its way once it tells of its progress.
for second in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -s message ] || break
    sleep "$second"
done
kill -TERM $pid
code=0
# The shell's own message about it is not of interest.
wait $pid 2>/dev/null || code=$?
echo "exit $code"
tail -n 1 message | sed 's/after .*/after .../'
rm message
ls
