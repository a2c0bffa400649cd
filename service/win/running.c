// SPDX-License-Identifier: BSD-3-Clause
/*
 * running.c - what running processes say of their shares, for `list` and for each other
 *
 * Theory of operation
 *
 *   Each process keeps a volatile key HKLM\Software\virtiofs\Running\<pid>, with a key for each share. It
 *   is written when something changes, so nothing runs when nothing happens; it goes with the process, or,
 *   if that dies, with the next boot at the latest. Everyone can read it, only administrators can write,
 *   who are the only ones that can open the device. `list` needs no answer from the process, which may hang.
 *
 *   A key whose process has gone is told by the process id: there is none, or one that started at another
 *   time.
 *
 * Ownership: a svc_running owns its key.   Locks: none; the registry's.
 */
#include "service/win/running.h"

#include <stdlib.h>

#include "service/win/registry.h"
#include "service/win/text.h"

#define RUNNING_KEY SVC_REGISTRY_KEY L"\\Running"

const wchar_t *const svc_share_state_names[SVC_SHARE_STATES] = {
    L"waiting", L"mounted",    L"not responding", L"session lost",
    L"failed",  L"not served", L"leaving",
};

struct svc_running {
    HKEY key;
    wchar_t path[64];
};

static uint64_t start_time(HANDLE process)
{
    FILETIME created, ended, kernel, user;

    if (!GetProcessTimes(process, &created, &ended, &kernel, &user))
        return 0;
    return (uint64_t)created.dwHighDateTime << 32 | created.dwLowDateTime;
}

static void set_text(HKEY key, const wchar_t *name, const wchar_t *text)
{
    RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)text,
                   (DWORD)((wcslen(text) + 1) * sizeof(wchar_t)));
}

static void set_number(HKEY key, const wchar_t *name, DWORD number)
{
    RegSetValueExW(key, name, 0, REG_DWORD, (const BYTE *)&number, sizeof(number));
}

static void get_text(HKEY key, const wchar_t *name, wchar_t *to, DWORD bytes)
{
    if (RegGetValueW(key, NULL, name, RRF_RT_REG_SZ, NULL, to, &bytes) != ERROR_SUCCESS)
        to[0] = 0;
}

static DWORD get_number(HKEY key, const wchar_t *name)
{
    DWORD number = 0, size = sizeof(number);

    RegGetValueW(key, NULL, name, RRF_RT_REG_DWORD, NULL, &number, &size);
    return number;
}

static bool next_key(HKEY key, DWORD index, wchar_t *name, DWORD units)
{
    return RegEnumKeyExW(key, index, name, &units, NULL, NULL, NULL, NULL) == ERROR_SUCCESS;
}

static bool is_alive(DWORD pid, uint64_t started)
{
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid);
    bool alive;

    if (!process)
        return GetLastError() == ERROR_ACCESS_DENIED; /* another user's */
    alive = WaitForSingleObject(process, 0) == WAIT_TIMEOUT && start_time(process) == started;
    CloseHandle(process);
    return alive;
}

/* Does the process live that wrote the key of this name? */
static bool writer_is_alive(HKEY all, const wchar_t *name)
{
    uint64_t started = 0;
    DWORD size = sizeof(started);

    RegGetValueW(all, name, L"Started", RRF_RT_REG_QWORD, NULL, &started, &size);
    return is_alive(wcstoul(name, NULL, 10), started);
}

/* ---- telling -------------------------------------------------------------------------------- */

/* Remove what processes left that were ended. */
static void clean_up(void)
{
    wchar_t name[16];
    HKEY all;

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, RUNNING_KEY, 0, KEY_ALL_ACCESS, &all) != ERROR_SUCCESS)
        return;
    for (DWORD i = 0; next_key(all, i, name, ARRAYSIZE(name));)
        if (writer_is_alive(all, name) || RegDeleteTreeW(all, name) != ERROR_SUCCESS)
            i++;
    RegCloseKey(all);
}

struct svc_running *svc_running_open(bool service)
{
    struct svc_running *r = calloc(1, sizeof(*r));
    wchar_t program[MAX_PATH];
    uint64_t started = start_time(GetCurrentProcess());
    HKEY base;

    if (!r)
        return NULL;
    /* The key above must not become volatile with ours: settings will be put there. */
    if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, SVC_REGISTRY_KEY, 0, NULL, REG_OPTION_NON_VOLATILE,
                        KEY_CREATE_SUB_KEY, NULL, &base, NULL) == ERROR_SUCCESS)
        RegCloseKey(base);
    clean_up();
    svc_format(r->path, ARRAYSIZE(r->path), RUNNING_KEY L"\\%lu", GetCurrentProcessId());
    if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, r->path, 0, NULL, REG_OPTION_VOLATILE, KEY_ALL_ACCESS,
                        NULL, &r->key, NULL) != ERROR_SUCCESS) {
        free(r);
        return NULL;
    }
    if (GetModuleFileNameW(NULL, program, ARRAYSIZE(program)) < ARRAYSIZE(program))
        set_text(r->key, L"Program", program);
    set_text(r->key, L"Version", L"" VIOFS_VERSION);
    set_number(r->key, L"Service", service);
    RegSetValueExW(r->key, L"Started", 0, REG_QWORD, (const BYTE *)&started, sizeof(started));
    return r;
}

