# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# coherence.sh - what a guest of host B sees after a guest of host A has written and closed, in each cache mode
#
# docs/operations.md, "Distributed file systems", says what these sections show. Guest a1 writes; b1 has seen the file
# before, so that whatever it may cache, it has cached. "never", "metadata", "auto", "writeback" and "always" are
# directories of the volume, and shares of both hosts.

a_writes() {
    in_guest a1 "printf %s '$2' >/mnt/a-never/$1" # the share of guest a1 is the whole volume
}
b_reads() {
    in_guest b1 "cat '/mnt/b-$1/f'"
}

# later SECONDS MODE WANTED - does a new open by the guest on host B read that, at the latest then?
later() {
    in_guest b1 "end=\$((\${EPOCHREALTIME/./} + $1))
        until [ \"\$(cat /mnt/b-$2/f 2>/dev/null)\" = '$3' ]; do
            [ \${EPOCHREALTIME/./} -lt \$end ] || { cat /mnt/b-$2/f; exit 1; }
        done"
}

coherence_of_never() {
    local i seen=''
    for i in 1 22 333 4444 55555; do
        a_writes never/f "$i"
        seen+=" $(b_reads never)"
    done
    same "never: a file that was closed on host A reads as it is at the next open on host B" "$seen" " 1 22 333 4444 55555"
    a_writes never/f aaaaa
    same "never: of the same length, too" "$(b_reads never)" aaaaa
    a_writes never/g other
    in_guest a1 "mv /mnt/a-never/never/g /mnt/a-never/never/f"
    same "never: a file put in its place is seen at once" "$(b_reads never)" other
    in_guest a1 "rm /mnt/a-never/never/f"
    check "never: a deleted name is gone at once" in_guest b1 "! test -e /mnt/b-never/f"
}

# Names and attributes hold for a second in auto, data until the file is opened anew.
coherence_within_a_second() {
    local mode=$1
    a_writes "$mode/f" one
    same "$mode: before the change" "$(b_reads "$mode")" one
    a_writes "$mode/f" longer
    check "$mode: what was closed on host A is read by an open on host B within a second" later 1500000 "$mode" longer
    a_writes "$mode/f" LONGER
    check "$mode: of the same length, too" later 1500000 "$mode" LONGER
    a_writes "$mode/g" other
    in_guest a1 "mv /mnt/a-never/$mode/g /mnt/a-never/$mode/f"
    check "$mode: a file put in its place is read within a second" later 1500000 "$mode" other
    in_guest a1 "rm /mnt/a-never/$mode/f"
    check "$mode: a deleted name is gone within a second" in_guest b1 \
        "sleep 1.2; ! test -e /mnt/b-$mode/f"
}

# The other way: what a guest wrote with a caching mode is complete on the other host once it has closed the file.
closing_writes_through() {
    local mode=$1
    in_guest b1 "head -c 300000 /dev/urandom >/mnt/b-$mode/big; sha256sum </mnt/b-$mode/big" >"$work/sum.$mode"
    check "$mode: what a guest of host B has closed, a guest of host A reads whole" diff "$work/sum.$mode" \
        <(in_guest a1 "sha256sum </mnt/a-never/$mode/big")
}

# Linux with a writeback cache takes its own word for size and time of a file that it knows.
incoherence_of_writeback() {
    a_writes writeback/f one
    same "writeback: before the change" "$(b_reads writeback)" one
    a_writes writeback/f longer
    in_guest b1 "sleep 1.5"
    same "writeback: not coherent: the guest goes by the size that it knew" "$(b_reads writeback)" lon
}

incoherence_of_always() {
    a_writes always/f old
    check "always: before the change" in_guest b1 "test -e /mnt/b-always/f"
    in_guest a1 "rm /mnt/a-never/always/f"
    check "always: not coherent: a name that is deleted on host A is still there for the guest" \
        in_guest b1 "sleep 1.5; test -e /mnt/b-always/f"
}

coherence() {
    coherence_of_never
    local mode
    for mode in auto metadata; do
        coherence_within_a_second "$mode"
    done
    for mode in auto writeback always; do closing_writes_through "$mode"; done
    incoherence_of_writeback
    incoherence_of_always
}
