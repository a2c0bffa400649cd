# SPDX-License-Identifier: BSD-3-Clause
"""uml.py - what a program in a Linux guest sees: the same work through User-mode Linux

A run boots one guest for every daemon; then the guests take turns, a fraction of a second each, through
all kinds of work and some rounds of that. Everything is on one CPU. All daemons share one directory and
are told not to let the guest cache, so that every operation reaches them. Daemons other than ours are
reached through uml_shim.py, which carries control messages only.
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
LIMIT = 60  # seconds for a guest to boot and prepare, and for a turn
OPERATIONS = ("stat", "stat-missing", "open-read", "create", "list", "read4k", "write4k", "read1m",
              "write1m")
ROUNDS_A_BOOT = 3
LOST_MOST = 3


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


class Lost(RuntimeError):
    """A guest that does not go on."""

    def __init__(self, name, words):
        super().__init__(words)
        self.name = name


class Guest:
    """One guest and its daemon. Everything it starts ends with it."""

    def __init__(self, name, share, cpu):
        self.name, self.share = name, share
        self.pin = ["taskset", "-c", str(cpu)] if cpu >= 0 else []
        self.started = []
        self.work = tempfile.mkdtemp(prefix="viofs-uml.", dir="/tmp")
        self.turns = os.path.join(self.work, "turns")
        os.mkdir(self.turns)

    def start(self, command, pin=True):
        with open(os.path.join(self.work, "log"), "ab") as log:
            p = subprocess.Popen((self.pin if pin else []) + command, stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
        self.started.append(p)
        return p

    def boot(self, command, shim, program, seconds):
        socket = os.path.join(self.work, "sock")
        command = command.replace("{socket}", socket).replace("{dir}", self.share).split()
        wait_for_socket(socket, self.start(command))
        if shim:
            socket, behind = socket + "-shim", socket
            wait_for_socket(socket, self.start([sys.executable, str(HERE / "uml_shim.py"), socket,
                                                behind, TAG], pin=False))
        script = pathlib.Path(self.work, "run")
        script.write_text(f"mkdir /mnt/share && mount -t virtiofs {TAG} /mnt/share && exec "
                          f"{program} /mnt/share {self.turns} {ROUNDS_A_BOOT} {seconds}\n")
        self.start([str(GUEST), "--work", self.work, "--run", str(script), "--socket", socket])

    def turn(self, number, operation):
        """Let it work. Return: operations a second."""
        pathlib.Path(self.turns, f"go-{number}-{operation}").touch()
        ops, spent = self.wait_for(number, operation)
        return ops / spent * 1e6

    def wait_for(self, number, operation):
        """Until it says that this is done. Return: operations, microseconds."""
        prefix = f"done-{number}-{operation}-"
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            for name in os.listdir(self.turns):
                if name.startswith(prefix) and name[len(prefix):].count("-") == 1:
                    return [int(x) for x in name[len(prefix):].split("-")]
            time.sleep(0.005)
        raise Lost(self.name, f"{self.name}: the guest did not finish {operation}:\n{self.words()}")

    def words(self):
        text = ""
        for name in ("log", "errors", "console.log"):
            path = pathlib.Path(self.work, name)
            text += path.read_text(errors="replace")[-1500:] if path.exists() else ""
        return text

    def close(self):
        for p in reversed(self.started):
            end_session(p)
        shutil.rmtree(self.work, ignore_errors=True)


def take_turns(guests, found):
    for number in range(ROUNDS_A_BOOT):
        for operation in OPERATIONS:
            for guest in guests:
                found[operation][guest.name].append(guest.turn(number, operation))


def boot_and_measure(peers, program, seconds, cpu):
    """One boot of a guest for each peer. Return: as measure()."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    share = tempfile.mkdtemp(prefix="viofs-uml.", dir="/dev/shm")
    guests = []
    try:
        for name, command, shim in peers:
            guests.append(Guest(name, share, cpu))
            guests[-1].boot(command, shim, program, seconds)
        for guest in guests:
            guest.wait_for(0, "ready")
        take_turns(guests, found)
    finally:
        for guest in guests:
            guest.close()
        shutil.rmtree(share, ignore_errors=True)
    return found


def measure(peers, program, boots, seconds, cpu, say):
    """peers: [(name, command, shim)]. Return: {operation: {peer: [operations a second, by round]}}.

    A daemon that ends under its guest costs that boot and no more, a few times at most, and it is said."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    number, lost = 0, 0
    while number < boots:
        say(f"guests, boot {number + 1} of {boots}")
        try:
            one = boot_and_measure(peers if number % 2 == 0 else peers[::-1], program, seconds, cpu)
        except Lost as error:
            lost += 1
            if lost > LOST_MOST or error.name == "ours":
                raise
            say(f"once more, for {error}")
            continue
        number += 1
        for operation, rates in one.items():
            for name, values in rates.items():
                found[operation][name] += values
    return found


def ratio(rates, peer):
    """Quartiles over the rounds of ours against a peer: the middle one is the result."""
    return statistics.quantiles((a / b for a, b in zip(rates["ours"], rates[peer])), n=4)


def ratio_words(rates, peer):
    low, middle, high = ratio(rates, peer)
    return f"{middle:.3f} ({low:.2f}-{high:.2f})"
