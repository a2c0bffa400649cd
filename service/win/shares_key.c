// SPDX-License-Identifier: BSD-3-Clause
/*
 * shares_key.c - HKLM\Software\virtiofs\Shares: what is kept for each share
 *
 * Theory of operation
 *
 *   A share's settings are values of one key, and the registry writes one value at a time. A change is first written
 *   to a key of its own, Changing\<tag>, and counts from the moment when that key gets its value Ready. Only
 *   then is Shares\<tag> changed, and Changing\<tag> removed. Whoever takes the lock next finishes a change that was
 *   ready, and throws away one that was not: a process may be killed between any two steps, and the machine
 *   may lose its power.
 *
 *   The lock is a mutex of administrators; Windows gives it to the next one when its holder dies. An ordinary user
 *   could make one of its name first, and hold it: then changes are refused (ERROR_BUSY), and a service that only
 *   reads goes on after a moment.
 *
 *   Services hear of a change from the registry itself, so it makes no difference who has made it.
 *
 * Ownership: keys are open only while they are used, but for the one that is watched.
 * Locks: the mutex, between processes; none within one.
 */
#include "service/win/shares_key.h"

#include <stdlib.h>
#include <wchar.h>

#include <sddl.h>

#include "service/win/registry.h"
#include "service/win/text.h"

#define SHARES_KEY   SVC_REGISTRY_KEY L"\\Shares"
#define CHANGING_KEY SVC_REGISTRY_KEY L"\\Changing"
#define READY        L"Ready"
#define MUTEX_NAME   L"Global\\virtiofs.exe shares"
#define ADMINS_ONLY  L"D:P(A;;GA;;;SY)(A;;GA;;;BA)"

/* ---- keys ----------------------------------------------------------------------------------- */

static DWORD create_below(const wchar_t *parent, const wchar_t *tag, HKEY *out)
{
    wchar_t path[256];

    svc_format(path, ARRAYSIZE(path), L"%ls\\%ls", parent, tag);
    return (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, REG_OPTION_NON_VOLATILE,
                                  KEY_READ | KEY_WRITE, NULL, out, NULL);
}

static DWORD delete_below(const wchar_t *parent, const wchar_t *tag)
{
    wchar_t path[256];

    svc_format(path, ARRAYSIZE(path), L"%ls\\%ls", parent, tag);
    return (DWORD)RegDeleteTreeW(HKEY_LOCAL_MACHINE, path);
}

static bool is_setting(unsigned i)
{
    return svc_setting_infos[i].scope & SVC_SCOPE_SHARE;
}

static DWORD write_value(HKEY key, const wchar_t *name, const struct svc_value *v)
{
    if (v->kind == SVC_VALUE_NUMBER)
        return (DWORD)RegSetValueExW(key, name, 0, REG_DWORD, (const BYTE *)&v->number,
                                     sizeof(v->number));
    return (DWORD)RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)v->text,
                                 (DWORD)((wcslen(v->text) + 1) * sizeof(wchar_t)));
}

/* ---- changes -------------------------------------------------------------------------------- */

/* One value as it is in @from; one that is not there goes. */
static DWORD copy_value(HKEY from, HKEY to, const wchar_t *name)
{
    BYTE data[sizeof(wchar_t) * (SVC_SECURITY_UNITS + 1)];
    DWORD type, size = sizeof(data);
    LSTATUS error = RegQueryValueExW(from, name, NULL, &type, data, &size);

    if (error == ERROR_SUCCESS)
        return (DWORD)RegSetValueExW(to, name, 0, type, data, size);
    if (error != ERROR_FILE_NOT_FOUND)
        return (DWORD)error;
    error = RegDeleteValueW(to, name);
    return error == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : (DWORD)error;
}

