#!/bin/sh
# Each command has a short and a complete help.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck source=tests/cli/common.sh
. "$LIB"

for command in $(tamis --help | awk '/^  [a-z]/ { print $1 }'); do
    tamis "$command" -h >short.txt
    tamis "$command" --help >long.txt
    tamis help "$command" >help.txt
    cmp long.txt help.txt
    [ "$(wc -l <short.txt)" -le "$(wc -l <long.txt)" ] || echo "$command: the short help is longer"
    grep -q '^Usage: tamis' short.txt || head -n 3 short.txt
done
tamis help nonsense || echo "exit $?"
