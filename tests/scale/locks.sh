# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# locks.sh - locks of Linux guests on two hosts, through two daemons, with posix_lock and flock
#
# a1 and a2 are guests of host A, b1 and b2 of host B. Whoever holds a lock or gets it makes a file in $work, which
# both sides see.

# The programs of both kinds of lock: take KIND WAIT|TRY MARK PATH - take it, make the file MARK, hold it.
take() {
    local wait=$2
    case $1:$wait in
    flock:try) echo "flock -n '$4' -c 'touch $3; exec sleep 600'" ;;
    flock:wait) echo "flock '$4' -c 'touch $3; exec sleep 600'" ;;
    posix:*)
        echo "python3 -c 'import fcntl, time
f = open(\"$4\", \"r+\")
fcntl.lockf(f, fcntl.LOCK_EX | ($([ "$wait" = try ] && echo fcntl.LOCK_NB || echo 0)))
open(\"$3\", \"w\").close()
time.sleep(600)'"
        ;;
    esac
}
holds() {
    in_guest "$1" "$(take "$2" wait "$3" "$4") >/dev/null 2>&1 & echo \$! >/run/holder.$2"
    wait_for 20 test -e "$3"
}
refused() {
    in_guest "$1" "! timeout 20 $(take "$2" try "$work/never" "$3") && ! test -e '$work/never'"
}
lets_go() {
    in_guest "$1" "holder=\$(cat /run/holder.$2); kill -KILL \$(cat /proc/\$holder/task/*/children) \$holder; true"
}

locks_of_a_kind() {
    local kind=$1
    touch "$volume/mount.a/never/$kind"
    check "$kind: a guest of host A takes a lock" holds a2 "$kind" "$work/$kind.a2" "/mnt/a2-never/never/$kind"
    check "$kind: another guest of host A is refused it" refused a1 "$kind" "/mnt/a-never/never/$kind"
    check "$kind: a guest of host B is refused it" refused b1 "$kind" "/mnt/b-never/$kind"
    in_guest b1 "$(take "$kind" wait "$work/$kind.b1" "/mnt/b-never/$kind") >/dev/null 2>&1 & echo \$! >/run/holder.$kind"
    in_guest b1 "sleep 0.5"
    check "$kind: a guest of host B waits for it" test ! -e "$work/$kind.b1"
}

# The guest goes with both of its locks; both that wait are granted, each by the other host's daemon.
locks() {
    local kind
    for kind in flock posix; do locks_of_a_kind "$kind"; done
    uml_kill "${guest_process[a2]}"
    unset "guest_process[a2]"
    check "virtiofsd of the killed guest ends" daemon_ends a2-never
    for kind in flock posix; do
        check "$kind: when that guest is killed, the one that waits on the other host gets it" \
            wait_for 20 test -e "$work/$kind.b1"
        check "$kind: and holds it against host A" refused a1 "$kind" "/mnt/a-never/never/$kind"
        lets_go b1 "$kind"
        check "$kind: what is let go on host B can be taken on host A" \
            holds a1 "$kind" "$work/$kind.a1" "/mnt/a-never/never/$kind"
        lets_go a1 "$kind"
    done
}
