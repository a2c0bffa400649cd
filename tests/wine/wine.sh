# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# wine.sh - a Windows of its own for a stage
#
# Sourced by stages. Making a Wine prefix takes a quarter of a minute, copying one a second or two, so one is
# made under $VIOFS_BUILD/wine-template and copied. Variables that Wine and its drivers shall see are exported
# before wine_begin.
#
# What Wine needs to be told: the server has to stay (-p), or services die with the last program; programs
# must not inherit our pipes, or a service holds them open; no display, or windows are tried; no menu builder, or the
# desktop of whoever runs the tests gets entries.

export WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d"
unset DISPLAY WAYLAND_DISPLAY

# wine_template - make the template, once; several stages may ask at the same time
wine_template() {
    local dir=$VIOFS_BUILD/wine-template
    mkdir -p "$VIOFS_BUILD/logs"
    (
        flock 9
        [ -e "$dir/made" ] && exit 0
        rm -rf "$dir"
        mkdir -p "$dir"
        WINEPREFIX=$dir timeout 120 wineboot -i </dev/null >"$VIOFS_BUILD/logs/wine-template.log" 2>&1
        WINEPREFIX=$dir timeout 30 wineserver -w
        touch "$dir/made"
    ) 9>"$VIOFS_BUILD/wine-template.lock"
    [ -e "$dir/made" ]
}

# wine_begin DIR - a fresh copy of the template in DIR, its server running; $wine_c is its drive C:
wine_begin() {
    wine_template || return 1
    mkdir -p "$1"
    cp -a "$VIOFS_BUILD/wine-template/." "$1/"
    export WINEPREFIX=$1
    wine_c=$1/drive_c
    wineserver -p </dev/null >/dev/null 2>&1
    wine_run 60 cmd /c ver
}

# wine_run SECONDS COMMAND... - run a program in C:\; what it says is in $wine_out; the status is its exit
# code's lowest byte, 124 when the time is over
wine_run() {
    local seconds=$1 status=0
    shift
    (cd "$wine_c" && timeout "$seconds" wine "$@") </dev/null >"$WINEPREFIX/out" 2>&1 || status=$?
    wine_out=$(tr -d '\r' <"$WINEPREFIX/out")
    printf '$ %s\n%s\n' "$*" "$wine_out"
    return $status
}

# wine_end - end everything in the prefix
wine_end() {
    [ -z "${WINEPREFIX:-}" ] || wineserver -k </dev/null >/dev/null 2>&1
    return 0
}
