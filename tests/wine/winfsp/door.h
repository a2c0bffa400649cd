// SPDX-License-Identifier: BSD-3-Clause
/*
 * door.h - the NT door of the stand-in for WinFsp: NT file calls over a socket
 *
 * What it stands for: NtCreateFile and its family as a Windows program would call them on the mounted
 * volume, with WinFsp's file-system driver beneath. A test (a Linux process) connects to the stand-in's
 * AF_UNIX SOCK_STREAM socket, sends struct door_call with its bytes, and gets struct door_reply with its
 * bytes. One connection is one Windows thread: its calls run in order; connections run at the same time.
 * A connection that ends closes its handles as a dying process would.
 *
 * All integers little-endian. Strings are UTF-16LE without terminator, paths from the volume's root ("\\a\\b").
 * Numbers (dispositions, options, access, information classes, statuses) are Windows' own (ntifs.h, MS-FSCC).
 */
#ifndef VIOFS_TESTS_DOOR_H
#define VIOFS_TESTS_DOOR_H

#include <stdint.h>

enum door_op {
    /*
     * name; u32[0] access, [1] disposition, [2] options, [3] attributes, [4] share; the data are [5] bytes of a
     * security descriptor, then [6] bytes of EAs, or, with [7] DOOR_CREATE_REPARSE, of a reparse buffer (which
     * WinFsp looks at only on volumes with WslFeatures); u64[0] allocation size, [1] handle of the directory that
     * the name is relative to, or 0. An empty name without a directory opens the volume.
     *
     * reply: handle; information FILE_OPENED ...; data: the path that the file is known by. STATUS_REPARSE (a
     * success code): nothing was opened, a link leads out of the volume, data: the NT path where it leads to.
     */
    DOOR_CREATE = 1,
    DOOR_CLEANUP, /* handle: last user handle closed (IRP_MJ_CLEANUP), handle stays until CLOSE */
    DOOR_CLOSE,   /* handle: CLEANUP if not done yet, then IRP_MJ_CLOSE */
    DOOR_READ, /* handle; u64[0] offset (-1 or -2: current), u32[0] length, u32[1] DOOR_IO_*. reply data */
    DOOR_WRITE, /* handle; u64[0] offset (-1: end of file, -2: current), u32[1] DOOR_IO_*; data. information = written */
    DOOR_FLUSH, /* handle, or 0: the volume */
    DOOR_QUERY_INFO, /* handle; u32[0] FILE_INFORMATION_CLASS, u32[1] room. reply data */
    /* handle; u32[0] FILE_INFORMATION_CLASS; data = the structure. A rename's RootDirectory is a handle of ours */
    DOOR_SET_INFO,
    DOOR_QUERY_VOLUME, /* handle; u32[0] FS_INFORMATION_CLASS, u32[1] room */
    DOOR_SET_VOLUME,   /* handle; u32[0] FS_INFORMATION_CLASS; data */
    DOOR_QUERY_DIR, /* handle; name = pattern or empty; u32[0] class, u32[1] room, u32[2] DOOR_DIR_* flags */
    DOOR_QUERY_SECURITY, /* handle; u32[0] SECURITY_INFORMATION, u32[1] room */
    DOOR_SET_SECURITY,   /* handle; u32[0] SECURITY_INFORMATION; data */
    DOOR_QUERY_EA,       /* handle; u32[1] room, u32[0] 1: from the first EA on */
    DOOR_SET_EA,         /* handle; data */
    DOOR_FSCTL,  /* handle; u32[0] code, u32[1] room; data. FSCTL_{GET,SET,DELETE}_REPARSE_POINT */
    DOOR_NOTIFY, /* handle; u32[0] filter, u32[1] 1: watch subtree, u32[2] milliseconds to wait. reply data: FILE_NOTIFY_INFORMATION */
    DOOR_LOCK,   /* handle; u64[0] offset, u64[1] length, u32[0] 1: exclusive */
    DOOR_UNLOCK, /* handle; u64[0] offset, u64[1] length */
    DOOR_TOKEN,  /* u32[0] enum door_token: as whom this connection's later calls run */
    DOOR_STATS, /* reply data: struct door_stats, after every posted close was served; counts from 0 again */
    DOOR_BARRIER, /* u32[0] id, u32[1] number of connections: returns when that many have come (lock-step tests) */
    DOOR_CONTROL, /* u32[0] enum door_control, u32[1] value */
};

/* u32[7] of DOOR_CREATE */
enum door_create {
    DOOR_CREATE_REPARSE = 1,
    DOOR_CREATE_TARGET_DIRECTORY = 2, /* SL_OPEN_TARGET_DIRECTORY, as before a rename */
};

enum door_io {
    DOOR_IO_PAGING = 1, /* IRP_PAGING_IO: constrained writes, any handle */
    DOOR_IO_NOCACHE = 2,
};
enum door_dir { DOOR_DIR_RESTART = 1, DOOR_DIR_SINGLE = 2 };
enum door_token {
    DOOR_TOKEN_SYSTEM,     /* S-1-5-18, Administrators */
    DOOR_TOKEN_ADMIN,      /* S-1-5-21-1-2-3-500, Administrators, Users */
    DOOR_TOKEN_USER,       /* S-1-5-21-1-2-3-1001, Users; may not make symbolic links */
    DOOR_TOKEN_NO_TRAVERSE /* the same user without the privilege to traverse */
};
enum door_control {
    DOOR_CONTROL_DROP_INFO_CACHE = 1, /* as if FileInfoTimeout had passed */
    DOOR_CONTROL_STOP_DRIVER,         /* WinFsp's driver goes away: DispatcherStopped */
    DOOR_CONTROL_SETTLE,              /* wait until every posted close was served */
    DOOR_CONTROL_WRITE_BACK,          /* as if the lazy writer had come */
};

#define DOOR_MAX_DATA (17u << 20)

struct door_call {
    uint32_t op;
    uint32_t name_len; /* bytes of name, follow the struct */
    uint32_t data_len; /* bytes of data, follow the name */
    uint32_t reserved;
    uint64_t handle;
    uint32_t u32[8];
    uint64_t u64[2];
};
struct door_reply {
    uint32_t status; /* NTSTATUS */
    uint32_t data_len;
    uint64_t information;
    uint64_t handle;
};
_Static_assert(sizeof(struct door_call) == 72, "door");
_Static_assert(sizeof(struct door_reply) == 24, "door");

/* What the volume's callbacks did since the last DOOR_STATS. */
struct door_stats {
    uint64_t calls[64];    /* by slot of FSP_FILE_SYSTEM_INTERFACE */
    uint64_t pended;       /* of them returned STATUS_PENDING */
    uint64_t most_at_once; /* callbacks in progress at the same time, pended ones included */
    uint64_t
        violations; /* of WinFsp's contract by the file system (unfilled FileInfo, missing close ...), also on stderr */
};

#endif
