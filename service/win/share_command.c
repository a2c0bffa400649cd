// SPDX-License-Identifier: BSD-3-Clause
/*
 * share_command.c - `virtiofs.exe share add|remove|list`: what is kept for which share
 *
 * Theory of operation
 *
 *   "add" checks everything before it writes anything: the options by themselves (options.c has done that), then
 *   the place against this machine and against what is kept for other tags. What is written is written at
 *   once or not at all (shares_key.c).
 *
 *   A service that runs hears of it from the registry and acts by itself. So that the user learns what came of it,
 *   "add" and "remove" wait until the service says that it has looked at these settings (running.c), and
 *   repeat what it says of the share.
 *
 * Ownership: everything is this command's.   Locks: svc_shares_lock() from the first check to the last write.
 */
#include "service/win/process.h"

#include <wchar.h>

#include <sddl.h>

#include "service/win/registry.h"
#include "service/win/shares_key.h"
#include "service/win/text.h"

#define LOCK_MS    5000u
#define SETTLE_MS  15000u /* for a service to mount a share again */
#define SETTLE_ASK 100u

/* ---- words ---------------------------------------------------------------------------------- */

static DWORD refuse(DWORD error, const wchar_t *format, ...)
{
    HANDLE errors = GetStdHandle(STD_ERROR_HANDLE);
    wchar_t text[1024];
    va_list args;

    va_start(args, format);
    svc_format_list(text, ARRAYSIZE(text), format, args);
    va_end(args);
    svc_write(errors, L"virtiofs: ");
    svc_write(errors, text);
    svc_write(errors, L"\r\n");
    return error;
}

static DWORD refuse_access(DWORD error)
{
    wchar_t why[256];

    if (error == ERROR_ACCESS_DENIED)
        return refuse(error, L"changing what is kept for a share takes an administrator: open the "
                             L"Command Prompt with \"Run as administrator\"");
    if (error == ERROR_BUSY)
        return refuse(error, L"another program is changing what is kept for shares; try again");
    svc_error_text(error, why);
    return refuse(error, L"HKLM\\" SVC_REGISTRY_KEY L"\\Shares cannot be written: %ls", why);
}

/* What Shares\<tag> says, as a service reads it. */
static void read_kept(const wchar_t *tag, struct svc_settings *own,
                      void (*refused)(void *user, const wchar_t *text))
{
    static struct svc_config config; /* too large for a stack */
    static struct svc_settings all;

    config = (struct svc_config){
        .sources = svc_registry_sources, .num_sources = SVC_REGISTRY_KEYS, .refused = refused};
    svc_config_share(&config, tag, &all, own);
}

/* ---- who is where --------------------------------------------------------------------------- */

struct lookup {
    const wchar_t *tag;
    const wchar_t *place; /* or NULL: any */
    bool other;           /* not `tag`, but one that is at `place` */
    bool found;
    unsigned processes;
    DWORD last_pid;
    struct svc_share_status share;
    struct svc_process_status process;
};

static bool is_it(void *user, const struct svc_process_status *process,
                  const struct svc_share_status *share)
{
    struct lookup *l = user;

    if (process->pid != l->last_pid)
        l->processes++;
    l->last_pid = process->pid;
    if (!share || (wcscmp(share->tag, l->tag) != 0) != l->other ||
        (l->place && !svc_mount_same(share->mount_point, l->place)))
        return true;
    /* A process that has it counts before one that only knows of it. */
    if (l->found && share->state == SVC_SHARE_NOT_OURS)
        return true;
    l->share = *share;
    l->process = *process;
    l->found = true;
    return true;
}

/* The share of this tag, at @place if that is not NULL. */
static bool find_share(struct lookup *l, const wchar_t *tag, const wchar_t *place, bool other)
{
    *l = (struct lookup){.tag = tag, .place = place, .other = other};
    svc_running_each(is_it, l);
    return l->found;
}

/* ---- checks --------------------------------------------------------------------------------- */

