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
mkfifo /run/never
exec {never}<>/run/never
on_host() {
    # A file counts, because callers often are subshells. No program is started: they cost time here.
    local asked=1 status
    [ -e "$GUEST_WORK/asked" ] && asked=$(($(<"$GUEST_WORK/asked") + 1))
    echo "$asked" >"$GUEST_WORK/asked"
    printf '%s\n# end of request\n' "$*" >"$GUEST_WORK/ask.$asked"
    until [ -s "$GUEST_WORK/answer.$asked" ]; do read -r -t 0.01 -u "$never"; done
    status=$(<"$GUEST_WORK/answer.$asked")
    [ ! -s "$GUEST_WORK/said.$asked" ] || printf '%s\n' "$(<"$GUEST_WORK/said.$asked")"
    return "$status"
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

# listing DIRECTORY - every name with what stat says, sorted (host.sh has the same)
listing() {
    (cd "$1" && find . -printf '%P %y %s %n %m %l\n' | sort)
}
