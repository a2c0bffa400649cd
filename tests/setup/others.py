# SPDX-License-Identifier: BSD-3-Clause
"""others.py - the driver package, with and without a device, and beside another vendor's installation

Wine installs an INF for a device, but it knows neither DIRID 13 (the driver store) nor a model's least Windows build, and
then reports success without having done anything: with the INF that ships, that is what the helper has to notice. What
it does when Windows does its part is seen with a copy of the INF that has DIRID 12 and no build number.
"""

import os
import re
import shutil

from rig import DRIVER, LAUNCHER, SERVICE, differences

DEVICE = "System\\CurrentControlSet\\Enum\\ROOT\\viofs-test\\0000"
FOREIGN_INF = "C:\\windows\\inf\\oem9.inf"
FOREIGN_EXE = "C:\\Program Files\\Virtio-Win\\VioFS\\virtiofs.exe"


def device_driver(m):
    return m.value(m.hive("System"), DEVICE, "Service")


def make_package(m, source):
    """C:\\pkg: the package for Wine. C:\\shipped: the one that ships."""
    for name in ("C:\\pkg", "C:\\shipped"):
        os.makedirs(m.unix(name))
        for file in ("viofs.sys", "viofs.inf", "viofs.cat"):
            shutil.copy(os.path.join(source, file), m.unix(name))
    with open(m.unix("C:\\pkg\\viofs.inf"), encoding="ascii") as f:
        inf = f.read()
    for old, new in ((r"DefaultDestDir = 13.*", "DefaultDestDir = 12"), ("%13%", "%12%"),
                     (r"NTamd64\.10\.0\.\.\.17763", "NTamd64")):
        inf, count = re.subn(old, new, inf)
        assert count, old
    with open(m.unix("C:\\pkg\\viofs.inf"), "w", encoding="ascii") as f:
        f.write(inf)


def put_foreign_package(m):
    with open(m.unix("C:\\pkg\\viofs.inf"), encoding="ascii") as f:
        inf = f.read()
    with open(m.unix(FOREIGN_INF), "w", encoding="ascii") as f:
        f.write(inf.replace('Provider    = "viofs"', 'Provider    = "Red Hat, Inc."'))


def test_store_without_device(tap, m):
    outcome = m.driver("install C:\\shipped\\viofs.inf")
    tap.result(outcome.code == 0 and m.published() and "first one that comes" in outcome.said,
               "without a device the package waits in the driver store", outcome)
    outcome = m.driver("install C:\\shipped\\viofs.inf")
    tap.result(outcome.code == 0 and len(m.published()) == 1, "a second time changes nothing", outcome)
    outcome = m.driver("status")
    tap.result(outcome.code == 0 and "viofs.inf, viofs 01/01/2026" in outcome.said, "status names it", outcome)
    outcome = m.driver("remove")
    tap.result(outcome.code == 0 and not m.published(), "it can be removed", outcome)
    outcome = m.driver("remove")
    tap.result(outcome.code == 0 and "No driver package" in outcome.said, "twice, too", outcome)
    outcome = m.driver("status")
    tap.result(outcome.code == 1168, "and is missed", outcome)


def test_success_without_effect(tap, m):
    m.must("C:\\prop.exe", "device", "add")
    outcome = m.driver("install C:\\shipped\\viofs.inf")
    tap.result(outcome.code == 31 and "did not get the driver" in outcome.said and device_driver(m) is None,
               "a success of Windows' that did nothing is noticed", outcome)
    m.driver("remove")


