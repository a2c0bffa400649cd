# SPDX-License-Identifier: BSD-3-Clause
"""tap.py - results of a stage that is written in Python; tests/run says what it makes of them"""

import re
import sys

LINE = re.compile(r"^(not )?ok\b(?: +\d+)?(?: *-)? *(.*)$")


class Tap:
    """Prints results on standard output, and why something failed on standard error."""

    def __init__(self):
        self.count = 0

    def result(self, good, text, detail=""):
        self.count += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {text}", flush=True)
        if not good:
            print(f"*** failed: {text}\n{detail}", file=sys.stderr, flush=True)
        return good

    def merge(self, lines, prefix=""):
        """Repeat the results of a program that speaks TAP. Return: its plan, None when it did not get there."""
        plan = None
        for line in lines:
            match = LINE.match(line)
            if match:
                self.result(not match.group(1), prefix + match.group(2))
            elif line.startswith("1.."):
                plan = int(line[3:])
            elif line:
                print(line, file=sys.stderr)
        return plan

    def end(self):
        print(f"1..{self.count}", flush=True)
