// SPDX-License-Identifier: BSD-3-Clause
/*
 * settings.h - what can be set, and by whom
 *
 * A setting has a name in the registry and maybe an option. One table (svc_setting_infos) says everything about it;
 * command line, help, registry, `share add` and comparisons all go by it. struct svc_settings holds those of
 * one source (command line, plain registry values, one share's key); which were given is a bit each, so that
 * sources can be laid over each other.
 *
 * Portable: wchar_t strings are UTF-16 on Windows and something wider in native tests; nothing here cares.
 */
#ifndef VIOFS_SERVICE_SETTINGS_H
#define VIOFS_SERVICE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#define SVC_TAG_UNITS      36 /* virtio 1.2, 5.11.4: bytes of UTF-8, so never more units */
#define SVC_FSNAME_UNITS   15 /* WinFsp's limit */
#define SVC_LABEL_UNITS    31 /* likewise */
#define SVC_MOUNT_UNITS    247 /* longest directory that Win32 creates (MAX_PATH less 12, less NUL) */
#define SVC_FILE_UNITS     259
#define SVC_SECURITY_UNITS 1023
#define SVC_WORD_UNITS     15 /* of a text that is one of a few words */
#define SVC_OVERFLOW_ID    65534u
#define SVC_POLL_DEFAULT   3u
#define SVC_POLL_MAX       86400u
#define SVC_ERROR_UNITS    512

enum svc_setting {
    SVC_DEBUG_FLAGS,
    SVC_DEBUG_LOG_FILE,
    SVC_CASE_INSENSITIVE,
    SVC_FILE_SYSTEM_NAME,
    SVC_MOUNT_POINT,
    SVC_TAG,
    SVC_OWNER,
    SVC_POLL_SECONDS,
    SVC_OVERFLOW_UID,
    SVC_OVERFLOW_GID,
    SVC_READ_ONLY,
    SVC_SECURITY,
    SVC_LABEL,
    SVC_HIDE_DOT_FILES,
    SVC_ATTRIBUTES,
    SVC_READ_ONLY_ATTRIBUTE,
    SVC_CHANGE_NOTIFY,
    SVC_CACHE,
    SVC_STREAMS,
    SVC_ACL,
    SVC_ACL_NAME,
    SVC_SETTINGS
};

/* Where a registry value of this name is looked for. */
enum svc_scope {
    SVC_SCOPE_PLAIN = 1,  /* directly under the key, when the command line has no option */
    SVC_SCOPE_SHARE = 2,  /* under Shares\<tag> */
    SVC_SCOPE_ALWAYS = 4, /* directly under the key, whatever the command line says */
};

enum svc_type {
    SVC_TYPE_TEXT,
    SVC_TYPE_NUMBER,
    SVC_TYPE_FLAG,
    SVC_TYPE_OWNER, /* UID:GID */
};

struct svc_setting_info {
    const wchar_t *name;     /* of the registry value */
    const wchar_t *option;   /* "-m", or "--label" if only `share add` takes it; NULL: none */
    const wchar_t *argument; /* what the help calls its value; NULL: a flag has none */
    const wchar_t *help;
    enum svc_type type;
    unsigned scope;       /* enum svc_scope */
    size_t offset;        /* in struct svc_settings */
    size_t units;         /* of a text, at most */
    const wchar_t *what;  /* a text, as messages call it */
    const wchar_t *words; /* a text must be one of these, each between bars: "|a|b|"; NULL: any */
};
extern const struct svc_setting_info svc_setting_infos[SVC_SETTINGS];

