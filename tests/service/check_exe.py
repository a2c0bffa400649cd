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
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "driver"))
# pylint: disable=wrong-import-position
import check_pe  # noqa: E402

SUBSYSTEM_CONSOLE = 3
FILE_TYPE_APP = 1
MESSAGE_TABLE, MANIFEST = 11, 24
NOTICE = "WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos"


def check_headers(image, bad):
    check_pe.check_image(image, (SUBSYSTEM_CONSOLE, "console"), bad)
    if image.dirs[check_pe.RELOC][1] == 0:
        bad("has no relocations: the loader would not move it")


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
    check_pe.check_version_resource(image, version, (FILE_TYPE_APP, "program"), bad)


def main():
    parser = argparse.ArgumentParser(description="check virtiofs.exe")
    parser.add_argument("--imports", metavar="FILE", help="what it may import, one a line, sorted")
    parser.add_argument("--version", metavar="V", help="version that its resource must say")
    parser.add_argument("file")
    args = parser.parse_args()

    def rules(image, bad):
        check_headers(image, bad)
        check_resources(image, args.version, bad)
        if args.imports:
            found = {f"{module} {name}" for module, name in image.imports()}
            check_pe.check_list(found, args.imports, bad)
        if NOTICE.encode("utf-16-le") not in image.data:
            bad("does not carry WinFsp's notice")

    return check_pe.check_file(args.file, rules)


if __name__ == "__main__":
    sys.exit(main())
