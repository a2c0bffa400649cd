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
    DOOR_CREATE =
        1,        /* name; u32[0] access, [1] disposition, [2] options, [3] attributes, [4] share,
                          *  [5] length of a security descriptor after the name, [6] of EAs or a reparse buffer after that, [7] 1: it is a reparse buffer;
                          *  u64[0] allocation size, [1] handle of the directory that name is relative to, or 0.
                          *  reply: handle; information FILE_OPENED ...; data: the normalised full path */
    DOOR_CLEANUP, /* handle: last user handle closed (IRP_MJ_CLEANUP), handle stays until CLOSE */
    DOOR_CLOSE,   /* handle: CLEANUP if not done yet, then IRP_MJ_CLOSE */
    DOOR_READ, /* handle; u64[0] offset (-1: current), u32[0] length, u32[1] DOOR_IO_*. reply data */
    DOOR_WRITE, /* handle; u64[0] offset (-1: end of file), u32[1] DOOR_IO_*; data. information = written */
    DOOR_FLUSH,        /* handle, or 0: the volume */
    DOOR_QUERY_INFO,   /* handle; u32[0] FILE_INFORMATION_CLASS, u32[1] room. reply data */
    DOOR_SET_INFO,     /* handle; u32[0] FILE_INFORMATION_CLASS; data = the structure */
    DOOR_QUERY_VOLUME, /* handle; u32[0] FS_INFORMATION_CLASS, u32[1] room */
    DOOR_SET_VOLUME,   /* handle; u32[0] FS_INFORMATION_CLASS; data */
    DOOR_QUERY_DIR, /* handle; name = pattern or empty; u32[0] class, u32[1] room, u32[2] DOOR_DIR_* flags */
    DOOR_QUERY_SECURITY, /* handle; u32[0] SECURITY_INFORMATION, u32[1] room */
    DOOR_SET_SECURITY,   /* handle; u32[0] SECURITY_INFORMATION; data */
    DOOR_QUERY_EA,       /* handle; u32[1] room */
    DOOR_SET_EA,         /* handle; data */
    DOOR_FSCTL,  /* handle; u32[0] code, u32[1] room; data. FSCTL_{GET,SET,DELETE}_REPARSE_POINT */
    DOOR_NOTIFY, /* handle; u32[0] filter, u32[1] 1: watch subtree, u32[2] milliseconds to wait. reply data: FILE_NOTIFY_INFORMATION */
    DOOR_LOCK,   /* handle; u64[0] offset, u64[1] length, u32[0] 1: exclusive */
    DOOR_UNLOCK, /* handle; u64[0] offset, u64[1] length */
    DOOR_TOKEN,  /* u32[0] enum door_token: as whom this connection's later calls run */
    DOOR_STATS,  /* reply data: struct door_stats */
    DOOR_BARRIER, /* u32[0] id, u32[1] number of connections: returns when that many have come (lock-step tests) */
    DOOR_CONTROL, /* u32[0] enum door_control, u32[1] value */
};

enum door_io {
    DOOR_IO_PAGING = 1, /* IRP_PAGING_IO: constrained writes, any handle */
    DOOR_IO_NOCACHE = 2,
};
enum door_dir { DOOR_DIR_RESTART = 1, DOOR_DIR_SINGLE = 2 };
enum door_token { DOOR_TOKEN_SYSTEM, DOOR_TOKEN_ADMIN, DOOR_TOKEN_USER };
enum door_control {
    DOOR_CONTROL_DROP_INFO_CACHE = 1, /* as if FileInfoTimeout had passed */
    DOOR_CONTROL_STOP_DRIVER,         /* WinFsp's driver goes away: DispatcherStopped */
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
