// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.c - the life of one share: device, session, mount, and what can happen to each
 *
 * Theory of operation
 *
 *   A share has a thread, because its steps may wait for the host: one that hangs holds up nobody else.
 *   Others only leave a word in `asked` and set the event. The thread does one thing after the other:
 *
 *     try      open the device, ask its tag, find its place, start the volume
 *     lost     the driver has a new epoch (reset, sleep), or the client says so: recover under the mount
 *     settings what is kept for shares has changed: mount again if this share is to be different
 *     stopped  the volume ended without us (WinFsp's driver went): clean up, try again
 *     leave    Windows wants to remove the device: unmount and close, so that it can
 *     finish   unmount, close, end
 *
 *   What failed is tried again after 2, 4, … 60 seconds, for as long as the device is there: a letter
 *   becomes free, another process ends, a host comes back. The log hears of a failure when it is a new one.
 *   A share that is mounted, or not ours to serve, or whose device is leaving, waits without a timeout.
 *
 *   The device is closed between tries, so that nobody is kept from it, and from its removal.
 *
 * Ownership: the thread owns everything in struct share that does not say otherwise.
 * Locks: share.volume_lock around svc_volume_tick(), so that a volume does not end under it; never held while
 *   a volume starts or stops. svc_shares.lock is taken in place.c and for the counters at the end of a try.
 */
#include "service/win/shares_int.h"

#include <stdlib.h>

#include <sddl.h>

#include "service/win/text.h"

#define RETRY_FIRST_MS   2000u
#define RETRY_MOST_MS    60000u
#define LEAVE_TIMEOUT_MS 20000u

#define NT_COLLISION      0xC0000035u
#define NT_NO_ANSWER      0xC000009Du
#define NT_SHARING        0xC0000043u
#define NT_DENIED         0xC0000022u
#define NT_NO_SUCH_DEVICE 0xC000000Eu
#define NT_TIMEOUT        0xC00000B5u

void share_ask(struct share *s, LONG what)
{
    InterlockedOr(&s->asked, what);
    SetEvent(s->wake);
}

static void tell(struct share *s, enum svc_share_state state)
{
    s->status.state = state;
    if (state == SVC_SHARE_MOUNTED)
        s->status.message[0] = 0;
    svc_running_tell(s->all->env.running, s->slot, &s->status);
}

/* ---- results of a try ----------------------------------------------------------------------- */

/* One of the first scan's shares less to wait for. */
static void count_try(struct share *s, bool mounted, DWORD error)
{
    AcquireSRWLockExclusive(&s->all->lock);
    if (mounted)
        s->all->ever_mounted = true;
    else if (error)
        s->all->error = error;
    if (s->counted_untried) {
        s->counted_untried = false;
        if (--s->all->untried == 0)
            SetEvent(s->all->settled);
    }
    ReleaseSRWLockExclusive(&s->all->lock);
}

/* A try failed. The message has gone to status.message already. */
static void failed(struct share *s, DWORD error, bool may_mend)
{
    bool news = wcscmp(s->status.message, s->last_message) != 0;

    s->failures++;
    tell(s, SVC_SHARE_FAILED);
    if (news)
        svc_say(s->all->env.log, SVC_LOG_ERROR, L"%ls%ls%lsis not mounted: %ls",
                s->status.tag[0] ? L"share '" : L"", s->status.tag,
                s->status.tag[0] ? L"' " : L"a virtio-fs device ", s->status.message);
    svc_format(s->last_message, ARRAYSIZE(s->last_message), L"%ls", s->status.message);
    count_try(s, false, error);
    /* Who may not open the device is nobody who can mount anything. */
    if (!may_mend && (s->is_selected || error == ERROR_ACCESS_DENIED) && s->all->env.give_up)
        SetEvent(s->all->env.give_up);
}

static void say(struct share *s, const wchar_t *format, ...)
{
    va_list args;

    va_start(args, format);
    svc_format_list(s->status.message, ARRAYSIZE(s->status.message), format, args);
    va_end(args);
}

/* ---- volume --------------------------------------------------------------------------------- */

static void on_log(void *user, int level, const wchar_t *text)
{
    struct share *s = user;

    svc_say(s->all->env.log, level < 0 || level > SVC_LOG_DEBUG ? SVC_LOG_DEBUG : level,
            L"share '%ls': %ls", s->status.tag, text);
}

static void on_event(void *user, enum svc_volume_event event)
{
    struct share *s = user;

    switch (event) {
    case SVC_VOLUME_STOPPED:
        share_ask(s, SHARE_STOPPED);
        break;
    case SVC_VOLUME_STALLED:
        share_ask(s, SHARE_STALLED);
        break;
    case SVC_VOLUME_RESPONDING:
        share_ask(s, SHARE_ANSWERS);
        break;
    case SVC_VOLUME_SESSION_LOST:
        share_ask(s, SHARE_LOST);
        break;
    case SVC_VOLUME_MODES:
        share_ask(s, SHARE_MODES);
        break;
    }
}

static void set_volume(struct share *s, struct svc_volume *v)
{
    AcquireSRWLockExclusive(&s->volume_lock);
    s->volume = v;
    ReleaseSRWLockExclusive(&s->volume_lock);
    if (v && InterlockedIncrement(&s->all->mounted) == 1)
        SetEvent(s->all->wake); /* the supervisor slept without a timeout */
    if (!v)
        InterlockedDecrement(&s->all->mounted);
}

void share_tick(struct share *s)
{
    AcquireSRWLockExclusive(&s->volume_lock);
    if (s->volume)
        svc_volume_tick(s->volume);
    ReleaseSRWLockExclusive(&s->volume_lock);
}

static void unmount(struct share *s)
{
    struct svc_volume *v = s->volume;

    if (!v)
        return;
    svc_volume_hurry(v); /* the ticking thread may be waiting, with the lock */
    set_volume(s, NULL);
    if (!svc_volume_stop(v)) {
        svc_say(s->all->env.log, SVC_LOG_WARNING,
                L"share '%ls': the host still has requests of it; their memory is left to them",
                s->status.tag);
        s->transport = NULL;
    }
    svc_say(s->all->env.log, SVC_LOG_INFO, L"share '%ls' is no longer mounted on %ls",
            s->status.tag, s->status.mount_point);
    s->status.mount_point[0] = 0;
    s->status.modes[0] = 0;
}

static void close_device(struct share *s)
{
    if (s->transport)
        svc_transport_free(s->transport);
    s->transport = NULL;
    dev_io_close(s->device);
    s->device = NULL;
    SetEvent(s->left);
}

static const wchar_t *given(const struct share *s, enum svc_setting which, const wchar_t *text)
{
    return svc_has(&s->settings, which) ? text : NULL;
}

static enum svc_read_only read_only_attribute(const struct svc_settings *set)
{
    if (wcscmp(set->read_only_attribute, L"mode") == 0)
        return SVC_READ_ONLY_MODE;
    return wcscmp(set->read_only_attribute, L"stored") == 0 ? SVC_READ_ONLY_STORED
                                                            : SVC_READ_ONLY_BOTH;
}

static enum svc_cache cache(const struct svc_settings *set)
{
    if (wcscmp(set->cache, L"strict") == 0)
        return SVC_CACHE_STRICT;
    return wcscmp(set->cache, L"long") == 0 ? SVC_CACHE_LONG : SVC_CACHE_AUTO;
}

static enum svc_acl acl(const struct svc_settings *set)
{
    if (wcscmp(set->acl, L"stored") == 0)
        return SVC_ACL_STORED;
    return wcscmp(set->acl, L"off") == 0 ? SVC_ACL_NONE : SVC_ACL_MODE;
}

static NTSTATUS start_volume(struct share *s)
{
    const struct svc_settings *set = &s->settings;
    bool owner = svc_has(set, SVC_OWNER);
    const struct svc_volume_options options = {
        .mount_point = set->mount_point,
        .file_system_name = given(s, SVC_FILE_SYSTEM_NAME, set->file_system_name),
        .label = given(s, SVC_LABEL, set->label),
        .security = given(s, SVC_SECURITY, set->security),
        .case_insensitive = set->case_insensitive,
        .read_only = set->read_only,
        .hide_dot_files = set->hide_dot_files,
        .mode_attributes = wcscmp(set->attributes, L"mode") == 0,
        .read_only_attribute = read_only_attribute(set),
        .no_streams = wcscmp(set->streams, L"off") == 0,
        .no_notify = wcscmp(set->change_notify, L"off") == 0,
        .cache = cache(set),
        .acl = acl(set),
        .acl_in_security = wcscmp(set->acl_name, L"security") == 0,
        .owner_uid = owner ? set->owner_uid : SVC_NO_ID,
        .owner_gid = owner ? set->owner_gid : SVC_NO_ID,
        .overflow_uid = set->overflow_uid,
        .overflow_gid = set->overflow_gid,
        .debug_flags = set->debug_flags,
        .poll_seconds = set->poll_seconds,
        .log = on_log,
        .event = on_event,
        .user = s,
    };
    struct svc_volume *v;
    NTSTATUS status;

    InterlockedAnd(&s->asked, ~(SHARE_STOPPED | SHARE_STALLED | SHARE_ANSWERS | SHARE_LOST));
    status = svc_volume_start(&v, s->all->env.api, s->transport, &options);

    if (status >= 0)
        set_volume(s, v);
    else if ((uint32_t)status == NT_TIMEOUT)
        s->transport = NULL; /* left to what it still carries */
    return status;
}

/* ---- a try ---------------------------------------------------------------------------------- */

static void say_owner(struct share *s)
{
    struct svc_process_status process = {0};
    struct svc_share_status share = {0};

    if (svc_running_owner(s->status.tag, &process, &share))
        say(s, L"%lsprocess %lu (%ls) has mounted it on %ls",
            process.service ? L"the service, " : L"", process.pid, process.program,
            share.mount_point);
    else
        say(s,
            L"another process has this device's session, and it does not say which one; only one "
            L"can have it");
}

/* What an NTSTATUS of svc_volume_start() means to the user. Return: can waiting help? */
static bool say_status(struct share *s, uint32_t status)
{
    wchar_t text[256];

    switch (status) {
    case NT_COLLISION:
        say(s, L"%ls is taken; choose another mount point", s->settings.mount_point);
        return false;
    case NT_NO_ANSWER:
    case NT_TIMEOUT:
        say(s, L"the host does not answer; is virtiofsd running there?");
        return true;
    case NT_SHARING:
        say_owner(s);
        return false;
    case NT_DENIED:
        say(s, L"mounting on %ls takes an administrator", s->settings.mount_point);
        return false;
    case NT_NO_SUCH_DEVICE:
        say(s, L"WinFsp's driver is not running; install WinFsp again, or restart the machine");
        return true;
    default:
        svc_error_text(svc_win32_error(status), text);
        say(s, L"%ls (status 0x%08lX, mount point %ls)", text, (unsigned long)status,
            s->settings.mount_point);
        return true;
    }
}

static bool on_leave(void *user)
{
    struct share *s = user;

    share_ask(s, SHARE_LEAVE);
    return WaitForSingleObject(s->left, LEAVE_TIMEOUT_MS) == WAIT_OBJECT_0;
}

static void on_stayed(void *user)
{
    share_ask(user, SHARE_STAYED);
}

static void on_gone(void *user)
{
    share_ask(user, SHARE_LEAVE);
}

static const struct svc_watch_handle_ops handle_ops = {on_leave, on_stayed, on_gone};

/* Open and ask. Return: false after failed(). */
static bool open_device(struct share *s)
{
    DWORD error = dev_io_open(&s->device, s->status.device, 0);
    wchar_t text[256];
    uint32_t status;

    if (error) {
        s->device = NULL;
        svc_error_text(error, text);
        say(s,
            error == ERROR_ACCESS_DENIED ? L"only administrators may open the device"
                                         : L"the device cannot be opened: %ls",
            text);
        failed(s, error, error != ERROR_ACCESS_DENIED);
        return false;
    }
    ResetEvent(s->left);
    status = svc_device_ask(s->device, &s->facts);
    if (status) {
        say(s, L"the driver does not say which share it is (status 0x%08lX)",
            (unsigned long)status);
        failed(s, svc_win32_error(status), true);
        return false;
    }
    if (wcscmp(s->status.tag, s->facts.tag) != 0) /* the supervisor reads it: write it once */
        svc_format(s->status.tag, ARRAYSIZE(s->status.tag), L"%ls", s->facts.tag);
    return true;
}

static void mounted(struct share *s)
{
    struct svc_volume_state state;

    svc_volume_state_get(s->volume, &state);
    svc_format(s->status.mount_point, ARRAYSIZE(s->status.mount_point), L"%ls", state.mount_point);
    svc_modes_text(&state.modes, s->status.modes);
    s->failures = 0;
    s->last_message[0] = 0;
    tell(s, SVC_SHARE_MOUNTED);
    svc_say(s->all->env.log, SVC_LOG_INFO, L"share '%ls' is mounted on %ls", s->status.tag,
            s->status.mount_point);
    count_try(s, true, 0);
}

static bool security_is_good(const struct share *s)
{
    PSECURITY_DESCRIPTOR descriptor;

    if (!svc_has(&s->settings, SVC_SECURITY))
        return true;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(s->settings.security, SDDL_REVISION_1,
                                                              &descriptor, NULL))
        return false;
    LocalFree(descriptor);
    return true;
}

