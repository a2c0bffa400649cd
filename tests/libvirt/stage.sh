# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# stage.sh - what the stages libvirt and virt-manager begin and end with
#
# Sourced by them. Installs viofs into $work/installed, makes a guest, runs tests/libvirt/run on a host of its own.
. "$VIOFS_TOP/tests/linux-guest/host.sh"
needs_root "libvirt" "mounts and control groups of its own are root's"
guest_begin

stage_clean_up() {
    "$VIOFS_TOP/tests/private-host" --sweep
}

install_it() {
    make -s -C "$VIOFS_TOP" install PREFIX=/usr "DESTDIR=$work/installed" "BUILD=$VIOFS_BUILD"
}

# make_guest - it has what cases_devices.py uses in it
make_guest() {
    local image
    read -r image _ < <("$VIOFS_TOP/scripts/guest-kernel" --have) && cp "$image" "$work/vmlinuz" &&
        "$VIOFS_TOP/scripts/guest-initramfs" --out "$work/initramfs.gz" --file /usr/bin/setfattr \
            --run "$VIOFS_TOP/tests/libvirt/guest-obey"
}

# run_modules SECONDS MODULE... - run the cases, repeat their results
run_modules() {
    local limit=$1
    shift
    "$VIOFS_TOP/tests/private-host" "$work" "$VIOFS_TOP/tests/libvirt/run" "$@" >"$work/results" &
    wait_for "$limit" gone $!
    check "all cases of $* were tried" grep -q '^1\.\.' "$work/results"
    tap_merge "$work/results"
}

check "make install PREFIX=/usr runs" install_it
check "there is a guest" make_guest
