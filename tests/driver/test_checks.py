#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_checks.py DIR - do check_pe.py and check_inf.py refuse what is wrong?

DIR holds a good viofs.sys and viofs.inf. Each test breaks one thing in a copy and expects the complaint
about it. Prints TAP.
"""

import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
IMPORTS = os.path.join(HERE, "..", "..", "driver", "imports.txt")


def run(script, path, *options):
    result = subprocess.run([sys.executable, os.path.join(HERE, script), *options, path],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


class Files:
    def __init__(self, source, scratch):
        self.scratch = scratch
        with open(os.path.join(source, "viofs.sys"), "rb") as f:
            self.sys = f.read()
        with open(os.path.join(source, "viofs.inf"), encoding="ascii") as f:
            self.inf = f.read()
        self.pe = struct.unpack_from("<I", self.sys, 0x3C)[0]

    def save(self, name, data):
        path = os.path.join(self.scratch, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def pe_field(self, offset, fmt, change):
        """A copy with one field of the PE headers changed."""
        data = bytearray(self.sys)
        value = struct.unpack_from(fmt, data, self.pe + offset)[0]
        struct.pack_into(fmt, data, self.pe + offset, change(value))
        return bytes(data)


def pe_cases(f):
    """(what, broken file, expected complaint)"""
    opt = 24
    yield "a wrong checksum", f.pe_field(opt + 64, "<I", lambda v: v + 1), "checksum"
    yield "a changed byte of code", f.sys[:0x600] + bytes([f.sys[0x600] ^ 1]) + f.sys[0x601:], \
        "checksum"
    yield "a time stamp", f.pe_field(8, "<I", lambda v: 1), "time stamp"
    yield "another machine", f.pe_field(4, "<H", lambda v: 0x14C), "not x64"
    yield "no NX", f.pe_field(opt + 70, "<H", lambda v: v & ~0x100), "NX"
    yield "no dynamic base", f.pe_field(opt + 70, "<H", lambda v: v & ~0x40), "dynamic base"
    yield "no high entropy", f.pe_field(opt + 70, "<H", lambda v: v & ~0x20), "high entropy"
    yield "a console program", f.pe_field(opt + 68, "<H", lambda v: 3), "subsystem is not native"
    yield "an older system", f.pe_field(opt + 48, "<H", lambda v: 6), "not 10.0"
    yield "stripped relocations", f.pe_field(22, "<H", lambda v: v | 1), "stripped"
    yield "no relocation directory", f.pe_field(opt + 112 + 40 + 4, "<I", lambda v: 0), "relocation"
    yield "no exception directory", f.pe_field(opt + 112 + 24 + 4, "<I", lambda v: 0), "exception"
    yield "another import", f.sys.replace(b"IoFreeMdl\0", b"IoFreeMdx\0"), \
        "imports IoFreeMdx, which"
    yield "another module", f.sys.replace(b"ntoskrnl.exe", b"ntoskrnx.exe"), "ntoskrnx.exe"
    yield "another version", f.sys.replace(struct.pack("<I", 0xFEEF04BD),
                                           struct.pack("<I", 0xFEEF04BE)), "version resource"


def inf_cases(f):
    """(what, text, replacement, expected complaint)"""
    yield "another hardware id", "DEV_105A\n", "DEV_1049\n", "hardware ids"
    yield "only one hardware id", r", PCI\VEN_1AF4&DEV_105A" + "\n", "\n", "hardware ids"
    yield "another class", "= System", "= Net", "class is not System"
    yield "no lockdown", "PnpLockdown = 1", "PnpLockdown = 0", "PnpLockdown"
    yield "another service", "= VirtioFsDrv,", "= ViofsDrv,", "the service is"
    yield "a service that starts at boot", "= 3 ;", "= 0 ;", "starttype is not 3"
    yield "too few messages", "0x00010001, 18", "0x00010001, 2", "MessageNumberLimit"
    yield "no messages", "MSISupported, 0x00010001, 1", "MSISupported, 0x00010001, 0", "MSI"
    yield "a device for everyone", "(A;;GA;;;BA)", "(A;;GA;;;WD)", "can open the device"
    yield "another directory", "DefaultDestDir = 13", "DefaultDestDir = 12", "driver store"
    yield "nothing about DMA remapping", "DmaRemappingCompatible", "DmaRemapping", "DMA remapping"
    yield "a string that is nowhere", "%DeviceName% =", "%Device% =", "not in [Strings]"
    yield "a section that is nowhere", "[Viofs_Security]", "[Viofs_Sec]", "no section"
    yield "an older Windows", "17763]", "10240]", "no section"
    yield "no catalog", "CatalogFile = viofs.cat", "; none", "CatalogFile"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: test_checks.py DIR")
    count = failed = 0

    def result(good, text, detail=""):
        nonlocal count, failed
        count += 1
        failed += not good
        print(f"{'ok' if good else 'not ok'} {count} - {text}")
        if not good:
            print(detail, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="viofs-checks-") as scratch:
        f = Files(sys.argv[1], scratch)
        for name, data in (("viofs.sys", f.sys), ("viofs.inf", f.inf.encode())):
            options = ("--imports", IMPORTS) if name.endswith("sys") else ()
            script = "check_pe.py" if options else "check_inf.py"
            status, errors = run(script, f.save(name, data), *options)
            result(status == 0, f"{name} as built is accepted", errors)
        for what, data, expected in pe_cases(f):
            status, errors = run("check_pe.py", f.save("broken.sys", data), "--imports", IMPORTS,
                                 "--version", "0.1.0")
            result(data != f.sys and status != 0 and expected in errors,
                   f"a driver with {what} is refused", errors)
        for what, old, new, expected in inf_cases(f):
            data = f.inf.replace(old, new)
            status, errors = run("check_inf.py", f.save("broken.inf", data.encode()))
            result(data != f.inf and status != 0 and expected in errors,
                   f"an INF with {what} is refused", errors)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
