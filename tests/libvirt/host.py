# SPDX-License-Identifier: BSD-3-Clause
"""host.py - Debian's libvirt, started by hand, and the domain of the quick start

Theory of operation

  Runs in tests/private-host, as root: /etc, /run and /var are our own, so libvirtd and virtlogd start as they would
  at boot, with their default settings, and see no other domain. What Debian's package libvirt-daemon-system does
  when it is installed, besides starting them, is to make the user libvirt-qemu; that is done here.

  The domain is tests/libvirt/domain.xml plus the elements of integration/examples/libvirt.xml, which is the
  quick start's text.

Ownership: what start() starts ends with the private host.
"""

import contextlib
import glob
import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET

TOP = os.environ["VIOFS_TOP"]
HERE = os.path.join(TOP, "tests", "libvirt")
EXAMPLE = os.path.join(TOP, "integration", "examples", "libvirt.xml")
LOGS = "/var/log/libvirt/qemu"
DOMAIN = "viofs"


class Failed(Exception):
    """Something could not be done; the text says what and why."""


def wait_until(condition, seconds, what):
    """Ask again and again, for what makes no event that could be waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def make_user():
    """libvirt-qemu, as whom libvirt runs QEMU."""
    if subprocess.run(["getent", "passwd", "libvirt-qemu"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        return
    with open("/etc/group", "a", encoding="utf-8") as f:
        f.write("libvirt-qemu:x:64055:\n")
    with open("/etc/passwd", "a", encoding="utf-8") as f:
        f.write("libvirt-qemu:x:64055:64055:libvirt:/var/lib/libvirt:/usr/sbin/nologin\n")


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().decode().split("\0")[:-1]


def serving(pid):
    """The process that serves, of a daemon that libvirt started: the last of a line of children."""
    while children := read(f"/proc/{pid}/task/{pid}/children").split():
        pid = int(children[0])
    return pid


def daemons():
    """Pids of all virtiofsd processes, whoever's daemon and on whichever side of its sandbox."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):  # it ended meanwhile, or is a kernel thread
            if os.path.basename(command_line(pid)[0]) == "virtiofsd":
                found.append(int(pid))
    return found


def example(tag=None, **changes):
    """Elements of the quick start: memoryBacking and the two filesystems; or with a tag, one more filesystem like
    them, without an address, whose children source, binary, ... are replaced by the XML given for them."""
    root = ET.parse(EXAMPLE).getroot()
    if tag is None:
        return root
    filesystem = root.find("devices/filesystem")
    filesystem.remove(filesystem.find("address"))
    filesystem.find("target").set("dir", tag)
    for name, text in changes.items():
        old = filesystem.find(name)
        if old is not None:
            filesystem.remove(old)
        if text:
            filesystem.append(ET.fromstring(text))
    return filesystem


def domain(shared_memory=True, filesystems=None):
    """The whole domain, as text."""
    root = ET.parse(os.path.join(HERE, "domain.xml")).getroot()
    quick_start = example()
    if shared_memory:
        root.insert(list(root).index(root.find("vcpu")), quick_start.find("memoryBacking"))
    for filesystem in quick_start.findall("devices/filesystem") if filesystems is None else filesystems:
        root.find("devices").append(filesystem)
    return ET.tostring(root, encoding="unicode")


class Host:
    """virtlogd and libvirtd, and virsh to speak to them."""

    work = "/tmp/guest"

    def start(self):
        """Start them, and put the guest where libvirt may read it."""
        make_user()
        os.environ["LIBVIRT_DEFAULT_URI"] = "qemu:///system"
        os.mkdir(self.work)
        os.chmod(self.work, 0o777)  # QEMU makes its socket there
        for name in "vmlinuz", "initramfs.gz":
            shutil.copy(os.path.join(os.environ["WORK"], name), self.work)
        for name, path in ("virtlogd", "virtlogd-sock"), ("libvirtd", "libvirt-sock"):
            with open(f"/var/log/libvirt/{name}.log", "ab") as log:
                subprocess.Popen([name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            wait_until(lambda: os.path.exists(f"/run/libvirt/{path}"), 20, f"{name} has its socket")  # noqa: B023
        wait_until(lambda: self.virsh("list").returncode == 0, 20, "libvirtd answers")

    def virsh(self, *words, xml=None, seconds=60):
        """Run virsh; xml goes to a file whose name is the last word. Return: CompletedProcess."""
        if xml is not None:
            path = os.path.join(self.work, "given.xml")
            write(path, xml if isinstance(xml, str) else ET.tostring(xml, encoding="unicode"))
            words += (path,)
        return subprocess.run(["virsh", "--quiet", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds, check=False)

    def must(self, *words, **named):
        """virsh, which must succeed. Return: its output."""
        done = self.virsh(*words, **named)
        if done.returncode != 0:
            raise Failed(f"virsh {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def refuses(self, *words, **named):
        """virsh, which must fail. Return: what it says."""
        done = self.virsh(*words, **named)
        if done.returncode == 0:
            raise Failed(f"virsh {' '.join(words)} succeeded")
        return done.stderr.strip()

    def live(self, tag):
        """The running domain's filesystem of this tag."""
        root = ET.fromstring(self.must("dumpxml", DOMAIN))
        for filesystem in root.findall("devices/filesystem"):
            if filesystem.find("target").get("dir") == tag:
                return filesystem
        return None

    def log(self, tag):
        """What the daemon of a share has said, where libvirt keeps it."""
        return self.log_of(self.live(tag).find("alias").get("name"))

    @staticmethod
    def log_of(alias):
        return read(f"{LOGS}/{DOMAIN}-{alias}-virtiofsd.log")

    @staticmethod
    def newest_log():
        return read(max(glob.glob(f"{LOGS}/{DOMAIN}-fs*-virtiofsd.log"), key=os.path.getmtime))

    def daemon(self, tag):
        """pid and command line of the daemon that libvirt started for a share."""
        alias = self.live(tag).find("alias").get("name")
        pid = int(read(glob.glob(f"/run/libvirt/qemu/*-{DOMAIN}-{alias}-fs.pid")[0]))
        return pid, command_line(pid)