def test_device(tap, m):
    outcome = m.driver("install C:\\pkg\\viofs.inf")
    look = m.hive("System")
    tap.result(outcome.code == 0 and m.value(look, DEVICE, "Service") == '"VirtioFsDrv"',
               "a device that is there gets the driver", outcome)
    tap.result(m.value(look, DRIVER, "Start") == "dword:00000003" and
               m.value(look, DRIVER, "Type") == "dword:00000001" and
               os.path.exists(m.unix("C:\\windows\\system32\\drivers\\viofs.sys")), "its service and its file are there")
    tap.result(m.value(look, DEVICE + "\\Device Parameters\\Interrupt Management\\MessageSignaledInterruptProperties",
                       "MSISupported") == "dword:00000001" and
               m.value(look, DEVICE + "\\Device Parameters", "Security") == '"D:P(A;;GA;;;SY)(A;;GA;;;BA)"',
               "with interrupts and security as the INF says")
    before = m.look()
    outcome = m.driver("install C:\\pkg\\viofs.inf")
    changed = [line for line in differences(before, m.look()) if "viofs.inf" not in line]
    tap.result(outcome.code == 0 and not changed, "a second time changes nothing", f"{outcome}{changed}")
    outcome = m.driver("remove")
    look = m.hive("System")
    tap.result(outcome.code == 0 and not m.published() and m.value(look, DRIVER, "Type") is None,
               "package and driver service can be removed under a device", outcome)
    tap.result(m.value(look, DEVICE, "Service") is None, "which has no driver afterwards")
    os.unlink(m.unix("C:\\windows\\system32\\drivers\\viofs.sys"))  # in the driver store it would have gone


def test_device_of_another_vendor(tap, m):
    put_foreign_package(m)
    m.must("C:\\prop.exe", "device", "add")
    before = m.look()
    outcome = m.driver("status")
    tap.result(outcome.code == 183 and "Red Hat, Inc." in outcome.said, "another vendor's package is named", outcome)
    outcome = m.driver("install C:\\pkg\\viofs.inf")
    tap.result(outcome.code == 183 and not differences(before, m.look()), "and left alone", outcome)
    outcome = m.driver("install --takeover C:\\pkg\\viofs.inf")
    tap.result(outcome.code == 0 and device_driver(m) == '"VirtioFsDrv"', "--takeover gives its device to viofs",
               outcome)
    outcome = m.driver("remove")
    tap.result(outcome.code == 0 and not m.published() and os.path.exists(m.unix(FOREIGN_INF)),
               "its package is in the store still when viofs' has gone", outcome)
    os.unlink(m.unix("C:\\windows\\system32\\drivers\\viofs.sys"))


def test_setup_beside_another_vendor(tap, m):
    m.must("sc", "create", "VirtioFsSvc", "binPath=", f'"{FOREIGN_EXE}" -i', "start=", "demand")
    m.must("reg", "add", "HKLM\\" + LAUNCHER, "/v", "Executable", "/t", "REG_SZ", "/d", FOREIGN_EXE, "/f")
    before = m.look()
    outcome = m.setup()
    tap.result(outcome.code == 1073 and "Red Hat, Inc." in outcome.said and outcome.said.count(FOREIGN_EXE) == 2 and
               "/TAKEOVER" in outcome.said, "silent setup steps back from another vendor's, and names all of it", outcome)
    changed = differences(before, m.look())
    tap.result(not changed, "with nothing changed", "\n".join(changed))
    outcome = m.setup("/TAKEOVER")
    look = m.look()
    tap.result(outcome.code == 0 and
               m.value(look, SERVICE, "ImagePath") == r'"\"C:\\Program Files\\viofs\\virtiofs.exe\""' and
               m.service_state() == "RUNNING", "/TAKEOVER takes the service", outcome)
    tap.result(m.value(look, SERVICE, "Start") == "dword:00000002" and
               m.value(look, SERVICE, "DependOnService") == 'str(7):"VirtioFsDrv\\0"', "which starts by itself, after the driver")
    tap.result(m.value(look, LAUNCHER, "CommandLine") == '"-t %1 -m %2"', "and the name in WinFsp.Launcher")
    outcome = m.uninstall()
    tap.result(outcome.code == 0 and outcome.said.count(FOREIGN_EXE) == 2 and "not registered again" in outcome.said,
               "removal says what it cannot put back", outcome)
    tap.result(os.path.exists(m.unix(FOREIGN_INF)) and m.service_state() == "ABSENT", "and leaves the other's package")
    os.unlink(m.unix(FOREIGN_INF))


def run(tap, m, source):
    make_package(m, source)
    before = m.look()
    test_store_without_device(tap, m)
    test_success_without_effect(tap, m)
    test_device(tap, m)
    test_device_of_another_vendor(tap, m)
    test_setup_beside_another_vendor(tap, m)
    changed = differences(before, m.look())
    tap.result(not changed, "after all this the machine is as before", "\n".join(changed))
