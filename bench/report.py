# SPDX-License-Identifier: BSD-3-Clause
"""report.py - docs/performance.md and its plots, from one run of the bench"""

import datetime
import os
import platform
import statistics

import plot
import results
import uml

FULL_NAMES = {"ours": "viofs", "C": "C virtiofsd 7.2"}


def full(peer):
    return FULL_NAMES.get(peer, peer)


def machine():
    """CPU model, number of CPUs, kernel; nothing that names a host."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{model}, {os.cpu_count()} CPUs, Linux {kernel}"


def table(header, lines):
    out = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return out + ["| " + " | ".join(str(x) for x in line) + " |" for line in lines]


def titles(units, workload):
    return units.get(workload, workload)


# ---- plots ------------------------------------------------------------------------------------


def relative_plot(found, units, mode):
    """CPU time of every daemon and of the host, relative to the better peer."""
    peers = ["ours", *found.others()]
    series = [(full(p), c) for p, c in zip(peers, plot.COLORS)] + [("bare system calls", plot.GREY)]
    groups = []
    for w in found.workloads():
        best = found.better_peer(w, mode)
        if best is None:
            continue
        unit = found.cpu(w, mode, best)
        values = [found.cpu(w, mode, p) for p in [*peers, "host"]]
        groups.append((titles(units, w),
                       [v is not None and (v / unit, f"{results.number(v)} µs") for v in values]))
    return plot.bars("CPU time of the daemon for an operation, client "
                     f"{results.MODE_NAMES[mode]} (shorter is better)", series, groups, line=1.0)


def guest_plot(guest, peers):
    series = [(full(p), c) for p, c in zip(peers, plot.COLORS)]
    groups = []
    for operation, rates in guest.items():
        base = statistics.median(rates[peers[-1]])
        groups.append((operation, [(statistics.median(rates[p]) / base,
                                    f"{statistics.median(rates[p]):.0f}/s") for p in peers]))
    return plot.bars("Operations a second in a Linux guest (longer is better)", series, groups, line=1.0)


# ---- text -------------------------------------------------------------------------------------


def cpu_section(found, units, mode):
    lines = []
    for w in found.workloads():
        ratio, goal, reached = found.verdict(w, mode)
        lines.append([titles(units, w)] + [results.number(found.cpu(w, mode, p)) for p in found.peers]
                     + [results.number(found.cpu(w, mode, "host"))]
                     + [results.number(ratio) + "x" if ratio is not None else "-",
                        (f"{goal}x" + ("" if reached else " **missed**")) if goal and ratio is not None
                        else "-"])
    return table(["operation", *map(full, found.peers), "host", "ratio", "goal"], lines)


def rate_section(found, units):
    header = ["operation"] + [f"{full(p)}, {results.MODE_NAMES[m]}" for m in results.MODES
                              for p in found.peers]
    return table(header, [[titles(units, w)] + [f"{found.rate(w, m, p) or 0:.0f}" for m in results.MODES
                                                for p in found.peers] for w in found.workloads()])


def wake_section(found, units):
    header = (["operation"] + [f"system calls, {full(p)}" for p in found.peers]
              + [f"context switches, {full(p)}" for p in found.peers]
              + [f"signals, {full(p)}" for p in found.peers])
    n = results.number
    return table(header, [[titles(units, w)] + [n(found.syscalls.get((w, p))) for p in found.peers]
                          + [n(found.switches(w, "sleep", p)) for p in found.peers]
                          + [n(found.signals(w, "sleep", p)) for p in found.peers]
                          for w in found.workloads()])


def inode_section(found):
    header = ["daemon", "files looked up", "private memory an inode", "lookups/s at first", "at last", "end"]
    return table(header, [[full(p), f"{i['reached']} of {i['wanted']}", f"{i['bytes']:.0f} bytes",
                           *[f"{i[k]:.0f}" if i[k] else "-" for k in ("first", "last")],
                           os.strerror(i["error"]) if i["error"] else "all served"]
                          for p, i in found.inodes.items()])


def modes_section(modes, units):
    header = ["operation"] + [f"{cache}, {results.MODE_NAMES[m]}" for cache in modes
                              for m in results.MODES]
    return table(header, [[titles(units, row[0])] + [x + "x" for x in row[1:]]
                          for row in results.mode_rows(modes)])


def guest_section(guest, peers):
    others = [p for p in peers if p != "ours"]
    header = ["in the guest", *map(full, peers)] + [f"viofs / {full(p)}" for p in others]
    return table(header, [[op] + [f"{statistics.median(rates[p]):.0f}/s" for p in peers]
                          + [uml.ratio_words(rates, p) for p in others] for op, rates in guest.items()])


def missed(found, units):
    out = []
    for mode in results.MODES:
        for w in found.workloads():
            ratio, goal, reached = found.verdict(w, mode)
            if goal and ratio is not None and not reached:
                out.append(f"- {titles(units, w)}, client {results.MODE_NAMES[mode]}: {ratio:.2f}x, "
                           f"goal {goal}x")
    return out


METHOD = """\
A vhost-user front end (`bench/vubench`) gives every daemon rings of {queue_size} entries in shared memory,
with indirect descriptors and EVENT_IDX as negotiated, and sends FUSE requests as a Linux guest lays them
out: header and arguments apart, payload in 4 KiB segments. Client and daemon run on one CPU, so a figure
is what a request costs, not how two CPUs wake each other. All daemons share the same tmpfs directory,
with default options{cache}, and their payloads go through the same memory: where the kernel puts pages
matters more to large transfers than what a daemon does.

