# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# tap.sh - results of a stage, in TAP (tests/run says what it makes of them)
#
# Sourced by the scripts in tests/stages/. Standard output is for results only: after tap_begin,
# whatever a command prints goes to the log.

tap_count=0

# tap_begin - from now on results go to the runner and all other output to the log
tap_begin() {
    exec 3>&1 1>&2
}

# ok TEXT / not_ok TEXT / skip TEXT REASON - one result
ok() {
    echo "ok $((++tap_count)) - $1" >&3
}
not_ok() {
    echo "not ok $((++tap_count)) - $1" >&3
    echo "*** failed: $1"
}
skip() {
    echo "ok $((++tap_count)) - $1 # SKIP $2" >&3
}

# check TEXT COMMAND... - passed when the command succeeds
check() {
    local text=$1
    shift
    if "$@"; then ok "$text"; else not_ok "$text"; fi
}

# tap_merge FILE - repeat the results in FILE (TAP without or with a plan)
tap_merge() {
    local line
    while IFS= read -r line; do
        line=${line%$'\r'}
        if [[ $line =~ ^(not\ ok|ok)\ *[0-9]*\ *-?\ *(.*)$ ]]; then
            echo "${BASH_REMATCH[1]} $((++tap_count)) - ${BASH_REMATCH[2]}" >&3
        fi
    done <"$1"
}

# tap_end - the plan; without it the runner takes the stage for cut short
tap_end() {
    echo "1..$tap_count" >&3
}
