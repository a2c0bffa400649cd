// SPDX-License-Identifier: BSD-3-Clause
/*
 * running.h - what running processes say of their shares, for `list` and for each other
 */
#ifndef VIOFS_SERVICE_RUNNING_H
#define VIOFS_SERVICE_RUNNING_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

#include "service/win/devices.h"
#include "service/winfsp/modes.h"

enum svc_share_state {
    SVC_SHARE_WAITING, /* not tried yet */
    SVC_SHARE_MOUNTED,
    SVC_SHARE_STALLED,  /* mounted, but the host does not answer */
    SVC_SHARE_LOST,     /* mounted, but without a session */
    SVC_SHARE_FAILED,   /* see message; tried again now and then */
    SVC_SHARE_NOT_OURS, /* by the settings this process does not serve it */
    SVC_SHARE_LEAVING,  /* the device is being removed */
    SVC_SHARE_STATES
};

extern const wchar_t *const svc_share_state_names[SVC_SHARE_STATES];

struct svc_share_status {
    enum svc_share_state state;
    wchar_t tag[40];
    wchar_t mount_point[300];
    wchar_t message[256];
    wchar_t modes[SVC_MODES_UNITS];       /* svc_modes_text(), "" while it is not mounted */
    wchar_t device[SVC_DEVICE_UNITS + 1]; /* path of the interface */
    uint32_t
        settings; /* svc_settings_mark() of what Shares\<tag> said when it was last looked at */
    uint32_t
        closed; /* files that were open when new settings had it mounted again, the last time */
};

struct svc_process_status {
    DWORD pid;
    bool service;
    wchar_t version[32];
    wchar_t program[MAX_PATH];
};

struct svc_running;

/** svc_running_open() - start to tell. Return: NULL where this user may not; the others take NULL. */
struct svc_running *svc_running_open(bool service);
void svc_running_close(struct svc_running *r);

/** svc_running_tell() - share number @slot is like this; NULL: there is none any more. One thread a slot. */
void svc_running_tell(struct svc_running *r, unsigned slot, const struct svc_share_status *status);

/**
 * svc_running_each() - all shares of all processes that are alive
 * @each: returns false to stop; a process without shares is told once with share NULL
 */
void svc_running_each(bool (*each)(void *user, const struct svc_process_status *process,
                                   const struct svc_share_status *share),
                      void *user);

/** svc_running_owner() - who else has mounted this tag? Return: false if nobody says so. */
bool svc_running_owner(const wchar_t *tag, struct svc_process_status *process,
                       struct svc_share_status *share);

#endif
