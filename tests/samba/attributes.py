# SPDX-License-Identifier: BSD-3-Clause
"""attributes.py - attributes, creation times and EAs, ours and a real Samba's on one directory"""

import os
import re
import struct
import time
from datetime import datetime, timezone

from door import BASIC, DIRECTORY_FILE, EA_SIZE, MAKE, QUERY_EA, SET_EA

READONLY, HIDDEN, SYSTEM, DIRECTORY, ARCHIVE, NORMAL = 0x1, 0x2, 0x4, 0x10, 0x20, 0x80
DOSATTRIB = "user.DOSATTRIB"
ALL_INFO, SET_ATTRIBUTES = 0x100080 | 0x8, 0x100180 | 0x18  # and EAs
Y2001 = 126228782450000000  # 2001-01-02 03:04:05 UTC
SAMBAS_2001 = "2001:01:02-03:04:05"


# ---- our side ------------------------------------------------------------------------------------


def basic(door, name):
    """Return: attributes and creation time as Windows sees them."""
    handle = door.create("\\" + name, ALL_INFO)
    created, _, _, _, attributes = struct.unpack("<4QI", door.query(handle, BASIC, 40)[:36])
    door.close(handle)
    return attributes, created


def set_basic(door, name, attributes=0, created=0):
    handle = door.create("\\" + name, SET_ATTRIBUTES)
    door.set(handle, BASIC, struct.pack("<4QII", created, 0, 0, 0, attributes, 0))
    door.close(handle)


def set_ea(door, name, ea, value):
    handle = door.create("\\" + name, SET_ATTRIBUTES)
    door.call(SET_EA, handle, data=struct.pack("<IBBH", 0, 0, len(ea), len(value)) + ea + b"\0" + value)
    door.close(handle)


def get_eas(door, name):
    """Return: {name: value} and the size that Windows is told."""
    handle = door.create("\\" + name, ALL_INFO)
    size, = struct.unpack("<I", door.query(handle, EA_SIZE, 4))
    eas = {}
    data = door.call(QUERY_EA, handle, u32=(1, 65536))[1] if size else b""
    while data:
        following, _, name_len, value_len = struct.unpack("<IBBH", data[:8])
        eas[data[8:8 + name_len]] = data[9 + name_len:9 + name_len + value_len]
        data = data[following:] if following else b""
    door.close(handle)
    return eas, size


def eventually(function, wanted, seconds=4):
    """What the host changed is seen when what is cached has grown old, a second at most. Return: what is seen."""
    end = time.monotonic() + seconds
    while (seen := function()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return seen


# ---- Samba's side --------------------------------------------------------------------------------


def samba_info(samba, name):
    """Return: attributes and creation time (seconds since 1970) as smbclient sees them."""
    text = samba.client("s", f"allinfo {name}")
    attributes = int(re.search(r"^attributes:.*\(([0-9a-f]+)\)", text, re.M).group(1), 16)
    when = datetime.strptime(re.search(r"^create_time: +(.*) UTC", text, re.M).group(1), "%a %b %d %H:%M:%S %Y")
    return attributes, int(when.replace(tzinfo=timezone.utc).timestamp())


def seconds(filetime):
    """As Samba's programs print it: to the nearest second."""
    return (filetime + 5000000) // 10000000 - 11644473600


def samba_eas(samba, name):
    """Return: the names that smbclient lists."""
    return set(re.findall(r"^(\S+) \(\d+\) =", samba.client("s", f"geteas {name}"), re.M))


# ---- the rules -----------------------------------------------------------------------------------


class Rig:
    """One directory, a door to it through our chain, Samba beside it."""

    def __init__(self, directory, door, samba):
        self.directory, self.door, self.samba = directory, door, samba

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name, directory=False):
        if directory:
            os.mkdir(self.path(name))
        else:
            with open(self.path(name), "w", encoding="ascii") as f:
                f.write("text")

    def kept(self, name):
        try:
            return os.getxattr(self.path(name), DOSATTRIB)
        except OSError:
            return None

    def same_bytes(self, name, start, ours, sambas):
        """Do both sides write the same value for the same change of the same file? Return: the two values."""
        values = []
        for change in (ours, sambas):
            os.setxattr(self.path(name), DOSATTRIB, start)
            time.sleep(1.1)  # nothing that is cached holds any longer
            change()
            values.append(self.kept(name))
        return values


