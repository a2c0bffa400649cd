// SPDX-License-Identifier: BSD-3-Clause
/*
 * settings.c - what can be set, and by whom
 *
 * Theory of operation
 *
 *   One table names every setting, its option and its registry value; the command line (options.c) and the
 *   registry (config.c) go through the same setters, so that both accept and refuse the same. A setter
 *   checks completely before it changes anything. What it refuses, it refuses with a sentence that says
 *   what would be right; who names the option or value is the caller.
 *
 * Ownership: none; all strings are copied.   Locks: none.
 * Names of options and values: virtio-win's quick start for virtio-fs.
 */
#include "service/win/settings.h"

#include <stdarg.h>

const struct svc_setting_info svc_setting_infos[SVC_SETTINGS] = {
    [SVC_DEBUG_FLAGS] = {L"DebugFlags", L'd', SVC_TYPE_NUMBER, SVC_SCOPE_PLAIN},
    [SVC_DEBUG_LOG_FILE] = {L"DebugLogFile", L'D', SVC_TYPE_TEXT, SVC_SCOPE_PLAIN},
    [SVC_CASE_INSENSITIVE] = {L"CaseInsensitive", L'i', SVC_TYPE_FLAG,
                              SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE},
    [SVC_FILE_SYSTEM_NAME] = {L"FileSystemName", L'F', SVC_TYPE_TEXT,
                              SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE},
    [SVC_MOUNT_POINT] = {L"MountPoint", L'm', SVC_TYPE_TEXT, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE},
    [SVC_TAG] = {L"Tag", L't', SVC_TYPE_TEXT, SVC_SCOPE_PLAIN},
    [SVC_OWNER] = {L"Owner", L'o', SVC_TYPE_TEXT, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE},
    [SVC_POLL_SECONDS] = {L"PollSeconds", L'n', SVC_TYPE_NUMBER, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE},
    [SVC_OVERFLOW_UID] = {L"OverflowUid", 0, SVC_TYPE_NUMBER, SVC_SCOPE_ALWAYS},
    [SVC_OVERFLOW_GID] = {L"OverflowGid", 0, SVC_TYPE_NUMBER, SVC_SCOPE_ALWAYS},
    [SVC_READ_ONLY] = {L"ReadOnly", 0, SVC_TYPE_FLAG, SVC_SCOPE_SHARE},
    [SVC_SECURITY] = {L"Security", 0, SVC_TYPE_TEXT, SVC_SCOPE_SHARE},
    [SVC_LABEL] = {L"Label", 0, SVC_TYPE_TEXT, SVC_SCOPE_SHARE},
    [SVC_HIDE_DOT_FILES] = {L"HideDotFiles", 0, SVC_TYPE_FLAG, SVC_SCOPE_SHARE},
};

/* ---- mount points --------------------------------------------------------------------------- */

static bool is_letter(wchar_t c)
{
    return (c >= L'A' && c <= L'Z') || (c >= L'a' && c <= L'z');
}

/* The part after \\.\ or \\?\, or NULL if there is no such prefix. */
static const wchar_t *after_device_prefix(const wchar_t *p)
{
    if (p[0] == L'\\' && p[1] == L'\\' && (p[2] == L'.' || p[2] == L'?') && p[3] == L'\\')
        return p + 4;
    return NULL;
}

/* X:\name..., with something after the backslash and no character that Win32 would not create. */
static bool is_directory_path(const wchar_t *p)
{
    if (!is_letter(p[0]) || p[1] != L':' || p[2] != L'\\' || p[3] == 0 || p[3] == L'\\')
        return false;
    for (const wchar_t *c = p + 2; *c; c++)
        if (*c < 0x20 || wcschr(L"<>:\"|?*/", *c))
            return false;
    return true;
}

enum svc_mount_kind svc_mount_kind(const wchar_t *mount_point)
{
    const wchar_t *managed = after_device_prefix(mount_point);
    const wchar_t *p = managed ? managed : mount_point;

    if (wcscmp(mount_point, L"*") == 0)
        return SVC_MOUNT_ANY;
    if (is_letter(p[0]) && p[1] == L':' && (p[2] == 0 || (p[2] == L'\\' && p[3] == 0)))
        return managed ? SVC_MOUNT_MANAGED : SVC_MOUNT_LETTER;
    return is_directory_path(p) ? SVC_MOUNT_DIRECTORY : SVC_MOUNT_WRONG;
}

