# SPDX-License-Identifier: BSD-3-Clause
"""driver.py - what a request costs in viofs.sys

Two sources. The NT bench runs the shipped file against a real virtiofsd and says how long requests took and
what they cost in kicks, interrupts, pool and mappings (tests/nt-bench/scenario_cost.c). The same sources built
natively run on a machine of one thread (tests/nt-bench/solo) under callgrind, which counts instructions:
those of driver/ and lib/ring only, as the difference of two runs, so the start does not count.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import results

TOP = pathlib.Path(__file__).resolve().parent.parent
TITLE = "## The Windows driver"
OURS = re.compile(r"^\s*([\d,]+)\s+\(.*?\)\s+(?:\S*/)?(?:driver/\w+\.[ch]|lib/ring/\w+\.[ch]):")
COUNTED = 2048


def build(out, daemon_build):
    """Build driver, bench and the one-thread machine into @out. Return its path."""
    for command in (["driver/build", out], ["tests/nt-bench/build", "pe", out],
                    ["tests/nt-bench/build", "cost", out]):
        subprocess.run([TOP / command[0], *command[1:]], check=True, stdout=subprocess.DEVNULL)
    return dict(os.environ, VIOFS_DAEMON=str(daemon_build / "virtiofsd" / "virtiofsd"))


def bench_figures(out, env):
    """[{what, depth, requests, us, kicks, ...}] of the shipped file; the median of three runs by time"""
    runs = []
    for _ in range(3):
        said = subprocess.run([out / "nt-bench-pe", "-v", "-j", "1", "-d", out / "viofs.sys",
                               "what a request costs"], check=True, env=env, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).stderr
        for line in re.findall(r"note: figures (.*)", said):
            runs.append({k: v if k == "what" else int(v)
                         for k, v in (word.split("=") for word in line.split())})
    cases = sorted({(r["what"], r["depth"]) for r in runs})
    if len(cases) != 4:
        raise RuntimeError("the bench gave no figures")
    return [sorted((r for r in runs if (r["what"], r["depth"]) == case), key=lambda r: r["us"])[1]
            for case in cases]


def instructions(out, depth):
    """Instructions of the driver for one request, with @depth of them sent before the device looks."""
    totals = []
    with tempfile.TemporaryDirectory() as scratch:
        for n in (COUNTED, 2 * COUNTED):
            data = pathlib.Path(scratch) / f"{n}"
            subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={data}",
                            out / "nt-bench-cost", str(n), str(depth)], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            said = subprocess.run(["callgrind_annotate", "--threshold=100", "--show=Ir", data],
                                  check=True, text=True, stdout=subprocess.PIPE).stdout
            totals.append(sum(int(m.group(1).replace(",", ""))
                              for m in map(OURS.match, said.splitlines()) if m))
    if totals[1] <= totals[0]:
        raise RuntimeError("callgrind_annotate named no file of the driver")
    return (totals[1] - totals[0]) / COUNTED


def batch(out, depth):
    """Costs of a batch of @depth: {kicks, interrupts, ...}"""
    said = subprocess.check_output([out / "nt-bench-cost", str(COUNTED), str(depth)], text=True)
    counts = {k: int(v) for k, v in (word.split("=") for word in said.split())}
    return {k: v * depth / counts["requests"] for k, v in counts.items()}


def measure(daemon_build):
    """All figures of the driver."""
    out = daemon_build.parent / "nt-bench"
    out.mkdir(parents=True, exist_ok=True)
    env = build(out, daemon_build)
    return {"bench": bench_figures(out, env),
            "instructions": {d: instructions(out, d) for d in (1, 32)} if shutil.which("valgrind") else {},
            "batch": {d: batch(out, d) for d in (1, 32)}}


HEADER = ["request", "in flight", "requests/s", "kicks a request", "interrupts a request",
          "payload copies", "pool allocations"]


def rows(found):
    return [[r["what"], r["depth"], f"{r['requests'] * 1e6 / r['us']:.0f}",
             f"{r['kicks'] / r['requests']:.2f}", f"{r['interrupts'] / r['requests']:.2f}",
             r["mappings"] if r["what"].startswith("READ") else "-", r["pool"]] for r in found["bench"]]


def show(found):
    print("\nviofs.sys")
    results.print_grid(HEADER, [[str(x) for x in row] for row in rows(found)])
    for depth, n in found["instructions"].items():
        print(f"instructions of a GETATTR, batches of {depth}: {n:.0f}")
    for depth, b in found["batch"].items():
        print(f"a batch of {depth}: {b['kicks']:.2f} kicks, {b['interrupts']:.2f} interrupts")


def section(found):
    lines = [TITLE, "",
             "The shipped `viofs.sys` on the NT bench (tests/nt-bench), a real virtiofsd behind it. Rates include the "
             "bench's own price: a register access is a fault there, and the kernel's rules are checked at every "
             "call; they serve to be compared with each other. A payload copy would need a mapping of the "
             "caller's pages, and those are counted.", "",
             "| " + " | ".join(HEADER) + " |", "|---|" + "---:|" * (len(HEADER) - 1)]
    lines += ["| " + " | ".join(str(x) for x in row) + " |" for row in rows(found)]
    lines += ["", "A *batch* is what is sent before the device looks; with EVENT_IDX it costs:", "",
              "| requests in a batch | instructions a request | kicks a batch | interrupts a batch |",
              "|---|---:|---:|---:|"]
    lines += [f"| {d} | {found['instructions'][d]:.0f} | {b['kicks']:.2f} | {b['interrupts']:.2f} |"
              if d in found["instructions"] else f"| {d} | - | {b['kicks']:.2f} | {b['interrupts']:.2f} |"
              for d, b in found["batch"].items()]
    lines += ["", "Instructions are those of driver/ and lib/ring for a GETATTR, from dispatch to completion, counted "
              "by `valgrind --tool=callgrind` in a native build of the same sources (gcc -O2); what Windows does "
              "around them is not in them.", ""]
    return "\n".join(lines)


def replace_section(document, title, section_text):
    """Put a section into @document, in place of the one with that title or before the goals."""
    text = document.read_text()
    before, _, rest = text.partition(title + "\n")
    after = re.search(r"^## ", rest, re.MULTILINE)
    tail = rest[after.start():] if after else ""
    if not rest and "## Against the goals" in before:
        before, _, tail = before.partition("## Against the goals")
        tail = "## Against the goals" + tail
    document.write_text(before + section_text + ("\n" + tail if tail else ""))


def update(found, document):
    replace_section(document, TITLE, section(found))
