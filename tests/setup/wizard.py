# SPDX-License-Identifier: BSD-3-Clause
"""wizard.py - click through setup's pages, on a screen that nobody sees

Xvfb is the screen; keys are pressed by xdotool, as a person would press them. What is on a page is read from its
controls (prop texts), so a page counts as seen only if it says what it should. The prefix has no WinFsp, and another
vendor's service: every page that setup has is shown. With VIOFS_PICTURES=DIR, each page's picture is put there as
setup-NAME.png; docs/images has them.
"""

import contextlib
import os
import subprocess
import sys
import time

from rig import LAUNCHER, RECORD, SERVICE, SETTINGS, Failed

FOREIGN_EXE = "C:\\Program Files\\Virtio-Win\\VioFS\\virtiofs.exe"

# What a page says, the keys that answer it, and the name of its picture.
PAGES = (
    ("appear as drives", ["Return"], "welcome"),
    ("License Agreement", ["Return"], "license"),
    ("WinFsp is not installed", ["Return"], "winfsp"),
    ("Choose Components", ["Return"], "components"),
    ("Another virtio-fs is installed", ["alt+k", "Return"], "takeover"),
    ("CaseInsensitive", ["alt+d", "Return"], "settings"),
    ("Destination Folder", ["Return"], "directory"),
    ("Installation Complete", ["Return"], "progress"),
    ("WinFsp is missing", ["Return"], "finish"),
)


@contextlib.contextmanager
def screen():
    """A display. Yields its name."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
                              pass_fds=[write], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    os.close(write)
    try:
        with os.fdopen(read) as f:
            number = f.readline().strip()
        if not number:
            raise Failed("Xvfb did not start")
        yield ":" + number
    finally:
        server.terminate()
        server.wait(10)


class Wizard:
    def __init__(self, m, pictures):
        self.m, self.pictures, self.said = m, pictures, ""

    def shows(self, text, seconds=30):
        """Does a page with this text come?"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = self.m.run("C:\\prop.exe", "texts", quiet=True)
            if done.stdout:
                self.said = done.stdout
            if text in self.said and done.stdout:
                return True
            time.sleep(0.1)
        return False

    def press(self, keys):
        for key in keys:
            subprocess.run(["xdotool", "key", "--clearmodifiers", key], env=self.m.env, check=True, timeout=20)
            time.sleep(0.2)

    def picture(self, name):
        window = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "viofs"], env=self.m.env, check=True,
                                capture_output=True, text=True, timeout=20).stdout.split()[-1]
        path = os.path.join(self.pictures, f"setup-{name}.png")
        subprocess.run(["import", "-window", window, "-strip", "+dither", "-colors", "64", "png8:" + path],
                       env=self.m.env, check=True, timeout=20)


def run(tap, m):
    """Leaves the machine without WinFsp."""
    pictures = os.environ.get("VIOFS_PICTURES")
    m.run("reg", "delete", "HKLM\\Software\\WOW6432Node\\WinFsp", "/f")
    m.must("sc", "create", "VirtioFsSvc", "binPath=", f'"{FOREIGN_EXE}"', "start=", "auto")
    m.stop()
    with screen() as display:
        m.env["DISPLAY"] = display
        m.start()
        try:
            click_through(tap, m, pictures)
        finally:
            m.stop()
            del m.env["DISPLAY"]
    m.start()
    look = m.look()
    tap.result(m.value(look, RECORD, "Version") is not None and
               m.value(look, LAUNCHER, "JobControl") == "dword:00000001",
               "the wizard has installed")
    tap.result(m.value(look, SETTINGS, "CaseInsensitive") == "dword:00000001", "with the setting that was clicked")
    tap.result("viofs" in (m.value(look, SERVICE, "ImagePath") or ""),
               "and has taken the service that it was told to take")
    tap.result(m.uninstall("/PURGE").code == 0, "what the wizard installed can be uninstalled")


def click_through(tap, m, pictures):
    log = open(m.log, "ab")
    setup = subprocess.Popen(["wine", "C:\\virtiofs-setup.exe"], env=m.env, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=log)
    wizard = Wizard(m, pictures)
    try:
        for text, keys, name in PAGES:
            if not tap.result(wizard.shows(text), f"the wizard shows the page '{name}'", wizard.said):
                return
            if pictures:
                time.sleep(0.5)
                wizard.picture(name)
            wizard.press(keys)
        setup.wait(30)
        tap.result(setup.returncode == 0, "and ends when the last page has been clicked", setup.returncode)
    finally:
        if setup.poll() is None:
            setup.kill()
        log.close()