/* Device open, tag known, place found. Return: false after failed(). */
/* Which session is it? Return: false when the device is not there to say. */
static bool epoch_now(const struct share *s, uint64_t *epoch)
{
    struct cli_limits limits;

    if (!s->transport || s->transport->ops->limits(s->transport, &limits) < 0)
        return false;
    *epoch = limits.epoch;
    return true;
}

static bool mount(struct share *s)
{
    uint64_t epoch;
    NTSTATUS status;
    bool may_mend;

    if (s->facts.owned) {
        say_owner(s);
        failed(s, ERROR_SHARING_VIOLATION, false);
        return false;
    }
    if (!security_is_good(s)) {
        say(s, L"its security descriptor '%.120ls' is none; see Shares\\%ls\\Security",
            s->settings.security, s->status.tag);
        failed(s, ERROR_INVALID_SECURITY_DESCR, false);
        return false;
    }
    s->transport = svc_transport_open(s->device, s->facts.ours);
    if (!s->transport) {
        say(s, L"memory is short");
        failed(s, ERROR_NOT_ENOUGH_MEMORY, true);
        return false;
    }
    do
        status = start_volume(s);
    while ((uint32_t)status == NT_COLLISION && (share_place_taken(s) || share_place_clear(s)));
    if (status < 0) {
        may_mend = say_status(s, (uint32_t)status);
        failed(s,
               (uint32_t)status == NT_COLLISION ? ERROR_ALREADY_ASSIGNED
                                                : svc_win32_error((uint32_t)status),
               may_mend);
        return false;
    }
    s->epoch = epoch_now(s, &epoch) ? epoch : 0;
    return true;
}

