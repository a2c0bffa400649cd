# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# guests.sh - several Linux guests at once, told by the stage what to do; sourced after host.sh

declare -A guest_process=() guest_place=()

# guest_boot NAME SHARE... - a guest with these daemons; it is ready when guest_ready says so
guest_boot() {
    local name=$1
    shift
    uml_start "$VIOFS_TOP/tests/scale/guest-serve" "$@" "GUEST_NAME=$name"
    guest_process[$name]=$guest_pid
    guest_place[$name]=$guest_work
}
guest_ready() {
    wait_for 90 test -e "${guest_place[$1]}/serves"
}

# last_order NAME - how many orders it has had. Files count, because callers often are subshells.
last_order() {
    local n=0
    while [ -e "${guest_place[$1]}/order.$((n + 1))" ]; do n=$((n + 1)); done
    echo "$n"
}

# order NAME COMMAND - have a guest begin a command; obeyed NAME SECONDS - its words and its status, when it is done
order() {
    printf '%s\n# end of order\n' "$2" >"${guest_place[$1]}/order.$(($(last_order "$1") + 1))"
}
obeyed() {
    local place=${guest_place[$1]} n status
    n=$(last_order "$1")
    wait_for "$2" test -s "$place/done.$n" || {
        echo "guest $1 is not done: $(<"$place/order.$n")"
        return 124
    }
    status=$(<"$place/done.$n")
    cat "$place/heard.$n"
    return "$status"
}

# in_guest NAME COMMAND - print what the command prints in the guest, return its status
in_guest() {
    order "$1" "$2"
    obeyed "$1" 60
}

# guest_leave NAME - it unmounts and goes; its own results count
guest_leave() {
    order "$1" leave
    uml_wait 60 "${guest_process[$1]}" "${guest_place[$1]}"
    tap_merge "${guest_place[$1]}/results"
    unset "guest_process[$1]"
}
