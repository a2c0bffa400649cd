# SPDX-License-Identifier: BSD-3-Clause
"""service.py - what NT operations cost on the whole Windows chain

Theory of operation

  tests/wine/chain starts what ships: virtiofs.exe in Wine, viofs.sys in the NT bench, a daemon. door_bench does one
  NT operation for each line it is told. Requests are counted by the daemon: ours says so on its statistics socket,
  Debian's C daemon (which does not know our extension) in its debug log. Names and attributes hold for an hour, and
  WinFsp's own memory is dropped before each operation, so the counts do not depend on how busy the machine is.

  Cold: nothing in that directory was asked for since the volume was mounted. Warm: the same again.

  Rates say what the parts cost: CPU time of each process, and the time that requests spend in the daemon, by its
  histogram. The stand-in for WinFsp lives in the service's process; Windows' own path to it is not in the figures.
"""

import collections
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import driver
import results

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "wine" / "chain"))
# chain.py reads VIOFS_BUILD when it is imported, which measure() sets first.

TITLE = "## The Windows service"
C_DAEMON = "/usr/lib/qemu/virtiofsd"
NOT_WAITED_FOR = {"RELEASE", "RELEASEDIR", "FORGET", "BATCH_FORGET"}
TICK = os.sysconf("SC_CLK_TCK")
KINDS = ("ours", "plain")
THREADS = (1, 4, 16)
RATES = {"open": "open + close", "stat": "stat by name", "read": "read 4 KiB", "write": "write 4 KiB",
         "one": "create + delete, one directory", "many": "create + delete, a directory for each"}


# ---- the trees -----------------------------------------------------------------------------------

def fill(path, count, size=0, name="f"):
    os.makedirs(path)
    for i in range(count):
        with open(os.path.join(path, f"{name}{i}"), "wb") as f:
            f.write(b"x" * size)


def make_tree(top, large):
    """Everything that is measured, made before anybody looks."""
    fill(top, 1)
    for depth in (4, 8):
        fill(os.path.join(top, f"o{depth}", *["d"] * (depth - 2)), 1)
    for name in ("stat", "delete", "rename", "miss"):
        fill(os.path.join(top, name), 100)
    for name in ("create", "copied", "again"):
        os.mkdir(os.path.join(top, name))
    for name in ("read", "write", "append"):
        fill(os.path.join(top, name), 3, (16 << 20) if name == "read" else 0)
    fill(os.path.join(top, "source"), 1000, 4096)
    for count in (10, 1000, 10000) + ((100000,) if large else ()):
        fill(os.path.join(top, f"list{count}"), count)
    for i in range(100):
        fill(os.path.join(top, "walk", f"d{i}"), 100)
    for i in range(16):
        fill(os.path.join(top, "rate", str(i)), 0)
        with open(os.path.join(top, "rate", str(i), "f"), "wb") as f:
            f.write(bytes(1 << 20))
    os.mkdir(os.path.join(top, "rate", "one"))


def operations(large):
    """[(what, line before, cold line, warm line, line after, on the volume of any case?)]"""
    same = lambda what, line: (what, None, line, line, None, False)  # noqa: E731
    held = lambda what, path, line: (what, "hold " + path, line, line, "drop", False)  # noqa: E731
    table = [same("open, depth 1", "open \\f0"), same("open, depth 4", "open \\o4\\d\\d\\f0"),
             same("open, depth 8", "open \\o8\\d\\d\\d\\d\\d\\d\\f0"), same("stat by name", "stat \\stat\\f1"),
             ("create", None, "create \\create\\1", "create \\create\\2", None, False),
             held("read 4 KiB", "\\read\\f0", "read 4096"), held("read 1 MiB", "\\read\\f1", "read 1048576"),
             held("read 16 MiB", "\\read\\f2", "read 16777216"), held("write 4 KiB", "\\write\\f0", "write 4096"),
             held("write 1 MiB", "\\write\\f1", "write 1048576"), held("append 4 KiB", "\\append\\f0", "append 4096"),
             ("delete", None, "delete \\delete\\f1", "stat \\delete\\f2; delete \\delete\\f2", None, False),
             ("rename", None, "rename \\rename\\f1 a", "stat \\rename\\f2; rename \\rename\\f2 b", None, False)]
    table += [same(f"list {n:,} entries", f"list \\list{n}") for n in (10, 1000, 10000) + ((100000,) if large else ())]
    # The C daemon keeps a descriptor for each inode: a new one for each of these.
    table += [("walk of 10,000 files, each asked for", "restart", "walk \\walk", "walk \\walk", None, False),
              ("copy 1,000 files of 4 KiB", "restart", "copy \\source \\copied", "copy \\source \\again", None, False),
              ("100 missing names with -i", None, "miss \\miss 100", "miss \\miss 100", None, True),
              ("another spelling with -i", None, "open \\STAT\\F1", "open \\STAT\\F1", None, True)]
    return table


# ---- daemons -------------------------------------------------------------------------------------

