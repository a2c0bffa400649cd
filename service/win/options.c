// SPDX-License-Identifier: BSD-3-Clause
/*
 * options.c - the command line
 *
 * Theory of operation
 *
 *   Options are those of the quick start, a letter each, with the value as the next word: "-m X:". "list"
 *   and "check" are words in the place of the first option and take none after them. "share" is followed by
 *   a word of its own, a tag, and options, which may be long ones there. An option given twice counts as an
 *   error: the second one may be a typing error for another.
 *
 *   Which options there are, and what the help says of them, is in the table of settings.c.
 *
 * Ownership: none; values are copied.   Locks: none.
 */
#include "service/win/options.h"

#include <stdarg.h>

#include "service/win/config.h"

#define WINFSP_NOTICE                                                                              \
    L"WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos\n"                      \
    L"https://github.com/winfsp/winfsp\n"

const wchar_t svc_version_text[] = L"virtiofs.exe " VIOFS_VERSION L"\n\n" WINFSP_NOTICE;

static const wchar_t usage_head[] =
    L"usage: virtiofs.exe [OPTION...]     mount shares until Ctrl-C, or as a service\n"
    L"       virtiofs.exe list            what is shared, what is mounted where\n"
    L"       virtiofs.exe check           is everything there that mounting needs?\n"
    L"       virtiofs.exe share add TAG [--replace] OPTION...\n"
    L"                                    keep these settings for a share, for good\n"
    L"       virtiofs.exe share remove TAG\n"
    L"                                    forget them\n"
    L"       virtiofs.exe share list      what is kept for which share\n"
    L"\n";
static const wchar_t usage_share[] =
    L"\nFor one share, with \"share add\": -i -F -m -o -n as above, and\n\n";
static const wchar_t usage_end[] =
    L"  --replace           [instead of the settings that the share has]\n"
    L"\nWithout options the values of HKLM\\Software\\virtiofs count.\n"
    L"\n" WINFSP_NOTICE;

const wchar_t svc_usage_pointer[] = L"See virtiofs.exe --help";

/* Appends what fits. */
static void append(wchar_t *to, size_t units, const wchar_t *format, ...)
{
    size_t len = wcslen(to);
    va_list args;

    va_start(args, format);
    if (len < units && vswprintf(to + len, units - len, format, args) < 0)
        to[units - 1] = 0;
    va_end(args);
}

static bool is_long(const struct svc_setting_info *info)
{
    return info->option && info->option[1] == L'-';
}

static void append_options(wchar_t *to, bool long_ones)
{
    wchar_t left[64];

    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        const struct svc_setting_info *info = &svc_setting_infos[i];

        if (!info->option || is_long(info) != long_ones)
            continue;
        left[0] = 0;
        append(left, sizeof(left) / sizeof(left[0]), L"%ls %ls", info->option,
               info->argument ? info->argument : L"");
        append(to, SVC_USAGE_UNITS, L"  %-18ls  [%ls]\n", left, info->help);
    }
}

void svc_usage(wchar_t *to)
{
    to[0] = 0;
    append(to, SVC_USAGE_UNITS, L"%ls", usage_head);
    append_options(to, false);
    append(to, SVC_USAGE_UNITS,
           L"  -?, --help          [this text]\n"
           L"  --version           [the version]\n");
    append(to, SVC_USAGE_UNITS, L"%ls", usage_share);
    append_options(to, true);
    append(to, SVC_USAGE_UNITS, L"%ls", usage_end);
}

void svc_options_text(const struct svc_settings *s, wchar_t *to, size_t units)
{
    struct svc_value value;

    to[0] = 0;
    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        const struct svc_setting_info *info = &svc_setting_infos[i];
        const wchar_t *blank = to[0] ? L" " : L"";

        svc_settings_value(s, (enum svc_setting)i, &value);
        if (!info->option || value.kind == SVC_VALUE_ABSENT)
            continue;
        if (info->type == SVC_TYPE_FLAG && value.number)
            append(to, units, L"%ls%ls", blank, info->option);
        else if (info->type == SVC_TYPE_FLAG)
            append(to, units, L"%lsno %ls", blank, info->option);
        else if (value.kind == SVC_VALUE_NUMBER)
            append(to, units, L"%ls%ls %lu", blank, info->option, (unsigned long)value.number);
        else
            append(to, units, wcspbrk(value.text, L" \t") ? L"%ls%ls \"%ls\"" : L"%ls%ls %ls",
                   blank, info->option, value.text);
    }
}

static bool fail(struct svc_error *error, const wchar_t *option, const wchar_t *reason)
{
    struct svc_error copy;

    if (swprintf(copy.text, SVC_ERROR_UNITS, L"%.64ls: %ls", option, reason) < 0)
        copy.text[SVC_ERROR_UNITS - 1] = 0;
    *error = copy;
    return false;
}

static bool command_word(const wchar_t *word, enum svc_command *out)
{
    static const struct {
        const wchar_t *word;
        enum svc_command command;
    } commands[] = {
        {L"list", SVC_LIST}, {L"check", SVC_CHECK}, {L"-?", SVC_HELP},           {L"/?", SVC_HELP},
        {L"-h", SVC_HELP},   {L"--help", SVC_HELP}, {L"--version", SVC_VERSION},
    };

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (wcscmp(word, commands[i].word) == 0) {
            *out = commands[i].command;
            return true;
        }
    return false;
}

