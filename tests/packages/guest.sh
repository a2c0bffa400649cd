# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# guest.sh - what "make dist" makes of the guest's half: files, an archive, a CD
#
# Uses $work, $here, $version.

dist=$VIOFS_BUILD/dist

in_zip() {
    (cd "$work" && python3 -m zipfile -e "$zip" unpacked && cd unpacked && ls && cd "viofs-guest-$version" &&
        sha256sum -- * | awk '{ print $2, $1 }')
}

# packed_once_more DIR - the archives, from files of other times and modes
packed_once_more() {
    mkdir "$work/again" && cp "$dist"/guest/* "$work/again" && chmod 600 "$work/again"/* &&
        (umask 077 && "$VIOFS_TOP/scripts/guest-archive" "$work/again" "$work/archives") &&
        cmp "$zip" "$work/archives/${zip##*/}" && cmp "$iso" "$work/archives/${iso##*/}"
}

same_files() {
    local file
    for file in viofs.sys viofs.inf viofs.cat virtiofs.exe virtiofs-setup.exe viofs-driver.exe; do
        cmp "$dist/guest/$file" "$work/unpacked/viofs-guest-$version/$file" || return
    done
    [ "$(find "$work/unpacked/viofs-guest-$version" -type f | wc -l)" = 8 ]
}

# for_notepad FILE... - every line ends with CR LF, all of it is ASCII
for_notepad() {
    ! grep -vq $'\r$' "$@" && ! LC_ALL=C grep -q $'[^\t\r -~]' "$@"
}

incomplete_is_refused() {
    rm "$work/again/viofs.cat"
    ! "$VIOFS_TOP/scripts/guest-archive" "$work/again" "$work/incomplete" 2>"$work/said" &&
        grep -q 'viofs.cat is missing' "$work/said" && [ ! -e "$work/incomplete/SHA256SUMS" ]
}

guest_tests() {
    check "make dist builds both halves" "$VIOFS_TOP/scripts/dist" "$dist" || return
    zip=$dist/viofs-guest-$version.zip iso=$dist/viofs-guest-${version%.*}.iso
    check "SHA256SUMS agrees with the archives" sh -c 'cd "$1" && sha256sum -c SHA256SUMS' - "$dist"
    in_zip >"$work/zip.list"
    "$here/iso.py" "$iso" >"$work/iso.list"
    check "the archive has the driver, the service, the installer, its licence and a README" same_files
    check "the CD is labelled VIOFS" grep -qx 'label VIOFS' "$work/iso.list"
    check "it shows the same files with their long names" \
        diff <(grep -v '^label' "$work/iso.list" | LC_ALL=C sort) <(sed 1d "$work/zip.list" | LC_ALL=C sort)
    check "its texts are for Notepad" for_notepad "$work/unpacked/viofs-guest-$version"/*.txt
    check "and name the version" grep -q "^viofs $version:" "$work/unpacked/viofs-guest-$version/README.txt"
    check "packed once more, both are the same, byte for byte" packed_once_more
    check "without a file, nothing is packed" incomplete_is_refused
}
