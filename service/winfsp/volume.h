// SPDX-License-Identifier: BSD-3-Clause
/*
 * volume.h - one share as a WinFsp volume; where service/win and service/winfsp meet
 *
 * service/win decides what is mounted where and keeps the process alive; service/winfsp turns WinFsp's
 * callbacks into what client/ offers. A volume owns its client (one FUSE session) and its FSP_FILE_SYSTEM.
 * It does not own the transport or the WinFsp functions.
 *
 * Life: svc_volume_start() connects the session and mounts; svc_volume_stop() unmounts, closes the session
 * and frees. Both wait; call them from one thread at a time per volume. Everything else may be called by
 * any thread in between.
 */
#ifndef VIOFS_SERVICE_VOLUME_H
#define VIOFS_SERVICE_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

#include "abi/winfsp.h"
#include "service/client/client.h"
#include "service/winfsp/modes.h"

struct svc_volume;

#define SVC_NO_ID UINT32_MAX

enum svc_volume_event {
    SVC_VOLUME_STOPPED,
    SVC_VOLUME_STALLED,
    SVC_VOLUME_RESPONDING,
    SVC_VOLUME_SESSION_LOST,
    SVC_VOLUME_MODES /* svc_volume_state.modes are others now */
};

struct svc_volume_options {
    const wchar_t
        *mount_point; /* as the user wrote it, or NULL / "*": first free letter from Z: down */
    const wchar_t *file_system_name; /* at most 15 units; NULL: "VirtIO-FS" */
    const wchar_t *label;            /* at most 31 units; NULL: the tag */
    const wchar_t *security;         /* SDDL of every file, or NULL: derived from mode bits */
    bool case_insensitive;
    bool read_only;
    bool hide_dot_files;
    bool mode_attributes; /* attributes and creation times are not stored */
    enum svc_read_only read_only_attribute;
    uint32_t owner_uid, owner_gid; /* SVC_NO_ID: the root directory's owner */
    uint32_t overflow_uid,
        overflow_gid;       /* owner ids that mean "nobody": ignored when taken from the root */
    uint32_t debug_flags;   /* WinFsp's debug log mask */
    uint32_t stall_seconds; /* 0: 30 */
    uint32_t poll_seconds;  /* -n: open directories are looked at this often, 0: never */
    bool no_streams;        /* no alternate data streams */
    bool no_notify;         /* do not have the host tell what changes */
    enum svc_cache cache;
    enum svc_acl acl;
    bool acl_in_security;                                    /* security.NTACL, not user.NTACL */
    uint32_t threads;                                        /* dispatcher threads, 0: 16 */
    void (*log)(void *user, int level, const wchar_t *text); /* 0 error, 1 warning, 2 debug */
    /* the volume ended by itself: WinFsp's driver stopped; the host stopped responding or came back; modes changed */
    void (*event)(void *user, enum svc_volume_event event);
    void *user;
};

struct svc_volume_state {
    wchar_t tag[40];
    wchar_t mount_point[300]; /* where it really is */
    bool mounted, responding;
    struct svc_modes modes;
    struct cli_counters counters;
};

/**
 * svc_volume_start() - INIT, then mount
 * @api: the loaded DLL's functions (abi/winfsp.h), for the life of the volume
 *
 * Return: STATUS_SUCCESS; STATUS_OBJECT_NAME_COLLISION when the mount point is taken,
 *   STATUS_DEVICE_NOT_CONNECTED when the host does not answer, what WinFsp said otherwise. On failure nothing is left,
 *   but after STATUS_IO_TIMEOUT the transport, as svc_volume_stop() says.
 */
NTSTATUS svc_volume_start(struct svc_volume **out, const struct winfsp_api *api,
                          struct cli_transport *transport,
                          const struct svc_volume_options *options);

/**
 * svc_volume_stop() - unmount, end the session, free
 *
 * Return: true; false when the host still has requests after the client's patience. Then what those requests may
 *   come back to stays for good: the session, the volume's own memory, and the caller leaves the transport. The
 *   device may be closed: that cancels them.
 */
bool svc_volume_stop(struct svc_volume *v);

/** svc_volume_hurry() - it is about to stop: who waits for a session waits no more */
void svc_volume_hurry(struct svc_volume *v);

/** svc_volume_recover() - the session is gone (new epoch, device back): INIT again under the same mount */
NTSTATUS svc_volume_recover(struct svc_volume *v);

/** svc_volume_tick() - once a second, from a thread of service/win: stall detection, FORGETs, polling */
void svc_volume_tick(struct svc_volume *v);

/** svc_volume_open_files() - handles that programs have open, directories included */
uint32_t svc_volume_open_files(struct svc_volume *v);

void svc_volume_state_get(struct svc_volume *v, struct svc_volume_state *out);

#endif
