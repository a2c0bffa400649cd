# SPDX-License-Identifier: BSD-3-Clause
"""schedule.py - run stages side by side and count what they prove; tests/run has their table

Theory of operation

  A stage is an executable in tests/stages/ that speaks TAP on standard output: "ok 1 - text",
  "not ok 2 - text", "ok 3 - text # SKIP reason", and a plan "1..N" when it got to its end. Anything
  else it prints is for its log, $VIOFS_BUILD/logs/STAGE.log. A stage that ends early (no plan, wrong
  count, exit status other than 0 without a "not ok", time limit) adds one failure of its own, so
  silence never passes for success. A stage that cannot run, because one that it comes after has failed,
  counts one failure as well.

  As many stages run at a time as there are lanes. The next one is that which most depends on, in
  seconds: its own and those of the longest row of stages that come after it. Each is shown, whole,
  when it has ended.

  Each stage runs in a session of its own. At its time limit the session's first group gets SIGTERM, so
  that the stage's clean-up can run, and ten seconds later everything in the session SIGKILL. What a
  stage leaves behind in its session is ended, too, so that it cannot slow or disturb the others. Being
  interrupted does the same to all that run.

One thread: it sleeps in poll() until a stage ends (pidfd) or a limit is reached.
"""

import argparse
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

GRACE = 10  # seconds between SIGTERM and SIGKILL

