// SPDX-License-Identifier: BSD-3-Clause
/*
 * settings.c - what can be set, and by whom
 *
 * Theory of operation
 *
 *   One table says all about every setting. The command line (options.c) and the registry (config.c) go
 *   through the same setters, so that both accept and refuse the same. A setter
 *   checks completely before it changes anything. What it refuses, it refuses with a sentence that says
 *   what would be right; who names the option or value is the caller.
 *
 * Ownership: none; all strings are copied.   Locks: none.
 * Names of options and values: virtio-win's quick start for virtio-fs.
 */
#include "service/win/settings.h"

#include <stdarg.h>
#include <string.h>

#define AT(field)           .offset = offsetof(struct svc_settings, field)
#define TEXT(field, units_) AT(field), .units = (units_)

_Static_assert(offsetof(struct svc_settings, owner_gid) ==
                   offsetof(struct svc_settings, owner_uid) + sizeof(uint32_t),
               "an owner is two numbers side by side");

/* In the order of the help. */
const struct svc_setting_info svc_setting_infos[SVC_SETTINGS] = {
    [SVC_DEBUG_FLAGS] = {L"DebugFlags", L"-d", L"DebugFlags", L"-1: enable all debug logs",
                         SVC_TYPE_NUMBER, SVC_SCOPE_PLAIN, AT(debug_flags)},
    [SVC_DEBUG_LOG_FILE] = {L"DebugLogFile", L"-D", L"DebugLogFile", L"file path; use - for stderr",
                            SVC_TYPE_TEXT, SVC_SCOPE_PLAIN, TEXT(debug_log_file, SVC_FILE_UNITS),
                            .what = L"a file's path"},
    [SVC_CASE_INSENSITIVE] = {L"CaseInsensitive", L"-i", NULL, L"case insensitive file system",
                              SVC_TYPE_FLAG, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE,
                              AT(case_insensitive)},
    [SVC_FILE_SYSTEM_NAME] = {L"FileSystemName", L"-F", L"FileSystemName",
                              L"file system name for OS; max 15 symbols", SVC_TYPE_TEXT,
                              SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE,
                              TEXT(file_system_name, SVC_FSNAME_UNITS),
                              .what = L"a file system name"},
    [SVC_MOUNT_POINT] = {L"MountPoint", L"-m", L"MountPoint",
                         L"X:|*|\\\\.\\X:|directory; default: first free letter from Z: down",
                         SVC_TYPE_TEXT, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE,
                         TEXT(mount_point, SVC_MOUNT_UNITS), .what = L"a mount point"},
    [SVC_TAG] = {L"Tag", L"-t", L"Tag", L"mount tag; max 36 symbols; default: all shares",
                 SVC_TYPE_TEXT, SVC_SCOPE_PLAIN, TEXT(tag, SVC_TAG_UNITS), .what = L"a tag"},
    [SVC_OWNER] = {L"Owner", L"-o", L"UID:GID", L"host owner UID:GID of what is created",
                   SVC_TYPE_OWNER, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE, AT(owner_uid)},
    [SVC_POLL_SECONDS] = {L"PollSeconds", L"-n", L"Seconds",
                          L"look for the host's changes in open directories this often; 0: 3",
                          SVC_TYPE_NUMBER, SVC_SCOPE_PLAIN | SVC_SCOPE_SHARE, AT(poll_seconds)},
    [SVC_OVERFLOW_UID] = {.name = L"OverflowUid",
                          .type = SVC_TYPE_NUMBER,
                          .scope = SVC_SCOPE_ALWAYS,
                          AT(overflow_uid)},
    [SVC_OVERFLOW_GID] = {.name = L"OverflowGid",
                          .type = SVC_TYPE_NUMBER,
                          .scope = SVC_SCOPE_ALWAYS,
                          AT(overflow_gid)},
    [SVC_READ_ONLY] = {L"ReadOnly", L"--read-only", NULL, L"nothing can be changed from this guest",
                       SVC_TYPE_FLAG, SVC_SCOPE_SHARE, AT(read_only)},
    [SVC_SECURITY] = {L"Security", L"--security", L"SDDL",
                      L"one security descriptor for everything on the share", SVC_TYPE_TEXT,
                      SVC_SCOPE_SHARE, TEXT(security, SVC_SECURITY_UNITS),
                      .what = L"a security descriptor"},
    [SVC_LABEL] = {L"Label", L"--label", L"Text",
                   L"the drive's label; max 31 symbols; default: tag", SVC_TYPE_TEXT,
                   SVC_SCOPE_SHARE, TEXT(label, SVC_LABEL_UNITS), .what = L"a label"},
    [SVC_HIDE_DOT_FILES] = {L"HideDotFiles", L"--hide-dot-files", NULL,
                            L"names that begin with a dot are hidden", SVC_TYPE_FLAG,
                            SVC_SCOPE_SHARE, AT(hide_dot_files)},
    [SVC_ATTRIBUTES] = {L"Attributes", L"--attributes", L"stored|mode",
                        L"keep hidden, system and others, and creation times; default: stored",
                        SVC_TYPE_TEXT, SVC_SCOPE_SHARE, TEXT(attributes, SVC_WORD_UNITS),
                        .what = L"Attributes", .words = L"|stored|mode|"},
    [SVC_READ_ONLY_ATTRIBUTE] = {L"ReadOnlyAttribute", L"--read-only-attribute",
                                 L"both|mode|stored",
                                 L"where the read-only attribute is kept; default: both",
                                 SVC_TYPE_TEXT, SVC_SCOPE_SHARE,
                                 TEXT(read_only_attribute, SVC_WORD_UNITS),
                                 .what = L"ReadOnlyAttribute", .words = L"|both|mode|stored|"},
    [SVC_CHANGE_NOTIFY] = {L"ChangeNotify", L"--change-notify", L"on|off",
                           L"have the host tell what changes there; default: on", SVC_TYPE_TEXT,
                           SVC_SCOPE_SHARE, TEXT(change_notify, SVC_WORD_UNITS),
                           .what = L"ChangeNotify", .words = L"|on|off|"},
    [SVC_CACHE] = {L"Cache", L"--cache", L"auto|strict|long",
                   L"how long what the host said is believed; default: auto", SVC_TYPE_TEXT,
                   SVC_SCOPE_SHARE, TEXT(cache, SVC_WORD_UNITS), .what = L"Cache",
                   .words = L"|auto|strict|long|"},
    [SVC_STREAMS] = {L"Streams", L"--streams", L"on|off", L"alternate data streams; default: on",
                     SVC_TYPE_TEXT, SVC_SCOPE_SHARE, TEXT(streams, SVC_WORD_UNITS),
                     .what = L"Streams", .words = L"|on|off|"},
    [SVC_ACL] = {L"Acl", L"--acl", L"mode|stored|off",
                 L"access control lists: from mode bits, kept, or none; default: mode",
                 SVC_TYPE_TEXT, SVC_SCOPE_SHARE, TEXT(acl, SVC_WORD_UNITS), .what = L"Acl",
                 .words = L"|mode|stored|off|"},
    [SVC_ACL_NAME] = {L"AclName", L"--acl-name", L"user|security",
                      L"kept in user.NTACL or security.NTACL; default: user", SVC_TYPE_TEXT,
                      SVC_SCOPE_SHARE, TEXT(acl_name, SVC_WORD_UNITS), .what = L"AclName",
                      .words = L"|user|security|"},
};

