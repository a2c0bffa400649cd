#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_exe.py [--imports FILE] [--version V] FILE - is this the virtiofs.exe that Windows 10 1809 will run?

Reads the file with the driver's reader (tests/driver/check_pe.py). With --imports, the program may import
only what that list has, and the list may not have more than the program imports, so it stays the truth.
All complaints are printed, not only the first.

Exit status: 0 if all rules hold, 1 if not, 2 if the file is no PE file at all.
"""

import argparse
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "driver"))
# pylint: disable=wrong-import-position
import check_pe  # noqa: E402

SUBSYSTEM_CONSOLE = 3
FILE_TYPE_APP = 1
MESSAGE_TABLE, MANIFEST = 11, 24
NOTICE = "WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos"


def check_headers(image, bad):
    if image.machine != check_pe.MACHINE_AMD64:
        bad(f"machine {image.machine:#x}, not x64")
    if image.timestamp != 0:
        bad("carries a time stamp: two builds would differ")
    if image.characteristics & 0x0001:
        bad("relocations are marked as stripped")
    flags = image.u16(image.opt + 70)
    for name, bit in check_pe.DLL_CHARACTERISTICS.items():
        if not flags & bit:
            bad("is not marked: " + name)
    if image.u16(image.opt + 68) != SUBSYSTEM_CONSOLE:
        bad("subsystem is not console")
    for name, at in (("operating system", 40), ("subsystem", 48)):
        version = image.u16(image.opt + at), image.u16(image.opt + at + 2)
        if version != (10, 0):
            bad(f"{name} version is {version[0]}.{version[1]}, not 10.0")
    if image.dirs[check_pe.RELOC][1] == 0:
        bad("has no relocations: the loader would not move it")
    for name, _, _, _, _, section in image.sections:
        if section & check_pe.SECTION_WRITE and section & check_pe.SECTION_EXECUTE:
            bad(f"section {name} is writable and executable")


def check_imports(image, path, bad):
    found = {f"{module} {name}" for module, name in image.imports()}
    with open(path, encoding="ascii") as lines:
        allowed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if allowed != sorted(set(allowed)):
        bad(path + " is not sorted, or names something twice")
    for name in sorted(found - set(allowed)):
        bad(f"imports {name}, which {path} does not list")
    for name in sorted(set(allowed) - found):
        bad(f"does not import {name}, which {path} lists")


def resource_types(image):
    """Numbers of the resource types at the root of the directory."""
    at = image.offset(image.dirs[check_pe.RESOURCE][0])
    names, ids = image.u16(at + 12), image.u16(at + 14)
    return {image.u32(at + 16 + 8 * i) for i in range(names, names + ids)}


def check_resources(image, version, bad):
    if image.dirs[check_pe.RESOURCE][1] == 0:
        bad("has no resources")
        return
    types = resource_types(image)
    if MESSAGE_TABLE not in types:
        bad("has no texts for the Event Log")
    if MANIFEST not in types:
        bad("has no manifest")
    at = image.offset(image.dirs[check_pe.RESOURCE][0])
    resources = image.data[at:at + image.dirs[check_pe.RESOURCE][1]]
    fixed = resources.find(struct.pack("<I", 0xFEEF04BD))
    if fixed < 0:
        bad("has no version resource")
        return
    high, low = struct.unpack_from("<II", resources, fixed + 8)
    found = f"{high >> 16}.{high & 0xFFFF}.{low >> 16}"
    if version and found != version:
        bad(f"version resource says {found}, not {version}")
    if struct.unpack_from("<I", resources, fixed + 36)[0] != FILE_TYPE_APP:
        bad("version resource does not say that this is a program")


def main():
    parser = argparse.ArgumentParser(description="check virtiofs.exe")
    parser.add_argument("--imports", metavar="FILE", help="what it may import, one a line, sorted")
    parser.add_argument("--version", metavar="V", help="version that its resource must say")
    parser.add_argument("file")
    args = parser.parse_args()
    complaints = []
    with open(args.file, "rb") as f:
        data = f.read()
    try:
        image = check_pe.Image(data)
        check_headers(image, complaints.append)
        check_resources(image, args.version, complaints.append)
        if args.imports:
            check_imports(image, args.imports, complaints.append)
        if NOTICE.encode("utf-16-le") not in data:
            complaints.append("does not carry WinFsp's notice")
    except (ValueError, struct.error) as error:
        print(f"{args.file}: {error}", file=sys.stderr)
        return 2
    for text in complaints:
        print(f"{args.file}: {text}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
