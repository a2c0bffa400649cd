# SPDX-License-Identifier: BSD-3-Clause
"""results.py - read vubench's lines, make medians and ratios, print the table.

A ratio is taken inside one round, where both daemons met the same machine, and the median of the rounds
is reported: the machine's noise hits numerator and denominator alike.
"""

import collections
import statistics

# What virtiofsd must reach: the better peer's CPU time divided by ours, sleeping and polling client.
GOALS = {
    "lookup-known": (1.5, 2.2),
    "lookup-new": (1.2, 1.5),
    "lookup-missing": (1.1, 1.3),
    "getattr": (1.2, 1.6),
    "open-read": (1.25, 1.6),
    "create": (1.3, 1.4),
    "list": (1.6, 1.6),
    "list-known": (1.6, 1.6),
    "list-4k": (1.6, 1.6),
    "read4k": (1.1, 1.3),
    "write4k": (1.1, 1.3),
    "read4k-32": (2.0, 1.25),
    "write4k-32": (2.0, 1.25),
}
# Large transfers: the host's own CPU time divided by ours.
HOST_GOALS = {"read1m": 0.95, "write1m": 0.95}

MODES = ("sleep", "spin")
MODE_NAMES = {"sleep": "sleeping", "spin": "polling"}

Sample = collections.namedtuple(
    "Sample", "ops wall cpu client switches preempted kicks signals")


class Results:
    """Everything that one or more runs of vubench said."""

    def __init__(self):
        self.samples = collections.defaultdict(list)  # (workload, mode, peer) -> [Sample]
        self.syscalls = {}  # (workload, peer) -> calls an operation
        self.idle = {}  # peer -> CPU seconds a second
        self.inodes = {}  # peer -> dict
        self.again = {}  # peer -> dict: ns of CPU for a lookup
        self.peers = []
        self.features = {}
        self.dead = []

    def read(self, line):
        kind, *f = line.split()
        if kind == "sample":
            self.samples[f[0], f[1], f[2]].append(Sample(int(f[3]), *map(float, f[4:])))
        elif kind == "peer":
            if f[0] not in self.peers:
                self.peers.append(f[0])
            self.features[f[0]] = (int(f[1], 0), int(f[2], 0))
        elif kind == "syscalls":
            self.syscalls[f[0], f[1]] = int(f[3]) / int(f[2])
        elif kind == "idle":
            self.idle[f[0]] = float(f[2]) / float(f[1])
        elif kind == "inodes":
            self.inodes[f[0]] = dict(reached=int(f[1]), wanted=int(f[2]), bytes=float(f[3]),
                                     first=float(f[4]), last=float(f[5]), error=int(f[6]))
        elif kind == "again":
            self.again[f[0]] = dict(zip(("n", "few", "all", "host_few", "host_all"), map(int, f[1:6])))
        elif kind == "dead":
            self.dead.append((f[0], f[1], int(f[2])))

    def workloads(self):
        return list(dict.fromkeys(w for w, _, _ in self.samples))

    def _median(self, workload, mode, peer, value):
        if peer == "host":
            mode = "sleep"
        s = self.samples.get((workload, mode, peer))
        return statistics.median(value(x) for x in s) if s else None

    def cpu(self, workload, mode, peer):
        """CPU time of an operation, microseconds."""
        return self._median(workload, mode, peer, lambda s: s.cpu / s.ops * 1e6)

    def rate(self, workload, mode, peer):
        """Operations a second."""
        return self._median(workload, mode, peer, lambda s: s.ops / s.wall)

    def switches(self, workload, mode, peer):
        """Context switches of the daemon for an operation."""
        return self._median(workload, mode, peer, lambda s: (s.switches + s.preempted) / s.ops)

    def signals(self, workload, mode, peer):
        return self._median(workload, mode, peer, lambda s: s.signals / s.ops)

    def ratio(self, workload, mode, over, under, value=lambda s: s.cpu / s.ops):
        """Median over the rounds of over/under; None when one of them is missing."""
        a = self.samples.get((workload, "sleep" if over == "host" else mode, over), [])
        b = self.samples.get((workload, "sleep" if under == "host" else mode, under), [])
        pairs = [value(x) / value(y) for x, y in zip(a, b) if value(y) > 0]
        return statistics.median(pairs) if pairs else None

    def others(self):
        return [p for p in self.peers if p != "ours"]

    def better_peer(self, workload, mode):
        known = [(self.cpu(workload, mode, p), p) for p in self.others()
                 if self.cpu(workload, mode, p) is not None]
        return min(known)[1] if known else None

    def verdict(self, workload, mode):
        """(ratio, goal, reached) of ours; ratio None when it cannot be said."""
        if workload in HOST_GOALS:
            ratio, goal = self.ratio(workload, mode, "host", "ours"), HOST_GOALS[workload]
        else:
            best = self.better_peer(workload, mode)
            ratio = self.ratio(workload, mode, best, "ours") if best else None
            goal = GOALS.get(workload, (None, None))[MODES.index(mode)]
        return ratio, goal, ratio is not None and goal is not None and ratio >= goal