/* Where a setting is in @s, whatever its type. */
static void *field_of(struct svc_settings *s, enum svc_setting which)
{
    return (uint8_t *)s + svc_setting_infos[which].offset;
}

static const void *value_of(const struct svc_settings *s, enum svc_setting which)
{
    return (const uint8_t *)s + svc_setting_infos[which].offset;
}

/* Bytes of a setting in struct svc_settings; of a text, all that it may take. */
static size_t size_of(enum svc_setting which)
{
    switch (svc_setting_infos[which].type) {
    case SVC_TYPE_TEXT:
        return (svc_setting_infos[which].units + 1) * sizeof(wchar_t);
    case SVC_TYPE_OWNER:
        return 2 * sizeof(uint32_t);
    case SVC_TYPE_FLAG:
        return sizeof(bool);
    default:
        return sizeof(uint32_t);
    }
}

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
    const wchar_t *p = svc_mount_path(mount_point);
    bool managed = p != mount_point;

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

const wchar_t *svc_mount_path(const wchar_t *mount_point)
{
    const wchar_t *managed = after_device_prefix(mount_point);

    return managed ? managed : mount_point;
}

/* ASCII only: directories that differ in case elsewhere are rare, and Windows finds out. */
static wchar_t upper(wchar_t c)
{
    return c >= L'a' && c <= L'z' ? (wchar_t)(c - L'a' + L'A') : c;
}

