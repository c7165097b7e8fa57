#!/bin/sh
# Run the tests of the command line and report in TAP.
#
# usage: run.sh [--update] [--keep] TAMIS DATA [CASE...]
#   TAMIS   the program;  DATA   the directory tests/data;  CASE   names as printed, default: all
#   --update   rewrite the golden files of the cases from what the program does now
#   --keep     leave the scratch directory and say where it is
#
# A case is a script FOLDER/NAME.sh beside its golden files:
#   NAME.stdout   what it prints, exactly; no file = nothing
#   NAME.stderr   the same for standard error
#   NAME.exit     its exit status; no file = 0
# It runs with `sh -eu` in an empty directory of its own, with $TAMIS, $DATA and $LIB (common.sh, to
# be sourced). It must not leave a temporary file (*.part) there.
#
# A table FOLDER/NAME.table holds one failing command a line:
#   exit status | part of the message | command
# Blank lines and lines starting with # are skipped. Each command runs in a copy of the directory
# that FOLDER/NAME.setup filled. It must exit with that status, print nothing on standard output and
# exactly one line starting with "tamis" on standard error, and leave every file as it was and no new
# one.
# SPDX-License-Identifier: GPL-3.0-or-later
set -u

update=false
keep=false
while [ $# -gt 0 ]; do
    case $1 in
    --update) update=true ;;
    --keep) keep=true ;;
    -*)
        echo "run.sh: unknown option $1" >&2
        exit 2
        ;;
    *) break ;;
    esac
    shift
