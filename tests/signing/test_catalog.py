#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_catalog.py DIR - does setup/catalog write what it should, and refuse what it cannot vouch for?

DIR holds viofs.sys and viofs.inf. Each test works in a copy. Prints TAP.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CATALOG = os.path.join(TOP, "setup", "catalog")
CHECK = os.path.join(HERE, "check_catalog.py")
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import check_catalog  # noqa: E402
from check_catalog import image_hash, read_catalog  # noqa: E402


class Package:
    """A copy of the driver package in a directory of its own."""

    def __init__(self, source, scratch):
        self.dir = tempfile.mkdtemp(dir=scratch)
        for name in ("viofs.sys", "viofs.inf"):
            shutil.copy(os.path.join(source, name), self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def replace(self, name, old, new):
        data = self.read(name)
        if old not in data:
            raise ValueError(f"{name} has no {old!r}")
        self.write(name, data.replace(old, new))

    def make(self, **environment):
        """Run the program. Return: (exit status, what it said)"""
        env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
        result = subprocess.run([CATALOG, self.dir], capture_output=True, text=True, check=False,
                                env=dict(env, **environment))
        return result.returncode, result.stdout + result.stderr

    def check(self):
        """What is wrong with the catalog; nothing if all is well."""
        result = subprocess.run([CHECK, self.dir], capture_output=True, text=True, check=False)
        return result.stderr if result.returncode else ""


def test_a_catalog_vouches_for_driver_and_inf_as_windows_expects(new):
    package = new()
    return package.make() == (0, "") and package.check() == ""


def test_two_catalogs_of_equal_files_are_equal(new):
    one, two = new(), new()
    one.make()
    two.make()
    return one.read("viofs.cat") == two.read("viofs.cat")


def test_the_time_is_the_day_of_the_inf(new):
    package = new()
    package.replace("viofs.inf", b"DriverVer   = 01/01/2026", b"DriverVer   = 02/29/2028")
    package.make()
    return read_catalog(package.read("viofs.cat"))[2] == "280229000000Z"


def test_source_date_epoch_is_the_time_and_changes_nothing_else(new):
    package = new()
    package.make()
    before = read_catalog(package.read("viofs.cat"))
    package.make(SOURCE_DATE_EPOCH="1700000000")
    after = read_catalog(package.read("viofs.cat"))
    return after[2] == "231114221320Z" and before[:2] == after[:2]


def test_other_files_give_another_catalog(new):
    package = new()
    package.make()
    before = package.read("viofs.cat")
    package.replace("viofs.inf", b"Extended Base", b"extended base")
    package.make()
    return package.read("viofs.cat") != before and package.check() == ""


def test_a_changed_inf_is_found(new):
    package = new()
    package.make()
    package.replace("viofs.inf", b"StartType      = 3", b"StartType      = 0")
    return "viofs.inf is not the file" in package.check()


def test_a_changed_driver_is_found(new):
    package = new()
    package.make()
    data = bytearray(package.read("viofs.sys"))
    data[len(data) // 2] ^= 1
    package.write("viofs.sys", data)
    return "viofs.sys is not the file" in package.check()


def test_a_changed_bit_anywhere_in_the_catalog_is_found(new):
    package = new()
    package.make()
    good = package.read("viofs.cat")
    at = good.index(b"\x04\x10") + 2  # the list's identifier, which stands for nothing; then its time
    unnoticed = []
    for i in range(len(good)):
        package.write("viofs.cat", good[:i] + bytes((good[i] ^ 1,)) + good[i + 1:])
        complaints = []
        try:
            check_catalog.check(package.dir, complaints.append)
        except (check_catalog.Broken, ValueError) as error:
            complaints.append(error)
        if not complaints and not at <= i < at + 16 + 2 + 12:
            unnoticed.append(i)
    if unnoticed:
        print("unnoticed at", unnoticed, file=sys.stderr)
    return not unnoticed


def test_a_driver_whose_length_is_odd_is_hashed_as_it_will_be_signed(new):
    package = new()
    package.write("viofs.sys", package.read("viofs.sys") + b"odd")
    package.make()
    padded = image_hash(package.read("viofs.sys") + bytes(5))
    return package.check() == "" and read_catalog(package.read("viofs.cat"))[0]["viofs.sys"] == padded


def refused(package, *words, **environment):
    status, said = package.make(**environment)
    return (status == 1 and all(word in said for word in ("catalog: ", *words)) and
            not os.path.exists(package.path("viofs.cat")))


def test_without_the_driver_it_is_refused(new):
    package = new()
    os.remove(package.path("viofs.sys"))
    return refused(package, "viofs.sys", "No such file")


def test_without_the_inf_it_is_refused(new):
    package = new()
    os.remove(package.path("viofs.inf"))
    return refused(package, "viofs.inf", "No such file")


def test_what_is_no_image_is_refused(new):
    package = new()
    package.write("viofs.sys", b"MZ" + bytes(1000))
    return refused(package, "viofs.sys", "no PE file")


def test_an_image_cut_short_is_refused(new):
    package = new()
    for length in (0, 2, 0x40, 0x90, 0x100):
        package.write("viofs.sys", package.read("viofs.sys")[:length])
        if not refused(package, "viofs.sys"):
            return False
    return True


def test_an_image_whose_signature_is_outside_it_is_refused(new):
    package = new()
    data = bytearray(package.read("viofs.sys"))
    pe = int.from_bytes(data[0x3C:0x40], "little")
    for place, size in ((len(data), 8), (16, 8), (0xFFFFFFF8, 0xFFFFFFF8)):
        data[pe + 24 + 144:pe + 24 + 152] = place.to_bytes(4, "little") + size.to_bytes(4, "little")
        package.write("viofs.sys", data)
        if not refused(package, "signature is not where"):
            return False
    return True


def test_an_inf_that_names_another_catalog_is_refused(new):
    package = new()
    package.replace("viofs.inf", b"CatalogFile = viofs.cat", b"CatalogFile = other.cat")
    return refused(package, "CatalogFile is not viofs.cat")


def test_an_inf_without_a_date_is_refused(new):
    package = new()
    package.replace("viofs.inf", b"DriverVer   = 01/01/2026", b"DriverVer   = 13/01/2026")
    wrong_day = refused(package, "no such day")
    package.replace("viofs.inf", b"DriverVer", b"DriverVar")
    return wrong_day and refused(package, "DriverVer")


def test_an_inf_without_a_device_is_refused(new):
    package = new()
    package.replace("viofs.inf", b"PCI\\", b"USB\\")
    return refused(package, "no PCI device")


def test_a_time_that_is_none_is_refused(new):
    return all(refused(new(), "SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH=text)
               for text in ("", "now", "-1", "99999999999"))


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    with tempfile.TemporaryDirectory(prefix="viofs-catalog.") as scratch:
        for number, (name, test) in enumerate(tests, 1):
            try:
                good = test(lambda: Package(sys.argv[1], scratch))
            except Exception as error:  # pylint: disable=broad-except
                print(f"{name}: {error!r}", file=sys.stderr)
                good = False
            print(("ok" if good else "not ok"), number, "-", name[5:].replace("_", " "), flush=True)
    print(f"1..{len(tests)}")


if __name__ == "__main__":
    main()