/* The setting of an option, SVC_SETTINGS if there is none of that name. */
static enum svc_setting option_setting(const wchar_t *word)
{
    for (unsigned i = 0; i < SVC_SETTINGS; i++)
        if (svc_setting_infos[i].option && wcscmp(svc_setting_infos[i].option, word) == 0)
            return (enum svc_setting)i;
    return SVC_SETTINGS;
}

/* Words of the command line that have not been read. */
struct words {
    int count;
    const wchar_t *const *next;
};

/* Is the next word one that is answered whatever else is said? Return: then also which, in @out. */
static bool asks_for_help(const struct words *w, enum svc_command *out)
{
    enum svc_command command;

    if (w->count == 0 || !command_word(*w->next, &command) ||
        (command != SVC_HELP && command != SVC_VERSION))
        return false;
    *out = command;
    return true;
}

/* One option, with its value. Return: false with a sentence in @error. */
static bool take_option(struct words *w, unsigned scope, struct svc_settings *out,
                        struct svc_error *error)
{
    const wchar_t *word = *w->next;
    enum svc_setting which = option_setting(word);
    struct svc_error reason;
    bool good;

    if (which == SVC_SETTINGS)
        return fail(error, word,
                    word[0] == L'-' ? L"there is no such option"
                                    : L"not expected here; an option starts with -");
    if (!(svc_setting_infos[which].scope & scope))
        return fail(error, word,
                    scope == SVC_SCOPE_SHARE
                        ? L"cannot be set for one share"
                        : L"is for one share: virtiofs.exe share add TAG, with this option");
    if (svc_has(out, which))
        return fail(error, word, L"given twice");
    w->next++;
    w->count--;
    if (svc_setting_infos[which].type == SVC_TYPE_FLAG) {
        good = svc_settings_number(out, which, 1, &reason);
    } else {
        if (w->count == 0)
            return fail(error, word, L"needs a value after it");
        good = svc_settings_text(out, which, *w->next, &reason);
        w->next++;
        w->count--;
    }
    return good || fail(error, word, reason.text);
}

/* ---- share ... ------------------------------------------------------------------------------ */

static bool share_word(struct words *w, enum svc_command *out, struct svc_error *error)
{
    static const struct {
        const wchar_t *word;
        enum svc_command command;
    } commands[] = {
        {L"add", SVC_SHARE_ADD}, {L"remove", SVC_SHARE_REMOVE}, {L"list", SVC_SHARE_LIST}};

    for (size_t i = 0; w->count > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (wcscmp(*w->next, commands[i].word) == 0) {
            *out = commands[i].command;
            w->next++;
            w->count--;
            return true;
        }
    return fail(error, L"share", L"goes on with add, remove or list");
}

static bool take_tag(struct words *w, wchar_t *out, struct svc_error *error)
{
    struct svc_settings checked = {0};
    struct svc_error reason;

    if (w->count == 0)
        return fail(error, L"share", L"whose? The share's tag is missing");
    if (!svc_settings_text(&checked, SVC_TAG, *w->next, &reason))
        return fail(error, *w->next, reason.text);
    if (!svc_tag_is_key(checked.tag))
        return fail(error, *w->next,
                    L"nothing can be kept for a tag with a backslash in it; rename it on the host");
    wmemcpy(out, checked.tag, SVC_TAG_UNITS + 1);
    w->next++;
    w->count--;
    return true;
}

static bool parse_share(struct svc_options *o, struct words *w, struct svc_error *error)
{
    if (asks_for_help(w, &o->command))
        return true;
    if (!share_word(w, &o->command, error))
        return false;
    if (asks_for_help(w, &o->command))
        return true;
    if (o->command != SVC_SHARE_LIST && !take_tag(w, o->tag, error))
        return false;
    while (w->count > 0 && o->command == SVC_SHARE_ADD) {
        if (asks_for_help(w, &o->command))
            return true;
        if (wcscmp(*w->next, L"--replace") != 0) {
            if (!take_option(w, SVC_SCOPE_SHARE, &o->settings, error))
                return false;
            continue;
        }
        o->replace = true;
        w->next++;
        w->count--;
    }
    if (w->count > 0)
        return fail(error, *w->next, L"not expected here");
    if (o->command == SVC_SHARE_ADD && o->settings.given == 0)
        return fail(error, L"share add", L"what is to be kept? Give at least one option, as -m P:");
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------ */

bool svc_options_parse(struct svc_options *o, int argc, const wchar_t *const *argv,
                       struct svc_error *error)
{
    struct words w = {argc - 1, argv + 1};

    *o = (struct svc_options){.command = SVC_SERVE};
    if (argc > 1 && wcscmp(argv[1], L"share") == 0) {
        w.next++;
        w.count--;
        return parse_share(o, &w, error);
    }
    while (w.count > 0) {
        if (asks_for_help(&w, &o->command))
            return true;
        if (command_word(*w.next, &o->command))
            return argc == 2 ||
                   fail(error, *w.next, L"this command takes no options and follows none");
        if (!take_option(&w, SVC_SCOPE_PLAIN, &o->settings, error))
            return false;
    }
    return true;
}
