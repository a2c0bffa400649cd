#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""qmp.py SOCKET COMMAND... - what a test asks of QEMU

    migrate PATH    move the guest to the QEMU that listens there; prints how it ended and the milliseconds of
                    standstill; exit status 1 when it failed, 3 when it failed and the guest runs on here
    status          print what the guest does: running, paused, postmigrate ...
    cont, stop, quit
"""
import json
import socket
import sys
import time


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 30
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.stream = self.socket.makefile("rw")
        json.loads(self.stream.readline())
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "error" in answer:
                raise SystemExit(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


def migrate(monitor, path):
    monitor.ask("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
    monitor.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 32, "downtime-limit": 2000})
    monitor.ask("migrate", uri=f"unix:{path}")
    end = time.monotonic() + 120
    while True:
        told = monitor.ask("query-migrate")
        if told.get("status") == "completed":
            print(f"completed, {told['downtime']} ms")
            return 0
        if told.get("status") in ("failed", "cancelled") or time.monotonic() > end:
            print(f"{told.get('status')}: {told.get('error-desc', '')}")
            return 3 if monitor.ask("query-status")["status"] == "running" else 1
        time.sleep(0.1)


def main():
    monitor = Monitor(sys.argv[1])
    command = sys.argv[2]
    if command == "migrate":
        return migrate(monitor, sys.argv[3])
    if command == "status":
        print(monitor.ask("query-status")["status"])
        return 0
    if command == "quit":
        try:
            monitor.ask("quit")
        except json.JSONDecodeError:
            pass  # it was faster
        return 0
    monitor.ask(command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
