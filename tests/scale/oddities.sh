# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# oddities.sh - what such a file system does otherwise than a local one, as Linux guests see it

# rename_noreplace GUEST OLD NEW - as a program that asks for it; prints the name of the error
rename_noreplace() {
    in_guest "$1" "python3 -c 'import ctypes, errno
c = ctypes.CDLL(None, use_errno=True)
r = c.renameat2(-100, b\"$2\", -100, b\"$3\", 1)
print(\"done\" if r == 0 else errno.errorcode[ctypes.get_errno()])'"
}

stale_names() {
    in_guest a1 "mkdir -p /mnt/a-never/never/dir/sub && echo text >/mnt/a-never/never/dir/sub/f"
    in_guest b1 "cat /mnt/b-never/dir/sub/f" >/dev/null
    in_guest b1 "cd /mnt/b-never/dir/sub; exec 5<f; touch $work/in-dir; until [ -e $work/dir-gone ]; do :; done
        cat <&5; stat f 2>&1 | tail -n 1; echo new >g || echo refused" >"$work/stale" &
    local asked=$!
    wait_for 20 test -e "$work/in-dir"
    rm -r "$volume/mount.a/never/dir"
    touch "$work/dir-gone"
    wait "$asked"
    check "an open file that host A has deleted can still be read on host B" grep -qx text "$work/stale"
    check "its name is not there, by the error for that" grep -Eq 'No such file|Stale file' "$work/stale"
    check "nothing can be made in a directory that host A has deleted" grep -qx refused "$work/stale"
    check "and none of it comes back" test ! -e "$volume/mount.a/never/dir"
}

oddities() {
    echo first >"$volume/mount.a/never/first"
    echo second >"$volume/mount.a/never/second"
    same "a rename that must not replace is refused where a file is" \
        "$(rename_noreplace b1 /mnt/b-never/first /mnt/b-never/second)" EEXIST
    same "and where none is, GlusterFS' own answer comes through" \
        "$(rename_noreplace b1 /mnt/b-never/first /mnt/b-never/third)" EINVAL
    same "neither file is touched" "$(cat "$volume/mount.a/never/first" "$volume/mount.a/never/second")" $'first\nsecond'
    in_guest b1 "mv -n /mnt/b-never/first /mnt/b-never/second"
    same "mv -n finds its way and replaces nothing" "$(<"$volume/mount.a/never/second")" second
    same "there is no birth time, and none is made up" "$(in_guest b1 "stat -c %w /mnt/b-never/first")" -
    local number
    number=$(stat -c %i "$volume/mount.a/never/first")
    same "inode numbers of 64 bits are the same on both hosts and in both guests" \
        "$(stat -c %i "$volume/mount.b/never/first") $(in_guest a1 "stat -c %i /mnt/a-never/never/first") $(
            in_guest b1 "stat -c %i /mnt/b-never/first")" "$number $number $number"
    check "and need more than 32 bits" [ "$number" != "$((number & 0xffffffff))" ]
    stale_names
}
