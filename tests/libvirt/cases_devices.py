# SPDX-License-Identifier: BSD-3-Clause
"""cases_devices.py - shares that come and go while the domain runs, and what <filesystem> lets a user ask for

Cases as in cases_domain.py. Buses 6 and 7 of the quick start leave five ports for devices that are plugged in. What
libvirt 9.0 cannot do is stated as a case, too: docs/host.md says so.
"""

import os
import subprocess

from host import DOMAIN, HERE, example, read, serving, wait_until, write

OURS = "/usr/libexec/virtiofsd"
EVERYTHING = f"""<binary path="{OURS}" xattr="on"><cache mode="always"/><sandbox mode="chroot"/>
<lock posix="on" flock="on"/><thread_pool size="4"/><openfiles max="4096"/></binary>"""
ID_MAP = '<idmap><uid start="0" target="1000" count="10"/><gid start="0" target="1000" count="10"/></idmap>'


def _attach(b, tag, directory, **more):
    """Plug a share of a new directory in."""
    os.makedirs(directory, exist_ok=True)
    b.host.must("attach-device", DOMAIN, "--live", xml=example(tag, source=f'<source dir="{directory}"/>', **more))


def _passes_files(b, tag, directory):
    write(f"{directory}/from-host", "host\n")
    b.guest.mount(tag)
    assert b.guest.says(f"cat /mnt/{tag}/from-host && echo guest >/mnt/{tag}/from-guest") == "host"
    assert read(f"{directory}/from-guest") == "guest\n"


def a_share_is_plugged_in_whose_path_has_a_comma(b):
    _attach(b, "comma", "/home/user/one, two")
    _, words = b.host.daemon("comma")
    assert words[2:] == ["-o", "source=/home/user/one,, two"], words
    _passes_files(b, "comma", "/home/user/one, two")


def it_is_unplugged_and_its_daemon_ends(b):
    pid, _ = b.host.daemon("comma")
    alias = b.host.live("comma").find("alias").get("name")
    b.guest.says("umount /mnt/comma")
    b.host.must("detach-device", DOMAIN, "--live", xml=b.host.live("comma"))
    wait_until(lambda: b.host.live("comma") is None, 10, "the device goes")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5, "its daemon ends")
    assert "the front end has left" in b.host.log_of(alias)
    assert b.guest.run("mount -t virtiofs comma /mnt/comma")[0] != 0


def readonly_is_refused_by_libvirt_9(b):
    said = b.refused("readonly", readonly="<readonly/>")
    assert "virtiofs does not yet support read-only mode" in said, said


def a_missing_directory_is_named_by_libvirt(b):
    said = b.refused("missing", source='<source dir="/home/user/missing"/>')
    assert "'/home/user/missing' does not exist" in said, said


def what_cannot_be_shared_is_explained_in_the_daemons_log(b):
    os.mkfifo("/home/user/fifo")
    b.refused("fifo", source='<source dir="/home/user/fifo"/>')  # libvirt says only that a process has gone
    said = b.host.newest_log()
    assert "/home/user/fifo is neither a directory nor a regular file; share the directory that holds it" in said, said


def a_path_with_an_equals_sign_is_shared_with_all_binary_elements(b):
    _attach(b, "elements", "/home/user/x=y", binary=EVERYTHING)
    _, words = b.host.daemon("elements")
    assert words[2:4] == ["-o", "source=/home/user/x=y,cache=always,sandbox=chroot,xattr,flock,posix_lock"], words
    assert "--thread-pool-size=4" in words, words
    _passes_files(b, "elements", "/home/user/x=y")


def sandbox_chroot_is_a_process_in_the_share_and_no_namespace(b):
    pid = serving(b.host.daemon("elements")[0])
    assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    assert os.stat(f"/proc/{pid}/root").st_ino == os.stat("/home/user/x=y").st_ino


def xattr_on_lets_the_guest_set_attributes(b):
    b.guest.says("/setfattr -n user.colour -v blue /mnt/elements/from-guest")
    assert os.getxattr("/home/user/x=y/from-guest", "user.colour") == b"blue"


def the_thread_pool_has_the_size_asked_for(b):
    pid = serving(b.host.daemon("elements")[0])
    names = [read(f"/proc/{pid}/task/{task}/comm").strip() for task in os.listdir(f"/proc/{pid}/task")]
    assert names.count("pool") == 4, names


def without_elements_the_guest_has_no_attributes_and_the_sandbox_is_a_namespace(b):
    assert b.guest.run("/setfattr -n user.colour -v blue /mnt/mount_tag0/from-guest")[0] != 0
    pid = serving(b.host.daemon("mount_tag0")[0])
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")


def the_options_of_a_newer_libvirt_work(b):
    binary = f'<binary path="{HERE}/as-newer-libvirt" xattr="on"><cache mode="none"/><sandbox mode="namespace"/></binary>'
    _attach(b, "newer", "/home/user/newer", binary=binary)
    _, words = b.host.daemon("newer")
    assert words[0] == OURS and words[2:] == ["--shared-dir", "/home/user/newer", "--cache", "never",
                                              "--sandbox", "namespace", "--xattr"], words
    _passes_files(b, "newer", "/home/user/newer")


def what_libvirt_has_no_element_for_goes_through_a_program_of_two_lines(b):
    program = "/run/virtiofsd-readonly"
    write(program, '#!/bin/sh\nexec /usr/libexec/virtiofsd "$@" --readonly --posix-acl\n')  # as in docs/host.md
    os.chmod(program, 0o755)
    _attach(b, "two_lines", "/home/user/two_lines", binary=f'<binary path="{program}"/>')
    write("/home/user/two_lines/from-host", "host\n")
    b.guest.mount("two_lines")
    assert b.guest.says("cat /mnt/two_lines/from-host") == "host"
    status, said = b.guest.run("echo guest >/mnt/two_lines/from-guest")
    assert status != 0 and "Read-only file system" in said, said


def a_daemon_run_by_hand_is_used_by_its_socket(b):
    directory, path = "/home/user/by_hand", "/run/by_hand.sock"
    os.makedirs(directory)
    with open("/tmp/by_hand.log", "wb") as log:
        process = subprocess.Popen([OURS, "--socket-path", path, "--keep-listening", "--shared-dir", directory],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    b.started.append(process)
    wait_until(lambda: os.path.exists(path), 5, f"{path} is there")
    os.chmod(path, 0o666)  # QEMU runs as libvirt-qemu; --socket-group would do
    device = example("by_hand", source=f'<source socket="{path}"/>')
    b.host.must("attach-device", DOMAIN, "--live", "--config", xml=device)
    _passes_files(b, "by_hand", directory)
    b.guest.says("echo still here >/mnt/by_hand/first-run")


def idmap_and_openfiles_are_dropped_by_libvirt_9(b):
    _attach(b, "dropped", "/home/user/dropped", idmap=ID_MAP,
           binary=f'<binary path="{OURS}"><openfiles max="4096"/></binary>')
    _, words = b.host.daemon("dropped")
    assert words[2:] == ["-o", "source=/home/user/dropped"], words
    assert b.host.live("dropped").find("idmap") is None
