# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# debian.sh - the Debian package: built, read by lintian, installed, upgraded and removed in a root of its own
#
# dpkg is real, its root is an empty directory: what the package depends on is not there, and no script of it could
# run; it has none. Uses $work, $version.

package=viofs-host

# What is installed, and nothing else.
expected_contents() {
    cat <<'END'
/etc/virtiofsd/
/lib/systemd/system/virtiofsd@.service
/lib/systemd/system/virtiofsd@.socket
/usr/libexec/virtiofsd
/usr/share/doc/viofs-host/README.Debian
/usr/share/doc/viofs-host/README.md.gz
/usr/share/doc/viofs-host/SECURITY.md
/usr/share/doc/viofs-host/changelog.Debian.gz
/usr/share/doc/viofs-host/changelog.gz
/usr/share/doc/viofs-host/copyright
/usr/share/doc/viofs-host/examples/grafana-dashboard.json
/usr/share/doc/viofs-host/examples/share.conf
/usr/share/doc/viofs-host/examples/shares.conf
/usr/share/doc/viofs-host/host.md.gz
/usr/share/doc/viofs-host/operations.md.gz
/usr/share/lintian/overrides/viofs-host
/usr/share/man/man8/virtiofsd.8.gz
/usr/share/qemu/vhost-user/60-viofs-virtiofsd.json
END
}

# The documents' compression depends on their size; the empty directory is one that is meant to be there.
contents() {
    dpkg-deb --fsys-tarfile "$1" | tar -t | sed 's/^\.//; s/\.md$/.md.gz/' |
        grep -v '/$' >"$work/contents" && echo /etc/virtiofsd/ >>"$work/contents" &&
        diff <(expected_contents | sed 's/\.md$/.md.gz/' | sort) <(sort "$work/contents")
}

# only_data - nothing of the package runs when it is installed or removed
only_data() {
    [ "$(dpkg-deb --ctrl-tarfile "$1" | tar -t | sort | tr '\n' ' ')" = "./ ./control ./md5sums " ]
}

# takes_the_place_of_virtiofsd DEB - Debian 13's package of that name
takes_the_place_of_virtiofsd() {
    local field
    for field in Provides Conflicts Replaces; do
        [ "$(dpkg-deb --field "$1" "$field")" = virtiofsd ] || return
    done
}

# in_root COMMAND... - dpkg on $root, where the libraries that the package depends on are not installed
in_root() {
    dpkg --root="$root" --force-depends --force-not-root "$@" 2>&1 | grep -v '^dpkg: warning: \|depends on\|not installed\.$\|^ *$'
    return "${PIPESTATUS[0]}"
}

new_root() {
    root=$work/$1
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" && : >"$root/var/lib/dpkg/status"
}

# files_in_root - everything that is there but dpkg's own notes
files_in_root() {
    (cd "$root" && find . -path ./var/lib/dpkg -prune -o -path ./var/log -prune -o \( ! -type d -o -empty \) -print |
        sort | tr '\n' ' ')
}

# repack DEB SED NEW - the package with another control file
repack() {
    local tree=$work/repack
    rm -rf "$tree"
    dpkg-deb --raw-extract "$1" "$tree" && sed -i "$2" "$tree/DEBIAN/control" &&
        : >"$tree/usr/share/doc/$package/dropped-since" && dpkg-deb --root-owner-group -b "$tree" "$3" >/dev/null
}

# make_package NAME CONTROL FILE - a package with one file
make_package() {
    local tree=$work/other/$1
    mkdir -p "$tree/DEBIAN" "$tree/$(dirname "$3")"
    echo "somebody else's" >"$tree/$3"
    printf 'Package: %s\nVersion: 1.13\nArchitecture: all\nMaintainer: Nobody <nobody@noreply.invalid>\n%sDescription: %s\n' \
        "$1" "$2" "$1" >"$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$tree" "$work/$1.deb" >/dev/null
}

prints_capabilities() {
    local binary
    binary=$(sed -n 's/.*"binary": *"\(.*\)".*/\1/p' "$root/usr/share/qemu/vhost-user/60-viofs-virtiofsd.json")
    [ "$binary" = /usr/libexec/virtiofsd ] && "$root$binary" --print-capabilities | grep -q separate-options &&
        grep -qx "ExecStart=$binary --config /etc/virtiofsd/%i.conf" "$root/lib/systemd/system/virtiofsd@.service"
}

upgrade_keeps_settings() {
    new_root upgrade
    repack "$deb" "s/^Version: .*/Version: 0.0.9-1/" "$work/older.deb" && in_root -i "$work/older.deb" || return
    [ -e "$root/usr/share/doc/$package/dropped-since" ] || return
    cp -p "$VIOFS_TOP/integration/examples/share.conf" "$root/etc/virtiofsd/mine.conf"
    echo "xattr" >>"$root/etc/virtiofsd/mine.conf"
    cp -p "$root/etc/virtiofsd/mine.conf" "$work/mine.conf"
    in_root -i "$deb" || return
    cmp "$work/mine.conf" "$root/etc/virtiofsd/mine.conf" && [ ! -e "$root/usr/share/doc/$package/dropped-since" ] &&
        grep -qx "Version: $version-1" "$root/var/lib/dpkg/status"
}

purge_keeps_the_users_files() {
    in_root -r "$package" && in_root -P "$package"
    cmp "$work/mine.conf" "$root/etc/virtiofsd/mine.conf" && [ "$(files_in_root)" = "./etc/virtiofsd/mine.conf " ] || {
        files_in_root
        return 1
    }
}

purge_leaves_nothing() {
    new_root purge
    in_root -i "$deb" && in_root -P "$package" && [ -z "$(files_in_root)" ] || {
        files_in_root
        return 1
    }
}

# gives_way - the package virtiofsd goes, and who depends on it is content
gives_way() {
    new_root replace
    make_package virtiofsd "" usr/libexec/virtiofsd &&
        make_package needs-virtiofsd "Depends: virtiofsd
" usr/share/needs-virtiofsd &&
        in_root -i "$work/virtiofsd.deb" "$work/needs-virtiofsd.deb" && in_root -i "$deb" || return
    "$root/usr/libexec/virtiofsd" --version && ! in_root -s virtiofsd | grep -q "^Status: .* installed" &&
        [ -z "$(dpkg --root="$root" --audit)" ] && dpkg --root="$root" -s needs-virtiofsd | grep -q "ok installed"
}

debian_tests() {
    check "the package is built, and lintian finds no error and no warning" "$VIOFS_TOP/scripts/deb" "$work/deb" || return
    deb=$(echo "$work"/deb/viofs-host_"$version"-1_*.deb)
    lintian --allow-root --display-info --pedantic --display-experimental "$deb" # for the log
    check "it has what it is to have, and nothing else" contents "$deb"
    check "it has no scripts" only_data "$deb"
    check "it provides, conflicts with and replaces virtiofsd" takes_the_place_of_virtiofsd "$deb"
    check "an upgrade keeps the files in /etc/virtiofsd" upgrade_keeps_settings
    check "the installed daemon is where libvirt and systemd look, and says what it can" prints_capabilities
    check "a purge leaves the user's files, and nothing of ours" purge_keeps_the_users_files
    check "without such files it leaves nothing at all" purge_leaves_nothing
    check "installed over virtiofsd, it takes its place" gives_way
}