/* A change that is ready goes where it belongs. */
static DWORD apply(const wchar_t *tag, HKEY change)
{
    HKEY share = NULL;
    DWORD error = create_below(SHARES_KEY, tag, &share);

    for (unsigned i = 0; !error && i < SVC_SETTINGS; i++)
        if (is_setting(i))
            error = copy_value(change, share, svc_setting_infos[i].name);
    if (!error)
        error = (DWORD)RegFlushKey(share); /* before the change is forgotten */
    if (share)
        RegCloseKey(share);
    return error;
}

static bool is_ready(HKEY change)
{
    return RegQueryValueExW(change, READY, NULL, NULL, NULL, NULL) == ERROR_SUCCESS;
}

/* What somebody has left who was killed. */
static void mend(void)
{
    wchar_t tag[256];
    DWORD units;
    HKEY all, change;

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, CHANGING_KEY, 0, KEY_READ, &all) != ERROR_SUCCESS)
        return;
    for (DWORD i = 0;;) {
        DWORD error = ERROR_SUCCESS;

        units = ARRAYSIZE(tag);
        if (RegEnumKeyExW(all, i, tag, &units, NULL, NULL, NULL, NULL) != ERROR_SUCCESS)
            break;
        if (RegOpenKeyExW(all, tag, 0, KEY_READ, &change) == ERROR_SUCCESS) {
            if (is_ready(change))
                error = apply(tag, change);
            RegCloseKey(change);
        }
        if (error || delete_below(CHANGING_KEY, tag) != ERROR_SUCCESS)
            i++; /* stays for the next one */
    }
    RegCloseKey(all);
}

static DWORD describe(HKEY change, const struct svc_settings *s)
{
    static const struct svc_value ready = {.kind = SVC_VALUE_NUMBER, .number = 1};
    struct svc_value value;
    DWORD error = ERROR_SUCCESS;

    for (unsigned i = 0; !error && i < SVC_SETTINGS; i++) {
        svc_settings_value(s, (enum svc_setting)i, &value);
        if (is_setting(i) && value.kind != SVC_VALUE_ABSENT)
            error = write_value(change, svc_setting_infos[i].name, &value);
    }
    return error ? error : write_value(change, READY, &ready);
}

DWORD svc_shares_keep(const wchar_t *tag, const struct svc_settings *s)
{
    DWORD error;
    HKEY change;

    delete_below(CHANGING_KEY, tag);
    error = create_below(CHANGING_KEY, tag, &change);
    if (error)
        return error;
    error = describe(change, s);
    if (!error)
        error = apply(tag, change);
    RegCloseKey(change);
    delete_below(CHANGING_KEY, tag);
    return error;
}

DWORD svc_shares_forget(const wchar_t *tag)
{
    return delete_below(SHARES_KEY, tag);
}

DWORD svc_shares_may_write(void)
{
    HKEY key;
    DWORD error = (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, SHARES_KEY, 0, NULL,
                                         REG_OPTION_NON_VOLATILE, KEY_WRITE, NULL, &key, NULL);

    if (!error)
        RegCloseKey(key);
    return error;
}

/* ---- the lock ------------------------------------------------------------------------------- */

DWORD svc_shares_lock(struct svc_shares_lock *l, DWORD ms)
{
    SECURITY_ATTRIBUTES security = {.nLength = sizeof(security)};
    DWORD error = ERROR_SUCCESS;

    l->mutex = NULL;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(ADMINS_ONLY, SDDL_REVISION_1,
                                                              &security.lpSecurityDescriptor, NULL))
        return GetLastError();
    l->mutex = CreateMutexW(&security, FALSE, MUTEX_NAME);
    if (!l->mutex)
        error = GetLastError();
    LocalFree(security.lpSecurityDescriptor);
    if (error)
        return error;
    /* WAIT_ABANDONED is ours as well: mend() is for that. */
    if (WaitForSingleObject(l->mutex, ms) == WAIT_TIMEOUT) {
        CloseHandle(l->mutex);
        l->mutex = NULL;
        return ERROR_BUSY;
    }
    mend();
    return ERROR_SUCCESS;
}

