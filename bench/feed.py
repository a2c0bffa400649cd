# SPDX-License-Identifier: BSD-3-Clause
"""feed.py - changes on the host through the whole Windows chain: how soon, how many, and what they save

Theory of operation

  tests/wine/chain starts what ships, with the daemon's own validities: names and attributes hold where changes are told.
  A connection to the NT door is a thread of a Windows program; its DOOR_NOTIFY is a watch as ReadDirectoryChangesW()
  begins one, and the stand-in for WinFsp answers it as WinFsp's driver does.

  Latency: one watch of the tree is pending while a process of the host changes something in one of its directories; the
  time is from before the host's system call to the answer. Each change is alone, so that nothing hurries it along.

  A burst: the host makes and removes one name as fast as it can, while a thread takes what the watch brings. All of it must
  come, or STATUS_NOTIFY_ENUM_DIR or its like (names that never were) say that some was lost.

  Requests are counted by the daemon (service.py); those of the feed itself are not waited for by any operation, and are
  shown apart.
"""

import os
import re
import shutil
import statistics
import struct
import tempfile
import threading
import time

import driver
import results
import service

TITLE = "## Changes of the host"
NOTIFY, ALL = 17, 0xFFF  # tests/wine/winfsp/door.h; every FILE_NOTIFY_CHANGE_*
TIMEOUT, ENUM_DIR = 0x102, 0x10C
LIST = 0x100081  # SYNCHRONIZE, FILE_READ_ATTRIBUTES, FILE_LIST_DIRECTORY
FEED = {"VIOFS_EVENTS", "VIOFS_WATCH", "VIOFS_UNWATCH"}
KINDS = ("create", "modify", "rename", "delete")


