#!/bin/sh
# What CONTRIBUTING.md says of the sources and a machine can check.
# usage: rules.sh SOURCE-DIR STRIP.AWK
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

strip=$2
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/report"

# complain TITLE - with the offending lines on standard input, if any.
complain() {
    sed "s/^/    /" >"$work/found"
    [ ! -s "$work/found" ] || {
        printf "%s\n" "$1"
        cat "$work/found"
    } >>"$work/report"
}

find lib cli include tests bench -name '*.[ch]' | sort >"$work/files"
# shellcheck disable=SC2046
awk -v numbered=1 -f "$strip" $(cat "$work/files") >"$work/code"
word='(^|[^A-Za-z0-9_.>])'

grep -E '^lib/' "$work/code" |
    grep -E ":.*$word(printf|vprintf|puts|putchar|fprintf|vfprintf|fputs|perror|exit|_exit|_Exit|quick_exit|abort|getenv|secure_getenv|setenv|putenv|signal|sigaction|raise|kill|system|popen|fork|atexit|setlocale)[ ]*\(|$word(stdout|stderr)([^A-Za-z0-9_]|\$)" |
    complain 'lib/ never prints, exits, reads the environment or touches signals:'

grep -E '^lib/' "$work/code" | grep -v '^lib/base/mem\.c:' |
    grep -E ":.*$word(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|asprintf|vasprintf|getline|alloca)[ ]*\(" |
    complain 'allocation goes through base/mem.h:'

grep -E '^(lib|cli|include)/' "$work/code" |
    grep -E ":.*$word(strcat|sprintf|vsprintf|gets|asctime|ctime|gmtime|localtime|rand|srand|atoi|atol|atof|tmpnam)[ ]*\(" |
    complain 'unsafe or locale-bound functions of the C library:'

# Each third-party header belongs to one room, each room includes those below it only, and cli knows <tamis/...> alone.
awk -F: '
    BEGIN {
        rooms = split("base codec kernels linalg project store stream curvature transport cluster import filter model convert score select manifest export plot evaluate", order, " ")
        for (i = 1; i <= rooms; i++) level[order[i]] = i
        owner["hdf5.h"] = "^lib/store/"
        owner["cblas.h"] = owner["lapacke.h"] = owner["openblas_config.h"] = "^lib/linalg/"
        owner["xxhash.h"] = "^lib/base/digest[.]c"
        owner["jansson.h"] = "^lib/base/json[.]h"
        owner["zlib.h"] = "^lib/codec/gzip[.]c"
        owner["md5.h"] = "^lib/base/md5[.]c"
        owner["zstd.h"] = "^lib/codec/zstd[.]c"
        owner["plplot/plplot.h"] = "^lib/plot/canvas[.]c"
        owner["immintrin.h"] = "^lib/kernels/"
        owner["gsl/gsl_rng.h"] = "^lib/base/rng[.]h"
        owner["gsl/gsl_version.h"] = "^lib/version[.]c"
        owner["check.h"] = "^tests/"
    }
    $3 !~ /^[ \t]*#[ \t]*include/ { next }
    {
        file = $1
        name = $3
        quoted = name ~ /"/
        sub(/^[^<"]*[<"]/, "", name)
        sub(/[>"].*/, "", name)
        split(file, part, "/")
    }
    file ~ /^tests/ || file ~ /^bench/ { next }
    name ~ /^H5/ && file ~ /^lib\/store\// { next }
    name in owner && file !~ owner[name] { print file ":" $2 ": <" name "> belongs to " owner[name]; next }
    name ~ /^(hdf5|H5|gsl\/|openblas|lapack|zlib|xxh)/ && !(name in owner) && name !~ /^gsl\/gsl_(randist|cdf|sf_.*)[.]h$/ {
        print file ":" $2 ": <" name "> has no room"
        next
    }
    quoted && split(name, target, "/") == 2 {
        if (file ~ /^cli\//) print file ":" $2 ": cli includes <tamis/...> only"
        else if (part[1] == "lib" && (part[2] in level) && (target[1] in level) && level[target[1]] > level[part[2]])
            print file ":" $2 ": " part[2] " stands below " target[1]
        else if (part[1] == "include") print file ":" $2 ": a public header includes <tamis/...> only"
    }
' "$work/code" | complain 'includes across rooms:'

# shellcheck disable=SC2046
wc -l $(cat "$work/files") | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines" }' |
    complain 'files over 800 lines:'

# A function starts with a brace alone in the first column. One may be long when the comment above it says
# "long function:" and why.
while read -r file; do
    awk -v file="$file" '
        /long function:/ { marked = 1 }
        /^\{$/ { start = FNR }
        /^\}/ {
            if (start && FNR - start - 1 > 80 && !marked) print file ":" start ": " FNR - start - 1 " lines"
            start = marked = 0
        }
    ' "$file"
done <"$work/files" | complain 'functions over 80 lines:'

# A source that no meson.build names is not built and not tested.
find lib/*/ cli tests/unit bench -name "*.c" | sort | while read -r file; do
    base=${file##*/}
    case $file in
    tests/unit/*/test_*.c)
        listed=${base#test_}
        listed=${listed%.c}
        ;;
    bench/bench_*.c)
        listed=${base#bench_}
        listed=${listed%.c}
        ;;
    *) listed=$base ;;
    esac
    grep -q "'\(test_\)\{0,1\}$listed'" "${file%/*}/meson.build" 2>/dev/null ||
        grep -q "'${listed%.c}'" "${file%/*}/meson.build" 2>/dev/null || echo "$file"
done | complain 'sources that their meson.build does not name:'

while read -r file; do
    head -n 25 "$file" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' || echo "$file"
done <"$work/files" | complain 'files without a licence line:'

tr "\n" "\0" <"$work/files" | xargs -0 grep -nE "(TODO|FIXME|HACK)([^A-Za-z]|\$)" |
    complain 'unfinished:'

cat "$work/report" >&2
[ ! -s "$work/report" ]
