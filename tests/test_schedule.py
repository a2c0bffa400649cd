#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_schedule.py - schedule.py with stages that go wrong, as tests/run uses it

Each test has a project of its own with a few stages of a line or two. Prints TAP.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "wine", "chain"))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import importlib.machinery  # noqa: E402
import importlib.util  # noqa: E402

from tap import Tap  # noqa: E402

TAP = Tap()
RUN = f"""import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {HERE!r})
import schedule
from schedule import Stage
schedule.GRACE = 3
class Hasty(Stage):
    limit = 3
sys.exit(schedule.main([%s], %r, "test"))
"""


class Project:
    """A table of stages and their programs, in a directory that goes away."""

    def __init__(self, table, **stages):
        self.directory = tempfile.TemporaryDirectory(prefix="viofs-schedule.")
        self.top = self.directory.name
        self.run = [sys.executable, "-c", RUN % (table, self.top)]
        self.env = dict(os.environ, VIOFS_BUILD=os.path.join(self.top, "build"))
        os.makedirs(os.path.join(self.top, "tests", "stages"))
        for name, body in stages.items():
            path = os.path.join(self.top, "tests", "stages", name.replace("_", "-"))
            with open(path, "w", encoding="utf-8") as f:
                f.write("#!/bin/bash\n" + body + "\n")
            os.chmod(path, 0o755)

    def test(self, *options):
        """Return: exit status and what was printed."""
        done = subprocess.run([*self.run, *options], env=self.env, capture_output=True, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout + done.stderr

    def start(self, *options):
        return subprocess.Popen([*self.run, *options], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def path(self, name):
        return os.path.join(self.top, name)

    def appears(self, name):
        """Wait for a file that a stage makes."""
        end = time.monotonic() + 20
        while not os.path.exists(self.path(name)):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


FINE = "echo 'ok 1 - fine'; echo 1..1"


def expect(text, output, status, last, *patterns):
    """Was this the exit status, this the last line, and is each pattern somewhere?"""
    missing = [p for p in patterns if not re.search(p, output[1], re.MULTILINE)]
    good = output[0] == status and output[1].splitlines()[-1:] == [last] and not missing
    TAP.result(good, text, f"missing: {missing}, status {output[0]}\n{output[1]}")


def one(body):
    """A project of one stage."""
    return Project("Stage('one', 1, after=())", one=body).test()


def results_are_counted():
    expect("results are counted", one("echo 'ok 1 - a'; echo 'ok 2 - b # SKIP no c'; echo 'not ok 3 - d'; echo 1..3; exit 1"),
           1, "1 passed, 1 failed, 1 skipped", r"FAILED  d$", r"skipped b # SKIP no c$")
    expect("the exit status is 0 when nothing failed", one(FINE), 0, "1 passed, 0 failed, 0 skipped")
    expect("the log's end is shown when something failed", one("echo 'not ok 1 - a'; echo because >&2; echo 1..1"),
           1, "0 passed, 1 failed, 0 skipped", r"\| because$")


def silence_is_a_failure():
    expect("a stage without a plan has failed", one("echo 'ok 1 - a'"), 1, "1 passed, 1 failed, 0 skipped",
           "FAILED  ended early, with exit status 0")
    expect("a stage that is killed has failed", one("echo 'ok 1 - a'; kill -KILL $$"), 1, "1 passed, 1 failed, 0 skipped",
           "FAILED  ended early, with exit status -9")
    expect("a stage with less results than it planned has failed", one("echo 'ok 1 - a'; echo 1..2"), 1,
           "1 passed, 1 failed, 0 skipped", "FAILED  announced 2 results and gave 1")
    expect("a stage that checks nothing has failed", one("echo 1..0"), 1, "0 passed, 1 failed, 0 skipped",
           "FAILED  checked nothing")
    expect("a status other than 0 is a failure", one(FINE + "; exit 3"), 1, "1 passed, 1 failed, 0 skipped",
           "FAILED  exit status 3 with no failed check")
    expect("a stage without a program has failed", Project("Stage('one', 1, after=())").test(), 1,
           "0 passed, 1 failed, 0 skipped", "FAILED  cannot be started: .*one")


def ended(pid):
    """Where nobody waits for orphans, they stay as zombies."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(") ")[2][0] in "ZX"
    except OSError:
        return True


def limits_hold():
    project = Project("Hasty('slow', 1, after=()), Hasty('deaf', 1, after=())",
                      slow=f"trap 'touch $VIOFS_TOP/cleaned; exit 1' TERM; {FINE}; sleep 60 & wait",
                      deaf=f"trap '' TERM; {FINE}; timeout 60 sleep 60")
    start = time.monotonic()
    expect("stages that do not end have failed", project.test(), 1, "2 passed, 2 failed, 0 skipped",
           "^slow .* 1 failed", "^deaf .* 1 failed", "FAILED  not finished after 3 s")
    TAP.result(time.monotonic() - start < 30, "they are ended")
    TAP.result(os.path.exists(project.path("cleaned")), "they may clean up")
    project = Project("Stage('one', 1, after=())", one=f"sleep 61 & echo $! >$VIOFS_TOP/pid; {FINE}")
    expect("what a stage leaves behind is named", project.test(), 0, "1 passed, 0 failed, 0 skipped", r"ended   \S+ \(\d+\), which it left behind$")
    with open(project.path("pid"), encoding="utf-8") as f:
        TAP.result(ended(f.read().strip()), "and ended")


def order_is_kept():
    note = "echo $(basename $0) >>$VIOFS_TOP/order; " + FINE
    project = Project("Stage('build', 1, after=()), Stage('short', 1), Stage('long', 9), Stage('last', 1, ('short', 'long'))",
                      build=note, short=note, long=note, last=note)
    expect("all stages run", project.test("--jobs", "1"), 0, "4 passed, 0 failed, 0 skipped")
    with open(project.path("order"), encoding="utf-8") as f:
        order = f.read().split()
    TAP.result(order == ["build", "long", "short", "last"], "in order, the longest first", str(order))
    os.unlink(project.path("order"))
    expect("a stage brings along what it needs", project.test("short"), 0, "2 passed, 0 failed, 0 skipped", "^build ", "^short ")
    status, output = project.test("other")
    TAP.result(status == 2 and "no such stage: other" in output, "a stage that does not exist is refused", output)
    expect("the stages can be listed", project.test("--list"), 0, "last", "^build$")
    project = Project("Stage('build', 1, after=()), Stage('middle', 1), Stage('end', 1, ('middle',)), Stage('other', 1, ())",
                      build="echo 'not ok 1 - x'; echo 1..1", middle=note, end=note, other=note)
    expect("what comes after a failed stage has failed", project.test(), 1, "1 passed, 3 failed, 0 skipped",
           "FAILED  not run: it needs build$", "FAILED  not run: it needs middle$", "^other .* 1 passed")


def lanes_are_used():
    meet = "touch $VIOFS_TOP/%s; until [ -e $VIOFS_TOP/%s ]; do sleep 0.02; done; " + FINE
    project = Project("Stage('one', 1, ()), Stage('two', 1, ())", one=meet % ("a", "b"), two=meet % ("b", "a"))
    expect("two stages run at the same time", project.test("--jobs", "2"), 0, "2 passed, 0 failed, 0 skipped")
    alone = "mkdir $VIOFS_TOP/alone || exit 1; sleep 0.1; rmdir $VIOFS_TOP/alone; " + FINE
    project = Project("Stage('one', 1, ()), Stage('two', 1, ())", one=alone, two=alone)
    expect("with one lane they do not", project.test("--jobs", "1"), 0, "2 passed, 0 failed, 0 skipped")


def interruption_ends_all():
    body = "trap 'touch $VIOFS_TOP/%s.cleaned; exit 1' TERM; touch $VIOFS_TOP/%s; sleep 60 & wait"
    for number in (signal.SIGINT, signal.SIGTERM):
        project = Project("Stage('one', 1, ()), Stage('two', 1, ())", one=body % ("one", "one"), two=body % ("two", "two"))
        process = project.start("--jobs", "2")
        running = project.appears("one") and project.appears("two")
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        cleaned = all(os.path.exists(project.path(name + ".cleaned")) for name in ("one", "two"))
        TAP.result(running and cleaned and process.returncode == 130,
                   f"{number.name} ends all stages, and they may clean up", f"{process.returncode}\n{output}")


def table_of_viofs():
    loader = importlib.machinery.SourceFileLoader("run", os.path.join(HERE, "run"))
    run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    loader.exec_module(run)
    names = [stage.name for stage in run.STAGES]
    TAP.result(sorted(names) == sorted(os.listdir(os.path.join(HERE, "stages"))), "each program is a stage, once",
               str(set(names) ^ set(os.listdir(os.path.join(HERE, "stages")))))
    early = [stage.name for i, stage in enumerate(run.STAGES) if not set(stage.after) <= set(names[:i])]
    TAP.result(not early, "each stage stands below those that it comes after", str(early))
    with open(os.path.join(HERE, "..", "docs", "testing.md"), encoding="utf-8") as f:
        told = re.findall(r"^\| `([a-z-]+)` \|", f.read(), re.MULTILINE)
    TAP.result(sorted(told) == sorted(names), "docs/testing.md tells of each", str(set(told) ^ set(names)))


def main():
    results_are_counted()
    silence_is_a_failure()
    limits_hold()
    order_is_kept()
    lanes_are_used()
    interruption_ends_all()
    table_of_viofs()
    TAP.end()


if __name__ == "__main__":
    main()
