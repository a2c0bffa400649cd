// SPDX-License-Identifier: BSD-3-Clause
/*
 * shares_int.h - one share and all shares, as shares.c and share.c see them
 */
#ifndef VIOFS_SERVICE_SHARES_INT_H
#define VIOFS_SERVICE_SHARES_INT_H

#include "service/win/device_io.h"
#include "service/win/devices.h"
#include "service/win/shares.h"
#include "service/win/transport.h"
#include "service/win/watch.h"
#include "service/winfsp/volume.h"

/* What a share's thread is asked to do; bits of share.asked. */
enum share_ask {
    SHARE_TRY = 1,        /* mount if not mounted, now */
    SHARE_FINISH = 2,     /* unmount and end: device gone, or process stops */
    SHARE_LEAVE = 4,      /* unmount and close, the device is to be removed */
    SHARE_STAYED = 8,     /* it was not removed after all */
    SHARE_LOOK = 16,      /* is the session still there? */
    SHARE_STOPPED = 32,   /* the volume ended by itself */
    SHARE_STALLED = 64,   /* the host does not answer */
    SHARE_ANSWERS = 128,  /* it does again */
    SHARE_LOST = 256,     /* the session is gone */
    SHARE_SETTINGS = 512, /* what is kept for shares has changed */
    SHARE_MODES = 1024,   /* what is in force of the settings has changed */
};

struct svc_shares {
    struct svc_shares_env env;
    struct svc_watch *watch;
    HANDLE wake; /* auto-reset: `rescan`, `stopping`, or a share's end */
    HANDLE thread;
    HANDLE settled;                          /* manual-reset */
    struct svc_shares_watch *settings_watch; /* or NULL; the supervisor's */
    volatile LONG rescan;
    volatile LONG stopping;
    volatile LONG resumed;
    volatile LONG freed;     /* a share gave up its place, which another may wait for */
    volatile LONG mounted;   /* volumes that want svc_volume_tick() */
    bool told_nothing_there; /* the supervisor's */

    SRWLOCK lock; /* guards the rest, and the fields of shares that say so */
    struct share *share[SVC_MAX_DEVICES];
    /* device that got the process-wide mount point, "" if none */
    wchar_t process_mount_owner[SVC_DEVICE_UNITS + 1];
    wchar_t tag_owner[SVC_DEVICE_UNITS + 1]; /* device that the selected tag belongs to, likewise */
    uint32_t letters_taken;                  /* by our shares, mounted or to be; bit 0 is A: */
    unsigned untried; /* shares of the first scan that have not been tried, and the scan */
    bool ever_mounted;
    DWORD error; /* why the last try failed */
};

/*
 * Owned by its thread from share_start() on; freed by the supervisor when the thread has ended. Fields
 * without a word are the thread's.
 */
struct share {
    struct svc_shares *all;
    unsigned slot;
    HANDLE thread;
    HANDLE wake;            /* auto-reset: something was asked */
    HANDLE left;            /* manual-reset: the device's handle is closed */
    HANDLE placed;          /* manual-reset: the first try got as far as share_place() or failed */
    volatile LONG asked;    /* enum share_ask */
    volatile LONG finished; /* the thread is about to end */
    bool counted_untried;   /* under all->lock */
    wchar_t letter;         /* that is reserved for it, 0: none; under all->lock */
    bool letter_chosen;     /* by us and not by a setting; likewise */

    struct dev_io *device;
    struct svc_watch_handle *handle_watch;
    struct cli_transport *transport;
    uint64_t epoch;      /* of the session */
    SRWLOCK volume_lock; /* held by whoever calls svc_volume_tick() or changes `volume` */
    struct svc_volume *volume;

    struct svc_device_facts facts;
    struct svc_settings settings; /* as it is mounted */
    struct svc_settings wanted;   /* the same as they were read, before a letter was chosen */
    bool is_selected;             /* the options name it: nothing else will be mounted instead */
    struct svc_share_status status;
    unsigned failures; /* in a row */
    wchar_t last_message[256];
};

/** share_tick() - the supervisor, once a second */
void share_tick(struct share *s);

/** share_start() - a thread for a device. Return: NULL when memory is short. @path: of its interface */
struct share *share_start(struct svc_shares *all, unsigned slot, const wchar_t *path,
                          bool first_scan);

/** share_ask() - any thread */
void share_ask(struct share *s, LONG what);

/** share_free() - after its thread has ended */
void share_free(struct share *s);

/* ---- place.c: where a share goes ---- */

/**
 * share_place() - settings and mount point of a share, with what others have taken in mind
 *
 * Return: true: `settings.mount_point` is where to mount, or "*" when no letter is left to choose. false:
 *   this process does not serve it, status.message says why.
 */
bool share_place(struct share *s);

/**
 * share_place_still_good() - of a mounted share: do its settings, read again, want nothing else?
 *
 * status.settings follows, if so. A mount point that was only now given, and is where the share is, wants nothing.
 */
bool share_place_still_good(struct share *s);

/** share_place_taken() - the letter that share_place() chose is taken after all. Return: false if it was not chosen here. */
bool share_place_taken(struct share *s);

/**
 * share_place_clear() - the directory to mount on is there, though it should not: remove it if it is empty
 *
 * Such a directory is made for as long as a share is mounted, and stays behind when the machine loses its power.
 * Return: false when it cannot be what was left behind.
 */
bool share_place_clear(const struct share *s);

/** share_place_release() - the share is gone: what it had may go to others */
void share_place_release(struct share *s);

#endif
