# SPDX-License-Identifier: BSD-3-Clause
"""survive.py - setup that was killed, that failed half-way, that ran out of room"""

import os
import subprocess

from rig import DIR, RECORD, SHIPPED, differences

STEPS = ("Uninstaller", "Files", "Driver", "Service", "Launcher", "Settings", "Links")
UNDONE = ("Service", "Launcher", "Links", "Settings", "Driver", "Files")


def killed(m, doing, step):
    """Kill setup or the uninstaller right after a step. Three tries: it may be quicker than the killer."""
    for _ in range(3):
        if doing(by=f"C:\\prop.exe kill {step}").code == 0:
            return True
    return False


def complete(m):
    return sorted(os.listdir(m.unix(DIR))) == sorted(SHIPPED) and m.service_state() == "RUNNING"


def test_killed_then_removed(tap, m, before, step):
    found = killed(m, m.setup, step)
    record = m.value(m.hive("Software"), RECORD, "Version")
    tap.result(found and record is None, f"setup is killed after the step {step}")
    outcome = m.uninstall()
    left = differences(before, m.look())
    tap.result(outcome.code == 0 and not left, f"{step}: the half of it can be uninstalled",
               f"{outcome}\n" + "\n".join(left))


def test_killed_then_completed(tap, m, step):
    killed(m, m.setup, step)
    outcome = m.setup()
    tap.result(outcome.code == 0 and complete(m), f"{step}: the next setup completes what was killed there", outcome)


def test_removal_killed(tap, m, before, step):
    found = killed(m, m.uninstall, "-" + step)
    outcome = m.uninstall()
    left = differences(before, m.look())
    tap.result(found and outcome.code == 0 and not left, f"{step}: removal that was killed there is completed",
               f"{outcome}\n" + "\n".join(left))


def test_failing_driver(tap, m, before):
    """Wine cannot install the INF that ships for a device (others.py), so this step fails."""
    m.must("C:\\prop.exe", "device", "add")
    outcome = m.setup()
    tap.result(outcome.code == 31 and "did not get the driver" in outcome.said and "uninstall" in outcome.said,
               "a driver that cannot be installed ends setup with the helper's code", outcome)
    outcome = m.uninstall()
    m.must("C:\\prop.exe", "device", "remove")
    left = differences(before, m.look())
    tap.result(outcome.code == 0 and not left, "and the half of it can be uninstalled",
               f"{outcome}\n" + "\n".join(left))


def test_disk(tap, m, work):
    """A disk whose room ends in the middle of a step: it has no more inodes."""
    disk, link = os.path.join(work, "disk"), os.path.join(m.path, "dosdevices", "s:")

    def allow(inodes):
        subprocess.run(["mount", "-o", f"remount,nr_inodes={inodes}", disk], check=True)

    os.makedirs(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,nr_inodes=4", "none", disk], check=True)
    os.symlink(disk, link)
    try:
        outcome = m.setup("/D=S:\\viofs")
        tap.result(outcome.code == 112 and "disk full" in outcome.said, "a disk that gets full ends setup with 112",
                   outcome)
        allow(12)
        outcome = m.setup("/D=S:\\viofs")
        tap.result(outcome.code == 0 and m.service_state() == "RUNNING", "with room the next setup completes it",
                   outcome)
        outcome = m.setup(exe="C:\\virtiofs-setup-9.exe")  # which knows where viofs is
        tap.result(outcome.code == 112 and m.service_state() == "RUNNING" and
                   sorted(os.listdir(os.path.join(disk, "viofs"))) == sorted(SHIPPED),
                   "no room for a newer one: the older one is whole, and runs", outcome)
        outcome = m.call('"S:\\viofs\\uninstall.exe" /S /LOG=C:\\log _?=S:\\viofs')
        tap.result(outcome.code == 0 and not os.path.exists(os.path.join(disk, "viofs", "virtiofs.exe")),
                   "it can be removed from the full disk", outcome)
    finally:
        os.unlink(link)
        subprocess.run(["umount", "-l", disk], check=True)


def run(tap, m, work, soak):
    before = m.look()
    for n, step in enumerate(STEPS):
        if soak or n % 2 == 0:
            test_killed_then_removed(tap, m, before, step)
    for n, step in enumerate(STEPS):
        if soak or n % 2 == 1:
            test_killed_then_completed(tap, m, step)
            if not soak:
                test_removal_killed(tap, m, before, UNDONE[n])
    if soak:
        for step in UNDONE:
            m.setup()
            test_removal_killed(tap, m, before, step)
    test_failing_driver(tap, m, before)
    test_disk(tap, m, work)
    left = differences(before, m.look())
    tap.result(not left, "after all this nothing is left", "\n".join(left))
