#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_catalog.py DIR - does DIR/viofs.cat vouch for DIR/viofs.sys and DIR/viofs.inf, and how?

Theory of operation

  The catalog is read back by a reader that shares nothing with its writer, setup/catalog: strict DER
  into a tree, then one expectation for each node. Hashes are computed anew: that of the driver as
  Microsoft's paper on Authenticode tells it (the header without three fields, the sections in the order
  of the file, what follows them), not as one range with holes.

  The same reader takes unsigned and signed catalogs; whether a signature holds is osslsigncode's to say.

Every broken rule is reported. Exit status: 0 if all hold.
"""

import hashlib
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "driver"))
from check_inf import HARDWARE_IDS  # noqa: E402
from check_pe import SECURITY, Image  # noqa: E402

NAMES = {
    "1.2.840.113549.1.7.2": "signedData",
    "1.3.6.1.4.1.311.10.1": "trust list",
    "1.3.6.1.4.1.311.12.1.1": "catalog list",
    "1.3.6.1.4.1.311.12.1.3": "member version 2",
    "1.3.6.1.4.1.311.12.2.1": "name and value",
    "1.3.6.1.4.1.311.12.2.3": "member info 2",
    "1.3.6.1.4.1.311.2.1.4": "indirect data",
    "1.3.6.1.4.1.311.2.1.15": "PE image",
    "1.3.6.1.4.1.311.2.1.25": "plain file",
    "2.16.840.1.101.3.4.2.1": "sha256",
}
# SpcLink: a file, [2], whose name is text, [0], and empty
NO_LINK = (0xA2, [(0x80, b"")])
KINDS = {
    "viofs.sys": ("PE image", (0x80, b""), [(0x30, [(0x03, b"\x05\xA0"), (0xA0, [NO_LINK])])]),
    "viofs.inf": ("plain file", (0x82, b""), [NO_LINK]),
}


class Broken(Exception):
    """This is no catalog, or none that can be read any further."""


def read_der(data):
    """DER as a list of (tag, bytes or list)."""
    nodes, at = [], 0
    while at < len(data):
        if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
            raise Broken("a value without a length, or with a long tag")
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            octets = data[at:at + count]
            at += count
            if not 1 <= count <= 4 or len(octets) != count or octets[0] == 0 or (count == 1 and octets[0] < 0x80):
                raise Broken("a length that DER does not write like this")
            length = int.from_bytes(octets, "big")
        if at + length > len(data):
            raise Broken("a value that is longer than what it is in")
        body = data[at:at + length]
        at += length
        nodes.append((tag, read_der(body) if tag & 0x20 else body))
        if tag == 0x31 and not is_sorted(body):
            raise Broken("a set that is not in order")
    return nodes


def is_sorted(body):
    pieces, at = [], 0
    while at < len(body):
        _, size = header(body, at)
        pieces.append(body[at:at + size])
        at += size
    return pieces == sorted(pieces)


def header(data, at):
    """(length of the header, length of all) of the value at an offset, in DER that was read before."""
    if data[at + 1] < 0x80:
        return 2, 2 + data[at + 1]
    count = data[at + 1] & 0x7F
    return 2 + count, 2 + count + int.from_bytes(data[at + 2:at + 2 + count], "big")


def oid(node):
    tag, body = node
    if tag != 0x06 or not body or body[-1] & 0x80:
        raise Broken("no object identifier where there should be one")
    arcs, arc = [body[0] // 40 if body[0] < 80 else 2], 0
    rest = bytes([body[0] - 40 * arcs[0]]) + body[1:]
    for octet in rest:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    text = ".".join(map(str, arcs))
    return NAMES.get(text, text)


def parts(node, tag, count=None):
    if node[0] != tag or (count is not None and len(node[1]) != count):
        raise Broken(f"tag {node[0]:#x} with {len(node[1])} parts, not {tag:#x} with {count}")
    return node[1]


def expect(node, wanted, what):
    if node != wanted:
        raise Broken(f"{what} is {node}")


def name_and_value(node):
    (tag, name), flags, (value_tag, value) = parts(node, 0x30, 3)
    expect(flags, (0x02, b"\x10\x01\x00\x01"), "a name's flags")
    if tag != 0x1E or value_tag != 0x04 or value[-2:] != b"\0\0":
        raise Broken("a name and value that are not text")
    return name.decode("utf-16-be"), value[:-2].decode("utf-16-le")


def read_member(node):
    """(name, hash) of a member whose attributes are as they should be."""
    (tag, digest), attributes = parts(node, 0x30, 2)
    if tag != 0x04 or len(digest) != 32:
        raise Broken("a member that is not named by a SHA-256")
    texts, others = {}, {}
    for attribute in parts(attributes, 0x31, 4):
        kind, values = parts(attribute, 0x30, 2)
        value, = parts(values, 0x31, 1)
        if oid(kind) == "name and value":
            texts.update([name_and_value(value)])
        else:
            others[oid(kind)] = value
    if set(texts) != {"OSAttr", "File"} or set(others) != {"member info 2", "indirect data"}:
        raise Broken(f"a member with the attributes {sorted(texts)} and {sorted(others)}")
    if texts["File"] not in KINDS:
        raise Broken(f"a member {texts['File']}")
    kind, info, description = KINDS[texts["File"]]
    expect(texts["OSAttr"], "2:10.0", "OSAttr")
    expect(others["member info 2"], info, "member information")
    what, hashed = parts(others["indirect data"], 0x30, 2)
    what_kind, *what_description = parts(what, 0x30)
    expect(oid(what_kind), kind, "the kind of " + texts["File"])
    expect(what_description, description, "the description of " + texts["File"])
    algorithm, again = parts(hashed, 0x30, 2)
    algorithm_id, no_parameters = parts(algorithm, 0x30, 2)
    expect(oid(algorithm_id), "sha256", "the hash algorithm")
    expect(no_parameters, (0x05, b""), "the hash algorithm's parameter")
    expect(again, (0x04, digest), "the hash in the indirect data")
    return texts["File"], digest


def read_catalog(data):
    """Return: ({file: hash}, {attribute of the list: value}, time, whether there is a signature)"""
    top, *rest = read_der(data)
    if rest:
        raise Broken("something follows the catalog")
    kind, wrapped = parts(top, 0x30, 2)
    expect(oid(kind), "signedData", "the content type")
    signed, = parts(wrapped, 0xA0, 1)
    version, algorithms, content, *certificates, signers = parts(signed, 0x30)
    expect(version, (0x02, b"\x01"), "the version of SignedData")
    if not bool(certificates) == bool(parts(signers, 0x31)) == bool(parts(algorithms, 0x31)):
        raise Broken("only some of certificates, signatures and their algorithms")
    kind, wrapped = parts(content, 0x30, 2)
    expect(oid(kind), "trust list", "what is signed")
    trust_list, = parts(wrapped, 0xA0, 1)
    usage, identifier, time, member_kind, members, extensions = parts(trust_list, 0x30, 6)
    expect(oid(parts(usage, 0x30, 1)[0]), "catalog list", "the list's usage")
    if identifier[0] != 0x04 or len(identifier[1]) != 16:
        raise Broken("the list's identifier is not 16 bytes")
    if time[0] != 0x17 or not re.fullmatch(rb"\d{12}Z", time[1]):
        raise Broken("the list's time is no UTCTime")
    version, no_parameters = parts(member_kind, 0x30, 2)
    expect(oid(version), "member version 2", "the members' version")
    expect(no_parameters, (0x05, b""), "the members' parameter")
    attributes = {}
    for extension in parts(parts(extensions, 0xA0, 1)[0], 0x30):
        kind, (tag, value) = parts(extension, 0x30, 2)
        expect((oid(kind), tag), ("name and value", 0x04), "an attribute of the list")
        attributes.update([name_and_value(read_der(value)[0])])
    found = [read_member(member) for member in parts(members, 0x30)]
    if len(found) != len(dict(found)):
        raise Broken("a member twice")
    return dict(found), attributes, time[1].decode(), bool(certificates)


def image_hash(data):
    """As the paper says: header, sections by their place in the file, and what is behind them."""
    image = Image(data)
    digest = hashlib.sha256()
    header_end = image.u32(image.opt + 60)
    security = image.opt + 112 + 8 * SECURITY
    digest.update(data[:image.opt + 64])
    digest.update(data[image.opt + 68:security])
    digest.update(data[security + 8:header_end])
    hashed = header_end
    for _, _, _, raw, size, _ in sorted(image.sections, key=lambda section: section[3]):
        digest.update(data[raw:raw + size])
        hashed += size
    table = image.dirs[SECURITY][1]
    digest.update(data[hashed:len(data) - table])
    if table == 0:
        digest.update(bytes(-len(data) % 8))
    return digest.digest()


def check(directory, bad):
    """Return: whether the catalog is signed."""
    files = {}
    for name in ("viofs.cat", "viofs.sys", "viofs.inf"):
        with open(os.path.join(directory, name), "rb") as f:
            files[name] = f.read()
    members, attributes, _, signed = read_catalog(files["viofs.cat"])
    hashes = {"viofs.sys": image_hash(files["viofs.sys"]),
              "viofs.inf": hashlib.sha256(files["viofs.inf"]).digest()}
    for name, digest in hashes.items():
        if name not in members:
            bad(f"{name} is not in the catalog")
        elif members[name] != digest:
            bad(f"{name} is not the file that the catalog names")
    numbered = {f"HWID{number}" for number in range(1, len(HARDWARE_IDS) + 1)}
    if set(attributes) != numbered | {"OS"}:
        bad("the catalog's attributes are " + ", ".join(sorted(attributes)))
    ids = {value for name, value in attributes.items() if name != "OS"}
    if ids != {text.lower() for text in HARDWARE_IDS}:
        bad("the catalog's hardware ids are " + ", ".join(sorted(ids)))
    if attributes.get("OS") != "_v100_X64":
        bad(f"the catalog is for {attributes.get('OS')}, not for Windows 10 on x64")
    return signed


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_catalog.py DIR")
    complaints = []
    try:
        check(sys.argv[1], complaints.append)
    except (Broken, ValueError, struct.error, OSError) as error:
        complaints.append(str(error))
    for text in complaints:
        print(f"{sys.argv[1]}: {text}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