void svc_running_close(struct svc_running *r)
{
    if (!r)
        return;
    RegCloseKey(r->key);
    RegDeleteTreeW(HKEY_LOCAL_MACHINE, r->path);
    free(r);
}

void svc_running_tell(struct svc_running *r, unsigned slot, const struct svc_share_status *status)
{
    wchar_t name[16];
    HKEY key;

    if (!r)
        return;
    svc_format(name, ARRAYSIZE(name), L"%u", slot);
    if (!status) {
        RegDeleteKeyW(r->key, name);
        return;
    }
    if (RegCreateKeyExW(r->key, name, 0, NULL, REG_OPTION_VOLATILE, KEY_SET_VALUE, NULL, &key,
                        NULL) != ERROR_SUCCESS)
        return;
    set_text(key, L"Tag", status->tag);
    set_text(key, L"MountPoint", status->mount_point);
    set_text(key, L"Message", status->message);
    set_text(key, L"Modes", status->modes);
    set_text(key, L"Device", status->device);
    set_number(key, L"Closed", status->closed);
    set_number(key, L"State", status->state);
    set_number(key, L"Settings", status->settings); /* the last: who waits for it finds the rest */
    RegCloseKey(key);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void read_process(HKEY key, const wchar_t *name, struct svc_process_status *out)
{
    *out = (struct svc_process_status){.pid = wcstoul(name, NULL, 10)};
    get_text(key, L"Program", out->program, sizeof(out->program));
    get_text(key, L"Version", out->version, sizeof(out->version));
    out->service = get_number(key, L"Service");
}

static bool read_share(HKEY process, const wchar_t *name, struct svc_share_status *out)
{
    DWORD state;
    HKEY key;

    if (RegOpenKeyExW(process, name, 0, KEY_READ, &key) != ERROR_SUCCESS)
        return false;
    *out = (struct svc_share_status){0};
    state = get_number(key, L"State");
    out->state = state < SVC_SHARE_STATES ? (enum svc_share_state)state : SVC_SHARE_WAITING;
    out->settings = get_number(key, L"Settings");
    out->closed = get_number(key, L"Closed");
    get_text(key, L"Tag", out->tag, sizeof(out->tag));
    get_text(key, L"MountPoint", out->mount_point, sizeof(out->mount_point));
    get_text(key, L"Message", out->message, sizeof(out->message));
    get_text(key, L"Modes", out->modes, sizeof(out->modes));
    get_text(key, L"Device", out->device, sizeof(out->device));
    RegCloseKey(key);
    return true;
}

typedef bool (*each_share)(void *user, const struct svc_process_status *process,
                           const struct svc_share_status *share);

static bool each_of_process(HKEY key, const struct svc_process_status *process, each_share each,
                            void *user)
{
    struct svc_share_status share;
    wchar_t name[16];
    bool any = false;

    for (DWORD i = 0; next_key(key, i, name, ARRAYSIZE(name)); i++) {
        if (!read_share(key, name, &share))
            continue;
        any = true;
        if (!each(user, process, &share))
            return false;
    }
    return any || each(user, process, NULL);
}

void svc_running_each(each_share each, void *user)
{
    struct svc_process_status process;
    wchar_t name[16];
    bool go_on = true;
    HKEY all, key;

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, RUNNING_KEY, 0, KEY_READ, &all) != ERROR_SUCCESS)
        return;
    for (DWORD i = 0; go_on && next_key(all, i, name, ARRAYSIZE(name)); i++) {
        if (!writer_is_alive(all, name) ||
            RegOpenKeyExW(all, name, 0, KEY_READ, &key) != ERROR_SUCCESS)
            continue;
        read_process(key, name, &process);
        go_on = each_of_process(key, &process, each, user);
        RegCloseKey(key);
    }
    RegCloseKey(all);
}

struct owner_search {
    const wchar_t *tag;
    struct svc_process_status *process;
    struct svc_share_status *share;
    bool found;
};

static bool is_owner(void *user, const struct svc_process_status *process,
                     const struct svc_share_status *share)
{
    struct owner_search *s = user;

    if (!share || process->pid == GetCurrentProcessId() || wcscmp(share->tag, s->tag) != 0 ||
        (share->state != SVC_SHARE_MOUNTED && share->state != SVC_SHARE_STALLED &&
         share->state != SVC_SHARE_LOST))
        return true;
    *s->process = *process;
    *s->share = *share;
    s->found = true;
    return false;
}

bool svc_running_owner(const wchar_t *tag, struct svc_process_status *process,
                       struct svc_share_status *share)
{
    struct owner_search s = {tag, process, share, false};

    svc_running_each(is_owner, &s);
    return s.found;
}
