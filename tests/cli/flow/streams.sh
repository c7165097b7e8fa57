#!/bin/sh
# Results go to standard output, and a full one is an error.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

tamis --version >/dev/full || echo "exit $?"
tamis list scorers >/dev/full || echo "exit $?"
tamis --help | head -n 1 >/dev/null
tamis list formats | grep -c jsonl
csv 20 >train.csv
# Quiet means quiet.
quiet train --model softmax --data train.csv --label class --epochs 2 -o model.h5
quiet grad --model model.h5 --data train.csv --label class -o train.h5
quiet score self --train train.h5 -o self.h5
tamis export self.h5 --format csv -q -o - | wc -l
tamis export self.h5 --format csv -o out.csv --json | wc -l
tamis export self.h5 --format jsonl -o - >/dev/full || echo "exit $?"
