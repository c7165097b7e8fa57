# Shared by the scripts of this directory; sourced, never run. The caller has set `root`.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh

: "${root:?}"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# configure DIR OPTION... - a Meson build directory of this tree with these options. Safe to repeat: nothing is done
# when it is there, and one that was copied from elsewhere or is half made is made anew.
configure() {
    dir=$1
    shift
    if [ -f "$dir/build.ninja" ] && grep -qF "\"source\": \"$root\"" "$dir/meson-info/meson-info.json"; then
        [ "$(cat "$dir/.options" 2>/dev/null)" = "$*" ] && return 0
        say "configuring ${dir##*/} again, its options have changed"
        set -- --reconfigure "$@"
    else
        say "configuring ${dir##*/}"
        rm -rf "$dir"
        mkdir -p "$dir"
    fi
    if ! meson setup "$@" "$dir" "$root" >"$dir/setup.log" 2>&1; then
        cat "$dir/setup.log" >&2
        return 1
    fi
    [ "$1" != --reconfigure ] || shift
    printf '%s\n' "$*" >"$dir/.options"
}

# build DIR TARGET... - compile; on a terminal with a line that counts, elsewhere silent but for what goes wrong.
build() {
    dir=$1
    shift
    case $(ninja -C "$dir" -n "$@" 2>&1) in
    *"no work to do"*) return 0 ;;
    esac
    say "building ${dir##*/}"
    if [ -t 1 ]; then
        ninja -C "$dir" "$@"
    else
        ninja -C "$dir" --quiet "$@"
    fi
}

# release_build - the optimised program, as build-release/cli/tamis.
release_build() {
    configure "$root/build-release" --buildtype=release || die 'configuring failed'
    build "$root/build-release" || die 'the build failed'
}

# run_tests DIR ARGUMENT... - run the tests there and end with "N passed, N failed" on a line of its own.
# Returns Meson's exit status. `wrapper` may hold a command to run Meson under.
run_tests() {
    dir=$1
    shift
    log=$dir/meson-logs/testlog.txt
    rm -f "$log"
    status=0
    # shellcheck disable=SC2086
    ${wrapper:-} meson test -C "$dir" --print-errorlogs "$@" || status=$?
    [ -f "$log" ] || return $status
    awk -F: '
        /^(Ok|Expected Fail): +[0-9]+ *$/ { passed += $2 }
        /^(Fail|Unexpected Pass|Timeout): +[0-9]+ *$/ { failed += $2 }
        END { printf "%d passed, %d failed\n", passed, failed }
    ' "$log"
    return $status
}
