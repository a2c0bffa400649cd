#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_docs.py - do the pages say what the sources say? Prints TAP.

Theory of operation

  troubleshooting.md has a heading for each part, and below it tables whose first cells are messages, as
  code, in the form that messages.py gives them. What a part may say and what the page has below its heading are the
  same set, but for internal.txt: a new message must be explained or be named there, and what is said no
  longer must go.

  The quick start's page has every command line, option, value and name of virtio-win's guide, and the
  examples that the tests of libvirt and QEMU run. Links lead somewhere.
"""

import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import messages  # noqa: E402

# What virtio-win's quick start has its readers type, set or look for.
QUICK_START = r"""
/usr/libexec/virtiofsd --socket-path=/tmp/virtiofs_socket -o source=/home/user/viofs
-object memory-backend-file,id=mem,size=4G,mem-path=/dev/shm,share=on -numa node,memdev=mem \
-chardev socket,id=char0,path=/tmp/virtiofs_socket \
-device vhost-user-fs-pci,queue-size=1024,chardev=char0,tag=my_virtiofs \
qemu-system-x86_64 \
-enable-kvm \
-m 4G \
<source type='memfd'/>
<access mode='shared'/>
<filesystem type="mount" accessmode="passthrough">
<driver type="virtiofs" queue="1024"/>
<source dir="/home/user/viofs"/>
<source dir="/home/user/vm_share"/>
<target dir="mount_tag0"/>
<target dir="mount_tag1"/>
<address type="pci" domain="0x0000" bus="0x06" slot="0x00" function="0x0"/>
<address type="pci" domain="0x0000" bus="0x07" slot="0x00" function="0x0"/>
Enable shared memory
Add Hardware
Filesystem
Driver
Source path
Target path
"Core"
"Developer"
"Kernel Developer"
pnputil
Mass Storage Controller
Other devices
Update driver
Browse
my computer for drivers
Devices by connection
sc create VirtioFsSvc binPath="<path to the binary>\virtiofs.exe" start=auto depend=VirtioFsDrv
sc start VirtioFsSvc
-d DebugFlags       [-1: enable all debug logs]
-D DebugLogFile     [file path; use - for stderr]
-i                  [case insensitive file system]
-F FileSystemName   [file system name for OS]
-m MountPoint       [X:|* (required if no UNC prefix)]
-t Tag              [mount tag; max 36 symbols]
-o UID:GID          [host owner UID:GID]
HKLM\Software\virtiofs
virtiofs.exe -d -1 -D C:\viofs_debug.log -m X:
0xffffffff
DebugFlags
DebugLogFile
CaseInsensitive
FileSystemName
MountPoint
OverflowUid
OverflowGid
65534
NTFS
sc stop VirtioFsSvc
sc config VirtioFsSvc start=demand
"C:\Program Files (x86)\WinFsp\bin\fsreg.bat" virtiofs "<path to the binary>\virtiofs.exe" "-t %1 -m %2"
HKLM\SOFTWARE\WOW6432Node\WinFsp\Services\virtiofs
"C:\Program Files (x86)\WinFsp\bin\launchctl-x64.exe" start virtiofs viofsY mount_tag0 \\.\Y:
"C:\Program Files (x86)\WinFsp\bin\launchctl-x64.exe" start virtiofs viofsZ mount_tag1 \\.\Z:
"C:\Program Files (x86)\WinFsp\bin\launchctl-x64.exe" stop virtiofs viofsY
"C:\Program Files (x86)\WinFsp\bin\launchctl-x64.exe" stop virtiofs viofsZ
"""


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as f:
        return f.read()


def internal():
    """[(what is excepted, reason)]: messages, how they begin as "TEXT*", and all of a file as "file PATH"."""
    result, reason = [], None
    for line in read("tests", "docs", "internal.txt").splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line.strip():
            if reason is None:
                raise ValueError("internal.txt: a line without a reason: " + line)
            result.append((line.strip(), reason))
    return result


def covers(line, text, path):
    """Does a line of internal.txt except this message of this file?"""
    return line in (text, "file " + path) or (line.endswith("*") and text.startswith(line[:-1]))


def explained(page):
    """{part: [message]} of troubleshooting.md"""
    result, part = {}, None
    for line in page.splitlines():
        heading = re.match(r"## (.*)", line)
        if heading:
            part = heading.group(1)
        elif part and line.startswith("| ") and not line.startswith("| message"):
            cell = re.split(r"(?<!\\)\|", line)[1]
            result.setdefault(part, []).extend(s.replace("\\|", "|") for s in re.findall(r"`([^`]+)`", cell))
    return result


def check_messages(part, bad):
    said = messages.of_part(TOP, part)
    listed = explained(read("docs", "troubleshooting.md")).get(part, [])
    for text, path in said.items():
        if text not in listed and not any(covers(line, text, path) for line, _ in internal()):
            bad(f"{path} says \"{text}\", and troubleshooting.md does not explain it")
    for text in listed:
        if text not in said:
            bad(f"troubleshooting.md explains \"{text}\", which {part} does not say")
    for text in {t for t in listed if listed.count(t) > 1}:
        bad(f"troubleshooting.md explains \"{text}\" twice below {part}")


def check_internal(bad):
    said = [item for part in messages.PARTS for item in messages.of_part(TOP, part).items()]
    listed = sum(explained(read("docs", "troubleshooting.md")).values(), [])
    for line, _ in internal():
        if not any(covers(line, *item) for item in said):
            bad(f"internal.txt names \"{line}\", which nothing says")
        if line in listed:
            bad(f"internal.txt excepts \"{line}\", which troubleshooting.md explains")


def check_rules(bad):
    """Are new messages found, in each way of writing them?"""
    samples = [
        (messages.c_messages, r'fail(x, L"the %ls is " L"not\r\n" MACRO L" there");', ["the … is not … there"]),
        (messages.c_messages, 'x("%" PRIu64 " of some kind");  // "not a message here"', ["… of some kind"]),
        (messages.c_messages, '#include "three/words/here and.h"\nlog_debug("one two three");', []),
        (messages.c_messages, 'return open ? "one two three" : "short";', ["one two three"]),
        (messages.shell_messages, 'die "CERT: $CERT is ${X:+very }bad:" \\\n  "$(why) it is"',
         ["CERT: … is very bad: … it is"]),
        (messages.python_messages, 'raise Unfit(f"{x} is wrong")', ["… is wrong"]),
        (messages.nsis_messages, 'MessageBox MB_OK "No $\\"$0$\\" is here,$\\r$\\nnot ${ONE}" ; "in a comment, no"',
         ['No "…" is here, not …']),
    ]
    for reader, source, wanted in samples:
        if list(reader(source)) != wanted:
            bad(f"{source!r} is read as {list(reader(source))}")


def check_quick_start(bad):
    page = read("docs", "quick-start.md")
    for text in QUICK_START.strip().splitlines():
        if text not in page:
            bad("quick-start.md does not have: " + text)
    flat = re.sub(r"^ +", "", page, flags=re.M)
    for path in ("libvirt.xml", "qemu.txt"):
        for block in read("integration", "examples", path).strip().split("\n\n"):
            if re.sub(r"^ +", "", block, flags=re.M) not in flat:
                bad(f"quick-start.md does not have what is in integration/examples/{path}")


def check_settings(bad):
    page = read("docs", "windows.md")
    table = read("service", "win", "settings.c")
    names = re.findall(r'\[SVC_\w+\] = \{\s*(?:\.name = )?L"(\w+)"', table)
    options = re.findall(r'\[SVC_\w+\] = \{\s*L"\w+",\s*L"(-[\w-]+)"', table)
    if len(names) < 14 or len(options) < 12:
        bad(f"only {len(names)} names and {len(options)} options were found in settings.c")
    for name in names:
        if f"`{name}`" not in page:
            bad(f"windows.md does not have the registry value {name}")
    for option in options:
        if not re.search(rf"(?<![\w-]){option}(?![\w-])", page):
            bad(f"windows.md does not have the option {option}")


def anchors(page):
    for heading in re.findall(r"^#+ (.*)", page, re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading)
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_links(bad):
    for path in glob.glob("*.md", root_dir=TOP) + glob.glob("docs/*.md", root_dir=TOP):
        text = re.sub(r"^(    |\t).*$", "", read(path), flags=re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            full = os.path.normpath(os.path.join(TOP, os.path.dirname(path), file)) if file else os.path.join(TOP, path)
            if not os.path.exists(full):
                bad(f"{path}: there is no {target}")
            elif anchor and anchor not in anchors(read(full)):
                bad(f"{path}: there is no {target}")


def main():
    checks = [(f"every message of {part} is explained, and none besides", lambda bad, p=part: check_messages(p, bad))
              for part in messages.PARTS]
    checks += [("what is left out of that has a reason and is still there", check_internal),
               ("a new message would be noticed", check_rules),
               ("the quick start has all that virtio-win's has, and the examples that the tests run", check_quick_start),
               ("windows.md has every option and registry value of virtiofs.exe", check_settings),
               ("links between the pages lead somewhere", check_links)]
    failed = 0
    for number, (name, check) in enumerate(checks, 1):
        complaints = []
        check(complaints.append)
        for text in complaints:
            print(text, file=sys.stderr)
        print("not ok" if complaints else "ok", number, "-", name)
        failed += bool(complaints)
    print(f"1..{len(checks)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
