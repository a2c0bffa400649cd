# SPDX-License-Identifier: BSD-3-Clause
"""bench.py - what the cases share, and how they are run

A case is a function of a module cases_*.py whose name is what must hold. The cases of a module run as they are written,
one after the other, on one Bench; names that begin with _ are helpers.
"""

import os
import traceback
import xml.etree.ElementTree as ET

from guest import GuestFailed
from host import DOMAIN, Failed, Host, example


class Bench:
    """A host, its guest, and what the cases have started."""

    def __init__(self):
        self.work = os.environ["WORK"]
        self.host = Host()
        self.started = []  # processes that a case started by hand
        self.guest = self.daemon = self.qemu = None

    def off(self):
        """Power the guest off, as a user in it would."""
        try:
            self.guest.run("poweroff -f", 10)
        except (GuestFailed, ConnectionError):
            pass
        else:
            raise Failed("the guest does not power off")

    def refused(self, tag, **changes):
        """Plug in a share that libvirt must refuse. Return: what it says."""
        return self.host.refuses("attach-device", DOMAIN, "--live", xml=example(tag, **changes))

    def by_hand(self):
        """Pids of the daemons that cases started, with those of their sandboxes."""
        pids = {process.pid for process in self.started}
        for pid in list(pids):
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                    pids.update(map(int, f.read().split()))
            except OSError:
                pass
        return pids

    @staticmethod
    def parse(text):
        return ET.fromstring(text)


def run_cases(bench, tap, module):
    """Run the cases of a module. One that fails does not keep the next from being tried."""
    for name, case in list(vars(module).items()):
        if name[0] == "_" or getattr(case, "__module__", "") != module.__name__:
            continue
        try:
            case(bench)
        except Exception:  # pylint: disable=broad-except
            tap.result(False, name.replace("_", " "), traceback.format_exc())
        else:
            tap.result(True, name.replace("_", " "))
