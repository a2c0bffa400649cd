#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_check_exe.py FILE - does check_exe.py refuse what is wrong? FILE is a good virtiofs.exe. Prints TAP."""

import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
IMPORTS = os.path.join(HERE, "imports.txt")


def run(path, version="0.1.0"):
    result = subprocess.run(
        [sys.executable, os.path.join(HERE, "check_exe.py"), "--imports", IMPORTS, "--version",
         version, path], capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def cases(good):
    """(what, broken file, expected complaint)"""
    pe = struct.unpack_from("<I", good, 0x3C)[0]

    def field(offset, fmt, change):
        data = bytearray(good)
        struct.pack_into(fmt, data, pe + offset, change(struct.unpack_from(fmt, data, pe + offset)[0]))
        return bytes(data)

    opt = 24
    yield "no NX", field(opt + 70, "<H", lambda v: v & ~0x100), "NX"
    yield "no dynamic base", field(opt + 70, "<H", lambda v: v & ~0x40), "dynamic base"
    yield "no high entropy", field(opt + 70, "<H", lambda v: v & ~0x20), "high entropy"
    yield "a time stamp", field(8, "<I", lambda v: 1), "time stamp"
    yield "another machine", field(4, "<H", lambda v: 0x14C), "not x64"
    yield "an older system", field(opt + 48, "<H", lambda v: 6), "not 10.0"
    yield "a subsystem of windows", field(opt + 68, "<H", lambda v: 2), "not console"
    yield "no resources", field(opt + 112 + 16 + 4, "<I", lambda v: 0), "no resources"
    yield "no relocations", field(opt + 112 + 40 + 4, "<I", lambda v: 0), "no relocations"
    yield "another import", good.replace(b"CancelIoEx\0", b"CancelIoXx\0"), "imports kernel32.dll CancelIoXx"
    yield "a DLL of its own", good.replace(b"SETUPAPI.dll", b"LIBGCC_1.dll"), "imports libgcc_1.dll"
    yield "no notice", good.replace("Bill Zissimopoulos".encode("utf-16-le"),
                                    "Bill Zissimopouloz".encode("utf-16-le")), "notice"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: test_check_exe.py FILE")
    with open(sys.argv[1], "rb") as f:
        good = f.read()
    count = 0

    def result(passed, text, detail):
        nonlocal count
        count += 1
        print(f"{'ok' if passed else 'not ok'} {count} - {text}")
        if not passed:
            print(detail, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="viofs-exe-") as scratch:
        path = os.path.join(scratch, "virtiofs.exe")
        for what, data, expected in cases(good):
            with open(path, "wb") as f:
                f.write(data)
            status, errors = run(path)
            result(data != good and status != 0 and expected in errors,
                   f"a program with {what} is refused", errors)
        with open(path, "wb") as f:
            f.write(good)
        status, errors = run(path, "9.9.9")
        result(status == 1 and "version resource" in errors, "another version is refused", errors)
    print(f"1..{count}")


if __name__ == "__main__":
    main()