struct claim {
    const wchar_t *tag, *place;
    wchar_t owner[64]; /* another tag for which the place is kept */
};

static bool on_kept(void *user, const wchar_t *tag, bool ours, const wchar_t *mount_point)
{
    struct claim *c = user;

    (void)ours;
    if (_wcsicmp(tag, c->tag) == 0 || !mount_point[0] || !svc_mount_same(mount_point, c->place))
        return true;
    svc_format(c->owner, ARRAYSIZE(c->owner), L"%ls", tag);
    return false;
}

static DWORD check_letter(wchar_t letter)
{
    if ((GetLogicalDrives() >> (letter - L'A') & 1))
        return refuse(ERROR_ALREADY_ASSIGNED,
                      L"-m: %lc: is taken by a drive of this machine; name another letter", letter);
    return ERROR_SUCCESS;
}

/* A directory that does not exist yet, in one that does. */
static DWORD check_directory(const wchar_t *place)
{
    wchar_t parent[SVC_MOUNT_UNITS + 1];
    const wchar_t *path = svc_mount_path(place);
    DWORD attributes;

    if (GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES)
        return refuse(ERROR_ALREADY_ASSIGNED,
                      L"-m: %ls exists; name a directory that does not, it is made while the share "
                      L"is mounted",
                      place);
    svc_format(parent, ARRAYSIZE(parent), L"%ls", path);
    *(wcsrchr(parent, L'\\') + 1) = 0;
    attributes = GetFileAttributesW(parent);
    if (attributes == INVALID_FILE_ATTRIBUTES || !(attributes & FILE_ATTRIBUTE_DIRECTORY))
        return refuse(ERROR_PATH_NOT_FOUND,
                      L"-m: %ls is not there; the directory above a mount point has to exist",
                      parent);
    return ERROR_SUCCESS;
}

static DWORD check_place(const wchar_t *tag, const wchar_t *place)
{
    struct claim claim = {.tag = tag, .place = place};
    static struct lookup l;

    if (svc_mount_kind(place) == SVC_MOUNT_ANY)
        return ERROR_SUCCESS;
    svc_shares_each(on_kept, &claim);
    if (claim.owner[0])
        return refuse(
            ERROR_ALREADY_ASSIGNED,
            L"-m: %ls is kept for share '%ls'; name another place, or: virtiofs.exe share "
            L"remove \"%ls\"",
            place, claim.owner, claim.owner);
    if (find_share(&l, tag, place, true))
        return refuse(ERROR_ALREADY_ASSIGNED,
                      L"-m: share '%ls' is mounted on %ls (%lsprocess %lu); name another place",
                      l.share.tag, place, l.process.service ? L"the service, " : L"",
                      l.process.pid);
    if (find_share(&l, tag, place, false))
        return ERROR_SUCCESS; /* it is there already */
    return svc_mount_kind(place) == SVC_MOUNT_DIRECTORY ? check_directory(place)
                                                        : check_letter(svc_mount_letter(place));
}

static DWORD check_security(const struct svc_settings *s)
{
    PSECURITY_DESCRIPTOR descriptor;

    if (!svc_has(s, SVC_SECURITY))
        return ERROR_SUCCESS;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(s->security, SDDL_REVISION_1,
                                                              &descriptor, NULL))
        return refuse(ERROR_INVALID_SECURITY_DESCR,
                      L"--security: '%.120ls' is no security descriptor, as in D:P(A;;GA;;;BU)",
                      s->security);
    LocalFree(descriptor);
    return ERROR_SUCCESS;
}

struct spelling {
    const wchar_t *tag;
    wchar_t found[64];
};

static bool on_spelling(void *user, const wchar_t *tag, bool ours, const wchar_t *mount_point)
{
    struct spelling *s = user;

    (void)mount_point;
    if (!ours || _wcsicmp(tag, s->tag) != 0)
        return true;
    svc_format(s->found, ARRAYSIZE(s->found), L"%ls", tag);
    return false;
}