done
if [ $# -lt 2 ]; then
    echo 'usage: run.sh [--update] [--keep] TAMIS DATA [CASE...]' >&2
    exit 2
fi

absolute() {
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$(pwd)" "$1" ;;
    esac
}

here=$(cd "$(dirname "$0")" && pwd) || exit 2
TAMIS=$(absolute "$1")
DATA=$(absolute "$2")
shift 2
[ -x "$TAMIS" ] || {
    echo "run.sh: '$TAMIS' is no program" >&2
    exit 2
}
LIB=$here/common.sh
LC_ALL=C
OPENBLAS_NUM_THREADS=1
export TAMIS DATA LIB LC_ALL OPENBLAS_NUM_THREADS
unset CDPATH ENV

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tamis-cli-XXXXXX") || exit 2
clean_up() {
    cd / || return
    if $keep; then
        echo "# kept $scratch"
    else
        chmod -R u+w "$scratch" 2>/dev/null
        rm -rf "$scratch"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

number=0
failed=0

# result NAME: one line of TAP; $scratch/why holds the reasons, empty = passed.
result() {
    number=$((number + 1))
    if [ -s "$scratch/why" ]; then
        failed=$((failed + 1))
        echo "not ok $number - $1"
        sed 's/^/# /' "$scratch/why"
    else
        echo "ok $number - $1"
    fi
}

why() {
    printf '%s\n' "$*" >>"$scratch/why"
}

# --- cases -----------------------------------------------------------------------------------------

# check_golden FILE FOUND: compare, or rewrite with --update; an empty one is not kept.
check_golden() {
    if $update; then
        if [ -s "$2" ]; then cp "$2" "$1"; else rm -f "$1"; fi
        return
    fi
    golden=$1
    [ -f "$golden" ] || golden=/dev/null
    cmp -s "$golden" "$2" && return
    why "${1##*/} differs:"
    diff -u "$golden" "$2" | sed 1,2d | head -n 40 >>"$scratch/why"
}

run_case() {
    script=$1
    base=${script%.sh}
    mkdir "$scratch/work"
    : >"$scratch/why"
    (cd "$scratch/work" && exec sh -eu "$script") >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    code=$?
    : >"$scratch/exit"
    [ $code -eq 0 ] || echo $code >"$scratch/exit"
    check_golden "$base.exit" "$scratch/exit"
    check_golden "$base.stdout" "$scratch/stdout"
    check_golden "$base.stderr" "$scratch/stderr"
    left=$(cd "$scratch/work" && find . -name '*.part*')
    [ -z "$left" ] || why "temporary files are left:" "$left"
    chmod -R u+w "$scratch/work"
    rm -rf "$scratch/work"
}

# --- tables ----------------------------------------------------------------------------------------

# Every file with its bytes, directories and modes too.
snapshot() {
    find . -type d -exec ls -ld {} + | awk '{ print $1, $NF }' | sort
    find . -type f -exec cksum {} + | sort -k 3
}

trim() {
    text=${1#"${1%%[! ]*}"}
    text=${text%"${text##*[! ]}"}
    printf '%s\n' "$text"
}

# check_failure CODE FRAGMENT: what a command that must fail has done.
check_failure() {
    [ "$code" = "$1" ] || why "exit status $code, wanted $1"
    [ ! -s "$scratch/stdout" ] || {
        why 'standard output is not empty:'
        head -n 3 "$scratch/stdout" >>"$scratch/why"
    }
    [ "$(wc -l <"$scratch/stderr")" -eq 1 ] || why 'standard error is not one line'
    grep -q '^tamis' "$scratch/stderr" || why "standard error does not start with 'tamis'"
    grep -qF -e "$2" "$scratch/stderr" || why "standard error lacks '$2'"
    cmp -s "$scratch/before" "$scratch/after" || {
        why 'the directory has changed:'
        diff "$scratch/before" "$scratch/after" | grep '^[<>]' >>"$scratch/why"
    }
    [ ! -s "$scratch/why" ] || {
        echo 'standard error:'
        head -n 5 "$scratch/stderr"
    } >>"$scratch/why"
}

run_row() {
    cp -R "$scratch/fixture" "$scratch/work"
    : >"$scratch/why"
    cd "$scratch/work" || exit 2
    snapshot >"$scratch/before"
    (eval "$3") >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    code=$?
    snapshot >"$scratch/after"
    cd "$scratch" || exit 2
    check_failure "$1" "$2"
    chmod -R u+w "$scratch/work"
    rm -rf "$scratch/work"
}

# tamis, as rows of a table call it.
tamis() {
    "$TAMIS" "$@"
}

set_up() {
    mkdir "$scratch/fixture"
    : >"$scratch/why"
    (cd "$scratch/fixture" && sh -eu "$1") >"$scratch/stdout" 2>&1 </dev/null && return
    why 'the set-up failed:'
    tail -n 20 "$scratch/stdout" >>"$scratch/why"
}

run_table() {
    table=$1
    name=$2
    shift 2
    if [ -f "${table%.table}.setup" ]; then
        set_up "${table%.table}.setup"
        result "$name: set-up"
        [ ! -s "$scratch/why" ] || return
    else
        mkdir "$scratch/fixture"
    fi
    line=0
    while IFS='|' read -r wanted fragment command; do
        line=$((line + 1))
        wanted=$(trim "$wanted")
        case $wanted in
        '' | \#*) continue ;;
        esac
        command=$(trim "$command")
        run_row "$wanted" "$(trim "$fragment")" "$command"
        result "$name: line $line: $(printf '%s' "$command" | tr '#' ' ')"
    done <"$table"
    rm -rf "$scratch/fixture"
}

# --- all -------------------------------------------------------------------------------------------

wanted_case() {
    [ -n "$cases" ] || return 0
    for one in $cases; do
        case $1 in
        "$one" | "$one"/*) return 0 ;;
        esac
    done
    return 1
}

cases=$*
for file in "$here"/*/*.sh "$here"/*/*.table; do
    [ -f "$file" ] || continue
    name=${file#"$here"/}
    name=${name%.*}
    wanted_case "$name" || continue
    case $file in
    *.sh)
        run_case "$file"
        result "$name"
        ;;
    *.table) run_table "$file" "$name" ;;
    esac
done
echo "1..$number"
[ "$failed" -eq 0 ]
