// SPDX-License-Identifier: BSD-3-Clause
/*
 * options.h - the command line
 */
#ifndef VIOFS_SERVICE_OPTIONS_H
#define VIOFS_SERVICE_OPTIONS_H

#include "service/win/settings.h"

enum svc_command {
    SVC_SERVE,
    SVC_LIST,
    SVC_CHECK,
    SVC_HELP,
    SVC_VERSION,
    SVC_SHARE_ADD,
    SVC_SHARE_REMOVE,
    SVC_SHARE_LIST,
};

struct svc_options {
    enum svc_command command;
    struct svc_settings settings;   /* given is 0 when there was no option */
    bool replace;                   /* SVC_SHARE_ADD: what is there may be overwritten */
    wchar_t tag[SVC_TAG_UNITS + 1]; /* SVC_SHARE_ADD, SVC_SHARE_REMOVE: whose settings */
};

#define SVC_USAGE_UNITS 4096

/**
 * svc_options_parse() - read a command line
 * @argc: number of words, the program's name first
 * @argv: the words
 *
 * Return: true; false with a sentence in `error` that names the option.
 */
bool svc_options_parse(struct svc_options *o, int argc, const wchar_t *const *argv,
                       struct svc_error *error);

/** svc_usage() - the help, several lines, with WinFsp's notice; @to has room for SVC_USAGE_UNITS */
void svc_usage(wchar_t *to);

/**
 * svc_options_text() - settings as the options that would say them: -m P: --label "my files"
 * @units: room at @to, at least 1; what does not fit is cut off
 *
 * Settings without an option are left out.
 */
void svc_options_text(const struct svc_settings *s, wchar_t *to, size_t units);

extern const wchar_t svc_version_text[];  /* likewise */
extern const wchar_t svc_usage_pointer[]; /* where to look after an error */

#endif