/* The key that a tag has, if it has one: the registry does not tell names apart that differ in case. */
static DWORD check_spelling(const wchar_t *tag, bool *kept)
{
    struct spelling s = {.tag = tag};

    svc_shares_each(on_spelling, &s);
    *kept = s.found[0] != 0;
    if (*kept && wcscmp(s.found, tag) != 0)
        return refuse(ERROR_ALREADY_EXISTS,
                      L"something is kept for '%ls', and the registry takes '%ls' for the same; "
                      L"rename one of both shares on the host",
                      s.found, tag);
    return ERROR_SUCCESS;
}

/* ---- what came of it ------------------------------------------------------------------------ */

static void print_result(const struct lookup *l)
{
    const struct svc_share_status *s = &l->share;

    switch (s->state) {
    case SVC_SHARE_MOUNTED:
    case SVC_SHARE_STALLED:
    case SVC_SHARE_LOST:
        svc_print(L"It is mounted on %ls.\r\n", s->mount_point);
        break;
    case SVC_SHARE_NOT_OURS:
        svc_print(L"Process %lu does not serve it: %ls.\r\n", l->process.pid, s->message);
        break;
    default:
        svc_print(L"It is not mounted now (%ls%ls%ls).\r\n", svc_share_state_names[s->state],
                  s->message[0] ? L": " : L"", s->message);
        break;
    }
    if (s->closed)
        svc_print(L"Files that were open on it: %u. Programs that used them have to open them "
                  L"again.\r\n",
                  s->closed);
}

/* Wait until whoever serves the share has looked at what is kept for it now. */
static void report(const wchar_t *tag)
{
    uint64_t end = GetTickCount64() + SETTLE_MS;
    static struct svc_settings own;
    static struct lookup l;
    uint32_t mark;

    read_kept(tag, &own, NULL);
    mark = svc_settings_mark(&own);
    while (find_share(&l, tag, NULL, false)) {
        if (l.share.settings == mark) {
            print_result(&l);
            return;
        }
        if (GetTickCount64() >= end) {
            svc_print(L"Process %lu, which serves it, has not said yet that it knows; virtiofs.exe "
                      L"list tells more.\r\n",
                      l.process.pid);
            return;
        }
        Sleep(SETTLE_ASK);
    }
    if (l.processes)
        svc_print(L"No device with the tag '%ls' is there now; it counts as soon as one is.\r\n",
                  tag);
    else
        svc_print(L"It counts when the service runs: sc start VirtioFsSvc\r\n");
}

/* ---- add ------------------------------------------------------------------------------------ */

static DWORD keep(const struct svc_options *o, bool *changed)
{
    static struct svc_settings own;
    wchar_t text[512], why[256];
    DWORD error;
    bool kept;

    *changed = false;
    error = check_spelling(o->tag, &kept);
    if (error)
        return error;
    read_kept(o->tag, &own, NULL);
    if (kept && svc_settings_equal(&own, &o->settings)) {
        svc_print(L"Nothing changes: this is what is kept for share '%ls'.\r\n", o->tag);
        return ERROR_SUCCESS;
    }
    svc_options_text(&own, text, ARRAYSIZE(text));
    if (kept && own.given && !o->replace)
        return refuse(ERROR_ALREADY_EXISTS,
                      L"share '%ls' has settings: %ls. With --replace they are given up for these",
                      o->tag, text);
    error = check_security(&o->settings);
    if (!error && svc_has(&o->settings, SVC_MOUNT_POINT))
        error = check_place(o->tag, o->settings.mount_point);
    if (error)
        return error;
    error = svc_shares_keep(o->tag, &o->settings);
    if (error) {
        svc_error_text(error, why);
        return refuse(error, L"the registry does not take it, and nothing has changed: %ls", why);
    }
    svc_options_text(&o->settings, text, ARRAYSIZE(text));
    svc_print(L"Share '%ls' has the settings %ls from now on.\r\n", o->tag, text);
    *changed = true;
    return ERROR_SUCCESS;
}

