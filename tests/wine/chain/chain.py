# SPDX-License-Identifier: BSD-3-Clause
"""chain.py - the whole Windows chain on one Linux machine

Theory of operation

  program -> stand-in for WinFsp (tests/wine/winfsp) -> virtiofs.exe, as it ships, a service in Wine -> bridge
  (tests/wine/bridge) -> viofs.sys, as it ships, in the NT bench (tests/nt-bench) -> virtiofsd -> directory

  Chain starts all of it in a work directory and ends it again. A share is one virtiofsd, one bench (one device),
  one tag. Each step waits for what it started by an event: a socket that appears (inotify), a line of output, a
  process that ends (pidfd); every wait is bounded. Processes are ended by their ids; Wine's by
  `wineserver -k` of our own prefix.

  A Wine prefix takes a quarter of a minute to make, so one is made for each build (wine.sh), one with all that the
  chain needs is made of it (base_prefix()), and that is copied for each use.

  Windows programs that use the mounted drive run in a second prefix (ClientPrefix): wineserver itself opens files
  on a drive, and would wait for a service that waits for it.

Rules of Wine: the wineserver is started with -p, or services end two seconds after the last program; the first
command of a prefix must not write into a pipe, which services would inherit and keep open.
"""

import ctypes
import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.abspath(os.environ.get("VIOFS_BUILD", os.path.join(TOP, "build")))
SLOTS = 8


class Failed(Exception):
    """Something did not start, or did not end well."""


# ---- waiting -------------------------------------------------------------------------------------

LIBC = ctypes.CDLL(None, use_errno=True)
IN_CREATE, IN_DELETE, IN_MOVED_TO, IN_CLOSE_WRITE, IN_MODIFY = 0x100, 0x200, 0x80, 0x8, 0x2


def wait_for_path(path, seconds, there=True, alive=()):
    """Wait until path exists (or not). alive: processes without which it never will."""
    fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        LIBC.inotify_add_watch(fd, os.path.dirname(path).encode(), IN_CREATE | IN_DELETE | IN_MOVED_TO)
        end = time.monotonic() + seconds
        while os.path.lexists(path) != there:
            for process in alive:
                if process.poll() is not None:
                    raise Failed(f"{process.args[0]} ended with {process.returncode}, {path} is not there")
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"{path} is {'not ' if there else 'still '}there after {seconds} s")
            # a process that dies makes no event here; look after a while
            if select.select([fd], [], [], min(left, 0.5))[0]:
                os.read(fd, 4096)
    finally:
        os.close(fd)


def wait_for_end(process, seconds):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"{process.args[0]} (pid {process.pid}) does not end within {seconds} s") from None


