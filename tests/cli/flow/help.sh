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
# What is said of scorers and selectors is said to its end.
for what in scorer selector; do
    command=$(echo $what | sed 's/selector/select/; s/scorer/score/')
    tamis help "$command" | tr -s ' \n' ' ' >long.txt
    for name in $(tamis list "${what}s" | awk '{ print $1 }'); do
        tamis list "${what}s" "$name" | sed -n 's/^    [a-z-]*   *\(.*([^()]*)\)$/\1/p' >params.txt
        while read -r text; do
            grep -qF -- "$text" long.txt || echo "$command: the help of $name lacks '$text'"
        done <params.txt
    done
done
tamis help nonsense || echo "exit $?"
