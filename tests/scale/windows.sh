# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# windows.sh - the stage's side of windows.py, which runs beside it

windows_start() {
    local built=0
    "$VIOFS_TOP/tests/wine/chain/build" >"$work/windows.build" 2>&1 || built=$?
    check "all that the Windows chain runs builds" [ "$built" = 0 ]
    mkfifo "$work/windows.steps"
    "$VIOFS_TOP/tests/scale/windows.py" "$work" "$volume/mount.a" "$volume/mount.b" "${guest_place[a1]}" \
        <"$work/windows.steps" >"$work/windows.tap" 2>"$work/windows.log" &
    windows_pid=$!
    exec {windows_steps}>"$work/windows.steps"
}

windows_ready() {
    wait_for 60 windows_did ready
}

# windows_did STEP - also when nothing more will come
windows_did() {
    [ -e "$work/windows.$1" ] || gone "$windows_pid"
}

# windows STEP - have it done; its own results count at the end
windows() {
    ! gone "$windows_pid" || return 1
    echo "$1" >&"$windows_steps"
    wait_for 90 windows_did "$1"
    [ -e "$work/windows.$1" ]
}

# It does not end with its input: whatever the stage starts inherits that.
windows_ends() {
    echo leave >&"$windows_steps"
    exec {windows_steps}>&-
    wait_for 60 gone "$windows_pid" || kill_tree "$windows_pid"
    wait "$windows_pid"
    cat "$work/windows.log"
    tap_merge "$work/windows.tap"
    check "the Windows chain came to its end" grep -q '^1\.\.' "$work/windows.tap"
}
