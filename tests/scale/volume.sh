# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# volume.sh - a GlusterFS volume, replicated over three server processes, and clients of it
#
# Sourced by tests/stages/scale after host.sh, in a network of its own, whose loopback the servers use. No
# glusterd runs: the volume files say what it would have said. The volume is as glusterd makes one of three
# replicas, without the translators that only make it faster: write-behind, read-ahead and caches of the client.
#
# $volume holds it all: brick.1, brick.2, brick.3 are the replicas, $volume/mount.NAME the mounts.
# Facts of the formats: docs.gluster.org, "Translators"; the options are those of `glusterfs --version` 10.

volume=''
declare -A server_pid=()
uuid_volume=2f0ba6c0-67b3-4a3f-8a52-9b6a4e2f1c11
uuid_host=6ad1a6c7-6c36-4f7b-9e0d-0d6a1f5a7b01

# translator NAME TYPE [OPTION...] - one volume of a volume file; "option a b" or "subvolumes x y"
translator() {
    printf 'volume %s\n type %s\n' "$1" "$2"
    shift 2
    printf ' %s\n' "$@"
    echo end-volume
}

server_file() {
    translator posix storage/posix "option directory $volume/brick.$1" "option volume-id $uuid_volume" \
        "option glusterd-uuid $uuid_host"
    translator acl features/access-control "subvolumes posix"
    translator locks features/locks "subvolumes acl"
    translator index features/index "option index-base $volume/brick.$1/.glusterfs/indices" \
        "option xattrop-dirty-watchlist trusted.afr.dirty" \
        "option xattrop-pending-watchlist trusted.afr.volume-" "subvolumes locks"
    translator brick performance/io-threads "subvolumes index"
    translator server protocol/server "option transport-type tcp" \
        "option transport.socket.bind-address 127.0.0.1" "option transport.socket.listen-port 2477$1" \
        "option auth.addr.brick.allow *" "option rpc-auth-allow-insecure on" "subvolumes brick"
}

client_file() {
    local n pending
    for n in 1 2 3; do
        translator "volume-client-$n" protocol/client "option transport-type tcp" \
            "option remote-host 127.0.0.1" "option remote-port 2477$n" "option remote-subvolume brick" \
            "option ping-timeout 42" # a killed one is noticed at once; a busy machine is no outage
        pending+=${pending:+,}volume-client-$n
    done
    # Writes need two of the three. Clients heal what they look up: the daemon for it wants a glusterd.
    # Reads prefer the replica that is not killed under load: while one heals, GlusterFS serves old bytes from it now and
    # then, to programs of the host itself too (gluster/glusterfs issue 840), and no layer above could tell.
    translator replicate cluster/replicate "option quorum-type auto" "option afr-pending-xattr $pending" \
        "option read-subvolume volume-client-1" \
        "option data-self-heal on" "option metadata-self-heal on" "option entry-self-heal on" \
        "subvolumes volume-client-1 volume-client-2 volume-client-3"
}

# server_start N / server_kill N - one of the three servers
server_start() {
    setpriv --pdeathsig KILL -- glusterfsd -N -f "$volume/server.$1.vol" -l "$volume/server.$1.log" &
    server_pid[$1]=$!
    wait_for 30 server_listens "$1"
}
server_listens() {
    grep -qi "0100007F:$(printf %04X "2477$1") .* 0A " /proc/net/tcp
}
server_kill() {
    kill -KILL "${server_pid[$1]}"
    wait "${server_pid[$1]}" 2>/dev/null
    return 0
}

# volume_start DIRECTORY - three servers; needs a file system with trusted xattrs
volume_start() {
    local n
    volume=$1
    for n in 1 2 3; do
        mkdir -p "$volume/brick.$n/.glusterfs/indices"
        setfattr -n trusted.glusterfs.volume-id -v "0x${uuid_volume//-/}" "$volume/brick.$n" || return
        server_file "$n" >"$volume/server.$n.vol"
        server_start "$n" || return
    done
    client_file >"$volume/client.vol"
}

# volume_mount NAME - the volume as one host sees it, at $volume/mount.NAME. Nothing is kept of names, attributes
# and data between two calls: what is kept longer, the host itself would not be told about, nor its guests.
volume_mount() {
    local at=$volume/mount.$1
    mkdir -p "$at"
    setpriv --pdeathsig KILL -- glusterfs -N -f "$volume/client.vol" --acl --attribute-timeout=0 \
        --entry-timeout=0 --direct-io-mode=enable -l "$volume/mount.$1.log" "$at" &
    wait_for 30 mount_answers "$at"
}
mount_answers() {
    [ "$(stat -c %i "$1" 2>/dev/null)" = 1 ] && stat -f "$1" >/dev/null 2>&1
}

# volume_connected N - has each mount a connection to that server?
volume_connected() {
    local connections
    connections=$(grep -ci " 0100007F:$(printf %04X "2477$1") 01 " /proc/net/tcp)
    [ "$connections" -ge 2 ]
}

# pending - how many files are still to be healed; volume_healed - look all up, which heals them: is none left?
pending() {
    local brick gfid n=0
    for brick in 1 2 3; do
        for gfid in "$volume/brick.$brick/.glusterfs/indices/xattrop"/*-*-*-*-*; do
            gfid=${gfid##*/}
            # What has been deleted since is in the index until a heal daemon comes by.
            [ ! -e "$volume/brick.$brick/.glusterfs/${gfid:0:2}/${gfid:2:2}/$gfid" ] || n=$((n + 1))
        done
    done
    echo "$n"
}
volume_healed() {
    find "$volume/mount.a" -exec stat {} + >/dev/null 2>&1
    find "$volume/mount.a" -type f -exec head -c 1 {} + >/dev/null 2>&1
    [ "$(pending)" = 0 ]
}

# replica N - every name of a replica with type, size, links, owner and mode, and what is in the files
replica() {
    (
        cd "$volume/brick.$1" || exit
        find . -name .glusterfs -prune -o ! -type d -printf '%P %y %s %m %U %l\n' -o -printf '%P %y %m %U\n' | sort
        find . -name .glusterfs -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum
    )
}
replicas_are_equal() {
    local n
    for n in 2 3; do diff <(replica 1) <(replica "$n") || return; done
}
