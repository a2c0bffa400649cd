# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# systemd.sh - the units: read by systemd's own tools, their restrictions imposed on the daemon, their socket used
#
# systemd itself does not run. as_unit.py stands for it where it starts a service; systemd-socket-activate is real.
# Uses $work, $shares (host.sh), $here, $release.

exposure=33 # in tenths, what "systemd-analyze security" gives the service; less is better
unit="$work/units/virtiofsd@.service"

# units_rendered - the units as they are installed, with the daemon of this build
units_rendered() {
    mkdir -p "$work/units" "$work/man/man8"
    cp "$release/integration/man/virtiofsd.8" "$work/man/man8" || return
    local file
    for file in virtiofsd@.service virtiofsd@.socket; do
        sed "s,^ExecStart=[^ ]*,ExecStart=$virtiofsd," "$release/integration/$file" >"$work/units/$file" || return
    done
    systemd-analyze syscall-filter >"$work/groups"
}

# verify UNIT... - systemd reads them and has nothing to remark, the manual that they name included
verify() {
    local said
    said=$(cd / && MANPATH=$work/man SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify "$@" 2>&1) &&
        [ -z "$said" ] || {
        echo "$said"
        return 1
    }
}

secure() {
    systemd-analyze security --offline=yes --no-pager "--threshold=$exposure" "$unit" | tail -n 1
    return "${PIPESTATUS[0]}"
}

# allowed_by_unit - every system call of the daemon's own filter passes the unit's, too
allowed_by_unit() {
    sed -n 's/^SECCOMP_CALL(\([a-z0-9_]*\),.*/\1/p' "$release/virtiofsd/sandbox/seccomp_list.h" |
        "$here/as_unit.py" --refused "$unit" "$work/groups"
}

heard_or_gone() {
    [ -s "$work/heard" ] || gone "$1"
}

# starts_under UNIT [OPTION...] - the daemon gets as far as READY=1 under it, and ends when it is told to
starts_under() {
    local file=$1 pid result=1
    shift
    rm -f "$work/heard" "$work/notify"
    "$here/manager.py" "$work/notify" "$work/heard" &
    local manager=$!
    wait_for 5 test -S "$work/notify"
    NOTIFY_SOCKET=$work/notify "$here/as_unit.py" "$file" "$work/groups" "$virtiofsd" --config "$work/share.conf" "$@" \
        >"$work/unit.log" 2>&1 &
    pid=$!
    wait_for 20 heard_or_gone "$pid"
    if grep -qx READY=1 "$work/heard"; then result=0; fi
    kill "$pid" 2>/dev/null
    wait "$pid" || result=$?
    kill "$manager" 2>/dev/null
    wait "$manager" 2>/dev/null
    [ "$result" = 0 ] || cat "$work/unit.log"
    return "$result"
}

# fails_without SED - the same is not so when the unit is changed, so as_unit.py does restrict
fails_without() {
    sed "$1" "$unit" >"$work/changed.service"
    ! cmp -s "$unit" "$work/changed.service" &&
        ! starts_under "$work/changed.service" --inode-file-handles=mandatory
}

# wire NAME - the wire tests of that name, with a daemon under the unit
wire() {
    VIOFS_DAEMON=$work/daemon timeout 120 "$release/tests/wire/test_wire_$1" --sandbox=namespace >"$work/wire-$1.log" 2>&1 || {
        cat "$work/wire-$1.log"
        return 1
    }
}

heard() {
    [ "$(tr '\n' ' ' <"$work/heard")" = "$1" ]
}

# activated_daemon_serves - systemd's socket, the unit, and a Linux guest that connects
activated_daemon_serves() {
    mkdir -p "$shares/unit"
    printf 'shared-dir = %s\ntag = unit\nsocket-path = /nonexistent/unit.sock\n' "$shares/unit" >"$work/unit.conf"
    rm -f "$work/heard" "$work/notify"
    "$here/manager.py" "$work/notify" "$work/heard" &
    wait_for 5 test -S "$work/notify"
    systemd-socket-activate -l "$work/unit.sock" -E "NOTIFY_SOCKET=$work/notify" -E "PATH=$PATH" \
        "$here/as_unit.py" "$unit" "$work/groups" "$virtiofsd" --config "$work/unit.conf" \
        >"$work/unit.log" 2>&1 &
    daemon_pid[unit]=$!
    wait_for 5 test -S "$work/unit.sock"
    check "nothing starts before a guest connects" test "$(cat "/proc/$!/comm")" = systemd-socket-
    uml_run 60 "$guest_dir/guest-greet" unit BOOT=1
    check "the host has the guest's greeting" test "$(cat "$shares/unit/greeting")" = "hello from boot 1"
    check "the daemon ends with the guest, without an error" daemon_ends unit
    check "systemd was told when the daemon was ready, and when it ended" wait_for 5 heard "READY=1 STOPPING=1 "
}

systemd_tests() {
    local name
    mkdir -p "$shares/conf"
    check "the units are built" units_rendered || return
    check "systemd-analyze has no remark on the service and the socket" \
        verify virtiofsd@projects.service virtiofsd@projects.socket
    check "the service's exposure is at most 0.1 x $exposure by systemd-analyze security" secure
    check "its filter allows every system call of the daemon's own" allowed_by_unit

    sed "s,^shared-dir = .*,shared-dir = $shares/conf,; s,^socket-path = .*,socket-path = $work/conf.sock," \
        "$VIOFS_TOP/integration/examples/share.conf" >"$work/share.conf"
    check "the daemon starts under the service's restrictions, with the example's options" starts_under "$unit"
    sed -i 's/^#\([a-z]\)/\1/' "$work/share.conf"
    check "and with those that the example leaves to the reader" starts_under "$unit"
    check "without mounts, it does not" fails_without 's/@mount//'
    check "nor without network namespaces" fails_without 's/^RestrictNamespaces=.*/RestrictNamespaces=mnt pid/'
    check "nor without CAP_SYS_ADMIN" fails_without 's/CAP_SYS_ADMIN//'
    check "nor with file handles, without CAP_DAC_READ_SEARCH" fails_without 's/CAP_DAC_READ_SEARCH//'
    check "nor without UNIX sockets" fails_without 's/AF_UNIX/AF_INET/'

    printf '#!/bin/sh\nexec %s %s %s %s "$@"\n' "$here/as_unit.py" "$unit" "$work/groups" "$virtiofsd" >"$work/daemon"
    chmod +x "$work/daemon"
    for name in names attr xattr lock ids users; do
        check "all of wire_$name works under the restrictions" wire "$name"
    done
    activated_daemon_serves
}
