# SPDX-License-Identifier: BSD-3-Clause
"""refusals.py - setup that cannot do its work says why, with an exit code, and has changed nothing"""

import os
import shutil
import struct
import subprocess

from rig import DIR, SETUP, differences


def refused(tap, m, text, code, words, switches="", by=""):
    outcome = m.setup(switches, by=by)
    tap.result(outcome.code == code and words in outcome.said, text, outcome)


def test_it_is_a_64_bit_program(tap, m):
    """Which is how 32-bit Windows refuses it."""
    with open(m.unix(SETUP), "rb") as f:
        image = f.read(4096)
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    tap.result(struct.unpack_from("<H", image, pe + 4)[0] == 0x8664, "32-bit Windows refuses to load setup")


def test_switches(tap, m):
    refused(tap, m, "an unknown switch is named", 87, "'/TAKEOVERR'", "/TAKEOVERR")
    refused(tap, m, "a value that a switch cannot have is named", 87, "'/DRIVER=2'", "/DRIVER=2")
    refused(tap, m, "a file system's name that is too long is refused", 87, "/FILESYSTEMNAME",
            "/FILESYSTEMNAME=aaaaaaaaaaaaaaaa")
    outcome = m.setup("/?")
    tap.result(outcome.code == 0 and "/WITHOUTWINFSP" in outcome.said and "Bill Zissimopoulos" in outcome.said,
               "/? lists the switches, with WinFsp's notice", outcome)


def test_machine(tap, m):
    m.set_windows("win81")
    refused(tap, m, "Windows 8.1 is too old", 1150, "Windows 10 version 1809")
    m.set_windows("win10")
    refused(tap, m, "setup needs an administrator", 5, "administrator", by="C:\\prop.exe powerless")
    refused(tap, m, "two at a time are refused", 1618, "already", by="C:\\prop.exe alone")


def test_winfsp(tap, m):
    refused(tap, m, "without WinFsp it says where to get it, and which switches help", 1285,
            "https://winfsp.dev/rel/", "/CASEINSENSITIVE=1")
    refused(tap, m, "/WINFSP without an MSI beside setup says so", 1285, "winfsp-*.msi", "/WINFSP")


def test_disk(tap, m, work):
    disk = os.path.join(work, "small")
    os.makedirs(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", disk], check=True)
    os.symlink(disk, os.path.join(m.path, "dosdevices", "s:"))
    try:
        refused(tap, m, "a disk without room is refused before anything is written", 112, "KiB",
                "/WITHOUTWINFSP /D=S:\\viofs")
        tap.result(os.listdir(disk) == [], "and is left as it was", os.listdir(disk))
    finally:
        os.unlink(os.path.join(m.path, "dosdevices", "s:"))
        subprocess.run(["umount", disk], check=True)


def test_helpers(tap, m):
    for name, command, code in (("viofs-driver.exe", "install C:\\viofs.inf", 3010), ("viofs-service.exe", "stop", 1060)):
        outcome = m.call(f'C:\\prop.exe powerless "C:\\{name}" {command}')
        tap.result(outcome.code == 5 and "administrator" in outcome.said, f"{name} needs an administrator", outcome)
        outcome = m.call(f'"C:\\{name}" --help')
        tap.result(outcome.code == 0 and f"{code}  " in outcome.said,
                   f"{name} explains its exit codes", outcome)
        outcome = m.call(f'"C:\\{name}" install')
        tap.result(outcome.code == 87 and "needs" in outcome.said, f"{name} names what is missing", outcome)
        outcome = m.call(f'"C:\\{name}" frobnicate')
        tap.result(outcome.code == 87 and "frobnicate" in outcome.said, f"{name} names a command that is none", outcome)
    outcome = m.call("C:\\viofs-driver.exe install C:\\nowhere.inf")
    tap.result(outcome.code == 2, "an INF that is not there is told", outcome)
    shutil.copy(m.unix("C:\\windows\\inf\\winebus.inf"), m.unix("C:\\strange.inf"))
    outcome = m.call("C:\\viofs-driver.exe install C:\\strange.inf")
    tap.result(outcome.code == 13 and "strange.inf" in outcome.said, "an INF that is not viofs' is refused", outcome)
    os.unlink(m.unix("C:\\strange.inf"))


def run(tap, m, work):
    before = m.look()
    test_it_is_a_64_bit_program(tap, m)
    test_switches(tap, m)
    test_machine(tap, m)
    test_winfsp(tap, m)
    test_disk(tap, m, work)
    test_helpers(tap, m)
    changed = differences(before, m.look())
    tap.result(not changed and not os.path.exists(m.unix(DIR)), "all this has changed nothing", "\n".join(changed))
