# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# outage.sh - servers that are killed, and healed, while guests of both hosts are at work

load_steps=$([ -n "${VIOFS_SOAK:-}" ] && echo 60000 || echo 1000)
load_seconds=$([ -n "${VIOFS_SOAK:-}" ] && echo 600 || echo 9)

# Random I/O in one guest of each host, a race of renames and deletes in one of each.
load_begins() {
    mkdir -p "$volume/mount.a/load"/{race.a,race.b}
    order a1 "$programs/fsx -s 11 -n $load_steps -o $work/fsx.a /mnt/a-never/load/fsx.a >$work/load.a1 2>&1 & fsx=\$!
        $programs/treerace -b -p 2 -t $load_seconds /mnt/a-never/load/race.a && wait \$fsx; r=\$?; cat $work/load.a1; exit \$r"
    order b1 "$programs/fsx -s 12 -n $load_steps -o $work/fsx.b /mnt/b-load/fsx.b"
    order b2 "$programs/treerace -b -p 2 -t $load_seconds /mnt/b2-load/race.b"
    windows load_begin
}

outages() {
    local n rounds=1
    [ -z "${VIOFS_SOAK:-}" ] || rounds=30
    for ((; rounds > 0; rounds--)); do
        for n in 2 3; do
            sleep 1.5
            server_kill "$n"
            sleep 1.5
            server_start "$n" && wait_for 30 volume_connected "$n" || return
            wait_for 120 volume_healed || return # two of three must be whole before the next one goes
        done
    done
}

outage_under_load() {
    load_begins
    check "two of the servers are killed under load, one after the other, and heal" outages
    check "the load of Windows ends" windows load_end
    local guest limit=$((load_seconds * 20 + 120))
    check "a1: random I/O and a race on host A go on all the while" obeyed a1 "$limit"
    check "b1: random I/O on host B goes on all the while" obeyed b1 "$limit"
    check "b2: a race on host B goes on all the while" obeyed b2 "$limit"
    check "what is pending is healed" wait_for 120 volume_healed
    check "all three replicas are equal, names, owners, modes and bytes" replicas_are_equal
    for guest in a b; do
        check "the random I/O of host ${guest^} is whole on the replicas" \
            cmp "$work/fsx.$guest" "$volume/brick.2/load/fsx.$guest"
    done
    check "both hosts list the same tree" diff <(listing "$volume/mount.a/load") <(listing "$volume/mount.b/load")
    check "a guest of host A lists what the host does" diff <(listing "$volume/mount.a/load/race.b") \
        <(in_guest a1 "cd /mnt/a-never/load/race.b && find . -printf '%P %y %s %n %m %l\n' | sort")
}

# Without two of the three no write may be accepted; without any nothing can be read. What had been written is kept.
no_quorum() {
    in_guest a1 "echo kept >/mnt/a-never/never/kept; exec 7>>/mnt/a-never/never/open; echo \$\$" >/dev/null
    windows keep_open
    server_kill 1
    server_kill 2
    check "without two of three servers a write fails, and says so" in_guest a1 \
        "! echo lost >>/mnt/a-never/never/kept && ! echo new >/mnt/a-never/never/new"
    check "and no name is left of it" test ! -e "$volume/brick.3/never/new"
    check "Windows: no quorum" windows no_quorum
    server_kill 3
    same "without any server a read is an error, and no empty file" \
        "$(in_guest b1 "cat /mnt/b-never/kept 2>&1 || echo failed" | tail -n 1)" failed
    check "and a listing is an error, and no empty directory" in_guest b1 "! ls /mnt/b-never"
    check "Windows: no server" windows no_server
    local n
    for n in 1 2 3; do server_start "$n"; done
    for n in 1 2 3; do wait_for 30 volume_connected "$n"; done
    check "when they are back a guest of host A reads what it wrote before" \
        wait_for 30 in_guest a1 "[ \"\$(cat /mnt/a-never/never/kept)\" = kept ]"
    check "and one of host B" wait_for 30 in_guest b1 "[ \"\$(cat /mnt/b-never/kept)\" = kept ]"
    check "Windows: servers back" windows servers_back
    check "and both write again" in_guest b1 "echo again >/mnt/b-never/again && cat /mnt/b-never/again"
}
