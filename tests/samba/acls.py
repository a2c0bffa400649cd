# SPDX-License-Identifier: BSD-3-Clause
"""acls.py - stored access control lists, ours and a real Samba's on one directory"""

import os
import struct

from attributes import eventually

QUERY_SECURITY, SET_SECURITY = 12, 13  # tests/wine/winfsp/door.h
OWNER, GROUP, DACL = 1, 2, 4
RIGHTS = 0x1E0000  # READ_CONTROL, WRITE_DAC, WRITE_OWNER, SYNCHRONIZE
FULL, READ = 0x1F01FF, 0x120089
HEAD = 160  # before the descriptor, in what is stored (lib/meta/ntacl.c)
DENIED, INHERITED_BELOW = 1, 3  # type of an entry; its flags OI and CI


# ---- descriptors ---------------------------------------------------------------------------------


def sid(text):
    authority, *subs = (int(part) for part in text.split("-")[2:])
    return struct.pack(f"<BB6s{len(subs)}I", 1, len(subs), authority.to_bytes(6, "big"), *subs)


EVERYONE, ADMINISTRATORS = sid("S-1-1-0"), sid("S-1-5-32-544")
HOST_USER, HOST_GROUP = sid("S-1-22-1-1234"), sid("S-1-22-2-4321")


def ace(mask, who, kind=0, flags=0):
    return struct.pack("<BBHI", kind, flags, 8 + len(who), mask) + who


def descriptor(*aces, owner=b"", group=b""):
    """In the order in which Samba has the parts."""
    entries = b"".join(aces)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entries), len(aces), 0) + entries
    at = 20 + len(owner)
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 20 if owner else 0, at if group else 0, 0,
                       at + len(group)) + owner + group + acl


def entries_of(sd):
    """Return: the entries of its list, as bytes."""
    at, = struct.unpack_from("<I", sd, 16)
    count, found = struct.unpack_from("<H", sd, at + 4)[0], []
    at += 8
    for _ in range(count):
        size, = struct.unpack_from("<H", sd, at + 2)
        found.append(sd[at:at + size])
        at += size
    return found


# ---- both sides ----------------------------------------------------------------------------------


def get(door, name):
    handle = door.create("\\" + name, 0x120080)
    sd = door.call(QUERY_SECURITY, handle, u32=(OWNER | GROUP | DACL, 4096))[1]
    door.close(handle)
    return sd


def put(door, name, what, sd):
    handle = door.create("\\" + name, RIGHTS)
    door.call(SET_SECURITY, handle, u32=(what,), data=sd)
    door.close(handle)


def smbcacls(rig, share, name, *words):
    return rig.samba.run("smbcacls", f"//127.0.0.1/{share}", name, "--numeric", *words).stdout


# ---- the rules -----------------------------------------------------------------------------------


def ours_to_samba(tap, rig, share, xattr):
    rig.make("ours")
    put(rig.door, "ours", OWNER | GROUP | DACL,
        descriptor(ace(2, EVERYONE, DENIED), ace(FULL, ADMINISTRATORS), ace(READ, EVERYONE), owner=HOST_USER,
                   group=HOST_GROUP))
    tap.result(xattr in os.listxattr(rig.path("ours")), f"{share}: a descriptor set by Windows is kept in {xattr}",
               os.listxattr(rig.path("ours")))
    seen = smbcacls(rig, share, "ours")
    wanted = ("OWNER:S-1-22-1-1234", "GROUP:S-1-22-2-4321", "ACL:S-1-1-0:1/0x0/0x00000002",
              "ACL:S-1-5-32-544:0/0x0/0x001f01ff", "ACL:S-1-1-0:0/0x0/0x00120089")
    tap.result(all(line in seen for line in wanted), f"{share}: smbcacls shows it, owner and group included", seen)
    os.mkdir(rig.path("ours.d"))
    put(rig.door, "ours.d", DACL, descriptor(ace(FULL, ADMINISTRATORS, 0, INHERITED_BELOW)))
    seen = smbcacls(rig, share, "ours.d")
    tap.result("ACL:S-1-5-32-544:0/0x3/0x001f01ff" in seen, f"{share}: and that of a directory, with what it passes on",
               seen)


def samba_to_ours(tap, rig, share, xattr):
    rig.make("theirs")
    smbcacls(rig, share, "theirs", "-a", "ACL:S-1-5-32-544:0/0x0/0x001f01ff")
    value = os.getxattr(rig.path("theirs"), xattr)
    wanted = eventually(lambda: ace(FULL, ADMINISTRATORS) in entries_of(get(rig.door, "theirs")), True)
    tap.result(wanted, f"{share}: an entry added by smbcacls is seen by Windows", get(rig.door, "theirs").hex())
    seen = get(rig.door, "theirs")
    offsets = [o - HEAD if o else 0 for o in struct.unpack_from("<4I", value, HEAD + 4)]
    moved = value[HEAD:HEAD + 4] + struct.pack("<4I", *offsets) + value[HEAD + 20:]
    tap.result(seen == moved, f"{share}: Windows sees the very bytes that Samba has stored", f"{seen.hex()} {moved.hex()}")
    put(rig.door, "theirs", OWNER | GROUP | DACL, seen)
    put(rig.door, "theirs", DACL, descriptor(ace(FULL, EVERYONE), ace(READ, ADMINISTRATORS)))
    put(rig.door, "theirs", OWNER | GROUP | DACL, seen)
    ours = os.getxattr(rig.path("theirs"), xattr)
    tap.result(ours[HEAD:] == value[HEAD:] and ours[:14] == value[:14] and ours[78:88] == value[78:88],
               f"{share}: what Windows stores again is Samba's to the byte, but for hashes and time",
               f"{ours.hex()} {value.hex()}")
    os.mkdir(rig.path("theirs.d"))
    smbcacls(rig, share, "theirs.d", "-a", "ACL:S-1-5-32-544:0/0x3/0x001f01ff")
    wanted = eventually(lambda: ace(FULL, ADMINISTRATORS, 0, INHERITED_BELOW) in entries_of(get(rig.door, "theirs.d")), True)
    tap.result(wanted, f"{share}: and so is that of a directory, whose POSIX ACL Samba has changed", "")


def void(tap, rig, share):
    """What the host changes."""
    rig.make("void")
    put(rig.door, "void", DACL, descriptor(ace(FULL, ADMINISTRATORS)))
    os.chmod(rig.path("void"), 0o640)
    ours = eventually(lambda: ace(FULL, ADMINISTRATORS) in entries_of(get(rig.door, "void")), False)
    sambas = smbcacls(rig, share, "void")
    tap.result(not ours and "S-1-5-32-544" not in sambas, f"{share}: a chmod makes it void for both", f"{ours} {sambas}")


def run(tap, rig, share, xattr):
    """share: its name for both; xattr: where it keeps descriptors"""
    ours_to_samba(tap, rig, share, xattr)
    samba_to_ours(tap, rig, share, xattr)
    void(tap, rig, share)


def refused(tap, rig):
    """AclName=security on a daemon that may not: told once, and mode bits follow all the same."""
    rig.make("refused")
    put(rig.door, "refused", DACL, descriptor(ace(READ, EVERYONE)))
    names, mode = os.listxattr(rig.path("refused")), os.stat(rig.path("refused")).st_mode & 0o777
    tap.result("security.NTACL" not in names and mode & 0o222 == 0,
               "without CAP_SYS_ADMIN security.NTACL is not written, and the mode follows", f"{names} {mode:o}")
