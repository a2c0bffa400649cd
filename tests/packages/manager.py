#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""manager.py SOCKET FILE - a service manager's ear: write what arrives at SOCKET into FILE, a line a message

Ends with the message STOPPING=1.
"""

import socket
import sys


def main():
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(sys.argv[1])
    with open(sys.argv[2], "w", encoding="utf-8", buffering=1) as heard:
        message = ""
        while message != "STOPPING=1":
            message = ear.recv(4096).decode()
            print(message, file=heard)


if __name__ == "__main__":
    main()