def text_of_stats(share):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(share.stats)
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def counts_of_ours(share):
    """{opcode: requests}, seconds in the daemon"""
    text = text_of_stats(share)
    counts = re.findall(r'^virtiofsd_requests_total\{op="(\w+)"\} (\d+)', text, re.MULTILINE)
    seconds = re.findall(r"^virtiofsd_request_duration_seconds_sum\{.*\} ([\d.e+-]+)", text, re.MULTILINE)
    return collections.Counter({op: int(n) for op, n in counts}), sum(map(float, seconds))


def counts_of_c_daemon(share):
    with open(share.daemon_log, errors="replace") as log:
        return collections.Counter(re.findall(r"opcode: (\w+|\?\?\?) \(", log.read())), 0.0


def counts(share):
    return (counts_of_c_daemon if share.plain else counts_of_ours)(share)


def make_shares(chain, work, kinds, large):
    """{(kind, any case?): share}"""
    class Counted(chain.Share):
        """A share whose daemon says what it was asked."""

        plain, stats = False, ""

        def start_daemon(self, work):
            if not self.plain:
                return super().start_daemon(work)
            self.socket = os.path.join(work, f"{self.tag}.{time.monotonic_ns() % 1000000}.fs")
            self.daemon_log = os.path.join(work, f"virtiofsd-{self.tag}.log")
            with open(self.daemon_log, "ab") as log:
                self.daemon = subprocess.Popen([C_DAEMON, "-d", "--socket-path=" + self.socket, "-o",
                                                f"source={self.directory},xattr,timeout=3600"],
                                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            return chain.wait_for_path(self.socket, 10, alive=[self.daemon])

    shares = {}
    letters = iter("ZYXW")
    for kind in kinds:
        for fold in (False, True):
            tag = kind + ("-i" if fold else "")
            directory = os.path.join(work, tag)
            make_tree(directory, large and not fold)
            stats = os.path.join(work, tag + ".stats")
            share = Counted(tag, directory, {"MountPoint": next(letters) + ":", "CaseInsensitive": int(fold)},
                            ["-o", "xattr", "--sandbox=none", "--timeout=3600", "--stats-socket=" + stats])
            share.plain, share.stats = kind == "plain", stats
            shares[kind, fold] = share
    return shares


# ---- operations ----------------------------------------------------------------------------------

class Door:
    """door_bench on one volume."""

    def __init__(self, program, path):
        self.process = subprocess.Popen([program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1)

    def do(self, line):
        """Return: the numbers of the answer."""
        self.process.stdin.write(line + "\n")
        words = self.process.stdout.readline().split()
        if words[:1] != ["ok"]:
            raise RuntimeError(f"{line}: {' '.join(words) or 'door_bench ended'}")
        return [float(w) for w in words[1:]]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def settled(door, share):
    """Counts when nothing is under way any more."""
    door.do("settle")
    last = counts(share)
    while True:
        time.sleep(0.05)
        now = counts(share)
        if now == last:
            return now[0]
        last = now


def count(door, share, lines):
    """{opcode: requests} of the last of @lines"""
    *first, line = lines.split("; ")
    for other in first:
        door.do(other)
    before = settled(door, share)
    door.do(line)
    return settled(door, share) - before


def restart(door, share, work):
    """A new daemon, and the volume works again: all caches are empty."""
    share.replace_daemon(work)
    end = time.monotonic() + 60
    while True:
        try:
            return door.do("open \\rate\\0\\f")  # an open is always asked for, a listing may be known
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def count_operations(doors, shares, kinds, large, work):
    """[(what, {(kind, "cold"|"warm"): {opcode: requests}})]"""
    found = []
    for what, first, cold, warm, last, fold in operations(large):
        row = {}
        for kind in kinds:
            door, share = doors[kind, fold], shares[kind, fold]
            if first == "restart":
                restart(door, share, work)
            elif first:
                door.do(first)
            row[kind, "cold"] = count(door, share, cold)
            row[kind, "warm"] = count(door, share, warm)
            if last:
                door.do(last)
        found.append((what, row))
        print(what, *(f"{kind}, {when}: {in_words(n)};" for (kind, when), n in row.items()), file=sys.stderr)
    return found


# ---- rates ---------------------------------------------------------------------------------------

def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def wine_processes(prefix):
    """{pid: "service" or "Wine"} of a prefix"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"WINEPREFIX={prefix}\0".encode() in pathlib.Path("/proc", pid, "environ").read_bytes():
                command = pathlib.Path("/proc", pid, "cmdline").read_bytes()
                found[int(pid)] = "service" if b"virtiofs.exe" in command else "Wine"
        except OSError:
            pass  # it has ended, or is not ours
    return found


def cpu_of_parts(processes):
    """{part: seconds}"""
    seconds = collections.Counter()
    for pid, part in processes.items():
        seconds[part] += cpu_ticks(pid) / TICK
    return seconds


def measure_rates(door, share, prefix, milliseconds):
    """[(operation, threads, {figure: value})]"""
    processes = {**wine_processes(prefix), share.daemon.pid: "daemon", share.bench.pid: "driver",
                 door.process.pid: "client"}
    found = []
    for op in RATES:
        for threads in THREADS:
            cpu, in_daemon = cpu_of_parts(processes), counts(share)[1]
            done, ms, most = door.do(f"rate {op} {threads} {milliseconds}")
            parts = cpu_of_parts(processes)
            done = max(done, 1)
            found.append((op, threads, {"rate": done * 1000 / ms, "most": int(most),
                                        "daemon": (counts(share)[1] - in_daemon) * 1e6 / done,
                                        "cpu": {p: (parts[p] - cpu[p]) * 1e6 / done for p in parts}}))
    return found


# ---- all of it -----------------------------------------------------------------------------------

def chain_of(build, prepared):
    """The module. @prepared: what the chain runs is built already."""
    os.environ["VIOFS_BUILD"] = str(build)
    if not prepared:
        subprocess.run([TOP / "tests" / "wine" / "chain" / "build"], check=True)
    import chain  # pylint: disable=import-outside-toplevel
    return chain


def measure(daemon_build, quick=False, prepared=False):
    """All figures of the service. @prepared: what the chain runs is built already."""
    build = daemon_build.parent
    chain = chain_of(build, prepared)
    kinds = [k for k in KINDS if k == "ours" or os.access(C_DAEMON, os.X_OK)]
    work = tempfile.mkdtemp(prefix="viofs-bench.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        shares = make_shares(chain, work, kinds, not quick)
        with chain.Chain(work, list(shares.values())) as running:
            doors = {key: Door(build / "release" / "bench" / "door_bench", running.door_of(s))
                     for key, s in shares.items()}
            try:
                return {"counts": count_operations(doors, shares, kinds, not quick, work), "kinds": kinds,
                        "rates": measure_rates(doors["ours", False], shares["ours", False], running.prefix.path,
                                               500 if quick else 3000)}
            finally:
                for door in doors.values():
                    door.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def waited(requests):
    return sum(n for op, n in requests.items() if op not in NOT_WAITED_FOR)


def in_words(requests):
    return ", ".join(f"{op} {n}" if n > 1 else op for op, n in sorted(requests.items())) or "-"


def count_rows(found):
    return [[what, *[str(waited(row[kind, when])) for kind in found["kinds"] for when in ("cold", "warm")],
             in_words(row["ours", "cold"])] for what, row in found["counts"]]


def count_header(found):
    names = {"ours": "viofs", "plain": "plain daemon"}
    return ["operation", *[f"{names[k]}, {when}" for k in found["kinds"] for when in ("cold", "warm")],
            "requests to viofs, cold"]


PARTS = ("client", "service", "Wine", "driver", "daemon")
RATE_HEADER = ["operation", "threads", "operations/s", "most at once", "in the daemon, µs",
               *[f"{p}, % of CPU" for p in PARTS]]


def rate_rows(found):
    rows = []
    for op, threads, f in found["rates"]:
        total = sum(f["cpu"].values()) or 1
        rows.append([RATES[op], str(threads), f"{f['rate']:.0f}", str(f["most"]), f"{f['daemon']:.1f}",
                     *[f"{f['cpu'].get(p, 0) * 100 / total:.0f}" for p in PARTS]])
    return rows


def show(found):
    print("\nvirtiofs.exe: requests of an operation")
    results.print_grid(count_header(found), count_rows(found))
    print("\nvirtiofs.exe: rates")
    results.print_grid(RATE_HEADER, rate_rows(found))


HOW_COUNTED = """\
The whole chain with the files that ship (tests/wine/chain): NT calls, the stand-in for WinFsp, virtiofs.exe in Wine,
viofs.sys on the NT bench, a daemon.

Requests to the host that an operation waits for; RELEASE, RELEASEDIR and FORGET, which nobody waits for, are not among
them. *Cold*: nothing in the directory was asked for before. *Warm*: the same again, within the time that names and
attributes hold; WinFsp itself remembers nothing. The *plain daemon* is Debian's C virtiofsd, which does not know our
extension."""

HOW_FAST = """\
Operations a second, and where the time goes; load average {load:.1f}. *Most at once*: callbacks of virtiofs.exe in
progress at the same time. *In the daemon*: time that the requests of an operation spend there. The CPU time of all
parts is 100 %: the measuring program, the service with the stand-in for WinFsp, Wine's server and the bridge, the
driver with the bench that runs it (a register access is a fault there), and the daemon. Rates serve to be compared with
each other."""


def grid(header, rows, words):
    """A table; the first column and the last @words ones are text."""
    middle = len(header) - 1 - words
    return ["| " + " | ".join(header) + " |", "|---|" + "---:|" * middle + "---|" * words,
            *["| " + " | ".join(row) + " |" for row in rows]]


def section(found):
    return "\n".join([TITLE, "", HOW_COUNTED, "", *grid(count_header(found), count_rows(found), 1), "",
                      HOW_FAST.format(load=os.getloadavg()[0]), "", *grid(RATE_HEADER, rate_rows(found), 0), ""])


def update(found, document):
    driver.replace_section(document, TITLE, section(found))
