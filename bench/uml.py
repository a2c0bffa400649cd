# SPDX-License-Identifier: BSD-3-Clause
"""uml.py - what a program in a Linux guest sees: the same work through User-mode Linux

Every round boots a guest for every daemon in turn, guest and daemon on one CPU, the daemon told not to
let the guest cache (so that every operation reaches it). Daemons other than ours are reached through
uml_shim.py, which carries control messages only.
"""

import collections
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE.parent / "tests" / "linux-guest" / "uml-guest"
TAG = "bench"
BOOT_LIMIT = 120  # seconds for a guest, its work included


def available():
    return shutil.which("linux.uml") is not None


def wait_for_socket(path, process):
    for _ in range(1000):
        if os.path.exists(path):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended at once")
        time.sleep(0.01)
    raise RuntimeError(f"{path} does not appear")


def end_session(process):
    """End a process and what it started: a guest is many processes, and daemons fork."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(3)
    except subprocess.TimeoutExpired:
        pass
    except ProcessLookupError:
        return
    finally:
        process.poll()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Run:
    """One guest, one daemon. Everything it starts ends with it."""

    def __init__(self, cpu):
        self.pin = ["taskset", "-c", str(cpu)] if cpu >= 0 else []
        self.started = []
        self.work = tempfile.mkdtemp(prefix="viofs-uml.", dir="/tmp")
        self.share = tempfile.mkdtemp(prefix="viofs-uml.", dir="/dev/shm")

    def start(self, command, pin=True):
        with open(os.path.join(self.work, "log"), "ab") as log:
            p = subprocess.Popen((self.pin if pin else []) + command, stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
        self.started.append(p)
        return p

    def close(self):
        for p in reversed(self.started):
            end_session(p)
        shutil.rmtree(self.share, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def words(self):
        text = ""
        for name in ("log", "errors", "console.log"):
            path = pathlib.Path(self.work, name)
            text += path.read_text(errors="replace")[-1500:] if path.exists() else ""
        return text

    def measure(self, command, shim, program, seconds):
        """{operation: operations a second}"""
        socket = os.path.join(self.work, "sock")
        command = command.replace("{socket}", socket).replace("{dir}", self.share).split()
        wait_for_socket(socket, self.start(command))
        if shim:
            socket, behind = socket + "-shim", socket
            wait_for_socket(socket, self.start([sys.executable, str(HERE / "uml_shim.py"), socket,
                                                behind, TAG], pin=False))
        script = pathlib.Path(self.work, "run")
        script.write_text(f"mkdir /mnt/share && mount -t virtiofs {TAG} /mnt/share\n"
                          f"{program} /mnt/share {seconds} && umount /mnt/share && echo done\n")
        guest = self.start([str(GUEST), "--work", self.work, "--run", str(script), "--socket", socket])
        try:
            guest.wait(BOOT_LIMIT)
        except subprocess.TimeoutExpired:
            pass  # what it did get done tells more than that it took long
        lines = pathlib.Path(self.work, "results").read_text().splitlines()
        if "done" not in lines:
            raise RuntimeError("the guest did not finish:\n" + self.words())
        rates = {}
        for line in lines[:-1]:
            name, ops, spent = line.split()
            rates[name] = int(ops) / float(spent)
        return rates


def measure(peers, program, rounds, seconds, cpu, say):
    """peers: [(name, command, shim)]. Return: {operation: {peer: [operations a second, by round]}}."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for number in range(rounds):
        say(f"guest, round {number + 1} of {rounds}")
        for name, command, shim in peers:
            run = Run(cpu)
            try:
                for operation, rate in run.measure(command, shim, program, seconds).items():
                    found[operation][name].append(rate)
            finally:
                run.close()
    return found


def ratio(rates, peer):
    """Median over the rounds of ours against a peer."""
    return statistics.median(a / b for a, b in zip(rates["ours"], rates[peer]))
