// SPDX-License-Identifier: BSD-3-Clause
/*
 * shares.c - all shares of one process: which device is mounted where
 *
 * Theory of operation
 *
 *   One thread, the supervisor, compares the devices that are there with the shares it has: a new device
 *   gets a share (share.c), a share without a device is told to finish. It is woken by Windows' word about
 *   a device, by a share that has ended, and by the process. While anything is mounted it also wakes once a
 *   second, for svc_volume_tick() of each; otherwise nothing runs here.
 *
 *   New shares are started one after the other, each once the one before knows its place, so that letters
 *   follow the order of the devices. A device that does not answer gets half a second for that.
 *
 * Ownership: the supervisor owns the table of shares and frees those that have ended.
 * Locks: svc_shares.lock guards what struct svc_shares says; the supervisor is the only one to change the
 *   table, so it reads it without. Order: lock is a leaf.
 */
#include "service/win/shares_int.h"

#include <stdlib.h>

#include "service/win/shares_key.h"
#include "service/win/text.h"

#define TICK_MS     1000u
#define PLACE_MS    500u
#define SETTINGS_MS 200u /* after a change in the registry: more may follow at once */

/* ---- finding -------------------------------------------------------------------------------- */

static bool is_listed(const struct svc_device_list *list, const wchar_t *path)
{
    for (unsigned i = 0; i < list->count; i++)
        if (_wcsicmp(list->path[i], path) == 0)
            return true;
    return false;
}

static bool is_known(const struct svc_shares *s, const wchar_t *path)
{
    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++)
        if (s->share[i] && _wcsicmp(s->share[i]->status.device, path) == 0)
            return true;
    return false;
}

static void add(struct svc_shares *s, const wchar_t *path, bool first_scan)
{
    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++) {
        if (s->share[i])
            continue;
        if (first_scan) {
            AcquireSRWLockExclusive(&s->lock);
            s->untried++;
            ReleaseSRWLockExclusive(&s->lock);
        }
        s->share[i] = share_start(s, i, path, first_scan);
        if (s->share[i])
            WaitForSingleObject(s->share[i]->placed, PLACE_MS);
        else
            svc_say(s->env.log, SVC_LOG_ERROR, L"a device is not served: memory is short");
        return;
    }
}

static void say_nothing_there(struct svc_shares *s)
{
    struct svc_settings set;

    svc_config_process(s->env.config, &set);
    s->told_nothing_there = true;
    if (svc_has(&set, SVC_TAG))
        svc_say(s->env.log, SVC_LOG_WARNING,
                L"no virtio-fs device is there, so none with the tag '%ls'; waiting for it. "
                L"\"virtiofs.exe check\" says whether the driver is missing",
                set.tag);
    else
        svc_say(s->env.log, SVC_LOG_WARNING,
                L"no virtio-fs device is there; waiting for one. \"virtiofs.exe check\" says "
                L"whether the driver is missing");
}

/* One of the devices there has the tag that is asked for, or none is asked for. */
static void look_for_tag(struct svc_shares *s)
{
    wchar_t tags[512] = L"";
    struct svc_settings set;

    svc_config_process(s->env.config, &set);
    if (!svc_has(&set, SVC_TAG))
        return;
    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++) {
        const struct share *share = s->share[i];

        if (!share)
            continue;
        if (wcscmp(share->status.tag, set.tag) == 0)
            return;
        if (share->status.tag[0] && wcslen(tags) + wcslen(share->status.tag) + 8 < ARRAYSIZE(tags))
            svc_format(tags + wcslen(tags), ARRAYSIZE(tags) - wcslen(tags), L"%ls'%ls'",
                       tags[0] ? L", " : L"", share->status.tag);
    }
    AcquireSRWLockExclusive(&s->lock);
    s->error = ERROR_FILE_NOT_FOUND;
    ReleaseSRWLockExclusive(&s->lock);
    svc_say(s->env.log, SVC_LOG_WARNING,
            L"no virtio-fs device has the tag '%ls'; waiting for it. There are: %ls", set.tag,
            tags[0] ? tags : L"devices that cannot be asked");
}

static void scan(struct svc_shares *s, bool first)
{
    struct svc_device_list list;
    DWORD error = svc_devices_list(&list);
    unsigned added = 0;

    if (error) {
        svc_say(s->env.log, SVC_LOG_ERROR, L"the devices cannot be listed (error %lu)", error);
        return;
    }
    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++)
        if (s->share[i] && !is_listed(&list, s->share[i]->status.device))
            share_ask(s->share[i], SHARE_FINISH);
    for (unsigned i = 0; i < list.count; i++)
        if (!is_known(s, list.path[i])) {
            add(s, list.path[i], first);
            added++;
        }
    if (list.count == 0 && !s->told_nothing_there)
        say_nothing_there(s);
    if (added > 0)
        look_for_tag(s);
    svc_devices_free(&list);
}

/* ---- the supervisor ------------------------------------------------------------------------- */

static void ask_all(struct svc_shares *s, LONG what)
{
    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++)
        if (s->share[i])
            share_ask(s->share[i], what);
}

