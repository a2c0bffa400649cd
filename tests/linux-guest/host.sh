# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# host.sh - the host's side of the guest-* stages: daemons, guests and what they leave behind
#
# Sourced by tests/stages/guest-*. guest_begin makes $work (on the host's own file system, visible in
# the guest under the same path) and $shares (on tmpfs); everything started here ends with the stage.

. "$VIOFS_TOP/tests/tap.sh"
virtiofsd=${VIRTIOFSD:-$VIOFS_BUILD/release/virtiofsd/virtiofsd}
programs=$VIOFS_BUILD/release/tests/linux-guest
guest_dir=$VIOFS_TOP/tests/linux-guest
declare -A daemon_pid=()
guest_pids=()

# guest_begin - a place to work in, and a trap that cleans up
guest_begin() {
    tap_begin
    work=$(mktemp -d "${TMPDIR:-/tmp}/viofs-test.XXXXXX") || exit 1
    shares=$(mktemp -d /dev/shm/viofs-test.XXXXXX) || exit 1
    trap guest_end EXIT
    trap 'interrupted=yes' INT TERM HUP
    chmod 755 "$work" "$shares"
}

# needs_root WHAT REASON - end the stage as skipped for others
needs_root() {
    [ "$(id -u)" = 0 ] && return
    tap_begin
    skip "$1" "$2"
    tap_end
    exit 0
}

guest_end() {
    trap '' INT TERM HUP
    local pid
    for pid in $(jobs -p); do kill_tree "$pid"; done
    wait 2>/dev/null
    if declare -F stage_clean_up >/dev/null; then stage_clean_up; fi
    rm -rf --one-file-system "$work" "$shares"
}

# kill_tree PID - SIGKILL for a process and its descendants
kill_tree() {
    local child
    kill -STOP "$1" 2>/dev/null # it must not make more of them meanwhile
    for child in $(children_of "$1"); do kill_tree "$child"; done
    kill -KILL "$1" 2>/dev/null
}

