# SPDX-License-Identifier: BSD-3-Clause
"""cases_virt_manager.py - the quick start's clicks in virt-manager

Cases as in cases_domain.py. With WORK/pictures, pictures for the documentation are put there.
"""

import os
import subprocess

from guest import Guest
from host import DOMAIN, domain, read, wait_until, write
from screen import Screen, start_server, xdotool

WIDTH, HEIGHT = 900, 656


def _picture(b, name):
    directory = os.path.join(b.work, "pictures")
    if os.path.isdir(directory):
        Screen.picture(f"{directory}/virt-manager-{name}.png")


def _defined(b, *words):
    """The text of what the domain's definition has at a path."""
    node = b.parse(b.host.must("dumpxml", "--inactive", DOMAIN)).find("/".join(words))
    return None if node is None else dict(node.attrib)


def virt_manager_shows_a_domain_without_shared_memory(b):
    b.host.must("define", xml=domain(shared_memory=False, filesystems=[]))
    assert _defined(b, "memoryBacking") is None
    b.started.append(start_server(9, WIDTH, HEIGHT))
    with open("/tmp/virt-manager.log", "wb") as log:
        b.started.append(subprocess.Popen(["virt-manager", "--no-fork", "--connect", "qemu:///system",
                                           "--show-domain-editor", DOMAIN], stdout=log, stderr=log))
    b.screen = Screen("virt-manager")
    b.screen.find("table cell", "Memory", 60)
    xdotool("search", "--sync", "--onlyvisible", "--name", f"^{DOMAIN} on", "windowsize", "--sync", WIDTH, HEIGHT)


def enable_shared_memory_and_Apply_share_the_memory(b):
    b.screen.click("table cell", "Memory")
    b.screen.click("check box", "Enable shared memory")
    _picture(b, "memory")
    b.screen.click("push button", "config-apply")
    wait_until(lambda: _defined(b, "memoryBacking", "access") == {"mode": "shared"}, 20, "the memory is shared")
    assert _defined(b, "memoryBacking", "source") == {"type": "memfd"}


def Add_Hardware_adds_a_filesystem_whose_driver_is_virtiofs(b):
    b.screen.click("push button", "add-hardware")
    b.screen.click("table cell", "Filesystem")
    b.screen.find("combo box", "virtiofs")
    b.screen.write_beside("Source path:", "/home/user/viofs")
    b.screen.write_beside("Target path:", "mount_tag0")
    _picture(b, "filesystem")
    b.screen.click("push button", "Finish")
    wait_until(lambda: _defined(b, "devices", "filesystem", "target") == {"dir": "mount_tag0"}, 20, "the share is there")
    assert _defined(b, "devices", "filesystem", "driver") == {"type": "virtiofs"}
    assert _defined(b, "devices", "filesystem", "source") == {"dir": "/home/user/viofs"}
    assert _defined(b, "devices", "filesystem")["accessmode"] == "passthrough"
    b.screen.click("table cell", "Filesystem mount_ta")  # so far it shows the name
    _picture(b, "device")


def Run_starts_it_and_the_guest_has_the_share(b):
    b.screen.click("push button", "Run")
    wait_until(lambda: b.host.must("domstate", DOMAIN).strip() == "running", 30, "the domain runs")
    b.guest = Guest(b.host.work + "/obey")
    write("/home/user/viofs/from-host", "clicked\n")
    b.guest.mount("mount_tag0")
    assert b.guest.says("cat /mnt/mount_tag0/from-host && echo seen >/mnt/mount_tag0/from-guest") == "clicked"
    assert read("/home/user/viofs/from-guest") == "seen\n"
