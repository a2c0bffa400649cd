#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""upcase.py UnicodeData.txt OUTPUT.h - the table by which names are compared regardless of case

NTFS compares names by UTF-16 units, each put through a table of 65536 units ($UpCase). That table is
Unicode's simple uppercase mapping where it stays in the Basic Multilingual Plane and where the uppercase
letter maps back to the same lowercase letter; so the dotless i is not an I, and the micro sign is no letter
mu (checked against the table that mkntfs writes: newer letters aside, the rule has no exception).

The output is a two-stage table: upcase_page[unit >> 8] chooses a row of upcase_delta, whose 256 entries are
to be added, modulo 65536.
"""
import sys


def mappings(path):
    upper, lower = {}, {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            field = line.split(";")
            code = int(field[0], 16)
            if field[12]:
                upper[code] = int(field[12], 16)
            if field[13]:
                lower[code] = int(field[13], 16)
    return {c: u for c, u in upper.items() if c < 0x10000 and u < 0x10000 and lower.get(u) == c}


def main():
    upper = mappings(sys.argv[1])
    pages, rows = [], []
    for page in range(256):
        row = tuple((upper.get(c, c) - c) % 0x10000 for c in range(page * 256, page * 256 + 256))
        if row not in rows:
            rows.append(row)
        pages.append(rows.index(row))
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("/* made by upcase.py from UnicodeData.txt */\n")
        out.write("static const unsigned char upcase_page[256] = {%s};\n" % ",".join(map(str, pages)))
        out.write("static const unsigned short upcase_delta[%d][256] = {\n" % len(rows))
        for row in rows:
            out.write("{%s},\n" % ",".join(map(str, row)))
        out.write("};\n")


if __name__ == "__main__":
    main()
