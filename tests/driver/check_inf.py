#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_inf.py [--version V] FILE - would Windows install what this INF says, and is it what we promise?

Theory of operation

  The INF is parsed as SetupAPI parses it: sections, "key = value" lines, comma-separated fields with
  quotes, ';' comments, %string% substitution, %% for a percent sign. Then the chain that an
  installation follows is walked from [Version] and [Manufacturer] to the model, its install section,
  its service and its hardware keys, and each promise is checked where Windows would find it: hardware
  ids, class, service name and start, interrupt messages, security, driver store, DMA remapping.

  Every broken rule is reported. Source: Microsoft's INF file reference.

Exit status: 0 if all rules hold.
"""

import argparse
import re
import sys

FLAGS = {"dword": 0x00010001, "string": 0x00000000, "expand": 0x00020000, "key only": 0x00000010}
HARDWARE_IDS = {r"PCI\VEN_1AF4&DEV_105A&SUBSYS_11001AF4&REV_01", r"PCI\VEN_1AF4&DEV_105A"}
SYSTEM_CLASS = "{4d36e97d-e325-11ce-bfc1-08002be10318}"
ONLY_SYSTEM_AND_ADMINISTRATORS = "D:P(A;;GA;;;SY)(A;;GA;;;BA)"
MSI = r"Interrupt Management\MessageSignaledInterruptProperties"
# one message for changes of configuration, one for hiprio, one for each request queue
MESSAGES = 2 + 16


class Broken(Exception):
    """The INF cannot be followed any further."""


def strip_comment(line):
    quoted = False
    for i, c in enumerate(line):
        if c == '"':
            quoted = not quoted
        elif c == ";" and not quoted:
            return line[:i].strip()
    return line.strip()


def split_fields(text):
    """Fields of a value, without their quotes; a doubled quote inside quotes is one."""
    fields, current, quoted, i = [], "", False, 0
    while i < len(text):
        c = text[i]
        if c == '"':
            if quoted and text[i + 1:i + 2] == '"':
                current += '"'
                i += 1
            else:
                quoted = not quoted
        elif c == "," and not quoted:
            fields.append(current.strip())
            current = ""
        else:
            current += c
        i += 1
    if quoted:
        raise Broken("a quote without end: " + text)
    fields.append(current.strip())
    return fields


class Inf:
    """Sections by lower-case name; each a list of (key or None, fields)."""

    def __init__(self, text):
        self.sections = {}
        current = None
        for number, raw in enumerate(text.splitlines(), 1):
            line = strip_comment(raw)
            if not line:
                continue
            header = re.fullmatch(r"\[([^\]]+)\]", line)
            if header:
                current = self.sections.setdefault(header.group(1).strip().lower(), [])
                continue
            if current is None:
                raise Broken(f"line {number} is before the first section")
            key, value = None, line
            match = re.match(r'((?:"[^"]*"|[^"=,])+?)\s*=\s*(.*)', line)
            if match:
                key, value = match.group(1).strip(), match.group(2)
            current.append((key, split_fields(value)))
        self.strings = {}
        for key, fields in self.sections.get("strings", []):
            if key is None or key.lower() in self.strings:
                raise Broken("[Strings] has a line without a name, or a name twice")
            self.strings[key.lower()] = fields[0]
        self.used_strings = set()

    def expand(self, text):
        def value(match):
            name = match.group(1).lower()
            if name == "":
                return "%"
            if name.isdigit():
                return match.group(0)  # a directory id
            if name not in self.strings:
                raise Broken(f"%{match.group(1)}% is not in [Strings]")
            self.used_strings.add(name)
            return self.strings[name]
        return re.sub(r"%([^%]*)%", value, text)

    def section(self, name):
        if name.lower() not in self.sections:
            raise Broken(f"there is no section [{name}]")
        return [(key and self.expand(key), [self.expand(f) for f in fields])
                for key, fields in self.sections[name.lower()]]

    def values(self, name):
        """A section of "key = value" lines as a dictionary with lower-case keys."""
        result = {}
        for key, fields in self.section(name):
            if key is None or key.lower() in result:
                raise Broken(f"[{name}] has a line without a key, or a key twice")
            result[key.lower()] = fields
        return result

    def registry(self, names):
        """(key, value name) -> (flags, data) of AddReg sections, all relative to HKR."""
        result = {}
        for name in names:
            for key, fields in self.section(name):
                if key is not None or fields[0].upper() != "HKR":
                    raise Broken(f"[{name}] writes outside the device's or service's own key")
                fields = (fields + [""] * 5)[:5]
                flags = int(fields[3], 0) if fields[3] else 0
                result[fields[1].lower(), fields[2].lower()] = flags, fields[4]
        return result


def check_version(inf, version, bad):
    v = inf.values("Version")
    if v.get("signature", [""])[0].upper() != "$WINDOWS NT$":
        bad("Signature is not $WINDOWS NT$")
    if v.get("class") != ["System"] or v.get("classguid", [""])[0].lower() != SYSTEM_CLASS:
        bad("class is not System")
    if v.get("pnplockdown") != ["1"]:
        bad("PnpLockdown is not 1")
    if v.get("catalogfile") != ["viofs.cat"]:
        bad("CatalogFile is not viofs.cat")
    if not v.get("provider", [""])[0]:
        bad("there is no provider")
    date, number = (v.get("driverver", []) + ["", ""])[:2]
    if not re.fullmatch(r"(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/20\d\d", date):
        bad(f"DriverVer has no date mm/dd/yyyy: {date}")
    if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", number):
        bad(f"DriverVer has no version w.x.y.z: {number}")
    if version and number != version + ".0":
        bad(f"DriverVer says {number}, the project {version}")


def find_install_section(inf, bad):
    """From [Manufacturer] to the model. Return: name of its install section."""
    (_, (models, *targets)), = inf.section("Manufacturer")
    if [t.lower() for t in targets] != ["ntamd64.10.0...17763"]:
        bad("is not for x64 Windows 10 1809 and later alone: " + ",".join(targets))
    entries = inf.section(f"{models}.{targets[0]}")
    if len(entries) != 1:
        raise Broken("there is more than one model")
    description, (install, *ids) = entries[0]
    if not description:
        bad("the device has no name")
    if set(ids) != HARDWARE_IDS:
        bad("hardware ids are " + ", ".join(ids))
    return install


def check_files(inf, install, bad):
    copied = inf.values(install + ".NT").get("copyfiles")
    if not copied:
        raise Broken("no files are copied")
    files = [fields[0] for name in copied for _, fields in inf.section(name)]
    if files != ["viofs.sys"]:
        bad("copies " + ", ".join(files))
    if set(inf.values("SourceDisksFiles")) != {f.lower() for f in files}:
        bad("[SourceDisksFiles] does not name what is copied")
    if "1" not in inf.values("SourceDisksNames"):
        bad("[SourceDisksNames] has no disk 1")
    destinations = inf.values("DestinationDirs")
    if destinations != {"defaultdestdir": ["13"]}:
        bad("does not stay in the driver store (DIRID 13)")


def check_service(inf, install, bad):
    services = inf.section(install + ".NT.Services")
    if len(services) != 1 or services[0][0].lower() != "addservice":
        raise Broken("there is not exactly one AddService")
    name, flags, section, log = (services[0][1] + [""] * 4)[:4]
    if name != "VirtioFsDrv":
        bad("the service is " + name)
    if int(flags, 0) != 2:
        bad("the service is not the device's function driver")
    s = inf.values(section)
    wanted = {"servicetype": 1, "starttype": 3, "errorcontrol": 1}
    for key, value in wanted.items():
        if int(s.get(key, ["-1"])[0], 0) != value:
            bad(f"{key} is not {value}")
    if s.get("servicebinary") != [r"%13%\viofs.sys"]:
        bad("ServiceBinary is not the file in the driver store")
    if not s.get("displayname"):
        bad("the service has no friendly name")
    parameters = inf.registry(s.get("addreg", []))
    if parameters.get(("parameters", "dmaremappingcompatible")) != (FLAGS["dword"], "0"):
        bad("does not state that DMA remapping is not supported")
    event_log = inf.registry(inf.values(log).get("addreg", []))
    flags, text = event_log.get(("", "eventmessagefile"), (0, ""))
    if flags != FLAGS["expand"] or text.lower() != r"%systemroot%\system32\iologmsg.dll":
        bad("event log entries would have no text")
    if event_log.get(("", "typessupported")) != (FLAGS["dword"], "7"):
        bad("TypesSupported is not 7")


def check_hardware(inf, install, bad):
    hw = inf.registry(inf.values(install + ".NT.HW").get("addreg", []))
    if hw.get((MSI.lower(), "msisupported")) != (FLAGS["dword"], "1"):
        bad("MSI is not enabled")
    flags, limit = hw.get((MSI.lower(), "messagenumberlimit"), (0, "0"))
    if flags != FLAGS["dword"] or not MESSAGES <= int(limit, 0) <= 2048:
        bad(f"MessageNumberLimit {limit} is not enough for {MESSAGES} messages")
    for key in (MSI.lower(), "interrupt management"):
        if hw.get((key, "")) != (FLAGS["key only"], ""):
            bad(f"the key {key} is not made first")
    if hw.get(("", "security")) != (FLAGS["string"], ONLY_SYSTEM_AND_ADMINISTRATORS):
        bad("others than SYSTEM and Administrators can open the device")


def check(inf, version, bad):
    check_version(inf, version, bad)
    install = find_install_section(inf, bad)
    check_files(inf, install, bad)
    check_service(inf, install, bad)
    check_hardware(inf, install, bad)
    for name in sorted(set(inf.strings) - inf.used_strings):
        bad(f"string {name} is used nowhere")


def main():
    parser = argparse.ArgumentParser(description="check a driver's INF")
    parser.add_argument("--version", metavar="V", help="the project's version, x.y.z")
    parser.add_argument("file")
    args = parser.parse_args()
    complaints = []
    try:
        with open(args.file, encoding="ascii") as f:
            check(Inf(f.read()), args.version, complaints.append)
    except (Broken, UnicodeDecodeError, ValueError) as error:
        complaints.append(str(error))
    for text in complaints:
        print(f"{args.file}: {text}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
