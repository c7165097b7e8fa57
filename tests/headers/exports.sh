#!/bin/sh
# The library exports what the public headers declare with TAMIS_API, and nothing else; and it calls nothing that
# prints, exits, reads the environment or touches signals.
# usage: exports.sh NM LIBRARY STRIP.AWK HEADER...
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

nm=$1
library=$2
strip=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From TAMIS_API to the next '(' that is no macro's: the name before it.
awk -f "$strip" "$@" | grep -v '^[ 	]*#' | tr '\n' ' ' | sed 's/TAMIS_API/\n&/g' | awk '
    /^TAMIS_API/ {
        sub(/^TAMIS_API/, "")
        if (match($0, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
            name = substr($0, RSTART, RLENGTH)
            sub(/[ \t]*\($/, "", name)
            print name
        }
    }' | sort >"$work/declared"
# Names with an underscore in front belong to the compiler and its run-time libraries.
"$nm" -D --defined-only "$library" | awk '$(NF - 1) ~ /^[TDBRVWi]$/ && $NF !~ /^_/ { sub(/@.*/, "", $NF); print $NF }' |
    sort >"$work/exported"

result=0
[ -s "$work/declared" ] || {
    echo 'no declarations found' >&2
    result=1
}
for name in $(comm -23 "$work/declared" "$work/exported"); do
    echo "declared but not exported: $name" >&2
    result=1
done
for name in $(comm -13 "$work/declared" "$work/exported"); do
    echo "exported but not declared: $name" >&2
    result=1
done
for name in $(uniq -d "$work/declared"); do
    echo "declared twice: $name" >&2
    result=1
done

forbidden='printf|vprintf|puts|putchar|fputs|fprintf|vfprintf|fputc|perror|exit|_exit|_Exit|quick_exit|abort'
forbidden="$forbidden|getenv|secure_getenv|setenv|putenv|signal|sigaction|raise|kill|system|popen|fork"
forbidden="$forbidden|__(v|f|vf)?printf_chk|stdout|stderr|setlocale|atexit"
"$nm" -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -E "^($forbidden)\$" >"$work/called" || true
while read -r name; do
    echo "the library may not use $name" >&2
    result=1
done <"$work/called"
exit $result
