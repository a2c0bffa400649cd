# SPDX-License-Identifier: BSD-3-Clause
"""rig.py - a Windows in Wine on which the installer is tried, and what is to be seen there

Machine is a fresh Wine prefix that says it is Windows 10. setup() and uninstall() run the files that ship, silently, and
tell the exit code and what they logged. look() takes down the whole of HKLM\\Software and HKLM\\System and every file on
C:, so that a test can say "nothing else has changed".

What is passed over when two looks are compared is what Wine or NSIS leave, not viofs: see PASSED_OVER.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ["VIOFS_TOP"]
BUILD = os.environ["VIOFS_BUILD"]
sys.path.insert(0, os.path.join(TOP, "tests", "wine", "chain"))
# pylint: disable=wrong-import-position
from chain import Failed, Prefix, reg_key  # noqa: E402

DIR = "C:\\Program Files\\viofs"
SETUP = "C:\\virtiofs-setup.exe"
RECORD = "Software\\viofs\\Setup"
SETTINGS = "Software\\virtiofs"
APPS = "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\viofs"
LAUNCHER = "Software\\Wow6432Node\\WinFsp\\Services\\virtiofs"
SERVICE = "System\\CurrentControlSet\\Services\\VirtioFsSvc"
DRIVER = "System\\CurrentControlSet\\Services\\VirtioFsDrv"
SHIPPED = ("LICENSE", "uninstall.exe", "viofs-driver.exe", "viofs-service.exe", "viofs.cat", "viofs.inf", "viofs.sys",
           "virtiofs.exe")

PASSED_OVER = [re.compile(pattern, re.IGNORECASE) for pattern in (
    r"^users\\[^\\]+\\Temp\\",                         # the uninstaller's copy, removed when Windows starts
    r"Session Manager\|PendingFileRenameOperations$",  # the same
    r"^windows\\inf\\[^\\]+\.pnf$",                    # Wine's setupapi makes them and forgets them
    r"^(log|call\.bat|[a-z]+\.hive|import\.reg)$",     # this rig's own
    r"^windows\\system32\\catroot(\\|$)",              # Wine's store of catalogs, which nothing is taken out of
    r"Control\\Class\\\{4D36E96[8E]-",                  # Wine's display devices, found by each new desktop
    r"Control\\DeviceClasses\\\{A1B0CBF2-",            # Wine makes an interface's key for whoever asks about it
)]


class Outcome:
    """How a program ended: exit code (32 bits) and what it said."""

    def __init__(self, code, said):
        self.code, self.said = code, said

    def __str__(self):
        return f"exit code {self.code}; said:\n{self.said}"


def differences(before, after):
    """What was added (+), taken away (-) and changed (~) between two looks."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if any(p.search(name) for p in PASSED_OVER) or before.get(name) == after.get(name):
            continue
        sign = "+" if name not in before else "-" if name not in after else "~"
        lines.append(f"{sign} {name}" + (f": {before[name]} → {after[name]}" if sign == "~" else ""))
    return lines