static void try_mount(struct share *s)
{
    bool ours = false;

    if (!open_device(s)) {
        close_device(s);
        SetEvent(s->placed);
        return;
    }
    ours = share_place(s);
    SetEvent(s->placed);
    if (!ours) {
        svc_say(s->all->env.log, SVC_LOG_DEBUG, L"share '%ls' is not served: %ls", s->status.tag,
                s->status.message);
        close_device(s);
        tell(s, SVC_SHARE_NOT_OURS);
        count_try(s, false, 0);
        return;
    }
    if (!mount(s)) {
        close_device(s);
        return;
    }
    s->handle_watch = svc_watch_handle(dev_io_handle(s->device), &handle_ops, s);
    mounted(s);
}

/* ---- what can happen to a mounted share ----------------------------------------------------- */

static void take_down(struct share *s)
{
    unmount(s);
    close_device(s);
    svc_unwatch_handle(s->handle_watch);
    s->handle_watch = NULL;
}

/* Windows waits for the handle to be closed, and may tell later that the device stays. */
static void leave(struct share *s)
{
    unmount(s);
    close_device(s);
    say(s, L"the device is being removed");
    tell(s, SVC_SHARE_LEAVING);
}

static void recover(struct share *s)
{
    uint64_t epoch;
    NTSTATUS status = svc_volume_recover(s->volume);

    if (status >= 0) {
        s->failures = 0;
        s->epoch = epoch_now(s, &epoch) ? epoch : 0;
        tell(s, SVC_SHARE_MOUNTED);
        svc_say(s->all->env.log, SVC_LOG_INFO, L"share '%ls' has its session back", s->status.tag);
        return;
    }
    if (s->failures++ == 0)
        svc_say(
            s->all->env.log, SVC_LOG_WARNING,
            L"share '%ls' lost its session (device reset, sleep, or another host process), and it "
            L"cannot be had back yet (status 0x%08lX)",
            s->status.tag, (unsigned long)status);
    say(s, L"the session was lost");
    tell(s, SVC_SHARE_LOST);
}

