// SPDX-License-Identifier: BSD-3-Clause
/*
 * options.c - the command line
 *
 * Theory of operation
 *
 *   Options are those of the quick start, a letter each, with the value as the next word: "-m X:". "list"
 *   and "check" are words in the place of the first option and take none after them. An option given
 *   twice counts as an error: the second one may be a typing error for another.
 *
 * Ownership: none; values are copied.   Locks: none.
 */
#include "service/win/options.h"

#define WINFSP_NOTICE                                                                              \
    L"WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos\n"                      \
    L"https://github.com/winfsp/winfsp\n"

const wchar_t svc_version_text[] = L"virtiofs.exe " VIOFS_VERSION L"\n\n" WINFSP_NOTICE;

const wchar_t svc_usage[] =
    L"usage: virtiofs.exe [OPTION...]     mount shares until Ctrl-C, or as a service\n"
    L"       virtiofs.exe list            what is shared, what is mounted where\n"
    L"       virtiofs.exe check           is everything there that mounting needs?\n"
    L"\n"
    L"  -d DebugFlags       [-1: enable all debug logs]\n"
    L"  -D DebugLogFile     [file path; use - for stderr]\n"
    L"  -i                  [case insensitive file system]\n"
    L"  -F FileSystemName   [file system name for OS; max 15 symbols]\n"
    L"  -m MountPoint       [X:|*|\\\\.\\X:|directory; default: first free letter from Z: down]\n"
    L"  -t Tag              [mount tag; max 36 symbols; default: all shares]\n"
    L"  -o UID:GID          [host owner UID:GID of what is created]\n"
    L"  -n Seconds          [look for the host's changes in open directories this often; 0: 3]\n"
    L"  -?, --help          [this text]\n"
    L"  --version           [the version]\n"
    L"\n"
    L"Without options the values of HKLM\\Software\\virtiofs count.\n"
    L"\n" WINFSP_NOTICE;

const wchar_t svc_usage_pointer[] = L"See virtiofs.exe --help";

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

/* The setting of "-x", SVC_SETTINGS if there is none. */
static enum svc_setting option_setting(const wchar_t *word)
{
    unsigned i = SVC_SETTINGS;

    if (word[0] == L'-' && word[1] && !word[2])
        for (i = 0; i < SVC_SETTINGS; i++)
            if (svc_setting_infos[i].letter == word[1])
                break;
    return (enum svc_setting)i;
}

bool svc_options_parse(struct svc_options *o, int argc, const wchar_t *const *argv,
                       struct svc_error *error)
{
    *o = (struct svc_options){.command = SVC_SERVE};
    for (int i = 1; i < argc; i++) {
        const wchar_t *word = argv[i];
        enum svc_setting which = option_setting(word);
        struct svc_error reason;
        bool good;

        if (command_word(word, &o->command)) {
            if (o->command == SVC_HELP || o->command == SVC_VERSION)
                return true;
            if (argc > 2)
                return fail(error, word, L"this command takes no options and follows none");
            return true;
        }
        if (which == SVC_SETTINGS)
            return fail(error, word,
                        word[0] == L'-' ? L"there is no such option"
                                        : L"not expected here; an option starts with -");
        if (svc_has(&o->settings, which))
            return fail(error, word, L"given twice");
        if (svc_setting_infos[which].type == SVC_TYPE_FLAG) {
            good = svc_settings_number(&o->settings, which, 1, &reason);
        } else {
            if (++i == argc)
                return fail(error, word, L"needs a value after it");
            good = svc_settings_text(&o->settings, which, argv[i], &reason);
        }
        if (!good)
            return fail(error, word, reason.text);
    }
    return true;
}