void svc_shares_unlock(struct svc_shares_lock *l)
{
    if (!l->mutex)
        return;
    ReleaseMutex(l->mutex);
    CloseHandle(l->mutex);
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef bool (*each_tag)(void *user, const wchar_t *tag, bool ours, const wchar_t *mount_point);

static bool each_below(HKEY shares, bool ours, each_tag each, void *user)
{
    wchar_t tag[256], mount[SVC_MOUNT_UNITS + 1];
    DWORD units;

    for (DWORD i = 0;; i++) {
        DWORD size = sizeof(mount);

        units = ARRAYSIZE(tag);
        if (RegEnumKeyExW(shares, i, tag, &units, NULL, NULL, NULL, NULL) != ERROR_SUCCESS)
            return true;
        if (RegGetValueW(shares, tag, svc_setting_infos[SVC_MOUNT_POINT].name, RRF_RT_REG_SZ, NULL,
                         mount, &size) != ERROR_SUCCESS)
            mount[0] = 0;
        if (!each(user, tag, ours, mount))
            return false;
    }
}

void svc_shares_each(each_tag each, void *user)
{
    wchar_t path[64];
    bool go_on = true;
    HKEY shares;

    for (unsigned i = 0; i < SVC_REGISTRY_KEYS && go_on; i++) {
        svc_format(path, ARRAYSIZE(path), L"%ls\\Shares", svc_registry_paths[i]);
        if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &shares) != ERROR_SUCCESS)
            continue;
        go_on = each_below(shares, i == 0, each, user);
        RegCloseKey(shares);
    }
}

static bool add_letter(void *user, const wchar_t *tag, bool ours, const wchar_t *mount_point)
{
    wchar_t letter = svc_mount_letter(mount_point);
    uint32_t *letters = user;

    (void)tag;
    (void)ours;
    if (letter)
        *letters |= 1u << (letter - L'A');
    return true;
}

uint32_t svc_shares_letters(void)
{
    uint32_t letters = 0;

    svc_shares_each(add_letter, &letters);
    return letters;
}

/* ---- hearing of changes --------------------------------------------------------------------- */

struct svc_shares_watch {
    HKEY key;
    HANDLE changed; /* auto-reset */
};

static void close_key(struct svc_shares_watch *w)
{
    if (w->key)
        RegCloseKey(w->key);
    w->key = NULL;
}

static LSTATUS open_key(struct svc_shares_watch *w)
{
    return RegCreateKeyExW(HKEY_LOCAL_MACHINE, SHARES_KEY, 0, NULL, REG_OPTION_NON_VOLATILE,
                           KEY_NOTIFY | KEY_CREATE_SUB_KEY, NULL, &w->key, NULL);
}

struct svc_shares_watch *svc_shares_watch_open(void)
{
    struct svc_shares_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->changed = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (w->changed && open_key(w) == ERROR_SUCCESS) {
        svc_shares_watch_arm(w);
        return w;
    }
    svc_shares_watch_close(w);
    return NULL;
}

void svc_shares_watch_close(struct svc_shares_watch *w)
{
    if (!w)
        return;
    close_key(w);
    if (w->changed)
        CloseHandle(w->changed);
    free(w);
}

HANDLE svc_shares_watch_event(struct svc_shares_watch *w)
{
    return w->changed;
}

void svc_shares_watch_arm(struct svc_shares_watch *w)
{
    const DWORD what = REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET;

    /* Somebody may have deleted the key itself; then another one is watched. */
    for (unsigned tries = 0; tries < 2; tries++) {
        if (w->key &&
            RegNotifyChangeKeyValue(w->key, TRUE, what, w->changed, TRUE) == ERROR_SUCCESS)
            break;
        close_key(w);
        if (open_key(w) != ERROR_SUCCESS)
            break;
    }
}
