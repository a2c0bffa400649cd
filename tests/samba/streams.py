# SPDX-License-Identifier: BSD-3-Clause
"""streams.py - alternate data streams, ours and a real Samba's on one directory"""

import os
import re
import struct
import time

from attributes import eventually
from door import OPEN_IF, OVERWRITE_IF, READ, STREAM_INFO, WRITE

RIGHTS = 0x13019F  # read and write data, EAs and attributes; delete; synchronize
ZONE = b"[ZoneTransfer]\r\nZoneId=3\r\n"
INVALID, NOT_FOUND = "0xc0000033", "0xc0000034"


def xattr(name):
    return f"user.DosStream.{name}:$DATA"


# ---- our side ------------------------------------------------------------------------------------


def write(door, name, data, disposition=OVERWRITE_IF):
    handle = door.create("\\" + name, RIGHTS, disposition)
    door.call(WRITE, handle, u64=(0,), data=data)
    door.close(handle)


def read(door, name):
    """Return: the stream's bytes, or the status that kept us from them."""
    try:
        handle = door.create("\\" + name, RIGHTS)
    except OSError as error:
        return str(error).rsplit(" ", 1)[-1]
    data = door.call(READ, handle, u32=(65536,), u64=(0,))[1]
    door.close(handle)
    return data


def names(door, name):
    """Return: {name: size} of the streams that Windows lists."""
    handle = door.create("\\" + name, 0x100080)
    data, found = door.query(handle, STREAM_INFO, 65536), {}
    while data:
        following, length, size, _ = struct.unpack("<IIQQ", data[:24])
        found[data[24:24 + length].decode("utf-16-le")] = size
        data = data[following:] if following else b""
    door.close(handle)
    return found


# ---- Samba's side --------------------------------------------------------------------------------


def samba_read(rig, name):
    local = rig.path("../got")
    rig.samba.client("s", f'get "{name}" {local}')
    with open(local, "rb") as f:
        return f.read()


def samba_write(rig, name, data):
    local = rig.path("../put")
    with open(local, "wb") as f:
        f.write(data)
    rig.samba.client("s", f'put {local} "{name}"')


def samba_names(rig, name):
    """Return: {name: size} of the streams that smbclient lists."""
    text = rig.samba.client("s", f'allinfo "{name}"')
    return {n: int(size) for n, size in re.findall(r"^stream: \[(.*)\], (\d+) bytes", text, re.M)}


# ---- the rules -----------------------------------------------------------------------------------


def run(tap, rig):
    rig.make("streams")
    write(rig.door, "streams:Zone.Identifier", ZONE)
    seen = samba_read(rig, "streams:Zone.Identifier")
    tap.result(seen == ZONE, "a stream written by Windows is read by smbclient", seen)
    ours = os.getxattr(rig.path("streams"), xattr("Zone.Identifier"))
    os.removexattr(rig.path("streams"), xattr("Zone.Identifier"))
    samba_write(rig, "streams:Zone.Identifier", ZONE)
    sambas = os.getxattr(rig.path("streams"), xattr("Zone.Identifier"))
    tap.result(ours == sambas == ZONE + b"\0", "both keep it in the same bytes", f"{ours} {sambas}")
    samba_write(rig, "streams:theirs", b"from Samba")
    seen = eventually(lambda: read(rig.door, "streams:theirs"), b"from Samba")
    tap.result(seen == b"from Samba", "a stream written by smbclient is read by Windows", seen)
    both = names(rig.door, "streams"), samba_names(rig, "streams")
    tap.result(both[0] == both[1] and len(both[0]) == 3, "both list the same streams and sizes", both)
    write(rig.door, "streams:THEIRS", b"again")
    seen = samba_read(rig, "streams:theirs"), sorted(os.listxattr(rig.path("streams")))
    tap.result(seen[0] == b"again" and xattr("THEIRS") not in seen[1], "another case is the same stream for both", seen)
    long = bytes(range(256)) * 200
    write(rig.door, "streams:long", long)
    seen = samba_read(rig, "streams:long")
    tap.result(seen == long, "a stream of 50 KiB is the same for both", len(seen))
    odd = "\u00e9 \u20ac"
    write(rig.door, "streams:" + odd, b"odd")
    seen = samba_read(rig, "streams:" + odd)
    tap.result(seen == b"odd", "a name that is not ASCII is the same for both", seen)
    os.mkdir(rig.path("streams.d"))
    write(rig.door, "streams.d:s", b"of a directory", OPEN_IF)
    seen = samba_names(rig, "streams.d")
    tap.result(seen == {":s:$DATA": 14}, "a directory's stream is one for both", seen)


def corrupt(tap, rig):
    """What neither has written."""
    rig.make("corrupt")
    os.setxattr(rig.path("corrupt"), xattr("cut"), b"abcX")
    both = eventually(lambda: read(rig.door, "corrupt:cut"), b"abc"), samba_read(rig, "corrupt:cut")
    tap.result(both == (b"abc", b"abc"), "both take the last byte for the NUL, whatever it is", both)
    os.setxattr(rig.path("corrupt"), xattr("empty"), b"")
    ours = read(rig.door, "corrupt:empty")
    sambas = rig.samba.client("s", f'get "corrupt:empty" {rig.path("../got")}', check=False)
    tap.result(ours == NOT_FOUND and "NT_STATUS_" in sambas, "without even that byte it is no stream for either",
               f"{ours} {sambas}")


def requests(share, function):
    """How many requests did this cost? The least of a few: others are under way beside it."""
    least = None
    for _ in range(3):
        share.order("costs")
        function()
        count = int(re.search(r"requests (\d+)", share.order("costs")).group(1))
        least = count if least is None else min(least, count)
    return least


def costs(tap, rig, share):
    """Requests of the drive, with what it knows of the file a moment old."""
    rig.make("costs")
    rig.make("bare")
    os.setxattr(rig.path("costs"), xattr("s"), b"stream\0")
    seen = eventually(lambda: read(rig.door, "costs:s"), b"stream")

    def read_when_old():
        time.sleep(1.1)
        return read(rig.door, "costs:s")

    least = requests(share, read_when_old)
    tap.result(seen == b"stream" and least <= 2, "a small stream is opened and read for two requests", least)
    handle = rig.door.create("\\bare", 0x100080)
    least = requests(share, lambda: rig.door.query(handle, STREAM_INFO, 65536))
    tap.result(least == 0, "the streams of a file without any cost none", least)
    write(rig.door, "costs:new", b"")
    handle = rig.door.create("\\costs:new", RIGHTS)
    least = requests(share, lambda: rig.door.call(WRITE, handle, u64=(0,), data=b"12345"))
    tap.result(least == 1, "writing to an open stream costs one", least)


def settings(tap, off, bare):
    """off: Streams=off; bare: a daemon without --xattr"""
    for other, why in ((off, "with Streams=off"), (bare, "without extended attributes")):
        other.make("streams")
        seen = read(other.door, "streams:s")
        try:
            write(other.door, "streams:s", b"x")
            seen += " and written"
        except OSError as error:
            seen += str(error).rsplit(" ", 1)[-1]
        tap.result(seen == INVALID * 2, f"{why} the name of a stream is invalid", seen)
