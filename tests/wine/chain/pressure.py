# SPDX-License-Identifier: BSD-3-Clause
"""pressure.py - sixteen threads on a share of the chain (tests/wine/stress/stress.c), while something happens to its daemon

stress knows what must be there after each operation. Where the daemon is replaced it is told, for what fails
meanwhile is no finding; where a supervisor replaces the worker it is not: nothing may fail then.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import time

from chain import BUILD, Failed, children, end


def say(process, word):
    """Tell stress about the daemon, and wait until it knows."""
    process.stdin.write(word + "\n")
    process.stdin.flush()
    if not select.select([process.stdout], [], [], 30)[0] or process.stdout.readline() != "ok\n":
        raise Failed("stress does not answer")


def replace_daemon(chain, share, process, seconds, period=10):
    """Kill the daemon every ten seconds and start another one."""
    last = time.monotonic() + seconds
    while time.monotonic() + period < last:
        time.sleep(period)
        say(process, "down")
        share.replace_daemon(chain.work)
        say(process, "up")
    time.sleep(max(0, last - time.monotonic()))


def worker_of(share, seconds=10):
    """The process that serves a supervised share, as soon as there is one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid = share.daemon.pid
        with contextlib.suppress(OSError):  # one that has just ended
            while inside := children(pid):
                pid = inside[-1]
            if pid != share.daemon.pid:
                return pid
        time.sleep(0.01)
    raise Failed(f"{share.tag} has no worker")


def disturb_worker(_chain, share, _process, seconds):
    """Kill a supervised daemon's worker every second, and ask for a reload half a second before every third time."""
    last, turn = time.monotonic() + seconds, 0
    while time.monotonic() + 1 < last:
        turn += 1
        time.sleep(0.5)
        if turn % 3 == 0:
            os.kill(share.daemon.pid, signal.SIGUSR2)
        time.sleep(0.5)
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(worker_of(share), signal.SIGKILL)


def what_supervisor_says(share):
    """How many workers were killed, and how many left in good order."""
    with open(share.daemon_log, encoding="utf-8", errors="replace") as f:
        log = f.read()
    return len(re.findall("worker .* ended with", log)), len(re.findall("the new worker .* serves", log))


def stress(chain, share, seconds, disturb, seed=()):
    """Return: stress's exit status, 0: nothing is lost; and what it printed."""
    command = [os.path.join(BUILD, "wine", "stress"), chain.door_of(share), share.directory, *seed]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            disturb(chain, share, process, seconds)
            out, _ = process.communicate("end\n", timeout=180)
        finally:
            end(process)
    return process.returncode, out