The daemons take turns in slices of {slice} s, {rounds} rounds. *CPU time* is user and system time of all
threads of the daemon, from its process clock, divided by the operations; tables show the median of the
rounds. A *ratio* is taken inside each round, better peer over viofs (for 1 MiB transfers host over
viofs), and its median is shown: above 1 is in our favour. *Sleeping* is a client that waits on its call
descriptor, as a guest with interrupts does; *polling* is one that looks at the ring and calls
sched_yield() in between. *Host* is the bare system calls that the operation needs at least, made by the
client itself. The absolute figures depend on the machine and on what else it does; the ratios much
less.

System calls are counted with strace in a run of their own; strace slows a daemon down, which can change
how much it batches. FORGETs are sent outside the measured time."""


def document(o, found, units, modes, guest, guest_peers, plots):
    cache = "" if o.cache == "auto" else f", cache mode {o.cache}"
    out = ["# Performance", "",
           "Written by `make bench`; do not edit. "
           f"Measured on {datetime.date.today():%d %B %Y}: {machine()}; load average before the run {o.load:.1f}.",
           "",
           "## How", "",
           METHOD.format(queue_size=o.queue_size, slice=o.slice, rounds=o.rounds, cache=cache), ""]
    for mode in results.MODES:
        out += [f"## CPU time of an operation, client {results.MODE_NAMES[mode]}", "", "Microseconds.", "",
                *cpu_section(found, units, mode), "", f"![plot]({plots[mode]})", ""]
    out += ["## Operations a second", "", *rate_section(found, units), ""]
    out += ["## System calls and wake-ups of an operation", "",
            "Client sleeping. Signals are writes to the call descriptor, which a guest sees as interrupts.",
            "", *wake_section(found, units), ""]
    if found.idle:
        out += ["## Idle", "", *[f"- {full(p)}: {load * 100:.3f} % of a CPU while connected and idle"
                                 for p, load in found.idle.items()], ""]
    if found.inodes:
        out += ["## Inodes that are never forgotten", "",
                "Every file is looked up once and none is forgotten. viofs runs with 4096 descriptors "
                "(RLIMIT_NOFILE), the others with all that the machine allows.", "",
                *inode_section(found), ""]
    if modes:
        out += ["## Other cache modes", "", "CPU time of the better peer divided by ours.", "",
                *modes_section(modes, units), ""]
    if guest:
        out += ["## Through a real guest kernel", "",
                "The same work by a program in User-mode Linux, guests and daemons on one CPU, guest caching "
                "switched off in the daemon. One guest for each daemon runs at a time, and they take turns "
                f"of {o.guest_seconds} s, {uml.ROUNDS_A_BOOT} rounds in each of {o.uml} boots; medians. "
                "Most of the time is the guest's own. A ratio is the median of all rounds, its quartiles in "
                "parentheses.", "", *guest_section(guest, guest_peers), "", f"![plot]({plots['guest']})", ""]
    short = missed(found, units)
    out += ["## Against the goals", "",
            *(["Missed in this run:", "", *short] if short else ["All goals were reached in this run."])]
    if found.dead:
        out += ["", "Failed in this run:", "",
                *[f"- {full(p)} during {during}: {os.strerror(e)}" for p, during, e in found.dead]]
    return "\n".join(out) + "\n"


def write(o, found, units, modes, guest, guest_peers, docs):
    plots = {"sleep": "performance-sleeping.svg", "spin": "performance-polling.svg",
             "guest": "performance-guest.svg"}
    docs.mkdir(exist_ok=True)
    for mode in results.MODES:
        (docs / plots[mode]).write_text(relative_plot(found, units, mode))
    if guest:
        (docs / plots["guest"]).write_text(guest_plot(guest, guest_peers))
    (docs / "performance.md").write_text(document(o, found, units, modes, guest, guest_peers, plots))
