# SPDX-License-Identifier: BSD-3-Clause
"""life.py - the life of an installation: in, used, exchanged for a newer one, and out, with nothing else changed"""

import os
import re
import shutil

from rig import APPS, DIR, LAUNCHER, RECORD, SERVICE, SETTINGS, SHIPPED, differences

# All that setup, and the service when it runs, may add to a machine.
OURS = [re.compile(pattern, re.IGNORECASE) for pattern in (
    r"^Program Files\\viofs(\\|$)",
    r"^ProgramData\\Microsoft\\Windows\\Start Menu\\Programs\\viofs(\\|$)",
    r"^Software\\viofs(\\|$)",
    r"^Software\\virtiofs(\\|\||$)",
    r"^" + re.escape(APPS) + r"(\||$)",
    r"^Software\\Wow6432Node\\WinFsp\\Services(\\virtiofs(\||$)|$)",
    r"^" + re.escape(SERVICE) + r"(\||$)",
    r"^System\\CurrentControlSet\\Services\\Eventlog\\Application\\virtiofs(\||$)",
    r"^windows\\inf\\viofs\.inf$",
)]
WINFSP_DLL = "C:\\Program Files (x86)\\WinFsp\\bin\\winfsp-x64.dll"
NEWER = "C:\\virtiofs-setup-9.exe"


def foreign(changed):
    return [line for line in changed if line[0] != "+" or not any(p.search(line[2:]) for p in OURS)]


def test_without_winfsp(tap, m):
    """Steps in the wrong order: viofs first, WinFsp afterwards; then setup once more."""
    outcome = m.setup("/WITHOUTWINFSP")
    tap.result(outcome.code == 0 and "WinFsp is missing" in outcome.said, "setup goes on without WinFsp if told to",
               outcome)
    tap.result(m.service_state() == "STOPPED", "the service is registered, and waits", m.service_state())
    m.put_winfsp()
    outcome = m.call(f'"{DIR}\\viofs-service.exe" start')
    tap.result(outcome.code == 0 and m.service_state() == "RUNNING", "it starts when WinFsp has come", outcome)
    outcome = m.setup()
    tap.result(outcome.code == 0, "setup may run a second time", outcome)
    tap.result(m.service_state() == "RUNNING", "and the service runs again")
    outcome = m.uninstall()
    tap.result(outcome.code == 0 and not os.path.exists(m.unix(DIR)), "it can be removed", outcome)


def test_installation(tap, m, before):
    outcome = m.setup("/CASEINSENSITIVE=1 /FILESYSTEMNAME=NTFS")
    tap.result(outcome.code == 0, "silent setup installs", outcome)
    now = m.look()
    tap.result(not foreign(differences(before, now)), "and adds what is viofs', nothing else",
               "\n".join(foreign(differences(before, now))))
    tap.result(sorted(os.listdir(m.unix(DIR))) == sorted(SHIPPED), "all files are there", os.listdir(m.unix(DIR)))

    def value(key, name):
        return m.value(now, key, name)

    tap.result(m.published() == ["viofs.inf"], "the driver package is in the driver store", m.published())
    tap.result(value(SERVICE, "ImagePath") == r'"\"C:\\Program Files\\viofs\\virtiofs.exe\""' and
               value(SERVICE, "Start") == "dword:00000002" and value(SERVICE, "ObjectName") == '"LocalSystem"',
               "the service starts by itself, from a path in quotation marks", value(SERVICE, "ImagePath"))
    tap.result(value(SERVICE, "DependOnService") == 'str(7):"VirtioFsDrv\\0"', "after the driver",
               value(SERVICE, "DependOnService"))
    tap.result(m.service_state() == "RUNNING", "and runs", m.service_state())
    tap.result(value(LAUNCHER, "Executable") == r'"C:\\Program Files\\viofs\\virtiofs.exe"' and
               value(LAUNCHER, "CommandLine") == '"-t %1 -m %2"' and value(LAUNCHER, "JobControl") == "dword:00000001",
               "WinFsp.Launcher knows what fsreg.bat would have told it")
    tap.result(value(SETTINGS, "CaseInsensitive") == "dword:00000001" and value(SETTINGS, "FileSystemName") == '"NTFS"',
               "the settings are as the switches said")
    tap.result(value(APPS, "DisplayName") == '"viofs (virtio file systems)"' and
               value(APPS, "UninstallString") == r'"\"C:\\Program Files\\viofs\\uninstall.exe\""',
               "Apps has an entry that removes it")
    menu = "C:\\ProgramData\\Microsoft\\Windows\\Start Menu\\Programs\\viofs\\Shares of the host.lnk"
    with open(m.unix(menu), "rb") as f:
        link = f.read()
    command = '/k ""C:\\Program Files\\viofs\\virtiofs.exe" list"'
    tap.result(command.encode("utf-16-le") in link and "cmd.exe".encode("utf-16-le") in link.lower(),
               "the Start menu has a link to `virtiofs.exe list` whose window stays open")