wchar_t svc_mount_letter(const wchar_t *mount_point)
{
    enum svc_mount_kind kind = svc_mount_kind(mount_point);

    if (kind == SVC_MOUNT_LETTER)
        return (wchar_t)(mount_point[0] & ~0x20);
    if (kind == SVC_MOUNT_MANAGED)
        return (wchar_t)(mount_point[4] & ~0x20);
    return 0;
}

wchar_t svc_free_letter(uint32_t taken)
{
    for (wchar_t letter = L'Z'; letter >= L'D'; letter--)
        if (!(taken >> (letter - L'A') & 1))
            return letter;
    return 0;
}

/* ---- setters -------------------------------------------------------------------------------- */

static bool refuse(struct svc_error *error, const wchar_t *format, ...)
{
    va_list args;

    va_start(args, format);
    if (vswprintf(error->text, SVC_ERROR_UNITS, format, args) < 0)
        error->text[SVC_ERROR_UNITS - 1] = 0; /* too long: cut off */
    va_end(args);
    return false;
}

/* Copies a text that may have 1..max units and no control characters. */
static bool set_text(wchar_t *to, size_t max, const wchar_t *text, const wchar_t *what,
                     struct svc_error *error)
{
    size_t len = wcslen(text);

    if (len == 0)
        return refuse(error, L"%ls must not be empty", what);
    if (len > max)
        return refuse(error, L"%ls has %zu characters, %zu are the most", what, len, max);
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return refuse(error, L"%ls contains a control character", what);
    wmemcpy(to, text, len + 1);
    return true;
}

/*
 * An unsigned number of 32 bits in decimal or, with base 0, in hexadecimal (0x) or octal (0). Returns what
 * follows it, NULL if there is none or if it does not fit. Not wcstoul(): that takes blanks and signs, and
 * is 32 bits wide here and 64 there.
 */
static const wchar_t *parse_u32(const wchar_t *p, int base, uint32_t *out)
{
    const wchar_t *start;
    uint64_t value = 0;

    if (base == 0) {
        base = 10;
        if (p[0] == L'0' && (p[1] == L'x' || p[1] == L'X')) {
            base = 16;
            p += 2;
        } else if (p[0] == L'0') {
            base = 8;
        }
    }
    for (start = p;; p++) {
        int digit = *p >= L'0' && *p <= L'9'   ? *p - L'0'
                    : *p >= L'a' && *p <= L'f' ? *p - L'a' + 10
                    : *p >= L'A' && *p <= L'F' ? *p - L'A' + 10
                                               : 99;

        if (digit >= base)
            break;
        value = value * (unsigned)base + (unsigned)digit;
        if (value > UINT32_MAX)
            return NULL;
    }
    *out = (uint32_t)value;
    return p == start ? NULL : p;
}

static bool set_mount_point(struct svc_settings *s, const wchar_t *text, struct svc_error *error)
{
    wchar_t copy[SVC_MOUNT_UNITS + 1] = L"";
    size_t len;

    if (!set_text(copy, SVC_MOUNT_UNITS, text, L"a mount point", error))
        return false;
    if (copy[0] == L'\\' && copy[1] == L'\\' && !after_device_prefix(copy))
        return refuse(error,
                      L"'%ls' is a network path; a share is mounted on a drive letter or a "
                      L"local directory",
                      copy);
    if (svc_mount_kind(copy) == SVC_MOUNT_WRONG)
        return refuse(error,
                      L"'%ls' is no mount point: use *, X:, \\\\.\\X: or the full path of a "
                      L"directory that does not exist yet",
                      copy);
    len = wcslen(copy);
    if (copy[len - 1] == L'\\')
        copy[len - 1] = 0;
    wmemcpy(s->mount_point, copy, SVC_MOUNT_UNITS + 1);
    return true;
}

static bool set_owner(struct svc_settings *s, const wchar_t *text, struct svc_error *error)
{
    uint32_t uid, gid = 0;
    const wchar_t *p = parse_u32(text, 10, &uid);

    if (p && *p == L':')
        p = parse_u32(p + 1, 10, &gid);
    else
        p = NULL;
    if (!p || *p || uid == UINT32_MAX || gid == UINT32_MAX)
        return refuse(error, L"'%.64ls' is no owner: two numbers of the host's, as in 1000:1000",
                      text);
    s->owner_uid = uid;
    s->owner_gid = gid;
    return true;
}