def make_tree(top, dirs, files):
    """@dirs directories below watched/, a hundred in each; @files files below walk/, likewise; some to be opened"""
    for i in range(dirs // 100):
        for k in range(100):
            os.makedirs(os.path.join(top, "watched", str(i), str(k)))
    for i in range(files // 100):
        service.fill(os.path.join(top, "walk", f"d{i}"), 100)
    service.fill(os.path.join(top, "open"), 10)
    os.mkdir(os.path.join(top, "burst"))


def gauge(share, name):
    return int(re.search(rf"^{name} (\d+)", service.text_of_stats(share), re.MULTILINE)[1])


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not so after {seconds} s")
        time.sleep(0.02)


# ---- a watch -------------------------------------------------------------------------------------

class Watch:
    """A directory handle of a Windows program that waits for changes at and below it."""

    def __init__(self, door, path):
        self.door = door
        self.handle = door.create(path, LIST, options=1)

    def ask(self, milliseconds):
        self.door.send(NOTIFY, self.handle, u32=(ALL, 1, milliseconds))

    def answer(self):
        """Return: status, names"""
        status, _, data = self.door.receive()
        names, at = [], 0
        while status == 0 and at + 12 <= len(data):
            step, _, length = struct.unpack_from("<3I", data, at)
            names.append(data[at + 12:at + 12 + length].decode("utf-16-le", "replace"))
            at += step
            if step == 0:
                break
        return status, names

    def hear(self, milliseconds):
        self.ask(milliseconds)
        return self.answer()

    def drain(self):
        while self.hear(300)[0] != TIMEOUT:
            pass

    def close(self):
        self.door.close(self.handle)


def covered(share, dirs):
    """All of the tree is watched when that many more directories are, and no more come."""
    wait_until(lambda: gauge(share, "virtiofsd_watched_directories") >= dirs, 120, f"{dirs} directories are watched")


# ---- how soon ------------------------------------------------------------------------------------

def one_change(top, kind, i, dirs):
    """Do it, and return when it began."""
    f = os.path.join(top, "watched", str(i % dirs // 100), str(i % 100), "f")
    start = time.monotonic()
    if kind == "create":
        os.close(os.open(f, os.O_CREAT | os.O_WRONLY, 0o644))
    elif kind == "modify":
        os.truncate(f, 1)
    elif kind == "rename":
        os.rename(f, f + "-renamed")
    else:
        os.unlink(f + "-renamed")
    return start


def measure_latency(door, share, dirs, rounds):
    """{kind: [milliseconds]}"""
    watch = Watch(door, "\\watched")
    watch.hear(0)
    covered(share, dirs)
    watch.drain()
    took = {kind: [] for kind in KINDS}
    for i in range(rounds):
        for kind in KINDS:
            watch.ask(10000)
            time.sleep(0.002)  # it is pending, and everybody sleeps
            start = one_change(share.directory, kind, i * 7919, dirs)
            status, _ = watch.answer()
            took[kind].append((time.monotonic() - start) * 1e3)
            if status:
                raise RuntimeError(f"{kind}: status {status:#x}")
            while watch.hear(0)[0] != TIMEOUT:
                pass  # a rename may come in two
    watch.close()
    return took


# ---- how many ------------------------------------------------------------------------------------

class Taker(threading.Thread):
    """Takes what a watch brings, until it hears of "fence"."""

    def __init__(self, watch):
        super().__init__(daemon=True)
        self.watch, self.told, self.lost, self.fenced = watch, 0, 0, False
        self.until = time.monotonic() + 120

    def run(self):
        while not self.fenced and time.monotonic() < self.until:
            status, names = self.watch.hear(1000)
            self.lost += status == ENUM_DIR or any(name.startswith("~") for name in names)
            self.told += sum(name == "n" for name in names)
            self.fenced = any(name.startswith("fence") for name in names)


def measure_burst(door, share, changes):
    """{"changes", "told", "lost", "seconds", "after": was it told what happened afterwards?}"""
    watch = Watch(door, "\\burst")
    top = os.path.join(share.directory, "burst")
    before = gauge(share, "virtiofsd_watched_subtrees")
    watch.hear(0)
    wait_until(lambda: gauge(share, "virtiofsd_watched_subtrees") > before, 30, "the directory is watched")
    watch.drain()
    taker = Taker(watch)
    taker.start()
    start = time.monotonic()
    name = os.path.join(top, "n")
    for _ in range(changes // 2):
        os.symlink("x", name)
        os.unlink(name)
    seconds = time.monotonic() - start
    for i in range(100):  # one of them is told when all before it has been told or lost
        os.mkdir(os.path.join(top, f"fence{i}"))
        taker.join(1)
        if not taker.is_alive():
            break
    taker.join(60)
    watch.close()
    return {"changes": changes // 2 * 2, "told": taker.told, "lost": taker.lost, "seconds": seconds, "after": taker.fenced}


# ---- what it saves -------------------------------------------------------------------------------

def measure_requests(door, share):
    """[(what, {opcode: requests})]; @door: service.Door"""
    top = share.directory
    found = []

    def one(what, line):
        requests = service.count(door, share, line)
        found.append((what, {op: n for op, n in requests.items() if op not in FEED}))

    # What was heard before the feed began, of the root, holds for a second.
    time.sleep(1.2)
    door.do("stat \\open\\f9")
    one("walk, for the first time", "walk \\walk")
    one("walk, again", "walk \\walk")
    one("walk, once more", "walk \\walk")
    with open(os.path.join(top, "walk", "d1", "f1"), "ab") as f:
        f.write(b"more")
    one("walk, after a file was written", "walk \\walk")
    with open(os.path.join(top, "walk", "d2", "new"), "wb"):
        pass
    one("walk, after a file was made", "walk \\walk")
    one("walk, with nothing new", "walk \\walk")
    door.do("open \\open\\f0")
    one("open a file", "open \\open\\f0")
    one("open another file", "open \\open\\f1")
    one("open it again", "open \\open\\f1")
    return found


# ---- all of it -----------------------------------------------------------------------------------

def make_share(chain, work, dirs, files):
    directory, stats = os.path.join(work, "feed"), os.path.join(work, "feed.stats")
    make_tree(directory, dirs, files)
    share = chain.Share("feed", directory, {"MountPoint": "Z:"},
                        ["-o", "xattr", "--sandbox=none", "--stats-socket=" + stats])
    share.plain, share.stats = False, stats
    return share


def measure_on(running, share, program, sizes):
    """@sizes: {"dirs", "rounds", "changes"}"""
    from door import Door  # pylint: disable=import-outside-toplevel
    bench = service.Door(program, running.door_of(share))
    try:
        requests = measure_requests(bench, share)
    finally:
        bench.close()
    with Door(running.door_of(share)) as door:
        latency = measure_latency(door, share, sizes["dirs"], sizes["rounds"])
        burst = measure_burst(door, share, sizes["changes"])
    return {"requests": requests, "latency": latency, "burst": burst, **sizes}


FULL = {"dirs": 10000, "files": 10000, "rounds": 100, "changes": 100000}
QUICK = {"dirs": 1000, "files": 1000, "rounds": 20, "changes": 10000}


def measure(daemon_build, quick=False, prepared=False):
    """@prepared: what the chain runs is built already."""
    sizes = QUICK if quick else FULL
    build = daemon_build.parent
    chain = service.chain_of(build, prepared)
    work = tempfile.mkdtemp(prefix="viofs-feed.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        share = make_share(chain, work, sizes["dirs"], sizes["files"])
        with chain.Chain(work, [share]) as running:
            return measure_on(running, share, build / "release" / "bench" / "door_bench", sizes)
    finally:
        shutil.rmtree(work, ignore_errors=True)


LATENCY_HEADER = ["change", "median, ms", "95 %, ms", "longest, ms"]
REQUEST_HEADER = ["operation", "requests that are waited for", "which"]


def latency_rows(found):
    rows = []
    for kind, took in found["latency"].items():
        took = sorted(took)
        rows.append([kind, f"{statistics.median(took):.2f}", f"{took[len(took) * 95 // 100]:.2f}", f"{took[-1]:.2f}"])
    return rows


def request_rows(found):
    return [[what, str(service.waited(requests)), service.in_words(requests)] for what, requests in found["requests"]]


def burst_words(found):
    b = found["burst"]
    how = f"{b['told']:,} of them were told, and so was that some were lost" if b["lost"] else \
        f"{b['told']:,} of them were told"
    return f"{b['changes']:,} changes within {b['seconds']:.1f} s: {how}; what happened afterwards was" + \
        ("" if b["after"] else " not") + " told."


def show(found):
    print(f"\nchanges of the host, {found['dirs']:,} watched directories")
    results.print_grid(LATENCY_HEADER, latency_rows(found))
    print(burst_words(found))
    print(f"requests; the tree has {found['files']:,} files")
    results.print_grid(REQUEST_HEADER, request_rows(found))


HOW = """\
The whole chain as above, with the daemon's own validities: a process of the host changes something, and a watch of a
Windows program, which has waited for it at the NT door, is answered. One change at a time, in one of {dirs:,} directories
that the watch covers, {rounds} of each kind; load average {load:.1f}."""

SAVED = """\
A tree of {files:,} files in a hundred to a directory, as `git status` walks it: each directory is listed, each file asked
for by its name. WinFsp itself remembers nothing. Requests of the feed itself are not among them."""


def section(found):
    words = {**found, "load": os.getloadavg()[0]}
    return "\n".join([TITLE, "", HOW.format(**words), "", *service.grid(LATENCY_HEADER, latency_rows(found), 0), "",
                      burst_words(found), "", SAVED.format(**words), "",
                      *service.grid(REQUEST_HEADER, request_rows(found), 1), ""])


def update(found, document):
    driver.replace_section(document, TITLE, section(found))