class Machine(Prefix):
    def __init__(self, work, name):
        super().__init__(os.path.join(work, name), os.path.join(work, name + ".log"))
        self.env["WINEDLLOVERRIDES"] += ";winemenubuilder.exe=d"  # no menus in the home of whoever runs this

    def begin(self, *programs):
        with open(self.log, "wb") as log:
            subprocess.run(["bash", "-c", '. "$0" && wine_template && cp -a "$VIOFS_BUILD/wine-template" "$1"',
                            os.path.join(TOP, "tests", "wine", "wine.sh"), self.path], stdin=subprocess.DEVNULL,
                           stdout=log, stderr=log, timeout=300, check=True)
        for program in programs:
            shutil.copy(program, self.unix("C:\\"))
        self.start()
        self.set_windows("win10")
        # Wine cannot run viofs.sys, and no debugger needs to say so.
        self.regedit(reg_key("HKEY_LOCAL_MACHINE\\Software\\Microsoft\\Windows NT\\CurrentVersion\\AeDebug",
                             {"Debugger": "none"}))

    # ---- doing ----

    def call(self, line, seconds=90):
        """Run a command line as it is written. Return: Outcome; what it said is what is in C:\\log, if anything."""
        log = self.unix("C:\\log")
        with open(self.unix("C:\\call.bat"), "w", encoding="ascii", newline="\r\n") as f:
            f.write(f"@{line}\n@echo EXIT %errorlevel%\n")
        if os.path.exists(log):
            os.unlink(log)
        out = self.run("cmd", "/c", "C:\\call.bat", seconds=seconds).stdout
        match = re.search(r"EXIT (-?\d+)\s*$", out)
        if not match:
            raise Failed(f"{line}: did not come back\n{out}")
        said = out[:match.start()]
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as f:
                said += f.read().replace("\r", "")
        print(f"$ {line}\n{said}= {match.group(1)}", file=sys.stderr, flush=True)
        return Outcome(int(match.group(1)), said)

    def setup(self, switches="", exe=SETUP, by=""):
        return self.call(f'{by} "{exe}" /S /LOG=C:\\log {switches}')

    def uninstall(self, switches="", by=""):
        """In the foreground (_?=), so that its end is seen; which is why it cannot remove itself everywhere."""
        outcome = self.call(f'{by} "{DIR}\\uninstall.exe" /S /LOG=C:\\log {switches} _?={DIR}')
        left = self.unix(DIR)
        if not by and outcome.code in (0, 3010) and os.path.isdir(left) and os.listdir(left) == ["uninstall.exe"]:
            shutil.rmtree(left)
        return outcome

    def driver(self, arguments, program="C:\\viofs-driver.exe"):
        return self.call(f'"{program}" {arguments}')

    def service_state(self):
        self.run("sc", "query", "VirtioFsSvc", quiet=True)
        with open(self.log + ".out", "rb") as out:
            match = re.search(rb"STATE\s*:\s*\d+\s+([A-Z_]+)", out.read().replace(b"\0", b""))
        return match.group(1).decode() if match else "ABSENT"

    def put_winfsp(self, directory="C:\\WinFsp"):
        """A WinFsp with which nothing can be mounted, as its installer would leave it."""
        os.makedirs(self.unix(directory + "\\bin"), exist_ok=True)
        shutil.copy(os.path.join(os.path.dirname(self.path), "winfsp-x64.dll"), self.unix(directory + "\\bin"))
        self.regedit(reg_key("HKEY_LOCAL_MACHINE\\Software\\WOW6432Node\\WinFsp", {"InstallDir": directory + "\\"}))

    def set_windows(self, version):
        """What Wine says it is: "win10", "win81"."""
        self.regedit(reg_key("HKEY_CURRENT_USER\\Software\\Wine", {"Version": version}))

    # ---- looking ----

    def hive(self, name):
        """A key of HKLM as {"Key\\Sub|value": text}; volatile keys are not in it."""
        self.must("C:\\prop.exe", "save", f"C:\\{name.lower()}.hive", name)
        found, key = {}, name
        with open(self.unix(f"C:\\{name.lower()}.hive"), encoding="utf-8", errors="replace") as f:
            text = f.read().replace("\\\n  ", "")
        for line in text.splitlines():
            if line.startswith("["):
                key = name + "\\" + line[1:line.rindex("]")].replace("\\\\", "\\")
                parts = key.split("\\")  # a key that only has keys is not written by itself
                found.update({"\\".join(parts[:n]): "" for n in range(1, len(parts) + 1)})
            elif line[:1] in ('"', "@"):
                value, _, data = line.partition("=") if line[0] == "@" else line[1:].partition('"=')
                found[f"{key}|{value}"] = data
        return found

    def files(self):
        found, root = {}, os.path.join(self.path, "drive_c")
        for directory, names, entries in os.walk(root):
            for name in names + entries:
                path = os.path.join(directory, name)
                stat = os.lstat(path)
                inside = os.path.relpath(path, root).replace("/", "\\")
                found[inside] = "" if name in names else f"{stat.st_size} bytes, {stat.st_mtime_ns}"
        return found

    def look(self):
        return {**self.hive("Software"), **self.hive("System"), **self.files()}

    def value(self, look, key, name):
        """A registry value as Wine writes it: 'dword:00000001', '"text"'; None if it is not there."""
        wanted = f"{key}|{name}".lower()
        return next((v for k, v in look.items() if k.lower() == wanted), None)

    def published(self):
        """Names of our driver packages in the store."""
        return sorted(os.path.basename(p) for p in glob.glob(self.unix("C:\\windows\\inf\\*.inf"))
                      if re.match(r"(oem\d+|viofs)\.inf$", os.path.basename(p)) and b'"viofs"' in open(p, "rb").read())
