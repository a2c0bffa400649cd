# SPDX-License-Identifier: BSD-3-Clause
"""cases_domain.py - the quick start's domain: which daemon libvirt takes, its first start

Each case is a function whose name is what must hold; they run in this order on one Bench (tests/libvirt/run), and each
leaves the domain as the next expects it. Names that begin with _ are helpers.
"""

import filecmp
import os

from guest import Guest
from host import DOMAIN, command_line, domain, read, write

OURS = "/usr/libexec/virtiofsd"
DESCRIPTIONS = "/usr/share/qemu/vhost-user"


def libvirt_offers_virtiofs(b):
    assert "<value>virtiofs</value>" in b.host.must("domcapabilities", "--virttype", "qemu")


def the_quick_starts_XML_is_accepted_as_it_stands(b):
    b.host.must("define", xml=domain())


def the_same_without_shared_memory_is_refused(b):
    said = b.host.refuses("define", xml=domain(shared_memory=False))
    assert "'virtiofs' requires shared memory" in said, said


def beside_a_file_of_a_lower_number_libvirt_takes_that_daemon(b):
    assert min(os.listdir(DESCRIPTIONS)) == "50-qemu-virtiofsd.json", os.listdir(DESCRIPTIONS)
    b.host.must("start", "--paused", DOMAIN)
    pid, _ = b.host.daemon("mount_tag0")
    taken = os.readlink(f"/proc/{pid}/exe")
    b.host.must("destroy", DOMAIN)
    assert taken == "/usr/lib/qemu/virtiofsd", taken


def a_link_of_a_lower_number_makes_it_take_ours_from_the_next_start_on(b):
    os.makedirs("/etc/qemu/vhost-user")
    os.symlink(f"{DESCRIPTIONS}/60-viofs-virtiofsd.json", "/etc/qemu/vhost-user/40-viofs-virtiofsd.json")
    b.host.must("start", DOMAIN)
    for tag, source in ("mount_tag0", "/home/user/viofs"), ("mount_tag1", "/home/user/vm_share"):
        pid, words = b.host.daemon(tag)
        assert os.readlink(f"/proc/{pid}/exe") == OURS
        assert words[1].startswith("--fd=") and words[2:] == ["-o", f"source={source}"], words


def the_domain_boots(b):
    b.guest = Guest(b.host.work + "/obey")


def QEMU_has_the_queue_size_and_the_tags_of_the_XML(b):
    qemu = [pid for pid in os.listdir("/proc") if pid.isdigit() and f"guest={DOMAIN}," in " ".join(command_line(pid))]
    words = " ".join(command_line(qemu[0]))
    for tag in "mount_tag0", "mount_tag1":
        assert f'"queue-size":1024,"tag":"{tag}"' in words, words


def the_guest_finds_the_devices_on_the_buses_of_the_XML(b):
    at = b.guest.says("for d in /sys/bus/virtio/drivers/virtiofs/virtio*; do readlink -f $d; done").splitlines()
    assert [path.split("/")[-2] for path in at] == ["0000:06:00.0", "0000:07:00.0"], at


def the_guest_reads_and_writes_both_shares(b):
    for tag, source in ("mount_tag0", "/home/user/viofs"), ("mount_tag1", "/home/user/vm_share"):
        write(f"{source}/from-host", f"the host in {source}\n")
        b.guest.mount(tag)
        assert b.guest.says(f"cat /mnt/{tag}/from-host") == f"the host in {source}"
        b.guest.says(f"echo {tag} >/mnt/{tag}/from-guest && cp /bin/busybox /mnt/{tag}/large")
        assert read(f"{source}/from-guest") == f"{tag}\n"
        assert filecmp.cmp(f"{source}/large", "/bin/busybox", shallow=False)


def the_log_is_where_libvirt_users_look(b):
    assert "a front end has connected" in b.host.log("mount_tag0")


def saving_the_domain_is_refused_and_harmless(b):
    said = b.host.refuses("managedsave", DOMAIN)
    assert "non-migratable device" in said, said
    assert b.guest.says("cat /mnt/mount_tag0/from-guest") == "mount_tag0"
