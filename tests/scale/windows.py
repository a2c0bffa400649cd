#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""windows - the whole Windows chain on host B's mount of the volume; does the steps that the stage names on its standard input

The files that ship, as in tests/wine/chain: a Windows program's calls -> virtiofs.exe -> viofs.sys -> virtiofsd on host B's
mount. What "host A" does is done in its own mount or by a Linux guest of host A. Standard output: TAP; "WORK/windows.STEP" says
that a step has been done. docs/operations.md, "Distributed file systems", says what this shows.

usage: windows.py WORK MOUNT_A MOUNT_B PLACE_OF_GUEST_A1
"""

import os
import random
import shutil
import struct
import sys
import tempfile
import threading
import time
from contextlib import contextmanager

sys.dont_write_bytecode = True
TOP = os.environ["VIOFS_TOP"]
sys.path.insert(0, os.path.join(TOP, "tests", "wine", "chain"))
# pylint: disable=wrong-import-position
from chain import VIOFS_DIR, Chain, Failed, Share  # noqa: E402
from door import BASIC, CREATE, DELETE, GENERIC_READ, GENERIC_WRITE, MAKE, OPEN, OPEN_IF, READ, SET_INFO, SHARE_ALL, WRITE, Door  # noqa: E402
from tap import Tap  # noqa: E402

TAP = Tap()
# By tag: the drive, the daemon's cache mode, and what the Windows service is told.
MODES = {"never": ("V:", "never", {}), "auto": ("W:", "auto", {}), "metadata": ("X:", "metadata", {}),
         "always": ("Y:", "always", {}), "move": ("T:", "auto", {}), "strict": ("S:", "auto", {"Cache": "strict"}),
         "long": ("R:", "auto", {"Cache": "long"})}
NAME_NOT_FOUND, PATH_NOT_FOUND, COLLISION = 0xC0000034, 0xC000003A, 0xC0000035
IO_DEVICE_ERROR, FILE_INVALID = 0xC0000185, 0xC0000098
INTERNAL, RENAME = 6, 10
WITHIN = 1.5  # seconds; what "within a second" may take on a busy machine


class Program(Door):
    """One thread of a Windows program; statuses instead of exceptions."""

    def create_file(self, name, access=GENERIC_READ, disposition=OPEN):
        self.send(CREATE, name="\\" + name, u32=(access, disposition, 0, 0, SHARE_ALL))
        return self.receive()[:2]

    def read_at(self, handle, offset=0, length=4096):
        self.send(READ, handle, u32=(length,), u64=(offset,))
        status, _, data = self.receive()
        return status, data

    def write_at(self, handle, offset, data):
        self.send(WRITE, handle, u64=(offset,), data=data)
        return self.receive()[0]

    def text(self, name):
        """What a program reads that opens the file: its bytes, or the status that it gets."""
        status, handle = self.create_file(name)
        if status:
            return status
        status, data = self.read_at(handle)
        self.close(handle)
        return status or data

    def put(self, name, data):
        """Return: 0, or the status with which it failed."""
        status, handle = self.create_file(name, GENERIC_WRITE, OPEN_IF)
        if status:
            return status
        status = self.write_at(handle, 0, data)
        self.close(handle)
        return status

    def rename(self, name, to, replace=False):
        status, handle = self.create_file(name, DELETE)
        if status:
            return status
        target = ("\\" + to).encode("utf-16-le")
        self.send(SET_INFO, handle, u32=(RENAME,), data=struct.pack("<B7xQI", replace, 0, len(target)) + target)
        status = self.receive()[0]
        self.close(handle)
        return status


class Steps:
    """What the stage asks for, one method a step."""

    def __init__(self, chain, shares, mount_a, guest):
        self.chain, self.shares, self.mount_a, self.guest = chain, shares, mount_a, guest
        self.load = []
        self.kept = self.kept_handle = None

    # ---- the other side

    def at_a(self, mode, name):
        return os.path.join(self.mount_a, "win-" + mode, name)

    def a_writes(self, mode, name, data):
        with open(self.at_a(mode, name), "wb") as f:
            f.write(data)

    def guest_a(self, command):
        """What the Linux guest of host A says to a command."""
        n = 1
        while os.path.exists(os.path.join(self.guest, f"order.{n}")):
            n += 1
        with open(os.path.join(self.guest, f"order.{n}"), "w", encoding="utf-8") as f:
            f.write(command + "\n# end of order\n")
        end = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.guest, f"done.{n}")):
            if time.monotonic() > end:
                raise Failed(f"guest a1 does not come back from: {command}")
            time.sleep(0.01)
        with open(os.path.join(self.guest, f"heard.{n}"), encoding="utf-8") as f:
            return f.read()

    @contextmanager
    def program(self, mode):
        with Program(self.chain.door_of(self.shares[mode])) as program:
            yield program

    def listed(self):
        return self.chain.prefix.run(VIOFS_DIR + "\\virtiofs.exe", "list", quiet=True).stdout

    # ---- close to open

    def coherence(self):
        for mode in ("never", "auto", "metadata", "strict"):
            with self.program(mode) as program:
                self.coherent(mode, program)
        for mode in ("never", "auto", "metadata", "always", "strict", "long"):
            data = os.urandom(300000)
            with self.program(mode) as program:
                status = program.put("big", data)
            heard = self.guest_a(f"sha256sum </mnt/a-never/win-{mode}/big; cmp /mnt/a-never/win-{mode}/big {self.at_a(mode, 'big')}")
            with open(self.at_a(mode, "big"), "rb") as f:
                TAP.result(status == 0 and f.read() == data and "differ" not in heard,
                           f"Windows, {mode}: what a program has closed, host A and its Linux guest read whole", heard)

    def coherent(self, mode, program):
        within = 0 if mode == "never" else WITHIN
        when = "at once" if mode == "never" else "within a second"

        def comes(name, wanted):
            end = time.monotonic() + within
            while (seen := program.text(name)) != wanted and time.monotonic() < end:
                time.sleep(0.05)
            return seen == wanted, f"saw {seen!r}, wanted {wanted!r}"

        self.guest_a(f"printf one >/mnt/a-never/win-{mode}/f")
        first = comes("f", b"one")
        self.guest_a(f"printf longer >/mnt/a-never/win-{mode}/f")
        TAP.result(first[0] and (seen := comes("f", b"longer"))[0],
                   f"Windows, {mode}: what a Linux guest of host A has closed is read by the next open {when}", str(first))
        self.a_writes(mode, "f", b"LONGER")
        TAP.result((seen := comes("f", b"LONGER"))[0], f"Windows, {mode}: of the same length, too", seen[1])
        self.a_writes(mode, "g", b"other")
        os.rename(self.at_a(mode, "g"), self.at_a(mode, "f"))
        TAP.result((seen := comes("f", b"other"))[0], f"Windows, {mode}: a file put in its place is read {when}", seen[1])
        os.unlink(self.at_a(mode, "f"))
        TAP.result((seen := comes("f", NAME_NOT_FOUND))[0],
                   f"Windows, {mode}: a deleted name is OBJECT_NAME_NOT_FOUND {when}", seen[1])

    # ---- what such a file system does otherwise

    def oddities(self):
        with self.program("never") as program:
            self.a_writes("never", "first", b"first")
            self.a_writes("never", "second", b"second")
            status = program.rename("first", "second")
            TAP.result(status == COLLISION and program.text("second") == b"second",
                       "Windows: a rename that must not replace is OBJECT_NAME_COLLISION where a file is", f"{status:#x}")
            status = program.rename("first", "third")
            TAP.result(status == 0 and os.path.exists(self.at_a("never", "third")),
                       "Windows: and renames where none is, although GlusterFS cannot be asked for it", f"{status:#x}")
            self.numbers_and_times(program)
            self.stale(program)

    def numbers_and_times(self, program):
        os.utime(self.at_a("never", "third"), (1500000000, 1400000000))
        st = os.stat(self.at_a("never", "third"))
        handle = program.create_file("third")[1]
        index, = struct.unpack("<Q", program.query(handle, INTERNAL, 8))
        created, _, written = struct.unpack("<3Q", program.query(handle, BASIC, 40)[:24])
        program.close(handle)
        TAP.result(index == st.st_ino and index >> 32, "Windows: the file's index is its inode number, all 64 bits",
                   f"{index} {st.st_ino}")
        TAP.result(created == written == 116444736000000000 + 1400000000 * 10000000,
                   "Windows: without a birth time a file is as old as the oldest of its times", f"{created} {written}")

    def stale(self, program):
        os.makedirs(self.at_a("never", "dir"))
        self.a_writes("never", "dir/f", b"text")
        status, handle = program.create_file("dir\\f")
        shutil.rmtree(self.at_a("never", "dir"))
        read = program.read_at(handle)
        made = program.create_file("dir\\new", GENERIC_WRITE, MAKE)[0]
        program.close(handle)
        TAP.result(status == 0 and read == (0, b"text"), "Windows: an open file that host A has deleted can still be read", str(read))
        TAP.result(made == PATH_NOT_FOUND and not os.path.exists(self.at_a("never", "dir")),
                   "Windows: nothing can be made in a directory that host A has deleted: OBJECT_PATH_NOT_FOUND", f"{made:#x}")

    # ---- a machine that goes on elsewhere

    def elsewhere(self):
        """The daemon of host B goes, and one on host A takes its place: first told to the driver, then not, then of another share."""
        share = self.shares["move"]
        with self.program("move") as program:
            handle = program.create_file("open", GENERIC_READ | GENERIC_WRITE, MAKE)[1]
            program.write_at(handle, 0, b"from B")
            share.directory = self.at_a("move", "")
            for seen, text in ((True, "a reset"), (False, "a word to the driver")):
                share.replace_daemon(self.chain.work, seen)
                read = program.read_at(handle)
                wrote = program.write_at(handle, 0, b"from A")
                made = program.put("made" + str(seen), b"x")
                TAP.result((wrote, made) == (0, 0) and read == (0, b"from B"),
                           f"elsewhere: with {text} an open file goes on on another host, and nobody hears of it"
                           if seen else f"elsewhere: and without {text}, too", f"{read} {wrote:#x} {made:#x}")
                program.write_at(handle, 0, b"from B")
            self.replaced(program, share)
            self.another_share(program, share, handle)

    def replaced(self, program, share):
        """Host A exchanges a file while no daemon looks."""
        handle = program.create_file("open", GENERIC_READ)[1]
        self.a_writes("move", "new", b"another file")
        os.rename(self.at_a("move", "new"), self.at_a("move", "open"))
        share.replace_daemon(self.chain.work)
        status = program.read_at(handle)[0]
        program.close(handle)
        TAP.result(status == FILE_INVALID, "elsewhere: a file that was exchanged meanwhile is not gone on with: FILE_INVALID",
                   f"{status:#x}")
        seen = program.text("open")
        TAP.result(seen == b"another file", "elsewhere: whoever opens its name anew gets the new one", str(seen))

    def another_share(self, program, share, handle):
        """Another directory has the tag there, with the same names."""
        other = program.create_file("madeTrue", GENERIC_READ | GENERIC_WRITE)[1]
        os.makedirs(self.at_a("never", "elsewhere"))
        self.a_writes("never", "elsewhere/madeTrue", b"of another share")
        share.directory = self.at_a("never", "elsewhere")
        share.replace_daemon(self.chain.work, seen=False)
        read, wrote = program.read_at(other)[0], program.write_at(other, 0, b"lost?")
        TAP.result(read == wrote == FILE_INVALID, "elsewhere: under another directory of that tag no open file goes on",
                   f"{read:#x} {wrote:#x}")
        for h in (handle, other):
            program.close(h)
        TAP.result(program.text("madeTrue") == b"of another share", "elsewhere: and what is opened then is the other one's")
        said = [line for line in self.listed().splitlines() if line.startswith("move ")]
        TAP.result(bool(said) and "T:" in said[0] and "mounted" in said[0], "elsewhere: the drive has kept its letter", str(said))

    # ---- outages

    def load_begin(self):
        self.load = [Load(self.chain.door_of(self.shares["never"]), seed) for seed in (1, 2, 3)]
        for load in self.load:
            load.start()

    def load_end(self):
        for load in self.load:
            load.stop.set()
            load.join(60)
            TAP.result(not load.failed and load.steps > 20,
                       f"Windows: program {load.seed} works all the while servers are killed and heal", f"{load.steps} steps, {load.failed}")
            with open(self.at_a("never", load.name), "rb") as f:
                TAP.result(f.read() == bytes(load.model), f"Windows: and host A reads whatever program {load.seed} has written")

    def keep_open(self):
        self.kept = Program(self.chain.door_of(self.shares["never"]))
        self.kept.socket.settimeout(60)
        status, self.kept_handle = self.kept.create_file("third", GENERIC_READ | GENERIC_WRITE)
        TAP.result(status == 0, "Windows: a file is open when servers go", f"{status:#x}")

    def no_quorum(self):
        wrote, made = self.kept.write_at(self.kept_handle, 0, b"lost"), self.kept.put("lost", b"lost")
        TAP.result(wrote == made == IO_DEVICE_ERROR, "Windows: without two of three servers a write is IO_DEVICE_ERROR, and so is a new file",
                   f"{wrote:#x} {made:#x}")

    def no_server(self):
        read, opened = self.kept.read_at(self.kept_handle)[0], self.kept.create_file("second")[0]
        TAP.result(read == opened == IO_DEVICE_ERROR, "Windows: without any server a read and an open are", f"{read:#x} {opened:#x}")
        time.sleep(2.5)  # the service has looked twice whether the host still knows it
        said = self.listed()
        TAP.result(all("mounted" in line for line in said.splitlines() if line.split()[:1] and line.split()[0] in MODES),
                   "Windows: and the drives stay mounted", said)

    def servers_back(self):
        end = time.monotonic() + 30
        while (read := self.kept.read_at(self.kept_handle)) != (0, b"first") and time.monotonic() < end:
            time.sleep(0.1)
        TAP.result(read == (0, b"first"), "Windows: when they are back, a handle from before reads what was written before", str(read))
        wrote = self.kept.write_at(self.kept_handle, 0, b"again")
        self.kept.close(self.kept_handle)
        with open(self.at_a("never", "third"), "rb") as f:
            TAP.result(wrote == 0 and f.read() == b"again", "Windows: and writes again", f"{wrote:#x}")
        self.kept.socket.close()


class Load(threading.Thread):
    """Random writes and reads of one file against a model, and small files that are made, renamed and deleted."""

    def __init__(self, door, seed):
        super().__init__(daemon=True)
        self.door, self.seed, self.name = door, seed, f"load{seed}"
        self.stop, self.failed, self.steps = threading.Event(), None, 0
        self.model = bytearray(65536)

    def run(self):
        try:
            with Program(self.door) as program:
                program.socket.settimeout(60)
                self.work(program, random.Random(self.seed))
        except (OSError, Failed) as error:
            self.failed = str(error)

    def work(self, program, rng):
        status, handle = program.create_file(self.name, GENERIC_READ | GENERIC_WRITE, MAKE)
        self.expect(status, "create")
        self.expect(program.write_at(handle, 0, bytes(self.model)), "write")
        while not self.stop.is_set() and not self.failed:
            self.steps += 1
            at, data = rng.randrange(61440), rng.randbytes(rng.randrange(1, 4096))
            self.expect(program.write_at(handle, at, data), "write")
            self.model[at:at + len(data)] = data
            at = rng.randrange(61440)
            status, seen = program.read_at(handle, at)
            if status or seen != bytes(self.model[at:at + 4096]):
                self.failed = f"read: status {status:#x}, {self.differs(seen, at)}; again: {self.differs(program.read_at(handle, at)[1], at)}"
            small = f"{self.name}.{self.steps % 8}"
            self.expect(program.put(small, data), "small file")
            self.expect(program.rename(small, small + ".new", True), "rename")
            if program.text(small + ".new")[:len(data)] != data:
                self.failed = "a small file has other bytes"
        program.close(handle)

    def differs(self, seen, at):
        """How what was read at a place differs from what was written there."""
        want = bytes(self.model[at:at + 4096])
        if len(seen) != len(want):
            return f"{len(seen)} bytes instead of {len(want)} at {at}"
        wrong = [i for i, (a, b) in enumerate(zip(seen, want)) if a != b]
        return f"other bytes at {at + wrong[0]} to {at + wrong[-1]}, {seen[wrong[0]:wrong[0] + 8].hex()}" if wrong else "right"

    def expect(self, status, what):
        if status and not self.failed:
            self.failed = f"{what}: {status:#x} after {self.steps} steps"


def make_shares(mount_b):
    shares = {}
    for mode, (letter, cache, settings) in MODES.items():
        directory = os.path.join(mount_b, "win-" + mode)
        os.mkdir(directory)
        shares[mode] = Share(mode, directory, {"MountPoint": letter, **settings},
                             ["-o", f"xattr,cache={cache}", "--sandbox=none"])
    return shares


def serve(work, steps):
    for line in sys.stdin:
        step = line.strip()
        if step == "leave":
            return
        try:
            getattr(steps, step)()
        except (Failed, OSError) as error:
            TAP.result(False, f"Windows: step {step} comes to its end", str(error))
        with open(os.path.join(work, "windows." + step), "w", encoding="ascii"):
            pass


def main():
    work, mount_a, mount_b, guest = sys.argv[1:5]
    scratch = tempfile.mkdtemp(prefix="viofs-scale.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    shares = make_shares(mount_b)
    try:
        with Chain(scratch, list(shares.values())) as chain:
            with open(os.path.join(work, "windows.ready"), "w", encoding="ascii"):
                pass
            serve(work, Steps(chain, shares, mount_a, guest))
        TAP.result(True, "Windows: device, driver and daemons complain of nothing")
    except (Failed, OSError) as error:
        TAP.result(False, "Windows: the chain runs to its end", str(error))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    TAP.end()


if __name__ == "__main__":
    main()