children_of() {
    cat /proc/"$1"/task/*/children 2>/dev/null
}

# nap - twenty milliseconds, without starting a program; here a signal ends the stage (bash 5.2 can crash
# when a trap itself exits during read)
interrupted=''
exec {never}<> <(:)
nap() {
    read -r -t 0.02 -u "$never" || true
    [ -z "$interrupted" ] || exit 143
}

# wait_for SECONDS COMMAND... - repeat a command until it succeeds
wait_for() {
    local until=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        nap
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# daemon_start NAME DIRECTORY [OPTION...] - share DIRECTORY at $work/NAME.sock, under the tag NAME
#
# A device of User-mode Linux has the tag of its daemon, a device of QEMU has its own, and QEMU 7.2 has
# trouble with a daemon that has one: with $no_tag it is left out.
daemon_start() {
    local name=$1 directory=$2 tag=("--tag=$1")
    shift 2
    [ -z "${no_tag:-}" ] || tag=()
    local before
    before=$(socket_of "$name")
    setpriv --pdeathsig KILL -- "$virtiofsd" "--socket-path=$work/$name.sock" \
        "${tag[@]}" -o "source=$directory" "$@" \
        >"$work/$name.log" 2>&1 </dev/null &
    daemon_pid[$name]=$!
    wait_for 30 new_socket "$name" "$before" || {
        echo "virtiofsd $name did not start:"
        cat "$work/$name.log"
        return 1
    }
}

# socket_of NAME - what tells its socket from another, if there is one: an earlier daemon may have left one behind
socket_of() {
    stat -c '%i %z' "$work/$1.sock" 2>/dev/null
}
new_socket() {
    [ -S "$work/$1.sock" ] && [ "$(socket_of "$1")" != "$2" ]
}

# daemon_worker NAME - the pid that serves: the sandbox's child where there is one
daemon_worker() {
    local child
    read -r child _ < <(children_of "${daemon_pid[$1]}")
    echo "${child:-${daemon_pid[$1]}}"
}

# daemon_disturb NAME - of a supervised one, until told to end: each second kill its worker, or the process that waits for
# that, and reload before every third kill
#
# A worker that a busy machine has not let begin by then is spared: five of those in a row are enough for the supervisor.
daemon_disturb() {
    local turn=0 pid child above begun=0 before
    while :; do
        sleep 1
        before=$begun
        begun=$(grep -cE "the front end's device goes on|a front end has connected" "$work/$1.log")
        [ "$begun" != "$before" ] || continue
        turn=$((turn + 1))
        if [ $((turn % 3)) = 0 ]; then
            kill -USR2 "${daemon_pid[$1]}"
            sleep 0.5
        fi
        pid=${daemon_pid[$1]}
        while :; do
            child=
            read -r child _ < <(children_of "$pid")
            [ -n "$child" ] || break
            above=$pid
            pid=$child
        done
        [ "$pid" != "${daemon_pid[$1]}" ] || continue
        [ $((turn % 2)) = 0 ] || [ "$above" = "${daemon_pid[$1]}" ] || pid=$above
        kill -KILL "$pid" 2>/dev/null
    done
}

# daemon_resources NAME - descriptors and threads it has now
daemon_resources() {
    local pid
    pid=$(daemon_worker "$1")
    set -- /proc/"$pid"/fd/*
    local descriptors=$#
    set -- /proc/"$pid"/task/*
    echo "$descriptors descriptors, $# threads"
}

# daemon_ends NAME - it goes by itself after its guest has left, with status 0
daemon_ends() {
    local pid=${daemon_pid[$1]} status=0
    wait_for 30 gone "$pid" || {
        echo "virtiofsd $1 is still there"
        kill_tree "$pid"
    }
    wait "$pid" || status=$?
    unset "daemon_pid[$1]"
    [ "$status" = 0 ] || {
        echo "virtiofsd $1 ended with status $status:"
        tail -n 20 "$work/$1.log"
    }
    return "$status"
}

# uml_start SCRIPT NAME... [VAR=VALUE...] - boot a guest with the devices of these daemons, in the
# background; its pid is in $guest_pid, its words in $guest_work. A NAME that is a path is a disk's file.
uml_start() {
    local script=$1 argument arguments=() tags=()
    shift
    guest_work=$work/guest${#guest_pids[@]}
    mkdir -p "$guest_work"
    for argument in "$@"; do
        case $argument in
        [A-Z]*=*) arguments+=("$argument") ;;
        /*) arguments+=(--disk "$argument") ;;
        *)
            arguments+=(--socket "$work/$argument.sock")
            tags+=("$argument")
            ;;
        esac
    done
    setpriv --pdeathsig KILL -- "$guest_dir/uml-guest" --work "$guest_work" --run "$script" \
        "${arguments[@]}" "TAGS=$(IFS=:; echo "${tags[*]}")" "VIOFS_TOP=$VIOFS_TOP" \
        "PROGRAMS=$programs" ${VIOFS_SOAK:+VIOFS_SOAK=1} &
    guest_pid=$!
    guest_pids+=("$guest_pid")
    uml_serve "$guest_pid" "$guest_work" &
}

# uml_kill PID - SIGKILL for a guest
uml_kill() {
    kill_tree "$1"
    wait "$1" 2>/dev/null
}

# uml_serve PID WORK - do what the guest asks of the host (guest.sh: on_host), as long as it lives
uml_serve() {
    local pid=$1 dir=$2 asked=1 request
    while kill -0 "$pid" 2>/dev/null; do
        request=
        [ -e "$dir/ask.$asked" ] && request=$(<"$dir/ask.$asked")
        if [[ $request == *"# end of request" ]]; then
            bash -c "$request" >"$dir/said.$asked" 2>&1 </dev/null
            echo $? >"$dir/answer.$asked"
            asked=$((asked + 1))
        else
            nap
        fi
    done
}

# uml_wait SECONDS PID WORK - until the guest has gone, at most so long; one whose script has not started
# after 90 seconds is given up
uml_wait() {
    local until=$((SECONDS + $1)) boot=$((SECONDS + 90)) pid=$2 dir=$3
    until gone "$pid"; do
        if [ "$SECONDS" -ge "$until" ] ||
            { [ "$SECONDS" -ge "$boot" ] && ! grep -q '^run: starts' "$dir/console.log"; }; then
            uml_kill "$pid"
            break
        fi
        nap
    done
    wait "$pid" 2>/dev/null
    cat "$dir/errors"
    if ! grep -q '^run: ends' "$dir/console.log"; then
        echo "the guest did not end by itself:"
        cat "$dir/console.log"
        not_ok "the guest's script runs to its end"
    fi
}

# posix_outcome FILE - what posix-rules saw, without the numbers of its checks
posix_outcome() {
    sed -n 's/^\(ok\|not ok\) [0-9]* - /\1 /p' "$1"
}

# listing DIRECTORY - every name with what stat says, sorted (guest.sh has the same)
listing() {
    (cd "$1" && find . -printf '%P %y %s %n %m %l\n' | sort)
}

# uml_run SECONDS SCRIPT NAME... [VAR=VALUE...] - boot a guest, wait for it, repeat its results
uml_run() {
    local limit=$1
    shift
    uml_start "$@"
    uml_wait "$limit" "$guest_pid" "$guest_work"
    tap_merge "$guest_work/results"
}
