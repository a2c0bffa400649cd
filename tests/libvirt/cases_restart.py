# SPDX-License-Identifier: BSD-3-Clause
"""cases_restart.py - the quick start's domain ends, starts again, is reset, loses a daemon; and virt-xml

Cases as in cases_domain.py, after those of cases_devices.py.
"""

import glob
import os
import signal
import subprocess

from guest import Guest
from host import DOMAIN, daemons, domain, example, read, serving, wait_until

OURS = "/usr/libexec/virtiofsd"


def a_domain_that_powers_off_takes_its_daemons_along(b):
    b.off()
    wait_until(lambda: b.host.must("domstate", DOMAIN).strip() == "shut off", 10, "the domain is off")
    wait_until(lambda: set(daemons()) <= b.by_hand(), 5, "libvirt's daemons end")
    assert not glob.glob("/var/lib/libvirt/qemu/**/*.sock", recursive=True)
    assert not glob.glob("/run/libvirt/qemu/*-fs.pid")


def the_domain_starts_again_with_its_shares(b):
    b.host.must("start", DOMAIN)
    b.guest = Guest(b.host.work + "/obey")
    b.guest.mount("mount_tag0")
    assert b.guest.says("cat /mnt/mount_tag0/from-guest") == "mount_tag0"


def a_daemon_run_by_hand_serves_the_next_run_too(b):
    b.guest.mount("by_hand")
    assert b.guest.says("cat /mnt/by_hand/first-run") == "still here"


def a_guest_that_is_reset_finds_its_shares_again(b):
    b.guest.says("echo before the reset >/mnt/mount_tag0/reset")
    b.host.must("reset", DOMAIN)
    b.guest.wait_ready()
    b.guest.mount("mount_tag0")
    assert b.guest.says("cat /mnt/mount_tag0/reset") == "before the reset"


def a_killed_worker_is_replaced_under_the_guest(b):
    pid, _ = b.host.daemon("mount_tag0")
    b.guest.says("exec 7>/mnt/mount_tag0/open && echo before >&7")
    for turn in range(3):
        os.kill(serving(pid), signal.SIGKILL)
        b.guest.says(f"echo after {turn} >&7")
    assert read("/home/user/viofs/open").splitlines() == ["before", "after 0", "after 1", "after 2"]
    assert b.guest.says("exec 7>&-; cat /mnt/mount_tag0/reset") == "before the reset"
    log = b.host.log("mount_tag0")
    assert "ended with" in log and "the front end's device goes on" in log, log


def a_reload_puts_another_worker_in_its_place(b):
    pid, _ = b.host.daemon("mount_tag0")
    before = serving(pid)
    os.kill(pid, signal.SIGUSR2)
    wait_until(lambda: "reload: the new worker" in b.host.log("mount_tag0"), 10, "the new worker")
    assert b.guest.says("cat /mnt/mount_tag0/reset") == "before the reset"
    assert serving(pid) != before


def a_share_whose_whole_daemon_is_killed_says_so_and_serves_on(b):
    pid, _ = b.host.daemon("mount_tag0")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "the supervisor has ended" in b.host.log("mount_tag0"), 5, "the message")
    assert b.guest.says("cat /mnt/mount_tag0/reset") == "before the reset"


def the_other_shares_work_on_meanwhile(b):
    b.guest.mount("mount_tag1")
    assert b.guest.says("cat /mnt/mount_tag1/from-guest") == "mount_tag1"


def the_domain_can_be_destroyed_and_started_with_the_share_back(b):
    b.host.must("destroy", DOMAIN)
    b.host.must("start", "--paused", DOMAIN)
    assert os.readlink(f"/proc/{b.host.daemon('mount_tag0')[0]}/exe") == OURS
    b.host.must("destroy", DOMAIN)


def _meaning(node):
    """An element, whatever the order of its children and the notation of its numbers."""
    attributes = {name: int(value, 0) if node.tag == "address" and name != "type" else value
                  for name, value in node.attrib.items()}
    return (node.tag, sorted(attributes.items()), sorted(map(_meaning, node)))


def virt_xml_makes_what_the_quick_start_has(b):
    steps = [["--edit", "--memorybacking", "source.type=memfd,access.mode=shared"]]
    for tag, source, bus in ("mount_tag0", "viofs", "0x06"), ("mount_tag1", "vm_share", "0x07"):
        steps.append(["--add-device", "--filesystem",
                      "type=mount,accessmode=passthrough,driver.type=virtiofs,driver.queue=1024,"
                      f"source.dir=/home/user/{source},target.dir={tag},address.type=pci,address.domain=0x0000,"
                      f"address.bus={bus},address.slot=0x00,address.function=0x0"])
    text = domain(shared_memory=False, filesystems=[])
    for step in steps:
        done = subprocess.run(["virt-xml", *step, "--print-xml"], input=text, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        text = done.stdout
    made, wanted = b.parse(text), example()
    assert _meaning(made.find("memoryBacking")) == _meaning(wanted.find("memoryBacking")), text
    assert list(map(_meaning, made.findall("devices/filesystem"))) == list(
        map(_meaning, wanted.findall("devices/filesystem"))), text
