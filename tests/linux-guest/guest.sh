# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# guest.sh - the guest's side: sourced by the scripts that run inside a User-mode Linux guest
#
# Environment: TAGS (tags of the shares, separated by colons), GUEST_WORK (a directory that the host
# sees under the same path), PROGRAMS (where the test programs are), VIOFS_TOP, VIOFS_SOAK.

. "$VIOFS_TOP/tests/tap.sh"
tap_begin

# share_mount TAG - mount the share at /mnt/TAG
share_mount() {
    mkdir -p "/mnt/$1"
    mount -t virtiofs "$1" "/mnt/$1"
}

# on_host COMMAND - have the host run a shell command; prints what it printed, returns its status
on_host() {
    # A file counts, because callers often are subshells.
    local asked
    asked=$(($(cat "$GUEST_WORK/asked" 2>/dev/null) + 1))
    echo "$asked" >"$GUEST_WORK/asked"
    printf '%s\n' "$*" >"$GUEST_WORK/ask.tmp"
    mv "$GUEST_WORK/ask.tmp" "$GUEST_WORK/ask.$asked"
    until [ -e "$GUEST_WORK/answer.$asked" ]; do sleep 0.01; done
    cat "$GUEST_WORK/said.$asked"
    return "$(cat "$GUEST_WORK/answer.$asked")"
}

# same TEXT SEEN WANTED - passed when both are equal
same() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf 'saw:    %s\nwanted: %s\n' "$2" "$3"
    fi
}