TAP_LINE = re.compile(r"^(not )?ok\b(?: +\d+)?(?: *-)? *(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)")
TAP_SKIP = re.compile(r"# *skip\b *(.*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """One line of the table in tests/run."""

    name: str  # tests/stages/NAME
    seconds: float  # what it takes by itself on two processors, in round numbers
    after: tuple = ("build",)  # stages that make what it uses; they stand above it in the table

    @property
    def limit(self):
        """Seconds after which it hangs. Another lane and a slow machine cost time, and are no fault."""
        return 240 + 5 * self.seconds


class Count:
    """What a stage's TAP lines say."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.plan = None
        self.remarks = []  # failures and skips, in words

    def feed(self, line):
        plan = TAP_PLAN.match(line)
        if plan:
            self.plan = int(plan.group(1))
            return
        result = TAP_LINE.match(line)
        if not result:
            return
        skip = TAP_SKIP.search(line)
        if result.group(1) and not skip:
            self.fail(result.group(2))
        elif skip:
            self.skipped += 1
            self.remarks.append("skipped " + result.group(2))
        else:
            self.passed += 1

    def fail(self, why):
        self.failed += 1
        self.remarks.append("FAILED  " + why)

    def close(self, status, limit):
        """Nothing that ended early may look complete. limit: the one that was reached, or None."""
        seen = self.passed + self.failed + self.skipped
        if limit is not None:
            self.fail(f"not finished after {limit:.0f} s")
        elif self.plan is None:
            self.fail(f"ended early, with exit status {status}")
        elif seen == 0:
            self.fail("checked nothing")
        elif self.plan != seen:
            self.fail(f"announced {self.plan} results and gave {seen}")
        elif status != 0 and self.failed == 0:
            self.fail(f"exit status {status} with no failed check")


def session_of(leader):
    """Processes of a session that are not yet dead: (pid, name) pairs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                name, _, rest = f.read().partition("(")[2].rpartition(") ")
        except OSError:
            continue  # it has gone
        state, _, _, session = rest.split()[:4]
        if int(session) == leader and state not in "ZX":
            found.append((int(pid), name))
    return found


class Running:
    """A stage at work: its process, which this owns, and the files that it writes."""

    def __init__(self, stage, program, logs, limit, env):
        self.stage, self.limit = stage, limit
        self.log_path = os.path.join(logs, stage.name + ".log")
        self.tap_path = os.path.join(logs, stage.name + ".tap")
        self.start = time.monotonic()
        self.deadline = self.start + limit
        self.limit_hit, self.left_behind, self.cpu = False, [], 0.0
        with open(self.log_path, "wb") as log, open(self.tap_path, "wb") as tap:
            self.process = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=tap, stderr=log,
                                            cwd=env["VIOFS_TOP"], env=env, start_new_session=True)
        self.pidfd = os.pidfd_open(self.process.pid)

    def press(self):
        """Have it end: politely, and the next time by force."""
        if not self.limit_hit:
            self.limit_hit, self.deadline = True, time.monotonic() + GRACE
            os.killpg(self.process.pid, signal.SIGTERM)
        else:
            self.kill_session()

    def kill_session(self):
        """Those that others have forked meanwhile are found in the next round."""
        for _ in range(5):
            for pid, _ in session_of(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def reap(self):
        """Has it ended? If so, nothing of it runs any more."""
        if not os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        self.left_behind = session_of(self.process.pid)  # as long as it is a zombie, its number is its own
        self.kill_session()
        _, status, usage = os.wait4(self.process.pid, 0)
        os.close(self.pidfd)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        return True

    def count(self):
        count = Count()
        with open(self.tap_path, encoding="utf-8", errors="replace") as tap:
            for line in tap:
                count.feed(line.rstrip("\n"))
        count.close(self.process.returncode, self.limit if self.limit_hit else None)
        count.remarks += [f"ended   {name} ({pid}), which it left behind" for pid, name in self.left_behind]
        return count


class Signals:
    """SIGINT, SIGTERM and SIGHUP interrupt wait_any(), and nothing but that: no process is started unseen."""

    def __init__(self):
        self.pipe, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)


def wait_any(running, signals):
    """Sleep until one has ended or has reached its limit. Return: those that have ended."""
    poller = select.poll()
    poller.register(signals.pipe, select.POLLIN)
    for run in running:
        poller.register(run.pidfd, select.POLLIN)
    soonest = min(run.deadline for run in running)
    ready = poller.poll(max(0.0, soonest - time.monotonic()) * 1000)
    if any(fd == signals.pipe for fd, _ in ready):
        os.read(signals.pipe, 64)
        raise KeyboardInterrupt
    ended = [run for run in running if run.reap()]
    for run in running:
        if run not in ended and time.monotonic() >= run.deadline:
            run.press()
    return ended


def end_all(running, signals):
    """What an interruption does. A second one waits for nothing any more."""
    try:
        for run in running:
            run.deadline = 0.0
        while running:
            for run in wait_any(running, signals):
                running.remove(run)
    except KeyboardInterrupt:
        for run in running:
            run.kill_session()


def urgency(table):
    """name -> seconds until the end of the longest row of stages that begins with it."""
    seconds = {}
    for stage in reversed(table):
        later = [seconds[other.name] for other in table if stage.name in other.after]
        seconds[stage.name] = stage.seconds + max(later, default=0)
    return seconds


def with_needs(table, names):
    """The stages with these names and all that they come after, in the table's order."""
    wanted = set(names)
    for stage in reversed(table):
        if stage.name in wanted:
            wanted.update(stage.after)
    return [stage for stage in table if stage.name in wanted]


class Schedule:
    """Stages in lanes. start(stage) gives a Running; report(name, count, seconds, cpu, log path) shows one."""

    def __init__(self, stages, lanes, start, report):
        weight = urgency(stages)
        self.waiting = sorted(stages, key=lambda stage: -weight[stage.name])
        self.lanes, self.start, self.report = lanes, start, report
        self.running, self.good, self.bad = [], set(), set()
        self.signals = Signals()

    def done(self, name, count, seconds=0.0, cpu=0.0, log_path=None):
        (self.bad if count.failed else self.good).add(name)
        self.report(name, count, seconds, cpu, log_path)

    def give_up(self, stage, why):
        count = Count()
        count.fail(why)
        self.done(stage.name, count)

    def start_what_may(self):
        for stage in list(self.waiting):
            failed = [name for name in stage.after if name in self.bad]
            if failed:
                self.waiting.remove(stage)
                self.give_up(stage, "not run: it needs " + ", ".join(failed))
            elif len(self.running) < self.lanes and all(name in self.good for name in stage.after):
                self.waiting.remove(stage)
                try:
                    self.running.append(self.start(stage))
                except OSError as error:
                    self.give_up(stage, f"cannot be started: {error}")

    def run(self):
        try:
            while self.waiting or self.running:
                self.start_what_may()
                for run in wait_any(self.running, self.signals) if self.running else ():
                    self.running.remove(run)
                    self.done(run.stage.name, run.count(), time.monotonic() - run.start, run.cpu, run.log_path)
        finally:
            end_all(self.running, self.signals)


class Report:
    """What is printed, and the sum of it."""

    def __init__(self):
        self.total = Count()
        self.start = time.monotonic()

    def show(self, name, count, seconds, cpu, log_path):
        lines = [f"{name:15} {seconds:6.1f} s {cpu:6.1f} cpu   {count.passed:4} passed  {count.failed:3} failed"
                 f"  {count.skipped:3} skipped"]
        lines += [" " * 16 + remark for remark in count.remarks]
        if count.failed and log_path:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                tail = log.read().splitlines()[-40:]
            lines.append(f"{'':16}end of {os.path.relpath(log_path)}:")
            lines += [f"{'':16}| {line}" for line in tail]
        print("\n".join(lines), flush=True)
        self.total.passed += count.passed
        self.total.failed += count.failed
        self.total.skipped += count.skipped

    def sum_up(self):
        """Return: exit status."""
        print()
        print(f"in {time.monotonic() - self.start:.0f} s")
        print(f"{self.total.passed} passed, {self.total.failed} failed, {self.total.skipped} skipped", flush=True)
        return 1 if self.total.failed else 0


def arguments(table, usage):
    parser = argparse.ArgumentParser(description=usage, epilog="see docs/testing.md")
    parser.add_argument("--soak", action="store_true", help="the long lists")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count()), metavar="N",
                        help="stages at a time (default: one a processor, two at most)")
    parser.add_argument("--list", action="store_true", help="print the names of the stages")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="and what it comes after; default: all")
    args = parser.parse_args()
    unknown = [name for name in args.stages if name not in [stage.name for stage in table]]
    if unknown:
        parser.error("no such stage: " + " ".join(unknown))
    if args.jobs < 1:
        parser.error(f"--jobs {args.jobs}: one is the least")
    return args


def main(table, top, usage):
    """Do what the command line says. table: list of Stage; top: the project. Return: exit status."""
    args = arguments(table, usage)
    if args.list:
        print("\n".join(stage.name for stage in table))
        return 0
    build = os.path.abspath(os.environ.get("VIOFS_BUILD", os.path.join(top, "build")))
    logs = os.path.join(build, "logs")
    os.makedirs(logs, exist_ok=True)
    env = dict(os.environ, VIOFS_TOP=top, VIOFS_BUILD=build, LC_ALL="C.UTF-8")
    if args.soak:
        env["VIOFS_SOAK"] = "1"

    def start(stage):
        program = os.path.join(top, "tests", "stages", stage.name)
        return Running(stage, program, logs, stage.limit * (20 if args.soak else 1), env)

    report = Report()
    try:
        Schedule(with_needs(table, args.stages) if args.stages else table, args.jobs, start, report.show).run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return report.sum_up()