static DWORD forget(const struct svc_options *o, bool *changed)
{
    bool kept;
    DWORD error = check_spelling(o->tag, &kept);

    *changed = false;
    if (error)
        return error;
    error = svc_shares_forget(o->tag);
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
        return refuse(ERROR_FILE_NOT_FOUND,
                      L"nothing is kept for a share '%ls'; virtiofs.exe share list shows for which",
                      o->tag);
    if (error)
        return refuse_access(error);
    svc_print(L"Nothing is kept for share '%ls' any more.\r\n", o->tag);
    *changed = true;
    return ERROR_SUCCESS;
}

static DWORD change(const struct svc_options *o,
                    DWORD (*what)(const struct svc_options *o, bool *changed))
{
    struct svc_shares_lock lock;
    bool changed = false;
    DWORD error = svc_shares_may_write();

    if (error)
        return refuse_access(error);
    error = svc_shares_lock(&lock, LOCK_MS);
    error = error ? refuse_access(error) : what(o, &changed);
    svc_shares_unlock(&lock);
    if (changed)
        report(o->tag);
    return error;
}

/* ---- list ----------------------------------------------------------------------------------- */

#define LINE L"%-36ls  %-14ls  %-14ls  %ls\r\n"

struct listing {
    unsigned count;
    wchar_t tag[64][64]; /* that were shown */
};

static bool was_shown(const struct listing *l, const wchar_t *tag)
{
    for (unsigned i = 0; i < l->count; i++)
        if (_wcsicmp(l->tag[i], tag) == 0)
            return true;
    return false;
}

static void print_refused(void *user, const wchar_t *text)
{
    (void)user;
    svc_print(L"    %ls\r\n", text);
}

static bool list_kept(void *user, const wchar_t *tag, bool ours, const wchar_t *mount_point)
{
    static struct svc_settings own;
    struct listing *l = user;
    static struct lookup now;
    wchar_t text[512];

    (void)ours;
    (void)mount_point;
    if (l->count == ARRAYSIZE(l->tag) || was_shown(l, tag))
        return true;
    svc_format(l->tag[l->count++], ARRAYSIZE(l->tag[0]), L"%ls", tag);
    read_kept(tag, &own, NULL);
    svc_options_text(&own, text, ARRAYSIZE(text));
    find_share(&now, tag, NULL, false);
    svc_print(LINE, tag, now.found && now.share.mount_point[0] ? now.share.mount_point : L"-",
              now.found ? svc_share_state_names[now.share.state] : L"not mounted",
              text[0] ? text : L"(none)");
    if (now.found && now.share.message[0] && now.share.state != SVC_SHARE_NOT_OURS)
        svc_print(L"    %ls\r\n", now.share.message);
    if (now.found && now.share.settings != svc_settings_mark(&own))
        svc_print(L"    process %lu does not know of these settings yet\r\n", now.process.pid);
    read_kept(tag, &own, print_refused);
    return true;
}

static bool list_others(void *user, const struct svc_process_status *process,
                        const struct svc_share_status *share)
{
    struct listing *l = user;

    (void)process;
    if (share && share->tag[0] && share->state != SVC_SHARE_NOT_OURS && !was_shown(l, share->tag))
        svc_print(LINE, share->tag, share->mount_point[0] ? share->mount_point : L"-",
                  svc_share_state_names[share->state], L"(none)");
    return true;
}

static DWORD list(void)
{
    static struct listing l;
    struct svc_shares_lock lock;

    svc_shares_lock(&lock, LOCK_MS); /* an ordinary user reads without it */
    svc_print(LINE, L"TAG", L"MOUNT POINT", L"STATE", L"KEPT SETTINGS");
    svc_shares_each(list_kept, &l);
    svc_running_each(list_others, &l);
    svc_shares_unlock(&lock);
    return ERROR_SUCCESS;
}

DWORD svc_share_command_run(const struct svc_options *o)
{
    switch (o->command) {
    case SVC_SHARE_ADD:
        return change(o, keep);
    case SVC_SHARE_REMOVE:
        return change(o, forget);
    default:
        return list();
    }
}