struct svc_settings {
    uint32_t given; /* 1 << enum svc_setting */
    uint32_t debug_flags;
    uint32_t poll_seconds;
    uint32_t owner_uid, owner_gid;
    uint32_t overflow_uid, overflow_gid;
    bool case_insensitive, read_only, hide_dot_files;
    wchar_t attributes[SVC_WORD_UNITS + 1];          /* stored, mode */
    wchar_t read_only_attribute[SVC_WORD_UNITS + 1]; /* both, mode, stored */
    wchar_t change_notify[SVC_WORD_UNITS + 1];       /* on, off */
    wchar_t cache[SVC_WORD_UNITS + 1];               /* auto, strict, long */
    wchar_t streams[SVC_WORD_UNITS + 1];             /* on, off */
    wchar_t acl[SVC_WORD_UNITS + 1];                 /* mode, stored, off */
    wchar_t acl_name[SVC_WORD_UNITS + 1];            /* user, security */
    wchar_t tag[SVC_TAG_UNITS + 1];
    wchar_t file_system_name[SVC_FSNAME_UNITS + 1];
    wchar_t label[SVC_LABEL_UNITS + 1];
    wchar_t mount_point[SVC_MOUNT_UNITS + 1];
    wchar_t debug_log_file[SVC_FILE_UNITS + 1];
    wchar_t security[SVC_SECURITY_UNITS + 1];
};

enum svc_value_kind { SVC_VALUE_ABSENT, SVC_VALUE_TEXT, SVC_VALUE_NUMBER, SVC_VALUE_WRONG_TYPE };

/* A setting as the registry has it. */
struct svc_value {
    enum svc_value_kind kind;
    uint32_t number;
    wchar_t text[SVC_SECURITY_UNITS + 1]; /* longer ones are SVC_VALUE_WRONG_TYPE */
};

/* Why something was refused: a sentence without a full stop, terminated. */
struct svc_error {
    wchar_t text[SVC_ERROR_UNITS];
};

static inline bool svc_has(const struct svc_settings *s, enum svc_setting which)
{
    return s->given >> which & 1;
}

/**
 * svc_settings_text() - set one from a string; numbers and flags are parsed
 *
 * Return: true; false, with the reason in `error` and `s` as it was.
 */
bool svc_settings_text(struct svc_settings *s, enum svc_setting which, const wchar_t *text,
                       struct svc_error *error);

/** svc_settings_number() - set one from a number; texts refuse. Return: as svc_settings_text() */
bool svc_settings_number(struct svc_settings *s, enum svc_setting which, uint32_t number,
                         struct svc_error *error);

/** svc_settings_overlay() - whatever `over` has given replaces what `s` has */
void svc_settings_overlay(struct svc_settings *s, const struct svc_settings *over);

/** svc_settings_value() - one that was given, as the registry shall have it; SVC_VALUE_ABSENT if it was not */
void svc_settings_value(const struct svc_settings *s, enum svc_setting which,
                        struct svc_value *out);

/** svc_settings_equal() - are the same settings given, and do they say the same? */
bool svc_settings_equal(const struct svc_settings *a, const struct svc_settings *b);

/** svc_settings_mark() - a number that equal settings share, and different ones hardly ever */
uint32_t svc_settings_mark(const struct svc_settings *s);

enum svc_mount_kind {
    SVC_MOUNT_ANY,       /* "*" */
    SVC_MOUNT_LETTER,    /* X: */
    SVC_MOUNT_MANAGED,   /* \\.\X: by the Mount Manager */
    SVC_MOUNT_DIRECTORY, /* C:\dir, or \\.\X:\dir by the Mount Manager */
    SVC_MOUNT_WRONG
};

/** svc_mount_kind() - what a mount point is by its spelling */
enum svc_mount_kind svc_mount_kind(const wchar_t *mount_point);

/** svc_mount_same() - do both name one place? By the Mount Manager or not makes no difference. */
bool svc_mount_same(const wchar_t *a, const wchar_t *b);

/** svc_mount_path() - a mount point without the prefix of the Mount Manager; part of the argument */
const wchar_t *svc_mount_path(const wchar_t *mount_point);

/** svc_mount_letter() - the upper-case letter of X: or \\.\X:, 0 for everything else */
wchar_t svc_mount_letter(const wchar_t *mount_point);

/**
 * svc_free_letter() - the first letter from Z: down to D: that is not taken
 * @taken: bit 0 is A:
 *
 * Return: an upper-case letter, 0 when there is none.
 */
wchar_t svc_free_letter(uint32_t taken);

#endif