def end(process, seconds=5):
    """Make a process end, by its id."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children(pid):
    """The processes that this one has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def wait_gone(pid, seconds=10):
    """Wait until a process that is not ours to wait for is no more, or only waits to be reaped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                if f.read().rpartition(")")[2].split()[0] in "ZX":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise Failed(f"process {pid} does not die")


def tail(path, lines=25):
    try:
        with open(path, errors="replace") as f:
            return f.read().splitlines()[-lines:]
    except OSError:
        return []


# ---- Wine ----------------------------------------------------------------------------------------


class Prefix:
    """A directory in which Wine lives, and its server while it runs."""

    def __init__(self, path, log, **environment):
        self.path = path
        self.log = log
        self.env = {k: v for k, v in os.environ.items() if k != "DISPLAY" and not k.startswith("WINE")}
        self.env.update(WINEPREFIX=path, WINEDEBUG=os.environ.get("VIOFS_WINEDEBUG", "-all"), WINEARCH="win64",
                        WINEDLLOVERRIDES="mscoree,mshtml=", **environment)

    def unix(self, windows_path):
        """C:\\a\\b of this prefix."""
        assert windows_path[:3].upper() == "C:\\"
        return os.path.join(self.path, "drive_c", *windows_path[3:].split("\\"))

    def run(self, *command, seconds=60, quiet=False):
        """Run a Windows program to its end. Return: CompletedProcess with its output as text."""
        out_path = self.log + ".out"
        with open(out_path, "wb") as out, open(self.log, "ab") as log:
            process = subprocess.Popen(["wine", *command], env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out if quiet else log, cwd=os.path.join(self.path, "drive_c"))
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"wine {' '.join(command)}: not done after {seconds} s") from None
        with open(out_path, "rb") as out:
            text = out.read().decode("utf-8", "replace").replace("\r", "")
        return subprocess.CompletedProcess(command, process.returncode, text, None)

    def must(self, *command, seconds=60):
        done = self.run(*command, seconds=seconds)
        if done.returncode != 0:
            raise Failed(f"wine {' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
        return done.stdout

    def start(self):
        subprocess.run(["wineserver", "-p"], env=self.env, check=True, timeout=30)

    def stop(self):
        """Everything in this prefix ends."""
        try:
            subprocess.run(["wineserver", "-k"], env=self.env, timeout=30, check=False)
            subprocess.run(["wineserver", "-w"], env=self.env, timeout=30, check=False)
        except subprocess.TimeoutExpired:
            subprocess.run(["wineserver", "-k9"], env=self.env, timeout=30, check=False)

    def regedit(self, text):
        """Import lines of a .reg file."""
        with open(self.unix("C:\\import.reg"), "w", encoding="utf-16", newline="\r\n") as f:
            f.write("Windows Registry Editor Version 5.00\n\n" + text)
        self.must("regedit", "/S", "C:\\import.reg")


def reg_value(value):
    if isinstance(value, int):
        return f"dword:{value & 0xffffffff:08x}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def reg_key(key, values):
    return f"[{key}]\n" + "".join(f'"{name}"={reg_value(v)}\n' for name, v in values.items()) + "\n"


WINFSP_DIR = "C:\\Program Files (x86)\\WinFsp\\"
VIOFS_DIR = "C:\\Program Files\\viofs"
SERVICE = "VirtioFsSvc"


def newer(path, *sources):
    """Is path newer than all of the sources?"""
    return os.path.exists(path) and all(os.path.getmtime(path) >= os.path.getmtime(s) for s in sources)


def base_prefix():
    """A prefix with slots for devices, WinFsp's registry entry and the service installed, made once a build."""
    wine = os.path.join(BUILD, "wine")
    path, stamp = os.path.join(wine, "prefix"), os.path.join(wine, "prefix.made")
    bridge = os.path.join(wine, "bridge")
    with open(os.path.join(wine, "prefix.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if newer(stamp, os.path.join(bridge, "viofs-bridge.inf"), os.path.join(bridge, "install.exe"), __file__):
            return path
        shutil.rmtree(path, ignore_errors=True)
        slots = os.path.join(wine, "prefix.slots")
        os.makedirs(slots, exist_ok=True)
        prefix = Prefix(path, os.path.join(wine, "prefix.log"), VIOFS_BRIDGE_DIR=slots)
        with open(prefix.log, "wb") as log:
            subprocess.run(["bash", "-c", '. "$0" && wine_template && cp -a "$VIOFS_BUILD/wine-template" "$1"',
                            os.path.join(TOP, "tests", "wine", "wine.sh"), path],
                           env=dict(os.environ, VIOFS_BUILD=BUILD), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                           timeout=300, check=True)
        try:
            prefix.start()
            os.unlink(os.path.join(path, "dosdevices", "z:"))  # Z: is for shares
            os.makedirs(prefix.unix(VIOFS_DIR))
            os.makedirs(prefix.unix(WINFSP_DIR + "bin"))
            for name in ("viofs-bridge.sys", "viofs-bridge.inf", "install.exe"):
                shutil.copy(os.path.join(bridge, name), prefix.unix(VIOFS_DIR))
            prefix.must(VIOFS_DIR + "\\install.exe", VIOFS_DIR + "\\viofs-bridge.inf", str(SLOTS))
            prefix.must("sc", "create", SERVICE, "binPath=", f'"{VIOFS_DIR}\\virtiofs.exe"', "start=", "demand",
                        "depend=", "VirtioFsDrv")
            prefix.regedit(reg_key("HKEY_LOCAL_MACHINE\\SOFTWARE\\WOW6432Node\\WinFsp", {"InstallDir": WINFSP_DIR}))
        finally:
            prefix.stop()
        with open(stamp, "w"):
            pass
    return path


def copy_prefix(to):
    subprocess.run(["cp", "-a", base_prefix(), to], check=True, timeout=120)


# ---- one share: daemon and device ----------------------------------------------------------------


class Share:
    """A directory of the host, its virtiofsd, and the device that shows it."""

    daemon_prefix = ()  # words before the daemon's: a program that runs it in its place

    def __init__(self, tag, directory, registry=None, daemon_options=(), device_options=()):
        self.tag, self.directory = tag, directory
        self.registry = registry or {}  # below Shares\<tag>
        self.daemon_options, self.device_options = daemon_options, device_options
        self.daemon_program = None  # another one than ours
        self.daemon = self.bench = None

    def start_daemon(self, work):
        name = f"{self.tag}.{time.monotonic_ns() % 1000000}"
        self.socket = os.path.join(work, name + ".fs")
        self.daemon_log = os.path.join(work, f"virtiofsd-{self.tag}.log")
        with open(self.daemon_log, "ab") as log:
            self.daemon = subprocess.Popen(
                [*self.daemon_prefix, self.daemon_program or os.path.join(BUILD, "release", "virtiofsd", "virtiofsd"),
                 "--socket-path=" + self.socket,
                 "-o", "source=" + self.directory.replace(",", ",,"), *self.daemon_options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_path(self.socket, 10, alive=[self.daemon])

    def start_bench(self, work, slot):
        self.device = os.path.join(work, self.tag + ".dev")
        self.bench_log = os.path.join(work, f"nt-bench-{self.tag}.log")
        with open(self.bench_log, "ab") as log:
            self.bench = subprocess.Popen(
                [os.path.join(BUILD, "nt-bench", "nt-bench-pe"), "--serve", self.device, "--driver",
                 os.path.join(BUILD, "guest", "viofs.sys"), "--daemon", self.socket, "--slot", slot, "--tag", self.tag,
                 *self.device_options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)
        if self.answer(20) != "ready":
            raise Failed(f"the device of {self.tag} does not start:\n" + "\n".join(tail(self.bench_log)))

    def answer(self, seconds):
        if not select.select([self.bench.stdout], [], [], seconds)[0]:
            raise Failed(f"the bench of {self.tag} does not answer within {seconds} s")
        return self.bench.stdout.readline().rstrip("\n")

    def order(self, text, seconds=30):
        """See tests/nt-bench/serve.c. Return: what follows "ok"."""
        self.bench.stdin.write(text + "\n")
        self.bench.stdin.flush()
        answer = self.answer(seconds)
        if not answer.startswith("ok"):
            raise Failed(f"{self.tag}: {text}: {answer or 'the bench ended'}")
        return answer[3:]

    def replace_daemon(self, work, seen=True):
        """Kill the daemon, start another one, connect the device to it. seen: it asks the driver for a reset."""
        inside = children(self.daemon.pid)
        self.daemon.kill()
        self.daemon.wait()
        for pid in inside:  # the process in the sandbox dies with its parent, a moment later
            wait_gone(pid)
        self.start_daemon(work)
        self.order(("daemon " if seen else "unseen ") + self.socket)

    def stop(self):
        """Return: complaints."""
        complaints = []
        if self.bench:
            self.bench.stdin.close()
            try:
                status = wait_for_end(self.bench, 40)
                if status != 0:
                    complaints.append(f"the bench of {self.tag} ended with {status}:")
            except Failed as error:
                complaints.append(str(error))
                end(self.bench)
            if complaints:
                complaints += tail(self.bench_log)
            self.bench.stdout.close()
        if self.daemon:
            end(self.daemon)
        return complaints


# ---- all of it -----------------------------------------------------------------------------------


class Chain:
    """with Chain(work, [Share(...)]) as chain: the shares are mounted."""

    def __init__(self, work, shares, registry=None, service=True, fuse=False):
        """service: start it. fuse: mount the volumes for Linux, and for a ClientPrefix, too."""
        self.work, self.shares, self.registry = work, shares, registry or {}
        self.service = service
        self.slots = os.path.join(work, "slots")
        self.door = os.path.join(work, "door")
        self.mounts = os.path.join(work, "mnt")
        environment = {"VIOFS_BRIDGE_DIR": self.slots, "VIOFS_DOOR": self.door}
        if fuse:
            environment["VIOFS_FUSE_MOUNT"] = self.mounts
            for share in shares:
                os.makedirs(self.mount_of(share))
        self.prefix = Prefix(os.path.join(work, "prefix"), os.path.join(work, "wine.log"), **environment)
        self.complaints = []

    def mount_of(self, share):
        """Where Linux sees a share with a drive letter, as Windows sees it."""
        return f"{self.mounts}.{share.registry['MountPoint'][-2]}"

    def door_of(self, share):
        """The NT door of a share with a drive letter."""
        return f"{self.door}.{share.registry['MountPoint'][-2]}"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.show_logs()
            self.stop()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.show_logs()
        self.stop()
        if not kind and self.complaints:
            raise Failed("\n".join(self.complaints))

    def start(self):
        os.makedirs(self.slots)
        copy_prefix(self.prefix.path)
        self.put_files()
        self.prefix.start()
        self.prefix.regedit("".join(
            [reg_key("HKEY_LOCAL_MACHINE\\SOFTWARE\\virtiofs", self.registry)] +
            [reg_key(f"HKEY_LOCAL_MACHINE\\SOFTWARE\\virtiofs\\Shares\\{s.tag}", s.registry) for s in self.shares]))
        for i, share in enumerate(self.shares):
            share.start_daemon(self.work)
            slot = os.path.join(self.slots, f"slot{i}")
            wait_for_path(slot, 30)
            share.start_bench(self.work, slot)
        if self.service:
            self.start_service()

    def put_files(self):
        """What may have been built since the base prefix was made."""
        for source, to in ((("windows", "service", "virtiofs.exe"), VIOFS_DIR),
                           (("wine", "standin", "winfsp-x64.dll"), WINFSP_DIR + "bin"),
                           (("wine", "bridge", "bridge-test.exe"), VIOFS_DIR),
                           (("wine", "bridge", "viofs-bridge.sys"), "C:\\windows\\system32\\drivers")):
            shutil.copy(os.path.join(BUILD, *source), self.prefix.unix(to))

    def start_service(self):
        self.prefix.must("sc", "start", SERVICE)
        self.wait_mounted()

    def wait_mounted(self, seconds=30):
        for share in self.shares:
            if "MountPoint" in share.registry:
                wait_for_path(self.door_of(share), seconds)

    def stop_service(self):
        self.prefix.run("sc", "stop", SERVICE)
        for share in self.shares:
            if "MountPoint" in share.registry:
                wait_for_path(self.door_of(share), 30, there=False)

    def reboot(self):
        """Windows ends without a word to anybody, and starts again; services that start by themselves do."""
        self.prefix.stop()
        for share in self.shares:
            share.order("remove")
        for i in range(len(self.shares)):
            os.unlink(os.path.join(self.slots, f"slot{i}"))
        self.prefix.start()
        self.prefix.must("cmd", "/c", "ver")
        for i, share in enumerate(self.shares):
            wait_for_path(os.path.join(self.slots, f"slot{i}"), 30)
            share.order("plug")

    def stop(self):
        try:
            if self.service and os.path.isdir(self.prefix.path):
                self.stop_service()
        except (Failed, OSError) as error:
            self.complaints.append(f"the service does not stop: {error}")
        self.prefix.stop()
        for share in self.shares:
            self.complaints += share.stop()

    def show_logs(self):
        names = [self.prefix.log] + [getattr(s, n, "") for s in self.shares for n in ("bench_log", "daemon_log")]
        for name in names:
            for line in tail(name):
                print(f"# {os.path.basename(name)}: {line}", flush=True)


class ClientPrefix(Prefix):
    """A second Windows, with directories of the host as drives: where programs run that use mounted shares."""

    def __init__(self, work, drives):
        super().__init__(os.path.join(work, "client"), os.path.join(work, "client.log"))
        self.drives = drives

    def __enter__(self):
        copy_prefix(self.path)
        for letter, directory in self.drives.items():
            os.symlink(directory, os.path.join(self.path, "dosdevices", letter.lower() + ":"))
        self.start()
        self.must("cmd", "/c", "ver")
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