def test_upgrade(tap, m):
    """What the user has changed since stays."""
    m.must("reg", "add", "HKLM\\" + SETTINGS + "\\Shares\\projects", "/v", "MountPoint", "/t", "REG_SZ", "/d", "P:",
           "/f")
    m.must("reg", "add", "HKLM\\" + SETTINGS, "/v", "FileSystemName", "/t", "REG_SZ", "/d", "exFAT", "/f")
    m.must("reg", "add", "HKLM\\" + SERVICE, "/v", "Start", "/t", "REG_DWORD", "/d", "3", "/f")
    m.stop()  # the service control manager reads the start type when it starts
    m.start()
    m.must("cmd", "/c", "ver")
    m.must("sc", "start", "VirtioFsSvc")
    before = m.look()
    outcome = m.setup("/LAUNCHER=0", exe=NEWER)
    now = m.look()
    tap.result(outcome.code == 0 and m.value(now, RECORD, "Version") == '"9.9.9"' and
               m.value(now, APPS, "DisplayVersion") == '"9.9.9"', "a newer setup takes its place", outcome)
    files = dict(differences_of_files(before, now))
    tap.result(files.get("virtiofs.exe") == "~" and files.get("viofs.sys") == "~", "with its files", files)
    tap.result(m.service_state() == "RUNNING", "the service was stopped for them and runs again", m.service_state())
    tap.result(m.value(now, SERVICE, "Start") == "dword:00000003" and
               m.value(now, SETTINGS, "FileSystemName") == '"exFAT"' and
               m.value(now, SETTINGS + "\\Shares\\projects", "MountPoint") == '"P:"',
               "settings, shares and the service's start type are the user's still")
    tap.result(m.value(now, LAUNCHER, "Executable") is None, "a component that is left out now is removed")
    outcome = m.setup(exe=NEWER)
    tap.result(outcome.code == 0 and m.value(m.look(), LAUNCHER, "Executable") is None,
               "and stays out when setup is not told about it", outcome)
    outcome = m.setup("/WITHOUTWINFSP /D=C:\\elsewhere")
    tap.result(outcome.code == 1638 and DIR in outcome.said, "an installation does not move", outcome)


def test_powerless_removal(tap, m):
    before = m.look()
    outcome = m.uninstall(by="C:\\prop.exe powerless")
    tap.result(outcome.code == 5 and not differences(before, m.look()), "the uninstaller needs an administrator",
               outcome)
    outcome = m.uninstall("/PURG")
    tap.result(outcome.code == 87 and not differences(before, m.look()), "and refuses a switch that it does not know",
               outcome)


def differences_of_files(before, now):
    for line in differences(before, now):
        if line[2:].startswith("Program Files\\viofs\\"):
            yield line[2:].split(":")[0].split("\\")[-1], line[0]


def test_removal(tap, m, before):
    outcome = m.uninstall()
    left = differences(before, m.look())
    tap.result(outcome.code == 0 and sorted(line[2:] for line in left) == sorted([
        SETTINGS, SETTINGS + "|FileSystemName", SETTINGS + "\\Shares", SETTINGS + "\\Shares\\projects",
        SETTINGS + "\\Shares\\projects|MountPoint"]),
        "uninstalling leaves the user's settings and nothing else", f"{outcome}\n" + "\n".join(left))
    tap.result(m.service_state() == "ABSENT", "the service is gone", m.service_state())
    m.setup("/DRIVER=0 /SERVICE=0")
    now = m.look()
    tap.result(m.value(now, SERVICE, "ImagePath") is None and not m.published() and
               m.value(now, LAUNCHER, "JobControl"),
               "components that are left out are not installed")
    outcome = m.uninstall("/PURGE")
    left = differences(before, m.look())
    tap.result(outcome.code == 0 and not left, "/PURGE leaves nothing at all", f"{outcome}\n" + "\n".join(left))


def test_by_itself(tap, m, before):
    """As Apps does it: the uninstaller copies itself away, and removes its own file and directory."""
    m.setup()
    m.call(f'"{DIR}\\uninstall.exe" /S')
    for _ in range(100):
        if not os.path.exists(m.unix(DIR)):
            break
        m.call("ping -n 1 127.0.0.1 >nul")
    left = differences(before, m.look())
    tap.result(not left, "the uninstaller removes itself, too", "\n".join(left))


def test_winfsp_msi(tap, m, msi):
    """Without WinFsp, but with its MSI beside setup."""
    shutil.copy(msi, m.unix("C:\\"))
    outcome = m.setup("/WINFSP")
    tap.result(outcome.code == 0 and os.path.exists(m.unix(WINFSP_DLL)) and m.service_state() == "RUNNING",
               "/WINFSP installs WinFsp from the MSI beside setup, and the service runs with it", outcome)
    outcome = m.uninstall("/PURGE")
    tap.result(outcome.code == 0 and os.path.exists(m.unix(WINFSP_DLL)), "removing viofs leaves WinFsp", outcome)


def run(tap, m):
    test_without_winfsp(tap, m)
    before = m.look()
    test_installation(tap, m, before)
    test_upgrade(tap, m)
    test_powerless_removal(tap, m)
    test_removal(tap, m, before)
    test_by_itself(tap, m, before)