static bool set_text_setting(struct svc_settings *s, enum svc_setting which, const wchar_t *text,
                             struct svc_error *error)
{
    switch (which) {
    case SVC_TAG:
        return set_text(s->tag, SVC_TAG_UNITS, text, L"a tag", error);
    case SVC_FILE_SYSTEM_NAME:
        return set_text(s->file_system_name, SVC_FSNAME_UNITS, text, L"a file system name", error);
    case SVC_LABEL:
        return set_text(s->label, SVC_LABEL_UNITS, text, L"a label", error);
    case SVC_SECURITY:
        return set_text(s->security, SVC_SECURITY_UNITS, text, L"a security descriptor", error);
    case SVC_DEBUG_LOG_FILE:
        return set_text(s->debug_log_file, SVC_FILE_UNITS, text, L"a file's path", error);
    case SVC_MOUNT_POINT:
        return set_mount_point(s, text, error);
    case SVC_OWNER:
        return set_owner(s, text, error);
    default:
        return refuse(error, L"it is a number");
    }
}

/* Cannot fail for flags; `number` of the others is any. */
static bool set_number_setting(struct svc_settings *s, enum svc_setting which, uint32_t number,
                               struct svc_error *error)
{
    switch (which) {
    case SVC_DEBUG_FLAGS:
        s->debug_flags = number;
        return true;
    case SVC_POLL_SECONDS:
        if (number > SVC_POLL_MAX)
            return refuse(error, L"%lu seconds are more than a day", (unsigned long)number);
        s->poll_seconds = number ? number : SVC_POLL_DEFAULT;
        return true;
    case SVC_OVERFLOW_UID:
        s->overflow_uid = number;
        return true;
    case SVC_OVERFLOW_GID:
        s->overflow_gid = number;
        return true;
    case SVC_CASE_INSENSITIVE:
        s->case_insensitive = number != 0;
        return true;
    case SVC_READ_ONLY:
        s->read_only = number != 0;
        return true;
    case SVC_HIDE_DOT_FILES:
        s->hide_dot_files = number != 0;
        return true;
    default:
        return refuse(error, L"it is a text, not a number");
    }
}

bool svc_settings_number(struct svc_settings *s, enum svc_setting which, uint32_t number,
                         struct svc_error *error)
{
    if (!set_number_setting(s, which, number, error))
        return false;
    s->given |= 1u << which;
    return true;
}

bool svc_settings_text(struct svc_settings *s, enum svc_setting which, const wchar_t *text,
                       struct svc_error *error)
{
    const wchar_t *end;
    uint32_t number = 0;

    if (svc_setting_infos[which].type == SVC_TYPE_TEXT) {
        if (!set_text_setting(s, which, text, error))
            return false;
        s->given |= 1u << which;
        return true;
    }
    if (which == SVC_DEBUG_FLAGS && wcscmp(text, L"-1") == 0)
        return svc_settings_number(s, which, UINT32_MAX, error);
    end = parse_u32(text, 0, &number);
    if (!end || *end)
        return refuse(error, L"'%.64ls' is no number%ls", text,
                      which == SVC_DEBUG_FLAGS ? L"; -1 logs everything" : L"");
    return svc_settings_number(s, which, number, error);
}

/* ---- overlay -------------------------------------------------------------------------------- */

#define TAKE(which, field)                                                                         \
    do {                                                                                           \
        if (svc_has(over, which))                                                                  \
            s->field = over->field;                                                                \
    } while (0)
#define TAKE_TEXT(which, field)                                                                    \
    do {                                                                                           \
        if (svc_has(over, which))                                                                  \
            wmemcpy(s->field, over->field, sizeof(s->field) / sizeof(wchar_t));                    \
    } while (0)

void svc_settings_overlay(struct svc_settings *s, const struct svc_settings *over)
{
    TAKE(SVC_DEBUG_FLAGS, debug_flags);
    TAKE(SVC_POLL_SECONDS, poll_seconds);
    TAKE(SVC_OWNER, owner_uid);
    TAKE(SVC_OWNER, owner_gid);
    TAKE(SVC_OVERFLOW_UID, overflow_uid);
    TAKE(SVC_OVERFLOW_GID, overflow_gid);
    TAKE(SVC_CASE_INSENSITIVE, case_insensitive);
    TAKE(SVC_READ_ONLY, read_only);
    TAKE(SVC_HIDE_DOT_FILES, hide_dot_files);
    TAKE_TEXT(SVC_TAG, tag);
    TAKE_TEXT(SVC_FILE_SYSTEM_NAME, file_system_name);
    TAKE_TEXT(SVC_LABEL, label);
    TAKE_TEXT(SVC_MOUNT_POINT, mount_point);
    TAKE_TEXT(SVC_DEBUG_LOG_FILE, debug_log_file);
    TAKE_TEXT(SVC_SECURITY, security);
    s->given |= over->given;
}
