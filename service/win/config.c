// SPDX-License-Identifier: BSD-3-Clause
/*
 * config.c - which setting counts: command line, registry, one share's key
 *
 * Theory of operation
 *
 *   As in the quick start, plain registry values count only when the command line has no option at all.
 *   OverflowUid and OverflowGid are always read, and so is Shares\<tag>, which says more than a plain
 *   value and less than an option. A value that is refused is as good as absent, but somebody is told.
 *
 *   Each value is looked for in every source in turn (HKLM\Software\virtiofs, then HKLM\Software\VirtIO-FS),
 *   so an old key keeps working beside a new one.
 *
 *   Tags come from the host. One that could leave its place in the registry is not looked up.
 *
 * Ownership: none.   Locks: none; a svc_config does not change after it was loaded.
 */
#include "service/win/config.h"

static void complain(const struct svc_config *c, const struct svc_source *source,
                     const wchar_t *share, const wchar_t *value, const wchar_t *reason)
{
    wchar_t text[SVC_ERROR_UNITS + 256];

    if (!c->refused)
        return;
    if (swprintf(text, sizeof(text) / sizeof(text[0]), L"%ls%ls%ls\\%ls is not used: %ls",
                 source->name, share ? L"\\Shares\\" : L"", share ? share : L"", value, reason) < 0)
        text[sizeof(text) / sizeof(text[0]) - 1] = 0;
    c->refused(c->user, text);
}

/* The first source that has a usable value sets it. */
static void read_one(const struct svc_config *c, const wchar_t *share, enum svc_setting which,
                     struct svc_settings *out)
{
    const wchar_t *name = svc_setting_infos[which].name;

    for (unsigned i = 0; i < c->num_sources; i++) {
        struct svc_value value = {.kind = SVC_VALUE_ABSENT};
        struct svc_error error = {
            L"it is neither a text (REG_SZ) nor a number (REG_DWORD), or too long"};
        bool good = false;

        c->sources[i].read(c->sources[i].user, share, name, &value);
        if (value.kind == SVC_VALUE_ABSENT)
            continue;
        if (value.kind == SVC_VALUE_TEXT)
            good = svc_settings_text(out, which, value.text, &error);
        else if (value.kind == SVC_VALUE_NUMBER)
            good = svc_settings_number(out, which, value.number, &error);
        if (good)
            return;
        complain(c, &c->sources[i], share, name, error.text);
    }
}

static void read_scope(const struct svc_config *c, const wchar_t *share, unsigned scope,
                       struct svc_settings *out)
{
    for (unsigned i = 0; i < SVC_SETTINGS; i++)
        if (svc_setting_infos[i].scope & scope)
            read_one(c, share, (enum svc_setting)i, out);
}

void svc_config_load(struct svc_config *c)
{
    c->plain =
        (struct svc_settings){.overflow_uid = SVC_OVERFLOW_ID, .overflow_gid = SVC_OVERFLOW_ID};
    read_scope(c, NULL, SVC_SCOPE_ALWAYS, &c->plain);
    if (c->command_line.given == 0)
        read_scope(c, NULL, SVC_SCOPE_PLAIN, &c->plain);
}

void svc_config_process(const struct svc_config *c, struct svc_settings *out)
{
    *out = c->plain;
    svc_settings_overlay(out, &c->command_line);
}

bool svc_tag_is_key(const wchar_t *tag)
{
    return *tag && !wcschr(tag, L'\\');
}

void svc_config_share(const struct svc_config *c, const wchar_t *tag, struct svc_settings *out,
                      struct svc_settings *own)
{
    *own = (struct svc_settings){0};
    if (svc_tag_is_key(tag))
        read_scope(c, tag, SVC_SCOPE_SHARE, own);
    *out = c->plain;
    svc_settings_overlay(out, own);
    svc_settings_overlay(out, &c->command_line);
}

bool svc_config_own_place(const struct svc_config *c, const struct svc_settings *own)
{
    return svc_has(own, SVC_MOUNT_POINT) && !svc_has(&c->command_line, SVC_MOUNT_POINT);
}
