#!/bin/sh
# Each public header compiles by itself, twice in a row, without a warning.
# usage: compile.sh C|C++ INCLUDE-DIRS HEADERS -- COMPILER...
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

case $1 in
C) language='-x c -std=c11 -Wstrict-prototypes' ;;
C++) language='-x c++ -std=c++11' ;;
esac
includes=$2
headers=$3
shift 4

result=0
for header in $headers; do
    for again in '' "#include <tamis/$header>"; do
        # shellcheck disable=SC2086
        printf '#include <tamis/%s>\n%s\nint main(void);\nint main(void) { return 0; }\n' "$header" "$again" |
            "$@" $language $includes -Wall -Wextra -Wpedantic -Wundef -Wconversion -Werror -fsyntax-only - || {
            echo "tamis/$header does not compile by itself" >&2
            result=1
        }
    done
done
exit $result
