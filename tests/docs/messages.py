# SPDX-License-Identifier: BSD-3-Clause
"""messages.py - what the parts of viofs may tell a user, read from their sources

Theory of operation

  In C a message is a string literal with three words or more, wherever it stands: that finds those that
  reach the log through a variable or a table as well as format strings. Not messages are the literals of
  #include and _Static_assert, what follows a metric's name, and those of calls that only tell (QUIET).
  Neighbouring literals are one message; a macro between them and a conversion such as %ls are something
  that is filled in, written as "…".

  In shell, Python and NSIS a message is what certain commands are given, with the variables filled in.

  What is found by these rules and is no message for users is named in internal.txt, with the reason.
"""

import glob
import os
import re

GAP = "…"
PARTS = {  # heading in troubleshooting.md: sources
    "virtiofsd": ["virtiofsd/**/*.c"],
    "virtiofs.exe": ["service/**/*.c"],
    "viofs.sys": ["driver/drv.h"],
    "viofs-driver.exe and viofs-service.exe": ["setup/driver/*.c", "setup/service/*.c", "setup/helper/*.c"],
    "virtiofs-setup.exe": ["setup/**/*.nsi", "setup/**/*.nsh"],
    "Signing": ["scripts/sign", "setup/catalog"],
}
# Calls that tell developers or the curious.
QUIET = ("_Static_assert", "static_assert", "log_debug", "log_info", "DbgPrintEx")

C_TOKEN = re.compile(r'(?:L|u8)?"(?P<text>(?:[^"\\\n]|\\.)*)"|//[^\n]*|/\*.*?\*/|\'(?:[^\'\\\n]|\\.)+\'|'
                     r'^[ \t]*#[ \t]*include[^\n]*', re.S | re.M)
CONVERSION = re.compile(r"%(?:%|[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*)?)?(?:hh|h|ll|l|z|j|t|I64)?[diouxXcsSpeEfgG])")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")


def normal(text):
    """Something that is filled in is "…", once; blanks are single, and none at the ends."""
    text = re.sub(r"\\[rnt]", " ", text).replace('\\"', '"').replace("\\\\", "\\")
    text = re.sub(f"(?:{GAP})+", GAP, text)
    return re.sub(r"\s+", " ", text).strip()


def is_message(text):
    tokens = [token.strip(",.:;()'\"?") for token in text.replace(GAP, " ").split()]
    return len([t for t in tokens if WORD.fullmatch(t)]) >= 3


def call_of(source, at):
    """The name of the innermost call that a place is an argument of."""
    depth, start = 0, max(0, at - 2000)
    for i in range(at - 1, start, -1):
        c = source[i]
        if c in ";{}" and depth == 0:
            return ""
        if c == ")":
            depth += 1
        elif c == "(":
            if depth == 0:
                name = re.search(r"(\w+)\s*$", source[start:i])
                return name.group(1) if name else ""
            depth -= 1
    return ""


def c_messages(source):
    found, last_end = [], 0
    for match in C_TOKEN.finditer(source):
        if match.group("text") is None:
            continue
        text = CONVERSION.sub(lambda m: "%" if m.group() == "%%" else GAP, match.group("text"))
        between = source[last_end:match.start()]
        if found and re.fullmatch(r"\s*([A-Za-z_]\w*\s*)?", between):
            glue = GAP if between.strip() else ""
            if found[-1][1].endswith("%") and glue:  # "%" PRIu64
                found[-1][1] = found[-1][1][:-1]
            found[-1][1] += glue + text
        else:
            found.append([match.start(), text])
        last_end = match.end()
    for number, (at, text) in enumerate(found):
        text = normal(text)
        if number and found[number - 1][1].startswith("virtiofsd_"):
            continue
        if is_message(text) and call_of(source, at) not in QUIET:
            yield text


def shell_messages(source):
    """What die is given, whose words are one message, and the first word of run and of those that ask."""
    quoted = r'"((?:[^"\\]|\\.)*)"'
    found = [" ".join(re.findall(quoted, match.group(1)))
             for match in re.finditer(rf'\bdie ((?:{quoted}\s*(?:\\\n\s*)?)+)', source)]
    found += re.findall(rf'\b(?:run|ask_passphrase) {quoted}', source)
    for text in found:
        text = re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", text)  # said only if the variable is set
        text = normal(re.sub(r"\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|\$\w+", GAP, text))
        if len(WORD.findall(text)) > 1:
            yield text


def python_messages(source):
    for match in re.finditer(r'\bUnfit\(f?"((?:[^"\\]|\\.)*)"', source):
        text = normal(re.sub(r"\{[^}]*\}", GAP, match.group(1)))
        if WORD.search(text):
            yield text


NSIS_TOKEN = re.compile(r"""\s+|[;#].*|"(?P<a>(?:\$\\.|[^"])*)"|'(?P<b>(?:\$\\.|[^'])*)'|`(?P<c>(?:\$\\.|[^`])*)`|[^\s"'`]+""")


def nsis_messages(source):
    """Quoted words, wherever they stand but in comments."""
    for line in re.sub(r"\\\n", " ", source).splitlines():
        for match in NSIS_TOKEN.finditer(line):
            text = match.group("a") or match.group("b") or match.group("c") or ""
            text = re.sub(r"\$\\[rnt]", " ", text).replace("$\\", "")
            text = normal(re.sub(r"\$\{\w+\}|\$\(\w+\)|\$\w+", GAP, text))
            if is_message(text):
                yield text


def driver_reasons(source):
    """The numbers that viofs.sys writes into the event log."""
    enum = re.search(r"enum drv_reason \{(.*?)\}", source, re.S).group(1)
    names = re.findall(r"\bDRV_WHY_\w+", enum)
    return [f"reason {number}" for number, _ in enumerate(names, 1)]


READERS = [("drv.h", driver_reasons), (".c", c_messages), (".nsi", nsis_messages), (".nsh", nsis_messages),
           ("scripts/sign", shell_messages), ("setup/catalog", python_messages)]


def of_part(top, part):
    """{message: where it stands} of a part."""
    result = {}
    for pattern in PARTS[part]:
        for path in sorted(glob.glob(os.path.join(top, pattern), recursive=True)):
            reader = next(read for end, read in READERS if path.endswith(end))
            with open(path, encoding="utf-8") as f:
                for text in reader(f.read()):
                    result.setdefault(text, os.path.relpath(path, top))
    return result
