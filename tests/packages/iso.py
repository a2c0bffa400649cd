#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""iso.py FILE - what Windows finds on a CD: its label, and name and SHA-256 of each file

Reads the Joliet tree, whose names are UTF-16 (ECMA-119 with the supplementary volume descriptor of the Joliet
specification), and only its root directory: there are no others.
"""

import hashlib
import struct
import sys

SECTOR = 2048
SUPPLEMENTARY, TERMINATOR, DIRECTORY = 2, 255, 2


def descriptor(image):
    for sector in range(16, 32):
        block = image[sector * SECTOR:(sector + 1) * SECTOR]
        assert block[1:6] == b"CD001", "not ISO 9660"
        if block[0] == SUPPLEMENTARY and block[88:91] in (b"%/@", b"%/C", b"%/E"):
            return block
        assert block[0] != TERMINATOR, "no Joliet"
    raise AssertionError("no end of descriptors")


def extent(image, record):
    start, = struct.unpack_from("<I", record, 2)
    size, = struct.unpack_from("<I", record, 10)
    return image[start * SECTOR:start * SECTOR + size]


def records(directory):
    at = 0
    while at < len(directory):
        length = directory[at]
        if length:
            yield directory[at:at + length]
            at += length
        else:  # none spans sectors
            at += SECTOR - at % SECTOR


def main():
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    volume = descriptor(image)
    print("label", volume[40:72].decode("utf-16-be").rstrip("\0 "))
    for record in records(extent(image, volume[156:190])):
        name = record[33:33 + record[32]]
        if name in (b"\0", b"\1"):
            continue
        assert not record[25] & DIRECTORY, name
        print(name.decode("utf-16-be").removesuffix(";1"), hashlib.sha256(extent(image, record)).hexdigest())


if __name__ == "__main__":
    main()
