#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""uml_shim.py LISTEN DAEMON TAG - let User-mode Linux talk to a daemon that does not expect it

Stands between UML's virtio_uml front end and a vhost-user-fs daemon, for control messages only: rings,
kicks and calls go past it, so it costs a request nothing. Two things are changed:

  - UML always sends SET_MEM_TABLE with room for two regions; the payload is cut to the regions in use.
  - UML needs PROTOCOL_F_CONFIG and reads tag and number of queues through GET_CONFIG; daemons that do
    not offer it get both answered here.

Serves one connection and ends with it.
"""

import array
import selectors
import socket
import struct
import sys

HEADER = struct.Struct("=III")  # request, flags, size
REPLY = 0x5  # version 1, reply
SET_MEM_TABLE, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_CONFIG = 5, 15, 16, 24
F_CONFIG = 1 << 9
REGION_BYTES = 32
FS_TAG_BYTES = 36


def receive(sock, length, fds):
    """Exactly length bytes, or None at the end; descriptors are appended to fds."""
    data = b""
    while len(data) < length:
        part, ancillary, _, _ = sock.recvmsg(length - len(data), socket.CMSG_SPACE(8 * 4))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(content[:len(content) - len(content) % 4])
                fds.extend(numbers)
        if not part:
            return None
        data += part
    return data


def receive_message(sock):
    fds = []
    head = receive(sock, HEADER.size, fds)
    if head is None:
        return None
    request, flags, size = HEADER.unpack(head)
    payload = receive(sock, size, fds) if size else b""
    return None if payload is None else (request, flags, payload, fds)


def send_message(sock, request, flags, payload, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([HEADER.pack(request, flags, len(payload)) + payload], rights)
    for fd in fds:
        socket.close(fd)


class Shim:
    def __init__(self, guest, daemon, tag):
        self.guest, self.daemon = guest, daemon
        self.config = tag.encode().ljust(FS_TAG_BYTES, b"\0") + struct.pack("=I", 1)
        self.daemon_has_config = False

    def from_guest(self, request, flags, payload, fds):
        if request == SET_MEM_TABLE:
            regions, = struct.unpack_from("=I", payload)
            payload = payload[:8 + regions * REGION_BYTES]
        elif request == SET_PROTOCOL_FEATURES and not self.daemon_has_config:
            payload = struct.pack("=Q", struct.unpack("=Q", payload)[0] & ~F_CONFIG)
        elif request == GET_CONFIG and not self.daemon_has_config:
            offset, size, _ = struct.unpack_from("=III", payload)
            content = self.config[offset:offset + size].ljust(size, b"\0")
            send_message(self.guest, request, REPLY, payload[:12] + content)
            return
        send_message(self.daemon, request, flags, payload, fds)

    def from_daemon(self, request, flags, payload, fds):
        if request == GET_PROTOCOL_FEATURES:
            features, = struct.unpack("=Q", payload)
            self.daemon_has_config = bool(features & F_CONFIG)
            payload = struct.pack("=Q", features | F_CONFIG)
        send_message(self.guest, request, flags, payload, fds)

    def run(self):
        with selectors.DefaultSelector() as ready:
            ready.register(self.guest, selectors.EVENT_READ, self.from_guest)
            ready.register(self.daemon, selectors.EVENT_READ, self.from_daemon)
            while True:
                for key, _ in ready.select():
                    message = receive_message(key.fileobj)
                    if message is None:
                        return
                    key.data(*message)


def main():
    listen, daemon, tag = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(listen)
        door.listen(1)
        guest, _ = door.accept()
    with guest, socket.socket(socket.AF_UNIX) as back:
        back.connect(daemon)
        Shim(guest, back, tag).run()


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, ConnectionResetError):
        pass  # one end has gone: so do we