def ours_to_samba(tap, rig):
    rig.make("ours")
    rig.make("ours.d", True)
    set_basic(rig.door, "ours", HIDDEN | SYSTEM)
    seen = samba_info(rig.samba, "ours")
    tap.result(seen[0] == HIDDEN | SYSTEM, "hidden and system set by Windows are Samba's", seen)
    set_basic(rig.door, "ours.d", HIDDEN | READONLY)
    seen = samba_info(rig.samba, "ours.d")
    tap.result(seen[0] == HIDDEN | READONLY | DIRECTORY, "so are those of a directory", seen)
    set_basic(rig.door, "ours", created=Y2001)
    seen = samba_info(rig.samba, "ours")
    tap.result(seen == (HIDDEN | SYSTEM, seconds(Y2001)), "a creation time set by Windows is Samba's", seen)
    rig.door.close(rig.door.create("\\new", SET_ATTRIBUTES, MAKE, attributes=HIDDEN))
    rig.door.close(rig.door.create("\\new.d", SET_ATTRIBUTES, MAKE, DIRECTORY_FILE, HIDDEN))
    seen = samba_info(rig.samba, "new")[0], samba_info(rig.samba, "new.d")[0]
    tap.result(seen == (HIDDEN | ARCHIVE, HIDDEN | DIRECTORY), "a file and a directory made hidden are so for Samba", seen)


def samba_to_ours(tap, rig):
    rig.make("sambas")
    rig.samba.client("s", "setmode sambas +rhs")
    seen = eventually(lambda: basic(rig.door, "sambas")[0], READONLY | HIDDEN | SYSTEM)
    tap.result(seen == READONLY | HIDDEN | SYSTEM, "attributes set by Samba are seen by Windows", hex(seen))
    rig.samba.client("s", "setmode sambas -rhs")
    seen = eventually(lambda: basic(rig.door, "sambas")[0], NORMAL)
    tap.result(seen == NORMAL, "attributes cleared by Samba are gone for Windows", hex(seen))
    rig.samba.client("s", f"utimes sambas {SAMBAS_2001} -1 -1 -1")
    seen = eventually(lambda: basic(rig.door, "sambas")[1], Y2001)
    tap.result(seen == Y2001, "a creation time set by Samba is seen by Windows", seen)
    rig.samba.client("s", f"put {rig.path('sambas')} put")
    attributes, created = basic(rig.door, "put")
    kept = struct.unpack("<IQ", rig.kept("put")[12:24])
    tap.result((attributes, created) == (ARCHIVE, kept[1]), "a file that Samba made has what Samba says",
               f"{attributes:#x} {created} {kept}")


def equal_bytes(tap, rig):
    rig.make("bytes")
    rig.make("bytes.d", True)
    # With a creation time in it: without, Samba and we may differ in what they take for one.
    start = struct.pack("<HHHHIIQQ", 0, 4, 4, 0, 0x11, 0, 0, Y2001)
    rules = (
        ("hidden and system of a file", "bytes", start, lambda: set_basic(rig.door, "bytes", HIDDEN | SYSTEM),
         lambda: rig.samba.client("s", "setmode bytes +hs")),
        ("hidden of a directory", "bytes.d", start, lambda: set_basic(rig.door, "bytes.d", HIDDEN),
         lambda: rig.samba.client("s", "setmode bytes.d +h")),
        ("a creation time", "bytes", b"0x22\0", lambda: set_basic(rig.door, "bytes", created=Y2001),
         lambda: rig.samba.client("s", f"utimes bytes {SAMBAS_2001} -1 -1 -1")))
    for text, name, start, ours, sambas in rules:
        values = rig.same_bytes(name, start, ours, sambas)
        tap.result(values[0] == values[1] and values[0], f"both write the same bytes for {text}",
                   " ".join(v.hex() if v else "none" for v in values))


