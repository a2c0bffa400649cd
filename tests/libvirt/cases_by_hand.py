# SPDX-License-Identifier: BSD-3-Clause
"""cases_by_hand.py - the quick start's two commands, as integration/examples/qemu.txt and the documentation have them

Cases as in cases_domain.py. The second command ends with "...": there the tests put kernel, initramfs and serial ports.
Where KVM does not work, -enable-kvm is left out and QEMU emulates.
"""

import filecmp
import os
import shlex
import subprocess

from guest import Guest
from host import TOP, read, wait_until, write

EXAMPLES = os.path.join(TOP, "integration", "examples")


def _commands():
    """The two commands, as lists of words."""
    first, second = read(f"{EXAMPLES}/qemu.txt").strip().split("\n\n")
    return shlex.split(first), shlex.split(second.replace("\\\n", " "))


def _start(b, name, words):
    with open(f"/tmp/{name}.log", "wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    b.started.append(process)
    return process


def _start_daemon(b):
    """The first command. Return: its process, which listens."""
    words, _ = _commands()
    process = _start(b, "virtiofsd", words)
    wait_until(lambda: os.path.exists("/tmp/virtiofs_socket") or process.poll() is not None, 5, "the socket is there")
    assert process.poll() is None, read("/tmp/virtiofsd.log")
    return process


def _start_qemu(b, without=()):
    """The second command, with a guest in place of its dots."""
    _, words = _commands()
    assert words.pop() == "..."
    if not os.path.exists("/dev/kvm"):
        words.remove("-enable-kvm")
    for option, value in without:
        at = words.index(option)
        assert words[at + 1].startswith(value), words
        del words[at:at + 2]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "file:/tmp/console.log",
              "-chardev", "socket,id=obey,path=/tmp/obey,server=on,wait=off", "-serial", "chardev:obey",
              "-kernel", f"{b.work}/vmlinuz", "-initrd", f"{b.work}/initramfs.gz", "-append",
              "console=ttyS0 quiet loglevel=4 panic=-1 tsc=reliable no_timer_check mitigations=off"]
    process = _start(b, "qemu", words)
    wait_until(lambda: os.path.exists("/tmp/obey") or process.poll() is not None, 10, "QEMU has its socket")
    assert process.poll() is None, read("/tmp/qemu.log")
    return process


def the_README_shows_the_commands_that_are_tested(_b):
    block = "".join(f"    {line}".rstrip() + "\n" for line in read(f"{EXAMPLES}/qemu.txt").splitlines())
    assert block in read(f"{TOP}/README.md"), block  # docs/quick-start.md: the stage docs looks


def the_first_command_serves(b):
    b.daemon = _start_daemon(b)


def the_second_command_boots_a_guest_of_4_GiB(b):
    b.qemu = _start_qemu(b)
    b.guest = Guest("/tmp/obey")
    size = int(b.guest.says("cat /proc/meminfo").split()[1])
    assert 3.5 * 2**20 < size <= 4 * 2**20, size


def the_guest_mounts_my_virtiofs_and_passes_files_both_ways(b):
    write("/home/user/viofs/by-hand", "from the host\n")
    b.guest.mount("my_virtiofs")
    assert b.guest.says("cat /mnt/my_virtiofs/by-hand") == "from the host"
    b.guest.says("cp /bin/busybox /mnt/my_virtiofs/large")
    assert filecmp.cmp("/home/user/viofs/large", "/bin/busybox", shallow=False)


def the_daemon_ends_with_the_guest(b):
    b.off()
    assert b.qemu.wait(10) == 0
    assert b.daemon.wait(10) == 0, read("/tmp/virtiofsd.log")


def without_shared_memory_the_daemon_says_what_is_missing(b):
    daemon = _start_daemon(b)
    qemu = _start_qemu(b, without=(("-object", "memory-backend-file"), ("-numa", "node"), ("-m", "4G")))
    wait_until(lambda: "guest memory is not shared" in read("/tmp/virtiofsd.log"), 60, "the message")
    said = read("/tmp/virtiofsd.log")
    assert "share=on" in said and "<memoryBacking>" in said, said
    for process in qemu, daemon:
        process.terminate()
        process.wait(10)
