# Shared by the cases; sourced as "$LIB".
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh

# tamis without its results for people: what a case prints is what it asks for.
tamis() {
    "$TAMIS" "$@"
}

quiet() {
    command=$1
    shift
    "$TAMIS" "$command" -q "$@"
}

# rows N FIRST: N rows of CSV without a header: two features and the class, which is 1 where the
# features add up to more than 0. The same numbers on every machine: small integers over 8.
rows() {
    awk -v n="$1" -v first="${2:-0}" 'BEGIN {
        for (i = first; i < first + n; i++) {
            x = ((i * 37) % 61 - 30) / 8
            y = ((i * 53) % 59 - 29) / 8
            printf "%g,%g,%s\n", x, y, (x + y > 0 ? "up" : "down")
        }
    }'
}

# csv N FIRST: the same with a header.
csv() {
    echo x,y,class
    rows "$@"
}

# patch FILE OFFSET OCTAL...: overwrite bytes, each given as three octal digits.
patch() {
    file=$1
    offset=$2
    shift 2
    for byte in "$@"; do
        printf '%b' "\\0$byte" | dd of="$file" bs=1 seek="$offset" conv=notrunc 2>/dev/null
        offset=$((offset + 1))
    done
}

# npy DESCR SHAPE: the header of an .npy file of version 1.0.
npy() {
    header="{'descr': '$1', 'fortran_order': False, 'shape': $2, }"
    printf '\223NUMPY\001\000\166\000%-117s\n' "$header"
}

# same FILE FILE: are they equal, byte for byte?
same() {
    cmp "$1" "$2" && echo "${1##*/} = ${2##*/}"
}

# facts [NAME...]: the lines of a report with these labels, all without; never times, and in no layout.
facts() {
    tr -s ' ' | awk -v names="$*" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1 }
        $1 == "seconds" || $1 == "rows/s" { next }
        n == 0 || $1 in wanted'
}
