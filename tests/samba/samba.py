# SPDX-License-Identifier: BSD-3-Clause
"""samba.py - a real smbd on a directory, for tests that compare what it keeps there with what we keep

    with Samba(work, {"s": directory}) as samba:
        print(samba.client("s", "allinfo file"))
        samba.run("smbcacls", "//127.0.0.1/s", "file")

Theory of operation

  Debian's smbd runs in a network namespace of its own, on its loopback at the usual port (smbcacls knows no other),
  with all of its state in the work directory; nothing of it can meet another smbd of the machine or another test.
  Its clients are run in the same namespace. There is one user, root with the password "pw", so that ACLs and
  ownership are what the caller makes of them.

  A share keeps what Samba can keep: DOS attributes, EAs, streams (vfs_streams_xattr) and ACLs (vfs_acl_xattr). More
  lines for smb.conf can be given for each.

Needs root, for the namespaces. smbd starts helpers that outlive it (samba-dcerpcd), so it has a namespace of processes as well:
when the with block ends, so does everything in it.
"""

import os
import subprocess
import sys
import time

USER, PASSWORD = "root", "pw"

GLOBAL = """\
[global]
workgroup = VIOFS
server role = standalone server
netbios name = VIOFS
disable netbios = yes
smb ports = 445
interfaces = lo
bind interfaces only = yes
private dir = {state}/private
lock directory = {state}
state directory = {state}
cache directory = {state}
pid directory = {state}
ncalrpc dir = {state}/ncalrpc
passdb backend = tdbsam:{state}/private/passdb.tdb
log file = {state}/log.%m
log level = 1
map to guest = Never
load printers = no
printcap name = /dev/null
disable spoolss = yes
"""

SHARE = """\
[{name}]
path = {path}
read only = no
vfs objects = acl_xattr streams_xattr
store dos attributes = yes
map archive = no
map hidden = no
map system = no
map readonly = no
ea support = yes
inherit acls = yes
{more}
"""

# netdevice(7): the namespace's own loopback is down at first. SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP.
LOOPBACK_UP = """\
import fcntl, os, socket, struct, sys
s = socket.socket()
flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack("16sh14x", b"lo", 0))[:18])[1]
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Failed(Exception):
    """smbd did not start, or a client of it failed."""


class Samba:
    """An smbd with its shares: {name: directory} or {name: (directory, "more lines of smb.conf")}."""

    def __init__(self, work, shares):
        self.state = os.path.join(work, "samba")
        self.conf = os.path.join(self.state, "smb.conf")
        self.shares = {name: s if isinstance(s, tuple) else (s, "") for name, s in shares.items()}
        self.smbd = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def start(self):
        os.makedirs(os.path.join(self.state, "private"))
        os.makedirs(os.path.join(self.state, "ncalrpc"))
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(GLOBAL.format(state=self.state))
            for name, (path, more) in self.shares.items():
                f.write(SHARE.format(name=name, path=path, more=more))
        subprocess.run(["smbpasswd", "-c", self.conf, "-s", "-a", USER], input=f"{PASSWORD}\n{PASSWORD}\n", text=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=True)
        with open(os.path.join(self.state, "smbd.out"), "wb") as out:
            self.smbd = subprocess.Popen(
                ["unshare", "-n", "-p", "--mount-proc", "--kill-child", sys.executable, "-c", LOOPBACK_UP, "smbd", "-s",
                 self.conf, "-F", "--no-process-group"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.wait()

    def wait(self):
        """Until a client gets through; there is no event for that."""
        end = time.monotonic() + 30
        while True:
            done = self.run("smbclient", "-L", "127.0.0.1", check=False)
            if done.returncode == 0:
                return
            if self.smbd.poll() is not None or time.monotonic() > end:
                raise Failed(f"smbd does not serve ({self.smbd.poll()}): {done.stdout}{self.log()}")
            time.sleep(0.05)

    def log(self):
        text = ""
        for name in sorted(os.listdir(self.state)):
            if name == "smbd.out" or name.startswith("log."):
                with open(os.path.join(self.state, name), errors="replace") as f:
                    text += "".join(f"{name}: {line}" for line in f.readlines()[-10:])
        return text

    def run(self, program, *args, check=True, seconds=30):
        """Run a client of smbd. Return: CompletedProcess; its output as text, errors included."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.smbd.pid), "-n", program, "-s", self.conf, "-U", f"{USER}%{PASSWORD}", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
            check=False, env=dict(os.environ, TZ="UTC"))
        if check and (done.returncode != 0 or "NT_STATUS_" in done.stdout):
            raise Failed(f"{program} {' '.join(args)}: {done.returncode}: {done.stdout}")
        return done

    def client(self, share, commands, check=True):
        """smbclient's output for its commands, "one; two"."""
        return self.run("smbclient", f"//127.0.0.1/{share}", "-c", commands, check=check).stdout

    def stop(self):
        if not self.smbd:
            return
        # unshare takes smbd along, which is process 1 of a namespace: the kernel ends whatever it has started.
        self.smbd.kill()
        self.smbd.wait()
        self.smbd = None