/* Is it still the session that was opened? */
static bool session_is_gone(struct share *s)
{
    uint64_t epoch;

    return !epoch_now(s, &epoch) || epoch != s->epoch;
}

static void answer(struct share *s, bool stalled)
{
    if (stalled) {
        say(s, L"the host does not answer; is virtiofsd still running there?");
        svc_say(s->all->env.log, SVC_LOG_WARNING, L"share '%ls' on %ls: %ls", s->status.tag,
                s->status.mount_point, s->status.message);
    } else {
        s->status.message[0] = 0;
        svc_say(s->all->env.log, SVC_LOG_INFO, L"share '%ls': the host answers again",
                s->status.tag);
    }
    tell(s, stalled ? SVC_SHARE_STALLED : SVC_SHARE_MOUNTED);
}

/* Programs that have files open lose them; that is said. */
static void mount_again(struct share *s)
{
    wchar_t was[ARRAYSIZE(s->status.mount_point)];
    uint32_t open = svc_volume_open_files(s->volume);

    svc_format(was, ARRAYSIZE(was), L"%ls", s->status.mount_point);
    svc_say(s->all->env.log, open ? SVC_LOG_WARNING : SVC_LOG_INFO,
            L"share '%ls' on %ls has new settings and is mounted again; files that were open: %u",
            s->status.tag, was, open);
    take_down(s);
    s->status.closed = open;
    s->failures = 0;
    try_mount(s);
    InterlockedExchange(&s->all->freed, 1);
    SetEvent(s->all->wake);
}

