# SPDX-License-Identifier: BSD-3-Clause
"""screen.py - an X server without a screen, and a user of GTK programs on it

What is on the screen is found through accessibility (AT-SPI), by role and name; what is found is clicked with the
mouse, in its middle, and typed into with the keyboard (xdotool), as a user would. There is no window manager: windows are
where they put themselves.

Needs a D-Bus session and runs with Debian's own python3, to which gir1.2-atspi-2.0 belongs.
"""

import os
import subprocess
import time

import gi

from host import Failed, wait_until

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402 pylint: disable=wrong-import-position


def start_server(number, width, height):
    """Xvfb on display number, for what is started from now on. Return: its process."""
    server = subprocess.Popen(["Xvfb", f":{number}", "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(f"/tmp/.X11-unix/X{number}"), 20, "Xvfb is there")
    os.environ.update(DISPLAY=f":{number}", GTK_MODULES="gail:atk-bridge", GDK_BACKEND="x11", GTK_THEME="Adwaita")
    return server


def xdotool(*words):
    return subprocess.run(["xdotool", *map(str, words)], check=True, capture_output=True, text=True,
                          timeout=30).stdout.strip()


class Screen:
    """A program's windows."""

    def __init__(self, program):
        self.program = program

    def _roots(self):
        desktop = Atspi.get_desktop(0)
        for i in range(desktop.get_child_count()):
            application = desktop.get_child_at_index(i)
            if application and self.program in application.get_name():
                for j in range(application.get_child_count()):
                    yield application.get_child_at_index(j)

    def _search(self, node, role, name):
        if node is None:
            return None
        states = node.get_state_set()
        if node.get_role_name() == role and node.get_name() == name and states.contains(Atspi.StateType.SHOWING):
            return node
        for i in range(node.get_child_count()):
            found = self._search(node.get_child_at_index(i), role, name)
            if found:
                return found
        return None

    def look(self, role, name):
        """What has this role and name and is to be seen now, or None. The newest window first."""
        try:
            for root in reversed(list(self._roots())):
                found = self._search(root, role, name)
                if found:
                    return found
        except GLib.Error:  # it went while we looked
            pass
        return None

    def find(self, role, name, seconds=30):
        """The same, waiting for it."""
        end = time.monotonic() + seconds
        while True:
            found = self.look(role, name)
            if found:
                return found
            if time.monotonic() > end:
                raise Failed(f"no {role} '{name}' on the screen; there are:\n{self.describe()}")
            time.sleep(0.1)

    def describe(self):
        """What is to be seen, for messages."""
        lines = []

        def walk(node, depth):
            if node and node.get_state_set().contains(Atspi.StateType.SHOWING):
                lines.append(f"{'  ' * depth}{node.get_role_name()} '{node.get_name()}'")
                for i in range(node.get_child_count()):
                    walk(node.get_child_at_index(i), depth + 1)

        for root in self._roots():
            walk(root, 0)
        return "\n".join(lines)

    def click(self, role, name, seconds=30):
        """Click it where it is."""
        node = self.find(role, name, seconds)
        box = node.get_extents(Atspi.CoordType.SCREEN)
        xdotool("mousemove", box.x + min(box.width // 2, 60), box.y + box.height // 2, "click", 1)
        return node

    def write_beside(self, label, text):
        """Click into the entry to the right of a label, and type."""
        box = self.find("label", label).get_extents(Atspi.CoordType.SCREEN)
        xdotool("mousemove", box.x + box.width + 40, box.y + box.height // 2, "click", 1)
        xdotool("type", "--delay", 5, text)

    @staticmethod
    def picture(path):
        """A picture of the screen, small: 64 colours."""
        time.sleep(0.5)  # animations
        subprocess.run(["import", "-window", "root", "+dither", "-colors", "64", f"png8:{path}"], check=True, timeout=30)
