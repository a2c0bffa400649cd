#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""seccomp_list.py OUTPUT SOURCE... - make the list of system calls from comments beside the code

A file that makes a system call after sandbox_lock() says so in its head comment, in lines like

     * syscalls: openat2 statx close
     * syscalls: fchmodat2=452

Names are the kernel's, not libc's: fstat() is "newfstatat" on some machines and "fstat" on others, so both
are named; see strace. A number is given with calls that libseccomp's header may not know yet; numbers
from 424 on are the same on all machines. What libc does on its own account (memory, threads, signals) is
listed in seccomp.c.

Two more keywords are for seccomp.c:

     * parent: calls of the process that waits outside
     * never:  calls that the daemon must not make whatever a comment or --modcaps says

OUTPUT defines X-macros, one line a call: SECCOMP_CALL(name, number), SECCOMP_PARENT(name, number) and
SECCOMP_NEVER(name, number). The includer defines those it wants. A name that no machine has does not compile.
"""

import os
import re
import sys

LINE = re.compile(r"^\s*\*\s*(syscalls|parent|never):(.*)$")
WORD = re.compile(r"^([a-z_0-9]+)(?:=([0-9]+))?$")
MACRO = {"syscalls": "SECCOMP_CALL", "parent": "SECCOMP_PARENT", "never": "SECCOMP_NEVER"}


def read_lists(paths):
    """Return {keyword: {name: (number or None, path)}}."""
    lists = {keyword: {} for keyword in MACRO}
    for path in paths:
        with open(path, encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                match = LINE.match(line)
                if not match:
                    continue
                for text in match.group(2).replace("*/", "").split():
                    word = WORD.match(text)
                    if not word:
                        sys.exit(f"{path}:{number}: not the name of a system call: {text}")
                    old = lists[match.group(1)].get(word.group(1), (None, path))
                    lists[match.group(1)][word.group(1)] = (word.group(2) or old[0], path)
    return lists


def check(lists):
    for keyword in ("syscalls", "parent"):
        for name in sorted(lists[keyword].keys() & lists["never"].keys()):
            sys.exit(f"{lists[keyword][name][1]}: {name} is never allowed (see seccomp.c)")


def render(lists):
    out = ["/* Made by seccomp_list.py from comments in the sources. */"]
    for keyword, macro in MACRO.items():
        out.append(f"#ifdef {macro}")
        for name, (number, _) in sorted(lists[keyword].items()):
            if number:
                out += [f"#ifdef __SNR_{name}", f"{macro}({name}, SCMP_SYS({name}))", "#else",
                        f"{macro}({name}, {number})", "#endif"]
            else:
                out.append(f"{macro}({name}, SCMP_SYS({name}))")
        out.append("#endif")
    return "\n".join(out) + "\n"


def main():
    output, *sources = sys.argv[1:]
    lists = read_lists(sources)
    check(lists)
    text = render(lists)
    if os.path.exists(output):
        with open(output, encoding="utf-8") as old:
            if old.read() == text:
                return
    with open(output, "w", encoding="utf-8") as new:
        new.write(text)


if __name__ == "__main__":
    main()
