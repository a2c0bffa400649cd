#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""as_unit.py UNIT GROUPS COMMAND... - run a command under the restrictions of a systemd unit
as_unit.py --refused UNIT GROUPS - read names of system calls, print those that the unit refuses, fail if there are any

Theory of operation

  What a unit takes away must not be what the daemon's sandbox, or a guest's files, need. Where systemd is not
  the first process nothing can be started as a unit; this program does to itself what systemd.exec(5) says
  that systemd does, and then becomes COMMAND (it keeps its process id, which socket activation needs).
  GROUPS is what "systemd-analyze syscall-filter" prints: the system calls behind the names that begin with '@'.

  Every line of [Service] must be known here, either as a restriction that is applied, or as one that is not,
  with the reason. So a new line in the unit is not passed over.

What it does not show: restrictions by control group (devices, IP addresses), and systemd's own reading of the
unit, which "systemd-analyze verify" checks.
"""

import ctypes
import errno
import os
import resource
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
SECCOMP = ctypes.CDLL("libseccomp.so.2")

# ---- numbers of the kernel's (unistd.h, sched.h, prctl.h, mount.h, capability.h) ---------------------

NAMESPACES = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
              "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
CAPABILITIES = """chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
    sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
    audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
    perfmon bpf checkpoint_restore""".split()
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_SLAVE, MS_SHARED = 16384, 1 << 19, 1 << 20
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
SCHED_FIFO, SCHED_RR, SCHED_DEADLINE = 1, 2, 6
# ProtectClock=, ProtectHostname=, ProtectKernelLogs=, ProtectKernelModules=
REFUSED_CALLS = """clock_settime settimeofday adjtimex clock_adjtime sethostname setdomainname syslog
    init_module finit_module delete_module""".split()

ACT_ALLOW = 0x7FFF0000
CMP_NE, CMP_MASKED_EQ = 1, 7


def act_errno(number):
    return 0x00050000 | number


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h"""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


SECCOMP.seccomp_init.restype = ctypes.c_void_p
for function in SECCOMP.seccomp_load, SECCOMP.seccomp_release:
    function.argtypes = [ctypes.c_void_p]
SECCOMP.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                           ctypes.POINTER(Compare)]


def check(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, f"{what}: {os.strerror(ctypes.get_errno() or -result)}")


class Filter:
    """One seccomp filter. systemd, too, sets one for each of its settings."""

    def __init__(self, default):
        self.context = SECCOMP.seccomp_init(default)

    def add(self, action, name, *compare):
        number = SECCOMP.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # not on this machine
            return
        rules = (Compare * max(1, len(compare)))(*compare)
        result = SECCOMP.seccomp_rule_add_array(self.context, action, number, len(compare), rules)
        if result != -errno.EACCES:  # the default action
            check(result, name)

    def load(self):
        check(SECCOMP.seccomp_load(self.context), "seccomp_load")
        SECCOMP.seccomp_release(self.context)


# ---- reading -------------------------------------------------------------------------------------------


def read_unit(path):
    """[Service] as a dictionary of lists; a setting may be given several times."""
    settings, section = {}, None
    with open(path, encoding="utf-8") as unit:
        for line in map(str.strip, unit):
            if line.startswith("["):
                section = line
            elif line and line[0] not in "#;" and section == "[Service]":
                name, value = line.split("=", 1)
                settings.setdefault(name, []).append(value)
    return settings


def read_groups(path):
    groups, current = {}, None
    with open(path, encoding="utf-8") as text:
        for line in map(str.rstrip, text):
            if line.startswith("@"):
                current = groups.setdefault(line, [])
            elif line.startswith("    ") and not line.strip().startswith("#"):
                current.append(line.strip())
            elif line and not line.startswith(" "):
                current = []  # calls that are in no group
    return groups


def expand(names, groups):
    for name in names:
        if name.startswith("@"):
            yield from expand(groups[name], groups)
        else:
            yield name


# ---- applying ------------------------------------------------------------------------------------------


def words(values):
    return [word for value in values for word in value.split()]


def capability_bounding_set(values):
    keep = {word.removeprefix("CAP_").lower() for word in words(values)}
    unknown = keep - set(CAPABILITIES)
    assert not unknown, unknown
    for number, name in enumerate(CAPABILITIES):
        if name not in keep:
            check(LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), name)


def has_capability(name):
    with open("/proc/self/status", encoding="ascii") as text:
        effective = next(int(line.split()[1], 16) for line in text if line.startswith("CapEff:"))
    return bool(effective >> CAPABILITIES.index(name) & 1)


def limit_nofile(values):
    most = int(values[-1])
    with open("/proc/sys/fs/nr_open", encoding="ascii") as text:
        most = min(most, int(text.read()))
    if not has_capability("sys_resource"):  # in a container; systemd has it
        most = min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def mount(source, target, kind, flags, options=None):
    check(LIBC.mount(source.encode(), target.encode(), kind and kind.encode(), flags,
                     options and options.encode()), f"mount {target}")


