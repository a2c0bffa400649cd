#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_pe.py [--imports FILE] [--version V] FILE - is this a driver that Windows 10 will load?

Theory of operation

  The file is read as the loader would read it: DOS and PE headers, sections, data directories. Every
  rule below either holds or is reported; all are reported, not only the first. With --imports, the
  file may import only names of that list, and the list may not hold more than the file imports, so it
  stays the truth. Source: Microsoft's PE format specification.

Exit status: 0 if all rules hold, 1 if not, 2 if the file is no PE file at all.
"""

import argparse
import struct
import sys

MACHINE_AMD64 = 0x8664
CHARACTERISTICS = {"executable image": 0x0002, "large addresses": 0x0020}
DLL_CHARACTERISTICS = {"high entropy VA": 0x0020, "dynamic base": 0x0040, "NX compatible": 0x0100}
SUBSYSTEM_NATIVE = 1
FILE_TYPE_DRIVER = 3
SECTION_EXECUTE, SECTION_WRITE = 0x20000000, 0x80000000
MODULES = {"ntoskrnl.exe", "hal.dll"}
EXPORT, IMPORT, RESOURCE, EXCEPTION, SECURITY, RELOC, DEBUG = range(7)


class Image:
    """A PE32+ file, taken apart."""

    def __init__(self, data):
        self.data = data
        if data[:2] != b"MZ":
            raise ValueError("no DOS header")
        self.pe = self.u32(0x3C)
        if data[self.pe:self.pe + 4] != b"PE\0\0":
            raise ValueError("no PE header")
        (self.machine, self.n_sections, self.timestamp, _, _, self.optional_size,
         self.characteristics) = struct.unpack_from("<HHIIIHH", data, self.pe + 4)
        self.opt = self.pe + 24
        if self.u16(self.opt) != 0x20B:
            raise ValueError("not PE32+")
        self.dirs = [struct.unpack_from("<II", data, self.opt + 112 + 8 * i)
                     for i in range(min(16, self.u32(self.opt + 108)))]
        self.sections = []
        at = self.opt + self.optional_size
        for i in range(self.n_sections):
            name, vsize, va, rsize, raw = struct.unpack_from("<8sIIII", data, at + 40 * i)
            flags = self.u32(at + 40 * i + 36)
            self.sections.append((name.rstrip(b"\0").decode(), va, vsize, raw, rsize, flags))

    def u16(self, at):
        return struct.unpack_from("<H", self.data, at)[0]

    def u32(self, at):
        return struct.unpack_from("<I", self.data, at)[0]

    def offset(self, rva):
        """File offset of a virtual address."""
        for _, va, vsize, raw, rsize, _ in self.sections:
            if va <= rva < va + max(vsize, rsize):
                return raw + rva - va
        raise ValueError(f"address {rva:#x} is in no section")

    def string(self, rva):
        at = self.offset(rva)
        return self.data[at:self.data.index(b"\0", at)].decode("ascii")

    def imports(self):
        """(module, name) of each import; an import by ordinal has the name '#N'."""
        at = self.offset(self.dirs[IMPORT][0])
        while True:
            names, _, _, module, _ = struct.unpack_from("<IIIII", self.data, at)
            if module == 0:
                return
            entry = self.offset(names)
            while True:
                value = struct.unpack_from("<Q", self.data, entry)[0]
                if value == 0:
                    break
                name = f"#{value & 0xFFFF}" if value >> 63 else self.string(value + 2)
                yield self.string(module).lower(), name
                entry += 8
            at += 20

    def checksum(self):
        """What the CheckSum field should hold."""
        field = self.opt + 64
        data = bytearray(self.data)
        data[field:field + 4] = bytes(4)
        data += bytes(len(data) % 2)
        total = 0
        for (word,) in struct.iter_unpack("<H", data):
            total += word
            total = (total & 0xFFFF) + (total >> 16)
        return total + len(self.data)

    def relocations(self):
        """Virtual addresses of the 64-bit pointers that the loader adjusts."""
        at, size = self.offset(self.dirs[RELOC][0]), self.dirs[RELOC][1]
        end = at + size
        while at + 8 <= end:
            page, length = struct.unpack_from("<II", self.data, at)
            if length < 8:
                raise ValueError("relocation block without end")
            for i in range(8, length, 2):
                entry = self.u16(at + i)
                if entry >> 12 == 10:
                    yield page + (entry & 0xFFF)
                elif entry >> 12 != 0:
                    raise ValueError(f"relocation of type {entry >> 12}")
            at += length

    def functions(self):
        """(begin, end, unwind) of each entry of .pdata."""
        at, size = self.offset(self.dirs[EXCEPTION][0]), self.dirs[EXCEPTION][1]
        return [struct.unpack_from("<III", self.data, at + i) for i in range(0, size, 12)]


def check_image(image, subsystem, bad):
    """What holds for whatever of ours Windows loads. subsystem: (number, name)"""
    if image.machine != MACHINE_AMD64:
        bad(f"machine {image.machine:#x}, not x64")
    if image.timestamp != 0:
        bad("carries a time stamp: two builds would differ")
    if image.characteristics & 0x0001:
        bad("relocations are marked as stripped")
    flags = image.u16(image.opt + 70)
    for name, bit in DLL_CHARACTERISTICS.items():
        if not flags & bit:
            bad("is not marked: " + name)
    if image.u16(image.opt + 68) != subsystem[0]:
        bad("subsystem is not " + subsystem[1])
    for name, at in (("operating system", 40), ("subsystem", 48)):
        version = image.u16(image.opt + at), image.u16(image.opt + at + 2)
        if version != (10, 0):
            bad(f"{name} version is {version[0]}.{version[1]}, not 10.0")
    for name, _, _, _, _, section in image.sections:
        if section & SECTION_WRITE and section & SECTION_EXECUTE:
            bad(f"section {name} is writable and executable")


def check_list(found, path, bad):
    """The names that were found are those of a list, one a line and sorted."""
    with open(path, encoding="ascii") as lines:
        allowed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if allowed != sorted(set(allowed)):
        bad(path + " is not sorted, or names something twice")
    for name in sorted(found - set(allowed)):
        bad(f"imports {name}, which {path} does not list")
    for name in sorted(set(allowed) - found):
        bad(f"does not import {name}, which {path} lists")


def check_version_resource(image, version, file_type, bad):
    """version: None for any; file_type: (number, what it stands for). Return: the resources, or None."""
    at = image.offset(image.dirs[RESOURCE][0])
    resources = image.data[at:at + image.dirs[RESOURCE][1]]
    fixed = resources.find(struct.pack("<I", 0xFEEF04BD))
    if fixed < 0:
        bad("has no version resource")
        return None
    high, low = struct.unpack_from("<II", resources, fixed + 8)
    found = f"{high >> 16}.{high & 0xFFFF}.{low >> 16}"
    if version and found != version:
        bad(f"version resource says {found}, not {version}")
    if struct.unpack_from("<I", resources, fixed + 36)[0] != file_type[0]:
        bad("version resource does not say that this is a " + file_type[1])
    return resources


def check_file(path, rules):
    """Judge a file by rules(image, bad). Return: the exit status."""
    complaints = []
    with open(path, "rb") as f:
        data = f.read()
    try:
        rules(Image(data), complaints.append)
    except (ValueError, struct.error) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    for text in complaints:
        print(f"{path}: {text}", file=sys.stderr)
    return 1 if complaints else 0


# ---- a driver ------------------------------------------------------------------------------------


def check_headers(image, bad):
    check_image(image, (SUBSYSTEM_NATIVE, "native"), bad)
    for name, bit in CHARACTERISTICS.items():
        if not image.characteristics & bit:
            bad("is not marked: " + name)
    if image.u32(image.opt + 64) != image.checksum():
        bad(f"checksum {image.u32(image.opt + 64):#x} should be {image.checksum():#x}")
    if image.u32(image.opt + 32) != 0x1000:
        bad("sections are not page-aligned")


def check_sections(image, bad):
    names = {s[0] for s in image.sections}
    for need in (".text", ".pdata", ".xdata", ".reloc", ".rsrc"):
        if need not in names:
            bad("has no section " + need)
    for name, _, vsize, _, _, _ in image.sections:
        if vsize == 0:
            bad(f"section {name} is empty")
    entry = image.u32(image.opt + 16)
    if not any(va <= entry < va + vsize and flags & SECTION_EXECUTE
               for _, va, vsize, _, _, flags in image.sections):
        bad("entry point is not in code")
    if image.dirs[EXPORT][1] != 0:
        bad("exports something")
    if image.dirs[DEBUG][1] != 0:
        bad("has a debug directory")
    for name, index in (("import", IMPORT), ("resource", RESOURCE), ("exception", EXCEPTION),
                        ("relocation", RELOC)):
        if image.dirs[index][1] == 0:
            bad(f"has no {name} directory")


def check_relocations(image, bad):
    places = list(image.relocations())
    if not places:
        bad("relocates nothing: the loader would not move it")
    base = struct.unpack_from("<Q", image.data, image.opt + 24)[0]
    size = image.u32(image.opt + 56)
    for rva in places:
        value = struct.unpack_from("<Q", image.data, image.offset(rva))[0]
        if not base <= value < base + size:
            bad(f"relocates {rva:#x}, which holds no address of the image")


def check_unwind(image, bad):
    functions = image.functions()
    handled = 0
    if functions != sorted(functions):
        bad(".pdata is not sorted")
    for begin, end, unwind in functions:
        if begin >= end:
            bad(f"function {begin:#x} in .pdata is empty")
        if image.data[image.offset(unwind)] >> 3 & 1:
            handled += 1
    if handled != 1:
        bad(f"{handled} functions have an exception handler, not 1")


def check_imports(image, path, bad):
    found = sorted(set(image.imports()))
    for module, name in found:
        if module not in MODULES:
            bad(f"imports {name} from {module}")
        if name.startswith("#"):
            bad(f"imports ordinal {name} from {module}")
    if path is not None:
        check_list({name for _, name in found}, path, bad)


def check_version(image, version, bad):
    if version is None:
        return
    resources = check_version_resource(image, version, (FILE_TYPE_DRIVER, "driver"), bad)
    if resources is None:
        return
    for text in ("FileDescription", "LegalCopyright", "OriginalFilename", "ProductVersion"):
        if text.encode("utf-16-le") not in resources:
            bad("version resource has no " + text)


def main():
    parser = argparse.ArgumentParser(description="check a driver's PE file")
    parser.add_argument("--imports", metavar="FILE", help="names it may import, one a line, sorted")
    parser.add_argument("--version", metavar="V", help="version that its resource must say")
    parser.add_argument("file")
    args = parser.parse_args()

    def rules(image, bad):
        check_headers(image, bad)
        check_sections(image, bad)
        check_relocations(image, bad)
        check_unwind(image, bad)
        check_imports(image, args.imports, bad)
        check_version(image, args.version, bad)

    return check_file(args.file, rules)


if __name__ == "__main__":
    sys.exit(main())
