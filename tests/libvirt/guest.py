# SPDX-License-Identifier: BSD-3-Clause
"""guest.py - the small Linux guest, and how it is told what to do

The guest runs guest-obey: a line that is sent over its second serial port is done by busybox sh, and comes back as
its output and a line "status N". Nothing of this goes through the file systems under test.
"""

import socket
import time


class GuestFailed(Exception):
    """The guest did not answer, or not well."""


class Guest:
    """The host's end of a guest's serial port."""

    def __init__(self, path, seconds=120):
        """Connect to the UNIX socket at path and wait until the guest is up."""
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(5)
        self.link.connect(path)
        self.buffer = b""
        self.wait_ready(seconds)

    def wait_ready(self, seconds=120):
        """Wait until the guest has booted."""
        end = time.monotonic() + seconds
        while self._line(end) != "ready":
            pass
        self.run("true")  # it may have said "ready" some more times

    def _line(self, end):
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise GuestFailed(f"the guest does not answer; so far: {self.buffer!r}")
            self.link.settimeout(left)
            try:
                data = self.link.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise GuestFailed("the guest has gone")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("utf-8", "replace").rstrip("\r")

    def run(self, command, seconds=60):
        """Do one line of shell in the guest. Return: its status, its output."""
        self.link.settimeout(seconds)
        self.link.sendall(command.encode() + b"\n")
        end = time.monotonic() + seconds
        lines = []
        while True:
            line = self._line(end)
            if line.startswith("status "):
                return int(line.split()[1]), "\n".join(lines).rstrip("\n")
            if line != "ready":
                lines.append(line)

    def says(self, command, seconds=60):
        """The output of a command that must succeed."""
        status, output = self.run(command, seconds)
        if status != 0:
            raise GuestFailed(f"{command}: status {status}\n{output}")
        return output

    def mount(self, tag):
        """Mount a share at /mnt/TAG. The device may have been plugged in just now: the guest gets some time to see it."""
        self.says(f"mkdir -p /mnt/{tag} && for i in $(seq 100); do mount -t virtiofs {tag} /mnt/{tag} 2>/dev/null && break;"
                  f" sleep 0.2; done; grep -q ' /mnt/{tag} virtiofs ' /proc/mounts")