bool svc_mount_same(const wchar_t *a, const wchar_t *b)
{
    a = svc_mount_path(a);
    b = svc_mount_path(b);
    while (*a && upper(*a) == upper(*b)) {
        a++;
        b++;
    }
    return *a == *b;
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

/* Is the text one of the words between bars? */
static bool is_word(const wchar_t *words, const wchar_t *text)
{
    size_t len = wcschr(text, L'|') ? 0 : wcslen(text);

    for (const wchar_t *at = wcschr(words, L'|'); len > 0 && at && at[1];
         at = wcschr(at + 1, L'|')) {
        if (wcsncmp(at + 1, text, len) == 0 && at[1 + len] == L'|')
            return true;
    }
    return false;
}

/* Copies a text that may have 1..info->units units, no control characters, and only words where there are such. */
static bool set_text(wchar_t *to, const struct svc_setting_info *info, const wchar_t *text,
                     struct svc_error *error)
{
    size_t len = wcslen(text), max = info->units;

    if (len == 0)
        return refuse(error, L"%ls must not be empty", info->what);
    if (info->words && !is_word(info->words, text))
        return refuse(error, L"%ls is one of %ls, not '%.64ls'", info->what, info->argument, text);
    if (len > max)
        return refuse(error, L"%ls has %zu characters, %zu are the most", info->what, len, max);
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return refuse(error, L"%ls contains a control character", info->what);
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

    if (!set_text(copy, &svc_setting_infos[SVC_MOUNT_POINT], text, error))
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

/* Cannot fail for flags; `number` of the others is any. */
static bool set_number_setting(struct svc_settings *s, enum svc_setting which, uint32_t number,
                               struct svc_error *error)
{
    switch (svc_setting_infos[which].type) {
    case SVC_TYPE_FLAG:
        *(bool *)field_of(s, which) = number != 0;
        return true;
    case SVC_TYPE_NUMBER:
        break;
    default:
        return refuse(error, L"it is a text, not a number");
    }
    if (which == SVC_POLL_SECONDS && number > SVC_POLL_MAX)
        return refuse(error, L"%lu seconds are more than a day", (unsigned long)number);
    if (which == SVC_POLL_SECONDS && number == 0)
        number = SVC_POLL_DEFAULT;
    *(uint32_t *)field_of(s, which) = number;
    return true;
}

bool svc_settings_number(struct svc_settings *s, enum svc_setting which, uint32_t number,
                         struct svc_error *error)
{
    if (!set_number_setting(s, which, number, error))
        return false;
    s->given |= 1u << which;
    return true;
}

static bool set_text_setting(struct svc_settings *s, enum svc_setting which, const wchar_t *text,
                             struct svc_error *error)
{
    if (which == SVC_OWNER)
        return set_owner(s, text, error);
    if (which == SVC_MOUNT_POINT)
        return set_mount_point(s, text, error);
    return set_text(field_of(s, which), &svc_setting_infos[which], text, error);
}

bool svc_settings_text(struct svc_settings *s, enum svc_setting which, const wchar_t *text,
                       struct svc_error *error)
{
    enum svc_type type = svc_setting_infos[which].type;
    const wchar_t *end;
    uint32_t number = 0;

    if (type == SVC_TYPE_TEXT || type == SVC_TYPE_OWNER) {
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

/* ---- all settings of one source ------------------------------------------------------------- */

void svc_settings_overlay(struct svc_settings *s, const struct svc_settings *over)
{
    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        enum svc_setting which = (enum svc_setting)i;

        if (svc_has(over, which))
            memcpy(field_of(s, which), value_of(over, which), size_of(which));
    }
    s->given |= over->given;
}

void svc_settings_value(const struct svc_settings *s, enum svc_setting which, struct svc_value *out)
{
    const void *value = value_of(s, which);

    *out = (struct svc_value){.kind = SVC_VALUE_ABSENT};
    if (!svc_has(s, which))
        return;
    switch (svc_setting_infos[which].type) {
    case SVC_TYPE_TEXT:
        out->kind = SVC_VALUE_TEXT;
        wcscpy(out->text, value);
        break;
    case SVC_TYPE_OWNER:
        out->kind = SVC_VALUE_TEXT;
        swprintf(out->text, SVC_SECURITY_UNITS, L"%lu:%lu", (unsigned long)s->owner_uid,
                 (unsigned long)s->owner_gid);
        break;
    case SVC_TYPE_FLAG:
        out->kind = SVC_VALUE_NUMBER;
        out->number = *(const bool *)value;
        break;
    default:
        out->kind = SVC_VALUE_NUMBER;
        out->number = *(const uint32_t *)value;
        break;
    }
}

static bool values_equal(const struct svc_value *a, const struct svc_value *b)
{
    return a->kind == b->kind && a->number == b->number && wcscmp(a->text, b->text) == 0;
}

bool svc_settings_equal(const struct svc_settings *a, const struct svc_settings *b)
{
    struct svc_value of_a, of_b;

    if (a->given != b->given)
        return false;
    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        svc_settings_value(a, (enum svc_setting)i, &of_a);
        svc_settings_value(b, (enum svc_setting)i, &of_b);
        if (!values_equal(&of_a, &of_b))
            return false;
    }
    return true;
}

/* FNV-1a, 32 bits. */
static uint32_t mix(uint32_t hash, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        hash = (hash ^ (value >> (8 * i) & 0xff)) * 16777619u;
    return hash;
}

uint32_t svc_settings_mark(const struct svc_settings *s)
{
    uint32_t hash = mix(2166136261u, s->given);
    struct svc_value value;

    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        svc_settings_value(s, (enum svc_setting)i, &value);
        hash = mix(hash, value.number);
        for (const wchar_t *c = value.text; *c; c++)
            hash = mix(hash, (uint32_t)*c);
    }
    return hash;
}
