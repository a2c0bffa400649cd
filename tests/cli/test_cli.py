#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_cli.py VIRTIOFSD JSON [OPTION...] - the daemon as a command: start, signals, sockets, messages

No guest is involved: a front end that connects and leaves is enough to see the daemon live and end.
Prints TAP. Each check has some seconds, and ends what it started. The daemons get the OPTIONs, too.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

VIRTIOFSD, VHOST_USER_JSON = (os.path.abspath(path) for path in sys.argv[1:3])
OPTIONS = [option for option in sys.argv[3:] if option != "--inside"]
INSIDE = "--inside" in sys.argv
DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../integration/grafana/virtiofsd.json")
LIMIT = 10


def environment(args, env):
    """LeakSanitizer cannot look around in a sandbox: it does so where there is none."""
    env = dict(env or os.environ)
    if "none" not in args:
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


class Rig:
    """A directory with a share, and the processes of one check."""

    def __init__(self, where):
        self.dir = where
        self.share = os.path.join(where, "share")
        self.sock = os.path.join(where, "sock")
        self.processes = []
        os.mkdir(self.share)

    def start(self, *args, **kwargs):
        """Start the daemon in the foreground."""
        kwargs.setdefault("stderr", subprocess.PIPE)
        env = environment(args, kwargs.pop("env", None))
        process = subprocess.Popen([VIRTIOFSD, *OPTIONS, *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, env=env, **kwargs)
        self.processes.append(process)
        return process

    def serve(self, *args, **kwargs):
        """Start the daemon on the usual socket."""
        return self.start("--shared-dir", self.share, "--socket-path", self.sock, *args, **kwargs)

    def ready(self, *args, **kwargs):
        """Start the daemon and wait for its READY=1."""
        manager, env = self.manager()
        process = self.serve(*args, env=env, **kwargs)
        assert manager.recv(64) == b"READY=1"
        manager.close()
        return process

    def manager(self):
        """A service manager: its socket, and an environment that names it."""
        name = os.path.join(self.dir, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(LIMIT)
        manager.bind(name)
        return manager, dict(os.environ, NOTIFY_SOCKET=name)

    def visit(self):
        """Connect as a front end, and leave."""
        self.connect().close()

    def connect(self, path=None):
        front_end = socket.socket(socket.AF_UNIX)
        front_end.connect(path or self.sock)  # waits while the backlog is full
        front_end.settimeout(LIMIT)
        return front_end

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def run(*args, **kwargs):
    """Run the daemon as a command that ends by itself."""
    return subprocess.run([VIRTIOFSD, *OPTIONS, *args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=LIMIT, check=False, env=environment(args, None), **kwargs)


def assert_ended_well(process, remark=""):
    """It ended by itself, with status 0 and without a complaint."""
    said = (process.communicate(timeout=LIMIT)[1] or b"").decode()
    assert process.returncode == 0, (remark, process.returncode, said)
    assert "error: " not in said and "warning: " not in said, (remark, said)


# ---- questions ------------------------------------------------------------------------------------


def capabilities_are_json_and_nothing_else(_rig):
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        binary = shutil.copy(VIRTIOFSD, place)
        answer = subprocess.run([binary, "--print-capabilities"], capture_output=True, env={},
                                cwd="/", timeout=LIMIT, check=False, **nobody)
    assert answer.returncode == 0 and answer.stderr == b"", answer
    assert json.loads(answer.stdout) == {"type": "fs", "features": ["migrate-precopy", "separate-options"]}


def capabilities_and_the_installed_file_agree(_rig):
    with open(VHOST_USER_JSON) as f:
        installed = json.load(f)
    answer = json.loads(run("--print-capabilities").stdout)
    assert installed["type"] == answer["type"]
    assert installed["features"] == answer["features"]
    assert installed["binary"].endswith("/libexec/virtiofsd") and installed["description"]


def help_and_version_leave_with_status_0(_rig):
    for option in "--help", "-h", "--version", "-V":
        answer = run(option)
        assert answer.returncode == 0 and answer.stdout and not answer.stderr, answer


def an_answer_that_cannot_be_written_is_an_error(_rig):
    with open("/dev/full", "w") as full:
        for option in "--help", "--print-capabilities":
            assert subprocess.run([VIRTIOFSD, option], stdout=full, check=False).returncode == 1


def a_wrong_option_is_one_line_and_status_1(_rig):
    answer = run("--shared-dir", "/", "--socket-path", "/s", "--cache=some")
    assert answer.returncode == 1 and answer.stdout == ""
    assert answer.stderr.count("\n") == 1 and "--cache" in answer.stderr, answer


def a_start_that_fails_is_one_line_and_status_1(rig):
    for option, value in ("--socket-path", "/nonexistent/dir/sock"), ("--fd", "99"), ("--fd", "0"):
        answer = run("--shared-dir", rig.share, option, value)
        assert answer.returncode == 1, answer
        assert answer.stderr.count("\n") == 1 and value in answer.stderr, answer


# ---- life -----------------------------------------------------------------------------------------


def the_end_of_the_front_end_is_the_end_of_the_daemon(rig):
    daemon = rig.ready()
    rig.visit()
    assert_ended_well(daemon)


def signals_end_the_daemon_in_good_order(rig):
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        manager, env = rig.manager()
        daemon = rig.serve(env=env)
        assert manager.recv(64) == b"READY=1"
        daemon.send_signal(number)
        assert_ended_well(daemon, number)
        assert manager.recv(64) == b"STOPPING=1"
        manager.close()
        os.unlink(os.path.join(rig.dir, "notify"))


def signals_end_the_daemon_while_a_front_end_is_there(rig):
    daemon = rig.ready()
    front_end = rig.connect()
    time.sleep(0.2)
    daemon.send_signal(signal.SIGTERM)
    assert_ended_well(daemon)
    front_end.close()


def every_sandbox_lets_the_daemon_live(rig):
    modes = ["namespace", "none"] + (["chroot"] if os.geteuid() == 0 else [])
    for mode in modes:
        daemon = rig.ready("--sandbox", mode)
        os.unlink(os.path.join(rig.dir, "notify"))
        rig.visit()
        assert_ended_well(daemon, mode)


def keep_listening_serves_one_front_end_after_the_other(rig):
    daemon = rig.ready("--keep-listening")
    for _ in range(5):
        rig.visit()
    time.sleep(0.2)
    assert daemon.poll() is None
    daemon.terminate()
    assert_ended_well(daemon)


# ---- --supervise ------------------------------------------------------------------------------------


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def a_daemon_that_is_killed_without_a_supervisor_says_what_to_do(rig):
    daemon = rig.ready("--no-supervise", "--sandbox=namespace")
    os.kill(children_of(daemon.pid)[0], signal.SIGKILL)
    said = daemon.communicate(timeout=LIMIT)[1].decode()
    assert daemon.returncode == 128 + signal.SIGKILL, said
    assert "virtiofsd was killed" in said and "restart the virtual machine" in said, said


def reload_is_told_to_the_service_manager(rig):
    manager, env = rig.manager()
    daemon = rig.serve("--supervise", env=env)
    assert manager.recv(64) == b"READY=1"
    daemon.send_signal(signal.SIGUSR2)
    assert manager.recv(128).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(64) == b"READY=1"
    manager.close()
    rig.visit()
    assert_ended_well(daemon)


def reload_of_a_daemon_without_supervisor_does_nothing(rig):
    daemon = rig.ready("--no-supervise")
    daemon.send_signal(signal.SIGUSR2)
    time.sleep(0.1)
    assert daemon.poll() is None
    rig.visit()
    assert_ended_well(daemon)


# ---- --daemonize ------------------------------------------------------------------------------------


def process_that_holds(path):
    with open(path + ".pid") as f:
        return int(f.read())


def wait_for_end_of(pid):
    for _ in range(LIMIT * 20):
        if not os.path.exists(f"/proc/{pid}"):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"process {pid} has not ended")


def daemonize_returns_when_a_guest_can_connect(rig):
    # run() would wait for ever if the daemon kept the command's stdout or stderr.
    answer = run("--shared-dir", rig.share, "--socket-path", rig.sock, "--daemonize")
    assert answer.returncode == 0 and answer.stdout == "", answer
    assert "error: " not in answer.stderr, answer
    pid = process_that_holds(rig.sock)
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert all(os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null" for fd in range(3))
    rig.visit()
    wait_for_end_of(pid)


def daemonize_returns_1_when_the_start_fails(rig):
    answer = run("--shared-dir", rig.share, "--socket-path", "/nonexistent/dir/sock", "--daemonize")
    assert answer.returncode == 1, answer
    assert "/nonexistent/dir" in answer.stderr, answer


def daemonize_returns_1_when_the_start_fails_inside_the_sandbox(rig):
    answer = run("--shared-dir", rig.share, "--socket-path", rig.sock, "--daemonize",
                 "--xattrmap=:bad rule")
    assert answer.returncode == 1, answer
    assert "xattrmap" in answer.stderr, answer


# ---- sockets that others made -------------------------------------------------------------------------


def listener(rig, path=None):
    made = socket.socket(socket.AF_UNIX)
    made.bind(path or rig.sock)
    made.listen(1)
    return made


def libvirt_passes_a_listening_socket(rig):
    made = listener(rig)
    fd = made.fileno()
    os.set_inheritable(fd, True)
    styles = [f"--fd={fd}", "-o", f"source={rig.share},cache=none"], \
             [f"--fd={fd}", "--shared-dir", rig.share, "--cache", "never"]
    for style in styles:
        daemon = rig.start(*style, pass_fds=[fd])
        rig.visit()
        assert_ended_well(daemon, style)
    made.close()


def a_connected_socket_is_refused(rig):
    ours, theirs = socket.socketpair()
    answer = run(f"--fd={theirs.fileno()}", "--shared-dir", rig.share, pass_fds=[theirs.fileno()])
    assert answer.returncode == 1 and "listen()" in answer.stderr, answer
    ours.close()
    theirs.close()


def start_as_systemd_does(rig, made, *args, names=None):
    """Start the daemon with the sockets as descriptors from 3, in a process that knows its own number."""
    sockets = list(made) if names else [made]

    def become_it():
        high = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 20) for one in sockets]
        os.dup2(log, 2)
        for fd, one in enumerate(high, 3):
            os.dup2(one, fd)
            os.set_inheritable(fd, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)))
        if names:
            os.environ.update(LISTEN_FDNAMES=names)
        share = [] if names else ["--shared-dir", rig.share]
        os.execve(VIRTIOFSD, [VIRTIOFSD, *share, *OPTIONS, *args], environment([], None))

    log = os.open(os.path.join(rig.dir, "log"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    pid = os.fork()
    if pid == 0:
        try:
            become_it()
        finally:
            os._exit(99)
    os.close(log)
    return pid


def how_it_ended(rig, pid):
    with open(os.path.join(rig.dir, "log"), encoding="utf-8") as log:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), log.read()


def systemd_passes_a_listening_socket(rig):
    made = listener(rig)
    pid = start_as_systemd_does(rig, made)
    rig.visit()
    status, said = how_it_ended(rig, pid)
    assert status == 0, said
    made.close()


def a_socket_from_systemd_stands_in_for_that_of_a_file(rig):
    made = listener(rig)
    config = os.path.join(rig.dir, "conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write("socket-path = /nonexistent/dir/sock\n")
    pid = start_as_systemd_does(rig, made, "--config", config)
    rig.visit()
    status, said = how_it_ended(rig, pid)
    assert status == 0, said
    made.close()


def sockets_from_systemd_go_to_the_shares_that_have_their_names(rig):
    """Also to every worker of a supervisor."""
    config = os.path.join(rig.dir, "conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write("".join(f"[share {name}]\nshared-dir = {rig.share}\n" for name in ("one", "own", "two")))
        f.write(f"socket-path = {rig.sock}\n")
    made = [listener(rig, os.path.join(rig.dir, name)) for name in ("own", "one")]
    for more in [], ["--supervise"]:
        pid = start_as_systemd_does(rig, made, "--config", config, *more, names="own:one")
        for turn in range(2):
            for path in rig.sock, os.path.join(rig.dir, "one"), os.path.join(rig.dir, "own"):
                for _ in range(LIMIT * 20):
                    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                        rig.connect(path).close()
                        break
                    time.sleep(0.05)
            for name in "one", "own", "two":
                await_in_log(rig, f"share {name}: the front end has left", turn + 1)
            if not more:
                break
            if turn == 0:
                os.kill(pid, signal.SIGUSR2)
                await_in_log(rig, "the new worker (")
        os.kill(pid, signal.SIGTERM)
        status, said = how_it_ended(rig, pid)
        assert status == 0 and "error:" not in said, said
    for one in made:
        one.close()


def await_in_log(rig, text, times=1):
    for _ in range(LIMIT * 20):
        with open(os.path.join(rig.dir, "log"), encoding="utf-8") as log:
            if log.read().count(text) >= times:
                return
        time.sleep(0.05)
    raise AssertionError(f"the log has no {text}")


def a_socket_that_is_no_unix_stream_is_refused(rig):
    for family, kind in (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        with socket.socket(family, kind) as made:
            made.bind(("127.0.0.1", 0) if family == socket.AF_INET else os.path.join(rig.dir, "other"))
            made.listen(1)
            status, said = how_it_ended(rig, start_as_systemd_does(rig, made))
            assert status == 1 and "socket from systemd" in said and "ListenStream=" in said, said
            answer = run(f"--fd={made.fileno()}", "--shared-dir", rig.share, pass_fds=[made.fileno()])
            assert answer.returncode == 1 and "not a UNIX stream" in answer.stderr, answer


# ---- messages and numbers ------------------------------------------------------------------------------


def a_full_log_holds_nothing_up(rig):
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    daemon = rig.ready("--log-level=trace", "--keep-listening", stderr=write_end)
    for _ in range(20):
        rig.visit()
    daemon.terminate()
    assert daemon.wait(timeout=LIMIT) == 0
    os.close(read_end)
    os.close(write_end)


def a_log_that_nobody_reads_any_more_holds_nothing_up(rig):
    daemon = rig.ready("--log-level=trace", "--keep-listening")
    daemon.stderr.close()
    rig.visit()
    daemon.stderr = None
    daemon.terminate()
    assert daemon.wait(timeout=LIMIT) == 0


def statistics_come_out_of_the_sandbox(rig):
    path = os.path.join(rig.dir, "stats")
    daemon = rig.ready("--stats-socket", path)
    for request, start in (b"", b"# HELP "), (b"GET /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.0 200 OK\r\n"):
        reader = rig.connect(path)
        reader.sendall(request)
        text = b""
        while piece := reader.recv(65536):
            text += piece
        reader.close()
        assert text.startswith(start), text
        assert re.search(rb"^virtiofsd_build_info\{version=\"[0-9.]+\"\} 1$", text, re.M), text
        assert re.search(rb"^virtiofsd_requests_in_flight 0$", text, re.M), text
        assert re.search(rb"^virtiofsd_inodes \d+$", text, re.M), text
    rig.visit()
    assert_ended_well(daemon)


# Only where there is a project quota: tests/wire/test_quota.c looks at them.
OF_QUOTAS = {"virtiofsd_limit_bytes", "virtiofsd_limit_bytes_free", "virtiofsd_limit_inodes",
             "virtiofsd_limit_inodes_free"}


def the_dashboard_asks_for_nothing_that_is_not_exported(rig):
    path = os.path.join(rig.dir, "stats")
    daemon = rig.ready("--stats-socket", path, "--limit-ops=100", "--limit-bandwidth=1M", "--limit-in-flight=4",
                       "--limit-files=500")
    reader = rig.connect(path)
    reader.shutdown(socket.SHUT_WR)
    text = b"".join(iter(lambda: reader.recv(65536), b"")).decode()
    reader.close()
    exported = set(re.findall(r"^# TYPE (virtiofsd_\w+)", text, re.M)) | OF_QUOTAS
    with open(DASHBOARD, encoding="utf-8") as f:
        panels = json.load(f)["panels"]
    asked = set(re.findall(r"virtiofsd_\w+", json.dumps([t["expr"] for p in panels for t in p["targets"]])))
    asked = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    assert len(asked) > 15, asked
    assert not asked - exported, asked - exported
    missing = exported - asked - {"virtiofsd_build_info", "virtiofsd_limit_operations_per_second",
                                  "virtiofsd_limit_bandwidth_bytes_per_second"}
    assert not missing, f"the dashboard does not show {missing}"
    rig.visit()
    assert_ended_well(daemon)


def a_reader_of_statistics_does_not_keep_the_daemon(rig):
    path = os.path.join(rig.dir, "stats")
    daemon = rig.ready("--stats-socket", path)
    readers = [rig.connect(path) for _ in range(4)]
    daemon.terminate()
    assert_ended_well(daemon)
    for reader in readers:
        reader.close()


def syslog_gets_the_messages(rig):
    """In a mount namespace with a /dev of its own, which takes root."""
    if os.geteuid() != 0:
        return "needs root"
    inner = [sys.executable, os.path.abspath(__file__), VIRTIOFSD, VHOST_USER_JSON, *OPTIONS, "--inside"]
    subprocess.run(["unshare", "--mount", *inner], cwd=rig.dir, check=True, timeout=2 * LIMIT)
    return None


def inside_syslog(where):
    """Second half of syslog_gets_the_messages()."""
    dev = os.path.join(where, "dev")
    os.mkdir(dev)
    subprocess.run(["mount", "-t", "tmpfs", "none", dev], check=True)
    for name in "null", "urandom":
        open(os.path.join(dev, name), "w").close()
        subprocess.run(["mount", "--bind", "/dev/" + name, os.path.join(dev, name)], check=True)
    subprocess.run(["mount", "--rbind", dev, "/dev"], check=True)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    log.settimeout(LIMIT)
    share, sock = os.path.join(where, "share"), os.path.join(where, "sock")
    common = ["--shared-dir", share, "--socket-path", sock, "--log-level=trace"]
    answer = run(*common, "--daemonize", "--keep-listening")
    assert answer.returncode == 0, answer
    front_end = socket.socket(socket.AF_UNIX)
    front_end.connect(sock)
    front_end.sendall(b"\xff" * 12)  # no vhost-user message
    line = log.recv(4096).decode()
    log.close()
    assert re.match(r"<\d+>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d virtiofsd\[\d+\]: ", line), line
    # The other side has gone: messages are lost, and nothing else happens.
    for _ in range(3):
        front_end = socket.socket(socket.AF_UNIX)
        front_end.connect(sock)
        front_end.sendall(b"\xff" * 12)
        front_end.close()
    time.sleep(0.2)
    pid = process_that_holds(sock)
    with open(f"/proc/{pid}/comm") as f:
        assert f.read() == "virtiofsd\n"
    os.kill(pid, signal.SIGTERM)
    wait_for_end_of(pid)
    # Without syslog the option is refused.
    os.unlink("/dev/log")
    answer = run(*common, "--syslog")
    assert answer.returncode == 1 and "--syslog: /dev/log" in answer.stderr, answer


CHECKS = [
    capabilities_are_json_and_nothing_else,
    capabilities_and_the_installed_file_agree,
    help_and_version_leave_with_status_0,
    an_answer_that_cannot_be_written_is_an_error,
    a_wrong_option_is_one_line_and_status_1,
    a_start_that_fails_is_one_line_and_status_1,
    the_end_of_the_front_end_is_the_end_of_the_daemon,
    signals_end_the_daemon_in_good_order,
    signals_end_the_daemon_while_a_front_end_is_there,
    every_sandbox_lets_the_daemon_live,
    keep_listening_serves_one_front_end_after_the_other,
    a_daemon_that_is_killed_without_a_supervisor_says_what_to_do,
    reload_is_told_to_the_service_manager,
    reload_of_a_daemon_without_supervisor_does_nothing,
    daemonize_returns_when_a_guest_can_connect,
    daemonize_returns_1_when_the_start_fails,
    daemonize_returns_1_when_the_start_fails_inside_the_sandbox,
    libvirt_passes_a_listening_socket,
    a_connected_socket_is_refused,
    systemd_passes_a_listening_socket,
    sockets_from_systemd_go_to_the_shares_that_have_their_names,
    a_socket_from_systemd_stands_in_for_that_of_a_file,
    a_socket_that_is_no_unix_stream_is_refused,
    a_full_log_holds_nothing_up,
    a_log_that_nobody_reads_any_more_holds_nothing_up,
    statistics_come_out_of_the_sandbox,
    the_dashboard_asks_for_nothing_that_is_not_exported,
    a_reader_of_statistics_does_not_keep_the_daemon,
    syslog_gets_the_messages,
]


def one(check):
    """Run one check. Return: reason for which it was skipped, or None."""
    with tempfile.TemporaryDirectory(prefix="viofs-cli-") as where:
        rig = Rig(where)
        clock = threading.Timer(3 * LIMIT, rig.stop)
        clock.start()
        try:
            return check(rig)
        finally:
            clock.cancel()
            rig.stop()


def main():
    failed = 0
    for number, check in enumerate(CHECKS, 1):
        name = check.__name__.replace("_", " ")
        try:
            reason = one(check)
            print(f"ok {number} - {name}" + (f" # SKIP {reason}" if reason else ""), flush=True)
        except Exception as error:  # whatever went wrong, the others still run
            failed += 1
            print(f"not ok {number} - {name}\n# {type(error).__name__}: {error}", flush=True)
    print(f"1..{len(CHECKS)}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(inside_syslog(os.getcwd()) if INSIDE else main())