static void follow_settings(struct share *s)
{
    if (!s->volume) {
        if (s->status.state == SVC_SHARE_FAILED || s->status.state == SVC_SHARE_NOT_OURS)
            try_mount(s);
    } else if (share_place_still_good(s)) {
        s->status.closed = 0;
        svc_running_tell(s->all->env.running, s->slot, &s->status);
    } else {
        mount_again(s);
    }
}

static void modes_changed(struct share *s)
{
    struct svc_volume_state state;

    svc_volume_state_get(s->volume, &state);
    svc_modes_text(&state.modes, s->status.modes);
    svc_running_tell(s->all->env.running, s->slot, &s->status);
}

static void serve_mounted(struct share *s, LONG asked)
{
    if (asked & SHARE_MODES)
        modes_changed(s);
    if (asked & SHARE_STOPPED) {
        svc_say(s->all->env.log, SVC_LOG_ERROR,
                L"share '%ls' was unmounted by WinFsp; it will be mounted again", s->status.tag);
        take_down(s);
        s->failures = 1;
        say(s, L"WinFsp ended the volume");
        tell(s, SVC_SHARE_FAILED);
        return;
    }
    if ((asked & SHARE_LOST) || s->status.state == SVC_SHARE_LOST ||
        ((asked & SHARE_LOOK) && session_is_gone(s)))
        recover(s);
    else if (asked & (SHARE_STALLED | SHARE_ANSWERS))
        answer(s, !(asked & SHARE_ANSWERS));
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* How long to wait for a word before trying again. */
static DWORD patience(const struct share *s)
{
    DWORD ms = RETRY_FIRST_MS;

    if (s->status.state != SVC_SHARE_FAILED && s->status.state != SVC_SHARE_LOST)
        return INFINITE;
    for (unsigned i = 1; i < s->failures && ms < RETRY_MOST_MS; i++)
        ms *= 2;
    return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

/* Return: false when the share is to end. */
static bool serve(struct share *s, LONG asked, bool late)
{
    if (asked & SHARE_FINISH)
        return false;
    if (asked & SHARE_LEAVE) {
        leave(s);
        return true;
    }
    if (s->status.state == SVC_SHARE_LEAVING) {
        if (!(asked & SHARE_STAYED))
            return true;
        svc_unwatch_handle(s->handle_watch);
        s->handle_watch = NULL;
        asked |= SHARE_TRY;
    }
    if (asked & SHARE_SETTINGS)
        follow_settings(s);
    if (s->volume)
        serve_mounted(s, asked);
    else if ((asked & SHARE_TRY) || (late && s->status.state == SVC_SHARE_FAILED))
        try_mount(s);
    return true;
}

static DWORD WINAPI share_thread(void *arg)
{
    struct share *s = arg;
    bool go_on = true;

    while (go_on) {
        DWORD woken = WaitForSingleObject(s->wake, patience(s));

        go_on = serve(s, InterlockedExchange(&s->asked, 0), woken == WAIT_TIMEOUT);
    }
    take_down(s);
    share_place_release(s);
    svc_running_tell(s->all->env.running, s->slot, NULL);
    count_try(s, false, 0);
    InterlockedExchange(&s->finished, 1);
    SetEvent(s->all->wake);
    return 0;
}

struct share *share_start(struct svc_shares *all, unsigned slot, const wchar_t *path,
                          bool first_scan)
{
    struct share *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->all = all;
    s->slot = slot;
    s->counted_untried = first_scan;
    svc_format(s->status.device, ARRAYSIZE(s->status.device), L"%ls", path);
    s->asked = SHARE_TRY;
    s->wake = CreateEventW(NULL, FALSE, TRUE, NULL);
    s->left = CreateEventW(NULL, TRUE, TRUE, NULL);
    s->placed = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (s->wake && s->left && s->placed)
        s->thread = CreateThread(NULL, 0, share_thread, s, 0, NULL);
    if (s->thread)
        return s;
    share_free(s);
    return NULL;
}

void share_free(struct share *s)
{
    if (s->thread)
        CloseHandle(s->thread);
    if (s->wake)
        CloseHandle(s->wake);
    if (s->left)
        CloseHandle(s->left);
    if (s->placed)
        CloseHandle(s->placed);
    free(s);
}