def mode_rows(modes):
    """One row a workload: for each cache mode and way of waiting, the better peer / ours."""
    first = next(iter(modes.values()))
    for w in first.workloads():
        yield [w] + [number(found.ratio(w, mode, found.better_peer(w, mode), "ours"))
                     if found.better_peer(w, mode) else "-"
                     for found in modes.values() for mode in MODES]


def print_modes(modes):
    if not modes:
        return
    print("\nOther cache modes: better peer / ours, CPU time; below 1 is slower")
    print_grid(["operation"] + [f"{cache} {MODE_NAMES[m]}" for cache in modes for m in MODES],
               list(mode_rows(modes)))


def number(value, digits=2):
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def rows(results, mode):
    """One row a workload: name, CPU of every peer, host, ratio, goal."""
    for w in results.workloads():
        ratio, goal, reached = results.verdict(w, mode)
        mark = "" if ratio is None or goal is None else "ok" if reached else "short"
        yield ([w] + [number(results.cpu(w, mode, p)) for p in results.peers]
               + [number(results.cpu(w, mode, "host")), number(ratio), number(goal), mark]
               + [number(results.switches(w, mode, p)) for p in results.peers]
               + [number(results.signals(w, mode, p)) for p in results.peers]
               + [f"{results.rate(w, mode, p) or 0:.0f}" for p in results.peers])


def print_grid(header, lines):
    widths = [max(len(str(x)) for x in column) for column in zip(header, *lines)]
    for line in [header, *lines]:
        print("  ".join(str(x).ljust(n) if i == 0 else str(x).rjust(n)
                        for i, (x, n) in enumerate(zip(line, widths))))


def print_table(results):
    for mode in MODES:
        print(f"\nCPU time of the daemon, microseconds an operation; client {MODE_NAMES[mode]}")
        header = (["operation", *results.peers, "host", "ratio", "goal", ""]
                  + [f"sw:{p}" for p in results.peers] + [f"sig:{p}" for p in results.peers]
                  + [f"ops/s:{p}" for p in results.peers])
        print_grid(header, list(rows(results, mode)))
    print("\nratio: better peer / ours (1 MiB: host / ours), median of the rounds. "
          "sw, sig: context switches and signals an operation.")
    if results.syscalls:
        print("\nSystem calls an operation")
        print_grid(["operation", *results.peers],
                   [[w] + [number(results.syscalls.get((w, p))) for p in results.peers]
                    for w in results.workloads()])
    for peer, load in results.idle.items():
        print(f"idle: {peer}: {load * 100:.3f} % CPU")
    for peer, i in results.inodes.items():
        print(f"inodes: {peer}: {i['reached']} of {i['wanted']} looked up, {i['bytes']:.0f} bytes each, "
              f"{i['first']:.0f} lookups/s at first, {i['last']:.0f} at last"
              + (f", then errno {i['error']}" if i["error"] else ""))
    for peer, a in results.again.items():
        few, many = a["few"] - a["host_few"], a["all"] - a["host_all"]
        print(f"looking up again: {peer}: {few} ns of CPU beside the host's calls among 10,000, {many} among {a['n']}")
    for peer, during, err in results.dead:
        print(f"FAILED: {peer} during {during}: errno {err}")
