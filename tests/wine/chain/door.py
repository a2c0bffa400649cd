# SPDX-License-Identifier: BSD-3-Clause
"""door.py - the NT door (tests/wine/winfsp/door.h) for stages: calls that are sent now and answered later"""

import socket
import struct

CALL = struct.Struct("<4IQ8I2Q")
REPLY = struct.Struct("<2I2Q")
CREATE, CLOSE, READ, WRITE, QUERY_INFO, SET_INFO, QUERY_DIR, QUERY_EA, SET_EA, NOTIFY = 1, 3, 4, 5, 7, 8, 11, 14, 15, 17
GENERIC_READ, GENERIC_WRITE = 0x120089, 0x120116
OPEN, MAKE, OPEN_IF, OVERWRITE_IF = 1, 2, 3, 5
SHARE_ALL = 7
DIRECTORY_FILE, DELETE_ON_CLOSE = 1, 0x1000
DELETE = 0x10000
BASIC, EA_SIZE, STREAM_INFO = 4, 7, 22  # FILE_INFORMATION_CLASS


class Door:
    """One thread of a Windows program."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def send(self, op, handle=0, name="", u32=(), u64=(), data=b""):
        name = name.encode("utf-16-le")
        u32 = (list(u32) + [0] * 8)[:8]
        u64 = (list(u64) + [0] * 2)[:2]
        self.socket.sendall(CALL.pack(op, len(name), len(data), 0, handle, *u32, *u64) + name + data)

    def receive(self):
        """Return: status, handle, data of the oldest call without an answer."""
        status, length, _, handle = REPLY.unpack(self.exactly(REPLY.size))
        return status, handle, self.exactly(length)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise OSError("the door was shut")
            data += more
        return data

    def send_create(self, name, access, disposition):
        self.send(CREATE, name=name, u32=(access, disposition, 0, 0, SHARE_ALL))

    def open(self, name):
        """Return: handle of a file that is there."""
        self.send_create(name, GENERIC_READ, OPEN)
        status, handle, _ = self.receive()
        if status:
            raise OSError(f"{name}: status {status:#x}")
        return handle

    def call(self, op, handle=0, name="", u32=(), u64=(), data=b""):
        """Return: handle and data; OSError with the status when it failed."""
        self.send(op, handle, name, u32, u64, data)
        status, handle, data = self.receive()
        if status >= 0xC0000000:
            raise OSError(f"{name or op}: status {status:#x}")
        return handle, data

    def create(self, name, access, disposition=OPEN, options=0, attributes=0):
        return self.call(CREATE, name=name, u32=(access, disposition, options, attributes, SHARE_ALL))[0]

    def close(self, handle):
        self.call(CLOSE, handle)

    def query(self, handle, kind, room):
        return self.call(QUERY_INFO, handle, u32=(kind, room))[1]

    def set(self, handle, kind, data):
        self.call(SET_INFO, handle, u32=(kind,), data=data)

    def send_read(self, handle, offset, length):
        self.send(READ, handle=handle, u32=(length,), u64=(offset,))
