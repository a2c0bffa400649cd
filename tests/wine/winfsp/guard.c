// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard.c - WinFsp's own lock around operations, for file systems that do not bring theirs
 *
 * Strategy FINE (0): exclusive for what creates, overwrites, deletes, renames, labels or flushes the whole
 * volume; shared for opens, dispositions, listings and volume figures; nothing for the rest. COARSE (1):
 * exclusive for everything (WinFsp src/dll/fsop.c, FspFileSystemOpEnter).
 *
 * Ownership: none.   Locks: the SRW lock inside the file system's struct.
 */
#include "tests/wine/winfsp/standin.h"

enum hold { HOLD_NONE, HOLD_SHARED, HOLD_EXCLUSIVE };

#define CLASS_RENAME         10
#define CLASS_DISPOSITION    13
#define CLASS_DISPOSITION_EX 64
#define CLASS_RENAME_EX      65

static enum hold hold_for_class(uint32_t class)
{
    if (class == CLASS_RENAME || class == CLASS_RENAME_EX)
        return HOLD_EXCLUSIVE;
    return class == CLASS_DISPOSITION || class == CLASS_DISPOSITION_EX ? HOLD_SHARED : HOLD_NONE;
}

static enum hold hold_for(const struct winfsp_file_system *fs, const struct winfsp_request *req)
{
    if (fs->guard_strategy == 1)
        return HOLD_EXCLUSIVE;
    switch (req->kind) {
    case WINFSP_KIND_CREATE:
        return req->create.create_options >> 24 == FILE_OPEN ? HOLD_SHARED : HOLD_EXCLUSIVE;
    case WINFSP_KIND_OVERWRITE:
    case WINFSP_KIND_SET_VOLUME_INFORMATION:
        return HOLD_EXCLUSIVE;
    case WINFSP_KIND_CLEANUP:
        return req->file.cleanup.flags & 1 ? HOLD_EXCLUSIVE : HOLD_NONE;
    case WINFSP_KIND_SET_INFORMATION:
        return hold_for_class(req->file.set_information.information_class);
    case WINFSP_KIND_FLUSH_BUFFERS:
        return req->file.user_context || req->file.user_context2 ? HOLD_NONE : HOLD_EXCLUSIVE;
    case WINFSP_KIND_QUERY_DIRECTORY:
    case WINFSP_KIND_QUERY_VOLUME_INFORMATION:
        return HOLD_SHARED;
    default:
        return HOLD_NONE;
    }
}

NTSTATUS WINAPI dll_enter(struct winfsp_file_system *fs, struct winfsp_request *req,
                          struct winfsp_response *rsp)
{
    (void)rsp;
    RTL_SRWLOCK *lock = (RTL_SRWLOCK *)&fs->guard_lock;
    enum hold hold = hold_for(fs, req);
    if (hold == HOLD_EXCLUSIVE)
        RtlAcquireSRWLockExclusive(lock);
    else if (hold == HOLD_SHARED)
        RtlAcquireSRWLockShared(lock);
    return STATUS_SUCCESS;
}

NTSTATUS WINAPI dll_leave(struct winfsp_file_system *fs, struct winfsp_request *req,
                          struct winfsp_response *rsp)
{
    (void)rsp;
    RTL_SRWLOCK *lock = (RTL_SRWLOCK *)&fs->guard_lock;
    enum hold hold = hold_for(fs, req);
    if (hold == HOLD_EXCLUSIVE)
        RtlReleaseSRWLockExclusive(lock);
    else if (hold == HOLD_SHARED)
        RtlReleaseSRWLockShared(lock);
    return STATUS_SUCCESS;
}