def make_read_only(path):
    if os.path.exists(path):
        mount(path, path, None, MS_BIND | MS_REC)
        mount("none", path, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def hide(path):
    if os.path.isdir(path):
        mount("none", path, "tmpfs", MS_RDONLY, "mode=0,size=4k")
    elif os.path.exists(path):
        mount("/dev/null", path, None, MS_BIND)


def change_surroundings(unit):
    """What the mount, network and host-name settings make of the surroundings."""
    check(LIBC.unshare(NAMESPACES["mnt"] | NAMESPACES["net"] | NAMESPACES["uts"]), "unshare")
    mount("none", "/", None, MS_REC | MS_SLAVE)
    mount("none", "/", None, MS_REC | MS_SHARED)
    hide("/usr/lib/modules")
    hide("/dev/kmsg")
    make_read_only("/sys")  # ProtectControlGroups=, ProtectKernelTunables=
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
          f"hidepid={unit['ProtectProc'][-1]},subset={unit['ProcSubset'][-1]}")


def allowed_calls(unit, groups):
    names = {"@default": True}
    for line in unit["SystemCallFilter"]:
        names.update(dict.fromkeys(line.removeprefix("~").split(), not line.startswith("~")))
    calls = set(expand((name for name in names if names[name]), groups))
    calls -= set(expand((name for name in names if not names[name]), groups))
    return calls | set(groups["@default"])


def system_call_filter(unit, groups):
    filtered = Filter(act_errno(getattr(errno, unit["SystemCallErrorNumber"][-1])))
    for name in sorted(allowed_calls(unit, groups)):
        filtered.add(ACT_ALLOW, name)
    filtered.load()


def refuse_calls(unit):
    """Settings that refuse calls, or some arguments of them."""
    refused = Filter(ACT_ALLOW)
    eperm, enosys = act_errno(errno.EPERM), act_errno(errno.ENOSYS)
    for kind, flag in NAMESPACES.items():
        if kind not in words(unit["RestrictNamespaces"]):
            for call, arg in ("unshare", 0), ("clone", 0), ("setns", 1):
                refused.add(eperm, call, Compare(arg, CMP_MASKED_EQ, flag, flag))
    refused.add(enosys, "clone3")
    families = [int(getattr(socket, name)) for name in words(unit["RestrictAddressFamilies"])]
    assert len(families) == 1, "several are not thought of here"
    refused.add(act_errno(errno.EAFNOSUPPORT), "socket", Compare(0, CMP_NE, families[0], 0))
    both = PROT_WRITE | PROT_EXEC  # MemoryDenyWriteExecute=
    refused.add(eperm, "mmap", Compare(2, CMP_MASKED_EQ, both, both))
    for call in "mprotect", "pkey_mprotect":
        refused.add(eperm, call, Compare(2, CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC))
    refused.add(eperm, "shmat", Compare(2, CMP_MASKED_EQ, SHM_EXEC, SHM_EXEC))
    for policy in SCHED_FIFO, SCHED_RR, SCHED_DEADLINE:  # RestrictRealtime=
        refused.add(eperm, "sched_setscheduler", Compare(1, CMP_MASKED_EQ, 0xFFFFFFFF, policy))
    refused.add(eperm, "personality", Compare(0, CMP_NE, 0, 0))  # LockPersonality=
    for call in REFUSED_CALLS:
        refused.add(eperm, call)
    refused.load()


APPLIED = set("""CapabilityBoundingSet LimitNOFILE LockPersonality MemoryDenyWriteExecute NoNewPrivileges
    PrivateMounts PrivateNetwork ProcSubset ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs
    ProtectKernelModules ProtectKernelTunables ProtectProc RestrictAddressFamilies RestrictNamespaces
    RestrictRealtime SystemCallArchitectures SystemCallErrorNumber SystemCallFilter UMask""".split())
NOT_APPLIED = {"DeviceAllow": "control group", "DevicePolicy": "control group", "IPAddressDeny": "control group",
               "ExecReload": "systemd's", "ExecStart": "the caller's", "NotifyAccess": "systemd's",
               "Restart": "systemd's", "Type": "systemd's",
               "RuntimeDirectory": "systemd's", "RuntimeDirectoryPreserve": "systemd's"}


def apply(unit, groups):
    unknown = set(unit) - APPLIED - set(NOT_APPLIED)
    missing = APPLIED - set(unit)
    if unknown or missing:
        sys.exit(f"as_unit.py: does not know {sorted(unknown)}, and expects {sorted(missing)}")
    yes = """LockPersonality MemoryDenyWriteExecute NoNewPrivileges PrivateMounts PrivateNetwork ProtectClock
        ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables
        RestrictRealtime"""
    for name in yes.split():
        assert unit[name] == ["yes"], name
    assert unit["SystemCallArchitectures"] == ["native"]  # libseccomp's own default
    limit_nofile(unit["LimitNOFILE"])
    os.umask(int(unit["UMask"][-1], 8))
    change_surroundings(unit)
    capability_bounding_set(unit["CapabilityBoundingSet"])
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    refuse_calls(unit)
    system_call_filter(unit, groups)


def refused():
    calls = sys.stdin.read().split()
    wrong = set(calls) - allowed_calls(read_unit(sys.argv[2]), read_groups(sys.argv[3]))
    print("refused:", *sorted(wrong))
    return 1 if wrong or not calls else 0


def main():
    if sys.argv[1] == "--refused":
        sys.exit(refused())
    unit, groups, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    apply(read_unit(unit), read_groups(groups))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