/* Frees shares that have ended. Return: how many are left. */
static unsigned reap(struct svc_shares *s)
{
    unsigned left = 0;
    bool ended = false;

    for (unsigned i = 0; i < SVC_MAX_DEVICES; i++) {
        struct share *share = s->share[i];

        if (!share)
            continue;
        if (!InterlockedCompareExchange(&share->finished, 0, 0)) {
            left++;
            continue;
        }
        WaitForSingleObject(share->thread, INFINITE);
        s->share[i] = NULL;
        share_free(share);
        ended = true;
    }
    if (ended) {
        InterlockedExchange(&s->rescan, 1); /* the device may have come back meanwhile */
        ask_all(s, SHARE_TRY);              /* what it had may be what another waits for */
    }
    return left;
}

static void first_scan(struct svc_shares *s)
{
    scan(s, true);
    AcquireSRWLockExclusive(&s->lock);
    if (--s->untried == 0)
        SetEvent(s->settled);
    ReleaseSRWLockExclusive(&s->lock);
}

/*
 * Wait for anything to do, at most @ms. Return: true once after what is kept for shares has changed and a
 * moment has passed.
 */
static bool wait_for_work(struct svc_shares *s, DWORD ms)
{
    HANDLE events[2] = {s->wake};

    if (!s->settings_watch) {
        WaitForSingleObject(s->wake, ms);
        return false;
    }
    events[1] = svc_shares_watch_event(s->settings_watch);
    if (WaitForMultipleObjects(2, events, FALSE, ms) != WAIT_OBJECT_0 + 1)
        return false;
    Sleep(SETTINGS_MS);
    svc_shares_watch_arm(s->settings_watch);
    return true;
}

static DWORD WINAPI supervisor(void *arg)
{
    struct svc_shares *s = arg;
    uint64_t ticked = 0;
    bool told = false;

    s->settings_watch = svc_shares_watch_open();
    first_scan(s);
    for (;;) {
        bool mounted = InterlockedCompareExchange(&s->mounted, 0, 0) > 0;
        bool changed = wait_for_work(s, mounted ? TICK_MS : INFINITE);
        unsigned left = reap(s);

        if (InterlockedCompareExchange(&s->stopping, 0, 0)) {
            if (left == 0)
                break;
            if (!told)
                ask_all(s, SHARE_FINISH);
            told = true;
        } else {
            if (InterlockedExchange(&s->rescan, 0))
                scan(s, false);
            if (InterlockedExchange(&s->resumed, 0))
                ask_all(s, SHARE_LOOK | SHARE_TRY);
            if (changed)
                ask_all(s, SHARE_SETTINGS);
            if (InterlockedExchange(&s->freed, 0))
                ask_all(s, SHARE_TRY);
        }
        if (mounted && GetTickCount64() - ticked >= TICK_MS * 9 / 10) {
            ticked = GetTickCount64();
            for (unsigned i = 0; i < SVC_MAX_DEVICES; i++)
                if (s->share[i])
                    share_tick(s->share[i]);
        }
    }
    svc_shares_watch_close(s->settings_watch);
    return 0;
}

static void on_change(void *user)
{
    struct svc_shares *s = user;

    InterlockedExchange(&s->rescan, 1);
    SetEvent(s->wake);
}

/* ---- for the process ------------------------------------------------------------------------ */

static void destroy(struct svc_shares *s)
{
    svc_watch_close(s->watch);
    if (s->thread)
        CloseHandle(s->thread);
    if (s->wake)
        CloseHandle(s->wake);
    if (s->settled)
        CloseHandle(s->settled);
    free(s);
}

struct svc_shares *svc_shares_start(const struct svc_shares_env *env)
{
    struct svc_shares *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->env = *env;
    s->untried = 1; /* the scan itself */
    s->error = ERROR_FILE_NOT_FOUND;
    s->wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    s->settled = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (s->wake && s->settled) {
        s->watch = svc_watch_open(on_change, s);
        if (!s->watch)
            svc_say(env->log, SVC_LOG_WARNING,
                    L"Windows does not tell of new devices; those that come later are not seen");
        s->thread = CreateThread(NULL, 0, supervisor, s, 0, NULL);
    }
    if (s->thread)
        return s;
    destroy(s);
    return NULL;
}

void svc_shares_settle(struct svc_shares *s, DWORD ms)
{
    WaitForSingleObject(s->settled, ms);
}

void svc_shares_resumed(struct svc_shares *s)
{
    InterlockedExchange(&s->resumed, 1);
    SetEvent(s->wake);
}

bool svc_shares_stop(struct svc_shares *s, DWORD ms, void (*waiting)(void *user), void *user)
{
    uint64_t end = GetTickCount64() + ms;

    InterlockedExchange(&s->stopping, 1);
    SetEvent(s->wake);
    while (WaitForSingleObject(s->thread, TICK_MS) == WAIT_TIMEOUT) {
        if (waiting)
            waiting(user);
        if (GetTickCount64() >= end) {
            svc_say(s->env.log, SVC_LOG_WARNING,
                    L"a share does not let go of its device; the process ends nevertheless");
            return false;
        }
    }
    destroy(s);
    return true;
}

DWORD svc_shares_error(struct svc_shares *s)
{
    DWORD error;

    AcquireSRWLockExclusive(&s->lock);
    error = s->ever_mounted ? ERROR_SUCCESS : s->error;
    ReleaseSRWLockExclusive(&s->lock);
    return error;
}