def old_versions(tap, rig):
    """What older Sambas have left is the same to both."""
    rig.make("old")
    text = b"0x22\0\0"
    numbers = struct.pack("<IQQQQ", 0, 1, 4096, Y2001, Y2001 + 10000000)
    values = {
        "none, text only": b"0x22\0",
        "1": text + struct.pack("<HHH", 1, 1, 0) + struct.pack("<I", HIDDEN | ARCHIVE) + numbers,
        "2": text + struct.pack("<HHH", 2, 2, 0) + struct.pack("<II", 0x11, HIDDEN | ARCHIVE) + numbers + bytes(9),
        "3": text + struct.pack("<HHH", 3, 3, 0) + struct.pack("<II", 0x11, HIDDEN | ARCHIVE) + numbers,
        "4": struct.pack("<HHHHIIQQ", 0, 4, 4, 0, 0x51, HIDDEN | ARCHIVE, Y2001 + 50000000, Y2001),
        "5 cut off": struct.pack("<HHHHII", 0, 5, 5, 0, 0x11, HIDDEN),
        "6": struct.pack("<HHHHIIQ", 0, 6, 6, 0, 0x11, HIDDEN, Y2001),
    }
    for version, value in values.items():
        os.setxattr(rig.path("old"), DOSATTRIB, value)
        attributes, created = samba_info(rig.samba, "old")
        # Without an attribute Samba shows none, and we what Windows gives to a new file; without a creation time it
        # takes the oldest time that it knows, and we the birth time (which the conformance cases look at).
        dated = created == seconds(Y2001)
        wanted = ARCHIVE if attributes == NORMAL else attributes, dated
        seen = eventually(lambda: (lambda a, c: (a, c == Y2001))(*basic(rig.door, "old")), wanted)
        tap.result(seen == wanted, f"version {version} says the same to both", f"{seen} {wanted}")


def eas(tap, rig):
    rig.make("eas")
    set_ea(rig.door, "eas", b"COLOUR", b"blue")
    seen = samba_eas(rig.samba, "eas")
    tap.result(seen == {"COLOUR"} and os.getxattr(rig.path("eas"), "user.COLOUR") == b"blue",
               "an EA set by Windows is Samba's", seen)
    rig.samba.client("s", "setea eas taste sweet")
    wanted = ({b"COLOUR": b"blue", b"taste": b"sweet"}, 4 + 5 + 6 + 4 + 5 + 5 + 5)
    seen = eventually(lambda: get_eas(rig.door, "eas"), wanted)
    tap.result(seen == wanted, "an EA set by Samba is seen by Windows, and the size of all", seen)
    set_basic(rig.door, "eas", HIDDEN)
    seen = samba_eas(rig.samba, "eas"), get_eas(rig.door, "eas")[0].keys()
    tap.result(seen == ({"COLOUR", "taste"}, {b"COLOUR", b"taste"}), "attributes are no EA for either", seen)


def run(tap, rig):
    for section in (ours_to_samba, samba_to_ours, equal_bytes, old_versions, eas):
        section(tap, rig)


# ---- settings ------------------------------------------------------------------------------------


def settings(tap, mode, read_only, bare):
    """mode: Attributes=mode; read_only: ReadOnlyAttribute=stored; bare: a daemon without --xattr"""
    for other in (mode, read_only, bare):
        other.make("f")
        os.chmod(other.path("f"), 0o644)
    os.setxattr(mode.path("f"), DOSATTRIB, b"0x2")
    seen = basic(mode.door, "f")[0]
    tap.result(seen == ARCHIVE, "with Attributes=mode nothing stored is shown", hex(seen))
    set_basic(mode.door, "f", SYSTEM | READONLY, Y2001)
    tap.result(mode.kept("f") == b"0x2" and os.stat(mode.path("f")).st_mode & 0o777 == 0o444,
               "with Attributes=mode nothing is stored, and read-only is the mode", mode.kept("f"))
    set_basic(read_only.door, "f", READONLY)
    seen = basic(read_only.door, "f")[0]
    tap.result(seen == READONLY and os.stat(read_only.path("f")).st_mode & 0o777 == 0o644,
               "with ReadOnlyAttribute=stored the mode stays", hex(seen))
    set_basic(bare.door, "f", HIDDEN | READONLY, Y2001)
    seen = basic(bare.door, "f")
    tap.result(seen[0] == ARCHIVE | READONLY and seen[1] != Y2001 and bare.kept("f") is None,
               "a host without extended attributes drops what it cannot keep, and no more", seen)
